#define LOG_TARGET "tunnel::client"
#include "core/tunnel/client_state.h"

#include "core/dns/stream.h"
#include "core/tcp/tcp.h"

#include <stdlib.h>

#define CHUNK 16384u
#define PORT_TRIES 16u

/* An application's connection to a sentinel. */
struct served {
	tcp_handle conn;
	struct endpoint local, remote;
	struct dns_tcp_server *stream;
	bool is_ending; /* the peer sends no more */
	struct served *next;
};

/* Our connection to a server inside the tunnel; queries of everybody are pipelined on it (spec 30 §10.4). */
struct called {
	tcp_handle conn;
	struct endpoint local, server;
	struct dns_tcp_client *stream;
	struct called *next;
};

struct names_tcp {
	struct rng *rng;
	struct tcp_stack *server, *client; /* apart: one speaks to the TUN, the other into the tunnel */
	struct ip listening[DNS_UPSTREAMS_MAX];
	size_t n_listening;
	struct served *served;
	struct called *called;
	u8 chunk[CHUNK];
};

struct names_tcp *names_tcp_new(struct rng *rng)
{
	struct names_tcp *t = calloc(1, sizeof(*t));
	struct tcp_stack_config cfg = { .rng = rng };

	if (!t)
		return NULL;
	t->rng = rng;
	t->server = tcp_stack_new(&cfg);
	t->client = tcp_stack_new(&cfg);
	if (!t->server || !t->client) {
		names_tcp_free(t);
		return NULL;
	}
	return t;
}

static void served_free(struct served *s)
{
	dns_tcp_server_free(s->stream);
	free(s);
}

static void called_free(struct called *s)
{
	dns_tcp_client_free(s->stream);
	free(s);
}

void names_tcp_free(struct names_tcp *t)
{
	if (!t)
		return;
	while (t->served) {
		struct served *s = t->served;
		t->served = s->next;
		served_free(s);
	}
	while (t->called) {
		struct called *s = t->called;
		t->called = s->next;
		called_free(s);
	}
	if (t->server)
		tcp_stack_free(t->server);
	if (t->client)
		tcp_stack_free(t->client);
	free(t);
}

/* --- serving applications (spec 30 §11) ------------------------------------------------------------------------------------------------ */

static struct served *served_find(const struct names_tcp *t, tcp_handle conn)
{
	struct served *s = t->served;
	while (s && s->conn != conn)
		s = s->next;
	return s;
}

/* The connection is gone or goes now; what it asked is nobody's. */
static void served_end(struct client *c, struct served *s)
{
	struct served **link = &c->tcp->served;
	while (*link != s)
		link = &(*link)->next;
	*link = s->next;
	names_asker_gone(c, s->conn);
	served_free(s);
}

static void served_accept(struct client *c, const struct tcp_event *e)
{
	struct names_tcp *t = c->tcp;
	struct served *s = calloc(1, sizeof(*s));
	struct dns_tcp_server *stream = s ? dns_tcp_server_new(c->now, 0) : NULL;

	if (!stream) {
		free(s);
		tcp_stack_abort(t->server, c->now, e->conn);
		return;
	}
	*s = (struct served){ .conn = e->conn, .local = e->local, .remote = e->remote, .stream = stream, .next = t->served };
	t->served = s;
}

static void served_write(struct client *c, struct served *s)
{
	struct span out;
	while ((out = dns_tcp_server_output(s->stream)).n > 0) {
		int n = tcp_stack_write(c->tcp->server, c->now, s->conn, out);
		if (n <= 0)
			return;
		dns_tcp_server_output_done(s->stream, c->now, (size_t)n);
	}
}

void names_tcp_reply(struct client *c, dns_conn conn, struct span message)
{
	struct served *s = served_find(c->tcp, conn);
	if (!s)
		return;
	if (dns_tcp_server_reply(s->stream, c->now, message))
		log_debug("an answer over TCP is lost", kv_u("bytes", message.n));
	c->is_dns_busy = true;
}

