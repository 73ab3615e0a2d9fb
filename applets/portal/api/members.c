/* Members that are written as a whole, or by who comes and who goes: actors of a group, devices of a pool (spec 60 §10). */
#include "applets/portal/api/api.h"

#include <stdio.h>

typedef void each_id(void *ctx, const struct uuid *id);

struct members {
	const char *noun;			    /* of the action set-members, and of its field */
	const char *root, *member, *answer;	    /* names in bodies: of the request, of one of its members, of the list of ids */
	const char *column;			    /* which the store is asked by */
	enum kind kind;				    /* of a member */
	bool (*find)(struct api_call *c, struct uuid *of); /* the thing of the path; false: answered */
	void (*each)(struct api_call *c, const struct uuid *of, bool can_be_removed, each_id *each, void *ctx); /* who is in it now */
	void (*put)(struct api_call *c, const void *row); /* a member in a list */
};

/* ---- groups -------------------------------------------------------------------------------------------------------------------- */

static bool find_group(struct api_call *c, struct uuid *id)
{
	if (!api_id(c, 0, id))
		return false;
	if (directory_get(hub_directory(c->x->portal->hub), KIND_GROUP, &c->account->e.id, id))
		return true;
	api_fail(c, 404, NULL);
	return false;
}

static void each_actor(struct api_call *c, const struct uuid *group, bool can_be_removed, each_id *each, void *ctx)
{
	const struct directory *d = hub_directory(c->x->portal->hub);
	const struct group *g = directory_get(d, KIND_GROUP, &c->account->e.id, group);
	bool is_everyone = g && group_is_everyone(g);
	u32 n;
	void *const *list = is_everyone ? directory_all(d, KIND_ACTOR, &c->account->e.id, &n) : directory_memberships(d, &c->account->e.id, &n);

	if (!g || (can_be_removed && is_everyone))
		return;
	for (u32 i = 0; i < n; i++) {
		const struct membership *m = list[i];
		const struct actor *actor = list[i];
		struct uuid id;
		if (is_everyone ? directory_is_member(d, actor, g, &id) : uuid_eq(&m->group_id, group))
			each(ctx, is_everyone ? &actor->e.id : &m->actor_id);
	}
}

static void put_actor(struct api_call *c, const void *row)
{
	const struct actor *actor = row;

	json_put_uuid(&c->out, "id", &actor->e.id);
	json_put_str(&c->out, "name", actor->name);
	json_put_str(&c->out, "type", actor_type_names[actor->type]);
}

static const struct members of_group = { "group", "memberships", "actor_id", "actor_ids", "group_id", KIND_ACTOR, find_group, each_actor, put_actor };

/* ---- pools --------------------------------------------------------------------------------------------------------------------- */

/* A resource of another type is not an empty pool. */
static bool find_pool(struct api_call *c, struct uuid *id)
{
	const struct resource *r;
	char why[120];

	if (!api_id(c, 0, id))
		return false;
	r = directory_get(hub_directory(c->x->portal->hub), KIND_RESOURCE, &c->account->e.id, id);
	if (r && r->type == RESOURCE_POOL)
		return true;
	if (r) {
		snprintf(why, sizeof(why), "A resource of type %s has no pool members: only one of type static_device_pool has", resource_type_names[r->type]);
		api_fail(c, 400, why);
	} else {
		api_fail(c, 404, NULL);
	}
	return false;
}

static void each_device(struct api_call *c, const struct uuid *pool, bool can_be_removed, each_id *each, void *ctx)
{
	u32 n;
	void *const *list = directory_all(hub_directory(c->x->portal->hub), KIND_POOL_MEMBER, &c->account->e.id, &n);

	(void)can_be_removed;
	for (u32 i = 0; i < n; i++) {
		const struct pool_member *m = list[i];
		if (uuid_eq(&m->resource_id, pool))
			each(ctx, &m->client_id);
	}
}

static void put_device(struct api_call *c, const void *row)
{
	const struct client *client = row;

	json_put_uuid(&c->out, "id", &client->d.e.id);
	json_put_str(&c->out, "name", client->d.name);
	api_put_time(&c->out, "last_seen_at", client->d.last_seen_at);
}

static const struct members of_pool = { "pool", "pool_members", "device_id", "device_ids", "resource_id", KIND_CLIENT, find_pool, each_device, put_device };

/* ---- lists --------------------------------------------------------------------------------------------------------------------- */

struct listing {
	struct api_call *c;
	const struct members *m;
};

static int list_row(void *ctx, enum kind k, const void *row)
{
	const struct listing *l = ctx;

	(void)k;
	json_open(&l->c->out, NULL);
	l->m->put(l->c, row);
	json_close(&l->c->out);
	return 0;
}

struct gathering {
	struct ids ids;
	int rc;
};

static void gather(void *ctx, const struct uuid *id)
{
	struct gathering *g = ctx;

	g->rc = g->rc ? g->rc : ids_add(&g->ids, id);
}

