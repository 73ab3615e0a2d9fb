/* Channels of an allocation (spec 20 §7.6): numbers, peers, binding and re-binding. */
#include "core/turn/allocation_int.h"

#include <stdlib.h>

#define CHANNEL_VALID MINUTES(10) /* the relay's channel lifetime */
#define CHANNEL_REBIND MINUTES(5)
#define CHANNEL_REUSE MINUTES(15) /* lifetime and the relay's cool-down */

/* Padding zeroed, as table.h demands. */
static struct endpoint key_of(const struct endpoint *peer)
{
	struct endpoint key;

	memset(&key, 0, sizeof(key));
	memcpy(key.ip.b, peer->ip.b, sizeof(key.ip.b));
	key.ip.family = peer->ip.family;
	key.port = peer->port;
	return key;
}

static struct channel *find(const struct allocation *a, const struct endpoint *peer)
{
	struct endpoint key = key_of(peer);
	uintptr_t n = (uintptr_t)table_get(&a->by_peer, &key);

	return n > 0 ? &a->channels[n - 1] : NULL;
}

static u16 index_of(const struct allocation *a, const struct channel *c)
{
	return (u16)(c - a->channels);
}

static bool is_valid(const struct channel *c, u64 now)
{
	return c->state == CHANNEL_BOUND && time_since(now, c->bound_at) < CHANNEL_VALID;
}

int allocation_channel_to_peer(struct allocation *a, u64 now, u16 number, struct endpoint *peer)
{
	if (number < CHANNEL_MIN || number - CHANNEL_MIN >= a->n_channels)
		return ERR_NOT_FOUND;
	struct channel *c = &a->channels[number - CHANNEL_MIN];
	if (!is_valid(c, now))
		return ERR_NOT_FOUND;
	if (!c->has_received) {
		c->has_received = true;
		a->channels_due = time_min(a->channels_due, c->bound_at + CHANNEL_REBIND);
	}
	*peer = c->peer;
	return 0;
}

int allocation_peer_to_channel(const struct allocation *a, u64 now, const struct endpoint *peer, u16 *number)
{
	const struct channel *c = find(a, peer);

	if (!c || !(c->state == CHANNEL_IN_FLIGHT || c->is_rebinding || is_valid(c, now)))
		return ERR_NOT_FOUND;
	*number = (u16)(CHANNEL_MIN + index_of(a, c));
	return 0;
}

static bool is_reusable(const struct channel *c, u64 now)
{
	return c->state == CHANNEL_FREE || (c->state == CHANNEL_BOUND && !c->is_rebinding && !c->has_received &&
					    time_since(now, c->bound_at) >= CHANNEL_REUSE);
}

static int grow(struct allocation *a)
{
	u16 cap = a->channels_cap ? (u16)(a->channels_cap * 2) : 32;
	struct channel *channels = realloc(a->channels, cap * sizeof(*channels));

	if (!channels)
		return ERR_NOMEM;
	a->channels = channels;
	a->channels_cap = cap;
	return 0;
}

/* The next free number in sequence; its channel comes back empty. */
static int take_number(struct allocation *a, u64 now, struct channel **out)
{
	for (unsigned tries = 0; tries < ALLOCATION_CHANNELS_MAX; tries++) {
		u16 i = a->next_number;
		if (i == a->n_channels) {
			if (i == a->channels_cap && grow(a) != 0)
				return ERR_NOMEM;
			a->channels[i] = (struct channel){ .state = CHANNEL_FREE };
			a->n_channels++;
		}
		a->next_number = (u16)((i + 1) % ALLOCATION_CHANNELS_MAX);
		struct channel *c = &a->channels[i];
		if (!is_reusable(c, now))
			continue;
		if (c->state != CHANNEL_FREE) {
			struct endpoint key = key_of(&c->peer);
			(void)table_del(&a->by_peer, &key);
		}
		*c = (struct channel){ .state = CHANNEL_FREE };
		*out = c;
		return 0;
	}
	a->stats.channels_exhausted++;
	return ERR_LIMIT;
}

static struct request *free_slot(struct allocation *a)
{
	for (unsigned i = SLOT_CHANNELS; i < REQUESTS_MAX; i++)
		if (a->requests[i].kind == REQUEST_NONE)
			return &a->requests[i];
	return NULL;
}

static void send_bind(struct allocation *a, u64 now, struct request *r, struct channel *c)
{
	request_start(a, now, r, REQUEST_CHANNEL_BIND, a->active->ip.family);
	r->channel = index_of(a, c);
	if (c->state == CHANNEL_WAITING)
		c->state = CHANNEL_IN_FLIGHT;
}

