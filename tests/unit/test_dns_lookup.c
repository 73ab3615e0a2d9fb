/* Names to addresses through a forwarder whose server is a table (spec 40 §9.3). */
#include "core/base/rng.h"
#include "core/dns/lookup.h"
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>

#define GROUP 3u
#define ASKED_MAX 64u

/* What the server knows: "name A 192.0.2.1", "name AAAA 2001:db8::1", "name CNAME other", "name SERVFAIL", "name SILENT4" or "SILENT6"; an
 * answer holds the whole chain. Names not in it do not exist, with an SOA of 60 s. */
struct world {
	struct rng_seeded rng;
	struct forwarder *f;
	struct lookup *l;
	u64 now;
	const char *const *zone;
	char asked[ASKED_MAX][80]; /* "app.example A" */
	u32 n_asked;
	struct {
		u64 token;
		int error;
		u32 n4, n6;
		bool is_failure;
		char text[512]; /* of the addresses, separated by spaces */
	} got[16];
	u32 n_got;
};

static struct world *world_new(const char *conf, const char *const *zone)
{
	struct world *w = calloc(1, sizeof(*w));
	struct lookup_conf c;
	struct dns_server servers[FORWARD_SERVERS_MAX];
	struct forward_group g;

	rng_seeded_init(&w->rng, 40);
	w->now = SEC(5000);
	w->zone = zone;
	w->f = forwarder_new(&w->rng.rng, 2 * LOOKUPS_MAX);
	w->l = lookup_new(w->f, GROUP, &w->rng.rng);
	lookup_conf_parse(&c, SPAN(conf, strlen(conf)), "host.corp.example");
	lookup_conf_group(&c, servers, &g);
	EXPECT_EQ(forwarder_set_group(w->f, w->now, GROUP, &g), 0);
	lookup_set_conf(w->l, &c);
	return w;
}

static void world_free(struct world *w)
{
	lookup_free(w->l);
	forwarder_free(w->f);
	free(w);
}

/* ---- the server ---- */

/* The value of "name kind value" with this name and kind, the `nth` of them; NULL when there are fewer. */
static const char *zone_value(const struct world *w, const char *name, const char *kind, u32 nth)
{
	char prefix[128];
	size_t n = (size_t)snprintf(prefix, sizeof(prefix), "%s %s", name, kind);
	for (u32 i = 0; w->zone && w->zone[i]; i++) {
		const char *line = w->zone[i];
		if (strncmp(line, prefix, n) != 0 || (line[n] != ' ' && line[n] != 0))
			continue;
		if (nth-- == 0)
			return line[n] == ' ' ? line + n + 1 : line + n;
	}
	return NULL;
}

static bool zone_knows(const struct world *w, const char *name)
{
	size_t n = strlen(name);
	for (u32 i = 0; w->zone && w->zone[i]; i++)
		if (strncmp(w->zone[i], name, n) == 0 && w->zone[i][n] == ' ')
			return true;
	return false;
}

static void put_record(struct wr *w, const char *owner, u16 type, u32 ttl, struct span rdata)
{
	struct dns_name name;
	EXPECT_EQ(dns_name_from_text(owner, &name), 0);
	wr_bytes(w, name.wire, name.len);
	wr_be16(w, type);
	wr_be16(w, DNS_CLASS_IN);
	wr_be32(w, ttl);
	wr_be16(w, (u16)rdata.n);
	wr_bytes(w, rdata.p, rdata.n);
}

