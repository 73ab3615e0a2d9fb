/* DNS messages: queries and responses taken apart, answers made (RFC 1035, 6891; spec 30 §9.1, §10.4). */
#include "core/base/rng.h"
#include "tests/unit/dns_build.h"

static u8 buf[DNS_MESSAGE_MAX + 1];

static struct wr query(const char *name, u16 type)
{
	return dns_build(buf, sizeof(buf), 0x1234, DNS_FLAG_RD, name, type);
}

static struct wr response(const char *name, u16 type)
{
	return dns_build(buf, sizeof(buf), 0x1234, DNS_FLAG_QR | DNS_FLAG_RD | DNS_FLAG_RA, name, type);
}

static int parse_query(const struct wr *w, struct dns_query *q)
{
	return dns_query_parse(wr_span(w), q);
}

static int parse_response(const struct wr *w, struct dns_response *r)
{
	return dns_response_parse(wr_span(w), r);
}

static void opt(struct wr *w, u16 size, u32 ttl, struct span options)
{
	dns_build_record(w, DNS_ADDITIONAL, ".", DNS_OPT, ttl, options);
	put_be16(w->p - options.n - 8, size);
}

TEST(query_is_taken_apart)
{
	struct wr w = query("Www.Example.com", DNS_AAAA);
	struct dns_query q;
	char text[DNS_NAME_STRLEN];

	REQUIRE(parse_query(&w, &q) == 0);
	EXPECT_EQ(q.id, 0x1234);
	EXPECT_EQ(q.flags, DNS_FLAG_RD);
	EXPECT_STR(dns_name_text(&q.q.name, text), "Www.Example.com");
	EXPECT_EQ(q.q.type, DNS_AAAA);
	EXPECT_EQ(q.q.class, DNS_CLASS_IN);
	EXPECT_EQ(q.question_end, 33);
	EXPECT_EQ(q.end, 33);
	EXPECT(!q.has_edns && !q.is_dnssec_ok && !q.has_client_subnet);
	EXPECT_EQ(q.udp_size, 512);
}

TEST(edns_is_noticed)
{
	struct dns_query q;
	struct wr w = query("a.example", DNS_A);

	opt(&w, 4096, 0x8000, SPAN_STR("\0\x0a\0\x08" "cookie!!"));
	REQUIRE(parse_query(&w, &q) == 0);
	EXPECT(q.has_edns && q.is_dnssec_ok && !q.has_client_subnet);
	EXPECT_EQ(q.udp_size, 4096);
	EXPECT_EQ(q.end, wr_len(&w));

	w = query("a.example", DNS_A);
	opt(&w, 100, 0, SPAN_STR("\0\x0c\0\0" "\0\x08\0\x07" "\0\1\x18\0\xc0\0\2"));
	REQUIRE(parse_query(&w, &q) == 0);
	EXPECT(q.has_edns && !q.is_dnssec_ok && q.has_client_subnet);
	EXPECT_EQ(q.udp_size, 512);

	w = query("a.example", DNS_A);
	opt(&w, 1232, 0, SPAN_STR("\0\x08\0\x09" "cut"));
	REQUIRE(parse_query(&w, &q) == 0);
	EXPECT(q.has_edns && !q.has_client_subnet);

	w = query("a.example", DNS_A); /* an OPT record belongs to the root */
	dns_build_record(&w, DNS_ADDITIONAL, "x", DNS_OPT, 0x8000, SPAN_NONE);
	REQUIRE(parse_query(&w, &q) == 0);
	EXPECT(!q.has_edns && !q.is_dnssec_ok);
}

TEST(query_with_records_before_edns_and_with_octets_behind_is_taken)
{
	struct dns_query q;
	struct wr w = query("example.com", 252);

	dns_build_soa(&w, "example.com", 0, 0);
	opt(&w, 1232, 0, SPAN_NONE);
	size_t end = wr_len(&w);
	wr_str(&w, "what is this?");
	REQUIRE(parse_query(&w, &q) == 0);
	EXPECT(q.has_edns);
	EXPECT_EQ(q.end, end);
}

TEST(opcode_and_class_of_a_query_are_not_inspected)
{
	struct dns_query q;
	struct wr w = dns_build_class(buf, sizeof(buf), 1, 5u << 11, "example.com", DNS_SOA, 254);

	REQUIRE(parse_query(&w, &q) == 0);
	EXPECT_EQ(DNS_OPCODE(q.flags), 5);
	EXPECT_EQ(q.q.class, 254);
}

