/* Directories that people and groups are copied from (spec 60 §8, §9). */
#include "applets/portal/web/pages.h"
#include "applets/portal/web/templates.h"
#include "applets/portal/web/views_settings.h"

#include "applets/portal/sync/sync.h"
#include "applets/portal/web/key_draft.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_MAX 32u

static const char *const kind_names[] = { "Google Workspace", "Microsoft Entra", "Okta" };

/* ---- the list ----------------------------------------------------------------------------------------------------------------------- */

struct listing {
	struct web *w;
	struct directories_view *v;
};

static int take(void *ctx, enum kind k, const void *entity)
{
	struct listing *g = ctx;
	struct web *w = g->w;
	const struct sync_directory *d = web_keep(w, k, entity);
	const struct uuid *account = &w->account->e.id;
	struct store *s = w->x->portal->store;
	struct directory_row row = { .directory = d };
	const char *href;

	if (!d)
		return ERR_NOMEM;
	if (store_tally_of(s, TALLY_ACTORS_OF_DIRECTORY, account, &d->e.id, &row.actors) || store_tally_of(s, TALLY_GROUPS_OF_DIRECTORY, account, &d->e.id, &row.groups))
		row.actors = row.groups = 0;
	href = web_path(w, "/settings/directory_sync/%s/%s", directory_type_names[d->type], web_id(w, &d->e.id));
	row.state = d->disabled_at ? "disabled" : !d->is_verified ? "not verified" : d->errored_at ? "failing" : d->synced_at ? "synced" : "waiting for the first run";
	row.tone = d->disabled_at ? TONE_WARN : d->errored_at ? TONE_BAD : d->synced_at ? TONE_GOOD : TONE_PLAIN;
	row.edit_href = web_text(w, "%s/edit", href);
	row.sync_href = web_text(w, "%s/sync", href);
	row.enable_href = web_text(w, "%s/enable", href);
	row.disable_href = web_text(w, "%s/disable", href);
	row.delete_href = web_text(w, "%s/delete", href);
	g->v->rows[g->v->n++] = row;
	return 0;
}

void page_directories(struct exchange *x)
{
	static const char *const texts[] = { "People and groups of a Google Workspace domain.", "Those assigned to an enterprise application, or all groups.", "Those assigned to an app of an Okta organisation." };
	struct directories_view v = { .n = 0 };
	struct provider_kind *offer;
	struct listing g;
	struct web w;

	if (!web_begin(&w, x, SECTION_SETTINGS))
		return;
	g = (struct listing){ &w, &v };
	v.tabs = settings_tabs(&w, SETTINGS_DIRECTORIES);
	v.rows = exchange_alloc(x, ROWS_MAX * sizeof(*v.rows));
	offer = exchange_alloc(x, 3 * sizeof(*offer));
	if (!v.rows || !offer || store_select(x->portal->store, KIND_DIRECTORY, &w.account->e.id, NULL, 0, ROWS_MAX, take, &g)) {
		web_store_failed(&w);
	} else {
		for (u32 i = 0; i < 3; i++)
			offer[i] = (struct provider_kind){ directory_type_names[i], kind_names[i], texts[i], web_path(&w, "/settings/directory_sync/%s/new", directory_type_names[i]) };
		v.kinds = offer;
		v.n_kinds = 3;
		w.page.lead = "People and groups that are copied from elsewhere every other hour. What is gone there goes here.";
		w.page.live_topics = "directories";
		template_directories(&x->out, &w.page, &v);
		web_send(&w, 200);
	}
	web_end(&w);
}

/* ---- the form -------------------------------------------------------------------------------------------------------------------------
 * Settings are asked for real before they are saved: the answer waits for the directory's. */

#define FIELDS_MAX 8u
#define KEY_DRAFT "key-draft" /* key_draft.h */
#define MAKE_KEY "make-key"

static struct choice modes[] = { { .value = "all", .label = "all groups" }, { .value = "filtered", .label = "groups named for it", .help = "address begins with firezone-sync, or name with [firezone-sync]" }, { .value = "disabled", .label = "no groups" } };
static struct choice mails[] = { { .value = "userPrincipalName", .label = "userPrincipalName" }, { .value = "mail", .label = "mail" } };

