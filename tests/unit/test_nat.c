/* The address translation of a gateway against its rules one by one; test_nat_model.c holds it against a model. */
#include "core/ip/checksum.h"
#include "core/ip/segment.h"
#include "tests/unit/nat_world.h"

static u8 got[TUNNEL_MTU];

/* From port `sport` of the client to a proxy address; the port under which it left, 0 when it did not. */
static u16 out(u8 proto, u16 sport, const char *proxy, const char *real)
{
	struct inner_spec s = spec(proto, client_of(proxy), sport, proxy, 443);
	if (out_spec(&s, real) != NAT_DONE)
		return 0;
	u16 port = get_be16(packet + (s.src.family == 4 ? 20 : 40));
	s.sport = port;
	s.dst = real ? ip_of(real) : ip_from_bytes(s.dst.family, packet + (s.dst.family == 4 ? 16 : 24));
	(void)is_now(&s);
	return port;
}

static enum nat_result in(u8 proto, const char *real, u16 dport)
{
	struct inner_spec s = spec(proto, real, 443, client_of(real), dport);
	return in_spec(&s);
}

static enum nat_result in_flags(const char *real, u16 dport, u8 flags)
{
	struct inner_spec s = spec(TCP, real, 443, client_of(real), dport);
	s.tcp_flags = flags;
	return in_spec(&s);
}

static enum nat_result out_flags(u16 sport, const char *proxy, u8 flags)
{
	struct inner_spec s = spec(TCP, client_of(proxy), sport, proxy, 443);
	s.tcp_flags = flags;
	return out_spec(&s, NULL);
}

TEST(both_ways_for_every_protocol_and_family)
{
	static const struct {
		const char *proxy, *real;
	} pairs[] = { { "100.96.0.1", "10.1.2.3" }, { "fd00:2021:1111:8000::1", "2001:db8::5" } };
	start();
	for (unsigned i = 0; i < 2; i++) {
		const char *client = client_of(pairs[i].proxy);
		for (unsigned k = 0; k < 2; k++) {
			u8 proto = k ? UDP : TCP;
			EXPECT_EQ(out(proto, 40000, pairs[i].proxy, pairs[i].real), 40000);
			struct inner_spec s = spec(proto, pairs[i].real, 443, client, 40000);
			EXPECT_EQ(in_spec(&s), NAT_DONE);
			s.src = ip_of(pairs[i].proxy);
			(void)is_now(&s);
		}
		struct inner_spec s = echo(true, client, pairs[i].proxy, 77);
		EXPECT_EQ(out_spec(&s, pairs[i].real), NAT_DONE);
		s.dst = ip_of(pairs[i].real);
		(void)is_now(&s);
		s = echo(false, pairs[i].real, client, 77);
		EXPECT_EQ(in_spec(&s), NAT_DONE);
		s.src = ip_of(pairs[i].proxy);
		(void)is_now(&s);
	}
	stop();
}

TEST(spec40_48_a_session_keeps_its_real_address)
{
	start();
	EXPECT_EQ(out(TCP, 40000, "100.96.0.1", "10.0.0.1"), 40000);
	EXPECT_EQ(in(TCP, "10.0.0.1", 40000), NAT_DONE);
	struct inner_spec s = spec(TCP, "100.64.2.1", 40000, "100.96.0.1", 443);
	EXPECT_EQ(out_spec(&s, "10.0.0.2"), NAT_DONE);
	s.dst = ip_of("10.0.0.1");
	(void)is_now(&s);
	EXPECT_EQ(out(TCP, 40001, "100.96.0.1", "10.0.0.2"), 40001); /* a new one goes where the name leads now */
	stop();
}

TEST(spec40_49_the_original_port_is_preferred_then_the_next_free_one)
{
	start();
	EXPECT_EQ(out(UDP, 40000, "100.96.0.1", "10.0.0.1"), 40000);
	EXPECT_EQ(out(UDP, 40000, "100.96.0.2", "10.0.0.1"), 40001); /* another name of that host */
	EXPECT_EQ(out(UDP, 40000, "100.96.0.3", "10.0.0.1"), 40002);
	EXPECT_EQ(out(UDP, 40001, "100.96.0.1", "10.0.0.1"), 40003);
	EXPECT_EQ(out(UDP, 40000, "100.96.0.4", "10.0.0.9"), 40000); /* another host */
	EXPECT_EQ(out(TCP, 40000, "100.96.0.2", "10.0.0.1"), 40000); /* another protocol */
	EXPECT_EQ(out(UDP, 65535, "100.96.0.1", "10.0.0.1"), 65535);
	EXPECT_EQ(out(UDP, 65535, "100.96.0.2", "10.0.0.1"), 1);
	/* the way back finds each */
	struct inner_spec s = spec(UDP, "10.0.0.1", 443, "100.64.2.1", 1);
	EXPECT_EQ(in_spec(&s), NAT_DONE);
	s.src = ip_of("100.96.0.2");
	s.dport = 65535;
	(void)is_now(&s);
	stop();
}

