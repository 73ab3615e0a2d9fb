/* Settings of a provider, tried by signing in with them (spec 60 §3.7). */
#define LOG_TARGET "portal::oidc"

#include "applets/portal/auth/oidc_trial.h"

#include "applets/portal/auth/session.h"
#include "applets/portal/web/html.h"
#include "core/base/encode.h"
#include "core/base/log.h"
#include "core/http/url.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void trial_free(struct oidc_trial *t)
{
	if (!t)
		return;
	entity_deinit(KIND_AUTH_PROVIDER, &t->row);
	if (t->form)
		sodium_memzero(t->form, strlen(t->form));
	free(t->form);
	free(t->return_to);
	free(t->error);
	free(t->issuer);
	sodium_memzero(t, sizeof(*t));
	free(t);
}

void oidc_trials_free(struct oidc *o)
{
	for (u32 i = 0; i < OIDC_TRIALS_MAX; i++)
		trial_free(o->trials[i]);
}

struct oidc_trial *oidc_trial_find(struct oidc *o, const char *id, u64 now)
{
	for (u32 i = 0; i < OIDC_TRIALS_MAX; i++) {
		struct oidc_trial *t = o->trials[i];
		if (t && t->until > now && strcmp(t->id, id) == 0)
			return t;
	}
	return NULL;
}

static struct oidc_trial **place(struct oidc *o)
{
	struct oidc_trial **oldest = &o->trials[0];

	for (u32 i = 0; i < OIDC_TRIALS_MAX; i++) {
		if (!o->trials[i])
			return &o->trials[i];
		if (o->trials[i]->until < (*oldest)->until)
			oldest = &o->trials[i];
	}
	return oldest;
}

/* Without the token of the form that is over. */
static char *keep_form(struct span body)
{
	struct strbuf b = { .max = OIDC_FORM_MAX };
	struct span name, value;

	strbuf_puts(&b, "");
	while (form_next(&body, &name, &value)) {
		if (name.n == 5 && memcmp(name.p, "_csrf", 5) == 0)
			continue;
		if (b.n > 0)
			strbuf_putc(&b, '&');
		strbuf_add(&b, name.p, name.n);
		strbuf_putc(&b, '=');
		strbuf_add(&b, value.p, value.n);
	}
	return strbuf_take(&b);
}

static struct oidc_trial *trial_new(struct exchange *x, const struct oidc_trial_request *rq)
{
	struct oidc *o = x->portal->oidc;
	struct oidc_trial *t = calloc(1, sizeof(*t)), **at = place(o);
	u8 raw[16];

	if (!t)
		return NULL;
	rng_fill(o->cfg.rng, raw, sizeof(raw));
	base64url_encode(t->id, sizeof(t->id), SPAN(raw, sizeof(raw)));
	t->account_id = rq->account->e.id;
	t->session_id = rq->who->session_id;
	t->until = x->now + SEC(OIDC_TRIAL_SECS);
	t->wants_consent = rq->row->type == PROVIDER_ENTRA && !(rq->row->client_id && *rq->row->client_id);
	t->return_to = strdup(rq->return_to);
	t->form = keep_form(x->body);
	if (!t->return_to || !t->form || entity_copy(KIND_AUTH_PROVIDER, &t->row, rq->row)) {
		trial_free(t);
		return NULL;
	}
	trial_free(*at);
	return *at = t;
}

/* ---- going on ---- */

struct step {
	struct exchange *x;
	struct oidc_job *job;
	char id[OIDC_TRIAL_ID_LEN + 1];
};

static void on_gone(void *ctx)
{
	struct step *s = ctx;

	oidc_cancel(s->job);
	s->job = NULL;
}

static void over(struct exchange *x, struct oidc_trial *t, const char *error)
{
	t->is_over = true;
	free(t->error);
	t->error = error ? strdup(error) : NULL;
	if (error)
		log_info("the settings of an identity provider did not pass", kv_s("reason", error));
	exchange_redirect(x, "%s?verification=%s", t->return_to, t->id);
}

