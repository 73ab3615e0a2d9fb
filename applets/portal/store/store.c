#include "applets/portal/store/store_int.h"

#include "applets/portal/model/pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUSY_TIMEOUT_MS 2000    /* somebody looks at the file with another program, while nobody serves */
#define CACHE_KIB 8192          /* pages SQLite keeps in memory, once it has read that many */
#define CHECKPOINT_PAGES "250"  /* brought home at once by the commit that made as many: some 1 ms; SQLite's own 1000 were 6 */

const char *store_reason(const struct store *s)
{
	return s->reason;
}

/* ---- opening ----------------------------------------------------------------------------------------------------------------- */

static int pragma_int(struct store *s, const char *sql, i64 *out)
{
	sqlite3_stmt *st;
	int rc = sql_prepare(s, sql, &st);

	if (rc)
		return rc;
	rc = sql_run_int(s, st, out);
	sqlite3_finalize(st);
	return rc;
}

static int migrate(struct store *s)
{
	char sql[64];
	i64 version, application;
	int rc = pragma_int(s, "PRAGMA user_version", &version);

	if (!rc)
		rc = pragma_int(s, "PRAGMA application_id", &application);
	if (rc)
		return rc;
	if (version > 0 && application != APPLICATION_ID) {
		snprintf(s->reason, sizeof(s->reason), "the file is a database of another program");
		return ERR_MALFORMED;
	}
	if (version > SCHEMA_VERSION) {
		snprintf(s->reason, sizeof(s->reason), "the file was made by a newer program (schema %d, this one knows %d)",
			 (int)version, SCHEMA_VERSION);
		return ERR_UNSUPPORTED;
	}
	for (i64 v = version; v < SCHEMA_VERSION && !rc; v++) {
		rc = sql_exec(s, "BEGIN IMMEDIATE");
		if (rc)
			return rc;
		rc = sql_exec(s, migrations[v]);
		snprintf(sql, sizeof(sql), "PRAGMA user_version=%d", (int)v + 1);
		rc = rc ? rc : sql_exec(s, sql);
		snprintf(sql, sizeof(sql), "PRAGMA application_id=%d", APPLICATION_ID);
		rc = rc ? rc : sql_exec(s, sql);
		rc = rc ? rc : sql_exec(s, "COMMIT");
		if (rc)
			(void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	}
	return rc;
}

static int log_change(struct store *s, enum kind k, enum change_op op)
{
	static const char *const ops[] = { "INSERT", "UPDATE OF ", "DELETE" };
	bool is_revocation = k == KIND_AUTHORIZATION && op == CHANGE_DELETE;
	struct strbuf when = { 0 }, sql = { 0 };
	int rc;

	if ((k == KIND_AUTHORIZATION && !is_revocation) || k == KIND_MAIL)
		return 0;
	strbuf_puts(&when, ops[op]);
	if (op == CHANGE_UPDATE)
		sql_written_columns(&when, k);
	strbuf_printf(&sql, change_log_trigger, strbuf_text(&when), kinds[k].table, k, op,
		      is_revocation ? ",gateway_id,client_id,resource_id,expires_at" : "", op == CHANGE_DELETE ? "OLD" : "NEW",
		      is_revocation ? ",OLD.gateway_id,OLD.client_id,OLD.resource_id,OLD.expires_at" : "");
	rc = strbuf_ok(&when) && strbuf_ok(&sql) ? sql_exec(s, strbuf_text(&sql)) : ERR_NOMEM;
	strbuf_free(&when);
	strbuf_free(&sql);
	return rc;
}

static int log_changes(struct store *s)
{
	int rc = sql_exec(s, change_log_table);

	for (int k = 0; k < KIND_COUNT && !rc; k++)
		for (int op = 0; op < 3 && !rc; op++)
			rc = log_change(s, (enum kind)k, (enum change_op)op);
	return rc;
}

int store_open(struct store **out, const char *path, char *why, size_t why_size)
{
	struct store *s = calloc(1, sizeof(*s));
	char sql[64];

	if (!s) {
		snprintf(why, why_size, "out of memory");
		return ERR_NOMEM;
	}
	int rc = behind_register();

	if (!rc) {
		rc = sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, BEHIND_VFS);
		rc = rc == SQLITE_OK ? 0 : sql_fail(s, rc);
	}
	if (!rc) {
		sqlite3_extended_result_codes(s->db, 1);
		sqlite3_busy_timeout(s->db, BUSY_TIMEOUT_MS);
		snprintf(sql, sizeof(sql), "PRAGMA cache_size=-%d", CACHE_KIB);
		rc = sql_exec(s, sql);
	}
	rc = rc ? rc : sql_exec(s, "PRAGMA journal_mode=WAL");
	rc = rc ? rc : sql_exec(s, "PRAGMA wal_autocheckpoint=" CHECKPOINT_PAGES);
	rc = rc ? rc : sql_exec(s, "PRAGMA synchronous=FULL");
	rc = rc ? rc : sql_exec(s, "PRAGMA secure_delete=ON"); /* codes and links in mails leave no trace */
	rc = rc ? rc : sql_exec(s, "PRAGMA temp_store=MEMORY");
	rc = rc ? rc : migrate(s);
	rc = rc ? rc : sql_exec(s, "PRAGMA foreign_keys=ON");
	rc = rc ? rc : plans_start(s);
	rc = rc ? rc : search_start(s);
	rc = rc ? rc : log_changes(s);
	rc = rc ? rc : audit_start(s);
	rc = rc ? rc : page_start(s);
	rc = rc ? rc : usage_start(s);
	rc = rc ? rc : counts_start(s);
	rc = rc ? rc : sweep_start(s);
	if (rc) {
		snprintf(why, why_size, "%s", s->reason);
		store_close(s);
		return rc;
	}
	(void)sweep_finish(s); /* what cannot be written now can be read */
	*out = s;
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	for (int i = 0; i < ST_COUNT; i++)
		sqlite3_finalize(s->fixed[i]);
	for (int k = 0; k < KIND_COUNT; k++)
		for (int i = 0; i < ROW_COUNT; i++)
			sqlite3_finalize(s->rows[k][i]);
	sql_forget_cached(s);
	sweep_end(s);
	if (s->loop)
		loop_task_cancel(s->loop, &s->swept_task);
	if (!behind_stop(s->behind))
		(void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	sqlite3_close(s->db);
	free(s);
}

/* ---- transactions ------------------------------------------------------------------------------------------------------------- */

void store_set_principal(struct store *s, const struct principal *p, u64 wall)
{
	s->principal = *p;
	s->has_principal = true;
	s->wall = wall;
}

static void forget_principal(struct store *s)
{
	s->has_principal = false;
	s->wall = 0;
}

void store_read_begin(struct store *s)
{
	if (sqlite3_get_autocommit(s->db))
		s->is_reading = sql_run_fixed(s, ST_READ) == 0;
}

void store_read_end(struct store *s)
{
	if (s->is_reading)
		(void)sql_run_fixed(s, ST_COMMIT);
	s->is_reading = false;
}

int store_begin(struct store *s, enum store_durability d)
{
	store_read_end(s);
	if (d != s->durability) {
		int rc = sql_exec(s, d == STORE_DURABLE ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
		if (rc) {
			forget_principal(s);
			return rc;
		}
		s->durability = d;
	}
	s->changes_before = sqlite3_total_changes64(s->db);
	int rc = sql_run_fixed(s, ST_BEGIN);
	if (rc)
		forget_principal(s);
	return rc;
}

/* What is written to a file that nobody will find again is lost, though SQLite says it is well. */
static bool is_gone(struct store *s)
{
	int has_moved = 0;

	(void)sqlite3_file_control(s->db, "main", SQLITE_FCNTL_HAS_MOVED, &has_moved);
	return has_moved;
}

#define GONE "the database file was deleted or moved while the portal runs: move it back, or stop the portal and restore a backup"

int store_commit(struct store *s)
{
	int rc = is_gone(s) ? sql_in_trouble(s, GONE) : search_settle(s);

	rc = rc ? rc : sql_run_fixed(s, ST_COMMIT);

	if (rc)
		return store_rollback(s, rc);
	s->sweeps_kept = s->sweeps;
	forget_principal(s);
	return 0;
}

bool store_is_writing(const struct store *s)
{
	return !sqlite3_get_autocommit(s->db) && !s->is_reading;
}

int store_rollback(struct store *s, int rc)
{
	char reason[sizeof(s->reason)];

	/* SQLite rolls back by itself after some failures; the reason of the first one is what matters. */
	memcpy(reason, s->reason, sizeof(reason));
	if (!sqlite3_get_autocommit(s->db))
		(void)sql_run_fixed(s, ST_ROLLBACK);
	memcpy(s->reason, reason, sizeof(reason));
	s->sweeps = s->sweeps_kept;
	forget_principal(s);
	return rc;
}

/* ---- rows ---------------------------------------------------------------------------------------------------------------------- */

int store_insert(struct store *s, enum kind k, void *entity, u64 wall)
{
	struct entity *e = entity;
	sqlite3_stmt *st;
	int rc = sql_row(s, k, ROW_INSERT, &st);

	if (rc)
		return rc;
	s->wall = wall;
	e->inserted_at = e->updated_at = (i64)(wall / 1000);
	sql_bind_entity(st, k, entity, true);
	return sql_run(s, st);
}

int store_update(struct store *s, enum kind k, void *entity, u64 wall)
{
	struct entity *e = entity;
	sqlite3_stmt *st;
	int rc = sql_row(s, k, ROW_UPDATE, &st);

	if (rc)
		return rc;
	s->wall = wall;
	e->updated_at = (i64)(wall / 1000);
	sql_bind_entity(st, k, entity, false);
	rc = sql_run(s, st);
	return rc ? rc : sqlite3_changes(s->db) ? 0 : ERR_NOT_FOUND;
}

int store_delete(struct store *s, enum kind k, const struct uuid *account, const struct uuid *id)
{
	return sweep_begin(s, kinds[k].table, "id", account, id);
}

int store_get(struct store *s, enum kind k, const struct uuid *account, const struct uuid *id, void *out)
{
	sqlite3_stmt *st;
	int rc = sql_row(s, k, ROW_GET, &st);

	if (rc)
		return rc;
	sql_bind_uuid(st, 1, account);
	sql_bind_uuid(st, 2, id);
	return sql_run_entity(s, st, k, out);
}

int store_list(struct store *s, enum kind k, const struct uuid *account, store_each each, void *ctx)
{
	sqlite3_stmt *st;
	int rc = sql_row(s, k, account ? ROW_LIST_ACCOUNT : ROW_LIST, &st);

	if (rc)
		return rc;
	if (account)
		sql_bind_uuid(st, 1, account);
	return sql_run_each(s, st, k, each, ctx);
}

/* ---- devices -------------------------------------------------------------------------------------------------------------------- */

int store_find_device(struct store *s, enum kind k, const struct uuid *account, const struct uuid *owner, const char *external_id,
		      void *out)
{
	sqlite3_stmt *st;
	int rc = sql_select(s, k == KIND_GATEWAY ? ST_GATEWAY_BY_EXTERNAL_ID : ST_CLIENT_BY_EXTERNAL_ID, k, &st);

	if (rc)
		return rc;
	sql_bind_uuid(st, 1, account);
	sql_bind_uuid(st, 2, owner);
	sql_bind_text(st, 3, external_id);
	return sql_run_entity(s, st, k, out);
}

static int allocate(struct store *s, enum kind k, const struct device *d, enum pool pool, u32 *out)
{
	sqlite3_stmt *max, *take;
	i64 highest;
	int rc = sql_fixed(s, pool == POOL_IPV4 ? ST_MAX_IPV4 : ST_MAX_IPV6, &max);

	rc = rc ? rc : sql_fixed(s, pool == POOL_IPV4 ? ST_TAKE_IPV4 : ST_TAKE_IPV6, &take);
	if (rc)
		return rc;
	sql_bind_uuid(max, 1, &d->e.account_id);
	rc = sql_run_int(s, max, &highest);
	if (rc)
		return rc;
	u32 candidate = pool_after(pool, (u32)highest);
	for (u32 tries = pool_size(pool); tries > 0; tries--) {
		sql_bind_uuid(take, 1, &d->e.account_id);
		sqlite3_bind_int64(take, 2, candidate);
		sql_bind_uuid(take, k == KIND_CLIENT ? 3 : 4, &d->e.id);
		rc = sql_run(s, take);
		if (rc)
			return rc;
		if (sqlite3_changes(s->db)) {
			*out = candidate;
			return 0;
		}
		candidate = pool_after(pool, candidate);
	}
	snprintf(s->reason, sizeof(s->reason), "no tunnel address is left in this account");
	return ERR_LIMIT;
}

int store_insert_device(struct store *s, enum kind k, struct device *d, u64 wall)
{
	int rc = store_insert(s, k, d, wall);

	rc = rc ? rc : allocate(s, k, d, POOL_IPV4, &d->ipv4);
	return rc ? rc : allocate(s, k, d, POOL_IPV6, &d->ipv6);
}

int store_gateway_authorizations(struct store *s, const struct uuid *account, const struct uuid *gateway, u64 wall, store_each each,
				 void *ctx)
{
	sqlite3_stmt *st;
	int rc = sql_select(s, ST_GATEWAY_AUTHORIZATIONS, KIND_AUTHORIZATION, &st);

	if (rc)
		return rc;
	sql_bind_uuid(st, 1, account);
	sql_bind_uuid(st, 2, gateway);
	sqlite3_bind_int64(st, 3, (i64)(wall / 1000));
	return sql_run_each(s, st, KIND_AUTHORIZATION, each, ctx);
}

/* ---- changes ----------------------------------------------------------------------------------------------------------------------- */

#define DRAIN_BATCH 64

int store_drain(struct store *s, int (*each)(void *ctx, const struct change *c), void *ctx)
{
	struct change *list = NULL;
	u32 n = 0, cap = 0;
	sqlite3_stmt *st;
	int step, rc = sql_fixed(s, ST_CHANGES, &st);

	/* Read to the end first: the receiver may write, and thereby make new changes. */
	while (!rc && (step = sqlite3_step(st)) != SQLITE_DONE) {
		if (step != SQLITE_ROW) {
			rc = sql_fail(s, sqlite3_extended_errcode(s->db));
			break;
		}
		if (n == cap) {
			struct change *more = realloc(list, (cap + DRAIN_BATCH) * 2 * sizeof(*list));
			if (!more) {
				rc = ERR_NOMEM;
				break;
			}
			list = more;
			cap = (cap + DRAIN_BATCH) * 2;
		}
		struct change *c = &list[n++];
		c->kind = (enum kind)sqlite3_column_int(st, 0);
		c->op = (enum change_op)sqlite3_column_int(st, 1);
		sql_read_uuid(st, 2, &c->account_id);
		sql_read_uuid(st, 3, &c->id);
		sql_read_uuid(st, 4, &c->gateway_id);
		sql_read_uuid(st, 5, &c->client_id);
		sql_read_uuid(st, 6, &c->resource_id);
		c->expires_at = sqlite3_column_int64(st, 7);
	}
	sqlite3_reset(st);
	if (!rc && n > 0)
		rc = sql_run_fixed(s, ST_FORGET_CHANGES);
	for (u32 i = 0; i < n && !rc; i++)
		rc = each(ctx, &list[i]);
	free(list);
	return rc;
}

int store_ping(struct store *s)
{
	return is_gone(s) ? sql_in_trouble(s, GONE) : sql_run_fixed(s, ST_PING);
}

/* ---- the disk, behind -------------------------------------------------------------------------------------------------------------- */

static void on_behind(void *ctx)
{
	struct store *s = ctx;
	int error = behind_trouble(s->behind);

	if (error) {
		char why[sizeof(s->trouble)];

		snprintf(why, sizeof(why), behind_is_lost(s->behind) ? "the disk lost what was written (%s): check it, then start the portal again" :
			 error == ENOSPC || error == EDQUOT ? "the disk is full" : "the disk refuses (%s)", strerror(error));
		(void)sql_in_trouble(s, why);
	}
	s->settled(s->settled_ctx, behind_settled(s->behind));
}

static void on_swept(void *ctx, u64 now)
{
	struct store *s = ctx;

	(void)now;
	s->settled(s->settled_ctx, behind_settled(s->behind));
}

int store_defer(struct store *s, struct loop *loop, void (*settled)(void *ctx, u64 ticket), void *ctx)
{
	int rc = behind_of(s->db) ? 0 : ERR_UNSUPPORTED; /* in memory */

	rc = rc ? rc : sql_exec(s, "PRAGMA locking_mode=EXCLUSIVE"); /* nor has each read to lock the file from now on */

	/* takes the lock, and brings the log's name to the disk: later only its content is */
	rc = rc ? rc : store_try(s);
	s->settled = settled;
	s->settled_ctx = ctx;
	rc = rc ? rc : behind_start(behind_of(s->db), loop, on_behind, s);
	if (rc)
		return rc;
	s->behind = behind_of(s->db);
	s->loop = loop;
	s->swept_task = (struct loop_task){ .cb = on_swept, .ctx = s };
	return 0;
}

u64 store_ticket(const struct store *s)
{
	return s->behind ? behind_ticket(s->behind) : 0;
}

bool store_is_far_behind(const struct store *s)
{
	return s->behind && behind_is_far(s->behind);
}

bool store_is_lost(const struct store *s)
{
	return s->behind && behind_is_lost(s->behind);
}

struct store_disk store_disk(const struct store *s)
{
	struct behind_stats b = s->behind ? behind_stats(s->behind) : (struct behind_stats){ 0 };

	return (struct store_disk){ .syncs = b.syncs, .waits = b.waits };
}

/* ---- trouble -------------------------------------------------------------------------------------------------------------------------- */

const char *store_trouble(const struct store *s)
{
	return s->trouble[0] ? s->trouble : NULL;
}

void store_watch(struct store *s, void (*told)(void *ctx, const char *why), void *ctx)
{
	s->told = told;
	s->told_ctx = ctx;
}

int store_try(struct store *s)
{
	char sql[64];

	if (s->behind && behind_trouble(s->behind)) {
		behind_retry(s->behind); /* first what waits; it tells when it is done */
		return ERR_IO;
	}
	int rc = store_begin(s, STORE_DURABLE);

	/* the same version again: a page is written */
	snprintf(sql, sizeof(sql), "PRAGMA user_version=%d", SCHEMA_VERSION);
	rc = rc ? rc : sql_exec(s, sql);
	rc = rc ? store_rollback(s, rc) : store_commit(s);
	if (rc || !s->trouble[0])
		return rc;
	s->trouble[0] = '\0';
	if (s->told)
		s->told(s->told_ctx, NULL);
	return 0;
}
