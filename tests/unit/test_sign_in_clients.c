/* Signing in for a client: with a GUI and without; the parameters it brings along. */
#include "core/http/url.h"
#include "tests/unit/sign_in_world.h"

static const char *parameter(const char *url, const char *name)
{
	static char out[4][1024];
	static u32 turn;
	const char *query = strchr(url, '?');
	char *to = out[turn++ % 4];

	to[0] = '\0';
	if (query && form_get(SPAN(query + 1, strlen(query + 1)), name, to, sizeof(out[0])) != 0)
		to[0] = '\0';
	return to;
}

TEST(spec60_18_a_gui_sign_in_ends_in_one_deep_link)
{
	static const char *const names[] = { "account_name", "account_slug", "actor_name", "fragment", "identity_provider_identifier", "state" };
	static const char *const as[] = { "client", "gui-client" };
	u8 secret[TOTP_SECRET_LEN];
	struct http_world *w = sign_in_world_with_user(secret);
	char link[4096], token[512], path[128];

	EXPECT_EQ(admin(w->portal, "account add --name Other --slug other"), 0);
	for (size_t i = 0; i < ARRAY_LEN(as); i++) {
		struct token_claim claim;
		const struct reply *r;

		snprintf(path, sizeof(path), "/acme?as=%s&nonce=0123abcd&state=s%%2B%%26%%3D1", as[i]);
		http_wait(w, SEC(60));
		(void)type_password(w, path, "ann@acme.example", SIGN_IN_PASSWORD);
		EXPECT_HAS(w->reply.location, "as=");
		EXPECT_HAS(w->reply.location, "nonce=0123abcd");
		r = give_code(w, code_of(secret));
		REQUIRE(r->status == 200);
		EXPECT_HAS(http_header(r, "refresh"), "0; url=/acme/sign_in/client_redirect");
		EXPECT(!has_session(w));
		r = http_get(w, "/acme/sign_in/client_redirect");
		REQUIRE(r->status == 302);
		snprintf(link, sizeof(link), "%s", r->location);
		EXPECT(strncmp(link, SIGNIN_DEEP_LINK "?", sizeof(SIGNIN_DEEP_LINK)) == 0);
		for (size_t n = 0; n < ARRAY_LEN(names); n++) {
			char once[64];
			snprintf(once, sizeof(once), "%c%s=", n == 0 ? '?' : '&', names[n]);
			const char *at = strstr(link, once);
			EXPECT(at && !strstr(at + 1, once));
		}
		EXPECT_STR(parameter(link, "state"), "s+&=1");
		EXPECT_STR(parameter(link, "account_slug"), "acme");
		EXPECT_STR(parameter(link, "actor_name"), "Ann & Co");
		EXPECT_STR(parameter(link, "identity_provider_identifier"), "ann@acme.example");
		EXPECT_EQ(parameter(link, "fragment")[0], '.');
		snprintf(token, sizeof(token), "0123abcd%s", parameter(link, "fragment"));
		EXPECT_EQ(token_open(&claim, TOKEN_CLIENT, token, &w->portal->portal.secrets), 0);
		EXPECT_STR(http_get(w, "/acme/sign_in/client_redirect")->location, link); /* loaded again */
		EXPECT_HAS(http_get(w, "/other/sign_in/client_redirect")->location, "/other/sign_in/client_auth_error");
		struct fake *f = join_client(w->portal, token, "laptop", '1');
		EXPECT_EVENT(f, "init");
		struct connect stolen = { .role = MSG_ROLE_CLIENT, .token = parameter(link, "fragment"), .external_id = "laptop2", .key = '2' };
		EXPECT(!connect_as(w->portal, &stolen)->peer); /* the fragment alone is worth nothing */
		hang_up(f);
		http_wait(w, SEC(121));
		EXPECT_HAS(http_get(w, "/acme/sign_in/client_redirect")->location, "/acme/sign_in/client_auth_error");
		EXPECT_HAS(http_get(w, "/acme/sign_in/client_auth_error?as=gui-client&state=x")->body, "/acme?as=gui-client&amp;state=x");
		http_forget(w);
	}
	http_free(w);
}

