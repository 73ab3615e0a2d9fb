/* The peer's end of the portal connection, in virtual time, against a portal that says exactly what the test wants. */
#include "core/http/http.h"
#include "core/http/websocket.h"
#include "core/phoenix/channel.h"
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WALL SEC(1800000000ull)
#define BOOT SEC(1000)

static struct world {
	struct rng_seeded rng;
	struct channel *c;
	u64 now;
	struct ws *ws;        /* the portal's end */
	bool is_connected;    /* between CONNECT and DROP */
	u32 connects, drops, joins, hiccups, messages, fatals;
	enum msg_type last_message;
	struct channel_event last; /* hiccup or fatal */
	u64 connected_at;
	char request[9000];
	char heard[64][700];  /* frames the peer sent */
	u32 n_heard;
	bool got_close;
	u16 close_code;
} w;

static const u8 key[32] = { 0x9c, 0x2a, 0x36, 0xa5, 0xfd, 0xec };

static struct channel_config config(enum msg_role role)
{
	struct channel_config cfg = { .role = role, .api_url = "wss://portal.example:8443/", .token = " .SFMy\nNTY.t ", .user_agent = "Debian/12.0.0 gateway/1.5.2 (x86_64; 6.1.0-\xc3\xa4)",
				      .max_partition = SEC(86400), .rng = &w.rng.rng };

	cfg.params[cfg.n_params++] = (struct channel_param){ "external_id", "lab-gw1" };
	cfg.params[cfg.n_params++] = (struct channel_param){ "name", "gw 1" };
	cfg.params[cfg.n_params++] = (struct channel_param){ "device_serial", NULL };
	if (role == MSG_ROLE_RELAY)
		cfg.stamp_secret = "5ef3";
	return cfg;
}

static void drain_events(void)
{
	struct channel_event e;

	while (channel_poll_event(w.c, &e)) {
		switch (e.type) {
		case CHANNEL_CONNECT:
			EXPECT(!w.is_connected); /* spec10_37: never two sockets at a time */
			w.is_connected = true;
			w.connects++;
			w.connected_at = w.now;
			break;
		case CHANNEL_DROP:
			EXPECT(w.is_connected);
			w.is_connected = false;
			w.drops++;
			break;
		case CHANNEL_JOINED:
			w.joins++;
			break;
		case CHANNEL_MESSAGE:
			w.messages++;
			w.last_message = e.message.type;
			msg_free(&e.message);
			break;
		case CHANNEL_HICCUP:
			w.hiccups++;
			w.last = e;
			break;
		case CHANNEL_FATAL:
			w.fatals++;
			w.last = e;
			break;
		}
	}
}

static void begin_with(const struct channel_config *cfg)
{
	const char *why;

	memset(&w, 0, sizeof(w));
	w.now = BOOT;
	rng_seeded_init(&w.rng, 11);
	struct channel_config own = *cfg;
	own.rng = &w.rng.rng;
	EXPECT_EQ(channel_new(&own, &w.c, &why), 0);
	channel_start(w.c, w.now, own.role == MSG_ROLE_RELAY ? NULL : key);
	drain_events();
}

static void begin(enum msg_role role)
{
	struct channel_config cfg = config(role);

	begin_with(&cfg);
}

static void end(void)
{
	ws_free(w.ws);
	w.ws = NULL;
	channel_free(w.c);
}

/* Takes what the peer writes; after the upgrade as frames. */
static void listen(void)
{
	struct span out;

	drain_events();
	while (w.is_connected && (out = channel_output(w.c)).n > 0) {
		struct ws_event ev;
		size_t used = out.n;
		if (!w.ws) {
			size_t n = MIN(out.n, sizeof(w.request) - 1);
			memcpy(w.request, out.p, n);
			w.request[n] = 0;
		} else {
			if (ws_input(w.ws, out, &used, &ev))
				break;
			if (ev.type == WS_TEXT && w.n_heard < ARRAY_LEN(w.heard)) {
				size_t n = MIN(ev.data.n, sizeof(w.heard[0]) - 1);
				memcpy(w.heard[w.n_heard], ev.data.p, n);
				w.heard[w.n_heard++][n] = 0;
			} else if (ev.type == WS_CLOSE) {
				w.got_close = true;
				w.close_code = ev.code;
			}
		}
		channel_output_done(w.c, w.now, used);
		drain_events();
	}
}

