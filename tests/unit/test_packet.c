#include "core/base/rng.h"
#include "core/ip/checksum.h"
#include "core/ip/icmp.h"
#include "core/ip/packet.h"
#include "tests/unit/inner.h"
#include "tests/unit/test.h"

#include <string.h>

static u8 buf[2048];

static struct inner_spec udp4(u16 payload_len)
{
	return (struct inner_spec){ .src = ip_of("100.64.0.7"), .dst = ip_of("10.9.0.1"), .proto = 17, .sport = 4000, .dport = 53,
				    .payload_len = payload_len };
}

static struct inner_spec tcp6(u16 payload_len)
{
	return (struct inner_spec){ .src = ip_of("fd00:2021:1111::7"), .dst = ip_of("2001:db8::9"), .proto = 6, .sport = 50000,
				    .dport = 443, .seq = 0x01020304, .tcp_flags = TCP_SYN, .payload_len = payload_len };
}

static int parse(u32 len, struct packet *p)
{
	return packet_parse(buf, len, TUNNEL_MTU, p);
}

TEST(checksums_equal_the_textbook_at_every_length_and_update_incrementally)
{
	struct rng_seeded r;
	static u8 data[3000];
	rng_seeded_init(&r, 3);
	rng_fill(&r.rng, data, sizeof(data));
	for (size_t n = 0; n < 400; n++)
		EXPECT_EQ(csum_fold(csum_add(0, data + n % 7, n)), inner_checksum(data + n % 7, n, 0));
	EXPECT_EQ(csum_fold(csum_add(0, data, sizeof(data))), inner_checksum(data, sizeof(data), 0));
	static u8 ones[70000];
	memset(ones, 0xff, sizeof(ones));
	EXPECT_EQ(csum_fold(csum_add(0, ones, sizeof(ones))), 0xffff);
	for (unsigned i = 0; i < 2000; i++) {
		u16 before = csum_finish(csum_add(0, data, 64));
		u8 from[16];
		size_t at = rng_below(&r.rng, 24) * 2;
		memcpy(from, data + at, 16);
		rng_fill(&r.rng, data + at, 16);
		u16 updated = csum_update(before, from, data + at, 16);
		u16 whole = csum_finish(csum_add(0, data, 64));
		EXPECT(updated == whole || (u16)(updated ^ whole) == 0xffff);
	}
}

TEST(packet_fields_are_read_once_for_both_families)
{
	struct packet p;
	struct inner_spec s = udp4(100);
	s.tos = 0xb9;
	REQUIRE(parse(inner_make(&s, buf), &p) == 0);
	EXPECT_EQ(p.kind, L4_UDP);
	EXPECT_EQ(p.src_port, 4000);
	EXPECT_EQ(p.dst_port, 53);
	EXPECT_EQ(p.len, 128);
	EXPECT_EQ(p.l4, 20);
	EXPECT_EQ(packet_ecn(&p), ECN_ECT1);
	EXPECT(ip_eq(&p.dst, &s.dst) && ip_eq(&p.src, &s.src));

	s = tcp6(7);
	s.tos = 2;
	REQUIRE(parse(inner_make(&s, buf) + 9, &p) == 0);
	EXPECT_EQ(p.kind, L4_TCP);
	EXPECT_EQ(p.tcp_seq, 0x01020304);
	EXPECT_EQ(p.tcp_flags, TCP_SYN);
	EXPECT_EQ(p.tos, 2);
	EXPECT_EQ(p.len, 67); /* the 9 bytes of padding are not counted */
}

TEST(spec40_24_fragments_are_refused_but_atomic_ones_pass)
{
	struct packet p;
	struct inner_spec s = udp4(8);
	u32 n = inner_make(&s, buf);
	put_be16(buf + 6, 0x2000);
	EXPECT_EQ(parse(n, &p), ERR_UNSUPPORTED);
	put_be16(buf + 6, 0x0001);
	EXPECT_EQ(parse(n, &p), ERR_UNSUPPORTED);
	put_be16(buf + 6, 0x4000);
	EXPECT_EQ(parse(n, &p), 0);

	s = (struct inner_spec){ .src = ip_of("fd00::1"), .dst = ip_of("fd00::2"), .proto = 44, .payload_len = 16 };
	n = inner_make(&s, buf);
	buf[40] = 17;
	put_be16(buf + 48 + 4, 8);
	EXPECT_EQ(parse(n, &p), 0);
	EXPECT_EQ(p.kind, L4_UDP);
	EXPECT_EQ(p.l4, 48);
	buf[43] = 1;
	EXPECT_EQ(parse(n, &p), ERR_UNSUPPORTED);
	buf[43] = 8;
	EXPECT_EQ(parse(n, &p), ERR_UNSUPPORTED);
}

