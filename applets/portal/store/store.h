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
#include "applets/portal/model/geo.h"
#include "applets/portal/model/ids.h"
#include "applets/portal/model/principal.h"

struct loop;
struct store;

/* Opens or creates the file, brings its schema up to date. ERR_IO, ERR_UNSUPPORTED (made by a newer program), ERR_MALFORMED (not a
 * database of ours). `why` receives the reason, always. */
int store_open(struct store **out, const char *path, char *why, size_t why_size);
void store_close(struct store *s);

/* What the last failed call stumbled over, for the operator. */
const char *store_reason(const struct store *s);

/* What has committed and settled: DURABLE survives power loss, EAGER a killed process; it costs no sync: for what devices redo by themselves. */
enum store_durability { STORE_DURABLE, STORE_EAGER };

/* From here on a commit waits for no disk; a thread does (behind.h). What is answered because of a commit must wait for the ticket of after it.
 * What peers are told of it and what is mailed need not: after a power cut peers ask anew, and so does who has a link of which nothing is known.
 *
 *	store_commit(s); … answer ready, t = store_ticket(s) ──t is 0──▶ send
 *	                                                     └──else──▶ keep ──settled(ctx, >= t)──▶ send
 *
 * Tickets grow. `settled` comes from the loop, also when trouble (below) began. Until store_close(), which waits for the disk, no other process can
 * read the file. ERR_UNSUPPORTED: there is none, it is in memory. */
int store_defer(struct store *s, struct loop *loop, void (*settled)(void *ctx, u64 ticket), void *ctx) MUST_CHECK;
u64 store_ticket(const struct store *s);
/* The disk is far behind: who can wait should, until `settled` is called, before the store makes him. */
bool store_is_far_behind(const struct store *s);
/* The disk took a write and lost it: nothing settles any more, only opening the file anew tells what is in it. */
bool store_is_lost(const struct store *s);
struct store_disk {
	u64 syncs, waits; /* done by the thread; how often it was so far behind that a commit waited for it */
};
struct store_disk store_disk(const struct store *s);

int store_begin(struct store *s, enum store_durability d) MUST_CHECK;
int store_commit(struct store *s) MUST_CHECK;
int store_rollback(struct store *s, int rc);
/* Between begin and its end. */
bool store_is_writing(const struct store *s);

/* Reads from here to the end see one state and lock the file once, not each. Beginning a transaction ends it too; inside of one, or twice, it does
 * nothing. It must end before the loop goes on: the log cannot be trimmed behind it. */
void store_read_begin(struct store *s);
void store_read_end(struct store *s);

/* Who does what the next transaction does, for the audit trail; forgotten when it ends. Without it, it was the system.
 * `wall` (ns) is when: what is deleted has no other clock. */
void store_set_principal(struct store *s, const struct principal *p, u64 wall);

/* Times are set from `wall` (ns), ids by the caller. */
int store_insert(struct store *s, enum kind k, void *entity, u64 wall) MUST_CHECK;
int store_update(struct store *s, enum kind k, void *entity, u64 wall) MUST_CHECK;
int store_delete(struct store *s, enum kind k, const struct uuid *account, const struct uuid *id) MUST_CHECK;

/* From store_defer() on a deletion or revocation that takes many rows with it begins in its transaction and goes on in others, some milliseconds each,
 * so that nobody waits for it, revocations before deletions; an actor who goes so can do nothing meanwhile. After the commit it will be done, though the
 * power fails. Who tells of it
 * waits until store_swept() has reached what store_sweeps() was after the commit. */
u64 store_sweeps(const struct store *s);
u64 store_swept(const struct store *s);
/* A slice, a transaction of its own; while store_swept() < store_sweeps(). 1: call again; 0: that was all. When one is done `settled` is called. */
int store_sweep(struct store *s, u64 wall) MUST_CHECK;

/* Fills `out`, to be released by entity_deinit(). ERR_NOT_FOUND. */
int store_get(struct store *s, enum kind k, const struct uuid *account, const struct uuid *id, void *out) MUST_CHECK;

