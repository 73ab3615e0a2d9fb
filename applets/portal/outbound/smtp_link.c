#include "applets/portal/outbound/smtp_link.h"

#include "applets/common/dial.h"
#include "applets/common/tls_socket.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG_TARGET "mail"
#include "core/base/log.h"

#define READ_BYTES 4096u

enum phase { PHASE_START, PHASE_OPEN, PHASE_OVER };

struct smtp_link {
	struct smtp_link_config cfg;
	enum phase phase;
	struct smtp *smtp;
	struct dialler *dialler;
	struct dial dial;
	struct loop_fd *watch;
	int fd;
	struct tls *tls;
	bool has_begun, is_tls_open;	     /* the latter: the handshake is done */
	struct loop_timer smtp_timer, timer; /* the second: of the handshake */
	struct loop_task task;
};

static void service(struct smtp_link *l);

static void queue_service(struct smtp_link *l)
{
	loop_task_queue(l->cfg.loop, &l->task);
}

/* ---- ends ------------------------------------------------------------------------------------------------------------------------------ */

static void drop_transport(struct smtp_link *l)
{
	loop_timer_clear(l->cfg.loop, &l->timer);
	dial_cancel(&l->dial);
	l->phase = PHASE_OVER;
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
}

/* The machine hears of it, and by its event so does the owner. */
static void fail(struct smtp_link *l, const char *fmt, const char *what)
{
	char text[SMTP_TEXT_MAX];

	snprintf(text, sizeof(text), fmt, l->cfg.host, (unsigned)l->cfg.port, what);
	smtp_failed(l->smtp, text);
	queue_service(l);
}

/* ---- open: bytes ----------------------------------------------------------------------------------------------------------------------- */

static void start_tls(struct smtp_link *l)
{
	u64 wall_secs = loop_wall(l->cfg.loop) / NSEC_PER_SEC;

	if (tls_client_new(l->cfg.anchors, l->cfg.host, wall_secs, l->cfg.rng, &l->tls))
		fail(l, "TLS with %.60s port %u cannot begin: %.60s", "out of memory");
	else
		loop_timer_set(l->cfg.loop, &l->timer, time_add(loop_now(l->cfg.loop), SMTP_LINK_TLS_TIMEOUT));
}

static void tls_opened(struct smtp_link *l)
{
	u64 now = loop_now(l->cfg.loop);

	l->is_tls_open = true;
	loop_timer_clear(l->cfg.loop, &l->timer);
	if (l->cfg.is_tls)
		smtp_opened(l->smtp, now);
	else
		smtp_secured(l->smtp, now);
}

static int input_tls(struct smtp_link *l, struct span in)
{
	size_t at = 0, used;
	struct span plain;
	int rc;

	do {
		rc = tls_input(l->tls, SPAN(in.p + at, in.n - at), &used);
		at += used;
		if (!l->is_tls_open && tls_is_ready(l->tls))
			tls_opened(l);
		while ((plain = tls_read(l->tls)).n > 0) {
			smtp_input(l->smtp, loop_now(l->cfg.loop), plain);
			tls_read_done(l->tls, plain.n);
			used = plain.n; /* progress */
		}
		tls_flush(l->tls, l->fd);
	} while (rc == 0 && used > 0 && at < in.n);
	return rc;
}

static void read_failed(struct smtp_link *l, int rc)
{
	if (l->tls && rc != ERR_IO && tls_input_eof(l->tls) && !l->is_tls_open)
		fail(l, "no TLS with %.60s port %u: %.120s", tls_reason(l->tls));
	else
		fail(l, "%.60s port %u %.60s", "closed the connection");
}

/* False: the socket has nothing more at present, or is at its end. */
static bool read_some(struct smtp_link *l)
{
	u8 buf[READ_BYTES];
	int n = tcp_read(l->fd, buf, sizeof(buf)), rc = 0;

	if (n == ERR_AGAIN)
		return false;
	if (n < 0) {
		read_failed(l, n);
		return false;
	}
	if (!l->tls)
		smtp_input(l->smtp, loop_now(l->cfg.loop), SPAN(buf, (size_t)n));
	else
		rc = input_tls(l, SPAN(buf, (size_t)n));
	sodium_memzero(buf, sizeof(buf));
	if (rc)
		fail(l, "no TLS with %.60s port %u: %.120s", tls_reason(l->tls));
	else if (l->tls && tls_is_closed(l->tls))
		read_failed(l, ERR_IO);
	return rc == 0;
}

static void on_socket(void *ctx, int fd, unsigned events, u64 now)
{
	struct smtp_link *l = ctx;

	(void)fd;
	(void)now;
	if (events & LOOP_READ)
		(void)read_some(l);
	service(l);
}

/* Whether the socket takes no more at present. A broken one shows when it is read. */
static bool write_all(struct smtp_link *l)
{
	for (;;) {
		struct span out = smtp_output(l->smtp);
		if (l->tls) {
			if (l->is_tls_open && out.n > 0)
				smtp_output_done(l->smtp, tls_write(l->tls, out));
			out = tls_output(l->tls);
		}
		if (out.n == 0)
			return false;
		int n = tcp_write(l->fd, out.p, out.n);
		if (n == ERR_AGAIN)
			return true;
		if (n <= 0)
			return false;
		if (l->tls)
			tls_output_done(l->tls, (size_t)n);
		else
			smtp_output_done(l->smtp, (size_t)n);
	}
}

