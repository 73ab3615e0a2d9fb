/* The TURN client against a scripted relay, in virtual time (spec 20 §7). */
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

/* --- requests ---------------------------------------------------------------------------------------------------------------- */

TEST(spec20_46_first_allocate_is_byte_exact)
{
	/* spec 50 §2.11, but for the transaction id and so the sum */
	static const char tail[] = "\x00\x19\x00\x04\x11\x00\x00\x00\x80\x00\x00\x04\x02\x00\x00\x00\x80\x22\x00\x07snownet\x00"
				   "\x00\x06\x00\x36" USER "\x00\x00\x00\x14\x00\x08"
				   "firezone\x00\x08\x00\x14";
	struct world w;

	world_init(&w);
	EXPECT_EQ(answer_binding(&w, &w.sent[0]), 0);
	const struct sent *s = last(&w, TURN_ALLOCATE);
	REQUIRE(s != NULL);
	EXPECT_EQ(s->n, 144);
	EXPECT_MEM(s->raw + STUN_HEADER, tail, sizeof(tail) - 1);
	EXPECT_EQ(stun_check_integrity(&s->m, SPAN(w.key, sizeof(w.key))), 0);
	EXPECT(endpoint_eq(&s->dst, &w.relay4));
	world_end(&w);
}

TEST(spec20_46_second_allocate_carries_the_nonce)
{
	struct world w;

	world_init(&w);
	answer_binding(&w, &w.sent[0]);
	const struct sent *first = last(&w, TURN_ALLOCATE);
	answer_error(&w, first, STUN_UNAUTHORIZED, NONCE);
	const struct sent *second = last(&w, TURN_ALLOCATE);
	REQUIRE(second != first);
	EXPECT(has_text(&second->m, ATTR_NONCE, NONCE));
	EXPECT(memcmp(first->m.txid, second->m.txid, STUN_TXID) != 0);
	EXPECT_EQ(stun_check_integrity(&second->m, SPAN(w.key, sizeof(w.key))), 0);
	world_end(&w);
}

TEST(channel_bind_has_the_layout_of_spec20_7_1)
{
	struct world w;
	struct endpoint peer = ep("198.51.100.99:52625"), got;
	u16 number;
	static const u16 order[] = { ATTR_XOR_PEER_ADDRESS, ATTR_CHANNEL_NUMBER, ATTR_SOFTWARE,		 ATTR_USERNAME,
				     ATTR_REALM,	    ATTR_NONCE,		 ATTR_MESSAGE_INTEGRITY };

	world_init(&w);
	go_live(&w);
	allocation_bind(w.a, w.now, &peer);
	drain(&w);
	const struct sent *s = last(&w, TURN_CHANNEL_BIND);
	REQUIRE(s != NULL);
	struct stun_iter it = { 0 };
	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		EXPECT(stun_next(&s->m, &it) && it.type == order[i]);
	EXPECT_EQ(stun_get_address(&s->m, ATTR_XOR_PEER_ADDRESS, &got), 0);
	EXPECT(endpoint_eq(&got, &peer));
	EXPECT_EQ(stun_get_channel(&s->m, &number), 0);
	EXPECT_EQ(number, 0x4000);
	world_end(&w);
}

TEST(spec20_47_unsigned_and_foreign_answers_are_ignored)
{
	struct world w;
	struct reply r;

	world_init_v4(&w);
	answer_binding(&w, &w.sent[0]);
	const struct sent *s = last(&w, TURN_ALLOCATE);
	size_t before = w.n_sent;

	/* unsigned 401 */
	reply_begin(&r, STUN_ERROR, s);
	stun_put_error(&r.b, STUN_UNAUTHORIZED);
	stun_put(&r.b, ATTR_REALM, SPAN_STR("firezone"));
	stun_put(&r.b, ATTR_NONCE, SPAN_STR(NONCE));
	EXPECT_EQ(deliver(&w, &r, s), ERR_AUTH);
	/* signed with another key */
	reply_begin(&r, STUN_ERROR, s);
	stun_put_error(&r.b, STUN_UNKNOWN_ATTRIBUTE);
	stun_put_integrity(&r.b, SPAN_STR("another key 16 b"));
	EXPECT_EQ(deliver(&w, &r, s), ERR_AUTH);
	/* from an address that is not the one asked */
	reply_begin(&r, STUN_ERROR, s);
	stun_put_error(&r.b, STUN_UNAUTHORIZED);
	stun_put(&r.b, ATTR_NONCE, SPAN_STR(NONCE));
	stun_put_integrity(&r.b, SPAN(w.key, sizeof(w.key)));
	struct endpoint other = ep("203.0.113.6:3478");
	EXPECT_EQ(deliver_from(&w, &r, &other), ERR_NOT_OURS);
	/* indications are no answers */
	reply_begin(&r, STUN_INDICATION, s);
	EXPECT_EQ(deliver_signed(&w, &r, s), ERR_NOT_OURS);

	EXPECT_EQ(w.n_sent, before);
	run_for(&w, SEC(1));
	EXPECT_EQ(w.n_sent, before + 1); /* still retransmitting */
	EXPECT_EQ(allocation_stats(w.a)->rx_unsigned, 2);
	world_end(&w);
}

