/* People: users, admins and service accounts, and what they prove themselves with (spec 60 §1.3, §9). */
#include "applets/portal/web/bulk.h"
#include "applets/portal/web/pages.h"
#include "applets/portal/web/templates.h"
#include "applets/portal/web/views_people.h"

#include "applets/portal/auth/auth.h"
#include "applets/portal/mail/mail.h"
#include "applets/portal/model/directory.h"

#include <stdio.h>
#include <string.h>

#define ROWS_SHOWN 50u
#define WELCOMES_MAX 3u /* to one person; spec 60 §6.1 */
#define WELCOMES_WINDOW MINUTES(3)

static const char *type_word(int type)
{
	switch ((enum actor_type)type) {
	case ACTOR_USER:
		return "user";
	case ACTOR_ADMIN:
		return "admin";
	case ACTOR_SERVICE:
		return "service account";
	case ACTOR_API:
		return "API client";
	}
	return "";
}

struct actor_row actor_row(struct web *w, const struct actor *a)
{
	return (struct actor_row){ .actor = a,
				   .href = web_path(w, "/%s/%s", a->type == ACTOR_API ? "settings/api_clients" : "actors", web_id(w, &a->e.id)),
				   .type = type_word(a->type) };
}

/* ---- the list ----------------------------------------------------------------------------------------------------------------------- */

void page_actors(struct exchange *x)
{
	static const struct column columns[] = { { .label = "Name", .sort = "name" }, { .label = "Kind", .sort = "type" }, { .label = "E-mail", .sort = "email" }, { .label = "Status" }, { .label = "Changed", .sort = "updated_at" } };
	static const struct web_filter filters[] = { { "type", "type" }, { "status", "status" }, { "directory", "directory_id" } };
	static struct choice types[] = { { .value = "account_user", .label = "users" }, { .value = "account_admin_user", .label = "admins" }, { .value = "service_account", .label = "service accounts" } };
	static struct choice states[] = { { .value = "active", .label = "active" }, { .value = "disabled", .label = "disabled" } };
	struct form_field fields[] = {
		{ .name = "q", .label = "Name or e-mail" },
		{ .name = "type", .label = "Kind", .kind = INPUT_SELECT, FORM_CHOICES(types) },
		{ .name = "status", .label = "Status", .kind = INPUT_SELECT, FORM_CHOICES(states) },
		{ .name = "directory", .label = "Directory", .kind = INPUT_HIDDEN },
	};
	struct form f = { FORM_FIELDS(fields) };
	struct actors_view v = { .n = 0 };
	struct web_list l;
	struct web w;

	if (!web_begin(&w, x, SECTION_PEOPLE))
		return;
	w.page.lead = "Users sign in on their devices, admins also here. Service accounts are programs with a token.";
	w.page.action = "Add someone";
	w.page.action_href = web_path(&w, "/actors/new");
	w.page.live_topics = "actors";
	web_list_begin(&w, &l, KIND_ACTOR, "people", web_path(&w, "/actors"), columns, ARRAY_LEN(columns), &f, filters, ARRAY_LEN(filters));
	l.query.filters[l.query.n_filters++] = (struct store_filter){ "type", FILTER_IS_NOT, "api_client" };
	if (!l.query.sort)
		l.query.sort = l.list.sort = "name";
	if (web_list_load(&w, &l)) {
		v.list = l.list;
		v.list.bulk = bulk_bar(&w, "people", NULL);
		v.filters = &f;
		v.rows = exchange_alloc(x, (l.n + 1) * sizeof(*v.rows));
		for (u32 i = 0; v.rows && i < l.n; i++)
			v.rows[v.n++] = actor_row(&w, l.rows[i]);
		template_actors(&x->out, &w.page, &v);
		web_send(&w, 200);
	}
	web_end(&w);
}

/* ---- making and changing ------------------------------------------------------------------------------------------------------------ */

static struct choice roles[] = { { .value = "user", .label = "User", .help = "connects with clients" },
				 { .value = "admin", .label = "Admin", .help = "connects, and administers this portal" },
				 { .value = "service-account", .label = "Service account", .help = "a program: no e-mail, a token instead of signing in" } };

static void show_new(struct web *w, struct form *f, u16 status)
{
	page_crumb(&w->page, "People", web_path(w, "/actors"));
	w->page.title = "Add someone";
	template_form_page(&w->x->out, &w->page, f);
	web_send(w, status);
}

