/* Signing in by a code that was mailed (spec 60 §3.4). */
#include "applets/portal/auth/auth.h"
#include "applets/portal/auth/recovery.h"
#include "applets/portal/mail/mailer.h"
#include "core/base/encode.h"
#include "applets/portal/model/directory.h"
#include "tests/unit/http_world.h"

#include <ctype.h>
#include <stdlib.h>

static struct http_world *world(void)
{
	/* nobody listens there: mails stay in the store, where the test reads them */
	static const struct mail_config cfg = { .way = MAIL_BY_SMTP, .from = "portal@portal.example", .host = "127.0.0.1", .port = 1 };
	struct http_world *w = http_new();
	char why[MAIL_WHY_MAX];

	EXPECT_EQ(mailer_new(&w->portal->portal, w->loop, &cfg, NULL, NULL, &w->portal->portal.mailer, why), 0);
	EXPECT_EQ(admin(w->portal, "actor add --type user --name Ann --email ann@acme.example --allow-email-otp-sign-in on"), 0);
	return w;
}

static void done(struct http_world *w)
{
	mailer_free(w->portal->portal.mailer);
	w->portal->portal.mailer = NULL;
	http_free(w);
}

struct box {
	u32 n;
	char to[256], body[8192];
};

static int look(void *ctx, enum kind k, const void *row)
{
	const struct mail_row *m = row;
	struct box *b = ctx;

	(void)k;
	b->n++;
	if (m->body_text) {
		snprintf(b->to, sizeof(b->to), "%s", m->recipient);
		snprintf(b->body, sizeof(b->body), "%s", m->body_text);
	}
	return 0;
}

/* All mails so far; body of the last that store_list() names, with rows of earlier codes deleted after reading. */
static struct box open_box(struct http_world *w)
{
	struct box b = { 0 };

	EXPECT_EQ(store_list(w->portal->portal.store, KIND_MAIL, NULL, look, &b), 0);
	return b;
}

static int forget_one(void *ctx, enum kind k, const void *row)
{
	(void)k;
	((struct entity *)ctx)->id = ((const struct entity *)row)->id;
	((struct entity *)ctx)->account_id = ((const struct entity *)row)->account_id;
	return 0;
}

static void empty_box(struct http_world *w)
{
	struct store *s = w->portal->portal.store;

	for (u32 n = open_box(w).n; n > 0; n--) {
		struct entity e = { 0 };
		EXPECT_EQ(store_list(s, KIND_MAIL, NULL, forget_one, &e), 0);
		EXPECT_EQ(store_begin(s, STORE_EAGER), 0);
		EXPECT_EQ(store_delete(s, KIND_MAIL, &e.account_id, &e.id), 0);
		EXPECT_EQ(store_commit(s), 0);
	}
}

/* The path of the link in the mail, and the code in it. */
static void read_mail(struct http_world *w, char link[static 2048], char code[static PASSCODE_LEN + 1])
{
	struct box b = open_box(w);
	const char *p = strstr(b.body, "http://portal.example/");

	link[0] = code[0] = '\0';
	if (!EXPECT(b.n == 1 && p != NULL))
		return;
	p += strlen("http://portal.example");
	snprintf(link, 2048, "%.*s", (int)strcspn(p, " \r\n"), p);
	const char *secret = strstr(link, "secret=");
	if (EXPECT(secret != NULL))
		snprintf(code, PASSCODE_LEN + 1, "%.6s", secret + 7);
	EXPECT_HAS(b.body, code);
}