TEST(echo_ids_are_moved_like_ports)
{
	start();
	struct inner_spec s = echo(true, "100.64.2.1", "100.96.0.1", 9);
	EXPECT_EQ(out_spec(&s, "10.0.0.1"), NAT_DONE);
	s = echo(true, "100.64.2.1", "100.96.0.2", 9);
	EXPECT_EQ(out_spec(&s, "10.0.0.1"), NAT_DONE);
	s = echo(true, "100.64.2.1", "10.0.0.1", 10);
	(void)is_now(&s);
	s = echo(false, "10.0.0.1", "100.64.2.1", 10);
	EXPECT_EQ(in_spec(&s), NAT_DONE);
	s = echo(false, "100.96.0.2", "100.64.2.1", 9);
	(void)is_now(&s);
	stop();
}

/* Seconds a confirmed session of this protocol lives when nothing more is heard. */
static u64 idle_life(u8 proto)
{
	u64 n = 0;
	start();
	if (proto == ECHO4) {
		struct inner_spec s = echo(true, "100.64.2.1", "100.96.0.1", 9), r = echo(false, "10.0.0.1", "100.64.2.1", 9);
		EXPECT_EQ(out_spec(&s, "10.0.0.1"), NAT_DONE);
		EXPECT_EQ(in_spec(&r), NAT_DONE);
	} else {
		(void)out(proto, 40000, "100.96.0.1", "10.0.0.1");
		EXPECT_EQ(in(proto, "10.0.0.1", 40000), NAT_DONE);
	}
	for (; nat.n_live > 0 && n < 10000; n++)
		seconds(1);
	stop();
	return n;
}

TEST(spec40_50_idle_sessions_end)
{
	EXPECT_EQ(idle_life(TCP), 7440);
	EXPECT_EQ(idle_life(UDP), 120);
	EXPECT_EQ(idle_life(ECHO4), 120);
}

TEST(spec40_50_traffic_either_way_keeps_a_session)
{
	start();
	(void)out(UDP, 40000, "100.96.0.1", "10.0.0.1");
	EXPECT_EQ(in(UDP, "10.0.0.1", 40000), NAT_DONE);
	for (unsigned i = 0; i < 20; i++) {
		seconds(119);
		if (i % 2)
			EXPECT_EQ(in(UDP, "10.0.0.1", 40000), NAT_DONE);
		else
			EXPECT_EQ(out(UDP, 40000, "100.96.0.1", NULL), 40000);
	}
	seconds(120);
	EXPECT_EQ(in(UDP, "10.0.0.1", 40000), NAT_EXPIRED);
	stop();
}

TEST(spec40_50_what_never_was_answered_ends_60_s_after_the_last_try)
{
	start();
	(void)out(TCP, 40000, "100.96.0.1", "10.0.0.1");
	seconds(30);
	(void)out(TCP, 40000, "100.96.0.1", "10.0.0.1");
	seconds(59);
	EXPECT_EQ(nat.n_live, 1);
	seconds(1);
	EXPECT_EQ(nat.n_live, 0);
	stop();
}

