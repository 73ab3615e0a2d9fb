/* Full-text search (store.h). What people look for is kept folded (model/fold.h) in `search`, a row for each thing that has a name, indexed by
 * trigrams in `search_text`. Triggers of this connection keep both in step; when their definition changes, everything is indexed anew. */
#include "applets/portal/store/store_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEARCH_VERSION 1 /* of the table below; another number in the file: index anew */

static const struct searchable {
	enum kind kind;
	const char *title, *detail, *body; /* of a row t */
} searchables[] = {
	{ KIND_SITE, "t.name", "NULL", "t.name" },
	{ KIND_RESOURCE, "t.name", "t.address", "t.name||' '||coalesce(t.address,'')||' '||coalesce(t.address_description,'')" },
	{ KIND_GROUP, "t.name", "t.email", "t.name||' '||coalesce(t.email,'')" },
	{ KIND_ACTOR, "t.name", "t.email", "t.name||' '||coalesce(t.email,'')" },
	{ KIND_CLIENT, "t.name", "t.device_serial", "t.name||' '||coalesce(t.device_serial,'')||' '||coalesce(t.device_uuid,'')" },
	{ KIND_GATEWAY, "t.name", "NULL", "t.name" },
	{ KIND_POLICY, "coalesce(t.description,'')", "NULL", "coalesce(t.description,'')" },
	{ KIND_AUTH_PROVIDER, "t.name", "t.issuer", "t.name||' '||coalesce(t.issuer,'')" },
	{ KIND_DIRECTORY, "t.name", "coalesce(t.domain,t.tenant_id,t.okta_domain)",
	  "t.name||' '||coalesce(t.domain,t.tenant_id,t.okta_domain,'')" },
	{ KIND_CLIENT_TOKEN, "coalesce(t.name,'')", "NULL", "coalesce(t.name,'')" },
	{ KIND_GATEWAY_TOKEN, "coalesce(t.name,'')", "NULL", "coalesce(t.name,'')" },
	{ KIND_API_TOKEN, "coalesce(t.name,'')", "NULL", "coalesce(t.name,'')" },
};

/* Whose text also finds a row of the kind. */
static const struct {
	enum kind kind, other;
	const char *column;
} referred[] = {
	{ KIND_POLICY, KIND_GROUP, "group_id" },
	{ KIND_POLICY, KIND_RESOURCE, "resource_id" },
	{ KIND_CLIENT, KIND_ACTOR, "actor_id" },
	{ KIND_GATEWAY, KIND_SITE, "site_id" },
	{ KIND_CLIENT_TOKEN, KIND_ACTOR, "actor_id" },
	{ KIND_GATEWAY_TOKEN, KIND_SITE, "site_id" },
	{ KIND_API_TOKEN, KIND_ACTOR, "actor_id" },
	{ KIND_PORTAL_SESSION, KIND_ACTOR, "actor_id" },
	{ KIND_IDENTITY, KIND_ACTOR, "actor_id" },
	{ KIND_CREDENTIAL, KIND_ACTOR, "actor_id" },
	{ KIND_MEMBERSHIP, KIND_ACTOR, "actor_id" },
	{ KIND_MEMBERSHIP, KIND_GROUP, "group_id" },
	{ KIND_AUTHORIZATION, KIND_CLIENT, "client_id" },
	{ KIND_AUTHORIZATION, KIND_RESOURCE, "resource_id" },
	{ KIND_AUTHORIZATION, KIND_GATEWAY, "gateway_id" },
};

static bool is_searchable(enum kind k)
{
	for (size_t i = 0; i < ARRAY_LEN(searchables); i++)
		if (searchables[i].kind == k)
			return true;
	return false;
}

/* ---- keeping it ------------------------------------------------------------------------------------------------------------------- */