/* Types an address into the page; where the browser is led. */
static const char *ask(struct http_world *w, const char *path, const char *email)
{
	static char to[1024];
	char action[2048] = "", form[256];
	const struct reply *r = http_get(w, path);

	EXPECT_EQ(r->status, 200);
	for (const char *p = strstr(r->body, "action=\""); p; p = strstr(p + 8, "action=\"")) {
		const char *a = p + 8;
		if (strstr(a, "/sign_in/email_otp/") && strstr(a, "/sign_in/email_otp/") < strchr(a, '"')) {
			char *o = action;
			for (; *a != '"' && o < action + sizeof(action) - 1; a++) {
				*o++ = *a;
				if (strncmp(a, "&amp;", 5) == 0)
					a += 4;
			}
			*o = '\0';
		}
	}
	EXPECT(action[0] == '/');
	snprintf(form, sizeof(form), "email%%5Bemail%%5D=%s", email);
	r = http_post(w, action, form);
	EXPECT_EQ(r->status, 303);
	snprintf(to, sizeof(to), "%s", r->location);
	return to;
}

static const struct reply *give(struct http_world *w, const char *page, const char *code)
{
	char verify[1200], form[64];
	const char *query = strchr(page, '?');

	snprintf(verify, sizeof(verify), "%.*s/verify%s", (int)strcspn(page, "?"), page, query ? query : "");
	snprintf(form, sizeof(form), "secret=%s", code);
	(void)http_get(w, page);
	return http_post(w, verify, form);
}

static bool has_session(struct http_world *w)
{
	return http_get(w, "/acme/settings/security")->status == 200;
}

TEST(a_mailed_code_signs_in_once)
{
	struct http_world *w = world();
	char page[1024], link[2048], code[PASSCODE_LEN + 1];

	snprintf(page, sizeof(page), "%s", ask(w, "/acme?redirect_to=%2Facme%2Fsites%2Fnew", "JO@acme.example"));
	EXPECT_HAS(http_get(w, page)->body, "a code is on its way");
	read_mail(w, link, code);
	EXPECT_STR(give(w, page, code)->location, "/acme/sites/new");
	EXPECT(has_session(w));
	(void)http_post(w, "/acme/sign_out", "");
	EXPECT(strcmp(give(w, page, code)->location, "/acme/sites/new") != 0);
	EXPECT(!has_session(w));
	done(w);
}

/* spec 60 §1.3: the domain is kept as mail servers know it, and typed as people do */
TEST(a_domain_beyond_ascii_is_one_however_it_is_typed)
{
	static const char *const typed[] = { "eve%40B%C3%9Ccher.example", "eve%40xn--bcher-kva.example", "eve%40XN--BCHER-KVA.example" };
	struct http_world *w = world();
	char page[1024], link[2048], code[PASSCODE_LEN + 1];

	EXPECT_EQ(admin(w->portal, "actor add --type user --name Eve --email eve@B\303\274cher.example --allow-email-otp-sign-in on"), 0);
	EXPECT_STR(admin_value(w->portal, "actor show eve@b\303\274cher.example", "email"), "eve@xn--bcher-kva.example");
	EXPECT_EQ(admin(w->portal, "actor add --type user --name Eve2 --email eve@xn--bcher-kva.example"), 1); /* the same */
	for (size_t i = 0; i < ARRAY_LEN(typed); i++) {
		snprintf(page, sizeof(page), "%s", ask(w, "/acme?as=headless-client", typed[i]));
		EXPECT_STR(open_box(w).to, "eve@xn--bcher-kva.example");
		read_mail(w, link, code);
		EXPECT_EQ(give(w, page, code)->status, 200);
		EXPECT_HAS(w->reply.body, "FIREZONE_TOKEN");
		empty_box(w);
	}
	done(w);
}

TEST(the_link_in_the_mail_works_in_the_browser_that_asked_only)
{
	struct http_world *w = world();
	char page[1024], link[2048], code[PASSCODE_LEN + 1], kept[COOKIES_MAX][3400];

	snprintf(page, sizeof(page), "%s", ask(w, "/acme?as=headless-client", "ann@acme.example"));
	read_mail(w, link, code);
	EXPECT_HAS(link, "as=headless-client");
	memcpy(kept, w->cookie, sizeof(kept));
	http_forget(w);
	for (u32 i = 0; i < 2 * PASSCODE_ATTEMPTS; i++) /* a program that looks at links burns nothing */
		EXPECT_STR(http_get(w, link)->location, "/acme?as=headless-client");
	memcpy(w->cookie, kept, sizeof(kept));
	EXPECT_EQ(http_get(w, link)->status, 200);
	EXPECT_HAS(w->reply.body, "FIREZONE_TOKEN");
	done(w);
}

