/* The two ways of a sign-in: there, and back with a code. */
#define LOG_TARGET "portal::oidc"

#include "applets/portal/auth/oidc_int.h"

#include "core/base/encode.h"
#include "core/base/log.h"
#include "core/crypto/hash.h"
#include "core/http/url.h"
#include "core/json/json.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCOPES "openid email profile"
#define CODE_MAX 4096u
#define WELL_KNOWN "/.well-known/openid-configuration"

/* begin:   [meta] ──▶ url            finish:   [meta] ──▶ [token] ──▶ [keys, if need be] ──▶ [userinfo] ──▶ profile */
struct oidc_job {
	struct oidc *o;
	struct oidc_job *next, **link;
	struct oidc_client client;
	struct oidc_meta *meta;
	struct fetch *fetch;
	struct loop_task task;
	oidc_done *done;
	void *ctx;
	bool is_finish, has_asked_keys;
	struct oidc_secrets secrets;
	char *code;
	char prompt[24];
	char *id_token, *access_token;
	struct cJSON *claims;
};

static void on_keys(void *ctx, const struct fetch_answer *a);
static void on_token(void *ctx, const struct fetch_answer *a);
static void on_userinfo(void *ctx, const struct fetch_answer *a);

/* ---- the job ---- */

static void free_secret(char *s)
{
	if (s)
		sodium_memzero(s, strlen(s));
	free(s);
}

static void free_job(struct oidc_job *j)
{
	*j->link = j->next;
	if (j->next)
		j->next->link = j->link;
	j->o->n_jobs--;
	if (j->meta)
		j->meta->users--;
	fetch_cancel(j->fetch);
	loop_task_cancel(j->o->cfg.loop, &j->task);
	free_secret(j->code);
	free_secret(j->id_token);
	free_secret(j->access_token);
	json_free(j->claims);
	sodium_memzero(j, sizeof(*j));
	free(j);
}

void oidc_cancel(struct oidc_job *j)
{
	if (j)
		free_job(j);
}

static void end(struct oidc_job *j, const struct oidc_result *r)
{
	j->done(j->ctx, r);
	free_job(j);
}

static void fail(struct oidc_job *j, int err, const char *why)
{
	end(j, &(struct oidc_result){ .error = err, .why = why });
}

/* A provider that does not do its part: the log has the details, the person a sentence. */
static void provider_failed(struct oidc_job *j, int err, const char *step, const char *detail)
{
	char why[FETCH_WHY_MAX + 120];

	log_warn("an identity provider could not be used", kv_s("step", step), kv_s("provider", j->client.discovery), kv_s("reason", detail));
	snprintf(why, sizeof(why), "The identity provider cannot be used now (%s: %s)", step, detail);
	fail(j, err, why);
}

static int ask(struct oidc_job *j, const char *url, const char *bearer, fetch_done *done)
{
	struct strbuf value = { 0 };
	struct fetch_request rq = { .url = url, .done = done, .ctx = j };

	if (bearer) {
		strbuf_printf(&value, "Bearer %s", bearer);
		rq.header[0].name = "Authorization";
		rq.header[0].value = strbuf_text(&value);
	}
	int rc = strbuf_ok(&value) ? fetch_start(j->o->cfg.fetcher, &rq, &j->fetch) : ERR_NOMEM;
	if (value.p)
		sodium_memzero(value.p, value.n);
	strbuf_free(&value);
	return rc;
}

/* ---- the way there ---- */

static void nonce_of(const char *verifier, char out[static OIDC_SECRET_LEN + 1])
{
	u8 digest[SHA256_LEN];

	sha256_v(digest, (struct span[]){ SPAN_STR("nonce:"), SPAN(verifier, strlen(verifier)) }, 2);
	base64url_encode(out, OIDC_SECRET_LEN + 1, SPAN(digest, sizeof(digest)));
}

static void query_add(struct strbuf *b, bool *is_first, const char *name, const char *value)
{
	size_t cap = strlen(name) + 3 * strlen(value) + 3;
	char *room = strbuf_room(b, cap);

	if (!room)
		return;
	struct wr w = wr_init(room, cap);
	form_append(&w, is_first, name, SPAN(value, strlen(value)));
	b->n += wr_len(&w);
}

