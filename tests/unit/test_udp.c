/* UDP sockets over loopback: options, batches, segmentation, fall-back without loss, back-pressure. */
#include "core/base/err.h"
#include "platform/udp.h"
#include "tests/unit/netns.h"
#include "tests/unit/test.h"

#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct ip loop4 = { .b = { 127, 0, 0, 1 }, .family = 4 };
static const struct ip loop6 = { .b = { [15] = 1 }, .family = 6 };

static struct udp_sock *open_on(struct ip ip, u16 port)
{
	struct udp_sock *s = NULL;
	struct udp_config cfg = { .bind = ip, .port = port, .may_fall_back = port != 0, .rcvbuf = 4u << 20 };
	return udp_open(&s, &cfg) == 0 ? s : NULL;
}

static struct endpoint where(const struct udp_sock *s, struct ip ip)
{
	return (struct endpoint){ ip, udp_port(s) };
}

static bool wait_readable(const struct udp_sock *s)
{
	struct pollfd p = { udp_fd(s), POLLIN, 0 };
	return poll(&p, 1, 10000) == 1;
}

struct sink {
	struct udp_ring *ring;
	u32 datagrams, bytes, runs;
	u32 lengths[512];
	u8 first_bytes[512];
	struct udp_rx last;
};

static void take_datagrams(struct sink *k, const struct udp_rx *rx)
{
	u32 seg = rx->seg ? rx->seg : rx->len;
	for (u32 off = 0; off < rx->len; off += seg) {
		u32 len = MIN(seg, rx->len - off);
		k->lengths[k->datagrams % 512] = len;
		k->first_bytes[k->datagrams % 512] = rx->data[off];
		k->datagrams++;
	}
	k->bytes += rx->len;
	k->runs++;
	k->last = *rx;
}

/* Receives until `want` datagrams came or nothing comes any more. */
static void receive(struct udp_sock *s, struct sink *k, u32 want)
{
	struct udp_rx rx[UDP_RX_MESSAGES];
	if (!k->ring)
		k->ring = udp_ring_new();
	while (k->datagrams < want && wait_readable(s)) {
		int n = udp_recv(s, k->ring, rx, UDP_RX_MESSAGES);
		for (int i = 0; i < n; i++)
			take_datagrams(k, &rx[i]);
	}
}

/* `count` datagrams of `seg` bytes, the i-th beginning with byte i, the last of `last` bytes. */
static u32 fill_run(u8 *buf, u32 count, u32 seg, u32 last)
{
	for (u32 i = 0; i < count; i++)
		memset(buf + i * seg, (int)(i & 0xff), seg);
	return (count - 1) * seg + last;
}

TEST(spec20_1_falls_back_to_an_ephemeral_port_per_family)
{
	struct udp_sock *a = open_on(loop4, 0);
	REQUIRE(a);
	struct udp_sock *b = open_on(loop4, udp_port(a));
	REQUIRE(b);
	EXPECT(udp_port(b) != 0);
	EXPECT(udp_port(b) != udp_port(a));

	struct udp_sock *c = NULL;
	struct udp_config strict = { .bind = loop4, .port = udp_port(a) };
	EXPECT_EQ(udp_open(&c, &strict), ERR_EXISTS);
	EXPECT(c == NULL);

	/* the IPv6 socket is v6-only: both families share a port number */
	struct udp_sock *d = NULL;
	struct udp_config any6 = { .bind = { .family = 6 }, .port = udp_port(a) };
	int rc = udp_open(&d, &any6);
	EXPECT(rc == 0 || rc == ERR_UNSUPPORTED);
	udp_close(a);
	udp_close(b);
	udp_close(d);
}

TEST(spec20_1_works_with_one_family_only)
{
	struct udp_sock *s = open_on(loop4, 0), *sink = open_on(loop4, 0);
	REQUIRE(s && sink);
	struct udp_pair pair = { .v4 = s };
	u8 byte[1] = { 7 };
	struct udp_tx tx[3] = {
		{ .dst = { loop6, 9 }, .data = byte, .len = 1 },
		{ .dst = where(sink, loop4), .data = byte, .len = 1 },
		{ .dst = { loop6, 9 }, .data = byte, .len = 1 },
	};
	EXPECT_EQ(udp_pair_send(&pair, tx, 3), 0);
	struct sink k = { 0 };
	receive(sink, &k, 1);
	EXPECT_EQ(k.datagrams, 1);
	udp_ring_free(k.ring);
	udp_pair_close(&pair);
	udp_close(sink);
}

