#define LOG_TARGET "portal::oidc"

#include "applets/portal/auth/oidc_web.h"

#include "applets/portal/auth/identity.h"
#include "applets/portal/auth/oidc_trial.h"
#include "applets/portal/auth/session.h"
#include "applets/portal/auth/signin.h"
#include "core/base/log.h"
#include "core/http/url.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define NOT_HERE "Signing in by an identity provider is not possible at this portal."

static const char *const type_names[] = { [PROVIDER_GOOGLE] = "google", [PROVIDER_ENTRA] = "entra", [PROVIDER_OKTA] = "okta", [PROVIDER_OIDC] = "oidc" };

static const char *type_name(int type)
{
	return type >= 0 && (size_t)type < ARRAY_LEN(type_names) && type_names[type] ? type_names[type] : "";
}

/* ---- the cookie: a form of its own ---- */

struct way_back {
	struct uuid account_id, provider_id;
	struct oidc_secrets secrets;
	struct signin_params params;
};

static void put(struct wr *w, bool *is_first, const char *name, const char *value)
{
	form_append(w, is_first, name, SPAN(value, strlen(value)));
}

static bool write_cookie(const struct way_back *b, u8 *out, size_t cap, size_t *n)
{
	struct wr w = wr_init(out, cap);
	char account[UUID_STRLEN], provider[UUID_STRLEN], query[SIGNIN_QUERY_MAX];
	bool is_first = true;

	signin_query(&b->params, query);
	put(&w, &is_first, "a", uuid_format(&b->account_id, account));
	put(&w, &is_first, "p", uuid_format(&b->provider_id, provider));
	put(&w, &is_first, "s", b->secrets.state);
	put(&w, &is_first, "v", b->secrets.verifier);
	put(&w, &is_first, "q", query);
	*n = wr_len(&w);
	return wr_ok(&w);
}

static void keep_way_back(struct exchange *x, struct way_back *b)
{
	u8 content[EXCHANGE_COOKIE_MAX];
	size_t n;

	if (!write_cookie(b, content, sizeof(content), &n)) {
		b->params.redirect_to[0] = '\0'; /* the only one that can be that long, and the only one that can be missed */
		if (!write_cookie(b, content, sizeof(content), &n))
			return;
	}
	exchange_set_cookie(x, OIDC_COOKIE, SPAN(content, n), OIDC_COOKIE_SECS);
	sodium_memzero(content, sizeof(content));
}

static bool get_uuid(struct span form, const char *name, struct uuid *out)
{
	char text[UUID_STRLEN];

	return form_get(form, name, text, sizeof(text)) == 0 && uuid_parse(SPAN(text, strlen(text)), out) == 0;
}

static bool read_way_back(struct span content, struct way_back *b)
{
	char query[SIGNIN_QUERY_MAX];

	memset(b, 0, sizeof(*b));
	if (!get_uuid(content, "a", &b->account_id) || !get_uuid(content, "p", &b->provider_id) ||
	    form_get(content, "s", b->secrets.state, sizeof(b->secrets.state)) || form_get(content, "v", b->secrets.verifier, sizeof(b->secrets.verifier)) ||
	    form_get(content, "q", query, sizeof(query)))
		return false;
	signin_parse(SPAN(query, strlen(query)), &b->params);
	return true;
}

/* ---- a sign-in that waits for the provider ---- */

struct sign_in {
	struct exchange *x;
	struct oidc_job *job;
	struct way_back back;
};

static const struct account *account_of(const struct sign_in *s)
{
	return directory_account(hub_directory(s->x->portal->hub), &s->back.account_id);
}

static void on_gone(void *ctx)
{
	struct sign_in *s = ctx;

	oidc_cancel(s->job);
	s->job = NULL;
}

static void refuse(struct sign_in *s, const char *why)
{
	const struct account *account = account_of(s);

	if (account)
		signin_refuse(s->x, account, &s->back.params, why);
	else
		exchange_problem(s->x, 404, "There is no such account.");
}

/* The provider as it is now, if somebody may sign in by it. False: answered. */
static bool provider_for(struct sign_in *s, const struct account *account, struct oidc_client *client, int *type)
{
	struct auth_provider row;
	const char *why;

	if (!s->x->portal->oidc) {
		refuse(s, NOT_HERE);
		return false;
	}
	if (signin_provider_check(s->x, account, &s->back.provider_id, s->back.params.context, &why) ||
	    (why = "This way to sign in is not there any more.", store_get(s->x->portal->store, KIND_AUTH_PROVIDER, &account->e.id, &s->back.provider_id, &row))) {
		refuse(s, why);
		return false;
	}
	int rc = oidc_client_of(s->x->portal->oidc, &row, client);
	*type = row.type;
	entity_deinit(KIND_AUTH_PROVIDER, &row);
	if (rc)
		refuse(s, rc == ERR_UNSUPPORTED ? "The operator of this portal has not set up this kind of identity provider." : "This way to sign in is not set up completely.");
	return rc == 0;
}

static void wait_for(struct sign_in *s, int rc)
{
	if (rc)
		refuse(s, "Too many people sign in just now: try again in a moment.");
	else
		exchange_defer(s->x, on_gone, s);
}

