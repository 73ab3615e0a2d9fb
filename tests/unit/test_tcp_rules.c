/* One stack of core/tcp against segments made by hand: opening and ending, who may, and the limits of tcp.h, each rule alone. */
#include "tests/unit/tcp_peer.h"

/* --- opening ------------------------------------------------------------------------------------------------------- */

TEST(syn_ack_offers_the_mss_of_1280_bytes)
{
	struct peer t;
	peer_init(&t, 0);
	give(&t, SYN, NULL, 0);
	struct sent x = EXPECT_SENT(&t, SYN | ACK, 0);
	EXPECT_EQ(x.mss, 1240);
	EXPECT_EQ(x.window, 65535);
	tcp_stack_free(t.stack);

	peer_init(&t, 0);
	t.our_ip = ip_of("fd00:2021:1111:8000:100:100:111:0");
	t.peer_ip = ip_of("fd00:2021:1111::7");
	EXPECT_EQ(tcp_stack_listen(t.stack, &(struct endpoint){ t.our_ip, 53 }, 10), 0);
	give(&t, SYN, NULL, 0);
	EXPECT_EQ(EXPECT_SENT(&t, SYN | ACK, 0).mss, 1220);
	tcp_stack_free(t.stack);
}

static u32 segment_for_mss(u16 offered)
{
	struct peer t;
	u8 pkt[TCP_MTU];
	peer_init(&t, 0);
	u32 n = make(&t, SYN, t.seq++, NULL, 0, offered, pkt);
	EXPECT_EQ(give_packet(&t, pkt, n), 0);
	t.ack = EXPECT_SENT(&t, SYN | ACK, 0).seq + 1;
	give(&t, ACK, NULL, 0);
	t.conn = event(&t).conn;
	write_bytes(&t, 3000);
	struct sent x;
	EXPECT(take(&t, &x));
	tcp_stack_free(t.stack);
	return x.len;
}

TEST(the_peers_mss_is_kept_within_bounds)
{
	EXPECT_EQ(segment_for_mss(1000), 1000);
	EXPECT_EQ(segment_for_mss(1460), 1240);
	EXPECT_EQ(segment_for_mss(1), TCP_MSS_MIN);
	EXPECT_EQ(segment_for_mss(0), 536); /* RFC 9293 §3.7.1 */
}

TEST(a_lost_syn_is_repeated_then_given_up)
{
	struct peer t;
	peer_init(&t, 0);
	struct endpoint from = { t.our_ip, 0 }, to = { t.peer_ip, 53 };
	EXPECT_EQ(tcp_stack_connect(t.stack, t.now, &from, &to, &t.conn), 0);
	EXPECT_SENT(&t, SYN, 0);
	EXPECT_EQ(until_sent(&t), SEC(1));
	EXPECT_EQ(until_sent(&t), SEC(2));
	EXPECT_EQ(until_sent(&t), SEC(4));
	later(&t, SEC(8) - 1);
	EXPECT_EVENT(&t, NO_EVENT);
	later(&t, 1);
	struct tcp_event e = event(&t);
	EXPECT_EQ(e.type, TCP_EVENT_FAILED);
	EXPECT_EQ(e.error, ERR_TIMEOUT);
	EXPECT_SILENCE(&t);
	EXPECT_EQ(tcp_stack_stats(t.stack)->conns, 0);
	tcp_stack_free(t.stack);
}

TEST(a_refused_connection_fails_at_once)
{
	struct peer t;
	peer_init(&t, 0);
	struct endpoint from = { t.our_ip, 0 }, to = { t.peer_ip, 53 };
	EXPECT_EQ(tcp_stack_connect(t.stack, t.now, &from, &to, &t.conn), 0);
	struct sent x = EXPECT_SENT(&t, SYN, 0);
	EXPECT(x.src_port >= TCP_PORT_FIRST);
	t.our_port = x.src_port;
	t.peer_port = 53;
	t.ack = x.seq; /* RFC 9293 §3.10.7.3: not an acknowledgement of our SYN */
	EXPECT_EQ(give_at(&t, RST | ACK, 0, NULL, 0), 0);
	EXPECT_EVENT(&t, NO_EVENT);
	drain(&t);
	t.ack = x.seq + 1;
	EXPECT_EQ(give_at(&t, RST | ACK, 0, NULL, 0), 0);
	struct tcp_event e = event(&t);
	EXPECT_EQ(e.type, TCP_EVENT_FAILED);
	EXPECT_EQ(e.error, ERR_CLOSED);
	tcp_stack_free(t.stack);
}

