/* What hangs on a thing: counts, dependents, recent connections (store.h). */
#include "applets/portal/store/store_int.h"

#include <stdio.h>

/* ---- counts ------------------------------------------------------------------------------------------------------------------------- */

/* From which rows, and which column is the parent. */
static const struct {
	const char *from, *parent;
} tallies[TALLY_COUNT] = {
	[TALLY_RESOURCES_OF_SITE] = { "resources t", "t.site_id" },
	[TALLY_POLICIES_OF_SITE] = { "policies t JOIN resources r ON r.account_id=t.account_id AND r.id=t.resource_id", "r.site_id" },
	[TALLY_GATEWAYS_OF_SITE] = { "gateways t", "t.site_id" },
	[TALLY_TOKENS_OF_SITE] = { "gateway_tokens t", "t.site_id" },
	[TALLY_POLICIES_OF_RESOURCE] = { "policies t", "t.resource_id" },
	[TALLY_POLICIES_OF_GROUP] = { "policies t", "t.group_id" },
	[TALLY_MEMBERS_OF_GROUP] = { "memberships t", "t.group_id" },
	[TALLY_GROUPS_OF_ACTOR] = { "memberships t", "t.actor_id" },
	[TALLY_CLIENTS_OF_ACTOR] = { "clients t", "t.actor_id" },
	[TALLY_IDENTITIES_OF_ACTOR] = { "external_identities t", "t.actor_id" },
	[TALLY_CLIENT_TOKENS_OF_ACTOR] = { "client_tokens t", "t.actor_id" },
	[TALLY_API_TOKENS_OF_ACTOR] = { "api_tokens t", "t.actor_id" },
	[TALLY_SESSIONS_OF_ACTOR] = { "portal_sessions t", "t.actor_id" },
	[TALLY_TOKENS_OF_PROVIDER] = { "client_tokens t", "t.auth_provider_id" },
	[TALLY_SESSIONS_OF_PROVIDER] = { "portal_sessions t", "t.auth_provider_id" },
	[TALLY_ACTORS_OF_DIRECTORY] = { "actors t", "t.created_by_directory_id" },
	[TALLY_GROUPS_OF_DIRECTORY] = { "groups t", "t.directory_id" },
	[TALLY_IDENTITIES_OF_DIRECTORY] = { "external_identities t", "t.directory_id" },
};

int store_tally(struct store *s, enum store_tally what, const struct uuid *account,
		int (*each)(void *ctx, const struct uuid *parent, i64 n), void *ctx)
{
	char sql[320];
	sqlite3_stmt *st;
	int step, rc;

	snprintf(sql, sizeof(sql), "SELECT %1$s,count(*) FROM %2$s WHERE t.account_id=?1 AND %1$s IS NOT NULL GROUP BY %1$s",
		 tallies[what].parent, tallies[what].from);
	rc = sql_cached(s, sql, &st);
	if (rc)
		return rc;
	sql_bind_uuid(st, 1, account);
	while (!rc && (step = sqlite3_step(st)) != SQLITE_DONE) {
		struct uuid parent;

		if (step != SQLITE_ROW) {
			rc = sql_fail(s, sqlite3_extended_errcode(s->db));
			break;
		}
		sql_read_uuid(st, 0, &parent);
		rc = each(ctx, &parent, sqlite3_column_int64(st, 1));
	}
	sql_reset(st);
	return rc;
}

int store_tally_of(struct store *s, enum store_tally what, const struct uuid *account, const struct uuid *parent, i64 *out)
{
	char sql[320];
	sqlite3_stmt *st;
	int rc;

	snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s WHERE t.account_id=?1 AND %s=?2", tallies[what].from, tallies[what].parent);
	rc = sql_cached(s, sql, &st);
	if (rc)
		return rc;
	sql_bind_uuid(st, 1, account);
	sql_bind_uuid(st, 2, parent);
	return sql_run_int(s, st, out);
}

/* ---- dependents --------------------------------------------------------------------------------------------------------------------- */

#define OF_SITE " WHERE r.account_id=?1 AND r.site_id=?2"
#define OF_ACTOR "(SELECT c.id FROM clients c WHERE c.account_id=?1 AND c.actor_id=?2)"