static void sql_fold(sqlite3_context *c, int n, sqlite3_value **v)
{
	const void *text = sqlite3_value_text(v[0]);
	struct strbuf b = { 0 };

	(void)n;
	if (!text)
		return;
	fold(SPAN(text, (size_t)sqlite3_value_bytes(v[0])), &b);
	if (strbuf_ok(&b))
		sqlite3_result_text(c, strbuf_text(&b), (int)b.n, SQLITE_TRANSIENT);
	else
		sqlite3_result_error_nomem(c);
	strbuf_free(&b);
}

/* As `text`, but of NEW instead of t. */
static void put_of_new(struct strbuf *b, const char *text)
{
	for (const char *p = text; *p; p++) {
		if (p[0] == 't' && p[1] == '.' && (p == text || p[-1] == '(' || p[-1] == '|' || p[-1] == ',')) {
			strbuf_puts(b, "NEW.");
			p++;
		} else {
			strbuf_putc(b, *p);
		}
	}
}

static int make_triggers(struct store *s, const struct searchable *x)
{
	const struct kind_info *info = &kinds[x->kind];
	struct strbuf b = { 0 };
	int rc;

	strbuf_printf(&b,
		      "CREATE TEMP TRIGGER search_%1$s_0 AFTER INSERT ON main.%1$s BEGIN"
		      " INSERT INTO search_spaces(account_id,kind) SELECT NEW.account_id,'%2$s' WHERE NOT EXISTS"
		      "  (SELECT 1 FROM search_spaces WHERE account_id=NEW.account_id AND kind='%2$s');"
		      " INSERT INTO search(id,account_id,entity_id,title,detail,body) SELECT"
		      "  coalesce((SELECT max(id) FROM search WHERE id BETWEEN p.no<<32 AND (p.no<<32)+4294967295),p.no<<32)+1,"
		      "  NEW.account_id,NEW.id,", info->table, info->name);
	put_of_new(&b, x->title);
	strbuf_puts(&b, ",");
	put_of_new(&b, x->detail);
	strbuf_puts(&b, ",fold(");
	put_of_new(&b, x->body);
	strbuf_printf(&b,
		      ") FROM search_spaces p WHERE p.account_id=NEW.account_id AND p.kind='%2$s'; END;"
		      "CREATE TEMP TRIGGER search_%1$s_1 AFTER UPDATE OF ", info->table, info->name);
	sql_written_columns(&b, x->kind);
	strbuf_printf(&b, " ON main.%s BEGIN UPDATE search SET title=", info->table);
	put_of_new(&b, x->title);
	strbuf_puts(&b, ",detail=");
	put_of_new(&b, x->detail);
	strbuf_puts(&b, ",body=fold(");
	put_of_new(&b, x->body);
	strbuf_puts(&b, ") WHERE account_id=NEW.account_id AND entity_id=NEW.id AND (title,detail,body) IS NOT (");
	put_of_new(&b, x->title);
	strbuf_puts(&b, ",");
	put_of_new(&b, x->detail);
	strbuf_puts(&b, ",fold(");
	put_of_new(&b, x->body);
	strbuf_printf(&b, ")); END;"
		      "CREATE TEMP TRIGGER search_%1$s_2 AFTER DELETE ON main.%1$s BEGIN"
		      " DELETE FROM search WHERE account_id=OLD.account_id AND entity_id=OLD.id; END", info->table);
	rc = strbuf_ok(&b) ? sql_exec(s, strbuf_text(&b)) : ERR_NOMEM;
	strbuf_free(&b);
	return rc;
}

static const char *const index_triggers =
	"CREATE TEMP TRIGGER search_0 AFTER INSERT ON main.search BEGIN"
	" INSERT INTO search_text(rowid,body) VALUES(NEW.id,NEW.body); END;"
	"CREATE TEMP TRIGGER search_1 AFTER UPDATE OF body ON main.search WHEN OLD.body<>NEW.body BEGIN"
	" INSERT INTO search_text(search_text,rowid,body) VALUES('delete',OLD.id,OLD.body);"
	" INSERT INTO search_text(rowid,body) VALUES(NEW.id,NEW.body); END;"
	"CREATE TEMP TRIGGER search_2 AFTER DELETE ON main.search BEGIN"
	" INSERT INTO search_text(search_text,rowid,body) VALUES('delete',OLD.id,OLD.body); END";

