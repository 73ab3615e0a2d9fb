/* applets/portal/channels/internal.h: what the files of this room share. */
#pragma once

#include "applets/portal/channels/hub.h"
#include "core/base/heap.h"
#include "core/base/lru.h"

/* What a client was told of a resource: enough to see that it must be told again. */
struct told {
	struct uuid id;
	u64 stamp, site_stamp; /* revisions of the resource and of its site */
};

struct pending_flow {
	struct uuid resource_id, gateway_id, authorization_id, policy_id;
	u64 seq, deadline;
	i64 expires_at; /* seconds */
};

struct client_state {
	struct subject subject;
	struct told *told;
	u32 n_told;
	struct pending_flow *pending;
	u32 n_pending, cap_pending;
	u64 flow_seq;
	u64 expires_due; /* monotonic */
};

/* One row of policy_authorizations, as its gateway's channel remembers it (spec 60 §4.11). */
struct held {
	struct uuid client_id, resource_id, id;
	i64 expires_at; /* seconds */
};

struct gateway_state {
	struct index held;  /* by (client, resource, id) */
	struct index paths; /* what it reported, by client: reports.c */
	bool has_reported;
};

struct relay_state {
	char stamp_secret[PHX_PARAM_STRLEN];
	struct endpoint v4, v6;
};

/* What a change means to peers that are connected: an item of the queue of tell.c. */
enum tell_what {
	TELL_CONFIG,	 /* clients: the account's resolvers */
	TELL_TOGGLED,	 /* clients: the resource `id` is deleted and created anew */
	TELL_POOL,	 /* clients that are reached through the pool `id`: its filters */
	TELL_ACTOR,	 /* clients of the actor `id`: their lists */
	TELL_INIT,	 /* gateways: their init anew */
	TELL_REJECTED,	 /* gateways: nobody may use the resource `id` any more */
	TELL_FILTERS,	 /* gateways: those of the resource `id` */
	TELL_REVOKED,	 /* the gateway of the authorization `id`, which is gone */
	TELL_EVERYTHING, /* all of it anew */
};

struct tell {
	u64 seq;
	enum tell_what what;
	struct uuid id;
	struct uuid gateway_id, client_id, resource_id; /* of an authorization */
};

#define TELL_ITEMS_MAX 16384u /* of one account */
#define TELL_ACTORS_MAX 64u   /* more are everybody */
#define TELL_TOGGLED_MAX 256u /* more are all */
#define TELL_LOOK_BACK 64u
#define TOGGLED_ALL UINT32_MAX

struct peer {
	struct uuid account_id, id; /* first: key of the registry; relays have account 0 */
	struct hub *hub;
	struct phx_socket *socket;
	void *conn;
	enum msg_role role;
	enum msg_version version;
	bool is_registered; /* joined, and the one of its id */
	bool is_gone;
	bool is_restarting; /* the portal goes down, and it was told */
	struct heap_node due;
	struct uuid owner_id, token_id;
	void *row; /* struct client, struct gateway; NULL for a relay */
	char public_key[PUBLIC_KEY_LEN + 1];
	u8 key[MSG_KEY];
	struct ip remote_ip;
	struct place place;
	struct version peer_version;
	char *user_agent;
	u64 next_minute; /* recompute, prune */
	u64 told_seq;	 /* of changes, up to here (tell.c) */
	struct peer *next_ending, **ending_link; /* NULL: it is not to end */
	const char *ending_reason;
	struct uuid relays[RELAYS_OF_PEER];
	u32 n_relays;
	union {
		struct client_state client;
		struct gateway_state gateway;
		struct relay_state relay;
	};
};

static inline struct device *peer_device(const struct peer *p)
{
	return p->row;
}

struct device_address {
	u32 ipv4, ipv6; /* as in struct device */
};

/* A client was allowed to reach another through a pool; kept until it no longer holds. */
struct device_access {
	struct uuid account_id, from, to, pool;
	struct device_address at; /* of `to` */
	struct device_address from_at;
	i64 expires_at; /* seconds; judged anew while `from` is connected */
};

#define POOL_STAMPS 64u		/* of the pools whose members were looked through last */
#define DEVICE_ADDRESSES 1024u	/* of members of pools that are not connected */

/* Changes with the members of a pool. */
struct pool_stamp {
	struct uuid pool;
	u64 revision; /* of the directory when it was made */
	u64 stamp;
};

/* Everybody hears that relays came or went. */
struct relay_walk {
	bool is_under_way, is_begun;
	enum msg_role role;
	struct uuid account, last;
};

struct telling;

