/* core/peer/node.h: one process's end of all its peer connections (spec 20).
 *
 * A node owns one WireGuard key pair, the allocations on its relays and one connection per peer: ICE agent, WireGuard tunnel, nominated
 * socket, buffers. All connections share the process's UDP sockets, which belong to somebody else: datagrams come in through
 * node_input(), go out through node_poll_transmit(). Decrypted inner packets come out as a batch, plaintext goes in through a stage.
 *
 * Connection (spec 20 §9):
 *
 *   upsert        nomination                 20 s without inner traffic
 *  ───────▶ [connecting] ────────▶ [connected] ─────────────────────────▶ [idle]
 *               │                     ▲  │      traffic, upsert, candidates  │
 *               │                     └──┼───────────────────────────────────┘
 *               │ 10 s without candidate │ ICE disconnected 2 s, handshake expired
 *               └──────────┬─────────────┘
 *                          ▼
 *                      [failed] ──▶ NODE_CONN_FAILED, gone
 *
 * Call order in a turn of the loop: input or stage, node_flush(), poll transmits, poll events, ask node_next_timeout().
 * `now` monotonic ns, `wall` Unix ns (TAI64N stamps only). Control calls may allocate; input, stage, flush and transmit never do.
 */
#pragma once

#include "core/base/rng.h"
#include "core/base/time.h"
#include "core/ice/candidate.h" /* CANDIDATE_STRLEN */
#include "core/ice/message.h"   /* struct ice_credentials */
#include "core/ip/datagram.h"

#define NODE_CONNS_MAX 16384u        /* connections of one node */
#define NODE_RELAYS_MAX 16u          /* relays known at a time */
#define NODE_FORMER_RELAYS 64u       /* remembered IPs of relays that went away, spec 20 §2 */
#define NODE_STAGE_BYTES (512u * 1024u) /* plaintext and headers staged between two flushes */
#define NODE_RX_PACKETS_MAX 2048u    /* inner packets one node_input() may yield */
#define CONN_WG_BUFFER 128u          /* WireGuard packets kept while connecting, oldest dropped */
#define CONN_IP_BUFFER 128u          /* inner packets kept while connecting, oldest dropped */

struct node;

enum node_role { NODE_CLIENT, NODE_GATEWAY }; /* selects ICE timing; ICE role is per connection */

struct node_config {
	enum node_role role;
	struct rng *rng; /* borrowed */
};

/* A relay as the portal names it; an endpoint of family 0 is absent, at least one is there. */
struct node_relay {
	struct uuid id;
	struct endpoint v4, v6;
	char username[128];
	char password[128];
};

/* Everything that identifies a connection: any difference makes a new one (spec 20 §9.4). */
struct node_peer {
	u8 public_key[32];
	u8 preshared_key[32];
	struct ice_credentials local, remote;
	bool is_controlling;
	bool is_client_to_client; /* keeps the active ICE timing when idle (spec 20 §5.9); no part of the identity */
};

struct node *node_new(const struct node_config *cfg, u64 now);
void node_free(struct node *n);
void node_public_key(const struct node *n, u8 out[static 32]);

/* Relays: drop `remove`, then add or replace `add`; every other known relay is probed once (spec 20 §8.3). */
void node_update_relays(struct node *n, u64 now, const struct uuid *remove, size_t n_remove,
			const struct node_relay *add, size_t n_add);
/* True when a relay has answered, so that an upsert can succeed; `*is_undecided` says that none has answered yet but some may. */
bool node_has_relay(const struct node *n, bool *is_undecided);

/* Creates, reuses or replaces the connection to `id`; `user` comes back with every packet and event of it.
 * ERR_NO_RELAY: nothing changed. ERR_LIMIT, ERR_NOMEM: likewise. */
int node_upsert(struct node *n, u64 now, u64 wall, const struct uuid *id, const struct node_peer *peer, void *user) MUST_CHECK;
/* Sends a goodbye when a socket is nominated, then forgets the connection. No event follows. */
void node_close(struct node *n, u64 now, const struct uuid *id);
void node_close_all(struct node *n, u64 now);
/* Forgets without a word: the peer said goodbye. No event follows. */
void node_forget(struct node *n, const struct uuid *id);
/* Roaming (spec 20 §9.5): all allocations and connections are dropped (NODE_CONN_CLOSED each), a new key pair is drawn. */
void node_reset(struct node *n, u64 now);
bool node_knows(const struct node *n, const struct uuid *id);
bool node_is_connected(const struct node *n, const struct uuid *id); /* a socket is nominated */

/* Text of spec 20 §5.3. Unknown connections and unparsable texts are ignored (ERR_NOT_FOUND, ERR_MALFORMED say so). */
int node_add_candidate(struct node *n, u64 now, const struct uuid *id, struct span text);
int node_remove_candidate(struct node *n, u64 now, const struct uuid *id, struct span text);

