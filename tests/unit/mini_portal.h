/* tests/unit/mini_portal.h: a portal's socket end on the loop, small enough for tests and interop drivers.
 *
 * Listens on a loopback port, with TLS when it has an identity; takes one connection at a time (a new one replaces the old), accepts every
 * upgrade with a token unless told to refuse, acknowledges joins and then pushes an empty init. Everything that happens is counted.
 */
#pragma once

#include "core/base/err.h"
#include "core/http/http.h"
#include "core/http/tls.h"
#include "core/loop/loop.h"
#include "core/phoenix/server.h"
#include "platform/sys.h"
#include "platform/tcp.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct mini_portal {
	struct loop *loop;
	const struct tls_identity *identity; /* NULL = plain */
	u16 refuse_status;                   /* 0 = accept */
	u32 refuse_retry_after;
	bool is_mute;                        /* accepts TCP and says nothing */
	int listener;
	struct endpoint local;
	struct loop_fd *listen_watch, *watch;
	int fd;
	struct tls *tls;
	struct http_parser *parser;
	struct phx_socket *socket;
	struct phx_upgrade upgrade;
	struct loop_timer timer;
	u8 head[2048]; /* the answer to the upgrade */
	size_t head_len, head_done;
	bool ends_after_head;
	u32 accepted, joins, messages, gone;
	enum msg_type last_message;
	void (*on_message)(struct mini_portal *p, const struct phx_event *e);
};

static inline void mini_portal_drop(struct mini_portal *p)
{
	loop_fd_del(p->watch);
	p->watch = NULL;
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
	tls_free(p->tls);
	p->tls = NULL;
	phx_socket_free(p->socket);
	p->socket = NULL;
	http_parser_free(p->parser);
	p->parser = NULL;
	p->head_len = p->head_done = 0;
	p->ends_after_head = false;
	loop_timer_clear(p->loop, &p->timer);
}

static inline struct span mini_portal_output(struct mini_portal *p)
{
	if (p->head_done < p->head_len)
		return SPAN(p->head + p->head_done, p->head_len - p->head_done);
	return p->socket ? phx_socket_output(p->socket) : SPAN_NONE;
}

static inline void mini_portal_output_done(struct mini_portal *p, size_t n)
{
	if (p->head_done < p->head_len)
		p->head_done += n;
	else if (p->socket)
		phx_socket_output_done(p->socket, n);
}

/* False when the connection is gone. */
static inline bool mini_portal_write(struct mini_portal *p)
{
	for (;;) {
		struct span out = mini_portal_output(p);
		if (p->tls) {
			if (out.n > 0)
				mini_portal_output_done(p, tls_write(p->tls, out));
			out = tls_output(p->tls);
		}
		if (out.n == 0)
			return !p->ends_after_head;
		int n = tcp_write(p->fd, out.p, out.n);
		if (n == ERR_AGAIN) {
			loop_fd_set(p->watch, LOOP_READ | LOOP_WRITE);
			return true;
		}
		if (n < 0)
			return false;
		if (p->tls)
			tls_output_done(p->tls, (size_t)n);
		else
			mini_portal_output_done(p, (size_t)n);
	}
}

static inline void mini_portal_push_init(struct mini_portal *p, u64 now)
{
	struct portal_message m = { .type = p->upgrade.role == MSG_ROLE_RELAY ? MSG_INIT_RELAY :
					    p->upgrade.role == MSG_ROLE_CLIENT ? MSG_INIT_CLIENT : MSG_INIT_GATEWAY };
	struct msg_interface in = { .ipv4 = ip4(100, 64, 0, 2), .ipv6 = { { 0xfd, 0, 0x20, 0x21, 0x11, 0x11 }, 6 } };

	if (m.type == MSG_INIT_CLIENT)
		m.init_client.interface = in;
	else if (m.type == MSG_INIT_GATEWAY)
		m.init_gateway.interface = in;
	if (phx_push(p->socket, now, &m))
		p->gone++;
}

/* False: the peer is to be dropped. */
static inline bool mini_portal_events(struct mini_portal *p, u64 now)
{
	struct phx_event e;

	while (p->socket && phx_socket_poll(p->socket, &e)) {
		switch (e.type) {
		case PHX_JOIN:
			p->joins++;
			phx_join_ok(p->socket);
			mini_portal_push_init(p, now);
			break;
		case PHX_MESSAGE:
			p->messages++;
			p->last_message = e.message.type;
			if (p->on_message)
				p->on_message(p, &e);
			msg_free(&e.message);
			break;
		case PHX_LEAVE:
			break;
		case PHX_GONE:
			p->gone++;
			(void)mini_portal_write(p);
			return false;
		}
	}
	return true;
}

