/* Lists of an account with ten thousand clients: right to the last row, and quick. Times are printed; what a page costs must not depend on where
 * it lies. Processor time, since others work here too: `STORE_SCALE_PRINT=1` shows them. */
#include "applets/portal/store/store_int.h"
#include "tests/unit/store_world.h"

#include <time.h>

#ifdef __SANITIZE_ADDRESS__
#define CLIENTS 2000u
#else
#define CLIENTS 10000u
#endif
#define USERS (CLIENTS / 2)
#define RESOURCES 1000u
#define GROUPS 100u

static struct uuid wide_id(u8 space, u32 n)
{
	/* scattered, as random ids are */
	u32 x = n * 2654435761u;

	return (struct uuid){ { (u8)(x >> 24), (u8)(x >> 16), space, (u8)(n >> 16), (u8)(n >> 8), (u8)n } };
}

static struct entity wide(const struct world *w, u8 space, u32 n)
{
	return (struct entity){ .account_id = w->account, .id = wide_id(space, n) };
}

static const char *const words[] = { "Berlin", "Zürich", "Łódź", "Malmö", "São Paulo", "Kraków", "Genève", "Köln" };

static void populate(struct world *w)
{
	char name[64], email[64];
	int rc = store_begin(w->s, STORE_EAGER);

	for (u32 i = 0; i < USERS && !rc; i++) {
		struct actor a = { .e = wide(w, 1, i), .name = name, .email = email };
		snprintf(name, sizeof(name), "Person %05u of %s", (i * 7919) % USERS, words[i % 8]);
		snprintf(email, sizeof(email), "p%u@example.com", i);
		rc = store_insert(w->s, KIND_ACTOR, &a, WALL + i * 1000);
	}
	for (u32 i = 0; i < CLIENTS && !rc; i++) {
		struct client c = { .d = { .e = wide(w, 2, i), .owner_id = wide_id(1, i % USERS), .external_id = email, .name = name } };
		snprintf(name, sizeof(name), "laptop-%05u %s", (i * 7919) % CLIENTS, words[i % 8]);
		snprintf(email, sizeof(email), "device %u", i);
		rc = store_insert_device(w->s, KIND_CLIENT, &c.d, WALL + i * 1000);
	}
	for (u32 i = 0; i < GROUPS && !rc; i++) {
		struct group g = { .e = wide(w, 3, i), .name = name };
		snprintf(name, sizeof(name), "Group-%02u", i);
		rc = store_insert(w->s, KIND_GROUP, &g, WALL);
	}
	for (u32 i = 0; i < USERS && !rc; i++) {
		struct membership m = { .e = wide(w, 4, i), .actor_id = wide_id(1, i), .group_id = wide_id(3, i % GROUPS) };
		rc = store_insert(w->s, KIND_MEMBERSHIP, &m, WALL);
	}
	for (u32 i = 0; i < RESOURCES && !rc; i++) {
		struct resource r = { .e = wide(w, 5, i), .site_id = w->site, .type = RESOURCE_CIDR, .name = name, .address = email };
		struct policy p = { .e = wide(w, 6, i), .group_id = wide_id(3, i % GROUPS), .resource_id = wide_id(5, i) };
		snprintf(name, sizeof(name), "Server %04u in %s", i, words[i % 8]);
		snprintf(email, sizeof(email), "10.%u.%u.0/24", i / 256, i % 256);
		rc = store_insert(w->s, KIND_RESOURCE, &r, WALL + i * 1000);
		rc = rc ? rc : store_insert(w->s, KIND_POLICY, &p, WALL + i * 1000);
	}
	for (u32 i = 0; i < CLIENTS && !rc; i++) {
		struct authorization a = { .e = wide(w, 7, i), .policy_id = wide_id(6, i % 10), .client_id = wide_id(2, i), .gateway_id = w->gateway,
					   .resource_id = wide_id(5, i % 10), .token_id = w->token, .expires_at = (i64)(WALL / 1000) + 100 };
		rc = store_insert(w->s, KIND_AUTHORIZATION, &a, WALL + i * 1000);
	}
	for (u32 i = 0; i < CLIENTS && !rc; i += 3) {
		struct store_session x = { .account_id = w->account, .device_id = wide_id(2, i), .token_id = w->token,
					   .at = (i64)(WALL / 1000) - (i64)(i % 977) * 1000 };
		rc = store_insert_session(w->s, &x);
	}
	EXPECT_EQ(rc, 0);
	EXPECT_EQ(rc ? store_rollback(w->s, rc) : store_commit(w->s), 0);
}

