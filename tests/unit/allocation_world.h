/* tests/unit/allocation_world.h: the TURN client before a scripted relay, in virtual time. Included by the test files of the allocation; each uses what
 * it needs.
 */
#pragma once

#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-variable"

#include "core/base/err.h"
#include "core/stun/channel.h"
#include "core/stun/stun.h"
#include "core/turn/allocation.h"
#include "tests/unit/test.h"

#include <stdlib.h>
#include <string.h>

#define USER "2145916800:kF8o3vGOqsBa5vErLDRSdEr69ibaE0PVezlbVE4FGbY"
#define PASSWORD "4xl1v/gk+pPzA+09EeABUVJ5Ot3ayty2AsktF2zqpXo"
#define SENT_MAX 256

struct sent {
	u64 at;
	struct endpoint dst;
	u8 raw[1024];
	size_t n;
	struct stun_msg m;
};

struct world {
	u64 now;
	struct rng_seeded rng;
	struct allocation *a;
	struct endpoint relay4, relay6, local4, local6;
	u8 key[STUN_KEY];
	struct sent sent[SENT_MAX];
	size_t n_sent;
	struct allocation_event events[64];
	size_t n_events;
};

static struct endpoint ep(const char *text)
{
	struct endpoint e = { 0 };
	if (endpoint_parse(SPAN(text, strlen(text)), &e) != 0)
		abort();
	return e;
}

static void drain(struct world *w)
{
	struct allocation_transmit t;

	while (allocation_poll_transmit(w->a, w->now, &t)) {
		if (w->n_sent == SENT_MAX)
			abort();
		struct sent *s = &w->sent[w->n_sent++];
		s->at = w->now;
		s->dst = t.dst;
		s->n = t.data.n;
		memcpy(s->raw, t.data.p, t.data.n);
		if (stun_parse(SPAN(s->raw, s->n), &s->m) != 0)
			abort();
	}
	while (w->n_events < ARRAY_LEN(w->events) && allocation_poll_event(w->a, &w->events[w->n_events]))
		w->n_events++;
}

static void world_init_with(struct world *w, struct allocation_config cfg)
{
	memset(w, 0, sizeof(*w));
	w->now = SEC(1000);
	w->relay4 = ep("203.0.113.5:3478");
	w->relay6 = ep("[2001:db8::5]:3478");
	w->local4 = ep("192.168.1.10:52625");
	w->local6 = ep("[2001:db8:1::10]:52625");
	rng_seeded_init(&w->rng, 20);
	stun_long_term_key(SPAN_STR(USER), SPAN_STR("firezone"), SPAN_STR(PASSWORD), w->key);
	cfg.rng = &w->rng.rng;
	cfg.username = USER;
	cfg.password = PASSWORD;
	w->a = allocation_new(&cfg, w->now);
	drain(w);
}

/* A relay with both families. */
static void world_init(struct world *w)
{
	world_init_with(w, (struct allocation_config){ .v4 = ep("203.0.113.5:3478"), .v6 = ep("[2001:db8::5]:3478") });
}

static void world_init_v4(struct world *w)
{
	world_init_with(w, (struct allocation_config){ .v4 = ep("203.0.113.5:3478") });
}

static void world_end(struct world *w)
{
	allocation_free(w->a);
}

/* Runs every deadline up to `until` and stands there. */
static void run_until(struct world *w, u64 until)
{
	for (int turns = 0;; turns++) {
		u64 next = allocation_next_timeout(w->a);
		if (next > until)
			break;
		if (turns == 10000)
			abort(); /* spins */
		w->now = MAX(next, w->now);
		allocation_timeout(w->a, w->now);
		drain(w);
	}
	w->now = until;
}

static void run_for(struct world *w, u64 ns)
{
	run_until(w, w->now + ns);
}

/* The last message of a method, NULL when none was sent since `from`. */
static const struct sent *last_since(const struct world *w, size_t from, u16 method)
{
	for (size_t i = w->n_sent; i > from; i--)
		if (w->sent[i - 1].m.method == method)
			return &w->sent[i - 1];
	return NULL;
}

static const struct sent *last(const struct world *w, u16 method)
{
	return last_since(w, 0, method);
}

static size_t count(const struct world *w, u16 method)
{
	size_t n = 0;
	for (size_t i = 0; i < w->n_sent; i++)
		n += w->sent[i].m.method == method;
	return n;
}

static const struct allocation_event *find_event(const struct world *w, enum allocation_event_type type)
{
	for (size_t i = 0; i < w->n_events; i++)
		if (w->events[i].type == type)
			return &w->events[i];
	return NULL;
}

