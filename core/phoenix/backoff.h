/* core/phoenix/backoff.h: when to try again, and when to give up (spec 10 §4.3).
 *
 * The budget's clock starts at the first failure. Before the first join ever: every CHANNEL_FIRST_RETRY, at most CHANNEL_FIRST_BUDGET
 * long. After it: CHANNEL_BACKOFF_MIN × 1.5 each time up to CHANNEL_BACKOFF_MAX, ±50 %, at most `max_partition` long.
 */
#pragma once

#include "core/base/rng.h"
#include "core/base/time.h"

struct backoff {
	bool is_running;
	u64 started;  /* first failure */
	u64 interval; /* ns, before jitter */
};

void backoff_clear(struct backoff *b);
/* The delay before the next attempt, or TIME_NEVER: give up. */
u64 backoff_next(struct backoff *b, u64 now, bool was_joined, u64 max_partition, struct rng *rng);
