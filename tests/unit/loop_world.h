/* tests/unit/loop_world.h: a loop whose clock is a counter, and callbacks that count. Private to the tests of core/loop/loop.h. */
#pragma once

#include "core/loop/loop.h"
#include "tests/unit/test.h"

#include <signal.h>
#include <string.h>
#include <sys/socket.h>
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

static inline u64 fake_now(void *ctx)
{
	struct fake *f = ctx;
	return f->clock += f->step;
}

static inline u64 fake_wall(void *ctx)
{
	(void)ctx;
	return SEC(1000);
}

static inline void trace(struct fake *f, char c)
{
	if (f->traced + 1 < sizeof(f->trace))
		f->trace[f->traced++] = c;
}

static inline void timer_probe(void *ctx, u64 now)
{
	struct fake *f = ctx;
	trace(f, 'T');
	f->timers_run++;
	if (f->timer_rearm != TIME_NEVER)
		loop_timer_set(f->l, &f->timer, now + f->timer_rearm);
}

static inline void task_probe(void *ctx, u64 now)
{
	struct fake *f = ctx;
	(void)now;
	trace(f, 'q');
	f->tasks_run++;
	if (f->task_requeues)
		loop_task_queue(f->l, &f->task);
}

static inline void fd_probe(void *ctx, int fd, unsigned events, u64 now)
{
	struct fake *f = ctx;
	(void)now;
	char c;
	EXPECT_EQ(events, LOOP_READ);
	f->fd_calls++;
	(void)!read(fd, &c, 1);
}

static inline void signal_probe(void *ctx, int signo)
{
	struct fake *f = ctx;
	EXPECT_EQ(signo, SIGUSR1);
	f->signals++;
}

static inline void fake_init(struct fake *f)
{
	*f = (struct fake){ .clock = SEC(1), .step = 1, .lane_due = TIME_NEVER, .lane_rearm = TIME_NEVER,
			    .timer_rearm = TIME_NEVER };
	f->l = loop_new(&(struct loop_clock){ fake_now, fake_wall, f });
	f->timer = (struct loop_timer){ .cb = timer_probe, .ctx = f };
	f->task = (struct loop_task){ .cb = task_probe, .ctx = f };
}

/* Two connected descriptors: data written to [1] makes [0] readable. */
static inline void make_pair(int fds[2])
{
	int rc = socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds);
	EXPECT_EQ(rc, 0);
}

static inline void close_pair(int fds[2])
{
	close(fds[0]);
	close(fds[1]);
}