static u64 now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (u64)ts.tv_sec * 1000000 + (u64)ts.tv_nsec / 1000;
}

static int count(void *ctx, enum kind k, const void *row)
{
	(void)k, (void)row;
	++*(u32 *)ctx;
	return 0;
}

#define ROUNDS 9

static int by_value(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

static void show(const char *what, u64 took[static ROUNDS])
{
	qsort(took, ROUNDS, sizeof(took[0]), by_value);
	if (getenv("STORE_SCALE_PRINT"))
		printf("%-58s %6.2f ms, worst %6.2f\n", what, (double)took[ROUNDS / 2] / 1000, (double)took[ROUNDS - 1] / 1000);
}

static struct store_page measure(struct world *w, const char *what, const struct store_query *q, u32 rows, i64 total)
{
	struct store_page p = { .n = 0 };
	u64 took[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		u32 n = 0;
		u64 from = now_us();

		EXPECT_EQ(store_page(w->s, q, count, &n, &p), 0);
		took[i] = now_us() - from;
		EXPECT_EQ(n, rows);
		if (q->wants_count)
			EXPECT_EQ(p.count, total);
	}
	show(what, took);
	return p;
}

static bool keep_some(void *ctx, const struct uuid *id)
{
	(void)ctx;
	return id->b[5] == 77;
}

static void measure_pages(struct world *w)
{
	static struct store_page p;
	char id[UUID_STRLEN];
	struct uuid group = wide_id(3, 5), actor = wide_id(1, 77);
	struct store_query q = { .kind = KIND_CLIENT, .account = w->account, .wants_count = true };

	p = measure(w, "clients by age, first page", &q, 50, CLIENTS + 1);
	q.sort = "name";
	p = measure(w, "clients by name, first page", &q, 50, CLIENTS + 1);
	for (u32 i = 0; i < CLIENTS / 100; i++) {
		static struct store_page next;
		u32 n = 0;

		q.cursor = p.next;
		q.wants_count = false;
		EXPECT_EQ(store_page(w->s, &q, count, &n, &next), 0);
		EXPECT_EQ(n, 50);
		p = next;
	}
	q.cursor = p.next;
	q.wants_count = true;
	measure(w, "clients by name, in the middle", &q, 50, CLIENTS + 1);
	q.cursor = NULL;
	q.sort = "last_seen_at";
	q.is_descending = true;
	measure(w, "clients by last seen, newest first", &q, 50, CLIENTS + 1);
	q.sort = "name";
	q.is_descending = false;
	q.text = "lap";
	measure(w, "clients with 'lap' (all of them)", &q, 50, CLIENTS);
	q.wants_count = false;
	measure(w, "the same, not counted", &q, 50, CLIENTS);
	q.wants_count = true;
	q.text = "zurich";
	measure(w, "clients with 'zurich' (an eighth)", &q, 50, CLIENTS / 8);
	q.text = "00077";
	measure(w, "clients with '00077' (by own name or user)", &q, 2, 2);
	q.text = "p77@example";
	measure(w, "clients of user 'p77@example'", &q, 2, 2);
	q.text = "zz";
	measure(w, "clients with 'zz' (short, none)", &q, 0, 0);
	q.text = NULL;
	q.keep = keep_some;
	u32 kept = 0;
	for (u32 i = 0; i < CLIENTS; i++)
		kept += (i & 0xff) == 77;
	measure(w, "clients online, 1 of 256", &q, MIN(kept, 50u), kept);
	q.keep = NULL;
	q.n_filters = 1;
	q.filters[0] = (struct store_filter){ "status", FILTER_IS, "verified" };
	measure(w, "clients verified (none)", &q, 0, 0);
	q.filters[0] = (struct store_filter){ "actor_id", FILTER_IS, uuid_format(&actor, id) };
	measure(w, "clients of one actor", &q, 2, 2);
	q.filters[0] = (struct store_filter){ "group_id", FILTER_IS, uuid_format(&group, id) };
	measure(w, "clients of a group's members", &q, MIN(CLIENTS / GROUPS, 50u), CLIENTS / GROUPS);
	q.kind = KIND_ACTOR;
	measure(w, "actors of a group", &q, MIN(USERS / GROUPS, 50u), USERS / GROUPS);
	q.filters[0] = (struct store_filter){ "type", FILTER_IS, "account_admin_user" };
	measure(w, "actors that are admins (none)", &q, 0, 0);
	q.n_filters = 0;
	q.sort = "email";
	measure(w, "actors by e-mail", &q, 50, USERS + 1);
	q.kind = KIND_RESOURCE;
	q.sort = "address";
	measure(w, "resources by address", &q, 50, RESOURCES + 1);
	q.kind = KIND_POLICY;
	q.sort = NULL;
	q.text = "malmo";
	measure(w, "policies with 'malmo' in group or resource", &q, 50, RESOURCES / 8);
	q.text = "group-05";
	measure(w, "policies with 'group-05'", &q, RESOURCES / GROUPS, RESOURCES / GROUPS);
}

/* ---- what a question costs, in instructions of SQLite's machine: some ten for a row that is looked at ---- */

/* Since this was last asked; statements are kept by the store, so none has gone since. */
static u32 steps_done(struct world *w)
{
	u32 n = 0;

	for (sqlite3_stmt *st = NULL; (st = sqlite3_next_stmt(w->s->db, st));)
		n += (u32)sqlite3_stmt_status(st, SQLITE_STMTSTATUS_VM_STEP, true);
	return n;
}

#define STEPS(w, call)                \
	({                            \
		(void)steps_done(w);  \
		EXPECT_EQ((call), 0); \
		steps_done(w);        \
	})

static int count_hit(void *ctx, const struct store_hit *hit);

/* What thousands of rows have is neither counted to the end nor gathered; what few have is not looked for in the order of the list. */
static void bound_steps(struct world *w)
{
	static const struct {
		enum kind kind;
		const char *text, *sort, *status;
		bool is_descending, is_more;
		u32 most;
	} cases[] = {
		{ KIND_CLIENT, "laptop", NULL, NULL, false, true, 40000 },
		{ KIND_CLIENT, "laptop", "name", NULL, true, true, 40000 },
		{ KIND_CLIENT, "laptop", "last_seen_at", NULL, true, true, 40000 },
		{ KIND_CLIENT, "a", "name", NULL, false, true, 40000 },
		{ KIND_CLIENT, "example", NULL, NULL, false, true, 40000 },
		{ KIND_CLIENT, "e", NULL, "unverified", false, true, 60000 },
		{ KIND_CLIENT, NULL, NULL, "unverified", false, true, 20000 },
		{ KIND_CLIENT, "laptop-00 berlin", "name", NULL, true, false, 40000 },
		{ KIND_CLIENT, "zz", NULL, NULL, false, false, 10 * (CLIENTS + 200) },
		{ KIND_CLIENT, "laptop zz", NULL, NULL, false, false, 12 * (CLIENTS + 1200) },
		{ KIND_ACTOR, "example", "email", NULL, false, true, 40000 },
		{ KIND_ACTOR, "p", NULL, "active", true, true, 40000 },
		{ KIND_RESOURCE, "server", "address", NULL, false, true, 40000 },
	};
	static const char *const texts[] = { "laptop", "e", "zz", "person 99", "zurich", "example", "q", "nothing like it" };
	u32 n = 0, steps;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct store_query q = { .kind = cases[i].kind, .account = w->account, .text = cases[i].text, .sort = cases[i].sort,
					 .is_descending = cases[i].is_descending, .wants_count = true, .is_rough = true };
		struct store_page p;

		if (cases[i].status)
			q.filters[q.n_filters++] = (struct store_filter){ "status", FILTER_IS, cases[i].status };
		steps = STEPS(w, store_page(w->s, &q, count, &n, &p));
		if (getenv("STORE_SCALE_PRINT"))
			printf("%s with '%s' by %s: %u steps\n", kinds[q.kind].table, q.text ? q.text : "", q.sort ? q.sort : "age", steps);
		EXPECT(steps > 0 && steps <= cases[i].most);
		EXPECT_EQ(p.is_more, cases[i].is_more);
		EXPECT(p.count >= (cases[i].is_more ? STORE_COUNT_ROUGH / 5 : 0));
		EXPECT(p.count <= STORE_COUNT_ROUGH);
	}
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		steps = STEPS(w, store_search(w->s, &w->account, texts[i], 40, count_hit, &n));
		if (getenv("STORE_SCALE_PRINT"))
			printf("search box: '%s': %u steps\n", texts[i], steps);
		EXPECT(steps > 0 && steps <= 12 * (CLIENTS + USERS + 2 * RESOURCES + 1000));
	}
}

