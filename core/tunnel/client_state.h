/* core/tunnel/client_state.h: the tables of a client, shared by the files client*.c only.
 *
 *	client.c            doors, messages, time, events
 *	client_resources.c  resources, sites, what the user sees, TUN configuration
 *	client_flows.c      gateways and the flow state machine
 *	client_packets.c    the packet path
 *	client_devices.c    other clients as peers
 *	client_dns.c        the resolver at the sentinels
 *	client_dns_inside.c queries through the tunnel
 *	client_dns_tcp.c    both over TCP
 *	client_dns_nat.c    what gateways know of names
 */
#pragma once

#include "core/base/log.h"
#include "core/base/table.h"
#include "core/ip/coalesce.h"
#include "core/ip/icmp.h"
#include "core/ip/segment.h"
#include "core/tunnel/client.h"
#include "core/tunnel/client_dns.h"
#include "core/tunnel/client_dns_nat.h"
#include "core/tunnel/convert.h"
#include "core/tunnel/flow.h"
#include "core/tunnel/news.h"
#include "core/tunnel/outbox.h"
#include "core/tunnel/routes.h"
#include "core/tunnel/tun_queue.h"

#define CLIENT_EVENTS_MAX 64u /* waiting for poll; more are lost: they are news, not state */
#define HELD_CANDIDATES 64u   /* of one peer while its flow is held */
#define REFUSALS_DOUBLED 5u   /* FLOW_RETRY_INTERVAL grows so often: 64 s */
#define REFUSALS_FORGOTTEN MINUTES(5)
#define HELD_SPAN SEC(8)      /* the gateway gives up after 10 s without candidates (spec 20 §9.2) */

struct site {
	struct uuid id;
	enum site_status status;
	u64 since; /* of SITE_OFFLINE */
	struct site *next;
};

/* A gateway ever met. Lives as long as the client; the connection's `user`. */
struct gateway_peer {
	struct uuid id, site;
	struct ip ipv4, ipv6;
	u8 public_key[32];
	bool is_peer; /* has a connection and, below, what it may send */
	struct routes allowed;
	u32 n_resources; /* authorized on it */
	struct ip checked_source; /* the last source found allowed; family 0 none */
	struct gateway_peer *next;
};

/* What came for a connection that is not there yet. */
struct held_candidates {
	size_t n;
	char text[HELD_CANDIDATES][CANDIDATE_STRLEN];
};

/* flow_created, waiting for a relay's first answer. */
struct held_flow {
	u64 until;
	struct uuid gateway, site;
	struct ip ipv4, ipv6;
	struct node_peer peer;
	struct held_candidates candidates;
};

struct flow {
	struct resource *resource;
	u64 asked_at;      /* last create_flow */
	u64 last_packet;
	bool has_asked;
	bool wants_intent; /* create_flow to be polled */
	struct pending_packets *packets; /* NULL until one came */
	struct held_flow *held;
	struct flow *next;
};

struct resource {
	struct uuid id;
	enum msg_resource_type type;
	char *name, *address, *description;
	struct cidr net;
	enum msg_ip_stack ip_stack;
	struct filter filter;
	struct msg_site *sites;
	size_t n_sites;
	struct gateway_peer *gateway; /* authorized on it, or NULL */
	struct uuid preferred;        /* the last one, kept over a loss */
	bool has_preferred;
	struct flow *flow; /* pending, or NULL */
	u64 refused_at;    /* the last ICMP "prohibited" that was acted upon; 0 never */
	u32 refusals;      /* of them in a row */
	struct resource *next;
};

struct client {
	struct rng *rng;
	struct node *node;
	u64 now;
	u64 wall, wall_at; /* what the clock on the wall said, and when it was told */
	bool portal_is_up;
	bool wants_internet;

	struct ip ipv4, ipv6; /* family 0 before init */
	char *search_domain;

	struct table resources_by_id, sites_by_id, gateways_by_id;
	struct table peers_by_ip; /* tunnel address → connected gateway */
	struct resource *resources, *internet;
	struct site *sites;
	struct gateway_peer *gateways;
	struct flow *flows;
	u32 n_flows, n_held;
	struct devices *devices;
	struct routes cidrs;
	struct stub *stub;
	struct dns_nat *dns_nat; /* all entries */
	u32 n_dns_nat;
	struct client_dns *dns;
	struct dns_inside *inside;
	struct names_tcp *tcp;
	u32 n_inside, n_inside_conns; /* queries and TCP connections through the tunnel */
	bool is_dns_busy; /* something may follow from what was done: names_pump() */

