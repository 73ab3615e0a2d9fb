/* Nodes against each other on a simulated network: paths, demultiplexing, batches (spec 20 §1.6, §2, §10). */
#include "core/base/cursor.h"
#include "core/peer/node.h"
#include "core/stun/channel.h"
#include "core/stun/stun.h"
#include "tests/unit/peer_world.h"
#include "tests/unit/test.h"

#include <stdio.h>

static struct pw *world(struct pw_host **a, struct pw_host **b, enum pw_nat nat_a, enum pw_nat nat_b)
{
	struct pw *w = pw_new(1);

	pw_relay(w, "198.51.100.1", NULL);
	*a = pw_host(w, NODE_CLIENT, "10.0.0.2:52625", nat_a, nat_a == PW_NAT_NONE ? NULL : "203.0.113.1");
	*b = pw_host(w, NODE_GATEWAY, "10.0.1.2:52625", nat_b, nat_b == PW_NAT_NONE ? NULL : "203.0.113.2");
	pw_join(w, *a);
	pw_join(w, *b);
	pw_run(w, MSEC(100));
	return w;
}

static struct pw *connected(struct pw_host **a, struct pw_host **b, enum pw_nat nat_a, enum pw_nat nat_b)
{
	struct pw *w = world(a, b, nat_a, nat_b);

	pw_authorize(w, *a, *b);
	(void)pw_send(w, *a, *b, 100);
	EXPECT(PW_RUN_UNTIL(w, SEC(2), (*b)->rx_packets == 1));
	(void)pw_send(w, *b, *a, 100);
	EXPECT(PW_RUN_UNTIL(w, SEC(2), (*a)->rx_packets == 1));
	pw_run(w, SEC(1));
	(*a)->rx_packets = (*b)->rx_packets = 0;
	return w;
}

static void exchange(struct pw *w, struct pw_host *a, struct pw_host *b)
{
	u64 had_a = a->rx_packets, had_b = b->rx_packets;

	EXPECT_EQ(pw_send(w, a, b, 1280), 0);
	EXPECT_EQ(pw_send(w, b, a, 28), 0);
	pw_run(w, MSEC(50));
	EXPECT_EQ(a->rx_packets, had_a + 1);
	EXPECT_EQ(b->rx_packets, had_b + 1);
	EXPECT_EQ(a->rx_bad + b->rx_bad, 0);
}

/* --- paths -------------------------------------------------------------------------------------------------------------------- */

TEST(direct_connection_carries_packets_both_ways)
{
	struct pw_host *a, *b;
	struct pw *w = connected(&a, &b, PW_NAT_NONE, PW_NAT_NONE);

	exchange(w, a, b);
	EXPECT_EQ(a->n_established, 1);
	EXPECT_EQ(b->n_established, 1);
	EXPECT_EQ(a->last_path, PATH_DIRECT);
	EXPECT_EQ(b->last_path, PATH_DIRECT);
	pw_free(w);
}

TEST(hole_punching_between_cone_nats)
{
	struct pw_host *a, *b;
	struct pw *w = connected(&a, &b, PW_NAT_CONE, PW_NAT_CONE);
	struct node_conn_info info;

	exchange(w, a, b);
	EXPECT_EQ(node_conn_info(a->node, &b->id, &info), 0);
	EXPECT_EQ(info.path, PATH_DIRECT);
	EXPECT(ip_eq(&info.remote.ip, &b->public_ip));
	EXPECT(info.rx_bytes > 0 && info.tx_bytes > 0 && info.last_handshake > 0);
	EXPECT(info.has_rtt && info.rtt > 0 && info.rtt < MSEC(500));
	pw_free(w);
}

TEST(symmetric_nats_talk_over_a_relay)
{
	struct pw_host *a, *b;
	struct pw *w = connected(&a, &b, PW_NAT_SYMMETRIC, PW_NAT_SYMMETRIC);

	exchange(w, a, b);
	EXPECT(a->last_path != PATH_DIRECT);
	EXPECT(b->last_path != PATH_DIRECT);
	EXPECT(w->relay[0].rx_channel_data > 0);
	pw_free(w);
}

/* Candidates of the two ends arrive at different times, so first checks run against closed NATs and unbound channels; nobody may then
 * wait for a retransmission (spec 70 §1). */
