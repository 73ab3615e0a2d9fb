/* State of the TURN server: allocations, channels, and what any TURN client may do (spec 50 §4). */
#include "core/turn/server_int.h"
#include "tests/unit/turn_world.h"

#include <stdio.h>
#include <stdlib.h>

static struct turn_world w; /* large; each test begins it anew */

static void start(void)
{
	turn_world_init(&w);
	turn_world_start(&w);
}

/* --- allocations ------------------------------------------------------------------------------------------------------------- */

static u32 allocate_lifetime(struct turn_client *c, bool has_lifetime, u32 lifetime)
{
	struct turn_call k;
	u32 granted = 12345;

	turn_learn_nonce(c);
	turn_call_begin(c, &k, TURN_ALLOCATE);
	stun_put_transport(&k.b, 17);
	if (has_lifetime)
		stun_put_u32(&k.b, ATTR_LIFETIME, lifetime);
	EXPECT_EQ(turn_call_signed(c, &k), 0);
	EXPECT_EQ(stun_get_u32(&k.reply, ATTR_LIFETIME, &granted), 0);
	return granted;
}

TEST(spec50_24_lifetimes)
{
	struct turn_client c;
	static const struct {
		bool has;
		u32 asked, granted;
	} cases[] = { { false, 0, 600 }, { true, 777, 777 }, { true, 3600, 3600 }, { true, 3601, 3600 }, { true, UINT32_MAX, 3600 },
		      { true, 1, 1 } };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		start();
		turn_client_init(&c, &w, CLIENT, WORLD_USER);
		u64 begin = w.now;
		EXPECT_EQ(allocate_lifetime(&c, cases[i].has, cases[i].asked), cases[i].granted);
		turn_world_run_until(&w, begin + SEC(cases[i].granted) - 1);
		EXPECT_EQ(turn_server_stats(w.s)->allocations, 1);
		EXPECT_EQ(w.n_open, 1);
		turn_world_run_until(&w, begin + SEC(cases[i].granted));
		EXPECT_EQ(turn_server_stats(w.s)->allocations, 0);
		EXPECT_EQ(w.n_open, 0);
		EXPECT(turn_server_next_timeout(w.s) == TIME_NEVER);
		turn_world_end(&w);
	}
	/* refreshes count from now and do not add up */
	start();
	turn_client_init(&c, &w, CLIENT, WORLD_USER);
	turn_allocate(&c, NULL);
	turn_world_run_until(&w, w.now + SEC(500));
	EXPECT_EQ(turn_refresh(&c, 0, false), 0);
	u64 refreshed = w.now;
	EXPECT_EQ(turn_refresh(&c, 600, true), 0);
	turn_world_run_until(&w, refreshed + SEC(600) - 1);
	EXPECT_EQ(turn_server_stats(w.s)->allocations, 1);
	turn_world_run_until(&w, refreshed + SEC(600));
	EXPECT_EQ(turn_server_stats(w.s)->allocations, 0);
	/* D8: Allocate with LIFETIME 0 succeeds and expires at once */
	EXPECT_EQ(allocate_lifetime(&c, true, 0), 0);
	turn_server_timeout(w.s, w.now);
	EXPECT_EQ(turn_server_stats(w.s)->allocations, 0);
	turn_world_end(&w);
}

