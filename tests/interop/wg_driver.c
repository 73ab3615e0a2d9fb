/* tests/interop/wg_driver.c: the WireGuard engine behind a TUN device and a UDP socket, one peer, for tests against others.
 *
 *	wg_driver TUN LISTEN_PORT PRIVATE_KEY PEER_KEY PRESHARED_KEY [PEER_IPV4 PEER_PORT]       keys in base64
 *
 * Without a peer address it waits for one: the source of whatever it authenticates. Commands come line by line from standard input:
 *
 *	initiate        start a handshake now, whatever the timers say
 *	rebind PORT     go on from another local port
 *	flood N         send the next initiation N times
 *	busy N          treat the next N handshake messages as beyond the rate limit
 *	stats           print `stats NAME=VALUE ...`
 *	quit
 *
 * It prints `ready`, then `established`, `sendable`, `expired` as they happen.
 */
#include "core/base/encode.h"
#include "core/base/err.h"
#include "core/wg/wg.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PACKET_MAX 2048u
#define IN_ROW 64u /* datagrams or packets taken before the other side is looked at */

struct driver {
	struct rng rng;
	struct wg_local local;
	struct wg wg;
	int tun, udp;
	struct sockaddr_in peer;
	bool has_peer;
	unsigned floods, busy;
	u8 queue[WG_QUEUE_MAX][PACKET_MAX];
	u32 queue_len[WG_QUEUE_MAX];
	unsigned queued;
};

static struct driver d;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void system_random(struct rng *rng, void *buf, size_t n)
{
	(void)rng;
	if (getrandom(buf, n, 0) != (ssize_t)n)
		die("getrandom");
}

static u64 clock_ns(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return SEC(t.tv_sec) + (u64)t.tv_nsec;
}

#define NOW clock_ns(CLOCK_MONOTONIC)
#define WALL clock_ns(CLOCK_REALTIME)

static int open_tun(const char *name)
{
	struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
	snprintf(ifr.ifr_name, IFNAMSIZ, "%s", name);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr) < 0)
		die("tun");
	return fd;
}

static int open_udp(u16 port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		die("udp");
	return fd;
}

static void send_datagram(const void *p, size_t n, const struct sockaddr_in *to)
{
	if (sendto(d.udp, p, n, 0, (const struct sockaddr *)to, sizeof(*to)) < 0 && errno != EAGAIN && errno != ECONNREFUSED)
		perror("sendto");
}

/* --- out ------------------------------------------------------------------------------------------------------------------------ */

static void seal_and_send(const u8 *packet, u32 len)
{
	u8 slot[WG_HEADER_LEN + PACKET_MAX + AEAD_TAG];
	memcpy(slot + WG_HEADER_LEN, packet, len);
	if (wg_seal(&d.wg, NOW, slot, len) == 0)
		send_datagram(slot, WG_HEADER_LEN + len + AEAD_TAG, &d.peer);
}

/* What the tunnel has to say, and what waited for it. */
static void collect(void)
{
	u8 msg[WG_INITIATION_LEN];
	size_t n;
	u32 index;
	while ((n = wg_poll_transmit(&d.wg, msg)) > 0) {
		unsigned copies = 1;
		if (wg_classify(SPAN(msg, n), &index) == WG_INITIATION && d.floods > 0) {
			copies = d.floods;
			d.floods = 0;
		}
		for (unsigned i = 0; i < copies && d.has_peer; i++)
			send_datagram(msg, n, &d.peer);
	}
	for (;;) {
		switch (wg_poll_event(&d.wg)) {
		case WG_EVENT_NONE:
			fflush(stdout);
			return;
		case WG_EVENT_ESTABLISHED:
			puts("established");
			break;
		case WG_EVENT_SENDABLE:
			puts("sendable");
			for (unsigned i = 0; i < d.queued; i++)
				seal_and_send(d.queue[i], d.queue_len[i]);
			d.queued = 0;
			break;
		case WG_EVENT_EXPIRED:
			puts("expired");
			break;
		}
	}
}

static void from_tun(void)
{
	u8 packet[PACKET_MAX];
	for (unsigned i = 0; i < IN_ROW; i++) {
		ssize_t n = read(d.tun, packet, sizeof(packet));
		if (n <= 0)
			return;
		if (packet[0] >> 4 != 4 || !d.has_peer)
			continue; /* the kernel's own IPv6 multicasts would start handshakes */
		if (wg_can_send(&d.wg, NOW)) {
			seal_and_send(packet, (u32)n);
			continue;
		}
		if (d.queued < WG_QUEUE_MAX) {
			memcpy(d.queue[d.queued], packet, (size_t)n);
			d.queue_len[d.queued++] = (u32)n;
		}
		(void)wg_initiate(&d.wg, NOW, WALL);
	}
}

/* --- in ------------------------------------------------------------------------------------------------------------------------- */

static int handle_handshake(struct span datagram, enum wg_type type, const struct sockaddr_in *from)
{
	u8 reply[WG_COOKIE_LEN];
	struct wg_initiation init;
	struct ip ip = ip_from_bytes(4, (const u8 *)&from->sin_addr);
	if (d.busy > 0) {
		d.busy--;
		d.local.window_start = NOW;
		d.local.window_count = WG_HANDSHAKES_PER_SEC;
	}
	int rc = wg_gate(&d.local, NOW, datagram, &ip, reply);
	if (rc == ERR_LIMIT)
		send_datagram(reply, sizeof(reply), from);
	if (rc < 0)
		return rc;
	if (type == WG_RESPONSE)
		return wg_input(&d.wg, NOW, datagram);
	rc = wg_initiation_open(&d.local, datagram, &init);
	return rc < 0 ? rc : wg_input_initiation(&d.wg, NOW, &init);
}

