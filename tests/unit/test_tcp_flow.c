/* One stack of core/tcp against segments made by hand: data, windows, loss and the ends of a connection, each rule alone. */
#include "tests/unit/tcp_peer.h"

/* --- what comes ---------------------------------------------------------------------------------------------------- */

TEST(data_in_order_is_acknowledged_at_once)
{
	struct peer t;
	peer_init(&t, 0);
	established(&t);
	give(&t, ACK | PSH, "hello", 5);
	EXPECT_EVENT(&t, TCP_EVENT_READABLE);
	struct sent x = EXPECT_SENT(&t, ACK, 0);
	EXPECT_EQ(x.ack, t.seq);
	EXPECT_EQ(x.window, 65535 - 5);
	EXPECT_EQ(read_bytes(&t), 5);
	EXPECT_EQ(read_bytes(&t), ERR_AGAIN);
	EXPECT_SILENCE(&t);
	EXPECT_EQ(tcp_stack_stats(t.stack)->buffered, 0);
	tcp_stack_free(t.stack);
}

TEST(an_answer_carries_the_acknowledgement)
{
	struct peer t;
	peer_init(&t, 0);
	established(&t);
	give(&t, ACK | PSH, "query", 5);
	EXPECT_EQ(read_bytes(&t), 5);
	write_bytes(&t, 30);
	EXPECT_EQ(EXPECT_SENT(&t, ACK | PSH, 30).ack, t.seq);
	EXPECT_SILENCE(&t);
	tcp_stack_free(t.stack);
}

TEST(segments_out_of_order_wait_and_each_is_told)
{
	struct peer t;
	u8 buf[16];
	peer_init(&t, 0);
	established(&t);
	u32 base = t.seq;
	EXPECT_EQ(give_at(&t, ACK, base + 6, "ghi", 3), 0);
	EXPECT_EQ(give_at(&t, ACK, base + 3, "def", 3), 0);
	EXPECT_EQ(give_at(&t, ACK, base + 3, "def", 3), 0);
	for (u32 i = 0; i < 3; i++)
		EXPECT_EQ(EXPECT_SENT(&t, ACK, 0).ack, base);
	EXPECT_SILENCE(&t);
	EXPECT_EVENT(&t, NO_EVENT);
	EXPECT_EQ(read_bytes(&t), ERR_AGAIN);
	EXPECT_EQ(give_at(&t, ACK, base, "abcd", 4), 0); /* overlaps */
	EXPECT_EQ(EXPECT_SENT(&t, ACK, 0).ack, base + 9);
	EXPECT_EQ(tcp_stack_read(t.stack, t.now, t.conn, (struct mspan){ buf, sizeof(buf) }), 9);
	EXPECT_MEM(buf, "abcdefghi", 9);
	tcp_stack_free(t.stack);
}

TEST(more_gaps_than_allowed_are_dropped_and_come_again)
{
	struct peer t;
	peer_init(&t, 0);
	established(&t);
	for (u32 i = 1; i <= 200; i++)
		EXPECT_EQ(give_at(&t, ACK, t.seq + 2 * i, "x", 1), 0);
	EXPECT_EQ(tcp_stack_stats(t.stack)->rx_dropped, 200 - TCP_RANGES_MAX);
	drain(&t);
	for (u32 i = 0; i <= 401; i++)
		EXPECT_EQ(give_at(&t, ACK, t.seq + i, "x", 1), 0);
	EXPECT_EQ(read_bytes(&t), 402);
	tcp_stack_free(t.stack);
}

