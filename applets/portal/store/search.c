/* Full-text search (store.h). What people look for is kept folded (model/fold.h) in `search`, a row for each thing that has a name, indexed by
 * trigrams in `search_text`. Triggers of this connection keep both in step; when their definition changes, everything is indexed anew. */
#include "applets/portal/store/store_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEARCH_VERSION 3 /* of the tables below; another number in the file: index anew */

#define ACTOR_OF(column) "(SELECT a." column " FROM actors a WHERE a.account_id=t.account_id AND a.id=t.actor_id)"
#define SITE_OF "(SELECT s.name FROM sites s WHERE s.account_id=t.account_id AND s.id=t.site_id)"
#define GROUP_OF "coalesce((SELECT g.name FROM groups g WHERE g.account_id=t.account_id AND g.id=t.group_id),'')"
#define RESOURCE_OF "coalesce((SELECT r.name FROM resources r WHERE r.account_id=t.account_id AND r.id=t.resource_id),'')"
#define OR_NOTHING(expr) "coalesce(" expr ",'')"
#define BY_ACTOR OR_NOTHING(ACTOR_OF("name")) "||' '||" OR_NOTHING(ACTOR_OF("email"))

static const struct searchable {
	enum kind kind;
	const char *title, *detail, *body; /* of a row t */
} searchables[] = {
	{ KIND_SITE, "t.name", "NULL", "t.name" },
	{ KIND_RESOURCE, "t.name", "t.address", "t.name||' '||" OR_NOTHING("t.address") "||' '||" OR_NOTHING("t.address_description") },
	{ KIND_GROUP, "t.name", "t.email", "t.name||' '||" OR_NOTHING("t.email") },
	{ KIND_ACTOR, "t.name", "t.email", "t.name||' '||" OR_NOTHING("t.email") },
	{ KIND_CLIENT, "t.name", ACTOR_OF("name"),
	  "t.name||' '||" OR_NOTHING("t.device_serial") "||' '||" OR_NOTHING("t.device_uuid") "||' '||" BY_ACTOR },
	{ KIND_GATEWAY, "t.name", SITE_OF, "t.name||' '||" OR_NOTHING(SITE_OF) },
	{ KIND_POLICY, GROUP_OF "||' → '||" RESOURCE_OF, "t.description",
	  GROUP_OF "||' '||" RESOURCE_OF "||' '||" OR_NOTHING("t.description") },
	{ KIND_AUTH_PROVIDER, "t.name", "t.issuer", "t.name||' '||" OR_NOTHING("t.issuer") },
	{ KIND_DIRECTORY, "t.name", "coalesce(t.domain,t.tenant_id,t.okta_domain)",
	  "t.name||' '||coalesce(t.domain,t.tenant_id,t.okta_domain,'')" },
	/* only in lists of their own, from here on */
	{ KIND_CLIENT_TOKEN, OR_NOTHING("t.name"), ACTOR_OF("name"), OR_NOTHING("t.name") "||' '||" BY_ACTOR },
	{ KIND_GATEWAY_TOKEN, OR_NOTHING("t.name"), SITE_OF, OR_NOTHING("t.name") "||' '||" OR_NOTHING(SITE_OF) },
	{ KIND_API_TOKEN, OR_NOTHING("t.name"), ACTOR_OF("name"), OR_NOTHING("t.name") "||' '||" BY_ACTOR },
};

#define N_THINGS (ARRAY_LEN(searchables) - 3) /* that have a page */

/* Whose text has the name of another in it, and must follow when that changes. */
static const struct follower {
	enum kind of, kind;
	const char *column, *changes;
} followers[] = {
	{ KIND_ACTOR, KIND_CLIENT, "actor_id", "name,email" },
	{ KIND_ACTOR, KIND_CLIENT_TOKEN, "actor_id", "name,email" },
	{ KIND_ACTOR, KIND_API_TOKEN, "actor_id", "name,email" },
	{ KIND_SITE, KIND_GATEWAY, "site_id", "name" },
	{ KIND_SITE, KIND_GATEWAY_TOKEN, "site_id", "name" },
	{ KIND_GROUP, KIND_POLICY, "group_id", "name" },
	{ KIND_RESOURCE, KIND_POLICY, "resource_id", "name" },
};

