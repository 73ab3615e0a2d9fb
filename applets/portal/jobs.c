#define LOG_TARGET "portal::jobs"

#include "applets/portal/jobs.h"

#include "applets/portal/mail/mail.h"
#include "applets/portal/model/version.h"
#include "core/base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MINUTE_SECS 60u
#define WEEK_SECS 604800u
#define FIRST_SUNDAY_AT_9 291600u /* 1970-01-04 09:00 UTC */
#define LIMITS_COUNT 5u
#define LINE_MAX_BYTES 300u
#define URL_MAX_BYTES 600u

struct jobs {
	struct portal *portal;
	struct loop *loop;
	struct loop_timer minute, soon;
	struct loop_task task;
	u64 done_until; /* wall, seconds */
	u32 round, next; /* what all accounts are looked at for, and which is the next */
	struct uuid noted[JOBS_NOTED_MAX];
	u32 n_noted;
	bool is_noted_full;
};

u32 jobs_due(u64 from, u64 to)
{
	u32 due = 0;

	if (to <= from)
		return 0;
	if (to / LIMITS_PERIOD_SECS > from / LIMITS_PERIOD_SECS)
		due |= JOB_FLAGS | JOB_WARN;
	if (from >= FIRST_SUNDAY_AT_9 && (to - FIRST_SUNDAY_AT_9) / WEEK_SECS > (from - FIRST_SUNDAY_AT_9) / WEEK_SECS)
		due |= JOB_OUTDATED;
	return due;
}

static u64 wall(const struct jobs *j)
{
	return loop_wall(j->loop);
}

static i64 stamp(const struct jobs *j)
{
	return (i64)(wall(j) / 1000);
}

/* ---- writing ------------------------------------------------------------------------------------------------------------------------- */

/* To each admin who has an address; how many are queued. Inside of a transaction: nothing is told if that does not end well. */
static u32 mail_admins(struct jobs *j, const struct account *account, struct mail m, const char *page)
{
	struct portal *p = j->portal;
	char url[URL_MAX_BYTES];
	u32 n, sent = 0;
	void *const *all = directory_all(hub_directory(p->hub), KIND_ACTOR, &account->e.id, &n);

	snprintf(url, sizeof(url), "%.300s%.100s/%s", p->web_url ? p->web_url : "", account->slug, page);
	m.account_id = account->e.id;
	m.account_name = account->name;
	m.url = url;
	for (u32 i = 0; i < n; i++) {
		const struct actor *a = all[i];

		if (a->type != ACTOR_ADMIN || a->disabled_at || !a->email)
			continue;
		m.to = a->email;
		m.to_name = a->name;
		sent += mail_send(p, &m) == 0;
	}
	return sent;
}

static int begin(struct jobs *j, const struct account *account)
{
	struct store *s = j->portal->store;

	store_set_principal(s, &(struct principal){ .kind = PRINCIPAL_SYSTEM, .account_id = account->e.id }, wall(j));
	int rc = store_begin(s, STORE_DURABLE);
	if (rc)
		log_at(store_trouble(s) ? LOG_DEBUG : LOG_ERROR, "nothing can be written of an account", kv_s("account", account->slug), kv_err(rc), kv_s("reason", store_reason(s)));
	return rc;
}

/* Writes the account, unless nothing of it has changed, and ends the transaction. */
static void end(struct jobs *j, struct account *account, bool has_changed)
{
	struct store *s = j->portal->store;
	int rc = has_changed ? store_update(s, KIND_ACCOUNT, account, wall(j)) : 0;

	rc = rc ? store_rollback(s, rc) : store_commit(s);
	rc = rc ? rc : hub_publish(j->portal->hub, j->portal->now(), wall(j));
	if (rc)
		log_at(store_trouble(s) ? LOG_DEBUG : LOG_ERROR, "what was found of an account cannot be written", kv_s("account", account->slug), kv_err(rc), kv_s("reason", store_reason(s)));
}

/* ---- limits (spec 60 §11) -------------------------------------------------------------------------------------------------------------- */

