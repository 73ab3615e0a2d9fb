/* Deletions and revocations that take thousands of rows with them: in slices while the portal serves, with the same end. */
#include "tests/unit/store_world.h"

#include "core/base/rng.h"
#include "core/loop/loop.h"
#include "platform/sys.h"

#include <sqlite3.h>

#define MANY 12	     /* of each thing below another */
#define SLICE_MAX 60 /* changes that a slice may tell of: a few more than it is made for, since the last row may have had some left on it */

struct sliced {
	struct world w;
	struct loop *loop;
	u32 settled, slices, longest, told;
	u64 next; /* id */
};

static void on_settled(void *ctx, u64 ticket)
{
	(void)ticket;
	struct sliced *t = ctx;

	t->settled++;
	loop_stop(t->loop);
}

static struct uuid new_id(struct sliced *t)
{
	struct uuid id = { .b = { 0xaa } };

	put_be64(id.b + 8, ++t->next * 0x9e3779b97f4a7c15u);
	return id;
}

static struct entity new_entity(struct sliced *t)
{
	return (struct entity){ .account_id = t->w.account, .id = new_id(t) };
}

static int put(struct sliced *t, enum kind k, void *e)
{
	return store_insert(t->w.s, k, e, WALL);
}

static int sign_in(struct sliced *t, const struct uuid *actor, const struct uuid *provider, struct uuid *token)
{
	struct token x = { .e = new_entity(t), .owner_id = *actor, .auth_provider_id = *provider, .salt = "s", .hash = "h", .expires_at = INT64_MAX };
	struct portal_session p = { .e = new_entity(t), .actor_id = *actor, .auth_provider_id = *provider, .expires_at = INT64_MAX };
	int rc = put(t, KIND_CLIENT_TOKEN, &x);

	*token = x.e.id;
	return rc ? rc : put(t, KIND_PORTAL_SESSION, &p);
}

static int connect(struct sliced *t, bool is_gateway, const struct uuid *device, const struct uuid *token)
{
	struct store_session x = { .account_id = t->w.account, .device_id = *device, .token_id = *token, .is_gateway = is_gateway, .at = (i64)(WALL / 1000),
				   .public_key = "k" };

	return store_insert_session(t->w.s, &x);
}

