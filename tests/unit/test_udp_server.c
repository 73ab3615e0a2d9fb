/* UDP in batches on loopback: every request is answered to who asked, whatever shares a message. */
#include "platform/udp_server.h"
#include "platform/linux/sockaddr.h"
#include "tests/unit/test.h"

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#define CLIENTS 3
#define WAIT_MS 10000

static int client_for(const struct endpoint *server)
{
	union sockaddr_any sa;
	socklen_t len = sockaddr_from(&sa, server);
	int fd = socket(server->ip.family == 4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	EXPECT(fd >= 0 && connect(fd, &sa.sa, len) == 0); /* so only what comes from the address that was asked is heard */
	return fd;
}

static bool is_readable(int fd)
{
	struct pollfd p = { fd, POLLIN, 0 };

	return poll(&p, 1, WAIT_MS) == 1;
}

/* Of `clients` each sends `each` requests of one octet that says how long the answer shall be; all get theirs, filled with that octet. */
static void exchange(struct udp_server *s, const struct endpoint *at, u32 each, u8 (*length)(u32 client, u32 k))
{
	struct udp_batch *b = udp_batch_new();
	int fds[CLIENTS];
	u8 buf[UDP_ANSWER_MAX];
	u32 left = CLIENTS * each;

	for (u32 c = 0; c < CLIENTS; c++) {
		fds[c] = client_for(at);
		for (u32 k = 0; k < each; k++) {
			buf[0] = length(c, k);
			EXPECT_EQ(send(fds[c], buf, 1, 0), 1);
		}
	}
	while (left > 0 && is_readable(udp_server_fd(s))) {
		u32 n = udp_server_recv(s, b);
		for (u32 i = 0; i < n; i++) {
			struct endpoint from;
			struct ip to;
			struct span request = udp_batch_request(b, i, &from, &to);
			struct mspan room = udp_batch_room(b, i);
			EXPECT_EQ(request.n, 1);
			memset(room.p, request.p[0], request.p[0]);
			udp_batch_answer(b, i, request.p[0]);
		}
		udp_server_send(s, b);
		left -= n;
	}
	EXPECT_EQ(left, 0);
	for (u32 c = 0; c < CLIENTS; c++) {
		u32 want[256] = { 0 }, got[256] = { 0 };
		for (u32 k = 0; k < each; k++)
			want[length(c, k)]++;
		for (u32 k = 0; k < each && is_readable(fds[c]); k++) {
			ssize_t n = recv(fds[c], buf, sizeof(buf), 0);
			EXPECT(n > 0 && buf[0] == n && buf[n - 1] == n);
			got[n > 0 && n < 256 ? n : 0]++;
		}
		EXPECT_MEM(got, want, sizeof(got));
		close(fds[c]);
	}
	udp_batch_free(b);
}

static u8 same(u32 client, u32 k)
{
	(void)client, (void)k;
	return 100;
}

static u8 mixed(u32 client, u32 k)
{
	return (u8)(20 + client + 50 * (k % 3));
}

static struct udp_server *open_at(struct ip ip, struct endpoint *at)
{
	struct udp_server *s = NULL;

	EXPECT_EQ(udp_server_open(&s, &(struct endpoint){ ip, 0 }), 0);
	EXPECT_EQ(udp_server_local(s, at), 0);
	return s;
}

TEST(answers_of_one_length_to_one_client_share_messages)
{
	struct endpoint at;
	struct udp_server *s = open_at(ip4(127, 0, 0, 1), &at);

	exchange(s, &at, 50, same);
	EXPECT_EQ(udp_server_stats(s)->sent, 150);
	EXPECT_EQ(udp_server_stats(s)->received, 150);
	EXPECT(udp_server_stats(s)->receives <= 10);
	udp_server_close(s);
}

TEST(answers_of_all_lengths_reach_their_clients)
{
	struct endpoint at;
	struct udp_server *s = open_at(ip4(127, 0, 0, 1), &at);

	exchange(s, &at, 64, mixed);
	EXPECT_EQ(udp_server_stats(s)->not_sent, 0);
	udp_server_close(s);
}

TEST(wildcard_answers_from_the_address_that_was_asked)
{
	struct endpoint at;
	struct udp_server *s = open_at((struct ip){ .family = 4 }, &at);

	at.ip = ip4(127, 0, 0, 77);
	exchange(s, &at, 20, same);
	exchange(s, &at, 20, mixed);
	udp_server_close(s);
}

TEST(wildcard_of_ipv6_too)
{
	struct endpoint at;
	struct udp_server *s = NULL;

	if (udp_server_open(&s, &(struct endpoint){ { .family = 6 }, 0 }) != 0)
		TEST_SKIP("no IPv6 here");
	EXPECT_EQ(udp_server_local(s, &at), 0);
	at.ip = (struct ip){ .b = { [15] = 1 }, .family = 6 };
	exchange(s, &at, 20, same);
	exchange(s, &at, 20, mixed);
	udp_server_close(s);
}

TEST(late_answer_and_silence)
{
	struct endpoint at, from;
	struct ip to;
	struct udp_server *s = open_at((struct ip){ .family = 4 }, &at);
	struct udp_batch *b = udp_batch_new();
	u8 buf[16];

	at.ip = ip4(127, 0, 0, 77);
	int fd = client_for(&at);
	EXPECT_EQ(send(fd, "x", 1, 0), 1);
	EXPECT(is_readable(udp_server_fd(s)));
	EXPECT_EQ(udp_server_recv(s, b), 1);
	EXPECT_EQ(udp_batch_request(b, 0, &from, &to).n, 1);
	EXPECT_EQ(to.b[3], 77);
	udp_server_send(s, b); /* nothing was answered */
	EXPECT_EQ(udp_server_stats(s)->sent, 0);
	udp_server_send_one(s, &to, &from, udp_batch_scope(b, 0), SPAN_STR("late"));
	EXPECT(is_readable(fd));
	EXPECT_EQ(recv(fd, buf, sizeof(buf), 0), 4);
	close(fd);
	udp_batch_free(b);
	udp_server_close(s);
}

TEST(too_long_request_is_passed_over)
{
	struct endpoint at, from;
	struct ip to;
	struct udp_server *s = open_at(ip4(127, 0, 0, 1), &at);
	struct udp_batch *b = udp_batch_new();
	static u8 big[UDP_REQUEST_MAX + 1];
	int fd = client_for(&at);

	EXPECT_EQ(send(fd, big, sizeof(big), 0), sizeof(big));
	EXPECT(is_readable(udp_server_fd(s)));
	EXPECT_EQ(udp_server_recv(s, b), 1);
	EXPECT_EQ(udp_batch_request(b, 0, &from, &to).n, 0);
	EXPECT_EQ(udp_server_stats(s)->too_long, 1);
	close(fd);
	udp_batch_free(b);
	udp_server_close(s);
}

TEST(port_in_use_and_foreign_address)
{
	struct endpoint at;
	struct udp_server *s = open_at(ip4(127, 0, 0, 1), &at), *other;

	EXPECT_EQ(udp_server_open(&other, &at), ERR_EXISTS);
	EXPECT_EQ(udp_server_open(&other, &(struct endpoint){ ip4(192, 0, 2, 99), 0 }), ERR_NOT_FOUND);
	udp_server_close(s);
}
