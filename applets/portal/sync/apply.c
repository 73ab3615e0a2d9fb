#define LOG_TARGET "portal::sync"

#include "applets/portal/sync/apply.h"

#include "applets/portal/model/principal.h"
#include "applets/portal/model/rules.h"
#include "core/base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_BYTES 255u
#define WHY_MAX 200u
#define BATCH_FIRST 4u
#define BATCH_MAX 1024u

enum phase { COMPARE, USERS, GROUPS, MEMBERS, FIND_OVER, DELETE_MEMBERS, DELETE_GROUPS, DELETE_IDENTITIES, POLICIES, DONE };

struct list {
	struct uuid *id;
	u32 n, cap;
};

struct pair_key {
	struct uuid group, actor;
};

struct apply {
	struct portal *portal;
	struct loop *loop;
	struct pull *pull;
	struct uuid account, directory;
	char issuer[APPLY_ISSUER_MAX], why[WHY_MAX];
	enum phase phase;
	u32 at;			      /* in the present phase */
	u32 batch;		      /* things done in one slice, so that it takes about APPLY_SLICE with all that follows from them */
	struct uuid *actor_of, *group_of; /* by number in the snapshot; null: left out */
	struct table wanted;	      /* struct pair_key: memberships that shall be */
	struct table ours;	      /* ids of the groups in group_of */
	struct list old_identities, old_groups, old_members;
	u32 identities, groups;	      /* that there were */
	char cursor[STORE_CURSOR_MAX];
	struct apply_counts counts;
	struct loop_task task;
	void (*done)(void *ctx, int rc, const char *why);
	void *ctx;
};

/* ---- bits ---- */

static int list_add(struct list *l, const struct uuid *id)
{
	if (l->n == l->cap) {
		u32 cap = l->cap ? l->cap * 2 : 64;
		struct uuid *more = realloc(l->id, cap * sizeof(*more));
		if (!more)
			return ERR_NOMEM;
		l->id = more;
		l->cap = cap;
	}
	l->id[l->n++] = *id;
	return 0;
}

static u64 wall(const struct apply *a)
{
	return loop_wall(a->loop);
}

static i64 stamp(const struct apply *a)
{
	return (i64)(wall(a) / 1000);
}

static const struct directory *memory(const struct apply *a)
{
	return hub_directory(a->portal->hub);
}

/* 1: it differs and was set. Names are cut at a character. */
static int change(char **field, const char *value)
{
	char cut[NAME_MAX_BYTES + 1];
	size_t n = value ? strlen(value) : 0;

	if (n > NAME_MAX_BYTES) {
		n = NAME_MAX_BYTES;
		while (n > 0 && ((u8)value[n] & 0xc0) == 0x80)
			n--;
		memcpy(cut, value, n);
		cut[n] = '\0';
		value = cut;
	}
	if (*field ? value && strcmp(*field, value) == 0 : !value)
		return 0;
	int rc = text_set(field, value);
	return rc ? rc : 1;
}

static int insert(struct apply *a, enum kind k, void *row)
{
	struct entity *e = row;

	e->account_id = a->account;
	e->id = uuid_random(a->portal->rng);
	return store_insert(a->portal->store, k, row, wall(a));
}

/* ---- compare ---- */

static int look_at_identity(void *ctx, enum kind k, const void *row)
{
	struct apply *a = ctx;
	const struct identity *i = row;
	int user = snapshot_find_user(&a->pull->snap, i->idp_id);

	(void)k;
	if (!uuid_eq(&i->directory_id, &a->directory))
		return 0;
	a->identities++;
	return user >= 0 && a->pull->snap.users[user].is_wanted ? 0 : list_add(&a->old_identities, &i->e.id);
}

static int compare_groups(struct apply *a)
{
	u32 n;
	void *const *all = directory_all(memory(a), KIND_GROUP, &a->account, &n);
	int rc = 0;

	for (u32 i = 0; i < n && !rc; i++) {
		const struct group *g = all[i];
		if (!uuid_eq(&g->directory_id, &a->directory))
			continue;
		a->groups++;
		if (!g->idp_id || snapshot_find_group(&a->pull->snap, g->idp_id) < 0)
			rc = list_add(&a->old_groups, &g->e.id);
	}
	return rc;
}

static int would_vanish(struct apply *a, const char *what, u32 all)
{
	snprintf(a->why, sizeof(a->why), "All %u %s of this directory would be deleted: nothing was changed. If this is meant, delete the directory", all, what);
	return ERR_DENIED;
}