/* Runs until `until`, the portal being silent; the peer is asked for its deadlines as the loop would. */
static void run_until(u64 until)
{
	for (int guard = 0; guard < 100000; guard++) {
		listen();
		u64 t = channel_next_timeout(w.c);
		if (t > until)
			break;
		w.now = MAX(w.now, t);
		channel_timeout(w.c, w.now);
		drain_events();
	}
	w.now = until;
	listen();
}

static void portal_bytes(const char *text)
{
	channel_input(w.c, w.now, WALL, SPAN(text, strlen(text)));
	listen();
}

static void accept_upgrade(void)
{
	char key_text[64], accept[WS_ACCEPT_STRLEN], response[400];
	const char *p;

	ws_free(w.ws);
	w.ws = NULL;
	EXPECT_EQ(channel_state(w.c), CHANNEL_CONNECTING);
	channel_opened(w.c, w.now);
	listen();
	p = strstr(w.request, "Sec-WebSocket-Key: ");
	if (!EXPECT(p != NULL))
		return;
	sscanf(p, "Sec-WebSocket-Key: %63s", key_text);
	ws_accept(SPAN(key_text, strlen(key_text)), accept);
	snprintf(response, sizeof(response), "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept);
	w.ws = ws_new(WS_SERVER, NULL, &w.rng.rng);
	w.n_heard = 0;
	portal_bytes(response);
}

static void flush_portal(void)
{
	while (w.ws && ws_output(w.ws).n > 0 && w.is_connected) {
		struct span out = ws_output(w.ws);
		channel_input(w.c, w.now, WALL, SPAN(out.p, 1)); /* the worst the network can do */
		ws_output_done(w.ws, 1);
		drain_events();
	}
	listen();
}

static void say(const char *frame)
{
	EXPECT_EQ(ws_send_text(w.ws, SPAN(frame, strlen(frame))), 0);
	flush_portal();
}

static void reply_ok(u64 ref, const char *topic)
{
	char text[200];

	snprintf(text, sizeof(text), "{\"event\":\"phx_reply\",\"payload\":{\"response\":{},\"status\":\"ok\"},\"ref\":%llu,\"topic\":\"%s\"}", (unsigned long long)ref, topic);
	say(text);
}

/* Up to the acknowledged join of a gateway. */
static void join(void)
{
	accept_upgrade();
	reply_ok(0, "gateway");
	EXPECT_EQ(channel_state(w.c), CHANNEL_UP);
}

static int send_flow_authorized(const char *ref)
{
	struct portal_message m = { .type = MSG_FLOW_AUTHORIZED, .flow_authorized = { ref } };
	int rc = channel_send(w.c, w.now, &m);

	listen();
	return rc;
}

static const char *last_heard(void)
{
	return w.n_heard > 0 ? w.heard[w.n_heard - 1] : "";
}

/* --- the request ------------------------------------------------------------------------------------------------------------------------------- */

TEST(spec10_6_upgrade_request_is_the_reference_programs_own)
{
	begin(MSG_ROLE_GATEWAY);
	channel_opened(w.c, w.now);
	listen();
	char *k = strstr(w.request, "Sec-WebSocket-Key: ");
	REQUIRE(k != NULL);
	memset(k + 19, 'K', 24);
	EXPECT_STR(w.request, "GET /gateway/websocket?external_id=lab-gw1&name=gw+1&public_key=nCo2pf3sAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA%3D HTTP/1.1\r\n"
			      "Host: portal.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
			      "Sec-WebSocket-Key: KKKKKKKKKKKKKKKKKKKKKKKK\r\nx-authorization: Bearer .SFMyNTY.t\r\n"
			      "user-agent: Debian/12.0.0 gateway/1.5.2 (x86_64; 6.1.0-)\r\n\r\n");
	EXPECT_STR(channel_host(w.c), "portal.example");
	EXPECT_EQ(channel_port(w.c), 8443);
	EXPECT(channel_is_tls(w.c));
	end();
}

TEST(spec10_1_path_keeps_its_base_and_loses_its_query)
{
	static const struct { const char *url, *start; u16 port; bool tls; } t[] = {
		{ "wss://h", "GET /gateway/websocket?external_id=", 443, true },
		{ "https://h/", "GET /gateway/websocket?external_id=", 443, true },
		{ "ws://h:8080/x/?drop=me", "GET /x/gateway/websocket?external_id=", 8080, false },
		{ "http://h/x/y", "GET /x/y/gateway/websocket?external_id=", 80, false },
		{ "ws://[::1]:81", "GET /gateway/websocket?external_id=", 81, false },
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct channel_config cfg = config(MSG_ROLE_GATEWAY);
		cfg.api_url = t[i].url;
		begin_with(&cfg);
		EXPECT_EQ(channel_port(w.c), t[i].port);
		EXPECT_EQ(channel_is_tls(w.c), t[i].tls);
		channel_opened(w.c, w.now);
		listen();
		if (strncmp(w.request, t[i].start, strlen(t[i].start)) != 0)
			test_fail(__FILE__, __LINE__, "%s gives %.60s", t[i].url, w.request);
		if (i == 4)
			EXPECT(strstr(w.request, "Host: [::1]\r\n") != NULL);
		end();
	}
}

TEST(spec10_1_impossible_settings_are_refused_at_start)
{
	static const struct { const char *url, *token; } bad[] = { { "ftp://h", "t" }, { "h", "t" }, { "wss://", "t" }, { "wss://h", "" }, { "wss://h", " \n" },
		{ "wss://h", "t\x01" }, { "wss://h", "t\xc3\xa4" } };

	memset(&w, 0, sizeof(w));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct channel_config cfg = config(MSG_ROLE_GATEWAY);
		const char *why = NULL;
		cfg.api_url = bad[i].url;
		cfg.token = bad[i].token;
		EXPECT_EQ(channel_new(&cfg, &w.c, &why), ERR_INVAL);
		EXPECT(why != NULL);
	}
}

