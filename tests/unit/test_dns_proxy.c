/* The rules, the clients and the whole of dns-proxy's engine (issue of DNS §3), without sockets or clock: a world with scripted servers. */
#include "core/dns/proxy.h"
#include "tests/unit/dns_build.h"

#include <stdio.h>
#include <stdlib.h>

struct world {
	struct rng_seeded rng;
	struct forwarder *f;
	struct proxy *p;
	struct split *s;
	struct clients clients;
	u64 now;
	u8 out[DNS_MESSAGE_MAX];
	size_t n;
	struct dns_response r; /* of what came last */
	struct proxy_answer late;
	enum proxy_outcome outcome;
	u32 notes;
};

static struct dns_server server(u8 last)
{
	return (struct dns_server){ .transport = DNS_OVER_UDP, .addr = { ip4(192, 0, 2, last), 53 } };
}

static void on_note(void *ctx, const struct proxy_note *n)
{
	struct world *w = ctx;

	w->outcome = n->outcome;
	w->notes++;
}

static struct world *world_new(void)
{
	struct world *w = calloc(1, sizeof(*w));
	const struct dns_server def = server(1);

	rng_seeded_init(&w->rng, 3);
	w->now = SEC(1000);
	w->f = forwarder_new(&w->rng.rng, 0);
	w->s = split_new(&w->rng.rng);
	EXPECT_EQ(split_set_default(w->s, &def, 1), 0);
	EXPECT_EQ(clients_init(&w->clients, 0, 0, &w->rng.rng), 0);
	w->p = proxy_new(&(struct proxy_config){ .forwarder = w->f, .rng = &w->rng.rng, .cache_bytes = 1 << 20, .on_query = on_note, .ctx = w });
	return w;
}

/* The rules are complete. */
static void go(struct world *w)
{
	split_finish(w->s);
	EXPECT_EQ(proxy_set_rules(w->p, w->now, w->s, &w->clients, false), 0);
}

static void world_free(struct world *w)
{
	proxy_free(w->p);
	forwarder_free(w->f);
	free(w);
}

static void rule(struct world *w, const char *pattern, u8 last)
{
	const struct dns_server s = server(last);

	EXPECT_EQ(split_add_rule(w->s, pattern, SPLIT_RULE_SERVERS, &s, 1), 0);
}

static void record(struct world *w, const char *name, u16 type, struct span rdata)
{
	const struct dns_name n = dns_build_name(name);

	EXPECT_EQ(split_add_record(w->s, &n, type, 300, rdata), 0);
}

static void alias(struct world *w, const char *name, const char *target)
{
	const struct dns_name t = dns_build_name(target);

	record(w, name, DNS_CNAME, SPAN(t.wire, t.len));
}

static size_t make(u8 *buf, size_t size, const char *name, u16 type, u16 udp_size)
{
	const struct dns_question q = { dns_build_name(name), type, DNS_CLASS_IN };
	struct wr w = wr_init(buf, size);

	dns_query_write(&w, 77, &q, udp_size);
	return wr_len(&w);
}

static enum proxy_result ask_as(struct world *w, struct ip who, bool is_tcp, const char *name, u16 type, u16 udp_size)
{
	u8 query[512];
	const struct proxy_client c = { .addr = { who, 4000 }, .via = 5, .is_tcp = is_tcp };
	size_t n = make(query, sizeof(query), name, type, udp_size);
	enum proxy_result rc = proxy_input(w->p, w->now, &c, SPAN(query, n), (struct mspan){ w->out, sizeof(w->out) }, &w->n);

	if (rc == PROXY_ANSWER)
		EXPECT_EQ(dns_response_parse(SPAN(w->out, w->n), &w->r), 0);
	return rc;
}

static enum proxy_result ask(struct world *w, const char *name, u16 type)
{
	return ask_as(w, ip4(192, 168, 1, 9), false, name, type, 0);
}

/* The one exchange that shall be waiting. */
static struct dns_exchange wanted(struct world *w)
{
	struct dns_exchange e = { 0 };

	while (forwarder_poll_exchange(w->f, &e) && e.is_cancel)
		;
	EXPECT(e.id != 0);
	return e;
}

static bool nothing_wanted(struct world *w)
{
	struct dns_exchange e = { 0 };

	while (forwarder_poll_exchange(w->f, &e))
		if (!e.is_cancel)
			return false;
	return true;
}

/* Hands on what the forwarder has; true when an answer came out. */
static bool deliver(struct world *w)
{
	struct dns_answer a;
	bool is_out = false;

	while (forwarder_poll_answer(w->f, &a))
		if (proxy_answer(w->p, w->now, &a, &w->late)) {
			is_out = true;
			w->n = w->late.message.n;
			memcpy(w->out, w->late.message.p, w->n);
			EXPECT_EQ(dns_response_parse(SPAN(w->out, w->n), &w->r), 0);
		}
	return is_out;
}

