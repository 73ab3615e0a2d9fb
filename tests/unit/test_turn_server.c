/* Requests and credentials of the TURN server (spec 50 §2, §3). */
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

static const char *first_allocate =
	"0003007c2112a4420102030405060708090a0b0c0019000411000000800000040200000080220007736e6f776e657400"
	"00060036323134353931363830303a6b46386f3376474f71734261357645724c445253644572363969626145305056657a6c"
	"62564534464762590000001400086669"
	"72657a6f6e65000800145697b2cac255ebbcca786974698ae951f4dc2f6e";

/* --- wire -------------------------------------------------------------------------------------------------------------------- */

TEST(spec50_01_first_byte_decides)
{
	struct endpoint from = turn_ep(CLIENT);

	start();
	for (unsigned b = 0; b < 256; b++) {
		u8 d[20] = { (u8)b };
		turn_world_input(&w, &from, SPAN(d, sizeof(d)));
	}
	turn_world_input(&w, &from, SPAN_NONE);
	EXPECT_EQ(w.n_out, 0);
	EXPECT_EQ(turn_server_stats(w.s)->rx_no_channel, 16); /* 0x40..0x4F with length 0 */
	EXPECT_EQ(turn_server_stats(w.s)->rx_garbage, 240);
	turn_world_end(&w);
}

TEST(spec50_02_wrong_cookie_or_length_is_dropped)
{
	struct endpoint from = turn_ep(CLIENT);
	u8 good[STUN_HEADER];
	struct stun_builder b;

	start();
	stun_begin(&b, good, sizeof(good), STUN_REQUEST, STUN_BINDING, (const u8 *)"123456789012");
	stun_end(&b);
	for (unsigned i = 0; i < 5; i++) {
		u8 d[24] = { 0 };
		memcpy(d, good, sizeof(good));
		if (i < 4)
			d[4 + i] ^= 0x10;
		turn_world_input(&w, &from, SPAN(d, i < 4 ? 20 : 24)); /* the last: four bytes more than its length says */
	}
	for (size_t n = 0; n < 20; n++)
		turn_world_input(&w, &from, SPAN(good, n));
	EXPECT_EQ(w.n_out, 0);
	turn_world_input(&w, &from, SPAN(good, 20));
	EXPECT_EQ(w.n_out, 1);
	turn_world_end(&w);
}

TEST(spec50_03_only_requests_are_answered)
{
	struct endpoint from = turn_ep(CLIENT);
	static const enum stun_class classes[] = { STUN_INDICATION, STUN_SUCCESS, STUN_ERROR };

	start();
	for (size_t i = 0; i < ARRAY_LEN(classes); i++) {
		for (u16 method = 0; method < 0x10; method++) {
			u8 d[64];
			struct stun_builder b;
			stun_begin(&b, d, sizeof(d), classes[i], method, (const u8 *)"123456789012");
			turn_world_input(&w, &from, SPAN(d, stun_end(&b)));
			stun_put(&b, ATTR_CHANNEL_NUMBER, SPAN_STR("x")); /* malformed as well */
			turn_world_input(&w, &from, SPAN(d, stun_end(&b)));
		}
	}
	EXPECT_EQ(w.n_out, 0);
	turn_world_end(&w);
}

TEST(spec50_04_binding_tells_the_senders_address)
{
	static const char *const clients[] = { CLIENT, CLIENT6 };

	start();
	for (size_t i = 0; i < 2; i++) {
		struct turn_client c;
		struct turn_call k;
		struct endpoint e;
		turn_client_init(&c, &w, clients[i], WORLD_USER);
		turn_call_begin(&c, &k, STUN_BINDING);
		EXPECT_EQ(turn_call_plain(&c, &k), 0);
		EXPECT_EQ(stun_get_address(&k.reply, ATTR_XOR_MAPPED_ADDRESS, &e), 0);
		EXPECT(endpoint_eq(&e, &c.addr));
		struct ip src = i == 0 ? w.cfg.public4 : w.cfg.public6;
		EXPECT(ip_eq(&w.out[w.n_out - 1].src, &src)); /* from where the request arrived */
	}
	turn_world_end(&w);
}

