/* applets/portal/channels/hub.h: everybody who is connected, and what each of them must be told (spec 10 §5–§11, spec 60 §4, §5).
 *
 * Sans-IO: the owner carries bytes between sockets and peers, calls hub_timeout() when hub_next_timeout() is due, and hub_publish() after each
 * commit he made. Presence is exactly the set of joined peers; nothing about it is stored.
 *
 *   hub_admit() ──▶ [connected] ──join──▶ [joined: registered, init sent] ──▶ [gone] ──▶ peer_free()
 *                        │                       │ newer peer of the same id, token expired or deleted: disconnect token_expired
 *                        └── silence, Close ─────┴─ device deleted, relay token deleted: phx_close only
 *
 * `now` is monotonic, `wall` the wall clock, both in ns.
 */
#pragma once

#include "applets/portal/auth/tokens.h"
#include "applets/portal/model/access.h"
#include "applets/portal/model/directory.h"
#include "applets/portal/model/geo.h"
#include "applets/portal/store/store.h"
#include "core/phoenix/server.h"

#define PEERS_MAX 65536u		/* sockets of all roles */
#define PENDING_FLOWS_MAX 256u		/* create_flow in flight of one client */
#define DEVICE_ACCESSES_MAX 65536u	/* (client, client) pairs that were allowed */
#define FLOW_TIMEOUT SEC(15)		/* spec 10 §7.3 step 5 */
#define RECOMPUTE_INTERVAL SEC(60)	/* spec 60 §4.2: conditions change with the clock */
#define RELAY_DEBOUNCE SEC(1)		/* spec 60 §4.6 */
#define RELAYS_OF_PEER 2u		/* spec 60 §4.6 */
#define SESSION_FLUSH_INTERVAL SEC(5)	/* spec 60 §1.8 */
#define SESSION_BUFFER_MAX 1000u
#define SESSION_SLICE 8u		/* stored at once */
#define HUB_SLICE USEC(1000)		/* of each kind of work, before others have their turn */
#define PURGE_INTERVAL SEC(60)		/* spec 60 §12 */
#define PURGE_PAUSE MSEC(20)		/* between slices, while there is more to purge */
#define SWEEP_RETRY SEC(1)		/* when a deletion cannot go on (store.h) */
#define DISK_PAUSE MSEC(5)		/* when the disk is far behind (store.h): what can wait does */
#define REPORT_INTERVAL_SECS 60u	/* what gateways are asked for (spec 10 §15) */
#define REPORT_PATIENCE SEC(180)	/* a connection nobody speaks of any more is gone */
#define PATHS_MAX 16384u		/* connections of one gateway */
#define PATHS_TOLD_MAX 64u		/* a gateway with more leaves without a word to the pages of each of its clients */
#define TRAFFIC_FLUSH_INTERVAL SEC(10)
#define TRAFFIC_SLICE 8u		/* accounts stored at once */
#define TRAFFIC_MAX 4096u		/* (account, hour) that wait to be stored; more are not counted */
#define RATE_ENTRIES_MAX 16384u		/* (address, token) pairs remembered by the connect rate limit */

struct hub;
struct peer;

struct hub_presence;

struct hub_news {
	/* Rows of a kind in an account changed; once for each that a publish found. */
	void (*changed)(void *ctx, const struct uuid *account, enum kind k);
	/* A client, gateway or relay (KIND_RELAY_TOKEN; account null) came or went. */
	void (*presence)(void *ctx, enum kind k, const struct hub_presence *p, bool is_online);
	/* A row of portal_sessions is gone (spec 60 §3.11). */
	void (*session_ended)(void *ctx, const struct uuid *session);
	/* What a gateway says of its connection to a client changed: ask hub_path() and its likes, the only ones of the hub that may be asked then.
	 * NULL: nobody wants to know. */
	void (*path)(void *ctx, const struct uuid *account, const struct uuid *gateway, const struct uuid *client, bool is_new);
};

struct hub_config {
	struct store *store;	       /* borrowed, as all below */
	const struct secrets *secrets;
	struct rng *rng;
	const struct zones *zones;     /* NULL: time conditions never hold */
	const char *api_url;	       /* told to 1.6 peers as the place of flow logs; NULL = "" */
	/* A peer has output, or is gone: call peer_output() soon, from a fresh stack. */
	void (*wants_service)(void *ctx, void *conn);
	void *ctx;
	u32 rate_capacity, rate_refill; /* 0 = 1: spec 10 §4.2 */
	/* For pages that are open; NULL: nobody wants to know. Called in the middle of things: they must not call the hub back. */
	const struct hub_news *news;
	void *news_ctx;
	/* What many are to be told is told in slices: by this clock (monotonic, ns); NULL: at once. */
	u64 (*clock)(void);
	/* hub_next_timeout() is nearer now, for something that was neither input nor timeout; NULL: the owner asks often enough. */
	void (*wants_time)(void *ctx);
};

/* Reads the directory from the store. */
int hub_new(struct hub **out, const struct hub_config *cfg, u64 now, u64 wall) MUST_CHECK;
/* All peers must be freed before. */
void hub_free(struct hub *h);

