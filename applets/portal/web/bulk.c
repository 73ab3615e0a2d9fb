#include "applets/portal/web/bulk.h"

#include "applets/portal/model/directory.h"
#include "applets/portal/web/pages.h"
#include "applets/portal/web/templates.h"
#include "applets/portal/web/undo.h"

#include <assert.h>
#include <string.h>

static_assert(STORE_PAGE_DEFAULT <= BULK_MAX && BULK_MAX <= UNDO_TARGETS_MAX, "a page of a list is done, and undone, at once");

#define FAILURES_NAMED 3u /* in the message; the table below has all */
#define STEP_PAUSE MSEC(1) /* between two rows others are served */

/* ---- what can be done with what ------------------------------------------------------------------------------------------------------ */

static const struct bulk_verb deleting[] = { { "delete", "Delete", "deleted", true } };
static const struct bulk_verb revoking[] = { { "delete", "Revoke", "revoked", true } };
static const struct bulk_verb of_policies[] = { { "enable", "Enable", "enabled", false }, { "disable", "Disable", "disabled", false }, { "delete", "Delete", "deleted", true } };
static const struct bulk_verb of_people[] = { { "enable", "Enable", "enabled", false }, { "disable", "Disable", "disabled", false }, { "delete", "Delete", "deleted", true } };
static const struct bulk_verb of_clients[] = { { "verify", "Verify", "verified", false }, { "unverify", "Unverify", "no longer verified", false }, { "delete", "Delete", "deleted", true } };

static const struct bulk_kind {
	const char *what, *one; /* "people", "person" */
	enum kind kind;
	const char *noun, *path;
	enum section section;
	const struct bulk_verb *verbs;
	u32 n_verbs;
	bool is_typed; /* people lose access: what is done must be typed */
} bulk_kinds[] = {
	{ "resources", "resource", KIND_RESOURCE, "resource", "/resources", SECTION_RESOURCES, deleting, ARRAY_LEN(deleting), true },
	{ "policies", "policy", KIND_POLICY, "policy", "/policies", SECTION_POLICIES, of_policies, ARRAY_LEN(of_policies), false },
	{ "clients", "client", KIND_CLIENT, "client", "/clients", SECTION_CLIENTS, of_clients, ARRAY_LEN(of_clients), false },
	{ "people", "person", KIND_ACTOR, "actor", "/actors", SECTION_PEOPLE, of_people, ARRAY_LEN(of_people), true },
	{ "groups", "group", KIND_GROUP, "group", "/groups", SECTION_PEOPLE, deleting, ARRAY_LEN(deleting), true },
	{ "tokens", "token", KIND_CLIENT_TOKEN, "token", "/actors/", SECTION_PEOPLE, revoking, ARRAY_LEN(revoking), false },
};

static const struct bulk_kind *kind_of(struct span what)
{
	for (size_t i = 0; i < ARRAY_LEN(bulk_kinds); i++)
		if (what.n == strlen(bulk_kinds[i].what) && memcmp(what.p, bulk_kinds[i].what, what.n) == 0)
			return &bulk_kinds[i];
	return NULL;
}

static const struct bulk_verb *verb_of(const struct bulk_kind *k, const char *verb)
{
	for (u32 i = 0; verb && i < k->n_verbs; i++)
		if (strcmp(k->verbs[i].verb, verb) == 0)
			return &k->verbs[i];
	return NULL;
}

const struct bulk_bar *bulk_bar(struct web *w, const char *what, const struct uuid *of)
{
	const struct bulk_kind *k = kind_of(SPAN(what, strlen(what)));
	struct bulk_bar *bar = exchange_alloc(w->x, sizeof(*bar));

	if (bar)
		*bar = (struct bulk_bar){ .action = web_path(w, "/selected/%s", what), .what = what, .back = web_text(w, "%.*s", (int)w->x->query.n, (const char *)w->x->query.p),
					  .of = of, .verbs = k->verbs, .n_verbs = k->n_verbs };
	return bar;
}

/* ---- what is chosen ------------------------------------------------------------------------------------------------------------------ */

struct chosen {
	struct uuid id;
	const char *noun, *name;
	char *reason; /* why it was not done */
	bool is_done, is_alone; /* alone: nothing goes with it */
	struct admin_field *again; /* what makes it again when it was deleted; NULL: nothing can */
	u32 n_again;
};

