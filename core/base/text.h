/* core/base/text.h: lines and words of small text files: resolv.conf, hosts, blocklists.
 *
 * Everything is borrowed from the text. A word ends at a space, a tab or the carriage return of a foreign line end.
 */
#pragma once

#include "core/base/types.h"

#include <string.h>

/* The next line, without its end; false behind the last one. */
static inline bool text_line(struct span *text, struct span *line)
{
	if (text->n == 0)
		return false;
	const u8 *nl = memchr(text->p, '\n', text->n);
	size_t n = nl ? (size_t)(nl - text->p) : text->n, used = n + (nl != NULL);

	*line = SPAN(text->p, n);
	*text = SPAN(text->p + used, text->n - used);
	return true;
}

static inline bool text_is_blank(u8 c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* The next word of a line; empty at its end. */
static inline struct span text_word(struct span *line)
{
	size_t start = 0, end;

	if (line->n == 0)
		return SPAN_NONE;
	while (start < line->n && text_is_blank(line->p[start]))
		start++;
	for (end = start; end < line->n && !text_is_blank(line->p[end]);)
		end++;
	struct span word = SPAN(line->p + start, end - start);
	*line = SPAN(line->p + end, line->n - end);
	return word;
}

/* The line as far as a character that begins a comment. */
static inline struct span text_uncommented(struct span line, u8 mark)
{
	const u8 *comment = line.n > 0 ? memchr(line.p, mark, line.n) : NULL;

	return comment ? SPAN(line.p, comment - line.p) : line;
}

static inline bool text_is(struct span word, const char *s)
{
	return word.n == strlen(s) && memcmp(word.p, s, word.n) == 0;
}
