#include "applets/portal/store/statements.h"

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
	[ST_REVOKE_AUTHORIZATIONS_OF_ACCOUNT] = "DELETE FROM policy_authorizations WHERE account_id=?1",
	[ST_REVOKE_AUTHORIZATIONS_OF_POLICY] = "DELETE FROM policy_authorizations WHERE account_id=?1 AND policy_id=?2",
	[ST_REVOKE_AUTHORIZATIONS_OF_RESOURCE] = "DELETE FROM policy_authorizations WHERE account_id=?1 AND resource_id=?2",
	[ST_REVOKE_AUTHORIZATIONS_OF_CLIENT] = "DELETE FROM policy_authorizations WHERE account_id=?1 AND client_id=?2",
	[ST_REVOKE_TOKENS_OF_ACCOUNT] = "DELETE FROM client_tokens WHERE account_id=?1",
	[ST_REVOKE_TOKENS_OF_ACTOR] = "DELETE FROM client_tokens WHERE account_id=?1 AND actor_id=?2",
	[ST_REVOKE_TOKENS_OF_SITE] = "DELETE FROM gateway_tokens WHERE account_id=?1 AND site_id=?2",
	[ST_PURGE_AUTHORIZATIONS] = "DELETE FROM policy_authorizations WHERE expires_at<=?1",
	[ST_PURGE_CLIENT_TOKENS] = "DELETE FROM client_tokens WHERE expires_at<=?1",
	[ST_PURGE_CLIENT_SESSIONS] =
		"DELETE FROM client_sessions AS s WHERE inserted_at<=?1-7776000000000 AND EXISTS(SELECT 1 FROM client_sessions n"
		" WHERE n.account_id=s.account_id AND n.client_id=s.client_id AND n.seq>s.seq)",
	[ST_COUNT_USERS] = "SELECT count(*) FROM actors WHERE account_id=?1 AND disabled_at IS NULL"
			   " AND type IN('account_user','account_admin_user')",
	[ST_COUNT_SERVICE_ACCOUNTS] = "SELECT count(*) FROM actors WHERE account_id=?1 AND disabled_at IS NULL AND type='service_account'",
	[ST_COUNT_SITES] = "SELECT count(*) FROM sites WHERE account_id=?1 AND managed_by='account'",
	[ST_COUNT_ADMINS] = "SELECT count(*) FROM actors WHERE account_id=?1 AND type='account_admin_user'",
	[ST_COUNT_ENABLED_ADMINS] = "SELECT count(*) FROM actors WHERE account_id=?1 AND type='account_admin_user' AND disabled_at IS NULL",
	[ST_INSERT_CLIENT_SESSION] =
		"INSERT INTO client_sessions(account_id,client_id,token_id,inserted_at,public_key,user_agent,version,remote_ip,region)"
		" VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9)",
	[ST_INSERT_GATEWAY_SESSION] =
		"INSERT INTO gateway_sessions(account_id,gateway_id,token_id,inserted_at,public_key,user_agent,version,remote_ip,region)"
		" VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9)",
	[ST_LATEST_CLIENT_SESSION] = "SELECT token_id,inserted_at,public_key,user_agent,version,remote_ip,region FROM client_sessions"
				     " WHERE account_id=?1 AND client_id=?2 ORDER BY seq DESC LIMIT 1",
	[ST_CHANGES] = "SELECT kind,op,account_id,id,gateway_id,client_id,resource_id,expires_at FROM change_log ORDER BY seq",
	[ST_FORGET_CHANGES] = "DELETE FROM change_log",
};

#define ACCOUNT_REF "account_id BLOB NOT NULL REFERENCES accounts(id) ON DELETE CASCADE"
#define TIMES "inserted_at INTEGER NOT NULL, updated_at INTEGER NOT NULL"
#define ROW_KEY "PRIMARY KEY(account_id,id)"
#define OWNED(column, table) "FOREIGN KEY(account_id," column ") REFERENCES " table "(account_id,id) ON DELETE CASCADE"