struct bulk {
	struct exchange *x;
	struct principal me;
	const struct bulk_kind *kind;
	const struct bulk_verb *verb;
	const char *list; /* where one is afterwards */
	struct chosen at[BULK_MAX];
	u32 n, next, n_done;
	u32 n_gone; /* chosen, but nobody's here: deleted meanwhile */
	struct loop_timer timer;
};

/* NULL: nothing that may be chosen in this list. */
static const char *name_of(struct web *w, const struct bulk_kind *k, const struct uuid *id, const char **noun)
{
	const union any_entity *e = web_find(w, k->kind, id);

	*noun = k->noun;
	if (!e)
		return NULL;
	switch ((int)k->kind) {
	case KIND_RESOURCE:
		if (e->resource.type == RESOURCE_POOL)
			*noun = "pool";
		return e->resource.name;
	case KIND_POLICY:
		return policy_name(w, &e->policy);
	case KIND_CLIENT:
		return e->client.d.name;
	case KIND_ACTOR:
		return e->actor.type == ACTOR_API ? NULL : e->actor.name;
	case KIND_GROUP:
		return e->group.name;
	case KIND_CLIENT_TOKEN:
		return e->token.name && *e->token.name ? e->token.name : "Token";
	}
	return NULL;
}

static bool is_chosen(const struct bulk *b, const struct uuid *id)
{
	for (u32 i = 0; i < b->n; i++)
		if (uuid_eq(&b->at[i].id, id))
			return true;
	return false;
}

/* False: more than BULK_MAX. */
static bool read_chosen(struct web *w, struct bulk *b)
{
	const char *text, *name, *noun;
	struct uuid id;

	for (u32 i = 0; (text = exchange_form_nth(w->x, "id", i)); i++) {
		if (i == BULK_MAX)
			return false;
		name = uuid_parse(SPAN(text, strlen(text)), &id) ? NULL : name_of(w, b->kind, &id, &noun);
		if (!name)
			b->n_gone++;
		else if (!is_chosen(b, &id))
			b->at[b->n++] = (struct chosen){ .id = id, .noun = noun, .name = web_text(w, "%s", name) };
	}
	return true;
}

/* The list as it was filtered. */
static const char *list_of(struct web *w, const struct bulk_kind *k)
{
	const char *back = exchange_form(w->x, "back"), *of = exchange_form(w->x, "of");
	struct uuid id;

	if (k->kind == KIND_CLIENT_TOKEN)
		return of && uuid_parse(SPAN(of, strlen(of)), &id) == 0 ? web_path(w, "/actors/%s", web_id(w, &id)) : web_path(w, "/actors");
	return back && *back && web_is_plain(back) ? web_path(w, "%s?%s", k->path, back) : web_path(w, "%s", k->path);
}

static const char *how_many(struct web *w, const struct bulk_kind *k, u32 n)
{
	return web_text(w, "%u %s", n, n == 1 ? k->one : k->what);
}

/* ---- asking before ------------------------------------------------------------------------------------------------------------------- */

static int count_dependents(struct web *w, struct bulk *b, struct dependents *all)
{
	struct dependents one;
	int rc = 0;

	all->n = 0;
	for (u32 i = 0; i < b->n && !rc; i++) {
		rc = admin_dependents(w->x->portal, b->kind->kind, &w->account->e.id, &b->at[i].id, &one);
		b->at[i].is_alone = !rc && one.n == 0;
		for (u32 d = 0; d < one.n && !rc; d++) {
			u32 at = 0;
			while (at < all->n && all->at[at].kind != one.at[d].kind)
				at++;
			if (at == all->n && all->n < DEPENDENTS_MAX)
				all->at[all->n++] = one.at[d];
			else if (at < all->n)
				all->at[at].n += one.at[d].n;
		}
	}
	return rc == ERR_NOT_FOUND ? 0 : rc;
}

