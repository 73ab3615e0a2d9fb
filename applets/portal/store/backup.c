/* Copies of the whole file (store.h). The copy is another database of SQLite's, filled some pages at a time; pages that are written meanwhile
 * through this connection are written to the copy too. */
#include "applets/portal/store/store_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STEP_PAGES 64 /* of 4 KiB: a millisecond or two */

struct store_backup {
	struct store *s;
	sqlite3 *copy;
	sqlite3_backup *backup;
	bool is_done;
	char path[];
};

static int fail(struct store *s, const char *what, const char *path)
{
	snprintf(s->reason, sizeof(s->reason), "%s %s: %s", what, path, strerror(errno));
	return ERR_IO;
}

int store_backup_begin(struct store *s, const char *path, struct store_backup **out)
{
	struct store_backup *b = calloc(1, sizeof(*b) + strlen(path) + 1);
	int fd, rc;

	if (!b)
		return ERR_NOMEM;
	strcpy(b->path, path);
	b->s = s;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		rc = errno == EEXIST ? ERR_EXISTS : ERR_IO;
		(void)fail(s, "cannot make", path);
		free(b);
		return rc;
	}
	close(fd);
	rc = sqlite3_open_v2(path, &b->copy, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(b->copy, "PRAGMA synchronous=OFF; PRAGMA journal_mode=OFF; PRAGMA cache_size=-256", NULL, NULL, NULL);
	if (rc == SQLITE_OK) {
		b->backup = sqlite3_backup_init(b->copy, "main", s->db, "main");
		rc = b->backup ? SQLITE_OK : sqlite3_errcode(b->copy);
	}
	if (rc != SQLITE_OK) {
		snprintf(s->reason, sizeof(s->reason), "cannot write %s: %s", path, sqlite3_errstr(rc));
		store_backup_end(b);
		return ERR_IO;
	}
	*out = b;
	return 0;
}

int store_backup_step(struct store_backup *b)
{
	int rc = sqlite3_backup_step(b->backup, STEP_PAGES);

	if (rc == SQLITE_OK || rc == SQLITE_BUSY || rc == SQLITE_LOCKED)
		return 1;
	if (rc == SQLITE_DONE) {
		rc = sqlite3_backup_finish(b->backup);
		b->backup = NULL;
		rc = rc == SQLITE_OK ? sqlite3_close(b->copy) : rc;
		b->copy = NULL;
	}
	if (rc != SQLITE_OK) {
		snprintf(b->s->reason, sizeof(b->s->reason), "cannot write %s: %s", b->path,
			 (rc & 0xff) == SQLITE_FULL ? "the disk is full" : sqlite3_errstr(rc));
		return (rc & 0xff) == SQLITE_NOMEM ? ERR_NOMEM : ERR_IO;
	}
	b->is_done = true;
	return 0;
}

void store_backup_end(struct store_backup *b)
{
	if (!b)
		return;
	if (b->backup)
		sqlite3_backup_finish(b->backup);
	sqlite3_close(b->copy);
	if (!b->is_done)
		unlink(b->path);
	free(b);
}

/* ---- is a file whole? ------------------------------------------------------------------------------------------------------------------ */

static int ask(sqlite3 *db, const char *sql, char *out, size_t n)
{
	sqlite3_stmt *st;
	int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);

	out[0] = '\0';
	if (rc != SQLITE_OK)
		return rc;
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		sql_read_text(st, 0, out, n);
	sqlite3_finalize(st);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int check_open(sqlite3 *db, char *why, size_t why_size)
{
	char text[200];
	int rc = ask(db, "PRAGMA application_id", text, sizeof(text));

	if (rc == SQLITE_OK && atoi(text) != APPLICATION_ID) {
		snprintf(why, why_size, "the file is a database of another program");
		return ERR_MALFORMED;
	}
	rc = rc == SQLITE_OK ? ask(db, "PRAGMA user_version", text, sizeof(text)) : rc;
	if (rc == SQLITE_OK && atoi(text) > SCHEMA_VERSION) {
		snprintf(why, why_size, "the file was made by a newer program (schema %s, this one knows %d)", text, SCHEMA_VERSION);
		return ERR_UNSUPPORTED;
	}
	rc = rc == SQLITE_OK ? ask(db, "PRAGMA integrity_check(1)", text, sizeof(text)) : rc;
	if (rc == SQLITE_OK && strcmp(text, "ok") != 0) {
		snprintf(why, why_size, "the file is damaged: %s", text);
		return ERR_MALFORMED;
	}
	rc = rc == SQLITE_OK ? ask(db, "PRAGMA foreign_key_check", text, sizeof(text)) : rc;
	if (rc == SQLITE_OK && text[0]) {
		snprintf(why, why_size, "the file is damaged: a row of %s refers to nothing", text);
		return ERR_MALFORMED;
	}
	if (rc == SQLITE_OK)
		return 0;
	snprintf(why, why_size, "%s", sqlite3_errmsg(db));
	return (rc & 0xff) == SQLITE_NOTADB || (rc & 0xff) == SQLITE_CORRUPT ? ERR_MALFORMED : ERR_IO;
}

int store_check(const char *path, char *why, size_t why_size)
{
	sqlite3 *db;
	int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);

	why[0] = '\0';
	if (rc == SQLITE_OK) {
		rc = check_open(db, why, why_size);
	} else {
		snprintf(why, why_size, "%s", db ? sqlite3_errmsg(db) : "out of memory");
		rc = ERR_IO;
	}
	sqlite3_close(db);
	return rc;
}
