/* DNS over HTTPS between our client and a server in memory: what is asked and what counts as an answer, over both HTTP versions; TLS, time,
 * and all the ways a connection ends. */
#include "tests/unit/doh_server.h"

static int parse(const char *text, struct doh_url *u)
{
	return doh_url_parse(SPAN(text, strlen(text)), u);
}

TEST(url_of_a_resolver)
{
	struct doh_url u;

	REQUIRE(parse("https://dns.example/dns-query", &u) == 0);
	EXPECT_STR(u.host, "dns.example");
	EXPECT_EQ(u.port, 443);
	EXPECT_EQ(u.literal.family, 0);
	EXPECT_STR(u.path, "/dns-query");
	REQUIRE(parse("HTTPS://[2001:db8::1]:8443", &u) == 0);
	EXPECT_STR(u.host, "2001:db8::1");
	EXPECT_EQ(u.port, 8443);
	EXPECT_EQ(u.literal.family, 6);
	EXPECT_STR(u.path, "/");
	REQUIRE(parse("https://9.9.9.9/", &u) == 0);
	EXPECT_EQ(u.literal.family, 4);
}

TEST(url_of_a_resolver_is_https_with_host_and_without_query)
{
	static const char *const odd[] = { "http://dns.example/q", "wss://dns.example/q", "https://dns.example/q?", "https://dns.example/q?dns=x",
		"https://dns.example/q{?dns}", "https://dns.example/q#top" };
	static const char *const broken[] = { "", "dns.example", "https:///q", "https://", "https://dns.example/a b", "https://u@dns.example/q" };
	char big[64 + DOH_PATH_MAX] = "https://dns.example/";
	struct doh_url u;

	for (unsigned i = 0; i < ARRAY_LEN(odd); i++)
		EXPECT_EQ(parse(odd[i], &u), ERR_INVAL);
	for (unsigned i = 0; i < ARRAY_LEN(broken); i++)
		EXPECT_EQ(parse(broken[i], &u), ERR_MALFORMED);
	size_t n = strlen(big) - 1;
	memset(big + n + 1, 'p', DOH_PATH_MAX - 1);
	EXPECT_EQ(doh_url_parse(SPAN(big, n + DOH_PATH_MAX), &u), 0);
	EXPECT_EQ(strlen(u.path), DOH_PATH_MAX);
	big[n + DOH_PATH_MAX] = 'p';
	EXPECT_EQ(doh_url_parse(SPAN(big, n + DOH_PATH_MAX + 1), &u), ERR_LIMIT);
}

/* --- what is asked ------------------------------------------------------------------------------------------------------------------ */

static void check_request(enum server_kind kind, const char *url, const char *authority, const char *path)
{
	u8 query[64];
	size_t n = query_of(7, query);

	if (url)
		world_tls(kind, kind == SERVER_H2 ? h2_and_h1 : h2_and_h1 + 1, 1, url, WALL);
	else
		world_plain(kind);
	EXPECT_EQ(ask(7), 0);
	pump();
	EXPECT_EQ(w.n_requests, 1);
	const struct request *r = &w.request[0];
	EXPECT_STR(r->method, "GET");
	EXPECT_STR(r->authority, authority);
	EXPECT_STR(r->accept, "application/dns-message");
	EXPECT(strncmp(r->path, path, strlen(path)) == 0 && strncmp(r->path + strlen(path), "?dns=", 5) == 0);
	EXPECT(strchr(r->path, '=') == r->path + strlen(path) + 4 && !strchr(r->path + strlen(path) + 5, '='));
	EXPECT_EQ(r->dns_n, n);
	EXPECT_EQ(get_be16(r->dns), 0);
	EXPECT_MEM(r->dns + 2, query + 2, n - 2);
	reply(0);
	pump();
	EXPECT(is_answered(7));
	EXPECT_EQ(w.answer[7].n, n);
	EXPECT_EQ(get_be16(w.answer[7].head), 0);
	world_end();
}

