/* provider, identity, session, credential, link, api-token: ways to sign in and what they left behind (spec 60 §1.4, §1.9, §1.10, §3.11) */
#include "applets/portal/admin/rights.h"
#include "applets/portal/auth/recovery.h"
#include "applets/portal/model/rules.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define CLIENT_SESSION_MIN 3600 /* seconds, spec 60 §1.10 */
#define CLIENT_SESSION_MAX 7776000
#define PORTAL_SESSION_MIN 300
#define PORTAL_SESSION_MAX 86400

/* ---- provider -------------------------------------------------------------------------------------------------------------------- */

struct peers {
	const struct auth_provider *x;
	const char *field, *what, *value;
	struct auth_provider was_default;
	bool has_default, has_type;
};

static bool is_same(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

static int look_at_peer(void *ctx, enum kind k, const void *row)
{
	const struct auth_provider *other = row;
	struct peers *p = ctx;
	bool is_single = other->type == PROVIDER_EMAIL_OTP || other->type == PROVIDER_USERPASS || other->type == PROVIDER_GOOGLE;

	if (uuid_eq(&other->e.id, &p->x->e.id))
		return 0;
	if (is_same(other->name, p->x->name)) {
		p->field = "name";
		p->value = p->x->name;
	} else if (is_same(other->client_id, p->x->client_id)) {
		p->field = "client-id";
		p->value = p->x->client_id;
	} else if (other->type == PROVIDER_ENTRA && p->x->type == PROVIDER_ENTRA && is_same(other->issuer, p->x->issuer)) {
		p->field = "issuer";
		p->value = p->x->issuer;
	}
	p->has_type |= is_single && other->type == p->x->type;
	if (!other->is_default || p->has_default)
		return 0;
	p->has_default = true;
	return entity_copy(k, &p->was_default, other);
}

/* Writes it, and takes the default from the other one if this is to have it. */
static int write_provider(struct admin *a, struct auth_provider *x, bool is_new, bool is_revoking)
{
	struct store *s = a->portal->store;
	struct peers p = { .x = x };
	int rc = store_list(s, KIND_AUTH_PROVIDER, &x->e.account_id, look_at_peer, &p);

	if (rc)
		(void)admin_store_failed(a, rc);
	else if (p.field)
		rc = admin_fail(a, ERR_EXISTS, "--%s: another provider of this account has '%s' already", p.field, p.value);
	else if (p.has_type && is_new)
		rc = admin_fail(a, ERR_EXISTS, "--type: there is one of this type already, and can be no other");
	rc = rc ? rc : admin_begin(a);
	if (!rc) {
		if (x->is_default && p.has_default) {
			p.was_default.is_default = false;
			rc = store_update(s, KIND_AUTH_PROVIDER, &p.was_default, a->wall);
		}
		rc = rc ? rc : is_new ? store_insert(s, KIND_AUTH_PROVIDER, x, a->wall) : store_update(s, KIND_AUTH_PROVIDER, x, a->wall);
		/* whoever came through it has to come again (spec 60 §3.11) */
		rc = rc || !is_revoking ? rc : store_revoke(s, REVOKE_TOKENS_OF_PROVIDER, &x->e.account_id, &x->e.id);
		rc = rc || !is_revoking ? rc : store_revoke(s, REVOKE_SESSIONS_OF_PROVIDER, &x->e.account_id, &x->e.id);
		rc = admin_end(a, rc);
	}
	if (p.has_default)
		entity_deinit(KIND_AUTH_PROVIDER, &p.was_default);
	return admin_show_single(a, KIND_AUTH_PROVIDER, x, rc);
}

static int read_provider(struct admin *a, struct auth_provider *x)
{
	int rc = admin_set(a, &x->name, "name");

	rc = rc ? rc : admin_set(a, &x->issuer, "issuer");
	rc = rc ? rc : admin_set(a, &x->client_id, "client-id");
	/* a form does not show the secret: left empty, it stays */
	if (!rc && admin_arg(a, "client-secret") && *admin_arg(a, "client-secret"))
		rc = admin_set(a, &x->client_secret, "client-secret");
	rc = rc ? rc : admin_set(a, &x->discovery_document_uri, "discovery-document-uri");
	rc = rc ? rc : admin_set(a, &x->okta_domain, "okta-domain");
	rc = rc ? rc : admin_set_enum(a, &x->email_claim, "email-claim", email_claim_names);
	rc = rc ? rc : admin_set_enum(a, &x->context, "context", provider_context_names);
	rc = rc ? rc : admin_set_int(a, &x->client_session_lifetime_secs, "client-session-lifetime-secs", CLIENT_SESSION_MIN,
				     CLIENT_SESSION_MAX);
	rc = rc ? rc : admin_set_int(a, &x->portal_session_lifetime_secs, "portal-session-lifetime-secs", PORTAL_SESSION_MIN,
				     PORTAL_SESSION_MAX);
	rc = rc ? rc : admin_set_bool(a, &x->is_legacy, "legacy");
	return rc ? rc : admin_set_bool(a, &x->is_verified, "verified");
}

/* The portal's own ways to sign in: nothing to verify elsewhere. */
static bool provider_is_own(const struct auth_provider *x)
{
	return x->type == PROVIDER_EMAIL_OTP || x->type == PROVIDER_USERPASS;
}

static int check(struct admin *a, struct auth_provider *x)
{
	struct complaint c;
	int rc = check_auth_provider(x, &c);

	if (rc)
		return rc == ERR_INVAL ? admin_complain(a, &c) : admin_store_failed(a, rc);
	if (x->is_default && x->disabled_at)
		return admin_fail(a, ERR_INVAL, "--default: a disabled provider cannot be the default one");
	if (!x->disabled_at && !x->is_verified)
		return admin_fail(a, ERR_INVAL, "--verified: must be verified before anybody can sign in through it");
	return 0;
}

int run_provider_add(struct admin *a)
{
	const struct account *account;
	struct auth_provider x;
	int rc = admin_account(a, &account);

	if (rc)
		return rc;
	entity_init(KIND_AUTH_PROVIDER, &x);
	x.e = admin_new(a, account);
	x.type = -1;
	rc = admin_set_enum(a, &x.type, "type", provider_type_names);
	if (!rc && x.type < 0)
		rc = admin_fail(a, ERR_INVAL, "--type: is required");
	x.type = MAX(x.type, 0);
	rc = rc ? rc : read_provider(a, &x);
	if (!rc && !x.name && provider_is_own(&x))
		rc = text_set(&x.name, x.type == PROVIDER_EMAIL_OTP ? PROVIDER_EMAIL_OTP_NAME : PROVIDER_USERPASS_NAME);
	x.is_verified |= provider_is_own(&x);
	if (!x.is_verified) /* nobody saw it work: it waits */
		x.disabled_at = (i64)(a->wall / 1000);
	rc = rc ? rc : check(a, &x);
	rc = rc ? rc : write_provider(a, &x, true, false);
	entity_deinit(KIND_AUTH_PROVIDER, &x);
	return rc;
}

static bool differs(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") != 0;
}

static int update_provider(struct admin *a, struct auth_provider *x)
{
	struct auth_provider was;
	int rc = entity_copy(KIND_AUTH_PROVIDER, &was, x);

	if (rc)
		return admin_store_failed(a, rc);
	rc = read_provider(a, x);
	bool is_other = differs(was.issuer, x->issuer) || differs(was.client_id, x->client_id) || differs(was.client_secret, x->client_secret) ||
			differs(was.discovery_document_uri, x->discovery_document_uri) || differs(was.okta_domain, x->okta_domain);
	if (!rc && is_other && !admin_arg(a, "verified") && !provider_is_own(x)) {
		x->is_verified = false;
		if (!x->disabled_at)
			rc = admin_fail(a, ERR_INVAL, "--verified: these settings are new: verify them first, or disable the provider");
	}
	rc = rc ? rc : check(a, x);
	/* what was proven to another party proves nothing to this one */
	rc = rc ? rc : write_provider(a, x, false, differs(was.issuer, x->issuer));
	entity_deinit(KIND_AUTH_PROVIDER, &was);
	return rc;
}

int run_provider_update(struct admin *a)
{
	const struct account *account;
	struct auth_provider x;
	int rc = admin_copy_target(a, KIND_AUTH_PROVIDER, &account, &x);

	if (rc)
		return rc;
	rc = update_provider(a, &x);
	entity_deinit(KIND_AUTH_PROVIDER, &x);
	return rc;
}

/* Who came in by this door does not wall it up behind himself. */
static int protect_own_provider(struct admin *a, const struct auth_provider *x)
{
	const struct principal *by = a->rq->by;

	return by && uuid_eq(&by->provider_id, &x->e.id) ?
		       admin_fail(a, ERR_DENIED, "You are signed in through '%s': sign in another way first", x->name) :
		       0;
}

static int switch_provider(struct admin *a, bool is_on)
{
	const struct account *account;
	struct auth_provider x;
	int rc = admin_copy_target(a, KIND_AUTH_PROVIDER, &account, &x);

	if (rc)
		return rc;
	rc = is_on ? 0 : protect_own_provider(a, &x);
	x.disabled_at = is_on ? 0 : (i64)(a->wall / 1000);
	x.is_default &= is_on;
	rc = rc ? rc : check(a, &x);
	rc = rc ? rc : write_provider(a, &x, false, !is_on);
	entity_deinit(KIND_AUTH_PROVIDER, &x);
	return rc;
}

int run_provider_enable(struct admin *a)
{
	return switch_provider(a, true);
}

int run_provider_disable(struct admin *a)
{
	return switch_provider(a, false);
}

int run_provider_set_default(struct admin *a)
{
	const struct account *account;
	struct auth_provider x;
	bool is_on = true;
	int rc = admin_copy_target(a, KIND_AUTH_PROVIDER, &account, &x);

	if (rc)
		return rc;
	rc = admin_set_bool(a, &is_on, "default");
	x.is_default = is_on;
	rc = rc ? rc : check(a, &x);
	rc = rc ? rc : write_provider(a, &x, false, false);
	entity_deinit(KIND_AUTH_PROVIDER, &x);
	return rc;
}

int run_provider_revoke_sessions(struct admin *a)
{
	const struct account *account;
	struct auth_provider x;
	int rc = admin_copy_target(a, KIND_AUTH_PROVIDER, &account, &x);

	if (rc)
		return rc;
	rc = admin_begin(a);
	if (!rc) {
		rc = store_revoke(a->portal->store, REVOKE_TOKENS_OF_PROVIDER, &x.e.account_id, &x.e.id);
		rc = rc ? rc : store_revoke(a->portal->store, REVOKE_SESSIONS_OF_PROVIDER, &x.e.account_id, &x.e.id);
		rc = admin_end(a, rc);
	}
	rc = admin_show_single(a, KIND_AUTH_PROVIDER, &x, rc);
	entity_deinit(KIND_AUTH_PROVIDER, &x);
	return rc;
}

int run_provider_delete(struct admin *a)
{
	const struct account *account;
	struct auth_provider x;
	int rc = admin_copy_target(a, KIND_AUTH_PROVIDER, &account, &x);

	if (rc)
		return rc;
	if (provider_is_own(&x))
		rc = admin_fail(a, ERR_DENIED, "'%s' is the portal's own: disable it instead", x.name);
	rc = rc ? rc : protect_own_provider(a, &x);
	rc = rc ? rc : admin_begin(a);
	if (!rc)
		rc = admin_end(a, store_delete(a->portal->store, KIND_AUTH_PROVIDER, &x.e.account_id, &x.e.id));
	a->id = x.e.id;
	a->is_quiet = true;
	entity_deinit(KIND_AUTH_PROVIDER, &x);
	return rc;
}

/* ---- identity --------------------------------------------------------------------------------------------------------------------- */

int run_identity_delete(struct admin *a)
{
	const struct account *account;
	struct identity x;
	int rc = admin_copy_target(a, KIND_IDENTITY, &account, &x);

	if (rc)
		return rc;
	rc = admin_begin(a);
	if (!rc) {
		rc = store_revoke_issuer(a->portal->store, &x.e.account_id, &x.actor_id, x.issuer);
		rc = rc ? rc : store_delete(a->portal->store, KIND_IDENTITY, &x.e.account_id, &x.e.id);
		rc = admin_end(a, rc);
	}
	a->id = x.e.id;
	a->is_quiet = true;
	entity_deinit(KIND_IDENTITY, &x);
	return rc;
}

/* ---- credential -------------------------------------------------------------------------------------------------------------------- */

int run_credential_update(struct admin *a)
{
	const struct account *account;
	struct credential x;
	struct complaint c;
	int rc = admin_copy_target(a, KIND_CREDENTIAL, &account, &x);

	if (rc)
		return rc;
	rc = admin_set(a, &x.name, "name");
	if (!rc && check_credential(&x, &c))
		rc = admin_complain(a, &c);
	rc = rc ? rc : admin_update(a, KIND_CREDENTIAL, &x, NULL);
	entity_deinit(KIND_CREDENTIAL, &x);
	return rc;
}

/* ---- link --------------------------------------------------------------------------------------------------------------------------- */

#define LINK_DAYS_MAX 30

static int make_link(struct admin *a, struct one_time_link *x)
{
	char text[LINK_TEXT_LEN + 1];
	int rc = link_make(x, a->portal->rng, text);

	rc = rc ? rc : admin_begin(a);
	if (rc)
		return admin_store_failed(a, rc);
	rc = admin_end(a, store_insert(a->portal->store, KIND_LINK, x, a->wall));
	rc = admin_show_single(a, KIND_LINK, x, rc);
	if (!rc) {
		const char *base = a->portal->web_url ? a->portal->web_url : "/";

		snprintf(a->secret, sizeof(a->secret), "%sauth/link/%s", base, text);
		sheet_put(&a->sheet, "url", a->secret);
	}
	sodium_memzero(text, sizeof(text));
	return rc;
}

/* For the first admin: of the account, or of one that will be made when the link is opened. */
static int add_setup_link(struct admin *a)
{
	bool is_for_new = !admin_arg(a, "account") && admin_dir(a)->by_id[KIND_ACCOUNT].n == 0;
	const struct account *account = NULL;
	struct one_time_link x;
	i64 admins = 0;
	int rc = rights_operator_only(a, "make a link for a first admin");

	rc = rc || is_for_new ? rc : admin_account(a, &account);
	if (rc)
		return rc;
	if (admin_arg(a, "actor"))
		return admin_fail(a, ERR_INVAL, "--actor: a set-up link is for somebody who is not there yet");
	if (account && store_count(a->portal->store, COUNT_ENABLED_ADMINS, &account->e.id, &admins))
		return admin_store_failed(a, ERR_IO);
	if (admins > 0)
		return admin_fail(a, ERR_STATE, "the account has an admin already: say --actor and --purpose recovery to let one in again");
	entity_init(KIND_LINK, &x);
	x.e.id = admin_new_id(a);
	if (account)
		x.e.account_id = account->e.id;
	x.purpose = LINK_SETUP;
	rc = admin_set_expiry(a, &x.expires_at, 1, LINK_DAYS_MAX);
	rc = rc ? rc : make_link(a, &x);
	entity_deinit(KIND_LINK, &x);
	return rc;
}

int run_link_add(struct admin *a)
{
	const char *purpose = admin_arg(a, "purpose");
	const struct account *account;
	const struct actor *actor;
	struct one_time_link x;

	if (purpose && strcmp(purpose, link_purpose_names[LINK_SETUP]) == 0)
		return add_setup_link(a);
	int rc = admin_account(a, &account);
	if (rc)
		return rc;
	entity_init(KIND_LINK, &x);
	x.e = admin_new(a, account);
	x.purpose = LINK_INVITE;
	rc = admin_set_enum(a, &x.purpose, "purpose", link_purpose_names);
	rc = rc ? rc : admin_set_id(a, KIND_ACTOR, account, "actor", &x.actor_id);
	actor = directory_get(admin_dir(a), KIND_ACTOR, &account->e.id, &x.actor_id);
	if (!rc && !actor)
		rc = admin_fail(a, ERR_INVAL, "--actor: for whom?");
	if (!rc && actor->type != ACTOR_USER && actor->type != ACTOR_ADMIN)
		rc = admin_fail(a, ERR_INVAL, "--actor: '%s' does not sign in: give it a token", actor->name);
	if (!rc && actor->disabled_at)
		rc = admin_fail(a, ERR_DENIED, "--actor: '%s' is disabled", actor->name);
	rc = rc ? rc : admin_set_expiry(a, &x.expires_at, 1, LINK_DAYS_MAX);
	rc = rc ? rc : make_link(a, &x);
	entity_deinit(KIND_LINK, &x);
	return rc;
}

/* ---- api-token ------------------------------------------------------------------------------------------------------------------------ */

struct owned {
	const struct uuid *owner;
	i64 n;
};

static int count_owned(void *ctx, enum kind k, const void *row)
{
	struct owned *o = ctx;

	(void)k;
	o->n += uuid_eq(&((const struct token *)row)->owner_id, o->owner);
	return 0;
}

static int check_api_token(struct admin *a, const struct account *account, struct token *x)
{
	const struct actor *actor = directory_get(admin_dir(a), KIND_ACTOR, &account->e.id, &x->owner_id);
	struct owned o = { .owner = &x->owner_id };
	struct complaint c;
	int rc;

	if (!actor)
		return admin_fail(a, ERR_INVAL, "--actor: which API client?");
	if (actor->type != ACTOR_API)
		return admin_fail(a, ERR_INVAL, "--actor: '%s' is no API client", actor->name);
	if (actor->disabled_at)
		return admin_fail(a, ERR_DENIED, "--actor: '%s' is disabled", actor->name);
	if (!x->name || check_token(x, &c))
		return x->name ? admin_complain(a, &c) : admin_fail(a, ERR_INVAL, "--name: is required");
	rc = store_list(a->portal->store, KIND_API_TOKEN, &account->e.id, count_owned, &o);
	if (rc)
		return admin_store_failed(a, rc);
	return account->limit_api_tokens_per_client >= 0 && o.n >= account->limit_api_tokens_per_client ?
		       admin_fail(a, ERR_LIMIT, "an API client may have %lld tokens: delete one first",
				  (long long)account->limit_api_tokens_per_client) :
		       0;
}

int run_api_token_add(struct admin *a)
{
	const struct account *account;
	char text[TOKEN_STRLEN];
	struct token x;
	int rc = admin_account(a, &account);

	if (rc)
		return rc;
	entity_init(KIND_API_TOKEN, &x);
	x.e.account_id = account->e.id;
	rc = admin_set_id(a, KIND_ACTOR, account, "actor", &x.owner_id);
	rc = rc ? rc : admin_set(a, &x.name, "name");
	rc = rc ? rc : admin_set_expiry(a, &x.expires_at, 365, 0);
	rc = rc ? rc : check_api_token(a, account, &x);
	rc = rc ? rc : token_mint(&x, TOKEN_API, "", &a->portal->secrets, a->portal->rng, text);
	rc = rc ? rc : admin_insert(a, KIND_API_TOKEN, &x, NULL);
	if (!rc) {
		sheet_put(&a->sheet, "token", text);
		snprintf(a->secret, sizeof(a->secret), "%s", text);
	}
	sodium_memzero(text, sizeof(text));
	entity_deinit(KIND_API_TOKEN, &x);
	return rc;
}

/* ---- session ----------------------------------------------------------------------------------------------------------------------------- */

int run_session_list(struct admin *a)
{
	int rc = a->step == 0 ? admin_list(a, KIND_PORTAL_SESSION) : 0;

	if (rc || a->is_to_go_on)
		return rc;
	a->step = 1;
	return admin_list(a, KIND_CLIENT_TOKEN);
}

/* A browser's session, or the token of a client that signed in. */
int run_session_delete(struct admin *a)
{
	const struct account *account;
	const char *target = admin_arg(a, "target");
	struct uuid id;
	int rc;

	if (!target || uuid_parse(SPAN(target, strlen(target)), &id))
		return admin_fail(a, ERR_INVAL, "which session? Give its id (session list)");
	rc = admin_account(a, &account);
	rc = rc ? rc : admin_begin(a);
	if (rc)
		return rc;
	rc = store_delete(a->portal->store, KIND_PORTAL_SESSION, &account->e.id, &id);
	if (rc == ERR_NOT_FOUND)
		rc = store_delete(a->portal->store, KIND_CLIENT_TOKEN, &account->e.id, &id);
	if (rc == ERR_NOT_FOUND)
		(void)admin_fail(a, rc, "there is no session '%s'", target);
	a->id = id;
	a->is_quiet = true;
	return admin_end(a, rc);
}

int run_session_delete_all(struct admin *a)
{
	const struct account *account;
	struct uuid actor = { 0 };
	int rc = admin_account(a, &account);

	rc = rc ? rc : admin_set_id(a, KIND_ACTOR, account, "actor", &actor);
	if (rc)
		return rc;
	if (uuid_is_null(&actor))
		return admin_fail(a, ERR_INVAL, "--actor: whose?");
	rc = admin_begin(a);
	if (!rc) {
		rc = store_revoke(a->portal->store, REVOKE_TOKENS_OF_ACTOR, &account->e.id, &actor);
		rc = rc ? rc : store_revoke(a->portal->store, REVOKE_SESSIONS_OF_ACTOR, &account->e.id, &actor);
		rc = admin_end(a, rc);
	}
	a->is_quiet = true;
	return rc;
}
