#include "core/phoenix/msg_arena.h"

#include <string.h>

static void put_key(struct json_out *o, const char *key, const u8 b[static MSG_KEY])
{
	json_put_base64(o, key, SPAN(b, MSG_KEY));
}

static void put_ice(struct json_out *o, const char *key, const struct msg_ice *ice)
{
	json_open(o, key);
	json_put_str(o, "username", ice->username);
	json_put_str(o, "password", ice->password);
	json_close(o);
}

static void put_strings(struct json_out *o, const char *key, const char *const *text, size_t n)
{
	json_open_array(o, key);
	for (size_t i = 0; i < n; i++)
		json_put_str(o, NULL, text[i]);
	json_close_array(o);
}

static void put_candidates(struct json_out *o, const struct msg_candidates *c)
{
	put_strings(o, "candidates", c->text, c->n);
}

static void put_ids(struct json_out *o, const char *key, const struct msg_ids *ids)
{
	json_open_array(o, key);
	for (size_t i = 0; i < ids->n; i++)
		json_put_uuid(o, NULL, &ids->id[i]);
	json_close_array(o);
}

static const char *protocol_name(enum msg_protocol p)
{
	switch (p) {
	case MSG_TCP: return "tcp";
	case MSG_UDP: return "udp";
	case MSG_ICMP: return "icmp";
	}
	return NULL;
}

static void put_filters(struct json_out *o, const struct msg_resource *r)
{
	json_open_array(o, "filters");
	for (size_t i = 0; i < r->n_filters; i++) {
		const struct msg_filter *f = &r->filters[i];
		json_open(o, NULL);
		json_put_str(o, "protocol", protocol_name(f->protocol));
		if (f->protocol != MSG_ICMP && (f->port_start != 0 || f->port_end != 65535)) {
			json_put_u64(o, "port_range_start", f->port_start);
			json_put_u64(o, "port_range_end", f->port_end);
		}
		json_close(o);
	}
	json_close_array(o);
}

static const char *resource_type_name(enum msg_resource_type t)
{
	switch (t) {
	case MSG_RESOURCE_DNS: return "dns";
	case MSG_RESOURCE_CIDR: return "cidr";
	case MSG_RESOURCE_INTERNET: return "internet";
	case MSG_RESOURCE_STATIC_DEVICE_POOL: return "static_device_pool";
	case MSG_RESOURCE_DYNAMIC_DEVICE_POOL: return "dynamic_device_pool";
	}
	return NULL;
}

static const char *ip_stack_name(enum msg_ip_stack s)
{
	switch (s) {
	case MSG_STACK_DUAL: return "dual";
	case MSG_STACK_IPV4_ONLY: return "ipv4_only";
	case MSG_STACK_IPV6_ONLY: return "ipv6_only";
	}
	return NULL;
}

static void put_sites(struct json_out *o, enum msg_version v, const struct msg_resource *r)
{
	json_open_array(o, v == MSG_V1 ? "gateway_groups" : "sites");
	for (size_t i = 0; i < r->n_sites; i++) {
		json_open(o, NULL);
		json_put_uuid(o, "id", &r->sites[i].id);
		json_put_str(o, "name", r->sites[i].name);
		json_close(o);
	}
	json_close_array(o);
}

static void put_address(struct json_out *o, const struct msg_resource *r)
{
	if (r->type == MSG_RESOURCE_CIDR)
		json_put_cidr(o, "address", &r->net);
	else
		json_put_str(o, "address", r->address);
}

static void put_host(struct json_out *o, const char *key, const struct ip *ip)
{
	struct cidr net = { *ip, ip->family == 4 ? 32 : 128 };

	json_put_cidr(o, key, &net);
}

static void put_devices(struct json_out *o, const struct msg_resource *r)
{
	json_open_array(o, "devices");
	for (size_t i = 0; i < r->n_devices; i++) {
		json_open(o, NULL);
		json_put_uuid(o, "client_id", &r->devices[i].client_id);
		put_host(o, "ipv4", &r->devices[i].ipv4);
		put_host(o, "ipv6", &r->devices[i].ipv6);
		json_close(o);
	}
	json_close_array(o);
	put_filters(o, r);
}

