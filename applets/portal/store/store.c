#include "applets/portal/store/store.h"

#include "applets/portal/model/pool.h"
#include "applets/portal/store/statements.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SQL_MAX 2048
#define BUSY_TIMEOUT_MS 2000    /* somebody looks at the file with another program */
#define CACHE_KIB 1024          /* pages SQLite keeps in memory */
#define APPLICATION_ID 0x656d62 /* PRAGMA application_id: "emb" */

enum row_statement { ROW_INSERT, ROW_UPDATE, ROW_DELETE, ROW_GET, ROW_LIST, ROW_LIST_ACCOUNT, ROW_COUNT };

struct store {
	sqlite3 *db;
	sqlite3_stmt *fixed[ST_COUNT];
	sqlite3_stmt *rows[KIND_COUNT][ROW_COUNT];
	enum store_durability durability;
	char reason[256];
};

/* ---- errors ------------------------------------------------------------------------------------------------------------- */

static int fail(struct store *s, int sqlite_rc)
{
	int rc = ERR_IO;

	switch (sqlite_rc & 0xff) {
	case SQLITE_FULL:
		snprintf(s->reason, sizeof(s->reason), "the disk is full");
		return ERR_IO;
	case SQLITE_NOMEM:
		rc = ERR_NOMEM;
		break;
	case SQLITE_CONSTRAINT:
		rc = sqlite_rc == SQLITE_CONSTRAINT_UNIQUE || sqlite_rc == SQLITE_CONSTRAINT_PRIMARYKEY ? ERR_EXISTS :
		     sqlite_rc == SQLITE_CONSTRAINT_FOREIGNKEY						 ? ERR_NOT_FOUND :
													   ERR_INVAL;
		break;
	case SQLITE_NOTADB:
	case SQLITE_CORRUPT:
		rc = ERR_MALFORMED;
		break;
	}
	snprintf(s->reason, sizeof(s->reason), "%s", sqlite3_errmsg(s->db));
	return rc;
}

const char *store_reason(const struct store *s)
{
	return s->reason;
}

/* ---- statements from field tables ------------------------------------------------------------------------------------------ */

struct text {
	char s[SQL_MAX];
	size_t n;
};

static void PRINTF_LIKE(2, 3) add(struct text *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(t->s + t->n, sizeof(t->s) - t->n, fmt, ap);
	va_end(ap);
	t->n = MIN(t->n + (size_t)MAX(n, 0), sizeof(t->s) - 1);
}

static bool is_column(const struct field *f)
{
	return !(f->flags & FIELD_COMPUTED);
}

static void add_select_list(struct text *t, enum kind k)
{
	add(t, "t.account_id,t.id,t.inserted_at,t.updated_at");
	for (u32 i = 0; i < kinds[k].field_count; i++) {
		const struct field *f = &kinds[k].fields[i];
		if (f->expr)
			add(t, ",%s", f->expr);
		else
			add(t, ",t.%s", f->name);
	}
}

static void make_sql(struct text *t, enum kind k, enum row_statement which)
{
	const struct kind_info *info = &kinds[k];

	switch (which) {
	case ROW_INSERT:
		add(t, "INSERT INTO %s(account_id,id,inserted_at,updated_at", info->table);
		for (u32 i = 0; i < info->field_count; i++)
			if (is_column(&info->fields[i]))
				add(t, ",%s", info->fields[i].name);
		add(t, ") VALUES(?1,?2,?3,?4");
		for (u32 i = 0; i < info->field_count; i++)
			if (is_column(&info->fields[i]))
				add(t, ",?%u", i + 5);
		add(t, ")");
		break;
	case ROW_UPDATE:
		add(t, "UPDATE %s SET updated_at=?4", info->table);
		for (u32 i = 0; i < info->field_count; i++)
			if (is_column(&info->fields[i]) && !(info->fields[i].flags & FIELD_FIXED))
				add(t, ",%s=?%u", info->fields[i].name, i + 5);
		add(t, " WHERE account_id=?1 AND id=?2");
		break;
	case ROW_DELETE:
		add(t, "DELETE FROM %s WHERE account_id=?1 AND id=?2", info->table);
		break;
	case ROW_GET:
	case ROW_LIST:
	case ROW_LIST_ACCOUNT:
		add(t, "SELECT ");
		add_select_list(t, k);
		add(t, " FROM %s t", info->table);
		if (which == ROW_GET)
			add(t, " WHERE t.account_id=?1 AND t.id=?2");
		if (which == ROW_LIST_ACCOUNT)
			add(t, " WHERE t.account_id=?1");
		add(t, " ORDER BY t.account_id,t.id");
		break;
	case ROW_COUNT:
		break;
	}
}

