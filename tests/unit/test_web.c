/* The pages' building blocks (applets/portal/web): no value, however hostile, changes what elements and attributes a page has. */
#include "applets/portal/web/bulk.h"
#include "applets/portal/web/form.h"
#include "applets/portal/web/page.h"
#include "applets/portal/web/parts.h"
#include "applets/portal/web/templates.h"
#include "applets/portal/http/assets.h"
#include "core/base/rng.h"
#include "tests/unit/html_check.h"
#include "tests/unit/http_world.h"
#include "tests/unit/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const hostile[] = {
	"<script>alert(1)</script>",
	"\"><img src=x onerror=alert(1)>",
	"' onmouseover='alert(1)",
	"\" autofocus onfocus=\"alert(1)",
	"</textarea><script>x</script>",
	"</title><svg onload=alert(1)>",
	"</script><script>x</script>",
	"javascript:alert(1)",
	"java\tscript:alert(1)",
	"\x01javascript:alert(1)",
	"JAVASCRIPT:alert(1)",
	"data:text/html,<script>x</script>",
	"vbscript:x",
	"//evil.example/\"><b>",
	"/\\evil.example",
	"{{ x }}{% x %}",
	"<!-- x",
	"]]>",
	"&lt;script&gt;",
	"\xff\xfe<b>\xc0\xbc",
	"\xc2",
	"\xe2\x80\xa8",
	"`x`=\"y\" z='\n\r\n<",
	"a b\nc\td",
	"..",
	"%00%0d%0aSet-Cookie:x",
};

static const char tame[] = "/tame";

/* Everything in one page that takes a string from outside. */
static void everything(struct strbuf *o, const char *s)
{
	struct page page = {
		.account_name = s, .account_slug = s, .base = s, .viewer_name = s, .viewer_email = s, .csrf = s, .nonce = s, .css = s, .js = s,
		.icons = s, .favicon = s, .theme = s, .now = 1767225600000000, .section = SECTION_SITES, .title = s, .lead = s, .action = s,
		.action_href = s, .search = s, .flash = { TONE_GOOD, s, s, s }, .undo_href = s, .undo_secs = 10, .live_topics = s,
	};
	struct choice choices[] = { { .value = s, .label = s, .help = s }, { .value = "b", .label = s } };
	struct form_field fields[] = {
		{ .name = s, .label = s, .help = s, .value = s, .error = s, .placeholder = s, .autocomplete = s, .max = 9, .is_code = true },
		{ .name = s, .label = s, .help = s, .value = s, .error = s, .kind = INPUT_TEXTAREA },
		{ .name = s, .label = s, .help = s, .value = s, .error = s, .kind = INPUT_SELECT, FORM_CHOICES(choices) },
		{ .name = s, .label = s, .help = s, .value = s, .error = s, .kind = INPUT_RADIO, FORM_CHOICES(choices) },
		{ .name = s, .label = s, .help = s, .value = s, .error = s, .kind = INPUT_CHECKBOX },
		{ .name = s, .label = s, .value = s, .kind = INPUT_HIDDEN },
		{ .name = s, .label = s, .value = s, .kind = INPUT_DATETIME, .is_more = true },
	};
	struct form form = { .action = s, .submit = s, .cancel_href = s, .error = s, FORM_FIELDS(fields) };
	struct column columns[] = { { .label = s, .sort = s }, { .label = s, .is_number = true }, { .label = s, .is_hidden = true } };
	struct list list = { .what = s, .path = s, .filters = s, .columns = columns, .n_columns = 3, .sort = s, .shown = 1, .total = 2, .prev = s, .next = s };
	struct tab tabs[] = { { s, s, 3, true }, { s, s, -1, false } };
	struct confirm_item dependents[] = { { 3, s, s, s, s } };
	struct uuid id = { { 1 } };
	struct confirm_name names[] = { { &id, s } };
	struct confirm confirm = { .kind = s, .name = s, .action = s, .cancel_href = s, .submit = s, .dependents = dependents, .n_dependents = 1, .typed = s, .sent = s, .error = s };
	struct confirm many = { .action = s, .cancel_href = s, .submit = s, .names = names, .n_names = 1, .verb = s, .back = s, .of = s };
	struct bulk_verb verbs[] = { { s, s, s, true } };
	struct bulk_bar bar = { .action = s, .what = s, .back = s, .verbs = verbs, .n_verbs = 1 };
	const char *labels[] = { s, s };
	u64 values[] = { 1, 2 };
	struct chart chart = { .title = s, .labels = labels, .n_points = 2, .series = { { s, values } }, .n_series = 1 };

	chart_scale(&chart);
	page_crumb(&page, s, s);
	page_banner(&page, TONE_BAD, s, s, s);
	template_base_begin(o, &page);
	template_form(o, &page, &form);
	template_filters(o, &list, &form);
	template_table_begin(o, &list);
	template_table_end(o, &list);
	template_tabs(o, s, tabs, 2);
	template_status(o, TONE_GOOD, s);
	template_live_status(o, s, &id, TONE_BAD, s);
	template_badge(o, TONE_WARN, s);
	template_empty(o, &page, s, s, s, s, s);
	template_facts_begin(o);
	template_fact_text(o, s, s);
	template_facts_end(o);
	template_secret(o, s, s, s, s);
	template_confirm_body(o, &page, &confirm);
	template_confirm_body(o, &page, &many);
	template_tick(o, &id, s);
	template_bulk(o, &page, &bar);
	template_chart(o, &chart);
	template_post_button(o, &page, s, s, s);
	template_base_end(o, &page);
	template_plain_begin(o, &page);
	template_plain_end(o, &page);
}