TEST(spec40_24_oversize_and_malformed_packets_are_refused)
{
	struct packet p;
	struct inner_spec s = udp4(1252);
	u32 n = inner_make(&s, buf);
	EXPECT_EQ(n, 1280);
	EXPECT_EQ(parse(n, &p), 0);
	s.payload_len++;
	EXPECT_EQ(parse(inner_make(&s, buf), &p), ERR_LIMIT);

	s = udp4(20);
	n = inner_make(&s, buf);
	for (u32 len = 0; len < n; len++)
		EXPECT_EQ(parse(len, &p), ERR_MALFORMED);
	struct inner_spec t = tcp6(0);
	n = inner_make(&t, buf);
	for (u32 len = 0; len < n; len++)
		EXPECT_EQ(parse(len, &p), ERR_MALFORMED);

	n = inner_make(&s, buf);
	buf[0] = 0x44;
	EXPECT_EQ(parse(n, &p), ERR_MALFORMED); /* IHL 4 */
	buf[0] = 0x55;
	EXPECT_EQ(parse(n, &p), ERR_MALFORMED); /* version 5 */
	n = inner_make(&s, buf);
	put_be16(buf + 2, 19);
	EXPECT_EQ(parse(n, &p), ERR_MALFORMED); /* shorter than its header */
	n = inner_make(&s, buf);
	put_be16(buf + 24, 29);
	EXPECT_EQ(parse(n, &p), ERR_MALFORMED); /* UDP longer than the packet */
	put_be16(buf + 24, 7);
	EXPECT_EQ(parse(n, &p), ERR_MALFORMED);
	put_be16(buf + 24, 0);
	EXPECT_EQ(parse(n, &p), 0);
	n = inner_make(&t, buf);
	buf[40 + 12] = 0x40;
	EXPECT_EQ(parse(n, &p), ERR_MALFORMED); /* data offset 4 */
	buf[40 + 12] = 0x60;
	EXPECT_EQ(parse(n, &p), ERR_MALFORMED); /* options beyond the end */
}

TEST(spec40_24_icmp_belongs_to_its_family)
{
	struct packet p;
	struct inner_spec s = udp4(8);
	s.proto = 1;
	s.sport = 8 << 8;
	s.dport = 77;
	u32 n = inner_make(&s, buf);
	EXPECT_EQ(parse(n, &p), 0);
	EXPECT_EQ(p.kind, L4_ECHO);
	EXPECT_EQ(p.dst_port, 77);
	buf[9] = 58;
	EXPECT_EQ(parse(n, &p), ERR_MALFORMED);
	s.proto = 1;
	s.sport = 13 << 8; /* a timestamp has 20 bytes exactly */
	EXPECT_EQ(parse(inner_make(&s, buf), &p), ERR_MALFORMED);
	s.payload_len = 12;
	EXPECT_EQ(parse(inner_make(&s, buf), &p), 0);
	EXPECT_EQ(p.kind, L4_ICMP_OTHER);
	struct inner_spec t = tcp6(8);
	t.proto = 1;
	EXPECT_EQ(parse(inner_make(&t, buf), &p), ERR_MALFORMED);
}

TEST(extension_headers_are_walked_to_the_transport)
{
	struct packet p;
	struct inner_spec s = { .src = ip_of("fd00::1"), .dst = ip_of("fd00::2"), .proto = 0, .payload_len = 8 + 16 + 8 + 12 };
	u32 n = inner_make(&s, buf);
	u8 *e = buf + 40;
	e[0] = 60; /* hop-by-hop, 8 bytes */
	e[8] = 51; /* destination, 16 bytes */
	e[9] = 1;
	e[24] = 17; /* authentication, (0 + 2) * 4 bytes */
	put_be16(e + 32, 1000);
	put_be16(e + 34, 2000);
	put_be16(e + 36, 12);
	REQUIRE(parse(n, &p) == 0);
	EXPECT_EQ(p.kind, L4_UDP);
	EXPECT_EQ(p.l4, 72);
	EXPECT_EQ(p.dst_port, 2000);
	e[9] = 200;
	EXPECT_EQ(parse(n, &p), ERR_MALFORMED);
}

TEST(control_packets_and_prohibited_errors_are_recognised)
{
	struct packet p;
	u8 goodbye[48] = { 0x60, 0, 0, 0, 0, 8, 0xff, 0 };
	goodbye[40] = 2;
	REQUIRE(packet_parse(goodbye, 48, TUNNEL_MTU, &p) == 0);
	EXPECT(packet_is_control(&p));
	goodbye[39] = 1;
	REQUIRE(packet_parse(goodbye, 48, TUNNEL_MTU, &p) == 0);
	EXPECT(!packet_is_control(&p));
	EXPECT(!packet_is_prohibited(&p));
}