TEST(a_first_packet_waits_for_no_timer)
{
	static const enum pw_nat nats[] = { PW_NAT_NONE, PW_NAT_CONE, PW_NAT_SYMMETRIC };
	static const u32 skews_us[][2] = { { 1000, 1000 }, { 6000, 1000 }, { 1000, 6000 } };

	for (unsigned i = 0; i < ARRAY_LEN(nats); i++)
		for (unsigned k = 0; k < ARRAY_LEN(skews_us); k++) {
			struct pw_host *a, *b;
			struct pw *w = world(&a, &b, nats[i], nats[i]);
			a->portal_us = skews_us[k][0];
			b->portal_us = skews_us[k][1];
			a->latency_us = b->latency_us = w->relay[0].latency_us = 200;
			pw_authorize(w, a, b);
			u64 begin = w->now;
			(void)pw_send(w, a, b, 100);
			EXPECT(PW_RUN_UNTIL(w, SEC(1), b->rx_packets == 1));
			(void)pw_send(w, b, a, 100);
			EXPECT(PW_RUN_UNTIL(w, SEC(1), a->rx_packets == 1));
			EXPECT(w->now - begin <= MSEC(13));
			pw_free(w);
		}
}

static bool drop_own_relay_is_far(struct pw *w, const struct endpoint *src, const struct endpoint *dst, const u8 *data, u32 len)
{
	(void)data, (void)len;
	/* only relayed addresses reach relayed addresses */
	bool is_src = src->port >= 50000 && ip_eq(&src->ip, &w->relay[0].v4.ip);
	bool is_dst = dst->port >= 50000 && ip_eq(&dst->ip, &w->relay[0].v4.ip);
	return is_src != is_dst;
}

TEST(relay_to_relay)
{
	struct pw_host *a, *b;
	struct pw *w = world(&a, &b, PW_NAT_SYMMETRIC, PW_NAT_SYMMETRIC);

	w->drop = drop_own_relay_is_far;
	pw_authorize(w, a, b);
	(void)pw_send(w, a, b, 100);
	EXPECT(PW_RUN_UNTIL(w, SEC(2), b->rx_packets == 1));
	exchange(w, a, b);
	EXPECT_EQ(a->last_path, PATH_BOTH_RELAYS);
	EXPECT_EQ(b->last_path, PATH_BOTH_RELAYS);
	pw_free(w);
}

TEST(connections_form_under_loss_and_reordering_for_many_seeds)
{
	for (u64 seed = 0; seed < 40; seed++) {
		struct pw *w = pw_new(seed);
		pw_relay(w, "198.51.100.1", NULL);
		struct pw_host *a = pw_host(w, NODE_CLIENT, "10.0.0.2:52625", (enum pw_nat)(seed % 3), "203.0.113.1");
		struct pw_host *b = pw_host(w, NODE_GATEWAY, "10.0.1.2:52625", (enum pw_nat)(seed / 3 % 3), "203.0.113.2");
		w->jitter_us = 20000;
		pw_join(w, a);
		pw_join(w, b);
		pw_run(w, SEC(1));
		w->loss_percent = 8; /* of each hop; a doubly relayed path has three */
		pw_authorize(w, a, b);
		(void)pw_send(w, a, b, 200);
		for (unsigned i = 0; i < 100; i++) {
			pw_run(w, MSEC(200));
			(void)pw_send(w, a, b, 200);
			(void)pw_send(w, b, a, 200);
		}
		EXPECT(a->rx_packets > 40);
		EXPECT(b->rx_packets > 40);
		EXPECT_EQ(a->rx_bad + b->rx_bad, 0);
		EXPECT_EQ(a->n_failed + b->n_failed, 0);
		pw_free(w);
	}
}

TEST(ipv6_only_paths_work)
{
	struct pw *w = pw_new(3);
	pw_relay(w, "198.51.100.1", "2001:db8:ffff::1");
	struct pw_host *a = pw_host(w, NODE_CLIENT, "10.0.0.2:52625", PW_NAT_NONE, NULL);
	struct pw_host *b = pw_host(w, NODE_GATEWAY, "10.0.1.2:52625", PW_NAT_NONE, NULL);

	a->v4 = b->v4 = (struct endpoint){ 0 };
	a->v6 = pw_ep("[2001:db8::2]:52625");
	b->v6 = pw_ep("[2001:db8::3]:52625");
	pw_join(w, a);
	pw_join(w, b);
	pw_run(w, MSEC(100));
	pw_authorize(w, a, b);
	(void)pw_send(w, a, b, 100);
	EXPECT(PW_RUN_UNTIL(w, SEC(2), b->rx_packets == 1));
	EXPECT_EQ(a->last_path, PATH_DIRECT);
	pw_free(w);
}

