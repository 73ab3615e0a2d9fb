#include "applets/dns_proxy/server.h"

#include "core/dns/stream.h"
#include "platform/tcp.h"
#include "platform/udp_server.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define READ_BYTES 4096u
#define ACCEPTS 32u
#define ACCEPT_PAUSE MSEC(200) /* out of descriptors */
#define VIA_BITS 16u
#define SCOPE_SHIFT 32u /* UDP: the place, and above it the link of a link-local client */
#define BUSY_FROM 6u     /* queries at one wake-up: the rate is above 50,000 a second, or they come in bursts */
#define GATHER_NS 50000L

struct place {
	struct server *owner;
	struct udp_server *udp;
	struct loop_fd *udp_watch, *tcp_watch;
	struct loop_timer accept_timer;
	int listener;
};

struct conn {
	struct server *owner;
	int fd; /* -1: free */
	u64 via;
	struct endpoint peer;
	struct loop_fd *watch;
	struct loop_timer timer;
	struct dns_tcp_server *stream;
};

struct server {
	struct loop *loop;
	struct server_config cfg;
	struct udp_batch *batch;
	struct place places[SERVER_PLACES_MAX];
	u32 n_places;
	struct conn *conns;
	u32 conns_used; /* those behind were never open */
	u64 next_serial;
	u8 *out; /* DNS_MESSAGE_MAX */
	u64 tcp_connections, tcp_over_limit;
	u32 connections;
	bool is_busy;
};

struct server *server_new(struct loop *l, const struct server_config *cfg)
{
	struct server *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->loop = l;
	s->cfg = *cfg;
	s->next_serial = 1;
	s->batch = udp_batch_new();
	s->conns = calloc(SERVER_CONNS_MAX, sizeof(*s->conns));
	s->out = malloc(DNS_MESSAGE_MAX);
	if (s->batch && s->conns && s->out)
		return s;
	server_free(s);
	return NULL;
}

/* --- UDP --- */

/* Who is woken for a few queries and finds the next few right after has most of his time go into waking up: under load it is better to let
 * them gather for a moment, as network cards do with interrupts. */
static void gather(void)
{
	const struct timespec moment = { 0, GATHER_NS };

	(void)nanosleep(&moment, NULL);
}

static void udp_readable(void *ctx, int fd, unsigned events, u64 now)
{
	struct place *at = ctx;
	struct server *s = at->owner;
	struct proxy_client c = { 0 };
	bool is_asked = false;
	u32 n = UDP_BATCH_MAX, all = 0;
	size_t len;

	(void)fd, (void)events;
	if (s->is_busy)
		gather();
	for (u32 k = 0; k < SERVER_BATCHES && n == UDP_BATCH_MAX; k++) {
		n = udp_server_recv(at->udp, s->batch);
		for (u32 i = 0; i < n; i++) {
			struct span query = udp_batch_request(s->batch, i, &c.addr, &c.local);
			if (query.n == 0)
				continue;
			c.via = (u64)udp_batch_scope(s->batch, i) << SCOPE_SHIFT | (u64)(at - s->places);
			switch (proxy_input(s->cfg.proxy, now, &c, query, udp_batch_room(s->batch, i), &len)) {
			case PROXY_ANSWER:
				udp_batch_answer(s->batch, i, len);
				break;
			case PROXY_LATER:
				is_asked = true;
				break;
			case PROXY_SILENCE:
				break;
			}
		}
		udp_server_send(at->udp, s->batch);
		all += n;
	}
	s->is_busy = all >= BUSY_FROM;
	if (is_asked)
		s->cfg.on_asked(s->cfg.ctx);
}

/* --- TCP --- */

static void conn_close(struct conn *c)
{
	struct server *s = c->owner;

	if (c->fd < 0)
		return;
	if (dns_tcp_server_pending(c->stream) > 0)
		proxy_forget(s->cfg.proxy, c->via);
	loop_fd_del(c->watch);
	loop_timer_clear(s->loop, &c->timer);
	close(c->fd);
	dns_tcp_server_free(c->stream);
	c->fd = -1;
	s->connections--;
}