/* The server answers with so many A records of 300 s, or a code and SOA. */
static bool reply(struct world *w, const struct dns_exchange *e, enum dns_rcode rcode, unsigned records)
{
	static u8 buf[DNS_MESSAGE_MAX];
	struct dns_query q;
	struct wr m = wr_init(buf, sizeof(buf));

	EXPECT_EQ(dns_query_parse(e->message, &q), 0);
	dns_answer_begin(&m, e->message, &q, rcode);
	put_be16(buf + 2, get_be16(buf + 2) | DNS_FLAG_RA);
	for (unsigned i = 0; i < records; i++) {
		const struct ip ip = ip4(10, 0, (u8)(i >> 8), (u8)i);
		dns_answer_ip(&m, 300, &ip);
	}
	if (records == 0)
		dns_build_soa(&m, "example", 900, 60);
	const struct endpoint from = e->server->addr;
	(void)forwarder_response(w->f, w->now, e->id, e->transport == DNS_OVER_UDP ? &from : NULL, wr_span(&m));
	return deliver(w);
}

static struct dns_record answer_record(const struct world *w, unsigned i)
{
	struct dns_walk walk = dns_walk(SPAN(w->out, w->n), &w->r);
	struct dns_record rec = { 0 };

	for (unsigned k = 0; k <= i; k++)
		if (!dns_walk_next(&walk, &rec) || rec.section != DNS_ANSWER)
			test_fail(__FILE__, __LINE__, "no record %u", i);
	return rec;
}

static void expect_name(const struct dns_name *n, const char *text)
{
	char buf[DNS_NAME_STRLEN];

	EXPECT_STR(dns_name_text(n, buf), text);
}

static void expect_ip(const struct world *w, unsigned i, struct ip want)
{
	struct dns_record rec = answer_record(w, i);
	struct ip got = { 0 };

	EXPECT_EQ(dns_record_ip(&rec, &got), 0);
	EXPECT(ip_eq(&got, &want));
}

static void expect_asked(struct world *w, const char *name, u8 last)
{
	struct dns_exchange e = wanted(w);
	struct dns_query q;

	REQUIRE(e.id);
	EXPECT_EQ(dns_query_parse(e.message, &q), 0);
	expect_name(&q.q.name, name);
	EXPECT_EQ(e.server->addr.ip.b[3], last);
	EXPECT(reply(w, &e, DNS_NOERROR, 1));
}

TEST(most_specific_rule_decides_who_is_asked)
{
	struct world *w = world_new();

	rule(w, "**.example", 2);
	rule(w, "**.corp.example", 3);
	rule(w, "www.corp.example", 4);
	go(w);
	EXPECT_EQ(ask(w, "other.test.net", DNS_A), PROXY_LATER);
	expect_asked(w, "other.test.net", 1);
	EXPECT_EQ(ask(w, "a.example", DNS_A), PROXY_LATER);
	expect_asked(w, "a.example", 2);
	EXPECT_EQ(ask(w, "a.b.corp.example", DNS_A), PROXY_LATER);
	expect_asked(w, "a.b.corp.example", 3);
	EXPECT_EQ(ask(w, "WWW.corp.example", DNS_A), PROXY_LATER);
	expect_asked(w, "WWW.corp.example", 4);
	EXPECT_EQ(w->outcome, PROXY_FORWARDED);
	EXPECT_EQ(w->r.id, 77);
	world_free(w);
}

TEST(second_question_comes_from_the_cache_with_less_to_live)
{
	struct world *w = world_new();

	go(w);
	EXPECT_EQ(ask(w, "a.example", DNS_A), PROXY_LATER);
	expect_asked(w, "a.example", 1);
	w->now += SEC(100);
	EXPECT_EQ(ask(w, "A.example", DNS_A), PROXY_ANSWER);
	EXPECT_EQ(w->outcome, PROXY_CACHED);
	EXPECT_EQ(answer_record(w, 0).ttl, 200);
	w->now += SEC(201);
	EXPECT_EQ(ask(w, "A.example", DNS_A), PROXY_LATER);
	world_free(w);
}

