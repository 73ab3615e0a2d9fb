/* Pairs and nomination; candidates live in agent_candidates.c, what is due when in timing.c, bytes in message.c. */
#include "core/ice/agent_int.h"

#include <sodium.h>
#include <stdlib.h>

#define CONTROLLED_SILENCE SEC(5) /* a nominated pair silent for so long gives way ... */
#define TRIGGERED_MAX 4u          /* checks of one pair that the peer's checks hasten */
#define CONTROLLED_FRESH SEC(2)   /* ... to one heard from within this */

struct ice_agent *ice_new(const struct ice_config *cfg, u64 now)
{
	struct ice_agent *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->cfg = *cfg;
	a->now = now;
	a->tie_breaker = rng_u64(cfg->rng);
	a->local.limit = ICE_LOCAL_MAX;
	a->remote.limit = ICE_REMOTE_MAX;
	return a;
}

void ice_free(struct ice_agent *a)
{
	if (!a)
		return;
	free(a->local.v);
	free(a->remote.v);
	free(a->pairs);
	sodium_memzero(&a->cfg, sizeof(a->cfg));
	free(a);
}

static bool text_is(struct span s, const char *want)
{
	return s.n == strlen(want) && memcmp(s.p, want, s.n) == 0;
}

static struct span text(const char *s)
{
	return SPAN(s, strlen(s));
}

/* --- entries ------------------------------------------------------------------------------------------------------------------- */

bool agent_grow(void *array, u32 *capacity, u32 limit, size_t size)
{
	u32 want = *capacity == 0 ? MIN(8u, limit) : MIN(*capacity * 2, limit);
	void **slot = array, *p = realloc(*slot, want * size);

	if (!p)
		return false;
	*slot = p;
	*capacity = want;
	return true;
}

static bool is_pairable(const struct entry *local)
{
	return !local->is_discarded && local->c.kind != CANDIDATE_PRFLX;
}

/* --- pairs ---------------------------------------------------------------------------------------------------------------------- */

static struct entry *local_of(const struct ice_agent *a, const struct pair *p)
{
	return &a->local.v[p->local];
}

static struct entry *remote_of(const struct ice_agent *a, const struct pair *p)
{
	return &a->remote.v[p->remote];
}

static struct pair *pair_by_id(struct ice_agent *a, u32 id)
{
	for (u32 i = 0; id != 0 && i < a->n_pairs; i++)
		if (a->pairs[i].id == id)
			return &a->pairs[i];
	return NULL;
}

static struct pair *pair_by_path(struct ice_agent *a, const struct endpoint *base, const struct endpoint *remote)
{
	for (u32 i = 0; i < a->n_pairs; i++) {
		struct pair *p = &a->pairs[i];
		if (endpoint_eq(&remote_of(a, p)->c.addr, remote) && endpoint_eq(&local_of(a, p)->c.base, base))
			return p;
	}
	return NULL;
}

u64 agent_pair_priority(const struct ice_agent *a, u32 local, u32 remote)
{
	u64 l = a->local.v[local].c.priority, r = a->remote.v[remote].c.priority;
	u64 g = a->cfg.is_controlling ? l : r, d = a->cfg.is_controlling ? r : l;

	return (MIN(g, d) << 32) + 2 * MAX(g, d) + (g > d ? 1 : 0);
}

void agent_sort_pairs(struct ice_agent *a)
{
	for (u32 i = 1; i < a->n_pairs; i++) {
		struct pair p = a->pairs[i];
		u32 j = i;
		for (; j > 0 && a->pairs[j - 1].prio < p.prio; j--)
			a->pairs[j] = a->pairs[j - 1];
		a->pairs[j] = p;
	}
}

void agent_remove_pair(struct ice_agent *a, u32 i)
{
	memmove(&a->pairs[i], &a->pairs[i + 1], (a->n_pairs - i - 1) * sizeof(*a->pairs));
	a->n_pairs--;
}

