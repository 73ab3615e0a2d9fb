/* Which relays there are, which one a connection uses, and what happens to connections when one goes (spec 20 §8). */
#define LOG_TARGET "peer::relays"
#include "core/peer/node_int.h"

#include <stdlib.h>

struct relay *relay_owning(struct node *n, const struct endpoint *remote)
{
	for (u32 i = 0; i < NODE_RELAYS_MAX; i++)
		if (n->relays[i].is_used && allocation_owns(n->relays[i].alloc, remote))
			return &n->relays[i];
	return NULL;
}

struct relay *relay_by_relayed(struct node *n, const struct endpoint *relayed)
{
	for (u32 i = 0; i < NODE_RELAYS_MAX; i++) {
		if (!n->relays[i].is_used)
			continue;
		const struct endpoint *own = allocation_relayed(n->relays[i].alloc, relayed->ip.family);
		if (own && endpoint_eq(own, relayed))
			return &n->relays[i];
	}
	return NULL;
}

bool relay_is_former(const struct node *n, const struct ip *ip)
{
	for (u32 i = 0; i < MIN(n->n_former, NODE_FORMER_RELAYS); i++)
		if (ip_eq(&n->former[i], ip))
			return true;
	return false;
}

static struct relay *relay_by_id(struct node *n, const struct uuid *id)
{
	for (u32 i = 0; i < NODE_RELAYS_MAX; i++)
		if (n->relays[i].is_used && uuid_eq(&n->relays[i].id, id))
			return &n->relays[i];
	return NULL;
}

/* --- choosing (spec 20 §8.2) ------------------------------------------------------------------------------------------------ */

#define MAD_FLOOR MSEC(2)

static int cmp_u64(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;
	return x < y ? -1 : x > y;
}

