/* The TURN client's input door: a list of steps, each `op, argument, n, n bytes`. Answers to requests that are really in flight are made
 * from the bytes as attributes, signed or not; besides there are raw datagrams, time, binds and refreshes. */
#include "core/base/cursor.h"
#include "core/stun/stun.h"
#include "core/turn/allocation.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

#define STEPS_MAX 48u
#define SENT_MAX 16u
#define DEADLINES_MAX 2000u

enum op { RAW, SUCCESS, ERROR_REPLY, UNSIGNED, TIME, BIND, REFRESH, CHANNEL, OPS };

struct sent {
	struct endpoint dst;
	u16 method;
	u8 txid[STUN_TXID];
};

static struct allocation *a;
static u64 now;
static struct sent sent[SENT_MAX];
static u32 n_sent;
static u8 key[STUN_KEY];

static void drain(void)
{
	struct allocation_transmit t;
	struct allocation_event e;

	for (unsigned i = 0; allocation_poll_transmit(a, now, &t); i++) {
		struct stun_msg m;
		if (i > 1000 || stun_parse(t.data, &m) != 0 || !allocation_owns(a, &t.dst))
			abort();
		struct sent *s = &sent[n_sent++ % SENT_MAX];
		*s = (struct sent){ .dst = t.dst, .method = m.method };
		memcpy(s->txid, m.txid, STUN_TXID);
	}
	while (allocation_poll_event(a, &e))
		;
	if (allocation_is_freed(a) && allocation_next_timeout(a) != TIME_NEVER)
		abort();
}

static void run_until(u64 end)
{
	for (unsigned i = 0; allocation_next_timeout(a) <= end; i++) {
		if (i == DEADLINES_MAX)
			abort(); /* spins */
		now = MAX(now, allocation_next_timeout(a));
		allocation_timeout(a, now);
		drain();
	}
	now = end;
}

static void deliver(struct span d, const struct endpoint *from)
{
	struct endpoint local = { .ip = ip4(192, 0, 2, 1), .port = 52625 };

	if (from->ip.family == 6) {
		memset(&local.ip, 0, sizeof(local.ip));
		local.ip.family = 6;
		local.ip.b[0] = 0x20;
	}
	(void)allocation_input(a, now, &local, from, d);
	drain();
}

/* The bytes are taken as the attributes of an answer. */
static void answer(enum stun_class class, bool is_signed, u8 which, struct span attributes)
{
	u8 buf[STUN_MAX_MESSAGE];
	struct stun_builder b;

	if (n_sent == 0)
		return;
	const struct sent *s = &sent[which % MIN(n_sent, SENT_MAX)];
	struct endpoint from = s->dst;
	stun_begin(&b, buf, sizeof(buf), class, s->method, s->txid);
	wr_bytes(&b.w, attributes.p, attributes.n & ~(size_t)3);
	if (is_signed)
		stun_put_integrity(&b, SPAN(key, sizeof(key)));
	int n = stun_end(&b);
	if (n > 0)
		deliver(SPAN(buf, n), &from);
}

static void step(enum op op, u8 arg, struct span bytes)
{
	struct endpoint peer = { .ip = ip4(198, 51, 100, arg), .port = (u16)(1 + arg % 4) }, got;
	struct endpoint relay = { .ip = ip4(203, 0, 113, 5), .port = 3478 };
	u16 number;

	switch (op) {
	case RAW: deliver(bytes, &relay); break;
	case SUCCESS: answer(STUN_SUCCESS, true, arg, bytes); break;
	case ERROR_REPLY: answer(STUN_ERROR, true, arg, bytes); break;
	case UNSIGNED: answer(arg & 1 ? STUN_ERROR : STUN_SUCCESS, false, arg, bytes); break;
	case TIME: run_until(now + MSEC(100) * ((u64)arg * arg + 1)); break;
	case BIND: (void)allocation_bind(a, now, &peer); break;
	case REFRESH: allocation_refresh(a, now); break;
	case CHANNEL:
		(void)allocation_channel_to_peer(a, now, (u16)(0x4000 + arg % 8), &got);
		(void)allocation_peer_to_channel(a, now, &peer, &number);
		allocation_note_sent(a, now);
		break;
	case OPS: break;
	}
	drain();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_init(data, size);
	struct rng_seeded rng;
	u8 flags = rd_u8(&r);
	struct allocation_config cfg = {
		.v4 = { .ip = ip4(203, 0, 113, 5), .port = 3478 },
		.username = "2145916800:salt",
		.password = "password",
		.is_rfc_mode = flags & 1,
		.rng = &rng.rng,
	};

	if (flags & 2) {
		cfg.v6 = cfg.v4;
		cfg.v6.ip.family = 6;
	}
	rng_seeded_init(&rng, 1);
	stun_long_term_key(SPAN_STR("2145916800:salt"), SPAN_STR("firezone"), SPAN_STR("password"), key);
	now = SEC(100);
	n_sent = 0;
	a = allocation_new(&cfg, now);
	if (!a)
		return 0;
	drain();
	for (unsigned i = 0; i < STEPS_MAX && rd_left(&r) >= 3; i++) {
		enum op op = (enum op)(rd_u8(&r) % OPS);
		u8 arg = rd_u8(&r);
		size_t n = rd_u8(&r);
		step(op, arg, rd_bytes(&r, MIN(n, rd_left(&r))));
	}
	allocation_free(a);
	return 0;
}