void page_actor_new(struct exchange *x)
{
	struct form_field fields[] = {
		{ .name = "type", .label = "Kind", .kind = INPUT_RADIO, .value = "user", FORM_CHOICES(roles), .is_required = true },
		{ .name = "email", .label = "E-mail", .kind = INPUT_EMAIL, .help = "Of a user or admin; service accounts have none.", .max = 160 },
		{ .name = "name", .label = "Name", .help = "The e-mail address when left empty.", .max = 255 },
	};
	struct form f = { .submit = "Add", FORM_FIELDS(fields) };
	struct action a;
	struct web w;

	if (!web_begin(&w, x, SECTION_PEOPLE))
		return;
	f.action = web_path(&w, "/actors/new");
	f.cancel_href = web_path(&w, "/actors");
	web_fill_sent(x, &f);
	bool is_service = strcmp(form_value(&f, "type"), "service-account") == 0;
	web_action(&w, &a, "actor", "add", NULL);
	action_set(&a, "type", form_value(&f, "type"));
	if (*form_value(&f, "name"))
		action_set(&a, "name", form_value(&f, "name"));
	if (!is_service || *form_value(&f, "email"))
		action_set(&a, "email", form_value(&f, "email"));
	if (!is_service)
		action_set(&a, "allow-email-otp-sign-in", "true");
	if (x->method != METHOD_POST) {
		form_set(&f, "type", "user");
		show_new(&w, &f, 200);
	} else if (action_run(&a, x->portal) == ADMIN_OK) {
		exchange_flash(x, FLASH_INFO, is_service ? "The service account is made. Now it needs a token." : "Added. Now give them a way to sign in.");
		exchange_redirect(x, "%s", web_path(&w, "/actors/%s", web_id(&w, &a.reply.id)));
	} else {
		show_new(&w, &f, web_form_failed(&f, &a));
	}
	action_end(&a);
	web_end(&w);
}

void page_actor_edit(struct exchange *x)
{
	struct form_field person[] = {
		{ .name = "name", .label = "Name", .max = 255, .is_required = true, .is_focused = true },
		{ .name = "email", .label = "E-mail", .kind = INPUT_EMAIL, .max = 160, .is_required = true },
		{ .name = "type", .label = "Role", .kind = INPUT_RADIO, .choices = roles, .n_choices = 2 },
		{ .name = "allow-email-otp-sign-in", .label = "May sign in by a code sent to the e-mail address", .kind = INPUT_CHECKBOX },
	};
	const struct actor *actor;
	struct form f = { .submit = "Save", FORM_FIELDS(person) };
	struct web w;

	if (!web_begin(&w, x, SECTION_PEOPLE))
		return;
	actor = web_get(&w, KIND_ACTOR, 1);
	if (actor) {
		if (!actor->email)
			f.n_fields = 1; /* a program has a name only */
		f.cancel_href = web_path(&w, "/actors/%s", web_id(&w, &actor->e.id));
		f.action = web_text(&w, "%s/edit", f.cancel_href);
		form_set(&f, "name", actor->name);
		f.updated_at = actor->e.updated_at;
		form_set(&f, "email", actor->email);
		form_set(&f, "type", actor->type == ACTOR_ADMIN ? "admin" : "user");
		form_set(&f, "allow-email-otp-sign-in", actor->allow_email_otp_sign_in ? "true" : NULL);
		page_crumb(&w.page, "People", web_path(&w, "/actors"));
		page_crumb(&w.page, actor->name, f.cancel_href);
		w.page.title = "Change";
		web_edit(&w, &(struct web_edit){ .kind = KIND_ACTOR, .noun = "actor", .id = &actor->e.id, .form = &f, .done = "Saved.", .href = f.cancel_href });
	}
	web_end(&w);
}

/* ---- one of them -------------------------------------------------------------------------------------------------------------------- */

static const char *provider_name(struct web *w, const struct uuid *id)
{
	const struct auth_provider *p = web_find(w, KIND_AUTH_PROVIDER, id);

	return p ? p->name : "";
}

/* Which of the tokens somebody is connected with: one walk for all. */
static int mark_token(void *ctx, const struct hub_presence *p)
{
	struct actor_view *v = ctx;

	for (u32 i = 0; uuid_eq(&p->owner_id, &v->actor->e.id) && i < v->n_tokens; i++)
		v->tokens[i].is_online |= uuid_eq(&p->token_id, v->tokens[i].id);
	return 0;
}