TEST(spec20_2_sockets_carry_the_mark)
{
	if (geteuid() != 0)
		TEST_SKIP("SO_MARK needs CAP_NET_ADMIN");
	struct udp_pair pair;
	REQUIRE(udp_pair_open(&pair, 0, UDP_MARK) == 0);
	struct udp_sock *socks[2] = { pair.v4, pair.v6 };
	for (int i = 0; i < 2; i++) {
		u32 mark = 0;
		socklen_t len = sizeof(mark);
		if (!socks[i])
			continue;
		EXPECT_EQ(getsockopt(udp_fd(socks[i]), SOL_SOCKET, SO_MARK, &mark, &len), 0);
		EXPECT_EQ(mark, 0xfd002021u);
	}
	udp_pair_close(&pair);
}

TEST(spec20_3_local_address_is_learned_and_chosen)
{
	struct udp_sock *any = open_on((struct ip){ .family = 4 }, 0), *peer = open_on(loop4, 0);
	REQUIRE(any && peer);
	u8 byte[1] = { 1 };
	struct ip alias = ip4(127, 0, 0, 77);
	struct sink k = { 0 }, j = { 0 };

	/* in: pktinfo tells the address it was sent to */
	struct udp_tx in = { .dst = where(any, alias), .data = byte, .len = 1 };
	EXPECT_EQ(udp_send(peer, &in, 1), 0);
	receive(any, &k, 1);
	EXPECT(ip_eq(&k.last.local.ip, &alias));
	EXPECT_EQ(k.last.local.port, udp_port(any));
	EXPECT_EQ(k.last.remote.port, udp_port(peer));

	/* out: the source is the one asked for */
	struct udp_tx out = { .src = alias, .dst = where(peer, loop4), .data = byte, .len = 1 };
	EXPECT_EQ(udp_send(any, &out, 1), 0);
	receive(peer, &j, 1);
	EXPECT(ip_eq(&j.last.remote.ip, &alias));
	EXPECT_EQ(j.last.remote.port, udp_port(any));
	udp_ring_free(k.ring);
	udp_ring_free(j.ring);
	udp_close(any);
	udp_close(peer);
}

static void expect_run_arrives(struct ip ip, u32 count, u32 seg, u32 last)
{
	struct udp_sock *a = open_on(ip, 0), *b = open_on(ip, 0);
	if (!a || !b) {
		udp_close(a);
		udp_close(b);
		TEST_SKIP("no such family here");
	}
	u8 *buf = malloc((size_t)count * seg);
	struct udp_tx tx = { .dst = where(b, ip), .data = buf, .len = fill_run(buf, count, seg, last), .seg = (u16)seg, .ecn = ECN_ECT0 };
	EXPECT_EQ(udp_send(a, &tx, 1), 0);
	struct sink k = { 0 };
	receive(b, &k, count);
	EXPECT_EQ(k.datagrams, count);
	EXPECT_EQ(k.bytes, tx.len);
	for (u32 i = 0; i < count && i < k.datagrams; i++) {
		EXPECT_EQ(k.lengths[i], i + 1 == count ? last : seg);
		EXPECT_EQ(k.first_bytes[i], i & 0xff);
	}
	EXPECT_EQ(k.last.ecn, ECN_ECT0);
	EXPECT_EQ(udp_stats(a)->tx_datagrams, count);
	EXPECT_EQ(udp_stats(a)->tx_errors, 0);
	udp_ring_free(k.ring);
	free(buf);
	udp_close(a);
	udp_close(b);
}

TEST(runs_arrive_whole_in_order_and_with_their_ecn_over_ipv4)
{
	expect_run_arrives(loop4, 53, 1312, 1312); /* more than fits one message: two groups */
	expect_run_arrives(loop4, 200, 60, 7);
	expect_run_arrives(loop4, 1, 1316, 1316);
}

TEST(runs_arrive_whole_in_order_and_with_their_ecn_over_ipv6)
{
	expect_run_arrives(loop6, 53, 1312, 900);
	expect_run_arrives(loop6, 2, 1, 1);
}

