/* Two stacks of core/tcp against each other over a link that loses, repeats and overtakes, in virtual time, from seeds. */
#include "core/tcp/tcp.h"
#include "tests/unit/inner.h"
#include "tests/unit/test.h"

#include <stdlib.h>
#include <string.h>

#define LINK_MAX 4096u
#define SIDES 2

struct flying {
	u64 at, order;
	u32 len;
	u8 to;
	u8 data[TCP_MTU];
};

struct link_quality {
	u32 loss, twice; /* of 1000 */
	u64 delay, jitter;
};

/* What one side sends and has received, as positions in an endless pattern. */
struct side {
	struct tcp_stack *stack;
	tcp_handle conn;
	u64 to_send, sent, got;
	u32 read_max;       /* bytes taken at a time, 0: all */
	bool is_up, is_shut, saw_end, is_closed, is_failed;
	int error;
	u32 accepted;
};

struct world {
	struct rng_seeded rng;
	u64 now, order;
	struct link_quality quality;
	struct side sides[SIDES];
	struct flying *flying;
	u32 n_flying;
	u64 packets;
	bool is_cut;
	bool keeps_open; /* nobody ends after the last byte */
};

static const struct endpoint client4 = { { { 100, 64, 0, 5 }, 4 }, 0 };
static const struct endpoint server4 = { { { 100, 100, 111, 1 }, 4 }, 53 };
static const struct endpoint client6 = { { { 0xfd, 0, 0x20, 0x21, 0x11, 0x11, [15] = 5 }, 6 }, 0 };
static const struct endpoint server6 = { { { 0xfd, 0, 0x20, 0x21, 0x11, 0x11, 0x80, [15] = 1 }, 6 }, 53 };

static u8 pattern(unsigned side, u64 i)
{
	u64 x = (i + side * 977u) * 0x9e3779b97f4a7c15ull;
	return (u8)(x >> 56);
}

static void world_init(struct world *w, u64 seed, struct link_quality q)
{
	memset(w, 0, sizeof(*w));
	rng_seeded_init(&w->rng, seed);
	w->now = SEC(1000);
	w->quality = q;
	w->flying = calloc(LINK_MAX, sizeof(*w->flying));
	for (unsigned i = 0; i < SIDES; i++) {
		struct tcp_stack_config cfg = { .rng = &w->rng.rng };
		w->sides[i].stack = tcp_stack_new(&cfg);
	}
	EXPECT_EQ(tcp_stack_listen(w->sides[1].stack, &server4, TCP_LISTEN_CONNS), 0);
	EXPECT_EQ(tcp_stack_listen(w->sides[1].stack, &server6, TCP_LISTEN_CONNS), 0);
}

static void world_end(struct world *w)
{
	for (unsigned i = 0; i < SIDES; i++)
		tcp_stack_free(w->sides[i].stack);
	free(w->flying);
}

static void fly(struct world *w, u8 to, const struct tun_pkt *pkt)
{
	if (w->n_flying == LINK_MAX)
		return;
	struct flying *f = &w->flying[w->n_flying++];
	f->to = to;
	f->len = pkt->len;
	f->at = w->now + w->quality.delay + (w->quality.jitter ? rng_below(&w->rng.rng, w->quality.jitter) : 0);
	f->order = w->order++;
	memcpy(f->data, pkt->data, pkt->len);
}

static void carry(struct world *w, u8 from, const struct tun_pkt *pkt)
{
	w->packets++;
	EXPECT(pkt->len <= TCP_MTU && pkt->has_headroom && inner_checksums_are_right(pkt->data, pkt->len));
	if (w->is_cut || rng_below(&w->rng.rng, 1000) < w->quality.loss)
		return;
	fly(w, (u8)!from, pkt);
	if (rng_below(&w->rng.rng, 1000) < w->quality.twice)
		fly(w, (u8)!from, pkt);
}

