#include "applets/portal/web/page.h"

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