static int count_hit(void *ctx, const struct store_hit *hit)
{
	(void)hit;
	++*(u32 *)ctx;
	return 0;
}

static int count_connection(void *ctx, const struct store_connection *c)
{
	(void)c;
	++*(u32 *)ctx;
	return 0;
}

static int count_tally(void *ctx, const struct uuid *parent, i64 n)
{
	(void)parent, (void)n;
	++*(u32 *)ctx;
	return 0;
}

static int count_audit(void *ctx, const struct store_audit *a)
{
	(void)a;
	++*(u32 *)ctx;
	return 0;
}

#define MEASURE(what, call)                            \
	do {                                           \
		u64 took[ROUNDS];                      \
		for (int i = 0; i < ROUNDS; i++) {     \
			u64 from = now_us();           \
			n = 0;                         \
			EXPECT_EQ((call), 0);          \
			took[i] = now_us() - from;     \
		}                                      \
		show(what, took);                      \
	} while (0)

static void measure_others(struct world *w)
{
	struct store_dependent d[STORE_DEPENDENTS_MAX];
	struct uuid policy = wide_id(6, 3);
	struct store_usage usage;
	bool has_more;
	u32 n = 0;

	MEASURE("search box: 'lap'", store_search(w->s, &w->account, "lap", 20, count_hit, &n));
	EXPECT_EQ(n, 10);
	MEASURE("search box: 'zurich 0077'", store_search(w->s, &w->account, "zurich 0077", 20, count_hit, &n));
	MEASURE("search box: 'z'", store_search(w->s, &w->account, "z", 20, count_hit, &n));
	EXPECT_EQ(n, 20);
	MEASURE("recent connections of a policy", store_connections(w->s, KIND_POLICY, &w->account, &policy, 25, count_connection, &n));
	EXPECT_EQ(n, 25);
	MEASURE("recent connections of all", store_all_connections(w->s, &w->account, 25, count_connection, &n));
	MEASURE("members per group", store_tally(w->s, TALLY_MEMBERS_OF_GROUP, &w->account, count_tally, &n));
	EXPECT_EQ(n, GROUPS + 1);
	MEASURE("clients per actor", store_tally(w->s, TALLY_CLIENTS_OF_ACTOR, &w->account, count_tally, &n));
	MEASURE("dependents of the site", store_dependents(w->s, KIND_SITE, &w->account, &w->site, d, &n));
	EXPECT_EQ(d[1].count, RESOURCES + 1);
	MEASURE("usage against limits", store_usage(w->s, &w->account, WALL, &usage));
	EXPECT_EQ(usage.users, USERS + 1);
	struct store_audit_query q = { .account = w->account };
	MEASURE("audit, first page", store_audit_page(w->s, &q, count_audit, &n, &has_more));
	EXPECT_EQ(n, 50);
	q.text = "nothing like it";
	MEASURE("audit, a text that is not there", store_audit_page(w->s, &q, count_audit, &n, &has_more));
	q = (struct store_audit_query){ .account = w->account, .kind = "site" };
	MEASURE("audit, of one rare kind", store_audit_page(w->s, &q, count_audit, &n, &has_more));
	EXPECT_EQ(n, 1);
	q = (struct store_audit_query){ .account = w->account, .op = "delete" };
	MEASURE("audit, deletions (none)", store_audit_page(w->s, &q, count_audit, &n, &has_more));
	MEASURE("purge with nothing to do", store_purge_expired(w->s, WALL));
}

