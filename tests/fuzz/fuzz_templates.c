/* The template compiler on any text: it ends, and within its memory. And what html.h writes of the same text has no character that could end
 * a text, a quoted value or a URL. */
#include "contrib/build/templates.c"
#include "contrib/build/templates_code.c"
#include "contrib/build/templates_html.c"

#include "applets/portal/web/html.h"
#include "tests/fuzz/fuzz.h"

static void expect_none(const struct strbuf *o, const char *chars)
{
	if (strpbrk(strbuf_text(o), chars))
		abort();
}

static void render(const char *s)
{
	struct strbuf o = { 0 };

	html_str(&o, s);
	expect_none(&o, "<>\"'");
	strbuf_reset(&o);
	html_url(&o, s);
	expect_none(&o, "<>\"' \n\t");
	if (!html_url_is_safe(s) && strcmp(strbuf_text(&o), "#") != 0)
		abort();
	strbuf_reset(&o);
	html_url_part(&o, s);
	expect_none(&o, "<>\"'&:/?# \n");
	strbuf_reset(&o);
	html_url_encoded(&o, s);
	expect_none(&o, "<>\"'# \n");
	strbuf_reset(&o);
	html_json(&o, s);
	expect_none(&o, "<>&");
	strbuf_reset(&o);
	html_initials(&o, s);
	expect_none(&o, "<>\"'");
	strbuf_free(&o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct strbuf c = { 0 }, protos = { 0 }, text = { 0 };
	struct template_error e;

	if (templates_compile("fuzz.html", (struct span){ data, size }, &c, &protos, &e) != 0 && e.text[0] == '\0')
		abort();
	strbuf_add(&text, data, size);
	render(strbuf_text(&text));
	strbuf_free(&c);
	strbuf_free(&protos);
	strbuf_free(&text);
	return 0;
}
