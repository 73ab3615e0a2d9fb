/* The template compiler (contrib/build/templates.h): what it makes, and above all what it refuses. */
#include "contrib/build/templates.c"
#include "contrib/build/templates_code.c"
#include "contrib/build/templates_html.c"

#include "tests/unit/test.h"

static struct strbuf source, protos;
static struct template_error error;

/* Compiles `body` as the template t(const struct page *page, const struct v *v). */
static int compile(const char *body)
{
	struct strbuf text = { 0 };

	strbuf_reset(&source);
	strbuf_reset(&protos);
	strbuf_puts(&text, "{% template t(const struct page *page, const struct v *v) %}\n");
	strbuf_puts(&text, body);
	int rc = templates_compile("t.html", strbuf_span(&text), &source, &protos, &error);
	strbuf_free(&text);
	return rc;
}

static bool makes(const char *body, const char *c)
{
	if (compile(body) != 0) {
		test_fail(__FILE__, __LINE__, "%s: refused: line %u: %s", body, (unsigned)error.line, error.text);
		return false;
	}
	if (!strstr(strbuf_text(&source), c)) {
		test_fail(__FILE__, __LINE__, "%s: no \"%s\" in %s", body, c, strbuf_text(&source));
		return false;
	}
	return true;
}

static void refuses(int line, const char *body, const char *reason)
{
	if (compile(body) == 0)
		test_fail(__FILE__, line, "compiled: %s", body);
	else if (!strstr(error.text, reason))
		test_fail(__FILE__, line, "%s: refused because of: %s (expected: %s)", body, error.text, reason);
	else if (error.line < 2)
		test_fail(__FILE__, line, "%s: refused at line %u", body, (unsigned)error.line);
}

#define REFUSES(body, reason) refuses(__LINE__, body, reason)

TEST(an_expression_is_escaped_for_its_place)
{
	makes("<p>{{ v->name }}</p>", "html_text(o, v->name);");
	makes("<p title=\"{{ v->name }}\"></p>", "html_text(o, v->name);");
	makes("<p title='{{ v->name }}'></p>", "title=\\\"\");");
	makes("<a href=\"{{ v->url }}\">x</a>", "html_url(o, v->url);");
	makes("<a href=\"{{ page->base }}/sites/{{ v->id }}\">x</a>", "html_url_part(o, v->id);");
	makes("<a href=\"/x?{{ v->query | encoded }}\">x</a>", "html_url_encoded(o, v->query);");
	makes("<a href=\"/x?a={{ v->a }}\">x</a>", "html_url_part(o, v->a);");
	makes("<a href=\"mailto:{{ v->mail }}\">x</a>", "html_url_part(o, v->mail);");
	makes("<form action=\"{{ v->url }}\" method=get></form>", "html_url(o, v->url);");
	makes("<script type=\"application/json\">{{ v->options | json }}</script>", "html_json(o, v->options);");
	makes("<meta http-equiv=refresh content=\"0;url={{ v->url }}\">", "html_url(o, v->url);");
	makes("<textarea id=a>{{ v->text }}</textarea>", "html_text(o, v->text);");
	makes("<title>{{ v->text }}</title>", "html_text(o, v->text);");
}

TEST(filters_are_calls)
{
	makes("{{ v->t | ago }}", "html_ago(o, v->t, page->now);");
	makes("{{ v->t | ago(v->now) }}", "html_ago(o, v->t, v->now);");
	makes("<b title=\"{{ v->n | plural(\"a | b\", \"c\") }}\">x</b>", "html_plural(o, v->n, \"a | b\", \"c\");");
	makes("{{ v->a || v->b }}", "html_text(o, v->a || v->b);");
	makes("{{ (v->a | v->b) | count }}", "html_count(o, (v->a | v->b));");
	REFUSES("{{ v->t | nosuch }}", "no such filter");
	REFUSES("<b title=\"{{ v->t | ago }}\">x</b>", "cannot be here");
	REFUSES("<title>{{ v->t | time }}</title>", "cannot be here");
	REFUSES("<a href=\"/{{ v->t | bytes }}\">x</a>", "no filter for URLs");
	REFUSES("<p>{{ v->t | json }}</p>", "json is for");
	REFUSES("<a href=\"{{ v->q | encoded }}\">x</a>", "encoded is for");
	REFUSES("<a href=\"x{{ v->q | encoded }}\">x</a>", "encoded is for");
}

