/* The door: which network, which way; and out again (spec 60 §3.3). */
#include "applets/portal/auth/pages.h"
#include "applets/portal/auth/routes.h"
#include "applets/portal/web/templates.h"

#include <ctype.h>
#include <stdio.h>

/* ---- which network ------------------------------------------------------------------------------------------------------------------------ */

static const char *query_of(struct exchange *x)
{
	struct signin_params params;
	char query[SIGNIN_QUERY_MAX];

	signin_read(x, &params);
	signin_query(&params, query);
	return query[0] ? pages_text(x, "?%s", query) : "";
}

static void show_chooser(struct exchange *x, const char *typed, const char *error)
{
	struct form_field fields[] = {
		{ .name = "account", .label = "Network", .help = "Its short name or id: the part behind the slash in its address.", .value = typed, .max = 100,
		  .is_required = true, .is_focused = true, .is_code = true, .autocomplete = "organization" },
	};
	struct signin_step_view v = {
		.form = { .action = pages_text(x, "/%s", query_of(x)), .submit = "Continue", FORM_FIELDS(fields) },
	};
	const struct account *recent[RECENT_ACCOUNTS_MAX];
	struct page page = pages_frame(x, NULL, "Which network?", NULL);

	v.n_links = session_recent(x, recent);
	for (u32 i = 0; i < v.n_links; i++)
		v.link[i] = (struct signin_link){ recent[i]->name, pages_text(x, "/%s%s", recent[i]->slug, query_of(x)) };
	if (error)
		form_error(&v.form, "account", error);
	template_signin_chooser(&x->out, &page, &v);
	pages_send(x, error ? 422 : 200);
}

/* GET / */
void page_chooser(struct exchange *x)
{
	show_chooser(x, NULL, NULL);
}

/* POST / */
void page_choose(struct exchange *x)
{
	const char *typed = exchange_form(x, "account");
	char name[128];
	size_t n = 0;

	/* the whole address is fine too */
	if (typed && strstr(typed, "//")) {
		const char *path = strchr(strstr(typed, "//") + 2, '/');
		typed = path ? path + 1 : "";
	}
	for (const char *p = typed ? typed : ""; *p && *p != '/' && *p != '?' && n < sizeof(name) - 1; p++)
		if (!isspace((unsigned char)*p))
			name[n++] = (char)tolower((unsigned char)*p);
	name[n] = '\0';
	const struct account *account = session_account(x, SPAN(name, n));
	if (account)
		exchange_redirect(x, "/%s%s", account->slug, query_of(x));
	else
		show_chooser(x, typed, "There is no network of this name here. Check it, or ask your administrator.");
}

/* ---- which way ---------------------------------------------------------------------------------------------------------------------------- */

struct ways {
	struct step step;
	struct signin_view view;
	struct form_field address[1], login[2];
	struct form passcode, password;
	const char *start; /* of the default provider */
	int rank;
};

static const char *elsewhere_path(const struct ways *w, const struct auth_provider *p)
{
	char id[UUID_STRLEN];

	return pages_path(&w->step, pages_text(w->step.x, "/sign_in/%s/%s", provider_type_names[p->type], uuid_format(&p->e.id, id)));
}

static void offer_own(struct ways *w, const struct auth_provider *p)
{
	struct exchange *x = w->step.x;
	const u8 *challenge;
	char id[UUID_STRLEN];

	if (p->type == PROVIDER_EMAIL_OTP) {
		if (!x->portal->mailer)
			return;
		w->passcode.action = elsewhere_path(w, p);
		w->view.passcode = &w->passcode;
		return;
	}
	w->password.action = elsewhere_path(w, p);
	w->view.password = &w->password;
	w->view.recover = pages_path(&w->step, pages_text(x, "/sign_in/userpass/%s/recovery", uuid_format(&p->e.id, id)));
	challenge = pages_challenge(x, 's');
	if (challenge) {
		struct strbuf json = { 0 };
		if (webauthn_request(&json, &x->portal->auth->site, challenge) == 0) {
			w->view.passkey_options = pages_text(x, "%s", strbuf_text(&json));
			w->view.passkey_action =
				pages_path(&w->step, pages_text(x, "/sign_in/userpass/%s/passkey", uuid_format(&p->e.id, id)));
		}
		strbuf_free(&json);
	}
}