/* What has no text of its own is found by that of what it belongs to. */
static const struct {
	enum kind kind, other;
	const char *column;
} belongings[] = {
	{ KIND_PORTAL_SESSION, KIND_ACTOR, "actor_id" },
	{ KIND_IDENTITY, KIND_ACTOR, "actor_id" },
	{ KIND_CREDENTIAL, KIND_ACTOR, "actor_id" },
	{ KIND_MEMBERSHIP, KIND_ACTOR, "actor_id" },
	{ KIND_AUTHORIZATION, KIND_CLIENT, "client_id" },
};

#define FOLLOWERS_AT_ONCE 20 /* half a millisecond; more go on in later turns of the loop (sweep.c) */

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

/* has(text, word): instr() copies each text before it looks, and memmem() makes tables that are larger than it. */
static void sql_has(sqlite3_context *c, int n, sqlite3_value **v)
{
	const u8 *at = sqlite3_value_blob(v[0]), *word = sqlite3_value_blob(v[1]);
	int size = sqlite3_value_bytes(v[0]), need = sqlite3_value_bytes(v[1]);
	const u8 *last = size >= need && need > 0 ? at + size - need : NULL;

	(void)n;
	while (last && at && at <= last && (at = memchr(at, word[0], (size_t)(last - at) + 1)) && memcmp(at, word, (size_t)need) != 0)
		at++;
	sqlite3_result_int(c, last && at && at <= last);
}

static const struct searchable *searchable_of(enum kind k)
{
	for (size_t i = 0; i < ARRAY_LEN(searchables); i++)
		if (searchables[i].kind == k)
			return &searchables[i];
	return NULL;
}

static int run_text(struct store *s, struct strbuf *b)
{
	int rc = strbuf_ok(b) ? sql_exec(s, strbuf_text(b)) : ERR_NOMEM;

	strbuf_free(b);
	return rc;
}

static void put_refresh(struct strbuf *b, const struct searchable *x, const char *account)
{
	strbuf_printf(b, " UPDATE search SET (title,detail,body)=(SELECT %s,%s,fold(%s) FROM %s t WHERE t.account_id=search.account_id AND"
		      " t.id=search.entity_id) WHERE account_id=%s AND entity_id", x->title, x->detail, x->body, kinds[x->kind].table, account);
}

static int make_triggers(struct store *s, const struct searchable *x)
{
	const struct kind_info *info = &kinds[x->kind];
	struct strbuf b = { 0 };

	strbuf_printf(&b,
		      "CREATE TEMP TRIGGER search_%1$s_0 AFTER INSERT ON main.%1$s BEGIN"
		      " INSERT INTO search_spaces(account_id,kind) SELECT NEW.account_id,'%2$s' WHERE NOT EXISTS"
		      "  (SELECT 1 FROM search_spaces WHERE account_id=NEW.account_id AND kind='%2$s');"
		      " INSERT INTO search(id,account_id,entity_id,title,detail,body) SELECT"
		      "  coalesce((SELECT max(id) FROM search WHERE id BETWEEN p.no<<32 AND (p.no<<32)+4294967295),p.no<<32)+1,"
		      "  t.account_id,t.id,%3$s,%4$s,fold(%5$s) FROM %1$s t JOIN search_spaces p ON p.account_id=t.account_id AND p.kind='%2$s'"
		      "  WHERE t.account_id=NEW.account_id AND t.id=NEW.id; END;"
		      "CREATE TEMP TRIGGER search_%1$s_2 AFTER DELETE ON main.%1$s BEGIN"
		      " DELETE FROM search WHERE account_id=OLD.account_id AND entity_id=OLD.id; END;"
		      "CREATE TEMP TRIGGER search_%1$s_1 AFTER UPDATE OF ",
		      info->table, info->name, x->title, x->detail, x->body);
	sql_written_columns(&b, x->kind);
	strbuf_printf(&b, " ON main.%s BEGIN", info->table);
	put_refresh(&b, x, "NEW.account_id");
	strbuf_puts(&b, "=NEW.id; END");
	return run_text(s, &b);
}

