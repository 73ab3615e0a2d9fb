/* What was changed by whom, relays, and why somebody cannot reach something. */
#include "applets/portal/web/pages.h"
#include "applets/portal/web/templates.h"
#include "applets/portal/web/views_overview.h"

#include "applets/portal/model/access.h"
#include "applets/portal/model/directory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where the page of a thing is; NULL: it has none. */
static const char *place_of(enum kind k)
{
	switch ((int)k) {
	case KIND_SITE:
		return "sites";
	case KIND_RESOURCE:
		return "resources";
	case KIND_POLICY:
		return "policies";
	case KIND_CLIENT:
		return "clients";
	case KIND_GATEWAY:
		return "gateways";
	case KIND_ACTOR:
		return "actors";
	case KIND_GROUP:
		return "groups";
	}
	return NULL;
}

/* ---- activity ----------------------------------------------------------------------------------------------------------------------- */

struct trail {
	struct web *w;
	struct activity_view *v;
	i64 first, last;
};

static const char *verb_of(const char *op)
{
	return strcmp(op, "insert") == 0 ? "made" : strcmp(op, "delete") == 0 ? "deleted" : "changed";
}

static const char *copy_or_null(struct web *w, const char *s)
{
	return s ? web_text(w, "%s", s) : NULL;
}

static int take_audit(void *ctx, const struct store_audit *a)
{
	struct trail *t = ctx;
	struct web *w = t->w;
	const char *place = NULL;
	bool is_gone = strcmp(a->op, "delete") == 0, is_gone_since = false;

	for (int k = 0; k < KIND_COUNT; k++)
		if (strcmp(kinds[k].name, a->kind) == 0 && (place = place_of((enum kind)k)))
			is_gone_since = !is_gone && !web_find(w, (enum kind)k, &a->id);
	t->first = t->v->n == 0 ? a->seq : t->first;
	t->last = a->seq;
	t->v->rows[t->v->n++] = (struct audit_row){
		.at = a->at,
		.who = a->actor_name ? web_text(w, "%s", a->actor_name) : strcmp(a->principal, "operator") == 0 ? "the command line" : strcmp(a->principal, "setup") == 0 ? "a one-time link" : "the portal",
		.from = a->remote_ip ? web_text(w, "%s", a->remote_ip) : "",
		.what = web_text(w, "%s %s %s%s", verb_of(a->op), a->kind, a->name ? a->name : "", is_gone_since ? " (deleted since)" : ""),
		.href = place && !is_gone && !is_gone_since ? web_path(w, "/%s/%s", place, web_id(w, &a->id)) : NULL,
		.old_json = copy_or_null(w, a->old_json),
		.new_json = copy_or_null(w, a->new_json),
	};
	return 0;
}

static void read_query(struct web *w, struct form *f, struct store_audit_query *q)
{
	const char *after = exchange_query(w->x, "after"), *before = exchange_query(w->x, "before");

	*q = (struct store_audit_query){ .account = w->account->e.id, .kind = form_value(f, "kind"), .op = form_value(f, "op"), .text = form_value(f, "q") };
	q->kind = *q->kind ? q->kind : NULL;
	q->op = *q->op ? q->op : NULL;
	q->text = *q->text ? q->text : NULL;
	q->before = after ? strtoll(after, NULL, 10) : 0;
	q->after = before ? strtoll(before, NULL, 10) : 0;
}

