/* Changing things: actions of forms and buttons, and deleting with a question before (web.h). */
#include "applets/portal/web/templates.h"
#include "applets/portal/web/undo.h"

#include <string.h>

/* ---- changes ------------------------------------------------------------------------------------------------------------------------ */

void web_action(struct web *w, struct action *a, const char *noun, const char *verb, const struct uuid *target)
{
	const char *since = w->x->method == METHOD_POST && target ? exchange_form(w->x, "if-updated-at") : NULL;

	action_begin(a, noun, verb, &w->me);
	if (target)
		action_set_id(a, "target", target);
	if (since && *since)
		action_set(a, "if-updated-at", since);
}

enum admin_class web_act(struct web *w, struct action *a, struct form *form)
{
	web_fill_sent(w->x, form);
	for (u32 i = 0; i < form->n_fields; i++) {
		const struct form_field *f = &form->fields[i];
		const char *value;

		if (f->kind == INPUT_HIDDEN)
			continue;
		if (f->kind == INPUT_CHECKBOX)
			action_set_bool(a, f->name, strcmp(form_value(form, f->name), "true") == 0);
		else
			for (u32 nth = 0; (value = exchange_form_nth(w->x, f->name, nth)); nth++)
				action_set(a, f->name, value);
	}
	return action_run(a, w->x->portal);
}

u16 web_status_of(enum admin_class class)
{
	switch (class) {
	case ADMIN_OK:
		return 200;
	case ADMIN_INVALID:
		return 422;
	case ADMIN_NOT_FOUND:
		return 404;
	case ADMIN_DENIED:
	case ADMIN_LIMIT:
		return 403;
	case ADMIN_CONFLICT:
		return 409;
	case ADMIN_UNAVAILABLE:
		return 503;
	}
	return 500;
}

u16 web_form_failed(struct form *form, const struct action *a)
{
	form_error(form, a->reply.field, a->reply.reason);
	return web_status_of(a->reply.class);
}

bool web_do(struct web *w, struct action *a, const char *path, const char *done)
{
	bool is_done = action_run(a, w->x->portal) == ADMIN_OK;
	struct undo undo;

	if (is_done) {
		exchange_flash(w->x, FLASH_INFO, "%s", done);
		if (undo_of_action(w, &undo, a, path))
			undo_offer(w, &undo);
	} else {
		exchange_flash(w->x, FLASH_ERROR, "%s", a->reply.reason);
	}
	action_end(a);
	exchange_redirect(w->x, "%s", path);
	return is_done;
}

void web_button(struct exchange *x, const struct web_button *b)
{
	const struct entity *e;
	struct action a;
	struct web w;

	if (!web_begin(&w, x, b->section))
		return;
	e = web_get(&w, b->kind, b->param);
	if (e) {
		web_action(&w, &a, b->noun, b->verb, b->field ? NULL : &e->id);
		if (b->field)
			action_set_id(&a, b->field, &e->id);
		if (b->name)
			action_set(&a, b->name, b->value);
		web_do(&w, &a, b->stays_on_list ? web_path(&w, "%s", b->list) : web_path(&w, "%s/%s", b->list, web_id(&w, &e->id)), b->done);
	}
	web_end(&w);
}

/* ---- forms of one thing ------------------------------------------------------------------------------------------------------------- */

static enum admin_class run_edit(struct web *w, const struct web_edit *e, struct action *a)
{
	if (!e->give)
		return web_act(w, a, e->form);
	web_fill_sent(w->x, e->form);
	e->give(w, a, !e->id);
	return action_run(a, w->x->portal);
}

void web_edit(struct web *w, const struct web_edit *e)
{
	bool is_sent = w->x->method == METHOD_POST && !web_is_finding(w, e->form);
	struct undo undo = { .noun = e->noun, .verb = "update", .href = e->href,
			     .said = e->kind == KIND_ACTOR ? "It is as it was before; sessions that ended stay ended." : "It is as it was before." };
	struct action a;

	if (is_sent && e->undo)
		undo = *e->undo;
	else if (is_sent && e->id)
		undo_form(w, &undo, e->form);
	web_action(w, &a, e->noun, e->id ? "update" : "add", e->id);
	if (!is_sent || run_edit(w, e, &a) != ADMIN_OK) {
		u16 status = !is_sent ? 200 : e->failed ? e->failed(e->form, &a) : web_form_failed(e->form, &a);
		template_form_page(&w->x->out, &w->page, e->form);
		web_send(w, status);
	} else {
		exchange_flash(w->x, FLASH_INFO, "%s", e->done);
		if (e->id) {
			undo_target(w, &undo, e->kind, e->id);
			undo_offer(w, &undo);
		}
		exchange_redirect(w->x, "%s%s%s", e->href, e->id ? "" : web_id(w, &a.reply.id), !e->id && e->then ? e->then : "");
	}
	action_end(&a);
}

/* ---- deleting ----------------------------------------------------------------------------------------------------------------------- */

