/* Sessions of browsers: their cookies, and whatever ends them. */
#include "core/http/url.h"
#include "tests/unit/sign_in_world.h"

static const char *cookie_named(struct http_world *w, const char *prefix)
{
	for (int i = 0; i < COOKIES_MAX; i++)
		if (strncmp(w->cookie[i], prefix, strlen(prefix)) == 0)
			return w->cookie[i];
	return "";
}

TEST(spec60_28_session_cookies_are_signed_closed_to_scripts_and_backed_by_a_row)
{
	struct http_world *w = sign_in_world();
	u8 secret[TOTP_SECRET_LEN];
	char recovery[RECOVERY_STRLEN], first[3400], second[3400], line[4096];
	const struct reply *r;

	enrol(w, "jo@acme.example", secret, recovery);
	(void)type_password(w, "/acme", "jo@acme.example", SIGN_IN_PASSWORD);
	r = give_code(w, code_of(secret));
	const char *p = strstr(r->head, "Set-Cookie: sess_");
	REQUIRE(p != NULL);
	snprintf(line, sizeof(line), "%.*s", (int)strcspn(p, "\r"), p);
	EXPECT_HAS(line, "HttpOnly");
	EXPECT_HAS(line, "SameSite=Lax");
	EXPECT_HAS(line, "Path=/");
	snprintf(first, sizeof(first), "%s", cookie_named(w, "sess_"));
	EXPECT(has_session(w));

	/* what was signed out is over */
	http_wait(w, SEC(60));
	http_forget(w);
	(void)http_get(w, "/acme");
	snprintf(w->cookie[COOKIES_MAX - 1], sizeof(w->cookie[0]), "%s", first);
	EXPECT(has_session(w));
	(void)http_post(w, "/acme/sign_out", "");
	snprintf(w->cookie[COOKIES_MAX - 1], sizeof(w->cookie[0]), "%s", first);
	EXPECT(!has_session(w)); /* the row is gone, whatever the cookie says */
	http_forget(w);
	(void)type_password(w, "/acme", "jo@acme.example", SIGN_IN_PASSWORD);
	(void)give_code(w, code_of(secret));
	EXPECT(has_session(w));
	snprintf(second, sizeof(second), "%s", cookie_named(w, "sess_"));
	EXPECT(strcmp(first, second) != 0);

	/* tampering */
	char *value = strchr(w->cookie[0], '=');
	for (int i = 0; i < COOKIES_MAX; i++)
		if (strncmp(w->cookie[i], "sess_", 5) == 0)
			value = w->cookie[i];
	char *last = value + strlen(value) / 2;
	*last = *last == 'A' ? 'B' : 'A';
	EXPECT(!has_session(w));
	http_free(w);
}

/* Nobody's session, cookie or token from before is worth anything after: not what another planted in this browser either. */
TEST(signing_in_makes_session_and_form_token_anew)
{
	struct http_world *w = sign_in_world();
	u8 secret[TOTP_SECRET_LEN];
	char recovery[RECOVERY_STRLEN], first[3400], csrf[64], browser[COOKIES_MAX][3400];

	enrol(w, "jo@acme.example", secret, recovery);
	(void)type_password(w, "/acme", "jo@acme.example", SIGN_IN_PASSWORD);
	(void)give_code(w, code_of(secret));
	snprintf(first, sizeof(first), "%s", cookie_named(w, "sess_"));
	(void)http_get(w, "/acme/settings/security");
	snprintf(csrf, sizeof(csrf), "%s", w->csrf);
	memcpy(browser, w->cookie, sizeof(browser));
	http_wait(w, SEC(60));
	http_forget(w);
	(void)type_password(w, "/acme", "jo@acme.example", SIGN_IN_PASSWORD); /* up to the second factor without the session */
	snprintf(w->cookie[COOKIES_MAX - 1], sizeof(w->cookie[0]), "%s", first);
	(void)give_code(w, code_of(secret));
	EXPECT(has_session(w));
	EXPECT(strcmp(first, cookie_named(w, "sess_")) != 0);
	EXPECT(strcmp(csrf, w->csrf) != 0);
	const struct reply *r = http_get(w, "/acme/activity?kind=portal+session"); /* who came, from where, and what ended */
	EXPECT_HAS(r->body, "made portal session Jo");
	EXPECT_HAS(r->body, "deleted portal session Jo");
	EXPECT_HAS(r->body, "203.0.113.7");
	EXPECT_HAS(r->body, "<option value=\"API token\"");
	memcpy(w->cookie, browser, sizeof(browser));
	EXPECT(!has_session(w)); /* its row went when the new one came */
	http_free(w);
}