TEST(spec50_05_attributes_in_order_with_exact_phrases)
{
	struct turn_client c;
	struct turn_call k;
	struct span reason;
	struct endpoint peer = turn_ep(PEER);
	u16 code;

	start();
	turn_client_init(&c, &w, CLIENT, WORLD_USER);
	turn_call_begin(&c, &k, STUN_BINDING);
	turn_call_plain(&c, &k);
	EXPECT_ORDER(&k.reply, ATTR_SOFTWARE, ATTR_XOR_MAPPED_ADDRESS);
	turn_call_begin(&c, &k, TURN_REFRESH);
	EXPECT_EQ(turn_call_signed(&c, &k), 401);
	EXPECT_ORDER(&k.reply, ATTR_SOFTWARE, ATTR_ERROR_CODE, ATTR_REALM, ATTR_NONCE, ATTR_MESSAGE_INTEGRITY);
	EXPECT_EQ(stun_get_error(&k.reply, &code, &reason), 0);
	EXPECT(reason.n == 12 && memcmp(reason.p, "Unauthorized", 12) == 0);
	turn_call_begin(&c, &k, TURN_ALLOCATE);
	stun_put_transport(&k.b, 17);
	stun_put_family(&k.b, ATTR_ADDITIONAL_FAMILY, 6);
	EXPECT_EQ(turn_call_signed(&c, &k), 0);
	EXPECT_ORDER(&k.reply, ATTR_SOFTWARE, ATTR_XOR_RELAYED_ADDRESS, ATTR_XOR_RELAYED_ADDRESS, ATTR_XOR_MAPPED_ADDRESS,
		     ATTR_LIFETIME, ATTR_MESSAGE_INTEGRITY);
	turn_call_begin(&c, &k, TURN_CHANNEL_BIND);
	stun_put_xor_address(&k.b, ATTR_XOR_PEER_ADDRESS, &peer);
	stun_put_channel(&k.b, 0x4000);
	EXPECT_EQ(turn_call_signed(&c, &k), 0);
	EXPECT_ORDER(&k.reply, ATTR_SOFTWARE, ATTR_MESSAGE_INTEGRITY);
	turn_call_begin(&c, &k, TURN_REFRESH);
	EXPECT_EQ(turn_call_signed(&c, &k), 0);
	EXPECT_ORDER(&k.reply, ATTR_SOFTWARE, ATTR_LIFETIME, ATTR_MESSAGE_INTEGRITY);
	turn_call_begin(&c, &k, TURN_ALLOCATE);
	stun_put_transport(&k.b, 17);
	EXPECT_EQ(turn_call_signed(&c, &k), 437);
	EXPECT_ORDER(&k.reply, ATTR_SOFTWARE, ATTR_ERROR_CODE, ATTR_MESSAGE_INTEGRITY);
	static const struct {
		enum stun_error_code code;
		const char *phrase;
	} phrases[] = { { 400, "Bad Request" },		  { 401, "Unauthorized" },
			{ 437, "Allocation Mismatch" },	  { 438, "Stale Nonce" },
			{ 440, "Address Family not Supported" }, { 443, "Peer Address Family Mismatch" },
			{ 500, "Server Error" },	  { 508, "Insufficient Capacity" } };
	for (size_t i = 0; i < ARRAY_LEN(phrases); i++)
		EXPECT_STR(stun_error_phrase(phrases[i].code), phrases[i].phrase);
	turn_world_end(&w);
}

TEST(spec50_06_fingerprint_is_accepted_and_never_sent)
{
	struct turn_client c;
	struct turn_call k;

	start();
	turn_client_init(&c, &w, CLIENT, WORLD_USER);
	turn_learn_nonce(&c);
	for (int is_wrong = 0; is_wrong < 2; is_wrong++) {
		turn_call_begin(&c, &k, TURN_CREATE_PERMISSION);
		stun_put(&k.b, ATTR_USERNAME, SPAN(c.username, strlen(c.username)));
		stun_put(&k.b, ATTR_NONCE, SPAN(c.nonce, strlen(c.nonce)));
		stun_put_integrity(&k.b, SPAN(c.key, STUN_KEY));
		stun_put_fingerprint(&k.b);
		k.b.w.p[-1] ^= (u8)is_wrong;
		EXPECT_EQ(turn_call_plain(&c, &k), 0);
		EXPECT(!stun_has(&k.reply, ATTR_FINGERPRINT) && k.reply.fingerprint == 0);
	}
	turn_world_end(&w);
}

