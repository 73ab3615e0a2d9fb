/* Domain names: wire, text, comparing, reverse names (RFC 1035; spec 30 §7.1). */
#include "core/base/rng.h"
#include "tests/unit/dns_build.h"

static struct dns_name name(const char *text)
{
	return dns_build_name(text);
}

/* Reads the name at `offset` of a message; the octets it took, or the error. */
static int read_at(const void *message, size_t n, size_t offset, struct dns_name *out)
{
	struct rd r = rd_init((const u8 *)message + offset, n - offset);
	const u8 *start = r.p;
	int rc = dns_name_read(&r, SPAN(message, n), out);

	return rc ? rc : (int)(r.p - start);
}

static const char *text_of(const struct dns_name *n)
{
	static char buf[DNS_NAME_STRLEN];

	return dns_name_text(n, buf);
}

#define HEADER "\0\0\0\0\0\0\0\0\0\0\0\0"
#define READ(lit, offset, out) read_at(lit, sizeof(lit) - 1, offset, out)

TEST(name_is_read_from_the_wire)
{
	struct dns_name n;

	EXPECT_EQ(READ(HEADER "\3www\7Example\3com\0", 12, &n), 17);
	EXPECT_EQ(n.len, 17);
	EXPECT_STR(text_of(&n), "www.Example.com");
	EXPECT_EQ(READ(HEADER "\0", 12, &n), 1);
	EXPECT_EQ(n.len, 1);
	EXPECT_STR(text_of(&n), ".");
}

TEST(compressed_name_is_followed_backwards)
{
	struct dns_name n;

	EXPECT_EQ(READ(HEADER "\7example\0\3www\xc0\x0c\4mail\xc0\x15", 27, &n), 7);
	EXPECT_STR(text_of(&n), "mail.www.example");
	/* a pointer to a pointer */
	EXPECT_EQ(READ(HEADER "\7example\0\xc0\x0c\xc0\x15", 23, &n), 2);
	EXPECT_STR(text_of(&n), "example");
}

TEST(loops_and_forward_pointers_are_refused)
{
	struct dns_name n;

	EXPECT_EQ(READ(HEADER "\xc0\x0c", 12, &n), ERR_MALFORMED);
	EXPECT_EQ(READ(HEADER "\1a\xc0\x0c", 12, &n), ERR_MALFORMED);
	EXPECT_EQ(READ(HEADER "\1a\xc0\x10\0", 12, &n), ERR_MALFORMED);
	EXPECT_EQ(READ(HEADER "\xc0\x0e\xc0\x0c", 14, &n), ERR_MALFORMED);
	EXPECT_EQ(READ(HEADER "\xc0\xff", 12, &n), ERR_MALFORMED);
	/* into the header, whose octets are no name */
	EXPECT_EQ(READ(HEADER "\xc0\x00", 12, &n), ERR_MALFORMED);
	/* what it leads to runs on into where it came from */
	EXPECT_EQ(READ(HEADER "\2a\1b\xc0\x0d", 15, &n), ERR_MALFORMED);
	EXPECT_EQ(READ(HEADER "\5ab\3cde\xc0\x0c", 15, &n), ERR_MALFORMED);
}

TEST(name_cut_short_is_refused_and_the_reader_stays)
{
	static const char message[] = HEADER "\3www\7example\0\xc0\x0c";
	struct dns_name n;

	for (size_t len = 12; len < 12 + 13; len++)
		EXPECT_EQ(read_at(message, len, 12, &n), ERR_MALFORMED);
	EXPECT_EQ(read_at(message, 12 + 13 + 1, 25, &n), ERR_MALFORMED);
	EXPECT_EQ(read_at(message, 12 + 13 + 2, 25, &n), 2);
	EXPECT_EQ(READ(HEADER "\x40" "a\0", 12, &n), ERR_MALFORMED); /* label types that nobody uses */
	EXPECT_EQ(READ(HEADER "\x80" "a\0", 12, &n), ERR_MALFORMED);

	struct rd r = rd_init(message + 12, 5);
	const u8 *before = r.p;
	EXPECT_EQ(dns_name_read(&r, SPAN(message, 17), &n), ERR_MALFORMED);
	EXPECT(r.p == before);
}

/* `labels` labels of 63 octets, one of `rest`, at offset 12; then a label of one octet and a pointer there. */
static size_t long_name(u8 *buf, unsigned labels, unsigned rest)
{
	struct wr w = wr_init(buf, 512);

	wr_zero(&w, 12);
	for (unsigned i = 0; i < labels; i++) {
		wr_u8(&w, 63);
		memset(wr_reserve(&w, 63), 'x', 63);
	}
	wr_u8(&w, (u8)rest);
	memset(wr_reserve(&w, rest), 'y', rest);
	wr_u8(&w, 0);
	wr_bytes(&w, "\1z\xc0\x0c", 4);
	return wr_len(&w);
}

