#include "core/base/cursor.h"
#include "core/ip/coalesce.h"
#include "core/ip/segment.h"
#include "tests/unit/inner.h"
#include "tests/unit/test.h"

#include <stdlib.h>
#include <string.h>

#define PACKETS_MAX 1500

struct flat {
	u32 len;
	u8 data[TUNNEL_MTU];
};

static struct flat in[PACKETS_MAX], out[PACKETS_MAX];

/* As a receive buffer looks: WireGuard header, packet, padding, tag, over and over. */
static u8 arena[PACKETS_MAX * (16 + TUNNEL_MTU + 32)];
static u8 *place[PACKETS_MAX];

static void lay_out(size_t n)
{
	u8 *p = arena;
	memset(arena, 0xee, sizeof(arena));
	for (size_t i = 0; i < n; i++) {
		p += 16;
		place[i] = p;
		memcpy(p, in[i].data, in[i].len);
		p += (in[i].len + 15) / 16 * 16 + 16;
	}
}

/* Coalesces in[0..n) and cuts the result again into out[]; returns how many. */
static size_t there_and_back(struct coalescer *c, size_t n, size_t *n_super)
{
	size_t count, m = 0;
	lay_out(n);
	coalesce_reset(c);
	for (size_t i = 0; i < n; i++) {
		struct packet p;
		if (!EXPECT_EQ(packet_parse(place[i], in[i].len, TUNNEL_MTU, &p), 0))
			return 0;
		coalesce_add(c, place[i], &p);
	}
	coalesce_finish(c);
	struct tun_pkt *t = coalesce_out(c, &count);
	*n_super = count;
	for (size_t i = 0; i < count; i++) {
		static u8 memory[SUPER_PACKET_MAX];
		struct segmenter s;
		u32 len, pieces = 1;
		memset(t[i].data - TUN_HEADROOM, 0x5a, TUN_HEADROOM); /* the platform's right */
		for (const struct tun_piece *p = t[i].more; p; p = p->next)
			pieces++;
		EXPECT(pieces <= TUN_PIECES_MAX);
		struct tun_pkt whole = tun_pkt_gather(&t[i], memory);
		if (!EXPECT_EQ(segment_init(&s, &whole), 0))
			return 0;
		while ((len = segment_next_len(&s)) > 0 && m < PACKETS_MAX) {
			out[m].len = len;
			segment_write(&s, out[m++].data);
		}
	}
	return m;
}

static bool is_same_flow(const struct flat *a, const struct flat *b)
{
	struct packet p, q;
	return packet_parse(a->data, a->len, TUNNEL_MTU, &p) == 0 && packet_parse(b->data, b->len, TUNNEL_MTU, &q) == 0 &&
	       p.proto == q.proto && ip_eq(&p.src, &q.src) && ip_eq(&p.dst, &q.dst) && p.src_port == q.src_port && p.dst_port == q.dst_port;
}

struct stream {
	struct inner_spec s;
	u16 mss;
};

/* A few flows that mostly stream and sometimes do anything else. */
static size_t random_packets(struct rng *rng, size_t n)
{
	static u8 payload[TUNNEL_MTU];
	struct stream flows[20];
	size_t n_flows = 1 + rng_below(rng, rng_below(rng, 2) ? 3 : 20);

	rng_fill(rng, payload, sizeof(payload));
	for (size_t i = 0; i < n_flows; i++) {
		bool v6 = rng_below(rng, 2);
		flows[i].s = (struct inner_spec){
			.src = ip_of(v6 ? "fd00:2021:1111::7" : "100.64.0.7"),
			.dst = ip_of(v6 ? "2001:db8::1" : "10.0.0.1"),
			.proto = rng_below(rng, 3) ? 6 : 17,
			.sport = (u16)(1000 + i),
			.dport = 80,
			.seq = rng_u32(rng),
			.ack = rng_u32(rng),
			.window = 500,
			.tcp_flags = TCP_ACK,
			.tcp_options = (u8)(rng_below(rng, 2) * 12),
			.id = (u16)rng_u32(rng),
			.no_df = rng_below(rng, 3) == 0,
			.payload = payload,
		};
		flows[i].mss = (u16)(rng_below(rng, 2) ? 1200 : 1 + rng_below(rng, 1200));
	}
	for (size_t i = 0; i < n; i++) {
		struct stream *f = &flows[rng_below(rng, n_flows)];
		struct inner_spec s = f->s;
		unsigned oddity = (unsigned)rng_below(rng, 60);
		s.payload_len = f->mss;
		if (oddity == 0)
			s.payload_len = (u16)rng_below(rng, 1200);
		if (oddity == 1 || oddity == 2)
			s.tcp_flags |= TCP_PSH;
		if (oddity == 3)
			s.tcp_flags |= (u8)rng_u32(rng);
		if (oddity == 4)
			s.seq += (u32)rng_below(rng, 2000);
		if (oddity == 5)
			s.ack++, f->s.ack++;
		if (oddity == 6)
			s.tos = 2;
		if (oddity == 7)
			s.window++;
		if (oddity == 8)
			s.ttl = 9;
		if (oddity == 9)
			s.payload_len = 0;
		if (oddity == 10)
			s.id += 7;
		in[i].len = inner_make(&s, in[i].data);
		if (oddity == 11)
			in[i].data[in[i].len - 1] ^= 1; /* a wrong checksum */
		if (oddity == 12 && s.src.family == 4 && s.proto == 17)
			memset(in[i].data + 26, 0, 2); /* UDP without checksum */
		f->s.seq = s.seq + s.payload_len;
		f->s.id = (u16)(s.id + 1);
	}
	return n;
}