TEST(spec40_50_fin_both_ways_and_rst)
{
	start();
	(void)out(TCP, 40000, "100.96.0.1", "10.0.0.1");
	EXPECT_EQ(in(TCP, "10.0.0.1", 40000), NAT_DONE);
	EXPECT_EQ(out_flags(40000, "100.96.0.1", TCP_FIN | TCP_ACK), NAT_DONE);
	seconds(100);
	EXPECT_EQ(nat.n_live, 1); /* half closed: data may still come */
	EXPECT_EQ(in_flags("10.0.0.1", 40000, TCP_FIN | TCP_ACK), NAT_DONE);
	seconds(3);
	EXPECT_EQ(out_flags(40000, "100.96.0.1", TCP_ACK), NAT_DONE);
	seconds(4);
	EXPECT_EQ(nat.n_live, 1);
	seconds(1);
	EXPECT_EQ(nat.n_live, 0);
	for (unsigned i = 0; i < 2; i++) {
		u16 port = (u16)(41000 + i);
		(void)out(TCP, port, "100.96.0.1", "10.0.0.1");
		EXPECT_EQ(in(TCP, "10.0.0.1", port), NAT_DONE);
		EXPECT_EQ(i ? in_flags("10.0.0.1", port, TCP_RST) : out_flags(port, "100.96.0.1", TCP_RST), NAT_DONE);
		EXPECT_EQ(in(TCP, "10.0.0.1", port), NAT_DONE); /* until the tick */
		seconds(1);
		EXPECT_EQ(nat.n_live, 0);
	}
	stop();
}

TEST(a_port_used_again_at_once_is_a_connection_of_its_own)
{
	start();
	for (unsigned i = 0; i < 2; i++) {
		u16 port = (u16)(40000 + i);
		(void)out(TCP, port, "100.96.0.1", "10.0.0.1");
		EXPECT_EQ(in(TCP, "10.0.0.1", port), NAT_DONE);
		EXPECT_EQ(out_flags(port, "100.96.0.1", i ? TCP_RST : TCP_FIN | TCP_ACK), NAT_DONE);
		EXPECT_EQ(in_flags("10.0.0.1", port, TCP_FIN | TCP_ACK), NAT_DONE);
		EXPECT_EQ(out_flags(port, "100.96.0.1", TCP_SYN), NAT_DONE); /* to another port of that host, say */
		EXPECT_EQ(in_flags("10.0.0.1", port, TCP_SYN | TCP_ACK), NAT_DONE);
	}
	seconds(1000);
	EXPECT_EQ(nat.n_live, 2);
	EXPECT_EQ(in_flags("10.0.0.1", 40000, TCP_RST), NAT_DONE);
	seconds(1);
	EXPECT_EQ(nat.n_live, 1);
	stop();
}

TEST(spec40_50_flags_of_the_first_packet_do_not_count)
{
	struct inner_spec s = spec(TCP, "100.64.2.1", 40000, "100.96.0.1", 443);
	start();
	s.tcp_flags = TCP_RST;
	EXPECT_EQ(out_spec(&s, "10.0.0.1"), NAT_DONE);
	seconds(10);
	EXPECT_EQ(nat.n_live, 1);
	stop();
}

TEST(spec40_51_expired_sessions_drop_unknown_ones_pass)
{
	start();
	EXPECT_EQ(in(UDP, "10.0.0.1", 40000), NAT_NONE);
	(void)out(UDP, 40000, "100.96.0.1", "10.0.0.1");
	seconds(61);
	EXPECT_EQ(in(UDP, "10.0.0.1", 40000), NAT_EXPIRED);
	EXPECT_EQ(in(UDP, "10.0.0.1", 40001), NAT_NONE);
	EXPECT_EQ(in(TCP, "10.0.0.1", 40000), NAT_NONE);
	EXPECT_EQ(in(UDP, "10.0.0.2", 40000), NAT_NONE);
	EXPECT_EQ(out(UDP, 40000, "100.96.0.2", "10.0.0.1"), 40000); /* its port is free again, and then no longer expired */
	EXPECT_EQ(in(UDP, "10.0.0.1", 40000), NAT_DONE);
	EXPECT_EQ(nat.n_expired, 0);
	stop();
}

