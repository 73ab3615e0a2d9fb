/* The relay's sockets on loopback. */
#include "core/base/err.h"
#include "platform/relay_udp.h"
#include "tests/unit/test.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Below the ephemeral ports; runs side by side do not meet. */
#define PORT_BASE ((u16)(10000 + getpid() % 2000 * 10))

static struct relay_sock_config config(u8 family, u16 port)
{
	static const u8 loopback6[16] = { [15] = 1 };
	struct relay_sock_config c = {
		.bind = family == 4 ? ip4(127, 0, 0, 1) : ip_from_bytes(6, loopback6),
		.port = port,
		.wants_local = true,
		.sndbuf = 1u << 20,
		.rcvbuf = 1u << 20,
	};
	return c;
}

/* Waits for one batch; 0 when nothing comes. */
static int receive(struct relay_sock *s, struct relay_ring *ring, struct udp_rx *rx, int timeout_ms)
{
	struct pollfd p = { .fd = relay_sock_fd(s), .events = POLLIN };

	if (poll(&p, 1, timeout_ms) <= 0)
		return 0;
	return relay_sock_recv(s, ring, rx);
}

static void send_text(struct relay_sock *s, struct relay_ring *ring, const struct endpoint *dst, struct span text)
{
	static const struct ip any = { .family = 0 };
	struct relay_tx tx = { .src = &any, .dst = dst, .pieces = &text, .n_pieces = 1, .len = (u32)text.n };

	relay_sock_send(s, ring, &tx);
}

TEST(port_in_use_and_foreign_addresses_are_named)
{
	struct relay_sock *a, *b;
	struct relay_sock_config c = config(4, PORT_BASE);

	REQUIRE(relay_sock_open(&a, &c) == 0);
	EXPECT_EQ(relay_sock_open(&b, &c), ERR_EXISTS);
	relay_sock_close(a);
	c.bind = ip4(203, 0, 113, 77);
	EXPECT_EQ(relay_sock_open(&b, &c), ERR_NOT_FOUND);
}

TEST(requests_and_data_have_their_own_sockets)
{
	struct relay_sock *data, *control, *peer, *other;
	struct relay_sock_config c = config(4, (u16)(PORT_BASE + 1)), pc = config(4, (u16)(PORT_BASE + 2));
	struct relay_ring *ring = relay_ring_new();
	struct udp_rx rx[RELAY_RX_MESSAGES];
	struct endpoint dst = { c.bind, c.port };

	REQUIRE(ring && relay_sock_open(&data, &c) == 0 && relay_sock_open(&peer, &pc) == 0);
	if (relay_sock_open_control(&control, data, &c) != 0)
		TEST_SKIP("no reuseport filters here");
	EXPECT_EQ(relay_sock_open(&other, &c), ERR_EXISTS); /* who does not ask to share is told so */
	for (unsigned b = 0; b < 256; b += 3) {
		u8 d[2] = { (u8)b, 1 };
		struct relay_sock *want = b < 4 ? control : data;
		send_text(peer, ring, &dst, SPAN(d, 2));
		REQUIRE(receive(want, ring, rx, 10000) == 1);
		EXPECT(rx[0].len == 2 && rx[0].data[0] == b);
		EXPECT(ip_eq(&rx[0].local.ip, &c.bind) && rx[0].local.port == c.port);
		EXPECT(rx[0].remote.port == pc.port);
	}
	relay_sock_close(data);
	relay_sock_close(control);
	relay_sock_close(peer);
	relay_ring_free(ring);
}

TEST(gather_lists_leave_as_runs_and_arrive_whole)
{
	for (u8 family = 4; family <= 6; family += 2) {
		struct relay_sock *a, *b;
		struct relay_sock_config ca = config(family, (u16)(PORT_BASE + 3)), cb = config(family, (u16)(PORT_BASE + 4));
		struct relay_ring *ring = relay_ring_new();
		struct udp_rx rx[RELAY_RX_MESSAGES];
		struct endpoint dst = { cb.bind, cb.port };
		static u8 header[4] = { 0x40, 0x00, 0x00, 0x60 }, payload[20 * 96];
		struct span pieces[40];
		u32 got = 0;

		if (relay_sock_open(&a, &ca) != 0)
			TEST_SKIP("no IPv6 here");
		REQUIRE(relay_sock_open(&b, &cb) == 0);
		for (u32 i = 0; i < 20; i++) {
			memset(payload + i * 96, (int)i, 96);
			pieces[2 * i] = SPAN(header, 4);
			pieces[2 * i + 1] = SPAN(payload + i * 96, i == 19 ? 30 : 96);
		}
		struct relay_tx tx = { .src = &ca.bind, .dst = &dst, .pieces = pieces, .n_pieces = 40, .len = 19 * 100 + 34, .seg = 100 };
		relay_sock_send(a, ring, &tx);
		while (got < 20) {
			int n = receive(b, ring, rx, 10000);
			REQUIRE(n > 0);
			for (int k = 0; k < n; k++) {
				u32 seg = rx[k].seg ? rx[k].seg : rx[k].len;
				for (u32 off = 0; off < rx[k].len; off += seg, got++) {
					u32 len = MIN(seg, rx[k].len - off);
					EXPECT_EQ(len, got == 19 ? 34 : 100);
					EXPECT(rx[k].data[off] == 0x40 && rx[k].data[off + 4] == got);
				}
			}
		}
		EXPECT_EQ(relay_io_stats(ring)->tx_datagrams, 20);
		relay_sock_close(a);
		relay_sock_close(b);
		relay_ring_free(ring);
	}
}

