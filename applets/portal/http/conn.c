#define LOG_TARGET "portal::conn"

#include "applets/portal/http/conn.h"

#include "applets/portal/http/exchange_int.h"
#include "applets/portal/model/forwarded.h"
#include "core/base/log.h"
#include "core/http/http.h"
#include "platform/tcp.h"

#include <sodium.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_MAX 16384
#define RESPONSE_MAX 2048
#define READS_PER_EVENT 4 /* then others have their turn */
#define BODY_MAX (16u * 1024u * 1024u) /* of any route */

enum conn_state { CONN_HEAD, CONN_BODY, CONN_ANSWERING, CONN_WAITING, CONN_SOCKET, CONN_CLOSING };

struct conn {
	struct server *server;
	struct conn *next, **link;
	struct conn *next_waiting;
	struct loop_fd *watch;
	struct loop_timer timer;
	struct loop_task task;
	struct held held; /* an upgrade, for the disk */
	struct tls *tls;
	struct http_parser *http; /* from the first byte of a request until it is answered */
	struct run *run;	  /* from its head on */
	struct strbuf body;
	struct strbuf ahead;	  /* bytes of requests that are not looked at yet */
	struct peer *peer;
	u8 *response; /* what is left to write before the exchange's and the peer's own bytes */
	u32 response_len, response_done;
	int fd;
	enum conn_state state;
	bool has_ended;	 /* the peer sends nothing any more */
	bool has_more;	 /* of what it sent something was not read: a close would cut off our answer */
	bool is_shut;	 /* our side is */
	bool was_waiting; /* for the page, when last looked at */
	bool is_counted;  /* in the crowd */
	u64 began;	 /* of the state, for CONN_BODY */
	struct ip remote;
};

static void set_timer(struct conn *c, u64 timeout)
{
	loop_timer_set(c->server->loop, &c->timer, loop_now(c->server->loop) + timeout);
}

static void end_request(struct conn *c)
{
	exchange_free(c->run);
	http_parser_free(c->http);
	if (c->body.p)
		sodium_memzero(c->body.p, c->body.n); /* passwords */
	strbuf_free(&c->body);
	c->run = NULL;
	c->http = NULL;
}

static void stop_waiting(struct conn *c)
{
	struct conn **at = &c->server->waiting;

	while (*at && *at != c)
		at = &(*at)->next_waiting;
	if (!*at)
		return;
	*at = c->next_waiting;
	if (!*at)
		c->server->waiting_end = at;
}

static void leave_crowd(struct conn *c)
{
	if (c->is_counted)
		crowd_leave(&c->server->crowd, &c->remote);
	c->is_counted = false;
}

static void conn_free(struct conn *c)
{
	struct server *s = c->server;

	leave_crowd(c);
	if (c->state == CONN_WAITING)
		stop_waiting(c);
	loop_fd_del(c->watch);
	loop_timer_clear(s->loop, &c->timer);
	held_cancel(&c->held);
	end_request(c);
	loop_task_cancel(s->loop, &c->task);
	peer_free(c->peer);
	tls_free(c->tls);
	strbuf_free(&c->ahead);
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

	if (c->held.ticket)
		return SPAN_NONE;
	if (c->response_done < c->response_len)
		return SPAN(c->response + c->response_done, c->response_len - c->response_done);
	if (c->run)
		return exchange_output(c->run);
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
	} else if (c->run) {
		exchange_output_done(c->run, n);
	} else if (c->peer) {
		peer_output_done(c->peer, n);
	}
	if (c->state == CONN_ANSWERING)
		loop_timer_clear(c->server->loop, &c->timer); /* it takes something: flush() begins to wait anew */
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

/* Closing a socket with bytes unread in it resets the connection, and the answer with it: the peer hears of the end first. */
static bool may_linger(struct conn *c)
{
	if (!c->has_more || c->has_ended)
		return false;
	if (!c->is_shut)
		(void)shutdown(c->fd, SHUT_WR);
	c->is_shut = true;
	return true;
}

static void next_request(struct conn *c)
{
	bool is_kept = exchange_keeps_alive(c->run) && !(c->has_ended && c->ahead.n == 0) && !c->server->is_stopping;

	end_request(c);
	if (is_kept) {
		c->state = CONN_HEAD;
		set_timer(c, CONN_IDLE_TIMEOUT);
		if (c->ahead.n > 0)
			loop_task_queue(c->server->loop, &c->task);
	} else {
		c->state = CONN_CLOSING;
		c->has_more = c->has_more || c->ahead.n > 0;
		set_timer(c, CONN_CLOSING_TIMEOUT);
	}
}

