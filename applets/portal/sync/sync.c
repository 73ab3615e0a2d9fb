#define LOG_TARGET "portal::sync"

#include "applets/portal/sync/sync.h"

#include "applets/portal/mail/mail.h"
#include "applets/portal/model/principal.h"
#include "applets/portal/sync/apply.h"
#include "core/base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define USEC_PER_DAY 86400000000ll
#define MINUTE_SECS 60u
#define PAGE "settings/directory_sync"

struct run {
	struct sync *sync;
	struct run *next;
	struct uuid account, directory;
	struct pull *pull;
	struct apply *apply;
	u64 began;
};

struct waiting {
	struct uuid account, directory;
};

struct sync_probe {
	struct sync *sync;
	struct sync_probe *next;
	struct pull *pull;
	void (*done)(void *ctx, int rc, const char *why);
	void *ctx;
};

struct sync {
	struct sync_config cfg;
	struct loop *loop;
	struct run *runs;
	struct sync_probe *probes;
	u32 n_runs, n_waiting;
	struct waiting waiting[SYNC_WAITING_MAX];
	struct loop_timer minute;
	struct loop_task task;
	u64 last_minute;
};

static u64 wall(const struct sync *s)
{
	return loop_wall(s->loop);
}

static i64 stamp(const struct sync *s)
{
	return (i64)(wall(s) / 1000);
}

/* ---- what came of it ---- */

/* Changes the row as it is now; who deleted or disabled it meanwhile is right. */
static void remember(struct sync *s, const struct run *r, void (*change)(struct sync *s, struct sync_directory *row, const char *why), const char *why)
{
	struct portal *p = s->cfg.portal;
	struct sync_directory row;

	if (store_get(p->store, KIND_DIRECTORY, &r->account, &r->directory, &row))
		return;
	change(s, &row, why);
	store_set_principal(p->store, &(struct principal){ .kind = PRINCIPAL_SYSTEM, .account_id = r->account }, wall(s));
	int rc = store_begin(p->store, STORE_DURABLE);
	if (!rc) {
		rc = store_update(p->store, KIND_DIRECTORY, &row, wall(s));
		rc = rc ? store_rollback(p->store, rc) : store_commit(p->store);
	}
	rc = rc ? rc : hub_publish(p->hub, p->now(), wall(s));
	if (rc)
		log_at(store_trouble(p->store) ? LOG_DEBUG : LOG_ERROR, "what came of a sync cannot be written", kv_err(rc));
	entity_deinit(KIND_DIRECTORY, &row);
}

static void went_well(struct sync *s, struct sync_directory *row, const char *why)
{
	(void)why;
	row->synced_at = stamp(s);
	row->errored_at = row->error_emailed_at = 0;
	row->error_email_count = 0;
	(void)text_set(&row->error_message, NULL);
}

static void switch_off(struct sync *s, struct sync_directory *row)
{
	if (row->disabled_at)
		return;
	row->disabled_at = stamp(s);
	row->is_verified = false;
	(void)text_set(&row->disabled_reason, SYNC_ERROR);
}

static void refused(struct sync *s, struct sync_directory *row, const char *why)
{
	row->errored_at = row->errored_at ? row->errored_at : stamp(s);
	(void)text_set(&row->error_message, why);
	switch_off(s, row);
}

static void disturbed(struct sync *s, struct sync_directory *row, const char *why)
{
	row->errored_at = row->errored_at ? row->errored_at : stamp(s);
	(void)text_set(&row->error_message, why);
	if (stamp(s) - row->errored_at >= SYNC_PATIENCE_SECS * 1000000ll)
		switch_off(s, row);
}

/* ---- runs ---- */

static void end_run(struct run *r)
{
	struct sync *s = r->sync;

	for (struct run **at = &s->runs; *at; at = &(*at)->next) {
		if (*at == r) {
			*at = r->next;
			break;
		}
	}
	s->n_runs--;
	apply_free(r->apply);
	pull_free(r->pull);
	free(r);
	loop_task_queue(s->loop, &s->task);
}

