#include "contrib/build/templates_int.h"

#include <stdio.h>

/* ---- expressions ---- */

/* Copies what stands before `end`, trimmed; C strings and characters may contain it. */
static bool read_code(struct compiler *c, const char *end, char out[static CODE_CAP])
{
	size_t from, to, i;
	u32 line = c->line;
	char quote = 0;

	c->said_line = line;
	for (i = c->i; i < c->n; i++) {
		char ch = c->p[i];
		if (quote) {
			if (ch == '\\')
				i++;
			else if (ch == quote)
				quote = 0;
		} else if (ch == '"' || ch == '\'') {
			quote = ch;
		} else if (c->n - i >= 2 && memcmp(c->p + i, end, 2) == 0) {
			break;
		}
	}
	if (i >= c->n) {
		tc_fail(c, "no %s follows", end);
		return false;
	}
	for (from = c->i; from < i && is_space(c->p[from]); from++)
		;
	for (to = i; to > from && is_space(c->p[to - 1]); to--)
		;
	if (to - from >= CODE_CAP) {
		tc_fail(c, "longer than %u characters", CODE_CAP);
		return false;
	}
	for (i = from; i < to; i++)
		out[i - from] = is_space(c->p[i]) ? ' ' : c->p[i];
	out[to - from] = '\0';
	tc_skip(c, to - c->i);
	while (!tc_at(c, end))
		tc_skip(c, 1);
	tc_skip(c, 2);
	if (strlen(out) != to - from || memchr(out, '\\', to - from) == out + (to - from) - 1) {
		tc_fail(c, "a NUL or a dangling \\ in an expression");
		return false;
	}
	return true;
}

/* The place of `what` outside strings and parentheses, "" when there is none; sets *depth_at_end. */
static char *find_outside(char *s, char what)
{
	int depth = 0;
	char quote = 0;

	for (; *s; s++) {
		if (quote) {
			if (*s == '\\' && s[1])
				s++;
			else if (*s == quote)
				quote = 0;
		} else if (*s == '"' || *s == '\'') {
			quote = *s;
		} else if (what == '|' && s[0] == '|' && s[1] == '|') {
			s++;
		} else if (*s == what && depth == 0) {
			return s;
		} else if (strchr("([{", *s)) {
			depth++;
		} else if (strchr(")]}", *s) && --depth < 0) {
			return NULL;
		}
	}
	return depth == 0 && !quote ? s : NULL;
}

static char *trim(char *s)
{
	size_t n = strlen(s);

	while (n > 0 && is_space(s[n - 1]))
		s[--n] = '\0';
	while (is_space(*s))
		s++;
	return s;
}

/* An expression must be one C expression: no statement hides in it. */
static bool check_expr(struct compiler *c, char *s)
{
	char *end = find_outside(s, ';');

	if (!*s || !end || *end || strchr(s, '{') || strstr(s, "//") || strstr(s, "/*")) {
		/* "https://…" in a string is no comment; but it is simpler to keep such strings in C */
		tc_fail(c, *s ? "this is not an expression: %.100s" : "an empty expression", s);
		return false;
	}
	return true;
}

static const char text_filters[] = "or yesno initials short count plural bytes duration iso date local";
static const char markup_filters[] = "ago time";

/* `name` or `name(args)`, as a call whose first arguments are `first`. */
static void filtered(struct compiler *c, const char *value, char *filter)
{
	char *args = strchr(filter, '('), name[NAME_CAP] = "";
	bool is_text = c->html.place == TEXT && tc_content(c) == CONTENT_NORMAL;
	bool is_url = c->html.place == VALUE && c->tag.kind != ATTR_PLAIN;
	size_t n = args ? (size_t)(args - filter) : strlen(filter);

	while (n > 0 && is_space(filter[n - 1]))
		n--;
	if (n == 0 || n >= sizeof(name)) {
		tc_fail(c, "no name of a filter: %.40s", filter);
		return;
	}
	memcpy(name, filter, n);
	if (args) {
		n = strlen(args);
		char *end = find_outside(args + 1, ')');
		if (args[n - 1] != ')' || (end && *end && end != args + n - 1)) {
			tc_fail(c, "the arguments of %s do not end", name);
			return;
		}
		args[n - 1] = '\0';
		args = trim(args + 1);
	}
	if (strcmp(name, "json") == 0) {
		if (c->html.place != TEXT || tc_content(c) != CONTENT_JSON)
			tc_fail(c, "json is for <script type=\"application/json\">");
	} else if (strcmp(name, "encoded") == 0) {
		if (!is_url || c->html.url != URL_INSIDE)
			tc_fail(c, "encoded is for a URL, behind its first '/', '?' or '#'");
		else
			tc_code(c, "html_url_encoded(o, %s);", value);
		return;
	} else if (is_url) {
		tc_fail(c, "%s is no filter for URLs", name);
	} else if (tc_is_one_of(markup_filters, name)) {
		if (!is_text)
			tc_fail(c, "%s makes an element, which cannot be here", name);
	} else if (!tc_is_one_of(text_filters, name)) {
		tc_fail(c, "no such filter: %s", name);
	} else if (tc_content(c) == CONTENT_JSON) {
		tc_fail(c, "only the filter json can be here");
	}
	if (strcmp(name, "ago") == 0 && !args)
		tc_code(c, "html_ago(o, %s, page->now);", value);
	else if (args && *args)
		tc_code(c, "html_%s(o, %s, %s);", name, value, args);
	else
		tc_code(c, "html_%s(o, %s);", name, value);
}