TEST(spec30_55_query_is_a_get_with_base64url_and_id_0)
{
	for (enum server_kind kind = SERVER_H2; kind <= SERVER_H1; kind++) {
		check_request(kind, NULL, "portal.example", "/dns-query");
		check_request(kind, "https://portal.example/dns-query", "portal.example", "/dns-query");
		check_request(kind, "https://portal.example:8443", "portal.example:8443", "/");
		check_request(kind, "https://127.0.0.1/a/b", "127.0.0.1", "/a/b");
		check_request(kind, "https://[2001:db8::7]:444/q", "[2001:db8::7]:444", "/q");
	}
}

TEST(alpn_decides_and_without_it_is_http_1_1)
{
	static const struct {
		const char *const *known;
		size_t n;
		enum server_kind kind;
		enum doh_state state;
	} cases[] = {
		{ h2_and_h1, 2, SERVER_H2, DOH_OPEN_H2 },
		{ h2_and_h1 + 1, 1, SERVER_H1, DOH_OPEN_H1 },
		{ NULL, 0, SERVER_H1, DOH_OPEN_H1 },
	};

	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		world_tls(cases[i].kind, cases[i].known, cases[i].n, "https://portal.example/dns-query", WALL);
		EXPECT_EQ(doh_state(w.d), DOH_CONNECTING);
		EXPECT(doh_is_willing(w.d));
		pump();
		EXPECT_EQ(doh_state(w.d), cases[i].state);
		EXPECT_EQ(ask(1), 0);
		pump();
		reply(0);
		pump();
		EXPECT(is_answered(1));
		world_end();
	}
}

TEST(queries_asked_while_connecting_go_out_when_open)
{
	for (enum server_kind kind = SERVER_H2; kind <= SERVER_H1; kind++) {
		world_both(kind);
		for (u32 i = 0; i < 5; i++)
			EXPECT_EQ(ask(i), 0);
		for (u32 i = 0; i < 5; i++) {
			pump();
			EXPECT_EQ(w.n_requests, kind == SERVER_H2 ? 5 : i + 1);
			reply(i);
		}
		pump();
		for (u32 i = 0; i < 5; i++)
			EXPECT(is_answered(i));
		EXPECT_EQ(doh_stats(w.d)->answered, 5);
		EXPECT_EQ(doh_stats(w.d)->pending, 0);
		world_end();
	}
}

/* Bytes come as they like. */
TEST(any_cut_of_the_stream_gives_the_same_answers)
{
	static const size_t chunks[] = { 1, 2, 7, 100, 1461, 16384 };

	for (unsigned c = 0; c < ARRAY_LEN(chunks); c++)
		for (unsigned k = 0; k < 4; k++) {
			enum server_kind kind = k & 1 ? SERVER_H1 : SERVER_H2;
			if (k & 2)
				world_plain(kind);
			else
				world_both(kind);
			w.chunk = chunks[c];
			EXPECT_EQ(ask(1), 0);
			EXPECT_EQ(ask(2), 0);
			pump();
			reply_with(0, 200, REPLY_TYPE, reply_of(&w.request[0], 20000));
			pump();
			reply(1);
			pump();
			EXPECT(is_answered(1) && is_answered(2));
			EXPECT_EQ(w.answer[1].n, 20000);
			world_end();
		}
}

/* --- many at once ------------------------------------------------------------------------------------------------------------------- */

TEST(streams_are_concurrent_and_answers_come_in_any_order)
{
	world_plain(SERVER_H2);
	for (u32 i = 0; i < 60; i++)
		EXPECT_EQ(ask(i), 0);
	pump();
	EXPECT_EQ(w.n_requests, 60);
	for (u32 i = 60; i-- > 0;) {
		reply(i);
		if (i % 7 == 0)
			pump();
		EXPECT(i % 7 || is_answered(i));
	}
	for (u32 i = 0; i < 60; i++) {
		u8 query[64];
		size_t n = query_of(i, query);
		EXPECT(is_answered(i));
		EXPECT_MEM(w.answer[i].head + 12, query + 12, MIN(n, sizeof(w.answer[i].head)) - 12);
	}
	world_end();
}

