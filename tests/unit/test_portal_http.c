/* The portal's HTTP side, request by request: which are refused, routes, bodies, health, metrics, assets, what the log tells. */
#include "applets/portal/http/assets.h"
#include "core/base/log.h"
#include "tests/unit/http_raw.h"

/* ---- health ------------------------------------------------------------------------------------------------------------------------ */

TEST(spec60_60_readyz_in_its_order_without_session_or_limit)
{
	struct http_world *w = http_new();

	w->cfg.web_rate = (struct rate_rule){ 10, 1, 10 };
	for (int i = 0; i < 30; i++)
		EXPECT_EQ(http_get(w, "/readyz")->status, 200);
	EXPECT_HAS(w->reply.body, "{\"status\":\"ready\",\"version\":\"");
	w->server.is_starting = true;
	EXPECT_EQ(http_get(w, "/readyz")->status, 503);
	EXPECT_HAS(w->reply.body, "\"starting\"");
	EXPECT_EQ(http_get(w, "/healthz")->status, 200);
	EXPECT_EQ(http_get(w, "/acme")->status, 503);
	EXPECT_STR(http_header(&w->reply, "retry-after"), "1");
	w->cfg.draining_file = "/"; /* it exists: that comes before all else */
	EXPECT_EQ(http_get(w, "/readyz")->status, 503);
	EXPECT_HAS(w->reply.body, "\"draining\"");
	w->server.is_starting = false;
	EXPECT_EQ(http_get(w, "/readyz")->status, 503);
	EXPECT_HAS(w->reply.body, "\"draining\"");
	w->cfg.draining_file = "/nonexistent/draining";
	EXPECT_EQ(http_get(w, "/readyz")->status, 200);
	http_free(w);
}

TEST(spec60_60_draining_leaves_connections_alone)
{
	struct http_world *w = http_new_with_routes();
	int fd = http_dial(w);

	EXPECT(is_served(w, fd));
	w->cfg.draining_file = "/";
	EXPECT_EQ(http_get(w, "/readyz")->status, 503);
	EXPECT(is_served(w, fd));
	close(fd);
	http_free(w);
}

TEST(metrics_are_told_at_home_only)
{
	struct http_world *w = http_new();

	EXPECT_EQ(http_get(w, "/metrics")->status, 404);
	strcpy(w->remote, "192.168.7.7");
	EXPECT_EQ(http_get(w, "/metrics")->status, 200);
	EXPECT_HAS(w->reply.body, "\nemberbox_portal_http_requests_total{area=\"plain\",status=\"4xx\"} 1\n");
	EXPECT_HAS(w->reply.body, "\nemberbox_portal_http_request_duration_seconds_bucket{area=\"plain\",le=\"+Inf\"} 1\n");
	EXPECT_HAS(w->reply.body, "\nemberbox_portal_peers{role=\"client\"} 0\n");
	EXPECT_HAS(w->reply.body, "\nemberbox_portal_flows_total{result=\"created\"} 0\n");
	w->extra = "X-Forwarded-For: 192.168.7.8\r\n";
	EXPECT_EQ(http_get(w, "/metrics")->status, 404);
	w->cfg.metrics = METRICS_ALL;
	EXPECT_EQ(http_get(w, "/metrics")->status, 200);
	w->cfg.metrics = METRICS_OFF;
	w->extra = NULL;
	EXPECT_EQ(http_get(w, "/metrics")->status, 404);
	http_free(w);
}

/* ---- routes ------------------------------------------------------------------------------------------------------------------------- */

