/* The cache of answers (spec 30 §10.5; RFC 2308, 6840, 6891). */
#include "core/dns/cache.h"
#include "core/base/rng.h"
#include "tests/unit/dns_build.h"

#include <stdio.h>

#define RESPONSE (DNS_FLAG_QR | DNS_FLAG_RD | DNS_FLAG_RA)
#define ROOM (1u << 20)

static struct rng_seeded seeded;

static struct dns_cache *cache(enum dns_cache_mode mode, size_t bytes)
{
	rng_seeded_init(&seeded, 58);
	struct dns_cache *c = dns_cache_new(mode, bytes, &seeded.rng);
	if (!c)
		test_fail(__FILE__, __LINE__, "no memory");
	return c;
}

/* A query with its bytes. */
struct ask {
	u8 buf[400];
	struct span message;
	struct dns_query q;
};

static struct ask *ask_flags(u16 id, unsigned flags, const char *name, u16 type, bool has_edns, bool is_do, struct span options)
{
	static struct ask asks[4];
	static unsigned turn;
	struct ask *a = &asks[turn++ % 4];
	struct wr w = dns_build(a->buf, sizeof(a->buf), id, flags, name, type);

	if (has_edns) {
		dns_opt_write(&w, 1232, is_do);
		put_be16(w.p - 2, (u16)options.n);
		wr_bytes(&w, options.p, options.n);
	}
	a->message = wr_span(&w);
	if (dns_query_parse(a->message, &a->q) != 0)
		test_fail(__FILE__, __LINE__, "not a query: %s", name);
	return a;
}

static struct ask *ask(u16 id, const char *name, u16 type)
{
	return ask_flags(id, DNS_FLAG_RD, name, type, false, false, SPAN_NONE);
}

static struct ask *ask_edns(u16 id, const char *name, u16 type, bool is_do)
{
	return ask_flags(id, DNS_FLAG_RD, name, type, true, is_do, SPAN_NONE);
}

static void put(struct dns_cache *c, u64 now, u32 view, const struct ask *a, const struct wr *w)
{
	struct dns_response r;

	if (!wr_ok(w) || dns_response_parse(wr_span(w), &r) != 0)
		test_fail(__FILE__, __LINE__, "not a response");
	else
		dns_cache_put(c, now, view, &a->q, wr_span(w), &r);
}

/* The last hit, parsed. */
static struct {
	u8 buf[DNS_MESSAGE_MAX];
	struct span message;
	struct dns_response r;
} got;

static bool get_view(struct dns_cache *c, u64 now, u32 view, const struct ask *a)
{
	size_t n = dns_cache_get(c, now, view, a->message, &a->q, (struct mspan){ got.buf, sizeof(got.buf) });

	got.message = SPAN(got.buf, n);
	if (n > 0 && (dns_response_parse(got.message, &got.r) != 0 || got.r.end != n || !dns_response_matches(&got.r, &a->q.q)))
		test_fail(__FILE__, __LINE__, "a hit that is no answer");
	return n > 0;
}

static bool get(struct dns_cache *c, u64 now, const struct ask *a)
{
	return get_view(c, now, 0, a);
}

static struct dns_record nth(unsigned n)
{
	struct dns_walk walk = dns_walk(got.message, &got.r);
	struct dns_record rec = { 0 };

	for (unsigned i = 0; i <= n; i++)
		if (!dns_walk_next(&walk, &rec))
			test_fail(__FILE__, __LINE__, "no record %u", n);
	return rec;
}

static u8 reply[DNS_MESSAGE_MAX];

static struct wr answer(const char *name, u16 type)
{
	return dns_build(reply, sizeof(reply), 0x4242, RESPONSE, name, type);
}

static void add_a(struct wr *w, const char *owner, u32 ttl, u8 last)
{
	dns_build_record(w, DNS_ANSWER, owner, DNS_A, ttl, SPAN(((u8[]){ 192, 0, 2, last }), 4));
}

