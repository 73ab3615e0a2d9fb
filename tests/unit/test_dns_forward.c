/* The forwarder against scripted servers in virtual time (spec 30 §10.3, §10.4). */
#include "core/base/rng.h"
#include "core/dns/forward.h"
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>

#define GROUP 7u
#define SENT_MAX 4096u
#define ANSWERS_MAX 2048u

struct sent {
	u32 id;
	u8 server; /* last octet of its address */
	enum dns_transport transport;
	bool is_cancelled, is_done;
	u64 at;
	u16 dns_id;
	size_t len;
	u8 message[300];
};

struct got {
	u64 token, took, at;
	bool is_from_upstream;
	u32 server;
	size_t len;
	u8 head[300];
};

struct world {
	struct forwarder *f;
	struct rng_seeded rng;
	u64 now;
	struct sent sent[SENT_MAX];
	u32 n_sent;
	struct got got[ANSWERS_MAX];
	u32 n_got;
};

static struct endpoint server_addr(u8 n)
{
	return (struct endpoint){ ip4(192, 0, 2, n), 53 };
}

/* Servers 192.0.2.1, .2, … of one transport. */
static void set_servers(struct world *w, size_t n, enum dns_transport t, bool is_ordered)
{
	struct dns_server s[FORWARD_SERVERS_MAX] = { 0 };
	for (size_t i = 0; i < n; i++) {
		s[i].transport = t;
		s[i].addr = server_addr((u8)(i + 1));
		snprintf(s[i].url, sizeof(s[i].url), "https://dns%zu.example/q", i + 1);
	}
	struct forward_group g = { s, n, is_ordered, 0 };
	EXPECT_EQ(forwarder_set_group(w->f, w->now, GROUP, &g), 0);
}

static struct world *world_new(size_t servers, bool is_ordered)
{
	struct world *w = calloc(1, sizeof(*w));
	rng_seeded_init(&w->rng, 54);
	w->now = SEC(1000);
	w->f = forwarder_new(&w->rng.rng, 0);
	if (servers > 0)
		set_servers(w, servers, DNS_OVER_UDP, is_ordered);
	return w;
}

static void world_free(struct world *w)
{
	forwarder_free(w->f);
	free(w);
}

static size_t make_query(u8 *buf, size_t n, u16 id, const char *name, u16 type)
{
	struct dns_question q = { .type = type, .class = DNS_CLASS_IN };
	struct wr w = wr_init(buf, n);
	EXPECT_EQ(dns_name_from_text(name, &q.name), 0);
	dns_query_write(&w, id, &q, 0);
	EXPECT(wr_ok(&w));
	return wr_len(&w);
}

/* Exchanges and answers that are waiting. */
static void collect(struct world *w)
{
	struct dns_exchange e;
	struct dns_answer a;

	while (forwarder_poll_exchange(w->f, &e)) {
		if (e.is_cancel) {
			for (u32 i = 0; i < w->n_sent; i++)
				if (w->sent[i].id == e.id)
					w->sent[i].is_cancelled = true;
			continue;
		}
		struct sent *s = &w->sent[w->n_sent++ % SENT_MAX];
		*s = (struct sent){ .id = e.id, .server = e.server->addr.ip.b[3], .transport = e.transport, .at = w->now,
				    .dns_id = get_be16(e.message.p), .len = e.message.n };
		memcpy(s->message, e.message.p, MIN(e.message.n, sizeof(s->message)));
	}
	while (forwarder_poll_answer(w->f, &a)) {
		struct got *g = &w->got[w->n_got++ % ANSWERS_MAX];
		*g = (struct got){ .token = a.token, .took = a.took, .at = w->now, .is_from_upstream = a.is_from_upstream, .server = a.server,
				   .len = a.message.n };
		memcpy(g->head, a.message.p, MIN(a.message.n, sizeof(g->head)));
	}
}

static int ask(struct world *w, u16 id, const char *name, bool tcp, u64 token)
{
	u8 buf[300];
	struct dns_query q;
	size_t n = make_query(buf, sizeof(buf), id, name, DNS_A);
	EXPECT_EQ(dns_query_parse(SPAN(buf, n), &q), 0);
	int rc = forwarder_ask(w->f, w->now, GROUP, SPAN(buf, n), &q, tcp, token);
	collect(w);
	return rc;
}

/* Time passes; timers fire at their instants. */
static void run_until(struct world *w, u64 until)
{
	for (u64 t; (t = forwarder_next_timeout(w->f)) <= until;) {
		w->now = MAX(w->now, t);
		forwarder_timeout(w->f, w->now);
		collect(w);
	}
	w->now = MAX(w->now, until);
}

static void pass(struct world *w, u64 time)
{
	run_until(w, w->now + time);
}

