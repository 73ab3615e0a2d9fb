#include "applets/portal/model/access.h"

#include <stdlib.h>

#define DAY 86400

static bool span_is(struct span s, const char *word)
{
	return s.n == strlen(word) && memcmp(s.p, word, s.n) == 0;
}

static i64 floor_div(i64 a, i64 b)
{
	return a >= 0 ? a / b : -((-a + b - 1) / b);
}

/* ---- one condition ------------------------------------------------------------------------------------------------------ */

static bool region_holds(const struct condition *c, const struct subject *s)
{
	struct span list = c->values, word;
	bool is_in = false;

	if (!s->region[0])
		return false;
	while (word_next(&list, &word))
		is_in |= span_is(word, s->region);
	return is_in != c->is_negated;
}

static bool remote_ip_holds(const struct condition *c, const struct subject *s)
{
	struct span list = c->values, word;
	bool is_in = false;
	struct cidr net;

	while (word_next(&list, &word))
		is_in |= cidr_parse(word, &net) == 0 && cidr_contains(&net, &s->remote_ip);
	return is_in != c->is_negated;
}

static bool provider_holds(const struct condition *c, const struct subject *s)
{
	struct span list = c->values, word;
	bool is_in = false;
	struct uuid id;

	if (uuid_is_null(&s->auth_provider))
		return c->is_negated;
	while (word_next(&list, &word))
		is_in |= uuid_parse(word, &id) == 0 && uuid_eq(&id, &s->auth_provider);
	return is_in != c->is_negated;
}

/* The instant at which the local clock of a zone shows `local`. */
static i64 local_to_utc(const struct zones *z, struct span zone, i64 local, i64 offset_guess)
{
	i64 offset;

	if (z->offset(z->ctx, zone, local - offset_guess, &offset))
		return local - offset_guess;
	return local - offset;
}

static bool time_holds(const struct condition *c, const struct subject *s, i64 now, i64 *expires_at)
{
	struct day_range ranges[DAY_RANGES_MAX];
	struct span list = c->values, word, zone;
	i64 until = -1, offset;
	int weekday;

	while (word_next(&list, &word)) {
		int n = day_ranges_parse(word, &weekday, ranges, &zone);

		if (n < 0 || !s->zones || s->zones->offset(s->zones->ctx, zone, now, &offset))
			continue;
		i64 local = now + offset, day = floor_div(local, DAY), second = local - day * DAY;
		if ((int)(((day + 4) % 7 + 7) % 7) != weekday) /* 1970-01-01 was a Thursday */
			continue;
		for (int i = 0; i < n; i++)
			if (ranges[i].first <= second && second < ranges[i].last) /* not what would be over when it is granted */
				until = MAX(until, local_to_utc(s->zones, zone, day * DAY + ranges[i].last, offset));
	}
	if (until >= 0)
		*expires_at = MIN(*expires_at, until);
	return until >= 0;
}

bool conditions_hold(const char *conditions, const struct subject *s, i64 now, i64 *expires_at, u32 *violated)
{
	struct condition c;
	bool all = true;

	*expires_at = ACCESS_FOREVER;
	while (condition_next(&conditions, &c)) {
		bool holds = false;

		switch (c.property) {
		case PROP_REGION:
			holds = region_holds(&c, s);
			break;
		case PROP_REMOTE_IP:
			holds = remote_ip_holds(&c, s);
			break;
		case PROP_PROVIDER:
			holds = provider_holds(&c, s);
			break;
		case PROP_TIME:
			holds = time_holds(&c, s, now, expires_at);
			break;
		case PROP_VERIFIED: {
			struct span list = c.values, word;
			holds = !word_next(&list, &word) || !span_is(word, "true") || s->is_verified;
			break;
		}
		case PROP_COUNT:
			break;
		}
		if (!holds)
			*violated |= 1u << c.property;
		all &= holds;
	}
	return all;
}

/* ---- policies ------------------------------------------------------------------------------------------------------------- */

