/* The data path of the TURN server (spec 50 §5). */
#include "tests/unit/turn_world.h"

#include <stdlib.h>

static struct turn_world w;
static struct turn_client c;
static u16 port;

/* One client with channel 0x4000 to PEER and 0x4001 to PEER6. */
static void start(void)
{
	turn_world_init(&w);
	turn_world_start(&w);
	turn_client_init(&c, &w, CLIENT, WORLD_USER);
	EXPECT_EQ(turn_allocate(&c, &port), 0);
	EXPECT_EQ(turn_bind(&c, 0x4000, PEER), 0);
	EXPECT_EQ(turn_bind(&c, 0x4001, PEER6), 0);
	w.n_out = 0;
}

static bool is_text(const struct out *o, const char *text)
{
	return o->n == strlen(text) && memcmp(o->data, text, o->n) == 0;
}

static bool peer_says(const char *peer, u16 to_port, const char *text)
{
	struct endpoint e = turn_ep(peer);
	return turn_world_peer(&w, &e, to_port, SPAN(text, strlen(text)), 0);
}

TEST(spec50_13_padding_is_stripped_and_never_sent)
{
	u8 d[16] = { 0x40, 0x00, 0x00, 0x05, 'h', 'e', 'l', 'l', 'o', 1, 2, 3 };

	start();
	turn_world_input(&w, &c.addr, SPAN(d, 12));
	REQUIRE(w.n_out == 1);
	EXPECT(is_text(&w.out[0], "hello"));
	d[3] = 9; /* more than there is */
	turn_world_input(&w, &c.addr, SPAN(d, 12));
	turn_world_input(&w, &c.addr, SPAN(d, 3));
	EXPECT_EQ(w.n_out, 1);
	EXPECT(peer_says(PEER, port, "hello"));
	REQUIRE(w.n_out == 2);
	EXPECT_EQ(w.out[1].n, 9);
	EXPECT_MEM(w.out[1].data, "\x40\x00\x00\x05hello", 9);
	turn_world_end(&w);
}

TEST(spec50_14_empty_payloads_are_relayed)
{
	struct endpoint peer = turn_ep(PEER);

	start();
	turn_send_channel(&c, 0x4000, SPAN_NONE);
	REQUIRE(w.n_out == 1);
	EXPECT_EQ(w.out[0].n, 0);
	EXPECT(endpoint_eq(&w.out[0].to, &peer));
	EXPECT(turn_world_peer(&w, &peer, port, SPAN_NONE, 0));
	REQUIRE(w.n_out == 2);
	EXPECT_EQ(w.out[1].n, 4);
	EXPECT_MEM(w.out[1].data, "\x40\x00\x00\x00", 4);
	turn_world_end(&w);
}

TEST(spec50_35_channels_expire_in_both_directions)
{
	start();
	u64 bound = w.now;
	turn_refresh(&c, 3600, true);
	turn_world_run_until(&w, bound + SEC(600) - 1);
	w.n_out = 0;
	turn_send_channel(&c, 0x4000, SPAN_STR("a"));
	peer_says(PEER, port, "b");
	EXPECT_EQ(w.n_out, 2);
	turn_world_run_until(&w, bound + SEC(600));
	turn_send_channel(&c, 0x4000, SPAN_STR("a"));
	peer_says(PEER, port, "b");
	EXPECT_EQ(w.n_out, 2);
	EXPECT_EQ(turn_server_stats(w.s)->rx_no_channel, 1);
	EXPECT_EQ(turn_server_stats(w.s)->rx_no_peer, 1);
	turn_world_end(&w);
}

TEST(spec50_35_expiry_holds_even_when_the_timer_is_late)
{
	start();
	w.now += SEC(600);
	peer_says(PEER, port, "b");
	EXPECT_EQ(w.n_out, 0);
	turn_world_end(&w);
}

TEST(spec50_37_same_pair_revives_in_cooldown)
{
	start();
	u64 bound = w.now;
	turn_refresh(&c, 3600, true);
	turn_world_run_until(&w, bound + SEC(700));
	EXPECT_EQ(turn_bind(&c, 0x4000, PEER), 0);
	w.n_out = 0;
	turn_send_channel(&c, 0x4000, SPAN_STR("a"));
	peer_says(PEER, port, "b");
	EXPECT_EQ(w.n_out, 2);
	turn_world_run_until(&w, bound + SEC(1000)); /* the first cool-down would have ended at 900 */
	turn_send_channel(&c, 0x4000, SPAN_STR("a"));
	EXPECT_EQ(w.n_out, 3);
	turn_world_end(&w);
}