/* Stores name A 192.0.2.last with this TTL. */
static void put_a(struct dns_cache *c, u64 now, const char *name, u32 ttl, u8 last)
{
	struct wr w = answer(name, DNS_A);

	add_a(&w, name, ttl, last);
	put(c, now, 0, ask(1, name, DNS_A), &w);
}

TEST(spec30_58_hit_has_the_new_id_question_and_reduced_ttls)
{
	struct dns_cache *c = cache(DNS_CACHE_TUNNEL, ROOM);
	struct wr w = answer("www.example.com", DNS_A);
	struct ip ip, want = ip4(192, 0, 2, 9);

	dns_build_alias(&w, DNS_ANSWER, "www.example.com", DNS_CNAME, 3, "app.example.com");
	add_a(&w, "app.example.com", 60, 9);
	add_a(&w, "app.example.com", 4000000000u, 10);
	dns_build_alias(&w, DNS_AUTHORITY, "example.com", DNS_NS, 900, "ns.example.com");
	put(c, SEC(100), 0, ask(1, "www.example.com", DNS_A), &w);

	struct ask *a = ask_flags(0xabcd, DNS_FLAG_RD | DNS_FLAG_CD | DNS_FLAG_AD, "WwW.eXaMple.com", DNS_A, true, true, SPAN_NONE);
	REQUIRE(get(c, SEC(110) - 1, a));
	EXPECT_EQ(got.r.id, 0xabcd);
	EXPECT_EQ(got.r.flags, DNS_FLAG_QR | DNS_FLAG_RD);
	EXPECT_MEM(got.buf + 12, a->buf + 12, a->q.question_end - 12);
	EXPECT_EQ(got.r.n_answers, 3);
	EXPECT_EQ(got.r.n_authority + got.r.n_additional, 0);
	EXPECT_EQ(nth(0).ttl, 0); /* 3 - 9 */
	EXPECT_EQ(nth(1).ttl, 51);
	EXPECT_EQ(nth(2).ttl, 4000000000u - 9);
	struct dns_record rec = nth(1);
	REQUIRE(dns_record_ip(&rec, &ip) == 0);
	EXPECT(ip_eq(&ip, &want));
	REQUIRE(get(c, SEC(160) - 1, a));
	EXPECT_EQ(nth(1).ttl, 1);
	EXPECT(!get(c, SEC(160), a));
	EXPECT_EQ(dns_cache_stats(c)->expired, 1);
	EXPECT_EQ(dns_cache_stats(c)->entries, 0);
	dns_cache_free(c);
}

TEST(spec30_58_key_is_name_and_type)
{
	struct dns_cache *c = cache(DNS_CACHE_TUNNEL, ROOM);

	put_a(c, 0, "a.example", 60, 1);
	EXPECT(get(c, 0, ask(2, "a.example", DNS_A)));
	EXPECT(!get(c, 0, ask(2, "a.example", DNS_AAAA)));
	EXPECT(!get(c, 0, ask(2, "b.example", DNS_A)));
	EXPECT(!get(c, 0, ask(2, "example", DNS_A)));
	EXPECT(get(c, 0, ask_edns(2, "a.example", DNS_A, true)));
	EXPECT(get(c, 0, ask_flags(2, DNS_FLAG_CD, "a.example", DNS_A, false, false, SPAN_NONE)));
	EXPECT_EQ(dns_cache_stats(c)->hits, 3);
	EXPECT_EQ(dns_cache_stats(c)->misses, 3);
	dns_cache_clear(c);
	EXPECT(!get(c, 0, ask(2, "a.example", DNS_A)));
	EXPECT_EQ(dns_cache_stats(c)->entries, 0);
	put_a(c, 0, "a.example", 60, 1);
	EXPECT(get(c, 0, ask(2, "a.example", DNS_A)));
	dns_cache_free(c);
}

