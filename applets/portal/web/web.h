/* applets/portal/web/web.h: how a page of a signed-in admin begins, asks, changes things and ends.
 *
 *	void page_site(struct exchange *x)
 *	{
 *		struct web w;
 *		const struct site *site;
 *
 *		if (!web_begin(&w, x, SECTION_SITES))
 *			return;                                         answered: no session, no account
 *		site = web_get(&w, KIND_SITE, 1);
 *		if (site) {                                             else 404 was sent
 *			w.page.title = site->name;
 *			template_site(&x->out, &w.page, &view);
 *			web_send(&w, 200);
 *		}
 *		web_end(&w);
 *	}
 *
 * Whatever web_… hands out lives until web_end(). Changes are actions (admin/action.h) by the person who is signed in: web_act() runs one with the
 * fields of a form, web_form_failed() puts its complaint beside the field.
 */
#pragma once

#include "applets/portal/admin/action.h"
#include "applets/portal/http/exchange.h"
#include "applets/portal/web/parts.h"

struct web_kept;
struct undo;

struct web {
	struct exchange *x;
	const struct account *account;
	struct principal me;
	struct page page;
	struct web_kept *kept;
};

/* The session of the account in the pattern's first parameter; the page's frame, its flash, its banners. False: answered already. */
bool web_begin(struct web *w, struct exchange *x, enum section section) MUST_CHECK;
void web_send(struct web *w, u16 status);
void web_end(struct web *w);

