#define LOG_TARGET "tunnel::client"
#include "core/tunnel/client_state.h"

#include <stdlib.h>

#define PORT_TRIES 16u

/*      site query, no flow yet            flow created
 *  ───────────────────────────▶ WAITING ───────────────▶ SENT ──▶ answer, failure, 10 s: the slot is free
 *        exchange; site query, gateway there ────────────▶
 */
enum inside_state { INSIDE_FREE, INSIDE_WAITING, INSIDE_SENT };

struct inside_query {
	enum inside_state state;
	bool is_site;
	u8 family;      /* site: of the sentinel */
	bool is_tcp;
	u16 id, port;   /* on the wire, over UDP */
	u32 exchange;   /* of the forwarder, unless is_site */
	u64 token;      /* of the asker, when is_site */
	u64 began, deadline;
	struct endpoint server;
	struct resource *resource; /* WAITING: whose flow is awaited */
	u8 *query;      /* site: a copy of what was asked */
	size_t n;
};

struct dns_inside {
	struct rng *rng;
	u32 high; /* behind the last one ever used */
	struct inside_query queries[DNS_INSIDE_MAX];
};

struct dns_inside *inside_new(struct rng *rng)
{
	struct dns_inside *s = calloc(1, sizeof(*s));
	if (s)
		s->rng = rng;
	return s;
}

void inside_free(struct dns_inside *s)
{
	if (!s)
		return;
	for (u32 i = 0; i < s->high; i++)
		free(s->queries[i].query);
	free(s);
}

static struct inside_query *query_make(struct client *c)
{
	struct dns_inside *s = c->inside;
	for (u32 i = 0; i < DNS_INSIDE_MAX; i++) {
		struct inside_query *q = &s->queries[i];
		if (q->state != INSIDE_FREE)
			continue;
		*q = (struct inside_query){ .state = INSIDE_WAITING, .began = c->now, .deadline = TIME_NEVER };
		c->n_inside++;
		s->high = MAX(s->high, i + 1);
		return q;
	}
	return NULL;
}

/* Its name on TCP connections. Never that of another query whose answer is still on its way there: cancelled ones are forgotten at once. */
static u32 number_of(const struct client *c, const struct inside_query *q)
{
	return (u32)(q - c->inside->queries);
}

static void query_end(struct client *c, struct inside_query *q)
{
	if (q->is_tcp && q->state == INSIDE_SENT)
		names_tcp_cancel(c, number_of(c, q));
	free(q->query);
	*q = (struct inside_query){ .state = INSIDE_FREE };
	c->n_inside--;
}

/* The asker learns of it; the slot is free afterwards. */
static void query_fail(struct client *c, struct inside_query *q, int error)
{
	if (q->is_site)
		names_answer_servfail(c, q->token, SPAN(q->query, q->n));
	else
		names_inside_failed(c, q->exchange, error);
	query_end(c, q);
}

static bool has_port(const struct dns_inside *s, u16 port)
{
	for (u32 i = 0; i < s->high; i++)
		if (s->queries[i].state == INSIDE_SENT && !s->queries[i].is_tcp && s->queries[i].port == port)
			return true;
	return false;
}

static u16 draw_port(struct dns_inside *s)
{
	u16 port = 0;
	for (u32 i = 0; i < PORT_TRIES; i++) {
		port = (u16)(DNS_LOCAL_PORT_FIRST + rng_below(s->rng, 65536 - DNS_LOCAL_PORT_FIRST));
		if (!has_port(s, port))
			break;
	}
	return port;
}

/* --- sending --------------------------------------------------------------------------------------------------------------------------- */

static int send_query(struct client *c, struct inside_query *q, struct span message)
{
	struct endpoint local = { q->server.ip.family == 4 ? c->ipv4 : c->ipv6, 0 };
	u8 data[TUNNEL_MTU];

	if (!local.ip.family || message.n < DNS_HEADER_LEN)
		return ERR_STATE;
	if (q->is_tcp) {
		int rc = names_tcp_ask(c, &q->server, number_of(c, q), message);
		q->state = rc ? INSIDE_WAITING : INSIDE_SENT;
		return rc;
	}
	local.port = q->port = draw_port(c->inside);
	q->id = get_be16(message.p);
	q->state = INSIDE_SENT;
	u32 len = udp_packet_write(&local, &q->server, message, data);
	return len > 0 ? client_send_own(c, data, len) : ERR_LIMIT;
}

