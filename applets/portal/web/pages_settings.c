/* Settings of the account, its DNS, its mail and its API clients (spec 60 §1.2, §9). */
#include "applets/portal/web/pages.h"
#include "applets/portal/web/templates.h"
#include "applets/portal/web/views_settings.h"

#include "applets/portal/auth/auth.h"
#include "applets/portal/model/directory.h"

#include <stdio.h>
#include <string.h>

#define MAILS_SHOWN 20u
#define TOKENS_SHOWN 100u

struct settings_tabs settings_tabs(struct web *w, enum settings_tab current)
{
	static const char *const labels[SETTINGS_TABS] = { "Account", "Sign-in", "Directories", "DNS", "API", "Mail" };
	static const char *const paths[SETTINGS_TABS] = { "account", "authentication", "directory_sync", "dns", "api_clients", "mail" };
	struct settings_tabs t;

	for (u32 i = 0; i < SETTINGS_TABS; i++)
		t.tab[i] = (struct tab){ .label = labels[i], .href = web_path(w, "/settings/%s", paths[i]), .count = -1, .is_current = i == (u32)current };
	w->page.title = labels[current];
	return t;
}

/* ---- account ------------------------------------------------------------------------------------------------------------------------ */

void page_settings_account(struct exchange *x)
{
	struct account_view v = { .n_usage = 0 };
	struct store_usage u;
	struct web w;

	if (!web_begin(&w, x, SECTION_SETTINGS))
		return;
	if (store_usage(x->portal->store, &w.account->e.id, x->wall, &u)) {
		web_store_failed(&w);
	} else {
		const struct account *a = v.account = w.account;
		v.tabs = settings_tabs(&w, SETTINGS_ACCOUNT);
		v.usage[v.n_usage++] = (struct usage_row){ "Users", u.users, a->limit_users };
		v.usage[v.n_usage++] = (struct usage_row){ "Admins", u.admins, a->limit_admins };
		v.usage[v.n_usage++] = (struct usage_row){ "Service accounts", u.service_accounts, a->limit_service_accounts };
		v.usage[v.n_usage++] = (struct usage_row){ "Sites", u.sites, a->limit_sites };
		v.usage[v.n_usage++] = (struct usage_row){ "API clients", u.api_clients, a->limit_api_clients };
		if (a->limit_monthly_active_users >= 0)
			v.usage[v.n_usage++] = (struct usage_row){ "Users active this month", u.monthly_active_users, a->limit_monthly_active_users };
		v.hashing = x->portal->auth ? x->portal->auth->profile->statement : "";
		v.edit_href = web_path(&w, "/settings/account/edit");
		template_settings_account(&x->out, &w.page, &v);
		web_send(&w, 200);
	}
	web_end(&w);
}

static const char *on(bool is_on)
{
	return is_on ? "true" : NULL;
}

/* A form about the account itself; `fill` sets what it is now. */
static void account_form(struct exchange *x, enum settings_tab tab, struct form *f, void (*fill)(struct web *w, struct form *f),
			 void (*give)(struct web *w, struct action *a), const char *path, const char *done)
{
	struct settings_form_view v = { .form = f };
	struct action a;
	struct web w;
	u16 status = 200;

	if (!web_begin(&w, x, SECTION_SETTINGS))
		return;
	v.tabs = settings_tabs(&w, tab);
	f->updated_at = w.account->e.updated_at;
	f->action = web_path(&w, "/settings/%s", path);
	fill(&w, f);
	web_action(&w, &a, "account", "update", &w.account->e.id);
	if (x->method == METHOD_POST && give)
		give(&w, &a);
	if (x->method == METHOD_POST && (give ? action_run(&a, x->portal) : web_act(&w, &a, f)) == ADMIN_OK) {
		const struct account *now = directory_account(hub_directory(x->portal->hub), &w.account->e.id);
		exchange_flash(x, FLASH_INFO, "%s", done);
		exchange_redirect(x, "/%s/settings/%s", now ? now->slug : "", tab == SETTINGS_DNS ? "dns" : "account");
	} else {
		if (x->method == METHOD_POST)
			status = web_form_failed(f, &a);
		template_settings_form(&x->out, &w.page, &v);
		web_send(&w, status);
	}
	action_end(&a);
	web_end(&w);
}

