/* Clients: the devices of people and service accounts (spec 60 §9). */
#include "applets/portal/web/bulk.h"
#include "applets/portal/web/pages.h"
#include "applets/portal/web/templates.h"
#include "applets/portal/web/views_people.h"

#include "applets/portal/model/directory.h"
#include "applets/portal/model/pool.h"
#include "applets/portal/model/version.h"

#include <stdio.h>
#include <string.h>

struct client_row client_row(struct web *w, const struct client *c)
{
	struct client_row row = { .client = c, .href = web_path(w, "/clients/%s", web_id(w, &c->d.e.id)), .version = "", .system = "" };
	const struct actor *actor = directory_get(hub_directory(w->x->portal->hub), KIND_ACTOR, &w->account->e.id, &c->d.owner_id);
	struct store_session last;
	char name[64], version[64];

	if (actor) {
		row.actor = web_text(w, "%s", actor->name);
		row.actor_href = web_path(w, "/actors/%s", web_id(w, &actor->e.id));
	}
	row.is_online = web_is_online(w, KIND_CLIENT, &c->d.e.id);
	if (store_latest_session(w->x->portal->store, &w->account->e.id, &c->d.e.id, &last) == 0) {
		user_agent_os(last.user_agent, name, sizeof(name), version, sizeof(version));
		row.version = web_text(w, "%s", last.version);
		row.system = web_text(w, "%s", name);
	}
	return row;
}

#define ASKED_SINGLY 300u /* beyond it a set of all is faster */

struct presence {
	const struct web *w;
	bool is_wanted, is_all;
	u32 n_asked;
	struct ids online;
};

static int note_online(void *ctx, const struct hub_presence *p)
{
	return ids_add(ctx, &p->id);
}

static bool is_as_wanted(void *ctx, const struct uuid *id)
{
	struct presence *p = ctx;

	if (++p->n_asked == ASKED_SINGLY)
		p->is_all = hub_each(p->w->x->portal->hub, MSG_ROLE_CLIENT, &p->w->account->e.id, note_online, &p->online) == 0;
	return (p->is_all ? ids_has(&p->online, id) : web_is_online(p->w, KIND_CLIENT, id)) == p->is_wanted;
}

static u64 count_clients(const struct web *w, bool is_online)
{
	u32 n = hub_count(w->x->portal->hub, MSG_ROLE_CLIENT, &w->account->e.id);
	i64 all;

	if (is_online)
		return n;
	return store_rows(w->x->portal->store, KIND_CLIENT, &w->account->e.id, &all) == 0 && all > n ? (u64)all - n : 0;
}

void page_clients(struct exchange *x)
{
	static const struct column columns[] = { { .label = "Client", .sort = "name" }, { .label = "Whose" }, { .label = "Version" }, { .label = "Status" }, { .label = "Last started", .sort = "last_seen_at" }, { .label = "Since", .sort = "inserted_at" } };
	static const struct web_filter filters[] = { { "verified", "status" }, { "online", NULL } };
	static struct choice verified[] = { { .value = "verified", .label = "verified" }, { .value = "unverified", .label = "not verified" } };
	static struct choice online[] = { { .value = "yes", .label = "online" }, { .value = "no", .label = "away" } };
	struct form_field fields[] = {
		{ .name = "q", .label = "Name, person or e-mail" },
		{ .name = "verified", .label = "Verified", .kind = INPUT_SELECT, FORM_CHOICES(verified) },
		{ .name = "online", .label = "Status", .kind = INPUT_SELECT, FORM_CHOICES(online) },
	};
	struct form f = { FORM_FIELDS(fields) };
	struct clients_view v = { .n = 0 };
	struct presence presence = { .w = NULL };
	struct web_list l;
	struct web w;
	bool is_counted = false;

	if (!web_begin(&w, x, SECTION_CLIENTS))
		return;
	w.page.lead = "A client is a device that someone signed in on. It appears by itself the first time it connects.";
	w.page.live_topics = "clients";
	web_list_begin(&w, &l, KIND_CLIENT, "clients", web_path(&w, "/clients"), columns, ARRAY_LEN(columns), &f, filters, ARRAY_LEN(filters));
	if (*form_value(&f, "online")) {
		presence.w = &w;
		presence.is_wanted = strcmp(form_value(&f, "online"), "no") != 0;
		l.query.keep = is_as_wanted;
		l.query.keep_ctx = &presence;
		/* of all clients it is known how many are online: none is asked to count them */
		is_counted = !*form_value(&f, "q") && !*form_value(&f, "verified");
		l.query.wants_count = !is_counted;
	}
	bool is_loaded = web_list_load(&w, &l);
	ids_free(&presence.online);
	if (is_loaded) {
		if (is_counted)
			l.list.total = count_clients(&w, presence.is_wanted);
		v.list = l.list;
		v.list.bulk = bulk_bar(&w, "clients", NULL);
		v.filters = &f;
		v.rows = exchange_alloc(x, (l.n + 1) * sizeof(*v.rows));
		for (u32 i = 0; v.rows && i < l.n; i++)
			v.rows[v.n++] = client_row(&w, l.rows[i]);
		template_clients(&x->out, &w.page, &v);
		web_send(&w, 200);
	}
	web_end(&w);
}

