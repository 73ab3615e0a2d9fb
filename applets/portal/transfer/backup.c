#include "applets/portal/transfer/transfer.h"

#include "applets/portal/cli.h"
#include "applets/portal/copying.h"
#include "applets/portal/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROGRAM "emberbox portal"

static int fail(const char *verb, const char *file, const char *why)
{
	fprintf(stderr, PROGRAM " %s: %s: %s\n", verb, file, why);
	return 1;
}

static void forget_copy(const char *dir)
{
	static const char *const names[] = { COPYING_NAME, COPYING_NAME "-wal", COPYING_NAME "-shm" };
	char path[STATE_PATH_MAX];

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (state_path(dir, names[i], path))
			unlink(path);
}

/* By the portal that serves and has the database for itself. ERR_CLOSED: none does. */
static int copy_served(const char *dir, const char *file, char *why, size_t why_size)
{
	const struct admin_request rq = { .noun = "portal", .verb = "backup" };
	struct admin_reply reply = { 0 };
	char draft[STATE_PATH_MAX];
	int rc = cli_request_served(dir, &rq, &reply);

	snprintf(why, why_size, "%s", rc == ERR_DENIED ? "not allowed to talk to the portal that serves: run this as its user" :
				      rc	       ? err_str(rc) :
				      reply.err	       ? reply.err :
							 "");
	if (!rc)
		rc = reply.status || !state_path(dir, COPYING_NAME, draft) ? ERR_STATE : store_copy(draft, file, why, why_size);
	if (!reply.status)
		forget_copy(dir);
	admin_reply_free(&reply);
	return rc;
}

int backup_run(const char *dir, const char *file)
{
	char db[STATE_PATH_MAX], why[256] = "";

	if (!state_path(dir, "portal.db", db))
		return fail("backup", dir, "the path is too long");
	int rc = copy_served(dir, file, why, sizeof(why));
	if (rc == ERR_CLOSED)
		rc = store_copy(db, file, why, sizeof(why));
	if (rc)
		return fail("backup", db, why);
	return 0;
}

/* Into place: nobody sees half of it, and what was there stays beside it. */
static int put_in_place(const char *dir, const char *draft)
{
	char db[STATE_PATH_MAX], old[STATE_PATH_MAX], wal[STATE_PATH_MAX], shm[STATE_PATH_MAX];

	if (!state_path(dir, "portal.db", db) || !state_path(dir, "portal.db.before-restore", old) || !state_path(dir, "portal.db-wal", wal) ||
	    !state_path(dir, "portal.db-shm", shm))
		return fail("restore", dir, "the path is too long");
	/* the log belongs to the file: first into it */
	bool had_one = access(db, F_OK) == 0;
	if (had_one) {
		char why[256] = "";

		unlink(old);
		if (store_copy(db, old, why, sizeof(why)))
			fprintf(stderr, PROGRAM " restore: the former database could not be kept: %s\n", why);
	}
	unlink(wal);
	unlink(shm);
	if (rename(draft, db))
		return fail("restore", db, strerror(errno));
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		(void)fsync(fd);
		close(fd);
	}
	if (had_one)
		printf("restored; what was there before is in %s\n", old);
	else
		printf("restored\n");
	return 0;
}

int restore_run(const char *dir, const char *file)
{
	char lock[STATE_PATH_MAX], draft[STATE_PATH_MAX], secrets[STATE_PATH_MAX], why[256] = "";
	int fd, status;

	if (!state_path(dir, "lock", lock) || !state_path(dir, "secrets", secrets) || !state_path(dir, "portal.db.restore", draft))
		return fail("restore", dir, "the path is too long");
	umask(0077);
	if (access(secrets, F_OK) && errno == ENOENT)
		return fail("restore", secrets, "there is none: copy the one that was kept with the backup to there first, mode 0600");
	if (store_check(file, why, sizeof(why)))
		return fail("restore", file, why);
	fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail("restore", lock, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		close(fd);
		return fail("restore", dir, "a portal serves from it: stop it first");
	}
	unlink(draft);
	status = store_copy(file, draft, why, sizeof(why)) ? fail("restore", file, why) : put_in_place(dir, draft);
	unlink(draft);
	close(fd);
	return status;
}
