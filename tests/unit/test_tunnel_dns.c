/* The DNS server on the tunnel's addresses over loopback: real loop, real sockets; who answers is played here (spec 40 §11). */
#include "applets/gateway/tunnel_dns.h"
#include "platform/sys.h"
#include "platform/tcp.h"
#include "platform/udp_query.h"
#include "tests/unit/inner.h"
#include "tests/unit/test.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAIT_MS 20000u

static struct fixture {
	struct loop *loop;
	struct tunnel_dns *dns;
	int refusal;          /* what ask() returns */
	bool is_silent;       /* nobody answers */
	size_t answer_bytes;  /* of text in an answer; 0: none */
	unsigned asked, forgotten, failed;
	bool by_tcp;
	u64 token;
	u8 query[512];
	size_t query_len;
	struct loop_task answer;
	u8 out[70000];
} f;

/* An answer to the latest query: one TXT record of as many bytes as wished. */
static size_t make_answer(u8 *out, size_t cap)
{
	static u8 text[65000];
	struct dns_query q;
	struct wr w = wr_init(out, cap);

	EXPECT_EQ(dns_query_parse(SPAN(f.query, f.query_len), &q), 0);
	dns_answer_begin(&w, SPAN(f.query, f.query_len), &q, DNS_NOERROR);
	if (f.answer_bytes)
		dns_answer_rdata(&w, DNS_TXT, 60, SPAN(text, f.answer_bytes));
	EXPECT(wr_ok(&w));
	return wr_len(&w);
}

static void give_answer(void *ctx, u64 now)
{
	(void)ctx;
	struct dns_answer a = { .token = f.token, .message = { f.out, make_answer(f.out, sizeof(f.out)) }, .is_from_upstream = true };
	tunnel_dns_answer(f.dns, now, &a);
}

static int ask(void *ctx, u64 now, struct span query, const struct dns_query *q, bool came_by_tcp, u64 token)
{
	(void)ctx, (void)now, (void)q;
	f.asked++;
	f.by_tcp = came_by_tcp;
	f.token = token;
	memcpy(f.query, query.p, query.n);
	f.query_len = query.n;
	if (!f.refusal && !f.is_silent)
		loop_task_queue(f.loop, &f.answer);
	return f.refusal;
}

static void forget(void *ctx, u64 token)
{
	(void)ctx, (void)token;
	f.forgotten++;
}

static void on_failed(void *ctx, int err)
{
	(void)ctx, (void)err;
	f.failed++;
}

static void turns(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		loop_turn(f.loop, sys_now() + MSEC(1));
}

static bool f_strangers_only; /* IPv4 of loopback is no client */

static void start(void)
{
	struct loop_clock clock = { sys_clock_now, sys_clock_wall, NULL };
	memset(&f, 0, sizeof(f));
	f.loop = loop_new(&clock);
	f.answer = (struct loop_task){ .cb = give_answer };
	struct tunnel_dns_config cfg = { .clients = { cidr_of("127.0.0.0/8"), cidr_of("::1/128") }, .ask = ask, .forget = forget,
					 .on_failed = on_failed };
	if (f_strangers_only)
		cfg.clients[0] = cidr_of("100.64.0.0/11");
	f.dns = tunnel_dns_new(f.loop, &cfg);
}

static void stop(void)
{
	tunnel_dns_free(f.dns);
	loop_free(f.loop);
}

static void bind_both(void)
{
	struct ip addrs[] = { ip4(127, 0, 0, 1), { .b = { [15] = 1 }, .family = 6 } };
	tunnel_dns_bind(f.dns, sys_now(), addrs, 2);
}

static size_t make_query(u8 *out, u16 type, u16 udp_size)
{
	struct wr w = wr_init(out, 512);
	struct dns_question q = { .type = type, .class = DNS_CLASS_IN };
	EXPECT_EQ(dns_name_from_text("app.example.com", &q.name), 0);
	dns_query_write(&w, 0x1234, &q, udp_size);
	return wr_len(&w);
}