TEST(spec50_41_only_exact_peers_with_bound_channels)
{
	static const char *const wrong[] = { "192.0.2.9:52626", "192.0.2.8:52625", "192.0.2.10:52625" };
	struct turn_client other;
	u16 other_port;

	start();
	turn_client_init(&other, &w, "198.51.100.8:40000", "2145916800:other");
	turn_allocate(&other, &other_port);
	w.n_out = 0;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		EXPECT(peer_says(wrong[i], port, "x"));
	EXPECT(peer_says(PEER, other_port, "x"));
	turn_send_channel(&c, 0x4002, SPAN_STR("x"));
	turn_send_channel(&other, 0x4000, SPAN_STR("x"));
	c.addr.port++;
	turn_send_channel(&c, 0x4000, SPAN_STR("x"));
	EXPECT_EQ(w.n_out, 0);
	EXPECT(peer_says(PEER, port, "x"));
	EXPECT_EQ(w.n_out, 1);
	turn_world_end(&w);
}

TEST(spec50_42_spec50_43_ports_and_all_four_families)
{
	static const char *const clients[] = { CLIENT, CLIENT6 };
	static const char *const peers[] = { PEER, PEER6 };

	for (size_t i = 0; i < 2; i++) {
		turn_world_init(&w);
		turn_world_start(&w);
		turn_client_init(&c, &w, clients[i], WORLD_USER);
		turn_allocate(&c, &port);
		for (u16 k = 0; k < 2; k++) {
			struct endpoint peer = turn_ep(peers[k]);
			u16 number = (u16)(0x4000 + k);
			turn_bind(&c, number, peers[k]);
			w.n_out = 0;
			turn_send_channel(&c, number, SPAN_STR("ping"));
			REQUIRE(w.n_out == 1);
			EXPECT_EQ(w.out[0].from_port, port);
			EXPECT(endpoint_eq(&w.out[0].to, &peer));
			EXPECT(is_text(&w.out[0], "ping"));
			EXPECT(peer_says(peers[k], port, "pong"));
			REQUIRE(w.n_out == 2);
			EXPECT_EQ(w.out[1].from_port, TURN_PORT);
			EXPECT(endpoint_eq(&w.out[1].to, &c.addr));
			struct ip src = i == 0 ? w.cfg.public4 : w.cfg.public6;
			EXPECT(ip_eq(&w.out[1].src, &src));
			EXPECT_EQ(get_be16(w.out[1].data), number);
		}
		turn_world_end(&w);
	}
}

TEST(spec50_44_source_port_zero_is_ignored)
{
	struct turn_call k;

	start();
	c.addr.port = 0;
	turn_call_begin(&c, &k, STUN_BINDING);
	EXPECT_EQ(turn_call_plain(&c, &k), 0xFFFF);
	EXPECT(peer_says("192.0.2.9:0", port, "x"));
	EXPECT_EQ(w.n_out, 0);
	EXPECT_EQ(turn_server_stats(w.s)->rx_port_zero, 2);
	turn_world_end(&w);
}

