#define LOG_TARGET "portal::sync"

#include "applets/portal/sync/pull.h"

#include "applets/portal/auth/jose_sign.h"
#include "core/base/log.h"
#include "core/base/strbuf.h"
#include "core/http/url.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void pump(struct pull *p);

/* ---- ends ---- */

static void get_free(struct pull_get *g)
{
	fetch_cancel(g->fetch);
	free(g->url);
	free(g);
}

static void drop_all(struct pull *p)
{
	for (u32 i = 0; i < PULL_PARALLEL; i++) {
		if (p->busy[i])
			get_free(p->busy[i]);
		p->busy[i] = NULL;
	}
	p->n_busy = 0;
	for (struct pull_get *g = p->queue, *next; g; g = next) {
		next = g->next;
		get_free(g);
	}
	p->queue = NULL;
	p->queue_end = &p->queue;
	fetch_cancel(p->token_fetch);
	p->token_fetch = NULL;
}

static void on_task(void *ctx, u64 now)
{
	struct pull *p = ctx;

	(void)now;
	if (p->is_over)
		p->done(p->ctx, p);
	else
		pump(p);
}

static void end(struct pull *p)
{
	p->is_over = true;
	drop_all(p);
	loop_timer_clear(p->cfg->loop, &p->timer);
	loop_timer_clear(p->cfg->loop, &p->deadline);
	loop_task_queue(p->cfg->loop, &p->task);
}

void pull_fail(struct pull *p, enum pull_failure f, const char *fmt, ...)
{
	va_list ap;

	if (p->is_over)
		return;
	va_start(ap, fmt);
	vsnprintf(p->why, sizeof(p->why), fmt, ap);
	va_end(ap);
	p->failure = f;
	end(p);
}

/* What the three say when something is wrong: error.message, errorSummary, error_description, error. */
static void server_words(const struct fetch_answer *a, char *out, size_t cap)
{
	static const struct json_limits limits = { 262144, 4096, 16 };
	struct json_get g = JSON_GET;
	struct cJSON *root = NULL;

	out[0] = '\0';
	if (json_parse(a->body, &limits, &root))
		return;
	const struct cJSON *error = json_member(&g, root, "error");
	const char *text = json_is_object(error) ? pull_str(error, "message") : NULL;
	text = text ? text : pull_str(root, "error_description");
	text = text ? text : pull_str(root, "errorSummary");
	text = text ? text : json_value_str(error);
	if (text)
		snprintf(out, cap, ": %.240s", text);
	json_free(root);
}

void pull_fail_by(struct pull *p, const char *step, const struct fetch_answer *a)
{
	char words[260];

	if (a->error) {
		pull_fail(p, a->error == ERR_DENIED || a->error == ERR_INVAL ? PULL_REFUSED : PULL_DISTURBED, "%s: %s: %s", p->ops->what, step, a->why);
		return;
	}
	server_words(a, words, sizeof(words));
	pull_fail(p, a->status >= 400 && a->status < 500 && a->status != 429 ? PULL_REFUSED : PULL_DISTURBED, "%s: %s: status %u%s", p->ops->what, step,
		  a->status, words);
}

/* ---- texts ---- */

const char *pull_text(struct pull *p, u32 slot, const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	int n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (p->scratch[slot])
		sodium_memzero(p->scratch[slot], strlen(p->scratch[slot]));
	free(p->scratch[slot]);
	p->scratch[slot] = n < 0 ? NULL : text;
	return p->scratch[slot] ? p->scratch[slot] : "";
}

const char *pull_encoded(struct pull *p, u32 slot, const char *text)
{
	static const char digits[] = "0123456789ABCDEF";
	char *out = malloc(strlen(text) * 3 + 1), *to = out;

	for (const u8 *c = (const u8 *)text; out && *c; c++) {
		if ((*c >= '0' && *c <= '9') || (*c >= 'A' && *c <= 'Z') || (*c >= 'a' && *c <= 'z') || strchr("-._~", *c)) {
			*to++ = (char)*c;
		} else {
			*to++ = '%';
			*to++ = digits[*c >> 4];
			*to++ = digits[*c & 15];
		}
	}
	if (out)
		*to = '\0';
	free(p->scratch[slot]);
	return (p->scratch[slot] = out) ? out : "";
}

