#define LOG_TARGET "tunnel::gateway"
#include "core/tunnel/gateway_state.h"

#include <stdlib.h>

/* --- what a client may reach (spec 40 §8, §19) ------------------------------------------------------------------------------------------- */

enum verdict { ALLOWED, TRANSLATED, REFUSED, EXCLUDED }; /* translated: allowed, through the NAT only */

/* Never reached through the Internet resource, only through a resource of their own. */
static const struct cidr not_internet4[] = {
	{ .ip = { .b = { 10 }, .family = 4 }, .len = 8 },        { .ip = { .b = { 172, 16 }, .family = 4 }, .len = 12 },
	{ .ip = { .b = { 192, 168 }, .family = 4 }, .len = 16 }, { .ip = { .b = { 127 }, .family = 4 }, .len = 8 },
	{ .ip = { .b = { 169, 254 }, .family = 4 }, .len = 16 }, { .ip = { .b = { 100, 64 }, .family = 4 }, .len = 10 },
	{ .ip = { .b = { 224 }, .family = 4 }, .len = 4 },       { .ip = { .b = { 240 }, .family = 4 }, .len = 4 },
};
static const struct cidr not_internet6[] = {
	{ .ip = { .b = { [15] = 1 }, .family = 6 }, .len = 128 },
	{ .ip = { .b = { [10] = 0xff, 0xff }, .family = 6 }, .len = 96 },
	{ .ip = { .b = { 0xfc }, .family = 6 }, .len = 7 },
	{ .ip = { .b = { 0xfe, 0x80 }, .family = 6 }, .len = 10 },
	{ .ip = { .b = { 0xff }, .family = 6 }, .len = 8 },
};

static bool is_excluded(const struct ip *ip)
{
	const struct cidr *list = ip->family == 4 ? not_internet4 : not_internet6;
	size_t n = ip->family == 4 ? ARRAY_LEN(not_internet4) : ARRAY_LEN(not_internet6);
	for (size_t i = 0; i < n; i++)
		if (cidr_contains(&list[i], ip))
			return true;
	return false;
}

/* `*by` is the resource that allows, NULL when none does. */
static enum verdict decide(const struct client_peer *p, const struct ip *ip, enum l4_kind kind, u16 port, struct grant **by)
{
	bool permits = false;
	const struct route *best;

	*by = NULL;
	if (ip_is_peer(ip)) /* whatever a resource says: these are machines of other clients */
		return REFUSED;
	best = routes_lookup(&p->routes, ip, kind, port, &permits);
	if (best && permits) {
		*by = best->owner;
		return ip_is_proxy(ip) ? TRANSLATED : ALLOWED;
	}
	if (!p->internet || ip_is_proxy(ip))
		return REFUSED;
	if (!is_excluded(ip)) {
		*by = p->internet;
		return ALLOWED;
	}
	return best ? REFUSED : EXCLUDED;
}

/* `ip` and `port` are the resource's. */
static enum verdict classify(struct gateway *g, const struct client_peer *p, const struct ip *ip, enum l4_kind kind, u16 port,
			     struct grant **by)
{
	struct flow_key key = { .ip = *ip, .kind = (u8)kind, .port = kind == L4_TCP || kind == L4_UDP ? port : 0, .owner = p };
	bool is_hit;
	struct flow_entry *e = flow_cache_get(&g->cache, &key, &is_hit);

	if (!is_hit) {
		g->stats.lookups++;
		e->verdict = (u8)decide(p, ip, kind, key.port, by);
		e->value = *by;
	}
	*by = e->value;
	return (enum verdict)e->verdict;
}

static const struct ip *own_of(const struct client_peer *p, u8 family)
{
	return family == 4 ? &p->own4 : &p->own6;
}

static const struct ip *address_of(const struct client_peer *p, u8 family)
{
	return family == 4 ? &p->ipv4 : &p->ipv6;
}

/* --- client → resource (spec 40 §6) -------------------------------------------------------------------------------------------------------- */

static struct client_peer *peer_of(struct gateway *g, const struct uuid *id)
{
	if (!g->last_peer || !uuid_eq(&g->last_id, id)) {
		g->last_id = *id;
		g->last_peer = table_get(&g->peers_by_id, id);
	}
	return g->last_peer;
}