void page_activity(struct exchange *x)
{
	static struct choice ops[] = { { .value = "insert", .label = "made" }, { .value = "update", .label = "changed" }, { .value = "delete", .label = "deleted" } };
	struct choice of[KIND_COUNT];
	u32 n_kinds = 0;
	struct form_field fields[] = {
		{ .name = "q", .label = "Name or value" },
		{ .name = "kind", .label = "Of what", .kind = INPUT_SELECT, FORM_CHOICES(of) },
		{ .name = "op", .label = "What happened", .kind = INPUT_SELECT, FORM_CHOICES(ops) },
	};
	struct form f = { FORM_FIELDS(fields) };
	struct activity_view v = { .filters = &f };
	struct connections connections;
	struct store_audit_query q;
	struct trail t = { .v = &v };
	struct web_list l;
	struct web w;
	bool has_more = false;

	for (int k = 0; k < KIND_COUNT; k++)
		if (kinds[k].is_audited && !kinds[k].is_global)
			of[n_kinds++] = (struct choice){ .value = kinds[k].name, .label = kinds[k].name };
	fields[1].n_choices = n_kinds;
	if (!web_begin(&w, x, SECTION_ACTIVITY))
		return;
	t.w = &w;
	web_list_begin(&w, &l, KIND_ACCOUNT, "changes", web_path(&w, "/activity"), NULL, 0, &f, NULL, 0);
	v.list = l.list;
	read_query(&w, &f, &q);
	v.rows = exchange_alloc(x, STORE_PAGE_MAX * sizeof(*v.rows));
	if (!v.rows || store_audit_page(x->portal->store, &q, take_audit, &t, &has_more)) {
		web_store_failed(&w);
	} else if (connections_of(&w, KIND_COUNT, NULL, &connections)) {
		if (has_more || q.after)
			v.list.next = v.n ? web_text(&w, "%lld", (long long)t.last) : NULL;
		if (q.before || (q.after && has_more))
			v.list.prev = v.n ? web_text(&w, "%lld", (long long)t.first) : NULL;
		v.connections = &connections;
		v.export_href = web_path(&w, "/activity/export");
		w.page.lead = "Who changed what, and who connected where.";
		template_activity(&x->out, &w.page, &v);
		web_send(&w, 200);
	}
	web_end(&w);
}

/* All of it as JSON lines, newest first, AUDIT_LIMIT_MAX at a time: ?after=<seq> goes on. A thousand rows are 5 ms: they are read in slices. */
#define SLICE 100u

struct export {
	struct exchange *x;
	struct loop_task task;
	struct store_audit_query q;
	u32 n;
};

static int export_row(void *ctx, const struct store_audit *a)
{
	struct export *e = ctx;
	struct exchange *x = e->x;
	struct json_out o = JSON_OUT;
	char id[UUID_STRLEN];

	json_open(&o, NULL);
	json_put_i64(&o, "seq", a->seq);
	json_put_i64(&o, "at_us", a->at);
	json_put_str(&o, "op", a->op);
	json_put_str(&o, "kind", a->kind);
	json_put_str(&o, "id", uuid_format(&a->id, id));
	json_put_str(&o, "name", a->name);
	json_put_str(&o, "principal", a->principal);
	json_put_str(&o, "actor_name", a->actor_name);
	json_put_str(&o, "actor_email", a->actor_email);
	json_put_str(&o, "remote_ip", a->remote_ip);
	json_put_str(&o, "user_agent", a->user_agent);
	if (a->old_json)
		json_put_raw(&o, "old", SPAN(a->old_json, strlen(a->old_json)));
	if (a->new_json)
		json_put_raw(&o, "new", SPAN(a->new_json, strlen(a->new_json)));
	json_close(&o);
	if (json_ok(&o)) {
		strbuf_add(&x->out, o.buf, o.len);
		strbuf_putc(&x->out, '\n');
	}
	json_out_free(&o);
	e->q.before = a->seq;
	e->n++;
	return 0;
}

static void export_slice(void *ctx, u64 now)
{
	struct export *e = ctx;
	struct exchange *x = e->x;
	bool has_more = false;

	(void)now;
	if (store_audit_page(x->portal->store, &e->q, export_row, e, &has_more) || !strbuf_ok(&x->out)) {
		strbuf_reset(&x->out);
		exchange_problem(x, 503, NULL);
	} else if (has_more && e->n < AUDIT_LIMIT_MAX) {
		loop_task_queue(x->loop, &e->task);
	} else {
		exchange_header(x, "Content-Type", "application/jsonl");
		exchange_header(x, "Content-Disposition", "attachment; filename=\"activity.jsonl\"");
		exchange_send(x);
	}
}

static void export_gone(void *ctx)
{
	struct export *e = ctx;

	loop_task_cancel(e->x->loop, &e->task);
}

void page_activity_export(struct exchange *x)
{
	const char *after = exchange_query(x, "after");
	struct export *e;
	struct web w;

	if (!web_begin(&w, x, SECTION_ACTIVITY))
		return;
	e = exchange_alloc(x, sizeof(*e));
	if (e) {
		*e = (struct export){ .x = x, .task = { export_slice, e, NULL, NULL } };
		e->q = (struct store_audit_query){ .account = w.account->e.id, .limit = SLICE, .before = after ? strtoll(after, NULL, 10) : 0 };
		exchange_defer(x, export_gone, e);
		loop_task_queue(x->loop, &e->task);
	} else {
		exchange_problem(x, 503, NULL);
	}
	web_end(&w);
}

