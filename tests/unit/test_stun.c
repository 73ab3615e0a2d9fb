/* STUN codec: RFC 5769 vectors, the layouts of spec 50 §2, and what it refuses. */
#include "core/base/err.h"
#include "core/base/rng.h"
#include "core/stun/channel.h"
#include "core/stun/stun.h"
#include "tests/unit/test.h"

#include <stdlib.h>
#include <string.h>

struct bytes {
	u8 b[512];
	size_t n;
};

static struct bytes hex(const char *text)
{
	struct bytes out;

	out.n = test_hex(text, out.b);
	return out;
}

static struct span span_of(const struct bytes *b)
{
	return SPAN(b->b, b->n);
}

static struct endpoint ep(const char *text)
{
	struct endpoint e = { 0 };
	if (endpoint_parse(SPAN(text, strlen(text)), &e) != 0)
		abort();
	return e;
}

static const u8 TXID[STUN_TXID] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };

#define RFC5769_PASSWORD SPAN_STR("VOkJxbRl1RmTxUk/WvJxBt")

static const char *rfc5769_request =
	"00010058 2112a442 b7e7a701bc34d686fa87dfae 80220010 5354554e207465737420636c69656e74"
	"00240004 6e0001ff 80290008 932ff9b151263b36 00060009 6576746a3a68367659202020"
	"00080014 9aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2 80280004 e57a3bcf";

TEST(rfc5769_request)
{
	struct bytes d = hex(rfc5769_request);
	struct stun_msg m;
	struct span text;
	u32 priority = 0;
	u64 tie_breaker = 0;

	REQUIRE(stun_parse(span_of(&d), &m) == 0);
	EXPECT_EQ(m.class, STUN_REQUEST);
	EXPECT_EQ(m.method, STUN_BINDING);
	EXPECT_EQ(stun_get_text(&m, ATTR_USERNAME, &text), 0);
	EXPECT(text.n == 9 && memcmp(text.p, "evtj:h6vY", 9) == 0);
	EXPECT_EQ(stun_get_u32(&m, ATTR_PRIORITY, &priority), 0);
	EXPECT_EQ(priority, 0x6e0001ff);
	EXPECT_EQ(stun_get_u64(&m, ATTR_ICE_CONTROLLED, &tie_breaker), 0);
	EXPECT(tie_breaker == 0x932ff9b151263b36ull);
	EXPECT_EQ(stun_check_integrity(&m, RFC5769_PASSWORD), 0);
	EXPECT_EQ(stun_check_integrity(&m, SPAN_STR("other")), ERR_AUTH);
	EXPECT_EQ(stun_check_fingerprint(&m), 0);
}

TEST(rfc5769_responses)
{
	struct bytes v4 = hex("0101003c2112a442b7e7a701bc34d686fa87dfae 8022000b7465737420766563746f7220"
			      "002000080001a147e112a643 000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7"
			      "80280004c07d4c96");
	struct bytes v6 = hex("010100482112a442b7e7a701bc34d686fa87dfae 8022000b7465737420766563746f7220"
			      "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9"
			      "00080014a382954e4be67bf11784c97c8292c275bfe3ed41 80280004c8fb0b4c");
	struct stun_msg m;
	struct endpoint got = { 0 };
	struct endpoint want4 = ep("192.0.2.1:32853");
	struct endpoint want6 = ep("[2001:db8:1234:5678:11:2233:4455:6677]:32853");

	REQUIRE(stun_parse(span_of(&v4), &m) == 0);
	EXPECT_EQ(m.class, STUN_SUCCESS);
	EXPECT_EQ(stun_get_address(&m, ATTR_XOR_MAPPED_ADDRESS, &got), 0);
	EXPECT(endpoint_eq(&got, &want4));
	EXPECT_EQ(stun_check_integrity(&m, RFC5769_PASSWORD), 0);
	EXPECT_EQ(stun_check_fingerprint(&m), 0);

	REQUIRE(stun_parse(span_of(&v6), &m) == 0);
	EXPECT_EQ(stun_get_address(&m, ATTR_XOR_MAPPED_ADDRESS, &got), 0);
	EXPECT(endpoint_eq(&got, &want6));
	EXPECT_EQ(stun_check_integrity(&m, RFC5769_PASSWORD), 0);
	EXPECT_EQ(stun_check_fingerprint(&m), 0);
}