/* A page instead of a redirect: browsers would hold the form's policy against the provider's address. */
static void lead_to(struct exchange *x, struct oidc_trial *t, const char *url)
{
	char cookie[64];

	snprintf(cookie, sizeof(cookie), "t=%s", t->id);
	exchange_set_cookie(x, OIDC_COOKIE, SPAN(cookie, strlen(cookie)), OIDC_COOKIE_SECS);
	if (x->method == METHOD_GET) {
		exchange_redirect(x, "%s", url);
		return;
	}
	exchange_header(x, "Refresh", "0;url=%s", url);
	strbuf_puts(&x->out, "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Identity provider</title><p><a href=\"");
	html_url(&x->out, url);
	strbuf_puts(&x->out, "\">Go on to your identity provider</a></p></html>");
	exchange_send(x);
}

static struct oidc_trial *of_step(struct step *s)
{
	return oidc_trial_find(s->x->portal->oidc, s->id, loop_now(s->x->loop));
}

static void on_begun(void *ctx, const struct oidc_result *r)
{
	struct step *s = ctx;
	struct oidc_trial *t = of_step(s);

	s->job = NULL;
	if (!t)
		exchange_problem(s->x, 400, "Too many settings are tried out just now: try again.");
	else if (r->error)
		over(s->x, t, r->why);
	else
		lead_to(s->x, t, r->url);
}

static struct step *step_new(struct exchange *x, const struct oidc_trial *t)
{
	struct step *s = exchange_alloc(x, sizeof(*s));

	if (!s)
		return NULL;
	s->x = x;
	memcpy(s->id, t->id, sizeof(s->id));
	return s;
}

static const char *client_error(int rc)
{
	return rc == ERR_UNSUPPORTED ? "The operator of this portal has not registered it with this kind of identity provider (see emberbox portal serve --help)" :
				       "Something is missing in these settings";
}

/* To the provider: a sign-in with what is known so far. */
static void ask_to_sign_in(struct exchange *x, struct oidc_trial *t)
{
	struct oidc *o = x->portal->oidc;
	struct step *s = step_new(x, t);
	struct oidc_client client;
	int rc = oidc_client_of(o, &t->row, &client);

	if (rc || !s) {
		over(x, t, rc ? client_error(rc) : "The portal is out of memory");
		return;
	}
	oidc_draw(o, &t->secrets);
	if (t->row.type != PROVIDER_ENTRA && t->row.type != PROVIDER_OKTA && t->row.type != PROVIDER_GOOGLE)
		client.issuer[0] = '\0'; /* it is what we want to learn */
	rc = oidc_begin(o, &client, &t->secrets, "login", on_begun, s, &s->job);
	if (rc)
		over(x, t, "Too many people sign in just now: try again in a moment");
	else
		exchange_defer(x, on_gone, s);
}

static void ask_for_consent(struct exchange *x, struct oidc_trial *t)
{
	struct oidc *o = x->portal->oidc;
	struct strbuf url = { 0 };

	if (!o->cfg.entra_client_id || !*o->cfg.entra_client_id) {
		over(x, t, client_error(ERR_UNSUPPORTED));
		return;
	}
	oidc_draw(o, &t->secrets);
	oidc_entra_consent_url(o, o->cfg.entra_client_id, t->secrets.state, &url);
	if (strbuf_ok(&url))
		lead_to(x, t, strbuf_text(&url));
	else
		over(x, t, "The portal is out of memory");
	strbuf_free(&url);
}

void oidc_verify_start(struct exchange *x, const struct oidc_trial_request *rq)
{
	struct oidc_trial *t = x->portal->oidc ? trial_new(x, rq) : NULL;

	if (!t)
		exchange_problem(x, 503, "The portal cannot try these settings just now.");
	else if (t->wants_consent)
		ask_for_consent(x, t);
	else
		ask_to_sign_in(x, t);
}

/* ---- and back ---- */

static void on_finished(void *ctx, const struct oidc_result *r)
{
	struct step *s = ctx;
	struct oidc_trial *t = of_step(s);

	s->job = NULL;
	if (!t) {
		exchange_problem(s->x, 400, "These settings were tried too long ago: try again.");
		return;
	}
	free(t->issuer);
	t->issuer = r->error ? NULL : strdup(r->profile->issuer);
	over(s->x, t, r->error ? r->why : t->issuer ? NULL : "The portal is out of memory");
}

