#include "applets/portal/state.h"

#include "applets/portal/zones.h"
#include "platform/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(char *why, int rc, const char *what, const char *path)
{
	snprintf(why, STATE_WHY_MAX, "%s %s: %s", what, path, strerror(errno));
	return rc;
}

bool state_path(const char *dir, const char *name, char out[static STATE_PATH_MAX])
{
	return snprintf(out, STATE_PATH_MAX, "%s/%s", dir, name) < STATE_PATH_MAX;
}

/* mkdir -p, the last one for the owner alone. */
static int make_dirs(const char *dir, char *why)
{
	char path[STATE_PATH_MAX];

	snprintf(path, sizeof(path), "%s", dir);
	for (char *p = path + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(path, 0755) && errno != EEXIST)
			return fail(why, ERR_IO, "cannot make the directory", path);
		*p = '/';
	}
	return mkdir(path, 0700) && errno != EEXIST ? fail(why, ERR_IO, "cannot make the directory", path) : 0;
}

/* Written beside and linked into place: never half a file, never over another. */
static int write_secrets(const char *dir, const struct secrets *s, char *why)
{
	char path[STATE_PATH_MAX], draft[STATE_PATH_MAX], text[SECRETS_TEXT_MAX];
	int fd, rc = 0;

	if (!state_path(dir, "secrets", path) || !state_path(dir, "secrets.new", draft)) {
		snprintf(why, STATE_WHY_MAX, "the path %s is too long", dir);
		return ERR_INVAL;
	}
	unlink(draft);
	fd = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail(why, ERR_IO, "cannot write", draft);
	secrets_format(s, text);
	size_t n = strlen(text);
	if (write(fd, text, n) != (ssize_t)n || fsync(fd))
		rc = fail(why, ERR_IO, "cannot write", draft);
	close(fd);
	if (!rc && link(draft, path))
		rc = errno == EEXIST ? ERR_EXISTS : fail(why, ERR_IO, "cannot write", path);
	if (rc == ERR_EXISTS)
		snprintf(why, STATE_WHY_MAX, "%s holds a portal already: start it with `emberbox portal serve --dir %s`, or give another --dir", dir, dir);
	unlink(draft);
	sodium_memzero(text, sizeof(text));
	return rc;
}

static int read_secrets(const char *dir, struct secrets *s, char *why)
{
	char path[STATE_PATH_MAX], text[SECRETS_TEXT_MAX];
	struct stat st;
	int fd, rc = 0;

	if (!state_path(dir, "secrets", path)) {
		snprintf(why, STATE_WHY_MAX, "the path %s is too long", dir);
		return ERR_INVAL;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		snprintf(why, STATE_WHY_MAX, "there is no portal in %s: make one with `emberbox portal init --dir %s`", dir, dir);
		return ERR_NOT_FOUND;
	}
	if (fd < 0)
		return fail(why, ERR_IO, "cannot read", path);
	ssize_t n = read(fd, text, sizeof(text));
	if (n < 0 || fstat(fd, &st))
		rc = fail(why, ERR_IO, "cannot read", path);
	close(fd);
	if (!rc && st.st_mode & 0077) {
		snprintf(why, STATE_WHY_MAX, "%s is open to others: chmod 600 %s", path, path);
		rc = ERR_DENIED;
	}
	if (!rc && secrets_parse(s, SPAN(text, (size_t)n))) {
		snprintf(why, STATE_WHY_MAX, "%s is damaged: bring it back from a backup, or move it away and issue all tokens anew", path);
		rc = ERR_MALFORMED;
	}
	sodium_memzero(text, sizeof(text));
	return rc;
}