TEST(spec20_48_retransmits_then_gives_up)
{
	struct world w;
	static const u64 at[] = { MSEC(0), MSEC(1000), MSEC(2500), MSEC(4750) };

	world_init_v4(&w);
	u64 start = w.now;
	run_until(&w, start + MSEC(8124));
	REQUIRE(w.n_sent == ARRAY_LEN(at));
	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		EXPECT_EQ(w.sent[i].at - start, at[i]);
		EXPECT_MEM(w.sent[i].m.txid, w.sent[0].m.txid, STUN_TXID); /* BINDING keeps its id */
	}
	EXPECT(!allocation_is_freed(w.a));
	run_until(&w, start + MSEC(8125));
	const struct allocation_event *e = find_event(&w, ALLOCATION_FREED);
	REQUIRE(e != NULL);
	EXPECT_EQ(e->reason, ALLOCATION_NO_RESPONSE);
	EXPECT(allocation_next_timeout(w.a) == TIME_NEVER);
	EXPECT_EQ(w.n_sent, ARRAY_LEN(at));
	world_end(&w);
}

TEST(spec20_48_authenticated_retransmits_have_new_ids)
{
	struct world w;

	world_init_v4(&w);
	answer_binding(&w, &w.sent[0]);
	u64 start = w.now;
	w.n_sent = 1;
	run_until(&w, start + MSEC(8124));
	REQUIRE(w.n_sent == 4);
	for (size_t i = 1; i < 4; i++)
		for (size_t k = 1; k < i; k++)
			EXPECT(memcmp(w.sent[i].m.txid, w.sent[k].m.txid, STUN_TXID) != 0);
	/* late answer to an old id */
	EXPECT_EQ(answer_error(&w, &w.sent[1], STUN_UNAUTHORIZED, NONCE), ERR_NOT_OURS);
	run_until(&w, start + MSEC(8125));
	EXPECT(find_event(&w, ALLOCATION_FREED) != NULL);
	world_end(&w);
}

TEST(late_binding_answer_still_counts_and_rtt_is_from_the_first_transmission)
{
	struct world w;

	world_init_v4(&w);
	run_for(&w, MSEC(1200));
	EXPECT_EQ(count(&w, STUN_BINDING), 2);
	EXPECT_EQ(answer_binding(&w, &w.sent[0]), 0);
	EXPECT_EQ(allocation_srtt(w.a), MSEC(1200));
	world_end(&w);
}

TEST(rtt_is_smoothed)
{
	struct world w;

	world_init_v4(&w);
	EXPECT(allocation_srtt(w.a) == TIME_NEVER);
	w.now += MSEC(80);
	answer_binding(&w, &w.sent[0]);
	EXPECT_EQ(allocation_srtt(w.a), MSEC(80));
	w.now += MSEC(160);
	answer_error(&w, last(&w, TURN_ALLOCATE), STUN_UNAUTHORIZED, NONCE);
	EXPECT_EQ(allocation_srtt(w.a), MSEC(90));
	world_end(&w);
}

/* --- life -------------------------------------------------------------------------------------------------------------------- */

TEST(spec20_49_first_binding_answer_fixes_the_socket)
{
	struct world w;

	world_init(&w);
	EXPECT_EQ(count(&w, STUN_BINDING), 2);
	EXPECT(allocation_active(w.a) == NULL);
	EXPECT_EQ(answer_binding(&w, &w.sent[1]), 0); /* IPv6 is faster */
	REQUIRE(allocation_active(w.a) != NULL);
	EXPECT(endpoint_eq(allocation_active(w.a), &w.relay6));
	EXPECT_EQ(answer_binding(&w, &w.sent[0]), 0);
	EXPECT(endpoint_eq(allocation_active(w.a), &w.relay6));
	EXPECT_EQ(count(&w, TURN_ALLOCATE), 1); /* never over both */
	EXPECT(endpoint_eq(&last(&w, TURN_ALLOCATE)->dst, &w.relay6));
	world_end(&w);
}

TEST(silence_of_the_other_family_changes_nothing)
{
	struct world w;

	world_init(&w);
	go_live(&w);
	run_for(&w, SEC(9));
	EXPECT(allocation_active(w.a) != NULL);
	EXPECT(!allocation_is_freed(w.a));
	world_end(&w);
}