struct hub {
	struct hub_config cfg;
	struct directory dir;
	u64 now, wall;
	u64 purged_at, purged_wall; /* when, by both clocks */
	u64 clock_now, clock_wall;  /* of the last hub_at() */
	struct heap due;
	struct index joined[3]; /* by role: (account, id) */
	struct index all;	/* every peer, by address */
	struct index by_token;	/* every peer, by (account, token, address) */
	u64 tell_seq;		/* number of the newest change that somebody is to be told of */
	u64 publish_seq;	/* of the newest before this publish */
	struct index tellings;	/* by account */
	struct telling *first_telling, *last_telling;
	struct peer *ending, **ending_end; /* who is to be disconnected */
	struct relay_walk relay_walk;
	struct lru rate;
	u64 relay_change_due, session_flush_due, purge_due, traffic_due;
	struct traffic *traffic; /* not stored yet: reports.c */
	u32 n_traffic, cap_traffic;
	struct store_session *sessions;
	u32 n_sessions;
	u8 flow_key[32]; /* signs refs; lives as long as the pending flows */
	struct device_access *accesses;
	u32 n_accesses, cap_accesses;
	struct pool_stamp pool_stamps[POOL_STAMPS];
	struct lru addresses; /* (account, client) to struct device_address */
	struct hub_stats stats;
};

static inline i64 hub_secs(const struct hub *h)
{
	return (i64)(h->wall / NSEC_PER_SEC);
}

/* ---- hub.c ---- */
/* What time it is. When the wall clock was set, by more than it is corrected by the way, clients whose token expired thereby are gone at once. */
void hub_at(struct hub *h, u64 now, u64 wall);
struct peer *hub_find(const struct hub *h, enum msg_role role, const struct uuid *account, const struct uuid *id);
/* Joined peers of a role in an account: *n of them. */
void *const *hub_peers(const struct hub *h, enum msg_role role, const struct uuid *account, u32 *n);
struct uuid hub_new_id(struct hub *h);
/* Tells open pages that a peer came or went. */
void hub_tell_presence(const struct peer *p, bool is_online);
/* Notes a failed write of the store. */
void hub_store_failed(struct hub *h, const char *what, int rc);

/* ---- tell.c: changes reach peers in slices ---- */
void tell_init(struct hub *h);
void tell_deinit(struct hub *h);
/* All clients' lists must be judged anew, or those of an actor's clients. */
int tell_lists(struct hub *h, const struct uuid *account);
int tell_lists_of(struct hub *h, const struct uuid *account, const struct uuid *actor);
int tell_item(struct hub *h, const struct uuid *account, const struct tell *item);
/* The peer is to be disconnected; the reason is a literal, or NULL: closed without a word. */
void tell_end(struct peer *p, const char *reason);
void tell_forget(struct peer *p);
/* Tells a peer everything that waits for it, or ends it: before it is answered anything. */
void tell_now(struct peer *p);
/* When the hub's clock will have gone on by `ns`; without a clock never. */
u64 tell_until(const struct hub *h, u64 ns);
/* Tells at least one, and others until then. */
void tell_slice(struct hub *h, u64 until);
bool tell_is_pending(const struct hub *h);

/* ---- peer.c ---- */
int peer_push(struct peer *p, const struct portal_message *m);
/* Takes it out of presence; the socket may live on. */
void peer_leave(struct peer *p);
void peer_end(struct peer *p, const char *disconnect_reason);
void peer_timeout(struct peer *p);
void peer_arm(struct peer *p);
void peer_wake(struct peer *p);

/* ---- client.c ---- */
void client_judge_expiry(struct peer *p); /* by the wall clock, for the monotonic one */
void client_peer_join(struct peer *p);
void client_peer_leave(struct peer *p);
void client_peer_free(struct peer *p);
void client_peer_message(struct peer *p, const struct portal_message *m);
u64 client_peer_next_timeout(const struct peer *p);
void client_peer_timeout(struct peer *p);
/* Tells the client what changed in its list. Resources named in `toggled` (ids of policies' resources) are deleted and created anew; n_toggled
 * TOGGLED_ALL: all. */
void client_peer_recompute(struct peer *p, const struct uuid *toggled, u32 n_toggled);
void client_peer_config_changed(struct peer *p);

/* ---- flow.c ---- */
/* Secrets of a connection, from both ends' keys; two clients have a PSK of another kind. */
struct handshake {
	u8 psk[MSG_KEY];
	struct phx_ice ice;
};
void flow_derive(const struct peer *initiator, const struct peer *receiver, struct handshake *out);
int flow_ingest_token(const struct peer *initiator, const struct peer *responder, const struct pending_flow *f, const char *role,
		      char out[static INGEST_TOKEN_MAX]) MUST_CHECK;