/* ---- relays ------------------------------------------------------------------------------------------------------------------------- */

#define RELAYS_SHOWN 200u

struct relays {
	struct web *w;
	struct relays_view *v;
};

static int take_relay(void *ctx, const struct hub_presence *p)
{
	struct relays *g = ctx;

	if (g->v->n < RELAYS_SHOWN)
		g->v->rows[g->v->n++] = (struct relay_row){ p->id, p->v4, p->v6, p->remote_ip, web_text(g->w, "%s", p->version) };
	return 0;
}

void page_relays(struct exchange *x)
{
	struct relays_view v = { .n = 0 };
	struct relays g;
	struct web w;

	if (!web_begin(&w, x, SECTION_RELAYS))
		return;
	g = (struct relays){ &w, &v };
	w.page.lead = "Relays carry traffic where a direct path cannot be found. They see only what is encrypted, and serve all accounts.";
	w.page.live_topics = "relays";
	v.rows = exchange_alloc(x, RELAYS_SHOWN * sizeof(*v.rows));
	if (v.rows)
		(void)hub_each(x->portal->hub, MSG_ROLE_RELAY, NULL, take_relay, &g);
	template_relays(&x->out, &w.page, &v);
	web_send(&w, 200);
	web_end(&w);
}

/* ---- why ---------------------------------------------------------------------------------------------------------------------------- */

struct why {
	struct web *w;
	struct why_view *v;
	bool is_broken;
};

static void say(struct why *y, bool is_ok, const char *title, const char *text, const char *label, const char *href)
{
	if (y->v->n == ARRAY_LEN(y->v->links))
		return;
	y->v->links[y->v->n++] = (struct why_link){ .title = title, .text = text, .state = y->is_broken ? WHY_UNKNOWN : is_ok ? WHY_OK : WHY_BROKEN, .href = is_ok ? NULL : href, .label = label };
	y->is_broken |= !is_ok;
}

static int find_gateway(void *ctx, const struct hub_presence *p)
{
	struct { const struct uuid *site; u32 online, compatible; struct version client; } *f = ctx;
	struct version v = version_read(p->version);

	if (!uuid_eq(&p->owner_id, f->site))
		return 0;
	f->online++;
	f->compatible += version_is_compatible(&f->client, &v);
	return 0;
}

static int count_any(void *ctx, const struct hub_presence *p)
{
	(void)p;
	++*(u32 *)ctx;
	return 0;
}

static const char *broken_conditions(struct web *w, u32 violated)
{
	static const char *const words[PROP_COUNT] = { "the country it connects from", "the network it connects from", "how its person signed in", "the time of day", "that the device is not verified" };
	const char *out = "";

	for (u32 i = 0; i < PROP_COUNT; i++)
		if (violated & (1u << i))
			out = web_text(w, "%s%s%s", out, *out ? ", " : "", words[i]);
	return out;
}

