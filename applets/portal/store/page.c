/* Lists (store.h): filters, sorting and pages, made into statements from the field tables; whatever somebody asked is only ever bound. A page
 * is two steps: the ids in order, which an index answers alone, then the rows of these. */
#include "applets/portal/store/store_int.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Parameters: 1 account, 2 sort key and 3 id of the cursor, 4 limit, 5 … values of filters, WORD_PARAM … words. */
#define PARAM_KEY 2
#define PARAM_ID 3
#define PARAM_LIMIT 4
#define PARAM_FILTER 5
_Static_assert(PARAM_FILTER + STORE_FILTERS_MAX <= WORD_PARAM, "parameters overlap");

/* ---- sorting ----------------------------------------------------------------------------------------------------------------------- */

enum sort_type { SORT_TEXT, SORT_NUMBER };

/* Each has an index (schema.c), so that no page needs a sort; kinds of few rows need none. */
static const struct sort {
	const char *name, *expr;
	enum sort_type type;
	const char *collation;
	u32 kinds;
} sorts[] = {
#define K(kind) (1u << KIND_##kind)
	{ "inserted_at", "t.inserted_at", SORT_NUMBER, "", ~0u },
	{ "updated_at", "t.updated_at", SORT_NUMBER, "", K(ACTOR) | K(GROUP) | K(SITE) | K(POLICY) | K(AUTH_PROVIDER) | K(DIRECTORY) },
	{ "name", "t.name", SORT_TEXT, " COLLATE NOCASE",
	  K(ACTOR) | K(GROUP) | K(SITE) | K(RESOURCE) | K(CLIENT) | K(GATEWAY) | K(AUTH_PROVIDER) | K(DIRECTORY) | K(ACCOUNT) },
	{ "type", "t.type", SORT_TEXT, "", K(ACTOR) },
	{ "email", "coalesce(t.email,'')", SORT_TEXT, "", K(ACTOR) },
	{ "address", "coalesce(t.address,'')", SORT_TEXT, "", K(RESOURCE) },
	{ "last_seen_at", "coalesce(t.last_seen_at,0)", SORT_NUMBER, "", K(CLIENT) | K(GATEWAY) },
	{ "expires_at", "t.expires_at", SORT_NUMBER, "", K(API_TOKEN) },
#undef K
};

static int refuse(struct store *s, const char *what, const char *value, enum kind k)
{
	snprintf(s->reason, sizeof(s->reason), "%s '%.64s' is unknown for %s", what, value ? value : "", kinds[k].table);
	return ERR_INVAL;
}

static int find_sort(struct store *s, const struct store_query *q, const struct sort **out)
{
	const char *name = q->sort && q->sort[0] ? q->sort : "inserted_at";

	for (size_t i = 0; i < ARRAY_LEN(sorts); i++)
		if (sorts[i].kinds & 1u << q->kind && strcmp(sorts[i].name, name) == 0) {
			*out = &sorts[i];
			return 0;
		}
	return refuse(s, "sorting by", name, q->kind);
}

/* ---- filters ------------------------------------------------------------------------------------------------------------------------- */

/* Fields that are reached through another table: an id, for which ?%u stands. Of the account ?1: a subquery that does not depend on the row is
 * worked out once. */
