/* Our TURN client against any TURN server, on loopback. Prints `ok NAME` or `not ok NAME` for each step.
 *
 *	turn_client PREFIX RELAY USER PASSWORD rfc|firezone STALE_SECONDS
 *
 * STALE_SECONDS > 0: waits so long before the refresh, for servers told to let nonces go stale.
 */
#include "tests/interop/turn_drive.h"

#define DATAGRAMS 200

static const char *prefix;
static bool failed;

static bool verdict(const char *name, bool is_ok)
{
	printf("%s %s_%s\n", is_ok ? "ok" : "not ok", prefix, name);
	fflush(stdout);
	failed |= !is_ok;
	return is_ok;
}

static void fill(u8 *p, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (u8)(seed * 31 + i * 7);
}

/* The next channel data on our socket; an answer to what was said twice on a slow machine may come before it. */
static ssize_t recv_data(struct turn_drive *t, u8 *buf, size_t cap)
{
	struct endpoint from;
	ssize_t n;

	while ((n = drive_recv(t->fd, buf, cap, &from, 10000)) > 0 && (buf[0] & 0xc0) == 0) {
		(void)allocation_input(t->a, sys_now(), &t->local, &from, SPAN(buf, n));
		drive_flush(t);
	}
	return n;
}

/* Client to peer and back, each datagram checked byte by byte. */
static bool exchange(struct turn_drive *t, int peer_fd, u16 number)
{
	const struct endpoint *relayed = allocation_relayed(t->a, t->local.ip.family);

	for (unsigned i = 0; i < DATAGRAMS; i++) {
		u8 out[CHANNEL_HEADER + 1400], in[2048];
		size_t n = i * 7 % 1313;
		struct endpoint from;
		struct span payload;
		u16 got;
		fill(out + CHANNEL_HEADER, n, i);
		channel_header(out, number, (u16)n);
		drive_send(t->fd, allocation_active(t->a), SPAN(out, CHANNEL_HEADER + n));
		allocation_note_sent(t->a, sys_now());
		ssize_t m = drive_recv(peer_fd, in, sizeof(in), &from, 10000);
		if (m != (ssize_t)n || !endpoint_eq(&from, relayed) || memcmp(in, out + CHANNEL_HEADER, n) != 0) {
			printf("  datagram %u of %zu bytes did not reach the peer whole (%zd)\n", i, n, m);
			return false;
		}
		fill(in, n, i + 1000);
		drive_send(peer_fd, &from, SPAN(in, n));
		m = recv_data(t, out, sizeof(out));
		if (m < 0 || channel_parse(SPAN(out, m), &got, &payload) != 0 || got != number || payload.n != n ||
		    memcmp(payload.p, in, n) != 0) {
			printf("  datagram %u of %zu bytes did not come back whole (%zd)\n", i, n, m);
			return false;
		}
	}
	return true;
}

/* A refresh that was answered leaves the allocation alive with nothing in flight. */
static bool refresh(struct turn_drive *t)
{
	u64 before = allocation_stats(t->a)->rx_responses - allocation_stats(t->a)->rx_errors;

	allocation_refresh(t->a, sys_now());
	drive_flush(t);
	for (u64 end = sys_now() + SEC(9); sys_now() < end && !t->is_freed;) {
		if (allocation_stats(t->a)->rx_responses - allocation_stats(t->a)->rx_errors > before)
			return allocation_relayed(t->a, t->local.ip.family) != NULL;
		drive_step(t, 20);
	}
	return false;
}

int main(int argc, char **argv)
{
	if (argc != 7) {
		fputs("turn_client PREFIX RELAY USER PASSWORD rfc|firezone STALE_SECONDS\n", stderr);
		return 2;
	}
	struct turn_drive t;
	struct endpoint peer, mapped = { 0 };
	struct allocation_event c[6];
	bool is_rfc = strcmp(argv[5], "rfc") == 0;
	u8 family;

	prefix = argv[1];
	drive_open(&t, argv[2], argv[3], argv[4], is_rfc);
	family = t.local.ip.family;
	if (!verdict("allocates", drive_allocate(&t, family)))
		return 1;
	for (size_t i = 0, n = allocation_candidates(t.a, c); i < n; i++)
		if (c[i].kind == ALLOCATION_SRFLX)
			mapped = c[i].addr;
	verdict("learns_its_address", endpoint_eq(&mapped, &t.local));
	int peer_fd = drive_socket(&t.local.ip, &peer);
	u16 number = drive_bind(&t, &peer);
	verdict("binds_a_channel", number == CHANNEL_MIN);
	verdict("exchanges_data", number != 0 && exchange(&t, peer_fd, number));
	usleep((useconds_t)(strtoul(argv[6], NULL, 10) * 1000000));
	verdict("refreshes", refresh(&t));
	verdict("exchanges_data_after_refresh", exchange(&t, peer_fd, number));

	/* a new client on the same socket: the server still has the old allocation (437) */
	struct allocation_config cfg = { .username = argv[3], .password = argv[4], .is_rfc_mode = is_rfc, .rng = sys_rng() };
	*(family == 4 ? &cfg.v4 : &cfg.v6) = drive_endpoint(argv[2]);
	allocation_free(t.a);
	t.a = allocation_new(&cfg, sys_now());
	drive_flush(&t);
	verdict("replaces_its_forgotten_allocation", drive_allocate(&t, family));
	number = drive_bind(&t, &peer);
	verdict("exchanges_data_once_more", number != 0 && exchange(&t, peer_fd, number));
	drive_close(&t);

	drive_open(&t, argv[2], argv[3], "wrong", is_rfc);
	verdict("gets_nothing_with_a_wrong_password", !drive_allocate(&t, family));
	drive_close(&t);
	return failed;
}
