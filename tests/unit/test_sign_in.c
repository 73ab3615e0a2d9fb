/* Signing in, as a browser does it: with what the portal itself keeps, for the portal, a GUI client, a headless client. */
#include "applets/portal/auth/auth.h"
#include "applets/portal/auth/recovery.h"
#include "applets/portal/auth/signin.h"
#include "applets/portal/auth/totp.h"
#include "core/base/encode.h"
#include "core/http/url.h"
#include "tests/unit/authenticator.h"
#include "tests/unit/html_check.h"
#include "tests/unit/http_world.h"

#include <ctype.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define PASSWORD "tea with seven ducks"

/* ---- helpers -------------------------------------------------------------------------------------------------------------------------------- */

/* What stands between two texts, with the entities of attributes decoded; static memory, several at once. */
static const char *between(const char *body, const char *before, const char *after)
{
	static char ring[8][4096];
	static u32 turn;
	char *out = ring[turn++ % 8], *o = out;
	const char *p = strstr(body, before), *end = p ? strstr(p + strlen(before), after) : NULL;

	out[0] = '\0';
	for (p = p ? p + strlen(before) : NULL; end && p < end && o < out + 4000;) {
		if (strncmp(p, "&amp;", 5) == 0 || strncmp(p, "&#38;", 5) == 0) {
			*o++ = '&';
			p += 5;
		} else {
			*o++ = *p++;
		}
	}
	*o = '\0';
	return out;
}

/* The action of the form whose action ends with `suffix` before its query. */
static const char *action_of(const char *body, const char *suffix)
{
	for (const char *p = strstr(body, "action=\""); p; p = strstr(p + 8, "action=\"")) {
		const char *action = between(p, "action=\"", "\"");
		size_t n = strcspn(action, "?"), m = strlen(suffix);
		if (n >= m && strncmp(action + n - m, suffix, m) == 0)
			return action;
	}
	return "";
}

static struct uuid id_of(struct http_world *w, const char *command, const char *member)
{
	struct uuid id = { 0 };
	const char *text = admin_value(w->portal, command, member);

	EXPECT_EQ(uuid_parse(SPAN(text, strlen(text)), &id), 0);
	return id;
}

static struct http_world *world(void)
{
	struct http_world *w = http_new();

	w->portal->portal.auth->has_passkeys = true;
	snprintf(w->portal->portal.auth->site.origin, sizeof(w->portal->portal.auth->site.origin), "https://portal.example");
	snprintf(w->portal->portal.auth->site.rp_id, sizeof(w->portal->portal.auth->site.rp_id), "portal.example");
	return w;
}

/* A link for an actor of acme; purpose LINK_SETUP: for nobody yet. */
static const char *link_for(struct http_world *w, const char *email, int purpose)
{
	static char path[LINK_TEXT_LEN + 32];
	char text[LINK_TEXT_LEN + 1], command[128];
	struct portal *p = &w->portal->portal;
	struct one_time_link row;

	entity_init(KIND_LINK, &row);
	row.e.account_id = id_of(w, "account show acme", "id");
	row.purpose = purpose;
	row.expires_at = (i64)((portal_wall + LINK_LIFETIME) / 1000);
	if (purpose != LINK_SETUP) {
		snprintf(command, sizeof(command), "actor show %s --account acme", email);
		row.actor_id = id_of(w, command, "id");
	}
	EXPECT_EQ(link_make(&row, p->rng, text), 0);
	EXPECT_EQ(store_begin(p->store, STORE_DURABLE), 0);
	EXPECT_EQ(store_insert(p->store, KIND_LINK, &row, portal_wall), 0);
	EXPECT_EQ(store_commit(p->store), 0);
	entity_deinit(KIND_LINK, &row);
	snprintf(path, sizeof(path), "/auth/link/%s", text);
	return path;
}

/* The app on a phone: its secret as the page spells it. */
static void read_secret(const char *body, u8 secret[static TOTP_SECRET_LEN])
{
	char text[64];
	const char *p = between(body, "<pre id=\"totp\">", "<");
	size_t n = 0;

	for (; *p; p++)
		if (*p != ' ' && *p != '\n')
			text[n++] = *p;
	EXPECT_EQ(base32_decode(secret, TOTP_SECRET_LEN, SPAN(text, n)), TOTP_SECRET_LEN);
}

static const char *code_of(const u8 secret[static TOTP_SECRET_LEN])
{
	static char text[8];

	snprintf(text, sizeof(text), "%06u", (unsigned)totp_code(secret, portal_wall / SEC(TOTP_STEP_SECS)));
	return text;
}