TEST(what_lies_outside_the_window_is_not_taken)
{
	struct peer t;
	peer_init(&t, 0);
	established(&t);
	EXPECT_EQ(give_at(&t, ACK, t.seq + 65535, "abc", 3), 0);
	EXPECT_EQ(EXPECT_SENT(&t, ACK, 0).ack, t.seq);
	EXPECT_EQ(give_at(&t, ACK, t.seq - 3, "abc", 3), 0); /* old */
	EXPECT_EQ(EXPECT_SENT(&t, ACK, 0).ack, t.seq);
	EXPECT_EQ(give_at(&t, ACK, t.seq + 65533, "abc", 3), 0); /* its first two bytes are in */
	EXPECT_EQ(tcp_stack_stats(t.stack)->rx_out_of_order, 1);
	EXPECT(tcp_stack_stats(t.stack)->buffered <= TCP_RECEIVE_MAX);
	EXPECT_EQ(read_bytes(&t), ERR_AGAIN);
	tcp_stack_free(t.stack);
}

TEST(a_full_window_is_told_kept_and_opened_by_reading)
{
	struct peer t;
	u8 buf[1300];
	static u8 data[1240];
	peer_init(&t, 0);
	established(&t);
	u32 left = TCP_RECEIVE_MAX;
	while (left > 0) {
		u32 n = MIN(left, 1240u);
		give(&t, ACK, data, n);
		left -= n;
		drain(&t);
	}
	EXPECT_EQ(give_at(&t, ACK, t.seq, "z", 1), 0); /* a probe */
	struct sent x = EXPECT_SENT(&t, ACK, 0);
	EXPECT_EQ(x.window, 0);
	EXPECT_EQ(x.ack, t.seq);
	/* Reading a little says nothing (silly windows), a segment's worth does. */
	EXPECT_EQ(tcp_stack_read(t.stack, t.now, t.conn, (struct mspan){ buf, 600 }), 600);
	EXPECT_SILENCE(&t);
	EXPECT_EQ(tcp_stack_read(t.stack, t.now, t.conn, (struct mspan){ buf, 700 }), 700);
	EXPECT_EQ(EXPECT_SENT(&t, ACK, 0).window, 1300);
	EXPECT_EQ(read_bytes(&t), TCP_RECEIVE_MAX - 1300);
	EXPECT_EQ(EXPECT_SENT(&t, ACK, 0).window, 65535);
	tcp_stack_free(t.stack);
}

/* --- what goes ----------------------------------------------------------------------------------------------------- */

TEST(rfc6928_ten_segments_then_the_acks_clock)
{
	struct peer t;
	peer_init(&t, 0);
	established(&t);
	EXPECT_EQ(tcp_stack_write(t.stack, t.now, t.conn, SPAN((u8[70000]){ 0 }, 70000)), TCP_SEND_MAX);
	EXPECT_EQ(drain(&t), 10);
	t.ack += 2480;
	give(&t, ACK, NULL, 0);
	EXPECT_EQ(drain(&t), 4); /* slow start: two for two, and as many more */
	tcp_stack_free(t.stack);
}

TEST(unacknowledged_data_is_repeated_with_back_off_then_given_up)
{
	struct peer t;
	peer_init(&t, 0);
	established(&t); /* the round trip measured: nothing */
	write_bytes(&t, 2000);
	EXPECT_EQ(drain(&t), 2);
	for (u32 i = 0; i < TCP_RETRIES; i++) {
		EXPECT_EQ(until_sent(&t), TCP_RTO_MIN << i);
		EXPECT_EQ(t.last.seq, t.ack);
		EXPECT_EQ(t.last.len, 1240);
		EXPECT_SILENCE(&t); /* one segment only */
	}
	EXPECT_EQ(until_sent(&t), TCP_RTO_MIN << TCP_RETRIES);
	EXPECT_EQ(t.last.flags, RST | ACK);
	EXPECT_EQ(t.last.seq, t.ack + 2000);
	EXPECT_EQ(event(&t).error, ERR_TIMEOUT);
	tcp_stack_free(t.stack);
}

TEST(rfc6298_the_timer_follows_the_round_trip)
{
	struct peer t;
	peer_init(&t, 0);
	established(&t);
	for (u32 i = 0; i < 30; i++) {
		write_bytes(&t, 10);
		EXPECT_SENT(&t, ACK | PSH, 10);
		later(&t, MSEC(300));
		while (take(&t, NULL)) /* at first too early */
			continue;
		t.ack += 10;
		give(&t, ACK, NULL, 0);
		drain(&t);
		EXPECT_EVENT(&t, TCP_EVENT_WRITABLE);
	}
	write_bytes(&t, 10);
	drain(&t);
	u64 rto = until_sent(&t);
	EXPECT(rto > MSEC(300) && rto < MSEC(600));
	tcp_stack_free(t.stack);
}