TEST(no_more_streams_than_the_resolvers_settings_allow)
{
	world_plain(SERVER_H2);
	nghttp2_session_del(w.h2);
	server_h2(3);
	pump(); /* its SETTINGS arrive */
	for (u32 i = 0; i < 20; i++)
		EXPECT_EQ(ask(i), 0);
	pump();
	EXPECT_EQ(w.n_requests, 3);
	for (u32 i = 0; i < 20; i++) {
		reply(i);
		pump();
	}
	EXPECT_EQ(w.most_open, 3);
	for (u32 i = 0; i < 20; i++)
		EXPECT(is_answered(i));
	world_end();
}

TEST(queries_of_one_connection_are_bounded)
{
	u8 big[DOH_QUERY_MAX + 1] = { 0 };

	for (enum server_kind kind = SERVER_H2; kind <= SERVER_H1; kind++) {
		world_plain(kind);
		EXPECT_EQ(doh_ask(w.d, w.now, 1, SPAN(big, 11)), ERR_MALFORMED);
		EXPECT_EQ(doh_ask(w.d, w.now, 1, SPAN(big, DOH_QUERY_MAX + 1)), ERR_LIMIT);
		EXPECT_EQ(doh_ask(w.d, w.now, 0, SPAN(big, DOH_QUERY_MAX)), 0);
		for (u32 i = 1; i < DOH_QUERIES_MAX; i++)
			EXPECT_EQ(ask(i), 0);
		EXPECT(!doh_is_willing(w.d));
		EXPECT_EQ(ask(999), ERR_LIMIT);
		pump();
		EXPECT_EQ(w.n_requests, kind == SERVER_H2 ? DOH_STREAMS_MAX : 1);
		EXPECT_EQ(w.request[0].dns_n, DOH_QUERY_MAX);
		for (u32 i = 0; i < DOH_QUERIES_MAX; i++) {
			reply(i);
			pump();
		}
		for (u32 i = 0; i < DOH_QUERIES_MAX; i++)
			EXPECT(is_answered(i));
		EXPECT(w.most_open <= DOH_STREAMS_MAX);
		EXPECT_EQ(ask(999), 0);
		world_end();
	}
}

/* --- what counts as an answer --------------------------------------------------------------------------------------------------------- */

static void check_reply(enum server_kind kind, u16 status, const char *type, size_t n, int error)
{
	world_plain(kind);
	EXPECT_EQ(ask(1), 0);
	EXPECT_EQ(ask(2), 0);
	pump();
	reply_with(0, status, type, reply_of(&w.request[0], n));
	pump();
	EXPECT_EQ(w.answer[1].times, 1);
	EXPECT_EQ(w.answer[1].error, error);
	EXPECT_EQ(w.answer[1].status, status);
	EXPECT_EQ(w.answer[1].n, error ? 0 : n);
	/* and the connection goes on */
	pump();
	reply(1);
	pump();
	EXPECT(is_answered(2));
	EXPECT_EQ(doh_stats(w.d)->pending, 0);
	world_end();
}

