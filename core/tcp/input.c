#include "core/tcp/tcp_int.h"

#include "core/ip/checksum.h"

#define OPTION_END 0u
#define OPTION_NOP 1u
#define OPTION_MSS 2u
#define ICMP4_FRAGMENTATION_NEEDED 4u /* code */
#define DUP_ACKS_OWED_MAX 64u

/* --- reading a segment --------------------------------------------------------------------------------------------- */

static u32 mss_option(struct rd r)
{
	while (rd_left(&r) > 0) {
		u8 kind = rd_u8(&r);
		if (kind == OPTION_END)
			return 0;
		if (kind == OPTION_NOP)
			continue;
		u8 len = rd_u8(&r);
		if (len < 2)
			return 0;
		if (kind == OPTION_MSS && len == 4)
			return rd_be16(&r);
		rd_skip(&r, len - 2u);
	}
	return 0;
}

bool tcp_segment_parse(const u8 *data, const struct packet *p, struct segment *out)
{
	struct rd r = rd_init(data + p->l4, p->len - p->l4);

	rd_skip(&r, 4);
	out->seq = rd_be32(&r);
	out->ack = rd_be32(&r);
	u32 head = (u32)(rd_u8(&r) >> 4) * 4;
	out->flags = rd_u8(&r);
	out->wnd = rd_be16(&r);
	rd_skip(&r, 4);
	if (head < 20)
		return false;
	struct span options = rd_bytes(&r, head - 20);
	out->data = rd_bytes(&r, rd_left(&r));
	out->mss = out->flags & TCP_SYN ? mss_option(rd_span(options)) : 0;
	return rd_ok(&r);
}

bool tcp_segment_checksum_is_right(const u8 *data, const struct packet *p)
{
	bool is_v6 = p->src.family == 6;
	u32 n = p->len - p->l4;
	u64 sum = csum_pseudo(data + (is_v6 ? 8 : 12), is_v6 ? 16 : 4, n, IPPROTO_TCP_);
	return csum_finish(csum_add(sum, data + p->l4, n)) == 0;
}

/* --- answers that are not data ------------------------------------------------------------------------------------- */

/* RFC 5961 §7: whatever a stranger sends costs only so many answers. */
static void challenge(struct tcp_stack *s, struct tcb *c)
{
	if (time_since(s->now, c->challenge_at) >= SEC(1)) {
		c->challenge_at = s->now;
		c->challenges = 0;
	}
	if (c->challenges++ >= TCP_CHALLENGES_MAX)
		return;
	s->stats.challenges++;
	c->owes_ack = true;
}

/* --- acknowledgements ---------------------------------------------------------------------------------------------- */

/* RFC 6298 §2, in nanoseconds. A time-out that was doubled stays so until the next sample: the path may have become longer (§5.7). */
static void rtt_sample(struct tcb *c, u64 rtt)
{
	rtt = MAX(rtt, USEC(1));
	if (c->srtt == 0) {
		c->srtt = rtt;
		c->rttvar = rtt / 2;
	} else {
		u64 off = rtt > c->srtt ? rtt - c->srtt : c->srtt - rtt;
		c->rttvar += off / 4 - c->rttvar / 4;
		c->srtt += rtt / 8 - c->srtt / 8;
	}
	u64 rto = MAX(c->srtt + 4 * c->rttvar, TCP_RTO_MIN);
	c->rto = MIN(rto, TCP_RTO_MAX);
}

static void grow_cwnd(struct tcb *c, u32 acked)
{
	if (c->cwnd < c->ssthresh)
		c->cwnd += MIN(acked, 2 * c->mss); /* RFC 3465 */
	else
		c->cwnd += MAX(c->mss * c->mss / c->cwnd, 1u);
	c->cwnd = MIN(c->cwnd, 2 * TCP_SEND_MAX);
}

static void enter_recovery(struct tcp_stack *s, struct tcb *c)
{
	s->stats.fast_retransmits++;
	c->ssthresh = MAX((c->snd_nxt - c->snd_una) / 2, 2 * c->mss);
	c->recover = c->snd_max;
	c->cwnd = c->ssthresh + DUP_ACKS * c->mss;
	c->is_recovering = c->retransmits_one = true;
	c->rto_at = s->now + c->rto;
}