static void pump(struct world *w, unsigned i)
{
	struct side *s = &w->sides[i];
	u8 buf[3000];
	int n;

	if (!s->is_up || s->is_closed || s->is_failed)
		return;
	while (s->sent < s->to_send) {
		u32 want = (u32)MIN(s->to_send - s->sent, (u64)sizeof(buf));
		for (u32 k = 0; k < want; k++)
			buf[k] = pattern(i, s->sent + k);
		n = tcp_stack_write(s->stack, w->now, s->conn, SPAN(buf, want));
		EXPECT(n >= 0);
		if (n <= 0)
			break;
		s->sent += (u64)n;
	}
	if (s->sent == s->to_send && !s->is_shut && !w->keeps_open) {
		EXPECT_EQ(tcp_stack_shutdown(s->stack, w->now, s->conn), 0);
		s->is_shut = true;
	}
	do {
		u32 want = s->read_max ? s->read_max : (u32)sizeof(buf);
		n = tcp_stack_read(s->stack, w->now, s->conn, (struct mspan){ buf, want });
		bool is_right = true;
		for (int k = 0; k < n; k++)
			is_right &= buf[k] == pattern(!i, s->got + (u64)k);
		EXPECT(is_right);
		s->got += n > 0 ? (u64)n : 0;
	} while (n > 0);
	if (n == ERR_CLOSED)
		s->saw_end = true;
}

static void events(struct world *w, unsigned i)
{
	struct side *s = &w->sides[i];
	struct tcp_event e;

	while (tcp_stack_poll_event(s->stack, &e)) {
		switch (e.type) {
		case TCP_EVENT_ACCEPTED:
			s->accepted++;
			s->conn = e.conn;
			s->is_up = true;
			break;
		case TCP_EVENT_CONNECTED:
			EXPECT_EQ(e.conn, s->conn);
			s->is_up = true;
			break;
		case TCP_EVENT_READABLE:
		case TCP_EVENT_WRITABLE:
			break;
		case TCP_EVENT_CLOSED:
			s->is_closed = true;
			break;
		case TCP_EVENT_FAILED:
			s->is_failed = true;
			s->error = e.error;
			break;
		}
		if (e.conn == s->conn)
			pump(w, i);
	}
}

static void settle(struct world *w)
{
	struct tun_pkt pkt;

	for (unsigned i = 0; i < SIDES; i++) {
		events(w, i);
		while (tcp_stack_poll_transmit(w->sides[i].stack, &pkt))
			carry(w, (u8)i, &pkt);
	}
}

static struct flying *first_flying(struct world *w)
{
	struct flying *best = NULL;

	for (u32 i = 0; i < w->n_flying; i++) {
		struct flying *f = &w->flying[i];
		if (!best || f->at < best->at || (f->at == best->at && f->order < best->order))
			best = f;
	}
	return best;
}

/* One arrival or one time-out; false when nothing will ever happen again. */
static bool step(struct world *w)
{
	settle(w);
	struct flying *f = first_flying(w);
	u64 at = time_min(tcp_stack_next_timeout(w->sides[0].stack), tcp_stack_next_timeout(w->sides[1].stack));

	if (f && f->at <= at) {
		struct packet p;
		w->now = MAX(w->now, f->at);
		EXPECT_EQ(packet_parse(f->data, f->len, TCP_MTU, &p), 0);
		(void)tcp_stack_input(w->sides[f->to].stack, w->now, f->data, &p);
		*f = w->flying[--w->n_flying];
		return true;
	}
	if (at == TIME_NEVER)
		return false;
	w->now = MAX(w->now, at);
	for (unsigned i = 0; i < SIDES; i++)
		if (tcp_stack_next_timeout(w->sides[i].stack) <= w->now)
			tcp_stack_timeout(w->sides[i].stack, w->now);
	return true;
}