static int prepare(struct store *s, const char *sql, sqlite3_stmt **out)
{
	int rc = sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL);

	return rc == SQLITE_OK ? 0 : fail(s, rc);
}

static int row_statement(struct store *s, enum kind k, enum row_statement which, sqlite3_stmt **out)
{
	struct text t = { .n = 0 };

	if (!s->rows[k][which]) {
		make_sql(&t, k, which);
		int rc = prepare(s, t.s, &s->rows[k][which]);
		if (rc)
			return rc;
	}
	*out = s->rows[k][which];
	return 0;
}

static int fixed_statement(struct store *s, enum statement which, sqlite3_stmt **out)
{
	if (!s->fixed[which]) {
		int rc = prepare(s, statements[which], &s->fixed[which]);
		if (rc)
			return rc;
	}
	*out = s->fixed[which];
	return 0;
}

/* A statement of statements.c that yields whole rows of a kind. */
static int select_statement(struct store *s, enum statement which, enum kind k, sqlite3_stmt **out)
{
	struct text list = { .n = 0 }, t = { .n = 0 };

	if (!s->fixed[which]) {
		add_select_list(&list, k);
		const char *at = strstr(statements[which], "%s");
		add(&t, "%.*s%s%s", (int)(at - statements[which]), statements[which], list.s, at + 2);
		int rc = prepare(s, t.s, &s->fixed[which]);
		if (rc)
			return rc;
	}
	*out = s->fixed[which];
	return 0;
}

/* ---- values ------------------------------------------------------------------------------------------------------------------ */

static void bind_uuid(sqlite3_stmt *st, int i, const struct uuid *id)
{
	sqlite3_bind_blob(st, i, id->b, sizeof(id->b), SQLITE_STATIC);
}

static void bind_text(sqlite3_stmt *st, int i, const char *text)
{
	if (text)
		sqlite3_bind_text(st, i, text, -1, SQLITE_STATIC);
	else
		sqlite3_bind_null(st, i);
}

static void bind_field(sqlite3_stmt *st, int i, const struct field *f, const void *entity)
{
	const void *p = field_of(entity, f);

	switch ((enum field_type)f->type) {
	case FIELD_UUID:
		if (!uuid_is_null(p))
			bind_uuid(st, i, p);
		break;
	case FIELD_TEXT:
		bind_text(st, i, *(char *const *)p);
		break;
	case FIELD_INT:
		if (*(const i64 *)p >= 0)
			sqlite3_bind_int64(st, i, *(const i64 *)p);
		break;
	case FIELD_TIME:
		if (*(const i64 *)p)
			sqlite3_bind_int64(st, i, *(const i64 *)p);
		break;
	case FIELD_ENUM:
		if (f->names[*(const int *)p][0])
			bind_text(st, i, f->names[*(const int *)p]);
		break;
	case FIELD_KEY:
		sqlite3_bind_blob(st, i, p, PSK_BASE_LEN, SQLITE_STATIC);
		break;
	case FIELD_IP4:
	case FIELD_IP6:
		sqlite3_bind_int64(st, i, *(const u32 *)p);
		break;
	}
}

static void read_uuid(sqlite3_stmt *st, int i, struct uuid *out)
{
	const void *p = sqlite3_column_blob(st, i);

	if (p && sqlite3_column_bytes(st, i) == sizeof(out->b))
		memcpy(out->b, p, sizeof(out->b));
	else
		memset(out, 0, sizeof(*out));
}

