#include "applets/portal/sync/snapshot.h"

#include "applets/portal/model/idna.h"
#include "core/crypto/hash.h"

#include <stdlib.h>
#include <string.h>

#define ID_MAX 255u

struct flattening;
static void flattening_free(struct flattening *f);

void snapshot_key(u8 key[static SNAPSHOT_KEY_LEN], const char *idp_id)
{
	u8 digest[SHA256_LEN];

	sha256(digest, SPAN(idp_id, strlen(idp_id)));
	memcpy(key, digest, SNAPSHOT_KEY_LEN);
}

/* Tables hold numbers from 1. */
static void *number(u32 i)
{
	return (void *)(uintptr_t)(i + 1);
}

static int found(const struct table *t, const void *key)
{
	void *v = table_get(t, key);

	return v ? (int)((uintptr_t)v - 1) : ERR_NOT_FOUND;
}

void snapshot_init(struct snapshot *s, struct rng *rng)
{
	memset(s, 0, sizeof(*s));
	table_init(&s->by_user, SNAPSHOT_KEY_LEN, SNAPSHOT_USERS_MAX, rng);
	table_init(&s->by_group, SNAPSHOT_KEY_LEN, SNAPSHOT_GROUPS_MAX, rng);
	table_init(&s->by_pair, sizeof(struct snap_pair), SNAPSHOT_MEMBERS_MAX, rng);
}

void snapshot_deinit(struct snapshot *s)
{
	for (u32 i = 0; i < s->n_users; i++) {
		struct snap_user *u = &s->users[i];
		free(u->idp_id);
		free(u->email);
		free(u->name);
		free(u->given_name);
		free(u->family_name);
		free(u->path);
	}
	for (u32 i = 0; i < s->n_groups; i++) {
		struct snap_group *g = &s->groups[i];
		free(g->idp_id);
		free(g->name);
		free(g->email);
		free(g->path);
	}
	free(s->users);
	free(s->groups);
	free(s->members);
	free(s->nested);
	table_deinit(&s->by_user);
	table_deinit(&s->by_group);
	table_deinit(&s->by_pair);
	flattening_free(s->flattening);
	memset(s, 0, sizeof(*s));
}

/* Room for one more of `size` bytes. */
static int grow(void **items, u32 n, u32 *cap, u32 max, size_t size)
{
	if (n < *cap)
		return 0;
	if (n >= max)
		return ERR_LIMIT;
	u32 more = *cap ? *cap * 2 : 64;
	void *p = realloc(*items, more * size);
	if (!p)
		return ERR_NOMEM;
	*items = p;
	*cap = more;
	return 0;
}

static int copy(char **field, const char *text, int rc)
{
	return rc ? rc : text_set(field, text && *text ? text : NULL);
}

int snapshot_user(struct snapshot *s, const char *idp_id, const char *email, const char *name, const char *given_name, const char *family_name)
{
	char normal[EMAIL_MAX + 1];
	u8 key[SNAPSHOT_KEY_LEN];

	if (!idp_id || !*idp_id || strlen(idp_id) > ID_MAX)
		return ERR_INVAL;
	snapshot_key(key, idp_id);
	int at = found(&s->by_user, key);
	if (at >= 0)
		return at;
	int rc = grow((void **)&s->users, s->n_users, &s->cap_users, SNAPSHOT_USERS_MAX, sizeof(*s->users));
	if (rc)
		return rc;
	struct snap_user *u = &s->users[s->n_users++];
	memset(u, 0, sizeof(*u));
	rc = copy(&u->idp_id, idp_id, 0);
	rc = copy(&u->email, email && email_normalise(email, normal) == 0 ? normal : email, rc);
	rc = copy(&u->name, name, rc);
	rc = copy(&u->given_name, given_name, rc);
	rc = copy(&u->family_name, family_name, rc);
	rc = rc ? rc : table_put(&s->by_user, key, number(s->n_users - 1));
	return rc ? rc : (int)s->n_users - 1;
}

int snapshot_group(struct snapshot *s, const char *idp_id, const char *name, const char *email, enum entity_type type)
{
	u8 key[SNAPSHOT_KEY_LEN];

	if (!idp_id || !*idp_id || strlen(idp_id) > ID_MAX)
		return ERR_INVAL;
	snapshot_key(key, idp_id);
	int at = found(&s->by_group, key);
	if (at >= 0)
		return at;
	int rc = grow((void **)&s->groups, s->n_groups, &s->cap_groups, SNAPSHOT_GROUPS_MAX, sizeof(*s->groups));
	if (rc)
		return rc;
	struct snap_group *g = &s->groups[s->n_groups++];
	memset(g, 0, sizeof(*g));
	g->entity_type = type;
	rc = copy(&g->idp_id, idp_id, 0);
	rc = copy(&g->name, name && *name ? name : email && *email ? email : idp_id, rc);
	rc = copy(&g->email, email, rc);
	rc = rc ? rc : table_put(&s->by_group, key, number(s->n_groups - 1));
	return rc ? rc : (int)s->n_groups - 1;
}

int snapshot_find_user(const struct snapshot *s, const char *idp_id)
{
	u8 key[SNAPSHOT_KEY_LEN];

	snapshot_key(key, idp_id);
	return found(&s->by_user, key);
}

int snapshot_find_group(const struct snapshot *s, const char *idp_id)
{
	u8 key[SNAPSHOT_KEY_LEN];

	snapshot_key(key, idp_id);
	return found(&s->by_group, key);
}

bool snapshot_has_member(const struct snapshot *s, u32 group, u32 user)
{
	struct snap_pair pair = { group, user };

	return table_get(&s->by_pair, &pair) != NULL;
}

