#include "applets/portal/store/statements.h"

#include "applets/portal/model/entity.h"

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

/* Sign-in, synced directories, mail, audit and search. The tables that now refer to directories and providers are made anew. Accounts
 * made before have no provider: they get the two that need nothing, and their admins may use them. */
#define FLAG(column, value) column " INTEGER NOT NULL DEFAULT " value
#define PORTAL_ROW "account_id BLOB NOT NULL, id BLOB NOT NULL, " TIMES /* of an account, or of the portal itself */

static const char schema_3[] =
	"ALTER TABLE accounts ADD COLUMN legal_name TEXT;"
	"ALTER TABLE accounts ADD COLUMN limit_monthly_active_users INTEGER;"
	"ALTER TABLE accounts ADD COLUMN limit_api_clients INTEGER DEFAULT 100;"
	"ALTER TABLE accounts ADD COLUMN limit_api_tokens_per_client INTEGER DEFAULT 100;"
	"ALTER TABLE accounts ADD COLUMN api_refill_rate INTEGER;"
	"ALTER TABLE accounts ADD COLUMN api_capacity INTEGER;"
	"ALTER TABLE accounts ADD COLUMN " FLAG("policy_conditions", "1") ";"
	"ALTER TABLE accounts ADD COLUMN " FLAG("traffic_filters", "1") ";"
	"ALTER TABLE accounts ADD COLUMN " FLAG("idp_sync", "1") ";"
	"ALTER TABLE accounts ADD COLUMN " FLAG("rest_api", "1") ";"
	"ALTER TABLE accounts ADD COLUMN " FLAG("internet_resource", "1") ";"
	"ALTER TABLE accounts ADD COLUMN " FLAG("users_limit_exceeded", "0") ";"
	"ALTER TABLE accounts ADD COLUMN " FLAG("seats_limit_exceeded", "0") ";"
	"ALTER TABLE accounts ADD COLUMN " FLAG("service_accounts_limit_exceeded", "0") ";"
	"ALTER TABLE accounts ADD COLUMN " FLAG("sites_limit_exceeded", "0") ";"
	"ALTER TABLE accounts ADD COLUMN " FLAG("admins_limit_exceeded", "0") ";"
	"ALTER TABLE accounts ADD COLUMN " FLAG("notify_outdated_gateway", "1") ";"
	"ALTER TABLE accounts ADD COLUMN last_notified_at INTEGER;"

	"CREATE TABLE directories(" ACCOUNT_REF ", id BLOB NOT NULL, " TIMES ", type TEXT NOT NULL, name TEXT NOT NULL,"
	FLAG("is_verified", "0") ", disabled_at INTEGER, disabled_reason TEXT, synced_at INTEGER, errored_at INTEGER, error_message TEXT,"
	" error_email_count INTEGER NOT NULL DEFAULT 0, error_emailed_at INTEGER, domain TEXT, impersonation_email TEXT,"
	" group_sync_mode TEXT NOT NULL," FLAG("orgunit_sync_enabled", "0") ", service_account_key TEXT, tenant_id TEXT,"
	FLAG("sync_all_groups", "0") ", email_field TEXT NOT NULL, okta_domain TEXT, client_id TEXT, client_secret TEXT,"
	" private_key_jwk TEXT, kid TEXT, UNIQUE(account_id,name), " ROW_KEY ") WITHOUT ROWID;"
	"CREATE UNIQUE INDEX directories_domain ON directories(account_id,domain) WHERE domain IS NOT NULL;"
	"CREATE UNIQUE INDEX directories_tenant ON directories(account_id,tenant_id) WHERE tenant_id IS NOT NULL;"
	"CREATE UNIQUE INDEX directories_okta ON directories(account_id,okta_domain) WHERE okta_domain IS NOT NULL;"

	"CREATE TABLE auth_providers(" ACCOUNT_REF ", id BLOB NOT NULL, " TIMES ", type TEXT NOT NULL, name TEXT NOT NULL, issuer TEXT,"
	" context TEXT NOT NULL, client_session_lifetime_secs INTEGER NOT NULL, portal_session_lifetime_secs INTEGER NOT NULL,"
	" disabled_at INTEGER," FLAG("is_default", "0") "," FLAG("is_verified", "0") ", client_id TEXT, client_secret TEXT,"
	" discovery_document_uri TEXT, okta_domain TEXT, email_claim TEXT NOT NULL," FLAG("is_legacy", "0") "," ROW_KEY ") WITHOUT ROWID;"
	"CREATE UNIQUE INDEX auth_providers_single ON auth_providers(account_id,type) WHERE type IN('email_otp','userpass','google');"
	"CREATE UNIQUE INDEX auth_providers_issuer ON auth_providers(account_id,issuer) WHERE type='entra';"
	"CREATE UNIQUE INDEX auth_providers_client ON auth_providers(account_id,type,client_id) WHERE type IN('okta','oidc');"
	"CREATE UNIQUE INDEX auth_providers_name ON auth_providers(account_id,type,name) WHERE type IN('entra','okta','oidc');"
	"CREATE UNIQUE INDEX auth_providers_default ON auth_providers(account_id) WHERE is_default;"
	"INSERT INTO auth_providers(account_id,id,inserted_at,updated_at,type,name,issuer,context,client_session_lifetime_secs,"
	"  portal_session_lifetime_secs,is_verified,email_claim)"
	" SELECT a.id,randomblob(16),a.inserted_at,a.inserted_at,p.column1,p.column2,'" PROVIDER_ISSUER "','clients_and_portal',604800,28800,1,"
	" 'upn' FROM accounts a, (VALUES('email_otp','" PROVIDER_EMAIL_OTP_NAME "'),('userpass','" PROVIDER_USERPASS_NAME "')) p;"

	"CREATE TABLE actors_3(" ACCOUNT_REF ", id BLOB NOT NULL, " TIMES ", type TEXT NOT NULL, name TEXT NOT NULL,"
	" email TEXT COLLATE NOCASE, disabled_at INTEGER," FLAG("allow_email_otp_sign_in", "0") ", created_by_directory_id BLOB,"
	" last_synced_at INTEGER, CHECK((email IS NOT NULL)=(type IN('account_user','account_admin_user'))), " ROW_KEY ","
	OWNED("created_by_directory_id", "directories") ") WITHOUT ROWID;"
	"INSERT INTO actors_3(account_id,id,inserted_at,updated_at,type,name,email,disabled_at,allow_email_otp_sign_in)"
	" SELECT account_id,id,inserted_at,updated_at,type,name,email,disabled_at,type='account_admin_user' FROM actors;"
	"DROP TABLE actors;"
	"ALTER TABLE actors_3 RENAME TO actors;"
	"CREATE UNIQUE INDEX actors_email ON actors(account_id,email) WHERE email IS NOT NULL;"
	"CREATE INDEX actors_directory ON actors(account_id,created_by_directory_id) WHERE created_by_directory_id IS NOT NULL;"

	"CREATE TABLE groups_3(" ACCOUNT_REF ", id BLOB NOT NULL, " TIMES ", name TEXT NOT NULL, type TEXT NOT NULL,"
	" entity_type TEXT NOT NULL, idp_id TEXT, email TEXT, directory_id BLOB, last_synced_at INTEGER, " ROW_KEY ","
	OWNED("directory_id", "directories") ") WITHOUT ROWID;"
	"INSERT INTO groups_3(account_id,id,inserted_at,updated_at,name,type,entity_type)"
	" SELECT account_id,id,inserted_at,updated_at,name,type,'group' FROM groups;"
	"DROP TABLE groups;"
	"ALTER TABLE groups_3 RENAME TO groups;"
	"CREATE UNIQUE INDEX groups_unsynced ON groups(account_id,name) WHERE idp_id IS NULL;"
	"CREATE UNIQUE INDEX groups_synced ON groups(account_id,idp_id) WHERE idp_id IS NOT NULL;"
	"CREATE INDEX groups_directory ON groups(account_id,directory_id) WHERE directory_id IS NOT NULL;"

	"ALTER TABLE policies ADD COLUMN group_idp_id TEXT;"
	"CREATE INDEX policies_group_gone ON policies(account_id,group_idp_id) WHERE group_idp_id IS NOT NULL;"
	"CREATE TRIGGER groups_leave_policies BEFORE DELETE ON groups BEGIN"
	" DELETE FROM policy_authorizations WHERE account_id=OLD.account_id AND policy_id IN"
	"  (SELECT id FROM policies WHERE account_id=OLD.account_id AND group_id=OLD.id);"
	" UPDATE policies SET group_id=NULL,group_idp_id=OLD.idp_id WHERE account_id=OLD.account_id AND group_id=OLD.id; END;"

	"CREATE TABLE client_tokens_3(" ACCOUNT_REF ", id BLOB NOT NULL, " TIMES ", actor_id BLOB NOT NULL, name TEXT,"
	" secret_salt TEXT NOT NULL, secret_hash TEXT NOT NULL, expires_at INTEGER NOT NULL, auth_provider_id BLOB, last_seen_at INTEGER, "
	ROW_KEY "," OWNED("actor_id", "actors") "," OWNED("auth_provider_id", "auth_providers") ") WITHOUT ROWID;"
	"INSERT INTO client_tokens_3(account_id,id,inserted_at,updated_at,actor_id,name,secret_salt,secret_hash,expires_at)"
	" SELECT account_id,id,inserted_at,updated_at,actor_id,name,secret_salt,secret_hash,expires_at FROM client_tokens;"
	"DROP TABLE client_tokens;"
	"ALTER TABLE client_tokens_3 RENAME TO client_tokens;"
	"CREATE INDEX client_tokens_actor ON client_tokens(account_id,actor_id);"
	"CREATE INDEX client_tokens_provider ON client_tokens(account_id,auth_provider_id) WHERE auth_provider_id IS NOT NULL;"
	"CREATE INDEX client_tokens_expiry ON client_tokens(expires_at);"

	"ALTER TABLE gateway_tokens ADD COLUMN last_seen_at INTEGER;"
	"ALTER TABLE clients ADD COLUMN last_seen_at INTEGER;"
	"ALTER TABLE gateways ADD COLUMN last_seen_at INTEGER;"
	"CREATE INDEX client_sessions_age ON client_sessions(inserted_at);"
	"CREATE INDEX gateway_sessions_age ON gateway_sessions(inserted_at);"
	"UPDATE clients SET last_seen_at=(SELECT max(inserted_at) FROM client_sessions s"
	" WHERE s.account_id=clients.account_id AND s.client_id=clients.id);"
	"UPDATE gateways SET last_seen_at=(SELECT max(inserted_at) FROM gateway_sessions s"
	" WHERE s.account_id=gateways.account_id AND s.gateway_id=gateways.id);"

	"CREATE TABLE external_identities(" ACCOUNT_REF ", id BLOB NOT NULL, " TIMES ", actor_id BLOB NOT NULL, issuer TEXT NOT NULL,"
	" idp_id TEXT NOT NULL, email TEXT, name TEXT, given_name TEXT, family_name TEXT, middle_name TEXT, nickname TEXT,"
	" preferred_username TEXT, profile TEXT, picture TEXT, firezone_avatar_url TEXT, directory_id BLOB, last_synced_at INTEGER,"
	" UNIQUE(account_id,idp_id,issuer), " ROW_KEY "," OWNED("actor_id", "actors") "," OWNED("directory_id", "directories")
	") WITHOUT ROWID;"
	"CREATE INDEX external_identities_actor ON external_identities(account_id,actor_id);"
	"CREATE INDEX external_identities_directory ON external_identities(account_id,directory_id) WHERE directory_id IS NOT NULL;"

	"CREATE TABLE portal_sessions(" ACCOUNT_REF ", id BLOB NOT NULL, " TIMES ", actor_id BLOB NOT NULL, auth_provider_id BLOB,"
	" expires_at INTEGER NOT NULL, user_agent TEXT, remote_ip TEXT, region TEXT, last_seen_at INTEGER, " ROW_KEY ","
	OWNED("actor_id", "actors") "," OWNED("auth_provider_id", "auth_providers") ") WITHOUT ROWID;"
	"CREATE INDEX portal_sessions_actor ON portal_sessions(account_id,actor_id);"
	"CREATE INDEX portal_sessions_provider ON portal_sessions(account_id,auth_provider_id);"
	"CREATE INDEX portal_sessions_expiry ON portal_sessions(expires_at);"

	"CREATE TABLE api_tokens(" ACCOUNT_REF ", id BLOB NOT NULL, " TIMES ", actor_id BLOB NOT NULL, name TEXT,"
	" secret_salt TEXT NOT NULL, secret_hash TEXT NOT NULL, expires_at INTEGER NOT NULL, last_seen_at INTEGER, last_seen_remote_ip TEXT, "
	ROW_KEY "," OWNED("actor_id", "actors") ") WITHOUT ROWID;"
	"CREATE INDEX api_tokens_actor ON api_tokens(account_id,actor_id);"
	"CREATE INDEX api_tokens_expiry ON api_tokens(expires_at);"

	"CREATE TABLE one_time_passcodes(" ACCOUNT_REF ", id BLOB NOT NULL, " TIMES ", actor_id BLOB NOT NULL, code_hash TEXT NOT NULL,"
	" attempts INTEGER NOT NULL, expires_at INTEGER NOT NULL, " ROW_KEY "," OWNED("actor_id", "actors") ") WITHOUT ROWID;"
	"CREATE INDEX one_time_passcodes_actor ON one_time_passcodes(account_id,actor_id);"
	"CREATE INDEX one_time_passcodes_expiry ON one_time_passcodes(expires_at);"

	"CREATE TABLE credentials(" ACCOUNT_REF ", id BLOB NOT NULL, " TIMES ", actor_id BLOB NOT NULL, type TEXT NOT NULL, name TEXT,"
	" credential_id TEXT, public_key TEXT, sign_count INTEGER NOT NULL, hash TEXT, used_at INTEGER," FLAG("is_confirmed", "0") ","
	" CHECK((type='passkey')=(credential_id IS NOT NULL AND public_key IS NOT NULL)), CHECK((type='passkey')=(hash IS NULL)), "
	ROW_KEY "," OWNED("actor_id", "actors") ") WITHOUT ROWID;"
	"CREATE INDEX credentials_actor ON credentials(account_id,actor_id);"
	"CREATE UNIQUE INDEX credentials_passkey ON credentials(account_id,credential_id) WHERE credential_id IS NOT NULL;"
	"CREATE UNIQUE INDEX credentials_password ON credentials(account_id,actor_id) WHERE type='password';"

	"CREATE TABLE one_time_links(" PORTAL_ROW ", purpose TEXT NOT NULL, actor_id BLOB, secret_salt TEXT NOT NULL,"
	" secret_hash TEXT NOT NULL, expires_at INTEGER NOT NULL, used_at INTEGER, CHECK((purpose='setup')=(actor_id IS NULL)), " ROW_KEY ","
	OWNED("actor_id", "actors") ") WITHOUT ROWID;"
	"CREATE INDEX one_time_links_actor ON one_time_links(account_id,actor_id) WHERE actor_id IS NOT NULL;"
	"CREATE INDEX one_time_links_expiry ON one_time_links(expires_at);"

	"CREATE TABLE outbound_emails(" PORTAL_ROW ", recipient TEXT NOT NULL, subject TEXT NOT NULL, body_text TEXT, body_html TEXT,"
	" state TEXT NOT NULL, attempts INTEGER NOT NULL, next_attempt_at INTEGER, last_error TEXT, sent_at INTEGER,"
	" priority INTEGER NOT NULL, expires_at INTEGER, " ROW_KEY ") WITHOUT ROWID;"
	"CREATE INDEX outbound_emails_due ON outbound_emails(state,next_attempt_at);"
	"CREATE INDEX outbound_emails_inserted ON outbound_emails(account_id,inserted_at,id);"
	"CREATE TRIGGER accounts_leave_portal_rows AFTER DELETE ON accounts BEGIN"
	" DELETE FROM one_time_links WHERE account_id=OLD.id; DELETE FROM outbound_emails WHERE account_id=OLD.id;"
	" DELETE FROM search_spaces WHERE account_id=OLD.id; END;"

	/* what lists are sorted and paged by */
	"CREATE INDEX actors_of_type ON actors(account_id,type,disabled_at);"
	"CREATE INDEX actors_of_type_by_name ON actors(account_id,type,name COLLATE NOCASE,id);"
	"CREATE INDEX actors_disabled ON actors(account_id) WHERE disabled_at IS NOT NULL;"
	"CREATE INDEX clients_verified ON clients(account_id) WHERE verified_at IS NOT NULL;"
	"CREATE INDEX actors_by_name ON actors(account_id,name COLLATE NOCASE,id);"
	"CREATE INDEX actors_by_email ON actors(account_id,coalesce(email,''),id);"
	"CREATE INDEX actors_by_age ON actors(account_id,inserted_at,id);"
	"CREATE INDEX actors_by_change ON actors(account_id,updated_at,id);"
	"CREATE INDEX groups_by_name ON groups(account_id,name COLLATE NOCASE,id);"
	"CREATE INDEX groups_by_age ON groups(account_id,inserted_at,id);"
	"CREATE INDEX groups_by_change ON groups(account_id,updated_at,id);"
	"CREATE INDEX resources_by_name ON resources(account_id,name COLLATE NOCASE,id);"
	"CREATE INDEX resources_by_address ON resources(account_id,coalesce(address,''),id);"
	"CREATE INDEX resources_by_age ON resources(account_id,inserted_at,id);"
	"CREATE INDEX policies_by_age ON policies(account_id,inserted_at,id);"
	"CREATE INDEX clients_by_name ON clients(account_id,name COLLATE NOCASE,id);"
	"CREATE INDEX clients_by_age ON clients(account_id,inserted_at,id);"
	"CREATE INDEX clients_by_sight ON clients(account_id,coalesce(last_seen_at,0),id);"
	"CREATE INDEX gateways_by_name ON gateways(account_id,name COLLATE NOCASE,id);"
	"CREATE INDEX gateways_by_age ON gateways(account_id,inserted_at,id);"
	"CREATE INDEX gateways_by_sight ON gateways(account_id,coalesce(last_seen_at,0),id);"
	"CREATE INDEX client_tokens_by_age ON client_tokens(account_id,inserted_at,id);"
	"CREATE INDEX memberships_by_age ON memberships(account_id,inserted_at,id);"
	"CREATE INDEX external_identities_by_age ON external_identities(account_id,inserted_at,id);"
	"CREATE INDEX authorizations_by_age ON policy_authorizations(account_id,inserted_at,id);"
	"DROP INDEX authorizations_policy; DROP INDEX authorizations_client; DROP INDEX authorizations_gateway;"
	"DROP INDEX authorizations_resource;"
	"CREATE INDEX authorizations_policy ON policy_authorizations(account_id,policy_id,inserted_at);"
	"CREATE INDEX authorizations_client ON policy_authorizations(account_id,client_id,inserted_at);"
	"CREATE INDEX authorizations_gateway ON policy_authorizations(account_id,gateway_id,inserted_at);"
	"CREATE INDEX authorizations_resource ON policy_authorizations(account_id,resource_id,inserted_at);"

	/* Who changed what. No reference: it outlives what it tells of. */
	"CREATE TABLE change_logs(seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, account_id BLOB NOT NULL, kind TEXT NOT NULL,"
	" id BLOB NOT NULL, op TEXT NOT NULL, name TEXT, old TEXT, new TEXT, principal TEXT NOT NULL, actor_id BLOB, actor_name TEXT,"
	" actor_email TEXT, remote_ip TEXT, user_agent TEXT, folded TEXT NOT NULL);"
	"CREATE INDEX change_logs_account ON change_logs(account_id,seq);"
	"CREATE INDEX change_logs_thing ON change_logs(account_id,id,seq);"
	"CREATE INDEX change_logs_kind ON change_logs(account_id,kind,seq);"
	"CREATE INDEX change_logs_op ON change_logs(account_id,op,seq);"
	"CREATE INDEX change_logs_actor ON change_logs(account_id,actor_id,seq);"

	/* Folded text of what people look for. The upper half of search.id is a space (one kind of one account), so that a space is a range. */
	"CREATE TABLE search_spaces(no INTEGER PRIMARY KEY, account_id BLOB NOT NULL, kind TEXT NOT NULL, UNIQUE(account_id,kind));"
	"CREATE TABLE search(id INTEGER PRIMARY KEY, account_id BLOB NOT NULL, entity_id BLOB NOT NULL, title TEXT NOT NULL, detail TEXT,"
	" body TEXT NOT NULL);"
	"CREATE UNIQUE INDEX search_entity ON search(account_id,entity_id);"
	"CREATE VIRTUAL TABLE search_text USING fts5(body, content='search', content_rowid='id',"
	" tokenize='trigram case_sensitive 1');"
	"CREATE TABLE facts(name TEXT PRIMARY KEY NOT NULL, value INTEGER NOT NULL) WITHOUT ROWID;"

	"CREATE TABLE stats_hourly(account_id BLOB NOT NULL REFERENCES accounts(id) ON DELETE CASCADE, name TEXT NOT NULL, at INTEGER NOT NULL,"
	" value INTEGER NOT NULL, PRIMARY KEY(account_id,name,at)) WITHOUT ROWID;"
	"CREATE INDEX stats_hourly_at ON stats_hourly(at);";