TEST(spec50_07_unknown_attributes_are_ignored)
{
	struct turn_client c;
	struct turn_call k;

	start();
	turn_client_init(&c, &w, CLIENT, WORLD_USER);
	turn_learn_nonce(&c);
	turn_call_begin(&c, &k, TURN_ALLOCATE);
	stun_put(&k.b, ATTR_EVEN_PORT, SPAN("\x80", 1));
	stun_put(&k.b, ATTR_DONT_FRAGMENT, SPAN_NONE);
	stun_put(&k.b, (enum stun_attr)0x0022, SPAN("reservat", 8));
	stun_put(&k.b, (enum stun_attr)0x7FFF, SPAN("abc", 3));
	stun_put_transport(&k.b, 17);
	EXPECT_EQ(turn_call_signed(&c, &k), 0);
	turn_world_end(&w);
}

TEST(spec50_09_challenge_is_byte_exact)
{
	static const char *want_text = "0113007c2112a4420102030405060708090a0b0c80220018666972657a6f6e652d72656c61793b207265763d"
				       "787878780009001000000401556e617574686f72697a65640014000866697265"
				       "7a6f6e650015002430303030303030302d303030302d303030302d303030302d303030303030303030303030"
				       "0008001453351400df316c9ff304363b0c39eef8e7da7a63";
	u8 request[256], want[256], got[256];
	size_t n_request = test_hex(first_allocate, request), n_want = test_hex(want_text, want);
	struct stun_msg m;
	struct turn_request r = { .m = &m, .client = turn_ep(CLIENT), .now = SEC(5), .wall = SEC(1800000000) };

	start();
	REQUIRE(n_request == 144 && n_want == 144);
	REQUIRE(stun_parse(SPAN(request, n_request), &m) == 0);
	EXPECT_EQ(auth_check(w.s, &r), 401);
	EXPECT(r.has_key);
	EXPECT_EQ(stun_check_integrity(&m, SPAN(r.key, STUN_KEY)), 0);
	int n = build_challenge(w.s, &r, 401, "00000000-0000-0000-0000-000000000000", got, sizeof(got));
	EXPECT_EQ(n, 144);
	EXPECT_MEM(got, want, 144);
	/* and through the front door, with another nonce */
	struct endpoint from = turn_ep(CLIENT);
	turn_world_input(&w, &from, SPAN(request, n_request));
	REQUIRE(w.n_out == 1);
	EXPECT_EQ(w.out[0].n, 144);
	EXPECT_MEM(w.out[0].data, want, 84);
	turn_world_end(&w);
}

TEST(spec50_10_missing_attributes_are_400_before_authentication)
{
	struct turn_client c;
	struct turn_call k;
	struct endpoint peer = turn_ep(PEER);

	start();
	turn_client_init(&c, &w, CLIENT, WORLD_USER);
	turn_call_begin(&c, &k, TURN_ALLOCATE);
	EXPECT_EQ(turn_call_signed(&c, &k), 400);
	EXPECT_ORDER(&k.reply, ATTR_SOFTWARE, ATTR_ERROR_CODE);
	turn_call_begin(&c, &k, TURN_CHANNEL_BIND);
	stun_put_channel(&k.b, 0x4000);
	EXPECT_EQ(turn_call_signed(&c, &k), 400);
	EXPECT_EQ(k.reply.integrity, 0);
	turn_call_begin(&c, &k, TURN_CHANNEL_BIND);
	stun_put_xor_address(&k.b, ATTR_XOR_PEER_ADDRESS, &peer);
	EXPECT_EQ(turn_call_plain(&c, &k), 400);
	turn_world_end(&w);
}

