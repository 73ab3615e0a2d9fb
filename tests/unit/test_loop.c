/* The event core's parts one by one: sleeps and rests, stopping and yielding, measuring, watches, signals, queued calls, timers. */
#include "core/base/err.h"
#include "core/base/rng.h"
#include "tests/unit/loop_world.h"

#include <time.h>

static u64 real_now(void *ctx)
{
	struct timespec ts;
	(void)ctx;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return SEC(ts.tv_sec) + (u64)ts.tv_nsec;
}

static void timer_stops(void *ctx, u64 now)
{
	struct fake *f = ctx;
	timer_probe(f, now);
	loop_stop(f->l);
}

TEST(a_sleep_ends_at_the_nearest_deadline_and_never_before)
{
	struct fake f = { .timer_rearm = TIME_NEVER, .lane_due = TIME_NEVER };
	f.l = loop_new(&(struct loop_clock){ real_now, fake_wall, NULL });
	f.timer = (struct loop_timer){ .cb = timer_stops, .ctx = &f };
	u64 due = real_now(NULL) + MSEC(5);
	loop_timer_set(f.l, &f.timer, due);
	loop_run(f.l);
	EXPECT_EQ(f.timers_run, 1);
	EXPECT(loop_now(f.l) >= due);
	EXPECT(loop_stats(f.l)->sleeps <= 2);
	loop_free(f.l);
}

static void reads_and_rests(void *ctx, int fd, unsigned events, u64 now)
{
	struct fake *f = ctx;
	char c;

	(void)events, (void)now;
	f->fd_calls += read(fd, &c, 1) == 1;
	loop_rest(f->l, SEC(1)); /* bounded, or the test would take seconds */
}

TEST(a_rest_is_granted_once_and_never_to_a_loop_that_must_not_wait)
{
	struct fake f = { .timer_rearm = TIME_NEVER, .lane_due = TIME_NEVER };
	int fds[2];

	f.l = loop_new(&(struct loop_clock){ real_now, fake_wall, NULL });
	f.timer = (struct loop_timer){ .cb = timer_stops, .ctx = &f };
	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
	struct loop_fd *w = loop_fd_add(f.l, fds[0], LOOP_READ, reads_and_rests, &f);
	REQUIRE(write(fds[1], "abc", 3) == 3);
	loop_turn(f.l, TIME_NEVER);
	EXPECT_EQ(loop_stats(f.l)->rests, 0); /* nobody had asked yet */
	u64 began = real_now(NULL);
	loop_turn(f.l, TIME_NEVER);
	EXPECT(real_now(NULL) - began >= LOOP_REST_MAX);
	EXPECT_EQ(f.fd_calls, 2); /* what gathered is served in the same turn */
	EXPECT_EQ(loop_stats(f.l)->rests, 1);
	loop_timer_set(f.l, &f.timer, real_now(NULL));
	loop_turn(f.l, TIME_NEVER);
	EXPECT_EQ(f.timers_run, 1);
	EXPECT_EQ(loop_stats(f.l)->rests, 1); /* the timer stopped the loop, which then does not wait */
	loop_fd_set(w, 0);
	loop_rest(f.l, LOOP_REST_MAX);
	u64 rests = loop_stats(f.l)->rests;
	loop_turn(f.l, 0); /* the caller does not want to wait at all */
	EXPECT_EQ(loop_stats(f.l)->rests, rests);
	loop_fd_del(w);
	close(fds[0]);
	close(fds[1]);
	loop_free(f.l);
}

TEST(a_sleep_may_be_limited_by_the_caller)
{
	struct fake f = { 0 };
	f.l = loop_new(&(struct loop_clock){ real_now, fake_wall, NULL });
	loop_turn(f.l, real_now(NULL) + MSEC(2)); /* returns, with nothing registered at all */
	EXPECT_EQ(loop_stats(f.l)->sleeps, 1);
	loop_free(f.l);
}

static void stop_from_task(void *ctx, u64 now)
{
	(void)now;
	loop_stop(ctx);
}

TEST(run_ends_after_stop)
{
	struct fake f;
	fake_init(&f);
	struct loop_task t = { .cb = stop_from_task, .ctx = f.l };
	loop_task_queue(f.l, &t);
	loop_run(f.l);
	EXPECT_EQ(loop_stats(f.l)->turns, 1);
	loop_free(f.l);
}

