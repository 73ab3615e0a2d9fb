/* What dns-proxy makes of the lines of its file and of its options, and what its query log says. */
#include "applets/dns_proxy/config.h"
#include "applets/dns_proxy/query_log.h"
#include "applets/dns_proxy/settings.h"
#include "core/dns/doh.h"
#include "tests/unit/dns_build.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TOLD_MAX 4096

struct read {
	struct config c;
	struct rng_seeded rng;
	char told[TOLD_MAX]; /* each problem a line */
};

static void tell(void *ctx, const char *place, const char *what)
{
	struct read *r = ctx;
	size_t n = strlen(r->told);

	snprintf(r->told + n, TOLD_MAX - n, "%s: %s\n", place, what);
}

static struct read *start(void)
{
	struct read *r = calloc(1, sizeof(*r));

	rng_seeded_init(&r->rng, 1);
	EXPECT_EQ(config_init(&r->c, &r->rng.rng, tell, r), 0);
	return r;
}

static struct read *finish(struct read *r, const char *text, const char *resolv_conf)
{
	config_text(&r->c, "f", SPAN(text, strlen(text)));
	config_finish(&r->c, SPAN(resolv_conf, strlen(resolv_conf)), NULL);
	return r;
}

static void end(struct read *r)
{
	config_deinit(&r->c);
	free(r);
}

static void expect_endpoint(const struct endpoint *ep, const char *want)
{
	char text[ENDPOINT_STRLEN];

	EXPECT_STR(endpoint_format(ep, text), want);
}

TEST(defaults_are_loopback_and_the_systems_servers)
{
	struct read *r = finish(start(), "", "nameserver 127.0.0.1\nnameserver ::1\nnameserver 192.0.2.1\nnameserver 127.0.0.53\n");

	EXPECT_STR(r->told, "");
	EXPECT_EQ(r->c.n_listen, 2);
	expect_endpoint(&r->c.listen[0], "127.0.0.1:53");
	expect_endpoint(&r->c.listen[1], "[::1]:53");
	EXPECT_EQ(r->c.n_upstream, 2); /* never itself */
	expect_endpoint(&r->c.upstream[0].addr, "192.0.2.1:53");
	expect_endpoint(&r->c.upstream[1].addr, "127.0.0.53:53");
	EXPECT_EQ(r->c.cache_bytes, PROXY_CACHE_BYTES);
	EXPECT(r->c.clients.interval > 0);
	end(r);
}

static bool is_ten(const struct ip *ip)
{
	return ip->family == 4 && ip->b[0] == 10;
}

TEST(wildcard_listener_is_itself_on_every_own_address)
{
	struct read *r = start();
	static const char text[] = "listen 0.0.0.0\nrule a.example 10.0.0.1\nrule b.example 10.0.0.1:5353\n";

	config_text(&r->c, "f", SPAN_STR(text));
	config_finish(&r->c, SPAN_STR("nameserver 127.0.0.53\nnameserver 10.0.0.1\nnameserver 192.0.2.9\n"), is_ten);
	EXPECT_EQ(r->c.n_upstream, 1);
	EXPECT_STR(r->told, "configuration: the server 10.0.0.1:53 is this proxy itself\n");
	end(r);
}

