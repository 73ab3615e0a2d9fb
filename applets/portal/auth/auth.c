#define LOG_TARGET "portal::auth"

#include "applets/portal/auth/auth.h"

#include "core/base/log.h"
#include "core/crypto/hash.h"

#include <ctype.h>
#include <sodium.h>
#include <stdlib.h>

struct slow {
	struct password_job job;
	struct auth *auth;
	struct exchange *x; /* NULL: the peer left */
	u64 due;
	struct loop_timer timer;
	auth_then *then;
	void *ctx;
	struct slow *next, **link;
};

struct count {
	u64 until;
	u32 n, pad;
};

/* ---- the state ------------------------------------------------------------------------------------------------------------------------------ */

static void on_worker(void *ctx, int fd, unsigned events, u64 now)
{
	struct auth *a = ctx;

	(void)fd, (void)events, (void)now;
	worker_collect(a->worker);
}

int auth_new(struct auth **out, struct portal *p, struct loop *l, u64 memory)
{
	struct auth *a = calloc(1, sizeof(*a));
	int rc = a ? 0 : ERR_NOMEM;

	if (rc)
		return rc;
	a->portal = p;
	a->loop = l;
	a->profile = password_profile(memory);
	a->has_passkeys = p->web_url && webauthn_site_of(&a->site, p->web_url) == 0;
	rc = lru_init(&a->mails, AUTH_KEY_LEN, sizeof(struct count), AUTH_TRACKED_MAX, p->rng);
	rc = rc ? rc : lru_init(&a->guesses, AUTH_KEY_LEN, sizeof(struct count), AUTH_TRACKED_MAX, p->rng);
	rc = rc ? rc : lru_init(&a->challenges, WEBAUTHN_CHALLENGE_LEN, 1, AUTH_TRACKED_MAX, p->rng);
	rc = rc ? rc : worker_new(&a->worker);
	if (!rc) {
		a->watch = loop_fd_add(l, worker_fd(a->worker), LOOP_READ, on_worker, a);
		rc = a->watch ? 0 : ERR_NOMEM;
	}
	if (rc) {
		auth_free(a);
		return rc;
	}
	*out = a;
	return 0;
}

static void slow_free(struct slow *s)
{
	*s->link = s->next;
	if (s->next)
		s->next->link = s->link;
	loop_timer_clear(s->auth->loop, &s->timer);
	password_job_wipe(&s->job);
	free(s);
}

void auth_free(struct auth *a)
{
	if (!a)
		return;
	loop_fd_del(a->watch);
	worker_free(a->worker);
	while (a->slow)
		slow_free(a->slow);
	lru_deinit(&a->mails);
	lru_deinit(&a->guesses);
	lru_deinit(&a->challenges);
	free(a);
}

/* ---- slow hashes ---------------------------------------------------------------------------------------------------------------------------- */

static void deliver(struct slow *s)
{
	struct exchange *x = s->x;

	if (x)
		s->then(x, s->job.rc, s->job.phc, s->ctx);
	slow_free(s);
}

static void on_due(void *ctx, u64 now)
{
	(void)now;
	deliver(ctx);
}

static void on_done(struct worker_job *job)
{
	struct slow *s = container_of(container_of(job, struct password_job, job), struct slow, job);

	if (s->x && s->due > loop_now(s->auth->loop))
		loop_timer_set(s->auth->loop, &s->timer, s->due);
	else
		deliver(s);
}

/* The job's own end frees it, unless that is over and only time is waited for. */
static void on_gone(void *ctx)
{
	struct slow *s = ctx;

	s->x = NULL;
	if (s->timer.is_set)
		slow_free(s);
}

static struct slow *slow_new(struct exchange *x, u64 due, auth_then *then, void *ctx)
{
	struct auth *a = x->portal->auth;
	struct slow *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	*s = (struct slow){ .auth = a, .x = x, .due = due, .timer = { .cb = on_due, .ctx = s }, .then = then, .ctx = ctx };
	s->job.job.done = on_done;
	s->next = a->slow;
	s->link = &a->slow;
	if (s->next)
		s->next->link = &s->next;
	a->slow = s;
	return s;
}

static void submit(struct exchange *x, struct slow *s)
{
	int rc = s ? worker_submit(s->auth->worker, &s->job.job) : ERR_NOMEM;

	if (rc == 0) {
		exchange_defer(x, on_gone, s);
		return;
	}
	log_warn("a sign-in was turned away", kv_s("reason", rc == ERR_LIMIT ? "too many at once" : err_str(rc)));
	if (s)
		slow_free(s);
	exchange_header(x, "Retry-After", "5");
	exchange_problem(x, 503, "Too many people are signing in right now. Try again in a few seconds.");
}

void auth_verify(struct exchange *x, const char *stored, const char *text, u64 due, auth_then *then, void *ctx)
{
	struct slow *s = slow_new(x, due, then, ctx);

	if (s)
		password_job_verify(&s->job, stored, s->auth->profile, text);
	submit(x, s);
}

void auth_hash(struct exchange *x, const char *text, u64 due, auth_then *then, void *ctx)
{
	struct slow *s = slow_new(x, due, then, ctx);

	if (s)
		password_job_hash(&s->job, s->auth->profile, text, x->portal->rng);
	submit(x, s);
}

/* ---- how often ------------------------------------------------------------------------------------------------------------------------------- */

void auth_key_of(u8 key[static AUTH_KEY_LEN], const struct uuid *account, const char *address)
{
	u8 text[512], digest[SHA256_LEN];
	size_t n = sizeof(account->b);

	memcpy(text, account->b, n);
	for (; *address && n < sizeof(text); address++)
		text[n++] = (u8)tolower((unsigned char)*address);
	sha256(digest, SPAN(text, n));
	memcpy(key, digest, AUTH_KEY_LEN);
}

bool auth_count(struct lru *l, const u8 key[static AUTH_KEY_LEN], u32 max, u64 window, bool is_strict, u64 now)
{
	const struct count *known = lru_get(l, key);
	struct count c = { .until = now + window };
	bool is_fine;

	if (known && now < known->until)
		c = *known;
	is_fine = c.n < max;
	if (is_fine)
		c.n++;
	else if (is_strict)
		c.until = now + window;
	lru_put(l, key, &c);
	return is_fine;
}

void auth_forget(struct lru *l, const u8 key[static AUTH_KEY_LEN])
{
	(void)lru_del(l, key);
}

/* ---- writing ------------------------------------------------------------------------------------------------------------------------------------ */

int auth_begin(struct exchange *x, const struct principal *who)
{
	const struct principal nobody = { .kind = PRINCIPAL_SYSTEM, .remote_ip = x->remote_ip };

	store_set_principal(x->portal->store, who ? who : &nobody, x->wall);
	return store_begin(x->portal->store, STORE_DURABLE);
}

int auth_end(struct exchange *x, int rc)
{
	struct portal *p = x->portal;

	rc = rc ? store_rollback(p->store, rc) : store_commit(p->store);
	if (rc) {
		log_at(store_trouble(p->store) ? LOG_DEBUG : LOG_ERROR, "sign-in could not be written", kv_s("reason", store_reason(p->store)));
		return rc;
	}
	return hub_publish(p->hub, loop_now(x->loop), loop_wall(x->loop));
}