static void answer(struct world *w, const struct dns_exchange *e)
{
	static const u8 soa[22] = { [21] = 60 };
	struct dns_query q;
	u8 buf[2048];
	char name[DNS_NAME_STRLEN], kind[8];
	struct wr wr = wr_init(buf, sizeof(buf));
	u16 answers = 0, authority = 0, rcode = DNS_NOERROR;

	REQUIRE(dns_query_parse(e->message, &q) == 0);
	dns_name_text(&q.q.name, name);
	for (char *c = name; *c; c++)
		*c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
	snprintf(kind, sizeof(kind), "%s", q.q.type == DNS_A ? "A" : "AAAA");
	snprintf(w->asked[w->n_asked++ % ASKED_MAX], sizeof(w->asked[0]), "%.60s %s", name, kind);
	if (zone_value(w, name, q.q.type == DNS_A ? "SILENT4" : "SILENT6", 0))
		return;
	wr_bytes(&wr, e->message.p, q.question_end);
	if (zone_value(w, name, "SERVFAIL", 0)) {
		rcode = DNS_SERVFAIL;
	} else if (!zone_knows(w, name)) {
		rcode = DNS_NXDOMAIN;
	} else {
		const char *target, *at = name, *value;
		for (u32 links = 0; (target = zone_value(w, at, "CNAME", 0)) && links < 20; links++) {
			struct dns_name t;
			EXPECT_EQ(dns_name_from_text(target, &t), 0);
			put_record(&wr, at, DNS_CNAME, 100, SPAN(t.wire, t.len));
			answers++;
			at = target;
		}
		for (u32 i = 0; (value = zone_value(w, at, kind, i)); i++) {
			struct ip ip = { 0 };
			EXPECT_EQ(ip_parse(SPAN(value, strlen(value)), &ip), 0);
			put_record(&wr, at, q.q.type, 100, SPAN(ip.b, ip_len(&ip)));
			answers++;
		}
	}
	if (answers == 0 && rcode != DNS_SERVFAIL) {
		put_record(&wr, "example", DNS_SOA, 60, SPAN(soa, sizeof(soa)));
		authority = 1;
	}
	put_be16(buf + 2, (u16)(DNS_FLAG_QR | DNS_FLAG_RD | DNS_FLAG_RA | rcode));
	put_be16(buf + 6, answers);
	put_be16(buf + 8, authority);
	put_be16(buf + 10, 0);
	EXPECT(wr_ok(&wr));
	(void)forwarder_response(w->f, w->now, e->id, &e->server->addr, wr_span(&wr));
}

/* ---- the owner ---- */

static void pump(struct world *w)
{
	struct dns_exchange e;
	struct dns_answer a;
	struct lookup_result r;
	bool moved;

	do {
		moved = false;
		while (forwarder_poll_exchange(w->f, &e)) {
			moved = true;
			if (!e.is_cancel)
				answer(w, &e);
		}
		while (forwarder_poll_answer(w->f, &a)) {
			moved = true;
			EXPECT(lookup_owns(a.token));
			lookup_answer(w->l, w->now, &a);
		}
	} while (moved);
	while (lookup_poll(w->l, &r)) {
		u32 i = w->n_got++ % 16;
		w->got[i].token = r.token;
		w->got[i].error = r.error;
		w->got[i].n4 = r.n4;
		w->got[i].n6 = r.n6;
		w->got[i].is_failure = r.is_failure;
		w->got[i].text[0] = 0;
		for (u32 k = 0; k < r.n4 + r.n6; k++) {
			char one[IP_STRLEN];
			size_t n = strlen(w->got[i].text);
			snprintf(w->got[i].text + n, sizeof(w->got[i].text) - n, "%s%s", k ? " " : "", ip_format(&r.ips[k], one));
		}
	}
}

static void pass(struct world *w, u64 time)
{
	u64 until = w->now + time;
	for (;;) {
		u64 t = time_min(forwarder_next_timeout(w->f), lookup_next_timeout(w->l));
		if (t > until)
			break;
		w->now = MAX(w->now, t);
		forwarder_timeout(w->f, w->now);
		lookup_timeout(w->l, w->now);
		pump(w);
	}
	w->now = until;
}

/* The addresses found at once, as text; "-" when there is no result. */
static const char *find(struct world *w, const char *name)
{
	u32 before = w->n_got;
	w->n_asked = 0;
	EXPECT_EQ(lookup_start(w->l, w->now, name, 7), 0);
	pump(w);
	if (w->n_got == before)
		return "-";
	EXPECT_EQ(w->got[before % 16].token, 7);
	return w->got[before % 16].text;
}

/* The names asked, A only, joined by spaces. */
static const char *asked(const struct world *w)
{
	static char text[1024];
	text[0] = 0;
	for (u32 i = 0; i < w->n_asked; i++) {
		const char *a = strstr(w->asked[i], " A");
		if (a && a[2] == 0)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%.*s", text[0] ? " " : "", (int)(a - w->asked[i]), w->asked[i]);
	}
	return text;
}

