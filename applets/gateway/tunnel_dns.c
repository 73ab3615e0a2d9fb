#define LOG_TARGET "gateway::dns"
#include "applets/gateway/tunnel_dns.h"

#include "core/base/log.h"
#include "core/dns/stream.h"
#include "platform/tcp.h"
#include "platform/udp.h"

#include <stdlib.h>
#include <unistd.h>

#define ADDRESSES_MAX 2u
#define UDP_READS 16u /* a wake-up */
#define ACCEPTS 16u
#define ACCEPT_PAUSE MSEC(200) /* out of descriptors */
#define READ_BYTES 4096u
#define TOKEN_SLOT_BITS 10u
#define NO_CONN UINT32_MAX

_Static_assert(TUNNEL_DNS_QUERIES_MAX <= 1u << TOKEN_SLOT_BITS, "a slot fits into a token");

/* A query in flight. */
struct flight {
	bool is_used;
	u64 token;
	u32 conn; /* NO_CONN: by UDP */
	u32 place; /* UDP: which address it came to */
	struct endpoint peer;
	u16 udp_size;
};

struct conn {
	struct tunnel_dns *owner;
	int fd; /* -1: free */
	struct endpoint peer;
	struct loop_fd *watch;
	struct loop_timer timer;
	struct dns_tcp_server *stream;
};

struct place {
	struct tunnel_dns *owner;
	struct ip ip;
	struct udp_sock *udp;
	struct loop_fd *udp_watch;
	int listener; /* -1: closed */
	struct loop_fd *tcp_watch;
	struct loop_timer accept_timer;
};

struct tunnel_dns {
	struct loop *loop;
	struct tunnel_dns_config cfg;
	struct udp_ring *ring;
	struct place places[ADDRESSES_MAX];
	size_t n_places;
	unsigned attempts;
	struct loop_timer bind_timer;
	u64 next_token;
	u32 next_slot;
	struct flight flights[TUNNEL_DNS_QUERIES_MAX];
	struct conn conns[TUNNEL_DNS_CONNS_MAX];
	struct tunnel_dns_stats stats;
};

static void serve_conn(struct conn *c, u64 now);
static void close_conn(struct conn *c);

/* --- queries in flight ------------------------------------------------------------------------------------------------------------------- */

static bool is_client(const struct tunnel_dns *s, const struct ip *ip)
{
	for (size_t i = 0; i < ARRAY_LEN(s->cfg.clients); i++)
		if (s->cfg.clients[i].ip.family == ip->family && cidr_contains(&s->cfg.clients[i], ip))
			return true;
	return false;
}

/* Counted only when so many are in flight that it could matter. */
static bool has_too_many(const struct tunnel_dns *s, const struct ip *peer)
{
	u32 n = 0;

	if (s->stats.in_flight < TUNNEL_DNS_PEER_QUERIES_MAX)
		return false;
	for (u32 i = 0; i < TUNNEL_DNS_QUERIES_MAX; i++)
		n += s->flights[i].is_used && ip_eq(&s->flights[i].peer.ip, peer);
	return n >= TUNNEL_DNS_PEER_QUERIES_MAX;
}

static struct flight *take_flight(struct tunnel_dns *s, const struct endpoint *peer)
{
	if (s->stats.in_flight == TUNNEL_DNS_QUERIES_MAX || has_too_many(s, &peer->ip))
		return NULL;
	while (s->flights[s->next_slot].is_used)
		s->next_slot = (s->next_slot + 1) % TUNNEL_DNS_QUERIES_MAX;
	struct flight *f = &s->flights[s->next_slot];
	*f = (struct flight){ .is_used = true, .peer = *peer, .token = s->next_token++ << TOKEN_SLOT_BITS | s->next_slot };
	s->stats.in_flight++;
	return f;
}

static void end_flight(struct tunnel_dns *s, struct flight *f)
{
	f->is_used = false;
	s->stats.in_flight--;
}

static struct flight *find_flight(struct tunnel_dns *s, u64 token)
{
	u64 slot = token & ((1u << TOKEN_SLOT_BITS) - 1);
	struct flight *f = slot < TUNNEL_DNS_QUERIES_MAX ? &s->flights[slot] : NULL;
	return f && f->is_used && f->token == token ? f : NULL;
}

