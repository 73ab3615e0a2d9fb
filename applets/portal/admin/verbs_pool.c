/* pool: devices that clients may reach directly (spec 60 §4.10) */
#include "applets/portal/admin/verbs.h"
#include "applets/portal/model/rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int run_pool_add(struct admin *a)
{
	const struct account *account;
	struct complaint c;
	struct resource x;
	int rc = admin_account(a, &account);

	if (rc)
		return rc;
	entity_init(KIND_RESOURCE, &x);
	x.e = (struct entity){ .account_id = account->e.id, .id = admin_new_id(a) };
	x.type = RESOURCE_POOL;
	rc = text_set(&x.name, admin_arg(a, "name"));
	rc = rc ? rc : text_set(&x.address_description, admin_arg(a, "description"));
	if (!rc && check_resource(&x, &c))
		rc = admin_complain(a, &c);
	rc = rc ? rc : admin_begin(a);
	if (!rc)
		rc = admin_end(a, store_insert(a->portal->store, KIND_RESOURCE, &x, a->wall));
	rc = admin_show_single(a, KIND_RESOURCE, &x, rc);
	entity_deinit(KIND_RESOURCE, &x);
	return rc;
}

int admin_find_pool(struct admin *a, const struct account **account, const struct resource **out)
{
	const char *name = admin_arg(a, "target");
	const void *found;
	int rc = admin_account(a, account);

	rc = rc ? rc : name ? admin_find(a, KIND_RESOURCE, *account, name, &found) : admin_fail(a, ERR_INVAL, "which pool?");
	if (rc)
		return rc;
	*out = found;
	return (*out)->type == RESOURCE_POOL ? 0 : admin_fail(a, ERR_INVAL, "'%s' is no device pool", (*out)->name);
}

static int find_client(struct admin *a, const struct account *account, union any_entity *out)
{
	const char *name = admin_arg(a, "client");

	return name ? admin_find_row(a, KIND_CLIENT, &account->e.id, name, out) : admin_fail(a, ERR_INVAL, "which client?");
}

int run_pool_join(struct admin *a)
{
	const struct account *account;
	const struct resource *pool;
	union any_entity client;
	struct pool_member x;
	int rc = admin_find_pool(a, &account, &pool);

	rc = rc ? rc : find_client(a, account, &client);
	if (rc)
		return rc;
	x = (struct pool_member){ .e = { .account_id = account->e.id, .id = admin_new_id(a) }, .resource_id = pool->e.id,
				  .client_id = client.client.d.e.id };
	rc = admin_begin(a);
	if (!rc) {
		rc = store_insert(a->portal->store, KIND_POOL_MEMBER, &x, a->wall);
		if (rc == ERR_EXISTS)
			(void)admin_fail(a, rc, "'%s' is already in '%s'", client.device.name, pool->name);
		rc = admin_end(a, rc);
	}
	entity_deinit(KIND_CLIENT, &client);
	a->is_quiet = true;
	return rc;
}

static const struct pool_member *find_member(struct admin *a, const struct resource *pool, const struct uuid *client)
{
	u32 n;
	void *const *list = directory_all(admin_dir(a), KIND_POOL_MEMBER, &pool->e.account_id, &n);

	for (u32 i = 0; i < n; i++) {
		const struct pool_member *m = list[i];
		if (uuid_eq(&m->resource_id, &pool->e.id) && uuid_eq(&m->client_id, client))
			return m;
	}
	return NULL;
}

int run_pool_leave(struct admin *a)
{
	const struct account *account;
	const struct resource *pool;
	const struct pool_member *m;
	union any_entity client;
	int rc = admin_find_pool(a, &account, &pool);

	rc = rc ? rc : find_client(a, account, &client);
	if (rc)
		return rc;
	m = find_member(a, pool, &client.client.d.e.id);
	rc = m ? admin_begin(a) : admin_fail(a, ERR_NOT_FOUND, "'%s' is not in '%s'", client.device.name, pool->name);
	if (!rc) {
		struct uuid id = m->e.id;
		rc = admin_end(a, store_delete(a->portal->store, KIND_POOL_MEMBER, &account->e.id, &id));
	}
	entity_deinit(KIND_CLIENT, &client);
	a->is_quiet = true;
	return rc;
}

int run_pool_members(struct admin *a)
{
	const struct account *account;
	const struct resource *pool;
	void *const *list;
	u32 n;
	int rc = admin_find_pool(a, &account, &pool);

	if (rc)
		return rc;
	list = directory_all(admin_dir(a), KIND_POOL_MEMBER, &account->e.id, &n);
	for (u32 i = admin_resume(a, list, n); i < n && !rc; i++) {
		const struct pool_member *m = list[i];
		union any_entity client;

		if (admin_pause_after(a, list[i - (i > 0)]))
			return 0;
		if (!uuid_eq(&m->resource_id, &pool->e.id))
			continue;
		rc = store_get(a->portal->store, KIND_CLIENT, &account->e.id, &m->client_id, &client);
		if (rc)
			return admin_store_failed(a, rc);
		admin_show(a, KIND_CLIENT, &client);
		entity_deinit(KIND_CLIENT, &client);
	}
	return rc;
}
