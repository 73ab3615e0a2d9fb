/* Jobs by the clock, in virtual time: limits and who is warned of them, outdated gateways. The store and the hub are a world's, mails stay in the queue. */
#include "applets/portal/jobs.h"
#include "applets/portal/mail/mailer.h"
#include "applets/portal/model/version.h"
#include "platform/tcp.h"
#include "tests/unit/portal_scene.h"

#include <stdio.h>
#include <unistd.h>

#define HOUR 3600ull
#define DAY (24 * HOUR)

static struct scene s;
static struct loop *loop;
static struct jobs *jobs;
static struct mail_config mail_cfg;
static int mute = -1; /* a port that nobody listens on */

static void changed(void *ctx, const struct uuid *account, enum kind k)
{
	(void)ctx;
	jobs_noted(jobs, account, k);
}

static void presence(void *ctx, enum kind k, const struct hub_presence *p, bool is_online)
{
	(void)ctx, (void)k, (void)p, (void)is_online;
}

static void session_ended(void *ctx, const struct uuid *session)
{
	(void)ctx, (void)session;
}

static const struct hub_news news = { changed, presence, session_ended, NULL };

/* All that is due at this instant. */
static void settle(void)
{
	for (int i = 0; i < 50; i++)
		loop_turn(loop, 0);
	EXPECT(jobs_are_idle(jobs));
}

static void pass(u64 secs)
{
	portal_now += SEC(secs);
	portal_wall += SEC(secs);
	settle();
}

/* To the second of the wall clock. */
static void pass_until(u64 secs)
{
	pass(secs - portal_wall / NSEC_PER_SEC);
}

static void begin(bool has_mail)
{
	struct endpoint any = { ip4(127, 0, 0, 1), 0 };
	char why[MAIL_WHY_MAX];

	s = scene_without_peers();
	loop = loop_new(&(struct loop_clock){ portal_clock_now, portal_clock_wall, NULL });
	s.w->portal.web_url = "https://portal.example/";
	if (has_mail) {
		mute = tcp_listen(&any);
		(void)tcp_local(mute, &any);
		mail_cfg = (struct mail_config){ .way = MAIL_BY_SMTP, .from = "firezone@p.example", .host = "127.0.0.1", .port = any.port };
		EXPECT_EQ(mailer_new(&s.w->portal, loop, &mail_cfg, NULL, NULL, &s.w->portal.mailer, why), 0);
	}
	jobs = jobs_new(&s.w->portal, loop);
	hub_set_news(s.w->portal.hub, &news, NULL);
	settle();
}

static void end(void)
{
	hub_set_news(s.w->portal.hub, NULL, NULL);
	jobs_free(jobs);
	jobs = NULL;
	mailer_free(s.w->portal.mailer);
	loop_free(loop);
	if (mute >= 0)
		close(mute);
	mute = -1;
	portal_free(s.w);
}

static const struct account *acme(void)
{
	return directory_account_named(hub_directory(s.w->portal.hub), "acme");
}

struct found {
	u32 n;
	char recipient[100], subject[200], text[2000];
};

static int take_mail(void *ctx, enum kind k, const void *entity)
{
	const struct mail_row *row = entity;
	struct found *f = ctx;

	(void)k;
	f->n++;
	snprintf(f->recipient, sizeof(f->recipient), "%s", row->recipient);
	snprintf(f->subject, sizeof(f->subject), "%s", row->subject);
	snprintf(f->text, sizeof(f->text), "%s", row->body_text ? row->body_text : "");
	return 0;
}

static struct found mails(void)
{
	struct found f = { .n = 0 };

	EXPECT_EQ(store_list(s.w->portal.store, KIND_MAIL, NULL, take_mail, &f), 0);
	return f;
}

static u16 client_status(void)
{
	struct connect c = { .role = MSG_ROLE_CLIENT, .token = s.client_token, .external_id = "x", .key = 'x', .user_agent = CLIENT_UA };
	struct fake *f = connect_as(s.w, &c);

	return f->peer ? 101 : f->refusal.status;
}