static const char *const zone[] = {
	"app.example A 192.0.2.1", "app.example A 192.0.2.2", "app.example A 192.0.2.1", "app.example AAAA 2001:db8::1",
	"v4.example A 192.0.2.4", "v6.example AAAA 2001:db8::6", "none.example TXT x",
	"alias.example CNAME middle.example", "middle.example CNAME app.example",
	"loop.example CNAME ring.example", "ring.example CNAME loop.example",
	"bad.example SERVFAIL", "half.example A 192.0.2.7", "half.example SILENT6", "mute.example SILENT4", "mute.example SILENT6",
	"app.a.example A 198.51.100.1", "db.x.b.example A 198.51.100.2", "solo A 198.51.100.3", "app.corp.example A 198.51.100.4",
	NULL,
};

TEST(both_families_are_asked_at_once_and_listed_ipv4_first)
{
	struct world *w = world_new("nameserver 192.0.2.53", zone);
	EXPECT_STR(find(w, "app.example"), "192.0.2.1 192.0.2.2 2001:db8::1");
	EXPECT_EQ(w->got[0].n4, 2);
	EXPECT_EQ(w->got[0].n6, 1);
	EXPECT_EQ(w->n_asked, 2);
	EXPECT_STR(find(w, "v4.example"), "192.0.2.4");
	EXPECT_STR(find(w, "V6.Example."), "2001:db8::6");
	world_free(w);
}

/* spec 40 §9.3: NXDOMAIN, SERVFAIL, no records: an empty list is a success */
TEST(spec40_43_failed_lookups_are_an_empty_list_and_no_error)
{
	struct world *w = world_new("nameserver 192.0.2.53\noptions ndots:1", zone);
	static const char *const names[] = { "gone.example.", "none.example.", "bad.example." };
	for (u32 i = 0; i < 3; i++) {
		EXPECT_STR(find(w, names[i]), "");
		EXPECT_EQ(w->got[i].error, 0);
		EXPECT_EQ(w->got[i].is_failure, i == 2);
	}
	EXPECT_EQ(lookup_stats(w->l)->empty, 2);
	EXPECT_EQ(lookup_stats(w->l)->failed, 1);
	world_free(w);
}

/* spec 40 §9.3: only these 10 s are a failure. A resolver that is silent for shorter is one of the many ways of having no address. */
TEST(spec40_43_ten_seconds_are_a_timeout)
{
	struct world *w = world_new("nameserver 192.0.2.53\nsearch a.example b.example\noptions timeout:5 attempts:1", zone);
	static const char *const silent[] = { "mute.example SILENT4", "mute.example SILENT6", "mute.example.corp.example SILENT4",
					      "mute.example.corp.example SILENT6", "mute.example.a.example SILENT4",
					      "mute.example.a.example SILENT6", NULL };
	w->zone = silent;
	EXPECT_STR(find(w, "mute.example"), "-");
	pass(w, MSEC(9999));
	EXPECT_EQ(w->n_got, 0);
	pass(w, MSEC(1));
	REQUIRE(w->n_got == 1);
	EXPECT_EQ(w->got[0].error, ERR_TIMEOUT);
	pass(w, SEC(20));
	EXPECT_EQ(w->n_got, 1);
	EXPECT_EQ(lookup_next_timeout(w->l), TIME_NEVER);
	EXPECT_EQ(forwarder_next_timeout(w->f), TIME_NEVER);
	world_free(w);
}

TEST(one_silent_family_is_fine)
{
	struct world *w = world_new("nameserver 192.0.2.53\noptions timeout:2 attempts:1", zone);
	EXPECT_STR(find(w, "half.example"), "-");
	pass(w, SEC(2));
	REQUIRE(w->n_got == 1);
	EXPECT_STR(w->got[0].text, "192.0.2.7");
	EXPECT_EQ(w->got[0].error, 0);
	world_free(w);
}

