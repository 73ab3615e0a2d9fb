#include "applets/portal/model/zone.h"

#include "core/base/cursor.h"

#include <ctype.h>
#include <stdlib.h>

#define DAY 86400

/* ---- calendar ----------------------------------------------------------------------------------------------------------- */

/* Days from 1970-01-01 to a date of the proleptic Gregorian calendar. */
static i64 days_from_civil(i64 y, int m, int d)
{
	y -= m <= 2;
	i64 era = (y >= 0 ? y : y - 399) / 400;
	i64 yoe = y - era * 400, doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static i64 floor_div(i64 a, i64 b)
{
	return a >= 0 ? a / b : -((-a + b - 1) / b);
}

static i64 year_of(i64 utc)
{
	i64 z = floor_div(utc, DAY) + 719468, era = floor_div(z, 146097), doe = z - era * 146097;
	i64 yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365, doy = doe - (365 * yoe + yoe / 4 - yoe / 100);

	return yoe + era * 400 + (doy >= 306);
}

static bool is_leap(i64 y)
{
	return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

/* The local instant of a change in a year, as if local time were UTC. */
static i64 change_at(const struct zone_change *c, i64 year)
{
	i64 first;
	int weekday, day;

	switch (c->kind) {
	case CHANGE_JULIAN: /* February 29 is never counted */
		return (days_from_civil(year, 1, 1) + c->day - 1 + (is_leap(year) && c->day >= 60)) * DAY + c->at;
	case CHANGE_DAY_OF_YEAR:
		return (days_from_civil(year, 1, 1) + c->day) * DAY + c->at;
	case CHANGE_MONTH_WEEK_DAY:
		break;
	}
	first = days_from_civil(year, c->month, 1);
	weekday = (int)(((first + 4) % 7 + 7) % 7);
	day = (c->day - weekday + 7) % 7 + (c->week - 1) * 7;
	/* week 5 is the last of the month */
	i64 length = (c->month == 12 ? days_from_civil(year + 1, 1, 1) : days_from_civil(year, c->month + 1, 1)) - first;
	while (day >= length)
		day -= 7;
	return (first + day) * DAY + c->at;
}

static i64 rule_offset(const struct zone_rule *r, i64 utc)
{
	if (!r->has_dst)
		return r->standard;
	i64 year = year_of(utc + r->standard);
	i64 starts = change_at(&r->starts, year) - r->standard, ends = change_at(&r->ends, year) - r->dst;
	bool is_dst = starts < ends ? utc >= starts && utc < ends : utc >= starts || utc < ends;
	return is_dst ? r->dst : r->standard;
}

/* ---- the rule's text ------------------------------------------------------------------------------------------------------- */

static bool take_byte(struct rd *r, char c)
{
	if (rd_left(r) == 0 || *r->p != (u8)c)
		return false;
	r->p++;
	return true;
}

static int take_number(struct rd *r, int max)
{
	int v = 0, digits = 0;

	while (rd_left(r) && isdigit(*r->p) && digits < 4) {
		v = v * 10 + (*r->p++ - '0');
		digits++;
	}
	if (digits == 0 || v > max)
		r->failed = true;
	return v;
}

/* [+-]hh[:mm[:ss]] */
static i64 take_time(struct rd *r, int max_hours)
{
	i64 sign = take_byte(r, '-') ? -1 : (take_byte(r, '+'), 1);
	i64 v = take_number(r, max_hours) * 3600;

	if (take_byte(r, ':'))
		v += take_number(r, 59) * 60;
	if (take_byte(r, ':'))
		v += take_number(r, 59);
	return sign * v;
}

static void take_name(struct rd *r)
{
	size_t n = 0;

	if (take_byte(r, '<')) {
		while (rd_left(r) && *r->p != '>') {
			r->p++;
			n++;
		}
		if (!take_byte(r, '>'))
			r->failed = true;
	} else {
		for (; rd_left(r) && isalpha(*r->p); n++)
			r->p++;
	}
	if (n < 3)
		r->failed = true;
}

static struct zone_change take_change(struct rd *r)
{
	struct zone_change c = { .at = 2 * 3600 };

	if (!take_byte(r, ','))
		r->failed = true;
	if (take_byte(r, 'M')) {
		c.kind = CHANGE_MONTH_WEEK_DAY;
		c.month = take_number(r, 12);
		r->failed |= !take_byte(r, '.') || c.month < 1;
		c.week = take_number(r, 5);
		r->failed |= !take_byte(r, '.') || c.week < 1;
		c.day = take_number(r, 6);
	} else if (take_byte(r, 'J')) {
		c.kind = CHANGE_JULIAN;
		c.day = take_number(r, 365);
	} else {
		c.kind = CHANGE_DAY_OF_YEAR;
		c.day = take_number(r, 365);
	}
	if (take_byte(r, '/'))
		c.at = take_time(r, 167);
	return c;
}

int zone_rule_parse(struct span text, struct zone_rule *out)
{
	struct rd r = rd_span(text);

	memset(out, 0, sizeof(*out));
	take_name(&r);
	out->standard = -take_time(&r, 24);
	out->dst = out->standard + 3600;
	out->is_set = true;
	if (rd_ok(&r) && rd_left(&r) > 0) {
		out->has_dst = true;
		take_name(&r);
		if (rd_left(&r) > 0 && *r.p != ',')
			out->dst = -take_time(&r, 24);
		out->starts = take_change(&r);
		out->ends = take_change(&r);
	}
	return rd_done(&r) ? 0 : ERR_MALFORMED;
}

/* ---- the file ---------------------------------------------------------------------------------------------------------------- */

struct header {
	u8 version;
	u32 isut, isstd, leap, time, type, chars;
};

static struct header read_header(struct rd *r)
{
	struct header h;

	if (rd_be32(r) != 0x545a6966) /* "TZif" */
		r->failed = true;
	h.version = rd_u8(r);
	rd_skip(r, 15);
	h.isut = rd_be32(r);
	h.isstd = rd_be32(r);
	h.leap = rd_be32(r);
	h.time = rd_be32(r);
	h.type = rd_be32(r);
	h.chars = rd_be32(r);
	if (h.time > ZONE_TRANSITIONS_MAX || h.type > ZONE_TYPES_MAX || h.type == 0 || h.chars > 4096 || h.leap > 4096 || h.isut > 4096 ||
	    h.isstd > 4096)
		r->failed = true;
	return h;
}

static void skip_block(struct rd *r, const struct header *h, u32 time_size)
{
	rd_skip(r, (size_t)h->time * time_size + h->time + (size_t)h->type * 6 + h->chars + (size_t)h->leap * (time_size + 4) + h->isstd +
			   h->isut);
}

static int read_block(struct rd *r, const struct header *h, struct zone *z)
{
	i64 offsets[ZONE_TYPES_MAX];
	const u8 *types;

	z->at = calloc(h->time + 1, sizeof(*z->at));
	z->offset = calloc(h->time + 1, sizeof(*z->offset));
	if (!z->at || !z->offset)
		return ERR_NOMEM;
	z->n = h->time;
	for (u32 i = 0; i < h->time; i++) {
		z->at[i] = (i64)rd_be64(r);
		if (i > 0 && z->at[i] <= z->at[i - 1])
			r->failed = true;
	}
	types = rd_take(r, h->time);
	for (u32 i = 0; i < h->type; i++) {
		offsets[i] = (i32)rd_be32(r);
		rd_skip(r, 2);
		if (offsets[i] < -DAY || offsets[i] > DAY)
			r->failed = true;
	}
	rd_skip(r, h->chars + (size_t)h->leap * 12 + h->isstd + h->isut);
	if (!rd_ok(r))
		return ERR_MALFORMED;
	z->first = offsets[0];
	for (u32 i = 0; i < h->time; i++) {
		if (types[i] >= h->type)
			return ERR_MALFORMED;
		z->offset[i] = offsets[types[i]];
	}
	return 0;
}

static int read_footer(struct rd *r, struct zone *z)
{
	const u8 *end;

	if (rd_u8(r) != '\n')
		return ERR_MALFORMED;
	end = rd_left(r) ? memchr(r->p, '\n', rd_left(r)) : NULL;
	if (!end)
		return ERR_MALFORMED;
	return end == r->p ? 0 : zone_rule_parse(SPAN(r->p, (size_t)(end - r->p)), &z->rule);
}

int zone_parse(struct span file, struct zone *out)
{
	struct rd r = rd_span(file);
	struct header h = read_header(&r);
	int rc;

	memset(out, 0, sizeof(*out));
	if (!rd_ok(&r) || h.version < '2') /* 32-bit times end in 2038 */
		return ERR_MALFORMED;
	skip_block(&r, &h, 4);
	h = read_header(&r);
	rc = rd_ok(&r) ? read_block(&r, &h, out) : ERR_MALFORMED;
	rc = rc ? rc : read_footer(&r, out);
	if (rc)
		zone_deinit(out);
	return rc;
}

void zone_deinit(struct zone *z)
{
	free(z->at);
	free(z->offset);
	memset(z, 0, sizeof(*z));
}

i64 zone_offset(const struct zone *z, i64 utc)
{
	u32 lo = 0, hi = z->n;

	if (z->n == 0)
		return z->rule.is_set ? rule_offset(&z->rule, utc) : z->first;
	if (utc < z->at[0])
		return z->first;
	if (utc >= z->at[z->n - 1] && z->rule.is_set)
		return rule_offset(&z->rule, utc);
	while (hi - lo > 1) {
		u32 mid = lo + (hi - lo) / 2;
		if (z->at[mid] <= utc)
			lo = mid;
		else
			hi = mid;
	}
	return z->offset[lo];
}
