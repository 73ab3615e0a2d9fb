#include "core/base/encode.h"
#include "core/base/utf8.h"
#include "core/ip/addr.h"
#include "core/json/json.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 512u

static bool reserve(struct json_out *o, size_t n)
{
	if (o->err)
		return false;
	if (n <= o->cap - o->len)
		return true;
	if (n > JSON_BYTES_MAX - o->len) {
		o->err = ERR_LIMIT;
		return false;
	}
	size_t cap = MAX(o->cap, (size_t)FIRST_CAPACITY);
	while (cap - o->len < n)
		cap *= 2;
	/* else not realloc(): what is written may be secret and must not be left behind in freed memory */
	char *buf = o->is_public ? realloc(o->buf, cap) : malloc(cap);
	if (!buf) {
		o->err = ERR_NOMEM;
		return false;
	}
	if (o->buf && !o->is_public) {
		memcpy(buf, o->buf, o->len);
		sodium_memzero(o->buf, o->len);
		free(o->buf);
	}
	o->buf = buf;
	o->cap = cap;
	return true;
}

static void put(struct json_out *o, const void *p, size_t n)
{
	if (n > 0 && reserve(o, n)) {
		memcpy(o->buf + o->len, p, n);
		o->len += n;
	}
}

static void put_c(struct json_out *o, char c)
{
	put(o, &c, 1);
}

static void put_quoted(struct json_out *o, struct span s)
{
	static const char hex[] = "0123456789abcdef";

	put_c(o, '"');
	for (size_t i = 0; i < s.n && o->err == 0;) {
		size_t from = i, len = 1;

		while (i < s.n && s.p[i] >= 0x20 && s.p[i] != '"' && s.p[i] != '\\' &&
		       (len = s.p[i] < 0x80 ? 1 : utf8_char(s.p + i, s.n - i, NULL)) > 0)
			i += len;
		put(o, s.p + from, i - from);
		if (i == s.n)
			break;
		u8 c = s.p[i++];
		if (c == '"' || c == '\\') {
			put(o, (char[]){ '\\', (char)c }, 2);
		} else if (c < 0x20) {
			static const char named[] = "btn.fr"; /* 8, 9, 10, 12, 13 */
			if (c >= 8 && c <= 13 && c != 11)
				put(o, (char[]){ '\\', named[c - 8] }, 2);
			else
				put(o, (char[]){ '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] }, 6);
		} else {
			put(o, "\xef\xbf\xbd", 3);
		}
	}
	put_c(o, '"');
}

static void begin(struct json_out *o, const char *key)
{
	if (o->needs_comma)
		put_c(o, ',');
	o->needs_comma = true;
	if (key) {
		put_quoted(o, SPAN(key, strlen(key)));
		put_c(o, ':');
	}
}

static void open_with(struct json_out *o, const char *key, char bracket)
{
	begin(o, key);
	put_c(o, bracket);
	o->needs_comma = false;
}

static void close_with(struct json_out *o, char bracket)
{
	put_c(o, bracket);
	o->needs_comma = true;
}

void json_open(struct json_out *o, const char *key)
{
	open_with(o, key, '{');
}

void json_close(struct json_out *o)
{
	close_with(o, '}');
}

void json_open_array(struct json_out *o, const char *key)
{
	open_with(o, key, '[');
}

void json_close_array(struct json_out *o)
{
	close_with(o, ']');
}

void json_put_strn(struct json_out *o, const char *key, struct span s)
{
	begin(o, key);
	put_quoted(o, s);
}

void json_put_str(struct json_out *o, const char *key, const char *s)
{
	if (s)
		json_put_strn(o, key, SPAN(s, strlen(s)));
	else
		json_put_null(o, key);
}

static void put_literal(struct json_out *o, const char *key, const char *text)
{
	begin(o, key);
	put(o, text, strlen(text));
}

void json_put_u64(struct json_out *o, const char *key, u64 v)
{
	char buf[24];

	snprintf(buf, sizeof(buf), "%" PRIu64, v);
	put_literal(o, key, buf);
}

void json_put_i64(struct json_out *o, const char *key, i64 v)
{
	char buf[24];

	snprintf(buf, sizeof(buf), "%" PRId64, v);
	put_literal(o, key, buf);
}

void json_put_bool(struct json_out *o, const char *key, bool v)
{
	put_literal(o, key, v ? "true" : "false");
}

void json_put_null(struct json_out *o, const char *key)
{
	put_literal(o, key, "null");
}

void json_put_uuid(struct json_out *o, const char *key, const struct uuid *id)
{
	char buf[UUID_STRLEN];

	json_put_str(o, key, uuid_format(id, buf));
}

void json_put_ip(struct json_out *o, const char *key, const struct ip *ip)
{
	char buf[IP_STRLEN];

	json_put_str(o, key, ip_format(ip, buf));
}

void json_put_endpoint(struct json_out *o, const char *key, const struct endpoint *ep)
{
	char buf[ENDPOINT_STRLEN];

	json_put_str(o, key, endpoint_format(ep, buf));
}

void json_put_cidr(struct json_out *o, const char *key, const struct cidr *net)
{
	char buf[CIDR_STRLEN];

	json_put_str(o, key, cidr_format(net, buf));
}

void json_put_base64(struct json_out *o, const char *key, struct span bytes)
{
	begin(o, key);
	put_c(o, '"');
	if (bytes.n <= ENCODE_MAX && reserve(o, BASE64_SIZE(bytes.n))) {
		int n = base64_encode(o->buf + o->len, o->cap - o->len, bytes);
		if (n > 0)
			o->len += (size_t)n;
		else if (n < 0)
			o->err = n;
	}
	put_c(o, '"');
}

void json_put_tree(struct json_out *o, const char *key, const struct cJSON *v)
{
	char *text = v ? cJSON_PrintUnformatted(v) : NULL;

	if (v && !text)
		o->err = ERR_NOMEM;
	put_literal(o, key, text ? text : "null");
	cJSON_free(text);
}

void json_put_raw(struct json_out *o, const char *key, struct span json)
{
	begin(o, key);
	put(o, json.p, json.n);
}

void json_out_reset(struct json_out *o)
{
	o->len = 0;
	o->err = 0;
	o->needs_comma = false;
}

void json_out_free(struct json_out *o)
{
	if (o->buf) {
		sodium_memzero(o->buf, o->cap);
		free(o->buf);
	}
	*o = JSON_OUT;
}
