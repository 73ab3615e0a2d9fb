/* The client's stub: names, proxy addresses, decisions and routes (spec 30 §8–§9). */
#include "core/tunnel/client_stub.h"
#include "tests/unit/inner.h"
#include "tests/unit/test.h"

#include <stdio.h>

static struct rng_seeded rng;
static struct stub *stub;
static const struct filter all = { .allows_all = true };
static u8 answer[1500];
static struct stub_answer said;
static int owners[16];

static void start(void)
{
	rng_seeded_init(&rng, 3);
	stub = stub_new(&rng.rng);
}

static void stop(void)
{
	stub_free(stub);
}

static void add_stack(unsigned id, const char *pattern, enum msg_ip_stack stack)
{
	struct uuid u = uuid_of(id);
	EXPECT_EQ(stub_add(stub, &u, pattern, stack, &all, &owners[id]), 0);
}

static void add(unsigned id, const char *pattern)
{
	add_stack(id, pattern, MSG_STACK_DUAL);
}

static void gone(unsigned id)
{
	struct uuid u = uuid_of(id);
	stub_remove(stub, &u);
}

static size_t make_query(const char *name, u16 type, u8 *out)
{
	struct dns_question q = { .type = type, .class = DNS_CLASS_IN };
	struct wr w = wr_init(out, 512);
	EXPECT_EQ(dns_name_from_text(name, &q.name), 0);
	dns_query_write(&w, 0x1234, &q, 0);
	EXPECT(wr_ok(&w));
	return wr_len(&w);
}

/* What is decided; the answer, when there is one, lies in `answer` and is parsed. */
static enum stub_decision ask(const char *name, u16 type, struct dns_response *r)
{
	u8 query[512];
	size_t n = make_query(name, type, query);
	struct dns_query q;
	struct wr w = wr_init(answer, sizeof(answer));

	EXPECT_EQ(dns_query_parse(SPAN(query, n), &q), 0);
	enum stub_decision d = stub_decide(stub, SPAN(query, n), &q, &w, &said);
	if (d != STUB_LOCAL) {
		EXPECT_EQ(wr_len(&w), 0);
		return d;
	}
	EXPECT(wr_ok(&w));
	EXPECT_EQ(dns_response_parse(wr_span(&w), r), 0);
	EXPECT(r->id == 0x1234 && dns_response_matches(r, &q.q));
	EXPECT_EQ(r->flags & (DNS_FLAG_AA | DNS_FLAG_TC | DNS_FLAG_RA | DNS_FLAG_AD | DNS_FLAG_CD), 0);
	EXPECT(r->flags & DNS_FLAG_RD);
	EXPECT_EQ(r->n_authority + r->n_additional, 0);
	return d;
}

/* The addresses of a local answer. */
static unsigned addresses(const char *name, u16 type, struct ip *out)
{
	struct dns_response r = { 0 };
	struct dns_record rec;
	unsigned n = 0;

	EXPECT_EQ(ask(name, type, &r), STUB_LOCAL);
	EXPECT_EQ(r.rcode, DNS_NOERROR);
	struct dns_walk w = dns_walk(SPAN(answer, sizeof(answer)), &r);
	while (n < r.n_answers && dns_walk_next(&w, &rec)) {
		EXPECT(rec.type == type && rec.ttl == 1 && rec.class == DNS_CLASS_IN);
		EXPECT_EQ(dns_record_ip(&rec, &out[n++]), 0);
	}
	EXPECT_EQ(n, r.n_answers);
	return n;
}

static void expect_range(const struct ip *list, unsigned n, const char *first)
{
	struct ip want = ip_of(first);
	EXPECT_EQ(n, 4);
	for (unsigned i = 0; i < n; i++) {
		EXPECT(ip_eq(&list[i], &want));
		want.b[want.family == 4 ? 3 : 15]++;
	}
}