TEST(spec10_3_relay_sends_its_addresses_and_secret)
{
	struct channel_config cfg = config(MSG_ROLE_RELAY);

	cfg.n_params = 0;
	cfg.params[cfg.n_params++] = (struct channel_param){ "ipv4", "203.0.113.7" };
	cfg.params[cfg.n_params++] = (struct channel_param){ "ipv6", "2001:db8::7" };
	cfg.params[cfg.n_params++] = (struct channel_param){ "port", "3478" };
	begin_with(&cfg);
	accept_upgrade();
	EXPECT(strncmp(w.request, "GET /relay/websocket?ipv4=203.0.113.7&ipv6=2001%3Adb8%3A%3A7&port=3478 HTTP/1.1\r\n", 80) == 0);
	REQUIRE(w.n_heard == 1);
	EXPECT_STR(w.heard[0], "{\"topic\":\"relay\",\"event\":\"phx_join\",\"payload\":{\"stamp_secret\":\"5ef3\"},\"ref\":0}");
	reply_ok(0, "relay");
	say("{\"event\":\"init\",\"payload\":{},\"ref\":null,\"topic\":\"relay\"}");
	EXPECT(w.joins == 1 && w.messages == 1 && w.last_message == MSG_INIT_RELAY);
	end();
}

/* --- joining and talking -------------------------------------------------------------------------------------------------------------------- */

TEST(spec10_15_frames_carry_topic_event_payload_and_a_counting_ref)
{
	begin(MSG_ROLE_GATEWAY);
	join();
	EXPECT_STR(w.heard[0], "{\"topic\":\"gateway\",\"event\":\"phx_join\",\"payload\":null,\"ref\":0}");
	EXPECT_EQ(send_flow_authorized("r1"), 0);
	EXPECT_STR(last_heard(), "{\"topic\":\"gateway\",\"event\":\"flow_authorized\",\"payload\":{\"ref\":\"r1\"},\"ref\":1}");
	run_until(BOOT + SEC(10));
	EXPECT_STR(last_heard(), "{\"topic\":\"phoenix\",\"event\":\"heartbeat\",\"payload\":{},\"ref\":2}");
	end();
}

TEST(spec10_17_data_waits_for_the_join_reply)
{
	begin(MSG_ROLE_GATEWAY);
	EXPECT_EQ(send_flow_authorized("early"), ERR_STATE); /* not connected: lost */
	accept_upgrade();
	EXPECT_EQ(send_flow_authorized("r1"), 0);
	EXPECT_EQ(send_flow_authorized("r2"), 0);
	EXPECT_EQ(w.n_heard, 1); /* the join alone */
	reply_ok(0, "gateway");
	EXPECT_EQ(w.n_heard, 3);
	EXPECT(strstr(w.heard[1], "\"r1\"") && strstr(w.heard[2], "\"r2\""));
	end();
}