TEST(negative_answer_is_kept_for_its_soa)
{
	struct world *w = world_new();
	struct dns_exchange e;

	go(w);
	EXPECT_EQ(ask(w, "no.example", DNS_A), PROXY_LATER);
	e = wanted(w);
	EXPECT(reply(w, &e, DNS_NXDOMAIN, 0));
	EXPECT_EQ(ask(w, "no.example", DNS_A), PROXY_ANSWER);
	EXPECT_EQ(w->r.rcode, DNS_NXDOMAIN);
	w->now += SEC(61);
	EXPECT_EQ(ask(w, "no.example", DNS_A), PROXY_LATER);
	world_free(w);
}

TEST(static_records_answer_and_their_reverse_names_too)
{
	struct world *w = world_new();

	record(w, "nas.lan", DNS_A, SPAN_STR("\xc0\xa8\1\5"));
	record(w, "nas.lan", DNS_TXT, SPAN_STR("\5hello"));
	record(w, "second.lan", DNS_A, SPAN_STR("\xc0\xa8\1\5"));
	alias(w, "www.lan", "nas.lan");
	go(w);
	EXPECT_EQ(ask(w, "NAS.lan", DNS_A), PROXY_ANSWER);
	EXPECT_EQ(w->outcome, PROXY_STATIC);
	EXPECT_EQ(w->r.flags & (DNS_FLAG_AA | DNS_FLAG_RA | DNS_FLAG_RD), DNS_FLAG_AA | DNS_FLAG_RA | DNS_FLAG_RD);
	expect_ip(w, 0, ip4(192, 168, 1, 5));
	EXPECT_EQ(ask(w, "nas.lan", DNS_TXT), PROXY_ANSWER);
	EXPECT_EQ(w->r.n_answers, 1);
	EXPECT_EQ(ask(w, "nas.lan", DNS_AAAA), PROXY_ANSWER);
	EXPECT_EQ(w->r.rcode * 100 + w->r.n_answers, 0);
	EXPECT_EQ(ask(w, "www.lan", DNS_A), PROXY_ANSWER);
	EXPECT_EQ(w->r.n_answers, 2);
	EXPECT_EQ(answer_record(w, 0).type, DNS_CNAME);
	expect_ip(w, 1, ip4(192, 168, 1, 5));
	EXPECT_EQ(ask(w, "5.1.168.192.in-addr.arpa", DNS_PTR), PROXY_ANSWER);
	struct dns_record rec = answer_record(w, 0);
	struct dns_name target = { 0 };
	EXPECT_EQ(dns_record_name(&rec, SPAN(w->out, w->n), &target), 0);
	expect_name(&target, "nas.lan");
	EXPECT(nothing_wanted(w));
	world_free(w);
}

TEST(said_reverse_record_stands_above_a_derived_one)
{
	struct world *w = world_new();
	const struct dns_name said = dns_build_name("said.lan");

	record(w, "nas.lan", DNS_A, SPAN_STR("\xc0\xa8\1\5"));
	record(w, "5.1.168.192.in-addr.arpa", DNS_PTR, SPAN(said.wire, said.len));
	go(w);
	EXPECT_EQ(ask(w, "5.1.168.192.in-addr.arpa", DNS_PTR), PROXY_ANSWER);
	EXPECT_EQ(w->r.n_answers, 1);
	world_free(w);
}

TEST(alias_stands_alone)
{
	struct world *w = world_new();
	const struct dns_name name = dns_build_name("a.lan"), target = dns_build_name("b.lan");

	record(w, "a.lan", DNS_A, SPAN_STR("\1\2\3\4"));
	EXPECT_EQ(split_add_record(w->s, &name, DNS_CNAME, 1, SPAN(target.wire, target.len)), ERR_EXISTS);
	EXPECT_EQ(split_add_record(w->s, &name, DNS_A, 1, SPAN_STR("\1\2\3")), ERR_INVAL);
	go(w);
	world_free(w);
}

TEST(alias_to_a_foreign_name_is_followed_upstream)
{
	struct world *w = world_new();

	rule(w, "**.example", 2);
	alias(w, "www.lan", "web.example");
	go(w);
	EXPECT_EQ(ask(w, "www.lan", DNS_A), PROXY_LATER);
	expect_asked(w, "web.example", 2);
	expect_name(&w->r.q.name, "www.lan");
	EXPECT_EQ(w->r.n_answers, 2);
	EXPECT_EQ(answer_record(w, 0).type, DNS_CNAME);
	struct dns_record rec = answer_record(w, 1);
	expect_name(&rec.name, "web.example");
	expect_ip(w, 1, ip4(10, 0, 0, 0));
	EXPECT_EQ(ask(w, "www.lan", DNS_A), PROXY_ANSWER); /* and kept */
	EXPECT_EQ(w->r.n_answers, 2);
	world_free(w);
}