static void timer_yields(void *ctx, u64 now)
{
	struct fake *f = ctx;

	timer_probe(ctx, now);
	loop_yield(f->l);
}

TEST(a_timer_that_yields_goes_on_after_descriptors_were_served)
{
	struct fake f;
	int fds[2];
	fake_init(&f);
	make_pair(fds);
	struct loop_fd *w = loop_fd_add(f.l, fds[0], LOOP_READ, fd_probe, &f);
	f.timer.cb = timer_yields;
	f.timer_rearm = 0;
	EXPECT_EQ(write(fds[1], "abc", 3), 3);
	loop_timer_set(f.l, &f.timer, f.clock);
	for (u64 turn = 1; turn <= 3; turn++) {
		loop_turn(f.l, 0);
		EXPECT_EQ(f.timers_run, turn);
		EXPECT_EQ(f.fd_calls, turn);
	}
	f.timer.cb = timer_probe; /* without: as often as a turn allows */
	loop_turn(f.l, 0);
	EXPECT(f.timers_run > 100);
	loop_timer_clear(f.l, &f.timer);
	loop_fd_del(w);
	close_pair(fds);
	loop_free(f.l);
}

static u64 fake_cpu_time;

static u64 fake_cpu(void)
{
	return fake_cpu_time;
}

/* Of which it works for one. */
static void timer_takes_3_ms(void *ctx, u64 now)
{
	struct fake *f = ctx;
	(void)now;
	f->clock += MSEC(3);
	fake_cpu_time += MSEC(1);
}

TEST(how_long_callbacks_take_is_measured_on_demand)
{
	struct fake f;
	fake_init(&f);
	f.timer.cb = timer_takes_3_ms;
	for (int is_measured = 0; is_measured < 2; is_measured++) {
		if (is_measured)
			loop_measure(f.l, fake_cpu);
		loop_timer_set(f.l, &f.timer, f.clock);
		loop_task_queue(f.l, &f.task);
		loop_turn(f.l, 0);
	}
	EXPECT_EQ(loop_stats(f.l)->took[0], 1); /* the task */
	EXPECT_EQ(loop_stats(f.l)->took[4], 1); /* over 2.5 ms, up to 5 */
	EXPECT_EQ(loop_spans[4], MSEC(5));
	EXPECT_EQ(loop_stats(f.l)->took_ns, MSEC(3) + 2);
	struct loop_longest longest = loop_longest(f.l);
	EXPECT_EQ(longest.took, MSEC(3) + 1);
	EXPECT_EQ(longest.worked, MSEC(1));
	longest = loop_longest(f.l);
	EXPECT_EQ(longest.took + longest.worked, 0);
	loop_free(f.l);
}

struct suicide {
	struct loop_fd *self, *other;
	int calls;
};

static void remove_both(void *ctx, int fd, unsigned events, u64 now)
{
	struct suicide *s = ctx;
	(void)fd, (void)events, (void)now;
	s->calls++;
	loop_fd_del(s->self);
	loop_fd_del(s->other);
}

TEST(a_watch_may_remove_itself_and_another_that_is_ready_too)
{
	struct fake f;
	int a[2], b[2];
	fake_init(&f);
	make_pair(a);
	make_pair(b);
	struct suicide s = { 0 }, t = { 0 };
	s.self = t.other = loop_fd_add(f.l, a[0], LOOP_READ, remove_both, &s);
	s.other = t.self = loop_fd_add(f.l, b[0], LOOP_READ, remove_both, &t);
	EXPECT_EQ(write(a[1], "x", 1), 1);
	EXPECT_EQ(write(b[1], "x", 1), 1);
	loop_turn(f.l, 0);
	loop_turn(f.l, 0);
	EXPECT_EQ(s.calls + t.calls, 1);
	close_pair(a);
	close_pair(b);
	loop_free(f.l);
}

TEST(a_sleeping_watch_is_silent_until_set_again)
{
	struct fake f;
	int a[2];
	fake_init(&f);
	make_pair(a);
	struct loop_fd *w = loop_fd_add(f.l, a[0], 0, fd_probe, &f);
	EXPECT_EQ(write(a[1], "x", 1), 1);
	loop_turn(f.l, 0);
	EXPECT_EQ(f.fd_calls, 0);
	loop_fd_set(w, LOOP_READ);
	loop_turn(f.l, 0);
	EXPECT_EQ(f.fd_calls, 1);
	loop_fd_del(w);
	close_pair(a);
	loop_free(f.l);
}