void page_client(struct exchange *x)
{
	struct client_view v = { .remote_ip = "", .region = "", .user_agent = "" };
	struct connections connections;
	struct store_session last;
	struct web w;

	if (!web_begin(&w, x, SECTION_CLIENTS))
		return;
	v.client = web_get(&w, KIND_CLIENT, 1);
	if (v.client && connections_of(&w, KIND_CLIENT, &v.client->d.e.id, &connections)) {
		v.row = client_row(&w, v.client);
		v.connections = &connections;
		paths_of(&w, KIND_CLIENT, &v.client->d.e.id, &v.paths);
		v.ipv4 = pool_ip(POOL_IPV4, v.client->d.ipv4);
		v.ipv6 = pool_ip(POOL_IPV6, v.client->d.ipv6);
		if (store_latest_session(x->portal->store, &w.account->e.id, &v.client->d.e.id, &last) == 0) {
			v.remote_ip = web_text(&w, "%s", last.remote_ip);
			v.region = web_whereabouts(&w, last.city, last.region);
			v.user_agent = web_text(&w, "%s", last.user_agent);
			v.last_started = last.at;
		}
		v.edit_href = web_text(&w, "%s/edit", v.row.href);
		v.verify_href = web_text(&w, "%s/verify", v.row.href);
		v.unverify_href = web_text(&w, "%s/unverify", v.row.href);
		v.delete_href = web_text(&w, "%s/delete", v.row.href);
		v.why_href = web_path(&w, "/why?client=%s", web_id(&w, &v.client->d.e.id));
		page_crumb(&w.page, "Clients", web_path(&w, "/clients"));
		w.page.title = v.client->d.name;
		w.page.live_topics = web_text(&w, "clients,paths-%s", web_id(&w, &v.client->d.e.id));
		template_client(&x->out, &w.page, &v);
		web_send(&w, 200);
	}
	web_end(&w);
}

void page_client_edit(struct exchange *x)
{
	struct form_field fields[] = { { .name = "name", .label = "Name", .help = "How you recognise this device.", .max = 255, .is_required = true, .is_focused = true } };
	struct form f = { .submit = "Save name", FORM_FIELDS(fields) };
	const struct client *c;
	struct web w;

	if (!web_begin(&w, x, SECTION_CLIENTS))
		return;
	c = web_get(&w, KIND_CLIENT, 1);
	if (c) {
		f.cancel_href = web_path(&w, "/clients/%s", web_id(&w, &c->d.e.id));
		f.action = web_text(&w, "%s/edit", f.cancel_href);
		form_set(&f, "name", c->d.name);
		f.updated_at = c->d.e.updated_at;
		page_crumb(&w.page, "Clients", web_path(&w, "/clients"));
		page_crumb(&w.page, c->d.name, f.cancel_href);
		w.page.title = "Rename client";
		web_edit(&w, &(struct web_edit){ .kind = KIND_CLIENT, .noun = "client", .id = &c->d.e.id, .form = &f, .done = "The client is renamed.", .href = f.cancel_href });
	}
	web_end(&w);
}

#define CLIENT_BUTTON .section = SECTION_CLIENTS, .kind = KIND_CLIENT, .param = 1, .noun = "client", .list = "/clients"

void page_client_verify(struct exchange *x)
{
	web_button(x, &(struct web_button){ CLIENT_BUTTON, .verb = "verify", .done = "The client counts as verified now." });
}

void page_client_unverify(struct exchange *x)
{
	web_button(x, &(struct web_button){ CLIENT_BUTTON, .verb = "unverify", .done = "The client is not verified any more; what needs that ended just now." });
}

void page_client_delete(struct exchange *x)
{
	const struct client *c;
	struct web w;

	if (!web_begin(&w, x, SECTION_CLIENTS))
		return;
	c = web_get(&w, KIND_CLIENT, 1);
	if (c)
		web_delete(&w, &(struct web_deletion){ .kind = KIND_CLIENT,
						       .id = &c->d.e.id,
						       .name = c->d.name,
						       .href = web_path(&w, "/clients/%s", web_id(&w, &c->d.e.id)),
						       .list_href = web_path(&w, "/clients"),
						       .list_label = "Clients",
						       .note = "With a valid token it comes back as a new client with new addresses. To keep it out, revoke its token on its person's page." });
	web_end(&w);
}