/* False when the peer sent what is no DNS: the connection is reset. */
static bool served_queries(struct client *c, struct served *s)
{
	struct dns_asker from = { .sentinel = s->local, .remote = s->remote, .conn = s->conn };
	struct span query;

	while (dns_tcp_server_poll(s->stream, c->now, &query))
		if (names_serve(c, &from, query)) {
			dns_tcp_server_drop(s->stream, c->now);
			return false;
		}
	return true;
}

static bool served_read(struct client *c, struct served *s)
{
	struct names_tcp *t = c->tcp;

	while (!s->is_ending && dns_tcp_server_wants_input(s->stream)) {
		int n = tcp_stack_read(t->server, c->now, s->conn, (struct mspan){ t->chunk, sizeof(t->chunk) });
		if (n == ERR_CLOSED) {
			s->is_ending = true;
			dns_tcp_server_input_end(s->stream);
		} else if (n <= 0) {
			break;
		} else {
			dns_tcp_server_input(s->stream, c->now, SPAN(t->chunk, (size_t)n));
		}
		if (!served_queries(c, s))
			return false;
	}
	return served_queries(c, s);
}

/* Everything that can be done on it now. */
static void served_go_on(struct client *c, struct served *s)
{
	int error = 0;

	if (!served_read(c, s)) {
		tcp_stack_abort(c->tcp->server, c->now, s->conn);
		served_end(c, s);
		return;
	}
	served_write(c, s);
	if (!dns_tcp_server_is_over(s->stream, &error))
		return;
	if (error)
		tcp_stack_abort(c->tcp->server, c->now, s->conn);
	else
		tcp_stack_close(c->tcp->server, c->now, s->conn);
	served_end(c, s);
}

static bool served_event(struct client *c)
{
	struct tcp_event e;

	if (!tcp_stack_poll_event(c->tcp->server, &e))
		return false;
	if (e.type == TCP_EVENT_ACCEPTED) {
		served_accept(c, &e);
		return true;
	}
	struct served *s = served_find(c->tcp, e.conn);
	if (s && (e.type == TCP_EVENT_CLOSED || e.type == TCP_EVENT_FAILED))
		served_end(c, s);
	else if (s)
		served_go_on(c, s);
	return true;
}

static bool has_ip(const struct ip *list, size_t n, const struct ip *ip)
{
	for (size_t i = 0; i < n; i++)
		if (ip_eq(&list[i], ip))
			return true;
	return false;
}

static void unlisten(struct client *c, const struct ip *ip)
{
	struct endpoint local = { *ip, DNS_PORT };

	tcp_stack_unlisten(c->tcp->server, c->now, &local);
	for (struct served *s = c->tcp->served, *next; s; s = next) {
		next = s->next;
		if (endpoint_eq(&s->local, &local))
			served_end(c, s);
	}
}

void names_tcp_listen(struct client *c)
{
	struct names_tcp *t = c->tcp;
	const struct dns_config *d = names_configured(c->dns);
	struct ip wanted[DNS_UPSTREAMS_MAX];

	for (size_t i = 0; i < d->n; i++)
		wanted[i] = d->upstreams[i].sentinel;
	for (size_t i = 0; i < t->n_listening; i++)
		if (!has_ip(wanted, d->n, &t->listening[i]))
			unlisten(c, &t->listening[i]);
	for (size_t i = 0; i < d->n; i++) {
		struct endpoint local = { wanted[i], DNS_PORT };
		int rc = tcp_stack_is_listening(t->server, &local) ? 0 : tcp_stack_listen(t->server, &local, TCP_LISTEN_CONNS);
		if (rc)
			log_warn("a sentinel does not serve DNS over TCP", kv_ip("sentinel", &wanted[i]), kv_err(rc));
	}
	memcpy(t->listening, wanted, d->n * sizeof(wanted[0]));
	t->n_listening = d->n;
}

void names_tcp_input(struct client *c, const u8 *data, const struct packet *p)
{
	if (tcp_stack_input(c->tcp->server, c->now, data, p))
		client_drop(c, DROP_NO_ROUTE, 1);
}

