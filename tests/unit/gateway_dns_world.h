/* tests/unit/gateway_dns_world.h: a gateway with DNS resources: names assigned, resolved and mapped, packets through the mapping. Private to the
 * tests of core/tunnel/gateway_dns.c and nat.c; included once per program. */
#pragma once

#include "core/tunnel/control.h"
#include "core/tunnel/nat.h"
#include "tests/unit/gateway_world.h"

#include <stdio.h>

#define P1 "100.96.0.1"
#define P2 "100.96.0.2"
#define P3 "100.96.0.3"
#define Q1 "fd00:2021:1111:8000::1"
#define Q2 "fd00:2021:1111:8000::2"

static inline struct msg_resource dns(unsigned id, const char *pattern, const struct msg_filter *f, size_t n)
{
	return (struct msg_resource){ .type = MSG_RESOURCE_DNS, .id = uuid_of(id), .name = "app", .address = pattern, .filters = f,
				      .n_filters = n };
}

static inline struct control_assigned message(unsigned resource, const char *domain)
{
	struct control_assigned m = { .resource = uuid_of(resource) };
	EXPECT_EQ(dns_name_from_text(domain, &m.domain), 0);
	return m;
}

static inline void send_assigned(unsigned client, const struct control_assigned *m)
{
	u8 out[TUNNEL_MTU];
	u32 len = control_write_assigned(m, out);
	EXPECT_EQ(input(client, out, len, 0, NULL), 0);
}

/* Space-separated addresses. */
static inline u32 addresses(const char *list, struct ip *out)
{
	u32 n = 0;
	char one[IP_STRLEN];
	while (*list) {
		size_t len = strcspn(list, " ");
		memcpy(one, list, len);
		one[len] = 0;
		out[n++] = ip_of(one);
		list += len + (list[len] == ' ');
	}
	return n;
}

static inline void assign(unsigned client, unsigned resource, const char *domain, const char *proxies)
{
	struct control_assigned m = message(resource, domain);
	m.n_proxies = addresses(proxies, m.proxies);
	send_assigned(client, &m);
}

static struct gateway_event asked; /* the latest */
static char asked_domain[DNS_NAME_STRLEN];

static inline unsigned resolves(void)
{
	struct gateway_event e;
	unsigned n = 0;
	while (gateway_poll_event(g, &e))
		if (e.type == GATEWAY_RESOLVE) {
			asked = e;
			memcpy(asked_domain, e.domain, strlen(e.domain) + 1);
			n++;
		}
	return n;
}

static inline void resolved(const char *list)
{
	struct ip ips[64];
	size_t n = addresses(list, ips);
	gateway_resolved(g, now, wall, asked.token, ips, n, 0);
}

enum told { TOLD_NOTHING, TOLD_ACTIVE, TOLD_INACTIVE };
static u32 seen; /* packets sent so far that were looked at */

/* The status among what was sent since it was last asked for; at most one. */
static inline enum told told(void)
{
	enum told t = TOLD_NOTHING;
	for (; seen < fake->n_sent; seen++) {
		const struct fake_sent *s = &fake->sent[seen % FAKE_SENT];
		struct control_status status;
		struct packet p;
		if (packet_parse(s->data, s->len, TUNNEL_MTU, &p) || !packet_is_control(&p))
			continue;
		EXPECT_EQ(t, TOLD_NOTHING);
		EXPECT_EQ(control_event(s->data), CONTROL_DOMAIN_STATUS);
		EXPECT_EQ(control_read_status(s->data, &p, &status), 0);
		t = status.is_active ? TOLD_ACTIVE : TOLD_INACTIVE;
	}
	return t;
}

/* What the site is not asked about at all. */
static inline enum told refuse(unsigned client, unsigned resource, const char *domain, const char *proxies)
{
	assign(client, resource, domain, proxies);
	EXPECT_EQ(resolves(), 0);
	return told();
}

/* Assigns and resolves in one go. */
static inline enum told map(unsigned client, unsigned resource, const char *domain, const char *proxies, const char *real)
{
	assign(client, resource, domain, proxies);
	EXPECT_EQ(resolves(), 1);
	EXPECT_STR(asked_domain, domain);
	resolved(real);
	return told();
}

static inline void begin(void)
{
	start();
	seen = 0;
}

/* Where a packet to a proxy address goes; NULL when it does not. Leaves the source port in `left_from`. */
static u16 left_from;
static inline const char *target_of(unsigned client, u8 proto, const char *proxy, u16 sport, u16 dport)
{
	static char text[IP_STRLEN];
	struct inner_spec s = from_client(client, proto, proxy, dport);
	struct tun_pkt t;
	struct packet p;
	if (proto == 6 || proto == 17)
		s.sport = sport;
	u32 len = inner_make(&s, packet);
	if (input(client, packet, len, 0, &t) != 1)
		return NULL;
	EXPECT_EQ(packet_parse(t.data, t.len, TUNNEL_MTU, &p), 0);
	EXPECT(inner_checksums_are_right(t.data, t.len));
	EXPECT(ip_eq(&p.src, &s.src));
	left_from = p.src_port;
	return ip_format(&p.dst, text);
}

#define EXPECT_TARGET(proxy, real)                                                           \
	do {                                                                                 \
		const char *target_ = target_of(1, 17, (proxy), 40000, 443);                 \
		if (EXPECT(target_ != NULL))                                                 \
			EXPECT_STR(target_, (real));                                         \
	} while (0)

/* A packet from the site to client 1; the source it then has at the client, NULL when it is dropped. */
static inline const char *source_back(u8 proto, const char *real, u16 sport, u16 dport)
{
	static char text[IP_STRLEN];
	struct ip from = ip_of(real);
	struct inner_spec s = { .src = from, .dst = client_ip(1, from.family), .proto = proto, .sport = sport, .dport = dport,
				.tcp_flags = TCP_ACK, .payload_len = 20 };
	struct tun_pkt t = { .data = packet };
	struct packet p;
	u32 sent = fake->n_sent;
	t.len = inner_make(&s, packet);
	gateway_tun_input(g, now, wall, &t, 1);
	gateway_flush(g, now);
	if (fake->n_sent == sent)
		return NULL;
	const struct fake_sent *out = &fake->sent[sent % FAKE_SENT];
	EXPECT_EQ(packet_parse(out->data, out->len, TUNNEL_MTU, &p), 0);
	EXPECT(inner_checksums_are_right(out->data, out->len));
	return ip_format(&p.src, text);
}
