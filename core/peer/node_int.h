/* core/peer/node_int.h: what the files of this folder share. Nobody else includes it.
 *
 *	node.c     life of the node: control calls, timers, events, lookups
 *	relays.c   which relays there are, which one a connection uses (spec 20 §8)
 *	conn.c     one connection: states, candidates, handshakes, liveness (spec 20 §9)
 *	demux.c    to whom a received datagram belongs, and the batch that is decrypted (spec 20 §2)
 *	stage.c    plaintext into sealed runs, and everything else that waits to be sent (spec 20 §10)
 */
#pragma once

#include "core/base/heap.h"
#include "core/base/log.h"
#include "core/base/table.h"
#include "core/ice/agent.h"
#include "core/peer/node.h"
#include "core/stun/channel.h"
#include "core/turn/allocation.h"
#include "core/wg/wg.h"

#include <assert.h>

#define RELAY_PORT 3478u /* relay traffic comes from here and from nowhere else (spec 20 §2) */
#define CONN_SLOT_BITS 14u /* conn24 = generation << 14 | slot: old indices never hit a new tenant soon */
#define NODE_STAGE_SLOTS 1024u
#define NODE_CONTROL_MAX 1024u     /* own datagrams waiting: checks, handshakes, keepalives */
#define NODE_CONTROL_RESERVE 160u  /* room that one connection may need at a time: all its pairs and answers */
#define NODE_CONTROL_BYTES 296u
#define RELAY_TX_MAX 32u            /* messages to relays in one turn; further ones take the next */
#define RELAY_TX_BYTES 1024u
#define CONN_NO_SESSION_QUEUE WG_QUEUE_MAX /* inner packets kept with a socket but without session, newest dropped */
#define CONN_SIGNALS_MAX ICE_LOCAL_MAX     /* candidates waiting to be signalled, of each sort */

#define CONN_CANDIDATE_TIMEOUT SEC(10)
#define CONN_DISCONNECT_GRACE SEC(2)
#define CONN_IDLE_AFTER SEC(20)
#define CONN_INITIATION_DEBOUNCE SEC(20)
#define CONN_TIMER_SLACK SEC(1) /* the data path sets timers no finer than this */

/* Liveness: sent data and heard nothing on the path for so long: ask all pairs (ice_probe()). */
#define LIVENESS_SILENCE MSEC(1200)
#define LIVENESS_ASK_RELAY MSEC(400) /* into the probe: is our allocation still there? */
#define LIVENESS_FLUX SEC(3)         /* no verdict so soon after candidates came or went */
#define UPLINK_ASK_INTERVAL MSEC(400)

static_assert(NODE_CONNS_MAX == 1u << CONN_SLOT_BITS, "a slot number fills its bits");
static_assert(NODE_CONTROL_BYTES >= ICE_MESSAGE_MAX + CHANNEL_OVERHEAD, "checks fit");

struct relay {
	bool is_used;
	struct uuid id;
	struct endpoint v4, v6;
	struct allocation *alloc;
};

#define NO_RELAY (-1)

enum conn_state { CONN_CONNECTING, CONN_CONNECTED, CONN_IDLE, CONN_FAILED };

enum conn_pending {
	PENDING_REMOVED = 1u << 0,
	PENDING_ADDED = 1u << 1,
	PENDING_PATH = 1u << 2,
	PENDING_ESTABLISHED = 1u << 3,
	PENDING_FAILED = 1u << 4,
	PENDING_CLOSED = 1u << 5,
};

/* Copied packets that wait; a ring of pointers allocated at first use. */
struct packet_queue {
	struct queued {
		u16 len;
		u8 ecn;
		u8 data[];
	} **ring;
	u32 head, count, capacity;
};

/* How datagrams leave at the moment (spec 20 §10). */
struct route {
	struct ip src; /* family 0: the system's choice */
	struct endpoint dst;
	u16 channel; /* 0: none */
};

