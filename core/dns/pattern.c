#include "core/dns/pattern.h"

#include "core/base/utf8.h"

/* A pattern is taken label by label: `**` chooses among whole labels, everything else stays within one. Both choices need to remember
 * only the latest star, for what lies between two stars is of fixed length, so the first place where it fits leaves most to the rest. */

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* The `]` that closes the set opened at `s`, as the first character may itself be one; NULL: none before `end`. */
static const char *set_end(const char *s, const char *end)
{
	s += s + 1 < end && s[1] == '!' ? 2 : 1;
	return s < end ? memchr(s + 1, ']', (size_t)(end - s - 1)) : NULL;
}

static const char *label_end(const char *s, const char *end)
{
	for (; s < end && *s != '.'; s++)
		if (*s == '[')
			s = set_end(s, end);
	return s;
}

static bool is_globstar(const char *s, const char *end)
{
	return end - s == 2 && s[0] == '*' && s[1] == '*';
}

int dns_pattern_init(struct dns_pattern *p, const char *text)
{
	size_t n = strnlen(text, DNS_PATTERN_MAX + 1);

	if (n > DNS_PATTERN_MAX)
		return ERR_LIMIT;
	if (n == 0 || !utf8_is_valid(SPAN(text, n)))
		return ERR_INVAL;
	memset(p, 0, sizeof(*p));
	p->len = (u8)n;
	for (size_t i = 0; i < n; i++)
		p->text[i] = lower(text[i]);

	const char *end = p->text + n, *label = p->text, *tail = p->text;
	for (const char *s = label; s < end; s++) {
		if (*s == '.') {
			label = s + 1;
		} else if (*s == '[') {
			if (!(s = set_end(s, end)))
				return ERR_INVAL;
			tail = s + 1;
		} else if (*s == '*' && s + 1 < end && s[1] == '*') {
			if (s != label || (s + 2 < end && s[2] != '.'))
				return ERR_INVAL;
			s++;
			tail = s + 2 < end ? s + 2 : end; /* the dot goes with labels that may be none */
		} else if (*s == '*' || *s == '?') {
			tail = s + 1;
		}
	}
	p->tail_len = (u8)(end - tail);
	return 0;
}

/* Is c in the set whose `[` is at s and whose `]` is at close? */
static bool set_has(const char *s, const char *close, char c)
{
	bool is_negated = s[1] == '!', found = false;

	for (s += is_negated ? 2 : 1; s < close; s++) {
		if (close - s >= 3 && s[1] == '-') {
			found |= (u8)s[0] <= (u8)c && (u8)c <= (u8)s[2];
			s += 2;
		} else {
			found |= *s == c;
		}
	}
	return found != is_negated;
}

/* Does the element at s accept c? `next` is what follows the element. */
static bool element_accepts(const char *s, const char *end, char c, const char **next)
{
	*next = s + 1;
	if (*s == '?')
		return true;
	if (*s != '[')
		return *s == c;
	const char *close = set_end(s, end);
	*next = close + 1;
	return set_has(s, close, c);
}

static bool label_matches(const char *p, const char *p_end, const char *n, const char *n_end)
{
	const char *star = NULL, *star_n = NULL, *next;

	while (n < n_end) {
		if (p < p_end && *p == '*') {
			star = ++p;
			star_n = n;
		} else if (p < p_end && element_accepts(p, p_end, *n, &next)) {
			p = next;
			n++;
		} else if (star) {
			p = star;
			n = ++star_n;
		} else {
			return false;
		}
	}
	while (p < p_end && *p == '*')
		p++;
	return p == p_end;
}

/* A place in a dotted text: the label at [at, end), or past the last one. */
struct place {
	const char *at, *end, *stop;
	bool is_past;
};

static struct place name_place(const char *at, const char *stop)
{
	const char *dot = memchr(at, '.', (size_t)(stop - at));
	return (struct place){ at, dot ? dot : stop, stop, false };
}

static struct place name_next(struct place l)
{
	return l.end < l.stop ? name_place(l.end + 1, l.stop) : (struct place){ l.stop, l.stop, l.stop, true };
}

static struct place pattern_place(const char *at, const char *stop)
{
	return (struct place){ at, label_end(at, stop), stop, false };
}

static struct place pattern_next(struct place l)
{
	return l.end < l.stop ? pattern_place(l.end + 1, l.stop) : (struct place){ l.stop, l.stop, l.stop, true };
}

bool dns_pattern_matches_text(const struct dns_pattern *pattern, const char *text, size_t len)
{
	const char *stop = pattern->text + pattern->len;

	if (pattern->len > 2 && pattern->text[0] == '*' && pattern->text[1] == '.' && len == pattern->len - 2u &&
	    memcmp(pattern->text + 2, text, len) == 0)
		return true;
	if (len < pattern->tail_len || memcmp(text + len - pattern->tail_len, stop - pattern->tail_len, pattern->tail_len) != 0)
		return false;

	struct place p = pattern_place(pattern->text, stop), n = name_place(text, text + len);
	struct place star = { 0 }, star_n = { 0 };
	bool has_star = false;

	while (!n.is_past) {
		if (!p.is_past && is_globstar(p.at, p.end)) {
			if (p.end == stop)
				return true; /* a label is left, so the dot before a final ** has something behind it */
			star = p = pattern_next(p);
			star_n = n;
			has_star = true;
		} else if (!p.is_past && label_matches(p.at, p.end, n.at, n.end)) {
			p = pattern_next(p);
			n = name_next(n);
		} else if (has_star) {
			p = star;
			n = star_n = name_next(star_n);
		} else {
			return false;
		}
	}
	return p.is_past;
}

bool dns_pattern_matches(const struct dns_pattern *p, const struct dns_name *name)
{
	char text[DNS_NAME_STRLEN];

	return dns_pattern_matches_text(p, text, dns_pattern_text(name, text));
}

size_t dns_pattern_text(const struct dns_name *name, char buf[static DNS_NAME_STRLEN])
{
	dns_name_text(name, buf);
	char *s = buf;
	for (; *s; s++)
		*s = lower(*s);
	return (size_t)(s - buf);
}

/* --- specificity --- */

/* The code point that ends before s[n]; its octets are taken off. */
static u32 char_before(const char *s, size_t *n)
{
	u32 v = 0;
	unsigned shift = 0;
	u8 c;

	for (; ((c = (u8)s[--*n]) & 0xc0) == 0x80; shift += 6)
		v |= (u32)(c & 0x3f) << shift;
	/* A leading octet has as many ones as the character has octets, then a zero. */
	return shift == 0 ? c : v | (u32)(c & (0x3fu >> shift / 6)) << shift;
}

/* Smaller is more specific. */
static u32 rank(const struct dns_pattern *p, size_t *n)
{
	if (*n == 0)
		return 0;
	u32 c = char_before(p->text, n);
	return c == '*' ? UINT32_MAX : c == '?' ? UINT32_MAX - 1 : 0x200000u - c;
}

int dns_pattern_cmp(const struct dns_pattern *a, const struct dns_pattern *b)
{
	size_t na = a->len, nb = b->len;

	while (na > 0 || nb > 0) {
		u32 ra = rank(a, &na), rb = rank(b, &nb);
		if (ra != rb)
			return ra < rb ? 1 : -1;
	}
	return 0;
}