TEST(spec30_01_spec30_03_four_addresses_of_each_family_from_the_first_on)
{
	struct ip v4[8], v6[8];
	start();
	add(1, "*.example.com");
	expect_range(v4, addresses("a.example.com", DNS_A, v4), "100.96.0.1");
	expect_range(v6, addresses("b.example.com", DNS_AAAA, v6), "fd00:2021:1111:8000::4");
	expect_range(v6, addresses("A.Example.COM", DNS_AAAA, v6), "fd00:2021:1111:8000::");
	expect_range(v4, addresses("b.example.com", DNS_A, v4), "100.96.0.5");
	gone(1);
	EXPECT_EQ(ask("a.example.com", DNS_A, &(struct dns_response){ 0 }), STUB_FORWARD);
	add(2, "a.example.com");
	expect_range(v4, addresses("a.example.com", DNS_A, v4), "100.96.0.1");
	stop();
}

TEST(spec30_02_sentinels_are_never_proxies)
{
	struct ip list[8];
	char name[64];
	struct ip sentinel = ip_of("100.100.111.1"), last = ip_of("100.100.110.255");
	bool is_skipped = false, is_reached = false;

	start();
	add(1, "*.example.com");
	unsigned names = (0x64646f00u - 0x64600000u) / 4 + 2; /* just past the range */
	for (unsigned i = 0; i < names; i++) {
		snprintf(name, sizeof(name), "h%u.example.com", i);
		unsigned n = addresses(name, DNS_A, list);
		EXPECT_EQ(n, 4);
		for (unsigned k = 0; k < n; k++) {
			if (cidr_contains(&net_sentinels4, &list[k]) && !EXPECT(!"a sentinel"))
				return;
			is_skipped |= list[k].b[1] == 100 && list[k].b[2] == 112 && list[k].b[3] == 0;
			is_reached |= ip_eq(&list[k], &last);
			const struct stub_record *r = stub_record_of_ip(stub, &list[k]);
			if (!EXPECT(r && r->number == i))
				return;
		}
	}
	EXPECT(is_skipped && is_reached);
	EXPECT(!stub_record_of_ip(stub, &sentinel));
	EXPECT(!stub_record_of_ip(stub, &net_proxies4.ip));
	stop();
}

TEST(spec30_43_the_canary_of_firefox)
{
	struct dns_response r;
	start();
	EXPECT_EQ(ask("use-application-dns.net", DNS_A, &r), STUB_LOCAL);
	EXPECT_EQ(r.rcode, DNS_NXDOMAIN);
	EXPECT_EQ(ask("USE-application-dns.NET", DNS_MX, &r), STUB_LOCAL);
	EXPECT_EQ(ask("x.use-application-dns.net", DNS_A, &r), STUB_FORWARD);
	stop();
}

TEST(spec30_44_only_matching_names_are_answered)
{
	struct ip list[8];
	start();
	EXPECT_EQ(ask("app.example.com", DNS_A, &(struct dns_response){ 0 }), STUB_FORWARD);
	add(1, "app.example.com");
	EXPECT_EQ(addresses("app.example.com", DNS_A, list), 4);
	EXPECT_EQ(addresses("app.example.com", DNS_AAAA, list), 4);
	EXPECT_EQ(ask("app.example.org", DNS_A, &(struct dns_response){ 0 }), STUB_FORWARD);
	EXPECT_EQ(ask("x.app.example.com", DNS_AAAA, &(struct dns_response){ 0 }), STUB_FORWARD);
	stop();
}

TEST(spec30_45_every_match_must_allow_the_family_when_it_is_asked)
{
	struct ip list[8];
	start();
	add(1, "app.example.com");
	EXPECT_EQ(addresses("app.example.com", DNS_AAAA, list), 4);
	add_stack(2, "*.example.com", MSG_STACK_IPV4_ONLY);
	EXPECT_EQ(addresses("app.example.com", DNS_AAAA, list), 0);
	EXPECT_EQ(addresses("app.example.com", DNS_A, list), 4);
	add_stack(3, "**.com", MSG_STACK_IPV6_ONLY);
	EXPECT_EQ(addresses("app.example.com", DNS_A, list), 0);
	gone(2);
	gone(3);
	expect_range(list, addresses("app.example.com", DNS_AAAA, list), "fd00:2021:1111:8000::");
	stop();
}

