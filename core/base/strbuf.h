/* core/base/strbuf.h: text that grows: pages, mails, SQL, anything whose length is known when it is written.
 *
 * Zeroed memory is an empty buffer. Running out of memory or over `max` is sticky: what follows is dropped, strbuf_ok() is false and the
 * owner asks once, at the end. The text is always NUL terminated as soon as anything was written; strbuf_text() of an empty one is "".
 */
#pragma once

#include "core/base/types.h"

#define STRBUF_MAX (64u * 1024u * 1024u)

struct strbuf {
	char *p;
	size_t n, cap;
	size_t max; /* bytes; 0 = STRBUF_MAX */
	bool failed;
};

void strbuf_add(struct strbuf *b, const void *bytes, size_t n);
void strbuf_puts(struct strbuf *b, const char *s);
void strbuf_putc(struct strbuf *b, char c);
void strbuf_printf(struct strbuf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Room for n bytes more, to be counted by the caller in b->n; NULL without memory. */
char *strbuf_room(struct strbuf *b, size_t n);

static inline bool strbuf_ok(const struct strbuf *b)
{
	return !b->failed;
}
static inline const char *strbuf_text(const struct strbuf *b)
{
	return b->p ? b->p : "";
}
static inline struct span strbuf_span(const struct strbuf *b)
{
	return (struct span){ (const u8 *)b->p, b->n };
}

/* Empty again, with the memory it has. */
void strbuf_reset(struct strbuf *b);
void strbuf_free(struct strbuf *b);
/* The text, now the caller's to free(); NULL when it failed. The buffer is empty afterwards. */
char *strbuf_take(struct strbuf *b);