static const struct {
	enum kind kind;
	const char *name, *condition;
} reached[] = {
	{ KIND_ACTOR, "group_id", "t.id IN(SELECT m.actor_id FROM memberships m WHERE m.account_id=?1 AND m.group_id=?%u)" },
	{ KIND_ACTOR, "directory_id",
	  "(t.created_by_directory_id=?%1$u OR t.id IN(SELECT i.actor_id FROM external_identities i WHERE i.account_id=?1"
	  " AND i.directory_id=?%1$u))" },
	{ KIND_GROUP, "actor_id", "t.id IN(SELECT m.group_id FROM memberships m WHERE m.account_id=?1 AND m.actor_id=?%u)" },
	{ KIND_RESOURCE, "group_id", "t.id IN(SELECT p.resource_id FROM policies p WHERE p.account_id=?1 AND p.group_id=?%u)" },
	{ KIND_RESOURCE, "client_id",
	  "t.id IN(SELECT m.resource_id FROM static_device_pool_members m WHERE m.account_id=?1 AND m.client_id=?%u)" },
	{ KIND_POLICY, "site_id", "(SELECT r.site_id FROM resources r WHERE r.account_id=?1 AND r.id=t.resource_id)=?%u" },
	{ KIND_CLIENT, "resource_id",
	  "t.id IN(SELECT m.client_id FROM static_device_pool_members m WHERE m.account_id=?1 AND m.resource_id=?%u)" },
	{ KIND_CLIENT, "group_id",
	  "t.actor_id IN(SELECT m.actor_id FROM memberships m WHERE m.account_id=?1 AND m.group_id=?%u)" },
	{ KIND_AUTHORIZATION, "actor_id", "t.client_id IN(SELECT c.id FROM clients c WHERE c.account_id=?1 AND c.actor_id=?%u)" },
};

struct value {
	enum { VALUE_NONE, VALUE_UUID, VALUE_TEXT, VALUE_NUMBER } type;
	struct uuid id;
	const char *text;
	i64 number;
};

static const struct field entity_fields[] = {
	{ "id", 0, FIELD_UUID, 0, NULL, COMPUTED_NOT, 0 },
	{ "inserted_at", 0, FIELD_TIME, 0, NULL, COMPUTED_NOT, 0 },
	{ "updated_at", 0, FIELD_TIME, 0, NULL, COMPUTED_NOT, 0 },
};

static const struct field *find_field(enum kind k, const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(entity_fields); i++)
		if (strcmp(entity_fields[i].name, name) == 0)
			return &entity_fields[i];
	for (u32 i = 0; i < kinds[k].field_count; i++)
		if (strcmp(kinds[k].fields[i].name, name) == 0 && !(kinds[k].fields[i].flags & FIELD_SECRET))
			return &kinds[k].fields[i];
	return NULL;
}

static bool parse_number(const char *text, i64 *out)
{
	char *end;

	*out = strtoll(text, &end, 10);
	return *text && !*end;
}

static bool parse_value(const struct field *f, const char *text, struct value *v)
{
	*v = (struct value){ .text = text };
	if (!text)
		return false;
	switch ((enum field_type)f->type) {
	case FIELD_UUID:
		v->type = VALUE_UUID;
		return uuid_parse(SPAN(text, strlen(text)), &v->id) == 0;
	case FIELD_ENUM:
		v->type = VALUE_TEXT;
		return enum_parse(f->names, text) >= 0;
	case FIELD_TEXT:
		v->type = VALUE_TEXT;
		return true;
	case FIELD_INT:
	case FIELD_TIME:
	case FIELD_IP4:
	case FIELD_IP6:
		v->type = VALUE_NUMBER;
		return parse_number(text, &v->number);
	case FIELD_BOOL:
		v->type = VALUE_NUMBER;
		v->number = strcmp(text, "true") == 0;
		return v->number || strcmp(text, "false") == 0;
	case FIELD_KEY:
		break;
	}
	return false;
}

static bool is_status(enum kind k, const struct store_filter *f, struct strbuf *sql)
{
	static const struct {
		const char *value, *column, *is;
	} states[] = {
		{ "active", "disabled_at", "NULL" },
		{ "disabled", "disabled_at", "NOT NULL" },
		{ "verified", "verified_at", "NOT NULL" },
		{ "unverified", "verified_at", "NULL" },
	};

	if (strcmp(f->field, "status") != 0 || f->op != FILTER_IS || !f->value)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(states); i++)
		if (strcmp(states[i].value, f->value) == 0 && find_field(k, states[i].column)) {
			strbuf_printf(sql, " AND t.%s IS %s", states[i].column, states[i].is);
			return true;
		}
	return false;
}