/* spec 40 §9.3: more labels than ndots: as is first, then the system domain and the suffixes; otherwise the other way round */
TEST(search_list_by_ndots)
{
	struct world *w = world_new("search a.example b.example\nnameserver 192.0.2.53\noptions ndots:2", NULL);
	(void)find(w, "x.y.z");
	EXPECT_STR(asked(w), "x.y.z x.y.z.corp.example x.y.z.a.example x.y.z.b.example");
	(void)find(w, "x.y");
	EXPECT_STR(asked(w), "x.y.corp.example x.y.a.example x.y.b.example x.y");
	lookup_clear_cache(w->l);
	(void)find(w, "x.y.");
	EXPECT_STR(asked(w), "x.y");
	world_free(w);

	w = world_new("nameserver 192.0.2.53\ndomain b.example\nsearch a.example b.example", zone); /* ndots 1 */
	EXPECT_STR(find(w, "app"), "198.51.100.1");
	EXPECT_STR(asked(w), "app.b.example app.a.example");
	EXPECT_STR(find(w, "db.x"), "198.51.100.2");
	EXPECT_STR(asked(w), "db.x db.x.b.example");
	EXPECT_STR(find(w, "solo"), "198.51.100.3");
	EXPECT_STR(find(w, "bad"), "");
	world_free(w);

	w = world_new("nameserver 192.0.2.53", zone);
	EXPECT_STR(find(w, "app"), "198.51.100.4"); /* the domain of the host's own name */
	world_free(w);
}

TEST(suffix_that_does_not_fit_is_left_out)
{
	struct world *w = world_new("nameserver 192.0.2.53\nsearch a.example", NULL);
	char name[260] = "";
	for (u32 i = 0; i < 62; i++)
		strcat(name, i ? ".abc" : "abc");
	(void)find(w, name);
	EXPECT_EQ(w->n_asked, 2);
	world_free(w);
}

TEST(hosts_file_is_asked_first)
{
	static const char hosts[] = "# comment\n10.0.0.1 App.Example app\n10.0.0.2\tapp.example # twice\nfe80::1%eth0 app.example\nbogus solo\n"
				    "10.0.0.9 other\n127.0.0.1 localhost";
	struct world *w = world_new("nameserver 192.0.2.53", zone);
	EXPECT_EQ(lookup_set_hosts(w->l, SPAN_STR(hosts)), 0);
	EXPECT_STR(find(w, "app.example"), "10.0.0.1 10.0.0.2 fe80::1");
	EXPECT_STR(find(w, "APP"), "10.0.0.1");
	EXPECT_STR(find(w, "other"), "10.0.0.9");
	EXPECT_EQ(w->n_asked, 0);
	EXPECT_EQ(lookup_stats(w->l)->from_hosts, 3);
	EXPECT_EQ(lookup_stats(w->l)->hosts, 6);
	EXPECT_STR(find(w, "solo"), "198.51.100.3");
	EXPECT_EQ(lookup_set_hosts(w->l, SPAN_NONE), 0);
	EXPECT_STR(find(w, "app.example"), "192.0.2.1 192.0.2.2 2001:db8::1");
	world_free(w);
}

TEST(hosts_table_is_bounded)
{
	struct world *w = world_new("nameserver 192.0.2.53", zone);
	size_t n = 0, cap = 3u << 20;
	char *text = malloc(cap);
	for (u32 i = 0; i < LOOKUP_HOSTS_MAX + 100; i++)
		n += (size_t)snprintf(text + n, cap - n, "0.0.0.0 ad%u.example\n", i);
	EXPECT_EQ(lookup_set_hosts(w->l, SPAN(text, n)), 0);
	EXPECT_EQ(lookup_stats(w->l)->hosts, LOOKUP_HOSTS_MAX);
	EXPECT_EQ(lookup_stats(w->l)->hosts_left_out, 100);
	EXPECT_STR(find(w, "ad65535.example"), "0.0.0.0");
	EXPECT_STR(find(w, "ad65536.example."), "");
	free(text);
	world_free(w);
}

