/* The cache: the input is a list of {octets of operation, length (2), message}. Messages are put as answers to the question they carry
 * and asked for again at later times; every hit must be a whole answer to its question and memory must stay within its bound. */
#include "core/dns/cache.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

#define BYTES 8192u
#define OPERATIONS_MAX 64u

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void try_get(struct dns_cache *c, u64 now, u32 view, struct span query, const struct dns_query *q, size_t room)
{
	static u8 out[DNS_MESSAGE_MAX];
	struct dns_response r;
	struct dns_record rec;
	u32 n = 0;

	size_t len = dns_cache_get(c, now, view, query, q, (struct mspan){ out, room });
	if (len == 0 || len > room)
		return;
	must(dns_response_parse(SPAN(out, len), &r) == 0 && r.end == len && r.id == q->id && dns_response_matches(&r, &q->q));
	must(!(r.flags & DNS_FLAG_TC) && memcmp(out + DNS_HEADER_LEN, query.p + DNS_HEADER_LEN, q->question_end - DNS_HEADER_LEN) == 0);
	for (struct dns_walk walk = dns_walk(SPAN(out, len), &r); dns_walk_next(&walk, &rec);)
		n += rec.type == DNS_OPT && rec.section == DNS_ADDITIONAL;
	must(n <= 1);
}

static void operate(struct dns_cache *c, u64 *now, u8 op, u8 arg, struct span message)
{
	static u8 buf[DNS_MESSAGE_MAX];
	struct dns_response r;
	struct dns_query q;
	struct wr w = wr_init(buf, sizeof(buf));

	*now += (u64)arg * MSEC(250);
	if (dns_response_parse(message, &r) == 0 && r.q.name.len > 0) {
		dns_query_write(&w, (u16)*now, &r.q, op & 1 ? 1232 : 0);
		must(wr_ok(&w) && dns_query_parse(wr_span(&w), &q) == 0);
		q.is_dnssec_ok = (op & 2) && q.has_edns;
		dns_cache_put(c, *now, op >> 6, &q, message, &r);
		try_get(c, *now, op >> 6, wr_span(&w), &q, sizeof(buf));
	}
	if (dns_query_parse(message, &q) == 0)
		try_get(c, *now, op >> 6, message, &q, op & 4 ? DNS_MESSAGE_MAX : (size_t)arg * 8);
	if (op == 0xff)
		dns_cache_clear(c);
	must(dns_cache_stats(c)->bytes <= BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_init(data, size);
	struct rng_seeded rng;
	u64 now = SEC(1);

	rng_seeded_init(&rng, 1);
	struct dns_cache *c = dns_cache_new(size > 0 && data[0] & 8 ? DNS_CACHE_TUNNEL : DNS_CACHE_PROXY, BYTES, &rng.rng);
	must(c);
	for (unsigned i = 0; i < OPERATIONS_MAX && rd_left(&r) >= 4; i++) {
		u8 op = rd_u8(&r), arg = rd_u8(&r);
		size_t n = rd_be16(&r);
		operate(c, &now, op, arg, rd_bytes(&r, MIN(n, rd_left(&r))));
	}
	const struct dns_cache_stats *s = dns_cache_stats(c);
	must(s->entries <= s->stored && s->evicted + s->expired <= s->stored);
	dns_cache_free(c);
	return 0;
}
