/* UDP packets made and read inside the tunnel. */
#include "core/base/cursor.h"
#include "core/ip/udp_packet.h"
#include "tests/unit/inner.h"
#include "tests/unit/test.h"

static struct endpoint endpoints(const char *ip, u16 port)
{
	return (struct endpoint){ ip_of(ip), port };
}

static void round_trip(const char *from, const char *to, size_t n)
{
	struct endpoint src = endpoints(from, 53), dst = endpoints(to, 40000);
	u8 payload[UDP_PAYLOAD_MAX + 1], out[TUNNEL_MTU];
	struct packet p;
	struct span back;

	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (u8)(i * 7);
	u32 len = udp_packet_write(&src, &dst, SPAN(payload, n), out);
	REQUIRE(len > 0);
	REQUIRE(packet_parse(out, len, TUNNEL_MTU, &p) == 0);
	EXPECT(p.kind == L4_UDP && p.src_port == 53 && p.dst_port == 40000 && p.len == len);
	EXPECT(ip_eq(&p.src, &src.ip) && ip_eq(&p.dst, &dst.ip));
	EXPECT(inner_checksums_are_right(out, len));
	REQUIRE(udp_packet_read(out, &p, &back) == 0);
	EXPECT_EQ(back.n, n);
	EXPECT_MEM(back.p, payload, n);
	if (n > 0) {
		out[len - 1] ^= 1;
		EXPECT_EQ(udp_packet_read(out, &p, &back), ERR_MALFORMED);
	}
}

TEST(udp_packets_come_back_as_they_were_made)
{
	static const size_t sizes[] = { 0, 1, 2, 511, 1211, 1212 };
	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		round_trip("100.100.111.1", "100.64.0.7", sizes[i]);
		round_trip("fd00:2021:1111:8000:100:100:111:0", "fd00:2021:1111::7", sizes[i]);
	}
}

TEST(udp_packets_that_cannot_be_are_refused)
{
	struct endpoint a = endpoints("100.100.111.1", 53), b = endpoints("fd00::1", 53);
	u8 payload[UDP_PAYLOAD_MAX + 1] = { 0 }, out[TUNNEL_MTU];
	struct packet p;
	struct span back;

	EXPECT_EQ(udp_packet_write(&a, &b, SPAN(payload, 4), out), 0);
	EXPECT_EQ(udp_packet_write(&a, &a, SPAN(payload, sizeof(payload)), out), 0);
	u32 len = udp_packet_write(&a, &a, SPAN(payload, 4), out);
	REQUIRE(packet_parse(out, len, TUNNEL_MTU, &p) == 0);
	put_be16(out + 24, 7); /* UDP length */
	EXPECT_EQ(udp_packet_read(out, &p, &back), ERR_MALFORMED);
	put_be16(out + 24, 13);
	EXPECT_EQ(udp_packet_read(out, &p, &back), ERR_MALFORMED);
	put_be16(out + 24, 12);
	put_be16(out + 26, 0); /* no checksum: IPv4 allows it */
	EXPECT_EQ(udp_packet_read(out, &p, &back), 0);
}
