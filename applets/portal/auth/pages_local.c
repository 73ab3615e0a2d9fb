/* Signing in with what the portal itself keeps: passkey, or password and app, or a recovery code. */
#define LOG_TARGET "portal::auth"

#include "applets/portal/auth/credentials.h"
#include "applets/portal/auth/pages.h"
#include "applets/portal/auth/routes.h"
#include "applets/portal/web/templates.h"
#include "core/base/log.h"

#include <stdio.h>

#define SECOND_COOKIE "second_step"
#define SECOND_SECS 300u
#define STEP_TIME MSEC(500)
#define WRONG "The e-mail or the password is not right."
#define TOO_MANY "Too many attempts. Wait a quarter of an hour, then try again."

static const char *own_path(const struct step *s, const char *more)
{
	char id[UUID_STRLEN];

	return pages_path(s, pages_text(s->x, "/sign_in/userpass/%s%s", uuid_format(&s->provider_id, id), more));
}

static bool may_sign_in(const struct actor *a)
{
	return a && !a->disabled_at && (a->type == ACTOR_USER || a->type == ACTOR_ADMIN);
}

/* ---- passkey ------------------------------------------------------------------------------------------------------------------------------------ */

static int check_passkey(const struct step *s, struct credential *row)
{
	struct exchange *x = s->x;
	u8 challenge[WEBAUTHN_CHALLENGE_LEN];
	struct span id, client_data, auth_data, signature, handle;
	u32 count;
	int rc = pages_take_challenge(x, 's', challenge);

	rc = rc ? rc : pages_field_bytes(x, "credential_id", WEBAUTHN_ID_MAX, &id);
	rc = rc ? rc : pages_field_bytes(x, "client_data", WEBAUTHN_CLIENT_DATA_MAX, &client_data);
	rc = rc ? rc : pages_field_bytes(x, "authenticator_data", WEBAUTHN_CLIENT_DATA_MAX, &auth_data);
	rc = rc ? rc : pages_field_bytes(x, "signature", WEBAUTHN_SIGNATURE_MAX, &signature);
	rc = rc ? rc : pages_field_bytes(x, "user_handle", 64, &handle);
	rc = rc ? rc : credentials_passkey(x, &s->account->e.id, id, row);
	if (rc)
		return rc;
	rc = ERR_AUTH;
	if (row->type == CREDENTIAL_PASSKEY && handle.n == sizeof(row->actor_id.b) && memcmp(handle.p, row->actor_id.b, handle.n) == 0)
		rc = webauthn_assert(&count, &x->portal->auth->site, challenge, row->public_key, (u32)row->sign_count, client_data, auth_data,
				     signature);
	rc = rc ? rc : credentials_touch(x, row, count);
	if (rc)
		entity_deinit(KIND_CREDENTIAL, row);
	return rc;
}

/* POST /:account/sign_in/userpass/:provider/passkey */
void page_passkey(struct exchange *x)
{
	struct credential row;
	struct step s;

	if (!pages_step(x, PROVIDER_USERPASS, &s))
		return;
	int rc = check_passkey(&s, &row);
	if (rc) {
		log_info("a passkey was refused", kv_s("account", s.account->slug), kv_s("reason", err_str(rc)));
		pages_back(&s, "",
			   rc == ERR_EXPIRED || rc == ERR_REPLAY ? "That took too long. Try again." :
			   rc == ERR_NOT_FOUND			 ? "This passkey is not known here. Choose another one, or another way." :
								   "This passkey was not accepted. Choose another way.");
		return;
	}
	signin_complete(x, s.account, &row.actor_id, &s.provider_id, NULL, &s.params);
	entity_deinit(KIND_CREDENTIAL, &row);
}

/* ---- password ----------------------------------------------------------------------------------------------------------------------------------- */

struct login {
	struct step step;
	struct uuid actor_id;
	u8 key[AUTH_KEY_LEN];
};

struct second {
	struct uuid actor_id, provider_id;
};

