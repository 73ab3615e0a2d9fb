#include "contrib/build/templates.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 64u
#define BLOCKS_MAX 32u
#define NAME_CAP 40u
#define ATTRS_MAX 32u
#define CODE_CAP 2048u

enum place {
	TEXT,
	TAG,   /* in a tag, before an attribute */
	GLUED, /* in a tag, behind an attribute: white space or the tag's end must follow */
	VALUE, /* in a quoted value */
};

/* What a URL says so far (attributes of kind URL). */
enum url_phase {
	URL_START,
	URL_EXPR,   /* one expression and nothing else */
	URL_SCHEME, /* literal text that may still turn out to be a scheme */
	URL_INSIDE, /* behind a scheme, '/', '?' or '#' */
};

enum attr_kind { ATTR_PLAIN, ATTR_URL, ATTR_REFRESH };
enum content { CONTENT_NORMAL, CONTENT_KEPT, CONTENT_TEXT_ONLY, CONTENT_JSON, CONTENT_NOTHING };

/* Where in the HTML we are; what branches are compared by. */
struct html {
	enum place place;
	enum url_phase url;
	u32 depth;  /* open elements */
	u32 tag, value; /* which tag, which value: counted from the begin of the template */
};

struct element {
	char name[NAME_CAP];
	enum content content;
	u32 line, blocks;
	bool is_post, has_csrf;
};

enum block_kind { BLOCK_IF, BLOCK_FOR, BLOCK_IN };

struct block {
	enum block_kind kind;
	struct html start, merged;
	bool is_merged, has_else;
	u32 line;
	char code[CODE_CAP]; /* FOR: the count; IN: name(args) */
};

struct tag {
	char name[NAME_CAP];
	char attr[NAME_CAP]; /* the one being read */
	enum attr_kind kind;
	char seen[ATTRS_MAX][NAME_CAP]; /* attributes given whatever branch is taken */
	u32 n_seen, blocks;
	char value[256]; /* literal text of the value being read, cut */
	bool has_expr;
	bool has_alt, has_for, has_type, has_lang, has_src, is_post, is_json, is_named_svg, is_refresh;
	char scheme[32];
	char quote;
};

enum side { SIDE_EDGE, SIDE_TEXT, SIDE_INLINE, SIDE_BLOCK, SIDE_DIRECTIVE };
enum gap { GAP_NONE, GAP_SPACE, GAP_LINE };

struct compiler {
	const char *file, *p;
	size_t n, i;
	u32 line, said_line;
	struct strbuf *c, *protos, lit;
	struct template_error *e;
	bool failed;

	bool is_inside; /* a template */
	bool has_content, is_second_half;
	char name[NAME_CAP], params[CODE_CAP], layout[CODE_CAP];
	u32 h1;
	bool is_begun; /* something was written */

	struct html html;
	u32 serial;
	struct element stack[DEPTH_MAX];
	struct block blocks[BLOCKS_MAX];
	u32 n_blocks;
	struct tag tag;
	enum side side;
	enum gap gap;
};