/* RFC 5827: with little in flight and nothing new to send, three duplicates may never come. */
static u32 dup_ack_threshold(const struct tcb *c)
{
	u32 segments = (c->snd_max - c->snd_una + c->mss - 1) / c->mss;

	if (seq_lt(c->snd_nxt, tcb_fin_seq(c)) || segments > DUP_ACKS)
		return DUP_ACKS;
	return MAX(segments, 2u) - 1;
}

static void duplicate_ack(struct tcp_stack *s, struct tcb *c)
{
	c->dup_acks++;
	if (c->is_recovering)
		c->cwnd = MIN(c->cwnd + c->mss, 2 * TCP_SEND_MAX);
	else if (c->dup_acks >= dup_ack_threshold(c) && seq_le(c->recover, c->snd_una))
		enter_recovery(s, c);
}

static void recovery_ack(struct tcp_stack *s, struct tcb *c, u32 acked)
{
	if (seq_lt(c->snd_una, c->recover)) { /* RFC 6582 §3.2: the next hole */
		c->retransmits_one = true;
		c->cwnd = MAX(c->cwnd > acked ? c->cwnd - acked : 0, c->mss) + (acked >= c->mss ? c->mss : 0);
		c->rto_at = s->now + c->rto;
		return;
	}
	u32 flight = MAX(c->snd_nxt - c->snd_una, c->mss);
	c->cwnd = MIN(c->ssthresh, flight + c->mss);
	c->is_recovering = false;
	c->dup_acks = 0;
}

static void new_ack(struct tcp_stack *s, struct tcb *c, u32 ack)
{
	u32 acked = ack - c->snd_una;

	if (seq_lt(c->tx_seq, ack)) {
		u32 n = MIN(ack - c->tx_seq, c->tx.len);
		tcp_ring_drop(&c->tx, n);
		c->tx_seq += n;
	}
	c->snd_una = ack;
	c->snd_nxt = seq_max(c->snd_nxt, ack);
	c->moved_at = s->now;
	c->retries = 0;
	c->stalled_at = TIME_NEVER;
	if (c->timed_at != TIME_NEVER && seq_le(c->timed_seq, ack)) {
		rtt_sample(c, time_since(s->now, c->timed_at));
		c->timed_at = TIME_NEVER;
	}
	c->rto_at = c->snd_nxt == c->snd_una ? TIME_NEVER : s->now + c->rto;
	if (c->is_recovering) {
		recovery_ack(s, c, acked);
	} else {
		c->dup_acks = 0;
		grow_cwnd(c, acked);
	}
	if (c->tx.len == 0) {
		tcp_ring_trim(&c->tx, &s->stats.buffered);
		if (c->owes_writable)
			tcb_tell(s, c, TCP_EVENT_WRITABLE);
		c->owes_writable = c->was_short = false;
	} else if (c->was_short && c->tx.len <= TCP_SEND_MAX / 2) {
		c->was_short = false;
		tcb_tell(s, c, TCP_EVENT_WRITABLE);
	}
}

static void take_window(struct tcb *c, const struct segment *g)
{
	if (!seq_lt(c->snd_wl1, g->seq) && !(c->snd_wl1 == g->seq && seq_le(c->snd_wl2, g->ack)))
		return;
	if (g->wnd > c->snd_wnd)
		c->stalled_at = TIME_NEVER;
	c->snd_wnd = g->wnd;
	c->snd_wl1 = g->seq;
	c->snd_wl2 = g->ack;
	c->max_wnd = MAX(c->max_wnd, g->wnd);
}

/* False: nothing more of the segment counts. */
static bool take_ack(struct tcp_stack *s, struct tcb *c, const struct segment *g)
{
	if (seq_lt(c->snd_max, g->ack) || seq_lt(g->ack, c->snd_una - c->max_wnd)) { /* RFC 5961 §5 */
		s->stats.rx_out_of_window++;
		challenge(s, c);
		return false;
	}
	if (seq_lt(c->snd_una, g->ack))
		new_ack(s, c, g->ack);
	else if (g->ack == c->snd_una && c->snd_una != c->snd_max && seg_len(g) == 0 && g->wnd == c->snd_wnd && g->wnd > 0)
		duplicate_ack(s, c);
	take_window(c, g);
	return true;
}