/* One page of what there is, whosoever's: in the order of their age a page costs the same wherever it begins. 1: there is more. */
static int compare(struct apply *a)
{
	struct store_query q = { .kind = KIND_IDENTITY, .account = a->account, .limit = STORE_PAGE_MAX, .cursor = a->cursor[0] ? a->cursor : NULL };
	struct store_page page;
	int rc = store_page(a->portal->store, &q, look_at_identity, a, &page);
	if (rc)
		return rc;
	if (page.has_next) {
		memcpy(a->cursor, page.next, sizeof(a->cursor));
		return 1;
	}
	a->cursor[0] = '\0';
	rc = compare_groups(a);
	if (!rc && a->pull->dir.synced_at && a->identities > 0 && a->old_identities.n == a->identities)
		rc = would_vanish(a, "people", a->identities);
	if (!rc && a->pull->dir.synced_at && a->groups > 0 && a->old_groups.n == a->groups)
		rc = would_vanish(a, "groups", a->groups);
	return rc;
}

/* ---- users ---- */

static int fill_identity(struct apply *a, struct identity *row, const struct snap_user *u)
{
	struct {
		char **field;
		const char *value;
	} all[] = { { &row->email, u->email }, { &row->name, u->name }, { &row->given_name, u->given_name }, { &row->family_name, u->family_name } };
	int changed = !uuid_eq(&row->directory_id, &a->directory);

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		int rc = change(all[i].field, all[i].value);
		if (rc < 0)
			return rc;
		changed |= rc;
	}
	row->directory_id = a->directory;
	row->last_synced_at = stamp(a);
	return changed;
}

/* An actor of ours is called what the directory calls him. Two with one address: the first keeps it. */
static int follow_actor(struct apply *a, const struct uuid *id, const struct snap_user *u)
{
	const struct actor *known = directory_get(memory(a), KIND_ACTOR, &a->account, id);
	struct complaint c;
	struct actor row;

	if (!known || !uuid_eq(&known->created_by_directory_id, &a->directory))
		return 0;
	if (entity_copy(KIND_ACTOR, &row, known))
		return ERR_NOMEM;
	int changed = change(&row.name, u->name ? u->name : u->email), rc = changed < 0 ? changed : change(&row.email, u->email);
	if (rc > 0 || (rc == 0 && changed > 0)) {
		row.last_synced_at = stamp(a);
		rc = check_actor(&row, &c) ? 0 : store_update(a->portal->store, KIND_ACTOR, &row, wall(a));
		rc = rc == ERR_EXISTS ? 0 : rc;
	}
	entity_deinit(KIND_ACTOR, &row);
	return rc;
}

/* 0 and the actor with that address, found or made. ERR_INVAL: no proper address. */
static int find_or_make_actor(struct apply *a, const struct snap_user *u, struct uuid *id)
{
	const struct store_filter by_email = { "email", FILTER_IS, u->email };
	struct complaint c;
	struct actor row;
	int rc = store_find(a->portal->store, KIND_ACTOR, &a->account, &by_email, 1, &row);

	if (rc == 0) {
		*id = row.e.id;
		entity_deinit(KIND_ACTOR, &row);
		return 0;
	}
	if (rc != ERR_NOT_FOUND)
		return rc;
	entity_init(KIND_ACTOR, &row);
	row.type = ACTOR_USER;
	row.created_by_directory_id = a->directory;
	row.last_synced_at = stamp(a);
	rc = change(&row.name, u->name ? u->name : u->email);
	rc = rc < 0 ? rc : text_set(&row.email, u->email);
	rc = rc ? rc : check_actor(&row, &c);
	rc = rc ? rc : insert(a, KIND_ACTOR, &row);
	*id = row.e.id;
	entity_deinit(KIND_ACTOR, &row);
	a->counts.users_new += rc == 0;
	return rc;
}

