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
	struct portal *p = &w->portal->portal;
	const struct account *acme = directory_account_named(hub_directory(p->hub), "acme");
	struct portal_session s;
	char name[64], id[UUID_STRLEN], cookie[COOKIE_STRLEN];
	u32 n;
	void *const *actors = directory_all(hub_directory(p->hub), KIND_ACTOR, &acme->e.id, &n);

	entity_init(KIND_PORTAL_SESSION, &s);
	s.e.account_id = acme->e.id;
	memset(s.e.id.b, bytes, sizeof(s.e.id.b));
	s.actor_id = ((const struct actor *)actors[0])->e.id;
	s.expires_at = (i64)(portal_wall / 1000) + 3600 * 1000000ll;
	EXPECT_EQ(store_begin(p->store, STORE_DURABLE), 0);
	EXPECT_EQ(store_insert(p->store, KIND_PORTAL_SESSION, &s, portal_wall), 0);
	EXPECT_EQ(store_commit(p->store), 0);
	snprintf(name, sizeof(name), "sess_%s", uuid_format(&acme->e.id, id));
	EXPECT_EQ(cookie_seal(w->server.cookie_key, name, SPAN(s.e.id.b, sizeof(s.e.id.b)), portal_wall / 1000000000, 28800, cookie), 0);
	snprintf(w->cookie[0], sizeof(w->cookie[0]), "%s=%s", name, cookie);
	entity_deinit(KIND_PORTAL_SESSION, &s);
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