TEST(what_is_no_query_is_refused)
{
	struct dns_query q;
	struct wr w = query("a.example", DNS_A);

	opt(&w, 1232, 0x8000, SPAN_STR("\0\x0c\0\2\0\0"));
	for (size_t n = 0; n < wr_len(&w); n++)
		if (!EXPECT_EQ(dns_query_parse(SPAN(buf, n), &q), ERR_MALFORMED))
			break;
	REQUIRE(parse_query(&w, &q) == 0);
	for (unsigned count_at = 4; count_at < 12; count_at += 2) {
		u16 was = get_be16(buf + count_at);
		put_be16(buf + count_at, (u16)(was + 1));
		EXPECT_EQ(parse_query(&w, &q), ERR_MALFORMED);
		put_be16(buf + count_at, 0xffff);
		EXPECT_EQ(parse_query(&w, &q), ERR_MALFORMED);
		put_be16(buf + count_at, was);
	}
	put_be16(buf + 4, 0);
	EXPECT_EQ(parse_query(&w, &q), ERR_MALFORMED);
	put_be16(buf + 4, 1);
	put_be16(buf + 2, DNS_FLAG_QR);
	EXPECT_EQ(parse_query(&w, &q), ERR_MALFORMED);
	memset(buf, 0, sizeof(buf));
	put_be16(buf + 4, 1);
	EXPECT_EQ(dns_query_parse(SPAN(buf, DNS_MESSAGE_MAX + 1), &q), ERR_MALFORMED);
	EXPECT_EQ(dns_query_parse(SPAN_NONE, &q), ERR_MALFORMED);
}

static const char *next_text(struct dns_walk *w, struct dns_record *rec)
{
	static char text[DNS_NAME_STRLEN];

	return dns_walk_next(w, rec) ? dns_name_text(&rec->name, text) : "nothing";
}

TEST(response_is_walked_in_order)
{
	struct wr w = response("www.example.com", DNS_A);
	struct dns_response r;
	struct dns_record rec;
	struct dns_name n;
	struct ip ip, want = ip4(192, 0, 2, 7);

	wr_bytes(&w, "\xc0\x0c\0\5\0\1\0\0\1\x2c\0\6\3app\xc0\x10", 18); /* www CNAME app.example.com, compressed */
	put_be16(buf + 6, 1);
	dns_build_record(&w, DNS_ANSWER, "app.example.com", DNS_A, 60, SPAN_STR("\xc0\0\2\7"));
	dns_build_alias(&w, DNS_AUTHORITY, "example.com", DNS_NS, 900, "ns.example.com");
	opt(&w, 1232, 0, SPAN_NONE);
	REQUIRE(parse_response(&w, &r) == 0);
	EXPECT_EQ(r.rcode, DNS_NOERROR);
	EXPECT_EQ(r.n_answers, 2);
	EXPECT_EQ(r.n_authority, 1);
	EXPECT_EQ(r.n_additional, 1);
	EXPECT_EQ(r.end, wr_len(&w));

	struct dns_walk walk = dns_walk(wr_span(&w), &r);
	EXPECT_STR(next_text(&walk, &rec), "www.example.com");
	EXPECT_EQ(rec.section, DNS_ANSWER);
	EXPECT_EQ(rec.type, DNS_CNAME);
	EXPECT_EQ(rec.ttl, 300);
	EXPECT_EQ(get_be32(buf + rec.ttl_offset), 300);
	EXPECT_EQ(dns_record_name(&rec, wr_span(&w), &n), 0);
	EXPECT_EQ(dns_record_ip(&rec, &ip), ERR_MALFORMED);
	EXPECT_STR(next_text(&walk, &rec), "app.example.com");
	EXPECT(dns_name_eq(&n, &rec.name));
	EXPECT_EQ(dns_record_ip(&rec, &ip), 0);
	EXPECT(ip_eq(&ip, &want));
	EXPECT_EQ(dns_record_name(&rec, wr_span(&w), &n), ERR_MALFORMED);
	EXPECT_STR(next_text(&walk, &rec), "example.com");
	EXPECT_EQ(rec.section, DNS_AUTHORITY);
	EXPECT_STR(next_text(&walk, &rec), ".");
	EXPECT_EQ(rec.section, DNS_ADDITIONAL);
	EXPECT_EQ(rec.type, DNS_OPT);
	EXPECT(!dns_walk_next(&walk, &rec));
	EXPECT(!dns_walk_next(&walk, &rec));
}

