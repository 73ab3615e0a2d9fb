/* The TURN client: requests, life and errors of an allocation (spec 20 §7). */
#include "tests/unit/allocation_world.h"

/* --- requests ---------------------------------------------------------------------------------------------------------------- */

TEST(spec20_46_first_allocate_is_byte_exact)
{
	/* spec 50 §2.11, but for the transaction id and so the sum */
	static const char tail[] = "\x00\x19\x00\x04\x11\x00\x00\x00\x80\x00\x00\x04\x02\x00\x00\x00\x80\x22\x00\x07snownet\x00"
				   "\x00\x06\x00\x36" USER "\x00\x00\x00\x14\x00\x08"
				   "firezone\x00\x08\x00\x14";
	struct world w;

	world_init(&w);
	EXPECT_EQ(answer_binding(&w, &w.sent[0]), 0);
	const struct sent *s = last(&w, TURN_ALLOCATE);
	REQUIRE(s != NULL);
	EXPECT_EQ(s->n, 144);
	EXPECT_MEM(s->raw + STUN_HEADER, tail, sizeof(tail) - 1);
	EXPECT_EQ(stun_check_integrity(&s->m, SPAN(w.key, sizeof(w.key))), 0);
	EXPECT(endpoint_eq(&s->dst, &w.relay4));
	world_end(&w);
}

TEST(spec20_46_second_allocate_carries_the_nonce)
{
	struct world w;

	world_init(&w);
	answer_binding(&w, &w.sent[0]);
	const struct sent *first = last(&w, TURN_ALLOCATE);
	answer_error(&w, first, STUN_UNAUTHORIZED, NONCE);
	const struct sent *second = last(&w, TURN_ALLOCATE);
	REQUIRE(second != first);
	EXPECT(has_text(&second->m, ATTR_NONCE, NONCE));
	EXPECT(memcmp(first->m.txid, second->m.txid, STUN_TXID) != 0);
	EXPECT_EQ(stun_check_integrity(&second->m, SPAN(w.key, sizeof(w.key))), 0);
	world_end(&w);
}

TEST(channel_bind_has_the_layout_of_spec20_7_1)
{
	struct world w;
	struct endpoint peer = ep("198.51.100.99:52625"), got;
	u16 number;
	static const u16 order[] = { ATTR_XOR_PEER_ADDRESS, ATTR_CHANNEL_NUMBER, ATTR_SOFTWARE,		 ATTR_USERNAME,
				     ATTR_REALM,	    ATTR_NONCE,		 ATTR_MESSAGE_INTEGRITY };

	world_init(&w);
	go_live(&w);
	allocation_bind(w.a, w.now, &peer);
	drain(&w);
	const struct sent *s = last(&w, TURN_CHANNEL_BIND);
	REQUIRE(s != NULL);
	struct stun_iter it = { 0 };
	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		EXPECT(stun_next(&s->m, &it) && it.type == order[i]);
	EXPECT_EQ(stun_get_address(&s->m, ATTR_XOR_PEER_ADDRESS, &got), 0);
	EXPECT(endpoint_eq(&got, &peer));
	EXPECT_EQ(stun_get_channel(&s->m, &number), 0);
	EXPECT_EQ(number, 0x4000);
	world_end(&w);
}

