#define LOG_TARGET "tunnel::client"
#include "core/tunnel/client_devices.h"
#include "core/tunnel/client_state.h"

#include <stdlib.h>

#define NODE_EVENTS_PER_CALL 4096u /* a queue of the node's is finite; this bounds one call all the same */

struct client *client_new(const struct client_config *cfg, u64 now)
{
	struct client *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	struct node_config node = { .role = NODE_CLIENT, .rng = cfg->rng };
	c->rng = cfg->rng;
	c->now = now;
	c->wants_internet = cfg->internet_is_active;
	c->cache.generation = 1;
	outbox_init(&c->outbox);
	table_init(&c->resources_by_id, sizeof(struct uuid), CLIENT_RESOURCES_MAX, cfg->rng);
	table_init(&c->sites_by_id, sizeof(struct uuid), CLIENT_RESOURCES_MAX, cfg->rng);
	table_init(&c->gateways_by_id, sizeof(struct uuid), CLIENT_GATEWAYS_MAX, cfg->rng);
	table_init(&c->peers_by_ip, sizeof(struct ip), 2 * CLIENT_GATEWAYS_MAX, cfg->rng);
	c->stub = stub_new(cfg->rng);
	c->node = node_new(&node, now);
	c->coalescer = coalesce_new();
	c->devices = devices_new(cfg->rng);
	c->dns = names_new(cfg->rng);
	c->inside = inside_new(cfg->rng);
	c->tcp = names_tcp_new(cfg->rng);
	if (!c->node || !c->stub || !c->dns || !c->inside || !c->tcp || !c->coalescer || !c->devices || tun_queue_init(&c->out, CLIENT_REPLIES_MAX)) {
		client_free(c);
		return NULL;
	}
	return c;
}

void client_free(struct client *c)
{
	if (!c)
		return;
	while (c->flows)
		flow_drop(c, c->flows);
	dns_nat_forget(c, NULL, NULL);
	gateways_free(c);
	devices_free(c);
	resources_free(c);
	stub_free(c->stub);
	inside_free(c->inside);
	names_tcp_free(c->tcp);
	names_free(c->dns);
	table_deinit(&c->resources_by_id);
	table_deinit(&c->sites_by_id);
	table_deinit(&c->gateways_by_id);
	table_deinit(&c->peers_by_ip);
	outbox_deinit(&c->outbox);
	free(c->search_domain);
	free(c->emitted_routes);
	free(c->emitted_search_domain);
	free(c->emitted_list);
	free(c->polled_ids);
	tun_queue_deinit(&c->out);
	coalesce_free(c->coalescer);
	if (c->node)
		node_free(c->node);
	free(c);
}

void client_public_key(const struct client *c, u8 out[static 32])
{
	node_public_key(c->node, out);
}

/* --- events ------------------------------------------------------------------------------------------------------------------------- */

void client_event_push(struct client *c, const struct client_event *e)
{
	c->events[news_push(&c->news, CLIENT_EVENTS_MAX)] = *e;
}

void client_no_relays(struct client *c)
{
	if (outbox_no_relays(&c->outbox))
		c->stats.messages_refused++;
}

static void on_node_event(struct client *c, const struct node_event *e)
{
	struct gateway_peer *g = e->type == NODE_NO_RELAYS ? NULL : table_get(&c->gateways_by_id, &e->id);

	if (device_node_event(c, e))
		return;
	switch (e->type) {
	case NODE_CONN_ESTABLISHED:
		if (g)
			site_set(c, &g->site, SITE_ONLINE);
		log_info("connected to gateway", kv_uuid("gateway", &e->id));
		client_event_push(c, &(struct client_event){ .type = CLIENT_GATEWAY_CONNECTED, .peer = e->id });
		break;
	case NODE_CONN_FAILED:
	case NODE_CONN_CLOSED:
		log_info("connection to gateway is gone", kv_uuid("gateway", &e->id));
		if (g)
			gateway_lost(c, g);
		break;
	case NODE_CANDIDATES_ADDED:
		signal_candidates(&c->outbox, &c->stats, MSG_NEW_GATEWAY_ICE_CANDIDATES, e);
		break;
	case NODE_CANDIDATES_REMOVED:
		signal_candidates(&c->outbox, &c->stats, MSG_INVALIDATE_GATEWAY_ICE_CANDIDATES, e);
		break;
	case NODE_NO_RELAYS:
		client_no_relays(c);
		break;
	case NODE_PATH_CHANGED:
		client_event_push(c, &(struct client_event){ .type = CLIENT_GATEWAY_PATH, .peer = e->id, .path = e->path, .local = e->local,
							     .remote = e->remote });
		break;
	}
}