static void fill_account(struct web *w, struct form *f)
{
	const struct account *a = w->account;

	f->cancel_href = web_path(w, "/settings/account");
	form_set(f, "name", a->name);
	form_set(f, "slug", a->slug);
	form_set(f, "legal-name", a->legal_name);
	form_set(f, "notify-outdated-gateway", on(a->notify_outdated_gateway));
	form_set(f, "client-to-client", on(a->client_to_client_at != 0));
	form_set(f, "rest-api", on(a->has_rest_api));
}

void page_settings_account_edit(struct exchange *x)
{
	struct form_field fields[] = {
		{ .name = "name", .label = "Name", .help = "What people see when they sign in.", .max = 64, .is_required = true },
		{ .name = "slug", .label = "Short name", .help = "In the addresses of these pages, and what people type to find this account. Old addresses stop working.", .max = 100, .is_required = true, .is_code = true },
		{ .name = "legal-name", .label = "Company", .max = 255 },
		{ .name = "notify-outdated-gateway", .label = "Mail the admins when a gateway is outdated", .kind = INPUT_CHECKBOX },
		{ .name = "client-to-client", .label = "Clients may reach devices of pools directly", .kind = INPUT_CHECKBOX },
		{ .name = "rest-api", .label = "The REST API answers", .kind = INPUT_CHECKBOX },
	};
	struct form f = { .submit = "Save account", FORM_FIELDS(fields) };

	account_form(x, SETTINGS_ACCOUNT, &f, fill_account, NULL, "account/edit", "The account is saved.");
}

/* ---- DNS ---------------------------------------------------------------------------------------------------------------------------- */

static const char *posted(struct web *w, const char *name)
{
	const char *value = exchange_form(w->x, name);

	return value ? value : "";
}

static const char *one_a_line(struct web *w, const char *list)
{
	size_t n = strlen(list ? list : "");
	char *out = exchange_alloc(w->x, n + 1);

	for (size_t i = 0; out && i < n; i++)
		out[i] = list[i] == ' ' || list[i] == ',' ? '\n' : list[i];
	if (out)
		out[n] = '\0';
	return out;
}

static void fill_dns(struct web *w, struct form *f)
{
	const struct account *a = w->account;

	form_set(f, "search-domain", a->search_domain);
	form_set(f, "dns", dns_type_names[a->dns_type]);
	form_set(f, "provider", doh_provider_names[a->doh_provider]);
	form_set(f, "addresses", one_a_line(w, a->dns_addresses));
	if (w->x->method != METHOD_POST)
		return;
	form_set(f, "search-domain", posted(w, "search-domain"));
	form_set(f, "dns", posted(w, "dns"));
	form_set(f, "provider", posted(w, "provider"));
	form_set(f, "addresses", posted(w, "addresses"));
}

static void give_dns(struct web *w, struct action *a)
{
	const char *kind = posted(w, "dns"), *addresses = posted(w, "addresses");
	char list[1024];
	size_t n = 0;

	action_set(a, "search-domain", posted(w, "search-domain"));
	if (strcmp(kind, "secure") == 0) {
		action_setf(a, "dns", "secure:%s", posted(w, "provider"));
	} else if (strcmp(kind, "custom") == 0) {
		for (const char *p = addresses; *p && n + 1 < sizeof(list); p++) {
			bool is_gap = strchr(" ,;\t\r\n", *p) != NULL;
			if (!is_gap)
				list[n++] = *p;
			else if (n > 0 && list[n - 1] != ',')
				list[n++] = ',';
		}
		while (n > 0 && list[n - 1] == ',')
			n--;
		list[n] = '\0';
		action_setf(a, "dns", "custom:%s", list);
	} else {
		action_set(a, "dns", kind);
	}
}

void page_settings_dns(struct exchange *x)
{
	static struct choice sources[] = { { .value = "system", .label = "Their own", .help = "what their system asks anyway" },
					 { .value = "secure", .label = "Encrypted, by a public service", .help = "DNS over HTTPS" },
					 { .value = "custom", .label = "These servers", .help = "one address a line; they may be resources" } };
	static struct choice services[] = { { .value = "google", .label = "Google" }, { .value = "cloudflare", .label = "Cloudflare" }, { .value = "quad9", .label = "Quad9" }, { .value = "opendns", .label = "OpenDNS" } };
	struct form_field fields[] = {
		{ .name = "search-domain", .label = "Search domain", .help = "Clients append it to names of one word: with corp.example, wiki means wiki.corp.example.", .max = 255, .is_code = true },
		{ .name = "dns", .label = "Names that are no resource are asked from", .kind = INPUT_RADIO, FORM_CHOICES(sources) },
		{ .name = "provider", .label = "Public service", .kind = INPUT_SELECT, FORM_CHOICES(services) },
		{ .name = "addresses", .label = "Servers", .kind = INPUT_TEXTAREA, .placeholder = "9.9.9.9\n2620:fe::fe", .is_code = true },
	};
	struct form f = { .submit = "Save DNS", FORM_FIELDS(fields) };

	account_form(x, SETTINGS_DNS, &f, fill_dns, give_dns, "dns", "Saved. Connected clients use it from now on.");
}