/* What our acknowledged FIN means; false when the connection is gone. */
static bool after_fin_acked(struct tcp_stack *s, struct tcb *c)
{
	if (!tcb_fin_is_acked(c))
		return true;
	switch (c->state) {
	case TCB_FIN_WAIT_1:
		tcb_enter(s, c, TCB_FIN_WAIT_2);
		return true;
	case TCB_CLOSING:
		tcb_enter(s, c, TCB_TIME_WAIT);
		return true;
	case TCB_LAST_ACK:
		tcb_enter(s, c, TCB_DONE);
		return false;
	case TCB_SYN_SENT:
	case TCB_SYN_RECEIVED:
	case TCB_ESTABLISHED:
	case TCB_FIN_WAIT_2:
	case TCB_CLOSE_WAIT:
	case TCB_TIME_WAIT:
	case TCB_DONE:
	case TCB_FAILED:
		return true;
	}
	return true;
}

/* --- data ---------------------------------------------------------------------------------------------------------- */

/* Notes that [start, end) is here, merged with its neighbours; false when there is no place for one more. */
static bool add_range(struct tcb *c, struct range r)
{
	u32 i = 0, n;

	while (i < c->n_ranges && seq_lt(c->ranges[i].end, r.start))
		i++;
	for (n = i; n < c->n_ranges && seq_le(c->ranges[n].start, r.end); n++) {
		r.start = seq_lt(c->ranges[n].start, r.start) ? c->ranges[n].start : r.start;
		r.end = seq_max(c->ranges[n].end, r.end);
	}
	if (n == i && c->n_ranges == TCP_RANGES_MAX)
		return false;
	memmove(&c->ranges[i + 1], &c->ranges[n], (c->n_ranges - n) * sizeof(r));
	c->n_ranges -= n - i;
	c->n_ranges++;
	c->ranges[i] = r;
	return true;
}

/* In order now: what came before its turn too. */
static void advance(struct tcb *c, u32 n)
{
	c->rcv_nxt += n;
	c->rx.len += n;
	while (c->n_ranges > 0 && seq_le(c->ranges[0].start, c->rcv_nxt)) {
		if (seq_lt(c->rcv_nxt, c->ranges[0].end)) {
			n = c->ranges[0].end - c->rcv_nxt;
			c->rcv_nxt += n;
			c->rx.len += n;
		}
		c->n_ranges--;
		memmove(&c->ranges[0], &c->ranges[1], c->n_ranges * sizeof(c->ranges[0]));
	}
}

static void store(struct tcp_stack *s, struct tcb *c, u32 seq, struct span data)
{
	u32 n = (u32)data.n, at = c->rx.len + (seq - c->rcv_nxt);

	if (tcp_ring_reserve(&c->rx, at + n, TCP_RECEIVE_MAX, &s->stats.buffered)) {
		s->stats.rx_dropped++;
		return;
	}
	if (seq == c->rcv_nxt) {
		tcp_ring_put(&c->rx, at, data.p, n);
		advance(c, n);
		c->moved_at = s->now;
		tcb_tell(s, c, TCP_EVENT_READABLE);
		return;
	}
	s->stats.rx_out_of_order++;
	if (add_range(c, (struct range){ seq, seq + n }))
		tcp_ring_put(&c->rx, at, data.p, n);
	else
		s->stats.rx_dropped++;
}

static void acknowledge(struct tcb *c, bool is_in_order)
{
	if (is_in_order)
		c->owes_ack = true;
	else
		c->owes_dup_acks = MIN(c->owes_dup_acks + 1, DUP_ACKS_OWED_MAX);
}

/* Bytes and FIN of an acceptable segment, cut to what is new and within the window. */
static void take_data(struct tcp_stack *s, struct tcb *c, const struct segment *g)
{
	struct span data = g->data;
	u32 seq = g->seq, wnd = tcb_window(c);
	bool has_fin = g->flags & TCP_FIN;
	bool was_in_order = seq_le(seq, c->rcv_nxt);

	if (seq_lt(seq, c->rcv_nxt)) {
		u32 old = MIN(c->rcv_nxt - seq, (u32)data.n);
		data.p += old;
		data.n -= old;
		seq += old;
	}
	u32 end = c->rcv_nxt + wnd;
	if (seq_lt(end, seq + (u32)data.n)) {
		data.n = seq_lt(seq, end) ? end - seq : 0;
		has_fin = false;
	}
	if (has_fin && !c->has_fin && seq_le(c->rcv_nxt, seq + (u32)data.n)) {
		c->has_fin = true;
		c->fin_seq = seq + (u32)data.n;
	}
	if (c->has_fin && seq_lt(c->fin_seq, seq + (u32)data.n)) /* nothing comes after an end */
		data.n = seq_lt(seq, c->fin_seq) ? c->fin_seq - seq : 0;
	if (data.n > 0 && c->is_users)
		store(s, c, seq, data);
	else if (data.n > 0 && seq == c->rcv_nxt)
		c->rcv_nxt += (u32)data.n; /* nobody wants it any more */
	if (seg_len(g) > 0)
		acknowledge(c, was_in_order);
}

