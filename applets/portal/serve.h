/* applets/portal/serve.h: the serving portal: listeners, connections, the admin socket, one loop.
 *
 *   listening, /readyz says "starting" ──state opened──▶ ready ──SIGTERM, SIGINT──▶ stopping ──▶ status 0
 *
 * The state directory may be in use by a command for a moment: that is waited for, SERVE_LOCK_PATIENCE long. Stopping (spec 60 §6.3): listeners
 * close, idle connections too; requests that are being answered end, pages' streams at once, answers that are still worked on after
 * STOP_PATIENCE as 503; sockets are closed with 1012 in batches. All within STOP_TIMEOUT; a second signal ends it at once. What a connection
 * goes through is told in http/conn.h.
 */
#pragma once

#include "applets/portal/http/metrics.h"
#include "applets/portal/http/rate.h"
#include "core/base/time.h"
#include "core/ip/addr.h"

#define SERVE_LISTENERS_MAX 16u
#define SERVE_PROXIES_MAX 64u
#define SERVE_LOCK_PATIENCE SEC(5)
#define STOP_TIMEOUT SEC(40)   /* spec 60 item 61 */
#define STOP_PATIENCE SEC(10)
#define STOP_BATCH 500u	       /* sockets closed in one go: their peers come back as many at a time */
#define STOP_BATCH_INTERVAL MSEC(100)

struct serve_config {
	const char *dir;
	struct endpoint listen[SERVE_LISTENERS_MAX];
	u32 n_listen;
	bool may_lack_family; /* of the default listeners one may be impossible */
	const char *tls_cert, *tls_key; /* files, both or none */
	struct cidr proxies[SERVE_PROXIES_MAX], private_clients[SERVE_PROXIES_MAX]; /* spec 60 §0.2; the latter are never proxies */
	u32 n_proxies, n_private_clients;
	const char *draining_file;
	const char *geo_db; /* geo_db.h; NULL: none. SIGHUP opens the file anew */
	const char *web_url, *api_url; /* end in '/'; api_url may be NULL */
	bool secure_cookies;
	bool allows_sign_up;
	const char *const *sign_up_domains; /* none: all */
	u32 n_sign_up_domains;
	enum metrics_access metrics;
	struct rate_rule web_rate, api_rate; /* spec 60 §6.1 */
	u32 rate_capacity, rate_refill;
	u32 conns_per_address; /* http/crowd.h; 0: no limit */
	const struct mail_config *mail, *mail_second; /* mail_second: NULL or none */
	const struct idp_config *idp; /* idp.h */
};

/* The exit status. */
int serve(const struct serve_config *cfg);
