#define LOG_TARGET "portal::web"

#include "applets/portal/web/undo.h"

#include "applets/portal/auth/pages.h"
#include "applets/portal/model/directory.h"
#include "core/base/log.h"
#include "core/http/url.h"
#include "applets/portal/web/templates.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct web_kept {
	struct web_kept *next;
	enum kind kind;
	union any_entity entity;
};

/* ---- text --------------------------------------------------------------------------------------------------------------------------- */

const char *web_whereabouts(struct web *w, const char *city, const char *region)
{
	city = city ? city : "";
	return web_text(w, "%s%s%s", city, city[0] ? ", " : "", region ? region : "");
}

const char *web_text(struct web *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	const char *text = pages_vtext(w->x, fmt, ap);
	va_end(ap);
	return text;
}

const char *web_id(struct web *w, const struct uuid *id)
{
	char *to = exchange_alloc(w->x, UUID_STRLEN);

	return to ? uuid_format(id, to) : "";
}

bool web_is_plain(const char *text)
{
	return strlen(text) <= 512 && text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/?%&=_.~+-")] == '\0';
}

/* ---- the frame ---------------------------------------------------------------------------------------------------------------------- */

static void add_banners(struct web *w)
{
	const struct account *a = w->account;

	if (a->disabled_at)
		page_banner(&w->page, TONE_BAD, a->disabled_reason ? a->disabled_reason : "This account is disabled: nobody can connect.", NULL, NULL);
	if (a->users_limit_exceeded)
		page_banner(&w->page, TONE_WARN, "There are more people than this account allows: clients cannot sign in.",
			    web_path(w, "/settings/account"), "See the limits");
	else if (a->service_accounts_limit_exceeded)
		page_banner(&w->page, TONE_WARN, "There are more service accounts than this account allows: clients cannot connect.",
			    web_path(w, "/settings/account"), "See the limits");
	else if (a->seats_limit_exceeded)
		page_banner(&w->page, TONE_WARN, "More people were active this month than this account allows.", web_path(w, "/settings/account"),
			    "See the limits");
}

bool web_begin(struct web *w, struct exchange *x, enum section section)
{
	memset(w, 0, sizeof(*w));
	w->x = x;
	if (!session_required(x, &w->account, &w->me))
		return false;
	w->account = web_keep(w, KIND_ACCOUNT, w->account); /* an action may replace the directory's */
	if (!w->account) {
		exchange_problem(x, 503, NULL);
		return false;
	}
	store_read_begin(x->portal->store);
	page_init(&w->page, x, page_sections[section].label);
	w->page.account_name = w->account->name;
	w->page.account_slug = w->account->slug;
	w->page.base = web_path(w, "");
	w->page.viewer_name = w->me.actor_name;
	w->page.viewer_email = w->me.actor_email;
	w->page.section = section;
	add_banners(w);
	undo_begin(w);
	return true;
}

void web_send(struct web *w, u16 status)
{
	if (!strbuf_ok(&w->x->out)) {
		log_warn("a page could not be made: out of memory");
		exchange_problem(w->x, 503, NULL);
		return;
	}
	exchange_status(w->x, status);
	exchange_send(w->x);
}

void web_end(struct web *w)
{
	store_read_end(w->x->portal->store);
	while (w->kept) {
		struct web_kept *k = w->kept;
		w->kept = k->next;
		entity_deinit(k->kind, &k->entity);
		free(k);
	}
}

void web_not_found(struct web *w, const char *what)
{
	exchange_problem(w->x, 404, web_text(w, "There is no such %s here. It may have been deleted.", what));
}

void web_store_failed(struct web *w)
{
	log_at(store_trouble(w->x->portal->store) ? LOG_DEBUG : LOG_WARN, "a page could not be made", kv_s("reason", store_reason(w->x->portal->store)));
	exchange_problem(w->x, 503, "The portal cannot read its data just now. Try again in a moment.");
}

/* ---- things ------------------------------------------------------------------------------------------------------------------------- */

const void *web_keep(struct web *w, enum kind k, const void *entity)
{
	struct web_kept *kept = calloc(1, sizeof(*kept));

	if (!kept || entity_copy(k, &kept->entity, entity)) {
		free(kept);
		return NULL;
	}
	kept->kind = k;
	kept->next = w->kept;
	w->kept = kept;
	return &kept->entity;
}

static const void *fetch(struct web *w, enum kind k, const struct uuid *id, int *rc)
{
	union any_entity e;
	const void *kept;

	*rc = 0;
	if (directory_holds(k)) {
		const void *lent = directory_get(hub_directory(w->x->portal->hub), k, &w->account->e.id, id);
		return lent ? web_keep(w, k, lent) : NULL;
	}
	*rc = store_get(w->x->portal->store, k, &w->account->e.id, id, &e);
	if (*rc)
		return NULL;
	kept = web_keep(w, k, &e);
	entity_deinit(k, &e);
	return kept;
}

