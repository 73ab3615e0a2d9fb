#include "core/loop/loop.h"

#include "core/base/err.h"
#include "core/loop/timers.h"

#include <ev.h>
#include <stdlib.h>

#define SLEEP_MAX SEC(3600) /* keeps libev from returning at once when nothing is registered */

struct loop_fd {
	struct ev_io io;
	struct loop *loop;
	loop_fd_cb *cb; /* NULL: belongs to the lane */
	void *ctx;
	enum lane_input input;
	bool wants_write;
	struct loop_fd *next, **link;
};

struct loop_signal {
	struct ev_signal ev;
	struct loop *loop;
	void (*cb)(void *ctx, int signo);
	void *ctx;
};

struct loop {
	struct ev_loop *ev;
	struct ev_timer alarm;
	struct loop_clock clock;
	u64 now;
	bool is_stopping;
	bool runs_timers;
	bool yields;
	bool is_measured;
	u64 (*cpu)(void);
	u64 cpu_began;
	struct loop_longest longest;
	u64 rest; /* wished before the next poll */

	struct loop_timer *timers;
	struct loop_task *tasks, **tasks_end;
	struct loop_fd *fds;

	struct lane_ops lane;
	void *lane_ctx;
	bool has_lane;
	struct loop_fd *lane_fds[LOOP_LANE_FDS_MAX];
	unsigned n_lane_fds;
	bool lane_blocked;
	bool tries_udp, tries_tun; /* input may be there: told by the poll, or something was done since it was found dry */

	struct loop_signal signals[LOOP_SIGNALS_MAX];
	unsigned n_signals;
	struct loop_stats stats;
};

static void read_clock(struct loop *l)
{
	u64 now = l->clock.now(l->clock.ctx);
	if (now > l->now)
		l->now = now;
}

/* ---- how long callbacks take ---- */

const u64 loop_spans[LOOP_SPANS] = { USEC(100), USEC(500), MSEC(1), USEC(2500), MSEC(5), MSEC(10), MSEC(50) };

void loop_measure(struct loop *l, u64 (*cpu)(void))
{
	l->is_measured = true;
	l->cpu = cpu;
}

struct loop_longest loop_longest(struct loop *l)
{
	struct loop_longest longest = l->longest;

	l->longest = (struct loop_longest){ 0 };
	return longest;
}

static u64 begin(struct loop *l)
{
	if (!l->is_measured)
		return 0;
	l->cpu_began = l->cpu ? l->cpu() : 0;
	return l->clock.now(l->clock.ctx);
}

static void end(struct loop *l, u64 began)
{
	unsigned i = 0;

	if (!l->is_measured)
		return;
	u64 ns = time_since(l->clock.now(l->clock.ctx), began);
	while (i < LOOP_SPANS && ns > loop_spans[i])
		i++;
	l->stats.took[i]++;
	l->stats.took_ns += ns;
	l->longest.took = MAX(l->longest.took, ns);
	if (l->cpu && ns > l->longest.worked) /* nobody works longer than it takes; and this clock is a system call */
		l->longest.worked = MAX(l->longest.worked, time_since(l->cpu(), l->cpu_began));
}

static void alarm_cb(struct ev_loop *ev, struct ev_timer *w, int events)
{
	(void)ev, (void)w, (void)events; /* waking up was all */
}

struct loop *loop_new(const struct loop_clock *clock)
{
	struct loop *l = calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	l->ev = ev_loop_new(EVFLAG_NOENV);
	if (!l->ev) {
		free(l);
		return NULL;
	}
	l->clock = *clock;
	l->tasks_end = &l->tasks;
	ev_timer_init(&l->alarm, alarm_cb, 0., 0.);
	read_clock(l);
	return l;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	while (l->fds)
		loop_fd_del(l->fds);
	for (unsigned i = 0; i < l->n_signals; i++)
		ev_signal_stop(l->ev, &l->signals[i].ev);
	while (l->timers)
		loop_timer_clear(l, l->timers);
	while (l->tasks)
		loop_task_cancel(l, l->tasks);
	ev_timer_stop(l->ev, &l->alarm);
	ev_loop_destroy(l->ev);
	free(l);
}