/* The same server by name and by network, from one port: the answers are of whoever opened last, not late ones of the session that is over. */
TEST(a_port_of_a_session_that_is_over_is_given_up_to_untranslated_packets)
{
	static const u8 closing[] = { TCP_FIN | TCP_ACK, TCP_RST, 0 };
	struct packet p;
	start();
	for (unsigned i = 0; i < ARRAY_LEN(closing) + 1; i++) {
		u8 proto = i == ARRAY_LEN(closing) ? UDP : TCP;
		u16 port = (u16)(40000 + i);
		struct inner_spec s = spec(proto, "100.64.2.1", port, "10.0.0.1", 22);
		(void)out(proto, port, "100.96.0.1", "10.0.0.1");
		EXPECT_EQ(in(proto, "10.0.0.1", port), NAT_DONE);
		if (i < ARRAY_LEN(closing) && closing[i]) {
			(void)out_flags(port, "100.96.0.1", closing[i]);
			EXPECT_EQ(in_flags("10.0.0.1", port, closing[i]), NAT_DONE);
		} else if (proto == UDP) {
			seconds(121);
		}
		s.tcp_flags = TCP_ACK; /* in progress: takes nothing */
		EXPECT_EQ(packet_parse(packet, inner_make(&s, packet), TUNNEL_MTU, &p), 0);
		if (proto == TCP) {
			nat_yield(&nat, &p);
			EXPECT_EQ(in(proto, "10.0.0.1", port), NAT_DONE);
		}
		s.tcp_flags = TCP_SYN;
		EXPECT_EQ(packet_parse(packet, inner_make(&s, packet), TUNNEL_MTU, &p), 0);
		nat_yield(&nat, &p);
		bool is_alive = proto == TCP && closing[i] == 0; /* a live one keeps its port */
		EXPECT_EQ(in(proto, "10.0.0.1", port), is_alive ? NAT_DONE : NAT_NONE);
	}
	seconds(NAT_TCP_SPAN / SEC(1) + 1);
	EXPECT_EQ(nat.n_live, 0);
	EXPECT_EQ(nat.n_expired, 1);
	stop();
}

TEST(expired_sessions_are_remembered_up_to_a_limit_those_heard_of_longest)
{
	start();
	for (u16 port = 1; port <= NAT_EXPIRED_MAX; port++)
		(void)out(UDP, port, "100.96.0.1", "10.0.0.1");
	seconds(61);
	EXPECT_EQ(nat.n_expired, NAT_EXPIRED_MAX);
	EXPECT_EQ(in(UDP, "10.0.0.1", 1), NAT_EXPIRED); /* heard of again */
	for (u16 port = 5001; port <= 5010; port++)
		(void)out(UDP, port, "100.96.0.1", "10.0.0.1");
	seconds(61);
	EXPECT_EQ(nat.n_expired, NAT_EXPIRED_MAX);
	EXPECT_EQ(nat.stats.forgotten, 10);
	EXPECT_EQ(in(UDP, "10.0.0.1", 1), NAT_EXPIRED);
	EXPECT_EQ(in(UDP, "10.0.0.1", 5010), NAT_EXPIRED);
	unsigned known = 0;
	for (u16 port = 1; port <= NAT_EXPIRED_MAX; port++)
		known += in(UDP, "10.0.0.1", port) == NAT_EXPIRED;
	EXPECT_EQ(known, NAT_EXPIRED_MAX - 10);
	stop();
}

TEST(sessions_of_a_client_are_bounded_and_the_old_ones_stay)
{
	start();
	for (u32 i = 0; i < NAT_SESSIONS_MAX; i++)
		(void)out(i % 2 ? TCP : UDP, (u16)(1 + i / 2), "100.96.0.1", "10.0.0.1");
	EXPECT_EQ(nat.n_live, NAT_SESSIONS_MAX);
	EXPECT_EQ(out(UDP, 60000, "100.96.0.1", "10.0.0.1"), 0);
	EXPECT_EQ(nat.stats.refused_full, 1);
	EXPECT_EQ(out(UDP, 1, "100.96.0.1", NULL), 1);
	seconds(61);
	EXPECT_EQ(nat.n_live, 0);
	EXPECT_EQ(out(UDP, 60000, "100.96.0.1", "10.0.0.1"), 60000);
	nat_reset(&nat);
	EXPECT(nat_is_empty(&nat));
	EXPECT_EQ(in(UDP, "10.0.0.1", 60000), NAT_NONE);
	stop();
}

TEST(a_port_is_not_searched_for_without_end)
{
	char proxy[IP_STRLEN];
	start();
	for (unsigned i = 0; i < NAT_PROBES_NEAR + NAT_PROBES_FAR; i++) {
		struct ip ip = ip4(100, 96, 0, (u8)i);
		u16 port = out(UDP, 40000, ip_format(&ip, proxy), "10.0.0.1");
		if (i < NAT_PROBES_NEAR)
			EXPECT_EQ(port, 40000 + i);
		else
			EXPECT(port > 0 && (port < 40000 || port >= 40000 + NAT_PROBES_NEAR));
	}
	EXPECT_EQ(out(UDP, 40000, "100.97.0.0", "10.0.0.1"), 0);
	EXPECT_EQ(nat.stats.refused_no_port, 1);
	stop();
}

