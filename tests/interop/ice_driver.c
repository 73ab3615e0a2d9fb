/* tests/interop/ice_driver.c: the ICE agent behind one UDP socket, for tests against others.
 *
 *	ice_driver controlling|controlled ADDRESS:PORT UFRAG PASSWORD PEER_UFRAG PEER_PASSWORD
 *
 * Prints `candidate TEXT`, `selected LOCAL REMOTE` at each nomination and `state N` when it changes. Reads from standard input:
 *
 *	remote TEXT     a candidate of the peer
 *	rebind          go on from another port, without telling the peer: a NAT that changed its mind
 *	stats           print `stats NAME=VALUE ...`
 *	quit
 *
 * Whatever arrives and is no STUN is echoed over the selected pair, with "echo " in front.
 */
#include "core/ice/agent.h"
#include "tests/interop/turn_drive.h"

struct driver {
	int fd;
	struct endpoint bound;
	struct ice_agent *agent;
	struct ice_path path;
	bool has_path;
	enum ice_state state;
};

static void print_news(struct driver *d)
{
	struct ice_path path;
	char local[ENDPOINT_STRLEN], remote[ENDPOINT_STRLEN];

	if (ice_selected(d->agent, &path) &&
	    (!d->has_path || !endpoint_eq(&path.local, &d->path.local) || !endpoint_eq(&path.remote, &d->path.remote))) {
		d->path = path;
		d->has_path = true;
		printf("selected %s %s\n", endpoint_format(&path.local, local), endpoint_format(&path.remote, remote));
	}
	if (ice_state(d->agent) != d->state) {
		d->state = ice_state(d->agent);
		printf("state %d\n", (int)d->state);
	}
	fflush(stdout);
}

static void send_all(struct driver *d)
{
	struct ice_transmit t;

	while (ice_poll_transmit(d->agent, &t))
		drive_send(d->fd, &t.remote, SPAN(t.data, t.len));
}

static void receive(struct driver *d)
{
	u8 buf[2048];
	union sockaddr_any sa;
	socklen_t len = sizeof(sa);
	struct endpoint from;
	struct ice_msg m;

	memcpy(buf, "echo ", 5);
	ssize_t n = recvfrom(d->fd, buf + 5, sizeof(buf) - 5, 0, &sa.sa, &len);
	if (n < 0 || !sockaddr_to(&sa, &from))
		return;
	int rc = ice_msg_parse(SPAN(buf + 5, n), &m);
	if (rc == 0)
		rc = ice_input(d->agent, sys_now(), &d->bound, &from, &m);
	else if (rc == ERR_NOT_OURS && d->has_path)
		drive_send(d->fd, &d->path.remote, SPAN(buf, n + 5));
}

static void rebind(struct driver *d)
{
	struct endpoint ignored;

	close(d->fd);
	d->fd = drive_socket(&d->bound.ip, &ignored);
}

static bool command(struct driver *d)
{
	char line[512];
	struct candidate_text t;

	if (!fgets(line, sizeof(line), stdin) || strncmp(line, "quit", 4) == 0)
		return false;
	size_t n = strcspn(line, "\n");
	if (strncmp(line, "remote ", 7) == 0) {
		int rc = candidate_parse(SPAN(line + 7, n - 7), &t);
		if (rc == 0 && ice_wants(d->agent, &t))
			rc = ice_add_remote(d->agent, sys_now(), &t.c);
		if (rc != 0)
			printf("refused %s\n", err_str(rc));
	} else if (strncmp(line, "rebind", 6) == 0) {
		rebind(d);
	} else if (strncmp(line, "stats", 5) == 0) {
		struct ice_stats s = ice_stats(d->agent);
		printf("stats checks_sent=%u answers_sent=%u checks_received=%u successes=%u rejected=%u nominations=%u\n", s.checks_sent,
		       s.answers_sent, s.checks_received, s.successes, s.rejected, s.nominations);
	}
	return true;
}

static struct ice_credentials credentials(const char *ufrag, const char *pwd)
{
	struct ice_credentials c = { { 0 }, { 0 } };

	snprintf(c.ufrag, sizeof(c.ufrag), "%s", ufrag);
	snprintf(c.pwd, sizeof(c.pwd), "%s", pwd);
	return c;
}

int main(int argc, char **argv)
{
	struct driver d = { .fd = -1 };
	char text[CANDIDATE_STRLEN];

	if (argc != 7) {
		fprintf(stderr, "usage: ice_driver controlling|controlled ADDRESS:PORT UFRAG PASSWORD PEER_UFRAG PEER_PASSWORD\n");
		return 2;
	}
	struct endpoint wanted = drive_endpoint(argv[2]);
	d.fd = drive_socket(&wanted.ip, &d.bound);
	d.agent = ice_new(&(struct ice_config){ .is_controlling = strcmp(argv[1], "controlling") == 0,
						.local = credentials(argv[3], argv[4]),
						.remote = credentials(argv[5], argv[6]),
						.txid_prefix = 1,
						.timing = &ice_timing_client,
						.rng = sys_rng() },
			  sys_now());
	struct candidate c = candidate_host(&d.bound);
	if (!d.agent || ice_add_local(d.agent, sys_now(), &c) != 0)
		return 1;
	printf("candidate %s\n", candidate_format(&c, argv[3], text));
	fflush(stdout);
	for (bool is_going = true; is_going;) {
		u64 now = sys_now(), next = ice_next_timeout(d.agent);
		u64 ms = next <= now ? 0 : (next - now + MSEC(1) - 1) / MSEC(1);
		struct pollfd fds[] = { { .fd = d.fd, .events = POLLIN }, { .fd = 0, .events = POLLIN } };
		if (poll(fds, 2, (int)MIN(ms, (u64)1000)) < 0)
			break;
		if (fds[0].revents)
			receive(&d);
		if (fds[1].revents)
			is_going = command(&d);
		if (ice_next_timeout(d.agent) <= sys_now())
			ice_timeout(d.agent, sys_now());
		send_all(&d);
		print_news(&d);
	}
	ice_free(d.agent);
	close(d.fd);
	return 0;
}