TEST(everything_that_can_be_said)
{
	static const char text[] = "# all of it\r\n"
				   "listen 192.168.1.1 [fd00::1]:5353   # two\n"
				   "\t upstream 9.9.9.9 149.112.112.112:5300 tcp://[2620:fe::fe]:53 udp://192.0.2.1\n"
				   "rule **.corp.example 10.0.0.53 10.0.0.54\n"
				   "rule *.ads.example block\n"
				   "rule good.ads.example default\n"
				   "search lan corp.example\n"
				   "record nas.lan A 192.168.1.5\n"
				   "record nas.lan 60 AAAA fd00::5\n"
				   "record www.lan CNAME nas.lan\n"
				   "record t.lan TXT \"two words\" \"a \\\"quote\\\" # no comment\"\n"
				   "record 9.1.168.192.in-addr.arpa PTR old.lan\n"
				   "allow 203.0.113.0/24 2001:db8::/32\n"
				   "strangers ignore\n"
				   "rate-limit 50 10\n"
				   "cache-size 2M\n"
				   "application-dns show\n"
				   "block-answer zero\n"
				   "blocklist /etc/ads\n"
				   "bootstrap 9.9.9.9\n"
				   "query-log /var/log/q\n"
				   "query-log-format json\n"
				   "stats-socket off\n"
				   "user daemon";
	struct read *r = finish(start(), text, "nameserver 192.0.2.99\n");
	const struct split_counts n = split_counts(r->c.split);

	EXPECT_STR(r->told, "");
	EXPECT_EQ(r->c.n_listen, 2);
	expect_endpoint(&r->c.listen[1], "[fd00::1]:5353");
	EXPECT_EQ(r->c.n_upstream, 4);
	expect_endpoint(&r->c.upstream[1].addr, "149.112.112.112:5300");
	EXPECT_EQ(r->c.upstream[2].transport, DNS_OVER_TCP);
	expect_endpoint(&r->c.upstream[2].addr, "[2620:fe::fe]:53");
	EXPECT_EQ(n.rules, 3);
	EXPECT_EQ(n.groups, 2);
	EXPECT_EQ(n.records, 5 + 2);
	EXPECT_EQ(n.search, 2);
	EXPECT_EQ(r->c.n_allow, 2);
	EXPECT(r->c.refuses_silently && r->c.shows_application_dns && r->c.blocks_with_zero && r->c.logs_json);
	EXPECT_EQ(r->c.rate, 50);
	EXPECT_EQ(r->c.burst, 10);
	EXPECT_EQ(r->c.cache_bytes, 2u << 20);
	EXPECT_STR(r->c.blocklist[0], "/etc/ads");
	EXPECT_STR(r->c.blocklist_place[0], "f:19");
	EXPECT_EQ(r->c.n_bootstrap, 1);
	EXPECT_STR(r->c.query_log, "/var/log/q");
	EXPECT_STR(r->c.stats_socket, "");
	EXPECT_STR(r->c.user, "daemon");

	u8 query[128], out[512];
	struct wr m = dns_build(query, sizeof(query), 1, DNS_FLAG_RD, "t.lan", DNS_TXT), w = wr_init(out, sizeof(out));
	struct dns_query q;
	EXPECT_EQ(dns_query_parse(wr_span(&m), &q), 0);
	EXPECT_EQ(split_decide(r->c.split, wr_span(&m), &q, &w).action, SPLIT_ANSWER);
	static const char want[] = "\x09two words\x16" "a \"quote\" # no comment";
	REQUIRE(wr_len(&w) > sizeof(want));
	EXPECT_MEM(w.p - (sizeof(want) - 1), want, sizeof(want) - 1);
	end(r);
}