/* To the i-th place by UDP; the length of the answer, 0 when none came although the server has read the query. */
static size_t ask_udp(size_t place, const u8 *query, size_t n, u8 *out, size_t cap)
{
	static struct udp_query_ring ring;
	struct udp_query_in in[UDP_QUERY_BATCH];
	struct endpoint at;
	struct span one = SPAN(query, n);
	size_t got = 0;
	u64 before = tunnel_dns_stats(f.dns).ignored + tunnel_dns_stats(f.dns).strangers;

	if (!EXPECT_EQ(tunnel_dns_local(f.dns, 2 * place, &at), 0))
		return 0;
	int fd = udp_query_open(&at, 0);
	EXPECT(fd >= 0);
	EXPECT_EQ(udp_query_send(fd, &one, 1), 1);
	for (u64 end = sys_now() + MSEC(WAIT_MS); sys_now() < end && !got;) {
		turns(1);
		if (udp_query_recv(fd, &ring, in) > 0) {
			got = in[0].data.n;
			memcpy(out, in[0].data.p, MIN(got, cap));
		}
		if (tunnel_dns_stats(f.dns).ignored + tunnel_dns_stats(f.dns).strangers != before || (f.asked && f.is_silent))
			break;
	}
	close(fd);
	return got;
}

static int dial(size_t place)
{
	struct endpoint at;
	int rc = ERR_AGAIN;
	if (!EXPECT_EQ(tunnel_dns_local(f.dns, 2 * place + 1, &at), 0))
		return -1;
	int fd = tcp_connect_start(&at, 0);
	for (u64 end = sys_now() + MSEC(WAIT_MS); sys_now() < end && fd >= 0 && (rc = tcp_connect_finish(fd)) == ERR_AGAIN;)
		turns(1);
	EXPECT_EQ(rc, 0);
	turns(3);
	return fd;
}

static void send_framed(int fd, const u8 *query, size_t n)
{
	u8 framed[514];
	put_be16(framed, (u16)n);
	memcpy(framed + 2, query, n);
	EXPECT_EQ(tcp_write(fd, framed, n + 2), (int)n + 2);
}

/* Exactly n bytes. False: the connection ended, or nothing came. */
static bool receive(int fd, u8 *out, size_t n)
{
	size_t have = 0;
	for (u64 end = sys_now() + MSEC(WAIT_MS); have < n && sys_now() < end;) {
		turns(1);
		int got = tcp_read(fd, out + have, n - have);
		if (got == ERR_CLOSED)
			return false;
		have += got > 0 ? (size_t)got : 0;
	}
	return have == n;
}

TEST(spec40_59_both_families_by_udp_and_tcp)
{
	static u8 out[70000];
	u8 query[512];
	start();
	bind_both();
	f.answer_bytes = 100;
	size_t n = make_query(query, DNS_TXT, 0);
	for (size_t place = 0; place < 2; place++) {
		size_t got = ask_udp(place, query, n, out, sizeof(out));
		EXPECT_EQ(got, make_answer(f.out, sizeof(f.out)));
		EXPECT_MEM(out, f.out, got);
		EXPECT(!f.by_tcp);
		int fd = dial(place);
		for (unsigned i = 0; i < 3; i++) { /* one after the other on one connection */
			send_framed(fd, query, n);
			u8 head[2];
			REQUIRE(receive(fd, head, 2));
			EXPECT_EQ(get_be16(head), got);
			EXPECT(receive(fd, out, got));
			EXPECT_MEM(out, f.out, got);
			EXPECT(f.by_tcp);
		}
		close(fd);
	}
	turns(5);
	EXPECT_EQ(tunnel_dns_stats(f.dns).connections, 0);
	EXPECT_EQ(tunnel_dns_stats(f.dns).in_flight, 0);
	EXPECT_EQ(f.asked, 8);
	stop();
}

TEST(spec40_59_each_init_closes_all_and_binds_anew)
{
	u8 query[512], out[512];
	start();
	bind_both();
	size_t n = make_query(query, DNS_TXT, 0);
	f.is_silent = true;
	(void)ask_udp(0, query, n, out, sizeof(out));
	int fd = dial(1);
	EXPECT_EQ(tunnel_dns_stats(f.dns).in_flight, 1);
	EXPECT_EQ(tunnel_dns_stats(f.dns).connections, 1);
	bind_both();
	EXPECT_EQ(f.forgotten, 1);
	EXPECT_EQ(tunnel_dns_stats(f.dns).in_flight, 0);
	EXPECT(!receive(fd, out, 1));
	close(fd);
	f.is_silent = false;
	EXPECT(ask_udp(0, query, n, out, sizeof(out)) > 0);
	EXPECT_EQ(tunnel_dns_stats(f.dns).binds, 2);
	stop();
}

