/* A copy of the file by somebody who does not own it, while nobody has it for himself (store_defer()). */
#include "applets/portal/store/store.h"

#include <sqlite3.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define COPY_BUSY_TIMEOUT_MS 10000

static int copy_pages(sqlite3 *from, sqlite3 *to, char *why, size_t why_size)
{
	sqlite3_backup *b = sqlite3_backup_init(to, "main", from, "main");
	int rc = b ? sqlite3_backup_step(b, -1) : sqlite3_errcode(to); /* one transaction: what is committed now, and no part of more */

	if (b)
		sqlite3_backup_finish(b);
	if (rc == SQLITE_DONE)
		return 0;
	snprintf(why, why_size, "%s", sqlite3_errstr(rc));
	return ERR_IO;
}

int store_copy(const char *from, const char *to, char *why, size_t why_size)
{
	sqlite3 *source = NULL, *target = NULL;
	int fd, rc = store_check(from, why, why_size);

	if (rc)
		return rc;
	fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		snprintf(why, why_size, "cannot make %s: %s", to, strerror(errno));
		return errno == EEXIST ? ERR_EXISTS : ERR_IO;
	}
	if (sqlite3_open_v2(from, &source, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) ||
	    sqlite3_open_v2(to, &target, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL)) {
		snprintf(why, why_size, "%s", target ? sqlite3_errmsg(target) : source ? sqlite3_errmsg(source) : "out of memory");
		rc = ERR_IO;
	}
	if (!rc) {
		sqlite3_busy_timeout(source, COPY_BUSY_TIMEOUT_MS);
		rc = copy_pages(source, target, why, why_size);
	}
	/* one file, not three: whoever opens it turns the log on again */
	if (!rc && sqlite3_exec(target, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL)) {
		snprintf(why, why_size, "%s", sqlite3_errmsg(target));
		rc = ERR_IO;
	}
	sqlite3_close(source);
	sqlite3_close(target);
	if (!rc && fsync(fd)) {
		snprintf(why, why_size, "cannot write %s: %s", to, strerror(errno));
		rc = ERR_IO;
	}
	close(fd);
	if (rc)
		unlink(to);
	return rc;
}
