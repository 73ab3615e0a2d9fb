#include "core/tcp/tcp_int.h"

#include "core/ip/checksum.h"

#include <stdlib.h>

#define IP_TTL 64u
#define PACKET_SLOT (TUN_HEADROOM + TCP_MTU)
#define OPTION_MSS 2u

/* What the next segment of a connection shall be. */
struct plan {
	u32 seq, n; /* n bytes of tx from seq on */
	u8 flags;
	enum { PLAN_NEW, PLAN_AGAIN, PLAN_PROBE, PLAN_ACK } kind;
};

/* --- memory of what was polled ------------------------------------------------------------------------------------- */

void tcp_out_reset(struct tcp_stack *s)
{
	s->out_used = 0;
}

void tcp_out_free(struct tcp_stack *s)
{
	for (u32 i = 0; i < ARRAY_LEN(s->chunks); i++) {
		free(s->chunks[i]);
		s->chunks[i] = NULL;
	}
	free(s->replies);
	s->replies = NULL;
	s->n_replies = s->replies_sent = 0;
}

void tcp_out_idle(struct tcp_stack *s)
{
	if (s->chunks[0] && s->now >= s->out_used_at + OUT_IDLE)
		tcp_out_free(s);
}

/* NULL: no memory; the packet then counts as lost. */
static u8 *out_take(struct tcp_stack *s)
{
	u32 i = s->out_used / OUT_CHUNK;

	if (!s->chunks[i])
		s->chunks[i] = malloc((size_t)OUT_CHUNK * PACKET_SLOT);
	if (!s->chunks[i])
		return NULL;
	s->out_used_at = s->now;
	s->stats.tx_packets++;
	return s->chunks[i] + (size_t)(s->out_used++ % OUT_CHUNK) * PACKET_SLOT + TUN_HEADROOM;
}

/* --- bytes --------------------------------------------------------------------------------------------------------- */

struct header {
	const struct endpoint *local, *remote;
	u32 seq, ack, wnd, mss; /* mss 0: no option */
	u8 flags;
};

static u32 own_mss(const struct endpoint *local)
{
	return TCP_MTU - (local->ip.family == 4 ? 40u : 60u);
}

u32 tcb_mss_of(const struct tcb *c, u32 offered)
{
	u32 own = own_mss(&c->local);

	if (offered == 0)
		offered = c->local.ip.family == 4 ? 536u : 1220u;
	offered = MAX(offered, TCP_MSS_MIN);
	return MIN(own, offered);
}

static u32 write_ip(struct wr *w, const struct header *h, u32 l4_len)
{
	u32 at = (u32)wr_len(w);
	size_t n = ip_len(&h->local->ip);

	if (h->local->ip.family == 4) {
		wr_be16(w, 0x4500);
		wr_be16(w, (u16)(20 + l4_len));
		wr_be16(w, 0);
		wr_be16(w, 0x4000); /* DF */
		wr_u8(w, IP_TTL);
		wr_u8(w, IPPROTO_TCP_);
		wr_be16(w, 0);
	} else {
		wr_be32(w, 0x60000000u);
		wr_be16(w, (u16)l4_len);
		wr_u8(w, IPPROTO_TCP_);
		wr_u8(w, IP_TTL);
	}
	wr_bytes(w, h->local->ip.b, n);
	wr_bytes(w, h->remote->ip.b, n);
	if (h->local->ip.family == 4)
		put_be16(w->start + at + 10, csum_finish(csum_add(0, w->start + at, 20)));
	return (u32)wr_len(w);
}

/* The whole packet but the payload, for which it leaves room; returns its length. */
static u32 write_packet(u8 *pkt, const struct header *h, const struct tcp_ring *tx, u32 at, u32 n)
{
	u32 head = h->mss ? 24u : 20u;
	struct wr w = wr_init(pkt, TCP_MTU);
	u32 l4 = write_ip(&w, h, head + n);

	wr_be16(&w, h->local->port);
	wr_be16(&w, h->remote->port);
	wr_be32(&w, h->seq);
	wr_be32(&w, h->ack);
	wr_u8(&w, (u8)(head / 4 << 4));
	wr_u8(&w, h->flags);
	wr_be16(&w, (u16)h->wnd);
	wr_be32(&w, 0);
	if (h->mss) {
		wr_be16(&w, OPTION_MSS << 8 | 4);
		wr_be16(&w, (u16)h->mss);
	}
	u8 *payload = wr_reserve(&w, n);
	if (n > 0)
		tcp_ring_copy(tx, at, payload, n);
	size_t addr_len = ip_len(&h->local->ip);
	u64 sum = csum_pseudo(pkt + (addr_len == 4 ? 12 : 8), addr_len, head + n, IPPROTO_TCP_);
	put_be16(pkt + l4 + 16, csum_finish(csum_add(sum, pkt + l4, head + n)));
	return (u32)wr_len(&w);
}