/* ---- mail --------------------------------------------------------------------------------------------------------------------------- */

struct mails {
	struct web *w;
	struct mail_view *v;
};

static int take_mail(void *ctx, enum kind k, const void *entity)
{
	struct mails *m = ctx;
	const struct mail_row *e = web_keep(m->w, k, entity);

	if (!e)
		return ERR_NOMEM;
	m->v->rows[m->v->n++] = (struct mail_line){
		.to = e->recipient,
		.subject = e->subject,
		.state = e->state == MAIL_SENT ? "sent" : e->state == MAIL_FAILED ? "given up" : "waiting",
		.tone = e->state == MAIL_SENT ? TONE_GOOD : e->state == MAIL_FAILED ? TONE_BAD : TONE_WARN,
		.error = e->last_error ? e->last_error : "",
		.at = e->sent_at ? e->sent_at : e->e.inserted_at,
		.retry_href = e->state == MAIL_QUEUED ? web_path(m->w, "/settings/mail/%s/retry", web_id(m->w, &e->e.id)) : NULL,
	};
	return 0;
}

static void show_mail(struct web *w, const char *result, int tone)
{
	struct mail_view v = { .result = result, .result_tone = tone, .viewer = w->me.actor_email };
	struct store_query q = { .kind = KIND_MAIL, .account = w->account->e.id, .is_descending = true, .limit = MAILS_SHOWN };
	struct store_page page;
	struct mails m = { w, &v };

	v.tabs = settings_tabs(w, SETTINGS_MAIL);
	mail_status(w->x->portal, &v.status);
	v.test_href = web_path(w, "/settings/mail/test");
	v.rows = exchange_alloc(w->x, MAILS_SHOWN * sizeof(*v.rows));
	if (!v.rows || store_page(w->x->portal->store, &q, take_mail, &m, &page)) {
		web_store_failed(w);
		return;
	}
	template_settings_mail(&w->x->out, &w->page, &v);
	web_send(w, 200);
}

void page_settings_mail(struct exchange *x)
{
	struct web w;

	if (!web_begin(&w, x, SECTION_SETTINGS))
		return;
	show_mail(&w, NULL, TONE_PLAIN);
	web_end(&w);
}

/* The server's answer is waited for: the page tells what it said. */
struct mail_trial {
	struct exchange *x;
	u64 id;
};

static void trial_left(void *ctx)
{
	struct mail_trial *t = ctx;

	mail_test_cancel(t->x->portal, t->id);
}

static void trial_done(void *ctx, int rc, const char *what)
{
	struct mail_trial *t = ctx;
	struct web w;

	if (!web_begin(&w, t->x, SECTION_SETTINGS))
		return;
	show_mail(&w, web_text(&w, rc ? "The mail was not taken: %s" : "Sent. The server said: %s", what), rc ? TONE_BAD : TONE_GOOD);
	web_end(&w);
}

void page_settings_mail_test(struct exchange *x)
{
	struct mail_trial *t;
	char why[256];
	struct web w;

	if (!web_begin(&w, x, SECTION_SETTINGS))
		return;
	t = exchange_alloc(x, sizeof(*t));
	if (t) {
		t->x = x;
		t->id = mail_test(x->portal, w.me.actor_email, w.me.actor_name, trial_done, t, why, sizeof(why));
	}
	if (!t || !t->id)
		show_mail(&w, web_text(&w, "No test is possible: %s", t ? why : "out of memory"), TONE_BAD);
	else
		exchange_defer(x, trial_left, t);
	web_end(&w);
}

void page_settings_mail_retry(struct exchange *x)
{
	struct action a;
	struct uuid id;
	struct web w;

	if (!web_begin(&w, x, SECTION_SETTINGS))
		return;
	if (uuid_parse(x->param[1], &id)) {
		web_not_found(&w, "mail");
	} else {
		web_action(&w, &a, "mail", "retry", &id);
		web_do(&w, &a, web_path(&w, "/settings/mail"), "It is tried again now.");
	}
	web_end(&w);
}