/* A long run of taken ports neither refuses a new session nor makes it dear. */
TEST(a_run_of_taken_ports_is_left_behind)
{
	start();
	for (unsigned i = 0; i < 12000; i++)
		EXPECT_EQ(out(UDP, (u16)(20000 + i), "100.96.0.1", "10.0.0.1"), 20000 + i);
	for (unsigned i = 0; i < 4000; i++)
		EXPECT(out(UDP, (u16)(20000 + i), "100.96.0.2", "10.0.0.1") > 0);
	EXPECT_EQ(nat.stats.refused_no_port, 0);
	stop();
}

TEST(spec40_52_families_are_never_mixed)
{
	struct inner_spec s = spec(UDP, "100.64.2.1", 40000, "100.96.0.1", 443);
	start();
	EXPECT_EQ(out_spec(&s, "2001:db8::1"), NAT_REFUSED);
	s = spec(47, "100.64.2.1", 0, "100.96.0.1", 0);
	EXPECT_EQ(out_spec(&s, "10.0.0.1"), NAT_REFUSED); /* nor what has no ports */
	s = echo(true, "100.64.2.1", "100.96.0.1", 5);
	s.sport = 13 << 8;
	s.payload_len = 12;
	s.payload = NULL;
	EXPECT_EQ(out_spec(&s, "10.0.0.1"), NAT_REFUSED);
	EXPECT(nat_is_empty(&nat));
	stop();
}

TEST(a_udp_checksum_of_zero_stays_zero)
{
	struct inner_spec s = spec(UDP, "100.64.2.1", 40000, "100.96.0.1", 443);
	struct ip real = ip_of("10.0.0.1");
	struct packet p;
	start();
	u32 len = inner_make(&s, packet);
	put_be16(packet + 26, 0);
	REQUIRE(packet_parse(packet, len, TUNNEL_MTU, &p) == 0);
	EXPECT_EQ(nat_outbound(&nat, now, &real, packet, &p), NAT_DONE);
	EXPECT_EQ(get_be16(packet + 26), 0);
	EXPECT_EQ(inner_checksum(packet, 20, 0), 0xffff);
	stop();
}

TEST(a_udp_checksum_that_becomes_zero_is_sent_as_ffff)
{
	struct inner_spec s = spec(UDP, "100.64.2.1", 40000, "100.96.0.1", 443);
	u8 payload[2] = { 0 };
	s.payload = payload;
	s.payload_len = 2;
	start();
	struct inner_spec after = s;
	after.dst = ip_of("10.0.0.1");
	(void)inner_make(&after, want);
	put_be16(payload, get_be16(want + 26)); /* completes the sum to ffff */
	(void)inner_make(&after, want);
	EXPECT_EQ(get_be16(want + 26), 0xffff);
	EXPECT_EQ(out_spec(&s, "10.0.0.1"), NAT_DONE);
	(void)is_now(&after);
	stop();
}

/* A packet as a TUN read brings it: the checksum field holds the pseudo header's sum only. */
static void make_partial(const struct inner_spec *s, u8 *out, struct tun_pkt *t)
{
	u32 len = inner_make(s, out);
	bool is_v6 = s->src.family == 6;
	u16 l4 = is_v6 ? 40 : 20, at = s->proto == TCP ? 16 : 6;
	put_be16(out + l4 + at, csum_fold(csum_pseudo(out + (is_v6 ? 8 : 12), is_v6 ? 16 : 4, len - l4, s->proto)));
	*t = (struct tun_pkt){ .data = out, .len = len, .vnet = { .flags = VNET_NEEDS_CSUM, .csum_start = l4, .csum_offset = at } };
}

