#include "applets/common/portal_link.h"
#include "applets/common/ca.h"
#include "applets/common/dial.h"
#include "applets/common/tls_socket.h"
#include "core/base/err.h"
#include "core/loop/loop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG_TARGET "portal_link"
#include "core/base/log.h"

#define READ_BYTES 16384u
#define READS_PER_EVENT 8u /* then the loop gets its turn */

/* The transport of the present attempt. */
enum phase { PHASE_NONE, PHASE_DIAL, PHASE_TLS, PHASE_OPEN };

struct link {
	struct loop *loop;
	struct link_callbacks cb;
	void *ctx;
	u32 mark;
	struct rng *rng;
	struct channel *channel;
	struct tls_anchors *anchors; /* NULL without TLS */
	struct loop_timer channel_timer;
	struct loop_task task;
	bool is_closing, is_over;
	enum phase phase;
	u64 attempt; /* counts; tells an old socket's news from a new one's */
	struct dialler *dialler;
	struct dial dial;
	int fd;
	struct loop_fd *watch;
	struct tls *tls;
	u8 buf[READ_BYTES];
};

static void service(struct link *l);

/* --- the transport: ends, failures ---------------------------------------------------------------------------------------------------------- */

/* Whatever the attempt had: a dial, a socket. */
static void drop_transport(struct link *l)
{
	dial_cancel(&l->dial);
	if (l->tls) {
		tls_close(l->tls);
		tls_flush(l->tls, l->fd);
		tls_free(l->tls);
		l->tls = NULL;
	}
	loop_fd_del(l->watch);
	l->watch = NULL;
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	l->phase = PHASE_NONE;
}

static void failed(struct link *l, int err, const char *what)
{
	channel_failed(l->channel, loop_now(l->loop), err, what);
}

/* --- open: bytes in and out -------------------------------------------------------------------------------------------------------------------- */

/* 0 when all is written or the socket takes no more; `*is_blocked` tells which. */
static int write_all(struct link *l, bool *is_blocked)
{
	u64 now = loop_now(l->loop);

	*is_blocked = false;
	for (;;) {
		struct span out = channel_output(l->channel);
		if (l->tls) {
			if (tls_is_ready(l->tls) && out.n > 0)
				channel_output_done(l->channel, now, tls_write(l->tls, out));
			out = tls_output(l->tls);
		}
		if (out.n == 0)
			return 0;
		int n = tcp_write(l->fd, out.p, out.n);
		if (n == ERR_AGAIN) {
			*is_blocked = true;
			return 0;
		}
		if (n <= 0)
			return n ? n : ERR_CLOSED;
		if (l->tls)
			tls_output_done(l->tls, (size_t)n);
		else
			channel_output_done(l->channel, now, (size_t)n);
	}
}

static void give_to_channel(struct link *l, struct span plain)
{
	channel_input(l->channel, loop_now(l->loop), loop_wall(l->loop), plain);
}

/* Ciphertext in, plaintext on. The handshake's end opens the channel. */
static int input_tls(struct link *l, struct span in)
{
	size_t at = 0, used;
	struct span plain;
	int rc = 0;

	do {
		rc = tls_input(l->tls, SPAN(in.p + at, in.n - at), &used);
		at += used;
		if (l->phase == PHASE_TLS && tls_is_ready(l->tls)) {
			l->phase = PHASE_OPEN;
			channel_opened(l->channel, loop_now(l->loop));
		}
		while ((plain = tls_read(l->tls)).n > 0) {
			give_to_channel(l, plain);
			tls_read_done(l->tls, plain.n);
			used = plain.n; /* progress */
		}
		tls_flush(l->tls, l->fd);
	} while (rc == 0 && used > 0 && at < in.n);
	return rc;
}

/* 0: go on; else the connection is over. */
static int read_some(struct link *l, const char **what)
{
	int n = tcp_read(l->fd, l->buf, sizeof(l->buf)), rc = 0;

	*what = "the portal closed the connection";
	if (n < 0) {
		if (n != ERR_AGAIN && l->tls && tls_input_eof(l->tls) && l->phase == PHASE_TLS)
			*what = tls_reason(l->tls);
		return n;
	}
	if (l->tls)
		rc = input_tls(l, SPAN(l->buf, (size_t)n));
	else
		give_to_channel(l, SPAN(l->buf, (size_t)n));
	if (l->tls && rc)
		*what = tls_reason(l->tls);
	if (l->tls && rc == 0 && tls_is_closed(l->tls))
		rc = ERR_CLOSED;
	return rc;
}