/* ---- API clients -------------------------------------------------------------------------------------------------------------------- */

void page_api_clients(struct exchange *x)
{
	static const struct column columns[] = { { .label = "Name", .sort = "name" }, { .label = "Status" }, { .label = "Tokens", .is_number = true }, { .label = "Since", .sort = "inserted_at" } };
	struct form_field fields[] = { { .name = "q", .label = "Name" } };
	struct form f = { FORM_FIELDS(fields) };
	struct api_clients_view v = { .n = 0, .filters = &f };
	struct web_list l;
	struct web w;

	if (!web_begin(&w, x, SECTION_SETTINGS))
		return;
	v.tabs = settings_tabs(&w, SETTINGS_API);
	w.page.lead = "Programs that administer this account through the REST API, each with tokens of its own.";
	w.page.action = "New API client";
	w.page.action_href = web_path(&w, "/settings/api_clients/new");
	web_list_begin(&w, &l, KIND_ACTOR, "API clients", web_path(&w, "/settings/api_clients"), columns, ARRAY_LEN(columns), &f, NULL, 0);
	l.query.filters[l.query.n_filters++] = (struct store_filter){ "type", FILTER_IS, "api_client" };
	if (!l.query.sort)
		l.query.sort = l.list.sort = "name";
	if (web_list_load(&w, &l)) {
		v.list = l.list;
		v.openapi_href = "/swaggerui";
		v.rows = exchange_alloc(x, (l.n + 1) * sizeof(*v.rows));
		for (u32 i = 0; v.rows && i < l.n; i++) {
			const struct actor *a = l.rows[i];
			struct api_client_row row = { .actor = a, .href = web_path(&w, "/settings/api_clients/%s", web_id(&w, &a->e.id)) };
			if (store_tally_of(x->portal->store, TALLY_API_TOKENS_OF_ACTOR, &w.account->e.id, &a->e.id, &row.tokens))
				row.tokens = 0;
			v.rows[v.n++] = row;
		}
		template_api_clients(&x->out, &w.page, &v);
		web_send(&w, 200);
	}
	web_end(&w);
}

static void api_client_form(struct exchange *x, bool is_new)
{
	struct form_field fields[] = { { .name = "name", .label = "Name", .help = "What the program is: terraform, backup script.", .max = 255, .is_required = true, .is_focused = true } };
	struct form f = { .submit = is_new ? "Create API client" : "Save name", FORM_FIELDS(fields) };
	const struct actor *c = NULL;
	struct web w;

	if (!web_begin(&w, x, SECTION_SETTINGS))
		return;
	if (!is_new)
		c = web_get(&w, KIND_ACTOR, 1);
	if (is_new || c) {
		const char *list = web_path(&w, "/settings/api_clients");
		f.cancel_href = c ? web_text(&w, "%s/%s", list, web_id(&w, &c->e.id)) : list;
		f.action = web_text(&w, "%s/%s", f.cancel_href, c ? "edit" : "new");
		form_set(&f, "name", c ? c->name : NULL);
		f.updated_at = c ? c->e.updated_at : 0;
		page_crumb(&w.page, "API", list);
		w.page.title = is_new ? "New API client" : "Rename API client";
		web_edit(&w, &(struct web_edit){ .kind = KIND_ACTOR,
						 .noun = "api-client",
						 .id = c ? &c->e.id : NULL,
						 .form = &f,
						 .done = is_new ? "Made. Now it needs a token." : "Renamed.",
						 .href = c ? f.cancel_href : web_text(&w, "%s/", list) });
	}
	web_end(&w);
}

void page_api_client_new(struct exchange *x)
{
	api_client_form(x, true);
}

void page_api_client_edit(struct exchange *x)
{
	api_client_form(x, false);
}

struct tokens {
	struct web *w;
	struct api_client_view *v;
	const char *href;
};

static int take_token(void *ctx, enum kind k, const void *entity)
{
	struct tokens *t = ctx;
	const struct token *kept = web_keep(t->w, k, entity);

	if (!kept)
		return ERR_NOMEM;
	t->v->tokens[t->v->n_tokens++] = (struct api_token_row){ kept, web_text(t->w, "%s/tokens/%s/revoke", t->href, web_id(t->w, &kept->e.id)) };
	return 0;
}

