/* applets/portal/store/statements.h: every statement that is not made from a field table, and the schema, in numbered steps.
 *
 * A migration that was released is never edited: add the next number. Ids are 16-byte blobs, times microseconds, enums by name.
 */
#pragma once

enum statement {
	ST_BEGIN,
	ST_COMMIT,
	ST_ROLLBACK,
	ST_PING,
	ST_READ,
	ST_ROW_COUNT,
	ST_CLIENT_BY_EXTERNAL_ID, /* completed with the columns of the kind */
	ST_GATEWAY_BY_EXTERNAL_ID,
	ST_GATEWAY_AUTHORIZATIONS,
	ST_MAX_IPV4,
	ST_MAX_IPV6,
	ST_TAKE_IPV4,
	ST_TAKE_IPV6,
	ST_REVOKE_TOKENS_OF_ISSUER,
	ST_REVOKE_SESSIONS_OF_ISSUER,
	ST_REINDEX_COUNT,
	ST_REINDEX_OLD,
	ST_REINDEX_NEW,
	ST_REINDEX_DONE,
	ST_REINDEX_MERGE,
	ST_SWEEP,
	ST_SWEEPS_FIRST,
	ST_SWEPT,
	ST_PURGE_AUTHORIZATIONS,
	ST_PURGE_CLIENT_TOKENS,
	ST_PURGE_API_TOKENS,
	ST_PURGE_PASSCODES,
	ST_PURGE_PORTAL_SESSIONS,
	ST_PURGE_LINKS,
	ST_PURGE_MAILS,
	ST_PURGE_CLIENT_SESSIONS,
	ST_PURGE_GATEWAY_SESSIONS,
	ST_PURGE_STATS,
	ST_PURGE_OLD_AUDIT,
	ST_PURGE_MANY_AUDIT,
	ST_COUNT_USERS,
	ST_COUNT_SERVICE_ACCOUNTS,
	ST_COUNT_SITES,
	ST_COUNT_ADMINS,
	ST_COUNT_ENABLED_ADMINS,
	ST_USAGE,
	ST_INSERT_CLIENT_SESSION,
	ST_INSERT_GATEWAY_SESSION,
	ST_LATEST_CLIENT_SESSION,
	ST_LATEST_GATEWAY_SESSION,
	ST_SEEN_CLIENT,
	ST_SEEN_GATEWAY,
	ST_SEEN_CLIENT_TOKEN,
	ST_SEEN_GATEWAY_TOKEN,
	ST_SEEN_PORTAL_SESSION,
	ST_SEEN_API_TOKEN,
	ST_STAT_ADD,
	ST_STATS,
	ST_CHANGES,
	ST_FORGET_CHANGES,
	ST_COUNT,
};

/* "%s" stands for the column list of the kind. */
extern const char *const statements[ST_COUNT];

#define SCHEMA_VERSION 6
extern const char *const migrations[SCHEMA_VERSION];

/* Connection-local: the list of changes. */
extern const char *const change_log_table;
extern const char *const change_log_trigger; /* kind, operation name, table, columns */
