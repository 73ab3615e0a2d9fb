#include "applets/portal/web/html.h"

#include "core/base/calendar.h"
#include "core/base/utf8.h"

#include <stdio.h>

#define MICROS 1000000

static bool is_control(u8 c)
{
	return (c < 0x20 && c != '\t' && c != '\n') || c == 0x7f;
}

static const char *entity_of(u8 c)
{
	switch (c) {
	case '&': return "&amp;";
	case '<': return "&lt;";
	case '>': return "&gt;";
	case '"': return "&#34;";
	case '\'': return "&#39;";
	}
	return NULL;
}

/* Runs of plain text go out in one piece. */
void html_span(struct strbuf *o, struct span s)
{
	size_t from = 0, i = 0;

	while (i < s.n) {
		u8 c = s.p[i];
		const char *instead = c < 0x80 ? entity_of(c) : NULL;
		size_t len = 1;
		if (is_control(c))
			instead = "";
		else if (c >= 0x80 && (len = utf8_char(s.p + i, s.n - i, NULL)) == 0)
			instead = "\xef\xbf\xbd", len = 1;
		if (instead) {
			if (i > from)
				strbuf_add(o, s.p + from, i - from);
			strbuf_puts(o, instead);
			from = i + len;
		}
		i += len;
	}
	if (i > from)
		strbuf_add(o, s.p + from, i - from);
}

void html_str(struct strbuf *o, const char *s)
{
	if (s)
		html_span(o, SPAN(s, strlen(s)));
}