/* --- RST without a connection -------------------------------------------------------------------------------------- */

static void reply(struct tcp_stack *s, const struct reply *r)
{
	if (!s->replies)
		s->replies = calloc(TCP_REPLIES_MAX, sizeof(*s->replies));
	if (!s->replies || s->n_replies == TCP_REPLIES_MAX) {
		s->stats.replies_dropped++;
		return;
	}
	s->replies[s->n_replies++] = *r;
	s->stats.resets_sent++;
}

void tcp_reply_reset(struct tcp_stack *s, const struct packet *p, const struct segment *g)
{
	struct reply r = { .local = { p->dst, p->dst_port }, .remote = { p->src, p->src_port } };

	if (g->flags & TCP_RST)
		return;
	if (g->flags & TCP_ACK) {
		r.seq = g->ack;
		r.flags = TCP_RST;
	} else {
		r.ack = g->seq + seg_len(g);
		r.flags = TCP_RST | TCP_ACK;
	}
	reply(s, &r);
}

/* A number that the peer accepts, also while a time-out has sent us back or a probe went beyond its window. */
static u32 acceptable_seq(const struct tcb *c)
{
	u32 edge = c->snd_una + c->snd_wnd;
	return tcb_is_synchronized(c) && seq_lt(edge, c->snd_max) ? edge : c->snd_max;
}

void tcb_reset(struct tcp_stack *s, struct tcb *c)
{
	if (!c->is_hashed || c->state == TCB_SYN_SENT || c->state == TCB_TIME_WAIT)
		return;
	reply(s, &(struct reply){ c->local, c->remote, acceptable_seq(c), c->rcv_nxt, TCP_RST | TCP_ACK });
}

static bool poll_reply(struct tcp_stack *s, struct tun_pkt *out)
{
	while (s->replies_sent < s->n_replies) {
		const struct reply *r = &s->replies[s->replies_sent++];
		struct header h = { .local = &r->local, .remote = &r->remote, .seq = r->seq, .ack = r->ack, .flags = r->flags };
		u8 *pkt = out_take(s);
		if (!pkt)
			continue;
		*out = (struct tun_pkt){ .data = pkt, .len = write_packet(pkt, &h, NULL, 0, 0), .has_headroom = true };
		return true;
	}
	s->n_replies = s->replies_sent = 0;
	return false;
}

/* --- what to send next --------------------------------------------------------------------------------------------- */

static bool plan_ack(const struct tcb *c, struct plan *p)
{
	if (!c->owes_ack && c->owes_dup_acks == 0)
		return false;
	*p = (struct plan){ acceptable_seq(c), 0, TCP_ACK, PLAN_ACK };
	return true;
}

static bool plan_retransmission(struct tcb *c, struct plan *p)
{
	u32 left = tcb_fin_seq(c) - c->snd_una;

	c->retransmits_one = false;
	if (tcb_fin_is_acked(c) || c->snd_una == c->snd_max)
		return false;
	u32 n = MIN(left, c->mss);
	n = MIN(n, c->snd_max - c->snd_una); /* not what was never sent */
	*p = (struct plan){ c->snd_una, n, TCP_ACK, PLAN_AGAIN };
	if (n == left)
		p->flags |= TCP_PSH;
	if (n == left && c->wants_fin && seq_lt(tcb_fin_seq(c), c->snd_max))
		p->flags |= TCP_FIN;
	return true;
}