/* Each line is wrong in its own way and says so with its number. */
TEST(every_problem_is_told_with_its_line)
{
	static const struct {
		const char *line, *told;
	} cases[] = {
		{ "listen 127.0.0.1:99999", "\"127.0.0.1:99999\" is no address to listen on: ADDRESS[:PORT]" },
		{ "listen 10.0.0.1\nlisten 10.0.0.1:53", "\"10.0.0.1:53\" is given twice" },
		{ "listen", "listen needs a value: ADDRESS[:PORT]" },
		{ "upstream 1.2.3", "\"1.2.3\" is no server: ADDRESS[:PORT], tcp://ADDRESS[:PORT] or https://HOST/PATH" },
		{ "upstream 0.0.0.0", "\"0.0.0.0\" is no server: ADDRESS[:PORT], tcp://ADDRESS[:PORT] or https://HOST/PATH" },
		{ "upstream https://", "\"https://\" is no URL of a DNS server: https://HOST[:PORT]/PATH without query or fragment" },
		{ "upstream https://h/p?q", "\"https://h/p?q\" is no URL of a DNS server: https://HOST[:PORT]/PATH without query or fragment" },
		{ "rule a.example", "rule needs a pattern and a server, `default` or `block`" },
		{ "rule a**b 1.1.1.1", "\"a**b\" is no pattern: `*` and `?` stand within a label, `**` alone in one" },
		{ "rule a 1.1.1.1\nrule A 2.2.2.2", "\"A\" has a rule already" },
		{ "record a.lan A fd00::1", "\"fd00::1\" is no IPv4 address" },
		{ "record a.lan AAAA 1.2.3.4", "\"1.2.3.4\" is no IPv6 address" },
		{ "record a.lan MX b.lan", "\"MX\" is no type of record here: A, AAAA, CNAME, TXT or PTR" },
		{ "record a.lan 99999999999 A 1.2.3.4", "\"99999999999\" is no TTL in seconds" },
		{ "record a.lan A", "record needs a name, a type and a value" },
		{ "record a.lan A 1.2.3.4 5", "\"5\" is one value too many" },
		{ "record a..lan A 1.2.3.4", "\"a..lan\" is no domain name" },
		{ "record a.lan A 1.2.3.4\nrecord a.lan CNAME b", "\"a.lan\": an alias (CNAME) is a name's only record" },
		{ "allow 10.0.0.1/8", "\"10.0.0.1/8\" is no network: 203.0.113.0/24, without bits behind the prefix" },
		{ "allow 0.0.0.0/0", "\"0.0.0.0/0\" is too wide (/8 at least): this would be an open resolver, a weapon against others" },
		{ "allow ::/0", "\"::/0\" is too wide (/16 at least): this would be an open resolver, a weapon against others" },
		{ "strangers welcome", "\"welcome\" is neither refuse nor ignore" },
		{ "rate-limit fast", "\"fast\" is no number of queries per second up to 1000000" },
		{ "rate-limit 5 0", "\"0\" is no number of queries up to 1000000" },
		{ "rate-limit 1 2 3", "rate-limit takes no more than: QUERIES [BURST]" },
		{ "cache-size 5T", "\"5T\" is no size: bytes, or with k or M, at most 1024M" },
		{ "cache-size 5000M", "\"5000M\" is no size: bytes, or with k or M, at most 1024M" },
		{ "bootstrap dns.example", "\"dns.example\" is no IP address" },
		{ "user a\nuser b", "user is given twice" },
		{ "search a..b", "\"a..b\" is no domain name" },
		{ "query-log \"/tmp/q", "a quotation mark without its end" },
		{ "cache 5", "\"cache\" is not known here (`dns-proxy --help` lists what is)" },
	};
	char want[512];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct read *r = finish(start(), cases[i].line, "");
		snprintf(want, sizeof(want), "f:%u: %s\n", strchr(cases[i].line, '\n') ? 2 : 1, cases[i].told);
		EXPECT_STR(r->told, want);
		EXPECT_EQ(r->c.errors, 1);
		end(r);
	}
}

TEST(reading_goes_on_behind_a_problem)
{
	struct read *r = finish(start(), "x\n\n# fine\ny 1\nlisten 10.0.0.1\nz", "");

	EXPECT_EQ(r->c.errors, 3);
	EXPECT(strstr(r->told, "f:1: \"x\"") && strstr(r->told, "f:4: \"y\"") && strstr(r->told, "f:6: \"z\""));
	EXPECT_EQ(r->c.n_listen, 1);
	end(r);
}

TEST(problems_are_counted_beyond_what_is_told)
{
	static char text[4 * CONFIG_ERRORS_MAX + 1];
	struct read *r = start();

	for (size_t i = 0; i < sizeof(text) - 1; i++)
		text[i] = i % 2 ? '\n' : 'x';
	r->c.report = NULL;
	finish(r, text, "");
	EXPECT_EQ(r->c.errors, 2 * CONFIG_ERRORS_MAX);
	end(r);
}

