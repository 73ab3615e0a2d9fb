/* Forwarder, carrier and look-ups (core/dns/forward.h, applets/common/dns_sockets.h, core/dns/lookup.h) against real servers, for scripts.
 *
 *	forward_driver [-u] [-c CA.pem] SERVER[,SERVER...] STEP...
 *	                      SERVER: udp:127.0.0.1:53, tcp:127.0.0.1:53, https://127.0.0.1:443/dns-query; in this order, with -u the quickest first
 *
 *	ask NAME TYPE COUNT   COUNT queries, `%` in NAME is their number, at most WINDOW in flight
 *	askt NAME TYPE COUNT  the same as if they had come by TCP
 *	window N              100 unless told
 *	wait                  until all are answered: `answered A servfail S, records R, longest L`
 *	lookup NAME           prints `NAME: ADDRESS ADDRESS …`
 *	sleep MS              serves meanwhile
 *	stats                 what forwarder and carrier counted
 *	cpu                   `COUNT queries, Q per second, C per CPU second` since the last of it
 *
 * Ends with status 1 when an answer does not belong to its question or nothing happens for 20 s.
 */
#include "applets/common/ca.h"
#include "applets/common/dns_sockets.h"
#include "core/dns/lookup.h"
#include "core/http/tls.h"
#include "platform/sys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUERIES_MAX 2000000u
#define PATIENCE SEC(20)
#define GROUP 1u

static struct loop *loop;
static struct forwarder *forwarder;
static struct dns_sockets *sockets;
static struct lookup *lookup;
static struct dns_question asked[4096]; /* the last ones */
static u32 n_asked, n_answered, n_servfail, n_records, n_bad, window = 100;
static size_t longest;
static u64 heard_at, mark_time, mark_cpu;
static u32 mark_count;
static bool has_result;

static void on_answer(void *ctx, const struct dns_answer *a, u64 now)
{
	struct dns_response r;
	(void)ctx;

	heard_at = now;
	if (lookup_owns(a->token)) {
		lookup_answer(lookup, now, a);
		return;
	}
	n_answered++;
	longest = MAX(longest, a->message.n);
	if (dns_response_parse(a->message, &r) || !dns_response_matches(&r, &asked[a->token % 4096]) || r.id != (u16)(a->token + 7)) {
		n_bad++;
		printf("bad answer to query %u\n", (u32)a->token);
		return;
	}
	n_servfail += r.rcode == DNS_SERVFAIL;
	n_records += r.n_answers;
}

static void turn(u64 until)
{
	u64 now = sys_now();
	struct lookup_result r;

	loop_turn(loop, MIN(until, now + MSEC(20)));
	lookup_timeout(lookup, sys_now());
	while (lookup_poll(lookup, &r)) {
		char text[IP_STRLEN];
		has_result = true;
		for (u32 i = 0; i < r.n4 + r.n6; i++)
			printf(" %s", ip_format(&r.ips[i], text));
		printf("%s\n", r.error ? " timeout" : r.is_failure ? " failure" : "");
	}
}

static void give_up(const char *what)
{
	printf("nothing happens: %s\n", what);
	exit(1);
}

static void wait_until_open(u32 most)
{
	heard_at = sys_now();
	while (n_asked - n_answered > most) {
		turn(TIME_NEVER);
		if (time_since(sys_now(), heard_at) > PATIENCE)
			give_up("waiting for answers");
	}
}

static void ask(const char *name, u16 type, u32 count, bool by_tcp)
{
	for (u32 i = 0; i < count; i++) {
		struct dns_question *q = &asked[n_asked % 4096];
		const char *percent = strchr(name, '%');
		struct dns_query parsed;
		char text[300];
		u8 buf[512];
		struct wr w = wr_init(buf, sizeof(buf));

		if (percent)
			snprintf(text, sizeof(text), "%.*s%u%s", (int)(percent - name), name, n_asked, percent + 1);
		else
			snprintf(text, sizeof(text), "%s", name);
		wait_until_open(window - 1);
		*q = (struct dns_question){ .type = type, .class = DNS_CLASS_IN };
		if (dns_name_from_text(text, &q->name))
			exit(2);
		dns_query_write(&w, (u16)(n_asked + 7), q, DNS_EDNS_UDP);
		if (dns_query_parse(wr_span(&w), &parsed) ||
		    forwarder_ask(forwarder, loop_now(loop), GROUP, wr_span(&w), &parsed, by_tcp, n_asked))
			exit(2);
		n_asked++;
		dns_sockets_kick(sockets);
	}
}

static void look_up(const char *name)
{
	printf("%s:", name);
	has_result = false;
	if (lookup_start(lookup, loop_now(loop), name, 1))
		exit(2);
	dns_sockets_kick(sockets);
	heard_at = sys_now();
	while (!has_result) {
		turn(TIME_NEVER);
		if (time_since(sys_now(), heard_at) > PATIENCE)
			give_up("look-up");
	}
}

static u64 cpu_used(void)
{
	struct sys_usage u;
	return sys_usage(&u) ? 0 : u.cpu_user_ns + u.cpu_system_ns;
}

