/* What the query planner shall believe about sizes. Without statistics it takes account_id to be selective, which it never is: most files hold
 * one account. Gathered statistics would make plans depend on when they were gathered; these are the same for everyone: ten thousand rows of
 * everything, all of one account, ten of each thing that a row refers to; sites are few. */
#include "applets/portal/store/store_int.h"

#include <stdio.h>
#include <string.h>

#define PLANS_VERSION 2 /* of the estimates below; another number in the file: written anew */
#define ROWS 10000
#define ROWS_OF_PARTIAL 100

static i64 rows_like(const char *column, bool is_last_of_unique)
{
	static const char *const coarse[] = { "type", "state", "kind", "op", "issuer", "disabled_at", "managed_by", "site_id" };
	size_t n = column ? strlen(column) : 0;

	if (is_last_of_unique || (column && strcmp(column, "id") == 0))
		return 1;
	if (column && strcmp(column, "account_id") == 0)
		return ROWS;
	for (size_t i = 0; i < ARRAY_LEN(coarse) && column; i++)
		if (strcmp(column, coarse[i]) == 0)
			return ROWS / 3;
	return n > 3 && strcmp(column + n - 3, "_id") == 0 ? 10 : 2;
}

static int write_estimate(struct store *s, const char *table, const char *index, const char *estimate)
{
	sqlite3_stmt *st;
	int rc = sql_cached(s, "INSERT INTO sqlite_stat1(tbl,idx,stat) VALUES(?1,?2,?3)", &st);

	if (rc)
		return rc;
	sql_bind_text(st, 1, table);
	sql_bind_text(st, 2, index);
	sql_bind_text(st, 3, estimate);
	return sql_run(s, st);
}

struct estimate {
	char table[64], index[64], text[256];
	size_t n;
	i64 rows;
};

static int finish(struct store *s, struct estimate *e)
{
	return e->index[0] ? write_estimate(s, e->table, e->index, e->text) : 0;
}

/* A row for each column of each index. */
static int add_column(struct store *s, sqlite3_stmt *st, struct estimate *e)
{
	bool is_primary = strcmp((const char *)sqlite3_column_text(st, 2), "pk") == 0, is_unique = sqlite3_column_int(st, 3);
	const char *index = (const char *)sqlite3_column_text(st, is_primary ? 0 : 1), *column = (const char *)sqlite3_column_text(st, 5);
	bool is_last = sqlite3_column_int(st, 6) == sqlite3_column_int(st, 7);
	int rc = 0;

	if (sqlite3_column_int(st, 6) == 0) {
		rc = finish(s, e);
		sql_read_text(st, 0, e->table, sizeof(e->table));
		snprintf(e->index, sizeof(e->index), "%s", index);
		e->rows = sqlite3_column_int(st, 4) ? ROWS_OF_PARTIAL : ROWS;
		e->n = (size_t)snprintf(e->text, sizeof(e->text), "%d", (int)e->rows);
	}
	e->rows = MIN(e->rows, rows_like(column, is_unique && is_last));
	if (e->n < sizeof(e->text))
		e->n += (size_t)snprintf(e->text + e->n, sizeof(e->text) - e->n, " %d", (int)e->rows);
	return rc;
}

static int write_estimates(struct store *s)
{
	struct estimate e = { .n = 0 };
	sqlite3_stmt *st;
	int step, rc = sql_prepare(s,
				   "SELECT m.name,l.name,l.origin,l.\"unique\",l.partial,x.name,x.seqno,"
				   "(SELECT max(y.seqno) FROM pragma_index_xinfo(l.name) y WHERE y.key)"
				   " FROM sqlite_schema m, pragma_index_list(m.name) l, pragma_index_xinfo(l.name) x"
				   " WHERE m.type='table' AND m.sql LIKE 'CREATE TABLE%' AND m.name NOT LIKE 'search_text%' AND x.key"
				   " ORDER BY m.name,l.name,x.seqno", &st);

	if (rc)
		return rc;
	while (!rc && (step = sqlite3_step(st)) != SQLITE_DONE)
		rc = step == SQLITE_ROW ? add_column(s, st, &e) : sql_fail(s, sqlite3_extended_errcode(s->db));
	sqlite3_finalize(st);
	return rc ? rc : finish(s, &e);
}

int plans_start(struct store *s)
{
	char sql[128];
	sqlite3_stmt *st;
	i64 version;
	int rc = sql_prepare(s, "SELECT value FROM facts WHERE name='plans_version'", &st);

	if (rc)
		return rc;
	rc = sql_run_int(s, st, &version);
	sqlite3_finalize(st);
	if (rc || version == PLANS_VERSION)
		return rc;
	rc = sql_exec(s, "BEGIN IMMEDIATE");
	if (rc)
		return rc;
	rc = sql_exec(s, "ANALYZE facts; DELETE FROM sqlite_stat1"); /* the first makes the table */
	rc = rc ? rc : write_estimates(s);
	snprintf(sql, sizeof(sql), "INSERT OR REPLACE INTO facts(name,value) VALUES('plans_version',%d)", PLANS_VERSION);
	rc = rc ? rc : sql_exec(s, sql);
	rc = rc ? rc : sql_exec(s, "COMMIT");
	if (rc)
		return store_rollback(s, rc);
	return sql_exec(s, "ANALYZE sqlite_schema"); /* reads them */
}
