/* applets/portal/transfer/rehearsal.h: a portal on a copy of the database of another, to see what would come of something: nothing of it is kept, and the
 * other, which may be serving, never hears of it.
 *
 * The copy has its place in the state directory, where nobody else can read: DIR/rehearsal-…, gone at the end. Who is killed before leaves it; it may be deleted.
 */
#pragma once

#include "applets/portal/state.h"

struct rehearsal {
	char dir[STATE_PATH_MAX];
	struct state state;
	struct hub_config hub;
};

/* Says on stderr what went wrong; then there is nothing to end. */
int rehearsal_begin(struct rehearsal *r, const char *dir) MUST_CHECK;
void rehearsal_end(struct rehearsal *r);