TEST(expressions_where_nothing_could_escape_them_are_refused)
{
	REFUSES("<p class={{ v->x }}></p>", "unquoted");
	REFUSES("<p class=a{{ v->x }}></p>", "unquoted");
	REFUSES("<p class=a{% if v->x %}b{% end %}></p>", "unquoted");
	REFUSES("<{{ v->x }}>", "bare '<'");
	REFUSES("<p{{ v->x }}></p>", "name of an element");
	REFUSES("<p {{ v->x }}></p>", "tag");
	REFUSES("<p data-{{ v->x }}=\"a\"></p>", "name of an attribute");
	REFUSES("<script>{{ v->x }}</script>", "script");
	REFUSES("<script src=\"/a.js\">{{ v->x }}</script>", "script");
	REFUSES("<script type=\"application/json\">{{ v->x }}</script>", "script");
	REFUSES("<script type=\"application/json\">{{ v->x | or(\"a\") }}</script>", "json");
	REFUSES("<script type=\"application/json\">{\"a\": 1}</script>", "script");
	REFUSES("<script type=\"application/json\">{% if v->x %}{{ v->x | json }}{% end %}</script>", "script");
	REFUSES("<script type=\"text/javascript\" src=\"/a.js\"></script>", "type");
	REFUSES("<style>p { color: red }</style>", "no place");
	REFUSES("<style>{{ v->x }}</style>", "no place");
	REFUSES("<p style=\"{{ v->x }}\"></p>", "style");
	REFUSES("<p style=\"color:red\"></p>", "style");
	REFUSES("<p onclick=\"{{ v->x }}\"></p>", "app.js");
	REFUSES("<p ONCLICK=\"a()\"></p>", "lower case");
	REFUSES("<svg aria-hidden=true onLoad=\"a()\"></svg>", "app.js");
	REFUSES("<script{% if v->x %} type=\"application/json\"{% end %}>{{ v->x | json }}</script>", "type");
	REFUSES("<script type=\"{% if v->x %}application/json{% end %}\">{{ v->x | json }}</script>", "type");
	REFUSES("<form method=\"{% if v->x %}get{% end %}\"></form>", "method");
	REFUSES("<!-- {{ v->x }} -->", "comment");
	REFUSES("<iframe src=\"/x\"></iframe>", "no place");
	REFUSES("<base href=\"/x\">", "no place");
	REFUSES("<a HREF=\"{{ v->x }}\">x</a>", "lower case");
	REFUSES("<svg aria-hidden=true><SCRIPT>{{ v->x }}</SCRIPT></svg>", "script");
	REFUSES("<svg aria-hidden=true><a xlink:HREF=\"javascript:x\">x</a></svg>", "scheme");
	REFUSES("<svg aria-hidden=true><set attributeName=href to=\"{{ v->x }}\"/></svg>", "no place");
	REFUSES("<svg aria-hidden=true><animateTransform></animateTransform></svg>", "no place");
	REFUSES("<svg aria-hidden=true><foreignObject></foreignObject></svg>", "no place");
	REFUSES("<meta content=\"0;url={{ v->x }}\" http-equiv=refresh>", "comes first");
	REFUSES("<meta http-equiv=\"{{ v->x }}\" content=\"{{ v->y }}\">", "http-equiv");
	REFUSES("<meta http-equiv=set-cookie content=\"{{ v->y }}\">", "http-equiv");
	REFUSES("<img alt=\"\" srcset=\"{{ v->x }}\">", "srcset");
}

TEST(a_url_cannot_get_a_scheme_from_an_expression)
{
	REFUSES("<a href=\"javascript:alert(1)\">x</a>", "scheme");
	REFUSES("<a href=\"JaVaScRiPt:alert(1)\">x</a>", "scheme");
	REFUSES("<a href=data:text/html,x>x</a>", "scheme");
	REFUSES("<a href=\"{{ v->a }}:{{ v->b }}\">x</a>", "goes on with");
	REFUSES("<a href=\"{{ v->a }}script:x\">x</a>", "goes on with");
	REFUSES("<a href=\"java{{ v->a }}:x\">x</a>", "scheme");
	REFUSES("<a href=\"java&#115;cript:x\">x</a>", "strange");
	REFUSES("<a href=\"{% if v->a %}java{% end %}script:x\">x</a>", "scheme");
	REFUSES("<a href=\"{% for u32 i < 2 %}{{ v->a }}{% end %}\">x</a>", "loop");
	REFUSES("<meta http-equiv=refresh content=\"{{ v->url }}\">", "refresh");
	REFUSES("<meta http-equiv=refresh content=\"0;url={{ v->url }}{{ v->b }}\">", "refresh");
	/* an expression behind one is a part, whatever the first one was */
	makes("<a href=\"{{ v->a }}{{ v->b }}\">x</a>", "html_url_part(o, v->b);");
	/* after branches the weaker of both ends counts */
	makes("<a href=\"{% if v->a %}/x{% end %}{{ v->b }}\">x</a>", "html_url(o, v->b);");
	makes("<a href=\"{% if v->a %}/x{% else %}?{% end %}{{ v->b }}\">x</a>", "html_url_part(o, v->b);");
}

