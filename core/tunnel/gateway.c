#define LOG_TARGET "tunnel::gateway"
#include "core/tunnel/gateway_state.h"

#include <stdlib.h>

#define NODE_EVENTS_PER_CALL 4096u /* a queue of the node's is finite; this bounds one call all the same */

struct gateway *gateway_new(const struct gateway_config *cfg, u64 now)
{
	struct gateway *g = calloc(1, sizeof(*g));
	if (!g)
		return NULL;
	struct node_config node = { .role = NODE_GATEWAY, .rng = cfg->rng };
	g->rng = cfg->rng;
	g->now = now;
	g->next_tick = TIME_NEVER;
	g->held_last = &g->held;
	g->resolutions_last = &g->resolutions;
	g->cache.generation = 1;
	g->validates_checksums = cfg->validates_checksums;
	outbox_init(&g->outbox);
	reports_init(&g->reports);
	table_init(&g->peers_by_id, sizeof(struct uuid), GATEWAY_PEERS_MAX, cfg->rng);
	table_init(&g->peers_by_ip, sizeof(struct ip), 2 * GATEWAY_PEERS_MAX, cfg->rng);
	g->node = node_new(&node, now);
	g->coalescer = coalesce_new();
	if (cfg->has_flow_logs)
		g->flowlog = flowlog_new(cfg->rng);
	if (!g->node || !g->coalescer || (cfg->has_flow_logs && !g->flowlog)) {
		gateway_free(g);
		return NULL;
	}
	return g;
}

void gateway_free(struct gateway *g)
{
	if (!g)
		return;
	access_free(g);
	reports_deinit(&g->reports);
	flowlog_free(g->flowlog);
	table_deinit(&g->peers_by_id);
	table_deinit(&g->peers_by_ip);
	outbox_deinit(&g->outbox);
	coalesce_free(g->coalescer);
	if (g->node)
		node_free(g->node);
	free(g);
}

void gateway_public_key(const struct gateway *g, u8 out[static 32])
{
	node_public_key(g->node, out);
}

/* --- events --------------------------------------------------------------------------------------------------------------------------- */

void gateway_event_push(struct gateway *g, const struct gateway_event *e)
{
	g->events[news_push(&g->news, GATEWAY_EVENTS_MAX)] = *e;
}

static void on_node_event(struct gateway *g, const struct node_event *e)
{
	switch (e->type) {
	case NODE_CONN_ESTABLISHED:
		log_info("connected to client", kv_uuid("client", &e->id));
		report_changed(g, &e->id);
		gateway_event_push(g, &(struct gateway_event){ .type = GATEWAY_CLIENT_CONNECTED, .peer = e->id });
		break;
	case NODE_CONN_FAILED:
	case NODE_CONN_CLOSED:
		/* Its authorizations stay: the client may come back (spec 40 §4.1). */
		log_info("connection to client is gone", kv_uuid("client", &e->id));
		report_failed(g, e);
		outbox_forget(&g->outbox, &e->id);
		gateway_event_push(g, &(struct gateway_event){ .type = GATEWAY_CLIENT_LOST, .peer = e->id });
		break;
	case NODE_CANDIDATES_ADDED:
		signal_candidates(&g->outbox, &g->stats, MSG_BROADCAST_ICE_CANDIDATES, e);
		break;
	case NODE_CANDIDATES_REMOVED:
		signal_candidates(&g->outbox, &g->stats, MSG_BROADCAST_INVALIDATED_ICE_CANDIDATES, e);
		break;
	case NODE_NO_RELAYS:
		access_no_relays(g);
		break;
	case NODE_PATH_CHANGED:
		report_changed(g, &e->id);
		gateway_event_push(g, &(struct gateway_event){ .type = GATEWAY_CLIENT_PATH, .peer = e->id, .path = e->path, .local = e->local,
							       .remote = e->remote });
		break;
	}
}

/* Candidates of a connection appear only here, after the authorization that made it was queued. */
static void take_node_events(struct gateway *g)
{
	struct node_event e;
	for (unsigned i = 0; i < NODE_EVENTS_PER_CALL && node_poll_event(g->node, &e); i++)
		on_node_event(g, &e);
}

bool gateway_poll_event(struct gateway *g, struct gateway_event *out)
{
	u32 at;

	take_node_events(g);
	if (g->is_tun_dirty) {
		g->is_tun_dirty = false;
		g->tun = (struct gateway_tun_config){ g->ipv4, g->ipv6, { net_peers4, net_peers6 } };
		*out = (struct gateway_event){ .type = GATEWAY_TUN_CONFIG, .tun = &g->tun };
		return true;
	}
	if (dns_poll(g, out))
		return true;
	if (news_take(&g->news, GATEWAY_EVENTS_MAX, &at)) {
		*out = g->events[at];
		return true;
	}
	const struct portal_message *m = g->portal_is_up ? outbox_poll(&g->outbox) : NULL;
	if (!m)
		return false;
	g->stats.messages_out++;
	*out = (struct gateway_event){ .type = GATEWAY_SEND, .message = m };
	return true;
}

/* --- messages -------------------------------------------------------------------------------------------------------------------------- */

