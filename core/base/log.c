#include "core/base/log.h"

#include "core/base/calendar.h"
#include "core/base/cursor.h"
#include "core/base/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define LINE_MAX_BYTES 4096u /* a longer line is cut, its end marked */
#define DIRECTIVES_MAX 32u
#define TARGET_MAX 64u

struct directive {
	char target[TARGET_MAX]; /* empty: everything */
	size_t target_len;
	enum log_level level;
};

enum log_level log_max_level = LOG_OFF;

static struct log_sink sink;
static struct directive directives[DIRECTIVES_MAX];
static unsigned n_directives;

static const char *const level_names[] = { "OFF", "ERROR", "WARN", "INFO", "DEBUG", "TRACE" };
static const char *const level_colours[] = { "", "\033[31m", "\033[33m", "\033[32m", "\033[34m", "\033[35m" };

static bool parse_level(const char *s, size_t n, enum log_level *out)
{
	for (unsigned i = 0; i < ARRAY_LEN(level_names); i++) {
		if (strlen(level_names[i]) == n && strncasecmp(s, level_names[i], n) == 0) {
			*out = (enum log_level)i;
			return true;
		}
	}
	return false;
}

static bool parse_directive(const char *s, size_t n, struct directive *d)
{
	const char *eq = memchr(s, '=', n);
	size_t name_len = eq ? (size_t)(eq - s) : n;

	*d = (struct directive){ .level = LOG_TRACE };
	if (!eq && parse_level(s, n, &d->level))
		return true;
	if (eq && !parse_level(eq + 1, n - name_len - 1, &d->level))
		return false;
	if (name_len == 0 || name_len >= TARGET_MAX || memchr(s, '[', name_len))
		return false;
	memcpy(d->target, s, name_len);
	d->target_len = name_len;
	return true;
}

int log_setup(const struct log_sink *to, const char *filter, const char **bad)
{
	struct directive parsed[DIRECTIVES_MAX];
	unsigned n = 0;
	enum log_level max = LOG_OFF;

	if (!filter || !*filter)
		filter = "info";
	for (const char *s = filter; *s;) {
		size_t len = strcspn(s, ",");
		while (len && *s == ' ')
			s++, len--;
		size_t used = len;
		while (used && s[used - 1] == ' ')
			used--;
		if (used && (n == DIRECTIVES_MAX || !parse_directive(s, used, &parsed[n]))) {
			if (bad)
				*bad = s;
			return ERR_INVAL;
		}
		if (used) {
			max = MAX(max, parsed[n].level);
			n++;
		}
		s += len;
		s += *s == ',';
	}
	memcpy(directives, parsed, n * sizeof(*parsed));
	n_directives = n;
	sink = *to;
	log_max_level = max;
	return 0;
}

/* "turn" rules over "turn" and "turn::allocation", not over "turnip"; a longer directive beats a shorter one, a later an equal one. */
static bool rules_over(const struct directive *d, const char *target)
{
	if (strncmp(target, d->target, d->target_len) != 0)
		return false;
	const char *rest = target + d->target_len;
	return d->target_len == 0 || *rest == 0 || (rest[0] == ':' && rest[1] == ':');
}

bool log_enabled(enum log_level level, const char *target)
{
	const struct directive *best = NULL;

	for (unsigned i = 0; i < n_directives; i++) {
		const struct directive *d = &directives[i];
		if (rules_over(d, target) && (!best || d->target_len >= best->target_len))
			best = d;
	}
	return best && level <= best->level;
}

static void put_char_human(struct wr *w, u8 c)
{
	static const char hex[] = "0123456789abcdef";

	if (c >= 0x20 && c != 0x7f) {
		wr_u8(w, c);
		return;
	}
	wr_str(w, "\\x");
	wr_u8(w, (u8)hex[c >> 4]);
	wr_u8(w, (u8)hex[c & 15]);
}

static void put_char_json(struct wr *w, u8 c)
{
	static const char hex[] = "0123456789abcdef";

	if (c == '"' || c == '\\') {
		wr_u8(w, '\\');
		wr_u8(w, c);
	} else if (c >= 0x20) {
		wr_u8(w, c);
	} else {
		wr_str(w, "\\u00");
		wr_u8(w, (u8)hex[c >> 4]);
		wr_u8(w, (u8)hex[c & 15]);
	}
}

static void put_text(struct wr *w, struct span s, enum log_format format)
{
	for (size_t i = 0; i < s.n; i++) {
		if (format == LOG_JSON)
			put_char_json(w, s.p[i]);
		else
			put_char_human(w, s.p[i]);
	}
}

