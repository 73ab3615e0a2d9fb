/* How the admin who looks signs in (/<account>/settings/security): add and remove passkeys, change the password, print new recovery codes. The last way in stays. */
#include "applets/portal/auth/enrolling.h"
#include "applets/portal/auth/routes.h"
#include "applets/portal/web/templates.h"

#include <sodium.h>
#include <stdio.h>

struct own {
	struct exchange *x;
	const struct account *account;
	struct principal who;
	const struct actor *actor;
	u32 ways;
};

static bool begin(struct exchange *x, struct own *o)
{
	memset(o, 0, sizeof(*o));
	o->x = x;
	if (!session_required(x, &o->account, &o->who))
		return false;
	o->actor = directory_get(hub_directory(x->portal->hub), KIND_ACTOR, &o->account->e.id, &o->who.actor_id);
	if (o->actor && credentials_ways(x, &o->account->e.id, &o->actor->e.id, &o->ways) == 0)
		return true;
	exchange_problem(x, 503, NULL);
	return false;
}

static const char *own_path(const struct own *o, const char *more)
{
	return pages_text(o->x, "/%s/settings/security%s", o->account->slug, more);
}

static void again(const struct own *o, enum flash kind, const char *text)
{
	exchange_flash(o->x, kind, "%s", text);
	exchange_redirect(o->x, "%s", own_path(o, ""));
}

/* A new one for each session and each app before it. */
static void app_secret(const struct own *o, u8 secret[static TOTP_SECRET_LEN])
{
	struct uuid salt = { 0 };
	struct credential row;

	if (credentials_find(o->x, &o->account->e.id, &o->actor->e.id, CREDENTIAL_TOTP, &row) == 0) {
		salt = row.e.id;
		entity_deinit(KIND_CREDENTIAL, &row);
	}
	enrolling_totp(o->x, SPAN(o->who.session_id.b, sizeof(o->who.session_id.b)), &salt, secret);
}

/* ---- the page ---------------------------------------------------------------------------------------------------------------------------------------- */

struct listing {
	const struct own *own;
	struct security_view *view;
};

static int show_row(void *ctx, enum kind k, const void *row)
{
	struct listing *l = ctx;
	struct security_view *v = l->view;
	const struct credential *c = row;
	char id[UUID_STRLEN];

	(void)k;
	v->has_password |= c->type == CREDENTIAL_PASSWORD;
	v->codes_left += c->type == CREDENTIAL_RECOVERY_CODE && !c->used_at;
	if (c->type != CREDENTIAL_PASSKEY || v->n_passkeys == ARRAY_LEN(v->passkey))
		return 0;
	v->passkey[v->n_passkeys++] = (struct credential_row){
		.name = pages_text(l->own->x, "%s", c->name ? c->name : "Passkey"),
		.remove_href = l->own->ways > 1 ? own_path(l->own, pages_text(l->own->x, "/%s/remove", uuid_format(&c->e.id, id))) : NULL,
		.made_at = c->e.inserted_at,
		.used_at = c->used_at,
	};
	return 0;
}

static void show(const struct own *o, const struct form *password, u16 status)
{
	struct exchange *x = o->x;
	struct security_view v = { .password = password };
	struct listing l = { o, &v };
	u8 secret[TOTP_SECRET_LEN];
	struct page page = pages_frame(x, o->account, "Your sign-in", "Passkeys, password and recovery codes: only yours.");

	if (credentials_each(x, &o->account->e.id, &o->actor->e.id, -1, show_row, &l) != 0) {
		exchange_problem(x, 503, NULL);
		return;
	}
	page.section = SECTION_SETTINGS;
	page.viewer_name = o->who.actor_name;
	page.viewer_email = o->who.actor_email;
	v.passkey_options = enrolling_options(x, o->account, o->actor);
	v.passkey_action = own_path(o, "/passkey");
	v.codes_action = own_path(o, "/codes");
	v.remove_password_action = o->ways > 1 ? own_path(o, "/password/remove") : NULL;
	v.profile = x->portal->auth->profile->statement;
	app_secret(o, secret);
	v.totp = enrolling_totp_view(x, o->account, o->actor, secret);
	template_security(&x->out, &page, &v);
	sodium_memzero(secret, sizeof(secret));
	pages_send(x, status);
}

/* GET /:account/settings/security */
void page_security(struct exchange *x)
{
	struct password_form f;
	struct own o;

	if (!begin(x, &o))
		return;
	enrolling_form(&f, own_path(&o, "/password"), "Set the password");
	show(&o, &f.form, 200);
}

/* ---- passkeys ------------------------------------------------------------------------------------------------------------------------------------------ */