TEST(spec40_59_three_attempts_then_it_is_told)
{
	struct ip none[] = { ip4(127, 0, 0, 1), ip4(192, 0, 2, 77) };
	struct endpoint at;
	start();
	u64 began = sys_now();
	tunnel_dns_bind(f.dns, began, none, 2);
	EXPECT_EQ(f.failed, 0);
	EXPECT_EQ(tunnel_dns_local(f.dns, 0, &at), ERR_NOT_FOUND); /* one socket that fails closes all */
	for (u64 end = began + SEC(20); sys_now() < end && !f.failed;)
		turns(1);
	EXPECT_EQ(f.failed, 1);
	EXPECT(sys_now() - began >= 2 * TUNNEL_DNS_PAUSE);
	EXPECT_EQ(tunnel_dns_stats(f.dns).bind_failures, TUNNEL_DNS_ATTEMPTS);
	bind_both(); /* the next init tries again */
	EXPECT_EQ(tunnel_dns_local(f.dns, 0, &at), 0);
	stop();
}

TEST(spec40_60_udp_answers_are_cut_to_1200_bytes_and_to_what_the_asker_takes)
{
	static const struct {
		size_t text;
		u16 edns;
		bool is_cut;
	} cases[] = { { 400, 0, false }, { 600, 0, true }, { 600, 1232, false }, { 1100, 1232, false }, { 1180, 4096, true }, { 30000, 4096, true } };
	static u8 out[70000];
	u8 query[512];
	start();
	bind_both();
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		struct dns_response r;
		f.answer_bytes = cases[i].text;
		size_t n = make_query(query, DNS_TXT, cases[i].edns), got = ask_udp(0, query, n, out, sizeof(out));
		REQUIRE(got > 0 && got <= 1200);
		EXPECT_EQ(dns_response_parse(SPAN(out, got), &r), 0);
		EXPECT_EQ((r.flags & DNS_FLAG_TC) != 0, cases[i].is_cut);
		EXPECT_EQ(r.n_answers, !cases[i].is_cut);
		EXPECT_EQ(r.id, 0x1234);
	}
	EXPECT_EQ(tunnel_dns_stats(f.dns).truncated, 3);
	stop();
}

TEST(answers_over_tcp_are_whole)
{
	static u8 out[70000];
	u8 query[512], head[2];
	start();
	bind_both();
	f.answer_bytes = 60000;
	int fd = dial(0);
	send_framed(fd, query, make_query(query, DNS_TXT, 0));
	REQUIRE(receive(fd, head, 2));
	EXPECT(get_be16(head) > 60000);
	EXPECT(receive(fd, out, get_be16(head)));
	EXPECT_MEM(out, f.out, get_be16(head));
	close(fd);
	stop();
}

TEST(spec40_61_what_cannot_be_forwarded_is_answered_servfail)
{
	u8 query[512], out[512], head[2];
	struct dns_response r;
	start();
	bind_both();
	f.refusal = ERR_NOT_FOUND;
	size_t n = make_query(query, DNS_SRV, 1232), got = ask_udp(0, query, n, out, sizeof(out));
	REQUIRE(got > 0 && dns_response_parse(SPAN(out, got), &r) == 0);
	EXPECT_EQ(r.rcode, DNS_SERVFAIL);
	EXPECT_EQ(r.id, 0x1234);
	int fd = dial(0);
	send_framed(fd, query, n);
	REQUIRE(receive(fd, head, 2));
	REQUIRE(get_be16(head) <= sizeof(out) && receive(fd, out, get_be16(head)));
	EXPECT_EQ(dns_response_parse(SPAN(out, get_be16(head)), &r), 0);
	EXPECT_EQ(r.rcode, DNS_SERVFAIL);
	close(fd);
	EXPECT_EQ(tunnel_dns_stats(f.dns).servfail, 2);
	EXPECT_EQ(tunnel_dns_stats(f.dns).in_flight, 0);
	stop();
}

TEST(what_is_no_query_gets_no_answer)
{
	u8 query[512], out[512];
	start();
	bind_both();
	size_t n = make_query(query, DNS_SRV, 0);
	EXPECT_EQ(ask_udp(0, (const u8 *)"hello", 5, out, sizeof(out)), 0);
	query[2] |= 0x80; /* a response */
	EXPECT_EQ(ask_udp(0, query, n, out, sizeof(out)), 0);
	query[2] &= 0x7f;
	query[5] = 2; /* two questions */
	EXPECT_EQ(ask_udp(0, query, n, out, sizeof(out)), 0);
	EXPECT_EQ(tunnel_dns_stats(f.dns).ignored, 3);
	EXPECT_EQ(f.asked, 0);
	query[5] = 1;
	EXPECT(ask_udp(0, query, n, out, sizeof(out)) > 0);
	stop();
}

