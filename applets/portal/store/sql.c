#include "applets/portal/store/store_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- errors ------------------------------------------------------------------------------------------------------------- */

int sql_in_trouble(struct store *s, const char *why)
{
	bool is_known = s->trouble[0] != '\0';

	snprintf(s->reason, sizeof(s->reason), "%s", why);
	snprintf(s->trouble, sizeof(s->trouble), "%s", why);
	if (!is_known && s->told)
		s->told(s->told_ctx, s->trouble);
	return ERR_IO;
}

int sql_fail(struct store *s, int sqlite_rc)
{
	int rc = ERR_IO;

	switch (sqlite_rc & 0xff) {
	case SQLITE_FULL:
		return sql_in_trouble(s, "the disk is full");
	case SQLITE_READONLY:
		return sql_in_trouble(s, "the database is read-only");
	case SQLITE_IOERR:
	case SQLITE_CANTOPEN:
		return sql_in_trouble(s, sqlite3_errmsg(s->db));
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

#define ADDRESS_OF(family, owner) "(SELECT a.address FROM " family "_addresses a WHERE a.account_id=t.account_id AND a." owner "_id=t.id)"

/* How a field is read of the row t. */
const char *sql_computed(const struct field *f)
{
	static const char *const of[COMPUTED_COUNT] = {
		[COMPUTED_BY_GROUP] = "CASE WHEN t.group_id IS NULL THEN t.group_idp_id ELSE"
				      " (SELECT g.idp_id FROM groups g WHERE g.account_id=t.account_id AND g.id=t.group_id) END",
		[COMPUTED_IPV4_OF_CLIENT] = ADDRESS_OF("ipv4", "client"),
		[COMPUTED_IPV6_OF_CLIENT] = ADDRESS_OF("ipv6", "client"),
		[COMPUTED_IPV4_OF_GATEWAY] = ADDRESS_OF("ipv4", "gateway"),
		[COMPUTED_IPV6_OF_GATEWAY] = ADDRESS_OF("ipv6", "gateway"),
	};

	return of[f->computed];
}

static void add_select_list(struct text *t, enum kind k)
{
	add(t, "t.account_id,t.id,t.inserted_at,t.updated_at");
	for (u32 i = 0; i < kinds[k].field_count; i++) {
		const struct field *f = &kinds[k].fields[i];
		if (sql_computed(f))
			add(t, ",%s", sql_computed(f));
		else
			add(t, ",t.%s", f->name);
	}
}

void sql_written_columns(struct strbuf *out, enum kind k)
{
	strbuf_puts(out, "updated_at");
	for (u32 i = 0; i < kinds[k].field_count; i++)
		if (is_column(&kinds[k].fields[i]))
			strbuf_printf(out, ",%s", kinds[k].fields[i].name);
}

void sql_columns(struct strbuf *out, enum kind k)
{
	struct text t = { .n = 0 };

	add_select_list(&t, k);
	strbuf_add(out, t.s, t.n);
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
	case ROW_LIST_AFTER:
		add(t, "SELECT ");
		add_select_list(t, k);
		add(t, " FROM %s t", info->table);
		if (which == ROW_GET)
			add(t, " WHERE t.account_id=?1 AND t.id=?2");
		if (which == ROW_LIST_ACCOUNT)
			add(t, " WHERE t.account_id=?1");
		if (which == ROW_LIST_AFTER)
			add(t, k == KIND_ACCOUNT || info->is_global ? " WHERE t.id>?2" : " WHERE t.account_id=?1 AND t.id>?2");
		add(t, " ORDER BY t.account_id,t.id");
		break;
	case ROW_COUNT:
		break;
	}
}

int sql_prepare(struct store *s, const char *sql, sqlite3_stmt **out)
{
	int rc = sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL);

	return rc == SQLITE_OK ? 0 : sql_fail(s, rc);
}

int sql_row(struct store *s, enum kind k, enum row_statement which, sqlite3_stmt **out)
{
	struct text t = { .n = 0 };

	if (!s->rows[k][which]) {
		make_sql(&t, k, which);
		int rc = sql_prepare(s, t.s, &s->rows[k][which]);
		if (rc)
			return rc;
	}
	*out = s->rows[k][which];
	return 0;
}

int sql_fixed(struct store *s, enum statement which, sqlite3_stmt **out)
{
	if (!s->fixed[which]) {
		int rc = sql_prepare(s, statements[which], &s->fixed[which]);
		if (rc)
			return rc;
	}
	*out = s->fixed[which];
	return 0;
}

