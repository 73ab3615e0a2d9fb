#define LOG_TARGET "sim::internet"
#include "tests/sim/internet.h"

#include "core/base/cursor.h"
#include "core/base/heap.h"
#include "core/base/log.h"

#include <stdlib.h>
#include <string.h>

#define FLIGHTS_MAX 65536u
#define INITIATION_BYTES 148u
#define RESPONSE_BYTES 92u
#define ARENA_BYTES (1u << 20)
#define RX_HEADROOM 64u

/* A datagram under way. `order` keeps those of one instant apart. */
struct flight {
	struct heap_node node;
	struct endpoint src, dst; /* as on the wire between boxes */
	u8 ecn;
	u32 len;
	bool is_local; /* inside one LAN */
	struct inet_host *to; /* arrived: waiting to be delivered */
	struct flight *next;
	u8 data[];
};

struct internet {
	struct rng *rng;
	struct internet_link link;
	struct inet_host hosts[NET_HOSTS];
	u32 n_hosts;
	struct box boxes[NET_BOXES];
	u32 n_boxes;
	const struct inet_host *blocked[2];
	struct heap flights;
	struct flight *arrived, **last_arrived;
	u8 *arena;
	struct internet_stats stats;
	u64 digest;
};

struct internet *internet_new(struct rng *rng)
{
	struct internet *n = calloc(1, sizeof(*n));
	n->rng = rng;
	n->arena = malloc(ARENA_BYTES);
	n->last_arrived = &n->arrived;
	heap_init(&n->flights, FLIGHTS_MAX);
	return n;
}

void internet_free(struct internet *n)
{
	struct heap_node *node;
	while ((node = heap_pop_due(&n->flights, TIME_NEVER - 1)))
		free(container_of(node, struct flight, node));
	while (n->arrived) {
		struct flight *f = n->arrived;
		n->arrived = f->next;
		free(f);
	}
	heap_deinit(&n->flights);
	free(n->arena);
	free(n);
}

struct internet_link *internet_link(struct internet *n)
{
	return &n->link;
}

const struct internet_stats *internet_stats(const struct internet *n)
{
	return &n->stats;
}

u64 internet_digest(const struct internet *n)
{
	return n->digest;
}

struct inet_host *internet_add_host(struct internet *n, u64 latency)
{
	if (n->n_hosts == NET_HOSTS)
		abort();
	struct inet_host *h = &n->hosts[n->n_hosts++];
	h->latency = latency;
	return h;
}

struct box *internet_add_box(struct internet *n, u8 family, const struct ip *public)
{
	if (n->n_boxes == NET_BOXES)
		abort();
	struct box *b = &n->boxes[n->n_boxes++];
	b->family = family;
	b->public = *public;
	b->lifetime = MINUTES(2);
	b->next_port = 20000;
	return b;
}

void internet_forget(struct box *b)
{
	b->n_mappings = 0;
}

void internet_block(struct internet *n, const struct inet_host *a, const struct inet_host *b)
{
	n->blocked[0] = a;
	n->blocked[1] = b;
}

static struct box *box_of(const struct inet_host *h, u8 family)
{
	return h->box[family == 6];
}

static bool has_address(const struct inet_host *h, const struct ip *ip)
{
	for (unsigned i = 0; i < NET_LOCAL_MAX; i++)
		if (h->local[i].family && ip_eq(&h->local[i], ip))
			return true;
	return false;
}

static struct inet_host *host_at(struct internet *n, const struct ip *ip)
{
	for (u32 i = 0; i < n->n_hosts; i++)
		if (!n->hosts[i].is_down && has_address(&n->hosts[i], ip))
			return &n->hosts[i];
	return NULL;
}

/* --- boxes -------------------------------------------------------------------------------------------------------------------------- */

static bool depends_equal(enum dependence d, const struct endpoint *a, const struct endpoint *b)
{
	switch (d) {
	case ENDPOINT_INDEPENDENT:
		return true;
	case ADDRESS_DEPENDENT:
		return ip_eq(&a->ip, &b->ip);
	case ADDRESS_AND_PORT_DEPENDENT:
		return endpoint_eq(a, b);
	}
	return false;
}

static bool is_live(const struct box *b, const struct mapping *m, u64 now)
{
	return now - m->last_used < b->lifetime;
}

static bool is_port_used(const struct box *b, u16 port, u64 now)
{
	for (u32 i = 0; i < b->n_mappings; i++)
		if (b->mappings[i].outside.port == port && is_live(b, &b->mappings[i], now))
			return true;
	return false;
}

static struct mapping *mapping_slot(struct box *b, u64 now)
{
	u32 oldest = 0;
	if (b->n_mappings < NET_MAPPINGS)
		return &b->mappings[b->n_mappings++];
	for (u32 i = 0; i < NET_MAPPINGS; i++) {
		if (!is_live(b, &b->mappings[i], now))
			return &b->mappings[i];
		if (b->mappings[i].last_used < b->mappings[oldest].last_used)
			oldest = i;
	}
	return &b->mappings[oldest];
}

