#include "core/tunnel/pending.h"

#include <stdlib.h>

struct slot {
	u16 len;
	bool is_syn;
	u32 fingerprint; /* of the whole packet; equal packets have equal ones */
	u8 data[TUNNEL_MTU];
};

struct pending_packets {
	u32 first, count, limit;
	struct slot slots[];
};

struct pending_packets *pending_packets_new(u32 limit)
{
	u32 n = MIN(limit, PENDING_PACKETS);
	struct pending_packets *q = malloc(sizeof(*q) + n * sizeof(q->slots[0])); /* untouched slots cost no memory */
	if (q) {
		q->first = q->count = 0;
		q->limit = n;
	}
	return q;
}

void pending_packets_free(struct pending_packets *q)
{
	free(q);
}

static u32 fingerprint_of(const u8 *p, u32 n)
{
	u32 h = 2166136261u; /* FNV-1a; only an early out before memcmp */
	for (u32 i = 0; i < n; i++)
		h = (h ^ p[i]) * 16777619u;
	return h;
}

static bool is_syn(const struct packet *p)
{
	return p->kind == L4_TCP && (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

static bool is_same_syn(const struct slot *s, const struct packet *p)
{
	struct packet q;
	return s->is_syn && packet_parse(s->data, s->len, TUNNEL_MTU, &q) == 0 && ip_eq(&p->src, &q.src) && ip_eq(&p->dst, &q.dst) &&
	       p->src_port == q.src_port && p->dst_port == q.dst_port && p->tcp_seq == q.tcp_seq;
}

static void store(struct slot *s, const u8 *data, u32 len, u32 fingerprint, bool syn)
{
	s->len = (u16)len;
	s->fingerprint = fingerprint;
	s->is_syn = syn;
	memcpy(s->data, data, len);
}

enum pending_result pending_packets_add(struct pending_packets *q, const u8 *data, const struct packet *p)
{
	u32 fingerprint = fingerprint_of(data, p->len);
	bool syn = is_syn(p), is_full = q->count == q->limit;

	for (u32 i = 0; i < q->count; i++) {
		struct slot *s = &q->slots[(q->first + i) % q->limit];
		if (s->len == p->len && s->fingerprint == fingerprint && memcmp(s->data, data, p->len) == 0)
			return PENDING_DUPLICATE;
		if (syn && is_same_syn(s, p)) {
			store(s, data, p->len, fingerprint, true);
			return PENDING_REPLACED;
		}
	}
	if (is_full) {
		q->first = (q->first + 1) % q->limit;
		q->count--;
	}
	store(&q->slots[(q->first + q->count++) % q->limit], data, p->len, fingerprint, syn);
	return is_full ? PENDING_DISPLACED : PENDING_ADDED;
}

struct span pending_packets_take(struct pending_packets *q)
{
	if (q->count == 0)
		return SPAN_NONE;
	const struct slot *s = &q->slots[q->first];
	q->first = (q->first + 1) % q->limit;
	q->count--;
	return SPAN(s->data, s->len);
}

u32 pending_packets_count(const struct pending_packets *q)
{
	return q->count;
}
