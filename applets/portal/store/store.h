/* applets/portal/store/store.h: where the portal's knowledge survives (spec 60 §1, §2, §5.1).
 *
 * The only place that knows SQL. One SQLite file in WAL mode, one connection, one owner; foreign keys are on and do the cascading.
 * A write happens inside a transaction, and everything that commits is remembered as a list of changes, cascaded deletions included,
 * which the owner drains after the commit: that list is what connected peers are told from. Killed at any instant, the file holds
 * every committed transaction and no part of another.
 *
 *	store_begin(s, STORE_DURABLE);
 *	rc = store_insert(s, KIND_SITE, &site);              ERR_EXISTS: a uniqueness rule, ERR_NOT_FOUND: a reference
 *	rc = rc ? store_rollback(s, rc) : store_commit(s);   both end the transaction and return what the caller shall return
 *	store_drain(s, each, ctx);
 *
 * ERR_IO means the disk refuses (full, read-only, broken): the transaction is undone, nothing acknowledged is lost, and
 * store_reason() says it in words. Times are microseconds since 1970.
 */
#pragma once

#include "applets/portal/model/entity.h"

struct store;

/* Opens or creates the file, brings its schema up to date. ERR_IO, ERR_UNSUPPORTED (made by a newer program), ERR_MALFORMED (not a
 * database of ours). `why` receives the reason, always. */
int store_open(struct store **out, const char *path, char *why, size_t why_size);
void store_close(struct store *s);

/* What the last failed call stumbled over, for the operator. */
const char *store_reason(const struct store *s);

/* DURABLE survives power loss (one sync per commit); EAGER survives a killed process, and costs no sync: for what devices redo by
 * themselves. */
enum store_durability { STORE_DURABLE, STORE_EAGER };

int store_begin(struct store *s, enum store_durability d) MUST_CHECK;
int store_commit(struct store *s) MUST_CHECK;
int store_rollback(struct store *s, int rc);

/* Times are set from `wall` (ns), ids by the caller. */
int store_insert(struct store *s, enum kind k, void *entity, u64 wall) MUST_CHECK;
int store_update(struct store *s, enum kind k, void *entity, u64 wall) MUST_CHECK;
int store_delete(struct store *s, enum kind k, const struct uuid *account, const struct uuid *id) MUST_CHECK;

/* Fills `out`, to be released by entity_deinit(). ERR_NOT_FOUND. */
int store_get(struct store *s, enum kind k, const struct uuid *account, const struct uuid *id, void *out) MUST_CHECK;

/* Calls for each row in order of (account, id); `entity` is lent for the call. `account` NULL = all accounts. A negative answer ends it
 * and is returned. */
typedef int (*store_each)(void *ctx, enum kind k, const void *entity);
int store_list(struct store *s, enum kind k, const struct uuid *account, store_each each, void *ctx);

/* The device row of (account, owner, external id): KIND_CLIENT, KIND_GATEWAY. */
int store_find_device(struct store *s, enum kind k, const struct uuid *account, const struct uuid *owner, const char *external_id,
		      void *out) MUST_CHECK;

/* Inserts the device and gives it its two tunnel addresses (spec 60 §2) in the running transaction. ERR_LIMIT: pool exhausted. */
int store_insert_device(struct store *s, enum kind k, struct device *d, u64 wall) MUST_CHECK;

/* Unexpired authorizations of a gateway; expired rows of anything. */
int store_gateway_authorizations(struct store *s, const struct uuid *account, const struct uuid *gateway, u64 wall, store_each each,
				 void *ctx);
int store_purge_expired(struct store *s, u64 wall) MUST_CHECK;

/* Rows that lose their right to exist by a change of something else (§5.2). */
enum store_revoke {
	REVOKE_AUTHORIZATIONS_OF_ACCOUNT,
	REVOKE_AUTHORIZATIONS_OF_POLICY,
	REVOKE_AUTHORIZATIONS_OF_RESOURCE,
	REVOKE_AUTHORIZATIONS_OF_CLIENT,
	REVOKE_TOKENS_OF_ACCOUNT, /* client tokens */
	REVOKE_TOKENS_OF_ACTOR,   /* client tokens */
	REVOKE_TOKENS_OF_SITE,    /* gateway tokens */
};
int store_revoke(struct store *s, enum store_revoke what, const struct uuid *account, const struct uuid *id) MUST_CHECK;

/* Rows counted against a limit (§11). */
enum store_count { COUNT_USERS, COUNT_SERVICE_ACCOUNTS, COUNT_SITES, COUNT_ADMINS, COUNT_ENABLED_ADMINS };
int store_count(struct store *s, enum store_count what, const struct uuid *account, i64 *out) MUST_CHECK;

/* One successful connect of a device (§1.8). All text lent. */
struct store_session {
	struct uuid account_id, device_id, token_id;
	bool is_gateway;
	i64 at;
	char public_key[PUBLIC_KEY_LEN + 1];
	char remote_ip[IP_STRLEN];
	char version[32];
	char user_agent[256];
	char region[8];
};
int store_insert_session(struct store *s, const struct store_session *session) MUST_CHECK;

/* The newest session of a client, for the address and region its conditions are judged by (§5.3). */
int store_latest_session(struct store *s, const struct uuid *account, const struct uuid *client, struct store_session *out) MUST_CHECK;

enum change_op { CHANGE_INSERT, CHANGE_UPDATE, CHANGE_DELETE };

struct change {
	enum kind kind;
	enum change_op op;
	struct uuid account_id, id;
	/* of a deleted authorization */
	struct uuid gateway_id, client_id, resource_id;
	i64 expires_at;
};

/* Hands over every change committed since the last call, oldest first, then forgets them. */
int store_drain(struct store *s, int (*each)(void *ctx, const struct change *c), void *ctx);

/* SELECT 1: is the file still answering (§6.2)? */
int store_ping(struct store *s) MUST_CHECK;