struct conn {
	struct uuid id;
	void *user;
	struct node *node;
	u32 index; /* conn24 */
	enum conn_state state;
	struct node_peer peer;
	struct ice_agent *ice;
	struct wg wg;
	struct heap_node timer;
	int relay; /* index in node.relays, NO_RELAY while migrating */

	bool has_socket;
	struct ice_path socket;
	enum node_path path;
	struct route route; /* of the open stage */

	u64 created, last_activity;
	u64 disconnected_since; /* 0 = ICE is not disconnected */
	u64 last_initiation;    /* proactive ones only, 0 never */
	bool is_handshaken, is_established_told;

	u64 unanswered_since; /* data went out, nothing came back on the path in use; 0 = nothing open */
	u64 last_heard;       /* anything authentic from the peer, on any path */
	u64 probe_since;      /* 0 = not probing */
	u64 last_candidate_change;
	bool is_relay_asked; /* in this probe */

	struct packet_queue wg_buffer, ip_queue;

	unsigned pending; /* enum conn_pending */
	struct signals {
		struct candidate *v; /* CONN_SIGNALS_MAX of them while something waits to be signalled */
		u32 n;
	} added, removed;

	u64 rx_bytes, tx_bytes;
	bool is_gone; /* removed from all tables; freed when its events are told and no packet refers to it */
	bool is_listed;
	struct conn *next_event;
	struct conn *next_gone;
};

struct control {
	struct route route;
	u32 len;
	u8 data[NODE_CONTROL_BYTES]; /* CHANNEL_OVERHEAD bytes for the channel header, then the message */
};

struct rx_packet {
	struct conn *conn;
	u8 ecn;
	bool is_on_path;
};

/* Everything the packet path touches, apart from the connection itself. */
struct lane {
	u8 *arena;
	u32 arena_used;
	struct aead_job *tx_jobs;
	u32 n_tx_jobs;
	struct udp_tx *runs;
	struct conn **run_conn;
	u32 n_runs, n_sealed_runs, next_run;
	bool is_run_open;
	u8 scratch[WG_HEADER_LEN + TUNNEL_MTU + AEAD_TAG + CHANNEL_OVERHEAD];

	struct aead_job *rx_jobs;
	struct rx_packet *rx_packets;
	u32 n_rx_jobs;
	struct inner *inner;
	u32 n_inner;

	struct control *control;
	u32 control_head, n_control;
};

struct node {
	struct node_config cfg;
	struct wg_local wg;
	u64 now, wall_offset; /* wall = now + wall_offset, as last told */
	struct relay relays[NODE_RELAYS_MAX];
	bool are_relays_dirty; /* allocations may have output or events */
	u8 (*relay_tx)[RELAY_TX_BYTES]; /* RELAY_TX_MAX messages handed out since the last input, flush or timeout */
	u32 n_relay_tx;
	struct ip former[NODE_FORMER_RELAYS];
	u32 n_former;
	bool is_no_relays_told, is_no_relays_pending;

	struct conn **slots; /* NODE_CONNS_MAX pointers */
	u16 *generations;
	u32 n_slots_used; /* slots ever used */
	u32 n_conns;
	struct table by_id, by_key, by_ufrags;
	struct heap timers;
	struct conn *events_head, *events_tail;
	struct conn *gone;
	char (*texts)[CANDIDATE_STRLEN];

	u8 uplink_txid[STUN_TXID]; /* of our question whether the uplink lives */
	u64 uplink_asked, uplink_heard;

	struct lane lane;
	struct node_stats stats;
};

struct ufrag_key {
	char local[64], remote[64]; /* zero padded */
};

/* --- node.c */
struct conn *node_conn(const struct node *n, const struct uuid *id);
struct conn *node_conn_by_index(const struct node *n, u32 index);
u64 node_wall(const struct node *n);
void node_forget_conn(struct node *n, struct conn *c); /* out of all tables, into the list of the gone */
void node_tell(struct conn *c, unsigned pending);
void node_release_gone(struct node *n);
void node_note_handshakes(struct node *n); /* copies the WireGuard counters into the node's */