static int add_filter(struct store *s, enum kind k, const struct store_filter *f, u32 param, struct strbuf *sql, struct value *v)
{
	static const char *const ops[] = { "=", "IS NOT", "<", ">", "IS NULL", "NOT NULL" };
	const struct field *field;

	*v = (struct value){ .type = VALUE_NONE };
	if (!f->field)
		return refuse(s, "filter", "", k);
	if (is_status(k, f, sql))
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(reached); i++) {
		if (reached[i].kind != k || strcmp(reached[i].name, f->field) != 0 || f->op != FILTER_IS)
			continue;
		v->type = VALUE_UUID;
		if (!f->value || uuid_parse(SPAN(f->value, strlen(f->value)), &v->id))
			return refuse(s, "value", f->value, k);
		strbuf_puts(sql, " AND ");
		strbuf_printf(sql, reached[i].condition, param);
		return 0;
	}
	field = find_field(k, f->field);
	if (!field)
		return refuse(s, "filter", f->field, k);
	strbuf_puts(sql, " AND ");
	if (sql_computed(field))
		strbuf_printf(sql, "(%s)", sql_computed(field));
	else
		strbuf_printf(sql, "t.%s", field->name);
	strbuf_printf(sql, " %s", ops[f->op]);
	if (f->op == FILTER_IS_NULL || f->op == FILTER_NOT_NULL)
		return 0;
	strbuf_printf(sql, "?%u", param);
	if (f->op == FILTER_IS && strcmp(f->field, "name") == 0) /* what the index goes by */
		strbuf_printf(sql, " AND t.name=?%u COLLATE NOCASE", param);
	return parse_value(field, f->value, v) ? 0 : refuse(s, "value", f->value, k);
}

#define TOO_MANY_FILTERS "at most %d filters", STORE_FILTERS_MAX

static int add_filters(struct store *s, enum kind k, const struct store_filter *filters, u32 n, struct strbuf *sql,
		       struct value values[static STORE_FILTERS_MAX])
{
	int rc = 0;

	if (n > STORE_FILTERS_MAX) {
		snprintf(s->reason, sizeof(s->reason), TOO_MANY_FILTERS);
		return ERR_LIMIT;
	}
	for (u32 i = 0; i < n && !rc; i++)
		rc = add_filter(s, k, &filters[i], PARAM_FILTER + i, sql, &values[i]);
	return rc;
}

static void bind_filters(sqlite3_stmt *st, u32 n, const struct value values[static STORE_FILTERS_MAX])
{
	int last = sqlite3_bind_parameter_count(st);

	for (u32 i = 0; i < n && (int)(PARAM_FILTER + i) <= last; i++) {
		int at = (int)(PARAM_FILTER + i);

		switch (values[i].type) {
		case VALUE_NONE:
			break;
		case VALUE_UUID:
			sql_bind_uuid(st, at, &values[i].id);
			break;
		case VALUE_TEXT:
			sql_bind_text(st, at, values[i].text);
			break;
		case VALUE_NUMBER:
			sqlite3_bind_int64(st, at, values[i].number);
			break;
		}
	}
}

/* ---- all that fit --------------------------------------------------------------------------------------------------------------------- */

static bool is_reached(const struct store_filter *f)
{
	for (size_t i = 0; i < ARRAY_LEN(reached); i++)
		if (f->field && strcmp(reached[i].name, f->field) == 0)
			return true;
	return false;
}