TEST(both_may_open_at_once)
{
	struct peer t;
	peer_init(&t, 0);
	struct endpoint from = { t.our_ip, 50001 }, to = { t.peer_ip, 53 };
	EXPECT_EQ(tcp_stack_connect(t.stack, t.now, &from, &to, &t.conn), 0);
	struct sent x = EXPECT_SENT(&t, SYN, 0);
	t.our_port = 50001;
	t.peer_port = 53;
	give(&t, SYN, NULL, 0);
	struct sent y = EXPECT_SENT(&t, SYN | ACK, 0);
	EXPECT_EQ(y.seq, x.seq);
	t.ack = y.seq + 1;
	EXPECT_EQ(give_at(&t, SYN | ACK, PEER_ISN, NULL, 0), 0);
	drain(&t);
	give(&t, ACK, NULL, 0);
	EXPECT_EVENT(&t, TCP_EVENT_CONNECTED);
	give(&t, ACK | PSH, "hi", 2);
	EXPECT_EQ(read_bytes(&t), 2);
	tcp_stack_free(t.stack);
}

TEST(numbers_of_connections_differ_and_rise)
{
	struct peer t;
	peer_init(&t, 0);
	struct endpoint a = { t.our_ip, 50001 }, b = { t.our_ip, 50002 }, to = { t.peer_ip, 53 };
	tcp_handle h;
	EXPECT_EQ(tcp_stack_connect(t.stack, t.now, &a, &to, &h), 0);
	u32 first = EXPECT_SENT(&t, SYN, 0).seq;
	EXPECT_EQ(tcp_stack_connect(t.stack, t.now, &a, &to, &(tcp_handle){ 0 }), ERR_EXISTS);
	tcp_stack_abort(t.stack, t.now, h);
	EXPECT_EQ(tcp_stack_connect(t.stack, t.now, &b, &to, &(tcp_handle){ 0 }), 0);
	EXPECT(EXPECT_SENT(&t, SYN, 0).seq - first > 1000);
	t.now += MSEC(1);
	EXPECT_EQ(tcp_stack_connect(t.stack, t.now, &a, &to, &h), 0);
	EXPECT_EQ(EXPECT_SENT(&t, SYN, 0).seq - first, 250); /* RFC 6528: one in four microseconds */
	tcp_stack_free(t.stack);
}

TEST(what_is_not_ours_is_left_alone_or_refused)
{
	struct peer t;
	u8 pkt[TCP_MTU];
	struct packet p;
	peer_init(&t, 0);
	t.our_port = 54;
	EXPECT_EQ(give_at(&t, SYN, 100, NULL, 0), ERR_NOT_OURS);
	EXPECT_SILENCE(&t);

	u32 n = make(&t, SYN, 100, "xy", 2, 0, pkt);
	EXPECT_EQ(packet_parse(pkt, n, TCP_MTU, &p), 0);
	tcp_stack_refuse(t.stack, t.now, pkt, &p);
	struct sent x = EXPECT_SENT(&t, RST | ACK, 0);
	EXPECT_EQ(x.ack, 103);
	EXPECT_EQ(x.src_port, 54);
	EXPECT_EQ(x.dst_port, t.peer_port);

	t.ack = 4711;
	n = make(&t, ACK, 100, NULL, 0, 0, pkt);
	EXPECT_EQ(packet_parse(pkt, n, TCP_MTU, &p), 0);
	tcp_stack_refuse(t.stack, t.now, pkt, &p);
	EXPECT_EQ(EXPECT_SENT(&t, RST, 0).seq, 4711);

	n = make(&t, RST, 100, NULL, 0, 0, pkt);
	EXPECT_EQ(packet_parse(pkt, n, TCP_MTU, &p), 0);
	tcp_stack_refuse(t.stack, t.now, pkt, &p);
	EXPECT_SILENCE(&t);
	tcp_stack_free(t.stack);
}