/* One entry per (inside, remote) for filtering; entries of one mapping share their outside. Returns the source to use outside. */
static struct endpoint box_out(struct box *b, u64 now, const struct endpoint *inside, const struct endpoint *remote)
{
	struct endpoint outside = *inside;
	bool has_outside = !b->public.family;
	for (u32 i = 0; i < b->n_mappings; i++) {
		struct mapping *m = &b->mappings[i];
		if (!endpoint_eq(&m->inside, inside) || !is_live(b, m, now))
			continue;
		if (endpoint_eq(&m->remote, remote)) {
			m->last_used = now;
			return m->outside;
		}
		if (!has_outside && depends_equal(b->mapping, &m->remote, remote)) {
			outside = m->outside;
			has_outside = true;
		}
	}
	if (!has_outside) {
		outside = (struct endpoint){ .ip = b->public, .port = inside->port };
		if (!b->preserves_ports || is_port_used(b, inside->port, now))
			do
				outside.port = b->next_port++;
			while (outside.port < 1024 || is_port_used(b, outside.port, now));
	}
	*mapping_slot(b, now) = (struct mapping){ *inside, outside, *remote, now };
	return outside;
}

/* Whom inside a datagram from `remote` to `outside` is for; false when it is not let in. */
static bool box_in(struct box *b, u64 now, const struct endpoint *outside, const struct endpoint *remote, struct endpoint *inside)
{
	for (u32 i = 0; i < b->n_mappings; i++) {
		struct mapping *m = &b->mappings[i];
		if (!endpoint_eq(&m->outside, outside) || !is_live(b, m, now) || !depends_equal(b->filtering, &m->remote, remote))
			continue;
		*inside = m->inside;
		return true;
	}
	return false;
}

/* --- sending -------------------------------------------------------------------------------------------------------------------------- */

static void note(struct internet *n, u64 v)
{
	n->digest = (n->digest ^ v) * 0x100000001b3ull;
}

static void launch(struct internet *n, u64 at, const struct endpoint *src, const struct endpoint *dst, const u8 *data, u32 len, u8 ecn, bool local)
{
	struct flight *f = malloc(sizeof(*f) + len);
	*f = (struct flight){ .src = *src, .dst = *dst, .ecn = ecn, .len = len, .is_local = local };
	memcpy(f->data, data, len);
	if (heap_arm(&n->flights, &f->node, at)) {
		n->stats.lost++;
		free(f);
	}
}

static bool happens(struct internet *n, u32 ppm)
{
	return ppm > 0 && rng_below(n->rng, 1000000) < ppm;
}

/* A WireGuard initiation or response, bare or as channel data. */
static bool is_handshake(const u8 *data, u32 len)
{
	if (len > CHANNEL_OVERHEAD && (data[0] & 0xc0u) == 0x40u) {
		len = get_be16(data + 2);
		data += CHANNEL_OVERHEAD;
	}
	return (len == INITIATION_BYTES && get_be32(data) == 0x01000000u) || (len == RESPONSE_BYTES && get_be32(data) == 0x02000000u);
}

static void send_one(struct internet *n, u64 now, struct inet_host *from, struct endpoint src, const struct endpoint *dst, const u8 *data, u32 len,
		     u8 ecn)
{
	struct inet_host *to = host_at(n, &dst->ip);
	struct box *box = box_of(from, dst->ip.family);

	n->stats.sent++;
	note(n, now ^ len ^ (u64)dst->port << 32);
	if (to && to != from && box && box == box_of(to, dst->ip.family) && !(n->blocked[0] && (from == n->blocked[0] || from == n->blocked[1]) &&
									       (to == n->blocked[0] || to == n->blocked[1]))) {
		launch(n, now + USEC(200), &src, dst, data, len, ecn, true);
		return;
	}
	if (box)
		src = box_out(box, now, &src, dst);
	bool is_lost = happens(n, n->link.loss_ppm);
	log_trace(is_lost ? "lost" : "sent", kv_ep("src", &src), kv_ep("dst", dst), kv_u("bytes", len), kv_u("first_byte", data[0]));
	if (is_lost) {
		n->stats.lost++;
		n->stats.lost_handshakes += is_handshake(data, len);
		return;
	}
	if (ecn != ECN_NOT_ECT && happens(n, n->link.mark_ppm)) {
		n->stats.marked++;
		ecn = ECN_CE;
	}
	u64 at = now + from->latency + (n->link.jitter ? rng_below(n->rng, n->link.jitter) : 0);
	launch(n, at, &src, dst, data, len, ecn, false);
	if (happens(n, n->link.double_ppm)) {
		n->stats.doubled++;
		launch(n, at + rng_below(n->rng, MSEC(5)), &src, dst, data, len, ecn, false);
	}
}