TEST(spec10_16_only_an_empty_response_acknowledges)
{
	static const char *const not_ok[] = {
		"{\"event\":\"phx_reply\",\"payload\":{\"response\":null,\"status\":\"ok\"},\"ref\":0,\"topic\":\"gateway\"}",
		"{\"event\":\"phx_reply\",\"payload\":{\"response\":{\"x\":1},\"status\":\"ok\"},\"ref\":0,\"topic\":\"gateway\"}",
		"{\"event\":\"phx_reply\",\"payload\":{\"response\":{},\"status\":\"ok\"},\"ref\":\"0\",\"topic\":\"gateway\"}",
		"{\"event\":\"phx_reply\",\"payload\":{\"response\":{},\"status\":\"ok\"},\"ref\":7,\"topic\":\"gateway\"}",
		"{\"event\":\"phx_reply\",\"payload\":{\"response\":{},\"status\":\"ok\"},\"ref\":null,\"topic\":\"gateway\"}",
		"{\"event\":\"phx_reply\",\"payload\":{\"response\":{},\"status\":\"okay\"},\"ref\":0,\"topic\":\"gateway\"}",
		"{\"event\":\"phx_reply\",\"payload\":{\"status\":\"ok\"},\"ref\":0,\"topic\":\"gateway\"}",
	};

	begin(MSG_ROLE_GATEWAY);
	accept_upgrade();
	for (size_t i = 0; i < ARRAY_LEN(not_ok); i++) {
		say(not_ok[i]);
		EXPECT_EQ(channel_state(w.c), CHANNEL_JOINING);
	}
	EXPECT_EQ(w.hiccups, 0);
	reply_ok(0, "gateway");
	EXPECT_EQ(w.joins, 1);
	end();
}

TEST(spec10_19_unanswered_join_times_out_after_5_s)
{
	begin(MSG_ROLE_GATEWAY);
	accept_upgrade();
	run_until(BOOT + SEC(5) - 1);
	EXPECT_EQ(w.hiccups, 0);
	run_until(BOOT + SEC(5));
	EXPECT_EQ(w.hiccups, 1);
	EXPECT(!w.is_connected);
	EXPECT_EQ(w.last.retry_at, BOOT + SEC(6)); /* before the first join: 1 s */
	end();
}

TEST(spec10_18_heartbeats_come_every_10_s_whatever_else_is_sent)
{
	begin(MSG_ROLE_GATEWAY);
	join();
	u32 beats = 0;
	for (u64 s = 1; s <= 60; s++) {
		char ref[20];
		snprintf(ref, sizeof(ref), "r%llu", (unsigned long long)s);
		w.n_heard = 0;
		run_until(BOOT + SEC(s));
		for (u32 i = 0; i < w.n_heard; i++) {
			const char *at = strstr(w.heard[i], "\"heartbeat\"");
			if (!at)
				continue;
			beats++;
			EXPECT_EQ(s % 10, 0);
			reply_ok(strtoull(strstr(at, "\"ref\":") + 6, NULL, 10), "phoenix");
		}
		EXPECT_EQ(send_flow_authorized(ref), 0);
	}
	EXPECT_EQ(beats, 6);
	EXPECT_EQ(w.hiccups, 0);
	end();
}

TEST(spec10_18_the_fourth_unanswered_heartbeat_ends_the_connection)
{
	begin(MSG_ROLE_GATEWAY);
	join();
	run_until(BOOT + SEC(40) - 1);
	EXPECT_EQ(w.hiccups, 0);
	EXPECT_EQ(w.n_heard, 4); /* join and three heartbeats */
	run_until(BOOT + SEC(40));
	EXPECT_EQ(w.n_heard, 5);
	EXPECT_EQ(w.hiccups, 1);
	EXPECT_EQ(w.last.err, ERR_TIMEOUT);
	end();
}

TEST(spec10_3_3_a_heartbeat_counts_only_once_written)
{
	begin(MSG_ROLE_GATEWAY);
	join();
	/* nobody takes the bytes: no heartbeat is missed, but the socket is given up after 45 s without progress */
	for (u64 t = BOOT; t < BOOT + SEC(10) + CHANNEL_STALL_TIMEOUT; t += SEC(1)) {
		channel_timeout(w.c, t);
		w.now = t;
		drain_events();
		EXPECT_EQ(w.hiccups, 0);
	}
	w.now = BOOT + SEC(10) + CHANNEL_STALL_TIMEOUT;
	channel_timeout(w.c, w.now);
	drain_events();
	EXPECT_EQ(w.hiccups, 1);
	EXPECT_STR(w.last.text, "nothing can be written to the portal");
	end();
}

