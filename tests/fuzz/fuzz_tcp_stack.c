/* Segments into a stack with connections (core/tcp): raw packets, and segments near what the connection expects.
 *
 * The input is a list of steps, each `op, argument, n, n bytes`. A near segment's bytes are: signed offsets of sequence number and
 * acknowledgement (2 each), window (2), data. Whatever comes, memory stays bounded, what is sent is well formed, and polling ends.
 */
#include "core/base/cursor.h"
#include "core/tcp/tcp.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/inner.h"

#include <stdlib.h>

#define STEPS_MAX 64u
#define PORTS 3u /* the peer's */

enum op { RAW, SEGMENT, WRITE, READ, SHUTDOWN, CLOSE, ABORT, TIME, CONNECT, ICMP, OPS };

/* What the stack told a port of the peer last. */
struct view {
	u32 seq, ack;
	tcp_handle conn;
};

static struct tcp_stack *stack;
static struct rng_seeded rng;
static u64 now;
static struct view views[PORTS];
static const struct ip our_ip = { { 100, 100, 111, 1 }, 4 }, peer_ip = { { 100, 64, 0, 7 }, 4 };

static void deliver(const u8 *pkt, size_t n)
{
	struct packet p;
	if (packet_parse(pkt, n, TCP_MTU, &p) == 0 && tcp_stack_input(stack, now, pkt, &p) == ERR_NOT_OURS)
		tcp_stack_refuse(stack, now, pkt, &p);
}

static void poll_all(void)
{
	struct tun_pkt out;
	struct tcp_event e;
	struct packet p;

	for (u32 i = 0; tcp_stack_poll_event(stack, &e); i++) {
		if (i > 10000)
			abort();
		if (e.type == TCP_EVENT_ACCEPTED || e.type == TCP_EVENT_CONNECTED)
			views[e.remote.port % PORTS].conn = e.conn;
	}
	for (u32 i = 0; tcp_stack_poll_transmit(stack, &out); i++) {
		if (i > TCP_OUT_MAX || packet_parse(out.data, out.len, TCP_MTU, &p) || p.kind != L4_TCP ||
		    !inner_checksums_are_right(out.data, out.len))
			abort();
		struct view *v = &views[p.dst_port % PORTS];
		u32 head = (u32)(out.data[p.l4 + 12] >> 4) * 4;
		v->ack = p.tcp_seq + (out.len - p.l4 - head) + !!(p.tcp_flags & TCP_SYN) + !!(p.tcp_flags & TCP_FIN);
		if (p.tcp_flags & TCP_ACK)
			v->seq = get_be32(out.data + p.l4 + 8);
	}
	const struct tcp_stack_stats *s = tcp_stack_stats(stack);
	if (s->conns > TCP_CONNS_MAX || s->buffered > (size_t)s->conns * (TCP_RECEIVE_MAX + TCP_SEND_MAX))
		abort();
}

static void near_segment(u8 flags, struct span bytes, bool is_icmp)
{
	struct rd r = rd_span(bytes);
	u8 pkt[TCP_MTU], err[TCP_MTU];
	u32 port = flags >> 6; /* the two bits that TCP of 1981 had not given away */
	struct view *v = &views[port % PORTS];
	struct inner_spec spec = {
		.src = is_icmp ? our_ip : peer_ip, .dst = is_icmp ? peer_ip : our_ip, .proto = 6, .sport = (u16)(30000 + port % PORTS), .dport = 53, .ttl = 64,
		.tcp_flags = flags & 0x3f,
	};
	spec.seq = v->seq + (u32)(i32)(i16)rd_be16(&r);
	spec.ack = v->ack + (u32)(i32)(i16)rd_be16(&r);
	spec.window = rd_be16(&r);
	struct span data = rd_bytes(&r, rd_left(&r));
	spec.payload = data.p;
	spec.payload_len = (u16)data.n;
	if (is_icmp) {
		spec.seq = v->ack + (u32)(i32)(i16)spec.window - 200;
		spec.sport = 53;
		spec.dport = (u16)(30000 + port % PORTS);
	}
	u32 n = inner_make(&spec, pkt);
	if (is_icmp) {
		struct inner_spec wrap = { .src = ip4(10, 0, 0, 1), .dst = our_ip, .proto = 1, .sport = (u16)(3 << 8 | (flags & 15)), .ttl = 64,
					   .payload = pkt, .payload_len = (u16)n };
		n = inner_make(&wrap, err);
		deliver(err, n);
		return;
	}
	deliver(pkt, n);
}

static void step(enum op op, u8 arg, struct span bytes)
{
	static u8 buf[256 * 256];
	tcp_handle conn = views[arg % PORTS].conn;
	struct endpoint from = { our_ip, 0 }, to = { peer_ip, (u16)(30000 + arg % PORTS) };

	switch (op) {
	case RAW:
		deliver(bytes.p, bytes.n);
		break;
	case SEGMENT:
	case ICMP:
		near_segment(arg, bytes, op == ICMP);
		break;
	case WRITE:
		(void)tcp_stack_write(stack, now, conn, SPAN(buf, (size_t)(bytes.n ? bytes.p[0] : 1) * 256));
		break;
	case READ:
		(void)tcp_stack_read(stack, now, conn, (struct mspan){ buf, (size_t)arg * 16 });
		break;
	case SHUTDOWN:
		(void)tcp_stack_shutdown(stack, now, conn);
		break;
	case CLOSE:
		tcp_stack_close(stack, now, conn);
		break;
	case ABORT:
		tcp_stack_abort(stack, now, conn);
		break;
	case TIME:
		now += arg & 128 ? SEC(arg & 127) : MSEC(arg) * 10;
		if (tcp_stack_next_timeout(stack) <= now)
			tcp_stack_timeout(stack, now);
		break;
	case CONNECT:
		if (tcp_stack_connect(stack, now, &from, &to, &conn) == 0)
			views[arg % PORTS].conn = conn;
		break;
	case OPS:
		break;
	}
	poll_all();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_init(data, size);

	now = SEC(100);
	memset(views, 0, sizeof(views));
	rng_seeded_init(&rng, 1);
	stack = tcp_stack_new(&(struct tcp_stack_config){ .rng = &rng.rng, .idle_timeout = SEC(100) });
	if (!stack || tcp_stack_listen(stack, &(struct endpoint){ our_ip, 53 }, 2))
		abort();
	for (u32 i = 0; i < STEPS_MAX && rd_left(&r) >= 3; i++) {
		u8 op = rd_u8(&r), arg = rd_u8(&r), n = rd_u8(&r);
		struct span bytes = rd_bytes(&r, MIN((size_t)n, rd_left(&r)));
		step((enum op)(op % OPS), arg, bytes);
	}
	/* Left alone, everything comes to an end. */
	for (u32 i = 0; tcp_stack_next_timeout(stack) != TIME_NEVER; i++) {
		if (i > 20000)
			abort();
		now = MAX(now, tcp_stack_next_timeout(stack));
		tcp_stack_timeout(stack, now);
		poll_all();
	}
	tcp_stack_free(stack);
	return 0;
}
