/* tests/unit/store_world.h: a store in a folder of its own with one of each thing, for tests of the store. */
#pragma once

#include "applets/portal/store/store.h"
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WALL (1800000000ull * 1000000000ull)

struct world {
	char dir[64], path[96];
	struct store *s;
	struct uuid account, other, site, actor, group, resource, policy, token, client, gateway, membership;
	u32 changes[KIND_COUNT][3];
};

static inline struct uuid id_of(u8 n)
{
	return (struct uuid){ { n, 1 } };
}

static inline struct entity entity_of(const struct uuid *account, u8 n)
{
	return (struct entity){ .account_id = *account, .id = id_of(n) };
}

static inline int add(struct world *w, enum kind k, void *e)
{
	int rc = store_begin(w->s, STORE_EAGER);

	rc = rc ? rc : store_insert(w->s, k, e, WALL);
	return rc ? store_rollback(w->s, rc) : store_commit(w->s);
}

static inline int del(struct world *w, enum kind k, const struct uuid *account, const struct uuid *id)
{
	int rc = store_begin(w->s, STORE_DURABLE);

	rc = rc ? rc : store_delete(w->s, k, account, id);
	return rc ? store_rollback(w->s, rc) : store_commit(w->s);
}

static inline int note(void *ctx, const struct change *c)
{
	((struct world *)ctx)->changes[c->kind][c->op]++;
	return 0;
}

static inline void forget(struct world *w)
{
	EXPECT_EQ(store_drain(w->s, note, w), 0);
	memset(w->changes, 0, sizeof(w->changes));
}

static inline int add_device(struct world *w, enum kind k, const struct uuid *account, const struct uuid *owner, u8 id, const char *external_id,
		      struct device *out)
{
	union any_entity e;
	int rc = store_begin(w->s, STORE_EAGER);

	entity_init(k, &e);
	e.e = entity_of(account, id);
	e.device.owner_id = *owner;
	e.device.external_id = strdup(external_id);
	e.device.name = strdup("dev");
	rc = rc ? rc : store_insert_device(w->s, k, &e.device, WALL);
	rc = rc ? store_rollback(w->s, rc) : store_commit(w->s);
	if (out) {
		out->ipv4 = e.device.ipv4;
		out->ipv6 = e.device.ipv6;
	}
	entity_deinit(k, &e);
	return rc;
}

static inline int add_account(struct world *w, u8 id, const char *slug, const char *key)
{
	struct account a = { .e = { .account_id = id_of(id), .id = id_of(id) }, .name = "Acme", .limit_users = -1, .limit_service_accounts = -1,
			     .limit_sites = -1, .limit_admins = 7, .limit_monthly_active_users = -1 };

	a.slug = (char *)(uintptr_t)slug;
	a.key = (char *)(uintptr_t)key;
	return add(w, KIND_ACCOUNT, &a);
}

static inline struct world open_world(void)
{
	struct world w = { .dir = "/tmp/ember-store-XXXXXX" };
	char why[256] = "";

	EXPECT(mkdtemp(w.dir) != NULL);
	snprintf(w.path, sizeof(w.path), "%s/portal.db", w.dir);
	if (!EXPECT(store_open(&w.s, w.path, why, sizeof(why)) == 0))
		fprintf(stderr, "%s\n", why);
	return w;
}

static inline void fill(struct world *w)
{
	w->account = id_of(1);
	w->other = id_of(2);
	EXPECT_EQ(add_account(w, 1, "acme", "aaaaaa"), 0);
	EXPECT_EQ(add_account(w, 2, "other", "bbbbbb"), 0);
	struct site site = { .e = entity_of(&w->account, 3), .name = "Berlin" };
	EXPECT_EQ(add(w, KIND_SITE, &site), 0);
	struct actor actor = { .e = entity_of(&w->account, 4), .name = "Jo", .email = "jo@example.com" };
	EXPECT_EQ(add(w, KIND_ACTOR, &actor), 0);
	struct group group = { .e = entity_of(&w->account, 5), .name = "team" };
	EXPECT_EQ(add(w, KIND_GROUP, &group), 0);
	w->site = site.e.id;
	w->actor = actor.e.id;
	w->group = group.e.id;
	struct membership m = { .e = entity_of(&w->account, 6), .actor_id = w->actor, .group_id = w->group };
	EXPECT_EQ(add(w, KIND_MEMBERSHIP, &m), 0);
	struct resource r = { .e = entity_of(&w->account, 7), .site_id = w->site, .type = RESOURCE_CIDR, .name = "lab", .address = "10.9.0.0/24" };
	EXPECT_EQ(add(w, KIND_RESOURCE, &r), 0);
	struct policy p = { .e = entity_of(&w->account, 8), .group_id = w->group, .resource_id = r.e.id };
	EXPECT_EQ(add(w, KIND_POLICY, &p), 0);
	struct token t = { .e = entity_of(&w->account, 9), .owner_id = w->actor, .salt = "salt", .hash = "hash", .expires_at = (i64)(WALL / 1000) + 1 };
	EXPECT_EQ(add(w, KIND_CLIENT_TOKEN, &t), 0);
	w->membership = m.e.id;
	w->resource = r.e.id;
	w->policy = p.e.id;
	w->token = t.e.id;
	EXPECT_EQ(add_device(w, KIND_CLIENT, &w->account, &w->actor, 10, "laptop", NULL), 0);
	EXPECT_EQ(add_device(w, KIND_GATEWAY, &w->account, &w->site, 11, "gw", NULL), 0);
	w->client = id_of(10);
	w->gateway = id_of(11);
	struct authorization a = { .e = entity_of(&w->account, 12), .policy_id = w->policy, .client_id = w->client, .gateway_id = w->gateway,
				   .resource_id = w->resource, .token_id = w->token, .membership_id = w->membership,
				   .expires_at = (i64)(WALL / 1000) + 1 };
	EXPECT_EQ(add(w, KIND_AUTHORIZATION, &a), 0);
	forget(w);
}

static inline void close_world(struct world *w)
{
	char command[128];

	store_close(w->s);
	snprintf(command, sizeof(command), "rm -rf %s", w->dir);
	EXPECT_EQ(system(command), 0);
}
