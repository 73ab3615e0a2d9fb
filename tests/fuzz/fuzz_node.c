/* A connected node between genuine packets with damage, invented datagrams from peers and relays, candidates, relays and time.
 *
 * The input is a list of steps, each `op, argument, n, n bytes`. Nothing that was not sealed by the peer may come out as an inner packet.
 */
#include "core/base/cursor.h"
#include "core/base/err.h"
#include "core/stun/channel.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/peer_world.h"

#include <stdlib.h>

#define STEPS_MAX 32u

enum op { FROM_PEER, FROM_RELAY, FROM_STRANGER, CHANNEL, DAMAGED, RUN, CANDIDATE, WITHDRAW, UPSERT, RELAYS, TIME, SEND, CLOSE, OPS };

static struct pw *w;
static struct pw_host *a, *b;

static void begin(void)
{
	w = pw_new(1);
	pw_relay(w, "198.51.100.1", NULL);
	a = pw_host(w, NODE_CLIENT, "10.0.0.2:52625", PW_NAT_NONE, NULL);
	b = pw_host(w, NODE_GATEWAY, "10.0.1.2:52625", PW_NAT_NONE, NULL);
	pw_join(w, a);
	pw_join(w, b);
	pw_run(w, MSEC(50));
	pw_authorize(w, a, b);
	(void)pw_send(w, a, b, 100);
	pw_run(w, MSEC(100));
	if (b->rx_packets != 1)
		abort();
}

/* One sealed packet of a for b, or nothing when the path is not open. */
static u32 sealed(u8 out[static 256])
{
	struct node_stage st;
	struct udp_tx tx;
	u32 len = 0;

	if (node_stage_open(a->node, w->now, &b->id, 0, &st) != 0)
		return 0;
	u8 *p = node_stage_slot(a->node, &st, 60);
	for (u32 i = 0; p && i < 60; i++)
		p[i] = (u8)i;
	node_flush(a->node, w->now);
	while (node_poll_transmit(a->node, &tx))
		if (tx.len <= 256) {
			memcpy(out, tx.data, tx.len);
			len = tx.len;
		}
	return len;
}

static void damaged(u8 arg, struct span bytes)
{
	u8 buf[256];
	u32 len = sealed(buf);
	u64 had = b->rx_packets;
	bool is_harmful = false;

	for (size_t i = 0; len > 0 && i < bytes.n; i++) {
		u32 at = (u32)((arg + i) % len);
		buf[at] ^= bytes.p[i];
		is_harmful |= bytes.p[i] != 0;
	}
	pw_inject(w, b, "10.0.0.2:52625", buf, len);
	if (b->rx_packets != had && is_harmful)
		abort();
}

/* A GRO run cut anywhere. */
static void run(u8 arg, struct span bytes)
{
	u8 copy[256];

	memcpy(copy, bytes.p, bytes.n);
	struct udp_rx rx = { b->v4, a->v4, copy, (u32)bytes.n, (u16)(arg % 64), 3 };
	node_input(b->node, w->now, w->now, &rx, 1);
	pw_collect(w, b);
}

static void channel(u8 arg, struct span bytes)
{
	u8 buf[300];

	channel_header(buf, (u16)(CHANNEL_MIN + arg % 8), (u16)(bytes.n + (arg & 0x80 ? 1 : 0)));
	memcpy(buf + CHANNEL_HEADER, bytes.p, bytes.n);
	pw_inject(w, b, "198.51.100.1:3478", buf, bytes.n + CHANNEL_HEADER);
}

static void step(enum op op, u8 arg, struct span bytes)
{
	struct node_relay info = pw_relay_info(&w->relay[0]);
	u64 had = b->rx_packets;

	switch (op) {
	case FROM_PEER:
		pw_inject(w, b, "10.0.0.2:52625", bytes.p, bytes.n);
		break;
	case FROM_RELAY:
		pw_inject(w, b, "198.51.100.1:3478", bytes.p, bytes.n);
		break;
	case FROM_STRANGER:
		pw_inject(w, b, arg & 1 ? "192.0.2.1:3478" : "192.0.2.1:9", bytes.p, bytes.n);
		break;
	case CHANNEL:
		channel(arg, bytes);
		break;
	case DAMAGED:
		damaged(arg, bytes);
		had = b->rx_packets;
		break;
	case RUN:
		run(arg, bytes);
		break;
	case CANDIDATE:
		(void)node_add_candidate(b->node, w->now, &a->id, bytes);
		break;
	case WITHDRAW:
		(void)node_remove_candidate(b->node, w->now, &a->id, bytes);
		break;
	case UPSERT:
		a->psk_salt = arg & 3;
		(void)pw_upsert(w, b, a, arg & 4);
		break;
	case RELAYS:
		info.password[0] = (char)('a' + (arg & 3));
		node_update_relays(b->node, w->now, &info.id, arg & 4 ? 1 : 0, &info, arg & 8 ? 1 : 0);
		break;
	case TIME:
		pw_run(w, MSEC(5) * arg);
		break;
	case SEND:
		(void)pw_send(w, a, b, 40);
		pw_run(w, MSEC(10));
		had = b->rx_packets;
		break;
	case CLOSE:
		if (arg & 1)
			node_reset(b->node, w->now);
		else
			node_close(b->node, w->now, &a->id);
		break;
	case OPS:
		break;
	}
	pw_collect(w, b);
	if (op != TIME && b->rx_packets != had)
		abort();
	if (b->rx_bad > 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t at = 0;

	begin();
	for (unsigned i = 0; i < STEPS_MAX && at + 3 <= size; i++) {
		size_t n = MIN((size_t)data[at + 2], size - at - 3);
		step((enum op)(data[at] % OPS), data[at + 1], SPAN(data + at + 3, n));
		at += 3 + n;
	}
	pw_free(w);
	return 0;
}