static const struct {
	enum kind kind, dependent;
	const char *from; /* rows d */
} dependents[] = {
	{ KIND_SITE, KIND_GATEWAY, "gateways d WHERE d.account_id=?1 AND d.site_id=?2" },
	{ KIND_SITE, KIND_GATEWAY_TOKEN, "gateway_tokens d WHERE d.account_id=?1 AND d.site_id=?2" },
	{ KIND_SITE, KIND_RESOURCE, "resources d WHERE d.account_id=?1 AND d.site_id=?2" },
	{ KIND_SITE, KIND_POLICY, "resources r CROSS JOIN policies d ON d.account_id=?1 AND d.resource_id=r.id" OF_SITE },
	{ KIND_SITE, KIND_AUTHORIZATION, "resources r CROSS JOIN policy_authorizations d ON d.account_id=?1 AND d.resource_id=r.id" OF_SITE },
	{ KIND_RESOURCE, KIND_POLICY, "policies d WHERE d.account_id=?1 AND d.resource_id=?2" },
	{ KIND_RESOURCE, KIND_POOL_MEMBER, "static_device_pool_members d WHERE d.account_id=?1 AND d.resource_id=?2" },
	{ KIND_RESOURCE, KIND_AUTHORIZATION, "policy_authorizations d WHERE d.account_id=?1 AND d.resource_id=?2" },
	{ KIND_POLICY, KIND_AUTHORIZATION, "policy_authorizations d WHERE d.account_id=?1 AND d.policy_id=?2" },
	{ KIND_GROUP, KIND_MEMBERSHIP, "memberships d WHERE d.account_id=?1 AND d.group_id=?2" },
	{ KIND_GROUP, KIND_POLICY, "policies d WHERE d.account_id=?1 AND d.group_id=?2" },
	{ KIND_GROUP, KIND_AUTHORIZATION, "policy_authorizations d WHERE d.account_id=?1 AND d.policy_id IN"
	  "(SELECT p.id FROM policies p WHERE p.account_id=?1 AND p.group_id=?2)" },
	{ KIND_ACTOR, KIND_CLIENT, "clients d WHERE d.account_id=?1 AND d.actor_id=?2" },
	{ KIND_ACTOR, KIND_MEMBERSHIP, "memberships d WHERE d.account_id=?1 AND d.actor_id=?2" },
	{ KIND_ACTOR, KIND_IDENTITY, "external_identities d WHERE d.account_id=?1 AND d.actor_id=?2" },
	{ KIND_ACTOR, KIND_CREDENTIAL, "credentials d WHERE d.account_id=?1 AND d.actor_id=?2" },
	{ KIND_ACTOR, KIND_CLIENT_TOKEN, "client_tokens d WHERE d.account_id=?1 AND d.actor_id=?2" },
	{ KIND_ACTOR, KIND_API_TOKEN, "api_tokens d WHERE d.account_id=?1 AND d.actor_id=?2" },
	{ KIND_ACTOR, KIND_PORTAL_SESSION, "portal_sessions d WHERE d.account_id=?1 AND d.actor_id=?2" },
	{ KIND_ACTOR, KIND_AUTHORIZATION, "policy_authorizations d WHERE d.account_id=?1 AND d.client_id IN" OF_ACTOR },
	{ KIND_CLIENT, KIND_POOL_MEMBER, "static_device_pool_members d WHERE d.account_id=?1 AND d.client_id=?2" },
	{ KIND_CLIENT, KIND_AUTHORIZATION, "policy_authorizations d WHERE d.account_id=?1 AND d.client_id=?2" },
	{ KIND_GATEWAY, KIND_AUTHORIZATION, "policy_authorizations d WHERE d.account_id=?1 AND d.gateway_id=?2" },
	{ KIND_CLIENT_TOKEN, KIND_AUTHORIZATION, "policy_authorizations d WHERE d.account_id=?1 AND d.token_id=?2" },
	{ KIND_AUTH_PROVIDER, KIND_CLIENT_TOKEN, "client_tokens d WHERE d.account_id=?1 AND d.auth_provider_id=?2" },
	{ KIND_AUTH_PROVIDER, KIND_PORTAL_SESSION, "portal_sessions d WHERE d.account_id=?1 AND d.auth_provider_id=?2" },
	{ KIND_DIRECTORY, KIND_ACTOR, "actors d WHERE d.account_id=?1 AND d.created_by_directory_id=?2" },
	{ KIND_DIRECTORY, KIND_GROUP, "groups d WHERE d.account_id=?1 AND d.directory_id=?2" },
	{ KIND_DIRECTORY, KIND_IDENTITY, "external_identities d WHERE d.account_id=?1 AND d.directory_id=?2" },
};

int store_dependents(struct store *s, enum kind k, const struct uuid *account, const struct uuid *id,
		     struct store_dependent out[static STORE_DEPENDENTS_MAX], u32 *n)
{
	int rc = 0;

	*n = 0;
	for (size_t i = 0; i < ARRAY_LEN(dependents) && !rc; i++) {
		char sql[320];
		sqlite3_stmt *st;
		i64 count;

		if (dependents[i].kind != k)
			continue;
		snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", dependents[i].from);
		rc = sql_cached(s, sql, &st);
		if (rc)
			break;
		sql_bind_uuid(st, 1, account);
		sql_bind_uuid(st, 2, id);
		rc = sql_run_int(s, st, &count);
		if (!rc && count > 0 && *n < STORE_DEPENDENTS_MAX)
			out[(*n)++] = (struct store_dependent){ .kind = dependents[i].dependent, .count = count };
	}
	return rc;
}

/* ---- connections ---------------------------------------------------------------------------------------------------------------------- */

