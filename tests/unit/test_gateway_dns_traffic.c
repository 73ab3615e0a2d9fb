/* Traffic of DNS resources through the gateway (spec 40 §9, §10): translated both ways, ICMP errors about it, and what it costs. */
#include "tests/unit/gateway_dns_world.h"

TEST(spec40_48_running_flows_stay_where_they_are_new_ones_follow_the_name)
{
	begin();
	grant(1, dns(10, "app.example.com", NULL, 0));
	(void)map(1, 10, "app.example.com", P1, "10.5.0.1");
	EXPECT_STR(target_of(1, 6, P1, 5000, 443), "10.5.0.1");
	EXPECT_STR(source_back(6, "10.5.0.1", 443, 5000), P1);
	(void)map(1, 10, "app.example.com", P1, "10.5.0.2");
	EXPECT_STR(target_of(1, 6, P1, 5000, 443), "10.5.0.1");
	EXPECT_STR(target_of(1, 6, P1, 5001, 443), "10.5.0.2");
	(void)map(1, 10, "app.example.com", P1, ""); /* not even its disappearance ends what runs */
	EXPECT_STR(target_of(1, 6, P1, 5000, 443), "10.5.0.1");
	EXPECT_EQ(to(1, 6, P1, 443), UNREACHABLE);
	stop();
}

TEST(spec40_49_two_names_of_one_host_do_not_collide)
{
	begin();
	grant(1, dns(10, "*.example.com", NULL, 0));
	(void)map(1, 10, "a.example.com", P1, "10.5.0.1");
	(void)map(1, 10, "b.example.com", P2, "10.5.0.1");
	EXPECT_STR(target_of(1, 17, P1, 5000, 53), "10.5.0.1");
	EXPECT_EQ(left_from, 5000);
	EXPECT_STR(target_of(1, 17, P2, 5000, 53), "10.5.0.1");
	EXPECT_EQ(left_from, 5001);
	EXPECT_STR(source_back(17, "10.5.0.1", 53, 5001), P2);
	EXPECT_STR(source_back(17, "10.5.0.1", 53, 5000), P1);
	stop();
}

TEST(spec40_51_late_packets_of_a_dead_session_are_dropped_other_traffic_passes)
{
	begin();
	grant(1, dns(10, "app.example.com", NULL, 0));
	grant(1, cidr(11, "10.5.0.0/16", NULL, 0));
	(void)map(1, 10, "app.example.com", P1, "10.5.0.1");
	EXPECT_TARGET(P1, "10.5.0.1");
	advance(SEC(30));
	EXPECT_STR(source_back(17, "10.5.0.1", 443, 40000), P1);
	advance(SEC(121));
	EXPECT_EQ(source_back(17, "10.5.0.1", 443, 40000), NULL);
	EXPECT_EQ(gateway_stats(g)->dropped[DROP_NAT_EXPIRED], 1);
	EXPECT_STR(source_back(17, "10.5.0.1", 443, 40001), "10.5.0.1"); /* of the network */
	EXPECT_TARGET(P1, "10.5.0.1");
	EXPECT_STR(source_back(17, "10.5.0.1", 443, 40000), P1);
	stop();
}

TEST(spec40_52_no_translation_between_families)
{
	begin();
	grant(1, dns(10, "app.example.com", NULL, 0));
	(void)map(1, 10, "app.example.com", P1 " " P2 " " Q1 " " Q2, "10.5.0.1");
	EXPECT_TARGET(P2, "10.5.0.1");
	EXPECT_EQ(to(1, 17, Q1, 443), UNREACHABLE); /* each address has its entry: not prohibited */
	EXPECT_EQ(to(1, 17, Q2, 443), UNREACHABLE);
	stop();
}

