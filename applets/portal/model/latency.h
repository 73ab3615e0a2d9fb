/* applets/portal/model/latency.h: round trips, counted in buckets so that an hour of them needs LATENCY_BUCKETS numbers however many there are.
 *
 * Percentiles are read back by interpolating within a bucket: whole milliseconds, right to the bucket's width.
 */
#pragma once

#include "core/base/types.h"

#define LATENCY_BUCKETS 20u

/* Which bucket counts it. */
u32 latency_bucket(u32 ms);
/* The smallest value that `percent` (1 to 100) of the samples do not exceed; 0 without samples. */
u32 latency_percentile(const u64 counts[static LATENCY_BUCKETS], u32 percent);