static int index_kind(struct store *s, const struct searchable *x)
{
	const struct kind_info *info = &kinds[x->kind];
	struct strbuf b = { 0 };
	int rc;

	strbuf_printf(&b, "INSERT INTO search_spaces(account_id,kind) SELECT DISTINCT account_id,'%1$s' FROM %2$s;"
		      "INSERT INTO search(id,account_id,entity_id,title,detail,body)"
		      " SELECT (p.no<<32)+row_number() OVER (PARTITION BY t.account_id),t.account_id,t.id,%3$s,%4$s,fold(%5$s)"
		      " FROM %2$s t JOIN search_spaces p ON p.account_id=t.account_id AND p.kind='%1$s'",
		      info->name, info->table, x->title, x->detail, x->body);
	rc = strbuf_ok(&b) ? sql_exec(s, strbuf_text(&b)) : ERR_NOMEM;
	strbuf_free(&b);
	return rc;
}

static int index_anew(struct store *s)
{
	char sql[128];
	int rc = sql_exec(s, "BEGIN IMMEDIATE");

	if (rc)
		return rc;
	rc = sql_exec(s, "DELETE FROM search; DELETE FROM search_spaces;");
	for (size_t i = 0; i < ARRAY_LEN(searchables) && !rc; i++)
		rc = index_kind(s, &searchables[i]);
	rc = rc ? rc : sql_exec(s, "INSERT INTO search_text(search_text) VALUES('rebuild')");
	snprintf(sql, sizeof(sql), "INSERT OR REPLACE INTO facts(name,value) VALUES('search_version',%d)", SEARCH_VERSION);
	rc = rc ? rc : sql_exec(s, sql);
	rc = rc ? rc : sql_exec(s, "COMMIT");
	return rc ? store_rollback(s, rc) : 0;
}

int search_start(struct store *s)
{
	const int flags = SQLITE_UTF8 | SQLITE_INNOCUOUS | SQLITE_DETERMINISTIC;
	sqlite3_stmt *st;
	i64 version;
	int rc = sqlite3_create_function(s->db, "fold", 1, flags, s, sql_fold, NULL, NULL);

	rc = rc == SQLITE_OK ? 0 : sql_fail(s, rc);
	rc = rc ? rc : sql_prepare(s, "SELECT value FROM facts WHERE name='search_version'", &st);
	if (rc)
		return rc;
	rc = sql_run_int(s, st, &version);
	sqlite3_finalize(st);
	if (!rc && version != SEARCH_VERSION)
		rc = index_anew(s);
	for (size_t i = 0; i < ARRAY_LEN(searchables) && !rc; i++)
		rc = make_triggers(s, &searchables[i]);
	return rc ? rc : sql_exec(s, index_triggers);
}

/* ---- words -------------------------------------------------------------------------------------------------------------------------- */

#define TRIGRAM 3 /* characters that a word needs to be looked up in the index */

static size_t cut_at_character(const char *p, size_t n, size_t max)
{
	if (n <= max)
		return n;
	for (n = max; n > 0 && ((u8)p[n] & 0xc0) == 0x80;)
		n--;
	return n;
}

static void add_word(struct search_words *w, const char *p, size_t n)
{
	char *text = w->word[w->n].text, *match = w->word[w->n].match;
	u32 characters = 0;

	n = cut_at_character(p, n, WORD_MAX);
	memcpy(text, p, n);
	text[n] = '\0';
	for (size_t i = 0; i < n; i++)
		characters += ((u8)text[i] & 0xc0) != 0x80;
	if (characters >= TRIGRAM) {
		*match++ = '"';
		for (size_t i = 0; i < n; i++) {
			if (text[i] == '"')
				*match++ = '"';
			*match++ = text[i];
		}
		*match++ = '"';
	}
	*match = '\0';
	w->n++;
}