static struct inside_query *find_exchange(struct client *c, u32 id)
{
	for (u32 i = 0; i < c->inside->high; i++) {
		struct inside_query *q = &c->inside->queries[i];
		if (q->state != INSIDE_FREE && !q->is_site && q->exchange == id)
			return q;
	}
	return NULL;
}

void inside_exchange(struct client *c, const struct dns_exchange *ex)
{
	struct inside_query *q = find_exchange(c, ex->id);
	u32 id = ex->id;

	if (ex->is_cancel) {
		if (q)
			query_end(c, q);
		return;
	}
	q = query_make(c);
	if (!q) {
		names_inside_failed(c, id, ERR_LIMIT);
		return;
	}
	q->exchange = id;
	q->server = ex->server->addr;
	q->is_tcp = ex->transport == DNS_OVER_TCP;
	int rc = send_query(c, q, ex->message);
	if (rc)
		query_fail(c, q, rc);
}

/* --- queries for a site ---------------------------------------------------------------------------------------------------------------- */

static void send_to_site(struct client *c, struct inside_query *q, const struct gateway_peer *g)
{
	q->server = (struct endpoint){ q->family == 4 ? g->ipv4 : g->ipv6, DNS_SITE_PORT };
	q->resource = NULL;
	int rc = send_query(c, q, SPAN(q->query, q->n));
	if (rc)
		query_fail(c, q, rc);
}

static void displace_oldest(struct client *c, const struct resource *r)
{
	struct inside_query *oldest = NULL;
	u32 n = 0;

	for (u32 i = 0; i < c->inside->high; i++) {
		struct inside_query *q = &c->inside->queries[i];
		if (q->state != INSIDE_WAITING || q->resource != r)
			continue;
		n++;
		if (!oldest || q->began < oldest->began)
			oldest = q;
	}
	if (n >= DNS_SITE_WAITING_MAX)
		query_fail(c, oldest, ERR_LIMIT);
}

void inside_site_query(struct client *c, struct resource *r, const struct dns_asker *from, u64 token, struct span query)
{
	displace_oldest(c, r);
	struct inside_query *q = query_make(c);
	u8 *copy = malloc(query.n);

	if (!q || !copy) {
		free(copy);
		if (q)
			query_end(c, q);
		names_answer_servfail(c, token, query);
		return;
	}
	memcpy(copy, query.p, query.n);
	q->is_site = true;
	q->is_tcp = from->conn != 0;
	q->token = token;
	q->query = copy;
	q->n = query.n;
	q->family = from->sentinel.ip.family;
	q->deadline = time_add(c->now, DNS_INSIDE_TIMEOUT);
	if (r->gateway && node_knows(c->node, &r->gateway->id)) {
		send_to_site(c, q, r->gateway);
		return;
	}
	if (r->gateway)
		gateway_lost(c, r->gateway);
	q->resource = r;
	flow_trigger(c, r, NULL, NULL);
	if (!r->flow)
		query_fail(c, q, ERR_LIMIT);
}

static struct inside_query *next_waiting(struct client *c, const struct resource *r)
{
	for (u32 i = 0; i < c->inside->high; i++) {
		struct inside_query *q = &c->inside->queries[i];
		if (q->state == INSIDE_WAITING && q->resource == r)
			return q;
	}
	return NULL;
}

void inside_flow_ready(struct client *c, struct resource *r)
{
	struct inside_query *q;
	while (r->gateway && (q = next_waiting(c, r)))
		send_to_site(c, q, r->gateway);
}

void inside_flow_gone(struct client *c, const struct resource *r)
{
	struct inside_query *q;
	while ((q = next_waiting(c, r)))
		query_fail(c, q, ERR_CLOSED);
}

/* --- answers --------------------------------------------------------------------------------------------------------------------------- */

static struct inside_query *find_sent(struct client *c, u16 port, const struct endpoint *server)
{
	for (u32 i = 0; i < c->inside->high; i++) {
		struct inside_query *q = &c->inside->queries[i];
		if (q->state == INSIDE_SENT && !q->is_tcp && q->port == port && endpoint_eq(&q->server, server))
			return q;
	}
	return NULL;
}