TEST(spec50_25_family_table)
{
	enum { V4 = 1, V6 = 2, DUAL = 3 };
	/* columns: none, RAF v4, RAF v6, AAF v6, AAF v4, RAF v4 + AAF v6 */
	static const struct {
		int stack;
		int want[6];
	} rows[] = {
		{ V4, { V4, V4, 440, V4, 400, 400 } },
		{ V6, { 440, 440, V6, V6, 400, 400 } },
		{ DUAL, { V4, V4, V6, DUAL, 400, 400 } },
	};
	static const u8 requested[6] = { 0, 4, 6, 0, 0, 4 }, additional[6] = { 0, 0, 0, 6, 4, 6 };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (size_t k = 0; k < 6; k++) {
			struct turn_client c;
			struct turn_call call;
			struct stun_iter it = { 0 };
			struct endpoint e;
			int got = 0;
			u16 port = 0;
			turn_world_init(&w);
			if (!(rows[i].stack & V4))
				w.cfg.public4 = (struct ip){ 0 };
			if (!(rows[i].stack & V6))
				w.cfg.public6 = (struct ip){ 0 };
			turn_world_start(&w);
			turn_client_init(&c, &w, rows[i].stack == V6 ? CLIENT6 : CLIENT, WORLD_USER);
			turn_learn_nonce(&c);
			turn_call_begin(&c, &call, TURN_ALLOCATE);
			stun_put_transport(&call.b, 17);
			if (requested[k])
				stun_put_family(&call.b, ATTR_REQUESTED_FAMILY, requested[k]);
			if (additional[k])
				stun_put_family(&call.b, ATTR_ADDITIONAL_FAMILY, additional[k]);
			int code = turn_call_signed(&c, &call);
			EXPECT(turn_reply_is_signed(&c, &call));
			while (code == 0 && stun_next(&call.reply, &it)) {
				if (it.type != ATTR_XOR_RELAYED_ADDRESS || stun_decode_address(&call.reply, &it, &e) != 0)
					continue;
				EXPECT(got == 0 || (e.ip.family == 6 && e.port == port)); /* v4 first, same port */
				port = e.port;
				struct ip want = e.ip.family == 4 ? w.cfg.public4 : w.cfg.public6;
				EXPECT(ip_eq(&e.ip, &want));
				EXPECT(turn_world_port(&w, port, e.ip.family) != NULL);
				got |= e.ip.family == 4 ? V4 : V6;
			}
			EXPECT_EQ(code ? code : got, rows[i].want[k]);
			turn_world_end(&w);
		}
	}
}

TEST(spec50_26_second_allocate_is_437)
{
	struct turn_client c;
	struct turn_call k;

	start();
	turn_client_init(&c, &w, CLIENT, WORLD_USER);
	EXPECT_EQ(turn_allocate(&c, NULL), 0);
	turn_call_begin(&c, &k, TURN_ALLOCATE);
	stun_put_transport(&k.b, 17);
	EXPECT_EQ(turn_call_signed(&c, &k), 437);
	c.txid--; /* the same transaction again */
	turn_call_begin(&c, &k, TURN_ALLOCATE);
	stun_put_transport(&k.b, 17);
	EXPECT_EQ(turn_call_signed(&c, &k), 437);
	turn_world_end(&w);
}

TEST(spec50_27_same_username_replaces)
{
	struct turn_client a, b, other;
	u16 port_a, port_b;

	start();
	turn_client_init(&a, &w, CLIENT, WORLD_USER);
	turn_client_init(&b, &w, "198.51.100.7:40001", WORLD_USER);
	turn_client_init(&other, &w, "198.51.100.7:40002", "2145916800:other");
	EXPECT_EQ(turn_allocate(&a, &port_a), 0);
	EXPECT_EQ(turn_bind(&a, 0x4000, PEER), 0);
	EXPECT_EQ(turn_allocate(&other, NULL), 0);
	EXPECT_EQ(turn_allocate(&b, &port_b), 0);
	EXPECT_EQ(turn_server_stats(w.s)->allocations, 2);
	EXPECT_EQ(turn_server_stats(w.s)->channels, 0);
	EXPECT(turn_world_port(&w, port_a, 4) == NULL);
	EXPECT_EQ(turn_refresh(&a, 600, true), 437);
	EXPECT_EQ(turn_refresh(&b, 600, true), 0);
	turn_world_end(&w);
}

TEST(spec50_28_exhausted_range_is_508)
{
	struct turn_client c[4];
	char name[32], addr[32];

	turn_world_init(&w);
	w.cfg.highest_port = 50001;
	turn_world_start(&w);
	for (int i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "2145916800:user%d", i);
		snprintf(addr, sizeof(addr), "198.51.100.7:%d", 40000 + i);
		turn_client_init(&c[i], &w, addr, name);
	}
	EXPECT_EQ(turn_allocate(&c[0], NULL), 0);
	EXPECT_EQ(turn_allocate(&c[1], NULL), 0);
	EXPECT_EQ(turn_allocate(&c[2], NULL), 508);
	/* the capacity check precedes the removal of the user's own allocation */
	turn_client_init(&c[3], &w, "198.51.100.7:40009", "2145916800:user0");
	EXPECT_EQ(turn_allocate(&c[3], NULL), 508);
	EXPECT_EQ(turn_refresh(&c[0], 0, true), 0);
	EXPECT_EQ(turn_allocate(&c[2], NULL), 0);
	turn_world_end(&w);
}