static void reply(struct gateway *g, u64 wall, enum icmp_reply what, const struct inner *in, const struct packet *p)
{
	u8 out[ICMP_REPLY_MAX];
	u32 len = icmp_reply(what, in->data, p, out);

	g->stats.icmp_replies++;
	if (node_send(g->node, g->now, wall, in->id, SPAN(out, len), ECN_NOT_ECT))
		gateway_drop(g, DROP_NOT_CONNECTED, 1);
}

static void deliver(struct gateway *g, const struct inner *in, struct packet *p)
{
	packet_merge_ecn(in->data, p, in->outer_ecn);
	g->stats.tun_tx_packets++;
	g->stats.tun_tx_bytes += p->len;
	coalesce_add(g->coalescer, in->data, p);
}

/* `domain`: NULL unless the packet went to a proxy address. */
static void log_flow_out(struct gateway *g, u64 wall, const struct inner *in, const struct grant *by, const struct packet *p,
			 const char *domain)
{
	struct node_conn_info conn;

	if (!by->about || node_conn_info(g->node, in->id, &conn))
		return;
	flowlog_from_client(g->flowlog, g->now, wall, by->about, in->data, p, domain, &(struct flow_outer){ conn.local, conn.remote });
}

/* To a proxy address that the client may use (spec 40 §9.5). */
static void translate_out(struct gateway *g, u64 wall, const struct inner *in, struct client_peer *peer, const struct grant *by,
			  struct packet *p)
{
	const struct ip to = p->dst;
	const struct proxy *x = NULL;
	enum nat_result rc = NAT_NONE;

	if (peer->dns)
		rc = nat_outbound(&peer->dns->nat, g->now, NULL, in->data, p);
	if (rc == NAT_NONE || g->flowlog)
		x = proxy_find(peer, &to);
	if (rc == NAT_NONE && x && x->real.family)
		rc = nat_outbound(&peer->dns->nat, g->now, &x->real, in->data, p);
	if (g->flowlog && rc != NAT_REFUSED)
		log_flow_out(g, wall, in, by, p, x ? x->name->text : NULL);
	switch (rc) {
	case NAT_DONE:
		deliver(g, in, p);
		break;
	case NAT_NONE:
		gateway_drop(g, DROP_UNREACHABLE, 1);
		reply(g, wall, ICMP_UNREACHABLE, in, p);
		break;
	case NAT_REFUSED:
	case NAT_EXPIRED:
		gateway_drop(g, DROP_NAT_REFUSED, 1);
		break;
	}
}

static void control_packet(struct gateway *g, u64 wall, const struct inner *in, struct client_peer *peer, const struct packet *p,
			   struct goodbyes *bye)
{
	g->stats.control_in++;
	switch (control_event(in->data)) {
	case CONTROL_GOODBYE:
		goodbye_note(bye, in->id);
		break;
	case CONTROL_ASSIGNED_IPS:
		if (peer)
			dns_assigned(g, wall, peer, in->data, p);
		else
			gateway_drop(g, DROP_NOT_A_PEER, 1);
		break;
	}
}

static void inner_packet(struct gateway *g, u64 wall, const struct inner *in, struct goodbyes *bye)
{
	struct grant *by;
	struct packet p;
	int rc = packet_parse(in->data, in->len, TUNNEL_MTU, &p);

	if (rc) {
		gateway_drop(g, drop_of_error(rc), 1);
		return;
	}
	if (ip_is_multicast(&p.dst)) {
		gateway_drop(g, DROP_MULTICAST, 1);
		return;
	}
	struct client_peer *peer = peer_of(g, in->id);
	if (packet_is_control(&p)) {
		control_packet(g, wall, in, peer, &p, bye);
		return;
	}
	if (!peer) {
		gateway_drop(g, DROP_NOT_A_PEER, 1);
		return;
	}
	if (p.kind == L4_ICMP_ERROR) {
		gateway_drop(g, DROP_ICMP_ERROR, 1);
		return;
	}
	if (!ip_eq(&p.src, address_of(peer, p.src.family))) {
		gateway_drop(g, DROP_FOREIGN_SOURCE, 1);
		reply(g, wall, ICMP_FILTERED, in, &p);
		return;
	}
	if (ip_eq(&p.dst, own_of(peer, p.dst.family))) {
		deliver(g, in, &p);
		return;
	}
	switch (classify(g, peer, &p.dst, p.kind, p.dst_port, &by)) {
	case ALLOWED:
		if (g->flowlog)
			log_flow_out(g, wall, in, by, &p, NULL);
		if (peer->dns && !nat_is_empty(&peer->dns->nat))
			nat_yield(&peer->dns->nat, &p);
		deliver(g, in, &p);
		break;
	case TRANSLATED:
		translate_out(g, wall, in, peer, by, &p);
		break;
	case REFUSED:
		gateway_drop(g, DROP_FILTERED, 1);
		reply(g, wall, ICMP_FILTERED, in, &p);
		break;
	case EXCLUDED:
		gateway_drop(g, DROP_UNREACHABLE, 1);
		reply(g, wall, ICMP_UNREACHABLE, in, &p);
		break;
	}
}