TEST(spec10_20_refused_join_is_fatal_whatever_the_reason)
{
	static const char *const reasons[] = { "unmatched topic", "join crashed", "invalid_version", "disabled", "no idea" };

	for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
		char frame[300];
		begin(MSG_ROLE_GATEWAY);
		accept_upgrade();
		snprintf(frame, sizeof(frame), "{\"event\":\"phx_reply\",\"payload\":{\"response\":{\"reason\":\"%s\"},\"status\":\"error\"},\"ref\":0,\"topic\":\"gateway\"}", reasons[i]);
		say(frame);
		EXPECT_EQ(w.fatals, 1);
		EXPECT_EQ(w.last.fatal, CHANNEL_LOGIN_FAILED);
		EXPECT(!w.is_connected);
		run_until(BOOT + SEC(100));
		EXPECT_EQ(w.connects, 1);
		end();
	}
}

TEST(spec10_20_unmatched_topic_on_data_joins_again_and_holds_data)
{
	begin(MSG_ROLE_GATEWAY);
	join();
	EXPECT_EQ(send_flow_authorized("r1"), 0);
	say("{\"event\":\"phx_reply\",\"payload\":{\"response\":{\"reason\":\"unmatched topic\"},\"status\":\"error\"},\"ref\":1,\"topic\":\"gateway\"}");
	EXPECT_STR(last_heard(), "{\"topic\":\"gateway\",\"event\":\"phx_join\",\"payload\":null,\"ref\":2}");
	EXPECT_EQ(send_flow_authorized("r2"), 0);
	EXPECT_EQ(w.n_heard, 3);
	reply_ok(2, "gateway");
	EXPECT(strstr(last_heard(), "\"r2\"") != NULL);
	say("{\"event\":\"phx_reply\",\"payload\":{\"response\":{\"reason\":\"unknown_message\"},\"status\":\"error\"},\"ref\":3,\"topic\":\"gateway\"}");
	EXPECT_EQ(channel_state(w.c), CHANNEL_UP);
	EXPECT(w.hiccups == 0 && w.connects == 1);
	end();
}

TEST(spec10_21_disconnect_is_fatal_only_for_token_expired)
{
	begin(MSG_ROLE_GATEWAY);
	join();
	say("{\"event\":\"disconnect\",\"payload\":{\"reason\":\"certificate_revoked\"},\"ref\":null,\"topic\":\"gateway\"}");
	EXPECT_EQ(channel_state(w.c), CHANNEL_UP);
	say("{\"event\":\"disconnect\",\"payload\":{\"reason\":\"token_expired\"},\"ref\":null,\"topic\":\"gateway\"}");
	EXPECT_EQ(w.fatals, 1);
	EXPECT_EQ(w.last.fatal, CHANNEL_INVALID_TOKEN);
	EXPECT_EQ(channel_state(w.c), CHANNEL_CLOSED);
	EXPECT_EQ(channel_next_timeout(w.c), TIME_NEVER);
	end();
}

TEST(spec10_22_phx_close_phx_error_and_close_frames_reconnect)
{
	static const char *const frames[] = { "{\"event\":\"phx_close\",\"payload\":{},\"ref\":null,\"topic\":\"gateway\"}",
		"{\"event\":\"phx_error\",\"payload\":{\"reason\":\"channel_crash\"},\"ref\":0,\"topic\":\"gateway\"}", NULL };

	for (size_t i = 0; i < ARRAY_LEN(frames); i++) {
		begin(MSG_ROLE_GATEWAY);
		join();
		if (frames[i]) {
			say(frames[i]);
		} else {
			EXPECT_EQ(ws_close(w.ws, 1012, NULL), 0);
			flush_portal();
			EXPECT(w.got_close); /* answered */
			EXPECT_EQ(w.close_code, 1012);
		}
		EXPECT_EQ(w.hiccups, 1);
		EXPECT(!w.is_connected);
		EXPECT(w.last.retry_at >= BOOT + MSEC(250) && w.last.retry_at <= BOOT + MSEC(750));
		run_until(BOOT + SEC(1));
		EXPECT_EQ(w.connects, 2);
		end();
	}
}

