/* tests/unit/client_world.h: a client with a fake node, a portal made of function calls, and what an application and a gateway say to it.
 * Included by the test files of the client; each uses what it needs.
 */
#pragma once

#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-variable"

#include "core/ip/packet.h"
#include "core/tunnel/client.h"
#include "tests/unit/fake_node.h"
#include "tests/unit/inner.h"
#include "tests/unit/test.h"

#define WALL SEC(1780000000)

static struct rng_seeded rng;
static struct client *c;
static u64 now;
static u8 packet[2048];

static const char *const own4 = "100.64.0.7", *const own6 = "fd00:2021:1111::7";

static struct uuid site_id(void)
{
	return uuid_of(900);
}

static struct msg_resource cidr(unsigned id, const char *net)
{
	static struct msg_site sites[64];
	static unsigned n;
	struct msg_site *site = &sites[n++ % 64];
	*site = (struct msg_site){ .id = site_id(), .name = "site" };
	return (struct msg_resource){ .type = MSG_RESOURCE_CIDR, .id = uuid_of(id), .name = "net", .address = net, .net = cidr_of(net),
				      .sites = site, .n_sites = 1 };
}

static struct msg_resource internet(unsigned id)
{
	struct msg_resource r = cidr(id, "0.0.0.0/0");
	r.type = MSG_RESOURCE_INTERNET;
	r.name = "Internet Resource";
	r.address = "";
	return r;
}

static struct msg_resource filtered(struct msg_resource r, const struct msg_filter *f, size_t n)
{
	r.filters = f;
	r.n_filters = n;
	return r;
}

static void init(const struct msg_resource *list, size_t n)
{
	struct portal_message m = { .type = MSG_INIT_CLIENT };
	m.init_client.interface.ipv4 = ip_of(own4);
	m.init_client.interface.ipv6 = ip_of(own6);
	m.init_client.resources = list;
	m.init_client.n_resources = n;
	EXPECT_EQ(client_message(c, now, WALL, &m), 0);
}

static void start(const struct msg_resource *list, size_t n)
{
	struct client_config cfg = { .rng = &rng.rng };
	rng_seeded_init(&rng, 1);
	now = SEC(100);
	c = client_new(&cfg, now);
	init(list, n);
}

static void add(const struct msg_resource *r)
{
	struct portal_message m = { .type = MSG_RESOURCE_CREATED_OR_UPDATED, .resource = *r };
	EXPECT_EQ(client_message(c, now, WALL, &m), 0);
}

static void delete(unsigned id)
{
	struct portal_message m = { .type = MSG_RESOURCE_DELETED, .id = uuid_of(id) };
	EXPECT_EQ(client_message(c, now, WALL, &m), 0);
}

static void created_by(unsigned resource, unsigned gateway)
{
	struct portal_message m = { .type = MSG_FLOW_CREATED };
	m.flow_created = (struct msg_flow_created){ .resource_id = uuid_of(resource), .gateway_id = uuid_of(gateway), .site_id = site_id(),
						    .gateway_ipv4 = ip_of("100.64.1.1"), .gateway_ipv6 = ip_of("fd00:2021:1111::1:1"),
						    .client_ice = { "a", "b" }, .gateway_ice = { "c", "d" } };
	m.flow_created.gateway_ipv4.b[3] = (u8)gateway;
	m.flow_created.gateway_ipv6.b[15] = (u8)gateway;
	EXPECT_EQ(client_message(c, now, WALL, &m), 0);
}

static void failed(unsigned resource, enum msg_reason reason)
{
	struct portal_message m = { .type = MSG_FLOW_CREATION_FAILED };
	m.flow_creation_failed = (struct msg_flow_creation_failed){ .resource_id = uuid_of(resource), .reason = reason, .reason_text = "" };
	EXPECT_EQ(client_message(c, now, WALL, &m), 0);
}