TEST(spec30_55_only_status_200_with_exactly_that_content_type_is_an_answer)
{
	for (enum server_kind kind = SERVER_H2; kind <= SERVER_H1; kind++) {
		check_reply(kind, 200, REPLY_TYPE, 40, 0);
		check_reply(kind, 200, "Application/DNS-Message", 40, 0);
		check_reply(kind, 404, REPLY_TYPE, 40, ERR_UNSUPPORTED);
		check_reply(kind, 404, "text/html", 5000, ERR_UNSUPPORTED);
		check_reply(kind, 302, NULL, 100, ERR_UNSUPPORTED);
		check_reply(kind, 500, REPLY_TYPE, 100, ERR_UNSUPPORTED);
		check_reply(kind, 201, REPLY_TYPE, 100, ERR_UNSUPPORTED);
		check_reply(kind, 200, "application/dns-json", 40, ERR_MALFORMED);
		check_reply(kind, 200, "application/dns-message; charset=x", 40, ERR_MALFORMED);
		check_reply(kind, 200, "application/dns-messages", 40, ERR_MALFORMED);
		check_reply(kind, 200, NULL, 40, ERR_MALFORMED);
		check_reply(kind, 200, REPLY_TYPE, 11, ERR_MALFORMED);
		check_reply(kind, 200, REPLY_TYPE, 12, 0);
		check_reply(kind, 200, REPLY_TYPE, 65535, 0);
	}
	check_reply(SERVER_H2, 200, REPLY_TYPE, 65536, ERR_LIMIT);
}

TEST(empty_and_overlong_answers_over_http_1_1)
{
	world_plain(SERVER_H1);
	EXPECT_EQ(ask(1), 0);
	EXPECT_EQ(ask(2), 0);
	pump();
	reply_with(0, 200, REPLY_TYPE, SPAN_NONE);
	pump();
	EXPECT_EQ(w.answer[1].error, ERR_MALFORMED);
	pump();
	reply_with(1, 200, REPLY_TYPE, reply_of(&w.request[1], 65536));
	pump();
	EXPECT_EQ(w.answer[2].error, ERR_LIMIT);
	EXPECT_EQ(doh_error(w.d), ERR_LIMIT);
	world_end();
}

TEST(two_content_types_are_none)
{
	world_plain(SERVER_H1);
	EXPECT_EQ(ask(1), 0);
	pump();
	server_says(SPAN_STR("HTTP/1.1 200 OK\r\ncontent-type: application/dns-message\r\ncontent-type: application/dns-message\r\n"
			     "content-length: 12\r\n\r\n............"));
	pump();
	EXPECT_EQ(w.answer[1].error, ERR_MALFORMED);
	world_end();
}

TEST(answers_on_their_way_are_bounded_together)
{
	u32 good = 0, limited = 0;

	world_plain(SERVER_H2);
	for (u32 i = 0; i < 40; i++)
		EXPECT_EQ(ask(i), 0);
	move_bytes();
	for (u32 i = 0; i < 40; i++)
		reply_with(i, 200, REPLY_TYPE, reply_of(&w.request[i], 60000));
	move_bytes(); /* nobody polls meanwhile */
	collect();
	for (u32 i = 0; i < 40; i++) {
		good += is_answered(i);
		limited += w.answer[i].error == ERR_LIMIT;
	}
	EXPECT_EQ(good + limited, 40);
	EXPECT(good >= 10 && good <= DOH_BODIES_MAX / 60000);
	EXPECT_EQ(w.d->bodies, 0);
	EXPECT_EQ(ask(50), 0);
	pump();
	reply(40);
	pump();
	EXPECT(is_answered(50));
	world_end();
}

TEST(head_that_is_too_large_ends_its_query_only)
{
	static char value[4000];
	nghttp2_nv fields[8] = { s_nv(":status", "200"), s_nv("content-type", REPLY_TYPE) };

	memset(value, 'v', sizeof(value) - 1);
	for (unsigned i = 2; i < 8; i++)
		fields[i] = s_nv("x-filler", value);
	world_plain(SERVER_H2);
	EXPECT_EQ(ask(1), 0);
	EXPECT_EQ(ask(2), 0);
	pump();
	EXPECT_EQ(nghttp2_submit_response(w.h2, w.request[0].stream, fields, 8, NULL), 0);
	reply(1);
	pump();
	EXPECT_EQ(w.answer[1].error, ERR_LIMIT);
	EXPECT(is_answered(2));
	EXPECT_EQ(doh_stats(w.d)->too_long, 1);
	world_end();
}

