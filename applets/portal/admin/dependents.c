#include "applets/portal/admin/admin.h"

static const struct {
	enum kind kind;
	const char *one, *many;
} words[] = {
	{ KIND_ACTOR, "actor", "actors" },	{ KIND_GROUP, "group", "groups" },	      { KIND_MEMBERSHIP, "membership", "memberships" },
	{ KIND_SITE, "site", "sites" },		{ KIND_RESOURCE, "resource", "resources" },   { KIND_POLICY, "policy", "policies" },
	{ KIND_CLIENT, "client", "clients" },	{ KIND_GATEWAY, "gateway", "gateways" },
	{ KIND_CLIENT_TOKEN, "client token", "client tokens" }, { KIND_GATEWAY_TOKEN, "gateway token", "gateway tokens" },
};

struct count {
	const struct uuid *id;
	const struct directory *dir;
	enum kind of;
	i64 n[KIND_COUNT];
};

/* Does this row go, or lose its meaning, with the thing? Foreign keys say the same (store/statements.c). */
static int count_row(void *ctx, enum kind k, const void *row)
{
	struct count *c = ctx;
	const struct entity *e = row;
	const struct policy *p = row;
	const struct resource *r;
	bool is = false;

	switch ((int)k) {
	case KIND_MEMBERSHIP:
		is = uuid_eq(c->of == KIND_ACTOR ? &((const struct membership *)row)->actor_id : &((const struct membership *)row)->group_id, c->id);
		break;
	case KIND_RESOURCE:
		is = uuid_eq(&((const struct resource *)row)->site_id, c->id);
		break;
	case KIND_POLICY:
		r = directory_get(c->dir, KIND_RESOURCE, &e->account_id, &p->resource_id);
		is = uuid_eq(&p->resource_id, c->id) || uuid_eq(&p->group_id, c->id) || (c->of == KIND_SITE && r && uuid_eq(&r->site_id, c->id));
		break;
	case KIND_CLIENT:
	case KIND_GATEWAY:
		is = uuid_eq(&((const struct device *)row)->owner_id, c->id);
		break;
	case KIND_CLIENT_TOKEN:
	case KIND_GATEWAY_TOKEN:
		is = uuid_eq(&((const struct token *)row)->owner_id, c->id);
		break;
	}
	c->n[k] += is || c->of == KIND_ACCOUNT;
	return 0;
}

int admin_dependents(struct portal *p, enum kind k, const struct uuid *account, const struct uuid *id, struct dependents *out)
{
	struct count c = { .id = id, .dir = hub_directory(p->hub), .of = k };
	union any_entity e;
	int rc = store_get(p->store, k, account, id, &e);

	memset(out, 0, sizeof(*out));
	if (rc)
		return rc;
	entity_deinit(k, &e);
	for (size_t i = 0; i < ARRAY_LEN(words) && !rc; i++) {
		enum kind dep = words[i].kind;
		bool is_possible = (k == KIND_ACCOUNT) || (k == KIND_ACTOR && (dep == KIND_MEMBERSHIP || dep == KIND_CLIENT || dep == KIND_CLIENT_TOKEN)) ||
				   (k == KIND_GROUP && (dep == KIND_MEMBERSHIP || dep == KIND_POLICY)) ||
				   (k == KIND_SITE && (dep == KIND_RESOURCE || dep == KIND_POLICY || dep == KIND_GATEWAY || dep == KIND_GATEWAY_TOKEN)) ||
				   (k == KIND_RESOURCE && dep == KIND_POLICY);

		if (!is_possible)
			continue;
		rc = store_list(p->store, dep, account, count_row, &c);
		if (c.n[dep] > 0 && out->n < DEPENDENTS_MAX)
			out->at[out->n++] = (struct dependent){ dep, words[i].one, words[i].many, c.n[dep] };
	}
	return rc;
}
