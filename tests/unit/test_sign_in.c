/* Signing in, as a browser does it: with what the portal itself keeps; what its pages show, and where they lead. */
#include "tests/unit/html_check.h"
#include "tests/unit/sign_in_world.h"

#include <pthread.h>
#include <unistd.h>

/* ---- the first admin, links ---------------------------------------------------------------------------------------------------------- */

TEST(the_first_admin_names_the_network_and_is_in)
{
	struct http_world *w = sign_in_world();
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
	struct http_world *w = sign_in_world();
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
	struct http_world *w = sign_in_world();
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

/* ---- password and app ---------------------------------------------------------------------------------------------------------------- */

TEST(password_and_app_sign_in_to_the_portal_and_out)
{
	struct http_world *w = sign_in_world();
	u8 secret[TOTP_SECRET_LEN];
	char recovery[RECOVERY_STRLEN];
	const struct reply *r;

	enrol(w, "jo@acme.example", secret, recovery);
	EXPECT(!has_session(w));
	r = type_password(w, "/acme?redirect_to=%2Facme%2Fresources%3Fpage%3D2", "JO@acme.example", SIGN_IN_PASSWORD);
	REQUIRE(r->status == 303);
	EXPECT_HAS(r->location, "/code?redirect_to=");
	EXPECT(!has_session(w));
	r = type_password(w, "/acme?redirect_to=%2Facme%2Fresources%3Fpage%3D2", "jo@acme.example", SIGN_IN_PASSWORD);
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
	struct http_world *w = sign_in_world();
	u8 secret[TOTP_SECRET_LEN];
	char recovery[RECOVERY_STRLEN];

	enrol(w, "jo@acme.example", secret, recovery);
	(void)type_password(w, "/acme", "jo@acme.example", SIGN_IN_PASSWORD);
	EXPECT_STR(give_code(w, code_of(secret))->location, "/acme/sites");
	http_forget(w);
	(void)type_password(w, "/acme", "jo@acme.example", SIGN_IN_PASSWORD);
	EXPECT_HAS(give_code(w, code_of(secret))->location, "/code"); /* replayed */
	EXPECT_STR(give_code(w, recovery)->location, "/acme/sites");
	http_forget(w);
	(void)type_password(w, "/acme", "jo@acme.example", SIGN_IN_PASSWORD);
	EXPECT_HAS(give_code(w, recovery)->location, "/code");
	http_wait(w, SEC(60));
	EXPECT_STR(give_code(w, code_of(secret))->location, "/acme/sites");
	http_free(w);
}

TEST(known_and_unknown_people_are_answered_alike)
{
	struct http_world *w = sign_in_world();
	u8 secret[TOTP_SECRET_LEN];
	char recovery[RECOVERY_STRLEN], known[1024], unknown[1024];
	u64 start, took_known, took_unknown;

	enrol(w, "jo@acme.example", secret, recovery);
	start = portal_now;
	snprintf(known, sizeof(known), "%s", type_password(w, "/acme", "jo@acme.example", "a wrong password")->location);
	took_known = portal_now - start;
	EXPECT_HAS(http_get(w, known)->body, "The e-mail or the password is not right.");
	start = portal_now;
	snprintf(unknown, sizeof(unknown), "%s", type_password(w, "/acme", "nobody@acme.example", "a wrong password")->location);
	took_unknown = portal_now - start;
	EXPECT_HAS(http_get(w, unknown)->body, "The e-mail or the password is not right.");
	EXPECT_STR(known, unknown);
	EXPECT(took_known >= MSEC(500) && took_unknown >= MSEC(500));
	http_free(w);
}

TEST(guessing_ends_after_some_attempts_for_everybody_alike)
{
	struct http_world *w = sign_in_world();
	static const char *const people[] = { "jo@acme.example", "nobody@acme.example" };
	u8 secret[TOTP_SECRET_LEN];
	char recovery[RECOVERY_STRLEN];

	enrol(w, "jo@acme.example", secret, recovery);
	for (size_t i = 0; i < ARRAY_LEN(people); i++) {
		for (u32 n = 0; n < GUESSES_MAX; n++)
			EXPECT_HAS(http_get(w, type_password(w, "/acme", people[i], "wrong")->location)->body, "is not right");
		EXPECT_HAS(http_get(w, type_password(w, "/acme", people[i], SIGN_IN_PASSWORD)->location)->body, "Too many attempts");
	}
	http_wait(w, GUESSES_WINDOW);
	EXPECT_HAS(type_password(w, "/acme", "jo@acme.example", SIGN_IN_PASSWORD)->location, "/code");
	for (u32 n = 0; n < GUESSES_MAX; n++)
		EXPECT_HAS(give_code(w, "000000")->location, "/code");
	http_forget(w);
	EXPECT_HAS(type_password(w, "/acme", "jo@acme.example", SIGN_IN_PASSWORD)->location, "/code");
	EXPECT_STR(give_code(w, code_of(secret))->location, "/acme");
	EXPECT(!has_session(w));
	http_free(w);
}

/* Sends the form of type_password() and does not wait for the answer; the connection. */
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
	struct http_world *w = sign_in_world();
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
	EXPECT_HAS(http_get(w, type_password(w, "/acme", "jo@acme.example", SIGN_IN_PASSWORD)->location)->body, "Too many attempts");
	for (u32 i = 0; i < GUESSES_MAX; i++)
		close(fd[i]);
	http_free(w);
}

