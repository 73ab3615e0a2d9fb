#define LOG_TARGET "tunnel::client"
#include "core/tunnel/client_devices.h"
#include "core/tunnel/client_state.h"

#include "core/tunnel/control.h"

#include <stdlib.h>

/* --- from the TUN (spec 30 §4) ------------------------------------------------------------------------------------------------------ */

/* What the flow cache remembers of a destination. */
enum verdict { TO_NOBODY, TO_RESOURCE, TO_RESOURCE_FILTERED, TO_SENTINEL };

/* Names before networks before the Internet (spec 30 §4.1). A proxy address is never anything else, so one whose resource went away leads nowhere. */
static struct resource *decide(struct client *c, const struct packet *p, u16 port, bool *permits)
{
	*permits = true;
	if (ip_is_proxy(&p->dst))
		return stub_route(c->stub, &p->dst, p->kind, port, permits);
	const struct route *best = routes_lookup(&c->cidrs, &p->dst, p->kind, port, permits);
	if (best)
		return best->owner;
	*permits = true;
	return internet_is_active(c) ? c->internet : NULL;
}

static bool is_sentinel(const struct ip *ip)
{
	return cidr_contains(ip->family == 4 ? &net_sentinels4 : &net_sentinels6, ip);
}

static struct resource *route(struct client *c, const struct packet *p, enum verdict *verdict)
{
	struct flow_key key = { .ip = p->dst, .kind = (u8)p->kind, .port = p->kind == L4_ECHO ? 0 : p->dst_port };
	bool is_hit;
	struct flow_entry *e = flow_cache_get(&c->cache, &key, &is_hit);

	if (!is_hit) {
		bool permits;
		c->stats.lookups++;
		if (is_sentinel(&p->dst)) {
			e->value = NULL;
			e->verdict = (u8)(names_is_sentinel(c->dns, &p->dst) ? TO_SENTINEL : TO_NOBODY);
		} else {
			e->value = decide(c, p, key.port, &permits);
			e->verdict = (u8)(!e->value ? TO_NOBODY : permits ? TO_RESOURCE : TO_RESOURCE_FILTERED);
		}
	}
	*verdict = e->verdict;
	return e->value;
}

/* Asks an application that sent what no filter permits to stop, as the gateway would (spec 30, "what changed", filters). */
static void reply_filtered(struct client *c, struct segmenter *s)
{
	u8 first[TUNNEL_MTU];
	struct packet p;
	u32 len = segment_next_len(s);
	u8 *slot = tun_queue_slot(&c->out);

	if (!slot) {
		client_drop(c, DROP_REPLY_FULL, 1);
		return;
	}
	segment_write(s, first);
	if (packet_parse(first, len, TUNNEL_MTU, &p))
		return;
	tun_queue_push(&c->out, icmp_reply(ICMP_FILTERED, first, &p, slot));
	c->stats.icmp_replies++;
}

/* Each segment as a packet of its own into the buffer of the resource's flow. */
static void buffer_segments(struct client *c, struct resource *r, struct segmenter *s)
{
	u8 packet[TUNNEL_MTU];
	struct packet p;
	u32 len;

	while ((len = segment_next_len(s)) > 0) {
		segment_write(s, packet);
		if (packet_parse(packet, len, TUNNEL_MTU, &p) == 0)
			flow_trigger(c, r, packet, &p);
	}
}

static void send_slowly(struct client *c, u64 wall, const struct uuid *to, struct segmenter *s)
{
	u8 packet[TUNNEL_MTU];
	u32 len;

	while ((len = segment_next_len(s)) > 0) {
		segment_write(s, packet);
		if (node_send(c->node, c->now, wall, to, SPAN(packet, len), packet_ecn(&s->p)))
			client_drop(c, DROP_NOT_CONNECTED, 1);
	}
}

/* ERR_NOT_FOUND when the peer's connection is gone and nothing was sent. */
static int encapsulate(struct client *c, u64 wall, const struct uuid *to, struct segmenter *s)
{
	struct node_stage stage;
	u32 len;
	int rc = node_stage_open(c->node, c->now, to, packet_ecn(&s->p), &stage);

	if (rc == ERR_NOT_FOUND)
		return rc;
	if (rc) {
		send_slowly(c, wall, to, s);
		return 0;
	}
	while ((len = segment_next_len(s)) > 0) {
		u8 *slot = node_stage_slot(c->node, &stage, len);
		if (!slot) {
			client_drop(c, DROP_STAGE_FULL, 1);
			return 0;
		}
		segment_write(s, slot);
		c->stats.tun_rx_segments++;
	}
	return 0;
}