static u32 form_of(struct form_field f[static FIELDS_MAX], int type, bool is_new)
{
	const char *stays = is_new ? NULL : "Left empty, it stays as it is.";
	u32 n = 0;

	f[n++] = (struct form_field){ .name = "name", .label = "Name", .max = 255, .is_required = true, .is_focused = true };
	switch ((enum directory_type)type) {
	case DIRECTORY_GOOGLE:
		f[n++] = (struct form_field){ .name = "domain", .label = "Domain", .placeholder = "acme.example", .max = 255, .is_required = true, .is_code = true };
		f[n++] = (struct form_field){ .name = "impersonation-email", .label = "Admin to read as", .kind = INPUT_EMAIL, .help = "An admin of the domain; the service account reads in that name.", .max = 160, .is_required = true };
		f[n++] = (struct form_field){ .name = "service-account-key", .label = "Key of the service account (JSON)", .kind = INPUT_TEXTAREA, .help = stays ? stays : "This portal's own when left empty.", .is_code = true };
		f[n++] = (struct form_field){ .name = "group-sync-mode", .label = "Groups", .kind = INPUT_RADIO, FORM_CHOICES(modes) };
		f[n++] = (struct form_field){ .name = "orgunit-sync", .label = "Organisational units are groups too", .kind = INPUT_CHECKBOX };
		break;
	case DIRECTORY_ENTRA:
		f[n++] = (struct form_field){ .name = "tenant-id", .label = "Tenant ID", .max = 64, .is_required = true, .is_code = true };
		f[n++] = (struct form_field){ .name = "client-id", .label = "Client ID", .help = "Of a registration of your own; this portal's when left empty.", .max = 255, .is_code = true };
		f[n++] = (struct form_field){ .name = "client-secret", .label = "Client secret", .kind = INPUT_PASSWORD, .help = stays, .max = 255, .autocomplete = "off" };
		f[n++] = (struct form_field){ .name = "email-field", .label = "E-mail address is in", .kind = INPUT_SELECT, FORM_CHOICES(mails) };
		f[n++] = (struct form_field){ .name = "sync-all-groups", .label = "All groups, not only those assigned to the application", .kind = INPUT_CHECKBOX };
		break;
	case DIRECTORY_OKTA:
		f[n++] = (struct form_field){ .name = "okta-domain", .label = "Okta domain", .placeholder = "acme.okta.com", .max = 255, .is_required = true, .is_code = true };
		f[n++] = (struct form_field){ .name = "client-id", .label = "Client ID", .max = 255, .is_required = true, .is_code = true };
		f[n++] = (struct form_field){ .name = "private-key-jwk", .label = "A private key made elsewhere (JWK)", .kind = INPUT_TEXTAREA, .is_code = true, .is_more = true,
					      .help = stays ? stays : "Instead of one that is created here: of the API service app, for RS256." };
		f[n++] = (struct form_field){ .name = "kid", .label = "Its key ID", .max = 255, .is_code = true, .is_more = true };
		f[n++] = (struct form_field){ .name = KEY_DRAFT, .kind = INPUT_HIDDEN };
		break;
	}
	return n;
}

static void fill_form(struct form *f, const struct sync_directory *d)
{
	form_set(f, "name", d->name);
	form_set(f, "domain", d->domain);
	form_set(f, "impersonation-email", d->impersonation_email);
	form_set(f, "group-sync-mode", group_sync_mode_names[d->group_sync_mode]);
	form_set(f, "orgunit-sync", d->orgunit_sync_enabled ? "true" : NULL);
	form_set(f, "tenant-id", d->tenant_id);
	form_set(f, "client-id", d->client_id);
	form_set(f, "email-field", directory_email_names[d->email_field]);
	form_set(f, "sync-all-groups", d->sync_all_groups ? "true" : NULL);
	form_set(f, "okta-domain", d->okta_domain);
	form_set(f, "kid", d->kid);
}

