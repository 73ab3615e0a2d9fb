#include "core/phoenix/backoff.h"

#include "core/phoenix/channel.h"

void backoff_clear(struct backoff *b)
{
	b->is_running = false;
}

u64 backoff_next(struct backoff *b, u64 now, bool was_joined, u64 max_partition, struct rng *rng)
{
	u64 budget = was_joined ? max_partition : CHANNEL_FIRST_BUDGET;
	u64 delay;

	if (!b->is_running) {
		b->is_running = true;
		b->started = now;
		b->interval = was_joined ? CHANNEL_BACKOFF_MIN : CHANNEL_FIRST_RETRY;
	}
	delay = b->interval;
	if (was_joined) {
		delay = b->interval / 2 + rng_below(rng, b->interval + 1);
		b->interval = MIN(b->interval + b->interval / 2, CHANNEL_BACKOFF_MAX);
	}
	return time_add(time_since(now, b->started), delay) > budget ? TIME_NEVER : delay;
}
