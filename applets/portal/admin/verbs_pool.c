/* pool: devices that clients may reach directly (spec 60 §4.10) */
#include "applets/portal/admin/verbs.h"
#include "applets/portal/model/rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POOL_MEMBERS_MAX 4096u /* named in one call; a client is told of no more (core/phoenix/messages.h) */

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

static int find_pool(struct admin *a, const struct account **account, const struct resource **out)
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
	int rc = find_pool(a, &account, &pool);

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
	int rc = find_pool(a, &account, &pool);

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

/* ---- all members of a pool at once ---------------------------------------------------------------------------------------------------- */

struct wanted {
	struct uuid *id;
	u32 n;
};

static bool is_wanted(const struct wanted *w, const struct uuid *client)
{
	for (u32 i = 0; i < w->n; i++)
		if (uuid_eq(&w->id[i], client))
			return true;
	return false;
}

/* Devices named by id, separated by spaces, or one by its name. */
static int find_wanted(struct admin *a, const struct account *account, const char *text, struct wanted *w)
{
	if (strlen(text) / 2 + 1 > POOL_MEMBERS_MAX * (size_t)UUID_STRLEN)
		return admin_fail(a, ERR_LIMIT, "--member: at most %u devices", POOL_MEMBERS_MAX);
	w->id = calloc(strlen(text) / 2 + 1, sizeof(*w->id));
	if (!w->id)
		return ERR_NOMEM;
	for (const char *p = text; *(p += strspn(p, " "));) {
		size_t n = strcspn(p, " ");
		union any_entity client;
		char word[256];

		snprintf(word, sizeof(word), "%.*s", (int)MIN(n, sizeof(word) - 1), p);
		if (admin_find_row(a, KIND_CLIENT, &account->e.id, word, &client))
			return admin_fail(a, ERR_INVAL, "--member: there is no device '%s'", word);
		if (!is_wanted(w, &client.client.d.e.id))
			w->id[w->n++] = client.client.d.e.id;
		entity_deinit(KIND_CLIENT, &client);
		p += n;
	}
	return 0;
}

static int remove_others(struct admin *a, const struct resource *pool, const struct wanted *w)
{
	u32 n;
	void *const *list = directory_all(admin_dir(a), KIND_POOL_MEMBER, &pool->e.account_id, &n);
	int rc = 0;

	for (u32 i = 0; i < n && !rc; i++) {
		const struct pool_member *m = list[i];
		if (uuid_eq(&m->resource_id, &pool->e.id) && !is_wanted(w, &m->client_id))
			rc = store_delete(a->portal->store, KIND_POOL_MEMBER, &pool->e.account_id, &m->e.id);
	}
	return rc;
}

static int add_missing(struct admin *a, const struct resource *pool, const struct wanted *w)
{
	int rc = 0;

	for (u32 i = 0; i < w->n && !rc; i++) {
		struct pool_member x = { .e = { .account_id = pool->e.account_id, .id = admin_new_id(a) }, .resource_id = pool->e.id, .client_id = w->id[i] };

		if (!find_member(a, pool, &w->id[i]))
			rc = store_insert(a->portal->store, KIND_POOL_MEMBER, &x, a->wall);
	}
	return rc;
}

/* Replaces the devices of a pool by those named, in one or many values; changes only what differs. */
int run_pool_set_members(struct admin *a)
{
	struct wanted w = { .id = NULL };
	const struct account *account;
	const struct resource *pool;
	char *text = admin_args_joined(a, "member", " ");
	int rc = find_pool(a, &account, &pool);

	rc = rc ? rc : find_wanted(a, account, text ? text : "", &w);
	rc = rc ? rc : admin_begin(a);
	if (!rc) {
		rc = remove_others(a, pool, &w);
		rc = admin_end(a, rc ? rc : add_missing(a, pool, &w));
	}
	a->is_quiet = true;
	free(w.id);
	free(text);
	return rc;
}

int run_pool_members(struct admin *a)
{
	const struct account *account;
	const struct resource *pool;
	void *const *list;
	u32 n;
	int rc = find_pool(a, &account, &pool);

	if (rc)
		return rc;
	list = directory_all(admin_dir(a), KIND_POOL_MEMBER, &account->e.id, &n);
	for (u32 i = 0; i < n && !rc; i++) {
		const struct pool_member *m = list[i];
		union any_entity client;

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
