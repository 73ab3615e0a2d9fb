#include "applets/common/dial.h"

#include "core/base/err.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct dialler {
	struct loop *loop;
	struct resolver *resolver; /* NULL: for literals only */
	struct loop_fd *watch;
	struct loop_timer timer;
};

/* ---- ends ---------------------------------------------------------------------------------------------------------------------- */

/* The owner hears of it in a turn of its own, so that nothing of ours is on the stack when it frees us. */
static void finish(struct dial *x, int fd, int error, enum dial_step step)
{
	x->phase = DIAL_OVER;
	x->result.fd = fd;
	x->result.error = error;
	x->result.step = step;
	loop_task_queue(x->dialler->loop, &x->task);
}

static void on_task(void *ctx, u64 now)
{
	struct dial *x = ctx;
	struct dial_result r = x->result;

	(void)now;
	x->phase = DIAL_IDLE;
	x->rq.done(x->rq.ctx, &r);
}

static void end_race(struct dial *x)
{
	loop_timer_clear(x->dialler->loop, &x->timer);
	loop_fd_del(x->watch);
	x->watch = NULL;
	tcp_race_end(&x->race);
}

void dial_cancel(struct dial *x)
{
	switch (x->phase) {
	case DIAL_IDLE:
		return;
	case DIAL_LOOKING_UP:
		resolver_cancel(x->dialler->resolver, x->lookup_id);
		break;
	case DIAL_RACING:
		end_race(x);
		break;
	case DIAL_OVER:
		loop_task_cancel(x->dialler->loop, &x->task);
		if (x->result.fd >= 0)
			close(x->result.fd);
		break;
	}
	x->phase = DIAL_IDLE;
}

/* ---- the race ------------------------------------------------------------------------------------------------------------------ */

static void poll_race(struct dial *x)
{
	int fd = tcp_race_poll(&x->race, &x->result.peer);

	if (fd == ERR_AGAIN)
		return;
	end_race(x);
	finish(x, fd < 0 ? -1 : fd, fd < 0 ? fd : 0, DIAL_RACE);
}

static void on_race(void *ctx, int fd, unsigned events, u64 now)
{
	(void)fd, (void)events, (void)now;
	poll_race(ctx);
}

static void on_timeout(void *ctx, u64 now)
{
	struct dial *x = ctx;

	(void)now;
	end_race(x);
	finish(x, -1, ERR_TIMEOUT, DIAL_RACE);
}

static void begin_race(struct dial *x, const struct ip *ips, size_t n)
{
	struct loop *loop = x->dialler->loop;
	struct endpoint dsts[RESOLVER_ADDRESSES_MAX];
	size_t allowed = 0;

	for (size_t i = 0; i < n && allowed < ARRAY_LEN(dsts); i++)
		if (!x->rq.refuses || !x->rq.refuses(x->rq.ctx, &ips[i]))
			dsts[allowed++] = (struct endpoint){ ips[i], x->rq.port };
	if (allowed == 0) {
		finish(x, -1, ERR_DENIED, DIAL_ALLOWED);
		return;
	}
	int rc = tcp_race_start(&x->race, dsts, allowed, x->rq.mark);
	if (rc) {
		finish(x, -1, rc, DIAL_RACE);
		return;
	}
	x->phase = DIAL_RACING;
	x->watch = loop_fd_add(loop, tcp_race_fd(&x->race), LOOP_READ, on_race, x);
	if (!x->watch) {
		end_race(x);
		finish(x, -1, ERR_NOMEM, DIAL_RACE);
		return;
	}
	loop_timer_set(loop, &x->timer, time_add(loop_now(loop), x->rq.race_timeout));
	poll_race(x);
}

/* ---- the name ------------------------------------------------------------------------------------------------------------------ */

static void poll_resolver(struct dialler *d)
{
	struct resolver_answer a;

	while (resolver_poll(d->resolver, &a)) {
		struct dial *x = a.ctx;
		if (a.error || a.count == 0)
			finish(x, -1, a.error ? a.error : ERR_NOT_FOUND, DIAL_NAME);
		else
			begin_race(x, a.addresses, a.count);
	}
	loop_timer_set(d->loop, &d->timer, resolver_next_timeout(d->resolver));
}

static void on_resolver(void *ctx, int fd, unsigned events, u64 now)
{
	struct dialler *d = ctx;

	(void)fd, (void)events;
	resolver_input(d->resolver, now);
	poll_resolver(d);
}

static void on_resolver_timeout(void *ctx, u64 now)
{
	struct dialler *d = ctx;

	resolver_timeout(d->resolver, now);
	poll_resolver(d);
}

static bool read_literal(const char *host, struct ip *out)
{
	return ip_parse(SPAN(host, strlen(host)), out) == 0;
}

bool dial_is_literal(const char *host)
{
	struct ip ip;

	return read_literal(host, &ip);
}

void dial_start(struct dialler *d, struct dial *x, const struct dial_request *rq)
{
	struct ip literal;

	x->dialler = d;
	x->rq = *rq;
	x->timer = (struct loop_timer){ .cb = on_timeout, .ctx = x };
	x->task = (struct loop_task){ .cb = on_task, .ctx = x };
	x->result = (struct dial_result){ .fd = -1 };
	if (read_literal(rq->host, &literal)) {
		begin_race(x, &literal, 1);
		return;
	}
	int rc = d->resolver ? resolver_start(d->resolver, loop_now(d->loop), rq->host, x, &x->lookup_id) : ERR_UNSUPPORTED;
	if (rc) {
		finish(x, -1, rc, DIAL_NAME);
		return;
	}
	x->phase = DIAL_LOOKING_UP;
	poll_resolver(d);
}

const char *dial_reason(const struct dial_result *r)
{
	if (r->step == DIAL_NAME)
		return r->error == ERR_INVAL	   ? "this is no host name" :
		       r->error == ERR_UNSUPPORTED ? "no name server is configured" :
		       r->error == ERR_TIMEOUT	   ? "no name server answered" :
		       r->error == ERR_NOT_FOUND   ? "there is no such name" :
						     err_str(r->error);
	if (r->step == DIAL_ALLOWED)
		return "this name leads to addresses that are not allowed";
	return r->error == ERR_CLOSED	? "the connection is refused" :
	       r->error == ERR_NO_ROUTE ? "there is no route to it" :
	       r->error == ERR_TIMEOUT	? "the connection was not answered in time" :
					  err_str(r->error);
}

/* ---- the dialler --------------------------------------------------------------------------------------------------------------- */

struct dialler *dialler_new(const struct dialler_config *cfg)
{
	struct dialler *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->loop = cfg->loop;
	d->timer = (struct loop_timer){ .cb = on_resolver_timeout, .ctx = d };
	if (cfg->needs_no_names)
		return d;
	d->resolver = resolver_new(&cfg->resolver);
	d->watch = d->resolver ? loop_fd_add(d->loop, resolver_fd(d->resolver), LOOP_READ, on_resolver, d) : NULL;
	if (!d->watch) {
		dialler_free(d);
		return NULL;
	}
	return d;
}

void dialler_free(struct dialler *d)
{
	if (!d)
		return;
	loop_timer_clear(d->loop, &d->timer);
	loop_fd_del(d->watch);
	if (d->resolver)
		resolver_free(d->resolver);
	free(d);
}

void dialler_set_servers(struct dialler *d, const struct ip *servers, size_t n)
{
	if (d->resolver)
		resolver_set_servers(d->resolver, servers, n);
}