void search_parse(const char *text, struct search_words *out)
{
	struct strbuf b = { .max = 4096 };

	memset(out, 0, sizeof(*out));
	if (!text)
		return;
	fold(SPAN(text, strnlen(text, 1024)), &b);
	for (const char *p = strbuf_text(&b); *p && out->n < WORDS_MAX;) {
		size_t n = strcspn(p, " ");

		if (n > 0)
			add_word(out, p, n);
		p += n;
		p += strspn(p, " ");
	}
	strbuf_free(&b);
}

/* ---- conditions ---------------------------------------------------------------------------------------------------------------------- */

#define BROAD 500 /* rows: from here on it is quicker to walk the list and look at each */

#define IN_SPACE "x.id BETWEEN (SELECT no<<32 FROM search_spaces WHERE account_id=?1 AND kind='%1$s') AND" \
		 " (SELECT (no<<32)+4294967295 FROM search_spaces WHERE account_id=?1 AND kind='%1$s')"
#define TEXT_IN_SPACE "f.rowid BETWEEN (SELECT no<<32 FROM search_spaces WHERE account_id=?1 AND kind='%1$s') AND" \
		      " (SELECT (no<<32)+4294967295 FROM search_spaces WHERE account_id=?1 AND kind='%1$s')"

/* A SELECT of search.id, or of the things, that have a word: by the index when it is long enough, else by looking at each. */
static void put_matches(struct strbuf *b, const char *columns, enum kind k, const struct search_words *w, u32 i)
{
	if (w->word[i].match[0])
		strbuf_printf(b, "SELECT %2$s FROM search_text f JOIN search x ON x.id=f.rowid WHERE f.search_text MATCH ?%3$u AND "
			      TEXT_IN_SPACE, kinds[k].name, columns, WORD_PARAM + i);
	else
		strbuf_printf(b, "SELECT %2$s FROM search x WHERE " IN_SPACE " AND instr(x.body,?%3$u)", kinds[k].name, columns,
			      WORD_PARAM + i);
}

void search_bind(sqlite3_stmt *st, const struct search_words *w)
{
	int n = sqlite3_bind_parameter_count(st);

	for (u32 i = 0; i < w->n && (int)(WORD_PARAM + i) <= n; i++) {
		bool is_indexed = w->word[i].match[0] && !w->word[i].is_broad;
		sql_bind_text(st, (int)(WORD_PARAM + i), is_indexed ? w->word[i].match : w->word[i].text);
	}
}

/* Kinds whose texts find a row of k: itself if it has any, then what it refers to. Columns of t. */
static u32 sources_of(enum kind k, enum kind kind[static 4], const char *column[static 4])
{
	u32 n = 0;

	if (is_searchable(k)) {
		kind[n] = k;
		column[n++] = "id";
	}
	for (size_t i = 0; i < ARRAY_LEN(referred) && n < 4; i++)
		if (referred[i].kind == k) {
			kind[n] = referred[i].other;
			column[n++] = referred[i].column;
		}
	return n;
}

static int count_matches(struct store *s, enum kind k, const struct uuid *account, const struct search_words *w, u32 i, i64 *out)
{
	struct strbuf b = { 0 };
	sqlite3_stmt *st;
	int rc;

	strbuf_puts(&b, "SELECT count(*) FROM (");
	if (w->word[i].match[0])
		strbuf_printf(&b, "SELECT 1 FROM search_text f WHERE f.search_text MATCH ?%2$u AND " TEXT_IN_SPACE, kinds[k].name,
			      WORD_PARAM + i);
	else
		put_matches(&b, "1", k, w, i);
	strbuf_printf(&b, " LIMIT %d)", BROAD);
	rc = strbuf_ok(&b) ? sql_cached(s, strbuf_text(&b), &st) : ERR_NOMEM;
	if (!rc) {
		sql_bind_uuid(st, 1, account);
		search_bind(st, w);
		rc = sql_run_int(s, st, out);
	}
	strbuf_free(&b);
	return rc;
}