static void expect_same_elements(const char *s)
{
	struct strbuf a = { 0 }, b = { 0 }, want = { 0 }, have = { 0 };

	everything(&a, tame);
	everything(&b, s);
	html_skeleton(strbuf_span(&a), &want);
	html_skeleton(strbuf_span(&b), &have);
	if (strcmp(strbuf_text(&want), strbuf_text(&have)) != 0) {
		size_t at = 0;
		while (want.p[at] == have.p[at])
			at++;
		at = at > 60 ? at - 60 : 0;
		test_fail(__FILE__, __LINE__, "\"%s\" changes the page: %.200s instead of %.200s", s, have.p + at, want.p + at);
	}
	strbuf_free(&a);
	strbuf_free(&b);
	strbuf_free(&want);
	strbuf_free(&have);
}

TEST(no_value_makes_an_element_or_an_attribute)
{
	for (u32 i = 0; i < ARRAY_LEN(hostile); i++)
		expect_same_elements(hostile[i]);
}

TEST(nor_do_random_ones)
{
	static const char alphabet[] = "<>\"'=/& \n-!abo{}%#?:;\x01\x80\xc3\xa4\xe2";
	struct rng_seeded r;
	char s[24];

	rng_seeded_init(&r, 5);
	for (u32 round = 0; round < 400; round++) {
		u32 n = (u32)rng_below(&r.rng, sizeof(s) - 1) + 1;
		for (u32 i = 0; i < n; i++)
			s[i] = alphabet[rng_below(&r.rng, sizeof(alphabet) - 1)];
		s[n] = '\0';
		if (s[0] != '\0')
			expect_same_elements(s);
	}
}

TEST(values_come_back_as_they_were)
{
	for (u32 i = 0; i < ARRAY_LEN(hostile); i++) {
		struct strbuf o = { 0 }, v = { 0 };
		struct form_field f = { .name = "x", .label = "X", .value = hostile[i] };
		if (strpbrk(hostile[i], "\x01\xff\xc2\r"))
			continue;
		template_field(&o, &f);
		EXPECT(html_attribute(strbuf_span(&o), "input", 0, "value", &v));
		EXPECT_STR(strbuf_text(&v), hostile[i]);
		strbuf_free(&o);
		strbuf_free(&v);
	}
}

