/* tests/unit/http_peer.h: a web server on the test's loop that says what it is told, for tests of whoever asks others over HTTP.
 *
 * Each connection's requests are read whole and handed to `answer`, which writes the whole response into the buffer; nothing written: the
 * server stays silent. `closes`: the connection ends after the response. `trickle`: one byte per turn.
 */
#pragma once

#include "core/base/strbuf.h"
#include "core/http/http.h"
#include "core/http/tls.h"
#include "core/loop/loop.h"
#include "platform/sys.h"
#include "platform/tcp.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HTTP_PEER_CONNS 32

struct http_peer;

struct http_peer_conn {
	struct http_peer *peer;
	int fd;
	struct loop_fd *watch;
	struct tls *tls;
	struct http_parser *parser;
	struct strbuf body, out;
	size_t sent;
	char head[2000];
};

struct http_peer {
	struct loop *loop;
	const struct tls_identity *identity;
	int listener;
	struct endpoint local;
	struct loop_fd *watch;
	bool closes, closes_unasked;
	u32 accepted, requests;
	void (*answer)(struct http_peer *p, const char *target, const struct http_head *head, struct span body, struct strbuf *out);
	void *ctx;
	struct http_peer_conn conn[HTTP_PEER_CONNS];
};

static inline void http_peer_drop(struct http_peer_conn *c)
{
	loop_fd_del(c->watch);
	if (c->tls) {
		tls_close(c->tls);
		struct span out = tls_output(c->tls);
		if (out.n > 0)
			(void)tcp_write(c->fd, out.p, out.n);
	}
	tls_free(c->tls);
	http_parser_free(c->parser);
	strbuf_free(&c->body);
	strbuf_free(&c->out);
	if (c->fd >= 0)
		close(c->fd);
	*c = (struct http_peer_conn){ .peer = c->peer, .fd = -1 };
}

static inline void http_peer_write(struct http_peer_conn *c)
{
	for (;;) {
		struct span out = SPAN(c->out.p ? c->out.p + c->sent : NULL, c->out.n - c->sent);
		if (c->tls) {
			if (out.n > 0 && tls_is_ready(c->tls))
				c->sent += tls_write(c->tls, out);
			out = tls_output(c->tls);
		}
		if (out.n == 0)
			break;
		int n = tcp_write(c->fd, out.p, out.n);
		if (n <= 0)
			break;
		if (c->tls)
			tls_output_done(c->tls, (size_t)n);
		else
			c->sent += (size_t)n;
	}
	loop_fd_set(c->watch, c->sent < c->out.n ? LOOP_READ | LOOP_WRITE : LOOP_READ);
}

static inline void http_peer_take(struct http_peer_conn *c, struct span in)
{
	struct http_peer *p = c->peer;

	for (;;) {
		size_t used;
		struct span piece;
		int rc = http_parser_input(c->parser, in, &used, &piece);
		in = SPAN(in.p + used, in.n - used);
		if (rc == HTTP_BODY)
			strbuf_add(&c->body, piece.p, piece.n);
		if (rc == HTTP_DONE) {
			const struct http_head *h = http_parser_head(c->parser);
			char target[2000] = "";
			memcpy(target, h->target.p, h->target.n < sizeof(target) ? h->target.n : sizeof(target) - 1);
			p->requests++;
			p->answer(p, target, h, strbuf_span(&c->body), &c->out);
			strbuf_reset(&c->body);
			http_parser_reset(c->parser);
			return;
		}
		if (rc < 0 || rc == HTTP_MORE)
			return;
	}
}

static inline void http_peer_on_conn(void *ctx, int fd, unsigned events, u64 now)
{
	struct http_peer_conn *c = ctx;
	u8 buf[4096];

	(void)now;
	if (events & LOOP_READ) {
		int n = tcp_read(fd, buf, sizeof(buf));
		if (n < 0 && n != ERR_AGAIN) {
			http_peer_drop(c);
			return;
		}
		size_t at = 0;
		while (n > 0 && c->tls && at < (size_t)n) {
			size_t used;
			struct span plain;
			if (tls_input(c->tls, SPAN(buf + at, (size_t)n - at), &used)) {
				http_peer_drop(c);
				return;
			}
			at += used;
			while ((plain = tls_read(c->tls)).n > 0) {
				http_peer_take(c, plain);
				tls_read_done(c->tls, plain.n);
			}
			http_peer_write(c);
		}
		if (n > 0 && !c->tls)
			http_peer_take(c, SPAN(buf, (size_t)n));
	}
	http_peer_write(c);
	if (c->peer->closes && c->out.n > 0 && c->sent == c->out.n)
		http_peer_drop(c);
}

static inline void http_peer_on_accept(void *ctx, int fd, unsigned events, u64 now)
{
	struct http_peer *p = ctx;
	struct endpoint from;

	(void)events, (void)now;
	int client = tcp_accept(fd, &from);
	for (u32 i = 0; client >= 0 && i < HTTP_PEER_CONNS; i++) {
		struct http_peer_conn *c = &p->conn[i];
		if (c->fd >= 0)
			continue;
		c->fd = client;
		p->accepted++;
		c->parser = http_parser_new(HTTP_REQUEST, 0);
		if (p->identity && tls_server_new(p->identity, sys_rng(), &c->tls))
			abort();
		c->watch = loop_fd_add(p->loop, client, LOOP_READ, http_peer_on_conn, c);
		return;
	}
	if (client >= 0)
		close(client);
}

static inline bool http_peer_start(struct http_peer *p, struct loop *loop, const struct tls_identity *identity)
{
	struct endpoint local = { ip4(127, 0, 0, 1), 0 };

	p->loop = loop;
	p->identity = identity;
	for (u32 i = 0; i < HTTP_PEER_CONNS; i++)
		p->conn[i] = (struct http_peer_conn){ .peer = p, .fd = -1 };
	p->listener = tcp_listen(&local);
	if (p->listener < 0 || tcp_local(p->listener, &p->local))
		return false;
	p->watch = loop_fd_add(loop, p->listener, LOOP_READ, http_peer_on_accept, p);
	return p->watch != NULL;
}

static inline void http_peer_drop_all(struct http_peer *p)
{
	for (u32 i = 0; i < HTTP_PEER_CONNS; i++)
		if (p->conn[i].fd >= 0)
			http_peer_drop(&p->conn[i]);
}

static inline void http_peer_stop(struct http_peer *p)
{
	http_peer_drop_all(p);
	loop_fd_del(p->watch);
	close(p->listener);
}

static inline void http_peer_ok(struct strbuf *out, const char *body)
{
	strbuf_printf(out, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
}
