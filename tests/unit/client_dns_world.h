/* tests/unit/client_dns_world.h: what an application, an upstream server and a gateway say about names to the client of client_world.h. */
#pragma once

#include "core/ip/udp_packet.h"
#include "core/tunnel/client_state.h"
#include "tests/unit/client_world.h"
#include "tests/unit/dns_build.h"

#define SENTINEL "100.100.111.1"

static struct msg_resource named(unsigned id, const char *pattern)
{
	struct msg_resource r = cidr(id, "10.255.255.255/32");
	r.type = MSG_RESOURCE_DNS;
	r.name = "name";
	r.address = pattern;
	return r;
}

/* What the portal says of DNS, by `interface`; lists may be NULL. */
static void configure(const char *do53, const char *do53_2, const char *doh)
{
	struct ip list[2];
	const char *urls[1] = { doh };
	struct portal_message m = { .type = MSG_CONFIG_CHANGED };
	size_t n = 0;

	if (do53)
		list[n++] = ip_of(do53);
	if (do53_2)
		list[n++] = ip_of(do53_2);
	m.config_changed = (struct msg_interface){ .ipv4 = ip_of(own4), .ipv6 = ip_of(own6), .upstream_do53 = list, .n_upstream_do53 = n,
						   .upstream_doh = urls, .n_upstream_doh = doh ? 1 : 0 };
	EXPECT_EQ(client_message(c, now, WALL, &m), 0);
}

static void system_resolver(const char *ip)
{
	struct ip list[1];
	if (ip)
		list[0] = ip_of(ip);
	client_set_system_resolvers(c, now, list, ip ? 1 : 0);
}

static size_t query_make(u8 *out, u16 id, const char *name, u16 type)
{
	struct dns_question q = { .name = dns_build_name(name), .type = type, .class = DNS_CLASS_IN };
	struct wr w = wr_init(out, 512);
	dns_query_write(&w, id, &q, 0);
	return wr_len(&w);
}

static void raw_query_to(const char *sentinel, const u8 *data, size_t n)
{
	struct inner_spec s = app(17, sentinel, 53, 1);
	s.payload = data;
	s.payload_len = (u16)n;
	tun(&s);
}

static void query_to(const char *sentinel, u16 id, const char *name, u16 type)
{
	u8 data[512];
	raw_query_to(sentinel, data, query_make(data, id, name, type));
}

static void query(u16 id, const char *name, u16 type)
{
	query_to(SENTINEL, id, name, type);
}

/* An answer that reached the TUN. */
struct heard {
	u8 data[TUNNEL_MTU];
	struct packet p;
	struct span message;
	struct dns_response r;
};

static bool hear(struct heard *h)
{
	struct tun_pkt t;

	if (!client_poll_tun(c, &t))
		return false;
	EXPECT(t.len <= sizeof(h->data) && t.has_headroom);
	memcpy(h->data, t.data, t.len);
	EXPECT(inner_checksums_are_right(h->data, t.len));
	if (!EXPECT_EQ(packet_parse(h->data, t.len, TUNNEL_MTU, &h->p), 0) || h->p.kind != L4_UDP || h->p.src_port != 53)
		return false;
	EXPECT_EQ(h->p.dst_port, 40000);
	EXPECT_EQ(udp_packet_read(h->data, &h->p, &h->message), 0);
	return EXPECT_EQ(dns_response_parse(h->message, &h->r), 0);
}

/* The answer to a query of this ID, and none besides; its RCODE, or -1. */
static int answered(u16 id, struct heard *h)
{
	struct heard other;
	if (!hear(h))
		return -1;
	EXPECT_EQ(h->r.id, id);
	EXPECT(!hear(&other));
	return h->r.rcode;
}

static struct ip first_address(const struct heard *h)
{
	struct dns_walk w = dns_walk(h->message, &h->r);
	struct dns_record rec;
	struct ip ip = { .family = 0 };
	if (EXPECT(dns_walk_next(&w, &rec)))
		EXPECT_EQ(dns_record_ip(&rec, &ip), 0);
	return ip;
}

/* An exchange with a server outside, copied. */
struct outside {
	struct dns_exchange ex;
	struct dns_server server;
	u8 message[512];
	struct dns_query q;
};

static bool next_exchange(struct outside *o)
{
	while (client_poll_exchange(c, &o->ex)) {
		if (o->ex.is_cancel)
			continue;
		o->server = *o->ex.server;
		memcpy(o->message, o->ex.message.p, o->ex.message.n);
		o->ex.message.p = o->message;
		return EXPECT_EQ(dns_query_parse(o->ex.message, &o->q), 0);
	}
	return false;
}

/* A response of `n_records` addresses to this query. */
static struct span response_make(u8 *out, size_t cap, const struct dns_query *q, u32 ttl, unsigned n_records)
{
	char name[DNS_NAME_STRLEN];
	struct wr w = dns_build(out, cap, q->id, DNS_FLAG_QR | DNS_FLAG_RD | DNS_FLAG_RA, dns_name_text(&q->q.name, name), q->q.type);
	for (unsigned i = 0; i < n_records; i++) {
		u8 ip[4] = { 192, 0, (u8)(i >> 8), (u8)(i + 1) };
		dns_build_record(&w, DNS_ANSWER, name, DNS_A, ttl, SPAN(ip, 4));
	}
	EXPECT(wr_ok(&w));
	return wr_span(&w);
}

static void respond(const struct outside *o, u32 ttl, unsigned n_records)
{
	static u8 data[65535];
	struct span message = response_make(data, sizeof(data), &o->q, ttl, n_records);
	client_exchange_response(c, now, o->ex.id, &o->server.addr, message);
}

/* --- inside --------------------------------------------------------------------------------------------------------------------------- */

/* The last thing the gateway was sent; false when nothing was since `*seen`. */
static const struct fake_sent *next_sent(u32 *seen)
{
	return *seen == fake->n_sent ? NULL : &fake->sent[(*seen)++ % FAKE_SENT];
}

static bool is_assigned(const struct fake_sent *s, struct control_assigned *m)
{
	struct packet p;
	return s && packet_parse(s->data, s->len, TUNNEL_MTU, &p) == 0 && packet_is_control(&p) && control_event(s->data) == CONTROL_ASSIGNED_IPS &&
	       control_read_assigned(s->data, &p, m) == 0;
}

static void status(unsigned gateway, unsigned resource, const char *name, bool is_active)
{
	struct control_status m = { .resource = uuid_of(resource), .domain = dns_build_name(name), .is_active = is_active };
	u8 data[TUNNEL_MTU];
	u32 len = control_write_status(&m, data);
	EXPECT_EQ(from_gateway(gateway, data, len, 0, NULL), 0);
}

/* From a server inside the tunnel to the port of a query sent there. */
static void inside_reply(unsigned gateway, const struct packet *sent, struct span message)
{
	struct endpoint src = { sent->dst, sent->dst_port }, dst = { sent->src, sent->src_port };
	static u8 data[FAKE_DATAGRAM_MAX];
	struct uuid id = uuid_of(gateway);
	u8 out[TUNNEL_MTU];
	u32 len = udp_packet_write(&src, &dst, message, out);
	EXPECT(len > 0);
	struct udp_rx rx = fake_datagram(data, &id, out, len);
	client_udp_input(c, now, WALL, &rx, 1);
}