static void show_cpu(void)
{
	u64 now = sys_now(), cpu = cpu_used(), count = n_answered - mark_count;
	if (mark_time != 0 && count > 0)
		printf("%u queries, %u per second, %u per CPU second\n", (u32)count, (u32)(count * NSEC_PER_SEC / (now - mark_time)),
		       (u32)(count * NSEC_PER_SEC / MAX(cpu - mark_cpu, (u64)1)));
	mark_time = now;
	mark_cpu = cpu;
	mark_count = n_answered;
}

static void show_stats(void)
{
	const struct forward_stats *f = forwarder_stats(forwarder);
	const struct dns_sockets_stats *s = dns_sockets_stats(sockets);
	printf("exchanges %llu raced %llu repeated %llu next_server %llu retried_tcp %llu again %llu wrong %llu\n", (unsigned long long)f->exchanges,
	       (unsigned long long)f->raced, (unsigned long long)f->repeated, (unsigned long long)f->next_server,
	       (unsigned long long)f->retried_tcp, (unsigned long long)f->again,
	       (unsigned long long)(f->wrong_id + f->wrong_question + f->wrong_sender + f->malformed));
	printf("udp sent %llu in %llu calls over %llu sockets, tcp sent %llu over %llu connections, https sent %llu over %llu connections\n",
	       (unsigned long long)s->udp_sent, (unsigned long long)s->udp_sends, (unsigned long long)s->udp_opened,
	       (unsigned long long)s->tcp_sent, (unsigned long long)s->tcp_opened, (unsigned long long)s->https_sent,
	       (unsigned long long)s->https_opened);
}

static bool parse_server(const char *text, size_t n, struct dns_server *out)
{
	*out = (struct dns_server){ 0 };
	if (n > 8 && memcmp(text, "https://", 8) == 0 && n < sizeof(out->url)) {
		out->transport = DNS_OVER_HTTPS;
		memcpy(out->url, text, n);
		return true;
	}
	if (n < 5 || (memcmp(text, "udp:", 4) != 0 && memcmp(text, "tcp:", 4) != 0))
		return false;
	out->transport = text[0] == 't' ? DNS_OVER_TCP : DNS_OVER_UDP;
	return endpoint_parse(SPAN(text + 4, n - 4), &out->addr) == 0;
}

static void set_up(const char *list, bool is_ordered, const struct tls_anchors *anchors)
{
	struct loop_clock clock = { sys_clock_now, sys_clock_wall, NULL };
	struct dns_server servers[FORWARD_SERVERS_MAX];
	struct forward_group g = { servers, 0, is_ordered, 0 };
	struct dns_sockets_config cfg = { .rng = sys_rng(), .anchors = anchors, .on_answer = on_answer };

	for (size_t n; *list; list += n + (list[n] == ',')) {
		n = strcspn(list, ",");
		if (g.n == FORWARD_SERVERS_MAX || !parse_server(list, n, &servers[g.n++]))
			exit(2);
	}
	loop = loop_new(&clock);
	forwarder = forwarder_new(sys_rng(), 4000);
	sockets = dns_sockets_new(loop, forwarder, &cfg);
	lookup = lookup_new(forwarder, GROUP, sys_rng());
	if (!lookup || !sockets || forwarder_set_group(forwarder, sys_now(), GROUP, &g))
		exit(2);
}

int main(int argc, char **argv)
{
	struct tls_anchors *anchors = NULL;
	bool is_ordered = true;
	char why[200];
	int i = 1;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "-u") == 0)
			is_ordered = false;
		else if (strcmp(argv[i], "-c") != 0 || ++i == argc || ca_load(argv[i], &anchors, why, sizeof(why)))
			return 2;
	}
	if (i >= argc)
		return 2;
	set_up(argv[i++], is_ordered, anchors);
	for (; i < argc; i++) {
		const char *step = argv[i];
		if (strncmp(step, "ask", 3) == 0 && i + 3 < argc) {
			ask(argv[i + 1], (u16)atoi(argv[i + 2]), MIN((u32)atoi(argv[i + 3]), QUERIES_MAX), step[3] == 't');
			i += 3;
		} else if (strcmp(step, "window") == 0 && i + 1 < argc) {
			window = (u32)MAX(atoi(argv[++i]), 1);
		} else if (strcmp(step, "wait") == 0) {
			wait_until_open(0);
			printf("answered %u servfail %u, records %u, longest %zu\n", n_answered, n_servfail, n_records, longest);
		} else if (strcmp(step, "lookup") == 0 && i + 1 < argc) {
			look_up(argv[++i]);
		} else if (strcmp(step, "sleep") == 0 && i + 1 < argc) {
			u64 until = sys_now() + MSEC(atoi(argv[++i]));
			while (sys_now() < until)
				turn(until);
		} else if (strcmp(step, "stats") == 0) {
			show_stats();
		} else if (strcmp(step, "cpu") == 0) {
			show_cpu();
		} else {
			return 2;
		}
	}
	lookup_free(lookup);
	dns_sockets_free(sockets);
	forwarder_free(forwarder);
	loop_free(loop);
	tls_anchors_free(anchors);
	return n_bad > 0;
}
