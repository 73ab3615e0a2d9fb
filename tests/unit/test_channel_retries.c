/* The peer's end of the portal connection when it is refused, breaks or is ended: what is fatal, what is tried again and when. */
#include "tests/unit/channel_world.h"

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
