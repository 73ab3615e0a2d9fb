/* Handshakes, sessions and cookies of the WireGuard engine (spec 20 §2, §6). Timers: test_wg_timers.c. */
#include "core/base/cursor.h"
#include "core/base/err.h"
#include "core/crypto/key.h"
#include "core/wg/session.h"
#include "tests/unit/wg_world.h"

#include <string.h>

/* The last message of a type an end still has to transmit. */
static size_t transmit_of(struct world *w, int from, enum wg_type type, u8 out[static WG_INITIATION_LEN])
{
	u8 msg[WG_INITIATION_LEN];
	size_t len, found = 0;
	u32 index;
	while ((len = wg_poll_transmit(&w->end[from].wg, msg)) > 0) {
		if (wg_classify(SPAN(msg, len), &index) == type) {
			memcpy(out, msg, len);
			found = len;
		}
	}
	return found;
}

static void make_initiation(struct world *w, int from, u8 out[static WG_INITIATION_LEN])
{
	if (w->end[from].wg.is_attempting) /* the test wants one more */
		w->end[from].wg.is_attempting = false;
	EXPECT_EQ(wg_initiate(&w->end[from].wg, w->now, world_wall(w)), 0);
	EXPECT_EQ(transmit_of(w, from, WG_INITIATION, out), WG_INITIATION_LEN);
}

static int answer_initiation(struct world *w, int to, const u8 *msg, u8 out[static WG_INITIATION_LEN])
{
	struct wg_initiation init;
	int rc = wg_initiation_open(&w->end[to].local, SPAN(msg, WG_INITIATION_LEN), &init);
	if (rc == 0)
		rc = wg_input_initiation(&w->end[to].wg, w->now, &init);
	if (rc == 0)
		EXPECT_EQ(transmit_of(w, to, WG_RESPONSE, out), WG_RESPONSE_LEN);
	return rc;
}

static int handshake(struct world *w, int from)
{
	u8 initiation[WG_INITIATION_LEN], response[WG_INITIATION_LEN];
	make_initiation(w, from, initiation);
	int rc = answer_initiation(w, 1 - from, initiation, response);
	return rc < 0 ? rc : wg_input(&w->end[from].wg, w->now, SPAN(response, WG_RESPONSE_LEN));
}

struct packet {
	u8 b[WG_HEADER_LEN + 32 + AEAD_TAG];
};

static struct packet seal_packet(struct world *w, int from)
{
	struct packet p;
	memset(p.b, 0x55, sizeof(p.b));
	EXPECT_EQ(wg_seal(&w->end[from].wg, w->now, p.b, 32), 0);
	return p;
}

static int open_packet(struct world *w, int to, struct packet p)
{
	struct span inner;
	int rc = wg_open(&w->end[to].wg, w->now, (struct mspan){ p.b, sizeof(p.b) }, &inner);
	if (rc == 0) {
		EXPECT_EQ(inner.n, 32);
		EXPECT_EQ(inner.p[31], 0x55);
	}
	return rc;
}

/* --- roles -------------------------------------------------------------------------------------------------------------------- */

TEST(spec20_37_both_roles_with_psk)
{
	for (int initiator = EAST; initiator <= WEST; initiator++) {
		struct world *w = world_begin(1);
		world_send(w, initiator, 1);
		world_run(w, w->now + SEC(1));
		world_send(w, 1 - initiator, 2);
		world_send(w, initiator, 3);
		world_run(w, w->now + SEC(1));
		EXPECT_EQ(w->end[1 - initiator].received, 2);
		EXPECT_EQ(w->end[initiator].received, 1);
		EXPECT_EQ(world_count(w, initiator, WG_INITIATION), 1);
		EXPECT_EQ(world_count(w, 1 - initiator, WG_INITIATION), 0);
		EXPECT_EQ(w->end[1 - initiator].established_at, SEC(1000) + MSEC(10));
		EXPECT_EQ(w->end[initiator].established_at, SEC(1000) + MSEC(20));
		world_end(w);
	}
}