static int offer(void *ctx, enum kind k, const void *row)
{
	/* which of several would be taken by default: spec 60 §3.3 */
	static const int ranks[] = { [PROVIDER_OIDC] = 4, [PROVIDER_GOOGLE] = 3, [PROVIDER_ENTRA] = 2, [PROVIDER_OKTA] = 1 };
	const struct auth_provider *p = row;
	struct ways *w = ctx;
	const char *why;

	(void)k;
	if (p->disabled_at || signin_provider_check(w->step.x, w->step.account, &p->e.id, w->step.params.context, &why) != 0)
		return 0;
	if (p->type == PROVIDER_EMAIL_OTP || p->type == PROVIDER_USERPASS) {
		offer_own(w, p);
		return 0;
	}
	const char *href = elsewhere_path(w, p);
	if (w->view.n_elsewhere < SIGNIN_LINKS_MAX)
		w->view.elsewhere[w->view.n_elsewhere++] = (struct signin_link){ pages_text(w->step.x, "%s", p->name), href };
	if (p->is_default && ranks[p->type] > w->rank) {
		w->rank = ranks[p->type];
		w->start = href;
	}
	return 0;
}

/* For people whose account cannot be used now, from a client. */
static const char *closed(const struct step *s)
{
	if (s->params.context == SIGNIN_PORTAL)
		return NULL;
	return s->account->disabled_at ? "This account is disabled. Please ask your administrator." :
	       s->account->users_limit_exceeded ?
					 "This account has more people than its limit allows. Please ask your administrator." :
					 NULL;
}

/* GET /:account */
void page_sign_in(struct exchange *x)
{
	struct ways w = {
		.address = { { .name = "email[email]", .label = "E-mail", .kind = INPUT_EMAIL, .autocomplete = "email", .max = 160, .is_required = true } },
		.login = { { .name = "userpass[idp_id]", .label = "E-mail", .kind = INPUT_EMAIL, .autocomplete = "username webauthn", .max = 255,
			     .is_required = true },
			   { .name = "userpass[secret]", .label = "Password", .kind = INPUT_PASSWORD, .autocomplete = "current-password", .max = 1024,
			     .is_required = true } },
		.passcode = { .submit = "Mail me a code" },
		.password = { .submit = "Sign in" },
	};
	struct principal who;
	const char *title;

	if (!pages_step(x, -1, &w.step))
		return;
	if (w.step.params.context == SIGNIN_PORTAL && session_find(x, w.step.account, &who) == 0) {
		if (signin_may_redirect(w.step.account, w.step.params.redirect_to))
			exchange_redirect(x, "%s", w.step.params.redirect_to);
		else
			exchange_redirect(x, "/%s/sites", w.step.account->slug);
		return;
	}
	title = closed(&w.step);
	if (title) {
		struct page page = pages_frame(x, w.step.account, "You cannot sign in now", title);
		template_signin_closed(&x->out, &page);
		pages_send(x, 403);
		return;
	}
	w.passcode.fields = w.address;
	w.passcode.n_fields = ARRAY_LEN(w.address);
	w.password.fields = w.login;
	w.password.n_fields = ARRAY_LEN(w.login);
	w.view.other_account = pages_text(x, "/%s", query_of(x));
	if (store_list(x->portal->store, KIND_AUTH_PROVIDER, &w.step.account->e.id, offer, &w) != 0) {
		exchange_problem(x, 503, NULL);
		return;
	}
	if (w.start && w.step.params.context != SIGNIN_PORTAL) {
		exchange_redirect(x, "%s", w.start);
		return;
	}
	struct page page = pages_frame(x, w.step.account, pages_text(x, "Sign in to %s", w.step.account->name),
				       w.step.params.context == SIGNIN_PORTAL ? NULL : "Then your client goes on by itself.");
	if (w.step.params.context == SIGNIN_HEADLESS)
		page.lead = "Then you get a token to copy into your client.";
	template_signin(&x->out, &page, &w.view);
	pages_send(x, 200);
}

/* POST /:account/sign_out */
void page_sign_out(struct exchange *x)
{
	struct step s;

	if (!pages_step(x, -1, &s))
		return;
	session_end(x, s.account);
	exchange_flash(x, FLASH_INFO, "You are signed out.");
	exchange_redirect(x, "/%s", s.account->slug);
}
