/* Ways to sign in, and directories that people are copied from (spec 60 §1.10, §3.7, §8, §9). */
#include "applets/portal/web/pages.h"
#include "applets/portal/web/templates.h"
#include "applets/portal/web/views_settings.h"

#include "applets/portal/auth/oidc_web.h"
#include "applets/portal/model/rules.h"
#include "core/http/url.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_MAX 64u

static const char *kind_name(int type)
{
	switch ((enum provider_type)type) {
	case PROVIDER_EMAIL_OTP:
		return "Code by e-mail";
	case PROVIDER_USERPASS:
		return "Passkey, or password with app";
	case PROVIDER_GOOGLE:
		return "Google";
	case PROVIDER_ENTRA:
		return "Microsoft Entra";
	case PROVIDER_OKTA:
		return "Okta";
	case PROVIDER_OIDC:
		return "OpenID Connect";
	}
	return "";
}

static bool is_own(int type)
{
	return type == PROVIDER_EMAIL_OTP || type == PROVIDER_USERPASS;
}

/* ---- the list ----------------------------------------------------------------------------------------------------------------------- */

struct listing {
	struct web *w;
	struct providers_view *v;
};

static int take_provider(void *ctx, enum kind k, const void *entity)
{
	struct listing *g = ctx;
	struct web *w = g->w;
	const struct auth_provider *p = web_keep(w, k, entity);
	const char *id, *href;

	if (!p)
		return ERR_NOMEM;
	id = web_id(w, &p->e.id);
	href = web_path(w, "/settings/authentication/%s/%s", provider_type_names[p->type], id);
	g->v->rows[g->v->n++] = (struct provider_row){
		.provider = p,
		.kind = kind_name(p->type),
		.where = p->context == CONTEXT_CLIENTS ? "clients only" : p->context == CONTEXT_PORTAL ? "this portal only" : "clients and this portal",
		.is_current = uuid_eq(&p->e.id, &w->me.provider_id),
		.can_be_default = !is_own(p->type) && !p->disabled_at,
		.is_own = is_own(p->type),
		.edit_href = web_text(w, "%s/edit", href),
		.enable_href = web_text(w, "%s/enable", href),
		.disable_href = web_text(w, "%s/disable", href),
		.revoke_href = web_text(w, "%s/revoke", href),
		.delete_href = web_text(w, "%s/delete", href),
		.default_href = web_text(w, "%s/default", href),
		.undefault_href = web_text(w, "%s/no_default", href),
	};
	return 0;
}

static int take_tokens(void *ctx, const struct uuid *parent, i64 n)
{
	struct providers_view *v = ctx;

	for (u32 i = 0; i < v->n; i++)
		if (uuid_eq(&v->rows[i].provider->e.id, parent))
			v->rows[i].tokens = n;
	return 0;
}

static int take_sessions(void *ctx, const struct uuid *parent, i64 n)
{
	struct providers_view *v = ctx;

	for (u32 i = 0; i < v->n; i++)
		if (uuid_eq(&v->rows[i].provider->e.id, parent))
			v->rows[i].sessions = n;
	return 0;
}

void page_providers(struct exchange *x)
{
	struct providers_view v = { .n = 0 };
	struct store *s = x->portal->store;
	struct listing g;
	struct web w;
	int rc;

	if (!web_begin(&w, x, SECTION_SETTINGS))
		return;
	g = (struct listing){ &w, &v };
	v.tabs = settings_tabs(&w, SETTINGS_SIGN_IN);
	v.rows = exchange_alloc(x, ROWS_MAX * sizeof(*v.rows));
	rc = v.rows ? store_select(s, KIND_AUTH_PROVIDER, &w.account->e.id, NULL, 0, ROWS_MAX, take_provider, &g) : ERR_NOMEM;
	rc = rc ? rc : store_tally(s, TALLY_TOKENS_OF_PROVIDER, &w.account->e.id, take_tokens, &v);
	rc = rc ? rc : store_tally(s, TALLY_SESSIONS_OF_PROVIDER, &w.account->e.id, take_sessions, &v);
	if (rc) {
		web_store_failed(&w);
	} else {
		w.page.lead = "How people prove who they are, here and in their clients.";
		w.page.action = "Add a way to sign in";
		w.page.action_href = web_path(&w, "/settings/authentication/select_type");
		template_providers(&x->out, &w.page, &v);
		web_send(&w, 200);
	}
	web_end(&w);
}