TEST(alias_to_nonsense_is_a_failure_that_is_told)
{
	struct world *w = world_new();
	struct dns_query q;
	u8 buf[512];

	alias(w, "www.lan", "web.example");
	go(w);
	for (unsigned is_tcp = 0; is_tcp < 2; is_tcp++) {
		EXPECT_EQ(ask_as(w, ip4(10, 0, 0, 1), is_tcp, "www.lan", DNS_SRV, 0), PROXY_LATER);
		struct dns_exchange e = wanted(w);
		struct wr m = wr_init(buf, sizeof(buf));
		REQUIRE(e.id && dns_query_parse(e.message, &q) == 0);
		dns_answer_begin(&m, e.message, &q, DNS_NOERROR);
		dns_answer_rdata(&m, DNS_SRV, 300, SPAN_STR("\0\1\0\1\0\120\7tooshort"));
		const struct endpoint from = e.server->addr;
		EXPECT(forwarder_response(w->f, w->now, e.id, is_tcp ? NULL : &from, wr_span(&m)));
		EXPECT(deliver(w));
		EXPECT_EQ(w->r.rcode, DNS_SERVFAIL);
		expect_name(&w->r.q.name, "www.lan");
		EXPECT_EQ(proxy_stats(w->p)->in_flight, 0);
	}
	world_free(w);
}

TEST(alias_loop_ends)
{
	struct world *w = world_new();

	alias(w, "a.lan", "b.lan");
	alias(w, "b.lan", "a.lan");
	go(w);
	EXPECT_EQ(ask(w, "a.lan", DNS_A), PROXY_ANSWER);
	EXPECT_EQ(w->r.n_answers, SPLIT_ALIASES_MAX);
	world_free(w);
}

TEST(special_names_stay_here)
{
	struct world *w = world_new();
	const struct ip v6 = { .b = { [15] = 1 }, .family = 6 };

	split_hide_application_dns(w->s, true);
	go(w);
	EXPECT_EQ(ask(w, "localhost", DNS_A), PROXY_ANSWER);
	expect_ip(w, 0, ip4(127, 0, 0, 1));
	EXPECT_EQ(ask(w, "x.LocalHost", DNS_AAAA), PROXY_ANSWER);
	expect_ip(w, 0, v6);
	EXPECT_EQ(ask(w, "1.0.0.127.in-addr.arpa", DNS_PTR), PROXY_ANSWER);
	EXPECT_EQ(w->r.n_answers, 1);
	for (const char *const *name = (const char *const[]){ "a.invalid", "b.onion", "printer.local", "c.test", "9.9.9.127.in-addr.arpa",
							     "use-application-dns.net", NULL }; *name; name++) {
		EXPECT_EQ(ask(w, *name, DNS_A), PROXY_ANSWER);
		EXPECT_EQ(w->r.rcode, DNS_NXDOMAIN);
		EXPECT_EQ(w->outcome, PROXY_SPECIAL);
	}
	EXPECT_EQ(ask(w, "_dns.resolver.arpa", DNS_SVCB), PROXY_ANSWER);
	EXPECT_EQ(w->r.rcode, DNS_NOERROR);
	EXPECT_EQ(ask(w, "notlocal", DNS_A), PROXY_LATER);
	EXPECT_EQ(ask(w, "alocalhost", DNS_A), PROXY_LATER);
	world_free(w);
}

TEST(rule_lifts_special_and_blocked_names)
{
	struct world *w = world_new();
	struct blocklist *b = blocklist_new(&w->rng.rng);
	const struct dns_name ads = dns_build_name("ads.example");

	EXPECT_EQ(blocklist_add(b, &ads), 0);
	split_set_blocklist(w->s, b, false);
	rule(w, "**.local", 7);
	rule(w, "**", 8);
	EXPECT_EQ(split_add_rule(w->s, "good.ads.example", SPLIT_RULE_DEFAULT, NULL, 0), 0);
	EXPECT_EQ(split_add_rule(w->s, "bad.example", SPLIT_RULE_BLOCK, NULL, 0), 0);
	EXPECT_EQ(split_add_rule(w->s, "bad.example", SPLIT_RULE_BLOCK, NULL, 0), ERR_EXISTS);
	EXPECT_EQ(split_add_rule(w->s, "a**b", SPLIT_RULE_BLOCK, NULL, 0), ERR_INVAL);
	go(w);
	EXPECT_EQ(ask(w, "printer.local", DNS_A), PROXY_LATER);
	expect_asked(w, "printer.local", 7);
	EXPECT_EQ(ask(w, "good.ads.example", DNS_A), PROXY_LATER);
	expect_asked(w, "good.ads.example", 1);
	EXPECT_EQ(ask(w, "x.ads.example", DNS_A), PROXY_ANSWER);
	EXPECT_EQ(w->r.rcode, DNS_NXDOMAIN);
	EXPECT_EQ(w->outcome, PROXY_BLOCKED);
	EXPECT_EQ(ask(w, "bad.example", DNS_A), PROXY_ANSWER);
	EXPECT_EQ(ask(w, "b.onion", DNS_A), PROXY_ANSWER);
	EXPECT_EQ(ask(w, "loads.example", DNS_A), PROXY_LATER); /* no label of its own in the list */
	expect_asked(w, "loads.example", 8);
	world_free(w);
}