static void log_failure(const struct run *r, const char *why)
{
	log_warn("a directory could not be synced", kv_s("directory", r->pull->dir.name), kv_s("reason", why));
}

static void on_applied(void *ctx, int rc, const char *why)
{
	struct run *r = ctx;
	const struct apply_counts *c = apply_counts(r->apply);

	if (rc == ERR_DENIED) {
		log_failure(r, why);
		remember(r->sync, r, refused, why);
	} else if (rc == ERR_NOT_FOUND) {
		log_info("a directory went while it was synced", kv_s("directory", r->pull->dir.name));
	} else if (rc) {
		log_error("a sync stopped: the store refuses", kv_s("directory", r->pull->dir.name), kv_s("reason", why));
	} else {
		log_info("a directory is synced", kv_s("directory", r->pull->dir.name), kv_u("users", c->users), kv_u("users_new", c->users_new),
			 kv_u("users_left_out", c->users_left_out), kv_u("identities_gone", c->identities_gone), kv_u("groups", c->groups),
			 kv_u("groups_new", c->groups_new), kv_u("groups_gone", c->groups_gone), kv_u("memberships_new", c->memberships_new),
			 kv_u("memberships_gone", c->memberships_gone), kv_u("requests", r->pull->n_requests),
			 kv_u("ms", (loop_now(r->sync->loop) - r->began) / MSEC(1)));
		remember(r->sync, r, went_well, "");
	}
	end_run(r);
}

static void on_pulled(void *ctx, struct pull *p)
{
	struct run *r = ctx;

	if (p->failure != PULL_OK) {
		log_failure(r, p->why);
		remember(r->sync, r, p->failure == PULL_REFUSED ? refused : disturbed, p->why);
		end_run(r);
		return;
	}
	r->apply = apply_new(r->sync->cfg.portal, r->sync->loop, p, on_applied, r);
	if (!r->apply) {
		log_error("a sync stopped: the portal is out of memory", kv_s("directory", p->dir.name));
		end_run(r);
	}
}

static bool account_syncs(const struct sync *s, const struct uuid *id)
{
	const struct account *a = directory_account(hub_directory(s->cfg.portal->hub), id);

	return a && !a->disabled_at && a->has_idp_sync;
}

static void begin_run(struct sync *s, const struct waiting *w)
{
	struct sync_directory row;
	struct run *r;

	if (!account_syncs(s, &w->account) || store_get(s->cfg.portal->store, KIND_DIRECTORY, &w->account, &w->directory, &row))
		return;
	r = !row.disabled_at && row.is_verified ? calloc(1, sizeof(*r)) : NULL;
	if (r) {
		*r = (struct run){ .sync = s, .next = s->runs, .account = w->account, .directory = w->directory, .began = loop_now(s->loop) };
		r->pull = pull_new(&s->cfg.pull, &row, false, on_pulled, r);
		if (r->pull) {
			s->runs = r;
			s->n_runs++;
		} else {
			free(r);
		}
	}
	entity_deinit(KIND_DIRECTORY, &row);
}

static void on_task(void *ctx, u64 now)
{
	struct sync *s = ctx;

	(void)now;
	while (s->n_waiting > 0 && s->n_runs < SYNC_RUNS_MAX) {
		struct waiting w = s->waiting[0];
		memmove(s->waiting, s->waiting + 1, --s->n_waiting * sizeof(w));
		begin_run(s, &w);
	}
}

static bool is_known(const struct sync *s, const struct uuid *directory)
{
	for (u32 i = 0; i < s->n_waiting; i++)
		if (uuid_eq(&s->waiting[i].directory, directory))
			return true;
	return sync_is_running(s, directory);
}

bool sync_is_running(const struct sync *s, const struct uuid *directory)
{
	for (const struct run *r = s->runs; r; r = r->next)
		if (uuid_eq(&r->directory, directory))
			return true;
	return false;
}