static int make_follower(struct store *s, const struct follower *f)
{
	int rc = 0;

	for (int is_deferred = 0; is_deferred < 2 && !rc; is_deferred++) {
		struct strbuf b = { 0 };

		strbuf_printf(&b, "CREATE TEMP TRIGGER search_%1$s_of_%2$s_%4$d AFTER UPDATE OF %3$s ON main.%2$s WHEN (", kinds[f->kind].table,
			      kinds[f->of].table, f->changes, is_deferred);
		strbuf_puts(&b, strchr(f->changes, ',') ? "OLD.name,OLD.email) IS NOT (NEW.name,NEW.email)" : "OLD.name) IS NOT (NEW.name)");
		strbuf_printf(&b, " AND %1$d=(sweep_defers() AND EXISTS(SELECT 1 FROM %2$s WHERE account_id=NEW.account_id AND %3$s=NEW.id LIMIT 1 OFFSET %4$d)) BEGIN",
			      is_deferred, kinds[f->kind].table, f->column, FOLLOWERS_AT_ONCE);
		if (is_deferred) {
			strbuf_printf(&b, " INSERT INTO sweeps VALUES(sweep_next(),NEW.account_id,'%s','" SEARCH_COLUMN "',NEW.id,%d,audit_who(1),audit_who(2),"
				      "audit_who(3),audit_who(4),audit_who(5),audit_who(6)); END", kinds[f->kind].table, (int)(f - followers));
		} else {
			put_refresh(&b, searchable_of(f->kind), "NEW.account_id");
			strbuf_printf(&b, " IN(SELECT id FROM %s WHERE account_id=NEW.account_id AND %s=NEW.id); END", kinds[f->kind].table, f->column);
		}
		rc = run_text(s, &b);
	}
	return rc;
}

#define FOLLOWERS_SLICE "(SELECT id FROM %1$s WHERE account_id=?1 AND+%2$s=?2 AND id>?3 ORDER BY id LIMIT %3$d)" /* +: in order of ids, nothing to sort */

/* Where it stands is not written down: what is begun anew is done again. */
int search_follow(struct store *s, const struct uuid *account, const struct uuid *of, i64 which)
{
	const struct follower *f = &followers[which < 0 || which >= (i64)ARRAY_LEN(followers) ? 0 : which];
	struct strbuf b = { 0 };
	sqlite3_stmt *st;

	put_refresh(&b, searchable_of(f->kind), "?1");
	strbuf_printf(&b, " IN" FOLLOWERS_SLICE, kinds[f->kind].table, f->column, FOLLOWERS_AT_ONCE);
	int rc = strbuf_ok(&b) ? sql_cached(s, strbuf_text(&b), &st) : ERR_NOMEM;
	strbuf_reset(&b);
	for (int last = 0; last < 2 && !rc; last++) {
		if (last) {
			strbuf_printf(&b, "SELECT max(id) FROM" FOLLOWERS_SLICE, kinds[f->kind].table, f->column, FOLLOWERS_AT_ONCE);
			rc = strbuf_ok(&b) ? sql_cached(s, strbuf_text(&b), &st) : ERR_NOMEM;
		}
		if (rc)
			break;
		sql_bind_uuid(st, 1, account);
		sql_bind_uuid(st, 2, of);
		sql_bind_uuid(st, 3, &s->followed);
		if (!last) {
			rc = sql_run(s, st);
			continue;
		}
		bool has_more = sqlite3_step(st) == SQLITE_ROW && sqlite3_column_type(st, 0) != SQLITE_NULL;
		if (has_more)
			sql_read_uuid(st, 0, &s->followed);
		else
			s->followed = (struct uuid){ 0 };
		sql_reset(st);
		rc = has_more;
	}
	strbuf_free(&b);
	return rc;
}

static void sql_sweep_next(sqlite3_context *c, int n, sqlite3_value **v)
{
	struct store *s = sqlite3_user_data(c);

	(void)n;
	(void)v;
	sqlite3_result_int64(c, (i64)++s->sweeps);
}

