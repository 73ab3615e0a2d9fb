/* The data path of the TURN server (spec 50 §5).
 *
 * Theory of operation. Input is a run of datagrams of one sender. Each datagram becomes one or two pieces (pointer, length) of received
 * memory that are appended to the transmit its channel opened in this round, as long as UDP GSO allows: equal sizes, one shorter at the
 * end. Towards a peer the four header bytes are skipped. Towards a client they are written in front of the payload where that memory is
 * spent (the first datagram of a run has headroom); for the others the header is a piece of its own, shared by all datagrams of equal
 * length. Order within a flow holds, because a flow only ever appends to its newest transmit.
 */
#include "core/turn/server_int.h"

const struct turn_tx *turn_server_tx(const struct turn_server *s, size_t *n)
{
	*n = s->n_tx;
	return s->tx;
}

void turn_server_tx_done(struct turn_server *s)
{
	s->n_tx = 0;
	s->arena_used = 0;
}

/* One datagram never needs more than one transmit and one message. */
static bool has_room(const struct turn_server *s)
{
	return s->n_tx < TURN_TX_MAX && s->arena_used + REPLY_MAX <= ARENA_BYTES;
}

u8 *arena_reserve(struct turn_server *s)
{
	return s->arena + s->arena_used;
}

static struct turn_tx *tx_open(struct turn_server *s, void *sock, const struct ip *src, const struct endpoint *dst, size_t seg)
{
	struct turn_tx *t = &s->tx[s->n_tx++];

	t->sock = sock;
	t->src = *src;
	t->dst = *dst;
	t->len = 0;
	t->seg = (u16)seg;
	t->n_segments = t->n_pieces = 0;
	t->owner = NULL;
	return t;
}

static void add_piece(struct turn_tx *t, const u8 *p, size_t n)
{
	struct span *last = t->n_pieces > 0 ? &t->pieces[t->n_pieces - 1] : NULL;

	if (last && last->p + last->n == p)
		last->n += n;
	else
		t->pieces[t->n_pieces++] = SPAN(p, n);
	t->len += (u32)n;
}

/* Counts a segment of n bytes whose pieces were added; a shorter one ends the run. */
static void end_segment(struct turn_tx *t, size_t n)
{
	t->n_segments++;
	if (n < t->seg || n == 0)
		t->owner = NULL;
}

/* The transmit that `flow` may append n bytes to, NULL when it must open another. */
static struct turn_tx *tx_of_flow(struct turn_server *s, const u16 *flow, size_t n)
{
	if (*flow >= s->n_tx)
		return NULL;
	struct turn_tx *t = &s->tx[*flow];
	bool fits = t->owner == flow && n > 0 && n <= t->seg && t->n_segments < TURN_TX_SEGMENTS && t->len + n <= TURN_TX_BYTES;
	return fits ? t : NULL;
}

static void tx_keep_for_flow(struct turn_server *s, struct turn_tx *t, u16 *flow)
{
	*flow = (u16)(t - s->tx);
	t->owner = t->seg <= TURN_TX_SEGMENT ? flow : NULL;
}

void send_message(struct turn_server *s, void *sock, const struct ip *src, const struct endpoint *dst, const u8 *p, size_t n)
{
	struct turn_tx *t = tx_open(s, sock, src, dst, n);

	add_piece(t, p, n);
	end_segment(t, n);
	if (p == s->arena + s->arena_used)
		s->arena_used += n;
}

void cancel_tx_of(struct turn_server *s, const void *sock4, const void *sock6)
{
	for (size_t i = 0; i < s->n_tx; i++) {
		struct turn_tx *t = &s->tx[i];
		if (!t->sock || (t->sock != sock4 && t->sock != sock6))
			continue;
		t->sock = NULL;
		t->owner = NULL;
		t->n_segments = t->n_pieces = 0;
		t->len = 0;
		s->stats.tx_cancelled++;
	}
}

void forget_tx_of(struct turn_server *s, const struct turn_channel *c)
{
	if (c->to_peer_tx < s->n_tx && s->tx[c->to_peer_tx].owner == &c->to_peer_tx)
		s->tx[c->to_peer_tx].owner = NULL;
	if (c->to_client_tx < s->n_tx && s->tx[c->to_client_tx].owner == &c->to_client_tx)
		s->tx[c->to_client_tx].owner = NULL;
}

/* --- peer to client ---------------------------------------------------------------------------------------------------------- */