int sql_cached(struct store *s, const char *sql, sqlite3_stmt **out)
{
	struct cached_statement *victim = NULL;

	for (size_t i = 0; i < STATEMENTS_CACHED; i++) {
		struct cached_statement *c = &s->cached[i];

		if (c->st && sqlite3_stmt_busy(c->st))
			continue;
		if (c->st && strcmp(c->sql, sql) == 0) {
			c->used = ++s->cache_clock;
			*out = c->st;
			return 0;
		}
		if (!victim || c->used < victim->used)
			victim = c;
	}
	if (!victim) {
		snprintf(s->reason, sizeof(s->reason), "too many questions at once");
		return ERR_LIMIT;
	}
	sqlite3_finalize(victim->st);
	free(victim->sql);
	*victim = (struct cached_statement){ .sql = strdup(sql) };
	int rc = victim->sql ? sql_prepare(s, sql, &victim->st) : ERR_NOMEM;
	if (rc) {
		free(victim->sql);
		*victim = (struct cached_statement){ .sql = NULL };
		return rc;
	}
	victim->used = ++s->cache_clock;
	*out = victim->st;
	return 0;
}

void sql_forget_cached(struct store *s)
{
	for (size_t i = 0; i < STATEMENTS_CACHED; i++) {
		sqlite3_finalize(s->cached[i].st);
		free(s->cached[i].sql);
		s->cached[i] = (struct cached_statement){ .sql = NULL };
	}
}

/* A statement of statements.c that yields whole rows of a kind. */
int sql_select(struct store *s, enum statement which, enum kind k, sqlite3_stmt **out)
{
	struct text list = { .n = 0 }, t = { .n = 0 };

	if (!s->fixed[which]) {
		add_select_list(&list, k);
		const char *at = strstr(statements[which], "%s");
		add(&t, "%.*s%s%s", (int)(at - statements[which]), statements[which], list.s, at + 2);
		int rc = sql_prepare(s, t.s, &s->fixed[which]);
		if (rc)
			return rc;
	}
	*out = s->fixed[which];
	return 0;
}

/* ---- values ------------------------------------------------------------------------------------------------------------------ */

void sql_bind_uuid(sqlite3_stmt *st, int i, const struct uuid *id)
{
	sqlite3_bind_blob(st, i, id->b, sizeof(id->b), SQLITE_STATIC);
}

void sql_bind_text(sqlite3_stmt *st, int i, const char *text)
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
			sql_bind_uuid(st, i, p);
		break;
	case FIELD_TEXT:
		sql_bind_text(st, i, *(char *const *)p);
		break;
	case FIELD_INT:
		if (*(const i64 *)p >= 0)
			sqlite3_bind_int64(st, i, *(const i64 *)p);
		break;
	case FIELD_BOOL:
		sqlite3_bind_int(st, i, *(const bool *)p);
		break;
	case FIELD_TIME:
		if (*(const i64 *)p)
			sqlite3_bind_int64(st, i, *(const i64 *)p);
		break;
	case FIELD_ENUM:
		if (f->names[*(const int *)p][0])
			sql_bind_text(st, i, f->names[*(const int *)p]);
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

void sql_read_uuid(sqlite3_stmt *st, int i, struct uuid *out)
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
		sql_read_uuid(st, i, p);
		break;
	case FIELD_TEXT:
		return text_set(p, (const char *)sqlite3_column_text(st, i));
	case FIELD_INT:
		*(i64 *)p = sqlite3_column_type(st, i) == SQLITE_NULL ? -1 : sqlite3_column_int64(st, i);
		break;
	case FIELD_BOOL:
		*(bool *)p = sqlite3_column_int(st, i) != 0;
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
	sql_read_uuid(st, 0, &e->account_id);
	sql_read_uuid(st, 1, &e->id);
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

void sql_bind_entity(sqlite3_stmt *st, enum kind k, const void *entity, bool is_insert)
{
	const struct entity *e = entity;

	sql_bind_uuid(st, 1, &e->account_id);
	sql_bind_uuid(st, 2, &e->id);
	if (is_insert)
		sqlite3_bind_int64(st, 3, e->inserted_at);
	sqlite3_bind_int64(st, 4, e->updated_at);
	for (u32 i = 0; i < kinds[k].field_count; i++) {
		const struct field *f = &kinds[k].fields[i];
		if (is_column(f) && (is_insert || !(f->flags & FIELD_FIXED)))
			bind_field(st, (int)i + 5, f, entity);
	}
}