TEST(spec20_37_other_psk_is_another_peer)
{
	struct world *w = world_begin(2);
	w->end[EAST].wg.psk[0] ^= 1;
	EXPECT_EQ(handshake(w, EAST), ERR_AUTH);
	EXPECT(!wg_can_send(&w->end[EAST].wg, w->now));
	EXPECT(!wg_can_send(&w->end[WEST].wg, w->now));
	world_end(w);
}

/* spec 20 §6.3: eight sessions receive at a time, and a ninth takes the place of the first */
TEST(spec20_37_eight_sessions_receive)
{
	struct world *w = world_begin(3);
	struct packet p[9];
	for (unsigned i = 0; i < 9; i++) {
		REQUIRE(handshake(w, EAST) == 0);
		p[i] = seal_packet(w, EAST);
		w->now += SEC(1);
	}
	EXPECT_EQ(open_packet(w, WEST, p[0]), ERR_NOT_FOUND);
	for (unsigned i = 8; i >= 1; i--)
		EXPECT_EQ(open_packet(w, WEST, p[i]), 0);
	for (unsigned i = 1; i < 9; i++)
		EXPECT_EQ(open_packet(w, WEST, p[i]), ERR_REPLAY);
	world_end(w);
}

/* spec 20 §6.1 */
TEST(spec20_10_index_is_connection_and_message_number)
{
	struct world *w = world_begin(4);
	u8 a[WG_INITIATION_LEN], b[WG_INITIATION_LEN];
	for (u32 i = 1; i < 600; i++) {
		make_initiation(w, EAST, a);
		EXPECT_EQ(get_le32(a + 4), 0xabc001u << 8 | (i & 0xff));
		REQUIRE(answer_initiation(w, WEST, a, b) == 0);
		EXPECT_EQ(get_le32(b + 4), 0xabc002u << 8 | (i & 0xff));
		EXPECT_EQ(get_le32(b + 8), get_le32(a + 4));
	}
	REQUIRE(wg_input(&w->end[EAST].wg, w->now, SPAN(b, WG_RESPONSE_LEN)) == 0);
	struct packet p = seal_packet(w, EAST);
	EXPECT_EQ(get_le32(p.b + 4), get_le32(b + 4));
	EXPECT_EQ(open_packet(w, WEST, p), 0);
	world_end(w);
}

TEST(datagrams_are_told_apart_by_type_and_exact_length)
{
	u8 d[200];
	u32 index;
	memset(d, 0x11, sizeof(d));
	for (u32 type = 0; type < 7; type++) {
		put_le32(d, type);
		for (size_t len = 0; len <= sizeof(d); len++) {
			bool is_valid = (type == 1 && len == 148) || (type == 2 && len == 92) || (type == 3 && len == 64) ||
					(type == 4 && len >= 32);
			EXPECT_EQ(wg_classify(SPAN(d, len), &index), is_valid ? type : WG_NONE);
			EXPECT_EQ(index, is_valid && type > 1 ? 0x11111111 : 0);
		}
	}
	put_le32(d, 0x104);
	EXPECT_EQ(wg_classify(SPAN(d, 64), &index), WG_NONE);
}

TEST(spec20_41_initiator_speaks_first)
{
	struct world *w = world_begin(5);
	w->drop_next[EAST][WG_DATA] = 1; /* the empty packet */
	world_initiate(w, EAST);
	world_run(w, w->now + SEC(1));
	EXPECT_EQ(world_count(w, EAST, WG_DATA), 1);
	EXPECT_EQ(w->log[w->n_log - 1].len, WG_KEEPALIVE_LEN);
	EXPECT(!wg_can_send(&w->end[WEST].wg, w->now));
	struct packet p = seal_packet(w, EAST);
	EXPECT_EQ(open_packet(w, WEST, p), 0);
	EXPECT(wg_can_send(&w->end[WEST].wg, w->now));
	world_collect(w, WEST);
	EXPECT_EQ(w->end[WEST].sendables, 1);
	world_end(w);
}

