/* Text forms of addresses, networks and UUIDs. */
#include "core/base/err.h"
#include "core/base/rng.h"
#include "core/ip/addr.h"
#include "tests/unit/test.h"

#include <arpa/inet.h>

static struct span text(const char *s)
{
	return SPAN(s, strlen(s));
}

TEST(ip_text_agrees_with_the_c_library_both_ways)
{
	struct rng_seeded r;

	rng_seeded_init(&r, 7);
	for (unsigned i = 0; i < 20000; i++) {
		struct ip ip = { .family = 6 }, back;
		char ours[IP_STRLEN], theirs[IP_STRLEN];
		rng_fill(&r.rng, ip.b, 16);
		for (unsigned g = 0; g < 8; g++) /* many zero groups */
			if (rng_below(&r.rng, 2))
				ip.b[2 * g] = ip.b[2 * g + 1] = 0;
		if (memcmp(ip.b, (u8[12]){ 0 }, 12) == 0)
			continue; /* inet_ntop writes these as dotted quads, RFC 5952 need not */
		inet_ntop(AF_INET6, ip.b, theirs, sizeof(theirs));
		ip_format(&ip, ours);
#ifdef __GLIBC__ /* musl shortens the last of two equal runs of zeros, RFC 5952 §4.2.3 the first */
		REQUIRE(EXPECT_STR(ours, theirs));
#endif
		REQUIRE(ip_parse(text(theirs), &back) == 0 && ip_eq(&ip, &back));
		REQUIRE(ip_parse(text(ours), &back) == 0 && ip_eq(&ip, &back));
	}
}

TEST(ip_parse_refuses_what_the_c_library_refuses)
{
	static const char *const bad[] = { "",	      "1.2.3",	  "1.2.3.4.5", "256.1.1.1", "1.2.3.04", "1..2.3",  ":",	     ":::",
					   "1:2:3",   "::1::",	  "12345::",   "1:2:3:4:5:6:7:8:9",	"::g",	   "1::2::3",	     "fe80::1%eth0",
					   "1.2.3.4 ", "::1.2.3", "1:",	       "1:2:3:4:5:6:7:", "::1.2.3.4:5", "1:2:3:4:5:6:7:1.2.3.4" };
	static const char *const good[] = { "0.0.0.0", "255.255.255.255", "::", "::1", "1::", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "::ffff:1.2.3.4",
					    "1:2:3:4:5:6:1.2.3.4", "2001:DB8::1" };
	struct ip ip;
	u8 raw[16];

	for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
		if (!EXPECT(ip_parse(text(bad[i]), &ip) == ERR_MALFORMED))
			test_fail(__FILE__, __LINE__, "accepted \"%s\"", bad[i]);
	for (unsigned i = 0; i < ARRAY_LEN(good); i++) {
		int family = strchr(good[i], ':') ? AF_INET6 : AF_INET;
		REQUIRE(inet_pton(family, good[i], raw) == 1);
		if (!EXPECT(ip_parse(text(good[i]), &ip) == 0))
			test_fail(__FILE__, __LINE__, "refused \"%s\"", good[i]);
		EXPECT_MEM(ip.b, raw, family == AF_INET6 ? 16 : 4);
	}
}

TEST(endpoint_text_needs_brackets_for_ipv6)
{
	struct endpoint ep;
	char buf[ENDPOINT_STRLEN];

	EXPECT_EQ(endpoint_parse(text("[2001:db8::7]:3478"), &ep), 0);
	EXPECT_STR(endpoint_format(&ep, buf), "[2001:db8::7]:3478");
	EXPECT_EQ(endpoint_parse(text("203.0.113.7:65535"), &ep), 0);
	EXPECT_STR(endpoint_format(&ep, buf), "203.0.113.7:65535");
	EXPECT_EQ(endpoint_parse(text("2001:db8::7:3478"), &ep), ERR_MALFORMED);
	EXPECT_EQ(endpoint_parse(text("[1.2.3.4]:1"), &ep), ERR_MALFORMED);
	EXPECT_EQ(endpoint_parse(text("1.2.3.4:65536"), &ep), ERR_MALFORMED);
	EXPECT_EQ(endpoint_parse(text("1.2.3.4:"), &ep), ERR_MALFORMED);
	EXPECT_EQ(endpoint_parse(text("1.2.3.4"), &ep), ERR_MALFORMED);
	EXPECT_EQ(endpoint_parse(text(""), &ep), ERR_MALFORMED);
}

