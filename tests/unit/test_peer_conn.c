/* The life of a connection: states, buffers, identity, goodbye, liveness (spec 20 §5.10, §6.3, §9; spec 70 §1). */
#include "core/base/cursor.h"
#include "core/base/err.h"
#include "tests/unit/peer_world.h"
#include "tests/unit/test.h"

#include <stdio.h>

#define WALL SEC(1700000000)

static struct pw *world(struct pw_host **a, struct pw_host **b)
{
	struct pw *w = pw_new(1);

	pw_relay(w, "198.51.100.1", NULL);
	*a = pw_host(w, NODE_CLIENT, "10.0.0.2:52625", PW_NAT_NONE, NULL);
	*b = pw_host(w, NODE_GATEWAY, "10.0.1.2:52625", PW_NAT_NONE, NULL);
	pw_join(w, *a);
	pw_join(w, *b);
	pw_run(w, MSEC(100));
	return w;
}

static struct pw *connected(struct pw_host **a, struct pw_host **b)
{
	struct pw *w = world(a, b);

	pw_authorize(w, *a, *b);
	(void)pw_send(w, *a, *b, 100);
	EXPECT(PW_RUN_UNTIL(w, SEC(2), (*b)->rx_packets == 1));
	pw_run(w, SEC(1));
	(*a)->rx_packets = (*b)->rx_packets = 0;
	return w;
}

static bool is_stun(const u8 *data, u32 len)
{
	return len >= 20 && data[0] < 2 && get_be32(data + 4) == 0x2112A442;
}

static bool drop_between_peers(struct pw *w, const struct endpoint *src, const struct endpoint *dst, const u8 *data, u32 len)
{
	(void)w, (void)data, (void)len;
	return src->port != 3478 && dst->port != 3478;
}

static bool drop_all(struct pw *w, const struct endpoint *src, const struct endpoint *dst, const u8 *data, u32 len)
{
	(void)w, (void)src, (void)dst, (void)data, (void)len;
	return true;
}

static bool drop_wireguard(struct pw *w, const struct endpoint *src, const struct endpoint *dst, const u8 *data, u32 len)
{
	(void)w, (void)src, (void)dst;
	return !is_stun(data, len) && data[0] < 5;
}

static bool drop_direct(struct pw *w, const struct endpoint *src, const struct endpoint *dst, const u8 *data, u32 len)
{
	(void)w, (void)data, (void)len;
	return src->port == 52625 && dst->port == 52625;
}

/* --- connecting ------------------------------------------------------------------------------------------------------------------ */

TEST(spec20_57_packets_wait_while_connecting_the_oldest_give_way)
{
	struct pw_host *a, *b;
	struct pw *w = world(&a, &b);
	int full = 0;

	EXPECT_EQ(pw_upsert(w, b, a, false), 0);
	EXPECT_EQ(pw_upsert(w, a, b, true), 0);
	EXPECT(!node_is_connected(a->node, &b->id));
	u8 packet[64] = { 0x45 };
	for (u32 k = 0; k < sizeof(packet); k++)
		packet[k] = (u8)(0x45 + k);
	for (unsigned i = 0; i < CONN_IP_BUFFER + 2; i++)
		full += node_send(a->node, w->now, w->now + WALL, &b->id, SPAN(packet, sizeof(packet)), 0) == ERR_LIMIT;
	EXPECT_EQ(full, 2);
	pw_run(w, SEC(1));
	EXPECT(node_is_connected(a->node, &b->id));
	EXPECT_EQ(b->rx_packets, CONN_IP_BUFFER);
	EXPECT_EQ(b->rx_bad, 0);
	pw_free(w);
}

static bool drop_use_candidate(struct pw *w, const struct endpoint *src, const struct endpoint *dst, const u8 *data, u32 len)
{
	(void)src, (void)dst;
	for (u32 i = 20; w->is_data_filtered && is_stun(data, len) && i + 4 <= len; i += 4)
		if (get_be32(data + i) == 0x00250000)
			return true;
	return false;
}

TEST(spec20_57_wireguard_replies_wait_for_the_nomination)
{
	struct pw_host *a, *b;
	struct pw *w = world(&a, &b);

	w->drop = drop_use_candidate;
	w->is_data_filtered = true;
	pw_authorize(w, a, b);
	(void)pw_send(w, a, b, 100);
	pw_run(w, SEC(4));
	EXPECT(node_is_connected(a->node, &b->id));
	EXPECT(!node_is_connected(b->node, &a->id));
	EXPECT_EQ(b->n_established, 0);
	EXPECT(node_stats(b->node)->handshakes_in > 0);
	w->is_data_filtered = false;
	EXPECT(PW_RUN_UNTIL(w, MSEC(1600), b->rx_packets == 1)); /* no new handshake was needed: that takes 5 s */
	EXPECT_EQ(b->n_established, 1);
	EXPECT_EQ(node_stats(a->node)->handshakes_out, 1);
	pw_free(w);
}