/* The reply is looked at before anything else runs: the ports must be there already, and not there when it was an error. */
TEST(spec50_29_ports_are_open_when_the_success_leaves)
{
	struct turn_client c;
	struct turn_call k;
	struct endpoint e;

	start();
	turn_client_init(&c, &w, CLIENT, WORLD_USER);
	turn_learn_nonce(&c);
	EXPECT_EQ(w.n_open, 0);
	turn_call_begin(&c, &k, TURN_ALLOCATE);
	stun_put_transport(&k.b, 17);
	stun_put_family(&k.b, ATTR_ADDITIONAL_FAMILY, 6);
	REQUIRE(turn_call_signed(&c, &k) == 0);
	REQUIRE(stun_get_address(&k.reply, ATTR_XOR_RELAYED_ADDRESS, &e) == 0);
	EXPECT(turn_world_port(&w, e.port, 4) && turn_world_port(&w, e.port, 6));
	EXPECT_EQ(turn_refresh(&c, 0, true), 0);
	w.refusals = 100;
	w.open_rc = ERR_IO;
	EXPECT_EQ(turn_allocate(&c, NULL), 508);
	EXPECT_EQ(w.n_open, 0);
	turn_world_end(&w);
}

TEST(spec50_30_taken_ports_are_skipped)
{
	struct turn_client c;
	u16 port = 0;

	start();
	turn_client_init(&c, &w, CLIENT, WORLD_USER);
	w.refusals = 10;
	w.open_rc = ERR_EXISTS;
	EXPECT_EQ(turn_allocate(&c, &port), 0);
	EXPECT(turn_world_port(&w, port, 4) && turn_world_port(&w, port, 6));
	EXPECT_EQ(turn_server_stats(w.s)->ports_taken, 10);
	turn_refresh(&c, 0, true);
	w.refusals = 1000;
	EXPECT_EQ(turn_allocate(&c, &port), 508);
	w.refusals = 1;
	w.open_rc = ERR_LIMIT;
	EXPECT_EQ(turn_allocate(&c, &port), 508);
	EXPECT_EQ(turn_allocate(&c, &port), 0);
	turn_world_end(&w);
}

TEST(spec50_31_refresh_zero_deletes)
{
	struct turn_client c;
	struct turn_call k;
	u16 port;
	u32 lifetime = 1;

	start();
	turn_client_init(&c, &w, CLIENT, WORLD_USER);
	turn_allocate(&c, &port);
	turn_call_begin(&c, &k, TURN_REFRESH);
	stun_put_u32(&k.b, ATTR_LIFETIME, 0);
	EXPECT_EQ(turn_call_signed(&c, &k), 0);
	EXPECT_EQ(stun_get_u32(&k.reply, ATTR_LIFETIME, &lifetime), 0);
	EXPECT_EQ(lifetime, 0);
	EXPECT(turn_world_port(&w, port, 4) == NULL);
	EXPECT(turn_server_next_timeout(w.s) == TIME_NEVER);
	turn_world_end(&w);
}

TEST(spec50_32_refresh_with_attributes_of_allocate)
{
	struct turn_client c;
	struct turn_call k;

	start();
	turn_client_init(&c, &w, CLIENT, WORLD_USER);
	turn_allocate(&c, NULL);
	turn_call_begin(&c, &k, TURN_REFRESH);
	stun_put_transport(&k.b, 17);
	stun_put_family(&k.b, ATTR_ADDITIONAL_FAMILY, 6);
	EXPECT_EQ(turn_call_signed(&c, &k), 0);
	turn_world_end(&w);
}

TEST(spec50_33_437_without_allocation)
{
	struct turn_client c;

	start();
	turn_client_init(&c, &w, CLIENT, WORLD_USER);
	turn_learn_nonce(&c);
	EXPECT_EQ(turn_refresh(&c, 600, true), 437);
	EXPECT_EQ(turn_refresh(&c, 0, true), 437);
	EXPECT_EQ(turn_bind(&c, 0x4000, PEER), 437);
	turn_world_end(&w);
}

