/* Load for a TURN relay: N clients with one channel each, datagrams as fast as they go in one direction for some seconds; counts what
 * arrives and the CPU time of the relay's process.
 *
 *	relay_load RELAY USER PASSWORD PID up|down SIZE SECONDS CLIENTS single|gso
 *		prints: packets, CPU milliseconds, packets per CPU second, packets sent
 *	relay_load RELAY USER PASSWORD PID hold COUNT
 *		makes COUNT allocations with a channel each; prints the bytes by which the relay's memory grew per allocation
 */
#include "tests/interop/turn_drive.h"

#include <netinet/udp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/uio.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define CLIENTS_MAX 64
#define BURST 32

struct flow {
	struct turn_drive turn;
	int peer_fd;
	struct endpoint peer, relay, relayed;
	u16 number;
};

static struct flow flows[CLIENTS_MAX];
static int n_flows;
static size_t size;
static bool is_up, uses_gso;
static atomic_bool is_over;
static atomic_ullong received, sent;

static void set_int(int fd, int level, int option, int value)
{
	(void)setsockopt(fd, level, option, &value, sizeof(value));
}

static void prepare(int fd)
{
	set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20);
	set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE, 4 << 20);
	set_int(fd, IPPROTO_UDP, UDP_GRO, 1);
}

static void *sender(void *arg)
{
	static u8 data[65536];
	size_t datagram = is_up ? size + CHANNEL_HEADER : size;
	size_t burst = MIN((size_t)BURST, 64000 / datagram);
	alignas(struct cmsghdr) u8 control[CMSG_SPACE(sizeof(u16))] = { 0 };

	(void)arg;
	while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
		for (int i = 0; i < n_flows; i++) {
			struct flow *f = &flows[i];
			int fd = is_up ? f->turn.fd : f->peer_fd;
			union sockaddr_any sa;
			socklen_t len = sockaddr_from(&sa, is_up ? &f->relay : &f->relayed);
			for (size_t k = 0; is_up && k < burst; k++)
				channel_header(data + k * datagram, f->number, (u16)size);
			if (uses_gso) {
				struct iovec iov = { data, burst * datagram };
				struct msghdr h = { .msg_name = &sa, .msg_namelen = len, .msg_iov = &iov, .msg_iovlen = 1,
						    .msg_control = control, .msg_controllen = sizeof(control) };
				struct cmsghdr *c = CMSG_FIRSTHDR(&h);
				u16 seg = (u16)datagram;
				c->cmsg_level = IPPROTO_UDP;
				c->cmsg_type = UDP_SEGMENT;
				c->cmsg_len = CMSG_LEN(sizeof(seg));
				memcpy(CMSG_DATA(c), &seg, sizeof(seg));
				if (sendmsg(fd, &h, 0) > 0)
					atomic_fetch_add_explicit(&sent, burst, memory_order_relaxed);
			} else {
				struct mmsghdr msgs[BURST] = { 0 };
				struct iovec iov[BURST];
				for (size_t k = 0; k < burst; k++) {
					iov[k] = (struct iovec){ data + k * datagram, datagram };
					msgs[k].msg_hdr = (struct msghdr){ .msg_name = &sa, .msg_namelen = len, .msg_iov = &iov[k],
									   .msg_iovlen = 1 };
				}
				int n = sendmmsg(fd, msgs, (unsigned)burst, 0);
				if (n > 0)
					atomic_fetch_add_explicit(&sent, (unsigned)n, memory_order_relaxed);
			}
		}
	}
	return NULL;
}

static void drain(int fd)
{
	static u8 bufs[32][65536];
	static u8 control[32][CMSG_SPACE(sizeof(int))];
	struct mmsghdr msgs[32];
	struct iovec iov[32];

	for (size_t k = 0; k < 32; k++) {
		iov[k] = (struct iovec){ bufs[k], sizeof(bufs[k]) };
		msgs[k].msg_hdr = (struct msghdr){ .msg_iov = &iov[k], .msg_iovlen = 1, .msg_control = control[k],
						   .msg_controllen = sizeof(control[k]) };
	}
	int n = recvmmsg(fd, msgs, 32, MSG_DONTWAIT, NULL);
	u64 count = 0;
	size_t datagram = is_up ? size : size + CHANNEL_HEADER;
	for (int k = 0; k < n; k++) {
		if (msgs[k].msg_len % datagram == 0) /* a GRO run of whole datagrams, or one */
			count += msgs[k].msg_len / datagram;
	}
	atomic_fetch_add_explicit(&received, count, memory_order_relaxed);
}