static void take_fin(struct tcp_stack *s, struct tcb *c)
{
	if (!c->has_fin || c->got_fin || c->rcv_nxt != c->fin_seq)
		return;
	c->got_fin = true;
	c->rcv_nxt++;
	c->n_ranges = 0;
	tcb_tell(s, c, TCP_EVENT_READABLE);
	if (c->state == TCB_ESTABLISHED)
		tcb_enter(s, c, TCB_CLOSE_WAIT);
	else if (c->state == TCB_FIN_WAIT_1)
		tcb_enter(s, c, TCB_CLOSING);
	else if (c->state == TCB_FIN_WAIT_2)
		tcb_enter(s, c, TCB_TIME_WAIT);
}

/* --- the states ---------------------------------------------------------------------------------------------------- */

static bool is_acceptable(const struct tcb *c, const struct segment *g)
{
	u32 wnd = tcb_window(c), len = seg_len(g);

	if (wnd == 0)
		return g->seq == c->rcv_nxt;
	if (len == 0)
		return seq_le(c->rcv_nxt, g->seq) && seq_lt(g->seq, c->rcv_nxt + wnd);
	return seq_lt(g->seq, c->rcv_nxt + wnd) && seq_lt(c->rcv_nxt, g->seq + len);
}

static void establish(struct tcp_stack *s, struct tcb *c, const struct segment *g)
{
	/* RFC 5681 §3.1: one segment after a SYN lost twice */
	c->cwnd = c->retries > 1 ? c->mss : INITIAL_SEGMENTS * c->mss;
	c->snd_wnd = c->max_wnd = g->wnd;
	c->snd_wl1 = g->seq;
	c->snd_wl2 = g->ack;
	c->recover = c->iss;
	tcb_enter(s, c, c->wants_fin ? TCB_FIN_WAIT_1 : TCB_ESTABLISHED);
	if (c->is_active) {
		s->stats.connected++;
		tcb_tell(s, c, TCP_EVENT_CONNECTED);
	} else {
		s->stats.accepted++;
		c->is_users = true;
		tcb_tell(s, c, TCP_EVENT_ACCEPTED);
	}
}

static void take_syn(struct tcb *c, const struct segment *g)
{
	c->irs = g->seq;
	c->rcv_nxt = g->seq + 1;
	c->rcv_adv = c->rcv_nxt + TCP_RECEIVE_MAX;
	c->mss = tcb_mss_of(c, g->mss);
}

/* Our SYN is acknowledged; how often it had been sent says what the first window may be. */
static void finish_handshake(struct tcp_stack *s, struct tcb *c, const struct segment *g)
{
	u32 retries = c->retries;

	new_ack(s, c, g->ack);
	c->retries = retries;
	establish(s, c, g);
	c->retries = 0;
}

/* Returns false when the connection is gone or nothing is left to do. */
static bool in_syn_sent(struct tcp_stack *s, struct tcb *c, const struct packet *p, struct segment *g)
{
	bool has_ack = g->flags & TCP_ACK;

	if (has_ack && (seq_le(g->ack, c->iss) || seq_lt(c->snd_max, g->ack))) {
		tcp_reply_reset(s, p, g);
		return false;
	}
	if (g->flags & TCP_RST) {
		if (has_ack)
			tcb_fail(s, c, ERR_CLOSED);
		return false;
	}
	if (!(g->flags & TCP_SYN))
		return false;
	take_syn(c, g);
	if (!has_ack) { /* both at once */
		tcb_enter(s, c, TCB_SYN_RECEIVED);
		c->snd_nxt = c->iss;
		c->rto_at = TIME_NEVER;
		return false;
	}
	finish_handshake(s, c, g);
	c->owes_ack = true;
	g->seq++;
	g->flags &= (u8)~TCP_SYN;
	return true;
}

