/* The store when nothing can be saved: a full disk, a file that is gone, a file system that became read-only. A real full disk: tests/e2e/test_portal_disk.sh. */
#include "applets/portal/store/store_int.h"
#include "tests/unit/store_world.h"

#include <stdio.h>
#include <unistd.h>

static u32 begun, over;

static void hears(void *ctx, const char *why)
{
	(void)ctx;
	if (why)
		begun++;
	else
		over++;
}

static struct world watched_world(void)
{
	struct world w = open_world();

	fill(&w);
	store_watch(w.s, hears, NULL);
	begun = over = 0;
	return w;
}

static int add_site(struct world *w, u8 n)
{
	char name[16];
	struct site site = { .e = entity_of(&w->account, n), .name = name };

	snprintf(name, sizeof(name), "Paris %u", n);
	return add(w, KIND_SITE, &site);
}

static bool has_site(struct world *w, u8 n)
{
	struct entity e = entity_of(&w->account, n);
	struct site site;

	if (store_get(w->s, KIND_SITE, &w->account, &e.id, &site))
		return false;
	entity_deinit(KIND_SITE, &site);
	return true;
}

TEST(a_file_that_is_gone_is_no_place_to_save)
{
	struct world w = watched_world();
	char away[sizeof(w.path) + 8];

	snprintf(away, sizeof(away), "%s.away", w.path);
	EXPECT(!store_trouble(w.s));
	EXPECT_EQ(store_try(w.s), 0);
	REQUIRE(rename(w.path, away) == 0);
	EXPECT_EQ(store_ping(w.s), ERR_IO);
	for (u8 n = 0; n < 3; n++)
		EXPECT_EQ(add_site(&w, (u8)(40 + n)), ERR_IO);
	EXPECT(strstr(store_trouble(w.s), "deleted or moved") != NULL);
	EXPECT_EQ(store_try(w.s), ERR_IO);
	EXPECT(!has_site(&w, 40));
	EXPECT_EQ(begun, 1);
	EXPECT_EQ(over, 0);
	REQUIRE(rename(away, w.path) == 0);
	EXPECT_EQ(store_try(w.s), 0);
	EXPECT(!store_trouble(w.s));
	EXPECT_EQ(add_site(&w, 40), 0);
	EXPECT(has_site(&w, 40));
	EXPECT_EQ(store_ping(w.s), 0);
	EXPECT_EQ(begun, 1);
	EXPECT_EQ(over, 1);
	close_world(&w);
}

TEST(a_read_only_file_is_read)
{
	struct world w = watched_world();

	REQUIRE(sqlite3_exec(w.s->db, "PRAGMA query_only=ON", NULL, NULL, NULL) == SQLITE_OK);
	EXPECT_EQ(add_site(&w, 40), ERR_IO);
	EXPECT_EQ(store_try(w.s), ERR_IO);
	EXPECT_STR(store_trouble(w.s), "the database is read-only");
	EXPECT_EQ(store_ping(w.s), 0);
	EXPECT(!has_site(&w, 40));
	REQUIRE(sqlite3_exec(w.s->db, "PRAGMA query_only=OFF", NULL, NULL, NULL) == SQLITE_OK);
	EXPECT_EQ(store_try(w.s), 0);
	EXPECT_EQ(add_site(&w, 40), 0);
	EXPECT_EQ(begun, 1);
	EXPECT_EQ(over, 1);
	close_world(&w);
}

/* As many pages as there are, as on a disk that is full. */
TEST(a_write_that_fits_ends_no_trouble)
{
	struct world w = watched_world();
	u8 n = 0;

	REQUIRE(sqlite3_exec(w.s->db, "PRAGMA max_page_count=1", NULL, NULL, NULL) == SQLITE_OK); /* that is: as many as it has */
	while (n < 200 && add_site(&w, (u8)(40 + n)) == 0)
		n++;
	REQUIRE(n < 200);
	EXPECT_STR(store_trouble(w.s), "the disk is full");
	EXPECT_EQ(begun, 1);
	EXPECT(n == 0 || has_site(&w, (u8)(40 + n - 1)));
	EXPECT(!has_site(&w, (u8)(40 + n)));
	store_set_principal(w.s, &(struct principal){ .kind = PRINCIPAL_SYSTEM }, WALL);
	EXPECT_EQ(store_begin(w.s, STORE_DURABLE), 0);
	EXPECT_EQ(store_commit(w.s), 0);
	EXPECT(store_trouble(w.s) != NULL);
	REQUIRE(sqlite3_exec(w.s->db, "PRAGMA max_page_count=1000000", NULL, NULL, NULL) == SQLITE_OK);
	EXPECT_EQ(add_site(&w, (u8)(40 + n)), 0);
	EXPECT_EQ(over, 0);
	EXPECT_EQ(store_try(w.s), 0);
	EXPECT_EQ(over, 1);
	EXPECT_EQ(begun, 1);
	close_world(&w);
}