static void on_begun(void *ctx, const struct oidc_result *r)
{
	struct sign_in *s = ctx;

	s->job = NULL;
	if (r->error) {
		refuse(s, r->why);
		return;
	}
	keep_way_back(s->x, &s->back);
	exchange_redirect(s->x, "%s", r->url);
}

void page_oidc_start(struct exchange *x)
{
	const struct account *account = session_account(x, x->param[0]);
	struct sign_in *s = exchange_alloc(x, sizeof(*s));
	struct oidc_client client;
	int type;

	if (!account || !s || uuid_parse(x->param[2], &s->back.provider_id)) {
		exchange_problem(x, 404, NULL);
		return;
	}
	s->x = x;
	s->back.account_id = account->e.id;
	signin_read(x, &s->back.params);
	if (!provider_for(s, account, &client, &type))
		return;
	if (strlen(type_name(type)) != x->param[1].n || memcmp(type_name(type), x->param[1].p, x->param[1].n) != 0) {
		exchange_problem(x, 404, NULL);
		return;
	}
	oidc_draw(x->portal->oidc, &s->back.secrets);
	wait_for(s, oidc_begin(x->portal->oidc, &client, &s->back.secrets, type == PROVIDER_OIDC ? NULL : "select_account", on_begun, s, &s->job));
}

static void on_finished(void *ctx, const struct oidc_result *r)
{
	struct sign_in *s = ctx;
	const struct account *account = account_of(s);
	struct uuid actor_id;

	s->job = NULL;
	if (r->error || !account) {
		refuse(s, r->why);
		return;
	}
	int rc = identity_sign_in(s->x, account, r->profile, &actor_id);
	if (rc == ERR_NOT_FOUND) {
		log_info("nobody has the address that an identity provider vouches for", kv_s("account", account->slug), kv_s("email", r->profile->email));
		refuse(s, "Nobody in this account has your e-mail address. Please ask your administrator.");
	} else if (rc) {
		log_error("an identity cannot be written", kv_err(rc));
		exchange_problem(s->x, 503, "The portal cannot write to its disk just now: try again in a moment.");
	} else {
		signin_complete(s->x, account, &actor_id, &s->back.provider_id, r->profile->email, &s->back.params);
	}
}

/* What the provider said instead of a code. */
static void provider_refused(struct sign_in *s, const char *error)
{
	const char *text = exchange_query(s->x, "error_description");
	char why[300];

	log_info("an identity provider refused a sign-in", kv_s("error", error), kv_s("description", text ? text : ""));
	snprintf(why, sizeof(why), "The identity provider refused: %.60s%s%.180s", error, text ? ", " : "", text ? text : "");
	refuse(s, why);
}

static bool same(const char *a, const char *b)
{
	return strlen(a) == strlen(b) && sodium_memcmp(a, b, strlen(b)) == 0;
}

static void sign_in_back(struct exchange *x, struct sign_in *s)
{
	const struct account *account = account_of(s);
	const char *state = exchange_query(x, "state"), *code = exchange_query(x, "code"), *error = exchange_query(x, "error"), *iss = exchange_query(x, "iss");
	struct oidc_client client;
	int type;

	if (!account || !state || !same(state, s->back.secrets.state)) {
		refuse(s, "This answer of the identity provider does not belong to the sign-in that was begun here (its state differs). Try again.");
		return;
	}
	if (!provider_for(s, account, &client, &type))
		return;
	if (!oidc_take_state(x->portal->oidc, state, x->now)) {
		refuse(s, "This sign-in was used already. Try again.");
		return;
	}
	if (iss && client.issuer[0] && strcmp(iss, client.issuer) != 0) { /* RFC 9207 */
		refuse(s, "This answer comes from another identity provider than the one that was asked.");
		return;
	}
	if (error || !code) {
		provider_refused(s, error ? error : "no code");
		return;
	}
	wait_for(s, oidc_finish(x->portal->oidc, &client, s->back.secrets.verifier, code, on_finished, s, &s->job));
}

void page_oidc_callback(struct exchange *x)
{
	u8 content[EXCHANGE_COOKIE_MAX];
	size_t n;
	struct sign_in *s = exchange_alloc(x, sizeof(*s));
	int rc = s ? exchange_cookie(x, OIDC_COOKIE, content, sizeof(content), &n) : ERR_NOMEM;
	char trial[OIDC_TRIAL_ID_LEN + 1];

	if (rc) {
		exchange_problem(x, s ? 400 : 503,
				 "This browser did not begin a sign-in here within the last five minutes, or it keeps no cookies. Go back to the sign-in page and try again.");
		return;
	}
	s->x = x;
	exchange_drop_cookie(x, OIDC_COOKIE);
	if (form_get(SPAN(content, n), "t", trial, sizeof(trial)) == 0)
		oidc_trial_back(x, trial);
	else if (read_way_back(SPAN(content, n), &s->back))
		sign_in_back(x, s);
	else
		exchange_problem(x, 400, "The cookie of this sign-in cannot be read. Go back to the sign-in page and try again.");
	sodium_memzero(content, sizeof(content));
}