int snapshot_member(struct snapshot *s, u32 group, u32 user)
{
	struct snap_pair pair = { group, user };

	s->users[user].is_wanted = true;
	if (table_get(&s->by_pair, &pair))
		return 0;
	int rc = grow((void **)&s->members, s->n_members, &s->cap_members, SNAPSHOT_MEMBERS_MAX, sizeof(pair));
	rc = rc ? rc : table_put(&s->by_pair, &pair, number(s->n_members));
	if (!rc)
		s->members[s->n_members++] = pair;
	return rc;
}

int snapshot_nest(struct snapshot *s, u32 group, u32 inner)
{
	int rc = grow((void **)&s->nested, s->n_nested, &s->cap_nested, SNAPSHOT_MEMBERS_MAX, sizeof(*s->nested));

	if (!rc)
		s->nested[s->n_nested++] = (struct snap_pair){ group, inner };
	return rc;
}

/* ---- groups in groups ------------------------------------------------------------------------------------------------------------------ */

/* Pairs in order of their groups, by counting: linear, and can be done in parts. A group's begin where those of the one before end. */
struct buckets {
	struct snap_pair *pairs;
	u32 *end; /* of each group */
	u32 n, at;
};

struct flattening {
	enum { COUNT_MEMBERS, PLACE_MEMBERS, COUNT_NESTED, PLACE_NESTED, WALK } phase;
	struct buckets direct, inner;
	u32 *queue, head, tail; /* groups below `root` */
	u32 root, at;		/* at: the next member of the group at the head */
	bool is_entered;	/* that group's inner groups are queued */
};

static void flattening_free(struct flattening *f)
{
	if (!f)
		return;
	free(f->direct.pairs);
	free(f->direct.end);
	free(f->inner.pairs);
	free(f->inner.end);
	free(f->queue);
	free(f);
}

static int buckets_new(struct buckets *b, u32 n, u32 n_groups)
{
	b->n = n;
	b->pairs = malloc((n + 1) * sizeof(*b->pairs));
	b->end = calloc(n_groups + 1, sizeof(*b->end));
	return b->pairs && b->end ? 0 : ERR_NOMEM;
}

static struct flattening *flattening_new(const struct snapshot *s)
{
	struct flattening *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->queue = malloc((s->n_groups + 1) * sizeof(*f->queue));
	if (!f->queue || buckets_new(&f->direct, s->n_members, s->n_groups) || buckets_new(&f->inner, s->n_nested, s->n_groups)) {
		flattening_free(f);
		return NULL;
	}
	return f;
}

/* True when all are counted: the ends are where the groups begin, until their pairs are placed. */
static bool count(struct buckets *b, const struct snap_pair *from, u32 n_groups, u32 work)
{
	u32 sum = 0;

	for (; b->at < b->n && work > 0; work--)
		b->end[from[b->at++].group]++;
	if (b->at < b->n)
		return false;
	for (u32 g = 0; g < n_groups; g++) {
		u32 n = b->end[g];
		b->end[g] = sum;
		sum += n;
	}
	b->at = 0;
	return true;
}

static bool place(struct buckets *b, const struct snap_pair *from, u32 work)
{
	for (; b->at < b->n && work > 0; work--, b->at++)
		b->pairs[b->end[from[b->at].group]++] = from[b->at];
	return b->at == b->n;
}

static u32 first_of(const struct buckets *b, u32 group)
{
	return group > 0 ? b->end[group - 1] : 0;
}

/* Its inner groups, which were not met below this root, are looked at later. */
static void enter(struct snapshot *s, struct flattening *f, u32 group)
{
	for (u32 i = first_of(&f->inner, group); i < f->inner.end[group]; i++) {
		u32 inner = f->inner.pairs[i].member;
		if (s->groups[inner].seen == f->root + 1)
			continue;
		s->groups[inner].seen = f->root + 1;
		f->queue[f->tail++] = inner;
	}
	f->at = group == f->root ? f->direct.end[group] : first_of(&f->direct, group);
	f->is_entered = true;
}

/* Everybody in the groups below each one that has some. True: that was all. */
static int walk(struct snapshot *s, struct flattening *f, u32 work)
{
	int rc = 0;

	for (; work > 0 && f->root < s->n_groups && !rc; work--) {
		if (f->head == f->tail) {
			f->head = f->tail = 0;
			if (s->groups[f->root].seen == f->root + 1 || first_of(&f->inner, f->root) == f->inner.end[f->root]) {
				f->root++;
				continue;
			}
			s->groups[f->root].seen = f->root + 1;
			f->queue[f->tail++] = f->root;
		}
		u32 group = f->queue[f->head];
		if (!f->is_entered)
			enter(s, f, group);
		if (f->at < f->direct.end[group]) {
			rc = snapshot_member(s, f->root, f->direct.pairs[f->at++].member);
		} else {
			f->head++;
			f->is_entered = false;
		}
	}
	return rc ? rc : f->root < s->n_groups;
}

int snapshot_flatten(struct snapshot *s, u32 work)
{
	struct flattening *f = s->flattening ? s->flattening : flattening_new(s);
	int rc = 1;

	s->flattening = f;
	if (!f)
		return ERR_NOMEM;
	switch (f->phase) {
	case COUNT_MEMBERS:
		f->phase += count(&f->direct, s->members, s->n_groups, work);
		break;
	case PLACE_MEMBERS:
		f->phase += place(&f->direct, s->members, work);
		break;
	case COUNT_NESTED:
		f->phase += count(&f->inner, s->nested, s->n_groups, work);
		break;
	case PLACE_NESTED:
		f->phase += place(&f->inner, s->nested, work);
		break;
	case WALK:
		rc = walk(s, f, work);
		break;
	}
	if (rc != 1) {
		flattening_free(f);
		s->flattening = NULL;
	}
	return rc;
}
