/* The store by itself: schema, uniqueness, references, cascades and the list of changes they leave. */
#include "applets/portal/model/pool.h"
#include "applets/portal/store/statements.h"
#include "tests/unit/store_world.h"

#include <fcntl.h>
#include <sqlite3.h>

TEST(what_is_stored_comes_back_after_reopening)
{
	struct world w = open_world();
	struct account a;
	struct client c;
	char why[256];

	fill(&w);
	store_close(w.s);
	REQUIRE(store_open(&w.s, w.path, why, sizeof(why)) == 0);
	REQUIRE(store_get(w.s, KIND_ACCOUNT, &w.account, &w.account, &a) == 0);
	EXPECT_STR(a.slug, "acme");
	EXPECT_EQ(a.limit_users, -1);
	EXPECT_EQ(a.limit_admins, 7);
	EXPECT_EQ(a.e.inserted_at, WALL / 1000);
	entity_deinit(KIND_ACCOUNT, &a);
	REQUIRE(store_find_device(w.s, KIND_CLIENT, &w.account, &w.actor, "laptop", &c) == 0);
	EXPECT_EQ(c.d.ipv4, 0x64400001);
	EXPECT_EQ(c.d.ipv6, 1);
	entity_deinit(KIND_CLIENT, &c);
	EXPECT_EQ(store_find_device(w.s, KIND_CLIENT, &w.other, &w.actor, "laptop", &c), ERR_NOT_FOUND);
	close_world(&w);
}

TEST(spec60_1_no_reference_crosses_accounts)
{
	struct world w = open_world();

	fill(&w);
	struct resource r = { .e = entity_of(&w.other, 20), .site_id = w.site, .type = RESOURCE_CIDR, .name = "x", .address = "10.0.0.0/8" };
	struct policy p = { .e = entity_of(&w.other, 21), .group_id = w.group, .resource_id = w.resource };
	struct membership m = { .e = entity_of(&w.other, 22), .actor_id = w.actor, .group_id = w.group };
	struct token t = { .e = entity_of(&w.other, 23), .owner_id = w.actor, .salt = "s", .hash = "h", .expires_at = 1 };
	EXPECT_EQ(add(&w, KIND_RESOURCE, &r), ERR_NOT_FOUND);
	EXPECT_EQ(add(&w, KIND_POLICY, &p), ERR_NOT_FOUND);
	EXPECT_EQ(add(&w, KIND_MEMBERSHIP, &m), ERR_NOT_FOUND);
	EXPECT_EQ(add(&w, KIND_CLIENT_TOKEN, &t), ERR_NOT_FOUND);
	EXPECT_EQ(add_device(&w, KIND_CLIENT, &w.other, &w.actor, 24, "x", NULL), ERR_NOT_FOUND);
	EXPECT_EQ(del(&w, KIND_SITE, &w.other, &w.site), ERR_NOT_FOUND);
	close_world(&w);
}

static int schema_column(void *ctx, int n, char **value, char **name)
{
	(void)name;
	EXPECT_EQ(n, 3);
	if (strcmp(value[1], "0") == 0) {
		fprintf(stderr, "%s: a reference to %s without its account\n", value[0], value[2]);
		test_fail(__FILE__, __LINE__, "a reference may cross accounts");
	}
	++*(u32 *)ctx;
	return 0;
}

/* Of every table there is, also of those that are yet to come: a reference to anything but an account names the account too, so the database refuses
 * what crosses. */
TEST(spec60_1_every_reference_of_the_schema_names_its_account)
{
	static const char sql[] = "SELECT m.name,sum(f.\"from\"='account_id' AND f.\"to\"='account_id'),f.\"table\" FROM sqlite_master m,"
				  " pragma_foreign_key_list(m.name) f WHERE m.type='table' AND f.\"table\"<>'accounts' GROUP BY m.name,f.id";
	static const char owned[] = "SELECT m.name,count(*),'accounts' FROM sqlite_master m WHERE m.type='table' AND m.name NOT LIKE 'sqlite_%'"
				    " AND m.name NOT LIKE 'search_text%' AND m.name NOT IN('facts') AND NOT EXISTS(SELECT 1 FROM pragma_table_info(m.name) c"
				    " WHERE c.name='account_id') GROUP BY m.name";
	struct world w = open_world();
	sqlite3 *db;
	u32 references = 0, ownerless = 0;

	REQUIRE(sqlite3_open(w.path, &db) == SQLITE_OK);
	EXPECT_EQ(sqlite3_exec(db, sql, schema_column, &references, NULL), SQLITE_OK);
	EXPECT(references > 25);
	EXPECT_EQ(sqlite3_exec(db, owned, schema_column, &ownerless, NULL), SQLITE_OK);
	EXPECT_EQ(ownerless, 0);
	sqlite3_close(db);
	close_world(&w);
}