TEST(limits_of_signals_and_lane_descriptors_are_reported)
{
	struct fake f;
	int a[2];
	struct loop_fd *w[LOOP_LANE_FDS_MAX];
	fake_init(&f);
	make_pair(a);
	for (unsigned i = 0; i < LOOP_LANE_FDS_MAX; i++)
		EXPECT((w[i] = loop_lane_add(f.l, a[0], LANE_UDP)) != NULL);
	EXPECT(loop_lane_add(f.l, a[0], LANE_UDP) == NULL);
	loop_fd_del(w[0]);
	EXPECT((w[0] = loop_lane_add(f.l, a[0], LANE_UDP)) != NULL);
	for (unsigned i = 0; i < LOOP_SIGNALS_MAX; i++)
		EXPECT_EQ(loop_signal(f.l, SIGUSR1, signal_probe, &f), 0);
	EXPECT_EQ(loop_signal(f.l, SIGUSR1, signal_probe, &f), ERR_LIMIT);
	loop_free(f.l);
	close_pair(a);
}

TEST(cancelled_tasks_do_not_run_and_queueing_twice_runs_once)
{
	struct fake f;
	fake_init(&f);
	struct loop_task a = { .cb = task_probe, .ctx = &f }, b = a, c = a;
	loop_task_queue(f.l, &a);
	loop_task_queue(f.l, &b);
	loop_task_queue(f.l, &c);
	loop_task_queue(f.l, &a);
	loop_task_cancel(f.l, &b);
	loop_task_cancel(f.l, &c);
	loop_task_cancel(f.l, &c);
	loop_turn(f.l, 0);
	EXPECT_EQ(f.tasks_run, 1);
	loop_task_queue(f.l, &c);
	loop_turn(f.l, 0);
	EXPECT_EQ(f.tasks_run, 2);
	loop_free(f.l);
}

/* ---- the heap against a naive model ---- */

#define MODEL_TIMERS 200

struct model {
	u64 due[MODEL_TIMERS];
	bool is_set[MODEL_TIMERS];
	u64 now, fired_due, fired;
	struct loop_timer timers[MODEL_TIMERS];
};

static struct model model;

static u64 model_now(void *ctx)
{
	(void)ctx;
	return model.now;
}

static void model_fire(void *ctx, u64 now)
{
	struct loop_timer *t = ctx;
	size_t i = (size_t)(t - model.timers);
	EXPECT(model.is_set[i]);
	EXPECT(model.due[i] <= now);
	EXPECT(model.due[i] >= model.fired_due); /* in order of deadlines */
	model.fired_due = model.due[i];
	model.is_set[i] = false;
	model.fired++;
}

TEST(timers_fire_as_a_naive_model_says)
{
	struct rng_seeded rng;
	rng_seeded_init(&rng, 3);
	model = (struct model){ .now = 1000 };
	struct loop *l = loop_new(&(struct loop_clock){ model_now, fake_wall, NULL });
	for (size_t i = 0; i < MODEL_TIMERS; i++)
		model.timers[i] = (struct loop_timer){ .cb = model_fire, .ctx = &model.timers[i] };

	for (int step = 0; step < 20000; step++) {
		size_t i = (size_t)rng_below(&rng.rng, MODEL_TIMERS);
		if (rng_below(&rng.rng, 4) == 0) {
			loop_timer_clear(l, &model.timers[i]);
			model.is_set[i] = false;
		} else {
			model.due[i] = model.now + 1 + rng_below(&rng.rng, 500);
			loop_timer_set(l, &model.timers[i], model.due[i]);
			model.is_set[i] = true;
		}
		if (rng_below(&rng.rng, 8) == 0) {
			model.now += rng_below(&rng.rng, 100);
			model.fired_due = 0;
			loop_turn(l, 0);
			for (size_t j = 0; j < MODEL_TIMERS; j++)
				EXPECT(!model.is_set[j] || model.due[j] > model.now);
		}
	}
	EXPECT(model.fired > 1000);
	loop_free(l);
}
