/* core/json/json.h: JSON (RFC 8259) as we read and write it.
 *
 * Reading: json_parse() first walks the text once, strictly and without recursion, against named limits (bytes, depth, values), and
 * only then lets cJSON build the tree. Values are fetched by typed getters whose error is sticky (struct json_get), so that decoding
 * reads straight down and asks once at the end. A getter that wants a key finds it exactly once: a key that occurs twice is an error,
 * an unknown key is nobody's business.
 *
 *	struct json_get g = JSON_GET;
 *	const char *name = json_str(&g, obj, "name");
 *	u64 port = json_uint_or(&g, obj, "port", 65535, 3478);
 *	if (g.err) return g.err;                       (g.why: "port: must be an integer of at most 65535")
 *
 * Writing: struct json_out appends compact text in the order of the calls, into memory it grows; commas are its business.
 *
 *	struct json_out o = JSON_OUT;
 *	json_open(&o, NULL); json_put_str(&o, "id", id); json_put_u64(&o, "n", 3); json_close(&o);
 *	if (json_ok(&o)) use(json_text(&o));
 *	json_out_free(&o);
 */
#pragma once

#include "core/base/err.h"
#include "core/base/types.h"

struct cJSON; /* a value in a parsed tree; owned by its root */
struct ip;
struct endpoint;
struct cidr;
struct uuid;

#define JSON_DEPTH_MAX 64u                      /* nested objects and arrays */
#define JSON_BYTES_MAX (64u * 1024u * 1024u)    /* spec 10 §1.7 */
#define JSON_VALUES_MAX (2u * 1024u * 1024u)    /* values in one text; each costs about 80 bytes */
#define JSON_UINT_MAX 9007199254740992ull       /* 2^53: cJSON keeps numbers as doubles */

struct json_limits {
	size_t bytes;
	u32 values;
	u32 depth; /* <= JSON_DEPTH_MAX */
};

/* The whole of `text` must be one JSON value. `lim` NULL: the limits above. 0, ERR_TRUNCATED (valid so far, but cut short),
 * ERR_MALFORMED, ERR_LIMIT, ERR_NOMEM. NUL characters (\u0000) and invalid UTF-8 are malformed. */
int json_parse(struct span text, const struct json_limits *lim, struct cJSON **out) MUST_CHECK;
void json_free(struct cJSON *root); /* NULL is fine */

/* --- getters: `obj` may be NULL or no object, which is an error like any other ------------------------------------------------- */

struct json_get {
	int err;      /* first failure: ERR_MALFORMED, ERR_LIMIT */
	char why[96]; /* which key, what was expected; never a value */
};
#define JSON_GET ((struct json_get){ 0 })

/* Sets the sticky error unless there is one already. Returns its code. */
int json_fail(struct json_get *g, int err, const char *key, const char *expected);

/* The member, or NULL when absent. Present twice: sticky error. JSON null counts as present here. */
const struct cJSON *json_member(struct json_get *g, const struct cJSON *obj, const char *key);
/* Either of two names of the same thing; both present is an error (spec 10 §3.5). */
const struct cJSON *json_member_alias(struct json_get *g, const struct cJSON *obj, const char *key, const char *alias);

/* Required members. Text stays valid as long as the tree; "" after an error, so that callers need not check each. */
const char *json_str(struct json_get *g, const struct cJSON *obj, const char *key);
u64 json_uint(struct json_get *g, const struct cJSON *obj, const char *key, u64 max);
bool json_bool(struct json_get *g, const struct cJSON *obj, const char *key);
const struct cJSON *json_object(struct json_get *g, const struct cJSON *obj, const char *key);
const struct cJSON *json_array(struct json_get *g, const struct cJSON *obj, const char *key);
struct uuid json_uuid(struct json_get *g, const struct cJSON *obj, const char *key);
struct ip json_ip(struct json_get *g, const struct cJSON *obj, const char *key, int family); /* 4, 6, or 0 for either */
struct endpoint json_endpoint(struct json_get *g, const struct cJSON *obj, const char *key);
struct cidr json_cidr(struct json_get *g, const struct cJSON *obj, const char *key); /* with its /n */
/* Exactly n bytes in standard base64 with padding. */
void json_base64(struct json_get *g, const struct cJSON *obj, const char *key, u8 *out, size_t n);