TEST(spec50_34_channels_go_with_their_allocation)
{
	struct turn_client c;

	start();
	turn_client_init(&c, &w, CLIENT, WORLD_USER);
	turn_allocate(&c, NULL);
	EXPECT_EQ(turn_bind(&c, 0x4000, PEER), 0);
	EXPECT_EQ(turn_bind(&c, 0x4001, "192.0.2.9:2"), 0);
	turn_world_run_until(&w, w.now + SEC(600));
	EXPECT_EQ(turn_server_stats(w.s)->channels, 0);
	EXPECT(turn_server_next_timeout(w.s) == TIME_NEVER);
	/* no cool-down: other pairings at once */
	turn_allocate(&c, NULL);
	EXPECT_EQ(turn_bind(&c, 0x4001, PEER), 0);
	turn_world_end(&w);
}

TEST(other_transports_are_400)
{
	struct turn_client c;
	struct turn_call k;

	start();
	turn_client_init(&c, &w, CLIENT, WORLD_USER);
	turn_learn_nonce(&c);
	turn_call_begin(&c, &k, TURN_ALLOCATE);
	stun_put_transport(&k.b, 6);
	EXPECT_EQ(turn_call_signed(&c, &k), 400);
	EXPECT(turn_reply_is_signed(&c, &k));
	turn_world_end(&w);
}

/* --- channels ---------------------------------------------------------------------------------------------------------------- */

TEST(spec50_36_cooldown_rejects_other_pairings)
{
	struct turn_client c;

	start();
	turn_client_init(&c, &w, CLIENT, WORLD_USER);
	turn_allocate(&c, NULL);
	u64 bound = w.now;
	EXPECT_EQ(turn_bind(&c, 0x4000, PEER), 0);
	EXPECT_EQ(turn_bind(&c, 0x4001, PEER), 400);
	EXPECT_EQ(turn_bind(&c, 0x4000, "192.0.2.9:2"), 400);
	EXPECT_EQ(turn_bind(&c, 0x4000, PEER), 0);
	turn_refresh(&c, 3600, true);
	turn_world_run_until(&w, bound + SEC(899));
	EXPECT_EQ(turn_server_stats(w.s)->channels, 1);
	EXPECT_EQ(turn_bind(&c, 0x4001, PEER), 400);
	EXPECT_EQ(turn_bind(&c, 0x4000, "192.0.2.9:2"), 400);
	turn_world_run_until(&w, bound + SEC(900));
	EXPECT_EQ(turn_server_stats(w.s)->channels, 0);
	EXPECT_EQ(turn_bind(&c, 0x4000, "192.0.2.9:2"), 0);
	EXPECT_EQ(turn_bind(&c, 0x4001, PEER), 0);
	turn_world_end(&w);
}

TEST(spec50_38_numbers_belong_to_their_client)
{
	struct turn_client a, b;

	start();
	turn_client_init(&a, &w, CLIENT, WORLD_USER);
	turn_client_init(&b, &w, "198.51.100.8:40000", "2145916800:other");
	turn_allocate(&a, NULL);
	turn_allocate(&b, NULL);
	EXPECT_EQ(turn_bind(&a, 0x4000, PEER), 0);
	EXPECT_EQ(turn_bind(&b, 0x4000, PEER), 0);
	EXPECT_EQ(turn_bind(&b, 0x4001, "192.0.2.9:2"), 0);
	EXPECT_EQ(turn_server_stats(w.s)->channels, 3);
	turn_world_end(&w);
}

TEST(spec50_39_peer_of_a_missing_family_is_443)
{
	struct turn_client c;
	struct turn_call k;

	start();
	turn_client_init(&c, &w, CLIENT, WORLD_USER);
	turn_learn_nonce(&c);
	turn_call_begin(&c, &k, TURN_ALLOCATE);
	stun_put_transport(&k.b, 17);
	EXPECT_EQ(turn_call_signed(&c, &k), 0);
	EXPECT_EQ(turn_bind(&c, 0x4000, "[2001:db8::9]:1"), 443);
	EXPECT_EQ(turn_bind(&c, 0x4000, PEER), 0);
	turn_world_end(&w);
}

