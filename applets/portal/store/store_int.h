/* applets/portal/store/store_int.h: the inside of the store, shared by
 *   sql.c     statements made from field tables, values between rows and entities, running a statement
 *   store.c   the file, transactions, rows, devices, the list of changes
 *   expiry.c  what is revoked, purged, counted against limits
 *   usage.c   sessions of devices, when something was last seen, counters for charts
 *   audit.c   the audit trail: triggers from the field tables, asking it
 *   search.c  full-text search: triggers, asking it
 *   page.c    lists: filters, sorting, cursors
 *   related.c counts, dependents and connections of a thing
 *   backup.c  copying and checking files
 */
#pragma once

#include "applets/portal/store/statements.h"
#include "applets/portal/store/store.h"

#include <sqlite3.h>

#define SQL_MAX 4096

enum row_statement { ROW_INSERT, ROW_UPDATE, ROW_DELETE, ROW_GET, ROW_LIST, ROW_LIST_ACCOUNT, ROW_COUNT };

struct store {
	sqlite3 *db;
	sqlite3_stmt *fixed[ST_COUNT];
	sqlite3_stmt *rows[KIND_COUNT][ROW_COUNT];
	enum store_durability durability;
	char reason[256];
	bool has_principal; /* of the running transaction; else the system */
	struct principal principal;
	u64 wall; /* of the running transaction; 0: not told yet */
};

/* What SQLite says as an error of ours; the reason is kept for store_reason(). */
int sql_fail(struct store *s, int sqlite_rc);

/* Statements are prepared when they are first needed and kept. */
int sql_prepare(struct store *s, const char *sql, sqlite3_stmt **out);
int sql_row(struct store *s, enum kind k, enum row_statement which, sqlite3_stmt **out);
int sql_fixed(struct store *s, enum statement which, sqlite3_stmt **out);
/* A statement of statements.c that yields whole rows of a kind. */
int sql_select(struct store *s, enum statement which, enum kind k, sqlite3_stmt **out);

/* What is bound is borrowed until the statement has run. */
void sql_bind_uuid(sqlite3_stmt *st, int i, const struct uuid *id);
void sql_bind_text(sqlite3_stmt *st, int i, const char *text);
void sql_bind_entity(sqlite3_stmt *st, enum kind k, const void *entity, bool is_insert);
void sql_read_uuid(sqlite3_stmt *st, int i, struct uuid *out);

/* Each resets the statement and its bindings. */
int sql_run(struct store *s, sqlite3_stmt *st);                                          /* yields no row */
int sql_run_int(struct store *s, sqlite3_stmt *st, i64 *out);                            /* at most one integer; null is 0 */
int sql_run_entity(struct store *s, sqlite3_stmt *st, enum kind k, void *out);           /* one row; ERR_NOT_FOUND */
int sql_run_each(struct store *s, sqlite3_stmt *st, enum kind k, store_each each, void *ctx);
int sql_run_fixed(struct store *s, enum statement which);
void sql_reset(sqlite3_stmt *st);
void sql_read_text(sqlite3_stmt *st, int i, char *out, size_t n); /* cut short; null is "" */
int sql_exec(struct store *s, const char *sql);