static int enqueue(struct sync *s, const struct uuid *account, const struct uuid *directory)
{
	if (is_known(s, directory))
		return ERR_AGAIN;
	if (s->n_waiting == SYNC_WAITING_MAX)
		return ERR_LIMIT;
	s->waiting[s->n_waiting++] = (struct waiting){ *account, *directory };
	loop_task_queue(s->loop, &s->task);
	return 0;
}

int sync_now(void *sync, const struct uuid *account, const struct uuid *directory)
{
	struct sync *s = sync;
	struct sync_directory row;
	int rc = store_get(s->cfg.portal->store, KIND_DIRECTORY, account, directory, &row);

	if (rc)
		return rc;
	rc = row.disabled_at || !row.is_verified || !account_syncs(s, account) ? ERR_DENIED : enqueue(s, account, directory);
	entity_deinit(KIND_DIRECTORY, &row);
	return rc;
}

/* ---- the clock ---- */

int sync_due_type(u64 wall_secs)
{
	u64 minute = wall_secs / 60 % 60, hour = wall_secs / 3600 % 24;

	if (hour % 2)
		return -1;
	return minute == 0 ? DIRECTORY_ENTRA : minute == 20 ? DIRECTORY_GOOGLE : minute == 40 ? DIRECTORY_OKTA : -1;
}

bool sync_mail_is_due(i64 sent, u64 days_since_last, int weekday)
{
	if (sent < 3)
		return days_since_last >= 1;
	if (sent < 6)
		return days_since_last >= 3;
	return sent < 10 && weekday == 1 && days_since_last >= 1;
}

static int enqueue_due(void *ctx, enum kind k, const void *row)
{
	const struct sync_directory *d = row;

	(void)k;
	if (d->is_verified && !d->disabled_at && account_syncs(ctx, &d->e.account_id) && enqueue(ctx, &d->e.account_id, &d->e.id) == ERR_LIMIT)
		log_warn("too many directories wait to be synced: this one waits for the next round", kv_s("directory", d->name));
	return 0;
}

struct due_mails {
	struct sync *sync;
	struct waiting list[SYNC_WAITING_MAX];
	u32 n;
};

static int collect_mails(void *ctx, enum kind k, const void *row)
{
	const struct sync_directory *d = row;
	struct due_mails *due = ctx;
	i64 since = stamp(due->sync) - d->error_emailed_at;
	/* a mail was sent at the same hour of an earlier day, give or take the length of that minute */
	u64 days = d->error_emailed_at ? (u64)((since + USEC_PER_DAY / 24) / USEC_PER_DAY) : 1000;
	int weekday = (int)((wall(due->sync) / NSEC_PER_SEC / 86400 + 4) % 7);
	bool is_ours = !d->disabled_at || (d->disabled_reason && strcmp(d->disabled_reason, SYNC_ERROR) == 0);

	(void)k;
	if (d->errored_at && is_ours && due->n < SYNC_WAITING_MAX && sync_mail_is_due(d->error_email_count, days, weekday))
		due->list[due->n++] = (struct waiting){ d->e.account_id, d->e.id };
	return 0;
}

static void was_mailed(struct sync *s, struct sync_directory *row, const char *why)
{
	(void)why;
	row->error_email_count++;
	row->error_emailed_at = stamp(s);
}

static void mail_admins(struct sync *s, const struct waiting *w)
{
	struct portal *p = s->cfg.portal;
	const struct account *account = directory_account(hub_directory(p->hub), &w->account);
	const struct run r = { .account = w->account, .directory = w->directory };
	struct sync_directory row;
	char url[600];
	u32 n, sent = 0;

	if (!account || account->disabled_at || store_get(p->store, KIND_DIRECTORY, &w->account, &w->directory, &row))
		return;
	void *const *all = directory_all(hub_directory(p->hub), KIND_ACTOR, &w->account, &n);
	snprintf(url, sizeof(url), "%.300s%.100s/" PAGE, p->web_url ? p->web_url : "", account->slug);
	for (u32 i = 0; i < n; i++) {
		const struct actor *a = all[i];
		struct mail m = { .kind = MAIL_SYNC, .account_id = w->account, .to = a->email, .to_name = a->name, .account_name = account->name,
				  .subject = row.name, .reason = row.error_message, .url = url };
		if (a->type == ACTOR_ADMIN && !a->disabled_at && a->email)
			sent += mail_send(p, &m) == 0;
	}
	entity_deinit(KIND_DIRECTORY, &row);
	if (sent > 0)
		remember(s, &r, was_mailed, "");
}

