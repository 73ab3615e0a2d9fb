#define LOG_TARGET "tunnel::client"
#include "core/tunnel/client_state.h"

#include <sodium.h>
#include <stdlib.h>

static const struct filter allow_all = { .allows_all = true };
static const struct cidr whole_internet[2] = { { .ip = { .family = 4 } }, { .ip = { .family = 6 } } };

/* --- gateways ---------------------------------------------------------------------------------------------------------------------- */

static struct gateway_peer *gateway_meet(struct client *c, const struct uuid *id)
{
	struct gateway_peer *g = table_get(&c->gateways_by_id, id);
	if (g)
		return g;
	g = calloc(1, sizeof(*g));
	if (!g || table_put(&c->gateways_by_id, id, g)) {
		free(g);
		return NULL;
	}
	g->id = *id;
	g->next = c->gateways;
	c->gateways = g;
	return g;
}

void gateways_free(struct client *c)
{
	while (c->gateways) {
		struct gateway_peer *g = c->gateways;
		c->gateways = g->next;
		routes_deinit(&g->allowed);
		free(g);
	}
}

static size_t networks_of(const struct resource *r, const struct cidr **nets)
{
	switch (r->type) {
	case MSG_RESOURCE_CIDR:
		*nets = &r->net;
		return 1;
	case MSG_RESOURCE_INTERNET:
		*nets = whole_internet;
		return 2;
	case MSG_RESOURCE_DNS:
	case MSG_RESOURCE_STATIC_DEVICE_POOL:
	case MSG_RESOURCE_DYNAMIC_DEVICE_POOL:
		return 0;
	}
	return 0;
}

void gateway_deauthorize(struct client *c, struct resource *r)
{
	struct gateway_peer *g = r->gateway;
	const struct cidr *nets = NULL;

	if (!g)
		return;
	r->gateway = NULL;
	dns_nat_forget(c, g, r);
	for (size_t n = networks_of(r, &nets); n > 0; n--)
		(void)routes_remove(&g->allowed, &nets[n - 1], &r->id);
	g->checked_source = (struct ip){ .family = 0 };
	g->n_resources--;
}

static void authorize(struct client *c, struct resource *r, struct gateway_peer *g)
{
	const struct cidr *nets = NULL;

	if (r->gateway != g)
		gateway_deauthorize(c, r);
	r->preferred = g->id;
	r->has_preferred = true;
	if (r->gateway == g)
		return;
	for (size_t n = networks_of(r, &nets); n > 0; n--) {
		int rc = routes_add(&g->allowed, &nets[n - 1], &r->id, &allow_all, r);
		if (rc)
			log_warn("replies of a resource will not be accepted", kv_uuid("resource", &r->id), kv_err(rc));
	}
	r->gateway = g;
	g->n_resources++;
}

/* Everything the gateway's connection carried, but not the connection itself. */
static void peer_clear(struct client *c, struct gateway_peer *g)
{
	if (!g->is_peer)
		return;
	g->is_peer = false;
	if (table_get(&c->peers_by_ip, &g->ipv4) == g)
		(void)table_del(&c->peers_by_ip, &g->ipv4);
	if (table_get(&c->peers_by_ip, &g->ipv6) == g)
		(void)table_del(&c->peers_by_ip, &g->ipv6);
	dns_nat_forget(c, g, NULL);
	for (struct resource *r = c->resources; r; r = r->next)
		if (r->gateway == g)
			gateway_deauthorize(c, r);
	routes_deinit(&g->allowed);
	g->checked_source = (struct ip){ .family = 0 };
}

void gateway_lost(struct client *c, struct gateway_peer *g)
{
	if (!g->is_peer)
		return;
	peer_clear(c, g);
	site_set(c, &g->site, SITE_UNKNOWN);
	outbox_forget(&c->outbox, &g->id);
	client_event_push(c, &(struct client_event){ .type = CLIENT_GATEWAY_LOST, .peer = g->id });
}

void gateways_close_unused(struct client *c)
{
	for (struct gateway_peer *g = c->gateways; g; g = g->next)
		if (g->is_peer && g->n_resources == 0) {
			node_close(c->node, c->now, &g->id);
			gateway_lost(c, g);
		}
}

/* --- flows ------------------------------------------------------------------------------------------------------------------------- */

static void held_free(struct client *c, struct flow *f)
{
	if (!f->held)
		return;
	sodium_memzero(&f->held->peer, sizeof(f->held->peer));
	free(f->held);
	f->held = NULL;
	c->n_held--;
}