/* --- packets in ---------------------------------------------------------------------------------------------------------- */

struct inner {
	u8 *data; /* inner IP packet, decrypted in place inside the udp_rx memory; >= 16 spent bytes lie before it */
	u32 len;  /* as decrypted: may carry padding behind the IP packet */
	u8 outer_ecn;
	const struct uuid *id;
	void *user;
};

/* Takes a batch of received runs; errors of single datagrams are counted, never returned. Afterwards node_inner() lists what was
 * decrypted, in order of arrival, valid until the next node_input() and only as long as the rx memory. Batches that hold more than
 * NODE_RX_PACKETS_MAX data packets must be split by the caller. */
void node_input(struct node *n, u64 now, u64 wall, struct udp_rx *rx, size_t n_rx);
struct inner *node_inner(struct node *n, size_t *count);

/* --- packets out ---------------------------------------------------------------------------------------------------------- */

/* One run of packets for one peer. */
struct node_stage {
	void *conn;
	u8 ecn;
};

/* Opens the fast path to a peer: 0 when it has a nominated socket and a usable session. ERR_STATE: use node_send().
 * ERR_NOT_FOUND: no such connection. */
int node_stage_open(struct node *n, u64 now, const struct uuid *id, u8 ecn, struct node_stage *st);
/* Where to put the next inner packet of `len` (<= TUNNEL_MTU) bytes; NULL when the arena is full (node_flush() and transmit first). */
u8 *node_stage_slot(struct node *n, struct node_stage *st, u32 len);
/* Seals all staged packets and groups them into transmits. */
void node_flush(struct node *n, u64 now);

/* Slow path for a single packet (copied): buffers while connecting, starts a handshake where the spec says so.
 * ERR_NOT_FOUND, ERR_STATE (controlled side before nomination, spec 20 §6.3), ERR_LIMIT (a buffered packet was displaced). */
int node_send(struct node *n, u64 now, u64 wall, const struct uuid *id, struct span packet, u8 ecn);

/* The next datagram or run to send; false when there is none. Its memory is valid until the next node_input(), node_stage_*(),
 * node_flush() or node_timeout(). Allocations' traffic comes before connections'. */
bool node_poll_transmit(struct node *n, struct udp_tx *out);

/* --- time and events ------------------------------------------------------------------------------------------------------- */

void node_timeout(struct node *n, u64 now, u64 wall);
u64 node_next_timeout(const struct node *n);

enum node_event_type {
	NODE_CONN_ESTABLISHED,   /* first handshake done and a socket nominated */
	NODE_CONN_FAILED,        /* gone; ICE or WireGuard gave up */
	NODE_CONN_CLOSED,        /* gone because of node_reset() */
	NODE_CANDIDATES_ADDED,   /* to be signalled: `candidates` */
	NODE_CANDIDATES_REMOVED, /* to be signalled: `candidates` */
	NODE_NO_RELAYS,          /* the last relay is gone: tell the portal (`id` unset) */
	NODE_PATH_CHANGED,       /* another socket was nominated: `path` */
};

enum node_path { PATH_DIRECT, PATH_PEER_RELAY, PATH_OWN_RELAY, PATH_BOTH_RELAYS }; /* spec 20 §10 */
const char *node_path_name(enum node_path path); /* for people: "direct", "relayed by …" */

struct node_event {
	enum node_event_type type;
	struct uuid id;
	void *user;
	enum node_path path;
	struct endpoint local, remote; /* NODE_PATH_CHANGED */
	u64 rx_bytes, tx_bytes;        /* NODE_CONN_FAILED, NODE_CONN_CLOSED: as of node_conn_info() at its end */
	const char (*candidates)[CANDIDATE_STRLEN]; /* borrowed until the next poll, highest priority first */
	size_t n_candidates;
};

bool node_poll_event(struct node *n, struct node_event *out);

struct node_stats {
	u64 rx_datagrams, rx_invalid, rx_unknown, rx_oversize, rx_replayed, rx_auth_failed, rx_overflow;
	u64 tx_datagrams, tx_dropped, stage_full;
	u64 handshakes_in, handshakes_out, cookies_sent;
	u64 conns, conns_failed, relays;
};
const struct node_stats *node_stats(const struct node *n);

/* What is known of one connection, for status output. */
struct node_conn_info {
	bool is_connected;
	enum node_path path;
	struct endpoint local, remote;
	u64 rx_bytes, tx_bytes; /* of inner packets */
	u64 last_handshake; /* `now` of it, 0 never */
	bool has_rtt;
	u64 rtt; /* ns, of the latest ICE check on the path in use */
};
int node_conn_info(const struct node *n, const struct uuid *id, struct node_conn_info *out);
