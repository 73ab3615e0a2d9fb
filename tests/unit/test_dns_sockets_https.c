/* A forwarder over HTTPS on loopback: bootstrap, kept connection, loss, refusal; the resolver is played here, over HTTP/1.1 (core/dns/doh.h
 * itself is tested with both versions in test_dns_doh.c). */
#include "applets/common/dns_sockets.h"
#include "core/base/encode.h"
#include "core/http/http.h"
#include "core/http/tls.h"
#include "core/loop/loop.h"
#include "platform/sys.h"
#include "platform/tcp.h"
#include "tests/unit/test.h"
#include "tests/unit/tls_certs.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define GROUP 1u
#define WALL SEC(1800000000)
#define CONNS_MAX 16u

struct side {
	int fd;
	struct loop_fd *watch;
	struct tls *tls;
	struct http_parser *http;
	u32 answered;
};

static struct fixture {
	struct loop *loop;
	struct forwarder *f;
	struct dns_sockets *s;
	struct tls_anchors *anchors;
	struct tls_identity *identity;
	u64 skipped;

	struct endpoint resolver;
	int listener;
	struct loop_fd *listener_watch;
	struct side sides[CONNS_MAX];
	u32 n_sides, requests;
	u32 dies_after; /* answers of one connection; 0 = never */
	bool is_silent;

	int bootstrap; /* a name server that knows portal.example */
	u16 bootstrap_port;
	struct loop_fd *bootstrap_watch;
	u32 bootstrap_queries;
	bool bootstrap_is_silent;

	u32 answers, from_upstream;
	u16 rcode;
} g;

/* ---- the name server that tells the resolver's address ---- */

static void on_bootstrap(void *ctx, int fd, unsigned events, u64 now)
{
	u8 in[512], out[512];
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	ssize_t n;

	(void)ctx, (void)events, (void)now;
	while ((n = recvfrom(fd, in, sizeof(in), MSG_DONTWAIT, (struct sockaddr *)&from, &len)) > 0) {
		struct dns_query q;
		struct ip ip = ip4(127, 0, 0, 1);
		struct wr w = wr_init(out, sizeof(out));
		g.bootstrap_queries++;
		if (g.bootstrap_is_silent || dns_query_parse(SPAN(in, (size_t)n), &q))
			continue;
		dns_answer_begin(&w, SPAN(in, (size_t)n), &q, DNS_NOERROR);
		if (q.q.type == DNS_A)
			dns_answer_ip(&w, 60, &ip);
		(void)!sendto(fd, out, wr_len(&w), 0, (struct sockaddr *)&from, len);
	}
}

/* ---- the resolver ---- */

static void side_close(struct side *c)
{
	loop_fd_del(c->watch);
	if (c->fd >= 0)
		close(c->fd);
	tls_free(c->tls);
	http_parser_free(c->http);
	*c = (struct side){ .fd = -1 };
}

static void flush(struct side *c)
{
	struct span out;
	int n;
	while ((out = tls_output(c->tls)).n > 0 && (n = tcp_write(c->fd, out.p, out.n)) > 0)
		tls_output_done(c->tls, (size_t)n);
}

static void respond(struct side *c, struct span target)
{
	u8 query[512], reply[1024];
	const u8 *dns = memmem(target.p, target.n, "?dns=", 5);
	REQUIRE(dns != NULL);
	int n = base64url_decode(query, sizeof(query), SPAN(dns + 5, target.n - (size_t)(dns + 5 - target.p)));
	REQUIRE(n >= 12);
	EXPECT_EQ(get_be16(query), 0); /* spec 30 §10.4 */
	query[2] |= 0x80;
	struct wr w = wr_init(reply, sizeof(reply));
	http_put_status(&w, 200);
	http_put_field(&w, "content-type", SPAN_STR("application/dns-message"));
	http_put_field_u64(&w, "content-length", (u64)n);
	http_put_end(&w);
	wr_bytes(&w, query, (size_t)n);
	EXPECT_EQ(tls_write(c->tls, wr_span(&w)), wr_len(&w));
	c->answered++;
}

