#include "core/base/calendar.h"

#include "core/base/time.h"

#include <stdio.h>

/* Years count from March here, so the leap day comes last. */
struct calendar_date calendar_date(u64 days)
{
	u64 z = days + 719468;
	u64 era = z / 146097;
	u64 doe = z % 146097;
	u64 yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	u64 doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	u64 mp = (5 * doy + 2) / 153;
	unsigned month = (unsigned)(mp < 10 ? mp + 3 : mp - 9);

	return (struct calendar_date){ (unsigned)(yoe + era * 400 + (month <= 2)), month, (unsigned)(doy - (153 * mp + 2) / 5 + 1) };
}

char *rfc3339_format(u64 wall_ns, unsigned decimals, char buf[static RFC3339_STRLEN])
{
	u64 secs = wall_ns / NSEC_PER_SEC, rest = wall_ns % NSEC_PER_SEC;
	struct calendar_date d = calendar_date(secs / 86400);
	char fraction[16] = "";

	for (unsigned i = decimals; i < 9; i++)
		rest /= 10;
	if (decimals > 0)
		snprintf(fraction, sizeof(fraction), ".%0*u", (int)MIN(decimals, 9u), (unsigned)rest);
	snprintf(buf, RFC3339_STRLEN, "%04u-%02u-%02uT%02u:%02u:%02u%sZ", d.year, d.month, d.day, (unsigned)(secs / 3600 % 24),
		 (unsigned)(secs / 60 % 60), (unsigned)(secs % 60), fraction);
	return buf;
}