/* True: may go on. Else it answered. */
static bool is_sure(struct web *w, struct bulk *b)
{
	const char *sure = exchange_form(w->x, "sure"), *typed = exchange_form(w->x, "confirm");
	struct confirm_name *names;
	struct dependents found;
	struct confirm c;

	if (count_dependents(w, b, &found)) {
		web_store_failed(w);
		return false;
	}
	c = web_confirm(w, b->kind->kind, b->kind->one, &found, NULL);
	if (b->kind->is_typed && c.n_dependents > 0)
		c.typed = web_text(w, "%s %u", b->verb->verb, b->n);
	if (sure && (!c.typed || (typed && strcmp(typed, c.typed) == 0)))
		return true;
	c.sent = sure ? typed : NULL;
	if (sure)
		c.error = "That is something else. Type it exactly as it is written.";
	names = exchange_alloc(w->x, (b->n + 1) * sizeof(*names));
	for (u32 i = 0; names && i < b->n; i++)
		names[i] = (struct confirm_name){ &b->at[i].id, b->at[i].name };
	c.names = names;
	c.n_names = names ? b->n : 0;
	c.verb = b->verb->verb;
	c.back = exchange_form(w->x, "back");
	c.of = exchange_form(w->x, "of");
	c.action = web_path(w, "/selected/%s", b->kind->what);
	c.cancel_href = b->list;
	c.submit = web_text(w, "%s %s", b->verb->label, how_many(w, b->kind, b->n));
	w->page.title = web_text(w, "%s?", c.submit);
	template_confirm(&w->x->out, &w->page, &c);
	web_send(w, c.error ? 422 : 200);
	return false;
}

/* ---- taking it back ------------------------------------------------------------------------------------------------------------------ */

/* Before they are deleted: how to make those again that nothing goes with, as web_delete() offers of one alone. */
static void remember(struct web *w, struct bulk *b)
{
	for (u32 i = 0; i < b->n; i++) {
		struct chosen *c = &b->at[i];
		const union any_entity *e = c->is_alone ? web_find(w, b->kind->kind, &c->id) : NULL;
		struct undo u;

		if (!e)
			continue;
		if (b->kind->kind == KIND_RESOURCE)
			u = resource_undo(w, &e->resource, NULL);
		else if (b->kind->kind == KIND_POLICY)
			u = policy_undo(w, &e->policy, NULL);
		else if (b->kind->kind == KIND_GROUP)
			u = group_undo(w, &e->group);
		else
			return;
		c->again = u.is_too_much ? NULL : exchange_alloc(w->x, (u.n_fields + 1) * sizeof(u.field[0]));
		c->n_again = c->again ? u.n_fields : 0;
		for (u32 f = 0; f < c->n_again; f++) /* their texts are the directory's */
			c->again[f] = (struct admin_field){ u.field[f].name, web_text(w, "%s", u.field[f].value) };
	}
}

/* Of those that were done. */
static void offer_undo(struct web *w, const struct bulk *b)
{
	struct undo u;
	u32 n = 0;

	if (undo_opposite(&u, b->kind->noun, b->verb->verb, b->list)) {
		if (b->n_done > 1)
			u.said = "All are as they were. Sessions, tokens and connections that ended stay ended.";
		for (u32 i = 0; i < b->n; i++)
			if (b->at[i].is_done)
				undo_target(w, &u, b->kind->kind, &b->at[i].id);
		n = u.n_targets;
	} else {
		u = (struct undo){ .noun = b->kind->noun, .verb = "add", .href = b->list };
		for (u32 i = 0; i < b->n; i++) {
			const struct chosen *c = &b->at[i];

			if (!c->is_done || !c->again)
				continue;
			if (n++ > 0)
				undo_set(&u, "", "");
			for (u32 f = 0; f < c->n_again; f++)
				undo_set(&u, c->again[f].name, c->again[f].value);
		}
		u.said = b->n_done == 1 ? UNDO_MADE_AGAIN : web_text(w, "%u of %u are made again as they were, under new ids: links to the old ones lead nowhere.", n, b->n_done);
	}
	if (n > 0)
		undo_offer(w, &u);
}

/* ---- doing it, a row a turn ----------------------------------------------------------------------------------------------------------- */