void flow_drop(struct client *c, struct flow *f)
{
	for (struct flow **link = &c->flows; *link; link = &(*link)->next)
		if (*link == f) {
			*link = f->next;
			break;
		}
	held_free(c, f);
	if (f->packets)
		client_drop(c, DROP_PENDING_LOST, pending_packets_count(f->packets));
	pending_packets_free(f->packets);
	f->resource->flow = NULL;
	c->n_flows--;
	inside_flow_gone(c, f->resource);
	free(f);
}

static struct flow *flow_make(struct client *c, struct resource *r)
{
	if (c->n_flows == CLIENT_PENDING_MAX)
		return NULL;
	struct flow *f = calloc(1, sizeof(*f));
	if (!f)
		return NULL;
	f->resource = r;
	f->next = c->flows;
	c->flows = f;
	c->n_flows++;
	r->flow = f;
	return f;
}

static void want_intent(struct client *c, struct flow *f)
{
	if (f->held || f->wants_intent)
		return;
	if (f->has_asked && time_since(c->now, f->asked_at) < FLOW_RETRY_INTERVAL)
		return;
	f->wants_intent = true;
}

void flow_ask_again(struct client *c, struct flow *f)
{
	held_free(c, f);
	f->wants_intent = time_since(c->now, f->last_packet) <= FLOW_RETRY_SPAN;
	f->has_asked = false;
}

static void buffer_packet(struct client *c, struct flow *f, const u8 *data, const struct packet *p)
{
	if (!f->packets && !(f->packets = pending_packets_new(PENDING_PACKETS))) {
		client_drop(c, DROP_PENDING_LOST, 1);
		return;
	}
	if (pending_packets_add(f->packets, data, p) == PENDING_DISPLACED)
		client_drop(c, DROP_PENDING_FULL, 1);
}

void flow_trigger(struct client *c, struct resource *r, const u8 *packet, const struct packet *p)
{
	struct flow *f = r->flow ? r->flow : flow_make(c, r);
	if (!f) {
		client_drop(c, DROP_PENDING_FULL, packet != NULL);
		return;
	}
	f->last_packet = c->now;
	if (packet)
		buffer_packet(c, f, packet, p);
	want_intent(c, f);
}

void flow_refused(struct client *c, struct resource *r)
{
	u64 pause = FLOW_RETRY_INTERVAL << MIN(r->refusals, REFUSALS_DOUBLED);

	if (r->refused_at && time_since(c->now, r->refused_at) > REFUSALS_FORGOTTEN)
		r->refusals = 0;
	else if (r->refused_at && time_since(c->now, r->refused_at) < pause)
		return;
	else if (r->refused_at)
		r->refusals++;
	r->refused_at = c->now;
	flow_trigger(c, r, NULL, NULL);
}

/* When a pending flow asks by itself; TIME_NEVER when only traffic shall. */
static u64 retry_at(const struct flow *f)
{
	bool is_young = time_since(f->asked_at, f->last_packet) + FLOW_RETRY_INTERVAL <= FLOW_RETRY_SPAN;
	return f->has_asked && !f->wants_intent && !f->held && is_young ? time_add(f->asked_at, FLOW_RETRY_INTERVAL) : TIME_NEVER;
}

u64 flows_next_timeout(const struct client *c)
{
	u64 next = TIME_NEVER;
	for (const struct flow *f = c->flows; f; f = f->next)
		next = time_min(next, f->held ? f->held->until : retry_at(f));
	return next;
}

void flows_timeout(struct client *c, u64 wall)
{
	flows_resume(c, wall);
	for (struct flow *f = c->flows; f; f = f->next) {
		if (f->held && c->now >= f->held->until)
			held_free(c, f);
		if (c->now >= retry_at(f))
			f->wants_intent = true;
	}
}

struct known {
	unsigned rank;
	struct uuid id;
};

static int by_preference(const void *a, const void *b)
{
	const struct known *x = a, *y = b;
	return x->rank != y->rank ? (int)x->rank - (int)y->rank : uuid_cmp(&x->id, &y->id);
}