static void measure_backup(struct world *w)
{
	struct store_backup *b;
	char path[128];
	u64 worst = 0, total = 0;
	u32 steps = 0;
	int rc;

	snprintf(path, sizeof(path), "%s/copy.db", w->dir);
	REQUIRE(store_backup_begin(w->s, path, &b) == 0);
	do {
		u64 from = now_us();
		rc = store_backup_step(b);
		u64 took = now_us() - from;
		total += took;
		if (rc == 1 && took > worst)
			worst = took;
		steps++;
	} while (rc == 1);
	EXPECT_EQ(rc, 0);
	store_backup_end(b);
	if (getenv("STORE_SCALE_PRINT"))
		printf("%-58s %6.2f ms in %u steps, worst but the last %.2f\n", "backup", (double)total / 1000, steps, (double)worst / 1000);
}

TEST(ten_thousand_clients_a_thousand_resources_and_policies)
{
	struct world w = open_world();
	u64 from;

	fill(&w);
	from = now_us();
	populate(&w);
	if (getenv("STORE_SCALE_PRINT"))
		printf("%-58s %6.0f ms\n", "filling", (double)(now_us() - from) / 1000);
	measure_pages(&w);
	measure_others(&w);
	bound_steps(&w);
	measure_backup(&w);
	close_world(&w);
}
