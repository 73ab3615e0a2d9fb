/* core/loop/loop.h: the one place that waits.
 *
 * A loop serves ordinary file descriptors, timers, signals and queued calls, and at most one *lane*: the packet corridor between the
 * UDP sockets and the TUN device. It is single threaded; every callback runs inside loop_run().
 *
 * A turn is
 *
 *      ┌───────────────────────── an iteration ─────────────────────────┐
 *      │ (1) queued calls, lane.drain   (2) due timers, lane.timeout    │──┐ again, while anything was done:
 *      │ (3) lane.udp_in                (4) lane.tun_in                 │  │ at most LOOP_TURN_ITERATIONS times and
 *      └────────────────────────────────────────────────────────────────┘◀─┘ LOOP_TURN_TIME long, then a forced yield
 *      poll: signals and ordinary fds, one callback each; sleeps only when the last iteration found nothing to do
 *
 * which gives these promises (spec 20 §4, tested by counting in tests/unit/test_loop_lane.c):
 *   - new input is taken only after the output of the former is gone: steps 3 and 4 are skipped while drain says LANE_BLOCKED;
 *   - a due timer is handled in the next iteration, whatever floods in; each timer runs at most once per iteration;
 *   - signals and ordinary fds are served at least once per turn, also when a timer or a queued call re-arms itself for ever;
 *   - no sleep overlooks work: deadlines are asked for after the last iteration, and input that came meanwhile ends the poll.
 *
 * Times are monotonic nanoseconds; a timer fires at or after its instant, up to 1 ms later when the loop was asleep.
 * A program with many sockets and no TUN (the relay) may use ordinary fds and read one batch in each callback.
 */
#pragma once

#include "core/base/time.h"

#define LOOP_TURN_ITERATIONS 5000u /* spec 20 §4 */
#define LOOP_TURN_TIME MSEC(10)    /* 5000 full batches would keep the portal's socket waiting for seconds */
#define LANE_RETRY MSEC(1)
#define LOOP_REST_MAX USEC(200)
#define LOOP_SIGNALS_MAX 8u
#define LOOP_LANE_FDS_MAX 8u

struct loop;

/* The two clocks. The product passes sys_clock of platform/sys.h, tests their own. */
struct loop_clock {
	u64 (*now)(void *ctx);  /* monotonic ns */
	u64 (*wall)(void *ctx); /* ns since the Unix epoch */
	void *ctx;
};

/* NULL when out of memory or descriptors. The clock is copied. */
struct loop *loop_new(const struct loop_clock *clock);
/* Forgets everything that is still registered; closes no descriptor of the caller. Not from inside a callback. */
void loop_free(struct loop *l);

/* Runs turns until loop_stop(). */
void loop_run(struct loop *l);
/* Ends loop_run() after the present turn; callable from callbacks. */
void loop_stop(struct loop *l);
/* One turn, for tests and for draining at exit; sleeps at most until `latest` (0: not at all, TIME_NEVER: no limit). */
void loop_turn(struct loop *l, u64 latest);

/* Asks for a rest before the next poll: input then gathers for `ns` (at most LOOP_REST_MAX) and is served by fewer wake-ups, as network cards do
 * with interrupts. For a server that was just woken for many requests at once. Asked for anew each time; a timer that falls due ends it, and so
 * does a signal; with queued calls or a lane that has work there is none. */
void loop_rest(struct loop *l, u64 ns);

/* For a callback that has done its share and wants to go on later: after this iteration descriptors and signals are asked, before anything else runs. */
void loop_yield(struct loop *l);

/* The instant of the present iteration: one clock reading serves all callbacks in it. */
u64 loop_now(const struct loop *l);
u64 loop_wall(const struct loop *l);

/* --- ordinary descriptors ---------------------------------------------------------------------------------------------------- */

#define LOOP_READ 1u
#define LOOP_WRITE 2u

struct loop_fd;
typedef void loop_fd_cb(void *ctx, int fd, unsigned events, u64 now);

/* Level-triggered. The descriptor must be non-blocking and stays the caller's; remove the watch before closing it. NULL: out of
 * memory. A watch may be changed or removed from any callback, also from its own; a removed one is never called again. */
struct loop_fd *loop_fd_add(struct loop *l, int fd, unsigned events, loop_fd_cb *cb, void *ctx);
void loop_fd_set(struct loop_fd *w, unsigned events); /* 0 = sleep */
void loop_fd_del(struct loop_fd *w);                  /* NULL is allowed */

/* --- timers ------------------------------------------------------------------------------------------------------------------ */