/* A provider, a directory with people and groups, their clients; a site with gateways, resources, policies; everybody goes everywhere. */
static void fill_much(struct sliced *t, struct uuid *provider, struct uuid *directory, struct uuid *gateway_token)
{
	struct world *w = &t->w;
	struct uuid clients[MANY], tokens[MANY];
	struct auth_provider ap;
	struct sync_directory d;
	int rc;

	fill(w);
	rc = store_begin(w->s, STORE_DURABLE);
	entity_init(KIND_AUTH_PROVIDER, &ap);
	ap.e = new_entity(t);
	ap.type = PROVIDER_OIDC;
	ap.name = "idp";
	ap.client_id = "c";
	rc = rc ? rc : put(t, KIND_AUTH_PROVIDER, &ap);
	entity_init(KIND_DIRECTORY, &d);
	d.e = new_entity(t);
	d.name = "people";
	rc = rc ? rc : put(t, KIND_DIRECTORY, &d);
	*provider = ap.e.id;
	*directory = d.e.id;
	struct token gt = { .e = new_entity(t), .owner_id = w->site, .salt = "s", .hash = "h" };
	rc = rc ? rc : put(t, KIND_GATEWAY_TOKEN, &gt);
	*gateway_token = gt.e.id;
	for (u32 i = 0; i < MANY && !rc; i++) {
		char name[32];
		union any_entity e;
		struct actor a = { .e = new_entity(t), .name = name, .email = name, .created_by_directory_id = d.e.id };

		snprintf(name, sizeof(name), "p%u@example.com", i);
		rc = put(t, KIND_ACTOR, &a);
		struct group g = { .e = new_entity(t), .name = name, .directory_id = d.e.id, .idp_id = name };
		rc = rc ? rc : put(t, KIND_GROUP, &g);
		struct identity who = { .e = new_entity(t), .actor_id = a.e.id, .issuer = "i", .idp_id = name, .directory_id = d.e.id };
		rc = rc ? rc : put(t, KIND_IDENTITY, &who);
		struct membership m[2] = { { .e = new_entity(t), .actor_id = a.e.id, .group_id = g.e.id },
					   { .e = new_entity(t), .actor_id = a.e.id, .group_id = w->group } };
		rc = rc ? rc : put(t, KIND_MEMBERSHIP, &m[0]);
		rc = rc ? rc : put(t, KIND_MEMBERSHIP, &m[1]);
		rc = rc ? rc : sign_in(t, i % 2 ? &a.e.id : &w->actor, provider, &tokens[i]);
		entity_init(KIND_CLIENT, &e);
		e.e = new_entity(t);
		e.device.owner_id = i % 2 ? a.e.id : w->actor;
		e.device.external_id = strdup(name);
		e.device.name = strdup(name);
		rc = rc ? rc : store_insert_device(w->s, KIND_CLIENT, &e.device, WALL);
		clients[i] = e.e.id;
		entity_deinit(KIND_CLIENT, &e);
		for (u32 j = 0; j < MANY && !rc; j++)
			rc = connect(t, false, &clients[i], &tokens[i]);
		rc = rc ? rc : connect(t, true, &w->gateway, gateway_token);
	}
	for (u32 i = 0; i < MANY && !rc; i++) {
		char name[32];
		struct resource r = { .e = new_entity(t), .site_id = w->site, .type = RESOURCE_CIDR, .name = name, .address = name };

		snprintf(name, sizeof(name), "10.%u.0.0/16", i);
		rc = put(t, KIND_RESOURCE, &r);
		struct policy p = { .e = new_entity(t), .group_id = w->group, .resource_id = r.e.id };
		rc = rc ? rc : put(t, KIND_POLICY, &p);
		w->policy = p.e.id;
		w->resource = r.e.id;
		for (u32 j = 0; j < MANY && !rc; j++) {
			struct authorization a = { .e = new_entity(t), .policy_id = p.e.id, .client_id = clients[j], .gateway_id = w->gateway, .resource_id = r.e.id,
						   .token_id = tokens[j], .expires_at = INT64_MAX };

			rc = put(t, KIND_AUTHORIZATION, &a);
		}
	}
	w->client = clients[1];
	w->token = tokens[1];
	rc = rc ? store_rollback(w->s, rc) : store_commit(w->s);
	if (!EXPECT_EQ(rc, 0))
		fprintf(stderr, "%s\n", store_reason(w->s));
	forget(w);
}

static int count_row(void *ctx, enum kind k, const void *entity)
{
	(void)k;
	(void)entity;
	++*(u32 *)ctx;
	return 0;
}

static int tell(void *ctx, const struct change *c)
{
	struct sliced *t = ctx;

	t->told++;
	return note(&t->w, c);
}

/* Until the deletion is done. */
static void drain_slices(struct sliced *t)
{
	int rc;

	do {
		t->told = 0;
		EXPECT_EQ(store_drain(t->w.s, tell, t), 0);
		t->longest = MAX(t->longest, t->told);
		t->slices++;
		rc = store_sweep(t->w.s, WALL);
		EXPECT(rc >= 0);
	} while (rc > 0);
	EXPECT_EQ(store_swept(t->w.s), store_sweeps(t->w.s));
}

struct counts {
	u32 n;
	char of[80][64];
};

static int count_table(void *ctx, int n, char **v, char **names)
{
	struct counts *c = ctx;

	(void)n;
	(void)names;
	if (EXPECT(c->n < ARRAY_LEN(c->of)))
		snprintf(c->of[c->n++], sizeof(c->of[0]), "%s", v[0]);
	return 0;
}

