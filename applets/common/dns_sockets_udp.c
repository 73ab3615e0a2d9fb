/* UDP: sockets with short lives and random choice, datagrams in batches. */
#include "applets/common/dns_sockets_int.h"

#include "core/base/cursor.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TRIES_FOR_FREE_ID 4u
#define RECEIVES_PER_EVENT 4u

/* [in its path] ── DNS_UDP_QUERIES sent, or an error ──▶ [retired] ── nothing in flight ──▶ closed
 *      └────────── idle, or its path is dropped ────────────────────────────────────────▶ closed */
struct udp_socket {
	struct dns_sockets *owner;
	struct udp_path *path; /* NULL: retired */
	struct udp_socket *next;
	struct endpoint server;
	int fd;
	struct loop_fd *watch;
	u64 used;
	u32 sent, in_flight;
	struct flight *buckets[UDP_BUCKETS]; /* by wire id */
};

struct udp_path {
	struct udp_path *next;
	struct endpoint server;
	struct udp_socket *sockets[DNS_UDP_SOCKETS];
};

static void socket_free(struct udp_socket *u)
{
	loop_fd_del(u->watch);
	close(u->fd);
	u->owner->stats.udp_sockets--;
	free(u);
}

static void socket_retire(struct udp_socket *u)
{
	struct dns_sockets *s = u->owner;
	for (u32 i = 0; u->path && i < DNS_UDP_SOCKETS; i++)
		if (u->path->sockets[i] == u)
			u->path->sockets[i] = NULL;
	u->path = NULL;
	u->next = s->udp_retired;
	s->udp_retired = u;
}

/* Its place is free again. */
static void socket_replace(struct udp_socket **at)
{
	struct udp_socket *u = *at;
	if (u->in_flight > 0) {
		socket_retire(u);
		return;
	}
	*at = NULL;
	socket_free(u);
}

static void on_readable(void *ctx, int fd, unsigned events, u64 now);

static struct udp_socket *socket_open(struct dns_sockets *s, const struct endpoint *server, int *error)
{
	struct udp_socket *u = calloc(1, sizeof(*u));
	*error = ERR_NOMEM;
	if (!u)
		return NULL;
	u->owner = s;
	u->server = *server;
	u->fd = udp_query_open(server, s->cfg.mark);
	if (u->fd < 0) {
		*error = u->fd;
		free(u);
		return NULL;
	}
	s->stats.udp_sockets++;
	s->stats.udp_opened++;
	u->watch = loop_fd_add(s->loop, u->fd, LOOP_READ, on_readable, u);
	if (!u->watch) {
		socket_free(u);
		return NULL;
	}
	return u;
}

static struct udp_path *path_find(struct dns_sockets *s, const struct endpoint *server)
{
	for (struct udp_path **at = &s->udp; *at; at = &(*at)->next) {
		struct udp_path *p = *at;
		if (!endpoint_eq(&p->server, server))
			continue;
		*at = p->next;
		p->next = s->udp;
		s->udp = p;
		return p;
	}
	struct udp_path *p = s->n_udp_paths < DNS_SERVERS_MAX ? calloc(1, sizeof(*p)) : NULL;
	if (!p)
		return NULL;
	p->server = *server;
	p->next = s->udp;
	s->udp = p;
	s->n_udp_paths++;
	return p;
}

static struct flight **bucket(struct udp_socket *u, u16 wire_id)
{
	return &u->buckets[wire_id % UDP_BUCKETS];
}

static struct flight *find_wire_id(struct udp_socket *u, u16 wire_id)
{
	struct flight *fl = *bucket(u, wire_id);
	while (fl && fl->wire_id != wire_id)
		fl = fl->next;
	return fl;
}

static void unlink_flight(struct flight *fl)
{
	struct udp_socket *u = fl->carrier;
	for (struct flight **at = bucket(u, fl->wire_id); *at; at = &(*at)->next) {
		if (*at == fl) {
			*at = fl->next;
			u->in_flight--;
			return;
		}
	}
}

/* A random one of the server's sockets on which the ID is free. */
static struct udp_socket *socket_choose(struct dns_sockets *s, const struct endpoint *server, u16 wire_id, int *error)
{
	struct udp_path *p = path_find(s, server);
	*error = ERR_LIMIT;
	for (u32 i = 0; p && i < TRIES_FOR_FREE_ID; i++) {
		struct udp_socket **at = &p->sockets[rng_below(s->cfg.rng, DNS_UDP_SOCKETS)];
		if (*at && (*at)->sent >= DNS_UDP_QUERIES)
			socket_replace(at);
		if (!*at) {
			*at = socket_open(s, server, error);
			if (!*at)
				return NULL;
			(*at)->path = p;
		}
		if (!find_wire_id(*at, wire_id))
			return *at;
	}
	return NULL;
}

/* All that is in flight on it ends; it is not used again. */
static void socket_failed(struct udp_socket *u, u64 now, int error)
{
	struct dns_sockets *s = u->owner;
	s->stats.udp_errors++;
	if (u->path)
		socket_retire(u);
	for (u32 i = 0; i < UDP_BUCKETS; i++) {
		while (u->buckets[i]) {
			struct flight *fl = u->buckets[i];
			unlink_flight(fl);
			flight_failed(s, fl, now, error);
		}
	}
}

/* ---- sending ---- */

