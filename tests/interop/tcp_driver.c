/* tests/interop/tcp_driver.c: the TCP of core/tcp behind a TUN device, for tests against the kernel's.
 *
 *	tcp_driver DEVICE LOSS serve ADDRESS...
 *		port 7 echoes and ends when its peer has; port 53 answers every DNS message with as many TXT records as the number
 *		that the first label of its question begins with, 240 bytes each. Prints `ready` when the device is up.
 *	tcp_driver DEVICE LOSS fetch LOCAL REMOTE:PORT BYTES
 *		sends "BYTES\n" and its end, expects that many bytes of the pattern and the end; prints `fetched BYTES`, or why not, and ends
 *
 * LOSS of 1000 packets are lost in each direction. The namespace and the device's addresses are the script's.
 */
#include "core/base/cursor.h"
#include "core/ip/segment.h"
#include "core/tcp/tcp.h"
#include "platform/tun.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CONNS 64u
#define MESSAGE_MAX 65537u
#define TXT_BYTES 240u

/* One accepted connection. */
struct client {
	tcp_handle conn;
	u16 port;
	u32 in_len, out_len, out_done;
	u8 in[MESSAGE_MAX], out[MESSAGE_MAX];
};

struct driver {
	struct tun *tun;
	struct tcp_stack *stack;
	struct rng_seeded rng;
	u32 loss;
	struct client *clients[CONNS];
	/* fetch */
	tcp_handle conn;
	u64 want, got;
	bool is_over, is_right;
};

static u64 now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * NSEC_PER_SEC + (u64)ts.tv_nsec;
}

static u8 pattern(u64 i)
{
	return (u8)(i * 7 + (i >> 8));
}

/* --- the packets --------------------------------------------------------------------------------------------------------------------- */

static bool is_lost(struct driver *d)
{
	return rng_below(&d->rng.rng, 1000) < d->loss;
}

static void send_all(struct driver *d)
{
	struct tun_pkt pkt;
	while (tcp_stack_poll_transmit(d->stack, &pkt))
		if (!is_lost(d))
			(void)tun_write(d->tun, &pkt);
}

static void receive_all(struct driver *d)
{
	struct tun_pkt pkt;
	struct segmenter s;
	struct packet p;
	u8 slot[TUNNEL_MTU];
	u32 n;

	while (tun_read(d->tun, &pkt) == 0) {
		if (segment_init(&s, &pkt))
			continue;
		while ((n = segment_next_len(&s))) {
			segment_write(&s, slot);
			if (is_lost(d))
				continue;
			if (packet_parse(slot, n, TUNNEL_MTU, &p) == 0 && tcp_stack_input(d->stack, now_ns(), slot, &p) == ERR_NOT_OURS)
				tcp_stack_refuse(d->stack, now_ns(), slot, &p);
			send_all(d);
		}
	}
}

/* --- the servers --------------------------------------------------------------------------------------------------------------------- */

static struct client *client_of(struct driver *d, tcp_handle conn)
{
	for (u32 i = 0; i < CONNS; i++)
		if (d->clients[i] && d->clients[i]->conn == conn)
			return d->clients[i];
	return NULL;
}

static void client_new(struct driver *d, const struct tcp_event *e)
{
	for (u32 i = 0; i < CONNS; i++) {
		if (d->clients[i])
			continue;
		d->clients[i] = calloc(1, sizeof(struct client));
		if (!d->clients[i])
			break;
		d->clients[i]->conn = e->conn;
		d->clients[i]->port = e->local.port;
		return;
	}
	tcp_stack_abort(d->stack, now_ns(), e->conn);
}

static void client_free(struct driver *d, tcp_handle conn)
{
	for (u32 i = 0; i < CONNS; i++)
		if (d->clients[i] && d->clients[i]->conn == conn) {
			free(d->clients[i]);
			d->clients[i] = NULL;
		}
}

