/* core/base/log.h: what happened, to whom, what follows.
 *
 * A line is a level, a subsystem, a stable message and named values. The sink (text or JSON, spec 40 §1.4) and the filter
 * (`RUST_LOG` syntax: comma list of `level` or `target=level`) are set once at start by log_setup(). A disabled line costs one
 * comparison and evaluates none of its values. Never pass a secret. Nothing on the packet path logs above `trace`.
 *
 *	#define LOG_TARGET "turn::allocation"       (before the include, one per file)
 *	log_info("allocation is live", kv_ep("relay", &relay), kv_u("lifetime_secs", secs));
 */
#pragma once

#include "core/base/types.h"

enum log_level { LOG_OFF, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE };
enum log_format { LOG_HUMAN, LOG_JSON };

#define KV_FORMAT_MAX 64u

struct kv {
	enum kv_type { KV_END, KV_STR, KV_STRN, KV_U64, KV_I64, KV_BOOL, KV_ERR, KV_FORMAT } type;
	const char *key;
	union {
		const char *s;
		struct span sn;
		u64 u;
		i64 i;
		bool b;
		const void *p;
	} v;
	char *(*format)(const void *value, char buf[static KV_FORMAT_MAX]); /* KV_FORMAT: text of v.p */
};

#define kv_s(k, val) ((struct kv){ KV_STR, (k), { .s = (val) }, NULL })
#define kv_sn(k, val) ((struct kv){ KV_STRN, (k), { .sn = (val) }, NULL })
#define kv_u(k, val) ((struct kv){ KV_U64, (k), { .u = (u64)(val) }, NULL })
#define kv_i(k, val) ((struct kv){ KV_I64, (k), { .i = (i64)(val) }, NULL })
#define kv_b(k, val) ((struct kv){ KV_BOOL, (k), { .b = (val) }, NULL })
#define kv_err(val) ((struct kv){ KV_ERR, "error", { .i = (val) }, NULL })
/* A value whose type lives above this floor brings its own formatter: see kv_ip() and its kind in core/ip/addr.h. */
#define kv_format(k, val, fn) ((struct kv){ KV_FORMAT, (k), { .p = (val) }, (fn) })

/* The most talkative level any target has; the quick test. */
extern enum log_level log_max_level;

bool log_enabled(enum log_level level, const char *target);
void log_emit(enum log_level level, const char *target, const char *msg, const struct kv *kvs);

#define log_at(level, msg, ...)                                                               \
	do {                                                                                  \
		if ((level) <= log_max_level && log_enabled((level), LOG_TARGET))             \
			log_emit((level), LOG_TARGET, (msg),                                  \
				 (const struct kv[]){ __VA_ARGS__ __VA_OPT__(, ){ KV_END, NULL, { 0 }, NULL } }); \
	} while (0)
#define log_error(msg, ...) log_at(LOG_ERROR, msg __VA_OPT__(, ) __VA_ARGS__)
#define log_warn(msg, ...) log_at(LOG_WARN, msg __VA_OPT__(, ) __VA_ARGS__)
#define log_info(msg, ...) log_at(LOG_INFO, msg __VA_OPT__(, ) __VA_ARGS__)
#define log_debug(msg, ...) log_at(LOG_DEBUG, msg __VA_OPT__(, ) __VA_ARGS__)
#define log_trace(msg, ...) log_at(LOG_TRACE, msg __VA_OPT__(, ) __VA_ARGS__)

/* Where finished lines go (with their newline) and what time it is; both are the applet's, core calls them only from log_emit(). */
struct log_sink {
	void (*write)(void *ctx, const char *line, size_t n);
	u64 (*wall_ns)(void *ctx);
	void *ctx;
	enum log_format format;
	bool is_coloured;
};

/* `filter` as in RUST_LOG, NULL = "info". ERR_INVAL names nothing: *bad points at the part that was not understood. The sink is
 * copied. Before the first call every line is dropped. */
int log_setup(const struct log_sink *sink, const char *filter, const char **bad);
