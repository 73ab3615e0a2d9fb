/* applets/portal/serve.h: the serving portal: listeners, connections, the admin socket, one loop.
 *
 * What a connection goes through is told in http/conn.h. SIGTERM and SIGINT close all sockets with 1012, wait until that is written, and end
 * with status 0.
 */
#pragma once

#include "applets/portal/http/rate.h"
#include "core/ip/addr.h"

#define SERVE_LISTENERS_MAX 16u
#define SERVE_PROXIES_MAX 64u

struct serve_config {
	const char *dir;
	struct endpoint listen[SERVE_LISTENERS_MAX];
	u32 n_listen;
	bool may_lack_family; /* of the default listeners one may be impossible */
	const char *tls_cert, *tls_key; /* files, both or none */
	struct cidr proxies[SERVE_PROXIES_MAX], private_clients[SERVE_PROXIES_MAX]; /* spec 60 §0.2; the latter are never proxies */
	u32 n_proxies, n_private_clients;
	const char *draining_file;
	const char *web_url, *api_url; /* end in '/'; api_url may be NULL */
	bool secure_cookies;
	struct rate_rule web_rate, api_rate; /* spec 60 §6.1 */
	u32 rate_capacity, rate_refill;
	const struct mail_config *mail;
};

/* The exit status. */
int serve(const struct serve_config *cfg);