TEST(spec50_46_two_allocations_of_one_relay)
{
	struct turn_client b;
	u16 port_b;

	for (int family = 4; family <= 6; family += 2) {
		start();
		turn_client_init(&b, &w, "198.51.100.8:40000", "2145916800:other");
		turn_allocate(&b, &port_b);
		struct endpoint own_a = { family == 4 ? w.cfg.public4 : w.cfg.public6, port };
		struct endpoint own_b = { own_a.ip, port_b };
		char a_text[ENDPOINT_STRLEN], b_text[ENDPOINT_STRLEN];
		EXPECT_EQ(turn_bind(&c, 0x4005, endpoint_format(&own_b, b_text)), 0);
		w.n_out = 0;
		turn_send_channel(&c, 0x4005, SPAN_STR("early")); /* the other side has no channel to us yet */
		EXPECT_EQ(w.n_out, 0);
		EXPECT_EQ(turn_bind(&b, 0x4007, endpoint_format(&own_a, a_text)), 0);
		w.n_out = 0;
		turn_send_channel(&c, 0x4005, SPAN_STR("hello"));
		REQUIRE(w.n_out == 1);
		EXPECT_EQ(w.out[0].from_port, TURN_PORT);
		EXPECT(endpoint_eq(&w.out[0].to, &b.addr));
		EXPECT_MEM(w.out[0].data, "\x40\x07\x00\x05hello", 9);
		turn_send_channel(&b, 0x4007, SPAN_STR("yo"));
		EXPECT_MEM(w.out[1].data, "\x40\x05\x00\x02yo", 6);
		/* a whole run keeps together */
		u8 run[3 * 104];
		for (int i = 0; i < 3; i++) {
			channel_header(run + i * 104, 0x4005, 100);
			memset(run + i * 104 + 4, 'a' + i, 100);
		}
		w.n_out = 0;
		turn_world_input_run(&w, &c.addr, SPAN(run, sizeof(run)), 104);
		EXPECT_EQ(w.n_out, 3);
		EXPECT_EQ(w.out[2].n_in_run, 3);
		EXPECT(w.out[2].data[4] == 'c' && w.out[2].n == 104);
		/* when it is gone, the packet goes out like any other */
		turn_refresh(&b, 0, true);
		w.n_out = 0;
		turn_send_channel(&c, 0x4005, SPAN_STR("hello"));
		REQUIRE(w.n_out == 1);
		EXPECT_EQ(w.out[0].from_port, port);
		turn_world_end(&w);
	}
}

/* Runs stay runs: k equal datagrams in, k equal datagrams out in one transmit, the last one shorter. */
TEST(gro_runs_from_a_client_leave_as_one_transmit)
{
	u8 run[40 * 104];
	size_t n = 0;

	start();
	for (int i = 0; i < 40; i++) {
		size_t len = i == 39 ? 50 : 100;
		channel_header(run + n, 0x4000, (u16)len);
		memset(run + n + 4, i, len);
		n += 4 + len;
	}
	turn_world_input_run(&w, &c.addr, SPAN(run, n), 104);
	REQUIRE(w.n_out == 40);
	for (size_t i = 0; i < 40; i++) {
		EXPECT_EQ(w.out[i].n_in_run, 40);
		EXPECT_EQ(w.out[i].n, i == 39 ? 50 : 100);
		EXPECT(w.out[i].data[0] == i && w.out[i].data[w.out[i].n - 1] == i);
	}
	EXPECT_EQ(turn_server_stats(w.s)->to_peer_packets, 40);
	EXPECT_EQ(turn_server_stats(w.s)->to_peer_bytes, 3950);
	turn_world_end(&w);
}

TEST(gro_runs_from_a_peer_leave_as_one_transmit)
{
	u8 run[40 * 100];
	struct endpoint peer = turn_ep(PEER);

	start();
	for (size_t i = 0; i < 40; i++)
		memset(run + i * 100, (int)i, 100);
	turn_world_peer(&w, &peer, port, SPAN(run, sizeof(run) - 30), 100);
	REQUIRE(w.n_out == 40);
	for (size_t i = 0; i < 40; i++) {
		size_t len = i == 39 ? 70 : 100;
		EXPECT_EQ(w.out[i].n_in_run, 40);
		REQUIRE(w.out[i].n == len + 4);
		EXPECT_EQ(get_be16(w.out[i].data), 0x4000);
		EXPECT_EQ(get_be16(w.out[i].data + 2), len);
		EXPECT(w.out[i].data[4] == i && w.out[i].data[len + 3] == i);
	}
	turn_world_end(&w);
}

/* Datagrams of one run may belong to different channels; each flow keeps its order. */
TEST(mixed_runs_are_taken_apart_in_order)
{
	u8 run[30 * 104];
	size_t next4 = 0, next6 = 0;

	start();
	for (size_t i = 0; i < 30; i++) {
		channel_header(run + i * 104, (u16)(0x4000 + (i * 7 / 3) % 2), 100);
		memset(run + i * 104 + 4, (int)i, 100);
	}
	turn_world_input_run(&w, &c.addr, SPAN(run, sizeof(run)), 104);
	REQUIRE(w.n_out == 30);
	for (size_t i = 0; i < 30; i++) {
		bool is6 = w.out[i].to.ip.family == 6;
		size_t *next = is6 ? &next6 : &next4;
		while (((*next * 7 / 3) % 2 == 1) != is6)
			(*next)++;
		EXPECT_EQ(w.out[i].data[0], *next);
		(*next)++;
		EXPECT(w.out[i].n_in_run > 1);
	}
	turn_world_end(&w);
}