/* A packet of the application; seq tells packets apart. */
static struct inner_spec app(u8 proto, const char *dst, u16 port, u32 seq)
{
	struct ip to = ip_of(dst);
	return (struct inner_spec){ .src = ip_of(to.family == 4 ? own4 : own6), .dst = to, .proto = proto, .sport = proto == 1 ? 0x0800 : 40000,
				    .dport = port, .seq = seq, .id = (u16)seq, .tcp_flags = TCP_ACK, .payload_len = 20 };
}

static void tun(const struct inner_spec *s)
{
	struct tun_pkt t = { .data = packet };
	t.len = inner_make(s, packet);
	client_tun_input(c, now, WALL, &t, 1);
}

static void send_to(const char *dst)
{
	struct inner_spec s = app(17, dst, 5000, (u32)now);
	s.payload = &now;
	s.payload_len = 8;
	tun(&s);
}

/* Everything the client wants of the portal and the applet until now. */
struct events {
	unsigned tun, list, flows, no_relays, candidates, connected, lost, offline, mismatch;
	struct uuid flow[16];
	struct uuid known[16];
	size_t n_known;
	struct cidr routes[64];
	size_t n_routes;
};

static struct events events(void)
{
	struct events all = { 0 };
	struct client_event e;
	while (client_poll_event(c, &e)) {
		switch (e.type) {
		case CLIENT_TUN_CONFIG:
			all.tun++;
			all.n_routes = MIN(e.tun->n_routes, ARRAY_LEN(all.routes));
			memcpy(all.routes, e.tun->routes, all.n_routes * sizeof(struct cidr));
			break;
		case CLIENT_RESOURCES_CHANGED:
			all.list++;
			break;
		case CLIENT_SEND:
			if (e.message->type == MSG_CREATE_FLOW) {
				all.flow[all.flows++ % 16] = e.message->create_flow.resource_id;
				all.n_known = e.message->create_flow.connected_gateways.n;
				memcpy(all.known, e.message->create_flow.connected_gateways.id, all.n_known * sizeof(struct uuid));
			}
			all.no_relays += e.message->type == MSG_NO_RELAYS;
			all.candidates += e.message->type == MSG_NEW_GATEWAY_ICE_CANDIDATES;
			break;
		case CLIENT_GATEWAY_CONNECTED:
			all.connected++;
			break;
		case CLIENT_GATEWAY_LOST:
			all.lost++;
			break;
		case CLIENT_SITE_OFFLINE:
			all.offline++;
			break;
		case CLIENT_VERSION_MISMATCH:
			all.mismatch++;
			break;
		case CLIENT_GATEWAY_PATH:
			break;
		}
	}
	return all;
}

static bool has_route(const struct events *e, const char *net)
{
	struct cidr want = cidr_of(net);
	for (size_t i = 0; i < e->n_routes; i++)
		if (ip_eq(&e->routes[i].ip, &want.ip) && e->routes[i].len == want.len)
			return true;
	return false;
}

/* A packet from a gateway; returns what reaches the TUN. */
static unsigned from_gateway(unsigned gateway, const void *data, u32 len, u8 ecn, struct tun_pkt *out)
{
	static u8 memory[FAKE_DATAGRAM_MAX];
	struct uuid id = uuid_of(gateway);
	struct udp_rx rx = fake_datagram(memory, &id, data, len);
	unsigned n = 0;
	struct tun_pkt t;
	rx.ecn = ecn;
	client_udp_input(c, now, WALL, &rx, 1);
	while (client_poll_tun(c, &t)) {
		n++;
		if (out)
			*out = t;
	}
	return n;
}

static unsigned reply_from(unsigned gateway, const char *src)
{
	struct inner_spec s = app(17, src, 40000, 1);
	struct ip from = s.dst;
	s.dst = s.src;
	s.src = from;
	u32 len = inner_make(&s, packet);
	return from_gateway(gateway, packet, len, 0, NULL);
}

static void advance(u64 span)
{
	u64 end = now + span;
	for (unsigned i = 0; i < 1000 && client_next_timeout(c) <= end; i++) {
		now = MAX(now, client_next_timeout(c));
		client_timeout(c, now, WALL + now);
	}
	now = end;
}

static void stop(void)
{
	client_free(c);
}

static const struct msg_filter tcp443 = { MSG_TCP, 443, 443 };