static void to_tun(struct client *c)
{
	struct tun_pkt pkt;
	while (tcp_stack_poll_transmit(c->tcp->server, &pkt)) {
		u8 *slot = tun_queue_slot(&c->out);
		if (!slot) {
			client_drop(c, DROP_REPLY_FULL, 1); /* it comes again */
			continue;
		}
		memcpy(slot, pkt.data, pkt.len);
		tun_queue_push(&c->out, pkt.len);
	}
}

/* --- asking servers inside (spec 30 §10.4) ---------------------------------------------------------------------------------------------- */

/* Its last answers, or why there are none, then it is gone. */
static void called_drain(struct client *c, const struct called *s)
{
	struct dns_tcp_answer a;

	while (dns_tcp_client_poll(s->stream, &a)) {
		if (a.error)
			inside_tcp_failed(c, a.id, a.error);
		else
			inside_tcp_answered(c, a.id, a.message);
	}
}

static void called_unlink(struct names_tcp *t, const struct called *s)
{
	struct called **link = &t->called;
	while (*link != s)
		link = &(*link)->next;
	*link = s->next;
}

static void called_end(struct client *c, struct called *s, int error)
{
	called_unlink(c->tcp, s);
	if (error)
		dns_tcp_client_end(s->stream, error);
	called_drain(c, s);
	called_free(s);
	c->is_dns_busy = true;
}

static void called_write(struct client *c, struct called *s)
{
	struct span out;
	while ((out = dns_tcp_client_output(s->stream)).n > 0) {
		int n = tcp_stack_write(c->tcp->client, c->now, s->conn, out);
		if (n <= 0)
			return;
		dns_tcp_client_output_done(s->stream, (size_t)n);
	}
}

static void called_go_on(struct client *c, struct called *s)
{
	struct names_tcp *t = c->tcp;
	int n;

	while ((n = tcp_stack_read(t->client, c->now, s->conn, (struct mspan){ t->chunk, sizeof(t->chunk) })) > 0) {
		dns_tcp_client_input(s->stream, c->now, SPAN(t->chunk, (size_t)n));
		called_drain(c, s);
	}
	if (n == ERR_CLOSED)
		dns_tcp_client_end(s->stream, ERR_CLOSED);
	called_write(c, s);
	if (!dns_tcp_client_is_over(s->stream, NULL))
		return;
	tcp_stack_close(t->client, c->now, s->conn);
	called_end(c, s, 0);
}

static struct called *called_find(const struct names_tcp *t, tcp_handle conn)
{
	struct called *s = t->called;
	while (s && s->conn != conn)
		s = s->next;
	return s;
}

static bool called_event(struct client *c)
{
	struct tcp_event e;

	if (!tcp_stack_poll_event(c->tcp->client, &e))
		return false;
	struct called *s = called_find(c->tcp, e.conn);
	if (s && (e.type == TCP_EVENT_CLOSED || e.type == TCP_EVENT_FAILED))
		called_end(c, s, e.error ? e.error : ERR_CLOSED);
	else if (s)
		called_go_on(c, s);
	return true;
}

static int dial(struct client *c, struct called *s)
{
	int rc = ERR_EXISTS;

	s->local.ip = s->server.ip.family == 4 ? c->ipv4 : c->ipv6;
	if (!s->local.ip.family)
		return ERR_STATE;
	for (u32 i = 0; i < PORT_TRIES && rc == ERR_EXISTS; i++) {
		s->local.port = (u16)(DNS_LOCAL_PORT_FIRST + rng_below(c->tcp->rng, 65536 - DNS_LOCAL_PORT_FIRST));
		rc = tcp_stack_connect(c->tcp->client, c->now, &s->local, &s->server, &s->conn);
	}
	return rc;
}

/* A connection to this server that takes queries; NULL: none can be had. */
static struct called *called_get(struct client *c, const struct endpoint *server)
{
	struct names_tcp *t = c->tcp;

	for (struct called *s = t->called; s; s = s->next)
		if (endpoint_eq(&s->server, server) && !dns_tcp_client_is_over(s->stream, NULL))
			return s;
	struct called *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->server = *server;
	s->stream = dns_tcp_client_new(t->rng, c->now);
	if (!s->stream || dial(c, s)) {
		if (s->stream)
			dns_tcp_client_free(s->stream);
		free(s);
		return NULL;
	}
	s->next = t->called;
	t->called = s;
	return s;
}