void flow_create(struct peer *client, const struct msg_create_flow *m);
void flow_timeout(struct peer *client);
/* What it was asked for and did not answer is asked of another one. After it is registered no more. */
void flow_gateway_left(struct peer *gateway);
/* The gateway's answer; false: the ref is not one of ours. */
bool flow_authorized(struct peer *gateway, const char *ref, const struct phx_ref *reply);

/* ---- device.c ---- */
void device_request(struct peer *from, const struct ip *ipv4);
/* Judges again what was allowed to a client; the access number i, when it is one of the account. */
void device_recheck(struct hub *h, const struct uuid *account, const struct uuid *from);
void device_recheck_one(struct hub *h, const struct uuid *account, u32 i);
/* Whether candidates may pass between two clients. */
bool device_may_signal(const struct peer *a, const struct uuid *b);
/* Does it know device pools? They are withheld from clients of the pin (spec 60 §4.2). */
bool device_knows_pools(const struct peer *p);
/* A request for a pool that was granted; what it may not is answered here too. */
void device_create(struct peer *from, const struct resource *pool, const struct grant *g, const struct msg_create_flow *m);
u64 device_pool_stamp(struct hub *h, const struct resource *pool);
/* Who may reach a client, for its init on v2: *n of them, the caller's to free; NULL without memory. */
struct msg_access *device_inbound(const struct peer *to, size_t *n);
/* Tells a client that is reached through a pool of its filters. */
void device_filters_changed(struct peer *to, const struct uuid *pool);

/* ---- gateway.c ---- */
void gateway_peer_join(struct peer *p);
void gateway_peer_free(struct peer *p);
void gateway_peer_message(struct peer *p, const struct portal_message *m, const struct phx_ref *ref);
void gateway_peer_timeout(struct peer *p);
void gateway_peer_init(struct peer *p);
int gateway_peer_hold(struct peer *p, const struct uuid *client, const struct uuid *resource, const struct uuid *id, i64 expires_at);
/* Whether an authorization of the client's is held, whatever for. */
bool gateway_peer_holds(const struct peer *p, const struct uuid *client);
/* Authorizations as they are stored, and init. */
void gateway_peer_reload(struct peer *p);
void gateway_peer_authorization_deleted(struct peer *p, const struct tell *revoked);
void gateway_peer_resource_updated(struct peer *p, const struct resource *r);
void gateway_peer_reject_resource(struct peer *p, const struct uuid *resource);

/* ---- reports.c ---- */
void reports_join(struct peer *gateway);
void reports_take(struct peer *gateway, const struct msg_connections_report *m);
void reports_leave(struct peer *gateway);
void reports_free(struct peer *gateway);
/* What nobody spoke of for REPORT_PATIENCE. */
void reports_prune(struct peer *gateway);
/* Stores the sums of at most so many accounts; the rest soon. */
void traffic_flush(struct hub *h, u32 max);

/* ---- relays.c ---- */
void relay_join(struct peer *p, const char *stamp_secret);
void relay_leave(struct peer *p);
struct relay_list {
	struct msg_relay relay[RELAYS_OF_PEER];
	char username[RELAYS_OF_PEER][PHX_TURN_USERNAME_STRLEN];
	char password[RELAYS_OF_PEER][PHX_TURN_PASSWORD_STRLEN];
	u32 n;
};
/* Chooses relays for a peer, remembers them as sent. */
void relays_select(struct peer *p, struct relay_list *out);
void relays_reselect(struct peer *p); /* no_relays */
void relays_tell(struct peer *p);     /* what changed of them */

/* ---- render.c: entities as messages ---- */
struct rendered {
	struct msg_resource resource;
	struct msg_site site;
	struct msg_filter filters[FILTERS_MAX];
	struct msg_device *devices; /* of a pool, until rendered_free() */
};
/* ERR_MALFORMED when the stored address does not parse (it was checked when stored); ERR_NOMEM. */
int render_resource(struct hub *h, const struct resource *r, struct rendered *out) MUST_CHECK;
void rendered_free(struct rendered *r);
/* Where the device of a client is; false: there is none. */
bool device_address(struct hub *h, const struct uuid *account, const struct uuid *client, struct device_address *out);
struct rendered_interface {
	struct ip dns[16];
	const char *doh[1];
	char text[1024];
};
void render_interface(const struct directory *d, const struct peer *p, struct msg_interface *out, struct rendered_interface *mem);
struct msg_flow_logs render_flow_logs(const struct hub *h, const struct peer *p);
