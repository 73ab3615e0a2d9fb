#include "tests/unit/wg_world.h"

#include "core/base/cursor.h"
#include "core/base/err.h"

#include <string.h>

static struct world the_world;

u64 world_wall(const struct world *w)
{
	return (u64)((i64)(WALL_START + w->now) + w->wall_shift);
}

static void end_begin(struct world_end *e, u64 seed, const u8 priv[static 32], u64 now, struct ip ip)
{
	memset(e, 0, sizeof(*e));
	rng_seeded_init(&e->rng, seed);
	wg_local_init(&e->local, &e->rng.rng, priv, now);
	e->ip = ip;
	e->established_at = e->expired_at = TIME_NEVER;
}

struct world *world_begin(u64 seed)
{
	struct world *w = &the_world;
	u8 key[2][32], psk[32];
	memset(w, 0, sizeof(*w));
	EXPECT_EQ(aead_init(), 0);
	w->now = SEC(1000);
	w->latency = MSEC(10);
	rng_seeded_init(&w->rng, seed);
	for (int i = 0; i < 2; i++) {
		rng_fill(&w->rng.rng, key[i], 32);
		end_begin(&w->end[i], seed * 2 + (u64)i, key[i], w->now, ip4(192, 0, 2, (u8)(1 + i)));
	}
	rng_fill(&w->rng.rng, psk, 32);
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(wg_init(&w->end[i].wg, &w->end[i].local, w->now, 0xabc001 + (u32)i, w->end[1 - i].local.pub, psk), 0);
	return w;
}

void world_end(struct world *w)
{
	for (int i = 0; i < 2; i++) {
		wg_deinit(&w->end[i].wg);
		wg_local_deinit(&w->end[i].local);
	}
}

static bool wire_loses(struct world *w, int from, enum wg_type type)
{
	if (w->drop_next[from][type] > 0) {
		w->drop_next[from][type]--;
		return true;
	}
	return w->is_cut || rng_below(&w->rng.rng, 100) < w->loss_percent;
}

void world_put_on_wire(struct world *w, int from, const u8 *data, size_t len)
{
	u32 index;
	enum wg_type type = wg_classify(SPAN(data, len), &index);
	bool is_dropped = wire_loses(w, from, type);
	if (EXPECT(w->n_log < WORLD_LOG))
		w->log[w->n_log++] = (struct wire_log){ w->now, (u8)from, type, (u16)len, is_dropped };
	if (is_dropped || !EXPECT(w->n_flights < WORLD_FLIGHTS && len <= DATAGRAM_MAX))
		return;
	struct flight *f = &w->flights[w->n_flights++];
	f->at = w->now + w->latency + rng_below(&w->rng.rng, w->latency_spread + 1);
	f->order = w->order++;
	f->to = (u8)(1 - from);
	f->len = (u16)len;
	memcpy(f->data, data, len);
}

static void seal_and_send(struct world *w, int from, u32 id)
{
	u8 slot[WG_HEADER_LEN + 20 + AEAD_TAG];
	memset(slot, 0x77, sizeof(slot));
	put_le32(slot + WG_HEADER_LEN, id);
	if (EXPECT_EQ(wg_seal(&w->end[from].wg, w->now, slot, 20), 0))
		world_put_on_wire(w, from, slot, sizeof(slot));
}

void world_collect(struct world *w, int from)
{
	struct world_end *e = &w->end[from];
	u8 msg[WG_INITIATION_LEN];
	size_t len;
	while ((len = wg_poll_transmit(&e->wg, msg)) > 0)
		world_put_on_wire(w, from, msg, len);
	for (;;) {
		switch (wg_poll_event(&e->wg)) {
		case WG_EVENT_NONE:
			return;
		case WG_EVENT_ESTABLISHED:
			EXPECT_EQ(e->established_at, TIME_NEVER);
			e->established_at = w->now;
			break;
		case WG_EVENT_SENDABLE:
			e->sendables++;
			for (unsigned i = 0; i < e->queued; i++)
				seal_and_send(w, from, e->queue[i]);
			e->queued = 0;
			break;
		case WG_EVENT_EXPIRED:
			e->expired_at = w->now;
			break;
		}
	}
}