static void put_client_resource(struct json_out *o, const char *key, enum msg_version v, const struct msg_resource *r)
{
	json_open(o, key);
	json_put_uuid(o, "id", &r->id);
	json_put_str(o, "type", resource_type_name(r->type));
	switch (r->type) {
	case MSG_RESOURCE_DNS:
	case MSG_RESOURCE_CIDR:
		put_sites(o, v, r);
		json_put_str(o, "name", r->name);
		put_address(o, r);
		json_put_str(o, "address_description", r->address_description);
		put_filters(o, r);
		if (r->type == MSG_RESOURCE_DNS)
			json_put_str(o, "ip_stack", ip_stack_name(r->ip_stack));
		break;
	case MSG_RESOURCE_INTERNET:
		put_sites(o, v, r);
		json_put_bool(o, "can_be_disabled", true);
		break;
	case MSG_RESOURCE_STATIC_DEVICE_POOL:
		json_put_str(o, "name", r->name);
		if (r->devices)
			put_devices(o, r);
		break;
	case MSG_RESOURCE_DYNAMIC_DEVICE_POOL:
		json_put_str(o, "name", r->name);
		put_address(o, r);
		break;
	}
	json_close(o);
}

static int put_gateway_resource(struct json_out *o, const char *key, const struct msg_resource *r)
{
	json_open(o, key);
	json_put_uuid(o, "id", &r->id);
	json_put_str(o, "type", resource_type_name(r->type));
	switch (r->type) {
	case MSG_RESOURCE_DNS:
	case MSG_RESOURCE_CIDR:
		json_put_str(o, "name", r->name);
		put_address(o, r);
		put_filters(o, r);
		break;
	case MSG_RESOURCE_INTERNET:
		break;
	case MSG_RESOURCE_STATIC_DEVICE_POOL:
	case MSG_RESOURCE_DYNAMIC_DEVICE_POOL:
		return ERR_INVAL;
	}
	json_close(o);
	return 0;
}

static void put_relay(struct json_out *o, const struct msg_relay *r, const struct endpoint *ep)
{
	if (ep->ip.family == 0)
		return;
	json_open(o, NULL);
	json_put_uuid(o, "id", &r->id);
	json_put_str(o, "type", "turn");
	json_put_endpoint(o, "addr", ep);
	json_put_str(o, "username", r->username);
	json_put_str(o, "password", r->password);
	json_put_u64(o, "expires_at", r->expires_at);
	json_close(o);
}

/* Both entries of a relay side by side, IPv4 first: peers of the pin merge neighbours only (spec 10 §6). */
static void put_relays(struct json_out *o, const char *key, const struct msg_relays *relays)
{
	json_open_array(o, key);
	for (size_t i = 0; i < relays->n; i++) {
		put_relay(o, &relays->relay[i], &relays->relay[i].v4);
		put_relay(o, &relays->relay[i], &relays->relay[i].v6);
	}
	json_close_array(o);
}

static void put_client_interface(struct json_out *o, const char *key, const struct msg_interface *in)
{
	json_open(o, key);
	json_put_ip(o, "ipv4", &in->ipv4);
	json_put_ip(o, "ipv6", &in->ipv6);
	json_put_str(o, "search_domain", in->search_domain);
	json_open_array(o, "upstream_do53");
	for (size_t i = 0; i < in->n_upstream_do53; i++) {
		json_open(o, NULL);
		json_put_ip(o, "ip", &in->upstream_do53[i]);
		json_close(o);
	}
	json_close_array(o);
	json_open_array(o, "upstream_doh");
	for (size_t i = 0; i < in->n_upstream_doh; i++) {
		json_open(o, NULL);
		json_put_str(o, "url", in->upstream_doh[i]);
		json_close(o);
	}
	json_close_array(o);
	json_open_array(o, "upstream_dns");
	for (size_t i = 0; i < in->n_upstream_do53; i++) {
		struct endpoint ep = { in->upstream_do53[i], 53 };
		json_open(o, NULL);
		json_put_str(o, "protocol", "ip_port");
		json_put_endpoint(o, "address", &ep);
		json_close(o);
	}
	json_close_array(o);
	json_close(o);
}

static void put_flow_logs(struct json_out *o, struct msg_wire w, const struct msg_flow_logs *f)
{
	if (w.version == MSG_V1)
		return;
	json_open(o, "flow_logs");
	json_put_str(o, "api_url", f->api_url ? f->api_url : "");
	json_put_u64(o, "upload_interval_secs", f->upload_interval_secs);
	json_put_u64(o, "upload_batch_size", f->upload_batch_size);
	json_close(o);
}

/* v2 peers discard an authorization without the token, so one must be there. */
static int put_authorization_tail(struct json_out *o, struct msg_wire w, const char *ingest_token)
{
	if (w.version == MSG_V1)
		return 0;
	if (!ingest_token)
		return ERR_INVAL;
	json_put_str(o, "flow_logs_ingest_token", ingest_token);
	json_put_bool(o, "use_iceless", false);
	return 0;
}