static void channel_to_client(struct turn_server *s, struct turn_channel *c, u8 *p, size_t n, bool has_headroom)
{
	size_t total = CHANNEL_HEADER + n;
	struct turn_tx *t = tx_of_flow(s, &c->to_client_tx, total);

	if (!t) {
		t = tx_open(s, NULL, &c->alloc->local, &c->alloc->client, total);
		tx_keep_for_flow(s, t, &c->to_client_tx);
		channel_header(t->header[0], c->number, (u16)n);
	}
	if (has_headroom) {
		channel_header(p - CHANNEL_HEADER, c->number, (u16)n);
		add_piece(t, p - CHANNEL_HEADER, total);
	} else {
		u8 *header = t->header[total == t->seg ? 0 : 1];
		channel_header(header, c->number, (u16)n);
		add_piece(t, header, CHANNEL_HEADER);
		if (n > 0)
			add_piece(t, p, n);
	}
	end_segment(t, total);
	s->stats.to_client_packets++;
	s->stats.to_client_bytes += n;
}

/* Data indication: RFC rules, a permission but no channel. The payload is copied; nobody in a hurry comes this way. */
static void indicate_to_client(struct turn_server *s, struct turn_alloc *a, const struct endpoint *from, const u8 *p, size_t n)
{
	u8 *buf = arena_reserve(s);
	u8 txid[STUN_TXID];
	struct stun_builder b;

	rng_fill(s->rng, txid, sizeof(txid));
	stun_begin(&b, buf, REPLY_MAX, STUN_INDICATION, TURN_DATA, txid);
	stun_put_xor_address(&b, ATTR_XOR_PEER_ADDRESS, from);
	stun_put(&b, ATTR_DATA, SPAN(p, n));
	int len = stun_end(&b);
	if (len < 0) {
		s->stats.rx_too_long++;
		return;
	}
	send_message(s, NULL, &a->local, &a->client, buf, (size_t)len);
	s->stats.to_client_packets++;
	s->stats.to_client_bytes += n;
}

static struct turn_channel *bound_channel_of_peer(struct turn_server *s, struct turn_alloc *a, u64 now, const struct endpoint *from)
{
	struct turn_channel *c = a->last_peer;

	if (!c || !endpoint_eq(&c->peer, from)) {
		c = channel_by_peer(s, a, from);
		if (!c)
			return NULL;
		a->last_peer = c;
	}
	return c->is_bound && now < c->expires ? c : NULL;
}

static void to_client(struct turn_server *s, struct turn_alloc *a, u64 now, const struct endpoint *from, u8 *p, size_t n,
		      bool has_headroom)
{
	struct turn_channel *c = bound_channel_of_peer(s, a, now, from);

	if (n > TURN_TX_BYTES)
		s->stats.rx_too_long++;
	else if (c)
		channel_to_client(s, c, p, n, has_headroom);
	else if (s->rules == TURN_RULES_RFC && permission_holds(s, a, &from->ip, now))
		indicate_to_client(s, a, from, p, n);
	else
		s->stats.rx_no_peer++;
}

/* Works off one run; false when there is no room, `*offset` then says where to go on. */
static bool peer_run(struct turn_server *s, u64 now, struct turn_alloc *a, struct udp_rx *rx, u32 *offset)
{
	u32 seg = rx->seg > 0 ? rx->seg : rx->len;

	do {
		if (!has_room(s))
			return false;
		size_t n = MIN(seg, rx->len - *offset);
		to_client(s, a, now, &rx->remote, rx->data + *offset, n, *offset == 0);
		*offset += seg;
	} while (*offset < rx->len);
	return true;
}

bool turn_server_peer_input(struct turn_server *s, u64 now, struct turn_alloc *a, struct turn_input *in)
{
	for (; in->at < in->n; in->at++, in->offset = 0) {
		if (in->rx[in->at].remote.port == 0)
			s->stats.rx_port_zero++;
		else if (!peer_run(s, now, a, &in->rx[in->at], &in->offset))
			return true;
	}
	return false;
}

/* --- client to peer ---------------------------------------------------------------------------------------------------------- */

/* The allocation behind a peer address that is our own, NULL when there is none: then the packet goes out like any other. */
static struct turn_alloc *own_alloc(const struct turn_server *s, const struct endpoint *peer)
{
	if (peer->port < s->lowest_port || peer->port > s->highest_port)
		return NULL;
	struct turn_alloc *a = s->by_port[peer->port - s->lowest_port];
	return a && (ip_is_v4(&peer->ip) ? a->has4 : a->has6) ? a : NULL;
}