TEST(spec60_21_the_context_of_a_provider_binds_also_codes)
{
	struct http_world *w = world();
	char page[1024], link[2048], code[PASSCODE_LEN + 1];

	/* also when it changes between asking and giving */
	snprintf(page, sizeof(page), "%s", ask(w, "/acme", "jo@acme.example"));
	read_mail(w, link, code);
	EXPECT_EQ(admin(w->portal, "provider update 'Email (OTP)' --context clients-only"), 0);
	EXPECT_STR(give(w, page, code)->location, "/acme");
	EXPECT(!has_session(w));
	EXPECT(!strstr(http_get(w, "/acme")->body, "/sign_in/email_otp/"));
	empty_box(w);
	snprintf(page, sizeof(page), "%s", ask(w, "/acme?as=headless-client", "ann@acme.example"));
	read_mail(w, link, code);
	EXPECT_EQ(admin(w->portal, "provider update 'Email (OTP)' --context portal-only"), 0);
	EXPECT_HAS(give(w, page, code)->location, "/sign_in/client_auth_error");
	EXPECT(!strstr(w->reply.body, "FIREZONE_TOKEN"));
	EXPECT(!strstr(http_get(w, "/acme?as=gui-client")->body, "/sign_in/email_otp/"));
	EXPECT_HAS(http_get(w, "/acme")->body, "/sign_in/email_otp/");
	done(w);
}

/* spec 60 §3.2, §11: too many people: clients are refused, admins can see to it */
TEST(too_many_people_keep_clients_out_and_admins_in)
{
	struct http_world *w = world();
	struct portal *p = &w->portal->portal;
	const struct account *acme = directory_account_named(hub_directory(p->hub), "acme");
	char page[1024], link[2048], code[PASSCODE_LEN + 1];
	struct account row;

	snprintf(page, sizeof(page), "%s", ask(w, "/acme?as=headless-client", "ann@acme.example"));
	read_mail(w, link, code);
	REQUIRE(entity_copy(KIND_ACCOUNT, &row, acme) == 0);
	row.users_limit_exceeded = true;
	EXPECT_EQ(store_begin(p->store, STORE_DURABLE), 0);
	EXPECT_EQ(store_update(p->store, KIND_ACCOUNT, &row, portal_wall), 0);
	EXPECT_EQ(store_commit(p->store), 0);
	EXPECT_EQ(hub_publish(p->hub, portal_now, portal_wall), 0);
	entity_deinit(KIND_ACCOUNT, &row);
	EXPECT_HAS(give(w, page, code)->location, "/sign_in/client_auth_error");
	EXPECT_EQ(http_get(w, "/acme?as=gui-client")->status, 403);
	empty_box(w);
	snprintf(page, sizeof(page), "%s", ask(w, "/acme", "jo@acme.example"));
	read_mail(w, link, code);
	(void)give(w, page, code);
	EXPECT(has_session(w));
	done(w);
}