TEST(spec20_47_unsigned_and_foreign_answers_are_ignored)
{
	struct world w;
	struct reply r;

	world_init_v4(&w);
	answer_binding(&w, &w.sent[0]);
	const struct sent *s = last(&w, TURN_ALLOCATE);
	size_t before = w.n_sent;

	/* unsigned 401 */
	reply_begin(&r, STUN_ERROR, s);
	stun_put_error(&r.b, STUN_UNAUTHORIZED);
	stun_put(&r.b, ATTR_REALM, SPAN_STR("firezone"));
	stun_put(&r.b, ATTR_NONCE, SPAN_STR(NONCE));
	EXPECT_EQ(deliver(&w, &r, s), ERR_AUTH);
	/* signed with another key */
	reply_begin(&r, STUN_ERROR, s);
	stun_put_error(&r.b, STUN_UNKNOWN_ATTRIBUTE);
	stun_put_integrity(&r.b, SPAN_STR("another key 16 b"));
	EXPECT_EQ(deliver(&w, &r, s), ERR_AUTH);
	/* from an address that is not the one asked */
	reply_begin(&r, STUN_ERROR, s);
	stun_put_error(&r.b, STUN_UNAUTHORIZED);
	stun_put(&r.b, ATTR_NONCE, SPAN_STR(NONCE));
	stun_put_integrity(&r.b, SPAN(w.key, sizeof(w.key)));
	struct endpoint other = ep("203.0.113.6:3478");
	EXPECT_EQ(deliver_from(&w, &r, &other), ERR_NOT_OURS);
	/* indications are no answers */
	reply_begin(&r, STUN_INDICATION, s);
	EXPECT_EQ(deliver_signed(&w, &r, s), ERR_NOT_OURS);

	EXPECT_EQ(w.n_sent, before);
	run_for(&w, SEC(1));
	EXPECT_EQ(w.n_sent, before + 1); /* still retransmitting */
	EXPECT_EQ(allocation_stats(w.a)->rx_unsigned, 2);
	world_end(&w);
}

TEST(spec20_48_retransmits_then_gives_up)
{
	struct world w;
	static const u64 at[] = { MSEC(0), MSEC(1000), MSEC(2500), MSEC(4750) };

	world_init_v4(&w);
	u64 start = w.now;
	run_until(&w, start + MSEC(8124));
	REQUIRE(w.n_sent == ARRAY_LEN(at));
	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		EXPECT_EQ(w.sent[i].at - start, at[i]);
		EXPECT_MEM(w.sent[i].m.txid, w.sent[0].m.txid, STUN_TXID); /* BINDING keeps its id */
	}
	EXPECT(!allocation_is_freed(w.a));
	run_until(&w, start + MSEC(8125));
	const struct allocation_event *e = find_event(&w, ALLOCATION_FREED);
	REQUIRE(e != NULL);
	EXPECT_EQ(e->reason, ALLOCATION_NO_RESPONSE);
	EXPECT(allocation_next_timeout(w.a) == TIME_NEVER);
	EXPECT_EQ(w.n_sent, ARRAY_LEN(at));
	world_end(&w);
}

TEST(spec20_48_authenticated_retransmits_have_new_ids)
{
	struct world w;

	world_init_v4(&w);
	answer_binding(&w, &w.sent[0]);
	u64 start = w.now;
	w.n_sent = 1;
	run_until(&w, start + MSEC(8124));
	REQUIRE(w.n_sent == 4);
	for (size_t i = 1; i < 4; i++)
		for (size_t k = 1; k < i; k++)
			EXPECT(memcmp(w.sent[i].m.txid, w.sent[k].m.txid, STUN_TXID) != 0);
	/* late answer to an old id */
	EXPECT_EQ(answer_error(&w, &w.sent[1], STUN_UNAUTHORIZED, NONCE), ERR_NOT_OURS);
	run_until(&w, start + MSEC(8125));
	EXPECT(find_event(&w, ALLOCATION_FREED) != NULL);
	world_end(&w);
}

TEST(late_binding_answer_still_counts_and_rtt_is_from_the_first_transmission)
{
	struct world w;

	world_init_v4(&w);
	run_for(&w, MSEC(1200));
	EXPECT_EQ(count(&w, STUN_BINDING), 2);
	EXPECT_EQ(answer_binding(&w, &w.sent[0]), 0);
	EXPECT_EQ(allocation_srtt(w.a), MSEC(1200));
	world_end(&w);
}

TEST(rtt_is_smoothed)
{
	struct world w;

	world_init_v4(&w);
	EXPECT(allocation_srtt(w.a) == TIME_NEVER);
	w.now += MSEC(80);
	answer_binding(&w, &w.sent[0]);
	EXPECT_EQ(allocation_srtt(w.a), MSEC(80));
	w.now += MSEC(160);
	answer_error(&w, last(&w, TURN_ALLOCATE), STUN_UNAUTHORIZED, NONCE);
	EXPECT_EQ(allocation_srtt(w.a), MSEC(90));
	world_end(&w);
}

/* --- life -------------------------------------------------------------------------------------------------------------------- */