TEST(blocked_with_zero_addresses)
{
	struct world *w = world_new();
	struct blocklist *b = blocklist_new(&w->rng.rng);
	const struct dns_name ads = dns_build_name("ads.example");
	const struct ip zero6 = { .family = 6 };

	EXPECT_EQ(blocklist_add(b, &ads), 0);
	split_set_blocklist(w->s, b, true);
	go(w);
	EXPECT_EQ(ask(w, "ads.example", DNS_A), PROXY_ANSWER);
	expect_ip(w, 0, ip4(0, 0, 0, 0));
	EXPECT_EQ(ask(w, "ads.example", DNS_AAAA), PROXY_ANSWER);
	expect_ip(w, 0, zero6);
	EXPECT_EQ(ask(w, "ads.example", DNS_MX), PROXY_ANSWER);
	EXPECT_EQ(w->r.rcode * 100 + w->r.n_answers, 0);
	world_free(w);
}

TEST(blocklist_of_many_names_is_compact)
{
	struct rng_seeded rng;
	char text[64];
	u32 bad, first, wrong = 0;

	rng_seeded_init(&rng, 5);
	struct blocklist *b = blocklist_new(&rng.rng);
	for (u32 i = 0; i < 120000; i++) {
		int n = snprintf(text, sizeof(text), "ads%u.tracker%u.example\n", i, i % 977);
		EXPECT_EQ(blocklist_add_text(b, SPAN(text, n), &bad, &first), 0);
		wrong += bad;
	}
	EXPECT_EQ(wrong, 0);
	EXPECT_EQ(blocklist_count(b), 120000);
	EXPECT(blocklist_bytes(b) <= 3u << 20);
	for (u32 i = 0; i < 120000; i += 7) {
		snprintf(text, sizeof(text), "x.ADS%u.tracker%u.example", i, i % 977);
		const struct dns_name in = dns_build_name(text);
		snprintf(text, sizeof(text), "no%u.tracker%u.example", i, i % 977);
		const struct dns_name out = dns_build_name(text);
		wrong += !blocklist_has(b, &in) + blocklist_has(b, &out);
	}
	EXPECT_EQ(wrong, 0);
	blocklist_free(b);
}

TEST(blocklist_reads_the_usual_files)
{
	static const char text[] = "# comment\n0.0.0.0 a.example b.example # both\r\n127.0.0.1\tlocalhost\n! filter list\n||c.example^\n"
				   "*.d.example\n\ne.example.\nbad name\nf/example\ng.example";
	struct rng_seeded rng;
	u32 bad, first;

	rng_seeded_init(&rng, 5);
	struct blocklist *b = blocklist_new(&rng.rng);
	EXPECT_EQ(blocklist_add_text(b, SPAN_STR(text), &bad, &first), 0);
	EXPECT_EQ(blocklist_count(b), 6);
	EXPECT_EQ(bad, 2);
	EXPECT_EQ(first, 9);
	for (const char *const *name = (const char *const[]){ "a.example", "b.example", "c.example", "x.d.example", "e.example", "g.example", NULL };
	     *name; name++) {
		const struct dns_name n = dns_build_name(*name);
		EXPECT(blocklist_has(b, &n));
	}
	const struct dns_name n = dns_build_name("localhost");
	EXPECT(!blocklist_has(b, &n));
	blocklist_free(b);
}