static int read_field(sqlite3_stmt *st, int i, const struct field *f, void *entity)
{
	void *p = field_at(entity, f);
	const void *text;
	int rc;

	switch ((enum field_type)f->type) {
	case FIELD_UUID:
		read_uuid(st, i, p);
		break;
	case FIELD_TEXT:
		return text_set(p, (const char *)sqlite3_column_text(st, i));
	case FIELD_INT:
		*(i64 *)p = sqlite3_column_type(st, i) == SQLITE_NULL ? -1 : sqlite3_column_int64(st, i);
		break;
	case FIELD_TIME:
		*(i64 *)p = sqlite3_column_int64(st, i);
		break;
	case FIELD_ENUM:
		text = sqlite3_column_text(st, i);
		rc = enum_parse(f->names, text ? text : "");
		if (rc < 0)
			return ERR_MALFORMED;
		*(int *)p = rc;
		break;
	case FIELD_KEY:
		text = sqlite3_column_blob(st, i);
		if (!text || sqlite3_column_bytes(st, i) != PSK_BASE_LEN)
			return ERR_MALFORMED;
		memcpy(p, text, PSK_BASE_LEN);
		break;
	case FIELD_IP4:
	case FIELD_IP6:
		*(u32 *)p = (u32)sqlite3_column_int64(st, i);
		break;
	}
	return 0;
}

static int read_entity(struct store *s, sqlite3_stmt *st, enum kind k, void *out)
{
	struct entity *e = out;
	int rc = 0;

	entity_init(k, out);
	read_uuid(st, 0, &e->account_id);
	read_uuid(st, 1, &e->id);
	e->inserted_at = sqlite3_column_int64(st, 2);
	e->updated_at = sqlite3_column_int64(st, 3);
	for (u32 i = 0; i < kinds[k].field_count && !rc; i++)
		rc = read_field(st, (int)i + 4, &kinds[k].fields[i], out);
	if (rc) {
		snprintf(s->reason, sizeof(s->reason), "a row of %s is not as this program writes it", kinds[k].table);
		entity_deinit(k, out);
	}
	return rc;
}

/* ---- running ----------------------------------------------------------------------------------------------------------------- */

/* Runs a statement that yields no row. */
static int run(struct store *s, sqlite3_stmt *st)
{
	int rc = sqlite3_step(st);
	int out = rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : fail(s, sqlite3_extended_errcode(s->db));

	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return out;
}

/* Runs a statement that yields at most one integer; null is 0. */
static int run_int(struct store *s, sqlite3_stmt *st, i64 *out)
{
	int rc = sqlite3_step(st), ret = 0;

	*out = 0;
	if (rc == SQLITE_ROW)
		*out = sqlite3_column_int64(st, 0);
	else if (rc != SQLITE_DONE)
		ret = fail(s, sqlite3_extended_errcode(s->db));
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return ret;
}

/* Runs a statement that yields one row of a kind. */
static int run_entity(struct store *s, sqlite3_stmt *st, enum kind k, void *out)
{
	int rc = sqlite3_step(st), ret;

	if (rc == SQLITE_ROW)
		ret = read_entity(s, st, k, out);
	else
		ret = rc == SQLITE_DONE ? ERR_NOT_FOUND : fail(s, sqlite3_extended_errcode(s->db));
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return ret;
}

static int run_each(struct store *s, sqlite3_stmt *st, enum kind k, store_each each, void *ctx)
{
	int rc, ret = 0;

	while (!ret && (rc = sqlite3_step(st)) != SQLITE_DONE) {
		union any_entity row;

		if (rc != SQLITE_ROW) {
			ret = fail(s, sqlite3_extended_errcode(s->db));
			break;
		}
		ret = read_entity(s, st, k, &row);
		if (ret)
			break;
		ret = each(ctx, k, &row);
		entity_deinit(k, &row);
	}
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return ret;
}

static int run_fixed(struct store *s, enum statement which)
{
	sqlite3_stmt *st;
	int rc = fixed_statement(s, which, &st);

	return rc ? rc : run(s, st);
}

static int exec(struct store *s, const char *sql)
{
	int rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : fail(s, sqlite3_extended_errcode(s->db));
}

/* ---- opening ----------------------------------------------------------------------------------------------------------------- */

static int pragma_int(struct store *s, const char *sql, i64 *out)
{
	sqlite3_stmt *st;
	int rc = prepare(s, sql, &st);

	if (rc)
		return rc;
	rc = run_int(s, st, out);
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
		rc = exec(s, "BEGIN IMMEDIATE");
		if (rc)
			return rc;
		rc = exec(s, migrations[v]);
		snprintf(sql, sizeof(sql), "PRAGMA user_version=%d", (int)v + 1);
		rc = rc ? rc : exec(s, sql);
		snprintf(sql, sizeof(sql), "PRAGMA application_id=%d", APPLICATION_ID);
		rc = rc ? rc : exec(s, sql);
		rc = rc ? rc : exec(s, "COMMIT");
		if (rc)
			(void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	}
	return rc;
}