TEST(elements_are_balanced)
{
	REFUSES("<p>", "not closed");
	REFUSES("<div><p></div>", "where <p> of line 2");
	REFUSES("</p>", "closes nothing");
	REFUSES("<p></p></p>", "closes nothing");
	REFUSES("<p", "ends in a tag");
	REFUSES("<p class=\"a", "ends in a tag");
	REFUSES("{% if v->x %}<div>{% end %}</div>", "not closed in the block");
	REFUSES("<div>{% if v->x %}</div>{% end %}", "began before the directive");
	REFUSES("<div>{% if v->x %}</div><div>{% end %}</div>", "began before the directive");
	REFUSES("{% for u32 i < 3 %}<b>{% end %}", "not closed in the block");
	REFUSES("<p{% if v->x %}>{% end %}</p>", "not closed in the block");
	REFUSES("<p{% if v->x %}></p><p{% end %}></p>", "different places");
	REFUSES("<br{% if v->x %}><br{% end %}>", "different places");
	REFUSES("<p class=\"{% if v->x %}\" title=\"{% end %}\"></p>", "different places");
	REFUSES("<p class=\"{% if v->x %}\"{% end %}></p>", "different places");
	REFUSES("<p class=\"a\"id=b></p>", "white space");
	REFUSES("<p {% if v->x %}cla{% end %}ss=\"x\"></p>", "white space");
	REFUSES("a < b", "bare '<'");
	REFUSES("<div/>", "void");
	REFUSES("<DIV></DIV>", "lower case");
	REFUSES("{% if v->x %}", "without {% end %}");
	REFUSES("{% end %}", "end of nothing");
	REFUSES("{% else %}", "no if");
	REFUSES("{% if v->x %}{% else %}{% else %}{% end %}", "no if");
	makes("<option{% if v->x %} selected{% end %} value=\"{{ v->y }}\">x</option>", " selected");
	makes("<p{% if v->x %} id=a{% else %} id=b{% end %}></p>", " id=b");
	makes("<p class=\"a{% for u32 i < 3 %} b{{ i }}{% end %}\"></p>", "for (u32 i = 0; i < (3); i++) {");
}

TEST(elements_are_where_they_can_be)
{
	REFUSES("<div><tr></tr></div>", "cannot be in <div>");
	REFUSES("<ul><p></p></ul>", "cannot be in <ul>");
	REFUSES("<p><div></div></p>", "end the <p>");
	REFUSES("<form method=get><div><form method=get></form></div></form>", "form in a form");
	REFUSES("<a href=\"/\"><button type=button>x</button></a>", "link or a button");
	REFUSES("<textarea id=a><b>x</b></textarea>", "only text");
	REFUSES("<title>{% call other() %}</title>", "no element can be");
	REFUSES("<p title=\"{% call other() %}\"></p>", "no element can be");
	makes("<tr><td>x</td></tr>", "<tr><td>x</td></tr>");
	makes("<table><thead><tr><th scope=col>x</th></tr></thead></table>", "<table>");
}

TEST(what_a_screen_reader_needs_is_there)
{
	REFUSES("<img src=\"/a.png\">", "without alt");
	REFUSES("<img src=\"/a.png\"{% if v->x %} alt=\"\"{% end %}>", "without alt");
	REFUSES("<label>x</label>", "without for");
	REFUSES("<label for=\"\">x</label>", "without for");
	REFUSES("<button>x</button>", "without type");
	REFUSES("<svg></svg>", "aria-hidden");
	REFUSES("<html><body></body></html>", "lang");
	REFUSES("<h1>a</h1><h1>b</h1>", "second <h1>");
	REFUSES("{% layout base(page) %}<h1>a</h1>", "the layout has");
	REFUSES("<p id=a id=b></p>", "twice");
	makes("<img src=\"/a.png\" alt=\"\">", "alt=");
	makes("<label for=\"f-{{ v->x }}\">x</label>", "html_text(o, v->x);");
}

