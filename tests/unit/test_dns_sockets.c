/* A forwarder on real sockets over loopback, against servers that this test plays. */
#include "applets/common/dns_sockets.h"
#include "core/dns/stream.h"
#include "core/loop/loop.h"
#include "platform/sys.h"
#include "platform/tcp.h"
#include "tests/unit/test.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define GROUP 1u
#define WAIT_MAX SEC(20)

enum manner { ANSWERS, TRUNCATES, SILENT, TELLS_WRONG_ID, SERVFAILS, CLOSES_TCP_AFTER_ONE };

#define PORTS_SEEN_MAX 512u

struct server {
	struct loop *loop;
	enum manner manner;
	struct endpoint addr;
	int udp, listener;
	struct loop_fd *udp_watch, *listener_watch;
	struct tcp_side {
		struct server *server;
		int fd;
		struct loop_fd *watch;
		struct dns_tcp_server *dns;
	} tcp[8];
	u32 n_tcp, udp_queries, tcp_queries;
	u16 ports[PORTS_SEEN_MAX];
	size_t answer_octets; /* of a TXT record over TCP */
};

static struct fixture {
	struct loop *loop;
	struct forwarder *f;
	struct dns_sockets *s;
	u32 answers, from_upstream, tunnel_exchanges, tunnel_cancels;
	u16 rcode, flags;
	size_t longest;
	u32 exchange_id;
	u64 took;
	bool seen[4096];
	void (*and_then)(u64 token);
} g;

/* ---- the servers ---- */

static size_t respond(struct server *v, struct span q, u8 *out, size_t cap, bool tcp)
{
	struct wr w = wr_init(out, cap);
	wr_bytes(&w, q.p, q.n);
	if (!wr_ok(&w) || q.n < DNS_HEADER_LEN)
		return 0;
	u16 flags = DNS_FLAG_QR | DNS_FLAG_RD | DNS_FLAG_RA;
	if (v->manner == SERVFAILS)
		flags |= DNS_SERVFAIL;
	if (v->manner == TRUNCATES && !tcp)
		flags |= DNS_FLAG_TC;
	put_be16(out + 2, flags);
	if (v->manner == TELLS_WRONG_ID)
		put_be16(out, (u16)(get_be16(out) + 1));
	if (flags == (DNS_FLAG_QR | DNS_FLAG_RD | DNS_FLAG_RA) && v->answer_octets > 0 && tcp) {
		put_be16(out + 6, 1);
		wr_be16(&w, 0xc00c);
		wr_be16(&w, DNS_TXT);
		wr_be16(&w, DNS_CLASS_IN);
		wr_be32(&w, 300);
		wr_be16(&w, (u16)v->answer_octets);
		wr_zero(&w, v->answer_octets);
	}
	return wr_len(&w);
}

static void on_udp(void *ctx, int fd, unsigned events, u64 now)
{
	struct server *v = ctx;
	u8 in[2048], out[2048];
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	ssize_t n;

	(void)events, (void)now;
	while ((n = recvfrom(fd, in, sizeof(in), MSG_DONTWAIT, (struct sockaddr *)&from, &len)) > 0) {
		v->ports[v->udp_queries++ % PORTS_SEEN_MAX] = ntohs(from.sin_port);
		size_t m = v->manner == SILENT ? 0 : respond(v, SPAN(in, (size_t)n), out, sizeof(out), false);
		if (m > 0)
			(void)!sendto(fd, out, m, 0, (struct sockaddr *)&from, len);
	}
}

static void tcp_close(struct tcp_side *c)
{
	loop_fd_del(c->watch);
	c->watch = NULL;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	dns_tcp_server_free(c->dns);
	c->dns = NULL;
}

static void on_tcp(void *ctx, int fd, unsigned events, u64 now)
{
	struct tcp_side *c = ctx;
	static u8 buf[65536], answer[70000];
	struct span q, out;

	(void)events;
	int n = tcp_read(fd, buf, sizeof(buf));
	if (n < 0 && n != ERR_AGAIN) {
		tcp_close(c);
		return;
	}
	if (n > 0)
		dns_tcp_server_input(c->dns, now, SPAN(buf, (size_t)n));
	while (dns_tcp_server_poll(c->dns, now, &q)) {
		c->server->tcp_queries++;
		if (c->server->manner == SILENT)
			continue;
		size_t m = respond(c->server, q, answer, sizeof(answer), true);
		EXPECT_EQ(dns_tcp_server_reply(c->dns, now, SPAN(answer, m)), 0);
		if (c->server->manner == CLOSES_TCP_AFTER_ONE)
			break;
	}
	while ((out = dns_tcp_server_output(c->dns)).n > 0 && (n = tcp_write(fd, out.p, out.n)) > 0)
		dns_tcp_server_output_done(c->dns, now, (size_t)n);
	loop_fd_set(c->watch, LOOP_READ | (out.n > 0 ? LOOP_WRITE : 0));
	if (c->server->manner == CLOSES_TCP_AFTER_ONE && out.n == 0)
		tcp_close(c);
}