/* Each table and how many rows are in it; but not how often the audit trail says that an actor was disabled. */
static void read_counts(const char *path, struct counts *out)
{
	struct counts tables = { 0 };
	sqlite3 *db;

	out->n = 0;
	REQUIRE(sqlite3_open(path, &db) == SQLITE_OK);
	EXPECT_EQ(sqlite3_exec(db, "SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'search_text%' ORDER BY name",
			       count_table, &tables, NULL), SQLITE_OK);
	for (u32 i = 0; i < tables.n; i++) {
		char sql[256];

		snprintf(sql, sizeof(sql), "SELECT '%s '||count(*) FROM %s%s", tables.of[i], tables.of[i], strcmp(tables.of[i], "change_logs") ? "" : " WHERE op='delete'");
		EXPECT_EQ(sqlite3_exec(db, sql, count_table, out, NULL), SQLITE_OK);
	}
	EXPECT_EQ(sqlite3_exec(db, "INSERT INTO search_text(search_text) VALUES('integrity-check')", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

enum target { THE_ACCOUNT, A_SITE, AN_ACTOR, A_GROUP, A_RESOURCE, A_POLICY, A_CLIENT, A_GATEWAY, A_TOKEN, A_GATEWAY_TOKEN, A_PROVIDER, A_DIRECTORY, TARGETS };

static const enum kind kind_of[TARGETS] = { KIND_ACCOUNT, KIND_SITE,	KIND_ACTOR,	    KIND_GROUP,		KIND_RESOURCE,	    KIND_POLICY,
					    KIND_CLIENT,  KIND_GATEWAY, KIND_CLIENT_TOKEN, KIND_GATEWAY_TOKEN, KIND_AUTH_PROVIDER, KIND_DIRECTORY };

static void begin_slicing(struct sliced *t)
{
	t->loop = loop_new(&(struct loop_clock){ sys_clock_now, sys_clock_wall, NULL });
	REQUIRE(store_defer(t->w.s, t->loop, on_settled, t) == 0);
}

static struct sliced *sliced_new(bool is_sliced, enum target what, struct uuid *id)
{
	struct sliced *t = calloc(1, sizeof(*t));
	struct uuid provider, directory, gateway_token;

	t->w = open_world();
	fill_much(t, &provider, &directory, &gateway_token);
	const struct uuid *const ids[TARGETS] = { &t->w.account, &t->w.site,	&t->w.actor, &t->w.group,    &t->w.resource, &t->w.policy,
						  &t->w.client,	 &t->w.gateway, &t->w.token, &gateway_token, &provider,	     &directory };
	*id = *ids[what];
	if (is_sliced)
		begin_slicing(t);
	return t;
}

static void sliced_free(struct sliced *t)
{
	close_world(&t->w);
	if (t->loop)
		loop_free(t->loop);
	free(t);
}

TEST(what_is_deleted_in_slices_is_what_is_deleted_at_once)
{
	for (int what = 0; what < TARGETS; what++) {
		struct counts at_once, in_slices;
		u32 changes[2][KIND_COUNT];

		for (int is_sliced = 0; is_sliced < 2; is_sliced++) {
			struct uuid id;
			struct sliced *t = sliced_new(is_sliced, (enum target)what, &id);

			EXPECT_EQ(del(&t->w, kind_of[what], &t->w.account, &id), 0);
			if (!is_sliced || what < A_RESOURCE || what > A_GATEWAY_TOKEN) /* of those between not much hangs on one */
				EXPECT_EQ(store_sweeps(t->w.s) > store_swept(t->w.s), is_sliced);
			drain_slices(t);
			if (is_sliced && !EXPECT(t->longest <= SLICE_MAX))
				fprintf(stderr, "deleting a %s: %u changes in a slice\n", kinds[kind_of[what]].name, t->longest);
			for (int k = 0; k < KIND_COUNT; k++)
				changes[is_sliced][k] = t->w.changes[k][CHANGE_DELETE];
			store_close(t->w.s);
			t->w.s = NULL;
			read_counts(t->w.path, is_sliced ? &in_slices : &at_once);
			sliced_free(t);
		}
		for (int k = 0; k < KIND_COUNT; k++)
			EXPECT_EQ(changes[0][k], changes[1][k]);
		EXPECT_EQ(at_once.n, in_slices.n);
		for (u32 i = 0; i < at_once.n; i++)
			EXPECT_STR(at_once.of[i], in_slices.of[i]);
	}
}

TEST(revocations_are_sliced_too_and_spare_what_is_made_meanwhile)
{
	static const struct {
		enum store_revoke what;
		enum target of;
		enum kind kind;
		i64 left; /* in the account */
	} all[] = { { REVOKE_AUTHORIZATIONS_OF_ACCOUNT, THE_ACCOUNT, KIND_AUTHORIZATION, 1 },
		    { REVOKE_AUTHORIZATIONS_OF_CLIENT, A_CLIENT, KIND_AUTHORIZATION, MANY * (MANY - 1) + 2 },
		    { REVOKE_TOKENS_OF_PROVIDER, A_PROVIDER, KIND_CLIENT_TOKEN, 1 },
		    { REVOKE_TOKENS_OF_ACTOR, AN_ACTOR, KIND_CLIENT_TOKEN, MANY / 2 } };

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct uuid id;
		struct sliced *t = sliced_new(true, all[i].of, &id);
		bool is_account = all[i].of == THE_ACCOUNT;

		REQUIRE(store_begin(t->w.s, STORE_DURABLE) == 0);
		EXPECT_EQ(store_revoke(t->w.s, all[i].what, &t->w.account, is_account ? NULL : &id), 0);
		EXPECT_EQ(store_commit(t->w.s), 0);
		bool is_put_off = store_sweeps(t->w.s) > store_swept(t->w.s);
		EXPECT(is_put_off);

		/* with a connection that came after, of a client that is still there */
		struct authorization young = { .e = new_entity(t), .policy_id = t->w.policy, .client_id = t->w.client, .gateway_id = t->w.gateway,
					       .resource_id = t->w.resource, .token_id = id_of(9), .expires_at = INT64_MAX };
		if (all[i].kind == KIND_AUTHORIZATION) {
			REQUIRE(store_begin(t->w.s, STORE_EAGER) == 0);
			EXPECT_EQ(store_insert(t->w.s, KIND_AUTHORIZATION, &young, WALL + NSEC_PER_SEC), 0);
			EXPECT_EQ(store_commit(t->w.s), 0);
		}
		drain_slices(t);
		EXPECT(t->longest <= SLICE_MAX);
		u32 n = 0;
		struct authorization a;
		EXPECT_EQ(store_list(t->w.s, all[i].kind, &t->w.account, count_row, &n), 0);
		EXPECT_EQ(n, all[i].left);
		if (all[i].kind == KIND_AUTHORIZATION && EXPECT_EQ(store_get(t->w.s, KIND_AUTHORIZATION, &t->w.account, &young.e.id, &a), 0))
			entity_deinit(KIND_AUTHORIZATION, &a);
		sliced_free(t);
	}
}

static u32 authorizations(struct sliced *t)
{
	u32 n = 0;

	EXPECT_EQ(store_list(t->w.s, KIND_AUTHORIZATION, &t->w.other, count_row, &n), 0);
	EXPECT_EQ(store_list(t->w.s, KIND_AUTHORIZATION, &t->w.account, count_row, &n), 0);
	return n;
}

/* Somebody deletes what takes long; who loses his rights meanwhile loses them at once. */
TEST(revocations_do_not_wait_for_deletions)
{
	struct uuid id;
	struct sliced *t = sliced_new(true, A_DIRECTORY, &id);
	u32 slices = 0;

	EXPECT_EQ(del(&t->w, KIND_DIRECTORY, &t->w.account, &id), 0);
	EXPECT_EQ(store_sweeps(t->w.s), 1);
	REQUIRE(store_begin(t->w.s, STORE_DURABLE) == 0);
	EXPECT_EQ(store_revoke(t->w.s, REVOKE_AUTHORIZATIONS_OF_ACCOUNT, &t->w.account, NULL), 0);
	EXPECT_EQ(store_commit(t->w.s), 0);
	EXPECT_EQ(store_sweeps(t->w.s), 2);
	EXPECT(authorizations(t) > MANY);
	for (; slices < 100 && authorizations(t) > 0; slices++)
		EXPECT_EQ(store_sweep(t->w.s, WALL), 1);
	struct sync_directory d;
	if (EXPECT_EQ(store_get(t->w.s, KIND_DIRECTORY, &t->w.account, &id, &d), 0))
		entity_deinit(KIND_DIRECTORY, &d);
	EXPECT_EQ(store_sweep(t->w.s, WALL), 1);
	EXPECT_EQ(store_swept(t->w.s), 0); /* who asked for the second hears of it after the first */
	drain_slices(t);
	EXPECT_EQ(store_swept(t->w.s), 2);
	EXPECT_EQ(store_get(t->w.s, KIND_DIRECTORY, &t->w.account, &id, &d), ERR_NOT_FOUND);
	sliced_free(t);
}

TEST(what_was_begun_is_finished_by_the_next_process)
{
	struct uuid id;
	struct sliced *t = sliced_new(true, A_SITE, &id);
	char why[256];
	struct site site;

	EXPECT_EQ(del(&t->w, KIND_SITE, &t->w.account, &id), 0);
	EXPECT_EQ(store_sweep(t->w.s, WALL), 1);
	EXPECT(store_sweeps(t->w.s) > store_swept(t->w.s));
	if (EXPECT_EQ(store_get(t->w.s, KIND_SITE, &t->w.account, &id, &site), 0)) /* its turn is last */
		entity_deinit(KIND_SITE, &site);
	store_close(t->w.s);
	REQUIRE(store_open(&t->w.s, t->w.path, why, sizeof(why)) == 0);
	EXPECT_EQ(store_swept(t->w.s), store_sweeps(t->w.s));
	EXPECT_EQ(store_get(t->w.s, KIND_SITE, &t->w.account, &id, &site), ERR_NOT_FOUND);
	i64 n = -1;
	EXPECT_EQ(store_rows(t->w.s, KIND_RESOURCE, &t->w.account, &n), 0);
	EXPECT_EQ(n, 0);
	forget(&t->w);
	sliced_free(t);
}

TEST(a_deletion_that_is_rolled_back_is_not_gone_on_with)
{
	struct uuid id;
	struct sliced *t = sliced_new(true, A_SITE, &id);

	REQUIRE(store_begin(t->w.s, STORE_DURABLE) == 0);
	EXPECT_EQ(store_delete(t->w.s, KIND_SITE, &t->w.account, &id), 0);
	EXPECT(store_sweeps(t->w.s) > store_swept(t->w.s));
	EXPECT_EQ(store_rollback(t->w.s, ERR_DENIED), ERR_DENIED);
	EXPECT_EQ(store_sweeps(t->w.s), store_swept(t->w.s));
	EXPECT_EQ(store_sweep(t->w.s, WALL), 0);
	i64 n = -1;
	EXPECT_EQ(store_rows(t->w.s, KIND_RESOURCE, &t->w.account, &n), 0);
	EXPECT_EQ(n, MANY + 1);
	sliced_free(t);
}

TEST(what_is_not_there_is_not_found_however_much_was_done_before)
{
	struct uuid id, nobody = { .b = { 0xbb } };
	struct sliced *t = sliced_new(true, A_SITE, &id);

	REQUIRE(store_begin(t->w.s, STORE_DURABLE) == 0);
	EXPECT_EQ(store_delete(t->w.s, KIND_SITE, &t->w.account, &nobody), ERR_NOT_FOUND);
	EXPECT_EQ(store_delete(t->w.s, KIND_SITE, &t->w.account, &id), 0);
	EXPECT_EQ(store_delete(t->w.s, KIND_SITE, &t->w.account, &nobody), ERR_NOT_FOUND);
	EXPECT_EQ(store_delete(t->w.s, KIND_GATEWAY, &t->w.account, &t->w.gateway), 0); /* put off whole, and twice: its site takes it too */
	EXPECT_EQ(store_commit(t->w.s), 0);
	EXPECT_EQ(store_sweeps(t->w.s), 2);
	EXPECT_EQ(del(&t->w, KIND_SITE, &t->w.account, &id), 0); /* somebody else, meanwhile */
	drain_slices(t);
	EXPECT_EQ(t->w.changes[KIND_SITE][CHANGE_DELETE], 1);
	EXPECT_EQ(t->w.changes[KIND_GATEWAY][CHANGE_DELETE], 1);
	sliced_free(t);
}

static int see_who(void *ctx, const struct store_audit *a)
{
	u32 *n = ctx;

	n[0]++;
	n[1] += a->actor_name && strcmp(a->actor_name, "Kim") == 0 && strcmp(a->principal, "session") == 0 && a->remote_ip &&
		strcmp(a->remote_ip, "192.0.2.7") == 0 && strcmp(a->user_agent, "Browser") == 0;
	return 0;
}

TEST(an_actor_who_goes_slowly_can_do_nothing_meanwhile_and_the_trail_says_who_did_it)
{
	struct principal kim = { .kind = PRINCIPAL_SESSION, .actor_name = "Kim", .user_agent = "Browser" };
	struct uuid id;
	struct sliced *t = sliced_new(true, AN_ACTOR, &id);
	struct actor actor;
	u32 n[2] = { 0 };
	bool has_more;

	EXPECT_EQ(ip_parse(SPAN_STR("192.0.2.7"), &kim.remote_ip), 0);
	store_set_principal(t->w.s, &kim, WALL);
	EXPECT_EQ(del(&t->w, KIND_ACTOR, &t->w.account, &id), 0);
	if (EXPECT_EQ(store_get(t->w.s, KIND_ACTOR, &t->w.account, &id, &actor), 0)) {
		EXPECT_EQ(actor.disabled_at, (i64)(WALL / 1000));
		entity_deinit(KIND_ACTOR, &actor);
	}
	drain_slices(t);
	EXPECT(t->slices > 3);
	EXPECT_EQ(store_get(t->w.s, KIND_ACTOR, &t->w.account, &id, &actor), ERR_NOT_FOUND);
	const struct store_audit_query q = { .account = t->w.account, .op = "delete", .limit = STORE_PAGE_MAX };
	EXPECT_EQ(store_audit_page(t->w.s, &q, see_who, n, &has_more), 0);
	EXPECT(n[0] > MANY);
	EXPECT_EQ(n[0], n[1]);
	loop_run(t->loop);
	EXPECT(t->settled > 0);
	sliced_free(t);
}

static int count_hit(void *ctx, const struct store_hit *hit)
{
	*(u32 *)ctx += hit->kind == KIND_GATEWAY;
	return 0;
}

static u32 gateways_found(struct sliced *t, const char *text)
{
	u32 n = 0;

	EXPECT_EQ(store_search(t->w.s, &t->w.account, text, 100, count_hit, &n), 0);
	return n;
}

TEST(what_is_found_by_the_name_of_another_follows_in_slices_when_that_is_renamed)
{
	for (int is_sliced = 0; is_sliced < 2; is_sliced++) {
		struct uuid id;
		struct sliced *t = sliced_new(is_sliced, A_SITE, &id);
		struct site site;

		REQUIRE(store_begin(t->w.s, STORE_DURABLE) == 0);
		for (int i = 0; i < 50; i++) {
			union any_entity g;
			char name[20];

			entity_init(KIND_GATEWAY, &g);
			g.e = new_entity(t);
			g.device.owner_id = id;
			snprintf(name, sizeof(name), "gw %d", i);
			EXPECT_EQ(text_set(&g.device.name, name), 0);
			EXPECT_EQ(text_set(&g.device.external_id, name), 0);
			EXPECT_EQ(store_insert_device(t->w.s, KIND_GATEWAY, &g.device, WALL), 0);
			entity_deinit(KIND_GATEWAY, &g);
		}
		EXPECT_EQ(store_get(t->w.s, KIND_SITE, &t->w.account, &id, &site), 0);
		EXPECT_EQ(text_set(&site.name, "Quitzdorf"), 0);
		EXPECT_EQ(store_update(t->w.s, KIND_SITE, &site, WALL), 0);
		EXPECT_EQ(store_commit(t->w.s), 0);
		entity_deinit(KIND_SITE, &site);
		EXPECT_EQ(store_sweeps(t->w.s) > store_swept(t->w.s), is_sliced);
		EXPECT_EQ(gateways_found(t, "quitzdorf") == 0, is_sliced);
		for (int i = 0; i < 20 && store_swept(t->w.s) != store_sweeps(t->w.s); i++)
			EXPECT(store_sweep(t->w.s, WALL) >= 0);
		EXPECT_EQ(store_swept(t->w.s), store_sweeps(t->w.s));
		EXPECT(gateways_found(t, "quitzdorf") >= 50);
		sliced_free(t);
	}
}