/* A response to what was sent: its question, `flags` (rcode included), one A record if `has_answer`. */
static size_t make_response(const struct sent *s, u16 flags, bool has_answer, u8 *buf, size_t n)
{
	struct wr w = wr_init(buf, n);
	wr_bytes(&w, s->message, s->len);
	put_be16(buf + 2, (u16)(DNS_FLAG_QR | DNS_FLAG_RA | DNS_FLAG_RD | flags));
	if (has_answer) {
		put_be16(buf + 6, 1);
		wr_be16(&w, 0xc00c);
		wr_be16(&w, DNS_A);
		wr_be16(&w, DNS_CLASS_IN);
		wr_be32(&w, 300);
		wr_be16(&w, 4);
		wr_be32(&w, 0x0a000000u | s->server);
	}
	return wr_len(&w);
}

static void respond(struct world *w, u32 index, u16 flags)
{
	struct sent *s = &w->sent[index];
	u8 buf[512];
	struct endpoint from = server_addr(s->server);
	size_t n = make_response(s, flags, (flags & 15u) == 0 && !(flags & DNS_FLAG_TC), buf, sizeof(buf));
	s->is_done = true;
	forwarder_response(w->f, w->now, s->id, s->transport == DNS_OVER_UDP ? &from : NULL, SPAN(buf, n));
	collect(w);
}

static u16 got_flags(const struct got *g)
{
	return get_be16(g->head + 2);
}

static const struct forward_stats *st(const struct world *w)
{
	return forwarder_stats(w->f);
}

/* spec 30 §10.4: byte for byte but for the ID, which is ours outside and the asker's inside */
TEST(spec30_54_the_id_of_each_asker_is_restored)
{
	struct world *w = world_new(1, false);
	u8 query[300];
	size_t n = make_query(query, sizeof(query), 0x1234, "WwW.Example.coM", DNS_A);

	EXPECT_EQ(ask(w, 0x1234, "WwW.Example.coM", false, 42), 0);
	REQUIRE(w->n_sent == 1);
	EXPECT_EQ(w->sent[0].len, n);
	EXPECT_MEM(w->sent[0].message + 2, query + 2, n - 2);
	EXPECT_EQ(w->sent[0].transport, DNS_OVER_UDP);
	pass(w, MSEC(10));
	respond(w, 0, 0);
	REQUIRE(w->n_got == 1);
	EXPECT_EQ(w->got[0].token, 42);
	EXPECT_EQ(get_be16(w->got[0].head), 0x1234);
	EXPECT_EQ(w->got[0].len, n + 16);
	EXPECT_MEM(w->got[0].head + 12, query + 12, n - 12);
	EXPECT(w->got[0].is_from_upstream);
	EXPECT_EQ(w->got[0].took, MSEC(10));
	EXPECT_EQ(forwarder_next_timeout(w->f), TIME_NEVER);
	world_free(w);
}

TEST(exchange_ids_on_the_wire_are_not_the_askers)
{
	struct world *w = world_new(1, false);
	u32 equal = 0, distinct = 0;
	for (u32 i = 0; i < 64; i++) {
		char name[32];
		snprintf(name, sizeof(name), "n%u.example", i);
		EXPECT_EQ(ask(w, 7, name, false, i), 0);
	}
	REQUIRE(w->n_sent == 64);
	for (u32 i = 0; i < 64; i++) {
		equal += w->sent[i].dns_id == 7;
		distinct += i > 0 && w->sent[i].dns_id != w->sent[i - 1].dns_id;
	}
	EXPECT(equal <= 1);
	EXPECT(distinct >= 62);
	world_free(w);
}

TEST(spec30_55_id_0_over_https)
{
	struct world *w = world_new(0, false);
	set_servers(w, 1, DNS_OVER_HTTPS, false);
	EXPECT_EQ(ask(w, 9, "a.example", false, 1), 0);
	REQUIRE(w->n_sent == 1);
	EXPECT_EQ(w->sent[0].transport, DNS_OVER_HTTPS);
	EXPECT_EQ(w->sent[0].dns_id, 0);
	respond(w, 0, 0);
	REQUIRE(w->n_got == 1);
	EXPECT_EQ(get_be16(w->got[0].head), 9);
	world_free(w);
}

TEST(query_by_tcp_goes_out_by_tcp)
{
	struct world *w = world_new(1, false);
	EXPECT_EQ(ask(w, 9, "a.example", true, 1), 0);
	REQUIRE(w->n_sent == 1);
	EXPECT_EQ(w->sent[0].transport, DNS_OVER_TCP);
	respond(w, 0, 0);
	EXPECT_EQ(w->n_got, 1);
	world_free(w);
}

