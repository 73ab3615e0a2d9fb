/* The event core: order of work, back-pressure, and service in bounded work under every kind of flood. Nothing here is timed: the
 * clock is a counter, and what is asserted are numbers of iterations and turns. */
#include "core/base/err.h"
#include "core/base/rng.h"
#include "core/loop/loop.h"
#include "tests/unit/test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct fake {
	struct loop *l;
	u64 clock, step; /* each reading advances by step */
	char trace[64];
	size_t traced;

	/* lane */
	u64 udp_left, tun_left; /* batches that are there; each call takes one */
	u64 udp_calls, tun_calls, drains;
	bool is_blocked, drain_works_once;
	struct loop_fd *wants_write_on_block;
	u64 lane_due, lane_rearm; /* the next lane deadline after each timeout: due + rearm */
	u64 lane_timeouts;

	/* probes */
	u64 noted_iteration, timers_run, tasks_run, fd_calls, signals;
	u64 timer_rearm;
	bool task_requeues;
	struct loop_timer timer;
	struct loop_task task;
};

static u64 fake_now(void *ctx)
{
	struct fake *f = ctx;
	return f->clock += f->step;
}

static u64 fake_wall(void *ctx)
{
	(void)ctx;
	return SEC(1000);
}

static void trace(struct fake *f, char c)
{
	if (f->traced + 1 < sizeof(f->trace))
		f->trace[f->traced++] = c;
}

static enum lane_state fake_drain(void *ctx, u64 now)
{
	struct fake *f = ctx;
	(void)now;
	trace(f, 'd');
	f->drains++;
	if (f->is_blocked) {
		if (f->wants_write_on_block)
			loop_lane_want_write(f->wants_write_on_block, true);
		return LANE_BLOCKED;
	}
	bool worked = f->drain_works_once;
	f->drain_works_once = false;
	return worked ? LANE_WORKED : LANE_IDLE;
}

static void fake_timeout(void *ctx, u64 now)
{
	struct fake *f = ctx;
	trace(f, 'l');
	f->lane_timeouts++;
	f->lane_due = f->lane_rearm == TIME_NEVER ? TIME_NEVER : now + f->lane_rearm;
}

static u64 fake_next_timeout(void *ctx)
{
	struct fake *f = ctx;
	return f->lane_due;
}

static enum lane_state fake_udp(void *ctx, u64 now)
{
	struct fake *f = ctx;
	(void)now;
	trace(f, 'u');
	f->udp_calls++;
	if (f->udp_left == 0)
		return LANE_IDLE;
	f->udp_left--;
	return LANE_WORKED;
}

static enum lane_state fake_tun(void *ctx, u64 now)
{
	struct fake *f = ctx;
	(void)now;
	trace(f, 't');
	f->tun_calls++;
	if (f->tun_left == 0)
		return LANE_IDLE;
	f->tun_left--;
	return LANE_WORKED;
}

static void timer_probe(void *ctx, u64 now)
{
	struct fake *f = ctx;
	trace(f, 'T');
	f->timers_run++;
	if (f->timer_rearm != TIME_NEVER)
		loop_timer_set(f->l, &f->timer, now + f->timer_rearm);
}

static void task_probe(void *ctx, u64 now)
{
	struct fake *f = ctx;
	(void)now;
	trace(f, 'q');
	f->tasks_run++;
	if (f->task_requeues)
		loop_task_queue(f->l, &f->task);
}

static void fd_probe(void *ctx, int fd, unsigned events, u64 now)
{
	struct fake *f = ctx;
	(void)now;
	char c;
	EXPECT_EQ(events, LOOP_READ);
	f->fd_calls++;
	(void)!read(fd, &c, 1);
}

static void signal_probe(void *ctx, int signo)
{
	struct fake *f = ctx;
	EXPECT_EQ(signo, SIGUSR1);
	f->signals++;
}

static const struct lane_ops fake_lane = { fake_drain, fake_timeout, fake_next_timeout, fake_udp, fake_tun };

static void fake_init(struct fake *f)
{
	*f = (struct fake){ .clock = SEC(1), .step = 1, .lane_due = TIME_NEVER, .lane_rearm = TIME_NEVER,
			    .timer_rearm = TIME_NEVER };
	f->l = loop_new(&(struct loop_clock){ fake_now, fake_wall, f });
	f->timer = (struct loop_timer){ .cb = timer_probe, .ctx = f };
	f->task = (struct loop_task){ .cb = task_probe, .ctx = f };
}