/* --- batches --------------------------------------------------------------------------------------------------------------------- */

TEST(staged_packets_leave_as_runs_of_equal_size)
{
	struct pw_host *a, *b;
	struct pw *w = connected(&a, &b, PW_NAT_NONE, PW_NAT_NONE);
	struct node_stage st;
	struct udp_tx tx;
	static const u32 lens[] = { 1280, 1280, 1280, 600, 1280, 1280, 40, 40, 600 };
	static const u32 want_len[] = { 3 * 1312 + 632, 2 * 1312 + 72, 72, 632 };

	REQUIRE(node_stage_open(a->node, w->now, &b->id, ECN_ECT1, &st) == 0);
	for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
		u8 *p = node_stage_slot(a->node, &st, lens[i]);
		REQUIRE(p != NULL);
		memset(p, 0, lens[i]);
	}
	EXPECT(!node_poll_transmit(a->node, &tx)); /* nothing leaves unsealed */
	node_flush(a->node, w->now);
	for (size_t i = 0; i < ARRAY_LEN(want_len); i++) {
		REQUIRE(node_poll_transmit(a->node, &tx));
		EXPECT_EQ(tx.len, want_len[i]);
		EXPECT_EQ(tx.ecn, ECN_ECT1);
		EXPECT(ip_eq(&tx.src, &a->v4.ip));
		EXPECT(endpoint_eq(&tx.dst, &b->v4));
	}
	EXPECT(!node_poll_transmit(a->node, &tx));
	pw_free(w);
}

TEST(a_full_arena_is_told_and_empties)
{
	struct pw_host *a, *b;
	struct pw *w = connected(&a, &b, PW_NAT_NONE, PW_NAT_NONE);

	for (unsigned round = 0; round < 3; round++) {
		struct node_stage st;
		unsigned n = 0;
		REQUIRE(node_stage_open(a->node, w->now, &b->id, 0, &st) == 0);
		for (u8 *p; (p = node_stage_slot(a->node, &st, 1280)) != NULL; n++)
			for (u32 k = 0; k < 1280; k++)
				p[k] = (u8)k;
		EXPECT(n > 380 && n < 420);
		pw_collect(w, a);
		pw_run(w, MSEC(20));
		EXPECT_EQ(b->rx_packets, (u64)n * (round + 1));
	}
	EXPECT(a->max_run <= 65535 - 68); /* with the longest headers of IPv4 and UDP */
	EXPECT(node_stats(a->node)->stage_full >= 3);
	EXPECT_EQ(b->rx_bad, 0);
	pw_free(w);
}

TEST(spec20_6_outer_ecn_travels_with_the_packet)
{
	struct pw_host *a, *b;
	struct pw *w = connected(&a, &b, PW_NAT_NONE, PW_NAT_NONE);
	struct node_stage st;
	struct udp_tx tx;
	size_t n;

	REQUIRE(node_stage_open(a->node, w->now, &b->id, ECN_ECT0, &st) == 0);
	memset(node_stage_slot(a->node, &st, 60), 0, 60);
	REQUIRE(node_stage_open(a->node, w->now, &b->id, ECN_NOT_ECT, &st) == 0);
	memset(node_stage_slot(a->node, &st, 60), 0, 60);
	node_flush(a->node, w->now);
	REQUIRE(node_poll_transmit(a->node, &tx)); /* differing marks do not share a run */
	EXPECT_EQ(tx.ecn, ECN_ECT0);
	struct udp_rx rx = { b->v4, a->v4, tx.data, tx.len, tx.seg, ECN_CE };
	node_input(b->node, w->now, w->now, &rx, 1);
	struct inner *in = node_inner(b->node, &n);
	REQUIRE(n == 1);
	EXPECT_EQ(in->outer_ecn, ECN_CE);
	EXPECT_EQ(in->len, 60);
	EXPECT(uuid_eq(in->id, &a->id));
	REQUIRE(node_poll_transmit(a->node, &tx));
	EXPECT_EQ(tx.ecn, ECN_NOT_ECT);
	pw_free(w);
}

