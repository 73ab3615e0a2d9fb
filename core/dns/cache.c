#include "core/dns/cache.h"

#include "core/base/siphash.h"

#include <assert.h>
#include <stdlib.h>

/* One pool of blocks of a cache line each holds everything: an entry is a block that describes it and a chain of blocks with its octets.
 * Octets are the message up to its last kept record, one more if needed to make their number even, then the offset of each TTL. So any
 * block serves any entry, nothing fragments, and what the least recently used entries give back always suffices. */

#define BLOCK_LEN 64u
#define BLOCK_DATA 60u /* even: no offset lies across two blocks */
#define NIL UINT32_MAX
#define BLOCKS_PER_BUCKET 4u /* a small answer takes three or four */
#define SHARE_OF_ONE 4u      /* the largest entry is a quarter of the pool */
#define FLAG_RCODE 0x000fu
#define TYPE_SIG 24u
#define TYPE_TKEY 249u
#define TYPE_TSIG 250u
#define TYPE_IXFR 251u
#define TYPE_AXFR 252u
#define OPT_LEN 11u

struct entry {
	u64 hash;
	u64 stored, expires; /* ns */
	u32 chain;           /* next of its bucket */
	u32 newer, older;
	u32 data;
	u32 view;
	u32 ttl_cap; /* secs that no record is said to have more of */
	u16 type, len, question_end, n_ttls;
};

union block {
	struct entry e;
	struct {
		u8 data[BLOCK_DATA];
		u32 next; /* of the entry's chain or of the free list */
	} piece;
};
static_assert(sizeof(union block) == BLOCK_LEN, "an entry's description fits into a block");

struct dns_cache {
	enum dns_cache_mode mode;
	struct siphash_key key;
	void *memory;
	union block *blocks; /* aligned, in `memory` */
	u32 *buckets;
	u32 bucket_mask;
	u32 n_blocks, n_used;
	u32 n_fresh; /* blocks from here on were never touched */
	u32 free_list;
	u32 newest, oldest;
	size_t fixed_bytes;
	struct dns_cache_stats stats;
};

/* --- the pool --- */

struct dns_cache *dns_cache_new(enum dns_cache_mode mode, size_t bytes, struct rng *rng)
{
	struct dns_cache *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	u32 n_buckets = 1;
	while (n_buckets < UINT32_MAX / 2 && n_buckets <= bytes / (2 * BLOCKS_PER_BUCKET * BLOCK_LEN))
		n_buckets *= 2;
	c->mode = mode;
	c->key = siphash_key_draw(rng);
	c->bucket_mask = n_buckets - 1;
	c->fixed_bytes = sizeof(*c) + n_buckets * sizeof(*c->buckets) + BLOCK_LEN;
	c->n_blocks = bytes > c->fixed_bytes ? (u32)MIN((bytes - c->fixed_bytes) / BLOCK_LEN, (size_t)NIL - 1) : 0;
	c->buckets = calloc(n_buckets, sizeof(*c->buckets));
	c->memory = calloc((size_t)c->n_blocks + 1, BLOCK_LEN);
	if (!c->buckets || !c->memory) {
		dns_cache_free(c);
		return NULL;
	}
	c->blocks = (union block *)(((uintptr_t)c->memory + BLOCK_LEN - 1) & ~(uintptr_t)(BLOCK_LEN - 1));
	dns_cache_clear(c);
	return c;
}

void dns_cache_free(struct dns_cache *c)
{
	if (!c)
		return;
	free(c->memory);
	free(c->buckets);
	free(c);
}

void dns_cache_clear(struct dns_cache *c)
{
	memset(c->buckets, 0xff, ((size_t)c->bucket_mask + 1) * sizeof(*c->buckets));
	c->n_used = c->n_fresh = 0;
	c->free_list = c->newest = c->oldest = NIL;
	c->stats.entries = 0;
	c->stats.bytes = c->fixed_bytes;
}

static u32 block_take(struct dns_cache *c)
{
	u32 i = c->free_list;

	if (i == NIL)
		i = c->n_fresh++;
	else
		c->free_list = c->blocks[i].piece.next;
	c->n_used++;
	return i;
}

static void block_give(struct dns_cache *c, u32 i)
{
	c->blocks[i].piece.next = c->free_list;
	c->free_list = i;
	c->n_used--;
}

/* --- entries: bucket, age --- */

