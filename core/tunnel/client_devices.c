/* Client to client (spec 30 §6.4, spec 10 §7.4): a packet to a tunnel address nobody is connected under asks the portal for that device.
 *
 *	           packet to an unknown IPv4 of the peers           authorized, a relay is there
 *	[nothing] ────────────────────────────────────▶ [asked for] ─────────────────────────────▶ [connected]
 *	    ▲                                             │    request_device_access at once,        │   ▲
 *	    │  denied; INTENT_SPAN without a packet       │    then every 2 s with traffic           │   │ authorized, unasked:
 *	    ├─────────────────────────────────────────────┘                                          │   │ the other end asked
 *	    └── denied (goodbye), goodbye received, connection failed, reset ◀───────────────────────┘   │
 *
 * Both ends get the same message, one as ICE controlling, one as controlled. Without a relay the reference reconnects to the portal; ours holds
 * the authorization, with the candidates that follow it, for HELD_SPAN and asks for relays, as it does for gateways.
 * The pin delivers whatever such a peer sends; ours only what comes from one of the peer's own tunnel addresses. */
#define LOG_TARGET "tunnel::client"
#include "core/tunnel/client_devices.h"

#include <sodium.h>
#include <stdlib.h>

struct device_peer {
	struct uuid id;
	struct ip ipv4, ipv6;
	struct device_peer *next;
};

struct held_device {
	u64 until;
	struct uuid id;
	struct ip ipv4, ipv6;
	struct node_peer peer;
	struct held_candidates candidates;
	struct held_device *next;
};

struct device_intent {
	struct ip ipv4;
	u64 asked_at, last_packet;
	bool has_asked, wants_intent;
	struct pending_packets *packets;
	struct device_intent *next;
};

struct devices {
	struct table by_id, by_ip; /* of struct device_peer */
	struct device_peer *peers;
	struct device_intent *intents;
	struct held_device *held;
	u32 n_intents, n_held;
	struct portal_message polled;
};

struct devices *devices_new(struct rng *rng)
{
	struct devices *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	table_init(&d->by_id, sizeof(struct uuid), DEVICE_PEERS_MAX, rng);
	table_init(&d->by_ip, sizeof(struct ip), 2 * DEVICE_PEERS_MAX, rng);
	return d;
}

/* --- what is asked for ---------------------------------------------------------------------------------------------------------------- */

static struct device_intent *intent_find(struct devices *d, const struct ip *ipv4)
{
	for (struct device_intent *i = d->intents; i; i = i->next)
		if (ip_eq(&i->ipv4, ipv4))
			return i;
	return NULL;
}

static void intent_drop(struct client *c, struct device_intent *i)
{
	struct devices *d = c->devices;

	for (struct device_intent **link = &d->intents; *link; link = &(*link)->next)
		if (*link == i) {
			*link = i->next;
			break;
		}
	if (i->packets)
		client_drop(c, DROP_PENDING_LOST, pending_packets_count(i->packets));
	pending_packets_free(i->packets);
	d->n_intents--;
	free(i);
}

static struct device_intent *intent_make(struct client *c, const struct ip *ipv4)
{
	struct devices *d = c->devices;
	struct device_intent *i = d->n_intents < CLIENT_PENDING_MAX ? calloc(1, sizeof(*i)) : NULL;

	if (!i)
		return NULL;
	i->ipv4 = *ipv4;
	i->packets = pending_packets_new(PENDING_PACKETS);
	if (!i->packets) {
		free(i);
		return NULL;
	}
	i->next = d->intents;
	d->intents = i;
	d->n_intents++;
	return i;
}

static void intent_add(struct client *c, struct device_intent *i, struct segmenter *s)
{
	u8 packet[TUNNEL_MTU];
	struct packet p;
	u32 len;

	while ((len = segment_next_len(s)) > 0) {
		segment_write(s, packet);
		if (packet_parse(packet, len, TUNNEL_MTU, &p) == 0 && pending_packets_add(i->packets, packet, &p) == PENDING_DISPLACED)
			client_drop(c, DROP_PENDING_FULL, 1);
	}
}

static bool is_held(const struct devices *d, const struct ip *ipv4)
{
	for (const struct held_device *h = d->held; h; h = h->next)
		if (ip_eq(&h->ipv4, ipv4))
			return true;
	return false;
}