static void on_accept(void *ctx, int fd, unsigned events, u64 now)
{
	struct server *v = ctx;
	struct endpoint peer;
	int got;

	(void)events;
	while ((got = tcp_accept(fd, &peer)) >= 0) {
		if (v->n_tcp == ARRAY_LEN(v->tcp)) {
			close(got);
			continue;
		}
		struct tcp_side *c = &v->tcp[v->n_tcp++];
		*c = (struct tcp_side){ v, got, NULL, dns_tcp_server_new(now, 0) };
		c->watch = loop_fd_add(v->loop, got, LOOP_READ, on_tcp, c);
	}
}

static bool server_start(struct server *v, enum manner manner)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(a);

	*v = (struct server){ .loop = g.loop, .manner = manner, .listener = -1 };
	for (int i = 0; i < 20 && v->listener < 0; i++) { /* the same port for both */
		a.sin_port = 0;
		v->udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (bind(v->udp, (struct sockaddr *)&a, sizeof(a)) || getsockname(v->udp, (struct sockaddr *)&a, &len))
			return false;
		v->addr = (struct endpoint){ ip4(127, 0, 0, 1), ntohs(a.sin_port) };
		v->listener = tcp_listen(&v->addr);
		if (v->listener < 0)
			close(v->udp);
	}
	if (v->listener < 0)
		return false;
	v->udp_watch = loop_fd_add(g.loop, v->udp, LOOP_READ, on_udp, v);
	v->listener_watch = loop_fd_add(g.loop, v->listener, LOOP_READ, on_accept, v);
	return true;
}

static void server_stop(struct server *v)
{
	for (u32 i = 0; i < v->n_tcp; i++)
		tcp_close(&v->tcp[i]);
	loop_fd_del(v->udp_watch);
	loop_fd_del(v->listener_watch);
	close(v->udp);
	close(v->listener);
}

/* ---- asking ---- */

/* Real time, and what a test skips. */
static u64 skipped;

static u64 test_clock(void *ctx)
{
	(void)ctx;
	return sys_now() + skipped;
}

static void on_answer(void *ctx, const struct dns_answer *a, u64 now)
{
	(void)ctx, (void)now;
	g.answers++;
	g.from_upstream += a->is_from_upstream;
	g.flags = get_be16(a->message.p + 2);
	g.rcode = g.flags & 15u;
	g.longest = MAX(g.longest, a->message.n);
	g.took = a->took;
	EXPECT(a->token < ARRAY_LEN(g.seen) && !g.seen[a->token]);
	EXPECT_EQ(get_be16(a->message.p), (u16)(a->token * 5 + 1));
	g.seen[a->token % ARRAY_LEN(g.seen)] = true;
	if (g.and_then)
		g.and_then(a->token);
}

static void on_exchange(void *ctx, const struct dns_exchange *e, u64 now)
{
	(void)ctx, (void)now;
	g.tunnel_exchanges += !e->is_cancel;
	g.tunnel_cancels += e->is_cancel;
	g.exchange_id = e->id;
}

static void begin(void)
{
	struct loop_clock clock = { test_clock, sys_clock_wall, NULL };
	memset(&g, 0, sizeof(g));
	g.loop = loop_new(&clock);
	g.f = forwarder_new(sys_rng(), 4000);
	struct dns_sockets_config cfg = { .rng = sys_rng(), .on_answer = on_answer, .on_exchange = on_exchange };
	g.s = dns_sockets_new(g.loop, g.f, &cfg);
}

static void end(void)
{
	dns_sockets_free(g.s);
	forwarder_free(g.f);
	loop_free(g.loop);
}

static void use(const struct server *const *servers, size_t n, bool tunnel)
{
	struct dns_server s[4] = { 0 };
	for (size_t i = 0; i < n; i++) {
		s[i].addr = servers[i]->addr;
		s[i].is_in_tunnel = tunnel;
	}
	struct forward_group group = { s, n, true, 0 };
	EXPECT_EQ(forwarder_set_group(g.f, loop_now(g.loop), GROUP, &group), 0);
}

static void use_one(const struct server *v)
{
	use(&v, 1, false);
}