/* Every gateway ever met: the resource's own first, then connected ones, then by id (spec 30 §5). */
static size_t known_gateways(struct client *c, const struct resource *r)
{
	size_t n = 0, all = c->gateways_by_id.count;
	struct known *known = calloc(all + 1, sizeof(*known));

	free(c->polled_ids);
	c->polled_ids = calloc(all + 1, sizeof(*c->polled_ids));
	if (known && c->polled_ids) {
		for (const struct gateway_peer *g = c->gateways; g && n < MSG_IDS_MAX; g = g->next) {
			bool is_own = r->has_preferred && uuid_eq(&r->preferred, &g->id);
			known[n++] = (struct known){ is_own ? 0 : g->is_peer ? 1 : 2, g->id };
		}
		qsort(known, n, sizeof(*known), by_preference);
		for (size_t i = 0; i < n; i++)
			c->polled_ids[i] = known[i].id;
	}
	free(known);
	return n;
}

bool flow_intent_poll(struct client *c, struct client_event *out)
{
	for (struct flow *f = c->flows; f; f = f->next) {
		if (!f->wants_intent)
			continue;
		f->wants_intent = false;
		f->has_asked = true;
		f->asked_at = c->now;
		size_t n = known_gateways(c, f->resource);
		c->polled = (struct portal_message){ .type = MSG_CREATE_FLOW };
		c->polled.create_flow.resource_id = f->resource->id;
		c->polled.create_flow.connected_gateways = (struct msg_ids){ c->polled_ids, n };
		*out = (struct client_event){ .type = CLIENT_SEND, .message = &c->polled };
		return true;
	}
	return false;
}

/* --- answers ------------------------------------------------------------------------------------------------------------------------ */

static int held_from(struct held_flow *h, const struct msg_flow_created *m)
{
	h->gateway = m->gateway_id;
	h->site = m->site_id;
	h->ipv4 = m->gateway_ipv4;
	h->ipv6 = m->gateway_ipv6;
	h->peer.is_controlling = true;
	memcpy(h->peer.public_key, m->gateway_public_key, sizeof(h->peer.public_key));
	memcpy(h->peer.preshared_key, m->preshared_key, sizeof(h->peer.preshared_key));
	int rc = ice_from_message(&h->peer.local, &m->client_ice);
	return rc ? rc : ice_from_message(&h->peer.remote, &m->gateway_ice);
}

/* The gateway has a connection now: remember what it may send and under which addresses it is met. */
static int peer_upsert(struct client *c, struct gateway_peer *g, const struct held_flow *h)
{
	/* Another key: the gateway was started anew and knows of nothing that its predecessor had granted. */
	bool is_other = !ip_eq(&g->ipv4, &h->ipv4) || !ip_eq(&g->ipv6, &h->ipv6) ||
			memcmp(g->public_key, h->peer.public_key, sizeof(g->public_key)) != 0;
	if (g->is_peer && is_other)
		peer_clear(c, g);
	g->site = h->site;
	if (g->is_peer)
		return 0;
	g->ipv4 = h->ipv4;
	g->ipv6 = h->ipv6;
	memcpy(g->public_key, h->peer.public_key, sizeof(g->public_key));
	int rc = table_put(&c->peers_by_ip, &g->ipv4, g);
	if (!rc)
		rc = table_put(&c->peers_by_ip, &g->ipv6, g);
	g->is_peer = rc == 0;
	return rc;
}

static void send_buffered(struct client *c, u64 wall, struct flow *f, const struct gateway_peer *g)
{
	struct span s;
	while (f->packets && (s = pending_packets_take(f->packets)).n > 0) {
		struct packet p;
		if (packet_parse(s.p, s.n, TUNNEL_MTU, &p) == 0 && node_send(c->node, c->now, wall, &g->id, s, packet_ecn(&p)))
			client_drop(c, DROP_NOT_CONNECTED, 1);
	}
}

/* ERR_NO_RELAY: nothing changed. Any other outcome has consumed the held flow. */
static int connect_held(struct client *c, u64 wall, struct flow *f)
{
	struct held_flow *h = f->held;
	struct gateway_peer *g = gateway_meet(c, &h->gateway);
	int rc = g ? node_upsert(c->node, c->now, wall, &h->gateway, &h->peer, g) : ERR_NOMEM;

	if (rc == ERR_NO_RELAY)
		return rc;
	if (!rc)
		rc = peer_upsert(c, g, h);
	if (rc) {
		log_warn("cannot connect to a gateway", kv_uuid("gateway", &h->gateway), kv_err(rc));
		held_free(c, f);
		return rc;
	}
	for (size_t i = 0; i < h->candidates.n; i++)
		(void)node_add_candidate(c->node, c->now, &g->id, SPAN(h->candidates.text[i], strlen(h->candidates.text[i])));
	authorize(c, f->resource, g);
	log_info("flow is authorized", kv_uuid("resource", &f->resource->id), kv_uuid("gateway", &g->id));
	if (f->resource->type == MSG_RESOURCE_DNS)
		dns_nat_authorized(c, f->resource, f->packets);
	else
		send_buffered(c, wall, f, g);
	inside_flow_ready(c, f->resource);
	flow_drop(c, f);
	gateways_close_unused(c);
	return 0;
}