bool pull_same_origin(const char *url, const char *base)
{
	size_t n = strlen(base);

	return strncmp(url, base, n) == 0 && (base[n - 1] == '/' || url[n] == '/' || url[n] == '?');
}

const char *pull_str(const struct cJSON *o, const char *name)
{
	struct json_get g = JSON_GET;
	const char *s = json_is_object(o) ? json_value_str(json_member(&g, o, name)) : NULL;

	return g.err ? NULL : s;
}

const char *pull_issuer(const struct pull_config *cfg, const struct sync_directory *dir, char *out, size_t cap)
{
	switch ((enum directory_type)dir->type) {
	case DIRECTORY_GOOGLE:
		snprintf(out, cap, "https://accounts.google.com");
		break;
	case DIRECTORY_ENTRA:
		snprintf(out, cap, "%s/%s/v2.0", cfg->entra_url, dir->tenant_id ? dir->tenant_id : "");
		break;
	case DIRECTORY_OKTA:
		snprintf(out, cap, "https://%s", dir->okta_domain ? dir->okta_domain : "");
		break;
	}
	return out;
}

/* ---- pages ---- */

static void push(struct pull *p, struct pull_get *g, bool in_front)
{
	if (in_front) {
		g->next = p->queue;
		if (!p->queue)
			p->queue_end = &g->next;
		p->queue = g;
	} else {
		g->next = NULL;
		*p->queue_end = g;
		p->queue_end = &g->next;
	}
}

void pull_get(struct pull *p, pull_page *page, u32 group, enum get_lack lack, const char *fmt, ...)
{
	struct pull_get *g = p->is_over ? NULL : calloc(1, sizeof(*g));
	va_list ap;

	if (p->is_over)
		return;
	va_start(ap, fmt);
	int n = g ? vasprintf(&g->url, fmt, ap) : -1;
	va_end(ap);
	if (n < 0) {
		free(g);
		pull_fail(p, PULL_DISTURBED, "The portal is out of memory");
		return;
	}
	g->pull = p;
	g->page = page;
	g->group = group;
	g->lack = (u8)lack;
	push(p, g, false);
}

static void rest(struct pull *p, u64 ns)
{
	u64 until = loop_now(p->cfg->loop) + MIN(ns, PULL_REST_MAX);

	p->rest_until = MAX(p->rest_until, until);
}

static bool has(struct span body, const char *word)
{
	return body.n > 0 && memmem(body.p, body.n, word, strlen(word)) != NULL;
}

/* Google says so with 403. */
static bool is_throttled(const struct fetch_answer *a)
{
	return a->status == 429 || (a->status == 503 && http_field(a->head, "retry-after").n > 0) ||
	       (a->status == 403 && (has(a->body, "rateLimitExceeded") || has(a->body, "userRateLimitExceeded") || has(a->body, "quotaExceeded")));
}

static u64 how_long(struct pull *p, const struct fetch_answer *a)
{
	u64 wall = loop_wall(p->cfg->loop) / NSEC_PER_SEC, secs, reset = 0;
	struct span limit = http_field(a->head, "x-rate-limit-reset"); /* Okta: Unix seconds */

	for (size_t i = 0; i < limit.n && limit.p[i] >= '0' && limit.p[i] <= '9' && reset < (1ull << 40); i++)
		reset = reset * 10 + (u64)(limit.p[i] - '0');
	if (reset > wall)
		return SEC(reset - wall + 1);
	if (http_retry_after(http_field(a->head, "retry-after"), wall, &secs) == 0)
		return SEC(MAX(secs, 1u));
	return SEC(1) << MIN(p->n_rests, 6u);
}

