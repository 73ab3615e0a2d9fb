/* core/tunnel/gateway_state.h: the tables of a gateway, shared by the files gateway*.c only.
 *
 *	gateway.c          doors, messages, time, events
 *	gateway_access.c   clients, their resources, expiry, held authorizations
 *	gateway_packets.c  the packet path
 *	gateway_flowlog.c  a log line per finished flow, when asked for
 *	gateway_report.c   what the portal is told of connections, when it asked for it
 *	gateway_dns.c      assigned IPs, what waits for resolution, domain status
 *	gateway_proxies.c  which proxy address stands for which name and which real address
 */
#pragma once

#include "core/base/log.h"
#include "core/base/table.h"
#include "core/ip/coalesce.h"
#include "core/ip/icmp.h"
#include "core/ip/segment.h"
#include "core/dns/pattern.h"
#include "core/tunnel/control.h"
#include "core/tunnel/convert.h"
#include "core/tunnel/flow.h"
#include "core/tunnel/gateway.h"
#include "core/tunnel/gateway_flowlog.h"
#include "core/tunnel/gateway_report.h"
#include "core/tunnel/nat.h"
#include "core/tunnel/news.h"
#include "core/tunnel/outbox.h"
#include "core/tunnel/routes.h"

#define GATEWAY_EVENTS_MAX 256u /* waiting for poll; more are lost: they are news, not state */

/* A resource of one client. */
struct grant {
	struct uuid id;
	enum msg_resource_type type;
	struct cidr net;
	struct filter filter;
	u64 expires_at; /* Unix seconds or MSG_NEVER_EXPIRES */
	struct flow_about *about; /* NULL: flows are not logged */
	struct dns_pattern *pattern; /* of a DNS resource; NULL: of none, or one that matches nothing */
	struct grant *next;
};

/* A proxy address that a client assigned. */
struct proxy {
	struct ip ip;
	struct ip real; /* family 0: the name has no address of this family */
	struct site_name *name;
	struct proxy *next; /* of the same name */
	struct uuid *resources; /* through which it may be reached, authorized at present or not */
	u32 n_resources;
};

/* A name that a client assigned proxy addresses to. */
struct site_name {
	struct dns_name name; /* folded */
	char *text;
	struct proxy *proxies;
	struct site_name *newer, *older; /* by their last assignment */
};

/* What DNS resources cost a client that uses any. */
struct client_dns {
	struct nat nat;
	struct table proxies; /* struct ip → struct proxy */
	struct table names;   /* struct dns_name → struct site_name */
	struct site_name *newest, *oldest;
};

/* Assigned IPs that wait for what their name means. */
struct resolution {
	u64 token;
	u64 until;
	struct uuid client;
	struct control_assigned assigned;
	struct resolution *next;
};

/* One client. Outlives its connection. */
struct client_peer {
	struct uuid id;
	struct ip ipv4, ipv6;     /* the client's */
	struct ip own4, own6;     /* ours, as they were when it came */
	struct grant *grants;
	u32 n_grants;
	struct grant *internet;
	struct routes routes;
	struct client_dns *dns; /* NULL until the first proxy address */
	struct reported reported;
	struct client_peer *next, **link;
};

/* An authorize_flow on its way. */
struct authorization {
	struct uuid client;
	struct ip ipv4, ipv6;
	struct node_peer peer;
	struct grant *grant; /* owned until granted */
	char *ref;
	u64 until;
	struct authorization *next;
};

#define NO_RELAYS_INTERVAL SEC(1)

struct gateway {
	struct rng *rng;
	struct node *node;
	u64 now;
	bool portal_is_up;
	u64 no_relays_again; /* not before: the portal answers at once, perhaps with none */

	struct ip ipv4, ipv6; /* family 0 before init */
	struct table peers_by_id, peers_by_ip;
	struct client_peer *peers;
	struct authorization *held, **held_last;
	u32 n_held;
	struct resolution *resolutions, **resolutions_last, *unasked; /* oldest first; from `unasked` on nobody was asked yet */
	u32 n_resolutions;
	u64 next_token;
	u64 told_since; /* the second in which n_told lines about names were written */
	u32 n_told;
	char resolve_text[DNS_NAME_STRLEN]; /* lent out by the last poll */
	u64 next_tick; /* TIME_NEVER without peers */