/* What a browser would do with the URL: leave our origin's schemes? */
TEST(a_link_has_a_scheme_of_ours_or_none)
{
	static const struct {
		const char *url, *want;
	} cases[] = {
		{ "/acme/sites", "/acme/sites" },
		{ "sites?a=b&c=d", "sites?a=b&amp;c=d" },
		{ "https://example.com/a", "https://example.com/a" },
		{ "HTTPS://example.com/a", "HTTPS://example.com/a" },
		{ "mailto:a@example.com", "mailto:a@example.com" },
		{ DEEP_LINK_SCHEME "//handle_client_sign_in_callback?state=x", DEEP_LINK_SCHEME "//handle_client_sign_in_callback?state=x" },
		{ "javascript:alert(1)", "#" },
		{ "JavaScript:alert(1)", "#" },
		{ " javascript:alert(1)", "#" },
		{ "java\nscript:alert(1)", "#" },
		{ "data:text/html,x", "#" },
		{ "vbscript:x", "#" },
		{ "file:///etc/passwd", "#" },
		{ "https:example.com", "#" },
		{ "/\\evil.example", "#" },
		{ ":x", "#" },
		{ "/a\"b<c>'d", "/a%22b%3Cc%3E%27d" },
		{ "/\xc3\xa4", "/%C3%A4" },
		{ "", "" },
	};

	for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
		struct strbuf o = { 0 };
		html_url(&o, cases[i].url);
		EXPECT_STR(strbuf_text(&o), cases[i].want);
		strbuf_free(&o);
	}
}

#define EXPECT_HTML(call, want)                             \
	do {                                                \
		struct strbuf o_ = { 0 }, *o = &o_;         \
		call;                                       \
		EXPECT_STR(strbuf_text(o), want);           \
		strbuf_free(o);                             \
	} while (0)

TEST(parts_of_a_url_stay_parts)
{
	EXPECT_HTML(html_url_part(o, "a/b?c=d&e#f"), "a%2Fb%3Fc%3Dd%26e%23f");
	EXPECT_HTML(html_url_part(o, ".."), "");
	EXPECT_HTML(html_url_part(o, "a..b"), "a..b");
	EXPECT_HTML(html_url_part(o, 7), "7");
	EXPECT_HTML(html_url_encoded(o, "a=b%20c&d=\"<"), "a=b%20c&amp;d=%22%3C");
}

TEST(text_by_type)
{
	struct uuid id = { { 0xab } };
	struct ip ip = { .b = { 10, 0, 0, 1 }, .family = 4 };
	const u8 small = 7;

	EXPECT_HTML(html_text(o, "a<b"), "a&lt;b");
	EXPECT_HTML(html_text(o, -5), "-5");
	EXPECT_HTML(html_text(o, INT64_MIN), "-9223372036854775808");
	EXPECT_HTML(html_text(o, UINT64_MAX), "18446744073709551615");
	EXPECT_HTML(html_text(o, small), "7");
	EXPECT_HTML(html_text(o, &id), "ab000000-0000-0000-0000-000000000000");
	EXPECT_HTML(html_text(o, &ip), "10.0.0.1");
	EXPECT_HTML(html_text(o, (const char *)NULL), "");
	EXPECT_HTML(html_text(o, "a\x01\x7f\r\xff"), "a\xef\xbf\xbd");
	EXPECT_HTML(html_json(o, "{\"a\":\"</script>&\xe2\x80\xa8\"}"), "{\"a\":\"\\u003c/script\\u003e\\u0026\\u2028\"}");
}

