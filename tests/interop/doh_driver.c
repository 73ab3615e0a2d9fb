/* Our DoH client (core/dns/doh.h) against real resolvers, for scripts.
 *
 *	doh_driver URL CA.pem STEP...        the URL's host is an address literal
 *
 *	ask NAME TYPE COUNT   COUNT queries, `%` in NAME is their number; makes a connection when there is none that takes queries
 *	wait                  until all are reported: `answered A failed F, records R`
 *	sleep MS              goes on serving the connection meanwhile
 *	goaway                until the connection takes no more queries
 *	close                 until the connection has ended
 *
 * Prints what happens, a line each: `open h2`, `open http/1.1`, `closing`, `closed`, `failed REASON`, `bad …` for an answer that does not
 * belong to its question, and `lost: …` why queries failed. Ends with status 1 when something is bad or nothing happens for 20 s.
 */
#include "applets/common/ca.h"
#include "core/dns/doh.h"
#include "core/dns/message.h"
#include "platform/sys.h"
#include "platform/tcp.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define QUERIES_MAX 100000u
#define PATIENCE SEC(20)

static struct tls_anchors *anchors;
static struct doh_url url;
static struct doh *doh;
static int fd = -1;
static bool is_connected;
static enum doh_state shown;

static struct dns_question asked[QUERIES_MAX];
static u32 n_asked, n_answered, n_failed, n_records, n_bad;
static int last_error;
static u16 last_status;
static u64 heard_at;

static void show_state(void)
{
	static const char *const names[] = { "connecting", "open h2", "open http/1.1", "closing", "closed", "failed" };

	if (!doh || doh_state(doh) == shown)
		return;
	shown = doh_state(doh);
	printf("%s %s\n", names[shown], shown == DOH_FAILED ? doh_reason(doh) : "");
	fflush(stdout);
}

static void judge(const struct doh_answer *a)
{
	struct dns_response r;

	heard_at = sys_now();
	if (a->error) {
		n_failed++;
		last_error = a->error;
		last_status = a->status;
		return;
	}
	n_answered++;
	if (dns_response_parse(a->message, &r) || !dns_response_matches(&r, &asked[a->id]) || r.id != 0 || r.rcode != 0) {
		n_bad++;
		printf("bad answer to query %u\n", a->id);
		return;
	}
	n_records += r.n_answers;
}

static void poll_answers(void)
{
	struct doh_answer a;

	while (doh && doh_poll_answer(doh, &a))
		judge(&a);
	show_state();
}

static void drop(void)
{
	poll_answers();
	if (fd >= 0)
		close(fd);
	fd = -1;
	doh_free(doh);
	doh = NULL;
}

static void connect_now(void)
{
	struct doh_config cfg = { anchors, &url, sys_wall() / NSEC_PER_SEC, sys_rng() };
	struct endpoint to = { url.literal, url.port };

	drop();
	shown = DOH_CONNECTING;
	is_connected = false;
	if (doh_new(&cfg, sys_now(), &doh))
		exit(1);
	fd = tcp_connect_start(&to, 0);
	if (fd < 0)
		doh_fail(doh, sys_now(), fd, "cannot connect");
}

static void write_out(void)
{
	struct span s;
	int n = 1;

	while (n > 0 && (s = doh_output(doh)).n > 0) {
		n = tcp_write(fd, s.p, s.n);
		if (n > 0)
			doh_output_done(doh, (size_t)n);
		else if (n != ERR_AGAIN)
			doh_fail(doh, sys_now(), n, "cannot write");
	}
}

static void read_in(void)
{
	static u8 buf[65536];
	int n = tcp_read(fd, buf, sizeof(buf));

	if (n > 0)
		doh_input(doh, sys_now(), SPAN(buf, (size_t)n));
	else if (n == ERR_CLOSED)
		doh_input_eof(doh, sys_now());
	else if (n != ERR_AGAIN)
		doh_fail(doh, sys_now(), n, "cannot read");
}

static void serve_connection(short events)
{
	if (!is_connected && events & (POLLOUT | POLLERR | POLLHUP)) {
		int rc = tcp_connect_finish(fd);
		is_connected = rc == 0;
		if (rc && rc != ERR_AGAIN)
			doh_fail(doh, sys_now(), rc, "cannot connect");
	} else if (is_connected && events & (POLLIN | POLLHUP | POLLERR)) {
		read_in();
	}
}

