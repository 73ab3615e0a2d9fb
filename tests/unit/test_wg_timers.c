/* Timers of the WireGuard engine (spec 20 §6.2-6.4), in virtual time. Every instant is exact but for the jitter of 0-333 ms. */
#include "core/base/cursor.h"
#include "core/base/err.h"
#include "core/wg/session.h"
#include "tests/unit/wg_world.h"

#include <string.h>

/* A timer-driven initiation: at `due`, up to the jitter later. */
#define EXPECT_JITTERED(at, due)                               \
	do {                                                   \
		u64 at_ = (at), due_ = (due);                  \
		EXPECT(at_ >= due_);                           \
		EXPECT(at_ <= due_ + WG_JITTER_MAX);           \
	} while (0)

/* East initiated, both can send, nothing is in the air. The session of both is not older than 20 ms. */
static struct world *connected(u64 seed)
{
	struct world *w = world_begin(seed);
	world_initiate(w, EAST);
	world_run(w, w->now + MSEC(100));
	EXPECT(wg_can_send(&w->end[EAST].wg, w->now));
	EXPECT(wg_can_send(&w->end[WEST].wg, w->now));
	EXPECT_EQ(w->n_flights, 0);
	return w;
}

static u64 session_born(const struct world *w, int who)
{
	return w->end[who].wg.current->established;
}

TEST(spec20_38_an_attempt_is_repeated_every_5_s_and_fails_after_20)
{
	for (u64 seed = 0; seed < 20; seed++) {
		struct world *w = world_begin(100 + seed);
		u64 start = w->now;
		w->is_cut = true;
		world_send(w, EAST, 1);
		world_run(w, start + SEC(60));
		EXPECT_EQ(world_count(w, EAST, WG_INITIATION), 4);
		u64 before = start;
		EXPECT_EQ(world_sent_at(w, EAST, WG_INITIATION, 0), start);
		for (unsigned i = 1; i < 4; i++) {
			u64 at = world_sent_at(w, EAST, WG_INITIATION, i);
			EXPECT_JITTERED(at, before + WG_REKEY_TIMEOUT);
			before = at;
		}
		EXPECT_EQ(w->end[EAST].expired_at, start + SEC(20));
		EXPECT_EQ(wg_next_timeout(&w->end[EAST].wg), TIME_NEVER);
		EXPECT_EQ(wg_initiate(&w->end[EAST].wg, w->now, world_wall(w)), ERR_STATE);
		EXPECT_EQ(w->end[EAST].established_at, TIME_NEVER);
		world_end(w);
	}
}

TEST(jitter_is_spread_over_its_whole_range)
{
	u64 least = TIME_NEVER, most = 0;
	for (u64 seed = 0; seed < 60; seed++) {
		struct world *w = world_begin(200 + seed);
		w->is_cut = true;
		u64 start = w->now;
		world_initiate(w, EAST);
		world_run(w, start + SEC(7));
		u64 extra = world_sent_at(w, EAST, WG_INITIATION, 1) - start - WG_REKEY_TIMEOUT;
		least = time_min(least, extra);
		most = MAX(most, extra);
		world_end(w);
	}
	EXPECT(least < MSEC(40));
	EXPECT(most > MSEC(293));
}

TEST(spec20_38_a_rekey_without_answer_fails_the_connection_too)
{
	struct world *w = connected(1);
	world_send(w, EAST, 1);
	world_run(w, session_born(w, EAST) + SEC(119));
	w->is_cut = true;
	world_run(w, w->now + SEC(60));
	u64 first = world_sent_at(w, EAST, WG_INITIATION, 1);
	EXPECT_EQ(w->end[EAST].expired_at, first + SEC(20));
	world_end(w);
}

TEST(a_late_answer_ends_the_attempt)
{
	struct world *w = world_begin(2);
	w->latency = SEC(2);
	world_send(w, EAST, 1);
	world_run(w, w->now + SEC(60));
	EXPECT_EQ(w->end[WEST].times_received[1], 1);
	EXPECT_EQ(world_count(w, EAST, WG_INITIATION), 1);
	EXPECT_EQ(w->end[EAST].expired_at, TIME_NEVER);
	world_end(w);
}

/* 6 s there and back: each answer belongs to the initiation before the newest. */
TEST(a_slow_path_connects_by_answers_to_the_initiation_before)
{
	struct world *w = world_begin(3);
	w->latency = SEC(3);
	world_send(w, EAST, 1);
	world_run(w, w->now + SEC(19));
	EXPECT_EQ(w->end[WEST].times_received[1], 1);
	EXPECT(w->end[EAST].established_at < SEC(1000) + SEC(7));
	world_end(w);
}

/* --- rekeying ---------------------------------------------------------------------------------------------------------------------- */

