/* DNS over HTTPS: what a resolver's URL may be. */
#include "core/dns/doh.h"
#include "tests/unit/test.h"

static int parse(const char *text, struct doh_url *u)
{
	return doh_url_parse(SPAN(text, strlen(text)), u);
}

TEST(url_of_a_resolver)
{
	struct doh_url u;

	REQUIRE(parse("https://dns.example/dns-query", &u) == 0);
	EXPECT_STR(u.host, "dns.example");
	EXPECT_EQ(u.port, 443);
	EXPECT_EQ(u.literal.family, 0);
	EXPECT_STR(u.path, "/dns-query");
	REQUIRE(parse("HTTPS://[2001:db8::1]:8443", &u) == 0);
	EXPECT_STR(u.host, "2001:db8::1");
	EXPECT_EQ(u.port, 8443);
	EXPECT_EQ(u.literal.family, 6);
	EXPECT_STR(u.path, "/");
	REQUIRE(parse("https://9.9.9.9/", &u) == 0);
	EXPECT_EQ(u.literal.family, 4);
}

TEST(url_of_a_resolver_is_https_with_host_and_without_query)
{
	static const char *const odd[] = { "http://dns.example/q", "wss://dns.example/q", "https://dns.example/q?", "https://dns.example/q?dns=x",
		"https://dns.example/q{?dns}", "https://dns.example/q#top" };
	static const char *const broken[] = { "", "dns.example", "https:///q", "https://", "https://dns.example/a b", "https://u@dns.example/q" };
	char big[64 + DOH_PATH_MAX] = "https://dns.example/";
	struct doh_url u;

	for (unsigned i = 0; i < ARRAY_LEN(odd); i++)
		EXPECT_EQ(parse(odd[i], &u), ERR_INVAL);
	for (unsigned i = 0; i < ARRAY_LEN(broken); i++)
		EXPECT_EQ(parse(broken[i], &u), ERR_MALFORMED);
	size_t n = strlen(big) - 1;
	memset(big + n + 1, 'p', DOH_PATH_MAX - 1);
	EXPECT_EQ(doh_url_parse(SPAN(big, n + DOH_PATH_MAX), &u), 0);
	EXPECT_EQ(strlen(u.path), DOH_PATH_MAX);
	big[n + DOH_PATH_MAX] = 'p';
	EXPECT_EQ(doh_url_parse(SPAN(big, n + DOH_PATH_MAX + 1), &u), ERR_LIMIT);
}