static void age_unlink(struct dns_cache *c, const struct entry *e)
{
	*(e->newer == NIL ? &c->newest : &c->blocks[e->newer].e.older) = e->older;
	*(e->older == NIL ? &c->oldest : &c->blocks[e->older].e.newer) = e->newer;
}

static void age_link_newest(struct dns_cache *c, u32 i)
{
	struct entry *e = &c->blocks[i].e;

	e->newer = NIL;
	e->older = c->newest;
	*(c->newest == NIL ? &c->oldest : &c->blocks[c->newest].e.newer) = i;
	c->newest = i;
}

static void entry_drop(struct dns_cache *c, u32 i)
{
	const struct entry *e = &c->blocks[i].e;
	u32 *link = &c->buckets[e->hash & c->bucket_mask];

	while (*link != i)
		link = &c->blocks[*link].e.chain;
	*link = e->chain;
	age_unlink(c, e);
	for (u32 b = e->data, next; b != NIL; b = next) {
		next = c->blocks[b].piece.next;
		block_give(c, b);
	}
	block_give(c, i);
	c->stats.entries--;
	c->stats.bytes = c->fixed_bytes + (size_t)c->n_used * BLOCK_LEN;
}

static u64 hash_of(const struct dns_cache *c, u32 view, const struct dns_query *q)
{
	u8 key[DNS_NAME_MAX + 9];
	u8 *p = key + q->q.name.len;

	dns_octets_fold(key, q->q.name.wire, q->q.name.len);
	put_be16(p, q->q.type);
	put_be32(p + 2, view);
	p += 6;
	if (c->mode == DNS_CACHE_PROXY) {
		put_be16(p, q->q.class);
		p[2] = (u8)(q->is_dnssec_ok | !!(q->flags & DNS_FLAG_CD) << 1);
		p += 3;
	}
	return siphash(&c->key, key, (size_t)(p - key));
}

/* The name is compared when it was copied; 64 keyed bits make this a formality. */
static u32 find(const struct dns_cache *c, u64 hash, u32 view, const struct dns_query *q)
{
	u32 i = c->buckets[hash & c->bucket_mask];

	for (; i != NIL; i = c->blocks[i].e.chain) {
		const struct entry *e = &c->blocks[i].e;
		if (e->hash == hash && e->view == view && e->type == q->q.type && e->question_end == q->question_end)
			break;
	}
	return i;
}

/* --- what may be kept, and for how long --- */

struct plan {
	u64 lifetime; /* secs; 0: not kept */
	u32 ttl_cap;
	u32 end;      /* of what is kept */
	u16 n_answers, n_authority, n_additional, n_ttls;
};

static u32 record_end(const struct dns_record *rec)
{
	return rec->ttl_offset + 6 + (u32)rec->rdata.n;
}

static struct plan plan_tunnel(const struct dns_query *q, struct span response, const struct dns_response *r)
{
	struct plan p = { .ttl_cap = UINT32_MAX, .end = r->question_end, .n_answers = r->n_answers, .n_ttls = r->n_answers };
	struct dns_walk walk = dns_walk(response, r);
	struct dns_record rec;
	u64 lifetime = UINT64_MAX;

	while (dns_walk_next(&walk, &rec) && rec.section == DNS_ANSWER) {
		if (rec.type == q->q.type)
			lifetime = MIN(lifetime, (u64)rec.ttl);
		p.end = record_end(&rec);
	}
	if (r->rcode == DNS_NOERROR && lifetime != UINT64_MAX && SEC(lifetime) >= DNS_CACHE_TTL_MIN)
		p.lifetime = lifetime;
	return p;
}

static struct plan plan_proxy(const struct dns_query *q, struct span response, const struct dns_response *r)
{
	struct plan p = { .ttl_cap = DNS_CACHE_TTL_MAX / NSEC_PER_SEC, .end = r->question_end };
	struct dns_walk walk = dns_walk(response, r);
	struct dns_record rec;
	u64 shortest = p.ttl_cap;
	u32 negative = 0, secs;
	bool is_answered = false, has_soa = false;