/* Of a connection; NO_CONN: of all. */
static void forget_flights(struct tunnel_dns *s, u32 conn)
{
	for (u32 i = 0; i < TUNNEL_DNS_QUERIES_MAX && s->stats.in_flight > 0; i++) {
		struct flight *f = &s->flights[i];
		if (!f->is_used || (conn != NO_CONN && f->conn != conn))
			continue;
		end_flight(s, f);
		s->cfg.forget(s->cfg.ctx, f->token);
	}
}

/* --- answers ---------------------------------------------------------------------------------------------------------------------------------- */

static void answer_udp(struct tunnel_dns *s, const struct flight *f, struct span message)
{
	u8 out[TUNNEL_DNS_UDP_MAX];
	struct dns_response r;
	struct wr w = wr_init(out, sizeof(out));

	if (message.n <= MIN((u32)f->udp_size, TUNNEL_DNS_UDP_MAX)) {
		wr_bytes(&w, message.p, message.n);
	} else {
		if (dns_response_parse(message, &r))
			return;
		dns_truncate(&w, message, &r);
		s->stats.truncated++;
	}
	struct udp_tx tx = { .src = s->places[f->place].ip, .dst = f->peer, .data = out, .len = (u32)wr_len(&w) };
	if (wr_ok(&w))
		(void)udp_send(s->places[f->place].udp, &tx, 1); /* not taken: lost, as datagrams are */
}

static void answer(struct tunnel_dns *s, u64 now, struct flight *f, struct span message)
{
	struct conn *c = f->conn == NO_CONN ? NULL : &s->conns[f->conn];

	s->stats.answered++;
	if (!c) {
		answer_udp(s, f, message);
		end_flight(s, f);
		return;
	}
	end_flight(s, f);
	if (dns_tcp_server_reply(c->stream, now, message))
		close_conn(c);
	else
		serve_conn(c, now);
}

void tunnel_dns_answer(struct tunnel_dns *s, u64 now, const struct dns_answer *a)
{
	struct flight *f = find_flight(s, a->token);

	if (!f)
		return;
	if (!a->is_from_upstream)
		s->stats.servfail++;
	answer(s, now, f, a->message);
}

/* `f` has been filled in. Whether an answer was given at once. */
static bool ask(struct tunnel_dns *s, u64 now, struct span query, const struct dns_query *q, struct flight *f, struct wr *refusal)
{
	int rc = s->cfg.ask(s->cfg.ctx, now, query, q, f->conn != NO_CONN, f->token);

	if (rc == 0)
		return false;
	log_debug("query cannot be forwarded", kv_ep("client", &f->peer), kv_err(rc));
	s->stats.servfail++;
	dns_answer_begin(refusal, query, q, DNS_SERVFAIL);
	return true;
}

/* --- UDP ---------------------------------------------------------------------------------------------------------------------------------------- */

static void query_udp(struct place *at, u64 now, const struct endpoint *peer, struct span query)
{
	struct tunnel_dns *s = at->owner;
	u8 out[TUNNEL_DNS_UDP_MAX];
	struct wr refusal = wr_init(out, sizeof(out));
	struct dns_query q;

	if (!is_client(s, &peer->ip)) {
		s->stats.strangers++;
		return;
	}
	if (dns_query_parse(query, &q)) {
		s->stats.ignored++;
		log_debug("not a query", kv_ep("client", peer));
		return;
	}
	struct flight *f = take_flight(s, peer);
	if (!f) {
		s->stats.over_limit++;
		return;
	}
	s->stats.udp_queries++;
	f->conn = NO_CONN;
	f->place = (u32)(at - s->places);
	f->udp_size = q.udp_size;
	if (ask(s, now, query, &q, f, &refusal))
		answer(s, now, f, wr_span(&refusal));
}

static void udp_readable(void *ctx, int fd, unsigned events, u64 now)
{
	struct place *at = ctx;
	struct udp_rx rx[UDP_RX_MESSAGES];

	(void)fd;
	if (events & LOOP_WRITE)
		loop_fd_set(at->udp_watch, LOOP_READ);
	for (unsigned k = 0; k < UDP_READS && at->udp; k++) {
		int n = udp_recv(at->udp, at->owner->ring, rx, ARRAY_LEN(rx));
		if (n < 0)
			return;
		for (int i = 0; i < n; i++) {
			u32 step = rx[i].seg && rx[i].seg < rx[i].len ? rx[i].seg : rx[i].len;
			for (u32 o = 0; o < rx[i].len; o += step)
				query_udp(at, now, &rx[i].remote, SPAN(rx[i].data + o, MIN(step, rx[i].len - o)));
		}
	}
}

/* --- TCP ---------------------------------------------------------------------------------------------------------------------------------------- */

