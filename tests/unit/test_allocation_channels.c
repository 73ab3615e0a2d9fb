/* The TURN client: channels, servers of the RFC, and a relay gone mad (spec 20 §7). */
#include "tests/unit/allocation_world.h"

/* --- channels ---------------------------------------------------------------------------------------------------------------- */

TEST(spec20_52_numbers_are_sequential_and_peers_keep_theirs)
{
	struct world w;

	world_init(&w);
	go_live(&w);
	EXPECT_EQ(bind_confirmed(&w, "198.51.100.1:1"), 0x4000);
	EXPECT_EQ(bind_confirmed(&w, "198.51.100.1:2"), 0x4001);
	EXPECT_EQ(bind_confirmed(&w, "[2001:db8::9]:2"), 0x4002);
	size_t before = w.n_sent;
	struct endpoint again = ep("198.51.100.1:1");
	EXPECT_EQ(allocation_bind(w.a, w.now, &again), 0); /* already connected: nothing */
	drain(&w);
	EXPECT_EQ(w.n_sent, before);
	world_end(&w);
}

TEST(spec20_52_sending_is_optimistic_receiving_is_not)
{
	struct world w;
	struct endpoint peer = ep("198.51.100.1:1"), got;
	u16 number = 0;

	world_init_v4(&w);
	go_live(&w);
	EXPECT_EQ(allocation_peer_to_channel(w.a, w.now, &peer, &number), ERR_NOT_FOUND);
	allocation_bind(w.a, w.now, &peer);
	drain(&w);
	EXPECT_EQ(allocation_peer_to_channel(w.a, w.now, &peer, &number), 0);
	EXPECT_EQ(number, 0x4000);
	EXPECT_EQ(allocation_channel_to_peer(w.a, w.now, 0x4000, &got), ERR_NOT_FOUND);
	answer_ok(&w, last(&w, TURN_CHANNEL_BIND));
	EXPECT_EQ(allocation_channel_to_peer(w.a, w.now, 0x4000, &got), 0);
	EXPECT(endpoint_eq(&got, &peer));
	EXPECT_EQ(allocation_channel_to_peer(w.a, w.now, 0x4001, &got), ERR_NOT_FOUND);
	EXPECT_EQ(allocation_channel_to_peer(w.a, w.now, 0x3FFF, &got), ERR_NOT_FOUND);
	EXPECT_EQ(allocation_channel_to_peer(w.a, w.now, 0xFFFF, &got), ERR_NOT_FOUND);
	world_end(&w);
}

/* Answers everything but CHANNEL-BINDs while time passes. */
static void live_on(struct world *w, u64 ns)
{
	u64 end = w->now + ns;

	while (w->now < end) {
		run_until(w, MIN(end, w->now + SEC(10)));
		allocation_note_sent(w->a, w->now);
		for (size_t i = 0; i < w->n_sent; i++)
			if (w->sent[i].m.method == TURN_REFRESH)
				answer_lifetime(w, &w->sent[i], 600);
		if (!last(w, TURN_CHANNEL_BIND))
			w->n_sent = 0;
	}
}

TEST(spec20_52_idle_channels_expire_after_10_min)
{
	struct world w;
	struct endpoint peer = ep("198.51.100.1:1"), got;
	u16 number;

	world_init_v4(&w);
	go_live(&w);
	bind_confirmed(&w, "198.51.100.1:1");
	w.n_sent = 0;
	live_on(&w, MINUTES(10) - SEC(10));
	EXPECT_EQ(count(&w, TURN_CHANNEL_BIND), 0);
	EXPECT_EQ(allocation_peer_to_channel(w.a, w.now, &peer, &number), 0);
	live_on(&w, SEC(10));
	EXPECT_EQ(allocation_peer_to_channel(w.a, w.now, &peer, &number), ERR_NOT_FOUND);
	EXPECT_EQ(allocation_channel_to_peer(w.a, w.now, 0x4000, &got), ERR_NOT_FOUND);
	/* within the relay's cool-down the peer gets its old number again */
	live_on(&w, MINUTES(3));
	EXPECT_EQ(bind_confirmed(&w, "198.51.100.1:1"), 0x4000);
	world_end(&w);
}

TEST(spec20_52_used_channels_are_rebound_after_5_min)
{
	struct world w;
	struct endpoint got;

	world_init_v4(&w);
	go_live(&w);
	bind_confirmed(&w, "198.51.100.1:1");
	w.n_sent = 0;
	u64 start = w.now;
	live_on(&w, MINUTES(2));
	EXPECT_EQ(allocation_channel_to_peer(w.a, w.now, 0x4000, &got), 0);
	live_on(&w, MINUTES(3) - SEC(10));
	EXPECT_EQ(count(&w, TURN_CHANNEL_BIND), 0);
	live_on(&w, SEC(10));
	EXPECT_EQ(w.now, start + MINUTES(5));
	REQUIRE(count(&w, TURN_CHANNEL_BIND) == 1);
	answer_ok(&w, last(&w, TURN_CHANNEL_BIND));
	/* data that arrives late, after 7 min of a new binding, rebinds at once */
	w.n_sent = 0;
	live_on(&w, MINUTES(7));
	EXPECT_EQ(count(&w, TURN_CHANNEL_BIND), 0);
	EXPECT_EQ(allocation_channel_to_peer(w.a, w.now, 0x4000, &got), 0);
	run_for(&w, 0);
	EXPECT_EQ(count(&w, TURN_CHANNEL_BIND), 1);
	world_end(&w);
}

