/* The ICE agent: two agents against each other over a scripted network in virtual time. */
#include "tests/unit/ice_world.h"

TEST(spec20_20_foreign_ufrag_or_component_is_ignored)
{
	struct world w;
	struct candidate_text t;

	world_init(&w, &ice_timing_client, &ice_timing_server);
	EXPECT_EQ(parse("candidate:1 1 udp 1 10.0.0.1 9 typ host ufrag bbbb", &t), 0);
	EXPECT(ice_wants(w.agent[0], &t));
	EXPECT_EQ(parse("candidate:1 1 udp 1 10.0.0.1 9 typ host", &t), 0);
	EXPECT(ice_wants(w.agent[0], &t));
	EXPECT_EQ(parse("candidate:1 1 udp 1 10.0.0.1 9 typ host ufrag cccc", &t), 0);
	EXPECT(!ice_wants(w.agent[0], &t));
	EXPECT_EQ(parse("candidate:1 2 udp 1 10.0.0.1 9 typ host", &t), 0);
	EXPECT(!ice_wants(w.agent[0], &t));
	EXPECT_EQ(parse("candidate:1 1 tcp 1 10.0.0.1 9 typ host", &t), 0);
	EXPECT(!ice_wants(w.agent[0], &t));
	world_free(&w);
}

TEST(spec20_22_equal_priorities_do_not_merge)
{
	struct world w;
	struct candidate_text one, two;

	world_init(&w, &ice_timing_client, &ice_timing_server);
	EXPECT_EQ(parse("candidate:1 1 udp 77 10.0.0.1 9 typ host", &one), 0);
	EXPECT_EQ(parse("candidate:1 1 udp 77 10.0.0.2 9 typ host", &two), 0);
	give_host(&w, 0, "192.168.1.2:5", false);
	EXPECT_EQ(ice_add_remote(w.agent[0], w.now, &one.c), 0);
	EXPECT_EQ(ice_add_remote(w.agent[0], w.now, &two.c), 0);
	EXPECT_EQ(ice_stats(w.agent[0]).n_pairs, 2);
	world_free(&w);
}

/* --- pairs ------------------------------------------------------------------------------------------------------------------------- */

TEST(spec20_24_pairs_are_pruned_by_base_and_capped)
{
	struct world w;
	struct ice_pair_info info, before = { 0 };
	struct endpoint host = ep("192.168.1.2:52625"), mapped = ep("203.0.113.7:52625");

	world_init(&w, &ice_timing_client, &ice_timing_server);
	give(&w, 0, candidate_host(&host), false);
	give(&w, 0, candidate_srflx(&mapped, &host), false);
	give_relay(&w, 0, "198.51.100.1:50000", false);
	give_host(&w, 1, "10.0.0.1:9", true);
	EXPECT_EQ(ice_stats(w.agent[0]).n_pairs, 2); /* srflx shares the host's base */
	REQUIRE(ice_pair_info(w.agent[0], 0, &info));
	EXPECT_EQ(info.local_kind, CANDIDATE_HOST);

	for (unsigned i = 0; i < 70; i++) {
		char s[40];
		snprintf(s, sizeof(s), "10.1.%u.1:9", i);
		struct endpoint e = ep(s);
		struct candidate c = candidate_host(&e);
		c.priority = 1000000 + i;
		int rc = ice_add_remote(w.agent[0], w.now, &c);
		EXPECT(rc == 0 || rc == ERR_LIMIT);
	}
	EXPECT_EQ(ice_stats(w.agent[0]).n_pairs, ICE_PAIRS_MAX);
	EXPECT_EQ(ice_stats(w.agent[0]).n_remote, ICE_REMOTE_MAX);
	EXPECT(ice_stats(w.agent[0]).pairs_dropped > 0);
	for (size_t i = 0; ice_pair_info(w.agent[0], i, &info); i++) {
		EXPECT(i == 0 || info.priority <= before.priority);
		before = info;
	}
	world_free(&w);
}