#define DEVICE_ADDRESSES(table)                                                                                  \
	"CREATE TABLE " table "(" ACCOUNT_REF ", address INTEGER NOT NULL, client_id BLOB, gateway_id BLOB,"     \
	" CHECK((client_id IS NULL)<>(gateway_id IS NULL)), PRIMARY KEY(account_id,address),"                    \
	OWNED("client_id", "clients") "," OWNED("gateway_id", "gateways") ") WITHOUT ROWID;"                     \
	"CREATE UNIQUE INDEX " table "_client ON " table "(account_id,client_id) WHERE client_id IS NOT NULL;"   \
	"CREATE UNIQUE INDEX " table "_gateway ON " table "(account_id,gateway_id) WHERE gateway_id IS NOT NULL;"

#define DEVICE_SESSIONS(table, owner, owners, tokens)                                                            \
	"CREATE TABLE " table "(seq INTEGER PRIMARY KEY, " ACCOUNT_REF "," owner " BLOB NOT NULL, token_id BLOB NOT NULL," \
	" inserted_at INTEGER NOT NULL, public_key TEXT NOT NULL, user_agent TEXT, version TEXT, remote_ip TEXT, region TEXT," \
	OWNED(owner, owners) "," OWNED("token_id", tokens) ");"                                                  \
	"CREATE INDEX " table "_owner ON " table "(account_id," owner ",seq);"                                   \
	"CREATE INDEX " table "_token ON " table "(account_id,token_id);"