TEST(spec60_22_known_and_unknown_addresses_are_answered_alike)
{
	static const char *const people[] = { "jo@acme.example", "nobody@acme.example", "ann@acme.example" };
	struct http_world *w = world();
	char to[ARRAY_LEN(people)][1024], body[ARRAY_LEN(people)][8192];
	u64 took[ARRAY_LEN(people)], verify[ARRAY_LEN(people)];

	EXPECT_EQ(admin(w->portal, "actor disable ann@acme.example"), 0);
	for (size_t i = 0; i < ARRAY_LEN(people); i++) {
		http_forget(w);
		(void)http_get(w, "/acme");
		u64 start = portal_now;
		snprintf(to[i], sizeof(to[i]), "%s", ask(w, "/acme", people[i]));
		took[i] = portal_now - start;
		snprintf(body[i], sizeof(body[i]), "%s", strstr(http_get(w, to[i])->body, "<main"));
		for (char *p; (p = strstr(body[i], people[i]));) /* what he typed himself, and the form's own token */
			memset(p, '*', strlen(people[i])), memmove(p, p + strlen(people[i]), strlen(p + strlen(people[i])) + 1);
		for (char *p = strstr(body[i], "name=_csrf value=\""); p && *p != '>'; p++)
			*p = '*';
		start = portal_now;
		EXPECT_STR(give(w, to[i], "aaaaaa")->location, to[i]);
		verify[i] = portal_now - start;
		EXPECT(took[i] >= PASSCODE_STEP_TIME);
		EXPECT(verify[i] >= PASSCODE_STEP_TIME);
		EXPECT_STR(to[i], to[0]);
		EXPECT_STR(body[i], body[0]);
	}
	EXPECT_EQ(open_box(w).n, 1);
	done(w);
}

static const char *cookie_value(const struct http_world *w, const char *name)
{
	for (int i = 0; i < COOKIES_MAX; i++)
		if (strncmp(w->cookie[i], name, strlen(name)) == 0)
			return w->cookie[i] + strlen(name);
	return "";
}

/* Cookies are signed, not secret: two of one known address must not have more in common than two of an unknown one. */
TEST(spec60_22_nothing_in_the_cookie_tells_whether_somebody_has_the_address)
{
	static const char *const people[] = { "jo@acme.example", "nobody@acme.example" };
	struct http_world *w = world();
	u8 raw[2][512];

	for (size_t p = 0; p < ARRAY_LEN(people); p++) {
		int n = 0, run = 0, longest = 0;
		for (u32 i = 0; i < 2; i++) {
			(void)ask(w, "/acme", people[p]);
			const char *value = cookie_value(w, "email_otp=");
			n = base64url_decode(raw[i], sizeof(raw[i]), SPAN(value, strlen(value)));
		}
		EXPECT(n > 48 + (int)strlen(people[p]));
		for (int i = 16; i < n - 32 - (int)strlen(people[p]); i++) { /* without the times, the address and the signature */
			run = raw[0][i] == raw[1][i] ? run + 1 : 0;
			longest = MAX(longest, run);
		}
		EXPECT(longest < 8);
	}
	done(w);
}

TEST(spec60_23_codes_expire_are_voided_by_the_next_and_after_three_attempts)
{
	struct http_world *w = world();
	char page[1024], link[2048], first[PASSCODE_LEN + 1], second[PASSCODE_LEN + 1];

	snprintf(page, sizeof(page), "%s", ask(w, "/acme", "jo@acme.example"));
	read_mail(w, link, first);
	empty_box(w);
	(void)ask(w, "/acme", "jo@acme.example");
	read_mail(w, link, second);
	EXPECT_STR(give(w, page, first)->location, page); /* voided; one attempt at the second */
	EXPECT_STR(give(w, page, "aaaaaa")->location, page);
	EXPECT_STR(give(w, page, second)->location, "/acme/sites"); /* the third is right */
	http_forget(w);
	empty_box(w);

	(void)ask(w, "/acme", "jo@acme.example");
	read_mail(w, link, first);
	for (u32 i = 0; i < PASSCODE_ATTEMPTS; i++)
		EXPECT_STR(give(w, page, "aaaaaa")->location, page);
	EXPECT_STR(give(w, page, first)->location, page);
	http_forget(w);
	empty_box(w);

	(void)ask(w, "/acme", "jo@acme.example");
	read_mail(w, link, first);
	http_wait(w, PASSCODE_LIFETIME);
	EXPECT(!strstr(give(w, page, first)->location, "/sites"));
	EXPECT(!has_session(w));
	done(w);
}