void page_provider_types(struct exchange *x)
{
	struct provider_kinds_view v = { .n = 4 };
	struct provider_kind *offer;
	struct web w;

	if (!web_begin(&w, x, SECTION_SETTINGS))
		return;
	offer = exchange_alloc(x, 4 * sizeof(*offer));
	if (offer) {
		offer[0] = (struct provider_kind){ "oidc", "OpenID Connect", "Keycloak, Authentik, Zitadel, GitLab and everything else that speaks it.", web_path(&w, "/settings/authentication/oidc/new") };
		offer[1] = (struct provider_kind){ "google", "Google", "Google Workspace.", web_path(&w, "/settings/authentication/google/new") };
		offer[2] = (struct provider_kind){ "entra", "Microsoft Entra", "Microsoft 365 and Entra ID.", web_path(&w, "/settings/authentication/entra/new") };
		offer[3] = (struct provider_kind){ "okta", "Okta", "An Okta organisation.", web_path(&w, "/settings/authentication/okta/new") };
		v.kinds = offer;
	} else {
		v.n = 0;
	}
	v.tabs = settings_tabs(&w, SETTINGS_SIGN_IN);
	w.page.title = "Add a way to sign in";
	template_provider_types(&x->out, &w.page, &v);
	web_send(&w, 200);
	web_end(&w);
}

/* ---- the form -------------------------------------------------------------------------------------------------------------------------
 * Settings of an identity provider are tried before they are saved: POST leads there, and back here with ?verification=…; the
 * next POST saves. The portal's own ways need no trial. */

enum { F_NAME, F_CONTEXT, F_URI, F_DOMAIN, F_ISSUER, F_CLIENT, F_SECRET, F_CLAIM, F_CLIENT_LIFE, F_PORTAL_LIFE, F_LEGACY, F_COUNT };

static struct choice contexts[] = { { .value = "clients_and_portal", .label = "Clients and this portal" }, { .value = "clients_only", .label = "Clients only" }, { .value = "portal_only", .label = "This portal only" } };
static struct choice claims[] = { { .value = "upn", .label = "upn" }, { .value = "email", .label = "email" }, { .value = "preferred_username", .label = "preferred_username" } };

static u32 form_of(struct form_field f[static F_COUNT], int type, bool is_new)
{
	u32 n = 0;
	bool needs_client = type == PROVIDER_OIDC || type == PROVIDER_OKTA;

	f[n++] = (struct form_field){ .name = "name", .label = "Name", .help = "On the button that people press.", .max = 255, .is_required = true, .is_focused = true };
	f[n++] = (struct form_field){ .name = "context", .label = "Signs in to", .kind = INPUT_SELECT, FORM_CHOICES(contexts), .is_required = true };
	if (type == PROVIDER_OIDC)
		f[n++] = (struct form_field){ .name = "discovery-document-uri", .label = "Discovery document", .placeholder = "https://id.example.com/.well-known/openid-configuration", .max = 2000, .is_required = true, .is_code = true };
	if (type == PROVIDER_OKTA)
		f[n++] = (struct form_field){ .name = "okta-domain", .label = "Okta domain", .placeholder = "acme.okta.com", .max = 255, .is_required = true, .is_code = true };
	if (needs_client || type == PROVIDER_ENTRA || type == PROVIDER_GOOGLE) {
		f[n++] = (struct form_field){ .name = "client-id", .label = "Client ID", .max = 255, .is_required = needs_client, .is_code = true,
					      .help = needs_client ? NULL : "Of a registration of your own; this portal's when left empty." };
		f[n++] = (struct form_field){ .name = "client-secret", .label = "Client secret", .kind = INPUT_PASSWORD, .max = 255, .is_required = needs_client && is_new, .is_code = true,
					      .help = is_new ? NULL : "Left empty, it stays as it is.", .autocomplete = "off" };
	}
	if (type == PROVIDER_ENTRA) {
		f[n++] = (struct form_field){ .name = "issuer", .label = "Issuer", .placeholder = "https://login.microsoftonline.com/<tenant>/v2.0", .help = "Found out by the consent of your tenant's admin when left empty.", .max = 2000, .is_code = true };
		f[n++] = (struct form_field){ .name = "email-claim", .label = "E-mail address is in", .kind = INPUT_SELECT, FORM_CHOICES(claims), .is_more = true };
	}
	f[n++] = (struct form_field){ .name = "client-session-lifetime-secs", .label = "Clients sign in anew after (seconds)", .kind = INPUT_NUMBER, .help = "3600 to 7776000; a week is 604800.", .is_more = true };
	f[n++] = (struct form_field){ .name = "portal-session-lifetime-secs", .label = "Admins sign in anew after (seconds)", .kind = INPUT_NUMBER, .help = "300 to 86400; eight hours are 28800.", .is_more = true };
	return n;
}