static int log_changes(struct store *s)
{
	static const char *const ops[] = { "INSERT", "UPDATE", "DELETE" };
	int rc = exec(s, change_log_table);

	for (int k = 0; k < KIND_COUNT && !rc; k++) {
		for (int op = 0; op < 3 && !rc; op++) {
			char sql[SQL_MAX];
			bool is_revocation = k == KIND_AUTHORIZATION && op == CHANGE_DELETE;

			if (k == KIND_AUTHORIZATION && !is_revocation)
				continue;
			snprintf(sql, sizeof(sql), change_log_trigger, ops[op], kinds[k].table, k, op,
				 is_revocation ? ",gateway_id,client_id,resource_id,expires_at" : "",
				 op == CHANGE_DELETE ? "OLD" : "NEW",
				 is_revocation ? ",OLD.gateway_id,OLD.client_id,OLD.resource_id,OLD.expires_at" : "");
			rc = exec(s, sql);
		}
	}
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
	int rc = sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	rc = rc == SQLITE_OK ? 0 : fail(s, rc);
	if (!rc) {
		sqlite3_extended_result_codes(s->db, 1);
		sqlite3_busy_timeout(s->db, BUSY_TIMEOUT_MS);
		snprintf(sql, sizeof(sql), "PRAGMA cache_size=-%d", CACHE_KIB);
		rc = exec(s, sql);
	}
	rc = rc ? rc : exec(s, "PRAGMA journal_mode=WAL");
	rc = rc ? rc : exec(s, "PRAGMA synchronous=FULL");
	rc = rc ? rc : exec(s, "PRAGMA temp_store=MEMORY");
	rc = rc ? rc : migrate(s);
	rc = rc ? rc : exec(s, "PRAGMA foreign_keys=ON");
	rc = rc ? rc : log_changes(s);
	if (rc) {
		snprintf(why, why_size, "%s", s->reason);
		store_close(s);
		return rc;
	}
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
	sqlite3_close(s->db);
	free(s);
}

/* ---- transactions ------------------------------------------------------------------------------------------------------------- */

