#define LOG_TARGET "portal::conn"

#include "applets/portal/conn.h"

#include "applets/portal/model/forwarded.h"
#include "applets/version.h"
#include "core/base/log.h"
#include "core/http/http.h"
#include "platform/tcp.h"

#include <ctype.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define READ_MAX 16384
#define RESPONSE_MAX 2048
#define READS_PER_EVENT 4 /* then others have their turn */

enum conn_state { CONN_OPENING, CONN_SOCKET, CONN_CLOSING };

struct conn {
	struct server *server;
	struct conn *next, **link;
	struct loop_fd *watch;
	struct loop_timer timer;
	struct loop_task task;
	struct tls *tls;
	struct http_parser *http; /* until the head is complete */
	struct peer *peer;
	u8 *response; /* what is left to write before the peer's own bytes */
	u32 response_len, response_done;
	int fd;
	enum conn_state state;
	struct ip remote;
};

static void conn_free(struct conn *c)
{
	struct server *s = c->server;

	loop_fd_del(c->watch);
	loop_timer_clear(s->loop, &c->timer);
	loop_task_cancel(s->loop, &c->task);
	peer_free(c->peer);
	http_parser_free(c->http);
	tls_free(c->tls);
	free(c->response);
	close(c->fd);
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	s->n_conns--;
	free(c);
	s->changed(s);
}

/* ---- writing ------------------------------------------------------------------------------------------------------------------ */

static struct span plain_output(struct conn *c)
{
	struct server *s = c->server;

	if (c->response_done < c->response_len)
		return SPAN(c->response + c->response_done, c->response_len - c->response_done);
	return c->peer ? peer_output(c->peer, loop_now(s->loop), loop_wall(s->loop)) : SPAN_NONE;
}

static void plain_done(struct conn *c, size_t n)
{
	if (c->response_done < c->response_len) {
		c->response_done += (u32)n;
		if (c->response_done == c->response_len) {
			free(c->response);
			c->response = NULL;
			c->response_len = c->response_done = 0;
		}
	} else if (c->peer) {
		peer_output_done(c->peer, n);
	}
}

/* 0: everything is written; ERR_AGAIN: the network is busy; else the connection is dead. */
static int write_plain(struct conn *c)
{
	struct span out;

	while ((out = plain_output(c)).n > 0) {
		int n = tcp_write(c->fd, out.p, out.n);
		if (n < 0)
			return n;
		plain_done(c, (size_t)n);
	}
	return 0;
}

static int write_tls(struct conn *c)
{
	for (;;) {
		struct span out = plain_output(c);
		size_t taken = out.n > 0 && tls_is_ready(c->tls) ? tls_write(c->tls, out) : 0;

		if (taken > 0)
			plain_done(c, taken);
		out = tls_output(c->tls);
		if (out.n == 0 && taken == 0)
			return 0;
		if (out.n > 0) {
			int n = tcp_write(c->fd, out.p, out.n);
			if (n < 0)
				return n;
			tls_output_done(c->tls, (size_t)n);
		}
	}
}

static bool is_over(const struct conn *c)
{
	return c->state == CONN_CLOSING || (c->peer && peer_is_gone(c->peer));
}

/* Writes what there is; frees the connection when it is over or dead: false. */
static bool flush(struct conn *c)
{
	int rc = c->tls ? write_tls(c) : write_plain(c);

	if (!rc && is_over(c) && c->tls && !tls_is_closed(c->tls)) {
		tls_close(c->tls);
		rc = write_tls(c);
	}
	if ((rc && rc != ERR_AGAIN) || (!rc && is_over(c))) {
		conn_free(c);
		return false;
	}
	loop_fd_set(c->watch, rc == ERR_AGAIN ? LOOP_READ | LOOP_WRITE : LOOP_READ);
	if (is_over(c) && !c->timer.is_set)
		loop_timer_set(c->server->loop, &c->timer, loop_now(c->server->loop) + CONN_CLOSING_TIMEOUT);
	c->server->changed(c->server);
	return true;
}

static void on_task(void *ctx, u64 now)
{
	(void)now;
	(void)flush(ctx);
}

void conn_service(void *server, void *conn)
{
	struct server *s = server;
	struct conn *c = conn;

	if (c)
		loop_task_queue(s->loop, &c->task);
}

/* ---- answering ------------------------------------------------------------------------------------------------------------------ */

static void respond(struct conn *c, const struct wr *w, enum conn_state next)
{
	c->response = wr_ok(w) ? malloc(wr_len(w)) : NULL;
	if (c->response) {
		memcpy(c->response, w->start, wr_len(w));
		c->response_len = (u32)wr_len(w);
	}
	c->state = c->response ? next : CONN_CLOSING;
	if (c->state == CONN_CLOSING)
		loop_timer_set(c->server->loop, &c->timer, loop_now(c->server->loop) + CONN_CLOSING_TIMEOUT);
}