/* Calls for each row in order of (account, id); `entity` is lent for the call. `account` NULL = all accounts. A negative answer ends it
 * and is returned. */
typedef int (*store_each)(void *ctx, enum kind k, const void *entity);
int store_list(struct store *s, enum kind k, const struct uuid *account, store_each each, void *ctx);
/* The same behind an id; `account` NULL only for accounts themselves and what is of no account. */
int store_list_after(struct store *s, enum kind k, const struct uuid *account, const struct uuid *after, store_each each, void *ctx);

/* The device row of (account, owner, external id): KIND_CLIENT, KIND_GATEWAY. */
int store_find_device(struct store *s, enum kind k, const struct uuid *account, const struct uuid *owner, const char *external_id,
		      void *out) MUST_CHECK;

/* Inserts the device and gives it its two tunnel addresses (spec 60 §2) in the running transaction. ERR_LIMIT: pool exhausted. */
int store_insert_device(struct store *s, enum kind k, struct device *d, u64 wall) MUST_CHECK;

/* Unexpired authorizations of a gateway. */
int store_gateway_authorizations(struct store *s, const struct uuid *account, const struct uuid *gateway, u64 wall, store_each each,
				 void *ctx);

/* Deletes rows that are over, PURGE_SLICE at most, so that nobody waits for it. 1: there may be more, call again soon; 0: that was all. */
#define PURGE_SLICE 20 /* some 1 ms of authorizations or tokens on one core of a small server, 5 ms at worst */
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
	REVOKE_TOKENS_OF_PROVIDER,	/* client tokens */
	REVOKE_SESSIONS_OF_PROVIDER, /* portal sessions, here and below */
	REVOKE_SESSIONS_OF_ACTOR,
	REVOKE_SESSIONS_OF_ACCOUNT,
	REVOKE_PASSCODES_OF_ACTOR,
	REVOKE_API_TOKENS_OF_ACTOR,
	REVOKE_LINKS_OF_ACTOR,
	REVOKE_CREDENTIALS_OF_ACTOR,
};
int store_revoke(struct store *s, enum store_revoke what, const struct uuid *account, const struct uuid *id) MUST_CHECK;

/* Client tokens and portal sessions that an actor got through providers of that issuer (§3.11: an identity was deleted). */
int store_revoke_issuer(struct store *s, const struct uuid *account, const struct uuid *actor, const char *issuer) MUST_CHECK;

/* Rows counted against limits (§11). */
enum store_count { COUNT_USERS, COUNT_SERVICE_ACCOUNTS, COUNT_SITES, COUNT_ADMINS, COUNT_ENABLED_ADMINS };
int store_count(struct store *s, enum store_count what, const struct uuid *account, i64 *out) MUST_CHECK;

/* All of them in one statement. Disabled actors count nowhere; active users (with a client session in the last 30 days) are counted only in
 * accounts that limit them, else 0. */
struct store_usage {
	i64 users, admins, service_accounts, api_clients, sites, monthly_active_users;
};
int store_usage(struct store *s, const struct uuid *account, u64 wall, struct store_usage *out) MUST_CHECK;

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
	char city[CITY_MAX];
	struct place place;
};
int store_insert_session(struct store *s, const struct store_session *session) MUST_CHECK;

/* The newest session of a client, for the address and region its conditions are judged by (§5.3); of a gateway. ERR_NOT_FOUND. */
int store_latest_session(struct store *s, const struct uuid *account, const struct uuid *client, struct store_session *out) MUST_CHECK;
int store_latest_gateway_session(struct store *s, const struct uuid *account, const struct uuid *gateway, struct store_session *out)
	MUST_CHECK;

/* Connects, newest first, or oldest first behind `after`; seq numbers them. */
struct store_sessions_query {
	bool is_gateway;
	struct uuid account, device; /* device null: all */
	i64 before, after;	     /* 0: from the newest */
	u32 limit;
};
int store_sessions(struct store *s, const struct store_sessions_query *q, int (*each)(void *ctx, i64 seq, const struct store_session *x),
		   void *ctx) MUST_CHECK;