static void fill_form(struct web *w, struct form *f, const struct auth_provider *p)
{
	static const char *const context_values[] = { "clients_and_portal", "clients_only", "portal_only" };

	form_set(f, "name", p->name);
	form_set(f, "context", context_values[p->context]);
	form_set(f, "discovery-document-uri", p->discovery_document_uri);
	form_set(f, "okta-domain", p->okta_domain);
	form_set(f, "client-id", p->client_id);
	form_set(f, "issuer", p->issuer);
	form_set(f, "email-claim", claims[p->email_claim].value);
	form_set(f, "client-session-lifetime-secs", web_text(w, "%lld", (long long)p->client_session_lifetime_secs));
	form_set(f, "portal-session-lifetime-secs", web_text(w, "%lld", (long long)p->portal_session_lifetime_secs));
}

static int type_of(struct span text)
{
	char name[32];

	snprintf(name, sizeof(name), "%.*s", (int)MIN(text.n, sizeof(name) - 1), (const char *)text.p);
	return enum_parse(provider_type_names, name);
}

/* The fields of a trial as they were filled in. */
struct kept_form {
	struct web *w;
	struct span text;
};

static const char *form_kept(void *ctx, const char *name, u32 nth)
{
	struct kept_form *k = ctx;
	char *value = nth == 0 ? exchange_alloc(k->w->x, k->text.n + 1) : NULL;

	return value && form_get(k->text, name, value, k->text.n + 1) == 0 ? value : NULL;
}

/* Who saves while another is away to try it is not overwritten by him. */
static i64 opened_at(struct kept_form *kept, i64 updated_at)
{
	const char *since = form_kept(kept, "if-updated-at", 0);

	return since && *since ? strtoll(since, NULL, 10) : updated_at;
}

/* What would be saved, as the trial wants it. */
static int row_of(const struct form *f, int type, const struct auth_provider *old, struct auth_provider *row)
{
	const char *secret = form_value(f, "client-secret"), *domain = form_value(f, "okta-domain");
	char issuer[300];
	int rc;

	entity_init(KIND_AUTH_PROVIDER, row);
	row->type = type;
	rc = text_set(&row->name, form_value(f, "name"));
	rc = rc ? rc : text_set(&row->discovery_document_uri, *form_value(f, "discovery-document-uri") ? form_value(f, "discovery-document-uri") : NULL);
	rc = rc ? rc : text_set(&row->okta_domain, *domain ? domain : NULL);
	rc = rc ? rc : text_set(&row->client_id, *form_value(f, "client-id") ? form_value(f, "client-id") : NULL);
	rc = rc ? rc : text_set(&row->client_secret, *secret ? secret : old ? old->client_secret : NULL);
	rc = rc ? rc : text_set(&row->issuer, *form_value(f, "issuer") ? form_value(f, "issuer") : NULL);
	if (!rc && type == PROVIDER_OKTA) {
		snprintf(issuer, sizeof(issuer), "https://%s", domain);
		rc = text_set(&row->issuer, issuer);
	}
	row->email_claim = MAX(0, enum_parse(email_claim_names, form_value(f, "email-claim")));
	return rc;
}

static bool is_same_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

/* Nothing that the provider itself sees was changed: name and lifetimes need no trial. */
static bool needs_trial(const struct auth_provider *old, const struct auth_provider *row)
{
	if (is_own(row->type))
		return false;
	return !old || !old->is_verified || !is_same_text(old->discovery_document_uri, row->discovery_document_uri) || !is_same_text(old->okta_domain, row->okta_domain) ||
	       !is_same_text(old->client_id, row->client_id) || !is_same_text(old->client_secret, row->client_secret) ||
	       (row->type == PROVIDER_ENTRA && row->issuer && !is_same_text(old->issuer, row->issuer));
}