#define CONNECTIONS_MAX 1000

/* The authorizations first, by an index and no more than are wanted; then the names. */
#define CONNECTIONS \
	"SELECT t.id,t.policy_id,t.resource_id,t.client_id,c.actor_id,t.gateway_id,g.site_id,p.group_id,t.inserted_at,t.expires_at," \
	"r.name,c.name,a.name,a.email,g.name,s.name,gr.name,p.description,t.client_remote_ip,t.client_user_agent,t.gateway_remote_ip" \
	" FROM (SELECT * FROM policy_authorizations x WHERE x.account_id=?1%s ORDER BY x.inserted_at DESC,x.id DESC LIMIT ?3) t" \
	" JOIN policies p ON p.account_id=t.account_id AND p.id=t.policy_id" \
	" JOIN resources r ON r.account_id=t.account_id AND r.id=t.resource_id" \
	" JOIN clients c ON c.account_id=t.account_id AND c.id=t.client_id" \
	" JOIN actors a ON a.account_id=c.account_id AND a.id=c.actor_id" \
	" JOIN gateways g ON g.account_id=t.account_id AND g.id=t.gateway_id" \
	" JOIN sites s ON s.account_id=g.account_id AND s.id=g.site_id" \
	" LEFT JOIN groups gr ON gr.account_id=p.account_id AND gr.id=p.group_id" \
	" ORDER BY t.inserted_at DESC,t.id DESC"

static const char *condition_of(enum kind k)
{
	switch ((int)k) {
	case KIND_RESOURCE:
		return " AND x.resource_id=?2";
	case KIND_POLICY:
		return " AND x.policy_id=?2";
	case KIND_CLIENT:
		return " AND x.client_id=?2";
	case KIND_GATEWAY:
		return " AND x.gateway_id=?2";
	case KIND_ACTOR:
		return " AND x.client_id IN" OF_ACTOR;
	case KIND_GROUP:
		return " AND x.policy_id IN(SELECT p.id FROM policies p WHERE p.account_id=?1 AND p.group_id=?2)";
	}
	return NULL;
}

static const char *text_or_empty(sqlite3_stmt *st, int i)
{
	const char *text = (const char *)sqlite3_column_text(st, i);

	return text ? text : "";
}

static void read_connection(sqlite3_stmt *st, struct store_connection *c)
{
	struct uuid *const ids[] = { &c->id, &c->policy_id, &c->resource_id, &c->client_id, &c->actor_id, &c->gateway_id, &c->site_id,
				     &c->group_id };
	const char **const texts[] = { &c->resource_name, &c->client_name, &c->actor_name, &c->actor_email, &c->gateway_name, &c->site_name,
				       &c->group_name, &c->policy_description, &c->client_remote_ip, &c->client_user_agent,
				       &c->gateway_remote_ip };

	for (int i = 0; i < 8; i++)
		sql_read_uuid(st, i, ids[i]);
	c->at = sqlite3_column_int64(st, 8);
	c->expires_at = sqlite3_column_int64(st, 9);
	for (int i = 0; i < 11; i++)
		*texts[i] = text_or_empty(st, 10 + i);
}

static int connections(struct store *s, const char *condition, const struct uuid *account, const struct uuid *id, u32 limit,
		       int (*each)(void *ctx, const struct store_connection *c), void *ctx)
{
	struct strbuf b = { 0 };
	sqlite3_stmt *st;
	int step, rc;

	strbuf_printf(&b, CONNECTIONS, condition);
	rc = strbuf_ok(&b) ? sql_cached(s, strbuf_text(&b), &st) : ERR_NOMEM;
	strbuf_free(&b);
	if (rc)
		return rc;
	sql_bind_uuid(st, 1, account);
	if (id)
		sql_bind_uuid(st, 2, id);
	sqlite3_bind_int64(st, 3, MIN(limit, (u32)CONNECTIONS_MAX));
	while (!rc && (step = sqlite3_step(st)) != SQLITE_DONE) {
		struct store_connection c;

		if (step != SQLITE_ROW) {
			rc = sql_fail(s, sqlite3_extended_errcode(s->db));
			break;
		}
		read_connection(st, &c);
		rc = each(ctx, &c);
	}
	sql_reset(st);
	return rc;
}

int store_connections(struct store *s, enum kind of, const struct uuid *account, const struct uuid *id, u32 limit,
		      int (*each)(void *ctx, const struct store_connection *c), void *ctx)
{
	const char *condition = condition_of(of);

	if (condition)
		return connections(s, condition, account, id, limit, each, ctx);
	snprintf(s->reason, sizeof(s->reason), "a %s has no connections", kinds[of].name);
	return ERR_INVAL;
}

int store_all_connections(struct store *s, const struct uuid *account, u32 limit,
			  int (*each)(void *ctx, const struct store_connection *c), void *ctx)
{
	return connections(s, "", account, NULL, limit, each, ctx);
}