TEST(filters_speak_as_people_do)
{
	const i64 now = 1775044800000000; /* 2026-04-01T12:00:00Z */
	const i64 second = 1000000;

	EXPECT_HTML(html_plural(o, 1, "site", "sites"), "1 site");
	EXPECT_HTML(html_plural(o, 0, "site", "sites"), "0 sites");
	EXPECT_HTML(html_plural(o, 12345, "site", "sites"), "12,345 sites");
	EXPECT_HTML(html_count(o, 999), "999");
	EXPECT_HTML(html_count(o, 1000000), "1,000,000");
	EXPECT_HTML(html_bytes(o, 1023), "1023 B");
	EXPECT_HTML(html_bytes(o, 1024), "1.0 KiB");
	EXPECT_HTML(html_bytes(o, 1258291), "1.2 MiB");
	EXPECT_HTML(html_bytes(o, 52428800), "50 MiB");
	EXPECT_HTML(html_bytes(o, 1048575), "1.0 MiB");
	EXPECT_HTML(html_bytes(o, UINT64_MAX), "16 EiB");
	EXPECT_HTML(html_duration(o, 45), "45 s");
	EXPECT_HTML(html_duration(o, 0), "0 s");
	EXPECT_HTML(html_duration(o, 7500), "2 h 5 min");
	EXPECT_HTML(html_duration(o, 86400 * 3), "3 d");
	EXPECT_HTML(html_initials(o, "Ada King Lovelace"), "AL");
	EXPECT_HTML(html_initials(o, "ada"), "A");
	EXPECT_HTML(html_initials(o, ""), "");
	EXPECT_HTML(html_initials(o, NULL), "");
	EXPECT_HTML(html_initials(o, "\xc3\xa4nne <b>"), "\xc3\xa4&lt;");
	EXPECT_HTML(html_or(o, "", "none"), "none");
	EXPECT_HTML(html_yesno(o, true), "yes");
	EXPECT_HTML(html_iso(o, now), "2026-04-01T12:00:00Z");
	EXPECT_HTML(html_date(o, now), "2026-04-01");
	EXPECT_HTML(html_local(o, now), "2026-04-01T12:00");
	EXPECT_HTML(html_local(o, 0), "");
	EXPECT_HTML(html_time(o, now), "<time datetime=\"2026-04-01T12:00:00Z\" data-time>2026-04-01 12:00 UTC</time>");
	EXPECT_HTML(html_ago(o, 0, now), "never");
	EXPECT_HTML(html_ago(o, now - 5 * second, now),
		    "<time datetime=\"2026-04-01T11:59:55Z\" title=\"2026-04-01 11:59 UTC\" data-ago>just now</time>");
	EXPECT_HTML(html_ago(o, now - 3600 * second, now),
		    "<time datetime=\"2026-04-01T11:00:00Z\" title=\"2026-04-01 11:00 UTC\" data-ago>1 hour ago</time>");
	EXPECT_HTML(html_ago(o, now + 172800 * second, now),
		    "<time datetime=\"2026-04-03T12:00:00Z\" title=\"2026-04-03 12:00 UTC\" data-ago>in 2 days</time>");
}

static struct page a_page(void)
{
	return (struct page){
		.account_name = "Acme", .account_slug = "acme", .base = "/acme", .viewer_name = "Ada Lovelace", .viewer_email = "ada@example.com",
		.csrf = "csrf", .nonce = "nonce", .css = "/assets/app.css", .js = "/assets/app.js", .icons = "/assets/icons.svg",
		.favicon = "/assets/favicon.svg", .now = 1775044800000000, .section = SECTION_SITES, .title = "Sites",
		.lead = "Places where gateways run.", .live_topics = "gateways",
	};
}

TEST(the_layouts_are_whole_pages)
{
	struct page page = a_page();
	struct strbuf o = { 0 };

	page_crumb(&page, "Sites", "/acme/sites");
	page_banner(&page, TONE_WARN, "Limits.", "/acme/settings/account", "Settings");
	template_base_begin(&o, &page);
	template_base_end(&o, &page);
	const char *fault = html_page_fault(strbuf_span(&o));
	EXPECT_STR(fault ? fault : "", "");
	EXPECT(o.n <= 5 * 1024); /* the shell of every page */
	EXPECT(strstr(o.p, "aria-current=page") != NULL);
	EXPECT(strstr(o.p, "data-stream=\"/acme/live?topics=gateways\"") != NULL);
	strbuf_reset(&o);
	template_error(&o, &page, "Go back.", "/acme", "Overview");
	fault = html_page_fault(strbuf_span(&o));
	EXPECT_STR(fault ? fault : "", "");
	EXPECT(o.n <= 1536);
	strbuf_free(&o);
}

static const char *sent(void *ctx, const char *name, u32 nth)
{
	static const char *const values[][2] = { { "name", "Berlin" }, { "kind", "cidr" }, { "day", "mon" }, { "day", "fri" } };

	(void)ctx;
	for (u32 i = 0; i < ARRAY_LEN(values); i++)
		if (strcmp(values[i][0], name) == 0 && nth-- == 0)
			return values[i][1];
	return NULL;
}