static void tell_failures(struct web *w, const struct bulk *b)
{
	struct bulk_result v = { .list_href = b->list };
	struct bulk_failure *failures = exchange_alloc(w->x, (b->n + 1) * sizeof(*failures));
	const char *text = "";
	u32 n_not = b->n - b->n_done + b->n_gone, n_all = b->n + b->n_gone;

	for (u32 i = 0; failures && i < b->n; i++)
		if (b->at[i].reason)
			failures[v.n++] = (struct bulk_failure){ b->at[i].name, b->at[i].reason };
	if (failures && b->n_gone > 0)
		failures[v.n++] = (struct bulk_failure){ how_many(w, b->kind, b->n_gone), "not there any more" };
	v.failures = failures;
	if (b->n_done > 0)
		text = web_text(w, "%s %s %s. ", how_many(w, b->kind, b->n_done), b->n_done == 1 ? "is" : "are", b->verb->past);
	for (u32 i = 0; i < v.n && i < FAILURES_NAMED; i++)
		text = web_text(w, "%s%s%s: %s", text, i ? "; " : "Not done: ", failures[i].name, failures[i].reason);
	if (v.n > FAILURES_NAMED)
		text = web_text(w, "%s; and %u more", text, v.n - FAILURES_NAMED);
	w->page.flash = (struct notice){ .tone = b->n_done > 0 ? TONE_WARN : TONE_BAD, .text = text };
	w->page.title = web_text(w, "%u of %u %s not %s", n_not, n_all, n_not == 1 ? "is" : "are", b->verb->past);
	template_bulk_result(&w->x->out, &w->page, &v);
	web_send(w, 200);
}

static void finish(struct bulk *b)
{
	struct web w;

	if (!web_begin(&w, b->x, b->kind->section))
		return;
	offer_undo(&w, b);
	if (b->n_done < b->n || b->n_gone > 0) {
		tell_failures(&w, b);
	} else {
		exchange_flash(b->x, FLASH_INFO, "%s %s %s.", how_many(&w, b->kind, b->n), b->n == 1 ? "is" : "are", b->verb->past);
		exchange_redirect(b->x, "%s", b->list);
	}
	web_end(&w);
}

static void step(void *ctx, u64 now)
{
	struct bulk *b = ctx;
	struct chosen *c = &b->at[b->next];
	struct action a;

	action_begin(&a, c->noun, b->verb->verb, &b->me);
	action_set_id(&a, "target", &c->id);
	if (action_run(&a, b->x->portal) == ADMIN_OK) {
		b->n_done++;
		c->is_done = true;
	} else {
		c->reason = exchange_alloc(b->x, strlen(a.reply.reason) + 1);
		if (c->reason)
			strcpy(c->reason, a.reply.reason);
	}
	action_end(&a);
	if (++b->next < b->n)
		loop_timer_set(b->x->loop, &b->timer, now + STEP_PAUSE);
	else
		finish(b);
}

static void left(void *ctx)
{
	struct bulk *b = ctx;

	loop_timer_clear(b->x->loop, &b->timer);
}

/* POST /:account/selected/:what */
void page_selected(struct exchange *x)
{
	const struct bulk_kind *k = kind_of(x->param[1]);
	const struct bulk_verb *v = k ? verb_of(k, exchange_form(x, "do")) : NULL;
	struct bulk *b;
	struct web w;

	if (!web_begin(&w, x, k ? k->section : SECTION_OVERVIEW))
		return;
	b = exchange_alloc(x, sizeof(*b));
	if (!k || !v) {
		web_not_found(&w, "list or action");
	} else if (!b) {
		exchange_problem(x, 503, NULL);
	} else {
		*b = (struct bulk){ .x = x, .me = w.me, .kind = k, .verb = v, .list = list_of(&w, k) };
		if (!read_chosen(&w, b)) {
			exchange_flash(x, FLASH_ERROR, "At most %u rows can be chosen at once.", BULK_MAX);
			exchange_redirect(x, "%s", b->list);
		} else if (b->n + b->n_gone == 0) {
			exchange_flash(x, FLASH_ERROR, "Nothing was selected: tick some rows first.");
			exchange_redirect(x, "%s", b->list);
		} else if (b->n == 0) {
			web_not_found(&w, k->one);
		} else if (!v->is_danger || is_sure(&w, b)) {
			if (strcmp(v->verb, "delete") == 0)
				remember(&w, b);
			b->timer = (struct loop_timer){ .cb = step, .ctx = b };
			exchange_defer(x, left, b);
			loop_timer_set(x->loop, &b->timer, loop_now(x->loop));
		}
	}
	web_end(&w);
}
