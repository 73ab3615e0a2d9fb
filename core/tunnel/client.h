/* core/tunnel/client.h: what a client does with packets and portal messages (spec 30 §1–§6, §12–§14).
 *
 * It owns a node (core/peer), the resources the portal granted, the gateways it met and the flows that are being asked for.
 *
 * A resource's flow (spec 30 §5, spec 70 §2):
 *
 *            permitted packet, or ICMP "prohibited" about one         flow_created, a relay is there
 *   [none] ───────────────────────────────────────────────▶ [pending] ───────────────────────────▶ [authorized]
 *     ▲                                                      │  ▲  create_flow: at once, then every    │
 *     │   offline; resource removed                          │  │  2 s while packets are younger than  │
 *     ├──────────────────────────────────────────────────────┘  │  FLOW_RETRY_SPAN, else with traffic  │
 *     │                                                         │                                      │
 *     └──── gateway lost (failed, closed, goodbye, reset); resource removed ───────────────────────────┘
 *
 * Other clients are peers, too, when the portal allows it: see client_devices.c.
 * A flow_created that finds relays known but not yet heard of is held for their first round trip, with the candidates that follow it.
 *
 * Call order in a turn of the loop: inputs, client_flush() after TUN input, client_poll_tun() until dry, client_poll_transmit() until dry,
 * client_poll_event() until dry, client_next_timeout(). Packet doors never allocate but for the buffer of a new pending flow.
 * `now` monotonic ns, `wall` Unix ns. client_poll_exchange() until dry comes after events.
 *
 * Names (core/tunnel/client_dns.h): the system asks the sentinels of the TUN configuration. Names of DNS resources get proxy addresses, which
 * lead to the resource; all others are forwarded to the portal's or the system's resolvers. Exchanges with servers outside the tunnel are the
 * applet's to carry out.
 */
#pragma once

#include "core/peer/node.h"
#include "core/phoenix/messages.h"
#include "core/tunnel/pending.h" /* PENDING_PACKETS: buffered per pending flow */
#include "core/tunnel/client_dns_config.h"
#include "core/tunnel/stats.h"

#define CLIENT_RESOURCES_MAX 16384u
#define CLIENT_GATEWAYS_MAX 4096u    /* ever met in this process */
#define CLIENT_PENDING_MAX 256u      /* flows asked for at a time */
#define CLIENT_REPLIES_MAX 256u      /* packets of our own that wait for the TUN: ICMP replies, DNS answers */
#define FLOW_RETRY_INTERVAL SEC(2)   /* spec 30 §5: at most one create_flow per resource in this time */
#define FLOW_RETRY_SPAN SEC(30)      /* how long after its last packet a pending flow asks by itself */
#define SITE_OFFLINE_SPAN MINUTES(5) /* spec 30 §3.4 */

struct client;

struct client_config {
	struct rng *rng;         /* borrowed */
	bool internet_is_active; /* the user's wish; effective while the portal grants the Internet Resource */
};

struct client *client_new(const struct client_config *cfg, u64 now); /* NULL: out of memory */
void client_free(struct client *c);
/* For the portal's URL; another one after client_reset(). */
void client_public_key(const struct client *c, u8 out[static 32]);

/* --- portal --------------------------------------------------------------------------------------------------------------------- */

/* Any message for a client; `m` is only borrowed. ERR_UNSUPPORTED: not a message for clients. Everything else that is wrong with one is
 * logged and costs only itself. */
int client_message(struct client *c, u64 now, u64 wall, const struct portal_message *m);
/* The connection to the portal is gone: outgoing messages wait for the next init (spec 30 "what changed", roaming). */
void client_portal_lost(struct client *c);

/* --- packets -------------------------------------------------------------------------------------------------------------------- */

/* What TUN reads brought. Packets for connected gateways are staged: call client_flush() after at most ~120 KiB. */
void client_tun_input(struct client *c, u64 now, u64 wall, struct tun_pkt *pkts, size_t n);
void client_udp_input(struct client *c, u64 now, u64 wall, struct udp_rx *rx, size_t n);
void client_flush(struct client *c, u64 now);
/* The next packet for the TUN; its memory is valid until the next client_udp_input(), or the next poll. */
bool client_poll_tun(struct client *c, struct tun_pkt *out);
bool client_poll_transmit(struct client *c, struct udp_tx *out);

/* --- DNS outside the tunnel ---------------------------------------------------------------------------------------------------------- */

/* What shall be asked of whom, as forwarder_poll_exchange() (core/dns/forward.h); its memory is valid until the next call of any door. */
bool client_poll_exchange(struct client *c, struct dns_exchange *out);
/* As forwarder_response() and forwarder_failed(). Answers wait in client_poll_tun(). */
void client_exchange_response(struct client *c, u64 now, u32 id, const struct endpoint *from, struct span message);
void client_exchange_failed(struct client *c, u64 now, u32 id, int error);
/* For an owner that drives the forwarder itself (applets/common/dns_sockets.h) instead of the three above: the forwarder of all servers outside,
 * whether it was called since the last time this was asked, and one of its answers. */