static void tell_url(struct oidc_job *j)
{
	struct strbuf url = { 0 };
	bool is_first = true;
	char challenge[OIDC_SECRET_LEN + 1], nonce[OIDC_SECRET_LEN + 1];
	u8 digest[SHA256_LEN];

	sha256(digest, SPAN(j->secrets.verifier, strlen(j->secrets.verifier)));
	base64url_encode(challenge, sizeof(challenge), SPAN(digest, sizeof(digest)));
	nonce_of(j->secrets.verifier, nonce);
	strbuf_printf(&url, "%s%c", j->meta->authorization, strchr(j->meta->authorization, '?') ? '&' : '?');
	query_add(&url, &is_first, "response_type", "code");
	query_add(&url, &is_first, "client_id", j->client.client_id);
	query_add(&url, &is_first, "redirect_uri", j->client.redirect_uri);
	query_add(&url, &is_first, "scope", SCOPES);
	query_add(&url, &is_first, "state", j->secrets.state);
	query_add(&url, &is_first, "nonce", nonce);
	query_add(&url, &is_first, "code_challenge", challenge);
	query_add(&url, &is_first, "code_challenge_method", "S256");
	if (j->prompt[0])
		query_add(&url, &is_first, "prompt", j->prompt);
	strbuf_putc(&url, '\0');
	if (strbuf_ok(&url))
		end(j, &(struct oidc_result){ .why = "", .url = strbuf_text(&url), .issuer = j->meta->issuer });
	else
		fail(j, ERR_NOMEM, "The portal is out of memory");
	strbuf_free(&url);
}

/* ---- and back ---- */

static void ask_for_token(struct oidc_job *j)
{
	struct strbuf form = { 0 }, basic = { 0 };
	bool is_first = true;
	struct fetch_request rq = { .url = j->meta->token, .is_post = true, .done = on_token, .ctx = j };

	query_add(&form, &is_first, "grant_type", "authorization_code");
	query_add(&form, &is_first, "code", j->code);
	query_add(&form, &is_first, "code_verifier", j->secrets.verifier);
	query_add(&form, &is_first, "redirect_uri", j->client.redirect_uri);
	if (j->meta->wants_basic) { /* RFC 6749 §2.3.1: both parts are form-encoded first */
		char pair[6 * OIDC_TEXT_MAX + 8], text[BASE64_SIZE(sizeof(pair))];
		struct wr w = wr_init(pair, sizeof(pair));
		form_encode(&w, SPAN(j->client.client_id, strlen(j->client.client_id)));
		wr_u8(&w, ':');
		form_encode(&w, SPAN(j->client.client_secret, strlen(j->client.client_secret)));
		base64_encode(text, sizeof(text), wr_span(&w));
		strbuf_printf(&basic, "Basic %s", text);
		rq.header[0].name = "Authorization";
		rq.header[0].value = strbuf_text(&basic);
		sodium_memzero(pair, sizeof(pair));
		sodium_memzero(text, sizeof(text));
	} else {
		query_add(&form, &is_first, "client_id", j->client.client_id);
		if (j->client.client_secret[0])
			query_add(&form, &is_first, "client_secret", j->client.client_secret);
	}
	rq.body = strbuf_span(&form);
	int rc = strbuf_ok(&form) && strbuf_ok(&basic) ? fetch_start(j->o->cfg.fetcher, &rq, &j->fetch) : ERR_NOMEM;
	if (form.p)
		sodium_memzero(form.p, form.cap);
	if (basic.p)
		sodium_memzero(basic.p, basic.cap);
	strbuf_free(&form);
	strbuf_free(&basic);
	if (rc)
		provider_failed(j, rc, "token", err_str(rc));
}

static void tell_profile(struct oidc_job *j, const struct cJSON *userinfo)
{
	struct oidc_profile p;
	struct strbuf names = { 0 };
	const char *why;
	struct json_get g = JSON_GET;
	const struct cJSON *verified = json_member(&g, j->claims, "email_verified");

	int rc = oidc_profile_of(j->claims, userinfo, j->client.type, j->client.email_claim, &p, &names, &why);
	if (verified && json_is_false(verified))
		log_info("the identity provider has not verified this address", kv_s("provider", j->client.discovery), kv_s("email", p.email ? p.email : ""));
	if (rc)
		log_warn("a sign-in lacks claims", kv_s("provider", j->client.discovery), kv_s("reason", why));
	end(j, &(struct oidc_result){ .error = rc, .why = why, .issuer = j->meta->issuer, .profile = rc ? NULL : &p });
	strbuf_free(&names);
}