/* The request comes again later, or is given up. */
static void again(struct pull *p, struct pull_get *g, const struct fetch_answer *a)
{
	if (++g->tries >= PULL_TRIES) {
		pull_fail_by(p, "reading", a);
		get_free(g);
		return;
	}
	rest(p, SEC(1) << (2 * (g->tries - 1)));
	push(p, g, true);
}

static void take_page(struct pull *p, struct pull_get *g, const struct fetch_answer *a)
{
	static const struct json_limits limits = { PULL_PAGE_MAX, 400000, 24 };
	struct cJSON *root = NULL;
	int rc = json_parse(a->body, &limits, &root);

	rc = rc ? rc : json_is_object(root) || json_is_array(root) ? g->page(p, g, root, a->head) : ERR_MALFORMED;
	json_free(root);
	if (rc == ERR_NOMEM)
		pull_fail(p, PULL_DISTURBED, "The portal is out of memory");
	else if (rc == ERR_LIMIT)
		pull_fail(p, PULL_REFUSED, "%s: the directory has more people, groups or memberships than the portal takes", p->ops->what);
	else if (rc < 0)
		pull_fail(p, PULL_REFUSED, "%s: an answer makes no sense (%.120s)", p->ops->what, g->url);
	get_free(g);
}

static void on_page(void *ctx, const struct fetch_answer *a)
{
	struct pull_get *g = ctx;
	struct pull *p = g->pull;

	g->fetch = NULL;
	for (u32 i = 0; i < PULL_PARALLEL; i++)
		if (p->busy[i] == g)
			p->busy[i] = NULL;
	p->n_busy--;
	if (a->error || (a->status >= 500 && !is_throttled(a))) {
		again(p, g, a);
	} else if (is_throttled(a)) {
		if (++p->n_rests > PULL_RESTS) {
			pull_fail(p, PULL_DISTURBED, "%s: told us to wait too often", p->ops->what);
			get_free(g);
		} else {
			rest(p, how_long(p, a));
			push(p, g, true);
		}
	} else if (a->status == 401 && p->ops->challenged && p->ops->challenged(p, a) && ++g->tries < PULL_TRIES) {
		push(p, g, true);
	} else if (a->status == 401 && (!p->has_renewed || loop_now(p->cfg->loop) - p->token_at > SEC(60))) {
		p->has_renewed = true;
		p->has_token = false;
		push(p, g, true);
	} else if (a->status == 200) {
		take_page(p, g, a);
	} else if ((g->lack && a->status == 404) || (g->lack == GET_MAY_LACK && a->status == 403)) {
		get_free(g);
	} else {
		pull_fail_by(p, "reading", a);
		get_free(g);
	}
	if (!p->is_over)
		loop_task_queue(p->cfg->loop, &p->task);
}

static void start_one(struct pull *p, struct pull_get *g)
{
	struct fetch_request rq = { .url = g->url, .body_max = PULL_PAGE_MAX, .timeout = SEC(60), .done = on_page, .ctx = g };

	p->ops->headers(p, g->url, &rq);
	int rc = ++p->n_requests > PULL_REQUESTS_MAX ? ERR_LIMIT : fetch_start(p->cfg->fetcher, &rq, &g->fetch);
	if (rc) {
		pull_fail(p, rc == ERR_INVAL ? PULL_REFUSED : PULL_DISTURBED, "%s: cannot ask for %.120s: %s", p->ops->what, g->url, err_str(rc));
		get_free(g);
		return;
	}
	p->n_busy++;
	for (u32 i = 0; i < PULL_PARALLEL; i++) {
		if (!p->busy[i]) {
			p->busy[i] = g;
			break;
		}
	}
}

/* ---- the engine ---- */

static void go_on(struct pull *p)
{
	int rc = p->ops->next(p);

	if (p->is_over)
		return;
	if (rc == 1)
		end(p);
	else if (rc < 0)
		pull_fail(p, rc == ERR_NOMEM ? PULL_DISTURBED : PULL_REFUSED, "%s: %s", p->ops->what,
			  rc == ERR_LIMIT ? "the directory is larger than the portal takes" : err_str(rc));
	else
		loop_task_queue(p->cfg->loop, &p->task);
}