TEST(rfc5681_three_duplicates_bring_the_segment_at_once)
{
	struct peer t;
	peer_init(&t, 0);
	established(&t);
	write_bytes(&t, 20000);
	EXPECT_EQ(drain(&t), 10);
	give(&t, ACK, NULL, 0);
	EXPECT_EQ(EXPECT_SENT(&t, ACK, 1240).seq, t.ack + 12400); /* RFC 3042 */
	give(&t, ACK, NULL, 0);
	EXPECT_EQ(EXPECT_SENT(&t, ACK, 1240).seq, t.ack + 13640);
	EXPECT_SILENCE(&t);
	give(&t, ACK, NULL, 0);
	EXPECT_EQ(EXPECT_SENT(&t, ACK, 1240).seq, t.ack);
	drain(&t);
	/* A partial acknowledgement: the next hole, without waiting (RFC 6582). */
	t.ack += 2480;
	give(&t, ACK, NULL, 0);
	EXPECT_EQ(EXPECT_SENT(&t, ACK, 1240).seq, t.ack);
	EXPECT_EQ(tcp_stack_stats(t.stack)->fast_retransmits, 1);
	EXPECT_EQ(tcp_stack_stats(t.stack)->timeouts, 0);
	tcp_stack_free(t.stack);
}

TEST(a_shut_window_is_probed_with_back_off_and_given_up)
{
	struct peer t;
	peer_init(&t, 0);
	established(&t);
	t.window = 0;
	give(&t, ACK, NULL, 0);
	write_bytes(&t, 500);
	EXPECT_SILENCE(&t);
	u64 start = t.now, want = TCP_RTO_MIN;
	for (u32 i = 0; i < 4; i++, want *= 2) {
		EXPECT_EQ(until_sent(&t), want);
		EXPECT_EQ(t.last.len, 1);
		EXPECT_EQ(t.last.seq, t.ack);
		give(&t, ACK, NULL, 0);
		EXPECT_SILENCE(&t);
	}
	EXPECT_EQ(tcp_stack_stats(t.stack)->probes, 4);
	/* It opens: all that waits leaves. */
	t.window = 1000;
	give(&t, ACK, NULL, 0);
	EXPECT_EQ(EXPECT_SENT(&t, ACK | PSH, 500).seq, t.ack);
	t.ack += 500;
	t.window = 0;
	give(&t, ACK, NULL, 0);
	EXPECT_EVENT(&t, TCP_EVENT_WRITABLE);
	write_bytes(&t, 1);
	start = t.now;
	while (until_sent(&t) < SEC(600) && !(t.last.flags & RST))
		give(&t, ACK, NULL, 0);
	EXPECT(t.now - start >= TCP_STALL_MAX && t.now - start <= 2 * TCP_STALL_MAX + TCP_RTO_MAX);
	EXPECT_EQ(event(&t).error, ERR_TIMEOUT);
	tcp_stack_free(t.stack);
}

TEST(the_byte_of_a_probe_may_be_taken)
{
	struct peer t;
	peer_init(&t, 0);
	established(&t);
	t.window = 0;
	give(&t, ACK, NULL, 0);
	write_bytes(&t, 3);
	until_sent(&t);
	t.ack++;
	t.window = 100;
	give(&t, ACK, NULL, 0);
	struct sent x = EXPECT_SENT(&t, ACK | PSH, 2);
	EXPECT_EQ(x.seq, t.ack);
	t.ack += 2;
	give(&t, ACK, NULL, 0);
	EXPECT_EVENT(&t, TCP_EVENT_WRITABLE);
	EXPECT_EQ(tcp_stack_unsent(t.stack, t.conn), 0);
	tcp_stack_free(t.stack);
}