/* Apple's client decodes twice: what is left after the first time must be no broken percent sequence. */
TEST(a_deep_link_names_nobody_with_a_percent_sign)
{
	u8 secret[TOTP_SECRET_LEN];
	struct http_world *w = sign_in_world_with_user(secret);
	const char *link;

	EXPECT_EQ(admin(w->portal, "actor update ann@acme.example --name '50% Ann'"), 0);
	(void)type_password(w, "/acme?as=gui-client&nonce=0123abcd&state=s", "ann@acme.example", SIGN_IN_PASSWORD);
	REQUIRE(give_code(w, code_of(secret))->status == 200);
	link = http_get(w, "/acme/sign_in/client_redirect")->location;
	EXPECT_STR(parameter(link, "actor_name"), "50\xef\xbc\x85 Ann");
	EXPECT_STR(parameter(link, "state"), "s");
	http_free(w);
}

TEST(spec60_19_a_headless_sign_in_ends_in_a_page_with_the_token)
{
	u8 secret[TOTP_SECRET_LEN];
	struct http_world *w = sign_in_world_with_user(secret);
	const struct reply *r;
	char token[512];

	(void)type_password(w, "/acme?as=headless-client", "ann@acme.example", SIGN_IN_PASSWORD);
	r = give_code(w, code_of(secret));
	REQUIRE(r->status == 200);
	const char *text = html_between(r->body, "<pre id=\"token-value\">", "<");
	snprintf(token, sizeof(token), "%s", text + strspn(text, "\n"));
	EXPECT_EQ(token[0], '.');
	EXPECT_HAS(r->body, "Ann &amp; Co");
	EXPECT_HAS(r->body, "(acme)");
	EXPECT_HAS(r->body, "FIREZONE_TOKEN");
	struct fake *f = join_client(w->portal, token, "server", '1');
	EXPECT_EVENT(f, "init");
	http_free(w);
}

TEST(spec60_20_the_portal_is_for_admins_and_clients_for_both)
{
	u8 secret[TOTP_SECRET_LEN], jo_secret[TOTP_SECRET_LEN];
	struct http_world *w = sign_in_world_with_user(secret);
	char recovery[RECOVERY_STRLEN];

	(void)type_password(w, "/acme", "ann@acme.example", SIGN_IN_PASSWORD);
	EXPECT_STR(give_code(w, code_of(secret))->location, "/acme");
	EXPECT_HAS(http_get(w, "/acme")->body, "for administrators");
	EXPECT(!has_session(w));
	http_forget(w);
	enrol(w, "jo@acme.example", jo_secret, recovery);
	(void)type_password(w, "/acme?as=headless-client", "jo@acme.example", SIGN_IN_PASSWORD);
	EXPECT_EQ(give_code(w, code_of(jo_secret))->status, 200);
	http_free(w);
}

TEST(spec60_17_parameters_are_carried_and_empty_ones_dropped)
{
	struct http_world *w = sign_in_world();
	const struct reply *r = http_get(w, "/?as=gui-client&nonce=n1&state=s1&redirect_to=&other=1");

	EXPECT_EQ(r->status, 200);
	EXPECT_STR(action_of(r->body, "/"), "/?as=gui-client&state=s1&nonce=n1");
	r = http_post(w, "/?as=gui-client&state=s1&nonce=n1", "account=ACME");
	EXPECT_STR(r->location, "/acme?as=gui-client&state=s1&nonce=n1");
	r = http_post(w, "/", "account=https%3A%2F%2Fportal.example%2Facme%2Fsites");
	EXPECT_STR(r->location, "/acme");
	r = http_post(w, "/", "account=nowhere");
	EXPECT_EQ(r->status, 422);
	EXPECT_HAS(r->body, "value=\"nowhere\"");
	EXPECT_EQ(http_get(w, "/nowhere")->status, 404);
	http_free(w);
}