static const char schema_1[] =
	"CREATE TABLE accounts(id BLOB PRIMARY KEY NOT NULL, account_id BLOB NOT NULL CHECK(account_id=id), " TIMES ","
	" name TEXT NOT NULL, slug TEXT NOT NULL UNIQUE, key TEXT NOT NULL UNIQUE, disabled_at INTEGER, disabled_reason TEXT,"
	" search_domain TEXT, dns_type TEXT NOT NULL, doh_provider TEXT NOT NULL, dns_addresses TEXT,"
	" limit_users INTEGER, limit_service_accounts INTEGER, limit_sites INTEGER, limit_admins INTEGER) WITHOUT ROWID;"

	"CREATE TABLE actors(" ACCOUNT_REF ", id BLOB NOT NULL, " TIMES ", type TEXT NOT NULL, name TEXT NOT NULL,"
	" email TEXT COLLATE NOCASE, disabled_at INTEGER,"
	" CHECK((email IS NOT NULL)=(type IN('account_user','account_admin_user'))), " ROW_KEY ") WITHOUT ROWID;"
	"CREATE UNIQUE INDEX actors_email ON actors(account_id,email) WHERE email IS NOT NULL;"

	"CREATE TABLE groups(" ACCOUNT_REF ", id BLOB NOT NULL, " TIMES ", name TEXT NOT NULL, type TEXT NOT NULL,"
	" UNIQUE(account_id,name), " ROW_KEY ") WITHOUT ROWID;"

	"CREATE TABLE memberships(" ACCOUNT_REF ", id BLOB NOT NULL, " TIMES ", actor_id BLOB NOT NULL, group_id BLOB NOT NULL,"
	" UNIQUE(account_id,actor_id,group_id), " ROW_KEY "," OWNED("actor_id", "actors") "," OWNED("group_id", "groups")
	") WITHOUT ROWID;"
	"CREATE INDEX memberships_group ON memberships(account_id,group_id);"

	"CREATE TABLE sites(" ACCOUNT_REF ", id BLOB NOT NULL, " TIMES ", name TEXT NOT NULL, managed_by TEXT NOT NULL,"
	" UNIQUE(account_id,name,managed_by), " ROW_KEY ") WITHOUT ROWID;"

	"CREATE TABLE resources(" ACCOUNT_REF ", id BLOB NOT NULL, " TIMES ", site_id BLOB, type TEXT NOT NULL, name TEXT NOT NULL,"
	" address TEXT, address_description TEXT, ip_stack TEXT, filters TEXT,"
	" CHECK((address IS NULL)=(type='internet')), CHECK((ip_stack IS NOT NULL)=(type='dns')), " ROW_KEY ","
	OWNED("site_id", "sites") ") WITHOUT ROWID;"
	"CREATE INDEX resources_site ON resources(account_id,site_id);"
	"CREATE UNIQUE INDEX resources_internet ON resources(account_id) WHERE type='internet';"

	/* A group's deletion leaves the policy without one; SET NULL would null the account too. */
	"CREATE TABLE policies(" ACCOUNT_REF ", id BLOB NOT NULL, " TIMES ", group_id BLOB, resource_id BLOB NOT NULL,"
	" description TEXT, conditions TEXT, disabled_at INTEGER, UNIQUE(account_id,resource_id,group_id), " ROW_KEY ","
	" FOREIGN KEY(account_id,group_id) REFERENCES groups(account_id,id)," OWNED("resource_id", "resources") ") WITHOUT ROWID;"
	"CREATE INDEX policies_group ON policies(account_id,group_id);"
	"CREATE TRIGGER groups_leave_policies BEFORE DELETE ON groups BEGIN"
	" DELETE FROM policy_authorizations WHERE account_id=OLD.account_id AND policy_id IN"
	"  (SELECT id FROM policies WHERE account_id=OLD.account_id AND group_id=OLD.id);"
	" UPDATE policies SET group_id=NULL WHERE account_id=OLD.account_id AND group_id=OLD.id; END;"

	"CREATE TABLE clients(" ACCOUNT_REF ", id BLOB NOT NULL, " TIMES ", actor_id BLOB NOT NULL, external_id TEXT NOT NULL,"
	" name TEXT NOT NULL, psk_base BLOB NOT NULL, device_serial TEXT, device_uuid TEXT, identifier_for_vendor TEXT,"
	" firebase_installation_id TEXT, verified_at INTEGER, UNIQUE(account_id,actor_id,external_id), " ROW_KEY ","
	OWNED("actor_id", "actors") ") WITHOUT ROWID;"

	"CREATE TABLE gateways(" ACCOUNT_REF ", id BLOB NOT NULL, " TIMES ", site_id BLOB NOT NULL, external_id TEXT NOT NULL,"
	" name TEXT NOT NULL, psk_base BLOB NOT NULL, UNIQUE(account_id,site_id,external_id), " ROW_KEY ","
	OWNED("site_id", "sites") ") WITHOUT ROWID;"

	DEVICE_ADDRESSES("ipv4_addresses")
	DEVICE_ADDRESSES("ipv6_addresses")

	"CREATE TABLE client_tokens(" ACCOUNT_REF ", id BLOB NOT NULL, " TIMES ", actor_id BLOB NOT NULL, name TEXT,"
	" secret_salt TEXT NOT NULL, secret_hash TEXT NOT NULL, expires_at INTEGER NOT NULL, " ROW_KEY "," OWNED("actor_id", "actors")
	") WITHOUT ROWID;"
	"CREATE INDEX client_tokens_actor ON client_tokens(account_id,actor_id);"
	"CREATE INDEX client_tokens_expiry ON client_tokens(expires_at);"

	"CREATE TABLE gateway_tokens(" ACCOUNT_REF ", id BLOB NOT NULL, " TIMES ", site_id BLOB NOT NULL, name TEXT,"
	" secret_salt TEXT NOT NULL, secret_hash TEXT NOT NULL, " ROW_KEY "," OWNED("site_id", "sites") ") WITHOUT ROWID;"
	"CREATE INDEX gateway_tokens_site ON gateway_tokens(account_id,site_id);"

	"CREATE TABLE relay_tokens(account_id BLOB NOT NULL, id BLOB PRIMARY KEY NOT NULL, " TIMES ", name TEXT,"
	" secret_salt TEXT NOT NULL, secret_hash TEXT NOT NULL) WITHOUT ROWID;"

	DEVICE_SESSIONS("client_sessions", "client_id", "clients", "client_tokens")
	DEVICE_SESSIONS("gateway_sessions", "gateway_id", "gateways", "gateway_tokens")

	"CREATE TABLE policy_authorizations(" ACCOUNT_REF ", id BLOB NOT NULL, " TIMES ", policy_id BLOB NOT NULL,"
	" client_id BLOB NOT NULL, gateway_id BLOB NOT NULL, resource_id BLOB NOT NULL, token_id BLOB NOT NULL, membership_id BLOB,"
	" client_remote_ip TEXT, client_user_agent TEXT, gateway_remote_ip TEXT, expires_at INTEGER NOT NULL, " ROW_KEY ","
	OWNED("policy_id", "policies") "," OWNED("client_id", "clients") "," OWNED("gateway_id", "gateways") ","
	OWNED("resource_id", "resources") "," OWNED("token_id", "client_tokens") "," OWNED("membership_id", "memberships")
	") WITHOUT ROWID;"
	"CREATE INDEX authorizations_policy ON policy_authorizations(account_id,policy_id);"
	"CREATE INDEX authorizations_client ON policy_authorizations(account_id,client_id);"
	"CREATE INDEX authorizations_gateway ON policy_authorizations(account_id,gateway_id);"
	"CREATE INDEX authorizations_resource ON policy_authorizations(account_id,resource_id);"
	"CREATE INDEX authorizations_token ON policy_authorizations(account_id,token_id);"
	"CREATE INDEX authorizations_membership ON policy_authorizations(account_id,membership_id);"
	"CREATE INDEX authorizations_expiry ON policy_authorizations(expires_at);";

