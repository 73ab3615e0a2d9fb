/* How many rows of each kind an account has: pages of lists say it, and to count ten thousand costs a millisecond. Counted once at opening; triggers
 * keep it from then on, in a table of this connection that is rolled back with everything else. */
#include "applets/portal/store/store_int.h"

bool counts_keep(enum kind k)
{
	return k != KIND_AUTHORIZATION && k != KIND_MAIL && k != KIND_ACCOUNT; /* nobody asks for them, and the first are made in masses */
}

static int keep_count(struct store *s, const char *table, int k)
{
	static const char all[] =
		"INSERT INTO row_counts SELECT account_id,%2$d,count(*) FROM %1$s GROUP BY account_id;"
		"CREATE TEMP TRIGGER rows_more_%1$s AFTER INSERT ON main.%1$s BEGIN"
		" INSERT INTO row_counts VALUES(NEW.account_id,%2$d,1) ON CONFLICT(account_id,kind) DO UPDATE SET n=n+1; END;"
		"CREATE TEMP TRIGGER rows_less_%1$s AFTER DELETE ON main.%1$s BEGIN"
		" UPDATE row_counts SET n=n-1 WHERE account_id=OLD.account_id AND kind=%2$d; END;";
	struct strbuf b = { 0 };

	strbuf_printf(&b, all, table, k);
	int rc = strbuf_ok(&b) ? sql_exec(s, strbuf_text(&b)) : ERR_NOMEM;
	strbuf_free(&b);
	return rc;
}

int counts_start(struct store *s)
{
	int rc = sql_exec(s, "CREATE TEMP TABLE row_counts(account_id BLOB NOT NULL, kind INTEGER NOT NULL, n INTEGER NOT NULL,"
			     " PRIMARY KEY(account_id,kind)) WITHOUT ROWID");

	for (int k = 0; k < KIND_COUNT && !rc; k++)
		if (counts_keep((enum kind)k))
			rc = keep_count(s, kinds[k].table, k);
	rc = rc ? rc : keep_count(s, "client_sessions", COUNT_OF_SESSIONS(false));
	return rc ? rc : keep_count(s, "gateway_sessions", COUNT_OF_SESSIONS(true));
}

int store_rows(struct store *s, enum kind k, const struct uuid *account, i64 *out)
{
	sqlite3_stmt *st;
	int rc = sql_fixed(s, ST_ROW_COUNT, &st);

	if (rc)
		return rc;
	sql_bind_uuid(st, 1, account);
	sqlite3_bind_int64(st, 2, k);
	return sql_run_int(s, st, out);
}
