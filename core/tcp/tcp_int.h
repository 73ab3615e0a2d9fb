/* core/tcp/tcp_int.h: what the files of core/tcp share. Sequence numbers are compared modulo 2^32 (seq_lt and its kin). */
#pragma once

#include "core/base/heap.h"
#include "core/base/table.h"
#include "core/tcp/ring.h"
#include "core/tcp/tcp.h"

#define OUT_CHUNK 16u                /* packets taken from memory at a time */
#define OUT_IDLE SEC(5)              /* after this long without a packet their memory is given back */
#define INITIAL_SEGMENTS 10u         /* RFC 6928 */
#define DUP_ACKS 3u                  /* RFC 5681 */

/* --- lists: in order of arrival; a node knows its owner ------------------------------------------------------------ */

struct link {
	struct link *prev, *next; /* NULL: in no list */
};

static inline void list_init(struct link *head)
{
	head->prev = head->next = head;
}

static inline void list_del(struct link *n)
{
	if (!n->next)
		return;
	n->prev->next = n->next;
	n->next->prev = n->prev;
	n->prev = n->next = NULL;
}

static inline void list_add(struct link *head, struct link *n)
{
	if (n->next)
		return;
	n->prev = head->prev;
	n->next = head;
	head->prev->next = n;
	head->prev = n;
}

static inline bool list_is_empty(const struct link *head)
{
	return head->next == head;
}

/* --- connections --------------------------------------------------------------------------------------------------- */

enum tcb_state {
	TCB_SYN_SENT,
	TCB_SYN_RECEIVED,
	TCB_ESTABLISHED,
	TCB_FIN_WAIT_1, /* our FIN is queued or sent */
	TCB_FIN_WAIT_2,
	TCB_CLOSE_WAIT,
	TCB_CLOSING,
	TCB_LAST_ACK,
	TCB_TIME_WAIT,
	TCB_DONE,   /* ended; the user still has to poll TCP_EVENT_CLOSED */
	TCB_FAILED, /* likewise TCP_EVENT_FAILED */
};

/* What a listener's limit sees of a connection. */
enum tcb_count { COUNT_NONE, COUNT_OPEN, COUNT_LEAVING };

struct tcb_key {
	u8 b[40];
};

struct range {
	u32 start, end; /* sequence numbers */
};

struct listener {
	struct endpoint local;
	u32 limit;
	u32 count[3];      /* by enum tcb_count */
	struct link conns; /* tcb.of_listener, oldest first */
};

struct tcb {
	struct endpoint local, remote;
	struct listener *listener; /* stack.active for those we opened */
	struct link of_listener, to_send, to_tell;
	struct heap_node timer;
	tcp_handle handle;
	enum tcb_state state;
	enum tcb_count count;
	bool is_active, is_hashed;
	bool is_users;      /* the user has, or will by an event get, the handle */
	u8 events;          /* 1 << enum tcp_event_type */
	bool was_short;     /* a write found no room */
	bool owes_writable; /* something was written since the queue was last empty */
	int error;
	u64 born_at, moved_at;
	u64 state_until;    /* TIME-WAIT, FIN-WAIT-2 without user */

	/* to the peer: tx holds what follows snd_una, from sequence number tx_seq on */
	struct tcp_ring tx;
	u32 iss, tx_seq;
	u32 snd_una, snd_nxt, snd_max; /* snd_nxt goes back at a time-out, snd_max never */
	u32 snd_wnd, snd_wl1, snd_wl2, max_wnd;
	u32 mss;
	bool wants_fin;       /* our FIN follows the last byte of tx */
	bool retransmits_one; /* the segment at snd_una, now */
	bool forces;          /* the next segment leaves however small and whatever the window */

	u32 cwnd, ssthresh, recover;
	bool is_recovering;
	u32 dup_acks;

	u64 srtt, rttvar, rto; /* srtt 0: no sample yet */
	u64 timed_at;          /* TIME_NEVER: no segment is being timed */
	u32 timed_seq;
	u64 rto_at;            /* retransmission, or a probe when nothing is in flight */
	u64 stalled_at, sent_at;
	u32 retries;

	/* from the peer: rx.len bytes end at rcv_nxt (before its FIN) */
	struct tcp_ring rx;
	u32 irs, rcv_nxt, rcv_adv; /* rcv_adv: the right edge of the window told last */
	struct range ranges[TCP_RANGES_MAX];
	u32 n_ranges;
	u32 fin_seq;
	bool has_fin, got_fin; /* the peer's FIN was seen; everything up to it is here */
	bool owes_ack;
	u32 owes_dup_acks;
	u64 challenge_at;
	u32 challenges;
};