int store_sessions_count(struct store *s, const struct store_sessions_query *q, i64 *out) MUST_CHECK;

/* A portal session, API token or client token was used: `last_seen_at`, and of API tokens the address (NULL: unchanged). Not a change: nobody
 * is told, `updated_at` stays. Does nothing when it was touched less than TOUCH_INTERVAL before. Outside of a transaction. */
#define TOUCH_INTERVAL_SECS 10
int store_touch(struct store *s, enum kind k, const struct uuid *account, const struct uuid *id, u64 wall, const char *remote_ip) MUST_CHECK;

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

/* ---- asking: lists for pages, REST API and jobs ---------------------------------------------------------------------------------------------
 *
 * Fields are named as in the field table, or: id, inserted_at, updated_at; status (active, disabled: by disabled_at; verified, unverified: by
 * verified_at), and what is reached through others:
 *	actor     group_id (its members; not of Everyone), directory_id (created there, or an identity there)
 *	group     actor_id
 *	resource  group_id (through policies), client_id (of its pool)
 *	policy    site_id (of its resource)
 *	client    resource_id (of whose pool it is), group_id (its actor is a member)
 *	authorization  actor_id
 * Values are texts: ids and enums as printed, times in microseconds, bools "true" and "false". ERR_INVAL with store_reason(): no such field or value.
 */
enum filter_op { FILTER_IS, FILTER_IS_NOT, FILTER_BELOW, FILTER_ABOVE, FILTER_IS_NULL, FILTER_NOT_NULL };

struct store_filter {
	const char *field;
	enum filter_op op;
	const char *value;
};

#define STORE_FILTERS_MAX 8
#define STORE_PAGE_MAX 100
#define STORE_PAGE_DEFAULT 50
#define STORE_COUNT_ROUGH 500
#define STORE_AMONG_MIN 300
#define STORE_CURSOR_MAX 1600 /* opaque text, safe in URLs */

struct store_query {
	enum kind kind;
	struct uuid account;
	const char *text; /* full-text filter; NULL or empty = none */
	struct store_filter filters[STORE_FILTERS_MAX];
	u32 n_filters;
	const char *sort; /* one of `sorts` in page.c, for that kind; NULL = inserted_at */
	bool is_descending;
	const char *cursor; /* from a page of the same query, which may be *out; NULL = first page */
	u32 limit;	    /* 1 to STORE_PAGE_MAX; 0 = STORE_PAGE_DEFAULT */
	bool wants_count;
	bool is_rough; /* of what is filtered, STORE_COUNT_ROUGH need be counted at most */
	bool (*keep)(void *ctx, const struct uuid *id); /* NULL, or what the store cannot know, such as: is it online? */
	void *keep_ctx;
	const struct ids *among; /* NULL, or the only ones; all of them are there. Up to STORE_AMONG_MIN a filter is faster */
};

struct store_page {
	u32 n;	   /* rows on this page */
	i64 count; /* rows of all pages, when wanted */
	bool is_more; /* `count` is the least, it was not counted to the end */
	bool has_next, has_prev;
	char next[STORE_CURSOR_MAX], prev[STORE_CURSOR_MAX];
};

/* One page in order of (sort, id), however the rows before and after change meanwhile. ERR_INVAL: the cursor is not of this query, or
 * something is unknown. `each` may ask the store for other things, but not for another page. */
int store_page(struct store *s, const struct store_query *q, store_each each, void *ctx, struct store_page *out) MUST_CHECK;

/* Every row that fits, oldest first; `account` NULL = all accounts; limit 0 = no limit. */
int store_select(struct store *s, enum kind k, const struct uuid *account, const struct store_filter *filters, u32 n, u32 limit,
		 store_each each, void *ctx) MUST_CHECK;