TEST(uniqueness_rules_of_the_model)
{
	struct world w = open_world();

	fill(&w);
	struct site site = { .e = entity_of(&w.account, 30), .name = "Berlin" };
	struct site there = { .e = entity_of(&w.other, 30), .name = "Berlin" };
	struct actor actor = { .e = entity_of(&w.account, 31), .name = "Jo", .email = "JO@example.com" };
	struct policy p = { .e = entity_of(&w.account, 32), .group_id = w.group, .resource_id = w.resource };
	EXPECT_EQ(add(&w, KIND_SITE, &site), ERR_EXISTS);
	EXPECT_EQ(add(&w, KIND_SITE, &there), 0);
	EXPECT_EQ(add(&w, KIND_ACTOR, &actor), ERR_EXISTS);
	EXPECT_EQ(add(&w, KIND_POLICY, &p), ERR_EXISTS);
	EXPECT_EQ(add_account(&w, 33, "acme", "cccccc"), ERR_EXISTS);
	EXPECT_EQ(add_account(&w, 33, "acme2", "aaaaaa"), ERR_EXISTS);
	close_world(&w);
}

TEST(spec60_12_one_internet_resource_per_account)
{
	struct world w = open_world();

	fill(&w);
	struct resource a = { .e = entity_of(&w.account, 40), .site_id = w.site, .type = RESOURCE_INTERNET, .name = "Internet" };
	struct resource b = { .e = entity_of(&w.account, 41), .site_id = w.site, .type = RESOURCE_INTERNET, .name = "Internet" };
	EXPECT_EQ(add(&w, KIND_RESOURCE, &a), 0);
	EXPECT_EQ(add(&w, KIND_RESOURCE, &b), ERR_EXISTS);
	close_world(&w);
}

TEST(spec60_13_group_deletion_leaves_its_policies_without_group)
{
	struct world w = open_world();
	struct policy p;

	fill(&w);
	EXPECT_EQ(del(&w, KIND_GROUP, &w.account, &w.group), 0);
	REQUIRE(store_get(w.s, KIND_POLICY, &w.account, &w.policy, &p) == 0);
	EXPECT(uuid_is_null(&p.group_id));
	entity_deinit(KIND_POLICY, &p);
	EXPECT_EQ(store_drain(w.s, note, &w), 0);
	EXPECT_EQ(w.changes[KIND_GROUP][CHANGE_DELETE], 1);
	EXPECT_EQ(w.changes[KIND_POLICY][CHANGE_UPDATE], 1);
	EXPECT_EQ(w.changes[KIND_MEMBERSHIP][CHANGE_DELETE], 1);
	EXPECT_EQ(w.changes[KIND_AUTHORIZATION][CHANGE_DELETE], 1);
	close_world(&w);
}

TEST(spec60_54_cascaded_deletions_are_changes_too)
{
	struct world w = open_world();

	fill(&w);
	EXPECT_EQ(del(&w, KIND_SITE, &w.account, &w.site), 0);
	EXPECT_EQ(store_drain(w.s, note, &w), 0);
	EXPECT_EQ(w.changes[KIND_SITE][CHANGE_DELETE], 1);
	EXPECT_EQ(w.changes[KIND_GATEWAY][CHANGE_DELETE], 1);
	EXPECT_EQ(w.changes[KIND_RESOURCE][CHANGE_DELETE], 1);
	EXPECT_EQ(w.changes[KIND_POLICY][CHANGE_DELETE], 1);
	EXPECT_EQ(w.changes[KIND_AUTHORIZATION][CHANGE_DELETE], 1);
	EXPECT_EQ(store_drain(w.s, note, &w), 0);
	EXPECT_EQ(w.changes[KIND_SITE][CHANGE_DELETE], 1);
	close_world(&w);
}

struct order {
	u32 n;
	struct change all[64];
};

static int take_in_order(void *ctx, const struct change *c)
{
	struct order *o = ctx;

	if (o->n < ARRAY_LEN(o->all))
		o->all[o->n++] = *c;
	return 0;
}

