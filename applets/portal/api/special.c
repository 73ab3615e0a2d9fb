#include "applets/portal/api/api.h"

#include <stdio.h>
#include <string.h>

/* ---- the account ------------------------------------------------------------------------------------------------------------------ */

static void put_limit(struct json_out *o, const char *name, i64 limit, i64 used)
{
	if (limit < 0)
		return;
	json_open(o, name);
	json_put_i64(o, "used", used);
	json_put_i64(o, "available", MAX(limit - used, 0));
	json_put_i64(o, "total", limit);
	json_close(o);
}

void api_account(struct exchange *x)
{
	const struct account *a;
	struct store_usage u;
	struct api_call c;

	if (!api_begin(&c, x))
		return;
	a = c.account;
	int rc = store_usage(x->portal->store, &a->e.id, x->wall, &u);
	if (rc) {
		api_fail_store(&c, rc);
		return;
	}
	json_open(&c.out, NULL);
	json_open(&c.out, "data");
	json_put_uuid(&c.out, "id", &a->e.id);
	json_put_str(&c.out, "slug", a->slug);
	json_put_str(&c.out, "key", a->key);
	json_put_str(&c.out, "name", a->name);
	json_put_str(&c.out, "legal_name", a->legal_name);
	json_open(&c.out, "limits");
	put_limit(&c.out, "users", a->limit_users, u.users);
	put_limit(&c.out, "monthly_active_users", a->limit_monthly_active_users, u.monthly_active_users);
	put_limit(&c.out, "service_accounts", a->limit_service_accounts, u.service_accounts);
	put_limit(&c.out, "account_admin_users", a->limit_admins, u.admins);
	put_limit(&c.out, "sites", a->limit_sites, u.sites);
	json_close(&c.out);
	json_close(&c.out);
	json_close(&c.out);
	api_send(&c, 200);
}

/* ---- members of a group -------------------------------------------------------------------------------------------------------------- */

/* The group of the path; NULL: answered. */
static const struct group *find_group(struct api_call *c, struct uuid *id)
{
	const struct group *g;

	if (!api_id(c, 0, id))
		return NULL;
	g = directory_get(hub_directory(c->x->portal->hub), KIND_GROUP, &c->account->e.id, id);
	if (!g)
		api_fail(c, 404, NULL);
	return g;
}

static int list_member(void *ctx, enum kind k, const void *row)
{
	const struct actor *actor = row;
	struct api_call *c = ctx;

	(void)k;
	json_open(&c->out, NULL);
	json_put_uuid(&c->out, "id", &actor->e.id);
	json_put_str(&c->out, "name", actor->name);
	json_put_str(&c->out, "type", actor_type_names[actor->type]);
	json_close(&c->out);
	return 0;
}

void api_memberships(struct exchange *x)
{
	struct store_query q = { .kind = KIND_ACTOR };
	char text[UUID_STRLEN];
	struct store_page page;
	struct api_call c;
	struct uuid id;

	if (!api_begin(&c, x) || !find_group(&c, &id) || !api_page_query(&c, &q))
		return;
	q.filters[q.n_filters++] = (struct store_filter){ "group_id", FILTER_IS, uuid_format(&id, text) };
	json_open(&c.out, NULL);
	json_open_array(&c.out, "data");
	int rc = store_page(x->portal->store, &q, list_member, &c, &page);
	json_close_array(&c.out);
	if (rc) {
		api_fail_store(&c, rc);
		return;
	}
	api_put_metadata(&c, &page, q.limit);
	json_close(&c.out);
	api_send(&c, 200);
}

static void send_members(struct api_call *c, const struct uuid *group)
{
	const struct directory *d = hub_directory(c->x->portal->hub);
	const struct group *g = directory_get(d, KIND_GROUP, &c->account->e.id, group);
	u32 n;
	void *const *list = directory_all(d, KIND_ACTOR, &c->account->e.id, &n);

	json_open(&c->out, NULL);
	json_open(&c->out, "data");
	json_open_array(&c->out, "actor_ids");
	for (u32 i = 0; i < n && g; i++) {
		struct uuid id;
		if (directory_is_member(d, list[i], g, &id))
			json_put_uuid(&c->out, NULL, &((const struct actor *)list[i])->e.id);
	}
	json_close_array(&c->out);
	json_close(&c->out);
	json_close(&c->out);
	api_send(c, 200);
}