TEST(sizes_that_gso_cannot_carry_start_anew)
{
	static const u16 sizes[] = { 100, 100, 60, 60, 61, 0, 5, 1450, 1450, 1460, 1460 };
	static const u16 runs[] = { 3, 3, 3, 1, 1, 1, 1, 2, 2, 1, 1 };
	struct udp_rx rx[ARRAY_LEN(sizes)];
	static u8 memory[ARRAY_LEN(sizes)][2048];

	start();
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		channel_header(memory[i] + 4, 0x4000, sizes[i]);
		memset(memory[i] + 8, (int)i, sizes[i]);
		rx[i] = (struct udp_rx){ .remote = c.addr, .data = memory[i] + 4, .len = 4u + sizes[i] };
	}
	struct turn_input in = { .rx = rx, .n = ARRAY_LEN(sizes) };
	EXPECT(!turn_server_input(w.s, w.now, w.wall, &in));
	size_t n, k = 0;
	const struct turn_tx *tx = turn_server_tx(w.s, &n);
	for (size_t i = 0; i < n; i++) {
		EXPECT_EQ(tx[i].n_segments, runs[k]);
		EXPECT_EQ(tx[i].seg, sizes[k]);
		k += tx[i].n_segments;
	}
	EXPECT_EQ(k, ARRAY_LEN(sizes));
	turn_server_tx_done(w.s);
	turn_world_end(&w);
}

/* More flows than transmits: the rest comes in the next round, nothing is lost. */
TEST(full_transmit_list_continues_in_another_round)
{
	static u8 run[64 * 64 * 8];
	size_t total = 64 * 64;
	struct udp_rx rx[64];
	struct turn_input in = { .rx = rx, .n = 64 };
	size_t got = 0, rounds = 0;
	bool has_more;
	char peer[32] = "192.0.2.9:1";

	start();
	for (unsigned i = 0; i < 400; i++) {
		struct endpoint e = turn_ep(peer);
		char text[ENDPOINT_STRLEN];
		e.port = (u16)(1 + i);
		REQUIRE(turn_bind(&c, (u16)(0x4100 + i), endpoint_format(&e, text)) == 0);
		w.n_out = 0;
	}
	for (size_t i = 0; i < total; i++) {
		channel_header(run + i * 8, (u16)(0x4100 + i % 400), 4);
		put_be32(run + i * 8 + 4, (u32)i);
	}
	for (size_t i = 0; i < 64; i++)
		rx[i] = (struct udp_rx){ .remote = c.addr, .data = run + i * 64 * 8, .len = 64 * 8, .seg = 8 };
	do {
		size_t n;
		has_more = turn_server_input(w.s, w.now, w.wall, &in);
		const struct turn_tx *tx = turn_server_tx(w.s, &n);
		for (size_t i = 0; i < n; i++)
			got += tx[i].n_segments;
		turn_server_tx_done(w.s);
		rounds++;
	} while (has_more);
	EXPECT_EQ(got, total);
	EXPECT(rounds > 1);
	turn_world_end(&w);
}

/* spec 50 §4.3: what was queued for a deleted allocation must not use its closed socket. */
TEST(data_before_a_deletion_in_the_same_batch_is_cancelled)
{
	u8 data[4 + 16], request[STUN_MAX_MESSAGE + 4];
	struct turn_call k;

	start();
	channel_header(data + 4, 0x4000, 8);
	turn_call_begin(&c, &k, TURN_REFRESH);
	stun_put_u32(&k.b, ATTR_LIFETIME, 0);
	stun_put(&k.b, ATTR_USERNAME, SPAN(c.username, strlen(c.username)));
	stun_put(&k.b, ATTR_NONCE, SPAN(c.nonce, strlen(c.nonce)));
	stun_put_integrity(&k.b, SPAN(c.key, STUN_KEY));
	int len = stun_end(&k.b);
	memcpy(request + 4, k.buf, (size_t)len);
	struct udp_rx rx[] = { { .remote = c.addr, .data = data + 4, .len = 12 },
			       { .remote = c.addr, .data = request + 4, .len = (u32)len },
			       { .remote = c.addr, .data = data + 4, .len = 12 } };
	struct turn_input in = { .rx = rx, .n = 3 };
	EXPECT(!turn_server_input(w.s, w.now, w.wall, &in));
	size_t n;
	const struct turn_tx *tx = turn_server_tx(w.s, &n);
	REQUIRE(n == 2);
	EXPECT_EQ(tx[0].n_segments, 0);
	EXPECT(tx[0].sock == NULL);
	EXPECT_EQ(tx[1].n_segments, 1);
	EXPECT_EQ(turn_server_stats(w.s)->rx_no_channel, 1);
	turn_server_tx_done(w.s);
	turn_world_end(&w);
}

