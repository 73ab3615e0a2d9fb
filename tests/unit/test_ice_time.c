/* The ICE agent and time: when checks are made and given up, how soon another pair takes over. */
#include "tests/unit/ice_world.h"

/* --- timers ------------------------------------------------------------------------------------------------------------------------------ */

/* When the only pair of an agent is given up: from the first check if it never answers, from the last answer if it once did. */
static u64 given_up_after(const struct ice_timing *t, bool was_established)
{
	struct ice_history h = { 0 };
	u8 txid[ICE_TXID_RANDOM] = { 1 };
	u64 now = START, begin = START;

	if (was_established) { /* long since */
		for (unsigned i = 0; i < 100; i++) {
			history_sent(&h, t, now, txid);
			EXPECT(history_answered(&h, t, now, txid));
			now = history_next(&h, 0);
			begin = now;
		}
	}
	for (unsigned guard = 0; guard < 10000; guard++) {
		u64 dead = history_dead_at(&h, t), next = history_next(&h, 0);
		if (dead <= MAX(next, now))
			return dead - begin;
		now = MAX(now, next);
		history_sent(&h, t, now, txid);
	}
	return 0;
}

TEST(spec20_31_timing_of_each_role_and_state)
{
	EXPECT_EQ(given_up_after(&ice_timing_client, false), MSEC(15250));
	EXPECT_EQ(given_up_after(&ice_timing_client, true), MSEC(16500));
	EXPECT_EQ(given_up_after(&ice_timing_client_idle, true), SEC(100));
	EXPECT_EQ(given_up_after(&ice_timing_server, true), MSEC(615500));
	EXPECT_EQ(given_up_after(&ice_timing_server_idle, true), SEC(1000));
}

TEST(spec20_31_checks_back_off_to_the_longest_interval)
{
	struct ice_history h = { 0 };
	u8 txid[ICE_TXID_RANDOM] = { 0 };
	static const u64 want[] = { 0, MSEC(250), MSEC(750), MSEC(1750), MSEC(3250), MSEC(4750) };
	u64 now = START;

	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		now = MAX(now, history_next(&h, 0));
		EXPECT_EQ(now - START, want[i]);
		txid[0]++;
		history_sent(&h, &ice_timing_client, now, txid);
		EXPECT(history_answered(&h, &ice_timing_client, now, txid));
		EXPECT(!history_answered(&h, &ice_timing_client, now, txid)); /* once only */
	}
}

TEST(answers_count_for_ten_seconds)
{
	struct ice_history h = { 0 };
	u8 txid[ICE_TXID_RANDOM] = { 9 };

	history_sent(&h, &ice_timing_client_idle, START, txid);
	EXPECT(!history_answered(&h, &ice_timing_client_idle, START + SEC(10) + 1, txid));
	EXPECT(history_answered(&h, &ice_timing_client_idle, START + SEC(10), txid));
}

TEST(the_latest_answer_tells_the_round_trip)
{
	struct ice_history h = { 0 };
	u8 first[ICE_TXID_RANDOM] = { 1 }, second[ICE_TXID_RANDOM] = { 2 };

	history_sent(&h, &ice_timing_server, START, first);
	history_sent(&h, &ice_timing_server, START + MSEC(250), second);
	EXPECT(history_answered(&h, &ice_timing_server, START + MSEC(262), second));
	EXPECT_EQ(h.rtt, MSEC(12));
	EXPECT(history_answered(&h, &ice_timing_server, START + MSEC(290), first)); /* of its own sending, not of a later one */
	EXPECT_EQ(h.rtt, MSEC(290));
}

TEST(all_pairs_are_checked_for_ever)
{
	struct world w;

	world_init(&w, &ice_timing_client, &ice_timing_server);
	give_host(&w, 0, "192.168.1.2:52625", true);
	give_relay(&w, 0, "198.51.100.1:50000", true);
	give_host(&w, 1, "192.168.1.3:52625", true);
	run_until(&w, START + SEC(60));
	u32 sent = ice_stats(w.agent[0]).checks_sent;
	run_until(&w, START + SEC(75));
	EXPECT_EQ(ice_stats(w.agent[0]).checks_sent - sent, 20); /* two pairs, each 1.5 s */
	world_free(&w);
}

TEST(spec20_32_peers_checks_keep_a_pair)
{
	struct world w;

	world_init(&w, &ice_timing_client, &ice_timing_client);
	give_host(&w, 0, "192.168.1.2:52625", true);
	give_host(&w, 1, "192.168.1.3:52625", true);
	run_until(&w, START + SEC(1));
	/* nothing of A arrives any more, all of B does */
	struct endpoint a = ep("192.168.1.2:52625"), b = ep("192.168.1.3:52625");
	struct ice_credentials c0 = creds("aaaa", "aaaaaaaaaaaaaaaaaaaaaa"), c1 = creds("bbbb", "bbbbbbbbbbbbbbbbbbbbbb");
	u64 now = w.now;
	struct ice_transmit t;
	for (unsigned i = 0; i < 400; i++, now += MSEC(100)) {
		ice_timeout(w.agent[0], now);
		while (ice_poll_transmit(w.agent[0], &t))
			;
		if (i % 50 == 0 && i < 300) {
			u8 buf[ICE_MESSAGE_MAX], txid[STUN_TXID] = { 1, (u8)i };
			struct ice_msg m;
			int n = ice_write_check(buf, &(struct ice_check){ txid, &c1, &c0, 1, 5, false, false });
			EXPECT_EQ(ice_msg_parse(SPAN(buf, n), &m), 0);
			EXPECT_EQ(ice_input(w.agent[0], now, &a, &b, &m), 0);
		}
		EXPECT_EQ(ice_stats(w.agent[0]).n_pairs, 1);
	}
	ice_timeout(w.agent[0], w.now + SEC(25) + SEC(15) + MSEC(1500)); /* the last check's time is over too */
	EXPECT_EQ(ice_stats(w.agent[0]).n_pairs, 0);
	EXPECT_EQ(ice_state(w.agent[0]), ICE_DISCONNECTED);
	world_free(&w);
}