struct reply {
	struct stun_builder b;
	u8 buf[512];
};

static void reply_begin(struct reply *r, enum stun_class class, const struct sent *to)
{
	stun_begin(&r->b, r->buf, sizeof(r->buf), class, to->m.method, to->m.txid);
}

static int deliver_from(struct world *w, struct reply *r, const struct endpoint *remote)
{
	const struct endpoint *local = remote->ip.family == 4 ? &w->local4 : &w->local6;
	int n = stun_end(&r->b);
	if (n < 0)
		abort();
	int rc = allocation_input(w->a, w->now, local, remote, SPAN(r->buf, n));
	drain(w);
	return rc;
}

static int deliver(struct world *w, struct reply *r, const struct sent *to)
{
	struct endpoint remote = to->dst;
	return deliver_from(w, r, &remote);
}

static int deliver_signed(struct world *w, struct reply *r, const struct sent *to)
{
	stun_put_integrity(&r->b, SPAN(w->key, sizeof(w->key)));
	return deliver(w, r, to);
}

static int answer_binding_as(struct world *w, const struct sent *to, const char *mapped)
{
	struct reply r;
	struct endpoint e = ep(mapped);
	reply_begin(&r, STUN_SUCCESS, to);
	stun_put_xor_address(&r.b, ATTR_XOR_MAPPED_ADDRESS, &e);
	return deliver(w, &r, to);
}

static int answer_binding(struct world *w, const struct sent *to)
{
	return answer_binding_as(w, to, to->dst.ip.family == 4 ? "198.51.100.7:40000" : "[2001:db8:1::10]:52625");
}

static int answer_error(struct world *w, const struct sent *to, enum stun_error_code code, const char *nonce)
{
	struct reply r;
	reply_begin(&r, STUN_ERROR, to);
	stun_put_error(&r.b, code);
	if (nonce) {
		stun_put(&r.b, ATTR_REALM, SPAN_STR("firezone"));
		stun_put(&r.b, ATTR_NONCE, SPAN(nonce, strlen(nonce)));
	}
	return deliver_signed(w, &r, to);
}

static int answer_allocate(struct world *w, const struct sent *to, const char *v4, const char *v6, u32 lifetime)
{
	struct reply r;
	reply_begin(&r, STUN_SUCCESS, to);
	if (v4) {
		struct endpoint e = ep(v4);
		stun_put_xor_address(&r.b, ATTR_XOR_RELAYED_ADDRESS, &e);
	}
	if (v6) {
		struct endpoint e = ep(v6);
		stun_put_xor_address(&r.b, ATTR_XOR_RELAYED_ADDRESS, &e);
	}
	stun_put_u32(&r.b, ATTR_LIFETIME, lifetime);
	return deliver_signed(w, &r, to);
}

static int answer_lifetime(struct world *w, const struct sent *to, u32 lifetime)
{
	struct reply r;
	reply_begin(&r, STUN_SUCCESS, to);
	stun_put_u32(&r.b, ATTR_LIFETIME, lifetime);
	return deliver_signed(w, &r, to);
}

static int answer_ok(struct world *w, const struct sent *to)
{
	struct reply r;
	reply_begin(&r, STUN_SUCCESS, to);
	return deliver_signed(w, &r, to);
}

#define NONCE "00000000-0000-0000-0000-000000000000"

/* From nothing to a live allocation over IPv4 with both relayed addresses. */
static void go_live(struct world *w)
{
	answer_binding(w, &w->sent[0]);
	answer_error(w, last(w, TURN_ALLOCATE), STUN_UNAUTHORIZED, NONCE);
	answer_allocate(w, last(w, TURN_ALLOCATE), "203.0.113.5:50000", "[2001:db8::5]:50000", 600);
	w->n_sent = w->n_events = 0;
}

/* Binds a channel and has it confirmed; its number. */
static u16 bind_confirmed(struct world *w, const char *peer)
{
	struct endpoint e = ep(peer);
	u16 number = 0;
	size_t before = w->n_sent;
	EXPECT_EQ(allocation_bind(w->a, w->now, &e), 0);
	drain(w);
	const struct sent *s = last_since(w, before, TURN_CHANNEL_BIND);
	if (!EXPECT(s != NULL))
		return 0;
	EXPECT_EQ(answer_ok(w, s), 0);
	EXPECT_EQ(allocation_peer_to_channel(w->a, w->now, &e, &number), 0);
	return number;
}

static bool has_text(const struct stun_msg *m, enum stun_attr type, const char *want)
{
	struct span got;
	return stun_get_text(m, type, &got) == 0 && got.n == strlen(want) && memcmp(got.p, want, got.n) == 0;
}