static void run_until(struct world *w, u64 until)
{
	for (;;) {
		settle(w);
		struct flying *f = first_flying(w);
		u64 at = time_min(tcp_stack_next_timeout(w->sides[0].stack), tcp_stack_next_timeout(w->sides[1].stack));
		if (time_min(at, f ? f->at : TIME_NEVER) > until || !step(w))
			break;
	}
	w->now = MAX(w->now, until);
}

static bool is_over(const struct world *w)
{
	return w->sides[0].is_closed && w->sides[1].is_closed;
}

static void open(struct world *w, bool is_v6, u64 up, u64 down)
{
	struct side *c = &w->sides[0];

	c->to_send = up;
	w->sides[1].to_send = down;
	EXPECT_EQ(tcp_stack_connect(c->stack, w->now, is_v6 ? &client6 : &client4, is_v6 ? &server6 : &server4, &c->conn), 0);
}

static void expect_nothing_is_held(struct world *w)
{
	run_until(w, w->now + TCP_TIME_WAIT + SEC(10));
	for (unsigned i = 0; i < SIDES; i++) {
		EXPECT_EQ(tcp_stack_stats(w->sides[i].stack)->conns, 0);
		EXPECT_EQ(tcp_stack_stats(w->sides[i].stack)->buffered, 0);
		EXPECT_EQ(tcp_stack_next_timeout(w->sides[i].stack), TIME_NEVER);
	}
}

/* Both directions at once, both ends end: every byte, in order, an end, and nothing left behind. */
static void exchange(u64 seed)
{
	struct world w;
	struct rng_seeded rng;
	static const u32 sizes[] = { 0, 1, 29, 1240, 1241, 5000, 61440, 65537, 200000 };

	rng_seeded_init(&rng, seed * 7919);
	struct link_quality q = {
		.loss = (u32)rng_below(&rng.rng, 4) * (u32)rng_below(&rng.rng, 70),
		.twice = (u32)rng_below(&rng.rng, 100),
		.delay = MSEC(rng_below(&rng.rng, 100)) + USEC(10),
		.jitter = rng_below(&rng.rng, 2) ? MSEC(rng_below(&rng.rng, 60)) : 0,
	};
	u64 up = sizes[rng_below(&rng.rng, ARRAY_LEN(sizes))], down = sizes[rng_below(&rng.rng, ARRAY_LEN(sizes))];
	world_init(&w, seed, q);
	w.sides[0].read_max = rng_below(&rng.rng, 3) ? 0 : 100;
	open(&w, rng_below(&rng.rng, 2), up, down);
	u64 start = w.now;
	for (u32 i = 0; i < 200000 && !is_over(&w) && step(&w); i++)
		if (w.sides[0].is_failed || w.sides[1].is_failed)
			break;
	settle(&w);
	bool ok = EXPECT(is_over(&w)) & EXPECT_EQ(w.sides[0].got, down) & EXPECT_EQ(w.sides[1].got, up) &
		  EXPECT(w.sides[0].saw_end && w.sides[1].saw_end) & EXPECT_EQ(w.sides[1].accepted, 1) &
		  EXPECT(w.now - start < SEC(600));
	if (!ok)
		test_fail(__FILE__, __LINE__, "seed %llu: loss %u jitter %llu up %llu down %llu", (unsigned long long)seed, q.loss,
			  (unsigned long long)q.jitter, (unsigned long long)up, (unsigned long long)down);
	expect_nothing_is_held(&w);
	world_end(&w);
}

TEST(bytes_arrive_whole_and_in_order_from_any_seed)
{
	u64 seed;

	if (test_seed(&seed)) {
		exchange(seed);
		return;
	}
	for (seed = 1; seed <= 300; seed++)
		exchange(seed);
}