static void respond_problem(struct conn *c, u16 status, const char *code, const char *detail, u32 retry_after)
{
	u8 buf[RESPONSE_MAX];
	struct wr w = wr_init(buf, sizeof(buf));

	phx_problem(&w, status, code, detail, retry_after);
	respond(c, &w, CONN_CLOSING);
}

static void respond_json(struct conn *c, u16 status, const char *state)
{
	char body[128];
	u8 buf[RESPONSE_MAX];
	struct wr w = wr_init(buf, sizeof(buf));
	int n = snprintf(body, sizeof(body), "{\"status\":\"%s\",\"version\":\"" EMBERBOX_VERSION "\"}", state);

	http_put_status(&w, status);
	http_put_field(&w, "Content-Type", SPAN_STR("application/json; charset=utf-8"));
	http_put_field_u64(&w, "Content-Length", (u64)n);
	http_put_field(&w, "Connection", SPAN_STR("close"));
	http_put_end(&w);
	wr_bytes(&w, body, (size_t)n);
	respond(c, &w, CONN_CLOSING);
}

/* spec 60 §6.2; what is not up yet does not answer, so "starting" cannot be seen here */
static void respond_ready(struct conn *c)
{
	const char *draining = c->server->cfg->draining_file;

	if (c->server->is_stopping || (draining && access(draining, F_OK) == 0))
		respond_json(c, 503, "draining");
	else if (store_ping(c->server->portal->store))
		respond_json(c, 503, "database_unavailable");
	else
		respond_json(c, 200, "ready");
}

/* ---- who is it? (spec 60 §0.3) ------------------------------------------------------------------------------------------------------ */

static bool is_proxy(const struct serve_config *cfg, const struct ip *ip)
{
	for (u32 i = 0; i < cfg->n_proxies; i++)
		if (cidr_contains(&cfg->proxies[i], ip))
			return true;
	return false;
}

static void read_place(const struct conn *c, const struct http_head *h, struct hub_request *rq)
{
	struct span region;

	if (!is_proxy(c->server->cfg, &c->remote))
		return;
	region = http_field(h, "x-azure-geo-country");
	if (region.n != 2)
		region = http_field(h, "x-geo-location-region");
	if (region.n == 2 && isalpha(region.p[0]) && isalpha(region.p[1])) {
		rq->region[0] = (char)(region.p[0] & ~0x20);
		rq->region[1] = (char)(region.p[1] & ~0x20);
	}
	rq->place = place_parse(http_field(h, "x-geo-location-coordinates"));
}

/* ---- upgrade ------------------------------------------------------------------------------------------------------------------------- */

static void upgrade(struct conn *c, const struct http_head *h)
{
	struct server *s = c->server;
	struct phx_upgrade *u = calloc(1, sizeof(*u));
	struct hub_request rq = { .upgrade = u, .remote_ip = forwarded_real_ip(c->remote, http_field(h, "x-forwarded-for"),
								       s->cfg->proxies, s->cfg->n_proxies) };
	struct hub_refusal refusal;
	const char *detail = NULL;
	u8 buf[RESPONSE_MAX];
	struct wr w = wr_init(buf, sizeof(buf));
	int status;

	if (!u) {
		respond_problem(c, 503, "overloaded", "Out of memory", 5);
		return;
	}
	status = phx_upgrade_read(h, u, &detail);
	read_place(c, h, &rq);
	if (status) {
		respond_problem(c, (u16)status, NULL, detail, 0);
	} else if (s->is_stopping) {
		respond_problem(c, 503, "stopping", "The portal is going down", 1);
	} else if (hub_admit(s->portal->hub, loop_now(s->loop), loop_wall(s->loop), &rq, c, &c->peer, &refusal)) {
		log_info("connect refused", kv_ip("remote", &rq.remote_ip), kv_u("status", refusal.status), kv_s("reason", refusal.detail));
		respond_problem(c, refusal.status, refusal.code, refusal.detail, refusal.retry_after);
	} else {
		phx_upgrade_accept(&w, u);
		loop_timer_clear(s->loop, &c->timer);
		respond(c, &w, CONN_SOCKET);
	}
	sodium_memzero(u, sizeof(*u));
	free(u);
}

static bool is_get(const struct http_head *h, const char *path)
{
	size_t n = strlen(path);

	return span_eq_nocase(h->method, "GET") && h->target.n >= n && memcmp(h->target.p, path, n) == 0 &&
	       (h->target.n == n || h->target.p[n] == '?');
}