TEST(spec20_15_candidates_come_from_answers)
{
	struct world w;
	struct allocation_event c[6];

	world_init(&w);
	answer_binding(&w, &w.sent[0]);
	answer_binding(&w, &w.sent[1]);
	answer_error(&w, last(&w, TURN_ALLOCATE), STUN_UNAUTHORIZED, NONCE);
	answer_allocate(&w, last(&w, TURN_ALLOCATE), "203.0.113.5:50000", "[2001:db8::5]:50000", 600);
	REQUIRE(allocation_candidates(w.a, c) == 6);
	struct endpoint srflx = ep("198.51.100.7:40000"), relayed = ep("203.0.113.5:50000");
	EXPECT(c[0].kind == ALLOCATION_HOST && endpoint_eq(&c[0].addr, &w.local4));
	EXPECT(c[1].kind == ALLOCATION_HOST && endpoint_eq(&c[1].addr, &w.local6));
	EXPECT(c[2].kind == ALLOCATION_SRFLX && endpoint_eq(&c[2].addr, &srflx) && endpoint_eq(&c[2].base, &w.local4));
	EXPECT(c[4].kind == ALLOCATION_RELAY && endpoint_eq(&c[4].addr, &relayed) && endpoint_eq(&c[4].base, &relayed));
	size_t told = 0;
	for (size_t i = 0; i < w.n_events; i++)
		told += w.events[i].type == ALLOCATION_CANDIDATE;
	EXPECT_EQ(told, 6);
	world_end(&w);
}

TEST(unusable_addresses_are_no_candidates)
{
	static const char *const bad[] = { "0.0.0.0:1", "224.0.0.1:1", "169.254.1.1:1", "255.255.255.255:1" };
	struct world w;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct allocation_event c[6];
		world_init_v4(&w);
		answer_binding_as(&w, &w.sent[0], bad[i]);
		EXPECT_EQ(allocation_candidates(w.a, c), 1); /* the host */
		world_end(&w);
	}
	struct allocation_event c[6];
	world_init_v4(&w);
	answer_binding_as(&w, &w.sent[0], "[2001:db8::1]:1"); /* srflx of another family than its base */
	EXPECT_EQ(allocation_candidates(w.a, c), 1);
	world_end(&w);
}

TEST(a_moved_srflx_is_new_but_the_old_one_stays_valid)
{
	struct world w;

	world_init_v4(&w);
	go_live(&w);
	run_for(&w, SEC(25));
	answer_binding_as(&w, last(&w, STUN_BINDING), "198.51.100.7:41000");
	REQUIRE(w.n_events == 1);
	EXPECT_EQ(w.events[0].type, ALLOCATION_CANDIDATE);
	EXPECT_EQ(w.events[0].addr.port, 41000);
	world_end(&w);
}

TEST(spec20_50_refreshes_at_half_lifetime)
{
	struct world w;

	world_init_v4(&w);
	go_live(&w);
	u64 start = w.now;
	while (w.now < start + SEC(299)) {
		run_for(&w, SEC(1));
		allocation_note_sent(w.a, w.now);
	}
	EXPECT_EQ(count(&w, TURN_REFRESH), 0);
	EXPECT_EQ(count(&w, STUN_BINDING), 0); /* channel data postpones the keepalive */
	run_until(&w, start + SEC(300));
	const struct sent *s = last(&w, TURN_REFRESH);
	REQUIRE(s != NULL);
	EXPECT(has_text(&s->m, ATTR_NONCE, NONCE));
	EXPECT_EQ(answer_lifetime(&w, s, 600), 0);
	w.n_sent = 0;
	while (w.now < start + SEC(599)) {
		run_for(&w, SEC(1));
		allocation_note_sent(w.a, w.now);
	}
	EXPECT_EQ(count(&w, TURN_REFRESH), 0);
	run_until(&w, start + SEC(600));
	EXPECT_EQ(count(&w, TURN_REFRESH), 1);
	world_end(&w);
}

TEST(spec20_50_keepalive_after_25_s_of_silence)
{
	struct world w;

	world_init_v4(&w);
	go_live(&w);
	u64 start = w.now;
	run_until(&w, start + SEC(25) - 1);
	EXPECT_EQ(count(&w, STUN_BINDING), 0);
	run_until(&w, start + SEC(25));
	EXPECT_EQ(count(&w, STUN_BINDING), 1);
	answer_binding(&w, last(&w, STUN_BINDING));
	run_until(&w, start + SEC(40));
	allocation_note_sent(w.a, w.now);
	run_until(&w, start + SEC(65) - 1);
	EXPECT_EQ(count(&w, STUN_BINDING), 1);
	run_until(&w, start + SEC(65));
	EXPECT_EQ(count(&w, STUN_BINDING), 2);
	world_end(&w);
}

TEST(no_keepalive_without_an_allocation)
{
	struct world w;

	world_init_v4(&w);
	answer_binding(&w, &w.sent[0]);
	answer_error(&w, last(&w, TURN_ALLOCATE), STUN_INSUFFICIENT_CAPACITY, NULL);
	w.n_sent = 0;
	run_for(&w, SEC(3600));
	EXPECT_EQ(w.n_sent, 0);
	EXPECT(!allocation_is_freed(w.a));
	world_end(&w);
}

