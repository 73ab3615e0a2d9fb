/* tests/unit/gateway_world.h: a gateway with a fake node, a portal made of function calls, and what clients and the site say to it.
 * Included by the test files of the gateway; each uses what it needs.
 */
#pragma once

#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-variable"

#include "core/ip/packet.h"
#include "core/tunnel/gateway.h"
#include "tests/unit/fake_node.h"
#include "tests/unit/inner.h"
#include "tests/unit/test.h"

#define T0 1780000000ull /* Unix seconds at the start */

static struct rng_seeded rng;
static struct gateway *g;
static u64 now, wall;
static u8 packet[2048];

static const char *const own4 = "100.64.0.1", *const own6 = "fd00:2021:1111::1";
static const struct msg_filter tcp443 = { MSG_TCP, 443, 443 }, udp_range = { MSG_UDP, 1000, 2000 }, icmp = { MSG_ICMP, 0, 0 };

static struct msg_resource cidr(unsigned id, const char *net, const struct msg_filter *f, size_t n)
{
	return (struct msg_resource){ .type = MSG_RESOURCE_CIDR, .id = uuid_of(id), .name = "net", .address = net, .net = cidr_of(net),
				      .filters = f, .n_filters = n };
}

static struct msg_resource internet(unsigned id)
{
	return (struct msg_resource){ .type = MSG_RESOURCE_INTERNET, .id = uuid_of(id), .name = "", .address = "" };
}

static void init_with(const struct msg_access *list, size_t n)
{
	struct portal_message m = { .type = MSG_INIT_GATEWAY };
	m.init_gateway.interface.ipv4 = ip_of(own4);
	m.init_gateway.interface.ipv6 = ip_of(own6);
	m.init_gateway.authorizations = list;
	m.init_gateway.n_authorizations = n;
	EXPECT_EQ(gateway_message(g, now, wall, &m), 0);
}

static void start(void)
{
	struct gateway_config cfg = { .rng = &rng.rng };
	rng_seeded_init(&rng, 1);
	now = SEC(100);
	wall = SEC(T0);
	g = gateway_new(&cfg, now);
	init_with(NULL, 0);
}

static void stop(void)
{
	gateway_free(g);
}

static struct ip client_ip(unsigned client, u8 family)
{
	struct ip ip = ip_of(family == 4 ? "100.64.2.0" : "fd00:2021:1111::2:0");
	ip.b[family == 4 ? 3 : 15] = (u8)client;
	ip.b[family == 4 ? 2 : 14] += (u8)(client >> 8);
	return ip;
}

static void authorize(unsigned client, const struct msg_resource *r, u64 expires_at, const char *ref)
{
	struct portal_message m = { .type = MSG_AUTHORIZE_FLOW };
	m.authorize_flow.ref = ref;
	m.authorize_flow.resource = *r;
	m.authorize_flow.client.id = uuid_of(client);
	m.authorize_flow.client.ipv4 = client_ip(client, 4);
	m.authorize_flow.client.ipv6 = client_ip(client, 6);
	m.authorize_flow.client_ice = (struct msg_ice){ "cu", "cp" };
	m.authorize_flow.gateway_ice = (struct msg_ice){ "gu", "gp" };
	m.authorize_flow.expires_at = expires_at;
	EXPECT_EQ(gateway_message(g, now, wall, &m), 0);
}

static void grant(unsigned client, struct msg_resource r)
{
	authorize(client, &r, MSG_NEVER_EXPIRES, "ref");
}

static void access_message(enum msg_type type, unsigned client, unsigned resource, u64 expires_at)
{
	struct portal_message m = { .type = type };
	m.access = (struct msg_access){ uuid_of(client), uuid_of(resource), expires_at };
	EXPECT_EQ(gateway_message(g, now, wall, &m), 0);
}

static void reject(unsigned client, unsigned resource)
{
	access_message(MSG_REJECT_ACCESS, client, resource, 0);
}

struct events {
	unsigned tun, authorized, no_relays, candidates, invalidated, lost;
	char order[64]; /* 'a' flow_authorized, 'c' candidates */
	char last_ref[64];
};