TEST(spec50_10_broken_attributes_are_400_unsigned)
{
	static const struct {
		u16 type;
		const char *value;
		size_t n;
	} bad[] = {
		{ ATTR_REQUESTED_FAMILY, "\x03\0\0\0", 4 }, { ATTR_ADDITIONAL_FAMILY, "\0\0\0\0", 4 },
		{ ATTR_REQUESTED_FAMILY, "\x01", 1 },	    { ATTR_LIFETIME, "\0\0", 2 },
		{ ATTR_USERNAME, "\xff\xfe", 2 },	    { ATTR_XOR_PEER_ADDRESS, "\0\3\0\0\0\0\0\0", 8 },
		{ ATTR_XOR_PEER_ADDRESS, "\0\1\0\0", 4 },   { ATTR_CHANNEL_NUMBER, "\x40\0", 2 },
		{ ATTR_CHANNEL_NUMBER, "\x3f\xff\0\0", 4 }, { ATTR_MESSAGE_INTEGRITY, "short", 5 },
	};
	struct turn_client c;
	struct turn_call k;

	start();
	turn_client_init(&c, &w, CLIENT, WORLD_USER);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		turn_call_begin(&c, &k, TURN_ALLOCATE);
		stun_put_transport(&k.b, 17);
		stun_put(&k.b, (enum stun_attr)bad[i].type, SPAN(bad[i].value, bad[i].n));
		EXPECT_EQ(turn_call_signed(&c, &k), 400);
		EXPECT_ORDER(&k.reply, ATTR_SOFTWARE, ATTR_ERROR_CODE);
	}
	/* an attribute that runs past the end */
	u8 d[28];
	size_t n = test_hex("000300082112a4420102030405060708090a0b0c0006000861626364", d);
	size_t before = w.n_out;
	turn_world_input(&w, &c.addr, SPAN(d, n));
	EXPECT_EQ(w.n_out, before + 1);
	turn_world_end(&w);
}

TEST(spec50_11_channel_range)
{
	struct turn_client c;
	u16 port;

	for (int is_wide = 0; is_wide < 2; is_wide++) {
		turn_world_init(&w);
		w.cfg.has_wide_channels = is_wide;
		turn_world_start(&w);
		turn_client_init(&c, &w, CLIENT, WORLD_USER);
		EXPECT_EQ(turn_allocate(&c, &port), 0);
		EXPECT_EQ(turn_bind(&c, 0x3FFF, PEER), 400);
		EXPECT_EQ(turn_bind(&c, 0x4FFF, PEER), 0);
		EXPECT_EQ(turn_bind(&c, 0x5000, "192.0.2.9:2"), is_wide ? 0 : 400);
		EXPECT_EQ(turn_bind(&c, 0x7FFF, "192.0.2.9:3"), is_wide ? 0 : 400);
		EXPECT_EQ(turn_bind(&c, 0x8000, "192.0.2.9:4"), 400);
		size_t before = w.n_out;
		turn_send_channel(&c, 0x7FFF, SPAN_STR("wide"));
		EXPECT_EQ(w.n_out - before, is_wide);
		turn_world_end(&w);
	}
}

TEST(spec50_12_unknown_methods_are_400)
{
	static const u16 methods[] = { 0x000, 0x002, 0x005, 0x006, 0x007, 0x00A, 0x00B, 0x0FF };
	struct turn_client c;
	struct turn_call k;

	start();
	turn_client_init(&c, &w, CLIENT, WORLD_USER);
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		turn_call_begin(&c, &k, methods[i]);
		EXPECT_EQ(turn_call_signed(&c, &k), 400);
		EXPECT_EQ(k.reply.integrity, 0);
	}
	turn_world_end(&w);
}

/* --- authentication ---------------------------------------------------------------------------------------------------------- */

