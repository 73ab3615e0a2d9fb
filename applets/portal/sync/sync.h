/* applets/portal/sync/sync.h: directories are read every other hour, or now, and what came of it is remembered (spec 60 §8).
 *
 *   clock (UTC, even hours: Entra :00, Google :20, Okta :40), sync_now() ──▶ [waiting] ──▶ [pull] ──▶ [apply] ──▶ the directory's row
 *
 * At most SYNC_RUNS_MAX at a time, one for each directory. Only enabled, verified directories of active accounts with the feature are read.
 *
 *	all went well            synced_at; errors are forgotten
 *	refused (4xx, rights,    disabled at once with the reason "Sync error", not verified any more: an admin has to look
 *	everything would vanish)
 *	disturbed (5xx, network) remembered since when; after SYNC_PATIENCE as above
 *	our own store refuses    nothing is said about the directory
 *
 * At 09:00 UTC the admins of an account hear by mail of directories that fail: daily while fewer than 3 mails were sent, every third day up to
 * 6, on Mondays up to 9, then no more.
 */
#pragma once

#include "applets/portal/admin/admin.h"
#include "applets/portal/sync/pull.h"

#define SYNC_RUNS_MAX 3u
#define SYNC_WAITING_MAX 1024u
#define SYNC_PATIENCE_SECS 86400
#define SYNC_ERROR "Sync error"
#define SYNC_MAIL_HOUR 9

struct sync;

struct sync_config {
	struct portal *portal; /* borrowed, and not made before the loop runs */
	struct pull_config pull;
};

struct sync *sync_new(const struct sync_config *cfg); /* NULL: out of memory */
void sync_free(struct sync *s);

/* Of portal.sync_now. ERR_AGAIN: it waits or runs already; ERR_NOT_FOUND; ERR_DENIED: disabled or not verified; ERR_LIMIT. */
int sync_now(void *sync, const struct uuid *account, const struct uuid *directory);
bool sync_is_running(const struct sync *s, const struct uuid *directory);

/* Before a directory is saved: do its settings work? One token, and one small page of everything that a sync reads. `done` is called once, from
 * the loop, with 0 or an error and a sentence; `row` is copied. NULL: no memory. */
struct sync_probe;
struct sync_probe *sync_probe(struct sync *s, const struct sync_directory *row, void (*done)(void *ctx, int rc, const char *why), void *ctx);
void sync_probe_cancel(struct sync_probe *p); /* NULL is fine; not after `done` */

/* A mail now? Pure: what was sent, when, and what day it is (0 = Sunday). */
bool sync_mail_is_due(i64 sent, u64 days_since_last, int weekday);
/* What is read at this minute of the day; -1: nothing. */
int sync_due_type(u64 wall_secs);