static void carry_out(struct gateway *g, const struct goodbyes *bye)
{
	for (u32 i = 0; i < bye->n; i++) {
		struct client_peer *p = table_get(&g->peers_by_id, &bye->id[i]);
		log_info("client said goodbye", kv_uuid("client", &bye->id[i]));
		if (p)
			report_end(g, p);
		node_forget(g->node, &bye->id[i]);
		if (p)
			peer_drop(g, p, false);
		gateway_event_push(g, &(struct gateway_event){ .type = GATEWAY_CLIENT_LOST, .peer = bye->id[i] });
	}
}

void gateway_udp_input(struct gateway *g, u64 now, u64 wall, struct udp_rx *rx, size_t n)
{
	struct goodbyes bye;

	bye.n = 0;
	g->now = now;
	coalesce_reset(g->coalescer);
	g->tun_next = 0;
	while (n > 0) {
		size_t count, chunk = rx_chunk(rx, n);
		if (g->flowlog)
			flowlog_datagrams(g->flowlog, rx, chunk);
		node_input(g->node, now, wall, rx, chunk);
		struct inner *inner = node_inner(g->node, &count);
		for (size_t i = 0; i < count; i++)
			inner_packet(g, wall, &inner[i], &bye);
		rx += chunk;
		n -= chunk;
	}
	coalesce_finish(g->coalescer);
	carry_out(g, &bye);
	if (g->n_held > 0)
		access_resume(g, wall);
}

bool gateway_poll_tun(struct gateway *g, struct tun_pkt *out)
{
	size_t count;
	struct tun_pkt *list = coalesce_out(g->coalescer, &count);

	if (g->tun_next >= count)
		return false;
	*out = list[g->tun_next++];
	return true;
}

/* --- resource → client (spec 40 §7) -------------------------------------------------------------------------------------------------------- */

static void encapsulate(struct gateway *g, u64 wall, const struct client_peer *peer, struct segmenter *s)
{
	struct node_stage stage;
	u8 packet[TUNNEL_MTU];
	u32 len;
	int rc = node_stage_open(g->node, g->now, &peer->id, packet_ecn(&s->p), &stage);

	while ((len = segment_next_len(s)) > 0) {
		u8 *slot = rc ? packet : node_stage_slot(g->node, &stage, len);
		if (!slot) {
			gateway_drop(g, DROP_STAGE_FULL, 1);
			return;
		}
		segment_write(s, slot);
		g->stats.tun_rx_segments++;
		if (rc && node_send(g->node, g->now, wall, &peer->id, SPAN(packet, len), packet_ecn(&s->p)))
			gateway_drop(g, DROP_NOT_CONNECTED, 1);
	}
}

/* `p`: as it came from the resource. */
static void log_flow_back(struct gateway *g, const struct grant *by, const struct segmenter *s, const struct packet *p)
{
	u32 bytes = packet_payload_len(s->data, p);
	u32 n = s->how == SEGMENT_PLAIN ? 1 : (s->payload + s->mss - 1) / s->mss;

	if (by->about)
		flowlog_from_resource(g->flowlog, g->now, by->about, p, n, bytes);
}

