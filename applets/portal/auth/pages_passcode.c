/* Signing in by a code sent by mail (spec 60 §3.4). Whether the address is known shows neither in what is answered nor in when. */
#define LOG_TARGET "portal::auth"

#include "applets/portal/auth/pages.h"
#include "applets/portal/auth/recovery.h"
#include "applets/portal/auth/routes.h"
#include "applets/portal/mail/config.h"
#include "applets/portal/mail/mail.h"
#include "applets/portal/model/idna.h"
#include "applets/portal/web/templates.h"
#include "core/base/log.h"

#include <sodium.h>
#include <stdio.h>

#define COOKIE "email_otp"
#define COOKIE_SECS 900u

/* It can be read in the browser: nothing in it may tell whether somebody has this address. */
struct cookie {
	struct uuid passcode_id;
	char email[EMAIL_MAX + 1];
};

static void set_cookie(struct exchange *x, const struct cookie *c)
{
	exchange_set_cookie(x, COOKIE, SPAN(c, offsetof(struct cookie, email) + strlen(c->email)), COOKIE_SECS);
}

static bool get_cookie(struct exchange *x, struct cookie *c)
{
	size_t n;

	memset(c, 0, sizeof(*c));
	return exchange_cookie(x, COOKIE, (u8 *)c, sizeof(*c) - 1, &n) == 0 && n > offsetof(struct cookie, email);
}

static const char *own_path(const struct step *s, const char *more)
{
	char id[UUID_STRLEN];

	return pages_path(s, pages_text(s->x, "/sign_in/email_otp/%s%s", uuid_format(&s->provider_id, id), more));
}

/* ---- asking for a code ------------------------------------------------------------------------------------------------------------------------ */

struct request {
	struct step step;
	struct cookie cookie;
	struct uuid actor_id;
	bool is_known, is_allowed;
	char code[PASSCODE_LEN + 1];
	u64 due;
};

static int write_passcode(const struct request *r, const char *phc)
{
	struct exchange *x = r->step.x;
	struct passcode row;
	int rc;

	entity_init(KIND_PASSCODE, &row);
	row.e.account_id = r->step.account->e.id;
	row.e.id = r->cookie.passcode_id;
	row.actor_id = r->actor_id;
	row.expires_at = (i64)((loop_wall(x->loop) + PASSCODE_LIFETIME) / 1000);
	rc = text_set(&row.code_hash, phc);
	rc = rc ? rc : store_insert(x->portal->store, KIND_PASSCODE, &row, loop_wall(x->loop));
	entity_deinit(KIND_PASSCODE, &row);
	return rc;
}

static int mail_code(const struct request *r)
{
	struct exchange *x = r->step.x;
	char id[UUID_STRLEN];
	const char *more = r->step.query[0] ? r->step.query + 1 : "";
	struct mail m = {
		.kind = MAIL_CODE,
		.account_id = r->step.account->e.id,
		.to = r->cookie.email,
		.account_name = r->step.account->name,
		.code = r->code,
		.remote_ip = x->remote_ip,
		.user_agent = x->user_agent,
		.expires_at = loop_wall(x->loop) + PASSCODE_LIFETIME,
	};

	m.url = pages_text(x, "%s%s/sign_in/email_otp/%s/verify?secret=%s%s%s", x->portal->web_url, r->step.account->slug,
			   uuid_format(&r->step.provider_id, id), r->code, more[0] ? "&" : "", more);
	return mail_send(x->portal, &m);
}

/* A former code is void as soon as another is asked for, even if none may be sent now. */
static int issue(const struct request *r, const char *phc)
{
	struct store *s = r->step.x->portal->store;
	int rc = auth_begin(r->step.x, NULL);

	if (rc)
		return rc;
	rc = store_revoke(s, REVOKE_PASSCODES_OF_ACTOR, &r->step.account->e.id, &r->actor_id);
	if (!rc && r->is_allowed)
		rc = write_passcode(r, phc);
	if (!rc && r->is_allowed)
		rc = mail_code(r);
	return auth_end(r->step.x, rc);
}

static void on_hashed(struct exchange *x, int rc, const char *phc, void *ctx)
{
	struct request *r = ctx;

	if (!pages_resume(&r->step))
		return;
	if (r->is_known && rc == 0)
		rc = issue(r, phc);
	if (rc)
		log_warn("a code could not be sent", kv_s("reason", err_str(rc)));
	sodium_memzero(r->code, sizeof(r->code));
	if (!r->is_allowed)
		exchange_flash(x, FLASH_ERROR, "Too many codes were asked for. Wait five minutes, then ask for one more.");
	set_cookie(x, &r->cookie);
	exchange_status(x, 303);
	exchange_header(x, "Location", "%s", own_path(&r->step, ""));
	exchange_send_at(x, r->due);
}