struct forwarder *client_forwarder(struct client *c);
bool client_forwarder_was_called(struct client *c);
void client_forwarder_answer(struct client *c, u64 now, const struct dns_answer *a);

/* --- time ----------------------------------------------------------------------------------------------------------------------- */

void client_timeout(struct client *c, u64 now, u64 wall);
u64 client_next_timeout(const struct client *c);

/* --- events --------------------------------------------------------------------------------------------------------------------- */

enum site_status { SITE_UNKNOWN, SITE_ONLINE, SITE_OFFLINE };

/* Strings are borrowed until the next call of any door. */
struct client_resource {
	struct uuid id;
	enum msg_resource_type type;
	const char *name, *address, *address_description; /* description may be NULL */
	const struct msg_site *sites;
	size_t n_sites;
	enum site_status status;
	bool is_active; /* false only for an Internet Resource that the user did not activate */
};

struct client_tun_config {
	struct ip ipv4, ipv6;
	const struct cidr *routes; /* sorted */
	size_t n_routes;
	const struct dns_upstream *dns; /* sentinels in order, and the server behind each; none: leave the system's DNS alone */
	size_t n_dns;
	const char *search_domain; /* or NULL */
};

enum client_event_type {
	CLIENT_TUN_CONFIG,          /* tun */
	CLIENT_RESOURCES_CHANGED,   /* ask client_resources() */
	CLIENT_SEND,                /* message: for the portal; borrowed until the next poll */
	CLIENT_GATEWAY_CONNECTED,   /* peer */
	CLIENT_GATEWAY_PATH,        /* peer, path, local, remote */
	CLIENT_GATEWAY_LOST,        /* peer */
	CLIENT_SITE_OFFLINE,        /* resource: no gateway of its site is online */
	CLIENT_VERSION_MISMATCH,    /* resource: its gateways are too old or too new */
};

struct client_event {
	enum client_event_type type;
	const struct client_tun_config *tun;
	const struct portal_message *message;
	struct uuid peer;
	enum node_path path;
	struct endpoint local, remote;
	struct uuid resource;
};

/* In the order TUN config, resource list, create_flow, all else; the first two only on net change (spec 30 §3.4). */
bool client_poll_event(struct client *c, struct client_event *out);

/* --- the user's and the system's wishes -------------------------------------------------------------------------------------------- */

/* Idempotent; survives the portal's delete and re-create of the resource (spec 30 §3.2). */
void client_set_internet(struct client *c, u64 now, bool is_active);
/* The resolvers of this system, as it would ask them without us (spec 30 §10.1, §17): at start and whenever they change. */
void client_set_system_resolvers(struct client *c, u64 now, const struct ip *list, size_t n);
/* Roaming (spec 30 §13): connections, relays and key pair are dropped; resources, pending flows and preferences stay. The caller rebinds
 * its sockets and reconnects to the portal with the new public key. */
void client_reset(struct client *c, u64 now);
/* Goodbye to every connected peer; poll transmits afterwards, then free. */
void client_shutdown(struct client *c, u64 now);

/* --- looking in ------------------------------------------------------------------------------------------------------------------ */

/* The list as a user sees it: Internet Resource first, then by name and id, device pools never. Returns how many there are; fills at most
 * `max`. */
size_t client_resources(const struct client *c, struct client_resource *out, size_t max);

struct client_gateway {
	struct uuid id, site;
	struct ip ipv4, ipv6;
	u32 n_resources; /* authorized on it */
	bool is_connected;
	struct node_conn_info conn;
};
/* The gateways with a connection, likewise. */
size_t client_gateways(const struct client *c, struct client_gateway *out, size_t max);

struct client_status {
	bool has_interface, portal_is_up, internet_is_active;
	size_t n_resources, n_gateways, n_pending;
	size_t n_devices; /* other clients connected (spec 30 §6.4) */
};
void client_status(const struct client *c, struct client_status *out);
const struct tunnel_stats *client_stats(const struct client *c);
const struct node_stats *client_node_stats(const struct client *c);

struct client_dns_stats {
	u64 queries, malformed;                     /* at the sentinels */
	u64 cached, local, site, forwarded;         /* what became of them */
	u64 servfail, truncated;                    /* answers made so here */
};
const struct client_dns_stats *client_dns_stats(const struct client *c);
/* The present servers, borrowed until the next call of any door; how many. */
size_t client_dns_servers(const struct client *c, const struct dns_upstream **out);
