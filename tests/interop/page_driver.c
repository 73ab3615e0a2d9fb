/* Pages made of all building blocks, for a browser to look at: page_driver names | NAME [THEME [JSON]] prints one. See test_portal_look.sh. */
#include "applets/portal/auth/views.h"
#include "applets/portal/web/bulk.h"
#include "applets/portal/web/parts.h"
#include "applets/portal/web/templates.h"

#include <stdio.h>
#include <string.h>

#define NOW 1775044800000000 /* 2026-04-01T12:00:00Z */
#define HOURS 24u

static const char *theme, *json = "{}";

static struct page page_of(enum section section, const char *title)
{
	return (struct page){
		.account_name = "Acme Robotics", .account_slug = "acme", .base = "/acme", .viewer_name = "Ada Lovelace", .viewer_email = "ada@example.com",
		.csrf = "csrf", .nonce = "nonce", .css = "/app.css", .js = "/app.js", .icons = "/icons.svg", .favicon = "/favicon.svg",
		.theme = theme && *theme ? theme : NULL, .now = NOW, .section = section, .title = title,
	};
}

static void cell_link(struct strbuf *o, const char *name, u32 policies)
{
	struct uuid id = { { (u8)policies } };

	strbuf_puts(o, "<tr><td>");
	template_tick(o, &id, name);
	strbuf_puts(o, "<a class=row href=\"/acme/sites/1\">");
	html_text(o, name);
	strbuf_puts(o, "</a><span class=sub>");
	html_plural(o, policies, "policy", "policies");
	strbuf_puts(o, "</span></td>");
}

static void rows(struct strbuf *o)
{
	static const char *const names[] = { "Berlin", "Hamburg data centre with a rather long name", "Internet", "Lyon", "M\xc3\xbcnchen" };
	static const char *const words[] = { "none", "2 online", "outdated", "offline", "none" };

	for (u32 i = 0; i < ARRAY_LEN(names); i++) {
		cell_link(o, names[i], i);
		strbuf_printf(o, "<td data-label=Gateways><span data-live=\"gateway-%u\">", i);
		template_status(o, (int)(i % 4), words[i]);
		strbuf_printf(o, "</span></td><td class=num data-label=Resources>%u</td><td class=num data-label=\"Last change\">", i * 317);
		html_ago(o, NOW - (i64)(i + 1) * 4000000000, NOW);
		strbuf_puts(o, "</td></tr>");
	}
}

static void show_list(struct strbuf *o)
{
	struct page page = page_of(SECTION_SITES, "Sites");
	struct column columns[] = { { .label = "Name", .sort = "name" }, { .label = "Gateways" }, { .label = "Resources", .sort = "resources", .is_number = true },
				    { .label = "Last change", .sort = "changed", .is_number = true } };
	struct list list = { .what = "sites", .path = "/acme/sites", .filters = "q=b", .columns = columns, .n_columns = ARRAY_LEN(columns), .sort = "name",
			     .shown = 5, .total = 1200, .next = "x" };
	struct choice online[] = { { .value = "yes", .label = "online" }, { .value = "no", .label = "offline" } };
	struct form_field fields[] = { { .name = "name", .label = "Name or address", .value = "b" },
				       { .name = "online", .label = "Status", .kind = INPUT_SELECT, FORM_CHOICES(online) } };
	struct form filters = { FORM_FIELDS(fields) };
	const struct bulk_verb verbs[] = { { "disable", "Disable", "disabled", false }, { "delete", "Delete", "deleted", true } };
	const struct bulk_bar bar = { .action = "/acme/selected/sites", .what = "sites", .back = "q=b", .verbs = verbs, .n_verbs = ARRAY_LEN(verbs) };
	struct tab tabs[] = { { "All", "/acme/sites", 12, true }, { "Online", "?online=yes", 7, false }, { "Never seen", "?seen=no", -1, false } };

	page.lead = "Places where your gateways run, and what they lead to.";
	page.action = "New site";
	page.action_href = "/acme/sites/new";
	page.flash = (struct notice){ .tone = TONE_GOOD, .text = "The site Paris was deleted." };
	page.undo_href = "/acme/undo";
	page.undo_secs = 3;
	page.live_topics = "sites,gateways";
	page.list_region = "sites";
	page_banner(&page, TONE_WARN, "You have 9 of 10 sites.", "/acme/settings/account", "See the limits");
	template_base_begin(o, &page);
	template_tabs(o, "Sites", tabs, ARRAY_LEN(tabs));
	template_filters(o, &list, &filters);
	template_table_begin(o, &list);
	rows(o);
	template_table_end(o, &list);
	template_bulk(o, &page, &bar);
	strbuf_puts(o, "<div data-live=deploy data-when=good>");
	template_badge(o, TONE_WARN, "waiting");
	strbuf_puts(o, "</div>");
	template_base_end(o, &page);
}