/* The next data or FIN that windows allow (RFC 9293 §3.8.6.2.1: not in silly pieces). */
static bool plan_data(struct tcb *c, struct plan *p)
{
	u32 end = tcb_fin_seq(c);
	bool has_fin = c->wants_fin && seq_le(c->snd_nxt, end);
	u32 avail = seq_lt(c->snd_nxt, end) ? end - c->snd_nxt : 0;
	u32 flight = c->snd_nxt - c->snd_una;
	u32 limited_transmit = c->is_recovering || c->dup_acks >= DUP_ACKS ? 0 : c->dup_acks * c->mss; /* RFC 3042 */
	u32 wnd = MIN(c->snd_wnd, c->cwnd + limited_transmit);
	u32 room = wnd > flight ? wnd - flight : 0;
	u32 n = MIN(avail, room);
	bool is_forced = c->forces;

	c->forces = false;
	n = MIN(n, c->mss);
	if (avail == 0 && !has_fin)
		return false;
	bool is_probe = is_forced && room == 0;
	if (is_probe)
		n = MIN(avail, 1u);
	bool is_whole = n == avail;
	if (n == 0 && (avail > 0 || (room == 0 && !is_probe)))
		return false;
	if (!is_forced && !is_whole && n < c->mss && n < c->max_wnd / 2)
		return false;
	*p = (struct plan){ c->snd_nxt, n, TCP_ACK, is_probe ? PLAN_PROBE : PLAN_NEW };
	if (is_whole && n > 0)
		p->flags |= TCP_PSH;
	if (is_whole && has_fin && (room > n || is_probe))
		p->flags |= TCP_FIN;
	return true;
}

static bool plan_next(struct tcb *c, struct plan *p)
{
	switch (c->state) {
	case TCB_SYN_SENT:
		*p = (struct plan){ c->iss, 0, TCP_SYN, PLAN_NEW };
		return c->snd_nxt == c->iss;
	case TCB_SYN_RECEIVED:
		*p = (struct plan){ c->iss, 0, TCP_SYN | TCP_ACK, PLAN_NEW };
		return c->snd_nxt == c->iss || plan_ack(c, p);
	case TCB_TIME_WAIT:
		return plan_ack(c, p);
	case TCB_DONE:
	case TCB_FAILED:
		return false;
	case TCB_ESTABLISHED:
	case TCB_FIN_WAIT_1:
	case TCB_FIN_WAIT_2:
	case TCB_CLOSE_WAIT:
	case TCB_CLOSING:
	case TCB_LAST_ACK:
		break;
	}
	if (c->owes_dup_acks > 0)
		return plan_ack(c, p);
	if (c->retransmits_one && plan_retransmission(c, p))
		return true;
	return plan_data(c, p) || plan_ack(c, p);
}

static bool is_in_flight(const struct tcb *c)
{
	return c->snd_nxt != c->snd_una;
}

static bool has_unsent(const struct tcb *c)
{
	return tcb_is_synchronized(c) && c->state != TCB_TIME_WAIT &&
	       (seq_lt(c->snd_nxt, tcb_fin_seq(c)) || (c->wants_fin && seq_le(c->snd_nxt, tcb_fin_seq(c))));
}

/* The plan became a segment. */
static void commit(struct tcp_stack *s, struct tcb *c, const struct plan *p)
{
	u32 len = p->n + !!(p->flags & TCP_SYN) + !!(p->flags & TCP_FIN);
	u32 end = p->seq + len;

	if (p->kind == PLAN_ACK && c->owes_dup_acks > 0)
		c->owes_dup_acks--;
	if (p->flags & TCP_ACK)
		c->owes_ack = false;
	if (p->kind == PLAN_PROBE)
		s->stats.probes++;
	if (p->kind == PLAN_NEW) {
		c->snd_nxt = end;
		if (seq_lt(p->seq, c->snd_max)) {
			s->stats.retransmits++;
		} else if (c->timed_at == TIME_NEVER) {
			c->timed_at = s->now;
			c->timed_seq = end;
		}
		if (c->rto_at == TIME_NEVER)
			c->rto_at = s->now + c->rto;
	}
	if (p->kind == PLAN_AGAIN) {
		s->stats.retransmits++;
		c->timed_at = TIME_NEVER; /* Karn */
	}
	if (p->n > 0) {
		c->sent_at = s->now;
		c->moved_at = p->kind == PLAN_NEW ? s->now : c->moved_at;
	}
	if (p->kind != PLAN_ACK)
		c->snd_max = seq_max(c->snd_max, end);
}

/* The window told: its right edge moves on by half of what there can be or by a segment, or stays (RFC 9293 §3.8.6.2.2). */
static u32 tell_window(struct tcb *c)
{
	u32 edge = c->rcv_nxt + tcb_window(c);

	if (edge - c->rcv_adv >= c->mss || !seq_lt(c->rcv_adv, edge))
		c->rcv_adv = edge;
	if (seq_lt(c->rcv_adv, c->rcv_nxt)) /* its FIN lies just behind the window */
		c->rcv_adv = c->rcv_nxt;
	return c->rcv_adv - c->rcv_nxt;
}