TEST(a_form_that_changes_something_proves_where_it_came_from)
{
	REFUSES("<form method=post action=\"/x\"></form>", "lacks {% csrf %}");
	REFUSES("<form method=\"post\" action=\"/x\">{% if v->x %}{% csrf %}{% end %}</form>", "must not depend");
	REFUSES("<form method=get>{% csrf %}</form>", "outside of a form");
	REFUSES("{% csrf %}", "outside of a form");
	REFUSES("<form method=\"{{ v->m }}\">{% csrf %}</form>", "method");
	REFUSES("<form{% if v->x %} method=post{% end %}></form>", "method");
	REFUSES("<form method=POST></form>", "method");
	REFUSES("<form method=get><button type=submit formmethod=post>x</button></form>", "formmethod");
	makes("<form method=post action=\"/x\">{% csrf %}</form>", "html_text(o, page->csrf);");
	makes("<form method=post action=\"/x\">{% csrf v->csrf %}</form>", "html_text(o, v->csrf);");
}

TEST(a_directive_is_what_it_says)
{
	REFUSES("{{ }}", "empty expression");
	REFUSES("{{ a; b }}", "not an expression");
	REFUSES("{{ a) + (b }}", "not an expression");
	REFUSES("{{ ({ a }) }}", "not an expression");
	REFUSES("{{ a // b }}", "not an expression");
	REFUSES("{{ a /* b }}", "not an expression");
	REFUSES("{{ \"a }}", "no }} follows");
	REFUSES("{{ a", "no }} follows");
	REFUSES("{% raw x %}", "no such directive");
	REFUSES("{% call x %}", "no call");
	REFUSES("{% call x(a) ; y(b) %}", "");
	REFUSES("{% for x %}{% end %}", "a loop is written");
	REFUSES("{% for const struct s *s : v->a %}{% end %}", "a loop over an array");
	REFUSES("{% if v->x %}{% content %}{% end %}", "is there once, and always");
	REFUSES("<p></p>{% layout base(page) %}", "first thing");
	REFUSES("{# never ends", "without end");
	REFUSES("{% include \"x.h\" %}", "before the templates");
	EXPECT_EQ(templates_compile("t.html", SPAN_STR("hello"), &source, &protos, &error), -1);
	EXPECT_EQ(error.line, 1);
}

TEST(a_message_names_the_line)
{
	EXPECT_EQ(compile("<p>\n\n  {{ v->x }}\n</p>\n<img>\n"), -1);
	EXPECT_EQ(error.line, 6);
	makes("<p>\n\n  {{ v->x }}\n</p>", "#line 4 \"t.html\"\n\thtml_text");
}

TEST(loops_layouts_and_calls)
{
	makes("{% for const struct site *s : v->sites, f(v, 1) %}<b>{{ s->name }}</b>{% empty %}none{% end %}",
	      "for (size_t s_index = 0; s_index < (size_t)(f(v, 1)); s_index++) { const struct site *s = &(v->sites)[s_index]; (void)s;");
	EXPECT(strstr(strbuf_text(&source), "} if ((f(v, 1)) == 0) {") != NULL);
	makes("{% layout base(page) %}<p>x</p>", "template_base_begin(o, page);");
	EXPECT(strstr(strbuf_text(&source), "template_base_end(o, page);") != NULL);
	makes("<div>{% content %}</div>", "void template_t_end(struct strbuf *o, const struct page *page, const struct v *v)");
	EXPECT(strstr(strbuf_text(&protos), "void template_t_begin(") != NULL);
	makes("{% in card(\"a\") %}<p>x</p>{% end %}", "{ template_card_begin(o, \"a\");");
	EXPECT(strstr(strbuf_text(&source), "template_card_end(o, \"a\"); }") != NULL);
	makes("{% call other(v->x, \"%}\") %}", "template_other(o, v->x, \"%}\");");
	EXPECT(strstr(strbuf_text(&protos), "struct page;\nstruct v;\n") != NULL);
}

TEST(white_space_costs_nothing)
{
	makes("<ul>\n\t<li>one</li>\n\t<li>two\n</li>\n</ul>\n", "\"<ul><li>one</li><li>two</li></ul>\"");
	makes("<p>some\n   words  and <b>bold</b> ones</p>", "\"<p>some words and <b>bold</b> ones</p>\"");
}

TEST(white_space_of_text_is_kept)
{
	makes("<p>words\n<b>bold</b>\nwords</p>", "\"<p>words <b>bold</b> words</p>\"");
	makes("<p>{{ v->a }} {{ v->b }}</p>", "\" \"");
	makes("<pre>a\n  b</pre>", "\"<pre>\\012a\\012  b</pre>\"");
	makes("<p>a {# b #} c</p>", "\"<p>a c</p>\"");
	makes("<p>a<!-- b -->c</p>", "\"<p>ac</p>\"");
}