static bool in_syn_received(struct tcp_stack *s, struct tcb *c, const struct packet *p, const struct segment *g)
{
	if (seq_le(g->ack, c->snd_una) || seq_lt(c->snd_max, g->ack)) {
		tcp_reply_reset(s, p, g);
		return false;
	}
	finish_handshake(s, c, g);
	return true;
}

/* RST and SYN where a connection is (RFC 5961 §3, §4). True: go on. */
static bool survives(struct tcp_stack *s, struct tcb *c, const struct segment *g)
{
	if (g->flags & TCP_RST) {
		if (g->seq != c->rcv_nxt)
			challenge(s, c);
		else if (c->state == TCB_SYN_RECEIVED && !c->is_active)
			tcb_free(s, c);
		else if (c->state == TCB_TIME_WAIT)
			tcb_enter(s, c, TCB_DONE);
		else
			tcb_fail(s, c, ERR_CLOSED);
		return false;
	}
	if (g->flags & TCP_SYN) {
		challenge(s, c);
		return false;
	}
	return g->flags & TCP_ACK;
}

static void unacceptable(struct tcp_stack *s, struct tcb *c, const struct segment *g)
{
	s->stats.rx_out_of_window++;
	if (g->flags & TCP_RST)
		return;
	if (c->state == TCB_SYN_RECEIVED && (g->flags & TCP_SYN) && g->seq == c->irs) {
		c->snd_nxt = c->iss; /* it did not hear our SYN */
		return;
	}
	if (c->state == TCB_TIME_WAIT && (g->flags & TCP_FIN))
		c->state_until = s->now + TCP_TIME_WAIT;
	if (seg_len(g) > 0)
		c->owes_ack = true;
	else
		challenge(s, c);
}

/* Data for somebody who closed, when nothing of ours is under way any more: it is told. */
static bool is_unwanted(const struct tcb *c, const struct segment *g)
{
	return c->state == TCB_FIN_WAIT_2 && !c->is_users && g->data.n > 0 && seq_lt(c->rcv_nxt, g->seq + (u32)g->data.n);
}

static void arrive(struct tcp_stack *s, struct tcb *c, const struct packet *p, struct segment *g)
{
	if (c->state == TCB_SYN_SENT) {
		if (!in_syn_sent(s, c, p, g))
			return;
	} else {
		if (!is_acceptable(c, g)) {
			unacceptable(s, c, g);
			return;
		}
		if (!survives(s, c, g))
			return;
		if (c->state == TCB_SYN_RECEIVED && !in_syn_received(s, c, p, g))
			return;
		if (!take_ack(s, c, g) || !after_fin_acked(s, c))
			return;
	}
	if (is_unwanted(c, g)) {
		tcp_reply_reset(s, p, g);
		tcb_free(s, c);
		return;
	}
	if (!c->got_fin) {
		take_data(s, c, g);
		take_fin(s, c);
	} else if (seg_len(g) > 0) {
		c->owes_ack = true;
	}
}

/* --- the door ------------------------------------------------------------------------------------------------------ */

static bool is_host(const struct ip *ip)
{
	return !ip_is_unspecified(ip) && !ip_is_multicast(ip) && !ip_is_broadcast(ip);
}

static void in_listen(struct tcp_stack *s, struct listener *l, const struct packet *p, const struct segment *g)
{
	struct endpoint local = { p->dst, p->dst_port }, remote = { p->src, p->src_port };

	if (g->flags & TCP_RST)
		return;
	if ((g->flags & TCP_ACK) || !(g->flags & TCP_SYN)) {
		if (g->flags & TCP_ACK)
			tcp_reply_reset(s, p, g);
		return;
	}
	if (!is_host(&p->src) || p->src_port == 0 || endpoint_eq(&local, &remote)) {
		s->stats.rx_dropped++;
		return;
	}
	struct tcb *c = tcb_for_syn(s, l, &local, &remote);
	if (!c) {
		s->stats.refused++;
		tcp_reply_reset(s, p, g);
		return;
	}
	tcb_set_count(c, COUNT_OPEN);
	c->state = TCB_SYN_RECEIVED;
	take_syn(c, g);
	tcb_touch(s, c);
}