TEST(what_ends_a_right_ends_its_sessions_at_the_next_request)
{
	static const char *const ends[] = { "actor disable jo@acme.example", "actor update jo@acme.example --type user", NULL };

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		struct http_world *w = sign_in_world();
		u8 secret[TOTP_SECRET_LEN];
		char recovery[RECOVERY_STRLEN];

		EXPECT_EQ(admin(w->portal, "actor add --type admin --name Al --email al@acme.example"), 0);
		enrol(w, "jo@acme.example", secret, recovery);
		(void)type_password(w, "/acme", "jo@acme.example", SIGN_IN_PASSWORD);
		(void)give_code(w, code_of(secret));
		EXPECT(has_session(w));
		if (ends[i])
			EXPECT_EQ(admin(w->portal, ends[i]), 0);
		else
			http_wait(w, SEC(PORTAL_SESSION_SECS));
		EXPECT(!has_session(w));
		http_free(w);
	}
}

TEST(forms_without_the_browsers_token_are_refused)
{
	struct http_world *w = sign_in_world();
	u8 secret[TOTP_SECRET_LEN];
	char recovery[RECOVERY_STRLEN];

	enrol(w, "jo@acme.example", secret, recovery);
	(void)type_password(w, "/acme", "jo@acme.example", SIGN_IN_PASSWORD);
	(void)give_code(w, code_of(secret));
	EXPECT(has_session(w));
	EXPECT_EQ(http_ask(w, "POST", "/acme/sign_out", "application/x-www-form-urlencoded", "")->status, 403);
	EXPECT_EQ(http_ask(w, "POST", "/acme/settings/security/codes", "application/x-www-form-urlencoded", "_csrf=x")->status, 403);
	EXPECT(has_session(w));
	http_free(w);
}

static int switch_provider(struct http_world *w, int type, int context, bool is_disabled)
{
	struct store *s = w->portal->portal.store;
	struct uuid account = id_of(w, "account show acme", "id");
	const struct store_filter filter = { "type", FILTER_IS, provider_type_names[type] };
	struct auth_provider row;
	int rc = store_find(s, KIND_AUTH_PROVIDER, &account, &filter, 1, &row);

	if (rc)
		return rc;
	row.context = context;
	row.disabled_at = is_disabled;
	rc = store_begin(s, STORE_DURABLE);
	rc = rc ? rc : store_update(s, KIND_AUTH_PROVIDER, &row, portal_wall);
	entity_deinit(KIND_AUTH_PROVIDER, &row);
	return rc ? rc : store_commit(s);
}

TEST(spec60_21_the_context_of_a_provider_binds_also_passwords)
{
	u8 secret[TOTP_SECRET_LEN];
	struct http_world *w = sign_in_world_with_user(secret);
	char recovery[RECOVERY_STRLEN], action[1024];
	const struct reply *r;

	enrol(w, "jo@acme.example", secret, recovery);
	r = http_get(w, "/acme");
	snprintf(action, sizeof(action), "%s", action_of(r->body, "/passkey"));
	action[strlen(action) - 8] = '\0'; /* …/userpass/ID */
	EXPECT_EQ(switch_provider(w, PROVIDER_USERPASS, CONTEXT_CLIENTS, false), 0);
	EXPECT(!strstr(http_get(w, "/acme")->body, "userpass"));
	r = http_post(w, action, "userpass%5Bidp_id%5D=jo%40acme.example&userpass%5Bsecret%5D=tea+with+seven+ducks");
	EXPECT_STR(r->location, "/acme");
	EXPECT_HAS(http_get(w, "/acme")->body, "for clients only");
	EXPECT_HAS(type_password(w, "/acme?as=gui-client", "jo@acme.example", SIGN_IN_PASSWORD)->location, "/code");
	EXPECT_EQ(switch_provider(w, PROVIDER_USERPASS, CONTEXT_PORTAL, false), 0);
	snprintf(action, sizeof(action), "%s", w->reply.location); /* between two steps */
	EXPECT_HAS(http_get(w, action)->location, "/sign_in/client_auth_error");
	EXPECT_HAS(http_post(w, action, "code=123456")->location, "/sign_in/client_auth_error");
	EXPECT(!strstr(http_get(w, "/acme?as=headless-client")->body, "userpass"));
	EXPECT_EQ(switch_provider(w, PROVIDER_USERPASS, CONTEXT_BOTH, false), 0);
	(void)type_password(w, "/acme", "jo@acme.example", SIGN_IN_PASSWORD);
	http_wait(w, SEC(60));
	(void)give_code(w, code_of(secret));
	EXPECT(has_session(w));
	EXPECT_EQ(switch_provider(w, PROVIDER_USERPASS, CONTEXT_BOTH, true), 0);
	EXPECT(!has_session(w));
	http_free(w);
}