/* ---- running ----------------------------------------------------------------------------------------------------------------- */

void sql_reset(sqlite3_stmt *st)
{
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
}

void sql_bind_place(sqlite3_stmt *st, int i, const struct place *p)
{
	if (p->is_known) {
		sqlite3_bind_double(st, i, p->lat);
		sqlite3_bind_double(st, i + 1, p->lon);
	} else {
		sqlite3_bind_null(st, i);
		sqlite3_bind_null(st, i + 1);
	}
}

void sql_read_place(sqlite3_stmt *st, int i, struct place *out)
{
	*out = (struct place){ sqlite3_column_type(st, i) != SQLITE_NULL, sqlite3_column_double(st, i), sqlite3_column_double(st, i + 1) };
}

void sql_read_text(sqlite3_stmt *st, int i, char *out, size_t n)
{
	const char *text = (const char *)sqlite3_column_text(st, i);

	snprintf(out, n, "%s", text ? text : "");
}

void sql_read_session(sqlite3_stmt *st, int i, struct store_session *out)
{
	memset(out, 0, sizeof(*out));
	sql_read_uuid(st, i, &out->token_id);
	out->at = sqlite3_column_int64(st, i + 1);
	sql_read_text(st, i + 2, out->public_key, sizeof(out->public_key));
	sql_read_text(st, i + 3, out->user_agent, sizeof(out->user_agent));
	sql_read_text(st, i + 4, out->version, sizeof(out->version));
	sql_read_text(st, i + 5, out->remote_ip, sizeof(out->remote_ip));
	sql_read_text(st, i + 6, out->region, sizeof(out->region));
	sql_read_text(st, i + 7, out->city, sizeof(out->city));
	sql_read_place(st, i + 8, &out->place);
}

/* Runs a statement that yields no row. */
int sql_run(struct store *s, sqlite3_stmt *st)
{
	int rc = sqlite3_step(st);
	int out = rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : sql_fail(s, sqlite3_extended_errcode(s->db));

	sql_reset(st);
	return out;
}

/* Runs a statement that yields at most one integer; null is 0. */
int sql_run_int(struct store *s, sqlite3_stmt *st, i64 *out)
{
	int rc = sqlite3_step(st), ret = 0;

	*out = 0;
	if (rc == SQLITE_ROW)
		*out = sqlite3_column_int64(st, 0);
	else if (rc != SQLITE_DONE)
		ret = sql_fail(s, sqlite3_extended_errcode(s->db));
	sql_reset(st);
	return ret;
}

/* Runs a statement that yields one row of a kind. */
int sql_run_entity(struct store *s, sqlite3_stmt *st, enum kind k, void *out)
{
	int rc = sqlite3_step(st), ret;

	if (rc == SQLITE_ROW)
		ret = read_entity(s, st, k, out);
	else
		ret = rc == SQLITE_DONE ? ERR_NOT_FOUND : sql_fail(s, sqlite3_extended_errcode(s->db));
	sql_reset(st);
	return ret;
}

int sql_run_each(struct store *s, sqlite3_stmt *st, enum kind k, store_each each, void *ctx)
{
	int rc, ret = 0;

	while (!ret && (rc = sqlite3_step(st)) != SQLITE_DONE) {
		union any_entity row;

		if (rc != SQLITE_ROW) {
			ret = sql_fail(s, sqlite3_extended_errcode(s->db));
			break;
		}
		ret = read_entity(s, st, k, &row);
		if (ret)
			break;
		ret = each(ctx, k, &row);
		entity_deinit(k, &row);
	}
	sql_reset(st);
	return ret;
}

int store_list_after(struct store *s, enum kind k, const struct uuid *account, const struct uuid *after, store_each each, void *ctx)
{
	sqlite3_stmt *st;
	int rc = sql_row(s, k, ROW_LIST_AFTER, &st);

	if (rc)
		return rc;
	if (account)
		sql_bind_uuid(st, 1, account);
	sql_bind_uuid(st, 2, after);
	return sql_run_each(s, st, k, each, ctx);
}

int sql_run_fixed(struct store *s, enum statement which)
{
	sqlite3_stmt *st;
	int rc = sql_fixed(s, which, &st);

	return rc ? rc : sql_run(s, st);
}

int sql_exec(struct store *s, const char *sql)
{
	int rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : sql_fail(s, sqlite3_extended_errcode(s->db));
}