TEST(redundant_local_candidates_are_refused_and_discarded_ones_revived)
{
	struct world w;
	struct endpoint host = ep("192.168.1.2:52625"), relay = ep("198.51.100.1:50000");
	struct candidate c = candidate_host(&host);

	world_init(&w, &ice_timing_client, &ice_timing_server);
	EXPECT_EQ(ice_add_local(w.agent[0], w.now, &c), 0);
	EXPECT_EQ(ice_add_local(w.agent[0], w.now, &c), ERR_EXISTS);
	c = candidate_srflx(&host, &host);
	EXPECT_EQ(ice_add_local(w.agent[0], w.now, &c), ERR_EXISTS);
	c = candidate_relay(&relay, 0);
	EXPECT_EQ(ice_add_local(w.agent[0], w.now, &c), 0);
	EXPECT_EQ(c.priority, 37748479);
	EXPECT_EQ(ice_discard_local(w.agent[0], w.now, CANDIDATE_RELAY, &relay), 0);
	EXPECT_EQ(ice_discard_local(w.agent[0], w.now, CANDIDATE_RELAY, &relay), ERR_NOT_FOUND);
	struct candidate all[ICE_LOCAL_MAX];
	EXPECT_EQ(ice_local_candidates(w.agent[0], all), 1);
	c = candidate_relay(&relay, 0);
	EXPECT_EQ(ice_add_local(w.agent[0], w.now, &c), 0);
	EXPECT_EQ(c.priority, 37748479);
	EXPECT_EQ(ice_local_candidates(w.agent[0], all), 2);
	EXPECT_EQ(all[0].kind, CANDIDATE_HOST);
	world_free(&w);
}

TEST(discarded_candidates_make_room_when_the_table_is_full)
{
	struct world w;

	world_init(&w, &ice_timing_client, &ice_timing_server);
	for (unsigned i = 0; i < 3 * ICE_LOCAL_MAX; i++) {
		struct endpoint e = ep("198.51.100.1:1");
		e.port = (u16)(1000 + i);
		struct candidate c = candidate_relay(&e, 0);
		EXPECT_EQ(ice_add_local(w.agent[0], w.now, &c), 0);
		EXPECT_EQ(ice_discard_local(w.agent[0], w.now, CANDIDATE_RELAY, &e), 0);
	}
	EXPECT_EQ(ice_stats(w.agent[0]).n_local, ICE_LOCAL_MAX);
	world_free(&w);
}

/* --- checks and nomination ----------------------------------------------------------------------------------------------------------- */

TEST(spec20_13_roles_and_credentials_as_given)
{
	struct world w;
	struct ice_msg m;

	world_init(&w, &ice_timing_client, &ice_timing_server);
	give_host(&w, 0, "192.168.1.2:52625", true);
	give_host(&w, 1, "192.168.1.3:52625", true);
	run_until(&w, START + SEC(1));
	for (unsigned who = 0; who < 2; who++) {
		EXPECT_EQ(ice_msg_parse(SPAN(w.last_check[who].data, w.last_check[who].len), &m), 0);
		EXPECT_MEM(m.local_ufrag.p, who == 0 ? "bbbb:aaaa" : "aaaa:bbbb", 9);
		EXPECT(stun_has(&m.stun, who == 0 ? ATTR_ICE_CONTROLLING : ATTR_ICE_CONTROLLED));
		EXPECT(!stun_has(&m.stun, who == 0 ? ATTR_ICE_CONTROLLED : ATTR_ICE_CONTROLLING));
		const char *pwd = who == 0 ? "bbbbbbbbbbbbbbbbbbbbbb" : "aaaaaaaaaaaaaaaaaaaaaa";
		EXPECT_EQ(stun_check_integrity(&m.stun, SPAN(pwd, 22)), 0);
		EXPECT_EQ(stun_check_fingerprint(&m.stun), 0);
	}
	EXPECT(selected_is(&w, 0, "192.168.1.2:52625", "192.168.1.3:52625"));
	EXPECT(selected_is(&w, 1, "192.168.1.3:52625", "192.168.1.2:52625"));
	EXPECT_EQ(ice_state(w.agent[0]), ICE_COMPLETED);
	world_free(&w);
}