static void disbelieve(struct oidc_job *j, const char *reason)
{
	log_warn("an ID token was refused", kv_s("provider", j->client.discovery), kv_s("reason", reason));
	char why[200];
	snprintf(why, sizeof(why), "What the identity provider says cannot be believed (%s)", reason);
	fail(j, ERR_DENIED, why);
}

static void ask_for_userinfo(struct oidc_job *j)
{
	if (!j->meta->userinfo[0] || !j->access_token || ask(j, j->meta->userinfo, j->access_token, on_userinfo))
		tell_profile(j, NULL);
}

static void check_token(struct oidc_job *j)
{
	struct oidc *o = j->o;
	char nonce[OIDC_SECRET_LEN + 1];
	const char *why;
	u64 now = loop_now(o->cfg.loop);
	bool may_ask = !j->has_asked_keys && (!j->meta->keys || j->meta->keys_until <= now || now - j->meta->keys_at >= OIDC_KEYS_PAUSE);
	int rc = j->meta->keys && j->meta->keys_until > now ? jws_verify(SPAN(j->id_token, strlen(j->id_token)), j->meta->keys, &j->claims) :
	         j->meta->keys && j->has_asked_keys	    ? jws_verify(SPAN(j->id_token, strlen(j->id_token)), j->meta->keys, &j->claims) :
							      ERR_NOT_FOUND;

	if (rc == ERR_NOT_FOUND && may_ask) {
		j->has_asked_keys = true;
		rc = ask(j, j->meta->jwks_uri, NULL, on_keys);
		if (rc)
			provider_failed(j, rc, "keys", err_str(rc));
		return;
	}
	if (rc) {
		disbelieve(j, rc == ERR_NOT_FOUND   ? "signed with an unknown key" :
			      rc == ERR_UNSUPPORTED ? "signed in a way that is not allowed" :
			      rc == ERR_AUTH	    ? "its signature is wrong" :
						      "it is malformed");
		return;
	}
	nonce_of(j->secrets.verifier, nonce);
	struct jwt_expect e = { .issuer = j->meta->issuer, .audience = j->client.client_id, .nonce = nonce, .now_secs = loop_wall(o->cfg.loop) / NSEC_PER_SEC };
	if (jwt_check(j->claims, &e, &why))
		disbelieve(j, why);
	else
		ask_for_userinfo(j);
}

static void on_userinfo(void *ctx, const struct fetch_answer *a)
{
	struct oidc_job *j = ctx;
	struct cJSON *info = NULL;
	struct json_get g = JSON_GET;

	j->fetch = NULL;
	if (a->error || a->status != 200 || json_parse(a->body, NULL, &info) || !json_is_object(info) ||
	    strcmp(json_str(&g, info, "sub"), json_str(&g, j->claims, "sub")) != 0 || g.err) {
		log_debug("userinfo is not used", kv_s("provider", j->client.discovery), kv_u("status", a->status), kv_s("reason", a->why));
		json_free(info);
		info = NULL;
	}
	tell_profile(j, info);
	json_free(info);
}

static void on_keys(void *ctx, const struct fetch_answer *a)
{
	struct oidc_job *j = ctx;
	struct jwks *keys = NULL;
	u64 now = loop_now(j->o->cfg.loop);

	j->fetch = NULL;
	if (a->error || a->status != 200 || jwks_parse(a->body, &keys)) {
		char status[40];
		snprintf(status, sizeof(status), a->status == 200 ? "no key set" : "status %u", a->status);
		provider_failed(j, a->error ? a->error : ERR_MALFORMED, "keys", a->error ? a->why : status);
		return;
	}
	jwks_free(j->meta->keys);
	j->meta->keys = keys;
	j->meta->keys_at = now;
	j->meta->keys_until = now + oidc_freshness(a->head);
	check_token(j);
}

/* {"error":"invalid_grant","error_description":"…"} */
static void token_refused(struct oidc_job *j, const struct fetch_answer *a)
{
	static const struct json_limits limits = { 65536, 200, 8 };
	struct json_get g = JSON_GET;
	struct cJSON *root = NULL;
	char detail[200];

	snprintf(detail, sizeof(detail), "status %u", a->status);
	if (json_parse(a->body, &limits, &root) == 0 && json_is_object(root)) {
		const char *error = json_str_null(&g, root, "error"), *text = json_str_null(&g, root, "error_description");
		snprintf(detail, sizeof(detail), "%.60s%s%.120s", error ? error : "no ID token", text ? ": " : "", text ? text : "");
	}
	json_free(root);
	provider_failed(j, ERR_DENIED, "token", detail);
}

