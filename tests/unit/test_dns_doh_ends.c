/* DNS over HTTPS between our client and a server in memory: all the ways in which a connection ends, time, TLS. */
#include "tests/unit/doh_server.h"

/* --- ends ----------------------------------------------------------------------------------------------------------------------------- */

TEST(goaway_reports_what_was_not_looked_at_and_finishes_the_rest)
{
	world_plain(SERVER_H2);
	nghttp2_session_del(w.h2);
	server_h2(4);
	pump();
	for (u32 i = 0; i < 6; i++)
		EXPECT_EQ(ask(i), 0);
	pump();
	EXPECT_EQ(w.n_requests, 4);
	nghttp2_submit_goaway(w.h2, 0, w.request[1].stream, NGHTTP2_NO_ERROR, NULL, 0);
	pump();
	EXPECT_EQ(doh_state(w.d), DOH_CLOSING);
	EXPECT(!doh_is_willing(w.d));
	EXPECT_EQ(ask(9), ERR_STATE);
	for (u32 i = 2; i < 6; i++) {
		EXPECT_EQ(w.answer[i].times, 1);
		EXPECT_EQ(w.answer[i].error, ERR_CLOSED);
	}
	EXPECT_EQ(doh_stats(w.d)->refused, 4);
	reply(0);
	pump();
	EXPECT(is_answered(0));
	EXPECT_EQ(doh_state(w.d), DOH_CLOSING);
	reply(1);
	pump();
	EXPECT(is_answered(1));
	EXPECT_EQ(doh_state(w.d), DOH_CLOSED);
	EXPECT_EQ(doh_error(w.d), 0);
	EXPECT_EQ(doh_next_timeout(w.d), TIME_NEVER);
	world_end();
}

TEST(goaway_before_requests_left_reports_them)
{
	world_plain(SERVER_H2);
	pump();
	nghttp2_submit_goaway(w.h2, 0, 0, NGHTTP2_ENHANCE_YOUR_CALM, NULL, 0);
	EXPECT_EQ(ask(1), 0);
	EXPECT_EQ(ask(2), 0);
	while (server_to_client()) /* before the requests are out */
		;
	pump();
	EXPECT_EQ(w.answer[1].error, ERR_CLOSED);
	EXPECT_EQ(w.answer[2].error, ERR_CLOSED);
	EXPECT_EQ(w.n_answers, 2);
	EXPECT_EQ(doh_state(w.d), DOH_CLOSED);
	world_end();
}

TEST(reset_of_a_stream_fails_its_query_only)
{
	world_plain(SERVER_H2);
	for (u32 i = 0; i < 3; i++)
		EXPECT_EQ(ask(i), 0);
	pump();
	nghttp2_submit_rst_stream(w.h2, 0, w.request[0].stream, NGHTTP2_REFUSED_STREAM);
	nghttp2_submit_rst_stream(w.h2, 0, w.request[1].stream, NGHTTP2_NO_ERROR);
	reply(2);
	pump();
	EXPECT_EQ(w.answer[0].error, ERR_CLOSED);
	EXPECT_EQ(w.answer[1].error, ERR_CLOSED);
	EXPECT(is_answered(2));
	EXPECT_EQ(doh_state(w.d), DOH_OPEN_H2);
	world_end();
}