/* The oldest of these (entity_deinit()). ERR_NOT_FOUND. */
int store_find(struct store *s, enum kind k, const struct uuid *account, const struct store_filter *filters, u32 n, void *out) MUST_CHECK;

/* The search box: what has the words of `text` in it, whatever their case and accents; no tokens. Best first: titles that begin with it. Texts lent. */
struct store_hit {
	enum kind kind;
	struct uuid id;
	const char *title, *detail; /* detail may be NULL */
};
int store_search(struct store *s, const struct uuid *account, const char *text, u32 limit,
		 int (*each)(void *ctx, const struct store_hit *hit), void *ctx) MUST_CHECK;

/* How many rows of a kind there are: kept, not counted. Not of KIND_ACCOUNT, KIND_AUTHORIZATION, KIND_MAIL. */
int store_rows(struct store *s, enum kind k, const struct uuid *account, i64 *out) MUST_CHECK;

/* How many of one thing another has. */
enum store_tally {
	TALLY_RESOURCES_OF_SITE,
	TALLY_POLICIES_OF_SITE,
	TALLY_GATEWAYS_OF_SITE,
	TALLY_TOKENS_OF_SITE,
	TALLY_POLICIES_OF_RESOURCE,
	TALLY_POLICIES_OF_GROUP,
	TALLY_MEMBERS_OF_GROUP,
	TALLY_GROUPS_OF_ACTOR,
	TALLY_CLIENTS_OF_ACTOR,
	TALLY_IDENTITIES_OF_ACTOR,
	TALLY_CLIENT_TOKENS_OF_ACTOR,
	TALLY_API_TOKENS_OF_ACTOR,
	TALLY_SESSIONS_OF_ACTOR,
	TALLY_TOKENS_OF_PROVIDER,
	TALLY_SESSIONS_OF_PROVIDER,
	TALLY_ACTORS_OF_DIRECTORY,
	TALLY_GROUPS_OF_DIRECTORY,
	TALLY_IDENTITIES_OF_DIRECTORY,
	TALLY_COUNT,
};
/* Of every parent that has any. */
int store_tally(struct store *s, enum store_tally what, const struct uuid *account,
		int (*each)(void *ctx, const struct uuid *parent, i64 n), void *ctx) MUST_CHECK;
/* Of one. */
int store_tally_of(struct store *s, enum store_tally what, const struct uuid *account, const struct uuid *parent, i64 *out) MUST_CHECK;

/* What goes when it goes (policies of a group stay, but grant nothing any more): kinds with a count above 0. */
#define STORE_DEPENDENTS_MAX 8
struct store_dependent {
	enum kind kind;
	i64 count;
};
int store_dependents(struct store *s, enum kind k, const struct uuid *account, const struct uuid *id,
		     struct store_dependent out[static STORE_DEPENDENTS_MAX], u32 *n) MUST_CHECK;

/* Recent connections: unexpired authorizations of a resource, policy, client, gateway, actor or group, newest first. Texts lent, "" for null. */
struct store_connection {
	struct uuid id, policy_id, resource_id, client_id, actor_id, gateway_id, site_id, group_id;
	const char *resource_name, *client_name, *actor_name, *actor_email, *gateway_name, *site_name, *group_name, *policy_description;
	const char *client_remote_ip, *client_user_agent, *gateway_remote_ip;
	i64 at, expires_at;
};
int store_connections(struct store *s, enum kind of, const struct uuid *account, const struct uuid *id, u32 limit,
		      int (*each)(void *ctx, const struct store_connection *c), void *ctx) MUST_CHECK;
/* Of everything. */
int store_all_connections(struct store *s, const struct uuid *account, u32 limit,
			  int (*each)(void *ctx, const struct store_connection *c), void *ctx) MUST_CHECK;

/* ---- counters for charts ------------------------------------------------------------------------------------------------------------------
 * By the hour, kept for STATS_DAYS. The store itself counts "flows" (authorizations made), "client_connects" and "gateway_connects". */