static struct events events(void)
{
	struct events all = { 0 };
	struct gateway_event e;
	size_t n = 0;
	while (gateway_poll_event(g, &e)) {
		all.tun += e.type == GATEWAY_TUN_CONFIG;
		all.lost += e.type == GATEWAY_CLIENT_LOST;
		if (e.type != GATEWAY_SEND)
			continue;
		all.no_relays += e.message->type == MSG_NO_RELAYS;
		all.invalidated += e.message->type == MSG_BROADCAST_INVALIDATED_ICE_CANDIDATES;
		if (e.message->type == MSG_FLOW_AUTHORIZED) {
			all.authorized++;
			all.order[n++] = 'a';
			memcpy(all.last_ref, e.message->flow_authorized.ref, strlen(e.message->flow_authorized.ref) + 1);
		}
		if (e.message->type == MSG_BROADCAST_ICE_CANDIDATES) {
			all.candidates++;
			all.order[n++] = 'c';
		}
	}
	return all;
}

static struct inner_spec from_client(unsigned client, u8 proto, const char *dst, u16 port)
{
	struct ip to = ip_of(dst);
	return (struct inner_spec){ .src = client_ip(client, to.family), .dst = to, .proto = proto, .sport = proto == 1 ? 0x0800 : 40000,
				    .dport = port, .tcp_flags = TCP_ACK, .payload_len = 20 };
}

/* From a client; returns how many packets reach the TUN, the last of them in *out. */
static unsigned input(unsigned client, const void *data, u32 len, u8 ecn, struct tun_pkt *out)
{
	static u8 memory[FAKE_DATAGRAM_MAX];
	struct uuid id = uuid_of(client);
	struct udp_rx rx = fake_datagram(memory, &id, data, len);
	struct tun_pkt t;
	unsigned n = 0;
	rx.ecn = ecn;
	gateway_udp_input(g, now, wall, &rx, 1);
	while (gateway_poll_tun(g, &t)) {
		n++;
		if (out)
			*out = t;
	}
	return n;
}

enum outcome { PASSED, PROHIBITED, UNREACHABLE, SILENT };

static enum outcome outbound(const struct inner_spec *s, unsigned client)
{
	u32 sent = fake->n_sent, len = inner_make(s, packet);
	struct packet p;
	if (input(client, packet, len, 0, NULL) == 1)
		return PASSED;
	if (fake->n_sent == sent)
		return SILENT;
	const struct fake_sent *r = &fake->sent[(fake->n_sent - 1) % FAKE_SENT];
	if (!EXPECT_EQ(packet_parse(r->data, r->len, TUNNEL_MTU, &p), 0) || !EXPECT(inner_checksums_are_right(r->data, r->len)))
		return SILENT;
	EXPECT(ip_eq(&p.src, &s->dst) && ip_eq(&p.dst, &s->src));
	return packet_is_prohibited(&p) ? PROHIBITED : UNREACHABLE;
}

static enum outcome to(unsigned client, u8 proto, const char *dst, u16 port)
{
	struct inner_spec s = from_client(client, proto, dst, port);
	return outbound(&s, client);
}

/* From the resource side; true when it was sent to the client. */
static bool back_spec(const struct inner_spec *s)
{
	struct tun_pkt t = { .data = packet };
	u32 sent = fake->n_sent;
	t.len = inner_make(s, packet);
	gateway_tun_input(g, now, wall, &t, 1);
	gateway_flush(g, now);
	return fake->n_sent == sent + 1 && fake->sent[sent % FAKE_SENT].len == t.len &&
	       memcmp(fake->sent[sent % FAKE_SENT].data, packet, t.len) == 0;
}

static bool back(unsigned client, u8 proto, const char *src, u16 port)
{
	struct ip from = ip_of(src);
	struct inner_spec s = { .src = from, .dst = client_ip(client, from.family), .proto = proto, .sport = proto == 1 ? 0 : port,
				.dport = 40000, .tcp_flags = TCP_ACK, .payload_len = 20 };
	return back_spec(&s);
}

static void advance(u64 span)
{
	u64 end = now + span;
	for (unsigned i = 0; i < 1000 && gateway_next_timeout(g) <= end; i++) {
		u64 at = MAX(now, gateway_next_timeout(g));
		wall += at - now;
		now = at;
		gateway_timeout(g, now, wall);
	}
	wall += end - now;
	now = end;
}