int store_select(struct store *s, enum kind k, const struct uuid *account, const struct store_filter *filters, u32 n, u32 limit,
		 store_each each, void *ctx)
{
	struct value values[STORE_FILTERS_MAX];
	struct strbuf b = { 0 };
	sqlite3_stmt *st;
	int rc;

	strbuf_puts(&b, "SELECT ");
	sql_columns(&b, k);
	strbuf_printf(&b, " FROM %s t WHERE %s", kinds[k].table, account ? "t.account_id=?1" : "1");
	rc = add_filters(s, k, filters, n, &b, values);
	for (u32 i = 0; i < n && !rc && !account; i++)
		if (is_reached(&filters[i]) && !find_field(k, filters[i].field))
			rc = refuse(s, "of all accounts, filter", filters[i].field, k);
	strbuf_puts(&b, " ORDER BY t.inserted_at,t.id");
	if (limit)
		strbuf_printf(&b, " LIMIT ?%d", PARAM_LIMIT);
	rc = rc ? rc : strbuf_ok(&b) ? sql_cached(s, strbuf_text(&b), &st) : ERR_NOMEM;
	strbuf_free(&b);
	if (rc)
		return rc;
	if (account)
		sql_bind_uuid(st, 1, account);
	if (limit)
		sqlite3_bind_int64(st, PARAM_LIMIT, limit);
	bind_filters(st, n, values);
	return sql_run_each(s, st, k, each, ctx);
}

struct found {
	void *out;
	bool is_found;
	int rc;
};

static int take_copy(void *ctx, enum kind k, const void *row)
{
	struct found *f = ctx;

	f->rc = entity_copy(k, f->out, row);
	f->is_found = f->rc == 0;
	return f->rc;
}

int store_find(struct store *s, enum kind k, const struct uuid *account, const struct store_filter *filters, u32 n, void *out)
{
	struct found f = { .out = out };
	int rc = store_select(s, k, account, filters, n, 1, take_copy, &f);

	return rc ? rc : f.is_found ? 0 : ERR_NOT_FOUND;
}

/* ---- cursors ---------------------------------------------------------------------------------------------------------------------------- */

/* Where a page begins or ends: "behind the row of this key and id", or before it. As text: base64url of kind, sort, flags, id, key. */
#define KEY_MAX 1100 /* 255 characters of a name */

struct position {
	bool is_backward;
	struct uuid id;
	i64 number;
	char text[KEY_MAX];
	size_t n;
};

#define CURSOR_HEAD (3 + 16)
#define CURSOR_FORMAT 1u

