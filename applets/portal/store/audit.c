/* The audit trail (spec 60 §1.14). Triggers of this connection, made from the field tables, write a row for each change in the transaction
 * that makes it. What values look like, and which are secret, only the field tables know: so the JSON is made by functions of ours. */
#include "applets/portal/store/store_int.h"

#include "core/base/calendar.h"
#include "core/json/json.h"

#include <stdio.h>
#include <time.h>

/* ---- functions for the triggers ---------------------------------------------------------------------------------------------------- */

static bool is_kept(const struct field *f)
{
	return !(f->flags & FIELD_COMPUTED);
}

static bool is_same(sqlite3_value *a, sqlite3_value *b)
{
	int type = sqlite3_value_type(a), n;

	if (type != sqlite3_value_type(b))
		return false;
	if (type == SQLITE_NULL)
		return true;
	if (type == SQLITE_INTEGER)
		return sqlite3_value_int64(a) == sqlite3_value_int64(b);
	n = sqlite3_value_bytes(a);
	return n == sqlite3_value_bytes(b) && (n == 0 || memcmp(sqlite3_value_blob(a), sqlite3_value_blob(b), (size_t)n) == 0);
}

static void put_value(struct json_out *o, const struct field *f, sqlite3_value *v)
{
	char text[RFC3339_STRLEN];
	struct uuid id;
	u64 at;

	if (sqlite3_value_type(v) == SQLITE_NULL) {
		json_put_null(o, f->name);
		return;
	}
	if (f->flags & FIELD_SECRET) {
		json_put_str(o, f->name, "[redacted]");
		return;
	}
	switch ((enum field_type)f->type) {
	case FIELD_UUID:
		if (sqlite3_value_bytes(v) == sizeof(id.b)) {
			memcpy(id.b, sqlite3_value_blob(v), sizeof(id.b));
			json_put_str(o, f->name, uuid_format(&id, text));
		}
		break;
	case FIELD_TEXT:
	case FIELD_ENUM:
		json_put_str(o, f->name, (const char *)sqlite3_value_text(v));
		break;
	case FIELD_INT:
	case FIELD_IP4:
	case FIELD_IP6:
		json_put_u64(o, f->name, (u64)sqlite3_value_int64(v));
		break;
	case FIELD_BOOL:
		json_put_bool(o, f->name, sqlite3_value_int(v) != 0);
		break;
	case FIELD_TIME:
		at = (u64)sqlite3_value_int64(v);
		json_put_str(o, f->name, rfc3339_format(at * 1000, at % 1000000 ? 6 : 0, text));
		break;
	case FIELD_KEY:
		break;
	}
}

static void answer(sqlite3_context *c, struct json_out *o)
{
	json_close(o);
	if (json_ok(o))
		sqlite3_result_text(c, (const char *)json_text(o).p, (int)json_text(o).n, SQLITE_TRANSIENT);
	else
		sqlite3_result_error_nomem(c);
	json_out_free(o);
}

/* audit_row(kind, value of each column): what is not null. */
static void audit_row(sqlite3_context *c, int n, sqlite3_value **v)
{
	const struct kind_info *info = &kinds[sqlite3_value_int(v[0])];
	struct json_out o = JSON_OUT;
	int at = 1;

	json_open(&o, NULL);
	for (u32 i = 0; i < info->field_count; i++) {
		if (!is_kept(&info->fields[i]) || at >= n)
			continue;
		if (sqlite3_value_type(v[at]) != SQLITE_NULL)
			put_value(&o, &info->fields[i], v[at]);
		at++;
	}
	answer(c, &o);
}

/* audit_difference(kind, which, old and new value of each column that can change): which = 0 the old ones, 1 the new. */
static void audit_difference(sqlite3_context *c, int n, sqlite3_value **v)
{
	const struct kind_info *info = &kinds[sqlite3_value_int(v[0])];
	int which = sqlite3_value_int(v[1]), at = 2;
	struct json_out o = JSON_OUT;

	json_open(&o, NULL);
	for (u32 i = 0; i < info->field_count; i++) {
		const struct field *f = &info->fields[i];

		if (!is_kept(f) || f->flags & (FIELD_FIXED | FIELD_QUIET) || at + 1 >= n)
			continue;
		if (!is_same(v[at], v[at + 1]))
			put_value(&o, f, v[at + which]);
		at += 2;
	}
	answer(c, &o);
}