TEST(the_empty_packet_goes_before_the_queue)
{
	struct world *w = world_begin(6);
	for (u32 i = 0; i < 5; i++)
		world_send(w, EAST, i);
	world_run(w, w->now + SEC(1));
	EXPECT_EQ(world_count(w, EAST, WG_INITIATION), 1);
	EXPECT_EQ(w->log[2].len, WG_KEEPALIVE_LEN);
	EXPECT_EQ(w->end[WEST].received, 5);
	EXPECT_EQ(w->end[WEST].keepalives, 1);
	world_end(w);
}

TEST(both_initiate_at_once_and_both_can_send)
{
	struct world *w = world_begin(7);
	world_send(w, EAST, 1);
	world_send(w, WEST, 2);
	world_run(w, w->now + SEC(30));
	EXPECT_EQ(w->end[WEST].times_received[1], 1);
	EXPECT_EQ(w->end[EAST].times_received[2], 1);
	world_send(w, EAST, 3);
	world_send(w, WEST, 4);
	world_run(w, w->now + SEC(1));
	EXPECT_EQ(w->end[WEST].times_received[3], 1);
	EXPECT_EQ(w->end[EAST].times_received[4], 1);
	EXPECT_EQ(w->end[EAST].expired_at, TIME_NEVER);
	EXPECT_EQ(w->end[WEST].expired_at, TIME_NEVER);
	EXPECT(world_count(w, EAST, WG_INITIATION) + world_count(w, WEST, WG_INITIATION) <= 2);
	world_end(w);
}

TEST(an_answer_to_the_initiation_before_counts_too)
{
	struct world *w = world_begin(8);
	u8 first[WG_INITIATION_LEN], second[WG_INITIATION_LEN], third[WG_INITIATION_LEN];
	u8 answer1[WG_INITIATION_LEN], answer2[WG_INITIATION_LEN];
	make_initiation(w, EAST, first);
	REQUIRE(answer_initiation(w, WEST, first, answer1) == 0);
	make_initiation(w, EAST, second);
	REQUIRE(answer_initiation(w, WEST, second, answer2) == 0);
	make_initiation(w, EAST, third);
	EXPECT_EQ(wg_input(&w->end[EAST].wg, w->now, SPAN(answer1, WG_RESPONSE_LEN)), ERR_NOT_FOUND);
	EXPECT_EQ(wg_input(&w->end[EAST].wg, w->now, SPAN(answer2, WG_RESPONSE_LEN)), 0);
	EXPECT_EQ(open_packet(w, WEST, seal_packet(w, EAST)), 0);
	EXPECT_EQ(wg_input(&w->end[EAST].wg, w->now, SPAN(answer2, WG_RESPONSE_LEN)), ERR_NOT_FOUND);
	world_end(w);
}

/* A response that lost its way must not lead back to keys of an older session. */
TEST(sending_moves_to_newer_sessions_only)
{
	struct world *w = world_begin(9);
	REQUIRE(handshake(w, EAST) == 0);
	struct packet old = seal_packet(w, EAST);
	REQUIRE(handshake(w, EAST) == 0);
	struct packet fresh = seal_packet(w, EAST);
	EXPECT_EQ(open_packet(w, WEST, fresh), 0);
	u32 index = w->end[WEST].wg.current->local_index;
	EXPECT_EQ(open_packet(w, WEST, old), 0);
	EXPECT_EQ(w->end[WEST].wg.current->local_index, index);
	world_end(w);
}

/* --- time stamps ---------------------------------------------------------------------------------------------------------------- */