TEST(spec10_44_cidr_has_zero_host_bits_and_contains_its_addresses)
{
	struct cidr net;
	struct ip in, out;
	char buf[CIDR_STRLEN];

	EXPECT_EQ(cidr_parse(text("10.9.0.0/17"), &net), 0);
	EXPECT_STR(cidr_format(&net, buf), "10.9.0.0/17");
	ip_parse(text("10.9.127.255"), &in);
	ip_parse(text("10.9.128.0"), &out);
	EXPECT(cidr_contains(&net, &in));
	EXPECT(!cidr_contains(&net, &out));
	EXPECT_EQ(cidr_parse(text("10.9.0.1/17"), &net), ERR_MALFORMED);
	EXPECT_EQ(cidr_parse(text("10.9.0.0/33"), &net), ERR_MALFORMED);
	EXPECT_EQ(cidr_parse(text("10.9.0.0/"), &net), ERR_MALFORMED);
	EXPECT_EQ(cidr_parse(text("fd00::/129"), &net), ERR_MALFORMED);
	EXPECT_EQ(cidr_parse(text("fd00::1"), &net), 0);
	EXPECT_EQ(net.len, 128);
	EXPECT_EQ(cidr_parse(text("0.0.0.0/0"), &net), 0);
	EXPECT(cidr_contains(&net, &in));
}

TEST(spec30_1_ranges_of_the_tunnel)
{
	struct ip ip;

	ip_parse(text("100.95.255.255"), &ip);
	EXPECT(ip_is_peer(&ip) && !ip_is_proxy(&ip));
	ip_parse(text("100.96.0.1"), &ip);
	EXPECT(!ip_is_peer(&ip) && ip_is_proxy(&ip));
	ip_parse(text("fd00:2021:1111::1f:ffff"), &ip);
	EXPECT(ip_is_peer(&ip));
	ip_parse(text("fd00:2021:1111::20:0"), &ip);
	EXPECT(!ip_is_peer(&ip));
	ip_parse(text("fd00:2021:1111:8000::"), &ip);
	EXPECT(ip_is_proxy(&ip));
	ip_parse(text("fd00:2021:1111:8000:100:100:111:0"), &ip);
	EXPECT(cidr_contains(&net_sentinels6, &ip) && !ip_is_proxy(&ip));
}

TEST(uuid_is_read_in_every_common_form)
{
	static const char canonical[] = "efc7a9e3-3576-4633-b633-7d47ba9e14ac";
	static const char *const good[] = { "EFC7A9E3-3576-4633-B633-7D47BA9E14AC", "efc7a9e335764633b6337d47ba9e14ac",
					    "{efc7a9e3-3576-4633-b633-7d47ba9e14ac}", "urn:uuid:efc7a9e3-3576-4633-b633-7d47ba9e14ac" };
	static const char *const bad[] = { "", "efc7a9e3-3576-4633-b633-7d47ba9e14a", "efc7a9e3-3576-4633-b633-7d47ba9e14ag",
					   "efc7a9e3x3576-4633-b633-7d47ba9e14ac", "{efc7a9e3-3576-4633-b633-7d47ba9e14ac" };
	struct uuid id;
	char buf[UUID_STRLEN];

	for (unsigned i = 0; i < ARRAY_LEN(good); i++) {
		EXPECT_EQ(uuid_parse(text(good[i]), &id), 0);
		EXPECT_STR(uuid_format(&id, buf), canonical);
	}
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
		EXPECT_EQ(uuid_parse(text(bad[i]), &id), ERR_MALFORMED);
}