/* What a 60 KB answer costs with nothing lost: handshake, query, then slow start from ten segments. */
static u64 answer_time(u64 seed, u32 loss)
{
	struct link_quality q = { .loss = loss, .delay = MSEC(10) };
	struct world w;

	world_init(&w, seed, q);
	open(&w, false, 40, 61440);
	u64 start = w.now;
	for (u32 i = 0; i < 20000 && w.sides[0].got < 61440 && step(&w); i++)
		settle(&w);
	EXPECT_EQ(w.sides[0].got, 61440);
	u64 took = w.now - start;
	world_end(&w);
	return took;
}

TEST(a_60_kb_answer_takes_five_round_trips)
{
	EXPECT(answer_time(1, 0) <= MSEC(5 * 20));
}

TEST(a_60_kb_answer_arrives_soon_in_spite_of_loss)
{
	u64 sum = 0, worst = 0;

	for (u64 seed = 1; seed <= 100; seed++) {
		u64 t = answer_time(seed, 20);
		sum += t;
		worst = MAX(worst, t);
	}
	if (!EXPECT(sum / 100 < MSEC(500)) || !EXPECT(worst < SEC(4)))
		test_fail(__FILE__, __LINE__, "mean %llu ms, worst %llu ms", (unsigned long long)(sum / 100 / MSEC(1)),
			  (unsigned long long)(worst / MSEC(1)));
}

TEST(fast_retransmit_repairs_one_loss_within_a_round_trip)
{
	struct link_quality q = { .delay = MSEC(50) };
	struct world w;

	world_init(&w, 3, q);
	open(&w, false, 0, 30000);
	w.keeps_open = true;
	/* Lose exactly the third data segment. */
	u32 data = 0;
	u64 start = w.now;
	while (w.sides[0].got < 30000 && w.now - start < SEC(5)) {
		struct tun_pkt pkt;
		for (unsigned i = 0; i < SIDES; i++) {
			events(&w, i);
			while (tcp_stack_poll_transmit(w.sides[i].stack, &pkt)) {
				bool is_lost = i == 1 && pkt.len > 1000 && ++data == 3;
				if (!is_lost)
					fly(&w, (u8)!i, &pkt);
			}
		}
		if (!step(&w))
			break;
	}
	EXPECT_EQ(w.sides[0].got, 30000);
	EXPECT(w.now - start < MSEC(650));
	EXPECT_EQ(tcp_stack_stats(w.sides[1].stack)->fast_retransmits, 1);
	EXPECT_EQ(tcp_stack_stats(w.sides[1].stack)->retransmits, 1);
	EXPECT_EQ(tcp_stack_stats(w.sides[1].stack)->timeouts, 0);
	world_end(&w);
}

TEST(half_close_client_ends_first_and_still_gets_its_answer)
{
	struct link_quality q = { .delay = MSEC(5) };
	struct world w;

	world_init(&w, 4, q);
	open(&w, true, 100, 50000);
	w.sides[1].is_up = false;
	for (u32 i = 0; i < 5000 && !is_over(&w) && step(&w); i++)
		continue;
	EXPECT(w.sides[1].saw_end);
	EXPECT_EQ(w.sides[0].got, 50000);
	EXPECT(is_over(&w));
	expect_nothing_is_held(&w);
	world_end(&w);
}

TEST(close_delivers_what_was_written_then_ends)
{
	struct link_quality q = { .loss = 100, .delay = MSEC(5) };
	struct world w;

	world_init(&w, 5, q);
	w.keeps_open = true;
	open(&w, false, 0, 40000);
	for (u32 i = 0; i < 5000 && w.sides[1].sent < 40000 && step(&w); i++)
		settle(&w);
	REQUIRE(w.sides[1].sent == 40000);
	tcp_stack_close(w.sides[1].stack, w.now, w.sides[1].conn);
	EXPECT_EQ(tcp_stack_unsent(w.sides[1].stack, w.sides[1].conn), ERR_NOT_FOUND);
	w.sides[1].is_closed = true;
	for (u32 i = 0; i < 5000 && !w.sides[0].saw_end && step(&w); i++)
		settle(&w);
	EXPECT_EQ(w.sides[0].got, 40000);
	EXPECT(w.sides[0].saw_end);
	tcp_stack_close(w.sides[0].stack, w.now, w.sides[0].conn);
	expect_nothing_is_held(&w);
	world_end(&w);
}