TEST(a_form_keeps_what_was_typed_and_marks_what_was_wrong)
{
	struct choice stacks[] = { { .value = "dns", .label = "DNS" }, { .value = "cidr", .label = "Network" } };
	struct choice days[] = { { .value = "mon", .label = "Monday" }, { .value = "tue", .label = "Tuesday", .is_chosen = true }, { .value = "fri", .label = "Friday" } };
	struct form_field fields[] = {
		{ .name = "name", .label = "Name", .help = "How people call it.", .is_required = true, .max = 64 },
		{ .name = "kind", .label = "Kind", .kind = INPUT_SELECT, FORM_CHOICES(stacks) },
		{ .name = "day", .label = "Days", .kind = INPUT_CHECKS, FORM_CHOICES(days) },
		{ .name = "secret", .label = "Password", .kind = INPUT_PASSWORD, .value = "hunter2" },
		{ .name = "note", .label = "Note", .kind = INPUT_TEXTAREA, .is_more = true },
		{ .name = "on", .label = "On", .kind = INPUT_CHECKBOX, .value = "true" },
	};
	struct form f = { .action = "/acme/sites", .submit = "Create site", .cancel_href = "/acme/sites", FORM_FIELDS(fields) };
	struct page page = a_page();
	struct strbuf o = { 0 }, v = { 0 };

	template_form(&o, &page, &f);
	EXPECT(strstr(o.p, "hunter2") == NULL);
	EXPECT(strstr(o.p, "<details class=\"more\">") != NULL);
	form_fill(&f, sent, NULL);
	EXPECT_STR(form_value(&f, "name"), "Berlin");
	EXPECT_STR(form_value(&f, "on"), "");
	EXPECT_STR(form_value(&f, "nosuch"), "");
	EXPECT(days[0].is_chosen && !days[1].is_chosen && days[2].is_chosen);
	EXPECT(!form_has_errors(&f));
	form_error(&f, "name", "There is a Berlin already.");
	form_error(&f, "note", "Too long.");
	form_error(&f, "nosuch", "The disk is full.");
	EXPECT(form_has_errors(&f));
	EXPECT_STR(f.error, "The disk is full.");
	strbuf_reset(&o);
	template_form(&o, &page, &f);
	EXPECT(html_attribute(strbuf_span(&o), "input", 1, "value", &v));
	EXPECT_STR(strbuf_text(&v), "Berlin");
	strbuf_reset(&v);
	EXPECT(html_attribute(strbuf_span(&o), "input", 1, "aria-describedby", &v));
	EXPECT_STR(strbuf_text(&v), "h-name e-name");
	EXPECT(html_attribute(strbuf_span(&o), "input", 1, "aria-invalid", &v));
	EXPECT(strstr(o.p, "<option value=\"cidr\" selected>") != NULL);
	EXPECT(strstr(o.p, "<details class=\"more\" open>") != NULL);
	EXPECT(!html_attribute(strbuf_span(&o), "input", 1, "autofocus", &v)); /* the last field with an error has it */
	const char *fault = html_part_fault(strbuf_span(&o));
	EXPECT_STR(fault ? fault : "", "");
	strbuf_free(&o);
	strbuf_free(&v);
}

TEST(lists_keep_their_filters_in_every_link)
{
	struct column columns[] = { { .label = "Name", .sort = "name" }, { .label = "Seen", .sort = "seen" }, { .label = "Gateways", .is_number = true } };
	struct list l = { .what = "sites", .path = "/acme/sites", .filters = "q=a%20b&online=1", .columns = columns, .n_columns = 3, .sort = "name",
			  .shown = 50, .total = 1200, .next = "abc/=" };
	struct strbuf o = { 0 }, v = { 0 };

	template_table_begin(&o, &l);
	template_table_end(&o, &l);
	EXPECT(html_attribute(strbuf_span(&o), "a", 0, "href", &v));
	EXPECT_STR(strbuf_text(&v), "?q=a%20b&online=1&sort=name&dir=desc");
	strbuf_reset(&v);
	EXPECT(html_attribute(strbuf_span(&o), "a", 1, "href", &v));
	EXPECT_STR(strbuf_text(&v), "?q=a%20b&online=1&sort=seen");
	strbuf_reset(&v);
	EXPECT(html_attribute(strbuf_span(&o), "a", 2, "href", &v));
	EXPECT_STR(strbuf_text(&v), "?q=a%20b&online=1&sort=name&after=abc%2F%3D");
	EXPECT(html_attribute(strbuf_span(&o), "th", 0, "aria-sort", &v));
	EXPECT(strstr(o.p, "50 of 1,200") != NULL);
	strbuf_free(&o);
	strbuf_free(&v);
}