static char *copy_member(struct json_get *g, const struct cJSON *o, const char *name)
{
	const char *s = json_str_null(g, o, name);

	return s && !g->err ? strdup(s) : NULL;
}

static void on_token(void *ctx, const struct fetch_answer *a)
{
	struct oidc_job *j = ctx;
	struct json_get g = JSON_GET;
	struct cJSON *root = NULL;

	j->fetch = NULL;
	if (a->error) {
		provider_failed(j, a->error, "token", a->why);
		return;
	}
	if (a->status == 200 && json_parse(a->body, NULL, &root) == 0 && json_is_object(root)) {
		j->id_token = copy_member(&g, root, "id_token");
		j->access_token = copy_member(&g, root, "access_token");
	}
	json_free(root);
	if (j->id_token)
		check_token(j);
	else
		token_refused(j, a);
}

/* ---- discovery ---- */

static void go_on(struct oidc_job *j)
{
	if (j->client.issuer[0] && strcmp(j->client.issuer, j->meta->issuer) != 0) {
		provider_failed(j, ERR_DENIED, "discovery", "it calls itself by another name than when it was set up");
		return;
	}
	if (j->is_finish)
		ask_for_token(j);
	else
		tell_url(j);
}

static void on_meta(void *ctx, const struct fetch_answer *a)
{
	struct oidc_job *j = ctx;
	const char *why = a->why;
	char status[40];

	j->fetch = NULL;
	int rc = a->error;
	if (!rc && a->status != 200) {
		snprintf(status, sizeof(status), "status %u", a->status);
		why = status;
		rc = ERR_MALFORMED;
	}
	rc = rc ? rc : oidc_meta_fill(j->meta, a->body, &why);
	if (rc) {
		j->meta->fresh_until = 0;
		provider_failed(j, rc, "discovery", why);
		return;
	}
	j->meta->fresh_until = loop_now(j->o->cfg.loop) + oidc_freshness(a->head);
	go_on(j);
}

static void on_task(void *ctx, u64 now)
{
	struct oidc_job *j = ctx;

	j->meta = oidc_meta_get(j->o, j->client.discovery, now);
	if (!j->meta) {
		fail(j, ERR_LIMIT, "Too many sign-ins wait for identity providers: try again in a moment");
		return;
	}
	j->meta->users++;
	if (j->meta->fresh_until > now) {
		go_on(j);
		return;
	}
	int rc = ask(j, j->client.discovery, NULL, on_meta);
	if (rc)
		provider_failed(j, rc, "discovery", rc == ERR_INVAL ? "its address is no URL" : err_str(rc));
}

/* ---- doors ---- */

void oidc_draw(struct oidc *o, struct oidc_secrets *out)
{
	u8 raw[2][32];

	rng_fill(o->cfg.rng, raw, sizeof(raw));
	base64url_encode(out->state, sizeof(out->state), SPAN(raw[0], 32));
	base64url_encode(out->verifier, sizeof(out->verifier), SPAN(raw[1], 32));
	sodium_memzero(raw, sizeof(raw));
}

static int set(char *dst, size_t cap, const char *fmt, const char *a)
{
	return a && snprintf(dst, cap, fmt, a) < (int)cap ? 0 : ERR_INVAL;
}

/* Registered by the operator of this portal. */
static int set_own(struct oidc_client *c, const char *id, const char *secret)
{
	if (!id || !*id)
		return ERR_UNSUPPORTED;
	return set(c->client_id, sizeof(c->client_id), "%s", id) | set(c->client_secret, sizeof(c->client_secret), "%s", secret ? secret : "");
}

static int set_rows(struct oidc_client *c, const struct auth_provider *p)
{
	return set(c->client_id, sizeof(c->client_id), "%s", p->client_id) |
	       set(c->client_secret, sizeof(c->client_secret), "%s", p->client_secret ? p->client_secret : "");
}

static int set_redirect(const struct oidc *o, const struct auth_provider *p, struct oidc_client *c)
{
	char account[UUID_STRLEN], id[UUID_STRLEN];
	int n;

	if (p->is_legacy)
		n = snprintf(c->redirect_uri, sizeof(c->redirect_uri), "%s%s/sign_in/providers/%s/handle_callback", o->cfg.web_url,
			     uuid_format(&p->e.account_id, account), uuid_format(&p->e.id, id));
	else
		n = snprintf(c->redirect_uri, sizeof(c->redirect_uri), "%s" OIDC_CALLBACK, o->cfg.web_url);
	return n < (int)sizeof(c->redirect_uri) ? 0 : ERR_INVAL;
}

