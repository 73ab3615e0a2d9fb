/* One-time links (admin-ui.md, step 1): the first admin names the network and himself; whoever a link is for sets up a way to sign in. A link is spent when that
 * is done, not when it is opened: programs that look at links in mails spend nothing. */
#define LOG_TARGET "portal::auth"

#include "applets/portal/admin/action.h"
#include "applets/portal/auth/enrolling.h"
#include "applets/portal/auth/routes.h"
#include "applets/portal/web/templates.h"
#include "core/base/log.h"

#include <sodium.h>
#include <stdio.h>

struct visit {
	struct exchange *x;
	struct one_time_link row; /* while it is open */
	u8 secret[LINK_SECRET_LEN];
	const struct account *account; /* NULL: there is none yet */
	const struct actor *actor;     /* NULL for setup */
	const char *path;	       /* "/auth/link/…" */
};

static void spent(struct exchange *x)
{
	struct page page = pages_frame(x, NULL, "This link does not work any more", "It was used, it is too old, or it is not complete.");

	template_link_spent(&x->out, &page);
	pages_send(x, 410);
}

/* Opens the link of the first parameter; 0 or the reason why not. */
static int try_open(struct exchange *x, struct visit *v)
{
	struct uuid account, id;
	char text[LINK_TEXT_LEN + 1];

	memset(v, 0, sizeof(*v));
	v->x = x;
	if (x->param[0].n != LINK_TEXT_LEN)
		return ERR_MALFORMED;
	memcpy(text, x->param[0].p, LINK_TEXT_LEN);
	text[LINK_TEXT_LEN] = '\0';
	int rc = link_parse(text, &account, &id, v->secret);
	rc = rc ? rc : store_get(x->portal->store, KIND_LINK, &account, &id, &v->row);
	if (rc)
		return rc;
	const struct directory *d = hub_directory(x->portal->hub);
	rc = link_check(&v->row, v->secret, loop_wall(x->loop));
	v->account = directory_account(d, &account);
	v->actor = v->account ? directory_get(d, KIND_ACTOR, &account, &v->row.actor_id) : NULL;
	if (!rc && v->row.purpose != LINK_SETUP && (!v->actor || v->actor->disabled_at))
		rc = ERR_EXPIRED;
	v->path = pages_text(x, "/auth/link/%s", text);
	sodium_memzero(text, sizeof(text));
	if (rc)
		entity_deinit(KIND_LINK, &v->row);
	return rc;
}

static void close_visit(struct visit *v)
{
	entity_deinit(KIND_LINK, &v->row);
	sodium_memzero(v->secret, sizeof(v->secret));
}

/* False: answered. `is_setup`: which of the two kinds the route is for. */
static bool open_visit(struct exchange *x, struct visit *v, bool is_setup)
{
	int rc = try_open(x, v);

	if (rc == 0 && (v->row.purpose == LINK_SETUP) != is_setup) {
		close_visit(v);
		rc = ERR_STATE;
	}
	if (rc == 0)
		return true;
	log_info("a one-time link was refused", kv_s("reason", err_str(rc)));
	spent(x);
	return false;
}

static struct principal holder(const struct visit *v)
{
	struct principal p = { .kind = PRINCIPAL_SETUP, .account_id = v->row.e.account_id, .actor_id = v->row.actor_id, .remote_ip = v->x->remote_ip };

	if (v->actor) {
		snprintf(p.actor_name, sizeof(p.actor_name), "%s", v->actor->name);
		snprintf(p.actor_email, sizeof(p.actor_email), "%s", v->actor->email ? v->actor->email : "");
	}
	snprintf(p.user_agent, sizeof(p.user_agent), "%s", v->x->user_agent);
	return p;
}

/* ---- ways to sign in -------------------------------------------------------------------------------------------------------------------------------- */

static void app_secret(const struct visit *v, u8 secret[static TOTP_SECRET_LEN])
{
	enrolling_totp(v->x, SPAN(v->secret, sizeof(v->secret)), &v->row.e.id, secret);
}

static void show_ways(const struct visit *v, const struct form *password, u16 status)
{
	struct exchange *x = v->x;
	u8 secret[TOTP_SECRET_LEN];
	struct enrol_view view = { .password = password };
	struct page page = pages_frame(x, v->account, pages_text(x, "Welcome, %s", v->actor->name),
				       "Choose how you will sign in. You can add more ways later.");

	view.passkey_options = enrolling_options(x, v->account, v->actor);
	view.passkey_action = pages_text(x, "%s/passkey", v->path);
	app_secret(v, secret);
	view.totp = enrolling_totp_view(x, v->account, v->actor, secret);
	template_enrol(&x->out, &page, &view);
	sodium_memzero(secret, sizeof(secret));
	pages_send(x, status);
}

struct proof {
	const struct webauthn_credential *passkey;
	const char *name;
	const char *phc;
	u64 step;
};