void device_wanted(struct client *c, struct segmenter *s)
{
	const struct ip *ipv4 = &s->p.dst;
	struct device_intent *i = ipv4->family == 4 ? intent_find(c->devices, ipv4) : NULL;

	if (ipv4->family != 4) {
		client_drop(c, DROP_NOT_A_PEER, 1);
		return;
	}
	if (!i && !(i = intent_make(c, ipv4))) {
		client_drop(c, DROP_PENDING_FULL, 1);
		return;
	}
	i->last_packet = c->now;
	intent_add(c, i, s);
	if ((!i->has_asked || time_since(c->now, i->asked_at) >= FLOW_RETRY_INTERVAL) && !is_held(c->devices, ipv4))
		i->wants_intent = true;
}

bool device_intent_poll(struct client *c, struct client_event *out)
{
	struct devices *d = c->devices;

	for (struct device_intent *i = d->intents; i; i = i->next) {
		if (!i->wants_intent)
			continue;
		i->wants_intent = false;
		i->has_asked = true;
		i->asked_at = c->now;
		d->polled = (struct portal_message){ .type = MSG_REQUEST_DEVICE_ACCESS, .ipv4 = i->ipv4 };
		*out = (struct client_event){ .type = CLIENT_SEND, .message = &d->polled };
		return true;
	}
	return false;
}

/* --- who is connected ------------------------------------------------------------------------------------------------------------------ */

const struct uuid *device_at(const struct client *c, const struct ip *ip)
{
	const struct device_peer *p = table_get(&c->devices->by_ip, ip);
	return p ? &p->id : NULL;
}

bool device_sends(const struct client *c, const struct uuid *id, const struct ip *src)
{
	const struct device_peer *p = table_get(&c->devices->by_id, id);
	return p && ip_eq(src, src->family == 4 ? &p->ipv4 : &p->ipv6);
}

static void forget_address(struct devices *d, const struct ip *ip, const struct device_peer *p)
{
	if (table_get(&d->by_ip, ip) == p)
		(void)table_del(&d->by_ip, ip);
}

bool device_lost(struct client *c, const struct uuid *id)
{
	struct devices *d = c->devices;
	struct device_peer *p = table_del(&d->by_id, id);

	if (!p)
		return false;
	for (struct device_peer **link = &d->peers; *link; link = &(*link)->next)
		if (*link == p) {
			*link = p->next;
			break;
		}
	forget_address(d, &p->ipv4, p);
	forget_address(d, &p->ipv6, p);
	outbox_forget(&c->outbox, &p->id);
	free(p);
	return true;
}

/* Says goodbye to whoever had one of these addresses and is somebody else. */
static void close_others(struct client *c, const struct uuid *id, const struct ip *ip)
{
	const struct uuid *other = device_at(c, ip);

	if (!other || uuid_eq(other, id))
		return;
	struct uuid gone = *other;
	node_close(c->node, c->now, &gone);
	(void)device_lost(c, &gone);
}

static int peer_upsert(struct client *c, const struct held_device *h)
{
	struct devices *d = c->devices;
	struct device_peer *p = table_get(&d->by_id, &h->id);

	if (p && ip_eq(&p->ipv4, &h->ipv4) && ip_eq(&p->ipv6, &h->ipv6))
		return 0;
	if (p)
		(void)device_lost(c, &h->id);
	close_others(c, &h->id, &h->ipv4);
	close_others(c, &h->id, &h->ipv6);
	p = calloc(1, sizeof(*p));
	if (!p)
		return ERR_NOMEM;
	*p = (struct device_peer){ .id = h->id, .ipv4 = h->ipv4, .ipv6 = h->ipv6, .next = d->peers };
	int rc = table_put(&d->by_id, &p->id, p);
	rc = rc ? rc : table_put(&d->by_ip, &p->ipv4, p);
	rc = rc ? rc : table_put(&d->by_ip, &p->ipv6, p);
	if (!rc) {
		d->peers = p;
		return 0;
	}
	(void)table_del(&d->by_id, &p->id);
	forget_address(d, &p->ipv4, p);
	free(p);
	return rc;
}

/* --- answers ---------------------------------------------------------------------------------------------------------------------------- */

