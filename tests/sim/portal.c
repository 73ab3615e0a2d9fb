#include "tests/sim/names.h"

#include "core/base/encode.h"
#include "core/base/err.h"
#include "core/json/json.h"
#include "core/phoenix/server.h"

#include <stdio.h>
#include <stdlib.h>

static const struct uuid client_id = { { 0xc1 } }, gateway_id = { { 0x6a } }, site_id = { { 0x51 } };

/* --- the oracle ----------------------------------------------------------------------------------------------------------------------- */

static bool lies_in(const struct cidr *net, const struct ip *ip)
{
	if (net->ip.family != ip->family)
		return false;
	for (unsigned i = 0; i < net->len; i++)
		if ((net->ip.b[i / 8] ^ ip->b[i / 8]) >> (7 - i % 8) & 1)
			return false;
	return true;
}

bool sim_filter_allows(const struct msg_filter *f, size_t n, u8 proto, u16 port)
{
	bool allows = n == 0;
	for (size_t i = 0; i < n; i++) {
		if (f[i].protocol == MSG_ICMP)
			allows |= proto == 1 || proto == 58;
		else
			allows |= proto == (f[i].protocol == MSG_TCP ? 6 : 17) && port >= f[i].port_start && port <= f[i].port_end;
	}
	return allows;
}

bool sim_gateway_may(const struct world *w, const struct ip *ip, u8 proto, u16 port)
{
	for (size_t i = 0; i < w->portal.n_resources; i++) {
		const struct sim_resource *r = &w->portal.resources[i];
		if (!r->at_gateway || sim_wall(w) >= SEC(r->gateway_expires_at) + SEC(1))
			continue;
		if (r->type == MSG_RESOURCE_INTERNET && ip->b[0] != 10)
			return true;
		if (r->type == MSG_RESOURCE_CIDR && lies_in(&r->net, ip) && sim_filter_allows(r->gateway_filters, r->n_gateway_filters, proto, port))
			return true;
	}
	return false;
}

bool sim_client_may(const struct world *w, const struct ip *ip)
{
	for (size_t i = 0; i < w->portal.n_resources; i++) {
		const struct sim_resource *r = &w->portal.resources[i];
		if (r->at_client && (r->type == MSG_RESOURCE_INTERNET || (r->type == MSG_RESOURCE_CIDR && lies_in(&r->net, ip))))
			return true;
	}
	return false;
}

/* --- the wire -------------------------------------------------------------------------------------------------------------------------- */

static struct msg_wire wire(bool client, enum msg_dir dir)
{
	return (struct msg_wire){ client ? MSG_ROLE_CLIENT : MSG_ROLE_GATEWAY, dir, MSG_V1 };
}

/* Through the codecs, as text, in order. */
static void push(struct world *w, bool to_client, const struct portal_message *m)
{
	struct sim_portal *p = &w->portal;
	struct msg_wire to = wire(to_client, MSG_TO_PEER);
	struct json_out o = JSON_OUT;

	if (!(to_client ? p->client_is_up : p->gateway_is_up))
		return;
	if (msg_encode(to, m, &o, NULL)) {
		sim_fail(w, "cannot encode %s", msg_type_name(m->type));
		json_out_free(&o);
		return;
	}
	struct sim_message *q = calloc(1, sizeof(*q));
	q->at = MAX(p->last_at[to_client], w->now + p->latency);
	p->last_at[to_client] = q->at;
	q->is_to_client = to_client;
	q->event = msg_event(to, m->type);
	q->text = strndup(o.buf, o.len);
	json_out_free(&o);
	*p->last = q;
	p->last = &q->next;
}

static void message_free(struct sim_message *q)
{
	free(q->text);
	free(q);
}

static int decode(struct world *w, struct msg_wire from, const char *event, const char *text, struct portal_message *out)
{
	struct json_get why = JSON_GET;
	struct cJSON *root = NULL;
	int rc = json_parse(SPAN(text, strlen(text)), NULL, &root);
	if (!rc)
		rc = msg_decode(from, event, root, out, &why);
	json_free(root);
	if (rc)
		sim_fail(w, "cannot decode %s: %s", event, text);
	return rc;
}

/* --- what is told ------------------------------------------------------------------------------------------------------------------------ */