TEST(truncated_answer_is_asked_for_by_tcp)
{
	struct world *w = world_new(2, true);
	EXPECT_EQ(ask(w, 9, "big.example", false, 1), 0);
	pass(w, MSEC(5));
	respond(w, 0, DNS_FLAG_TC);
	REQUIRE(w->n_sent == 2);
	EXPECT_EQ(w->sent[1].transport, DNS_OVER_TCP);
	EXPECT_EQ(w->sent[1].server, 1);
	EXPECT_EQ(w->n_got, 0);

	/* 60 KB of one TXT-like record */
	static u8 big[61000];
	size_t n = make_response(&w->sent[1], 0, false, big, sizeof(big));
	struct wr wr = { big, big + n, big + sizeof(big), false };
	put_be16(big + 6, 1);
	wr_be16(&wr, 0xc00c);
	wr_be16(&wr, DNS_TXT);
	wr_be16(&wr, DNS_CLASS_IN);
	wr_be32(&wr, 300);
	wr_be16(&wr, 60000);
	wr_zero(&wr, 60000);
	forwarder_response(w->f, w->now, w->sent[1].id, NULL, wr_span(&wr));
	collect(w);
	REQUIRE(w->n_got == 1);
	EXPECT_EQ(w->got[0].len, wr_len(&wr));
	EXPECT_EQ(st(w)->retried_tcp, 1);
	world_free(w);
}

/* Some servers stop in the middle of a record. */
TEST(truncated_in_a_record_is_truncated)
{
	struct world *w = world_new(1, true);
	u8 buf[512];
	struct endpoint from = server_addr(1);
	EXPECT_EQ(ask(w, 9, "big.example", false, 1), 0);
	size_t n = make_response(&w->sent[0], DNS_FLAG_TC, true, buf, sizeof(buf));
	forwarder_response(w->f, w->now, w->sent[0].id, &from, SPAN(buf, n - 3));
	collect(w);
	EXPECT_EQ(st(w)->retried_tcp, 1);
	EXPECT_EQ(st(w)->malformed, 0);
	world_free(w);
}

TEST(truncated_answer_is_passed_on_when_tcp_fails)
{
	struct world *w = world_new(1, true);
	EXPECT_EQ(ask(w, 9, "big.example", false, 1), 0);
	respond(w, 0, DNS_FLAG_TC);
	REQUIRE(w->n_sent == 2);
	forwarder_failed(w->f, w->now, w->sent[1].id, ERR_CLOSED);
	collect(w);
	REQUIRE(w->n_got == 1);
	EXPECT(got_flags(&w->got[0]) & DNS_FLAG_TC);
	EXPECT_EQ(get_be16(w->got[0].head), 9);
	world_free(w);
}

TEST(servfail_and_refused_let_the_next_server_try)
{
	struct world *w = world_new(3, true);
	EXPECT_EQ(ask(w, 9, "a.example", false, 1), 0);
	respond(w, 0, DNS_SERVFAIL);
	REQUIRE(w->n_sent == 2);
	EXPECT_EQ(w->sent[1].server, 2);
	respond(w, 1, DNS_REFUSED);
	REQUIRE(w->n_sent == 3);
	EXPECT_EQ(w->sent[2].server, 3);
	respond(w, 2, 0);
	REQUIRE(w->n_got == 1);
	EXPECT_EQ(got_flags(&w->got[0]) & 15u, DNS_NOERROR);
	EXPECT_EQ(w->got[0].server, 2);
	EXPECT_EQ(st(w)->next_server, 2);
	world_free(w);
}

TEST(last_complaint_is_passed_on)
{
	struct world *w = world_new(2, true);
	EXPECT_EQ(ask(w, 9, "a.example", false, 1), 0);
	respond(w, 0, DNS_SERVFAIL);
	respond(w, 1, DNS_REFUSED);
	REQUIRE(w->n_got == 1);
	EXPECT_EQ(got_flags(&w->got[0]) & 15u, DNS_REFUSED);
	EXPECT(w->got[0].is_from_upstream);
	EXPECT_EQ(st(w)->servfail_made, 0);
	world_free(w);
}

TEST(nxdomain_is_an_answer)
{
	struct world *w = world_new(2, true);
	EXPECT_EQ(ask(w, 9, "a.example", false, 1), 0);
	respond(w, 0, DNS_NXDOMAIN);
	REQUIRE(w->n_got == 1);
	EXPECT_EQ(got_flags(&w->got[0]) & 15u, DNS_NXDOMAIN);
	EXPECT_EQ(w->n_sent, 1);
	world_free(w);
}

TEST(failure_of_all_servers_is_servfail_at_once)
{
	struct world *w = world_new(2, true);
	EXPECT_EQ(ask(w, 9, "a.example", false, 1), 0);
	forwarder_failed(w->f, w->now, w->sent[0].id, ERR_NO_ROUTE);
	collect(w);
	REQUIRE(w->n_sent == 2);
	forwarder_failed(w->f, w->now, w->sent[1].id, ERR_CLOSED);
	collect(w);
	REQUIRE(w->n_got == 1);
	EXPECT_EQ(got_flags(&w->got[0]) & 15u, DNS_SERVFAIL);
	EXPECT(got_flags(&w->got[0]) & DNS_FLAG_QR);
	EXPECT_EQ(get_be16(w->got[0].head), 9);
	EXPECT(!w->got[0].is_from_upstream);
	world_free(w);
}