static void held_drop(struct devices *d, struct held_device *h)
{
	for (struct held_device **link = &d->held; *link; link = &(*link)->next)
		if (*link == h) {
			*link = h->next;
			break;
		}
	sodium_memzero(&h->peer, sizeof(h->peer));
	d->n_held--;
	free(h);
}

static void held_forget(struct devices *d, const struct uuid *id)
{
	for (struct held_device *h = d->held, *next; h; h = next) {
		next = h->next;
		if (uuid_eq(&h->id, id))
			held_drop(d, h);
	}
}

static struct held_device *held_make(struct client *c, const struct msg_device_access_authorized *m)
{
	struct devices *d = c->devices;
	struct held_device *h = d->n_held < CLIENT_PENDING_MAX ? calloc(1, sizeof(*h)) : NULL;

	if (!h)
		return NULL;
	h->until = time_add(c->now, HELD_SPAN);
	h->id = m->client_id;
	h->ipv4 = m->client_ipv4;
	h->ipv6 = m->client_ipv6;
	h->peer.is_controlling = m->is_controlling;
	h->peer.is_client_to_client = true;
	memcpy(h->peer.public_key, m->client_public_key, sizeof(h->peer.public_key));
	memcpy(h->peer.preshared_key, m->preshared_key, sizeof(h->peer.preshared_key));
	h->next = d->held;
	d->held = h;
	d->n_held++;
	if (ice_from_message(&h->peer.local, &m->local_ice) == 0 && ice_from_message(&h->peer.remote, &m->remote_ice) == 0)
		return h;
	held_drop(d, h);
	return NULL;
}

static void send_buffered(struct client *c, u64 wall, const struct held_device *h)
{
	struct device_intent *i = intent_find(c->devices, &h->ipv4);
	struct span s;

	if (!i)
		return;
	while ((s = pending_packets_take(i->packets)).n > 0) {
		struct packet p;
		if (packet_parse(s.p, s.n, TUNNEL_MTU, &p) == 0 && node_send(c->node, c->now, wall, &h->id, s, packet_ecn(&p)))
			client_drop(c, DROP_NOT_CONNECTED, 1);
	}
	intent_drop(c, i);
}

/* False: still held, no relay has answered. */
static bool connect_held(struct client *c, u64 wall, struct held_device *h)
{
	int rc = node_upsert(c->node, c->now, wall, &h->id, &h->peer, NULL);

	if (rc == ERR_NO_RELAY)
		return false;
	if (!rc)
		rc = peer_upsert(c, h);
	if (rc)
		log_warn("cannot connect to a client", kv_uuid("client", &h->id), kv_err(rc));
	for (size_t i = 0; !rc && i < h->candidates.n; i++)
		(void)node_add_candidate(c->node, c->now, &h->id, SPAN(h->candidates.text[i], strlen(h->candidates.text[i])));
	if (!rc) {
		log_info("access between clients is authorized", kv_uuid("client", &h->id), kv_b("is_controlling", h->peer.is_controlling));
		send_buffered(c, wall, h);
	}
	held_drop(c->devices, h);
	return true;
}

void device_authorized(struct client *c, u64 wall, const struct msg_device_access_authorized *m)
{
	bool is_undecided;

	if (!ip_is_peer(&m->client_ipv4) || !ip_is_peer(&m->client_ipv6) || m->client_ipv4.family != 4 || m->client_ipv6.family != 6 ||
	    ip_eq(&m->client_ipv4, &c->ipv4) || ip_eq(&m->client_ipv6, &c->ipv6)) {
		log_warn("a client with addresses that it cannot have", kv_uuid("client", &m->client_id), kv_ip("ipv4", &m->client_ipv4));
		return;
	}
	held_forget(c->devices, &m->client_id);
	struct held_device *h = held_make(c, m);
	if (!h) {
		log_warn("access between clients is not usable", kv_uuid("client", &m->client_id));
		return;
	}
	if (connect_held(c, wall, h))
		return;
	if (!node_has_relay(c->node, &is_undecided) && !is_undecided)
		client_no_relays(c);
	log_debug("access between clients waits for a relay", kv_uuid("client", &m->client_id));
}