void tc_expression(struct compiler *c)
{
	static char buf[CODE_CAP];

	tc_skip(c, 2);
	if (!read_code(c, "}}", buf))
		return;
	char *bar = find_outside(buf, '|'), *filter = NULL;
	if (bar && *bar) {
		*bar = '\0';
		filter = trim(bar + 1);
	}
	char *value = trim(buf);
	if (!check_expr(c, value) || (filter && !check_expr(c, filter)))
		return;
	if (c->html.place == TEXT) {
		if (tc_content(c) == CONTENT_NOTHING || (tc_content(c) == CONTENT_JSON && !filter)) {
			tc_fail(c, "an expression in a script");
			return;
		}
		tc_settle(c, SIDE_TEXT);
	} else if (c->html.place != VALUE) {
		tc_fail(c, "an expression in a tag, outside a quoted value");
		return;
	}
	c->is_begun = true;
	bool is_url = c->html.place == VALUE && c->tag.kind != ATTR_PLAIN;
	if (c->html.place == VALUE && c->tag.kind == ATTR_REFRESH) {
		size_t n = strlen(c->tag.value);
		if (c->tag.has_expr || n < 5 || memcmp(c->tag.value + n - 5, ";url=", 5) != 0 || strspn(c->tag.value, "0123456789") != n - 5)
			tc_fail(c, "a refresh is written content=\"0;url={{ … }}\"");
	}
	if (filter) {
		filtered(c, value, filter);
	} else if (!is_url) {
		tc_code(c, "html_text(o, %s);", value);
	} else if (c->html.url == URL_START) {
		tc_code(c, "html_url(o, %s);", value);
		c->html.url = URL_EXPR;
	} else {
		tc_code(c, "html_url_part(o, %s);", value);
		if (c->html.url == URL_SCHEME)
			snprintf(c->tag.scheme, sizeof(c->tag.scheme), "an expression");
	}
	c->tag.has_expr = true;
}

/* ---- directives ---- */

static struct block *push(struct compiler *c, enum block_kind kind)
{
	if (c->n_blocks == BLOCKS_MAX) {
		tc_fail(c, "directives too deep in each other");
		return NULL;
	}
	struct block *b = &c->blocks[c->n_blocks++];
	*b = (struct block){ .kind = kind, .start = c->html, .line = c->line };
	return b;
}

/* A branch ends here: all must end at the same place. */
static void merge(struct compiler *c, struct block *b, const struct html *end)
{
	struct html *m = &b->merged;

	if (!b->is_merged) {
		*m = *end;
		b->is_merged = true;
	}
	bool is_in_tag = (m->place == TAG || m->place == GLUED) && (end->place == TAG || end->place == GLUED);
	if (m->depth != end->depth || (m->place != end->place && !is_in_tag) || (m->place != TEXT && m->tag != end->tag) || (m->place == VALUE && m->value != end->value) ||
	    m->depth != b->start.depth || (b->start.place == TEXT) != (m->place == TEXT) || (b->start.place == VALUE) != (m->place == VALUE) ||
	    (b->start.place != TEXT && b->start.tag != m->tag) ||
	    (m->place == VALUE && b->start.value != m->value)) {
		if (end->depth > b->start.depth && end->depth <= DEPTH_MAX)
			tc_fail(c, "<%s> of line %u is not closed in the block of line %u", c->stack[end->depth - 1].name,
			     (unsigned)c->stack[end->depth - 1].line, (unsigned)b->line);
		else
			tc_fail(c, "the block of line %u begins and ends at different places of the HTML", (unsigned)b->line);
	}
	if (end->place == GLUED)
		m->place = GLUED;
	if (end->url < m->url)
		m->url = end->url;
}