/* spec 30 §1.2, §10.4, made better: SERVFAIL instead of silence at the deadline */
TEST(silence_ends_in_servfail_after_5_s)
{
	struct world *w = world_new(2, true);
	u64 start = w->now;
	EXPECT_EQ(ask(w, 9, "a.example", false, 1), 0);
	pass(w, MSEC(4999));
	EXPECT_EQ(w->n_got, 0);
	pass(w, MSEC(1));
	REQUIRE(w->n_got == 1);
	EXPECT_EQ(w->got[0].at - start, SEC(5));
	EXPECT_EQ(got_flags(&w->got[0]) & 15u, DNS_SERVFAIL);
	for (u32 i = 0; i < w->n_sent; i++)
		EXPECT(w->sent[i].is_cancelled);
	EXPECT(w->n_sent <= FORWARD_ATTEMPTS_MAX);
	EXPECT_EQ(forwarder_next_timeout(w->f), TIME_NEVER);
	world_free(w);
}

/* A lost datagram is sent again to the only server, ever more patiently. */
TEST(the_only_server_is_asked_again)
{
	struct world *w = world_new(1, false);
	u64 start = w->now;
	EXPECT_EQ(ask(w, 9, "a.example", false, 1), 0);
	pass(w, SEC(4));
	REQUIRE(w->n_sent == 4);
	EXPECT_EQ(w->sent[1].at - start, MSEC(400));
	EXPECT_EQ(w->sent[2].at - start, MSEC(1200));
	EXPECT_EQ(w->sent[3].at - start, MSEC(2800));
	respond(w, 3, 0);
	EXPECT_EQ(w->n_got, 1);
	EXPECT_EQ(st(w)->repeated, 3);
	EXPECT_EQ(st(w)->raced, 0);
	EXPECT(w->sent[0].is_cancelled && w->sent[1].is_cancelled && w->sent[2].is_cancelled);
	world_free(w);
}

TEST(nothing_is_sent_twice_over_a_stream)
{
	struct world *w = world_new(1, false);
	EXPECT_EQ(ask(w, 9, "a.example", true, 1), 0);
	pass(w, SEC(4));
	EXPECT_EQ(w->n_sent, 1);
	world_free(w);
}

TEST(a_second_server_is_raced_when_the_first_is_slow)
{
	struct world *w = world_new(2, true);
	struct forward_server_stats s;
	EXPECT_EQ(ask(w, 9, "a.example", false, 1), 0);
	pass(w, MSEC(399));
	EXPECT_EQ(w->n_sent, 1);
	pass(w, MSEC(1));
	REQUIRE(w->n_sent == 2);
	EXPECT_EQ(w->sent[1].server, 2);
	EXPECT_EQ(st(w)->raced, 1);
	respond(w, 1, 0);
	EXPECT_EQ(w->n_got, 1);
	EXPECT(!w->sent[0].is_cancelled); /* it may still tell how slow it is */
	pass(w, MSEC(500));
	respond(w, 0, 0);
	EXPECT_EQ(w->n_got, 1);
	REQUIRE(forwarder_server_stats(w->f, GROUP, 0, &s));
	EXPECT_EQ(s.srtt, MSEC(900));
	EXPECT_EQ(s.failures_in_row, 0);
	EXPECT_EQ(forwarder_next_timeout(w->f), TIME_NEVER);
	world_free(w);
}

TEST(overtaken_and_silent_is_a_failure)
{
	struct world *w = world_new(2, true);
	struct forward_server_stats s;
	EXPECT_EQ(ask(w, 9, "a.example", false, 1), 0);
	pass(w, MSEC(400));
	respond(w, 1, 0);
	pass(w, FORWARD_LINGER);
	EXPECT(w->sent[0].is_cancelled);
	REQUIRE(forwarder_server_stats(w->f, GROUP, 0, &s));
	EXPECT_EQ(s.failures_in_row, 1);
	world_free(w);
}

/* Cache hits of 1 to 3 ms with a recursion of up to 190 ms now and then. */
TEST(a_healthy_server_is_not_raced)
{
	struct world *w = world_new(2, true);
	for (u32 i = 0; i < 2000; i++) {
		char name[32];
		snprintf(name, sizeof(name), "n%u.example", i);
		EXPECT_EQ(ask(w, (u16)i, name, false, i), 0);
		u64 rtt = MSEC(1) + rng_below(&w->rng.rng, MSEC(2));
		if (i % 20 == 19)
			rtt = rng_below(&w->rng.rng, MSEC(190));
		pass(w, rtt);
		w->n_got %= ANSWERS_MAX;
		respond(w, w->n_sent - 1, 0);
	}
	EXPECT_EQ(st(w)->raced, 0);
	EXPECT_EQ(st(w)->repeated, 0);
	EXPECT_EQ(st(w)->exchanges, 2000);
	world_free(w);
}