TEST(rfc5769_long_term_credentials)
{
	struct bytes d = hex("000100602112a44278ad3433c6ad72c029da412e"
			     "00060012e3839ee38388e383aae38383e382afe382b90000"
			     "0015001c662f2f3439396b39353464364f4c33346f4c394653547679363473 41"
			     "0014000b6578616d706c652e6f726700"
			     "00080014f67024656dd64a3e02b8e0712e85c9a28ca89666");
	struct stun_msg m;
	struct span user, realm;
	u8 key[STUN_KEY];

	REQUIRE(stun_parse(span_of(&d), &m) == 0);
	EXPECT_EQ(stun_get_text(&m, ATTR_USERNAME, &user), 0);
	EXPECT_EQ(stun_get_text(&m, ATTR_REALM, &realm), 0);
	stun_long_term_key(user, realm, SPAN_STR("TheMatrIX"), key);
	EXPECT_EQ(stun_check_integrity(&m, SPAN(key, sizeof(key))), 0);
	EXPECT_EQ(stun_check_fingerprint(&m), ERR_NOT_FOUND);
}

/* Every flipped bit in front of the sum must be noticed by it, padding included. */
TEST(spec50_08_integrity_covers_the_raw_bytes)
{
	struct bytes good = hex(rfc5769_request);
	size_t covered = good.n - 8 - 24;

	for (size_t bit = 0; bit < covered * 8; bit++) {
		struct bytes bad = good;
		struct stun_msg m;
		bad.b[bit / 8] ^= (u8)(1u << (bit % 8));
		int rc = stun_parse(span_of(&bad), &m);
		EXPECT(rc != 0 || stun_check_integrity(&m, RFC5769_PASSWORD) != 0);
	}
}

TEST(spec50_02_wrong_cookie_or_length_is_not_stun)
{
	struct bytes good = hex(rfc5769_request);
	struct stun_msg m;

	for (size_t n = 0; n < good.n; n++)
		EXPECT_EQ(stun_parse(SPAN(good.b, n), &m), ERR_NOT_OURS);
	struct bytes d = good;
	d.b[4] ^= 1;
	EXPECT_EQ(stun_parse(span_of(&d), &m), ERR_NOT_OURS);
	d = good;
	d.b[0] = 0x40;
	EXPECT_EQ(stun_parse(span_of(&d), &m), ERR_NOT_OURS);
	d = good;
	d.n += 4;
	EXPECT_EQ(stun_parse(span_of(&d), &m), ERR_NOT_OURS);
	EXPECT_EQ(stun_parse(SPAN_NONE, &m), ERR_NOT_OURS);
}

TEST(attribute_that_runs_past_the_end_is_malformed_but_names_its_message)
{
	struct bytes d = hex("000300082112a4420102030405060708090a0b0c 0006000861626364");
	struct stun_msg m;

	EXPECT_EQ(stun_parse(span_of(&d), &m), ERR_MALFORMED);
	EXPECT_EQ(m.class, STUN_REQUEST);
	EXPECT_EQ(m.method, TURN_ALLOCATE);
	EXPECT_MEM(m.txid, TXID, STUN_TXID);
}