TEST(spec30_46_spec30_47_spec30_49_the_other_types)
{
	static const u16 forwarded[] = { DNS_NS, DNS_CNAME, DNS_SOA, DNS_MX, DNS_SVCB, DNS_ANY, DNS_PTR, 257 };
	struct dns_response r;
	start();
	add(1, "*.example.com");
	add(2, "app.example.com");
	add(3, "app.example.com");
	EXPECT_EQ(ask("app.example.com", DNS_HTTPS, &r), STUB_LOCAL);
	EXPECT(r.rcode == DNS_NOERROR && r.n_answers == 0);
	EXPECT_EQ(ask("app.example.org", DNS_HTTPS, &r), STUB_FORWARD);
	EXPECT_EQ(ask("app.example.com", DNS_SRV, &r), STUB_SITE);
	EXPECT(said.owner == &owners[3]); /* most specific, then the greater id */
	EXPECT_EQ(ask("x.example.com", DNS_TXT, &r), STUB_SITE);
	EXPECT(said.owner == &owners[1]);
	EXPECT_EQ(ask("app.example.org", DNS_TXT, &r), STUB_FORWARD);
	for (unsigned i = 0; i < ARRAY_LEN(forwarded); i++)
		EXPECT_EQ(ask("app.example.com", forwarded[i], &r), STUB_FORWARD);
	struct stub_stats stats;
	stub_stats(stub, &stats);
	EXPECT_EQ(stats.records, 0); /* none of these assigns addresses */
	stop();
}

TEST(spec30_48_reverse_names_of_assigned_addresses_only)
{
	struct dns_response r;
	struct dns_record rec;
	struct dns_name target;
	char text[DNS_NAME_STRLEN];
	struct ip list[8];
	const char *v6 = "3.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.1.1.1.1.1.2.0.2.0.0.d.f.ip6.arpa";

	start();
	add(1, "**.Example.com");
	EXPECT_EQ(ask("4.0.96.100.in-addr.arpa", DNS_PTR, &r), STUB_FORWARD);
	(void)addresses("A.b.example.com", DNS_A, list);
	const char *assigned[] = { "1.0.96.100.in-addr.arpa", "4.0.96.100.in-addr.arpa", v6 };
	for (unsigned i = 0; i < ARRAY_LEN(assigned); i++) {
		EXPECT_EQ(ask(assigned[i], DNS_PTR, &r), STUB_LOCAL);
		EXPECT_EQ(r.n_answers, 1);
		struct dns_walk w = dns_walk(SPAN(answer, sizeof(answer)), &r);
		REQUIRE(dns_walk_next(&w, &rec));
		EXPECT(rec.ttl == 1 && rec.type == DNS_PTR);
		EXPECT_EQ(dns_record_name(&rec, SPAN(answer, sizeof(answer)), &target), 0);
		EXPECT_STR(dns_name_text(&target, text), "a.b.example.com");
	}
	EXPECT_EQ(ask("5.0.96.100.in-addr.arpa", DNS_PTR, &r), STUB_FORWARD);
	EXPECT_EQ(ask("0.96.100.in-addr.arpa", DNS_PTR, &r), STUB_FORWARD);
	EXPECT_EQ(ask("8.8.8.8.in-addr.arpa", DNS_PTR, &r), STUB_FORWARD);
	stop();
}

static const struct port_range port443 = { 443, 443 };
static const struct filter tcp443 = { .n_tcp = 1, .ranges = (struct port_range *)&port443 };

static long routed(const char *ip, u16 port, bool *permits)
{
	struct ip to = ip_of(ip);
	int *owner = stub_route(stub, &to, L4_TCP, port, permits);
	return owner ? owner - owners : -1;
}