static void watch(struct conn *c, bool wants_write)
{
	bool is_busy = c->state == CONN_WAITING || c->state == CONN_ANSWERING;
	bool wants_read = !c->has_ended && (!is_busy || c->ahead.n < CONN_AHEAD_MAX);

	loop_fd_set(c->watch, (wants_read ? LOOP_READ : 0) | (wants_write ? LOOP_WRITE : 0));
}

/* Who is waited for: nobody in a stream that says nothing, the page that works on its answer, or the peer who reads it. */
static void watch_answer(struct conn *c)
{
	bool is_waiting = exchange_is_waiting(c->run);

	if (is_waiting != c->was_waiting || (is_waiting && exchange_is_stream(c->run)))
		loop_timer_clear(c->server->loop, &c->timer);
	c->was_waiting = is_waiting;
	if (!c->timer.is_set && !(is_waiting && exchange_is_stream(c->run)))
		set_timer(c, is_waiting ? CONN_ANSWER_TIMEOUT : CONN_WRITE_TIMEOUT);
}

/* Writes what there is; frees the connection when it is over or dead: false. */
static bool flush(struct conn *c)
{
	int rc = c->tls ? write_tls(c) : write_plain(c);

	if (!rc && c->run && exchange_is_over(c->run))
		next_request(c);
	if (!rc && is_over(c) && c->tls && !tls_is_closed(c->tls)) {
		tls_close(c->tls);
		rc = write_tls(c);
	}
	if ((rc && rc != ERR_AGAIN) || (c->run && exchange_is_broken(c->run)) || (!rc && is_over(c) && !may_linger(c))) {
		conn_free(c);
		return false;
	}
	watch(c, rc == ERR_AGAIN);
	if (is_over(c) && !c->timer.is_set)
		set_timer(c, CONN_CLOSING_TIMEOUT);
	if (c->state == CONN_ANSWERING)
		watch_answer(c);
	c->server->changed(c->server);
	return true;
}

void conn_service(void *server, void *conn)
{
	struct server *s = server;
	struct conn *c = conn;

	if (c)
		loop_task_queue(s->loop, &c->task);
}

static void on_output(void *conn)
{
	struct conn *c = conn;

	loop_task_queue(c->server->loop, &c->task);
}

/* ---- answering ------------------------------------------------------------------------------------------------------------------ */

static void respond(struct conn *c, const struct wr *w, enum conn_state next)
{
	free(c->response);
	c->response = wr_ok(w) ? malloc(wr_len(w)) : NULL;
	c->response_done = c->response_len = 0;
	if (c->response) {
		memcpy(c->response, w->start, wr_len(w));
		c->response_len = (u32)wr_len(w);
	}
	c->state = c->response ? next : CONN_CLOSING;
	if (c->state == CONN_CLOSING)
		set_timer(c, CONN_CLOSING_TIMEOUT);
}

static void respond_problem(struct conn *c, u16 status, const char *code, const char *detail, u32 retry_after)
{
	u8 buf[RESPONSE_MAX];
	struct wr w = wr_init(buf, sizeof(buf));

	phx_problem(&w, status, code, detail, retry_after);
	respond(c, &w, CONN_CLOSING);
	c->has_more = true;
}

/* ---- upgrade ------------------------------------------------------------------------------------------------------------------------- */

