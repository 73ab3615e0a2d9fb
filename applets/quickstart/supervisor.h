/* applets/quickstart/supervisor.h: a few programs kept running together.
 *
 *   [waiting] ──its time has come, its forerunner is ready──▶ [running] ──exit──▶ [waiting], back-off 0.5 s × 2 up to 30 s,
 *       ▲                                                        │                 from the start again after 60 s of life
 *       └────────────────────────────────────────────────────────┘
 *
 * Parts are started in order and stopped in reverse order: SIGTERM, and SIGKILL to what is still there after STOP_TIMEOUT. A part that
 * exits with status 2 does not understand its options and never will: everything is stopped. When the supervisor itself is killed the
 * kernel sends SIGTERM to its parts.
 */
#pragma once

#include "core/base/time.h"

#include <sys/types.h>

#define PARTS_MAX 8u
#define PART_ARGS_MAX 24u
#define PART_ENV_MAX 16u
#define BACKOFF_MIN MSEC(500)
#define BACKOFF_MAX SEC(30)
#define BACKOFF_FORGET SEC(60)
#define STOP_TIMEOUT SEC(8)
#define READY_TIMEOUT SEC(10) /* for a part to be ready at the very first start */

struct part {
	const char *name;
	const char *args[PART_ARGS_MAX]; /* NULL terminated, after the program's own name */
	const char *env[PART_ENV_MAX];	 /* "NAME=value", added to ours; NULL terminated */
	/* Is it ready, so that the next part may start? NULL: at once. */
	bool (*is_ready)(void *ctx);
	void *ctx;
	/* the supervisor's */
	pid_t pid;
	u64 started, due, backoff;
	bool was_killed; /* did not end by itself: it may have left something behind */
};

/* Runs the parts with `program` until SIGTERM or SIGINT: 0. 1: the first start of a part failed, or one does not understand its options.
 * `on_ready` is called once, when all run. */
int supervise(const char *program, struct part *parts, u32 n, void (*on_ready)(void *ctx), void *ctx);