static int take_lock(const char *dir, int *fd, char *why)
{
	char path[STATE_PATH_MAX];

	if (!state_path(dir, "lock", path)) {
		snprintf(why, STATE_WHY_MAX, "the path %s is too long", dir);
		return ERR_INVAL;
	}
	*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (*fd < 0)
		return fail(why, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot open", path);
	if (flock(*fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	snprintf(why, STATE_WHY_MAX, "another process works in %s, a portal that serves or a command that is not done: wait, or stop it; when %s/admin.sock is gone, start that portal anew",
		 dir, dir);
	close(*fd);
	*fd = -1;
	return ERR_AGAIN;
}

/* What would only be seen at the first change, or not at all, is said now. */
static int check_files(const char *dir, const char *db, bool is_new, char *why)
{
	struct stat st;
	int rc = stat(db, &st);

	if (rc && errno != ENOENT)
		return fail(why, ERR_IO, "cannot read", db);
	if (!is_new && (rc || st.st_size == 0)) {
		snprintf(why, STATE_WHY_MAX, "%s is missing or empty: bring it back with `emberbox portal restore --dir %s FILE`, or move %s/secrets away and begin anew with `emberbox portal init --dir %s`",
			 db, dir, dir, dir);
		return ERR_NOT_FOUND;
	}
	if (access(dir, W_OK))
		return fail(why, ERR_IO, "cannot write in", dir);
	return !rc && access(db, W_OK) ? fail(why, ERR_IO, "cannot write", db) : 0;
}

static int open_store(const char *dir, bool is_new, struct store **out, char *why)
{
	char path[STATE_PATH_MAX], reason[256];
	int rc;

	if (!state_path(dir, "portal.db", path)) {
		snprintf(why, STATE_WHY_MAX, "the path %s is too long", dir);
		return ERR_INVAL;
	}
	rc = check_files(dir, path, is_new, why);
	if (rc)
		return rc;
	rc = store_open(out, path, reason, sizeof(reason));
	if (rc)
		snprintf(why, STATE_WHY_MAX, "cannot open %s: %s%s", path, reason,
			 rc == ERR_MALFORMED ? "; bring a backup back with `emberbox portal restore FILE`" : rc == ERR_UNSUPPORTED ? "; use that one, or restore a backup from before" : "");
	return rc;
}

int state_init(const char *dir, char why[static STATE_WHY_MAX])
{
	char path[STATE_PATH_MAX];
	struct secrets secrets;
	struct store *store;
	int lock, rc = make_dirs(dir, why);

	rc = rc ? rc : take_lock(dir, &lock, why);
	if (rc)
		return rc;
	umask(0077);
	secrets_make(&secrets, sys_rng());
	rc = write_secrets(dir, &secrets, why);
	if (!rc) {
		rc = open_store(dir, true, &store, why);
		if (rc && state_path(dir, "secrets", path))
			unlink(path);
	}
	if (!rc)
		store_close(store);
	sodium_memzero(&secrets, sizeof(secrets));
	close(lock);
	return rc;
}

int state_open(struct state *s, const char *dir, struct hub_config *hub, char why[static STATE_WHY_MAX])
{
	char secrets[STATE_PATH_MAX];
	int rc;

	memset(s, 0, sizeof(*s));
	s->lock_fd = -1;
	snprintf(s->dir, sizeof(s->dir), "%s", dir);
	umask(0077);
	/* before the lock, so that a mistyped directory is named as such and nothing is left in it */
	if (state_path(dir, "secrets", secrets) && access(secrets, F_OK) && errno == ENOENT)
		return read_secrets(dir, &s->portal.secrets, why);
	rc = take_lock(dir, &s->lock_fd, why);
	rc = rc ? rc : read_secrets(dir, &s->portal.secrets, why);
	rc = rc ? rc : open_store(dir, false, &s->portal.store, why);
	if (!rc) {
		s->portal.rng = sys_rng();
		s->portal.now = sys_now;
		s->portal.wall = sys_wall;
		hub->store = s->portal.store;
		hub->secrets = &s->portal.secrets;
		hub->rng = s->portal.rng;
		hub->zones = s->portal.zones = &system_zones;
		rc = hub_new(&s->portal.hub, hub, sys_now(), sys_wall());
		if (rc)
			snprintf(why, STATE_WHY_MAX, "cannot read %s/portal.db: %s", dir,
				 rc == ERR_NOMEM ? "out of memory" : store_reason(s->portal.store));
	}
	if (rc)
		state_close(s);
	return rc;
}

void state_close(struct state *s)
{
	hub_free(s->portal.hub);
	store_close(s->portal.store);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	sodium_memzero(&s->portal.secrets, sizeof(s->portal.secrets));
	s->lock_fd = -1;
	s->portal.hub = NULL;
	s->portal.store = NULL;
}
