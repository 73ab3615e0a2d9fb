/* applets/portal/web/page.h: what every page has: who looks at it, where in the portal it is, what the layouts show around its content.
 *
 * A view fills a struct page by page_init() and sets what is its own (section, title, lead, crumbs, primary action); its template begins with
 * `{% layout base(page) %}` (signed in) or `{% layout plain(page) %}` (sign-in, errors). All strings are borrowed until the template ran; NULL is
 * "there is none". The layouts write the one <h1> (the title), so templates write <h2> and below.
 */
#pragma once

#include "applets/portal/web/html.h"

struct exchange;

enum section {
	SECTION_NONE,
	SECTION_OVERVIEW,
	SECTION_SITES,
	SECTION_RESOURCES,
	SECTION_POLICIES,
	SECTION_CLIENTS,
	SECTION_PEOPLE,
	SECTION_RELAYS,
	SECTION_ACTIVITY,
	SECTION_SETTINGS,
	SECTION_COUNT,
};

/* The left rail: the label, the path behind /<account>/ and the icon of each section. */
struct section_link {
	const char *label, *path, *icon;
};
extern const struct section_link page_sections[SECTION_COUNT];

enum tone { TONE_PLAIN, TONE_GOOD, TONE_WARN, TONE_BAD };
/* "good", "warn", "bad", "plain": the class of it. */
const char *tone_class(enum tone tone);

/* A sentence on top of the page, with a link that helps. */
struct notice {
	enum tone tone;
	const char *text;
	const char *link, *link_label; /* NULL: none */
};

#define PAGE_CRUMBS_MAX 4u
#define PAGE_BANNERS_MAX 3u

struct page {
	/* who */
	const char *account_name, *account_slug;
	const char *base; /* "/acme": links of the account begin with it */
	const char *viewer_name, *viewer_email;

	/* of this answer */
	const char *csrf, *nonce;
	const char *css, *js, *icons, *favicon; /* URLs of assets */
	const char *theme;			/* "light" or "dark" when pinned */
	i64 now;				/* microseconds since 1970 */

	/* where */
	enum section section;
	const char *title; /* <h1> and <title> */
	const char *lead;  /* one sentence of what this is */
	struct {
		const char *label, *href;
	} crumb[PAGE_CRUMBS_MAX]; /* the levels above, from the top; the page itself is not one */
	u32 n_crumbs;
	const char *action, *action_href; /* the primary action */
	const char *search;		  /* what was searched for */

	/* what is to be told */
	struct notice flash;			 /* of the action that led here; text NULL = none */
	const char *undo_href;			 /* POSTing here within undo_secs takes it back */
	const char *undo_back;		 /* this page below `base`, sent along: where one is again when it was too late */
	u32 undo_secs;
	struct notice banner[PAGE_BANNERS_MAX]; /* limits, a disabled account */
	u32 n_banners;

	/* Regions marked `data-live="key"` follow the stream of /<account>/live?topics=…; NULL: a page at rest. A list says by list_region of which region
	 * it is, and "3 changes since you opened this" appears when that is published without content (http/live.h). */
	const char *live_topics; /* "clients,gateways" */
	const char *list_region; /* "resources" */
};

/* What every answer has: nonce, CSRF token, assets, theme, time, and the flash of the page before. Enough for the layout `plain`; web_begin() (web.h) adds whose
 * page it is, for `base`. */
void page_init(struct page *page, struct exchange *x, const char *title);

/* 403, 404, 429, 5xx … as a page; `reason` NULL: our words. Sends. */
void page_problem(struct exchange *x, u16 status, const char *reason);

void page_crumb(struct page *page, const char *label, const char *href);
void page_banner(struct page *page, enum tone tone, const char *text, const char *link, const char *link_label);