static void write_cursor(const struct store_query *q, const struct sort *sort, const struct position *at, bool is_backward,
			 char out[static STORE_CURSOR_MAX])
{
	u8 raw[CURSOR_HEAD + KEY_MAX];
	size_t n = CURSOR_HEAD;

	raw[0] = (u8)(CURSOR_FORMAT << 4 | (q->is_descending ? 2u : 0) | (is_backward ? 1u : 0));
	raw[1] = (u8)q->kind;
	raw[2] = (u8)(sort - sorts);
	memcpy(raw + 3, at->id.b, sizeof(at->id.b));
	if (sort->type == SORT_NUMBER) {
		for (int i = 0; i < 8; i++)
			raw[n++] = (u8)((u64)at->number >> (56 - 8 * i));
	} else {
		memcpy(raw + n, at->text, at->n);
		n += at->n;
	}
	sodium_bin2base64(out, STORE_CURSOR_MAX, raw, n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

static int read_cursor(struct store *s, const struct store_query *q, const struct sort *sort, struct position *at)
{
	u8 raw[CURSOR_HEAD + KEY_MAX];
	size_t n;
	u64 number = 0;

	memset(at, 0, sizeof(*at));
	if (sodium_base642bin(raw, sizeof(raw), q->cursor, strlen(q->cursor), NULL, &n, NULL, sodium_base64_VARIANT_URLSAFE_NO_PADDING) ||
	    n < CURSOR_HEAD || raw[0] >> 4 != CURSOR_FORMAT || raw[0] & 0xc || !!(raw[0] & 2) != q->is_descending || raw[1] != q->kind ||
	    raw[2] != sort - sorts || n - CURSOR_HEAD >= KEY_MAX || (sort->type == SORT_NUMBER && n != CURSOR_HEAD + 8)) {
		snprintf(s->reason, sizeof(s->reason), "this is no cursor of this list");
		return ERR_INVAL;
	}
	at->is_backward = raw[0] & 1;
	memcpy(at->id.b, raw + 3, sizeof(at->id.b));
	at->n = n - CURSOR_HEAD;
	memcpy(at->text, raw + CURSOR_HEAD, at->n);
	for (int i = 0; i < 8 && sort->type == SORT_NUMBER; i++)
		number = number << 8 | raw[CURSOR_HEAD + i];
	at->number = (i64)number;
	return 0;
}

/* ---- pages ------------------------------------------------------------------------------------------------------------------------------- */

static struct uuid id_of(sqlite3_value *v)
{
	struct uuid id = { { 0 } };

	if (sqlite3_value_bytes(v) == sizeof(id.b))
		memcpy(id.b, sqlite3_value_blob(v), sizeof(id.b));
	return id;
}

/* page_keep(id): what the asker decides, and among what. */
static void page_keep(sqlite3_context *c, int n, sqlite3_value **v)
{
	const struct store *s = sqlite3_user_data(c);
	struct uuid id = id_of(v[0]);

	(void)n;
	sqlite3_result_int(c, (!s->keep || s->keep(s->keep_ctx, &id)) && (!s->among || ids_has(s->among, &id)));
}

/* page_found(id): does its text have the words that are looked for? */
static void page_found(sqlite3_context *c, int n, sqlite3_value **v)
{
	struct uuid id = id_of(v[0]);
	int rc = search_has(sqlite3_user_data(c), &id);

	(void)n;
	if (rc < 0)
		sqlite3_result_error_nomem(c);
	else
		sqlite3_result_int(c, rc);
}

/* page_gathered(id, filter) */
static void page_gathered(sqlite3_context *c, int n, sqlite3_value **v)
{
	const struct store *s = sqlite3_user_data(c);
	struct uuid id = id_of(v[0]);

	(void)n;
	sqlite3_result_int(c, ids_has(&s->gathered[sqlite3_value_int(v[1])], &id));
}

int page_start(struct store *s)
{
	int rc = sqlite3_create_function(s->db, "page_keep", 1, SQLITE_UTF8, s, page_keep, NULL, NULL);

	rc = rc == SQLITE_OK ? sqlite3_create_function(s->db, "page_found", 1, SQLITE_UTF8, s, page_found, NULL, NULL) : rc;
	rc = rc == SQLITE_OK ? sqlite3_create_function(s->db, "page_gathered", 2, SQLITE_UTF8, s, page_gathered, NULL, NULL) : rc;
	return rc == SQLITE_OK ? 0 : sql_fail(s, rc);
}

struct page {
	const struct store_query *q;
	const struct sort *sort;
	bool has_cursor;
	struct position at; /* of the cursor */
	u32 limit;
	struct search_words words;
	struct value values[STORE_FILTERS_MAX];
	struct strbuf where; /* account, filters, words, keeper */
	bool is_few;	     /* by a filter: these are sorted */
	u32 n;		     /* rows found, one more than the limit if there are more */
	struct uuid ids[STORE_PAGE_MAX + 1];
	struct position first, last; /* of those shown */
};

/* Filters of large tables by an index that is not in the order of the list. Few rows are taken from it and sorted. When they are many, the
 * others are a set, for which the index is enough, and each row of the list is asked whether it is in it; or rows are looked at in its order. */
static const struct gathering {
	enum kind kind;
	enum filter_op op;
	const char *field, *value, *rows, *others, *many;
} gatherings[] = {
	{ KIND_ACTOR, FILTER_IS, "type", NULL, "t.type=?2", "t.type<?2 UNION ALL SELECT t.id FROM actors t WHERE t.account_id=?1 AND t.type>?2", NULL },
	{ KIND_ACTOR, FILTER_IS_NOT, "type", NULL, NULL, "t.type=?2", NULL },
	{ KIND_ACTOR, FILTER_IS, "status", "disabled", "t.disabled_at IS NOT NULL", "+t.disabled_at IS NULL", NULL }, /* has the index of types, too */
	{ KIND_ACTOR, FILTER_IS, "status", "active", NULL, "+t.disabled_at IS NOT NULL", NULL },
	{ KIND_CLIENT, FILTER_IS, "status", "verified", "t.verified_at IS NOT NULL", NULL, " AND +t.verified_at IS NOT NULL" },
};

static const struct gathering *gathering_of(enum kind k, const struct store_filter *f)
{
	for (const struct gathering *g = gatherings; g < gatherings + ARRAY_LEN(gatherings); g++)
		if (g->kind == k && f->op == g->op && f->field && f->value && strcmp(f->field, g->field) == 0 && (!g->value || strcmp(f->value, g->value) == 0))
			return g;
	return NULL;
}

static int gather(struct store *s, struct page *p, const char *rows, u32 i, int limit)
{
	char sql[240];
	sqlite3_stmt *st;
	int step, rc;

	snprintf(sql, sizeof(sql), "SELECT t.id FROM %s t WHERE t.account_id=?1 AND %s LIMIT %d", kinds[p->q->kind].table, rows, limit);
	ids_free(&s->gathered[i]);
	rc = sql_cached(s, sql, &st);
	if (rc)
		return rc;
	sql_bind_uuid(st, 1, &p->q->account);
	if (sqlite3_bind_parameter_count(st) > 1)
		sql_bind_text(st, 2, p->q->filters[i].value);
	while (!rc && (step = sqlite3_step(st)) != SQLITE_DONE) {
		struct uuid id = { { 0 } };

		if (step == SQLITE_ROW)
			sql_read_uuid(st, 0, &id);
		rc = step == SQLITE_ROW ? ids_add(&s->gathered[i], &id) : sql_fail(s, sqlite3_extended_errcode(s->db));
	}
	sql_reset(st);
	return rc;
}

static int add_gathered(struct store *s, struct page *p, u32 i, bool *is_added)
{
	const struct gathering *g = gathering_of(p->q->kind, &p->q->filters[i]);
	int rc = g && g->rows ? gather(s, p, g->rows, i, STORE_AMONG_MIN + 1) : 0;

	*is_added = g && (!g->rows || s->gathered[i].n > STORE_AMONG_MIN);
	p->is_few |= g && !*is_added;
	if (*is_added && g->many) {
		strbuf_puts(&p->where, g->many);
	} else if (*is_added) {
		rc = rc ? rc : gather(s, p, g->others, i, -1);
		strbuf_printf(&p->where, " AND NOT page_gathered(t.id,%u)", i);
	}
	return rc;
}

static int make_where(struct store *s, struct page *p)
{
	int rc = 0;

	strbuf_printf(&p->where, " FROM %s t WHERE t.account_id=?1", kinds[p->q->kind].table);
	if (p->q->n_filters > STORE_FILTERS_MAX) {
		snprintf(s->reason, sizeof(s->reason), TOO_MANY_FILTERS);
		return ERR_LIMIT;
	}
	for (u32 i = 0; i < p->q->n_filters && !rc; i++) {
		bool is_added;
		rc = add_gathered(s, p, i, &is_added);
		if (!rc && !is_added)
			rc = add_filter(s, p->q->kind, &p->q->filters[i], PARAM_FILTER + i, &p->where, &p->values[i]);
	}
	if (p->q->keep || p->q->among) /* before the words: that costs less */
		strbuf_puts(&p->where, " AND page_keep(t.id)");
	search_parse(p->q->text, &p->words);
	rc = rc ? rc : search_condition(s, p->q->kind, &p->q->account, &p->words, &p->where);
	return rc ? rc : strbuf_ok(&p->where) ? 0 : ERR_NOMEM;
}

static void bind_where(const struct page *p, sqlite3_stmt *st)
{
	sql_bind_uuid(st, 1, &p->q->account);
	bind_filters(st, p->q->n_filters, p->values);
	search_bind(st, &p->words);
}

static void note_place(const struct page *p, sqlite3_stmt *st, struct position *out)
{
	sql_read_uuid(st, 1, &out->id);
	if (p->sort->type == SORT_NUMBER) {
		out->number = sqlite3_column_int64(st, 0);
	} else {
		const char *text = (const char *)sqlite3_column_text(st, 0);
		out->n = MIN((size_t)sqlite3_column_bytes(st, 0), (size_t)KEY_MAX - 1);
		memcpy(out->text, text ? text : "", text ? out->n : 0);
	}
}

static int find_ids(struct store *s, struct page *p)
{
	bool is_down = p->q->is_descending != p->at.is_backward;
	/* few that were found are sorted: in the order of an index all rows would be asked whether they are one of them */
	const char *by_hand = p->is_few || (p->words.n > 0 && s->is_listed) ? "+" : "";
	struct strbuf b = { 0 };
	sqlite3_stmt *st = NULL;
	int step, rc;

	strbuf_printf(&b, "SELECT %s,t.id%s", p->sort->expr, strbuf_text(&p->where));
	if (p->has_cursor)
		strbuf_printf(&b, " AND (%s%s,t.id)%s(?%d,?%d)", p->sort->expr, p->sort->collation, is_down ? "<" : ">", PARAM_KEY, PARAM_ID);
	strbuf_printf(&b, " ORDER BY %s%s%s%s,t.id%s LIMIT ?%d", by_hand, p->sort->expr, p->sort->collation, is_down ? " DESC" : "",
		      is_down ? " DESC" : "", PARAM_LIMIT);
	rc = strbuf_ok(&b) ? sql_cached(s, strbuf_text(&b), &st) : ERR_NOMEM;
	strbuf_free(&b);
	if (rc)
		return rc;
	bind_where(p, st);
	sqlite3_bind_int64(st, PARAM_LIMIT, (i64)p->limit + 1);
	if (p->has_cursor) {
		sql_bind_uuid(st, PARAM_ID, &p->at.id);
		if (p->sort->type == SORT_NUMBER)
			sqlite3_bind_int64(st, PARAM_KEY, p->at.number);
		else
			sqlite3_bind_text(st, PARAM_KEY, p->at.text, (int)p->at.n, SQLITE_STATIC);
	}
	while ((step = sqlite3_step(st)) == SQLITE_ROW && p->n <= p->limit) {
		if (p->n < p->limit)
			note_place(p, st, p->n == 0 ? &p->first : &p->last);
		sql_read_uuid(st, 1, &p->ids[p->n++]);
	}
	if (step != SQLITE_DONE && step != SQLITE_ROW)
		rc = sql_fail(s, sqlite3_extended_errcode(s->db));
	sql_reset(st);
	if (p->n == 1 || p->limit == 1)
		p->last = p->first;
	return rc;
}

/* Of what is walked through each row costs more. */
static i64 rough_limit(const struct store *s, const struct page *p)
{
	bool is_walked = p->words.n > 0 && !s->is_listed && (p->q->n_filters > 0 || p->q->keep || p->q->among);

	return is_walked ? STORE_COUNT_ROUGH / 5 : STORE_COUNT_ROUGH;
}

static int count_rows(struct store *s, struct page *p, struct store_page *out)
{
	bool is_rough = p->q->is_rough, is_narrowed = p->q->n_filters > 0 || p->q->keep;
	struct strbuf b = { 0 };
	sqlite3_stmt *st = NULL;
	int rc;

	if (!p->has_cursor && p->n <= p->limit) {
		out->count = p->n;
		return 0;
	}
	if (p->words.n > 0 && !is_narrowed && !p->q->among) {
		rc = search_count(s, p->q->kind, is_rough, &out->count);
		out->is_more = is_rough && out->count == STORE_COUNT_ROUGH;
		if (rc != ERR_UNSUPPORTED)
			return rc;
	}
	if (p->words.n == 0 && !is_narrowed && p->q->among) {
		out->count = p->q->among->n;
		return 0;
	}
	if (p->words.n == 0 && !is_narrowed && counts_keep(p->q->kind))
		return store_rows(s, p->q->kind, &p->q->account, &out->count);
	strbuf_printf(&b, is_rough ? "SELECT count(*) FROM (SELECT 1%s LIMIT %lld)" : "SELECT count(*)%s", strbuf_text(&p->where), (long long)rough_limit(s, p));
	rc = strbuf_ok(&b) ? sql_cached(s, strbuf_text(&b), &st) : ERR_NOMEM;
	strbuf_free(&b);
	if (rc)
		return rc;
	bind_where(p, st);
	rc = sql_run_int(s, st, &out->count);
	out->is_more = is_rough && out->count == rough_limit(s, p);
	return rc;
}

static int hand_over(struct store *s, const struct page *p, u32 n, store_each each, void *ctx)
{
	int rc = 0;

	for (u32 i = 0; i < n && !rc; i++) {
		const struct uuid *id = &p->ids[p->at.is_backward ? n - 1 - i : i];
		union any_entity row;

		rc = store_get(s, p->q->kind, &p->q->account, id, &row);
		if (rc == ERR_NOT_FOUND) { /* deleted by who was told of the one before */
			rc = 0;
			continue;
		}
		if (rc)
			break;
		rc = each(ctx, p->q->kind, &row);
		entity_deinit(p->q->kind, &row);
	}
	return rc;
}

int store_page(struct store *s, const struct store_query *q, store_each each, void *ctx, struct store_page *out)
{
	struct page *p = calloc(1, sizeof(*p));
	int rc = p ? find_sort(s, q, &p->sort) : ERR_NOMEM;

	if (!rc && q->cursor)
		rc = read_cursor(s, q, p->sort, &p->at);
	if (p)
		p->has_cursor = q->cursor != NULL;
	memset(out, 0, sizeof(*out)); /* the cursor may lie in it */
	if (!p)
		return rc;
	p->q = q;
	p->limit = q->limit ? MIN(q->limit, (u32)STORE_PAGE_MAX) : STORE_PAGE_DEFAULT;
	s->keep = q->keep;
	s->keep_ctx = q->keep_ctx;
	s->among = q->among;
	rc = rc ? rc : make_where(s, p);
	rc = rc ? rc : find_ids(s, p);
	if (!rc && q->wants_count)
		rc = count_rows(s, p, out);
	s->keep = NULL;
	s->among = NULL;
	search_end(s);
	for (u32 i = 0; i < STORE_FILTERS_MAX; i++)
		ids_free(&s->gathered[i]);
	if (!rc) {
		bool has_more = p->n > p->limit;

		out->n = MIN(p->n, p->limit);
		out->has_next = p->at.is_backward ? true : has_more;
		out->has_prev = p->at.is_backward ? has_more : p->has_cursor;
		if (out->n == 0) /* everything behind the cursor is gone: what is left lies on the other side */
			p->first = p->last = p->at;
		if (out->has_next)
			write_cursor(q, p->sort, p->at.is_backward ? &p->first : &p->last, false, out->next);
		if (out->has_prev)
			write_cursor(q, p->sort, p->at.is_backward ? &p->last : &p->first, true, out->prev);
		rc = hand_over(s, p, out->n, each, ctx);
	}
	strbuf_free(&p->where);
	free(p);
	return rc;
}
