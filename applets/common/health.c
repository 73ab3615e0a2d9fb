#include "applets/common/health.h"

#include "core/base/err.h"
#include "platform/tcp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct health_conn {
	struct health *owner;
	int fd; /* -1: free */
	struct loop_fd *watch;
	struct loop_timer timer;
	size_t n;
	char request[HEALTH_REQUEST_MAX];
};

struct health {
	struct loop *loop;
	int listener;
	struct loop_fd *watch;
	bool (*is_ready)(void *ctx);
	void *ctx;
	struct health_conn conns[HEALTH_CONNS_MAX];
};

static struct health_conn *free_conn(struct health *h)
{
	for (size_t i = 0; i < HEALTH_CONNS_MAX; i++)
		if (h->conns[i].fd < 0)
			return &h->conns[i];
	return NULL;
}

static void drop(struct health_conn *c)
{
	loop_fd_del(c->watch);
	loop_timer_clear(c->owner->loop, &c->timer);
	close(c->fd);
	c->watch = NULL;
	c->fd = -1;
	loop_fd_set(c->owner->watch, LOOP_READ);
}

static bool asks_for(const struct health_conn *c, const char *path)
{
	char line[32];
	int len = snprintf(line, sizeof(line), "GET %s ", path);

	return c->n >= (size_t)len && memcmp(c->request, line, (size_t)len) == 0;
}

static void answer(struct health_conn *c)
{
	const char *status = "404 Not Found";
	char text[128];

	if (asks_for(c, "/healthz"))
		status = "200 OK";
	else if (asks_for(c, "/readyz"))
		status = !c->owner->is_ready || c->owner->is_ready(c->owner->ctx) ? "200 OK" : "503 Service Unavailable";
	int len = snprintf(text, sizeof(text), "HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status);
	(void)tcp_write(c->fd, text, (size_t)len); /* fits any socket buffer; a peer that went away needs no answer */
}

static void conn_readable(void *ctx, int fd, unsigned events, u64 now)
{
	struct health_conn *c = ctx;
	int got = tcp_read(fd, c->request + c->n, sizeof(c->request) - c->n);

	(void)events;
	(void)now;
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

static void conn_timeout(void *ctx, u64 now)
{
	(void)now;
	drop(ctx);
}

static void listener_readable(void *ctx, int listener, unsigned events, u64 now)
{
	struct health *h = ctx;
	struct health_conn *c = free_conn(h);
	struct endpoint peer;

	(void)events;
	if (!c) {
		loop_fd_set(h->watch, 0); /* until one is done */
		return;
	}
	int fd = tcp_accept(listener, &peer);
	if (fd < 0)
		return;
	*c = (struct health_conn){ .owner = h, .fd = fd, .timer = { .cb = conn_timeout, .ctx = c } };
	c->watch = loop_fd_add(h->loop, fd, LOOP_READ, conn_readable, c);
	if (!c->watch) {
		drop(c);
		return;
	}
	loop_timer_set(h->loop, &c->timer, time_add(now, HEALTH_TIMEOUT));
}

struct health *health_open(struct loop *l, const struct endpoint *listen, bool (*is_ready)(void *ctx), void *ctx, int *rc)
{
	struct health *h = calloc(1, sizeof(*h));

	*rc = ERR_NOMEM;
	if (!h)
		return NULL;
	*h = (struct health){ .loop = l, .is_ready = is_ready, .ctx = ctx };
	for (size_t i = 0; i < HEALTH_CONNS_MAX; i++)
		h->conns[i].fd = -1;
	h->listener = tcp_listen(listen);
	if (h->listener < 0) {
		*rc = h->listener;
		free(h);
		return NULL;
	}
	h->watch = loop_fd_add(l, h->listener, LOOP_READ, listener_readable, h);
	if (!h->watch) {
		health_close(h);
		return NULL;
	}
	*rc = 0;
	return h;
}

void health_close(struct health *h)
{
	if (!h)
		return;
	for (size_t i = 0; i < HEALTH_CONNS_MAX; i++)
		if (h->conns[i].fd >= 0)
			drop(&h->conns[i]);
	loop_fd_del(h->watch);
	close(h->listener);
	free(h);
}
