/* DNS over TCP: the two ends against each other and against bad input, in virtual time (RFC 7766). */
#include "core/base/rng.h"
#include "core/dns/stream.h"
#include "tests/unit/test.h"

#include <stdlib.h>

static u64 now = SEC(100);

static struct rng *seeded(u64 seed)
{
	static struct rng_seeded r;
	rng_seeded_init(&r, seed);
	return &r.rng;
}

/* A message that tells its number and fills `n` octets. */
static struct span numbered(u8 *buf, size_t n, u16 id, u16 number)
{
	memset(buf, (u8)number, n);
	put_be16(buf, id);
	put_be16(buf + 2, number);
	return SPAN(buf, n);
}

static u16 number_of(struct span m)
{
	return get_be16(m.p + 2);
}

/* As many bytes as `max` from one end to the other. */
static void to_server(struct dns_tcp_client *c, struct dns_tcp_server *s, size_t max)
{
	struct span out = dns_tcp_client_output(c);
	out.n = MIN(out.n, max);
	if (out.n == 0 || !dns_tcp_server_wants_input(s))
		return;
	dns_tcp_server_input(s, now, out);
	dns_tcp_client_output_done(c, out.n);
}

static void to_client(struct dns_tcp_server *s, struct dns_tcp_client *c, size_t max)
{
	struct span out = dns_tcp_server_output(s);
	out.n = MIN(out.n, max);
	if (out.n == 0)
		return;
	dns_tcp_client_input(c, now, out);
	dns_tcp_server_output_done(s, now, out.n);
}