TEST(an_answer_for_a_connection_that_was_reset_ends_it)
{
	static const struct linger at_once = { 1, 0 };
	u8 query[512];
	start();
	bind_both();
	f.is_silent = true;
	int fd = dial(0);
	send_framed(fd, query, make_query(query, DNS_TXT, 0));
	for (u64 end = sys_now() + MSEC(WAIT_MS); sys_now() < end && !f.asked;)
		turns(1);
	EXPECT_EQ(tunnel_dns_stats(f.dns).in_flight, 1);
	EXPECT_EQ(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
	close(fd);
	turns(3);
	give_answer(NULL, sys_now());
	turns(3);
	EXPECT_EQ(tunnel_dns_stats(f.dns).in_flight, 0);
	EXPECT_EQ(tunnel_dns_stats(f.dns).connections, 0);
	stop();
}

TEST(who_is_no_client_is_not_served)
{
	u8 query[512], out[512];
	f_strangers_only = true;
	start();
	bind_both();
	size_t n = make_query(query, DNS_SRV, 0);
	EXPECT_EQ(ask_udp(0, query, n, out, sizeof(out)), 0);
	int fd = dial(0);
	EXPECT(!receive(fd, out, 1));
	close(fd);
	EXPECT_EQ(tunnel_dns_stats(f.dns).strangers, 2);
	EXPECT_EQ(f.asked, 0);
	EXPECT(ask_udp(1, query, n, out, sizeof(out)) > 0);
	stop();
	f_strangers_only = false;
}

TEST(queries_of_one_client_are_bounded)
{
	struct endpoint at;
	u8 query[512];
	start();
	bind_both();
	f.is_silent = true;
	size_t n = make_query(query, DNS_SRV, 0);
	struct span one = SPAN(query, n);
	EXPECT_EQ(tunnel_dns_local(f.dns, 0, &at), 0);
	int fd = udp_query_open(&at, 0);
	for (unsigned i = 0; i < TUNNEL_DNS_PEER_QUERIES_MAX + 5; i++) {
		EXPECT_EQ(udp_query_send(fd, &one, 1), 1);
		turns(1);
	}
	for (u64 end = sys_now() + MSEC(WAIT_MS); sys_now() < end && tunnel_dns_stats(f.dns).over_limit < 5;)
		turns(1);
	EXPECT_EQ(tunnel_dns_stats(f.dns).in_flight, TUNNEL_DNS_PEER_QUERIES_MAX);
	EXPECT_EQ(tunnel_dns_stats(f.dns).over_limit, 5);
	f.is_silent = false;
	u8 out[512];
	EXPECT(ask_udp(1, query, n, out, sizeof(out)) > 0); /* another one's are taken */
	close(fd);
	stop();
}

TEST(connections_of_one_client_are_bounded)
{
	int fds[TUNNEL_DNS_PEER_CONNS_MAX + 1];
	u8 byte;
	start();
	bind_both();
	for (unsigned i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = dial(0);
	EXPECT_EQ(tunnel_dns_stats(f.dns).connections, TUNNEL_DNS_PEER_CONNS_MAX);
	EXPECT_EQ(tunnel_dns_stats(f.dns).over_limit, 1);
	EXPECT(!receive(fds[TUNNEL_DNS_PEER_CONNS_MAX], &byte, 1));
	int other = dial(1); /* another client's */
	EXPECT_EQ(tunnel_dns_stats(f.dns).connections, TUNNEL_DNS_PEER_CONNS_MAX + 1);
	close(other);
	for (unsigned i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
	stop();
}

/* A connection that waits and cannot be taken must not keep the loop turning. */
TEST(without_descriptors_the_listener_rests)
{
	struct rlimit all, few;
	struct endpoint at;
	unsigned n = 0;

	start();
	bind_both();
	REQUIRE(tunnel_dns_local(f.dns, 1, &at) == 0);
	int fd = tcp_connect_start(&at, 0);
	REQUIRE(fd >= 0 && getrlimit(RLIMIT_NOFILE, &all) == 0);
	few = all;
	few.rlim_cur = (rlim_t)fd + 1; /* all below are in use */
	EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
	for (u64 end = sys_now() + MSEC(100); sys_now() < end; n++)
		loop_turn(f.loop, end);
	EXPECT(n < 20);
	EXPECT_EQ(tunnel_dns_stats(f.dns).connections, 0);
	EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &all), 0);
	for (u64 end = sys_now() + MSEC(WAIT_MS); sys_now() < end && !tunnel_dns_stats(f.dns).connections;)
		turns(1);
	EXPECT_EQ(tunnel_dns_stats(f.dns).connections, 1);
	close(fd);
	stop();
}
