/* applets/portal/store/store_int.h: the inside of the store, shared by
 *   sql.c     statements made from field tables, values between rows and entities, running a statement
 *   store.c   the file, transactions, rows, devices, the list of changes
 *   behind.c  the disk, waited for by a thread
 *   expiry.c  what is revoked, purged, counted against limits
 *   sweep.c   deletions in slices
 *   usage.c   sessions of devices, when something was last seen, counters for charts
 *   audit.c   the audit trail: triggers from the field tables, asking it
 *   search.c  full-text search: triggers, asking it
 *   plans.c   what the query planner believes
 *   page.c    lists: filters, sorting, cursors
 *   counts.c  rows of each kind, kept
 *   related.c counts, dependents and connections of a thing
 *   backup.c  copying and checking files
 */
#pragma once

#include "applets/portal/model/fold.h"
#include "applets/portal/store/behind.h"
#include "applets/portal/store/statements.h"
#include "applets/portal/store/store.h"
#include "core/loop/loop.h"

#include <sqlite3.h>

#define SQL_MAX 4096
#define APPLICATION_ID 0x656d62 /* PRAGMA application_id: "emb" */

enum row_statement { ROW_INSERT, ROW_UPDATE, ROW_DELETE, ROW_GET, ROW_LIST, ROW_LIST_ACCOUNT, ROW_LIST_AFTER, ROW_COUNT };

#define STATEMENTS_CACHED 64 /* the least recently used goes */

struct search_words;

struct cached_statement {
	char *sql;
	sqlite3_stmt *st;
	u64 used;
};

struct store {
	sqlite3 *db;
	struct behind *behind; /* store_defer() */
	void (*settled)(void *ctx, u64 ticket);
	void *settled_ctx;
	sqlite3_stmt *fixed[ST_COUNT];
	sqlite3_stmt *rows[KIND_COUNT][ROW_COUNT];
	struct cached_statement cached[STATEMENTS_CACHED]; /* made from what somebody asked */
	u64 cache_clock;
	enum store_durability durability;
	bool is_reading; /* store_read_begin() */
	char reason[256];
	bool has_principal; /* of the running transaction; else the system */
	struct principal principal;
	bool (*keep)(void *ctx, const struct uuid *id); /* of the running store_page() */
	void *keep_ctx;
	const struct ids *among;
	struct {	       /* by search_has() */
		enum kind kind;
		const struct uuid *account;
		const struct search_words *words;
		sqlite3_stmt *one; /* cached, and too young to go */
		u32 n;
		i64 last; /* row of `search` that was read */
		bool is_all;
		struct ids all;
	} asked;
	struct ids gathered[STORE_FILTERS_MAX]; /* by a filter, of the running store_page() */
	bool is_listed; /* what was found */
	i64 n_found; /* by the last search_condition(); STORE_COUNT_ROUGH: or more */
	bool is_found_exact; /* else some of them lack a word */
	u64 wall; /* of the running transaction; 0: not told yet */
	char trouble[256];
	void (*told)(void *ctx, const char *why);
	void *told_ctx;
	struct loop *loop;	   /* store_defer(); NULL: what is deleted is deleted at once */
	struct loop_task swept_task;
	struct sweep_link *links; /* sweep.c */
	u32 n_links;
	u64 sweeps, sweeps_kept, swept; /* begun, those of commits, done */
	struct uuid followed;		/* search_follow(): up to here */
	i64 changes_before;		/* the running transaction */
	bool is_sweeping;		/* store_sweep() */
};

/* What SQLite says as an error of ours; the reason is kept for store_reason(). */
int sql_fail(struct store *s, int sqlite_rc);
/* Nothing can be saved at present: ERR_IO. */
int sql_in_trouble(struct store *s, const char *why);

/* Statements are prepared when they are first needed and kept. */
int sql_prepare(struct store *s, const char *sql, sqlite3_stmt **out);
int sql_row(struct store *s, enum kind k, enum row_statement which, sqlite3_stmt **out);
int sql_fixed(struct store *s, enum statement which, sqlite3_stmt **out);
/* A statement whose text was composed. Never one that is running. */
int sql_cached(struct store *s, const char *sql, sqlite3_stmt **out);
void sql_forget_cached(struct store *s);
/* A statement of statements.c that yields whole rows of a kind. */
int sql_select(struct store *s, enum statement which, enum kind k, sqlite3_stmt **out);

/* The columns of a kind as sql_run_each() reads them, of a table named t. */
void sql_columns(struct strbuf *out, enum kind k);
/* Those that entities are written to, separated by commas: an update of others is no change. */
void sql_written_columns(struct strbuf *out, enum kind k);