static void look_at_limits(struct jobs *j, const struct account *now, bool may_warn)
{
	char text[LIMITS_COUNT][LINE_MAX_BYTES];
	const char *lines[LIMITS_COUNT];
	struct mail m = { .kind = MAIL_LIMITS, .lines = lines };
	struct store_usage u;
	struct account row;
	bool has_changed = false;
	int rc = store_usage(j->portal->store, &now->e.id, wall(j), &u);

	if (!rc)
		rc = entity_copy(KIND_ACCOUNT, &row, now);
	if (rc) {
		log_error("limits cannot be compared", kv_s("account", now->slug), kv_err(rc));
		return;
	}
	const struct {
		const char *what;
		i64 limit, used;
		bool *flag;
	} all[LIMITS_COUNT] = {
		{ "Users", row.limit_users, u.users, &row.users_limit_exceeded },
		{ "Users active this month", row.limit_monthly_active_users, u.monthly_active_users, &row.seats_limit_exceeded },
		{ "Service accounts", row.limit_service_accounts, u.service_accounts, &row.service_accounts_limit_exceeded },
		{ "Sites", row.limit_sites, u.sites, &row.sites_limit_exceeded },
		{ "Admins", row.limit_admins, u.admins, &row.admins_limit_exceeded },
	};
	for (u32 i = 0; i < LIMITS_COUNT; i++) {
		bool is_over = all[i].limit >= 0 && all[i].used > all[i].limit;

		has_changed |= is_over != *all[i].flag;
		*all[i].flag = is_over;
		if (!is_over)
			continue;
		snprintf(text[m.n_lines], sizeof(text[0]), "%s: %lld, and the limit is %lld", all[i].what, (long long)all[i].used, (long long)all[i].limit);
		lines[m.n_lines] = text[m.n_lines];
		m.n_lines++;
	}
	may_warn = may_warn && m.n_lines > 0 && mail_is_possible(j->portal) &&
		   (!row.limits_notified_at || stamp(j) - row.limits_notified_at >= LIMITS_WARNED_EVERY * 1000000);
	if ((has_changed || may_warn) && begin(j, &row) == 0) {
		if (may_warn && mail_admins(j, now, m, "settings/account") > 0) {
			row.limits_notified_at = stamp(j);
			has_changed = true;
		}
		end(j, &row, has_changed);
	}
	entity_deinit(KIND_ACCOUNT, &row);
}

/* ---- outdated gateways (spec 60 §12) ----------------------------------------------------------------------------------------------------- */

struct outdated {
	struct jobs *jobs;
	char text[MAIL_LINES_MAX][LINE_MAX_BYTES];
	const char *lines[MAIL_LINES_MAX];
	u32 n; /* more than MAIL_LINES_MAX are only counted */
};

static int take_outdated(void *ctx, const struct hub_presence *x)
{
	struct outdated *o = ctx;
	struct version v = version_read(x->version);
	struct gateway gw;

	if (!version_is_outdated(&v))
		return 0;
	if (o->n < MAIL_LINES_MAX) {
		if (store_get(o->jobs->portal->store, KIND_GATEWAY, &x->account_id, &x->id, &gw))
			return 0;
		snprintf(o->text[o->n], LINE_MAX_BYTES, "%.200s, version %s", gw.d.name, v.text);
		o->lines[o->n] = o->text[o->n];
		entity_deinit(KIND_GATEWAY, &gw);
	}
	o->n++;
	return 0;
}

static void look_for_outdated(struct jobs *j, const struct account *now)
{
	struct outdated *o;
	struct account row;

	if (!now->notify_outdated_gateway || !mail_is_possible(j->portal) ||
	    (now->last_notified_at && stamp(j) - now->last_notified_at < OUTDATED_EVERY * 1000000))
		return;
	o = calloc(1, sizeof(*o));
	if (!o)
		return;
	o->jobs = j;
	(void)hub_each(j->portal->hub, MSG_ROLE_GATEWAY, &now->e.id, take_outdated, o);
	if (o->n > 0 && entity_copy(KIND_ACCOUNT, &row, now) == 0) {
		struct mail m = { .kind = MAIL_OUTDATED, .lines = o->lines, .n_lines = o->n };

		if (begin(j, &row) == 0) {
			u32 sent = mail_admins(j, now, m, "sites");
			row.last_notified_at = stamp(j);
			end(j, &row, sent > 0);
		}
		entity_deinit(KIND_ACCOUNT, &row);
	}
	free(o);
}