struct reply {
	struct endpoint local, remote;
	u32 seq, ack;
	u8 flags;
};

struct slot {
	struct tcb *conn;
	u32 generation;
	u32 next_free;
};

struct tcp_stack {
	struct tcp_stack_config cfg;
	struct siphash_key isn_key;
	struct tcp_stack_stats stats;
	u64 now;

	struct table by_key; /* tcb_key: struct tcb */
	struct heap timers;
	struct slot *slots;  /* [0] is never used */
	u32 n_slots, free_slot;
	struct table listeners; /* tcb_key without remote: struct listener */
	struct listener active;
	struct link to_send, to_tell;

	struct reply *replies; /* TCP_REPLIES_MAX, from the first need on */
	u32 n_replies, replies_sent;
	u8 *chunks[TCP_OUT_MAX / OUT_CHUNK];
	u32 out_used;
	u64 out_used_at;
};

/* A segment as it came. */
struct segment {
	u32 seq, ack, wnd;
	u8 flags;
	u32 mss; /* 0: no option */
	struct span data;
};

static inline bool seq_lt(u32 a, u32 b)
{
	return (i32)(a - b) < 0;
}

static inline bool seq_le(u32 a, u32 b)
{
	return (i32)(a - b) <= 0;
}

static inline u32 seq_max(u32 a, u32 b)
{
	return seq_lt(a, b) ? b : a;
}

static inline u32 seg_len(const struct segment *g)
{
	return (u32)g->data.n + !!(g->flags & TCP_SYN) + !!(g->flags & TCP_FIN);
}

static inline u32 tcb_window(const struct tcb *c)
{
	return TCP_RECEIVE_MAX - c->rx.len;
}

static inline u32 tcb_fin_seq(const struct tcb *c)
{
	return c->tx_seq + c->tx.len;
}

/* Our FIN was sent and acknowledged. */
static inline bool tcb_fin_is_acked(const struct tcb *c)
{
	return c->wants_fin && c->snd_una == tcb_fin_seq(c) + 1;
}

static inline bool tcb_is_synchronized(const struct tcb *c)
{
	return c->state >= TCB_ESTABLISHED && c->state <= TCB_TIME_WAIT;
}

/* tcp.c */
struct tcb_key tcb_key_of(const struct endpoint *local, const struct endpoint *remote);
struct tcb *tcb_new(struct tcp_stack *s, struct listener *l, const struct endpoint *local, const struct endpoint *remote);
/* The same for a SYN: NULL also when the listener is full and nothing gives way. */
struct tcb *tcb_for_syn(struct tcp_stack *s, struct listener *l, const struct endpoint *local, const struct endpoint *remote);
void tcb_free(struct tcp_stack *s, struct tcb *c);
/* Off the wire: no packet finds it any more, nothing is sent. */
void tcb_unhash(struct tcp_stack *s, struct tcb *c);
/* Ends it for a reason: the user, if any, is told; else it is freed. The caller sends the RST if one is due. */
void tcb_fail(struct tcp_stack *s, struct tcb *c, int error);
void tcb_tell(struct tcp_stack *s, struct tcb *c, enum tcp_event_type what);
void tcb_enter(struct tcp_stack *s, struct tcb *c, enum tcb_state state);
void tcb_set_count(struct tcb *c, enum tcb_count count);
/* Sets the timer to the earliest deadline, and queues it for sending. */
void tcb_touch(struct tcp_stack *s, struct tcb *c);
void tcb_rearm(struct tcp_stack *s, struct tcb *c);

/* output.c */
void tcp_out_reset(struct tcp_stack *s);
void tcp_out_idle(struct tcp_stack *s);
void tcp_out_free(struct tcp_stack *s);
void tcp_reply_reset(struct tcp_stack *s, const struct packet *p, const struct segment *g);
void tcb_reset(struct tcp_stack *s, struct tcb *c);
u32 tcb_mss_of(const struct tcb *c, u32 offered);
/* Its rto_at has come: retransmit, probe, or give up. */
void tcb_timed_out(struct tcp_stack *s, struct tcb *c);

/* input.c */
bool tcp_segment_parse(const u8 *data, const struct packet *p, struct segment *out);
bool tcp_segment_checksum_is_right(const u8 *data, const struct packet *p);