TEST(no_silly_segments_into_a_small_window)
{
	struct peer t;
	peer_init(&t, 0);
	established(&t);
	t.window = 100; /* of 65535 before */
	give(&t, ACK, NULL, 0);
	write_bytes(&t, 3000);
	EXPECT_SILENCE(&t);
	until_sent(&t);
	EXPECT_EQ(t.last.len, 100);
	tcp_stack_free(t.stack);
}

TEST(a_write_without_room_is_continued_when_half_is_free)
{
	struct peer t;
	static u8 data[TCP_SEND_MAX];
	peer_init(&t, 0);
	established(&t);
	write_bytes(&t, TCP_SEND_MAX);
	EXPECT_EQ(tcp_stack_write(t.stack, t.now, t.conn, SPAN(data, 10)), 0);
	EXPECT_EQ(tcp_stack_unsent(t.stack, t.conn), TCP_SEND_MAX);
	EXPECT_EQ(tcp_stack_stats(t.stack)->buffered, TCP_SEND_MAX);
	u32 acked = 0;
	while (acked < TCP_SEND_MAX / 2) {
		drain(&t);
		EXPECT_EVENT(&t, NO_EVENT);
		acked += 1240;
		t.ack += 1240;
		give(&t, ACK, NULL, 0);
	}
	EXPECT_EVENT(&t, TCP_EVENT_WRITABLE);
	tcp_stack_free(t.stack);
}

/* --- ends ---------------------------------------------------------------------------------------------------------- */

TEST(the_peer_ends_first_and_we_may_still_talk)
{
	struct peer t;
	peer_init(&t, 0);
	established(&t);
	give(&t, FIN | ACK | PSH, "bye", 3);
	EXPECT_EQ(EXPECT_SENT(&t, ACK, 0).ack, t.seq);
	EXPECT_EVENT(&t, TCP_EVENT_READABLE);
	EXPECT_EQ(read_bytes(&t), 3);
	EXPECT_EQ(read_bytes(&t), ERR_CLOSED);
	write_bytes(&t, 10);
	EXPECT_SENT(&t, ACK | PSH, 10);
	EXPECT_EQ(tcp_stack_shutdown(t.stack, t.now, t.conn), 0);
	EXPECT_EQ(tcp_stack_write(t.stack, t.now, t.conn, SPAN("x", 1)), ERR_STATE);
	EXPECT_EQ(EXPECT_SENT(&t, FIN | ACK, 0).seq, t.ack + 10);
	t.ack += 11;
	give(&t, ACK, NULL, 0);
	EXPECT_EVENT(&t, TCP_EVENT_WRITABLE);
	EXPECT_EVENT(&t, TCP_EVENT_CLOSED);
	EXPECT_EQ(read_bytes(&t), ERR_NOT_FOUND);
	EXPECT_EQ(tcp_stack_stats(t.stack)->conns, 0);
	EXPECT_SILENCE(&t);
	tcp_stack_free(t.stack);
}

TEST(we_end_first_and_time_wait_follows)
{
	struct peer t;
	peer_init(&t, 0);
	established(&t);
	write_bytes(&t, 10);
	tcp_stack_close(t.stack, t.now, t.conn);
	EXPECT_SENT(&t, FIN | ACK | PSH, 10);
	t.ack += 11;
	give(&t, ACK, NULL, 0);
	give(&t, FIN | ACK, NULL, 0);
	EXPECT_EQ(EXPECT_SENT(&t, ACK, 0).ack, t.seq);
	EXPECT_EQ(tcp_stack_stats(t.stack)->conns, 1);
	later(&t, TCP_TIME_WAIT - SEC(1));
	t.seq--;
	give(&t, FIN | ACK, NULL, 0); /* once more: our ACK was lost */
	EXPECT_SENT(&t, ACK, 0);
	later(&t, TCP_TIME_WAIT - SEC(1));
	EXPECT_EQ(tcp_stack_stats(t.stack)->conns, 1);
	later(&t, SEC(1));
	EXPECT_EQ(tcp_stack_stats(t.stack)->conns, 0);
	EXPECT_EVENT(&t, NO_EVENT);
	tcp_stack_free(t.stack);
}