/* Asks for `c` now, or as soon as a request slot is free. */
static void start_bind(struct allocation *a, u64 now, struct channel *c)
{
	struct request *r = a->waiting_first == CHANNEL_NONE ? free_slot(a) : NULL;
	u16 i = index_of(a, c);

	if (c->state == CHANNEL_BOUND)
		c->is_rebinding = true;
	else
		c->state = CHANNEL_WAITING;
	if (r) {
		send_bind(a, now, r, c);
		return;
	}
	c->next_waiting = CHANNEL_NONE;
	if (a->waiting_first == CHANNEL_NONE)
		a->waiting_first = i;
	else
		a->channels[a->waiting_last].next_waiting = i;
	a->waiting_last = i;
}

void channels_start_waiting(struct allocation *a, u64 now)
{
	while (a->waiting_first != CHANNEL_NONE) {
		struct request *r = free_slot(a);
		if (!r)
			return;
		struct channel *c = &a->channels[a->waiting_first];
		a->waiting_first = c->next_waiting;
		send_bind(a, now, r, c);
	}
}

static bool is_buffered(const struct allocation *a, const struct endpoint *peer)
{
	for (unsigned i = 0; i < a->n_buffered; i++)
		if (endpoint_eq(&a->buffered[(a->buffered_first + i) % ALLOCATION_BUFFERED_BINDS], peer))
			return true;
	return false;
}

void channels_buffer(struct allocation *a, const struct endpoint *peer)
{
	if (is_buffered(a, peer))
		return;
	if (a->n_buffered == ALLOCATION_BUFFERED_BINDS) {
		a->buffered_first = (u16)((a->buffered_first + 1) % ALLOCATION_BUFFERED_BINDS);
		a->n_buffered--;
		a->stats.binds_dropped++;
	}
	a->buffered[(a->buffered_first + a->n_buffered) % ALLOCATION_BUFFERED_BINDS] = *peer;
	a->n_buffered++;
}

int allocation_bind(struct allocation *a, u64 now, const struct endpoint *peer)
{
	if (a->is_freed || a->is_suspended)
		return ERR_STATE;
	if (!allocation_is_live(a) || !a->active) {
		channels_buffer(a, peer);
		return 0;
	}
	if (!allocation_relayed(a, peer->ip.family))
		return ERR_UNSUPPORTED;
	struct channel *c = find(a, peer);
	if (c) {
		if (c->state == CHANNEL_BOUND && !c->is_rebinding && !is_valid(c, now))
			start_bind(a, now, c);
		return 0;
	}
	int rc = take_number(a, now, &c);
	if (rc != 0)
		return rc;
	struct endpoint key = key_of(peer);
	rc = table_put(&a->by_peer, &key, (void *)((uintptr_t)index_of(a, c) + 1));
	if (rc != 0)
		return rc;
	c->peer = *peer;
	start_bind(a, now, c);
	return 0;
}

void channels_flush_buffered(struct allocation *a, u64 now)
{
	while (a->n_buffered > 0) {
		struct endpoint peer = a->buffered[a->buffered_first];
		a->buffered_first = (u16)((a->buffered_first + 1) % ALLOCATION_BUFFERED_BINDS);
		a->n_buffered--;
		if (allocation_bind(a, now, &peer) != 0)
			a->stats.binds_dropped++;
	}
}

void channel_confirm(struct allocation *a, u64 now, u16 index)
{
	struct channel *c = &a->channels[index];

	if (c->state != CHANNEL_BOUND)
		a->stats.channels_bound++;
	c->state = CHANNEL_BOUND;
	c->is_rebinding = false;
	c->has_received = false;
	c->bound_at = now;
}

void channel_forget(struct allocation *a, u16 index)
{
	struct channel *c = &a->channels[index];
	struct endpoint key = key_of(&c->peer);

	(void)table_del(&a->by_peer, &key);
	*c = (struct channel){ .state = CHANNEL_FREE };
}

void channels_clear(struct allocation *a)
{
	table_clear(&a->by_peer);
	a->n_channels = 0;
	a->next_number = 0;
	a->waiting_first = a->waiting_last = CHANNEL_NONE;
	a->channels_due = TIME_NEVER;
}

/* Re-binds channels in use before they run out; idle ones are left to expire. */
void channels_timeout(struct allocation *a, u64 now)
{
	if (now < a->channels_due || !a->active)
		return;
	a->channels_due = TIME_NEVER;
	for (u16 i = 0; i < a->n_channels; i++) {
		struct channel *c = &a->channels[i];
		if (c->state != CHANNEL_BOUND || !c->has_received || c->is_rebinding || !is_valid(c, now))
			continue;
		if (time_since(now, c->bound_at) >= CHANNEL_REBIND)
			start_bind(a, now, c);
		else
			a->channels_due = time_min(a->channels_due, c->bound_at + CHANNEL_REBIND);
	}
}
