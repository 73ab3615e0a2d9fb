/* applets/portal/web/hours.h: the last HOURS_SHOWN hours of what the store counts, the present one included, as charts want them.
 *
 *	struct hours h;
 *	if (hours_begin(&w, &h) && (values = hours_of(&h, "flows")))        else: answered (503)
 */
#pragma once

#include "applets/portal/web/web.h"

#define HOURS_SHOWN 24u

struct hours {
	struct web *w;
	i64 from; /* microseconds since 1970 */
	const char **labels; /* "09:00", UTC */
};

bool hours_begin(struct web *w, struct hours *h) MUST_CHECK;
/* HOURS_SHOWN sums of that name (store_stats()), 0 where nothing was counted. NULL: answered. */
u64 *hours_of(const struct hours *h, const char *name) MUST_CHECK;
/* A chart of them without series. */
struct chart hours_chart(const struct hours *h, const char *title, const char *unit);