TEST(spec20_42_stamps_rise_when_the_clock_does_not)
{
	struct world *w = world_begin(10);
	EXPECT_EQ(handshake(w, EAST), 0);
	w->wall_shift = -(i64)SEC(100000);
	EXPECT_EQ(handshake(w, EAST), 0);
	EXPECT_EQ(handshake(w, EAST), 0);
	world_end(w);
}

TEST(spec20_42_stamps_count_tai_from_the_unix_clock)
{
	struct world *w = world_begin(11);
	u64 wall = SEC(1700000000) + 123456789;
	struct wg_initiation init;
	u8 msg[WG_INITIATION_LEN];
	REQUIRE(wg_initiate(&w->end[EAST].wg, w->now, wall) == 0);
	REQUIRE(transmit_of(w, EAST, WG_INITIATION, msg) > 0);
	REQUIRE(wg_initiation_open(&w->end[WEST].local, SPAN(msg, sizeof(msg)), &init) == 0);
	EXPECT_EQ(wg_input_initiation(&w->end[WEST].wg, w->now, &init), 0);
	EXPECT_EQ(get_be64(w->end[WEST].wg.newest_stamp), (1ull << 62) + 37 + 1700000000);
	EXPECT_EQ(get_be32(w->end[WEST].wg.newest_stamp + 8), 123456789);
	world_end(w);
}

TEST(spec20_42_a_repeated_initiation_is_refused)
{
	struct world *w = world_begin(12);
	u8 first[WG_INITIATION_LEN], second[WG_INITIATION_LEN], answer[WG_INITIATION_LEN];
	make_initiation(w, EAST, first);
	make_initiation(w, EAST, second);
	EXPECT_EQ(answer_initiation(w, WEST, second, answer), 0);
	u8 session8 = w->end[WEST].wg.session8;
	EXPECT_EQ(answer_initiation(w, WEST, second, answer), ERR_REPLAY);
	EXPECT_EQ(answer_initiation(w, WEST, first, answer), ERR_REPLAY);
	EXPECT_EQ(w->end[WEST].wg.session8, session8);
	EXPECT_EQ(w->end[WEST].local.stats.old_stamp, 2);
	world_end(w);
}

/* --- forgeries ------------------------------------------------------------------------------------------------------------------- */

TEST(any_flipped_bit_spoils_an_initiation)
{
	struct world *w = world_begin(13);
	u8 msg[WG_INITIATION_LEN], answer[WG_INITIATION_LEN], reply[WG_COOKIE_LEN];
	make_initiation(w, EAST, msg);
	for (size_t bit = 0; bit < (WG_INITIATION_LEN - 16) * 8; bit++) { /* MAC2 is not looked at */
		u8 bad[WG_INITIATION_LEN];
		memcpy(bad, msg, sizeof(bad));
		bad[bit / 8] ^= (u8)(1u << bit % 8);
		EXPECT(wg_gate(&w->end[WEST].local, w->now, SPAN(bad, sizeof(bad)), &w->end[EAST].ip, reply) < 0);
		/* Sender and MACs are not part of the transcript. The top bit of the ephemeral is not part of the number, but it is hashed. */
		if (bit / 8 >= 8 && bit / 8 < WG_INITIATION_LEN - 32)
			EXPECT(answer_initiation(w, WEST, bad, answer) < 0);
	}
	EXPECT_EQ(w->end[WEST].wg.is_established, false);
	EXPECT_EQ(wg_gate(&w->end[WEST].local, w->now, SPAN(msg, sizeof(msg)), &w->end[EAST].ip, reply), 0);
	EXPECT_EQ(answer_initiation(w, WEST, msg, answer), 0);
	world_end(w);
}

