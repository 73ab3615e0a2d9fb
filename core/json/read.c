#include "core/base/encode.h"
#include "core/ip/addr.h"
#include "core/json/json.h"
#include "core/json/scan.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

int json_parse(struct span text, const struct json_limits *lim, struct cJSON **out)
{
	static const struct json_limits dflt = { JSON_BYTES_MAX, JSON_VALUES_MAX, JSON_DEPTH_MAX };
	int rc = json_scan(text, lim ? lim : &dflt);

	*out = NULL;
	if (rc)
		return rc;
	*out = cJSON_ParseWithLength((const char *)text.p, text.n);
	return *out ? 0 : ERR_NOMEM; /* all else was ruled out by the scan */
}

void json_free(struct cJSON *root)
{
	cJSON_Delete(root);
}

int json_fail(struct json_get *g, int err, const char *key, const char *expected)
{
	if (g->err == 0) {
		g->err = err;
		snprintf(g->why, sizeof(g->why), "%s: %s", key, expected);
	}
	return g->err;
}

const struct cJSON *json_member(struct json_get *g, const struct cJSON *obj, const char *key)
{
	const struct cJSON *found = NULL;

	if (!cJSON_IsObject(obj)) {
		json_fail(g, ERR_MALFORMED, key, "its parent must be an object");
		return NULL;
	}
	for (const struct cJSON *m = obj->child; m; m = m->next) {
		if (strcmp(m->string, key) != 0)
			continue;
		if (found) {
			json_fail(g, ERR_MALFORMED, key, "occurs twice");
			return NULL;
		}
		found = m;
	}
	return found;
}

const struct cJSON *json_member_alias(struct json_get *g, const struct cJSON *obj, const char *key, const char *alias)
{
	const struct cJSON *a = json_member(g, obj, key), *b = json_member(g, obj, alias);

	if (a && b) {
		json_fail(g, ERR_MALFORMED, key, "occurs twice, once under its other name");
		return NULL;
	}
	return a ? a : b;
}

static const struct cJSON *required(struct json_get *g, const struct cJSON *obj, const char *key)
{
	const struct cJSON *v = json_member(g, obj, key);

	if (!v)
		json_fail(g, ERR_MALFORMED, key, "is missing");
	return v;
}

static const char *as_str(struct json_get *g, const struct cJSON *v, const char *key)
{
	if (v && cJSON_IsString(v))
		return v->valuestring;
	json_fail(g, ERR_MALFORMED, key, "must be a string");
	return "";
}

static u64 as_uint(struct json_get *g, const struct cJSON *v, const char *key, u64 max)
{
	u64 out = 0;

	if (json_value_uint(v, max, &out))
		json_fail(g, ERR_MALFORMED, key, "must be an integer in range");
	return out;
}

static bool as_bool(struct json_get *g, const struct cJSON *v, const char *key)
{
	if (!cJSON_IsBool(v))
		json_fail(g, ERR_MALFORMED, key, "must be true or false");
	return cJSON_IsTrue(v);
}

static const struct cJSON *as_array(struct json_get *g, const struct cJSON *v, const char *key)
{
	if (cJSON_IsArray(v))
		return v;
	json_fail(g, ERR_MALFORMED, key, "must be an array");
	return NULL;
}

static const struct cJSON *as_object(struct json_get *g, const struct cJSON *v, const char *key)
{
	if (cJSON_IsObject(v))
		return v;
	json_fail(g, ERR_MALFORMED, key, "must be an object");
	return NULL;
}

const char *json_str(struct json_get *g, const struct cJSON *obj, const char *key)
{
	return as_str(g, required(g, obj, key), key);
}

u64 json_uint(struct json_get *g, const struct cJSON *obj, const char *key, u64 max)
{
	return as_uint(g, required(g, obj, key), key, max);
}

bool json_bool(struct json_get *g, const struct cJSON *obj, const char *key)
{
	return as_bool(g, required(g, obj, key), key);
}

const struct cJSON *json_object(struct json_get *g, const struct cJSON *obj, const char *key)
{
	return as_object(g, required(g, obj, key), key);
}

const struct cJSON *json_array(struct json_get *g, const struct cJSON *obj, const char *key)
{
	return as_array(g, required(g, obj, key), key);
}

const char *json_str_null(struct json_get *g, const struct cJSON *obj, const char *key)
{
	const struct cJSON *v = json_member(g, obj, key);

	return !v || cJSON_IsNull(v) ? NULL : as_str(g, v, key);
}