static void *receiver(void *arg)
{
	int ep = epoll_create1(0);

	(void)arg;
	for (int i = 0; i < n_flows; i++) {
		int fd = is_up ? flows[i].peer_fd : flows[i].turn.fd;
		struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };
		epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
	}
	while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
		struct epoll_event e[CLIENTS_MAX];
		int n = epoll_wait(ep, e, CLIENTS_MAX, 10);
		for (int i = 0; i < n; i++)
			drain(e[i].data.fd);
	}
	close(ep);
	return NULL;
}

/* User and system time of a process and its threads, in ms. */
static u64 cpu_ms(const char *pid)
{
	char path[64], line[1024];
	unsigned long user = 0, system = 0;
	snprintf(path, sizeof(path), "/proc/%s/stat", pid);
	FILE *f = fopen(path, "r");
	if (!f || !fgets(line, sizeof(line), f) ||
	    sscanf(strrchr(line, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2) {
		fprintf(stderr, "cannot read %s\n", path);
		exit(1);
	}
	fclose(f);
	return (user + system) * 1000 / (u64)sysconf(_SC_CLK_TCK);
}

static u64 rss_bytes(const char *pid)
{
	char path[64];
	unsigned long pages = 0;
	snprintf(path, sizeof(path), "/proc/%s/statm", pid);
	FILE *f = fopen(path, "r");
	if (!f || fscanf(f, "%*u %lu", &pages) != 1)
		exit(1);
	fclose(f);
	return (u64)pages * (u64)sysconf(_SC_PAGESIZE);
}

static int hold(char **argv)
{
	unsigned count = (unsigned)strtoul(argv[6], NULL, 10);
	struct ip lo = ip4(127, 0, 0, 1);
	struct endpoint peer;
	u64 before = 0;

	sys_limit_files(count + 100);
	(void)drive_socket(&lo, &peer);
	for (unsigned i = 0; i < count + 16; i++) {
		struct turn_drive t;
		if (i == 16) /* what the first ones cost is not theirs alone */
			before = rss_bytes(argv[4]);
		drive_open(&t, argv[1], argv[2], argv[3], true);
		if (!drive_allocate(&t, 4) || drive_bind(&t, &peer) == 0) {
			fprintf(stderr, "client %u gets no channel\n", i);
			return 1;
		}
		allocation_free(t.a);
	}
	printf("%llu\n", (unsigned long long)((rss_bytes(argv[4]) - before) / count));
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 7 && strcmp(argv[5], "hold") == 0)
		return hold(argv);
	if (argc != 10) {
		fputs("relay_load RELAY USER PASSWORD PID up|down SIZE SECONDS CLIENTS single|gso\n", stderr);
		return 2;
	}
	is_up = strcmp(argv[5], "up") == 0;
	size = strtoul(argv[6], NULL, 10);
	unsigned seconds = (unsigned)strtoul(argv[7], NULL, 10);
	n_flows = atoi(argv[8]);
	uses_gso = strcmp(argv[9], "gso") == 0;
	if (n_flows < 1 || n_flows > CLIENTS_MAX || size == 0 || size > 1400)
		return 2;
	for (int i = 0; i < n_flows; i++) {
		struct flow *f = &flows[i];
		drive_open(&f->turn, argv[1], argv[2], argv[3], true);
		f->relay = drive_endpoint(argv[1]);
		prepare(f->turn.fd);
		f->peer_fd = drive_socket(&f->turn.local.ip, &f->peer);
		prepare(f->peer_fd);
		if (!drive_allocate(&f->turn, f->relay.ip.family) || (f->number = drive_bind(&f->turn, &f->peer)) == 0) {
			fprintf(stderr, "client %d gets no channel\n", i);
			return 1;
		}
		f->relayed = *allocation_relayed(f->turn.a, f->relay.ip.family);
	}
	pthread_t s, r;
	pthread_create(&r, NULL, receiver, NULL);
	pthread_create(&s, NULL, sender, NULL);
	usleep(300000); /* warm */
	u64 cpu = cpu_ms(argv[4]), got = received, out = sent;
	usleep(seconds * 1000000u);
	got = received - got;
	out = sent - out;
	cpu = cpu_ms(argv[4]) - cpu;
	is_over = true;
	pthread_join(s, NULL);
	pthread_join(r, NULL);
	printf("%llu %llu %llu %llu\n", (unsigned long long)got, (unsigned long long)cpu,
	       (unsigned long long)(cpu ? got * 1000 / cpu : 0), (unsigned long long)out);
	return 0;
}