/* Lives in its owner's struct; zeroed memory is an idle timer. One shot: set it again from the callback to repeat. */
struct loop_timer {
	void (*cb)(void *ctx, u64 now);
	void *ctx;
	u64 due; /* read only */
	struct loop_timer *child, *next, **link; /* the loop's: pairing heap */
	bool is_set;
};

/* cb and ctx must be filled in. Setting a set timer moves it; TIME_NEVER clears it. */
void loop_timer_set(struct loop *l, struct loop_timer *t, u64 due);
void loop_timer_clear(struct loop *l, struct loop_timer *t);

/* --- queued calls ------------------------------------------------------------------------------------------------------------ */

/* Runs soon, from a fresh stack: step 1 of the next iteration. Zeroed memory is an idle task; queueing a queued one changes nothing. */
struct loop_task {
	void (*cb)(void *ctx, u64 now);
	void *ctx;
	struct loop_task *next, **link; /* the loop's */
};

void loop_task_queue(struct loop *l, struct loop_task *t);
void loop_task_cancel(struct loop *l, struct loop_task *t);

/* --- signals ----------------------------------------------------------------------------------------------------------------- */

/* Called from the poll, not from a signal handler. A signal belongs to one loop of the process. ERR_LIMIT. */
int loop_signal(struct loop *l, int signo, void (*cb)(void *ctx, int signo), void *ctx) MUST_CHECK;

/* --- the lane ---------------------------------------------------------------------------------------------------------------- */

enum lane_state {
	LANE_IDLE,    /* there was nothing to do; input is dry */
	LANE_WORKED,  /* something was done: there may be more */
	LANE_BLOCKED, /* drain only: output is left that the system does not take now */
};

struct lane_ops {
	/* (1) Hands queued output to the system; called again when timers ran, so that inputs find it done. LANE_BLOCKED stops the
	 * inputs until a descriptor marked by loop_lane_want_write() is writable; with none marked it is tried after LANE_RETRY. */
	enum lane_state (*drain)(void *ctx, u64 now);
	/* (2) Called when next_timeout() is due. */
	void (*timeout)(void *ctx, u64 now);
	u64 (*next_timeout)(void *ctx);
	/* (3), (4) Take one batch each. NULL: this lane has no such input. */
	enum lane_state (*udp_in)(void *ctx, u64 now);
	enum lane_state (*tun_in)(void *ctx, u64 now);
};

/* Copied; NULL takes the lane away (its descriptors first). */
void loop_set_lane(struct loop *l, const struct lane_ops *ops, void *ctx);

enum lane_input { LANE_UDP, LANE_TUN };

/* A descriptor whose readability means that udp_in or tun_in has something to do. NULL: LOOP_LANE_FDS_MAX reached or out of memory. */
struct loop_fd *loop_lane_add(struct loop *l, int fd, enum lane_input input);
/* Wakes the loop when the descriptor is writable, once: drain marks it again when it is blocked again. */
void loop_lane_want_write(struct loop_fd *w, bool wants);
/* Removal is by loop_fd_del(). */

/* --- what it did ------------------------------------------------------------------------------------------------------------- */

#define LOOP_SPANS 7u

struct loop_stats {
	u64 turns, iterations;
	u64 tasks, timers;                    /* callbacks run */
	u64 drains, drains_blocked;           /* lane.drain that returned LANE_WORKED, LANE_BLOCKED */
	u64 lane_timeouts;                    /* lane.timeout calls */
	u64 udp_batches, tun_batches;         /* inputs that returned LANE_WORKED */
	u64 udp_dry, tun_dry;                 /* inputs that returned LANE_IDLE */
	u64 yields_iterations, yields_time;   /* turns cut short by either limit */
	u64 polls, sleeps;                    /* polls in all; those that were allowed to sleep */
	u64 rests;                            /* loop_rest() that was granted */
	u64 fd_events, signals;
	u64 took[LOOP_SPANS + 1]; /* callbacks by how long they took: up to each of loop_spans[], and longer; ordinary ones, while measured */
	u64 took_ns;		  /* all of them */
};
const struct loop_stats *loop_stats(const struct loop *l);

/* A server whose every callback shall be short watches them: two more readings of the clock for each of them, and of `cpu`, the CPU time of this
 * thread (ns; NULL: unknown). What took longer than it worked waited: for a disk, or for a core that others have. */
extern const u64 loop_spans[LOOP_SPANS];
void loop_measure(struct loop *l, u64 (*cpu)(void));
/* The longest of any callback since the last time this was asked, ns. */
struct loop_longest {
	u64 took, worked;
};
struct loop_longest loop_longest(struct loop *l);