TEST(spec20_25_attributes_of_a_check_in_order)
{
	static const u16 plain[] = { ATTR_USERNAME, ATTR_ICE_CONTROLLED, ATTR_PRIORITY, ATTR_MESSAGE_INTEGRITY };
	static const u16 nominating[] = { ATTR_USERNAME, ATTR_ICE_CONTROLLING, ATTR_PRIORITY, ATTR_USE_CANDIDATE,
					  ATTR_MESSAGE_INTEGRITY };
	struct world w;
	struct ice_msg m;

	world_init(&w, &ice_timing_client, &ice_timing_server);
	give_host(&w, 0, "192.168.1.2:52625", true);
	give_host(&w, 1, "192.168.1.3:52625", true);
	run_until(&w, START + SEC(5));
	for (unsigned who = 0; who < 2; who++) {
		const u16 *want = who == 0 ? nominating : plain;
		size_t n = who == 0 ? ARRAY_LEN(nominating) : ARRAY_LEN(plain), i = 0;
		EXPECT_EQ(ice_msg_parse(SPAN(w.last_check[who].data, w.last_check[who].len), &m), 0);
		for (struct stun_iter it = { 0 }; stun_next(&m.stun, &it); i++)
			EXPECT(i < n ? it.type == want[i] : it.type == ATTR_FINGERPRINT);
		EXPECT_EQ(m.priority, 1862270719);
		EXPECT_EQ(m.use_candidate, who == 0);
	}
	world_free(&w);
}

TEST(spec20_26_unknown_source_becomes_peer_reflexive_but_not_when_withdrawn)
{
	struct world w;
	struct ice_pair_info info;

	world_init(&w, &ice_timing_client, &ice_timing_server);
	give_host(&w, 0, "192.168.1.2:52625", false); /* B is not told */
	give_host(&w, 1, "10.0.0.3:52625", true);
	w.nat[w.n_nat++] = (struct nat){ ep("192.168.1.2:52625"), ep("203.0.113.7:40000") };
	run_until(&w, START + SEC(1));
	EXPECT(selected_is(&w, 1, "10.0.0.3:52625", "203.0.113.7:40000"));
	REQUIRE(ice_pair_info(w.agent[1], 0, &info));
	EXPECT_EQ(info.remote_kind, CANDIDATE_PRFLX);

	/* the mapped address is kept for the next upsert */
	struct candidate all[ICE_LOCAL_MAX];
	EXPECT_EQ(ice_local_candidates(w.agent[0], all), 2);
	EXPECT_EQ(all[1].kind, CANDIDATE_PRFLX);

	/* the signalled candidate replaces the peer-reflexive one in place, with its true rank */
	struct endpoint out = ep("203.0.113.7:40000");
	struct candidate c = candidate_srflx(&out, &out);
	c.priority = 1686109951;
	EXPECT_EQ(ice_add_remote(w.agent[1], w.now, &c), 0);
	EXPECT_EQ(ice_stats(w.agent[1]).n_remote, 1);
	u64 before = info.priority;
	REQUIRE(ice_pair_info(w.agent[1], 0, &info));
	EXPECT_EQ(info.remote_kind, CANDIDATE_SRFLX);
	EXPECT(info.priority < before);

	/* withdrawn: checks from there are no longer answered */
	EXPECT_EQ(ice_remove_remote(w.agent[1], w.now, &c), 0);
	u32 answers = ice_stats(w.agent[1]).answers_sent;
	run_until(&w, w.now + SEC(5));
	EXPECT_EQ(ice_stats(w.agent[1]).answers_sent, answers);
	EXPECT_EQ(ice_stats(w.agent[1]).n_pairs, 0);
	world_free(&w);
}