/* Two connected descriptors: data written to [1] makes [0] readable. */
static void make_pair(int fds[2])
{
	int rc = socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds);
	EXPECT_EQ(rc, 0);
}

static void close_pair(int fds[2])
{
	close(fds[0]);
	close(fds[1]);
}

/* A lane whose two inputs are readable descriptors. */
struct lane_fds {
	int udp[2], tun[2];
	struct loop_fd *udp_watch, *tun_watch;
};

static void open_lane(struct fake *f, struct lane_fds *fds)
{
	make_pair(fds->udp);
	make_pair(fds->tun);
	loop_set_lane(f->l, &fake_lane, f);
	fds->udp_watch = loop_lane_add(f->l, fds->udp[0], LANE_UDP);
	fds->tun_watch = loop_lane_add(f->l, fds->tun[0], LANE_TUN);
}

static void close_lane(struct fake *f, struct lane_fds *fds)
{
	loop_fd_del(fds->udp_watch);
	loop_fd_del(fds->tun_watch);
	loop_set_lane(f->l, NULL, NULL);
	close_pair(fds->udp);
	close_pair(fds->tun);
}

TEST(an_iteration_works_in_the_order_of_spec_20_4)
{
	struct fake f;
	struct lane_fds fds;
	fake_init(&f);
	open_lane(&f, &fds);
	EXPECT_EQ(write(fds.udp[1], "x", 1), 1);
	EXPECT_EQ(write(fds.tun[1], "x", 1), 1);
	loop_turn(f.l, 0); /* the poll tells of both */
	f.traced = 0;

	f.udp_left = f.tun_left = 1;
	f.lane_due = 0;
	loop_timer_set(f.l, &f.timer, 0);
	loop_task_queue(f.l, &f.task);
	loop_turn(f.l, 0);

	f.trace[f.traced] = 0;
	/* queue, drain, timers, lane's timer, drain again, UDP, TUN; then once more, finding nothing */
	EXPECT_STR(f.trace, "qdTldutdut");
	close_lane(&f, &fds);
	loop_free(f.l);
}

TEST(inputs_are_looked_at_only_when_they_may_be_there)
{
	struct fake f;
	struct lane_fds fds;
	fake_init(&f);
	open_lane(&f, &fds);
	loop_turn(f.l, 0);
	loop_turn(f.l, 0);
	EXPECT_EQ(f.udp_calls + f.tun_calls, 0);

	EXPECT_EQ(write(fds.tun[1], "x", 1), 1);
	loop_turn(f.l, 0);
	loop_turn(f.l, 0);
	EXPECT_EQ(f.tun_calls, 1);
	EXPECT_EQ(f.udp_calls, 0);
	close_lane(&f, &fds);
	loop_free(f.l);
}

/* Everything that can flood, one at a time. */
enum flood { FLOOD_UDP, FLOOD_TUN, FLOOD_BOTH, FLOOD_TASK, FLOOD_TIMER, FLOOD_LANE_TIMER, FLOODS };

static void start_flood(struct fake *f, struct lane_fds *fds, enum flood flood)
{
	switch (flood) {
	case FLOOD_UDP:
		f->udp_left = UINT64_MAX;
		EXPECT_EQ(write(fds->udp[1], "x", 1), 1);
		break;
	case FLOOD_TUN:
		f->tun_left = UINT64_MAX;
		EXPECT_EQ(write(fds->tun[1], "x", 1), 1);
		break;
	case FLOOD_BOTH:
		f->udp_left = f->tun_left = UINT64_MAX;
		EXPECT_EQ(write(fds->udp[1], "x", 1), 1);
		break;
	case FLOOD_TASK:
		f->task_requeues = true;
		loop_task_queue(f->l, &f->task);
		break;
	case FLOOD_TIMER:
		f->timer_rearm = 0;
		loop_timer_set(f->l, &f->timer, 0);
		break;
	case FLOOD_LANE_TIMER:
		f->lane_due = 0;
		f->lane_rearm = 0;
		break;
	case FLOODS:
		break;
	}
}

TEST(spec30_63_no_flood_takes_more_than_5000_iterations_of_a_turn)
{
	for (enum flood flood = 0; flood < FLOODS; flood++) {
		struct fake f;
		struct lane_fds fds;
		fake_init(&f);
		open_lane(&f, &fds);
		start_flood(&f, &fds, flood);
		loop_turn(f.l, 0); /* tells of the input */
		u64 before = loop_stats(f.l)->iterations, yields = loop_stats(f.l)->yields_iterations;

		loop_turn(f.l, TIME_NEVER); /* must not sleep either */

		EXPECT_EQ(loop_stats(f.l)->iterations - before, LOOP_TURN_ITERATIONS);
		EXPECT_EQ(loop_stats(f.l)->yields_iterations - yields, 1);
		EXPECT_EQ(loop_stats(f.l)->sleeps, 0);
		close_lane(&f, &fds);
		loop_free(f.l);
	}
}

