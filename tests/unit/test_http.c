/* HTTP/1.1: whole messages byte by byte, what must be refused, dates. */
#include "core/http/http.h"
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char body_text[4096];
static size_t body_len, consumed;

/* Feeds `text` in pieces of `step` bytes; the last event or error. */
static int feed(struct http_parser *p, struct span text, size_t step)
{
	int rc = HTTP_MORE;

	body_len = consumed = 0;
	while (consumed < text.n || rc == HTTP_HEAD || rc == HTTP_BODY) {
		size_t used;
		struct span body;
		rc = http_parser_input(p, SPAN(text.p + consumed, MIN(step, text.n - consumed)), &used, &body);
		consumed += used;
		if (body.n > 0 && body_len + body.n < sizeof(body_text)) {
			memcpy(body_text + body_len, body.p, body.n);
			body_len += body.n;
		}
		if (rc < 0 || rc == HTTP_DONE)
			break;
	}
	body_text[body_len] = 0;
	return rc;
}

static int feed_str(struct http_parser *p, const char *text)
{
	return feed(p, SPAN(text, strlen(text)), 4096);
}

static int request_status(const char *text)
{
	struct http_parser *p = http_parser_new(HTTP_REQUEST, 100);
	int rc = feed_str(p, text);
	int status = rc < 0 ? http_parser_status(p) : rc == HTTP_DONE ? 200 : 0;

	http_parser_free(p);
	return status;
}

TEST(http_request_is_read_in_pieces_of_any_size)
{
	static const char text[] = "POST /a?b=c HTTP/1.1\r\nHost: h\r\nX-Empty:\r\nX-Blank: \t a b \t\r\nContent-Length: 5\r\n\r\nhellonext";

	for (size_t step = 1; step < sizeof(text); step++) {
		struct http_parser *p = http_parser_new(HTTP_REQUEST, 0);
		EXPECT_EQ(feed(p, SPAN(text, sizeof(text) - 1), step), HTTP_DONE);
		const struct http_head *h = http_parser_head(p);
		EXPECT(span_eq_nocase(h->method, "POST") && span_eq_nocase(h->target, "/a?b=c") && h->minor == 1 && h->keep_alive);
		EXPECT(span_eq_nocase(http_field(h, "x-blank"), "a b"));
		EXPECT(http_field(h, "X-EMPTY").n == 0 && http_field(h, "x-empty").p != NULL);
		EXPECT(http_field(h, "none").p == NULL);
		EXPECT_STR(body_text, "hello");
		EXPECT_EQ(consumed, sizeof(text) - 1 - 4);
		http_parser_free(p);
	}
}