static int apply_user(struct apply *a, u32 number)
{
	const struct snap_user *u = &a->pull->snap.users[number];
	const struct store_filter by_id[] = { { "issuer", FILTER_IS, a->issuer }, { "idp_id", FILTER_IS, u->idp_id } };
	struct identity row;

	if (!u->is_wanted)
		return 0;
	if (!u->email) {
		a->counts.users_left_out++;
		return 0;
	}
	int rc = store_find(a->portal->store, KIND_IDENTITY, &a->account, by_id, ARRAY_LEN(by_id), &row);
	bool is_known = rc == 0;
	if (rc && rc != ERR_NOT_FOUND)
		return rc;
	if (!is_known) {
		entity_init(KIND_IDENTITY, &row);
		rc = find_or_make_actor(a, u, &row.actor_id);
		rc = rc ? rc : text_set(&row.issuer, a->issuer);
		rc = rc ? rc : text_set(&row.idp_id, u->idp_id);
	} else {
		rc = follow_actor(a, &row.actor_id, u);
	}
	int changed = rc ? rc : fill_identity(a, &row, u);
	rc = changed < 0 ? changed : 0;
	if (!rc && !is_known)
		rc = insert(a, KIND_IDENTITY, &row);
	else if (!rc && changed)
		rc = store_update(a->portal->store, KIND_IDENTITY, &row, wall(a));
	if (rc == 0) {
		a->actor_of[number] = row.actor_id;
		a->counts.users++;
	} else if (rc == ERR_INVAL) {
		a->counts.users_left_out++;
		rc = 0;
	}
	entity_deinit(KIND_IDENTITY, &row);
	return rc;
}

/* ---- groups ---- */

static int apply_group(struct apply *a, u32 number)
{
	const struct snap_group *g = &a->pull->snap.groups[number];
	const struct store_filter by_id = { "idp_id", FILTER_IS, g->idp_id };
	struct group row;
	int rc = store_find(a->portal->store, KIND_GROUP, &a->account, &by_id, 1, &row);
	bool is_known = rc == 0;

	if (rc && rc != ERR_NOT_FOUND)
		return rc;
	if (is_known && !uuid_eq(&row.directory_id, &a->directory)) { /* of another directory: hands off */
		a->counts.groups_left_out++;
		entity_deinit(KIND_GROUP, &row);
		return 0;
	}
	if (!is_known) {
		entity_init(KIND_GROUP, &row);
		row.directory_id = a->directory;
		rc = text_set(&row.idp_id, g->idp_id);
	} else {
		rc = 0;
	}
	row.type = GROUP_STATIC;
	bool changed = row.entity_type != (int)g->entity_type;
	row.entity_type = (int)g->entity_type;
	int name = rc ? rc : change(&row.name, g->name), email = name < 0 ? name : change(&row.email, g->email);
	rc = email < 0 ? email : 0;
	row.last_synced_at = stamp(a);
	if (!rc && !is_known)
		rc = insert(a, KIND_GROUP, &row);
	else if (!rc && (changed || name || email))
		rc = store_update(a->portal->store, KIND_GROUP, &row, wall(a));
	if (!rc) {
		a->group_of[number] = row.e.id;
		rc = table_put(&a->ours, &row.e.id, a);
		a->counts.groups++;
		a->counts.groups_new += !is_known;
	}
	entity_deinit(KIND_GROUP, &row);
	return rc;
}

/* ---- memberships ---- */

static int apply_member(struct apply *a, u32 number)
{
	const struct snap_pair *pair = &a->pull->snap.members[number];
	struct pair_key key = { a->group_of[pair->group], a->actor_of[pair->member] };
	const struct directory *d = memory(a);
	struct membership row;
	struct uuid known;

	if (uuid_is_null(&key.group) || uuid_is_null(&key.actor) || table_get(&a->wanted, &key))
		return 0; /* left out, or two identities of one actor */
	int rc = table_put(&a->wanted, &key, a);
	const struct actor *actor = directory_get(d, KIND_ACTOR, &a->account, &key.actor);
	const struct group *group = directory_get(d, KIND_GROUP, &a->account, &key.group);
	if (rc || !actor || !group || directory_is_member(d, actor, group, &known))
		return rc;
	entity_init(KIND_MEMBERSHIP, &row);
	row.actor_id = key.actor;
	row.group_id = key.group;
	rc = insert(a, KIND_MEMBERSHIP, &row);
	entity_deinit(KIND_MEMBERSHIP, &row);
	a->counts.memberships_new += rc == 0;
	return rc == ERR_EXISTS ? 0 : rc;
}

/* One of all memberships of the account, in memory: of a group of ours, but not in the snapshot? One that is missed because others change the
 * list meanwhile is found by the next sync. */
