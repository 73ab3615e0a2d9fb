/* Groups: whom policies speak of (spec 60 §1.5, §9). */
#include "applets/portal/web/bulk.h"
#include "applets/portal/web/pages.h"
#include "applets/portal/web/templates.h"
#include "applets/portal/web/undo.h"
#include "applets/portal/web/views_people.h"

#include "applets/portal/model/directory.h"

#include <string.h>

static struct group_row group_row(struct web *w, const struct group *g)
{
	struct group_row row = { .group = g, .href = web_path(w, "/groups/%s", web_id(w, &g->e.id)), .is_everyone = group_is_everyone(g) };
	struct store *s = w->x->portal->store;

	if (store_tally_of(s, TALLY_MEMBERS_OF_GROUP, &w->account->e.id, &g->e.id, &row.members) ||
	    store_tally_of(s, TALLY_POLICIES_OF_GROUP, &w->account->e.id, &g->e.id, &row.policies))
		row.members = row.policies = 0;
	return row;
}

void page_groups(struct exchange *x)
{
	static const struct column columns[] = { { .label = "Group", .sort = "name" }, { .label = "Members", .is_number = true }, { .label = "Policies", .is_number = true }, { .label = "Changed", .sort = "updated_at" } };
	struct form_field fields[] = { { .name = "q", .label = "Name" } };
	struct form f = { FORM_FIELDS(fields) };
	struct groups_view v = { .n = 0 };
	struct web_list l;
	struct web w;

	if (!web_begin(&w, x, SECTION_PEOPLE))
		return;
	page_crumb(&w.page, "People", web_path(&w, "/actors"));
	w.page.title = "Groups";
	w.page.lead = "Policies speak of groups. Everyone holds all people by itself.";
	w.page.action = "New group";
	w.page.action_href = web_path(&w, "/groups/new");
	w.page.live_topics = "groups";
	web_list_begin(&w, &l, KIND_GROUP, "groups", web_path(&w, "/groups"), columns, ARRAY_LEN(columns), &f, NULL, 0);
	if (!l.query.sort)
		l.query.sort = l.list.sort = "name";
	if (web_list_load(&w, &l)) {
		v.list = l.list;
		v.list.bulk = bulk_bar(&w, "groups", NULL);
		v.filters = &f;
		v.rows = exchange_alloc(x, (l.n + 1) * sizeof(*v.rows));
		for (u32 i = 0; v.rows && i < l.n; i++)
			v.rows[v.n++] = group_row(&w, l.rows[i]);
		template_groups(&x->out, &w.page, &v);
		web_send(&w, 200);
	}
	web_end(&w);
}

static void group_form(struct exchange *x, bool is_new)
{
	struct form_field fields[] = { { .name = "name", .label = "Name", .placeholder = "Engineers", .max = 255, .is_required = true, .is_focused = true } };
	struct form f = { .submit = is_new ? "Create group" : "Save name", FORM_FIELDS(fields) };
	const struct group *g = NULL;
	struct web w;

	if (!web_begin(&w, x, SECTION_PEOPLE))
		return;
	if (!is_new)
		g = web_get(&w, KIND_GROUP, 1);
	if (is_new || g) {
		const char *list = web_path(&w, "/groups");
		f.cancel_href = g ? web_path(&w, "/groups/%s", web_id(&w, &g->e.id)) : list;
		f.action = web_text(&w, "%s/%s", f.cancel_href, g ? "edit" : "new");
		form_set(&f, "name", g ? g->name : NULL);
		f.updated_at = g ? g->e.updated_at : 0;
		page_crumb(&w.page, "People", web_path(&w, "/actors"));
		page_crumb(&w.page, "Groups", list);
		w.page.title = is_new ? "New group" : "Rename group";
		web_edit(&w, &(struct web_edit){ .kind = KIND_GROUP,
						 .noun = "group",
						 .id = g ? &g->e.id : NULL,
						 .form = &f,
						 .done = is_new ? "The group is made. Add its members." : "The group is renamed.",
						 .href = g ? f.cancel_href : web_path(&w, "/groups/") });
	}
	web_end(&w);
}

void page_group_new(struct exchange *x)
{
	group_form(x, true);
}

void page_group_edit(struct exchange *x)
{
	group_form(x, false);
}

/* ---- one group ---------------------------------------------------------------------------------------------------------------------- */

/* Few are found by their ids; a list of many is walked through. */
static void only_members(struct web *w, const struct group *g, struct ids *members, struct store_query *q)
{
	u32 n;
	void *const *list = directory_memberships(hub_directory(w->x->portal->hub), &w->account->e.id, &n);

	for (u32 i = 0; i < n; i++) {
		const struct membership *m = list[i];
		if (uuid_eq(&m->group_id, &g->e.id) && ids_add(members, &m->actor_id)) {
			ids_free(members);
			break;
		}
	}
	if (members->n > STORE_AMONG_MIN)
		q->among = members;
	else
		q->filters[q->n_filters++] = (struct store_filter){ "group_id", FILTER_IS, web_id(w, &g->e.id) };
}