TEST(cutting_what_was_coalesced_gives_every_flow_back_byte_by_byte)
{
	struct coalescer *c = coalesce_new();
	size_t supers = 0, total = 0;

	REQUIRE(c);
	for (u64 seed = 0; seed < 300; seed++) {
		struct rng_seeded r;
		size_t n_super;
		rng_seeded_init(&r, seed);
		size_t n = random_packets(&r.rng, 1 + rng_below(&r.rng, seed % 10 ? 100 : PACKETS_MAX));
		size_t m = there_and_back(c, n, &n_super);
		REQUIRE(m == n);
		supers += n_super;
		total += n;
		/* The order within a flow is kept: each input meets the first unused output of its flow. */
		static bool used[PACKETS_MAX];
		memset(used, 0, sizeof(used));
		for (size_t i = 0; i < n; i++) {
			size_t j = 0;
			while (j < m && (used[j] || !is_same_flow(&in[i], &out[j])))
				j++;
			REQUIRE(j < m);
			used[j] = true;
			REQUIRE(EXPECT_EQ(out[j].len, in[i].len));
			if (in[i].data[0] >> 4 == 4 && (in[i].data[6] & 0x40)) { /* an atomic packet's id says nothing */
				put_be16(in[i].data + 4, 0);
				put_be16(out[j].data + 4, 0);
				put_be16(in[i].data + 10, 0);
				put_be16(out[j].data + 10, 0);
			}
			REQUIRE(EXPECT_MEM(out[j].data, in[i].data, in[i].len));
		}
	}
	EXPECT(supers < total * 2 / 3); /* the test would prove nothing if little was joined */
	coalesce_free(c);
}

TEST(one_stream_becomes_one_super_packet_of_pieces_where_they_lie)
{
	struct coalescer *c = coalesce_new();
	struct inner_spec s = { .src = ip_of("10.0.0.1"), .dst = ip_of("100.64.0.7"), .proto = 6, .sport = 80, .dport = 5000,
				.seq = 1, .tcp_flags = TCP_ACK, .payload_len = 1228, .window = 9 };
	size_t count;

	REQUIRE(c);
	for (size_t i = 0; i < 53; i++, s.seq += 1228, s.id++)
		in[i].len = inner_make(&s, in[i].data);
	lay_out(53);
	coalesce_reset(c);
	for (size_t i = 0; i < 53; i++) {
		struct packet p;
		REQUIRE(packet_parse(place[i], in[i].len, TUNNEL_MTU, &p) == 0);
		coalesce_add(c, place[i], &p);
	}
	coalesce_finish(c);
	struct tun_pkt *t = coalesce_out(c, &count);
	EXPECT_EQ(count, 1);
	EXPECT(t[0].data == place[0]);
	EXPECT_EQ(t[0].head, 40 + 1228);
	size_t n = 1;
	for (const struct tun_piece *p = t[0].more; p; p = p->next, n++)
		EXPECT(p->data == place[n] + 40 && p->len == 1228);
	EXPECT_EQ(n, 53);
	EXPECT_EQ(t[0].len, 40 + 53 * 1228);
	EXPECT_EQ(t[0].vnet.gso_type, VNET_GSO_TCPV4);
	EXPECT_EQ(t[0].vnet.gso_size, 1228);
	EXPECT_EQ(t[0].vnet.hdr_len, 40);
	EXPECT_EQ(t[0].vnet.csum_start, 20);
	EXPECT_EQ(t[0].vnet.csum_offset, 16);
	EXPECT_EQ(t[0].vnet.flags, VNET_NEEDS_CSUM);
	coalesce_free(c);
}

/* What a TUN read with checksum offload brings: one big packet, its checksum field the folded pseudo header. */
static u32 make_super(u8 *data, const struct inner_spec *s, struct tun_pkt *t, u16 mss)
{
	u32 len = inner_make(s, data);
	u32 l4 = s->src.family == 6 ? 40 : 20;
	u8 tail[4] = { (u8)((len - l4) >> 8), (u8)(len - l4), 0, s->proto };
	u32 sum = l4 == 20 ? inner_checksum(data + 12, 8, 0) : inner_checksum(data + 8, 32, 0);
	u16 at = s->proto == 6 ? 16 : 6;
	put_be16(data + l4 + at, inner_checksum(tail, 4, sum));
	*t = (struct tun_pkt){ .data = data, .len = len, .vnet = { .flags = VNET_NEEDS_CSUM, .csum_start = (u16)l4, .csum_offset = at,
								   .gso_size = mss } };
	t->vnet.gso_type = s->proto == 17 ? VNET_GSO_UDP_L4 : l4 == 20 ? VNET_GSO_TCPV4 : VNET_GSO_TCPV6;
	return len;
}