static void pump(struct pull *p)
{
	u64 now = loop_now(p->cfg->loop);

	if (p->is_authorizing)
		return;
	if (p->rest_until > now) {
		loop_timer_set(p->cfg->loop, &p->timer, p->rest_until);
		return;
	}
	if (!p->has_token) {
		if (p->n_busy > 0)
			return; /* their answers bring us here again */
		p->is_authorizing = true;
		p->ops->authorize(p);
		return;
	}
	while (!p->is_over && p->queue && p->n_busy < PULL_PARALLEL) {
		struct pull_get *g = p->queue;
		p->queue = g->next;
		if (!p->queue)
			p->queue_end = &p->queue;
		start_one(p, g);
	}
	if (!p->is_over && !p->queue && p->n_busy == 0)
		go_on(p);
}

void pull_has_token(struct pull *p, const char *token)
{
	if (p->is_over)
		return;
	if (p->token)
		sodium_memzero(p->token, strlen(p->token));
	free(p->token);
	p->token = strdup(token);
	p->is_authorizing = false;
	p->has_token = p->token != NULL;
	p->token_at = loop_now(p->cfg->loop);
	loop_task_queue(p->cfg->loop, &p->task);
}

void pull_on_token(void *ctx, const struct fetch_answer *a)
{
	struct pull *p = ctx;
	struct cJSON *root = NULL;

	p->token_fetch = NULL;
	const char *token = !a->error && a->status == 200 && json_parse(a->body, NULL, &root) == 0 ? pull_str(root, "access_token") : NULL;
	if (token)
		pull_has_token(p, token);
	else
		pull_fail_by(p, "signing in", a);
	json_free(root);
}

static void on_timer(void *ctx, u64 now)
{
	(void)now;
	pump(ctx);
}

static void on_deadline(void *ctx, u64 now)
{
	struct pull *p = ctx;

	(void)now;
	pull_fail(p, PULL_DISTURBED, "%s: reading the directory took longer than an hour", p->ops->what);
}

struct pull *pull_new(const struct pull_config *cfg, const struct sync_directory *dir, bool is_probe, void (*done)(void *ctx, struct pull *p), void *ctx)
{
	static const struct pull_ops *const ops[] = { [DIRECTORY_GOOGLE] = &google_ops, [DIRECTORY_ENTRA] = &entra_ops, [DIRECTORY_OKTA] = &okta_ops };
	struct pull *p = calloc(1, sizeof(*p));

	if (!p || entity_copy(KIND_DIRECTORY, &p->dir, dir)) {
		free(p);
		return NULL;
	}
	p->cfg = cfg;
	p->ops = ops[dir->type];
	p->is_probe = is_probe;
	p->queue_end = &p->queue;
	p->done = done;
	p->ctx = ctx;
	p->task = (struct loop_task){ .cb = on_task, .ctx = p };
	p->timer = (struct loop_timer){ .cb = on_timer, .ctx = p };
	p->deadline = (struct loop_timer){ .cb = on_deadline, .ctx = p };
	snapshot_init(&p->snap, cfg->rng);
	loop_timer_set(cfg->loop, &p->deadline, loop_now(cfg->loop) + PULL_TIMEOUT);
	loop_task_queue(cfg->loop, &p->task);
	return p;
}

void pull_free(struct pull *p)
{
	if (!p)
		return;
	drop_all(p);
	loop_timer_clear(p->cfg->loop, &p->timer);
	loop_timer_clear(p->cfg->loop, &p->deadline);
	loop_task_cancel(p->cfg->loop, &p->task);
	for (u32 i = 0; i < ARRAY_LEN(p->scratch); i++)
		free(p->scratch[i]);
	if (p->token)
		sodium_memzero(p->token, strlen(p->token));
	free(p->token);
	free(p->client_email);
	jose_key_free(p->key);
	jose_key_free(p->proof_key);
	snapshot_deinit(&p->snap);
	entity_deinit(KIND_DIRECTORY, &p->dir);
	free(p);
}
