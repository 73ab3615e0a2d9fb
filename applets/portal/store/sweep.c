/* Deleting much, a little at a time. A deletion takes everything that refers to a row with it, thousands of rows perhaps, and nobody shall wait for them.
 * So it takes what hangs on a row before the row, leaf by leaf, and stops when its transaction has done enough. What is left is written down in that
 * transaction (table `sweeps`), and store_sweep() goes on with it: whatever happens meanwhile, it will be done. */
#include "applets/portal/store/store_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SWEEP_WORK 20 /* rows changed in a transaction, those of triggers too: some 1 to 2 ms on one core of a small server */
#define FIRST_WORK 12 /* the same where it begins: much else was done there */

#define NAME_SIZE 32

/* Rows of `table` whose `column` is the id of a row of `parent`. */
struct sweep_link {
	char parent[NAME_SIZE], table[NAME_SIZE], column[NAME_SIZE], key[NAME_SIZE];
	bool stays;	      /* but refers to it no more */
	sqlite3_stmt *find;   /* the id of one, unless it is a leaf: nothing refers to it */
	sqlite3_stmt *remove; /* any leaf; makes it stay, by its id */
};

#define OF_PARENT " WHERE account_id=?1 AND %2$s=?2"

static bool is_parent(const struct store *s, const char *table)
{
	for (u32 i = 0; i < s->n_links; i++)
		if (strcmp(s->links[i].parent, table) == 0)
			return true;
	return false;
}

static int prepare(struct store *s, struct sweep_link *l)
{
	bool is_leaf = !l->stays && !is_parent(s, l->table);
	char sql[320];

	snprintf(sql, sizeof(sql), "SELECT id FROM %1$s" OF_PARENT " LIMIT 1", l->table, l->column);
	int rc = is_leaf ? 0 : sql_prepare(s, sql, &l->find);
	if (rc || (l->find && !l->stays))
		return rc;
	/* only policies stay, when their group goes (groups_leave_policies) */
	snprintf(sql, sizeof(sql),
		 l->stays ? "UPDATE %1$s SET group_idp_id=(SELECT idp_id FROM groups WHERE account_id=?1 AND id=group_id),%2$s=NULL WHERE account_id=?1 AND id=?2" :
			    "DELETE FROM %1$s WHERE(%3$s)IN(SELECT %3$s FROM %1$s" OF_PARENT "%4$s LIMIT 1)",
		 l->table, l->column, l->key, strcmp(l->table, kinds[KIND_AUTHORIZATION].table) == 0 ? " AND inserted_at<=?3" : "");
	return sql_prepare(s, sql, &l->remove);
}

/* From the schema itself: every reference, and the mails of an account, which are deleted by a trigger. */
int sweep_start(struct store *s)
{
	sqlite3_stmt *st;
	int step, rc = sql_prepare(s,
				   "SELECT f.\"table\",m.name,f.\"from\",(SELECT group_concat(i.name)FROM pragma_table_info(m.name)i WHERE i.pk),f.on_delete<>'CASCADE'"
				   " FROM sqlite_schema m,pragma_foreign_key_list(m.name)f WHERE m.type='table' AND(f.\"from\"<>'account_id' OR f.\"table\"='accounts')"
				   " UNION ALL VALUES('accounts','outbound_emails','account_id','account_id,id',0)", &st);

	while (!rc && (step = sqlite3_step(st)) != SQLITE_DONE) {
		struct sweep_link *more = step == SQLITE_ROW ? realloc(s->links, (s->n_links + 1) * sizeof(*more)) : NULL;

		if (!more) {
			rc = step == SQLITE_ROW ? ERR_NOMEM : sql_fail(s, sqlite3_extended_errcode(s->db));
			break;
		}
		struct sweep_link *l = &more[s->n_links++];
		s->links = more;
		*l = (struct sweep_link){ .stays = sqlite3_column_int(st, 4) };
		sql_read_text(st, 0, l->parent, sizeof(l->parent));
		sql_read_text(st, 1, l->table, sizeof(l->table));
		sql_read_text(st, 2, l->column, sizeof(l->column));
		sql_read_text(st, 3, l->key, sizeof(l->key));
	}
	sqlite3_finalize(st);
	return rc;
}

void sweep_end(struct store *s)
{
	for (u32 i = 0; i < s->n_links; i++) {
		sqlite3_finalize(s->links[i].find);
		sqlite3_finalize(s->links[i].remove);
	}
	free(s->links);
}

static bool is_enough(const struct store *s)
{
	return s->loop && sqlite3_total_changes64(s->db) - s->changes_before >= (s->is_sweeping ? SWEEP_WORK : FIRST_WORK);
}

static int run_on(struct store *s, sqlite3_stmt *st, const struct uuid *account, const struct uuid *id)
{
	sql_bind_uuid(st, 1, account);
	sql_bind_uuid(st, 2, id);
	return sql_run(s, st);
}