static struct access_row token_row(struct web *w, const struct actor_view *v, const struct token *t)
{
	return (struct access_row){
		.id = &t->e.id,
		.what = t->name && *t->name ? t->name : uuid_is_null(&t->auth_provider_id) ? "Token" : "Signed-in client",
		.detail = provider_name(w, &t->auth_provider_id),
		.last_seen = t->last_seen_at,
		.expires = t->expires_at,
		.revoke_href = web_text(w, "%s/tokens/%s/revoke", v->row.href, web_id(w, &t->e.id)),
	};
}

static struct access_row session_row(struct web *w, const struct actor_view *v, const struct portal_session *s)
{
	return (struct access_row){
		.id = &s->e.id,
		.what = web_text(w, "%s %s", s->remote_ip ? s->remote_ip : "", web_whereabouts(w, s->city, s->region)),
		.detail = s->user_agent ? s->user_agent : "",
		.is_online = w->page.now - s->last_seen_at < 5 * 60 * 1000000ll,
		.last_seen = s->last_seen_at,
		.expires = s->expires_at,
		.revoke_href = web_text(w, "%s/sessions/%s/revoke", v->row.href, web_id(w, &s->e.id)),
	};
}

static struct identity_row identity_row(struct web *w, const struct actor_view *v, const struct identity *i)
{
	return (struct identity_row){ i, web_text(w, "%s/identities/%s/delete", v->row.href, web_id(w, &i->e.id)) };
}

static void take_credential(struct web *w, struct actor_view *v, const struct credential *c)
{
	if (c->type == CREDENTIAL_RECOVERY_CODE)
		v->n_recovery_codes += c->used_at == 0;
	else
		v->credentials[v->n_credentials++] = (struct credential_row){
			.credential = c,
			.kind = c->type == CREDENTIAL_PASSKEY ? "Passkey" : c->type == CREDENTIAL_PASSWORD ? "Password" : "Authenticator app",
			.delete_href = web_text(w, "%s/credentials/%s/delete", v->row.href, web_id(w, &c->e.id)),
		};
}

static void load_groups(struct web *w, struct actor_view *v)
{
	const struct directory *d = hub_directory(w->x->portal->hub);
	struct uuid membership;
	u32 n;
	void *const *all = directory_all(d, KIND_GROUP, &w->account->e.id, &n);

	v->groups = exchange_alloc(w->x, (n + 1) * sizeof(*v->groups));
	for (u32 i = 0; v->groups && i < n; i++) {
		const struct group *g = all[i];
		if (directory_is_member(d, v->actor, g, &membership))
			v->groups[v->n_groups++] = (struct membership_row){ web_text(w, "%s", g->name), web_path(w, "/groups/%s", web_id(w, &g->e.id)), group_is_everyone(g) };
	}
}

static bool load_actor(struct web *w, struct actor_view *v)
{
	const struct store_filter mine[] = { { "actor_id", FILTER_IS, web_id(w, &v->actor->e.id) } };
	const void *const *rows;
	u32 n;

	v->tokens = exchange_alloc(w->x, ROWS_SHOWN * sizeof(*v->tokens));
	v->sessions = exchange_alloc(w->x, ROWS_SHOWN * sizeof(*v->sessions));
	v->identities = exchange_alloc(w->x, ROWS_SHOWN * sizeof(*v->identities));
	v->credentials = exchange_alloc(w->x, ROWS_SHOWN * sizeof(*v->credentials));
	v->clients = exchange_alloc(w->x, ROWS_SHOWN * sizeof(*v->clients));
	if (!v->tokens || !v->sessions || !v->identities || !v->credentials || !v->clients) {
		web_store_failed(w);
		return false;
	}
	if (!(rows = web_select(w, KIND_CLIENT, mine, 1, ROWS_SHOWN, &n)))
		return false;
	for (u32 i = 0; i < n; i++)
		v->clients[v->n_clients++] = client_row(w, rows[i]);
	if (!(rows = web_select(w, KIND_CLIENT_TOKEN, mine, 1, ROWS_SHOWN, &n)))
		return false;
	for (u32 i = 0; i < n; i++)
		v->tokens[v->n_tokens++] = token_row(w, v, rows[i]);
	if (!(rows = web_select(w, KIND_PORTAL_SESSION, mine, 1, ROWS_SHOWN, &n)))
		return false;
	for (u32 i = 0; i < n; i++)
		v->sessions[v->n_sessions++] = session_row(w, v, rows[i]);
	if (!(rows = web_select(w, KIND_IDENTITY, mine, 1, ROWS_SHOWN, &n)))
		return false;
	for (u32 i = 0; i < n; i++)
		v->identities[v->n_identities++] = identity_row(w, v, rows[i]);
	if (!(rows = web_select(w, KIND_CREDENTIAL, mine, 1, ROWS_SHOWN, &n)))
		return false;
	for (u32 i = 0; i < n; i++)
		take_credential(w, v, rows[i]);
	(void)hub_each(w->x->portal->hub, MSG_ROLE_CLIENT, &w->account->e.id, mark_token, v);
	load_groups(w, v);
	return true;
}

