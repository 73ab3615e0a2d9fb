/* TCP: kept connections with pipelined queries (core/dns/stream.h). */
#include "applets/common/dns_sockets_int.h"

#include "core/dns/stream.h"
#include "platform/tcp.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#define READS_PER_EVENT 4u

struct tcp_conn {
	struct dns_sockets *owner;
	struct tcp_path *path;
	struct tcp_conn *next;
	struct dns_tcp_client *client;
	int fd;
	struct loop_fd *watch;
	struct loop_timer timer;
	bool is_connected;
};

/* A server and its connections. */
struct tcp_path {
	struct tcp_path *next;
	struct endpoint server;
	struct tcp_conn *conns;
	u32 n_conns;
};

static_assert(DNS_READ_BYTES <= DNS_TCP_CHUNK_MAX, "one read is one input");

static void conn_free(struct tcp_conn *c)
{
	struct dns_sockets *s = c->owner;
	for (struct tcp_conn **at = &c->path->conns; *at; at = &(*at)->next) {
		if (*at == c) {
			*at = c->next;
			break;
		}
	}
	c->path->n_conns--;
	loop_timer_clear(s->loop, &c->timer);
	loop_fd_del(c->watch);
	if (c->fd >= 0)
		close(c->fd);
	dns_tcp_client_free(c->client);
	s->stats.tcp_connections--;
	free(c);
}

/* ---- what moves on a connection ---- */

static void take_answers(struct tcp_conn *c, u64 now)
{
	struct dns_sockets *s = c->owner;
	struct dns_tcp_answer a;

	while (dns_tcp_client_poll(c->client, &a)) {
		struct flight *fl = flight_find(s, a.id);
		if (!fl || fl->carrier != c)
			continue;
		flight_free(s, fl);
		if (a.error == 0) {
			s->stats.tcp_received++;
			(void)forwarder_response(s->f, now, a.id, NULL, a.message);
		} else {
			forwarder_failed(s->f, now, a.id, a.is_worth_again ? ERR_AGAIN : a.error);
		}
	}
}

static void write_out(struct tcp_conn *c)
{
	struct span out;
	while (c->is_connected && (out = dns_tcp_client_output(c->client)).n > 0) {
		int n = tcp_write(c->fd, out.p, out.n);
		if (n == ERR_AGAIN)
			break;
		if (n < 0) {
			dns_tcp_client_end(c->client, n);
			break;
		}
		dns_tcp_client_output_done(c->client, (size_t)n);
	}
}

/* Answers, output, timer, end: after whatever happened to it. The connection may be gone afterwards. */
static void service(struct tcp_conn *c, u64 now)
{
	struct dns_sockets *s = c->owner;
	int error;

	write_out(c);
	take_answers(c, now);
	if (dns_tcp_client_is_over(c->client, &error)) {
		s->stats.tcp_failed += error != 0 && error != ERR_CLOSED;
		conn_free(c);
		return;
	}
	bool wants_write = !c->is_connected || dns_tcp_client_output(c->client).n > 0;
	loop_fd_set(c->watch, LOOP_READ | (wants_write ? LOOP_WRITE : 0));
	loop_timer_set(s->loop, &c->timer, dns_tcp_client_next_timeout(c->client));
}

static void read_in(struct tcp_conn *c, u64 now)
{
	struct dns_sockets *s = c->owner;
	for (u32 i = 0; i < READS_PER_EVENT; i++) {
		int n = tcp_read(c->fd, s->read_buffer, DNS_READ_BYTES);
		if (n == ERR_AGAIN)
			return;
		if (n < 0) {
			dns_tcp_client_end(c->client, n);
			return;
		}
		dns_tcp_client_input(c->client, now, SPAN(s->read_buffer, (size_t)n));
		take_answers(c, now);
	}
}

static void on_event(void *ctx, int fd, unsigned events, u64 now)
{
	struct tcp_conn *c = ctx;
	struct dns_sockets *s = c->owner;

	if (!c->is_connected) {
		int rc = tcp_connect_finish(fd);
		if (rc == ERR_AGAIN)
			return;
		c->is_connected = rc == 0;
		if (rc)
			dns_tcp_client_end(c->client, rc);
	} else if (events & LOOP_READ) {
		read_in(c, now);
	}
	service(c, now);
	dns_sockets_pump(s, now);
}