static void close_conn(struct conn *c)
{
	struct tunnel_dns *s = c->owner;

	if (c->fd < 0)
		return;
	forget_flights(s, (u32)(c - s->conns));
	loop_fd_del(c->watch);
	loop_timer_clear(s->loop, &c->timer);
	close(c->fd);
	dns_tcp_server_free(c->stream);
	c->fd = -1;
	s->stats.connections--;
}

static void query_tcp(struct conn *c, u64 now, struct span query)
{
	struct tunnel_dns *s = c->owner;
	u8 out[DNS_UDP_MIN];
	struct wr refusal = wr_init(out, sizeof(out));
	struct dns_query q;
	struct flight *f = NULL;

	if (dns_query_parse(query, &q))
		s->stats.ignored++;
	else if (!(f = take_flight(s, &c->peer)))
		s->stats.over_limit++;
	if (!f) {
		dns_tcp_server_drop(c->stream, now);
		return;
	}
	s->stats.tcp_queries++;
	f->conn = (u32)(c - s->conns);
	if (!ask(s, now, query, &q, f, &refusal))
		return;
	end_flight(s, f);
	(void)dns_tcp_server_reply(c->stream, now, wr_span(&refusal));
}

/* Queries out of the stream, answers into the socket; the connection may be gone afterwards. */
static void serve_conn(struct conn *c, u64 now)
{
	struct span query, out;

	while (dns_tcp_server_poll(c->stream, now, &query))
		query_tcp(c, now, query);
	while ((out = dns_tcp_server_output(c->stream)).n > 0) {
		int n = tcp_write(c->fd, out.p, out.n);
		if (n == ERR_AGAIN)
			break;
		if (n < 0) {
			close_conn(c);
			return;
		}
		dns_tcp_server_output_done(c->stream, now, (size_t)n);
	}
	if (dns_tcp_server_is_over(c->stream, NULL)) {
		close_conn(c);
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
			close_conn(c);
			return;
		}
	}
	serve_conn(c, now);
}

static void conn_due(void *ctx, u64 now)
{
	struct conn *c = ctx;

	dns_tcp_server_timeout(c->stream, now);
	serve_conn(c, now);
}

static struct conn *free_conn(struct tunnel_dns *s, const struct ip *peer)
{
	struct conn *found = NULL;
	u32 of_peer = 0;

	for (u32 i = 0; i < TUNNEL_DNS_CONNS_MAX; i++) {
		struct conn *c = &s->conns[i];
		if (c->fd < 0)
			found = found ? found : c;
		else
			of_peer += ip_eq(&c->peer.ip, peer);
	}
	return of_peer < TUNNEL_DNS_PEER_CONNS_MAX ? found : NULL;
}

static bool open_conn(struct tunnel_dns *s, struct conn *c, int fd, const struct endpoint *peer, u64 now)
{
	*c = (struct conn){ .owner = s, .fd = -1, .peer = *peer, .timer = { .cb = conn_due, .ctx = c } };
	c->stream = dns_tcp_server_new(now, 0);
	c->watch = c->stream ? loop_fd_add(s->loop, fd, LOOP_READ, conn_ready, c) : NULL;
	if (!c->watch) {
		dns_tcp_server_free(c->stream);
		return false;
	}
	c->fd = fd;
	s->stats.connections++;
	s->stats.tcp_connections++;
	loop_timer_set(s->loop, &c->timer, dns_tcp_server_next_timeout(c->stream));
	return true;
}

static void tcp_acceptable(void *ctx, int listener, unsigned events, u64 now)
{
	struct place *at = ctx;
	struct tunnel_dns *s = at->owner;
	struct endpoint peer;

	(void)events;
	for (unsigned k = 0; k < ACCEPTS; k++) {
		int fd = tcp_accept(listener, &peer);
		if (fd == ERR_LIMIT) {
			loop_fd_set(at->tcp_watch, 0);
			loop_timer_set(s->loop, &at->accept_timer, time_add(now, ACCEPT_PAUSE));
		}
		if (fd < 0)
			return;
		bool is_stranger = !is_client(s, &peer.ip);
		struct conn *c = is_stranger ? NULL : free_conn(s, &peer.ip);
		if (c && open_conn(s, c, fd, &peer, now))
			continue;
		if (is_stranger)
			s->stats.strangers++;
		else
			s->stats.over_limit++;
		close(fd);
	}
}

static void accept_due(void *ctx, u64 now)
{
	struct place *at = ctx;

	(void)now;
	loop_fd_set(at->tcp_watch, LOOP_READ);
}

