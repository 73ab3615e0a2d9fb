/* The state directory of a portal (state.h): whatever is wrong with it is said, with what to do, and nothing is made of it. */
#include "applets/portal/state.h"
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64], why[STATE_WHY_MAX];

static const char *in(const char *name)
{
	static char path[2][STATE_PATH_MAX];
	static int turn;
	char *out = path[turn++ % 2];

	EXPECT(state_path(dir, name, out));
	return out;
}

static void made(void)
{
	snprintf(dir, sizeof(dir), "/tmp/portal-state-XXXXXX");
	EXPECT(mkdtemp(dir) != NULL);
	EXPECT_EQ(state_init(dir, why), 0);
}

static void removed(void)
{
	static const char *const files[] = { "portal.db", "portal.db-wal", "portal.db-shm", "secrets", "lock", "kept" };

	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		unlink(in(files[i]));
	EXPECT_EQ(rmdir(dir), 0);
}

static int opened(void)
{
	struct hub_config hub = { .wants_service = NULL };
	struct state s;
	int rc = state_open(&s, dir, &hub, why);

	if (!rc)
		state_close(&s);
	return rc;
}

static void write_file(const char *name, const char *bytes, size_t n)
{
	int fd = open(in(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	EXPECT(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
	close(fd);
}

#define EXPECT_SAID(part) (strstr(why, part) ? (void)0 : test_fail(__FILE__, __LINE__, "expected \"%s\" in: %s", part, why))

TEST(a_portal_is_made_once)
{
	made();
	EXPECT_EQ(opened(), 0);
	EXPECT_EQ(state_init(dir, why), ERR_EXISTS);
	EXPECT_SAID("holds a portal already: start it with `emberbox portal serve --dir /tmp/portal-state-");
	EXPECT_EQ(opened(), 0);
	removed();
}

TEST(two_at_once_are_told_what_may_be_wrong)
{
	struct hub_config hub = { .wants_service = NULL };
	struct state s;

	made();
	EXPECT_EQ(state_open(&s, dir, &hub, why), 0);
	EXPECT_EQ(opened(), ERR_AGAIN);
	EXPECT_SAID("admin.sock is gone, start that portal anew");
	state_close(&s);
	removed();
}

/* An empty portal in its place would look as if all were lost, and be filled. */
TEST(a_database_that_is_gone_is_not_made_anew_silently)
{
	made();
	EXPECT_EQ(rename(in("portal.db"), in("kept")), 0);
	EXPECT_EQ(opened(), ERR_NOT_FOUND);
	EXPECT_SAID("portal.db is missing or empty: bring it back with `emberbox portal restore --dir");
	EXPECT(access(in("portal.db"), F_OK) != 0);
	write_file("portal.db", "", 0);
	EXPECT_EQ(opened(), ERR_NOT_FOUND);
	EXPECT_EQ(rename(in("kept"), in("portal.db")), 0);
	EXPECT_EQ(opened(), 0);
	removed();
}

TEST(garbage_is_no_database_and_leaves_no_secrets)
{
	char garbage[5000];

	made();
	memset(garbage, 'x', sizeof(garbage));
	write_file("portal.db", garbage, sizeof(garbage));
	EXPECT_EQ(opened(), ERR_MALFORMED);
	EXPECT_SAID("portal.db: file is not a database; bring a backup back with `emberbox portal restore FILE`");
	unlink(in("secrets"));
	EXPECT_EQ(state_init(dir, why), ERR_MALFORMED);
	EXPECT(access(in("secrets"), F_OK) != 0);
	removed();
}

TEST(new_secrets_take_over_the_database_that_is_there)
{
	made();
	EXPECT_EQ(unlink(in("secrets")), 0);
	EXPECT_EQ(opened(), ERR_NOT_FOUND);
	EXPECT_SAID("there is no portal in");
	EXPECT_EQ(state_init(dir, why), 0);
	EXPECT_EQ(opened(), 0);
	removed();
}

TEST(what_cannot_be_written_is_said_before_anything_is_served)
{
	bool is_root = geteuid() == 0; /* who may write everywhere */

	if (is_root)
		EXPECT_EQ(setresuid(65534, 65534, 0), 0);
	made();
	EXPECT_EQ(chmod(in("portal.db"), 0400), 0);
	EXPECT_EQ(opened(), ERR_IO);
	EXPECT_SAID("cannot write /tmp/portal-state-");
	EXPECT_EQ(chmod(in("portal.db"), 0600), 0);
	EXPECT_EQ(chmod(dir, 0500), 0);
	EXPECT_EQ(opened(), ERR_IO);
	EXPECT_SAID("cannot write in /tmp/portal-state-");
	EXPECT_EQ(chmod(dir, 0700), 0);
	removed();
	if (is_root)
		EXPECT_EQ(setresuid(0, 0, 0), 0);
}