static void ask(u64 token, bool tcp)
{
	u8 buf[300];
	char name[40];
	struct dns_question q = { .type = DNS_TXT, .class = DNS_CLASS_IN };
	struct dns_query parsed;
	struct wr w = wr_init(buf, sizeof(buf));

	snprintf(name, sizeof(name), "n%u.example", (u32)token);
	EXPECT_EQ(dns_name_from_text(name, &q.name), 0);
	dns_query_write(&w, (u16)(token * 5 + 1), &q, 1232);
	EXPECT_EQ(dns_query_parse(wr_span(&w), &parsed), 0);
	EXPECT_EQ(forwarder_ask(g.f, loop_now(g.loop), GROUP, wr_span(&w), &parsed, tcp, token), 0);
	dns_sockets_kick(g.s);
}

static void run_until(const u32 *counter, u32 value)
{
	u64 end = test_clock(NULL) + WAIT_MAX;
	while (*counter < value && test_clock(NULL) < end)
		loop_turn(g.loop, test_clock(NULL) + MSEC(5));
	EXPECT(*counter >= value);
}

TEST(udp_answers_come_back_in_batches_over_many_ports)
{
	struct server v;
	begin();
	REQUIRE(server_start(&v, ANSWERS));
	use_one(&v);
	for (u32 i = 0; i < 1000; i++) {
		ask(i, false);
		if (i % 20 == 19)
			run_until(&g.answers, i + 1);
	}
	run_until(&g.answers, 1000);
	const struct dns_sockets_stats *st = dns_sockets_stats(g.s);
	EXPECT_EQ(g.from_upstream, 1000);
	EXPECT_EQ(st->flights, 0);
	EXPECT(st->udp_sent >= 1000);
	EXPECT(st->udp_sends < st->udp_sent / 4);
	u32 distinct = 0;
	for (u32 i = 0; i < PORTS_SEEN_MAX; i++) {
		u32 k = 0;
		while (k < i && v.ports[k] != v.ports[i])
			k++;
		distinct += k == i;
	}
	EXPECT(distinct >= 8);
	EXPECT_EQ(v.n_tcp, 0);
	server_stop(&v);
	end();
}

TEST(truncated_answer_of_60_kb_comes_by_tcp)
{
	struct server v;
	begin();
	REQUIRE(server_start(&v, TRUNCATES));
	v.answer_octets = 60000;
	use_one(&v);
	ask(1, false);
	run_until(&g.answers, 1);
	EXPECT(g.longest > 60000);
	EXPECT_EQ(g.rcode, 0);
	EXPECT(!(g.flags & DNS_FLAG_TC));
	EXPECT_EQ(v.udp_queries, 1);
	EXPECT_EQ(v.tcp_queries, 1);
	server_stop(&v);
	end();
}

TEST(tcp_connection_is_kept_and_pipelined)
{
	struct server v;
	begin();
	REQUIRE(server_start(&v, ANSWERS));
	use_one(&v);
	for (u32 i = 0; i < 30; i++)
		ask(i, true);
	run_until(&g.answers, 30);
	ask(30, true);
	run_until(&g.answers, 31);
	EXPECT_EQ(v.n_tcp, 1);
	EXPECT_EQ(v.tcp_queries, 31);
	EXPECT_EQ(v.udp_queries, 0);
	for (u32 i = 31; i < 231; i++)
		ask(i, true);
	run_until(&g.answers, 231);
	EXPECT(v.n_tcp > 1 && v.n_tcp <= DNS_TCP_CONNECTIONS);
	EXPECT_EQ(g.from_upstream, 231);
	server_stop(&v);
	end();
}

/* RFC 7766 §6.2.4 */
TEST(query_on_a_connection_that_closes_is_asked_again)
{
	struct server v;
	begin();
	REQUIRE(server_start(&v, CLOSES_TCP_AFTER_ONE));
	use_one(&v);
	ask(0, true);
	ask(1, true);
	run_until(&g.answers, 2);
	EXPECT_EQ(g.from_upstream, 2);
	EXPECT_EQ(v.n_tcp, 2);
	EXPECT_EQ(forwarder_stats(g.f)->again, 1);
	server_stop(&v);
	end();
}

TEST(closed_port_is_noticed_at_once)
{
	struct server dead, v;
	begin();
	REQUIRE(server_start(&dead, SILENT));
	REQUIRE(server_start(&v, ANSWERS));
	server_stop(&dead);
	const struct server *both[] = { &dead, &v };
	use(both, 2, false);
	ask(1, false);
	run_until(&g.answers, 1);
	EXPECT_EQ(g.from_upstream, 1);
	EXPECT_EQ(forwarder_stats(g.f)->next_server, 1);
	EXPECT_EQ(forwarder_stats(g.f)->raced, 0);
	ask(2, true);
	run_until(&g.answers, 2);
	EXPECT_EQ(g.from_upstream, 2);
	EXPECT_EQ(forwarder_stats(g.f)->next_server, 2);

	use_one(&dead);
	ask(3, false);
	ask(4, true);
	run_until(&g.answers, 4);
	EXPECT_EQ(g.rcode, DNS_SERVFAIL);
	EXPECT_EQ(g.from_upstream, 2);
	server_stop(&v);
	end();
}