TEST(many_requests_in_one_run_are_all_answered)
{
	static u8 run[2000 * STUN_HEADER];
	struct stun_builder b;

	start();
	for (u32 round = 0; round < 4; round++) {
		for (u32 i = 0; i < 500; i++) {
			u8 txid[STUN_TXID] = { 0 };
			put_be32(txid, i);
			stun_begin(&b, run + i * STUN_HEADER, STUN_HEADER, STUN_REQUEST, STUN_BINDING, txid);
			stun_end(&b);
		}
		w.n_out = 0;
		turn_world_input_run(&w, &c.addr, SPAN(run, 500 * STUN_HEADER), STUN_HEADER);
		EXPECT_EQ(w.n_out, 500);
		EXPECT_EQ(get_be32(w.out[499].data + 8), 499);
	}
	turn_world_end(&w);
}

/* --- permissions and indications (RFC rules) -------------------------------------------------------------------------------------- */

static void start_rfc(void)
{
	static const struct turn_user user = { "alice", "wonderland" };

	turn_world_init(&w);
	w.cfg.rules = TURN_RULES_RFC;
	w.cfg.users = &user;
	w.cfg.n_users = 1;
	turn_world_start(&w);
	turn_client_init(&c, &w, CLIENT, "alice");
	turn_client_set_password(&c, "wonderland", "firezone");
	EXPECT_EQ(turn_allocate(&c, &port), 0);
	w.n_out = 0;
}

static void send_indication(const char *peer, const char *text)
{
	u8 d[256];
	struct stun_builder b;
	struct endpoint e = turn_ep(peer);

	stun_begin(&b, d, sizeof(d), STUN_INDICATION, TURN_SEND, (const u8 *)"123456789012");
	stun_put_xor_address(&b, ATTR_XOR_PEER_ADDRESS, &e);
	stun_put(&b, ATTR_DATA, SPAN(text, strlen(text)));
	turn_world_input(&w, &c.addr, SPAN(d, stun_end(&b)));
}

static int permit(const char *peer)
{
	struct turn_call k;
	struct endpoint e = turn_ep(peer);

	turn_call_begin(&c, &k, TURN_CREATE_PERMISSION);
	stun_put_xor_address(&k.b, ATTR_XOR_PEER_ADDRESS, &e);
	return turn_call_signed(&c, &k);
}

TEST(permissions_open_indications_both_ways_for_300_s)
{
	struct stun_msg m;
	struct endpoint from, peer = turn_ep(PEER);
	struct span data;

	start_rfc();
	send_indication(PEER, "early");
	peer_says(PEER, port, "early");
	EXPECT_EQ(w.n_out, 0);
	EXPECT_EQ(permit("192.0.2.9:0"), 0); /* the port does not matter */
	w.n_out = 0;
	u64 granted = w.now;
	send_indication(PEER, "hello");
	REQUIRE(w.n_out == 1);
	EXPECT_EQ(w.out[0].from_port, port);
	EXPECT(endpoint_eq(&w.out[0].to, &peer) && is_text(&w.out[0], "hello"));
	peer_says(PEER, port, "world");
	REQUIRE(w.n_out == 2);
	REQUIRE(stun_parse(SPAN(w.out[1].data, w.out[1].n), &m) == 0);
	EXPECT(m.class == STUN_INDICATION && m.method == TURN_DATA);
	EXPECT(stun_get_address(&m, ATTR_XOR_PEER_ADDRESS, &from) == 0 && endpoint_eq(&from, &peer));
	EXPECT(stun_get(&m, ATTR_DATA, &data) == 0 && data.n == 5 && memcmp(data.p, "world", 5) == 0);
	turn_world_run_until(&w, granted + SEC(300));
	send_indication(PEER, "late");
	peer_says(PEER, port, "late");
	EXPECT_EQ(w.n_out, 2);
	turn_world_end(&w);
}