int search_condition(struct store *s, enum kind k, const struct uuid *account, struct search_words *w, struct strbuf *sql)
{
	enum kind kind[4];
	const char *column[4];
	u32 n = sources_of(k, kind, column);
	int rc = 0;

	if (n == 0 && w->n > 0) {
		snprintf(s->reason, sizeof(s->reason), "there is no text to look for in %s", kinds[k].table);
		return ERR_INVAL;
	}
	for (u32 i = 0; i < w->n && !rc; i++) {
		i64 total = 0, found = 0;

		for (u32 j = 0; j < n && !rc; j++) {
			rc = count_matches(s, kind[j], account, w, i, &found);
			total += found;
		}
		w->word[i].is_broad = total >= BROAD;
		strbuf_puts(sql, w->word[i].is_broad ? " AND EXISTS(SELECT 1 FROM search x WHERE x.account_id=?1 AND x.entity_id IN(" : " AND (");
		for (u32 j = 0; j < n; j++) {
			if (w->word[i].is_broad) {
				strbuf_printf(sql, "%st.%s", j ? "," : "", column[j]);
			} else {
				strbuf_printf(sql, "%st.%s IN(", j ? " OR " : "", column[j]);
				put_matches(sql, "x.entity_id", kind[j], w, i);
				strbuf_puts(sql, ")");
			}
		}
		if (w->word[i].is_broad)
			strbuf_printf(sql, ") AND instr(x.body,?%u)", WORD_PARAM + i);
		strbuf_puts(sql, ")");
	}
	return rc;
}

/* ---- the search box -------------------------------------------------------------------------------------------------------------------- */

#define HITS_MAX 100
#define CANDIDATES 200 /* of one kind, before the best are chosen */

struct hits {
	struct hit {
		struct store_hit hit;
		char *title, *detail;
		bool is_prefix;
	} at[HITS_MAX];
	u32 n, limit;
};

static int add_hit(struct hits *h, enum kind k, const struct uuid *id, const char *title, const char *detail, bool is_prefix)
{
	struct hit *x = &h->at[h->n];

	if (h->n == HITS_MAX)
		return 0;
	*x = (struct hit){ .hit = { .kind = k, .id = *id }, .is_prefix = is_prefix };
	x->title = strdup(title ? title : "");
	x->detail = detail ? strdup(detail) : NULL;
	x->hit.title = x->title;
	x->hit.detail = x->detail;
	if (!x->title || (detail && !x->detail)) {
		free(x->title);
		free(x->detail);
		return ERR_NOMEM;
	}
	h->n++;
	return 0;
}

/* The best of one kind: those that begin with the first word, then the shorter. */
static int search_kind(struct store *s, const struct searchable *x, const struct uuid *account, struct search_words *w, struct hits *h)
{
	struct strbuf b = { 0 };
	u32 lead = 0, share = MAX(h->limit / 2, 3u);
	sqlite3_stmt *st = NULL;
	int rc, step;

	for (u32 i = 0; i < w->n; i++)
		if (w->word[i].match[0] && !w->word[lead].match[0])
			lead = i;
	strbuf_printf(&b, "SELECT entity_id,title,detail,instr(body,?%u)=1 FROM (", WORD_PARAM + WORDS_MAX);
	put_matches(&b, "x.entity_id,x.title,x.detail,x.body", x->kind, w, lead);
	for (u32 i = 0; i < w->n; i++)
		if (i != lead)
			strbuf_printf(&b, " AND instr(x.body,?%u)", WORD_PARAM + i);
	strbuf_printf(&b, " LIMIT %d) ORDER BY 4 DESC,length(title),title,entity_id LIMIT %u", CANDIDATES, share);
	rc = strbuf_ok(&b) ? sql_cached(s, strbuf_text(&b), &st) : ERR_NOMEM;
	strbuf_free(&b);
	if (rc)
		return rc;
	sql_bind_uuid(st, 1, account);
	for (u32 i = 0; i < w->n; i++)
		sql_bind_text(st, (int)(WORD_PARAM + i), i == lead && w->word[i].match[0] ? w->word[i].match : w->word[i].text);
	sql_bind_text(st, WORD_PARAM + WORDS_MAX, w->word[0].text);
	while (!rc && (step = sqlite3_step(st)) != SQLITE_DONE) {
		struct uuid id;

		if (step != SQLITE_ROW) {
			rc = sql_fail(s, sqlite3_extended_errcode(s->db));
			break;
		}
		sql_read_uuid(st, 0, &id);
		rc = add_hit(h, x->kind, &id, (const char *)sqlite3_column_text(st, 1), (const char *)sqlite3_column_text(st, 2),
			     sqlite3_column_int(st, 3));
	}
	sql_reset(st);
	return rc;
}