#define STATS_DAYS 90
int store_stat_add(struct store *s, const struct uuid *account, const char *name, u64 wall, i64 n) MUST_CHECK;
/* Hours with a value, oldest first; from and to in microseconds, `at` is the beginning of the hour. */
int store_stats(struct store *s, const struct uuid *account, const char *name, i64 from, i64 to,
		int (*each)(void *ctx, i64 at, i64 value), void *ctx) MUST_CHECK;

/* ---- the audit trail (§1.14) --------------------------------------------------------------------------------------------------------------
 * Every insert, update and delete of the kinds that are audited (entity.c), cascaded ones included, in the transaction that did it. At most
 * AUDIT_ROWS_MAX rows of AUDIT_DAYS are kept (store_purge_expired()). */
#define AUDIT_ROWS_MAX 100000
#define AUDIT_DAYS 365

struct store_audit_query {
	struct uuid account;
	struct uuid id;	      /* of one thing; null: all */
	struct uuid actor_id; /* done by; null: all */
	const char *kind;     /* "site"; NULL: all */
	const char *op;	      /* "insert", "update", "delete"; NULL: all */
	const char *text;     /* in the names of thing and actor, of the newest AUDIT_SCAN_MAX rows; NULL: all */
	i64 from, to;	      /* microseconds, to excluded; 0: open */
	i64 before, after;    /* seq: the page that follows (older), or that precedes (newer); 0: the newest */
	u32 limit;	      /* 0 = STORE_PAGE_DEFAULT; at most AUDIT_LIMIT_MAX, for exports */
};
#define AUDIT_LIMIT_MAX 1000
#define AUDIT_SCAN_MAX 5000

struct store_audit { /* texts lent, NULL for null */
	i64 seq, at;
	struct uuid account_id, id, actor_id;
	const char *kind, *op, *name;
	const char *old_json, *new_json; /* objects; of an update only what differs; secrets are "[redacted]" */
	const char *principal;		 /* operator, system, session, api, setup */
	const char *actor_name, *actor_email, *remote_ip, *user_agent;
};

/* Newest first. *has_more: in the direction of travel. */
int store_audit_page(struct store *s, const struct store_audit_query *q, int (*each)(void *ctx, const struct store_audit *a), void *ctx,
		     bool *has_more) MUST_CHECK;

/* ---- backup ---------------------------------------------------------------------------------------------------------------------------------
 * A copy of everything committed, made while serving, in steps of a few milliseconds. What is written meanwhile is in it too. */
struct store_backup;
int store_backup_begin(struct store *s, const char *path, struct store_backup **out) MUST_CHECK; /* ERR_EXISTS: it overwrites nothing */
/* 1: more to do, 0: done, though not synced, which can take long; or an error. Then store_backup_end(), which removes what is not complete. */
int store_backup_step(struct store_backup *b) MUST_CHECK;
void store_backup_end(struct store_backup *b);

/* Is the file whole, ours, and not newer than this program? Before it is restored. As store_open() otherwise. */
int store_check(const char *path, char *why, size_t why_size) MUST_CHECK;

/* The same copy by another process than the owner, unless that one store_defer()s, in one go, and synced: checks `from`, makes `to` (ERR_EXISTS: it overwrites nothing). */
int store_copy(const char *from, const char *to, char *why, size_t why_size) MUST_CHECK;

/* SELECT 1: is the file still answering, and still where it was (§6.2)? */
int store_ping(struct store *s) MUST_CHECK;

/* ---- when nothing can be saved: the disk is full, broken or read-only, the file was deleted ----
 *
 *   fine ──a write fails so: told by the watch, once──▶ in trouble: reads go on, writes are tried and fail ──store_try() succeeds: told──▶ fine
 *
 * A write that fits although another did not ends no trouble: else the log would tell of both each time. */

/* Why; NULL: no trouble is known. */
const char *store_trouble(const struct store *s);
/* `why` NULL: it is over. */
void store_watch(struct store *s, void (*told)(void *ctx, const char *why), void *ctx);
/* Writes something that changes nothing. */
int store_try(struct store *s);