/* Makes, keeps or upgrades the pair of these two (spec 20 §5.6). */
static void form_pair(struct ice_agent *a, u32 local, u32 remote)
{
	const struct entry *l = &a->local.v[local], *r = &a->remote.v[remote];

	if (!is_pairable(l) || r->is_discarded || l->c.addr.ip.family != r->c.addr.ip.family)
		return;
	u64 prio = agent_pair_priority(a, local, remote);
	struct pair *p = pair_by_path(a, &l->c.base, &r->c.addr);
	if (p) {
		if (prio <= p->prio)
			return;
		p->prio = prio;
		p->local = (u8)local;
		p->remote = (u8)remote;
		if (p->is_nominated && a->cfg.is_controlling)
			history_due_now(&p->h);
		agent_sort_pairs(a);
		return;
	}
	if (a->n_pairs == ICE_PAIRS_MAX) {
		a->stats.pairs_dropped++;
		if (a->pairs[ICE_PAIRS_MAX - 1].prio >= prio)
			return;
		a->n_pairs--;
	} else if (a->n_pairs == a->pairs_capacity &&
		   !agent_grow(&a->pairs, &a->pairs_capacity, ICE_PAIRS_MAX, sizeof(*a->pairs))) {
		a->stats.pairs_dropped++;
		return;
	}
	a->pairs[a->n_pairs++] =
		(struct pair){ .prio = prio, .id = ++a->next_pair_id, .local = (u8)local, .remote = (u8)remote };
	agent_sort_pairs(a);
}

void agent_pair_local(struct ice_agent *a, u32 local)
{
	for (u32 r = 0; r < a->remote.n; r++)
		form_pair(a, local, r);
}

void agent_pair_remote(struct ice_agent *a, u32 remote)
{
	for (u32 l = 0; l < a->local.n; l++)
		form_pair(a, l, remote);
}

/* --- nomination (spec 20 §5.8) ----------------------------------------------------------------------------------------------- */

static u64 last_heard(const struct pair *p)
{
	return MAX(p->h.last_answer, p->h.peer_check);
}

static bool is_left_for_dead(const struct ice_agent *a, const struct pair *p)
{
	if (time_since(a->now, last_heard(p)) <= CONTROLLED_SILENCE)
		return false;
	for (u32 i = 0; i < a->n_pairs; i++)
		if (a->pairs[i].is_nominated && time_since(a->now, last_heard(&a->pairs[i])) <= CONTROLLED_FRESH)
			return true;
	return false;
}

static bool is_eligible(const struct ice_agent *a, const struct pair *p)
{
	if (a->cfg.is_controlling ? !p->is_succeeded : !p->is_nominated || is_left_for_dead(a, p))
		return false;
	return a->probe_since == 0 || p->h.last_answer >= a->probe_since ||
	       (p->id == a->selected && a->now < a->probe_since + ICE_PROBE_GRACE);
}

void agent_reselect(struct ice_agent *a)
{
	struct pair *current = pair_by_id(a, a->selected), *best = NULL;

	for (u32 i = 0; i < a->n_pairs && !best; i++)
		if (is_eligible(a, &a->pairs[i]))
			best = &a->pairs[i];
	if (!current)
		a->selected = 0;
	if (!best || (current && current->prio == best->prio))
		return;
	a->selected = best->id;
	a->stats.nominations++;
	if (a->cfg.is_controlling) {
		best->is_nominated = true;
		history_due_now(&best->h);
	}
}

static bool is_probing(const struct ice_agent *a)
{
	return a->probe_since != 0;
}

void ice_probe(struct ice_agent *a, u64 now)
{
	a->now = now;
	if (!is_probing(a))
		a->probe_since = MAX(now, 1ull);
}