static void upgrade(struct conn *c, struct exchange *x)
{
	struct server *s = c->server;
	struct phx_upgrade *u = calloc(1, sizeof(*u));
	struct hub_request rq = { .upgrade = u, .remote_ip = x->remote_ip };
	struct hub_refusal refusal;
	const char *detail = NULL;
	u8 buf[RESPONSE_MAX];
	struct wr w = wr_init(buf, sizeof(buf));
	int status;

	if (!u) {
		respond_problem(c, 503, "overloaded", "Out of memory", 5);
		return;
	}
	memcpy(rq.region, x->region, sizeof(rq.region));
	memcpy(rq.city, x->city, sizeof(rq.city));
	rq.place = x->place;
	status = phx_upgrade_read(x->head, u, &detail);
	if (status) {
		respond_problem(c, (u16)status, status == 404 ? "not_found" : "invalid_connect_params", detail, 0);
	} else if (s->is_stopping || s->is_starting) {
		respond_problem(c, 503, s->is_stopping ? "stopping" : "starting",
				s->is_stopping ? "The portal is going down" : "The portal is starting", 1);
	} else if (hub_admit(s->portal->hub, loop_now(s->loop), loop_wall(s->loop), &rq, c, &c->peer, &refusal)) {
		log_info("connect refused", kv_ip("remote", &rq.remote_ip), kv_u("status", refusal.status), kv_s("reason", refusal.detail));
		respond_problem(c, refusal.status, refusal.code, refusal.detail, refusal.retry_after);
	} else {
		phx_upgrade_accept(&w, u);
		loop_timer_clear(s->loop, &c->timer);
		leave_crowd(c);
		respond(c, &w, CONN_SOCKET);
		server_hold(s, &c->held, store_sweeps(s->portal->store), on_output, c);
		s->stats.upgrades++;
	}
	sodium_memzero(u, sizeof(*u));
	free(u);
}

/* After a restart all peers come at once: they are let in in the order in which they came, few at a time, so that others are served between. */
static void wait_for_upgrade(struct conn *c)
{
	struct server *s = c->server;

	c->state = CONN_WAITING;
	c->next_waiting = NULL;
	if (!s->waiting)
		s->waiting_end = &s->waiting;
	*s->waiting_end = c;
	s->waiting_end = &c->next_waiting;
	loop_timer_clear(s->loop, &c->timer);
	loop_task_queue(s->loop, &s->waiting_task);
}

static void take_ahead(struct conn *c);

void conn_upgrade_some(void *server, u64 now)
{
	struct server *s = server;
	struct conn *c;

	(void)now;
	if (store_is_far_behind(s->portal->store))
		return; /* server_settled() goes on */
	for (u32 i = 0; i < CONN_UPGRADES_PER_TURN && (c = s->waiting); i++) {
		stop_waiting(c);
		upgrade(c, &c->run->x);
		end_request(c);
		take_ahead(c);
		(void)flush(c);
	}
	if (s->waiting)
		loop_task_queue(s->loop, &s->waiting_task);
}

/* ---- requests -------------------------------------------------------------------------------------------------------------------------- */

static void run_request(struct conn *c)
{
	c->state = CONN_ANSWERING;
	c->was_waiting = false;
	set_timer(c, CONN_WRITE_TIMEOUT);
	exchange_run(c->run, strbuf_span(&c->body));
}

static void refuse_request(struct conn *c, u16 status, const char *reason)
{
	c->state = CONN_ANSWERING;
	c->has_more = true;
	set_timer(c, CONN_WRITE_TIMEOUT);
	exchange_refuse(c->run, status, reason);
}

#define TOO_LARGE "More was sent than this page takes."

static void expect_body(struct conn *c, const struct http_head *h)
{
	struct span expectation = http_field(h, "expect");
	u8 buf[64];
	struct wr w = wr_init(buf, sizeof(buf));

	if (h->has_length && h->length > exchange_body_max(c->run)) {
		refuse_request(c, 413, TOO_LARGE);
	} else if (exchange_is_refused(c->run)) {
		c->has_more = true;
		run_request(c);
	} else if (expectation.p && !span_eq_nocase(expectation, "100-continue")) {
		refuse_request(c, 417, NULL);
	} else {
		c->began = loop_now(c->server->loop);
		c->body.max = (size_t)exchange_body_max(c->run) + 2;
		set_timer(c, CONN_BODY_TIMEOUT);
		c->state = CONN_BODY;
		if (expectation.p && h->minor > 0) {
			wr_str(&w, "HTTP/1.1 100 Continue\r\n\r\n");
			respond(c, &w, CONN_BODY);
		}
	}
}

static void on_head(struct conn *c)
{
	const struct http_head *h = http_parser_head(c->http);

	c->run = exchange_new(c->server, h, &c->remote, on_output, c);
	if (!c->run) {
		respond_problem(c, 503, "overloaded", "Out of memory", 5);
	} else if (phx_is_socket_path(h->target)) {
		wait_for_upgrade(c);
	} else if (h->is_chunked || (h->has_length && h->length > 0)) {
		expect_body(c, h);
	}
}