TEST(too_many_attributes_are_malformed)
{
	u8 buf[STUN_MAX_MESSAGE];
	struct stun_builder b;
	struct stun_msg m;

	for (unsigned n = STUN_ATTRS_MAX; n <= STUN_ATTRS_MAX + 1; n++) {
		stun_begin(&b, buf, sizeof(buf), STUN_REQUEST, STUN_BINDING, TXID);
		for (unsigned i = 0; i < n; i++)
			stun_put(&b, ATTR_USE_CANDIDATE, SPAN_NONE);
		int len = stun_end(&b);
		REQUIRE(len > 0);
		EXPECT_EQ(stun_parse(SPAN(buf, len), &m), n <= STUN_ATTRS_MAX ? 0 : ERR_MALFORMED);
	}
}

TEST(first_occurrence_wins_and_nothing_counts_behind_integrity)
{
	u8 buf[256];
	struct stun_builder b;
	struct stun_msg m;
	u32 v = 0;

	stun_begin(&b, buf, sizeof(buf), STUN_REQUEST, STUN_BINDING, TXID);
	stun_put_u32(&b, ATTR_PRIORITY, 1);
	stun_put_u32(&b, ATTR_PRIORITY, 2);
	stun_put_integrity(&b, SPAN_STR("key"));
	stun_put_u32(&b, ATTR_LIFETIME, 3);
	stun_put_fingerprint(&b);
	int len = stun_end(&b);
	REQUIRE(len > 0);
	REQUIRE(stun_parse(SPAN(buf, len), &m) == 0);
	EXPECT_EQ(stun_get_u32(&m, ATTR_PRIORITY, &v), 0);
	EXPECT_EQ(v, 1);
	EXPECT_EQ(stun_get_u32(&m, ATTR_LIFETIME, &v), ERR_NOT_FOUND);
	EXPECT_EQ(stun_check_integrity(&m, SPAN_STR("key")), 0);
	EXPECT_EQ(stun_check_fingerprint(&m), 0);
}

TEST(integrity_of_a_wrong_length_is_malformed)
{
	struct bytes d = hex("000100082112a4420102030405060708090a0b0c 0008000461626364");
	struct stun_msg m;

	REQUIRE(stun_parse(span_of(&d), &m) == 0);
	EXPECT_EQ(stun_check_integrity(&m, SPAN_STR("key")), ERR_MALFORMED);
}

TEST(spec50_04_xor_addresses)
{
	struct endpoint v4 = ep("203.0.113.7:50000");
	struct endpoint v6 = ep("[2001:db8::7]:50000");
	struct bytes want = hex("0020 0008 0001e242ea12d545 0020 0014 0002e2420113a9fa0102030405060708090a0b0b");
	u8 buf[128];
	struct stun_builder b;
	struct stun_msg m;
	struct stun_iter it = { 0 };
	struct endpoint got;

	stun_begin(&b, buf, sizeof(buf), STUN_SUCCESS, STUN_BINDING, TXID);
	stun_put_xor_address(&b, ATTR_XOR_MAPPED_ADDRESS, &v4);
	stun_put_xor_address(&b, ATTR_XOR_MAPPED_ADDRESS, &v6);
	int len = stun_end(&b);
	REQUIRE(len == (int)(STUN_HEADER + want.n));
	EXPECT_MEM(buf + STUN_HEADER, want.b, want.n);
	REQUIRE(stun_parse(SPAN(buf, len), &m) == 0);
	EXPECT(stun_next(&m, &it) && stun_decode_address(&m, &it, &got) == 0 && endpoint_eq(&got, &v4));
	EXPECT(stun_next(&m, &it) && stun_decode_address(&m, &it, &got) == 0 && endpoint_eq(&got, &v6));
	EXPECT(!stun_next(&m, &it));
}

TEST(addresses_with_bad_family_or_length_are_malformed)
{
	static const char *const bad[] = { "0020000800010000000000", "00200008000300000102030400", "002000080002000001020304",
					   "0020000400010000", "0020000000000000", "0020000c000100000102030405060708" };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct bytes attr = hex(bad[i]);
		attr.n = (attr.n + 3) & ~3ull;
		u8 buf[64];
		struct stun_msg m;
		struct endpoint e;
		struct wr w = wr_init(buf, sizeof(buf));
		wr_be16(&w, 0x0101);
		wr_be16(&w, (u16)attr.n);
		wr_be32(&w, STUN_COOKIE);
		wr_bytes(&w, TXID, STUN_TXID);
		wr_bytes(&w, attr.b, attr.n);
		if (stun_parse(wr_span(&w), &m) == 0 && i != 0)
			EXPECT_EQ(stun_get_address(&m, ATTR_XOR_MAPPED_ADDRESS, &e), ERR_MALFORMED);
	}
}