TEST(silent_relay_frees_a_live_allocation)
{
	struct world w;

	world_init_v4(&w);
	go_live(&w);
	u64 start = w.now;
	run_until(&w, start + SEC(25) + MSEC(8125));
	REQUIRE(w.n_events == 3); /* both relay candidates, then itself */
	EXPECT_EQ(w.events[0].type, ALLOCATION_CANDIDATE_GONE);
	EXPECT_EQ(w.events[1].type, ALLOCATION_CANDIDATE_GONE);
	EXPECT_EQ(w.events[2].type, ALLOCATION_FREED);
	EXPECT(allocation_relayed(w.a, 4) == NULL);
	world_end(&w);
}

/* --- errors ------------------------------------------------------------------------------------------------------------------ */

TEST(spec20_51_401_with_nonce_ends_the_credentials)
{
	struct world w;

	world_init_v4(&w);
	answer_binding(&w, &w.sent[0]);
	answer_error(&w, last(&w, TURN_ALLOCATE), STUN_UNAUTHORIZED, NONCE);
	answer_error(&w, last(&w, TURN_ALLOCATE), STUN_UNAUTHORIZED, NONCE);
	const struct allocation_event *e = find_event(&w, ALLOCATION_FREED);
	REQUIRE(e != NULL);
	EXPECT_EQ(e->reason, ALLOCATION_BAD_CREDENTIALS);
	world_end(&w);
}

TEST(spec20_51_438_repeats_with_the_new_nonce)
{
	struct world w;

	world_init_v4(&w);
	go_live(&w);
	run_for(&w, SEC(24));
	allocation_refresh(w.a, w.now);
	drain(&w);
	answer_error(&w, last(&w, TURN_REFRESH), STUN_STALE_NONCE, "fresh");
	EXPECT(has_text(&last(&w, TURN_REFRESH)->m, ATTR_NONCE, "fresh"));
	EXPECT_EQ(answer_lifetime(&w, last(&w, TURN_REFRESH), 600), 0);
	EXPECT(find_event(&w, ALLOCATION_CANDIDATE_GONE) == NULL);
	world_end(&w);
}

TEST(spec20_51_endless_challenges_end)
{
	struct world w;

	world_init_v4(&w);
	answer_binding(&w, &w.sent[0]);
	for (int i = 0; i < 100; i++) {
		size_t before = w.n_sent;
		answer_error(&w, last(&w, TURN_ALLOCATE), STUN_STALE_NONCE, "again");
		if (w.n_sent == before)
			break;
	}
	EXPECT(count(&w, TURN_ALLOCATE) < 20);
	world_end(&w);
}

TEST(spec20_51_foreign_realm_gives_up)
{
	struct world w;
	struct reply r;

	world_init_v4(&w);
	answer_binding(&w, &w.sent[0]);
	const struct sent *s = last(&w, TURN_ALLOCATE);
	size_t before = w.n_sent;
	reply_begin(&r, STUN_ERROR, s);
	stun_put_error(&r.b, STUN_UNAUTHORIZED);
	stun_put(&r.b, ATTR_REALM, SPAN_STR("elsewhere"));
	stun_put(&r.b, ATTR_NONCE, SPAN_STR(NONCE));
	EXPECT_EQ(deliver_signed(&w, &r, s), 0);
	run_for(&w, SEC(20));
	EXPECT_EQ(w.n_sent, before);
	world_end(&w);
}

TEST(spec20_51_437_on_allocate_deletes_then_allocates)
{
	struct world w;
	u32 lifetime = 1;

	world_init_v4(&w);
	answer_binding(&w, &w.sent[0]);
	answer_error(&w, last(&w, TURN_ALLOCATE), STUN_UNAUTHORIZED, NONCE);
	answer_error(&w, last(&w, TURN_ALLOCATE), STUN_ALLOCATION_MISMATCH, NULL);
	const struct sent *s = last(&w, TURN_REFRESH);
	REQUIRE(s != NULL);
	EXPECT_EQ(stun_get_u32(&s->m, ATTR_LIFETIME, &lifetime), 0);
	EXPECT_EQ(lifetime, 0);
	size_t before = w.n_sent;
	EXPECT_EQ(answer_lifetime(&w, s, 0), 0);
	EXPECT(last_since(&w, before, TURN_ALLOCATE) != NULL);
	EXPECT_EQ(answer_allocate(&w, last(&w, TURN_ALLOCATE), "203.0.113.5:50001", NULL, 600), 0);
	EXPECT(allocation_relayed(w.a, 4) != NULL);
	EXPECT(allocation_relayed(w.a, 6) == NULL);
	world_end(&w);
}

TEST(spec20_51_437_on_refresh_allocates_anew)
{
	struct world w;

	world_init_v4(&w);
	go_live(&w);
	allocation_refresh(w.a, w.now);
	drain(&w);
	answer_error(&w, last(&w, TURN_REFRESH), STUN_ALLOCATION_MISMATCH, NULL);
	EXPECT_EQ(w.n_events, 2);
	EXPECT_EQ(w.events[0].type, ALLOCATION_CANDIDATE_GONE);
	EXPECT(last(&w, TURN_ALLOCATE) != NULL);
	answer_allocate(&w, last(&w, TURN_ALLOCATE), "203.0.113.5:50002", NULL, 600);
	REQUIRE(w.n_events == 3);
	EXPECT(w.events[2].type == ALLOCATION_CANDIDATE && w.events[2].addr.port == 50002);
	world_end(&w);
}

