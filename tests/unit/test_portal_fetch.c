/* Asking others over HTTP and HTTPS, over loopback, with a server that says what it is told. */
#include "applets/portal/outbound/fetch.h"
#include "applets/portal/outbound/guard.h"
#include "tests/unit/http_peer.h"
#include "tests/unit/test.h"
#include "tests/unit/tls_certs.h"

#include <stdio.h>

static struct fixture {
	struct loop *loop;
	struct http_peer peer;
	struct tls_identity *identity;
	struct fetcher *fetcher;
	char ca_path[64], hosts_path[64];
	u32 done;
	int error;
	u16 status;
	char why[FETCH_WHY_MAX], body[400], target[300], head[600], posted[300];
	size_t body_n;
} f;

static void on_done(void *ctx, const struct fetch_answer *a)
{
	(void)ctx;
	f.done++;
	f.error = a->error;
	f.status = a->status;
	f.body_n = a->body.n;
	snprintf(f.why, sizeof(f.why), "%s", a->why);
	snprintf(f.body, sizeof(f.body), "%.*s", (int)MIN(a->body.n, (size_t)300), a->body.n ? (const char *)a->body.p : "");
}

static void answer(struct http_peer *p, const char *target, const struct http_head *head, struct span body, struct strbuf *out)
{
	(void)p;
	snprintf(f.target, sizeof(f.target), "%s", target);
	f.head[0] = '\0';
	for (size_t i = 0; i < head->n_fields; i++)
		snprintf(f.head + strlen(f.head), sizeof(f.head) - strlen(f.head), "%.*s=%.*s;", (int)head->field[i].name.n, (const char *)head->field[i].name.p,
			 (int)head->field[i].value.n, (const char *)head->field[i].value.p);
	snprintf(f.posted, sizeof(f.posted), "%.*s", (int)body.n, body.n ? (const char *)body.p : "");
	if (strcmp(target, "/silent") == 0)
		return;
	if (strcmp(target, "/huge") == 0) {
		strbuf_puts(out, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
		for (u32 i = 0; i < 40; i++) {
			strbuf_puts(out, "8000\r\n");
			memset(strbuf_room(out, 0x8000), 'x', 0x8000);
			out->n += 0x8000;
			strbuf_puts(out, "\r\n");
		}
		strbuf_puts(out, "0\r\n\r\n");
	} else if (strcmp(target, "/chunked") == 0) {
		strbuf_puts(out, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
	} else if (strcmp(target, "/until-close") == 0) {
		strbuf_puts(out, "HTTP/1.1 200 OK\r\n\r\nall of it");
	} else if (strcmp(target, "/cut") == 0) {
		strbuf_puts(out, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
	} else if (strcmp(target, "/redirect") == 0) {
		strbuf_puts(out, "HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/\r\nContent-Length: 0\r\n\r\n");
	} else if (strcmp(target, "/garbage") == 0) {
		strbuf_puts(out, "SSH-2.0-OpenSSH\r\n\r\n");
	} else {
		http_peer_ok(out, "{\"a\":1}");
	}
}

static bool begin(const char *chain, const char *key, bool allow_internal)
{
	struct loop_clock clock = { sys_clock_now, sys_clock_wall, NULL };

	memset(&f, 0, sizeof(f));
	f.loop = loop_new(&clock);
	if (chain && !EXPECT_EQ(tls_identity_new(SPAN(chain, strlen(chain)), SPAN(key, strlen(key)), &f.identity), 0))
		return false;
	f.peer.answer = answer;
	if (!EXPECT(http_peer_start(&f.peer, f.loop, f.identity)))
		return false;
	snprintf(f.ca_path, sizeof(f.ca_path), "/tmp/emberbox-test-fetch-ca-%d", (int)getpid());
	snprintf(f.hosts_path, sizeof(f.hosts_path), "/tmp/emberbox-test-fetch-hosts-%d", (int)getpid());
	FILE *file = fopen(f.ca_path, "w");
	fputs(ca_pem, file);
	fclose(file);
	file = fopen(f.hosts_path, "w");
	fputs("127.0.0.1 portal.example rebound.example\n::ffff:127.0.0.1 mapped.example\n", file);
	fclose(file);
	struct fetcher_config cfg = { .loop = f.loop, .rng = sys_rng(), .ca_file = f.ca_path, .allow_internal = allow_internal,
				      .resolv_conf = "/nonexistent", .hosts = f.hosts_path };
	f.fetcher = fetcher_new(&cfg);
	return EXPECT(f.fetcher != NULL);
}

static void end(void)
{
	fetcher_free(f.fetcher);
	http_peer_stop(&f.peer);
	loop_free(f.loop);
	tls_identity_free(f.identity);
	unlink(f.ca_path);
	unlink(f.hosts_path);
}

static const char *url(const char *scheme, const char *host, const char *path)
{
	static char text[200];

	snprintf(text, sizeof(text), "%s://%s:%u%s", scheme, host, f.peer.local.port, path);
	return text;
}

static void run_until(u32 done)
{
	u64 end_at = sys_now() + SEC(20);

	while (f.done < done && sys_now() < end_at)
		loop_turn(f.loop, sys_now() + MSEC(20));
	EXPECT_EQ(f.done, done);
}

static void get(const char *u)
{
	struct fetch_request rq = { .url = u, .done = on_done };
	u32 before = f.done;

	EXPECT_EQ(fetch_start(f.fetcher, &rq, NULL), 0);
	EXPECT_EQ(f.done, before); /* never from inside the call */
	run_until(before + 1);
}

TEST(fetch_gets_and_keeps_the_connection_for_the_next)
{
	if (begin(NULL, NULL, true)) {
		get(url("http", "127.0.0.1", "/x/y?a=b%20c"));
		EXPECT_EQ(f.error, 0);
		EXPECT_EQ(f.status, 200);
		EXPECT_STR(f.body, "{\"a\":1}");
		EXPECT_STR(f.target, "/x/y?a=b%20c");
		get(url("http", "127.0.0.1", ""));
		EXPECT_STR(f.target, "/");
		EXPECT_EQ(f.peer.accepted, 1);
		EXPECT_EQ(fetch_stats(f.fetcher)->reused, 1);
		get(url("http", "127.0.0.1", "/chunked"));
		EXPECT_STR(f.body, "abcde");
	}
	end();
}

TEST(fetch_posts_a_form_with_headers_on_a_connection_of_its_own)
{
	if (begin(NULL, NULL, true)) {
		get(url("http", "127.0.0.1", "/"));
		struct fetch_request rq = { .url = url("http", "127.0.0.1", "/token"), .is_post = true, .body = SPAN_STR("code=1&x=2"),
					    .header = { { "Authorization", "Bearer abc" } }, .done = on_done };
		EXPECT_EQ(fetch_start(f.fetcher, &rq, NULL), 0);
		run_until(2);
		EXPECT_EQ(f.status, 200);
		EXPECT_STR(f.posted, "code=1&x=2");
		EXPECT(strstr(f.head, "Authorization=Bearer abc;") && strstr(f.head, "Content-Length=10;"));
		EXPECT(strstr(f.head, "Content-Type=application/x-www-form-urlencoded;") != NULL);
		EXPECT_EQ(f.peer.accepted, 2);
	}
	end();
}

TEST(fetch_speaks_tls_and_checks_the_certificate)
{
	if (begin(ec_pem, ec_key, true)) {
		get(url("https", "portal.example", "/"));
		EXPECT_EQ(f.error, 0);
		EXPECT_STR(f.body, "{\"a\":1}");
		get(url("https", "portal.example", "/2"));
		EXPECT_EQ(f.peer.accepted, 1);
		get(url("https", "rebound.example", "/"));
		EXPECT_EQ(f.error, ERR_DENIED);
		EXPECT(strstr(f.why, "another name") != NULL);
	}
	end();
	if (begin(self_pem, self_key, true)) {
		get(url("https", "127.0.0.1", "/"));
		EXPECT(f.error != 0);
		EXPECT(strstr(f.why, "self-signed") != NULL);
	}
	end();
}

TEST(fetch_bounds_what_it_takes)
{
	if (begin(NULL, NULL, true)) {
		get(url("http", "127.0.0.1", "/huge")); /* 1.25 MiB in chunks */
		EXPECT_EQ(f.error, ERR_LIMIT);
	}
	end();
}

TEST(fetch_tells_cut_answers_from_whole_ones)
{
	if (begin(NULL, NULL, true)) {
		f.peer.closes = true;
		get(url("http", "127.0.0.1", "/until-close"));
		EXPECT_EQ(f.error, 0);
		EXPECT_STR(f.body, "all of it");
		get(url("http", "127.0.0.1", "/cut"));
		EXPECT_EQ(f.error, ERR_TRUNCATED);
		get(url("http", "127.0.0.1", "/garbage"));
		EXPECT_EQ(f.error, ERR_MALFORMED);
		get(url("http", "127.0.0.1", "/redirect"));
		EXPECT_EQ(f.error, 0);
		EXPECT_EQ(f.status, 302); /* an answer, not followed */
		EXPECT_EQ(f.peer.requests, 4);
	}
	end();
}

TEST(fetch_gives_up_on_silence_and_on_refusal)
{
	if (begin(NULL, NULL, true)) {
		struct fetch_request rq = { .url = url("http", "127.0.0.1", "/silent"), .timeout = MSEC(150), .done = on_done };
		EXPECT_EQ(fetch_start(f.fetcher, &rq, NULL), 0);
		run_until(1);
		EXPECT_EQ(f.error, ERR_TIMEOUT);
		get("http://127.0.0.1:1/");
		EXPECT_EQ(f.error, ERR_CLOSED);
		get("http://unknown.example/");
		EXPECT(f.error != 0);
	}
	end();
}

TEST(fetch_asks_again_when_a_kept_connection_had_died)
{
	if (begin(NULL, NULL, true)) {
		get(url("http", "127.0.0.1", "/"));
		http_peer_drop_all(&f.peer); /* it learns that only when it writes, or when it looks */
		get(url("http", "127.0.0.1", "/"));
		EXPECT_EQ(f.error, 0);
		EXPECT_EQ(f.peer.accepted, 2);
	}
	end();
}

TEST(fetch_queues_what_is_too_much_and_can_be_cancelled)
{
	if (begin(NULL, NULL, true)) {
		struct fetch *x[FETCH_QUEUE_MAX + 1];
		struct fetch_request rq = { .url = url("http", "127.0.0.1", "/"), .done = on_done };
		for (u32 i = 0; i < FETCH_QUEUE_MAX; i++)
			EXPECT_EQ(fetch_start(f.fetcher, &rq, &x[i]), 0);
		EXPECT_EQ(fetch_start(f.fetcher, &rq, &x[FETCH_QUEUE_MAX]), ERR_LIMIT);
		for (u32 i = 0; i < FETCH_QUEUE_MAX; i += 2)
			fetch_cancel(x[i]);
		run_until(FETCH_QUEUE_MAX / 2);
		EXPECT(f.peer.accepted <= FETCHES_MAX);
		rq.url = url("http", "127.0.0.1", "/silent");
		for (u32 i = 0; i < FETCHES_MAX + 2; i++)
			EXPECT_EQ(fetch_start(f.fetcher, &rq, &x[i]), 0);
		for (u32 i = 0; i < 20; i++)
			loop_turn(f.loop, loop_now(f.loop) + MSEC(2));
		fetch_cancel(x[0]);
		fetch_cancel(x[FETCHES_MAX + 1]);
	}
	end(); /* with some still under way */
	EXPECT_EQ(f.done, FETCH_QUEUE_MAX / 2);
}

TEST(fetch_refuses_what_is_no_url_and_lines_in_headers)
{
	if (begin(NULL, NULL, true)) {
		static const char *const bad[] = { "ftp://127.0.0.1/", "/path", "http://", "http://127.0.0.1/#f", "http://127.0.0.1/a b", "http://127.0.0.1/\r\nX: y" };
		struct fetch_request rq = { .done = on_done };
		for (u32 i = 0; i < ARRAY_LEN(bad); i++) {
			rq.url = bad[i];
			EXPECT_EQ(fetch_start(f.fetcher, &rq, NULL), ERR_INVAL);
		}
		rq.url = "http://127.0.0.1/";
		rq.header[0].name = "Authorization";
		rq.header[0].value = "Bearer x\r\nHost: other";
		EXPECT_EQ(fetch_start(f.fetcher, &rq, NULL), ERR_INVAL);
	}
	end();
}

/* spec 60 §1.10: whatever name leads there. */
TEST(fetch_refuses_internal_addresses)
{
	if (begin(NULL, NULL, false)) {
		get(url("http", "127.0.0.1", "/"));
		EXPECT_EQ(f.error, ERR_DENIED);
		get(url("http", "rebound.example", "/"));
		EXPECT_EQ(f.error, ERR_DENIED);
		get(url("http", "mapped.example", "/"));
		EXPECT_EQ(f.error, ERR_DENIED);
		get(url("http", "[::1]", "/"));
		EXPECT_EQ(f.error, ERR_DENIED);
		EXPECT_EQ(f.peer.accepted, 0);
		EXPECT_EQ(fetch_stats(f.fetcher)->refused, 4);
	}
	end();
}

TEST(guard_knows_the_special_networks)
{
	static const char *const refused[] = { "0.0.0.0", "0.1.2.3", "10.9.8.7", "100.64.0.1", "100.127.255.255", "127.0.0.1", "169.254.169.254",
		"172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.31.196.1", "192.52.193.1", "192.88.99.1", "192.168.1.1", "192.175.48.1",
		"198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.9", "224.0.0.1", "255.255.255.255", "::", "::1", "::127.0.0.1",
		"64:ff9b::1.2.3.4", "64:ff9b:1::1", "100::1", "2001::1", "2001:2::1", "2001:db8::1", "2001:2f::1", "2002:a00:1::1", "fc00::1", "fdff::1",
		"fe80::1", "febf::1", "ff02::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1" };
	static const char *const allowed[] = { "8.8.8.8", "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.255.255",
		"172.32.0.0", "192.0.1.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "2606:4700::1111", "2001:4860:4860::8888", "2003::1",
		"::ffff:8.8.8.8" };
	struct ip ip;

	for (u32 i = 0; i < ARRAY_LEN(refused); i++)
		if (!ip_parse(SPAN(refused[i], strlen(refused[i])), &ip) && !guard_refuses(&ip))
			test_fail(__FILE__, __LINE__, "%s is allowed", refused[i]);
	for (u32 i = 0; i < ARRAY_LEN(allowed); i++)
		if (ip_parse(SPAN(allowed[i], strlen(allowed[i])), &ip) || guard_refuses(&ip))
			test_fail(__FILE__, __LINE__, "%s is refused", allowed[i]);
	EXPECT(guard_refuses(&(struct ip){ .family = 0 }));
}