TEST(name_of_255_octets_is_the_longest)
{
	u8 buf[512];
	struct dns_name n, again;

	size_t len = long_name(buf, 3, 61);
	EXPECT_EQ(read_at(buf, len, 12, &n), 255);
	EXPECT_EQ(n.len, 255);
	EXPECT_EQ(dns_name_from_text(text_of(&n), &again), 0);
	EXPECT(dns_name_eq(&n, &again));
	EXPECT_EQ(read_at(buf, len, len - 4, &n), ERR_MALFORMED); /* 257 by way of the pointer */
	len = long_name(buf, 3, 62);
	EXPECT_EQ(read_at(buf, len, 12, &n), ERR_MALFORMED);
	len = long_name(buf, 3, 59);
	EXPECT_EQ(read_at(buf, len, len - 4, &n), 4);
	EXPECT_EQ(n.len, 255);
}

TEST(chain_of_pointers_has_an_end)
{
	u8 buf[12 + 3 + 2 * 400] = { 0 };
	struct dns_name n;

	memcpy(buf + 12, "\1a\0", 3);
	for (unsigned i = 0; i < 400; i++)
		put_be16(buf + 15 + 2 * i, (u16)(0xc000 | (i == 0 ? 12 : 15 + 2 * (i - 1))));
	EXPECT_EQ(read_at(buf, sizeof(buf), 15 + 2 * (DNS_LABELS_MAX - 1), &n), 2);
	EXPECT_EQ(read_at(buf, sizeof(buf), 15 + 2 * DNS_LABELS_MAX, &n), ERR_MALFORMED);
	EXPECT_EQ(read_at(buf, sizeof(buf), sizeof(buf) - 2, &n), ERR_MALFORMED);
}

/* spec 30 §7.1: space, dot and backslash are `\x`, octets outside 0x20..0x7e are `\DDD`, no final dot */
TEST(text_escapes_what_the_control_protocol_escapes)
{
	struct dns_name n;

	EXPECT(READ(HEADER "\5a b.\\\4\0\x1f\x7f\xff\0", 12, &n) > 0);
	EXPECT_STR(text_of(&n), "a\\ b\\.\\\\.\\000\\031\\127\\255");
	struct dns_name back = name(text_of(&n));
	EXPECT(dns_name_eq(&n, &back));
}

TEST(text_is_read)
{
	struct dns_name n;

	n = name("a.Example.");
	EXPECT_STR(text_of(&n), "a.Example");
	n = name(".");
	EXPECT_EQ(n.len, 1);
	n = name("\\065\\b.c");
	EXPECT_STR(text_of(&n), "Ab.c");
	n = name("a\\.b");
	EXPECT_EQ(dns_name_labels(&n), 1);
}

TEST(text_that_is_no_name_is_refused)
{
	static const char *const bad[] = { "", "..", ".a", "a..b", "a..", "a\\", "a\\2", "a\\25", "a\\256", "a\\2x5" };
	char text[600];
	struct dns_name n;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (!EXPECT_EQ(dns_name_from_text(bad[i], &n), ERR_INVAL))
			test_fail(__FILE__, __LINE__, "was taken: %s", bad[i]);
	memset(text, 'x', sizeof(text));
	text[64] = 0;
	EXPECT_EQ(dns_name_from_text(text, &n), ERR_INVAL);
	text[64] = 'x';
	text[63] = 0;
	EXPECT_EQ(dns_name_from_text(text, &n), 0);
	text[63] = text[127] = text[191] = '.';
	text[253] = 0;
	EXPECT_EQ(dns_name_from_text(text, &n), 0);
	EXPECT_EQ(n.len, 255);
	text[253] = 'x';
	text[254] = 0;
	EXPECT_EQ(dns_name_from_text(text, &n), ERR_INVAL);
	for (int i = 0; i < 599; i++)
		text[i] = i % 2 ? '.' : 'x';
	text[599] = 0;
	EXPECT_EQ(dns_name_from_text(text, &n), ERR_INVAL);
	text[253] = 0;
	EXPECT_EQ(dns_name_from_text(text, &n), 0);
	EXPECT_EQ(dns_name_labels(&n), 127);
}

TEST(case_of_ascii_letters_does_not_count)
{
	struct dns_name a = name("WWW.Example.COM"), b = name("www.example.com"), c = name("www.example.con");
	struct dns_name at = name("@[`{.x"), at2 = name("`{@[.x"), high = name("\\192.x"), low = name("\\224.x");

	EXPECT(dns_name_eq(&a, &b));
	EXPECT(!dns_name_eq(&a, &c));
	EXPECT(!dns_name_eq(&at, &at2));
	EXPECT(!dns_name_eq(&high, &low));
	memset(&a.wire[a.len], 0xee, DNS_NAME_MAX - a.len);
	dns_name_fold(&a);
	EXPECT_EQ(memcmp(&a, &b, sizeof(a)), 0);
	dns_name_fold(&at);
	EXPECT_STR(text_of(&at), "@[`{.x");
}