static int take_text(const struct form *f, const char *name, char **field)
{
	const char *value = form_value(f, name);

	return *value ? text_set(field, value) : 0;
}

/* The key that was made for this form and counts: none is pasted. */
static bool has_draft(struct web *w, const struct form *f, struct okta_key_texts *key)
{
	const char *sealed = form_value(f, KEY_DRAFT);

	return *sealed && !*form_value(f, "private-key-jwk") && key_draft_open(w, sealed, key) == 0;
}

/* What would be saved, as the trial wants it; secrets that were left empty are the old ones. */
static int row_of(struct web *w, const struct form *f, struct sync_directory *row)
{
	struct okta_key_texts key;
	int rc = take_text(f, "name", &row->name);

	rc = rc ? rc : take_text(f, "domain", &row->domain);
	rc = rc ? rc : take_text(f, "impersonation-email", &row->impersonation_email);
	rc = rc ? rc : take_text(f, "service-account-key", &row->service_account_key);
	rc = rc ? rc : take_text(f, "tenant-id", &row->tenant_id);
	rc = rc ? rc : take_text(f, "client-id", &row->client_id);
	rc = rc ? rc : take_text(f, "client-secret", &row->client_secret);
	rc = rc ? rc : take_text(f, "okta-domain", &row->okta_domain);
	rc = rc ? rc : take_text(f, "private-key-jwk", &row->private_key_jwk);
	rc = rc ? rc : take_text(f, "kid", &row->kid);
	if (!rc && has_draft(w, f, &key)) {
		rc = text_set(&row->private_key_jwk, key.private_jwk);
		rc = rc ? rc : text_set(&row->kid, key.kid);
	}
	row->group_sync_mode = MAX(0, enum_parse(group_sync_mode_names, form_value(f, "group-sync-mode")));
	row->email_field = MAX(0, enum_parse(directory_email_names, form_value(f, "email-field")));
	row->orgunit_sync_enabled = *form_value(f, "orgunit-sync") != '\0';
	row->sync_all_groups = *form_value(f, "sync-all-groups") != '\0';
	return rc;
}

static void show_form(struct web *w, int type, const struct sync_directory *old, struct form *f, u16 status)
{
	struct settings_form_view v = { .form = f, .text = "Its settings are tried before they are saved; that takes some seconds.", .has_keys = type == DIRECTORY_OKTA };
	struct okta_key_texts key;

	if (has_draft(w, f, &key))
		v.public_key = key.public_jwk;
	if (v.has_keys) {
		f->other = v.public_key || old ? "Create another key" : "Create a key";
		f->other_name = MAKE_KEY;
	}
	v.tabs = settings_tabs(w, SETTINGS_DIRECTORIES);
	page_crumb(&w->page, "Directories", web_path(w, "/settings/directory_sync"));
	w->page.title = old ? old->name : web_text(w, "Add %s", kind_names[type]);
	template_settings_form(&w->x->out, &w->page, &v);
	web_send(w, status);
}

/* Nothing was saved yet: what counts is still when the form was opened. */
static void keep_opened(struct exchange *x, struct form *f)
{
	const char *since = exchange_form(x, "if-updated-at");

	if (since && *since)
		f->updated_at = strtoll(since, NULL, 10);
}

static void begin_form(struct web *w, struct form *f, struct form_field fields[static FIELDS_MAX], int type, const struct sync_directory *old)
{
	*f = (struct form){ .submit = "Try and save", .cancel_href = web_path(w, "/settings/directory_sync"), .fields = fields, .n_fields = form_of(fields, type, !old) };
	f->updated_at = old ? old->e.updated_at : 0;
	f->action = old ? web_path(w, "/settings/directory_sync/%s/%s/edit", directory_type_names[type], web_id(w, &old->e.id)) :
			  web_path(w, "/settings/directory_sync/%s/new", directory_type_names[type]);
}

struct trial {
	struct exchange *x;
	struct sync_probe *probe;
	int type;
	struct uuid id; /* null: a new one */
	bool is_answered;
};

static void trial_left(void *ctx)
{
	struct trial *t = ctx;

	if (!t->is_answered)
		sync_probe_cancel(t->probe);
}