/* Device pools: resources without address and site. A CHECK cannot be changed, so the table is made anew; foreign keys are off meanwhile. */
static const char schema_2[] =
	"ALTER TABLE accounts ADD COLUMN client_to_client_at INTEGER;"

	"CREATE TABLE resources_2(" ACCOUNT_REF ", id BLOB NOT NULL, " TIMES ", site_id BLOB, type TEXT NOT NULL, name TEXT NOT NULL,"
	" address TEXT, address_description TEXT, ip_stack TEXT, filters TEXT,"
	" CHECK((address IS NULL)=(type IN('internet','static_device_pool'))), CHECK((site_id IS NULL)=(type='static_device_pool')),"
	" CHECK((ip_stack IS NOT NULL)=(type='dns')), " ROW_KEY "," OWNED("site_id", "sites") ") WITHOUT ROWID;"
	"INSERT INTO resources_2 SELECT account_id,id,inserted_at,updated_at,site_id,type,name,address,address_description,ip_stack,filters"
	" FROM resources;"
	"DROP TABLE resources;"
	"ALTER TABLE resources_2 RENAME TO resources;"
	"CREATE INDEX resources_site ON resources(account_id,site_id);"
	"CREATE UNIQUE INDEX resources_internet ON resources(account_id) WHERE type='internet';"

	"CREATE TABLE static_device_pool_members(" ACCOUNT_REF ", id BLOB NOT NULL, " TIMES ", resource_id BLOB NOT NULL,"
	" client_id BLOB NOT NULL, UNIQUE(account_id,resource_id,client_id), " ROW_KEY "," OWNED("resource_id", "resources") ","
	OWNED("client_id", "clients") ") WITHOUT ROWID;"
	"CREATE INDEX pool_members_client ON static_device_pool_members(account_id,client_id);";

const char *const migrations[SCHEMA_VERSION] = { schema_1, schema_2 };

const char *const change_log_table =
	"CREATE TEMP TABLE change_log(seq INTEGER PRIMARY KEY, kind INTEGER, op INTEGER, account_id BLOB, id BLOB,"
	" gateway_id BLOB, client_id BLOB, resource_id BLOB, expires_at INTEGER)";

const char *const change_log_trigger =
	"CREATE TEMP TRIGGER change_%2$s_%4$d AFTER %1$s ON main.%2$s BEGIN"
	" INSERT INTO change_log(kind,op,account_id,id%5$s) VALUES(%3$d,%4$d,%6$s.account_id,%6$s.id%7$s); END";
