#include "core/tcp/tcp_int.h"

#include "core/base/cursor.h"
#include "core/base/siphash.h"

#include <assert.h>
#include <stdlib.h>

#define SLOT_BITS 10u /* of a handle; the rest is the generation */
#define SLOTS_FIRST 16u
#define ACTIVE_LEAVING_MAX 64u
#define PORT_DRAWS 16u

static_assert(TCP_CONNS_MAX < 1u << SLOT_BITS, "a handle names every connection");

/* --- keys and slots ------------------------------------------------------------------------------------------------ */

struct tcb_key tcb_key_of(const struct endpoint *local, const struct endpoint *remote)
{
	struct tcb_key k = { .b = { local->ip.family } };

	memcpy(k.b + 1, local->ip.b, 16);
	put_be16(k.b + 33, local->port);
	if (remote) {
		memcpy(k.b + 17, remote->ip.b, 16);
		put_be16(k.b + 35, remote->port);
	}
	return k;
}

static int grow_slots(struct tcp_stack *s)
{
	u32 n = s->n_slots ? MIN(s->n_slots * 2, TCP_CONNS_MAX + 1) : SLOTS_FIRST;

	if (n == s->n_slots)
		return ERR_LIMIT;
	struct slot *slots = realloc(s->slots, n * sizeof(*slots));
	if (!slots)
		return ERR_NOMEM;
	for (u32 i = MAX(s->n_slots, 1u); i < n; i++)
		slots[i] = (struct slot){ .next_free = i + 1 < n ? i + 1 : 0 };
	s->free_slot = MAX(s->n_slots, 1u);
	s->slots = slots;
	s->n_slots = n;
	return 0;
}

static struct tcb *held_conn(const struct tcp_stack *s, tcp_handle h)
{
	u32 i = h & ((1u << SLOT_BITS) - 1);
	struct tcb *c = i > 0 && i < s->n_slots ? s->slots[i].conn : NULL;
	return c && c->handle == h && c->is_users ? c : NULL;
}

static struct tcb *user_conn(const struct tcp_stack *s, tcp_handle h)
{
	struct tcb *c = held_conn(s, h);
	return c && c->state != TCB_FAILED ? c : NULL;
}

/* --- the life of a connection -------------------------------------------------------------------------------------- */

static u32 initial_seq(const struct tcp_stack *s, const struct tcb_key *key)
{
	return (u32)(s->now / USEC(4)) + (u32)siphash(&s->isn_key, key, sizeof(*key));
}

struct tcb *tcb_new(struct tcp_stack *s, struct listener *l, const struct endpoint *local, const struct endpoint *remote)
{
	struct tcb_key key = tcb_key_of(local, remote);
	struct tcb *c;

	if (!s->free_slot && grow_slots(s))
		return NULL;
	if (heap_reserve(&s->timers, s->stats.conns + 1))
		return NULL;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	if (table_put(&s->by_key, &key, c)) {
		free(c);
		return NULL;
	}
	u32 i = s->free_slot;
	struct slot *slot = &s->slots[i];
	s->free_slot = slot->next_free;
	slot->conn = c;
	slot->generation++;
	c->handle = slot->generation << SLOT_BITS | i;
	c->is_hashed = true;
	c->local = *local;
	c->remote = *remote;
	c->listener = l;
	list_add(&l->conns, &c->of_listener);
	c->born_at = c->moved_at = s->now;
	c->state_until = c->rto_at = c->timed_at = c->stalled_at = TIME_NEVER;
	c->iss = c->snd_una = c->snd_nxt = c->snd_max = c->recover = initial_seq(s, &key);
	c->tx_seq = c->iss + 1;
	c->rto = TCP_RTO_INITIAL;
	c->mss = tcb_mss_of(c, 0);
	c->ssthresh = UINT32_MAX;
	s->stats.conns++;
	return c;
}

void tcb_unhash(struct tcp_stack *s, struct tcb *c)
{
	struct tcb_key key = tcb_key_of(&c->local, &c->remote);

	if (c->is_hashed)
		table_del(&s->by_key, &key);
	c->is_hashed = false;
	list_del(&c->to_send);
	heap_disarm(&s->timers, &c->timer);
}

