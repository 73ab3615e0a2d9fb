#include "tests/unit/http_world.h"

#include "applets/portal/auth/auth.h"
#include "applets/portal/http/exchange_int.h"
#include "applets/portal/http/router.h"
#include "applets/portal/model/directory.h"
#include "core/http/http.h"
#include "platform/tcp.h"
#include "platform/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define TURNS_MAX 100

static void nothing(struct server *s)
{
	(void)s;
}

static const struct password_profile quick = { "quick", { 1, 32, 4 }, "Tests only." };

struct http_world *http_new(void)
{
	struct http_world *w = calloc(1, sizeof(*w));

	w->portal = portal_new();
	w->portal->portal.web_url = "http://portal.example/";
	w->cfg = (struct serve_config){ .web_url = "http://portal.example/" };
	w->loop = loop_new(&(struct loop_clock){ portal_clock_now, portal_clock_wall, NULL });
	w->server = (struct server){ .loop = w->loop, .portal = &w->portal->portal, .cfg = &w->cfg, .areas = router_areas, .changed = nothing };
	EXPECT_EQ(server_init(&w->server), 0);
	EXPECT_EQ(auth_new(&w->portal->portal.auth, &w->portal->portal, w->loop, 0), 0);
	w->portal->portal.auth->profile = &quick;
	strcpy(w->remote, "203.0.113.7");
	return w;
}

void http_free(struct http_world *w)
{
	conn_free_all(&w->server);
	auth_free(w->portal->portal.auth);
	server_deinit(&w->server);
	portal_free(w->portal);
	loop_free(w->loop);
	strbuf_free(&w->text);
	free(w);
}

void http_sign_in(struct http_world *w, const struct uuid *actor, const struct uuid *provider, u8 bytes)
{
	struct portal *p = &w->portal->portal;
	const struct account *acme = directory_account_named(hub_directory(p->hub), "acme");
	char name[64], id[UUID_STRLEN], cookie[COOKIE_STRLEN];
	struct portal_session s;

	entity_init(KIND_PORTAL_SESSION, &s);
	s.e.account_id = acme->e.id;
	memset(s.e.id.b, bytes, sizeof(s.e.id.b));
	s.actor_id = *actor;
	if (provider)
		s.auth_provider_id = *provider;
	s.expires_at = (i64)(portal_wall / 1000) + 3600 * 1000000ll;
	EXPECT_EQ(store_begin(p->store, STORE_DURABLE), 0);
	EXPECT_EQ(store_insert(p->store, KIND_PORTAL_SESSION, &s, portal_wall), 0);
	EXPECT_EQ(store_commit(p->store), 0);
	snprintf(name, sizeof(name), "sess_%s", uuid_format(&acme->e.id, id));
	EXPECT_EQ(cookie_seal(w->server.cookie_key, name, SPAN(s.e.id.b, sizeof(s.e.id.b)), portal_wall / 1000000000, 28800, cookie), 0);
	snprintf(w->cookie[0], sizeof(w->cookie[0]), "%s=%s", name, cookie);
	entity_deinit(KIND_PORTAL_SESSION, &s);
}

void http_turn(struct http_world *w)
{
	for (u64 before = UINT64_MAX; loop_stats(w->loop)->fd_events + loop_stats(w->loop)->tasks + loop_stats(w->loop)->timers != before;) {
		before = loop_stats(w->loop)->fd_events + loop_stats(w->loop)->tasks + loop_stats(w->loop)->timers;
		loop_turn(w->loop, 0);
	}
}

void http_wait(struct http_world *w, u64 ns)
{
	http_turn(w);
	portal_now += ns;
	portal_wall += ns;
	http_turn(w);
}

/* ---- raw ----------------------------------------------------------------------------------------------------------------------- */

int http_dial(struct http_world *w)
{
	struct endpoint peer = { .port = 4711 };
	int pair[2];

	EXPECT_EQ(ip_parse(SPAN(w->remote, strlen(w->remote)), &peer.ip), 0);
	if (!EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0))
		return -1;
	conn_open(&w->server, pair[0], &peer);
	return pair[1];
}

void http_send(struct http_world *w, int fd, const char *bytes)
{
	size_t n = strlen(bytes);

	while (n > 0) {
		int sent = tcp_write(fd, bytes, n);
		if (sent > 0) {
			bytes += sent;
			n -= (size_t)sent;
		} else if (sent != ERR_AGAIN) {
			return;
		}
		http_turn(w);
	}
}

static bool drain(struct http_world *w, int fd, struct strbuf *out)
{
	char buf[16384];

	for (;;) {
		int n = tcp_read(fd, buf, sizeof(buf));
		if (n > 0) {
			strbuf_add(out, buf, (size_t)n);
			http_turn(w);
		} else {
			return n != ERR_AGAIN;
		}
	}
}

const char *http_recv(struct http_world *w, int fd, bool *is_closed)
{
	bool ended;

	http_turn(w);
	strbuf_reset(&w->text);
	ended = drain(w, fd, &w->text);
	if (is_closed)
		*is_closed = ended;
	return strbuf_text(&w->text);
}

/* ---- a browser -------------------------------------------------------------------------------------------------------------------- */

