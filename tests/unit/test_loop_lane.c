/* The event core with a lane: order of work, back-pressure, and service in bounded work under every kind of flood. Nothing here is timed:
 * the clock is a counter, and what is asserted are numbers of iterations and turns. */
#include "tests/unit/loop_world.h"

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

static enum lane_state take_one(struct fake *f, char letter, u64 *calls, u64 *left)
{
	trace(f, letter);
	++*calls;
	if (*left == 0)
		return LANE_IDLE;
	--*left;
	return LANE_WORKED;
}

static enum lane_state fake_udp(void *ctx, u64 now)
{
	struct fake *f = ctx;
	(void)now;
	return take_one(f, 'u', &f->udp_calls, &f->udp_left);
}

static enum lane_state fake_tun(void *ctx, u64 now)
{
	struct fake *f = ctx;
	(void)now;
	return take_one(f, 't', &f->tun_calls, &f->tun_left);
}

static const struct lane_ops fake_lane = { fake_drain, fake_timeout, fake_next_timeout, fake_udp, fake_tun };

/* A lane whose two inputs are readable descriptors. */
struct lane_fds {
	int udp[2], tun[2];
	struct loop_fd *udp_watch, *tun_watch;
};

static void open_lane(struct fake *f, struct lane_fds *fds)
{
	fake_init(f);
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
	loop_free(f->l);
}

TEST(an_iteration_works_in_the_order_of_spec_20_4)
{
	struct fake f;
	struct lane_fds fds;
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
}

TEST(inputs_are_looked_at_only_when_they_may_be_there)
{
	struct fake f;
	struct lane_fds fds;
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
		open_lane(&f, &fds);
		start_flood(&f, &fds, flood);
		loop_turn(f.l, 0); /* tells of the input */
		u64 before = loop_stats(f.l)->iterations, yields = loop_stats(f.l)->yields_iterations;

		loop_turn(f.l, TIME_NEVER); /* must not sleep either */

		EXPECT_EQ(loop_stats(f.l)->iterations - before, LOOP_TURN_ITERATIONS);
		EXPECT_EQ(loop_stats(f.l)->yields_iterations - yields, 1);
		EXPECT_EQ(loop_stats(f.l)->sleeps, 0);
		close_lane(&f, &fds);
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
	}
}

TEST(spec20_4_signals_and_descriptors_are_served_in_every_turn_under_every_flood)
{
	for (enum flood flood = 0; flood < FLOODS; flood++) {
		struct fake f;
		struct lane_fds fds;
		int portal[2];
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
	}
}

TEST(a_flooded_descriptor_starves_neither_timers_nor_the_lane)
{
	struct fake f;
	struct lane_fds fds;
	int portal[2];
	char flood[64] = { 0 };
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
}

TEST(one_flooded_input_does_not_starve_the_other)
{
	struct fake f;
	struct lane_fds fds;
	open_lane(&f, &fds);
	start_flood(&f, &fds, FLOOD_UDP);
	loop_turn(f.l, 0);
	f.tun_left = 3; /* arrives without a poll that tells of it */
	loop_turn(f.l, 0);
	EXPECT_EQ(f.tun_left, 0);
	close_lane(&f, &fds);
}

TEST(a_turn_also_yields_when_its_time_is_over)
{
	struct fake f;
	struct lane_fds fds;
	open_lane(&f, &fds);
	f.step = LOOP_TURN_TIME / 8;
	start_flood(&f, &fds, FLOOD_UDP);
	loop_turn(f.l, 0);
	u64 before = loop_stats(f.l)->iterations;
	loop_turn(f.l, 0);
	EXPECT_EQ(loop_stats(f.l)->iterations - before, 9);
	EXPECT_EQ(loop_stats(f.l)->yields_time, 1);
	close_lane(&f, &fds);
}

TEST(spec20_11_no_input_is_read_while_output_is_unflushed)
{
	struct fake f;
	struct lane_fds fds;
	char junk[4096];
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
}

TEST(a_timer_whose_output_blocks_keeps_input_out_in_the_same_iteration)
{
	struct fake f;
	struct lane_fds fds;
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
	open_lane(&f, &fds);
	f.lane_due = f.clock + 50; /* the fake clock will have passed it at the next reading but some */
	f.step = 100;
	loop_turn(f.l, f.clock + MSEC(1));
	loop_turn(f.l, 0);
	EXPECT_EQ(f.lane_timeouts, 1);
	close_lane(&f, &fds);
}