	if ((r->rcode != DNS_NOERROR && r->rcode != DNS_NXDOMAIN) || !(q->flags & DNS_FLAG_RD) || q->has_client_subnet ||
	    q->q.type == TYPE_AXFR || q->q.type == TYPE_IXFR)
		return p;
	while (dns_walk_next(&walk, &rec)) {
		if (rec.type == TYPE_TSIG || rec.type == TYPE_SIG || rec.type == TYPE_TKEY)
			return p; /* made for this asker */
		if (rec.type == DNS_OPT) {
			if (rec.section != DNS_ADDITIONAL || rec.ttl >> 24 != 0)
				return p;
			break; /* made anew for each asker; hints that come behind it are given up */
		}
		if (rec.section == DNS_ANSWER && (rec.type == q->q.type || q->q.type == DNS_ANY))
			is_answered = true;
		if (rec.section == DNS_AUTHORITY && rec.type == DNS_SOA && dns_record_soa_minimum(&rec, response, &secs) == 0) {
			has_soa = true;
			negative = MIN(rec.ttl, secs);
		}
		shortest = MIN(shortest, (u64)rec.ttl);
		p.end = record_end(&rec);
		p.n_ttls++;
		switch (rec.section) {
		case DNS_ANSWER:
			p.n_answers++;
			break;
		case DNS_AUTHORITY:
			p.n_authority++;
			break;
		case DNS_ADDITIONAL:
			p.n_additional++;
			break;
		}
	}
	if (r->rcode == DNS_NOERROR && is_answered) {
		p.lifetime = shortest;
	} else if (has_soa) {
		p.lifetime = MIN(MIN(shortest, (u64)negative), DNS_CACHE_NEGATIVE_MAX / NSEC_PER_SEC);
		p.ttl_cap = (u32)p.lifetime;
	}
	return p;
}

/* --- putting --- */

struct pen {
	struct dns_cache *c;
	u32 block;
	unsigned at;
};

static void pen_write(struct pen *pen, const u8 *p, size_t n)
{
	while (n > 0) {
		if (pen->at == BLOCK_DATA) {
			u32 next = block_take(pen->c);
			pen->c->blocks[pen->block].piece.next = next;
			pen->c->blocks[next].piece.next = NIL;
			pen->block = next;
			pen->at = 0;
		}
		size_t part = MIN(n, (size_t)(BLOCK_DATA - pen->at));
		memcpy(pen->c->blocks[pen->block].piece.data + pen->at, p, part);
		pen->at += (unsigned)part;
		p += part;
		n -= part;
	}
}

static u32 data_write(struct dns_cache *c, const struct plan *p, struct span response, const struct dns_response *r)
{
	u32 first = block_take(c);
	struct pen pen = { c, first, 0 };
	struct dns_walk walk = dns_walk(response, r);
	struct dns_record rec;
	u8 counts[6], offset[2] = { 0 };

	c->blocks[first].piece.next = NIL;
	put_be16(counts, p->n_answers);
	put_be16(counts + 2, p->n_authority);
	put_be16(counts + 4, p->n_additional);
	pen_write(&pen, response.p, 6);
	pen_write(&pen, counts, sizeof(counts));
	pen_write(&pen, response.p + DNS_HEADER_LEN, p->end - DNS_HEADER_LEN);
	pen_write(&pen, offset, p->end & 1);
	for (unsigned i = 0; i < p->n_ttls && dns_walk_next(&walk, &rec); i++) {
		put_be16(offset, (u16)rec.ttl_offset);
		pen_write(&pen, offset, 2);
	}
	return first;
}

static u32 blocks_needed(const struct plan *p)
{
	return 1 + (p->end + (p->end & 1) + 2u * p->n_ttls + BLOCK_DATA - 1) / BLOCK_DATA;
}

void dns_cache_put(struct dns_cache *c, u64 now, u32 view, const struct dns_query *q, struct span response, const struct dns_response *r)
{
	struct plan p = { 0 };

	if (DNS_OPCODE(q->flags) == 0 && DNS_OPCODE(r->flags) == 0 && !(r->flags & DNS_FLAG_TC) && r->question_end == q->question_end &&
	    dns_response_matches(r, &q->q))
		p = c->mode == DNS_CACHE_TUNNEL ? plan_tunnel(q, response, r) : plan_proxy(q, response, r);
	u32 need = blocks_needed(&p);
	if (p.lifetime == 0 || need > c->n_blocks / SHARE_OF_ONE) {
		c->stats.not_kept++;
		return;
	}
	u64 hash = hash_of(c, view, q);
	u32 old = find(c, hash, view, q);
	if (old != NIL)
		entry_drop(c, old);
	while (c->n_blocks - c->n_used < need) {
		entry_drop(c, c->oldest);
		c->stats.evicted++;
	}

	u32 i = block_take(c), *bucket = &c->buckets[hash & c->bucket_mask];
	struct entry *e = &c->blocks[i].e;
	*e = (struct entry){
		.hash = hash, .stored = now, .expires = time_add(now, SEC(p.lifetime)), .chain = *bucket, .view = view, .ttl_cap = p.ttl_cap,
		.type = q->q.type, .len = (u16)p.end, .question_end = (u16)q->question_end, .n_ttls = p.n_ttls,
	};
	*bucket = i;
	e->data = data_write(c, &p, response, r);
	age_link_newest(c, i);
	c->stats.stored++;
	c->stats.entries++;
	c->stats.bytes = c->fixed_bytes + (size_t)c->n_used * BLOCK_LEN;
}