/* False: it died. */
static bool serve(struct side *c, struct span plain)
{
	while (plain.n > 0) {
		size_t used;
		struct span body;
		int rc = http_parser_input(c->http, plain, &used, &body);
		plain = SPAN(plain.p + used, plain.n - used);
		if (rc != HTTP_HEAD)
			continue;
		g.requests++;
		if (g.dies_after != 0 && c->answered == g.dies_after)
			return false;
		if (!g.is_silent)
			respond(c, http_parser_head(c->http)->target);
		EXPECT_EQ(http_parser_input(c->http, SPAN_NONE, &used, &body), HTTP_DONE);
		http_parser_reset(c->http);
	}
	return true;
}

static void on_side(void *ctx, int fd, unsigned events, u64 now)
{
	struct side *c = ctx;
	u8 buf[8192];
	size_t used;
	struct span plain;

	(void)events, (void)now;
	int n = tcp_read(fd, buf, sizeof(buf));
	if (n < 0) {
		if (n != ERR_AGAIN)
			side_close(c);
		return;
	}
	for (struct span in = SPAN(buf, (size_t)n); in.n > 0; in = SPAN(in.p + used, in.n - used)) {
		if (tls_input(c->tls, in, &used)) {
			flush(c);
			side_close(c);
			return;
		}
		while ((plain = tls_read(c->tls)).n > 0) {
			if (!serve(c, plain)) {
				side_close(c);
				return;
			}
			tls_read_done(c->tls, plain.n);
		}
	}
	flush(c);
}

static void on_accept(void *ctx, int fd, unsigned events, u64 now)
{
	struct endpoint peer;
	int got;

	(void)ctx, (void)events, (void)now;
	while ((got = tcp_accept(fd, &peer)) >= 0) {
		REQUIRE(g.n_sides < CONNS_MAX);
		struct side *c = &g.sides[g.n_sides++];
		*c = (struct side){ .fd = got, .http = http_parser_new(HTTP_REQUEST, 0) };
		EXPECT_EQ(tls_server_new(g.identity, sys_rng(), &c->tls), 0);
		c->watch = loop_fd_add(g.loop, got, LOOP_READ, on_side, c);
	}
}

/* ---- the world ---- */

static u64 test_now(void *ctx)
{
	(void)ctx;
	return sys_now() + g.skipped;
}

static u64 test_wall(void *ctx)
{
	(void)ctx;
	return WALL;
}

static void on_answer(void *ctx, const struct dns_answer *a, u64 now)
{
	(void)ctx, (void)now;
	g.answers++;
	g.from_upstream += a->is_from_upstream;
	g.rcode = get_be16(a->message.p + 2) & 15u;
	EXPECT_EQ(get_be16(a->message.p), (u16)(a->token * 3 + 1)); /* spec 30 §21: not 0 */
}

static bool begin(const char *host, const char *const *chain)
{
	struct loop_clock clock = { test_now, test_wall, NULL };
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(a);
	struct endpoint any = { ip4(127, 0, 0, 1), 0 };

	memset(&g, 0, sizeof(g));
	g.loop = loop_new(&clock);
	g.f = forwarder_new(sys_rng(), 0);
	EXPECT_EQ(tls_anchors_new(SPAN(ca_pem, strlen(ca_pem)), &g.anchors, NULL), 0);
	EXPECT_EQ(tls_identity_new(SPAN(chain[0], strlen(chain[0])), SPAN(chain[1], strlen(chain[1])), &g.identity), 0);
	g.listener = tcp_listen(&any);
	g.bootstrap = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (!EXPECT(g.listener >= 0 && tcp_local(g.listener, &g.resolver) == 0) ||
	    !EXPECT(bind(g.bootstrap, (struct sockaddr *)&a, sizeof(a)) == 0 && getsockname(g.bootstrap, (struct sockaddr *)&a, &len) == 0))
		return false;
	g.bootstrap_port = ntohs(a.sin_port);
	g.listener_watch = loop_fd_add(g.loop, g.listener, LOOP_READ, on_accept, NULL);
	g.bootstrap_watch = loop_fd_add(g.loop, g.bootstrap, LOOP_READ, on_bootstrap, NULL);
	struct dns_sockets_config cfg = { .rng = sys_rng(), .on_answer = on_answer, .anchors = g.anchors, .bootstrap_port = g.bootstrap_port };
	struct ip bootstrap = ip4(127, 0, 0, 1);
	g.s = dns_sockets_new(g.loop, g.f, &cfg);
	dns_sockets_set_bootstrap(g.s, &bootstrap, 1);

	struct dns_server s = { .transport = DNS_OVER_HTTPS };
	snprintf(s.url, sizeof(s.url), "https://%s:%u/dns-query", host, g.resolver.port);
	struct forward_group group = { &s, 1, true, 0 };
	EXPECT_EQ(forwarder_set_group(g.f, loop_now(g.loop), GROUP, &group), 0);
	return true;
}

