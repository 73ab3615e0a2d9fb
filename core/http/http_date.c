#include "core/http/http.h"

#include "core/base/calendar.h"

#include <stdio.h>
#include <string.h>

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
static const char weekdays[] = "SunMonTueWedThuFriSat";

struct date {
	u32 year, month, day, hour, minute, second;
	i32 zone_minutes;
};

/* Days since 1970-01-01 of a Gregorian date (years count from March, so the leap day comes last). */
static i64 days_of(u32 year, u32 month, u32 day)
{
	i64 y = (i64)year - (month <= 2);
	i64 era = y / 400;
	i64 year_of_era = y - era * 400;
	i64 day_of_year = (153 * (i64)(month > 2 ? month - 3 : month + 9) + 2) / 5 + (i64)day - 1;

	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

static bool is_digit(u8 c)
{
	return c >= '0' && c <= '9';
}

static u32 read_number(struct rd *r, size_t min, size_t max)
{
	u32 v = 0;
	size_t n = 0;

	for (; n < max && rd_left(r) > 0 && is_digit(*r->p); n++)
		v = v * 10 + (u32)(rd_u8(r) - '0');
	if (n < min)
		r->failed = true;
	return v;
}

static void expect(struct rd *r, const char *text)
{
	size_t n = strlen(text);
	const u8 *p = rd_take(r, n);

	if (p && memcmp(p, text, n) != 0)
		r->failed = true;
}

static u32 read_month(struct rd *r)
{
	const u8 *p = rd_take(r, 3);

	for (u32 i = 0; p && i < 12; i++)
		if (memcmp(p, months + i * 3, 3) == 0)
			return i + 1;
	r->failed = true;
	return 1;
}

static void read_time(struct rd *r, struct date *d)
{
	d->hour = read_number(r, 2, 2);
	expect(r, ":");
	d->minute = read_number(r, 2, 2);
	if (rd_left(r) > 0 && *r->p == ':') {
		expect(r, ":");
		d->second = read_number(r, 2, 2);
	}
}

/* GMT, UT, UTC, Z, or +hhmm */
static void read_zone(struct rd *r, struct date *d)
{
	struct span zone = rd_bytes(r, rd_left(r));

	if (zone.n == 5 && (zone.p[0] == '+' || zone.p[0] == '-')) {
		struct rd n = rd_init(zone.p + 1, 4);
		u32 hours = read_number(&n, 2, 2), minutes = read_number(&n, 2, 2);
		if (!rd_done(&n) || hours > 23 || minutes > 59)
			r->failed = true;
		d->zone_minutes = (i32)(hours * 60 + minutes) * (zone.p[0] == '-' ? -1 : 1);
	} else if (!span_eq_nocase(zone, "GMT") && !span_eq_nocase(zone, "UT") && !span_eq_nocase(zone, "UTC") && !span_eq_nocase(zone, "Z")) {
		r->failed = true;
	}
}

/* "Sun Nov  6 08:49:37 1994", behind the weekday */
static void read_asctime(struct rd *r, struct date *d)
{
	d->month = read_month(r);
	expect(r, " ");
	if (rd_left(r) > 0 && *r->p == ' ')
		rd_skip(r, 1);
	d->day = read_number(r, 1, 2);
	expect(r, " ");
	read_time(r, d);
	expect(r, " ");
	d->year = read_number(r, 4, 4);
}

/* "06 Nov 1994 08:49:37 GMT" and "06-Nov-94 08:49:37 GMT" */
static void read_day_first(struct rd *r, struct date *d)
{
	d->day = read_number(r, 1, 2);
	bool is_rfc850 = rd_left(r) > 0 && *r->p == '-';
	rd_skip(r, 1);
	d->month = read_month(r);
	expect(r, is_rfc850 ? "-" : " ");
	d->year = read_number(r, 2, 4);
	if (d->year < 70)
		d->year += 2000;
	else if (d->year < 100)
		d->year += 1900;
	expect(r, " ");
	read_time(r, d);
	expect(r, " ");
	read_zone(r, d);
}

int http_date_parse(struct span value, u64 *unix_secs)
{
	struct rd r = rd_span(value);
	struct date d = { 0 };
	const u8 *comma = value.n > 0 ? memchr(value.p, ',', value.n) : NULL;

	if (comma) {
		rd_skip(&r, (size_t)(comma - value.p) + 1);
		expect(&r, " ");
		read_day_first(&r, &d);
	} else if (value.n > 0 && is_digit(value.p[0])) {
		read_day_first(&r, &d);
	} else {
		rd_skip(&r, 3);
		expect(&r, " ");
		read_asctime(&r, &d);
	}
	if (!rd_done(&r) || d.year < 1970 || d.day < 1 || d.day > 31 || d.hour > 23 || d.minute > 59 || d.second > 60)
		return ERR_MALFORMED;
	i64 t = days_of(d.year, d.month, d.day) * 86400 + (i64)d.hour * 3600 + ((i64)d.minute - d.zone_minutes) * 60 + (i64)d.second;
	if (t < 0)
		return ERR_MALFORMED;
	*unix_secs = (u64)t;
	return 0;
}

char *http_date_format(u64 unix_secs, char buf[static HTTP_DATE_STRLEN])
{
	u64 days = unix_secs / 86400, secs = unix_secs % 86400;
	struct calendar_date d = calendar_date(days);

	snprintf(buf, HTTP_DATE_STRLEN, "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT", weekdays + (days + 4) % 7 * 3, d.day % 100,
		 months + (d.month - 1) * 3, d.year % 10000, (unsigned)(secs / 3600), (unsigned)(secs / 60 % 60), (unsigned)(secs % 60));
	return buf;
}

int http_retry_after(struct span value, u64 wall_secs, u64 *secs)
{
	u64 v = 0;
	size_t i = 0;

	for (; i < value.n && is_digit(value.p[i]); i++)
		if (__builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, (u64)(value.p[i] - '0'), &v))
			return ERR_MALFORMED;
	if (i > 0 && i == value.n) {
		*secs = v;
		return 0;
	}
	int rc = http_date_parse(value, &v);
	if (rc == 0)
		*secs = v > wall_secs ? v - wall_secs : 0;
	return rc;
}