TEST(resolver_that_dies_in_the_middle_loses_no_query_silently)
{
	for (unsigned k = 0; k < 4; k++) {
		enum server_kind kind = k & 1 ? SERVER_H1 : SERVER_H2;
		if (k & 2)
			world_plain(kind);
		else
			world_both(kind);
		for (u32 i = 0; i < 120; i++)
			EXPECT_EQ(ask(i), 0);
		pump();
		reply(0);
		pump();
		u8 half[] = "HTTP/1.1 200 OK\r\ncontent-type: application/dns-message\r\ncontent-length: 100\r\n\r\nhalf";
		if (kind == SERVER_H1)
			server_says(SPAN(half, sizeof(half) - 1));
		pump();
		doh_input_eof(w.d, w.now);
		pump();
		EXPECT(is_answered(0));
		for (u32 i = 1; i < 120; i++) {
			EXPECT_EQ(w.answer[i].times, 1);
			EXPECT_EQ(w.answer[i].error, ERR_CLOSED);
		}
		EXPECT_EQ(doh_state(w.d), DOH_FAILED);
		EXPECT_EQ(doh_error(w.d), ERR_CLOSED);
		EXPECT(strstr(doh_reason(w.d), "before it answered") != NULL);
		EXPECT_EQ(doh_stats(w.d)->lost, 119);
		EXPECT_EQ(ask(200), ERR_STATE);
		doh_input(w.d, w.now, SPAN_STR("late"));
		doh_cancel(w.d, w.now, 5);
		doh_close(w.d, w.now);
		EXPECT_EQ(doh_state(w.d), DOH_FAILED);
		world_end();
	}
}

TEST(idle_connection_that_the_resolver_ends_is_no_failure)
{
	for (unsigned k = 0; k < 4; k++) {
		world_both(k & 1 ? SERVER_H1 : SERVER_H2);
		EXPECT_EQ(ask(1), 0);
		pump();
		reply(0);
		pump();
		if (k & 2) {
			tls_close(w.tls);
			pump();
		} else {
			doh_input_eof(w.d, w.now);
		}
		EXPECT_EQ(doh_state(w.d), DOH_CLOSED);
		EXPECT_EQ(doh_error(w.d), 0);
		EXPECT(!doh_is_willing(w.d));
		world_end();
	}
}

TEST(doh_close_answers_what_is_pending_then_says_goodbye)
{
	for (enum server_kind kind = SERVER_H2; kind <= SERVER_H1; kind++) {
		world_both(kind);
		EXPECT_EQ(ask(1), 0);
		EXPECT_EQ(ask(2), 0);
		doh_close(w.d, w.now);
		EXPECT_EQ(ask(3), ERR_STATE);
		pump();
		EXPECT_EQ(doh_state(w.d), DOH_CLOSING);
		reply(0);
		pump();
		reply(1);
		pump();
		EXPECT(is_answered(1) && is_answered(2));
		EXPECT_EQ(doh_state(w.d), DOH_CLOSED);
		EXPECT(tls_is_closed(w.tls));
		EXPECT_EQ(tls_error(w.tls), 0);
		EXPECT(kind == SERVER_H1 || w.goaway_code == NGHTTP2_NO_ERROR);
		world_end();
	}
	world_both(SERVER_H2);
	doh_close(w.d, w.now);
	EXPECT_EQ(doh_state(w.d), DOH_CLOSED);
	world_end();
}

TEST(http_1_1_connection_close_refuses_those_in_line)
{
	world_plain(SERVER_H1);
	for (u32 i = 0; i < 3; i++)
		EXPECT_EQ(ask(i), 0);
	pump();
	server_says(SPAN_STR("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/dns-message\r\nContent-Length: 12\r\n\r\n0123456789ab"));
	pump();
	EXPECT(is_answered(0));
	EXPECT_EQ(w.answer[1].error, ERR_CLOSED);
	EXPECT_EQ(w.answer[2].error, ERR_CLOSED);
	EXPECT_EQ(doh_state(w.d), DOH_CLOSED);
	world_end();
}

/* The network takes nothing: what piles up is bounded. */
TEST(blocked_network_makes_queries_wait)
{
	world_plain(SERVER_H2);
	for (u32 i = 0; i < 5000; i++) {
		EXPECT_EQ(ask(i), 0);
		doh_cancel(w.d, w.now, i);
	}
	EXPECT(nghttp2_session_get_outbound_queue_size(w.d->h2) <= DOH_FRAMES_MAX + 2);
	EXPECT_EQ(ask(1), 0);
	pump();
	reply(w.n_requests - 1);
	pump();
	EXPECT(is_answered(1));
	world_end();
}