static void trial_done(void *ctx, int rc, const char *why)
{
	struct trial *t = ctx;
	struct form_field fields[FIELDS_MAX];
	const struct sync_directory *old;
	struct okta_key_texts key;
	struct form f;
	struct action a;
	struct web w;

	t->is_answered = true;
	if (!web_begin(&w, t->x, SECTION_SETTINGS))
		return;
	old = web_find(&w, KIND_DIRECTORY, &t->id);
	begin_form(&w, &f, fields, t->type, old);
	web_fill_sent(t->x, &f);
	if (rc) {
		form_error(&f, NULL, web_text(&w, "The directory does not answer as it should: %s", why));
		keep_opened(t->x, &f);
		show_form(&w, t->type, old, &f, 422);
	} else {
		web_action(&w, &a, "directory", old ? "update" : "add", old ? &old->e.id : NULL);
		if (!old)
			action_set(&a, "type", directory_type_names[t->type]);
		action_set(&a, "verified", "true");
		if (has_draft(&w, &f, &key)) {
			action_set(&a, "private-key-jwk", key.private_jwk);
			action_set(&a, "kid", key.kid);
		}
		if (web_act(&w, &a, &f) == ADMIN_OK) {
			exchange_flash(t->x, FLASH_INFO, "It answers. The next run copies from it; or press “Sync now”.");
			exchange_redirect(t->x, "%s", f.cancel_href);
		} else {
			show_form(&w, t->type, old, &f, web_form_failed(&f, &a));
		}
		action_end(&a);
	}
	web_end(&w);
}

static void begin_trial(struct web *w, int type, const struct sync_directory *old, struct form *f)
{
	struct trial *t = exchange_alloc(w->x, sizeof(*t));
	struct sync_directory row;
	int rc;

	entity_init(KIND_DIRECTORY, &row);
	rc = old ? entity_copy(KIND_DIRECTORY, &row, old) : 0;
	row.type = type;
	row.e.account_id = w->account->e.id;
	rc = rc ? rc : row_of(w, f, &row);
	if (t && !rc && w->x->portal->sync) {
		*t = (struct trial){ .x = w->x, .type = type };
		if (old)
			t->id = old->e.id;
		exchange_defer(w->x, trial_left, t);
		t->probe = sync_probe(w->x->portal->sync, &row, trial_done, t);
		if (!t->probe && !t->is_answered)
			trial_done(t, ERR_NOMEM, "out of memory");
	} else {
		web_store_failed(w);
	}
	entity_deinit(KIND_DIRECTORY, &row);
}

/* ---- a key for Okta, made beside the loop ---- */

struct making {
	struct exchange *x;
	struct okta_key *key;
	struct uuid id; /* of the directory; null: a new one */
	bool is_answered;
};

static void making_left(void *ctx)
{
	struct making *m = ctx;

	if (!m->is_answered)
		okta_key_cancel(m->key);
}

static void key_made(void *ctx, int rc, const struct okta_key_texts *t)
{
	struct making *m = ctx;
	struct form_field fields[FIELDS_MAX];
	const struct sync_directory *old;
	struct form f;
	struct web w;

	m->is_answered = true;
	if (!web_begin(&w, m->x, SECTION_SETTINGS))
		return;
	old = web_find(&w, KIND_DIRECTORY, &m->id);
	begin_form(&w, &f, fields, DIRECTORY_OKTA, old);
	web_fill_sent(m->x, &f);
	keep_opened(m->x, &f);
	form_set(&f, "private-key-jwk", NULL);
	form_set(&f, "kid", NULL);
	form_set(&f, KEY_DRAFT, rc ? NULL : key_draft_seal(&w, t));
	if (!*form_value(&f, KEY_DRAFT))
		form_error(&f, NULL, "The key could not be made: the portal is short of memory. Try again in a moment.");
	show_form(&w, DIRECTORY_OKTA, old, &f, *form_value(&f, KEY_DRAFT) ? 200 : 503);
	web_end(&w);
}