/* --- binding ------------------------------------------------------------------------------------------------------------------------------------ */

static void close_place(struct place *at)
{
	loop_fd_del(at->udp_watch);
	loop_fd_del(at->tcp_watch);
	loop_timer_clear(at->owner->loop, &at->accept_timer);
	udp_close(at->udp);
	if (at->listener >= 0)
		close(at->listener);
	at->udp = NULL;
	at->udp_watch = at->tcp_watch = NULL;
	at->listener = -1;
}

static void close_places(struct tunnel_dns *s)
{
	forget_flights(s, NO_CONN);
	for (u32 i = 0; i < TUNNEL_DNS_CONNS_MAX; i++)
		close_conn(&s->conns[i]);
	for (size_t i = 0; i < s->n_places; i++)
		close_place(&s->places[i]);
}

static int open_place(struct place *at)
{
	struct tunnel_dns *s = at->owner;
	struct udp_config udp = { .bind = at->ip, .port = s->cfg.port, .no_backlog = true };
	int rc = udp_open(&at->udp, &udp);

	at->accept_timer = (struct loop_timer){ .cb = accept_due, .ctx = at };
	if (rc)
		return rc;
	at->udp_watch = loop_fd_add(s->loop, udp_fd(at->udp), LOOP_READ, udp_readable, at);
	if (!at->udp_watch)
		return ERR_NOMEM;
	at->listener = tcp_listen(&(struct endpoint){ at->ip, s->cfg.port });
	if (at->listener < 0)
		return at->listener;
	at->tcp_watch = loop_fd_add(s->loop, at->listener, LOOP_READ, tcp_acceptable, at);
	return at->tcp_watch ? 0 : ERR_NOMEM;
}

/* One attempt opens every socket or none. */
static void attempt(struct tunnel_dns *s, u64 now)
{
	int rc = 0;

	for (size_t i = 0; i < s->n_places && !rc; i++)
		rc = open_place(&s->places[i]);
	if (!rc) {
		s->stats.binds++;
		return;
	}
	s->stats.bind_failures++;
	close_places(s);
	if (++s->attempts < TUNNEL_DNS_ATTEMPTS) {
		loop_timer_set(s->loop, &s->bind_timer, time_add(now, TUNNEL_DNS_PAUSE));
		return;
	}
	log_error("cannot serve DNS on the tunnel's addresses", kv_u("port", s->cfg.port), kv_err(rc));
	s->cfg.on_failed(s->cfg.ctx, rc);
}

static void bind_due(void *ctx, u64 now)
{
	attempt(ctx, now);
}

void tunnel_dns_bind(struct tunnel_dns *s, u64 now, const struct ip *addrs, size_t n)
{
	loop_timer_clear(s->loop, &s->bind_timer);
	close_places(s);
	s->n_places = 0;
	s->attempts = 0;
	for (size_t i = 0; i < n && s->n_places < ADDRESSES_MAX; i++)
		if (addrs[i].family)
			s->places[s->n_places++] = (struct place){ .owner = s, .ip = addrs[i], .listener = -1 };
	attempt(s, now);
}

struct tunnel_dns *tunnel_dns_new(struct loop *l, const struct tunnel_dns_config *cfg)
{
	struct tunnel_dns *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->loop = l;
	s->cfg = *cfg;
	s->next_token = 1;
	s->bind_timer = (struct loop_timer){ .cb = bind_due, .ctx = s };
	for (u32 i = 0; i < TUNNEL_DNS_CONNS_MAX; i++)
		s->conns[i].fd = -1;
	s->ring = udp_ring_new();
	if (!s->ring) {
		free(s);
		return NULL;
	}
	return s;
}

void tunnel_dns_free(struct tunnel_dns *s)
{
	if (!s)
		return;
	loop_timer_clear(s->loop, &s->bind_timer);
	close_places(s);
	udp_ring_free(s->ring);
	free(s);
}

const struct tunnel_dns_stats *tunnel_dns_stats(const struct tunnel_dns *s)
{
	return &s->stats;
}

int tunnel_dns_local(const struct tunnel_dns *s, size_t i, struct endpoint *out)
{
	if (i / 2 >= s->n_places || !s->places[i / 2].udp)
		return ERR_NOT_FOUND;
	if (i % 2)
		return tcp_local(s->places[i / 2].listener, out);
	*out = (struct endpoint){ s->places[i / 2].ip, udp_port(s->places[i / 2].udp) };
	return 0;
}