TEST(initiator_rekeys_after_120_s_when_it_has_sent)
{
	struct world *w = connected(4);
	u64 born = session_born(w, EAST);
	world_send(w, EAST, 1); /* right at the beginning is enough */
	world_run(w, born + SEC(125));
	EXPECT_JITTERED(world_sent_at(w, EAST, WG_INITIATION, 1), born + WG_REKEY_AFTER);
	EXPECT_EQ(world_count(w, WEST, WG_INITIATION), 0);
	EXPECT_EQ(w->end[EAST].sendables, 2);
	EXPECT_EQ(w->end[WEST].sendables, 2);
	world_end(w);
}

TEST(initiator_rekeys_after_165_s_when_it_has_only_received)
{
	struct world *w = connected(5);
	u64 born = session_born(w, EAST);
	world_send(w, WEST, 1);
	world_run(w, born + SEC(170));
	EXPECT_JITTERED(world_sent_at(w, EAST, WG_INITIATION, 1), born + SEC(165));
	EXPECT_EQ(world_count(w, WEST, WG_INITIATION), 0);
	world_end(w);
}

TEST(spec20_45_initiator_rekeys_an_idle_session_when_it_ends)
{
	struct world *w = connected(6);
	u64 born = session_born(w, EAST);
	world_run(w, born + SEC(179));
	EXPECT_EQ(world_count(w, EAST, WG_INITIATION), 1);
	world_run(w, born + SEC(181));
	EXPECT_EQ(world_count(w, EAST, WG_INITIATION), 2);
	EXPECT_JITTERED(world_sent_at(w, EAST, WG_INITIATION, 1), born + WG_REJECT_AFTER);
	world_run(w, w->now + SEC(3600));
	EXPECT_EQ(world_count(w, WEST, WG_INITIATION), 0);
	EXPECT_EQ(world_count(w, EAST, WG_INITIATION), 1 + 3600 / 180);
	EXPECT_EQ(w->end[EAST].expired_at, TIME_NEVER);
	EXPECT_EQ(w->end[WEST].expired_at, TIME_NEVER);
	world_end(w);
}

TEST(rekey_under_traffic_loses_nothing)
{
	struct world *w = connected(7);
	w->latency_spread = MSEC(30); /* old and new session's packets arrive mixed */
	for (u32 i = 0; i < 4000; i++) {
		world_send(w, i % 3 == 0 ? WEST : EAST, i);
		world_run(w, w->now + MSEC(100));
	}
	world_run(w, w->now + SEC(1));
	for (u32 i = 0; i < 4000; i++) {
		if (!EXPECT_EQ(w->end[i % 3 == 0 ? EAST : WEST].times_received[i], 1))
			break;
	}
	EXPECT_EQ(world_count(w, EAST, WG_INITIATION), 4);
	EXPECT_EQ(world_count(w, WEST, WG_INITIATION), 0);
	world_end(w);
}

TEST(initiator_stops_sending_after_170_s_and_responder_after_180)
{
	struct world *w = connected(8);
	u64 east = session_born(w, EAST), west = session_born(w, WEST);
	EXPECT(wg_can_send(&w->end[EAST].wg, east + SEC(170) - 1));
	EXPECT(!wg_can_send(&w->end[EAST].wg, east + SEC(170)));
	EXPECT(wg_can_send(&w->end[WEST].wg, west + SEC(180) - 1));
	EXPECT(!wg_can_send(&w->end[WEST].wg, west + SEC(180)));
	world_end(w);
}

TEST(sessions_receive_for_180_s_and_are_then_given_back)
{
	struct world *w = connected(9);
	u8 slot[2][WG_HEADER_LEN + 16 + AEAD_TAG] = { { 0 } };
	struct span inner;
	u64 born = session_born(w, WEST);
	for (unsigned i = 0; i < 2; i++)
		REQUIRE(wg_seal(&w->end[EAST].wg, w->now, slot[i], 16) == 0);
	EXPECT_EQ(wg_open(&w->end[WEST].wg, born + SEC(180) - 1, (struct mspan){ slot[0], sizeof(slot[0]) }, &inner), 0);
	EXPECT_EQ(wg_open(&w->end[WEST].wg, born + SEC(180), (struct mspan){ slot[1], sizeof(slot[1]) }, &inner), ERR_EXPIRED);
	wg_timeout(&w->end[WEST].wg, born + SEC(180), world_wall(w));
	for (unsigned i = 0; i < WG_SESSIONS; i++)
		EXPECT(w->end[WEST].wg.ring[i] == NULL);
	world_end(w);
}

TEST(responder_expires_540_s_after_its_last_session)
{
	struct world *w = connected(10);
	u64 born = session_born(w, WEST);
	w->is_cut = true;
	world_run(w, born + SEC(600));
	EXPECT_EQ(w->end[WEST].expired_at, born + SEC(540));
	EXPECT_EQ(world_count(w, WEST, WG_INITIATION), 0);
	world_end(w);
}

