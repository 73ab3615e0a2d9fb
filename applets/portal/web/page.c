#include "applets/portal/web/page.h"

#include "applets/portal/http/assets.h"
#include "applets/portal/http/exchange.h"
#include "applets/portal/web/templates.h"

#include <stdio.h>
#include <string.h>

const struct section_link page_sections[SECTION_COUNT] = {
	[SECTION_NONE] = { "", "", "" },
	[SECTION_OVERVIEW] = { "Overview", "overview", "overview" },
	[SECTION_SITES] = { "Sites", "sites", "site" },
	[SECTION_RESOURCES] = { "Resources", "resources", "resource" },
	[SECTION_POLICIES] = { "Policies", "policies", "policy" },
	[SECTION_CLIENTS] = { "Clients", "clients", "client" },
	[SECTION_PEOPLE] = { "People", "actors", "people" },
	[SECTION_RELAYS] = { "Relays", "relays", "relay" },
	[SECTION_ACTIVITY] = { "Activity", "activity", "activity" },
	[SECTION_SETTINGS] = { "Settings", "settings/account", "settings" },
};

const char *tone_class(enum tone tone)
{
	switch (tone) {
	case TONE_PLAIN: return "plain";
	case TONE_GOOD: return "good";
	case TONE_WARN: return "warn";
	case TONE_BAD: return "bad";
	}
	return "plain";
}

void page_crumb(struct page *page, const char *label, const char *href)
{
	if (page->n_crumbs == PAGE_CRUMBS_MAX)
		return;
	page->crumb[page->n_crumbs].label = label;
	page->crumb[page->n_crumbs++].href = href;
}

void page_banner(struct page *page, enum tone tone, const char *text, const char *link, const char *link_label)
{
	if (page->n_banners < PAGE_BANNERS_MAX)
		page->banner[page->n_banners++] = (struct notice){ tone, text, link, link_label };
}

/* The theme is pinned by the script, in a cookie that is neither signed nor secret. */
static const char *pinned_theme(const struct http_head *head)
{
	static const char *const themes[] = { "light", "dark" };
	struct span cookie = http_field(head, "cookie");

	for (size_t i = 0; i < ARRAY_LEN(themes); i++) {
		char want[16];
		int n = snprintf(want, sizeof(want), "theme=%s", themes[i]);
		const u8 *at = cookie.n > 0 ? memmem(cookie.p, cookie.n, want, (size_t)n) : NULL;
		if (at && (at == cookie.p || at[-1] == ' ' || at[-1] == ';'))
			return themes[i];
	}
	return NULL;
}

static void init_common(struct page *page, struct exchange *x, const char *title)
{
	*page = (struct page){
		.title = title,
		.nonce = x->nonce,
		.css = asset_url("app.css"),
		.js = asset_url("app.js"),
		.icons = asset_url("icons.svg"),
		.favicon = asset_url("favicon.svg"),
		.theme = pinned_theme(x->head),
		.now = (i64)(x->wall / 1000),
	};
}

void page_init(struct page *page, struct exchange *x, const char *title)
{
	enum flash kind;

	init_common(page, x, title);
	page->csrf = exchange_csrf(x);
	page->flash.text = exchange_take_flash(x, &kind);
	if (page->flash.text)
		page->flash.tone = kind == FLASH_ERROR ? TONE_BAD : TONE_GOOD;
}

static const struct {
	u16 status;
	const char *title, *lead, *todo;
} problems[] = {
	{ 400, "That request made no sense", "The portal could not read what the browser sent.", "Go back, load the page anew and try once more." },
	{ 403, "That is not allowed", "The portal refused this, for your sake or for others'.", "Go back, load the page anew and try once more. You may have to sign in again." },
	{ 404, "There is nothing here", "The page was moved or deleted, or the address has a typing error.", "Check the address, or begin at the start." },
	{ 405, "That cannot be done here", "This address answers other requests.", "Go back and try once more." },
	{ 413, "That was too much", "More was sent than this page takes.", "Go back and send less at once." },
	{ 429, "Too many requests", "From where you are, more was asked than the portal answers in so short a time.", "Wait a minute, then try once more." },
	{ 500, "Something broke", "The portal could not finish this. It was our fault, and it is in the log.", "Try once more. When it stays so, tell whoever runs this portal." },
	{ 503, "Not now", "The portal is starting, going down, or full.", "Wait a moment, then try once more." },
};

void page_problem(struct exchange *x, u16 status, const char *reason)
{
	struct page page;
	size_t i = 0;

	while (i + 1 < ARRAY_LEN(problems) && problems[i].status != status)
		i++;
	if (problems[i].status != status)
		for (i = 0; i + 1 < ARRAY_LEN(problems) && problems[i].status != (status < 500 ? 400 : 500);)
			i++;
	init_common(&page, x, problems[i].title);
	page.lead = reason ? reason : problems[i].lead;
	exchange_status(x, status);
	strbuf_reset(&x->out);
	template_error(&x->out, &page, problems[i].todo, status == 404 ? "/" : NULL, "To the start");
	exchange_send(x);
}