TEST(both_end_at_once)
{
	struct peer t;
	peer_init(&t, 0);
	established(&t);
	EXPECT_EQ(tcp_stack_shutdown(t.stack, t.now, t.conn), 0);
	EXPECT_SENT(&t, FIN | ACK, 0);
	give(&t, FIN | ACK, NULL, 0); /* acknowledges nothing of ours */
	EXPECT_SENT(&t, ACK, 0);
	EXPECT_EVENT(&t, TCP_EVENT_READABLE);
	EXPECT_EVENT(&t, NO_EVENT);
	t.ack++;
	give(&t, ACK, NULL, 0);
	EXPECT_EVENT(&t, TCP_EVENT_CLOSED);
	later(&t, TCP_TIME_WAIT);
	EXPECT_EQ(tcp_stack_stats(t.stack)->conns, 0);
	tcp_stack_free(t.stack);
}

TEST(a_fin_before_its_time_waits_for_the_data)
{
	struct peer t;
	peer_init(&t, 0);
	established(&t);
	EXPECT_EQ(give_at(&t, FIN | ACK, t.seq + 3, "def", 3), 0);
	EXPECT_EQ(EXPECT_SENT(&t, ACK, 0).ack, t.seq);
	EXPECT_EQ(read_bytes(&t), ERR_AGAIN);
	EXPECT_EQ(give_at(&t, ACK, t.seq, "abc", 3), 0);
	EXPECT_EQ(EXPECT_SENT(&t, ACK, 0).ack, t.seq + 7);
	EXPECT_EQ(read_bytes(&t), 6);
	EXPECT_EQ(read_bytes(&t), ERR_CLOSED);
	tcp_stack_free(t.stack);
}

TEST(a_lost_fin_is_repeated)
{
	struct peer t;
	peer_init(&t, 0);
	established(&t);
	tcp_stack_close(t.stack, t.now, t.conn);
	u32 seq = EXPECT_SENT(&t, FIN | ACK, 0).seq;
	EXPECT_EQ(until_sent(&t), TCP_RTO_MIN);
	EXPECT_EQ(t.last.flags, FIN | ACK);
	EXPECT_EQ(t.last.seq, seq);
	tcp_stack_free(t.stack);
}

TEST(a_fin_into_a_shut_window_is_probed)
{
	struct peer t;
	peer_init(&t, 0);
	established(&t);
	t.window = 0;
	give(&t, ACK, NULL, 0);
	EXPECT_EQ(tcp_stack_shutdown(t.stack, t.now, t.conn), 0);
	EXPECT_SILENCE(&t);
	until_sent(&t);
	EXPECT_EQ(t.last.flags, FIN | ACK);
	t.ack++;
	give(&t, ACK, NULL, 0);
	give(&t, FIN | ACK, NULL, 0);
	EXPECT_EVENT(&t, TCP_EVENT_READABLE);
	EXPECT_EVENT(&t, TCP_EVENT_CLOSED);
	tcp_stack_free(t.stack);
}

TEST(a_closed_connection_takes_data_until_its_own_arrived_then_refuses)
{
	struct peer t;
	peer_init(&t, 0);
	established(&t);
	write_bytes(&t, 10);
	tcp_stack_close(t.stack, t.now, t.conn);
	drain(&t);
	give(&t, ACK, "more", 4);
	EXPECT_EQ(EXPECT_SENT(&t, ACK, 0).ack, t.seq);
	EXPECT_EQ(tcp_stack_stats(t.stack)->buffered, 1024); /* of what we still send */
	t.ack += 11;
	give(&t, ACK, NULL, 0);
	give(&t, ACK, "more", 4);
	EXPECT_EQ(EXPECT_SENT(&t, RST, 0).seq, t.ack);
	EXPECT_EQ(tcp_stack_stats(t.stack)->conns, 0);
	tcp_stack_free(t.stack);
}