static void sql_sweep_defers(sqlite3_context *c, int n, sqlite3_value **v)
{
	const struct store *s = sqlite3_user_data(c);

	(void)n;
	(void)v;
	sqlite3_result_int(c, s->loop != NULL);
}

/* The index hears of what a transaction changed at its end and in order: each row that comes out of order makes a segment of its own, to be merged later.
 * Merging by itself it would do so seldom and for tens of milliseconds. */
static const char *const index_triggers =
	"CREATE TEMP TABLE found(id INTEGER PRIMARY KEY);"
	"CREATE TEMP TABLE reindex(id INTEGER PRIMARY KEY, body TEXT);" /* what the index knows of them; null: nothing */
	"CREATE TEMP TRIGGER search_0 AFTER INSERT ON main.search BEGIN"
	" INSERT OR IGNORE INTO reindex VALUES(NEW.id,NULL); END;"
	"CREATE TEMP TRIGGER search_1 AFTER UPDATE OF body ON main.search WHEN OLD.body<>NEW.body BEGIN"
	" INSERT OR IGNORE INTO reindex VALUES(OLD.id,OLD.body); END;"
	"CREATE TEMP TRIGGER search_2 AFTER DELETE ON main.search BEGIN"
	" INSERT OR IGNORE INTO reindex VALUES(OLD.id,OLD.body); END";

#define MERGE_PAGES_MAX 16 /* in one transaction; some 2 ms */

int search_settle(struct store *s)
{
	sqlite3_stmt *st;
	i64 n = 0;
	int rc = sql_fixed(s, ST_REINDEX_COUNT, &st);

	rc = rc ? rc : sql_run_int(s, st, &n);
	for (int which = ST_REINDEX_OLD; n > 0 && which <= ST_REINDEX_DONE && !rc; which++)
		rc = sql_run_fixed(s, (enum statement)which);
	if (rc || n == 0)
		return rc;
	rc = sql_fixed(s, ST_REINDEX_MERGE, &st);
	if (rc)
		return rc;
	sqlite3_bind_int64(st, 1, MIN(4 + n / 4, MERGE_PAGES_MAX)); /* each segment is merged on some four levels */
	return sql_run(s, st);
}