TEST(spec30_59_failures_truncated_answers_and_short_ttls_are_not_kept)
{
	struct dns_cache *c = cache(DNS_CACHE_TUNNEL, ROOM);
	struct ask *a = ask(1, "a.example", DNS_A);
	struct wr w;

	for (unsigned rcode = 1; rcode < 16; rcode++) {
		w = dns_build(reply, sizeof(reply), 1, RESPONSE | rcode, "a.example", DNS_A);
		add_a(&w, "a.example", 60, 1);
		put(c, 0, 0, a, &w);
	}
	w = dns_build(reply, sizeof(reply), 1, RESPONSE | DNS_FLAG_TC, "a.example", DNS_A);
	add_a(&w, "a.example", 60, 1);
	put(c, 0, 0, a, &w);
	w = answer("a.example", DNS_A); /* no answer */
	dns_build_soa(&w, "example", 60, 60);
	put(c, 0, 0, a, &w);
	w = answer("a.example", DNS_A); /* none of the type asked */
	dns_build_alias(&w, DNS_ANSWER, "a.example", DNS_CNAME, 60, "b.example");
	put(c, 0, 0, a, &w);
	w = answer("a.example", DNS_A); /* the smallest counts */
	add_a(&w, "a.example", 60, 1);
	add_a(&w, "a.example", 4, 1);
	put(c, 0, 0, a, &w);
	EXPECT(!get(c, 0, a));
	EXPECT_EQ(dns_cache_stats(c)->not_kept, 19);
	EXPECT_EQ(dns_cache_stats(c)->stored, 0);
	put_a(c, 0, "a.example", 5, 1);
	EXPECT(get(c, SEC(5) - 1, a));
	EXPECT(!get(c, SEC(5), a));
	dns_cache_free(c);
}

TEST(answer_to_another_question_is_not_kept)
{
	struct dns_cache *c = cache(DNS_CACHE_PROXY, ROOM);
	struct wr w = answer("b.example", DNS_A);

	add_a(&w, "b.example", 60, 1);
	put(c, 0, 0, ask(1, "a.example", DNS_A), &w);
	put(c, 0, 0, ask(1, "bb.example", DNS_A), &w);
	put(c, 0, 0, ask(1, "b.example", DNS_AAAA), &w);
	EXPECT_EQ(dns_cache_stats(c)->not_kept, 3);
	dns_cache_free(c);
}

TEST(proxy_keeps_all_sections_and_makes_edns_for_each_asker)
{
	struct dns_cache *c = cache(DNS_CACHE_PROXY, ROOM);
	struct wr w = answer("A.example", DNS_A);

	add_a(&w, "a.example", 60, 1);
	dns_build_alias(&w, DNS_AUTHORITY, "example", DNS_NS, 900, "ns.example");
	dns_build_record(&w, DNS_ADDITIONAL, "ns.example", DNS_A, 1000000, SPAN_STR("\1\2\3\4"));
	dns_build_record(&w, DNS_ADDITIONAL, ".", DNS_OPT, 0, SPAN_STR("\0\x0a\0\x10" "cookies of one  "));
	put(c, 0, 0, ask_edns(1, "a.example", DNS_A, false), &w);

	REQUIRE(get(c, SEC(10), ask(2, "a.EXAMPLE", DNS_A)));
	EXPECT_EQ(got.r.flags, RESPONSE);
	EXPECT_EQ(got.r.n_answers, 1);
	EXPECT_EQ(got.r.n_authority, 1);
	EXPECT_EQ(got.r.n_additional, 1);
	EXPECT_EQ(nth(0).ttl, 50);
	EXPECT_EQ(nth(1).ttl, 890);
	EXPECT_EQ(nth(2).ttl, 86400 - 10);
	REQUIRE(get(c, SEC(10), ask_edns(2, "a.EXAMPLE", DNS_A, false)));
	EXPECT_EQ(got.r.n_additional, 2);
	struct dns_record opt = nth(3);
	EXPECT_EQ(opt.type, DNS_OPT);
	EXPECT_EQ(opt.class, DNS_EDNS_UDP);
	EXPECT_EQ(opt.ttl, 0);
	EXPECT_EQ(opt.rdata.n, 0);
	EXPECT(!get(c, SEC(60), ask(2, "a.example", DNS_A)));
	dns_cache_free(c);
}