TEST(charts_fit_their_axes)
{
	const char *labels[96];
	u64 a[96], b[96];
	struct chart c = { .title = "Bytes per hour", .unit = "bytes", .labels = labels, .n_points = 96, .series = { { "direct", a }, { "relayed", b } },
			   .n_series = 2, .is_bars = true };
	struct strbuf o = { 0 };

	for (u32 i = 0; i < 96; i++) {
		labels[i] = "00:00";
		a[i] = i * 1000000000ull;
		b[i] = i == 50 ? UINT64_MAX : 0;
	}
	chart_scale(&c);
	for (u32 i = 0; i < 96; i++)
		for (u32 s = 0; s < 2; s++) {
			EXPECT(chart_bar_y(&c, s, i) >= CHART_BASE - CHART_HEIGHT);
			EXPECT(chart_bar_y(&c, s, i) + chart_bar_height(&c, s, i) <= CHART_BASE);
		}
	template_chart(&o, &c);
	const char *fault = html_part_fault(strbuf_span(&o));
	EXPECT_STR(fault ? fault : "", "");
	strbuf_free(&o);
	b[50] = 0;
	c.n_points = 2;
	a[1] = 7;
	a[0] = 0;
	c.unit = "";
	c.is_bars = false;
	chart_scale(&c);
	EXPECT_EQ(c.top, 8);
	EXPECT_EQ(chart_y(&c, 0), CHART_BASE);
	EXPECT_EQ(chart_y(&c, 8), CHART_BASE - CHART_HEIGHT);
	EXPECT(chart_label_y(&c, 0) != chart_label_y(&c, 1));
	a[1] = 0;
	chart_scale(&c);
	EXPECT_EQ(c.top, CHART_TICKS);
	c.n_points = 0;
	chart_scale(&c);
	template_chart(&o, &c);
	strbuf_free(&o);
}

/* ---- assets ---- */

static const struct asset *asset(const char *name)
{
	const struct asset *a = assets;

	while (a->name && strcmp(a->name, name) != 0)
		a++;
	return a->name ? a : NULL;
}

TEST(assets_keep_to_their_budgets)
{
	REQUIRE(asset("app.css") && asset("app.js") && asset("icons.svg") && asset("favicon.svg"));
	EXPECT(asset("app.css")->n_plain <= 20 * 1024);
	EXPECT(asset("app.js")->n_plain <= 12 * 1024);
	EXPECT(asset("icons.svg")->n_plain <= 6 * 1024);
	/* nothing is loaded from elsewhere */
	EXPECT(memmem(asset("app.css")->plain, asset("app.css")->n_plain, "url(", 4) == NULL);
	EXPECT(memmem(asset("app.css")->plain, asset("app.css")->n_plain, "@import", 7) == NULL);
	EXPECT(memmem(asset("app.js")->plain, asset("app.js")->n_plain, "://", 3) == NULL);
}

TEST(every_section_has_its_icon)
{
	const struct asset *icons = asset("icons.svg");

	REQUIRE(icons);
	for (u32 i = SECTION_OVERVIEW; i < SECTION_COUNT; i++) {
		char id[64];
		int n = snprintf(id, sizeof(id), "id=\"%s\"", page_sections[i].icon);
		if (!memmem(icons->plain, icons->n_plain, id, (size_t)n))
			test_fail(__FILE__, __LINE__, "no icon %s", page_sections[i].icon);
	}
}

