/* Devices of a pool, as members of a resource of that type (spec 60, What changed after the pin). */
#include "applets/portal/api/api.h"

#include <stdio.h>
#include <string.h>

/* The pool of the path; NULL: answered. A resource of another type is not an empty pool. */
static const struct resource *find_pool(struct api_call *c)
{
	const struct resource *r;
	struct uuid id;
	char why[120];

	if (!api_id(c, 0, &id))
		return NULL;
	r = directory_get(hub_directory(c->x->portal->hub), KIND_RESOURCE, &c->account->e.id, &id);
	if (r && r->type == RESOURCE_POOL)
		return r;
	if (r) {
		snprintf(why, sizeof(why), "A resource of type %s has no pool members: only one of type static_device_pool has", resource_type_names[r->type]);
		api_fail(c, 400, why);
	} else {
		api_fail(c, 404, NULL);
	}
	return NULL;
}

static int list_member(void *ctx, enum kind k, const void *row)
{
	const struct client *client = row;
	struct api_call *c = ctx;

	(void)k;
	json_open(&c->out, NULL);
	json_put_uuid(&c->out, "id", &client->d.e.id);
	json_put_str(&c->out, "name", client->d.name);
	api_put_time(&c->out, "last_seen_at", client->d.last_seen_at);
	json_close(&c->out);
	return 0;
}

void api_pool_members(struct exchange *x)
{
	struct store_query q = { .kind = KIND_CLIENT };
	const struct resource *pool;
	char text[UUID_STRLEN];
	struct store_page page;
	struct api_call c;

	if (!api_begin(&c, x))
		return;
	pool = find_pool(&c);
	if (!pool || !api_page_query(&c, &q))
		return;
	q.kind = KIND_CLIENT;
	q.filters[q.n_filters++] = (struct store_filter){ "resource_id", FILTER_IS, uuid_format(&pool->e.id, text) };
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

static void send_members(struct api_call *c, const struct uuid *pool)
{
	u32 n;
	void *const *list = directory_all(hub_directory(c->x->portal->hub), KIND_POOL_MEMBER, &c->account->e.id, &n);

	json_open(&c->out, NULL);
	json_open(&c->out, "data");
	json_open_array(&c->out, "device_ids");
	for (u32 i = 0; i < n; i++) {
		const struct pool_member *m = list[i];
		if (uuid_eq(&m->resource_id, pool))
			json_put_uuid(&c->out, NULL, &m->client_id);
	}
	json_close_array(&c->out);
	json_close(&c->out);
	json_close(&c->out);
	api_send(c, 200);
}

static void set_members(struct api_call *c, const struct uuid *pool, const char *members)
{
	struct action a;

	action_begin(&a, "pool", "set-members", &c->by);
	action_set_id(&a, "target", pool);
	action_set(&a, "member", members);
	if (action_run(&a, c->x->portal) == ADMIN_OK)
		send_members(c, pool);
	else if (a.reply.field[0])
		api_fail_field(c, "pool_members", a.reply.reason);
	else
		api_fail_action(c, &a.reply);
	action_end(&a);
}

static void collect(void *ctx, const struct uuid *id)
{
	struct strbuf *b = ctx;
	char text[UUID_STRLEN];

	strbuf_printf(b, "%s%s", b->n ? " " : "", uuid_format(id, text));
}

void api_put_pool_members(struct exchange *x)
{
	struct strbuf members = { .p = NULL };
	const struct resource *pool;
	const struct cJSON *root;
	struct api_call c;

	if (!api_begin(&c, x))
		return;
	pool = find_pool(&c);
	root = pool ? api_root(&c, "pool_members") : NULL;
	if (!root)
		return;
	struct uuid id = pool->e.id;
	/* what cannot be read must not look like an empty list, which empties the pool */
	if (api_read_ids(root, "device_id", collect, &members))
		set_members(&c, &id, strbuf_text(&members));
	else
		api_fail_field(&c, "pool_members", "must be a list of {\"device_id\":…}");
	strbuf_free(&members);
}

struct removed {
	struct uuid *id;
	u32 n;
};

static void note(void *ctx, const struct uuid *id)
{
	struct removed *r = ctx;

	r->id[r->n++] = *id;
}

/* Who is in it now, without those to be removed; whom to add is added after, so that who is in both lists stays. */
static void keep_others(struct api_call *c, const struct uuid *pool, const struct removed *r, struct strbuf *members)
{
	u32 n;
	void *const *list = directory_all(hub_directory(c->x->portal->hub), KIND_POOL_MEMBER, &c->account->e.id, &n);

	for (u32 i = 0; i < n; i++) {
		const struct pool_member *m = list[i];
		bool is_removed = !uuid_eq(&m->resource_id, pool);

		for (u32 j = 0; j < r->n && !is_removed; j++)
			is_removed = uuid_eq(&r->id[j], &m->client_id);
		if (!is_removed)
			collect(members, &m->client_id);
	}
}

void api_patch_pool_members(struct exchange *x)
{
	struct strbuf members = { .p = NULL };
	const struct cJSON *root, *add, *remove;
	struct removed r = { .n = 0 };
	struct json_get g = JSON_GET;
	const struct resource *pool;
	struct api_call c;

	if (!api_begin(&c, x))
		return;
	pool = find_pool(&c);
	root = pool ? api_root(&c, "pool_members") : NULL;
	if (!root)
		return;
	struct uuid id = pool->e.id;
	add = json_is_object(root) ? json_array_opt(&g, root, "add") : NULL;
	remove = json_is_object(root) ? json_array_opt(&g, root, "remove") : NULL;
	size_t n = remove ? json_count(remove) : 0;
	r.id = exchange_alloc(x, (MIN(n, API_IDS_MAX) + 1) * sizeof(*r.id));
	if (!r.id) {
		api_fail(&c, 503, NULL);
	} else if (!json_is_object(root) || g.err || n > API_IDS_MAX || (remove && !api_read_ids(remove, NULL, note, &r)) ||
		   (add && !api_read_ids(add, NULL, collect, &members))) {
		api_fail_field(&c, "pool_members", "must be {\"add\":[ids],\"remove\":[ids]}");
	} else {
		keep_others(&c, &id, &r, &members);
		set_members(&c, &id, strbuf_text(&members));
	}
	strbuf_free(&members);
}