TEST(the_quickest_server_is_asked_first)
{
	struct world *w = world_new(3, false);
	const u64 rtt[] = { MSEC(80), MSEC(20), MSEC(50) };
	for (u32 i = 0; i < 30; i++) {
		char name[32];
		snprintf(name, sizeof(name), "n%u.example", i);
		u32 before = w->n_sent;
		EXPECT_EQ(ask(w, (u16)i, name, false, i), 0);
		u64 start = w->now;
		for (u64 ms = 0; ms < 100; ms += 10) {
			run_until(w, start + MSEC(ms));
			for (u32 k = before; k < w->n_sent; k++)
				if (!w->sent[k].is_done && rtt[w->sent[k].server - 1] == MSEC(ms))
					respond(w, k, 0);
		}
	}
	EXPECT_EQ(forwarder_best_server(w->f, GROUP), 1);
	EXPECT(st(w)->exchanges <= 30 + 2); /* learning took two probes */
	EXPECT_EQ(w->sent[w->n_sent - 1].server, 2);
	EXPECT_EQ(st(w)->raced, 0);
	world_free(w);
}

TEST(a_dead_server_stands_last_until_a_probe_is_answered)
{
	struct world *w = world_new(2, true);
	char name[32];
	u32 i;
	for (i = 0; i < FORWARD_DEAD_AFTER; i++) {
		snprintf(name, sizeof(name), "n%u.example", i);
		EXPECT_EQ(ask(w, 1, name, false, i), 0);
		forwarder_failed(w->f, w->now, w->sent[w->n_sent - 1].id, ERR_CLOSED);
		collect(w);
		respond(w, w->n_sent - 1, 0);
		pass(w, MSEC(10));
	}
	EXPECT_EQ(forwarder_best_server(w->f, GROUP), 1);
	u32 before = w->n_sent;
	EXPECT_EQ(ask(w, 1, "x.example", false, 50), 0);
	REQUIRE(w->n_sent == before + 1);
	EXPECT_EQ(w->sent[before].server, 2);
	respond(w, before, 0);

	pass(w, SEC(2)); /* a query goes to both */
	before = w->n_sent;
	EXPECT_EQ(ask(w, 1, "y.example", false, 51), 0);
	REQUIRE(w->n_sent == before + 2);
	EXPECT_EQ(w->sent[before].server, 1);
	EXPECT_EQ(w->sent[before + 1].server, 2);
	respond(w, before + 1, 0); /* nobody waits for the dead one */
	EXPECT_EQ(w->got[w->n_got - 1].token, 51);
	respond(w, before, 0);
	EXPECT_EQ(forwarder_best_server(w->f, GROUP), 0);
	EXPECT_EQ(st(w)->probes, 1);
	world_free(w);
}

/* A server without TCP is as good as before for UDP. */
TEST(failures_of_tcp_do_not_count_for_udp)
{
	struct world *w = world_new(2, true);
	struct forward_server_stats s;
	for (u32 i = 0; i < 2 * FORWARD_DEAD_AFTER; i++) {
		char name[32];
		snprintf(name, sizeof(name), "n%u.example", i);
		EXPECT_EQ(ask(w, 1, name, true, i), 0);
		forwarder_failed(w->f, w->now, w->sent[w->n_sent - 1].id, ERR_CLOSED);
		collect(w);
		respond(w, w->n_sent - 1, 0);
	}
	REQUIRE(forwarder_server_stats(w->f, GROUP, 0, &s));
	EXPECT_EQ(s.failures_in_row, 0);
	EXPECT_EQ(forwarder_best_server(w->f, GROUP), 0);
	world_free(w);
}

/* A burst of queries that all fail is one failure. */
TEST(a_burst_counts_once)
{
	struct world *w = world_new(1, true);
	struct forward_server_stats s;
	for (u32 i = 0; i < 50; i++) {
		char name[32];
		snprintf(name, sizeof(name), "n%u.example", i);
		EXPECT_EQ(ask(w, 1, name, false, i), 0);
	}
	pass(w, SEC(5));
	EXPECT_EQ(w->n_got, 50);
	REQUIRE(forwarder_server_stats(w->f, GROUP, 0, &s));
	EXPECT_EQ(s.failures_in_row, 1);
	world_free(w);
}

TEST(equal_questions_share_an_exchange)
{
	struct world *w = world_new(1, false);
	EXPECT_EQ(ask(w, 1, "a.example", false, 10), 0);
	EXPECT_EQ(ask(w, 2, "a.example", false, 20), 0);
	EXPECT_EQ(ask(w, 3, "A.example", false, 30), 0); /* another spelling: the answer must repeat it */
	EXPECT_EQ(ask(w, 4, "a.example", true, 40), 0);  /* by TCP */
	EXPECT_EQ(w->n_sent, 3);
	EXPECT_EQ(st(w)->shared, 1);
	respond(w, 0, 0);
	REQUIRE(w->n_got == 2);
	for (u32 i = 0; i < 2; i++)
		EXPECT_EQ(get_be16(w->got[i].head) * 10, w->got[i].token);
	EXPECT_EQ(ask(w, 5, "a.example", false, 50), 0); /* answered already: a new one */
	EXPECT_EQ(w->n_sent, 4);
	world_free(w);
}

