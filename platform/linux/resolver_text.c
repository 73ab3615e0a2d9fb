/* The two files of a stub resolver. */
#include "platform/resolver.h"

#include <string.h>
#include <strings.h>

static bool is_blank(u8 c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* The next line without its comment; false at the end. */
static bool next_line(struct span *text, struct span *line)
{
	if (text->n == 0)
		return false;
	const u8 *nl = memchr(text->p, '\n', text->n);
	size_t n = nl ? (size_t)(nl - text->p) : text->n;
	*line = SPAN(text->p, n);
	for (size_t i = 0; i < n; i++) {
		if (text->p[i] == '#' || text->p[i] == ';') {
			line->n = i;
			break;
		}
	}
	n += nl != NULL;
	*text = SPAN(text->p + n, text->n - n);
	return true;
}

/* The next word of a line; empty at its end. */
static struct span next_word(struct span *line)
{
	size_t start = 0, end;

	while (start < line->n && is_blank(line->p[start]))
		start++;
	end = start;
	while (end < line->n && !is_blank(line->p[end]))
		end++;
	struct span word = SPAN(line->p + start, end - start);
	*line = SPAN(line->p + end, line->n - end);
	return word;
}

static bool add_once(struct ip *out, size_t *n, size_t max, const struct ip *ip)
{
	for (size_t i = 0; i < *n; i++)
		if (ip_eq(&out[i], ip))
			return true;
	if (*n == max)
		return false;
	out[(*n)++] = *ip;
	return true;
}

size_t resolver_parse_conf(struct span text, struct ip *out, size_t max)
{
	struct span line;
	size_t n = 0;

	while (next_line(&text, &line)) {
		struct span key = next_word(&line), value = next_word(&line);
		struct ip ip;
		if (key.n != 10 || memcmp(key.p, "nameserver", 10) != 0 || value.n == 0)
			continue;
		const u8 *zone = memchr(value.p, '%', value.n);
		if (zone)
			value.n = (size_t)(zone - value.p);
		if (ip_parse(value, &ip) == 0)
			add_once(out, &n, max, &ip);
	}
	return n;
}

size_t resolver_parse_hosts(struct span text, const char *name, struct ip *out, size_t max)
{
	size_t len = strlen(name), n = 0;
	struct span line;

	while (next_line(&text, &line)) {
		struct span word = next_word(&line);
		struct ip ip;
		if (word.n == 0 || ip_parse(word, &ip))
			continue;
		while ((word = next_word(&line)).n > 0)
			if (word.n == len && strncasecmp((const char *)word.p, name, len) == 0)
				add_once(out, &n, max, &ip);
	}
	return n;
}