TEST(jobs_fall_due_by_the_wall_clock)
{
	const u64 sunday = 1800176400ull; /* 2027-01-17 09:00 UTC */

	EXPECT_EQ(jobs_due(1800000000, 1800000000), 0);
	EXPECT_EQ(jobs_due(1800000001, 1800001799), 0);
	EXPECT_EQ(jobs_due(1800001799, 1800001800), JOB_FLAGS | JOB_WARN);
	EXPECT_EQ(jobs_due(1800001800, 1800001860), 0);
	EXPECT_EQ(jobs_due(1800001799, 1800009000), JOB_FLAGS | JOB_WARN); /* late is once */
	EXPECT_EQ(jobs_due(1800009000, 1800001799), 0);			   /* the clock went back */
	EXPECT_EQ(jobs_due(sunday - 60, sunday - 1), 0);
	EXPECT_EQ(jobs_due(sunday - 60, sunday), JOB_FLAGS | JOB_WARN | JOB_OUTDATED);
	EXPECT_EQ(jobs_due(sunday - 60, sunday + 50), JOB_FLAGS | JOB_WARN | JOB_OUTDATED);
	EXPECT_EQ(jobs_due(sunday, sunday + 60), 0);
	for (u64 day = 1; day < 7; day++)
		EXPECT_EQ(jobs_due(sunday + day * DAY - 60, sunday + day * DAY), JOB_FLAGS | JOB_WARN);
	EXPECT_EQ(jobs_due(sunday + 7 * DAY - 60, sunday + 7 * DAY), JOB_FLAGS | JOB_WARN | JOB_OUTDATED);
}

TEST(a_gateway_is_outdated_when_it_is_older_than_the_reference)
{
	static const struct {
		const char *text;
		bool is_outdated;
	} all[] = { { "1.5.1", true }, { "1.5.2", false }, { "1.5.2-pre", false }, { "1.5.10", false }, { "1.4.99", true }, { "2.0.0", false }, { "0.9", true }, { "", false }, { "x", false } };

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct version v = version_read(all[i].text);
		EXPECT_EQ(version_is_outdated(&v), all[i].is_outdated);
	}
}

TEST(limits_are_flagged_soon_after_a_change_and_clients_feel_the_same)
{
	begin(false);
	EXPECT(!acme()->users_limit_exceeded);
	EXPECT_EQ(admin(s.w, "account update --limit-users 0 --limit-sites 0"), 0);
	pass(2);
	EXPECT(acme()->users_limit_exceeded && acme()->sites_limit_exceeded);
	EXPECT(!acme()->service_accounts_limit_exceeded && !acme()->seats_limit_exceeded && !acme()->admins_limit_exceeded);
	EXPECT_EQ(client_status(), 402);
	i64 at = acme()->e.updated_at;
	pass(HOUR); /* nothing is written when nothing is new */
	EXPECT_EQ(acme()->e.updated_at, at);
	EXPECT_EQ(admin(s.w, "account update --limit-users none"), 0);
	pass(2);
	EXPECT(!acme()->users_limit_exceeded && acme()->sites_limit_exceeded);
	EXPECT_EQ(client_status(), 101);
	/* as many as the limit are not too many */
	EXPECT_EQ(admin(s.w, "account update --limit-sites none --limit-service-accounts 1"), 0);
	EXPECT_EQ(admin(s.w, "actor add --type service-account --name robot"), 0);
	pass(2);
	EXPECT(!acme()->sites_limit_exceeded && !acme()->service_accounts_limit_exceeded);
	EXPECT_EQ(client_status(), 101);
	EXPECT_EQ(admin(s.w, "account update --limit-service-accounts 0"), 0);
	pass(2);
	EXPECT(acme()->service_accounts_limit_exceeded);
	EXPECT_EQ(client_status(), 402);
	end();
}