TEST(spec20_58_no_candidate_within_ten_seconds)
{
	struct pw_host *a, *b;
	struct pw *w = world(&a, &b);

	EXPECT_EQ(pw_upsert(w, a, b, true), 0);
	u64 begin = w->now;
	pw_run(w, SEC(9) + MSEC(999));
	EXPECT_EQ(a->n_failed, 0);
	pw_run(w, MSEC(2));
	EXPECT_EQ(a->n_failed, 1);
	EXPECT_EQ(a->failed_at - begin, SEC(10));
	EXPECT(!node_knows(a->node, &b->id));
	pw_free(w);
}

TEST(spec20_40_controlled_drops_before_nomination)
{
	struct pw_host *a, *b;
	struct pw *w = world(&a, &b);

	EXPECT_EQ(pw_upsert(w, b, a, false), 0);
	EXPECT_EQ(pw_send(w, b, a, 60), ERR_STATE);
	EXPECT_EQ(pw_upsert(w, a, b, true), 0);
	pw_run(w, SEC(1));
	EXPECT_EQ(a->rx_packets, 0);
	EXPECT_EQ(pw_send(w, b, a, 60), 0);
	pw_run(w, SEC(1));
	EXPECT_EQ(a->rx_packets, 1);
	pw_free(w);
}

TEST(checks_that_outrun_signalling_connect_and_true_candidates_are_taken_later)
{
	struct pw_host *a, *b;
	struct pw *w = world(&a, &b);

	a->is_mute_portal = true; /* b learns of a by its checks only (#9979) */
	pw_authorize(w, a, b);
	(void)pw_send(w, a, b, 100);
	EXPECT(PW_RUN_UNTIL(w, SEC(2), b->rx_packets == 1));
	for (unsigned i = 0; i < a->n_added; i++)
		EXPECT_EQ(node_add_candidate(b->node, w->now, &a->id, SPAN(a->added[i], strlen(a->added[i]))), 0);
	pw_run(w, SEC(1));
	EXPECT_EQ(pw_send(w, b, a, 100), 0);
	pw_run(w, SEC(1));
	EXPECT_EQ(a->rx_packets, 1);
	pw_free(w);
}

/* --- failing --------------------------------------------------------------------------------------------------------------------- */

TEST(spec20_33_fails_two_seconds_after_disconnect)
{
	struct pw_host *a, *b;
	struct pw *w = connected(&a, &b);
	u64 cut = w->now;

	w->drop = drop_between_peers; /* no traffic: only ICE notices */
	pw_run(w, SEC(16));
	EXPECT_EQ(a->n_failed, 0);
	EXPECT(PW_RUN_UNTIL(w, SEC(5), a->n_failed == 1));
	EXPECT(a->failed_at - cut >= MSEC(16500) && a->failed_at - cut <= SEC(21));
	EXPECT_EQ(b->n_failed, 0);
	pw_free(w);
}

TEST(spec20_33_pairs_that_reappear_in_time_rescue)
{
	struct pw_host *a, *b;
	struct pw *w = connected(&a, &b);

	w->drop = drop_between_peers;
	/* let the pairs die, but hold the verdict off by the sight of a new candidate within the 2 s */
	pw_run(w, SEC(17));
	struct span text = SPAN_STR("candidate:1 1 udp 5 10.0.9.9 1000 typ host");
	for (unsigned i = 0; i < 3; i++) {
		EXPECT_EQ(node_add_candidate(a->node, w->now, &b->id, text), 0);
		pw_run(w, SEC(1));
	}
	w->drop = NULL;
	EXPECT_EQ(a->n_failed, 0);
	EXPECT_EQ(node_add_candidate(a->node, w->now, &b->id, SPAN_STR("candidate:1 1 udp 5 10.0.1.2 52625 typ host")), 0);
	EXPECT_EQ(pw_send(w, a, b, 100), 0);
	pw_run(w, SEC(2));
	EXPECT_EQ(a->n_failed, 0);
	EXPECT(pw_send(w, a, b, 100) == 0);
	pw_run(w, SEC(1));
	EXPECT(b->rx_packets >= 1);
	pw_free(w);
}

