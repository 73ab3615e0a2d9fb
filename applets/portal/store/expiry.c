#include "applets/portal/store/store_int.h"

int store_purge_expired(struct store *s, u64 wall)
{
	i64 left = PURGE_SLICE;
	int rc = 0;

	s->wall = wall;
	for (int which = ST_PURGE_AUTHORIZATIONS; which <= ST_PURGE_MANY_AUDIT && !rc && left > 0; which++) {
		sqlite3_stmt *st;

		rc = sql_fixed(s, (enum statement)which, &st);
		if (rc)
			break;
		if (sqlite3_bind_parameter_count(st) > 0)
			sqlite3_bind_int64(st, 1, (i64)(wall / 1000));
		if (sqlite3_bind_parameter_count(st) > 1)
			sqlite3_bind_int64(st, 2, left);
		rc = sql_run(s, st);
		left -= rc ? 0 : sqlite3_changes64(s->db);
	}
	return rc ? rc : left <= 0;
}

int store_revoke(struct store *s, enum store_revoke what, const struct uuid *account, const struct uuid *id)
{
	static const struct {
		enum kind kind;
		const char *column;
	} of[] = {
		[REVOKE_AUTHORIZATIONS_OF_ACCOUNT] = { KIND_AUTHORIZATION, "account_id" },
		[REVOKE_AUTHORIZATIONS_OF_POLICY] = { KIND_AUTHORIZATION, "policy_id" },
		[REVOKE_AUTHORIZATIONS_OF_RESOURCE] = { KIND_AUTHORIZATION, "resource_id" },
		[REVOKE_AUTHORIZATIONS_OF_CLIENT] = { KIND_AUTHORIZATION, "client_id" },
		[REVOKE_TOKENS_OF_ACCOUNT] = { KIND_CLIENT_TOKEN, "account_id" },
		[REVOKE_TOKENS_OF_ACTOR] = { KIND_CLIENT_TOKEN, "actor_id" },
		[REVOKE_TOKENS_OF_SITE] = { KIND_GATEWAY_TOKEN, "site_id" },
		[REVOKE_TOKENS_OF_PROVIDER] = { KIND_CLIENT_TOKEN, "auth_provider_id" },
		[REVOKE_SESSIONS_OF_PROVIDER] = { KIND_PORTAL_SESSION, "auth_provider_id" },
		[REVOKE_SESSIONS_OF_ACTOR] = { KIND_PORTAL_SESSION, "actor_id" },
		[REVOKE_SESSIONS_OF_ACCOUNT] = { KIND_PORTAL_SESSION, "account_id" },
		[REVOKE_PASSCODES_OF_ACTOR] = { KIND_PASSCODE, "actor_id" },
		[REVOKE_API_TOKENS_OF_ACTOR] = { KIND_API_TOKEN, "actor_id" },
		[REVOKE_LINKS_OF_ACTOR] = { KIND_LINK, "actor_id" },
		[REVOKE_CREDENTIALS_OF_ACTOR] = { KIND_CREDENTIAL, "actor_id" },
	};

	return sweep_begin(s, kinds[of[what].kind].table, of[what].column, account, id ? id : account);
}

int store_revoke_issuer(struct store *s, const struct uuid *account, const struct uuid *actor, const char *issuer)
{
	int rc = 0;

	for (int which = ST_REVOKE_TOKENS_OF_ISSUER; which <= ST_REVOKE_SESSIONS_OF_ISSUER && !rc; which++) {
		sqlite3_stmt *st;

		rc = sql_fixed(s, (enum statement)which, &st);
		if (rc)
			break;
		sql_bind_uuid(st, 1, account);
		sql_bind_uuid(st, 2, actor);
		sql_bind_text(st, 3, issuer);
		rc = sql_run(s, st);
	}
	return rc;
}

int store_count(struct store *s, enum store_count what, const struct uuid *account, i64 *out)
{
	sqlite3_stmt *st;
	int rc = sql_fixed(s, (enum statement)(ST_COUNT_USERS + (int)what), &st);

	if (rc)
		return rc;
	sql_bind_uuid(st, 1, account);
	return sql_run_int(s, st, out);
}

int store_usage(struct store *s, const struct uuid *account, u64 wall, struct store_usage *out)
{
	sqlite3_stmt *st;
	int step, rc = sql_fixed(s, ST_USAGE, &st);

	if (rc)
		return rc;
	sql_bind_uuid(st, 1, account);
	sqlite3_bind_int64(st, 2, (i64)(wall / 1000));
	step = sqlite3_step(st);
	if (step == SQLITE_ROW)
		*out = (struct store_usage){
			.users = sqlite3_column_int64(st, 0),
			.admins = sqlite3_column_int64(st, 1),
			.service_accounts = sqlite3_column_int64(st, 2),
			.api_clients = sqlite3_column_int64(st, 3),
			.sites = sqlite3_column_int64(st, 4),
			.monthly_active_users = sqlite3_column_int64(st, 5),
		};
	else
		rc = step == SQLITE_DONE ? ERR_NOT_FOUND : sql_fail(s, sqlite3_extended_errcode(s->db));
	sql_reset(st);
	return rc;
}