TEST(spec50_16_password_vectors)
{
	static const struct {
		const char *expiry, *secret, *salt, *password;
	} v[] = {
		{ "2145916800", WORLD_SECRET, WORLD_SALT, WORLD_PASSWORD },
		{ "1892160000", "4c98bf59c99b3e467ecd7cf9d6b3e5279645fca59be67bc5bb4af3cf653761ab", "n23JJ2wKKtt30oXi",
		  "00hqldgk5xLeKKOB+xls9mHMVtgqzie9DulfgQwMv68" },
		{ "1685984278", "1cab293a-4032-46f4-862a-40e5d174b0d2", "uvdgKvS9GXYZ_vmv",
		  "6xUIoZ+QvxKhRasLifwfRkMXl+ETLJUsFkHlXjlHAkg" },
		{ "1900000000", "0000000000000000000000000000000000000000000000000000000000000001", WORLD_SALT,
		  "GlS2CcnCQC6dC6TneWlFkn83RNTijKKbRvfnKd/92QU" },
	};
	char password[TURN_PASSWORD_SIZE], salt[TURN_SALT_SIZE];
	u8 key[STUN_KEY], want[STUN_KEY];

	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		turn_firezone_password(SPAN(v[i].expiry, strlen(v[i].expiry)), SPAN(v[i].secret, strlen(v[i].secret)),
				       SPAN(v[i].salt, strlen(v[i].salt)), password);
		EXPECT_STR(password, v[i].password);
	}
	turn_salt(SPAN_STR("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="), salt);
	EXPECT_STR(salt, WORLD_SALT);
	stun_long_term_key(SPAN_STR(WORLD_USER), SPAN_STR("firezone"), SPAN_STR(WORLD_PASSWORD), key);
	test_hex("e420ee25549b8e3516dea480349b28e3", want);
	EXPECT_MEM(key, want, STUN_KEY);
}

TEST(spec50_17_every_reply_to_a_usable_username_is_signed)
{
	struct turn_client c;
	struct turn_call k;

	start();
	turn_client_init(&c, &w, CLIENT, WORLD_USER);
	turn_call_begin(&c, &k, TURN_REFRESH);
	EXPECT_EQ(turn_call_signed(&c, &k), 401); /* no nonce */
	EXPECT(turn_reply_is_signed(&c, &k));
	memset(c.nonce, 'x', 36);
	turn_call_begin(&c, &k, TURN_REFRESH);
	EXPECT_EQ(turn_call_signed(&c, &k), 438);
	EXPECT(turn_reply_is_signed(&c, &k));
	turn_call_begin(&c, &k, TURN_REFRESH);
	EXPECT_EQ(turn_call_signed(&c, &k), 437);
	EXPECT(turn_reply_is_signed(&c, &k));
	/* even when its own signature was wrong */
	turn_call_begin(&c, &k, TURN_REFRESH);
	stun_put(&k.b, ATTR_USERNAME, SPAN(c.username, strlen(c.username)));
	stun_put(&k.b, ATTR_NONCE, SPAN(c.nonce, strlen(c.nonce)));
	stun_put_integrity(&k.b, SPAN_STR("wrong"));
	EXPECT_EQ(turn_call_plain(&c, &k), 401);
	EXPECT(turn_reply_is_signed(&c, &k));
	/* or there was none at all */
	turn_call_begin(&c, &k, TURN_REFRESH);
	stun_put(&k.b, ATTR_USERNAME, SPAN(c.username, strlen(c.username)));
	EXPECT_EQ(turn_call_plain(&c, &k), 401);
	EXPECT(turn_reply_is_signed(&c, &k));
	/* nobody's request cannot be */
	turn_call_begin(&c, &k, TURN_REFRESH);
	EXPECT_EQ(turn_call_plain(&c, &k), 401);
	EXPECT_EQ(k.reply.integrity, 0);
	turn_world_end(&w);
}

TEST(spec50_18_challenges_carry_realm_and_nonce)
{
	struct turn_client c;
	struct turn_call k;
	struct span realm, nonce;

	start();
	turn_client_init(&c, &w, CLIENT, WORLD_USER);
	for (int i = 0; i < 2; i++) {
		turn_call_begin(&c, &k, TURN_REFRESH);
		EXPECT_EQ(turn_call_signed(&c, &k), i == 0 ? 401 : 438);
		EXPECT(stun_get_text(&k.reply, ATTR_REALM, &realm) == 0 && realm.n == 8 && memcmp(realm.p, "firezone", 8) == 0);
		EXPECT(stun_get_text(&k.reply, ATTR_NONCE, &nonce) == 0 && nonce.n == 36);
		strcpy(c.nonce, "6a9e9b8e-0000-0000-0000-000000000000");
	}
	turn_world_end(&w);
}