	struct outbox outbox;
	struct client_event events[CLIENT_EVENTS_MAX];
	struct news news; /* of events */
	bool is_tun_dirty, is_list_dirty;
	struct client_tun_config emitted_tun;
	struct cidr *emitted_routes;
	char *emitted_search_domain;
	u32 emitted_mapping;
	u8 *emitted_list;
	size_t emitted_list_len;
	struct portal_message polled;
	struct uuid *polled_ids;

	struct coalescer *coalescer;
	size_t tun_next; /* of the coalescer's output */
	struct tun_queue out; /* our own packets for it */
	struct tunnel_stats stats;
	struct flow_cache cache;
};

/* --- client_resources.c */
void resources_set(struct client *c, const struct msg_resource *list, size_t n);
void resource_add(struct client *c, const struct msg_resource *m);
void resource_remove(struct client *c, struct resource *r);
/* Steps 1 to 4 of a removal (spec 30 §3.2): the flow and the authorization go, gateways without use are closed. */
void resource_release(struct client *c, struct resource *r);
void resources_free(struct client *c);
void resource_set_sites(struct client *c, const struct resource *r, enum site_status status);
void site_set(struct client *c, const struct uuid *id, enum site_status status);
/* Offline sites return to Unknown. */
void sites_timeout(struct client *c);
u64 sites_next_timeout(const struct client *c);
bool tun_config_poll(struct client *c, struct client_event *out);
bool resource_list_poll(struct client *c, struct client_event *out);

/* --- client_flows.c */
/* Something wants this resource. `packet` (may be NULL) is one whole inner packet. The filters were asked before. */
void flow_trigger(struct client *c, struct resource *r, const u8 *packet, const struct packet *p);
/* The gateway refused a packet that our filters permit: asks anew, ever more rarely while it goes on. */
void flow_refused(struct client *c, struct resource *r);
void flow_drop(struct client *c, struct flow *f);
void flow_created(struct client *c, u64 wall, const struct msg_flow_created *m);
void flow_creation_failed(struct client *c, const struct msg_flow_creation_failed *m);
void flows_timeout(struct client *c, u64 wall);
u64 flows_next_timeout(const struct client *c);
/* After a reset: whatever was held or asked is void. */
void flow_ask_again(struct client *c, struct flow *f);
/* Held flows whose relays have answered meanwhile go on. */
void flows_resume(struct client *c, u64 wall);
/* Those beyond HELD_CANDIDATES and overlong ones are left out. */
void held_candidates_add(struct held_candidates *h, const struct msg_candidates *list);
void flow_held_candidates(struct client *c, const struct uuid *gateway, const struct msg_candidates *list);
bool flow_intent_poll(struct client *c, struct client_event *out);
/* Forgets what hangs on a gateway's connection, which is gone already or is about to go. */
void gateway_lost(struct client *c, struct gateway_peer *g);
void gateway_deauthorize(struct client *c, struct resource *r);
void gateways_close_unused(struct client *c);
void gateways_free(struct client *c);

/* --- client_packets.c */
/* A packet of our own, from our own tunnel address, as an application's would go (spec 30 §10.3). ERR_NO_ROUTE, ERR_DENIED (the resource's
 * filters), errors of node_send(). */
int client_send_own(struct client *c, const u8 *data, u32 len) MUST_CHECK;

/* --- client.c */
void client_event_push(struct client *c, const struct client_event *e);
void client_no_relays(struct client *c);

static inline void client_drop(struct client *c, enum tunnel_drop why, u64 n)
{
	c->stats.dropped[why] += n;
}

static inline bool inside_is_open(const struct client *c)
{
	return (c->n_inside | c->n_inside_conns) != 0;
}

/* For handshakes of packets that no door with `wall` brought. */
static inline u64 client_wall(const struct client *c)
{
	return time_add(c->wall, time_since(c->now, c->wall_at));
}

static inline void client_set_wall(struct client *c, u64 wall)
{
	c->wall = wall;
	c->wall_at = c->now;
}

static inline bool internet_is_active(const struct client *c)
{
	return c->wants_internet && c->internet;
}