TEST(checks_to_unknown_places_or_with_wrong_keys_are_not_answered)
{
	struct world w;
	struct ice_msg m;
	struct ice_transmit t;

	world_init(&w, &ice_timing_client, &ice_timing_server);
	give_host(&w, 0, "192.168.1.2:52625", true);
	give_host(&w, 1, "192.168.1.3:52625", true);
	ice_timeout(w.agent[0], w.now);
	REQUIRE(ice_poll_transmit(w.agent[0], &t));
	EXPECT_EQ(ice_msg_parse(SPAN(t.data, t.len), &m), 0);
	struct endpoint elsewhere = ep("192.168.1.99:52625"), from = ep("192.168.1.2:52625"), at = ep("192.168.1.3:52625");
	EXPECT_EQ(ice_input(w.agent[1], w.now, &elsewhere, &from, &m), ERR_NOT_FOUND);
	t.data[t.len - 12] ^= 1; /* in the integrity */
	EXPECT_EQ(ice_msg_parse(SPAN(t.data, t.len), &m), 0);
	EXPECT_EQ(ice_input(w.agent[1], w.now, &at, &from, &m), ERR_AUTH);
	t.data[t.len - 12] ^= 1;
	EXPECT_EQ(ice_input(w.agent[0], w.now, &from, &at, &m), ERR_AUTH); /* our own, reflected */
	EXPECT(!ice_poll_transmit(w.agent[1], &t) || is_request(&t));
	world_free(&w);
}

static u8 seen_txid[64][STUN_TXID];
static unsigned n_seen, n_repeated;

static void spy_txids(struct world *w, unsigned from, const struct ice_transmit *t)
{
	(void)w;
	if (from != 0 || !is_request(t) || n_seen == ARRAY_LEN(seen_txid))
		return;
	for (unsigned i = 0; i < n_seen; i++)
		n_repeated += memcmp(seen_txid[i], t->data + 8, STUN_TXID) == 0;
	memcpy(seen_txid[n_seen++], t->data + 8, STUN_TXID);
}

TEST(spec20_27_new_transaction_for_every_check)
{
	struct world w;

	world_init(&w, &ice_timing_client, &ice_timing_server);
	w.spy = spy_txids;
	give_host(&w, 0, "192.168.1.2:52625", true);
	give_host(&w, 1, "192.168.1.3:52625", true);
	run_until(&w, START + SEC(20));
	EXPECT(n_seen > 10);
	EXPECT_EQ(n_repeated, 0);
	world_free(&w);
}

static unsigned n_use_candidate;

static void spy_use_candidate(struct world *w, unsigned from, const struct ice_transmit *t)
{
	struct ice_msg m;

	(void)w;
	if (ice_msg_parse(SPAN(t->data, t->len), &m) == 0 && m.is_request && m.use_candidate) {
		EXPECT_EQ(from, 0);
		n_use_candidate++;
	}
}

TEST(spec20_28_renominates_when_better_succeeds_and_repeats_use_candidate)
{
	struct world w;

	world_init(&w, &ice_timing_client, &ice_timing_server);
	w.spy = spy_use_candidate;
	n_use_candidate = 0;
	give_relay(&w, 0, "198.51.100.1:50000", true);
	give_relay(&w, 1, "198.51.100.2:50000", true);
	run_until(&w, START + MSEC(100));
	EXPECT(selected_is(&w, 0, "198.51.100.1:50000", "198.51.100.2:50000"));
	EXPECT(selected_is(&w, 1, "198.51.100.2:50000", "198.51.100.1:50000"));
	EXPECT_EQ(n_use_candidate, 1);
	give_host(&w, 0, "192.168.1.2:52625", true);
	give_host(&w, 1, "192.168.1.3:52625", true);
	block(&w, "198.51.100.1:50000");
	run_until(&w, START + MSEC(200));
	EXPECT(selected_is(&w, 0, "192.168.1.2:52625", "192.168.1.3:52625"));
	EXPECT(selected_is(&w, 1, "192.168.1.3:52625", "192.168.1.2:52625"));
	EXPECT(n_use_candidate >= 2);
	unsigned before = n_use_candidate;
	run_until(&w, START + SEC(10));
	EXPECT(n_use_candidate > before + 4);
	world_free(&w);
}

