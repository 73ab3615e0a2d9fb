/* HTTPS: one kept connection per resolver (core/dns/doh.h); its host's address comes from the bootstrap servers. */
#include "applets/common/dns_sockets_int.h"

#include "core/dns/doh.h"
#include "platform/resolver.h"
#include "platform/tcp.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG_TARGET "dns"
#include "core/base/log.h"

#define READS_PER_EVENT 4u

/* Where the way to the resolver stands; queries wait in `doh` from the first moment.
 *
 *   [lookup] ── addresses, or those of last time ──▶ [race] ── TCP ──▶ [open]        any ── doh is closed or failed ──▶ freed
 */
enum phase { PHASE_LOOKUP, PHASE_RACE, PHASE_OPEN };

struct https_conn {
	struct https_host *host;
	struct https_conn *next;
	struct doh *doh;
	enum phase phase;
	struct resolver *resolver;
	u64 lookup_id;
	struct tcp_race race;
	int fd;
	struct loop_fd *watch;
	struct loop_timer timer;
	struct loop_task task;
	bool was_open;
};

/* A resolver by its URL, its connections, and what the last attempts taught. */
struct https_host {
	struct dns_sockets *owner;
	struct https_host *next;
	char text[FORWARD_URL_MAX];
	struct doh_url url;
	struct https_conn *conns;
	u32 n_conns;
	struct ip addresses[RESOLVER_ADDRESSES_MAX];
	size_t n_addresses;
	u64 fresh_until; /* the addresses need no look-up */
	u64 pause, pause_until;
};

static void service(struct https_conn *c, u64 now);

/* ---- the way to the resolver ---- */

static void end_lookup(struct https_conn *c)
{
	if (c->resolver) {
		loop_fd_del(c->watch);
		c->watch = NULL;
		resolver_free(c->resolver);
		c->resolver = NULL;
	}
}

static void end_race(struct https_conn *c)
{
	loop_fd_del(c->watch);
	c->watch = NULL;
	tcp_race_end(&c->race);
}

/* Its doh is freed too: the last answers were taken. */
static void conn_free(struct https_conn *c)
{
	struct https_host *h = c->host;
	struct dns_sockets *s = h->owner;

	for (struct https_conn **at = &h->conns; *at; at = &(*at)->next) {
		if (*at == c) {
			*at = c->next;
			break;
		}
	}
	h->n_conns--;
	s->stats.https_connections--;
	loop_timer_clear(s->loop, &c->timer);
	loop_task_cancel(s->loop, &c->task);
	if (c->phase == PHASE_LOOKUP)
		end_lookup(c);
	else if (c->phase == PHASE_RACE)
		end_race(c);
	loop_fd_del(c->watch);
	if (c->fd >= 0)
		close(c->fd);
	doh_free(c->doh);
	free(c);
}

static void on_socket(void *ctx, int fd, unsigned events, u64 now);

static void poll_race(struct https_conn *c, u64 now)
{
	struct dns_sockets *s = c->host->owner;
	struct endpoint winner;
	int fd = tcp_race_poll(&c->race, &winner);

	if (fd == ERR_AGAIN)
		return;
	end_race(c);
	c->phase = PHASE_OPEN;
	if (fd < 0) {
		doh_fail(c->doh, now, fd, "no TCP connection");
		return;
	}
	c->fd = fd;
	c->watch = loop_fd_add(s->loop, fd, LOOP_READ | LOOP_WRITE, on_socket, c);
	if (!c->watch)
		doh_fail(c->doh, now, ERR_NOMEM, "out of memory");
}

static void on_race(void *ctx, int fd, unsigned events, u64 now)
{
	struct https_conn *c = ctx;
	struct dns_sockets *s = c->host->owner;

	(void)fd, (void)events;
	poll_race(c, now);
	service(c, now);
	dns_sockets_pump(s, now);
}

