/* applets/portal/http/server.h: what all connections of a serving portal share, and the secrets and counters of its HTTP side.
 *
 * Made by serve.c (tests: tests/unit/http_world.h). While `is_starting` the store is not open yet: /readyz says so, /healthz and assets
 * answer, everything else gets 503.
 */
#pragma once

#include "applets/portal/admin/admin.h"
#include "applets/portal/http/crowd.h"
#include "applets/portal/http/held.h"
#include "applets/portal/http/metrics.h"
#include "applets/portal/http/rate.h"
#include "applets/portal/serve.h"
#include "core/crypto/hash.h"
#include "core/http/tls.h"
#include "core/loop/loop.h"

struct area;
struct conn;
struct geo_db;

struct server {
	struct loop *loop;
	struct portal *portal;
	const struct serve_config *cfg;
	struct tls_identity *identity; /* NULL: plain text */
	struct geo_db *geo_db;	       /* NULL: none */
	struct conn *conns;	       /* list of all */
	u32 n_conns;
	struct crowd crowd;
	struct conn *waiting, **waiting_end; /* that want to become sockets, in the order in which they came */
	struct loop_task waiting_task;
	struct held_list held, sweeping; /* answers that wait for the disk; for the end of what they deleted, before */
	u64 turn, turn_began;	       /* of the loop */
	const struct area *const *areas; /* router.h */
	bool is_starting, is_stopping;
	bool is_https;		     /* the external URL is */
	u8 cookie_key[SHA256_LEN];   /* of the token key: what rotates tokens rotates cookies */
	struct rate web_rate, api_rate;
	struct http_stats stats;
	void (*changed)(struct server *s); /* the hub's next deadline may have moved */
};

/* Loop, portal, cfg and areas are set before; the portal's secrets must be there, and it gets its `live`. ERR_NOMEM. */
int server_init(struct server *s) MUST_CHECK;
/* An answer waits until what it tells of is done and on the disk. `sweeps`: what store_sweeps() was when its request came. */
void server_hold(struct server *s, struct held *h, u64 sweeps, void (*release)(void *ctx), void *ctx);
/* The store's word (store_defer()): answers that waited for the disk go out. */
void server_settled(struct server *s, u64 ticket);
/* After conn_free_all(); of zeroed memory too. */
void server_deinit(struct server *s);