TEST(active_users_over_their_limit_are_only_told_of)
{
	begin(false);
	EXPECT_EQ(admin(s.w, "account update --limit-monthly-active-users 0"), 0);
	EXPECT_EQ(client_status(), 101);
	tick(s.w, SEC(10)); /* the session is stored */
	pass(HOUR);
	EXPECT(acme()->seats_limit_exceeded && !acme()->users_limit_exceeded);
	EXPECT_EQ(client_status(), 101);
	tick(s.w, SEC(10));
	EXPECT_EQ(admin(s.w, "account update --limit-monthly-active-users none"), 0);
	pass(HOUR);
	EXPECT(!acme()->seats_limit_exceeded);
	end();
}

TEST(admins_are_warned_of_limits_every_three_days)
{
	begin(true);
	EXPECT_EQ(admin(s.w, "account update --limit-users 0"), 0);
	pass(2);
	EXPECT(acme()->users_limit_exceeded);
	EXPECT_EQ(mails().n, 0); /* a change may be undone in the same minute */
	pass(HOUR);
	struct found f = mails();
	EXPECT_EQ(f.n, 1);
	EXPECT_STR(f.recipient, "jo@acme.example");
	EXPECT(strstr(f.text, "Users: ") && strstr(f.text, "the limit is 0"));
	EXPECT(strstr(f.text, "https://portal.example/acme/settings/account") != NULL);
	u64 first = (u64)acme()->limits_notified_at / 1000000;
	EXPECT(first > 0);
	for (u32 i = 0; i < 70; i++)
		pass(HOUR);
	EXPECT_EQ(mails().n, 1);
	pass_until(first + 3 * DAY + HOUR);
	EXPECT_EQ(mails().n, 2);
	/* who goes below the limit and above again is not warned more often */
	EXPECT_EQ(admin(s.w, "account update --limit-users none"), 0);
	pass(HOUR);
	EXPECT_EQ(admin(s.w, "account update --limit-users 0"), 0);
	pass(HOUR);
	EXPECT(acme()->users_limit_exceeded);
	EXPECT_EQ(mails().n, 2);
	end();
}

TEST(admins_hear_of_outdated_gateways_on_sundays)
{
	const u64 sunday = 1800176400ull;

	begin(true);
	struct connect c = { .role = MSG_ROLE_GATEWAY, .token = s.gateway_token, .external_id = "old", .name = "cellar", .key = 'o', .user_agent = "Debian/12 gateway/1.4.9" };
	struct fake *old = connect_as(s.w, &c);
	join(old, "{}");
	c = (struct connect){ .role = MSG_ROLE_GATEWAY, .token = s.gateway_token, .external_id = "new", .name = "attic", .key = 'n', .user_agent = GATEWAY_UA };
	join(connect_as(s.w, &c), "{}");
	pass_until(sunday - 61);
	EXPECT_EQ(mails().n, 0);
	pass(60);
	pass(60);
	struct found f = mails();
	EXPECT_EQ(f.n, 1);
	EXPECT_STR(f.recipient, "jo@acme.example");
	EXPECT(strstr(f.text, "cellar, version 1.4.9") && !strstr(f.text, "attic"));
	EXPECT(strstr(f.text, "https://portal.example/acme/sites") != NULL);
	for (u32 i = 0; i < 6 * 24; i++)
		pass(HOUR);
	EXPECT_EQ(mails().n, 1);
	pass_until(sunday + 7 * DAY + 60);
	EXPECT_EQ(mails().n, 2);
	/* the clock is set back over the hour */
	portal_wall -= SEC(120);
	pass(60);
	pass(120);
	EXPECT_EQ(mails().n, 2);
	/* and by a day, which passes again */
	portal_wall -= SEC(DAY);
	for (u32 i = 0; i < 26; i++)
		pass(HOUR);
	EXPECT_EQ(mails().n, 2);
	EXPECT_EQ(admin(s.w, "account update --notify-outdated-gateway off"), 0);
	pass_until(sunday + 14 * DAY + 60);
	EXPECT_EQ(mails().n, 2);
	EXPECT_EQ(admin(s.w, "account update --notify-outdated-gateway on"), 0);
	hang_up(old);
	pass_until(sunday + 21 * DAY + 60);
	EXPECT_EQ(mails().n, 2);
	end();
}