/* Within a transaction as they were made, a cascade behind what caused it or before it but never elsewhere, and transactions one after another. */
TEST(spec60_54_changes_come_in_the_order_of_the_commits)
{
	struct world w = open_world();
	struct order o = { .n = 0 };

	fill(&w);
	struct site one = { .e = entity_of(&w.account, 60), .name = strdup("One") }, two = { .e = entity_of(&w.account, 61), .name = "Two" };
	struct site three = { .e = entity_of(&w.account, 62), .name = "Three" };

	forget(&w);
	REQUIRE(store_begin(w.s, STORE_DURABLE) == 0);
	EXPECT_EQ(store_insert(w.s, KIND_SITE, &two, WALL), 0);
	EXPECT_EQ(store_insert(w.s, KIND_SITE, &one, WALL), 0);
	free(one.name);
	one.name = strdup("Uno");
	EXPECT_EQ(store_update(w.s, KIND_SITE, &one, WALL), 0);
	EXPECT_EQ(store_commit(w.s), 0);
	EXPECT_EQ(del(&w, KIND_SITE, &w.account, &w.site), 0);
	EXPECT_EQ(add(&w, KIND_SITE, &three), 0);
	EXPECT_EQ(store_drain(w.s, take_in_order, &o), 0);
	REQUIRE(o.n > 5);
	EXPECT(uuid_eq(&o.all[0].id, &two.e.id) && o.all[0].op == CHANGE_INSERT);
	EXPECT(uuid_eq(&o.all[1].id, &one.e.id) && o.all[1].op == CHANGE_INSERT);
	EXPECT(uuid_eq(&o.all[2].id, &one.e.id) && o.all[2].op == CHANGE_UPDATE);
	for (u32 i = 3; i + 1 < o.n; i++)
		EXPECT_EQ(o.all[i].op, CHANGE_DELETE);
	EXPECT(uuid_eq(&o.all[o.n - 1].id, &three.e.id) && o.all[o.n - 1].op == CHANGE_INSERT);
	free(one.name);
	close_world(&w);
}

TEST(a_rolled_back_transaction_leaves_no_change)
{
	struct world w = open_world();

	fill(&w);
	REQUIRE(store_begin(w.s, STORE_DURABLE) == 0);
	EXPECT_EQ(store_delete(w.s, KIND_SITE, &w.account, &w.site), 0);
	EXPECT_EQ(store_rollback(w.s, ERR_DENIED), ERR_DENIED);
	EXPECT_EQ(store_drain(w.s, note, &w), 0);
	EXPECT_EQ(w.changes[KIND_SITE][CHANGE_DELETE], 0);
	close_world(&w);
}

TEST(spec60_7_addresses_are_given_with_the_row_or_not_at_all)
{
	struct world w = open_world();
	struct device d;

	fill(&w);
	EXPECT_EQ(add_device(&w, KIND_CLIENT, &w.account, &w.actor, 50, "laptop", &d), ERR_EXISTS);
	EXPECT_EQ(add_device(&w, KIND_CLIENT, &w.account, &w.actor, 51, "phone", &d), 0);
	EXPECT_EQ(d.ipv4, 0x64400003); /* laptop 1, gw 2: the failed attempt took none */
	EXPECT_EQ(d.ipv6, 3);
	EXPECT_EQ(del(&w, KIND_CLIENT, &w.account, &d.e.id), ERR_NOT_FOUND);
	struct uuid phone = id_of(51);
	EXPECT_EQ(del(&w, KIND_CLIENT, &w.account, &phone), 0);
	EXPECT_EQ(add_device(&w, KIND_CLIENT, &w.account, &w.actor, 52, "tablet", &d), 0);
	EXPECT_EQ(d.ipv4, 0x64400003); /* a freed maximum is free at once */
	close_world(&w);
}

TEST(spec60_66_expired_rows_are_purged)
{
	struct world w = open_world();

	fill(&w);
	REQUIRE(store_begin(w.s, STORE_EAGER) == 0);
	EXPECT_EQ(store_purge_expired(w.s, WALL), 0);
	EXPECT_EQ(store_commit(w.s), 0);
	EXPECT_EQ(store_drain(w.s, note, &w), 0);
	EXPECT_EQ(w.changes[KIND_CLIENT_TOKEN][CHANGE_DELETE], 0);
	REQUIRE(store_begin(w.s, STORE_EAGER) == 0);
	EXPECT_EQ(store_purge_expired(w.s, WALL + 1000), 0);
	EXPECT_EQ(store_commit(w.s), 0);
	EXPECT_EQ(store_drain(w.s, note, &w), 0);
	EXPECT_EQ(w.changes[KIND_CLIENT_TOKEN][CHANGE_DELETE], 1);
	EXPECT_EQ(w.changes[KIND_AUTHORIZATION][CHANGE_DELETE], 1);
	close_world(&w);
}