static void put_access(struct json_out *o, const struct msg_access *a, bool has_expiry)
{
	json_put_uuid(o, "client_id", &a->client_id);
	json_put_uuid(o, "resource_id", &a->resource_id);
	if (has_expiry)
		json_put_u64(o, "expires_at", a->expires_at);
}

static void put_accesses(struct json_out *o, const struct msg_access *a, size_t n)
{
	json_open_array(o, "authorizations");
	for (size_t i = 0; i < n; i++) {
		json_open(o, NULL);
		put_access(o, &a[i], true);
		json_close(o);
	}
	json_close_array(o);
}

static void put_init_client(struct json_out *o, struct msg_wire w, const struct msg_init_client *m)
{
	put_client_interface(o, "interface", &m->interface);
	json_open_array(o, "resources");
	for (size_t i = 0; i < m->n_resources; i++)
		put_client_resource(o, NULL, w.version, &m->resources[i]);
	json_close_array(o);
	put_relays(o, "relays", &m->relays);
	if (w.version == MSG_V2)
		put_accesses(o, m->authorizations, m->n_authorizations);
	put_flow_logs(o, w, &m->flow_logs);
}

static void put_init_gateway(struct json_out *o, struct msg_wire w, const struct msg_init_gateway *m)
{
	json_open(o, "interface");
	json_put_ip(o, "ipv4", &m->interface.ipv4);
	json_put_ip(o, "ipv6", &m->interface.ipv6);
	json_close(o);
	json_open(o, "config");
	json_put_bool(o, "ipv4_masquerade_enabled", m->ipv4_masquerade_enabled);
	json_put_bool(o, "ipv6_masquerade_enabled", m->ipv6_masquerade_enabled);
	json_close(o);
	put_relays(o, "relays", &m->relays);
	if (m->account_slug)
		json_put_str(o, "account_slug", m->account_slug);
	put_accesses(o, m->authorizations, m->n_authorizations);
	put_flow_logs(o, w, &m->flow_logs);
	if (m->report_interval_secs) {
		json_open(o, "emberbox");
		json_put_u64(o, "report_interval_secs", m->report_interval_secs);
		json_close(o);
	}
}

static int put_flow_created(struct json_out *o, struct msg_wire w, const struct msg_flow_created *m)
{
	json_put_uuid(o, "resource_id", &m->resource_id);
	json_put_uuid(o, "gateway_id", &m->gateway_id);
	put_key(o, "gateway_public_key", m->gateway_public_key);
	json_put_ip(o, "gateway_ipv4", &m->gateway_ipv4);
	json_put_ip(o, "gateway_ipv6", &m->gateway_ipv6);
	json_put_uuid(o, w.version == MSG_V1 ? "gateway_group_id" : "site_id", &m->site_id);
	put_key(o, "preshared_key", m->preshared_key);
	put_ice(o, "client_ice_credentials", &m->client_ice);
	put_ice(o, "gateway_ice_credentials", &m->gateway_ice);
	return put_authorization_tail(o, w, m->flow_logs_ingest_token);
}

static void put_flow_creation_failed(struct json_out *o, const struct msg_flow_creation_failed *m)
{
	json_put_uuid(o, "resource_id", &m->resource_id);
	json_put_str(o, "reason", msg_reason_name(m->reason));
	put_strings(o, "violated_properties", m->violated_properties, m->n_violated_properties);
}

static void put_id_and_filters(struct json_out *o, const char *key, const struct msg_resource *r)
{
	json_open(o, key);
	json_put_uuid(o, "id", &r->id);
	put_filters(o, r);
	json_close(o);
}

static const char *expiry_of_device(struct msg_wire w)
{
	return w.version == MSG_V1 ? "authorization_expires_at" : "expires_at";
}

static void put_denied(struct json_out *o, const struct msg_device_access_denied *m)
{
	if (!uuid_is_null(&m->client_id))
		json_put_uuid(o, "client_id", &m->client_id);
	if (!uuid_is_null(&m->resource_id))
		json_put_uuid(o, "resource_id", &m->resource_id);
	if (m->ipv4.family)
		json_put_ip(o, "ipv4", &m->ipv4);
	if (m->ipv6.family)
		json_put_ip(o, "ipv6", &m->ipv6);
	json_put_str(o, "reason", msg_reason_name(m->reason));
}