TEST(spec20_49_first_binding_answer_fixes_the_socket)
{
	struct world w;

	world_init(&w);
	EXPECT_EQ(count(&w, STUN_BINDING), 2);
	EXPECT(allocation_active(w.a) == NULL);
	EXPECT_EQ(answer_binding(&w, &w.sent[1]), 0); /* IPv6 is faster */
	REQUIRE(allocation_active(w.a) != NULL);
	EXPECT(endpoint_eq(allocation_active(w.a), &w.relay6));
	EXPECT_EQ(answer_binding(&w, &w.sent[0]), 0);
	EXPECT(endpoint_eq(allocation_active(w.a), &w.relay6));
	EXPECT_EQ(count(&w, TURN_ALLOCATE), 1); /* never over both */
	EXPECT(endpoint_eq(&last(&w, TURN_ALLOCATE)->dst, &w.relay6));
	world_end(&w);
}

TEST(silence_of_the_other_family_changes_nothing)
{
	struct world w;

	world_init(&w);
	go_live(&w);
	run_for(&w, SEC(9));
	EXPECT(allocation_active(w.a) != NULL);
	EXPECT(!allocation_is_freed(w.a));
	world_end(&w);
}

TEST(spec20_15_candidates_come_from_answers)
{
	struct world w;
	struct allocation_event c[6];

	world_init(&w);
	answer_binding(&w, &w.sent[0]);
	answer_binding(&w, &w.sent[1]);
	answer_error(&w, last(&w, TURN_ALLOCATE), STUN_UNAUTHORIZED, NONCE);
	answer_allocate(&w, last(&w, TURN_ALLOCATE), "203.0.113.5:50000", "[2001:db8::5]:50000", 600);
	REQUIRE(allocation_candidates(w.a, c) == 6);
	struct endpoint srflx = ep("198.51.100.7:40000"), relayed = ep("203.0.113.5:50000");
	EXPECT(c[0].kind == ALLOCATION_HOST && endpoint_eq(&c[0].addr, &w.local4));
	EXPECT(c[1].kind == ALLOCATION_HOST && endpoint_eq(&c[1].addr, &w.local6));
	EXPECT(c[2].kind == ALLOCATION_SRFLX && endpoint_eq(&c[2].addr, &srflx) && endpoint_eq(&c[2].base, &w.local4));
	EXPECT(c[4].kind == ALLOCATION_RELAY && endpoint_eq(&c[4].addr, &relayed) && endpoint_eq(&c[4].base, &relayed));
	size_t told = 0;
	for (size_t i = 0; i < w.n_events; i++)
		told += w.events[i].type == ALLOCATION_CANDIDATE;
	EXPECT_EQ(told, 6);
	world_end(&w);
}

TEST(unusable_addresses_are_no_candidates)
{
	static const char *const bad[] = { "0.0.0.0:1", "224.0.0.1:1", "169.254.1.1:1", "255.255.255.255:1" };
	struct world w;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct allocation_event c[6];
		world_init_v4(&w);
		answer_binding_as(&w, &w.sent[0], bad[i]);
		EXPECT_EQ(allocation_candidates(w.a, c), 1); /* the host */
		world_end(&w);
	}
	struct allocation_event c[6];
	world_init_v4(&w);
	answer_binding_as(&w, &w.sent[0], "[2001:db8::1]:1"); /* srflx of another family than its base */
	EXPECT_EQ(allocation_candidates(w.a, c), 1);
	world_end(&w);
}

TEST(a_moved_srflx_is_new_but_the_old_one_stays_valid)
{
	struct world w;

	world_init_v4(&w);
	go_live(&w);
	run_for(&w, SEC(25));
	answer_binding_as(&w, last(&w, STUN_BINDING), "198.51.100.7:41000");
	REQUIRE(w.n_events == 1);
	EXPECT_EQ(w.events[0].type, ALLOCATION_CANDIDATE);
	EXPECT_EQ(w.events[0].addr.port, 41000);
	world_end(&w);
}