u64 json_uint_or(struct json_get *g, const struct cJSON *obj, const char *key, u64 max, u64 dflt)
{
	const struct cJSON *v = json_member(g, obj, key);

	return v ? as_uint(g, v, key, max) : dflt;
}

bool json_bool_or(struct json_get *g, const struct cJSON *obj, const char *key, bool dflt)
{
	const struct cJSON *v = json_member(g, obj, key);

	return v ? as_bool(g, v, key) : dflt;
}

const struct cJSON *json_array_opt(struct json_get *g, const struct cJSON *obj, const char *key)
{
	const struct cJSON *v = json_member(g, obj, key);

	return v ? as_array(g, v, key) : NULL;
}

const struct cJSON *json_object_opt(struct json_get *g, const struct cJSON *obj, const char *key)
{
	const struct cJSON *v = json_member(g, obj, key);

	return v ? as_object(g, v, key) : NULL;
}

static struct span text_of(const char *s)
{
	return SPAN(s, strlen(s));
}

struct uuid json_uuid(struct json_get *g, const struct cJSON *obj, const char *key)
{
	struct uuid id = { { 0 } };
	const char *s = json_str(g, obj, key);

	if (g->err == 0 && uuid_parse(text_of(s), &id))
		json_fail(g, ERR_MALFORMED, key, "must be a UUID");
	return id;
}

struct ip json_ip(struct json_get *g, const struct cJSON *obj, const char *key, int family)
{
	struct ip ip = { .family = 0 };
	const char *s = json_str(g, obj, key);

	if (g->err == 0 && (ip_parse(text_of(s), &ip) || (family && ip.family != family)))
		json_fail(g, ERR_MALFORMED, key,
			  family == 4 ? "must be an IPv4 address" : family == 6 ? "must be an IPv6 address" : "must be an IP address");
	return ip;
}

struct endpoint json_endpoint(struct json_get *g, const struct cJSON *obj, const char *key)
{
	struct endpoint ep = { .port = 0 };
	const char *s = json_str(g, obj, key);

	if (g->err == 0 && endpoint_parse(text_of(s), &ep))
		json_fail(g, ERR_MALFORMED, key, "must be ADDRESS:PORT");
	return ep;
}

struct cidr json_cidr(struct json_get *g, const struct cJSON *obj, const char *key)
{
	struct cidr net = { .len = 0 };
	const char *s = json_str(g, obj, key);

	if (g->err == 0 && (!strchr(s, '/') || cidr_parse(text_of(s), &net)))
		json_fail(g, ERR_MALFORMED, key, "must be a network with prefix length and no host bits");
	return net;
}

void json_base64(struct json_get *g, const struct cJSON *obj, const char *key, u8 *out, size_t n)
{
	const char *s = json_str(g, obj, key);

	memset(out, 0, n);
	if (g->err)
		return;
	if (strlen(s) != BASE64_SIZE(n) - 1 || base64_decode(out, n, text_of(s)) != (int)n) {
		memset(out, 0, n);
		json_fail(g, ERR_MALFORMED, key, "must be base64 of a key");
	}
}

bool json_is_null(const struct cJSON *v)
{
	return cJSON_IsNull(v);
}

bool json_is_object(const struct cJSON *v)
{
	return cJSON_IsObject(v);
}

bool json_is_array(const struct cJSON *v)
{
	return cJSON_IsArray(v);
}

bool json_is_true(const struct cJSON *v)
{
	return cJSON_IsTrue(v);
}

bool json_is_false(const struct cJSON *v)
{
	return cJSON_IsFalse(v);
}

const char *json_value_str(const struct cJSON *v)
{
	return cJSON_IsString(v) ? v->valuestring : NULL;
}

int json_value_uint(const struct cJSON *v, u64 max, u64 *out)
{
	if (!cJSON_IsNumber(v) || !(v->valuedouble >= 0) || v->valuedouble > (double)JSON_UINT_MAX)
		return ERR_MALFORMED;
	*out = (u64)v->valuedouble;
	return (double)*out < v->valuedouble || *out > max ? ERR_MALFORMED : 0;
}

int json_value_uuid(const struct cJSON *v, struct uuid *out)
{
	return cJSON_IsString(v) ? uuid_parse(text_of(v->valuestring), out) : ERR_MALFORMED;
}

size_t json_count(const struct cJSON *v)
{
	size_t n = 0;

	json_each(it, v)
		n++;
	return n;
}

const char *json_key(const struct cJSON *member)
{
	return member->string;
}

const struct cJSON *json_first(const struct cJSON *v)
{
	return v ? v->child : NULL;
}

const struct cJSON *json_next(const struct cJSON *v)
{
	return v->next;
}