static void show_group(struct web *w, const struct group *g, struct form *add, u16 status)
{
	static const struct column columns[] = { { .label = "Member", .sort = "name" }, { .label = "Kind" }, { .label = "E-mail" }, { .label = "Remove", .is_hidden = true } };
	struct form_field fields[] = { { .name = "q", .label = "Name or e-mail" } };
	struct form f = { FORM_FIELDS(fields) };
	struct group_view v = { .row = group_row(w, g), .add = add, .filters = &f };
	struct ids members = { 0 };
	struct web_list l;

	v.is_editable = !v.row.is_everyone && !g->idp_id;
	web_list_begin(w, &l, KIND_ACTOR, "members", v.row.href, columns, v.is_editable ? 4 : 3, &f, NULL, 0);
	if (v.row.is_everyone)
		l.query.filters[l.query.n_filters++] = (struct store_filter){ "email", FILTER_NOT_NULL, NULL };
	else
		only_members(w, g, &members, &l.query);
	l.query.is_rough = *form_value(&f, "q");
	bool is_loaded = web_list_load(w, &l);
	ids_free(&members);
	if (!is_loaded)
		return;
	v.list = l.list;
	if (!l.query.text || !*l.query.text)
		v.row.members = l.page.count;
	v.members = exchange_alloc(w->x, (l.n + 1) * sizeof(*v.members));
	for (u32 i = 0; v.members && i < l.n; i++) {
		const struct actor *a = l.rows[i];
		v.members[v.n++] = (struct member_row){ .actor = actor_row(w, a), .remove_href = web_text(w, "%s/members/%s/remove", v.row.href, web_id(w, &a->e.id)) };
	}
	v.policies_href = web_path(w, "/policies?group=%s", web_id(w, &g->e.id));
	v.new_policy_href = web_path(w, "/policies/new?group=%s", web_id(w, &g->e.id));
	v.edit_href = web_text(w, "%s/edit", v.row.href);
	v.delete_href = web_text(w, "%s/delete", v.row.href);
	page_crumb(&w->page, "People", web_path(w, "/actors"));
	page_crumb(&w->page, "Groups", web_path(w, "/groups"));
	w->page.title = g->name;
	w->page.lead = v.row.is_everyone ? "All people of this account, by themselves. Service accounts are not among them." :
		       g->idp_id	  ? "Copied from a directory: its members are changed there." :
					    NULL;
	template_group(&w->x->out, &w->page, &v);
	web_send(w, status);
}

/* GET: the group; POST: one member more. */
void page_group(struct exchange *x)
{
	struct form_field fields[] = { { .name = "actor", .label = "Add a member", .help = "An e-mail address, or the name of a service account.", .placeholder = "sam@acme.example", .is_required = true } };
	struct form f = { .submit = "Add", FORM_FIELDS(fields) };
	const struct group *g;
	struct action a;
	struct web w;

	if (!web_begin(&w, x, SECTION_PEOPLE))
		return;
	g = web_get(&w, KIND_GROUP, 1);
	if (g) {
		f.action = web_path(&w, "/groups/%s", web_id(&w, &g->e.id));
		web_action(&w, &a, "member", "add", NULL);
		action_set_id(&a, "group", &g->e.id);
		if (x->method != METHOD_POST) {
			show_group(&w, g, &f, 200);
		} else if (web_act(&w, &a, &f) == ADMIN_OK) {
			struct undo undo;
			exchange_flash(x, FLASH_INFO, "%s is a member now.", form_value(&f, "actor"));
			if (undo_of_action(&w, &undo, &a, f.action))
				undo_offer(&w, &undo);
			exchange_redirect(x, "%s", f.action);
		} else {
			if (a.reply.class == ADMIN_NOT_FOUND || a.reply.class == ADMIN_CONFLICT)
				form_error(&f, "actor", a.reply.class == ADMIN_CONFLICT ? "That is a member already." : "There is nobody of that address or name. Add the person first.");
			show_group(&w, g, &f, form_has_errors(&f) ? 422 : web_form_failed(&f, &a));
		}
		action_end(&a);
	}
	web_end(&w);
}

void page_member_remove(struct exchange *x)
{
	const struct group *g;
	const struct actor *member = NULL;
	struct action a;
	struct web w;

	if (!web_begin(&w, x, SECTION_PEOPLE))
		return;
	g = web_get(&w, KIND_GROUP, 1);
	if (g)
		member = web_get(&w, KIND_ACTOR, 2);
	if (member) {
		web_action(&w, &a, "member", "delete", NULL);
		action_set_id(&a, "group", &g->e.id);
		action_set_id(&a, "actor", &member->e.id);
		web_do(&w, &a, web_path(&w, "/groups/%s", web_id(&w, &g->e.id)), web_text(&w, "%s is no member any more.", member->name));
	}
	web_end(&w);
}

struct undo group_undo(struct web *w, const struct group *g)
{
	struct undo u = { .noun = "group", .verb = "add", .href = web_path(w, "/groups"), .said = UNDO_MADE_AGAIN, .is_too_much = group_is_everyone(g) || g->idp_id };

	undo_set(&u, "name", g->name);
	return u;
}

void page_group_delete(struct exchange *x)
{
	const struct group *g;
	struct web w;

	if (!web_begin(&w, x, SECTION_PEOPLE))
		return;
	g = web_get(&w, KIND_GROUP, 1);
	if (g) {
		struct undo undo = group_undo(&w, g);
		web_delete(&w, &(struct web_deletion){ .kind = KIND_GROUP,
						       .id = &g->e.id,
						       .name = g->name,
						       .href = web_path(&w, "/groups/%s", web_id(&w, &g->e.id)),
						       .list_href = web_path(&w, "/groups"),
						       .list_label = "Groups",
						       .is_typed = true,
						       .undo = &undo });
	}
	web_end(&w);
}