TEST(single_label_is_tried_with_each_suffix_then_alone)
{
	struct world *w = world_new();
	struct dns_name suffix = dns_build_name("lan.example");
	struct dns_exchange e;

	EXPECT_EQ(split_add_search(w->s, &suffix), 0);
	suffix = dns_build_name("corp.example");
	EXPECT_EQ(split_add_search(w->s, &suffix), 0);
	rule(w, "**.corp.example", 2);
	go(w);
	EXPECT_EQ(ask(w, "nas", DNS_A), PROXY_LATER);
	e = wanted(w);
	EXPECT_EQ(e.server->addr.ip.b[3], 1);
	EXPECT(!reply(w, &e, DNS_NXDOMAIN, 0));
	expect_asked(w, "nas.corp.example", 2);
	expect_name(&w->r.q.name, "nas");
	EXPECT_EQ(w->r.n_answers, 2);
	EXPECT_EQ(ask(w, "nas", DNS_A), PROXY_ANSWER);
	EXPECT_EQ(w->outcome, PROXY_CACHED);

	EXPECT_EQ(ask(w, "none", DNS_A), PROXY_LATER);
	for (int i = 0; i < 3; i++) {
		e = wanted(w);
		EXPECT_EQ(reply(w, &e, DNS_NXDOMAIN, 0), i == 2);
	}
	EXPECT_EQ(w->r.rcode, DNS_NXDOMAIN);
	expect_name(&w->r.q.name, "none");
	EXPECT_EQ(ask(w, "none", DNS_MX), PROXY_LATER); /* other types as they are */
	expect_asked(w, "none", 1);
	EXPECT_EQ(proxy_stats(w->p)->in_flight, 0);
	world_free(w);
}

TEST(search_finds_static_records)
{
	struct world *w = world_new();
	const struct dns_name suffix = dns_build_name("lan");

	EXPECT_EQ(split_add_search(w->s, &suffix), 0);
	record(w, "nas.lan", DNS_A, SPAN_STR("\xc0\xa8\1\5"));
	go(w);
	EXPECT_EQ(ask(w, "nas", DNS_A), PROXY_ANSWER);
	EXPECT_EQ(w->r.n_answers, 2);
	expect_ip(w, 1, ip4(192, 168, 1, 5));
	world_free(w);
}

TEST(answers_have_the_size_their_asker_takes)
{
	struct world *w = world_new();
	struct dns_exchange e;

	go(w);
	EXPECT_EQ(ask(w, "big.example", DNS_A), PROXY_LATER);
	e = wanted(w);
	EXPECT(reply(w, &e, DNS_NOERROR, 60)); /* 1 KB */
	EXPECT(w->r.flags & DNS_FLAG_TC);
	EXPECT_EQ(w->r.n_answers, 0);
	EXPECT_EQ(ask(w, "big.example", DNS_A), PROXY_ANSWER);
	EXPECT(w->r.flags & DNS_FLAG_TC);
	EXPECT_EQ(w->r.n_additional, 0);
	EXPECT(w->n <= 512);
	EXPECT_EQ(ask_as(w, ip4(10, 0, 0, 1), true, "big.example", DNS_A, 0), PROXY_ANSWER);
	EXPECT_EQ(w->r.n_answers, 60);

	/* with EDNS it is another question upstream, for its answer may be longer; kept once */
	EXPECT_EQ(ask_as(w, ip4(10, 0, 0, 1), false, "big.example", DNS_A, 1232), PROXY_ANSWER);
	EXPECT_EQ(w->r.n_answers, 60);
	EXPECT_EQ(w->r.n_additional, 1);
	EXPECT_EQ(ask_as(w, ip4(10, 0, 0, 1), true, "huge.example", DNS_A, 1232), PROXY_LATER);
	e = wanted(w);
	EXPECT_EQ(e.transport, DNS_OVER_TCP);
	EXPECT(reply(w, &e, DNS_NOERROR, 3900)); /* 62 KB */
	EXPECT_EQ(w->r.n_answers, 3900);
	EXPECT_EQ(ask_as(w, ip4(10, 0, 0, 1), false, "huge.example", DNS_A, 65535), PROXY_ANSWER);
	EXPECT(w->r.flags & DNS_FLAG_TC);
	EXPECT_EQ(w->r.n_additional, 1);
	world_free(w);
}

TEST(strangers_are_refused)
{
	struct world *w = world_new();
	const struct cidr net = { { { 203, 0, 113, 0 }, 4 }, 24 }, all4 = { { { 0 }, 4 }, 0 }, wide6 = { { { 0x20 }, 6 }, 3 };
	const struct ip ula = { { 0xfd, 1 }, 6 }, global = { { 0x20, 1, 0xd, 0xb8 }, 6 };

	EXPECT_EQ(clients_allow(&w->clients, &net), 0);
	EXPECT_EQ(clients_allow(&w->clients, &all4), ERR_DENIED);
	EXPECT_EQ(clients_allow(&w->clients, &wide6), ERR_DENIED);
	record(w, "nas.lan", DNS_A, SPAN_STR("\xc0\xa8\1\5"));
	go(w);
	for (const struct ip *ip = (const struct ip[]){ ip4(127, 0, 0, 1), ip4(10, 1, 2, 3), ip4(172, 31, 0, 1), ip4(192, 168, 5, 5),
						       ip4(100, 64, 0, 1), ip4(169, 254, 1, 1), ip4(203, 0, 113, 7), ula, { { 0 }, 0 } };
	     ip->family; ip++) {
		EXPECT_EQ(ask_as(w, *ip, false, "nas.lan", DNS_A, 0), PROXY_ANSWER);
		EXPECT_EQ(w->r.n_answers, 1);
	}
	for (const struct ip *ip = (const struct ip[]){ ip4(8, 8, 8, 8), ip4(172, 32, 0, 1), ip4(203, 0, 114, 7), global, { { 0 }, 0 } }; ip->family;
	     ip++) {
		EXPECT_EQ(ask_as(w, *ip, false, "nas.lan", DNS_A, 0), PROXY_ANSWER);
		EXPECT_EQ(w->r.rcode, DNS_REFUSED);
		EXPECT_EQ(w->r.n_answers, 0);
	}
	EXPECT_EQ(proxy_stats(w->p)->outcomes[PROXY_FOREIGN], 4);
	world_free(w);
}