static void branch(struct compiler *c, bool is_else)
{
	struct block *b = c->n_blocks > 0 ? &c->blocks[c->n_blocks - 1] : NULL;

	if (!b || b->kind != BLOCK_IF || b->has_else) {
		tc_fail(c, "no if this could belong to");
		return;
	}
	merge(c, b, &c->html);
	b->has_else = is_else;
	c->html = b->start;
	c->side = SIDE_DIRECTIVE;
}

static void end_block(struct compiler *c)
{
	struct block *b = c->n_blocks > 0 ? &c->blocks[c->n_blocks - 1] : NULL;

	if (!b) {
		tc_fail(c, "an end of nothing");
		return;
	}
	merge(c, b, &c->html);
	if (!b->has_else)
		merge(c, b, &b->start);
	c->html = b->merged;
	if (b->kind == BLOCK_IN)
		tc_code(c, "template_%s }", b->code);
	else
		tc_code(c, "}");
	c->n_blocks--;
}

/* `name(args)` → `name<suffix>(o, args);` */
static bool call_of(struct compiler *c, char *s, const char *suffix, char out[static CODE_CAP])
{
	char *args = strchr(s, '(');
	size_t n = strlen(s);

	if (!args || s[n - 1] != ')' || args == s) {
		tc_fail(c, "this is no call: %.100s", s);
		return false;
	}
	for (char *k = s; k < args; k++)
		if (!is_ident_char(*k)) {
			tc_fail(c, "this is no name of a template: %.100s", s);
			return false;
		}
	s[n - 1] = '\0';
	*args = '\0';
	args = trim(args + 1);
	char *end = find_outside(args, ';');
	if (!end || *end || strchr(args, '{') != NULL) {
		tc_fail(c, "these are no arguments: %.100s", args);
		return false;
	}
	int len = snprintf(out, CODE_CAP, "%s%s(o%s%s);", s, suffix, *args ? ", " : "", args);
	if (len < 0 || len >= (int)CODE_CAP) {
		tc_fail(c, "the arguments are too long");
		return false;
	}
	return true;
}

static void declare(struct compiler *c, const char *suffix)
{
	const char *s = c->params;

	strbuf_printf(c->c, "\nvoid template_%s%s(struct strbuf *o%s%s)\n{\n", c->name, suffix, *s ? ", " : "", s);
	while ((s = strstr(s, "struct "))) {
		size_t n = 7;
		while (is_ident_char(s[n]))
			n++;
		if (s == c->params || !is_ident_char(s[-1]))
			strbuf_printf(c->protos, "%.*s;\n", (int)n, s);
		s += n;
	}
	strbuf_printf(c->protos, "void template_%s%s(struct strbuf *o%s%s);\n", c->name, suffix, *c->params ? ", " : "", c->params);
}

void tc_end_template(struct compiler *c)
{
	static char call[CODE_CAP];
	char *buf = call;

	if (!c->is_inside)
		return;
	if (c->n_blocks > 0) {
		c->line = c->blocks[c->n_blocks - 1].line;
		tc_fail(c, "a block without {%% end %%}");
	} else if (c->html.depth > 0) {
		c->line = tc_top(c)->line;
		tc_fail(c, "<%s> is not closed", tc_top(c)->name);
	} else if (c->html.place != TEXT) {
		tc_fail(c, "the template ends in a tag");
	}
	tc_settle(c, SIDE_EDGE);
	tc_flush(c);
	if (c->layout[0]) {
		static char copy[CODE_CAP];
		memcpy(copy, c->layout, sizeof(copy));
		if (call_of(c, copy, "_end", buf))
			tc_code(c, "template_%s", buf);
	}
	strbuf_puts(c->c, "}\n");
	c->is_inside = false;
}