TEST(exact_segments_come_before_names_from_the_left)
{
	struct http_world *w = http_new_with_routes();

	EXPECT_STR(http_get(w, "/acme/sites/new")->body, "new");
	EXPECT_STR(http_get(w, "/acme/groups/new")->body, "thing");
	EXPECT_STR(http_get(w, "/acme/sites/42")->body, "param acme\nparam 42\nbody 0\n");
	EXPECT_STR(http_get(w, "/ac%2fme/sites/a%20b+c%C3%A9?a=1")->body, "param ac/me\nparam a b+c\xc3\xa9\nquery a=1\nbody 0\n");
	/* a name is never empty; empty segments count for nothing, as in the reference: its apps ask a portal "https://host/" for "//slug" */
	EXPECT_STR(http_get(w, "//acme//sites/42?a=/")->body, "param acme\nparam 42\nquery a=/\nbody 0\n");
	EXPECT_STR(http_get(w, "/acme/sites/42/")->body, "param acme\nparam 42\nbody 0\n");
	EXPECT_EQ(http_get(w, "//sites/42")->status, 404);
	EXPECT_EQ(http_get(w, "/acme/sites/")->status, 404);
	EXPECT_EQ(http_get(w, "///")->status, 200);
	EXPECT_EQ(http_get(w, "/acme/sites/%00")->status, 404);
	EXPECT_EQ(http_get(w, "/acme/sites/%0a")->status, 404);
	EXPECT_EQ(http_get(w, "/acme/sites/%ff")->status, 404); /* not UTF-8 */
	EXPECT_EQ(http_get(w, "/acme/sites/%4")->status, 404);
	EXPECT_EQ(http_get(w, "/1/2/3/4/5/6/7/8/9/10/11/12/13/14")->status, 404);
	EXPECT_EQ(http_get(w, "http://portal.example/echo?a=1")->status, 200); /* RFC 9112 §3.2.2 */
	EXPECT_EQ(http_get(w, "http://portal.example")->status, 200);
	EXPECT_EQ(http_get(w, "*")->status, 404);
	http_free(w);
}

TEST(what_is_not_there_is_said_in_the_manner_of_its_area)
{
	struct http_world *w = http_new_with_routes();

	EXPECT_EQ(http_get(w, "/no/such/page")->status, 404);
	EXPECT_HAS(w->reply.body, "<h1>");
	EXPECT_EQ(http_get(w, "/things/no/such")->status, 404);
	EXPECT_STR(w->reply.body, "{\"error\":{\"reason\":\"Not Found\"}}");
	EXPECT_EQ(http_ask(w, "DELETE", "/things", NULL, NULL)->status, 405);
	EXPECT_STR(w->reply.body, "{\"error\":{\"reason\":\"Method Not Allowed\"}}");
	EXPECT_STR(http_header(&w->reply, "allow"), "GET, HEAD, POST");
	EXPECT_EQ(http_ask(w, "POST", "/readyz", NULL, NULL)->status, 405);
	EXPECT_STR(http_header(&w->reply, "allow"), "GET, HEAD");
	EXPECT_EQ(http_ask(w, "BREW", "/readyz", NULL, NULL)->status, 405);
	EXPECT_EQ(http_ask(w, "get", "/readyz", NULL, NULL)->status, 405);
	http_free(w);
}

TEST(head_is_get_without_the_body)
{
	struct http_world *w = http_new_with_routes();
	const char *text = raw(w, "HEAD /echo?a=1 HTTP/1.1\r\nHost: x\r\n\r\n" GET("/healthz"), NULL);

	EXPECT_HAS(text, "Content-Length: 17\r\n");
	EXPECT(!strstr(text, "query"));
	EXPECT_EQ(count(text, "HTTP/1.1 200"), 2);
	EXPECT_EQ(http_ask(w, "HEAD", "/stream", NULL, NULL)->status, 200);
	EXPECT_EQ(w->reply.body_len, 0);
	http_free(w);
}

/* ---- bodies ------------------------------------------------------------------------------------------------------------------------------ */

TEST(bodies_come_whole_by_length_or_in_chunks)
{
	struct http_world *w = http_new_with_routes();
	bool closed;

	EXPECT_HAS(raw(w, "POST /hook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n10;x=y\r\n0123456789abcdef\r\n0\r\nT: 1\r\n\r\n",
		       &closed), "body 19\n");
	EXPECT(!closed);
	int fd = http_dial(w);
	for (const char *p = "POST /hook HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded; charset=utf-8\r\n"
			     "Content-Length: 16\r\n\r\na=1&b=2&a=%C3%A9"; *p; p++) {
		char one[2] = { *p, '\0' };
		http_send(w, fd, one);
	}
	EXPECT_HAS(http_recv(w, fd, NULL), "form a=1\nform a=\xc3\xa9\nform b=2\nbody 16\n");
	close(fd);
	http_free(w);
}

