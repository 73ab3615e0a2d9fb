/* The two files of a stub resolver. */
#include "core/base/text.h"
#include "platform/resolver.h"

#include <string.h>
#include <strings.h>

/* The next line without its comment; false at the end. */
static bool next_line(struct span *text, struct span *line)
{
	if (!text_line(text, line))
		return false;
	*line = text_uncommented(text_uncommented(*line, '#'), ';');
	return true;
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
		struct span key = text_word(&line), value = text_word(&line);
		struct ip ip;
		if (!text_is(key, "nameserver") || value.n == 0)
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
		struct span word = text_word(&line);
		struct ip ip;
		if (word.n == 0 || ip_parse(word, &ip))
			continue;
		while ((word = text_word(&line)).n > 0)
			if (word.n == len && strncasecmp((const char *)word.p, name, len) == 0)
				add_once(out, &n, max, &ip);
	}
	return n;
}