static void show_provider_form(struct web *w, int type, const struct auth_provider *p, struct form *f, bool is_verified, u16 status)
{
	struct provider_form_view v = { .form = f, .is_verified = is_verified };

	v.tabs = settings_tabs(w, SETTINGS_SIGN_IN);
	v.callback = is_own(type) ? NULL : web_text(w, "%sauth/oidc/callback", w->x->portal->web_url);
	if (is_verified)
		f->submit = "Save";
	page_crumb(&w->page, "Sign-in", web_path(w, "/settings/authentication"));
	w->page.title = p ? p->name : web_text(w, "Add %s", kind_name(type));
	template_provider_form(&w->x->out, &w->page, &v);
	web_send(w, status);
}

static void save(struct web *w, int type, const struct auth_provider *old, struct form *f, const struct oidc_trial_result *trial)
{
	struct exchange *x = w->x;
	struct action a;

	web_action(w, &a, "provider", old ? "update" : "add", old ? &old->e.id : NULL);
	if (!old)
		action_set(&a, "type", provider_type_names[type]);
	for (u32 i = 0; i < f->n_fields; i++) {
		const char *name = f->fields[i].name, *value = form_value(f, name);
		if (strcmp(name, "issuer") == 0 || (strcmp(name, "client-secret") == 0 && !*value))
			continue;
		if (*value || old)
			action_set(&a, name, value);
	}
	if (trial) {
		action_set(&a, "issuer", trial->issuer);
		action_set(&a, "verified", "true");
		if (trial->row->client_secret && !*form_value(f, "client-secret"))
			action_set(&a, "client-secret", trial->row->client_secret);
	}
	if (action_run(&a, x->portal) == ADMIN_OK) {
		exchange_flash(x, FLASH_INFO, old ? "Saved." : "People can sign in through it now.");
		exchange_redirect(x, "%s", web_path(w, "/settings/authentication"));
	} else {
		show_provider_form(w, type, old, f, trial != NULL, web_form_failed(f, &a));
	}
	action_end(&a);
}

static i64 typed_seconds(const struct form *f, const char *name, i64 otherwise)
{
	const char *text = form_value(f, name);
	char *end;
	i64 v = strtoll(text, &end, 10);

	return !*text ? otherwise : *end ? 0 : v;
}

/* What the rules refuse anyhow is not taken to the provider first. What only a trial can tell (Entra's issuer) is not asked for. */
static bool is_worth_a_trial(struct web *w, struct form *f, const struct auth_provider *row)
{
	struct auth_provider p;
	struct complaint c = { .field = "" };
	int rc = entity_copy(KIND_AUTH_PROVIDER, &p, row);

	if (rc)
		return false;
	if (p.type == PROVIDER_ENTRA && !p.issuer)
		rc = text_set(&p.issuer, "https://login.microsoftonline.com");
	p.client_session_lifetime_secs = typed_seconds(f, "client-session-lifetime-secs", p.client_session_lifetime_secs);
	p.portal_session_lifetime_secs = typed_seconds(f, "portal-session-lifetime-secs", p.portal_session_lifetime_secs);
	rc = rc ? rc : check_auth_provider(&p, &c);
	entity_deinit(KIND_AUTH_PROVIDER, &p);
	for (char *at = c.field; *at; at++)
		if (*at == '_')
			*at = '-';
	c.reason[0] = (char)toupper((unsigned char)c.reason[0]);
	if (rc)
		form_error(f, web_text(w, "%s", c.field), web_text(w, "%s", c.reason));
	else if (w->x->body.n > OIDC_FORM_MAX)
		form_error(f, NULL, "More was sent than this form takes.");
	return !form_has_errors(f);
}

