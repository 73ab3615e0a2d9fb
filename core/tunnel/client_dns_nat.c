#define LOG_TARGET "tunnel::client"
#include "core/tunnel/client_state.h"

#include <assert.h>
#include <stdlib.h>

static struct dns_nat *nat_find(const struct stub_record *record, const struct gateway_peer *g, const struct resource *r)
{
	struct dns_nat *n = record->nat;
	while (n && (n->gateway != g || n->resource != r))
		n = n->next_of_record;
	return n;
}

static struct dns_nat *nat_make(struct client *c, struct stub_record *record, struct resource *r)
{
	if (c->n_dns_nat == DNS_NAT_MAX)
		return NULL;
	struct dns_nat *n = calloc(1, sizeof(*n));
	if (!n)
		return NULL;
	*n = (struct dns_nat){ .gateway = r->gateway, .resource = r, .record = record, .state = DNS_NAT_PENDING, .is_buffering = true };
	n->next_of_record = record->nat;
	record->nat = n;
	n->next = c->dns_nat;
	n->link = &c->dns_nat;
	if (n->next)
		n->next->link = &n->next;
	c->dns_nat = n;
	c->n_dns_nat++;
	return n;
}

static void buffer_drop(struct client *c, struct dns_nat *n)
{
	if (!n->packets)
		return;
	client_drop(c, DROP_PENDING_LOST, pending_packets_count(n->packets));
	pending_packets_free(n->packets);
	n->packets = NULL;
}

static void nat_free(struct client *c, struct dns_nat *n)
{
	for (struct dns_nat **link = &n->record->nat; *link; link = &(*link)->next_of_record)
		if (*link == n) {
			*link = n->next_of_record;
			break;
		}
	*n->link = n->next;
	if (n->next)
		n->next->link = n->link;
	buffer_drop(c, n);
	c->n_dns_nat--;
	free(n);
}

void dns_nat_forget(struct client *c, const struct gateway_peer *g, const struct resource *r)
{
	for (struct dns_nat *n = c->dns_nat, *next; n; n = next) {
		next = n->next;
		if ((!g || n->gateway == g) && (!r || n->resource == r))
			nat_free(c, n);
	}
}

/* --- announcing ---------------------------------------------------------------------------------------------------------------------- */

static void announce(struct client *c, struct dns_nat *n)
{
	struct control_assigned m = { .resource = n->resource->id, .n_proxies = 2 * STUB_PROXIES };
	u8 out[TUNNEL_MTU];

	static_assert(2 * STUB_PROXIES <= CONTROL_PROXIES_MAX, "all addresses of a name fit into one message");
	stub_name(n->record, &m.domain);
	stub_proxies(n->record, m.proxies);
	u32 len = control_write_assigned(&m, out);
	n->sent_at = c->now;
	n->was_sent = true;
	if (len > 0 && node_send(c->node, c->now, client_wall(c), &n->gateway->id, SPAN(out, len), ECN_NOT_ECT) == 0)
		c->stats.control_out++;
}

static void announce_if_due(struct client *c, struct dns_nat *n)
{
	if (n->state == DNS_NAT_PENDING && (!n->was_sent || time_since(c->now, n->sent_at) >= DNS_NAT_RESEND))
		announce(c, n);
}

/* A known mapping is made anew, a failed one gets another chance. */
static void recreate(struct dns_nat *n)
{
	switch (n->state) {
	case DNS_NAT_PENDING:
		return;
	case DNS_NAT_CONFIRMED:
		n->is_buffering = false;
		break;
	case DNS_NAT_FAILED:
		n->is_buffering = true;
		break;
	}
	n->state = DNS_NAT_PENDING;
	n->was_sent = false;
}

void dns_nat_query(struct client *c, struct stub_record *record)
{
	for (const struct stub_pair *pair = record->pairs; pair; pair = pair->next) {
		struct resource *r = pair->pattern->owner;
		if (!r || !r->gateway)
			continue;
		struct dns_nat *n = nat_find(record, r->gateway, r);
		if (n)
			recreate(n);
		else
			n = nat_make(c, record, r);
		if (n)
			announce_if_due(c, n);
	}
}

static bool has_owner(const struct stub_record *record, const struct resource *r)
{
	for (const struct stub_pair *pair = record->pairs; pair; pair = pair->next)
		if (pair->pattern->owner == r)
			return true;
	return false;
}