static inline void mini_portal_upgrade(struct mini_portal *p, u64 now)
{
	struct wr w = wr_init(p->head, sizeof(p->head));
	const char *detail = NULL;
	int status = phx_upgrade_read(http_parser_head(p->parser), &p->upgrade, &detail);

	if (status == 0 && p->refuse_status) {
		status = p->refuse_status;
		detail = "refused by the test";
	}
	if (status) {
		phx_problem(&w, (u16)status, NULL, detail, p->refuse_retry_after);
		p->ends_after_head = true;
	} else {
		phx_upgrade_accept(&w, &p->upgrade);
		p->socket = phx_socket_new(p->upgrade.role, p->upgrade.version, sys_rng(), now);
	}
	p->head_len = wr_len(&w);
	p->head_done = 0;
}

static inline void mini_portal_plain(struct mini_portal *p, u64 now, struct span in)
{
	size_t used = 0;
	struct span body;

	if (!p->socket && !p->ends_after_head && http_parser_input(p->parser, in, &used, &body) == HTTP_HEAD)
		mini_portal_upgrade(p, now);
	if (p->socket && used < in.n)
		phx_socket_input(p->socket, now, SPAN(in.p + used, in.n - used));
}

static inline void mini_portal_settle(struct mini_portal *p, u64 now)
{
	if (!mini_portal_events(p, now) || !mini_portal_write(p))
		mini_portal_drop(p);
	else if (p->socket)
		loop_timer_set(p->loop, &p->timer, phx_socket_next_timeout(p->socket));
}

static inline void mini_portal_on_timer(void *ctx, u64 now)
{
	struct mini_portal *p = ctx;

	if (p->socket)
		phx_socket_timeout(p->socket, now);
	mini_portal_settle(p, now);
}

static inline void mini_portal_on_socket(void *ctx, int fd, unsigned events, u64 now)
{
	struct mini_portal *p = ctx;
	u8 buf[4096];
	int n;

	loop_fd_set(p->watch, LOOP_READ);
	if (!(events & LOOP_READ)) {
		mini_portal_settle(p, now);
		return;
	}
	n = tcp_read(fd, buf, sizeof(buf));
	if (n == ERR_AGAIN || p->is_mute)
		return;
	if (n < 0) {
		p->gone++;
		mini_portal_drop(p);
		return;
	}
	if (p->tls) {
		size_t at = 0, used = 1;
		struct span plain;
		int rc = 0;
		while (rc == 0 && at < (size_t)n && used > 0) {
			rc = tls_input(p->tls, SPAN(buf + at, (size_t)n - at), &used);
			at += used;
			while ((plain = tls_read(p->tls)).n > 0) {
				mini_portal_plain(p, now, plain);
				tls_read_done(p->tls, plain.n);
			}
		}
	} else {
		mini_portal_plain(p, now, SPAN(buf, (size_t)n));
	}
	mini_portal_settle(p, now);
}

static inline void mini_portal_on_listener(void *ctx, int fd, unsigned events, u64 now)
{
	struct mini_portal *p = ctx;
	struct endpoint from;
	int conn = tcp_accept(fd, &from);

	(void)events;
	(void)now;
	if (conn < 0)
		return;
	mini_portal_drop(p);
	p->accepted++;
	p->fd = conn;
	p->parser = http_parser_new(HTTP_REQUEST, 0);
	p->watch = loop_fd_add(p->loop, conn, LOOP_READ, mini_portal_on_socket, p);
	if (p->identity && tls_server_new(p->identity, sys_rng(), &p->tls))
		mini_portal_drop(p);
}

/* 0, or why it cannot listen. Port 0: any; p->local tells. */
static inline int mini_portal_start(struct mini_portal *p, struct loop *loop, const struct tls_identity *identity, u16 port)
{
	struct endpoint at = { ip4(127, 0, 0, 1), port };

	p->loop = loop;
	p->identity = identity;
	p->fd = -1;
	p->timer = (struct loop_timer){ .cb = mini_portal_on_timer, .ctx = p };
	p->listener = tcp_listen(&at);
	if (p->listener < 0)
		return p->listener;
	(void)tcp_local(p->listener, &p->local);
	p->listen_watch = loop_fd_add(loop, p->listener, LOOP_READ, mini_portal_on_listener, p);
	return 0;
}

static inline void mini_portal_stop(struct mini_portal *p)
{
	mini_portal_drop(p);
	loop_fd_del(p->listen_watch);
	close(p->listener);
}