/* issue: upstream that answers with another id, question, address, or rubbish: counted, the right answer is still found */
TEST(lies_are_counted_and_ignored)
{
	struct world *w = world_new(1, false);
	u8 buf[512];
	struct endpoint from = server_addr(1), other = server_addr(9), port = { from.ip, 54 };
	EXPECT_EQ(ask(w, 9, "a.example", false, 1), 0);
	struct sent *s = &w->sent[0];
	size_t n = make_response(s, 0, true, buf, sizeof(buf));

	EXPECT(!forwarder_response(w->f, w->now, s->id, &other, SPAN(buf, n)));
	forwarder_response(w->f, w->now, s->id, &port, SPAN(buf, n));
	EXPECT_EQ(st(w)->wrong_sender, 2);
	put_be16(buf, (u16)(s->dns_id + 1));
	forwarder_response(w->f, w->now, s->id, &from, SPAN(buf, n));
	EXPECT_EQ(st(w)->wrong_id, 1);
	put_be16(buf, s->dns_id);
	buf[13] = 'b'; /* another name */
	forwarder_response(w->f, w->now, s->id, &from, SPAN(buf, n));
	buf[13] = 'a';
	buf[s->len - 3] = DNS_MX;
	forwarder_response(w->f, w->now, s->id, &from, SPAN(buf, n));
	EXPECT_EQ(st(w)->wrong_question, 2);
	buf[s->len - 3] = DNS_A;
	forwarder_response(w->f, w->now, s->id, &from, SPAN(buf, n - 1));
	forwarder_response(w->f, w->now, s->id, &from, SPAN(buf, 11));
	forwarder_response(w->f, w->now, s->id, &from, SPAN(s->message, s->len)); /* the query itself */
	EXPECT_EQ(st(w)->malformed, 3);
	forwarder_response(w->f, w->now, s->id + 1, &from, SPAN(buf, n));
	EXPECT(forwarder_response(w->f, w->now, 0, &from, SPAN(buf, n)));
	forwarder_response(w->f, w->now, UINT32_MAX, &from, SPAN(buf, n));
	EXPECT_EQ(st(w)->late, 3);
	collect(w);
	EXPECT_EQ(w->n_got, 0);
	respond(w, 0, 0);
	EXPECT_EQ(w->n_got, 1);
	EXPECT_EQ(st(w)->answered, 1);
	world_free(w);
}

TEST(a_lie_over_a_stream_is_a_failure)
{
	struct world *w = world_new(2, true);
	EXPECT_EQ(ask(w, 9, "a.example", true, 1), 0);
	forwarder_response(w->f, w->now, w->sent[0].id, NULL, SPAN_STR("not a message"));
	collect(w);
	REQUIRE(w->n_sent == 2);
	EXPECT_EQ(w->sent[1].server, 2);
	world_free(w);
}

TEST(failure_without_question_lets_the_next_server_try)
{
	struct world *w = world_new(2, true);
	u8 bare[12] = { 0, 0, 0x80, DNS_FORMERR };
	struct endpoint from = server_addr(1);
	EXPECT_EQ(ask(w, 9, "a.example", false, 1), 0);
	put_be16(bare, w->sent[0].dns_id);
	forwarder_response(w->f, w->now, w->sent[0].id, &from, SPAN(bare, 12));
	collect(w);
	REQUIRE(w->n_sent == 2);
	respond(w, 1, 0);
	EXPECT_EQ(w->n_got, 1);
	world_free(w);
}

/* RFC 7766 §6.2.4: a server may close an idle connection while a query is on its way. */
TEST(exchange_of_a_lost_connection_is_sent_once_more)
{
	struct world *w = world_new(1, true);
	EXPECT_EQ(ask(w, 9, "a.example", true, 1), 0);
	forwarder_failed(w->f, w->now, w->sent[0].id, ERR_AGAIN);
	collect(w);
	REQUIRE(w->n_sent == 2);
	EXPECT_EQ(w->sent[1].id, w->sent[0].id);
	EXPECT_MEM(w->sent[1].message, w->sent[0].message, w->sent[0].len);
	forwarder_failed(w->f, w->now, w->sent[1].id, ERR_AGAIN);
	collect(w);
	EXPECT_EQ(w->n_sent, 2);
	REQUIRE(w->n_got == 1);
	EXPECT_EQ(got_flags(&w->got[0]) & 15u, DNS_SERVFAIL);
	world_free(w);
}