static struct msg_resource describe(const struct sim_resource *r, bool to_client)
{
	static char address[CIDR_STRLEN];
	static const struct msg_site site = { { { 0x51 } }, "site" };
	struct msg_resource m = { .type = r->type, .id = r->id, .name = r->type == MSG_RESOURCE_INTERNET ? "Internet Resource" : "lab" };
	m.net = r->net;
	m.address = r->type == MSG_RESOURCE_CIDR ? cidr_format(&r->net, address) : r->type == MSG_RESOURCE_DNS ? r->pattern : "";
	m.ip_stack = r->stack;
	m.sites = &site;
	m.n_sites = 1;
	if (!to_client || !r->hides_filters) {
		m.filters = r->filters;
		m.n_filters = r->n_filters;
	}
	return m;
}

static size_t describe_relays(struct world *w, bool to_client, const struct sim_relay *only, struct msg_relay *out,
			      char user[][PHX_TURN_USERNAME_STRLEN], char password[][PHX_TURN_PASSWORD_STRLEN])
{
	size_t n = 0;
	for (unsigned i = 0; i < SIM_RELAYS; i++) {
		struct sim_relay *r = &w->relays[i];
		if (!r->is_announced || (only && only != r))
			continue;
		phx_derive_turn(to_client ? w->portal.client_key : w->portal.gateway_key, PHX_GATEWAY_TURN_EXPIRY, r->secret, user[n], password[n]);
		out[n] = (struct msg_relay){ .id = r->id, .username = user[n], .password = password[n], .expires_at = PHX_GATEWAY_TURN_EXPIRY };
		if (r->v4.family)
			out[n].v4 = (struct endpoint){ r->v4, TURN_PORT };
		if (r->v6.family)
			out[n].v6 = (struct endpoint){ r->v6, TURN_PORT };
		n++;
	}
	return n;
}

static void tell_relays(struct world *w, bool to_client, const struct uuid *gone, const struct sim_relay *only)
{
	struct msg_relay relays[SIM_RELAYS];
	char user[SIM_RELAYS][PHX_TURN_USERNAME_STRLEN], password[SIM_RELAYS][PHX_TURN_PASSWORD_STRLEN];
	struct portal_message m = { .type = MSG_RELAYS_PRESENCE };
	m.relays_presence.connected = (struct msg_relays){ relays, describe_relays(w, to_client, only, relays, user, password) };
	m.relays_presence.disconnected = (struct msg_ids){ gone, gone ? 1 : 0 };
	push(w, to_client, &m);
}

void sim_portal_announce_relays(struct world *w, const struct uuid *gone, const struct sim_relay *came)
{
	tell_relays(w, true, gone, came);
	tell_relays(w, false, gone, came);
}

struct ip sim_tunnel_ip(bool client, u8 family)
{
	struct ip ip = family == 4 ? ip4(100, 64, 0, client ? 7 : 1) : net_peers6.ip;
	if (family == 6)
		ip.b[15] = client ? 7 : 1;
	return ip;
}

static void tell_init(struct world *w, bool to_client)
{
	struct sim_portal *p = &w->portal;
	struct msg_relay relays[SIM_RELAYS];
	char user[SIM_RELAYS][PHX_TURN_USERNAME_STRLEN], password[SIM_RELAYS][PHX_TURN_PASSWORD_STRLEN];
	struct msg_resource resources[SIM_RESOURCES];
	struct msg_access access[SIM_RESOURCES];
	static char texts[SIM_RESOURCES][CIDR_STRLEN];
	struct portal_message m = { .type = to_client ? MSG_INIT_CLIENT : MSG_INIT_GATEWAY };
	struct msg_relays list = { relays, describe_relays(w, to_client, NULL, relays, user, password) };
	struct msg_interface interface = { .ipv4 = sim_tunnel_ip(to_client, 4), .ipv6 = sim_tunnel_ip(to_client, 6) };
	size_t n = 0;

	for (size_t i = 0; i < p->n_resources; i++) {
		const struct sim_resource *r = &p->resources[i];
		if (to_client && r->is_granted) {
			resources[n] = describe(r, true);
			resources[n].address = memcpy(texts[i], resources[n].address, strlen(resources[n].address) + 1);
			n++;
		} else if (!to_client && r->is_granted && r->is_authorized) {
			access[n++] = (struct msg_access){ client_id, r->id, r->expires_at };
		}
	}
	if (to_client)
		m.init_client = (struct msg_init_client){ .interface = interface, .relays = list, .resources = resources, .n_resources = n };
	else
		m.init_gateway = (struct msg_init_gateway){ .interface = interface, .relays = list, .authorizations = access,
							    .n_authorizations = n, .account_slug = "lab" };
	push(w, to_client, &m);
}