static void list(struct exchange *x, const struct members *m)
{
	struct store_query q = { .kind = m->kind };
	char text[UUID_STRLEN];
	struct api_call c;
	struct uuid id;

	if (!api_begin(&c, x) || !m->find(&c, &id) || !api_page_query(&c, &q))
		return;
	struct gathering g = { .rc = 0 };

	q.kind = m->kind;
	m->each(&c, &id, true, gather, &g);
	if (!g.rc && g.ids.n > STORE_AMONG_MIN)
		q.among = &g.ids;
	else
		q.filters[q.n_filters++] = (struct store_filter){ m->column, FILTER_IS, uuid_format(&id, text) };
	api_send_page(&c, &q, list_row, &(struct listing){ &c, m });
	ids_free(&g.ids);
}

/* ---- changes ------------------------------------------------------------------------------------------------------------------- */

static void put_id(void *ctx, const struct uuid *id)
{
	json_put_uuid(ctx, NULL, id);
}

static void collect(void *ctx, const struct uuid *id)
{
	struct strbuf *b = ctx;
	char text[UUID_STRLEN];

	strbuf_printf(b, "%s%s", b->n ? " " : "", uuid_format(id, text));
}

static void send_ids(struct api_call *c, const struct members *m, const struct uuid *of)
{
	json_open(&c->out, NULL);
	json_open(&c->out, "data");
	json_open_array(&c->out, m->answer);
	m->each(c, of, false, put_id, &c->out);
	json_close_array(&c->out);
	json_close(&c->out);
	json_close(&c->out);
	api_send(c, 200);
}

static void set(struct api_call *c, const struct members *m, const struct uuid *of, const char *ids)
{
	struct action a;

	if (!api_is_unchanged(c, NULL))
		return;
	action_begin(&a, m->noun, "set-members", &c->by);
	action_set_id(&a, "target", of);
	action_set(&a, "member", ids);
	if (action_run(&a, c->x->portal) == ADMIN_OK)
		send_ids(c, m, of);
	else if (a.reply.field[0])
		api_fail_field(c, m->root, a.reply.reason);
	else
		api_fail_action(c, &a.reply);
	action_end(&a);
}

/* What cannot be read must not look like an empty list, which leaves nobody. */
static void put(struct exchange *x, const struct members *m)
{
	struct strbuf ids = { .p = NULL };
	const struct cJSON *root;
	struct api_call c;
	struct uuid id;
	char why[60];

	if (!api_begin(&c, x) || !m->find(&c, &id))
		return;
	root = api_root(&c, m->root);
	if (!root)
		return;
	snprintf(why, sizeof(why), "must be a list of {\"%s\":…}", m->member);
	if (api_read_ids(root, m->member, collect, &ids))
		set(&c, m, &id, strbuf_text(&ids));
	else
		api_fail_field(&c, m->root, why);
	strbuf_free(&ids);
}

struct leavers {
	struct uuid *id;
	u32 n;
	struct strbuf *others;
};

static void note_leaver(void *ctx, const struct uuid *id)
{
	struct leavers *l = ctx;

	l->id[l->n++] = *id;
}

static void keep_other(void *ctx, const struct uuid *id)
{
	const struct leavers *l = ctx;

	for (u32 i = 0; i < l->n; i++)
		if (uuid_eq(&l->id[i], id))
			return;
	collect(l->others, id);
}

/* Whom to add stands before who stays: who is in both lists stays. */
static void patch(struct exchange *x, const struct members *m)
{
	struct strbuf ids = { .p = NULL };
	const struct cJSON *root, *add, *remove;
	struct leavers l = { .others = &ids };
	struct json_get g = JSON_GET;
	struct api_call c;
	struct uuid id;

	if (!api_begin(&c, x) || !m->find(&c, &id))
		return;
	root = api_root(&c, m->root);
	if (!root)
		return;
	add = json_is_object(root) ? json_array_opt(&g, root, "add") : NULL;
	remove = json_is_object(root) ? json_array_opt(&g, root, "remove") : NULL;
	size_t n = remove ? json_count(remove) : 0;
	l.id = exchange_alloc(x, (MIN(n, API_IDS_MAX) + 1) * sizeof(*l.id));
	if (!l.id) {
		api_fail(&c, 503, NULL);
	} else if (!json_is_object(root) || g.err || n > API_IDS_MAX || (remove && !api_read_ids(remove, NULL, note_leaver, &l)) ||
		   (add && !api_read_ids(add, NULL, collect, &ids))) {
		api_fail_field(&c, m->root, "must be {\"add\":[ids],\"remove\":[ids]}");
	} else {
		m->each(&c, &id, true, keep_other, &l);
		set(&c, m, &id, strbuf_text(&ids));
	}
	strbuf_free(&ids);
}

/* ---- doors --------------------------------------------------------------------------------------------------------------------- */

void api_memberships(struct exchange *x)
{
	list(x, &of_group);
}

void api_put_memberships(struct exchange *x)
{
	put(x, &of_group);
}

void api_patch_memberships(struct exchange *x)
{
	patch(x, &of_group);
}

void api_pool_members(struct exchange *x)
{
	list(x, &of_pool);
}

void api_put_pool_members(struct exchange *x)
{
	put(x, &of_pool);
}

void api_patch_pool_members(struct exchange *x)
{
	patch(x, &of_pool);
}