/* Sets up password and app of an actor; the first recovery code is left in `recovery`. */
static void enrol(struct http_world *w, const char *email, u8 secret[static TOTP_SECRET_LEN], char recovery[static RECOVERY_STRLEN])
{
	const char *path = link_for(w, email, LINK_INVITE);
	char form[256], where[256];
	const struct reply *r = http_get(w, path);

	EXPECT_EQ(r->status, 200);
	read_secret(r->body, secret);
	snprintf(where, sizeof(where), "%s/password", path);
	snprintf(form, sizeof(form), "password=" PASSWORD "&again=" PASSWORD "&code=%s", code_of(secret));
	for (char *p = form; *p; p++)
		*p = *p == ' ' ? '+' : *p;
	r = http_post(w, where, form);
	EXPECT_EQ(r->status, 200);
	const char *first = between(r->body, "aria-label=\"Recovery codes\">", "<");
	snprintf(recovery, RECOVERY_STRLEN, "%.11s", first + strspn(first, "\n"));
	EXPECT(recovery[5] == '-');
	http_forget(w);
	http_wait(w, SEC(60));
}

/* Types the password into the page at `path`; the answer. */
static const struct reply *login(struct http_world *w, const char *path, const char *email, const char *password)
{
	char form[512];
	const struct reply *r = http_get(w, path);
	EXPECT_EQ(r->status, 200);
	char action[4096] = "";
	for (const char *q = strstr(r->body, "action=\""); q; q = strstr(q + 8, "action=\"")) {
		const char *a = between(q, "action=\"", "\"");
		if (strstr(a, "/sign_in/userpass/") && !strstr(a, "/passkey"))
			snprintf(action, sizeof(action), "%s", a);
	}
	snprintf(form, sizeof(form), "userpass%%5Bidp_id%%5D=%s&userpass%%5Bsecret%%5D=%s", email, password);
	for (char *q = form; *q; q++)
		*q = *q == ' ' ? '+' : *q;
	return http_post(w, action, form);
}

static const struct reply *give_code(struct http_world *w, const char *code)
{
	char where[4096], form[64];
	const struct reply *r;

	snprintf(where, sizeof(where), "%s", w->reply.location);
	r = http_get(w, where);
	EXPECT_EQ(r->status, 200);
	snprintf(form, sizeof(form), "code=%s", code);
	return http_post(w, where, form);
}

static bool has_session(struct http_world *w)
{
	return http_get(w, "/acme/settings/security")->status == 200;
}

/* ---- the first admin, links --------------------------------------------------------------------------------------------------------------------- */

TEST(the_first_admin_names_the_network_and_is_in)
{
	struct http_world *w = world();
	char path[256], form[256];
	u8 secret[TOTP_SECRET_LEN];
	const struct reply *r;

	snprintf(path, sizeof(path), "%s", link_for(w, NULL, LINK_SETUP));
	r = http_get(w, path);
	REQUIRE(r->status == 200);
	EXPECT_HAS(r->body, "Name your network");
	r = http_post(w, path, "network=Ducks&name=Al&email=nonsense");
	EXPECT_EQ(r->status, 422);
	EXPECT_HAS(r->body, "value=\"nonsense\"");
	r = http_post(w, path, "network=Ducks+%26+Co&name=Al&email=al%40ducks.example");
	REQUIRE(r->status == 303);
	EXPECT(strncmp(r->location, "/auth/link/", 11) == 0 && strcmp(r->location, path) != 0);
	EXPECT_STR(admin_value(w->portal, "account show acme", "name"), "Ducks & Co");
	EXPECT_EQ(http_get(w, path)->status, 410); /* spent */
	(void)http_post(w, path, "network=Again&name=Al&email=al2%40ducks.example");
	EXPECT_STR(admin_value(w->portal, "account show acme", "name"), "Ducks & Co");

	(void)admin_value(w->portal, "actor show al@ducks.example", "id");
	snprintf(path, sizeof(path), "%s", link_for(w, "al@ducks.example", LINK_INVITE));
	r = http_get(w, path);
	read_secret(r->body, secret);
	strcat(path, "/password");
	r = http_post(w, path, "password=short&again=short&code=123456");
	EXPECT_EQ(r->status, 422);
	EXPECT_HAS(r->body, "at least 10 characters");
	r = http_post(w, path, "password=tea+with+seven+ducks&again=tea+with+seven+ducks&code=000000");
	EXPECT_EQ(r->status, 422);
	EXPECT(!strstr(r->body, "seven"));
	snprintf(form, sizeof(form), "password=tea+with+seven+ducks&again=tea+with+seven+ducks&code=%s", code_of(secret));
	r = http_post(w, path, form);
	REQUIRE(r->status == 200);
	EXPECT_HAS(r->body, "Your recovery codes");
	EXPECT_HAS(r->body, "/acme/overview");
	EXPECT(has_session(w));
	EXPECT_EQ(http_post(w, path, form)->status, 410);
	EXPECT_EQ(admin(w->portal, "provider disable 'Passkey or password'"), 0);
	EXPECT(!has_session(w));
	http_free(w);
}