TEST(name_below_another)
{
	struct dns_name n = name("a.b.Example"), root = name(".");
	static const struct {
		const char *parent;
		bool is_under;
	} cases[] = {
		{ ".", true }, { "example", true }, { "B.example", true }, { "a.b.example", true }, { "x.a.b.example", false },
		{ "xample", false }, { "c.example", false }, { "b", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct dns_name parent = name(cases[i].parent);
		EXPECT_EQ(dns_name_is_under(&n, &parent), cases[i].is_under);
	}
	EXPECT(dns_name_is_under(&root, &root));
	EXPECT(!dns_name_is_under(&root, &n));
	/* octets that look like the parent but do not begin at a label */
	struct dns_name inside = name("xx\\007example.com"), parent = name("example.com");
	EXPECT(!dns_name_is_under(&inside, &parent));
	EXPECT_EQ(dns_name_labels(&n), 3);
	EXPECT_EQ(dns_name_labels(&root), 0);
}

TEST(suffix_is_appended_while_it_fits)
{
	struct dns_name n = name("host"), search = name("corp.example"), root = name(".");
	u8 buf[512];
	struct dns_name longest;

	EXPECT_EQ(dns_name_append(&n, &search), 0);
	EXPECT_STR(text_of(&n), "host.corp.example");
	EXPECT_EQ(dns_name_append(&n, &root), 0);
	EXPECT_STR(text_of(&n), "host.corp.example");
	EXPECT_EQ(dns_name_append(&root, &search), 0);
	EXPECT(dns_name_eq(&root, &search));
	REQUIRE(read_at(buf, long_name(buf, 3, 61), 12, &longest) > 0);
	n = name("h");
	EXPECT_EQ(dns_name_append(&n, &longest), ERR_LIMIT);
	EXPECT_STR(text_of(&n), "h");
	REQUIRE(read_at(buf, long_name(buf, 3, 59), 12, &longest) > 0);
	EXPECT_EQ(dns_name_append(&n, &longest), 0);
	EXPECT_EQ(n.len, 255);
}

static bool reverse(const char *text, struct ip *ip)
{
	struct dns_name n = name(text);

	return dns_name_reverse(&n, ip);
}

#define IP6_TAIL "0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.IP6.ARPA"

TEST(full_length_reverse_names)
{
	struct ip ip, want;
	struct dns_name n;

	REQUIRE(reverse("4.3.200.100.in-addr.ARPA", &ip));
	want = ip4(100, 200, 3, 4);
	EXPECT(ip_eq(&ip, &want));
	dns_name_of_ip(&ip, &n);
	EXPECT_STR(text_of(&n), "4.3.200.100.in-addr.arpa");
	REQUIRE(reverse("F.0.0.0.0.0.0.0.0.0.0.0." IP6_TAIL, &ip));
	REQUIRE(ip_parse(SPAN_STR("2001:db8::f"), &want) == 0);
	EXPECT(ip_eq(&ip, &want));
	dns_name_of_ip(&ip, &n);
	struct dns_name back = name("f.0.0.0.0.0.0.0.0.0.0.0." IP6_TAIL);
	EXPECT(dns_name_eq(&n, &back));
}

TEST(other_names_are_no_reverse_names)
{
	static const char *const bad[] = {
		".", "in-addr.arpa", "3.200.100.in-addr.arpa", "5.4.3.200.100.in-addr.arpa", "256.0.0.1.in-addr.arpa", "01.0.0.1.in-addr.arpa",
		"1000.0.0.1.in-addr.arpa", "a.0.0.1.in-addr.arpa", "4.3.2.1.in-addr.example", "4.3.2.1.ip6.arpa", "0.0.0.0.0.0.0.0.0.0.0." IP6_TAIL,
		"g.0.0.0.0.0.0.0.0.0.0.0." IP6_TAIL, "10.0.0.0.0.0.0.0.0.0.0.0." IP6_TAIL, "0.0.0.0.0.0.0.0.0.0.0.0.0." IP6_TAIL,
	};
	struct ip ip;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (!EXPECT(!reverse(bad[i], &ip)))
			test_fail(__FILE__, __LINE__, "was taken: %s", bad[i]);
}

/* Random octets: whatever is accepted keeps its octets through text and back, and is at home in its own parents. */
TEST(random_names_round_trip)
{
	struct rng_seeded rng;
	unsigned accepted = 0;

	rng_seeded_init(&rng, 41);
	for (int i = 0; i < 20000; i++) {
		u8 buf[300];
		struct dns_name n, back;
		struct wr w = wr_init(buf, sizeof(buf));
		wr_zero(&w, 12);
		for (u64 labels = rng_below(&rng.rng, 8); labels > 0; labels--) {
			u8 len = (u8)rng_below(&rng.rng, 40);
			u8 *p = wr_reserve(&w, len + 1u);
			if (!p)
				break;
			p[0] = len;
			rng_fill(&rng.rng, p + 1, len);
		}
		wr_u8(&w, 0);
		if (read_at(buf, wr_len(&w), 12, &n) < 0)
			continue;
		accepted++;
		REQUIRE(dns_name_from_text(text_of(&n), &back) == 0);
		REQUIRE(n.len == back.len && memcmp(n.wire, back.wire, n.len) == 0);
		dns_name_fold(&back);
		REQUIRE(dns_name_eq(&n, &back));
		REQUIRE(dns_name_is_under(&n, &back));
	}
	EXPECT(accepted > 10000);
}