TEST(spec30_16_routes_by_filter_then_pattern_then_id)
{
	struct ip list[8];
	struct uuid specific = uuid_of(5);
	bool permits;

	start();
	add(1, "*.example.com");
	add(2, "**.example.com");
	EXPECT_EQ(stub_add(stub, &specific, "app.example.com", MSG_STACK_DUAL, &tcp443, &owners[5]), 0);
	(void)addresses("app.example.com", DNS_A, list);
	EXPECT_EQ(routed("100.96.0.1", 443, &permits), 5);
	EXPECT(permits);
	EXPECT_EQ(routed("100.96.0.2", 80, &permits), 1); /* the filter goes before the pattern */
	EXPECT(permits);
	EXPECT_EQ(routed("fd00:2021:1111:8000::3", 443, &permits), 5);
	gone(1);
	gone(2);
	EXPECT_EQ(routed("100.96.0.2", 80, &permits), 5); /* the best of what refuses */
	EXPECT(!permits);
	EXPECT_EQ(routed("100.96.0.5", 443, &permits), -1);
	add(6, "app.example.com"); /* unknown to the record until it is asked again (spec 30 §9.3) */
	EXPECT_EQ(routed("100.96.0.2", 443, &permits), 5);
	(void)addresses("app.example.com", DNS_AAAA, list);
	EXPECT(said.has_new_routes);
	EXPECT_EQ(routed("100.96.0.2", 443, &permits), 6);
	(void)addresses("app.example.com", DNS_A, list);
	EXPECT(!said.has_new_routes);
	stop();
}

TEST(spec30_03_a_pair_that_returns_is_routable_at_once)
{
	struct ip list[8];
	bool permits;
	start();
	add(1, "app.example.com");
	(void)addresses("app.example.com", DNS_A, list);
	gone(1);
	EXPECT_EQ(routed("100.96.0.1", 80, &permits), -1);
	add(1, "*.example.com"); /* the same resource by another pattern is another pair */
	EXPECT_EQ(routed("100.96.0.1", 80, &permits), -1);
	gone(1);
	add(1, "app.example.com");
	EXPECT_EQ(routed("100.96.0.1", 80, &permits), 1);
	stop();
}

TEST(names_beyond_the_limit_are_refused_and_counted_and_the_others_stay)
{
	struct ip first[8], again[8];
	struct dns_response r = { 0 };
	struct stub_stats stats;
	char name[64];

	start();
	add(1, "*.example.com");
	EXPECT_EQ(addresses("n0.example.com", DNS_A, first), STUB_PROXIES);
	for (u32 i = 1; i < STUB_NAMES_MAX; i++) {
		snprintf(name, sizeof(name), "n%u.example.com", i);
		if (!EXPECT_EQ(addresses(name, DNS_A, again), STUB_PROXIES))
			break;
	}
	EXPECT_EQ(ask("one-more.example.com", DNS_A, &r), STUB_LOCAL);
	EXPECT_EQ(r.rcode, DNS_SERVFAIL);
	EXPECT(!said.record);
	EXPECT_EQ(addresses("n0.example.com", DNS_A, again), STUB_PROXIES);
	EXPECT(memcmp(first, again, STUB_PROXIES * sizeof(*first)) == 0);
	stub_stats(stub, &stats);
	EXPECT_EQ(stats.records, STUB_NAMES_MAX);
	EXPECT_EQ(stats.exhausted, 1);
	stop();
}

TEST(patterns_of_former_resources_do_not_pile_up)
{
	struct ip list[8];
	start();
	for (unsigned i = 0; i < STUB_PATTERNS_MAX + 10; i++) {
		char pattern[64];
		snprintf(pattern, sizeof(pattern), "*.p%u.example.com", i);
		struct uuid id = uuid_of(i % 60000);
		if (stub_add(stub, &id, pattern, MSG_STACK_DUAL, &all, &owners[1]) != 0 && !EXPECT(!"no room"))
			break;
		stub_remove(stub, &id);
	}
	add(2, "*.example.com");
	EXPECT_EQ(addresses("a.example.com", DNS_A, list), 4);
	struct uuid bad = uuid_of(3);
	EXPECT_EQ(stub_add(stub, &bad, "a**.example.com", MSG_STACK_DUAL, &all, &owners[3]), ERR_INVAL);
	EXPECT_EQ(stub_add(stub, &bad, "", MSG_STACK_DUAL, &all, &owners[3]), ERR_INVAL);
	stop();
}