static void on_body(struct conn *c, struct span piece)
{
	if (c->body.n + piece.n > exchange_body_max(c->run))
		refuse_request(c, 413, TOO_LARGE);
	else
		strbuf_add(&c->body, piece.p, piece.n);
}

/* Feeds one request; what is behind it is returned. */
static struct span take_request(struct conn *c, struct span in)
{
	if (!c->http) {
		c->http = http_parser_new(HTTP_REQUEST, BODY_MAX);
		set_timer(c, CONN_HEAD_TIMEOUT);
	}
	if (!c->http) {
		respond_problem(c, 503, "overloaded", "Out of memory", 5);
		return in;
	}
	while (c->state == CONN_HEAD || c->state == CONN_BODY) {
		struct span body;
		size_t used;
		int ev = http_parser_input(c->http, in, &used, &body);

		in = SPAN(in.p + used, in.n - used);
		if (ev == HTTP_HEAD) {
			on_head(c);
		} else if (ev == HTTP_BODY) {
			on_body(c, body);
		} else if (ev == HTTP_DONE && !strbuf_ok(&c->body)) {
			refuse_request(c, 503, NULL);
		} else if (ev == HTTP_DONE) {
			run_request(c);
		} else if (ev == HTTP_MORE) {
			break;
		} else if (c->run) {
			refuse_request(c, http_parser_status(c->http), "The request cannot be understood.");
		} else {
			respond_problem(c, http_parser_status(c->http), NULL, "The request cannot be understood", 0);
		}
	}
	return in;
}

static void take_plain(struct conn *c, struct span in)
{
	struct server *s = c->server;

	if ((c->state == CONN_HEAD || c->state == CONN_BODY) && in.n > 0)
		in = take_request(c, in);
	if (in.n == 0)
		return;
	if (c->state == CONN_ANSWERING || c->state == CONN_WAITING)
		strbuf_add(&c->ahead, in.p, in.n);
	else if (c->state == CONN_SOCKET)
		peer_input(c->peer, loop_now(s->loop), loop_wall(s->loop), in);
}

/* One request that was sent ahead; the rest waits for its answer. */
static void take_ahead(struct conn *c)
{
	struct strbuf in = c->ahead;

	if ((c->state != CONN_HEAD && c->state != CONN_SOCKET) || in.n == 0)
		return;
	c->ahead = (struct strbuf){ 0 };
	take_plain(c, strbuf_span(&in));
	strbuf_free(&in);
	if (c->state == CONN_HEAD && c->has_ended)
		c->state = CONN_CLOSING;
}

static void on_task(void *ctx, u64 now)
{
	struct conn *c = ctx;

	(void)now;
	take_ahead(c);
	(void)flush(c);
}

/* ---- reading ---------------------------------------------------------------------------------------------------------------------------- */

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

/* No more will come. Over plain TCP that may be only half of the connection: a request that is complete gets its answer. False: freed. */
static bool at_end(struct conn *c, int rc)
{
	struct server *s = c->server;

	c->has_ended = true;
	if (c->peer)
		peer_eof(c->peer, loop_now(s->loop), loop_wall(s->loop));
	if (rc == ERR_CLOSED && !c->tls && c->state == CONN_ANSWERING && !exchange_is_stream(c->run))
		return true;
	conn_free(c);
	return false;
}

/* Peers have had their share of this turn of the loop, or of the disk: they keep, pages are waited for. */
static bool is_late(struct server *s, u64 now)
{
	u64 turn = loop_stats(s->loop)->turns;

	if (s->portal->store && store_is_far_behind(s->portal->store)) {
		loop_rest(s->loop, LOOP_REST_MAX);
		return true;
	}
	if (s->turn != turn) {
		s->turn = turn;
		s->turn_began = now;
	}
	return time_since(now, s->turn_began) > CONN_TURN_TIME;
}