TEST(packets_of_several_peers_in_one_batch)
{
	struct pw *w = pw_new(5);
	struct pw_host *c[3], *g;
	struct udp_rx rx[3];
	struct udp_tx tx;
	static u8 mem[3][8192];
	size_t n;

	pw_relay(w, "198.51.100.1", NULL);
	g = pw_host(w, NODE_GATEWAY, "10.0.1.2:52625", PW_NAT_NONE, NULL);
	for (unsigned i = 0; i < 3; i++) {
		char s[32];
		snprintf(s, sizeof(s), "10.0.0.%u:52625", 2 + i);
		c[i] = pw_host(w, NODE_CLIENT, s, PW_NAT_NONE, NULL);
		pw_join(w, c[i]);
	}
	pw_join(w, g);
	pw_run(w, MSEC(100));
	for (unsigned i = 0; i < 3; i++) {
		pw_authorize(w, c[i], g);
		(void)pw_send(w, c[i], g, 50);
	}
	pw_run(w, SEC(1));
	EXPECT_EQ(g->rx_packets, 3);
	for (unsigned i = 0; i < 3; i++) {
		struct node_stage st;
		REQUIRE(node_stage_open(c[i]->node, w->now, &g->id, 0, &st) == 0);
		for (unsigned k = 0; k < 4; k++)
			memset(node_stage_slot(c[i]->node, &st, 200), (int)(i + 1), 200);
		node_flush(c[i]->node, w->now);
		REQUIRE(node_poll_transmit(c[i]->node, &tx));
		memcpy(mem[i], tx.data, tx.len);
		rx[i] = (struct udp_rx){ g->v4, c[i]->v4, mem[i], tx.len, tx.seg, 0 };
	}
	mem[1][300] ^= 1; /* one damaged packet spoils nothing else */
	node_input(g->node, w->now, w->now, rx, 3);
	struct inner *in = node_inner(g->node, &n);
	REQUIRE(n == 11);
	for (size_t i = 0; i < n; i++) {
		EXPECT(uuid_eq(in[i].id, &c[in[i].data[0] - 1]->id));
		EXPECT_EQ(in[i].data[0], in[i].data[199]);
	}
	EXPECT_EQ(node_stats(g->node)->rx_auth_failed, 1);
	node_input(g->node, w->now, w->now, NULL, 0);
	(void)node_inner(g->node, &n);
	EXPECT_EQ(n, 0);
	pw_free(w);
}

/* --- demultiplexing ----------------------------------------------------------------------------------------------------------------- */

/* The next WireGuard data packet of `a` for `b`, sealed. */
static size_t data_packet(struct pw *w, struct pw_host *a, struct pw_host *b, u8 out[static 256])
{
	struct node_stage st;
	struct udp_tx tx;

	if (node_stage_open(a->node, w->now, &b->id, 0, &st) != 0)
		return 0;
	u8 *p = node_stage_slot(a->node, &st, 100);
	for (u32 i = 0; i < 100; i++)
		p[i] = (u8)i;
	node_flush(a->node, w->now);
	if (!node_poll_transmit(a->node, &tx) || tx.len > 256)
		return 0;
	memcpy(out, tx.data, tx.len);
	return tx.len;
}

TEST(spec20_10_data_is_routed_by_receiver_index_never_by_source)
{
	struct pw_host *a, *b;
	struct pw *w = connected(&a, &b, PW_NAT_NONE, PW_NAT_NONE);
	u8 buf[256];
	size_t n = data_packet(w, a, b, buf);

	REQUIRE(n == 132);
	pw_inject(w, b, "192.0.2.99:1", buf, n);
	EXPECT_EQ(b->rx_packets, 1);
	pw_inject(w, b, "192.0.2.99:1", buf, n);
	EXPECT_EQ(b->rx_packets, 1);
	EXPECT_EQ(node_stats(b->node)->rx_replayed, 1);

	n = data_packet(w, a, b, buf);
	buf[6] ^= 0x40; /* another connection's index */
	pw_inject(w, b, "10.0.0.2:52625", buf, n);
	EXPECT_EQ(b->rx_packets, 1);
	EXPECT_EQ(node_stats(b->node)->rx_unknown, 1);
	buf[6] ^= 0x40;
	buf[40] ^= 1;
	pw_inject(w, b, "10.0.0.2:52625", buf, n);
	EXPECT_EQ(node_stats(b->node)->rx_auth_failed, 1);
	pw_inject(w, b, "10.0.0.2:52625", buf, 31);
	pw_inject(w, b, "10.0.0.2:52625", "\x05\0\0\0 hello, this is nobody's protocol", 36);
	EXPECT_EQ(node_stats(b->node)->rx_invalid, 2);
	pw_free(w);
}