/* ---- one account after the other --------------------------------------------------------------------------------------------------------- */

static void look_at(struct jobs *j, const struct uuid id, u32 what)
{
	const struct directory *d = hub_directory(j->portal->hub);
	const struct account *a = directory_account(d, &id);

	if (a && !a->disabled_at && what & JOB_FLAGS)
		look_at_limits(j, a, what & JOB_WARN);
	a = directory_account(d, &id); /* what was written has replaced it */
	if (a && !a->disabled_at && what & JOB_OUTDATED)
		look_for_outdated(j, a);
}

static void on_task(void *ctx, u64 now)
{
	struct jobs *j = ctx;
	const struct index *all = &hub_directory(j->portal->hub)->by_id[KIND_ACCOUNT];

	(void)now;
	if (j->n_noted > 0) {
		look_at(j, j->noted[--j->n_noted], JOB_FLAGS);
	} else if (j->round && j->next < all->n) {
		look_at(j, ((const struct entity *)all->at[j->next++])->id, j->round);
	} else {
		j->round = 0;
		return;
	}
	loop_task_queue(j->loop, &j->task);
}

/* A round that is under way begins anew. */
static void look_at_all(struct jobs *j, u32 what)
{
	j->round |= what;
	j->next = 0;
	loop_task_queue(j->loop, &j->task);
}

static void on_soon(void *ctx, u64 now)
{
	struct jobs *j = ctx;

	(void)now;
	if (j->is_noted_full) {
		j->is_noted_full = false;
		j->n_noted = 0;
		look_at_all(j, JOB_FLAGS);
	}
	loop_task_queue(j->loop, &j->task);
}

void jobs_noted(struct jobs *j, const struct uuid *account, enum kind k)
{
	if (!j || (k != KIND_ACTOR && k != KIND_SITE && k != KIND_ACCOUNT))
		return;
	for (u32 i = 0; i < j->n_noted; i++)
		if (uuid_eq(&j->noted[i], account))
			return;
	if (j->n_noted == 0 && !j->is_noted_full)
		loop_timer_set(j->loop, &j->soon, loop_now(j->loop) + LIMITS_SOON);
	if (j->n_noted < JOBS_NOTED_MAX)
		j->noted[j->n_noted++] = *account;
	else
		j->is_noted_full = true;
}

bool jobs_are_idle(const struct jobs *j)
{
	return !j->round && j->n_noted == 0 && !j->is_noted_full;
}

/* ---- the clock ------------------------------------------------------------------------------------------------------------------------------- */

static void on_minute(void *ctx, u64 now)
{
	struct jobs *j = ctx;
	u64 secs = wall(j) / NSEC_PER_SEC;
	bool is_set_back = secs < j->done_until && j->done_until - secs < WEEK_SECS;
	u32 due = jobs_due(j->done_until, secs);

	loop_timer_set(j->loop, &j->minute, now + SEC(MINUTE_SECS - secs % MINUTE_SECS));
	if (is_set_back)
		return; /* that time was here before: nobody is told twice. From further ahead it was never right */
	j->done_until = secs;
	if (due)
		look_at_all(j, due);
}

struct jobs *jobs_new(struct portal *p, struct loop *l)
{
	struct jobs *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	*j = (struct jobs){ .portal = p, .loop = l, .minute = { .cb = on_minute, .ctx = j }, .soon = { .cb = on_soon, .ctx = j },
			    .task = { .cb = on_task, .ctx = j }, .done_until = loop_wall(l) / NSEC_PER_SEC };
	loop_timer_set(l, &j->minute, loop_now(l) + SEC(1));
	look_at_all(j, JOB_FLAGS); /* commands may have worked while nothing served */
	return j;
}

void jobs_free(struct jobs *j)
{
	if (!j)
		return;
	loop_timer_clear(j->loop, &j->minute);
	loop_timer_clear(j->loop, &j->soon);
	loop_task_cancel(j->loop, &j->task);
	free(j);
}
