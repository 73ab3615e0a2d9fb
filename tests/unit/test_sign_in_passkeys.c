/* Passkeys, by an authenticator of our own: for their owner only, and once per challenge. */
#include "core/base/encode.h"
#include "core/http/url.h"
#include "tests/unit/authenticator.h"
#include "tests/unit/sign_in_world.h"

#include <stdlib.h>

static void encode(struct strbuf *b, const char *name, const void *bytes, size_t n)
{
	char text[4096];

	base64url_encode(text, sizeof(text), SPAN(bytes, n));
	strbuf_printf(b, "%s%s=%s", b->n ? "&" : "", name, text);
}

static void challenge_of(const char *body, u8 challenge[static WEBAUTHN_CHALLENGE_LEN])
{
	const char *text = html_between(body, "\"challenge\":\"", "\"");

	EXPECT_EQ(base64url_decode(challenge, WEBAUTHN_CHALLENGE_LEN, SPAN(text, strlen(text))), WEBAUTHN_CHALLENGE_LEN);
}

static void authenticator_here(struct authenticator *a, bool is_ed25519)
{
	authenticator_init(a, is_ed25519, 9);
	snprintf(a->origin, sizeof(a->origin), "https://portal.example");
	snprintf(a->rp_id, sizeof(a->rp_id), "portal.example");
}

/* The form that the script would send for a page with the options of get(). */
static char *assertion(struct authenticator *a, const char *body, const struct uuid *actor)
{
	u8 challenge[WEBAUTHN_CHALLENGE_LEN];
	struct strbuf b = { 0 };
	struct ceremony c;

	challenge_of(body, challenge);
	a->sign_count++;
	authenticator_get(a, &c, challenge);
	encode(&b, "credential_id", a->id, sizeof(a->id));
	encode(&b, "client_data", c.client_data, c.client_n);
	encode(&b, "authenticator_data", c.auth_data, c.auth_n);
	encode(&b, "signature", c.signature, c.signature_n);
	encode(&b, "user_handle", actor->b, sizeof(actor->b));
	return strbuf_take(&b);
}

static const struct reply *enrol_passkey(struct http_world *w, struct authenticator *a, const char *email)
{
	u8 challenge[WEBAUTHN_CHALLENGE_LEN];
	struct strbuf b = { 0 };
	struct ceremony c;
	char path[256];

	snprintf(path, sizeof(path), "%s", link_for(w, email, LINK_INVITE));
	challenge_of(http_get(w, path)->body, challenge);
	authenticator_create(a, &c, challenge);
	encode(&b, "client_data", c.client_data, c.client_n);
	encode(&b, "attestation", c.object, c.object_n);
	strcat(path, "/passkey");
	const struct reply *r = http_post(w, path, strbuf_text(&b));
	strbuf_free(&b);
	return r;
}

TEST(a_passkey_signs_in_once_per_challenge_and_for_its_owner)
{
	for (int ed = 0; ed <= 1; ed++) {
		struct http_world *w = sign_in_world();
		struct uuid jo = id_of(w, "actor show jo@acme.example", "id"), other = { { 9 } };
		struct authenticator a;
		char action[512], *form;
		const struct reply *r;

		authenticator_here(&a, ed);
		r = enrol_passkey(w, &a, "jo@acme.example");
		REQUIRE(r->status == 200);
		EXPECT_HAS(r->body, "Your recovery codes");
		EXPECT(has_session(w));
		http_forget(w);

		r = http_get(w, "/acme");
		snprintf(action, sizeof(action), "%s", action_of(r->body, "/passkey"));
		form = assertion(&a, r->body, &other);
		EXPECT_STR(http_post(w, action, form)->location, "/acme");
		free(form);
		EXPECT(!has_session(w));

		form = assertion(&a, http_get(w, "/acme")->body, &jo);
		EXPECT_STR(http_post(w, action, form)->location, "/acme/sites");
		EXPECT(has_session(w));
		char kept[COOKIES_MAX][3400];
		memcpy(kept, w->cookie, sizeof(kept));
		http_forget(w);
		(void)http_get(w, "/acme");
		EXPECT_STR(http_post(w, action, form)->location, "/acme"); /* its challenge is another browser's */
		EXPECT(!has_session(w));
		free(form);
		http_free(w);
	}
}

TEST(a_challenge_is_used_once_even_with_its_cookie)
{
	struct http_world *w = sign_in_world();
	struct uuid jo = id_of(w, "actor show jo@acme.example", "id");
	struct authenticator a;
	char action[512], *form, kept[COOKIES_MAX][3400];
	const struct reply *r;

	authenticator_here(&a, false);
	REQUIRE(enrol_passkey(w, &a, "jo@acme.example")->status == 200);
	http_forget(w);
	r = http_get(w, "/acme");
	snprintf(action, sizeof(action), "%s", action_of(r->body, "/passkey"));
	form = assertion(&a, r->body, &jo);
	memcpy(kept, w->cookie, sizeof(kept));
	EXPECT_STR(http_post(w, action, form)->location, "/acme/sites");
	memcpy(w->cookie, kept, sizeof(kept));
	EXPECT_STR(http_post(w, action, form)->location, "/acme");
	EXPECT(!has_session(w));
	free(form);
	r = http_get(w, "/acme");
	form = assertion(&a, r->body, &jo);
	http_wait(w, SEC(WEBAUTHN_CHALLENGE_SECS + 1));
	EXPECT_STR(http_post(w, action, form)->location, "/acme");
	free(form);
	http_free(w);
}
