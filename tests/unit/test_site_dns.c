/* The resolvers of a gateway's site: files, lookups and queries, with a clock of our own (spec 40 §9.3, §11). Answers over real sockets: tests/e2e. */
#include "applets/gateway/site_dns.h"
#include "core/dns/lookup.h"
#include "platform/sys.h"
#include "tests/unit/inner.h"
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct loop *loop;
static struct site_dns *site;
static u64 now;
static char dir[64], resolv_conf[80], hosts[80];
static unsigned n_results;
static struct ip first[2];
static u32 n4, n6;
static u64 token;
static int error;

static u64 clock_now(void *ctx)
{
	(void)ctx;
	return now;
}

static void write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");
	if (!EXPECT(f != NULL))
		return;
	fputs(text, f);
	fclose(f);
}

static void on_resolved(void *ctx, u64 at, const struct lookup_result *r)
{
	(void)ctx, (void)at;
	n_results++;
	token = r->token;
	error = r->error;
	n4 = r->n4;
	n6 = r->n6;
	for (u32 i = 0; i < 2 && i < n4 + n6; i++)
		first[i] = r->ips[i];
}

static void on_answer(void *ctx, u64 at, const struct dns_answer *a)
{
	(void)ctx, (void)at, (void)a;
}

static void turns(void)
{
	for (unsigned i = 0; i < 5; i++)
		loop_turn(loop, 0);
}

static void start(const char *resolv, const char *names)
{
	struct loop_clock clock = { clock_now, clock_now, NULL };
	snprintf(dir, sizeof(dir), "/tmp/site_dns.XXXXXX");
	EXPECT(mkdtemp(dir) != NULL);
	snprintf(resolv_conf, sizeof(resolv_conf), "%s/resolv.conf", dir);
	snprintf(hosts, sizeof(hosts), "%s/hosts", dir);
	if (resolv)
		write_text(resolv_conf, resolv);
	if (names)
		write_text(hosts, names);
	now = SEC(1000);
	n_results = 0;
	loop = loop_new(&clock);
	site = site_dns_new(loop, &(struct site_dns_config){ .resolv_conf = resolv_conf, .hosts = hosts, .rng = sys_rng(),
							     .on_resolved = on_resolved, .on_answer = on_answer });
}

static void stop(void)
{
	site_dns_free(site);
	loop_free(loop);
	unlink(resolv_conf);
	unlink(hosts);
	rmdir(dir);
}

static int ask(void)
{
	u8 query[64];
	struct wr w = wr_init(query, sizeof(query));
	struct dns_question question = { .type = DNS_SRV, .class = DNS_CLASS_IN };
	struct dns_query q;
	EXPECT_EQ(dns_name_from_text("app.example.com", &question.name), 0);
	dns_query_write(&w, 7, &question, 0);
	EXPECT_EQ(dns_query_parse(wr_span(&w), &q), 0);
	return site_dns_ask(site, now, wr_span(&w), &q, false, 5);
}

TEST(names_of_the_hosts_file_need_no_resolver)
{
	start("search example.com\n", "10.5.0.1 app.example.com app\n2001:db8::1 app\n");
	EXPECT_EQ(site_dns_servers(site), 0);
	EXPECT_EQ(site_dns_resolve(site, now, "app", 42), 0);
	EXPECT_EQ(n_results, 0); /* never from inside the call */
	turns();
	EXPECT_EQ(n_results, 1);
	EXPECT_EQ(token, 42);
	EXPECT_EQ(n4, 1);
	EXPECT_EQ(n6, 1);
	struct ip v4 = ip_of("10.5.0.1"), v6 = ip_of("2001:db8::1");
	EXPECT(ip_eq(&first[0], &v4) && ip_eq(&first[1], &v6));
	stop();
}

TEST(without_a_resolver_names_have_no_addresses_and_queries_are_refused)
{
	start(NULL, NULL);
	EXPECT_EQ(site_dns_resolve(site, now, "app.example.com", 1), 0);
	for (unsigned i = 0; i < 12 && !n_results; i++) {
		turns();
		now += SEC(1);
	}
	EXPECT_EQ(n_results, 1);
	EXPECT_EQ(error, 0);
	EXPECT_EQ(n4 + n6, 0);
	EXPECT_EQ(ask(), ERR_NOT_FOUND);
	stop();
}

TEST(changed_files_are_read_again)
{
	start("nameserver 192.0.2.1\nnameserver 192.0.2.2\n", NULL);
	EXPECT_EQ(site_dns_servers(site), 2);
	EXPECT_EQ(ask(), 0);
	write_text(resolv_conf, "nameserver 192.0.2.1\n");
	write_text(hosts, "10.5.0.9 new\n");
	now += SITE_DNS_REREAD;
	turns();
	EXPECT_EQ(site_dns_servers(site), 1);
	EXPECT_EQ(site_dns_resolve(site, now, "new", 2), 0);
	turns();
	EXPECT_EQ(n4, 1);
	unlink(resolv_conf);
	now += SITE_DNS_REREAD;
	turns();
	EXPECT_EQ(site_dns_servers(site), 0);
	stop();
}
