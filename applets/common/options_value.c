#include "applets/common/options_value.h"
#include "core/base/err.h"
#include "core/base/time.h"
#include "core/http/url.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

int options_bool(const char *text, bool *out)
{
	static const char *const yes[] = { "1", "yes", "on", "true" }, *const no[] = { "0", "no", "off", "false" };

	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
			*out = strcasecmp(text, yes[i]) == 0;
			return 0;
		}
	}
	return ERR_INVAL;
}

static int parse_uint(const char **p, u64 *out)
{
	const char *s = *p;
	u64 v = 0;

	for (; *s >= '0' && *s <= '9'; s++)
		if (__builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, (u64)(*s - '0'), &v))
			return ERR_INVAL;
	if (s == *p)
		return ERR_INVAL;
	*p = s;
	*out = v;
	return 0;
}

/* Units of the humantime format. */
static int unit_ns(const char *unit, size_t n, u64 *ns)
{
	static const struct { const char *names; u64 ns; } units[] = {
		{ "ns nsec nanos", 1 },
		{ "us usec micros", USEC(1) },
		{ "ms msec millis", MSEC(1) },
		{ "s sec secs second seconds", SEC(1) },
		{ "m min mins minute minutes", MINUTES(1) },
		{ "h hr hrs hour hours", SEC(3600) },
		{ "d day days", SEC(86400) },
		{ "w week weeks", SEC(7 * 86400) },
		{ "M month months", SEC(2630016) },   /* 30.44 days */
		{ "y year years", SEC(31557600) },    /* 365.25 days */
	};

	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		for (const char *p = units[i].names; *p; p += strspn(p, " ")) {
			size_t len = strcspn(p, " ");
			if (len == n && memcmp(p, unit, n) == 0) {
				*ns = units[i].ns;
				return 0;
			}
			p += len;
		}
	}
	return ERR_INVAL;
}

int options_duration(const char *text, u64 *ns)
{
	const char *p = text + strspn(text, " ");
	u64 total = 0;

	if (strcmp(p, "0") == 0) {
		*ns = 0;
		return 0;
	}
	do {
		u64 count, unit;
		if (parse_uint(&p, &count))
			return ERR_INVAL;
		p += strspn(p, " ");
		size_t n = strcspn(p, " 0123456789");
		if (unit_ns(p, n, &unit) || __builtin_mul_overflow(count, unit, &count) || __builtin_add_overflow(total, count, &total))
			return ERR_INVAL;
		p += n;
		p += strspn(p, " ");
	} while (*p);
	*ns = total;
	return 0;
}

static int store_uint(const struct opt_def *def, const char *text, void *field, char *expected, size_t cap)
{
	u64 v;

	if (def->max)
		snprintf(expected, cap, "a number from %" PRIu64 " to %" PRIu64, def->min, def->max);
	else
		snprintf(expected, cap, "a number");
	if (parse_uint(&text, &v) || *text || v < def->min || (def->max && v > def->max))
		return ERR_INVAL;
	if (field)
		*(u64 *)field = v;
	return 0;
}

static int store_choice(const struct opt_def *def, const char *text, void *field, char *expected, size_t cap)
{
	size_t len = (size_t)snprintf(expected, cap, "one of");

	for (int i = 0; def->choices[i]; i++) {
		if (strcmp(def->choices[i], text) == 0) {
			if (field)
				*(int *)field = i;
			return 0;
		}
		if (len < cap)
			len += (size_t)snprintf(expected + len, cap - len, "%s %s", i ? "," : "", def->choices[i]);
	}
	return ERR_INVAL;
}

static int store_ip(const char *text, int family, void *field, char *expected, size_t cap)
{
	struct ip ip;

	snprintf(expected, cap, "an %s address", family == 4 ? "IPv4" : family == 6 ? "IPv6" : "IP");
	if (ip_parse(SPAN(text, strlen(text)), &ip) || (family && ip.family != family))
		return ERR_INVAL;
	if (field)
		*(struct ip *)field = ip;
	return 0;
}

static int store_list(const struct opt_def *def, const char *text, void *field, char *expected, size_t cap)
{
	struct opt_list *list = field;

	if (!list)
		return 0;
	if (list->n == OPT_LIST_MAX) {
		snprintf(expected, cap, "given at most %u times", OPT_LIST_MAX);
		return ERR_INVAL;
	}
	(void)def;
	list->item[list->n++] = text;
	return 0;
}

int opt_store(const struct opt_def *def, const char *text, void *config, char *expected, size_t cap)
{
	void *field = config && !(def->flags & OPT_IGNORED) ? (char *)config + def->field : NULL;
	struct span s = SPAN(text, strlen(text));
	struct endpoint ep;
	struct cidr net;
	struct url url;
	bool flag;
	u64 ns;

	switch (def->type) {
	case OPT_FLAG:
		snprintf(expected, cap, "true or false");
		if (options_bool(text, &flag))
			return ERR_INVAL;
		if (field)
			*(bool *)field = flag;
		return 0;
	case OPT_STR:
		if (field)
			*(const char **)field = text;
		return 0;
	case OPT_UINT:
		return store_uint(def, text, field, expected, cap);
	case OPT_DURATION:
		snprintf(expected, cap, "a duration like 90s, 5m, 1h 30m or 30d");
		if (options_duration(text, &ns))
			return ERR_INVAL;
		if (field)
			*(u64 *)field = ns;
		return 0;
	case OPT_CHOICE:
		return store_choice(def, text, field, expected, cap);
	case OPT_IP:
		return store_ip(text, 0, field, expected, cap);
	case OPT_IP4:
		return store_ip(text, 4, field, expected, cap);
	case OPT_IP6:
		return store_ip(text, 6, field, expected, cap);
	case OPT_ENDPOINT:
		snprintf(expected, cap, "an address with port like 192.0.2.1:8080 or [2001:db8::1]:8080");
		if (endpoint_parse(s, &ep))
			return ERR_INVAL;
		if (field)
			*(struct endpoint *)field = ep;
		return 0;
	case OPT_CIDR:
		snprintf(expected, cap, "a network like 10.0.0.0/8 without host bits");
		if (cidr_parse(s, &net))
			return ERR_INVAL;
		if (field)
			*(struct cidr *)field = net;
		return 0;
	case OPT_URL:
		snprintf(expected, cap, "a URL like https://portal.example.org");
		if (url_parse(s, &url))
			return ERR_INVAL;
		if (field)
			*(const char **)field = text;
		return 0;
	case OPT_LIST:
		return store_list(def, text, field, expected, cap);
	}
	return ERR_INVAL;
}

const char *opt_meta(const struct opt_def *def, char *buf, size_t cap)
{
	if (def->meta)
		return def->meta;
	switch (def->type) {
	case OPT_FLAG: return "";
	case OPT_STR: return "TEXT";
	case OPT_UINT: return "N";
	case OPT_DURATION: return "DURATION";
	case OPT_CHOICE: {
		size_t len = 0;
		buf[0] = 0;
		for (int i = 0; def->choices[i] && len < cap; i++)
			len += (size_t)snprintf(buf + len, cap - len, "%s%s", i ? "|" : "", def->choices[i]);
		return buf;
	}
	case OPT_IP: return "IP";
	case OPT_IP4: return "IPV4";
	case OPT_IP6: return "IPV6";
	case OPT_ENDPOINT: return "ADDR:PORT";
	case OPT_CIDR: return "NETWORK";
	case OPT_URL: return "URL";
	case OPT_LIST: return "TEXT";
	}
	return "VALUE";
}