static void send_mails(struct sync *s)
{
	struct due_mails *due = mail_is_possible(s->cfg.portal) ? calloc(1, sizeof(*due)) : NULL;

	if (!due)
		return;
	due->sync = s;
	if (store_list(s->cfg.portal->store, KIND_DIRECTORY, NULL, collect_mails, due) == 0)
		for (u32 i = 0; i < due->n; i++)
			mail_admins(s, &due->list[i]);
	free(due);
}

static void on_minute(void *ctx, u64 now)
{
	static const char *const names[] = { [DIRECTORY_GOOGLE] = "google", [DIRECTORY_ENTRA] = "entra", [DIRECTORY_OKTA] = "okta" };
	struct sync *s = ctx;
	u64 secs = wall(s) / NSEC_PER_SEC, minute = secs / MINUTE_SECS;

	loop_timer_set(s->loop, &s->minute, now + SEC(MINUTE_SECS - secs % MINUTE_SECS));
	if (minute == s->last_minute)
		return;
	s->last_minute = minute;
	int type = sync_due_type(secs);
	if (type >= 0) {
		const struct store_filter filter = { "type", FILTER_IS, names[type] };
		if (store_select(s->cfg.portal->store, KIND_DIRECTORY, NULL, &filter, 1, 0, enqueue_due, s))
			log_error("the list of directories cannot be read", kv_s("reason", store_reason(s->cfg.portal->store)));
	}
	if (minute % 1440 == SYNC_MAIL_HOUR * 60)
		send_mails(s);
}

/* ---- trying ---- */

static void drop_probe(struct sync_probe *p)
{
	for (struct sync_probe **at = &p->sync->probes; *at; at = &(*at)->next) {
		if (*at == p) {
			*at = p->next;
			break;
		}
	}
	pull_free(p->pull);
	free(p);
}

static void on_probed(void *ctx, struct pull *pull)
{
	struct sync_probe *p = ctx;

	p->done(p->ctx, pull->failure == PULL_OK ? 0 : pull->failure == PULL_REFUSED ? ERR_DENIED : ERR_TIMEOUT, pull->why);
	drop_probe(p);
}

struct sync_probe *sync_probe(struct sync *s, const struct sync_directory *row, void (*done)(void *ctx, int rc, const char *why), void *ctx)
{
	struct sync_probe *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	*p = (struct sync_probe){ .sync = s, .next = s->probes, .done = done, .ctx = ctx };
	p->pull = pull_new(&s->cfg.pull, row, true, on_probed, p);
	if (!p->pull) {
		free(p);
		return NULL;
	}
	return s->probes = p;
}

void sync_probe_cancel(struct sync_probe *p)
{
	if (p)
		drop_probe(p);
}

/* ---- the object ---- */

struct sync *sync_new(const struct sync_config *cfg)
{
	struct sync *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->cfg = *cfg;
	s->loop = cfg->pull.loop;
	s->task = (struct loop_task){ .cb = on_task, .ctx = s };
	s->minute = (struct loop_timer){ .cb = on_minute, .ctx = s };
	s->last_minute = wall(s) / NSEC_PER_SEC / MINUTE_SECS; /* a portal that is started anew in that minute has done it before */
	loop_timer_set(s->loop, &s->minute, loop_now(s->loop) + SEC(1));
	return s;
}

void sync_free(struct sync *s)
{
	if (!s)
		return;
	loop_timer_clear(s->loop, &s->minute);
	while (s->runs)
		end_run(s->runs);
	while (s->probes)
		drop_probe(s->probes);
	loop_task_cancel(s->loop, &s->task);
	free(s);
}