/* `p` has CHANNEL_HEADER spent bytes before it. True: delivered to another allocation of ours. */
static bool hairpin(struct turn_server *s, struct turn_alloc *a, u64 now, const struct endpoint *peer, u8 *p, size_t n)
{
	struct turn_alloc *b = own_alloc(s, peer);

	if (!b)
		return false;
	struct endpoint from = { ip_is_v4(&peer->ip) ? s->public4 : s->public6, a->port };
	s->stats.to_peer_packets++;
	s->stats.to_peer_bytes += n;
	to_client(s, b, now, &from, p, n, true);
	return true;
}

static void channel_to_peer(struct turn_server *s, struct turn_channel *c, u64 now, u8 *p, size_t n)
{
	struct turn_alloc *a = c->alloc;

	if (c->is_own_ip && hairpin(s, a, now, &c->peer, p, n))
		return;
	struct turn_tx *t = tx_of_flow(s, &c->to_peer_tx, n);
	if (!t) {
		static const struct ip any = { .family = 0 };
		t = tx_open(s, ip_is_v4(&c->peer.ip) ? a->sock4 : a->sock6, &any, &c->peer, n);
		tx_keep_for_flow(s, t, &c->to_peer_tx);
	}
	add_piece(t, p, n);
	end_segment(t, n);
	s->stats.to_peer_packets++;
	s->stats.to_peer_bytes += n;
}

/* The payload of a Send indication; memory before `p` is spent too. */
void data_to_peer(struct turn_server *s, struct turn_alloc *a, u64 now, const struct endpoint *peer, u8 *p, size_t n)
{
	static const struct ip any = { .family = 0 };
	bool is_own = ip_eq(&peer->ip, ip_is_v4(&peer->ip) ? &s->public4 : &s->public6);

	if (is_own && hairpin(s, a, now, peer, p, n))
		return;
	send_message(s, ip_is_v4(&peer->ip) ? a->sock4 : a->sock6, &any, peer, p, n);
	s->stats.to_peer_packets++;
	s->stats.to_peer_bytes += n;
}

static void channel_data(struct turn_server *s, struct turn_alloc *a, u64 now, u8 *p, size_t n)
{
	if (n < CHANNEL_HEADER || get_be16(p + 2) > n - CHANNEL_HEADER) {
		s->stats.rx_garbage++;
		return;
	}
	u16 number = get_be16(p);
	struct turn_channel *c = a ? a->last_number : NULL;
	if (a && (!c || c->number != number)) {
		c = channel_by_number(s, a, number);
		if (c)
			a->last_number = c;
	}
	if (c && c->is_bound && now < c->expires)
		channel_to_peer(s, c, now, p + CHANNEL_HEADER, get_be16(p + 2));
	else
		s->stats.rx_no_channel++;
}

static bool client_run(struct turn_server *s, u64 now, u64 wall, struct udp_rx *rx, u32 *offset)
{
	u32 seg = rx->seg > 0 ? rx->seg : rx->len;
	u8 channel_first = CHANNEL_MIN >> 8, channel_last = (u8)(s->channel_max >> 8);
	struct turn_alloc *a = alloc_of_client(s, &rx->remote);

	for (; *offset < rx->len; *offset += seg) {
		if (!has_room(s))
			return false;
		u8 *p = rx->data + *offset;
		size_t n = MIN(seg, rx->len - *offset);
		if (p[0] >= channel_first && p[0] <= channel_last) {
			channel_data(s, a, now, p, n);
		} else if (p[0] < 4) {
			handle_stun(s, now, wall, &rx->remote, &rx->local.ip, (struct mspan){ p, n });
			a = alloc_of_client(s, &rx->remote);
		} else {
			s->stats.rx_garbage++;
		}
	}
	return true;
}

bool turn_server_input(struct turn_server *s, u64 now, u64 wall, struct turn_input *in)
{
	if (now >= turn_server_next_timeout(s))
		turn_server_timeout(s, now);
	for (; in->at < in->n; in->at++, in->offset = 0) {
		if (in->rx[in->at].remote.port == 0)
			s->stats.rx_port_zero++;
		else if (!client_run(s, now, wall, &in->rx[in->at], &in->offset))
			return true;
	}
	return false;
}
