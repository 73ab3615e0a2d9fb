/* applets/portal/web/views_find.h: what the search box finds. */
#pragma once

#include "applets/portal/web/page.h"

#define FOUND_MAX 50u
#define FOUND_WHILE_TYPING 8u

struct found {
	const char *title, *detail; /* detail may be NULL */
	const char *what, *icon;    /* "site" */
	const char *href;
};

struct find_view {
	const char *text; /* what was asked */
	struct found at[FOUND_MAX];
	u32 n;
};