/* admin_consent=True&tenant=<id>: from now on that tenant is asked, and who signs in proves that he belongs to it. */
static void consented(struct exchange *x, struct oidc_trial *t)
{
	const char *consent = exchange_query(x, "admin_consent"), *tenant = exchange_query(x, "tenant");
	struct uuid id;
	char issuer[OIDC_URL_MAX];

	if (!consent || strcasecmp(consent, "True") != 0 || !tenant || uuid_parse(SPAN(tenant, strlen(tenant)), &id)) {
		over(x, t, "The admin of the tenant did not agree");
		return;
	}
	uuid_format(&id, t->tenant_id);
	snprintf(issuer, sizeof(issuer), "%s/%s/v2.0", x->portal->oidc->cfg.entra_url, t->tenant_id);
	t->wants_consent = false;
	if (text_set(&t->row.issuer, issuer))
		over(x, t, "The portal is out of memory");
	else
		ask_to_sign_in(x, t);
}

static void code_came(struct exchange *x, struct oidc_trial *t, const char *code)
{
	struct oidc *o = x->portal->oidc;
	struct step *s = step_new(x, t);
	struct oidc_client client;
	int rc = oidc_client_of(o, &t->row, &client);

	if (t->row.type == PROVIDER_OIDC)
		client.issuer[0] = '\0';
	if (!rc && s)
		rc = oidc_finish(o, &client, t->secrets.verifier, code, on_finished, s, &s->job);
	if (rc || !s)
		over(x, t, rc ? client_error(rc) : "The portal is out of memory");
	else
		exchange_defer(x, on_gone, s);
}

void oidc_trial_back(struct exchange *x, const char *id)
{
	struct oidc *o = x->portal->oidc;
	struct oidc_trial *t = o ? oidc_trial_find(o, id, x->now) : NULL;
	const struct account *account = t ? directory_account(hub_directory(x->portal->hub), &t->account_id) : NULL;
	const char *state = exchange_query(x, "state"), *error = exchange_query(x, "error"), *code = exchange_query(x, "code"),
		   *text = exchange_query(x, "error_description");
	struct principal who;
	char why[300];

	if (!t || !account || session_find(x, account, &who) || !uuid_eq(&who.session_id, &t->session_id)) {
		exchange_problem(x, 400, "Nobody here waits for this answer of an identity provider. Go back to the settings and try again.");
		return;
	}
	if (!state || strlen(state) != strlen(t->secrets.state) || sodium_memcmp(state, t->secrets.state, strlen(state)) != 0 ||
	    !oidc_take_state(o, state, x->now)) {
		over(x, t, "This answer does not belong to the settings that were tried last (its state differs)");
	} else if (error) {
		snprintf(why, sizeof(why), "The identity provider refused: %.60s%s%.180s", error, text ? ", " : "", text ? text : "");
		over(x, t, why);
	} else if (t->wants_consent) {
		consented(x, t);
	} else if (code) {
		code_came(x, t, code);
	} else {
		over(x, t, "The identity provider sent no code");
	}
}

/* ---- what came of it ---- */

int oidc_verify_result(struct exchange *x, const struct principal *who, const char *id, struct oidc_trial_result *out)
{
	struct oidc_trial *t = x->portal->oidc ? oidc_trial_find(x->portal->oidc, id, x->now) : NULL;

	if (!t || !uuid_eq(&t->session_id, &who->session_id) || !uuid_eq(&t->account_id, &who->account_id))
		return ERR_NOT_FOUND;
	*out = (struct oidc_trial_result){ .is_over = t->is_over, .error = t->error, .issuer = t->issuer, .tenant_id = t->tenant_id,
					   .form = SPAN(t->form, strlen(t->form)), .row = &t->row };
	return 0;
}

static bool same(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

bool oidc_verify_covers(const struct oidc_trial_result *r, const struct auth_provider *row)
{
	const struct auth_provider *tried = r->row;

	return r->is_over && !r->error && r->issuer && tried->type == row->type && same(tried->discovery_document_uri, row->discovery_document_uri) &&
	       same(tried->okta_domain, row->okta_domain) && same(tried->client_id, row->client_id) &&
	       (!row->client_secret || !*row->client_secret || same(tried->client_secret, row->client_secret));
}