/* False: garbage. The answer goes to c->out, the message leaves c->in. */
static bool answer(struct client *c, u32 n)
{
	struct wr w = wr_init(c->out, sizeof(c->out));
	const u8 *q = c->in + 2;
	u32 end = 12, records;

	while (end < n && q[end] != 0)
		end += q[end] + 1u;
	end += 5;
	if (n < 12 || end > n)
		return false;
	records = (u32)strtoul((const char *)q + 13, NULL, 10);
	wr_be16(&w, 0);
	wr_bytes(&w, q, 2);
	wr_be16(&w, 0x8580);
	wr_be16(&w, 1);
	wr_be16(&w, (u16)records);
	wr_be32(&w, 0);
	wr_bytes(&w, q + 12, end - 12);
	for (u32 i = 0; i < records; i++) {
		wr_be16(&w, 0xc00c);
		wr_be16(&w, 16);
		wr_be16(&w, 1);
		wr_be32(&w, 60);
		wr_be16(&w, TXT_BYTES + 1);
		wr_u8(&w, TXT_BYTES);
		for (u32 k = 0; k < TXT_BYTES; k++)
			wr_u8(&w, (u8)('a' + (i + k) % 26));
	}
	if (!wr_ok(&w))
		return false;
	c->out_len = (u32)wr_len(&w);
	c->out_done = 0;
	put_be16(c->out, (u16)(c->out_len - 2));
	memmove(c->in, c->in + 2 + n, c->in_len - 2 - n);
	c->in_len -= 2 + n;
	return true;
}

/* One message, or for echo whatever is there, becomes what is to be written. False: the connection is given up. */
static bool work(struct client *c)
{
	if (c->out_done < c->out_len || c->in_len == 0)
		return true;
	if (c->port == 7) {
		memcpy(c->out, c->in, c->in_len);
		c->out_len = c->in_len;
		c->out_done = c->in_len = 0;
		return true;
	}
	u32 n = c->in_len >= 2 ? get_be16(c->in) : 0;
	return c->in_len < 2 || c->in_len < 2 + n || answer(c, n);
}

/* Bytes moved, < 0: the peer has ended. */
static int move(struct driver *d, struct client *c)
{
	u64 now = now_ns();
	u32 room = (u32)sizeof(c->in) - c->in_len;
	int n = room ? tcp_stack_read(d->stack, now, c->conn, (struct mspan){ c->in + c->in_len, room }) : 0, m = 0;

	c->in_len += n > 0 ? (u32)n : 0;
	if (c->out_done < c->out_len)
		m = tcp_stack_write(d->stack, now, c->conn, SPAN(c->out + c->out_done, c->out_len - c->out_done));
	c->out_done += m > 0 ? (u32)m : 0;
	if (n > 0 || m > 0)
		return MAX(n, 0) + MAX(m, 0);
	return n == ERR_CLOSED ? -1 : 0;
}

static void serve(struct driver *d, struct client *c)
{
	int n;

	do {
		n = move(d, c);
		if (!work(c)) {
			tcp_stack_abort(d->stack, now_ns(), c->conn);
			client_free(d, c->conn);
			return;
		}
	} while (n > 0);
	if (n < 0 && c->out_done == c->out_len)
		(void)tcp_stack_shutdown(d->stack, now_ns(), c->conn);
}

/* --- the client ----------------------------------------------------------------------------------------------------------------------- */

static void fetch(struct driver *d)
{
	u8 buf[4096];
	int n;

	while ((n = tcp_stack_read(d->stack, now_ns(), d->conn, (struct mspan){ buf, sizeof(buf) })) > 0)
		for (int i = 0; i < n; i++)
			d->is_right &= buf[i] == pattern(d->got++);
}

static void fetch_event(struct driver *d, const struct tcp_event *e)
{
	fetch(d);
	if (e->type == TCP_EVENT_CLOSED) {
		d->is_over = true;
		d->is_right &= d->got == d->want;
		printf("%s %llu\n", d->is_right ? "fetched" : "wrong", (unsigned long long)d->got);
	} else if (e->type == TCP_EVENT_FAILED) {
		d->is_over = true;
		d->is_right = false;
		printf("failed %s\n", err_str(e->error));
	}
}