static int index_kind(struct store *s, const struct searchable *x)
{
	const struct kind_info *info = &kinds[x->kind];
	struct strbuf b = { 0 };

	strbuf_printf(&b, "INSERT INTO search_spaces(account_id,kind) SELECT DISTINCT account_id,'%1$s' FROM %2$s;"
		      "INSERT INTO search(id,account_id,entity_id,title,detail,body)"
		      " SELECT (p.no<<32)+row_number() OVER (PARTITION BY t.account_id),t.account_id,t.id,%3$s,%4$s,fold(%5$s)"
		      " FROM %2$s t JOIN search_spaces p ON p.account_id=t.account_id AND p.kind='%1$s'",
		      info->name, info->table, x->title, x->detail, x->body);
	return run_text(s, &b);
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
	rc = rc ? rc : sql_exec(s, "INSERT INTO search_text(search_text,rank) VALUES('automerge',0),('crisismerge',1000)"); /* search_settle() merges */
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

	rc = rc == SQLITE_OK ? sqlite3_create_function(s->db, "has", 2, flags, s, sql_has, NULL, NULL) : rc;
	rc = rc == SQLITE_OK ? sqlite3_create_function(s->db, "sweep_next", 0, SQLITE_UTF8 | SQLITE_INNOCUOUS, s, sql_sweep_next, NULL, NULL) : rc;
	rc = rc == SQLITE_OK ? sqlite3_create_function(s->db, "sweep_defers", 0, SQLITE_UTF8 | SQLITE_INNOCUOUS, s, sql_sweep_defers, NULL, NULL) : rc;
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
	for (size_t i = 0; i < ARRAY_LEN(followers) && !rc; i++)
		rc = make_follower(s, &followers[i]);
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
	char *text = w->word[w->n];
	u32 characters = 0;

	n = cut_at_character(p, n, WORD_MAX);
	memcpy(text, p, n);
	text[n] = '\0';
	for (size_t i = 0; i < n; i++)
		characters += ((u8)text[i] & 0xc0) != 0x80;
	w->is_short[w->n++] = characters < TRIGRAM;
	if (characters < TRIGRAM)
		return;
	char *match = w->match + strlen(w->match);
	if (match > w->match)
		*match++ = ' ';
	*match++ = '"';
	for (size_t i = 0; i < n; i++) {
		if (text[i] == '"')
			*match++ = '"';
		*match++ = text[i];
	}
	*match++ = '"';
	*match = '\0';
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

/* To read a text takes 0.1 us, to be told of one by the index 0.6 us: what is in more texts than INDEXED is found by reading, in any case of so few as
 * FEW. Up to LISTED are then sorted; of more the list is walked. Who has found BROAD early reads no further: the text of each row is looked up, which
 * takes 2 us; when the list is not full after READ_SINGLY (they lie at the end of it) the rest is read after all. */
#define INDEXED 600
#define FEW 2000
#define LISTED 500
#define READ_SINGLY 300
#define BROAD STORE_COUNT_ROUGH

/* A space that is not there is an empty range: to the index, a range of nulls would be everything. */
#define SPACE_BEGIN "coalesce((SELECT no<<32 FROM search_spaces WHERE account_id=?1 AND kind='%1$s'),-1)"
#define SPACE_END "coalesce((SELECT (no<<32)+4294967295 FROM search_spaces WHERE account_id=?1 AND kind='%1$s'),-2)"
#define IN_SPACE " BETWEEN " SPACE_BEGIN " AND " SPACE_END

static void put_words(struct strbuf *b, const struct search_words *w, bool only_short)
{
	for (u32 i = 0; i < w->n; i++)
		if (!only_short || w->is_short[i])
			strbuf_printf(b, " AND has(x.body,?%u)", WORD_PARAM + 1 + i);
}

static bool has_short_words(const struct search_words *w)
{
	for (u32 i = 0; i < w->n; i++)
		if (w->is_short[i])
			return true;
	return false;
}

void search_bind(sqlite3_stmt *st, const struct search_words *w)
{
	int n = sqlite3_bind_parameter_count(st);

	if (w->match[0] && n >= WORD_PARAM)
		sql_bind_text(st, WORD_PARAM, w->match);
	for (u32 i = 0; i < w->n && (int)(WORD_PARAM + 1 + i) <= n; i++)
		sql_bind_text(st, (int)(WORD_PARAM + 1 + i), w->word[i]);
}

/* Whose text finds rows of k, and by which of their columns. */
static bool source_of(enum kind k, enum kind *kind, const char **column)
{
	*kind = k;
	*column = "id";
	if (searchable_of(k))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(belongings); i++)
		if (belongings[i].kind == k) {
			*kind = belongings[i].other;
			*column = belongings[i].column;
			return true;
		}
	return false;
}

static int prepare(struct store *s, struct strbuf *b, const struct uuid *account, const struct search_words *w, sqlite3_stmt **st)
{
	int rc = strbuf_ok(b) ? sql_cached(s, strbuf_text(b), st) : ERR_NOMEM;

	strbuf_free(b);
	if (rc)
		return rc;
	sql_bind_uuid(*st, 1, account);
	search_bind(*st, w);
	return 0;
}

static int forget(struct store *s)
{
	sqlite3_stmt *st;
	int rc = sql_cached(s, "DELETE FROM temp.found", &st);

	return rc ? rc : sql_run(s, st);
}

/* Rows of `search` into temp.found, by the index (of all accounts, when no kind is asked for): up to INDEXED that have all words but the short ones. */
static int collect(struct store *s, const char *kind, const struct uuid *account, const struct search_words *w, i64 *out)
{
	struct strbuf b = { 0 };
	sqlite3_stmt *st;
	int rc = forget(s);

	if (rc)
		return rc;
	strbuf_printf(&b, "INSERT INTO temp.found SELECT x.rowid FROM search_text x WHERE x.search_text MATCH ?%d", WORD_PARAM);
	if (kind)
		strbuf_printf(&b, " AND x.rowid" IN_SPACE, kind);
	strbuf_printf(&b, " LIMIT %d", INDEXED);
	rc = prepare(s, &b, account, w, &st);
	rc = rc ? rc : sql_run(s, st);
	*out = sqlite3_changes64(s->db);
	return rc;
}