void world_initiate(struct world *w, int from)
{
	EXPECT_EQ(wg_initiate(&w->end[from].wg, w->now, world_wall(w)), 0);
	world_collect(w, from);
}

void world_send(struct world *w, int from, u32 id)
{
	struct world_end *e = &w->end[from];
	if (wg_can_send(&e->wg, w->now)) {
		seal_and_send(w, from, id);
		return;
	}
	if (e->queued < WG_QUEUE_MAX)
		e->queue[e->queued++] = id;
	if (!wg_is_handshaking(&e->wg))
		(void)wg_initiate(&e->wg, w->now, world_wall(w));
	world_collect(w, from);
}

static void deliver_initiation(struct world *w, int to, struct span datagram)
{
	struct world_end *e = &w->end[to];
	struct wg_initiation init;
	if (wg_initiation_open(&e->local, datagram, &init) == 0)
		(void)!wg_input_initiation(&e->wg, w->now, &init);
}

void world_deliver(struct world *w, int to, u8 *data, size_t len)
{
	struct world_end *e = &w->end[to];
	u8 reply[WG_COOKIE_LEN];
	u32 index;
	struct span inner;
	switch (wg_classify(SPAN(data, len), &index)) {
	case WG_NONE:
		break;
	case WG_INITIATION:
	case WG_RESPONSE: {
		int rc = wg_gate(&e->local, w->now, SPAN(data, len), &w->end[1 - to].ip, reply);
		if (rc == 0 && index == 0)
			deliver_initiation(w, to, SPAN(data, len));
		else if (rc == 0)
			(void)!wg_input(&e->wg, w->now, SPAN(data, len));
		else if (rc == ERR_LIMIT)
			world_put_on_wire(w, to, reply, sizeof(reply));
		break;
	}
	case WG_COOKIE:
		(void)!wg_input(&e->wg, w->now, SPAN(data, len));
		break;
	case WG_DATA:
		if (wg_open(&e->wg, w->now, (struct mspan){ data, len }, &inner) < 0)
			break;
		if (inner.n == 0) {
			e->keepalives++;
			break;
		}
		e->received++;
		if (EXPECT(inner.n >= 4 && get_le32(inner.p) < WORLD_IDS))
			e->times_received[get_le32(inner.p)]++;
		break;
	}
	world_collect(w, to);
}

static int next_flight(const struct world *w)
{
	int best = -1;
	for (unsigned i = 0; i < w->n_flights; i++) {
		const struct flight *f = &w->flights[i], *b = &w->flights[best < 0 ? 0 : best];
		if (best < 0 || f->at < b->at || (f->at == b->at && f->order < b->order))
			best = (int)i;
	}
	return best;
}

void world_run(struct world *w, u64 until)
{
	for (;;) {
		int f = next_flight(w);
		u64 at = f >= 0 ? w->flights[f].at : TIME_NEVER;
		u64 due[2] = { wg_next_timeout(&w->end[0].wg), wg_next_timeout(&w->end[1].wg) };
		u64 next = time_min(at, time_min(due[0], due[1]));
		if (next > until || w->steps++ > 1000000)
			break;
		w->now = MAX(w->now, next);
		if (next == at) {
			struct flight flight = w->flights[f];
			w->flights[f] = w->flights[--w->n_flights];
			world_deliver(w, flight.to, flight.data, flight.len);
			continue;
		}
		int who = due[0] == next ? 0 : 1;
		wg_timeout(&w->end[who].wg, w->now, world_wall(w));
		world_collect(w, who);
		if (!EXPECT(wg_next_timeout(&w->end[who].wg) > w->now || w->steps < 900000))
			break;
	}
	w->now = MAX(w->now, until);
}

unsigned world_count(const struct world *w, int from, enum wg_type type)
{
	unsigned n = 0;
	for (unsigned i = 0; i < w->n_log; i++)
		n += w->log[i].from == from && w->log[i].type == type;
	return n;
}

u64 world_sent_at(const struct world *w, int from, enum wg_type type, unsigned nth)
{
	for (unsigned i = 0; i < w->n_log; i++) {
		if (w->log[i].from == from && w->log[i].type == type && nth-- == 0)
			return w->log[i].at;
	}
	return TIME_NEVER;
}