static void put_string(struct wr *w, struct span s, enum log_format format)
{
	if (format == LOG_JSON)
		wr_u8(w, '"');
	put_text(w, s, format);
	if (format == LOG_JSON)
		wr_u8(w, '"');
}

static void put_value(struct wr *w, const struct kv *kv, enum log_format format)
{
	char buf[KV_FORMAT_MAX] = "";

	switch (kv->type) {
	case KV_END:
		return;
	case KV_STR:
		put_string(w, kv->v.s ? SPAN(kv->v.s, strlen(kv->v.s)) : SPAN_STR("none"), format);
		return;
	case KV_STRN:
		put_string(w, kv->v.sn, format);
		return;
	case KV_U64:
		snprintf(buf, sizeof(buf), "%llu", (unsigned long long)kv->v.u);
		wr_str(w, buf);
		return;
	case KV_I64:
		snprintf(buf, sizeof(buf), "%lld", (long long)kv->v.i);
		wr_str(w, buf);
		return;
	case KV_BOOL:
		wr_str(w, kv->v.b ? "true" : "false");
		return;
	case KV_ERR: {
		const char *text = err_str((int)kv->v.i);
		put_string(w, SPAN(text, strlen(text)), format);
		return;
	}
	case KV_FORMAT:
		kv->format(kv->v.p, buf);
		break;
	}
	put_string(w, SPAN(buf, strlen(buf)), format);
}

static void put_timestamp(struct wr *w, u64 wall_ns)
{
	char buf[RFC3339_STRLEN];

	wr_str(w, rfc3339_format(wall_ns, 3, buf));
}

static void put_line_human(struct wr *w, enum log_level level, const char *target, const char *msg,
			   const struct kv *kvs, u64 wall)
{
	char buf[32];

	put_timestamp(w, wall);
	if (sink.is_coloured)
		snprintf(buf, sizeof(buf), " %s%5s\033[0m ", level_colours[level], level_names[level]);
	else
		snprintf(buf, sizeof(buf), " %5s ", level_names[level]);
	wr_str(w, buf);
	wr_str(w, target);
	wr_str(w, ": ");
	wr_str(w, msg);
	for (; kvs->type != KV_END; kvs++) {
		wr_u8(w, ' ');
		wr_str(w, kvs->key);
		wr_u8(w, '=');
		put_value(w, kvs, LOG_HUMAN);
	}
}

static void put_line_json(struct wr *w, enum log_level level, const char *target, const char *msg,
			  const struct kv *kvs, u64 wall)
{
	wr_str(w, "{\"timestamp\":\"");
	put_timestamp(w, wall);
	wr_str(w, "\",\"level\":\"");
	wr_str(w, level_names[level]);
	wr_str(w, "\",\"message\":");
	put_string(w, SPAN(msg, strlen(msg)), LOG_JSON);
	for (; kvs->type != KV_END; kvs++) {
		wr_str(w, ",\"");
		wr_str(w, kvs->key);
		wr_str(w, "\":");
		put_value(w, kvs, LOG_JSON);
	}
	wr_str(w, ",\"target\":\"");
	wr_str(w, target);
	wr_str(w, "\"}");
}

void log_emit(enum log_level level, const char *target, const char *msg, const struct kv *kvs)
{
	static const char cut[] = " ...\n";
	static const char cut_json[] = "{\"level\":\"WARN\",\"message\":\"a log line was too long\"}\n";
	u8 line[LINE_MAX_BYTES + sizeof(cut)];
	struct wr w = wr_init(line, LINE_MAX_BYTES);

	if (!sink.write)
		return;
	u64 wall = sink.wall_ns ? sink.wall_ns(sink.ctx) : 0;
	if (sink.format == LOG_JSON)
		put_line_json(&w, level, target, msg, kvs, wall);
	else
		put_line_human(&w, level, target, msg, kvs, wall);

	if (wr_ok(&w)) {
		line[wr_len(&w)] = '\n';
		sink.write(sink.ctx, (const char *)line, wr_len(&w) + 1);
	} else if (sink.format == LOG_JSON) {
		sink.write(sink.ctx, cut_json, sizeof(cut_json) - 1);
	} else {
		memcpy(line + wr_len(&w), cut, sizeof(cut) - 1);
		sink.write(sink.ctx, (const char *)line, wr_len(&w) + sizeof(cut) - 1);
	}
}
