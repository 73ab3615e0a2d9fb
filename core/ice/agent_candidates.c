/* What is known of either side's candidates. */
#include "core/ice/agent_int.h"

static bool text_is(struct span s, const char *want)
{
	return s.n == strlen(want) && memcmp(s.p, want, s.n) == 0;
}

struct entry *agent_entry_add(struct entries *e)
{
	struct entry *slot = NULL;

	if (e->n < e->limit) {
		if (e->n == e->capacity && !agent_grow(&e->v, &e->capacity, e->limit, sizeof(*e->v)))
			return NULL;
		slot = &e->v[e->n++];
	} else {
		for (u32 i = 0; i < e->n; i++)
			if (e->v[i].is_discarded && (!slot || e->v[i].discarded_at < slot->discarded_at))
				slot = &e->v[i];
	}
	if (slot)
		*slot = (struct entry){ 0 };
	return slot;
}

/* --- candidates ------------------------------------------------------------------------------------------------------------------- */

static unsigned count_alike(const struct entries *e, const struct candidate *c)
{
	unsigned n = 0;

	for (u32 i = 0; i < e->n; i++)
		n += e->v[i].c.kind == c->kind && e->v[i].c.addr.ip.family == c->addr.ip.family;
	return n;
}

static void discard(struct ice_agent *a, struct entry *e, bool is_local)
{
	const struct entries *list = is_local ? &a->local : &a->remote;
	u32 index = (u32)(e - list->v);

	e->is_discarded = true;
	e->discarded_at = ++a->discards;
	for (u32 i = a->n_pairs; i-- > 0;)
		if ((is_local ? a->pairs[i].local : a->pairs[i].remote) == index)
			agent_remove_pair(a, i);
}

int ice_add_local(struct ice_agent *a, u64 now, struct candidate *c)
{
	struct entry *twin = NULL, *e;

	a->now = now;
	if (!candidate_is_usable(c))
		return ERR_INVAL;
	c->priority = candidate_priority(c, count_alike(&a->local, c));
	for (u32 i = 0; i < a->local.n && !twin; i++)
		if (endpoint_eq(&a->local.v[i].c.addr, &c->addr) && endpoint_eq(&a->local.v[i].c.base, &c->base))
			twin = &a->local.v[i];
	if (twin && twin->is_discarded && twin->c.kind == c->kind && endpoint_eq(&twin->c.raddr, &c->raddr)) {
		twin->is_discarded = false;
		*c = twin->c;
		e = twin;
	} else {
		if (twin && c->priority < twin->c.priority)
			return ERR_EXISTS;
		if (twin && !twin->is_discarded)
			discard(a, twin, true);
		e = agent_entry_add(&a->local);
		if (!e)
			return ERR_LIMIT;
		e->c = *c;
	}
	agent_pair_local(a, (u32)(e - a->local.v));
	agent_reselect(a);
	return 0;
}

int ice_discard_local(struct ice_agent *a, u64 now, enum candidate_kind kind, const struct endpoint *addr)
{
	a->now = now;
	for (u32 i = 0; i < a->local.n; i++) {
		struct entry *e = &a->local.v[i];
		if (!e->is_discarded && e->c.kind == kind && endpoint_eq(&e->c.addr, addr)) {
			discard(a, e, true);
			agent_reselect(a);
			return 0;
		}
	}
	return ERR_NOT_FOUND;
}

size_t ice_local_candidates(const struct ice_agent *a, struct candidate out[static ICE_LOCAL_MAX])
{
	size_t n = 0;

	for (u32 i = 0; i < a->local.n; i++) {
		if (a->local.v[i].is_discarded)
			continue;
		size_t j = n++;
		for (; j > 0 && out[j - 1].priority < a->local.v[i].c.priority; j--)
			out[j] = out[j - 1];
		out[j] = a->local.v[i].c;
	}
	return n;
}

size_t ice_remote_candidates(const struct ice_agent *a, struct candidate out[static ICE_REMOTE_MAX])
{
	size_t n = 0;

	for (u32 i = 0; i < a->remote.n; i++)
		if (!a->remote.v[i].is_discarded)
			out[n++] = a->remote.v[i].c;
	return n;
}

/* The peer signalled what we knew only from its checks. Pairs take the true rank (spec 20 §5.6, last item). */
static void fill_placeholder(struct ice_agent *a, struct entry *e, const struct candidate *c)
{
	u32 index = (u32)(e - a->remote.v);

	e->c = *c;
	e->is_placeholder = false;
	for (u32 i = 0; i < a->n_pairs; i++)
		if (a->pairs[i].remote == index)
			a->pairs[i].prio = agent_pair_priority(a, a->pairs[i].local, index);
	agent_sort_pairs(a);
}