TEST(partial_checksums_and_super_packets_become_right_when_they_are_cut)
{
	static const char *const proxies[] = { "100.96.0.1", "fd00:2021:1111:8000::1" }, *const reals[] = { "10.0.0.1", "2001:db8::1" };
	static u8 big[8192], slot[TUNNEL_MTU], payload[5000];
	start();
	rng_fill(&rng.rng, payload, sizeof(payload));
	for (unsigned i = 0; i < 8; i++) {
		const char *real = reals[i & 1], *proxy = proxies[i & 1];
		bool is_super = i & 4;
		struct inner_spec s = spec(i & 2 ? UDP : TCP, real, 443, client_of(real), 0);
		struct segmenter cut;
		struct tun_pkt t;
		(void)out(s.proto, 7000, proxy, real);
		(void)out(s.proto, 7000, i & 1 ? "fd00:2021:1111:8000::2" : "100.96.0.2", real); /* whose port is another outside */
		s.dport = 7001;
		s.payload = payload;
		s.payload_len = is_super ? sizeof(payload) : 1000;
		make_partial(&s, big, &t);
		if (is_super) {
			t.vnet.gso_type = s.proto == UDP ? VNET_GSO_UDP_L4 : i & 1 ? VNET_GSO_TCPV6 : VNET_GSO_TCPV4;
			t.vnet.gso_size = 1200;
		}
		REQUIRE(segment_init(&cut, &t) == 0);
		EXPECT_EQ(nat_inbound(&nat, now, t.data, &cut.p, true), NAT_DONE);
		unsigned n = 0;
		for (u32 len; (len = segment_next_len(&cut)); n++) {
			struct packet p;
			segment_write(&cut, slot);
			EXPECT(inner_checksums_are_right(slot, len));
			EXPECT_EQ(packet_parse(slot, len, TUNNEL_MTU, &p), 0);
			struct ip from = ip_of(i & 1 ? "fd00:2021:1111:8000::2" : "100.96.0.2");
			EXPECT(ip_eq(&p.src, &from) && p.dst_port == 7000 && p.src_port == 443);
		}
		EXPECT_EQ(n, is_super ? 5 : 1);
	}
	stop();
}

/* --- ICMP errors (spec 40 §9.6) --------------------------------------------------------------------------------------------------------- */

/* An error from `router` about what lies in want[0..quoted); the result of translation in got[0..*len). */
static enum nat_result error_about(const char *router, u8 type, u8 code, u32 rest, u32 quoted, u32 *len)
{
	struct inner_spec s = { .src = ip_of(router), .dst = ip_of(client_of(router)), .payload = want, .payload_len = (u16)quoted };
	struct packet p;
	s.proto = s.src.family == 4 ? ECHO4 : ECHO6;
	s.sport = (u16)(type << 8 | code);
	s.dport = (u16)(rest >> 16);
	s.seq = rest;
	u32 n = inner_make(&s, packet);
	if (!EXPECT_EQ(packet_parse(packet, n, TUNNEL_MTU, &p), 0))
		return NAT_REFUSED;
	return nat_inbound_error(&nat, now, packet, &p, got, len);
}

TEST(spec40_53_an_icmp_error_is_rebuilt_with_exactly_two_edits)
{
	static const struct {
		const char *proxy, *other, *real, *router;
		u8 type, code;
		u32 rest;
	} cases[] = {
		{ "100.96.0.1", "100.96.0.2", "10.0.0.1", "10.9.9.9", 3, 4, 1200 },
		{ "100.96.0.1", "100.96.0.2", "10.0.0.1", "10.0.0.1", 11, 0, 0 },
		{ "fd00:2021:1111:8000::1", "fd00:2021:1111:8000::2", "2001:db8::1", "2001:db8::9", 2, 0, 1280 },
		{ "fd00:2021:1111:8000::1", "fd00:2021:1111:8000::2", "2001:db8::1", "2001:db8::9", 1, 4, 0 },
	};
	static const u8 protos[] = { TCP, UDP };
	for (unsigned i = 0; i < ARRAY_LEN(cases) * 2; i++) {
		const char *proxy = cases[i / 2].proxy, *real = cases[i / 2].real;
		bool is_v6 = strchr(proxy, ':');
		u8 proto = protos[i % 2];
		u32 ip_len = is_v6 ? 40 : 20, len = 0;
		struct packet p;
		start();
		(void)out(proto, 5000, cases[i / 2].other, real);
		(void)out(proto, 5000, proxy, real); /* leaves from 5001 */
		struct inner_spec sent = spec(proto, client_of(proxy), 5001, real, 443);
		u32 quoted = inner_make(&sent, want);
		EXPECT_EQ(error_about(cases[i / 2].router, cases[i / 2].type, cases[i / 2].code, cases[i / 2].rest, quoted, &len), NAT_DONE);
		EXPECT_EQ(len, ip_len + 8 + quoted);
		REQUIRE(packet_parse(got, len, TUNNEL_MTU, &p) == 0);
		struct ip from = ip_of(proxy), to = ip_of(client_of(proxy));
		EXPECT(ip_eq(&p.src, &from) && ip_eq(&p.dst, &to));
		EXPECT(inner_checksums_are_right(got, len));
		EXPECT_EQ(got[is_v6 ? 7 : 8], 20);
		EXPECT_EQ(p.icmp_type, cases[i / 2].type);
		EXPECT_EQ(p.icmp_code, cases[i / 2].code);
		EXPECT_EQ(get_be32(got + ip_len + 4), cases[i / 2].rest);
		memcpy(want + (is_v6 ? 24 : 16), from.b, is_v6 ? 16 : 4);
		put_be16(want + ip_len, 5000);
		EXPECT_MEM(got + ip_len + 8, want, quoted); /* the checksums inside are stale */
		stop();
	}
}