TEST(spec50_19_nonces_not_accepted_are_438)
{
	static const char *const bad[] = { "", "x", "00000000-0000-0000-0000-000000000000", "00000000000000000000000000000000",
					   "not-a-uuid-but-36-characters-long-00" };
	struct turn_client c, other;

	start();
	turn_client_init(&c, &w, CLIENT, WORLD_USER);
	turn_client_init(&other, &w, "198.51.100.7:40001", WORLD_USER);
	for (size_t i = 1; i < ARRAY_LEN(bad); i++) {
		strcpy(c.nonce, bad[i]);
		EXPECT_EQ(turn_refresh(&c, 0, false), 438);
	}
	EXPECT_EQ(turn_refresh(&c, 0, false), 437); /* the nonce of the 438 is good */
	/* bound to the client's socket */
	strcpy(other.nonce, c.nonce);
	EXPECT_EQ(turn_refresh(&other, 0, false), 438);
	/* and to its time */
	turn_world_run_until(&w, w.now + SEC(3600));
	EXPECT_EQ(turn_refresh(&c, 0, false), 437);
	turn_world_run_until(&w, w.now + SEC(1));
	EXPECT_EQ(turn_refresh(&c, 0, false), 438);
	EXPECT_EQ(turn_refresh(&c, 0, false), 437);
	turn_world_end(&w);
}

TEST(spec50_20_a_nonce_lasts_10000_requests)
{
	struct turn_client c;
	u16 port;

	start();
	turn_client_init(&c, &w, CLIENT, WORLD_USER);
	EXPECT_EQ(turn_allocate(&c, &port), 0);
	for (int i = 0; i < 10000; i++) {
		REQUIRE(turn_refresh(&c, 600, true) == 0);
		w.n_out = 0;
	}
	turn_world_end(&w);
}

TEST(spec50_21_expiry_now_is_valid_earlier_is_401)
{
	struct turn_client c;

	start();
	turn_client_init(&c, &w, CLIENT, "1800000000:salt");
	w.wall = SEC(1800000000) + SEC(1) - 1;
	turn_learn_nonce(&c);
	EXPECT_EQ(turn_refresh(&c, 0, false), 437);
	w.wall = SEC(1800000001);
	EXPECT_EQ(turn_refresh(&c, 0, false), 401);
	turn_world_end(&w);
}

TEST(spec50_22_any_username_is_survived)
{
	static const char *const names[] = {
		"18446744073709551615:s", "18446744073709551616:s", "99999999999999999999999999:s", ":", ":s", "1", "1:2:3", "",
		"-1:s",			  "+1:s",		    "1 :s",			    "0:", "\xc3\xa4:s", "0x10:s",
	};
	struct turn_client c;

	start();
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		turn_client_init(&c, &w, CLIENT, names[i]);
		EXPECT_EQ(turn_learn_nonce(&c), 401);
		EXPECT_EQ(turn_refresh(&c, 0, false), i == 0 ? 437 : 401);
	}
	turn_world_end(&w);
}

TEST(spec50_23_floods_leave_nothing_behind)
{
	struct turn_client c;
	struct turn_call k;

	start();
	size_t before = turn_server_memory(w.s);
	for (u32 i = 0; i < 20000; i++) {
		turn_client_init(&c, &w, CLIENT, WORLD_USER);
		c.addr.port = (u16)(1 + i);
		c.addr.ip.b[3] = (u8)(i >> 16);
		turn_call_begin(&c, &k, TURN_ALLOCATE);
		stun_put_transport(&k.b, 17);
		turn_call_signed(&c, &k);
		w.n_out = 0;
	}
	EXPECT_EQ(turn_server_memory(w.s), before);
	turn_world_end(&w);
}