/* Of a query for a site: is this its answer? */
static bool answers(const struct inside_query *q, struct span message)
{
	struct dns_response r;
	struct dns_query asked;

	return dns_response_parse(message, &r) == 0 && dns_query_parse(SPAN(q->query, q->n), &asked) == 0 && dns_response_matches(&r, &asked.q);
}

static void on_site_response(struct client *c, struct inside_query *q, struct span message)
{
	if (!answers(q, message))
		return; /* the right one may still come */
	names_answer(c, q->token, message);
	query_end(c, q);
}

static bool on_response(struct client *c, const u8 *data, const struct packet *p)
{
	struct endpoint from = { p->src, p->src_port };
	struct inside_query *q = find_sent(c, p->dst_port, &from);
	struct span message;

	if (!q)
		return false;
	if (udp_packet_read(data, p, &message) || message.n < DNS_HEADER_LEN || get_be16(message.p) != q->id)
		return true;
	if (q->is_site) {
		on_site_response(c, q, message);
		return true;
	}
	if (names_inside_response(c, q->exchange, &from, message))
		query_end(c, q);
	return true;
}

static bool on_icmp_error(struct client *c, const u8 *data, const struct packet *p)
{
	struct packet quoted;

	if (packet_parse_quoted(data, p, &quoted) || quoted.kind != L4_UDP)
		return false;
	struct endpoint to = { quoted.dst, quoted.dst_port };
	struct inside_query *q = find_sent(c, quoted.src_port, &to);
	if (!q)
		return false;
	query_fail(c, q, ERR_NO_ROUTE);
	return true;
}

bool inside_input(struct client *c, const u8 *data, const struct packet *p)
{
	bool is_server = p->src_port == DNS_PORT || p->src_port == DNS_SITE_PORT;
	bool is_ours = false;

	if (p->kind == L4_UDP && is_server)
		is_ours = on_response(c, data, p);
	else if (p->kind == L4_TCP && is_server)
		is_ours = names_tcp_inside_input(c, data, p);
	else if (p->kind == L4_ICMP_ERROR)
		is_ours = on_icmp_error(c, data, p) || names_tcp_inside_input(c, data, p);
	c->is_dns_busy = c->is_dns_busy || is_ours;
	return is_ours;
}

static struct inside_query *find_tcp(struct client *c, u32 id)
{
	struct inside_query *q = id < c->inside->high ? &c->inside->queries[id] : NULL;
	return q && q->state == INSIDE_SENT && q->is_tcp ? q : NULL;
}

void inside_tcp_answered(struct client *c, u32 id, struct span message)
{
	struct inside_query *q = find_tcp(c, id);

	if (!q)
		return;
	q->state = INSIDE_WAITING; /* nothing to cancel there */
	if (q->is_site && !answers(q, message)) {
		query_fail(c, q, ERR_MALFORMED); /* no other will follow */
		return;
	}
	if (q->is_site) {
		names_answer(c, q->token, message);
		query_end(c, q);
		return;
	}
	u32 exchange = q->exchange;
	query_end(c, q);
	(void)names_inside_response(c, exchange, NULL, message);
}

void inside_tcp_failed(struct client *c, u32 id, int error)
{
	struct inside_query *q = find_tcp(c, id);

	if (!q)
		return;
	q->state = INSIDE_WAITING;
	query_fail(c, q, error);
}

/* --- time ------------------------------------------------------------------------------------------------------------------------------ */

void inside_reset(struct client *c)
{
	for (u32 i = 0; i < c->inside->high; i++)
		if (c->inside->queries[i].state == INSIDE_SENT)
			query_fail(c, &c->inside->queries[i], ERR_CLOSED);
}

void inside_timeout(struct client *c)
{
	for (u32 i = 0; i < c->inside->high; i++) {
		struct inside_query *q = &c->inside->queries[i];
		if (q->state != INSIDE_FREE && c->now >= q->deadline)
			query_fail(c, q, ERR_TIMEOUT);
	}
}

u64 inside_next_timeout(const struct client *c)
{
	u64 next = TIME_NEVER;
	for (u32 i = 0; c->n_inside > 0 && i < c->inside->high; i++)
		if (c->inside->queries[i].state != INSIDE_FREE)
			next = time_min(next, c->inside->queries[i].deadline);
	return next;
}