TEST(spec20_51_437_on_channel_bind_remembers_the_peer)
{
	struct world w;
	struct endpoint peer = ep("198.51.100.99:52625");

	world_init_v4(&w);
	go_live(&w);
	allocation_bind(w.a, w.now, &peer);
	drain(&w);
	answer_error(&w, last(&w, TURN_CHANNEL_BIND), STUN_ALLOCATION_MISMATCH, NULL);
	w.n_sent -= 1;
	const struct sent *s = &w.sent[w.n_sent++];
	REQUIRE(s->m.method == TURN_ALLOCATE);
	size_t before = w.n_sent;
	answer_allocate(&w, s, "203.0.113.5:50002", NULL, 600);
	s = last_since(&w, before, TURN_CHANNEL_BIND);
	REQUIRE(s != NULL);
	struct endpoint got;
	EXPECT(stun_get_address(&s->m, ATTR_XOR_PEER_ADDRESS, &got) == 0 && endpoint_eq(&got, &peer));
	world_end(&w);
}

TEST(spec20_51_420_frees_at_once)
{
	struct world w;

	world_init_v4(&w);
	answer_binding(&w, &w.sent[0]);
	answer_error(&w, last(&w, TURN_ALLOCATE), STUN_UNKNOWN_ATTRIBUTE, NULL);
	const struct allocation_event *e = find_event(&w, ALLOCATION_FREED);
	REQUIRE(e != NULL);
	EXPECT_EQ(e->reason, ALLOCATION_INCOMPATIBLE);
	EXPECT(allocation_next_timeout(w.a) == TIME_NEVER);
	world_end(&w);
}

TEST(spec20_51_other_errors_suspend_until_refresh)
{
	static const enum stun_error_code codes[] = { STUN_FORBIDDEN, STUN_FAMILY_NOT_SUPPORTED, STUN_QUOTA_REACHED,
						      STUN_SERVER_ERROR, STUN_INSUFFICIENT_CAPACITY };

	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		struct world w;
		struct endpoint peer = ep("198.51.100.99:52625");
		world_init_v4(&w);
		EXPECT_EQ(allocation_bind(w.a, w.now, &peer), 0); /* buffered, then thrown away */
		answer_binding(&w, &w.sent[0]);
		answer_error(&w, last(&w, TURN_ALLOCATE), codes[i], NULL);
		EXPECT_EQ(allocation_bind(w.a, w.now, &peer), ERR_STATE);
		size_t before = w.n_sent;
		run_for(&w, SEC(7200));
		EXPECT_EQ(w.n_sent, before);
		EXPECT(!allocation_is_freed(w.a));
		allocation_refresh(w.a, w.now);
		drain(&w);
		REQUIRE(last_since(&w, before, STUN_BINDING) != NULL);
		answer_binding(&w, last_since(&w, before, STUN_BINDING));
		REQUIRE(last_since(&w, before, TURN_ALLOCATE) != NULL);
		answer_allocate(&w, last(&w, TURN_ALLOCATE), "203.0.113.5:50000", NULL, 600);
		EXPECT(allocation_relayed(w.a, 4) != NULL);
		EXPECT_EQ(count(&w, TURN_CHANNEL_BIND), 0);
		world_end(&w);
	}
}

TEST(refresh_error_lets_the_allocation_run_until_expiry_then_allocates)
{
	struct world w;

	world_init_v4(&w);
	go_live(&w);
	u64 start = w.now;
	while (w.now < start + SEC(300)) {
		run_for(&w, SEC(10));
		allocation_note_sent(w.a, w.now);
	}
	answer_error(&w, last(&w, TURN_REFRESH), STUN_SERVER_ERROR, NULL);
	w.n_sent = 0;
	while (w.now < start + SEC(590)) {
		run_for(&w, SEC(10));
		allocation_note_sent(w.a, w.now);
	}
	EXPECT_EQ(w.n_sent, 0);
	EXPECT(allocation_relayed(w.a, 4) != NULL);
	run_until(&w, start + SEC(600));
	EXPECT_EQ(count(&w, TURN_ALLOCATE), 1);
	EXPECT(allocation_relayed(w.a, 4) == NULL);
	world_end(&w);
}

TEST(spec20_55_probe_is_single_shot_for_one_second)
{
	struct world w;

	world_init_v4(&w);
	go_live(&w);
	u64 start = w.now;
	allocation_refresh(w.a, w.now);
	allocation_refresh(w.a, w.now); /* one at a time */
	drain(&w);
	run_until(&w, start + SEC(1) - 1);
	EXPECT_EQ(count(&w, TURN_REFRESH), 1);
	EXPECT(!allocation_is_freed(w.a));
	run_until(&w, start + SEC(1));
	EXPECT(allocation_is_freed(w.a));
	EXPECT_EQ(count(&w, TURN_REFRESH), 1);
	world_end(&w);
}