TEST(data_that_does_not_fit_its_type)
{
	struct wr w = response("a.example", DNS_ANY);
	struct dns_response r;
	struct dns_record rec;
	struct dns_name n;
	struct ip ip;
	u32 secs;

	dns_build_record(&w, DNS_ANSWER, "a.example", DNS_A, 1, SPAN_STR("\1\2\3"));
	dns_build_record(&w, DNS_ANSWER, "a.example", DNS_AAAA, 1, SPAN_STR("\1\2\3\4"));
	dns_build_record(&w, DNS_ANSWER, "a.example", DNS_CNAME, 1, SPAN_STR("\1x\0y"));
	dns_build_record(&w, DNS_ANSWER, "a.example", DNS_PTR, 1, SPAN_STR("\1x"));
	dns_build_record(&w, DNS_ANSWER, "a.example", DNS_NS, 1, SPAN_NONE);
	dns_build_record(&w, DNS_ANSWER, "a.example", DNS_SOA, 1, SPAN_STR("\0\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0"));
	dns_build_record(&w, DNS_ANSWER, "a.example", DNS_SOA, 1, SPAN_STR("\0\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\1\0"));
	REQUIRE(parse_response(&w, &r) == 0);
	struct dns_walk walk = dns_walk(wr_span(&w), &r);
	for (int i = 0; i < 6; i++) {
		REQUIRE(dns_walk_next(&walk, &rec));
		EXPECT_EQ(dns_record_ip(&rec, &ip), ERR_MALFORMED);
		EXPECT_EQ(dns_record_name(&rec, wr_span(&w), &n), ERR_MALFORMED);
		EXPECT_EQ(dns_record_soa_minimum(&rec, wr_span(&w), &secs), ERR_MALFORMED);
	}
	REQUIRE(dns_walk_next(&walk, &rec));
	EXPECT_EQ(dns_record_soa_minimum(&rec, wr_span(&w), &secs), 0);
	EXPECT_EQ(secs, 256);
	EXPECT(!dns_walk_next(&walk, &rec));
}

TEST(response_without_question_matches_nothing)
{
	static const u8 formerr[12] = { 0x12, 0x34, 0x80, 0x01 };
	struct dns_response r;
	struct dns_question q = { 0 };

	REQUIRE(dns_response_parse(SPAN(formerr, 12), &r) == 0);
	EXPECT_EQ(r.rcode, DNS_FORMERR);
	EXPECT_EQ(r.q.name.len, 0);
	q.name = dns_build_name(".");
	EXPECT(!dns_response_matches(&r, &q));
}

TEST(response_matches_its_question)
{
	struct wr w = response("A.Example", DNS_A);
	struct dns_response r;
	struct dns_question q = { dns_build_name("a.eXample"), DNS_A, DNS_CLASS_IN };

	REQUIRE(parse_response(&w, &r) == 0);
	EXPECT(dns_response_matches(&r, &q));
	q.type = DNS_AAAA;
	EXPECT(!dns_response_matches(&r, &q));
	q.type = DNS_A;
	q.class = 3;
	EXPECT(!dns_response_matches(&r, &q));
	q.class = DNS_CLASS_IN;
	q.name = dns_build_name("b.example");
	EXPECT(!dns_response_matches(&r, &q));
}

TEST(malformed_response_is_refused)
{
	struct wr w = response("a.example", DNS_A);
	struct dns_response r;

	dns_build_record(&w, DNS_ANSWER, "a.example", DNS_A, 60, SPAN_STR("\xc0\0\2\7"));
	dns_build_soa(&w, "example", 1, 1);
	opt(&w, 1232, 0, SPAN_NONE);
	for (size_t n = 0; n < wr_len(&w); n++)
		if (!EXPECT_EQ(dns_response_parse(SPAN(buf, n), &r), ERR_MALFORMED))
			break;
	REQUIRE(parse_response(&w, &r) == 0);
	put_be16(buf + 4, 2);
	EXPECT_EQ(parse_response(&w, &r), ERR_MALFORMED);
	put_be16(buf + 4, 1);
	put_be16(buf + 2, 0);
	EXPECT_EQ(parse_response(&w, &r), ERR_MALFORMED);
}

/* As many records as a message can hold, and a count that promises more. */
TEST(most_records_of_a_message)
{
	struct dns_response r;
	struct dns_record rec;
	struct wr w = wr_init(buf, DNS_MESSAGE_MAX);
	u32 n = 0;

	wr_zero(&w, 12);
	put_be16(buf + 2, DNS_FLAG_QR);
	while (wr_left(&w) >= 11) {
		wr_zero(&w, 11);
		n++;
	}
	EXPECT_EQ(n, DNS_RECORDS_MAX);
	put_be16(buf + 6, (u16)n);
	REQUIRE(parse_response(&w, &r) == 0);
	struct dns_walk walk = dns_walk(wr_span(&w), &r);
	while (dns_walk_next(&walk, &rec))
		n--;
	EXPECT_EQ(n, 0);
	for (unsigned count_at = 6; count_at < 12; count_at += 2)
		put_be16(buf + count_at, 0xffff);
	EXPECT_EQ(parse_response(&w, &r), ERR_MALFORMED);
}

