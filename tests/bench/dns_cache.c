/* What the cache costs without a network: dns_cache [NAMES [SECONDS]]. One thread parses a query, looks it up and makes its answer, for
 * names in random order; NAMES (10000) hold an address of each family. Prints queries per CPU second and the memory the cache took. */
#include "core/dns/cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CACHE_BYTES (4u << 20)
#define ANSWERS 4

static double cpu(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static size_t query(u8 *buf, u32 i)
{
	char text[64];
	struct dns_question q = { .type = i & 1 ? DNS_AAAA : DNS_A, .class = DNS_CLASS_IN };
	struct wr w = wr_init(buf, 512);

	snprintf(text, sizeof(text), "host-%u.department.example.com", i / 2);
	if (dns_name_from_text(text, &q.name) != 0)
		abort();
	dns_query_write(&w, (u16)i, &q, 1232);
	return wr_len(&w);
}

static void fill(struct dns_cache *c, u32 i)
{
	u8 buf[512], out[512];
	struct span m = SPAN(buf, query(buf, i));
	struct wr w = wr_init(out, sizeof(out));
	struct ip ip = i & 1 ? (struct ip){ .b = { 0x20, 1 }, .family = 6 } : ip4(192, 0, 2, 1);
	struct dns_query q;
	struct dns_response r;

	if (dns_query_parse(m, &q) != 0)
		abort();
	dns_answer_begin(&w, m, &q, DNS_NOERROR);
	for (int k = 0; k < ANSWERS / (i & 1 ? 2 : 1); k++)
		dns_answer_ip(&w, 86400, &ip);
	if (!wr_ok(&w) || dns_response_parse(wr_span(&w), &r) != 0)
		abort();
	dns_cache_put(c, 0, 0, &q, wr_span(&w), &r);
}

int main(int argc, char **argv)
{
	u32 names = argc > 1 ? (u32)strtoul(argv[1], NULL, 10) : 10000;
	double secs = argc > 2 ? strtod(argv[2], NULL) : 2;
	struct rng_seeded rng;
	u8 (*queries)[80] = calloc(names * 2, 80), out[1500];
	u8 *lengths = calloc(names * 2, 1);

	rng_seeded_init(&rng, 1);
	struct dns_cache *c = dns_cache_new(DNS_CACHE_PROXY, CACHE_BYTES, &rng.rng);
	if (!c || !queries || !lengths)
		return 1;
	for (u32 i = 0; i < names * 2; i++) {
		u8 buf[512];
		lengths[i] = (u8)query(buf, i);
		memcpy(queries[i], buf, 80);
		fill(c, i);
	}
	u64 n = 0, octets = 0;
	double began = cpu(), took;
	u32 x = 1;
	do {
		for (int k = 0; k < 10000; k++, n++) {
			x = x * 1664525 + 1013904223;
			u32 i = (u32)((u64)x * names * 2 >> 32);
			struct span m = SPAN(queries[i], lengths[i]);
			struct dns_query q;
			if (dns_query_parse(m, &q) != 0)
				abort();
			octets += dns_cache_get(c, SEC(3), 0, m, &q, (struct mspan){ out, sizeof(out) });
		}
		took = cpu() - began;
	} while (took < secs);
	const struct dns_cache_stats *s = dns_cache_stats(c);
	printf("%.0f queries per CPU second, %.0f ns each; %llu of %llu hits; %u entries in %zu KiB, %llu evicted; %.0f octets an answer\n",
		(double)n / took, took / (double)n * 1e9, (unsigned long long)s->hits, (unsigned long long)n, s->entries, s->bytes / 1024,
		(unsigned long long)s->evicted, (double)octets / (double)(s->hits ? s->hits : 1));
	return s->hits == n ? 0 : 1;
}