TEST(spec20_52_refused_channel_is_forgotten)
{
	struct world w;
	struct endpoint peer = ep("198.51.100.1:1");
	u16 number;

	world_init_v4(&w);
	go_live(&w);
	allocation_bind(w.a, w.now, &peer);
	drain(&w);
	answer_error(&w, last(&w, TURN_CHANNEL_BIND), STUN_BAD_REQUEST, NULL);
	EXPECT_EQ(allocation_peer_to_channel(w.a, w.now, &peer, &number), ERR_NOT_FOUND);
	EXPECT_EQ(bind_confirmed(&w, "198.51.100.1:1"), 0x4001);
	world_end(&w);
}

TEST(binds_wait_for_the_allocation_and_for_a_family)
{
	struct world w;
	struct endpoint v4 = ep("198.51.100.1:1"), v6 = ep("[2001:db8::9]:2");

	world_init_v4(&w);
	EXPECT_EQ(allocation_bind(w.a, w.now, &v4), 0);
	EXPECT_EQ(allocation_bind(w.a, w.now, &v4), 0);
	EXPECT_EQ(allocation_bind(w.a, w.now, &v6), 0);
	answer_binding(&w, &w.sent[0]);
	answer_error(&w, last(&w, TURN_ALLOCATE), STUN_UNAUTHORIZED, NONCE);
	EXPECT_EQ(count(&w, TURN_CHANNEL_BIND), 0);
	answer_allocate(&w, last(&w, TURN_ALLOCATE), "203.0.113.5:50000", NULL, 600);
	EXPECT_EQ(count(&w, TURN_CHANNEL_BIND), 1);
	EXPECT_EQ(allocation_bind(w.a, w.now, &v6), ERR_UNSUPPORTED);
	world_end(&w);
}

TEST(buffer_of_binds_drops_the_oldest)
{
	struct world w;

	world_init_v4(&w);
	for (u16 i = 0; i < ALLOCATION_BUFFERED_BINDS + 5; i++) {
		struct endpoint e = ep("198.51.100.1:1");
		e.port = (u16)(1000 + i);
		EXPECT_EQ(allocation_bind(w.a, w.now, &e), 0);
	}
	EXPECT_EQ(allocation_stats(w.a)->binds_dropped, 5);
	answer_binding(&w, &w.sent[0]);
	answer_allocate(&w, last(&w, TURN_ALLOCATE), "203.0.113.5:50000", NULL, 600);
	EXPECT_EQ(count(&w, TURN_CHANNEL_BIND), ALLOCATION_BUFFERED_BINDS);
	struct endpoint got;
	for (size_t i = 0; i < w.n_sent; i++)
		if (w.sent[i].m.method == TURN_CHANNEL_BIND && stun_get_address(&w.sent[i].m, ATTR_XOR_PEER_ADDRESS, &got) == 0)
			EXPECT(got.port >= 1005);
	world_end(&w);
}

/* More peers than requests may be in flight, then more than there are numbers. */
TEST(spec20_52_all_numbers_then_none_then_reuse_after_15_min)
{
	struct world w;
	u32 bound = 0;

	world_init_v4(&w);
	go_live(&w);
	for (u32 i = 0; i < ALLOCATION_CHANNELS_MAX; i++) {
		struct endpoint e = ep("198.51.100.1:1");
		e.port = (u16)(1 + i);
		REQUIRE(allocation_bind(w.a, w.now, &e) == 0);
	}
	struct endpoint extra = ep("198.51.100.2:1");
	EXPECT_EQ(allocation_bind(w.a, w.now, &extra), ERR_LIMIT);
	drain(&w);
	EXPECT_EQ(w.n_sent, ALLOCATION_BINDS_IN_FLIGHT);
	while (w.n_sent > 0) {
		struct sent batch[ALLOCATION_BINDS_IN_FLIGHT];
		size_t n = w.n_sent;
		memcpy(batch, w.sent, n * sizeof(batch[0]));
		w.n_sent = 0;
		for (size_t i = 0; i < n; i++) {
			batch[i].m.raw = batch[i].raw;
			bound += answer_ok(&w, &batch[i]) == 0;
		}
	}
	EXPECT_EQ(bound, ALLOCATION_CHANNELS_MAX);
	EXPECT_EQ(allocation_bind(w.a, w.now, &extra), ERR_LIMIT);
	struct endpoint got;
	EXPECT_EQ(allocation_channel_to_peer(w.a, w.now, 0x4000, &got), 0); /* in use: must not be reused */
	w.now += MINUTES(15);
	EXPECT_EQ(allocation_bind(w.a, w.now, &extra), 0);
	u16 number = 0;
	EXPECT_EQ(allocation_peer_to_channel(w.a, w.now, &extra, &number), 0);
	EXPECT_EQ(number, 0x4001);
	got = ep("198.51.100.1:2");
	EXPECT_EQ(allocation_peer_to_channel(w.a, w.now, &got, &number), ERR_NOT_FOUND);
	world_end(&w);
}