TEST(queries_are_pipelined_and_answered_in_any_order)
{
	struct dns_tcp_client *c = dns_tcp_client_new(seeded(1), now);
	struct dns_tcp_server *s = dns_tcp_server_new(now, 0);
	struct dns_tcp_answer a;
	struct span q;
	u8 buf[64], queries[3][64];
	u16 ids[3];

	for (u16 i = 0; i < 3; i++)
		EXPECT_EQ(dns_tcp_client_ask(c, now, 100 + i, numbered(buf, 20 + i, 7, i)), 0); /* equal IDs */
	to_server(c, s, SIZE_MAX);
	for (u16 i = 0; i < 3; i++) {
		REQUIRE(dns_tcp_server_poll(s, now, &q));
		EXPECT_EQ(q.n, 20 + i);
		EXPECT_EQ(number_of(q), i);
		memcpy(queries[i], q.p, q.n);
		ids[i] = get_be16(q.p);
	}
	EXPECT(!dns_tcp_server_poll(s, now, &q));
	EXPECT(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
	for (u16 i = 3; i-- > 0;)
		EXPECT_EQ(dns_tcp_server_reply(s, now, SPAN(queries[i], 20 + i)), 0);
	to_client(s, c, SIZE_MAX);
	for (u16 i = 3; i-- > 0;) {
		REQUIRE(dns_tcp_client_poll(c, &a));
		EXPECT_EQ(a.error, 0);
		EXPECT_EQ(a.id, 100 + i);
		EXPECT_EQ(get_be16(a.message.p), 7);
		EXPECT_EQ(number_of(a.message), i);
	}
	EXPECT(!dns_tcp_client_poll(c, &a));
	EXPECT_EQ(dns_tcp_client_pending(c), 0);
	EXPECT_EQ(dns_tcp_server_pending(s), 0);
	dns_tcp_client_free(c);
	dns_tcp_server_free(s);
}

/* Any cut of the bytes, messages up to 65535 octets, many queries over one connection. */
TEST(property_messages_survive_any_cut)
{
	static u8 buf[DNS_MESSAGE_MAX];
	for (u64 seed = 1; seed <= 20; seed++) {
		struct rng *rng = seeded(seed);
		struct dns_tcp_client *c = dns_tcp_client_new(rng, now);
		struct dns_tcp_server *s = dns_tcp_server_new(now, 0);
		struct dns_tcp_answer a;
		struct span q;
		u32 asked = 0, answered = 0;
		size_t cut = seed % 3 == 0 ? 1 : seed % 3 == 1 ? 700 : DNS_TCP_CHUNK_MAX;
		bool seen[100] = { false };

		for (u32 rounds = 0; answered < 100 && rounds < 2000000; rounds++) {
			if (asked < 100 && rng_below(rng, 4) == 0) {
				size_t n = cut == 1 || rng_below(rng, 8) ? 12 + rng_below(rng, 400) : 12 + rng_below(rng, DNS_MESSAGE_MAX - 11);
				int rc = dns_tcp_client_ask(c, now, asked, numbered(buf, n, (u16)(asked * 3), (u16)asked));
				EXPECT(rc == 0 || rc == ERR_LIMIT);
				asked += rc == 0;
			}
			to_server(c, s, 1 + rng_below(rng, cut));
			while (dns_tcp_server_poll(s, now, &q)) {
				size_t n = q.n;
				memcpy(buf, q.p, n);
				for (size_t i = 4; i < n; i++)
					if (buf[i] != (u8)number_of(q)) {
						test_fail(__FILE__, __LINE__, "octet %zu differs", i);
						break;
					}
				EXPECT_EQ(dns_tcp_server_reply(s, now, SPAN(buf, n)), 0);
			}
			to_client(s, c, 1 + rng_below(rng, cut));
			while (dns_tcp_client_poll(c, &a)) {
				REQUIRE(a.error == 0 && a.id < 100);
				EXPECT(!seen[a.id]);
				seen[a.id] = true;
				EXPECT_EQ(number_of(a.message), a.id);
				EXPECT_EQ(get_be16(a.message.p), (u16)(a.id * 3));
				answered++;
			}
		}
		EXPECT_EQ(answered, 100);
		EXPECT(!dns_tcp_client_is_over(c, NULL));
		EXPECT(!dns_tcp_server_is_over(s, NULL));
		dns_tcp_client_free(c);
		dns_tcp_server_free(s);
	}
}

TEST(pending_queries_end_with_the_connection)
{
	struct dns_tcp_client *c = dns_tcp_client_new(seeded(1), now);
	struct dns_tcp_answer a;
	u8 buf[64];
	int error;

	EXPECT_EQ(dns_tcp_client_ask(c, now, 1, numbered(buf, 20, 7, 1)), 0);
	EXPECT_EQ(dns_tcp_client_ask(c, now, 2, numbered(buf, 20, 7, 1)), 0);
	dns_tcp_client_cancel(c, 2);
	dns_tcp_client_cancel(c, 99);
	dns_tcp_client_end(c, ERR_CLOSED);
	REQUIRE(dns_tcp_client_poll(c, &a));
	EXPECT_EQ(a.id, 1);
	EXPECT_EQ(a.error, ERR_CLOSED);
	EXPECT(!a.is_worth_again); /* it never answered */
	EXPECT(!dns_tcp_client_poll(c, &a));
	EXPECT(dns_tcp_client_is_over(c, &error));
	EXPECT_EQ(error, ERR_CLOSED);
	EXPECT_EQ(dns_tcp_client_ask(c, now, 3, numbered(buf, 20, 7, 1)), ERR_STATE);
	dns_tcp_client_free(c);
}

/* Answers `q` as it stands on the wire in the client's output. */
static void answer_first(struct dns_tcp_client *c)
{
	u8 buf[64];
	struct span out = dns_tcp_client_output(c);
	size_t n = 2u + get_be16(out.p);
	memcpy(buf, out.p, n);
	dns_tcp_client_output_done(c, n);
	dns_tcp_client_input(c, now, SPAN(buf, n));
}

TEST(answers_that_came_before_the_end_are_given)
{
	struct dns_tcp_client *c = dns_tcp_client_new(seeded(1), now);
	struct dns_tcp_answer a;
	u8 buf[64];

	EXPECT_EQ(dns_tcp_client_ask(c, now, 1, numbered(buf, 20, 7, 1)), 0);
	EXPECT_EQ(dns_tcp_client_ask(c, now, 2, numbered(buf, 20, 7, 1)), 0);
	answer_first(c);
	dns_tcp_client_end(c, ERR_CLOSED);
	REQUIRE(dns_tcp_client_poll(c, &a));
	EXPECT_EQ(a.id, 1);
	EXPECT_EQ(a.error, 0);
	REQUIRE(dns_tcp_client_poll(c, &a));
	EXPECT_EQ(a.id, 2);
	EXPECT_EQ(a.error, ERR_CLOSED);
	EXPECT(a.is_worth_again);
	dns_tcp_client_free(c);
}

TEST(cancelled_answer_is_swallowed)
{
	struct dns_tcp_client *c = dns_tcp_client_new(seeded(1), now);
	struct dns_tcp_answer a;
	u8 buf[64];

	EXPECT_EQ(dns_tcp_client_ask(c, now, 1, numbered(buf, 20, 7, 1)), 0);
	EXPECT_EQ(dns_tcp_client_ask(c, now, 2, numbered(buf, 20, 7, 1)), 0);
	dns_tcp_client_cancel(c, 1);
	EXPECT_EQ(dns_tcp_client_pending(c), 2);
	answer_first(c);
	EXPECT(!dns_tcp_client_poll(c, &a));
	EXPECT(!dns_tcp_client_is_over(c, NULL));
	answer_first(c);
	REQUIRE(dns_tcp_client_poll(c, &a));
	EXPECT_EQ(a.id, 2);
	dns_tcp_client_free(c);
}

TEST(rubbish_ends_a_connection)
{
	static const u8 unknown[] = { 0, 12, 1, 2, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0 }, too_short[] = { 0, 11, 1 };
	for (int i = 0; i < 2; i++) {
		struct dns_tcp_client *c = dns_tcp_client_new(seeded(1), now);
		struct dns_tcp_answer a;
		u8 buf[64];
		EXPECT_EQ(dns_tcp_client_ask(c, now, 1, numbered(buf, 20, 7, 1)), 0);
		dns_tcp_client_input(c, now, i == 0 ? SPAN(unknown, sizeof(unknown)) : SPAN(too_short, sizeof(too_short)));
		REQUIRE(dns_tcp_client_poll(c, &a));
		EXPECT_EQ(a.error, ERR_MALFORMED);
		EXPECT(dns_tcp_client_is_over(c, NULL));
		dns_tcp_client_free(c);
	}
	struct dns_tcp_server *s = dns_tcp_server_new(now, 0);
	struct span q;
	int error;
	dns_tcp_server_input(s, now, SPAN(too_short, sizeof(too_short)));
	EXPECT(!dns_tcp_server_poll(s, now, &q));
	EXPECT(dns_tcp_server_is_over(s, &error));
	EXPECT_EQ(error, ERR_MALFORMED);
	dns_tcp_server_free(s);
}

TEST(client_leaves_when_idle_and_gives_up_on_silence)
{
	struct dns_tcp_client *c = dns_tcp_client_new(seeded(1), now);
	struct dns_tcp_answer a;
	u8 buf[64];
	int error;

	EXPECT_EQ(dns_tcp_client_next_timeout(c), now + DNS_TCP_CLIENT_IDLE);
	now += SEC(9);
	EXPECT_EQ(dns_tcp_client_ask(c, now, 1, numbered(buf, 20, 7, 1)), 0);
	EXPECT_EQ(dns_tcp_client_next_timeout(c), now + DNS_TCP_SILENCE);
	now += SEC(2);
	answer_first(c);
	EXPECT(dns_tcp_client_poll(c, &a));
	EXPECT_EQ(dns_tcp_client_next_timeout(c), now + DNS_TCP_CLIENT_IDLE);
	EXPECT_EQ(dns_tcp_client_ask(c, now, 2, numbered(buf, 20, 7, 1)), 0);
	now += DNS_TCP_SILENCE;
	dns_tcp_client_timeout(c, now);
	REQUIRE(dns_tcp_client_poll(c, &a));
	EXPECT_EQ(a.error, ERR_TIMEOUT);
	EXPECT(a.is_worth_again);
	dns_tcp_client_free(c);

	c = dns_tcp_client_new(seeded(1), now);
	now += DNS_TCP_CLIENT_IDLE;
	dns_tcp_client_timeout(c, now);
	EXPECT(dns_tcp_client_is_over(c, &error));
	EXPECT_EQ(error, 0);
	dns_tcp_client_free(c);
}

/* One octet a second is no query. */
TEST(trickling_peer_is_disconnected)
{
	struct dns_tcp_server *s = dns_tcp_server_new(now, SEC(5));
	struct span q;
	u32 seconds = 0;
	for (; !dns_tcp_server_is_over(s, NULL) && seconds < 60; seconds++) {
		dns_tcp_server_input(s, now, SPAN("\x01", 1));
		EXPECT(!dns_tcp_server_poll(s, now, &q));
		now += SEC(1);
		dns_tcp_server_timeout(s, now);
	}
	EXPECT_EQ(seconds, 5);
	dns_tcp_server_free(s);
}

TEST(server_waits_for_its_own_answers_but_not_for_who_takes_none)
{
	struct dns_tcp_server *s = dns_tcp_server_new(now, SEC(5));
	u8 buf[64], framed[66] = { 0, 64 };
	struct span q;

	memcpy(framed + 2, numbered(buf, 64, 1, 1).p, 64);
	dns_tcp_server_input(s, now, SPAN(framed, sizeof(framed)));
	REQUIRE(dns_tcp_server_poll(s, now, &q));
	EXPECT_EQ(dns_tcp_server_next_timeout(s), TIME_NEVER);
	now += SEC(60);
	EXPECT_EQ(dns_tcp_server_reply(s, now, SPAN(buf, 64)), 0);
	EXPECT_EQ(dns_tcp_server_next_timeout(s), now + SEC(5));
	now += SEC(4);
	dns_tcp_server_output_done(s, now, 10);
	EXPECT_EQ(dns_tcp_server_next_timeout(s), now + SEC(5));
	now += SEC(5);
	dns_tcp_server_timeout(s, now);
	EXPECT(dns_tcp_server_is_over(s, NULL));
	dns_tcp_server_free(s);
}

TEST(queries_after_the_peers_end_are_answered)
{
	struct dns_tcp_server *s = dns_tcp_server_new(now, 0);
	u8 buf[64], framed[66] = { 0, 64 };
	struct span q;

	memcpy(framed + 2, numbered(buf, 64, 1, 1).p, 64);
	dns_tcp_server_input(s, now, SPAN(framed, sizeof(framed)));
	dns_tcp_server_input(s, now, SPAN(framed, 10)); /* half a query more */
	dns_tcp_server_input_end(s);
	EXPECT(!dns_tcp_server_is_over(s, NULL));
	EXPECT(dns_tcp_server_poll(s, now, &q));
	EXPECT(!dns_tcp_server_is_over(s, NULL));
	EXPECT(!dns_tcp_server_poll(s, now, &q));
	EXPECT_EQ(dns_tcp_server_reply(s, now, SPAN(buf, 64)), 0);
	EXPECT(!dns_tcp_server_is_over(s, NULL));
	dns_tcp_server_output_done(s, now, 66);
	EXPECT(dns_tcp_server_is_over(s, NULL));
	dns_tcp_server_free(s);
}

TEST(server_rests_when_too_much_is_open)
{
	struct dns_tcp_server *s = dns_tcp_server_new(now, 0);
	static u8 big[DNS_MESSAGE_MAX];
	u8 buf[64], framed[14] = { 0, 12 };
	struct span q;
	u32 n = 0;

	memcpy(framed + 2, numbered(buf, 12, 1, 1).p, 12);
	for (u32 i = 0; i < 2 * DNS_TCP_SERVER_PENDING; i++)
		dns_tcp_server_input(s, now, SPAN(framed, sizeof(framed)));
	while (dns_tcp_server_poll(s, now, &q))
		n++;
	EXPECT_EQ(n, DNS_TCP_SERVER_PENDING);
	EXPECT(!dns_tcp_server_wants_input(s));
	for (n = 0; dns_tcp_server_reply(s, now, SPAN(big, sizeof(big))) == 0;)
		n++;
	EXPECT_EQ(n, DNS_TCP_OUT_MAX / (DNS_MESSAGE_MAX + 2));
	EXPECT(!dns_tcp_server_poll(s, now, &q));
	dns_tcp_server_output_done(s, now, SIZE_MAX);
	EXPECT(dns_tcp_server_poll(s, now, &q));
	EXPECT(dns_tcp_server_wants_input(s));
	dns_tcp_server_free(s);
}

TEST(client_refuses_what_is_too_much)
{
	struct dns_tcp_client *c = dns_tcp_client_new(seeded(1), now);
	u8 buf[64];
	for (u32 i = 0; i < DNS_TCP_CLIENT_PENDING; i++)
		EXPECT_EQ(dns_tcp_client_ask(c, now, i, numbered(buf, 20, 7, 1)), 0);
	EXPECT_EQ(dns_tcp_client_ask(c, now, 999, numbered(buf, 20, 7, 1)), ERR_LIMIT);
	EXPECT_EQ(dns_tcp_client_ask(c, now, 999, numbered(buf, 11, 7, 1)), ERR_LIMIT);
	dns_tcp_client_free(c);
	c = dns_tcp_client_new(seeded(1), now);
	EXPECT_EQ(dns_tcp_client_ask(c, now, 1, SPAN(buf, 11)), ERR_MALFORMED);
	EXPECT_EQ(dns_tcp_client_pending(c), 0);
	dns_tcp_client_free(c);
}
