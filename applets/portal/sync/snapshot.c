#include "applets/portal/sync/snapshot.h"

#include "applets/portal/model/idna.h"
#include "core/crypto/hash.h"

#include <stdlib.h>
#include <string.h>

#define ID_MAX 255u

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

static int by_group(const void *a, const void *b)
{
	const struct snap_pair *x = a, *y = b;

	return x->group < y->group ? -1 : x->group > y->group;
}

/* The first pair of a group in a sorted list. */
static u32 first_of(const struct snap_pair *pairs, u32 n, u32 group)
{
	u32 low = 0, high = n;

	while (low < high) {
		u32 middle = low + (high - low) / 2;
		if (pairs[middle].group < group)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Everybody in the groups below `root`, which has some. */
static int flatten_one(struct snapshot *s, u32 root, const struct snap_pair *direct, u32 n_direct, u32 *queue)
{
	u32 head = 0, tail = 0;
	int rc = 0;

	s->groups[root].seen = root + 1;
	queue[tail++] = root;
	while (head < tail && !rc) {
		u32 g = queue[head++];
		for (u32 i = first_of(s->nested, s->n_nested, g); i < s->n_nested && s->nested[i].group == g; i++) {
			u32 inner = s->nested[i].member;
			if (s->groups[inner].seen == root + 1)
				continue;
			s->groups[inner].seen = root + 1;
			queue[tail++] = inner;
		}
		for (u32 i = g == root ? n_direct : first_of(direct, n_direct, g); !rc && i < n_direct && direct[i].group == g; i++)
			rc = snapshot_member(s, root, direct[i].member);
	}
	return rc;
}

int snapshot_flatten(struct snapshot *s)
{
	u32 n = s->n_members, *queue = malloc((s->n_groups + 1) * sizeof(*queue));
	struct snap_pair *direct = malloc((n + 1) * sizeof(*direct));
	int rc = queue && direct ? 0 : ERR_NOMEM;

	if (!rc && n > 0)
		memcpy(direct, s->members, n * sizeof(*direct));
	if (!rc && n > 0)
		qsort(direct, n, sizeof(*direct), by_group);
	if (!rc && s->n_nested > 0)
		qsort(s->nested, s->n_nested, sizeof(*s->nested), by_group);
	for (u32 i = 0; !rc && i < s->n_nested; i++)
		if (i == 0 || s->nested[i].group != s->nested[i - 1].group)
			rc = flatten_one(s, s->nested[i].group, direct, n, queue);
	free(queue);
	free(direct);
	return rc;
}
