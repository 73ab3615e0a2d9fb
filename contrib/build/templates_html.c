#include "contrib/build/templates_int.h"

#define VOID_ELEMENTS "area br col hr img input link meta source track wbr"
#define SVG_LEAVES "path circle ellipse rect line polyline polygon use stop"
#define INLINE_ELEMENTS "a abbr b bdi br button cite code em i img input kbd label mark q s samp select small span strong sub sup svg time u var wbr"
#define ENDS_P "address article aside blockquote details dialog div dl fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 header hgroup hr main nav ol p pre section table ul"
#define REFUSED "style iframe object embed base frame frameset applet plaintext xmp noembed noframes template portal math animate animatemotion animatetransform set foreignobject"
#define URL_ATTRS "href src action formaction poster cite data ping background xlink:href manifest"

static bool is_url_scheme(const char *s)
{
	return tc_is_one_of("https http mailto firezone-fd0020211111", s);
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

/* Parsers do not tell cases apart, so we compare lower ones; SVG is the only one to write others. Was there one? */
static bool lower(char *name)
{
	bool was_upper = false;

	for (; *name; name++)
		if (isupper((unsigned char)*name)) {
			*name = (char)tolower((unsigned char)*name);
			was_upper = true;
		}
	return was_upper;
}

static bool is_within(const struct compiler *c, const char *names)
{
	for (u32 i = 0; i < c->html.depth; i++)
		if (tc_is_one_of(names, c->stack[i].name))
			return true;
	return false;
}

static void check_place(struct compiler *c, const char *name)
{
	struct element *t = tc_top(c);

	if (tc_is_one_of(REFUSED, name))
		tc_fail(c, "<%s> has no place in our pages", name);
	if (tc_is_one_of("script", name) && c->tag.is_json)
		return;
	for (size_t i = 0; t && i < ARRAY_LEN(parents); i++)
		if (strcmp(parents[i].child, name) == 0 && !tc_is_one_of(parents[i].parents, t->name))
			tc_fail(c, "<%s> cannot be in <%s>", name, t->name);
	for (size_t i = 0; t && i < ARRAY_LEN(only); i++)
		if (strcmp(only[i].parent, t->name) == 0 && !tc_is_one_of(only[i].children, name))
			tc_fail(c, "<%s> cannot be in <%s>", name, t->name);
	if (tc_is_one_of(ENDS_P, name) && is_within(c, "p"))
		tc_fail(c, "<%s> would end the <p> it is in", name);
	if (strcmp(name, "form") == 0 && is_within(c, "form"))
		tc_fail(c, "a form in a form");
	if (tc_is_one_of("a button input select textarea label", name) && is_within(c, "a button") && strcmp(name, "label") != 0)
		tc_fail(c, "<%s> cannot be in a link or a button", name);
	if (strcmp(name, "h1") == 0 && (++c->h1 > 1 || c->layout[0]))
		tc_fail(c, c->layout[0] ? "the layout has the <h1>" : "a second <h1>");
}

static void open_tag(struct compiler *c)
{
	size_t n = 1;

	while (is_name_char(tc_peek(c, n)))
		n++;
	if (n > NAME_CAP) {
		tc_fail(c, "the name of this element is too long");
		return;
	}
	c->tag = (struct tag){ .blocks = c->n_blocks };
	memcpy(c->tag.name, c->p + c->i + 1, n - 1);
	if (lower(c->tag.name) && !is_within(c, "svg"))
		tc_fail(c, "<%s> is written in lower case", c->tag.name);
	tc_settle(c, tc_is_one_of(INLINE_ELEMENTS, c->tag.name) ? SIDE_INLINE : SIDE_BLOCK);
	tc_lit(c, c->p + c->i, n);
	tc_skip(c, n);
	if (tc_at(c, "{{"))
		tc_fail(c, "an expression in the name of an element");
	c->html.place = GLUED;
	c->html.tag = ++c->serial;
}

/* The tag's '>' is reached. */
static void finish_tag(struct compiler *c, bool is_closed)
{
	struct tag *t = &c->tag;

	check_place(c, t->name);
	if (strcmp(t->name, "img") == 0 && !t->has_alt)
		tc_fail(c, "<img> without alt");
	if (strcmp(t->name, "label") == 0 && !t->has_for)
		tc_fail(c, "<label> without for");
	if (strcmp(t->name, "button") == 0 && !t->has_type)
		tc_fail(c, "<button> without type");
	if (strcmp(t->name, "html") == 0 && !t->has_lang)
		tc_fail(c, "<html> without lang");
	if (strcmp(t->name, "svg") == 0 && !t->is_named_svg)
		tc_fail(c, "<svg> neither aria-hidden nor role=img; role=group where links are in it");
	if (strcmp(t->name, "script") == 0 && !t->has_src && !t->is_json)
		tc_fail(c, "a script is a file (src) or JSON");
	c->html.place = TEXT;
	if (is_closed && !tc_is_one_of(VOID_ELEMENTS " " SVG_LEAVES, t->name))
		tc_fail(c, "<%s/>: only void elements and those of SVG end so", t->name);
	tc_lit(c, is_closed && !tc_is_one_of(VOID_ELEMENTS, t->name) ? "/>" : ">", is_closed && !tc_is_one_of(VOID_ELEMENTS, t->name) ? 2 : 1);
	if (is_closed || tc_is_one_of(VOID_ELEMENTS, t->name))
		return;
	if (c->html.depth == DEPTH_MAX) {
		tc_fail(c, "elements too deep in each other");
		return;
	}
	struct element *e = &c->stack[c->html.depth++];
	*e = (struct element){ .line = c->line, .blocks = c->n_blocks, .is_post = t->is_post };
	memcpy(e->name, t->name, sizeof(e->name));
	e->content = strcmp(t->name, "pre") == 0	      ? CONTENT_KEPT
		     : tc_is_one_of("textarea title", t->name) ? CONTENT_TEXT_ONLY
		     : strcmp(t->name, "script") != 0	      ? CONTENT_NORMAL
		     : t->is_json			      ? CONTENT_JSON
							      : CONTENT_NOTHING;
	/* the parser drops a line end right behind these */
	if (tc_is_one_of("textarea pre", t->name))
		tc_lit(c, "\n", 1);
}

static void close_tag(struct compiler *c)
{
	char name[NAME_CAP] = "";
	size_t n = 2;
	struct element *t = tc_top(c);

	while (is_name_char(tc_peek(c, n)))
		n++;
	if (n - 2 < sizeof(name))
		memcpy(name, c->p + c->i + 2, n - 2);
	lower(name);
	if (!t || strcmp(t->name, name) != 0) {
		if (t)
			tc_fail(c, "</%s> where <%s> of line %u is open", name, t->name, (unsigned)t->line);
		else
			tc_fail(c, "</%s> closes nothing", name);
		return;
	}
	if (tc_peek(c, n) != '>') {
		tc_fail(c, "</%s is not ended", name);
		return;
	}
	if (c->n_blocks > 0 && c->html.depth <= c->blocks[c->n_blocks - 1].start.depth)
		tc_fail(c, "</%s> closes an element that began before the directive of line %u", name, (unsigned)c->blocks[c->n_blocks - 1].line);
	if (t->is_post && !t->has_csrf)
		tc_fail(c, "the form of line %u is sent by POST and lacks {%% csrf %%}", (unsigned)t->line);
	tc_settle(c, tc_is_one_of(INLINE_ELEMENTS, name) ? SIDE_INLINE : SIDE_BLOCK);
	tc_lit(c, c->p + c->i, n + 1);
	tc_skip(c, n + 1);
	c->html.depth--;
}

void tc_text(struct compiler *c)
{
	enum content k = tc_content(c);
	char ch = tc_peek(c, 0);

	if (is_space(ch) && k != CONTENT_KEPT && k != CONTENT_TEXT_ONLY) {
		if (ch == '\n' || c->gap == GAP_NONE)
			c->gap = ch == '\n' ? GAP_LINE : GAP_SPACE;
		tc_skip(c, 1);
	} else if (ch == '<' && tc_peek(c, 1) == '/') {
		close_tag(c);
	} else if (k == CONTENT_JSON || k == CONTENT_NOTHING) {
		tc_fail(c, "a script with text in it");
	} else if (ch == '<' && k == CONTENT_TEXT_ONLY) {
		tc_fail(c, "an element where only text can be");
	} else if (tc_at(c, "<!--")) {
		tc_comment(c, "-->", true);
	} else if (tc_at(c, "<!doctype html>")) {
		tc_settle(c, SIDE_BLOCK);
		tc_lit(c, c->p + c->i, 15);
		tc_skip(c, 15);
	} else if (ch == '<' && isalpha((unsigned char)tc_peek(c, 1))) {
		open_tag(c);
	} else if (ch == '<') {
		tc_fail(c, "a bare '<': write &lt;");
	} else {
		tc_settle(c, SIDE_TEXT);
		tc_lit(c, &ch, 1);
		tc_skip(c, 1);
	}
}

/* ---- attributes ---- */

static void begin_attr(struct compiler *c, const char *name)
{
	struct tag *t = &c->tag;

	t->kind = tc_is_one_of(URL_ATTRS, name) ? ATTR_URL : ATTR_PLAIN;
	if (strcmp(t->name, "meta") == 0 && strcmp(name, "content") == 0 && t->is_refresh)
		t->kind = ATTR_REFRESH;
	t->value[0] = '\0';
	t->has_expr = false;
	t->scheme[0] = '\0';
	c->html.url = URL_START;
	if (name[0] == 'o' && name[1] == 'n')
		tc_fail(c, "%s: events are the business of app.js", name);
	if (tc_is_one_of("style srcdoc srcset", name))
		tc_fail(c, "%s has no place in our pages", name);
	for (u32 i = 0; i < t->n_seen; i++)
		if (strcmp(t->seen[i], name) == 0)
			tc_fail(c, "%s is given twice", name);
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
		t->is_named_svg |= !t->has_expr && ((strcmp(a, "aria-hidden") == 0 && strcmp(v, "true") == 0) || (strcmp(a, "role") == 0 && (strcmp(v, "img") == 0 || strcmp(v, "group") == 0)));
	}
	if (strcmp(t->name, "script") == 0 && strcmp(a, "type") == 0) {
		if (!is_sure || t->has_expr || (strcmp(v, "application/json") != 0 && strcmp(v, "module") != 0))
			tc_fail(c, "scripts are of type application/json or module");
		t->is_json = strcmp(v, "application/json") == 0;
	}
	if (strcmp(t->name, "form") == 0 && strcmp(a, "method") == 0) {
		if (t->has_expr || !is_sure || (strcmp(v, "post") != 0 && strcmp(v, "get") != 0))
			tc_fail(c, "a form's method is get or post, always");
		t->is_post = strcmp(v, "post") == 0;
	}
	if (strcmp(a, "formmethod") == 0)
		tc_fail(c, "formmethod: the form says the method");
	if (strcmp(t->name, "meta") == 0 && strcmp(a, "http-equiv") == 0) {
		if (!is_sure || t->has_expr || strcmp(v, "refresh") != 0)
			tc_fail(c, "http-equiv is for refresh, always");
		if (t->has_content)
			tc_fail(c, "http-equiv comes first, then content");
		t->is_refresh = true;
	}
	t->has_content |= strcmp(a, "content") == 0;
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
	tc_lit(c, &ch, 1);
	if (t->kind == ATTR_REFRESH && t->has_expr)
		tc_fail(c, "nothing may follow the URL of a refresh");
	if (t->kind != ATTR_URL || c->html.url == URL_INSIDE)
		return;
	if (strchr("/?#", ch) || (ch == '&' && c->html.url == URL_EXPR)) {
		c->html.url = URL_INSIDE;
	} else if (c->html.url == URL_EXPR) {
		tc_fail(c, "behind an expression a URL goes on with '/', '?', '&' or '#'");
	} else if (ch == ':') {
		if (!is_url_scheme(t->scheme))
			tc_fail(c, "%s: is no scheme of our links", t->scheme);
		c->html.url = URL_INSIDE;
	} else if (ch == '&' || is_space(ch) || m + 1 == sizeof(t->scheme)) {
		tc_fail(c, "a strange beginning of a URL");
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

	while (is_name_char(tc_peek(c, n)))
		n++;
	if (n == 0 || n >= NAME_CAP) {
		tc_fail(c, tc_at(c, "{{") ? "an expression in the name of an attribute" : "no name of an attribute: '%.*s'", tc_shown(c), c->p + c->i);
		return;
	}
	memcpy(name, c->p + c->i, n);
	if (lower(name) && !is_within(c, "svg") && strcmp(c->tag.name, "svg") != 0)
		tc_fail(c, "%s is written in lower case", name);
	memcpy(c->tag.attr, name, sizeof(name));
	begin_attr(c, name);
	tc_lit(c, " ", 1);
	tc_lit(c, c->p + c->i, n);
	tc_skip(c, n);
	if (tc_at(c, "{{")) {
		tc_fail(c, "an expression in the name of an attribute");
	} else if (tc_peek(c, 0) != '=') {
		end_attr(c);
	} else if (tc_peek(c, 1) == '"' || tc_peek(c, 1) == '\'') {
		tc_lit(c, "=\"", 2);
		c->html.place = VALUE;
		c->html.value = ++c->serial;
		c->tag.quote = tc_peek(c, 1);
		tc_skip(c, 2);
	} else {
		tc_lit(c, "=", 1);
		tc_skip(c, 1);
		/* `{% if x %} name=value{% end %}`: the value ends with the branch */
		for (n = 0; c->i < c->n && !is_space(tc_peek(c, 0)) && tc_peek(c, 0) != '>' && !tc_at(c, "/>") && !tc_at(c, "{% e"); n++) {
			if (tc_at(c, "{{") || tc_at(c, "{%")) {
				tc_fail(c, "an expression or directive in an unquoted value");
				return;
			}
			if (strchr("\"'=<`", tc_peek(c, 0))) {
				tc_fail(c, "'%c' in an unquoted value", tc_peek(c, 0));
				return;
			}
			value_literal(c, tc_peek(c, 0));
			tc_skip(c, 1);
		}
		if (n == 0)
			tc_fail(c, "%s has no value", name);
		end_attr(c);
	}
}

void tc_tag(struct compiler *c)
{
	char ch = tc_peek(c, 0);

	if (is_space(ch)) {
		c->html.place = TAG;
		tc_skip(c, 1);
	} else if (ch == '>') {
		tc_skip(c, 1);
		finish_tag(c, false);
	} else if (tc_at(c, "/>")) {
		tc_skip(c, 2);
		finish_tag(c, true);
	} else if (c->html.place == GLUED) {
		tc_fail(c, "white space is needed before '%.*s'", tc_shown(c), c->p + c->i);
	} else {
		attribute(c);
	}
}

void tc_value(struct compiler *c)
{
	char ch = tc_peek(c, 0);

	if (ch == c->tag.quote) {
		tc_lit(c, "\"", 1);
		end_attr(c);
	} else if (ch == '"' || ch == '<') {
		tc_fail(c, "'%c' in a value: write %s", ch, ch == '<' ? "&lt;" : "&quot;");
	} else {
		value_literal(c, ch);
	}
	tc_skip(c, 1);
}