static int write_all(struct visit *v, const struct proof *p, char code[static RECOVERY_CODES][RECOVERY_STRLEN])
{
	struct exchange *x = v->x;
	struct principal who = holder(v);
	u8 secret[TOTP_SECRET_LEN];
	int rc = auth_begin(x, &who);

	if (rc)
		return rc;
	app_secret(v, secret);
	rc = p->passkey ? credentials_add_passkey(x, v->actor, p->passkey, p->name) : credentials_set_password(x, v->actor, p->phc, secret, p->step);
	rc = rc ? rc : credentials_make_codes(x, v->actor, code);
	v->row.used_at = (i64)(loop_wall(x->loop) / 1000);
	rc = rc ? rc : store_update(x->portal->store, KIND_LINK, &v->row, loop_wall(x->loop));
	sodium_memzero(secret, sizeof(secret));
	return auth_end(x, rc);
}

/* Who set it up has proven as much as by using it: the session is one of that provider, and ends with it. */
static bool begin_session(const struct visit *v)
{
	const struct store_filter filter = { "type", FILTER_IS, provider_type_names[PROVIDER_USERPASS] };
	struct auth_provider provider;
	const char *why;

	if (v->actor->type != ACTOR_ADMIN || store_find(v->x->portal->store, KIND_AUTH_PROVIDER, &v->account->e.id, &filter, 1, &provider) != 0)
		return false;
	bool is_in = signin_provider_check(v->x, v->account, &provider.e.id, SIGNIN_PORTAL, &why) == 0 &&
		     session_create(v->x, v->account, v->actor, &provider.e.id, (u64)provider.portal_session_lifetime_secs) == 0;
	entity_deinit(KIND_AUTH_PROVIDER, &provider);
	return is_in;
}

static void complete(struct visit *v, const struct proof *p)
{
	char code[RECOVERY_CODES][RECOVERY_STRLEN];
	struct exchange *x = v->x;
	int rc = write_all(v, p, code);

	if (rc) {
		exchange_flash(x, FLASH_ERROR, "%s", rc == ERR_EXISTS ? enrolling_complaint(rc) : "That could not be written. Try again in a minute.");
		exchange_redirect(x, "%s", v->path);
		return;
	}
	log_info("a way to sign in was set up", kv_s("account", v->account->slug), kv_s("kind", p->passkey ? "passkey" : "password"));
	bool is_in = begin_session(v);
	enrolling_show_codes(x, v->account, code, pages_text(x, is_in ? "/%s/overview" : "/%s", v->account->slug),
			     is_in ? "I have kept them: go on" : "I have kept them: sign in");
}

/* POST /auth/link/:token/passkey */
void page_link_passkey(struct exchange *x)
{
	struct webauthn_credential made;
	struct visit v;

	if (!open_visit(x, &v, false))
		return;
	int rc = enrolling_passkey(x, &made);
	if (rc) {
		exchange_flash(x, FLASH_ERROR, "%s", enrolling_complaint(rc));
		exchange_redirect(x, "%s", v.path);
	} else {
		const struct proof proof = { .passkey = &made, .name = exchange_form(x, "name") };
		complete(&v, &proof);
	}
	close_visit(&v);
}

struct pending {
	u64 step;
};

/* The link may have been spent while the hash was made. */
static void on_hashed(struct exchange *x, int rc, const char *phc, void *ctx)
{
	const struct pending *p = ctx;
	const struct proof proof = { .phc = phc, .step = p->step };
	struct visit v;

	if (rc) {
		exchange_problem(x, 503, NULL);
		return;
	}
	if (!open_visit(x, &v, false))
		return;
	complete(&v, &proof);
	close_visit(&v);
}

/* POST /auth/link/:token/password */
void page_link_password(struct exchange *x)
{
	struct pending *p = exchange_alloc(x, sizeof(*p));
	u8 secret[TOTP_SECRET_LEN];
	struct password_form f;
	struct visit v;

	if (!p) {
		exchange_problem(x, 503, NULL);
		return;
	}
	if (!open_visit(x, &v, false))
		return;
	enrolling_form(&f, pages_text(x, "%s/password", v.path), "Set the password");
	app_secret(&v, secret);
	if (enrolling_check(x, &f, v.account, v.actor, secret, &p->step) != 0)
		show_ways(&v, &f.form, 422);
	else
		auth_hash(x, exchange_form(x, "password"), 0, on_hashed, p);
	sodium_memzero(secret, sizeof(secret));
	close_visit(&v);
}

/* ---- the first admin ----------------------------------------------------------------------------------------------------------------------------------------- */

struct names {
	struct form_field field[3];
	struct form form;
};

static void names_form(struct names *n, const struct visit *v)
{
	const char *network = v->account && strcmp(v->account->name, "Quickstart") != 0 ? v->account->name : NULL;

	*n = (struct names){
		.field = { { .name = "network", .label = "Name of your network", .help = "Your company, your family, your club.", .value = network, .max = 64,
			     .is_required = true, .is_focused = true, .autocomplete = "organization" },
			   { .name = "name", .label = "Your name", .max = 255, .is_required = true, .autocomplete = "name" },
			   { .name = "email", .label = "Your e-mail", .kind = INPUT_EMAIL, .max = 160, .is_required = true, .autocomplete = "email",
			     .help = "It is how you are known when you sign in." } },
		.form = { .action = v->path, .submit = "Continue" },
	};
	n->form.fields = n->field;
	n->form.n_fields = ARRAY_LEN(n->field);
}