TEST(a_cut_link_fails_both_ends_in_time)
{
	struct link_quality q = { .delay = MSEC(5) };
	struct world w;

	world_init(&w, 6, q);
	w.keeps_open = true;
	open(&w, false, 1000, 1000);
	run_until(&w, w.now + SEC(1));
	EXPECT_EQ(w.sides[0].got, 1000);
	w.is_cut = true;
	w.sides[0].to_send += 10;
	w.sides[1].to_send += 10;
	pump(&w, 0);
	pump(&w, 1);
	run_until(&w, w.now + SEC(120));
	EXPECT(w.sides[0].is_failed && w.sides[1].is_failed);
	EXPECT_EQ(w.sides[0].error, ERR_TIMEOUT);
	EXPECT_EQ(tcp_stack_read(w.sides[0].stack, w.now, w.sides[0].conn, (struct mspan){ (u8[1]){ 0 }, 1 }), ERR_NOT_FOUND);
	expect_nothing_is_held(&w);
	world_end(&w);
}

TEST(a_reader_who_pauses_shuts_the_window_and_opens_it_again)
{
	struct link_quality q = { .delay = MSEC(5) };
	struct world w;
	u8 buf[2000];

	world_init(&w, 7, q);
	w.keeps_open = true;
	open(&w, false, 0, 200000);
	w.sides[0].is_up = false;
	/* Nobody reads on the client's side. */
	for (u32 i = 0; i < 400; i++) {
		struct tcp_event e;
		while (tcp_stack_poll_event(w.sides[0].stack, &e))
			continue;
		w.sides[0].is_up = false;
		if (w.now > SEC(1010) || !step(&w))
			break;
		w.sides[0].is_up = false;
	}
	EXPECT_EQ(w.sides[0].got, 0);
	EXPECT(tcp_stack_stats(w.sides[1].stack)->probes > 1);
	EXPECT(tcp_stack_stats(w.sides[0].stack)->buffered <= TCP_RECEIVE_MAX);
	u64 got = 0;
	for (u32 i = 0; i < 20000 && got < 200000; i++) {
		int n = tcp_stack_read(w.sides[0].stack, w.now, w.sides[0].conn, (struct mspan){ buf, sizeof(buf) });
		for (int k = 0; k < n; k++)
			EXPECT(buf[k] == pattern(1, got + (u64)k));
		if (n > 0)
			got += (u64)n;
		else if (!step(&w))
			break;
		w.sides[0].is_up = false;
	}
	EXPECT_EQ(got, 200000);
	world_end(&w);
}