static int find_over(struct apply *a, u32 number)
{
	u32 n;
	void *const *all = directory_all(memory(a), KIND_MEMBERSHIP, &a->account, &n);
	const struct membership *m = number < n ? all[number] : NULL;

	if (!m || !table_get(&a->ours, &m->group_id))
		return 0;
	struct pair_key key = { m->group_id, m->actor_id };
	return table_get(&a->wanted, &key) ? 0 : list_add(&a->old_members, &m->e.id);
}

static int delete_one(struct apply *a, enum kind k, const struct uuid *id, u32 *count)
{
	int rc = store_delete(a->portal->store, k, &a->account, id);

	*count += rc == 0;
	return rc == ERR_NOT_FOUND ? 0 : rc;
}

static bool is_last_admin(const struct apply *a, const struct actor *actor)
{
	i64 n = 0;

	return actor->type == ACTOR_ADMIN && !actor->disabled_at && (store_count(a->portal->store, COUNT_ENABLED_ADMINS, &a->account, &n) || n <= 1);
}

/* With what was signed in by it; and the actor, when we made him and nothing else speaks for him. */
static int delete_identity(struct apply *a, u32 number)
{
	struct store *s = a->portal->store;
	struct identity row;
	i64 left = 0;
	int rc = store_get(s, KIND_IDENTITY, &a->account, &a->old_identities.id[number], &row);

	if (rc)
		return rc == ERR_NOT_FOUND ? 0 : rc;
	rc = store_revoke_issuer(s, &a->account, &row.actor_id, row.issuer);
	rc = rc ? rc : delete_one(a, KIND_IDENTITY, &row.e.id, &a->counts.identities_gone);
	rc = rc ? rc : store_tally_of(s, TALLY_IDENTITIES_OF_ACTOR, &a->account, &row.actor_id, &left);
	const struct actor *actor = directory_get(memory(a), KIND_ACTOR, &a->account, &row.actor_id);
	if (rc == 0 && left == 0 && actor && uuid_eq(&actor->created_by_directory_id, &a->directory)) {
		if (is_last_admin(a, actor))
			log_warn("the last admin is not in his directory any more, and stays", kv_s("actor", actor->email));
		else
			rc = delete_one(a, KIND_ACTOR, &row.actor_id, &a->counts.actors_gone);
	}
	entity_deinit(KIND_IDENTITY, &row);
	return rc;
}

/* ---- policies ---- */

/* A policy whose group went and came again gets it back. */
static int attach_policy(struct apply *a, u32 number)
{
	u32 n;
	void *const *all = directory_all(memory(a), KIND_POLICY, &a->account, &n);
	const struct policy *known = number < n ? all[number] : NULL;
	struct policy row;

	if (!known || !uuid_is_null(&known->group_id) || !known->group_idp_id)
		return 0;
	int group = snapshot_find_group(&a->pull->snap, known->group_idp_id);
	if (group < 0 || uuid_is_null(&a->group_of[group]))
		return 0;
	if (entity_copy(KIND_POLICY, &row, known))
		return ERR_NOMEM;
	row.group_id = a->group_of[group];
	int rc = store_update(a->portal->store, KIND_POLICY, &row, wall(a));
	entity_deinit(KIND_POLICY, &row);
	a->counts.policies_attached += rc == 0;
	return rc == ERR_EXISTS ? 0 : rc;
}

/* ---- slices ---- */

static u32 size_of(const struct apply *a, enum phase phase)
{
	u32 n = 0;

	switch (phase) {
	case COMPARE: return 1;
	case USERS: return a->pull->snap.n_users;
	case GROUPS: return a->pull->snap.n_groups;
	case FIND_OVER: (void)directory_all(memory(a), KIND_MEMBERSHIP, &a->account, &n); return n;
	case MEMBERS: return a->pull->snap.n_members;
	case DELETE_MEMBERS: return a->old_members.n;
	case DELETE_GROUPS: return a->old_groups.n;
	case DELETE_IDENTITIES: return a->old_identities.n;
	case POLICIES: (void)directory_all(memory(a), KIND_POLICY, &a->account, &n); return n;
	case DONE: break;
	}
	return 0;
}

static int do_one(struct apply *a)
{
	switch (a->phase) {
	case COMPARE: return compare(a);
	case USERS: return apply_user(a, a->at);
	case GROUPS: return apply_group(a, a->at);
	case MEMBERS: return apply_member(a, a->at);
	case FIND_OVER: return find_over(a, a->at);
	case DELETE_MEMBERS: return delete_one(a, KIND_MEMBERSHIP, &a->old_members.id[a->at], &a->counts.memberships_gone);
	case DELETE_GROUPS: return delete_one(a, KIND_GROUP, &a->old_groups.id[a->at], &a->counts.groups_gone);
	case DELETE_IDENTITIES: return delete_identity(a, a->at);
	case POLICIES: return attach_policy(a, a->at);
	case DONE: break;
	}
	return 0;
}