static void events(struct driver *d)
{
	struct tcp_event e;
	while (tcp_stack_poll_event(d->stack, &e)) {
		if (e.conn == d->conn) {
			fetch_event(d, &e);
			continue;
		}
		if (e.type == TCP_EVENT_ACCEPTED)
			client_new(d, &e);
		struct client *c = client_of(d, e.conn);
		if (e.type == TCP_EVENT_CLOSED || e.type == TCP_EVENT_FAILED)
			client_free(d, e.conn);
		else if (c)
			serve(d, c);
	}
}

/* --- all together ----------------------------------------------------------------------------------------------------------------------- */

static void turn(struct driver *d)
{
	struct pollfd fd = { .fd = tun_fd(d->tun), .events = POLLIN };
	u64 at = tcp_stack_next_timeout(d->stack), now = now_ns();
	int ms = at == TIME_NEVER ? -1 : at <= now ? 0 : (int)((at - now) / MSEC(1) + 1);

	(void)poll(&fd, 1, ms);
	if (tcp_stack_next_timeout(d->stack) <= now_ns())
		tcp_stack_timeout(d->stack, now_ns());
	receive_all(d);
	do {
		events(d);
		send_all(d);
	} while (tcp_stack_next_timeout(d->stack) == 0 && (tcp_stack_timeout(d->stack, now_ns()), true));
}

static void must(int rc, const char *what)
{
	if (rc < 0) {
		fprintf(stderr, "tcp_driver: %s: %s\n", what, err_str(rc));
		exit(2);
	}
}

int main(int argc, char **argv)
{
	struct driver d = { .is_right = true };

	if (argc < 5)
		return 2;
	rng_seeded_init(&d.rng, now_ns());
	d.loss = (u32)strtoul(argv[2], NULL, 10);
	d.stack = tcp_stack_new(&(struct tcp_stack_config){ .rng = &d.rng.rng });
	must(d.stack ? 0 : ERR_NOMEM, "stack");
	must(tun_open(&d.tun, argv[1]), argv[1]);
	printf("ready\n");
	fflush(stdout);
	if (strcmp(argv[3], "serve") == 0) {
		for (int i = 4; i < argc; i++) {
			struct endpoint at = { .port = 7 };
			must(ip_parse(SPAN(argv[i], strlen(argv[i])), &at.ip), argv[i]);
			must(tcp_stack_listen(d.stack, &at, TCP_LISTEN_CONNS), argv[i]);
			at.port = 53;
			must(tcp_stack_listen(d.stack, &at, TCP_LISTEN_CONNS), argv[i]);
		}
	} else if (argc == 7) {
		struct endpoint from = { .port = 0 }, to;
		char line[32];
		must(ip_parse(SPAN(argv[4], strlen(argv[4])), &from.ip), argv[4]);
		must(endpoint_parse(SPAN(argv[5], strlen(argv[5])), &to), argv[5]);
		d.want = strtoull(argv[6], NULL, 10);
		(void)getchar(); /* the script has set the device up */
		must(tcp_stack_connect(d.stack, now_ns(), &from, &to, &d.conn), "connect");
		int n = snprintf(line, sizeof(line), "%llu\n", (unsigned long long)d.want);
		must(tcp_stack_write(d.stack, now_ns(), d.conn, SPAN(line, (size_t)n)), "write");
		must(tcp_stack_shutdown(d.stack, now_ns(), d.conn), "shutdown");
		send_all(&d);
	}
	while (!d.is_over) {
		turn(&d);
		fflush(stdout);
	}
	const struct tcp_stack_stats *s = tcp_stack_stats(d.stack);
	fprintf(stderr, "retransmits=%llu timeouts=%llu fast=%llu out_of_order=%llu\n", (unsigned long long)s->retransmits,
		(unsigned long long)s->timeouts, (unsigned long long)s->fast_retransmits, (unsigned long long)s->rx_out_of_order);
	tun_close(d.tun);
	tcp_stack_free(d.stack);
	return d.is_right ? 0 : 1;
}
