/* Every input door of a WireGuard tunnel: raw datagrams, genuine messages with damage, and time.
 *
 * The input is a list of steps, each `op, argument, n, n bytes`. Genuine traffic comes from a second tunnel. Whatever was damaged
 * anywhere but in MAC2 must be refused.
 */
#include "core/base/cursor.h"
#include "core/crypto/key.h"
#include "core/wg/wg.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

#define STEPS_MAX 24u
#define DATAGRAM_MAX 2048u

enum op { RAW, RAW_WITH_MAC1, INITIATION, DATA, REPLY, TIME, OPS };

struct side {
	struct rng_seeded rng;
	struct wg_local local;
	struct wg wg;
};

static struct side target, peer;
static u64 now;
static const u64 wall_start = SEC(1700000000);

static void side_begin(struct side *s, u64 seed)
{
	rng_seeded_init(&s->rng, seed);
	wg_local_init(&s->local, &s->rng.rng, NULL, now);
}

static void begin(void)
{
	static const u8 psk[32] = { 1, 2, 3 };
	now = SEC(100);
	if (aead_init() < 0)
		abort();
	side_begin(&target, 1);
	side_begin(&peer, 2);
	if (wg_init(&target.wg, &target.local, now, 0x010203, peer.local.pub, psk) ||
	    wg_init(&peer.wg, &peer.local, now, 0x040506, target.local.pub, psk))
		abort();
}

static void end(void)
{
	wg_deinit(&target.wg);
	wg_deinit(&peer.wg);
	wg_local_deinit(&target.local);
	wg_local_deinit(&peer.local);
}

/* As an owner would; true when the datagram was accepted. */
static bool deliver(struct side *s, u8 *data, size_t n)
{
	const struct ip from = ip4(192, 0, 2, 1);
	u8 reply[WG_COOKIE_LEN];
	struct wg_initiation init;
	struct span inner;
	u32 index;
	switch (wg_classify(SPAN(data, n), &index)) {
	case WG_NONE:
		return false;
	case WG_INITIATION:
		return wg_gate(&s->local, now, SPAN(data, n), &from, reply) == 0 &&
		       wg_initiation_open(&s->local, SPAN(data, n), &init) == 0 && wg_input_initiation(&s->wg, now, &init) == 0;
	case WG_RESPONSE:
		return wg_gate(&s->local, now, SPAN(data, n), &from, reply) == 0 && wg_input(&s->wg, now, SPAN(data, n)) == 0;
	case WG_COOKIE:
		return wg_input(&s->wg, now, SPAN(data, n)) == 0;
	case WG_DATA:
		if (wg_open(&s->wg, now, (struct mspan){ data, n }, &inner) < 0)
			return false;
		if (inner.n > n - WG_HEADER_LEN - AEAD_TAG)
			abort();
		return true;
	}
	return false;
}

/* Lets an unforgeable field not stand in the way of the parser behind it. */
static void fix_mac1(const struct side *s, u8 *data, size_t n)
{
	u32 index;
	enum wg_type type = wg_classify(SPAN(data, n), &index);
	if (type == WG_INITIATION || type == WG_RESPONSE)
		blake2s(data + n - 32, 16, SPAN(s->local.mac1_key, 32), SPAN(data, n - 32));
}

/* XORs the damage over the message, from `at` on; true when something but MAC2 changed. */
static bool damage(u8 *msg, size_t n, size_t at, struct span bytes)
{
	u32 index;
	enum wg_type type = wg_classify(SPAN(msg, n), &index);
	size_t end = type == WG_INITIATION || type == WG_RESPONSE ? n - 16 : n;
	bool has_changed = false;
	for (size_t i = 0; i < bytes.n; i++) {
		size_t p = (at + i) % n;
		msg[p] ^= bytes.p[i];
		has_changed |= bytes.p[i] != 0 && p < end;
	}
	return has_changed;
}

static void deliver_damaged(struct side *to, u8 *msg, size_t n, u8 at, struct span bytes)
{
	u8 before[WG_INITIATION_LEN];
	size_t head = MIN(n, sizeof(before));
	memcpy(before, msg, head);
	bool is_damaged = damage(msg, n, at, bytes) && memcmp(before, msg, head) != 0;
	if (deliver(to, msg, n) && is_damaged && n <= sizeof(before))
		abort();
}

/* Whatever `from` wants to say, to the other side. */
static void pass_on(struct side *from, struct side *to, u8 at, struct span bytes)
{
	u8 msg[WG_INITIATION_LEN];
	size_t n;
	while ((n = wg_poll_transmit(&from->wg, msg)) > 0)
		deliver_damaged(to, msg, n, at, bytes);
	while (wg_poll_event(&from->wg) != WG_EVENT_NONE)
		continue;
}

static void step(enum op op, u8 arg, struct span bytes)
{
	static u8 buf[DATAGRAM_MAX];
	u8 slot[WG_HEADER_LEN + 64 + AEAD_TAG] = { 0 };
	switch (op) {
	case RAW:
	case RAW_WITH_MAC1:
		memcpy(buf, bytes.p, bytes.n);
		if (op == RAW_WITH_MAC1)
			fix_mac1(&target, buf, bytes.n);
		(void)deliver(&target, buf, bytes.n);
		break;
	case INITIATION:
		(void)wg_initiate(&peer.wg, now, wall_start + now);
		pass_on(&peer, &target, arg, bytes);
		break;
	case DATA:
		if (wg_seal(&peer.wg, now, slot, arg % 65u) == 0)
			deliver_damaged(&target, slot, WG_HEADER_LEN + arg % 65u + AEAD_TAG, arg, bytes);
		break;
	case REPLY:
		pass_on(&target, &peer, arg, bytes);
		pass_on(&peer, &target, 0, SPAN_NONE);
		break;
	case TIME:
		now += MSEC(100) * (1 + arg);
		wg_timeout(&target.wg, now, wall_start + now);
		wg_timeout(&peer.wg, now, wall_start + now);
		if (wg_next_timeout(&target.wg) <= now)
			abort();
		break;
	case OPS:
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_init(data, size);
	begin();
	for (unsigned i = 0; i < STEPS_MAX && rd_left(&r) > 0; i++) {
		enum op op = (enum op)(rd_u8(&r) % OPS);
		u8 arg = rd_u8(&r);
		size_t n = rd_u8(&r);
		struct span bytes = rd_bytes(&r, MIN(n, rd_left(&r)));
		if (rd_ok(&r) && (bytes.n > 0 || (op != RAW && op != RAW_WITH_MAC1)))
			step(op, arg, bytes);
	}
	end();
	return 0;
}