static void begin_race(struct https_conn *c, u64 now)
{
	struct https_host *h = c->host;
	struct dns_sockets *s = h->owner;
	struct endpoint dsts[RESOLVER_ADDRESSES_MAX];

	for (size_t i = 0; i < h->n_addresses; i++)
		dsts[i] = (struct endpoint){ h->addresses[i], h->url.port };
	int rc = tcp_race_start(&c->race, dsts, h->n_addresses, s->cfg.mark);
	if (rc) {
		c->phase = PHASE_OPEN;
		doh_fail(c->doh, now, rc, "no address to connect to");
		return;
	}
	c->phase = PHASE_RACE;
	c->watch = loop_fd_add(s->loop, tcp_race_fd(&c->race), LOOP_READ, on_race, c);
	poll_race(c, now);
}

static void poll_lookup(struct https_conn *c, u64 now)
{
	struct https_host *h = c->host;
	struct resolver_answer a;

	if (!resolver_poll(c->resolver, &a))
		return;
	if (a.count > 0) {
		h->n_addresses = MIN(a.count, ARRAY_LEN(h->addresses));
		memcpy(h->addresses, a.addresses, h->n_addresses * sizeof(struct ip));
		h->fresh_until = now + DNS_BOOTSTRAP_FRESH;
	} else {
		log_debug("the address of a resolver cannot be found", kv_s("host", h->url.host), kv_err(a.error),
			  kv_u("known", h->n_addresses));
	}
	end_lookup(c);
	begin_race(c, now);
}

static void on_lookup(void *ctx, int fd, unsigned events, u64 now)
{
	struct https_conn *c = ctx;
	struct dns_sockets *s = c->host->owner;

	(void)fd, (void)events;
	resolver_input(c->resolver, now);
	poll_lookup(c, now);
	service(c, now);
	dns_sockets_pump(s, now);
}

static void begin_lookup(struct https_conn *c, u64 now)
{
	struct https_host *h = c->host;
	struct dns_sockets *s = h->owner;
	struct resolver_config cfg = { .rng = s->cfg.rng, .mark = s->cfg.mark, .port = s->cfg.bootstrap_port };

	c->phase = PHASE_LOOKUP;
	c->resolver = resolver_new(&cfg);
	if (c->resolver && s->n_bootstrap > 0)
		resolver_set_servers(c->resolver, s->bootstrap, s->n_bootstrap);
	c->watch = c->resolver ? loop_fd_add(s->loop, resolver_fd(c->resolver), LOOP_READ, on_lookup, c) : NULL;
	if (!c->watch || resolver_start(c->resolver, now, h->url.host, c, &c->lookup_id)) {
		end_lookup(c);
		begin_race(c, now);
		return;
	}
	poll_lookup(c, now);
}

/* ---- what moves on a connection ---- */

static void take_answers(struct https_conn *c, u64 now)
{
	struct dns_sockets *s = c->host->owner;
	struct doh_answer a;

	while (doh_poll_answer(c->doh, &a)) {
		struct flight *fl = flight_find(s, a.id);
		if (!fl || fl->carrier != c)
			continue;
		flight_free(s, fl);
		if (a.error == 0) {
			s->stats.https_received++;
			(void)forwarder_response(s->f, now, a.id, NULL, a.message);
			continue;
		}
		bool is_worth_again = c->was_open && (a.error == ERR_CLOSED || a.error == ERR_TIMEOUT);
		forwarder_failed(s->f, now, a.id, is_worth_again ? ERR_AGAIN : a.error);
	}
}

/* 0, ERR_AGAIN: the socket takes no more. */
static void write_out(struct https_conn *c, u64 now, bool *is_blocked)
{
	struct span out;

	*is_blocked = false;
	while (c->fd >= 0 && (out = doh_output(c->doh)).n > 0) {
		int n = tcp_write(c->fd, out.p, out.n);
		if (n == ERR_AGAIN) {
			*is_blocked = true;
			return;
		}
		if (n < 0) {
			doh_fail(c->doh, now, n, "the connection broke");
			return;
		}
		doh_output_done(c->doh, (size_t)n);
	}
}

static bool is_over(const struct https_conn *c)
{
	enum doh_state st = doh_state(c->doh);
	return st == DOH_CLOSED || st == DOH_FAILED;
}