TEST(localhost_and_literals_need_no_server)
{
	struct world *w = world_new("nameserver 192.0.2.53\nsearch a.example", zone);
	EXPECT_STR(find(w, "localhost"), "127.0.0.1 ::1");
	EXPECT_STR(find(w, "App.LocalHost."), "127.0.0.1 ::1");
	EXPECT_STR(find(w, "192.0.2.99"), "192.0.2.99");
	EXPECT_STR(find(w, "2001:db8::99"), "2001:db8::99");
	EXPECT_EQ(w->n_asked, 0);
	EXPECT_EQ(lookup_start(w->l, w->now, "a..b", 1), ERR_INVAL);
	EXPECT_EQ(lookup_start(w->l, w->now, "", 1), ERR_INVAL);
	world_free(w);
}

TEST(cnames_are_followed_within_an_answer)
{
	struct world *w = world_new("nameserver 192.0.2.53", zone);
	EXPECT_STR(find(w, "alias.example"), "192.0.2.1 192.0.2.2 2001:db8::1");
	EXPECT_STR(find(w, "loop.example."), "");
	EXPECT_EQ(w->got[1].error, 0);
	world_free(w);
}

/* Addresses of other names than the one asked for are nobody's business. */
TEST(foreign_records_are_ignored)
{
	struct world *w = world_new("nameserver 192.0.2.53", zone);
	struct dns_exchange e;
	struct dns_query q;
	u8 buf[512];
	struct ip evil = ip4(203, 0, 113, 66);

	EXPECT_EQ(lookup_start(w->l, w->now, "app.example", 1), 0);
	while (forwarder_poll_exchange(w->f, &e)) {
		struct wr wr = wr_init(buf, sizeof(buf));
		REQUIRE(dns_query_parse(e.message, &q) == 0);
		wr_bytes(&wr, e.message.p, q.question_end);
		put_be16(buf + 2, DNS_FLAG_QR);
		put_be16(buf + 6, 1);
		put_be16(buf + 10, 0);
		put_record(&wr, "evil.example", DNS_A, 100, SPAN(evil.b, 4));
		(void)forwarder_response(w->f, w->now, e.id, &e.server->addr, wr_span(&wr));
		break;
	}
	pump(w);
	REQUIRE(w->n_got == 1);
	EXPECT_STR(w->got[0].text, "2001:db8::1");
	world_free(w);
}

TEST(spec40_44_answers_are_cached_for_their_time)
{
	struct world *w = world_new("nameserver 192.0.2.53", zone);
	EXPECT_STR(find(w, "app.example"), "192.0.2.1 192.0.2.2 2001:db8::1");
	EXPECT_EQ(w->n_asked, 2);
	pass(w, SEC(99));
	EXPECT_STR(find(w, "App.Example"), "192.0.2.1 192.0.2.2 2001:db8::1");
	EXPECT_EQ(w->n_asked, 0);
	pass(w, SEC(2));
	EXPECT_STR(find(w, "app.example"), "192.0.2.1 192.0.2.2 2001:db8::1");
	EXPECT_EQ(w->n_asked, 2);

	EXPECT_STR(find(w, "gone.example."), "");
	EXPECT_EQ(w->n_asked, 2);
	pass(w, SEC(59));
	EXPECT_STR(find(w, "gone.example."), ""); /* negative, by the SOA */
	EXPECT_EQ(w->n_asked, 0);
	pass(w, SEC(2));
	EXPECT_STR(find(w, "gone.example."), "");
	EXPECT_EQ(w->n_asked, 2);
	lookup_clear_cache(w->l);
	EXPECT_STR(find(w, "gone.example."), "");
	EXPECT_EQ(w->n_asked, 2);
	EXPECT_EQ(lookup_stats(w->l)->from_cache, 4);
	world_free(w);
}

/* spec 40 §9.3 */
TEST(more_than_1000_are_refused)
{
	static const char *const silent[] = { "mute.example SILENT4", "mute.example SILENT6", NULL };
	struct world *w = world_new("nameserver 192.0.2.53", silent);
	for (u32 i = 0; i < LOOKUPS_MAX; i++)
		EXPECT_EQ(lookup_start(w->l, w->now, "mute.example", i), 0); /* equal questions share exchanges */
	EXPECT_EQ(lookup_start(w->l, w->now, "mute.example", 1), ERR_LIMIT);
	EXPECT_EQ(lookup_stats(w->l)->refused_limit, 1);
	lookup_cancel(w->l, 5);
	EXPECT_EQ(lookup_stats(w->l)->under_way, LOOKUPS_MAX - 1);
	EXPECT_EQ(lookup_start(w->l, w->now, "localhost", 5), 0);
	pump(w);
	EXPECT_EQ(w->n_got, 1);
	pass(w, SEC(11));
	EXPECT_EQ(lookup_stats(w->l)->under_way, 0);
	EXPECT_EQ(w->n_got, LOOKUPS_MAX);
	world_free(w);
}