TEST(fields_that_cannot_be_text_are_absent)
{
	struct http_world *w = http_new_with_routes();
	const char *type = "application/x-www-form-urlencoded";

	EXPECT_STR(http_ask(w, "POST", "/hook", type, "a=%ff&b=%00&a=%zz&b=x%20y+z")->body, "form b=x y z\nbody 27\n");
	EXPECT_STR(http_ask(w, "POST", "/hook", type, "&&=&a&b")->body, "form a=\nform b=\nbody 7\n");
	EXPECT_STR(http_ask(w, "POST", "/hook", "application/json", "a=1")->body, "body 3\n");
	EXPECT_STR(http_ask(w, "POST", "/hook", NULL, "a=1")->body, "body 3\n");
	/* a page that took it for absent would keep what it has and say that it was saved */
	EXPECT_EQ(http_get(w, "/page")->status, 200);
	EXPECT_EQ(http_post(w, "/form", "a=1&b=")->status, 200);
	EXPECT_EQ(http_post(w, "/form", "a=1&b=%00")->status, 400);
	EXPECT_EQ(http_post(w, "/form", "a=1&%ff=b")->status, 400);
	EXPECT_EQ(http_post(w, "/form", "a=1&b=\xc0\xaf")->status, 400);
	char many[2 * (EXCHANGE_PAIRS_MAX + 1) + 1];
	for (u32 i = 0; i <= EXCHANGE_PAIRS_MAX; i++)
		memcpy(many + 2 * i, "a&", 3);
	EXPECT_EQ(http_post(w, "/form", many)->status, 400);
	http_free(w);
}

TEST(a_body_that_was_announced_is_asked_for_or_refused_at_once)
{
	struct http_world *w = http_new_with_routes();
	int fd = http_dial(w);
	bool closed;

	http_send(w, fd, "POST /hook HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 3\r\n\r\n");
	EXPECT_STR(http_recv(w, fd, NULL), "HTTP/1.1 100 Continue\r\n\r\n");
	http_send(w, fd, "abc");
	EXPECT_HAS(http_recv(w, fd, NULL), "body 3\n");
	close(fd);
	EXPECT_EQ(status_of(raw(w, "POST /hook HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 262145\r\n\r\n", NULL)), 413);
	EXPECT_EQ(status_of(raw(w, "POST /nothing HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", NULL)), 404);
	EXPECT_EQ(status_of(raw(w, "POST /hook HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\nContent-Length: 5\r\n\r\n", NULL)), 417);
	EXPECT_EQ(status_of(raw(w, "POST /hook HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc", &closed)), 200);
	http_free(w);
}