void loop_stop(struct loop *l)
{
	l->is_stopping = true;
}

void loop_rest(struct loop *l, u64 ns)
{
	l->rest = time_min(ns, LOOP_REST_MAX);
}

void loop_yield(struct loop *l)
{
	l->yields = true;
}

u64 loop_now(const struct loop *l)
{
	return l->now;
}

u64 loop_wall(const struct loop *l)
{
	return l->clock.wall(l->clock.ctx);
}

const struct loop_stats *loop_stats(const struct loop *l)
{
	return &l->stats;
}

/* ---- ordinary descriptors ---- */

static int ev_events(unsigned events)
{
	return (events & LOOP_READ ? EV_READ : 0) | (events & LOOP_WRITE ? EV_WRITE : 0);
}

static void watch(struct loop_fd *w, int events)
{
	if ((w->io.events & (EV_READ | EV_WRITE)) == events && (events != 0) == (ev_is_active(&w->io) != 0))
		return;
	ev_io_stop(w->loop->ev, &w->io);
	ev_io_set(&w->io, w->io.fd, events);
	if (events != 0)
		ev_io_start(w->loop->ev, &w->io);
}

static void lane_ready(struct loop *l, struct loop_fd *w, int events)
{
	if (events & EV_WRITE)
		w->wants_write = false;
	if (!(events & EV_READ))
		return;
	if (w->input == LANE_UDP)
		l->tries_udp = true;
	else
		l->tries_tun = true;
}

static void fd_ready(struct ev_loop *ev, struct ev_io *io, int events)
{
	(void)ev;
	struct loop_fd *w = container_of(io, struct loop_fd, io);
	struct loop *l = w->loop;

	if (!w->cb) {
		lane_ready(l, w, events);
		return;
	}
	l->stats.fd_events++;
	read_clock(l);
	u64 began = begin(l);
	w->cb(w->ctx, io->fd, (events & EV_READ ? LOOP_READ : 0) | (events & EV_WRITE ? LOOP_WRITE : 0), l->now);
	end(l, began);
}

static struct loop_fd *fd_new(struct loop *l, int fd)
{
	struct loop_fd *w = calloc(1, sizeof(*w));
	if (!w)
		return NULL;
	w->loop = l;
	ev_io_init(&w->io, fd_ready, fd, 0);
	w->next = l->fds;
	if (w->next)
		w->next->link = &w->next;
	w->link = &l->fds;
	l->fds = w;
	return w;
}

struct loop_fd *loop_fd_add(struct loop *l, int fd, unsigned events, loop_fd_cb *cb, void *ctx)
{
	struct loop_fd *w = fd_new(l, fd);
	if (!w)
		return NULL;
	w->cb = cb;
	w->ctx = ctx;
	watch(w, ev_events(events));
	return w;
}

void loop_fd_set(struct loop_fd *w, unsigned events)
{
	watch(w, ev_events(events));
}

void loop_fd_del(struct loop_fd *w)
{
	if (!w)
		return;
	struct loop *l = w->loop;
	ev_io_stop(l->ev, &w->io);
	for (unsigned i = 0; i < l->n_lane_fds; i++)
		if (l->lane_fds[i] == w)
			l->lane_fds[i] = l->lane_fds[--l->n_lane_fds];
	*w->link = w->next;
	if (w->next)
		w->next->link = w->link;
	free(w);
}

/* ---- timers, queued calls, signals ---- */

void loop_timer_set(struct loop *l, struct loop_timer *t, u64 due)
{
	loop_timer_clear(l, t);
	if (due == TIME_NEVER)
		return;
	/* A timer set by a timer waits for the next iteration, or one that is always due would never let go. */
	t->due = l->runs_timers && due <= l->now ? l->now + 1 : due;
	t->is_set = true;
	timers_insert(&l->timers, t);
}