const char *http_header(const struct reply *r, const char *name)
{
	static char out[4096];
	size_t n = strlen(name);

	for (const char *p = strstr(r->head, "\r\n"); p && strncmp(p, "\r\n\r\n", 4) != 0; p = strstr(p + 2, "\r\n")) {
		if (strncasecmp(p + 2, name, n) != 0 || p[2 + n] != ':')
			continue;
		p += 2 + n + 1;
		p += strspn(p, " ");
		snprintf(out, sizeof(out), "%.*s", (int)strcspn(p, "\r"), p);
		return out;
	}
	return "";
}

static void keep_cookie(struct http_world *w, const char *line, size_t n)
{
	size_t name = (size_t)((const char *)memchr(line, '=', n) - line) + 1, value = strcspn(line, ";\r");
	int at = -1;

	for (int i = COOKIES_MAX - 1; i >= 0; i--)
		if (strncmp(w->cookie[i], line, name) == 0 || (at < 0 && !w->cookie[i][0]))
			at = i;
	for (int i = 0; i < COOKIES_MAX; i++)
		if (strncmp(w->cookie[i], line, name) == 0)
			at = i;
	if (at >= 0)
		snprintf(w->cookie[at], sizeof(w->cookie[at]), "%.*s", value == name ? 0 : (int)value, line);
}

void http_forget(struct http_world *w)
{
	memset(w->cookie, 0, sizeof(w->cookie));
	w->csrf[0] = '\0';
}

static void read_reply(struct http_world *w)
{
	struct reply *r = &w->reply;
	char *text = w->text.p, *end = text ? strstr(text, "\r\n\r\n") : NULL;

	*r = (struct reply){ .head = "", .body = "" };
	if (!end)
		return;
	sscanf(text, "HTTP/1.1 %d", &r->status);
	r->head = text;
	r->body = end + 4;
	r->body_len = w->text.n - (size_t)(r->body - text);
	snprintf(r->location, sizeof(r->location), "%s", http_header(r, "location"));
	for (char *p = strstr(text, "\r\nSet-Cookie: "); p && p < end; p = strstr(p + 2, "\r\nSet-Cookie: "))
		keep_cookie(w, p + 14, strcspn(p + 14, "\r"));
	char *csrf = strstr(r->body, "_csrf"), *value = csrf ? strstr(csrf, "value=\"") : NULL;
	if (value)
		snprintf(w->csrf, sizeof(w->csrf), "%.*s", (int)strcspn(value + 7, "\""), value + 7);
}

static bool is_working(const struct http_world *w)
{
	const struct portal *p = &w->portal->portal;

	return (p->auth && worker_pending(p->auth->worker) > 0) || store_ticket(p->store) > 0;
}

const struct reply *http_ask(struct http_world *w, const char *method, const char *path, const char *type, const char *body)
{
	struct strbuf rq = { 0 };
	int fd = http_dial(w);
	bool ended = false;

	strbuf_printf(&rq, "%s %s HTTP/1.1\r\nHost: portal.example\r\nConnection: close\r\n%s", method, path, w->extra ? w->extra : "");
	for (int i = 0; i < COOKIES_MAX; i++)
		if (w->cookie[i][0])
			strbuf_printf(&rq, "Cookie: %s\r\n", w->cookie[i]);
	if (type)
		strbuf_printf(&rq, "Content-Type: %s\r\n", type);
	if (body)
		strbuf_printf(&rq, "Content-Length: %zu\r\n\r\n%s", strlen(body), body);
	else
		strbuf_puts(&rq, "\r\n");
	strbuf_reset(&w->text);
	http_send(w, fd, strbuf_text(&rq));
	strbuf_free(&rq);
	for (int i = 0; i < TURNS_MAX && !ended; i++) {
		http_turn(w);
		ended = drain(w, fd, &w->text);
		if (!ended && is_working(w)) { /* in real time, which on a busy machine is long: the clock of the portal stands still meanwhile */
			usleep(1000);
			i--;
		} else if (!ended && i > 2) {
			http_wait(w, MSEC(200)); /* answers of constant time */
			if (i > 50)
				usleep(1000);
		}
	}
	close(fd);
	http_turn(w);
	read_reply(w);
	return &w->reply;
}

const struct reply *http_get(struct http_world *w, const char *path)
{
	return http_ask(w, "GET", path, NULL, NULL);
}

const struct reply *http_post(struct http_world *w, const char *path, const char *form)
{
	struct strbuf body = { 0 };
	const struct reply *r;

	strbuf_printf(&body, "_csrf=%s%s%s", w->csrf, *form ? "&" : "", form);
	w->extra = w->extra ? w->extra : "Origin: http://portal.example\r\nSec-Fetch-Site: same-origin\r\n";
	r = http_ask(w, "POST", path, "application/x-www-form-urlencoded", strbuf_text(&body));
	w->extra = NULL;
	strbuf_free(&body);
	return r;
}

bool http_expect_has(const char *file, int line, const char *text, const char *part)
{
	if (strstr(text, part))
		return true;
	test_fail(file, line, "expected \"%s\" in: %.600s", part, text);
	return false;
}
