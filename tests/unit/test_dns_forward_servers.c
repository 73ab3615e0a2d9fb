/* Which of several servers the forwarder asks, and when the next one (spec 30 §10.3, §10.4); scripted, in virtual time. */
#include "tests/unit/forward_world.h"

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