void loop_timer_clear(struct loop *l, struct loop_timer *t)
{
	if (!t->is_set)
		return;
	timers_remove(&l->timers, t);
	t->is_set = false;
}

static bool run_timers(struct loop *l)
{
	bool worked = false;
	l->runs_timers = true;
	while (l->timers && l->timers->due <= l->now) {
		struct loop_timer *t = l->timers;
		loop_timer_clear(l, t);
		l->stats.timers++;
		worked = true;
		u64 began = begin(l);
		t->cb(t->ctx, l->now);
		end(l, began);
	}
	l->runs_timers = false;
	return worked;
}

void loop_task_queue(struct loop *l, struct loop_task *t)
{
	if (t->link)
		return;
	t->next = NULL;
	t->link = l->tasks_end;
	*l->tasks_end = t;
	l->tasks_end = &t->next;
}

void loop_task_cancel(struct loop *l, struct loop_task *t)
{
	if (!t->link)
		return;
	*t->link = t->next;
	if (t->next)
		t->next->link = t->link;
	else
		l->tasks_end = t->link;
	t->link = NULL;
}

/* Runs what was queued before; what these queue waits behind the mark for the next iteration. */
static bool run_tasks(struct loop *l)
{
	struct loop_task mark = { 0 };
	if (!l->tasks)
		return false;
	loop_task_queue(l, &mark);
	while (l->tasks != &mark) {
		struct loop_task *t = l->tasks;
		loop_task_cancel(l, t);
		l->stats.tasks++;
		u64 began = begin(l);
		t->cb(t->ctx, l->now);
		end(l, began);
	}
	loop_task_cancel(l, &mark);
	return true;
}

static void signal_ready(struct ev_loop *ev, struct ev_signal *w, int events)
{
	(void)ev, (void)events;
	struct loop_signal *s = container_of(w, struct loop_signal, ev);
	s->loop->stats.signals++;
	read_clock(s->loop);
	s->cb(s->ctx, w->signum);
}

int loop_signal(struct loop *l, int signo, void (*cb)(void *ctx, int signo), void *ctx)
{
	if (l->n_signals == LOOP_SIGNALS_MAX)
		return ERR_LIMIT;
	struct loop_signal *s = &l->signals[l->n_signals++];
	s->loop = l;
	s->cb = cb;
	s->ctx = ctx;
	ev_signal_init(&s->ev, signal_ready, signo);
	ev_signal_start(l->ev, &s->ev);
	return 0;
}

/* ---- the lane ---- */

void loop_set_lane(struct loop *l, const struct lane_ops *ops, void *ctx)
{
	l->has_lane = ops != NULL;
	l->lane = ops ? *ops : (struct lane_ops){ 0 };
	l->lane_ctx = ctx;
	l->lane_blocked = false;
}

struct loop_fd *loop_lane_add(struct loop *l, int fd, enum lane_input input)
{
	if (l->n_lane_fds == LOOP_LANE_FDS_MAX)
		return NULL;
	struct loop_fd *w = fd_new(l, fd);
	if (!w)
		return NULL;
	w->input = input;
	l->lane_fds[l->n_lane_fds++] = w;
	return w;
}

void loop_lane_want_write(struct loop_fd *w, bool wants)
{
	w->wants_write = wants;
}

static u64 lane_due(const struct loop *l)
{
	return l->has_lane && l->lane.next_timeout ? l->lane.next_timeout(l->lane_ctx) : TIME_NEVER;
}

static bool drain(struct loop *l)
{
	if (!l->has_lane || !l->lane.drain)
		return false;
	enum lane_state state = l->lane.drain(l->lane_ctx, l->now);
	l->lane_blocked = state == LANE_BLOCKED;
	l->stats.drains += state == LANE_WORKED;
	l->stats.drains_blocked += state == LANE_BLOCKED;
	return state == LANE_WORKED;
}

