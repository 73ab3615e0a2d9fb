/* TCP over loopback: connecting, racing, accepting. */
#include "core/base/err.h"
#include "platform/tcp.h"
#include "tests/unit/test.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

static const struct ip loop4 = { .b = { 127, 0, 0, 1 }, .family = 4 };

static int listen_on_loopback(struct endpoint *at)
{
	int fd = tcp_listen(&(struct endpoint){ loop4, 0 });
	if (fd >= 0 && tcp_local(fd, at) != 0)
		return -1;
	return fd;
}

static bool wait_for(int fd, short events)
{
	struct pollfd p = { fd, events, 0 };
	return poll(&p, 1, 10000) == 1;
}

/* A port nobody listens on: one that was just given back. */
static struct endpoint dead_port(void)
{
	struct endpoint at;
	int fd = listen_on_loopback(&at);
	close(fd);
	return at;
}

TEST(connect_accept_and_carry_bytes)
{
	struct endpoint at, from;
	int l = listen_on_loopback(&at);
	REQUIRE(l >= 0);
	EXPECT_EQ(tcp_accept(l, &from), ERR_AGAIN);
	int c = tcp_connect_start(&at, 0);
	REQUIRE(c >= 0);
	EXPECT(wait_for(c, POLLOUT));
	EXPECT_EQ(tcp_connect_finish(c), 0);
	EXPECT(wait_for(l, POLLIN));
	int s = tcp_accept(l, &from);
	REQUIRE(s >= 0);
	EXPECT(ip_eq(&from.ip, &loop4));

	char buf[8];
	EXPECT_EQ(tcp_read(s, buf, sizeof(buf)), ERR_AGAIN);
	EXPECT_EQ(tcp_write(c, "hello", 5), 5);
	EXPECT(wait_for(s, POLLIN));
	EXPECT_EQ(tcp_read(s, buf, sizeof(buf)), 5);
	EXPECT_MEM(buf, "hello", 5);
	close(s);
	EXPECT(wait_for(c, POLLIN));
	EXPECT_EQ(tcp_read(c, buf, sizeof(buf)), ERR_CLOSED);
	(void)tcp_write(c, "x", 1); /* the first draws the reset */
	EXPECT(wait_for(c, POLLERR));
	EXPECT(tcp_write(c, "x", 1) < 0); /* no SIGPIPE */
	close(c);
	close(l);
}

TEST(a_taken_port_and_a_refused_connection_say_so)
{
	struct endpoint at;
	int l = listen_on_loopback(&at);
	REQUIRE(l >= 0);
	EXPECT_EQ(tcp_listen(&at), ERR_EXISTS);
	close(l);

	struct endpoint dead = dead_port();
	int c = tcp_connect_start(&dead, 0);
	if (c >= 0) {
		EXPECT(wait_for(c, POLLOUT));
		EXPECT_EQ(tcp_connect_finish(c), ERR_CLOSED);
		close(c);
	} else {
		EXPECT_EQ(c, ERR_CLOSED);
	}
}

static int race(struct tcp_race *r, struct endpoint *winner)
{
	for (int i = 0; i < 100; i++) {
		int fd = tcp_race_poll(r, winner);
		if (fd != ERR_AGAIN)
			return fd;
		if (!wait_for(tcp_race_fd(r), POLLIN))
			break;
	}
	return ERR_TIMEOUT;
}

TEST(the_address_that_answers_wins_the_race)
{
	struct endpoint at, winner, dead = dead_port();
	int l = listen_on_loopback(&at);
	REQUIRE(l >= 0);
	struct endpoint list[3] = { dead, at, { { .b = { 0xfe, 0x80 }, .family = 6 }, 1 } };
	struct tcp_race r;
	REQUIRE(tcp_race_start(&r, list, 3, 0) == 0);
	int fd = race(&r, &winner);
	EXPECT(fd >= 0);
	EXPECT(endpoint_eq(&winner, &at));
	tcp_race_end(&r);
	tcp_race_end(&r);
	EXPECT_EQ(tcp_write(fd, "x", 1), 1); /* survives the end of the race */
	close(fd);
	close(l);
}

TEST(a_race_nobody_wins_tells_the_reason)
{
	struct endpoint winner, list[2] = { dead_port(), dead_port() };
	struct tcp_race r;
	REQUIRE(tcp_race_start(&r, list, 2, 0) == 0);
	EXPECT_EQ(race(&r, &winner), ERR_CLOSED);
	tcp_race_end(&r);
	EXPECT_EQ(tcp_race_start(&r, list, 0, 0), ERR_INVAL);
}

TEST(more_addresses_than_the_limit_are_not_tried)
{
	struct endpoint at, winner, list[TCP_RACE_MAX + 1];
	int l = listen_on_loopback(&at);
	for (u32 i = 0; i < TCP_RACE_MAX; i++)
		list[i] = dead_port();
	list[TCP_RACE_MAX] = at;
	struct tcp_race r;
	REQUIRE(tcp_race_start(&r, list, TCP_RACE_MAX + 1, 0) == 0);
	EXPECT_EQ(race(&r, &winner), ERR_CLOSED);
	tcp_race_end(&r);
	close(l);
}