/* ERR_NOT_FOUND. 1: the statement was made, which of what many tables refer to takes milliseconds: enough for a slice. */
static int delete_row(struct store *s, const char *table, const struct uuid *account, const struct uuid *id)
{
	sqlite3_stmt *st;
	int k = 0;

	while (k < KIND_COUNT && strcmp(kinds[k].table, table) != 0)
		k++;
	bool is_new = k < KIND_COUNT && s->loop && s->is_sweeping && !s->rows[k][ROW_DELETE];
	int rc = k == KIND_COUNT ? ERR_UNSUPPORTED : sql_row(s, (enum kind)k, ROW_DELETE, &st);
	if (rc || is_new)
		return rc ? rc : 1;
	rc = run_on(s, st, account, id);
	return rc ? rc : sqlite3_changes(s->db) ? 0 : ERR_NOT_FOUND;
}

/* 1: one was found. */
static int find(struct store *s, struct sweep_link *l, const struct uuid *account, const struct uuid *parent, struct uuid *out)
{
	sql_bind_uuid(l->find, 1, account);
	sql_bind_uuid(l->find, 2, parent);
	int step = sqlite3_step(l->find);
	int rc = step == SQLITE_ROW ? 1 : step == SQLITE_DONE ? 0 : sql_fail(s, sqlite3_extended_errcode(s->db));
	if (rc == 1)
		sql_read_uuid(l->find, 0, out);
	sql_reset(l->find);
	return rc;
}

static int thin(struct store *s, const char *table, const struct uuid *account, const struct uuid *id);

/* Rows of a link, no younger than `until`; 1: there may be more. */
static int sweep_link(struct store *s, struct sweep_link *l, const struct uuid *account, const struct uuid *parent, i64 until)
{
	int rc = l->find || l->remove ? 0 : prepare(s, l);
	struct uuid id;

	while (!rc) {
		if (is_enough(s))
			return 1;
		if (l->find) {
			rc = find(s, l, account, parent, &id);
			if (rc <= 0)
				return rc;
			rc = thin(s, l->table, account, &id);
			rc = rc ? rc : l->stays ? run_on(s, l->remove, account, &id) : delete_row(s, l->table, account, &id);
			continue;
		}
		if (sqlite3_bind_parameter_count(l->remove) > 2)
			sqlite3_bind_int64(l->remove, 3, until);
		rc = run_on(s, l->remove, account, parent);
		if (!rc && !sqlite3_changes(s->db))
			return 0;
	}
	return rc;
}

/* What hangs on a row. As deep as the schema: accounts, sites, resources, policies, authorizations. */
static int thin(struct store *s, const char *table, const struct uuid *account, const struct uuid *id)
{
	int rc = 0;

	for (u32 i = 0; i < s->n_links && !rc; i++)
		if (strcmp(s->links[i].parent, table) == 0)
			rc = sweep_link(s, &s->links[i], account, id, INT64_MAX);
	return rc;
}

/* ---- what is to be done ------------------------------------------------------------------------------------------------------------------- */

struct sweep {
	char table[NAME_SIZE], column[NAME_SIZE]; /* "id": one row, and what hangs on it */
	struct uuid account, id;
	i64 until;
};

static bool is_row(const struct sweep *w)
{
	return strcmp(w->column, "id") == 0;
}

static bool is_of(const struct sweep *w, enum kind k)
{
	return strcmp(w->table, kinds[k].table) == 0;
}

/* 1: there is more to do. ERR_NOT_FOUND: the row is not there. */
static int sweep_some(struct store *s, const struct sweep *w)
{
	if (strcmp(w->column, SEARCH_COLUMN) == 0)
		return search_follow(s, &w->account, &w->id, w->until);
	for (u32 i = 0; i < s->n_links && !is_row(w); i++)
		if (strcmp(s->links[i].table, w->table) == 0 && strcmp(s->links[i].column, w->column) == 0)
			return sweep_link(s, &s->links[i], &w->account, &w->id, w->until);
	int rc = thin(s, w->table, &w->account, &w->id);
	return rc ? rc : delete_row(s, w->table, &w->account, &w->id);
}