static void end(void)
{
	dns_sockets_free(g.s);
	forwarder_free(g.f);
	for (u32 i = 0; i < g.n_sides; i++)
		if (g.sides[i].fd >= 0)
			side_close(&g.sides[i]);
	loop_fd_del(g.listener_watch);
	loop_fd_del(g.bootstrap_watch);
	close(g.listener);
	close(g.bootstrap);
	loop_free(g.loop);
	tls_identity_free(g.identity);
	tls_anchors_free(g.anchors);
}

static const char *const good[] = { ec_pem, ec_key };

static void ask(u64 token)
{
	u8 buf[300];
	char name[40];
	struct dns_question q = { .type = DNS_A, .class = DNS_CLASS_IN };
	struct dns_query parsed;
	struct wr w = wr_init(buf, sizeof(buf));

	snprintf(name, sizeof(name), "n%u.example", (u32)token);
	EXPECT_EQ(dns_name_from_text(name, &q.name), 0);
	dns_query_write(&w, (u16)(token * 3 + 1), &q, 0);
	EXPECT_EQ(dns_query_parse(wr_span(&w), &parsed), 0);
	EXPECT_EQ(forwarder_ask(g.f, loop_now(g.loop), GROUP, wr_span(&w), &parsed, false, token), 0);
	dns_sockets_kick(g.s);
}

static void run_until(const u32 *counter, u32 value)
{
	u64 until = test_now(NULL) + SEC(20);
	while (*counter < value && test_now(NULL) < until)
		loop_turn(g.loop, test_now(NULL) + MSEC(5));
	EXPECT(*counter >= value);
}

TEST(resolver_by_name_is_bootstrapped_and_kept)
{
	REQUIRE(begin("portal.example", good));
	for (u32 i = 0; i < 10; i++)
		ask(i);
	run_until(&g.answers, 10);
	ask(10);
	run_until(&g.answers, 11);
	EXPECT_EQ(g.from_upstream, 11);
	EXPECT_EQ(g.n_sides, 1);
	EXPECT_EQ(g.bootstrap_queries, 2); /* A and AAAA, once */
	EXPECT_EQ(dns_sockets_stats(g.s)->https_received, 11);
	EXPECT_EQ(dns_sockets_stats(g.s)->flights, 0);
	end();
}

TEST(resolver_by_address_needs_no_bootstrap)
{
	REQUIRE(begin("127.0.0.1", good));
	ask(0);
	run_until(&g.answers, 1);
	EXPECT_EQ(g.from_upstream, 1);
	EXPECT_EQ(g.bootstrap_queries, 0);
	end();
}

TEST(prepared_resolver_is_connected_before_the_first_query)
{
	REQUIRE(begin("portal.example", good));
	struct dns_server s = { .transport = DNS_OVER_HTTPS };
	snprintf(s.url, sizeof(s.url), "https://portal.example:%u/dns-query", g.resolver.port);
	dns_sockets_prepare(g.s, &s);
	dns_sockets_prepare(g.s, &s);
	run_until(&g.n_sides, 1);
	for (u32 i = 0; i < 50; i++)
		loop_turn(g.loop, test_now(NULL) + MSEC(1));
	ask(0);
	run_until(&g.answers, 1);
	EXPECT_EQ(g.n_sides, 1);
	EXPECT_EQ(g.from_upstream, 1);
	end();
}