TEST(a_setup_link_is_made_only_while_there_is_no_admin)
{
	struct http_world *w = world();
	char path[512];
	const char *url;

	EXPECT(admin(w->portal, "link add --purpose setup --account acme") != 0);
	EXPECT_EQ(admin(w->portal, "account add --name Pond --slug pond"), 0);
	url = admin_value(w->portal, "link add --purpose setup --account pond", "url");
	const char *at = strstr(url, "/auth/link/");
	REQUIRE(at != NULL);
	snprintf(path, sizeof(path), "%s", at);
	EXPECT_HAS(http_get(w, path)->body, "value=\"Pond\"");
	EXPECT_EQ(http_post(w, path, "network=Pond&name=Bo&email=bo%40pond.example")->status, 303);
	EXPECT_EQ(http_get(w, w->reply.location)->status, 200);
	EXPECT_HAS(w->reply.body, "Welcome, Bo");
	EXPECT_STR(admin_value(w->portal, "actor show bo@pond.example --account pond", "type"), "account_admin_user");
	EXPECT(admin(w->portal, "link add --purpose setup --account pond") != 0);
	http_free(w);
}

TEST(links_work_once_in_time_and_whole)
{
	struct http_world *w = world();
	char path[256];

	snprintf(path, sizeof(path), "%s", link_for(w, "jo@acme.example", LINK_RECOVERY));
	EXPECT_EQ(http_get(w, path)->status, 200);
	EXPECT_EQ(http_get(w, path)->status, 200); /* looking spends nothing */
	path[30] = path[30] == 'A' ? 'B' : 'A';
	EXPECT_EQ(http_get(w, path)->status, 410);
	EXPECT_EQ(http_get(w, "/auth/link/x")->status, 410);
	snprintf(path, sizeof(path), "%s", link_for(w, "jo@acme.example", LINK_RECOVERY));
	http_wait(w, LINK_LIFETIME);
	EXPECT_EQ(http_get(w, path)->status, 410);
	http_free(w);
}

/* ---- password and app ------------------------------------------------------------------------------------------------------------------------------ */

TEST(password_and_app_sign_in_to_the_portal_and_out)
{
	struct http_world *w = world();
	u8 secret[TOTP_SECRET_LEN];
	char recovery[RECOVERY_STRLEN];
	const struct reply *r;

	enrol(w, "jo@acme.example", secret, recovery);
	EXPECT(!has_session(w));
	r = login(w, "/acme?redirect_to=%2Facme%2Fresources%3Fpage%3D2", "JO@acme.example", PASSWORD);
	REQUIRE(r->status == 303);
	EXPECT_HAS(r->location, "/code?redirect_to=");
	EXPECT(!has_session(w));
	r = login(w, "/acme?redirect_to=%2Facme%2Fresources%3Fpage%3D2", "jo@acme.example", PASSWORD);
	r = give_code(w, code_of(secret));
	REQUIRE(r->status == 303);
	EXPECT_STR(r->location, "/acme/resources?page=2");
	EXPECT(has_session(w));
	EXPECT_STR(http_get(w, "/acme")->location, "/acme/sites");
	r = http_get(w, "/acme/settings/security");
	EXPECT_HAS(r->body, "10 codes are left");
	EXPECT_HAS(r->body, "Tests only.");
	r = http_post(w, "/acme/sign_out", "");
	EXPECT_EQ(r->status, 303);
	EXPECT(!has_session(w));
	http_free(w);
}

TEST(a_code_of_the_app_works_once_and_a_recovery_code_too)
{
	struct http_world *w = world();
	u8 secret[TOTP_SECRET_LEN];
	char recovery[RECOVERY_STRLEN];

	enrol(w, "jo@acme.example", secret, recovery);
	(void)login(w, "/acme", "jo@acme.example", PASSWORD);
	EXPECT_STR(give_code(w, code_of(secret))->location, "/acme/sites");
	http_forget(w);
	(void)login(w, "/acme", "jo@acme.example", PASSWORD);
	EXPECT_HAS(give_code(w, code_of(secret))->location, "/code"); /* replayed */
	EXPECT_STR(give_code(w, recovery)->location, "/acme/sites");
	http_forget(w);
	(void)login(w, "/acme", "jo@acme.example", PASSWORD);
	EXPECT_HAS(give_code(w, recovery)->location, "/code");
	http_wait(w, SEC(60));
	EXPECT_STR(give_code(w, code_of(secret))->location, "/acme/sites");
	http_free(w);
}

