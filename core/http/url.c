#include "core/http/url.h"

#include "core/base/encode.h"

#include <string.h>

static bool is_alpha(u8 c)
{
	return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static bool is_digit(u8 c)
{
	return c >= '0' && c <= '9';
}

static bool has_only_visible_ascii(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= 0x20 || s.p[i] >= 0x7f || s.p[i] == '\\')
			return false;
	return true;
}

static int parse_scheme(struct rd *r, struct span *out)
{
	const u8 *start = r->p;

	while (rd_left(r) > 0 && (is_alpha(*r->p) || (r->p > start && (is_digit(*r->p) || memchr("+-.", *r->p, 3)))))
		r->p++;
	*out = SPAN(start, (size_t)(r->p - start));
	const u8 *sep = rd_take(r, 3);
	return out->n > 0 && sep && memcmp(sep, "://", 3) == 0 ? 0 : ERR_MALFORMED;
}

static int parse_port(struct span text, u16 *out)
{
	u32 port = 0;

	for (size_t i = 0; i < text.n; i++) {
		if (!is_digit(text.p[i]))
			return ERR_MALFORMED;
		port = port * 10 + (u32)(text.p[i] - '0');
		if (port > 65535)
			return ERR_MALFORMED;
	}
	if (text.n > 0 && port == 0)
		return ERR_MALFORMED;
	*out = (u16)port; /* "host:" means the default */
	return 0;
}

static bool is_host_name(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!is_alpha(s.p[i]) && !is_digit(s.p[i]) && !memchr("-._", s.p[i], 3))
			return false;
	return s.n > 0;
}

static int parse_authority(struct span a, struct url *out)
{
	struct span port = SPAN_NONE;
	const u8 *end;

	if (a.n > 0 && a.p[0] == '[') {
		end = memchr(a.p, ']', a.n);
		if (!end)
			return ERR_MALFORMED;
		out->host = SPAN(a.p + 1, (size_t)(end - a.p) - 1);
		if (ip_parse(out->host, &out->literal) || out->literal.family != 6)
			return ERR_MALFORMED;
		end++;
		if (end < a.p + a.n && *end != ':')
			return ERR_MALFORMED;
	} else {
		end = a.n > 0 ? memchr(a.p, ':', a.n) : NULL;
		if (!end)
			end = a.p + a.n;
		out->host = SPAN(a.p, (size_t)(end - a.p));
		if (!is_host_name(out->host))
			return ERR_MALFORMED;
		if (ip_parse(out->host, &out->literal))
			out->literal = (struct ip){ .family = 0 };
	}
	if (end < a.p + a.n)
		port = SPAN(end + 1, (size_t)(a.p + a.n - end) - 1);
	if (out->host.n > HOST_MAX)
		return ERR_LIMIT;
	return parse_port(port, &out->port);
}

/* How many bytes of s come before the first of `stops`. */
static size_t span_until(struct span s, const char *stops)
{
	size_t i = 0;

	while (i < s.n && (s.p[i] == 0 || !strchr(stops, s.p[i])))
		i++;
	return i;
}

int url_parse(struct span text, struct url *out)
{
	struct rd r = rd_span(text);

	*out = (struct url){ .port = 0 };
	if (text.n > URL_MAX)
		return ERR_LIMIT;
	if (!has_only_visible_ascii(text) || parse_scheme(&r, &out->scheme))
		return ERR_MALFORMED;
	struct span rest = rd_bytes(&r, rd_left(&r));
	size_t n = span_until(rest, "/?#");
	int rc = parse_authority(SPAN(rest.p, n), out);
	if (rc)
		return rc;
	rest = SPAN(rest.p + n, rest.n - n);
	n = span_until(rest, "?#");
	out->path = SPAN(rest.p, n);
	rest = SPAN(rest.p + n, rest.n - n);
	if (rest.n > 0 && rest.p[0] == '?') {
		n = span_until(rest, "#");
		out->query = SPAN(rest.p + 1, n - 1);
	}
	return 0;
}

bool url_scheme_is(const struct url *u, const char *lower_case)
{
	if (u->scheme.n != strlen(lower_case))
		return false;
	for (size_t i = 0; i < u->scheme.n; i++) {
		u8 c = u->scheme.p[i];
		if ((is_alpha(c) ? (u8)(c | 0x20) : c) != (u8)lower_case[i])
			return false;
	}
	return true;
}

void form_encode(struct wr *w, struct span text)
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < text.n; i++) {
		u8 c = text.p[i];
		if (c == ' ') {
			wr_u8(w, '+');
		} else if (is_alpha(c) || is_digit(c) || (c != 0 && strchr("*-._", c))) {
			wr_u8(w, c);
		} else {
			wr_u8(w, '%');
			wr_u8(w, (u8)hex[c >> 4]);
			wr_u8(w, (u8)hex[c & 15]);
		}
	}
}

void form_append(struct wr *w, bool *is_first, const char *name, struct span value)
{
	if (!*is_first)
		wr_u8(w, '&');
	*is_first = false;
	form_encode(w, SPAN(name, strlen(name)));
	wr_u8(w, '=');
	form_encode(w, value);
}

int form_next(struct span *query, struct span *name, struct span *value)
{
	while (query->n > 0) {
		size_t n = span_until(*query, "&");
		struct span pair = SPAN(query->p, n);
		size_t used = MIN(n + 1, query->n);
		*query = SPAN(query->p + used, query->n - used);
		if (pair.n == 0)
			continue;
		size_t eq = span_until(pair, "=");
		*name = SPAN(pair.p, eq);
		*value = eq < pair.n ? SPAN(pair.p + eq + 1, pair.n - eq - 1) : SPAN(pair.p + pair.n, 0);
		return 1;
	}
	return 0;
}

int form_decode(struct span in, char *out, size_t cap, size_t *n)
{
	size_t len = 0;

	for (size_t i = 0; i < in.n; i++) {
		u8 c = in.p[i];
		if (c == '+') {
			c = ' ';
		} else if (c == '%') {
			int high = in.n - i > 2 ? hex_digit(in.p[i + 1]) : -1;
			int low = in.n - i > 2 ? hex_digit(in.p[i + 2]) : -1;
			if (high < 0 || low < 0)
				return ERR_MALFORMED;
			c = (u8)(high << 4 | low);
			i += 2;
		}
		if (c == 0)
			return ERR_MALFORMED;
		if (len + 1 >= cap)
			return ERR_TRUNCATED;
		out[len++] = (char)c;
	}
	if (len >= cap)
		return ERR_TRUNCATED;
	out[len] = 0;
	if (n)
		*n = len;
	return 0;
}

int form_get(struct span query, const char *name, char *out, size_t cap)
{
	struct span key, value;
	size_t want = strlen(name);

	if (cap > 0)
		out[0] = 0;
	while (form_next(&query, &key, &value)) {
		char decoded[64];
		size_t n;
		if (form_decode(key, decoded, sizeof(decoded), &n) == 0 && n == want && memcmp(decoded, name, n) == 0)
			return form_decode(value, out, cap, NULL);
	}
	return ERR_NOT_FOUND;
}