/* In the order of spec 40 §3.2; idempotent. */
static void on_init(struct gateway *g, u64 wall, const struct msg_init_gateway *m)
{
	relays_from_message(g->node, g->now, NULL, &m->relays);
	g->no_relays_again = 0;
	g->ipv4 = m->interface.ipv4;
	g->ipv6 = m->interface.ipv6;
	access_prune(g, m->authorizations, m->n_authorizations);
	for (size_t i = 0; i < m->n_authorizations; i++)
		access_set_expiry(g, wall, &m->authorizations[i]);
	access_tick(g, wall);
	report_wanted(g, m->report_interval_secs);
	g->is_tun_dirty = true;
	g->portal_is_up = true;
}

int gateway_message(struct gateway *g, u64 now, u64 wall, const struct portal_message *m)
{
	g->now = now;
	switch (m->type) {
	case MSG_INIT_GATEWAY:
		on_init(g, wall, &m->init_gateway);
		break;
	case MSG_RELAYS_PRESENCE:
		relays_from_message(g->node, now, &m->relays_presence.disconnected, &m->relays_presence.connected);
		break;
	case MSG_AUTHORIZE_FLOW:
		access_authorize(g, wall, &m->authorize_flow);
		break;
	case MSG_REJECT_ACCESS:
		access_reject(g, &m->access.client_id, &m->access.resource_id);
		break;
	case MSG_ACCESS_AUTHORIZATION_EXPIRY_UPDATED:
		access_set_expiry(g, wall, &m->access);
		break;
	case MSG_RESOURCE_UPDATED:
		access_update_filters(g, &m->resource);
		break;
	case MSG_CLIENT_ICE_CANDIDATES:
		candidates_from_message(g->node, now, &m->candidates, true);
		break;
	case MSG_CLIENT_ICE_INVALIDATED:
		candidates_from_message(g->node, now, &m->candidates, false);
		break;
	case MSG_INIT_CLIENT:
	case MSG_INIT_RELAY:
	case MSG_CONFIG_CHANGED:
	case MSG_RESOURCE_CREATED_OR_UPDATED:
	case MSG_RESOURCE_DELETED:
	case MSG_RESOURCE_FILTERS_UPDATED:
	case MSG_FLOW_CREATED:
	case MSG_FLOW_CREATION_FAILED:
	case MSG_GATEWAY_ICE_CANDIDATES:
	case MSG_GATEWAY_ICE_INVALIDATED:
	case MSG_CLIENT_ICE_CANDIDATE_ERROR:
	case MSG_CLIENT_DEVICE_ACCESS_AUTHORIZED:
	case MSG_CLIENT_DEVICE_ACCESS_DENIED:
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
	access_resume(g, wall);
	return 0;
}

void gateway_portal_lost(struct gateway *g)
{
	g->portal_is_up = false;
	report_stop(g);
}

/* --- time and transmits ------------------------------------------------------------------------------------------------------------------ */

void gateway_flush(struct gateway *g, u64 now)
{
	node_flush(g->node, now);
}

bool gateway_poll_transmit(struct gateway *g, struct udp_tx *out)
{
	return node_poll_transmit(g->node, out);
}

void gateway_timeout(struct gateway *g, u64 now, u64 wall)
{
	g->now = now;
	node_timeout(g->node, now, wall);
	take_node_events(g);
	if (now >= g->next_tick)
		access_tick(g, wall);
	dns_timeout(g, wall);
	report_timeout(g);
	if (g->flowlog && now >= flowlog_next_tick(g->flowlog))
		flowlog_tick(g->flowlog, now);
	if (g->n_held > 0)
		access_resume(g, wall);
}

u64 gateway_next_timeout(const struct gateway *g)
{
	u64 flows = g->flowlog ? flowlog_next_tick(g->flowlog) : TIME_NEVER;
	u64 policy = time_min(access_next_timeout(g), dns_next_timeout(g));
	return time_min(time_min(node_next_timeout(g->node), policy), time_min(flows, report_next_timeout(&g->reports)));
}

void gateway_shutdown(struct gateway *g, u64 now)
{
	g->now = now;
	report_stop(g);
	node_close_all(g->node, now);
	while (g->peers)
		peer_drop(g, g->peers, false);
}

/* --- looking in -------------------------------------------------------------------------------------------------------------------------- */

size_t gateway_clients(const struct gateway *g, struct gateway_client *out, size_t max)
{
	size_t n = 0;
	for (const struct client_peer *p = g->peers; p; p = p->next, n++) {
		if (n >= max)
			continue;
		out[n] = (struct gateway_client){ .id = p->id, .ipv4 = p->ipv4, .ipv6 = p->ipv6, .n_resources = p->n_grants };
		if (p->dns) {
			out[n].n_proxies = p->dns->proxies.count;
			out[n].n_sessions = p->dns->nat.n_live;
		}
		out[n].is_connected = node_is_connected(g->node, &p->id);
		(void)node_conn_info(g->node, &p->id, &out[n].conn);
	}
	return n;
}

void gateway_status(const struct gateway *g, struct gateway_status *out)
{
	*out = (struct gateway_status){
		.has_interface = g->ipv4.family != 0,
		.portal_is_up = g->portal_is_up,
		.n_clients = g->peers_by_id.count,
		.n_held = g->n_held,
		.n_resolutions = g->n_resolutions,
	};
}

const struct tunnel_stats *gateway_stats(const struct gateway *g)
{
	return &g->stats;
}

const struct node_stats *gateway_node_stats(const struct gateway *g)
{
	return node_stats(g->node);
}