static void walk(struct why *y, const struct client *c, const struct resource *r)
{
	struct web *w = y->w;
	struct portal *p = w->x->portal;
	const struct directory *d = hub_directory(p->hub);
	const struct actor *actor = web_find(w, KIND_ACTOR, &c->d.owner_id);
	struct subject s = { .account_id = w->account->e.id, .actor_id = c->d.owner_id, .is_verified = c->verified_at != 0, .expires_at = INT64_MAX / 2, .zones = p->zones };
	struct { const struct uuid *site; u32 online, compatible; struct version client; } found = { .site = &r->site_id };
	struct store_session last;
	struct token token;
	struct grant grant;
	u32 violated = 0, relays = 0;
	bool has_session = store_latest_session(p->store, &w->account->e.id, &c->d.e.id, &last) == 0;
	bool is_online = web_is_online(w, KIND_CLIENT, &c->d.e.id);
	bool has_token = has_session && store_get(p->store, KIND_CLIENT_TOKEN, &w->account->e.id, &last.token_id, &token) == 0;

	if (has_session) {
		(void)ip_parse(SPAN(last.remote_ip, strlen(last.remote_ip)), &s.remote_ip);
		memcpy(s.region, last.region, 2);
		found.client = s.version = version_read(last.version);
	}
	if (has_token) {
		s.auth_provider = token.auth_provider_id;
		s.expires_at = token.expires_at / 1000000;
		entity_deinit(KIND_CLIENT_TOKEN, &token);
	}
	say(y, actor && !actor->disabled_at, "Person", actor && !actor->disabled_at ? web_text(w, "%s is enabled.", actor->name) : "The person is disabled.", "Open the person", actor ? web_path(w, "/actors/%s", web_id(w, &actor->e.id)) : NULL);
	say(y, has_token, "Token", has_token ? "The client's token is valid." : "The token it connected with is gone or expired: it has to sign in again.", NULL, NULL);
	say(y, is_online, "Client", is_online ? "The client is connected to this portal." : "The client is not connected to this portal now.", NULL, NULL);
	int rc = access_grant(d, &s, &r->e.id, (i64)(w->x->wall / 1000000000), &grant, &violated);
	say(y, rc != ERR_NOT_FOUND, "Policy", rc == ERR_NOT_FOUND ? "No enabled policy lets a group of this person reach the resource." : "A policy names a group of this person.", "Add a policy", web_path(w, "/policies/new?resource=%s", web_id(w, &r->e.id)));
	say(y, rc == 0, "Conditions", rc == 0 ? "The conditions hold." : web_text(w, "A condition does not hold: %s.", broken_conditions(w, violated)), "See its policies", web_path(w, "/resources/%s", web_id(w, &r->e.id)));
	if (r->type != RESOURCE_POOL) {
		(void)hub_each(p->hub, MSG_ROLE_GATEWAY, &w->account->e.id, find_gateway, &found);
		say(y, found.online > 0, "Gateway", found.online > 0 ? web_text(w, "%u of its site online.", found.online) : "No gateway of its site is online.", "Open the site", web_path(w, "/sites/%s", web_id(w, &r->site_id)));
		say(y, found.compatible > 0, "Version", found.compatible > 0 ? "Client and gateway understand each other." : "The gateways' versions are too far from the client's: update the older side.", "Open the site", web_path(w, "/sites/%s", web_id(w, &r->site_id)));
	}
	(void)hub_each(p->hub, MSG_ROLE_RELAY, NULL, count_any, &relays);
	if (relays > 0)
		say(y, true, "Relay", "A relay is there, should no direct path be found.", NULL, NULL);
	else
		y->v->links[y->v->n++] = (struct why_link){ .title = "Relay", .text = "No relay is connected: it works only where a direct path can be found.", .state = WHY_UNKNOWN };
}

void page_why(struct exchange *x)
{
	struct form_field fields[] = { { .name = "client", .label = "Client" }, { .name = "resource", .label = "Resource" } };
	struct why_view v = { .form = { .submit = "Look", FORM_FIELDS(fields) } };
	const struct client *c = NULL;
	const struct resource *r = NULL;
	struct uuid id;
	struct web w;

	if (!web_begin(&w, x, SECTION_CLIENTS))
		return;
	if (web_pick(&w, &fields[0], KIND_CLIENT) && web_pick(&w, &fields[1], KIND_RESOURCE)) {
		const char *client = fields[0].value, *resource = fields[1].value;
		bool is_finding = web_is_finding(&w, &v.form);
		if (uuid_parse(SPAN(client, strlen(client)), &id) == 0)
			c = web_find(&w, KIND_CLIENT, &id);
		if (uuid_parse(SPAN(resource, strlen(resource)), &id) == 0)
			r = web_find(&w, KIND_RESOURCE, &id);
		v.is_asked = c && r && !is_finding;
		if (v.is_asked) {
			struct why y = { &w, &v, false };
			walk(&y, c, r);
			v.is_reachable = !y.is_broken;
		}
		page_crumb(&w.page, "Clients", web_path(&w, "/clients"));
		w.page.title = "Why can it not reach that?";
		w.page.lead = "Pick a client and a resource: every link of the chain is looked at, and the first broken one is marked.";
		template_why(&x->out, &w.page, &v);
		web_send(&w, 200);
	}
	web_end(&w);
}