TEST(spec60_24_three_mails_in_five_minutes)
{
	static const char *const people[] = { "jo@acme.example", "nobody@acme.example" };
	struct http_world *w = world();

	for (size_t p = 0; p < ARRAY_LEN(people); p++) {
		for (u32 i = 0; i < PASSCODE_MAILS_MAX; i++)
			EXPECT(!strstr(http_get(w, ask(w, "/acme", people[p]))->body, "Too many codes"));
		EXPECT_HAS(http_get(w, ask(w, "/acme", people[p]))->body, "Too many codes");
	}
	EXPECT_EQ(open_box(w).n, PASSCODE_MAILS_MAX);
	http_wait(w, PASSCODE_MAILS_WINDOW - SEC(60));
	EXPECT_HAS(http_get(w, ask(w, "/acme", "jo@acme.example"))->body, "Too many codes"); /* which makes the wait begin anew */
	http_wait(w, SEC(120));
	EXPECT_HAS(http_get(w, ask(w, "/acme", "jo@acme.example"))->body, "Too many codes");
	http_wait(w, PASSCODE_MAILS_WINDOW);
	EXPECT(!strstr(http_get(w, ask(w, "/acme", "jo@acme.example"))->body, "Too many codes"));
	EXPECT_EQ(open_box(w).n, PASSCODE_MAILS_MAX + 1);
	done(w);
}

TEST(who_may_not_use_codes_gets_none)
{
	struct http_world *w = world();
	char page[1024];

	EXPECT_EQ(admin(w->portal, "actor add --type service-account --name robot"), 0);
	snprintf(page, sizeof(page), "%s", ask(w, "/acme", "robot@acme.example"));
	EXPECT_EQ(open_box(w).n, 0);
	EXPECT_STR(http_get(w, page)->location, "");
	http_forget(w);
	EXPECT_STR(http_get(w, page)->location, "/acme"); /* no cookie, no form */
	done(w);
}

TEST(signing_up_is_off_unless_told_and_proves_the_address_first)
{
	static const char *const domains[] = { "ducks.example" };
	struct http_world *w = world();
	struct auth *a = w->portal->portal.auth;
	char path[256];

	EXPECT_EQ(http_get(w, "/sign_up")->status, 404);
	(void)http_get(w, "/acme");
	EXPECT_EQ(http_post(w, "/sign_up", "email=al%40ducks.example")->status, 404);
	a->allows_sign_up = true;
	a->sign_up_domains = domains;
	a->n_sign_up_domains = 1;
	EXPECT_EQ(http_get(w, "/sign_up")->status, 200);
	EXPECT_EQ(http_post(w, "/sign_up", "email=al%40evil.example")->status, 422);
	EXPECT_EQ(http_post(w, "/sign_up", "email=ducks.example")->status, 422);
	EXPECT_EQ(http_post(w, "/sign_up", "email=al%40DUCKS.example")->status, 200);
	struct box b = open_box(w);
	const char *p = strstr(b.body, "/auth/link/");
	REQUIRE(b.n == 1 && p != NULL);
	snprintf(path, sizeof(path), "%.97s", p);
	EXPECT_EQ(admin(w->portal, "account show ducks"), 1);
	EXPECT_HAS(http_get(w, path)->body, "Name your network");
	EXPECT_EQ(http_post(w, path, "network=Ducks&name=Al&email=al%40ducks.example")->status, 303);
	EXPECT_EQ(admin(w->portal, "account show ducks"), 0);
	(void)http_get(w, "/sign_up");
	for (int i = 0; i < 6; i++)
		EXPECT_EQ(http_post(w, "/sign_up", "email=al%40ducks.example")->status, 200);
	EXPECT_EQ(open_box(w).n, 3);
	done(w);
}
