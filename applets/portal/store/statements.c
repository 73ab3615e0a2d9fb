#include "applets/portal/store/statements.h"

/* Times are microseconds. */
#define DAYS(n) #n "*86400000000"
#define AUDIT_ROWS "100000" /* AUDIT_ROWS_MAX */
#define AUDIT_BATCH "20"    /* PURGE_SLICE, at a time: a hundred were 18 ms */

/* Sessions of more than 90 days but the newest of each device (spec 60 §1.8). */
#define PURGE_SESSIONS(device)                                                                                           \
	"DELETE FROM " device "_sessions WHERE seq IN(SELECT s.seq FROM " device "_sessions s WHERE s.inserted_at<=?1-"  \
	DAYS(90) " AND EXISTS(SELECT 1 FROM " device "_sessions n WHERE n.account_id=s.account_id AND n." device "_id=s." \
	device "_id AND n.seq>s.seq) LIMIT ?2)"
/* A slice of the rows that have outlived their time: ?1 is now, ?2 how many may go at once. */
#define PURGE(table, key, over) "DELETE FROM " table " WHERE (" key ") IN(SELECT " key " FROM " table " WHERE " over " LIMIT ?2)"
#define PURGE_EXPIRED(table) PURGE(table, "account_id,id", "expires_at<=?1")
#define LATEST_SESSION(device)                                                                                   \
	"SELECT token_id,inserted_at,public_key,user_agent,version,remote_ip,region,city,lat,lon FROM " device "_sessions"    \
	" WHERE account_id=?1 AND " device "_id=?2 ORDER BY seq DESC LIMIT 1"
#define SEEN(table) "UPDATE " table " SET last_seen_at=?3 WHERE account_id=?1 AND id=?2 AND coalesce(last_seen_at,0)<?3-?5"
#define ACTORS_OF(type) "(SELECT count(*) FROM actors WHERE account_id=?1 AND disabled_at IS NULL AND type " type ")"

