/* How often the packet path of client and gateway copies a payload: once, when a super-packet is cut into slots. Segments joined for the TUN
 * stay where they were opened. Sealing and opening happen in place; transmits and TUN packets are lent. This program's own memcpy counts. */
#include "core/crypto/aead.h"
#include "tests/sim/world.h"
#include "tests/unit/inner.h"
#include "tests/unit/test.h"

#include <stdlib.h>

#ifndef __SANITIZE_ADDRESS__

#define PAYLOAD_MIN 256u /* less is a header, an address, an event */
#define BURSTS 50u
#define SEGMENT 1228u
#define BURST_BYTES (39u * SEGMENT)

static volatile bool is_counting;
static volatile u64 copied;

/* Volatile, so that the loops do not become calls of themselves. */
static void *copy(void *to, const void *from, size_t n)
{
	volatile u8 *t = to;
	const u8 *f = from;

	if (is_counting && n >= PAYLOAD_MIN)
		copied = copied + n;
	if ((uintptr_t)to <= (uintptr_t)from)
		for (size_t i = 0; i < n; i++)
			t[i] = f[i];
	else
		for (size_t i = n; i > 0; i--)
			t[i - 1] = f[i - 1];
	return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
	return copy(to, from, n);
}

void *memmove(void *to, const void *from, size_t n)
{
	return copy(to, from, n);
}

/* Bytes copied by a call. */
#define COPIED(call)                                       \
	({                                                 \
		u64 before_ = copied;                      \
		is_counting = true;                        \
		call;                                      \
		is_counting = false;                       \
		copied - before_;                          \
	})

static void take_in(struct world *w, bool at_client, struct tun_pkt *in)
{
	if (at_client) {
		client_tun_input(w->client, w->now, sim_wall(w), in, 1);
		client_flush(w->client, w->now);
	} else {
		gateway_tun_input(w->gateway, w->now, sim_wall(w), in, 1);
		gateway_flush(w->gateway, w->now);
	}
}

static bool transmit(struct world *w, bool at_client, struct udp_tx *tx)
{
	return at_client ? client_poll_transmit(w->client, tx) : gateway_poll_transmit(w->gateway, tx);
}

/* What arrives at one end as one batch: bytes that its TUN gets. */
static u64 arrive(struct world *w, bool at_client, struct udp_rx *rx)
{
	struct tun_pkt t;
	u64 bytes = 0;

	if (at_client)
		client_udp_input(w->client, w->now, sim_wall(w), rx, 1);
	else
		gateway_udp_input(w->gateway, w->now, sim_wall(w), rx, 1);
	while (at_client ? client_poll_tun(w->client, &t) : gateway_poll_tun(w->gateway, &t))
		bytes += t.len;
	return bytes;
}

TEST(a_payload_is_copied_once_into_its_slot)
{
	static u8 data[70000], wire[70000], payload[BURST_BYTES];
	struct inner_spec spec = { .src = ip4(100, 64, 0, 7), .dst = ip4(10, 1, 0, 9), .proto = 6, .sport = 1, .dport = 2, .tcp_flags = 0x10,
				   .payload = payload, .payload_len = BURST_BYTES };
	u64 cut = 0, joined = 0, delivered = 0;
	bool more;

	REQUIRE(aead_init() == 0);
	struct world *w = sim_new_plain();
	struct ip dst = ip_of("10.1.0.9");
	sim_run(w, SEC(2));
	struct sim_probe *probe = sim_probe(w, &dst, 17, 7);
	sim_run(w, SEC(5));
	REQUIRE(probe->is_answered);
	for (unsigned i = 0; i < 2 * BURSTS; i++) {
		bool from_client = i % 2 == 0;
		struct inner_spec one = spec;
		struct tun_pkt in = { .data = data };
		struct udp_tx tx;
		if (!from_client) {
			one.src = spec.dst;
			one.dst = spec.src;
		}
		one.seq = i / 2 * BURST_BYTES;
		in.len = inner_make(&one, data);
		in.vnet = sim_super_packet(data, in.len, SEGMENT);
		cut += COPIED(take_in(w, from_client, &in));
		for (;;) {
			cut += COPIED(more = transmit(w, from_client, &tx));
			if (!more)
				break;
			struct ip src = tx.src;
			if (!src.family)
				src = (from_client ? w->client_host : w->gateway_host)->local[tx.dst.ip.family == 6];
			memcpy(wire + 64, tx.data, tx.len);
			struct udp_rx rx = { .local = tx.dst, .remote = { src, SIM_PORT }, .data = wire + 64, .len = tx.len, .seg = tx.seg };
			u64 bytes = 0;
			joined += COPIED(bytes = arrive(w, !from_client, &rx));
			delivered += bytes;
		}
	}
	EXPECT(delivered >= 2ull * BURSTS * BURST_BYTES);
	EXPECT_EQ(cut, 2ull * BURSTS * BURST_BYTES);
	EXPECT_EQ(joined, 0);
	sim_free(w);
}

TEST(the_count_of_copies_counts)
{
	static u8 a[1000], b[1000];
	void *(*volatile call)(void *, const void *, size_t) = memmove;

	EXPECT_EQ(COPIED(call(a, b, 999)), 999);
	EXPECT_EQ(COPIED(call(a, b, PAYLOAD_MIN - 1)), 0);
}

#else

TEST(a_payload_is_copied_once_into_its_slot)
{
	TEST_SKIP("the sanitizer owns memcpy");
}

#endif