const void *web_find(struct web *w, enum kind k, const struct uuid *id)
{
	int rc;

	return uuid_is_null(id) ? NULL : fetch(w, k, id, &rc);
}

const void *web_get(struct web *w, enum kind k, u32 param)
{
	const void *e = NULL;
	struct uuid id;
	int rc = 0;

	if (uuid_parse(w->x->param[param], &id) == 0)
		e = fetch(w, k, &id, &rc);
	if (!e && rc && rc != ERR_NOT_FOUND)
		web_store_failed(w);
	else if (!e)
		web_not_found(w, kinds[k].name);
	return e;
}

bool web_is_online(const struct web *w, enum kind k, const struct uuid *id)
{
	return hub_is_online(w->x->portal->hub, k, &w->account->e.id, id);
}

/* ---- forms -------------------------------------------------------------------------------------------------------------------------- */

static const char *sent(void *ctx, const char *name, u32 nth)
{
	return exchange_form_nth(ctx, name, nth);
}

static const char *asked(void *ctx, const char *name, u32 nth)
{
	return exchange_query_nth(ctx, name, nth);
}

void web_fill_sent(struct exchange *x, struct form *form)
{
	form_fill(form, sent, x);
}

void web_fill_asked(struct exchange *x, struct form *form)
{
	form_fill(form, asked, x);
}

/* ---- lists -------------------------------------------------------------------------------------------------------------------------- */

static const char *known_sort(const struct web_list *l, const char *asked)
{
	for (u32 i = 0; asked && i < l->list.n_columns; i++)
		if (l->list.columns[i].sort && strcmp(l->list.columns[i].sort, asked) == 0)
			return l->list.columns[i].sort;
	return NULL;
}

/* The filters as they stand, for links to the other pages of the list. */
static const char *filters_text(struct web *w, const struct form *form)
{
	u8 buf[2048];
	struct wr out = wr_init(buf, sizeof(buf));
	bool is_first = true;

	for (u32 i = 0; form && i < form->n_fields; i++) {
		const char *value = form->fields[i].value;
		if (value && *value)
			form_append(&out, &is_first, form->fields[i].name, SPAN(value, strlen(value)));
	}
	return wr_ok(&out) ? web_text(w, "%.*s", (int)wr_len(&out), (const char *)buf) : "";
}

void web_list_begin(struct web *w, struct web_list *l, enum kind k, const char *what, const char *path, const struct column *columns, u32 n_columns,
		    struct form *form, const struct web_filter *filters, u32 n_filters)
{
	struct exchange *x = w->x;
	const char *dir = exchange_query(x, "dir"), *after = exchange_query(x, "after"), *before = exchange_query(x, "before");

	memset(l, 0, sizeof(*l));
	l->list = (struct list){ .what = what, .path = path, .columns = columns, .n_columns = n_columns };
	l->query = (struct store_query){ .kind = k, .account = w->account->e.id, .wants_count = true };
	l->list.sort = known_sort(l, exchange_query(x, "sort"));
	l->list.is_descending = dir && strcmp(dir, "desc") == 0;
	l->query.sort = l->list.sort;
	l->query.is_descending = l->list.is_descending;
	l->query.cursor = after && *after ? after : before && *before ? before : NULL;
	if (!form)
		return;
	web_fill_asked(x, form);
	l->list.filters = filters_text(w, form);
	l->query.text = form_value(form, "q");
	l->query.is_rough = true;
	for (u32 i = 0; i < n_filters; i++) {
		const char *value = form_value(form, filters[i].name);
		if (filters[i].field && *value && l->query.n_filters < STORE_FILTERS_MAX)
			l->query.filters[l->query.n_filters++] = (struct store_filter){ filters[i].field, FILTER_IS, value };
	}
}

struct loading {
	struct web *w;
	struct web_list *l;
};

static int keep_row(void *ctx, enum kind k, const void *entity)
{
	struct loading *g = ctx;

	g->l->rows[g->l->n] = web_keep(g->w, k, entity);
	return g->l->rows[g->l->n] ? (void)g->l->n++, 0 : ERR_NOMEM;
}

bool web_list_load(struct web *w, struct web_list *l)
{
	struct loading g = { w, l };
	int rc;

	l->rows = exchange_alloc(w->x, STORE_PAGE_MAX * sizeof(*l->rows));
	rc = l->rows ? store_page(w->x->portal->store, &l->query, keep_row, &g, &l->page) : ERR_NOMEM;
	if (rc == ERR_INVAL) {
		exchange_redirect(w->x, "%s", l->list.path);
		return false;
	}
	if (rc) {
		web_store_failed(w);
		return false;
	}
	l->list.shown = l->n;
	l->list.total = (u64)MAX(l->page.count, 0);
	l->list.is_more = l->page.is_more;
	l->list.next = l->page.has_next ? l->page.next : NULL;
	l->list.prev = l->page.has_prev ? l->page.prev : NULL;
	return true;
}