void tcb_free(struct tcp_stack *s, struct tcb *c)
{
	u32 i = c->handle & ((1u << SLOT_BITS) - 1);

	tcb_unhash(s, c);
	tcb_set_count(c, COUNT_NONE);
	list_del(&c->of_listener);
	list_del(&c->to_tell);
	tcp_ring_trim(&c->rx, &s->stats.buffered);
	tcp_ring_trim(&c->tx, &s->stats.buffered);
	s->slots[i].conn = NULL;
	s->slots[i].next_free = s->free_slot;
	s->free_slot = i;
	s->stats.conns--;
	free(c);
}

void tcb_set_count(struct tcb *c, enum tcb_count count)
{
	c->listener->count[c->count]--;
	c->listener->count[count]++;
	c->count = count;
}

void tcb_tell(struct tcp_stack *s, struct tcb *c, enum tcp_event_type what)
{
	if (!c->is_users)
		return;
	c->events |= (u8)(1u << what);
	list_add(&s->to_tell, &c->to_tell);
}

void tcb_fail(struct tcp_stack *s, struct tcb *c, int error)
{
	s->stats.failed++;
	if (!c->is_users || (c->events & 1u << TCP_EVENT_ACCEPTED)) {
		tcb_free(s, c);
		return;
	}
	tcb_unhash(s, c);
	tcb_set_count(c, COUNT_NONE);
	tcp_ring_trim(&c->rx, &s->stats.buffered);
	tcp_ring_trim(&c->tx, &s->stats.buffered);
	c->state = TCB_FAILED;
	c->error = error;
	c->events = 0;
	tcb_tell(s, c, TCP_EVENT_FAILED);
}

/* The user's part is over when both directions ended and nothing is left to read. */
static void tell_if_closed(struct tcp_stack *s, struct tcb *c)
{
	if ((c->state == TCB_TIME_WAIT || c->state == TCB_DONE) && c->rx.len == 0)
		tcb_tell(s, c, TCP_EVENT_CLOSED);
}

void tcb_enter(struct tcp_stack *s, struct tcb *c, enum tcb_state state)
{
	c->state = state;
	switch (state) {
	case TCB_FIN_WAIT_2:
		if (!c->is_users)
			c->state_until = s->now + TCP_FIN_WAIT_MAX;
		break;
	case TCB_TIME_WAIT:
		c->state_until = s->now + TCP_TIME_WAIT;
		c->rto_at = TIME_NEVER;
		tell_if_closed(s, c);
		break;
	case TCB_DONE:
		if (!c->is_users) {
			tcb_free(s, c);
			return;
		}
		tcb_unhash(s, c);
		tcb_set_count(c, COUNT_NONE);
		tell_if_closed(s, c);
		break;
	case TCB_SYN_SENT:
	case TCB_SYN_RECEIVED:
	case TCB_ESTABLISHED:
	case TCB_FIN_WAIT_1:
	case TCB_CLOSE_WAIT:
	case TCB_CLOSING:
	case TCB_LAST_ACK:
	case TCB_FAILED:
		break;
	}
}

static u64 idle_deadline(const struct tcp_stack *s, const struct tcb *c)
{
	if (!s->cfg.idle_timeout || !c->is_users || !tcb_is_synchronized(c) || c->state == TCB_TIME_WAIT)
		return TIME_NEVER;
	return time_add(c->moved_at, s->cfg.idle_timeout);
}

void tcb_rearm(struct tcp_stack *s, struct tcb *c)
{
	u64 at = time_min(time_min(c->rto_at, c->state_until), idle_deadline(s, c));
	(void)heap_arm(&s->timers, &c->timer, at); /* room was reserved */
}

void tcb_touch(struct tcp_stack *s, struct tcb *c)
{
	if (!c->is_hashed)
		return;
	list_add(&s->to_send, &c->to_send);
	tcb_rearm(s, c);
}

/* The oldest that its user closed, rather one in TIME-WAIT. */
static bool forget_leaving(struct tcp_stack *s, struct listener *l)
{
	struct tcb *victim = NULL;

	if (l->count[COUNT_LEAVING] == 0)
		return false;
	for (struct link *i = l->conns.next; i != &l->conns; i = i->next) {
		struct tcb *c = container_of(i, struct tcb, of_listener);
		if (c->count != COUNT_LEAVING)
			continue;
		if (!victim || c->state == TCB_TIME_WAIT)
			victim = c;
		if (c->state == TCB_TIME_WAIT)
			break;
	}
	if (victim->state != TCB_TIME_WAIT)
		tcb_reset(s, victim);
	s->stats.recycled++;
	tcb_free(s, victim);
	return true;
}