TEST(firezone_rules_know_no_indications)
{
	start();
	EXPECT_EQ(permit(PEER), 0);
	w.n_out = 0;
	send_indication(PEER, "x");
	peer_says("192.0.2.9:1", port, "x");
	EXPECT_EQ(w.n_out, 0);
	turn_world_end(&w);
}

TEST(channels_take_precedence_over_indications)
{
	start_rfc();
	EXPECT_EQ(turn_bind(&c, 0x4000, PEER), 0);
	w.n_out = 0;
	peer_says(PEER, port, "chan");
	peer_says("192.0.2.9:7", port, "perm"); /* same host, other port: permission of the bind */
	REQUIRE(w.n_out == 2);
	EXPECT_EQ(w.out[0].data[0], 0x40);
	EXPECT_EQ(w.out[1].data[0], 0x00);
	turn_world_end(&w);
}

TEST(permissions_of_one_allocation_are_limited_and_swept)
{
	start_rfc();
	for (unsigned i = 0; i < TURN_PERMISSIONS_MAX; i++) {
		struct endpoint e = turn_ep("10.0.0.1:1");
		char text[ENDPOINT_STRLEN];
		e.ip.b[2] = (u8)(i >> 8);
		e.ip.b[3] = (u8)i;
		w.n_out = 0;
		REQUIRE(permit(endpoint_format(&e, text)) == 0);
	}
	EXPECT_EQ(permit("10.9.9.9:1"), 508);
	turn_world_run_until(&w, w.now + SEC(300));
	EXPECT_EQ(permit("10.9.9.9:1"), 0);
	turn_world_end(&w);
}

TEST(peer_data_too_long_for_an_indication_is_dropped)
{
	static u8 big[1600];
	struct endpoint peer = turn_ep(PEER);

	start_rfc();
	permit(PEER);
	w.n_out = 0;
	turn_world_peer(&w, &peer, port, SPAN(big, sizeof(big)), 0);
	EXPECT_EQ(w.n_out, 0);
	EXPECT_EQ(turn_server_stats(w.s)->rx_too_long, 1);
	turn_world_end(&w);
}

/* --- properties -------------------------------------------------------------------------------------------------------------- */

/* Random life of many clients; after each step the books must balance, at the end nothing may be left. */
TEST(random_lives_leave_nothing_behind)
{
	for (u64 seed = 0; seed < 20; seed++) {
		struct rng_seeded r;
		struct turn_client clients[8];
		rng_seeded_init(&r, seed);
		turn_world_init(&w);
		w.cfg.highest_port = 50004; /* fewer ports than clients */
		turn_world_start(&w);
		for (unsigned i = 0; i < 8; i++) {
			char name[] = "2145916800:user0";
			name[15] = (char)('0' + i % 6); /* two pairs share a name */
			turn_client_init(&clients[i], &w, CLIENT, name);
			clients[i].addr.port = (u16)(40000 + i);
		}
		for (unsigned step = 0; step < 2000; step++) {
			struct turn_client *k = &clients[rng_below(&r.rng, 8)];
			char peer[] = "192.0.2.9:1000";
			peer[13] = (char)('0' + rng_below(&r.rng, 8));
			u16 number = (u16)(0x4000 + rng_below(&r.rng, 8));
			switch (rng_below(&r.rng, 6)) {
			case 0: turn_allocate(k, NULL); break;
			case 1: turn_refresh(k, (u32)rng_below(&r.rng, 3) * 300, true); break;
			case 2: turn_bind(k, number, peer); break;
			case 3: turn_send_channel(k, number, SPAN_STR("data")); break;
			case 4: peer_says(peer, (u16)(50000 + rng_below(&r.rng, 5)), "data"); break;
			case 5: turn_world_run_until(&w, w.now + SEC(rng_below(&r.rng, 200))); break;
			}
			w.n_out = 0;
			const struct turn_server_stats *st = turn_server_stats(w.s);
			REQUIRE(st->allocations <= 5 && w.n_open == 2 * st->allocations);
		}
		turn_world_run_until(&w, w.now + SEC(7200));
		EXPECT_EQ(turn_server_stats(w.s)->allocations, 0);
		EXPECT_EQ(turn_server_stats(w.s)->channels, 0);
		EXPECT(turn_server_next_timeout(w.s) == TIME_NEVER);
		turn_world_end(&w);
	}
}
