/* applets/portal/copying.h: a serving portal copies its database for `portal backup`, some pages per turn of the loop.
 *
 * Nobody else may read the file while it serves (store/behind.h). The copy is made in the state directory, the only place this process is
 * sure to write to: COPYING_NAME, whole but not synced. Whoever asked moves it to where it shall be, and removes it.
 */
#pragma once

#include "applets/portal/admin/admin.h"
#include "core/loop/loop.h"

#define COPYING_NAME "portal.db.backup"

struct copying;

/* `done`, once, later: `why` NULL when the copy is there. ERR_AGAIN: a copy is being made. ERR_IO: store_reason() says it. */
int copying_start(struct copying **c, struct portal *p, struct loop *loop, const char *dir, void (*done)(void *ctx, const char *why), void *ctx) MUST_CHECK;
/* Gives up one that is not done; NULL is fine. */
void copying_free(struct copying *c);