TEST(local_answer_copies_what_the_asker_sent)
{
	struct wr w = dns_build(buf, sizeof(buf), 0xbeef, DNS_FLAG_RD | DNS_FLAG_AD | DNS_FLAG_CD | 2u << 11, "App.Example", DNS_A);
	struct dns_query q;
	struct dns_response r;
	struct dns_record rec;
	u8 out[512];
	struct ip ip = ip4(100, 96, 0, 1), got;

	opt(&w, 1232, 0x8000, SPAN_NONE);
	REQUIRE(parse_query(&w, &q) == 0);
	struct wr a = wr_init(out, sizeof(out));
	dns_answer_begin(&a, wr_span(&w), &q, DNS_NOERROR);
	dns_answer_ip(&a, 1, &ip);
	ip.b[3] = 2;
	dns_answer_ip(&a, 1, &ip);
	REQUIRE(wr_ok(&a));
	REQUIRE(parse_response(&a, &r) == 0);
	EXPECT_EQ(r.id, 0xbeef);
	EXPECT_EQ(r.flags, DNS_FLAG_QR | DNS_FLAG_RD | 2u << 11);
	EXPECT_EQ(r.n_answers, 2);
	EXPECT_EQ(r.n_additional, 0);
	EXPECT_MEM(out + 12, buf + 12, q.question_end - 12); /* in the asker's case */
	struct dns_walk walk = dns_walk(wr_span(&a), &r);
	for (u8 i = 1; i <= 2; i++) {
		REQUIRE(dns_walk_next(&walk, &rec));
		EXPECT(dns_name_eq(&rec.name, &q.q.name));
		EXPECT_EQ(rec.class, DNS_CLASS_IN);
		EXPECT_EQ(rec.ttl, 1);
		REQUIRE(dns_record_ip(&rec, &got) == 0);
		EXPECT_EQ(got.b[3], i);
	}
}

TEST(answers_of_every_kind)
{
	struct wr w = query("1.0.96.100.in-addr.arpa", DNS_PTR);
	struct dns_query q;
	struct dns_response r;
	struct dns_record rec;
	struct dns_name target = dns_build_name("app.example"), got;
	struct ip ip6, ip;
	u8 out[512];

	REQUIRE(parse_query(&w, &q) == 0);
	REQUIRE(ip_parse(SPAN_STR("fd00:2021:1111:8000::1"), &ip6) == 0);
	struct wr a = wr_init(out, sizeof(out));
	dns_answer_begin(&a, wr_span(&w), &q, DNS_NXDOMAIN);
	dns_answer_name(&a, DNS_PTR, 1, &target);
	dns_answer_ip(&a, 2, &ip6);
	dns_answer_rdata(&a, DNS_TXT, 3, SPAN_STR("\5hello"));
	dns_opt_write(&a, DNS_EDNS_UDP, true);
	REQUIRE(wr_ok(&a));
	REQUIRE(parse_response(&a, &r) == 0);
	EXPECT_EQ(r.rcode, DNS_NXDOMAIN);
	EXPECT_EQ(r.n_answers, 3);
	EXPECT_EQ(r.n_additional, 1);
	struct dns_walk walk = dns_walk(wr_span(&a), &r);
	REQUIRE(dns_walk_next(&walk, &rec));
	REQUIRE(dns_record_name(&rec, wr_span(&a), &got) == 0);
	EXPECT(dns_name_eq(&got, &target));
	REQUIRE(dns_walk_next(&walk, &rec));
	REQUIRE(dns_record_ip(&rec, &ip) == 0);
	EXPECT(ip_eq(&ip, &ip6));
	REQUIRE(dns_walk_next(&walk, &rec));
	EXPECT_EQ(rec.type, DNS_TXT);
	EXPECT_MEM(rec.rdata.p, "\5hello", 6);
	REQUIRE(dns_walk_next(&walk, &rec));
	EXPECT_EQ(rec.type, DNS_OPT);
	EXPECT_EQ(rec.class, DNS_EDNS_UDP);
	EXPECT_EQ(rec.ttl, 0x8000);
}