TEST(texts_must_be_utf8_within_their_limit)
{
	static const struct {
		const char *text;
		int rc;
	} cases[] = {
		{ "plain", 0 },          { "\xc3\xa4", 0 },	       { "\xf0\x9f\x98\x80", 0 },
		{ "\xff", ERR_MALFORMED }, { "\xc0\x80", ERR_MALFORMED }, { "\xed\xa0\x80", ERR_MALFORMED },
		{ "\xe2\x82", ERR_MALFORMED }, { "\xf4\x90\x80\x80", ERR_MALFORMED }, { "\xe0\x80\x80", ERR_MALFORMED },
	};
	u8 buf[1024];
	u8 text[1024];
	struct stun_builder b;
	struct stun_msg m;
	struct span got;

	memset(text, 'x', sizeof(text));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		stun_begin(&b, buf, sizeof(buf), STUN_REQUEST, STUN_BINDING, TXID);
		stun_put(&b, ATTR_REALM, SPAN(cases[i].text, strlen(cases[i].text)));
		REQUIRE(stun_parse(SPAN(buf, stun_end(&b)), &m) == 0);
		EXPECT_EQ(stun_get_text(&m, ATTR_REALM, &got), cases[i].rc);
	}
	for (size_t n = 127; n <= 128; n++) {
		stun_begin(&b, buf, sizeof(buf), STUN_REQUEST, STUN_BINDING, TXID);
		stun_put(&b, ATTR_NONCE, SPAN(text, n));
		REQUIRE(stun_parse(SPAN(buf, stun_end(&b)), &m) == 0);
		EXPECT_EQ(stun_get_text(&m, ATTR_NONCE, &got), n == 127 ? 0 : ERR_MALFORMED);
	}
	for (size_t n = 512; n <= 513; n++) {
		stun_begin(&b, buf, sizeof(buf), STUN_REQUEST, STUN_BINDING, TXID);
		stun_put(&b, ATTR_USERNAME, SPAN(text, n));
		REQUIRE(stun_parse(SPAN(buf, stun_end(&b)), &m) == 0);
		EXPECT_EQ(stun_get_text(&m, ATTR_USERNAME, &got), n == 512 ? 0 : ERR_MALFORMED);
	}
}

TEST(small_attributes_round_trip)
{
	u8 buf[256];
	struct stun_builder b;
	struct stun_msg m;
	u16 number = 0, code = 0;
	u8 family = 0, protocol = 0;
	struct span reason;

	stun_begin(&b, buf, sizeof(buf), STUN_ERROR, TURN_CHANNEL_BIND, TXID);
	stun_put_channel(&b, 0x4ABC);
	stun_put_family(&b, ATTR_ADDITIONAL_FAMILY, 6);
	stun_put_transport(&b, STUN_TRANSPORT_UDP);
	stun_put_error(&b, STUN_STALE_NONCE);
	REQUIRE(stun_parse(SPAN(buf, stun_end(&b)), &m) == 0);
	EXPECT_EQ(m.class, STUN_ERROR);
	EXPECT_EQ(m.method, TURN_CHANNEL_BIND);
	EXPECT_EQ(stun_get_channel(&m, &number), 0);
	EXPECT_EQ(number, 0x4ABC);
	EXPECT_EQ(stun_get_family(&m, ATTR_ADDITIONAL_FAMILY, &family), 0);
	EXPECT_EQ(family, 6);
	EXPECT_EQ(stun_get_transport(&m, &protocol), 0);
	EXPECT_EQ(protocol, 17);
	EXPECT_EQ(stun_get_error(&m, &code, &reason), 0);
	EXPECT_EQ(code, 438);
	EXPECT(reason.n == 11 && memcmp(reason.p, "Stale Nonce", 11) == 0);
}

