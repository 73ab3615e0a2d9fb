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
	void (*each)(struct api_call *c, const struct uuid *of, each_id *each, void *ctx); /* who is in it now; of Everyone nobody */
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

static void each_actor(struct api_call *c, const struct uuid *group, each_id *each, void *ctx)
{
	const struct directory *d = hub_directory(c->x->portal->hub);
	u32 n;
	void *const *list = directory_memberships(d, &c->account->e.id, &n);

	for (u32 i = 0; i < n; i++) {
		const struct membership *m = list[i];
		if (uuid_eq(&m->group_id, group))
			each(ctx, &m->actor_id);
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

static void each_device(struct api_call *c, const struct uuid *pool, each_id *each, void *ctx)
{
	u32 n;
	void *const *list = directory_all(hub_directory(c->x->portal->hub), KIND_POOL_MEMBER, &c->account->e.id, &n);

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
	m->each(&c, &id, gather, &g);
	if (!g.rc && g.ids.n > STORE_AMONG_MIN)
		q.among = &g.ids;
	else
		q.filters[q.n_filters++] = (struct store_filter){ m->column, FILTER_IS, uuid_format(&id, text) };
	api_send_page(&c, &q, list_row, &(struct listing){ &c, m });
	ids_free(&g.ids);
}

/* ---- changes ------------------------------------------------------------------------------------------------------------------- */

static void collect(void *ctx, const struct uuid *id)
{
	struct strbuf *b = ctx;
	char text[UUID_STRLEN];

	uuid_format(id, text);
	text[UUID_STRLEN - 1] = ' ';
	strbuf_add(b, text, UUID_STRLEN);
}

/* What may take several turns of the loop. */
struct members_change {
	struct api_call c;
	const struct members *m;
	struct action a;
	struct loop_timer timer;
};

static void answer(struct members_change *change)
{
	struct admin_reply *reply = &change->a.reply;
	struct api_call *c = &change->c;

	c->account = directory_account(hub_directory(c->x->portal->hub), &c->by.account_id);
	if (reply->class == ADMIN_OK && reply->members) {
		json_open(&c->out, NULL);
		json_open(&c->out, "data");
		json_put_raw(&c->out, change->m->answer, SPAN(reply->members, strlen(reply->members)));
		json_close(&c->out);
		json_close(&c->out);
		api_send(c, 200);
	} else if (reply->field[0]) {
		api_fail_field(c, change->m->root, reply->reason);
	} else {
		api_fail_action(c, reply);
	}
	action_end(&change->a);
}

static void go_on(void *ctx, u64 now)
{
	struct members_change *change = ctx;

	if (change->a.reply.rest)
		admin_go_on(&change->a.reply);
	else
		(void)action_run(&change->a, change->c.x->portal);
	if (!change->a.reply.rest) {
		answer(change);
		return;
	}
	loop_timer_set(change->c.x->loop, &change->timer, admin_next_turn(&change->a.reply, now));
	loop_yield(change->c.x->loop);
}

static void left(void *ctx)
{
	struct members_change *change = ctx;

	loop_timer_clear(change->c.x->loop, &change->timer);
	action_end(&change->a);
	api_end(&change->c);
}

/* Takes over the call. */
static void set(struct api_call *c, const struct members *m, const struct uuid *of, const char *name, const char *ids, const char *leavers)
{
	struct exchange *x = c->x;
	struct members_change *change;

	if (!api_is_unchanged(c, NULL))
		return;
	change = exchange_alloc(x, sizeof(*change));
	if (!change) {
		api_fail(c, 503, NULL);
		return;
	}
	*change = (struct members_change){ .c = *c, .m = m, .timer = { .cb = go_on, .ctx = change } };
	action_begin(&change->a, m->noun, "set-members", &change->c.by);
	action_set_id(&change->a, "target", of);
	action_set(&change->a, name, ids);
	action_set(&change->a, "remove", leavers);
	change->a.rq.is_patient = true;
	exchange_defer(x, left, change);
	loop_timer_set(x->loop, &change->timer, loop_now(x->loop)); /* to read it was work enough for this turn */
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
		set(&c, m, &id, "member", strbuf_text(&ids), NULL);
	else
		api_fail_field(&c, m->root, why);
	strbuf_free(&ids);
}

/* Whom to add stands before who stays: who is in both lists stays. */
static void patch(struct exchange *x, const struct members *m)
{
	struct strbuf ids = { .p = NULL }, leavers = { .p = NULL };
	const struct cJSON *root, *add, *remove;
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
	if (!json_is_object(root) || g.err || (remove && (json_count(remove) > API_IDS_MAX || !api_read_ids(remove, NULL, collect, &leavers))) ||
	    (add && !api_read_ids(add, NULL, collect, &ids)))
		api_fail_field(&c, m->root, "must be {\"add\":[ids],\"remove\":[ids]}");
	else
		set(&c, m, &id, "add", strbuf_text(&ids), strbuf_text(&leavers));
	strbuf_free(&ids);
	strbuf_free(&leavers);
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