static void tell_access(struct world *w, enum msg_type type, const struct sim_resource *r)
{
	struct portal_message m = { .type = type };
	m.access = (struct msg_access){ client_id, r->id, r->expires_at };
	push(w, false, &m);
}

static void tell_resource(struct world *w, bool to_client, const struct sim_resource *r)
{
	struct portal_message m = { .type = to_client ? MSG_RESOURCE_CREATED_OR_UPDATED : MSG_RESOURCE_UPDATED };
	m.resource = describe(r, to_client);
	push(w, to_client, &m);
}

void sim_portal_grant(struct world *w, struct sim_resource *r)
{
	r->is_granted = true;
	r->is_authorized = false;
	r->expires_at = sim_wall(w) / NSEC_PER_SEC + 3600;
	tell_resource(w, true, r);
}

void sim_portal_revoke(struct world *w, struct sim_resource *r)
{
	struct portal_message m = { .type = MSG_RESOURCE_DELETED, .id = r->id };
	r->is_granted = r->is_authorized = false;
	tell_access(w, MSG_REJECT_ACCESS, r);
	push(w, true, &m);
}

void sim_portal_change_filters(struct world *w, struct sim_resource *r)
{
	tell_resource(w, false, r);
	tell_resource(w, true, r);
}

/* --- what it hears ------------------------------------------------------------------------------------------------------------------------ */

static struct sim_resource *find(struct world *w, const struct uuid *id)
{
	for (size_t i = 0; i < w->portal.n_resources; i++)
		if (uuid_eq(&w->portal.resources[i].id, id))
			return &w->portal.resources[i];
	return NULL;
}

static void refuse(struct world *w, const struct uuid *resource, enum msg_reason reason)
{
	struct portal_message m = { .type = MSG_FLOW_CREATION_FAILED };
	m.flow_creation_failed = (struct msg_flow_creation_failed){ .resource_id = *resource, .reason = reason };
	push(w, true, &m);
}

static void credentials(struct world *w, struct phx_ice *ice, u8 psk[static 32])
{
	char c[UUID_STRLEN], g[UUID_STRLEN];
	uuid_format(&client_id, c);
	uuid_format(&gateway_id, g);
	phx_derive_ice(c, w->portal.client_key, g, w->portal.gateway_key, ice);
	phx_derive_psk(false, SPAN_STR("base of the client"), SPAN_STR("base of the gateway"), c, g, w->portal.client_key, w->portal.gateway_key, psk);
}

static void on_create_flow(struct world *w, const struct uuid *resource)
{
	struct sim_portal *p = &w->portal;
	struct sim_resource *r = find(w, resource);
	struct portal_message m = { .type = MSG_AUTHORIZE_FLOW };
	struct phx_ice ice;
	char ref[16];

	if (!r || !r->is_granted) {
		refuse(w, resource, MSG_REASON_NOT_FOUND);
		return;
	}
	if (!p->gateway_is_up) {
		refuse(w, resource, MSG_REASON_OFFLINE);
		return;
	}
	u32 n = p->next_ref++;
	p->flows[n % ARRAY_LEN(p->flows)] = (struct sim_flow){ true, *resource };
	(void)snprintf(ref, sizeof(ref), "%u", n);
	credentials(w, &ice, m.authorize_flow.client.preshared_key);
	m.authorize_flow.ref = ref;
	m.authorize_flow.resource = describe(r, false);
	m.authorize_flow.client.id = client_id;
	memcpy(m.authorize_flow.client.public_key, p->client_public, MSG_KEY);
	m.authorize_flow.client.ipv4 = sim_tunnel_ip(true, 4);
	m.authorize_flow.client.ipv6 = sim_tunnel_ip(true, 6);
	m.authorize_flow.client_ice = (struct msg_ice){ ice.initiator_username, ice.initiator_password };
	m.authorize_flow.gateway_ice = (struct msg_ice){ ice.receiver_username, ice.receiver_password };
	m.authorize_flow.expires_at = r->expires_at;
	r->is_authorized = true; /* the row is written before the gateway answers */
	push(w, false, &m);
}