static void to_resource(struct client *c, u64 wall, struct segmenter *s)
{
	enum verdict verdict;
	struct resource *r = route(c, &s->p, &verdict);

	if (!r) {
		if (verdict == TO_SENTINEL)
			names_input(c, s);
		else
			client_drop(c, DROP_NO_ROUTE, 1);
		return;
	}
	if (verdict != TO_RESOURCE) {
		client_drop(c, DROP_FILTERED, 1);
		reply_filtered(c, s);
		return;
	}
	if (r->gateway) {
		if (r->type == MSG_RESOURCE_DNS && dns_nat_takes(c, r, s))
			return;
		if (encapsulate(c, wall, &r->gateway->id, s) == 0)
			return;
		gateway_lost(c, r->gateway);
	}
	buffer_segments(c, r, s);
}

/* A gateway's own address, or another client's (spec 30 §4, step 8). */
static void to_peer(struct client *c, u64 wall, struct segmenter *s)
{
	const struct gateway_peer *g = table_get(&c->peers_by_ip, &s->p.dst);
	const struct uuid *device = g ? NULL : device_at(c, &s->p.dst);

	if (g) {
		if (encapsulate(c, wall, &g->id, s))
			client_drop(c, DROP_NOT_A_PEER, 1);
		return;
	}
	if (device) {
		struct uuid id = *device;
		if (encapsulate(c, wall, &id, s) == 0)
			return;
		(void)device_lost(c, &id);
	}
	device_wanted(c, s);
}

static int send_one(struct client *c, const struct gateway_peer *g, const u8 *data, u32 len)
{
	int rc = node_send(c->node, c->now, client_wall(c), &g->id, SPAN(data, len), ECN_NOT_ECT);
	return rc == ERR_LIMIT ? 0 : rc; /* an older packet gave way */
}

int client_send_own(struct client *c, const u8 *data, u32 len)
{
	struct packet p;
	enum verdict verdict;
	int rc = packet_parse(data, len, TUNNEL_MTU, &p);

	if (rc)
		return rc;
	if (ip_is_peer(&p.dst)) {
		const struct gateway_peer *g = table_get(&c->peers_by_ip, &p.dst);
		return g ? send_one(c, g, data, len) : ERR_NO_ROUTE;
	}
	struct resource *r = route(c, &p, &verdict);
	if (!r)
		return ERR_NO_ROUTE;
	if (verdict != TO_RESOURCE)
		return ERR_DENIED;
	if (r->gateway) {
		rc = send_one(c, r->gateway, data, len);
		if (rc != ERR_NOT_FOUND)
			return rc;
		gateway_lost(c, r->gateway);
	}
	flow_trigger(c, r, data, &p);
	return 0;
}

static void tun_packet(struct client *c, u64 wall, const struct tun_pkt *pkt)
{
	struct segmenter s;
	int rc = segment_init(&s, pkt);

	c->stats.tun_rx_packets++;
	c->stats.tun_rx_bytes += pkt->len;
	if (rc) {
		client_drop(c, drop_of_error(rc), 1);
		return;
	}
	const struct packet *p = &s.p;
	const struct ip *own = p->src.family == 4 ? &c->ipv4 : &c->ipv6;
	if (ip_is_multicast(&p->dst)) {
		client_drop(c, DROP_MULTICAST, 1);
	} else if (!own->family) {
		client_drop(c, DROP_NO_INTERFACE, 1);
	} else if (!ip_eq(&p->src, own)) {
		client_drop(c, DROP_FOREIGN_SOURCE, 1);
	} else if (ip_eq(&p->dst, own)) {
		client_drop(c, DROP_TO_SELF, 1);
	} else if (p->kind != L4_TCP && p->kind != L4_UDP && p->kind != L4_ECHO) {
		client_drop(c, DROP_NO_PORTS, 1);
	} else if (ip_is_peer(&p->dst)) {
		to_peer(c, wall, &s);
	} else {
		to_resource(c, wall, &s);
	}
}

void client_tun_input(struct client *c, u64 now, u64 wall, struct tun_pkt *pkts, size_t n)
{
	c->now = now;
	client_set_wall(c, wall);
	for (size_t i = 0; i < n; i++)
		tun_packet(c, wall, &pkts[i]);
	names_pump(c);
}