/* What is not yet complete because the kernel left it to us cannot be wrong. */
static void check_sums(const struct tun_pkt *pkt, const struct packet *p)
{
	bool is_l4_left = pkt->vnet.gso_type != VNET_GSO_NONE || (pkt->vnet.flags & VNET_NEEDS_CSUM);

	if (!packet_ip_checksum_is_right(pkt->data, p))
		log_warn("packet from the TUN has a wrong IPv4 checksum", kv_ip("src", &p->src), kv_ip("dst", &p->dst));
	if ((p->kind == L4_TCP || p->kind == L4_UDP) && !is_l4_left && !packet_l4_checksum_is_right(pkt->data, p))
		log_warn(p->kind == L4_TCP ? "packet from the TUN has a wrong TCP checksum" : "packet from the TUN has a wrong UDP checksum",
			 kv_ip("src", &p->src), kv_u("src_port", p->src_port), kv_ip("dst", &p->dst), kv_u("dst_port", p->dst_port));
}

static void count_nat(struct gateway *g, enum nat_result rc)
{
	if (rc == NAT_EXPIRED)
		gateway_drop(g, DROP_NAT_EXPIRED, 1);
}

/* An ICMP error from the site passes any filter; one about a translated flow is translated itself (spec 40 §7, §9.6). */
static void tun_error(struct gateway *g, u64 wall, const struct client_peer *peer, struct segmenter *s)
{
	u8 packet[TUNNEL_MTU];
	u32 len = 0;
	enum nat_result rc = peer->dns ? nat_inbound_error(&peer->dns->nat, g->now, s->data, &s->p, packet, &len) : NAT_NONE;

	count_nat(g, rc);
	if (rc == NAT_DONE && segment_init(s, &(struct tun_pkt){ .data = packet, .len = len })) {
		gateway_drop(g, DROP_MALFORMED, 1);
		return;
	}
	if (rc != NAT_EXPIRED)
		encapsulate(g, wall, peer, s);
}

/* The way back of a translated flow is rewritten in place, a super-packet once for all its segments. */
static void tun_resource(struct gateway *g, u64 wall, const struct client_peer *peer, const struct tun_pkt *pkt, struct segmenter *s)
{
	bool is_partial = pkt->vnet.gso_type != VNET_GSO_NONE || (pkt->vnet.flags & VNET_NEEDS_CSUM);
	enum nat_result rc = NAT_NONE;
	struct packet came;
	struct grant *by;

	if (s->p.kind == L4_OTHER || s->p.kind == L4_ICMP_OTHER) {
		gateway_drop(g, DROP_NO_PORTS, 1);
		return;
	}
	if (g->flowlog)
		came = s->p;
	if (peer->dns && !nat_is_empty(&peer->dns->nat))
		rc = nat_inbound(&peer->dns->nat, g->now, pkt->data, &s->p, is_partial);
	count_nat(g, rc);
	if (rc == NAT_EXPIRED)
		return;
	if (classify(g, peer, &s->p.src, s->p.kind, s->p.src_port, &by) != (rc == NAT_DONE ? TRANSLATED : ALLOWED)) {
		gateway_drop(g, DROP_NOT_ALLOWED, 1);
		return;
	}
	if (g->flowlog)
		log_flow_back(g, by, s, &came);
	encapsulate(g, wall, peer, s);
}

static void tun_packet(struct gateway *g, u64 wall, const struct tun_pkt *pkt)
{
	struct segmenter s;
	int rc = segment_init(&s, pkt);

	g->stats.tun_rx_packets++;
	g->stats.tun_rx_bytes += pkt->len;
	if (rc) {
		gateway_drop(g, drop_of_error(rc), 1);
		return;
	}
	const struct packet *p = &s.p;
	if (g->validates_checksums)
		check_sums(pkt, p);
	const struct client_peer *peer = ip_is_peer(&p->dst) ? table_get(&g->peers_by_ip, &p->dst) : NULL;
	if (!peer) {
		gateway_drop(g, DROP_NOT_A_PEER, 1);
		return;
	}
	if (ip_eq(&p->src, own_of(peer, p->src.family)))
		encapsulate(g, wall, peer, &s);
	else if (p->kind == L4_ICMP_ERROR)
		tun_error(g, wall, peer, &s);
	else
		tun_resource(g, wall, peer, pkt, &s);
}

void gateway_tun_input(struct gateway *g, u64 now, u64 wall, struct tun_pkt *pkts, size_t n)
{
	g->now = now;
	for (size_t i = 0; i < n; i++)
		tun_packet(g, wall, &pkts[i]);
}