TEST(an_account_that_is_closed_lets_admins_in_but_no_clients)
{
	u8 secret[TOTP_SECRET_LEN];
	struct http_world *w = sign_in_world_with_user(secret);

	EXPECT_EQ(admin(w->portal, "account disable acme"), 0);
	EXPECT_EQ(http_get(w, "/acme?as=gui-client")->status, 403);
	EXPECT_HAS(w->reply.body, "This account is disabled");
	EXPECT_EQ(http_get(w, "/acme")->status, 200);
	http_free(w);
}

TEST(spec60_27_a_provider_that_is_switched_off_takes_its_sessions_and_clients_along)
{
	u8 secret[TOTP_SECRET_LEN], jo_secret[TOTP_SECRET_LEN];
	struct http_world *w = sign_in_world_with_user(secret);
	char recovery[RECOVERY_STRLEN], token[512];

	enrol(w, "jo@acme.example", jo_secret, recovery);
	(void)type_password(w, "/acme?as=headless-client", "ann@acme.example", SIGN_IN_PASSWORD);
	const char *text = html_between(give_code(w, code_of(secret))->body, "<pre id=\"token-value\">", "<");
	snprintf(token, sizeof(token), "%s", text + strspn(text, "\n"));
	struct fake *f = join_client(w->portal, token, "laptop", '1');
	EXPECT_EVENT(f, "init");
	(void)type_password(w, "/acme", "jo@acme.example", SIGN_IN_PASSWORD);
	(void)give_code(w, code_of(jo_secret));
	EXPECT(has_session(w));

	EXPECT_EQ(admin(w->portal, "provider disable 'Passkey or password'"), 0);
	EXPECT(!has_session(w));
	EXPECT_EVENT(f, "disconnect");
	EXPECT_EQ(admin(w->portal, "provider enable 'Passkey or password'"), 0);
	EXPECT(!has_session(w)); /* gone, not asleep */
	struct connect again = { .role = MSG_ROLE_CLIENT, .token = token, .external_id = "laptop", .key = '1' };
	EXPECT(!connect_as(w->portal, &again)->peer);
	http_free(w);
}

TEST(spec60_28_one_browser_is_in_several_accounts_at_once)
{
	struct http_world *w = sign_in_world();
	static const char *const accounts[] = { "acme", "pond" };
	u8 secret[TOTP_SECRET_LEN];
	char recovery[RECOVERY_STRLEN], path[2048], form[256];

	EXPECT_EQ(admin(w->portal, "account add --name Pond --slug pond"), 0);
	enrol(w, "jo@acme.example", secret, recovery);
	(void)type_password(w, "/acme", "jo@acme.example", SIGN_IN_PASSWORD);
	(void)give_code(w, code_of(secret));
	snprintf(path, sizeof(path), "%s", strstr(admin_value(w->portal, "link add --purpose setup --account pond", "url"), "/auth/link/"));
	(void)http_get(w, path);
	snprintf(path, sizeof(path), "%s/password", http_post(w, path, "network=Pond&name=Bo&email=bo%40pond.example")->location);
	path[strlen(path) - 9] = '\0';
	read_secret(http_get(w, path)->body, secret);
	strcat(path, "/password");
	snprintf(form, sizeof(form), "password=tea+with+seven+ducks&again=tea+with+seven+ducks&code=%s", code_of(secret));
	EXPECT_EQ(http_post(w, path, form)->status, 200);
	for (size_t i = 0; i < ARRAY_LEN(accounts); i++) {
		snprintf(path, sizeof(path), "/%s/settings/security", accounts[i]);
		EXPECT_EQ(http_get(w, path)->status, 200);
	}
	const struct reply *r = http_get(w, "/");
	const char *acme = strstr(r->body, "href=\"/acme\""), *pond = strstr(r->body, "href=\"/pond\"");
	EXPECT(acme && pond && pond < acme); /* newest first */
	EXPECT_EQ(http_post(w, "/acme/sign_out", "")->status, 303);
	EXPECT_EQ(http_get(w, "/pond/settings/security")->status, 200);
	EXPECT(!has_session(w));
	http_free(w);
}
