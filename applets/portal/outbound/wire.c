/* One connection of a fetch: a dial, TLS, bytes; kept for another fetch of the same origin when it ended well. */
#include "applets/portal/outbound/fetch_int.h"

#include "applets/common/ca.h"
#include "applets/common/tls_socket.h"
#include "applets/portal/outbound/guard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG_TARGET "fetch"
#include "core/base/log.h"

#define READ_BYTES 16384u
#define READS_PER_EVENT 4u

static void on_socket(void *ctx, int fd, unsigned events, u64 now);

void wire_free(struct wire *w)
{
	struct fetcher *f = w->fetcher;

	dial_cancel(&w->dial);
	if (w->phase == WIRE_IDLE)
		f->n_idle--;
	if (w->tls) {
		tls_close(w->tls);
		tls_flush(w->tls, w->fd);
		tls_free(w->tls);
	}
	loop_timer_clear(f->loop, &w->timer);
	loop_fd_del(w->watch);
	if (w->fd >= 0)
		close(w->fd);
	http_parser_free(w->parser);
	*w->link = w->next;
	if (w->next)
		w->next->link = w->link;
	free(w);
}

/* The connection is of no more use; what happens to its fetch depends on how far it came. */
static void fail(struct wire *w, int err, const char *what)
{
	struct fetch *x = w->fetch;
	bool again = w->is_reused && !w->has_input;
	char reason[FETCH_WHY_MAX];

	snprintf(reason, sizeof(reason), "%s", what); /* it may be the wire's own */
	if (x)
		fetch_detach(x);
	wire_free(w);
	if (x && again)
		fetch_again(x);
	else if (x)
		fetch_failed(x, err, "%.100s: %s", x->host, reason);
}

/* --- open ----------------------------------------------------------------------------------------------------------------------------------- */

static void send_more(struct wire *w)
{
	struct fetch *x = w->fetch;
	bool is_blocked = false;

	while (x && !is_blocked) {
		struct span out = SPAN(x->request.p + w->sent, x->request.n - w->sent);
		if (w->tls) {
			if (tls_is_ready(w->tls) && out.n > 0)
				w->sent += tls_write(w->tls, out);
			out = tls_output(w->tls);
		}
		if (out.n == 0)
			break;
		int n = tcp_write(w->fd, out.p, out.n);
		if (n == ERR_AGAIN)
			is_blocked = true;
		else if (n <= 0)
			break; /* reading will tell, after what the server may have said before */
		else if (w->tls)
			tls_output_done(w->tls, (size_t)n);
		else
			w->sent += (size_t)n;
	}
	loop_fd_set(w->watch, is_blocked ? LOOP_READ | LOOP_WRITE : LOOP_READ);
}

/* 1: the answer is complete; 0: more must come; negative: it will not. */
static int take_plain(struct wire *w, struct span in)
{
	struct fetch *x = w->fetch;

	if (in.n > 0)
		w->has_input = true;
	for (;;) {
		size_t used = 0;
		struct span piece = SPAN_NONE;
		int rc = http_parser_input(w->parser, in, &used, &piece);
		if (rc < 0)
			return rc;
		in = SPAN(in.p + used, in.n - used);
		w->has_excess = in.n > 0;
		if (rc == HTTP_BODY) {
			if (x->body.n + piece.n > x->body_max)
				return ERR_LIMIT;
			strbuf_add(&x->body, piece.p, piece.n);
			if (!strbuf_ok(&x->body))
				return ERR_NOMEM;
		}
		if (rc == HTTP_DONE && http_parser_head(w->parser)->status < 200)
			http_parser_reset(w->parser); /* 100 Continue, 103 Early Hints */
		else if (rc == HTTP_DONE)
			return 1;
		if (rc == HTTP_MORE)
			return 0;
	}
}

static int take_tls(struct wire *w, struct span in)
{
	size_t at = 0, used;
	struct span plain;
	int rc = 0, got = 0;

	do {
		rc = tls_input(w->tls, SPAN(in.p + at, in.n - at), &used);
		at += used;
		while (got == 0 && (plain = tls_read(w->tls)).n > 0) {
			got = take_plain(w, plain);
			tls_read_done(w->tls, plain.n);
			used = plain.n;
		}
		if (got)
			return got;
		tls_flush(w->tls, w->fd);
	} while (rc == 0 && used > 0 && at < in.n);
	return rc;
}

static void keep_or_free(struct wire *w, bool keep_alive)
{
	struct fetcher *f = w->fetcher;

	if (!keep_alive || f->n_idle >= FETCH_IDLE_MAX || (w->tls && (tls_is_closed(w->tls) || tls_error(w->tls)))) {
		wire_free(w);
		return;
	}
	w->phase = WIRE_IDLE;
	f->n_idle++;
	loop_fd_set(w->watch, LOOP_READ);
	loop_timer_set(f->loop, &w->timer, loop_now(f->loop) + FETCH_IDLE);
}

static void complete(struct wire *w)
{
	const struct http_head *head = http_parser_head(w->parser);
	bool keep_alive = head->keep_alive && !head->is_until_close && !w->has_excess && w->sent == w->fetch->request.n;

	fetch_answered(w->fetch, head);
	keep_or_free(w, keep_alive);
}

/* What a failure of the bytes is called. */
static const char *reason_of(const struct wire *w, int rc)
{
	if (w->tls && tls_error(w->tls))
		return tls_reason(w->tls);
	return rc == ERR_LIMIT	     ? "the answer is too large" :
	       rc == ERR_MALFORMED   ? "the answer is not proper HTTP" :
	       rc == ERR_UNSUPPORTED ? "the answer is of a kind that is not supported" :
	       rc == ERR_TRUNCATED   ? "the answer was cut short" :
	       rc == ERR_CLOSED	     ? "the connection was closed without an answer" :
				       err_str(rc);
}

