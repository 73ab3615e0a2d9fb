/* applets/portal/model/zone.h: how far local time is ahead of UTC at an instant, from a file of the time zone database (TZif, RFC 8536).
 *
 * The portal must not depend on one TZ of its process, nor on a libc that knows few zones: a policy names any IANA zone. Transitions
 * that the file lists are looked up, later instants follow from the rule in its footer (a POSIX TZ string). Leap seconds are ignored.
 */
#pragma once

#include "core/base/err.h"
#include "core/base/types.h"

#define ZONE_TRANSITIONS_MAX 2048u
#define ZONE_TYPES_MAX 64u

/* When a rule changes the clock: day `day` of the year, or week/month/weekday; `at` seconds of that local day. */
struct zone_change {
	enum { CHANGE_MONTH_WEEK_DAY, CHANGE_JULIAN, CHANGE_DAY_OF_YEAR } kind;
	int month, week, day;
	i64 at;
};

struct zone_rule {
	bool is_set, has_dst;
	i64 standard, dst; /* seconds ahead of UTC */
	struct zone_change starts, ends;
};

struct zone {
	u32 n;
	i64 *at;	/* transitions, ascending */
	i64 *offset;	/* from that transition on */
	i64 first;	/* before the first */
	struct zone_rule rule;
};

/* ERR_MALFORMED, ERR_LIMIT, ERR_NOMEM. Release by zone_deinit(). */
int zone_parse(struct span file, struct zone *out) MUST_CHECK;
void zone_deinit(struct zone *z);

/* "CET-1CEST,M3.5.0,M10.5.0/3" */
int zone_rule_parse(struct span text, struct zone_rule *out) MUST_CHECK;

i64 zone_offset(const struct zone *z, i64 utc);