static void finish_probe(struct ice_agent *a)
{
	bool is_any_alive = false;

	for (u32 i = 0; i < a->n_pairs; i++)
		is_any_alive |= a->pairs[i].h.last_answer >= a->probe_since;
	for (u32 i = 0; is_any_alive && i < a->n_pairs; i++)
		if (a->pairs[i].h.last_answer < a->probe_since)
			a->pairs[i].is_succeeded = false;
	a->probe_since = 0;
}

/* --- input ------------------------------------------------------------------------------------------------------------------------ */

/* The local candidate that a check was sent to; live ones first. */
static struct entry *local_at(struct ice_agent *a, const struct endpoint *addr)
{
	struct entry *found = NULL;

	for (u32 i = 0; i < a->local.n; i++) {
		struct entry *e = &a->local.v[i];
		if ((e->c.kind == CANDIDATE_HOST || e->c.kind == CANDIDATE_RELAY) && endpoint_eq(&e->c.addr, addr) &&
		    (!found || found->is_discarded))
			found = e;
	}
	return found;
}

/* The best live remote candidate at an address; *is_withdrawn tells of a discarded one. */
static struct entry *remote_at(struct ice_agent *a, const struct endpoint *addr, bool *is_withdrawn)
{
	struct entry *found = NULL;

	*is_withdrawn = false;
	for (u32 i = 0; i < a->remote.n; i++) {
		struct entry *e = &a->remote.v[i];
		if (!endpoint_eq(&e->c.addr, addr))
			continue;
		if (e->is_discarded)
			*is_withdrawn = true;
		else if (!found || found->c.priority < e->c.priority)
			found = e;
	}
	return found;
}

static void queue_answer(struct ice_agent *a, const struct endpoint *local, const struct endpoint *remote, const u8 *txid)
{
	if (a->n_answers == ICE_ANSWERS_MAX) {
		a->stats.answers_dropped++;
		return;
	}
	struct answer *ans = &a->answers[(a->answers_head + a->n_answers++) % ICE_ANSWERS_MAX];
	*ans = (struct answer){ .local = *local, .remote = *remote };
	memcpy(ans->txid, txid, STUN_TXID);
}

static int input_request(struct ice_agent *a, const struct endpoint *local, const struct endpoint *remote,
			 const struct ice_msg *m)
{
	bool is_withdrawn;

	if (!text_is(m->local_ufrag, a->cfg.local.ufrag) || !text_is(m->remote_ufrag, a->cfg.remote.ufrag) ||
	    stun_check_integrity(&m->stun, text(a->cfg.local.pwd)) != 0)
		return ERR_AUTH;
	a->stats.checks_received++;
	struct entry *l = local_at(a, local);
	if (!l)
		return ERR_NOT_FOUND;
	if (m->use_candidate && a->cfg.is_controlling)
		return ERR_DENIED;
	struct entry *r = remote_at(a, remote, &is_withdrawn);
	if (!r) {
		if (is_withdrawn)
			return ERR_DENIED;
		struct candidate prflx = {
			.kind = CANDIDATE_PRFLX, .priority = m->priority, .addr = *remote, .base = *remote
		};
		int rc = agent_add_remote(a, &prflx, true);
		if (rc != 0)
			return rc;
		r = remote_at(a, remote, &is_withdrawn);
	}
	queue_answer(a, &l->c.base, remote, m->stun.txid);
	if (l->is_discarded || !r)
		return 0;
	form_pair(a, (u32)(l - a->local.v), (u32)(r - a->remote.v));
	struct pair *p = pair_by_path(a, &l->c.base, remote);
	if (!p)
		return 0;
	p->h.peer_check = a->now;
	if (m->use_candidate && !p->is_nominated) {
		p->is_nominated = true;
		history_due_now(&p->h);
	} else if (!p->is_succeeded && p->n_triggered < TRIGGERED_MAX) {
		/* The way is open now: our own check may have come before the peer's relay or NAT knew us (RFC 8445 §7.3.1.4). */
		p->n_triggered++;
		history_due_now(&p->h);
	}
	agent_reselect(a);
	return 0;
}