static void show_form(struct strbuf *o)
{
	struct page page = page_of(SECTION_RESOURCES, "New resource");
	struct choice stacks[] = { { .value = "dual", .label = "IPv4 and IPv6" }, { .value = "ipv4", .label = "IPv4 only" } };
	struct choice types[] = { { .value = "dns", .label = "A name", .help = "app.example.com or *.example.com" }, { .value = "cidr", .label = "A network" } };
	struct choice days[] = { { .value = "mon", .label = "Monday", .is_chosen = true }, { .value = "tue", .label = "Tuesday", .is_disabled = true } };
	struct form_field fields[] = {
		{ .name = "address", .label = "Address", .help = "A name, an address or a network: we guess the kind.", .value = "10.0.0.0/33",
		  .error = "A network of IPv4 has at most 32 bits.", .is_code = true, .is_required = true, .is_focused = true, .placeholder = "10.0.0.0/8" },
		{ .name = "name", .label = "Name", .is_required = true, .placeholder = "Git" },
		{ .name = "type", .label = "Kind", .kind = INPUT_RADIO, .value = "dns", .error = "Choose one.", FORM_CHOICES(types) },
		{ .name = "days", .label = "Days", .kind = INPUT_CHECKS, .help = "When it may be used.", FORM_CHOICES(days) },
		{ .name = "ip_stack", .label = "Addresses", .kind = INPUT_SELECT, FORM_CHOICES(stacks) },
		{ .name = "description", .label = "Description", .kind = INPUT_TEXTAREA, .help = "A sentence or a link, for those who wonder." },
		{ .name = "tell", .label = "Tell me when it is first used", .kind = INPUT_CHECKBOX, .help = "By e-mail, once.", .value = "true" },
		{ .name = "until", .label = "Until", .kind = INPUT_DATETIME, .is_more = true, .error = "This is over." },
		{ .name = "code", .label = "Code", .kind = INPUT_CODE, .is_more = true },
	};
	struct form form = { .action = "/acme/resources", .submit = "Create resource", .cancel_href = "/acme/resources", .error = "Two things are missing.",
			     FORM_FIELDS(fields) };

	page.lead = "Something behind a gateway that people may reach.";
	page_crumb(&page, "Resources", "/acme/resources");
	template_base_begin(o, &page);
	template_form(o, &page, &form);
	template_base_end(o, &page);
}

static void show_charts(struct strbuf *o)
{
	static char label[HOURS][6];
	const char *labels[HOURS];
	u64 direct[HOURS], relayed[HOURS];
	struct chart bars = { .title = "Bytes per hour", .unit = "bytes", .labels = labels, .n_points = HOURS,
			      .series = { { "direct", direct }, { "relayed", relayed } }, .n_series = 2, .is_bars = true };
	struct chart lines = { .title = "Connections per hour", .labels = labels, .n_points = HOURS,
			       .series = { { "direct", direct }, { "relayed", relayed } }, .n_series = 2 };

	for (u32 i = 0; i < HOURS; i++) {
		snprintf(label[i], sizeof(label[i]), "%02u:00", i % HOURS);
		labels[i] = label[i];
		direct[i] = i * 7919 % 97 * 1000;
		relayed[i] = i * 104729 % 37 * 1000;
	}
	chart_scale(&bars);
	chart_scale(&lines);
	template_chart(o, &bars);
	template_chart(o, &lines);
}