/* Among those that count: one half open for too long, then one that its peer has left with nothing to do. */
static bool give_way(struct tcp_stack *s, struct listener *l)
{
	for (struct link *i = l->conns.next; i != &l->conns; i = i->next) {
		struct tcb *c = container_of(i, struct tcb, of_listener);
		if (c->state != TCB_SYN_RECEIVED || time_since(s->now, c->born_at) < TCP_HALF_OPEN_GRACE)
			continue;
		s->stats.recycled++;
		tcb_free(s, c);
		return true;
	}
	for (struct link *i = l->conns.next; i != &l->conns; i = i->next) {
		struct tcb *c = container_of(i, struct tcb, of_listener);
		if (c->state != TCB_CLOSE_WAIT || c->rx.len > 0 || c->tx.len > 0)
			continue;
		s->stats.recycled++;
		tcb_reset(s, c);
		tcb_fail(s, c, ERR_LIMIT);
		return true;
	}
	return false;
}

struct tcb *tcb_for_syn(struct tcp_stack *s, struct listener *l, const struct endpoint *local, const struct endpoint *remote)
{
	if (l->count[COUNT_OPEN] >= l->limit && !give_way(s, l))
		return NULL;
	if (s->stats.conns >= TCP_CONNS_MAX && !forget_leaving(s, l) && !forget_leaving(s, &s->active))
		return NULL;
	return tcb_new(s, l, local, remote);
}

/* Nobody waits for it any more. */
static void leave(struct tcp_stack *s, struct tcb *c)
{
	struct listener *l = c->listener;

	c->is_users = false;
	c->events = 0;
	list_del(&c->to_tell);
	if (l->count[COUNT_LEAVING] >= l->limit)
		forget_leaving(s, l);
	tcb_set_count(c, COUNT_LEAVING);
}

/* --- stack and listeners ------------------------------------------------------------------------------------------- */

struct tcp_stack *tcp_stack_new(const struct tcp_stack_config *cfg)
{
	struct tcp_stack *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->cfg = *cfg;
	s->isn_key = siphash_key_draw(cfg->rng);
	table_init(&s->by_key, sizeof(struct tcb_key), TCP_CONNS_MAX, cfg->rng);
	table_init(&s->listeners, sizeof(struct tcb_key), TCP_LISTENERS_MAX, cfg->rng);
	heap_init(&s->timers, TCP_CONNS_MAX);
	s->active.limit = ACTIVE_LEAVING_MAX;
	list_init(&s->active.conns);
	list_init(&s->to_send);
	list_init(&s->to_tell);
	return s;
}

static void free_conns(struct tcp_stack *s, struct listener *l, bool with_reset)
{
	while (!list_is_empty(&l->conns)) {
		struct tcb *c = container_of(l->conns.next, struct tcb, of_listener);
		if (with_reset)
			tcb_reset(s, c);
		tcb_free(s, c);
	}
}

void tcp_stack_free(struct tcp_stack *s)
{
	void *value;

	if (!s)
		return;
	for (u32 it = 0; table_next(&s->listeners, &it, NULL, &value);) {
		struct listener *l = value;
		free_conns(s, l, false);
		free(l);
	}
	free_conns(s, &s->active, false);
	tcp_out_free(s);
	table_deinit(&s->listeners);
	table_deinit(&s->by_key);
	heap_deinit(&s->timers);
	free(s->slots);
	free(s);
}

int tcp_stack_listen(struct tcp_stack *s, const struct endpoint *local, u32 conns_max)
{
	struct tcb_key key = tcb_key_of(local, NULL);

	if (local->ip.family == 0 || local->port == 0 || conns_max == 0)
		return ERR_INVAL;
	if (table_get(&s->listeners, &key))
		return ERR_EXISTS;
	struct listener *l = calloc(1, sizeof(*l));
	if (!l)
		return ERR_NOMEM;
	l->local = *local;
	l->limit = conns_max;
	list_init(&l->conns);
	int rc = table_put(&s->listeners, &key, l);
	if (rc)
		free(l);
	return rc;
}

