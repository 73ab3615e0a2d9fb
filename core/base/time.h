/* core/base/time.h: instants and durations.
 *
 * `now` in every door is monotonic nanoseconds since an arbitrary start (u64). Wall-clock time, where a protocol needs it, is passed
 * separately as `wall`, nanoseconds since the Unix epoch (u64). core never reads a clock.
 */
#pragma once

#include "core/base/types.h"

#define NSEC_PER_SEC 1000000000ull
#define USEC(x) ((u64)(x) * 1000ull)
#define MSEC(x) ((u64)(x) * 1000000ull)
#define SEC(x) ((u64)(x) * NSEC_PER_SEC)
#define MINUTES(x) SEC((u64)(x) * 60ull)
#define TIME_NEVER UINT64_MAX

static inline u64 time_min(u64 a, u64 b)
{
	return a < b ? a : b;
}

/* a + d without wrapping past TIME_NEVER. */
static inline u64 time_add(u64 a, u64 d)
{
	return a > TIME_NEVER - d ? TIME_NEVER : a + d;
}

/* now - then, 0 when `then` lies in the future. */
static inline u64 time_since(u64 now, u64 then)
{
	return now > then ? now - then : 0;
}