TEST(spec20_29_controlled_follows_highest_nominated)
{
	struct world w;

	world_init(&w, &ice_timing_client, &ice_timing_server);
	give_host(&w, 0, "192.168.1.2:52625", true);
	give_host(&w, 1, "192.168.1.3:52625", true);
	give_relay(&w, 1, "198.51.100.2:50000", true);
	run_until(&w, START + SEC(1));
	EXPECT(selected_is(&w, 1, "192.168.1.3:52625", "192.168.1.2:52625"));
	EXPECT_EQ(ice_state(w.agent[1]), ICE_CONNECTED);

	/* the better path dies: controlling gives it up, and controlled, though far more patient, follows */
	block(&w, "192.168.1.3:52625");
	run_until(&w, START + SEC(22));
	EXPECT(selected_is(&w, 0, "192.168.1.2:52625", "198.51.100.2:50000"));
	EXPECT(selected_is(&w, 1, "198.51.100.2:50000", "192.168.1.2:52625"));
	world_free(&w);
}

TEST(controlling_ignores_use_candidate)
{
	struct world w;
	struct ice_msg m;
	struct ice_transmit t;
	struct ice_credentials c0 = creds("aaaa", "aaaaaaaaaaaaaaaaaaaaaa"), c1 = creds("bbbb", "bbbbbbbbbbbbbbbbbbbbbb");
	u8 buf[ICE_MESSAGE_MAX], txid[STUN_TXID] = { 1 };
	struct endpoint at = ep("192.168.1.2:52625"), from = ep("192.168.1.3:52625");

	world_init(&w, &ice_timing_client, &ice_timing_server);
	give_host(&w, 0, "192.168.1.2:52625", true);
	int n = ice_write_check(buf, &(struct ice_check){ txid, &c1, &c0, 1, 5, true, true });
	REQUIRE(n > 0);
	EXPECT_EQ(ice_msg_parse(SPAN(buf, n), &m), 0);
	EXPECT_EQ(ice_input(w.agent[0], w.now, &at, &from, &m), ERR_DENIED);
	EXPECT(!ice_poll_transmit(w.agent[0], &t));
	world_free(&w);
}

/* --- removing, guessing ------------------------------------------------------------------------------------------------------------------- */

TEST(spec20_34_invalidation_matches_by_address_and_kind_only)
{
	struct world w;
	struct candidate_text t;

	world_init(&w, &ice_timing_client, &ice_timing_server);
	give_host(&w, 0, "192.168.1.2:52625", true);
	give_relay(&w, 1, "198.51.100.2:50000", true);
	EXPECT_EQ(ice_stats(w.agent[0]).n_pairs, 1);
	EXPECT_EQ(parse("candidate:9 1 udp 7 198.51.100.2 50000 typ srflx raddr 0.0.0.0 rport 0", &t), 0);
	EXPECT_EQ(ice_remove_remote(w.agent[0], w.now, &t.c), ERR_NOT_FOUND);
	EXPECT_EQ(parse("candidate:9 1 udp 7 198.51.100.2 50000 typ relay", &t), 0);
	EXPECT_EQ(ice_remove_remote(w.agent[0], w.now, &t.c), ERR_NOT_FOUND);
	EXPECT_EQ(parse("candidate:9 1 udp 7 198.51.100.2 50000 typ relay raddr 0.0.0.0 rport 0", &t), 0);
	EXPECT_EQ(ice_remove_remote(w.agent[0], w.now, &t.c), 0);
	EXPECT_EQ(ice_stats(w.agent[0]).n_pairs, 0);
	ice_timeout(w.agent[0], w.now);
	EXPECT_EQ(ice_state(w.agent[0]), ICE_DISCONNECTED);
	EXPECT_EQ(ice_add_remote(w.agent[0], w.now, &t.c), 0); /* enabled again */
	EXPECT_EQ(ice_stats(w.agent[0]).n_pairs, 1);
	EXPECT_EQ(ice_stats(w.agent[0]).n_remote, 1);
	world_free(&w);
}