/* What the site says about the packet that left last: an ICMP error from `router`. */
static u32 site_error(const char *router, const struct inner_spec *quoted, u32 quoted_len, u8 type, u8 code)
{
	u8 quote[1300];
	struct ip from = ip_of(router);
	struct inner_spec s = { .src = from, .dst = client_ip(1, from.family), .proto = from.family == 4 ? 1 : 58,
				.sport = (u16)(type << 8 | code), .payload = quote };
	struct tun_pkt t = { .data = packet };
	u32 sent = fake->n_sent;
	s.payload_len = (u16)MIN(inner_make(quoted, quote), quoted_len);
	t.len = inner_make(&s, packet);
	gateway_tun_input(g, now, wall, &t, 1);
	gateway_flush(g, now);
	return fake->n_sent - sent;
}

TEST(spec40_53_spec40_54_icmp_errors_about_translated_flows_reach_the_client)
{
	struct packet p, q;
	begin();
	grant(1, dns(10, "app.example.com", &tcp443, 1));
	(void)map(1, 10, "app.example.com", P1, "10.5.0.1");
	EXPECT_STR(target_of(1, 6, P1, 5000, 443), "10.5.0.1");
	struct inner_spec left = from_client(1, 6, "10.5.0.1", 443);
	left.sport = 5000;
	EXPECT_EQ(site_error("10.5.0.254", &left, 28, 3, 1), 1); /* filters do not matter to it */
	const struct fake_sent *s = &fake->sent[(fake->n_sent - 1) % FAKE_SENT];
	REQUIRE(packet_parse(s->data, s->len, TUNNEL_MTU, &p) == 0 && packet_parse_quoted(s->data, &p, &q) == 0);
	struct ip proxy = ip_of(P1), client = client_ip(1, 4);
	EXPECT(ip_eq(&p.src, &proxy) && ip_eq(&p.dst, &client) && ip_eq(&q.dst, &proxy) && ip_eq(&q.src, &client));
	EXPECT_EQ(q.src_port, 5000);
	EXPECT(inner_checksums_are_right(s->data, s->len));
	advance(SEC(100)); /* it confirmed the session */
	EXPECT_STR(source_back(6, "10.5.0.1", 443, 5000), P1);
	left.sport = 5001;
	EXPECT_EQ(site_error("10.5.0.254", &left, 28, 3, 1), 1); /* of nobody: as it came */
	s = &fake->sent[(fake->n_sent - 1) % FAKE_SENT];
	EXPECT_MEM(s->data, packet, s->len);
	stop();
}

TEST(spec40_51_icmp_errors_about_dead_sessions_are_dropped)
{
	begin();
	grant(1, dns(10, "app.example.com", NULL, 0));
	(void)map(1, 10, "app.example.com", P1, "10.5.0.1");
	EXPECT_STR(target_of(1, 6, P1, 5000, 443), "10.5.0.1");
	struct inner_spec left = from_client(1, 6, "10.5.0.1", 443);
	left.sport = 5000;
	advance(SEC(62));
	EXPECT_EQ(site_error("10.5.0.254", &left, 28, 3, 1), 0);
	stop();
}

TEST(client_sent_icmp_errors_never_reach_the_nat)
{
	struct inner_spec s = from_client(1, 1, P1, 0);
	begin();
	grant(1, dns(10, "app.example.com", NULL, 0));
	(void)map(1, 10, "app.example.com", P1, "10.5.0.1");
	s.sport = 3 << 8 | 3;
	EXPECT_EQ(outbound(&s, 1), SILENT);
	EXPECT_EQ(gateway_stats(g)->dropped[DROP_ICMP_ERROR], 1);
	stop();
}

TEST(protocols_without_ports_are_dropped_silently)
{
	begin();
	grant(1, dns(10, "app.example.com", NULL, 0));
	(void)map(1, 10, "app.example.com", P1, "10.5.0.1");
	EXPECT_EQ(to(1, 47, P1, 0), SILENT);
	EXPECT_EQ(gateway_stats(g)->dropped[DROP_NAT_REFUSED], 1);
	stop();
}