static void on_event(void *ctx, int fd, unsigned events, u64 now)
{
	static u8 buf[READ_MAX]; /* one loop, one buffer */
	struct conn *c = ctx;

	if (c->state == CONN_SOCKET && is_late(c->server, now))
		return; /* what is ready stays ready */
	for (int i = 0; events & LOOP_READ && i < READS_PER_EVENT && !c->has_ended; i++) {
		int n = tcp_read(fd, buf, sizeof(buf));

		if (n == ERR_AGAIN)
			break;
		if (n <= 0) {
			if (at_end(c, n))
				break;
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
		if (c->ahead.n >= CONN_AHEAD_MAX)
			break;
	}
	(void)flush(c);
}

/* ---- time -------------------------------------------------------------------------------------------------------------------------------- */

static void on_timer(void *ctx, u64 now)
{
	struct conn *c = ctx;

	switch (c->state) {
	case CONN_HEAD:
		if (!c->http)
			break; /* silence between requests is no fault */
		c->server->stats.timeouts++;
		respond_problem(c, 408, NULL, "The request did not come to its end in time", 0);
		(void)flush(c);
		return;
	case CONN_BODY:
		if (now < c->began + CONN_BODY_TIMEOUT + c->body.n / CONN_BODY_RATE * NSEC_PER_SEC) {
			loop_timer_set(c->server->loop, &c->timer, c->began + CONN_BODY_TIMEOUT + c->body.n / CONN_BODY_RATE * NSEC_PER_SEC);
			return;
		}
		c->server->stats.timeouts++;
		refuse_request(c, 408, "The request did not come to its end in time.");
		(void)flush(c);
		return;
	case CONN_ANSWERING:
		c->server->stats.timeouts++;
		if (!exchange_is_waiting(c->run))
			break;
		exchange_give_up(c->run);
		(void)flush(c);
		return;
	case CONN_WAITING:
	case CONN_SOCKET:
	case CONN_CLOSING:
		break;
	}
	conn_free(c);
}

/* ---- opening and closing ------------------------------------------------------------------------------------------------------------------- */

static bool is_counted(const struct server *s, const struct ip *ip)
{
	const struct serve_config *cfg = s->cfg;
	const struct forwarders f = { .proxies = cfg->proxies, .n_proxies = cfg->n_proxies, .clients = cfg->private_clients, .n_clients = cfg->n_private_clients };

	return !ip_is_loopback(ip) && !forwarded_is_proxy(&f, ip);
}

/* One address with too many is told of once in a while: it is either an attack or an office that has outgrown the limit. */
static void tell_of_crowd(struct server *s, const struct ip *ip)
{
	u64 now = loop_now(s->loop);

	if (s->crowd.told && time_since(now, s->crowd.told) < CONN_CROWD_TOLD)
		return;
	s->crowd.told = now;
	log_warn("an address has too many connections open, no more are taken from it", kv_ip("remote", ip), kv_u("limit", s->cfg->conns_per_address),
		 kv_u("refused", s->crowd.refused));
}

void conn_open(struct server *s, int fd, const struct endpoint *peer)
{
	bool counts = is_counted(s, &peer->ip);
	int rc = counts ? crowd_enter(&s->crowd, s->portal->rng, &peer->ip, s->cfg->conns_per_address) : 0;
	struct conn *c = rc ? NULL : calloc(1, sizeof(*c));

	if (rc == ERR_LIMIT)
		tell_of_crowd(s, &peer->ip);
	if (!c) {
		if (!rc && counts)
			crowd_leave(&s->crowd, &peer->ip);
		close(fd);
		return;
	}
	c->is_counted = counts;
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
	s->stats.connections++;
	c->watch = loop_fd_add(s->loop, fd, LOOP_READ, on_event, c);
	if (s->identity)
		rc = tls_server_new(s->identity, s->portal->rng, &c->tls);
	if (rc || !c->watch) {
		conn_free(c);
		return;
	}
	set_timer(c, CONN_HEAD_TIMEOUT);
}

void conn_stop_all(struct server *s)
{
	for (struct conn *c = s->conns, *next; c; c = next) {
		next = c->next;
		if (c->state == CONN_HEAD && c->ahead.n == 0) {
			c->state = CONN_CLOSING;
			(void)flush(c);
		}
	}
}

void conn_end_streams(struct server *s)
{
	for (struct conn *c = s->conns; c; c = c->next)
		if (c->state == CONN_ANSWERING && exchange_is_stream(c->run))
			exchange_give_up(c->run);
}

void conn_give_up_all(struct server *s)
{
	for (struct conn *c = s->conns; c; c = c->next)
		if (c->state == CONN_ANSWERING)
			exchange_give_up(c->run);
}

void conn_free_all(struct server *s)
{
	while (s->conns)
		conn_free(s->conns);
}