void tcp_stack_unlisten(struct tcp_stack *s, u64 now, const struct endpoint *local)
{
	struct tcb_key key = tcb_key_of(local, NULL);
	struct listener *l = table_del(&s->listeners, &key);

	if (!l)
		return;
	s->now = now;
	free_conns(s, l, true);
	free(l);
}

bool tcp_stack_is_listening(const struct tcp_stack *s, const struct endpoint *local)
{
	struct tcb_key key = tcb_key_of(local, NULL);
	return table_get(&s->listeners, &key) != NULL;
}

static bool is_free(const struct tcp_stack *s, const struct endpoint *local, const struct endpoint *remote)
{
	struct tcb_key key = tcb_key_of(local, remote);
	return !table_get(&s->by_key, &key) && !tcp_stack_is_listening(s, local);
}

static int choose_port(struct tcp_stack *s, struct endpoint *local, const struct endpoint *remote)
{
	const u32 n = 65536u - TCP_PORT_FIRST;

	for (u32 i = 0; i < PORT_DRAWS; i++) {
		local->port = (u16)(TCP_PORT_FIRST + rng_below(s->cfg.rng, n));
		if (is_free(s, local, remote))
			return 0;
	}
	return ERR_LIMIT; /* of 16384 ports at most 1023 are in use: 2^-64 */
}

int tcp_stack_connect(struct tcp_stack *s, u64 now, const struct endpoint *local, const struct endpoint *remote, tcp_handle *out)
{
	struct endpoint from = *local;
	int rc;

	s->now = now;
	if (from.ip.family == 0 || from.ip.family != remote->ip.family || remote->port == 0)
		return ERR_INVAL;
	if (s->stats.conns >= TCP_CONNS_MAX && !forget_leaving(s, &s->active))
		return ERR_LIMIT;
	if (from.port == 0) {
		rc = choose_port(s, &from, remote);
		if (rc)
			return rc;
	} else if (!is_free(s, &from, remote)) {
		return ERR_EXISTS;
	}
	struct tcb *c = tcb_new(s, &s->active, &from, remote);
	if (!c)
		return ERR_NOMEM;
	c->is_active = c->is_users = true;
	c->state = TCB_SYN_SENT;
	tcb_set_count(c, COUNT_OPEN);
	tcb_touch(s, c);
	*out = c->handle;
	return 0;
}

/* --- the user's calls ---------------------------------------------------------------------------------------------- */

/* The window told last is worth correcting: half of it, or more than nothing where there was next to nothing. */
static bool wants_window_update(const struct tcb *c)
{
	u32 told = c->rcv_adv - c->rcv_nxt;
	u32 grown = tcb_window(c) - told;
	return !c->got_fin && (grown >= TCP_RECEIVE_MAX / 2 || (told < 2 * c->mss && grown >= c->mss));
}

int tcp_stack_read(struct tcp_stack *s, u64 now, tcp_handle conn, struct mspan out)
{
	struct tcb *c = user_conn(s, conn);

	if (!c)
		return ERR_NOT_FOUND;
	s->now = now;
	if (c->rx.len == 0)
		return c->got_fin ? ERR_CLOSED : ERR_AGAIN;
	u32 n = (u32)MIN((size_t)c->rx.len, out.n);
	tcp_ring_copy(&c->rx, 0, out.p, n);
	tcp_ring_drop(&c->rx, n);
	if (c->rx.len == 0 && c->n_ranges == 0)
		tcp_ring_trim(&c->rx, &s->stats.buffered);
	if (wants_window_update(c)) {
		c->owes_ack = true;
		tcb_touch(s, c);
	}
	tell_if_closed(s, c);
	return (int)n;
}

int tcp_stack_write(struct tcp_stack *s, u64 now, tcp_handle conn, struct span data)
{
	struct tcb *c = user_conn(s, conn);

	if (!c)
		return ERR_NOT_FOUND;
	if (c->wants_fin)
		return ERR_STATE;
	s->now = now;
	u32 n = (u32)MIN(data.n, (size_t)(TCP_SEND_MAX - c->tx.len));
	if (tcp_ring_reserve(&c->tx, c->tx.len + n, TCP_SEND_MAX, &s->stats.buffered))
		return ERR_NOMEM;
	tcp_ring_put(&c->tx, c->tx.len, data.p, n);
	c->tx.len += n;
	c->was_short |= n < data.n;
	c->owes_writable |= n > 0;
	tcb_touch(s, c);
	return (int)n;
}