/* Does the policy name the actor at all? */
static bool names(const struct directory *d, const struct policy *p, const struct actor *a, struct uuid *membership)
{
	const struct group *g;

	if (p->disabled_at || uuid_is_null(&p->group_id))
		return false;
	g = directory_get(d, KIND_GROUP, &p->e.account_id, &p->group_id);
	return g && directory_is_member(d, a, g, membership);
}

/* A pool is nowhere, and of use only where clients may reach clients. */
static bool is_connectable(const struct directory *d, const struct resource *r, const struct subject *s)
{
	if (r && r->type == RESOURCE_POOL) {
		const struct account *a = directory_account(d, &s->account_id);
		return s->knows_pools && a && a->client_to_client_at != 0;
	}
	if (!r || uuid_is_null(&r->site_id))
		return false;
	return r->type != RESOURCE_INTERNET || version_has_internet(&s->version);
}

struct access {
	const struct directory *d;
	const struct subject *subject;
	i64 now;
	const struct resource **out;
	u32 n, max;
};

static void add_group(struct access *a, const struct group *g)
{
	u32 n;
	void *const *policies = directory_policies_of_group(a->d, &g->e.account_id, &g->e.id, &n);

	for (u32 i = 0; i < n && a->n < a->max; i++) {
		const struct policy *p = policies[i];
		u32 violated = 0;
		i64 expires_at;

		if (p->disabled_at || !conditions_hold(p->conditions, a->subject, a->now, &expires_at, &violated))
			continue;
		const struct resource *r = directory_get(a->d, KIND_RESOURCE, &p->e.account_id, &p->resource_id);
		if (is_connectable(a->d, r, a->subject))
			a->out[a->n++] = r;
	}
}

static int by_resource_id(const void *a, const void *b)
{
	const struct resource *const *x = a, *const *y = b;

	return uuid_cmp(&(*x)->e.id, &(*y)->e.id);
}

u32 access_list(const struct directory *d, const struct subject *s, i64 now, const struct resource **out, u32 max)
{
	const struct actor *actor = directory_get(d, KIND_ACTOR, &s->account_id, &s->actor_id);
	struct access a = { d, s, now, out, 0, max };
	struct uuid none;
	void *const *list;
	u32 n, kept = 0;

	if (!actor)
		return 0;
	list = directory_memberships_of(d, actor, &n);
	for (u32 i = 0; i < n; i++) {
		const struct membership *m = list[i];
		const struct group *g = directory_get(d, KIND_GROUP, &m->e.account_id, &m->group_id);
		if (g && !group_is_everyone(g))
			add_group(&a, g);
	}
	list = directory_everyone(d, &s->account_id, &n);
	for (u32 i = 0; i < n; i++)
		if (directory_is_member(d, actor, list[i], &none))
			add_group(&a, list[i]);
	if (a.n > 0)
		qsort(out, a.n, sizeof(struct resource *), by_resource_id);
	for (u32 i = 0; i < a.n; i++)
		if (kept == 0 || out[kept - 1] != out[i])
			out[kept++] = out[i];
	return kept;
}

int access_grant(const struct directory *d, const struct subject *s, const struct uuid *resource, i64 now, struct grant *out,
		 u32 *violated)
{
	const struct actor *actor = directory_get(d, KIND_ACTOR, &s->account_id, &s->actor_id);
	void *const *list;
	u32 n, failed = 0;
	bool is_named = false;

	*violated = 0;
	*out = (struct grant){ .policy = NULL, .expires_at = -1 };
	if (!actor)
		return ERR_NOT_FOUND;
	list = directory_policies_of(d, &s->account_id, resource, &n);
	for (u32 i = 0; i < n; i++) {
		const struct policy *p = list[i];
		struct uuid membership;
		i64 expires_at;

		if (!names(d, p, actor, &membership))
			continue;
		is_named = true;
		if (conditions_hold(p->conditions, s, now, &expires_at, &failed) && expires_at > out->expires_at)
			*out = (struct grant){ p, membership, expires_at };
	}
	if (!is_named)
		return ERR_NOT_FOUND;
	if (!out->policy) {
		*violated = failed;
		return ERR_DENIED;
	}
	out->expires_at = MIN(out->expires_at, s->expires_at);
	return 0;
}