TEST(strangers_meet_silence_if_wished)
{
	struct world *w = world_new();

	split_finish(w->s);
	EXPECT_EQ(proxy_set_rules(w->p, w->now, w->s, &w->clients, true), 0);
	EXPECT_EQ(ask_as(w, ip4(8, 8, 8, 8), false, "nas.lan", DNS_A, 0), PROXY_SILENCE);
	EXPECT_EQ(w->outcome, PROXY_FOREIGN);
	world_free(w);
}

TEST(clients_have_a_rate_and_ipv6_ones_share_a_64)
{
	struct clients c;
	struct rng_seeded rng;
	struct ip a = { { 0xfd, 1, [15] = 1 }, 6 }, b = { { 0xfd, 1, [15] = 9 }, 6 }, other = { { 0xfd, 2, [15] = 1 }, 6 };
	u32 served = 0;
	u64 now = SEC(5);

	rng_seeded_init(&rng, 1);
	EXPECT_EQ(clients_init(&c, 10, 5, &rng.rng), 0);
	for (int i = 0; i < 20; i++)
		served += clients_judge(&c, now, i % 2 ? &a : &b) == CLIENT_WELCOME;
	EXPECT_EQ(served, 5);
	EXPECT_EQ(clients_judge(&c, now, &other), CLIENT_WELCOME);
	served = 0;
	for (int i = 0; i < 1000; i++, now += MSEC(10)) /* 10 s, ten times too fast */
		served += clients_judge(&c, now, &a) == CLIENT_WELCOME;
	EXPECT(served >= 98 && served <= 101);
	for (int i = 0; i < 100; i++)
		EXPECT_EQ(clients_judge(&c, now, &(struct ip){ { 127, 0, 0, 1 }, 4 }), CLIENT_WELCOME);
	for (u32 i = 0; i < 3 * CLIENTS_MAX; i++) { /* bounded: the oldest are forgotten */
		struct ip who = ip4(10, (u8)(i >> 16), (u8)(i >> 8), (u8)i);
		EXPECT_EQ(clients_judge(&c, now, &who), CLIENT_WELCOME);
	}
	EXPECT_EQ(c.buckets.count, CLIENTS_MAX);
	clients_deinit(&c);
	EXPECT_EQ(clients_init(&c, CLIENTS_RATE_MAX + 1, 5, &rng.rng), ERR_LIMIT);
}

TEST(what_is_no_query_is_told_or_ignored)
{
	struct world *w = world_new();
	u8 query[64] = { 0, 9, 1, 0, 0, 2 };
	const struct proxy_client c = { .addr = { ip4(10, 0, 0, 1), 4000 } };
	const struct mspan out = { w->out, sizeof(w->out) };

	go(w);
	EXPECT_EQ(proxy_input(w->p, w->now, &c, SPAN(query, 12), out, &w->n), PROXY_ANSWER);
	EXPECT_EQ(w->n, 12);
	EXPECT_EQ(w->out[3] & 15, DNS_FORMERR);
	EXPECT_EQ(proxy_input(w->p, w->now, &c, SPAN(query, 11), out, &w->n), PROXY_SILENCE);
	query[2] = 0x81;
	EXPECT_EQ(proxy_input(w->p, w->now, &c, SPAN(query, 12), out, &w->n), PROXY_SILENCE);
	query[2] = 0x28;
	EXPECT_EQ(proxy_input(w->p, w->now, &c, SPAN(query, 12), out, &w->n), PROXY_ANSWER);
	EXPECT_EQ(w->out[3] & 15, DNS_NOTIMP);
	EXPECT_EQ(ask(w, "example", 252), PROXY_ANSWER); /* AXFR */
	EXPECT_EQ(w->r.rcode, DNS_REFUSED);
	struct wr m = dns_build_class(query, sizeof(query), 4, DNS_FLAG_RD, "version.bind", DNS_TXT, 3);
	EXPECT_EQ(proxy_input(w->p, w->now, &c, wr_span(&m), out, &w->n), PROXY_ANSWER);
	EXPECT_EQ(w->out[3] & 15, DNS_REFUSED);
	EXPECT_EQ(proxy_stats(w->p)->malformed, 4);
	world_free(w);
}