/* --- RFC servers ------------------------------------------------------------------------------------------------------------- */

TEST(spec50_67_rfc_mode_believes_the_unsigned_challenges_only)
{
	struct world w;
	struct reply r;

	world_init_with(&w, (struct allocation_config){ .v4 = ep("203.0.113.5:3478"), .is_rfc_mode = true });
	answer_binding(&w, &w.sent[0]);
	const struct sent *s = last(&w, TURN_ALLOCATE);
	REQUIRE(s != NULL);
	EXPECT(!stun_has(&s->m, ATTR_USERNAME) && s->m.integrity == 0);
	reply_begin(&r, STUN_ERROR, s);
	stun_put_error(&r.b, STUN_UNAUTHORIZED);
	stun_put(&r.b, ATTR_REALM, SPAN_STR("firezone"));
	stun_put(&r.b, ATTR_NONCE, SPAN_STR("a1b2"));
	EXPECT_EQ(deliver(&w, &r, s), 0);
	s = last(&w, TURN_ALLOCATE);
	EXPECT(has_text(&s->m, ATTR_NONCE, "a1b2"));
	EXPECT_EQ(stun_check_integrity(&s->m, SPAN(w.key, sizeof(w.key))), 0);
	/* an unsigned 401 to a request with credentials is not believed, nor an unsigned success */
	reply_begin(&r, STUN_ERROR, s);
	stun_put_error(&r.b, STUN_UNAUTHORIZED);
	EXPECT_EQ(deliver(&w, &r, s), ERR_AUTH);
	reply_begin(&r, STUN_SUCCESS, s);
	stun_put_u32(&r.b, ATTR_LIFETIME, 600);
	EXPECT_EQ(deliver(&w, &r, s), ERR_AUTH);
	/* an unsigned 438 is */
	reply_begin(&r, STUN_ERROR, s);
	stun_put_error(&r.b, STUN_STALE_NONCE);
	stun_put(&r.b, ATTR_NONCE, SPAN_STR("c3d4"));
	EXPECT_EQ(deliver(&w, &r, s), 0);
	EXPECT(has_text(&last(&w, TURN_ALLOCATE)->m, ATTR_NONCE, "c3d4"));
	world_end(&w);
}

/* --- robustness -------------------------------------------------------------------------------------------------------------- */

/* A relay gone mad answers every request with random errors and random bytes: bounded work, no stuck deadline, no lost memory. */
TEST(random_answers_never_spin)
{
	static const enum stun_error_code codes[] = { STUN_BAD_REQUEST,	       STUN_UNAUTHORIZED, STUN_ALLOCATION_MISMATCH,
						      STUN_STALE_NONCE,	       STUN_SERVER_ERROR, STUN_QUOTA_REACHED };

	for (u64 seed = 0; seed < 200; seed++) {
		struct world w;
		struct rng_seeded r;
		rng_seeded_init(&r, seed);
		world_init(&w);
		for (int step = 0; step < 200 && !allocation_is_freed(w.a); step++) {
			struct endpoint peer = ep("198.51.100.1:1");
			peer.port = (u16)(1 + rng_below(&r.rng, 20));
			(void)allocation_bind(w.a, w.now, &peer);
			if (rng_below(&r.rng, 20) == 0)
				allocation_refresh(w.a, w.now);
			drain(&w);
			if (w.n_sent > 0) {
				struct sent s = w.sent[rng_below(&r.rng, w.n_sent)];
				s.m.raw = s.raw;
				u64 pick = rng_below(&r.rng, 10);
				if (s.m.method == STUN_BINDING)
					answer_binding(&w, &s);
				else if (pick < 4)
					answer_error(&w, &s, codes[rng_below(&r.rng, ARRAY_LEN(codes))], "n");
				else if (s.m.method == TURN_ALLOCATE)
					answer_allocate(&w, &s, "203.0.113.5:50000", NULL, (u32)rng_below(&r.rng, 700));
				else if (s.m.method == TURN_REFRESH)
					answer_lifetime(&w, &s, (u32)rng_below(&r.rng, 700));
				else
					answer_ok(&w, &s);
			}
			run_for(&w, MSEC(rng_below(&r.rng, 3000)));
			if (w.n_sent > 100)
				w.n_sent = 0;
			w.n_events = 0;
		}
		world_end(&w);
	}
}