TEST(a_tunnel_never_used_expires_540_s_after_its_creation)
{
	struct world *w = world_begin(11);
	world_run(w, SEC(1000) + SEC(600));
	EXPECT_EQ(w->end[EAST].expired_at, SEC(1000) + SEC(540));
	EXPECT_EQ(w->n_log, 0);
	world_end(w);
}

/* --- unanswered data and keepalives ------------------------------------------------------------------------------------------------ */

TEST(either_side_initiates_15_s_after_its_first_unanswered_packet)
{
	for (int who = EAST; who <= WEST; who++) {
		struct world *w = connected(12);
		unsigned before = world_count(w, who, WG_INITIATION);
		u64 start = w->now;
		w->is_cut = true;
		for (u32 i = 0; i < 20; i++) { /* more packets do not push it away */
			world_send(w, who, i);
			world_run(w, w->now + SEC(1));
		}
		EXPECT_JITTERED(world_sent_at(w, who, WG_INITIATION, before), start + SEC(15));
		world_end(w);
	}
}

TEST(an_answer_calls_the_unanswered_timer_off)
{
	struct world *w = connected(13);
	world_send(w, EAST, 1);
	world_run(w, w->now + SEC(14));
	world_send(w, WEST, 2);
	world_run(w, w->now + SEC(60));
	EXPECT_EQ(world_count(w, EAST, WG_INITIATION), 1);
	world_end(w);
}

TEST(a_receiver_keeps_alive_10_s_after_the_first_unanswered_packet)
{
	struct world *w = connected(14);
	u64 start = w->now;
	unsigned before = world_count(w, WEST, WG_DATA);
	world_send(w, EAST, 1);
	world_run(w, start + SEC(7));
	world_send(w, EAST, 2); /* the kernel counts from the first (spec 20 §6.4) */
	world_run(w, start + SEC(11));
	EXPECT_EQ(world_count(w, WEST, WG_DATA), before + 1);
	EXPECT_EQ(world_sent_at(w, WEST, WG_DATA, before), start + MSEC(10) + SEC(10));
	world_run(w, start + SEC(25));
	EXPECT_EQ(world_count(w, WEST, WG_DATA), before + 2); /* for the second packet */
	world_run(w, start + SEC(60));
	EXPECT_EQ(world_count(w, WEST, WG_DATA), before + 2); /* keepalives are not answered */
	EXPECT_EQ(w->end[EAST].keepalives, 2);
	EXPECT_EQ(world_count(w, EAST, WG_INITIATION), 1);
	world_end(w);
}

TEST(whoever_answers_needs_no_keepalive)
{
	struct world *w = connected(15);
	for (u32 i = 0; i < 30; i++) {
		world_send(w, EAST, 2 * i);
		world_run(w, w->now + SEC(1));
		world_send(w, WEST, 2 * i + 1);
		world_run(w, w->now + SEC(1));
	}
	EXPECT_EQ(w->end[EAST].keepalives, 0);
	EXPECT_EQ(w->end[WEST].keepalives, 1); /* the one that opened the session */
	world_end(w);
}

TEST(one_way_traffic_needs_no_new_handshakes)
{
	struct world *w = connected(16);
	for (u32 i = 0; i < 200; i++) {
		world_send(w, EAST, i);
		world_run(w, w->now + MSEC(500));
	}
	EXPECT_EQ(w->end[WEST].received, 200);
	EXPECT_EQ(world_count(w, EAST, WG_INITIATION), 1);
	world_end(w);
}

TEST(an_idle_tunnel_is_silent)
{
	struct world *w = connected(17);
	unsigned before = w->n_log;
	world_run(w, w->now + SEC(179));
	EXPECT_EQ(w->n_log, before);
	world_end(w);
}

/* --- initiating on demand ----------------------------------------------------------------------------------------------------------- */

TEST(sending_without_session_initiates_once)
{
	struct world *w = world_begin(18);
	w->latency = MSEC(100);
	for (u32 i = 0; i < 300; i++) {
		world_send(w, EAST, i);
		world_run(w, w->now + USEC(100));
	}
	world_run(w, w->now + SEC(5));
	EXPECT_EQ(world_count(w, EAST, WG_INITIATION), 1);
	EXPECT_EQ(w->end[WEST].received, WG_QUEUE_MAX); /* the queue's limit; the newest were dropped */
	EXPECT_EQ(w->end[WEST].times_received[0], 1);
	world_end(w);
}

