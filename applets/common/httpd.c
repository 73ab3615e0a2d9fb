#include "applets/common/httpd.h"

#include "core/base/err.h"
#include "core/http/http.h"
#include "core/http/url.h"
#include "platform/tcp.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEAD_MAX 256u
#define READ_BYTES 2048u
#define ACCEPT_PAUSE MSEC(200) /* out of descriptors */

struct conn {
	struct httpd *owner;
	int fd; /* -1: free */
	struct loop_fd *watch;
	struct loop_timer timer;
	struct http_parser *parser;
};

struct httpd {
	struct loop *loop;
	int listener;
	struct loop_fd *watch;
	struct loop_timer accept_timer;
	httpd_answer *answer;
	void *ctx;
	struct conn conns[HTTPD_CONNS_MAX];
};

/* --- requests -------------------------------------------------------------------------------------------------------------------------- */

static bool span_is(struct span s, const char *text)
{
	return s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
}

bool httpd_is(const struct httpd_request *q, const char *method, const char *path)
{
	return span_is(q->method, method) && span_is(q->path, path);
}

int httpd_query(const struct httpd_request *q, const char *name, char *out, size_t cap)
{
	int rc = form_get(q->query, name, out, cap);

	if (rc)
		return rc == ERR_NOT_FOUND ? rc : ERR_MALFORMED;
	for (const char *p = out; *p; p++)
		if (*p < ' ' || *p > '~')
			return ERR_MALFORMED;
	return 0;
}

static struct httpd_request request_of(const struct http_head *h)
{
	const u8 *mark = memchr(h->target.p, '?', h->target.n);
	size_t path_len = mark ? (size_t)(mark - h->target.p) : h->target.n;

	return (struct httpd_request){
		.method = h->method,
		.path = SPAN(h->target.p, path_len),
		.query = mark ? SPAN(mark + 1, h->target.n - path_len - 1) : SPAN_NONE,
	};
}

/* --- connections ----------------------------------------------------------------------------------------------------------------------- */

static struct conn *free_conn(struct httpd *h)
{
	for (size_t i = 0; i < HTTPD_CONNS_MAX; i++)
		if (h->conns[i].fd < 0)
			return &h->conns[i];
	return NULL;
}

static void drop(struct conn *c)
{
	loop_fd_del(c->watch);
	loop_timer_clear(c->owner->loop, &c->timer);
	http_parser_free(c->parser);
	close(c->fd);
	c->watch = NULL;
	c->parser = NULL;
	c->fd = -1;
	loop_fd_set(c->owner->watch, LOOP_READ);
}

static void reply(struct conn *c, u16 status, struct span body)
{
	u8 text[HEAD_MAX + HTTPD_BODY_MAX];
	struct wr w = wr_init(text, sizeof(text));

	http_put_status(&w, status);
	if (body.n > 0)
		http_put_field(&w, "Content-Type", SPAN_STR("text/plain; charset=utf-8"));
	http_put_field_u64(&w, "Content-Length", body.n);
	http_put_field(&w, "Connection", SPAN_STR("close"));
	http_put_end(&w);
	wr_bytes(&w, body.p, body.n);
	if (wr_ok(&w))
		(void)tcp_write(c->fd, text, wr_len(&w)); /* a peer that went away needs no answer */
}

static void answer(struct conn *c)
{
	u8 text[HTTPD_BODY_MAX];
	struct wr body = wr_init(text, sizeof(text));
	struct httpd_request q = request_of(http_parser_head(c->parser));
	u16 status = c->owner->answer(c->owner->ctx, &q, &body);

	if (wr_ok(&body))
		reply(c, status, SPAN(text, wr_len(&body)));
	else
		reply(c, 500, SPAN_NONE);
}

static void conn_readable(void *ctx, int fd, unsigned events, u64 now)
{
	struct conn *c = ctx;
	u8 bytes[READ_BYTES];
	struct span body;
	size_t used;
	int got = tcp_read(fd, bytes, sizeof(bytes));

	(void)events, (void)now;
	if (got == ERR_AGAIN)
		return;
	int what = got > 0 ? http_parser_input(c->parser, SPAN(bytes, (size_t)got), &used, &body) : ERR_CLOSED;
	if (what == HTTP_MORE)
		return;
	if (what > 0)
		answer(c);
	else if (got > 0)
		reply(c, http_parser_status(c->parser), SPAN_NONE);
	drop(c);
}

static void conn_timeout(void *ctx, u64 now)
{
	(void)now;
	drop(ctx);
}

static void accept_due(void *ctx, u64 now)
{
	struct httpd *h = ctx;

	(void)now;
	loop_fd_set(h->watch, LOOP_READ);
}

static void listener_readable(void *ctx, int listener, unsigned events, u64 now)
{
	struct httpd *h = ctx;
	struct conn *c = free_conn(h);
	struct endpoint peer;

	(void)events;
	if (!c) {
		loop_fd_set(h->watch, 0); /* until one is done */
		return;
	}
	int fd = tcp_accept(listener, &peer);
	if (fd == ERR_LIMIT) {
		loop_fd_set(h->watch, 0);
		loop_timer_set(h->loop, &h->accept_timer, time_add(now, ACCEPT_PAUSE));
	}
	if (fd < 0)
		return;
	*c = (struct conn){ .owner = h, .fd = fd, .timer = { .cb = conn_timeout, .ctx = c }, .parser = http_parser_new(HTTP_REQUEST, 0) };
	c->watch = c->parser ? loop_fd_add(h->loop, fd, LOOP_READ, conn_readable, c) : NULL;
	if (!c->watch) {
		drop(c);
		return;
	}
	loop_timer_set(h->loop, &c->timer, time_add(now, HTTPD_TIMEOUT));
}

/* --- opening and closing ---------------------------------------------------------------------------------------------------------------- */

struct httpd *httpd_open(struct loop *l, const struct endpoint *listen, httpd_answer *answer_fn, void *ctx, int *rc)
{
	struct httpd *h = calloc(1, sizeof(*h));

	*rc = ERR_NOMEM;
	if (!h)
		return NULL;
	*h = (struct httpd){ .loop = l, .answer = answer_fn, .ctx = ctx, .accept_timer = { .cb = accept_due, .ctx = h } };
	for (size_t i = 0; i < HTTPD_CONNS_MAX; i++)
		h->conns[i].fd = -1;
	h->listener = tcp_listen(listen);
	if (h->listener < 0) {
		*rc = h->listener;
		free(h);
		return NULL;
	}
	h->watch = loop_fd_add(l, h->listener, LOOP_READ, listener_readable, h);
	if (!h->watch) {
		httpd_close(h);
		return NULL;
	}
	*rc = 0;
	return h;
}

void httpd_close(struct httpd *h)
{
	if (!h)
		return;
	for (size_t i = 0; i < HTTPD_CONNS_MAX; i++)
		if (h->conns[i].fd >= 0)
			drop(&h->conns[i]);
	loop_timer_clear(h->loop, &h->accept_timer);
	loop_fd_del(h->watch);
	close(h->listener);
	free(h);
}

int httpd_local(const struct httpd *h, struct endpoint *out)
{
	return tcp_local(h->listener, out);
}