static void fail(struct compiler *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void fail(struct compiler *c, const char *fmt, ...)
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

static bool is_one_of(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *at = strstr(list, word); n > 0 && at; at = strstr(at + 1, word))
		if ((at == list || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0'))
			return true;
	return false;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static bool is_name_char(char c)
{
	return isalnum((unsigned char)c) || c == '-' || c == '_' || c == ':';
}

static bool is_ident_char(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

static bool at(const struct compiler *c, const char *s)
{
	size_t n = strlen(s);

	return c->n - c->i >= n && memcmp(c->p + c->i, s, n) == 0;
}

static char peek(const struct compiler *c, size_t ahead)
{
	return c->i + ahead < c->n ? c->p[c->i + ahead] : '\0';
}

static void skip(struct compiler *c, size_t n)
{
	for (; n > 0 && c->i < c->n; n--)
		if (c->p[c->i++] == '\n')
			c->line++;
}

/* ---- what comes out ---- */

static void flush(struct compiler *c)
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
static void code(struct compiler *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void code(struct compiler *c, const char *fmt, ...)
{
	char buf[2 * CODE_CAP + 256];
	va_list ap;

	flush(c);
	va_start(ap, fmt);
	int n = vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(buf)) {
		fail(c, "this is too long");
		return;
	}
	strbuf_printf(c->c, "#line %u \"%s\"\n\t%s\n", (unsigned)c->said_line, c->file, buf);
}

static void lit(struct compiler *c, const char *s, size_t n)
{
	c->is_begun = true;
	strbuf_add(&c->lit, s, n);
}

/* White space waits until it is known what follows it. */
static void settle(struct compiler *c, enum side next)
{
	enum side prev = c->side;
	bool is_edge = prev == SIDE_EDGE || next == SIDE_EDGE || prev == SIDE_BLOCK || next == SIDE_BLOCK;
	bool is_text = prev == SIDE_TEXT || next == SIDE_TEXT;

	if (!is_edge && (c->gap == GAP_SPACE || (c->gap == GAP_LINE && is_text)))
		lit(c, " ", 1);
	c->gap = GAP_NONE;
	c->side = next;
}

static struct element *top(struct compiler *c)
{
	return c->html.depth > 0 ? &c->stack[c->html.depth - 1] : NULL;
}

static enum content content(struct compiler *c)
{
	struct element *t = top(c);

	return t ? t->content : CONTENT_NORMAL;
}

/* ---- HTML ---- */

#define VOID_ELEMENTS "area br col hr img input link meta source track wbr"
#define SVG_LEAVES "path circle ellipse rect line polyline polygon use stop"
#define INLINE_ELEMENTS "a abbr b bdi br button cite code em i img input kbd label mark q s samp select small span strong sub sup svg time u var wbr"
#define ENDS_P "address article aside blockquote details dialog div dl fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 header hgroup hr main nav ol p pre section table ul"
#define REFUSED "style iframe object embed base frame frameset applet plaintext xmp noembed noframes template"
#define URL_ATTRS "href src action formaction poster cite data ping background xlink:href manifest"

static bool is_url_scheme(const char *s)
{
	return is_one_of("https http mailto firezone-fd0020211111", s);
}

static const struct parent {
	const char *child, *parents;
} parents[] = {
	{ "li", "ul ol" },
	{ "tr", "thead tbody tfoot table" },
	{ "td", "tr" },
	{ "th", "tr" },
	{ "thead", "table" },
	{ "tbody", "table" },
	{ "tfoot", "table" },
	{ "caption", "table" },
	{ "dt", "dl div" },
	{ "dd", "dl div" },
	{ "option", "select optgroup datalist" },
	{ "optgroup", "select" },
	{ "legend", "fieldset" },
	{ "summary", "details" },
	{ "figcaption", "figure" },
};

static const struct only {
	const char *parent, *children;
} only[] = {
	{ "ul", "li script" },
	{ "ol", "li script" },
	{ "table", "caption colgroup thead tbody tfoot tr" },
	{ "thead", "tr" },
	{ "tbody", "tr" },
	{ "tfoot", "tr" },
	{ "tr", "td th" },
	{ "dl", "dt dd div" },
	{ "select", "option optgroup" },
};

static bool is_within(const struct compiler *c, const char *names)
{
	for (u32 i = 0; i < c->html.depth; i++)
		if (is_one_of(names, c->stack[i].name))
			return true;
	return false;
}

static void check_place(struct compiler *c, const char *name)
{
	struct element *t = top(c);

	if (is_one_of(REFUSED, name))
		fail(c, "<%s> has no place in our pages", name);
	if (is_one_of("script", name) && c->tag.is_json)
		return;
	for (size_t i = 0; t && i < ARRAY_LEN(parents); i++)
		if (strcmp(parents[i].child, name) == 0 && !is_one_of(parents[i].parents, t->name))
			fail(c, "<%s> cannot be in <%s>", name, t->name);
	for (size_t i = 0; t && i < ARRAY_LEN(only); i++)
		if (strcmp(only[i].parent, t->name) == 0 && !is_one_of(only[i].children, name))
			fail(c, "<%s> cannot be in <%s>", name, t->name);
	if (is_one_of(ENDS_P, name) && is_within(c, "p"))
		fail(c, "<%s> would end the <p> it is in", name);
	if (strcmp(name, "form") == 0 && is_within(c, "form"))
		fail(c, "a form in a form");
	if (is_one_of("a button input select textarea label", name) && is_within(c, "a button") && strcmp(name, "label") != 0)
		fail(c, "<%s> cannot be in a link or a button", name);
	if (strcmp(name, "h1") == 0 && (++c->h1 > 1 || c->layout[0]))
		fail(c, c->layout[0] ? "the layout has the <h1>" : "a second <h1>");
}

static void open_tag(struct compiler *c)
{
	size_t n = 1;

	while (is_name_char(peek(c, n)))
		n++;
	if (n > NAME_CAP) {
		fail(c, "the name of this element is too long");
		return;
	}
	c->tag = (struct tag){ .blocks = c->n_blocks };
	memcpy(c->tag.name, c->p + c->i + 1, n - 1);
	for (char *k = c->tag.name; *k; k++)
		if (isupper((unsigned char)*k) && !is_within(c, "svg"))
			fail(c, "<%s>: elements are written in lower case", c->tag.name);
	settle(c, is_one_of(INLINE_ELEMENTS, c->tag.name) ? SIDE_INLINE : SIDE_BLOCK);
	lit(c, c->p + c->i, n);
	skip(c, n);
	if (at(c, "{{"))
		fail(c, "an expression in the name of an element");
	c->html.place = GLUED;
	c->html.tag = ++c->serial;
}

/* The tag's '>' is reached. */
static void finish_tag(struct compiler *c, bool is_closed)
{
	struct tag *t = &c->tag;

	check_place(c, t->name);
	if (strcmp(t->name, "img") == 0 && !t->has_alt)
		fail(c, "<img> without alt");
	if (strcmp(t->name, "label") == 0 && !t->has_for)
		fail(c, "<label> without for");
	if (strcmp(t->name, "button") == 0 && !t->has_type)
		fail(c, "<button> without type");
	if (strcmp(t->name, "html") == 0 && !t->has_lang)
		fail(c, "<html> without lang");
	if (strcmp(t->name, "svg") == 0 && !t->is_named_svg)
		fail(c, "<svg> neither aria-hidden nor role=img");
	if (strcmp(t->name, "script") == 0 && !t->has_src && !t->is_json)
		fail(c, "a script is a file (src) or JSON");
	c->html.place = TEXT;
	if (is_closed && !is_one_of(VOID_ELEMENTS " " SVG_LEAVES, t->name))
		fail(c, "<%s/>: only void elements and those of SVG end so", t->name);
	lit(c, is_closed && !is_one_of(VOID_ELEMENTS, t->name) ? "/>" : ">", is_closed && !is_one_of(VOID_ELEMENTS, t->name) ? 2 : 1);
	if (is_closed || is_one_of(VOID_ELEMENTS, t->name))
		return;
	if (c->html.depth == DEPTH_MAX) {
		fail(c, "elements too deep in each other");
		return;
	}
	struct element *e = &c->stack[c->html.depth++];
	*e = (struct element){ .line = c->line, .blocks = c->n_blocks, .is_post = t->is_post };
	memcpy(e->name, t->name, sizeof(e->name));
	e->content = strcmp(t->name, "pre") == 0	      ? CONTENT_KEPT
		     : is_one_of("textarea title", t->name) ? CONTENT_TEXT_ONLY
		     : strcmp(t->name, "script") != 0	      ? CONTENT_NORMAL
		     : t->is_json			      ? CONTENT_JSON
							      : CONTENT_NOTHING;
	/* the parser drops a line end right behind these */
	if (is_one_of("textarea pre", t->name))
		lit(c, "\n", 1);
}

static void close_tag(struct compiler *c)
{
	char name[NAME_CAP] = "";
	size_t n = 2;
	struct element *t = top(c);

	while (is_name_char(peek(c, n)))
		n++;
	if (n - 2 < sizeof(name))
		memcpy(name, c->p + c->i + 2, n - 2);
	if (!t || strcmp(t->name, name) != 0) {
		if (t)
			fail(c, "</%s> where <%s> of line %u is open", name, t->name, (unsigned)t->line);
		else
			fail(c, "</%s> closes nothing", name);
		return;
	}
	if (peek(c, n) != '>') {
		fail(c, "</%s is not ended", name);
		return;
	}
	if (c->n_blocks > 0 && c->html.depth <= c->blocks[c->n_blocks - 1].start.depth)
		fail(c, "</%s> closes an element that began before the directive of line %u", name, (unsigned)c->blocks[c->n_blocks - 1].line);
	if (t->is_post && !t->has_csrf)
		fail(c, "the form of line %u is sent by POST and lacks {%% csrf %%}", (unsigned)t->line);
	settle(c, is_one_of(INLINE_ELEMENTS, name) ? SIDE_INLINE : SIDE_BLOCK);
	lit(c, c->p + c->i, n + 1);
	skip(c, n + 1);
	c->html.depth--;
}

static void comment(struct compiler *c, const char *end, bool is_html)
{
	u32 line = c->line;

	while (c->i < c->n && !at(c, end)) {
		if (is_html && (at(c, "{{") || at(c, "{%"))) {
			fail(c, "an expression or directive in an HTML comment");
			return;
		}
		skip(c, 1);
	}
	if (c->i == c->n) {
		c->line = line;
		fail(c, "a comment without end");
	}
	skip(c, strlen(end));
}

static void text_step(struct compiler *c)
{
	enum content k = content(c);
	char ch = peek(c, 0);

	if (is_space(ch) && k != CONTENT_KEPT && k != CONTENT_TEXT_ONLY) {
		if (ch == '\n' || c->gap == GAP_NONE)
			c->gap = ch == '\n' ? GAP_LINE : GAP_SPACE;
		skip(c, 1);
	} else if (ch == '<' && peek(c, 1) == '/') {
		close_tag(c);
	} else if (k == CONTENT_JSON || k == CONTENT_NOTHING) {
		fail(c, "a script with text in it");
	} else if (ch == '<' && k == CONTENT_TEXT_ONLY) {
		fail(c, "an element where only text can be");
	} else if (at(c, "<!--")) {
		comment(c, "-->", true);
	} else if (at(c, "<!doctype html>")) {
		settle(c, SIDE_BLOCK);
		lit(c, c->p + c->i, 15);
		skip(c, 15);
	} else if (ch == '<' && isalpha((unsigned char)peek(c, 1))) {
		open_tag(c);
	} else if (ch == '<') {
		fail(c, "a bare '<': write &lt;");
	} else {
		settle(c, SIDE_TEXT);
		lit(c, &ch, 1);
		skip(c, 1);
	}
}

/* ---- attributes ---- */

static void begin_attr(struct compiler *c, const char *name)
{
	struct tag *t = &c->tag;

	t->kind = is_one_of(URL_ATTRS, name) ? ATTR_URL : ATTR_PLAIN;
	if (strcmp(t->name, "meta") == 0 && strcmp(name, "content") == 0 && t->is_refresh)
		t->kind = ATTR_REFRESH;
	t->value[0] = '\0';
	t->has_expr = false;
	t->scheme[0] = '\0';
	c->html.url = URL_START;
	if ((name[0] == 'o' || name[0] == 'O') && (name[1] == 'n' || name[1] == 'N'))
		fail(c, "%s: events are the business of app.js", name);
	if (is_one_of("style srcdoc srcset", name))
		fail(c, "%s has no place in our pages", name);
	for (u32 i = 0; i < t->n_seen; i++)
		if (strcmp(t->seen[i], name) == 0)
			fail(c, "%s is given twice", name);
	if (c->n_blocks == t->blocks && t->n_seen < ATTRS_MAX)
		memcpy(t->seen[t->n_seen++], name, NAME_CAP);
}

static void end_attr(struct compiler *c)
{
	struct tag *t = &c->tag;
	const char *a = t->attr, *v = t->value;
	bool is_sure = c->n_blocks == t->blocks, is_given = t->has_expr || v[0];

	if (is_sure) {
		t->has_alt |= strcmp(a, "alt") == 0;
		t->has_for |= strcmp(a, "for") == 0 && is_given;
		t->has_type |= strcmp(a, "type") == 0 && is_given;
		t->has_lang |= strcmp(a, "lang") == 0 && is_given;
		t->has_src |= strcmp(a, "src") == 0 && is_given;
		t->is_named_svg |= (strcmp(a, "aria-hidden") == 0 && strcmp(v, "true") == 0) || (strcmp(a, "role") == 0 && strcmp(v, "img") == 0);
	}
	if (strcmp(t->name, "script") == 0 && strcmp(a, "type") == 0) {
		if (t->has_expr || (strcmp(v, "application/json") != 0 && strcmp(v, "module") != 0))
			fail(c, "scripts are of type application/json or module");
		t->is_json = strcmp(v, "application/json") == 0;
	}
	if (strcmp(t->name, "form") == 0 && strcmp(a, "method") == 0) {
		if (t->has_expr || !is_sure || (strcmp(v, "post") != 0 && strcmp(v, "get") != 0))
			fail(c, "a form's method is get or post, always");
		t->is_post = strcmp(v, "post") == 0;
	}
	if (strcmp(a, "formmethod") == 0)
		fail(c, "formmethod: the form says the method");
	if (strcmp(t->name, "meta") == 0 && strcmp(a, "http-equiv") == 0)
		t->is_refresh = true;
	c->html.place = GLUED;
}

static void value_literal(struct compiler *c, char ch)
{
	struct tag *t = &c->tag;
	size_t n = strlen(t->value), m = strlen(t->scheme);

	if (n + 1 < sizeof(t->value)) {
		t->value[n] = ch;
		t->value[n + 1] = '\0';
	}
	lit(c, &ch, 1);
	if (t->kind == ATTR_REFRESH && t->has_expr)
		fail(c, "nothing may follow the URL of a refresh");
	if (t->kind != ATTR_URL || c->html.url == URL_INSIDE)
		return;
	if (strchr("/?#", ch) || (ch == '&' && c->html.url == URL_EXPR)) {
		c->html.url = URL_INSIDE;
	} else if (c->html.url == URL_EXPR) {
		fail(c, "behind an expression a URL goes on with '/', '?', '&' or '#'");
	} else if (ch == ':') {
		if (!is_url_scheme(t->scheme))
			fail(c, "%s: is no scheme of our links", t->scheme);
		c->html.url = URL_INSIDE;
	} else if (ch == '&' || is_space(ch) || m + 1 == sizeof(t->scheme)) {
		fail(c, "a strange beginning of a URL");
	} else {
		t->scheme[m] = ch;
		t->scheme[m + 1] = '\0';
		c->html.url = URL_SCHEME;
	}
}

static void attribute(struct compiler *c)
{
	char name[NAME_CAP] = "";
	size_t n = 0;

	while (is_name_char(peek(c, n)))
		n++;
	if (n == 0 || n >= NAME_CAP) {
		fail(c, at(c, "{{") ? "an expression in the name of an attribute" : "no name of an attribute: '%.10s'", c->p + c->i);
		return;
	}
	memcpy(name, c->p + c->i, n);
	memcpy(c->tag.attr, name, sizeof(name));
	begin_attr(c, name);
	lit(c, " ", 1);
	lit(c, name, n);
	skip(c, n);
	if (at(c, "{{")) {
		fail(c, "an expression in the name of an attribute");
	} else if (peek(c, 0) != '=') {
		end_attr(c);
	} else if (peek(c, 1) == '"' || peek(c, 1) == '\'') {
		lit(c, "=\"", 2);
		c->html.place = VALUE;
		c->html.value = ++c->serial;
		c->tag.quote = peek(c, 1);
		skip(c, 2);
	} else {
		lit(c, "=", 1);
		skip(c, 1);
		/* `{% if x %} name=value{% end %}`: the value ends with the branch */
		for (n = 0; c->i < c->n && !is_space(peek(c, 0)) && peek(c, 0) != '>' && !at(c, "/>") && !at(c, "{% e"); n++) {
			if (at(c, "{{") || at(c, "{%")) {
				fail(c, "an expression or directive in an unquoted value");
				return;
			}
			if (strchr("\"'=<`", peek(c, 0))) {
				fail(c, "'%c' in an unquoted value", peek(c, 0));
				return;
			}
			value_literal(c, peek(c, 0));
			skip(c, 1);
		}
		if (n == 0)
			fail(c, "%s has no value", name);
		end_attr(c);
	}
}

static void tag_step(struct compiler *c)
{
	char ch = peek(c, 0);

	if (is_space(ch)) {
		c->html.place = TAG;
		skip(c, 1);
	} else if (ch == '>') {
		skip(c, 1);
		finish_tag(c, false);
	} else if (at(c, "/>")) {
		skip(c, 2);
		finish_tag(c, true);
	} else if (c->html.place == GLUED) {
		fail(c, "white space is needed before '%.10s'", c->p + c->i);
	} else {
		attribute(c);
	}
}

static void value_step(struct compiler *c)
{
	char ch = peek(c, 0);

	if (ch == c->tag.quote) {
		lit(c, "\"", 1);
		end_attr(c);
	} else if (ch == '"' || ch == '<') {
		fail(c, "'%c' in a value: write %s", ch, ch == '<' ? "&lt;" : "&quot;");
	} else {
		value_literal(c, ch);
	}
	skip(c, 1);
}

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
		fail(c, "no %s follows", end);
		return false;
	}
	for (from = c->i; from < i && is_space(c->p[from]); from++)
		;
	for (to = i; to > from && is_space(c->p[to - 1]); to--)
		;
	if (to - from >= CODE_CAP) {
		fail(c, "longer than %u characters", CODE_CAP);
		return false;
	}
	for (i = from; i < to; i++)
		out[i - from] = is_space(c->p[i]) ? ' ' : c->p[i];
	out[to - from] = '\0';
	skip(c, to - c->i);
	while (!at(c, end))
		skip(c, 1);
	skip(c, 2);
	if (strlen(out) != to - from || memchr(out, '\\', to - from) == out + (to - from) - 1) {
		fail(c, "a NUL or a dangling \\ in an expression");
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
		fail(c, *s ? "this is not an expression: %.100s" : "an empty expression", s);
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
	bool is_text = c->html.place == TEXT && content(c) == CONTENT_NORMAL;
	bool is_url = c->html.place == VALUE && c->tag.kind != ATTR_PLAIN;
	size_t n = args ? (size_t)(args - filter) : strlen(filter);

	while (n > 0 && is_space(filter[n - 1]))
		n--;
	if (n == 0 || n >= sizeof(name)) {
		fail(c, "no name of a filter: %.40s", filter);
		return;
	}
	memcpy(name, filter, n);
	if (args) {
		n = strlen(args);
		char *end = find_outside(args + 1, ')');
		if (args[n - 1] != ')' || (end && *end && end != args + n - 1)) {
			fail(c, "the arguments of %s do not end", name);
			return;
		}
		args[n - 1] = '\0';
		args = trim(args + 1);
	}
	if (strcmp(name, "json") == 0) {
		if (c->html.place != TEXT || content(c) != CONTENT_JSON)
			fail(c, "json is for <script type=\"application/json\">");
	} else if (strcmp(name, "encoded") == 0) {
		if (!is_url || c->html.url != URL_INSIDE)
			fail(c, "encoded is for a URL, behind its first '/', '?' or '#'");
		else
			code(c, "html_url_encoded(o, %s);", value);
		return;
	} else if (is_url) {
		fail(c, "%s is no filter for URLs", name);
	} else if (is_one_of(markup_filters, name)) {
		if (!is_text)
			fail(c, "%s makes an element, which cannot be here", name);
	} else if (!is_one_of(text_filters, name)) {
		fail(c, "no such filter: %s", name);
	} else if (content(c) == CONTENT_JSON) {
		fail(c, "only the filter json can be here");
	}
	if (strcmp(name, "ago") == 0 && !args)
		code(c, "html_ago(o, %s, page->now);", value);
	else if (args && *args)
		code(c, "html_%s(o, %s, %s);", name, value, args);
	else
		code(c, "html_%s(o, %s);", name, value);
}

static void expression(struct compiler *c)
{
	static char buf[CODE_CAP];

	skip(c, 2);
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
		if (content(c) == CONTENT_NOTHING || (content(c) == CONTENT_JSON && !filter)) {
			fail(c, "an expression in a script");
			return;
		}
		settle(c, SIDE_TEXT);
	} else if (c->html.place != VALUE) {
		fail(c, "an expression in a tag, outside a quoted value");
		return;
	}
	c->is_begun = true;
	bool is_url = c->html.place == VALUE && c->tag.kind != ATTR_PLAIN;
	if (c->html.place == VALUE && c->tag.kind == ATTR_REFRESH) {
		size_t n = strlen(c->tag.value);
		if (c->tag.has_expr || n < 5 || memcmp(c->tag.value + n - 5, ";url=", 5) != 0 || strspn(c->tag.value, "0123456789") != n - 5)
			fail(c, "a refresh is written content=\"0;url={{ … }}\"");
	}
	if (filter) {
		filtered(c, value, filter);
	} else if (!is_url) {
		code(c, "html_text(o, %s);", value);
	} else if (c->html.url == URL_START) {
		code(c, "html_url(o, %s);", value);
		c->html.url = URL_EXPR;
	} else {
		code(c, "html_url_part(o, %s);", value);
		if (c->html.url == URL_SCHEME)
			snprintf(c->tag.scheme, sizeof(c->tag.scheme), "an expression");
	}
	c->tag.has_expr = true;
}

/* ---- directives ---- */

static struct block *push(struct compiler *c, enum block_kind kind)
{
	if (c->n_blocks == BLOCKS_MAX) {
		fail(c, "directives too deep in each other");
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
			fail(c, "<%s> of line %u is not closed in the block of line %u", c->stack[end->depth - 1].name,
			     (unsigned)c->stack[end->depth - 1].line, (unsigned)b->line);
		else
			fail(c, "the block of line %u begins and ends at different places of the HTML", (unsigned)b->line);
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
		fail(c, "no if this could belong to");
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
		fail(c, "an end of nothing");
		return;
	}
	merge(c, b, &c->html);
	if (!b->has_else)
		merge(c, b, &b->start);
	c->html = b->merged;
	if (b->kind == BLOCK_IN)
		code(c, "template_%s }", b->code);
	else
		code(c, "}");
	c->n_blocks--;
}

/* `name(args)` → `name<suffix>(o, args);` */
static bool call_of(struct compiler *c, char *s, const char *suffix, char out[static CODE_CAP])
{
	char *args = strchr(s, '(');
	size_t n = strlen(s);

	if (!args || s[n - 1] != ')' || args == s) {
		fail(c, "this is no call: %.100s", s);
		return false;
	}
	for (char *k = s; k < args; k++)
		if (!is_ident_char(*k)) {
			fail(c, "this is no name of a template: %.100s", s);
			return false;
		}
	s[n - 1] = '\0';
	*args = '\0';
	args = trim(args + 1);
	char *end = find_outside(args, ';');
	if (!end || *end || strchr(args, '{') != NULL) {
		fail(c, "these are no arguments: %.100s", args);
		return false;
	}
	int len = snprintf(out, CODE_CAP, "%s%s(o%s%s);", s, suffix, *args ? ", " : "", args);
	if (len < 0 || len >= (int)CODE_CAP) {
		fail(c, "the arguments are too long");
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

static void end_template(struct compiler *c)
{
	static char call[CODE_CAP];
	char *buf = call;

	if (!c->is_inside)
		return;
	if (c->n_blocks > 0) {
		c->line = c->blocks[c->n_blocks - 1].line;
		fail(c, "a block without {%% end %%}");
	} else if (c->html.depth > 0) {
		c->line = top(c)->line;
		fail(c, "<%s> is not closed", top(c)->name);
	} else if (c->html.place != TEXT) {
		fail(c, "the template ends in a tag");
	}
	settle(c, SIDE_EDGE);
	flush(c);
	if (c->layout[0]) {
		static char copy[CODE_CAP];
		memcpy(copy, c->layout, sizeof(copy));
		if (call_of(c, copy, "_end", buf))
			code(c, "template_%s", buf);
	}
	strbuf_puts(c->c, "}\n");
	c->is_inside = false;
}

static void begin_template(struct compiler *c, char *s)
{
	char *args = strchr(s, '(');
	size_t n = strlen(s);

	end_template(c);
	if (!args || s[n - 1] != ')' || args == s || (size_t)(args - s) >= NAME_CAP) {
		fail(c, "a template is written name(parameters)");
		return;
	}
	for (char *k = s; k < args; k++)
		if (!is_ident_char(*k)) {
			fail(c, "no name of a template: %.40s", s);
			return;
		}
	s[n - 1] = '\0';
	*args = '\0';
	args = trim(args + 1);
	if (strpbrk(args, ";{}\"'/#")) {
		fail(c, "these are no parameters: %.100s", args);
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
		fail(c, "a loop in a tag or a URL");
		return;
	}
	if (!head_end || !*head_end) {
		fail(c, "a loop is written `T *x : array, n` or `T i < n`");
		return;
	}
	char *end = head_end, *start;
	while (end > s && is_space(end[-1]))
		end--;
	for (start = end; start > s && is_ident_char(start[-1]); start--)
		;
	if (start == end || start == s || (size_t)(end - start) >= sizeof(name)) {
		fail(c, "a loop's variable has a type and a name");
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
			fail(c, "a loop over an array is written `T *x : array, n`");
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
		code(c, "for (size_t %s_index = 0; %s_index < (size_t)(%s); %s_index++) { %s = &(%s)[%s_index]; (void)%s;", name, name, count, name,
		     trim(s), rest, name, name);
	else
		code(c, "for (%s = 0; %s < (%s); %s++) {", trim(s), name, count, name);
}

static void csrf(struct compiler *c, char *s)
{
	struct element *form = NULL;

	for (u32 i = 0; i < c->html.depth; i++)
		if (strcmp(c->stack[i].name, "form") == 0)
			form = &c->stack[i];
	if (!form || !form->is_post)
		fail(c, "{%% csrf %%} outside of a form that is sent by POST");
	else if (form->blocks != c->n_blocks)
		fail(c, "{%% csrf %%} must not depend on anything");
	else
		form->has_csrf = true;
	settle(c, SIDE_BLOCK);
	lit(c, "<input type=hidden name=_csrf value=\"", 37);
	if (*s && !check_expr(c, s))
		return;
	code(c, "html_text(o, %s);", *s ? s : "page->csrf");
	lit(c, "\">", 2);
}

static void directive(struct compiler *c)
{
	static char buf[CODE_CAP], call[CODE_CAP];
	char word[16] = "";
	size_t n = 0;
	struct block *b;
	u32 line = c->line;

	skip(c, 2);
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
			fail(c, "includes are written \"path\", before the templates");
		strbuf_printf(c->c, "#include %s\n", rest);
		return;
	}
	if (strcmp(word, "template") == 0) {
		begin_template(c, rest);
		return;
	}
	if (!c->is_inside) {
		fail(c, "{%% %s %%} outside of a template", word);
		return;
	}
	enum content k = content(c);
	if (k == CONTENT_JSON || k == CONTENT_NOTHING) {
		fail(c, "a directive in a script");
		return;
	}
	bool is_flow = is_one_of("if elif else end for empty let", word);
	if (!is_flow && (c->html.place != TEXT || k != CONTENT_NORMAL)) {
		fail(c, "{%% %s %%} where no element can be", word);
		return;
	}
	if (c->html.place == TEXT && k == CONTENT_NORMAL)
		settle(c, SIDE_DIRECTIVE);
	bool was_begun = c->is_begun;
	c->is_begun = true;

	if (strcmp(word, "if") == 0) {
		if (check_expr(c, rest) && push(c, BLOCK_IF))
			code(c, "if (%s) {", rest);
	} else if (strcmp(word, "elif") == 0) {
		if (check_expr(c, rest)) {
			branch(c, false);
			code(c, "} else if (%s) {", rest);
		}
	} else if (strcmp(word, "else") == 0 && !*rest) {
		branch(c, true);
		code(c, "} else {");
	} else if (strcmp(word, "for") == 0) {
		loop(c, rest);
	} else if (strcmp(word, "empty") == 0 && !*rest) {
		b = c->n_blocks > 0 ? &c->blocks[c->n_blocks - 1] : NULL;
		if (!b || b->kind != BLOCK_FOR || b->has_else) {
			fail(c, "no loop this could belong to");
			return;
		}
		merge(c, b, &c->html);
		code(c, "} if ((%s) == 0) {", b->code);
		b->has_else = true;
		merge(c, b, &b->start);
		c->html = b->start;
	} else if (strcmp(word, "end") == 0 && !*rest) {
		end_block(c);
	} else if (strcmp(word, "let") == 0) {
		char *is = find_outside(rest, '=');
		char *end = find_outside(rest, ';');
		if (!is || !*is || !end || *end || strchr(rest, '{'))
			fail(c, "a variable is written `let T x = expr`");
		code(c, "%s;", rest);
	} else if (strcmp(word, "call") == 0) {
		if (call_of(c, rest, "", call))
			code(c, "template_%s", call);
	} else if (strcmp(word, "csrf") == 0) {
		csrf(c, rest);
	} else if (strcmp(word, "layout") == 0) {
		if (was_begun || c->has_content || c->layout[0])
			fail(c, "{%% layout %%} is the first thing of a template that is no layout itself");
		snprintf(c->layout, sizeof(c->layout), "%s", rest);
		if (call_of(c, rest, "_begin", call))
			code(c, "template_%s", call);
		c->side = SIDE_EDGE;
	} else if (strcmp(word, "in") == 0) {
		static char copy[CODE_CAP];
		memcpy(copy, rest, strlen(rest) + 1);
		if (!call_of(c, rest, "_begin", call) || !(b = push(c, BLOCK_IN)))
			return;
		b->has_else = true;
		code(c, "{ template_%s", call);
		if (call_of(c, copy, "_end", call))
			memcpy(b->code, call, sizeof(call));
		c->side = SIDE_EDGE;
	} else if (strcmp(word, "content") == 0 && !*rest) {
		if (c->n_blocks > 0 || c->is_second_half)
			fail(c, "{%% content %%} is there once, and always");
		flush(c);
		strbuf_puts(c->c, "}\n");
		declare(c, "_end");
		c->is_second_half = true;
		c->side = SIDE_EDGE;
	} else {
		fail(c, "no such directive: {%% %s %%}", word);
	}
	if (c->failed && c->e->line > line)
		c->e->line = line;
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
		if (at(c, "{#")) {
			comment(c, "#}", false);
		} else if (at(c, "{%")) {
			directive(c);
		} else if (!c->is_inside) {
			if (!is_space(peek(c, 0)))
				fail(c, "a file begins with {%% template name(parameters) %%}");
			skip(c, 1);
		} else if (at(c, "{{")) {
			expression(c);
		} else if (c->html.place == TEXT) {
			text_step(c);
		} else if (c->html.place == VALUE) {
			value_step(c);
		} else {
			tag_step(c);
		}
	}
	if (!c->failed)
		end_template(c);
	bool failed = c->failed || !strbuf_ok(out) || !strbuf_ok(prototypes) || !strbuf_ok(&c->lit);
	if (c->failed && c->lit.failed)
		snprintf(e->text, sizeof(e->text), "out of memory");
	strbuf_free(&c->lit);
	free(c);
	return failed ? -1 : 0;
}