static bool is_in_a_pair(const struct ice_agent *a, u32 remote)
{
	for (u32 i = 0; i < a->n_pairs; i++)
		if (a->pairs[i].remote == remote)
			return true;
	return false;
}

int agent_add_remote(struct ice_agent *a, const struct candidate *c, bool is_placeholder)
{
	struct entry *e = NULL;

	if (!candidate_is_usable(c))
		return ERR_INVAL;
	for (u32 i = 0; i < a->remote.n && !e; i++) {
		struct entry *known = &a->remote.v[i];
		if (!endpoint_eq(&known->c.addr, &c->addr))
			continue;
		if (known->is_placeholder && !known->is_discarded && !is_placeholder) {
			fill_placeholder(a, known, c);
			e = known;
		} else if (known->c.kind == c->kind && endpoint_eq(&known->c.raddr, &c->raddr)) {
			if (!known->is_discarded && is_in_a_pair(a, i))
				return 0;
			known->is_discarded = false;
			e = known;
		}
	}
	if (!e) {
		e = agent_entry_add(&a->remote);
		if (!e)
			return ERR_LIMIT;
		e->c = *c;
		e->is_placeholder = is_placeholder;
	}
	agent_pair_remote(a, (u32)(e - a->remote.v));
	agent_reselect(a);
	return 0;
}

int ice_add_remote(struct ice_agent *a, u64 now, const struct candidate *c)
{
	a->now = now;
	return agent_add_remote(a, c, false);
}

int ice_remove_remote(struct ice_agent *a, u64 now, const struct candidate *c)
{
	int rc = ERR_NOT_FOUND;

	a->now = now;
	for (u32 i = 0; i < a->remote.n && rc != 0; i++) {
		struct entry *e = &a->remote.v[i];
		if (e->is_discarded || e->c.kind != c->kind || !endpoint_eq(&e->c.addr, &c->addr) ||
		    !endpoint_eq(&e->c.raddr, &c->raddr))
			continue;
		discard(a, e, false);
		rc = 0;
	}
	for (u32 i = 0; i < a->remote.n && rc == 0; i++) /* another candidate may be worth a pair to the same address */
		if (endpoint_eq(&a->remote.v[i].c.addr, &c->addr))
			agent_pair_remote(a, i);
	agent_reselect(a);
	return rc;
}

static bool has_remote_addr(const struct ice_agent *a, const struct endpoint *addr)
{
	for (u32 i = 0; i < a->remote.n; i++)
		if (endpoint_eq(&a->remote.v[i].c.addr, addr))
			return true;
	return false;
}

void ice_add_optimistic(struct ice_agent *a, u64 now)
{
	unsigned added = 0;
	u32 n = a->remote.n;

	a->now = now;
	for (u32 s = 0; s < n; s++) {
		if (a->remote.v[s].is_discarded || a->remote.v[s].c.kind != CANDIDATE_SRFLX ||
		    a->remote.v[s].c.addr.ip.family != 4)
			continue;
		for (u32 h = 0; h < n && added < ICE_OPTIMISTIC_PER_RUN; h++) {
			const struct entry *host = &a->remote.v[h];
			struct endpoint guess = a->remote.v[s].c.addr;
			if (host->is_discarded || host->c.kind != CANDIDATE_HOST || host->c.addr.ip.family != 4)
				continue;
			guess.port = host->c.addr.port;
			if (has_remote_addr(a, &guess))
				continue;
			struct candidate c = candidate_unranked(candidate_srflx(&guess, &guess));
			added += agent_add_remote(a, &c, false) == 0;
		}
	}
}

bool ice_wants(const struct ice_agent *a, const struct candidate_text *t)
{
	return t->component == 1 && t->is_udp && (t->ufrag.n == 0 || text_is(t->ufrag, a->cfg.remote.ufrag));
}

bool ice_is_remote_relay(const struct ice_agent *a, const struct endpoint *addr)
{
	for (u32 i = 0; i < a->remote.n; i++)
		if (!a->remote.v[i].is_discarded && a->remote.v[i].c.kind == CANDIDATE_RELAY &&
		    endpoint_eq(&a->remote.v[i].c.addr, addr))
			return true;
	return false;
}

bool ice_has_remote(const struct ice_agent *a)
{
	return a->remote.n > 0;
}