const char *const statements[ST_COUNT] = {
	[ST_BEGIN] = "BEGIN IMMEDIATE",
	[ST_COMMIT] = "COMMIT",
	[ST_ROLLBACK] = "ROLLBACK",
	[ST_PING] = "SELECT 1 FROM accounts LIMIT 1",
	[ST_CLIENT_BY_EXTERNAL_ID] = "SELECT %s FROM clients t WHERE t.account_id=?1 AND t.actor_id=?2 AND t.external_id=?3",
	[ST_GATEWAY_BY_EXTERNAL_ID] = "SELECT %s FROM gateways t WHERE t.account_id=?1 AND t.site_id=?2 AND t.external_id=?3",
	[ST_GATEWAY_AUTHORIZATIONS] = "SELECT %s FROM policy_authorizations t"
				      " WHERE t.account_id=?1 AND t.gateway_id=?2 AND t.expires_at>?3 ORDER BY t.id",
	[ST_MAX_IPV4] = "SELECT max(address) FROM ipv4_addresses WHERE account_id=?1",
	[ST_MAX_IPV6] = "SELECT max(address) FROM ipv6_addresses WHERE account_id=?1",
	[ST_TAKE_IPV4] = "INSERT OR IGNORE INTO ipv4_addresses(account_id,address,client_id,gateway_id) VALUES(?1,?2,?3,?4)",
	[ST_TAKE_IPV6] = "INSERT OR IGNORE INTO ipv6_addresses(account_id,address,client_id,gateway_id) VALUES(?1,?2,?3,?4)",
	[ST_REVOKE_TOKENS_OF_ISSUER] = "DELETE FROM client_tokens WHERE account_id=?1 AND actor_id=?2 AND auth_provider_id IN"
				       " (SELECT id FROM auth_providers WHERE account_id=?1 AND issuer=?3)",
	[ST_REVOKE_SESSIONS_OF_ISSUER] = "DELETE FROM portal_sessions WHERE account_id=?1 AND actor_id=?2 AND auth_provider_id IN"
					 " (SELECT id FROM auth_providers WHERE account_id=?1 AND issuer=?3)",
	[ST_REINDEX_COUNT] = "SELECT count(*) FROM reindex",
	[ST_REINDEX_OLD] = "INSERT INTO search_text(search_text,rowid,body) SELECT 'delete',id,body FROM reindex WHERE body IS NOT NULL ORDER BY id",
	[ST_REINDEX_NEW] = "INSERT INTO search_text(rowid,body) SELECT id,s.body FROM reindex CROSS JOIN search s USING(id) ORDER BY id",
	[ST_REINDEX_DONE] = "DELETE FROM reindex",
	[ST_REINDEX_MERGE] = "INSERT INTO search_text(search_text,rank) VALUES('merge',?1)",
	/* revocations first: they shall not wait for an account that takes long to delete */
	[ST_SWEEP] = "SELECT * FROM sweeps ORDER BY column_name IN('id','search'),seq LIMIT 1",
	[ST_SWEEPS_FIRST] = "SELECT min(seq) FROM sweeps",
	[ST_SWEPT] = "DELETE FROM sweeps WHERE seq=?1",
	[ST_PURGE_AUTHORIZATIONS] = PURGE_EXPIRED("policy_authorizations"),
	[ST_PURGE_CLIENT_TOKENS] = PURGE_EXPIRED("client_tokens"),
	[ST_PURGE_API_TOKENS] = PURGE_EXPIRED("api_tokens"),
	[ST_PURGE_PASSCODES] = PURGE_EXPIRED("one_time_passcodes"),
	[ST_PURGE_PORTAL_SESSIONS] = PURGE_EXPIRED("portal_sessions"),
	[ST_PURGE_LINKS] = PURGE_EXPIRED("one_time_links"),
	[ST_PURGE_MAILS] = PURGE("outbound_emails", "account_id,id",
				 "(state='sent' AND updated_at<=?1-" DAYS(7) ") OR (state='failed' AND updated_at<=?1-" DAYS(30) ")"),
	[ST_PURGE_CLIENT_SESSIONS] = PURGE_SESSIONS("client"),
	[ST_PURGE_GATEWAY_SESSIONS] = PURGE_SESSIONS("gateway"),
	[ST_PURGE_STATS] = PURGE("stats_hourly", "account_id,name,at", "at<=?1-" DAYS(90)),
	[ST_PURGE_OLD_AUDIT] = "DELETE FROM change_logs WHERE seq IN(SELECT seq FROM change_logs ORDER BY seq LIMIT " AUDIT_BATCH ")"
			       " AND at<=?1-" DAYS(365),
	[ST_PURGE_MANY_AUDIT] = "DELETE FROM change_logs WHERE seq<min((SELECT max(seq) FROM change_logs)-" AUDIT_ROWS /* one bound: of two, all below the first are read */
				"+1,(SELECT min(seq) FROM change_logs)+" AUDIT_BATCH ")",
	[ST_COUNT_USERS] = "SELECT count(*) FROM actors WHERE account_id=?1 AND disabled_at IS NULL"
			   " AND type IN('account_user','account_admin_user')",
	[ST_COUNT_SERVICE_ACCOUNTS] = "SELECT count(*) FROM actors WHERE account_id=?1 AND disabled_at IS NULL AND type='service_account'",
	[ST_COUNT_SITES] = "SELECT count(*) FROM sites WHERE account_id=?1 AND managed_by='account'",
	[ST_COUNT_ADMINS] = "SELECT count(*) FROM actors WHERE account_id=?1 AND type='account_admin_user'",
	[ST_COUNT_ENABLED_ADMINS] = "SELECT count(*) FROM actors WHERE account_id=?1 AND type='account_admin_user' AND disabled_at IS NULL",
	[ST_USAGE] = "SELECT " ACTORS_OF("IN('account_user','account_admin_user')") "," ACTORS_OF("='account_admin_user'") ","
		     ACTORS_OF("='service_account'") "," ACTORS_OF("='api_client'") ","
		     "(SELECT count(*) FROM sites WHERE account_id=?1 AND managed_by='account'),"
		     "CASE WHEN limit_monthly_active_users IS NULL THEN 0 ELSE (SELECT count(DISTINCT c.actor_id) FROM clients c"
		     " JOIN actors u ON u.account_id=c.account_id AND u.id=c.actor_id WHERE c.account_id=?1 AND"
		     " c.last_seen_at>?2-" DAYS(30) " AND u.disabled_at IS NULL AND u.type IN('account_user','account_admin_user')) END"
		     " FROM accounts WHERE id=?1",
	[ST_INSERT_CLIENT_SESSION] =
		"INSERT INTO client_sessions(account_id,client_id,token_id,inserted_at,public_key,user_agent,version,remote_ip,region,city,lat,lon)"
		" VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12)",
	[ST_INSERT_GATEWAY_SESSION] =
		"INSERT INTO gateway_sessions(account_id,gateway_id,token_id,inserted_at,public_key,user_agent,version,remote_ip,region,city,lat,lon)"
		" VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12)",
	[ST_LATEST_CLIENT_SESSION] = LATEST_SESSION("client"),
	[ST_LATEST_GATEWAY_SESSION] = LATEST_SESSION("gateway"),
	[ST_SEEN_CLIENT] = SEEN("clients"),
	[ST_SEEN_GATEWAY] = SEEN("gateways"),
	[ST_SEEN_CLIENT_TOKEN] = SEEN("client_tokens"),
	[ST_SEEN_GATEWAY_TOKEN] = SEEN("gateway_tokens"),
	[ST_SEEN_PORTAL_SESSION] = SEEN("portal_sessions"),
	[ST_SEEN_API_TOKEN] = "UPDATE api_tokens SET last_seen_at=?3,last_seen_remote_ip=coalesce(?4,last_seen_remote_ip)"
			      " WHERE account_id=?1 AND id=?2 AND coalesce(last_seen_at,0)<?3-?5",
	[ST_STAT_ADD] = "INSERT INTO stats_hourly(account_id,name,at,value) VALUES(?1,?2,?3-?3%3600000000,?4)"
			" ON CONFLICT DO UPDATE SET value=min(value+excluded.value,4611686018427387904)" /* an overflow would make a float of it */,
	[ST_STATS] = "SELECT at,value FROM stats_hourly WHERE account_id=?1 AND name=?2 AND at>=?3 AND at<?4 ORDER BY at",
	[ST_ROW_COUNT] = "SELECT n FROM row_counts WHERE account_id=?1 AND kind=?2",
	[ST_READ] = "BEGIN",
	[ST_CHANGES] = "SELECT kind,op,account_id,id,gateway_id,client_id,resource_id,expires_at FROM change_log ORDER BY seq",
	[ST_FORGET_CHANGES] = "DELETE FROM change_log",
};

const char *const change_log_table =
	"CREATE TEMP TABLE change_log(seq INTEGER PRIMARY KEY, kind INTEGER, op INTEGER, account_id BLOB, id BLOB,"
	" gateway_id BLOB, client_id BLOB, resource_id BLOB, expires_at INTEGER)";

const char *const change_log_trigger =
	"CREATE TEMP TRIGGER change_%2$s_%4$d AFTER %1$s ON main.%2$s BEGIN"
	" INSERT INTO change_log(kind,op,account_id,id%5$s) VALUES(%3$d,%4$d,%6$s.account_id,%6$s.id%7$s); END";