static int put_device_access(struct json_out *o, struct msg_wire w, const struct msg_device_access_authorized *m)
{
	json_put_uuid(o, "client_id", &m->client_id);
	put_key(o, "client_public_key", m->client_public_key);
	json_put_ip(o, "client_ipv4", &m->client_ipv4);
	json_put_ip(o, "client_ipv6", &m->client_ipv6);
	put_key(o, "preshared_key", m->preshared_key);
	put_ice(o, "local_ice_credentials", &m->local_ice);
	put_ice(o, "remote_ice_credentials", &m->remote_ice);
	json_put_str(o, "ice_role", m->is_controlling ? "controlling" : "controlled");
	if (m->client_name)
		json_put_str(o, "client_name", m->client_name);
	if (m->n_client_fqdns > 0)
		put_strings(o, "client_fqdns", m->client_fqdns, m->n_client_fqdns);
	if (m->has_resource)
		put_id_and_filters(o, "resource", &m->resource);
	if (m->expires_at)
		json_put_u64(o, expiry_of_device(w), m->expires_at);
	return put_authorization_tail(o, w, m->flow_logs_ingest_token);
}

static int put_authorize_flow(struct json_out *o, struct msg_wire w, const struct msg_authorize_flow *m)
{
	json_put_str(o, "ref", m->ref);
	int rc = put_gateway_resource(o, "resource", &m->resource);
	if (rc)
		return rc;
	if (m->expires_at == MSG_NEVER_EXPIRES)
		json_put_null(o, "expires_at");
	else
		json_put_u64(o, "expires_at", m->expires_at);
	json_open(o, "client");
	json_put_uuid(o, "id", &m->client.id);
	put_key(o, "public_key", m->client.public_key);
	put_key(o, "preshared_key", m->client.preshared_key);
	json_put_ip(o, "ipv4", &m->client.ipv4);
	json_put_ip(o, "ipv6", &m->client.ipv6);
	json_put_str(o, "version", m->client.version);
	json_put_str(o, "device_os_name", m->client.device_os_name);
	json_put_str(o, "device_os_version", m->client.device_os_version);
	json_put_str(o, "device_serial", m->client.device_serial);
	json_put_str(o, "device_uuid", m->client.device_uuid);
	json_put_str(o, "identifier_for_vendor", m->client.identifier_for_vendor);
	json_put_str(o, "firebase_installation_id", m->client.firebase_installation_id);
	json_close(o);
	json_open(o, "subject");
	json_put_str(o, "auth_provider_id", m->subject.auth_provider_id);
	json_put_str(o, "actor_name", m->subject.actor_name);
	json_put_str(o, "actor_id", m->subject.actor_id);
	json_put_str(o, "actor_email", m->subject.actor_email);
	json_close(o);
	put_ice(o, "client_ice_credentials", &m->client_ice);
	put_ice(o, "gateway_ice_credentials", &m->gateway_ice);
	return put_authorization_tail(o, w, m->flow_logs_ingest_token);
}

static void put_create_flow(struct json_out *o, const struct msg_create_flow *m)
{
	json_put_uuid(o, "resource_id", &m->resource_id);
	put_ids(o, "connected_gateway_ids", &m->connected_gateways);
	if (m->ipv4.family)
		json_put_ip(o, "ipv4", &m->ipv4);
	if (m->ipv6.family)
		json_put_ip(o, "ipv6", &m->ipv6);
}

static void put_connections(struct json_out *o, const struct msg_connections_report *m)
{
	json_open_array(o, "connections");
	for (size_t i = 0; i < m->n; i++) {
		const struct msg_connection *c = &m->connections[i];
		json_open(o, NULL);
		json_put_uuid(o, "client_id", &c->client_id);
		json_put_str(o, "path", msg_path_name(c->path));
		if (c->has_rtt)
			json_put_u64(o, "rtt_ms", c->rtt_ms);
		json_put_u64(o, "rx_bytes", c->rx_bytes);
		json_put_u64(o, "tx_bytes", c->tx_bytes);
		json_close(o);
	}
	json_close_array(o);
}