static void on_flow_authorized(struct world *w, const char *ref)
{
	struct sim_flow *f = &w->portal.flows[strtoul(ref, NULL, 10) % ARRAY_LEN(w->portal.flows)];
	struct portal_message m = { .type = MSG_FLOW_CREATED };
	struct phx_ice ice;

	if (!f->is_open)
		return;
	f->is_open = false;
	credentials(w, &ice, m.flow_created.preshared_key);
	m.flow_created.resource_id = f->resource;
	m.flow_created.gateway_id = gateway_id;
	m.flow_created.site_id = site_id;
	memcpy(m.flow_created.gateway_public_key, w->portal.gateway_public, MSG_KEY);
	m.flow_created.gateway_ipv4 = sim_tunnel_ip(false, 4);
	m.flow_created.gateway_ipv6 = sim_tunnel_ip(false, 6);
	m.flow_created.client_ice = (struct msg_ice){ ice.initiator_username, ice.initiator_password };
	m.flow_created.gateway_ice = (struct msg_ice){ ice.receiver_username, ice.receiver_password };
	push(w, true, &m);
}

static void forward(struct world *w, bool to_client, enum msg_type type, const struct msg_candidates *list)
{
	struct portal_message m = { .type = type };
	m.candidates = (struct msg_ice_candidates){ to_client ? gateway_id : client_id, *list };
	push(w, to_client, &m);
}

static void hear(struct world *w, bool from_client, const struct portal_message *m)
{
	switch (m->type) {
	case MSG_CREATE_FLOW:
		on_create_flow(w, &m->create_flow.resource_id);
		break;
	case MSG_FLOW_AUTHORIZED:
		on_flow_authorized(w, m->flow_authorized.ref);
		break;
	case MSG_NO_RELAYS:
		tell_relays(w, from_client, NULL, NULL);
		break;
	case MSG_NEW_GATEWAY_ICE_CANDIDATES:
		forward(w, false, MSG_CLIENT_ICE_CANDIDATES, &m->candidates.candidates);
		break;
	case MSG_INVALIDATE_GATEWAY_ICE_CANDIDATES:
		forward(w, false, MSG_CLIENT_ICE_INVALIDATED, &m->candidates.candidates);
		break;
	case MSG_BROADCAST_ICE_CANDIDATES:
		forward(w, true, MSG_GATEWAY_ICE_CANDIDATES, &m->broadcast.candidates);
		break;
	case MSG_BROADCAST_INVALIDATED_ICE_CANDIDATES:
		forward(w, true, MSG_GATEWAY_ICE_INVALIDATED, &m->broadcast.candidates);
		break;
	default:
		sim_fail(w, "the portal does not expect %s", msg_type_name(m->type));
	}
}

/* The way up costs the same latency; it is folded into the way down. */
void sim_portal_take(struct world *w, bool from_client, const struct portal_message *m)
{
	struct sim_portal *p = &w->portal;
	struct msg_wire from = wire(from_client, MSG_TO_PORTAL);
	struct json_out o = JSON_OUT;
	struct portal_message copy;

	if (!(from_client ? p->client_is_up : p->gateway_is_up))
		return;
	if (msg_encode(from, m, &o, NULL)) {
		sim_fail(w, "cannot encode %s", msg_type_name(m->type));
	} else {
		char *text = strndup(o.buf, o.len);
		if (decode(w, from, msg_event(from, m->type), text, &copy) == 0) {
			hear(w, from_client, &copy);
			msg_free(&copy);
		}
		free(text);
	}
	json_out_free(&o);
}

/* --- connections ---------------------------------------------------------------------------------------------------------------------------- */

void sim_portal_disconnect(struct world *w, bool client, u64 up_at)
{
	struct sim_portal *p = &w->portal;
	struct sim_message **link = &p->queue;

	while (*link) {
		struct sim_message *q = *link;
		if (q->is_to_client == client) {
			*link = q->next;
			message_free(q);
		} else {
			link = &q->next;
		}
	}
	p->last = link;
	for (size_t i = 0; i < ARRAY_LEN(p->flows); i++)
		p->flows[i].is_open = false;
	if (client) {
		p->client_is_up = false;
		p->client_up_at = up_at;
		client_portal_lost(w->client);
	} else {
		p->gateway_is_up = false;
		p->gateway_up_at = up_at;
		gateway_portal_lost(w->gateway);
	}
}

static void connect_back(struct world *w, bool client)
{
	struct sim_portal *p = &w->portal;

	if (client) {
		client_public_key(w->client, p->client_public);
		base64_encode(p->client_key, sizeof(p->client_key), SPAN(p->client_public, 32));
		p->client_is_up = true;
		p->client_up_at = TIME_NEVER;
	} else {
		gateway_public_key(w->gateway, p->gateway_public);
		base64_encode(p->gateway_key, sizeof(p->gateway_key), SPAN(p->gateway_public, 32));
		p->gateway_is_up = true;
		p->gateway_up_at = TIME_NEVER;
	}
	tell_init(w, client);
}