TEST(a_batch_of_many_small_runs_takes_few_calls)
{
	struct udp_sock *a = open_on(loop4, 0), *b = open_on(loop4, 0);
	REQUIRE(a && b);
	u8 bytes[100];
	struct udp_tx tx[100];
	for (u32 i = 0; i < 100; i++) {
		bytes[i] = (u8)i;
		tx[i] = (struct udp_tx){ .dst = where(b, loop4), .data = &bytes[i], .len = 1 };
	}
	EXPECT_EQ(udp_send(a, tx, 100), 0);
	EXPECT_EQ(udp_stats(a)->tx_calls, 4);
	struct sink k = { 0 };
	receive(b, &k, 100);
	EXPECT_EQ(k.datagrams, 100);
	for (u32 i = 0; i < 100; i++)
		EXPECT_EQ(k.first_bytes[i], i);
	udp_ring_free(k.ring);
	udp_close(a);
	udp_close(b);
}

/* A socket that may not checksum refuses UDP_SEGMENT with EINVAL, like kernels and devices without it (performance.md §6). */
TEST(spec20_4_refused_segmentation_falls_back_without_losing_the_batch)
{
	struct udp_sock *a = open_on(loop4, 0), *b = open_on(loop4, 0);
	REQUIRE(a && b);
	int one = 1;
	REQUIRE(setsockopt(udp_fd(a), SOL_SOCKET, SO_NO_CHECK, &one, sizeof(one)) == 0);
	static u8 buf[80 * 1000];
	struct udp_tx tx[3] = {
		{ .dst = where(b, loop4), .data = buf, .len = 10, .ecn = ECN_CE },
		{ .dst = where(b, loop4), .data = buf, .len = fill_run(buf, 80, 1000, 500), .seg = 1000, .ecn = ECN_CE },
		{ .dst = where(b, loop4), .data = buf, .len = 11 },
	};
	EXPECT_EQ(udp_send(a, tx, 3), 0);
	struct sink k = { 0 };
	receive(b, &k, 82);
	EXPECT_EQ(k.datagrams, 82);
	EXPECT_EQ(k.lengths[0], 10);
	for (u32 i = 0; i < 80; i++) {
		EXPECT_EQ(k.first_bytes[1 + i], i);
		EXPECT_EQ(k.lengths[1 + i], i == 79 ? 500 : 1000);
	}
	EXPECT_EQ(k.lengths[81], 11);
	EXPECT_EQ(udp_stats(a)->gso_disabled, 1);
	EXPECT_EQ(udp_stats(a)->tos_disabled, 0);
	EXPECT_EQ(udp_stats(a)->tx_errors, 0);
	EXPECT_EQ(udp_stats(a)->tx_datagrams, 82);
	udp_ring_free(k.ring);
	udp_close(a);
	udp_close(b);
}

/* Roaming: the address of a candidate is gone, and the kernel says EINVAL as it does to unknown options. */
TEST(a_source_that_is_gone_costs_only_its_own_datagrams_and_not_segmentation)
{
	struct udp_sock *a = open_on((struct ip){ .family = 6 }, 0), *b = open_on(loop6, 0);
	if (!a || !b) {
		udp_close(a);
		udp_close(b);
		TEST_SKIP("no IPv6 here");
	}
	struct ip gone = { .b = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 }, .family = 6 };
	static u8 buf[30 * 100];
	u32 len = fill_run(buf, 30, 100, 100);
	struct udp_tx tx[4] = {
		{ .src = gone, .dst = where(b, loop6), .data = buf, .len = len, .seg = 100, .ecn = ECN_ECT0 },
		{ .dst = { loop6, 0 }, .data = buf, .len = 5 },
		{ .dst = { loop4, 9 }, .data = buf, .len = 5 },
		{ .dst = where(b, loop6), .data = buf, .len = len, .seg = 100, .ecn = ECN_ECT0 },
	};
	EXPECT_EQ(udp_send(a, tx, 4), 0);
	struct sink k = { 0 };
	receive(b, &k, 30);
	EXPECT_EQ(k.datagrams, 30);
	EXPECT_EQ(udp_stats(a)->gso_disabled, 0);
	EXPECT_EQ(udp_stats(a)->tos_disabled, 0);
	EXPECT_EQ(udp_stats(a)->tx_errors, 32);
	udp_ring_free(k.ring);
	udp_close(a);
	udp_close(b);
}

