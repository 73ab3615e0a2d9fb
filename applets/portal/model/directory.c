#include "applets/portal/model/directory.h"

#include <stdlib.h>

static int by_id(const void *a, const void *b)
{
	const struct entity *x = a, *y = b;
	int c = uuid_cmp(&x->account_id, &y->account_id);

	return c ? c : uuid_cmp(&x->id, &y->id);
}

static int by_actor(const void *a, const void *b)
{
	const struct membership *x = a, *y = b;
	int c = uuid_cmp(&x->e.account_id, &y->e.account_id);

	c = c ? c : uuid_cmp(&x->actor_id, &y->actor_id);
	return c ? c : uuid_cmp(&x->group_id, &y->group_id);
}

static int by_resource(const void *a, const void *b)
{
	const struct policy *x = a, *y = b;
	int c = uuid_cmp(&x->e.account_id, &y->e.account_id);

	c = c ? c : uuid_cmp(&x->resource_id, &y->resource_id);
	return c ? c : uuid_cmp(&x->e.id, &y->e.id);
}

static int by_group(const void *a, const void *b)
{
	const struct policy *x = a, *y = b;
	int c = uuid_cmp(&x->e.account_id, &y->e.account_id);

	c = c ? c : uuid_cmp(&x->group_id, &y->group_id);
	return c ? c : uuid_cmp(&x->e.id, &y->e.id);
}

void directory_init(struct directory *d)
{
	memset(d, 0, sizeof(*d));
	for (int k = 0; k < DIRECTORY_KINDS; k++)
		d->by_id[k].cmp = by_id;
	d->by_actor.cmp = by_actor;
	d->by_resource.cmp = by_resource;
	d->by_group.cmp = by_group;
	d->everyone.cmp = by_id;
}

void directory_deinit(struct directory *d)
{
	for (int k = 0; k < DIRECTORY_KINDS; k++) {
		for (u32 i = 0; i < d->by_id[k].n; i++)
			entity_free((enum kind)k, d->by_id[k].at[i]);
		index_free(&d->by_id[k]);
	}
	index_free(&d->by_actor);
	index_free(&d->by_resource);
	index_free(&d->by_group);
	index_free(&d->everyone);
}

#define OTHERS_MAX 2u

/* The other indexes that an entity belongs into. */
static u32 others(struct directory *d, enum kind k, const void *entity, struct index *out[static OTHERS_MAX])
{
	u32 n = 0;

	if (k == KIND_MEMBERSHIP) {
		out[n++] = &d->by_actor;
	} else if (k == KIND_POLICY) {
		out[n++] = &d->by_resource;
		out[n++] = &d->by_group;
	} else if (k == KIND_GROUP && group_is_everyone(entity)) {
		out[n++] = &d->everyone;
	}
	return n;
}

void *directory_take(struct directory *d, enum kind k, const struct uuid *account, const struct uuid *id)
{
	struct entity key = { .account_id = *account, .id = *id };
	void *old = index_take(&d->by_id[k], &key);
	struct index *other[OTHERS_MAX];

	for (u32 n = old ? others(d, k, old, other) : 0; n > 0; n--)
		index_take(other[n - 1], old);
	d->revision += old != NULL;
	return old;
}

int directory_put(struct directory *d, enum kind k, const void *entity, void **old)
{
	const struct entity *e = entity;
	struct index *other[OTHERS_MAX];
	void *copy = entity_dup(k, entity);

	*old = NULL;
	if (!copy)
		return ERR_NOMEM;
	((struct entity *)copy)->revision = ++d->revision;
	*old = directory_take(d, k, &e->account_id, &e->id);
	int rc = index_put(&d->by_id[k], copy);
	for (u32 n = others(d, k, copy, other); n > 0 && !rc; n--)
		rc = index_put(other[n - 1], copy);
	if (rc)
		entity_free(k, directory_take(d, k, &e->account_id, &e->id));
	return rc;
}

const void *directory_get(const struct directory *d, enum kind k, const struct uuid *account, const struct uuid *id)
{
	struct entity key = { .account_id = *account, .id = *id };

	return index_find(&d->by_id[k], &key);
}

