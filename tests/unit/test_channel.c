/* The peer's end of the portal connection, in virtual time, against a portal that says exactly what the test wants. */
#include "tests/unit/channel_world.h"

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