TEST(flood_of_pings_ends_the_connection_when_nobody_can_answer_them)
{
	static const u8 ping[17] = { 0, 0, 8, 6 };

	world_plain(SERVER_H2);
	EXPECT_EQ(ask(1), 0);
	pump();
	for (u32 i = 0; i < 3000; i++)
		doh_input(w.d, w.now, SPAN(ping, sizeof(ping)));
	collect();
	EXPECT_EQ(doh_state(w.d), DOH_FAILED);
	EXPECT_EQ(doh_error(w.d), ERR_MALFORMED);
	EXPECT_EQ(w.answer[1].error, ERR_MALFORMED);
	world_end();
}

/* Without a length the end of the stream is the end of the body: only TLS can vouch for it. */
TEST(http_1_1_body_until_close_needs_the_goodbye_of_tls)
{
	for (unsigned is_clean = 0; is_clean < 2; is_clean++) {
		world_both(SERVER_H1);
		EXPECT_EQ(ask(1), 0);
		pump();
		server_says(SPAN_STR("HTTP/1.1 200 OK\r\nContent-Type: application/dns-message\r\n\r\n0123456789abcdef"));
		pump();
		EXPECT_EQ(w.n_answers, 0);
		if (is_clean)
			tls_close(w.tls);
		pump();
		doh_input_eof(w.d, w.now);
		collect();
		EXPECT_EQ(w.answer[1].times, 1);
		EXPECT_EQ(w.answer[1].error, is_clean ? 0 : ERR_CLOSED);
		EXPECT_EQ(w.answer[1].n, is_clean ? 16 : 0);
		EXPECT_EQ(doh_state(w.d), is_clean ? DOH_CLOSED : DOH_FAILED);
		world_end();
	}
}