/* Payloads that are objects, between their braces. */
static int put_members(struct json_out *o, struct msg_wire w, const struct portal_message *m)
{
	switch (m->type) {
	case MSG_INIT_CLIENT:
		put_init_client(o, w, &m->init_client);
		return 0;
	case MSG_INIT_GATEWAY:
		put_init_gateway(o, w, &m->init_gateway);
		return 0;
	case MSG_INIT_RELAY:
	case MSG_NO_RELAYS:
		return 0;
	case MSG_CONFIG_CHANGED:
		put_client_interface(o, "interface", &m->config_changed);
		return 0;
	case MSG_RELAYS_PRESENCE:
		put_ids(o, "disconnected_ids", &m->relays_presence.disconnected);
		put_relays(o, "connected", &m->relays_presence.connected);
		return 0;
	case MSG_FLOW_CREATED:
		return put_flow_created(o, w, &m->flow_created);
	case MSG_FLOW_CREATION_FAILED:
		put_flow_creation_failed(o, &m->flow_creation_failed);
		return 0;
	case MSG_GATEWAY_ICE_CANDIDATES:
	case MSG_GATEWAY_ICE_INVALIDATED:
	case MSG_NEW_GATEWAY_ICE_CANDIDATES:
	case MSG_INVALIDATE_GATEWAY_ICE_CANDIDATES:
		json_put_uuid(o, "gateway_id", &m->candidates.id);
		put_candidates(o, &m->candidates.candidates);
		return 0;
	case MSG_CLIENT_ICE_CANDIDATES:
	case MSG_CLIENT_ICE_INVALIDATED:
	case MSG_NEW_CLIENT_ICE_CANDIDATES:
	case MSG_INVALIDATE_CLIENT_ICE_CANDIDATES:
		json_put_uuid(o, "client_id", &m->candidates.id);
		put_candidates(o, &m->candidates.candidates);
		return 0;
	case MSG_CLIENT_ICE_CANDIDATE_ERROR:
		json_put_uuid(o, "client_id", &m->candidate_error.client_id);
		json_put_str(o, "reason", msg_reason_name(m->candidate_error.reason));
		return 0;
	case MSG_CLIENT_DEVICE_ACCESS_AUTHORIZED:
		return put_device_access(o, w, &m->device_access_authorized);
	case MSG_CLIENT_DEVICE_ACCESS_DENIED:
		put_denied(o, &m->device_access_denied);
		return 0;
	case MSG_AUTHORIZE_FLOW:
		return put_authorize_flow(o, w, &m->authorize_flow);
	case MSG_REJECT_ACCESS:
		put_access(o, &m->access, false);
		return 0;
	case MSG_ACCESS_AUTHORIZATION_EXPIRY_UPDATED:
		put_access(o, &m->access, true);
		return 0;
	case MSG_CREATE_FLOW:
		put_create_flow(o, &m->create_flow);
		return 0;
	case MSG_REQUEST_DEVICE_ACCESS:
		json_put_ip(o, "ipv4", &m->ipv4);
		return 0;
	case MSG_BROADCAST_ICE_CANDIDATES:
	case MSG_BROADCAST_INVALIDATED_ICE_CANDIDATES:
		put_ids(o, w.role == MSG_ROLE_GATEWAY ? "client_ids" : "gateway_ids", &m->broadcast.ids);
		put_candidates(o, &m->broadcast.candidates);
		return 0;
	case MSG_FLOW_AUTHORIZED:
		json_put_str(o, "ref", m->flow_authorized.ref);
		return 0;
	case MSG_SET_SNOWNET_CAPABILITIES:
		json_put_bool(o, "iceless", m->capabilities.iceless);
		return 0;
	case MSG_CONNECTIONS_REPORT:
		put_connections(o, &m->connections_report);
		return 0;
	case MSG_RESOURCE_CREATED_OR_UPDATED: /* not wrapped in braces of ours */
	case MSG_RESOURCE_UPDATED:
	case MSG_RESOURCE_FILTERS_UPDATED:
	case MSG_RESOURCE_DELETED:
	case MSG_TYPE_COUNT:
		break;
	}
	return ERR_INVAL;
}

int msg_encode(struct msg_wire w, const struct portal_message *m, struct json_out *o, const char *key)
{
	int rc = 0;

	if (!msg_event(w, m->type))
		return ERR_INVAL;
	if (m->type == MSG_RESOURCE_CREATED_OR_UPDATED) {
		put_client_resource(o, key, w.version, &m->resource);
	} else if (m->type == MSG_RESOURCE_UPDATED) {
		rc = put_gateway_resource(o, key, &m->resource);
	} else if (m->type == MSG_RESOURCE_FILTERS_UPDATED) {
		put_id_and_filters(o, key, &m->resource);
	} else if (m->type == MSG_RESOURCE_DELETED) {
		json_put_uuid(o, key, &m->id);
	} else {
		json_open(o, key);
		rc = put_members(o, w, m);
		json_close(o);
	}
	return rc ? rc : o->err;
}