static void show_detail(struct strbuf *o)
{
	struct page page = page_of(SECTION_SITES, "Berlin");

	page.action = "Deploy a gateway";
	page.action_href = "/acme/sites/1/new_token";
	page_crumb(&page, "Sites", "/acme/sites");
	template_base_begin(o, &page);
	template_facts_begin(o);
	template_fact_text(o, "Name", "Berlin");
	template_fact_text(o, "Gateways", "2 online, 1 offline");
	template_fact_text(o, "Id", "018f4f6e-0d1c-7aaa-8bbb-123456789abc");
	template_facts_end(o);
	template_part_begin(o, "Resources", "New resource", "/acme/resources/new");
	template_empty(o, &page, "resource", "Nothing to reach here yet",
		       "A resource is an address behind this site's gateways. Until there is one, connecting leads nowhere.", "New resource",
		       "/acme/resources/new");
	template_part_end(o, "Resources", "New resource", "/acme/resources/new");
	show_charts(o);
	template_secret(o, "token", "Gateway token", ".4QRLJ5PCH8UG2O0VSNT6M7K1FD9EIABXWYZ.4QRLJ5PCH8UG2O0VSNT6M7K1FD9EIABXWYZ.4QRLJ5PCH8UG2O0",
			"whoever has it can run a gateway of Berlin.");
	template_danger_begin(o);
	template_danger_item(o, "Deleting the site disconnects everybody who works through it.", "Delete site", "/acme/sites/1/delete");
	template_danger_end(o);
	template_base_end(o, &page);
}

static void show_confirm(struct strbuf *o)
{
	struct page page = page_of(SECTION_SITES, "Delete Berlin?");
	struct confirm_item items[] = { { 3, "resource", "resources", "are deleted", "/acme/resources?site=1" }, { 12, "person", "people", "lose access", NULL } };
	struct confirm confirm = { .kind = "site", .name = "Berlin", .action = "/acme/sites/1/delete", .cancel_href = "/acme/sites/1", .submit = "Delete site",
				   .dependents = items, .n_dependents = ARRAY_LEN(items), .typed = "Berlin" };

	template_confirm(o, &page, &confirm);
}

static void show_error(struct strbuf *o)
{
	struct page page = page_of(SECTION_NONE, "There is nothing here");

	page.lead = "The page was moved or deleted.";
	template_error(o, &page, "Check the address.", "/", "To the start");
}

static void show_passkey_create(struct strbuf *o)
{
	struct page page = page_of(SECTION_NONE, "Your sign-in");

	template_plain_begin(o, &page);
	template_passkey_make(o, &page, "/posted", json, "Make a passkey");
	template_plain_end(o, &page);
}

static void show_passkey_get(struct strbuf *o)
{
	struct page page = page_of(SECTION_NONE, "Sign in");
	struct signin_view v = { .passkey_action = "/posted", .passkey_options = json, .recover = "/acme/recover", .other_account = "/" };

	template_signin(o, &page, &v);
}

static const struct {
	const char *name;
	void (*show)(struct strbuf *o);
} pages[] = {
	{ "list", show_list },		{ "form", show_form },	 { "detail", show_detail },
	{ "confirm", show_confirm },	{ "error", show_error }, { "passkey-create", show_passkey_create },
	{ "passkey-get", show_passkey_get },
};

int main(int argc, char **argv)
{
	struct strbuf o = { 0 };
	const char *name = argc > 1 ? argv[1] : "names";

	theme = argc > 2 ? argv[2] : NULL;
	if (argc > 3)
		json = argv[3];
	for (size_t i = 0; i < ARRAY_LEN(pages); i++)
		if (strcmp(name, "names") == 0)
			puts(pages[i].name);
		else if (strcmp(name, pages[i].name) == 0)
			pages[i].show(&o);
	fwrite(strbuf_text(&o), 1, o.n, stdout);
	strbuf_free(&o);
	return 0;
}