static void set_members(struct api_call *c, const struct uuid *group, const char *members)
{
	struct action a;

	action_begin(&a, "group", "set-members", &c->by);
	action_set_id(&a, "target", group);
	action_set(&a, "member", members);
	if (action_run(&a, c->x->portal) == ADMIN_OK)
		send_members(c, group);
	else if (a.reply.field[0])
		api_fail_field(c, "memberships", a.reply.reason);
	else
		api_fail_action(c, &a.reply);
	action_end(&a);
}

static void add_id(struct strbuf *b, const struct uuid *id)
{
	char text[UUID_STRLEN];

	strbuf_printf(b, "%s%s", b->n ? " " : "", uuid_format(id, text));
}

/* [{"actor_id":…}] or [id]; false: it is neither. */
static bool read_ids(const struct cJSON *list, bool is_objects, void (*each)(void *ctx, const struct uuid *id), void *ctx)
{
	struct json_get g = JSON_GET;

	if (!json_is_array(list))
		return false;
	json_each(one, list) {
		const struct cJSON *v = !is_objects ? one : json_is_object(one) ? json_member(&g, one, "actor_id") : NULL;
		struct uuid id;

		if (!v || g.err || json_value_uuid(v, &id))
			return false;
		each(ctx, &id);
	}
	return true;
}

static void collect(void *ctx, const struct uuid *id)
{
	add_id(ctx, id);
}

void api_put_memberships(struct exchange *x)
{
	struct strbuf members = { .p = NULL };
	const struct cJSON *root;
	struct api_call c;
	struct uuid id;

	if (!api_begin(&c, x) || !find_group(&c, &id))
		return;
	root = api_root(&c, "memberships");
	if (!root)
		return;
	if (read_ids(root, true, collect, &members))
		set_members(&c, &id, strbuf_text(&members));
	else
		api_fail_field(&c, "memberships", "must be a list of {\"actor_id\":…}");
	strbuf_free(&members);
}

struct patch {
	struct uuid *removed;
	u32 n;
};

static void note_removed(void *ctx, const struct uuid *id)
{
	struct patch *p = ctx;

	p->removed[p->n++] = *id;
}

static bool is_removed(const struct patch *p, const struct uuid *id)
{
	for (u32 i = 0; i < p->n; i++)
		if (uuid_eq(&p->removed[i], id))
			return true;
	return false;
}

/* Who is in it now, without those to be removed. */
static void keep_others(struct api_call *c, const struct group *g, const struct patch *p, struct strbuf *members)
{
	const struct directory *d = hub_directory(c->x->portal->hub);
	u32 n;
	void *const *list = directory_all(d, KIND_ACTOR, &c->account->e.id, &n);

	for (u32 i = 0; i < n; i++) {
		const struct actor *actor = list[i];
		struct uuid id;

		if (!group_is_everyone(g) && directory_is_member(d, actor, g, &id) && !is_removed(p, &actor->e.id))
			add_id(members, &actor->e.id);
	}
}

#define REMOVED_MAX 5000u /* in one request */

void api_patch_memberships(struct exchange *x)
{
	struct strbuf members = { .p = NULL };
	const struct cJSON *root, *add, *remove;
	struct json_get g = JSON_GET;
	const struct group *group;
	struct patch p = { .n = 0 };
	struct api_call c;
	struct uuid id;

	if (!api_begin(&c, x))
		return;
	group = find_group(&c, &id);
	root = group ? api_root(&c, "memberships") : NULL;
	if (!root)
		return;
	add = json_is_object(root) ? json_array_opt(&g, root, "add") : NULL;
	remove = json_is_object(root) ? json_array_opt(&g, root, "remove") : NULL;
	size_t n = remove ? json_count(remove) : 0;
	p.removed = exchange_alloc(x, (MIN(n, REMOVED_MAX) + 1) * sizeof(*p.removed));
	if (!p.removed) {
		api_fail(&c, 503, NULL);
	} else if (!json_is_object(root) || g.err || n > REMOVED_MAX || (remove && !read_ids(remove, false, note_removed, &p)) ||
		   (add && !read_ids(add, false, collect, &members))) {
		api_fail_field(&c, "memberships", "must be {\"add\":[ids],\"remove\":[ids]}");
	} else {
		keep_others(&c, group, &p, &members);
		set_members(&c, &id, strbuf_text(&members));
	}
	strbuf_free(&members);
}