/* POST /:account/sign_in/email_otp/:provider */
void page_passcode_request(struct exchange *x)
{
	struct request *r = exchange_alloc(x, sizeof(*r));
	const char *email = exchange_form(x, "email[email]");
	struct cookie before;
	u8 key[AUTH_KEY_LEN];

	if (!r) {
		exchange_problem(x, 503, NULL);
		return;
	}
	if (!pages_step(x, PROVIDER_EMAIL_OTP, &r->step))
		return;
	if (exchange_form(x, "resend") && get_cookie(x, &before))
		email = before.email;
	email = pages_email(x, email);
	if (!mail_address_is_valid(email, NULL) || strlen(email) > EMAIL_MAX) {
		pages_back(&r->step, "", "This is not an e-mail address. Check it and try again.");
		return;
	}
	const struct actor *actor = pages_actor(x, r->step.account, email);
	auth_key_of(key, &r->step.account->e.id, email);
	r->due = x->now + PASSCODE_STEP_TIME;
	r->is_allowed = auth_count(&x->portal->auth->mails, key, PASSCODE_MAILS_MAX, PASSCODE_MAILS_WINDOW, true, x->now);
	r->is_known = actor && !actor->disabled_at && actor->allow_email_otp_sign_in && (actor->type == ACTOR_USER || actor->type == ACTOR_ADMIN);
	r->cookie.passcode_id = uuid_random(x->portal->rng);
	if (r->is_known)
		r->actor_id = actor->e.id;
	snprintf(r->cookie.email, sizeof(r->cookie.email), "%s", email);
	passcode_make(x->portal->rng, r->code);
	auth_hash(x, r->code, 0, on_hashed, r);
}

/* ---- the form -------------------------------------------------------------------------------------------------------------------------------------- */

/* GET /:account/sign_in/email_otp/:provider */
void page_passcode(struct exchange *x)
{
	struct form_field fields[] = {
		{ .name = "secret", .label = "Code", .kind = INPUT_TEXT, .help = "Six letters and digits.", .max = 16, .is_required = true,
		  .is_focused = true, .is_code = true, .autocomplete = "one-time-code" },
	};
	struct signin_step_view v = { .form = { .submit = "Sign in", FORM_FIELDS(fields) } };
	struct cookie c;
	struct step s;

	if (!pages_step(x, PROVIDER_EMAIL_OTP, &s))
		return;
	if (!get_cookie(x, &c)) {
		exchange_redirect(x, "%s", pages_path(&s, ""));
		return;
	}
	v.form.action = own_path(&s, "/verify");
	v.link[v.n_links++] = (struct signin_link){ "No mail? Start again", pages_path(&s, "") };
	struct page page = pages_frame(x, s.account, "Look into your mail",
				       pages_text(x, "If %s may sign in here, a code is on its way. It works for 15 minutes, in this browser.", c.email));
	template_signin_step(&x->out, &page, &v);
	pages_send(x, 200);
}

/* ---- the code ---------------------------------------------------------------------------------------------------------------------------------------- */

struct attempt {
	struct step step;
	struct cookie cookie;
	struct uuid actor_id;
};

/* Counts the attempt before it is judged, so that many at once are no more than three. False: there is nothing that it could be compared with. */
static bool take_attempt(struct attempt *t, struct passcode *row)
{
	struct exchange *x = t->step.x;
	struct store *s = x->portal->store;

	if (store_get(s, KIND_PASSCODE, &t->step.account->e.id, &t->cookie.passcode_id, row) != 0)
		return false;
	bool is_good = row->attempts < PASSCODE_ATTEMPTS && row->expires_at > (i64)(loop_wall(x->loop) / 1000);
	t->actor_id = row->actor_id;
	if (is_good) {
		int rc = auth_begin(x, NULL);
		row->attempts++;
		rc = rc ? rc : auth_end(x, store_update(s, KIND_PASSCODE, row, loop_wall(x->loop)));
		is_good = rc == 0;
	}
	if (!is_good)
		entity_deinit(KIND_PASSCODE, row);
	return is_good;
}

/* Right once: whoever deletes it has it. */
static int consume(const struct attempt *t)
{
	struct exchange *x = t->step.x;
	int rc = auth_begin(x, NULL);

	return rc ? rc : auth_end(x, store_delete(x->portal->store, KIND_PASSCODE, &t->step.account->e.id, &t->cookie.passcode_id));
}

static void on_verified(struct exchange *x, int rc, const char *phc, void *ctx)
{
	struct attempt *t = ctx;
	u8 key[AUTH_KEY_LEN];

	(void)phc;
	if (!pages_resume(&t->step))
		return;
	rc = rc ? rc : consume(t);
	if (rc) {
		exchange_flash(x, FLASH_ERROR, "This code is wrong, used or too old. After three attempts it is void: ask for a new one then.");
		exchange_redirect(x, "%s", own_path(&t->step, ""));
		return;
	}
	exchange_drop_cookie(x, COOKIE);
	auth_key_of(key, &t->step.account->e.id, t->cookie.email);
	auth_forget(&x->portal->auth->mails, key);
	signin_complete(x, t->step.account, &t->actor_id, &t->step.provider_id, NULL, &t->step.params);
}

/* GET, POST /:account/sign_in/email_otp/:provider/verify. Programs that follow links of mails have no cookie and burn nothing. */
void page_passcode_verify(struct exchange *x)
{
	struct attempt *t = exchange_alloc(x, sizeof(*t));
	const char *typed = exchange_query(x, "secret");
	char code[PASSCODE_LEN + 1];
	struct passcode row;

	if (!t) {
		exchange_problem(x, 503, NULL);
		return;
	}
	if (!pages_step(x, PROVIDER_EMAIL_OTP, &t->step))
		return;
	if (!typed && x->method == METHOD_POST)
		typed = exchange_form(x, "secret");
	if (!get_cookie(x, &t->cookie)) {
		pages_back(&t->step, "", "Open the link in the browser that asked for the code, or ask for a new one here.");
		return;
	}
	passcode_normalise(typed ? typed : "", code);
	bool has_row = take_attempt(t, &row);
	auth_verify(x, has_row && code[0] ? row.code_hash : NULL, code, x->now + PASSCODE_STEP_TIME, on_verified, t);
	if (has_row)
		entity_deinit(KIND_PASSCODE, &row);
	sodium_memzero(code, sizeof(code));
}
