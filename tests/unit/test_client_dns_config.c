/* Which resolvers are asked, and under which sentinels (spec 30 §10.1–§10.2). */
#include "core/tunnel/client_dns_config.h"
#include "tests/unit/inner.h"
#include "tests/unit/test.h"

#include <stdio.h>

static struct dns_config d;

static int portal(const char *a, const char *b, const char *url, const char *url2)
{
	struct ip list[2];
	const char *urls[2] = { url, url2 };
	size_t n = 0;
	if (a)
		list[n++] = ip_of(a);
	if (b)
		list[n++] = ip_of(b);
	return dns_config_set_portal(&d, list, n, urls, url ? url2 ? 2 : 1 : 0);
}

static int from_system(const char *a, const char *b)
{
	struct ip list[2];
	size_t n = 0;
	if (a)
		list[n++] = ip_of(a);
	if (b)
		list[n++] = ip_of(b);
	return dns_config_set_system(&d, list, n);
}

static void expect_mapped(size_t i, const char *sentinel, const char *server)
{
	char text[IP_STRLEN];
	if (!EXPECT(i < d.n))
		return;
	EXPECT_STR(ip_format(&d.upstreams[i].sentinel, text), sentinel);
	const struct dns_server *s = &d.upstreams[i].server;
	if (s->transport == DNS_OVER_HTTPS) {
		EXPECT_STR(s->url, server);
		return;
	}
	EXPECT_EQ(s->addr.port, 53);
	EXPECT_STR(ip_format(&s->addr.ip, text), server);
	EXPECT_EQ(dns_config_find(&d, &d.upstreams[i].sentinel), (int)i);
}

#define S6 "fd00:2021:1111:8000:100:100:111:"

TEST(spec30_50_portal_addresses_before_urls_before_the_system)
{
	d = (struct dns_config){ 0 };
	EXPECT_EQ(from_system("192.0.2.1", "192.0.2.2"), 1);
	EXPECT(!d.is_from_portal);
	expect_mapped(0, "100.100.111.1", "192.0.2.1");
	expect_mapped(1, "100.100.111.2", "192.0.2.2");
	EXPECT_EQ(portal(NULL, NULL, "https://dns.example/dns-query", NULL), 1);
	EXPECT(d.is_from_portal);
	EXPECT_EQ(d.n, 1);
	expect_mapped(0, "100.100.111.3", "https://dns.example/dns-query");
	EXPECT_EQ(portal("1.1.1.1", NULL, "https://dns.example/dns-query", NULL), 1);
	expect_mapped(0, "100.100.111.1", "1.1.1.1");
	EXPECT_EQ(from_system("192.0.2.9", NULL), 0); /* not in use */
	EXPECT_EQ(portal(NULL, NULL, NULL, NULL), 1);
	expect_mapped(0, "100.100.111.2", "192.0.2.9");
	dns_config_deinit(&d);
}

TEST(spec30_50_sentinels_and_repetitions_are_taken_out)
{
	d = (struct dns_config){ 0 };
	EXPECT_EQ(from_system("100.100.111.1", S6 "3"), 0);
	EXPECT_EQ(d.n, 0); /* no server: no sentinel */
	EXPECT_EQ(from_system("100.100.111.1", "9.9.9.9"), 1);
	expect_mapped(0, "100.100.111.1", "9.9.9.9");
	EXPECT_EQ(portal("100.100.111.7", NULL, NULL, NULL), 0);
	EXPECT(!d.is_from_portal); /* nothing is left of it */
	EXPECT_EQ(portal("9.9.9.9", "9.9.9.9", NULL, NULL), 0); /* the same set */
	EXPECT(d.is_from_portal);
	EXPECT_EQ(d.n, 1);
	dns_config_deinit(&d);
}

TEST(spec30_52_families_of_sentinels)
{
	d = (struct dns_config){ 0 };
	EXPECT_EQ(portal("2001:4860:4860::8888", "8.8.8.8", NULL, NULL), 1);
	expect_mapped(0, S6 "0", "2001:4860:4860::8888");
	expect_mapped(1, "100.100.111.1", "8.8.8.8");
	EXPECT_EQ(portal(NULL, NULL, "https://a.example/q", "https://b.example/"), 1);
	expect_mapped(0, "100.100.111.2", "https://a.example/q");
	expect_mapped(1, "100.100.111.3", "https://b.example/");
	dns_config_deinit(&d);
}

TEST(spec30_50_only_another_set_of_servers_changes_the_mapping)
{
	d = (struct dns_config){ 0 };
	EXPECT_EQ(from_system("192.0.2.1", "192.0.2.2"), 1);
	EXPECT_EQ(from_system("192.0.2.2", "192.0.2.1"), 0);
	expect_mapped(0, "100.100.111.1", "192.0.2.1");
	EXPECT_EQ(from_system("192.0.2.1", NULL), 1);
	expect_mapped(0, "100.100.111.3", "192.0.2.1");
	EXPECT_EQ(from_system("192.0.2.3", NULL), 1);
	expect_mapped(0, "100.100.111.1", "192.0.2.3"); /* with one server it alternates */
	EXPECT_EQ(from_system("192.0.2.4", NULL), 1);
	expect_mapped(0, "100.100.111.2", "192.0.2.4");
	EXPECT_EQ(from_system(NULL, NULL), 1);
	EXPECT_EQ(d.n, 0);
	dns_config_deinit(&d);
}

TEST(urls_that_cannot_be_doh_are_left_out)
{
	static const char *const bad[] = { "http://dns.example/", "https:///path", "https://dns.example/?a=b", "dns.example", "" };
	d = (struct dns_config){ 0 };
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		EXPECT_EQ(portal(NULL, NULL, bad[i], NULL), 0);
		EXPECT(!d.is_from_portal);
	}
	EXPECT_EQ(portal(NULL, NULL, bad[0], "https://dns.example/"), 1);
	EXPECT_EQ(d.n, 1);
	dns_config_deinit(&d);
}

TEST(lists_longer_than_the_limit_are_cut)
{
	struct ip many[DNS_UPSTREAMS_MAX + 9];
	d = (struct dns_config){ 0 };
	for (unsigned round = 0; round < 4; round++) {
		for (unsigned i = 0; i < ARRAY_LEN(many); i++)
			many[i] = ip4(10, (u8)round, 0, (u8)i);
		EXPECT_EQ(dns_config_set_system(&d, many, ARRAY_LEN(many)), 1);
		EXPECT_EQ(d.n, DNS_UPSTREAMS_MAX);
		for (size_t i = 0; i < d.n; i++)
			EXPECT(cidr_contains(&net_sentinels4, &d.upstreams[i].sentinel) && dns_config_find(&d, &d.upstreams[i].sentinel) == (int)i);
	}
	dns_config_deinit(&d);
}