TEST(spec20_06_only_ect_becomes_ce_and_the_checksum_follows)
{
	struct packet p;
	for (u8 inner = 0; inner < 4; inner++)
		for (u8 outer = 0; outer < 4; outer++)
			for (unsigned v6 = 0; v6 < 2; v6++) {
				struct inner_spec s = v6 ? tcp6(10) : udp4(10);
				s.tos = (u8)(0x48 | inner);
				u32 n = inner_make(&s, buf);
				REQUIRE(parse(n, &p) == 0);
				packet_merge_ecn(buf, &p, outer);
				bool becomes_ce = outer == 3 && (inner == 1 || inner == 2);
				EXPECT_EQ(p.tos, becomes_ce ? 0x4b : 0x48 | inner);
				struct packet again;
				REQUIRE(parse(n, &again) == 0);
				EXPECT_EQ(again.tos, p.tos);
				EXPECT(inner_checksums_are_right(buf, n));
			}
}

TEST(spec40_56_spec40_57_spec40_58_icmp_replies)
{
	u8 reply[ICMP_REPLY_MAX];
	struct packet p, q, quoted;
	for (u16 len = 0; len <= 1252; len = (u16)(len + 313)) {
		struct inner_spec s = udp4(len);
		REQUIRE(parse(inner_make(&s, buf), &p) == 0);
		u32 n = icmp_reply(ICMP_FILTERED, buf, &p, reply);
		EXPECT_EQ(n, 20 + 8 + 28);
		EXPECT(inner_checksums_are_right(reply, n));
		REQUIRE(packet_parse(reply, n, TUNNEL_MTU, &q) == 0);
		EXPECT(packet_is_prohibited(&q));
		EXPECT(ip_eq(&q.src, &s.dst) && ip_eq(&q.dst, &s.src));
		EXPECT_EQ(reply[8], 20);
		EXPECT_EQ(get_be16(reply + 6), 0x4000);
		EXPECT_EQ(get_be16(reply + 4), 0);
		EXPECT_MEM(reply + 28, buf, 28);
		REQUIRE(packet_parse_quoted(reply, &q, &quoted) == 0);
		EXPECT_EQ(quoted.dst_port, 53);
		EXPECT(ip_eq(&quoted.dst, &s.dst));

		n = icmp_reply(ICMP_UNREACHABLE, buf, &p, reply);
		EXPECT_EQ(reply[20], 3);
		EXPECT_EQ(reply[21], 0);

		struct inner_spec t = tcp6((u16)(len > 1220 ? 1220 : len));
		u32 orig = inner_make(&t, buf);
		REQUIRE(parse(orig, &p) == 0);
		n = icmp_reply(ICMP_FILTERED, buf, &p, reply);
		EXPECT_EQ(n, 48 + MIN(orig, 1232u));
		EXPECT(inner_checksums_are_right(reply, n));
		REQUIRE(packet_parse(reply, n, TUNNEL_MTU, &q) == 0);
		EXPECT(packet_is_prohibited(&q));
		REQUIRE(packet_parse_quoted(reply, &q, &quoted) == 0);
		EXPECT_EQ(quoted.dst_port, 443);
		n = icmp_reply(ICMP_UNREACHABLE, buf, &p, reply);
		EXPECT_EQ(reply[40], 1);
		EXPECT_EQ(reply[41], 3);
	}
}

TEST(spec40_55_quoted_packets_need_only_their_first_bytes)
{
	u8 reply[ICMP_REPLY_MAX];
	struct packet p, q, quoted;
	struct inner_spec s = udp4(40);
	REQUIRE(parse(inner_make(&s, buf), &p) == 0);
	u32 n = icmp_reply(ICMP_UNREACHABLE, buf, &p, reply);
	REQUIRE(packet_parse(reply, n, TUNNEL_MTU, &q) == 0);
	q.len -= 4; /* ports only */
	EXPECT_EQ(packet_parse_quoted(reply, &q, &quoted), 0);
	q.len--;
	EXPECT_EQ(packet_parse_quoted(reply, &q, &quoted), ERR_MALFORMED);
	s.proto = 47;
	REQUIRE(parse(inner_make(&s, buf), &p) == 0);
	n = icmp_reply(ICMP_UNREACHABLE, buf, &p, reply);
	REQUIRE(packet_parse(reply, n, TUNNEL_MTU, &q) == 0);
	EXPECT_EQ(packet_parse_quoted(reply, &q, &quoted), ERR_UNSUPPORTED);
}