TEST(spec50_40_create_permission_succeeds_without_effect)
{
	struct turn_client c;
	struct turn_call k;

	start();
	turn_client_init(&c, &w, CLIENT, WORLD_USER);
	turn_learn_nonce(&c);
	turn_call_begin(&c, &k, TURN_CREATE_PERMISSION); /* no allocation, no peer */
	EXPECT_EQ(turn_call_signed(&c, &k), 0);
	EXPECT_ORDER(&k.reply, ATTR_SOFTWARE, ATTR_MESSAGE_INTEGRITY);
	turn_world_end(&w);
}

/* --- for any TURN client ----------------------------------------------------------------------------------------------------- */

static void start_rfc(void)
{
	static const struct turn_user users[] = { { "alice", "wonderland" }, { "bob", "builder" } };

	turn_world_init(&w);
	w.cfg.rules = TURN_RULES_RFC;
	w.cfg.stamp_secret = NULL;
	w.cfg.users = users;
	w.cfg.n_users = ARRAY_LEN(users);
	turn_world_start(&w);
}

TEST(static_users_allocate_several_times)
{
	struct turn_client a, b;

	start_rfc();
	turn_client_init(&a, &w, CLIENT, "alice");
	turn_client_set_password(&a, "wonderland", "firezone");
	turn_client_init(&b, &w, "198.51.100.7:40001", "alice");
	turn_client_set_password(&b, "wonderland", "firezone");
	EXPECT_EQ(turn_allocate(&a, NULL), 0);
	EXPECT_EQ(turn_allocate(&b, NULL), 0);
	EXPECT_EQ(turn_server_stats(w.s)->allocations, 2);
	EXPECT_EQ(turn_refresh(&a, 0, true), 0);
	EXPECT_EQ(turn_refresh(&b, 0, true), 0);
	turn_client_set_password(&a, "wrong", "firezone");
	EXPECT_EQ(turn_allocate(&a, NULL), 401);
	turn_client_init(&a, &w, CLIENT, "mallory");
	EXPECT_EQ(turn_allocate(&a, NULL), 401);
	turn_world_end(&w);
}

TEST(rest_credentials_as_coturn_computes_them)
{
	struct turn_client c;
	char password[TURN_PASSWORD_SIZE];

	/* printf %s 1900000000:x | openssl dgst -sha1 -hmac north -binary | base64 */
	turn_rest_password(SPAN_STR("north"), SPAN_STR("1900000000:x"), password);
	EXPECT_EQ(strlen(password), 28);
	turn_world_init(&w);
	w.cfg.rules = TURN_RULES_RFC;
	w.cfg.stamp_secret = NULL;
	w.cfg.static_auth_secret = "north";
	turn_world_start(&w);
	turn_client_init(&c, &w, CLIENT, "1900000000:x");
	turn_client_set_password(&c, password, "firezone");
	EXPECT_EQ(turn_allocate(&c, NULL), 0);
	turn_client_init(&c, &w, "198.51.100.7:40001", "1700000000:x"); /* in the past */
	turn_rest_password(SPAN_STR("north"), SPAN_STR("1700000000:x"), password);
	turn_client_set_password(&c, password, "firezone");
	EXPECT_EQ(turn_allocate(&c, NULL), 401);
	turn_world_end(&w);
}

TEST(rfc_rules_answer_a_repeated_allocate_again)
{
	struct turn_client c;
	struct turn_call k;
	u32 lifetime = 0;

	start_rfc();
	turn_client_init(&c, &w, CLIENT, "alice");
	turn_client_set_password(&c, "wonderland", "firezone");
	turn_learn_nonce(&c);
	turn_call_begin(&c, &k, TURN_ALLOCATE);
	stun_put_transport(&k.b, 17);
	EXPECT_EQ(turn_call_signed(&c, &k), 0);
	turn_world_run_until(&w, w.now + SEC(1));
	c.txid--;
	turn_call_begin(&c, &k, TURN_ALLOCATE);
	stun_put_transport(&k.b, 17);
	EXPECT_EQ(turn_call_signed(&c, &k), 0);
	EXPECT_EQ(stun_get_u32(&k.reply, ATTR_LIFETIME, &lifetime), 0);
	EXPECT_EQ(lifetime, 599);
	turn_call_begin(&c, &k, TURN_ALLOCATE);
	stun_put_transport(&k.b, 17);
	EXPECT_EQ(turn_call_signed(&c, &k), 437);
	/* another user on the same socket */
	strcpy(c.username, "bob");
	turn_client_set_password(&c, "builder", "firezone");
	EXPECT_EQ(turn_refresh(&c, 0, true), 441);
	turn_world_end(&w);
}