TEST(silent_server_is_raced_by_the_next)
{
	struct server silent, v;
	begin();
	REQUIRE(server_start(&silent, SILENT));
	REQUIRE(server_start(&v, ANSWERS));
	const struct server *both[] = { &silent, &v };
	use(both, 2, false);
	ask(1, false);
	run_until(&g.answers, 1);
	EXPECT_EQ(g.from_upstream, 1);
	EXPECT(g.took >= FORWARD_PACE_UNKNOWN);
	EXPECT_EQ(forwarder_stats(g.f)->raced, 1);
	server_stop(&silent);
	server_stop(&v);
	end();
}

TEST(answer_with_another_id_is_none)
{
	struct server liar, v;
	begin();
	REQUIRE(server_start(&liar, TELLS_WRONG_ID));
	REQUIRE(server_start(&v, ANSWERS));
	const struct server *both[] = { &liar, &v };
	use(both, 2, false);
	ask(1, false);
	run_until(&g.answers, 1);
	EXPECT_EQ(g.from_upstream, 1);
	EXPECT_EQ(dns_sockets_stats(g.s)->udp_unmatched, 1);
	ask(2, true); /* over a stream it is rubbish */
	run_until(&g.answers, 2);
	EXPECT_EQ(g.from_upstream, 2);
	server_stop(&liar);
	server_stop(&v);
	end();
}

TEST(unreachable_server_fails_at_once)
{
	struct server v = { .addr = { ip4(255, 255, 255, 255), 53 } }; /* no broadcast permission */
	begin();
	use_one(&v);
	ask(1, false);
	run_until(&g.answers, 1);
	EXPECT_EQ(g.rcode, DNS_SERVFAIL);
	EXPECT(g.took < SEC(4));
	end();
}

TEST(servers_in_the_tunnel_are_the_owners)
{
	struct server v;
	begin();
	REQUIRE(server_start(&v, ANSWERS));
	const struct server *one[] = { &v };
	use(one, 1, true);
	ask(1, false);
	run_until(&g.tunnel_exchanges, 1);
	EXPECT_EQ(v.udp_queries, 0);
	forwarder_forget(g.f, 1);
	dns_sockets_kick(g.s);
	run_until(&g.tunnel_cancels, 1);
	EXPECT_EQ(g.answers, 0);
	server_stop(&v);
	end();
}

TEST(reset_drops_everything_and_goes_on)
{
	struct server v;
	begin();
	REQUIRE(server_start(&v, SILENT));
	use_one(&v);
	for (u32 i = 0; i < 50; i++)
		ask(i, i % 2);
	run_until(&v.udp_queries, 25);
	run_until(&v.tcp_queries, 25);
	dns_sockets_reset(g.s);
	EXPECT_EQ(g.answers, 0); /* no callback from inside a call */
	EXPECT_EQ(dns_sockets_stats(g.s)->flights, 0);
	EXPECT_EQ(dns_sockets_stats(g.s)->udp_sockets, 0);
	EXPECT_EQ(dns_sockets_stats(g.s)->tcp_connections, 0);
	run_until(&g.answers, 50);
	EXPECT_EQ(g.rcode, DNS_SERVFAIL);
	EXPECT_EQ(g.from_upstream, 0);
	v.manner = ANSWERS;
	ask(50, false);
	ask(51, true);
	run_until(&g.answers, 52);
	EXPECT_EQ(g.from_upstream, 2);
	server_stop(&v);
	end();
}

/* What an owner may do in the callback: ask again, reset. */
static void ask_more(u64 token)
{
	if (token == 20)
		dns_sockets_reset(g.s);
	if (token < 40)
		ask(token + 1, token % 3 == 0);
}

TEST(callbacks_may_ask_and_reset)
{
	struct server v;
	begin();
	REQUIRE(server_start(&v, ANSWERS));
	use_one(&v);
	g.and_then = ask_more;
	ask(0, false);
	run_until(&g.answers, 41);
	server_stop(&v);
	end();
}

TEST(sockets_close_when_idle)
{
	struct server v;
	begin();
	REQUIRE(server_start(&v, ANSWERS));
	use_one(&v);
	ask(0, false);
	ask(1, true);
	run_until(&g.answers, 2);
	EXPECT(dns_sockets_stats(g.s)->udp_sockets > 0);
	for (u32 i = 0; i < 30; i++) {
		skipped += SEC(1);
		loop_turn(g.loop, 0);
	}
	EXPECT_EQ(dns_sockets_stats(g.s)->udp_sockets, 0);
	EXPECT_EQ(dns_sockets_stats(g.s)->tcp_connections, 0);
	server_stop(&v);
	end();
}