static bool conn_query(struct conn *c, u64 now, struct span query)
{
	struct server *s = c->owner;
	const struct proxy_client client = { .addr = c->peer, .via = c->via, .is_tcp = true };
	size_t n;

	switch (proxy_input(s->cfg.proxy, now, &client, query, (struct mspan){ s->out, DNS_MESSAGE_MAX }, &n)) {
	case PROXY_ANSWER:
		return dns_tcp_server_reply(c->stream, now, SPAN(s->out, n)) == 0;
	case PROXY_LATER:
		s->cfg.on_asked(s->cfg.ctx);
		return true;
	case PROXY_SILENCE:
		dns_tcp_server_drop(c->stream, now);
		return true;
	}
	return false;
}

static bool conn_flush(struct conn *c, u64 now)
{
	struct span out;

	while ((out = dns_tcp_server_output(c->stream)).n > 0) {
		int n = tcp_write(c->fd, out.p, out.n);
		if (n == ERR_AGAIN)
			break;
		if (n < 0)
			return false;
		dns_tcp_server_output_done(c->stream, now, (size_t)n);
	}
	return true;
}

/* Queries out of the stream, answers into the socket; the connection may be gone afterwards. */
static void conn_serve(struct conn *c, u64 now)
{
	struct span query;
	bool is_fine = true;

	while (is_fine && dns_tcp_server_poll(c->stream, now, &query))
		is_fine = conn_query(c, now, query);
	is_fine = is_fine && conn_flush(c, now);
	if (!is_fine || dns_tcp_server_is_over(c->stream, NULL)) {
		conn_close(c);
		return;
	}
	loop_fd_set(c->watch, (dns_tcp_server_wants_input(c->stream) ? LOOP_READ : 0) |
				      (dns_tcp_server_output(c->stream).n > 0 ? LOOP_WRITE : 0));
	loop_timer_set(c->owner->loop, &c->timer, dns_tcp_server_next_timeout(c->stream));
}

static void conn_ready(void *ctx, int fd, unsigned events, u64 now)
{
	struct conn *c = ctx;
	u8 bytes[READ_BYTES];

	if ((events & LOOP_READ) && dns_tcp_server_wants_input(c->stream)) {
		int n = tcp_read(fd, bytes, sizeof(bytes));
		if (n > 0) {
			dns_tcp_server_input(c->stream, now, SPAN(bytes, (size_t)n));
		} else if (n == ERR_CLOSED) {
			dns_tcp_server_input_end(c->stream);
		} else if (n != ERR_AGAIN) {
			conn_close(c);
			return;
		}
	}
	conn_serve(c, now);
}

static void conn_due(void *ctx, u64 now)
{
	struct conn *c = ctx;

	dns_tcp_server_timeout(c->stream, now);
	conn_serve(c, now);
}

static struct conn *conn_free_one(struct server *s, const struct ip *peer)
{
	struct conn *found = NULL;
	u32 of_peer = 0;

	for (u32 i = 0; i < s->conns_used; i++) {
		struct conn *c = &s->conns[i];
		if (c->fd < 0)
			found = found ? found : c;
		else
			of_peer += ip_eq(&c->peer.ip, peer);
	}
	if (of_peer >= SERVER_CONNS_PEER_MAX && !ip_is_loopback(peer))
		return NULL;
	if (!found && s->conns_used < SERVER_CONNS_MAX) {
		found = &s->conns[s->conns_used++];
		found->fd = -1;
	}
	return found;
}

static bool conn_open(struct server *s, struct conn *c, int fd, const struct endpoint *peer, u64 now)
{
	*c = (struct conn){ .owner = s, .fd = -1, .peer = *peer, .timer = { .cb = conn_due, .ctx = c } };
	c->via = s->next_serial++ << VIA_BITS | (u64)(c - s->conns);
	c->stream = dns_tcp_server_new(now, 0);
	c->watch = c->stream ? loop_fd_add(s->loop, fd, LOOP_READ, conn_ready, c) : NULL;
	if (!c->watch) {
		dns_tcp_server_free(c->stream);
		return false;
	}
	c->fd = fd;
	s->connections++;
	s->tcp_connections++;
	loop_timer_set(s->loop, &c->timer, dns_tcp_server_next_timeout(c->stream));
	return true;
}