int store_begin(struct store *s, enum store_durability d)
{
	if (d != s->durability) {
		int rc = exec(s, d == STORE_DURABLE ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
		if (rc)
			return rc;
		s->durability = d;
	}
	return run_fixed(s, ST_BEGIN);
}

int store_commit(struct store *s)
{
	int rc = run_fixed(s, ST_COMMIT);

	return rc ? store_rollback(s, rc) : 0;
}

int store_rollback(struct store *s, int rc)
{
	char reason[sizeof(s->reason)];

	/* SQLite rolls back by itself after some failures; the reason of the first one is what matters. */
	memcpy(reason, s->reason, sizeof(reason));
	if (!sqlite3_get_autocommit(s->db))
		(void)run_fixed(s, ST_ROLLBACK);
	memcpy(s->reason, reason, sizeof(reason));
	return rc;
}

/* ---- rows ---------------------------------------------------------------------------------------------------------------------- */

static void bind_entity(sqlite3_stmt *st, enum kind k, const void *entity, bool is_insert)
{
	const struct entity *e = entity;

	bind_uuid(st, 1, &e->account_id);
	bind_uuid(st, 2, &e->id);
	if (is_insert)
		sqlite3_bind_int64(st, 3, e->inserted_at);
	sqlite3_bind_int64(st, 4, e->updated_at);
	for (u32 i = 0; i < kinds[k].field_count; i++) {
		const struct field *f = &kinds[k].fields[i];
		if (is_column(f) && (is_insert || !(f->flags & FIELD_FIXED)))
			bind_field(st, (int)i + 5, f, entity);
	}
}

int store_insert(struct store *s, enum kind k, void *entity, u64 wall)
{
	struct entity *e = entity;
	sqlite3_stmt *st;
	int rc = row_statement(s, k, ROW_INSERT, &st);

	if (rc)
		return rc;
	e->inserted_at = e->updated_at = (i64)(wall / 1000);
	bind_entity(st, k, entity, true);
	return run(s, st);
}

int store_update(struct store *s, enum kind k, void *entity, u64 wall)
{
	struct entity *e = entity;
	sqlite3_stmt *st;
	int rc = row_statement(s, k, ROW_UPDATE, &st);

	if (rc)
		return rc;
	e->updated_at = (i64)(wall / 1000);
	bind_entity(st, k, entity, false);
	rc = run(s, st);
	return rc ? rc : sqlite3_changes(s->db) ? 0 : ERR_NOT_FOUND;
}

int store_delete(struct store *s, enum kind k, const struct uuid *account, const struct uuid *id)
{
	sqlite3_stmt *st;
	int rc = row_statement(s, k, ROW_DELETE, &st);

	if (rc)
		return rc;
	bind_uuid(st, 1, account);
	bind_uuid(st, 2, id);
	rc = run(s, st);
	return rc ? rc : sqlite3_changes(s->db) ? 0 : ERR_NOT_FOUND;
}

int store_get(struct store *s, enum kind k, const struct uuid *account, const struct uuid *id, void *out)
{
	sqlite3_stmt *st;
	int rc = row_statement(s, k, ROW_GET, &st);

	if (rc)
		return rc;
	bind_uuid(st, 1, account);
	bind_uuid(st, 2, id);
	return run_entity(s, st, k, out);
}

int store_list(struct store *s, enum kind k, const struct uuid *account, store_each each, void *ctx)
{
	sqlite3_stmt *st;
	int rc = row_statement(s, k, account ? ROW_LIST_ACCOUNT : ROW_LIST, &st);

	if (rc)
		return rc;
	if (account)
		bind_uuid(st, 1, account);
	return run_each(s, st, k, each, ctx);
}

/* ---- devices -------------------------------------------------------------------------------------------------------------------- */

int store_find_device(struct store *s, enum kind k, const struct uuid *account, const struct uuid *owner, const char *external_id,
		      void *out)
{
	sqlite3_stmt *st;
	int rc = select_statement(s, k == KIND_GATEWAY ? ST_GATEWAY_BY_EXTERNAL_ID : ST_CLIENT_BY_EXTERNAL_ID, k, &st);

	if (rc)
		return rc;
	bind_uuid(st, 1, account);
	bind_uuid(st, 2, owner);
	bind_text(st, 3, external_id);
	return run_entity(s, st, k, out);
}

static int allocate(struct store *s, enum kind k, const struct device *d, enum pool pool, u32 *out)
{
	sqlite3_stmt *max, *take;
	i64 highest;
	int rc = fixed_statement(s, pool == POOL_IPV4 ? ST_MAX_IPV4 : ST_MAX_IPV6, &max);

	rc = rc ? rc : fixed_statement(s, pool == POOL_IPV4 ? ST_TAKE_IPV4 : ST_TAKE_IPV6, &take);
	if (rc)
		return rc;
	bind_uuid(max, 1, &d->e.account_id);
	rc = run_int(s, max, &highest);
	if (rc)
		return rc;
	u32 candidate = pool_after(pool, (u32)highest);
	for (u32 tries = pool_size(pool); tries > 0; tries--) {
		bind_uuid(take, 1, &d->e.account_id);
		sqlite3_bind_int64(take, 2, candidate);
		bind_uuid(take, k == KIND_CLIENT ? 3 : 4, &d->e.id);
		rc = run(s, take);
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
	int rc = select_statement(s, ST_GATEWAY_AUTHORIZATIONS, KIND_AUTHORIZATION, &st);

	if (rc)
		return rc;
	bind_uuid(st, 1, account);
	bind_uuid(st, 2, gateway);
	sqlite3_bind_int64(st, 3, (i64)(wall / 1000));
	return run_each(s, st, KIND_AUTHORIZATION, each, ctx);
}

int store_purge_expired(struct store *s, u64 wall)
{
	int rc = 0;

	for (int which = ST_PURGE_AUTHORIZATIONS; which <= ST_PURGE_CLIENT_SESSIONS && !rc; which++) {
		sqlite3_stmt *st;

		rc = fixed_statement(s, (enum statement)which, &st);
		if (rc)
			break;
		sqlite3_bind_int64(st, 1, (i64)(wall / 1000));
		rc = run(s, st);
	}
	return rc;
}

int store_revoke(struct store *s, enum store_revoke what, const struct uuid *account, const struct uuid *id)
{
	sqlite3_stmt *st;
	int rc = fixed_statement(s, (enum statement)(ST_REVOKE_AUTHORIZATIONS_OF_ACCOUNT + (int)what), &st);

	if (rc)
		return rc;
	bind_uuid(st, 1, account);
	if (sqlite3_bind_parameter_count(st) > 1)
		bind_uuid(st, 2, id);
	return run(s, st);
}

int store_count(struct store *s, enum store_count what, const struct uuid *account, i64 *out)
{
	sqlite3_stmt *st;
	int rc = fixed_statement(s, (enum statement)(ST_COUNT_USERS + (int)what), &st);

	if (rc)
		return rc;
	bind_uuid(st, 1, account);
	return run_int(s, st, out);
}

/* ---- sessions -------------------------------------------------------------------------------------------------------------------- */

int store_insert_session(struct store *s, const struct store_session *x)
{
	sqlite3_stmt *st;
	int rc = fixed_statement(s, x->is_gateway ? ST_INSERT_GATEWAY_SESSION : ST_INSERT_CLIENT_SESSION, &st);

	if (rc)
		return rc;
	bind_uuid(st, 1, &x->account_id);
	bind_uuid(st, 2, &x->device_id);
	bind_uuid(st, 3, &x->token_id);
	sqlite3_bind_int64(st, 4, x->at);
	bind_text(st, 5, x->public_key);
	bind_text(st, 6, x->user_agent);
	bind_text(st, 7, x->version[0] ? x->version : NULL);
	bind_text(st, 8, x->remote_ip);
	bind_text(st, 9, x->region[0] ? x->region : NULL);
	return run(s, st);
}

static void read_into(sqlite3_stmt *st, int i, char *out, size_t n)
{
	const char *text = (const char *)sqlite3_column_text(st, i);

	snprintf(out, n, "%s", text ? text : "");
}

int store_latest_session(struct store *s, const struct uuid *account, const struct uuid *client, struct store_session *out)
{
	sqlite3_stmt *st;
	int rc = fixed_statement(s, ST_LATEST_CLIENT_SESSION, &st), step;

	if (rc)
		return rc;
	bind_uuid(st, 1, account);
	bind_uuid(st, 2, client);
	step = sqlite3_step(st);
	if (step == SQLITE_ROW) {
		memset(out, 0, sizeof(*out));
		out->account_id = *account;
		out->device_id = *client;
		read_uuid(st, 0, &out->token_id);
		out->at = sqlite3_column_int64(st, 1);
		read_into(st, 2, out->public_key, sizeof(out->public_key));
		read_into(st, 3, out->user_agent, sizeof(out->user_agent));
		read_into(st, 4, out->version, sizeof(out->version));
		read_into(st, 5, out->remote_ip, sizeof(out->remote_ip));
		read_into(st, 6, out->region, sizeof(out->region));
	} else {
		rc = step == SQLITE_DONE ? ERR_NOT_FOUND : fail(s, sqlite3_extended_errcode(s->db));
	}
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return rc;
}

/* ---- changes ----------------------------------------------------------------------------------------------------------------------- */

#define DRAIN_BATCH 64

int store_drain(struct store *s, int (*each)(void *ctx, const struct change *c), void *ctx)
{
	struct change *list = NULL;
	u32 n = 0, cap = 0;
	sqlite3_stmt *st;
	int step, rc = fixed_statement(s, ST_CHANGES, &st);

	/* Read to the end first: the receiver may write, and thereby make new changes. */
	while (!rc && (step = sqlite3_step(st)) != SQLITE_DONE) {
		if (step != SQLITE_ROW) {
			rc = fail(s, sqlite3_extended_errcode(s->db));
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
		read_uuid(st, 2, &c->account_id);
		read_uuid(st, 3, &c->id);
		read_uuid(st, 4, &c->gateway_id);
		read_uuid(st, 5, &c->client_id);
		read_uuid(st, 6, &c->resource_id);
		c->expires_at = sqlite3_column_int64(st, 7);
	}
	sqlite3_reset(st);
	if (!rc && n > 0)
		rc = run_fixed(s, ST_FORGET_CHANGES);
	for (u32 i = 0; i < n && !rc; i++)
		rc = each(ctx, &list[i]);
	free(list);
	return rc;
}

int store_ping(struct store *s)
{
	return run_fixed(s, ST_PING);
}