static void begin_template(struct compiler *c, char *s)
{
	char *args = strchr(s, '(');
	size_t n = strlen(s);

	tc_end_template(c);
	if (!args || s[n - 1] != ')' || args == s || (size_t)(args - s) >= NAME_CAP) {
		tc_fail(c, "a template is written name(parameters)");
		return;
	}
	for (char *k = s; k < args; k++)
		if (!is_ident_char(*k)) {
			tc_fail(c, "no name of a template: %.40s", s);
			return;
		}
	s[n - 1] = '\0';
	*args = '\0';
	args = trim(args + 1);
	if (strpbrk(args, ";{}\"'/#")) {
		tc_fail(c, "these are no parameters: %.100s", args);
		return;
	}
	snprintf(c->name, sizeof(c->name), "%s", s);
	snprintf(c->params, sizeof(c->params), "%s", args);
	c->layout[0] = '\0';
	c->h1 = 0;
	c->html = (struct html){ TEXT };
	c->side = SIDE_EDGE;
	c->gap = GAP_NONE;
	c->is_inside = true;
	c->is_begun = c->is_second_half = c->has_content = false;
	/* is there a {% content %} before the next template? */
	for (size_t i = c->i; i + 2 < c->n; i++) {
		if (c->p[i] != '{' || c->p[i + 1] != '%')
			continue;
		for (i += 2; i < c->n && is_space(c->p[i]); i++)
			;
		if (c->n - i > 8 && memcmp(c->p + i, "template", 8) == 0)
			break;
		if (c->n - i > 7 && memcmp(c->p + i, "content", 7) == 0)
			c->has_content = true;
	}
	declare(c, c->has_content ? "_begin" : "");
}

static void loop(struct compiler *c, char *s)
{
	struct block *b;
	char *colon = find_outside(s, ':'), *less = find_outside(s, '<'), *count;
	char name[NAME_CAP] = "";
	bool is_array = colon && *colon;
	char *head_end = is_array ? colon : less;

	if (c->html.place == VALUE ? c->tag.kind != ATTR_PLAIN : c->html.place != TEXT) {
		tc_fail(c, "a loop in a tag or a URL");
		return;
	}
	if (!head_end || !*head_end) {
		tc_fail(c, "a loop is written `T *x : array, n` or `T i < n`");
		return;
	}
	char *end = head_end, *start;
	while (end > s && is_space(end[-1]))
		end--;
	for (start = end; start > s && is_ident_char(start[-1]); start--)
		;
	if (start == end || start == s || (size_t)(end - start) >= sizeof(name)) {
		tc_fail(c, "a loop's variable has a type and a name");
		return;
	}
	memcpy(name, start, (size_t)(end - start));
	*head_end = '\0';
	char *rest = trim(head_end + 1);
	if (is_array) {
		count = NULL;
		for (char *k = rest; (k = find_outside(k, ',')) && *k; k++)
			count = k;
		if (!count) {
			tc_fail(c, "a loop over an array is written `T *x : array, n`");
			return;
		}
		*count = '\0';
		count = trim(count + 1);
		rest = trim(rest);
	} else {
		count = rest;
	}
	if (!check_expr(c, count) || !check_expr(c, rest) || !(b = push(c, BLOCK_FOR)))
		return;
	snprintf(b->code, sizeof(b->code), "%s", count);
	if (is_array)
		tc_code(c, "for (size_t %s_index = 0; %s_index < (size_t)(%s); %s_index++) { %s = &(%s)[%s_index]; (void)%s;", name, name, count, name,
		     trim(s), rest, name, name);
	else
		tc_code(c, "for (%s = 0; %s < (%s); %s++) {", trim(s), name, count, name);
}

static void csrf(struct compiler *c, char *s)
{
	struct element *form = NULL;

	for (u32 i = 0; i < c->html.depth; i++)
		if (strcmp(c->stack[i].name, "form") == 0)
			form = &c->stack[i];
	if (!form || !form->is_post)
		tc_fail(c, "{%% csrf %%} outside of a form that is sent by POST");
	else if (form->blocks != c->n_blocks)
		tc_fail(c, "{%% csrf %%} must not depend on anything");
	else
		form->has_csrf = true;
	tc_settle(c, SIDE_BLOCK);
	tc_lit(c, "<input type=hidden name=_csrf value=\"", 37);
	if (*s && !check_expr(c, s))
		return;
	tc_code(c, "html_text(o, %s);", *s ? s : "page->csrf");
	tc_lit(c, "\">", 2);
}