TEST(sessions_are_kept_and_the_newest_is_found)
{
	struct world w = open_world();
	struct store_session x, out;

	fill(&w);
	x = (struct store_session){ .account_id = w.account, .device_id = w.client, .token_id = w.token, .at = 5, .public_key = "k",
				    .remote_ip = "192.0.2.1", .version = "1.5.8", .user_agent = "ua", .region = "DE",
				    .city = "K\303\266ln", .place = { true, 50.9375, 6.9603 } };
	EXPECT_EQ(store_latest_session(w.s, &w.account, &w.client, &out), ERR_NOT_FOUND);
	EXPECT_EQ(store_insert_session(w.s, &x), 0);
	snprintf(x.remote_ip, sizeof(x.remote_ip), "192.0.2.2");
	EXPECT_EQ(store_insert_session(w.s, &x), 0);
	REQUIRE(store_latest_session(w.s, &w.account, &w.client, &out) == 0);
	EXPECT_STR(out.remote_ip, "192.0.2.2");
	EXPECT_STR(out.region, "DE");
	EXPECT_STR(out.city, "K\303\266ln");
	EXPECT(out.place.is_known && out.place.lat == 50.9375 && out.place.lon == 6.9603);
	x.place.is_known = false;
	EXPECT_EQ(store_insert_session(w.s, &x), 0);
	REQUIRE(store_latest_session(w.s, &w.account, &w.client, &out) == 0);
	EXPECT(!out.place.is_known); /* not the equator */
	x.device_id = id_of(99);
	EXPECT_EQ(store_insert_session(w.s, &x), ERR_NOT_FOUND);
	close_world(&w);
}

TEST(files_that_are_not_ours_are_refused_with_a_reason)
{
	struct world w = open_world();
	struct store *s = NULL;
	char why[256] = "", path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/garbage", w.dir);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	for (int i = 0; i < 100; i++)
		EXPECT_EQ(write(fd, "this is no database. ", 21), 21);
	close(fd);
	EXPECT_EQ(store_open(&s, path, why, sizeof(why)), ERR_MALFORMED);
	EXPECT(why[0] != 0);
	why[0] = 0;
	EXPECT_EQ(store_open(&s, "/nonexistent/portal.db", why, sizeof(why)), ERR_IO);
	EXPECT(why[0] != 0);
	close_world(&w);
}

static int count_row(void *ctx, enum kind k, const void *row)
{
	(void)k, (void)row;
	++*(u32 *)ctx;
	return 0;
}