void internet_send(struct internet *n, u64 now, struct inet_host *from, u16 port, const struct udp_tx *tx)
{
	struct endpoint src = { .ip = tx->src, .port = port };
	u32 step = tx->seg && tx->seg < tx->len ? tx->seg : tx->len;

	for (unsigned i = 0; i < NET_LOCAL_MAX && !src.ip.family; i++)
		if (from->local[i].family == tx->dst.ip.family)
			src.ip = from->local[i];
	if (from->is_down || src.ip.family != tx->dst.ip.family || !has_address(from, &src.ip)) {
		n->stats.unroutable++;
		return;
	}
	for (u32 at = 0; at < tx->len; at += step)
		send_one(n, now, from, src, &tx->dst, tx->data + at, MIN(step, tx->len - at), tx->ecn);
}

/* --- arrival --------------------------------------------------------------------------------------------------------------------------- */

static bool is_blocked(const struct internet *n, const struct endpoint *src, const struct inet_host *to)
{
	if (!n->blocked[0] || (to != n->blocked[0] && to != n->blocked[1]))
		return false;
	const struct inet_host *other = to == n->blocked[0] ? n->blocked[1] : n->blocked[0];
	const struct box *box = box_of(other, src->ip.family);
	return has_address(other, &src->ip) || (box && box->public.family && ip_eq(&box->public, &src->ip));
}

/* Through the box of the receiver, if any. NULL: not delivered. */
static struct inet_host *receiver(struct internet *n, u64 now, struct flight *f)
{
	if (f->is_local)
		return host_at(n, &f->dst.ip);
	for (u32 i = 0; i < n->n_boxes; i++) {
		struct box *b = &n->boxes[i];
		if (!b->public.family || !ip_eq(&b->public, &f->dst.ip))
			continue;
		struct endpoint inside;
		bool is_hairpin = ip_eq(&f->src.ip, &b->public);
		if ((is_hairpin && !b->does_hairpin) || !box_in(b, now, &f->dst, &f->src, &inside)) {
			n->stats.filtered++;
			return NULL;
		}
		f->dst = inside;
		return host_at(n, &inside.ip);
	}
	struct inet_host *h = host_at(n, &f->dst.ip);
	struct box *b = h ? box_of(h, f->dst.ip.family) : NULL;
	struct endpoint inside;
	if (b && (b->public.family || !box_in(b, now, &f->dst, &f->src, &inside))) { /* private, or a firewall says no */
		n->stats.filtered++;
		return NULL;
	}
	return h;
}

static void arrive(struct internet *n, u64 now)
{
	struct heap_node *node;
	while ((node = heap_pop_due(&n->flights, now))) {
		struct flight *f = container_of(node, struct flight, node);
		struct inet_host *h = f->to ? f->to : receiver(n, now, f);
		if (!h || is_blocked(n, &f->src, h) || (f->to && !has_address(h, &f->dst.ip))) {
			n->stats.unroutable++;
			free(f);
			continue;
		}
		if (!f->to && !f->is_local) { /* the receiver's own way */
			f->to = h;
			if (heap_arm(&n->flights, &f->node, now + h->latency) == 0)
				continue;
		}
		f->to = h;
		f->next = NULL;
		*n->last_arrived = f;
		n->last_arrived = &f->next;
	}
}

u64 internet_next(const struct internet *n)
{
	return n->arrived ? 0 : heap_next(&n->flights);
}

static bool joins(const struct udp_rx *last, const struct flight *f)
{
	u32 step = last->seg ? last->seg : last->len;
	return endpoint_eq(&last->remote, &f->src) && endpoint_eq(&last->local, &f->dst) && last->ecn == f->ecn && f->len <= step &&
	       last->len % step == 0 && last->len + f->len <= 60000;
}

size_t internet_deliver(struct internet *n, u64 now, struct inet_host *to, struct udp_rx *rx, size_t max)
{
	struct flight **link = &n->arrived;
	size_t count = 0;
	u32 used = RX_HEADROOM;

	arrive(n, now);
	while (*link) {
		struct flight *f = *link;
		if (f->to != to) {
			link = &f->next;
			continue;
		}
		bool is_joined = count > 0 && joins(&rx[count - 1], f);
		if ((!is_joined && count == max) || used + f->len + RX_HEADROOM > ARENA_BYTES)
			break;
		if (is_joined) {
			struct udp_rx *last = &rx[count - 1];
			last->seg = last->seg ? last->seg : (u16)last->len;
			last->len += f->len;
		} else {
			used += RX_HEADROOM;
			rx[count++] = (struct udp_rx){ .local = f->dst, .remote = f->src, .data = n->arena + used, .len = f->len, .ecn = f->ecn };
		}
		memcpy(n->arena + used, f->data, f->len);
		used += f->len;
		n->stats.delivered++;
		note(n, now + f->len);
		*link = f->next;
		if (!f->next)
			n->last_arrived = link;
		free(f);
	}
	return count;
}