static const char *what_happens(enum kind of, const char *one, u64 n)
{
	if (of == KIND_GROUP && strcmp(one, "policy") == 0)
		return n == 1 ? "grants nothing any more" : "grant nothing any more";
	if (strcmp(one, "token") == 0 || strcmp(one, "client token") == 0 || strcmp(one, "gateway token") == 0)
		return n == 1 ? "stops working" : "stop working";
	return n == 1 ? "is deleted" : "are deleted";
}

static bool loses_access(const struct dependents *d)
{
	for (u32 i = 0; i < d->n; i++)
		if (d->at[i].n > 0)
			return true;
	return false;
}

static const char *page_of(const struct web_deletion *d)
{
	return d->has_no_page ? d->list_href : d->href;
}

/* Where those that go with it are to be seen; NULL: nowhere in particular. */
static const char *link_of(struct web *w, const struct web_deletion *d, enum kind dependent)
{
	static const struct {
		enum kind of, dependent;
		const char *before, *after;
	} links[] = {
		{ KIND_SITE, KIND_RESOURCE, "/resources?site=", "" },
		{ KIND_SITE, KIND_POLICY, "/policies?site=", "" },
		{ KIND_SITE, KIND_GATEWAY, "/sites/", "/gateways" },
		{ KIND_RESOURCE, KIND_POLICY, "/policies?resource=", "" },
		{ KIND_GROUP, KIND_POLICY, "/policies?group=", "" },
		{ KIND_GROUP, KIND_MEMBERSHIP, "/groups/", "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(links); i++)
		if (links[i].of == d->kind && links[i].dependent == dependent)
			return web_path(w, "%s%s%s", links[i].before, web_id(w, d->id), links[i].after);
	return d->kind == KIND_ACTOR ? d->href : NULL;
}

struct confirm web_confirm(struct web *w, enum kind k, const char *one, const struct dependents *found, const struct web_deletion *d)
{
	struct confirm_item *items = exchange_alloc(w->x, DEPENDENTS_MAX * sizeof(*items));
	struct confirm c = { .kind = one, .dependents = items };

	for (u32 i = 0; items && i < found->n; i++)
		if (found->at[i].n > 0)
			items[c.n_dependents++] = (struct confirm_item){ .n = (u64)found->at[i].n, .one = found->at[i].one, .many = found->at[i].many,
									 .what = what_happens(k, found->at[i].one, (u64)found->at[i].n), .href = d ? link_of(w, d, found->at[i].kind) : NULL };
	return c;
}

static void ask_before_deletion(struct web *w, const struct web_deletion *d, const char *sent, const char *error, u16 status)
{
	struct dependents found = { .n = 0 };
	struct confirm c;

	if (admin_dependents(w->x->portal, d->kind, &w->account->e.id, d->id, &found)) {
		web_store_failed(w);
		return;
	}
	c = web_confirm(w, d->kind, d->noun ? d->noun : kinds[d->kind].name, &found, d);
	c.name = d->name;
	c.action = web_text(w, "%s/delete", d->href);
	c.cancel_href = page_of(d);
	c.sent = sent;
	c.error = error;
	if (d->is_typed && loses_access(&found))
		c.typed = d->name;
	c.submit = web_text(w, "Delete %s", c.kind);
	page_crumb(&w->page, d->list_label, d->list_href);
	if (!d->has_no_page)
		page_crumb(&w->page, d->name, d->href);
	w->page.title = web_text(w, "Delete %s?", d->name);
	w->page.lead = d->note;
	template_confirm(&w->x->out, &w->page, &c);
	web_send(w, status);
}

void web_delete(struct web *w, const struct web_deletion *d)
{
	const char *typed = exchange_form(w->x, "confirm");
	struct dependents found = { .n = 0 };
	bool is_alone;
	struct action a;

	if (w->x->method != METHOD_POST) {
		ask_before_deletion(w, d, NULL, NULL, 200);
		return;
	}
	if (admin_dependents(w->x->portal, d->kind, &w->account->e.id, d->id, &found)) {
		web_store_failed(w);
		return;
	}
	is_alone = !loses_access(&found);
	if (d->is_typed && loses_access(&found) && (!typed || strcmp(typed, d->name) != 0)) {
		ask_before_deletion(w, d, typed, "That is not its name. Type it exactly as it is written.", 422);
		return;
	}
	web_action(w, &a, d->noun ? d->noun : kinds[d->kind].name, "delete", d->id);
	if (action_run(&a, w->x->portal) == ADMIN_OK) {
		exchange_flash(w->x, FLASH_INFO, "%s was deleted.", d->name);
		if (d->undo && is_alone)
			undo_offer(w, d->undo);
		exchange_redirect(w->x, "%s", d->list_href);
	} else {
		exchange_flash(w->x, FLASH_ERROR, "%s", a.reply.reason);
		exchange_redirect(w->x, "%s", page_of(d));
	}
	action_end(&a);
}