static int list_found(struct store *s, const i64 *rows, i64 n)
{
	sqlite3_stmt *st;
	int rc = forget(s);

	rc = rc ? rc : sql_cached(s, "INSERT INTO temp.found VALUES(?1)", &st);
	for (i64 i = 0; i < n && !rc; i++) {
		sqlite3_bind_int64(st, 1, rows[i]);
		rc = sql_run(s, st);
	}
	return rc;
}

/* Those that have all words, by reading on: their ids into the set, the rows of the first LISTED to `rows`. Stops at BROAD when these are found before
 * number `early`. */
static int read_on(struct store *s, i64 early, i64 *rows)
{
	struct strbuf b = { 0 };
	sqlite3_stmt *st;
	int rc, step;

	strbuf_printf(&b, "SELECT x.id,x.entity_id FROM search x WHERE x.id>max(?2," SPACE_BEGIN ") AND x.id<=" SPACE_END, kinds[s->asked.kind].name);
	put_words(&b, s->asked.words, false);
	rc = prepare(s, &b, s->asked.account, s->asked.words, &st);
	if (rc)
		return rc;
	sqlite3_bind_int64(st, 2, s->asked.last);
	while (!rc && (step = sqlite3_step(st)) == SQLITE_ROW) {
		struct uuid id;

		s->asked.last = sqlite3_column_int64(st, 0);
		if (rows && s->n_found < LISTED)
			rows[s->n_found] = s->asked.last;
		sql_read_uuid(st, 1, &id);
		rc = ids_add(&s->asked.all, &id);
		if (++s->n_found == BROAD && (u32)s->asked.last < early)
			break;
	}
	s->asked.is_all = !rc && step == SQLITE_DONE;
	if (!rc && step != SQLITE_ROW && step != SQLITE_DONE)
		rc = sql_fail(s, sqlite3_extended_errcode(s->db));
	sql_reset(st);
	return rc;
}

static int read_one(struct store *s, const struct uuid *id)
{
	sqlite3_stmt *st = s->asked.one;

	sql_bind_uuid(st, 2, id);
	int step = sqlite3_step(st);
	sqlite3_reset(st);
	return step == SQLITE_ROW ? 1 : step == SQLITE_DONE ? 0 : sql_fail(s, sqlite3_extended_errcode(s->db));
}

int search_has(struct store *s, const struct uuid *id)
{
	if (!s->asked.is_all && s->asked.n++ == READ_SINGLY) {
		int rc = read_on(s, 0, NULL);
		if (rc)
			return rc;
	}
	return s->asked.is_all ? ids_has(&s->asked.all, id) : read_one(s, id);
}

void search_end(struct store *s)
{
	if (s->asked.one)
		sql_reset(s->asked.one);
	ids_free(&s->asked.all);
	memset(&s->asked, 0, sizeof(s->asked));
}

/* By reading: few are listed; many are asked row by row, by search_has(). */
static int find_by_reading(struct store *s, i64 n_texts)
{
	struct strbuf b = { 0 };
	i64 rows[LISTED];
	int rc = read_on(s, n_texts / 2, rows);

	s->is_listed = s->asked.is_all && s->n_found <= LISTED;
	if (rc || s->is_listed)
		return rc ? rc : list_found(s, rows, s->n_found);
	strbuf_puts(&b, "SELECT 1 FROM search x WHERE x.account_id=?1 AND x.entity_id=?2");
	put_words(&b, s->asked.words, false);
	return prepare(s, &b, s->asked.account, s->asked.words, &s->asked.one);
}