static void show_actor(struct web *w, const struct actor *actor, struct actor_view *v, u16 status)
{
	v->actor = actor;
	v->row = actor_row(w, actor);
	v->is_me = uuid_eq(&actor->e.id, &w->me.actor_id);
	v->is_person = actor->email != NULL;
	v->takes_tokens = actor->type != ACTOR_API;
	if (!load_actor(w, v))
		return;
	v->edit_href = web_text(w, "%s/edit", v->row.href);
	v->enable_href = web_text(w, "%s/enable", v->row.href);
	v->disable_href = web_text(w, "%s/disable", v->row.href);
	v->delete_href = web_text(w, "%s/delete", v->row.href);
	v->token_href = web_text(w, "%s/new_token", v->row.href);
	v->link_href = web_text(w, "%s/new_link", v->row.href);
	v->mail_href = v->is_person && mail_is_possible(w->x->portal) ? web_text(w, "%s/welcome", v->row.href) : NULL;
	v->token_bar = bulk_bar(w, "tokens", &actor->e.id);
	v->end_all_href = web_text(w, "%s/sign_out_everywhere", v->row.href);
	page_crumb(&w->page, "People", web_path(w, "/actors"));
	w->page.title = actor->name;
	w->page.action = "Edit";
	w->page.action_href = v->edit_href;
	w->page.live_topics = "clients";
	template_actor(&w->x->out, &w->page, v);
	web_send(w, status);
}

void page_actor(struct exchange *x)
{
	struct actor_view v = { .secret = NULL };
	const struct actor *actor;
	struct web w;

	if (!web_begin(&w, x, SECTION_PEOPLE))
		return;
	actor = web_get(&w, KIND_ACTOR, 1);
	if (actor)
		show_actor(&w, actor, &v, 200);
	web_end(&w);
}

/* A token or link is shown on the page that answers its POST, and nowhere else. */
static void make_secret(struct exchange *x, const char *noun, const char *label, const char *can)
{
	struct actor_view v = { .secret_label = label, .secret_can = can };
	const char *expires = exchange_form(x, "expires");
	const struct actor *actor;
	struct action a;
	struct web w;
	u16 status = 200;

	if (!web_begin(&w, x, SECTION_PEOPLE))
		return;
	actor = web_get(&w, KIND_ACTOR, 1);
	if (actor) {
		web_action(&w, &a, noun, "add", NULL);
		action_set_id(&a, "actor", &actor->e.id);
		if (strcmp(noun, "token") == 0 && expires && *expires)
			action_set(&a, "expires", expires);
		if (action_run(&a, x->portal) == ADMIN_OK) {
			v.secret = web_text(&w, "%s", a.reply.secret);
		} else {
			if (strcmp(a.reply.field, "expires") == 0) {
				v.token_error = web_text(&w, "%s", a.reply.reason);
				v.token_expires = expires;
			} else {
				w.page.flash = (struct notice){ .tone = TONE_BAD, .text = web_text(&w, "%s", a.reply.reason) };
			}
			status = web_status_of(a.reply.class);
		}
		action_end(&a);
		show_actor(&w, actor, &v, status);
	}
	web_end(&w);
}

void page_actor_token(struct exchange *x)
{
	make_secret(x, "token", "Token", "whoever has it connects as this actor.");
}

