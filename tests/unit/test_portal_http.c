/* The portal's HTTP side: connections, requests, answers, cookies, CSRF. */
#include "applets/portal/http/assets.h"
#include "applets/portal/http/live.h"
#include "tests/unit/http_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"

TEST(spec60_60_readyz_without_session_or_limit)
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
	w->server.is_starting = false;
	w->cfg.draining_file = "/";
	EXPECT_EQ(http_get(w, "/readyz")->status, 503);
	EXPECT_HAS(w->reply.body, "\"draining\"");
	http_free(w);
}

TEST(unknown_paths_are_pages_and_other_methods_are_named)
{
	struct http_world *w = http_new();

	EXPECT_EQ(http_get(w, "/no/such/page")->status, 404);
	EXPECT_HAS(w->reply.body, "<h1>There is nothing here</h1>");
	EXPECT_EQ(http_ask(w, "POST", "/readyz", NULL, NULL)->status, 405);
	EXPECT_STR(http_header(&w->reply, "allow"), "GET, HEAD");
	EXPECT_EQ(http_ask(w, "BREW", "/readyz", NULL, NULL)->status, 405);
	EXPECT_EQ(http_ask(w, "HEAD", "/readyz", NULL, NULL)->status, 200);
	EXPECT_STR(w->reply.body, "");
	EXPECT(atoi(http_header(&w->reply, "content-length")) > 20);
	http_free(w);
}

TEST(requests_of_one_connection_are_answered_one_after_another)
{
	struct http_world *w = http_new();
	int fd = http_dial(w);
	bool closed;

	http_send(w, fd, GET("/healthz") GET("/nothing") "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" GET("/healthz"));
	const char *text = http_recv(w, fd, &closed);
	const char *second = strstr(text, "HTTP/1.1 404"), *third = second ? strstr(second, "\"ready\"") : NULL;
	EXPECT(strstr(text, "\"ok\"") && second && third && !strstr(third, "HTTP/1.1"));
	EXPECT(closed);
	close(fd);
	http_free(w);
}

/* ---- assets, live pages ---- */

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
