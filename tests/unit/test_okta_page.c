/* The key of an Okta directory is made by the portal, and its private half never leaves it (web/key_draft.h). */
#include "tests/unit/page_world.h"

#include "applets/portal/web/key_draft.h"

#include <stdlib.h>

#define NEW "/acme/settings/directory_sync/okta/new"

static const char *value_of(const struct reply *r, const char *name)
{
	static char value[8192];
	const char *at = strstr(r->body, name), *v = at ? strstr(at, "value=\"") : NULL;

	snprintf(value, sizeof(value), "%.*s", v ? (int)strcspn(v + 7, "\"") : 0, v ? v + 7 : "");
	return value;
}

TEST(a_key_is_made_and_only_its_public_half_is_shown)
{
	struct http_world *w = signed_in();
	const struct reply *r = get(w, NEW, 200);
	struct strbuf form = { .p = NULL };
	const char *draft;

	EXPECT_HAS(r->body, "Create a key");
	r = http_post(w, NEW, "name=Staff&okta-domain=acme.okta.com&client-id=c1&private-key-jwk=&kid=&key-draft=bm90aGluZw");
	EXPECT_EQ(r->status, 422);
	EXPECT_HAS(r->body, "There is no key yet");
	r = http_post(w, NEW, "name=Staff&okta-domain=acme.okta.com&client-id=c1&private-key-jwk=&kid=&make-key=1");
	EXPECT_EQ(r->status, 200);
	EXPECT(!html_page_fault(SPAN(r->body, r->body_len)));
	EXPECT_HAS(r->body, "value=\"Staff\"");
	EXPECT_HAS(r->body, "&#34;kty&#34;");
	EXPECT(!strstr(r->body, "&#34;d&#34;") && !strstr(r->body, "&#34;p&#34;"));
	draft = value_of(r, "name=\"key-draft\"");
	EXPECT(strlen(draft) > 1000);
	/* nobody serves directories here, so that the trial ends with 503: but the key was taken */
	strbuf_printf(&form, "name=Staff&okta-domain=acme.okta.com&client-id=c1&private-key-jwk=&kid=&key-draft=%s", draft);
	EXPECT_EQ(http_post(w, NEW, strbuf_text(&form))->status, 503);
	sign_in(w, 9); /* another session */
	r = http_post(w, NEW, strbuf_text(&form));
	EXPECT_EQ(r->status, 422);
	EXPECT_HAS(r->body, "There is no key yet");
	strbuf_free(&form);
	http_free(w);
}

TEST(a_draft_opens_whole_or_not_at_all)
{
	struct http_world *h = http_new();
	struct web w = { .x = NULL };
	struct okta_key_texts in = { "{\"d\":\"secret\"}", "{\"n\":\"public\"}", "kid" }, out;
	struct run run = { .x = { .portal = &h->portal->portal } };
	char text[512];

	w.x = &run.x;
	memset(w.me.session_id.b, 1, sizeof(w.me.session_id.b));
	snprintf(text, sizeof(text), "%s", key_draft_seal(&w, &in));
	if (EXPECT_EQ(key_draft_open(&w, text, &out), 0)) {
		EXPECT_STR(out.private_jwk, in.private_jwk);
		EXPECT_STR(out.public_jwk, in.public_jwk);
		EXPECT_STR(out.kid, in.kid);
	}
	for (size_t i = 0; i + 2 < strlen(text); i += 7) {
		char was = text[i];
		text[i] = was == 'x' ? 'y' : 'x';
		EXPECT_EQ(key_draft_open(&w, text, &out), ERR_AUTH);
		text[i] = was;
	}
	EXPECT_EQ(key_draft_open(&w, "", &out), ERR_AUTH);
	EXPECT_EQ(key_draft_open(&w, "%%%", &out), ERR_AUTH);
	w.me.session_id.b[0] = 2;
	EXPECT_EQ(key_draft_open(&w, text, &out), ERR_AUTH);
	for (void *at = run.memory, *next; at; at = next) {
		memcpy(&next, at, sizeof(next));
		free(at);
	}
	http_free(h);
}