/* A segment longer than the path takes (loopback: 65536) cannot be a GSO run; it must arrive all the same, as single datagrams do. */
TEST(refused_runs_go_out_one_by_one)
{
	struct relay_sock *a, *b;
	struct relay_sock_config ca = config(4, (u16)(PORT_BASE + 5)), cb = config(4, (u16)(PORT_BASE + 6));
	struct relay_ring *ring = relay_ring_new();
	struct udp_rx rx[RELAY_RX_MESSAGES];
	struct endpoint dst = { cb.bind, cb.port };
	u8 bytes[100];
	int one = 1;

	memset(bytes, 7, sizeof(bytes));
	REQUIRE(relay_sock_open(&a, &ca) == 0 && relay_sock_open(&b, &cb) == 0);
	/* the kernel refuses segmentation without checksums */
	REQUIRE(setsockopt(relay_sock_fd(a), SOL_SOCKET, SO_NO_CHECK, &one, sizeof(one)) == 0);
	struct span pieces[3] = { SPAN(bytes, 35), SPAN(bytes + 35, 10), SPAN(bytes + 45, 55) };
	struct relay_tx tx = { .src = &ca.bind, .dst = &dst, .pieces = pieces, .n_pieces = 3, .len = 100, .seg = 30 };
	relay_sock_send(a, ring, &tx);
	static const u32 want[] = { 30, 30, 30, 10 };
	for (size_t i = 0; i < ARRAY_LEN(want);) {
		int n = receive(b, ring, rx, 10000);
		REQUIRE(n > 0);
		for (int k = 0; k < n && i < ARRAY_LEN(want); k++)
			EXPECT_EQ(rx[k].len, want[i++]);
	}
	EXPECT_EQ(relay_io_stats(ring)->gso_refused, 1);
	EXPECT_EQ(relay_io_stats(ring)->tx_datagrams, 4);
	relay_sock_close(a);
	relay_sock_close(b);
	relay_ring_free(ring);
}

TEST(empty_datagrams_pass)
{
	struct relay_sock *a, *b;
	struct relay_sock_config ca = config(4, (u16)(PORT_BASE + 7)), cb = config(4, (u16)(PORT_BASE + 8));
	struct relay_ring *ring = relay_ring_new();
	struct udp_rx rx[RELAY_RX_MESSAGES];
	struct endpoint dst = { cb.bind, cb.port };

	REQUIRE(relay_sock_open(&a, &ca) == 0 && relay_sock_open(&b, &cb) == 0);
	send_text(a, ring, &dst, SPAN("", 0));
	EXPECT_EQ(receive(b, ring, rx, 10000), 1);
	EXPECT_EQ(rx[0].len, 0);
	relay_sock_close(a);
	relay_sock_close(b);
	relay_ring_free(ring);
}

TEST(spec50_45_failed_sends_are_counted_only)
{
	struct relay_sock *a;
	struct relay_sock_config c = config(4, PORT_BASE);
	struct relay_ring *ring = relay_ring_new();
	struct endpoint broadcast = { ip4(255, 255, 255, 255), 9 }, port_zero = { ip4(127, 0, 0, 1), 0 };
	static u8 bytes[300];

	REQUIRE(relay_sock_open(&a, &c) == 0);
	send_text(a, ring, &broadcast, SPAN("x", 1)); /* not permitted without SO_BROADCAST */
	send_text(a, ring, &port_zero, SPAN("x", 1));
	struct span piece = SPAN(bytes, sizeof(bytes));
	struct relay_tx run = { .src = &c.bind, .dst = &broadcast, .pieces = &piece, .n_pieces = 1, .len = 300, .seg = 100 };
	relay_sock_send(a, ring, &run);
	EXPECT_EQ(relay_io_stats(ring)->tx_errors, 5);
	EXPECT_EQ(relay_io_stats(ring)->tx_datagrams, 0);
	relay_sock_close(a);
	relay_ring_free(ring);
}
