#include "applets/portal/api/api.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

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

bool api_read_ids(const struct cJSON *list, const char *member, void (*each)(void *ctx, const struct uuid *id), void *ctx)
{
	struct json_get g = JSON_GET;

	if (!json_is_array(list))
		return false;
	json_each(one, list) {
		const struct cJSON *v = !member ? one : json_is_object(one) ? json_member(&g, one, member) : NULL;
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
	if (api_read_ids(root, "actor_id", collect, &members))
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
	p.removed = exchange_alloc(x, (MIN(n, API_IDS_MAX) + 1) * sizeof(*p.removed));
	if (!p.removed) {
		api_fail(&c, 503, NULL);
	} else if (!json_is_object(root) || g.err || n > API_IDS_MAX || (remove && !api_read_ids(remove, NULL, note_removed, &p)) ||
		   (add && !api_read_ids(add, NULL, collect, &members))) {
		api_fail_field(&c, "memberships", "must be {\"add\":[ids],\"remove\":[ids]}");
	} else {
		keep_others(&c, group, &p, &members);
		set_members(&c, &id, strbuf_text(&members));
	}
	strbuf_free(&members);
}

/* ---- tokens of gateways and clients ---------------------------------------------------------------------------------------------------- */

/* The secret goes out here and nowhere else. */
static void send_new_token(struct api_call *c, const struct admin_reply *reply)
{
	char parent[UUID_STRLEN], id[UUID_STRLEN];
	union any_entity row;
	struct uuid owner;
	int rc = store_get(c->x->portal->store, c->r->kind, &c->account->e.id, &reply->id, &row);

	if (rc) {
		api_fail_store(c, rc);
		return;
	}
	owner = row.token.owner_id;
	exchange_header(c->x, "Location", "/%s/%s/%s/%s", c->r->parent, uuid_format(&owner, parent), c->r->segment, uuid_format(&reply->id, id));
	json_open(&c->out, NULL);
	json_open(&c->out, "data");
	api_put_entity(c, c->r, &row);
	json_put_str(&c->out, "token", reply->secret);
	json_close(&c->out);
	json_close(&c->out);
	entity_deinit(c->r->kind, &row);
	api_send(c, 201);
}

static void make_token(struct api_call *c, const struct uuid *owner, const char *of, const char *expires, const char *name)
{
	struct action a;

	action_begin(&a, "token", "add", &c->by);
	action_set_id(&a, of, owner);
	action_set(&a, "expires", expires);
	action_set(&a, "name", name);
	if (action_run(&a, c->x->portal) == ADMIN_OK)
		send_new_token(c, &a.reply);
	else
		api_fail_action(c, &a.reply);
	action_end(&a);
}

void api_create_gateway_token(struct exchange *x)
{
	struct api_call c;
	struct uuid site;

	if (api_begin(&c, x) && api_parent(&c, &site))
		make_token(&c, &site, "site", NULL, NULL);
}

static bool digits(const char **p, int n, char after, int *out)
{
	*out = 0;
	for (; n > 0; n--, (*p)++) {
		if (**p < '0' || **p > '9')
			return false;
		*out = *out * 10 + (**p - '0');
	}
	return !after || *(*p)++ == after;
}

/* RFC 3339 §5.6 to seconds; false: it is none. */
static bool read_time(const char *p, time_t *out)
{
	struct tm tm = { 0 };
	int hours = 0, minutes = 0, sign;

	if (!digits(&p, 4, '-', &tm.tm_year) || !digits(&p, 2, '-', &tm.tm_mon) || !digits(&p, 2, 0, &tm.tm_mday) || (*p != 'T' && *p != 't') ||
	    !digits((p++, &p), 2, ':', &tm.tm_hour) || !digits(&p, 2, ':', &tm.tm_min) || !digits(&p, 2, 0, &tm.tm_sec))
		return false;
	if (*p == '.' && (p++, *p >= '0' && *p <= '9'))
		p += strspn(p, "0123456789");
	sign = *p == '-' ? 1 : -1; /* what is ahead of UTC is taken off */
	if (*p == '+' || *p == '-') {
		p++;
		if (!digits(&p, 2, ':', &hours) || !digits(&p, 2, 0, &minutes))
			return false;
	} else if (*p++ != 'Z' && p[-1] != 'z') {
		return false;
	}
	if (*p || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60 ||
	    hours > 23 || minutes > 59)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	*out = timegm(&tm) + sign * (hours * 3600 + minutes * 60);
	return true;
}

static const char *utc(time_t at, char out[static 32])
{
	struct tm tm;

	gmtime_r(&at, &tm);
	strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return out;
}

void api_create_client_token(struct exchange *x)
{
	struct json_get g = JSON_GET;
	const struct cJSON *root, *name;
	const char *expires;
	struct api_call c;
	struct uuid actor;
	char text[32];
	time_t at;

	if (!api_begin(&c, x) || !api_parent(&c, &actor))
		return;
	root = api_root(&c, "client_token");
	if (!root)
		return;
	if (!json_is_object(root)) {
		api_fail(&c, 400, "The root of the body must be an object");
		return;
	}
	name = json_member(&g, root, "name");
	expires = json_value_str(json_member(&g, root, "expires_at"));
	if (g.err)
		api_fail(&c, 400, "The body has a member twice");
	else if (!expires || !read_time(expires, &at))
		api_fail_field(&c, "expires_at", expires ? "must be a time such as 2027-01-31T12:00:00Z" : "is required");
	else if (name && !json_is_null(name) && (!json_value_str(name) || strlen(json_value_str(name)) > 255))
		api_fail_field(&c, "name", "must be text of at most 255 characters");
	else
		make_token(&c, &actor, "actor", utc(at, text), name ? json_value_str(name) : NULL);
}

/* Of a site or of an actor: what the path says. */
void api_delete_tokens(struct exchange *x)
{
	struct api_call c;
	struct action a;
	struct uuid owner;
	i64 n;

	if (!api_begin(&c, x) || !api_parent(&c, &owner))
		return;
	bool is_site = c.r->kind == KIND_GATEWAY_TOKEN;
	int rc = store_tally_of(x->portal->store, is_site ? TALLY_TOKENS_OF_SITE : TALLY_CLIENT_TOKENS_OF_ACTOR, &c.account->e.id, &owner, &n);
	if (rc) {
		api_fail_store(&c, rc);
		return;
	}
	action_begin(&a, "token", "delete-all", &c.by);
	action_set_id(&a, is_site ? "site" : "actor", &owner);
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