void path_udp_flush(struct dns_sockets *s, u64 now)
{
	struct udp_socket *u = s->batch.socket;
	size_t done = 0;

	while (done < s->batch.n) {
		int rc = udp_query_send(u->fd, s->batch.spans + done, s->batch.n - done);
		s->stats.udp_sends++;
		if (rc > 0) {
			done += (size_t)rc;
			s->stats.udp_sent += (u64)rc;
			continue;
		}
		if (rc == ERR_AGAIN || rc == ERR_NOMEM) {
			s->stats.udp_errors++;
			break; /* as if lost on the way: the forwarder asks again */
		}
		if (rc == ERR_LIMIT) { /* this one is too long */
			unlink_flight(s->batch.flights[done]);
			flight_failed(s, s->batch.flights[done], now, rc);
			done++;
			continue;
		}
		socket_failed(u, now, rc);
		break;
	}
	s->batch.n = 0;
	s->batch.socket = NULL;
}

void path_udp_start(struct dns_sockets *s, u64 now, const struct dns_exchange *e)
{
	u16 wire_id = get_be16(e->message.p);
	struct udp_socket *u = s->batch.socket;
	int error;

	if (u && (s->batch.n == UDP_QUERY_BATCH || !endpoint_eq(&u->server, &e->server->addr) || find_wire_id(u, wire_id))) {
		path_udp_flush(s, now);
		u = NULL;
	}
	if (!u)
		u = socket_choose(s, &e->server->addr, wire_id, &error);
	if (!u) {
		s->stats.udp_errors++;
		forwarder_failed(s->f, now, e->id, error);
		return;
	}
	struct flight *fl = flight_new(s, e->id, DNS_OVER_UDP, u);
	if (!fl) {
		exchange_over_limit(s, e->id, now);
		return;
	}
	fl->wire_id = wire_id;
	fl->next = *bucket(u, wire_id);
	*bucket(u, wire_id) = fl;
	u->in_flight++;
	u->sent++;
	u->used = now;

	bool fits = e->message.n <= BATCH_BYTES;
	if (!fits)
		path_udp_flush(s, now);
	size_t i = s->batch.n++;
	s->batch.socket = u;
	s->batch.flights[i] = fl;
	s->batch.spans[i] = e->message;
	if (fits) {
		memcpy(s->batch.bytes[i], e->message.p, e->message.n);
		s->batch.spans[i].p = s->batch.bytes[i];
	} else {
		path_udp_flush(s, now);
	}
	dns_sockets_sweep_later(s, now);
}

void path_udp_cancel(struct flight *fl)
{
	unlink_flight(fl);
}

/* ---- receiving ---- */

static void take(struct udp_socket *u, u64 now, struct udp_query_in *in)
{
	struct dns_sockets *s = u->owner;
	struct flight *fl = in->data.n >= DNS_HEADER_LEN ? find_wire_id(u, get_be16(in->data.p)) : NULL;

	s->stats.udp_received++;
	if (!fl) {
		s->stats.udp_unmatched++;
		return;
	}
	if (in->is_cut)
		in->data.p[2] = (u8)(in->data.p[2] | DNS_FLAG_TC >> 8);
	if (forwarder_response(s->f, now, fl->id, &u->server, SPAN(in->data.p, in->data.n))) {
		unlink_flight(fl);
		flight_free(s, fl);
	}
}

static void retired_free(struct udp_socket *u)
{
	struct udp_socket **at = &u->owner->udp_retired;
	while (*at != u)
		at = &(*at)->next;
	*at = u->next;
	socket_free(u);
}

static void on_readable(void *ctx, int fd, unsigned events, u64 now)
{
	struct udp_socket *u = ctx;
	struct dns_sockets *s = u->owner;
	struct udp_query_in in[UDP_QUERY_BATCH];

	(void)events;
	for (u32 i = 0; i < RECEIVES_PER_EVENT; i++) {
		int n = udp_query_recv(fd, s->ring, in);
		s->stats.udp_receives++;
		for (int k = 0; k < n; k++)
			take(u, now, &in[k]);
		if (n < 0 && n != ERR_AGAIN)
			socket_failed(u, now, n);
		if (n < (int)UDP_QUERY_BATCH)
			break;
	}
	if (!u->path && u->in_flight == 0)
		retired_free(u);
	dns_sockets_pump(s, now);
}

/* ---- ends ---- */

static bool is_idle(const struct udp_socket *u, u64 now)
{
	return u->in_flight == 0 && time_since(now, u->used) >= DNS_SOCKETS_IDLE;
}

bool path_udp_sweep(struct dns_sockets *s, u64 now)
{
	for (struct udp_socket **at = &s->udp_retired; *at;) {
		struct udp_socket *u = *at;
		if (u->in_flight > 0) {
			at = &u->next;
			continue;
		}
		*at = u->next;
		socket_free(u);
	}
	for (struct udp_path **at = &s->udp; *at;) {
		struct udp_path *p = *at;
		u32 left = 0;
		for (u32 i = 0; i < DNS_UDP_SOCKETS; i++) {
			if (p->sockets[i] && is_idle(p->sockets[i], now)) {
				socket_free(p->sockets[i]);
				p->sockets[i] = NULL;
			}
			left += p->sockets[i] != NULL;
		}
		if (left > 0) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		s->n_udp_paths--;
		free(p);
	}
	return s->udp || s->udp_retired;
}

void path_udp_drop_all(struct dns_sockets *s)
{
	s->batch.n = 0;
	s->batch.socket = NULL;
	while (s->udp_retired) {
		struct udp_socket *u = s->udp_retired;
		s->udp_retired = u->next;
		socket_free(u);
	}
	while (s->udp) {
		struct udp_path *p = s->udp;
		s->udp = p->next;
		for (u32 i = 0; i < DNS_UDP_SOCKETS; i++)
			if (p->sockets[i])
				socket_free(p->sockets[i]);
		free(p);
	}
	s->n_udp_paths = 0;
}