	struct outbox outbox;
	struct reports reports;
	struct gateway_event events[GATEWAY_EVENTS_MAX];
	struct news news; /* of events */
	bool is_tun_dirty;
	struct gateway_tun_config tun;

	struct coalescer *coalescer;
	size_t tun_next;
	struct uuid last_id; /* of the client whose packets come in a run */
	struct client_peer *last_peer;
	struct tunnel_stats stats;
	struct flow_cache cache;
	struct flowlog *flowlog; /* NULL: flows are not logged */
	bool validates_checksums;
};

/* --- gateway_access.c */
void access_authorize(struct gateway *g, u64 wall, const struct msg_authorize_flow *m);
/* Asks the portal for relays, at most once in NO_RELAYS_INTERVAL. */
void access_no_relays(struct gateway *g);
/* Held authorizations for which a relay has answered, and those whose time is over. */
void access_resume(struct gateway *g, u64 wall);
void access_reject(struct gateway *g, const struct uuid *client, const struct uuid *resource);
void access_set_expiry(struct gateway *g, u64 wall, const struct msg_access *m);
void access_update_filters(struct gateway *g, const struct msg_resource *m);
/* Drops what init does not list (spec 40 §4.4). */
void access_prune(struct gateway *g, const struct msg_access *list, size_t n);
/* Expires grants, drops empty clients with a goodbye, sets the next tick. */
void access_tick(struct gateway *g, u64 wall);
/* Forgets a client; says goodbye when asked to. */
void peer_drop(struct gateway *g, struct client_peer *p, bool says_goodbye);
void access_free(struct gateway *g);
u64 access_next_timeout(const struct gateway *g);
struct grant *grant_find(const struct client_peer *p, const struct uuid *id);

/* --- gateway_dns.c */
void dns_assigned(struct gateway *g, u64 wall, struct client_peer *p, const u8 *data, const struct packet *packet);
/* The next resolution nobody was asked for. */
bool dns_poll(struct gateway *g, struct gateway_event *out);
void dns_timeout(struct gateway *g, u64 wall);
static inline u64 dns_next_timeout(const struct gateway *g)
{
	return g->resolutions ? g->resolutions->until : TIME_NEVER;
}
/* The level of a line that a client can cause as often as it likes: `level` for the first few of a second, then LOG_DEBUG. */
enum log_level dns_loudness(struct gateway *g, enum log_level level);
#define dns_tell(g, level, ...)                                       \
	do {                                                          \
		enum log_level loudness_ = dns_loudness((g), (level)); \
		log_at(loudness_, __VA_ARGS__);                       \
	} while (0)
/* What waits for a client that is gone; NULL: for any. */
void dns_forget(struct gateway *g, const struct uuid *client);

/* --- gateway_proxies.c */
/* Spec 40 §9.4. `is_unknown`: nobody could tell; what an address meant for this name stays. ERR_DENIED: the name is not the resource's, or
 * there is no such DNS resource. ERR_LIMIT, ERR_NOMEM. Renumbers as below. */
int proxies_install(struct gateway *g, struct client_peer *p, const struct control_assigned *m, const struct ip *real, size_t n_real,
		    bool is_unknown) MUST_CHECK;
/* Addresses that meant another name before make the client's table start anew. Also for an assignment that is refused, or still waits: until it
 * is installed its addresses lead nowhere rather than to the former name's hosts. */
void proxies_renumber(struct gateway *g, struct client_peer *p, const struct control_assigned *m);
/* Routes of a resource that was granted, or is about to end. ERR_NOMEM. */
int proxies_open(struct client_peer *p, struct grant *r) MUST_CHECK;
void proxies_close(struct client_peer *p, const struct grant *r);
struct proxy *proxy_find(const struct client_peer *p, const struct ip *ip);
void proxies_free(struct client_peer *p);

/* --- gateway.c */
void gateway_event_push(struct gateway *g, const struct gateway_event *e);

static inline void gateway_drop(struct gateway *g, enum tunnel_drop why, u64 n)
{
	g->stats.dropped[why] += n;
}