TEST(answer_that_does_not_fit_says_so)
{
	struct wr w = query("a.example", DNS_A);
	struct dns_query q;
	struct ip ip = ip4(1, 2, 3, 4);
	u8 out[60];

	REQUIRE(parse_query(&w, &q) == 0);
	for (size_t room = 0; room < sizeof(out); room++) {
		struct wr a = wr_init(out, room);
		dns_answer_begin(&a, wr_span(&w), &q, DNS_NOERROR);
		dns_answer_ip(&a, 1, &ip);
		EXPECT_EQ(wr_ok(&a), room >= q.question_end + 16);
	}
}

TEST(spec30_56_long_answer_is_cut_to_its_question)
{
	struct wr w = response("Big.Example", DNS_TXT);
	struct dns_response r, cut;
	u8 out[512];

	for (int i = 0; i < 30; i++)
		dns_build_record(&w, DNS_ANSWER, "big.example", DNS_TXT, 60, SPAN_STR("\x27" "forty octets of text, forty of them here"));
	dns_build_soa(&w, "example", 1, 1);
	opt(&w, 1232, 0, SPAN_NONE);
	REQUIRE(wr_len(&w) > 1212);
	REQUIRE(parse_response(&w, &r) == 0);
	struct wr t = wr_init(out, sizeof(out));
	dns_truncate(&t, wr_span(&w), &r);
	REQUIRE(wr_ok(&t));
	EXPECT_EQ(wr_len(&t), r.question_end);
	EXPECT_MEM(out + 12, buf + 12, r.question_end - 12);
	REQUIRE(parse_response(&t, &cut) == 0);
	EXPECT_EQ(cut.id, r.id);
	EXPECT_EQ(cut.flags, r.flags | DNS_FLAG_TC);
	EXPECT_EQ(cut.n_answers + cut.n_authority + cut.n_additional, 0);
}

TEST(query_of_our_own)
{
	struct dns_question asked = { dns_build_name("host.example"), DNS_AAAA, DNS_CLASS_IN };
	struct dns_query q;

	for (u16 size = 0; size <= 1232; size += 1232) {
		struct wr w = wr_init(buf, 512);
		dns_query_write(&w, 77, &asked, size);
		REQUIRE(wr_ok(&w));
		REQUIRE(parse_query(&w, &q) == 0);
		EXPECT_EQ(q.id, 77);
		EXPECT_EQ(q.flags, DNS_FLAG_RD);
		EXPECT(dns_name_eq(&q.q.name, &asked.name));
		EXPECT_EQ(q.has_edns, size > 0);
		EXPECT_EQ(q.udp_size, MAX(size, 512));
		EXPECT_EQ(q.end, wr_len(&w));
	}
	dns_set_id(buf, 0x0102);
	EXPECT_EQ(get_be16(buf), 0x0102);
}

/* Whatever mutation is accepted must be walkable to its end, as often as its counts say. */
TEST(mutated_responses_are_walked_or_refused)
{
	struct wr w = response("www.example.com", DNS_A);
	struct rng_seeded rng;
	unsigned accepted = 0, refused = 0;
	u8 copy[512];

	rng_seeded_init(&rng, 7);
	wr_bytes(&w, "\xc0\x0c\0\5\0\1\0\0\1\x2c\0\6\3app\xc0\x10", 18);
	put_be16(buf + 6, 1);
	dns_build_record(&w, DNS_ANSWER, "app.example.com", DNS_A, 60, SPAN_STR("\xc0\0\2\7"));
	dns_build_soa(&w, "example", 1, 1);
	opt(&w, 1232, 0, SPAN_NONE);
	for (int i = 0; i < 50000; i++) {
		struct dns_response r;
		struct dns_record rec;
		memcpy(copy, buf, wr_len(&w));
		for (u64 flips = 1 + rng_below(&rng.rng, 3); flips > 0; flips--)
			copy[rng_below(&rng.rng, wr_len(&w))] = (u8)rng_u32(&rng.rng);
		struct span m = SPAN(copy, wr_len(&w));
		if (dns_response_parse(m, &r) != 0) {
			refused++;
			continue;
		}
		accepted++;
		u32 n = 0;
		for (struct dns_walk walk = dns_walk(m, &r); dns_walk_next(&walk, &rec); n++)
			REQUIRE(rec.rdata.p >= copy && rec.rdata.p + rec.rdata.n <= copy + m.n);
		REQUIRE(n == (u32)r.n_answers + r.n_authority + r.n_additional);
	}
	EXPECT(accepted > 1000 && refused > 1000);
}