int search_condition(struct store *s, enum kind k, const struct uuid *account, const struct search_words *w, struct strbuf *sql)
{
	bool by_index = w->match[0], is_short = has_short_words(w);
	const char *column;
	enum kind kind;
	i64 rows = 0;
	int rc;

	if (w->n == 0)
		return 0;
	if (!source_of(k, &kind, &column)) {
		snprintf(s->reason, sizeof(s->reason), "there is no text to look for in %s", kinds[k].table);
		return ERR_INVAL;
	}
	rc = store_rows(s, kind, account, &rows);
	by_index = by_index && rows > FEW;
	if (!rc && by_index) {
		rc = collect(s, kinds[kind].name, account, w, &s->n_found);
		by_index = s->n_found < INDEXED;
	}
	s->is_listed = by_index;
	s->asked.kind = kind;
	s->asked.account = account;
	s->asked.words = w;
	if (!rc && !by_index) {
		s->n_found = 0;
		rc = find_by_reading(s, rows);
	}
	if (rc)
		return rc;
	s->is_found_exact = !by_index || !is_short;
	if (s->is_listed) {
		strbuf_printf(sql, " AND t.%s IN(SELECT x.entity_id FROM found f CROSS JOIN search x ON x.id=f.id", column);
		if (by_index)
			put_words(sql, w, true);
		strbuf_puts(sql, ")");
	} else {
		strbuf_printf(sql, " AND page_found(t.%s)", column);
	}
	return 0;
}

int search_count(struct store *s, enum kind k, bool is_rough, i64 *out)
{
	if (!searchable_of(k) || !s->is_found_exact)
		return ERR_UNSUPPORTED;
	int rc = s->is_listed || s->asked.is_all || is_rough ? 0 : read_on(s, 0, NULL);
	*out = is_rough ? MIN(s->n_found, STORE_COUNT_ROUGH) : s->n_found;
	return rc;
}

/* ---- the search box -------------------------------------------------------------------------------------------------------------------- */

#define HITS_MAX 200
#define CANDIDATES 100 /* of one kind, before the best are chosen */

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

enum look { LOOK_FOUND, LOOK_INDEX, LOOK_ALL };

/* The best of one kind, of what was found, by the index or by reading all: those that begin with the first word, then the shorter. */
static int search_kind(struct store *s, enum kind k, const struct uuid *account, const struct search_words *w, enum look look, struct hits *h)
{
	struct strbuf b = { 0 };
	sqlite3_stmt *st = NULL;
	int rc, step;

	strbuf_printf(&b, "SELECT entity_id,title,detail,instr(body,?%d)=1 FROM (SELECT x.entity_id,x.title,x.detail,x.body FROM ", WORD_PARAM + 1);
	if (look == LOOK_INDEX)
		strbuf_printf(&b, "search_text f CROSS JOIN search x ON x.id=f.rowid WHERE f.search_text MATCH ?%d AND f.rowid", WORD_PARAM);
	else
		strbuf_puts(&b, look == LOOK_FOUND ? "found f CROSS JOIN search x ON x.id=f.id WHERE f.id" : "search x WHERE x.id");
	strbuf_printf(&b, IN_SPACE, kinds[k].name);
	put_words(&b, w, look != LOOK_ALL);
	strbuf_printf(&b, " LIMIT %d) ORDER BY 4 DESC,length(title),title,entity_id LIMIT %u", CANDIDATES, MAX(h->limit / 2, 3u));
	rc = prepare(s, &b, account, w, &st);
	if (rc)
		return rc;
	while (!rc && (step = sqlite3_step(st)) != SQLITE_DONE) {
		struct uuid id;

		if (step != SQLITE_ROW) {
			rc = sql_fail(s, sqlite3_extended_errcode(s->db));
			break;
		}
		sql_read_uuid(st, 0, &id);
		rc = add_hit(h, k, &id, (const char *)sqlite3_column_text(st, 1), (const char *)sqlite3_column_text(st, 2),
			     sqlite3_column_int(st, 3));
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
	i64 found = INDEXED;
	enum look look;

	if (!rc) {
		search_parse(text, w);
		h->limit = MIN(limit, (u32)HITS_MAX);
		if (w->match[0])
			rc = collect(s, NULL, account, w, &found);
		/* of thousands that the index would name few may have the short words */
		look = found < INDEXED ? LOOK_FOUND : w->match[0] && !has_short_words(w) ? LOOK_INDEX : LOOK_ALL;
		for (size_t i = 0; i < N_THINGS && !rc && w->n > 0; i++)
			rc = search_kind(s, searchables[i].kind, account, w, look, h);
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