TEST(a_listener_answers_only_a_syn)
{
	struct peer t;
	peer_init(&t, 0);
	t.ack = 99;
	EXPECT_EQ(give_at(&t, ACK, 5, NULL, 0), 0);
	EXPECT_EQ(EXPECT_SENT(&t, RST, 0).seq, 99);
	EXPECT_EQ(give_at(&t, RST, 5, NULL, 0), 0);
	EXPECT_EQ(give_at(&t, FIN, 5, NULL, 0), 0);
	EXPECT_SILENCE(&t);
	t.peer_ip = ip_of("224.0.0.1");
	EXPECT_EQ(give_at(&t, SYN, 5, NULL, 0), 0);
	t.peer_ip = t.our_ip; /* to itself */
	t.peer_port = 53;
	EXPECT_EQ(give_at(&t, SYN, 5, NULL, 0), 0);
	EXPECT_SILENCE(&t);
	EXPECT_EQ(tcp_stack_stats(t.stack)->conns, 0);
	tcp_stack_free(t.stack);
}

/* --- limits -------------------------------------------------------------------------------------------------------- */

static void fill(struct peer *t, tcp_handle conns[TCP_LISTEN_CONNS])
{
	for (u32 i = 0; i < TCP_LISTEN_CONNS; i++) {
		t->peer_port = (u16)(40000 + i);
		established(t);
		conns[i] = t->conn;
	}
}

TEST(the_eleventh_connection_is_reset)
{
	struct peer t;
	tcp_handle conns[TCP_LISTEN_CONNS];
	peer_init(&t, 0);
	fill(&t, conns);
	t.peer_port = 41000;
	EXPECT_EQ(give_at(&t, SYN, 77, NULL, 0), 0);
	EXPECT_EQ(EXPECT_SENT(&t, RST | ACK, 0).ack, 78);
	EXPECT_EQ(tcp_stack_stats(t.stack)->refused, 1);
	tcp_stack_close(t.stack, t.now, conns[3]);
	EXPECT_SENT(&t, FIN | ACK, 0);
	established(&t);
	tcp_stack_free(t.stack);
}

TEST(a_connection_in_close_wait_gives_way)
{
	struct peer t;
	tcp_handle conns[TCP_LISTEN_CONNS];
	peer_init(&t, 0);
	fill(&t, conns);
	give(&t, FIN | ACK, NULL, 0); /* of the last one */
	EXPECT_EVENT(&t, TCP_EVENT_READABLE);
	drain(&t);
	t.peer_port = 41000;
	give(&t, SYN, NULL, 0);
	EXPECT_SENT(&t, RST | ACK, 0);
	t.ack = EXPECT_SENT(&t, SYN | ACK, 0).seq + 1;
	struct tcp_event e = event(&t);
	EXPECT_EQ(e.type, TCP_EVENT_FAILED);
	EXPECT_EQ(e.conn, conns[9]);
	EXPECT_EQ(e.error, ERR_LIMIT);
	give(&t, ACK, NULL, 0);
	EXPECT_EVENT(&t, TCP_EVENT_ACCEPTED);
	tcp_stack_free(t.stack);
}

TEST(half_open_connections_do_not_block_a_listener)
{
	struct peer t;
	peer_init(&t, 0);
	for (u32 i = 0; i < 5000; i++) {
		t.peer_port = (u16)(1000 + i);
		EXPECT_EQ(give_at(&t, SYN, i, NULL, 0), 0);
		drain(&t);
	}
	EXPECT_EQ(tcp_stack_stats(t.stack)->conns, TCP_LISTEN_CONNS);
	EXPECT_EQ(tcp_stack_stats(t.stack)->refused, 5000 - TCP_LISTEN_CONNS);
	EXPECT_EQ(tcp_stack_stats(t.stack)->buffered, 0);
	later(&t, TCP_HALF_OPEN_GRACE);
	drain(&t);
	t.peer_port = 40000;
	established(&t);
	for (u32 i = 0; i < 6; i++) {
		later(&t, SEC(8));
		drain(&t);
	}
	EXPECT_EQ(tcp_stack_stats(t.stack)->conns, 1); /* the others were never answered */
	EXPECT_EVENT(&t, NO_EVENT);
	tcp_stack_free(t.stack);
}

TEST(connections_on_their_way_out_are_bounded)
{
	struct peer t;
	peer_init(&t, 0);
	for (u32 i = 0; i < 50; i++) {
		t.peer_port = (u16)(40000 + i);
		established(&t);
		write_bytes(&t, 100);
		tcp_stack_close(t.stack, t.now, t.conn);
		drain(&t);
	}
	EXPECT_EQ(tcp_stack_stats(t.stack)->conns, TCP_LISTEN_CONNS);
	EXPECT_EQ(tcp_stack_stats(t.stack)->recycled, 40);
	tcp_stack_free(t.stack);
}