TEST(super_packets_are_cut_by_the_rules)
{
	static u8 data[66000], payload[64000], slot[TUNNEL_MTU];
	struct rng_seeded r;
	rng_seeded_init(&r, 5);
	rng_fill(&r.rng, payload, sizeof(payload));

	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct inner_spec s = { .src = ip_of(v6 ? "fd00::1" : "100.64.0.1"), .dst = ip_of(v6 ? "fd00::2" : "10.0.0.2"), .proto = 6,
					.sport = 1, .dport = 2, .seq = 0xfffff000, .ack = 77, .id = 0xfffe, .tos = 1, .tcp_options = 12,
					.tcp_flags = TCP_ACK | TCP_PSH | TCP_FIN | TCP_CWR, .payload = payload, .payload_len = 60000 };
		struct tun_pkt t;
		struct segmenter seg;
		u32 header = v6 ? 72 : 52, done = 0, len;
		u16 mss = (u16)(1280 - header), index = 0;
		make_super(data, &s, &t, mss);
		t.vnet.gso_type |= 0x80; /* the kernel's note of CWR */
		REQUIRE(segment_init(&seg, &t) == 0);
		while ((len = segment_next_len(&seg)) > 0) {
			struct packet p;
			memset(slot, 0xaa, sizeof(slot));
			segment_write(&seg, slot);
			REQUIRE(packet_parse(slot, len, TUNNEL_MTU, &p) == 0);
			REQUIRE(inner_checksums_are_right(slot, len));
			EXPECT_EQ(p.len, len);
			EXPECT_EQ(p.tcp_seq, s.seq + done);
			EXPECT_MEM(slot + header, payload + done, len - header);
			done += len - header;
			bool is_last = done == 60000;
			EXPECT_EQ(p.tcp_flags, TCP_ACK | (is_last ? TCP_PSH | TCP_FIN : 0) | (index == 0 ? TCP_CWR : 0));
			EXPECT_EQ(p.tos, 1);
			if (!v6)
				EXPECT_EQ(get_be16(slot + 4), (u16)(0xfffe + index));
			index++;
		}
		EXPECT_EQ(done, 60000);
		EXPECT_EQ(index, (60000 + mss - 1) / mss);

		s.proto = 17;
		done = 0;
		header = v6 ? 48 : 28;
		make_super(data, &s, &t, 1000);
		REQUIRE(segment_init(&seg, &t) == 0);
		while ((len = segment_next_len(&seg)) > 0) {
			segment_write(&seg, slot);
			REQUIRE(inner_checksums_are_right(slot, len));
			EXPECT_EQ(get_be16(slot + header - 4), len - header + 8);
			EXPECT_MEM(slot + header, payload + done, len - header);
			done += len - header;
		}
		EXPECT_EQ(done, 60000);
	}
}

TEST(a_plain_packet_gets_its_checksum_and_impossible_ones_are_refused)
{
	static u8 data[66000], slot[TUNNEL_MTU];
	struct inner_spec s = { .src = ip_of("100.64.0.1"), .dst = ip_of("10.0.0.2"), .proto = 17, .sport = 1, .dport = 2, .payload_len = 333 };
	struct tun_pkt t;
	struct segmenter seg;

	u32 len = make_super(data, &s, &t, 0);
	t.vnet.gso_type = VNET_GSO_NONE;
	REQUIRE(segment_init(&seg, &t) == 0);
	EXPECT_EQ(segment_next_len(&seg), len);
	segment_write(&seg, slot);
	EXPECT_EQ(segment_next_len(&seg), 0);
	EXPECT(inner_checksums_are_right(slot, len));

	t.vnet.csum_start = (u16)(len - 1);
	EXPECT_EQ(segment_init(&seg, &t), ERR_MALFORMED);
	t.vnet.csum_start = 20;
	t.vnet.csum_offset = 0xffff;
	EXPECT_EQ(segment_init(&seg, &t), ERR_MALFORMED);
	make_super(data, &s, &t, 0);
	EXPECT_EQ(segment_init(&seg, &t), ERR_MALFORMED); /* gso_size 0 */
	make_super(data, &s, &t, 100);
	t.vnet.gso_type = VNET_GSO_TCPV4;
	EXPECT_EQ(segment_init(&seg, &t), ERR_MALFORMED); /* type unlike the protocol */
	t.vnet.gso_type = 3;
	EXPECT_EQ(segment_init(&seg, &t), ERR_MALFORMED); /* the old UFO */
	s.payload_len = 5000;
	make_super(data, &s, &t, 1253);
	EXPECT_EQ(segment_init(&seg, &t), ERR_LIMIT);
	t.vnet = (struct vnet){ 0 };
	EXPECT_EQ(segment_init(&seg, &t), ERR_LIMIT);
}