static void on_socket(void *ctx, int fd, unsigned events, u64 now)
{
	struct link *l = ctx;
	const char *what;
	u64 attempt = l->attempt;

	(void)fd;
	(void)now;
	for (u32 i = 0; events & LOOP_READ && i < READS_PER_EVENT; i++) {
		int rc = read_some(l, &what);
		if (rc == ERR_AGAIN)
			break;
		service(l); /* the channel may have dropped this very socket */
		if (l->attempt != attempt || l->fd < 0)
			return;
		if (rc) {
			failed(l, rc, what);
			break;
		}
	}
	service(l);
}

/* --- the attempt: a dial, TLS ------------------------------------------------------------------------------------------------------------ */

static void open_socket(struct link *l, int fd)
{
	int rc = 0;

	l->fd = fd;
	l->watch = loop_fd_add(l->loop, fd, LOOP_READ, on_socket, l);
	l->phase = PHASE_TLS;
	if (l->watch && channel_is_tls(l->channel))
		rc = tls_client_new(l->anchors, channel_host(l->channel), loop_wall(l->loop) / NSEC_PER_SEC, l->rng, &l->tls);
	if (!l->watch || rc) {
		failed(l, rc ? rc : ERR_NOMEM, "the connection cannot be set up");
	} else if (!l->tls) {
		l->phase = PHASE_OPEN;
		channel_opened(l->channel, loop_now(l->loop));
	}
}

static void dial_failed(struct link *l, const struct dial_result *r)
{
	const char *host = channel_host(l->channel);
	char text[128];

	if (r->step == DIAL_NAME)
		snprintf(text, sizeof(text), "the address of %.60s cannot be found: %s", host,
			 r->error == ERR_UNSUPPORTED ? "no name server is configured" : err_str(r->error));
	else
		snprintf(text, sizeof(text), "no TCP connection to %.60s port %u: %s", host, (unsigned)channel_port(l->channel),
			 r->error == ERR_CLOSED ? "refused" : err_str(r->error));
	failed(l, r->error, text);
}

static void on_dialled(void *ctx, const struct dial_result *r)
{
	struct link *l = ctx;

	l->phase = PHASE_NONE;
	if (r->error) {
		dial_failed(l, r);
	} else {
		log_debug("Connected to the portal's host", kv_ep("address", &r->peer));
		open_socket(l, r->fd);
	}
	service(l);
}

static void begin_attempt(struct link *l)
{
	l->attempt++;
	l->phase = PHASE_DIAL;
	dial_start(l->dialler, &l->dial,
		   &(struct dial_request){ .host = channel_host(l->channel), .port = channel_port(l->channel), .mark = l->mark,
					   .race_timeout = LINK_TCP_TIMEOUT, .done = on_dialled, .ctx = l });
}

/* --- events of the channel ------------------------------------------------------------------------------------------------------------------------- */

static void handle(struct link *l, struct channel_event *e)
{
	switch (e->type) {
	case CHANNEL_CONNECT:
		begin_attempt(l);
		break;
	case CHANNEL_DROP:
		drop_transport(l);
		break;
	case CHANNEL_JOINED:
		if (l->cb.on_connected)
			l->cb.on_connected(l->ctx);
		break;
	case CHANNEL_MESSAGE:
		if (l->cb.on_message)
			l->cb.on_message(l->ctx, &e->message);
		msg_free(&e->message);
		break;
	case CHANNEL_HICCUP:
		if (l->cb.on_disconnected)
			l->cb.on_disconnected(l->ctx, e->err, e->text, e->retry_at);
		break;
	case CHANNEL_FATAL:
		l->is_over = true;
		if (l->cb.on_fatal)
			l->cb.on_fatal(l->ctx, e->fatal, e->text);
		break;
	}
}

static bool drain_events(struct link *l)
{
	struct channel_event e;
	bool any = false;

	while (channel_poll_event(l->channel, &e)) {
		handle(l, &e);
		any = true;
	}
	return any;
}