/* The stream has ended: for some answers that is their proper end. */
static int take_eof(struct wire *w, int why)
{
	int cut = w->tls ? tls_input_eof(w->tls) : 0;

	if (why != ERR_CLOSED || cut)
		return w->has_input ? ERR_TRUNCATED : ERR_CLOSED;
	int rc = w->has_input ? http_parser_eof(w->parser) : ERR_CLOSED;
	return rc == HTTP_DONE ? 1 : rc < 0 ? rc : ERR_TRUNCATED;
}

static void on_socket(void *ctx, int fd, unsigned events, u64 now)
{
	static u8 buf[READ_BYTES];
	struct wire *w = ctx;

	(void)now;
	if (w->phase == WIRE_IDLE) { /* whatever it is, nobody asked */
		wire_free(w);
		return;
	}
	for (u32 i = 0; events & LOOP_READ && i < READS_PER_EVENT; i++) {
		int n = tcp_read(fd, buf, sizeof(buf));
		if (n == ERR_AGAIN)
			break;
		int rc = n < 0 ? take_eof(w, n) : w->tls ? take_tls(w, SPAN(buf, (size_t)n)) : take_plain(w, SPAN(buf, (size_t)n));
		if (rc > 0) {
			complete(w);
			return;
		}
		if (rc < 0) {
			fail(w, rc, reason_of(w, rc));
			return;
		}
		if (w->tls && tls_is_closed(w->tls)) {
			rc = take_eof(w, ERR_CLOSED);
			if (rc > 0)
				complete(w);
			else
				fail(w, rc, reason_of(w, rc));
			return;
		}
	}
	send_more(w);
}

static bool load_anchors(struct fetcher *f, char *why, size_t why_cap)
{
	return f->anchors || ca_load(f->ca_file, &f->anchors, why, why_cap) == 0;
}

static void open_socket(struct wire *w, int fd)
{
	struct fetcher *f = w->fetcher;
	char why[FETCH_WHY_MAX] = "out of memory";

	w->fd = fd;
	w->phase = WIRE_OPEN;
	w->parser = http_parser_new(HTTP_RESPONSE, w->fetch->body_max);
	w->watch = loop_fd_add(f->loop, fd, LOOP_READ, on_socket, w);
	if (!w->watch || !w->parser || (w->is_tls && !load_anchors(f, why, sizeof(why))) ||
	    (w->is_tls && tls_client_new(f->anchors, w->host, loop_wall(f->loop) / NSEC_PER_SEC, f->rng, &w->tls))) {
		fail(w, ERR_NOMEM, why);
		return;
	}
	send_more(w);
}

/* --- the way there ---------------------------------------------------------------------------------------------------------------------------- */

static void on_idle_timer(void *ctx, u64 now)
{
	(void)now;
	wire_free(ctx);
}

static bool refuses(void *ctx, const struct ip *ip)
{
	const struct wire *w = ctx;

	return !w->fetcher->allow_internal && guard_refuses(ip);
}

static void on_dialled(void *ctx, const struct dial_result *r)
{
	struct wire *w = ctx;

	w->phase = WIRE_OPEN; /* perhaps without a socket */
	if (r->error == 0) {
		open_socket(w, r->fd);
	} else if (r->step == DIAL_ALLOWED) {
		w->fetcher->stats.refused++;
		log_warn("a connection to an internal address was refused", kv_s("host", w->host));
		fail(w, r->error, "this name leads to an internal address, which is not allowed (see --allow-internal-idps)");
	} else {
		fail(w, r->error, dial_reason(r));
	}
}

static struct wire *find_idle(const struct fetch *x)
{
	for (struct wire *w = x->fetcher->wires; w; w = w->next)
		if (w->phase == WIRE_IDLE && w->is_tls == x->is_tls && w->port == x->port && strcmp(w->host, x->host) == 0)
			return w;
	return NULL;
}

static void reuse(struct wire *w)
{
	w->phase = WIRE_OPEN;
	w->fetcher->n_idle--;
	w->fetcher->stats.reused++;
	w->is_reused = true;
	w->has_input = false;
	w->sent = 0;
	loop_timer_clear(w->fetcher->loop, &w->timer);
	http_parser_reset(w->parser);
	send_more(w);
}

static struct wire *wire_new(struct fetch *x)
{
	struct fetcher *f = x->fetcher;
	struct wire *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->fetcher = f;
	w->fd = -1;
	w->port = x->port;
	w->is_tls = x->is_tls;
	memcpy(w->host, x->host, sizeof(w->host));
	w->timer = (struct loop_timer){ .cb = on_idle_timer, .ctx = w };
	w->phase = WIRE_OPEN;
	w->next = f->wires;
	w->link = &f->wires;
	if (f->wires)
		f->wires->link = &w->next;
	f->wires = w;
	return w;
}

void wire_begin(struct fetch *x)
{
	struct fetcher *f = x->fetcher;
	struct wire *w = x->is_post || x->must_dial ? NULL : find_idle(x);

	if (w) {
		fetch_is_busy(x, w);
		reuse(w);
		return;
	}
	w = wire_new(x);
	if (!w) {
		fetch_failed(x, ERR_NOMEM, "out of memory");
		return;
	}
	fetch_is_busy(x, w);
	w->phase = WIRE_DIAL;
	dial_start(f->dialler, &w->dial,
		   &(struct dial_request){ .host = w->host, .port = w->port, .race_timeout = FETCH_DIAL_TIMEOUT, .refuses = refuses,
					   .done = on_dialled, .ctx = w });
}