TEST(quota_is_486)
{
	struct turn_client c[3];
	static const struct turn_user user = { "alice", "wonderland" };

	turn_world_init(&w);
	w.cfg.rules = TURN_RULES_RFC;
	w.cfg.users = &user;
	w.cfg.n_users = 1;
	w.cfg.user_quota = 2;
	turn_world_start(&w);
	for (int i = 0; i < 3; i++) {
		char addr[32];
		snprintf(addr, sizeof(addr), "198.51.100.7:%d", 40000 + i);
		turn_client_init(&c[i], &w, addr, "alice");
		turn_client_set_password(&c[i], "wonderland", "firezone");
		EXPECT_EQ(turn_allocate(&c[i], NULL), i < 2 ? 0 : 486);
	}
	EXPECT_EQ(turn_refresh(&c[0], 0, true), 0);
	EXPECT_EQ(turn_allocate(&c[2], NULL), 0);
	turn_world_end(&w);
}

TEST(rfc_rules_refuse_loopback_and_multicast_peers)
{
	static const char *const bad[] = { "127.0.0.1:53", "0.0.0.0:1", "224.0.0.1:1", "255.255.255.255:1", "[::1]:53", "[ff02::1]:1" };
	struct turn_client c;

	start_rfc();
	turn_client_init(&c, &w, CLIENT, "alice");
	turn_client_set_password(&c, "wonderland", "firezone");
	turn_allocate(&c, NULL);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct turn_call k;
		struct endpoint e = turn_ep(bad[i]);
		EXPECT_EQ(turn_bind(&c, 0x4000, bad[i]), 403);
		turn_call_begin(&c, &k, TURN_CREATE_PERMISSION);
		stun_put_xor_address(&k.b, ATTR_XOR_PEER_ADDRESS, &e);
		EXPECT_EQ(turn_call_signed(&c, &k), 403);
	}
	turn_world_end(&w);
}

TEST(bad_configurations_are_refused)
{
	struct turn_server *s;

	turn_world_init(&w);
	w.cfg.public4 = w.cfg.public6 = (struct ip){ 0 };
	EXPECT_EQ(turn_server_new(&s, &w.cfg), ERR_INVAL);
	turn_world_init(&w);
	w.cfg.highest_port = 49999;
	EXPECT_EQ(turn_server_new(&s, &w.cfg), ERR_INVAL);
}

/* ≤ 2 KB with four channels and everything around them, at any fill of the tables. */
TEST(memory_per_allocation_is_small)
{
	u32 worst = 0;

	turn_world_init(&w);
	w.cfg.lowest_port = 40000;
	w.cfg.highest_port = 65535;
	turn_world_start(&w);
	for (u32 i = 0; i < 100; i++) {
		struct turn_client c;
		char name[64];
		snprintf(name, sizeof(name), "2145916800:user%u", i);
		turn_client_init(&c, &w, CLIENT, name);
		c.addr.port = (u16)(1000 + i);
		w.n_out = 0;
		REQUIRE(turn_allocate(&c, NULL) == 0);
		for (u16 k = 0; k < 4; k++) {
			char peer[32];
			snprintf(peer, sizeof(peer), "192.0.2.9:%u", 1000u + k);
			REQUIRE(turn_bind(&c, (u16)(0x4000 + k), peer) == 0);
		}
		if (i >= 20)
			worst = MAX(worst, (u32)(turn_server_memory(w.s) / (i + 1)));
	}
	EXPECT(worst <= 2048);
	turn_world_end(&w);
}