TEST(an_idle_connection_is_ended_when_there_is_a_limit)
{
	struct peer t;
	peer_init(&t, SEC(30));
	established(&t);
	later(&t, SEC(20));
	give(&t, ACK | PSH, "x", 1);
	drain(&t);
	later(&t, SEC(29));
	EXPECT_SILENCE(&t);
	EXPECT_EVENT(&t, TCP_EVENT_READABLE);
	later(&t, SEC(1));
	EXPECT_SENT(&t, RST | ACK, 0);
	struct tcp_event e = event(&t);
	EXPECT_EQ(e.type, TCP_EVENT_FAILED);
	EXPECT_EQ(e.error, ERR_TIMEOUT);
	tcp_stack_free(t.stack);
}

TEST(a_listener_that_goes_takes_its_connections_along)
{
	struct peer t;
	peer_init(&t, 0);
	established(&t);
	tcp_stack_unlisten(t.stack, t.now, &(struct endpoint){ t.our_ip, 53 });
	struct sent x = EXPECT_SENT(&t, RST | ACK, 0);
	EXPECT_EQ(x.seq, t.ack);
	EXPECT_EQ(x.ack, t.seq);
	EXPECT_EVENT(&t, NO_EVENT);
	EXPECT_EQ(read_bytes(&t), ERR_NOT_FOUND);
	EXPECT_EQ(give_at(&t, SYN, 1, NULL, 0), ERR_NOT_OURS);
	tcp_stack_free(t.stack);
}

/* --- who may end it (RFC 5961, RFC 5927) --------------------------------------------------------------------------- */

TEST(rfc5961_only_the_exact_reset_counts)
{
	struct peer t;
	peer_init(&t, 0);
	established(&t);
	EXPECT_EQ(give_at(&t, RST, t.seq + 70000, NULL, 0), 0);
	EXPECT_SILENCE(&t);
	EXPECT_EQ(give_at(&t, RST, t.seq + 1, NULL, 0), 0);
	EXPECT_EQ(EXPECT_SENT(&t, ACK, 0).ack, t.seq);
	EXPECT_EVENT(&t, NO_EVENT);
	EXPECT_EQ(give_at(&t, RST, t.seq, NULL, 0), 0);
	EXPECT_SILENCE(&t);
	struct tcp_event e = event(&t);
	EXPECT_EQ(e.type, TCP_EVENT_FAILED);
	EXPECT_EQ(e.error, ERR_CLOSED);
	tcp_stack_free(t.stack);
}

TEST(rfc5961_a_syn_on_a_connection_is_challenged_so_many_times)
{
	struct peer t;
	peer_init(&t, 0);
	established(&t);
	u32 answers = 0;
	for (u32 i = 0; i < 50; i++) {
		EXPECT_EQ(give_at(&t, SYN, t.seq + i * 100, NULL, 0), 0);
		struct sent x;
		while (take(&t, &x)) {
			EXPECT_EQ(x.flags, ACK);
			answers++;
		}
	}
	EXPECT_EQ(answers, TCP_CHALLENGES_MAX);
	later(&t, SEC(1));
	EXPECT_EQ(give_at(&t, SYN, t.seq, NULL, 0), 0);
	EXPECT_SENT(&t, ACK, 0);
	tcp_stack_free(t.stack);
}

TEST(rfc5961_acks_out_of_range_bring_no_data_in)
{
	struct peer t;
	peer_init(&t, 0);
	established(&t);
	u32 right = t.ack;
	t.ack = right + 1; /* never sent */
	EXPECT_EQ(give_at(&t, ACK, t.seq, "abc", 3), 0);
	EXPECT_EQ(read_bytes(&t), ERR_AGAIN);
	EXPECT_EQ(EXPECT_SENT(&t, ACK, 0).ack, t.seq);
	t.ack = right - 65536; /* older than any window */
	EXPECT_EQ(give_at(&t, ACK, t.seq, "abc", 3), 0);
	EXPECT_EQ(read_bytes(&t), ERR_AGAIN);
	drain(&t);
	t.ack = right - 100; /* old, but may be */
	EXPECT_EQ(give_at(&t, ACK, t.seq, "abc", 3), 0);
	EXPECT_EQ(read_bytes(&t), 3);
	tcp_stack_free(t.stack);
}