TEST(states_follow_the_pairs)
{
	struct world w;

	world_init(&w, &ice_timing_client, &ice_timing_client);
	EXPECT_EQ(ice_state(w.agent[0]), ICE_NEW);
	ice_timeout(w.agent[0], w.now);
	EXPECT_EQ(ice_state(w.agent[0]), ICE_CHECKING); /* no candidates at all */
	give_host(&w, 0, "192.168.1.2:52625", true);
	give_host(&w, 1, "192.168.1.3:52625", true);
	EXPECT_EQ(ice_state(w.agent[0]), ICE_CHECKING);
	block(&w, "192.168.1.3:52625");
	run_until(&w, START + MSEC(15249));
	EXPECT_EQ(ice_state(w.agent[0]), ICE_CHECKING);
	run_until(&w, START + MSEC(15250));
	EXPECT_EQ(ice_state(w.agent[0]), ICE_DISCONNECTED);
	w.n_blocked = 0;
	give_relay(&w, 1, "198.51.100.2:50000", true);
	run_until(&w, w.now + SEC(1));
	EXPECT_EQ(ice_state(w.agent[0]), ICE_COMPLETED);
	world_free(&w);
}

/* --- liveness ------------------------------------------------------------------------------------------------------------------------------- */

TEST(probe_moves_on_to_a_living_pair_within_a_second)
{
	struct world w;

	world_init(&w, &ice_timing_client, &ice_timing_server);
	give_host(&w, 0, "192.168.1.2:52625", true);
	give_host(&w, 1, "192.168.1.3:52625", true);
	give_relay(&w, 1, "198.51.100.2:50000", true);
	run_until(&w, START + SEC(30));
	EXPECT(selected_is(&w, 0, "192.168.1.2:52625", "192.168.1.3:52625"));
	block(&w, "192.168.1.3:52625");
	ice_probe(w.agent[0], w.now);
	run_until(&w, START + SEC(30) + MSEC(500));
	EXPECT(selected_is(&w, 0, "192.168.1.2:52625", "192.168.1.3:52625")); /* grace */
	run_until(&w, START + SEC(30) + MSEC(700));
	EXPECT(selected_is(&w, 0, "192.168.1.2:52625", "198.51.100.2:50000"));
	run_until(&w, START + SEC(36)); /* and does not go back while it is dead */
	EXPECT(selected_is(&w, 0, "192.168.1.2:52625", "198.51.100.2:50000"));
	EXPECT(selected_is(&w, 1, "198.51.100.2:50000", "192.168.1.2:52625"));
	w.n_blocked = 0;
	run_until(&w, START + SEC(40));
	EXPECT(selected_is(&w, 0, "192.168.1.2:52625", "192.168.1.3:52625"));
	EXPECT(selected_is(&w, 1, "192.168.1.3:52625", "192.168.1.2:52625"));
	world_free(&w);
}

TEST(probe_of_a_healthy_pair_changes_nothing)
{
	struct world w;

	world_init(&w, &ice_timing_client, &ice_timing_server);
	give_host(&w, 0, "192.168.1.2:52625", true);
	give_host(&w, 1, "192.168.1.3:52625", true);
	give_relay(&w, 1, "198.51.100.2:50000", true);
	run_until(&w, START + SEC(30));
	u32 nominations = ice_stats(w.agent[0]).nominations;
	for (unsigned i = 0; i < 20; i++) {
		ice_probe(w.agent[0], w.now);
		run_until(&w, w.now + SEC(3));
	}
	EXPECT_EQ(ice_stats(w.agent[0]).nominations, nominations);
	EXPECT_EQ(ice_stats(w.agent[0]).n_pairs, 2);
	world_free(&w);
}

TEST(a_connection_forms_under_loss_for_any_seed)
{
	for (unsigned seed = 0; seed < 50; seed++) {
		struct world w;
		world_init(&w, &ice_timing_client, &ice_timing_server);
		rng_seeded_init(&w.rng, seed);
		w.loss_percent = 25;
		give_host(&w, 0, "192.168.1.2:52625", true);
		give_relay(&w, 0, "198.51.100.1:50000", true);
		give_host(&w, 1, "192.168.1.3:52625", true);
		give_relay(&w, 1, "198.51.100.2:50000", true);
		run_until(&w, START + SEC(12));
		EXPECT(selected_is(&w, 0, "192.168.1.2:52625", "192.168.1.3:52625"));
		EXPECT(selected_is(&w, 1, "192.168.1.3:52625", "192.168.1.2:52625"));
		world_free(&w);
	}
}