/* --- channels ---------------------------------------------------------------------------------------------------------------- */

TEST(spec20_52_numbers_are_sequential_and_peers_keep_theirs)
{
	struct world w;

	world_init(&w);
	go_live(&w);
	EXPECT_EQ(bind_confirmed(&w, "198.51.100.1:1"), 0x4000);
	EXPECT_EQ(bind_confirmed(&w, "198.51.100.1:2"), 0x4001);
	EXPECT_EQ(bind_confirmed(&w, "[2001:db8::9]:2"), 0x4002);
	size_t before = w.n_sent;
	struct endpoint again = ep("198.51.100.1:1");
	EXPECT_EQ(allocation_bind(w.a, w.now, &again), 0); /* already connected: nothing */
	drain(&w);
	EXPECT_EQ(w.n_sent, before);
	world_end(&w);
}

TEST(spec20_52_sending_is_optimistic_receiving_is_not)
{
	struct world w;
	struct endpoint peer = ep("198.51.100.1:1"), got;
	u16 number = 0;

	world_init_v4(&w);
	go_live(&w);
	EXPECT_EQ(allocation_peer_to_channel(w.a, w.now, &peer, &number), ERR_NOT_FOUND);
	allocation_bind(w.a, w.now, &peer);
	drain(&w);
	EXPECT_EQ(allocation_peer_to_channel(w.a, w.now, &peer, &number), 0);
	EXPECT_EQ(number, 0x4000);
	EXPECT_EQ(allocation_channel_to_peer(w.a, w.now, 0x4000, &got), ERR_NOT_FOUND);
	answer_ok(&w, last(&w, TURN_CHANNEL_BIND));
	EXPECT_EQ(allocation_channel_to_peer(w.a, w.now, 0x4000, &got), 0);
	EXPECT(endpoint_eq(&got, &peer));
	EXPECT_EQ(allocation_channel_to_peer(w.a, w.now, 0x4001, &got), ERR_NOT_FOUND);
	EXPECT_EQ(allocation_channel_to_peer(w.a, w.now, 0x3FFF, &got), ERR_NOT_FOUND);
	EXPECT_EQ(allocation_channel_to_peer(w.a, w.now, 0xFFFF, &got), ERR_NOT_FOUND);
	world_end(&w);
}

/* Answers everything but CHANNEL-BINDs while time passes. */
static void live_on(struct world *w, u64 ns)
{
	u64 end = w->now + ns;

	while (w->now < end) {
		run_until(w, MIN(end, w->now + SEC(10)));
		allocation_note_sent(w->a, w->now);
		for (size_t i = 0; i < w->n_sent; i++)
			if (w->sent[i].m.method == TURN_REFRESH)
				answer_lifetime(w, &w->sent[i], 600);
		if (!last(w, TURN_CHANNEL_BIND))
			w->n_sent = 0;
	}
}

TEST(spec20_52_idle_channels_expire_after_10_min)
{
	struct world w;
	struct endpoint peer = ep("198.51.100.1:1"), got;
	u16 number;

	world_init_v4(&w);
	go_live(&w);
	bind_confirmed(&w, "198.51.100.1:1");
	w.n_sent = 0;
	live_on(&w, MINUTES(10) - SEC(10));
	EXPECT_EQ(count(&w, TURN_CHANNEL_BIND), 0);
	EXPECT_EQ(allocation_peer_to_channel(w.a, w.now, &peer, &number), 0);
	live_on(&w, SEC(10));
	EXPECT_EQ(allocation_peer_to_channel(w.a, w.now, &peer, &number), ERR_NOT_FOUND);
	EXPECT_EQ(allocation_channel_to_peer(w.a, w.now, 0x4000, &got), ERR_NOT_FOUND);
	/* within the relay's cool-down the peer gets its old number again */
	live_on(&w, MINUTES(3));
	EXPECT_EQ(bind_confirmed(&w, "198.51.100.1:1"), 0x4000);
	world_end(&w);
}

TEST(spec20_52_used_channels_are_rebound_after_5_min)
{
	struct world w;
	struct endpoint got;

	world_init_v4(&w);
	go_live(&w);
	bind_confirmed(&w, "198.51.100.1:1");
	w.n_sent = 0;
	u64 start = w.now;
	live_on(&w, MINUTES(2));
	EXPECT_EQ(allocation_channel_to_peer(w.a, w.now, 0x4000, &got), 0);
	live_on(&w, MINUTES(3) - SEC(10));
	EXPECT_EQ(count(&w, TURN_CHANNEL_BIND), 0);
	live_on(&w, SEC(10));
	EXPECT_EQ(w.now, start + MINUTES(5));
	REQUIRE(count(&w, TURN_CHANNEL_BIND) == 1);
	answer_ok(&w, last(&w, TURN_CHANNEL_BIND));
	/* data that arrives late, after 7 min of a new binding, rebinds at once */
	w.n_sent = 0;
	live_on(&w, MINUTES(7));
	EXPECT_EQ(count(&w, TURN_CHANNEL_BIND), 0);
	EXPECT_EQ(allocation_channel_to_peer(w.a, w.now, 0x4000, &got), 0);
	run_for(&w, 0);
	EXPECT_EQ(count(&w, TURN_CHANNEL_BIND), 1);
	world_end(&w);
}