TEST(an_oversize_datagram_is_counted_and_the_rest_goes_out)
{
	struct udp_sock *a = open_on(loop4, 0), *b = open_on(loop4, 0);
	REQUIRE(a && b);
	u8 *buf = calloc(1, 70000);
	struct udp_tx tx[2] = {
		{ .dst = where(b, loop4), .data = buf, .len = 70000 },
		{ .dst = where(b, loop4), .data = buf, .len = 3 },
	};
	EXPECT_EQ(udp_send(a, tx, 2), 0);
	struct sink k = { 0 };
	receive(b, &k, 1);
	EXPECT_EQ(k.lengths[0], 3);
	EXPECT_EQ(udp_stats(a)->tx_errors, 1);
	udp_ring_free(k.ring);
	free(buf);
	udp_close(a);
	udp_close(b);
}

/* Only a queue behind the socket makes a send block, so this one runs in a network of its own whose loopback is slow. */
static bool enter_slow_network(void)
{
	if (!netns_enter())
		return false;
	if (netns_sh("tc qdisc add dev lo root tbf rate 8mbit burst 4000 limit 10000000 2>/dev/null"))
		return true;
	netns_leave();
	return false;
}

#define SLOW_RUNS 60u

TEST(what_the_system_does_not_take_is_kept_and_sent_later_in_order)
{
	if (!enter_slow_network())
		TEST_SKIP("needs root, ip and tc");
	struct udp_sock *a = NULL, *b = open_on(loop4, 0);
	struct udp_config cfg = { .bind = loop4, .sndbuf = 8192 };
	REQUIRE(udp_open(&a, &cfg) == 0 && b);

	static u8 buf[SLOW_RUNS][1000];
	struct udp_tx tx[SLOW_RUNS];
	for (u32 i = 0; i < SLOW_RUNS; i++) {
		buf[i][0] = buf[i][500] = (u8)i;
		tx[i] = (struct udp_tx){ .dst = where(b, loop4), .data = buf[i], .len = 1000, .seg = 500 };
	}
	EXPECT_EQ(udp_send(a, tx, SLOW_RUNS - 1), ERR_AGAIN);
	EXPECT(udp_is_blocked(a));
	EXPECT_EQ(udp_send(a, &tx[SLOW_RUNS - 1], 1), ERR_AGAIN); /* waits its turn */
	memset(buf, 0xff, sizeof(buf));                           /* the caller's memory is free */

	struct sink k = { 0 };
	struct pollfd p = { udp_fd(a), POLLOUT, 0 };
	while (udp_flush(a) == ERR_AGAIN && poll(&p, 1, 10000) == 1)
		;
	EXPECT(!udp_is_blocked(a));
	receive(b, &k, 2 * SLOW_RUNS);
	EXPECT_EQ(k.datagrams, 2 * SLOW_RUNS);
	for (u32 i = 0; i < k.datagrams; i++)
		EXPECT_EQ(k.first_bytes[i], i / 2);
	EXPECT(udp_stats(a)->tx_backlogged > 0);
	EXPECT_EQ(udp_stats(a)->tx_backlog_full, 0);

	/* blocked without a backlog: dropped and counted, never an error of the caller's */
	struct udp_sock *c = NULL;
	cfg.no_backlog = true;
	REQUIRE(udp_open(&c, &cfg) == 0);
	EXPECT_EQ(udp_send(c, tx, SLOW_RUNS), 0);
	EXPECT(udp_stats(c)->tx_backlog_full > 0);
	udp_ring_free(k.ring);
	udp_close(a);
	udp_close(b);
	udp_close(c);
	netns_leave();
}

TEST(a_full_backlog_drops_and_counts)
{
	if (!enter_slow_network())
		TEST_SKIP("needs root, ip and tc");
	struct udp_sock *a = NULL;
	struct udp_config cfg = { .bind = loop4, .sndbuf = 8192 };
	REQUIRE(udp_open(&a, &cfg) == 0);
	u8 byte[1] = { 0 };
	u32 n = 0;
	struct udp_tx tx = { .dst = { loop4, 9 }, .data = byte, .len = 1 };
	while (udp_stats(a)->tx_backlog_full == 0 && n++ < 4 * UDP_BACKLOG_RUNS)
		(void)udp_send(a, &tx, 1);
	EXPECT(udp_stats(a)->tx_backlogged >= UDP_BACKLOG_RUNS); /* the queue may have moved on a little meanwhile */
	udp_close(a);
	netns_leave();
}