TEST(group_may_change_in_flight)
{
	struct world *w = world_new(1, true);
	struct forward_group none = { 0 };
	EXPECT_EQ(ask(w, 1, "a.example", false, 1), 0);
	EXPECT_EQ(ask(w, 2, "b.example", false, 2), 0);
	set_servers(w, 2, DNS_OVER_UDP, true); /* the first stays */
	collect(w);
	EXPECT_EQ(w->n_sent, 2);
	respond(w, 0, 0);
	EXPECT_EQ(w->n_got, 1);

	struct dns_server fresh = { .transport = DNS_OVER_UDP, .addr = server_addr(8) };
	struct forward_group g = { &fresh, 1, true, 0 };
	EXPECT_EQ(forwarder_set_group(w->f, w->now, GROUP, &g), 0);
	collect(w);
	REQUIRE(w->n_sent == 3);
	EXPECT(w->sent[1].is_cancelled);
	EXPECT_EQ(w->sent[2].server, 8);
	respond(w, 1, 0); /* crossed with the cancel */
	EXPECT_EQ(w->n_got, 1);

	EXPECT_EQ(forwarder_set_group(w->f, w->now, GROUP, &none), 0);
	collect(w);
	REQUIRE(w->n_got == 2);
	EXPECT_EQ(got_flags(&w->got[1]) & 15u, DNS_SERVFAIL);
	EXPECT(w->sent[2].is_cancelled);
	EXPECT_EQ(ask(w, 3, "c.example", false, 3), ERR_NOT_FOUND);
	world_free(w);
}

/* Or after some changes no slow server would be told from a dead one any more. */
TEST(servers_taken_away_do_not_linger)
{
	struct world *w = world_new(2, true);
	struct dns_server second = { .transport = DNS_OVER_UDP, .addr = server_addr(2) };
	struct forward_group g = { &second, 1, true, 0 };
	struct endpoint from = server_addr(2);
	u8 buf[512];
	for (u32 i = 0; i < 150; i++) {
		EXPECT_EQ(ask(w, 1, "a.example", false, i), 0);
		pass(w, MSEC(450));
		const struct sent *raced = &w->sent[(w->n_sent - 1) % SENT_MAX];
		REQUIRE(raced->server == 2);
		size_t n = make_response(raced, 0, true, buf, sizeof(buf));
		EXPECT(forwarder_response(w->f, w->now, raced->id, &from, SPAN(buf, n)));
		EXPECT_EQ(forwarder_set_group(w->f, w->now, GROUP, &g), 0); /* before the answer is taken */
		collect(w);
		EXPECT_EQ(w->n_got, i + 1);
		EXPECT_EQ(forwarder_next_timeout(w->f), TIME_NEVER);
		set_servers(w, 2, DNS_OVER_UDP, true);
	}
	u32 first = w->n_sent;
	EXPECT_EQ(ask(w, 1, "a.example", false, 1000), 0);
	pass(w, MSEC(450));
	respond(w, (first + 1) % SENT_MAX, 0);
	EXPECT(!w->sent[first % SENT_MAX].is_cancelled);
	world_free(w);
}

TEST(limits_hold)
{
	struct world *w = world_new(1, true);
	struct dns_server many[FORWARD_SERVERS_MAX + 1] = { 0 };
	struct forward_group g = { many, FORWARD_SERVERS_MAX + 1, false, 0 };
	EXPECT_EQ(forwarder_set_group(w->f, w->now, 8, &g), ERR_LIMIT);
	g.n = 1;
	for (u32 i = 1; i < FORWARD_GROUPS_MAX; i++)
		EXPECT_EQ(forwarder_set_group(w->f, w->now, 1000 + i, &g), 0);
	EXPECT_EQ(forwarder_set_group(w->f, w->now, 5000, &g), ERR_LIMIT);
	for (u32 i = 0; i < FORWARD_QUERIES_MAX; i++) {
		char name[32];
		snprintf(name, sizeof(name), "n%u.example", i);
		EXPECT_EQ(ask(w, 1, name, false, i), 0);
	}
	EXPECT_EQ(ask(w, 1, "more.example", false, 1), ERR_LIMIT);
	EXPECT_EQ(st(w)->refused_limit, 1);
	respond(w, 0, 0);
	EXPECT_EQ(ask(w, 1, "more.example", false, 1), 0);
	world_free(w);
}

TEST(forgotten_askers_get_nothing)
{
	struct world *w = world_new(1, true);
	EXPECT_EQ(ask(w, 1, "a.example", false, 1), 0);
	EXPECT_EQ(ask(w, 2, "a.example", false, 2), 0);
	forwarder_forget(w->f, 1);
	collect(w);
	EXPECT(!w->sent[0].is_cancelled);
	respond(w, 0, 0);
	REQUIRE(w->n_got == 1);
	EXPECT_EQ(w->got[0].token, 2);

	EXPECT_EQ(ask(w, 3, "b.example", false, 3), 0);
	forwarder_forget(w->f, 3);
	collect(w);
	EXPECT(w->sent[1].is_cancelled);
	EXPECT_EQ(forwarder_next_timeout(w->f), TIME_NEVER);
	world_free(w);
}