TEST(failover_when_the_nominated_candidate_is_withdrawn)
{
	struct world w;

	world_init(&w, &ice_timing_client, &ice_timing_server);
	give_host(&w, 0, "192.168.1.2:52625", true);
	give_host(&w, 1, "192.168.1.3:52625", true);
	struct candidate relay = give_relay(&w, 1, "198.51.100.2:50000", true);
	block(&w, "192.168.1.3:52625");
	run_until(&w, START + SEC(1));
	EXPECT(selected_is(&w, 0, "192.168.1.2:52625", "198.51.100.2:50000"));
	w.n_blocked = 0;
	EXPECT_EQ(ice_remove_remote(w.agent[0], w.now, &relay), 0);
	EXPECT_EQ(ice_discard_local(w.agent[1], w.now, CANDIDATE_RELAY, &relay.addr), 0);
	run_until(&w, START + SEC(4));
	EXPECT(selected_is(&w, 0, "192.168.1.2:52625", "192.168.1.3:52625"));
	world_free(&w);
}

TEST(spec20_35_optimistic_candidates)
{
	struct world w;
	static const char *const texts[] = {
		"candidate:1 1 udp 1 10.0.0.5 52625 typ host",
		"candidate:1 1 udp 1 10.0.0.6 52626 typ host",
		"candidate:1 1 udp 1 10.0.0.7 52627 typ host",
		"candidate:1 1 udp 1 2001:db8::5 52625 typ host",
		"candidate:1 1 udp 1 2001:db8::5 1000 typ srflx raddr :: rport 0",
	};

	world_init(&w, &ice_timing_client, &ice_timing_server);
	give_host(&w, 0, "192.168.1.2:52625", false);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct candidate_text t;
		EXPECT_EQ(parse(texts[i], &t), 0);
		EXPECT_EQ(ice_add_remote(w.agent[0], w.now, &t.c), 0);
		ice_add_optimistic(w.agent[0], w.now);
	}
	EXPECT_EQ(ice_stats(w.agent[0]).n_remote, 5); /* no IPv6 guesses */
	struct candidate_text t;
	EXPECT_EQ(parse("candidate:1 1 udp 1 203.0.113.9 40000 typ srflx raddr 0.0.0.0 rport 0", &t), 0);
	EXPECT_EQ(ice_add_remote(w.agent[0], w.now, &t.c), 0);
	ice_add_optimistic(w.agent[0], w.now);
	EXPECT_EQ(ice_stats(w.agent[0]).n_remote, 8); /* itself and two guesses */
	ice_add_optimistic(w.agent[0], w.now);
	EXPECT_EQ(ice_stats(w.agent[0]).n_remote, 9);
	ice_add_optimistic(w.agent[0], w.now);
	EXPECT_EQ(ice_stats(w.agent[0]).n_remote, 9);
	bool is_guessed = false;
	struct ice_pair_info info;
	struct endpoint guess = ep("203.0.113.9:52625");
	for (size_t i = 0; ice_pair_info(w.agent[0], i, &info); i++)
		is_guessed |= endpoint_eq(&info.path.remote, &guess);
	EXPECT(is_guessed);
	world_free(&w);
}