TEST(a_peer_that_never_ends_is_forgotten)
{
	struct peer t;
	peer_init(&t, 0);
	established(&t);
	tcp_stack_close(t.stack, t.now, t.conn);
	drain(&t);
	t.ack++;
	give(&t, ACK, NULL, 0);
	later(&t, TCP_FIN_WAIT_MAX - 1);
	EXPECT_EQ(tcp_stack_stats(t.stack)->conns, 1);
	later(&t, 1);
	EXPECT_EQ(tcp_stack_stats(t.stack)->conns, 0);
	tcp_stack_free(t.stack);
}

TEST(a_new_syn_takes_over_a_time_wait)
{
	struct peer t;
	peer_init(&t, 0);
	established(&t);
	tcp_stack_close(t.stack, t.now, t.conn);
	u32 ours = EXPECT_SENT(&t, FIN | ACK, 0).seq;
	t.ack++;
	give(&t, FIN | ACK, NULL, 0);
	drain(&t);
	EXPECT_EQ(give_at(&t, SYN, t.seq - 100, NULL, 0), 0); /* an old one */
	drain(&t);
	EXPECT_EQ(tcp_stack_stats(t.stack)->accepted, 1);
	later(&t, MSEC(1));
	t.seq += 1000;
	give(&t, SYN, NULL, 0);
	struct sent x = EXPECT_SENT(&t, SYN | ACK, 0);
	EXPECT(x.seq - ours < 1u << 31);
	t.ack = x.seq + 1;
	give(&t, ACK, NULL, 0);
	EXPECT_EVENT(&t, TCP_EVENT_ACCEPTED);
	EXPECT_EQ(tcp_stack_stats(t.stack)->conns, 1);
	tcp_stack_free(t.stack);
}

TEST(abort_says_so)
{
	struct peer t;
	peer_init(&t, 0);
	established(&t);
	write_bytes(&t, 5000);
	drain(&t);
	tcp_stack_abort(t.stack, t.now, t.conn);
	EXPECT_EQ(EXPECT_SENT(&t, RST | ACK, 0).seq, t.ack + 5000);
	EXPECT_EVENT(&t, NO_EVENT);
	EXPECT_EQ(tcp_stack_stats(t.stack)->buffered, 0);
	later(&t, SEC(10));
	EXPECT_EQ(tcp_stack_next_timeout(t.stack), TIME_NEVER);
	tcp_stack_free(t.stack);
}

TEST(a_failure_before_it_was_told_of_is_silent)
{
	struct peer t;
	peer_init(&t, 0);
	give(&t, SYN, NULL, 0);
	t.ack = EXPECT_SENT(&t, SYN | ACK, 0).seq + 1;
	give(&t, ACK, NULL, 0);
	give(&t, RST, NULL, 0);
	EXPECT_EVENT(&t, NO_EVENT);
	EXPECT_EQ(tcp_stack_stats(t.stack)->conns, 0);
	tcp_stack_free(t.stack);
}

TEST(data_may_be_written_before_the_connection_stands)
{
	struct peer t;
	peer_init(&t, 0);
	struct endpoint from = { t.our_ip, 0 }, to = { t.peer_ip, 53 };
	EXPECT_EQ(tcp_stack_connect(t.stack, t.now, &from, &to, &t.conn), 0);
	struct sent x = EXPECT_SENT(&t, SYN, 0);
	write_bytes(&t, 40);
	EXPECT_EQ(tcp_stack_shutdown(t.stack, t.now, t.conn), 0);
	EXPECT_SILENCE(&t);
	t.our_port = x.src_port;
	t.peer_port = 53;
	t.ack = x.seq + 1;
	give(&t, SYN | ACK, NULL, 0);
	EXPECT_SENT(&t, FIN | ACK | PSH, 40);
	EXPECT_SILENCE(&t);
	EXPECT_EVENT(&t, TCP_EVENT_CONNECTED);
	tcp_stack_free(t.stack);
}