static void handle_request(struct conn *c, const struct http_head *h)
{
	if (phx_is_socket_path(h->target))
		upgrade(c, h);
	else if (is_get(h, "/readyz"))
		respond_ready(c);
	else if (is_get(h, "/healthz"))
		respond_json(c, 200, "ok");
	else
		respond_problem(c, 404, "not_found", "There is nothing at this path", 0);
}

/* ---- reading ---------------------------------------------------------------------------------------------------------------------------- */

static void take_plain(struct conn *c, struct span in)
{
	struct server *s = c->server;

	while (c->state == CONN_OPENING && in.n > 0) {
		struct span body;
		size_t used;
		int ev = http_parser_input(c->http, in, &used, &body);

		if (ev < 0) {
			respond_problem(c, http_parser_status(c->http), NULL, "The request cannot be understood", 0);
			break;
		}
		in = SPAN(in.p + used, in.n - used);
		if (ev == HTTP_HEAD) {
			handle_request(c, http_parser_head(c->http));
			http_parser_free(c->http);
			c->http = NULL;
		}
	}
	if (c->state == CONN_SOCKET && in.n > 0)
		peer_input(c->peer, loop_now(s->loop), loop_wall(s->loop), in);
}

/* The engine takes input only while its plaintext is fetched and its own bytes can leave: 0, or the connection cannot go on. */
static int take_tls(struct conn *c, struct span in)
{
	bool was_stuck = false;

	while (in.n > 0) {
		struct span plain;
		size_t used;
		int rc = tls_input(c->tls, in, &used);

		if (rc)
			return rc;
		in = SPAN(in.p + used, in.n - used);
		bool is_moving = used > 0;
		while ((plain = tls_read(c->tls)).n > 0) {
			take_plain(c, plain);
			tls_read_done(c->tls, plain.n);
			is_moving = true;
		}
		if (!is_moving && was_stuck)
			return ERR_STATE;
		was_stuck = !is_moving;
		if (is_moving)
			continue;
		/* it wants to write first; a peer that takes nothing while it sends is not waited for */
		rc = write_tls(c);
		if (rc)
			return rc;
	}
	return 0;
}

static void at_end(struct conn *c)
{
	struct server *s = c->server;

	if (c->peer)
		peer_eof(c->peer, loop_now(s->loop), loop_wall(s->loop));
	conn_free(c);
}

static void on_event(void *ctx, int fd, unsigned events, u64 now)
{
	static u8 buf[READ_MAX]; /* one loop, one buffer */
	struct conn *c = ctx;

	(void)now;
	for (int i = 0; events & LOOP_READ && i < READS_PER_EVENT; i++) {
		int n = tcp_read(fd, buf, sizeof(buf));

		if (n == ERR_AGAIN)
			break;
		if (n <= 0) {
			at_end(c);
			return;
		}
		if (c->state == CONN_CLOSING)
			continue;
		if (!c->tls)
			take_plain(c, SPAN(buf, (size_t)n));
		else if (take_tls(c, SPAN(buf, (size_t)n))) {
			log_debug("TLS failed", kv_ip("remote", &c->remote));
			(void)write_tls(c);
			conn_free(c);
			return;
		}
	}
	(void)flush(c);
}

static void on_timer(void *ctx, u64 now)
{
	(void)now;
	conn_free(ctx);
}

/* ---- opening ---------------------------------------------------------------------------------------------------------------------------- */

void conn_open(struct server *s, int fd, const struct endpoint *peer)
{
	struct conn *c = calloc(1, sizeof(*c));
	int rc = 0;

	if (!c) {
		close(fd);
		return;
	}
	c->server = s;
	c->fd = fd;
	c->remote = peer->ip;
	c->timer.cb = on_timer;
	c->task.cb = on_task;
	c->timer.ctx = c->task.ctx = c;
	c->next = s->conns;
	c->link = &s->conns;
	if (c->next)
		c->next->link = &c->next;
	s->conns = c;
	s->n_conns++;
	c->http = http_parser_new(HTTP_REQUEST, 0);
	c->watch = loop_fd_add(s->loop, fd, LOOP_READ, on_event, c);
	if (s->identity)
		rc = tls_server_new(s->identity, s->portal->rng, &c->tls);
	if (rc || !c->http || !c->watch) {
		conn_free(c);
		return;
	}
	loop_timer_set(s->loop, &c->timer, loop_now(s->loop) + CONN_OPENING_TIMEOUT);
}

void conn_free_all(struct server *s)
{
	while (s->conns)
		conn_free(s->conns);
}