struct selecting {
	struct web *w;
	const void **rows;
	u32 n;
};

static int keep_selected(void *ctx, enum kind k, const void *entity)
{
	struct selecting *g = ctx;

	g->rows[g->n] = web_keep(g->w, k, entity);
	return g->rows[g->n] ? (void)g->n++, 0 : ERR_NOMEM;
}

const void *const *web_select(struct web *w, enum kind k, const struct store_filter *filters, u32 n_filters, u32 max, u32 *n)
{
	struct selecting g = { w, exchange_alloc(w->x, max * sizeof(*g.rows)), 0 };
	int rc = g.rows ? store_select(w->x->portal->store, k, &w->account->e.id, filters, n_filters, max, keep_selected, &g) : ERR_NOMEM;

	*n = g.n;
	if (!rc)
		return g.rows;
	web_store_failed(w);
	return NULL;
}

/* ---- choices ------------------------------------------------------------------------------------------------------------------------ */

static const char *name_of(enum kind k, const void *e)
{
	switch ((int)k) {
	case KIND_ACTOR:
		return ((const struct actor *)e)->name;
	case KIND_GROUP:
		return ((const struct group *)e)->name;
	case KIND_SITE:
		return ((const struct site *)e)->name;
	case KIND_RESOURCE:
		return ((const struct resource *)e)->name;
	}
	return "";
}

static const char *said(const struct web *w, const char *name)
{
	const char *value = (w->x->method == METHOD_POST ? exchange_form : exchange_query)(w->x, name);

	return value ? value : "";
}

struct picking {
	struct web *w;
	struct form_field *f;
	const char *value;
	bool is_listed;
};

static int take_choice(void *ctx, enum kind k, const void *entity)
{
	struct picking *g = ctx;
	const struct client *c = entity;
	const struct actor *a = k == KIND_CLIENT ? web_find(g->w, KIND_ACTOR, &c->d.owner_id) : NULL;
	struct choice *to = &g->f->choices[g->f->n_choices++];

	*to = (struct choice){ .value = web_id(g->w, &c->d.e.id),
			       .label = k == KIND_CLIENT ? web_text(g->w, "%s (%s)", c->d.name, a ? a->name : "") : web_text(g->w, "%s", name_of(k, entity)) };
	g->is_listed |= strcmp(to->value, g->value) == 0;
	return 0;
}

bool web_pick(struct web *w, struct form_field *f, enum kind k)
{
	const char *text = said(w, web_text(w, "find-%s", f->name)), *value = said(w, f->name);
	struct store_query q = { .kind = k, .account = w->account->e.id, .text = text, .sort = "name", .limit = WEB_PICK_MAX };
	struct picking g = { w, f, *value ? value : f->value ? f->value : "", false };
	struct store_page page;
	struct uuid id;

	if (k == KIND_SITE && f->is_required)
		q.filters[q.n_filters++] = (struct store_filter){ "managed_by", FILTER_IS, managed_by_names[MANAGED_BY_ACCOUNT] };
	f->kind = INPUT_SELECT;
	f->is_required |= k != KIND_SITE;
	f->value = g.value;
	f->choices = exchange_alloc(w->x, (WEB_PICK_MAX + 1) * sizeof(*f->choices));
	if (!f->choices || store_page(w->x->portal->store, &q, take_choice, &g, &page)) {
		web_store_failed(w);
		return false;
	}
	f->find = page.has_next || *text ? text : NULL;
	const void *chosen = !g.is_listed && uuid_parse(SPAN(g.value, strlen(g.value)), &id) == 0 ? web_find(w, k, &id) : NULL;
	if (chosen)
		(void)take_choice(&g, k, chosen);
	return true;
}

/* By other words than what it lists was found by. */
static bool is_sought_anew(struct web *w, const struct form_field *f)
{
	return f->find && strcmp(f->find, said(w, web_text(w, "found-%s", f->name))) != 0;
}

bool web_is_finding(struct web *w, struct form *f)
{
	const char *seen = said(w, "if-updated-at");
	bool is_finding = *said(w, "find");

	for (u32 i = 0; i < f->n_fields; i++)
		is_finding |= is_sought_anew(w, &f->fields[i]);
	if (!is_finding)
		return false;
	if (w->x->method == METHOD_POST)
		web_fill_sent(w->x, f);
	if (f->updated_at)
		f->updated_at = strtoll(seen, NULL, 10);
	for (u32 i = 0; i < f->n_fields; i++) /* the first of what was found */
		if (is_sought_anew(w, &f->fields[i]))
			f->fields[i].value = NULL;
	return true;
}
