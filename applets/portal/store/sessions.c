/* Lists of connects (spec 60 §1.8). */
#include "applets/portal/store/store_int.h"

#include <stdio.h>
#include <string.h>

static const char *table_of(bool is_gateway)
{
	return is_gateway ? "gateway_sessions" : "client_sessions";
}

static void read_session(sqlite3_stmt *st, bool is_gateway, struct store_session *out)
{
	sql_read_session(st, 3, out);
	out->is_gateway = is_gateway;
	sql_read_uuid(st, 1, &out->account_id);
	sql_read_uuid(st, 2, &out->device_id);
}

int store_sessions(struct store *s, const struct store_sessions_query *q, int (*each)(void *ctx, i64 seq, const struct store_session *x),
		   void *ctx)
{
	const char *owner = q->is_gateway ? "gateway_id" : "client_id";
	char sql[SQL_MAX];
	sqlite3_stmt *st;
	int step, rc;

	snprintf(sql, sizeof(sql),
		 "SELECT seq,account_id,%s,token_id,inserted_at,public_key,user_agent,version,remote_ip,region,city,lat,lon FROM %s"
		 " WHERE account_id=?1%s%s%s ORDER BY seq %s LIMIT ?5",
		 owner, table_of(q->is_gateway), uuid_is_null(&q->device) ? "" : q->is_gateway ? " AND gateway_id=?2" : " AND client_id=?2",
		 q->before ? " AND seq<?3" : "", q->after ? " AND seq>?4" : "", q->after ? "ASC" : "DESC");
	rc = sql_prepare(s, sql, &st);
	if (rc)
		return rc;
	sql_bind_uuid(st, 1, &q->account);
	if (!uuid_is_null(&q->device))
		sql_bind_uuid(st, 2, &q->device);
	if (q->before)
		sqlite3_bind_int64(st, 3, q->before);
	if (q->after)
		sqlite3_bind_int64(st, 4, q->after);
	sqlite3_bind_int64(st, 5, q->limit);
	while (!rc && (step = sqlite3_step(st)) != SQLITE_DONE) {
		struct store_session x;

		if (step != SQLITE_ROW) {
			rc = sql_fail(s, sqlite3_extended_errcode(s->db));
			break;
		}
		read_session(st, q->is_gateway, &x);
		rc = each(ctx, sqlite3_column_int64(st, 0), &x);
	}
	sqlite3_finalize(st);
	return rc;
}

int store_sessions_count(struct store *s, const struct store_sessions_query *q, i64 *out)
{
	char sql[128];
	sqlite3_stmt *st;
	int rc;

	if (uuid_is_null(&q->device))
		return store_rows(s, (enum kind)COUNT_OF_SESSIONS(q->is_gateway), &q->account, out);
	snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s WHERE account_id=?1 AND %s=?2", table_of(q->is_gateway),
		 q->is_gateway ? "gateway_id" : "client_id");
	rc = sql_cached(s, sql, &st);
	if (rc)
		return rc;
	sql_bind_uuid(st, 1, &q->account);
	sql_bind_uuid(st, 2, &q->device);
	return sql_run_int(s, st, out);
}