/* spec 30 §13 */
TEST(reset_ends_everything_with_servfail)
{
	struct world *w = world_new(2, true);
	struct forward_server_stats s;
	EXPECT_EQ(ask(w, 1, "a.example", false, 1), 0);
	EXPECT_EQ(ask(w, 2, "b.example", true, 2), 0);
	pass(w, MSEC(450));
	respond(w, 2, 0); /* the raced one of a.example; its first lingers */
	REQUIRE(w->n_got == 1);
	forwarder_reset(w->f, w->now);
	collect(w);
	REQUIRE(w->n_got == 2);
	EXPECT_EQ(got_flags(&w->got[1]) & 15u, DNS_SERVFAIL);
	for (u32 i = 0; i < w->n_sent; i++)
		EXPECT(w->sent[i].is_cancelled || w->sent[i].is_done);
	EXPECT_EQ(forwarder_next_timeout(w->f), TIME_NEVER);
	REQUIRE(forwarder_server_stats(w->f, GROUP, 1, &s));
	EXPECT_EQ(s.srtt, 0);
	world_free(w);
}

/* Whatever servers do, each asker gets exactly one answer, by the deadline, with its own ID and question, and nothing is left behind. */
static void storm(u64 seed)
{
	struct world *w = world_new(0, false);
	rng_seeded_init(&w->rng, seed);
	struct rng *rng = &w->rng.rng;
	u32 n_servers = 1 + (u32)rng_below(rng, 4), asked = 0, scanned = 0;
	u64 due[SENT_MAX];
	u8 answers[600] = { 0 };
	u64 asked_at[600];
	set_servers(w, n_servers, rng_below(rng, 8) == 0 ? DNS_OVER_HTTPS : DNS_OVER_UDP, rng_below(rng, 2));
	u8 habits[5]; /* of each server: 0 good, 1 silent, 2 slow, 3 fails, 4 lies first, 5 truncates, 6 servfail */
	for (u32 i = 0; i < 5; i++)
		habits[i] = (u8)rng_below(rng, 7);

	for (u64 tick = 0; tick < 16000; tick++) {
		if (asked < 600 && rng_below(rng, 10) == 0) {
			char name[40];
			snprintf(name, sizeof(name), "n%u.example", asked / 2 * 2); /* pairs are equal */
			asked_at[asked] = w->now;
			EXPECT_EQ(ask(w, (u16)(asked * 7), name, rng_below(rng, 8) == 0, asked), 0);
			asked++;
		}
		if (rng_below(rng, 3000) == 0)
			set_servers(w, 1 + rng_below(rng, 4), DNS_OVER_UDP, rng_below(rng, 2));
		collect(w);
		REQUIRE(w->n_sent < SENT_MAX && w->n_got < ANSWERS_MAX);
		for (; scanned < w->n_sent; scanned++) {
			static const u64 delays[] = { MSEC(5), TIME_NEVER, MSEC(700), MSEC(3), MSEC(5), MSEC(5), MSEC(9) };
			due[scanned] = time_add(w->now, delays[habits[w->sent[scanned].server]]);
		}
		for (u32 i = scanned > 400 ? scanned - 400 : 0; i < scanned; i++) {
			struct sent *s = &w->sent[i];
			if (s->is_done || s->is_cancelled || due[i] > w->now)
				continue;
			u8 habit = habits[s->server];
			u8 buf[512];
			struct endpoint from = server_addr(s->server);
			s->is_done = true;
			if (habit == 3) {
				forwarder_failed(w->f, w->now, s->id, ERR_CLOSED);
			} else if (habit == 4) {
				size_t n = make_response(s, 0, true, buf, sizeof(buf));
				buf[rng_below(rng, n)] ^= (u8)(1u + rng_below(rng, 255));
				forwarder_response(w->f, w->now, s->id, &from, SPAN(buf, rng_below(rng, n + 1)));
				respond(w, i, 0);
			} else {
				respond(w, i, habit == 5 && s->transport == DNS_OVER_UDP ? DNS_FLAG_TC : habit == 6 ? DNS_SERVFAIL : 0);
			}
			collect(w);
		}
		pass(w, MSEC(1));
	}
	pass(w, SEC(10));
	EXPECT_EQ(w->n_got, asked);
	for (u32 i = 0; i < w->n_got; i++) {
		const struct got *g = &w->got[i];
		char name[40];
		u8 query[300];
		REQUIRE(g->token < 600);
		answers[g->token]++;
		size_t n = make_query(query, sizeof(query), (u16)(g->token * 7), "x", DNS_A);
		snprintf(name, sizeof(name), "n%u.example", (u32)g->token / 2 * 2);
		n = make_query(query, sizeof(query), (u16)(g->token * 7), name, DNS_A);
		EXPECT_EQ(get_be16(g->head), (u16)(g->token * 7));
		EXPECT_MEM(g->head + 12, query + 12, n - 12);
		EXPECT(got_flags(g) & DNS_FLAG_QR);
		EXPECT(g->at - asked_at[g->token] <= FORWARD_TIMEOUT);
	}
	for (u32 i = 0; i < asked; i++)
		EXPECT_EQ(answers[i], 1);
	EXPECT_EQ(forwarder_next_timeout(w->f), TIME_NEVER);
	world_free(w);
}

TEST(each_asker_gets_exactly_one_answer)
{
	for (u64 seed = 1; seed <= 60; seed++)
		storm(seed);
}