void page_actor_link(struct exchange *x)
{
	make_secret(x, "link", "One-time link", "whoever opens it first sets up how this person signs in.");
}

void page_actor_welcome(struct exchange *x)
{
	const struct actor *actor;
	struct web w;

	if (!web_begin(&w, x, SECTION_PEOPLE))
		return;
	actor = web_get(&w, KIND_ACTOR, 1);
	if (actor) {
		struct mail m = { .kind = MAIL_WELCOME, .account_id = w.account->e.id, .to = actor->email, .to_name = actor->name, .account_name = w.account->name, .by = w.me.actor_name,
				  .url = web_text(&w, "%s%s", x->portal->web_url, w.account->slug) };
		u8 key[AUTH_KEY_LEN];
		auth_key_of(key, &actor->e.id, "welcome");
		bool may = auth_count(&x->portal->auth->mails, key, WELCOMES_MAX, WELCOMES_WINDOW, false, x->now);
		int rc = !may ? ERR_AGAIN : actor->email ? mail_send(x->portal, &m) : ERR_INVAL;
		if (rc == ERR_AGAIN)
			exchange_flash(x, FLASH_ERROR, "%s got three mails within minutes. Try again a little later.", actor->name);
		else if (rc)
			exchange_flash(x, FLASH_ERROR, rc == ERR_LIMIT ? "Too many mails are waiting. Try again in some minutes." : "The mail cannot be sent: this portal has no mail server, or that is no address.");
		else
			exchange_flash(x, FLASH_INFO, "A welcome mail is on its way to %s.", actor->email);
		exchange_redirect(x, "%s", web_path(&w, "/actors/%s", web_id(&w, &actor->e.id)));
	}
	web_end(&w);
}

#define ACTOR_BUTTON .section = SECTION_PEOPLE, .kind = KIND_ACTOR, .param = 1, .list = "/actors"

void page_actor_enable(struct exchange *x)
{
	web_button(x, &(struct web_button){ ACTOR_BUTTON, .noun = "actor", .verb = "enable", .done = "Enabled. They can sign in again." });
}

void page_actor_disable(struct exchange *x)
{
	web_button(x, &(struct web_button){ ACTOR_BUTTON, .noun = "actor", .verb = "disable", .done = "Disabled: all sessions ended and clients were disconnected." });
}

void page_actor_sign_out(struct exchange *x)
{
	web_button(x, &(struct web_button){ ACTOR_BUTTON, .noun = "session", .verb = "delete-all", .field = "actor", .done = "Signed out everywhere." });
}

/* POST /:account/actors/:id/<what>/:other/<verb> */
static void do_with_part(struct exchange *x, const char *noun, const char *done)
{
	const struct actor *actor;
	struct action a;
	struct uuid id;
	struct web w;

	if (!web_begin(&w, x, SECTION_PEOPLE))
		return;
	actor = web_get(&w, KIND_ACTOR, 1);
	if (actor && uuid_parse(x->param[2], &id)) {
		web_not_found(&w, noun);
	} else if (actor) {
		web_action(&w, &a, noun, "delete", &id);
		web_do(&w, &a, web_path(&w, "/actors/%s", web_id(&w, &actor->e.id)), done);
	}
	web_end(&w);
}

void page_actor_token_revoke(struct exchange *x)
{
	do_with_part(x, "token", "The token is revoked; who used it was disconnected.");
}

void page_actor_session_revoke(struct exchange *x)
{
	do_with_part(x, "session", "That browser is signed out.");
}

void page_actor_identity_delete(struct exchange *x)
{
	do_with_part(x, "identity", "The identity is forgotten; its sessions ended.");
}

void page_actor_credential_delete(struct exchange *x)
{
	do_with_part(x, "credential", "It works no more.");
}

void page_actor_delete(struct exchange *x)
{
	const struct actor *actor;
	struct web w;

	if (!web_begin(&w, x, SECTION_PEOPLE))
		return;
	actor = web_get(&w, KIND_ACTOR, 1);
	if (actor)
		web_delete(&w, &(struct web_deletion){ .kind = KIND_ACTOR,
						       .id = &actor->e.id,
						       .name = actor->name,
						       .href = web_path(&w, "/actors/%s", web_id(&w, &actor->e.id)),
						       .list_href = web_path(&w, "/actors"),
						       .list_label = "People",
						       .is_typed = true });
	web_end(&w);
}