TEST(spec20_50_refreshes_at_half_lifetime)
{
	struct world w;

	world_init_v4(&w);
	go_live(&w);
	u64 start = w.now;
	while (w.now < start + SEC(299)) {
		run_for(&w, SEC(1));
		allocation_note_sent(w.a, w.now);
	}
	EXPECT_EQ(count(&w, TURN_REFRESH), 0);
	EXPECT_EQ(count(&w, STUN_BINDING), 0); /* channel data postpones the keepalive */
	run_until(&w, start + SEC(300));
	const struct sent *s = last(&w, TURN_REFRESH);
	REQUIRE(s != NULL);
	EXPECT(has_text(&s->m, ATTR_NONCE, NONCE));
	EXPECT_EQ(answer_lifetime(&w, s, 600), 0);
	w.n_sent = 0;
	while (w.now < start + SEC(599)) {
		run_for(&w, SEC(1));
		allocation_note_sent(w.a, w.now);
	}
	EXPECT_EQ(count(&w, TURN_REFRESH), 0);
	run_until(&w, start + SEC(600));
	EXPECT_EQ(count(&w, TURN_REFRESH), 1);
	world_end(&w);
}

TEST(spec20_50_keepalive_after_25_s_of_silence)
{
	struct world w;

	world_init_v4(&w);
	go_live(&w);
	u64 start = w.now;
	run_until(&w, start + SEC(25) - 1);
	EXPECT_EQ(count(&w, STUN_BINDING), 0);
	run_until(&w, start + SEC(25));
	EXPECT_EQ(count(&w, STUN_BINDING), 1);
	answer_binding(&w, last(&w, STUN_BINDING));
	run_until(&w, start + SEC(40));
	allocation_note_sent(w.a, w.now);
	run_until(&w, start + SEC(65) - 1);
	EXPECT_EQ(count(&w, STUN_BINDING), 1);
	run_until(&w, start + SEC(65));
	EXPECT_EQ(count(&w, STUN_BINDING), 2);
	world_end(&w);
}

TEST(no_keepalive_without_an_allocation)
{
	struct world w;

	world_init_v4(&w);
	answer_binding(&w, &w.sent[0]);
	answer_error(&w, last(&w, TURN_ALLOCATE), STUN_INSUFFICIENT_CAPACITY, NULL);
	w.n_sent = 0;
	run_for(&w, SEC(3600));
	EXPECT_EQ(w.n_sent, 0);
	EXPECT(!allocation_is_freed(w.a));
	world_end(&w);
}

TEST(silent_relay_frees_a_live_allocation)
{
	struct world w;

	world_init_v4(&w);
	go_live(&w);
	u64 start = w.now;
	run_until(&w, start + SEC(25) + MSEC(8125));
	REQUIRE(w.n_events == 3); /* both relay candidates, then itself */
	EXPECT_EQ(w.events[0].type, ALLOCATION_CANDIDATE_GONE);
	EXPECT_EQ(w.events[1].type, ALLOCATION_CANDIDATE_GONE);
	EXPECT_EQ(w.events[2].type, ALLOCATION_FREED);
	EXPECT(allocation_relayed(w.a, 4) == NULL);
	world_end(&w);
}

/* --- errors ------------------------------------------------------------------------------------------------------------------ */

TEST(spec20_51_401_with_nonce_ends_the_credentials)
{
	struct world w;

	world_init_v4(&w);
	answer_binding(&w, &w.sent[0]);
	answer_error(&w, last(&w, TURN_ALLOCATE), STUN_UNAUTHORIZED, NONCE);
	answer_error(&w, last(&w, TURN_ALLOCATE), STUN_UNAUTHORIZED, NONCE);
	const struct allocation_event *e = find_event(&w, ALLOCATION_FREED);
	REQUIRE(e != NULL);
	EXPECT_EQ(e->reason, ALLOCATION_BAD_CREDENTIALS);
	world_end(&w);
}

TEST(spec20_51_438_repeats_with_the_new_nonce)
{
	struct world w;

	world_init_v4(&w);
	go_live(&w);
	run_for(&w, SEC(24));
	allocation_refresh(w.a, w.now);
	drain(&w);
	answer_error(&w, last(&w, TURN_REFRESH), STUN_STALE_NONCE, "fresh");
	EXPECT(has_text(&last(&w, TURN_REFRESH)->m, ATTR_NONCE, "fresh"));
	EXPECT_EQ(answer_lifetime(&w, last(&w, TURN_REFRESH), 600), 0);
	EXPECT(find_event(&w, ALLOCATION_CANDIDATE_GONE) == NULL);
	world_end(&w);
}

