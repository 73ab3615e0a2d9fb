#include "core/base/strbuf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST 256u

char *strbuf_room(struct strbuf *b, size_t n)
{
	size_t max = b->max ? b->max : STRBUF_MAX, cap = b->cap ? b->cap : FIRST;

	if (b->failed || n >= max || b->n > max - n - 1) {
		b->failed = true;
		return NULL;
	}
	while (cap < b->n + n + 1)
		cap *= 2;
	if (cap > b->cap) {
		char *more = realloc(b->p, cap);
		if (!more) {
			b->failed = true;
			return NULL;
		}
		b->p = more;
		b->cap = cap;
	}
	return b->p + b->n;
}

void strbuf_add(struct strbuf *b, const void *bytes, size_t n)
{
	char *to = strbuf_room(b, n);

	if (!to)
		return;
	if (n > 0)
		memcpy(to, bytes, n);
	to[n] = '\0';
	b->n += n;
}

void strbuf_puts(struct strbuf *b, const char *s)
{
	strbuf_add(b, s, strlen(s));
}

void strbuf_putc(struct strbuf *b, char c)
{
	strbuf_add(b, &c, 1);
}

void strbuf_printf(struct strbuf *b, const char *fmt, ...)
{
	va_list ap, again;

	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	char *to = n < 0 ? NULL : strbuf_room(b, (size_t)n);
	if (to) {
		vsnprintf(to, (size_t)n + 1, fmt, again);
		b->n += (size_t)n;
	} else {
		b->failed = true;
	}
	va_end(again);
	va_end(ap);
}

void strbuf_reset(struct strbuf *b)
{
	b->n = 0;
	b->failed = false;
	if (b->p)
		b->p[0] = '\0';
}

void strbuf_free(struct strbuf *b)
{
	free(b->p);
	*b = (struct strbuf){ .max = b->max };
}

char *strbuf_take(struct strbuf *b)
{
	char *text = b->failed ? NULL : b->p ? b->p : calloc(1, 1);

	if (b->failed)
		free(b->p);
	*b = (struct strbuf){ .max = b->max };
	return text;
}