/* Optional members: the default when absent; `_null` also when null. */
const char *json_str_null(struct json_get *g, const struct cJSON *obj, const char *key);
u64 json_uint_or(struct json_get *g, const struct cJSON *obj, const char *key, u64 max, u64 dflt);
bool json_bool_or(struct json_get *g, const struct cJSON *obj, const char *key, bool dflt);
const struct cJSON *json_array_opt(struct json_get *g, const struct cJSON *obj, const char *key); /* NULL = absent */
const struct cJSON *json_object_opt(struct json_get *g, const struct cJSON *obj, const char *key);

/* Single values, for array elements and bare payloads. */
bool json_is_null(const struct cJSON *v);
bool json_is_object(const struct cJSON *v);
bool json_is_array(const struct cJSON *v);
bool json_is_true(const struct cJSON *v);
bool json_is_false(const struct cJSON *v);
const char *json_value_str(const struct cJSON *v); /* NULL when it is no string */
int json_value_uint(const struct cJSON *v, u64 max, u64 *out) MUST_CHECK;
int json_value_uuid(const struct cJSON *v, struct uuid *out) MUST_CHECK;
size_t json_count(const struct cJSON *v); /* elements of an array, members of an object */
const char *json_key(const struct cJSON *member);
const struct cJSON *json_first(const struct cJSON *v);
const struct cJSON *json_next(const struct cJSON *v);
#define json_each(it, v) for (const struct cJSON *it = json_first(v); it; it = json_next(it))

/* --- writing ---------------------------------------------------------------------------------------------------------------------- */

struct json_out {
	char *buf;
	size_t len, cap;
	int err; /* sticky: ERR_NOMEM, ERR_LIMIT */
	bool needs_comma;
	bool is_public; /* nothing in it is secret: no need to copy and wipe when it grows, which of tens of megabytes takes as many milliseconds */
};
#define JSON_OUT ((struct json_out){ 0 })

/* `key` NULL inside arrays and for the outermost value. Strings are UTF-8; invalid bytes become U+FFFD. */
void json_open(struct json_out *o, const char *key);
void json_close(struct json_out *o);
void json_open_array(struct json_out *o, const char *key);
void json_close_array(struct json_out *o);
void json_put_str(struct json_out *o, const char *key, const char *s); /* NULL writes null */
void json_put_strn(struct json_out *o, const char *key, struct span s);
void json_put_u64(struct json_out *o, const char *key, u64 v);
void json_put_i64(struct json_out *o, const char *key, i64 v);
void json_put_bool(struct json_out *o, const char *key, bool v);
void json_put_null(struct json_out *o, const char *key);
void json_put_uuid(struct json_out *o, const char *key, const struct uuid *id);
void json_put_ip(struct json_out *o, const char *key, const struct ip *ip);
void json_put_endpoint(struct json_out *o, const char *key, const struct endpoint *ep);
void json_put_cidr(struct json_out *o, const char *key, const struct cidr *net);
void json_put_base64(struct json_out *o, const char *key, struct span bytes);
void json_put_tree(struct json_out *o, const char *key, const struct cJSON *v);
void json_put_raw(struct json_out *o, const char *key, struct span json); /* valid JSON by the caller's word */

static inline bool json_ok(const struct json_out *o)
{
	return o->err == 0;
}
static inline struct span json_text(const struct json_out *o)
{
	return (struct span){ (const u8 *)o->buf, o->len };
}
/* Starts again with the memory it has. */
void json_out_reset(struct json_out *o);
/* Wipes and frees. */
void json_out_free(struct json_out *o);