TEST(bytes_that_break_http_end_the_connection)
{
	static const struct { enum server_kind kind; struct span bytes; } cases[] = {
		{ SERVER_H2, { (const u8 *)"HTTP/1.1 400 Bad Request\r\n\r\n", 28 } },
		{ SERVER_H2, { (const u8 *)"\0\0\4\1\5\0\0\0\1\xff\xff\xff\xff", 13 } },	  /* HEADERS that HPACK cannot read */
		{ SERVER_H2, { (const u8 *)"\0\0\6\5\4\0\0\0\1\0\0\0\2\x88\x84", 15 } }, /* PUSH_PROMISE, which we forbade */
		{ SERVER_H2, { (const u8 *)"\xff\0\0\0\0\0\0\0\1", 9 } },			  /* frame of 16 MB */
		{ SERVER_H2, { (const u8 *)"\0\0\4\0\0\0\0\0\0abcd", 13 } },			  /* DATA on stream 0 */
		{ SERVER_H1, { (const u8 *)"SSH-2.0-OpenSSH\r\n\r\n", 19 } },
		{ SERVER_H1, { (const u8 *)"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 58 } },
		{ SERVER_H1, { (const u8 *)"HTTP/1.1 101 Switching Protocols\r\n\r\n", 36 } },
	};

	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		world_plain(cases[i].kind);
		EXPECT_EQ(ask(1), 0);
		EXPECT_EQ(ask(2), 0);
		pump();
		server_says(cases[i].bytes);
		pump();
		EXPECT_EQ(doh_state(w.d), DOH_FAILED);
		EXPECT_EQ(doh_error(w.d), ERR_MALFORMED);
		EXPECT_EQ(w.answer[1].error, ERR_MALFORMED);
		EXPECT_EQ(w.answer[2].error, ERR_MALFORMED);
		EXPECT_EQ(w.n_answers, 2);
		EXPECT(cases[i].kind == SERVER_H1 || (w.goaway_code != ~0u && w.goaway_code != NGHTTP2_NO_ERROR));
		world_end();
	}
	world_plain(SERVER_H1);
	server_says(SPAN_STR("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
	pump();
	EXPECT_EQ(doh_error(w.d), ERR_MALFORMED);
	EXPECT(strstr(doh_reason(w.d), "without a question") != NULL);
	world_end();
}

/* --- time ----------------------------------------------------------------------------------------------------------------------------- */

static void sleep_until_due(void)
{
	w.now = doh_next_timeout(w.d);
	doh_timeout(w.d, w.now);
	pump();
}

TEST(spec30_55_ping_every_5_s_also_while_idle)
{
	world_both(SERVER_H2);
	pump();
	u64 opened = w.now;
	for (u32 i = 1; i <= 100; i++) {
		sleep_until_due();
		EXPECT_EQ(w.now, opened + i * SEC(5));
		EXPECT_EQ(doh_stats(w.d)->pings, i);
	}
	EXPECT_EQ(doh_state(w.d), DOH_OPEN_H2);
	/* traffic makes pings superfluous */
	for (u32 i = 0; i < 20; i++) {
		w.now += SEC(2);
		doh_timeout(w.d, w.now);
		EXPECT_EQ(ask(i), 0);
		pump();
		reply(i);
		pump();
		EXPECT(is_answered(i));
	}
	EXPECT_EQ(doh_stats(w.d)->pings, 100);
	world_end();
}

TEST(spec30_55_unanswered_ping_ends_the_connection_after_1_s)
{
	world_both(SERVER_H2);
	pump();
	EXPECT_EQ(ask(1), 0);
	pump();
	w.is_deaf = true;
	u64 began = w.now;
	sleep_until_due();
	EXPECT_EQ(w.now, began + SEC(5));
	EXPECT_EQ(ask(2), 0);
	EXPECT_EQ(w.n_answers, 0);
	sleep_until_due();
	EXPECT_EQ(w.now, began + SEC(6));
	EXPECT_EQ(doh_state(w.d), DOH_FAILED);
	EXPECT_EQ(doh_error(w.d), ERR_TIMEOUT);
	EXPECT_EQ(w.answer[1].error, ERR_TIMEOUT);
	EXPECT_EQ(w.answer[2].error, ERR_TIMEOUT);
	EXPECT_EQ(doh_next_timeout(w.d), TIME_NEVER);
	world_end();
}

TEST(silence_over_http_1_1_and_in_the_handshake_ends_too)
{
	world_both(SERVER_H1);
	pump();
	EXPECT_EQ(doh_next_timeout(w.d), TIME_NEVER);
	w.now += SEC(3600);
	EXPECT_EQ(ask(1), 0);
	EXPECT_EQ(ask(2), 0);
	pump();
	doh_cancel(w.d, w.now, 1);
	EXPECT_EQ(doh_next_timeout(w.d), w.now + SEC(5));
	sleep_until_due();
	EXPECT_EQ(doh_error(w.d), ERR_TIMEOUT);
	EXPECT_EQ(w.answer[1].times, 0);
	EXPECT_EQ(w.answer[2].error, ERR_TIMEOUT);
	world_end();

	world_both(SERVER_H2);
	w.is_deaf = true;
	EXPECT_EQ(ask(1), 0);
	pump();
	EXPECT_EQ(doh_next_timeout(w.d), w.now + SEC(5));
	doh_timeout(w.d, w.now + SEC(5) - 1);
	EXPECT_EQ(doh_state(w.d), DOH_CONNECTING);
	sleep_until_due();
	EXPECT_EQ(doh_error(w.d), ERR_TIMEOUT);
	EXPECT_EQ(w.answer[1].error, ERR_TIMEOUT);
	world_end();
}

/* --- TLS ------------------------------------------------------------------------------------------------------------------------------ */

static void check_tls_failure(const char *url, u64 wall, int error, const char *words)
{
	world_tls(SERVER_H2, h2_and_h1, 2, url, wall);
	EXPECT_EQ(ask(1), 0);
	pump();
	EXPECT_EQ(doh_state(w.d), DOH_FAILED);
	EXPECT_EQ(doh_error(w.d), error);
	if (!EXPECT(strstr(doh_reason(w.d), words) != NULL))
		test_fail(__FILE__, __LINE__, "reason: %s", doh_reason(w.d));
	EXPECT_EQ(w.answer[1].error, error);
	EXPECT_EQ(w.n_requests, 0);
	world_end();
}

TEST(certificate_must_be_the_resolvers)
{
	check_tls_failure("https://other.example/dns-query", WALL, ERR_DENIED, "another name");
	check_tls_failure("https://127.0.0.2/dns-query", WALL, ERR_DENIED, "another name");
	check_tls_failure("https://portal.example/dns-query", 5000000000ull, ERR_EXPIRED, "expired");
}

TEST(handshake_that_goes_nowhere_fails)
{
	world_both(SERVER_H2);
	EXPECT_EQ(ask(1), 0);
	doh_input(w.d, w.now, SPAN_STR("HTTP/1.1 400 Bad Request\r\n\r\n"));
	collect();
	EXPECT(strstr(doh_reason(w.d), "does not speak TLS") != NULL);
	EXPECT(w.answer[1].times == 1 && w.answer[1].error == doh_error(w.d));
	world_end();

	world_both(SERVER_H2);
	EXPECT_EQ(ask(1), 0);
	doh_input_eof(w.d, w.now);
	collect();
	EXPECT_EQ(w.answer[1].error, ERR_CLOSED);
	EXPECT(strstr(doh_reason(w.d), "handshake") != NULL);
	world_end();

	/* What a server that knows nothing below TLS 1.3 says. */
	world_both(SERVER_H2);
	EXPECT_EQ(ask(1), 0);
	doh_input(w.d, w.now, SPAN_STR("\x15\3\3\0\2\2\x46"));
	collect();
	EXPECT_EQ(doh_error(w.d), ERR_CLOSED);
	EXPECT(strstr(doh_reason(w.d), "does not offer TLS 1.2") != NULL);
	world_end();

	world_both(SERVER_H2);
	EXPECT_EQ(ask(1), 0);
	doh_fail(w.d, w.now, ERR_IO, "connection refused");
	collect();
	EXPECT_EQ(w.answer[1].error, ERR_IO);
	EXPECT_STR(doh_reason(w.d), "connection refused");
	world_end();
}

TEST(altered_record_ends_the_connection)
{
	world_both(SERVER_H2);
	EXPECT_EQ(ask(1), 0);
	pump();
	reply(0);
	const u8 *p;
	ssize_t n = nghttp2_session_mem_send(w.h2, &p);
	EXPECT(n > 0 && tls_write(w.tls, SPAN(p, (size_t)n)) == (size_t)n);
	u8 copy[600];
	struct span s = tls_output(w.tls);
	REQUIRE(s.n < sizeof(copy));
	memcpy(copy, s.p, s.n);
	copy[s.n - 1] ^= 1;
	doh_input(w.d, w.now, SPAN(copy, s.n));
	collect();
	EXPECT_EQ(doh_error(w.d), ERR_MALFORMED);
	EXPECT_EQ(w.answer[1].error, ERR_MALFORMED);
	EXPECT(strstr(doh_reason(w.d), "altered") != NULL);
	world_end();
}

/* Many queries leave nothing behind. */
TEST(long_life_keeps_its_size)
{
	for (enum server_kind kind = SERVER_H2; kind <= SERVER_H1; kind++) {
		world_plain(kind);
		for (u32 i = 0; i < 20000; i++) {
			w.answer[1].times = 0;
			EXPECT_EQ(ask(1), 0);
			pump();
			reply((w.n_requests - 1) % REQUESTS_MAX);
			pump();
			if (!EXPECT(is_answered(1)))
				break;
			w.n_requests = 0;
		}
		u32 held = 0;
		for (u32 i = 0; i < DOH_QUERIES_MAX; i++)
			held += w.d->slot[i].cap;
		EXPECT(held <= DOH_QUERIES_MAX * SLOT_BUF_KEPT);
		EXPECT_EQ(w.d->bodies, 0);
		EXPECT_EQ(doh_stats(w.d)->answered, 20000);
		world_end();
	}
}