static u64 median(u64 *v, u32 n)
{
	qsort(v, n, sizeof(*v), cmp_u64);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

/* The longest round trip that still qualifies among n > 0 of them; v is reordered. */
static u64 rtt_limit(u64 *v, u32 n)
{
	u64 mid = median(v, n);

	if (n <= 2)
		return v[0] + v[0] / 2;
	for (u32 i = 0; i < n; i++)
		v[i] = v[i] > mid ? v[i] - mid : mid - v[i];
	return mid + 3 * MAX(median(v, n), MAD_FLOOR);
}

int relay_sample(struct node *n)
{
	u64 rtts[NODE_RELAYS_MAX];
	int eligible[NODE_RELAYS_MAX];
	u32 n_rtts = 0, n_eligible = 0;

	for (u32 i = 0; i < NODE_RELAYS_MAX; i++)
		if (n->relays[i].is_used && allocation_srtt(n->relays[i].alloc) != TIME_NEVER)
			rtts[n_rtts++] = allocation_srtt(n->relays[i].alloc);
	if (n_rtts == 0)
		return NO_RELAY;
	u64 limit = rtt_limit(rtts, n_rtts);
	for (u32 i = 0; i < NODE_RELAYS_MAX; i++)
		if (n->relays[i].is_used && allocation_srtt(n->relays[i].alloc) <= limit)
			eligible[n_eligible++] = (int)i;
	return eligible[rng_below(n->cfg.rng, n_eligible)];
}

bool node_has_relay(const struct node *n, bool *is_undecided)
{
	bool has = false, is_any = false;

	for (u32 i = 0; i < NODE_RELAYS_MAX; i++) {
		is_any |= n->relays[i].is_used;
		has |= n->relays[i].is_used && allocation_srtt(n->relays[i].alloc) != TIME_NEVER;
	}
	if (is_undecided)
		*is_undecided = is_any && !has;
	return has;
}

/* --- connections of a relay ------------------------------------------------------------------------------------------------------ */

/* Connections without relay take one as soon as one qualifies (spec 20 §8.4). */
static void migrate(struct node *n, u64 now)
{
	for (u32 i = 0; i < n->n_slots_used; i++) {
		struct conn *c = n->slots[i];
		if (!c || c->relay != NO_RELAY)
			continue;
		int relay = relay_sample(n);
		if (relay == NO_RELAY)
			return;
		conn_set_relay(c, now, relay);
		log_debug("connection migrates to another relay", kv_uuid("peer", &c->id),
			  kv_uuid("relay", &n->relays[relay].id));
	}
}

static void withdraw(struct node *n, u64 now, const struct endpoint *relayed)
{
	for (u32 i = 0; i < n->n_slots_used; i++)
		if (n->slots[i])
			conn_discard_relay(n->slots[i], now, relayed);
}

static void remember(struct node *n, const struct endpoint *ep)
{
	if (ep->ip.family != 0 && !relay_is_former(n, &ep->ip))
		n->former[n->n_former++ % NODE_FORMER_RELAYS] = ep->ip;
}

static void remember_all(struct node *n, const struct relay *r)
{
	remember(n, &r->v4);
	remember(n, &r->v6);
}

static void withdraw_all(struct node *n, u64 now, const struct allocation *alloc)
{
	for (u8 family = 4; family <= 6; family += 2) {
		const struct endpoint *own = allocation_relayed(alloc, family);
		if (own) {
			struct endpoint copy = *own;
			withdraw(n, now, &copy);
		}
	}
}

static u32 count_relays(const struct node *n)
{
	u32 count = 0;

	for (u32 i = 0; i < NODE_RELAYS_MAX; i++)
		count += n->relays[i].is_used;
	return count;
}

static void drop(struct node *n, u64 now, struct relay *r)
{
	int index = (int)(r - n->relays);

	remember_all(n, r);
	withdraw_all(n, now, r->alloc);
	allocation_free(r->alloc);
	*r = (struct relay){ 0 };
	n->stats.relays = count_relays(n);
	for (u32 i = 0; i < n->n_slots_used; i++)
		if (n->slots[i] && n->slots[i]->relay == index)
			n->slots[i]->relay = NO_RELAY;
}

void relays_drop_all(struct node *n)
{
	for (u32 i = 0; i < NODE_RELAYS_MAX; i++) {
		if (!n->relays[i].is_used)
			continue;
		remember_all(n, &n->relays[i]);
		allocation_free(n->relays[i].alloc);
		n->relays[i] = (struct relay){ 0 };
	}
	n->stats.relays = 0;
}

/* --- the portal's word ------------------------------------------------------------------------------------------------------------- */

static struct relay *free_slot(struct node *n)
{
	for (u32 i = 0; i < NODE_RELAYS_MAX; i++)
		if (!n->relays[i].is_used)
			return &n->relays[i];
	return NULL;
}

static void add(struct node *n, u64 now, const struct node_relay *in)
{
	struct allocation_config cfg = {
		.v4 = in->v4, .v6 = in->v6, .username = in->username, .password = in->password, .rng = n->cfg.rng
	};
	struct relay *r = relay_by_id(n, &in->id);

	if (r && allocation_matches(r->alloc, &cfg))
		return;
	struct allocation *alloc = allocation_new(&cfg, now);
	if (!alloc)
		return;
	if (r) {
		remember_all(n, r);
		withdraw_all(n, now, r->alloc);
		allocation_free(r->alloc);
	} else {
		r = free_slot(n);
	}
	if (!r) {
		log_warn("too many relays, one is ignored", kv_uuid("relay", &in->id));
		allocation_free(alloc);
		return;
	}
	*r = (struct relay){ .is_used = true, .id = in->id, .v4 = in->v4, .v6 = in->v6, .alloc = alloc };
	n->is_no_relays_told = false;
}

static bool is_listed(const struct uuid *id, const struct node_relay *add_list, size_t n_add)
{
	for (size_t i = 0; i < n_add; i++)
		if (uuid_eq(&add_list[i].id, id))
			return true;
	return false;
}

void node_update_relays(struct node *n, u64 now, const struct uuid *remove, size_t n_remove, const struct node_relay *add_list,
			size_t n_add)
{
	n->now = now;
	for (size_t i = 0; i < n_remove; i++) {
		struct relay *r = relay_by_id(n, &remove[i]);
		if (r)
			drop(n, now, r);
	}
	for (u32 i = 0; i < NODE_RELAYS_MAX; i++)
		if (n->relays[i].is_used && !is_listed(&n->relays[i].id, add_list, n_add))
			allocation_refresh(n->relays[i].alloc, now);
	for (size_t i = 0; i < n_add; i++)
		add(n, now, &add_list[i]);
	n->stats.relays = count_relays(n);
	n->are_relays_dirty = true;
	relays_drain(n, now);
	migrate(n, now);
}

/* --- doors ---------------------------------------------------------------------------------------------------------------------------- */

static struct candidate candidate_of(const struct relay *r, const struct allocation_event *e)
{
	const struct endpoint *active = allocation_active(r->alloc);

	switch (e->kind) {
	case ALLOCATION_HOST:
		return candidate_host(&e->addr);
	case ALLOCATION_SRFLX:
		return candidate_srflx(&e->addr, &e->base);
	case ALLOCATION_RELAY:
		break;
	}
	return candidate_relay(&e->addr, active ? active->ip.family : 0);
}

static void on_event(struct node *n, u64 now, struct relay *r, const struct allocation_event *e, bool *is_freed)
{
	int index = (int)(r - n->relays);

	switch (e->type) {
	case ALLOCATION_ACTIVE:
		migrate(n, now);
		break;
	case ALLOCATION_CANDIDATE:
		for (u32 i = 0; i < n->n_slots_used; i++)
			if (n->slots[i] && n->slots[i]->relay == index)
				conn_add_local(n->slots[i], now, candidate_of(r, e));
		break;
	case ALLOCATION_CANDIDATE_GONE:
		withdraw(n, now, &e->addr);
		break;
	case ALLOCATION_FREED:
		log_info("relay is given up", kv_uuid("relay", &r->id), kv_u("reason", e->reason));
		*is_freed = true;
		break;
	}
}

void relays_drain(struct node *n, u64 now)
{
	bool is_any_freed = false;

	for (u32 i = 0; i < NODE_RELAYS_MAX; i++) {
		struct relay *r = &n->relays[i];
		struct allocation_event e;
		bool is_freed = false;
		while (r->is_used && allocation_poll_event(r->alloc, &e))
			on_event(n, now, r, &e, &is_freed);
		if (is_freed)
			drop(n, now, r);
		is_any_freed |= is_freed;
	}
	if (is_any_freed) {
		migrate(n, now);
		if (count_relays(n) == 0 && !n->is_no_relays_told)
			n->is_no_relays_told = n->is_no_relays_pending = true;
	}
}

void relays_timeout(struct node *n, u64 now)
{
	for (u32 i = 0; i < NODE_RELAYS_MAX; i++) {
		if (!n->relays[i].is_used || allocation_next_timeout(n->relays[i].alloc) > now)
			continue;
		allocation_timeout(n->relays[i].alloc, now);
		n->are_relays_dirty = true;
	}
	if (n->are_relays_dirty)
		relays_drain(n, now);
}

u64 relays_next_timeout(const struct node *n)
{
	u64 next = TIME_NEVER;

	for (u32 i = 0; i < NODE_RELAYS_MAX; i++)
		if (n->relays[i].is_used)
			next = time_min(next, allocation_next_timeout(n->relays[i].alloc));
	return next;
}

bool relays_poll_transmit(struct node *n, struct udp_tx *out)
{
	struct allocation_transmit t;

	if (!n->are_relays_dirty || n->n_relay_tx == RELAY_TX_MAX)
		return false;
	for (u32 i = 0; i < NODE_RELAYS_MAX; i++) {
		if (!n->relays[i].is_used || !allocation_poll_transmit(n->relays[i].alloc, n->now, &t))
			continue;
		if (t.data.n > RELAY_TX_BYTES) {
			n->stats.tx_dropped++;
			continue;
		}
		u8 *copy = n->relay_tx[n->n_relay_tx++]; /* an allocation has memory for one message, callers take many */
		memcpy(copy, t.data.p, t.data.n);
		*out = (struct udp_tx){ .dst = t.dst, .data = copy, .len = (u32)t.data.n };
		return true;
	}
	n->are_relays_dirty = false;
	return false;
}

/* --- does our own uplink live? ------------------------------------------------------------------------------------------------------------ */

void relays_ask_uplink(struct node *n, u64 now)
{
	u8 msg[STUN_HEADER];
	struct stun_builder b;

	if (n->uplink_asked != 0 && now < n->uplink_asked + UPLINK_ASK_INTERVAL)
		return;
	if (n->uplink_asked == 0)
		rng_fill(n->cfg.rng, n->uplink_txid, sizeof(n->uplink_txid));
	n->uplink_asked = now;
	stun_begin(&b, msg, sizeof(msg), STUN_REQUEST, STUN_BINDING, n->uplink_txid);
	int len = stun_end(&b);
	for (u32 i = 0; i < NODE_RELAYS_MAX && len > 0; i++) {
		const struct endpoint *active = n->relays[i].is_used ? allocation_active(n->relays[i].alloc) : NULL;
		if (active)
			control_send(n, now, &(struct route){ .dst = *active }, msg, (size_t)len);
	}
}

bool relays_is_uplink_answer(struct node *n, u64 now, struct span datagram)
{
	if (n->uplink_asked == 0 || datagram.n < STUN_HEADER || memcmp(datagram.p + 8, n->uplink_txid, STUN_TXID) != 0)
		return false;
	n->uplink_heard = now;
	return true;
}