/* Policies are called by their group and resource. */
static int search_policies(struct store *s, const struct uuid *account, struct search_words *w, struct hits *h)
{
	struct strbuf b = { 0 };
	sqlite3_stmt *st = NULL;
	int step, rc;

	strbuf_puts(&b, "SELECT t.id,coalesce((SELECT g.name FROM groups g WHERE g.account_id=t.account_id AND g.id=t.group_id),'(no group)')"
			"||' → '||r.name,t.description FROM policies t JOIN resources r ON r.account_id=t.account_id AND r.id=t.resource_id"
			" WHERE t.account_id=?1");
	rc = search_condition(s, KIND_POLICY, account, w, &b);
	strbuf_printf(&b, " LIMIT %u", MAX(h->limit / 4, 3u));
	rc = rc ? rc : strbuf_ok(&b) ? sql_cached(s, strbuf_text(&b), &st) : ERR_NOMEM;
	strbuf_free(&b);
	if (rc)
		return rc;
	sql_bind_uuid(st, 1, account);
	search_bind(st, w);
	while (!rc && (step = sqlite3_step(st)) != SQLITE_DONE) {
		struct uuid id;

		if (step != SQLITE_ROW) {
			rc = sql_fail(s, sqlite3_extended_errcode(s->db));
			break;
		}
		sql_read_uuid(st, 0, &id);
		rc = add_hit(h, KIND_POLICY, &id, (const char *)sqlite3_column_text(st, 1), (const char *)sqlite3_column_text(st, 2), false);
	}
	sql_reset(st);
	return rc;
}

static int by_merit(const void *a, const void *b)
{
	const struct hit *x = a, *y = b;

	if (x->is_prefix != y->is_prefix)
		return x->is_prefix ? -1 : 1;
	size_t n = strlen(x->title), m = strlen(y->title);
	if (n != m)
		return n < m ? -1 : 1;
	int c = strcmp(x->title, y->title);
	return c ? c : uuid_cmp(&x->hit.id, &y->hit.id);
}

int store_search(struct store *s, const struct uuid *account, const char *text, u32 limit,
		 int (*each)(void *ctx, const struct store_hit *hit), void *ctx)
{
	struct search_words *w = malloc(sizeof(*w));
	struct hits *h = calloc(1, sizeof(*h));
	int rc = w && h ? 0 : ERR_NOMEM;

	if (!rc) {
		search_parse(text, w);
		h->limit = MIN(limit, (u32)HITS_MAX);
		for (size_t i = 0; i < ARRAY_LEN(searchables) && !rc && w->n > 0; i++)
			rc = searchables[i].kind == KIND_POLICY ? search_policies(s, account, w, h) :
								  search_kind(s, &searchables[i], account, w, h);
		if (h->n > 0)
			qsort(h->at, h->n, sizeof(h->at[0]), by_merit);
		for (u32 i = 0; i < h->n && i < h->limit && !rc; i++)
			rc = each(ctx, &h->at[i].hit);
		for (u32 i = 0; i < h->n; i++) {
			free(h->at[i].title);
			free(h->at[i].detail);
		}
	}
	free(w);
	free(h);
	return rc;
}