TEST(any_flipped_bit_spoils_a_response)
{
	struct world *w = world_begin(14);
	u8 msg[WG_INITIATION_LEN], answer[WG_INITIATION_LEN], reply[WG_COOKIE_LEN];
	make_initiation(w, EAST, msg);
	REQUIRE(answer_initiation(w, WEST, msg, answer) == 0);
	for (size_t bit = 0; bit < (WG_RESPONSE_LEN - 16) * 8; bit++) {
		u8 bad[WG_RESPONSE_LEN];
		memcpy(bad, answer, sizeof(bad));
		bad[bit / 8] ^= (u8)(1u << bit % 8);
		EXPECT(wg_gate(&w->end[EAST].local, w->now, SPAN(bad, sizeof(bad)), &w->end[WEST].ip, reply) < 0);
		if (bit / 8 >= 8 && bit / 8 < WG_RESPONSE_LEN - 32)
			EXPECT(wg_input(&w->end[EAST].wg, w->now, SPAN(bad, sizeof(bad))) < 0);
	}
	EXPECT(!wg_can_send(&w->end[EAST].wg, w->now));
	EXPECT_EQ(wg_input(&w->end[EAST].wg, w->now, SPAN(answer, WG_RESPONSE_LEN)), 0);
	world_end(w);
}

TEST(any_flipped_bit_spoils_data)
{
	struct world *w = world_begin(15);
	REQUIRE(handshake(w, EAST) == 0);
	struct packet p = seal_packet(w, EAST);
	for (size_t bit = 0; bit < sizeof(p.b) * 8; bit++) {
		struct packet bad = p;
		bad.b[bit / 8] ^= (u8)(1u << bit % 8);
		EXPECT(open_packet(w, WEST, bad) < 0);
	}
	EXPECT(!wg_can_send(&w->end[WEST].wg, w->now));
	EXPECT_EQ(open_packet(w, WEST, p), 0);
	EXPECT_EQ(open_packet(w, WEST, p), ERR_REPLAY);
	world_end(w);
}

TEST(initiations_for_others_are_not_ours)
{
	struct world *w = world_begin(16);
	u8 msg[WG_INITIATION_LEN];
	struct wg_initiation init;
	make_initiation(w, EAST, msg);
	EXPECT_EQ(wg_initiation_open(&w->end[EAST].local, SPAN(msg, sizeof(msg)), &init), ERR_AUTH);
	REQUIRE(wg_initiation_open(&w->end[WEST].local, SPAN(msg, sizeof(msg)), &init) == 0);
	EXPECT_MEM(init.peer_public, w->end[EAST].local.pub, 32);
	init.peer_public[3] ^= 1;
	EXPECT_EQ(wg_input_initiation(&w->end[WEST].wg, w->now, &init), ERR_NOT_OURS);
	world_end(w);
}

TEST(a_peer_key_of_small_order_is_refused)
{
	struct world *w = world_begin(17);
	struct wg other;
	u8 zero[32] = { 0 };
	EXPECT_EQ(wg_init(&other, &w->end[EAST].local, w->now, 1, zero, zero), ERR_INVAL);
	world_end(w);
}

/* --- cookies --------------------------------------------------------------------------------------------------------------------- */

static void use_up_the_rate(struct world *w, int who)
{
	w->end[who].local.window_start = w->now;
	w->end[who].local.window_count = WG_HANDSHAKES_PER_SEC;
}

TEST(spec20_43_a_hundred_handshakes_a_second_pass_without_cookie)
{
	struct world *w = world_begin(18);
	u8 msg[WG_INITIATION_LEN], reply[WG_COOKIE_LEN];
	make_initiation(w, EAST, msg);
	w->now += SEC(5);
	for (unsigned i = 0; i < 250; i++) {
		int rc = wg_gate(&w->end[WEST].local, w->now, SPAN(msg, sizeof(msg)), &w->end[EAST].ip, reply);
		EXPECT_EQ(rc, i < WG_HANDSHAKES_PER_SEC ? 0 : ERR_LIMIT);
	}
	w->now += SEC(1);
	EXPECT_EQ(wg_gate(&w->end[WEST].local, w->now, SPAN(msg, sizeof(msg)), &w->end[EAST].ip, reply), 0);
	EXPECT_EQ(w->end[WEST].local.stats.cookies_out, 150);
	world_end(w);
}