static bool take(struct loop *l, bool *tries, enum lane_state (*input)(void *, u64), u64 *batches, u64 *dry)
{
	if (!*tries || l->lane_blocked || !l->has_lane || !input)
		return false;
	*tries = input(l->lane_ctx, l->now) == LANE_WORKED;
	++*(*tries ? batches : dry);
	return *tries;
}

/* ---- turns ---- */

/* Whether anything was done. */
static bool iterate(struct loop *l)
{
	read_clock(l);
	l->stats.iterations++;

	bool worked = run_tasks(l);
	worked |= drain(l);

	bool was_due = run_timers(l);
	if (lane_due(l) <= l->now) {
		l->stats.lane_timeouts++;
		l->lane.timeout(l->lane_ctx, l->now);
		was_due = true;
	}
	if (was_due)
		drain(l);

	bool took = take(l, &l->tries_udp, l->lane.udp_in, &l->stats.udp_batches, &l->stats.udp_dry);
	took |= take(l, &l->tries_tun, l->lane.tun_in, &l->stats.tun_batches, &l->stats.tun_dry);
	/* While there is work the inputs are looked at without a poll: one may fill while the other is being served. */
	if (took)
		l->tries_udp = l->tries_tun = true;
	return worked || was_due || took;
}

static bool corridor(struct loop *l)
{
	u64 start = 0;
	l->yields = false;
	for (unsigned i = 0; i < LOOP_TURN_ITERATIONS; i++) {
		if (!iterate(l))
			return false;
		if (i == 0)
			start = l->now;
		if (l->yields || time_since(l->now, start) >= LOOP_TURN_TIME) {
			l->stats.yields_time++;
			return true;
		}
	}
	l->stats.yields_iterations++;
	return true;
}

static bool lane_watch(struct loop *l)
{
	bool waits_for_write = false;
	for (unsigned i = 0; i < l->n_lane_fds; i++) {
		struct loop_fd *w = l->lane_fds[i];
		waits_for_write |= w->wants_write;
		watch(w, (l->lane_blocked ? 0 : EV_READ) | (w->wants_write ? EV_WRITE : 0));
	}
	return waits_for_write;
}

static u64 sleep_until(struct loop *l, bool waits_for_write, u64 latest)
{
	if (l->tasks || l->is_stopping)
		return 0;
	u64 due = time_min(latest, lane_due(l));
	if (l->timers)
		due = time_min(due, l->timers->due);
	if (l->lane_blocked && !waits_for_write)
		due = time_min(due, time_add(l->now, LANE_RETRY));
	return due;
}

static void take_rest(struct loop *l, u64 until)
{
	u64 ns = time_min(l->rest, time_since(until, l->now));

	l->rest = 0;
	if (ns == 0)
		return;
	l->stats.rests++;
	ev_sleep((double)ns * 1e-9);
	read_clock(l);
}

static void poll_events(struct loop *l, bool is_busy, u64 latest)
{
	bool waits_for_write = lane_watch(l);
	l->stats.polls++;
	u64 until = is_busy ? 0 : sleep_until(l, waits_for_write, latest);
	if (until > 0)
		read_clock(l);
	if (l->rest > 0)
		take_rest(l, until);
	if (until <= l->now) {
		ev_run(l->ev, EVRUN_NOWAIT);
		return;
	}
	u64 wait = time_min(until - l->now, SLEEP_MAX);
	l->stats.sleeps++;
	ev_now_update(l->ev);
	l->alarm.repeat = (double)wait * 1e-9;
	ev_timer_again(l->ev, &l->alarm);
	ev_run(l->ev, EVRUN_ONCE);
	ev_timer_stop(l->ev, &l->alarm);
}

void loop_turn(struct loop *l, u64 latest)
{
	l->stats.turns++;
	poll_events(l, corridor(l), latest);
}

void loop_run(struct loop *l)
{
	l->is_stopping = false;
	while (!l->is_stopping)
		loop_turn(l, TIME_NEVER);
}