TEST(spec20_52_refused_channel_is_forgotten)
{
	struct world w;
	struct endpoint peer = ep("198.51.100.1:1");
	u16 number;

	world_init_v4(&w);
	go_live(&w);
	allocation_bind(w.a, w.now, &peer);
	drain(&w);
	answer_error(&w, last(&w, TURN_CHANNEL_BIND), STUN_BAD_REQUEST, NULL);
	EXPECT_EQ(allocation_peer_to_channel(w.a, w.now, &peer, &number), ERR_NOT_FOUND);
	EXPECT_EQ(bind_confirmed(&w, "198.51.100.1:1"), 0x4001);
	world_end(&w);
}

TEST(binds_wait_for_the_allocation_and_for_a_family)
{
	struct world w;
	struct endpoint v4 = ep("198.51.100.1:1"), v6 = ep("[2001:db8::9]:2");

	world_init_v4(&w);
	EXPECT_EQ(allocation_bind(w.a, w.now, &v4), 0);
	EXPECT_EQ(allocation_bind(w.a, w.now, &v4), 0);
	EXPECT_EQ(allocation_bind(w.a, w.now, &v6), 0);
	answer_binding(&w, &w.sent[0]);
	answer_error(&w, last(&w, TURN_ALLOCATE), STUN_UNAUTHORIZED, NONCE);
	EXPECT_EQ(count(&w, TURN_CHANNEL_BIND), 0);
	answer_allocate(&w, last(&w, TURN_ALLOCATE), "203.0.113.5:50000", NULL, 600);
	EXPECT_EQ(count(&w, TURN_CHANNEL_BIND), 1);
	EXPECT_EQ(allocation_bind(w.a, w.now, &v6), ERR_UNSUPPORTED);
	world_end(&w);
}

TEST(buffer_of_binds_drops_the_oldest)
{
	struct world w;

	world_init_v4(&w);
	for (u16 i = 0; i < ALLOCATION_BUFFERED_BINDS + 5; i++) {
		struct endpoint e = ep("198.51.100.1:1");
		e.port = (u16)(1000 + i);
		EXPECT_EQ(allocation_bind(w.a, w.now, &e), 0);
	}
	EXPECT_EQ(allocation_stats(w.a)->binds_dropped, 5);
	answer_binding(&w, &w.sent[0]);
	answer_allocate(&w, last(&w, TURN_ALLOCATE), "203.0.113.5:50000", NULL, 600);
	EXPECT_EQ(count(&w, TURN_CHANNEL_BIND), ALLOCATION_BUFFERED_BINDS);
	struct endpoint got;
	for (size_t i = 0; i < w.n_sent; i++)
		if (w.sent[i].m.method == TURN_CHANNEL_BIND && stun_get_address(&w.sent[i].m, ATTR_XOR_PEER_ADDRESS, &got) == 0)
			EXPECT(got.port >= 1005);
	world_end(&w);
}

/* More peers than requests may be in flight, then more than there are numbers. */
TEST(spec20_52_all_numbers_then_none_then_reuse_after_15_min)
{
	struct world w;
	u32 bound = 0;

	world_init_v4(&w);
	go_live(&w);
	for (u32 i = 0; i < ALLOCATION_CHANNELS_MAX; i++) {
		struct endpoint e = ep("198.51.100.1:1");
		e.port = (u16)(1 + i);
		REQUIRE(allocation_bind(w.a, w.now, &e) == 0);
	}
	struct endpoint extra = ep("198.51.100.2:1");
	EXPECT_EQ(allocation_bind(w.a, w.now, &extra), ERR_LIMIT);
	drain(&w);
	EXPECT_EQ(w.n_sent, ALLOCATION_BINDS_IN_FLIGHT);
	while (w.n_sent > 0) {
		struct sent batch[ALLOCATION_BINDS_IN_FLIGHT];
		size_t n = w.n_sent;
		memcpy(batch, w.sent, n * sizeof(batch[0]));
		w.n_sent = 0;
		for (size_t i = 0; i < n; i++) {
			batch[i].m.raw = batch[i].raw;
			bound += answer_ok(&w, &batch[i]) == 0;
		}
	}
	EXPECT_EQ(bound, ALLOCATION_CHANNELS_MAX);
	EXPECT_EQ(allocation_bind(w.a, w.now, &extra), ERR_LIMIT);
	struct endpoint got;
	EXPECT_EQ(allocation_channel_to_peer(w.a, w.now, 0x4000, &got), 0); /* in use: must not be reused */
	w.now += MINUTES(15);
	EXPECT_EQ(allocation_bind(w.a, w.now, &extra), 0);
	u16 number = 0;
	EXPECT_EQ(allocation_peer_to_channel(w.a, w.now, &extra, &number), 0);
	EXPECT_EQ(number, 0x4001);
	got = ep("198.51.100.1:2");
	EXPECT_EQ(allocation_peer_to_channel(w.a, w.now, &got, &number), ERR_NOT_FOUND);
	world_end(&w);
}

