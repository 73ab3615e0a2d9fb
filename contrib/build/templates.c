#include "contrib/build/templates_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void tc_fail(struct compiler *c, const char *fmt, ...)
{
	va_list ap;

	if (c->failed)
		return;
	c->failed = true;
	c->e->line = c->line;
	va_start(ap, fmt);
	vsnprintf(c->e->text, sizeof(c->e->text), fmt, ap);
	va_end(ap);
}

bool tc_is_one_of(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *at = strstr(list, word); n > 0 && at; at = strstr(at + 1, word))
		if ((at == list || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0'))
			return true;
	return false;
}

bool tc_at(const struct compiler *c, const char *s)
{
	size_t n = strlen(s);

	return c->n - c->i >= n && memcmp(c->p + c->i, s, n) == 0;
}

char tc_peek(const struct compiler *c, size_t ahead)
{
	return c->i + ahead < c->n ? c->p[c->i + ahead] : '\0';
}

/* How much of what follows a message quotes. */
int tc_shown(const struct compiler *c)
{
	return c->n - c->i < 10 ? (int)(c->n - c->i) : 10;
}

void tc_skip(struct compiler *c, size_t n)
{
	for (; n > 0 && c->i < c->n; n--)
		if (c->p[c->i++] == '\n')
			c->line++;
}

/* ---- what comes out ---- */

void tc_flush(struct compiler *c)
{
	if (c->lit.n == 0)
		return;
	strbuf_puts(c->c, "\tstrbuf_puts(o, \"");
	for (size_t i = 0; i < c->lit.n; i++) {
		unsigned char b = (unsigned char)c->lit.p[i];
		if (b == '"' || b == '\\')
			strbuf_printf(c->c, "\\%c", b);
		else if (b < 0x20 || b >= 0x7f)
			strbuf_printf(c->c, "\\%03o", b);
		else
			strbuf_putc(c->c, (char)b);
	}
	strbuf_puts(c->c, "\");\n");
	strbuf_reset(&c->lit);
}

/* One statement; messages of the C compiler then name the template's line. */
void tc_code(struct compiler *c, const char *fmt, ...)
{
	char buf[2 * CODE_CAP + 256];
	va_list ap;

	tc_flush(c);
	va_start(ap, fmt);
	int n = vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(buf)) {
		tc_fail(c, "this is too long");
		return;
	}
	strbuf_printf(c->c, "#line %u \"%s\"\n\t%s\n", (unsigned)c->said_line, c->file, buf);
}

void tc_lit(struct compiler *c, const char *s, size_t n)
{
	c->is_begun = true;
	strbuf_add(&c->lit, s, n);
}

/* White space waits until it is known what follows it. */
void tc_settle(struct compiler *c, enum side next)
{
	enum side prev = c->side;
	bool is_edge = prev == SIDE_EDGE || next == SIDE_EDGE || prev == SIDE_BLOCK || next == SIDE_BLOCK;
	bool is_text = prev == SIDE_TEXT || next == SIDE_TEXT;

	if (!is_edge && (c->gap == GAP_SPACE || (c->gap == GAP_LINE && is_text)))
		tc_lit(c, " ", 1);
	c->gap = GAP_NONE;
	c->side = next;
}

struct element *tc_top(struct compiler *c)
{
	return c->html.depth > 0 ? &c->stack[c->html.depth - 1] : NULL;
}

enum content tc_content(struct compiler *c)
{
	struct element *t = tc_top(c);

	return t ? t->content : CONTENT_NORMAL;
}

void tc_comment(struct compiler *c, const char *end, bool is_html)
{
	u32 line = c->line;

	while (c->i < c->n && !tc_at(c, end)) {
		if (is_html && (tc_at(c, "{{") || tc_at(c, "{%"))) {
			tc_fail(c, "an expression or directive in an HTML comment");
			return;
		}
		tc_skip(c, 1);
	}
	if (c->i == c->n) {
		c->line = line;
		tc_fail(c, "a comment without end");
	}
	tc_skip(c, strlen(end));
}

int templates_compile(const char *file, struct span text, struct strbuf *out, struct strbuf *prototypes, struct template_error *e)
{
	struct compiler *c = calloc(1, sizeof(*c));

	*e = (struct template_error){ 0, "out of memory" };
	if (!c)
		return -1;
	*c = (struct compiler){ .file = file, .p = (const char *)text.p, .n = text.n, .line = 1, .c = out, .protos = prototypes, .e = e };
	strbuf_printf(out, "/* made of %s */\n#pragma GCC diagnostic ignored \"-Wunused-parameter\"\n"
			   "#include \"applets/portal/web/html.h\"\n#include \"applets/portal/web/templates.h\"\n", file);
	while (c->i < c->n && !c->failed) {
		if (tc_at(c, "{#")) {
			tc_comment(c, "#}", false);
		} else if (tc_at(c, "{%")) {
			tc_directive(c);
		} else if (!c->is_inside) {
			if (!is_space(tc_peek(c, 0)))
				tc_fail(c, "a file begins with {%% template name(parameters) %%}");
			tc_skip(c, 1);
		} else if (tc_at(c, "{{")) {
			tc_expression(c);
		} else if (c->html.place == TEXT) {
			tc_text(c);
		} else if (c->html.place == VALUE) {
			tc_value(c);
		} else {
			tc_tag(c);
		}
	}
	if (!c->failed)
		tc_end_template(c);
	bool failed = c->failed || !strbuf_ok(out) || !strbuf_ok(prototypes) || !strbuf_ok(&c->lit);
	if (c->failed && c->lit.failed)
		snprintf(e->text, sizeof(e->text), "out of memory");
	strbuf_free(&c->lit);
	free(c);
	return failed ? -1 : 0;
}