/* Has an admin switched it off meanwhile, or deleted it? */
static int still_wanted(struct apply *a)
{
	const struct account *account = directory_account(memory(a), &a->account);
	struct sync_directory row;
	int rc = store_get(a->portal->store, KIND_DIRECTORY, &a->account, &a->directory, &row);

	if (rc)
		return rc;
	rc = row.disabled_at || !account || account->disabled_at ? ERR_NOT_FOUND : 0;
	entity_deinit(KIND_DIRECTORY, &row);
	return rc;
}

/* Committing and telling everybody cost as much as writing, and only afterwards it is known how much. */
static void adapt(struct apply *a, u64 took)
{
	if (took > APPLY_SLICE && a->batch > 1)
		a->batch /= 2;
	else if (took < APPLY_SLICE / 2 && a->batch < BATCH_MAX)
		a->batch *= 2;
}

static int slice(struct apply *a)
{
	u64 begin = a->portal->now();
	int rc = still_wanted(a);

	if (rc)
		return rc;
	struct principal who = { .kind = PRINCIPAL_SYSTEM, .account_id = a->account };
	snprintf(who.actor_name, sizeof(who.actor_name), "Directory %s", a->pull->dir.name);
	store_set_principal(a->portal->store, &who, wall(a));
	rc = store_begin(a->portal->store, STORE_EAGER);
	if (rc)
		return rc;
	enum phase phase = a->phase; /* memory follows at the end of a slice, so a slice is of one phase */
	u32 size = size_of(a, phase);
	for (u32 i = 0; rc >= 0 && i < a->batch && a->at < size && a->portal->now() - begin < APPLY_SLICE; i++) {
		rc = do_one(a);
		a->at += rc == 0;
	}
	rc = rc < 0 ? store_rollback(a->portal->store, rc) : store_commit(a->portal->store);
	rc = rc ? rc : hub_publish(a->portal->hub, a->portal->now(), wall(a));
	if (rc == 0 && a->at >= size) {
		a->phase++;
		a->at = 0;
	}
	adapt(a, a->portal->now() - begin);
	return rc;
}

static void on_task(void *ctx, u64 now)
{
	struct apply *a = ctx;
	int rc = slice(a);

	(void)now;
	if (rc || a->phase == DONE)
		a->done(a->ctx, rc, a->why[0] ? a->why : rc ? store_reason(a->portal->store) : "");
	else
		loop_task_queue(a->loop, &a->task);
}

struct apply *apply_new(struct portal *p, struct loop *l, struct pull *pull, void (*done)(void *ctx, int rc, const char *why), void *ctx)
{
	struct apply *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->portal = p;
	a->loop = l;
	a->pull = pull;
	a->account = pull->dir.e.account_id;
	a->directory = pull->dir.e.id;
	a->done = done;
	a->ctx = ctx;
	a->task = (struct loop_task){ .cb = on_task, .ctx = a };
	pull_issuer(pull->cfg, &pull->dir, a->issuer, sizeof(a->issuer));
	table_init(&a->wanted, sizeof(struct pair_key), SNAPSHOT_MEMBERS_MAX, p->rng);
	table_init(&a->ours, sizeof(struct uuid), SNAPSHOT_GROUPS_MAX, p->rng);
	a->batch = BATCH_FIRST;
	a->actor_of = calloc(pull->snap.n_users + 1, sizeof(*a->actor_of));
	a->group_of = calloc(pull->snap.n_groups + 1, sizeof(*a->group_of));
	if (!a->actor_of || !a->group_of) {
		apply_free(a);
		return NULL;
	}
	loop_task_queue(l, &a->task);
	return a;
}

void apply_free(struct apply *a)
{
	if (!a)
		return;
	loop_task_cancel(a->loop, &a->task);
	table_deinit(&a->wanted);
	table_deinit(&a->ours);
	free(a->old_identities.id);
	free(a->old_groups.id);
	free(a->old_members.id);
	free(a->actor_of);
	free(a->group_of);
	free(a);
}

const struct apply_counts *apply_counts(const struct apply *a)
{
	return &a->counts;
}