int names_tcp_ask(struct client *c, const struct endpoint *server, u32 id, struct span message)
{
	struct called *s = called_get(c, server);
	int rc = s ? dns_tcp_client_ask(s->stream, c->now, id, message) : ERR_NO_ROUTE;

	if (rc)
		return rc;
	c->is_dns_busy = true;
	called_write(c, s);
	return 0;
}

void names_tcp_cancel(struct client *c, u32 id)
{
	for (struct called *s = c->tcp->called; s; s = s->next)
		dns_tcp_client_cancel(s->stream, id);
}

bool names_tcp_inside_input(struct client *c, const u8 *data, const struct packet *p)
{
	return tcp_stack_input(c->tcp->client, c->now, data, p) == 0;
}

/* A packet that has nowhere to go ends its connection: nobody waits for retransmissions then. */
static void called_unroutable(struct client *c, const struct packet *p, int error)
{
	for (struct called *s = c->tcp->called; s; s = s->next)
		if (s->local.port == p->src_port && ip_eq(&s->server.ip, &p->dst)) {
			tcp_stack_abort(c->tcp->client, c->now, s->conn);
			called_end(c, s, error);
			return;
		}
}

static void into_tunnel(struct client *c)
{
	struct tun_pkt pkt;
	struct packet p;

	while (tcp_stack_poll_transmit(c->tcp->client, &pkt)) {
		int rc = client_send_own(c, pkt.data, pkt.len);
		if (rc && packet_parse(pkt.data, pkt.len, TUNNEL_MTU, &p) == 0)
			called_unroutable(c, &p, rc);
	}
	c->n_inside_conns = tcp_stack_stats(c->tcp->client)->conns;
}

/* --- time ------------------------------------------------------------------------------------------------------------------------------- */

bool names_tcp_pump(struct client *c)
{
	bool went_on = served_event(c);

	went_on = called_event(c) || went_on;
	for (struct served *s = c->tcp->served, *next; s; s = next) {
		next = s->next;
		if (dns_tcp_server_output(s->stream).n > 0)
			served_go_on(c, s);
	}
	to_tun(c);
	into_tunnel(c);
	return went_on;
}

void names_tcp_timeout(struct client *c)
{
	struct names_tcp *t = c->tcp;

	if (c->now >= tcp_stack_next_timeout(t->server)) {
		tcp_stack_timeout(t->server, c->now);
		c->is_dns_busy = true;
	}
	if (c->now >= tcp_stack_next_timeout(t->client)) {
		tcp_stack_timeout(t->client, c->now);
		c->is_dns_busy = true;
	}
	for (struct served *s = t->served, *next; s; s = next) {
		next = s->next;
		if (c->now < dns_tcp_server_next_timeout(s->stream))
			continue;
		dns_tcp_server_timeout(s->stream, c->now);
		served_go_on(c, s);
		c->is_dns_busy = true;
	}
	for (struct called *s = t->called, *next; s; s = next) {
		next = s->next;
		if (c->now < dns_tcp_client_next_timeout(s->stream))
			continue;
		dns_tcp_client_timeout(s->stream, c->now);
		called_drain(c, s);
		called_go_on(c, s);
		c->is_dns_busy = true;
	}
}

u64 names_tcp_next_timeout(const struct client *c)
{
	const struct names_tcp *t = c->tcp;
	u64 next = time_min(tcp_stack_next_timeout(t->server), tcp_stack_next_timeout(t->client));

	for (const struct served *s = t->served; s; s = s->next)
		next = time_min(next, dns_tcp_server_next_timeout(s->stream));
	for (const struct called *s = t->called; s; s = s->next)
		next = time_min(next, dns_tcp_client_next_timeout(s->stream));
	return next;
}

void names_tcp_reset(struct client *c)
{
	while (c->tcp->called) {
		tcp_stack_abort(c->tcp->client, c->now, c->tcp->called->conn);
		called_end(c, c->tcp->called, ERR_CLOSED);
	}
}