/* What is bound is borrowed until the statement has run. */
void sql_bind_uuid(sqlite3_stmt *st, int i, const struct uuid *id);
void sql_bind_text(sqlite3_stmt *st, int i, const char *text);
void sql_bind_entity(sqlite3_stmt *st, enum kind k, const void *entity, bool is_insert);
void sql_read_uuid(sqlite3_stmt *st, int i, struct uuid *out);

/* Each resets the statement and its bindings. */
int sql_run(struct store *s, sqlite3_stmt *st);                                          /* yields no row */
int sql_run_int(struct store *s, sqlite3_stmt *st, i64 *out);                            /* at most one integer; null is 0 */
int sql_run_entity(struct store *s, sqlite3_stmt *st, enum kind k, void *out);           /* one row; ERR_NOT_FOUND */
int sql_run_each(struct store *s, sqlite3_stmt *st, enum kind k, store_each each, void *ctx);
int sql_run_fixed(struct store *s, enum statement which);
void sql_reset(sqlite3_stmt *st);
/* Latitude and longitude in two columns; null where the place is unknown. */
void sql_bind_place(sqlite3_stmt *st, int i, const struct place *p);
void sql_read_place(sqlite3_stmt *st, int i, struct place *out);
/* The expression of a field that is no column of its own row t; NULL: it is one, by its name. */
const char *sql_computed(const struct field *f);
void sql_read_text(sqlite3_stmt *st, int i, char *out, size_t n); /* cut short; null is "" */
/* From column i on: token_id, inserted_at, public_key, user_agent, version, remote_ip, region, city, lat, lon. The rest is zero. */
void sql_read_session(sqlite3_stmt *st, int i, struct store_session *out);
int sql_exec(struct store *s, const char *sql);

/* ---- triggers and functions of this connection; at opening ---- */

int sweep_start(struct store *s);
void sweep_end(struct store *s);
int sweep_finish(struct store *s);
int audit_start(struct store *s);
int plans_start(struct store *s);
int search_start(struct store *s);
/* A slice of the texts that follow from another row, whose sweep has SEARCH_COLUMN for a column; 1: there may be more. */
#define SEARCH_COLUMN "search"
int search_follow(struct store *s, const struct uuid *account, const struct uuid *of, i64 which);
int search_settle(struct store *s); /* before a commit */
int page_start(struct store *s);
int usage_start(struct store *s);
int counts_start(struct store *s);

/* From where audit_who(1) to (6) were kept: principal, actor_id, actor_name, actor_email, remote_ip, user_agent. */
void audit_read_who(sqlite3_stmt *st, int i, struct principal *out);

/* Deletes the rows whose column (a reference, or "id") is `id`, and what hangs on them; what is too much for this transaction is put off. ERR_NOT_FOUND:
 * there is no row of this id. */
int sweep_begin(struct store *s, const char *table, const char *column, const struct uuid *account, const struct uuid *id);

/* ---- rows of each kind (counts.c) ---- */

bool counts_keep(enum kind k);
#define COUNT_OF_SESSIONS(is_gateway) (KIND_COUNT + !!(is_gateway)) /* in place of a kind */

/* ---- what people look for, as conditions on a row `t` (search.c) ---- */

#define WORDS_MAX 8   /* of a search; more are ignored */
#define WORD_MAX 128u /* bytes, folded; the rest is ignored */
#define WORD_PARAM 40 /* parameters from here on belong to search_bind() */

struct search_words {
	u32 n;
	char word[WORDS_MAX][WORD_MAX + 1];
	bool is_short[WORDS_MAX];		     /* for the index */
	char match[WORDS_MAX * (2 * WORD_MAX + 3) + 1]; /* the others, quoted for FTS5 */
};

void search_parse(const char *text, struct search_words *out);
/* " AND …": all words are in the row's text. Decides how to look by how often they are found; of what is found rarely the list is made here, and
 * is good until the next call. ?1 is the account. */
int search_condition(struct store *s, enum kind k, const struct uuid *account, const struct search_words *w, struct strbuf *sql);
/* Rows that have them, when nothing else is asked; rough: STORE_COUNT_ROUGH at most. ERR_UNSUPPORTED: to be counted by the condition. */
int search_count(struct store *s, enum kind k, bool is_rough, i64 *out);
/* What the condition asks of a row's id when many have the words: 1, 0 or an error. Until search_end(), which must follow; account and words are lent. */
int search_has(struct store *s, const struct uuid *id);
void search_end(struct store *s);
void search_bind(sqlite3_stmt *st, const struct search_words *w);
