/* Relays are never stored: one exists while its socket is joined, under an id that follows from its stamp secret (spec 60 §4.6). */
#include "applets/portal/channels/internal.h"

#include "applets/portal/model/pool.h"

#include <sodium.h>
#include <stdio.h>

void relay_join(struct peer *p, const char *stamp_secret)
{
	struct hub *h = p->hub;
	struct portal_message init = { .type = MSG_INIT_RELAY };
	struct peer *old;

	snprintf(p->relay.stamp_secret, sizeof(p->relay.stamp_secret), "%s", stamp_secret);
	p->id = phx_derive_relay_id(stamp_secret);
	old = hub_find(h, MSG_ROLE_RELAY, &p->account_id, &p->id);
	if (old && old != p) {
		h->stats.evicted++;
		peer_end(old, NULL);
	}
	if (index_put(&h->joined[MSG_ROLE_RELAY], p)) {
		peer_end(p, NULL);
		return;
	}
	p->is_registered = true;
	hub_tell_presence(p, true);
	h->relay_change_due = h->now + RELAY_DEBOUNCE;
	(void)peer_push(p, &init);
}

void relay_leave(struct peer *p)
{
	p->hub->relay_change_due = p->hub->now + RELAY_DEBOUNCE;
	sodium_memzero(p->relay.stamp_secret, sizeof(p->relay.stamp_secret));
}

/* The nearest first; without a location of the peer, any. */
static u32 choose(struct peer *p, const struct peer *out[static RELAYS_OF_PEER])
{
	const struct index *relays = &p->hub->joined[MSG_ROLE_RELAY];
	double best[RELAYS_OF_PEER];
	u32 n = 0;

	if (!p->place.is_known) {
		u32 first = (u32)rng_below(p->hub->cfg.rng, relays->n), step = 0;

		if (relays->n > 1)
			step = 1 + (u32)rng_below(p->hub->cfg.rng, relays->n - 1);
		for (; n < RELAYS_OF_PEER && n < relays->n; n++)
			out[n] = relays->at[(first + n * step) % relays->n];
		return n;
	}
	for (u32 i = 0; i < relays->n; i++) {
		const struct peer *r = relays->at[i];
		double distance = place_distance(&p->place, &r->place);
		u32 at = n;

		while (at > 0 && distance < best[at - 1])
			at--;
		if (at == RELAYS_OF_PEER)
			continue;
		n = MIN(n + 1, RELAYS_OF_PEER);
		for (u32 j = n - 1; j > at; j--) {
			out[j] = out[j - 1];
			best[j] = best[j - 1];
		}
		out[at] = r;
		best[at] = distance;
	}
	return n;
}

void relays_select(struct peer *p, struct relay_list *list)
{
	const struct peer *chosen[RELAYS_OF_PEER];
	/* A gateway's credentials must stay the same over reconnects, or its allocations die (spec 10 §10.3). */
	u64 expires_at = p->role == MSG_ROLE_CLIENT ? (u64)p->client.subject.expires_at : PHX_GATEWAY_TURN_EXPIRY;

	list->n = choose(p, chosen);
	p->n_relays = list->n;
	for (u32 i = 0; i < list->n; i++) {
		p->relays[i] = chosen[i]->id;
		phx_derive_turn(p->public_key, expires_at, chosen[i]->relay.stamp_secret, list->username[i], list->password[i]);
		list->relay[i] = (struct msg_relay){ chosen[i]->id,	chosen[i]->relay.v4, chosen[i]->relay.v6,
						     list->username[i], list->password[i],   expires_at };
	}
}

static void push_presence(struct peer *p, const struct uuid *gone, u32 n_gone)
{
	struct portal_message m = { .type = MSG_RELAYS_PRESENCE };
	struct relay_list list;

	relays_select(p, &list);
	m.relays_presence.disconnected = (struct msg_ids){ gone, n_gone };
	m.relays_presence.connected = (struct msg_relays){ list.relay, list.n };
	(void)peer_push(p, &m);
	sodium_memzero(&list, sizeof(list));
}

void relays_reselect(struct peer *p)
{
	push_presence(p, NULL, 0);
}

void relays_tell(struct peer *p)
{
	const struct uuid none = { 0 };
	struct uuid gone[RELAYS_OF_PEER];
	u32 n_gone = 0;

	for (u32 i = 0; i < p->n_relays; i++)
		if (!hub_find(p->hub, MSG_ROLE_RELAY, &none, &p->relays[i]))
			gone[n_gone++] = p->relays[i];
	if (n_gone > 0 || (p->n_relays < RELAYS_OF_PEER && p->hub->joined[MSG_ROLE_RELAY].n > 0))
		push_presence(p, gone, n_gone);
}