/* Relative luminance (WCAG 2.2) of a variable of the stylesheet, written `--name: light-dark(#rrggbb, #rrggbb);` */
static double luminance(const char *css, const char *name, bool is_dark)
{
	static const double weight[] = { 0.2126, 0.7152, 0.0722 };
	char key[48];
	double sum = 0;

	snprintf(key, sizeof(key), "\t--%s: light-dark(#", name);
	const char *at = strstr(css, key);
	if (!at) {
		test_fail(__FILE__, __LINE__, "no colour --%s", name);
		return 0;
	}
	unsigned long rgb = strtoul(at + strlen(key) + (is_dark ? 9 : 0), NULL, 16);
	for (u32 i = 0; i < 3; i++) {
		double v = (double)((rgb >> (16 - 8 * i)) & 0xff) / 255;
		sum += weight[i] * (v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4));
	}
	return sum;
}

TEST(colours_can_be_told_apart_in_both_themes)
{
	static const struct {
		const char *front, *back;
		double least;
	} pairs[] = {
		{ "text", "bg", 7 },	       { "text", "panel", 7 },	     { "text", "sunk", 7 },	   { "text", "good-bg", 7 },
		{ "text", "warn-bg", 7 },      { "text", "bad-bg", 7 },	     { "dim", "bg", 4.5 },	   { "dim", "panel", 4.5 },
		{ "dim", "sunk", 4.5 },	       { "on-accent", "accent", 4.5 }, { "accent-text", "bg", 4.5 }, { "accent-text", "panel", 4.5 },
		{ "accent-text", "sunk", 4.5 }, { "good", "bg", 4.5 },	     { "good", "panel", 4.5 },	   { "good", "sunk", 4.5 },
		{ "warn", "bg", 4.5 },	       { "warn", "panel", 4.5 },     { "warn", "sunk", 4.5 },	   { "bad", "bg", 4.5 },
		{ "bad", "panel", 4.5 },       { "bad", "sunk", 4.5 },	     { "bad", "bad-bg", 4.5 },	   { "grey", "bg", 4.5 },
		{ "grey", "panel", 4.5 },      { "grey", "sunk", 4.5 },	     { "s0", "panel", 4.5 },	   { "s1", "panel", 4.5 },
		{ "s2", "panel", 4.5 },	       { "s3", "panel", 4.5 },	     { "edge", "panel", 3 },	   { "edge", "bg", 3 },
		{ "accent", "sunk", 2.5 },     { "bg", "good", 4.5 },	     { "bg", "bad", 4.5 },	   { "dim", "warn-bg", 4.5 },
	};
	char *css = asset("app.css") ? strndup((const char *)asset("app.css")->plain, asset("app.css")->n_plain) : NULL;

	REQUIRE(css);
	for (u32 i = 0; i < ARRAY_LEN(pairs); i++)
		for (u32 dark = 0; dark < 2; dark++) {
			double a = luminance(css, pairs[i].front, dark), b = luminance(css, pairs[i].back, dark);
			double contrast = (fmax(a, b) + 0.05) / (fmin(a, b) + 0.05);
			if (contrast < pairs[i].least)
				test_fail(__FILE__, __LINE__, "%s on %s, %s: %.2f to 1", pairs[i].front, pairs[i].back, dark ? "dark" : "light", contrast);
		}
	free(css);
}

/* ---- served ---- */

TEST(errors_are_pages_with_the_theme_that_is_pinned)
{
	struct http_world *w = http_new();

	EXPECT_EQ(http_get(w, "/no/such/page")->status, 404);
	const char *fault = html_page_fault(SPAN(w->reply.body, w->reply.body_len));
	EXPECT_STR(fault ? fault : "", "");
	EXPECT(strstr(w->reply.body, "data-theme") == NULL);
	EXPECT(strstr(w->reply.body, "<h1>There is nothing here</h1>") != NULL);
	w->extra = "Cookie: a=b; theme=dark\r\n";
	http_get(w, "/no/such/page");
	EXPECT(strstr(w->reply.body, "data-theme=\"dark\"") != NULL);
	w->extra = "Cookie: a=theme=dark; theme=\"><b>\r\n";
	http_get(w, "/no/such/page");
	EXPECT(strstr(w->reply.body, "data-theme") == NULL);
	struct strbuf url = { 0 };
	EXPECT(html_attribute(SPAN(w->reply.body, w->reply.body_len), "script", 0, "src", &url));
	w->extra = NULL;
	EXPECT_EQ(http_get(w, strbuf_text(&url))->status, 200);
	strbuf_free(&url);
	http_free(w);
}
