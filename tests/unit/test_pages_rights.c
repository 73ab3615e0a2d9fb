/* What ends a right ends the pages it holds open, at once; and what the pages about the portal itself say and do. */
#include "applets/portal/auth/auth.h"
#include "applets/portal/http/exchange_int.h"
#include "applets/portal/http/live.h"
#include "applets/portal/mail/mailer.h"
#include "applets/portal/model/directory.h"
#include "applets/portal/news.h"
#include "tests/unit/http_world.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Kim's browser, signed in through "keycloak"; Jo is another admin. Open pages hear as they do where a portal serves. */
static struct http_world *signed_in(void)
{
	struct http_world *w = http_new();
	struct portal *p = &w->portal->portal;
	struct uuid keycloak;

	hub_set_news(p->hub, &live_news, p);
	p->web_url = "http://portal.example/";
	EXPECT_EQ(admin(w->portal, "provider add --type oidc --name keycloak --client-id k --client-secret s --issuer https://k.example "
				   "--discovery-document-uri https://k.example/.well-known/openid-configuration --verified on"), 0);
	keycloak = w->portal->reply.id;
	EXPECT_EQ(admin(w->portal, "actor add --type admin --name Kim --email kim@acme.example"), 0);
	http_sign_in(w, &w->portal->reply.id, &keycloak, 7);
	EXPECT_EQ(hub_publish(p->hub, portal_now, portal_wall), 0);
	return w;
}

static int open_stream(struct http_world *w)
{
	char request[4096];
	int fd = http_dial(w);

	snprintf(request, sizeof(request), "GET /acme/live?topics=sites HTTP/1.1\r\nHost: x\r\nCookie: %s\r\n\r\n", w->cookie[0]);
	http_send(w, fd, request);
	EXPECT_HAS(http_recv(w, fd, NULL), "text/event-stream");
	EXPECT_EQ(live_count(w->portal->portal.live), 1);
	return fd;
}

static void end(struct http_world *w)
{
	mailer_free(w->portal->portal.mailer);
	w->portal->portal.mailer = NULL;
	http_free(w);
}

/* spec 60 §3.11, §5.2: without waiting for anything */
TEST(what_ends_a_session_ends_its_open_pages_at_once)
{
	static const char *const ends[] = { "provider disable keycloak", "provider delete keycloak", "provider revoke-sessions keycloak",
					    "actor disable kim@acme.example", "actor update kim@acme.example --type user", "actor delete kim@acme.example" };
	static const char *const others[] = { "provider update keycloak --name Sign-in", "actor update kim@acme.example --name Kimberly",
					      "actor disable jo@acme.example" };

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		struct http_world *w = signed_in();
		int fd = open_stream(w);

		EXPECT_EQ(admin(w->portal, ends[i]), 0);
		EXPECT_EQ(live_count(w->portal->portal.live), 0);
		EXPECT_HAS(http_recv(w, fd, NULL), "0\r\n\r\n");
		EXPECT_EQ(http_get(w, "/acme/sites")->status, 303);
		close(fd);
		http_turn(w);
		end(w);
	}
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		struct http_world *w = signed_in();
		int fd = open_stream(w);

		EXPECT_EQ(admin(w->portal, others[i]), 0);
		EXPECT_EQ(live_count(w->portal->portal.live), 1);
		EXPECT_EQ(http_get(w, "/acme/sites")->status, 200);
		close(fd);
		http_turn(w);
		end(w);
	}
}

/* issue: the low-memory profile is stated in the settings */
TEST(settings_say_how_slow_hashes_are_made_here)
{
	static const u64 memory[] = { 2048, 200, 40 };

	for (size_t i = 0; i < ARRAY_LEN(memory); i++) {
		struct http_world *w = signed_in();
		const struct password_profile *profile = password_profile(memory[i] << 20);

		w->portal->portal.auth->profile = profile;
		EXPECT_HAS(http_get(w, "/acme/settings/account")->body, profile->statement);
		end(w);
	}
}

static struct http_world *with_mail(void)
{
	/* nobody listens there */
	static const struct mail_config cfg = { .way = MAIL_BY_SMTP, .from = "portal@portal.example", .host = "127.0.0.1", .port = 1 };
	struct http_world *w = signed_in();
	char why[MAIL_WHY_MAX];

	EXPECT_EQ(mailer_new(&w->portal->portal, w->loop, &cfg, NULL, NULL, &w->portal->portal.mailer, why), 0);
	return w;
}

TEST(a_test_mail_is_asked_for_and_its_fate_is_told)
{
	struct http_world *w = signed_in();

	(void)http_get(w, "/acme/settings/mail");
	EXPECT_HAS(http_post(w, "/acme/settings/mail/test", "")->body, "this portal sends no mail: start it with --mail");
	end(w);
	w = with_mail();
	EXPECT_HAS(http_get(w, "/acme/settings/mail")->body, "action=\"/acme/settings/mail/test\"");
	EXPECT_HAS(http_post(w, "/acme/settings/mail/test", "")->body, "The mail was not taken: ");
	end(w);
}

/* spec 60 §6.1: 3 in 3 min */
TEST(welcome_mails_to_one_person_are_limited)
{
	struct http_world *w = with_mail();
	char where[256], other[256];
	struct mail_status status;

	snprintf(where, sizeof(where), "/acme/actors/%s/welcome", admin_value(w->portal, "actor show kim@acme.example", "id"));
	snprintf(other, sizeof(other), "/acme/actors/%s/welcome", admin_value(w->portal, "actor show jo@acme.example", "id"));
	(void)http_get(w, "/acme/sites/new");
	for (u32 i = 1; i <= 5; i++) {
		EXPECT_EQ(http_post(w, where, "")->status, 303);
		mail_status(&w->portal->portal, &status);
		EXPECT_EQ(status.queued, MIN(i, 3u));
	}
	EXPECT_HAS(http_get(w, "/acme/sites")->body, "Kim got three mails within minutes.");
	EXPECT_EQ(http_post(w, other, "")->status, 303);
	mail_status(&w->portal->portal, &status);
	EXPECT_EQ(status.queued, 4);
	http_wait(w, MINUTES(3));
	EXPECT_EQ(http_post(w, where, "")->status, 303);
	mail_status(&w->portal->portal, &status);
	EXPECT_EQ(status.queued, 5);
	end(w);
}
