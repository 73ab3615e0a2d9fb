/* core/base/calendar.h: Unix time to the Gregorian calendar and its RFC 3339 text, always UTC. */
#pragma once

#include "core/base/types.h"

struct calendar_date {
	unsigned year, month, day; /* month and day count from 1 */
};

/* `days` since 1970-01-01. */
struct calendar_date calendar_date(u64 days);

#define RFC3339_STRLEN 64u /* any u64 of nanoseconds fits */

/* "2026-04-01T12:00:00.123Z" with so many decimals of the second (at most 9); returns buf. */
char *rfc3339_format(u64 wall_ns, unsigned decimals, char buf[static RFC3339_STRLEN]);