static i64 now_of(const struct store *s)
{
	struct timespec ts;

	if (s->wall)
		return (i64)(s->wall / 1000);
	clock_gettime(CLOCK_REALTIME, &ts);
	return (i64)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

enum who { WHO_AT, WHO_KIND, WHO_ACTOR, WHO_NAME, WHO_EMAIL, WHO_IP, WHO_AGENT };

static void result_text(sqlite3_context *c, const char *text)
{
	if (text[0])
		sqlite3_result_text(c, text, -1, SQLITE_TRANSIENT);
}

static const char *const principals[] = { "operator", "system", "session", "api", "setup" };

/* audit_who(which): who does it, and when; null when there is nothing to say. */
static void audit_who(sqlite3_context *c, int n, sqlite3_value **v)
{
	const struct store *s = sqlite3_user_data(c);
	const struct principal *p = &s->principal;
	enum who which = (enum who)sqlite3_value_int(v[0]);
	char text[IP_STRLEN];

	(void)n;
	if (which > WHO_KIND && !s->has_principal)
		return;
	switch (which) {
	case WHO_AT:
		sqlite3_result_int64(c, now_of(s));
		break;
	case WHO_KIND:
		result_text(c, principals[s->has_principal ? p->kind : PRINCIPAL_SYSTEM]);
		break;
	case WHO_ACTOR:
		if (!uuid_is_null(&p->actor_id))
			sqlite3_result_blob(c, p->actor_id.b, sizeof(p->actor_id.b), SQLITE_TRANSIENT);
		break;
	case WHO_NAME:
		result_text(c, p->actor_name);
		break;
	case WHO_EMAIL:
		result_text(c, p->actor_email);
		break;
	case WHO_IP:
		if (p->remote_ip.family)
			result_text(c, ip_format(&p->remote_ip, text));
		break;
	case WHO_AGENT:
		result_text(c, p->user_agent);
		break;
	}
}

void audit_read_who(sqlite3_stmt *st, int i, struct principal *out)
{
	const char *name = (const char *)sqlite3_column_text(st, i), *ip = (const char *)sqlite3_column_text(st, i + 4);

	*out = (struct principal){ .kind = PRINCIPAL_SYSTEM };
	for (size_t k = 0; name && k < ARRAY_LEN(principals); k++)
		if (strcmp(name, principals[k]) == 0)
			out->kind = (enum principal_kind)k;
	sql_read_uuid(st, i + 1, &out->actor_id);
	sql_read_text(st, i + 2, out->actor_name, sizeof(out->actor_name));
	sql_read_text(st, i + 3, out->actor_email, sizeof(out->actor_email));
	sql_read_text(st, i + 5, out->user_agent, sizeof(out->user_agent));
	if (ip)
		(void)ip_parse(SPAN(ip, strlen(ip)), &out->remote_ip);
}

/* ---- triggers -------------------------------------------------------------------------------------------------------------------------- */

/* What a person calls it; %1$s is OLD or NEW. */
#define NAME_OF(table, column) \
	"coalesce((SELECT n.name FROM " table " n WHERE n.account_id=%1$s.account_id AND n.id=%1$s." column "),'')"

static const char *name_of(enum kind k)
{
	switch ((int)k) {
	case KIND_MEMBERSHIP:
		return NAME_OF("actors", "actor_id") "||' in '||" NAME_OF("groups", "group_id");
	case KIND_POLICY:
		return NAME_OF("groups", "group_id") "||' to '||" NAME_OF("resources", "resource_id");
	case KIND_POOL_MEMBER:
		return NAME_OF("clients", "client_id") "||' in '||" NAME_OF("resources", "resource_id");
	case KIND_CREDENTIAL:
		return NAME_OF("actors", "actor_id") "||': '||coalesce(%1$s.name,replace(%1$s.type,'_',' '))";
	case KIND_CLIENT_TOKEN:
	case KIND_API_TOKEN:
		return NAME_OF("actors", "actor_id") "||coalesce(': '||%1$s.name,'')";
	case KIND_GATEWAY_TOKEN:
		return NAME_OF("sites", "site_id") "||coalesce(': '||%1$s.name,'')";
	case KIND_PORTAL_SESSION:
		return NAME_OF("actors", "actor_id");
	case KIND_IDENTITY:
		return "coalesce(%1$s.email,%1$s.idp_id)";
	case KIND_LINK:
		return "%1$s.purpose||coalesce(' of '||" NAME_OF("actors", "actor_id") ",'')";
	}
	return "%1$s.name";
}

static void put_row(struct strbuf *b, enum kind k, const char *row)
{
	strbuf_printf(b, "audit_row(%d", k);
	for (u32 i = 0; i < kinds[k].field_count; i++)
		if (is_kept(&kinds[k].fields[i]))
			strbuf_printf(b, ",%s.%s", row, kinds[k].fields[i].name);
	strbuf_puts(b, ")");
}

/* For each column that can change: its name by `format`, which takes it up to twice. */
static u32 put_columns(struct strbuf *b, enum kind k, const char *format, const char *separator)
{
	u32 n = 0;

	for (u32 i = 0; i < kinds[k].field_count; i++) {
		const struct field *f = &kinds[k].fields[i];

		if (!is_kept(f) || f->flags & (FIELD_FIXED | FIELD_QUIET))
			continue;
		if (n++ > 0)
			strbuf_puts(b, separator);
		for (const char *p = format; *p; p++) {
			if (*p == '@')
				strbuf_puts(b, f->name);
			else
				strbuf_putc(b, *p);
		}
	}
	return n;
}

static void put_difference(struct strbuf *b, enum kind k, int which)
{
	strbuf_printf(b, "audit_difference(%d,%d,", k, which);
	put_columns(b, k, "OLD.@,NEW.@", ",");
	strbuf_puts(b, ")");
}

static int make_trigger(struct store *s, enum kind k, enum change_op op)
{
	static const char *const ops[] = { "insert", "update", "delete" };
	const char *row = op == CHANGE_DELETE ? "OLD" : "NEW";
	struct strbuf b = { 0 };
	char name[1024];
	bool is_needed = true;
	int rc;

	snprintf(name, sizeof(name), name_of(k), row);
	strbuf_printf(&b, "CREATE TEMP TRIGGER audit_%s_%d AFTER %s ON main.%s ", kinds[k].table, op, ops[op], kinds[k].table);
	if (op == CHANGE_UPDATE) {
		strbuf_puts(&b, "WHEN ");
		is_needed = put_columns(&b, k, "OLD.@ IS NOT NEW.@", " OR ") > 0;
	}
	strbuf_printf(&b, " BEGIN INSERT INTO change_logs(at,account_id,kind,id,op,name,principal,actor_id,actor_name,actor_email,remote_ip,"
		      "user_agent,folded,old,new) VALUES(audit_who(0),%s.account_id,'%s',%s.id,'%s',%s,audit_who(1),audit_who(2),audit_who(3),"
		      "audit_who(4),audit_who(5),audit_who(6),fold(coalesce(%s,'')||' '||coalesce(audit_who(3),'')||' '||"
		      "coalesce(audit_who(4),'')),", row, kinds[k].name, row, ops[op], name, name);
	switch (op) {
	case CHANGE_INSERT:
		strbuf_puts(&b, "NULL,");
		put_row(&b, k, "NEW");
		break;
	case CHANGE_UPDATE:
		put_difference(&b, k, 0);
		strbuf_puts(&b, ",");
		put_difference(&b, k, 1);
		break;
	case CHANGE_DELETE:
		put_row(&b, k, "OLD");
		strbuf_puts(&b, ",NULL");
		break;
	}
	strbuf_puts(&b, "); END");
	rc = !is_needed ? 0 : strbuf_ok(&b) ? sql_exec(s, strbuf_text(&b)) : ERR_NOMEM;
	strbuf_free(&b);
	return rc;
}

int audit_start(struct store *s)
{
	const int flags = SQLITE_UTF8 | SQLITE_INNOCUOUS;
	int rc = sqlite3_create_function(s->db, "audit_row", -1, flags | SQLITE_DETERMINISTIC, s, audit_row, NULL, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_create_function(s->db, "audit_difference", -1, flags | SQLITE_DETERMINISTIC, s, audit_difference, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_create_function(s->db, "audit_who", 1, flags, s, audit_who, NULL, NULL);
	if (rc != SQLITE_OK)
		return sql_fail(s, rc);
	for (int k = 0; k < KIND_COUNT && !rc; k++)
		for (int op = 0; op < 3 && !rc && kinds[k].is_audited; op++)
			rc = make_trigger(s, (enum kind)k, (enum change_op)op);
	return rc;
}

/* ---- asking ------------------------------------------------------------------------------------------------------------------------------ */

static void read_row(sqlite3_stmt *st, struct store_audit *a)
{
	const char *text[9];

	for (int i = 0; i < 9; i++)
		text[i] = (const char *)sqlite3_column_text(st, i + 5);
	*a = (struct store_audit){ .seq = sqlite3_column_int64(st, 0), .at = sqlite3_column_int64(st, 1), .kind = text[0], .op = text[1],
				   .name = text[2], .old_json = text[3], .new_json = text[4], .principal = text[5], .actor_name = text[6],
				   .actor_email = text[7], .remote_ip = text[8],
				   .user_agent = (const char *)sqlite3_column_text(st, 14) };
	sql_read_uuid(st, 2, &a->account_id);
	sql_read_uuid(st, 3, &a->id);
	sql_read_uuid(st, 4, &a->actor_id);
}

#define AUDIT_COLUMNS "seq,at,account_id,id,actor_id,kind,op,name,old,new,principal,actor_name,actor_email,remote_ip,user_agent"
#define AUDIT_COLUMN_COUNT 15

/* Parameters have their numbers whether used or not, so that binding is the same for every question. */
static void make_question(struct strbuf *b, const struct store_audit_query *q)
{
	strbuf_puts(b, "SELECT " AUDIT_COLUMNS);
	if (q->after)
		strbuf_puts(b, ",count(*) OVER () FROM (SELECT *");
	strbuf_puts(b, " FROM change_logs WHERE account_id=?1");
	if (q->text && q->text[0])
		strbuf_printf(b, " AND seq>=(SELECT min(seq) FROM (SELECT seq FROM change_logs WHERE account_id=?1 ORDER BY seq DESC LIMIT %d))",
			      AUDIT_SCAN_MAX);
	if (!uuid_is_null(&q->id))
		strbuf_puts(b, " AND id=?2");
	if (!uuid_is_null(&q->actor_id))
		strbuf_puts(b, " AND actor_id=?3");
	if (q->kind)
		strbuf_puts(b, " AND kind=?4");
	if (q->op)
		strbuf_puts(b, " AND op=?5");
	if (q->text && q->text[0])
		strbuf_puts(b, " AND instr(folded,?6)");
	if (q->from)
		strbuf_puts(b, " AND at>=?7");
	if (q->to)
		strbuf_puts(b, " AND at<?8");
	if (q->before)
		strbuf_puts(b, " AND seq<?9");
	if (q->after)
		strbuf_puts(b, " AND seq>?10 ORDER BY seq LIMIT ?11) ORDER BY seq DESC");
	else
		strbuf_puts(b, " ORDER BY seq DESC LIMIT ?11");
}

static int bind_question(sqlite3_stmt *st, const struct store_audit_query *q, u32 limit, struct strbuf *folded)
{
	sql_bind_uuid(st, 1, &q->account);
	sql_bind_uuid(st, 2, &q->id);
	sql_bind_uuid(st, 3, &q->actor_id);
	sql_bind_text(st, 4, q->kind);
	sql_bind_text(st, 5, q->op);
	fold(SPAN(q->text ? q->text : "", q->text ? strlen(q->text) : 0), folded);
	sql_bind_text(st, 6, strbuf_text(folded));
	sqlite3_bind_int64(st, 7, q->from);
	sqlite3_bind_int64(st, 8, q->to);
	sqlite3_bind_int64(st, 9, q->before);
	sqlite3_bind_int64(st, 10, q->after);
	sqlite3_bind_int64(st, 11, (i64)limit + 1);
	return strbuf_ok(folded) ? 0 : ERR_NOMEM;
}

int store_audit_page(struct store *s, const struct store_audit_query *q, int (*each)(void *ctx, const struct store_audit *a), void *ctx,
		     bool *has_more)
{
	u32 limit = q->limit ? MIN(q->limit, (u32)AUDIT_LIMIT_MAX) : STORE_PAGE_DEFAULT, n = 0;
	struct strbuf b = { 0 }, folded = { 0 };
	struct store_audit a;
	sqlite3_stmt *st = NULL;
	int step, rc;

	*has_more = false;
	make_question(&b, q);
	rc = strbuf_ok(&b) ? sql_cached(s, strbuf_text(&b), &st) : ERR_NOMEM;
	rc = rc ? rc : bind_question(st, q, limit, &folded);
	while (!rc && (step = sqlite3_step(st)) != SQLITE_DONE) {
		if (step != SQLITE_ROW) {
			rc = sql_fail(s, sqlite3_extended_errcode(s->db));
			break;
		}
		/* One more than asked for tells that there is more; it is the furthest: last on the way down, first on the way up. */
		n++;
		if (q->after ? n == 1 && sqlite3_column_int64(st, AUDIT_COLUMN_COUNT) > limit : n > limit) {
			*has_more = true;
			continue;
		}
		read_row(st, &a);
		rc = each(ctx, &a);
	}
	if (st)
		sql_reset(st);
	strbuf_free(&b);
	strbuf_free(&folded);
	return rc;
}