struct directory *hub_directory(struct hub *h);

/* Somebody else wants to know, or nobody (NULL). */
void hub_set_news(struct hub *h, const struct hub_news *news, void *ctx);

/* ---- connecting ---- */

struct hub_request {
	const struct phx_upgrade *upgrade;
	struct ip remote_ip;   /* the real one, behind trusted proxies */
	char region[3];	       /* "" = unknown */
	char city[CITY_MAX];   /* the same */
	struct place place;
};

/* What to answer instead of 101 (phx_problem()). */
struct hub_refusal {
	u16 status;
	const char *code;
	char detail[512];
	u32 retry_after;
};

/* Rate limit, token, limits, parameters, row of the device: 0 and the peer, which borrows `conn` for wants_service(); ERR_DENIED and the
 * refusal. */
int hub_admit(struct hub *h, u64 now, u64 wall, const struct hub_request *rq, void *conn, struct peer **out, struct hub_refusal *refusal)
	MUST_CHECK;

void peer_input(struct peer *p, u64 now, u64 wall, struct span bytes);
void peer_eof(struct peer *p, u64 now, u64 wall);
/* Bytes to write. When it is empty and peer_is_gone(), close the connection. */
struct span peer_output(struct peer *p, u64 now, u64 wall);
void peer_output_done(struct peer *p, size_t n);
bool peer_is_gone(const struct peer *p);
void peer_free(struct peer *p);

/* ---- time and change ---- */

u64 hub_next_timeout(const struct hub *h);
void hub_timeout(struct hub *h, u64 now, u64 wall);

/* What was committed since the last call holds from now on: it is in the directory, whatever is judged is judged by it, and peers are told in
 * the order of commits, the first of them now, the others by hub_timeout(), which is due until all are told (tell.c). */
int hub_publish(struct hub *h, u64 now, u64 wall);

/* Shutdown: what still waits to be said, then Close(1012), to at most `max` more, and how many are still to be told. Sessions are stored, relays
 * that leave are not announced. */
u32 hub_restart(struct hub *h, u64 now, u64 wall, u32 max);

/* ---- presence ---- */

bool hub_is_online(const struct hub *h, enum kind k, const struct uuid *account, const struct uuid *id);

/* Each joined peer of a role; for relays `account` is ignored, otherwise NULL means all. */
struct hub_presence {
	struct uuid account_id, id, owner_id, token_id;
	struct ip remote_ip;
	const char *version; /* "" = unknown */
	struct endpoint v4, v6; /* of a relay; family 0 = none */
};
int hub_each(const struct hub *h, enum msg_role role, const struct uuid *account, int (*each)(void *ctx, const struct hub_presence *p),
	     void *ctx);

/* How many there are: of relays `account` is ignored. */
u32 hub_count(const struct hub *h, enum msg_role role, const struct uuid *account);

struct hub_stats {
	u64 connects, refused_token, refused_rate, refused_other;
	u64 flows_created, flows_not_found, flows_forbidden, flows_offline, flows_version, flows_timed_out;
	u64 evicted, limits_reached, store_errors;
	u32 clients, gateways, relays;
};
void hub_stats(const struct hub *h, struct hub_stats *out);
/* Of one client or gateway; false when it is not connected. Texts are lent until the next call of the hub. */
bool hub_presence_of(const struct hub *h, enum kind k, const struct uuid *account, const struct uuid *id, struct hub_presence *out) MUST_CHECK;

/* ---- paths: what gateways of ours report; those of Firezone never do (spec 10 §15) ---- */

struct hub_path {
	struct uuid gateway_id, client_id;
	const char *gateway_name; /* lent until the next call of the hub */
	bool is_relayed, has_rtt;
	u32 rtt_ms;
};
/* Between the two; false when they are not connected, or nobody said so. */
bool hub_path(const struct hub *h, const struct uuid *account, const struct uuid *gateway, const struct uuid *client, struct hub_path *out)
	MUST_CHECK;
int hub_paths_of_client(const struct hub *h, const struct uuid *account, const struct uuid *client,
			int (*each)(void *ctx, const struct hub_path *path), void *ctx);
int hub_paths_of_gateway(const struct hub *h, const struct uuid *account, const struct uuid *gateway,
			 int (*each)(void *ctx, const struct hub_path *path), void *ctx);
/* Whether it ever reported since it joined. */
bool hub_reports(const struct hub *h, const struct uuid *account, const struct uuid *gateway);

/* Names of the hourly sums in the store (store_stats()); behind these, LATENCY_BUCKETS counts of round trips (model/latency.h). */
enum { TRAFFIC_BYTES_IN, TRAFFIC_BYTES_OUT, TRAFFIC_SECONDS_DIRECT, TRAFFIC_SECONDS_RELAYED, TRAFFIC_BUCKETS };
#define TRAFFIC_NAME_MAX 16u
const char *traffic_name(u32 i, char text[static TRAFFIC_NAME_MAX]);
