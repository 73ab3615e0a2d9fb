#include "applets/relay/control.h"

#include "core/base/err.h"
#include "platform/tcp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TARGET "POST /log_filter?directives="

struct control {
	struct loop *loop;
	int (*apply)(void *ctx, const char *filter);
	void *ctx;
	int listener, fd; /* fd -1: nobody there */
	struct loop_fd *listen_watch, *watch;
	struct loop_timer timer;
	size_t n;
	u8 request[CONTROL_REQUEST_MAX];
};

static int hex_value(u8 c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int control_parse(struct span request, char filter[static CONTROL_FILTER_MAX])
{
	size_t i = sizeof(TARGET) - 1, n = 0;

	if (request.n < i || memcmp(request.p, TARGET, i) != 0)
		return ERR_NOT_FOUND;
	for (; i < request.n && request.p[i] != ' ' && request.p[i] != '&'; i++) {
		int c = request.p[i];
		if (c == '%') {
			int high = i + 2 < request.n ? hex_value(request.p[i + 1]) : -1;
			int low = high >= 0 ? hex_value(request.p[i + 2]) : -1;
			if (low < 0)
				return ERR_MALFORMED;
			c = high * 16 + low;
			i += 2;
		}
		if (c < ' ' || c > '~' || n + 1 == CONTROL_FILTER_MAX)
			return ERR_MALFORMED;
		filter[n++] = (char)c;
	}
	filter[n] = '\0';
	return n > 0 ? 0 : ERR_MALFORMED;
}

static void drop(struct control *c)
{
	loop_fd_del(c->watch);
	loop_timer_clear(c->loop, &c->timer);
	if (c->fd >= 0)
		close(c->fd);
	c->watch = NULL;
	c->fd = -1;
	loop_fd_set(c->listen_watch, LOOP_READ);
}

static void answer(struct control *c)
{
	char filter[CONTROL_FILTER_MAX], text[96];
	const char *status = "200 OK";
	int rc = control_parse(SPAN(c->request, c->n), filter);

	if (rc == ERR_NOT_FOUND)
		status = "404 Not Found";
	else if (rc != 0 || c->apply(c->ctx, filter) != 0)
		status = "400 Bad Request";
	int n = snprintf(text, sizeof(text), "HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status);
	(void)tcp_write(c->fd, text, (size_t)n); /* fits any socket buffer */
}

static void on_readable(void *ctx, int fd, unsigned events, u64 now)
{
	struct control *c = ctx;
	int got = tcp_read(fd, c->request + c->n, sizeof(c->request) - c->n);

	(void)events, (void)now;
	if (got == ERR_AGAIN)
		return;
	if (got > 0)
		c->n += (size_t)got;
	bool is_whole = memmem(c->request, c->n, "\r\n\r\n", 4) != NULL;
	if (is_whole)
		answer(c);
	if (is_whole || got < 0 || c->n == sizeof(c->request))
		drop(c);
}

static void on_timeout(void *ctx, u64 now)
{
	(void)now;
	drop(ctx);
}

static void on_connection(void *ctx, int listener, unsigned events, u64 now)
{
	struct control *c = ctx;
	struct endpoint peer;

	(void)events;
	c->fd = tcp_accept(listener, &peer);
	if (c->fd < 0)
		return;
	c->n = 0;
	loop_fd_set(c->listen_watch, 0); /* until this one is done */
	c->watch = loop_fd_add(c->loop, c->fd, LOOP_READ, on_readable, c);
	if (!c->watch)
		drop(c);
	else
		loop_timer_set(c->loop, &c->timer, now + CONTROL_TIMEOUT);
}

struct control *control_open(struct loop *l, const struct endpoint *listen, int (*apply)(void *ctx, const char *filter), void *ctx,
			     int *rc)
{
	struct control *c = calloc(1, sizeof(*c));

	*rc = ERR_NOMEM;
	if (!c)
		return NULL;
	*c = (struct control){ .loop = l, .apply = apply, .ctx = ctx, .fd = -1, .timer = { .cb = on_timeout, .ctx = c } };
	c->listener = tcp_listen(listen);
	if (c->listener < 0) {
		*rc = c->listener;
		free(c);
		return NULL;
	}
	c->listen_watch = loop_fd_add(l, c->listener, LOOP_READ, on_connection, c);
	if (!c->listen_watch) {
		close(c->listener);
		free(c);
		return NULL;
	}
	*rc = 0;
	return c;
}

void control_close(struct control *c)
{
	if (!c)
		return;
	drop(c);
	loop_fd_del(c->listen_watch);
	close(c->listener);
	free(c);
}