/* ---- connecting --------------------------------------------------------------------------------------------------------------------------- */

static void open_socket(struct smtp_link *l, int fd)
{
	l->fd = fd;
	l->phase = PHASE_OPEN;
	l->watch = loop_fd_add(l->cfg.loop, fd, LOOP_READ, on_socket, l);
	if (!l->watch)
		fail(l, "no connection to %.60s port %u: %.60s", "out of memory");
	else if (l->cfg.is_tls)
		start_tls(l);
	else
		smtp_opened(l->smtp, loop_now(l->cfg.loop));
}

static void on_dialled(void *ctx, const struct dial_result *r)
{
	struct smtp_link *l = ctx;

	if (r->error && r->step == DIAL_NAME) {
		fail(l, "the address of %.60s (port %u) cannot be found: %.60s", err_str(r->error));
	} else if (r->error) {
		fail(l, "no connection to %.60s port %u: %.60s", r->error == ERR_CLOSED ? "refused" : err_str(r->error));
	} else {
		log_debug("connected to the mail server", kv_ep("address", &r->peer));
		open_socket(l, r->fd);
	}
	service(l);
}

static void begin(struct smtp_link *l)
{
	dial_start(l->dialler, &l->dial,
		   &(struct dial_request){ .host = l->cfg.host, .port = l->cfg.port, .race_timeout = SMTP_LINK_TCP_TIMEOUT, .done = on_dialled,
					   .ctx = l });
}

/* ---- all -------------------------------------------------------------------------------------------------------------------------------------- */

static void on_tls_timer(void *ctx, u64 now)
{
	struct smtp_link *l = ctx;

	(void)now;
	if (l->phase == PHASE_OPEN)
		fail(l, "no TLS with %.60s port %u: %.60s", err_str(ERR_TIMEOUT));
	service(l);
}

static void on_smtp_timer(void *ctx, u64 now)
{
	struct smtp_link *l = ctx;

	smtp_timeout(l->smtp, now);
	service(l);
}

/* Until nothing moves. The owner may free the link in on_closed, which is why nothing follows it. */
static void service(struct smtp_link *l)
{
	struct smtp_event e;
	bool is_blocked = l->fd >= 0 && write_all(l);

	while (smtp_poll_event(l->smtp, &e)) {
		switch (e.type) {
		case SMTP_START_TLS:
			start_tls(l);
			break;
		case SMTP_READY:
			l->cfg.on_ready(l->cfg.ctx);
			break;
		case SMTP_RESULT:
			l->cfg.on_result(l->cfg.ctx, e.verdict, e.text);
			break;
		case SMTP_CLOSED:
			drop_transport(l);
			loop_timer_clear(l->cfg.loop, &l->smtp_timer);
			l->cfg.on_closed(l->cfg.ctx, e.text);
			return;
		}
		is_blocked = l->fd >= 0 && write_all(l);
	}
	if (l->phase == PHASE_OPEN && l->watch)
		loop_fd_set(l->watch, is_blocked ? LOOP_READ | LOOP_WRITE : LOOP_READ);
	loop_timer_set(l->cfg.loop, &l->smtp_timer, smtp_next_timeout(l->smtp));
}

static void on_task(void *ctx, u64 now)
{
	struct smtp_link *l = ctx;

	(void)now;
	if (!l->has_begun) {
		l->has_begun = true;
		begin(l);
	}
	service(l);
}

struct smtp_link *smtp_link_new(const struct smtp_link_config *cfg)
{
	struct smtp_config smtp = { .helo = cfg->helo, .user = cfg->user, .password = cfg->password, .wants_starttls = cfg->is_starttls,
				    .is_secure = cfg->is_tls || cfg->may_auth_in_clear };
	struct smtp_link *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->cfg = *cfg;
	l->fd = -1;
	l->timer = (struct loop_timer){ .cb = on_tls_timer, .ctx = l };
	l->smtp_timer = (struct loop_timer){ .cb = on_smtp_timer, .ctx = l };
	l->task = (struct loop_task){ .cb = on_task, .ctx = l };
	l->smtp = smtp_new(&smtp);
	l->dialler = dialler_new(&(struct dialler_config){ .loop = cfg->loop, .needs_no_names = dial_is_literal(cfg->host),
							   .resolver = { .rng = cfg->rng, .resolv_conf = cfg->resolv_conf, .hosts = cfg->hosts } });
	if (!l->smtp || !l->dialler) {
		smtp_link_free(l);
		return NULL;
	}
	queue_service(l);
	return l;
}

void smtp_link_free(struct smtp_link *l)
{
	if (!l)
		return;
	drop_transport(l);
	loop_timer_clear(l->cfg.loop, &l->smtp_timer);
	loop_task_cancel(l->cfg.loop, &l->task);
	dialler_free(l->dialler);
	smtp_free(l->smtp);
	free(l);
}

int smtp_link_send(struct smtp_link *l, const struct smtp_mail *m)
{
	int rc = smtp_send(l->smtp, loop_now(l->cfg.loop), m);

	queue_service(l);
	return rc;
}

void smtp_link_quit(struct smtp_link *l)
{
	smtp_quit(l->smtp, loop_now(l->cfg.loop));
	queue_service(l);
}