void device_denied(struct client *c, const struct msg_device_access_denied *m)
{
	struct device_intent *i = m->ipv4.family ? intent_find(c->devices, &m->ipv4) : NULL;
	const struct uuid *connected = m->ipv4.family ? device_at(c, &m->ipv4) : NULL;

	log_info("access to a client was refused", kv_ip("ipv4", &m->ipv4), kv_s("reason", msg_reason_name(m->reason)));
	if (i)
		intent_drop(c, i);
	for (struct held_device *h = c->devices->held, *next; h; h = next) {
		next = h->next;
		if (ip_eq(&h->ipv4, &m->ipv4))
			held_drop(c->devices, h);
	}
	if (!connected)
		return;
	struct uuid id = *connected;
	node_close(c->node, c->now, &id);
	(void)device_lost(c, &id);
}

void device_candidates(struct client *c, const struct msg_ice_candidates *m, bool is_added)
{
	for (struct held_device *h = c->devices->held; is_added && h; h = h->next)
		if (uuid_eq(&h->id, &m->id))
			held_candidates_add(&h->candidates, &m->candidates);
	candidates_from_message(c->node, c->now, m, is_added);
}

/* --- the connection ----------------------------------------------------------------------------------------------------------------------- */

bool device_node_event(struct client *c, const struct node_event *e)
{
	if (e->type == NODE_NO_RELAYS || !table_get(&c->devices->by_id, &e->id))
		return false;
	switch (e->type) {
	case NODE_CONN_ESTABLISHED:
		log_info("connected to client", kv_uuid("client", &e->id));
		break;
	case NODE_CONN_FAILED:
	case NODE_CONN_CLOSED:
		log_info("connection to client is gone", kv_uuid("client", &e->id));
		(void)device_lost(c, &e->id);
		break;
	case NODE_CANDIDATES_ADDED:
		signal_candidates(&c->outbox, &c->stats, MSG_NEW_CLIENT_ICE_CANDIDATES, e);
		break;
	case NODE_CANDIDATES_REMOVED:
		signal_candidates(&c->outbox, &c->stats, MSG_INVALIDATE_CLIENT_ICE_CANDIDATES, e);
		break;
	case NODE_PATH_CHANGED:
		log_info("path to client", kv_uuid("client", &e->id), kv_s("path", node_path_name(e->path)), kv_ep("local", &e->local),
			 kv_ep("remote", &e->remote));
		break;
	case NODE_NO_RELAYS:
		break;
	}
	return true;
}

/* --- time --------------------------------------------------------------------------------------------------------------------------------- */

void devices_resume(struct client *c, u64 wall)
{
	bool is_undecided;

	if (c->devices->n_held == 0 || !node_has_relay(c->node, &is_undecided))
		return;
	for (struct held_device *h = c->devices->held, *next; h; h = next) {
		next = h->next;
		(void)connect_held(c, wall, h);
	}
}

void devices_timeout(struct client *c, u64 wall)
{
	struct devices *d = c->devices;

	devices_resume(c, wall);
	for (struct held_device *h = d->held, *next; h; h = next) {
		next = h->next;
		if (c->now >= h->until)
			held_drop(d, h);
	}
	for (struct device_intent *i = d->intents, *next; i; i = next) {
		next = i->next;
		if (time_since(c->now, i->last_packet) >= INTENT_SPAN)
			intent_drop(c, i);
	}
}

u64 devices_next_timeout(const struct client *c)
{
	u64 next = TIME_NEVER;

	for (const struct held_device *h = c->devices->held; h; h = h->next)
		next = time_min(next, h->until);
	for (const struct device_intent *i = c->devices->intents; i; i = i->next)
		next = time_min(next, time_add(i->last_packet, INTENT_SPAN));
	return next;
}

/* Connections are gone already, or about to go; what applications wait for is asked anew. */
void devices_reset(struct client *c)
{
	struct devices *d = c->devices;

	while (d->held)
		held_drop(d, d->held);
	while (d->peers)
		(void)device_lost(c, &d->peers->id);
	for (struct device_intent *i = d->intents; i; i = i->next) {
		i->has_asked = false;
		i->wants_intent = true;
	}
}

void devices_free(struct client *c)
{
	struct devices *d = c->devices;

	if (!d)
		return;
	devices_reset(c);
	while (d->intents)
		intent_drop(c, d->intents);
	table_deinit(&d->by_id);
	table_deinit(&d->by_ip);
	free(d);
	c->devices = NULL;
}

size_t devices_count(const struct client *c)
{
	return c->devices->by_id.count;
}