TEST(a_recovery_code_alone_opens_the_way_to_a_new_passkey_once)
{
	struct http_world *w = sign_in_world();
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

/* ---- what is shown ------------------------------------------------------------------------------------------------------------------- */

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
	struct http_world *w = sign_in_world();
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
	(void)type_password(w, "/acme", "jo@acme.example", SIGN_IN_PASSWORD);
	snprintf(where, sizeof(where), "%.500s", w->reply.location);
	expect_sound(http_get(w, where), "the second step");
	(void)http_post(w, where, "code=1");
	expect_sound(http_get(w, where), "the second step again");
	snprintf(where, sizeof(where), "code=%s", code_of(secret));
	(void)http_post(w, w->reply.location[0] ? w->reply.location : "/acme", where);
	(void)type_password(w, "/acme?as=headless-client", "jo@acme.example", SIGN_IN_PASSWORD);
	http_wait(w, SEC(60));
	expect_sound(give_code(w, code_of(secret)), "the token");
	EXPECT_HAS(w->reply.body, "token-value");
	http_wait(w, SEC(60));
	(void)type_password(w, "/acme?as=gui-client&nonce=n&state=s", "jo@acme.example", SIGN_IN_PASSWORD);
	expect_sound(give_code(w, code_of(secret)), "to the client");
	EXPECT_HAS(w->reply.body, "Open the client");
	http_wait(w, SEC(60));
	(void)type_password(w, "/acme", "jo@acme.example", SIGN_IN_PASSWORD);
	(void)give_code(w, code_of(secret));
	expect_sound(http_get(w, "/acme/settings/security"), "own credentials");
	expect_sound(http_post(w, "/acme/settings/security/password", "password=x"), "a wrong new password");
	expect_sound(http_post(w, "/acme/settings/security/codes", ""), "recovery codes");
	EXPECT_HAS(w->reply.body, "Your recovery codes");
	http_free(w);
}

TEST(the_last_way_in_cannot_be_removed)
{
	struct http_world *w = sign_in_world();
	u8 secret[TOTP_SECRET_LEN];
	char recovery[RECOVERY_STRLEN];

	enrol(w, "jo@acme.example", secret, recovery);
	(void)type_password(w, "/acme", "jo@acme.example", SIGN_IN_PASSWORD);
	(void)give_code(w, code_of(secret));
	EXPECT_EQ(action_of(http_get(w, "/acme/settings/security")->body, "/password/remove")[0], '\0');
	(void)http_post(w, "/acme/settings/security/password/remove", "");
	EXPECT_HAS(http_get(w, "/acme/settings/security")->body, "last way in");
	http_forget(w);
	http_wait(w, SEC(60));
	EXPECT_HAS(type_password(w, "/acme", "jo@acme.example", SIGN_IN_PASSWORD)->location, "/code");
	http_free(w);
}

/* ---- when it is much ----------------------------------------------------------------------------------------------------------------- */

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
	struct http_world *w = sign_in_world();
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

/* ---- where to afterwards ------------------------------------------------------------------------------------------------------------- */

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