void html_u64(struct strbuf *o, u64 v)
{
	char buf[20];
	size_t at = sizeof(buf);

	do {
		buf[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	strbuf_add(o, buf + at, sizeof(buf) - at);
}

void html_i64(struct strbuf *o, i64 v)
{
	if (v < 0)
		strbuf_putc(o, '-');
	html_u64(o, v < 0 ? 0 - (u64)v : (u64)v);
}

void html_uuid(struct strbuf *o, const struct uuid *id)
{
	char buf[UUID_STRLEN];

	if (id)
		strbuf_puts(o, uuid_format(id, buf));
}

void html_ip(struct strbuf *o, const struct ip *ip)
{
	char buf[IP_STRLEN];

	if (ip && ip->family)
		strbuf_puts(o, ip_format(ip, buf));
}

void html_endpoint(struct strbuf *o, const struct endpoint *ep)
{
	char buf[ENDPOINT_STRLEN];

	if (ep && ep->ip.family)
		strbuf_puts(o, endpoint_format(ep, buf));
}

void html_cidr(struct strbuf *o, const struct cidr *net)
{
	char buf[CIDR_STRLEN];

	if (net && net->ip.family)
		strbuf_puts(o, cidr_format(net, buf));
}

/* ---- URLs ---- */

static bool is_unreserved(u8 c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
}

static void percent(struct strbuf *o, u8 c)
{
	static const char digits[] = "0123456789ABCDEF";
	char buf[3] = { '%', digits[c >> 4], digits[c & 15] };

	strbuf_add(o, buf, 3);
}

/* Writes s with what `keep` does not name encoded; '&' and '\'' as entities, for we are in an attribute. */
static void url_put(struct strbuf *o, const char *s, const char *keep)
{
	for (; *s; s++) {
		u8 c = (u8)*s;
		if (is_unreserved(c))
			strbuf_putc(o, *s);
		else if (!strchr(keep, c))
			percent(o, c);
		else if (c == '&')
			strbuf_puts(o, "&amp;");
		else
			strbuf_putc(o, *s);
	}
}

static bool begins(const char *s, const char *lower_case)
{
	for (; *lower_case; s++, lower_case++)
		if ((*s >= 'A' && *s <= 'Z' ? *s + 32 : *s) != *lower_case)
			return false;
	return true;
}

/* A ':' before any of "/?#" makes what stands before it a scheme, to browsers even with control characters in it: so these are refused. */
bool html_url_is_safe(const char *url)
{
	size_t scheme = strcspn(url, ":/?#");

	for (const char *c = url; *c; c++)
		if ((u8)*c <= 0x20 || (u8)*c == 0x7f || *c == '\\')
			return false;
	return url[scheme] != ':' || begins(url, "https://") || begins(url, "http://") || begins(url, "mailto:") || begins(url, DEEP_LINK_SCHEME "//");
}

void html_url(struct strbuf *o, const char *url)
{
	if (!url)
		return;
	if (html_url_is_safe(url))
		url_put(o, url, "!#$%&()*+,/:;=?@[]");
	else
		strbuf_putc(o, '#');
}

void html_url_encoded(struct strbuf *o, const char *piece)
{
	if (piece)
		url_put(o, piece, "!$%&()*+,/:;=?@");
}

void html_url_str(struct strbuf *o, const char *s)
{
	if (s && strcmp(s, ".") != 0 && strcmp(s, "..") != 0)
		url_put(o, s, "@");
}

/* ---- filters ---- */

void html_json(struct strbuf *o, const char *json)
{
	for (; json && *json; json++)
		if (*json == '<' || *json == '>' || *json == '&')
			strbuf_printf(o, "\\u%04x", (unsigned)*json);
		else if (strncmp(json, "\xe2\x80\xa8", 3) == 0 || strncmp(json, "\xe2\x80\xa9", 3) == 0)
			strbuf_puts(o, json[2] == '\xa8' ? "\\u2028" : "\\u2029"), json += 2;
		else
			strbuf_putc(o, *json);
}

void html_or(struct strbuf *o, const char *s, const char *otherwise)
{
	html_str(o, s && *s ? s : otherwise);
}

void html_yesno(struct strbuf *o, bool v)
{
	strbuf_puts(o, v ? "yes" : "no");
}

/* The first character of the first and of the last word; a character may be many bytes. */
void html_initials(struct strbuf *o, const char *name)
{
	const char *first = NULL, *last = NULL;
	bool is_start = true;

	for (const char *c = name; c && *c; c++) {
		if (is_start && *c != ' ') {
			if (!first)
				first = c;
			else
				last = c;
		}
		is_start = *c == ' ';
	}
	for (u32 i = 0; i < 2; i++) {
		const char *c = i == 0 ? first : last;
		size_t n = c ? utf8_char((const u8 *)c, strlen(c), NULL) : 0;
		if (n == 1 && *c >= 'a' && *c <= 'z')
			strbuf_putc(o, (char)(*c - 32));
		else
			html_span(o, SPAN(c, n));
	}
}

void html_short(struct strbuf *o, const struct uuid *id)
{
	char buf[UUID_STRLEN];

	strbuf_add(o, uuid_format(id, buf), 8);
}

void html_count(struct strbuf *o, u64 n)
{
	char plain[24], grouped[32];
	int len = snprintf(plain, sizeof(plain), "%llu", (unsigned long long)n), at = 0;

	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			grouped[at++] = ',';
		grouped[at++] = plain[i];
	}
	strbuf_add(o, grouped, (size_t)at);
}

void html_plural(struct strbuf *o, u64 n, const char *one, const char *many)
{
	html_count(o, n);
	strbuf_putc(o, ' ');
	html_str(o, n == 1 ? one : many);
}

void html_bytes(struct strbuf *o, u64 n)
{
	static const char unit[][4] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	u64 tenths = n;
	u32 u = 0;

	if (n < 1024) {
		strbuf_printf(o, "%u B", (unsigned)n);
		return;
	}
	for (; tenths >= 1024 * 1024; u++)
		tenths /= 1024;
	tenths = (tenths * 10 + 512) / 1024;
	if (tenths >= 10240 && u + 2 < ARRAY_LEN(unit))
		tenths /= 1024, u++;
	if (tenths < 100)
		strbuf_printf(o, "%u.%u %s", (unsigned)(tenths / 10), (unsigned)(tenths % 10), unit[u + 1]);
	else
		strbuf_printf(o, "%u %s", (unsigned)((tenths + 5) / 10), unit[u + 1]);
}

static const struct unit {
	u32 secs;
	const char *brief, *one, *many;
} units[] = {
	{ 31557600, "y", "year", "years" }, { 2629800, "mo", "month", "months" }, { 86400, "d", "day", "days" },
	{ 3600, "h", "hour", "hours" },	    { 60, "min", "minute", "minutes" },	  { 1, "s", "second", "seconds" },
};

void html_duration(struct strbuf *o, u64 secs)
{
	for (u32 i = 2; i < ARRAY_LEN(units); i++) {
		if (secs < units[i].secs && i + 1 < ARRAY_LEN(units))
			continue;
		html_count(o, secs / units[i].secs);
		strbuf_printf(o, " %s", units[i].brief);
		u64 rest = secs % units[i].secs;
		if (i + 1 < ARRAY_LEN(units) && rest >= units[i + 1].secs)
			strbuf_printf(o, " %u %s", (unsigned)(rest / units[i + 1].secs), units[i + 1].brief);
		return;
	}
}

struct clock {
	struct calendar_date date;
	unsigned h, m, s;
};

static struct clock clock_of(i64 time)
{
	u64 secs = time > 0 ? (u64)time / MICROS : 0, of_day = secs % 86400;

	return (struct clock){ calendar_date(secs / 86400), (unsigned)(of_day / 3600), (unsigned)(of_day / 60 % 60), (unsigned)(of_day % 60) };
}

static void put_date(struct strbuf *o, const struct clock *c)
{
	strbuf_printf(o, "%04u-%02u-%02u", c->date.year, c->date.month, c->date.day);
}

void html_iso(struct strbuf *o, i64 time)
{
	struct clock c = clock_of(time);

	if (time == 0)
		return;
	put_date(o, &c);
	strbuf_printf(o, "T%02u:%02u:%02uZ", c.h, c.m, c.s);
}

void html_date(struct strbuf *o, i64 time)
{
	struct clock c = clock_of(time);

	if (time != 0)
		put_date(o, &c);
}

void html_local(struct strbuf *o, i64 time)
{
	struct clock c = clock_of(time);

	if (time == 0)
		return;
	put_date(o, &c);
	strbuf_printf(o, "T%02u:%02u", c.h, c.m);
}

static void put_minute(struct strbuf *o, i64 time)
{
	struct clock c = clock_of(time);

	put_date(o, &c);
	strbuf_printf(o, " %02u:%02u UTC", c.h, c.m);
}

void html_ago(struct strbuf *o, i64 time, i64 now)
{
	u64 secs = (u64)(time > now ? time - now : now - time) / MICROS;
	u32 i = 0;

	if (time == 0) {
		strbuf_puts(o, "never");
		return;
	}
	strbuf_puts(o, "<time datetime=\"");
	html_iso(o, time);
	strbuf_puts(o, "\" title=\"");
	put_minute(o, time);
	strbuf_puts(o, "\" data-ago>");
	while (i + 1 < ARRAY_LEN(units) && secs < units[i].secs)
		i++;
	u64 n = secs / units[i].secs;
	if (secs < 10)
		strbuf_puts(o, "just now");
	else
		strbuf_printf(o, "%s%u %s%s", time > now ? "in " : "", (unsigned)n, n == 1 ? units[i].one : units[i].many, time > now ? "" : " ago");
	strbuf_puts(o, "</time>");
}

void html_time(struct strbuf *o, i64 time)
{
	if (time == 0) {
		strbuf_puts(o, "never");
		return;
	}
	strbuf_puts(o, "<time datetime=\"");
	html_iso(o, time);
	strbuf_puts(o, "\" data-time>");
	put_minute(o, time);
	strbuf_puts(o, "</time>");
}
