/* URLs and form encoding. */
#include "core/http/url.h"
#include "tests/unit/test.h"

static int parse(const char *text, struct url *u)
{
	return url_parse(SPAN(text, strlen(text)), u);
}

static bool is(struct span s, const char *want)
{
	return s.n == strlen(want) && memcmp(s.p, want, s.n) == 0;
}

TEST(url_is_taken_apart)
{
	struct url u;

	REQUIRE(parse("WSS://api.example.org:8443/base/x?a=b#frag", &u) == 0);
	EXPECT(url_scheme_is(&u, "wss"));
	EXPECT(!url_scheme_is(&u, "ws"));
	EXPECT(is(u.host, "api.example.org"));
	EXPECT_EQ(u.port, 8443);
	EXPECT(is(u.path, "/base/x"));
	EXPECT(is(u.query, "a=b"));
	EXPECT_EQ(u.literal.family, 0);
	REQUIRE(parse("http://h", &u) == 0);
	EXPECT_EQ(u.port, 0);
	EXPECT_EQ(u.path.n, 0);
	REQUIRE(parse("http://h?x", &u) == 0);
	EXPECT(is(u.query, "x"));
	REQUIRE(parse("https://10.0.0.1:/", &u) == 0);
	EXPECT_EQ(u.literal.family, 4);
	REQUIRE(parse("wss://[2001:db8::1]:444/", &u) == 0);
	EXPECT_EQ(u.literal.family, 6);
	EXPECT(is(u.host, "2001:db8::1"));
	EXPECT_EQ(u.port, 444);
}

TEST(url_without_host_or_with_odd_bytes_is_refused)
{
	static const char *const bad[] = { "", "x", "h.example", "://h", "http:/h", "http://", "http:///p", "http://:80", "http://h:0", "http://h:65536",
		"http://h:x", "http://u@h", "http://[::1", "http://[1.2.3.4]", "http://[::1]x", "http://h h/", "http://h\n/", "1http://h", "http://h\\x",
		"http://h\xc3\xa9/" };
	struct url u;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (parse(bad[i], &u) == 0)
			test_fail(__FILE__, __LINE__, "accepted: %s", bad[i]);
	char big[URL_MAX + 20];
	memset(big, 'a', sizeof(big));
	memcpy(big, "http://", 7);
	EXPECT_EQ(url_parse(SPAN(big, URL_MAX + 1), &u), ERR_LIMIT);
	EXPECT_EQ(url_parse(SPAN(big, 7 + HOST_MAX + 1), &u), ERR_LIMIT);
	EXPECT_EQ(url_parse(SPAN(big, 7 + HOST_MAX), &u), 0);
}

TEST(spec10_2_query_values_are_form_encoded)
{
	char buf[200];
	struct wr w = wr_init(buf, sizeof(buf));
	bool first = true;

	form_append(&w, &first, "name", SPAN_STR("a b*-._~\xc3\xa9"));
	form_append(&w, &first, "public_key", SPAN_STR("y2iT+/A="));
	wr_u8(&w, 0);
	REQUIRE(wr_ok(&w));
	EXPECT_STR(buf, "name=a+b*-._%7E%C3%A9&public_key=y2iT%2B%2FA%3D");
}

TEST(form_values_are_found_and_decoded)
{
	struct span q = SPAN_STR("&a=1&b=x+y%2b%2F&c&&d=%zz&e=%0");
	char out[8];

	EXPECT_EQ(form_get(q, "b", out, sizeof(out)), 0);
	EXPECT_STR(out, "x y+/");
	EXPECT_EQ(form_get(q, "c", out, sizeof(out)), 0);
	EXPECT_STR(out, "");
	EXPECT_EQ(form_get(q, "d", out, sizeof(out)), ERR_MALFORMED);
	EXPECT_EQ(form_get(q, "e", out, sizeof(out)), ERR_MALFORMED);
	EXPECT_EQ(form_get(q, "z", out, sizeof(out)), ERR_NOT_FOUND);
	EXPECT_EQ(form_get(SPAN_STR("a=12345678"), "a", out, sizeof(out)), ERR_TRUNCATED);
	EXPECT_EQ(form_get(SPAN_STR("a=%00"), "a", out, sizeof(out)), ERR_MALFORMED);
	EXPECT_EQ(form_get(SPAN_STR("a=%4"), "a", out, sizeof(out)), ERR_MALFORMED);
	EXPECT_EQ(form_get(SPAN_STR("a=%41"), "a", out, sizeof(out)), 0);
	EXPECT_STR(out, "A");
}

TEST(form_encoding_is_undone_by_decoding)
{
	u8 all[255];
	char text[800], back[256];
	size_t n;

	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (u8)(i + 1);
	struct wr w = wr_init(text, sizeof(text));
	form_encode(&w, SPAN(all, sizeof(all)));
	REQUIRE(wr_ok(&w));
	REQUIRE(form_decode(wr_span(&w), back, sizeof(back), &n) == 0);
	EXPECT_EQ(n, sizeof(all));
	EXPECT_MEM(back, all, sizeof(all));
}