static void note_at_client(struct world *w, struct sim_resource *r, const struct msg_resource *m)
{
	bool is_other = r->at_client != (m != NULL) || (m && r->client_stack != m->ip_stack);

	r->at_client = m != NULL;
	if (m)
		r->client_stack = m->ip_stack;
	if (w->names && is_other)
		sim_names_told(w, r);
}

static void note_filters(struct sim_resource *r, const struct msg_resource *m)
{
	r->n_gateway_filters = m->n_filters;
	for (size_t i = 0; i < m->n_filters; i++)
		r->gateway_filters[i] = m->filters[i];
}

/* Brings the oracle to what the receiver knows from this message on. */
static void note_told(struct world *w, bool client, const struct portal_message *m)
{
	struct sim_portal *p = &w->portal;
	struct sim_resource *r;

	switch (m->type) {
	case MSG_INIT_CLIENT:
	case MSG_INIT_GATEWAY:
		for (size_t i = 0; i < p->n_resources; i++) {
			bool is_listed = false;
			const struct msg_resource *listed = NULL;
			r = &p->resources[i];
			for (size_t k = 0; client && k < m->init_client.n_resources; k++)
				if (uuid_eq(&m->init_client.resources[k].id, &r->id))
					listed = &m->init_client.resources[k];
			for (size_t k = 0; !client && k < m->init_gateway.n_authorizations; k++)
				if (uuid_eq(&m->init_gateway.authorizations[k].resource_id, &r->id)) {
					is_listed = true;
					r->gateway_expires_at = m->init_gateway.authorizations[k].expires_at;
				}
			if (client)
				note_at_client(w, r, listed);
			else
				r->at_gateway &= is_listed;
		}
		break;
	case MSG_RESOURCE_CREATED_OR_UPDATED:
		if ((r = find(w, &m->resource.id)))
			note_at_client(w, r, &m->resource);
		break;
	case MSG_RESOURCE_DELETED:
		if ((r = find(w, &m->id)))
			note_at_client(w, r, NULL);
		break;
	case MSG_AUTHORIZE_FLOW:
		if ((r = find(w, &m->authorize_flow.resource.id))) {
			r->at_gateway = true;
			note_filters(r, &m->authorize_flow.resource);
			r->gateway_expires_at = m->authorize_flow.expires_at;
		}
		break;
	case MSG_RESOURCE_UPDATED:
		if ((r = find(w, &m->resource.id)))
			note_filters(r, &m->resource);
		break;
	case MSG_REJECT_ACCESS:
		if ((r = find(w, &m->access.resource_id)))
			r->at_gateway = false;
		break;
	case MSG_ACCESS_AUTHORIZATION_EXPIRY_UPDATED:
		if ((r = find(w, &m->access.resource_id)))
			r->gateway_expires_at = m->access.expires_at;
		break;
	default:
		break;
	}
}

u64 sim_portal_next(const struct world *w)
{
	u64 next = time_min(w->portal.client_up_at, w->portal.gateway_up_at);
	for (const struct sim_message *q = w->portal.queue; q; q = q->next)
		next = time_min(next, q->at);
	return next;
}

void sim_portal_turn(struct world *w)
{
	struct sim_portal *p = &w->portal;
	struct portal_message m;

	if (w->now >= p->client_up_at)
		connect_back(w, true);
	if (w->now >= p->gateway_up_at)
		connect_back(w, false);
	for (struct sim_message **link = &p->queue; *link;) {
		struct sim_message *q = *link;
		if (q->at > w->now) {
			link = &q->next;
			continue;
		}
		*link = q->next;
		if (!q->next)
			p->last = link;
		if (decode(w, wire(q->is_to_client, MSG_TO_PEER), q->event, q->text, &m) == 0) {
			note_told(w, q->is_to_client, &m);
			int rc = q->is_to_client ? client_message(w->client, w->now, sim_wall(w), &m) :
						   gateway_message(w->gateway, w->now, sim_wall(w), &m);
			if (rc)
				sim_fail(w, "%s was not accepted: %s", q->event, err_str(rc));
			msg_free(&m);
		}
		message_free(q);
	}
}

void sim_portal_init(struct world *w)
{
	struct sim_portal *p = &w->portal;
	p->last = &p->queue;
	p->client_up_at = p->gateway_up_at = TIME_NEVER;
}

void sim_portal_free(struct world *w)
{
	while (w->portal.queue) {
		struct sim_message *q = w->portal.queue;
		w->portal.queue = q->next;
		message_free(q);
	}
}