static void learn_from_end(struct https_conn *c, u64 now)
{
	struct https_host *h = c->host;
	struct dns_sockets *s = h->owner;

	if (doh_state(c->doh) != DOH_FAILED)
		return;
	log_debug("a connection to a resolver over HTTPS failed", kv_s("resolver", h->text), kv_err(doh_error(c->doh)),
		  kv_s("reason", doh_reason(c->doh)));
	s->stats.https_failed++;
	if (c->was_open)
		return; /* it had worked: the next one may be tried at once */
	h->fresh_until = 0;
	h->pause = h->pause == 0 ? DNS_HTTPS_PAUSE : MIN(2 * h->pause, DNS_HTTPS_PAUSE_MAX);
	h->pause_until = now + h->pause;
}

/* Output, answers, timer, end: after whatever happened to it. The connection may be gone afterwards. */
static void service(struct https_conn *c, u64 now)
{
	struct https_host *h = c->host;
	struct dns_sockets *s = h->owner;
	enum doh_state st = doh_state(c->doh);
	bool is_blocked;

	if (st == DOH_OPEN_H1 || st == DOH_OPEN_H2) {
		c->was_open = true;
		h->pause = h->pause_until = 0;
	}
	write_out(c, now, &is_blocked);
	take_answers(c, now);
	if (is_over(c)) {
		learn_from_end(c, now);
		conn_free(c);
		return;
	}
	if (c->phase == PHASE_OPEN && c->watch)
		loop_fd_set(c->watch, LOOP_READ | (is_blocked ? LOOP_WRITE : 0));
	u64 due = doh_next_timeout(c->doh);
	if (c->phase == PHASE_LOOKUP)
		due = time_min(due, resolver_next_timeout(c->resolver));
	loop_timer_set(s->loop, &c->timer, due);
}

static void read_in(struct https_conn *c, u64 now)
{
	struct dns_sockets *s = c->host->owner;

	for (u32 i = 0; i < READS_PER_EVENT && !is_over(c); i++) {
		int n = tcp_read(c->fd, s->read_buffer, DNS_READ_BYTES);
		if (n == ERR_AGAIN)
			break;
		if (n == ERR_CLOSED)
			doh_input_eof(c->doh, now);
		else if (n < 0)
			doh_fail(c->doh, now, n, "the connection broke");
		else
			doh_input(c->doh, now, SPAN(s->read_buffer, (size_t)n));
		if (n < 0)
			break;
		take_answers(c, now);
	}
}

static void on_socket(void *ctx, int fd, unsigned events, u64 now)
{
	struct https_conn *c = ctx;
	struct dns_sockets *s = c->host->owner;

	(void)fd;
	if (events & LOOP_READ)
		read_in(c, now);
	service(c, now);
	dns_sockets_pump(s, now);
}

static void on_timeout(void *ctx, u64 now)
{
	struct https_conn *c = ctx;
	struct dns_sockets *s = c->host->owner;

	if (c->phase == PHASE_LOOKUP && now >= resolver_next_timeout(c->resolver)) {
		resolver_timeout(c->resolver, now);
		poll_lookup(c, now);
	}
	if (c->fd >= 0)
		read_in(c, now); /* who was kept from running may find the answer to a ping here */
	doh_timeout(c->doh, now);
	service(c, now);
	dns_sockets_pump(s, now);
}

static void on_task(void *ctx, u64 now)
{
	struct https_conn *c = ctx;
	struct dns_sockets *s = c->host->owner;
	service(c, now);
	dns_sockets_pump(s, now);
}

/* ---- choosing and making one ---- */

static struct https_host *host_find(struct dns_sockets *s, const char *text)
{
	for (struct https_host *h = s->https; h; h = h->next)
		if (strcmp(h->text, text) == 0)
			return h;
	struct https_host *h = s->n_https_hosts < DNS_SERVERS_MAX ? calloc(1, sizeof(*h)) : NULL;
	if (!h)
		return NULL;
	h->owner = s;
	if (strlen(text) >= sizeof(h->text) || doh_url_parse(SPAN(text, strlen(text)), &h->url)) {
		free(h);
		return NULL;
	}
	strcpy(h->text, text);
	h->next = s->https;
	s->https = h;
	s->n_https_hosts++;
	return h;
}

