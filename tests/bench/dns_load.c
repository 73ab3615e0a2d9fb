/* Queries at a steady rate and the time each answer took: dns_load PORT RATE SECONDS [NAMES]. Asks 127.0.0.1 for A of host1…hostNAMES.bench.example
 * in turn, from CLIENTS sockets. Prints: asked, answered, and of the answers' times in microseconds the median, the 99th percentile and the worst;
 * what is never answered took GRACE_NS.
 *
 * A time runs from just before the query is handed to the kernel until the answer is put into this program's socket: the kernel's own stamp of
 * that moment (SO_TIMESTAMPNS), so that it does not matter when this program gets a core to read it. dnsperf reads a clock after reading the
 * answer, in a thread that shares its core with the one that sends: its 99th percentile here is the length of a scheduler's slice, some
 * milliseconds, whoever answers. A query that is late in leaving is not made up for in its time: that would be this program's lateness. */
#include "core/base/cursor.h"


#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS 8u
#define IDS 65536u
#define GRACE_NS 1000000000ull /* for the last answers */

static struct pollfd clients[CLIENTS];
static u64 asked_at[IDS]; /* 0: not waited for */
static u32 *times, answered;

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static u64 now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t); /* the clock of the stamps */
	return (u64)t.tv_sec * 1000000000ull + (u64)t.tv_nsec;
}

static void open_clients(u16 port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const int on = 1, room = 1 << 20;

	for (u32 i = 0; i < CLIENTS; i++) {
		int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) != 0 ||
		    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room)) != 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
			die("socket");
		clients[i] = (struct pollfd){ .fd = fd, .events = POLLIN };
	}
}

static size_t make_query(u8 *buf, size_t room, u16 id, u32 name)
{
	struct wr w = wr_init(buf, room);
	char host[16];
	int n = snprintf(host, sizeof(host), "host%u", name);

	wr_be16(&w, id);
	wr_be16(&w, 0x0100); /* recursion desired */
	wr_be16(&w, 1);
	wr_zero(&w, 6);
	wr_u8(&w, (u8)n);
	wr_bytes(&w, (const u8 *)host, (size_t)n);
	wr_bytes(&w, (const u8 *)"\5bench\7example", 15);
	wr_be16(&w, 1);
	wr_be16(&w, 1);
	return wr_len(&w);
}

static void ask(u32 serial, u32 names)
{
	u8 buf[64];
	size_t n = make_query(buf, sizeof(buf), (u16)serial, 1 + serial % names);

	asked_at[serial % IDS] = now_ns();
	if (send(clients[serial % CLIENTS].fd, buf, n, 0) < 0)
		asked_at[serial % IDS] = 0;
}

static u64 stamp_of(struct msghdr *h)
{
	struct timespec t = { 0 };

	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPNS)
			memcpy(&t, CMSG_DATA(c), sizeof(t));
	return (u64)t.tv_sec * 1000000000ull + (u64)t.tv_nsec;
}

static void read_answers(int fd)
{
	u8 buf[512];
	alignas(struct cmsghdr) u8 control[64];
	struct iovec iov = { buf, sizeof(buf) };

	for (;;) {
		struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
		if (recvmsg(fd, &h, 0) < 2)
			return;
		u64 *asked = &asked_at[get_be16(buf)], stamp = stamp_of(&h);
		if (*asked == 0)
			continue;
		times[answered++] = stamp > *asked ? (u32)((stamp - *asked) / 1000) : 0;
		*asked = 0;
	}
}

static void wait_until(u64 due)
{
	u64 now = now_ns(), left = due > now ? due - now : 0;
	const struct timespec t = { (time_t)(left / 1000000000ull), (long)(left % 1000000000ull) };

	if (ppoll(clients, CLIENTS, &t, NULL) <= 0)
		return;
	for (u32 i = 0; i < CLIENTS; i++)
		if (clients[i].revents)
			read_answers(clients[i].fd);
}

static int by_size(const void *a, const void *b)
{
	const u32 *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

int main(int argc, char **argv)
{
	u32 rate = argc > 3 ? (u32)strtoul(argv[2], NULL, 10) : 0, total = rate ? rate * (u32)strtoul(argv[3], NULL, 10) : 0;
	u32 names = argc > 4 ? (u32)strtoul(argv[4], NULL, 10) : 1000;

	if (total == 0 || names == 0) {
		fprintf(stderr, "usage: dns_load PORT RATE SECONDS [NAMES]\n");
		return 2;
	}
	times = calloc(total, sizeof(*times));
	if (!times)
		die("calloc");
	open_clients((u16)strtoul(argv[1], NULL, 10));
	(void)prctl(PR_SET_TIMERSLACK, 1ul);
	u64 start = now_ns();
	for (u32 i = 0; i < total; i++) {
		u64 due = start + (u64)i * 1000000000ull / rate;
		while (now_ns() < due)
			wait_until(due);
		ask(i, names);
	}
	for (u64 end = now_ns() + GRACE_NS; answered < total && now_ns() < end;)
		wait_until(end);
	for (u32 i = answered; i < total; i++)
		times[i] = (u32)(GRACE_NS / 1000);
	qsort(times, total, sizeof(*times), by_size);
	printf("%u %u %u %u %u\n", total, answered, times[total / 2], times[(u64)total * 99 / 100], times[total - 1]);
	return 0;
}