TEST(spec20_30_data_is_accepted_on_any_path)
{
	struct pw_host *a, *b;
	struct pw *w = connected(&a, &b, PW_NAT_NONE, PW_NAT_NONE);
	u8 buf[256], wrapped[300];
	size_t n = data_packet(w, a, b, buf);
	struct pw_alloc *alloc = NULL;

	/* through b's relay, on a channel it has bound for a's relayed address */
	for (unsigned i = 0; i < PW_ALLOCS; i++)
		if (w->relay[0].alloc[i].is_used && endpoint_eq(&w->relay[0].alloc[i].client, &b->v4))
			alloc = &w->relay[0].alloc[i];
	REQUIRE(alloc && alloc->n_channels > 0);
	channel_header(wrapped, alloc->channel[0].number, (u16)n);
	memcpy(wrapped + 4, buf, n);
	pw_inject(w, b, "198.51.100.1:3478", wrapped, n + 4);
	EXPECT_EQ(b->rx_packets, 1);
	pw_free(w);
}

TEST(spec20_7_relay_traffic_only_from_known_relays_port_3478)
{
	struct pw_host *a, *b;
	struct pw *w = connected(&a, &b, PW_NAT_NONE, PW_NAT_NONE);
	u8 buf[256];
	size_t n;

	/* a peer behind a NAT that gave it port 3478 is a peer (#10907) */
	n = data_packet(w, a, b, buf);
	pw_inject(w, b, "192.0.2.9:3478", buf, n);
	EXPECT_EQ(b->rx_packets, 1);
	/* channel data from elsewhere is nothing: its first bytes are no WireGuard type */
	u8 wrapped[300] = { 0x40, 0x00, 0, (u8)n };
	n = data_packet(w, a, b, wrapped + 4);
	pw_inject(w, b, "198.51.100.1:3479", wrapped, n + 4);
	pw_inject(w, b, "192.0.2.9:3478", wrapped, n + 4);
	EXPECT_EQ(b->rx_packets, 1);

	/* a relay that went away: its channel data and STUN are dropped, its IP stays known (#9885, #9961) */
	struct uuid id = w->relay[0].id;
	node_update_relays(b->node, w->now, &id, 1, NULL, 0);
	pw_collect(w, b);
	u64 invalid = node_stats(b->node)->rx_invalid;
	pw_inject(w, b, "198.51.100.1:3478", wrapped, n + 4);
	u8 stun[64], txid[STUN_TXID] = { 1 };
	struct stun_builder sb;
	stun_begin(&sb, stun, sizeof(stun), STUN_SUCCESS, STUN_BINDING, txid);
	int len = stun_end(&sb);
	pw_inject(w, b, "198.51.100.1:3478", stun, (size_t)len);
	EXPECT_EQ(node_stats(b->node)->rx_invalid, invalid);
	/* but its plain WireGuard data goes on, as any peer's */
	n = data_packet(w, a, b, buf);
	pw_inject(w, b, "198.51.100.1:3478", buf, n);
	EXPECT_EQ(b->rx_packets, 2);
	pw_free(w);
}

TEST(spec20_8_channel_data_must_be_exact_and_its_channel_confirmed)
{
	struct pw_host *a, *b;
	struct pw *w = connected(&a, &b, PW_NAT_NONE, PW_NAT_NONE);
	u8 buf[256], wrapped[300];
	struct pw_alloc *alloc = NULL;

	for (unsigned i = 0; i < PW_ALLOCS; i++)
		if (w->relay[0].alloc[i].is_used && endpoint_eq(&w->relay[0].alloc[i].client, &b->v4))
			alloc = &w->relay[0].alloc[i];
	REQUIRE(alloc && alloc->n_channels > 0);
	size_t n = data_packet(w, a, b, buf);
	memcpy(wrapped + 4, buf, n);
	channel_header(wrapped, alloc->channel[0].number, (u16)n);
	pw_inject(w, b, "198.51.100.1:3478", wrapped, n + 8); /* padded */
	EXPECT_EQ(b->rx_packets, 0);
	channel_header(wrapped, 0x4FFE, (u16)n); /* never bound */
	pw_inject(w, b, "198.51.100.1:3478", wrapped, n + 4);
	EXPECT_EQ(b->rx_packets, 0);
	channel_header(wrapped, alloc->channel[0].number, (u16)n);
	pw_inject(w, b, "198.51.100.1:3478", wrapped, n + 4);
	EXPECT_EQ(b->rx_packets, 1);
	pw_free(w);
}