/* Nothing is, when nothing is left. Of what is revoked only authorizations are made anew meanwhile, and those shall stay. */
static int put_off(struct store *s, const struct sweep *w)
{
	bool keeps_young = !is_row(w) && is_of(w, KIND_AUTHORIZATION);
	sqlite3_stmt *st;
	char sql[512];

	snprintf(sql, sizeof(sql),
		 "INSERT INTO sweeps SELECT ?3,?1,'%1$s','%2$s',?2,%3$s,audit_who(1),audit_who(2),audit_who(3),audit_who(4),audit_who(5),audit_who(6)"
		 " FROM %1$s" OF_PARENT "%4$s LIMIT 1",
		 w->table, w->column, keeps_young ? "inserted_at" : "NULL", keeps_young ? " ORDER BY inserted_at DESC" : "");
	int rc = sql_cached(s, sql, &st);
	if (rc)
		return rc;
	sqlite3_bind_int64(st, 3, (i64)s->sweeps + 1);
	rc = run_on(s, st, &w->account, &w->id);
	if (rc || !sqlite3_changes(s->db))
		return rc ? rc : is_row(w) ? ERR_NOT_FOUND : 0;
	s->sweeps++;
	if (!is_row(w) || !is_of(w, KIND_ACTOR))
		return 0;
	/* he can do nothing from now on, nor is he an admin that the last but one could rely on */
	rc = sql_cached(s, "UPDATE actors SET disabled_at=audit_who(0),updated_at=audit_who(0) WHERE account_id=?1 AND id=?2 AND disabled_at IS NULL", &st);
	return rc ? rc : run_on(s, st, &w->account, &w->id);
}

int sweep_begin(struct store *s, const char *table, const char *column, const struct uuid *account, const struct uuid *id)
{
	struct sweep w = { .account = *account, .id = *id, .until = INT64_MAX };

	snprintf(w.table, sizeof(w.table), "%s", table);
	snprintf(w.column, sizeof(w.column), "%s", column);
	int rc = sweep_some(s, &w);
	return rc > 0 ? put_off(s, &w) : rc;
}

/* ---- going on -------------------------------------------------------------------------------------------------------------------------------- */

/* The one whose turn it is; 1: there is one. */
static int next_sweep(struct store *s, u64 *seq, struct sweep *w, struct principal *by)
{
	sqlite3_stmt *st;
	int rc = sql_fixed(s, ST_SWEEP, &st);

	if (rc)
		return rc;
	int step = sqlite3_step(st);
	if (step == SQLITE_ROW) {
		*seq = (u64)sqlite3_column_int64(st, 0);
		sql_read_uuid(st, 1, &w->account);
		sql_read_text(st, 2, w->table, sizeof(w->table));
		sql_read_text(st, 3, w->column, sizeof(w->column));
		sql_read_uuid(st, 4, &w->id);
		w->until = sqlite3_column_type(st, 5) == SQLITE_NULL ? INT64_MAX : sqlite3_column_int64(st, 5);
		audit_read_who(st, 6, by);
	}
	rc = step == SQLITE_ROW ? 1 : step == SQLITE_DONE ? 0 : sql_fail(s, sqlite3_extended_errcode(s->db));
	sql_reset(st);
	return rc;
}

/* All before the oldest that is left are done. */
static int note_swept(struct store *s)
{
	sqlite3_stmt *st;
	i64 first = 0;
	int rc = sql_fixed(s, ST_SWEEPS_FIRST, &st);

	rc = rc ? rc : sql_run_int(s, st, &first);
	if (rc)
		return rc;
	s->swept = first ? (u64)first - 1 : s->sweeps;
	if (s->loop)
		loop_task_queue(s->loop, &s->swept_task);
	return 0;
}

int store_sweep(struct store *s, u64 wall)
{
	struct principal by = { .kind = PRINCIPAL_SYSTEM };
	struct sweep w;
	u64 seq = 0;
	int rc = next_sweep(s, &seq, &w, &by);

	if (rc <= 0)
		return rc ? rc : note_swept(s);
	store_set_principal(s, &by, wall);
	rc = store_begin(s, STORE_EAGER); /* what is lost is done again */
	if (rc)
		return rc;
	s->is_sweeping = true;
	rc = sweep_some(s, &w);
	s->is_sweeping = false;
	bool is_more = rc > 0;
	if (rc == 0 || rc == ERR_NOT_FOUND) { /* somebody else deleted it meanwhile */
		sqlite3_stmt *st;

		rc = sql_fixed(s, ST_SWEPT, &st);
		if (!rc) {
			sqlite3_bind_int64(st, 1, (i64)seq);
			rc = sql_run(s, st);
		}
	}
	rc = rc < 0 ? store_rollback(s, rc) : store_commit(s);
	if (rc) {
		s->followed = (struct uuid){ 0 };
		return rc;
	}
	rc = is_more ? 0 : note_swept(s);
	return rc ? rc : 1;
}

u64 store_sweeps(const struct store *s)
{
	return s->sweeps;
}

u64 store_swept(const struct store *s)
{
	return s->swept;
}

/* What an earlier process was told to do and did not finish. */
int sweep_finish(struct store *s)
{
	sqlite3_stmt *st;
	i64 last = 0;
	int rc = sql_prepare(s, "SELECT max(seq) FROM sweeps", &st);

	rc = rc ? rc : sql_run_int(s, st, &last);
	sqlite3_finalize(st);
	s->sweeps = s->sweeps_kept = (u64)last;
	while (!rc && store_swept(s) != store_sweeps(s))
		rc = MIN(store_sweep(s, 0), 0);
	return rc ? rc : sql_run_fixed(s, ST_FORGET_CHANGES);
}