/* The ICMP reply to this packet of client 1. */
static const struct fake_sent *reply_to(struct inner_spec *s, struct packet *p)
{
	u32 sent = fake->n_sent;
	EXPECT(outbound(s, 1) != PASSED);
	EXPECT_EQ(fake->n_sent, sent + 1);
	const struct fake_sent *r = &fake->sent[sent % FAKE_SENT];
	EXPECT_EQ(packet_parse(r->data, r->len, TUNNEL_MTU, p), 0);
	return r;
}

TEST(spec40_56_spec40_57_spec40_58_codes_lengths_and_source_of_replies)
{
	static const struct {
		const char *dst;
		u8 type, code;
	} cases[] = { { P1, 3, 0 }, { P2, 3, 13 }, { "10.5.0.1", 3, 13 }, { Q1, 1, 3 }, { Q2, 1, 1 } };
	begin();
	grant(1, dns(10, "app.example.com", NULL, 0));
	(void)map(1, 10, "app.example.com", P1 " " Q1, "");
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++)
		for (unsigned size = 0; size < 2; size++) {
			struct inner_spec s = from_client(1, 17, cases[i].dst, 443);
			struct packet p;
			s.payload_len = size ? 1200 : 0;
			const struct fake_sent *r = reply_to(&s, &p);
			u32 quoted = s.dst.family == 4 ? 28 : 48u + s.payload_len;
			EXPECT_EQ(p.icmp_type, cases[i].type);
			EXPECT_EQ(p.icmp_code, cases[i].code);
			EXPECT(ip_eq(&p.src, &s.dst) && ip_eq(&p.dst, &s.src));
			EXPECT_EQ(r->len, (s.dst.family == 4 ? 28 : 48) + MIN(quoted, 1232u));
			EXPECT_EQ(r->data[s.dst.family == 4 ? 8 : 7], 20);
		}
	stop();
}

TEST(a_run_of_translated_packets_costs_one_lookup_of_routes)
{
	begin();
	grant(1, dns(10, "app.example.com", NULL, 0));
	(void)map(1, 10, "app.example.com", P1, "10.5.0.1");
	EXPECT_TARGET(P1, "10.5.0.1");
	u64 before = gateway_stats(g)->lookups;
	for (unsigned i = 0; i < 100; i++) {
		EXPECT_TARGET(P1, "10.5.0.1");
		EXPECT_STR(source_back(17, "10.5.0.1", 443, 40000), P1);
	}
	EXPECT_EQ(gateway_stats(g)->lookups, before);
	stop();
}

TEST(a_super_packet_of_a_translated_flow_is_rewritten_once_and_cut_right)
{
	static u8 big[9000], payload[6000];
	begin();
	grant(1, dns(10, "app.example.com", NULL, 0));
	(void)map(1, 10, "app.example.com", P1, "10.5.0.1");
	EXPECT_STR(target_of(1, 6, P1, 5000, 443), "10.5.0.1");
	struct inner_spec s = { .src = ip_of("10.5.0.1"), .dst = client_ip(1, 4), .proto = 6, .sport = 443, .dport = 5000, .tcp_flags = TCP_ACK,
				.payload = payload, .payload_len = sizeof(payload) };
	struct tun_pkt t = { .data = big, .len = inner_make(&s, big) };
	t.vnet = (struct vnet){ .flags = VNET_NEEDS_CSUM, .gso_type = VNET_GSO_TCPV4, .gso_size = 1200, .csum_start = 20, .csum_offset = 16 };
	u32 sent = fake->n_sent;
	gateway_tun_input(g, now, wall, &t, 1);
	gateway_flush(g, now);
	EXPECT_EQ(fake->n_sent, sent + 5);
	struct ip proxy = ip_of(P1);
	for (; sent < fake->n_sent; sent++) {
		const struct fake_sent *f = &fake->sent[sent % FAKE_SENT];
		struct packet p;
		EXPECT_EQ(packet_parse(f->data, f->len, TUNNEL_MTU, &p), 0);
		EXPECT(ip_eq(&p.src, &proxy) && p.dst_port == 5000);
		EXPECT(inner_checksums_are_right(f->data, f->len));
	}
	stop();
}