/* POST /:account/settings/security/passkey */
void page_security_passkey(struct exchange *x)
{
	struct webauthn_credential made;
	struct own o;

	if (!begin(x, &o))
		return;
	int rc = enrolling_passkey(x, &made);
	rc = rc ? rc : auth_begin(x, &o.who);
	if (rc == 0)
		rc = auth_end(x, credentials_add_passkey(x, o.actor, &made, exchange_form(x, "name")));
	again(&o, rc ? FLASH_ERROR : FLASH_INFO, rc ? enrolling_complaint(rc) : "The passkey works from now on.");
}

/* POST /:account/settings/security/:id/remove */
void page_security_remove(struct exchange *x)
{
	struct credential row;
	struct uuid id;
	struct own o;

	if (!begin(x, &o))
		return;
	if (uuid_parse(x->param[1], &id) != 0 || store_get(x->portal->store, KIND_CREDENTIAL, &o.account->e.id, &id, &row) != 0) {
		again(&o, FLASH_ERROR, "This passkey is gone already.");
		return;
	}
	bool is_own = row.type == CREDENTIAL_PASSKEY && uuid_eq(&row.actor_id, &o.actor->e.id);
	entity_deinit(KIND_CREDENTIAL, &row);
	if (!is_own || o.ways < 2) {
		again(&o, FLASH_ERROR, is_own ? "This is your last way in: make another one first." : "This passkey is not yours.");
		return;
	}
	int rc = auth_begin(x, &o.who);
	rc = rc ? rc : auth_end(x, store_delete(x->portal->store, KIND_CREDENTIAL, &o.account->e.id, &id));
	again(&o, rc ? FLASH_ERROR : FLASH_INFO, rc ? "That could not be written. Try again." : "The passkey does not work any more. Delete it on your device too.");
}

/* ---- password -------------------------------------------------------------------------------------------------------------------------------------------- */

struct pending {
	struct own own;
	u64 step;
};

static void on_hashed(struct exchange *x, int rc, const char *phc, void *ctx)
{
	struct pending *p = ctx;
	u8 secret[TOTP_SECRET_LEN];
	struct own o;

	if (rc) {
		exchange_problem(x, 503, NULL);
		return;
	}
	if (!begin(x, &o)) /* the session may be over meanwhile */
		return;
	app_secret(&o, secret);
	rc = auth_begin(x, &o.who);
	rc = rc ? rc : auth_end(x, credentials_set_password(x, o.actor, phc, secret, p->step));
	sodium_memzero(secret, sizeof(secret));
	again(&o, rc ? FLASH_ERROR : FLASH_INFO, rc ? "That could not be written. Try again." : "The new password and app work from now on.");
}

/* POST /:account/settings/security/password */
void page_security_password(struct exchange *x)
{
	struct pending *p = exchange_alloc(x, sizeof(*p));
	u8 secret[TOTP_SECRET_LEN];
	struct password_form f;

	if (!p) {
		exchange_problem(x, 503, NULL);
		return;
	}
	if (!begin(x, &p->own))
		return;
	enrolling_form(&f, own_path(&p->own, "/password"), "Set the password");
	app_secret(&p->own, secret);
	if (enrolling_check(x, &f, p->own.account, p->own.actor, secret, &p->step) != 0)
		show(&p->own, &f.form, 422);
	else
		auth_hash(x, exchange_form(x, "password"), 0, on_hashed, p);
	sodium_memzero(secret, sizeof(secret));
}

/* POST /:account/settings/security/password/remove */
void page_security_no_password(struct exchange *x)
{
	struct own o;

	if (!begin(x, &o))
		return;
	if (o.ways < 2) {
		again(&o, FLASH_ERROR, "This is your last way in: make a passkey first.");
		return;
	}
	int rc = auth_begin(x, &o.who);
	if (rc == 0) {
		rc = credentials_delete_type(x, &o.account->e.id, &o.actor->e.id, CREDENTIAL_PASSWORD);
		rc = rc ? rc : credentials_delete_type(x, &o.account->e.id, &o.actor->e.id, CREDENTIAL_TOTP);
		rc = auth_end(x, rc);
	}
	again(&o, rc ? FLASH_ERROR : FLASH_INFO, rc ? "That could not be written. Try again." : "You sign in with passkeys only now.");
}

/* POST /:account/settings/security/codes */
void page_security_codes(struct exchange *x)
{
	char code[RECOVERY_CODES][RECOVERY_STRLEN];
	struct own o;

	if (!begin(x, &o))
		return;
	int rc = auth_begin(x, &o.who);
	rc = rc ? rc : auth_end(x, credentials_make_codes(x, o.actor, code));
	if (rc)
		again(&o, FLASH_ERROR, "That could not be written. Try again.");
	else
		enrolling_show_codes(x, o.account, code, own_path(&o, ""), "I have kept them");
}
