#include "applets/common/dns_listener.h"

#include "core/dns/stream.h"
#include "platform/tcp.h"

#include <stdlib.h>
#include <unistd.h>

#define READ_BYTES 4096u
#define ACCEPTS 32u
#define INDEX_BITS 16u

_Static_assert(DNS_LISTENER_CONNS_MAX <= 1u << INDEX_BITS, "an index fits into a number");

struct place {
	struct dns_listener *owner;
	int fd;
	struct loop_fd *watch;
	struct loop_timer timer; /* the pause */
};

struct conn {
	struct dns_listener *owner;
	int fd; /* -1: free */
	u64 number;
	struct endpoint peer;
	struct loop_fd *watch;
	struct loop_timer timer;
	struct dns_tcp_server *stream;
	bool is_serving; /* answers given meanwhile leave at its end */
	bool is_broken;  /* it does not take its answers */
};

struct dns_listener {
	struct loop *loop;
	struct dns_listener_config cfg;
	struct place places[DNS_LISTENER_PLACES_MAX];
	u32 n_places;
	struct conn *conns;
	u32 conns_used; /* those behind were never open */
	u64 next_serial;
	struct dns_listener_stats stats;
};

/* --- one connection ------------------------------------------------------------------------------------------------------------------- */

static void conn_close(struct conn *c)
{
	struct dns_listener *l = c->owner;
	bool is_missed = dns_tcp_server_pending(c->stream) > 0;

	loop_fd_del(c->watch);
	loop_timer_clear(l->loop, &c->timer);
	close(c->fd);
	dns_tcp_server_free(c->stream);
	c->fd = -1;
	l->stats.connections--;
	if (is_missed)
		l->cfg.on_closed(l->cfg.ctx, c->number);
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
	struct dns_listener *l = c->owner;
	struct span query;

	c->is_serving = true;
	while (!c->is_broken && dns_tcp_server_poll(c->stream, now, &query))
		l->cfg.on_query(l->cfg.ctx, now, c->number, &c->peer, query);
	c->is_serving = false;
	if (c->is_broken || !conn_flush(c, now) || dns_tcp_server_is_over(c->stream, NULL)) {
		conn_close(c);
		return;
	}
	loop_fd_set(c->watch, (dns_tcp_server_wants_input(c->stream) ? LOOP_READ : 0) |
				      (dns_tcp_server_output(c->stream).n > 0 ? LOOP_WRITE : 0));
	loop_timer_set(l->loop, &c->timer, dns_tcp_server_next_timeout(c->stream));
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

static struct conn *conn_find(struct dns_listener *l, u64 number)
{
	u64 index = number & (DNS_LISTENER_CONNS_MAX - 1);
	struct conn *c = index < l->conns_used ? &l->conns[index] : NULL;

	return c && c->fd >= 0 && c->number == number ? c : NULL;
}

void dns_listener_reply(struct dns_listener *l, u64 now, u64 number, struct span message)
{
	struct conn *c = conn_find(l, number);

	if (!c)
		return;
	c->is_broken |= dns_tcp_server_reply(c->stream, now, message) != 0;
	if (!c->is_serving)
		conn_serve(c, now);
}

void dns_listener_drop(struct dns_listener *l, u64 now, u64 number)
{
	struct conn *c = conn_find(l, number);

	if (!c)
		return;
	dns_tcp_server_drop(c->stream, now);
	if (!c->is_serving)
		conn_serve(c, now);
}

/* --- those who come --------------------------------------------------------------------------------------------------------------------- */

static struct conn *place_for(struct dns_listener *l, const struct ip *peer)
{
	struct conn *found = NULL;
	u32 of_peer = 0;

	for (u32 i = 0; i < l->conns_used; i++) {
		struct conn *c = &l->conns[i];
		if (c->fd < 0)
			found = found ? found : c;
		else
			of_peer += ip_eq(&c->peer.ip, peer);
	}
	if (of_peer >= l->cfg.conns_of_peer_max && !(l->cfg.spares_loopback && ip_is_loopback(peer)))
		return NULL;
	if (!found && l->conns_used < l->cfg.conns_max) {
		found = &l->conns[l->conns_used++];
		found->fd = -1;
	}
	return found;
}

static bool conn_open(struct dns_listener *l, struct conn *c, int fd, const struct endpoint *peer, u64 now)
{
	*c = (struct conn){ .owner = l, .fd = -1, .peer = *peer, .timer = { .cb = conn_due, .ctx = c } };
	c->number = l->next_serial++ << INDEX_BITS | (u64)(c - l->conns);
	c->stream = dns_tcp_server_new(now, 0);
	c->watch = c->stream ? loop_fd_add(l->loop, fd, LOOP_READ, conn_ready, c) : NULL;
	if (!c->watch) {
		dns_tcp_server_free(c->stream);
		return false;
	}
	c->fd = fd;
	l->stats.connections++;
	l->stats.accepted++;
	loop_timer_set(l->loop, &c->timer, dns_tcp_server_next_timeout(c->stream));
	return true;
}

static bool admit(struct dns_listener *l, int fd, const struct endpoint *peer, u64 now)
{
	if (l->cfg.is_welcome && !l->cfg.is_welcome(l->cfg.ctx, &peer->ip)) {
		l->stats.strangers++;
		return false;
	}
	struct conn *c = place_for(l, &peer->ip);
	if (c && conn_open(l, c, fd, peer, now))
		return true;
	l->stats.over_limit++;
	return false;
}

static void acceptable(void *ctx, int listener, unsigned events, u64 now)
{
	struct place *at = ctx;
	struct dns_listener *l = at->owner;
	struct endpoint peer;

	(void)events;
	for (u32 k = 0; k < ACCEPTS; k++) {
		int fd = tcp_accept(listener, &peer);
		if (fd == ERR_LIMIT) {
			loop_fd_set(at->watch, 0);
			loop_timer_set(l->loop, &at->timer, time_add(now, DNS_LISTENER_PAUSE));
		}
		if (fd < 0)
			return;
		if (!admit(l, fd, &peer, now))
			close(fd);
	}
}

static void pause_over(void *ctx, u64 now)
{
	struct place *at = ctx;

	(void)now;
	loop_fd_set(at->watch, LOOP_READ);
}

/* --- opening and closing ----------------------------------------------------------------------------------------------------------------- */

struct dns_listener *dns_listener_new(struct loop *loop, const struct dns_listener_config *cfg)
{
	struct dns_listener *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->loop = loop;
	l->cfg = *cfg;
	l->cfg.conns_max = MIN(l->cfg.conns_max, DNS_LISTENER_CONNS_MAX);
	l->next_serial = 1;
	l->conns = calloc(l->cfg.conns_max, sizeof(*l->conns));
	if (!l->conns) {
		free(l);
		return NULL;
	}
	return l;
}

void dns_listener_free(struct dns_listener *l)
{
	if (!l)
		return;
	dns_listener_close(l);
	free(l->conns);
	free(l);
}

int dns_listener_open(struct dns_listener *l, const struct endpoint *local)
{
	if (l->n_places == DNS_LISTENER_PLACES_MAX)
		return ERR_LIMIT;
	struct place *at = &l->places[l->n_places];
	int fd = tcp_listen(local);
	if (fd < 0)
		return fd;
	*at = (struct place){ .owner = l, .fd = fd, .timer = { .cb = pause_over, .ctx = at } };
	at->watch = loop_fd_add(l->loop, fd, LOOP_READ, acceptable, at);
	if (!at->watch) {
		close(fd);
		return ERR_NOMEM;
	}
	l->n_places++;
	return 0;
}

void dns_listener_close(struct dns_listener *l)
{
	for (u32 i = 0; i < l->conns_used; i++)
		if (l->conns[i].fd >= 0)
			conn_close(&l->conns[i]);
	for (u32 i = 0; i < l->n_places; i++) {
		loop_fd_del(l->places[i].watch);
		loop_timer_clear(l->loop, &l->places[i].timer);
		close(l->places[i].fd);
	}
	l->n_places = 0;
}

int dns_listener_local(const struct dns_listener *l, u32 i, struct endpoint *out)
{
	return i < l->n_places ? tcp_local(l->places[i].fd, out) : ERR_NOT_FOUND;
}

const struct dns_listener_stats *dns_listener_stats(const struct dns_listener *l)
{
	return &l->stats;
}