static void take_node_events(struct client *c)
{
	struct node_event e;
	for (unsigned i = 0; i < NODE_EVENTS_PER_CALL && node_poll_event(c->node, &e); i++)
		on_node_event(c, &e);
}

bool client_poll_event(struct client *c, struct client_event *out)
{
	u32 at;

	take_node_events(c);
	if (tun_config_poll(c, out) || resource_list_poll(c, out))
		return true;
	if (c->portal_is_up && (flow_intent_poll(c, out) || device_intent_poll(c, out))) {
		c->stats.messages_out++;
		return true;
	}
	if (news_take(&c->news, CLIENT_EVENTS_MAX, &at)) {
		*out = c->events[at];
		return true;
	}
	const struct portal_message *m = c->portal_is_up ? outbox_poll(&c->outbox) : NULL;
	if (!m)
		return false;
	c->stats.messages_out++;
	*out = (struct client_event){ .type = CLIENT_SEND, .message = m };
	return true;
}

/* --- messages ------------------------------------------------------------------------------------------------------------------------ */

static void on_interface(struct client *c, const struct msg_interface *i)
{
	char *domain = i->search_domain ? text_copy(i->search_domain) : NULL;
	free(c->search_domain);
	c->search_domain = domain;
	c->ipv4 = i->ipv4;
	c->ipv6 = i->ipv6;
	c->is_tun_dirty = true;
	names_set_portal(c, i);
}

static void on_init(struct client *c, const struct msg_init_client *m)
{
	if (m->n_skipped)
		log_warn("resources were skipped", kv_u("count", m->n_skipped));
	on_interface(c, &m->interface);
	resources_set(c, m->resources, m->n_resources);
	relays_from_message(c->node, c->now, NULL, &m->relays);
	c->portal_is_up = true;
}

int client_message(struct client *c, u64 now, u64 wall, const struct portal_message *m)
{
	struct resource *r;

	c->now = now;
	client_set_wall(c, wall);
	switch (m->type) {
	case MSG_INIT_CLIENT:
		on_init(c, &m->init_client);
		break;
	case MSG_CONFIG_CHANGED:
		on_interface(c, &m->config_changed);
		break;
	case MSG_RESOURCE_CREATED_OR_UPDATED:
		resource_add(c, &m->resource);
		break;
	case MSG_RESOURCE_DELETED:
		r = table_get(&c->resources_by_id, &m->id);
		if (r)
			resource_remove(c, r);
		break;
	case MSG_RELAYS_PRESENCE:
		relays_from_message(c->node, now, &m->relays_presence.disconnected, &m->relays_presence.connected);
		break;
	case MSG_FLOW_CREATED:
		flow_created(c, wall, &m->flow_created);
		break;
	case MSG_FLOW_CREATION_FAILED:
		flow_creation_failed(c, &m->flow_creation_failed);
		break;
	case MSG_GATEWAY_ICE_CANDIDATES:
		flow_held_candidates(c, &m->candidates.id, &m->candidates.candidates);
		candidates_from_message(c->node, now, &m->candidates, true);
		break;
	case MSG_GATEWAY_ICE_INVALIDATED:
		candidates_from_message(c->node, now, &m->candidates, false);
		break;
	case MSG_CLIENT_DEVICE_ACCESS_AUTHORIZED:
		device_authorized(c, wall, &m->device_access_authorized);
		break;
	case MSG_CLIENT_DEVICE_ACCESS_DENIED:
		device_denied(c, &m->device_access_denied);
		break;
	case MSG_CLIENT_ICE_CANDIDATES:
		device_candidates(c, &m->candidates, true);
		break;
	case MSG_CLIENT_ICE_INVALIDATED:
		device_candidates(c, &m->candidates, false);
		break;
	case MSG_CLIENT_ICE_CANDIDATE_ERROR:
		log_debug("a client did not take our candidates", kv_uuid("client", &m->candidate_error.client_id));
		break;
	case MSG_INIT_GATEWAY:
	case MSG_INIT_RELAY:
	case MSG_AUTHORIZE_FLOW:
	case MSG_REJECT_ACCESS:
	case MSG_ACCESS_AUTHORIZATION_EXPIRY_UPDATED:
	case MSG_RESOURCE_UPDATED:
	case MSG_RESOURCE_FILTERS_UPDATED:
	case MSG_CREATE_FLOW:
	case MSG_REQUEST_DEVICE_ACCESS:
	case MSG_NO_RELAYS:
	case MSG_NEW_GATEWAY_ICE_CANDIDATES:
	case MSG_INVALIDATE_GATEWAY_ICE_CANDIDATES:
	case MSG_NEW_CLIENT_ICE_CANDIDATES:
	case MSG_INVALIDATE_CLIENT_ICE_CANDIDATES:
	case MSG_BROADCAST_ICE_CANDIDATES:
	case MSG_BROADCAST_INVALIDATED_ICE_CANDIDATES:
	case MSG_FLOW_AUTHORIZED:
	case MSG_SET_SNOWNET_CAPABILITIES:
	case MSG_CONNECTIONS_REPORT:
	case MSG_TYPE_COUNT:
		return ERR_UNSUPPORTED;
	}
	take_node_events(c);
	flows_resume(c, wall);
	devices_resume(c, wall);
	names_pump(c);
	return 0;
}