TEST(spec20_5_oversize_datagrams_are_dropped)
{
	struct pw_host *a, *b;
	struct pw *w = connected(&a, &b, PW_NAT_NONE, PW_NAT_NONE);
	u8 big[1400] = { 4 };
	struct node_stage st;

	pw_inject(w, b, "10.0.0.2:52625", big, 1317);
	EXPECT_EQ(node_stats(b->node)->rx_oversize, 1);
	pw_inject(w, b, "10.0.0.2:52625", big, 1316);
	EXPECT_EQ(node_stats(b->node)->rx_oversize, 1);
	REQUIRE(node_stage_open(a->node, w->now, &b->id, 0, &st) == 0);
	EXPECT(node_stage_slot(a->node, &st, TUNNEL_MTU + 1) == NULL);
	EXPECT_EQ(node_send(a->node, w->now, w->now, &b->id, SPAN(big, TUNNEL_MTU + 1), 0), ERR_INVAL);
	pw_free(w);
}

TEST(spec20_9_checks_are_routed_by_both_ufrags_and_answers_by_transaction)
{
	struct pw *w = pw_new(9);
	struct pw_host *c[2], *g;

	pw_relay(w, "198.51.100.1", NULL);
	g = pw_host(w, NODE_GATEWAY, "10.0.1.2:52625", PW_NAT_NONE, NULL);
	for (unsigned i = 0; i < 2; i++) {
		c[i] = pw_host(w, NODE_CLIENT, i == 0 ? "10.0.0.2:52625" : "10.0.0.3:52625", PW_NAT_NONE, NULL);
		pw_join(w, c[i]);
	}
	pw_join(w, g);
	pw_run(w, MSEC(100));
	for (unsigned i = 0; i < 2; i++) { /* both clients drew the same ufrag for the gateway */
		struct node_peer mine = pw_peer(w, c[i], g, true), its = pw_peer(w, g, c[i], false);
		snprintf(mine.remote.ufrag, sizeof(mine.remote.ufrag), "same");
		snprintf(its.local.ufrag, sizeof(its.local.ufrag), "same");
		EXPECT_EQ(node_upsert(g->node, w->now, w->now + SEC(1700000000), &c[i]->id, &its, NULL), 0);
		EXPECT_EQ(node_upsert(c[i]->node, w->now, w->now + SEC(1700000000), &g->id, &mine, NULL), 0);
		(void)pw_send(w, c[i], g, 50);
	}
	pw_run(w, SEC(1));
	EXPECT_EQ(g->rx_packets, 2);
	EXPECT_EQ(g->n_established, 2);
	pw_free(w);
}

/* Whatever this node sends now, without time passing, is an answer. */
static u64 answers_to(struct pw *w, struct pw_host *h, const void *data, size_t len)
{
	u64 before = h->tx_datagrams;

	pw_inject(w, h, "192.0.2.66:4000", data, len);
	node_timeout(h->node, w->now, w->now);
	pw_collect(w, h);
	return h->tx_datagrams - before;
}

static size_t check_with(u8 *out, size_t cap, const char *username, const char *password)
{
	static const u8 txid[STUN_TXID] = { 7, 7, 7 };
	struct stun_builder b;

	stun_begin(&b, out, cap, STUN_REQUEST, STUN_BINDING, txid);
	if (username)
		stun_put(&b, ATTR_USERNAME, SPAN(username, strlen(username)));
	stun_put_u32(&b, ATTR_PRIORITY, 1);
	stun_put_u64(&b, ATTR_ICE_CONTROLLING, 1);
	if (password)
		stun_put_integrity(&b, SPAN(password, strlen(password)));
	stun_put_fingerprint(&b);
	return (size_t)stun_end(&b);
}