static void icmp(struct peer *t, u8 type, u8 code, u32 rest, u32 seq, u32 quoted)
{
	u8 orig[100], payload[108];
	struct inner_spec was = { .src = t->our_ip, .dst = t->peer_ip, .proto = 6, .sport = t->our_port, .dport = t->peer_port,
				  .ttl = 64, .tcp_flags = ACK, .seq = seq };
	u8 pkt[200];
	inner_make(&was, orig);
	put_be32(payload, rest);
	memcpy(payload + 4, orig, quoted);
	struct inner_spec err = { .src = ip_of("10.0.0.1"), .dst = t->our_ip, .proto = 1, .ttl = 64, .payload_len = 0 };
	err.sport = (u16)(type << 8 | code);
	err.dport = (u16)(rest >> 16);
	err.payload = payload + 4;
	err.payload_len = (u16)quoted;
	u32 n = inner_make(&err, pkt);
	put_be16(pkt + 26, (u16)rest);
	EXPECT_EQ(give_packet(t, pkt, n), 0);
}

TEST(an_icmp_error_fails_the_connection_if_it_quotes_what_is_in_flight)
{
	struct peer t;
	peer_init(&t, 0);
	established_client(&t);
	icmp(&t, 3, 1, 0, t.ack, 28); /* nothing is in flight */
	EXPECT_EVENT(&t, NO_EVENT);
	write_bytes(&t, 50);
	drain(&t);
	icmp(&t, 3, 1, 0, t.ack - 1, 28);
	icmp(&t, 3, 1, 0, t.ack + 50, 28);
	icmp(&t, 3, 1, 0, t.ack, 24); /* ports only */
	EXPECT_EVENT(&t, NO_EVENT);
	EXPECT_EQ(tcp_stack_stats(t.stack)->icmp_ignored, 4);
	icmp(&t, 3, 13, 0, t.ack + 49, 28);
	struct tcp_event e = event(&t);
	EXPECT_EQ(e.type, TCP_EVENT_FAILED);
	EXPECT_EQ(e.error, ERR_DENIED);
	EXPECT_SILENCE(&t);
	tcp_stack_free(t.stack);
}

TEST(an_unreachable_answer_to_a_syn_fails_it)
{
	struct peer t;
	peer_init(&t, 0);
	struct endpoint from = { t.our_ip, 0 }, to = { t.peer_ip, 53 };
	EXPECT_EQ(tcp_stack_connect(t.stack, t.now, &from, &to, &t.conn), 0);
	struct sent x = EXPECT_SENT(&t, SYN, 0);
	t.our_port = x.src_port;
	t.peer_port = 53;
	icmp(&t, 3, 0, 0, x.seq, 28);
	EXPECT_EQ(event(&t).error, ERR_NO_ROUTE);
	tcp_stack_free(t.stack);
}

TEST(packet_too_big_makes_segments_smaller)
{
	struct peer t;
	peer_init(&t, 0);
	established(&t);
	write_bytes(&t, 3000);
	EXPECT_SENT(&t, ACK, 1240);
	drain(&t);
	icmp(&t, 3, 4, 1000, t.ack, 28);
	EXPECT_EQ(EXPECT_SENT(&t, ACK, 960).seq, t.ack);
	drain(&t);
	icmp(&t, 3, 4, 68, t.ack, 28);
	EXPECT_SENT(&t, ACK, TCP_MSS_MIN);
	EXPECT_EVENT(&t, NO_EVENT);
	tcp_stack_free(t.stack);
}

TEST(a_wrong_checksum_is_dropped)
{
	struct peer t;
	u8 pkt[TCP_MTU];
	peer_init(&t, 0);
	established(&t);
	u32 n = make(&t, ACK, t.seq, "data", 4, 0, pkt);
	pkt[n - 1] ^= 1;
	EXPECT_EQ(give_packet(&t, pkt, n), 0);
	EXPECT_EQ(tcp_stack_stats(t.stack)->rx_bad_checksum, 1);
	EXPECT_EQ(read_bytes(&t), ERR_AGAIN);
	EXPECT_SILENCE(&t);
	tcp_stack_free(t.stack);
}
