/* tests/unit/tcp_peer.h: the peer of one stack of core/tcp, played segment by segment. `seq` and `ack` are what its next segment carries. */
#pragma once

#include "core/base/cursor.h"
#include "core/ip/checksum.h"
#include "core/tcp/tcp.h"
#include "tests/unit/inner.h"
#include "tests/unit/test.h"

#define SYN TCP_SYN
#define ACK TCP_ACK
#define FIN TCP_FIN
#define RST TCP_RST
#define PSH TCP_PSH
#define PEER_ISN 7000u

/* What the stack sent. */
struct sent {
	u32 seq, ack;
	u16 window, mss, src_port, dst_port;
	u8 flags;
	u32 len;
	u8 data[TCP_MTU];
};

/* The peer as the test plays it. */
struct peer {
	struct tcp_stack *stack;
	struct rng_seeded rng;
	u64 now;
	struct ip our_ip, peer_ip;
	u16 our_port, peer_port;
	u32 seq, ack; /* of the peer's next segment */
	u16 window;
	tcp_handle conn;
	struct sent last; /* of until_sent() */
};

__attribute__((unused)) static void peer_init(struct peer *t, u64 idle)
{
	*t = (struct peer){ .now = SEC(50), .peer_port = 40000, .our_port = 53, .seq = PEER_ISN, .window = 65535 };
	t->our_ip = ip_of("100.100.111.1");
	t->peer_ip = ip_of("100.64.0.7");
	rng_seeded_init(&t->rng, 1);
	t->stack = tcp_stack_new(&(struct tcp_stack_config){ .rng = &t->rng.rng, .idle_timeout = idle });
	EXPECT_EQ(tcp_stack_listen(t->stack, &(struct endpoint){ t->our_ip, 53 }, TCP_LISTEN_CONNS), 0);
}

__attribute__((unused)) static int give_packet(struct peer *t, const u8 *pkt, u32 n)
{
	struct packet p;
	EXPECT_EQ(packet_parse(pkt, n, TCP_MTU, &p), 0);
	return tcp_stack_input(t->stack, t->now, pkt, &p);
}

__attribute__((unused)) static u32 make(const struct peer *t, u8 flags, u32 seq, const void *data, u32 n, u16 mss, u8 *pkt)
{
	struct inner_spec spec = {
		.src = t->peer_ip, .dst = t->our_ip, .proto = 6, .sport = t->peer_port, .dport = t->our_port, .ttl = 64,
		.tcp_flags = flags, .seq = seq, .ack = flags & ACK ? t->ack : 0, .window = t->window,
		.tcp_options = mss ? 4 : 0, .payload = data, .payload_len = (u16)n,
	};
	u32 len = inner_make(&spec, pkt);
	u8 *l4 = pkt + (t->our_ip.family == 4 ? 20 : 40);
	if (mss) {
		u8 option[4] = { 2, 4, (u8)(mss >> 8), (u8)mss };
		put_be16(l4 + 16, csum_update(get_be16(l4 + 16), l4 + 20, option, 4));
		memcpy(l4 + 20, option, 4);
	}
	return len;
}

/* A segment at any number; the peer's own is not moved. */
__attribute__((unused)) static int give_at(struct peer *t, u8 flags, u32 seq, const void *data, u32 n)
{
	u8 pkt[TCP_MTU + 100];
	u32 len = make(t, flags, seq, data, n, 0, pkt);
	return give_packet(t, pkt, len);
}

__attribute__((unused)) static void give(struct peer *t, u8 flags, const void *data, u32 n)
{
	EXPECT_EQ(give_at(t, flags, t->seq, data, n), 0);
	t->seq += n + !!(flags & SYN) + !!(flags & FIN);
}