TEST(spec20_43_forged_macs_do_not_count_towards_the_rate)
{
	struct world *w = world_begin(19);
	u8 msg[WG_INITIATION_LEN], reply[WG_COOKIE_LEN];
	make_initiation(w, EAST, msg);
	msg[WG_INITIATION_LEN - 17] ^= 1;
	for (unsigned i = 0; i < 1000; i++)
		EXPECT_EQ(wg_gate(&w->end[WEST].local, w->now, SPAN(msg, sizeof(msg)), &w->end[EAST].ip, reply), ERR_AUTH);
	msg[WG_INITIATION_LEN - 17] ^= 1;
	EXPECT_EQ(wg_gate(&w->end[WEST].local, w->now, SPAN(msg, sizeof(msg)), &w->end[EAST].ip, reply), 0);
	world_end(w);
}

TEST(spec20_43_cookie_is_asked_for_and_honoured)
{
	struct world *w = world_begin(20);
	u8 msg[WG_INITIATION_LEN], reply[WG_COOKIE_LEN], again[WG_COOKIE_LEN];
	struct ip elsewhere = ip4(198, 51, 100, 7);
	make_initiation(w, EAST, msg);
	use_up_the_rate(w, WEST);
	REQUIRE(wg_gate(&w->end[WEST].local, w->now, SPAN(msg, sizeof(msg)), &w->end[EAST].ip, reply) == ERR_LIMIT);
	EXPECT_EQ(get_le32(reply + 4), get_le32(msg + 4));
	EXPECT_EQ(wg_input(&w->end[EAST].wg, w->now, SPAN(reply, sizeof(reply))), 0);

	make_initiation(w, EAST, msg);
	EXPECT(!secret_is_zero(msg + WG_INITIATION_LEN - 16, 16));
	EXPECT_EQ(wg_gate(&w->end[WEST].local, w->now, SPAN(msg, sizeof(msg)), &w->end[EAST].ip, again), 0);
	EXPECT_EQ(wg_gate(&w->end[WEST].local, w->now, SPAN(msg, sizeof(msg)), &elsewhere, again), ERR_LIMIT);
	msg[WG_INITIATION_LEN - 1] ^= 1;
	EXPECT_EQ(wg_gate(&w->end[WEST].local, w->now, SPAN(msg, sizeof(msg)), &w->end[EAST].ip, again), ERR_LIMIT);
	world_end(w);
}

TEST(spec20_43_cookies_age_on_both_sides)
{
	struct world *w = world_begin(21);
	u8 msg[WG_INITIATION_LEN], reply[WG_COOKIE_LEN];
	make_initiation(w, EAST, msg);
	use_up_the_rate(w, WEST);
	REQUIRE(wg_gate(&w->end[WEST].local, w->now, SPAN(msg, sizeof(msg)), &w->end[EAST].ip, reply) == ERR_LIMIT);
	REQUIRE(wg_input(&w->end[EAST].wg, w->now, SPAN(reply, sizeof(reply))) == 0);

	w->now += SEC(120) - 1;
	make_initiation(w, EAST, msg);
	use_up_the_rate(w, WEST);
	EXPECT_EQ(wg_gate(&w->end[WEST].local, w->now, SPAN(msg, sizeof(msg)), &w->end[EAST].ip, reply), 0);
	w->now += SEC(8) + 1; /* the secret is another now */
	use_up_the_rate(w, WEST);
	EXPECT_EQ(wg_gate(&w->end[WEST].local, w->now, SPAN(msg, sizeof(msg)), &w->end[EAST].ip, reply), ERR_LIMIT);
	make_initiation(w, EAST, msg); /* and the sender has forgotten the cookie */
	EXPECT(secret_is_zero(msg + WG_INITIATION_LEN - 16, 16));
	world_end(w);
}