TEST(spec20_51_endless_challenges_end)
{
	struct world w;

	world_init_v4(&w);
	answer_binding(&w, &w.sent[0]);
	for (int i = 0; i < 100; i++) {
		size_t before = w.n_sent;
		answer_error(&w, last(&w, TURN_ALLOCATE), STUN_STALE_NONCE, "again");
		if (w.n_sent == before)
			break;
	}
	EXPECT(count(&w, TURN_ALLOCATE) < 20);
	world_end(&w);
}

TEST(spec20_51_foreign_realm_gives_up)
{
	struct world w;
	struct reply r;

	world_init_v4(&w);
	answer_binding(&w, &w.sent[0]);
	const struct sent *s = last(&w, TURN_ALLOCATE);
	size_t before = w.n_sent;
	reply_begin(&r, STUN_ERROR, s);
	stun_put_error(&r.b, STUN_UNAUTHORIZED);
	stun_put(&r.b, ATTR_REALM, SPAN_STR("elsewhere"));
	stun_put(&r.b, ATTR_NONCE, SPAN_STR(NONCE));
	EXPECT_EQ(deliver_signed(&w, &r, s), 0);
	run_for(&w, SEC(20));
	EXPECT_EQ(w.n_sent, before);
	world_end(&w);
}

TEST(spec20_51_437_on_allocate_deletes_then_allocates)
{
	struct world w;
	u32 lifetime = 1;

	world_init_v4(&w);
	answer_binding(&w, &w.sent[0]);
	answer_error(&w, last(&w, TURN_ALLOCATE), STUN_UNAUTHORIZED, NONCE);
	answer_error(&w, last(&w, TURN_ALLOCATE), STUN_ALLOCATION_MISMATCH, NULL);
	const struct sent *s = last(&w, TURN_REFRESH);
	REQUIRE(s != NULL);
	EXPECT_EQ(stun_get_u32(&s->m, ATTR_LIFETIME, &lifetime), 0);
	EXPECT_EQ(lifetime, 0);
	size_t before = w.n_sent;
	EXPECT_EQ(answer_lifetime(&w, s, 0), 0);
	EXPECT(last_since(&w, before, TURN_ALLOCATE) != NULL);
	EXPECT_EQ(answer_allocate(&w, last(&w, TURN_ALLOCATE), "203.0.113.5:50001", NULL, 600), 0);
	EXPECT(allocation_relayed(w.a, 4) != NULL);
	EXPECT(allocation_relayed(w.a, 6) == NULL);
	world_end(&w);
}

TEST(spec20_51_437_on_refresh_allocates_anew)
{
	struct world w;

	world_init_v4(&w);
	go_live(&w);
	allocation_refresh(w.a, w.now);
	drain(&w);
	answer_error(&w, last(&w, TURN_REFRESH), STUN_ALLOCATION_MISMATCH, NULL);
	EXPECT_EQ(w.n_events, 2);
	EXPECT_EQ(w.events[0].type, ALLOCATION_CANDIDATE_GONE);
	EXPECT(last(&w, TURN_ALLOCATE) != NULL);
	answer_allocate(&w, last(&w, TURN_ALLOCATE), "203.0.113.5:50002", NULL, 600);
	REQUIRE(w.n_events == 3);
	EXPECT(w.events[2].type == ALLOCATION_CANDIDATE && w.events[2].addr.port == 50002);
	world_end(&w);
}

TEST(spec20_51_437_on_channel_bind_remembers_the_peer)
{
	struct world w;
	struct endpoint peer = ep("198.51.100.99:52625");

	world_init_v4(&w);
	go_live(&w);
	allocation_bind(w.a, w.now, &peer);
	drain(&w);
	answer_error(&w, last(&w, TURN_CHANNEL_BIND), STUN_ALLOCATION_MISMATCH, NULL);
	w.n_sent -= 1;
	const struct sent *s = &w.sent[w.n_sent++];
	REQUIRE(s->m.method == TURN_ALLOCATE);
	size_t before = w.n_sent;
	answer_allocate(&w, s, "203.0.113.5:50002", NULL, 600);
	s = last_since(&w, before, TURN_CHANNEL_BIND);
	REQUIRE(s != NULL);
	struct endpoint got;
	EXPECT(stun_get_address(&s->m, ATTR_XOR_PEER_ADDRESS, &got) == 0 && endpoint_eq(&got, &peer));
	world_end(&w);
}