void flow_created(struct client *c, u64 wall, const struct msg_flow_created *m)
{
	struct resource *r = table_get(&c->resources_by_id, &m->resource_id);
	bool is_undecided = false;

	if (!r) {
		log_warn("flow for an unknown resource", kv_uuid("resource", &m->resource_id));
		return;
	}
	if (!r->flow) {
		log_debug("flow was not asked for", kv_uuid("resource", &m->resource_id));
		return;
	}
	held_free(c, r->flow);
	r->flow->held = calloc(1, sizeof(*r->flow->held));
	if (!r->flow->held) {
		log_warn("no memory for a flow", kv_uuid("resource", &r->id));
		return;
	}
	c->n_held++;
	r->flow->held->until = time_add(c->now, HELD_SPAN);
	r->flow->wants_intent = false;
	if (held_from(r->flow->held, m)) {
		log_warn("flow with overlong credentials", kv_uuid("resource", &r->id));
		held_free(c, r->flow);
		return;
	}
	if (connect_held(c, wall, r->flow) != ERR_NO_RELAY)
		return;
	if (!node_has_relay(c->node, &is_undecided) && !is_undecided)
		client_no_relays(c);
	log_debug("flow waits for a relay", kv_uuid("resource", &r->id));
}

void flows_resume(struct client *c, u64 wall)
{
	bool is_undecided;
	if (c->n_held == 0 || !node_has_relay(c->node, &is_undecided))
		return;
	for (struct flow *f = c->flows, *next; f; f = next) {
		next = f->next; /* connecting one flow takes only itself from the list */
		if (f->held)
			(void)connect_held(c, wall, f);
	}
}

void held_candidates_add(struct held_candidates *h, const struct msg_candidates *list)
{
	for (size_t i = 0; i < list->n && h->n < HELD_CANDIDATES; i++) {
		size_t n = strlen(list->text[i]);
		if (n >= CANDIDATE_STRLEN)
			continue;
		char *to = h->text[h->n++];
		memset(to, 0, CANDIDATE_STRLEN);
		memcpy(to, list->text[i], n);
	}
}

void flow_held_candidates(struct client *c, const struct uuid *gateway, const struct msg_candidates *list)
{
	if (c->n_held == 0)
		return;
	for (struct flow *f = c->flows; f; f = f->next)
		if (f->held && uuid_eq(&f->held->gateway, gateway))
			held_candidates_add(&f->held->candidates, list);
}

void flow_creation_failed(struct client *c, const struct msg_flow_creation_failed *m)
{
	struct resource *r = table_get(&c->resources_by_id, &m->resource_id);

	if (!r) {
		log_debug("failed flow of an unknown resource", kv_uuid("resource", &m->resource_id));
		return;
	}
	log_info("flow was refused", kv_uuid("resource", &r->id), kv_s("reason", msg_reason_name(m->reason)));
	switch (m->reason) {
	case MSG_REASON_OFFLINE:
		if (r->flow)
			flow_drop(c, r->flow);
		if (r->gateway) /* the portal says it is gone; its connection may still prove otherwise */
			gateway_lost(c, r->gateway);
		resource_set_sites(c, r, SITE_OFFLINE);
		client_event_push(c, &(struct client_event){ .type = CLIENT_SITE_OFFLINE, .resource = r->id });
		break;
	case MSG_REASON_VERSION_MISMATCH:
		client_event_push(c, &(struct client_event){ .type = CLIENT_VERSION_MISMATCH, .resource = r->id });
		break;
	case MSG_REASON_UNKNOWN:
	case MSG_REASON_NOT_FOUND:
	case MSG_REASON_FORBIDDEN:
	case MSG_REASON_DISABLED:
	case MSG_REASON_AMBIGUOUS_ADDRESS:
	case MSG_REASON_MISSING_ADDRESS:
	case MSG_REASON_INVALID_ADDRESS:
		break;
	}
}
