#define LOG_TARGET "gateway::dns"
#include "applets/gateway/tunnel_dns.h"

#include "applets/common/dns_listener.h"
#include "core/base/log.h"
#include "platform/udp.h"

#include <stdlib.h>

#define ADDRESSES_MAX 2u
#define UDP_READS 16u /* a wake-up */
#define TOKEN_SLOT_BITS 10u
#define NO_CONN 0u /* the number of no connection */

_Static_assert(TUNNEL_DNS_QUERIES_MAX <= 1u << TOKEN_SLOT_BITS, "a slot fits into a token");

/* A query in flight. */
struct flight {
	bool is_used;
	u64 token;
	u64 conn; /* NO_CONN: by UDP */
	u32 place; /* UDP: which address it came to */
	struct endpoint peer;
	u16 udp_size;
};

struct place {
	struct tunnel_dns *owner;
	struct ip ip;
	struct udp_sock *udp;
	struct loop_fd *udp_watch;
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
	struct dns_listener *tcp;
	struct tunnel_dns_stats stats;
};

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
static void forget_flights(struct tunnel_dns *s, u64 conn)
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
	u64 conn = f->conn;

	s->stats.answered++;
	if (conn == NO_CONN)
		answer_udp(s, f, message);
	end_flight(s, f);
	if (conn != NO_CONN)
		dns_listener_reply(s->tcp, now, conn, message);
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

static void query_tcp(void *ctx, u64 now, u64 conn, const struct endpoint *peer, struct span query)
{
	struct tunnel_dns *s = ctx;
	u8 out[DNS_UDP_MIN];
	struct wr refusal = wr_init(out, sizeof(out));
	struct dns_query q;
	struct flight *f = NULL;

	if (dns_query_parse(query, &q))
		s->stats.ignored++;
	else if (!(f = take_flight(s, peer)))
		s->stats.over_limit++;
	if (!f) {
		dns_listener_drop(s->tcp, now, conn);
		return;
	}
	s->stats.tcp_queries++;
	f->conn = conn;
	if (!ask(s, now, query, &q, f, &refusal))
		return;
	end_flight(s, f);
	dns_listener_reply(s->tcp, now, conn, wr_span(&refusal));
}

static void tcp_closed(void *ctx, u64 conn)
{
	forget_flights(ctx, conn);
}

static bool is_welcome(void *ctx, const struct ip *peer)
{
	return is_client(ctx, peer);
}

/* --- binding ------------------------------------------------------------------------------------------------------------------------------------ */

static void close_place(struct place *at)
{
	loop_fd_del(at->udp_watch);
	udp_close(at->udp);
	at->udp = NULL;
	at->udp_watch = NULL;
}

static void close_places(struct tunnel_dns *s)
{
	dns_listener_close(s->tcp);
	forget_flights(s, NO_CONN);
	for (size_t i = 0; i < s->n_places; i++)
		close_place(&s->places[i]);
}

static int open_place(struct place *at)
{
	struct tunnel_dns *s = at->owner;
	struct udp_config udp = { .bind = at->ip, .port = s->cfg.port, .no_backlog = true };
	int rc = udp_open(&at->udp, &udp);

	if (rc)
		return rc;
	at->udp_watch = loop_fd_add(s->loop, udp_fd(at->udp), LOOP_READ, udp_readable, at);
	if (!at->udp_watch)
		return ERR_NOMEM;
	return dns_listener_open(s->tcp, &(struct endpoint){ at->ip, s->cfg.port });
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
			s->places[s->n_places++] = (struct place){ .owner = s, .ip = addrs[i] };
	attempt(s, now);
}

struct tunnel_dns *tunnel_dns_new(struct loop *l, const struct tunnel_dns_config *cfg)
{
	struct tunnel_dns *s = calloc(1, sizeof(*s));
	const struct dns_listener_config tcp = {
		.conns_max = TUNNEL_DNS_CONNS_MAX,
		.conns_of_peer_max = TUNNEL_DNS_PEER_CONNS_MAX,
		.is_welcome = is_welcome,
		.on_query = query_tcp,
		.on_closed = tcp_closed,
		.ctx = s,
	};

	if (!s)
		return NULL;
	s->loop = l;
	s->cfg = *cfg;
	s->next_token = 1;
	s->bind_timer = (struct loop_timer){ .cb = bind_due, .ctx = s };
	s->ring = udp_ring_new();
	s->tcp = dns_listener_new(l, &tcp);
	if (s->ring && s->tcp)
		return s;
	udp_ring_free(s->ring);
	dns_listener_free(s->tcp);
	free(s);
	return NULL;
}

void tunnel_dns_free(struct tunnel_dns *s)
{
	if (!s)
		return;
	loop_timer_clear(s->loop, &s->bind_timer);
	close_places(s);
	dns_listener_free(s->tcp);
	udp_ring_free(s->ring);
	free(s);
}

struct tunnel_dns_stats tunnel_dns_stats(const struct tunnel_dns *s)
{
	const struct dns_listener_stats *tcp = dns_listener_stats(s->tcp);
	struct tunnel_dns_stats all = s->stats;

	all.tcp_connections = tcp->accepted;
	all.connections = tcp->connections;
	all.over_limit += tcp->over_limit;
	all.strangers += tcp->strangers;
	return all;
}

int tunnel_dns_local(const struct tunnel_dns *s, size_t i, struct endpoint *out)
{
	if (i / 2 >= s->n_places || !s->places[i / 2].udp)
		return ERR_NOT_FOUND;
	if (i % 2)
		return dns_listener_local(s->tcp, (u32)(i / 2), out);
	*out = (struct endpoint){ s->places[i / 2].ip, udp_port(s->places[i / 2].udp) };
	return 0;
}