TEST(known_and_unknown_people_are_answered_alike)
{
	struct http_world *w = world();
	u8 secret[TOTP_SECRET_LEN];
	char recovery[RECOVERY_STRLEN], known[1024], unknown[1024];
	u64 start, took_known, took_unknown;

	enrol(w, "jo@acme.example", secret, recovery);
	start = portal_now;
	snprintf(known, sizeof(known), "%s", login(w, "/acme", "jo@acme.example", "a wrong password")->location);
	took_known = portal_now - start;
	EXPECT_HAS(http_get(w, known)->body, "The e-mail or the password is not right.");
	start = portal_now;
	snprintf(unknown, sizeof(unknown), "%s", login(w, "/acme", "nobody@acme.example", "a wrong password")->location);
	took_unknown = portal_now - start;
	EXPECT_HAS(http_get(w, unknown)->body, "The e-mail or the password is not right.");
	EXPECT_STR(known, unknown);
	EXPECT(took_known >= MSEC(500) && took_unknown >= MSEC(500));
	http_free(w);
}

TEST(guessing_ends_after_some_attempts_for_everybody_alike)
{
	struct http_world *w = world();
	static const char *const people[] = { "jo@acme.example", "nobody@acme.example" };
	u8 secret[TOTP_SECRET_LEN];
	char recovery[RECOVERY_STRLEN];

	enrol(w, "jo@acme.example", secret, recovery);
	for (size_t i = 0; i < ARRAY_LEN(people); i++) {
		for (u32 n = 0; n < GUESSES_MAX; n++)
			EXPECT_HAS(http_get(w, login(w, "/acme", people[i], "wrong")->location)->body, "is not right");
		EXPECT_HAS(http_get(w, login(w, "/acme", people[i], PASSWORD)->location)->body, "Too many attempts");
	}
	http_wait(w, GUESSES_WINDOW);
	EXPECT_HAS(login(w, "/acme", "jo@acme.example", PASSWORD)->location, "/code");
	for (u32 n = 0; n < GUESSES_MAX; n++)
		EXPECT_HAS(give_code(w, "000000")->location, "/code");
	http_forget(w);
	EXPECT_HAS(login(w, "/acme", "jo@acme.example", PASSWORD)->location, "/code");
	EXPECT_STR(give_code(w, code_of(secret))->location, "/acme");
	EXPECT(!has_session(w));
	http_free(w);
}

/* Sends the form of login() and does not wait for the answer; the connection. */
static int login_unheard(struct http_world *w, const char *action, const char *form)
{
	struct strbuf rq = { 0 };
	int fd = http_dial(w);

	strbuf_printf(&rq, "POST %s HTTP/1.1\r\nHost: portal.example\r\nOrigin: http://portal.example\r\n", action);
	for (int i = 0; i < COOKIES_MAX; i++)
		if (w->cookie[i][0])
			strbuf_printf(&rq, "Cookie: %s\r\n", w->cookie[i]);
	strbuf_printf(&rq, "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %zu\r\n\r\n_csrf=%s&%s",
		      strlen(w->csrf) + 7 + strlen(form), w->csrf, form);
	http_send(w, fd, strbuf_text(&rq));
	strbuf_free(&rq);
	return fd;
}

TEST(guesses_that_come_at_once_count_before_they_are_judged)
{
	struct http_world *w = world();
	char action[256], recovery[RECOVERY_STRLEN];
	u8 secret[TOTP_SECRET_LEN];
	int fd[GUESSES_MAX];

	enrol(w, "jo@acme.example", secret, recovery);
	const char *page = strstr(http_get(w, "/acme")->body, "/sign_in/userpass/");
	if (!EXPECT(page))
		return;
	snprintf(action, sizeof(action), "/acme%.*s", (int)strlen("/sign_in/userpass/") + UUID_STRLEN - 1, page);
	for (u32 i = 0; i < GUESSES_MAX; i++)
		fd[i] = login_unheard(w, action, "userpass%5Bidp_id%5D=jo%40acme.example&userpass%5Bsecret%5D=wrong");
	EXPECT_STR(http_recv(w, fd[GUESSES_MAX - 1], NULL), "");
	EXPECT_HAS(http_get(w, login(w, "/acme", "jo@acme.example", PASSWORD)->location)->body, "Too many attempts");
	for (u32 i = 0; i < GUESSES_MAX; i++)
		close(fd[i]);
	http_free(w);
}

