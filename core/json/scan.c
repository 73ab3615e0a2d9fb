#include "core/json/scan.h"

#include "core/base/utf8.h"

#include <string.h>

#define NUMBER_MAX 63u /* cJSON copies numbers into 64 bytes */

struct scan {
	const u8 *p, *end;
	u32 values;
	u32 max_values;
};

static bool is_digit(const struct scan *s)
{
	return s->p < s->end && *s->p >= '0' && *s->p <= '9';
}

static int digits(struct scan *s)
{
	if (s->p == s->end)
		return ERR_TRUNCATED;
	if (!is_digit(s))
		return ERR_MALFORMED;
	while (is_digit(s))
		s->p++;
	return 0;
}

static int number(struct scan *s)
{
	const u8 *start = s->p;
	int rc = 0;

	if (*s->p == '-')
		s->p++;
	if (s->p < s->end && *s->p == '0')
		s->p++;
	else
		rc = digits(s);
	if (rc == 0 && s->p < s->end && *s->p == '.') {
		s->p++;
		rc = digits(s);
	}
	if (rc == 0 && s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
		s->p++;
		if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
			s->p++;
		rc = digits(s);
	}
	if (rc == 0 && (size_t)(s->p - start) > NUMBER_MAX)
		return ERR_LIMIT;
	return rc;
}

static int hex4(struct scan *s, u32 *out)
{
	*out = 0;
	for (int i = 0; i < 4; i++, s->p++) {
		if (s->p == s->end)
			return ERR_TRUNCATED;
		u8 c = *s->p;
		u32 v;
		if (c >= '0' && c <= '9')
			v = (u32)(c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			v = (u32)((c | 0x20) - 'a' + 10);
		else
			return ERR_MALFORMED;
		*out = *out << 4 | v;
	}
	return 0;
}

/* Behind the 'u'. Surrogates come in pairs; NUL cannot live in a C string. */
static int unicode_escape(struct scan *s)
{
	u32 high, low;
	int rc = hex4(s, &high);

	if (rc)
		return rc;
	if (high == 0 || (high >= 0xdc00 && high <= 0xdfff))
		return ERR_MALFORMED;
	if (high < 0xd800 || high > 0xdbff)
		return 0;
	for (const char *want = "\\u"; *want; want++, s->p++) {
		if (s->p == s->end)
			return ERR_TRUNCATED;
		if (*s->p != (u8)*want)
			return ERR_MALFORMED;
	}
	rc = hex4(s, &low);
	if (rc)
		return rc;
	return low >= 0xdc00 && low <= 0xdfff ? 0 : ERR_MALFORMED;
}

static int escape(struct scan *s)
{
	if (s->p == s->end)
		return ERR_TRUNCATED;
	u8 c = *s->p++;
	if (c == 'u')
		return unicode_escape(s);
	return c != 0 && strchr("\"\\/bfnrt", c) ? 0 : ERR_MALFORMED;
}

/* At the opening quote. */
static int string(struct scan *s)
{
	s->p++;
	while (s->p < s->end) {
		u8 c = *s->p;
		if (c == '"') {
			s->p++;
			return 0;
		}
		if (c < 0x20)
			return ERR_MALFORMED;
		if (c == '\\') {
			s->p++;
			int rc = escape(s);
			if (rc)
				return rc;
			continue;
		}
		bool is_cut;
		size_t len = utf8_char(s->p, (size_t)(s->end - s->p), &is_cut);
		if (len == 0)
			return is_cut ? ERR_TRUNCATED : ERR_MALFORMED;
		s->p += len;
	}
	return ERR_TRUNCATED;
}

static int literal(struct scan *s, const char *word)
{
	for (; *word; word++, s->p++) {
		if (s->p == s->end)
			return ERR_TRUNCATED;
		if (*s->p != (u8)*word)
			return ERR_MALFORMED;
	}
	return 0;
}

static int scalar(struct scan *s)
{
	switch (*s->p) {
	case '"': return string(s);
	case 't': return literal(s, "true");
	case 'f': return literal(s, "false");
	case 'n': return literal(s, "null");
	}
	return *s->p == '-' || is_digit(s) ? number(s) : ERR_MALFORMED;
}

static void skip_space(struct scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
		s->p++;
}

int json_scan(struct span text, const struct json_limits *lim)
{
	enum { VALUE, VALUE_OR_END, KEY, KEY_OR_END, COLON, COMMA_OR_END } want = VALUE;
	struct scan s = { .max_values = lim->values };
	u64 is_object = 0; /* one bit per open bracket, innermost lowest */
	u32 depth = 0;
	int rc = 0;

	if (text.n == 0)
		return ERR_TRUNCATED;
	if (text.n > lim->bytes)
		return ERR_LIMIT;
	s.p = text.p;
	s.end = text.p + text.n;
	for (;;) {
		skip_space(&s);
		if (s.p == s.end)
			return depth == 0 && want == COMMA_OR_END ? 0 : ERR_TRUNCATED;
		if (depth == 0 && want == COMMA_OR_END)
			return ERR_MALFORMED; /* something behind the value */
		u8 c = *s.p;
		u8 closer = is_object & 1 ? '}' : ']';

		if (c == closer && depth > 0 && (want == COMMA_OR_END || want == VALUE_OR_END || want == KEY_OR_END)) {
			s.p++;
			is_object >>= 1;
			depth--;
			want = COMMA_OR_END;
			continue;
		}
		switch (want) {
		case COMMA_OR_END:
			if (c != ',')
				return ERR_MALFORMED;
			s.p++;
			want = is_object & 1 ? KEY : VALUE;
			break;
		case COLON:
			if (c != ':')
				return ERR_MALFORMED;
			s.p++;
			want = VALUE;
			break;
		case KEY:
		case KEY_OR_END:
			rc = c == '"' ? string(&s) : ERR_MALFORMED;
			want = COLON;
			break;
		case VALUE:
		case VALUE_OR_END:
			if (++s.values > s.max_values)
				return ERR_LIMIT;
			if (c == '{' || c == '[') {
				if (++depth > MIN(lim->depth, JSON_DEPTH_MAX))
					return ERR_LIMIT;
				is_object = is_object << 1 | (c == '{');
				s.p++;
				want = c == '{' ? KEY_OR_END : VALUE_OR_END;
			} else {
				rc = scalar(&s);
				want = COMMA_OR_END;
			}
			break;
		}
		if (rc)
			return rc;
	}
}