TEST(proxy_keys_by_class_do_and_cd)
{
	struct dns_cache *c = cache(DNS_CACHE_PROXY, ROOM);
	struct wr w = dns_build(reply, sizeof(reply), 1, RESPONSE | DNS_FLAG_AD | DNS_FLAG_AA, "a.example", DNS_A);

	add_a(&w, "a.example", 60, 1);
	put(c, 0, 0, ask_edns(1, "a.example", DNS_A, true), &w);
	EXPECT(!get(c, 0, ask(2, "a.example", DNS_A)));
	EXPECT(!get(c, 0, ask_edns(2, "a.example", DNS_A, false)));
	EXPECT(!get(c, 0, ask_flags(2, DNS_FLAG_RD | DNS_FLAG_CD, "a.example", DNS_A, true, true, SPAN_NONE)));
	struct ask *chaos = ask_edns(2, "a.example", DNS_A, true);
	chaos->q.q.class = 3;
	put_be16(chaos->buf + chaos->q.question_end - 2, 3);
	EXPECT(!get(c, 0, chaos));
	REQUIRE(get(c, 0, ask_edns(2, "a.example", DNS_A, true)));
	EXPECT_EQ(got.r.flags, RESPONSE | DNS_FLAG_AD); /* not authoritative */
	EXPECT_EQ(nth(1).ttl, 0x8000);

	w = dns_build(reply, sizeof(reply), 1, RESPONSE | DNS_FLAG_AD, "b.example", DNS_A);
	add_a(&w, "b.example", 60, 1);
	put(c, 0, 0, ask_flags(1, DNS_FLAG_RD | DNS_FLAG_AD, "b.example", DNS_A, false, false, SPAN_NONE), &w);
	REQUIRE(get(c, 0, ask(2, "b.example", DNS_A)));
	EXPECT_EQ(got.r.flags, RESPONSE); /* AD only to who understands it */
	REQUIRE(get(c, 0, ask_flags(2, DNS_FLAG_AD, "b.example", DNS_A, false, false, SPAN_NONE)));
	EXPECT_EQ(got.r.flags, DNS_FLAG_QR | DNS_FLAG_RA | DNS_FLAG_AD);
	dns_cache_free(c);
}

TEST(views_do_not_see_each_other)
{
	struct dns_cache *c = cache(DNS_CACHE_PROXY, ROOM);

	put_a(c, 0, "a.example", 60, 1);
	struct wr w = answer("a.example", DNS_A);
	add_a(&w, "a.example", 60, 2);
	put(c, 0, 7, ask(1, "a.example", DNS_A), &w);
	EXPECT_EQ(dns_cache_stats(c)->entries, 2);
	REQUIRE(get_view(c, 0, 7, ask(1, "a.example", DNS_A)));
	EXPECT_EQ(nth(0).rdata.p[3], 2);
	REQUIRE(get_view(c, 0, 0, ask(1, "a.example", DNS_A)));
	EXPECT_EQ(nth(0).rdata.p[3], 1);
	EXPECT(!get_view(c, 0, 1, ask(1, "a.example", DNS_A)));
	dns_cache_free(c);
}