/* Until nothing moves: events, output, deadlines. */
static void service(struct link *l)
{
	bool is_blocked, has_moved;

	do {
		u64 attempt = l->attempt;
		is_blocked = false;
		int rc = l->fd >= 0 ? write_all(l, &is_blocked) : 0;
		has_moved = drain_events(l);
		if (rc && l->attempt == attempt && l->fd >= 0)
			failed(l, rc, "the portal closed the connection");
		has_moved |= drain_events(l);
	} while (has_moved);
	if (l->watch)
		loop_fd_set(l->watch, is_blocked ? LOOP_READ | LOOP_WRITE : LOOP_READ);
	loop_timer_set(l->loop, &l->channel_timer, channel_next_timeout(l->channel));
	if (l->is_closing && !l->is_over && channel_state(l->channel) == CHANNEL_CLOSED) {
		l->is_over = true;
		if (l->cb.on_closed)
			l->cb.on_closed(l->ctx);
	}
}

static void on_task(void *ctx, u64 now)
{
	(void)now;
	service(ctx);
}

static void on_channel_timeout(void *ctx, u64 now)
{
	struct link *l = ctx;

	channel_timeout(l->channel, now);
	service(l);
}

/* --- doors ---------------------------------------------------------------------------------------------------------------------------------------------- */

struct link *link_new(struct loop *loop, const struct link_config *cfg, char *why, size_t why_cap)
{
	struct link *l = calloc(1, sizeof(*l));
	const char *reason = "out of memory";

	if (!l) {
		snprintf(why, why_cap, "%s", reason);
		return NULL;
	}
	l->loop = loop;
	l->cb = cfg->cb;
	l->ctx = cfg->ctx;
	l->mark = cfg->mark;
	l->rng = cfg->rng;
	l->fd = -1;
	l->channel_timer = (struct loop_timer){ .cb = on_channel_timeout, .ctx = l };
	l->task = (struct loop_task){ .cb = on_task, .ctx = l };
	if (channel_new(&cfg->channel, &l->channel, &reason)) {
		snprintf(why, why_cap, "%s", reason);
		goto fail;
	}
	if (channel_is_tls(l->channel) && ca_load(cfg->ca_file, &l->anchors, why, why_cap))
		goto fail;
	l->dialler = dialler_new(&(struct dialler_config){ .loop = loop, .needs_no_names = dial_is_literal(channel_host(l->channel)),
							   .resolver = { .rng = l->rng, .mark = l->mark } });
	if (!l->dialler) {
		snprintf(why, why_cap, "the resolver cannot be set up: %s", strerror(errno));
		goto fail;
	}
	return l;
fail:
	link_free(l);
	return NULL;
}

void link_free(struct link *l)
{
	if (!l)
		return;
	drop_transport(l);
	loop_timer_clear(l->loop, &l->channel_timer);
	loop_task_cancel(l->loop, &l->task);
	dialler_free(l->dialler);
	tls_anchors_free(l->anchors);
	channel_free(l->channel);
	free(l);
}

void link_start(struct link *l, const u8 *public_key)
{
	channel_start(l->channel, loop_now(l->loop), public_key);
	loop_task_queue(l->loop, &l->task);
}

int link_send(struct link *l, const struct portal_message *m)
{
	int rc = channel_send(l->channel, loop_now(l->loop), m);

	loop_task_queue(l->loop, &l->task);
	return rc;
}

void link_reconnect(struct link *l, const u8 *public_key)
{
	channel_reconnect(l->channel, loop_now(l->loop), public_key);
	loop_task_queue(l->loop, &l->task);
}

void link_close(struct link *l)
{
	l->is_closing = true;
	channel_close(l->channel, loop_now(l->loop));
	loop_task_queue(l->loop, &l->task);
}

bool link_is_joined(const struct link *l)
{
	return channel_state(l->channel) == CHANNEL_UP;
}

const struct channel_stats *link_stats(const struct link *l)
{
	return channel_stats(l->channel);
}

void link_set_servers(struct link *l, const struct ip *servers, size_t n)
{
	dialler_set_servers(l->dialler, servers, n);
}