static void on_password(struct exchange *x, int rc, const char *phc, void *ctx)
{
	struct login *l = ctx;
	struct second second = { l->actor_id, l->step.provider_id };
	struct credential totp;

	(void)phc;
	if (!pages_resume(&l->step))
		return;
	if (rc) {
		pages_back(&l->step, "", WRONG);
		return;
	}
	auth_forget(&x->portal->auth->guesses, l->key);
	rc = credentials_find(x, &l->step.account->e.id, &l->actor_id, CREDENTIAL_TOTP, &totp);
	if (rc == 0) {
		entity_deinit(KIND_CREDENTIAL, &totp);
		exchange_set_cookie(x, SECOND_COOKIE, SPAN(&second, sizeof(second)), SECOND_SECS);
		exchange_redirect(x, "%s", own_path(&l->step, "/code"));
	} else if (rc == ERR_NOT_FOUND) {
		signin_complete(x, l->step.account, &l->actor_id, &l->step.provider_id, NULL, &l->step.params);
	} else {
		exchange_problem(x, 503, NULL);
	}
}

/* POST /:account/sign_in/userpass/:provider. An attempt counts before it is judged, so that many at once are no more than allowed. */
void page_password(struct exchange *x)
{
	struct login *l = exchange_alloc(x, sizeof(*l));
	const char *email = exchange_form(x, "userpass[idp_id]"), *secret = exchange_form(x, "userpass[secret]");
	struct credential row;
	bool has_row = false;

	if (!l) {
		exchange_problem(x, 503, NULL);
		return;
	}
	if (!pages_step(x, PROVIDER_USERPASS, &l->step))
		return;
	email = pages_email(x, email);
	secret = secret ? secret : "";
	auth_key_of(l->key, &l->step.account->e.id, email);
	if (!auth_count(&x->portal->auth->guesses, l->key, GUESSES_MAX, GUESSES_WINDOW, false, x->now)) {
		pages_back(&l->step, "", TOO_MANY);
		return;
	}
	const struct actor *actor = *email ? pages_actor(x, l->step.account, email) : NULL;
	if (may_sign_in(actor)) {
		l->actor_id = actor->e.id;
		has_row = credentials_find(x, &l->step.account->e.id, &actor->e.id, CREDENTIAL_PASSWORD, &row) == 0;
	}
	auth_verify(x, has_row ? row.hash : NULL, secret, x->now + STEP_TIME, on_password, l);
	if (has_row)
		entity_deinit(KIND_CREDENTIAL, &row);
}

/* ---- the second step ---------------------------------------------------------------------------------------------------------------------------------- */

static bool get_second(struct exchange *x, const struct step *s, struct second *out)
{
	size_t n;

	return exchange_cookie(x, SECOND_COOKIE, (u8 *)out, sizeof(*out), &n) == 0 && n == sizeof(*out) &&
	       uuid_eq(&out->provider_id, &s->provider_id);
}

/* GET /:account/sign_in/userpass/:provider/code */
void page_second(struct exchange *x)
{
	struct form_field fields[] = {
		{ .name = "code", .label = "Code", .kind = INPUT_TEXT, .help = "Six digits of your authenticator app, or one of your recovery codes.",
		  .max = 16, .is_required = true, .is_focused = true, .is_code = true, .autocomplete = "one-time-code" },
	};
	struct signin_step_view v = { .form = { .submit = "Sign in", FORM_FIELDS(fields) } };
	struct second second;
	struct step s;

	if (!pages_step(x, PROVIDER_USERPASS, &s))
		return;
	if (!get_second(x, &s, &second)) {
		exchange_redirect(x, "%s", pages_path(&s, ""));
		return;
	}
	v.form.action = own_path(&s, "/code");
	v.link[v.n_links++] = (struct signin_link){ "Start again", pages_path(&s, "") };
	struct page page = pages_frame(x, s.account, "One more step", NULL);
	template_signin_step(&x->out, &page, &v);
	pages_send(x, 200);
}