/* --- RFC servers ------------------------------------------------------------------------------------------------------------- */

TEST(spec50_67_rfc_mode_believes_the_unsigned_challenges_only)
{
	struct world w;
	struct reply r;

	world_init_with(&w, (struct allocation_config){ .v4 = ep("203.0.113.5:3478"), .is_rfc_mode = true });
	answer_binding(&w, &w.sent[0]);
	const struct sent *s = last(&w, TURN_ALLOCATE);
	REQUIRE(s != NULL);
	EXPECT(!stun_has(&s->m, ATTR_USERNAME) && s->m.integrity == 0);
	reply_begin(&r, STUN_ERROR, s);
	stun_put_error(&r.b, STUN_UNAUTHORIZED);
	stun_put(&r.b, ATTR_REALM, SPAN_STR("firezone"));
	stun_put(&r.b, ATTR_NONCE, SPAN_STR("a1b2"));
	EXPECT_EQ(deliver(&w, &r, s), 0);
	s = last(&w, TURN_ALLOCATE);
	EXPECT(has_text(&s->m, ATTR_NONCE, "a1b2"));
	EXPECT_EQ(stun_check_integrity(&s->m, SPAN(w.key, sizeof(w.key))), 0);
	/* an unsigned 401 to a request with credentials is not believed, nor an unsigned success */
	reply_begin(&r, STUN_ERROR, s);
	stun_put_error(&r.b, STUN_UNAUTHORIZED);
	EXPECT_EQ(deliver(&w, &r, s), ERR_AUTH);
	reply_begin(&r, STUN_SUCCESS, s);
	stun_put_u32(&r.b, ATTR_LIFETIME, 600);
	EXPECT_EQ(deliver(&w, &r, s), ERR_AUTH);
	/* an unsigned 438 is */
	reply_begin(&r, STUN_ERROR, s);
	stun_put_error(&r.b, STUN_STALE_NONCE);
	stun_put(&r.b, ATTR_NONCE, SPAN_STR("c3d4"));
	EXPECT_EQ(deliver(&w, &r, s), 0);
	EXPECT(has_text(&last(&w, TURN_ALLOCATE)->m, ATTR_NONCE, "c3d4"));
	world_end(&w);
}

/* --- robustness -------------------------------------------------------------------------------------------------------------- */

/* A relay gone mad answers every request with random errors and random bytes: bounded work, no stuck deadline, no lost memory. */
TEST(random_answers_never_spin)
{
	static const enum stun_error_code codes[] = { STUN_BAD_REQUEST,	       STUN_UNAUTHORIZED, STUN_ALLOCATION_MISMATCH,
						      STUN_STALE_NONCE,	       STUN_SERVER_ERROR, STUN_QUOTA_REACHED };

	for (u64 seed = 0; seed < 200; seed++) {
		struct world w;
		struct rng_seeded r;
		rng_seeded_init(&r, seed);
		world_init(&w);
		for (int step = 0; step < 200 && !allocation_is_freed(w.a); step++) {
			struct endpoint peer = ep("198.51.100.1:1");
			peer.port = (u16)(1 + rng_below(&r.rng, 20));
			(void)allocation_bind(w.a, w.now, &peer);
			if (rng_below(&r.rng, 20) == 0)
				allocation_refresh(w.a, w.now);
			drain(&w);
			if (w.n_sent > 0) {
				struct sent s = w.sent[rng_below(&r.rng, w.n_sent)];
				s.m.raw = s.raw;
				u64 pick = rng_below(&r.rng, 10);
				if (s.m.method == STUN_BINDING)
					answer_binding(&w, &s);
				else if (pick < 4)
					answer_error(&w, &s, codes[rng_below(&r.rng, ARRAY_LEN(codes))], "n");
				else if (s.m.method == TURN_ALLOCATE)
					answer_allocate(&w, &s, "203.0.113.5:50000", NULL, (u32)rng_below(&r.rng, 700));
				else if (s.m.method == TURN_REFRESH)
					answer_lifetime(&w, &s, (u32)rng_below(&r.rng, 700));
				else
					answer_ok(&w, &s);
			}
			run_for(&w, MSEC(rng_below(&r.rng, 3000)));
			if (w.n_sent > 100)
				w.n_sent = 0;
			w.n_events = 0;
		}
		world_end(&w);
	}
}
