#include "applets/portal/transfer/rehearsal.h"

#include "applets/portal/transfer/transfer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECRETS 0 /* of files */

static const char *const files[] = { "secrets", "portal.db", "portal.db-wal", "portal.db-shm", "lock" };

static int fail(const char *what, const char *path, const char *why)
{
	fprintf(stderr, "emberbox portal import: nothing is changed: --dry-run works on a copy of the database: %s%s: %s\n", what, path, why);
	return ERR_IO;
}

static int fill(struct rehearsal *r, const char *dir)
{
	char from[STATE_PATH_MAX], to[STATE_PATH_MAX], why[STATE_WHY_MAX];

	if (!state_path(dir, files[SECRETS], from) || !state_path(r->dir, files[SECRETS], to))
		return fail("", dir, "the path is too long");
	if (link(from, to))
		return fail("cannot link ", from, strerror(errno));
	if (!state_path(r->dir, "portal.db", to) || backup_run(dir, to))
		return ERR_IO;
	return state_open(&r->state, r->dir, &r->hub, why) ? fail("", r->dir, why) : 0;
}

int rehearsal_begin(struct rehearsal *r, const char *dir)
{
	char path[STATE_PATH_MAX], why[STATE_WHY_MAX];
	int rc;

	memset(r, 0, sizeof(*r));
	r->state.lock_fd = -1;
	if (!state_path(dir, files[SECRETS], path) || !state_path(dir, "rehearsal-XXXXXX", r->dir))
		return fail("", dir, "the path is too long");
	if (access(path, F_OK) && errno == ENOENT) { /* says where a portal comes from */
		rc = state_open(&r->state, dir, &r->hub, why);
		fprintf(stderr, "emberbox portal: %s\n", why);
		return rc;
	}
	if (!mkdtemp(r->dir))
		return fail("cannot make ", r->dir, strerror(errno));
	rc = fill(r, dir);
	if (rc)
		rehearsal_end(r);
	return rc;
}

void rehearsal_end(struct rehearsal *r)
{
	char path[STATE_PATH_MAX];

	state_close(&r->state);
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		if (state_path(r->dir, files[i], path))
			unlink(path);
	rmdir(r->dir);
}