static void handle_provider_form(struct exchange *x, bool is_new)
{
	struct form_field fields[F_COUNT];
	struct form f = { .submit = "Try it and go on" };
	const struct auth_provider *old = NULL;
	const char *verification = exchange_query(x, "verification");
	struct oidc_trial_result trial = { .is_over = false };
	struct auth_provider row;
	struct web w;
	int type = type_of(x->param[1]);
	bool has_trial;

	if (!web_begin(&w, x, SECTION_SETTINGS))
		return;
	if (!is_new)
		old = web_get(&w, KIND_AUTH_PROVIDER, 2);
	else if (type < 0 || is_own(type))
		web_not_found(&w, "kind of sign-in");
	if (!is_new && !old)
		goto end;
	if (is_new && (type < 0 || is_own(type)))
		goto end;
	type = old ? old->type : type;
	if (is_own(type))
		f.submit = "Save";
	f.fields = fields;
	f.n_fields = form_of(fields, type, is_new);
	f.updated_at = old ? old->e.updated_at : 0;
	f.cancel_href = web_path(&w, "/settings/authentication");
	const char *here = old ? web_path(&w, "/settings/authentication/%s/%s/edit", provider_type_names[type], web_id(&w, &old->e.id)) :
				 web_path(&w, "/settings/authentication/%s/new", provider_type_names[type]);
	has_trial = verification && oidc_verify_result(x, &w.me, verification, &trial) == 0;
	f.action = has_trial ? web_text(&w, "%s?verification=%s", here, verification) : here;
	if (x->method == METHOD_POST) {
		web_fill_sent(x, &f);
		int rc = row_of(&f, type, old ? old : has_trial ? trial.row : NULL, &row);
		if (rc)
			web_store_failed(&w);
		else if (has_trial && trial.is_over && !trial.error && oidc_verify_covers(&trial, &row))
			save(&w, type, old, &f, &trial);
		else if (!needs_trial(old, &row))
			save(&w, type, old, &f, NULL);
		else if (!is_worth_a_trial(&w, &f, &row))
			show_provider_form(&w, type, old, &f, false, 422);
		else
			oidc_verify_start(x, &(struct oidc_trial_request){ .account = w.account, .who = &w.me, .row = &row, .return_to = here });
		entity_deinit(KIND_AUTH_PROVIDER, &row);
	} else {
		if (old)
			fill_form(&w, &f, old);
		else
			form_set(&f, "name", type == PROVIDER_OIDC ? NULL : kind_name(type));
		if (has_trial) {
			struct kept_form kept = { &w, trial.form };
			form_fill(&f, form_kept, &kept);
			f.updated_at = opened_at(&kept, f.updated_at);
			if (trial.error)
				form_error(&f, NULL, trial.error);
		}
		show_provider_form(&w, type, old, &f, has_trial && trial.is_over && !trial.error, 200);
	}
end:
	web_end(&w);
}

void page_provider_new(struct exchange *x)
{
	handle_provider_form(x, true);
}

void page_provider_edit(struct exchange *x)
{
	handle_provider_form(x, false);
}

/* ---- one button each ---------------------------------------------------------------------------------------------------------------- */

#define PROVIDER_BUTTON .section = SECTION_SETTINGS, .kind = KIND_AUTH_PROVIDER, .param = 2, .noun = "provider", .list = "/settings/authentication", .stays_on_list = true

void page_provider_enable(struct exchange *x)
{
	web_button(x, &(struct web_button){ PROVIDER_BUTTON, .verb = "enable", .done = "People can sign in through it again." });
}

void page_provider_disable(struct exchange *x)
{
	web_button(x, &(struct web_button){ PROVIDER_BUTTON, .verb = "disable", .done = "Disabled; everybody who signed in through it was signed out." });
}

void page_provider_revoke(struct exchange *x)
{
	web_button(x, &(struct web_button){ PROVIDER_BUTTON, .verb = "revoke-sessions", .done = "Everybody who signed in through it was signed out." });
}

void page_provider_default(struct exchange *x)
{
	web_button(x, &(struct web_button){ PROVIDER_BUTTON, .verb = "set-default", .done = "Clients go straight to it now." });
}

void page_provider_no_default(struct exchange *x)
{
	web_button(x, &(struct web_button){ PROVIDER_BUTTON, .verb = "set-default", .name = "default", .value = "false", .done = "Clients choose a way to sign in again." });
}

void page_provider_delete(struct exchange *x)
{
	const struct auth_provider *p;
	struct web w;

	if (!web_begin(&w, x, SECTION_SETTINGS))
		return;
	p = web_get(&w, KIND_AUTH_PROVIDER, 2);
	if (p)
		web_delete(&w, &(struct web_deletion){ .kind = KIND_AUTH_PROVIDER,
						       .noun = "provider",
						       .id = &p->e.id,
						       .name = p->name,
						       .href = web_path(&w, "/settings/authentication/%s/%s", provider_type_names[p->type], web_id(&w, &p->e.id)),
						       .list_href = web_path(&w, "/settings/authentication"),
						       .list_label = "Sign-in",
						       .has_no_page = true,
						       .is_typed = true });
	web_end(&w);
}