/* Our address as the peer sees it is none we know: keep it, to be signalled with the others at the next upsert. */
static void note_mapped(struct ice_agent *a, const struct candidate *sent_from, const struct endpoint *mapped)
{
	unsigned n_prflx = 0;

	for (u32 i = 0; i < a->local.n; i++) {
		if (endpoint_eq(&a->local.v[i].c.addr, mapped))
			return;
		n_prflx += a->local.v[i].c.kind == CANDIDATE_PRFLX;
	}
	struct candidate c = { .kind = CANDIDATE_PRFLX,
			       .priority = candidate_prflx_priority(sent_from->priority),
			       .addr = *mapped,
			       .base = sent_from->base };
	if (n_prflx == ICE_LOCAL_PRFLX_MAX || !candidate_is_usable(&c))
		return;
	struct entry *e = agent_entry_add(&a->local);
	if (e)
		e->c = c;
}

static int input_success(struct ice_agent *a, const struct ice_msg *m)
{
	const u8 *txid = m->stun.txid;

	if (get_be32(txid) != a->cfg.txid_prefix)
		return ERR_NOT_FOUND;
	if (stun_check_integrity(&m->stun, text(a->cfg.remote.pwd)) != 0)
		return ERR_AUTH;
	for (u32 i = 0; i < a->n_pairs; i++) {
		struct pair *p = &a->pairs[i];
		if (!history_answered(&p->h, a->cfg.timing, a->now, txid + 4))
			continue;
		p->is_succeeded = true;
		a->stats.successes++;
		struct candidate from = local_of(a, p)->c;
		note_mapped(a, &from, &m->mapped);
		agent_reselect(a);
		return 0;
	}
	return ERR_NOT_FOUND;
}

int ice_input(struct ice_agent *a, u64 now, const struct endpoint *local, const struct endpoint *remote, const struct ice_msg *m)
{
	a->now = now;
	a->is_started = true;
	int rc = m->is_request ? input_request(a, local, remote, m) : input_success(a, m);
	if (rc != 0)
		a->stats.rejected++;
	return rc;
}

/* --- time and output --------------------------------------------------------------------------------------------------------------- */

void ice_set_timing(struct ice_agent *a, u64 now, const struct ice_timing *timing)
{
	a->now = now;
	if (a->cfg.timing == timing)
		return;
	a->cfg.timing = timing;
	for (u32 i = 0; i < a->n_pairs; i++)
		history_reschedule(&a->pairs[i].h, timing, now);
}

void ice_timeout(struct ice_agent *a, u64 now)
{
	a->now = now;
	a->is_started = true;
	if (is_probing(a) && now >= a->probe_since + ICE_PROBE_TIME)
		finish_probe(a);
	for (u32 i = a->n_pairs; i-- > 0;)
		if (history_dead_at(&a->pairs[i].h, a->cfg.timing) <= now)
			agent_remove_pair(a, i);
	agent_reselect(a);
}

u64 ice_next_timeout(const struct ice_agent *a)
{
	u64 next = TIME_NEVER;

	if (a->n_answers > 0 || !a->is_started)
		return a->now;
	for (u32 i = 0; i < a->n_pairs; i++) {
		next = time_min(next, history_next(&a->pairs[i].h, a->probe_since));
		next = time_min(next, history_dead_at(&a->pairs[i].h, a->cfg.timing));
	}
	if (is_probing(a)) {
		u64 grace = a->probe_since + ICE_PROBE_GRACE;
		next = time_min(next, a->now < grace ? grace : a->probe_since + ICE_PROBE_TIME);
	}
	return next;
}

static bool poll_answer(struct ice_agent *a, struct ice_transmit *out)
{
	if (a->n_answers == 0)
		return false;
	const struct answer *ans = &a->answers[a->answers_head];
	int n = ice_write_answer(out->data, ans->txid, &ans->remote, a->cfg.local.pwd);
	out->local = ans->local;
	out->remote = ans->remote;
	out->len = n > 0 ? (u32)n : 0;
	a->answers_head = (a->answers_head + 1) % ICE_ANSWERS_MAX;
	a->n_answers--;
	a->stats.answers_sent++;
	return true;
}