TEST(interim_answers_and_trailers_are_passed_over)
{
	const nghttp2_nv hints[] = { s_nv(":status", "103"), s_nv("content-type", "text/html") }, last[] = { s_nv("content-type", "text/html") };
	const nghttp2_nv final[] = { s_nv(":status", "200"), s_nv("content-type", REPLY_TYPE) };

	world_plain(SERVER_H2);
	EXPECT_EQ(ask(1), 0);
	pump();
	struct request *r = &w.request[0];
	r->body = reply_of(r, 0);
	EXPECT_EQ(nghttp2_submit_headers(w.h2, 0, r->stream, NULL, hints, 2, NULL), 0);
	pump();
	EXPECT_EQ(w.n_answers, 0);
	EXPECT_EQ(nghttp2_submit_headers(w.h2, 0, r->stream, NULL, final, 2, NULL), 0);
	pump();
	const u8 head[9] = { 0, 0, (u8)r->body.n, 0, 0, 0, 0, 0, (u8)r->stream }; /* DATA that does not end the stream */
	server_says(SPAN(head, 9));
	server_says(r->body);
	EXPECT_EQ(nghttp2_submit_headers(w.h2, NGHTTP2_FLAG_END_STREAM, r->stream, NULL, last, 1, NULL), 0);
	pump();
	EXPECT(is_answered(1));
	world_end();

	world_plain(SERVER_H1);
	EXPECT_EQ(ask(1), 0);
	pump();
	server_says(SPAN_STR("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\ncontent-type: text/html\r\n\r\n"
			     "HTTP/1.1 200 OK\r\nContent-Type: application/dns-message\r\nTransfer-Encoding: chunked\r\n\r\n"
			     "5\r\n01234\r\n9;x=y\r\n567890123\r\n0\r\ncontent-type: text/html\r\n\r\n"));
	pump();
	EXPECT(is_answered(1));
	EXPECT_EQ(w.answer[1].n, 14);
	EXPECT_MEM(w.answer[1].head, "01234567890123", 14);
	world_end();
}

/* --- taking back ---------------------------------------------------------------------------------------------------------------------- */

TEST(cancelled_queries_are_never_answered_and_the_others_are)
{
	for (enum server_kind kind = SERVER_H2; kind <= SERVER_H1; kind++) {
		world_plain(kind);
		for (u32 i = 0; i < 5; i++)
			EXPECT_EQ(ask(i), 0);
		doh_cancel(w.d, w.now, 4); /* not out yet */
		doh_cancel(w.d, w.now, 77);
		move_bytes();
		doh_cancel(w.d, w.now, 0); /* on its way */
		reply(0);
		move_bytes();
		for (u32 i = 1; i < 4; i++) {
			reply(i);
			move_bytes();
		}
		doh_cancel(w.d, w.now, 2); /* answered, not polled */
		collect();
		EXPECT(w.answer[0].times == 0 && w.answer[2].times == 0 && w.answer[4].times == 0);
		EXPECT(is_answered(1) && is_answered(3));
		EXPECT_EQ(w.n_answers, 2);
		EXPECT_EQ(doh_stats(w.d)->cancelled, 3);
		EXPECT_EQ(doh_stats(w.d)->pending, 0);
		EXPECT_EQ(w.d->bodies, 0);
		EXPECT_EQ(ask(6), 0);
		pump();
		EXPECT(kind == SERVER_H1 || w.now_open == 1); /* RST_STREAM arrived for the others */
		reply(w.n_requests - 1);
		pump();
		EXPECT(is_answered(6));
		world_end();
	}
}

TEST(cancel_of_a_request_that_http_2_still_holds)
{
	world_plain(SERVER_H2);
	EXPECT_EQ(ask(1), 0);
	EXPECT_EQ(ask(2), 0);
	doh_cancel(w.d, w.now, 1);
	pump();
	reply(w.n_requests - 1);
	pump();
	EXPECT(is_answered(2));
	EXPECT_EQ(w.answer[1].times, 0);
	EXPECT_EQ(doh_state(w.d), DOH_OPEN_H2);
	world_end();
}