int oidc_client_of(const struct oidc *o, const struct auth_provider *p, struct oidc_client *out)
{
	int rc = ERR_INVAL;

	memset(out, 0, sizeof(*out));
	out->type = p->type;
	out->email_claim = p->email_claim;
	switch ((enum provider_type)p->type) {
	case PROVIDER_EMAIL_OTP:
	case PROVIDER_USERPASS:
		return ERR_INVAL;
	case PROVIDER_GOOGLE:
		rc = set(out->discovery, sizeof(out->discovery), "%s" WELL_KNOWN, o->cfg.google_url);
		rc = rc ? rc : set_own(out, o->cfg.google_client_id, o->cfg.google_client_secret);
		break;
	case PROVIDER_ENTRA:
		rc = set(out->discovery, sizeof(out->discovery), "%s" WELL_KNOWN, p->issuer);
		rc = rc ? rc : p->client_id && *p->client_id ? set_rows(out, p) : set_own(out, o->cfg.entra_client_id, o->cfg.entra_client_secret);
		break;
	case PROVIDER_OKTA:
		rc = set(out->discovery, sizeof(out->discovery), "https://%s" WELL_KNOWN, p->okta_domain);
		rc = rc ? rc : set_rows(out, p);
		break;
	case PROVIDER_OIDC:
		rc = set(out->discovery, sizeof(out->discovery), "%s", p->discovery_document_uri);
		rc = rc ? rc : set_rows(out, p);
		break;
	}
	if (!rc && p->issuer)
		rc = set(out->issuer, sizeof(out->issuer), "%s", p->issuer);
	return rc ? rc : set_redirect(o, p, out);
}

static struct oidc_job *job_new(struct oidc *o, const struct oidc_client *client, oidc_done *done, void *ctx)
{
	struct oidc_job *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	j->o = o;
	j->client = *client;
	j->done = done;
	j->ctx = ctx;
	j->task = (struct loop_task){ .cb = on_task, .ctx = j };
	j->next = o->jobs;
	j->link = &o->jobs;
	if (o->jobs)
		o->jobs->link = &j->next;
	o->jobs = j;
	o->n_jobs++;
	loop_task_queue(o->cfg.loop, &j->task);
	return j;
}

int oidc_begin(struct oidc *o, const struct oidc_client *client, const struct oidc_secrets *s, const char *prompt, oidc_done *done, void *ctx,
	       struct oidc_job **out)
{
	*out = NULL;
	if (o->n_jobs >= OIDC_JOBS_MAX)
		return ERR_LIMIT;
	struct oidc_job *j = job_new(o, client, done, ctx);
	if (!j)
		return ERR_NOMEM;
	j->secrets = *s;
	snprintf(j->prompt, sizeof(j->prompt), "%s", prompt ? prompt : "");
	*out = j;
	return 0;
}

int oidc_finish(struct oidc *o, const struct oidc_client *client, const char *verifier, const char *code, oidc_done *done, void *ctx,
		struct oidc_job **out)
{
	*out = NULL;
	if (o->n_jobs >= OIDC_JOBS_MAX || strlen(code) > CODE_MAX)
		return ERR_LIMIT;
	struct oidc_job *j = job_new(o, client, done, ctx);
	if (!j)
		return ERR_NOMEM;
	j->is_finish = true;
	snprintf(j->secrets.verifier, sizeof(j->secrets.verifier), "%s", verifier);
	j->code = strdup(code);
	if (!j->code) {
		free_job(j);
		return ERR_NOMEM;
	}
	*out = j;
	return 0;
}

void oidc_entra_consent_url(const struct oidc *o, const char *client_id, const char *state, struct strbuf *out)
{
	bool is_first = true;
	char redirect[OIDC_URL_MAX + 128];

	snprintf(redirect, sizeof(redirect), "%s" OIDC_CALLBACK, o->cfg.web_url);
	strbuf_printf(out, "%s/organizations/v2.0/adminconsent?", o->cfg.entra_url);
	query_add(out, &is_first, "client_id", client_id);
	query_add(out, &is_first, "state", state);
	query_add(out, &is_first, "redirect_uri", redirect);
	query_add(out, &is_first, "scope", SCOPES);
	strbuf_putc(out, '\0');
	out->n--;
}