/* Or its connection would be kept alive by pings for as long as the program runs. */
TEST(resolver_that_is_taken_away_is_left)
{
	struct dns_server other = { .transport = DNS_OVER_HTTPS, .url = "https://127.0.0.1:9/dns-query" };
	struct forward_group group = { &other, 1, true, 0 }, none = { 0 };
	REQUIRE(begin("portal.example", good));
	ask(0);
	run_until(&g.answers, 1);
	EXPECT_EQ(forwarder_set_group(g.f, loop_now(g.loop), GROUP + 1, &group), 0); /* another change leaves it alone */
	dns_sockets_kick(g.s);
	for (u32 i = 0; i < 20; i++)
		loop_turn(g.loop, test_now(NULL) + MSEC(1));
	EXPECT_EQ(dns_sockets_stats(g.s)->https_connections, 1);
	EXPECT_EQ(forwarder_set_group(g.f, loop_now(g.loop), GROUP, &none), 0);
	dns_sockets_kick(g.s);
	for (u32 i = 0; i < 50; i++)
		loop_turn(g.loop, test_now(NULL) + MSEC(1));
	EXPECT_EQ(dns_sockets_stats(g.s)->https_connections, 0);
	EXPECT_EQ(g.sides[0].fd, -1);
	end();
}

/* "dying in the middle": the query is asked again over a new connection, to the address that is known */
TEST(resolver_that_dies_in_the_middle_is_connected_again)
{
	REQUIRE(begin("portal.example", good));
	g.dies_after = 2;
	for (u32 i = 0; i < 5; i++) {
		ask(i);
		run_until(&g.answers, i + 1);
	}
	EXPECT_EQ(g.bootstrap_queries, 2);
	EXPECT_EQ(g.from_upstream, 5);
	EXPECT_EQ(g.n_sides, 3);
	EXPECT_EQ(forwarder_stats(g.f)->again, 2);
	end();
}

TEST(known_addresses_serve_when_the_bootstrap_servers_are_silent)
{
	REQUIRE(begin("portal.example", good));
	g.dies_after = 1;
	ask(0);
	run_until(&g.answers, 1);
	g.bootstrap_is_silent = true;
	g.skipped += DNS_BOOTSTRAP_FRESH;
	loop_turn(g.loop, 0);
	ask(1);
	run_until(&g.answers, 2);
	EXPECT_EQ(g.from_upstream, 2);
	EXPECT(g.bootstrap_queries > 2);
	end();
}

TEST(certificate_for_another_name_is_refused_and_not_tried_all_the_time)
{
	REQUIRE(begin("other.example", good));
	ask(0);
	run_until(&g.answers, 1);
	EXPECT_EQ(g.rcode, DNS_SERVFAIL);
	EXPECT_EQ(g.requests, 0);
	EXPECT_EQ(dns_sockets_stats(g.s)->https_failed, 1);
	u32 before = g.n_sides;
	ask(1);
	run_until(&g.answers, 2);
	EXPECT_EQ(g.n_sides, before); /* at once */
	g.skipped += DNS_HTTPS_PAUSE;
	loop_turn(g.loop, 0);
	ask(2);
	run_until(&g.answers, 3);
	EXPECT_EQ(g.n_sides, before + 1);
	EXPECT_EQ(g.from_upstream, 0);
	end();
}

TEST(nobody_listens_is_servfail_at_once)
{
	REQUIRE(begin("127.0.0.1", good));
	loop_fd_del(g.listener_watch);
	g.listener_watch = NULL;
	close(g.listener);
	ask(0);
	run_until(&g.answers, 1);
	EXPECT_EQ(g.rcode, DNS_SERVFAIL);
	g.listener = dup(0);
	end();
}

TEST(without_trust_there_is_no_https)
{
	REQUIRE(begin("127.0.0.1", good));
	dns_sockets_free(g.s);
	struct dns_sockets_config cfg = { .rng = sys_rng(), .on_answer = on_answer };
	g.s = dns_sockets_new(g.loop, g.f, &cfg);
	ask(0);
	run_until(&g.answers, 1);
	EXPECT_EQ(g.rcode, DNS_SERVFAIL);
	EXPECT_EQ(g.n_sides, 0);
	end();
}

TEST(reset_drops_https_and_goes_on)
{
	REQUIRE(begin("portal.example", good));
	g.is_silent = true;
	for (u32 i = 0; i < 5; i++)
		ask(i);
	run_until(&g.requests, 1);
	dns_sockets_reset(g.s);
	EXPECT_EQ(dns_sockets_stats(g.s)->https_connections, 0);
	run_until(&g.answers, 5);
	EXPECT_EQ(g.rcode, DNS_SERVFAIL);
	g.is_silent = false;
	ask(5);
	run_until(&g.answers, 6);
	EXPECT_EQ(g.from_upstream, 1);
	end();
}