/* Of an index by (account, id). */
static void *const *range_of_account(const struct index *x, const struct uuid *account, u32 *n)
{
	struct entity key = { .account_id = *account };
	u32 first = index_lower(x, &key), end;

	memset(key.id.b, 0xff, sizeof(key.id.b));
	end = index_lower(x, &key);
	end += end < x->n && by_id(x->at[end], &key) == 0;
	*n = end - first;
	return x->at + first;
}

void *const *directory_all(const struct directory *d, enum kind k, const struct uuid *account, u32 *n)
{
	return range_of_account(&d->by_id[k], account, n);
}

void *const *directory_everyone(const struct directory *d, const struct uuid *account, u32 *n)
{
	return range_of_account(&d->everyone, account, n);
}

void *const *directory_policies_of(const struct directory *d, const struct uuid *account, const struct uuid *resource, u32 *n)
{
	const struct index *x = &d->by_resource;
	struct policy key = { .e.account_id = *account, .resource_id = *resource };
	u32 first = index_lower(x, &key), end = first;

	for (; end < x->n; end++) {
		const struct policy *p = x->at[end];
		if (!uuid_eq(&p->resource_id, resource) || !uuid_eq(&p->e.account_id, account))
			break;
	}
	*n = end - first;
	return x->at + first;
}

void *const *directory_policies_of_group(const struct directory *d, const struct uuid *account, const struct uuid *group, u32 *n)
{
	const struct index *x = &d->by_group;
	struct policy key = { .e.account_id = *account, .group_id = *group };
	u32 first = index_lower(x, &key), end = first;

	for (; end < x->n; end++) {
		const struct policy *p = x->at[end];
		if (!uuid_eq(&p->group_id, group) || !uuid_eq(&p->e.account_id, account))
			break;
	}
	*n = end - first;
	return x->at + first;
}

void *const *directory_memberships_of(const struct directory *d, const struct actor *a, u32 *n)
{
	const struct index *x = &d->by_actor;
	struct membership key = { .e.account_id = a->e.account_id, .actor_id = a->e.id };
	u32 first = index_lower(x, &key), end = first;

	for (; end < x->n; end++) {
		const struct membership *m = x->at[end];
		if (!uuid_eq(&m->actor_id, &a->e.id) || !uuid_eq(&m->e.account_id, &a->e.account_id))
			break;
	}
	*n = end - first;
	return x->at + first;
}

void *const *directory_memberships(const struct directory *d, const struct uuid *account, u32 *n)
{
	struct membership key = { .e.account_id = *account };
	u32 first = index_lower(&d->by_actor, &key);

	memset(&key.actor_id, 0xff, sizeof(key.actor_id));
	*n = index_lower(&d->by_actor, &key) - first;
	return d->by_actor.at + first;
}

const struct account *directory_account_named(const struct directory *d, const char *slug_or_id)
{
	struct uuid id;

	if (uuid_parse(SPAN(slug_or_id, strlen(slug_or_id)), &id) == 0)
		return directory_account(d, &id);
	for (u32 i = 0; i < d->by_id[KIND_ACCOUNT].n; i++) {
		const struct account *a = d->by_id[KIND_ACCOUNT].at[i];
		if (strcasecmp(a->slug, slug_or_id) == 0)
			return a;
	}
	return NULL;
}

bool group_is_everyone(const struct group *g)
{
	return g->type == GROUP_MANAGED && strcmp(g->name, EVERYONE) == 0;
}

bool directory_is_member(const struct directory *d, const struct actor *a, const struct group *g, struct uuid *membership)
{
	struct membership key = { .e.account_id = a->e.account_id, .actor_id = a->e.id, .group_id = g->e.id };
	const struct membership *m;

	memset(membership, 0, sizeof(*membership));
	if (group_is_everyone(g))
		return a->type == ACTOR_USER || a->type == ACTOR_ADMIN;
	m = index_find(&d->by_actor, &key);
	if (m)
		*membership = m->e.id;
	return m != NULL;
}
