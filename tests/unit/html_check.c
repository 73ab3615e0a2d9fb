#include "tests/unit/html_check.h"

#include "applets/portal/web/html.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DEPTH_MAX 128u
#define ATTRS_MAX 32u
#define IDS_MAX 4096u
#define PAGE_BUDGET (60u * 1024u) /* admin-ui.md */

struct attr {
	struct span name, value;
};

struct token {
	bool is_tag, is_end, is_closed;
	struct span name, text;
	struct attr attr[ATTRS_MAX];
	u32 n_attrs;
	bool is_broken;
};

struct reader {
	struct span left;
	char raw[16]; /* in a text-only element: its name */
};

static bool is_space(u8 c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static bool is(struct span s, const char *word)
{
	return s.n == strlen(word) && strncasecmp((const char *)s.p, word, s.n) == 0;
}

static void advance(struct reader *r, size_t n)
{
	r->left = SPAN(r->left.p + n, r->left.n - n);
}

static struct span take_until(struct reader *r, const char *stop)
{
	size_t n = 0;

	while (n < r->left.n && !strchr(stop, r->left.p[n]))
		n++;
	struct span s = SPAN(r->left.p, n);
	advance(r, n);
	return s;
}

static void read_attrs(struct reader *r, struct token *t)
{
	for (;;) {
		while (r->left.n > 0 && is_space(r->left.p[0]))
			advance(r, 1);
		if (r->left.n == 0) {
			t->is_broken = true;
			return;
		}
		if (r->left.p[0] == '>' || (r->left.n > 1 && r->left.p[0] == '/' && r->left.p[1] == '>')) {
			t->is_closed = r->left.p[0] == '/';
			advance(r, t->is_closed ? 2 : 1);
			return;
		}
		struct attr a = { .name = take_until(r, " \t\n\r\f=>/") };
		if (a.name.n == 0 || t->n_attrs == ATTRS_MAX) {
			t->is_broken = true;
			advance(r, 1);
			continue;
		}
		if (r->left.n > 0 && r->left.p[0] == '=') {
			advance(r, 1);
			char quote[2] = { r->left.n > 0 ? (char)r->left.p[0] : ' ', 0 };
			if (*quote == '"' || *quote == '\'') {
				advance(r, 1);
				a.value = take_until(r, quote);
				if (r->left.n == 0)
					t->is_broken = true;
				else
					advance(r, 1);
				if (r->left.n > 0 && !strchr(" \t\n>/", r->left.p[0]))
					t->is_broken = true;
			} else {
				a.value = take_until(r, " \t\n\r\f>");
			}
		}
		t->attr[t->n_attrs++] = a;
	}
}

static bool next(struct reader *r, struct token *t)
{
	*t = (struct token){ 0 };
	if (r->left.n == 0)
		return false;
	if (r->raw[0]) {
		size_t n = 0, len = strlen(r->raw);
		while (n < r->left.n &&
		       !(r->left.n - n > len + 2 && r->left.p[n] == '<' && r->left.p[n + 1] == '/' &&
			 strncasecmp((const char *)r->left.p + n + 2, r->raw, len) == 0))
			n++;
		r->raw[0] = '\0';
		if (n > 0) {
			t->text = SPAN(r->left.p, n);
			advance(r, n);
			return true;
		}
	}
	if (r->left.p[0] != '<') {
		t->text = take_until(r, "<");
		return true;
	}
	advance(r, 1);
	t->is_tag = true;
	if (r->left.n > 0 && r->left.p[0] == '/') {
		t->is_end = true;
		advance(r, 1);
	}
	t->name = take_until(r, " \t\n\r\f>/");
	if (t->name.n == 0 || (t->name.p[0] == '!' && !is(t->name, "!doctype")))
		t->is_broken = true;
	read_attrs(r, t);
	if (!t->is_end && !t->is_closed && (is(t->name, "title") || is(t->name, "textarea") || is(t->name, "script")))
		snprintf(r->raw, sizeof(r->raw), "%.*s", (int)t->name.n, (const char *)t->name.p);
	return true;
}

void html_skeleton(struct span html, struct strbuf *out)
{
	struct reader r = { html, "" };
	struct token t;

	while (next(&r, &t)) {
		if (!t.is_tag)
			continue;
		strbuf_printf(out, "<%s%.*s", t.is_end ? "/" : "", (int)t.name.n, (const char *)t.name.p);
		for (u32 i = 0; i < t.n_attrs; i++)
			strbuf_printf(out, " %.*s", (int)t.attr[i].name.n, (const char *)t.attr[i].name.p);
		strbuf_puts(out, t.is_broken ? "!>" : ">");
	}
}

/* The entities that html_span() writes, and &amp; by hand. */
static void decode(struct span in, struct strbuf *out)
{
	static const struct {
		const char *entity, *text;
	} known[] = { { "&amp;", "&" }, { "&lt;", "<" }, { "&gt;", ">" }, { "&#34;", "\"" }, { "&#39;", "'" }, { "&quot;", "\"" } };

	for (size_t i = 0; i < in.n;) {
		size_t k = 0;
		while (k < ARRAY_LEN(known) && !(in.n - i >= strlen(known[k].entity) && memcmp(in.p + i, known[k].entity, strlen(known[k].entity)) == 0))
			k++;
		if (k < ARRAY_LEN(known)) {
			strbuf_puts(out, known[k].text);
			i += strlen(known[k].entity);
		} else {
			strbuf_putc(out, (char)in.p[i++]);
		}
	}
}

static const struct span *attribute(const struct token *t, const char *name)
{
	for (u32 i = 0; i < t->n_attrs; i++)
		if (is(t->attr[i].name, name))
			return &t->attr[i].value;
	return NULL;
}

bool html_attribute(struct span html, const char *name, u32 nth, const char *attr, struct strbuf *out)
{
	struct reader r = { html, "" };
	struct token t;

	while (next(&r, &t)) {
		if (!t.is_tag || t.is_end || !is(t.name, name) || nth-- > 0)
			continue;
		const struct span *v = attribute(&t, attr);
		if (v)
			decode(*v, out);
		return v != NULL;
	}
	return false;
}

static bool is_void(struct span name)
{
	static const char *const names[] = { "!doctype", "br", "hr", "img", "input", "link", "meta", "col", "wbr", "source" };

	for (u32 i = 0; i < ARRAY_LEN(names); i++)
		if (is(name, names[i]))
			return true;
	return false;
}

struct audit {
	struct span open[DEPTH_MAX];
	u32 depth;
	struct span id[IDS_MAX], ref[IDS_MAX];
	u32 n_ids, n_refs;
	u32 h1, main, title, level;
	u32 buttons; /* depth of the button or link whose name is looked for */
	char fault[256];
};

static void fault(struct audit *a, const char *what, struct span where)
{
	if (!a->fault[0])
		snprintf(a->fault, sizeof(a->fault), "%s: %.*s", what, (int)MIN(where.n, (size_t)120), (const char *)where.p);
}

static void add(struct span *list, u32 *n, struct span s)
{
	if (*n < IDS_MAX)
		list[(*n)++] = s;
}

static void references(struct audit *a, struct span ids)
{
	struct reader r = { ids, "" };

	while (r.left.n > 0) {
		struct span id = take_until(&r, " ");
		if (id.n > 0)
			add(a->ref, &a->n_refs, id);
		if (r.left.n > 0)
			advance(&r, 1);
	}
}

static void check_attrs(struct audit *a, const struct token *t)
{
	static const char *const refs[] = { "for", "aria-describedby", "aria-labelledby", "aria-controls", "data-copy" };
	static const char *const urls[] = { "href", "src", "action" };
	const struct span *v;

	for (u32 i = 0; i < t->n_attrs; i++) {
		for (u32 k = 0; k < i; k++)
			if (t->attr[i].name.n == t->attr[k].name.n && memcmp(t->attr[i].name.p, t->attr[k].name.p, t->attr[i].name.n) == 0)
				fault(a, "an attribute twice", t->attr[i].name);
		if (t->attr[i].name.n > 2 && strncasecmp((const char *)t->attr[i].name.p, "on", 2) == 0)
			fault(a, "an inline event", t->attr[i].name);
	}
	if (attribute(t, "style"))
		fault(a, "an inline style", t->name);
	if ((v = attribute(t, "id"))) {
		for (u32 i = 0; i < a->n_ids; i++)
			if (a->id[i].n == v->n && memcmp(a->id[i].p, v->p, v->n) == 0)
				fault(a, "an id twice", *v);
		add(a->id, &a->n_ids, *v);
	}
	for (u32 i = 0; i < ARRAY_LEN(refs); i++)
		if ((v = attribute(t, refs[i])))
			references(a, *v);
	for (u32 i = 0; i < ARRAY_LEN(urls); i++) {
		if (!(v = attribute(t, urls[i])))
			continue;
		struct strbuf b = { 0 };
		decode(*v, &b);
		if (!html_url_is_safe(strbuf_text(&b)))
			fault(a, "a URL that is not ours", *v);
		strbuf_free(&b);
		if (is(t->name, "a") && v->n > 1 && v->p[0] == '#')
			add(a->ref, &a->n_refs, SPAN(v->p + 1, v->n - 1));
	}
}

static void check_element(struct audit *a, const struct token *t)
{
	u32 level = t->name.n == 2 && (t->name.p[0] | 32) == 'h' && t->name.p[1] >= '1' && t->name.p[1] <= '6' ? t->name.p[1] - '0' : 0;
	const struct span *type = attribute(t, "type");

	if (is(t->name, "img") && !attribute(t, "alt"))
		fault(a, "an image without alt", t->name);
	if (level == 1)
		a->h1++;
	if (level > a->level + 1 && a->level > 0)
		fault(a, "a level of headings is left out", t->name);
	if (level)
		a->level = level;
	a->main += is(t->name, "main");
	a->title += is(t->name, "title");
	if ((is(t->name, "input") && !(type && is(*type, "hidden"))) || is(t->name, "select") || is(t->name, "textarea")) {
		const struct span *id = attribute(t, "id");
		if (!attribute(t, "aria-label") && !id)
			fault(a, "a control without label", t->name);
	}
}

static const char *examine(struct span html, bool is_page)
{
	static struct audit a;
	struct reader r = { html, "" };
	struct token t;

	memset(&a, 0, sizeof(a));
	while (next(&r, &t)) {
		if (!t.is_tag)
			continue;
		if (t.is_broken)
			fault(&a, "a broken tag", t.name);
		if (t.is_end) {
			if (a.depth == 0 || a.open[a.depth - 1].n != t.name.n || memcmp(a.open[a.depth - 1].p, t.name.p, t.name.n) != 0)
				fault(&a, "an end of what is not open", SPAN(t.name.p, MIN(html.n - (size_t)(t.name.p - html.p), (size_t)60)));
			else
				a.depth--;
			continue;
		}
		check_attrs(&a, &t);
		check_element(&a, &t);
		if (!is_void(t.name) && !t.is_closed && a.depth < DEPTH_MAX)
			a.open[a.depth++] = t.name;
	}
	if (a.depth > 0)
		fault(&a, "not closed", a.open[a.depth - 1]);
	for (u32 i = 0; i < a.n_refs; i++) {
		u32 k = 0;
		while (k < a.n_ids && !(a.id[k].n == a.ref[i].n && memcmp(a.id[k].p, a.ref[i].p, a.ref[i].n) == 0))
			k++;
		if (k == a.n_ids)
			fault(&a, "a reference to an id that is not there", a.ref[i]);
	}
	if (is_page) {
		if (a.h1 != 1)
			fault(&a, "not one <h1>", SPAN_STR("page"));
		if (a.main != 1)
			fault(&a, "not one <main>", SPAN_STR("page"));
		if (a.title < 1)
			fault(&a, "no <title>", SPAN_STR("page"));
		if (html.n > PAGE_BUDGET)
			fault(&a, "more than 60 KB", SPAN_STR("page"));
	}
	return a.fault[0] ? a.fault : NULL;
}

const char *html_page_fault(struct span html)
{
	return examine(html, true);
}

const char *html_part_fault(struct span html)
{
	return examine(html, false);
}