/* RFC 2308 §5: the smaller of the SOA's TTL and minimum, at most an hour here */
TEST(negative_answers_are_kept_by_their_soa)
{
	static const struct {
		unsigned rcode;
		u32 ttl, minimum;
		u64 secs;
	} cases[] = {
		{ DNS_NXDOMAIN, 900, 60, 60 }, { DNS_NXDOMAIN, 30, 600, 30 }, { DNS_NOERROR, 900, 60, 60 },
		{ DNS_NXDOMAIN, 90000, 90000, 3600 }, { DNS_NXDOMAIN, 0, 60, 0 }, { DNS_NXDOMAIN, 60, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct dns_cache *c = cache(DNS_CACHE_PROXY, ROOM);
		struct wr w = dns_build(reply, sizeof(reply), 1, RESPONSE | cases[i].rcode, "no.example", DNS_A);
		dns_build_soa(&w, "example", cases[i].ttl, cases[i].minimum);
		put(c, 0, 0, ask(1, "no.example", DNS_A), &w);
		if (cases[i].secs > 0) {
			REQUIRE(get(c, SEC(cases[i].secs) - 1, ask(2, "No.example", DNS_A)));
			EXPECT_EQ(got.r.rcode, cases[i].rcode);
			EXPECT_EQ(got.r.n_authority, 1);
			EXPECT_EQ(nth(0).ttl, 1);
		}
		EXPECT(!get(c, SEC(cases[i].secs), ask(2, "no.example", DNS_A)));
		dns_cache_free(c);
	}
}

TEST(alias_that_leads_nowhere_is_negative)
{
	struct dns_cache *c = cache(DNS_CACHE_PROXY, ROOM);
	struct wr w = answer("a.example", DNS_AAAA);

	dns_build_alias(&w, DNS_ANSWER, "a.example", DNS_CNAME, 20, "b.example");
	put(c, 0, 0, ask(1, "a.example", DNS_AAAA), &w); /* no SOA: nobody says for how long */
	EXPECT(!get(c, 0, ask(2, "a.example", DNS_AAAA)));
	dns_build_soa(&w, "example", 900, 900);
	put(c, 0, 0, ask(1, "a.example", DNS_AAAA), &w);
	EXPECT(get(c, SEC(20) - 1, ask(2, "a.example", DNS_AAAA)));
	EXPECT(!get(c, SEC(20), ask(2, "a.example", DNS_AAAA)));
	w = answer("a.example", DNS_CNAME); /* asked for, it is the answer */
	dns_build_alias(&w, DNS_ANSWER, "a.example", DNS_CNAME, 20, "b.example");
	put(c, 0, 0, ask(1, "a.example", DNS_CNAME), &w);
	EXPECT(get(c, 0, ask(2, "a.example", DNS_CNAME)));
	dns_cache_free(c);
}

TEST(what_was_made_for_one_asker_is_not_kept)
{
	struct dns_cache *c = cache(DNS_CACHE_PROXY, ROOM);
	struct span subnet = SPAN_STR("\0\x08\0\x07\0\1\x18\0\xc0\0\2");
	struct ask *a = ask_flags(1, DNS_FLAG_RD, "a.example", DNS_A, true, false, subnet);
	struct wr w = answer("a.example", DNS_A);

	add_a(&w, "a.example", 60, 1);
	put(c, 0, 0, a, &w);
	EXPECT_EQ(dns_cache_stats(c)->stored, 0);
	put(c, 0, 0, ask(1, "a.example", DNS_A), &w);
	EXPECT(get(c, 0, ask(1, "a.example", DNS_A)));
	EXPECT(!get(c, 0, a));
	dns_cache_clear(c);
	put(c, 0, 0, ask_flags(1, 0, "a.example", DNS_A, false, false, SPAN_NONE), &w); /* without RD: perhaps a referral */
	dns_build_record(&w, DNS_ADDITIONAL, "key", 250, 0, SPAN_STR("tsig"));
	put(c, 0, 0, ask(1, "a.example", DNS_A), &w);
	w = answer("a.example", DNS_A);
	add_a(&w, "a.example", 60, 1);
	dns_build_record(&w, DNS_ADDITIONAL, ".", DNS_OPT, 16u << 24, SPAN_NONE); /* BADVERS and the like */
	put(c, 0, 0, ask(1, "a.example", DNS_A), &w);
	w = answer("a.example", 252);
	dns_build_record(&w, DNS_ANSWER, "a.example", 252, 60, SPAN_NONE);
	put(c, 0, 0, ask(1, "a.example", 252), &w);
	w = answer("a.example", DNS_A);
	add_a(&w, "a.example", 60, 1);
	add_a(&w, "a.example", 0, 1); /* TTL 0 */
	put(c, 0, 0, ask(1, "a.example", DNS_A), &w);
	w = dns_build(reply, sizeof(reply), 1, RESPONSE | DNS_SERVFAIL, "a.example", DNS_A);
	dns_build_soa(&w, "example", 60, 60);
	put(c, 0, 0, ask(1, "a.example", DNS_A), &w);
	w = dns_build(reply, sizeof(reply), 1, RESPONSE | DNS_FLAG_TC, "a.example", DNS_A);
	add_a(&w, "a.example", 60, 1);
	put(c, 0, 0, ask(1, "a.example", DNS_A), &w);
	EXPECT_EQ(dns_cache_stats(c)->entries, 0);
	EXPECT_EQ(dns_cache_stats(c)->not_kept, 8);
	dns_cache_free(c);
}

TEST(records_behind_edns_are_given_up_and_octets_behind_the_message_too)
{
	struct dns_cache *c = cache(DNS_CACHE_PROXY, ROOM);
	struct wr w = answer("a.example", DNS_A);

	add_a(&w, "a.example", 60, 1);
	dns_opt_write(&w, 4096, false);
	dns_build_record(&w, DNS_ADDITIONAL, "ns.example", DNS_A, 60, SPAN_STR("\1\2\3\4"));
	wr_str(&w, "octets that are no part");
	put(c, 0, 0, ask(1, "a.example", DNS_A), &w);
	REQUIRE(get(c, 0, ask(2, "a.example", DNS_A)));
	EXPECT_EQ(got.r.n_answers, 1);
	EXPECT_EQ(got.r.n_additional, 0);
	dns_cache_free(c);
}

TEST(hit_that_does_not_fit_is_told_by_its_length_and_not_written)
{
	struct dns_cache *c = cache(DNS_CACHE_PROXY, ROOM);
	struct ask *a = ask(2, "a.example", DNS_A), *e = ask_edns(2, "a.example", DNS_A, false);
	u8 out[200];

	put_a(c, 0, "a.example", 60, 1);
	REQUIRE(get(c, 0, a));
	size_t n = got.message.n;
	memset(out, 0xee, sizeof(out));
	EXPECT_EQ(dns_cache_get(c, 0, 0, a->message, &a->q, (struct mspan){ out, n - 1 }), n);
	EXPECT_EQ(out[0], 0xee);
	EXPECT_EQ(dns_cache_get(c, 0, 0, a->message, &a->q, (struct mspan){ out, n }), n);
	EXPECT_EQ(dns_cache_get(c, 0, 0, e->message, &e->q, (struct mspan){ out, n + 10 }), n + 11);
	EXPECT_EQ(dns_cache_get(c, 0, 0, e->message, &e->q, (struct mspan){ out, n + 11 }), n + 11);
	dns_cache_free(c);
}

TEST(newer_answer_replaces_the_older)
{
	struct dns_cache *c = cache(DNS_CACHE_PROXY, ROOM);

	put_a(c, 0, "a.example", 60, 1);
	size_t bytes = dns_cache_stats(c)->bytes;
	put_a(c, SEC(1), "A.Example", 60, 2);
	EXPECT_EQ(dns_cache_stats(c)->entries, 1);
	EXPECT_EQ(dns_cache_stats(c)->bytes, bytes);
	REQUIRE(get(c, SEC(60), ask(1, "a.example", DNS_A)));
	EXPECT_EQ(nth(0).rdata.p[3], 2);
	dns_cache_free(c);
}

/* Messages of every length near the edges of blocks, and the longest. */
TEST(message_of_any_length_comes_back_whole)
{
	struct dns_cache *c = cache(DNS_CACHE_PROXY, ROOM);
	static u8 text[65000];

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (u8)(i * 7);
	for (size_t n = 0; n < 400; n++) {
		char name[32];
		snprintf(name, sizeof(name), "n%zu.example", n);
		size_t len = n < 390 ? n : sizeof(text) - (n - 390);
		for (u16 records = 1; records < (n < 300 ? 5 : 2); records++) {
			struct wr w = answer(name, DNS_TXT);
			for (u16 i = 0; i < records; i++)
				dns_build_record(&w, DNS_ANSWER, name, DNS_TXT, 100 + i, SPAN(text, len));
			put(c, 0, records, ask(1, name, DNS_TXT), &w);
			REQUIRE(get_view(c, SEC(40), records, ask(2, name, DNS_TXT)));
			REQUIRE(got.message.n == wr_len(&w));
			for (u16 i = 0; i < records; i++) {
				REQUIRE(nth(i).ttl == 60u + i);
				REQUIRE(nth(i).rdata.n == len && memcmp(nth(i).rdata.p, text, len) == 0);
			}
		}
	}
	dns_cache_free(c);
}

static char *numbered(char *out, unsigned i)
{
	sprintf(out, "host-%05u.corp.example.com", i);
	return out;
}

TEST(least_recently_used_gives_way)
{
	struct dns_cache *c = cache(DNS_CACHE_PROXY, 16384);
	char name[64];
	unsigned n = 0;

	while (dns_cache_stats(c)->evicted == 0)
		put_a(c, 0, numbered(name, n++), 60, 1);
	EXPECT(dns_cache_stats(c)->bytes <= 16384);
	EXPECT(!get(c, 0, ask(1, numbered(name, 0), DNS_A))); /* the oldest went */
	EXPECT(get(c, 0, ask(1, numbered(name, 1), DNS_A)));  /* and is used */
	put_a(c, 0, numbered(name, n++), 60, 1);
	EXPECT(get(c, 0, ask(1, numbered(name, 1), DNS_A)));
	EXPECT(!get(c, 0, ask(1, numbered(name, 2), DNS_A)));
	EXPECT(get(c, 0, ask(1, numbered(name, 3), DNS_A)));
	dns_cache_free(c);
}

TEST(one_answer_does_not_empty_the_cache)
{
	struct dns_cache *c = cache(DNS_CACHE_PROXY, 65536);
	static u8 text[20000];
	char name[64];

	for (unsigned i = 0; i < 20; i++)
		put_a(c, 0, numbered(name, i), 60, 1);
	struct wr w = answer("big.example", DNS_TXT);
	dns_build_record(&w, DNS_ANSWER, "big.example", DNS_TXT, 60, SPAN(text, sizeof(text)));
	put(c, 0, 0, ask(1, "big.example", DNS_TXT), &w);
	EXPECT_EQ(dns_cache_stats(c)->entries, 20);
	EXPECT_EQ(dns_cache_stats(c)->not_kept, 1);
	dns_cache_free(c);
	/* the smallest cache keeps nothing and harms nobody */
	for (size_t bytes = 0; bytes < 1200; bytes += 8) {
		c = cache(DNS_CACHE_PROXY, bytes);
		for (unsigned i = 0; i < 9; i++)
			put_a(c, 0, numbered(name, i), 60, 1);
		EXPECT(dns_cache_stats(c)->entries == 0 || dns_cache_stats(c)->bytes <= bytes);
		dns_cache_free(c);
	}
}

/* issue 4 §5: 10,000 cached names in 4 MB, with both addresses of each */
TEST(ten_thousand_names_fit_into_four_megabytes)
{
	struct dns_cache *c = cache(DNS_CACHE_PROXY, 4u << 20);
	char name[64];

	for (unsigned i = 0; i < 10000; i++) {
		struct wr w = answer(numbered(name, i), DNS_A);
		wr_bytes(&w, "\xc0\x0c\0\1\0\1\0\0\1\x2c\0\4\1\2\3\4", 16);
		put_be16(reply + 6, 1);
		dns_opt_write(&w, 1232, false);
		put(c, 0, 0, ask(1, name, DNS_A), &w);
		w = answer(name, DNS_AAAA);
		wr_bytes(&w, "\xc0\x0c\0\x1c\0\1\0\0\1\x2c\0\x10" "0123456789abcdef", 28);
		put_be16(reply + 6, 1);
		put(c, 0, 0, ask(1, name, DNS_AAAA), &w);
	}
	EXPECT_EQ(dns_cache_stats(c)->entries, 20000);
	EXPECT_EQ(dns_cache_stats(c)->evicted, 0);
	EXPECT(dns_cache_stats(c)->bytes <= 4u << 20);
	for (unsigned i = 0; i < 10000; i++)
		REQUIRE(get(c, 0, ask(1, numbered(name, i), DNS_A)));
	dns_cache_free(c);
}

/* --- against a map that a child could have written --- */

#define NAMES 60u

struct model_entry {
	bool is_used;
	u32 name, type, view;
	u64 stored;
	u32 ttl;
	u8 value;
	u64 used; /* counts operations: the least recent is the smallest */
};

static struct model_entry model[NAMES * 2 * 2];

static struct model_entry *model_at(u32 name, u32 type, u32 view)
{
	return &model[(name * 2 + type) * 2 + view];
}

static void model_run(size_t bytes, u64 seed, u64 *evictions)
{
	struct dns_cache *c = cache(DNS_CACHE_PROXY, bytes);
	struct rng_seeded rng;
	u64 now = 0, evicted = 0;
	char name[64];

	rng_seeded_init(&rng, seed);
	memset(model, 0, sizeof(model));
	for (u64 op = 1; op <= 20000; op++) {
		u32 who = (u32)rng_below(&rng.rng, NAMES), type = (u32)rng_below(&rng.rng, 2), view = (u32)rng_below(&rng.rng, 2);
		struct model_entry *m = model_at(who, type, view);
		u16 dns_type = type ? DNS_AAAA : DNS_A;
		now += rng_below(&rng.rng, SEC(1));
		sprintf(name, "%s%u.exAmple", rng_below(&rng.rng, 2) ? "Name" : "naME", who + 100);
		if (rng_below(&rng.rng, 1000) == 0) {
			dns_cache_clear(c);
			memset(model, 0, sizeof(model));
		} else if (rng_below(&rng.rng, 3) == 0) {
			struct wr w = answer(name, dns_type);
			u8 value[16] = { (u8)rng_u32(&rng.rng) };
			u32 ttl = (u32)rng_below(&rng.rng, 300);
			dns_build_record(&w, DNS_ANSWER, name, dns_type, ttl, SPAN(value, type ? 16 : 4));
			put(c, now, view, ask(1, name, dns_type), &w);
			if (ttl > 0)
				*m = (struct model_entry){ true, who, type, view, now, ttl, value[0], op };
			/* what the cache gave up must have been used least recently, in that order */
			u64 n = dns_cache_stats(c)->evicted - evicted;
			evicted += n;
			for (; n > 0; n--) {
				struct model_entry *oldest = NULL;
				for (size_t i = 0; i < ARRAY_LEN(model); i++)
					if (model[i].is_used && (!oldest || model[i].used < oldest->used))
						oldest = &model[i];
				REQUIRE(oldest);
				oldest->is_used = false;
			}
		} else {
			bool hit = get_view(c, now, view, ask((u16)op, name, dns_type));
			bool want = m->is_used && now < m->stored + SEC(m->ttl);
			if (hit != want)
				test_fail(__FILE__, __LINE__, "operation %llu: hit %d", (unsigned long long)op, hit);
			REQUIRE(hit == want);
			if (hit) {
				REQUIRE(got.r.id == (u16)op);
				REQUIRE(nth(0).rdata.p[0] == m->value);
				REQUIRE(nth(0).ttl == m->ttl - (now - m->stored) / NSEC_PER_SEC);
				m->used = op;
			} else {
				m->is_used = false;
			}
		}
		u32 entries = 0;
		for (size_t i = 0; i < ARRAY_LEN(model); i++)
			entries += model[i].is_used;
		REQUIRE(entries == dns_cache_stats(c)->entries);
		REQUIRE(dns_cache_stats(c)->bytes <= bytes);
	}
	*evictions += evicted;
	dns_cache_free(c);
}

TEST(spec30_58_agrees_with_a_naive_map)
{
	u64 evictions = 0;

	model_run(ROOM, 1, &evictions);
	EXPECT_EQ(evictions, 0);
	for (u64 seed = 2; seed < 8; seed++)
		model_run(4000 + 4000 * (size_t)seed, seed, &evictions);
	EXPECT(evictions > 1000);
}
