/* applets/portal/store/behind.h: the files of a database, written behind the loop's back.
 *
 * A layer between SQLite and the file system (a VFS, sqlite.org/vfs.html). Until behind_start() it hands everything down. From then on
 * nobody who calls SQLite waits for the disk: syncs are queued for a helper thread, and so is whatever is written behind one that is not
 * done, in the order in which SQLite asked. So the files go through the same states as without this layer, only later, and a power cut
 * or a kill leaves one of them.
 *
 *	write ──queue empty──▶ the file, at once              sync ──▶ queue
 *	      └──else──▶ queue ──▶ [thread: one after another] ──▶ the file, the disk
 *	read  ──▶ the file, what is queued laid over it
 *
 * Two commits that wait for the disk need one sync: one that only the log's growing separates from a later one is left to that. (The sync of
 * a new head of the log is not: old frames behind it must not come back to life.)
 *
 * A ticket is a point in that order. What an answer rests on has reached the disk, or the kernel if no sync was asked for, when its ticket
 * is settled. Other processes must not read the files meanwhile: the owner locks them (PRAGMA locking_mode=EXCLUSIVE).
 *
 * BEHIND_MAX bytes may be queued; whoever writes more waits for the disk after all, and is counted. When a queued write fails the queue stops:
 * reads go on, writes are refused, behind_retry() tries again. A sync that failed is never tried again, since the kernel forgets what
 * it could not write (fsync(2)): the database is lost to this process, and must be opened anew.
 */
#pragma once

#include "core/base/err.h"
#include "core/base/types.h"
#include "core/loop/loop.h"

#include <sqlite3.h>

#define BEHIND_VFS "emberbox-behind"
#define BEHIND_MAX (8u * 1024u * 1024u)

struct behind;

/* Makes BEHIND_VFS known, to open databases with. ERR_NOMEM. */
int behind_register(void) MUST_CHECK;
/* Of a database that was opened with it; NULL: it was not, or is in memory. */
struct behind *behind_of(sqlite3 *db);

/* `told` on the loop's thread: something settled, or it is in trouble. ERR_NOMEM, ERR_IO. */
int behind_start(struct behind *b, struct loop *loop, void (*told)(void *ctx), void *ctx) MUST_CHECK;
/* Waits until all is written. Before the database is closed; of one that was not started it does nothing. False: it cannot be, what waited is lost, and
 * SQLite believes in pages of the log that are not there: it must not write them home (SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE). */
bool behind_stop(struct behind *b) MUST_CHECK;

/* Of everything written so far; 0: it is settled. */
u64 behind_ticket(const struct behind *b);
u64 behind_settled(const struct behind *b);

/* So much is queued that nobody should add to it who can wait: a quarter of BEHIND_MAX, about. */
bool behind_is_far(const struct behind *b);

/* errno of what stopped the queue; 0: fine. */
int behind_trouble(const struct behind *b);
bool behind_is_lost(const struct behind *b);
void behind_retry(struct behind *b);

struct behind_stats {
	u64 syncs, writes, waits; /* done behind; how often somebody had to wait */
};
struct behind_stats behind_stats(struct behind *b);