/* Text that lives as long as the exchange; "" without memory. */
const char *web_text(struct web *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* "Berlin, DE", of what is known. */
const char *web_whereabouts(struct web *w, const char *city, const char *region);
/* Nothing but what our own paths and queries are made of, and not long: a form may send it back as where to go on. */
bool web_is_plain(const char *text);
/* "/acme" and more. */
#define web_path(w, fmt, ...) web_text(w, "/%s" fmt, (w)->account->slug __VA_OPT__(, ) __VA_ARGS__)
/* An id as text. */
const char *web_id(struct web *w, const struct uuid *id);

/* 404 as a page, for an id that is nobody's here. */
void web_not_found(struct web *w, const char *what);
/* What the store failed with: 503, and a line in the log. */
void web_store_failed(struct web *w);

/* The thing whose id is parameter number `param` of the path. NULL: answered. */
const void *web_get(struct web *w, enum kind k, u32 param);
/* One of this account that is shown beside: NULL when there is none of that id (or it is null). */
const void *web_find(struct web *w, enum kind k, const struct uuid *id);
/* Keeps a copy of what is lent; NULL without memory. */
const void *web_keep(struct web *w, enum kind k, const void *entity);
bool web_is_online(const struct web *w, enum kind k, const struct uuid *id);

/* What the body of a POST, or the query string, says of a form's fields. */
void web_fill_sent(struct exchange *x, struct form *form);
void web_fill_asked(struct exchange *x, struct form *form);

/* ---- lists ---- */

#define WEB_FILTERS_MAX 6u

/* A filter of a list as it stands in the query string and in the store. The field `q` is full-text. */
struct web_filter {
	const char *name;  /* in the query, and of the form's field */
	const char *field; /* of struct store_filter; NULL: the handler's own business */
};

struct web_list {
	struct list list;
	struct store_query query;
	struct store_page page;
	const void **rows; /* entities of query.kind, until web_end() */
	u32 n;
};

/* Reads order, cursor and filters from the query string: `form` (may be NULL) is filled with what was asked; fields that `filters` names with a
 * store field become filters, `q` the text. Then the handler may add to l->query. */
void web_list_begin(struct web *w, struct web_list *l, enum kind k, const char *what, const char *path, const struct column *columns, u32 n_columns,
		    struct form *form, const struct web_filter *filters, u32 n_filters);
/* Reads one page. False: answered (a stale cursor leads to the first page, the store's failure to 503). */
bool web_list_load(struct web *w, struct web_list *l) MUST_CHECK;

/* Rows that all these filters are true of, at most `max`, kept; *n is set. NULL: answered 503. For related lists, which have no pages. */
const void *const *web_select(struct web *w, enum kind k, const struct store_filter *filters, u32 n_filters, u32 max, u32 *n);

/* ---- choices of forms ---- */

/* A field that is one of many (groups, resources, clients, sites) by its id: a select of all of them, or of WEB_PICK_MAX with a search beside it, which
 * sends the form again; what is chosen (sent, else f->value) is among them in any case. It is required; of sites only when it says so, and then only
 * those are listed that an admin made. False: answered. */
#define WEB_PICK_MAX 50u
bool web_pick(struct web *w, struct form_field *f, enum kind k) MUST_CHECK;
/* Whether that is all that somebody wants: then the form is filled and only to be shown again. After the web_pick()s. */
bool web_is_finding(struct web *w, struct form *f);

/* ---- changing ---- */

/* Runs noun.verb by the person signed in: every field of the form that is not HIDDEN under its own name as it was sent; then the page answers by a->reply.
 * `target` NULL: none. Fields set with action_set() before (after action_begin()) are kept. */
enum admin_class web_act(struct web *w, struct action *a, struct form *form);
/* action_begin() by the person signed in, with `target` when it is not NULL. */
void web_action(struct web *w, struct action *a, const char *noun, const char *verb, const struct uuid *target);

/* Marks the form and returns the status of the answer that shows it again: 422, 403, 404, 409, 503. */
u16 web_form_failed(struct form *form, const struct action *a);
u16 web_status_of(enum admin_class class);

/* One-button actions: run, say what happened, go on to `path`; the complaint becomes the flash. What has an opposite may be undone (undo.h).
 * Ends the action. True when it was done. */
bool web_do(struct web *w, struct action *a, const char *path, const char *done);

/* POST of a button: noun.verb on the thing whose id is parameter `param` of the path, then web_do(). */
struct web_button {
	enum section section;
	enum kind kind;
	u32 param;
	const char *noun, *verb;
	const char *field; /* of the action, that says which; NULL: target */
	const char *name, *value; /* one field more; NULL: none */
	const char *list; /* "/clients": where one is afterwards, */
	bool stays_on_list; /* else on the page of the thing below it */
	const char *done;
};
void web_button(struct exchange *x, const struct web_button *b);

/* A form of one thing: GET shows it as it is filled; POST runs noun.update (noun.add when `id` is NULL), says `done` and goes on, or shows it again with the
 * complaint. What was before may be undone (undo.h). Answers. The page's title and crumbs are set before. */
struct web_edit {
	enum kind kind;
	const char *noun;
	const struct uuid *id;
	struct form *form;
	const char *done;	  /* "The site is renamed." */
	const char *href, *then; /* where one goes on; behind `href` come the id of what was made, and `then` (NULL: nothing) */
	void (*give)(struct web *w, struct action *a, bool is_new); /* NULL: every field under its own name */
	u16 (*failed)(struct form *f, struct action *a);	    /* NULL: web_form_failed() */
	const struct undo *undo; /* NULL: made of the fields of the form */
};
void web_edit(struct web *w, const struct web_edit *e);

/* ---- deleting ---- */

struct web_deletion {
	enum kind kind;
	const struct uuid *id;
	const char *noun;	/* of the action; NULL: kinds[kind].name */
	const char *name;	/* "Berlin" */
	const char *href;	/* its page; POST to <href>/delete */
	const char *list_href, *list_label; /* where one is afterwards */
	bool has_no_page;	/* it is shown in its list only */
	const char *note;	/* a sentence more; NULL: none */
	bool is_typed;		/* people lose access: the name must be typed when anything depends on it */
	const struct undo *undo; /* makes it again (undo.h); offered when nothing went with it. NULL: nothing can */
};

/* What goes with it, in words: the body of a page that asks before. With links when it is of one thing (`d`). */
struct confirm web_confirm(struct web *w, enum kind k, const char *one, const struct dependents *found, const struct web_deletion *d);

/* GET: the page that names what goes with it; POST: does it. Answers. */
void web_delete(struct web *w, const struct web_deletion *d);
