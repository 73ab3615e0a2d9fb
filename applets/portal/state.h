/* applets/portal/state.h: the state directory of a portal, and the portal that lives in it.
 *
 *	DIR/secrets     keys, mode 0600, made once by `portal init`
 *	DIR/portal.db   everything else (store/), with -wal and -shm beside it
 *	DIR/lock        held by whoever has the database open
 *	DIR/admin.sock  where a serving portal takes admin requests; mode 0600
 *
 * All failures leave a sentence for the operator in `why`.
 */
#pragma once

#include "applets/portal/admin/admin.h"

#define STATE_DIR_DEFAULT "/var/lib/emberbox/portal"
#define STATE_DIR_ENV "EMBERBOX_PORTAL_DIR"
#define STATE_PATH_MAX 512
#define STATE_WHY_MAX 1536

struct state {
	char dir[STATE_PATH_MAX];
	int lock_fd;
	struct portal portal;
};

/* Makes directory, secrets and database; one that is there without secrets is kept, and what the former secrets had signed is void. ERR_EXISTS: there is
 * a portal already. */
int state_init(const char *dir, char why[static STATE_WHY_MAX]) MUST_CHECK;

/* Takes the lock, reads secrets, opens the database, fills the directory. ERR_AGAIN: somebody else has the lock. ERR_NOT_FOUND: not
 * initialised, or the database is gone. `hub` is filled with store, secrets, rng and zones by this call. */
int state_open(struct state *s, const char *dir, struct hub_config *hub, char why[static STATE_WHY_MAX]) MUST_CHECK;
void state_close(struct state *s);

/* DIR/name; false when it is too long. */
bool state_path(const char *dir, const char *name, char out[static STATE_PATH_MAX]);
