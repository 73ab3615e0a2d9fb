/* tests/unit/page_world.h: a browser in which an admin is signed in, and pages that must be fit for people and screen readers.
 *
 *	struct http_world *w = signed_in();
 *	char id[64];
 *	snprintf(id, sizeof(id), "%s", id_of(w, "site show Berlin"));
 *	EXPECT_HAS(get(w, path("/acme/sites/%s", id), 200)->body, "Berlin");
 */
#pragma once

#include "applets/portal/http/exchange_int.h"
#include "applets/portal/model/directory.h"
#include "tests/unit/html_check.h"
#include "tests/unit/http_world.h"

#include <stdio.h>
#include <string.h>

/* The browser holds a session of the account's first actor, of an id of these bytes. */
static inline void sign_in(struct http_world *w, u8 bytes)
{
	const struct directory *d = hub_directory(w->portal->portal.hub);
	u32 n;
	void *const *actors = directory_all(d, KIND_ACTOR, &directory_account_named(d, "acme")->e.id, &n);

	http_sign_in(w, &((const struct actor *)actors[0])->e.id, NULL, bytes);
}

static inline struct http_world *signed_in(void)
{
	struct http_world *w = http_new();

	sign_in(w, 7);
	return w;
}

static inline const char *id_of(struct http_world *w, const char *command)
{
	static char text[64];

	snprintf(text, sizeof(text), "%s", admin_value(w->portal, command, "id"));
	EXPECT(text[0] != '\0');
	return text;
}

static inline const char *path(const char *fmt, const char *id)
{
	static char text[256];

	snprintf(text, sizeof(text), fmt, id);
	return text;
}

/* A page that a person and a screen reader can use. */
static inline const struct reply *get(struct http_world *w, const char *where, int status)
{
	const struct reply *r = http_get(w, where);
	const char *fault;

	if (r->status != status)
		test_fail(__FILE__, __LINE__, "%s: %d instead of %d: %.300s", where, r->status, status, r->body);
	fault = html_page_fault(SPAN(r->body, r->body_len));
	if (fault)
		test_fail(__FILE__, __LINE__, "%s: %s", where, fault);
	return r;
}