TEST(spec40_25_what_is_not_authenticated_is_never_answered)
{
	struct pw_host *a, *g;
	struct pw *w = connected(&a, &g, PW_NAT_NONE, PW_NAT_NONE);
	struct node_peer its = pw_peer(w, g, a, false);
	u8 buf[300] = { 0 };
	char username[160];

	snprintf(username, sizeof(username), "%s:%s", its.local.ufrag, its.remote.ufrag);
	size_t n = check_with(buf, sizeof(buf), username, its.local.pwd);
	EXPECT(answers_to(w, g, buf, n) > 0); /* the right one is: the test would see an answer */
	n = check_with(buf, sizeof(buf), username, "wrong");
	EXPECT_EQ(answers_to(w, g, buf, n), 0);
	n = check_with(buf, sizeof(buf), username, NULL);
	EXPECT_EQ(answers_to(w, g, buf, n), 0);
	n = check_with(buf, sizeof(buf), "nobody:knows", its.local.pwd);
	EXPECT_EQ(answers_to(w, g, buf, n), 0);
	n = check_with(buf, sizeof(buf), NULL, NULL);
	EXPECT_EQ(answers_to(w, g, buf, n), 0);

	memset(buf, 0x5a, sizeof(buf)); /* WireGuard of strangers: initiation, response, cookie, data */
	static const struct {
		u8 type;
		size_t len;
	} wg[] = { { 1, 148 }, { 2, 92 }, { 3, 64 }, { 4, 80 }, { 4, 32 } };
	for (size_t i = 0; i < ARRAY_LEN(wg); i++) {
		memcpy(buf, (u8[4]){ wg[i].type }, 4);
		EXPECT_EQ(answers_to(w, g, buf, wg[i].len), 0);
	}
	for (unsigned first = 0; first < 256; first++) {
		buf[0] = (u8)first;
		EXPECT_EQ(answers_to(w, g, buf, 1 + first), 0);
	}
	EXPECT_EQ(g->n_failed, 0);
	exchange(w, a, g);
	pw_free(w);
}

TEST(spec20_12_replies_and_candidates_are_ready_at_once)
{
	struct pw_host *a, *b;
	struct pw *w = world(&a, &b, PW_NAT_NONE, PW_NAT_NONE);
	struct udp_tx tx;
	struct node_event e;
	struct node_peer p = pw_peer(w, a, b, true);

	EXPECT(node_next_timeout(a->node) > w->now);
	EXPECT_EQ(node_upsert(a->node, w->now, w->now, &b->id, &p, NULL), 0);
	EXPECT_EQ(node_next_timeout(a->node), w->now);
	REQUIRE(node_poll_event(a->node, &e));
	EXPECT_EQ(e.type, NODE_CANDIDATES_ADDED);
	EXPECT(e.n_candidates >= 2);
	node_timeout(a->node, w->now, w->now);
	EXPECT(node_next_timeout(a->node) > w->now);
	EXPECT_EQ(node_add_candidate(a->node, w->now, &b->id, SPAN_STR("candidate:1 1 udp 1 10.0.1.2 52625 typ host")), 0);
	EXPECT_EQ(node_next_timeout(a->node), w->now);
	do /* the check, without any timer; channel bindings come first */
		REQUIRE(node_poll_transmit(a->node, &tx));
	while (!endpoint_eq(&tx.dst, &b->v4));

	/* a check of the peer is answered in the same turn */
	EXPECT_EQ(pw_upsert(w, b, a, false), 0);
	u8 copy[512];
	memcpy(copy, tx.data, tx.len);
	struct udp_rx rx = { b->v4, a->v4, copy, tx.len, 0, 0 };
	node_input(b->node, w->now, w->now, &rx, 1);
	EXPECT_EQ(node_next_timeout(b->node), w->now);
	do
		REQUIRE(node_poll_transmit(b->node, &tx));
	while (tx.data[0] != 1 || tx.data[1] != 1);
	EXPECT(endpoint_eq(&tx.dst, &a->v4));
	pw_free(w);
}

/* --- candidates ------------------------------------------------------------------------------------------------------------------------ */

static bool has_text(char (*texts)[CANDIDATE_STRLEN], unsigned n, const char *part)
{
	for (unsigned i = 0; i < MIN(n, PW_TEXTS); i++)
		if (strstr(texts[i], part))
			return true;
	return false;
}

TEST(spec20_15_candidates_come_from_relay_answers)
{
	struct pw_host *a, *b;
	struct pw *w = world(&a, &b, PW_NAT_CONE, PW_NAT_NONE);

	pw_authorize(w, a, b);
	EXPECT(has_text(a->added, a->n_added, " 10.0.0.2 52625 typ host ufrag i01"));
	EXPECT(has_text(a->added, a->n_added, " 203.0.113.1 40000 typ srflx raddr 0.0.0.0 rport 0 ufrag i01"));
	EXPECT(has_text(a->added, a->n_added, " typ relay raddr 0.0.0.0 rport 0 ufrag i01"));
	EXPECT_EQ(a->n_added, 3);
	EXPECT(strstr(a->added[0], "typ host") && strstr(a->added[2], "typ relay")); /* by priority */
	EXPECT_EQ(b->n_added, 2); /* its mapped address is its own: redundant */
	pw_free(w);
}