TEST(ten_connections_at_a_time_each_with_its_own_bytes)
{
	struct world w;
	struct link_quality q = { .loss = 30, .delay = MSEC(8), .jitter = MSEC(3) };
	tcp_handle client[TCP_LISTEN_CONNS], server[TCP_LISTEN_CONNS];
	u32 n_server = 0, answered = 0;

	world_init(&w, 8, q);
	for (u32 i = 0; i < TCP_LISTEN_CONNS; i++) {
		EXPECT_EQ(tcp_stack_connect(w.sides[0].stack, w.now, &client4, &server4, &client[i]), 0);
		EXPECT_EQ(tcp_stack_write(w.sides[0].stack, w.now, client[i], SPAN(&(u8){ (u8)i }, 1)), 1);
	}
	for (u32 turn = 0; turn < 5000 && answered < TCP_LISTEN_CONNS; turn++) {
		struct tcp_event e;
		struct tun_pkt pkt;
		u8 b[2];
		for (unsigned i = 0; i < SIDES; i++) {
			while (tcp_stack_poll_event(w.sides[i].stack, &e)) {
				if (e.type == TCP_EVENT_ACCEPTED && n_server < TCP_LISTEN_CONNS)
					server[n_server++] = e.conn;
				EXPECT(e.type != TCP_EVENT_FAILED);
			}
			while (tcp_stack_poll_transmit(w.sides[i].stack, &pkt))
				carry(&w, (u8)i, &pkt);
		}
		for (u32 i = 0; i < n_server; i++)
			if (tcp_stack_read(w.sides[1].stack, w.now, server[i], (struct mspan){ b, 1 }) == 1)
				EXPECT_EQ(tcp_stack_write(w.sides[1].stack, w.now, server[i], SPAN(&(u8){ (u8)(b[0] + 100) }, 1)), 1);
		for (u32 i = 0; i < TCP_LISTEN_CONNS; i++)
			if (tcp_stack_read(w.sides[0].stack, w.now, client[i], (struct mspan){ b, 2 }) == 1) {
				EXPECT_EQ(b[0], i + 100);
				answered++;
			}
		if (!step(&w))
			break;
	}
	EXPECT_EQ(answered, TCP_LISTEN_CONNS);
	world_end(&w);
}

/* A transfer whose sequence numbers pass 2^32. */
TEST(sequence_numbers_wrap)
{
	struct link_quality q = { .loss = 50, .delay = MSEC(5), .jitter = MSEC(5) };
	struct world w;
	struct endpoint from = client4;
	struct tun_pkt pkt;
	tcp_handle h;

	world_init(&w, 9, q);
	from.port = 50000;
	EXPECT_EQ(tcp_stack_connect(w.sides[0].stack, w.now, &from, &server4, &h), 0);
	REQUIRE(tcp_stack_poll_transmit(w.sides[0].stack, &pkt));
	u32 isn = (u32)pkt.data[24] << 24 | (u32)pkt.data[25] << 16 | (u32)pkt.data[26] << 8 | pkt.data[27];
	tcp_stack_abort(w.sides[0].stack, w.now, h);
	w.now += USEC(4) * (u64)(u32)(0xffffff00u - isn); /* RFC 6528: the clock of four microseconds */
	w.sides[0].to_send = 100000;
	EXPECT_EQ(tcp_stack_connect(w.sides[0].stack, w.now, &from, &server4, &w.sides[0].conn), 0);
	for (u32 i = 0; i < 20000 && !is_over(&w) && step(&w); i++)
		continue;
	EXPECT_EQ(w.sides[1].got, 100000);
	EXPECT(is_over(&w));
	world_end(&w);
}

TEST(more_packets_than_fit_between_two_inputs_follow_after_a_timeout)
{
	struct link_quality q = { .delay = MSEC(1) };
	struct world w;
	struct tun_pkt pkt;
	tcp_handle h;
	u32 n = 0;

	world_init(&w, 10, q);
	for (u32 i = 0; i < TCP_OUT_MAX + 20; i++)
		EXPECT_EQ(tcp_stack_connect(w.sides[0].stack, w.now, &client4, &server4, &h), 0);
	const u8 *last = NULL;
	while (tcp_stack_poll_transmit(w.sides[0].stack, &pkt)) {
		EXPECT(pkt.data != last);
		last = pkt.data;
		n++;
	}
	EXPECT_EQ(n, TCP_OUT_MAX);
	EXPECT_EQ(tcp_stack_next_timeout(w.sides[0].stack), 0);
	tcp_stack_timeout(w.sides[0].stack, w.now);
	while (tcp_stack_poll_transmit(w.sides[0].stack, &pkt))
		n++;
	EXPECT_EQ(n, TCP_OUT_MAX + 20);
	EXPECT(tcp_stack_next_timeout(w.sides[0].stack) > w.now);
	world_end(&w);
}