void client_portal_lost(struct client *c)
{
	c->portal_is_up = false;
}

/* --- time and transmits --------------------------------------------------------------------------------------------------------------- */

void client_flush(struct client *c, u64 now)
{
	node_flush(c->node, now);
}

bool client_poll_transmit(struct client *c, struct udp_tx *out)
{
	return node_poll_transmit(c->node, out);
}

void client_timeout(struct client *c, u64 now, u64 wall)
{
	c->now = now;
	client_set_wall(c, wall);
	node_timeout(c->node, now, wall);
	take_node_events(c);
	sites_timeout(c);
	flows_timeout(c, wall);
	devices_timeout(c, wall);
	names_timeout(c);
}

u64 client_next_timeout(const struct client *c)
{
	u64 next = time_min(node_next_timeout(c->node), names_next_timeout(c));
	next = time_min(next, devices_next_timeout(c));
	return time_min(next, time_min(flows_next_timeout(c), sites_next_timeout(c)));
}

void client_reset(struct client *c, u64 now)
{
	c->now = now;
	c->portal_is_up = false;
	node_reset(c->node, now);
	take_node_events(c);
	for (struct gateway_peer *g = c->gateways; g; g = g->next)
		gateway_lost(c, g);
	devices_reset(c);
	outbox_deinit(&c->outbox);
	for (struct flow *f = c->flows; f; f = f->next)
		flow_ask_again(c, f);
	names_reset(c);
	c->is_tun_dirty = c->is_list_dirty = true;
}

void client_shutdown(struct client *c, u64 now)
{
	c->now = now;
	node_close_all(c->node, now);
	for (struct gateway_peer *g = c->gateways; g; g = g->next)
		gateway_lost(c, g);
	while (c->flows)
		flow_drop(c, c->flows);
	devices_reset(c);
}

/* --- looking in ----------------------------------------------------------------------------------------------------------------------- */

size_t client_gateways(const struct client *c, struct client_gateway *out, size_t max)
{
	size_t n = 0;
	for (const struct gateway_peer *g = c->gateways; g; g = g->next) {
		if (!g->is_peer)
			continue;
		if (n < max) {
			out[n] = (struct client_gateway){ .id = g->id, .site = g->site, .ipv4 = g->ipv4, .ipv6 = g->ipv6,
							  .n_resources = g->n_resources };
			out[n].is_connected = node_is_connected(c->node, &g->id);
			(void)node_conn_info(c->node, &g->id, &out[n].conn);
		}
		n++;
	}
	return n;
}

void client_status(const struct client *c, struct client_status *out)
{
	*out = (struct client_status){
		.has_interface = c->ipv4.family != 0,
		.portal_is_up = c->portal_is_up,
		.internet_is_active = internet_is_active(c),
		.n_resources = c->resources_by_id.count,
		.n_gateways = client_gateways(c, NULL, 0),
		.n_pending = c->n_flows,
		.n_devices = devices_count(c),
	};
}

const struct tunnel_stats *client_stats(const struct client *c)
{
	return &c->stats;
}

const struct node_stats *client_node_stats(const struct client *c)
{
	return node_stats(c->node);
}