/* --- relays.c */
struct relay *relay_owning(struct node *n, const struct endpoint *remote);
struct relay *relay_by_relayed(struct node *n, const struct endpoint *relayed);
bool relay_is_former(const struct node *n, const struct ip *ip);
/* Index of a relay drawn among the near ones, NO_RELAY when none has answered. */
int relay_sample(struct node *n);
void relays_timeout(struct node *n, u64 now);
u64 relays_next_timeout(const struct node *n);
/* Handles the events of all allocations. */
void relays_drain(struct node *n, u64 now);
bool relays_poll_transmit(struct node *n, struct udp_tx *out);
void relays_drop_all(struct node *n);
/* Asks the relays for a sign of life of our own uplink. */
void relays_ask_uplink(struct node *n, u64 now);
bool relays_is_uplink_answer(struct node *n, u64 now, struct span datagram);

/* --- conn.c */
struct conn *conn_new(struct node *n, u64 now, const struct uuid *id, const struct node_peer *peer, void *user, u32 index,
		      int relay);
void conn_free(struct conn *c);
void conn_seed(struct conn *c, u64 now);
void conn_reuse(struct conn *c, u64 now);
void conn_add_local(struct conn *c, u64 now, struct candidate cand);
void conn_discard_relay(struct conn *c, u64 now, const struct endpoint *relayed);
void conn_set_relay(struct conn *c, u64 now, int relay);
int conn_add_remote(struct conn *c, u64 now, const struct candidate_text *t);
int conn_remove_remote(struct conn *c, u64 now, const struct candidate_text *t);
/* Traffic or signalling: leaves idle, postpones it. */
void conn_touch(struct conn *c, u64 now);
/* Moves output of ICE and WireGuard on, follows nominations, arms the timer. */
void conn_pump(struct conn *c, u64 now);
void conn_timeout(struct conn *c, u64 now);
void conn_arm(struct conn *c, u64 now);
int conn_send(struct conn *c, u64 now, struct span packet, u8 ecn);
void conn_goodbye(struct conn *c, u64 now);
bool conn_is_on_path(const struct conn *c, const struct endpoint *local, const struct endpoint *remote);

static inline void conn_arm_soon(struct conn *c, u64 now)
{
	if (c->timer.deadline > now + CONN_TIMER_SLACK)
		heap_arm(&c->node->timers, &c->timer, now + CONN_TIMER_SLACK);
}

/* Something authentic came from the peer. */
static inline void conn_heard(struct conn *c, u64 now, bool is_on_path)
{
	c->last_heard = now;
	if (is_on_path)
		c->unanswered_since = 0;
}

/* --- stage.c */
int lane_init(struct lane *l);
void lane_deinit(struct lane *l);
void lane_drop_output(struct lane *l);
/* Where a datagram from `local` to `remote` really goes. ERR_NO_ROUTE: behind a relay without channel yet; a bind was started. */
int route_find(struct node *n, u64 now, const struct endpoint *local, const struct endpoint *remote, struct route *out);
int conn_route(struct conn *c, u64 now, struct route *out);
/* Copies a message of ours into the control queue; counted as dropped when it is full or has no route. */
void control_send(struct node *n, u64 now, const struct route *route, const void *msg, size_t len);
void control_send_from(struct node *n, u64 now, const struct endpoint *local, const struct endpoint *remote, const void *msg,
		       size_t len);
void conn_send_message(struct conn *c, u64 now, const void *msg, size_t len);
bool lane_has_output(const struct lane *l);
static inline bool control_has_room(const struct lane *l)
{
	return l->n_control + NODE_CONTROL_RESERVE <= NODE_CONTROL_MAX;
}
/* Seals and queues one inner packet. ERR_STATE, ERR_LIMIT (arena full), ERR_NO_ROUTE. */
int stage_copy(struct conn *c, u64 now, struct span packet, u8 ecn);

int queue_push(struct packet_queue *q, u32 limit, bool is_oldest_dropped, struct span packet, u8 ecn);
struct queued *queue_peek(const struct packet_queue *q);
void queue_pop(struct packet_queue *q);
void queue_clear(struct packet_queue *q);