/* One wait and what it brought. */
static void turn(u64 until)
{
	struct pollfd p = { .fd = fd };
	u64 now = sys_now(), due = until;

	if (doh) {
		if (is_connected)
			write_out();
		due = time_min(due, doh_next_timeout(doh));
		p.events = (short)(POLLIN | (!is_connected || doh_output(doh).n ? POLLOUT : 0));
	}
	if (poll(&p, 1, (int)(time_since(due, now) / 1000000u) + 1) > 0 && doh)
		serve_connection(p.revents);
	if (doh) {
		doh_timeout(doh, sys_now());
		if (is_connected)
			write_out();
		poll_answers();
		if (doh_state(doh) == DOH_CLOSED || doh_state(doh) == DOH_FAILED)
			drop();
	}
}

static void ask(const char *name, unsigned type, u32 count)
{
	for (u32 i = 0; i < count && n_asked < QUERIES_MAX; i++) {
		struct dns_question *q = &asked[n_asked];
		const char *percent = strchr(name, '%');
		char text[300];
		u8 buf[512];
		struct wr w = wr_init(buf, sizeof(buf));

		if (percent)
			snprintf(text, sizeof(text), "%.*s%u%s", (int)(percent - name), name, n_asked, percent + 1);
		else
			snprintf(text, sizeof(text), "%s", name);
		q->type = (u16)type;
		q->class = DNS_CLASS_IN;
		if (dns_name_from_text(text, &q->name))
			exit(2);
		dns_query_write(&w, (u16)(n_asked + 1), q, 0);
		while (doh && !doh_is_willing(doh))
			turn(sys_now() + SEC(1)); /* full, or ending: what it owes comes first */
		if (!doh)
			connect_now();
		if (doh_ask(doh, sys_now(), n_asked, wr_span(&w)) == 0)
			n_asked++;
		else
			printf("bad ask\n"), n_bad++;
	}
}

static void wait_goaway(void)
{
	u64 began = sys_now();

	while (doh && doh_is_willing(doh)) {
		turn(sys_now() + SEC(1));
		if (time_since(sys_now(), began) > PATIENCE) {
			printf("bad patience: it takes queries still\n");
			exit(1);
		}
	}
}

static void wait_all(void)
{
	heard_at = sys_now();
	while (n_answered + n_failed < n_asked) {
		turn(sys_now() + SEC(1));
		if (time_since(sys_now(), heard_at) > PATIENCE) {
			printf("bad silence: %u of %u reported\n", n_answered + n_failed, n_asked);
			exit(1);
		}
	}
	printf("answered %u failed %u, records %u\n", n_answered, n_failed, n_records);
	if (n_failed)
		printf("lost: %s, status %u\n", err_str(last_error), last_status);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	char why[200];

	if (argc < 4 || doh_url_parse(SPAN(argv[1], strlen(argv[1])), &url) || url.literal.family == 0) {
		fprintf(stderr, "usage: doh_driver https://ADDRESS[:PORT]/PATH CA.pem STEP...\n");
		return 2;
	}
	if (ca_load(argv[2], &anchors, why, sizeof(why))) {
		fprintf(stderr, "%s\n", why);
		return 2;
	}
	for (int i = 3; i < argc; i++) {
		if (strcmp(argv[i], "ask") == 0 && i + 3 < argc) {
			ask(argv[i + 1], (unsigned)atoi(argv[i + 2]), (u32)atoi(argv[i + 3]));
			i += 3;
		} else if (strcmp(argv[i], "wait") == 0) {
			wait_all();
		} else if (strcmp(argv[i], "goaway") == 0) {
			wait_goaway();
		} else if (strcmp(argv[i], "sleep") == 0 && i + 1 < argc) {
			u64 until = sys_now() + MSEC(atoi(argv[++i]));
			while (sys_now() < until)
				turn(until);
		} else if (strcmp(argv[i], "close") == 0) {
			if (doh)
				doh_close(doh, sys_now());
			while (doh)
				turn(sys_now() + SEC(1));
		}
	}
	if (doh)
		printf("pings %u\n", (unsigned)doh_stats(doh)->pings);
	drop();
	tls_anchors_free(anchors);
	return n_bad > 0;
}