/* --- getting --- */

/* Copies the entry's message; then the offsets of its TTLs bring those up to date. */
static void data_read(const struct dns_cache *c, const struct entry *e, u32 elapsed, u8 *out)
{
	const union block *b = &c->blocks[e->data];
	unsigned left = e->len, at;

	for (; left > BLOCK_DATA; left -= BLOCK_DATA, b = &c->blocks[b->piece.next], out += BLOCK_DATA)
		memcpy(out, b->piece.data, BLOCK_DATA);
	memcpy(out, b->piece.data, left);
	out -= e->len - left;
	at = left + (left & 1);
	for (unsigned i = 0; i < e->n_ttls; i++, at += 2) {
		if (at == BLOCK_DATA) {
			b = &c->blocks[b->piece.next];
			at = 0;
		}
		u8 *ttl = out + get_be16(b->piece.data + at);
		u32 secs = MIN(get_be32(ttl), e->ttl_cap);
		put_be32(ttl, secs > elapsed ? secs - elapsed : 0);
	}
}

static u16 flags_of_hit(const struct dns_cache *c, u16 stored, const struct dns_query *q)
{
	unsigned flags = DNS_FLAG_QR | (q->flags & DNS_FLAG_RD);

	if (c->mode == DNS_CACHE_PROXY) {
		flags |= (stored & (DNS_FLAG_RA | FLAG_RCODE)) | (q->flags & DNS_FLAG_CD);
		if ((q->flags & DNS_FLAG_AD) || q->is_dnssec_ok) /* RFC 6840 §5.8 */
			flags |= stored & DNS_FLAG_AD;
	}
	return (u16)flags;
}

static size_t hit(struct dns_cache *c, u64 now, u32 view, struct span query, const struct dns_query *q, struct mspan out)
{
	if (DNS_OPCODE(q->flags) != 0 || (c->mode == DNS_CACHE_PROXY && q->has_client_subnet))
		return 0;
	u32 i = find(c, hash_of(c, view, q), view, q);
	if (i == NIL)
		return 0;
	struct entry *e = &c->blocks[i].e;
	if (now >= e->expires) {
		entry_drop(c, i);
		c->stats.expired++;
		return 0;
	}
	bool has_opt = c->mode == DNS_CACHE_PROXY && q->has_edns;
	size_t len = e->len + (has_opt ? OPT_LEN : 0);
	if (len > out.n)
		return len;
	u8 *message = out.p;
	data_read(c, e, (u32)(time_since(now, e->stored) / NSEC_PER_SEC), message);
	if (!dns_octets_eq(message + DNS_HEADER_LEN, q->q.name.wire, q->q.name.len))
		return 0;
	put_be16(message, q->id);
	put_be16(message + 2, flags_of_hit(c, get_be16(message + 2), q));
	memcpy(message + DNS_HEADER_LEN, query.p + DNS_HEADER_LEN, q->question_end - DNS_HEADER_LEN);
	if (has_opt) {
		struct wr w = wr_init(message, len);
		w.p = message + e->len;
		dns_opt_write(&w, DNS_EDNS_UDP, q->is_dnssec_ok);
	}
	if (c->newest != i) {
		age_unlink(c, e);
		age_link_newest(c, i);
	}
	return len;
}

size_t dns_cache_get(struct dns_cache *c, u64 now, u32 view, struct span query, const struct dns_query *q, struct mspan out)
{
	size_t n = hit(c, now, view, query, q, out);

	if (n > 0)
		c->stats.hits++;
	else
		c->stats.misses++;
	return n;
}

const struct dns_cache_stats *dns_cache_stats(const struct dns_cache *c)
{
	return &c->stats;
}