TEST(what_is_too_large_is_refused_and_the_answer_arrives)
{
	struct http_world *w = http_new_with_routes();
	struct strbuf rq = { 0 };
	bool closed;
	int fd;

	EXPECT_EQ(status_of(raw(w, "POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: 262145\r\n\r\nabc", NULL)), 413);
	EXPECT_EQ(status_of(raw(w, "POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\nabc", NULL)), 413);
	EXPECT_EQ(status_of(raw(w, "POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\nabc", NULL)), 400);
	strbuf_puts(&rq, "POST /hook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 20; i++)
		strbuf_printf(&rq, "4000\r\n%016384d\r\n", 0);
	fd = http_dial(w);
	http_send(w, fd, strbuf_text(&rq)); /* more than is taken: it is read and thrown away, so that the answer is not lost */
	EXPECT_EQ(status_of(http_recv(w, fd, &closed)), 413);
	EXPECT(closed && w->server.n_conns == 1);
	close(fd);
	http_turn(w);
	EXPECT_EQ(w->server.n_conns, 0);
	strbuf_reset(&rq);
	strbuf_printf(&rq, "POST /big HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n%01048576d", 0);
	EXPECT_HAS(raw(w, strbuf_text(&rq), &closed), "body 1048576\n");
	strbuf_reset(&rq);
	strbuf_printf(&rq, "GET /%020000d HTTP/1.1\r\n", 0);
	EXPECT_EQ(status_of(raw(w, strbuf_text(&rq), NULL)), 414);
	strbuf_reset(&rq);
	strbuf_printf(&rq, "GET / HTTP/1.1\r\nHost: x\r\nX: %020000d\r\n\r\n", 0);
	EXPECT_EQ(status_of(raw(w, strbuf_text(&rq), NULL)), 431);
	strbuf_reset(&rq);
	strbuf_puts(&rq, "GET / HTTP/1.1\r\nHost: x\r\n");
	for (int i = 0; i < 130; i++)
		strbuf_printf(&rq, "X-%d: 1\r\n", i);
	strbuf_puts(&rq, "\r\n");
	EXPECT_EQ(status_of(raw(w, strbuf_text(&rq), NULL)), 431);
	strbuf_free(&rq);
	http_free(w);
}

/* What two readers could understand differently is understood by nobody (RFC 9112 §11.2), and ends the connection. */
TEST(request_smuggling_is_refused)
{
	static const struct {
		const char *bytes;
		int status;
	} cases[] = {
		{ "POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 },
		{ "POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400 },
		{ "POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\nabc", 400 },
		{ "POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc", 400 },
		{ "POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length : 3\r\n\r\nabc", 400 },
		{ "POST /hook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501 },
		{ "POST /hook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501 },
		{ "POST /hook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 },
		{ "POST /hook HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 },
		{ "POST /hook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", 400 },
		{ "POST /hook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n", 400 },
		{ "POST /hook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n", 400 },
		{ "POST /hook HTTP/1.1\r\nHost: x\r\nX: 1\r\n folded: 2\r\n\r\n", 400 },
		{ "GET /echo HTTP/1.1\nHost: x\n\n", 400 },
		{ "GET /echo HTTP/1.1\r\nHost: x\rX: 1\r\n\r\n", 400 },
		{ "GET /echo HTTP/1.1\r\n\r\n", 400 },
		{ "GET /echo HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400 },
		{ "GET  /echo HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
		{ "GET /e cho HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
		{ "GET /echo HTTP/2.0\r\nHost: x\r\n\r\n", 505 },
		{ "\x16\x03\x01\x02\r\n\r\n", 400 },
		/* a length or a coding that only some would see */
		{ "POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400 },
		{ "POST /hook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400 },
		{ "POST /hook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400 },
		{ "POST /hook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n", 400 },
		{ "POST /hook HTTP/1.1\r\nHost: x\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 },
		{ "POST /hook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400 },
		{ "POST /hook HTTP/1.1\r\nHost: x\r\nX: 1\nContent-Length: 3\r\n\r\nabc", 400 },
		{ "POST /hook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 501 },
		{ "POST /hook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \x0b" "chunked\r\n\r\n0\r\n\r\n", 400 },
		{ "POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: 0x3\r\n\r\nabc", 400 },
		{ "POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\nabc", 400 },
		{ "POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551619\r\n\r\nabc", 400 },
		{ "POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\nabc", 400 },
		/* chunks */
		{ "POST /hook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\n0\r\n\r\n", 400 },
		{ "POST /hook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;a\nb\r\nabc\r\n0\r\n\r\n", 400 },
		{ "POST /hook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n", 400 },
		{ "POST /hook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n 3\r\nabc\r\n0\r\n\r\n", 400 },
		{ "POST /hook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000003\r\nabc\r\n0\r\n\r\n", 413 },
		{ "POST /hook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\r\n0\r\n\r\n", 400 },
		/* garbage */
		{ "GET\t/echo HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
		{ "GET /echo\r\nHost: x\r\n\r\n", 400 },
		{ "GET /echo HTTP/1.1 \r\nHost: x\r\n\r\n", 400 },
		{ "GET /echo http/1.1\r\nHost: x\r\n\r\n", 400 },
		{ "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505 },
	};
	struct http_world *w = http_new_with_routes();

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char bytes[512];
		bool closed;

		snprintf(bytes, sizeof(bytes), "%s" GET("/page"), cases[i].bytes);
		const char *text = raw(w, bytes, &closed);
		if (status_of(text) != cases[i].status || count(text, "HTTP/1.1 ") != 1 || !closed)
			test_fail(__FILE__, __LINE__, "case %zu: %s", i, text);
	}
	EXPECT_EQ(w->server.n_conns, 0);
	http_free(w);
}

/* What is behind a request that was understood is the next request, and nothing of it reaches the first. */
TEST(what_follows_a_request_is_judged_alone)
{
	struct http_world *w = http_new_with_routes();
	bool closed;
	const char *text = raw(w, "POST /hook HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n\r\na=b"
				  "\x01garbage\r\n\r\n" GET("/page"), &closed);

	EXPECT_EQ(status_of(text), 200);
	EXPECT_EQ(count(text, "HTTP/1.1 "), 2); /* and a 400 */
	EXPECT_HAS(text, "HTTP/1.1 400");
	EXPECT(closed);
	/* extensions of chunks say nothing */
	text = raw(w, "POST /hook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;a=\"b c\";d\r\nabc\r\n0;e\r\nX-Late: 1\r\n\r\n" GET("/page"), &closed);
	EXPECT_EQ(status_of(text), 200);
	EXPECT_EQ(count(text, "HTTP/1.1 200"), 2);
	EXPECT(!closed);
	/* an absolute form is its path */
	text = raw(w, "GET http://elsewhere.example/echo?a=1 HTTP/1.1\r\nHost: x\r\n\r\n", NULL);
	EXPECT_EQ(status_of(text), 200);
	EXPECT_HAS(text, "query a=1");
	http_free(w);
}

/* ---- assets, the log ----------------------------------------------------------------------------------------------------------------------------- */

TEST(assets_are_kept_by_browsers_for_ever)
{
	struct http_world *w = http_new();

	for (const struct asset *a = assets; a->name; a++) {
		EXPECT_STR(asset_url(a->name), a->url);
		w->extra = NULL;
		EXPECT_EQ(http_get(w, a->url)->status, 200);
		EXPECT_EQ(w->reply.body_len, a->n_plain);
		EXPECT_STR(http_header(&w->reply, "cache-control"), "public, max-age=31536000, immutable");
		w->extra = "Accept-Encoding: br, gzip;q=0.8\r\n";
		EXPECT_EQ(http_get(w, a->url)->status, 200);
		EXPECT_EQ(w->reply.body_len, a->gzip ? a->n_gzip : a->n_plain);
		w->extra = "Accept-Encoding: gzip;q=0\r\n";
		EXPECT_EQ(http_get(w, a->url)->body_len, a->n_plain);
	}
	w->extra = NULL;
	EXPECT_EQ(http_get(w, "/assets/app.css")->status, 404);
	EXPECT_EQ(http_get(w, "/assets/..%2fsecrets")->status, 404);
	EXPECT_STR(asset_url("nothing.css"), "");
	http_free(w);
}

static char logged[4096];

static void take_line(void *ctx, const char *line, size_t n)
{
	size_t at = strlen(logged);

	(void)ctx;
	if (at + n < sizeof(logged)) {
		memcpy(logged + at, line, n);
		logged[at + n] = '\0';
	}
}

TEST(the_log_tells_of_requests_and_no_secrets)
{
	struct http_world *w = http_new_with_routes();

	EXPECT_EQ(log_setup(&(struct log_sink){ .write = take_line, .wall_ns = portal_clock_wall, .format = LOG_JSON }, "info", NULL), 0);
	http_get(w, "/echo?secret=hidden");
	http_ask(w, "DELETE", "/acme/sites/hidden", NULL, NULL);
	http_get(w, "/readyz");
	EXPECT_EQ(log_setup(&(struct log_sink){ .write = take_line, .wall_ns = portal_clock_wall }, "off", NULL), 0);
	EXPECT_HAS(logged, "\"path\":\"/echo\"");
	EXPECT_HAS(logged, "\"status\":200");
	EXPECT_HAS(logged, "\"remote\":\"203.0.113.7\"");
	EXPECT_HAS(logged, "\"path\":\"/:account/sites/:id\"");
	EXPECT(!strstr(logged, "hidden") && !strstr(logged, "readyz"));
	http_free(w);
}