TEST(spec20_17_relay_candidates_of_the_selected_relay_only)
{
	struct pw *w = pw_new(2);
	pw_relay(w, "198.51.100.1", NULL);
	pw_relay(w, "198.51.100.2", NULL);
	struct pw_host *a = pw_host(w, NODE_CLIENT, "10.0.0.2:52625", PW_NAT_CONE, "203.0.113.1");
	struct pw_host *b = pw_host(w, NODE_GATEWAY, "10.0.1.2:52625", PW_NAT_CONE, "203.0.113.2");

	pw_join(w, a);
	pw_join(w, b);
	pw_run(w, MSEC(100));
	pw_authorize(w, a, b);
	pw_run(w, SEC(1));
	bool has_one = has_text(a->added, a->n_added, " 198.51.100.1 "), has_two = has_text(a->added, a->n_added, " 198.51.100.2 ");
	EXPECT(has_one != has_two);
	pw_free(w);
}

TEST(spec20_16_own_srflx_is_known_to_the_agent)
{
	struct pw_host *a, *b;
	struct pw *w = connected(&a, &b, PW_NAT_CONE, PW_NAT_NONE);

	/* the mapped address that checks show is no new (peer-reflexive) candidate: another upsert signals the same ones (#11804) */
	a->n_added = 0;
	EXPECT_EQ(pw_upsert(w, a, b, true), 0);
	pw_collect(w, a);
	EXPECT_EQ(a->n_added, 3);
	EXPECT(!has_text(a->added, a->n_added, "typ prflx"));
	pw_free(w);
}

TEST(spec20_36_channels_are_bound_ahead_for_what_is_not_host)
{
	struct pw_host *a, *b;
	struct pw *w = world(&a, &b, PW_NAT_NONE, PW_NAT_NONE);
	struct pw_alloc *alloc = NULL;
	static const char *const texts[] = {
		"candidate:1 1 udp 5 192.0.2.1 1000 typ host",
		"candidate:1 1 udp 4 192.0.2.2 1000 typ srflx raddr 0.0.0.0 rport 0",
		"candidate:1 1 udp 3 192.0.2.3 1000 typ relay raddr 0.0.0.0 rport 0",
		"candidate:1 1 udp 2 192.0.2.4 1000 typ prflx",
	};

	a->is_mute_portal = true;
	EXPECT_EQ(pw_upsert(w, a, b, true), 0);
	for (unsigned i = 0; i < PW_ALLOCS; i++)
		if (w->relay[0].alloc[i].is_used && endpoint_eq(&w->relay[0].alloc[i].client, &a->v4))
			alloc = &w->relay[0].alloc[i];
	REQUIRE(alloc != NULL);
	for (size_t i = 1; i < ARRAY_LEN(texts); i++)
		EXPECT_EQ(node_add_candidate(a->node, w->now, &b->id, SPAN(texts[i], strlen(texts[i]))), 0);
	pw_run(w, MSEC(50));
	EXPECT_EQ(alloc->n_channels, 3);
	EXPECT_EQ(node_add_candidate(a->node, w->now, &b->id, SPAN(texts[0], strlen(texts[0]))), 0);
	pw_run(w, MSEC(50)); /* the first check from the relay candidate binds it lazily */
	EXPECT(alloc->n_channels >= 4);
	pw_free(w);
}

TEST(foreign_and_broken_candidates_are_refused)
{
	struct pw_host *a, *b;
	struct pw *w = world(&a, &b, PW_NAT_NONE, PW_NAT_NONE);
	struct uuid nobody = { { 1, 2, 3 } };
	struct span good = SPAN_STR("candidate:1 1 udp 5 192.0.2.1 1000 typ host");

	EXPECT_EQ(node_add_candidate(a->node, w->now, &nobody, good), ERR_NOT_FOUND);
	EXPECT_EQ(pw_upsert(w, a, b, true), 0);
	EXPECT_EQ(node_add_candidate(a->node, w->now, &b->id, good), 0);
	EXPECT_EQ(node_add_candidate(a->node, w->now, &b->id, SPAN_STR("candidate:1 1 udp")), ERR_MALFORMED);
	EXPECT_EQ(node_add_candidate(a->node, w->now, &b->id, SPAN_STR("candidate:1 2 udp 5 192.0.2.1 1000 typ host")),
		  ERR_NOT_OURS);
	EXPECT_EQ(node_add_candidate(a->node, w->now, &b->id, SPAN_STR("candidate:1 1 udp 5 192.0.2.1 1000 typ host ufrag other")),
		  ERR_NOT_OURS);
	pw_free(w);
}
