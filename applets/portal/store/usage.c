#include "applets/portal/store/store_int.h"

#include <string.h>

/* ---- last seen ---------------------------------------------------------------------------------------------------------------- */

static int touch(struct store *s, enum statement which, const struct uuid *account, const struct uuid *id, i64 at, const char *remote_ip,
		 i64 interval)
{
	sqlite3_stmt *st;
	int rc = sql_fixed(s, which, &st);

	if (rc)
		return rc;
	sql_bind_uuid(st, 1, account);
	sql_bind_uuid(st, 2, id);
	sqlite3_bind_int64(st, 3, at);
	if (which == ST_SEEN_API_TOKEN)
		sql_bind_text(st, 4, remote_ip);
	sqlite3_bind_int64(st, 5, interval);
	return sql_run(s, st);
}

int store_touch(struct store *s, enum kind k, const struct uuid *account, const struct uuid *id, u64 wall, const char *remote_ip)
{
	enum statement which = k == KIND_API_TOKEN ? ST_SEEN_API_TOKEN : k == KIND_CLIENT_TOKEN ? ST_SEEN_CLIENT_TOKEN : ST_SEEN_PORTAL_SESSION;

	store_read_end(s);
	return touch(s, which, account, id, (i64)(wall / 1000), remote_ip, TOUCH_INTERVAL_SECS * (i64)1000000);
}

/* ---- sessions ------------------------------------------------------------------------------------------------------------------- */

int store_insert_session(struct store *s, const struct store_session *x)
{
	sqlite3_stmt *st;
	int rc = sql_fixed(s, x->is_gateway ? ST_INSERT_GATEWAY_SESSION : ST_INSERT_CLIENT_SESSION, &st);

	if (rc)
		return rc;
	sql_bind_uuid(st, 1, &x->account_id);
	sql_bind_uuid(st, 2, &x->device_id);
	sql_bind_uuid(st, 3, &x->token_id);
	sqlite3_bind_int64(st, 4, x->at);
	sql_bind_text(st, 5, x->public_key);
	sql_bind_text(st, 6, x->user_agent);
	sql_bind_text(st, 7, x->version[0] ? x->version : NULL);
	sql_bind_text(st, 8, x->remote_ip);
	sql_bind_text(st, 9, x->region[0] ? x->region : NULL);
	sql_bind_text(st, 10, x->city[0] ? x->city : NULL);
	sql_bind_place(st, 11, &x->place);
	rc = sql_run(s, st);
	rc = rc ? rc : touch(s, x->is_gateway ? ST_SEEN_GATEWAY : ST_SEEN_CLIENT, &x->account_id, &x->device_id, x->at, NULL, 0);
	rc = rc ? rc : touch(s, x->is_gateway ? ST_SEEN_GATEWAY_TOKEN : ST_SEEN_CLIENT_TOKEN, &x->account_id, &x->token_id, x->at, NULL, 0);
	return rc ? rc : store_stat_add(s, &x->account_id, x->is_gateway ? "gateway_connects" : "client_connects", (u64)x->at * 1000, 1);
}

static int latest_session(struct store *s, enum statement which, const struct uuid *account, const struct uuid *device,
			  struct store_session *out)
{
	sqlite3_stmt *st;
	int rc = sql_fixed(s, which, &st), step;

	if (rc)
		return rc;
	sql_bind_uuid(st, 1, account);
	sql_bind_uuid(st, 2, device);
	step = sqlite3_step(st);
	if (step == SQLITE_ROW) {
		sql_read_session(st, 0, out);
		out->account_id = *account;
		out->device_id = *device;
		out->is_gateway = which == ST_LATEST_GATEWAY_SESSION;
	} else {
		rc = step == SQLITE_DONE ? ERR_NOT_FOUND : sql_fail(s, sqlite3_extended_errcode(s->db));
	}
	sql_reset(st);
	return rc;
}

int store_latest_session(struct store *s, const struct uuid *account, const struct uuid *client, struct store_session *out)
{
	return latest_session(s, ST_LATEST_CLIENT_SESSION, account, client, out);
}

int store_latest_gateway_session(struct store *s, const struct uuid *account, const struct uuid *gateway, struct store_session *out)
{
	return latest_session(s, ST_LATEST_GATEWAY_SESSION, account, gateway, out);
}

/* ---- counters ---------------------------------------------------------------------------------------------------------------------- */

int store_stat_add(struct store *s, const struct uuid *account, const char *name, u64 wall, i64 n)
{
	sqlite3_stmt *st;
	int rc = sql_fixed(s, ST_STAT_ADD, &st);

	if (rc)
		return rc;
	sql_bind_uuid(st, 1, account);
	sql_bind_text(st, 2, name);
	sqlite3_bind_int64(st, 3, (i64)(wall / 1000));
	sqlite3_bind_int64(st, 4, n);
	return sql_run(s, st);
}

int usage_start(struct store *s)
{
	return sql_exec(s, "CREATE TEMP TRIGGER count_flows AFTER INSERT ON main.policy_authorizations BEGIN"
			   " INSERT INTO stats_hourly(account_id,name,at,value)"
			   " VALUES(NEW.account_id,'flows',NEW.inserted_at-NEW.inserted_at%3600000000,1)"
			   " ON CONFLICT(account_id,name,at) DO UPDATE SET value=value+1; END");
}

int store_stats(struct store *s, const struct uuid *account, const char *name, i64 from, i64 to,
		int (*each)(void *ctx, i64 at, i64 value), void *ctx)
{
	sqlite3_stmt *st;
	int step, rc = sql_fixed(s, ST_STATS, &st);

	if (rc)
		return rc;
	sql_bind_uuid(st, 1, account);
	sql_bind_text(st, 2, name);
	sqlite3_bind_int64(st, 3, from - from % 3600000000);
	sqlite3_bind_int64(st, 4, to);
	while (!rc && (step = sqlite3_step(st)) != SQLITE_DONE)
		rc = step == SQLITE_ROW ? each(ctx, sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1)) :
					  sql_fail(s, sqlite3_extended_errcode(s->db));
	sql_reset(st);
	return rc;
}