TEST(a_responder_may_initiate_when_its_session_is_over)
{
	struct world *w = connected(19);
	w->drop_next[EAST][WG_INITIATION] = 100;
	world_run(w, session_born(w, WEST) + SEC(181));
	world_send(w, WEST, 5);
	world_run(w, w->now + SEC(1));
	EXPECT_EQ(w->end[EAST].times_received[5], 1);
	EXPECT_EQ(world_count(w, WEST, WG_INITIATION), 1);
	/* East's own attempt ended with the first packet on the new session. */
	world_run(w, w->now + SEC(40));
	EXPECT_EQ(w->end[EAST].expired_at, TIME_NEVER);
	world_end(w);
}

TEST(simultaneous_initiations_settle_whatever_the_timing)
{
	for (u64 offset_ms = 0; offset_ms <= 40; offset_ms++) {
		struct world *w = world_begin(300 + offset_ms);
		world_send(w, EAST, 0);
		world_run(w, w->now + MSEC(offset_ms));
		world_send(w, WEST, 1);
		world_run(w, w->now + SEC(10));
		for (u32 i = 2; i < 400; i++) {
			world_send(w, (int)(i % 2), i);
			world_run(w, w->now + SEC(1));
		}
		for (u32 i = 0; i < 400; i++) {
			if (!EXPECT_EQ(w->end[1 - i % 2].times_received[i], 1))
				break;
		}
		EXPECT(world_count(w, EAST, WG_INITIATION) + world_count(w, WEST, WG_INITIATION) <= 12);
		world_end(w);
	}
}

/* --- bad networks ------------------------------------------------------------------------------------------------------------------- */

TEST(a_lossy_reordering_network_delivers_at_most_once_and_recovers)
{
	for (u64 seed = 0; seed < 40; seed++) {
		struct world *w = world_begin(400 + seed);
		w->loss_percent = 10;
		w->latency_spread = MSEC(200);
		for (u32 i = 0; i < 1000; i++) {
			world_send(w, rng_below(&w->rng.rng, 2) ? EAST : WEST, i);
			world_run(w, w->now + MSEC(300));
			if (w->end[EAST].expired_at != TIME_NEVER || w->end[WEST].expired_at != TIME_NEVER)
				break; /* four losses in a row may happen; the owner starts anew then */
		}
		bool has_failed = w->end[EAST].expired_at != TIME_NEVER || w->end[WEST].expired_at != TIME_NEVER;
		w->loss_percent = 0;
		world_run(w, w->now + SEC(6));
		for (u32 i = 0; i < 1000; i++)
			EXPECT(w->end[EAST].times_received[i] + w->end[WEST].times_received[i] <= 1);
		if (!has_failed) {
			EXPECT(w->end[EAST].received + w->end[WEST].received > 800);
			world_send(w, EAST, 2000);
			world_send(w, WEST, 2001);
			world_run(w, w->now + SEC(6));
			EXPECT_EQ(w->end[WEST].times_received[2000], 1);
			EXPECT_EQ(w->end[EAST].times_received[2001], 1);
		}
		world_end(w);
	}
}

TEST(each_message_of_a_handshake_may_be_lost)
{
	static const struct {
		int from;
		enum wg_type type;
	} rows[] = { { EAST, WG_INITIATION }, { WEST, WG_RESPONSE }, { EAST, WG_DATA } };
	for (unsigned r = 0; r < ARRAY_LEN(rows); r++) {
		struct world *w = world_begin(20 + r);
		w->drop_next[rows[r].from][rows[r].type] = 1;
		world_send(w, EAST, 1);
		world_send(w, EAST, 2);
		world_run(w, w->now + SEC(6));
		world_send(w, WEST, 3);
		world_run(w, w->now + SEC(6));
		EXPECT_EQ(w->end[WEST].times_received[1], 1);
		EXPECT_EQ(w->end[WEST].times_received[2], 1);
		EXPECT_EQ(w->end[EAST].times_received[3], 1);
		world_end(w);
	}
}

/* A peer that lost its state: what we send is unknown to it; ours is the initiative that repairs it. */
TEST(a_restarted_peer_is_reached_again_within_20_s)
{
	struct world *w = connected(30);
	struct world_end *west = &w->end[WEST];
	u8 psk[32], east_pub[32];
	memcpy(psk, west->wg.psk, 32);
	memcpy(east_pub, west->wg.peer_public, 32);
	wg_deinit(&west->wg);
	REQUIRE(wg_init(&west->wg, &west->local, w->now, 0x123456, east_pub, psk) == 0);
	west->established_at = TIME_NEVER;
	u64 start = w->now;
	u32 i = 0;
	for (; i < 25 && west->received == 0; i++) {
		world_send(w, EAST, i);
		world_run(w, w->now + SEC(1));
	}
	EXPECT(west->received > 0);
	EXPECT(w->now - start <= SEC(17));
	world_end(w);
}