TEST(spec20_51_420_frees_at_once)
{
	struct world w;

	world_init_v4(&w);
	answer_binding(&w, &w.sent[0]);
	answer_error(&w, last(&w, TURN_ALLOCATE), STUN_UNKNOWN_ATTRIBUTE, NULL);
	const struct allocation_event *e = find_event(&w, ALLOCATION_FREED);
	REQUIRE(e != NULL);
	EXPECT_EQ(e->reason, ALLOCATION_INCOMPATIBLE);
	EXPECT(allocation_next_timeout(w.a) == TIME_NEVER);
	world_end(&w);
}

TEST(spec20_51_other_errors_suspend_until_refresh)
{
	static const enum stun_error_code codes[] = { STUN_FORBIDDEN, STUN_FAMILY_NOT_SUPPORTED, STUN_QUOTA_REACHED,
						      STUN_SERVER_ERROR, STUN_INSUFFICIENT_CAPACITY };

	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		struct world w;
		struct endpoint peer = ep("198.51.100.99:52625");
		world_init_v4(&w);
		EXPECT_EQ(allocation_bind(w.a, w.now, &peer), 0); /* buffered, then thrown away */
		answer_binding(&w, &w.sent[0]);
		answer_error(&w, last(&w, TURN_ALLOCATE), codes[i], NULL);
		EXPECT_EQ(allocation_bind(w.a, w.now, &peer), ERR_STATE);
		size_t before = w.n_sent;
		run_for(&w, SEC(7200));
		EXPECT_EQ(w.n_sent, before);
		EXPECT(!allocation_is_freed(w.a));
		allocation_refresh(w.a, w.now);
		drain(&w);
		REQUIRE(last_since(&w, before, STUN_BINDING) != NULL);
		answer_binding(&w, last_since(&w, before, STUN_BINDING));
		REQUIRE(last_since(&w, before, TURN_ALLOCATE) != NULL);
		answer_allocate(&w, last(&w, TURN_ALLOCATE), "203.0.113.5:50000", NULL, 600);
		EXPECT(allocation_relayed(w.a, 4) != NULL);
		EXPECT_EQ(count(&w, TURN_CHANNEL_BIND), 0);
		world_end(&w);
	}
}

TEST(refresh_error_lets_the_allocation_run_until_expiry_then_allocates)
{
	struct world w;

	world_init_v4(&w);
	go_live(&w);
	u64 start = w.now;
	while (w.now < start + SEC(300)) {
		run_for(&w, SEC(10));
		allocation_note_sent(w.a, w.now);
	}
	answer_error(&w, last(&w, TURN_REFRESH), STUN_SERVER_ERROR, NULL);
	w.n_sent = 0;
	while (w.now < start + SEC(590)) {
		run_for(&w, SEC(10));
		allocation_note_sent(w.a, w.now);
	}
	EXPECT_EQ(w.n_sent, 0);
	EXPECT(allocation_relayed(w.a, 4) != NULL);
	run_until(&w, start + SEC(600));
	EXPECT_EQ(count(&w, TURN_ALLOCATE), 1);
	EXPECT(allocation_relayed(w.a, 4) == NULL);
	world_end(&w);
}

TEST(spec20_55_probe_is_single_shot_for_one_second)
{
	struct world w;

	world_init_v4(&w);
	go_live(&w);
	u64 start = w.now;
	allocation_refresh(w.a, w.now);
	allocation_refresh(w.a, w.now); /* one at a time */
	drain(&w);
	run_until(&w, start + SEC(1) - 1);
	EXPECT_EQ(count(&w, TURN_REFRESH), 1);
	EXPECT(!allocation_is_freed(w.a));
	run_until(&w, start + SEC(1));
	EXPECT(allocation_is_freed(w.a));
	EXPECT_EQ(count(&w, TURN_REFRESH), 1);
	world_end(&w);
}
