/* core/tunnel/gateway.h: what a gateway does with packets and portal messages (spec 40 §3–§10, §12, §14).
 *
 * It owns a node (core/peer) and, per client, the resources that client may use until when.
 *
 * An authorize_flow:
 *
 *   arrives ──▶ [held] ── init was seen and a relay answered (or the connection exists) ──▶ granted, flow_authorized, candidates
 *                 │
 *                 ├── every known relay failed, or there is none: no_relays, still held for what the portal sends next
 *                 └── HOLD_SPAN over, or rejected: dropped without an answer
 *
 * A DNS resource (spec 40 §9): the client assigns proxy addresses to a name, the owner resolves it, the client is told and may send:
 *
 *   assigned IPs ──▶ [waiting] ── GATEWAY_RESOLVE, then gateway_resolved() ──▶ mapping installed, status Active
 *        │               └── RESOLVE_SPAN over, access gone, name not the resource's: status Inactive
 *        └── not authorized, or an address outside the proxy ranges: status Inactive at once; too many waiting: silence
 *
 * A client's peer state outlives its connection (spec 40 §4.1); it goes with the last resource, a goodbye, or other tunnel addresses.
 *
 * Call order and units as in client.h. No session state is kept per packet; a flow cache makes a run of equal packets cost one look-up.
 */
#pragma once

#include "core/peer/node.h"
#include "core/phoenix/messages.h"
#include "core/tunnel/stats.h"

#define GATEWAY_PEERS_MAX 16384u
#define GATEWAY_RESOURCES_MAX 4096u /* of one client */
#define GATEWAY_HELD_MAX 1024u      /* authorizations waiting for a relay */
#define HOLD_SPAN SEC(10)           /* the portal gives up after 15 s (spec 10 §7.3) */
#define GATEWAY_TICK SEC(1)         /* spec 40 §4.5 */
#define GATEWAY_RESOLUTIONS_MAX 1000u      /* waiting; more are dropped without a status (spec 40 §9.3) */
#define GATEWAY_CLIENT_RESOLUTIONS_MAX 250u /* of them of one client */
#define RESOLVE_SPAN SEC(10)               /* spec 40 §9.3 */
#define GATEWAY_PROXIES_MAX 16384u         /* proxy addresses of one client; the name assigned longest ago gives way */
#define PROXY_RESOURCES_MAX 64u            /* resources that share a proxy address */

struct gateway;

struct gateway_config {
	struct rng *rng; /* borrowed */
	bool has_flow_logs;       /* one log line per finished flow (spec 40 §13): gateway_flowlog.h */
	bool validates_checksums; /* a warning per packet of the TUN with a wrong one; it is forwarded all the same (spec 40 §1.1) */
};

struct gateway *gateway_new(const struct gateway_config *cfg, u64 now); /* NULL: out of memory */
void gateway_free(struct gateway *g);
void gateway_public_key(const struct gateway *g, u8 out[static 32]);

/* Any message for a gateway; `m` is only borrowed. ERR_UNSUPPORTED: not a message for gateways. */
int gateway_message(struct gateway *g, u64 now, u64 wall, const struct portal_message *m);
/* The connection to the portal is gone: outgoing messages wait for the next init. Data goes on, expiries apply. */
void gateway_portal_lost(struct gateway *g);

void gateway_tun_input(struct gateway *g, u64 now, u64 wall, struct tun_pkt *pkts, size_t n);
void gateway_udp_input(struct gateway *g, u64 now, u64 wall, struct udp_rx *rx, size_t n);
void gateway_flush(struct gateway *g, u64 now);
/* The next packet for the TUN; its memory is valid until the next gateway_udp_input(). */
bool gateway_poll_tun(struct gateway *g, struct tun_pkt *out);
bool gateway_poll_transmit(struct gateway *g, struct udp_tx *out);

void gateway_timeout(struct gateway *g, u64 now, u64 wall);
u64 gateway_next_timeout(const struct gateway *g);

struct gateway_tun_config {
	struct ip ipv4, ipv6;
	struct cidr routes[2]; /* both tunnel ranges */
};

enum gateway_event_type {
	GATEWAY_TUN_CONFIG,       /* tun: on every init, also unchanged; must be idempotent */
	GATEWAY_SEND,             /* message: for the portal; borrowed until the next poll */
	GATEWAY_CLIENT_CONNECTED, /* peer */
	GATEWAY_CLIENT_PATH,      /* peer, path, local, remote */
	GATEWAY_CLIENT_LOST,      /* peer: the connection; authorizations may remain */
	GATEWAY_RESOLVE,          /* token, domain: to be answered by gateway_resolved() */
};

struct gateway_event {
	enum gateway_event_type type;
	const struct gateway_tun_config *tun;
	const struct portal_message *message;
	struct uuid peer;
	enum node_path path;
	struct endpoint local, remote;
	u64 token;
	const char *domain; /* without final dot, to be taken as relative (spec 40 §9.3); borrowed until the next poll */
};

/* flow_authorized always leaves before candidates of its connection (spec 40 §3.3). */
bool gateway_poll_event(struct gateway *g, struct gateway_event *out);

/* What the domain of a GATEWAY_RESOLVE means here, both families in any order; none is an answer too. ERR_AGAIN:
 * nobody could tell at present; what the name meant before stays, if it is the first time there is nothing. Any other `error`: the client is told
 * to ask again. Tokens nobody waits for any more are ignored. */
void gateway_resolved(struct gateway *g, u64 now, u64 wall, u64 token, const struct ip *ips, size_t n, int error);

/* Forgets all clients and says goodbye to the connected ones; poll transmits afterwards, then free (spec 40 §14.3). */
void gateway_shutdown(struct gateway *g, u64 now);

struct gateway_client {
	struct uuid id;
	struct ip ipv4, ipv6;
	u32 n_resources;
	u32 n_proxies, n_sessions; /* of DNS resources */
	bool is_connected;
	struct node_conn_info conn;
};
/* Returns how many clients there are; fills at most `max`. */
size_t gateway_clients(const struct gateway *g, struct gateway_client *out, size_t max);

struct gateway_status {
	bool has_interface, portal_is_up;
	size_t n_clients, n_held;
	size_t n_resolutions; /* waiting for gateway_resolved() */
};
void gateway_status(const struct gateway *g, struct gateway_status *out);
const struct tunnel_stats *gateway_stats(const struct gateway *g);
const struct node_stats *gateway_node_stats(const struct gateway *g);