static bool emit(struct tcp_stack *s, struct tcb *c, const struct plan *p, struct tun_pkt *out)
{
	bool has_syn = p->flags & TCP_SYN, has_ack = p->flags & TCP_ACK;
	struct header h = {
		.local = &c->local,
		.remote = &c->remote,
		.seq = p->seq,
		.ack = has_ack ? c->rcv_nxt : 0,
		.wnd = has_ack ? tell_window(c) : TCP_RECEIVE_MAX,
		.mss = has_syn ? own_mss(&c->local) : 0,
		.flags = p->flags,
	};
	u8 *pkt = out_take(s);
	if (pkt)
		*out = (struct tun_pkt){ .data = pkt,
					 .len = write_packet(pkt, &h, &c->tx, p->seq - c->tx_seq, p->n),
					 .has_headroom = true };
	commit(s, c, p);
	return pkt != NULL;
}

/* RFC 5681 §4.1: after a pause the path may have changed. */
static void restart_after_idle(const struct tcp_stack *s, struct tcb *c)
{
	if (c->snd_una == c->snd_max && c->sent_at && time_since(s->now, c->sent_at) > c->rto)
		c->cwnd = MIN(c->cwnd, INITIAL_SEGMENTS * c->mss);
}

/* Something waits and nothing is in flight that an answer would follow: the peer's window is in the way, ask it in time. */
static void arm_probe(const struct tcp_stack *s, struct tcb *c)
{
	if (c->rto_at != TIME_NEVER || is_in_flight(c) || !has_unsent(c))
		return;
	c->rto_at = s->now + c->rto;
	if (c->stalled_at == TIME_NEVER)
		c->stalled_at = s->now;
}

bool tcp_stack_poll_transmit(struct tcp_stack *s, struct tun_pkt *out)
{
	if (s->out_used == TCP_OUT_MAX)
		return false;
	if (poll_reply(s, out))
		return true;
	while (!list_is_empty(&s->to_send)) {
		struct tcb *c = container_of(s->to_send.next, struct tcb, to_send);
		struct plan p;
		bool has_packet = false;
		restart_after_idle(s, c);
		if (plan_next(c, &p)) {
			has_packet = emit(s, c, &p, out);
		} else {
			list_del(&c->to_send);
			arm_probe(s, c);
		}
		tcb_rearm(s, c);
		if (has_packet)
			return true;
	}
	return false;
}

/* --- time-outs ----------------------------------------------------------------------------------------------------- */

static void give_up(struct tcp_stack *s, struct tcb *c)
{
	s->stats.timeouts++;
	if (c->state != TCB_SYN_RECEIVED)
		tcb_reset(s, c);
	tcb_fail(s, c, ERR_TIMEOUT);
}

static void back_off(struct tcb *c)
{
	c->rto = MIN(c->rto * 2, TCP_RTO_MAX);
	c->rto_at = TIME_NEVER;
}

static void probe(struct tcp_stack *s, struct tcb *c)
{
	if (c->stalled_at == TIME_NEVER)
		c->stalled_at = s->now;
	if (time_since(s->now, c->stalled_at) >= TCP_STALL_MAX) {
		give_up(s, c);
		return;
	}
	c->forces = true;
	back_off(c);
	c->rto_at = s->now + c->rto;
	tcb_touch(s, c);
}

void tcb_timed_out(struct tcp_stack *s, struct tcb *c)
{
	bool is_opening = c->state == TCB_SYN_SENT || c->state == TCB_SYN_RECEIVED;

	if (!is_in_flight(c)) {
		if (has_unsent(c)) {
			probe(s, c);
		} else {
			c->rto_at = TIME_NEVER;
			tcb_rearm(s, c);
		}
		return;
	}
	if (c->retries++ >= (is_opening ? TCP_SYN_RETRIES : TCP_RETRIES)) {
		give_up(s, c);
		return;
	}
	s->stats.timeouts++;
	if (!is_opening) {
		if (c->retries == 1)
			c->ssthresh = MAX((c->snd_max - c->snd_una) / 2, 2 * c->mss);
		c->cwnd = c->mss;
	}
	c->snd_nxt = c->snd_una;
	c->recover = c->snd_max;
	c->is_recovering = c->retransmits_one = false;
	c->dup_acks = 0;
	c->timed_at = TIME_NEVER;
	back_off(c);
	tcb_touch(s, c);
}