static void on_timeout(void *ctx, u64 now)
{
	struct tcp_conn *c = ctx;
	struct dns_sockets *s = c->owner;

	dns_tcp_client_timeout(c->client, now);
	service(c, now);
	dns_sockets_pump(s, now);
}

/* ---- choosing and making one ---- */

static struct tcp_path *path_find(struct dns_sockets *s, const struct endpoint *server)
{
	for (struct tcp_path *p = s->tcp; p; p = p->next)
		if (endpoint_eq(&p->server, server))
			return p;
	for (struct tcp_path **at = &s->tcp; *at;) { /* the empty ones make room */
		struct tcp_path *p = *at;
		if (p->n_conns > 0) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		s->n_tcp_paths--;
		free(p);
	}
	struct tcp_path *p = s->n_tcp_paths < DNS_SERVERS_MAX ? calloc(1, sizeof(*p)) : NULL;
	if (!p)
		return NULL;
	p->server = *server;
	p->next = s->tcp;
	s->tcp = p;
	s->n_tcp_paths++;
	return p;
}

static struct tcp_conn *conn_open(struct dns_sockets *s, struct tcp_path *p, u64 now, int *error)
{
	struct tcp_conn *c = calloc(1, sizeof(*c));
	*error = ERR_NOMEM;
	if (!c)
		return NULL;
	c->owner = s;
	c->path = p;
	c->timer = (struct loop_timer){ .cb = on_timeout, .ctx = c };
	c->next = p->conns;
	p->conns = c;
	p->n_conns++;
	s->stats.tcp_connections++;
	c->client = dns_tcp_client_new(s->cfg.rng, now);
	c->fd = c->client ? tcp_connect_start(&p->server, s->cfg.mark) : -1;
	if (c->client && c->fd < 0)
		*error = c->fd;
	c->watch = c->fd >= 0 ? loop_fd_add(s->loop, c->fd, LOOP_READ | LOOP_WRITE, on_event, c) : NULL;
	if (!c->watch) {
		s->stats.tcp_failed++;
		conn_free(c);
		return NULL;
	}
	s->stats.tcp_opened++;
	return c;
}

static struct tcp_conn *conn_choose(struct dns_sockets *s, const struct endpoint *server, u64 now, int *error)
{
	struct tcp_path *p = path_find(s, server);
	struct tcp_conn *best = NULL;
	*error = ERR_LIMIT;
	if (!p)
		return NULL;
	for (struct tcp_conn *c = p->conns; c; c = c->next)
		if (!dns_tcp_client_is_over(c->client, NULL) &&
		    (!best || dns_tcp_client_pending(c->client) < dns_tcp_client_pending(best->client)))
			best = c;
	bool is_busy = !best || dns_tcp_client_pending(best->client) >= DNS_TCP_PIPELINE;
	if (!is_busy || p->n_conns >= DNS_TCP_CONNECTIONS)
		return best;
	struct tcp_conn *fresh = conn_open(s, p, now, error);
	return fresh ? fresh : best;
}

void path_tcp_start(struct dns_sockets *s, u64 now, const struct dns_exchange *e)
{
	int error;
	struct tcp_conn *c = conn_choose(s, &e->server->addr, now, &error);
	if (!c) {
		forwarder_failed(s->f, now, e->id, error);
		return;
	}
	if (!flight_new(s, e->id, DNS_OVER_TCP, c)) {
		exchange_over_limit(s, e->id, now);
		return;
	}
	int rc = dns_tcp_client_ask(c->client, now, e->id, e->message);
	if (rc) {
		s->stats.over_limit += rc == ERR_LIMIT;
		flight_failed(s, flight_find(s, e->id), now, rc);
		return;
	}
	s->stats.tcp_sent++;
	loop_fd_set(c->watch, LOOP_READ | LOOP_WRITE); /* what one turn brings goes out by one write */
	loop_timer_set(s->loop, &c->timer, dns_tcp_client_next_timeout(c->client));
}

void path_tcp_cancel(struct flight *fl)
{
	struct tcp_conn *c = fl->carrier;
	dns_tcp_client_cancel(c->client, fl->id);
}

void path_tcp_drop_all(struct dns_sockets *s)
{
	while (s->tcp) {
		struct tcp_path *p = s->tcp;
		while (p->conns)
			conn_free(p->conns);
		s->tcp = p->next;
		free(p);
	}
	s->n_tcp_paths = 0;
}
