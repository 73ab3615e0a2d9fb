#include "applets/dns_proxy/server.h"

#include "applets/common/dns_listener.h"
#include "platform/udp_server.h"

#include <stdlib.h>

#define SCOPE_SHIFT 32u /* UDP: the place, and above it the link of a link-local client */
#define BUSY_FROM 8u /* queries at one wake-up; twice running, or after a rest: more than 40,000 a second */
#define REST USEC(200)

struct place {
	struct server *owner;
	struct udp_server *udp;
	struct loop_fd *watch;
};

struct server {
	struct loop *loop;
	struct server_config cfg;
	struct udp_batch *batch;
	struct place places[SERVER_PLACES_MAX];
	u32 n_places;
	struct dns_listener *tcp;
	u8 *out; /* DNS_MESSAGE_MAX */
	bool is_busy; /* the last wake-up was for many */
};

/* --- UDP --- */

/* Who is woken for few queries at a high rate has most of his time go into waking up, his own and that of those who ask: then he rests after each
 * batch. One burst, or what gathered while somebody else had the core, is no rate. */
static void udp_readable(void *ctx, int fd, unsigned events, u64 now)
{
	struct place *at = ctx;
	struct server *s = at->owner;
	struct proxy_client c = { 0 };
	bool is_asked = false;
	u32 n = UDP_BATCH_MAX, all = 0;
	size_t len;

	(void)fd, (void)events;
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
	if (all >= BUSY_FROM && s->is_busy)
		loop_rest(s->loop, REST);
	s->is_busy = all >= BUSY_FROM;
	if (is_asked)
		s->cfg.on_asked(s->cfg.ctx);
}

/* --- TCP --- */

static void tcp_query(void *ctx, u64 now, u64 conn, const struct endpoint *peer, struct span query)
{
	struct server *s = ctx;
	const struct proxy_client client = { .addr = *peer, .via = conn, .is_tcp = true };
	size_t n;

	switch (proxy_input(s->cfg.proxy, now, &client, query, (struct mspan){ s->out, DNS_MESSAGE_MAX }, &n)) {
	case PROXY_ANSWER:
		dns_listener_reply(s->tcp, now, conn, SPAN(s->out, n));
		break;
	case PROXY_LATER:
		s->cfg.on_asked(s->cfg.ctx);
		break;
	case PROXY_SILENCE:
		dns_listener_drop(s->tcp, now, conn);
		break;
	}
}

static void tcp_closed(void *ctx, u64 conn)
{
	struct server *s = ctx;

	proxy_forget(s->cfg.proxy, conn);
}

/* --- answers that took time --- */

void server_answer(struct server *s, u64 now, const struct proxy_answer *a)
{
	if (!a->client.is_tcp) {
		udp_server_send_one(s->places[(u32)a->client.via].udp, &a->client.local, &a->client.addr, (u32)(a->client.via >> SCOPE_SHIFT),
				    a->message);
		return;
	}
	dns_listener_reply(s->tcp, now, a->client.via, a->message);
}

/* --- opening --- */

struct server *server_new(struct loop *l, const struct server_config *cfg)
{
	struct server *s = calloc(1, sizeof(*s));
	const struct dns_listener_config tcp = {
		.conns_max = SERVER_CONNS_MAX,
		.conns_of_peer_max = SERVER_CONNS_PEER_MAX,
		.spares_loopback = true,
		.on_query = tcp_query,
		.on_closed = tcp_closed,
		.ctx = s,
	};

	if (!s)
		return NULL;
	s->loop = l;
	s->cfg = *cfg;
	s->batch = udp_batch_new();
	s->tcp = dns_listener_new(l, &tcp);
	s->out = malloc(DNS_MESSAGE_MAX);
	if (s->batch && s->tcp && s->out)
		return s;
	server_free(s);
	return NULL;
}

int server_listen(struct server *s, const struct endpoint *ep, bool *is_tcp)
{
	struct endpoint local = *ep;

	*is_tcp = false;
	if (s->n_places == SERVER_PLACES_MAX)
		return ERR_LIMIT;
	struct place *at = &s->places[s->n_places];
	*at = (struct place){ .owner = s };
	int rc = udp_server_open(&at->udp, ep);
	if (rc != 0)
		return rc;
	s->n_places++;
	at->watch = loop_fd_add(s->loop, udp_server_fd(at->udp), LOOP_READ, udp_readable, at);
	if (!at->watch)
		return ERR_NOMEM;
	*is_tcp = true;
	rc = udp_server_local(at->udp, &local); /* with port 0 both have the one that UDP got */
	return rc != 0 ? rc : dns_listener_open(s->tcp, &local);
}

void server_free(struct server *s)
{
	if (!s)
		return;
	dns_listener_free(s->tcp);
	for (u32 i = 0; i < s->n_places; i++) {
		loop_fd_del(s->places[i].watch);
		udp_server_close(s->places[i].udp);
	}
	udp_batch_free(s->batch);
	free(s->out);
	free(s);
}

void server_stats(const struct server *s, struct server_stats *out)
{
	const struct dns_listener_stats *tcp = dns_listener_stats(s->tcp);

	*out = (struct server_stats){ .tcp_connections = tcp->accepted, .tcp_over_limit = tcp->over_limit, .connections = tcp->connections };
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