TEST(http_chunked_body_is_joined_and_trailers_skipped)
{
	static const char text[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n6;x=\"y\"\r\n world\r\n000\r\nX-T: v\r\n\r\nZ";

	for (size_t step = 1; step < sizeof(text); step++) {
		struct http_parser *p = http_parser_new(HTTP_RESPONSE, 0);
		EXPECT_EQ(feed(p, SPAN(text, sizeof(text) - 1), step), HTTP_DONE);
		EXPECT_STR(body_text, "hello world");
		EXPECT_EQ(consumed, sizeof(text) - 2);
		http_parser_free(p);
	}
}

TEST(http_response_without_length_lasts_until_close)
{
	struct http_parser *p = http_parser_new(HTTP_RESPONSE, 0);

	EXPECT_EQ(feed_str(p, "HTTP/1.0 503 Service Unavailable\r\nRetry-After: 1\r\n\r\nbusy"), HTTP_MORE);
	EXPECT_STR(body_text, "busy");
	EXPECT_EQ(http_parser_head(p)->status, 503);
	EXPECT_EQ(http_parser_eof(p), HTTP_DONE);
	http_parser_reset(p);
	EXPECT_EQ(feed_str(p, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell"), HTTP_MORE);
	EXPECT_EQ(http_parser_eof(p), ERR_TRUNCATED);
	http_parser_reset(p);
	EXPECT_EQ(feed_str(p, "HTTP/1.1 101\r\nUpgrade: websocket\r\n\r\n\x81"), HTTP_DONE);
	EXPECT_EQ(http_parser_head(p)->reason.n, 0);
	http_parser_reset(p);
	http_parser_expect_no_body(p);
	EXPECT_EQ(feed_str(p, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), HTTP_DONE);
	http_parser_reset(p);
	EXPECT_EQ(feed_str(p, "HTTP/1.1 204 No Content\r\n\r\n"), HTTP_DONE);
	http_parser_free(p);
}

TEST(http_what_could_smuggle_a_request_is_refused)
{
#define R "POST / HTTP/1.1\r\nHost: h\r\n"
	static const struct { const char *text; int status; } t[] = {
		{ R "\r\n", 200 },
		{ "\r\n" R "\r\n", 200 },
		{ "\r\n\r\n\r\n" R "\r\n", 400 },
		{ R "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400 },
		{ R "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400 },
		{ R "Content-Length: 5, 5\r\n\r\nhello", 400 },
		{ R "Content-Length: +5\r\n\r\nhello", 400 },
		{ R "Content-Length: -1\r\n\r\n", 400 },
		{ R "Content-Length: 0x5\r\n\r\nhello", 400 },
		{ R "Content-Length:\r\n\r\n", 400 },
		{ R "Content-Length: 99999999999999999999\r\n\r\n", 400 },
		{ R "Content-Length: 101\r\n\r\n", 413 },
		{ R "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400 },
		{ R "Transfer-Encoding: gzip, chunked\r\n\r\n", 501 },
		{ R "Transfer-Encoding: identity\r\n\r\n", 501 },
		{ R "Transfer-Encoding: \vchunked\r\n\r\n", 400 },
		{ "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400 },
		{ R "Transfer-Encoding: chunked\r\n\r\n 5\r\nhello\r\n0\r\n\r\n", 400 },
		{ R "Transfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n", 400 },
		{ R "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n", 400 },
		{ R "Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n", 400 },
		{ R "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloX\n0\r\n\r\n", 400 },
		{ R "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", 413 },
		{ R "Transfer-Encoding: chunked\r\n\r\n65\r\n", 413 },
		{ R "Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\n\r\n", 400 },
		{ R "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200 },
		{ R "X : y\r\n\r\n", 400 },
		{ R " X: y\r\n\r\n", 400 },
		{ R "X: y\r\n folded\r\n\r\n", 400 },
		{ R "X: y\rz\r\n\r\n", 400 },
		{ R "X: y\nZ: 1\r\n\r\n", 400 },
		{ R "X\r\n\r\n", 400 },
		{ R ": y\r\n\r\n", 400 },
		{ R "X: \x01\r\n\r\n", 400 },
		{ R "Host: g\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\n\r\n", 400 },
		{ "GET / HTTP/1.0\r\n\r\n", 200 },
		{ "GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400 },
		{ "GET / HTTP/1.1 \r\nHost: h\r\n\r\n", 400 },
		{ "GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505 },
		{ "GET / HTTP/1.2\r\nHost: h\r\n\r\n", 505 },
		{ "GET / http/1.1\r\nHost: h\r\n\r\n", 400 },
		{ "GET /\r\nHost: h\r\n\r\n", 400 },
		{ "GET /\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n", 400 },
		{ "G@T / HTTP/1.1\r\nHost: h\r\n\r\n", 400 },
		{ "\x16\x03\x01", 0 },
		{ "\x16\x03\x01\r\n\r\n", 400 },
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		if (request_status(t[i].text) != t[i].status)
			test_fail(__FILE__, __LINE__, "%d instead of %d: %s", request_status(t[i].text), t[i].status, t[i].text);
	struct http_parser *p = http_parser_new(HTTP_REQUEST, 0);
	EXPECT_EQ(feed(p, SPAN(R "X: a\0b\r\n\r\n", sizeof(R) - 1 + 10), 999), ERR_MALFORMED);
	http_parser_free(p);
}

TEST(http_limits_of_the_head)
{
	static char text[HTTP_HEAD_MAX + 100];
	size_t n = (size_t)sprintf(text, R);

	for (u32 i = 0; i < HTTP_FIELDS_MAX - 1; i++)
		n += (size_t)sprintf(text + n, "A: b\r\n");
	strcpy(text + n, "\r\n");
	EXPECT_EQ(request_status(text), 200);
	strcpy(text + n, "A: b\r\n\r\n");
	EXPECT_EQ(request_status(text), 431);
	memset(text, 'a', sizeof(text) - 1);
	EXPECT_EQ(request_status(text), 414);
	memcpy(text, R "X:", sizeof(R) + 1);
	EXPECT_EQ(request_status(text), 431);
}

TEST(http_lists_and_names_ignore_case)
{
	EXPECT(http_list_has(SPAN_STR("keep-alive , Upgrade"), "upgrade"));
	EXPECT(!http_list_has(SPAN_STR("keep-alive, Upgrades"), "upgrade"));
	EXPECT(!http_list_has(SPAN_NONE, "upgrade"));
	EXPECT(!http_list_has(SPAN_STR(""), "upgrade"));
}

TEST(http_writer_refuses_line_breaks)
{
	char buf[200];
	struct wr w = wr_init(buf, sizeof(buf));

	http_put_request(&w, "GET", SPAN_STR("/x?y"));
	http_put_field(&w, "Host", SPAN_STR("h"));
	http_put_field_u64(&w, "Content-Length", 18446744073709551615ull);
	http_put_end(&w);
	wr_u8(&w, 0);
	REQUIRE(wr_ok(&w));
	EXPECT_STR(buf, "GET /x?y HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551615\r\n\r\n");
	http_put_field(&w, "X", SPAN_STR("a\r\nSet-Cookie: b"));
	EXPECT(!wr_ok(&w));
	w = wr_init(buf, sizeof(buf));
	http_put_request(&w, "GET", SPAN_STR("/a b"));
	EXPECT(!wr_ok(&w));
	w = wr_init(buf, sizeof(buf));
	http_put_status(&w, 431);
	wr_u8(&w, 0);
	EXPECT_STR(buf, "HTTP/1.1 431 Request Header Fields Too Large\r\n");
}

TEST(http_dates_of_all_forms)
{
	static const char *const same[] = { "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
		"Sun, 6 Nov 1994 09:49:37 +0100", "6 Nov 1994 03:19:37 -0530", "Sun, 06 Nov 94 08:49:37 UT" };
	u64 t;

	for (size_t i = 0; i < ARRAY_LEN(same); i++) {
		if (!EXPECT_EQ(http_date_parse(SPAN(same[i], strlen(same[i])), &t), 0))
			test_fail(__FILE__, __LINE__, "%s", same[i]);
		EXPECT_EQ(t, 784111777);
	}
	static const char *const bad[] = { "", "x", "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 24:49:37 GMT",
		"Sun, 06 Nov 1969 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMTx", "Sun, 32 Nov 1994 08:49:37 GMT", "Sun Nov" };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (http_date_parse(SPAN(bad[i], strlen(bad[i])), &t) == 0)
			test_fail(__FILE__, __LINE__, "accepted: %s", bad[i]);
	char buf[HTTP_DATE_STRLEN];
	EXPECT_STR(http_date_format(784111777, buf), same[0]);
	for (u64 secs = 0; secs < 5000000000ull; secs += 12345678) {
		http_date_format(secs, buf);
		EXPECT_EQ(http_date_parse(SPAN(buf, strlen(buf)), &t), 0);
		EXPECT_EQ(t, secs);
	}
	EXPECT_STR(http_date_format(951782400, buf), "Tue, 29 Feb 2000 00:00:00 GMT");
}

TEST(spec10_28_retry_after_is_seconds_or_a_date)
{
	u64 s;

	EXPECT(http_retry_after(SPAN_STR("120"), 0, &s) == 0 && s == 120);
	EXPECT(http_retry_after(SPAN_STR("Sun, 06 Nov 1994 08:49:37 GMT"), 784111770, &s) == 0 && s == 7);
	EXPECT(http_retry_after(SPAN_STR("Sun, 06 Nov 1994 08:49:37 GMT"), 784111999, &s) == 0 && s == 0);
	EXPECT_EQ(http_retry_after(SPAN_STR("-1"), 0, &s), ERR_MALFORMED);
	EXPECT_EQ(http_retry_after(SPAN_STR("1.5"), 0, &s), ERR_MALFORMED);
	EXPECT_EQ(http_retry_after(SPAN_STR("soon"), 0, &s), ERR_MALFORMED);
	EXPECT_EQ(http_retry_after(SPAN_STR(""), 0, &s), ERR_MALFORMED);
	EXPECT_EQ(http_retry_after(SPAN_STR("99999999999999999999"), 0, &s), ERR_MALFORMED);
}
