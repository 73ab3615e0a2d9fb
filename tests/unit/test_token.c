/* Tokens from text, environment and files; log directories. What needs root ownership is skipped without root. */
#include "applets/common/logging.h"
#include "applets/common/token.h"
#include "core/base/err.h"
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char why[TOKEN_WHY_BYTES];

TEST(spec10_6_white_space_is_removed_from_the_token)
{
	struct token t;

	EXPECT_EQ(token_from_text(&t, " .SFM\nyNTY.a\tb \r\n", why), 0);
	EXPECT_STR(t.text, ".SFMyNTY.ab");
	EXPECT_EQ(token_from_text(&t, " \n", why), ERR_INVAL);
	EXPECT_STR(why, "the token is empty");
	EXPECT_EQ(token_from_text(&t, "a\x01z", why), ERR_INVAL);
}

TEST(token_of_maximum_length_fits_and_one_more_does_not)
{
	static char text[TOKEN_BYTES_MAX + 1];
	struct token t;

	memset(text, 'x', TOKEN_BYTES_MAX - 1);
	EXPECT_EQ(token_from_text(&t, text, why), 0);
	text[TOKEN_BYTES_MAX - 1] = 'x';
	EXPECT_EQ(token_from_text(&t, text, why), ERR_INVAL);
}

TEST(spec30_73_token_variable_is_taken_and_unset)
{
	struct token t;

	setenv("EMBERBOX_TEST_TOKEN", "abc", 1);
	EXPECT_EQ(token_from_env(&t, "EMBERBOX_TEST_TOKEN", why), 0);
	EXPECT_STR(t.text, "abc");
	EXPECT(getenv("EMBERBOX_TEST_TOKEN") == NULL);
	EXPECT_EQ(token_from_env(&t, "EMBERBOX_TEST_TOKEN", why), ERR_NOT_FOUND);
}

static int read_with(const char *path, mode_t mode, uid_t uid, bool is_private)
{
	struct token t;

	EXPECT_EQ(chmod(path, mode), 0);
	EXPECT_EQ(chown(path, uid, 0), 0);
	return token_from_file(&t, path, is_private, why);
}

TEST(spec30_74_token_file_must_be_private_to_root)
{
	char path[] = "/tmp/emberbox-token-XXXXXX";

	if (geteuid() != 0)
		TEST_SKIP("needs root");
	int fd = mkstemp(path);
	REQUIRE(fd >= 0);
	EXPECT_EQ(write(fd, "secret\n", 7), 7);
	close(fd);
	EXPECT_EQ(read_with(path, 0600, 0, true), 0);
	EXPECT_EQ(read_with(path, 0400, 0, true), 0);
	EXPECT_EQ(read_with(path, 0640, 0, true), ERR_DENIED);
	EXPECT_EQ(read_with(path, 0604, 0, true), ERR_DENIED);
	EXPECT_EQ(read_with(path, 0700, 0, true), ERR_DENIED);
	EXPECT_EQ(read_with(path, 0600, 65534, true), ERR_DENIED);
	EXPECT(strstr(why, "root:root") != NULL);
	EXPECT_EQ(read_with(path, 0644, 0, false), 0);
	EXPECT_EQ(unlink(path), 0);
	struct token t;
	EXPECT_EQ(token_from_file(&t, path, true, why), ERR_NOT_FOUND);
	EXPECT(strstr(why, path) != NULL);
}

static void make_log(const char *dir, const char *name, size_t bytes, time_t mtime)
{
	char path[256];
	struct timespec times[2] = { { mtime, 0 }, { mtime, 0 } };

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	int fd = open(path, O_WRONLY | O_CREAT, 0640);
	EXPECT(fd >= 0);
	EXPECT_EQ(ftruncate(fd, (off_t)bytes), 0);
	EXPECT_EQ(futimens(fd, times), 0);
	close(fd);
}

static bool exists(const char *dir, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return access(path, F_OK) == 0;
}

TEST(spec30_80_oldest_logs_go_fresh_ones_and_the_last_stay)
{
	char dir[] = "/tmp/emberbox-logs-XXXXXX", path[256];
	static const char *const names[] = { "a.log", "b.log", "c.log", "keep.txt" };
	time_t now = 2000000000;

	REQUIRE(mkdtemp(dir) != NULL);
	make_log(dir, "a.log", 600, now - 4000);
	make_log(dir, "b.log", 600, now - 3000);
	make_log(dir, "c.log", 600, now - 10);
	make_log(dir, "keep.txt", 9000, now - 9000);
	EXPECT_EQ(logging_clean(dir, 1800, (u64)now), 0);
	EXPECT_EQ(logging_clean(dir, 1300, (u64)now), 1);
	EXPECT(!exists(dir, "a.log") && exists(dir, "b.log"));
	EXPECT_EQ(logging_clean(dir, 1, (u64)now), 1);
	EXPECT(exists(dir, "c.log") && exists(dir, "keep.txt"));
	EXPECT_EQ(logging_clean(dir, 1, (u64)now + 4000), 0);
	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	EXPECT_EQ(rmdir(dir), 0);
}