static void write_check(struct ice_agent *a, struct pair *p, struct ice_transmit *out)
{
	const struct candidate *l = &local_of(a, p)->c;
	u8 txid[STUN_TXID];

	put_be32(txid, a->cfg.txid_prefix);
	rng_fill(a->cfg.rng, txid + 4, ICE_TXID_RANDOM);
	int n = ice_write_check(out->data, &(struct ice_check){ .txid = txid,
								.local = &a->cfg.local,
								.remote = &a->cfg.remote,
								.tie_breaker = a->tie_breaker,
								.priority = candidate_prflx_priority(l->priority),
								.is_controlling = a->cfg.is_controlling,
								.use_candidate = a->cfg.is_controlling &&
										 p->is_nominated });
	out->local = l->base;
	out->remote = remote_of(a, p)->c.addr;
	out->len = n > 0 ? (u32)n : 0;
	history_sent(&p->h, a->cfg.timing, a->now, txid + 4);
	a->stats.checks_sent++;
}

bool ice_poll_transmit(struct ice_agent *a, struct ice_transmit *out)
{
	if (poll_answer(a, out))
		return true;
	for (u32 i = 0; i < a->n_pairs; i++) {
		struct pair *p = &a->pairs[i];
		if (history_next(&p->h, a->probe_since) <= a->now) {
			write_check(a, p, out);
			return true;
		}
	}
	return false;
}

/* --- what is known -------------------------------------------------------------------------------------------------------------------- */

static const struct pair *selected_pair(const struct ice_agent *a)
{
	for (u32 i = 0; a->selected != 0 && i < a->n_pairs; i++)
		if (a->pairs[i].id == a->selected)
			return &a->pairs[i];
	return NULL;
}

bool ice_selected(const struct ice_agent *a, struct ice_path *out)
{
	const struct pair *p = selected_pair(a);

	if (p)
		*out = (struct ice_path){ local_of(a, p)->c.base, remote_of(a, p)->c.addr };
	return p != NULL;
}

bool ice_rtt(const struct ice_agent *a, u64 *out)
{
	const struct pair *p = selected_pair(a);
	bool is_known = p && p->h.last_answer != 0;

	if (is_known)
		*out = p->h.rtt;
	return is_known;
}

enum ice_state ice_state(const struct ice_agent *a)
{
	bool is_any_nominated = false, is_any_possible = false;

	if (!a->is_started)
		return ICE_NEW;
	for (u32 i = 0; i < a->n_pairs; i++) {
		is_any_nominated |= a->pairs[i].is_nominated;
		is_any_possible |= !a->pairs[i].is_nominated;
	}
	if (is_any_nominated)
		return is_any_possible ? ICE_CONNECTED : ICE_COMPLETED;
	if (is_any_possible || a->local.n == 0 || a->remote.n == 0)
		return ICE_CHECKING;
	return ICE_DISCONNECTED;
}

struct ice_stats ice_stats(const struct ice_agent *a)
{
	struct ice_stats s = a->stats;

	s.n_local = a->local.n;
	s.n_remote = a->remote.n;
	s.n_pairs = a->n_pairs;
	return s;
}

bool ice_pair_info(const struct ice_agent *a, size_t i, struct ice_pair_info *out)
{
	if (i >= a->n_pairs)
		return false;
	const struct pair *p = &a->pairs[i];
	*out = (struct ice_pair_info){ .path = { local_of(a, p)->c.base, remote_of(a, p)->c.addr },
				       .local_kind = local_of(a, p)->c.kind,
				       .remote_kind = remote_of(a, p)->c.kind,
				       .priority = p->prio,
				       .is_succeeded = p->is_succeeded,
				       .is_nominated = p->is_nominated };
	return true;
}
