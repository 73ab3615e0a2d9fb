#include "applets/portal/model/latency.h"

/* Upper bounds, included; the last bucket has what is slower. */
static const u32 bounds[LATENCY_BUCKETS - 1] = { 0, 1, 2, 3, 5, 7, 10, 14, 20, 30, 40, 50, 70, 100, 140, 200, 300, 500, 1000 };

u32 latency_bucket(u32 ms)
{
	u32 i = 0;

	while (i < ARRAY_LEN(bounds) && ms > bounds[i])
		i++;
	return i;
}

u32 latency_percentile(const u64 counts[static LATENCY_BUCKETS], u32 percent)
{
	u64 sum = 0, before = 0, rank;

	for (u32 i = 0; i < LATENCY_BUCKETS; i++)
		sum += MIN(counts[i], UINT64_MAX / LATENCY_BUCKETS / 100);
	if (sum == 0)
		return 0;
	rank = (sum * percent + 99) / 100;
	for (u32 i = 0; i < ARRAY_LEN(bounds); i++) {
		u64 n = MIN(counts[i], UINT64_MAX / LATENCY_BUCKETS / 100);
		u32 low = i ? bounds[i - 1] : 0;

		if (before + n >= rank)
			/* counts may be large: first how many hundredths of the bucket */
			return low + (u32)((bounds[i] - low) * ((rank - before) * 100 / n) / 100);
		before += n;
	}
	return bounds[ARRAY_LEN(bounds) - 1];
}
