/* The forwarder against scripted servers in virtual time (spec 30 §10.3, §10.4). */
#include "tests/unit/forward_world.h"

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