/* ---- gateway tokens ---------------------------------------------------------------------------------------------------------------------- */

static bool find_site(struct api_call *c, struct uuid *site)
{
	if (!api_id(c, 0, site))
		return false;
	if (directory_get(hub_directory(c->x->portal->hub), KIND_SITE, &c->account->e.id, site))
		return true;
	api_fail(c, 404, NULL);
	return false;
}

static void put_token(struct api_call *c, const struct uuid *id, const char *token)
{
	json_open(&c->out, NULL);
	json_open(&c->out, "data");
	json_put_uuid(&c->out, "id", id);
	if (token)
		json_put_str(&c->out, "token", token);
	json_close(&c->out);
	json_close(&c->out);
}

void api_create_gateway_token(struct exchange *x)
{
	struct api_call c;
	struct action a;
	struct uuid site;
	char text[UUID_STRLEN], id[UUID_STRLEN];

	if (!api_begin(&c, x) || !find_site(&c, &site))
		return;
	action_begin(&a, "token", "add", &c.by);
	action_set_id(&a, "site", &site);
	if (action_run(&a, x->portal) == ADMIN_OK) {
		exchange_header(x, "Location", "/sites/%s/gateway_tokens/%s", uuid_format(&site, text), uuid_format(&a.reply.id, id));
		put_token(&c, &a.reply.id, a.reply.secret);
		api_send(&c, 201);
	} else {
		api_fail_action(&c, &a.reply);
	}
	action_end(&a);
}

void api_delete_gateway_token(struct exchange *x)
{
	union any_entity row;
	struct api_call c;
	struct action a;
	struct uuid site, id;

	if (!api_begin(&c, x) || !find_site(&c, &site) || !api_id(&c, 1, &id))
		return;
	int rc = store_get(x->portal->store, KIND_GATEWAY_TOKEN, &c.account->e.id, &id, &row);
	if (!rc && !uuid_eq(&row.token.owner_id, &site))
		rc = ERR_NOT_FOUND;
	if (rc) {
		api_fail_store(&c, rc);
		return;
	}
	entity_deinit(KIND_GATEWAY_TOKEN, &row);
	action_begin(&a, "token", "delete", &c.by);
	action_set_id(&a, "target", &id);
	if (action_run(&a, x->portal) == ADMIN_OK) {
		put_token(&c, &id, NULL);
		api_send(&c, 200);
	} else {
		api_fail_action(&c, &a.reply);
	}
	action_end(&a);
}

void api_delete_gateway_tokens(struct exchange *x)
{
	struct api_call c;
	struct action a;
	struct uuid site;
	i64 n;

	if (!api_begin(&c, x) || !find_site(&c, &site))
		return;
	int rc = store_tally_of(x->portal->store, TALLY_TOKENS_OF_SITE, &c.account->e.id, &site, &n);
	if (rc) {
		api_fail_store(&c, rc);
		return;
	}
	action_begin(&a, "token", "delete-all", &c.by);
	action_set_id(&a, "site", &site);
	if (action_run(&a, x->portal) == ADMIN_OK) {
		json_open(&c.out, NULL);
		json_open(&c.out, "data");
		json_put_i64(&c.out, "deleted_count", n);
		json_close(&c.out);
		json_close(&c.out);
		api_send(&c, 200);
	} else {
		api_fail_action(&c, &a.reply);
	}
	action_end(&a);
}

/* ---- verification of clients ---------------------------------------------------------------------------------------------------------------- */

static void set_verified(struct exchange *x, const char *verb)
{
	struct api_call c;
	struct action a;
	struct uuid id;

	if (!api_begin(&c, x) || !api_id(&c, 0, &id))
		return;
	action_begin(&a, "client", verb, &c.by);
	action_set_id(&a, "target", &id);
	if (action_run(&a, x->portal) == ADMIN_OK)
		api_send_row(&c, 200, &id);
	else
		api_fail_action(&c, &a.reply);
	action_end(&a);
}

void api_verify(struct exchange *x)
{
	set_verified(x, "verify");
}

void api_unverify(struct exchange *x)
{
	set_verified(x, "unverify");
}