static struct https_conn *conn_open(struct https_host *h, u64 now, int *error)
{
	struct dns_sockets *s = h->owner;
	struct doh_config cfg = { s->cfg.anchors, &h->url, loop_wall(s->loop) / NSEC_PER_SEC, s->cfg.rng };
	struct https_conn *c = calloc(1, sizeof(*c));

	*error = c ? doh_new(&cfg, now, &c->doh) : ERR_NOMEM;
	if (*error) {
		free(c);
		return NULL;
	}
	c->host = h;
	c->fd = -1;
	c->timer = (struct loop_timer){ .cb = on_timeout, .ctx = c };
	c->task = (struct loop_task){ .cb = on_task, .ctx = c };
	c->next = h->conns;
	h->conns = c;
	h->n_conns++;
	s->stats.https_connections++;
	s->stats.https_opened++;
	if (h->url.literal.family != 0) {
		h->addresses[0] = h->url.literal;
		h->n_addresses = 1;
		begin_race(c, now);
	} else if (now < h->fresh_until) {
		begin_race(c, now);
	} else {
		begin_lookup(c, now);
	}
	loop_task_queue(s->loop, &c->task); /* what failed at once is told soon */
	return c;
}

static struct https_conn *conn_choose(struct https_host *h, u64 now, int *error)
{
	if (!h->owner->cfg.anchors) {
		*error = ERR_UNSUPPORTED;
		return NULL;
	}
	for (struct https_conn *c = h->conns; c; c = c->next)
		if (doh_is_willing(c->doh))
			return c;
	if (now < h->pause_until) {
		*error = ERR_CLOSED;
		return NULL;
	}
	if (h->n_conns >= DNS_HTTPS_CONNECTIONS) {
		*error = ERR_LIMIT;
		return NULL;
	}
	return conn_open(h, now, error);
}

void path_https_start(struct dns_sockets *s, u64 now, const struct dns_exchange *e)
{
	struct https_host *h = host_find(s, e->server->url);
	int error = ERR_INVAL;
	struct https_conn *c = h ? conn_choose(h, now, &error) : NULL;

	if (!c) {
		s->stats.over_limit += error == ERR_LIMIT;
		forwarder_failed(s->f, now, e->id, error);
		return;
	}
	if (!flight_new(s, e->id, DNS_OVER_HTTPS, c)) {
		exchange_over_limit(s, e->id, now);
		return;
	}
	int rc = doh_ask(c->doh, now, e->id, e->message);
	if (rc) {
		s->stats.over_limit += rc == ERR_LIMIT;
		flight_failed(s, flight_find(s, e->id), now, rc);
		return;
	}
	s->stats.https_sent++;
	loop_task_queue(s->loop, &c->task); /* what one turn brings goes out together */
}

void path_https_cancel(struct flight *fl, u64 now)
{
	struct https_conn *c = fl->carrier;
	doh_cancel(c->doh, now, fl->id);
	loop_task_queue(c->host->owner->loop, &c->task);
}

void path_https_prepare(struct dns_sockets *s, u64 now, const char *url)
{
	struct https_host *h = host_find(s, url);
	int error;
	if (h)
		(void)conn_choose(h, now, &error);
}

void path_https_prune(struct dns_sockets *s, u64 now)
{
	for (struct https_host **at = &s->https; *at;) {
		struct https_host *h = *at;
		bool is_wanted = forwarder_has_url(s->f, h->text);
		for (struct https_conn *c = h->conns; c && !is_wanted; c = c->next) {
			doh_close(c->doh, now);
			loop_task_queue(s->loop, &c->task);
		}
		if (is_wanted || h->conns) {
			at = &h->next;
			continue;
		}
		*at = h->next;
		s->n_https_hosts--;
		free(h);
	}
}

void path_https_drop_all(struct dns_sockets *s)
{
	while (s->https) {
		struct https_host *h = s->https;
		while (h->conns)
			conn_free(h->conns);
		s->https = h->next;
		free(h);
	}
	s->n_https_hosts = 0;
}