TEST(spec10_23_spec40_16_what_is_not_understood_is_skipped)
{
	begin(MSG_ROLE_GATEWAY);
	join();
	say("{\"event\":\"new_thing\",\"payload\":{\"x\":1},\"ref\":null,\"topic\":\"gateway\"}");
	say("{\"event\":\"reject_access\",\"payload\":{\"client_id\":5},\"ref\":null,\"topic\":\"gateway\"}");
	say("{\"event\":\"reject_access\",\"ref\":null,\"topic\":\"gateway\"}");
	say("{\"event\":5,\"payload\":{},\"ref\":null,\"topic\":\"gateway\"}");
	say("[1]");
	say("{\"a\":}");
	EXPECT_EQ(ws_send_binary(w.ws, SPAN_STR("\x01\x02")), 0);
	EXPECT_EQ(ws_send_ping(w.ws, SPAN_STR("hi")), 0);
	flush_portal();
	EXPECT(w.hiccups == 0 && w.messages == 0 && channel_state(w.c) == CHANNEL_UP);
	EXPECT_EQ(channel_stats(w.c)->rx_ignored, 1);
	EXPECT_EQ(channel_stats(w.c)->rx_invalid, 6);
	say("{\"event\":\"reject_access\",\"payload\":{\"client_id\":\"00000000-0000-4000-8000-000000000001\",\"resource_id\":\"00000000-0000-4000-8000-000000000002\"},"
	    "\"ref\":null,\"topic\":\"gateway\"}");
	EXPECT_EQ(w.last_message, MSG_REJECT_ACCESS);
	say("{\"event\":\"reject_access\",\"payload\":{\"client_id\":\"0000");
	EXPECT_EQ(w.hiccups, 1); /* cut short */
	end();
}

TEST(spec10_24_queue_dies_with_its_connection_and_holds_nothing_twice)
{
	begin(MSG_ROLE_GATEWAY);
	accept_upgrade();
	EXPECT_EQ(send_flow_authorized("a"), 0);
	EXPECT_EQ(send_flow_authorized("b"), 0);
	EXPECT_EQ(send_flow_authorized("a"), ERR_EXISTS);
	channel_failed(w.c, w.now, ERR_CLOSED, "gone");
	run_until(BOOT + SEC(1));
	EXPECT_EQ(w.connects, 2);
	join();
	EXPECT_EQ(w.n_heard, 1);
	EXPECT_EQ(send_flow_authorized("a"), 0);
	EXPECT_EQ(w.n_heard, 2);
	EXPECT_EQ(send_flow_authorized("a"), 0); /* the first is written: this one is new */
	EXPECT_EQ(w.n_heard, 3);
	end();
}

TEST(channel_queue_has_a_limit)
{
	begin(MSG_ROLE_GATEWAY);
	accept_upgrade();
	for (u32 i = 0; i <= CHANNEL_QUEUE_MAX; i++) {
		char ref[20];
		struct portal_message m = { .type = MSG_FLOW_AUTHORIZED, .flow_authorized = { ref } };
		snprintf(ref, sizeof(ref), "%u", i);
		EXPECT_EQ(channel_send(w.c, w.now, &m), i < CHANNEL_QUEUE_MAX ? 0 : ERR_LIMIT);
	}
	EXPECT_EQ(channel_stats(w.c)->queue_full, 1);
	struct portal_message wrong = { .type = MSG_CREATE_FLOW };
	EXPECT_EQ(channel_send(w.c, w.now, &wrong), ERR_INVAL); /* a client's */
	end();
}

/* --- refusals and retries --------------------------------------------------------------------------------------------------------------------- */

static void refuse(const char *response)
{
	EXPECT_EQ(channel_state(w.c), CHANNEL_CONNECTING);
	ws_free(w.ws);
	w.ws = NULL;
	channel_opened(w.c, w.now);
	listen();
	portal_bytes(response);
}

TEST(spec10_27_only_401_is_fatal)
{
	static const u16 codes[] = { 200, 301, 400, 402, 403, 404, 408, 409, 429, 500, 502, 503, 401 };

	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		char response[100];
		begin(MSG_ROLE_GATEWAY);
		snprintf(response, sizeof(response), "HTTP/1.1 %u X\r\nContent-Length: 0\r\n\r\n", codes[i]);
		refuse(response);
		EXPECT_EQ(w.fatals, codes[i] == 401);
		EXPECT_EQ(w.hiccups, codes[i] != 401);
		end();
	}
}