static int handle(u8 *p, size_t n, const struct sockaddr_in *from)
{
	u32 index;
	struct span inner;
	enum wg_type type = wg_classify(SPAN(p, n), &index);
	switch (type) {
	case WG_NONE:
		return ERR_MALFORMED;
	case WG_INITIATION:
	case WG_RESPONSE:
		return handle_handshake(SPAN(p, n), type, from);
	case WG_COOKIE:
		(void)!wg_input(&d.wg, NOW, SPAN(p, n));
		return ERR_AGAIN; /* says nothing about where the peer is */
	case WG_DATA:
		if (wg_open(&d.wg, NOW, (struct mspan){ p, n }, &inner) < 0)
			return ERR_AUTH;
		if (inner.n > 0 && write(d.tun, inner.p, inner.n) < 0)
			perror("tun write");
		return 0;
	}
	return ERR_MALFORMED;
}

static void from_udp(void)
{
	u8 datagram[PACKET_MAX];
	for (unsigned i = 0; i < IN_ROW; i++) {
		struct sockaddr_in from;
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(d.udp, datagram, sizeof(datagram), 0, (struct sockaddr *)&from, &len);
		if (n < 0)
			return;
		if (handle(datagram, (size_t)n, &from) == 0) {
			d.peer = from;
			d.has_peer = true;
		}
		collect();
	}
}

/* --- commands ---------------------------------------------------------------------------------------------------------------------- */

static void print_stats(void)
{
	const struct wg_stats *s = &d.local.stats;
	printf("stats initiations_in=%llu responses_in=%llu cookies_in=%llu initiations_out=%llu responses_out=%llu cookies_out=%llu "
	       "auth_failed=%llu replayed=%llu unknown_session=%llu bad_handshake=%llu keepalives_in=%llu keepalives_out=%llu peer_port=%u\n",
	       (unsigned long long)s->initiations_in, (unsigned long long)s->responses_in, (unsigned long long)s->cookies_in,
	       (unsigned long long)s->initiations_out, (unsigned long long)s->responses_out, (unsigned long long)s->cookies_out,
	       (unsigned long long)s->auth_failed, (unsigned long long)s->replayed, (unsigned long long)s->unknown_session,
	       (unsigned long long)s->bad_handshake, (unsigned long long)s->keepalives_in,
	       (unsigned long long)s->keepalives_out, ntohs(d.peer.sin_port));
}

static void initiate_now(void)
{
	d.wg.is_attempting = false;
	(void)wg_initiate(&d.wg, NOW, WALL);
}

/* False when the test is over. */
static bool command(const char *line)
{
	unsigned n;
	if (strncmp(line, "initiate", 8) == 0) {
		initiate_now();
	} else if (sscanf(line, "rebind %u", &n) == 1) {
		close(d.udp);
		d.udp = open_udp((u16)n);
	} else if (sscanf(line, "flood %u", &n) == 1) {
		d.floods = n;
		initiate_now();
	} else if (sscanf(line, "busy %u", &n) == 1) {
		d.busy = n;
	} else if (strncmp(line, "stats", 5) == 0) {
		print_stats();
	} else {
		return false;
	}
	collect();
	return true;
}

static bool from_stdin(void)
{
	static char text[1024];
	static size_t held;
	ssize_t n = read(0, text + held, sizeof(text) - 1 - held);
	if (n <= 0)
		return false;
	held += (size_t)n;
	text[held] = '\0';
	char *line = text, *end;
	while ((end = strchr(line, '\n'))) {
		*end = '\0';
		if (!command(line))
			return false;
		line = end + 1;
	}
	held = strlen(line);
	memmove(text, line, held + 1);
	return true;
}

static void read_key(const char *text, u8 out[static 32])
{
	if (base64_decode(out, 32, SPAN(text, strlen(text))) != 32) {
		fprintf(stderr, "not a key: %s\n", text);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	u8 priv[32], peer[32], psk[32];
	if (argc != 6 && argc != 8) {
		fprintf(stderr, "usage: wg_driver TUN PORT PRIVATE PEER PSK [PEER_IP PEER_PORT]\n");
		return 2;
	}
	read_key(argv[3], priv);
	read_key(argv[4], peer);
	read_key(argv[5], psk);
	d.rng.fill = system_random;
	if (aead_init() < 0)
		die("aead_init");
	wg_local_init(&d.local, &d.rng, priv, NOW);
	if (wg_init(&d.wg, &d.local, NOW, 0xe3b3ed, peer, psk) < 0)
		die("peer key");
	d.peer.sin_family = AF_INET;
	if (argc == 8) {
		d.peer.sin_port = htons((u16)atoi(argv[7]));
		d.has_peer = inet_pton(AF_INET, argv[6], &d.peer.sin_addr) == 1;
	}
	d.tun = open_tun(argv[1]);
	d.udp = open_udp((u16)atoi(argv[2]));
	puts("ready");
	fflush(stdout);

	for (;;) {
		u64 now = NOW, next = wg_next_timeout(&d.wg);
		int wait_ms = next <= now ? 0 : (int)(MIN(next - now, SEC(60)) / MSEC(1)) + 1;
		struct pollfd fds[] = { { 0, POLLIN, 0 }, { d.tun, POLLIN, 0 }, { d.udp, POLLIN, 0 } };
		if (poll(fds, 3, wait_ms) < 0)
			die("poll");
		if (fds[0].revents && !from_stdin())
			return 0;
		if (NOW >= wg_next_timeout(&d.wg))
			wg_timeout(&d.wg, NOW, WALL);
		from_udp();
		from_tun();
		collect();
	}
}