TEST(spec20_38_handshake_without_answer_fails_after_twenty_seconds)
{
	struct pw_host *a, *b;
	struct pw *w = world(&a, &b);

	w->drop = drop_wireguard;
	pw_authorize(w, a, b);
	EXPECT(PW_RUN_UNTIL(w, SEC(1), node_is_connected(a->node, &b->id)));
	u64 begin = w->now;
	(void)pw_send(w, a, b, 60);
	EXPECT(PW_RUN_UNTIL(w, SEC(25), a->n_failed == 1));
	EXPECT(a->failed_at - begin >= SEC(19) && a->failed_at - begin <= SEC(21));
	pw_free(w);
}

/* --- idle -------------------------------------------------------------------------------------------------------------------------- */

static u64 datagrams_in(struct pw *w, struct pw_host *h, u64 duration)
{
	u64 before = h->tx_datagrams;
	pw_run(w, duration);
	return h->tx_datagrams - before;
}

TEST(spec20_59_idle_after_twenty_seconds_and_back_on_traffic_or_signalling)
{
	struct pw_host *a, *b;
	struct pw *w = connected(&a, &b);
	u64 active = datagrams_in(w, a, SEC(10));

	pw_run(w, SEC(15));
	u64 idle = datagrams_in(w, a, SEC(10));
	EXPECT(active > 20);
	EXPECT(idle * 4 < active);
	(void)pw_send(w, a, b, 60);
	EXPECT(datagrams_in(w, a, SEC(10)) > 20);
	pw_run(w, SEC(30));
	EXPECT(datagrams_in(w, a, SEC(10)) * 4 < active);
	EXPECT_EQ(pw_upsert(w, a, b, true), 0); /* upsert */
	EXPECT(datagrams_in(w, a, SEC(10)) > 20);
	pw_run(w, SEC(30));
	EXPECT_EQ(node_add_candidate(a->node, w->now, &b->id, SPAN_STR("candidate:1 1 udp 5 10.0.9.9 1000 typ host")), 0);
	EXPECT(datagrams_in(w, a, SEC(10)) > 20);
	EXPECT_EQ(a->n_failed + b->n_failed, 0);
	pw_free(w);
}

TEST(nomination_while_idle_is_followed)
{
	struct pw_host *a, *b;
	struct pw *w = world(&a, &b);

	w->drop = drop_direct;
	pw_authorize(w, a, b);
	(void)pw_send(w, a, b, 100);
	pw_run(w, SEC(40)); /* both idle on a relayed path */
	EXPECT(a->last_path != PATH_DIRECT);
	w->drop = NULL;
	EXPECT_EQ(pw_upsert(w, a, b, true), 0);
	pw_run(w, SEC(3));
	EXPECT_EQ(a->last_path, PATH_DIRECT); /* (#9977) */
	EXPECT_EQ(b->last_path, PATH_DIRECT);
	pw_free(w);
}

TEST(long_quiet_connections_live_and_rekey)
{
	struct pw_host *a, *b;
	struct pw *w = connected(&a, &b);

	for (unsigned i = 0; i < 20; i++) {
		pw_run(w, SEC(100));
		EXPECT_EQ(pw_send(w, a, b, 60), 0);
		pw_run(w, MSEC(200));
		EXPECT_EQ(pw_send(w, b, a, 60), 0);
	}
	pw_run(w, SEC(6));
	EXPECT_EQ(a->rx_packets, 20);
	EXPECT_EQ(b->rx_packets, 20);
	EXPECT_EQ(a->n_failed + b->n_failed, 0);
	EXPECT_EQ(a->n_established, 1);
	EXPECT(node_stats(a->node)->handshakes_out > 5);
	pw_free(w);
}

/* --- upsert ------------------------------------------------------------------------------------------------------------------------- */

TEST(spec20_60_spec10_51_equal_upsert_reuses_and_signals_all_candidates_again)
{
	struct pw_host *a, *b;
	struct pw *w = connected(&a, &b);
	unsigned n = a->n_added;

	EXPECT_EQ(pw_upsert(w, a, b, true), 0);
	pw_run(w, SEC(1));
	EXPECT_EQ(a->n_added, 2 * n);
	EXPECT_EQ(a->n_established, 1);
	EXPECT_EQ(node_stats(a->node)->conns, 1);
	EXPECT_EQ(pw_send(w, a, b, 100), 0);
	pw_run(w, SEC(1));
	EXPECT_EQ(b->rx_packets, 1);

	/* a withdrawn candidate is not signalled again (#12134) */
	struct uuid id = w->relay[0].id;
	node_update_relays(a->node, w->now, &id, 1, NULL, 0);
	pw_collect(w, a);
	EXPECT_EQ(a->n_removed, 1);
	EXPECT(strstr(a->removed[0], "typ relay raddr 0.0.0.0 rport 0") && !strstr(a->removed[0], "ufrag"));
	unsigned before = a->n_added;
	EXPECT_EQ(pw_upsert(w, a, b, true), 0);
	pw_collect(w, a);
	EXPECT_EQ(a->n_added, before + n - 1);
	pw_free(w);
}