/* A file of the first schema, as an older program left it. */
#define ID0 "0000000000000000000000000000000"
TEST(an_older_file_is_brought_up_to_date_with_its_rows_and_references)
{
	static const char rows[] =
		"INSERT INTO accounts(id,account_id,inserted_at,updated_at,name,slug,key,dns_type,doh_provider)"
		" VALUES(x'" ID0 "1',x'" ID0 "1',1,1,'Acme','acme','aaaaaa','system','google');"
		"INSERT INTO sites VALUES(x'" ID0 "1',x'" ID0 "2',1,1,'Berlin','account');"
		"INSERT INTO groups VALUES(x'" ID0 "1',x'" ID0 "3',1,1,'team','static');"
		"INSERT INTO resources VALUES(x'" ID0 "1',x'" ID0 "4',1,1,x'" ID0 "2','cidr','lab','10.0.0.0/8',NULL,NULL,NULL);"
		"INSERT INTO policies VALUES(x'" ID0 "1',x'" ID0 "5',1,1,x'" ID0 "3',x'" ID0 "4',NULL,NULL,NULL);"
		"PRAGMA user_version=1; PRAGMA application_id=6647138;";
	struct world w = open_world();
	struct uuid account = { .b = { [15] = 1 } }, resource = { .b = { [15] = 4 } };
	union any_entity r;
	char why[256] = "", path[128];
	sqlite3 *db;
	u32 n = 0;

	snprintf(path, sizeof(path), "%s/old.db", w.dir);
	REQUIRE(sqlite3_open(path, &db) == SQLITE_OK);
	EXPECT_EQ(sqlite3_exec(db, migrations[0], NULL, NULL, NULL), SQLITE_OK);
	EXPECT_EQ(sqlite3_exec(db, rows, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	store_close(w.s);
	w.s = NULL;
	EXPECT_EQ(store_open(&w.s, path, why, sizeof(why)), 0);
	EXPECT_STR(why, "");
	REQUIRE(w.s);
	EXPECT_EQ(store_get(w.s, KIND_RESOURCE, &account, &resource, &r), 0);
	EXPECT_STR(r.resource.address, "10.0.0.0/8");
	entity_deinit(KIND_RESOURCE, &r);
	struct resource pool = { .e = { .account_id = account, .id = id_of(77) }, .type = RESOURCE_POOL, .name = "pool" };
	EXPECT_EQ(add(&w, KIND_RESOURCE, &pool), 0);
	EXPECT_EQ(del(&w, KIND_RESOURCE, &account, &resource), 0);
	EXPECT_EQ(store_list(w.s, KIND_POLICY, &account, count_row, &n), 0);
	EXPECT_EQ(n, 0); /* went with its resource */
	close_world(&w);
}

static int take_provider(void *ctx, enum kind k, const void *row)
{
	const struct auth_provider *p = row;
	u32 *seen = ctx;

	EXPECT_EQ(k, KIND_AUTH_PROVIDER);
	*seen |= 1u << p->type;
	EXPECT_STR(p->name, p->type == PROVIDER_EMAIL_OTP ? PROVIDER_EMAIL_OTP_NAME : PROVIDER_USERPASS_NAME);
	EXPECT(p->is_verified);
	return 0;
}

static int take_title(void *ctx, const struct store_hit *hit)
{
	if (hit->kind == KIND_SITE || hit->kind == KIND_CLIENT)
		snprintf(ctx, 64, "%s", hit->title);
	return 0;
}

/* A file of the second schema with one of everything: rows, references, addresses, tokens and sessions survive, and are found. */
TEST(a_file_without_sign_in_gets_ways_to_sign_in_and_keeps_what_it_has)
{
	static const char rows[] =
		"INSERT INTO accounts(id,account_id,inserted_at,updated_at,name,slug,key,dns_type,doh_provider,limit_users)"
		" VALUES(x'" ID0 "1',x'" ID0 "1',1,1,'Acme','acme','aaaaaa','system','google',3);"
		"INSERT INTO sites VALUES(x'" ID0 "1',x'" ID0 "2',1,1,'Zürich','account');"
		"INSERT INTO groups VALUES(x'" ID0 "1',x'" ID0 "3',1,1,'team','static');"
		"INSERT INTO resources VALUES(x'" ID0 "1',x'" ID0 "4',1,1,x'" ID0 "2','cidr','lab','10.0.0.0/8',NULL,NULL,NULL);"
		"INSERT INTO policies VALUES(x'" ID0 "1',x'" ID0 "5',1,1,x'" ID0 "3',x'" ID0 "4',NULL,NULL,NULL);"
		"INSERT INTO actors VALUES(x'" ID0 "1',x'" ID0 "6',1,1,'account_admin_user','Jo','jo@example.com',NULL);"
		"INSERT INTO actors VALUES(x'" ID0 "1',x'" ID0 "7',1,1,'service_account','svc',NULL,NULL);"
		"INSERT INTO memberships VALUES(x'" ID0 "1',x'" ID0 "8',1,1,x'" ID0 "6',x'" ID0 "3');"
		"INSERT INTO client_tokens VALUES(x'" ID0 "1',x'" ID0 "9',1,1,x'" ID0 "6','t','salt','hash',9000000000000000);"
		"INSERT INTO clients(account_id,id,inserted_at,updated_at,actor_id,external_id,name,psk_base) VALUES"
		"(x'" ID0 "1',x'" ID0 "a',1,1,x'" ID0 "6','x','laptop',zeroblob(32));"
		"INSERT INTO ipv4_addresses VALUES(x'" ID0 "1',1682964481,x'" ID0 "a',NULL);"
		"INSERT INTO ipv6_addresses VALUES(x'" ID0 "1',1,x'" ID0 "a',NULL);"
		"INSERT INTO client_sessions(account_id,client_id,token_id,inserted_at,public_key,remote_ip) VALUES"
		"(x'" ID0 "1',x'" ID0 "a',x'" ID0 "9',77,'k','192.0.2.1');"
		"INSERT INTO gateways(account_id,id,inserted_at,updated_at,site_id,external_id,name,psk_base) VALUES"
		"(x'" ID0 "1',x'" ID0 "b',1,1,x'" ID0 "2','x','gw',zeroblob(32));"
		"INSERT INTO policy_authorizations(account_id,id,inserted_at,updated_at,policy_id,client_id,gateway_id,resource_id,token_id,"
		"membership_id,expires_at) VALUES(x'" ID0 "1',x'" ID0 "c',1,1,x'" ID0 "5',x'" ID0 "a',x'" ID0 "b',x'" ID0 "4',x'" ID0 "9',"
		"x'" ID0 "8',9000000000000000);"
		"PRAGMA user_version=2; PRAGMA application_id=6647138;";
	struct world w = open_world();
	struct uuid account = { .b = { [15] = 1 } }, id = { .b = { [15] = 6 } };
	union any_entity e;
	char why[256] = "", path[128], title[64] = "";
	sqlite3 *db;
	u32 seen = 0, n = 0;

	snprintf(path, sizeof(path), "%s/old.db", w.dir);
	REQUIRE(sqlite3_open(path, &db) == SQLITE_OK);
	EXPECT_EQ(sqlite3_exec(db, migrations[0], NULL, NULL, NULL), SQLITE_OK);
	EXPECT_EQ(sqlite3_exec(db, migrations[1], NULL, NULL, NULL), SQLITE_OK);
	if (!EXPECT_EQ(sqlite3_exec(db, rows, NULL, NULL, NULL), SQLITE_OK))
		fprintf(stderr, "%s\n", sqlite3_errmsg(db));
	sqlite3_close(db);
	store_close(w.s);
	w.s = NULL;
	EXPECT_EQ(store_open(&w.s, path, why, sizeof(why)), 0);
	EXPECT_STR(why, "");
	REQUIRE(w.s);
	REQUIRE(store_get(w.s, KIND_ACCOUNT, &account, &account, &e) == 0);
	EXPECT(e.account.has_policy_conditions && e.account.has_rest_api && e.account.notify_outdated_gateway);
	EXPECT(!e.account.users_limit_exceeded);
	EXPECT_EQ(e.account.limit_users, 3);
	EXPECT_EQ(e.account.limit_api_clients, 100);
	EXPECT_EQ(e.account.limit_monthly_active_users, -1);
	entity_deinit(KIND_ACCOUNT, &e);
	EXPECT_EQ(store_list(w.s, KIND_AUTH_PROVIDER, &account, take_provider, &seen), 0);
	EXPECT_EQ(seen, 1u << PROVIDER_EMAIL_OTP | 1u << PROVIDER_USERPASS);
	REQUIRE(store_get(w.s, KIND_ACTOR, &account, &id, &e) == 0);
	EXPECT(e.actor.allow_email_otp_sign_in);
	entity_deinit(KIND_ACTOR, &e);
	id.b[15] = 10;
	REQUIRE(store_get(w.s, KIND_CLIENT, &account, &id, &e) == 0);
	EXPECT_EQ(e.device.last_seen_at, 77);
	EXPECT_EQ(e.device.ipv4, 1682964481);
	entity_deinit(KIND_CLIENT, &e);
	EXPECT_EQ(store_search(w.s, &account, "zurich", 5, take_title, title), 0);
	EXPECT_STR(title, "Zürich");
	EXPECT_EQ(store_search(w.s, &account, "LAPTOP", 5, take_title, title), 0);
	EXPECT_STR(title, "laptop");
	EXPECT_EQ(store_check(path, why, sizeof(why)), 0);
	EXPECT_STR(why, "");
	/* references hold: the actor takes all that is his along, the group leaves its policy alone */
	id.b[15] = 3;
	EXPECT_EQ(del(&w, KIND_GROUP, &account, &id), 0);
	EXPECT_EQ(store_list(w.s, KIND_AUTHORIZATION, &account, count_row, &n), 0);
	EXPECT_EQ(store_list(w.s, KIND_MEMBERSHIP, &account, count_row, &n), 0);
	EXPECT_EQ(n, 0);
	id.b[15] = 6;
	EXPECT_EQ(del(&w, KIND_ACTOR, &account, &id), 0);
	EXPECT_EQ(store_list(w.s, KIND_CLIENT, &account, count_row, &n), 0);
	EXPECT_EQ(store_list(w.s, KIND_CLIENT_TOKEN, &account, count_row, &n), 0);
	EXPECT_EQ(n, 0);
	EXPECT_EQ(store_list(w.s, KIND_POLICY, &account, count_row, &n), 0);
	EXPECT_EQ(n, 1);
	close_world(&w);
}