TEST(channel_repeats_what_the_portal_says_about_a_refusal)
{
	begin(MSG_ROLE_GATEWAY);
	refuse("HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\nContent-Length: 53\r\n\r\n{\"title\":\"Bad Request\",\"detail\":\"name is too\\nshort\"} ");
	EXPECT_STR(w.last.text, "the portal answered 400 Bad Request: name is too short");
	end();
	begin(MSG_ROLE_GATEWAY);
	refuse("SSH-2.0-OpenSSH_9\r\n\r\n");
	EXPECT_STR(w.last.text, "the portal's answer is not HTTP");
	end();
}

TEST(spec10_8_a_wrong_upgrade_answer_is_retried)
{
	begin(MSG_ROLE_GATEWAY);
	refuse("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAA\r\n\r\n");
	EXPECT(w.hiccups == 1 && w.fatals == 0);
	end();
}

TEST(spec10_28_retry_after_replaces_the_backoff_without_consuming_it)
{
	begin(MSG_ROLE_GATEWAY);
	/* the budget before the first join is 15 s, but these retries are unlimited */
	for (int i = 0; i < 20; i++) {
		refuse("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n");
		EXPECT_EQ(w.last.retry_at, w.now + SEC(7));
		run_until(w.last.retry_at);
	}
	EXPECT_EQ(w.fatals, 0);
	/* WALL is Fri, 15 Jan 2027 08:00:00 GMT */
	refuse("HTTP/1.1 500 X\r\nRetry-After: Fri, 15 Jan 2027 08:01:30 GMT\r\n\r\n");
	EXPECT_EQ(w.last.retry_at, w.now + SEC(90));
	run_until(w.last.retry_at);
	refuse("HTTP/1.1 500 X\r\nRetry-After: Fri, 15 Jan 2021 08:01:30 GMT\r\n\r\n");
	EXPECT_EQ(w.last.retry_at, w.now + CHANNEL_RETRY_AFTER_MIN);
	run_until(w.last.retry_at);
	refuse("HTTP/1.1 500 X\r\nRetry-After: whenever\r\n\r\n");
	EXPECT_EQ(w.last.retry_at, w.now + SEC(1)); /* the ordinary way */
	run_until(w.last.retry_at);
	refuse("HTTP/1.1 500 X\r\nRetry-After: 99999999999\r\n\r\n");
	EXPECT_EQ(w.last.retry_at, w.now + CHANNEL_RETRY_AFTER_MAX);
	end();
}

/* Fails every attempt at once; returns how many there were until it gave up. */
static u32 fail_until_fatal(u64 *given_up_at, u64 latest)
{
	u32 attempts = 0;

	while (w.fatals == 0 && w.now < latest) {
		attempts++;
		channel_failed(w.c, w.now, ERR_CLOSED, "refused");
		drain_events();
		if (w.fatals == 0)
			run_until(w.last.retry_at);
	}
	*given_up_at = w.now;
	return attempts;
}

TEST(spec10_29_spec40_62_before_the_first_join_1_s_apart_for_15_s)
{
	u64 at;

	begin(MSG_ROLE_GATEWAY);
	EXPECT_EQ(fail_until_fatal(&at, BOOT + SEC(100)), 16);
	EXPECT_EQ(at, BOOT + SEC(15));
	EXPECT_EQ(w.last.fatal, CHANNEL_MAX_RETRIES);
	end();
}

TEST(spec10_11_an_attempt_has_15_s)
{
	begin(MSG_ROLE_GATEWAY);
	run_until(BOOT + SEC(15) - 1);
	EXPECT_EQ(w.hiccups, 0);
	run_until(BOOT + SEC(15));
	EXPECT_EQ(w.hiccups, 1);
	EXPECT_EQ(w.drops, 1);
	run_until(BOOT + SEC(16));
	EXPECT_EQ(w.connects, 2);
	channel_opened(w.c, w.now); /* TCP and TLS are up, the upgrade is not answered */
	run_until(BOOT + SEC(31) - 1);
	EXPECT_EQ(w.drops, 1);
	run_until(BOOT + SEC(31));
	EXPECT_EQ(w.drops, 2);
	end();
}

TEST(spec10_30_after_a_join_half_a_second_growing_to_a_minute_with_jitter)
{
	u64 interval = MSEC(500);

	begin(MSG_ROLE_GATEWAY);
	join();
	for (int i = 0; i < 40; i++) {
		channel_failed(w.c, w.now, ERR_CLOSED, "refused");
		drain_events();
		u64 delay = w.last.retry_at - w.now;
		EXPECT(delay >= interval / 2 && delay <= interval + interval / 2);
		interval = MIN(interval + interval / 2, SEC(60));
		run_until(w.last.retry_at);
	}
	EXPECT_EQ(w.fatals, 0);
	end();
}