TEST(spec40_53_an_icmp_error_about_an_echo_request)
{
	u32 len = 0;
	start();
	struct inner_spec s = echo(true, "100.64.2.1", "100.96.0.1", 9);
	EXPECT_EQ(out_spec(&s, "10.0.0.1"), NAT_DONE);
	s.dst = ip_of("10.0.0.1");
	u32 quoted = inner_make(&s, want);
	EXPECT_EQ(error_about("10.9.9.9", 3, 1, 0, quoted, &len), NAT_DONE);
	memcpy(want + 16, ip_of("100.96.0.1").b, 4);
	EXPECT_MEM(got + 28, want, quoted);
	s = echo(false, "100.64.2.1", "10.0.0.1", 9); /* about a reply: it quotes nothing of ours */
	quoted = inner_make(&s, want);
	EXPECT_EQ(error_about("10.9.9.9", 3, 1, 0, quoted, &len), NAT_NONE);
	stop();
}

TEST(spec40_54_an_icmp_error_confirms_a_session)
{
	struct inner_spec s = spec(TCP, "100.64.2.1", 5000, "10.0.0.1", 443);
	u32 len = 0;
	start();
	(void)out(TCP, 5000, "100.96.0.1", "10.0.0.1");
	seconds(50);
	u32 quoted = inner_make(&s, want);
	EXPECT_EQ(error_about("10.9.9.9", 3, 1, 0, quoted, &len), NAT_DONE);
	seconds(1000);
	EXPECT_EQ(nat.n_live, 1);
	seconds(7440);
	EXPECT_EQ(error_about("10.9.9.9", 3, 1, 0, quoted, &len), NAT_EXPIRED);
	s.sport = 5001;
	quoted = inner_make(&s, want);
	EXPECT_EQ(error_about("10.9.9.9", 3, 1, 0, quoted, &len), NAT_NONE);
	stop();
}

TEST(spec40_55_a_quote_may_be_cut_behind_the_ports)
{
	u32 len = 0;
	start();
	(void)out(TCP, 5000, "100.96.0.1", "10.0.0.1");
	(void)out(TCP, 5000, "fd00:2021:1111:8000::1", "2001:db8::1");
	struct inner_spec s = spec(TCP, "100.64.2.1", 5000, "10.0.0.1", 443);
	(void)inner_make(&s, want);
	EXPECT_EQ(error_about("10.0.0.1", 3, 3, 0, 28, &len), NAT_DONE);
	EXPECT_EQ(len, 56);
	EXPECT_EQ(error_about("10.0.0.1", 3, 3, 0, 24, &len), NAT_DONE);
	EXPECT_EQ(error_about("10.0.0.1", 3, 3, 0, 23, &len), NAT_NONE);
	want[0] = 0x46; /* options: ports lie four bytes further */
	memmove(want + 24, want + 20, 8);
	EXPECT_EQ(error_about("10.0.0.1", 3, 3, 0, 32, &len), NAT_DONE);
	EXPECT_EQ(get_be16(got + 28 + 24), 5000);
	EXPECT_MEM(got + 28 + 16, ip_of("100.96.0.1").b, 4);
	s = spec(TCP, "fd00:2021:1111::2:1", 5000, "2001:db8::1", 443);
	(void)inner_make(&s, want);
	EXPECT_EQ(error_about("2001:db8::1", 1, 4, 0, 48, &len), NAT_DONE);
	EXPECT_EQ(error_about("10.0.0.1", 3, 3, 0, 48, &len), NAT_NONE); /* an IPv6 packet in an ICMPv4 error */
	stop();
}
