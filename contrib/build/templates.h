/* contrib/build/templates.h: the template compiler: HTML with holes becomes C. A library, so that tests can call it; templates_main.c is the program, templates_int.h tells its parts.
 *
 *	{% include "applets/portal/web/views.h" %}             a header the expressions need
 *	{% template sites(const struct page *page, const struct sites_view *v) %}
 *	                                                       what follows is `void template_sites(struct strbuf *o, …)`, declared in templates.h;
 *	                                                       parameters are base types and pointers to structs
 *	{% layout base(page) %}                                first thing of a template: the layout around it
 *	{% content %}                                          in a layout: here (never within if or for); it is then two functions, …_begin and …_end
 *	{% in card(page) %} … {% end %}                        a layout around a part
 *	{% call pager(v->pager) %}                             another template here
 *	{{ expr }}   {{ expr | filter }}   {{ e | filter(a) }} a C expression, escaped for the place where it stands (applets/portal/web/html.h)
 *	{% if c %} {% elif c %} {% else %} {% end %}
 *	{% for const struct site *s : v->sites, v->n %} … {% empty %} … {% end %}      s points to each element in turn, s_index counts
 *	{% for u32 i < n %} … {% empty %} … {% end %}
 *	{% let const char *x = f(v) %}                         a local variable, to the end of the block
 *	{% csrf %}                                             the hidden field of a form, from `page` (or {% csrf expr %})
 *	{# comment #}                                          HTML comments vanish too
 *
 * Expressions are C; a bitwise or needs parentheses. Filters `ago` takes the present from `page` unless it is given. There is no way to
 * write an expression unescaped. White space with a line end in it is nothing between two tags or directives and one space otherwise; runs of
 * other white space are one space, and nothing beside block elements. <pre> and <textarea> keep theirs.
 *
 * What does not compile (the message names file and line): an expression in a tag or attribute name, in an unquoted value, in a comment, in a
 * script (but for JSON: `<script type="application/json">{{ e | json }}</script>`); on…, style, srcdoc and srcset attributes; <style>, <iframe>,
 * <object>, <embed>, <base>; scripts with text; elements not closed, closed out of turn or across a directive; branches that end at
 * different places of the HTML; an element where it cannot be (a <tr> in a <div>, a block in a <p>, a form in a form); an attribute twice;
 * <img> without alt, <label> without for, <button> without type, <svg> neither aria-hidden nor role=img, <html> without lang; a second <h1>,
 * or one under a layout; a POST form without {% csrf %}; URLs of other schemes than https, http, mailto and the clients' deep link.
 */
#pragma once

#include "core/base/strbuf.h"

struct template_error {
	u32 line;
	char text[256];
};

/* Compiles the templates of one file. `c` gets the C source, `structs` and `prototypes` what templates.h shall say of them. 0, or -1 and *e. */
int templates_compile(const char *file, struct span text, struct strbuf *c, struct strbuf *prototypes, struct template_error *e) MUST_CHECK;