__attribute__((unused)) static bool take(struct peer *t, struct sent *out)
{
	struct tun_pkt pkt;
	struct sent x = { 0 };

	if (out)
		*out = x;
	if (!tcp_stack_poll_transmit(t->stack, &pkt))
		return false;
	EXPECT(inner_checksums_are_right(pkt.data, pkt.len));
	const u8 *l4 = pkt.data + (t->our_ip.family == 4 ? 20 : 40);
	u32 head = (u32)(l4[12] >> 4) * 4;
	x.src_port = get_be16(l4);
	x.dst_port = get_be16(l4 + 2);
	x.seq = get_be32(l4 + 4);
	x.ack = get_be32(l4 + 8);
	x.flags = l4[13];
	x.window = get_be16(l4 + 14);
	x.mss = head == 24 && l4[20] == 2 ? get_be16(l4 + 22) : 0;
	x.len = pkt.len - (u32)(l4 - pkt.data) - head;
	memcpy(x.data, l4 + head, x.len);
	if (out)
		*out = x;
	return true;
}

__attribute__((unused)) static u32 drain(struct peer *t)
{
	u32 n = 0;
	while (take(t, NULL))
		n++;
	return n;
}

#define EXPECT_SENT(t, want_flags, want_len)                    \
	({                                                      \
		struct sent x_;                                 \
		EXPECT(take(t, &x_));                           \
		EXPECT_EQ(x_.flags, want_flags);                \
		EXPECT_EQ(x_.len, want_len);                    \
		x_;                                             \
	})
#define EXPECT_SILENCE(t) EXPECT(!take(t, NULL))

__attribute__((unused)) static struct tcp_event event(struct peer *t)
{
	struct tcp_event e = { .type = (enum tcp_event_type)99 };
	(void)tcp_stack_poll_event(t->stack, &e);
	return e;
}
#define NO_EVENT 99
#define EXPECT_EVENT(t, what) EXPECT_EQ(event(t).type, what)

__attribute__((unused)) static void later(struct peer *t, u64 d)
{
	t->now += d;
	if (tcp_stack_next_timeout(t->stack) <= t->now)
		tcp_stack_timeout(t->stack, t->now);
}

/* Lets time pass until a packet leaves; returns how long that took (at most ten minutes). */
__attribute__((unused)) static u64 until_sent(struct peer *t)
{
	u64 start = t->now;
	while (!take(t, &t->last) && t->now - start < SEC(600)) {
		t->now = time_min(MAX(tcp_stack_next_timeout(t->stack), t->now), start + SEC(600));
		tcp_stack_timeout(t->stack, t->now);
	}
	return t->now - start;
}

/* Handshake with us as the server. */
__attribute__((unused)) static void established(struct peer *t)
{
	u8 syn[100];
	u32 n = make(t, SYN, t->seq++, NULL, 0, 1460, syn);
	EXPECT_EQ(give_packet(t, syn, n), 0);
	struct sent x = EXPECT_SENT(t, SYN | ACK, 0);
	EXPECT_EQ(x.ack, t->seq);
	t->ack = x.seq + 1;
	give(t, ACK, NULL, 0);
	struct tcp_event e = event(t);
	EXPECT_EQ(e.type, TCP_EVENT_ACCEPTED);
	t->conn = e.conn;
	EXPECT_EQ(e.remote.port, t->peer_port);
	EXPECT_EVENT(t, NO_EVENT);
	EXPECT_SILENCE(t);
}

__attribute__((unused)) static void established_client(struct peer *t)
{
	struct endpoint from = { t->our_ip, 0 }, to = { t->peer_ip, 53 };
	EXPECT_EQ(tcp_stack_connect(t->stack, t->now, &from, &to, &t->conn), 0);
	struct sent x = EXPECT_SENT(t, SYN, 0);
	t->our_port = x.src_port;
	t->peer_port = 53;
	t->ack = x.seq + 1;
	give(t, SYN | ACK, NULL, 0);
	EXPECT_EVENT(t, TCP_EVENT_CONNECTED);
	x = EXPECT_SENT(t, ACK, 0);
	EXPECT_EQ(x.ack, t->seq);
}

__attribute__((unused)) static void write_bytes(struct peer *t, u32 n)
{
	static const u8 bytes[70000];
	EXPECT_EQ(tcp_stack_write(t->stack, t->now, t->conn, SPAN(bytes, n)), n);
}

__attribute__((unused)) static int read_bytes(struct peer *t)
{
	static u8 buf[70000];
	return tcp_stack_read(t->stack, t->now, t->conn, (struct mspan){ buf, sizeof(buf) });
}