static void note_iteration(void *ctx, u64 now)
{
	struct fake *f = ctx;
	(void)now;
	f->noted_iteration = loop_stats(f->l)->iterations;
}

TEST(spec20_4_a_due_timer_runs_in_the_next_iteration_under_every_flood)
{
	for (enum flood flood = 0; flood < FLOODS; flood++) {
		struct fake f;
		struct lane_fds fds;
		fake_init(&f);
		open_lane(&f, &fds);
		start_flood(&f, &fds, flood);
		loop_turn(f.l, 0);

		/* one clock reading per iteration: due after the tenth from here */
		struct loop_timer other = { .cb = note_iteration, .ctx = &f };
		u64 before = loop_stats(f.l)->iterations;
		loop_timer_set(f.l, &other, f.clock + 10);
		loop_turn(f.l, 0);

		EXPECT(f.noted_iteration > before);
		EXPECT(f.noted_iteration <= before + 10);
		close_lane(&f, &fds);
		loop_free(f.l);
	}
}

TEST(spec20_4_signals_and_descriptors_are_served_in_every_turn_under_every_flood)
{
	for (enum flood flood = 0; flood < FLOODS; flood++) {
		struct fake f;
		struct lane_fds fds;
		int portal[2];
		fake_init(&f);
		open_lane(&f, &fds);
		make_pair(portal);
		struct loop_fd *w = loop_fd_add(f.l, portal[0], LOOP_READ, fd_probe, &f);
		EXPECT_EQ(loop_signal(f.l, SIGUSR1, signal_probe, &f), 0);
		start_flood(&f, &fds, flood);
		loop_turn(f.l, 0);

		for (unsigned turn = 1; turn <= 3; turn++) {
			raise(SIGUSR1);
			EXPECT_EQ(write(portal[1], "x", 1), 1);
			loop_turn(f.l, 0);
			EXPECT_EQ(f.signals, turn);
			EXPECT_EQ(f.fd_calls, turn);
		}
		loop_fd_del(w);
		close_pair(portal);
		close_lane(&f, &fds);
		loop_free(f.l);
	}
}

TEST(a_flooded_descriptor_starves_neither_timers_nor_the_lane)
{
	struct fake f;
	struct lane_fds fds;
	int portal[2];
	char flood[64] = { 0 };
	fake_init(&f);
	open_lane(&f, &fds);
	make_pair(portal);
	struct loop_fd *w = loop_fd_add(f.l, portal[0], LOOP_READ, fd_probe, &f);
	EXPECT_EQ(write(portal[1], flood, sizeof(flood)), (long long)sizeof(flood));
	EXPECT_EQ(write(fds.udp[1], "x", 1), 1);

	loop_turn(f.l, 0);
	f.udp_left = 1;
	loop_timer_set(f.l, &f.timer, 0);
	loop_turn(f.l, 0);

	EXPECT_EQ(f.fd_calls, 2); /* once per turn */
	EXPECT_EQ(f.timers_run, 1);
	EXPECT_EQ(f.udp_left, 0);
	loop_fd_del(w);
	close_pair(portal);
	close_lane(&f, &fds);
	loop_free(f.l);
}

TEST(one_flooded_input_does_not_starve_the_other)
{
	struct fake f;
	struct lane_fds fds;
	fake_init(&f);
	open_lane(&f, &fds);
	start_flood(&f, &fds, FLOOD_UDP);
	loop_turn(f.l, 0);
	f.tun_left = 3; /* arrives without a poll that tells of it */
	loop_turn(f.l, 0);
	EXPECT_EQ(f.tun_left, 0);
	close_lane(&f, &fds);
	loop_free(f.l);
}

TEST(a_turn_also_yields_when_its_time_is_over)
{
	struct fake f;
	struct lane_fds fds;
	fake_init(&f);
	f.step = LOOP_TURN_TIME / 8;
	open_lane(&f, &fds);
	start_flood(&f, &fds, FLOOD_UDP);
	loop_turn(f.l, 0);
	u64 before = loop_stats(f.l)->iterations;
	loop_turn(f.l, 0);
	EXPECT_EQ(loop_stats(f.l)->iterations - before, 9);
	EXPECT_EQ(loop_stats(f.l)->yields_time, 1);
	close_lane(&f, &fds);
	loop_free(f.l);
}