TEST(cancelled_lookup_gives_nothing)
{
	struct world *w = world_new("nameserver 192.0.2.53", zone);
	EXPECT_EQ(lookup_start(w->l, w->now, "mute.example", 1), 0);
	EXPECT_EQ(lookup_start(w->l, w->now, "localhost", 2), 0);
	EXPECT_EQ(lookup_start(w->l, w->now, "192.0.2.1", 3), 0);
	lookup_cancel(w->l, 1);
	lookup_cancel(w->l, 3);
	lookup_cancel(w->l, 99);
	pass(w, SEC(11));
	pump(w);
	REQUIRE(w->n_got == 1);
	EXPECT_EQ(w->got[0].token, 2);
	EXPECT_EQ(forwarder_next_timeout(w->f), TIME_NEVER);
	world_free(w);
}

TEST(no_server_is_no_address)
{
	struct world *w = world_new("", zone);
	EXPECT_STR(find(w, "app.example"), "");
	EXPECT(w->got[0].is_failure);
	world_free(w);
}

/* ---- resolv.conf ---- */

TEST(resolv_conf_is_read_as_resolvers_read_it)
{
	static const char text[] = "; comment\n# nameserver 9.9.9.9\nnameserver\t192.0.2.1 # first\nnameserver fe80::1%eth0\nnameserver 192.0.2.1\n"
				   "nameserver bogus\nnameservers 192.0.2.8\nsearch one.example\n search two.example  THREE.example. ; end\n"
				   "options ndots:3 timeout:1 attempts:4 rotate ndots:x trust-ad\noptions attempts:99 timeout:999\n";
	struct lookup_conf c;
	struct dns_server servers[FORWARD_SERVERS_MAX];
	struct forward_group g;
	char buf[DNS_NAME_STRLEN], ip[IP_STRLEN];

	lookup_conf_parse(&c, SPAN_STR(text), "box");
	REQUIRE(c.n_servers == 2 && c.n_search == 2);
	EXPECT_STR(ip_format(&c.servers[0], ip), "192.0.2.1");
	EXPECT_STR(ip_format(&c.servers[1], ip), "fe80::1");
	EXPECT_STR(dns_name_text(&c.search[0], buf), "two.example");
	EXPECT_STR(dns_name_text(&c.search[1], buf), "THREE.example");
	EXPECT_EQ(c.ndots, 3);
	EXPECT_EQ(c.attempts, 5);
	EXPECT_EQ(c.timeout, SEC(30));
	lookup_conf_group(&c, servers, &g);
	EXPECT_EQ(g.n, 2);
	EXPECT_EQ(servers[1].addr.port, 53);
	EXPECT_EQ(g.timeout, LOOKUP_TIMEOUT);

	lookup_conf_parse(&c, SPAN_STR("search a.example\ndomain b.example\n"), "host.c.example");
	REQUIRE(c.n_search == 1);
	EXPECT_STR(dns_name_text(&c.search[0], buf), "b.example");
	lookup_conf_parse(&c, SPAN_STR("domain b.example\nsearch a.example .\n"), NULL);
	REQUIRE(c.n_search == 2);
	EXPECT_STR(dns_name_text(&c.search[0], buf), "b.example");
	EXPECT_STR(dns_name_text(&c.search[1], buf), "a.example");
	lookup_conf_parse(&c, SPAN_NONE, "host.c.example");
	EXPECT_EQ(c.n_servers, 0);
	EXPECT_EQ(c.ndots, 1);
	REQUIRE(c.n_search == 1);
	EXPECT_STR(dns_name_text(&c.search[0], buf), "c.example");
}