/* When admins were last warned of limits (spec 60 §11). */
static const char schema_4[] = "ALTER TABLE accounts ADD COLUMN limits_notified_at INTEGER;";

/* Where a session came from, below its country (spec 60 §1.8). */
#define WHEREABOUTS(table) "ALTER TABLE " table " ADD COLUMN city TEXT; ALTER TABLE " table " ADD COLUMN lat REAL; ALTER TABLE " table " ADD COLUMN lon REAL;"
static const char schema_5[] =
	WHEREABOUTS("client_sessions") WHEREABOUTS("gateway_sessions")
	"ALTER TABLE portal_sessions ADD COLUMN city TEXT; ALTER TABLE portal_sessions ADD COLUMN coordinates TEXT;";

/* What is being deleted, in slices (sweep.c), and who wants it. */
static const char schema_6[] =
	"CREATE TABLE sweeps(seq INTEGER PRIMARY KEY, account_id BLOB NOT NULL, table_name TEXT NOT NULL, column_name TEXT NOT NULL, id BLOB NOT NULL,"
	" until INTEGER, principal TEXT NOT NULL, actor_id BLOB, actor_name TEXT, actor_email TEXT, remote_ip TEXT, user_agent TEXT);";

const char *const migrations[SCHEMA_VERSION] = { schema_1, schema_2, schema_3, schema_4, schema_5, schema_6 };