int tcp_stack_unsent(const struct tcp_stack *s, tcp_handle conn)
{
	const struct tcb *c = user_conn(s, conn);
	return c ? (int)c->tx.len : ERR_NOT_FOUND;
}

static void queue_fin(struct tcp_stack *s, struct tcb *c)
{
	if (c->wants_fin)
		return;
	c->wants_fin = true;
	if (c->state == TCB_ESTABLISHED)
		tcb_enter(s, c, TCB_FIN_WAIT_1);
	else if (c->state == TCB_CLOSE_WAIT)
		tcb_enter(s, c, TCB_LAST_ACK);
}

int tcp_stack_shutdown(struct tcp_stack *s, u64 now, tcp_handle conn)
{
	struct tcb *c = user_conn(s, conn);

	if (!c)
		return ERR_NOT_FOUND;
	s->now = now;
	queue_fin(s, c);
	tcb_touch(s, c);
	return 0;
}

void tcp_stack_close(struct tcp_stack *s, u64 now, tcp_handle conn)
{
	struct tcb *c = held_conn(s, conn);

	if (!c)
		return;
	s->now = now;
	if (c->state == TCB_SYN_SENT || c->state >= TCB_DONE) {
		tcb_free(s, c);
		return;
	}
	leave(s, c);
	c->n_ranges = 0;
	tcp_ring_trim(&c->rx, &s->stats.buffered);
	queue_fin(s, c);
	if (c->state == TCB_FIN_WAIT_2)
		tcb_enter(s, c, TCB_FIN_WAIT_2); /* now with a limit */
	tcb_touch(s, c);
}

void tcp_stack_abort(struct tcp_stack *s, u64 now, tcp_handle conn)
{
	struct tcb *c = held_conn(s, conn);

	if (!c)
		return;
	s->now = now;
	tcb_reset(s, c);
	tcb_free(s, c);
}

/* --- events and time ----------------------------------------------------------------------------------------------- */

bool tcp_stack_poll_event(struct tcp_stack *s, struct tcp_event *out)
{
	if (list_is_empty(&s->to_tell))
		return false;
	struct tcb *c = container_of(s->to_tell.next, struct tcb, to_tell);
	enum tcp_event_type type = TCP_EVENT_ACCEPTED;

	while (!(c->events & 1u << type))
		type++;
	c->events &= (u8) ~(1u << type);
	*out = (struct tcp_event){
		.type = type, .conn = c->handle, .local = c->local, .remote = c->remote, .error = c->error
	};
	if (c->events == 0)
		list_del(&c->to_tell);
	if (type == TCP_EVENT_FAILED || (type == TCP_EVENT_CLOSED && c->state == TCB_DONE))
		tcb_free(s, c);
	else if (type == TCP_EVENT_CLOSED)
		leave(s, c);
	return true;
}

static void state_expired(struct tcp_stack *s, struct tcb *c)
{
	c->state_until = TIME_NEVER;
	if (c->state == TCB_TIME_WAIT)
		tcb_enter(s, c, TCB_DONE);
	else
		tcb_free(s, c);
}

void tcp_stack_timeout(struct tcp_stack *s, u64 now)
{
	struct heap_node *node;

	s->now = now;
	tcp_out_reset(s);
	tcp_out_idle(s);
	while ((node = heap_pop_due(&s->timers, now))) {
		struct tcb *c = container_of(node, struct tcb, timer);
		if (c->state_until <= now) {
			state_expired(s, c);
		} else if (c->rto_at <= now) {
			tcb_timed_out(s, c);
		} else if (idle_deadline(s, c) <= now) {
			s->stats.timeouts++;
			tcb_reset(s, c);
			tcb_fail(s, c, ERR_TIMEOUT);
		} else {
			tcb_rearm(s, c);
		}
	}
}

u64 tcp_stack_next_timeout(const struct tcp_stack *s)
{
	bool has_more = s->replies_sent < s->n_replies || !list_is_empty(&s->to_send);

	if (s->out_used == TCP_OUT_MAX && has_more)
		return 0;
	return time_min(heap_next(&s->timers), s->chunks[0] ? s->out_used_at + OUT_IDLE : TIME_NEVER);
}

const struct tcp_stack_stats *tcp_stack_stats(const struct tcp_stack *s)
{
	return &s->stats;
}