TEST(spec20_43_cookie_replies_must_be_for_our_last_message)
{
	struct world *w = world_begin(22);
	u8 old[WG_INITIATION_LEN], msg[WG_INITIATION_LEN], reply[WG_COOKIE_LEN], good[WG_COOKIE_LEN];
	make_initiation(w, EAST, old);
	make_initiation(w, EAST, msg);
	use_up_the_rate(w, WEST);
	REQUIRE(wg_gate(&w->end[WEST].local, w->now, SPAN(old, sizeof(old)), &w->end[EAST].ip, reply) == ERR_LIMIT);
	REQUIRE(wg_gate(&w->end[WEST].local, w->now, SPAN(msg, sizeof(msg)), &w->end[EAST].ip, good) == ERR_LIMIT);
	EXPECT_EQ(wg_input(&w->end[EAST].wg, w->now, SPAN(reply, sizeof(reply))), ERR_NOT_FOUND);
	put_le32(reply + 4, get_le32(good + 4));
	EXPECT_EQ(wg_input(&w->end[EAST].wg, w->now, SPAN(reply, sizeof(reply))), ERR_AUTH);
	for (size_t bit = 64; bit < WG_COOKIE_LEN * 8; bit++) {
		u8 bad[WG_COOKIE_LEN];
		memcpy(bad, good, sizeof(bad));
		bad[bit / 8] ^= (u8)(1u << bit % 8);
		EXPECT_EQ(wg_input(&w->end[EAST].wg, w->now, SPAN(bad, sizeof(bad))), ERR_AUTH);
	}
	EXPECT_EQ(wg_input(&w->end[EAST].wg, w->now, SPAN(good, sizeof(good))), 0);
	EXPECT_EQ(wg_input(&w->end[EAST].wg, w->now, SPAN(good, sizeof(good))), ERR_NOT_FOUND);
	world_end(w);
}

/* Both directions: the initiation meets a busy responder, and its response a busy initiator. */
TEST(spec20_43_a_handshake_succeeds_between_busy_ends)
{
	for (int busy = EAST; busy <= WEST; busy++) {
		struct world *w = world_begin(23 + (u64)busy);
		world_send(w, EAST, 1);
		for (unsigned i = 0; i < 200; i++) {
			use_up_the_rate(w, busy);
			world_run(w, w->now + MSEC(100));
		}
		EXPECT_EQ(w->end[WEST].times_received[1], 1);
		EXPECT(world_count(w, busy, WG_COOKIE) >= 1);
		EXPECT_EQ(w->end[EAST].expired_at, TIME_NEVER);
		world_end(w);
	}
}

/* --- data --------------------------------------------------------------------------------------------------------------------------- */

/* spec 20 §3: padding is the sender's choice; the owner cuts to the length of the IP packet. */
TEST(spec20_44_plaintext_passes_padded_or_not)
{
	struct world *w = world_begin(25);
	REQUIRE(handshake(w, EAST) == 0);
	for (u32 len = 0; len < 100; len++) {
		u8 d[WG_HEADER_LEN + 100 + AEAD_TAG];
		struct span inner;
		memset(d, (int)len, sizeof(d));
		REQUIRE(wg_seal(&w->end[EAST].wg, w->now, d, len) == 0);
		REQUIRE(wg_open(&w->end[WEST].wg, w->now, (struct mspan){ d, WG_HEADER_LEN + len + AEAD_TAG }, &inner) == 0);
		EXPECT_EQ(inner.n, len);
		EXPECT(len == 0 || inner.p[len - 1] == len);
	}
	world_end(w);
}