TEST(spec20_61_any_difference_replaces)
{
	struct pw_host *a, *b;
	struct pw *w = connected(&a, &b);

	a->psk_salt = 1; /* the key that portals change when they restart (#9999) */
	pw_authorize(w, a, b);
	EXPECT(!node_is_connected(a->node, &b->id));
	EXPECT_EQ(node_stats(a->node)->conns, 1);
	(void)pw_send(w, a, b, 100);
	pw_run(w, SEC(1));
	EXPECT_EQ(b->rx_packets, 1);
	EXPECT_EQ(a->n_established, 2);
	EXPECT_EQ(a->n_failed + b->n_failed + a->rx_goodbyes + b->rx_goodbyes, 0);

	/* without any relay the old one stays as it is */
	struct uuid id = w->relay[0].id;
	node_update_relays(a->node, w->now, &id, 1, NULL, 0);
	a->psk_salt = 2;
	EXPECT_EQ(pw_upsert(w, a, b, true), ERR_NO_RELAY);
	EXPECT(node_is_connected(a->node, &b->id));
	(void)pw_send(w, a, b, 100);
	pw_run(w, SEC(1));
	EXPECT_EQ(b->rx_packets, 2);
	a->psk_salt = 1;
	EXPECT_EQ(pw_upsert(w, a, b, true), 0); /* reuse needs no relay */
	pw_free(w);
}

TEST(spec20_39_proactive_handshakes_are_twenty_seconds_apart)
{
	struct pw_host *a, *b;
	struct pw *w = connected(&a, &b);

	EXPECT_EQ(node_stats(a->node)->handshakes_out, 1);
	for (unsigned i = 0; i < 5; i++) {
		EXPECT_EQ(pw_upsert(w, a, b, true), 0);
		pw_run(w, SEC(1));
	}
	EXPECT_EQ(node_stats(a->node)->handshakes_out, 1);
	pw_run(w, SEC(20));
	EXPECT_EQ(pw_upsert(w, b, a, false), 0); /* never by the controlled side */
	pw_run(w, SEC(1));
	EXPECT_EQ(node_stats(b->node)->handshakes_out, 1);
	EXPECT_EQ(pw_upsert(w, a, b, true), 0);
	pw_run(w, SEC(1));
	EXPECT_EQ(node_stats(a->node)->handshakes_out, 2);
	pw_free(w);
}

TEST(bad_upserts_change_nothing)
{
	struct pw_host *a, *b;
	struct pw *w = world(&a, &b);
	struct node_peer p = pw_peer(w, a, b, true);

	memset(p.local.ufrag, 'x', sizeof(p.local.ufrag));
	EXPECT_EQ(node_upsert(a->node, w->now, w->now, &b->id, &p, NULL), ERR_INVAL);
	p = pw_peer(w, a, b, true);
	p.remote.pwd[0] = 0;
	EXPECT_EQ(node_upsert(a->node, w->now, w->now, &b->id, &p, NULL), ERR_INVAL);
	p = pw_peer(w, a, b, true);
	memset(p.public_key, 0, sizeof(p.public_key)); /* a point of low order */
	EXPECT(node_upsert(a->node, w->now, w->now, &b->id, &p, NULL) < 0);
	EXPECT(!node_knows(a->node, &b->id));
	pw_free(w);
}

/* --- ending --------------------------------------------------------------------------------------------------------------------------- */

TEST(spec20_63_goodbye_on_close)
{
	struct pw_host *a, *b;
	struct pw *w = connected(&a, &b);

	node_close(a->node, w->now, &b->id);
	EXPECT(!node_knows(a->node, &b->id));
	pw_collect(w, a);
	pw_run(w, MSEC(100));
	EXPECT_EQ(b->rx_goodbyes, 1);
	EXPECT(!node_knows(b->node, &a->id));
	pw_run(w, SEC(30));
	EXPECT_EQ(a->n_failed + b->n_failed + a->n_closed, 0); /* no event follows */

	/* while connecting there is nobody to tell */
	EXPECT_EQ(pw_upsert(w, a, b, true), 0);
	node_close_all(a->node, w->now);
	pw_run(w, SEC(15));
	EXPECT_EQ(b->rx_goodbyes, 1);
	EXPECT_EQ(a->n_failed, 0);
	EXPECT_EQ(node_stats(a->node)->conns, 0);
	pw_free(w);
}