void tc_directive(struct compiler *c)
{
	static char buf[CODE_CAP], call[CODE_CAP];
	char word[16] = "";
	size_t n = 0;
	struct block *b;
	u32 line = c->line;

	tc_skip(c, 2);
	if (!read_code(c, "%}", buf))
		return;
	while (is_ident_char(buf[n]))
		n++;
	if (n < sizeof(word))
		memcpy(word, buf, n);
	char *rest = trim(buf + n);

	if (strcmp(word, "include") == 0) {
		size_t m = strlen(rest);
		if (c->is_inside || m < 3 || rest[0] != '"' || rest[m - 1] != '"' || strchr(rest + 1, '"') != rest + m - 1)
			tc_fail(c, "includes are written \"path\", before the templates");
		strbuf_printf(c->c, "#include %s\n", rest);
		return;
	}
	if (strcmp(word, "template") == 0) {
		begin_template(c, rest);
		return;
	}
	if (!c->is_inside) {
		tc_fail(c, "{%% %s %%} outside of a template", word);
		return;
	}
	enum content k = tc_content(c);
	if (k == CONTENT_JSON || k == CONTENT_NOTHING) {
		tc_fail(c, "a directive in a script");
		return;
	}
	if (c->html.place == VALUE)
		c->tag.has_expr = true; /* its literal text is not the whole */
	bool is_flow = tc_is_one_of("if elif else end for empty let", word);
	if (!is_flow && (c->html.place != TEXT || k != CONTENT_NORMAL)) {
		tc_fail(c, "{%% %s %%} where no element can be", word);
		return;
	}
	if (c->html.place == TEXT && k == CONTENT_NORMAL)
		tc_settle(c, SIDE_DIRECTIVE);
	bool was_begun = c->is_begun;
	c->is_begun = true;

	if (strcmp(word, "if") == 0) {
		if (check_expr(c, rest) && push(c, BLOCK_IF))
			tc_code(c, "if (%s) {", rest);
	} else if (strcmp(word, "elif") == 0) {
		if (check_expr(c, rest)) {
			branch(c, false);
			tc_code(c, "} else if (%s) {", rest);
		}
	} else if (strcmp(word, "else") == 0 && !*rest) {
		branch(c, true);
		tc_code(c, "} else {");
	} else if (strcmp(word, "for") == 0) {
		loop(c, rest);
	} else if (strcmp(word, "empty") == 0 && !*rest) {
		b = c->n_blocks > 0 ? &c->blocks[c->n_blocks - 1] : NULL;
		if (!b || b->kind != BLOCK_FOR || b->has_else) {
			tc_fail(c, "no loop this could belong to");
			return;
		}
		merge(c, b, &c->html);
		tc_code(c, "} if ((%s) == 0) {", b->code);
		b->has_else = true;
		merge(c, b, &b->start);
		c->html = b->start;
	} else if (strcmp(word, "end") == 0 && !*rest) {
		end_block(c);
	} else if (strcmp(word, "let") == 0) {
		char *is = find_outside(rest, '=');
		char *end = find_outside(rest, ';');
		if (!is || !*is || !end || *end || strchr(rest, '{'))
			tc_fail(c, "a variable is written `let T x = expr`");
		tc_code(c, "%s;", rest);
	} else if (strcmp(word, "call") == 0) {
		if (call_of(c, rest, "", call))
			tc_code(c, "template_%s", call);
	} else if (strcmp(word, "csrf") == 0) {
		csrf(c, rest);
	} else if (strcmp(word, "layout") == 0) {
		if (was_begun || c->has_content || c->layout[0])
			tc_fail(c, "{%% layout %%} is the first thing of a template that is no layout itself");
		snprintf(c->layout, sizeof(c->layout), "%s", rest);
		if (call_of(c, rest, "_begin", call))
			tc_code(c, "template_%s", call);
		c->side = SIDE_EDGE;
	} else if (strcmp(word, "in") == 0) {
		static char copy[CODE_CAP];
		memcpy(copy, rest, strlen(rest) + 1);
		if (!call_of(c, rest, "_begin", call) || !(b = push(c, BLOCK_IN)))
			return;
		b->has_else = true;
		tc_code(c, "{ template_%s", call);
		if (call_of(c, copy, "_end", call))
			memcpy(b->code, call, sizeof(call));
		c->side = SIDE_EDGE;
	} else if (strcmp(word, "content") == 0 && !*rest) {
		if (c->n_blocks > 0 || c->is_second_half)
			tc_fail(c, "{%% content %%} is there once, and always");
		tc_flush(c);
		strbuf_puts(c->c, "}\n");
		declare(c, "_end");
		c->is_second_half = true;
		c->side = SIDE_EDGE;
	} else {
		tc_fail(c, "no such directive: {%% %s %%}", word);
	}
	if (c->failed && c->e->line > line)
		c->e->line = line;
}