/* --- from the network (spec 30 §12) -------------------------------------------------------------------------------------------------- */

static bool is_allowed_source(const struct client *c, struct gateway_peer *g, const struct ip *src)
{
	if (ip_eq(&g->checked_source, src))
		return true;
	if (!ip_eq(src, src->family == 4 ? &g->ipv4 : &g->ipv6) && !routes_cover(&g->allowed, src) &&
	    !dns_nat_allows(c, g, src))
		return false;
	g->checked_source = *src;
	return true;
}

/* The gateway refuses what we think is authorized: ask again, unless our own filters say that it never can be (spec 30 §12.2). */
static void on_prohibited(struct client *c, const u8 *data, const struct packet *error)
{
	struct packet quoted;
	enum verdict verdict;

	if (packet_parse_quoted(data, error, &quoted))
		return;
	struct resource *r = route(c, &quoted, &verdict);
	if (r && verdict == TO_RESOURCE)
		flow_refused(c, r);
}

static void on_control(struct client *c, const struct inner *in, const struct packet *p, struct goodbyes *bye)
{
	struct gateway_peer *g = in->user;
	struct control_status status;

	c->stats.control_in++;
	switch (control_event(in->data)) {
	case CONTROL_GOODBYE:
		goodbye_note(bye, in->id);
		break;
	case CONTROL_DOMAIN_STATUS:
		if (!g || !g->is_peer)
			break;
		if (control_read_status(in->data, p, &status))
			log_debug("gateway says nonsense about a name", kv_uuid("gateway", in->id));
		else
			dns_nat_status(c, g, &status);
		break;
	}
}

static void inner_packet(struct client *c, const struct inner *in, struct goodbyes *bye)
{
	struct gateway_peer *g = in->user;
	struct packet p;
	int rc = packet_parse(in->data, in->len, TUNNEL_MTU, &p);

	if (rc) {
		client_drop(c, drop_of_error(rc), 1);
		return;
	}
	if (packet_is_control(&p)) {
		on_control(c, in, &p, bye);
		return;
	}
	if (g ? !g->is_peer || !is_allowed_source(c, g, &p.src) : !device_sends(c, in->id, &p.src)) {
		client_drop(c, DROP_NOT_ALLOWED, 1);
		return;
	}
	if (!ip_eq(&p.dst, p.dst.family == 4 ? &c->ipv4 : &c->ipv6)) {
		client_drop(c, DROP_FOREIGN_SOURCE, 1);
		return;
	}
	if (g && inside_is_open(c) && inside_input(c, in->data, &p))
		return;
	if (g && packet_is_prohibited(&p))
		on_prohibited(c, in->data, &p);
	packet_merge_ecn(in->data, &p, in->outer_ecn);
	c->stats.tun_tx_packets++;
	c->stats.tun_tx_bytes += p.len;
	coalesce_add(c->coalescer, in->data, &p);
}

void client_udp_input(struct client *c, u64 now, u64 wall, struct udp_rx *rx, size_t n)
{
	struct goodbyes bye;

	bye.n = 0;
	c->now = now;
	client_set_wall(c, wall);
	coalesce_reset(c->coalescer);
	c->tun_next = 0;
	while (n > 0) {
		size_t count, chunk = rx_chunk(rx, n);
		node_input(c->node, now, wall, rx, chunk);
		struct inner *inner = node_inner(c->node, &count);
		for (size_t i = 0; i < count; i++)
			inner_packet(c, &inner[i], &bye);
		rx += chunk;
		n -= chunk;
	}
	coalesce_finish(c->coalescer);
	for (u32 i = 0; i < bye.n; i++) {
		struct gateway_peer *g = table_get(&c->gateways_by_id, &bye.id[i]);
		log_info("peer said goodbye", kv_uuid("peer", &bye.id[i]));
		node_forget(c->node, &bye.id[i]);
		if (g)
			gateway_lost(c, g);
		else
			(void)device_lost(c, &bye.id[i]);
	}
	flows_resume(c, wall);
	devices_resume(c, wall);
	names_pump(c);
}

bool client_poll_tun(struct client *c, struct tun_pkt *out)
{
	size_t count;

	if (tun_queue_poll(&c->out, out))
		return true;
	struct tun_pkt *list = coalesce_out(c->coalescer, &count);
	if (c->tun_next >= count)
		return false;
	*out = list[c->tun_next++];
	return true;
}