TEST(spec10_30_spec40_62_gives_up_when_the_partition_budget_is_spent)
{
	u64 at;

	begin(MSG_ROLE_GATEWAY);
	join();
	run_until(BOOT + SEC(5));
	u64 start = w.now;
	fail_until_fatal(&at, BOOT + SEC(200000));
	EXPECT_EQ(w.last.fatal, CHANNEL_MAX_RETRIES);
	EXPECT(at <= start + SEC(86400) && at > start + SEC(86400 - 90));
	end();

	struct channel_config cfg = config(MSG_ROLE_GATEWAY);
	cfg.max_partition = TIME_NEVER;
	begin_with(&cfg);
	join();
	fail_until_fatal(&at, BOOT + SEC(400000));
	EXPECT_EQ(w.fatals, 0);
	end();
}

TEST(spec10_31_a_join_resets_the_backoff)
{
	begin(MSG_ROLE_GATEWAY);
	join();
	for (int i = 0; i < 10; i++) {
		channel_failed(w.c, w.now, ERR_CLOSED, "refused");
		drain_events();
		run_until(w.last.retry_at);
	}
	accept_upgrade();
	channel_failed(w.c, w.now, ERR_CLOSED, "not joined yet");
	drain_events();
	EXPECT(w.last.retry_at - w.now > SEC(5)); /* an upgrade alone does not */
	run_until(w.last.retry_at);
	join();
	channel_failed(w.c, w.now, ERR_CLOSED, "gone");
	drain_events();
	EXPECT(w.last.retry_at - w.now <= MSEC(750));
	end();
}

TEST(spec10_37_reconnect_closes_the_old_socket_first)
{
	static const u8 other[32] = { 1 };

	begin(MSG_ROLE_GATEWAY);
	join();
	channel_reconnect(w.c, w.now, other);
	drain_events();
	EXPECT_EQ(w.connects, 1);
	listen(); /* takes the Close frame */
	EXPECT(w.got_close && w.close_code == 1000);
	EXPECT(w.drops == 1 && w.connects == 2 && w.hiccups == 0);
	accept_upgrade();
	EXPECT(strstr(w.request, "public_key=AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA%3D") != NULL);
	end();
}

TEST(channel_reconnect_does_not_wait_for_a_socket_that_takes_nothing)
{
	begin(MSG_ROLE_GATEWAY);
	join();
	channel_reconnect(w.c, w.now, NULL);
	drain_events();
	w.now += CHANNEL_FLUSH_TIMEOUT;
	channel_timeout(w.c, w.now);
	drain_events();
	EXPECT(w.drops == 1 && w.connects == 2);
	/* and from waiting or connecting at once */
	channel_reconnect(w.c, w.now, NULL);
	drain_events();
	EXPECT(w.drops == 2 && w.connects == 3);
	channel_failed(w.c, w.now, ERR_CLOSED, "x");
	channel_reconnect(w.c, w.now, NULL);
	drain_events();
	EXPECT(w.drops == 3 && w.connects == 4);
	end();
}

TEST(channel_close_says_goodbye_once_and_stays_closed)
{
	begin(MSG_ROLE_GATEWAY);
	join();
	channel_close(w.c, w.now);
	listen();
	EXPECT(w.got_close && w.close_code == 1000);
	EXPECT(w.drops == 1 && w.connects == 1 && w.hiccups == 0 && w.fatals == 0);
	EXPECT_EQ(channel_state(w.c), CHANNEL_CLOSED);
	channel_reconnect(w.c, w.now, NULL);
	run_until(BOOT + SEC(100));
	EXPECT_EQ(w.connects, 1);
	end();
}

TEST(spec10_33_connection_ends_are_hiccups_not_errors)
{
	begin(MSG_ROLE_CLIENT);
	accept_upgrade();
	reply_ok(0, "client");
	EXPECT_EQ(w.joins, 1);
	channel_failed(w.c, w.now, ERR_CLOSED, "end of stream");
	drain_events();
	EXPECT(w.hiccups == 1 && w.fatals == 0);
	EXPECT_STR(w.last.text, "end of stream");
	channel_failed(w.c, w.now, ERR_CLOSED, "late news of the old socket"); /* ignored */
	drain_events();
	EXPECT_EQ(w.hiccups, 1);
	end();
}
