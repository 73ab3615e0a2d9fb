#include "applets/portal/http/metrics.h"

#include "core/base/time.h"

static const u64 bounds[DURATION_BUCKETS] = {
	USEC(500), MSEC(1), USEC(2500), MSEC(5), MSEC(10), MSEC(25), MSEC(50), MSEC(100), MSEC(250), SEC(1), SEC(5),
};

void metrics_request(struct http_stats *s, enum area_kind area, u16 status, u64 duration_ns)
{
	u32 bucket = 0;

	if (status >= 100 && status < 100 + 100 * STATUS_CLASSES)
		s->requests[area][status / 100 - 1]++;
	while (bucket < DURATION_BUCKETS && duration_ns > bounds[bucket])
		bucket++;
	s->duration[area][bucket]++;
	s->duration_ns[area] += duration_ns;
}