TEST(a_batch_is_judged_packet_by_packet)
{
	struct world *w = world_begin(26);
	enum { N = 16 };
	static u8 d[N][WG_HEADER_LEN + 64 + AEAD_TAG];
	struct aead_job jobs[N];
	REQUIRE(handshake(w, EAST) == 0);
	for (unsigned i = 0; i < N; i++)
		REQUIRE(wg_seal_prepare(&w->end[EAST].wg, w->now, d[i], 64, &jobs[i]) == 0);
	aead_seal(jobs, N);
	d[3][40] ^= 1;
	memcpy(d[9], d[8], sizeof(d[9])); /* a duplicate within the batch */
	for (unsigned i = 0; i < N; i++)
		REQUIRE(wg_open_prepare(&w->end[WEST].wg, w->now, (struct mspan){ d[i], sizeof(d[i]) }, &jobs[i]) == 0);
	aead_open(jobs, N);
	for (unsigned i = 0; i < N; i++)
		EXPECT_EQ(wg_open_commit(&w->end[WEST].wg, w->now, &jobs[i]), i == 3 ? ERR_AUTH : i == 9 ? ERR_REPLAY : 0);
	world_end(w);
}

/* Handshakes may be processed while a batch is open: its keys stay readable memory, and nothing foreign is accepted. */
TEST(a_session_overwritten_under_a_batch_is_noticed)
{
	struct world *w = world_begin(27);
	struct aead_job job;
	REQUIRE(handshake(w, EAST) == 0);
	struct packet p = seal_packet(w, EAST);
	struct packet intact = p;
	REQUIRE(wg_open_prepare(&w->end[WEST].wg, w->now, (struct mspan){ p.b, sizeof(p.b) }, &job) == 0);
	aead_open(&job, 1);
	EXPECT(job.ok);
	for (unsigned i = 0; i < WG_SESSIONS; i++)
		REQUIRE(handshake(w, EAST) == 0);
	EXPECT_EQ(wg_open_commit(&w->end[WEST].wg, w->now, &job), ERR_NOT_FOUND);
	p = intact;
	EXPECT_EQ(wg_open_prepare(&w->end[WEST].wg, w->now, (struct mspan){ p.b, sizeof(p.b) }, &job), ERR_NOT_FOUND);
	world_end(w);
}

TEST(counters_never_wrap)
{
	struct world *w = world_begin(28);
	REQUIRE(handshake(w, EAST) == 0);
	w->end[EAST].wg.current->send_counter = WG_REJECT_AFTER_MESSAGES - 1;
	EXPECT_EQ(open_packet(w, WEST, seal_packet(w, EAST)), 0);
	u8 slot[64];
	struct aead_job job;
	EXPECT(!wg_can_send(&w->end[EAST].wg, w->now));
	EXPECT_EQ(wg_seal_prepare(&w->end[EAST].wg, w->now, slot, 16, &job), ERR_STATE);
	world_end(w);
}

TEST(own_messages_are_bounded_and_the_newest_stay)
{
	struct world *w = world_begin(29);
	u8 msg[WG_INITIATION_LEN];
	for (unsigned i = 0; i < 6; i++) {
		w->end[EAST].wg.is_attempting = false;
		REQUIRE(wg_initiate(&w->end[EAST].wg, w->now, world_wall(w)) == 0);
	}
	EXPECT_EQ(w->end[EAST].local.stats.tx_displaced, 2);
	for (u32 i = 3; i <= 6; i++) {
		EXPECT_EQ(wg_poll_transmit(&w->end[EAST].wg, msg), WG_INITIATION_LEN);
		EXPECT_EQ(get_le32(msg + 4) & 0xff, i);
	}
	EXPECT_EQ(wg_poll_transmit(&w->end[EAST].wg, msg), 0);
	world_end(w);
}

TEST(secrets_are_wiped_at_the_end)
{
	struct world *w = world_begin(30);
	REQUIRE(handshake(w, EAST) == 0);
	world_end(w);
	for (int i = 0; i < 2; i++) {
		EXPECT(secret_is_zero(&w->end[i].wg, sizeof(w->end[i].wg)));
		EXPECT(secret_is_zero(&w->end[i].local, sizeof(w->end[i].local)));
	}
}