TEST(options_are_lines_and_stand_above_the_file)
{
	struct read *r = start();

	config_option(&r->c, CONFIG_RULE, "**.corp.example 10.0.0.1");
	config_option(&r->c, CONFIG_USER, "option");
	config_option(&r->c, CONFIG_CACHE_SIZE, "0");
	config_option(&r->c, CONFIG_ALLOW, "nowhere");
	finish(r, "user file\nrule **.more.example 10.0.0.2\ncache-size 1M\n", "");
	EXPECT_STR(r->told, "--allow: \"nowhere\" is no network: 203.0.113.0/24, without bits behind the prefix\n");
	EXPECT_STR(r->c.user, "option");
	EXPECT_EQ(r->c.cache_bytes, 0);
	EXPECT_EQ(split_counts(r->c.split).rules, 2);
	end(r);
}

TEST(https_needs_somebody_who_tells_the_address)
{
	if (!doh_is_available())
		TEST_SKIP("a build without DNS over HTTPS");
	struct read *r = finish(start(), "upstream https://dns.example/dns-query\n", "nameserver 127.0.0.1\n");

	EXPECT_STR(r->told, "configuration: nobody tells the address of dns.example: name a server with bootstrap\n");
	end(r);
	r = finish(start(), "upstream https://192.0.2.1/dns-query\n", "");
	EXPECT_STR(r->told, "");
	EXPECT(r->c.wants_https);
	end(r);
	r = finish(start(), "upstream https://dns.example/dns-query\n", "nameserver 192.0.2.1\n");
	EXPECT_STR(r->told, "");
	EXPECT_EQ(r->c.n_bootstrap, 1);
	EXPECT_EQ(r->c.n_upstream, 1);
	end(r);
}

TEST(files_are_read_and_missing_ones_told)
{
	char dir[] = "/tmp/ember-dns-proxy-XXXXXX", conf[64], list[64], text[512];
	struct proxy_settings s = { .config_file = conf };
	struct read *r = calloc(1, sizeof(*r));

	rng_seeded_init(&r->rng, 1);
	REQUIRE(mkdtemp(dir));
	snprintf(conf, sizeof(conf), "%s/conf", dir);
	snprintf(list, sizeof(list), "%s/list", dir);
	FILE *f = fopen(list, "w");
	REQUIRE(f);
	fputs("0.0.0.0 ads.example\nnot a name\n", f);
	fclose(f);
	f = fopen(conf, "w");
	REQUIRE(f);
	fprintf(f, "upstream none\nblocklist %s\nblocklist %s/none\n", list, dir);
	fclose(f);
	EXPECT_EQ(proxy_settings_load(&s, &r->c, &r->rng.rng, tell, r), ERR_INVAL);
	snprintf(text, sizeof(text), "%s:2: %s:2: no name, and 1 such lines in all\n%s:3: cannot read %s/none: no such file\n", conf, list, conf, dir);
	EXPECT_STR(r->told, text);
	EXPECT_EQ(split_counts(r->c.split).blocked_names, 1);
	unlink(conf);
	unlink(list);
	rmdir(dir);
	end(r);
}

TEST(query_log_lines)
{
	char line[QUERY_LOG_LINE_MAX];
	struct proxy_client c = { .addr = { ip4(192, 168, 1, 20), 4444 }, .is_tcp = false };
	struct dns_question q = { dns_build_name("a\\\"b.lan"), DNS_AAAA, DNS_CLASS_IN };
	struct proxy_note n = { &c, &q, PROXY_FORWARDED, DNS_NXDOMAIN, 0, USEC(1234) };

	line[query_log_line(&n, SEC(1), false, line)] = '\0';
	EXPECT_STR(line, "1970-01-01T00:00:01.000Z 192.168.1.20 udp a\"b.lan AAAA forwarded NXDOMAIN 1.234\n");
	c.is_tcp = true;
	q.type = 4711;
	n.rcode = 11;
	line[query_log_line(&n, SEC(1), true, line)] = '\0';
	EXPECT_STR(line, "{\"time\":\"1970-01-01T00:00:01.000Z\",\"client\":\"192.168.1.20\",\"transport\":\"tcp\",\"name\":\"a\\\"b.lan\","
			 "\"type\":\"TYPE4711\",\"outcome\":\"forwarded\",\"rcode\":\"RCODE11\",\"ms\":1.234}\n");
}