TEST(spec20_11_no_input_is_read_while_output_is_unflushed)
{
	struct fake f;
	struct lane_fds fds;
	char junk[4096];
	fake_init(&f);
	open_lane(&f, &fds);
	start_flood(&f, &fds, FLOOD_BOTH);
	loop_turn(f.l, 0);
	memset(junk, 0, sizeof(junk));
	while (write(fds.udp[0], junk, sizeof(junk)) > 0) /* fill it, so that it is not writable */
		;

	f.is_blocked = true;
	f.wants_write_on_block = fds.udp_watch;
	u64 udp = f.udp_calls, tun = f.tun_calls;
	loop_timer_set(f.l, &f.timer, 0);
	loop_turn(f.l, 0);
	loop_turn(f.l, 0);
	EXPECT_EQ(f.udp_calls, udp);
	EXPECT_EQ(f.tun_calls, tun);
	EXPECT_EQ(f.timers_run, 1); /* timers go on */
	EXPECT(loop_stats(f.l)->drains_blocked >= 2);

	/* The peer reads; writability ends even an unlimited sleep, and input flows again. */
	while (read(fds.udp[1], junk, sizeof(junk)) > 0)
		;
	loop_turn(f.l, TIME_NEVER);
	f.is_blocked = false;
	loop_turn(f.l, 0);
	EXPECT(f.udp_calls > udp);
	EXPECT(f.tun_calls > tun);
	close_lane(&f, &fds);
	loop_free(f.l);
}

TEST(a_timer_whose_output_blocks_keeps_input_out_in_the_same_iteration)
{
	struct fake f;
	struct lane_fds fds;
	fake_init(&f);
	open_lane(&f, &fds);
	EXPECT_EQ(write(fds.udp[1], "x", 1), 1);
	loop_turn(f.l, 0);

	f.udp_left = 1;
	f.is_blocked = true;
	f.lane_due = 0;
	loop_turn(f.l, 0);
	EXPECT_EQ(f.lane_timeouts, 1);
	EXPECT_EQ(f.udp_left, 1);
	close_lane(&f, &fds);
	loop_free(f.l);
}

TEST(a_block_without_a_writable_descriptor_is_retried)
{
	struct fake f;
	fake_init(&f);
	f.step = USEC(200);
	loop_set_lane(f.l, &fake_lane, &f);
	f.is_blocked = true;
	u64 before = f.drains;
	for (int i = 0; i < 3; i++)
		loop_turn(f.l, TIME_NEVER); /* would hang without LANE_RETRY */
	EXPECT_EQ(f.drains - before, 3);
	loop_free(f.l);
}

TEST(a_lane_deadline_that_appears_in_the_last_iteration_is_not_slept_over)
{
	struct fake f;
	struct lane_fds fds;
	fake_init(&f);
	open_lane(&f, &fds);
	f.lane_due = f.clock + 50; /* the fake clock will have passed it at the next reading but some */
	f.step = 100;
	loop_turn(f.l, f.clock + MSEC(1));
	loop_turn(f.l, 0);
	EXPECT_EQ(f.lane_timeouts, 1);
	close_lane(&f, &fds);
	loop_free(f.l);
}

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

static void timer_takes_3_ms(void *ctx, u64 now)
{
	struct fake *f = ctx;
	(void)now;
	f->clock += MSEC(3);
}

TEST(how_long_callbacks_take_is_measured_on_demand)
{
	struct fake f;
	fake_init(&f);
	f.timer.cb = timer_takes_3_ms;
	for (int is_measured = 0; is_measured < 2; is_measured++) {
		if (is_measured)
			loop_measure(f.l);
		loop_timer_set(f.l, &f.timer, f.clock);
		loop_task_queue(f.l, &f.task);
		loop_turn(f.l, 0);
	}
	EXPECT_EQ(loop_stats(f.l)->took[0], 1); /* the task */
	EXPECT_EQ(loop_stats(f.l)->took[4], 1); /* over 2.5 ms, up to 5 */
	EXPECT_EQ(loop_spans[4], MSEC(5));
	EXPECT_EQ(loop_stats(f.l)->took_ns, MSEC(3) + 2);
	EXPECT_EQ(loop_longest(f.l), MSEC(3) + 1);
	EXPECT_EQ(loop_longest(f.l), 0);
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