TEST(new_rules_let_old_queries_end_where_they_began)
{
	struct world *w = world_new();
	struct dns_exchange e, other;

	rule(w, "**.corp.example", 3);
	rule(w, "**.more.example", 4);
	go(w);
	EXPECT_EQ(ask(w, "a.corp.example", DNS_A), PROXY_LATER);
	EXPECT_EQ(ask(w, "b.more.example", DNS_A), PROXY_LATER);
	e = wanted(w);
	other = wanted(w);
	/* the next configuration has the second list only, under another number, and other default servers */
	w->s = split_new(&w->rng.rng);
	const struct dns_server def = server(9);
	EXPECT_EQ(split_set_default(w->s, &def, 1), 0);
	rule(w, "**.less.example", 5);
	rule(w, "**.more.example", 4);
	EXPECT_EQ(clients_init(&w->clients, 0, 0, &w->rng.rng), 0);
	go(w);
	EXPECT(reply(w, &e, DNS_NOERROR, 1));
	EXPECT_EQ(w->r.n_answers, 1);
	EXPECT(reply(w, &other, DNS_NOERROR, 2));
	EXPECT_EQ(w->r.n_answers, 2);
	EXPECT_EQ(ask(w, "a.corp.example", DNS_A), PROXY_LATER); /* what the old server said is not kept for the new rules */
	expect_asked(w, "a.corp.example", 9);
	EXPECT_EQ(ask(w, "c.more.example", DNS_A), PROXY_LATER);
	expect_asked(w, "c.more.example", 4);
	for (int i = 0; i < 500; i++) { /* lists come and go */
		w->s = split_new(&w->rng.rng);
		rule(w, "**.x.example", (u8)(10 + i % 200));
		EXPECT_EQ(clients_init(&w->clients, 0, 0, &w->rng.rng), 0);
		go(w);
	}
	EXPECT_EQ(ask(w, "a.example", DNS_A), PROXY_ANSWER); /* nobody to ask */
	EXPECT_EQ(w->r.rcode, DNS_SERVFAIL);
	world_free(w);
}

TEST(too_many_in_flight_are_told_so)
{
	struct world *w = world_new();
	char name[32];

	go(w);
	for (u32 i = 0; i < FORWARD_QUERIES_MAX; i++) {
		snprintf(name, sizeof(name), "n%u.example", i);
		EXPECT_EQ(ask(w, name, DNS_A), PROXY_LATER);
	}
	EXPECT_EQ(ask(w, "one.more.example", DNS_A), PROXY_ANSWER);
	EXPECT_EQ(w->r.rcode, DNS_SERVFAIL);
	EXPECT_EQ(proxy_stats(w->p)->in_flight, FORWARD_QUERIES_MAX);
	world_free(w);
}

TEST(lost_connections_are_forgotten)
{
	struct world *w = world_new();

	go(w);
	EXPECT_EQ(ask_as(w, ip4(10, 0, 0, 1), true, "a.example", DNS_A, 0), PROXY_LATER);
	EXPECT_EQ(ask(w, "b.example", DNS_A), PROXY_LATER);
	proxy_forget(w->p, 5); /* UDP has no connection to lose */
	EXPECT_EQ(proxy_stats(w->p)->in_flight, 1);
	world_free(w);
}

TEST(ten_thousand_names_fit_into_4_megabytes)
{
	struct world *w = world_new();
	char name[64];
	u32 misses = 0;

	EXPECT_EQ(proxy_set_cache(w->p, 4u << 20), 0);
	go(w);
	for (int round = 0; round < 2; round++)
		for (u32 i = 0; i < 10000; i++) {
			snprintf(name, sizeof(name), "host%u.department.example", i);
			if (ask(w, name, DNS_A) == PROXY_LATER) {
				struct dns_exchange e = wanted(w);
				EXPECT(reply(w, &e, DNS_NOERROR, 2));
				misses += round == 1;
			}
		}
	EXPECT_EQ(misses, 0);
	EXPECT(proxy_cache_stats(w->p)->bytes <= 4u << 20);
	world_free(w);
}
