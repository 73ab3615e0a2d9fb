/* applets/portal/serve.h: the serving portal: listeners, connections, the admin socket, one loop.
 *
 *   accepted ──▶ [TLS] ──▶ [HTTP head] ──▶ upgrade accepted: [socket] ──▶ [closing] ──▶ freed
 *                  15 s for both               otherwise: a response, [closing]
 *
 * SIGTERM and SIGINT close all sockets with 1012, wait until that is written, and end with status 0.
 */
#pragma once

#include "core/ip/addr.h"

#define SERVE_LISTENERS_MAX 16u
#define SERVE_PROXIES_MAX 64u

struct serve_config {
	const char *dir;
	struct endpoint listen[SERVE_LISTENERS_MAX];
	u32 n_listen;
	bool may_lack_family; /* of the default listeners one may be impossible */
	const char *tls_cert, *tls_key; /* files, both or none */
	struct cidr proxies[SERVE_PROXIES_MAX];
	u32 n_proxies;
	const char *draining_file;
	const char *api_url;
	u32 rate_capacity, rate_refill;
	const struct mail_config *mail;
};

/* The exit status. */
int serve(const struct serve_config *cfg);