static void show_names(const struct visit *v, const struct names *n, u16 status)
{
	struct page page = pages_frame(v->x, NULL, "Name your network", "Two minutes, and you are its first administrator.");

	template_enrol_names(&v->x->out, &page, &n->form);
	pages_send(v->x, status);
}

static const char *nth(void *ctx, const char *name, u32 i)
{
	return exchange_form_nth(ctx, name, i);
}

/* The link was given by whoever runs this machine: what it makes is made in his name. */
static int act(struct action *a, struct exchange *x, struct names *n, const char *const fields[][2])
{
	enum admin_class class = action_run(a, x->portal);

	if (class == ADMIN_OK)
		return 0;
	const char *field = NULL;
	for (u32 i = 0; fields[i][0]; i++)
		if (strcmp(a->reply.field, fields[i][0]) == 0)
			field = fields[i][1];
	form_error(&n->form, field, pages_text(x, "%s", a->reply.reason));
	return class == ADMIN_CONFLICT ? ERR_EXISTS : ERR_INVAL;
}

static int name_account(const struct visit *v, struct names *n, struct uuid *account)
{
	static const char *const fields[][2] = { { "name", "network" }, { "slug", "network" }, { NULL, NULL } };
	struct action a;

	action_begin(&a, "account", v->account ? "update" : "add", NULL);
	if (v->account)
		action_set_id(&a, "target", &v->account->e.id);
	action_set(&a, "name", form_value(&n->form, "network"));
	int rc = act(&a, v->x, n, fields);
	*account = uuid_is_null(&v->row.e.account_id) ? a.reply.id : v->row.e.account_id;
	action_end(&a);
	return rc;
}

static int make_admin(const struct visit *v, struct names *n, const struct uuid *account, struct uuid *actor)
{
	static const char *const fields[][2] = { { "name", "name" }, { "email", "email" }, { NULL, NULL } };
	struct action a;

	action_begin(&a, "actor", "add", NULL);
	action_set_id(&a, "account", account);
	action_set(&a, "type", "admin");
	action_set(&a, "name", form_value(&n->form, "name"));
	action_set(&a, "email", form_value(&n->form, "email"));
	int rc = act(&a, v->x, n, fields);
	*actor = a.reply.id;
	action_end(&a);
	return rc;
}

/* The setup link gives way to one for the admin who is now there. */
static int hand_over(struct visit *v, const struct uuid *account, const struct uuid *actor, char text[static LINK_TEXT_LEN + 1])
{
	struct exchange *x = v->x;
	struct store *s = x->portal->store;
	struct one_time_link next;
	u64 wall = loop_wall(x->loop);

	entity_init(KIND_LINK, &next);
	next.e.account_id = *account;
	next.purpose = LINK_INVITE;
	next.actor_id = *actor;
	next.expires_at = (i64)((wall + LINK_LIFETIME) / 1000);
	int rc = link_make(&next, x->portal->rng, text);
	rc = rc ? rc : auth_begin(x, NULL);
	if (rc == 0) {
		rc = store_delete(s, KIND_LINK, &v->row.e.account_id, &v->row.e.id);
		rc = rc ? rc : store_insert(s, KIND_LINK, &next, wall);
		rc = auth_end(x, rc);
	}
	entity_deinit(KIND_LINK, &next);
	return rc;
}

static void set_up(struct visit *v)
{
	char text[LINK_TEXT_LEN + 1];
	struct uuid account, actor;
	struct names n;

	names_form(&n, v);
	form_fill(&n.form, nth, v->x);
	int rc = name_account(v, &n, &account);
	v->account = directory_account(hub_directory(v->x->portal->hub), &account); /* another one since it was changed */
	rc = rc ? rc : make_admin(v, &n, &account, &actor);
	if (rc) {
		show_names(v, &n, rc == ERR_EXISTS ? 409 : 422);
		return;
	}
	rc = hand_over(v, &account, &actor, text);
	if (rc)
		exchange_problem(v->x, 503, NULL);
	else
		exchange_redirect(v->x, "/auth/link/%s", text);
	sodium_memzero(text, sizeof(text));
}

/* POST /auth/link/:token */
void page_link_names(struct exchange *x)
{
	struct visit v;

	if (!open_visit(x, &v, true))
		return;
	set_up(&v);
	close_visit(&v);
}

/* GET /auth/link/:token */
void page_link(struct exchange *x)
{
	struct visit v;

	if (try_open(x, &v) != 0) {
		spent(x);
		return;
	}
	if (v.row.purpose == LINK_SETUP) {
		struct names n;
		names_form(&n, &v);
		show_names(&v, &n, 200);
	} else {
		struct password_form f;
		enrolling_form(&f, pages_text(x, "%s/password", v.path), "Set the password");
		show_ways(&v, &f.form, 200);
	}
	close_visit(&v);
}