/* GET: the client; POST: one token more, shown once. */
void page_api_client(struct exchange *x)
{
	struct form_field fields[] = { { .name = "name", .label = "Name of a new token", .help = "Where it will be kept.", .max = 255, .is_required = true },
				       { .name = "expires", .label = "Valid until", .kind = INPUT_DATE, .help = "A year when left empty." } };
	struct form f = { .submit = "Create token", FORM_FIELDS(fields) };
	struct api_client_view v = { .form = &f };
	struct action a;
	struct web w;
	u16 status = 200;

	if (!web_begin(&w, x, SECTION_SETTINGS))
		return;
	v.actor = web_get(&w, KIND_ACTOR, 1);
	if (v.actor) {
		struct tokens t = { &w, &v, web_path(&w, "/settings/api_clients/%s", web_id(&w, &v.actor->e.id)) };
		const struct store_filter mine[] = { { "actor_id", FILTER_IS, web_id(&w, &v.actor->e.id) } };

		f.action = t.href;
		if (x->method == METHOD_POST) {
			const char *name = exchange_form(x, "name"), *expires = exchange_form(x, "expires");
			web_action(&w, &a, "api-token", "add", NULL);
			action_set_id(&a, "actor", &v.actor->e.id);
			action_set(&a, "name", name ? name : "");
			if (expires && *expires)
				action_set(&a, "expires", expires);
			form_set(&f, "name", name);
			form_set(&f, "expires", expires);
			if (!name || !*name) {
				form_error(&f, "name", "Give it a name, to tell it from others when you revoke one.");
				status = 422;
			} else if (action_run(&a, x->portal) == ADMIN_OK) {
				v.secret = web_text(&w, "%s", a.reply.secret);
				form_set(&f, "name", NULL);
			} else {
				status = web_form_failed(&f, &a);
			}
			action_end(&a);
		}
		v.tokens = exchange_alloc(x, TOKENS_SHOWN * sizeof(*v.tokens));
		if (!v.tokens || store_select(x->portal->store, KIND_API_TOKEN, &w.account->e.id, mine, 1, TOKENS_SHOWN, take_token, &t)) {
			web_store_failed(&w);
		} else {
			v.edit_href = web_text(&w, "%s/edit", t.href);
			v.enable_href = web_text(&w, "%s/enable", t.href);
			v.disable_href = web_text(&w, "%s/disable", t.href);
			v.delete_href = web_text(&w, "%s/delete", t.href);
			page_crumb(&w.page, "API", web_path(&w, "/settings/api_clients"));
			w.page.title = v.actor->name;
			template_api_client(&x->out, &w.page, &v);
			web_send(&w, status);
		}
	}
	web_end(&w);
}

#define API_CLIENT_BUTTON .section = SECTION_SETTINGS, .kind = KIND_ACTOR, .param = 1, .noun = "api-client", .list = "/settings/api_clients"

void page_api_client_enable(struct exchange *x)
{
	web_button(x, &(struct web_button){ API_CLIENT_BUTTON, .verb = "enable", .done = "Its tokens work again." });
}

void page_api_client_disable(struct exchange *x)
{
	web_button(x, &(struct web_button){ API_CLIENT_BUTTON, .verb = "disable", .done = "Its tokens are refused from now on." });
}

void page_api_token_revoke(struct exchange *x)
{
	const struct actor *c;
	struct action a;
	struct uuid id;
	struct web w;

	if (!web_begin(&w, x, SECTION_SETTINGS))
		return;
	c = web_get(&w, KIND_ACTOR, 1);
	if (c && uuid_parse(x->param[2], &id)) {
		web_not_found(&w, "token");
	} else if (c) {
		web_action(&w, &a, "api-token", "delete", &id);
		web_do(&w, &a, web_path(&w, "/settings/api_clients/%s", web_id(&w, &c->e.id)), "The token is revoked.");
	}
	web_end(&w);
}

void page_api_client_delete(struct exchange *x)
{
	const struct actor *c;
	struct web w;

	if (!web_begin(&w, x, SECTION_SETTINGS))
		return;
	c = web_get(&w, KIND_ACTOR, 1);
	if (c)
		web_delete(&w, &(struct web_deletion){ .kind = KIND_ACTOR,
						       .noun = "api-client",
						       .id = &c->e.id,
						       .name = c->name,
						       .href = web_path(&w, "/settings/api_clients/%s", web_id(&w, &c->e.id)),
						       .list_href = web_path(&w, "/settings/api_clients"),
						       .list_label = "API",
						       .is_typed = true });
	web_end(&w);
}