/* RFC 9293 §3.10.7.4: a new incarnation may take over. */
static bool is_taken_over(const struct tcb *c, const struct segment *g)
{
	return c->state == TCB_TIME_WAIT && !c->is_active && (g->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN &&
	       seq_lt(c->rcv_nxt, g->seq);
}

static int tcp_input(struct tcp_stack *s, const u8 *data, const struct packet *p)
{
	struct endpoint local = { p->dst, p->dst_port }, remote = { p->src, p->src_port };
	struct tcb_key key = tcb_key_of(&local, &remote), listen_key = tcb_key_of(&local, NULL);
	struct tcb *c = table_get(&s->by_key, &key);
	struct listener *l = table_get(&s->listeners, &listen_key);
	struct segment g;

	if (!c && !l)
		return ERR_NOT_OURS;
	s->stats.rx_packets++;
	if (!tcp_segment_checksum_is_right(data, p) || !tcp_segment_parse(data, p, &g)) {
		s->stats.rx_bad_checksum++;
		return 0;
	}
	if (c && l && is_taken_over(c, &g)) {
		tcb_enter(s, c, TCB_DONE);
		c = NULL;
	}
	if (!c) {
		if (l)
			in_listen(s, l, p, &g);
		return 0;
	}
	arrive(s, c, p, &g);
	c = table_get(&s->by_key, &key); /* it may be gone */
	if (c)
		tcb_touch(s, c);
	return 0;
}

/* RFC 5927 §4: only a quote of something in flight is believed. */
static int icmp_input(struct tcp_stack *s, const u8 *data, const struct packet *p)
{
	struct packet q;

	if (packet_parse_quoted(data, p, &q) || q.kind != L4_TCP)
		return ERR_NOT_OURS;
	struct endpoint local = { q.src, q.src_port }, remote = { q.dst, q.dst_port };
	struct tcb_key key = tcb_key_of(&local, &remote);
	struct tcb *c = table_get(&s->by_key, &key);
	if (!c)
		return ERR_NOT_OURS;
	u32 at = p->l4 + 8u + q.l4;
	u32 seq = at + 8 <= p->len ? get_be32(data + at + 4) : c->snd_una - 1;
	bool is_v4 = p->src.family == 4;
	bool is_too_big = is_v4 ? p->icmp_type == ICMP4_UNREACHABLE && p->icmp_code == ICMP4_FRAGMENTATION_NEEDED :
				  p->icmp_type == ICMP6_TOO_BIG;
	if (seq_lt(seq, c->snd_una) || !seq_lt(seq, c->snd_max)) {
		s->stats.icmp_ignored++;
		return 0;
	}
	if (!is_too_big) {
		tcb_fail(s, c, packet_is_prohibited(p) ? ERR_DENIED : ERR_NO_ROUTE);
		return 0;
	}
	u32 mtu = is_v4 ? get_be16(data + p->l4 + 6) : get_be32(data + p->l4 + 4);
	u32 mss = mtu > 60 ? MAX(mtu - (is_v4 ? 40u : 60u), TCP_MSS_MIN) : TCP_MSS_MIN;
	if (mss >= c->mss || !tcb_is_synchronized(c) || c->state == TCB_TIME_WAIT) {
		s->stats.icmp_ignored++;
		return 0;
	}
	c->mss = mss;
	c->snd_nxt = c->snd_una;
	c->timed_at = TIME_NEVER;
	tcb_touch(s, c);
	return 0;
}

int tcp_stack_input(struct tcp_stack *s, u64 now, const u8 *data, const struct packet *p)
{
	s->now = now;
	tcp_out_reset(s);
	if (p->kind == L4_TCP)
		return tcp_input(s, data, p);
	if (p->kind == L4_ICMP_ERROR)
		return icmp_input(s, data, p);
	return ERR_NOT_OURS;
}

void tcp_stack_refuse(struct tcp_stack *s, u64 now, const u8 *data, const struct packet *p)
{
	struct segment g;

	s->now = now;
	tcp_out_reset(s);
	if (p->kind != L4_TCP || !is_host(&p->src) || !tcp_segment_checksum_is_right(data, p) || !tcp_segment_parse(data, p, &g))
		return;
	tcp_reply_reset(s, p, &g);
}