TEST(a_recovery_code_alone_opens_the_way_to_a_new_passkey_once)
{
	struct http_world *w = world();
	u8 secret[TOTP_SECRET_LEN];
	char recovery[RECOVERY_STRLEN], where[512], form[128];
	const struct reply *r;

	enrol(w, "jo@acme.example", secret, recovery);
	r = http_get(w, "/acme");
	const char *p = strstr(r->body, "/recovery");
	REQUIRE(p != NULL);
	while (p > r->body && p[-1] != '"')
		p--;
	snprintf(where, sizeof(where), "%.*s", (int)strcspn(p, "\""), p);
	EXPECT_EQ(http_get(w, where)->status, 200);
	EXPECT_STR(http_post(w, where, "email=jo%40acme.example&code=aaaaa-aaaaa")->location, where);
	snprintf(form, sizeof(form), "email=jo%%40acme.example&code=%s", recovery);
	r = http_post(w, where, form);
	EXPECT(strncmp(r->location, "/auth/link/", 11) == 0);
	snprintf(form, sizeof(form), "email=jo%%40acme.example&code=%s", recovery);
	EXPECT_EQ(http_get(w, r->location)->status, 200);
	EXPECT_STR(http_post(w, where, form)->location, where);
	http_free(w);
}

/* ---- passkeys ------------------------------------------------------------------------------------------------------------------------------------------- */

static void encode(struct strbuf *b, const char *name, const void *bytes, size_t n)
{
	char text[4096];

	base64url_encode(text, sizeof(text), SPAN(bytes, n));
	strbuf_printf(b, "%s%s=%s", b->n ? "&" : "", name, text);
}