TEST(spec20_62_reset_rotates_keys_and_forgets_everything)
{
	struct pw_host *a, *b;
	struct pw *w = connected(&a, &b);
	u8 before[32], after[32];
	bool is_undecided;

	node_public_key(a->node, before);
	node_reset(a->node, w->now);
	node_public_key(a->node, after);
	EXPECT(memcmp(before, after, 32) != 0);
	pw_collect(w, a);
	EXPECT_EQ(a->n_closed, 1);
	EXPECT(!node_has_relay(a->node, &is_undecided));
	EXPECT(!is_undecided);
	EXPECT_EQ(pw_upsert(w, a, b, true), ERR_NO_RELAY);
	pw_join(w, a);
	EXPECT(!node_has_relay(a->node, &is_undecided));
	EXPECT(is_undecided);
	pw_run(w, MSEC(100));
	EXPECT(node_has_relay(a->node, &is_undecided));
	pw_authorize(w, a, b); /* b replaces: another key */
	(void)pw_send(w, a, b, 100);
	pw_run(w, SEC(1));
	EXPECT_EQ(b->rx_packets, 1);
	EXPECT_EQ(b->rx_goodbyes, 0);
	pw_free(w);
}

/* --- liveness (spec 70 §1) -------------------------------------------------------------------------------------------------------------- */

static void send_every(struct pw *w, struct pw_host *from, struct pw_host *to, u64 interval, u64 duration)
{
	for (u64 end = w->now + duration; w->now < end && from->n_failed == 0;) {
		(void)pw_send(w, from, to, 100);
		pw_run(w, interval);
	}
}

TEST(a_killed_gateway_is_noticed_within_three_seconds_of_traffic)
{
	for (unsigned active = 0; active < 2; active++) {
		struct pw_host *a, *b;
		struct pw *w = connected(&a, &b);
		if (active)
			for (unsigned i = 0; i < 50; i++) {
				(void)pw_send(w, a, b, 100);
				(void)pw_send(w, b, a, 100);
				pw_run(w, MSEC(100));
			}
		else
			pw_run(w, SEC(60)); /* idle */
		b->is_dead = true;
		u64 begin = w->now;
		send_every(w, a, b, MSEC(200), SEC(10));
		EXPECT_EQ(a->n_failed, 1);
		EXPECT(a->failed_at - begin <= SEC(3));
		pw_free(w);
	}
}

TEST(a_dead_uplink_is_no_dead_peer)
{
	struct pw_host *a, *b;
	struct pw *w = connected(&a, &b);

	w->drop = drop_all;
	send_every(w, a, b, MSEC(200), SEC(12));
	EXPECT_EQ(a->n_failed, 0);
	w->drop = NULL;
	pw_run(w, SEC(2));
	b->rx_packets = 0;
	(void)pw_send(w, a, b, 100);
	pw_run(w, SEC(1));
	EXPECT_EQ(b->rx_packets, 1);
	EXPECT_EQ(a->n_failed, 0);
	pw_free(w);
}

TEST(one_way_traffic_under_loss_raises_no_alarm)
{
	for (u64 seed = 0; seed < 6; seed++) {
		struct pw_host *a, *b;
		struct pw *w = connected(&a, &b);
		rng_seeded_init(&w->rng, seed);
		w->loss_percent = 20;
		send_every(w, a, b, MSEC(100), SEC(120));
		EXPECT_EQ(a->n_failed + b->n_failed, 0);
		EXPECT(b->rx_packets > 850);
		pw_free(w);
	}
}

TEST(a_dead_path_is_left_for_a_living_one_within_three_seconds)
{
	struct pw_host *a, *b;
	struct pw *w = connected(&a, &b);

	EXPECT_EQ(a->last_path, PATH_DIRECT);
	w->drop = drop_direct;
	u64 begin = w->now;
	while (a->last_path == PATH_DIRECT && w->now < begin + SEC(10)) {
		(void)pw_send(w, a, b, 100);
		pw_run(w, MSEC(100));
	}
	EXPECT(w->now - begin <= SEC(3));
	u64 had = b->rx_packets;
	send_every(w, a, b, MSEC(100), SEC(8));
	EXPECT(b->rx_packets >= had + 75);
	EXPECT(b->last_path != PATH_DIRECT); /* the gateway followed */
	a->rx_packets = 0;
	(void)pw_send(w, b, a, 100);
	pw_run(w, MSEC(100));
	EXPECT_EQ(a->rx_packets, 1);
	EXPECT_EQ(a->n_failed, 0);
	pw_free(w);
}