TEST(method_bits_round_trip)
{
	u8 buf[STUN_HEADER];
	static const enum stun_class classes[] = { STUN_REQUEST, STUN_INDICATION, STUN_SUCCESS, STUN_ERROR };

	for (u16 method = 0; method < 0x100; method++) {
		struct stun_builder b;
		struct stun_msg m;
		stun_begin(&b, buf, sizeof(buf), classes[method % 4], method, TXID);
		REQUIRE(stun_parse(SPAN(buf, stun_end(&b)), &m) == 0);
		REQUIRE(m.method == method && m.class == classes[method % 4]);
	}
}

TEST(builder_overflow_is_sticky_at_every_size)
{
	struct endpoint v6 = ep("[2001:db8::7]:50000");

	for (size_t cap = 0; cap < 160; cap++) {
		u8 *buf = malloc(cap + 1);
		struct stun_builder b;
		stun_begin(&b, buf, cap, STUN_REQUEST, STUN_BINDING, TXID);
		stun_put(&b, ATTR_SOFTWARE, SPAN_STR("snownet"));
		stun_put_xor_address(&b, ATTR_XOR_PEER_ADDRESS, &v6);
		stun_put_error(&b, STUN_BAD_REQUEST);
		stun_put_integrity(&b, SPAN_STR("key"));
		stun_put_fingerprint(&b);
		size_t need = 20 + 12 + 24 + 20 + 24 + 8;
		EXPECT_EQ(stun_end(&b), cap < need ? ERR_TRUNCATED : (int)need);
		free(buf);
	}
}

TEST(spec20_08_channel_data_length_is_exact)
{
	u8 d[16] = { 0x40, 0x01, 0x00, 0x05, 'h', 'e', 'l', 'l', 'o' };
	u16 number = 0;
	struct span payload;

	EXPECT_EQ(channel_parse(SPAN(d, 9), &number, &payload), 0);
	EXPECT_EQ(number, 0x4001);
	EXPECT(payload.n == 5 && memcmp(payload.p, "hello", 5) == 0);
	EXPECT_EQ(channel_parse(SPAN(d, 12), &number, &payload), ERR_MALFORMED);
	EXPECT_EQ(channel_parse(SPAN(d, 8), &number, &payload), ERR_MALFORMED);
	EXPECT_EQ(channel_parse(SPAN(d, 3), &number, &payload), ERR_MALFORMED);
	d[0] = 0x50;
	EXPECT_EQ(channel_parse(SPAN(d, 9), &number, &payload), ERR_MALFORMED);

	u8 h[CHANNEL_HEADER];
	channel_header(h, 0x4FFF, 1312);
	EXPECT_MEM(h, "\x4f\xff\x05\x20", 4);
}

/* Any bytes: no crash, and what parses can be walked to its end. */
TEST(random_garbage_is_survived)
{
	struct rng_seeded r;
	struct bytes good = hex(rfc5769_request);

	rng_seeded_init(&r, 5769);
	for (int i = 0; i < 20000; i++) {
		struct bytes d = good;
		for (u64 k = rng_below(&r.rng, 6); k > 0; k--)
			d.b[rng_below(&r.rng, d.n)] = (u8)rng_u32(&r.rng);
		struct stun_msg m;
		struct stun_iter it = { 0 };
		size_t total = 0;
		if (stun_parse(span_of(&d), &m) != 0)
			continue;
		while (stun_next(&m, &it))
			total += it.value.n;
		EXPECT(total <= d.n);
		(void)stun_check_integrity(&m, RFC5769_PASSWORD);
		(void)stun_check_fingerprint(&m);
	}
}