static void challenge_of(const char *body, u8 challenge[static WEBAUTHN_CHALLENGE_LEN])
{
	const char *text = between(body, "\"challenge\":\"", "\"");

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
		struct http_world *w = world();
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
	struct http_world *w = world();
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

/* ---- clients ------------------------------------------------------------------------------------------------------------------------------------------------ */

static struct http_world *with_user(u8 secret[static TOTP_SECRET_LEN])
{
	struct http_world *w = world();
	char recovery[RECOVERY_STRLEN];

	EXPECT_EQ(admin(w->portal, "actor add --type user --name 'Ann & Co' --email ann@acme.example"), 0);
	enrol(w, "ann@acme.example", secret, recovery);
	return w;
}

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
	struct http_world *w = with_user(secret);
	char link[4096], token[512], path[128];

	EXPECT_EQ(admin(w->portal, "account add --name Other --slug other"), 0);
	for (size_t i = 0; i < ARRAY_LEN(as); i++) {
		struct token_claim claim;
		const struct reply *r;

		snprintf(path, sizeof(path), "/acme?as=%s&nonce=0123abcd&state=s%%2B%%26%%3D1", as[i]);
		http_wait(w, SEC(60));
		(void)login(w, path, "ann@acme.example", PASSWORD);
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

TEST(spec60_19_a_headless_sign_in_ends_in_a_page_with_the_token)
{
	u8 secret[TOTP_SECRET_LEN];
	struct http_world *w = with_user(secret);
	const struct reply *r;
	char token[512];

	(void)login(w, "/acme?as=headless-client", "ann@acme.example", PASSWORD);
	r = give_code(w, code_of(secret));
	REQUIRE(r->status == 200);
	const char *text = between(r->body, "<pre id=\"token-value\">", "<");
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
	struct http_world *w = with_user(secret);
	char recovery[RECOVERY_STRLEN];

	(void)login(w, "/acme", "ann@acme.example", PASSWORD);
	EXPECT_STR(give_code(w, code_of(secret))->location, "/acme");
	EXPECT_HAS(http_get(w, "/acme")->body, "for administrators");
	EXPECT(!has_session(w));
	http_forget(w);
	enrol(w, "jo@acme.example", jo_secret, recovery);
	(void)login(w, "/acme?as=headless-client", "jo@acme.example", PASSWORD);
	EXPECT_EQ(give_code(w, code_of(jo_secret))->status, 200);
	http_free(w);
}

TEST(spec60_17_parameters_are_carried_and_empty_ones_dropped)
{
	struct http_world *w = world();
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

/* ---- sessions ------------------------------------------------------------------------------------------------------------------------------------------------ */

static const char *cookie_named(struct http_world *w, const char *prefix)
{
	for (int i = 0; i < COOKIES_MAX; i++)
		if (strncmp(w->cookie[i], prefix, strlen(prefix)) == 0)
			return w->cookie[i];
	return "";
}

TEST(spec60_28_session_cookies_are_signed_closed_to_scripts_and_backed_by_a_row)
{
	struct http_world *w = world();
	u8 secret[TOTP_SECRET_LEN];
	char recovery[RECOVERY_STRLEN], first[3400], second[3400], line[4096];
	const struct reply *r;

	enrol(w, "jo@acme.example", secret, recovery);
	(void)login(w, "/acme", "jo@acme.example", PASSWORD);
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
	(void)login(w, "/acme", "jo@acme.example", PASSWORD);
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
	struct http_world *w = world();
	u8 secret[TOTP_SECRET_LEN];
	char recovery[RECOVERY_STRLEN], first[3400], csrf[64], browser[COOKIES_MAX][3400];

	enrol(w, "jo@acme.example", secret, recovery);
	(void)login(w, "/acme", "jo@acme.example", PASSWORD);
	(void)give_code(w, code_of(secret));
	snprintf(first, sizeof(first), "%s", cookie_named(w, "sess_"));
	(void)http_get(w, "/acme/settings/security");
	snprintf(csrf, sizeof(csrf), "%s", w->csrf);
	memcpy(browser, w->cookie, sizeof(browser));
	http_wait(w, SEC(60));
	http_forget(w);
	(void)login(w, "/acme", "jo@acme.example", PASSWORD); /* up to the second factor without the session */
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
		struct http_world *w = world();
		u8 secret[TOTP_SECRET_LEN];
		char recovery[RECOVERY_STRLEN];

		EXPECT_EQ(admin(w->portal, "actor add --type admin --name Al --email al@acme.example"), 0);
		enrol(w, "jo@acme.example", secret, recovery);
		(void)login(w, "/acme", "jo@acme.example", PASSWORD);
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
	struct http_world *w = world();
	u8 secret[TOTP_SECRET_LEN];
	char recovery[RECOVERY_STRLEN];

	enrol(w, "jo@acme.example", secret, recovery);
	(void)login(w, "/acme", "jo@acme.example", PASSWORD);
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
	struct http_world *w = with_user(secret);
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
	EXPECT_HAS(login(w, "/acme?as=gui-client", "jo@acme.example", PASSWORD)->location, "/code");
	EXPECT_EQ(switch_provider(w, PROVIDER_USERPASS, CONTEXT_PORTAL, false), 0);
	snprintf(action, sizeof(action), "%s", w->reply.location); /* between two steps */
	EXPECT_HAS(http_get(w, action)->location, "/sign_in/client_auth_error");
	EXPECT_HAS(http_post(w, action, "code=123456")->location, "/sign_in/client_auth_error");
	EXPECT(!strstr(http_get(w, "/acme?as=headless-client")->body, "userpass"));
	EXPECT_EQ(switch_provider(w, PROVIDER_USERPASS, CONTEXT_BOTH, false), 0);
	(void)login(w, "/acme", "jo@acme.example", PASSWORD);
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
	struct http_world *w = with_user(secret);

	EXPECT_EQ(admin(w->portal, "account disable acme"), 0);
	EXPECT_EQ(http_get(w, "/acme?as=gui-client")->status, 403);
	EXPECT_HAS(w->reply.body, "This account is disabled");
	EXPECT_EQ(http_get(w, "/acme")->status, 200);
	http_free(w);
}

TEST(spec60_27_a_provider_that_is_switched_off_takes_its_sessions_and_clients_along)
{
	u8 secret[TOTP_SECRET_LEN], jo_secret[TOTP_SECRET_LEN];
	struct http_world *w = with_user(secret);
	char recovery[RECOVERY_STRLEN], token[512];

	enrol(w, "jo@acme.example", jo_secret, recovery);
	(void)login(w, "/acme?as=headless-client", "ann@acme.example", PASSWORD);
	const char *text = between(give_code(w, code_of(secret))->body, "<pre id=\"token-value\">", "<");
	snprintf(token, sizeof(token), "%s", text + strspn(text, "\n"));
	struct fake *f = join_client(w->portal, token, "laptop", '1');
	EXPECT_EVENT(f, "init");
	(void)login(w, "/acme", "jo@acme.example", PASSWORD);
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
	struct http_world *w = world();
	static const char *const accounts[] = { "acme", "pond" };
	u8 secret[TOTP_SECRET_LEN];
	char recovery[RECOVERY_STRLEN], path[2048], form[256];

	EXPECT_EQ(admin(w->portal, "account add --name Pond --slug pond"), 0);
	enrol(w, "jo@acme.example", secret, recovery);
	(void)login(w, "/acme", "jo@acme.example", PASSWORD);
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

/* ---- what is shown ---------------------------------------------------------------------------------------------------------------------------------------------- */

static void expect_sound(const struct reply *r, const char *what)
{
	const char *fault = html_page_fault(SPAN(r->body, r->body_len));

	if (fault)
		test_fail(__FILE__, __LINE__, "%s: %s", what, fault);
}

TEST(pages_of_signing_in_are_sound_html)
{
	static const char *const plain[] = { "/", "/acme", "/acme?as=gui-client&state=%22%3E%3Cb%3E", "/acme?as=headless-client", "/auth/link/spent",
					     "/acme/sign_in/client_auth_error?as=client&state=x" };
	struct http_world *w = world();
	u8 secret[TOTP_SECRET_LEN];
	char recovery[RECOVERY_STRLEN], where[512];

	EXPECT_EQ(admin(w->portal, "account update acme --name 'A <b> & \"Co\"'"), 0);
	for (size_t i = 0; i < ARRAY_LEN(plain); i++)
		expect_sound(http_get(w, plain[i]), plain[i]);
	expect_sound(http_post(w, "/", "account=%3Cscript%3E"), "a network that is not there");
	expect_sound(http_get(w, link_for(w, NULL, LINK_SETUP)), "the names");
	expect_sound(http_post(w, link_for(w, NULL, LINK_SETUP), "network=&name=%3Cb%3E&email=x"), "wrong names");
	expect_sound(http_get(w, link_for(w, "jo@acme.example", LINK_RECOVERY)), "ways in");
	snprintf(where, sizeof(where), "%s/password", link_for(w, "jo@acme.example", LINK_RECOVERY));
	expect_sound(http_post(w, where, "password=a&again=b&code=c"), "a wrong password");
	enrol(w, "jo@acme.example", secret, recovery);
	(void)login(w, "/acme", "jo@acme.example", PASSWORD);
	snprintf(where, sizeof(where), "%.500s", w->reply.location);
	expect_sound(http_get(w, where), "the second step");
	(void)http_post(w, where, "code=1");
	expect_sound(http_get(w, where), "the second step again");
	snprintf(where, sizeof(where), "code=%s", code_of(secret));
	(void)http_post(w, w->reply.location[0] ? w->reply.location : "/acme", where);
	(void)login(w, "/acme?as=headless-client", "jo@acme.example", PASSWORD);
	http_wait(w, SEC(60));
	expect_sound(give_code(w, code_of(secret)), "the token");
	EXPECT_HAS(w->reply.body, "token-value");
	http_wait(w, SEC(60));
	(void)login(w, "/acme?as=gui-client&nonce=n&state=s", "jo@acme.example", PASSWORD);
	expect_sound(give_code(w, code_of(secret)), "to the client");
	EXPECT_HAS(w->reply.body, "Open the client");
	http_wait(w, SEC(60));
	(void)login(w, "/acme", "jo@acme.example", PASSWORD);
	(void)give_code(w, code_of(secret));
	expect_sound(http_get(w, "/acme/settings/security"), "own credentials");
	expect_sound(http_post(w, "/acme/settings/security/password", "password=x"), "a wrong new password");
	expect_sound(http_post(w, "/acme/settings/security/codes", ""), "recovery codes");
	EXPECT_HAS(w->reply.body, "Your recovery codes");
	http_free(w);
}

TEST(the_last_way_in_cannot_be_removed)
{
	struct http_world *w = world();
	u8 secret[TOTP_SECRET_LEN];
	char recovery[RECOVERY_STRLEN];

	enrol(w, "jo@acme.example", secret, recovery);
	(void)login(w, "/acme", "jo@acme.example", PASSWORD);
	(void)give_code(w, code_of(secret));
	EXPECT_EQ(action_of(http_get(w, "/acme/settings/security")->body, "/password/remove")[0], '\0');
	(void)http_post(w, "/acme/settings/security/password/remove", "");
	EXPECT_HAS(http_get(w, "/acme/settings/security")->body, "last way in");
	http_forget(w);
	http_wait(w, SEC(60));
	EXPECT_HAS(login(w, "/acme", "jo@acme.example", PASSWORD)->location, "/code");
	http_free(w);
}

/* ---- when it is much ------------------------------------------------------------------------------------------------------------------------------------------- */

struct blocked {
	struct worker_job job;
	pthread_mutex_t *gate;
};

static void wait_at_gate(struct worker_job *job)
{
	pthread_mutex_t *gate = container_of(job, struct blocked, job)->gate;

	pthread_mutex_lock(gate);
	pthread_mutex_unlock(gate);
}

static void nothing(struct worker_job *job)
{
	(void)job;
}

TEST(too_many_at_once_are_told_to_come_back_and_who_leaves_leaves_nothing)
{
	static struct blocked job[WORKER_QUEUE_MAX];
	static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
	struct http_world *w = world();
	struct strbuf raw = { 0 };
	const char *body;
	int fd;

	(void)http_get(w, "/acme");
	body = "userpass%5Bidp_id%5D=jo%40acme.example&userpass%5Bsecret%5D=x";
	char action[512];
	snprintf(action, sizeof(action), "%s", action_of(w->reply.body, "/passkey"));
	action[strlen(action) - 8] = '\0';
	pthread_mutex_lock(&gate);
	for (u32 i = 0; i + 1 < WORKER_QUEUE_MAX; i++) {
		job[i] = (struct blocked){ { wait_at_gate, nothing, NULL }, &gate };
		EXPECT_EQ(worker_submit(w->portal->portal.auth->worker, &job[i].job), 0);
	}
	/* one more finds room, and its peer hangs up */
	strbuf_printf(&raw, "POST %s HTTP/1.1\r\nHost: portal.example\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %zu\r\n", action,
		      strlen(body) + strlen(w->csrf) + 7);
	for (int i = 0; i < COOKIES_MAX; i++)
		if (w->cookie[i][0])
			strbuf_printf(&raw, "Cookie: %s\r\n", w->cookie[i]);
	strbuf_printf(&raw, "\r\n_csrf=%s&%s", w->csrf, body);
	fd = http_dial(w);
	http_send(w, fd, strbuf_text(&raw));
	EXPECT_EQ(worker_pending(w->portal->portal.auth->worker), WORKER_QUEUE_MAX);
	close(fd);
	http_wait(w, SEC(1));
	EXPECT_EQ(http_post(w, action, body)->status, 503);
	EXPECT_STR(http_header(&w->reply, "retry-after"), "5");
	pthread_mutex_unlock(&gate);
	for (int i = 0; i < 2000 && worker_pending(w->portal->portal.auth->worker) > 0; i++) {
		usleep(1000);
		http_wait(w, MSEC(1));
	}
	EXPECT_EQ(worker_pending(w->portal->portal.auth->worker), 0);
	EXPECT(!w->portal->portal.auth->slow);
	strbuf_free(&raw);
	http_free(w);
}

/* ---- where to afterwards --------------------------------------------------------------------------------------------------------------------------------------- */

TEST(spec60_29_redirects_stay_in_the_account)
{
	static const char *const good[] = { "/acme", "/acme/", "/acme?x=1", "/acme/sites?q=a%2F..%2Fb", "/0b8c1d2e-0000-4000-8000-000000000001/sites" };
	static const char *const bad[] = { "", "acme", "//acme", "//evil.example/acme", "/acmeevil", "/acme.evil.example", "/other", "https://evil.example/acme",
					   "/acme/../other", "/acme/%2e%2E/other", "/acme/./x", "/acme//evil.example", "/acme\\evil", "/acme/\n", "/acme#x", "/Acme2",
					   "/\\evil.example", "\\/acme", "/acme/.%2e/x", "javascript:alert(1)", "/acme/\xc3\xa9" };
	struct account a = { .slug = (char *)"acme" };

	EXPECT_EQ(uuid_parse(SPAN_STR("0b8c1d2e-0000-4000-8000-000000000001"), &a.e.id), 0);
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		if (!signin_may_redirect(&a, good[i]))
			test_fail(__FILE__, __LINE__, "%s", good[i]);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (signin_may_redirect(&a, bad[i]))
			test_fail(__FILE__, __LINE__, "%s", bad[i]);
}

TEST(parameters_survive_a_cookie_and_impossible_ones_do_not)
{
	char text[SIGNIN_QUERY_MAX], again[SIGNIN_QUERY_MAX];
	struct signin_params p;

	signin_parse(SPAN_STR("as=headless-client&state=a%20b&nonce=x.y&redirect_to=%2Facme%0d%0aX"), &p);
	EXPECT_EQ(p.context, SIGNIN_HEADLESS);
	EXPECT_STR(p.state, "a b");
	EXPECT_STR(p.nonce, "");
	EXPECT_STR(p.redirect_to, "");
	signin_query(&p, text);
	EXPECT_STR(text, "as=headless-client&state=a+b");
	signin_parse(SPAN(text, strlen(text)), &p);
	signin_query(&p, again);
	EXPECT_STR(text, again);
	signin_parse(SPAN_STR("as=root&state="), &p);
	EXPECT_EQ(p.context, SIGNIN_PORTAL);
	EXPECT_STR(p.as, "");
}