static void begin_making(struct web *w, const struct sync_directory *old, struct form *f)
{
	struct making *m = exchange_alloc(w->x, sizeof(*m));
	int rc = ERR_NOMEM;

	if (m) {
		*m = (struct making){ .x = w->x };
		if (old)
			m->id = old->e.id;
		exchange_defer(w->x, making_left, m);
		rc = okta_key_make(w->x->portal, key_made, m, &m->key);
		m->is_answered = rc != 0;
	}
	if (rc) {
		form_error(f, NULL, rc == ERR_LIMIT ? "The portal is busy with sign-ins. Try again in a moment." : "The key could not be made. Try again in a moment.");
		show_form(w, DIRECTORY_OKTA, old, f, 503);
	}
}

static void handle_form(struct exchange *x, bool is_new)
{
	struct form_field fields[FIELDS_MAX];
	const struct sync_directory *old = NULL;
	char name[16];
	struct form f;
	struct web w;
	int type;

	if (!web_begin(&w, x, SECTION_SETTINGS))
		return;
	snprintf(name, sizeof(name), "%.*s", (int)MIN(x->param[1].n, sizeof(name) - 1), (const char *)x->param[1].p);
	type = enum_parse(directory_type_names, name);
	if (!is_new)
		old = web_get(&w, KIND_DIRECTORY, 2);
	else if (type < 0)
		web_not_found(&w, "kind of directory");
	if (old || (is_new && type >= 0)) {
		type = old ? old->type : type;
		begin_form(&w, &f, fields, type, old);
		if (x->method == METHOD_POST) {
			struct okta_key_texts key;
			web_fill_sent(x, &f);
			if (type == DIRECTORY_OKTA && exchange_form(x, MAKE_KEY)) {
				begin_making(&w, old, &f);
			} else if (type == DIRECTORY_OKTA && !old && !*form_value(&f, "private-key-jwk") && !has_draft(&w, &f, &key)) {
				form_error(&f, "private-key-jwk", "There is no key yet: press “Create a key”, or paste one.");
				show_form(&w, type, old, &f, 422);
			} else {
				begin_trial(&w, type, old, &f);
			}
		} else {
			if (old)
				fill_form(&f, old);
			else
				form_set(&f, "group-sync-mode", "all");
			show_form(&w, type, old, &f, 200);
		}
	}
	web_end(&w);
}

void page_directory_new(struct exchange *x)
{
	handle_form(x, true);
}

void page_directory_edit(struct exchange *x)
{
	handle_form(x, false);
}

/* ---- one button each ---------------------------------------------------------------------------------------------------------------- */

#define DIRECTORY_BUTTON .section = SECTION_SETTINGS, .kind = KIND_DIRECTORY, .param = 2, .noun = "directory", .list = "/settings/directory_sync", .stays_on_list = true

void page_directory_sync(struct exchange *x)
{
	web_button(x, &(struct web_button){ DIRECTORY_BUTTON, .verb = "sync", .done = "It is read now; this page tells when it is done." });
}

void page_directory_enable(struct exchange *x)
{
	web_button(x, &(struct web_button){ DIRECTORY_BUTTON, .verb = "enable", .done = "It is synced from now on." });
}

void page_directory_disable(struct exchange *x)
{
	web_button(x, &(struct web_button){ DIRECTORY_BUTTON, .verb = "disable", .done = "It is synced no more; what came from it stays." });
}

void page_directory_delete(struct exchange *x)
{
	const struct sync_directory *d;
	struct web w;

	if (!web_begin(&w, x, SECTION_SETTINGS))
		return;
	d = web_get(&w, KIND_DIRECTORY, 2);
	if (d)
		web_delete(&w, &(struct web_deletion){ .kind = KIND_DIRECTORY,
						       .noun = "directory",
						       .id = &d->e.id,
						       .name = d->name,
						       .href = web_path(&w, "/settings/directory_sync/%s/%s", directory_type_names[d->type], web_id(&w, &d->e.id)),
						       .list_href = web_path(&w, "/settings/directory_sync"),
						       .list_label = "Directories",
						       .has_no_page = true,
						       .note = "The people and groups that came from it go with it.",
						       .is_typed = true });
	web_end(&w);
}