static void tcp_acceptable(void *ctx, int listener, unsigned events, u64 now)
{
	struct place *at = ctx;
	struct server *s = at->owner;
	struct endpoint peer;

	(void)events;
	for (u32 k = 0; k < ACCEPTS; k++) {
		int fd = tcp_accept(listener, &peer);
		if (fd == ERR_LIMIT) {
			loop_fd_set(at->tcp_watch, 0);
			loop_timer_set(s->loop, &at->accept_timer, time_add(now, ACCEPT_PAUSE));
		}
		if (fd < 0)
			return;
		struct conn *c = conn_free_one(s, &peer.ip);
		if (c && conn_open(s, c, fd, &peer, now))
			continue;
		s->tcp_over_limit++;
		close(fd);
	}
}

static void accept_due(void *ctx, u64 now)
{
	struct place *at = ctx;

	(void)now;
	loop_fd_set(at->tcp_watch, LOOP_READ);
}

/* --- answers that took time --- */

void server_answer(struct server *s, u64 now, const struct proxy_answer *a)
{
	if (!a->client.is_tcp) {
		udp_server_send_one(s->places[(u32)a->client.via].udp, &a->client.local, &a->client.addr, (u32)(a->client.via >> SCOPE_SHIFT),
				    a->message);
		return;
	}
	struct conn *c = &s->conns[a->client.via & ((1u << VIA_BITS) - 1)];
	if (c->fd < 0 || c->via != a->client.via)
		return;
	if (dns_tcp_server_reply(c->stream, now, a->message) != 0)
		conn_close(c);
	else
		conn_serve(c, now);
}

/* --- opening --- */

int server_listen(struct server *s, const struct endpoint *ep, bool *is_tcp)
{
	struct endpoint local = *ep;

	*is_tcp = false;
	if (s->n_places == SERVER_PLACES_MAX)
		return ERR_LIMIT;
	struct place *at = &s->places[s->n_places];
	*at = (struct place){ .owner = s, .listener = -1, .accept_timer = { .cb = accept_due, .ctx = at } };
	int rc = udp_server_open(&at->udp, ep);
	if (rc != 0)
		return rc;
	s->n_places++;
	at->udp_watch = loop_fd_add(s->loop, udp_server_fd(at->udp), LOOP_READ, udp_readable, at);
	*is_tcp = true;
	rc = udp_server_local(at->udp, &local); /* with port 0 both have the one that UDP got */
	if (rc != 0)
		return rc;
	at->listener = tcp_listen(&local);
	if (at->listener < 0)
		return at->listener;
	at->tcp_watch = loop_fd_add(s->loop, at->listener, LOOP_READ, tcp_acceptable, at);
	return at->udp_watch && at->tcp_watch ? 0 : ERR_NOMEM;
}

void server_free(struct server *s)
{
	if (!s)
		return;
	for (u32 i = 0; s->conns && i < s->conns_used; i++)
		conn_close(&s->conns[i]);
	for (u32 i = 0; i < s->n_places; i++) {
		struct place *at = &s->places[i];
		loop_fd_del(at->udp_watch);
		loop_fd_del(at->tcp_watch);
		loop_timer_clear(s->loop, &at->accept_timer);
		udp_server_close(at->udp);
		if (at->listener >= 0)
			close(at->listener);
	}
	udp_batch_free(s->batch);
	free(s->conns);
	free(s->out);
	free(s);
}

void server_stats(const struct server *s, struct server_stats *out)
{
	*out = (struct server_stats){ .tcp_connections = s->tcp_connections, .tcp_over_limit = s->tcp_over_limit, .connections = s->connections };
	for (u32 i = 0; i < s->n_places; i++) {
		const struct udp_server_stats *u = udp_server_stats(s->places[i].udp);
		out->udp_received += u->received;
		out->udp_sent += u->sent;
		out->udp_receives += u->receives;
		out->udp_sends += u->sends;
		out->udp_too_long += u->too_long;
		out->udp_not_sent += u->not_sent;
	}
}