/* POST /:account/sign_in/userpass/:provider/code */
void page_second_verify(struct exchange *x)
{
	const char *text = exchange_form(x, "code");
	struct second second;
	struct step s;
	u8 key[AUTH_KEY_LEN];
	char id[UUID_STRLEN];

	if (!pages_step(x, PROVIDER_USERPASS, &s))
		return;
	if (!get_second(x, &s, &second)) {
		pages_back(&s, "", "That took too long. Start again.");
		return;
	}
	struct lru *guesses = &x->portal->auth->guesses;
	const struct actor *actor = directory_get(hub_directory(x->portal->hub), KIND_ACTOR, &s.account->e.id, &second.actor_id);
	auth_key_of(key, &s.account->e.id, uuid_format(&second.actor_id, id));
	if (!auth_count(guesses, key, GUESSES_MAX, GUESSES_WINDOW, false, x->now)) {
		pages_back(&s, "", TOO_MANY);
		return;
	}
	int rc = may_sign_in(actor) ? credentials_spend_code(x, actor, text ? text : "", true) : ERR_AUTH;
	if (rc) {
		exchange_flash(x, FLASH_ERROR, "%s",
			       rc == ERR_REPLAY ? "This code was used already. Wait for the next one." :
			       rc == ERR_AUTH	? "This code is not right. Take the newest one; is the clock of your phone right?" :
						  "That did not work. Try again.");
		exchange_redirect(x, "%s", own_path(&s, "/code"));
		return;
	}
	auth_forget(guesses, key);
	exchange_drop_cookie(x, SECOND_COOKIE);
	signin_complete(x, s.account, &second.actor_id, &s.provider_id, NULL, &s.params);
}

/* ---- a recovery code alone: for who lost the passkey -------------------------------------------------------------------------------------------------- */

static void show_recover(const struct step *s, const char *email)
{
	struct exchange *x = s->x;
	struct form_field fields[] = {
		{ .name = "email", .label = "E-mail", .kind = INPUT_EMAIL, .value = email, .autocomplete = "username", .max = 160, .is_required = true },
		{ .name = "code", .label = "Recovery code", .kind = INPUT_TEXT, .help = "One of those you printed. It works once.", .max = 24,
		  .is_required = true, .is_code = true, .autocomplete = "off" },
	};
	struct signin_step_view v = { .form = { .action = own_path(s, "/recovery"), .submit = "Continue", FORM_FIELDS(fields) } };

	v.link[v.n_links++] = (struct signin_link){ "Another way to sign in", pages_path(s, "") };
	struct page page = pages_frame(x, s->account, "Use a recovery code", "Then you set up a new passkey or password.");
	template_signin_step(&x->out, &page, &v);
	pages_send(x, 200);
}

/* GET /:account/sign_in/userpass/:provider/recovery */
void page_recover(struct exchange *x)
{
	struct step s;

	if (pages_step(x, PROVIDER_USERPASS, &s))
		show_recover(&s, NULL);
}

static int make_link(struct exchange *x, const struct actor *actor, char text[static LINK_TEXT_LEN + 1])
{
	struct one_time_link row;

	entity_init(KIND_LINK, &row);
	row.e.account_id = actor->e.account_id;
	row.purpose = LINK_RECOVERY;
	row.actor_id = actor->e.id;
	row.expires_at = (i64)((loop_wall(x->loop) + MINUTES(15)) / 1000);
	int rc = link_make(&row, x->portal->rng, text);
	rc = rc ? rc : auth_begin(x, NULL);
	if (rc == 0)
		rc = auth_end(x, store_insert(x->portal->store, KIND_LINK, &row, loop_wall(x->loop)));
	entity_deinit(KIND_LINK, &row);
	return rc;
}

/* POST the same */
void page_recover_verify(struct exchange *x)
{
	const char *email = exchange_form(x, "email"), *code = exchange_form(x, "code");
	char text[LINK_TEXT_LEN + 1];
	struct step s;
	u8 key[AUTH_KEY_LEN];

	if (!pages_step(x, PROVIDER_USERPASS, &s))
		return;
	email = pages_email(x, email);
	auth_key_of(key, &s.account->e.id, email);
	if (!auth_count(&x->portal->auth->guesses, key, GUESSES_MAX, GUESSES_WINDOW, false, x->now)) {
		pages_back(&s, "", TOO_MANY);
		return;
	}
	const struct actor *actor = *email ? pages_actor(x, s.account, email) : NULL;
	int rc = may_sign_in(actor) ? credentials_spend_code(x, actor, code ? code : "", false) : ERR_AUTH;
	rc = rc ? rc : make_link(x, actor, text);
	exchange_status(x, 303);
	if (rc) {
		exchange_flash(x, FLASH_ERROR, "The e-mail or the code is not right, or the code was used.");
		exchange_header(x, "Location", "%s", own_path(&s, "/recovery"));
	} else {
		auth_forget(&x->portal->auth->guesses, key);
		exchange_header(x, "Location", "/auth/link/%s", text);
	}
	exchange_send_at(x, x->now + STEP_TIME);
}