/* --- packets -------------------------------------------------------------------------------------------------------------------------- */

static void buffer_packet(struct client *c, struct dns_nat *n, const u8 *data, const struct packet *p)
{
	if (!n->packets && !(n->packets = pending_packets_new(DNS_NAT_PACKETS))) {
		client_drop(c, DROP_PENDING_LOST, 1);
		return;
	}
	if (pending_packets_add(n->packets, data, p) == PENDING_DISPLACED)
		client_drop(c, DROP_PENDING_FULL, 1);
}

static void send_packet(struct client *c, const struct gateway_peer *g, struct span s, const struct packet *p)
{
	if (node_send(c->node, c->now, client_wall(c), &g->id, s, packet_ecn(p)))
		client_drop(c, DROP_NOT_CONNECTED, 1);
}

/* A packet that waited for the flow: on to the wait for its name. */
static void regroup(struct client *c, struct resource *r, struct span s)
{
	struct packet p;
	bool permits;

	if (packet_parse(s.p, s.n, TUNNEL_MTU, &p))
		return;
	struct stub_record *record = stub_record_of_ip(c->stub, &p.dst);
	bool is_ours = record && stub_route(c->stub, &p.dst, p.kind, p.kind == L4_ECHO ? 0 : p.dst_port, &permits) == r;
	struct dns_nat *n = is_ours ? nat_find(record, r->gateway, r) : NULL;
	if (!n) {
		client_drop(c, DROP_PENDING_LOST, 1);
		return;
	}
	announce_if_due(c, n);
	if (n->state == DNS_NAT_PENDING && n->is_buffering)
		buffer_packet(c, n, s.p, &p);
	else
		send_packet(c, r->gateway, s, &p);
}

void dns_nat_authorized(struct client *c, struct resource *r, struct pending_packets *packets)
{
	struct stub_record *record;
	struct span s;
	u32 announced = 0;

	for (u32 i = 0; (record = stub_record_at(c->stub, i)); i++) {
		if (!has_owner(record, r))
			continue;
		struct dns_nat *n = nat_find(record, r->gateway, r);
		if (n)
			recreate(n); /* authorized anew: the gateway may have forgotten more than the flow */
		else
			n = nat_make(c, record, r);
		if (n && announced < DNS_NAT_EAGER) {
			announce_if_due(c, n);
			announced++;
		}
	}
	while (packets && (s = pending_packets_take(packets)).n > 0)
		regroup(c, r, s);
}

bool dns_nat_takes(struct client *c, struct resource *r, struct segmenter *s)
{
	struct stub_record *record = stub_record_of_ip(c->stub, &s->p.dst);
	struct dns_nat *n = record ? nat_find(record, r->gateway, r) : NULL;
	u8 packet[TUNNEL_MTU];
	struct packet p;
	u32 len;

	if (!n || n->state != DNS_NAT_PENDING)
		return false;
	announce_if_due(c, n);
	if (!n->is_buffering)
		return false;
	while ((len = segment_next_len(s)) > 0) {
		segment_write(s, packet);
		if (packet_parse(packet, len, TUNNEL_MTU, &p) == 0)
			buffer_packet(c, n, packet, &p);
	}
	return true;
}

void dns_nat_status(struct client *c, struct gateway_peer *g, const struct control_status *m)
{
	struct stub_record *record = stub_record_of_name(c->stub, &m->domain);
	struct resource *r = table_get(&c->resources_by_id, &m->resource);
	struct dns_nat *n = record && r ? nat_find(record, g, r) : NULL;
	struct packet p;
	struct span s;

	if (!n) {
		log_debug("status of a name that nobody waits for", kv_uuid("resource", &m->resource));
		return;
	}
	n->state = m->is_active ? DNS_NAT_CONFIRMED : DNS_NAT_FAILED;
	while (m->is_active && n->packets && (s = pending_packets_take(n->packets)).n > 0)
		if (packet_parse(s.p, s.n, TUNNEL_MTU, &p) == 0)
			send_packet(c, g, s, &p);
	buffer_drop(c, n);
}

bool dns_nat_allows(const struct client *c, const struct gateway_peer *g, const struct ip *src)
{
	const struct stub_record *record = stub_record_of_ip(c->stub, src);
	for (const struct dns_nat *n = record ? record->nat : NULL; n; n = n->next_of_record)
		if (n->gateway == g)
			return true;
	return false;
}
