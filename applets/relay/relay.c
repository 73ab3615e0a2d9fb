#define LOG_TARGET "relay"
#include "applets/relay/relay.h"

#include "applets/version.h"
#include "core/base/err.h"
#include "core/base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LISTEN_BUFFER (8u << 20)
#define PORT_BUFFER (2u << 20) /* some 1500 full datagrams wait while a turn serves others */
#define REPORT_INTERVAL SEC(10)

struct relay;

struct listener {
	struct relay *relay;
	struct relay_sock *sock;
	struct loop_fd *watch;
};

/* A relayed port; lives as long as its allocation. */
struct port {
	struct relay *relay;
	struct turn_alloc *owner;
	struct relay_sock *sock;
	struct loop_fd *watch;
};

struct relay {
	struct loop *loop;
	struct turn_server *server;
	struct relay_ring *ring;
	struct listener data4, data6, control4, control6;
	struct ip bind4, bind6;
	struct loop_timer expiry, report;
	u64 reported_bytes;
};

/* ---- moving datagrams ---- */

/* Under the wrong family a reply would go nowhere: the server sends only where it has heard from, or to families it serves. */
static struct relay_sock *listener_for(const struct relay *r, const struct endpoint *dst)
{
	return dst->ip.family == 4 ? r->data4.sock : r->data6.sock;
}

static void send_all(struct relay *r)
{
	size_t n;
	const struct turn_tx *list = turn_server_tx(r->server, &n);

	for (size_t i = 0; i < n; i++) {
		const struct turn_tx *t = &list[i];
		const struct port *p = t->sock;
		struct relay_sock *s = p ? p->sock : listener_for(r, &t->dst);
		if (t->n_segments == 0 || !s)
			continue;
		struct relay_tx tx = {
			.src = &t->src, .dst = &t->dst, .pieces = t->pieces, .n_pieces = t->n_pieces, .len = t->len,
			.seg = t->n_segments > 1 ? t->seg : 0,
		};
		relay_sock_send(s, r->ring, &tx);
	}
	turn_server_tx_done(r->server);
}

static void set_expiry_timer(struct relay *r)
{
	u64 next = turn_server_next_timeout(r->server);

	if (!r->expiry.is_set || r->expiry.due != next)
		loop_timer_set(r->loop, &r->expiry, next);
}

static void serve(struct listener *l, u64 now)
{
	struct relay *r = l->relay;
	struct udp_rx rx[RELAY_RX_MESSAGES];
	bool has_more;
	int n = l->sock ? relay_sock_recv(l->sock, r->ring, rx) : 0;

	if (n <= 0)
		return;
	struct turn_input in = { .rx = rx, .n = (size_t)n };
	do {
		has_more = turn_server_input(r->server, now, loop_wall(r->loop), &in);
		send_all(r);
	} while (has_more);
	set_expiry_timer(r);
}

/* A client may send data right behind its CHANNEL-BIND, without waiting for the answer (spec 20 §7.6). The two come on different
 * sockets: requests are taken first, whichever socket was readable first. */
static void on_listener(void *ctx, int fd, unsigned events, u64 now)
{
	struct listener *l = ctx;
	struct relay *r = l->relay;

	(void)fd, (void)events;
	if (l == &r->data4)
		serve(&r->control4, now);
	else if (l == &r->data6)
		serve(&r->control6, now);
	serve(l, now);
}

static void on_port(void *ctx, int fd, unsigned events, u64 now)
{
	struct port *p = ctx;
	struct relay *r = p->relay;
	struct udp_rx rx[RELAY_RX_MESSAGES];
	bool has_more;

	(void)fd, (void)events;
	int n = relay_sock_recv(p->sock, r->ring, rx);
	if (n <= 0)
		return;
	struct turn_input in = { .rx = rx, .n = (size_t)n };
	do {
		has_more = turn_server_peer_input(r->server, now, p->owner, &in);
		send_all(r);
	} while (has_more);
}

/* ---- ports of allocations ---- */

static void port_close(void *ctx, void *sock)
{
	struct port *p = sock;

	(void)ctx;
	loop_fd_del(p->watch);
	relay_sock_close(p->sock);
	free(p);
}

static int port_open(void *ctx, struct turn_alloc *owner, u16 number, u8 family, void **sock)
{
	struct relay *r = ctx;
	struct relay_sock_config cfg = {
		.bind = family == 4 ? r->bind4 : r->bind6, .port = number, .sndbuf = PORT_BUFFER, .rcvbuf = PORT_BUFFER,
	};
	struct port *p = calloc(1, sizeof(*p));

	if (!p)
		return ERR_NOMEM;
	*p = (struct port){ .relay = r, .owner = owner };
	int rc = relay_sock_open(&p->sock, &cfg);
	if (rc == 0) {
		p->watch = loop_fd_add(r->loop, relay_sock_fd(p->sock), LOOP_READ, on_port, p);
		rc = p->watch ? 0 : ERR_NOMEM;
	}
	if (rc != 0)
		port_close(NULL, p);
	else
		*sock = p;
	return rc;
}

/* ---- opening ---- */

static const char *advice(int rc)
{
	switch (rc) {
	case ERR_EXISTS: return "the port is in use: stop the other program or choose another --listen-port";
	case ERR_NOT_FOUND: return "no interface of this host has this address: correct --bind-ip4-addr or --bind-ip6-addr";
	case ERR_DENIED: return "ports below 1024 need root or CAP_NET_BIND_SERVICE";
	case ERR_UNSUPPORTED: return "this host does not support the address family";
	}
	return err_str(rc);
}

static bool watch(struct listener *l, struct relay *r)
{
	l->relay = r;
	l->watch = loop_fd_add(r->loop, relay_sock_fd(l->sock), LOOP_READ, on_listener, l);
	return l->watch != NULL;
}

static bool open_listeners(struct relay *r, const struct ip *bind, u16 port, struct listener *data, struct listener *control)
{
	struct relay_sock_config cfg = {
		.bind = *bind, .port = port, .wants_local = true, .sndbuf = LISTEN_BUFFER, .rcvbuf = LISTEN_BUFFER,
	};
	struct endpoint at = { *bind, port };
	char text[ENDPOINT_STRLEN];

	int rc = relay_sock_open(&data->sock, &cfg);
	if (rc != 0) {
		fprintf(stderr, "emberbox relay: cannot listen on %s (udp): %s\n", endpoint_format(&at, text), advice(rc));
		return false;
	}
	if (relay_sock_open_control(&control->sock, data->sock, &cfg) != 0)
		log_debug("requests and data share one socket on this system", kv_ep("listen", &at));
	if (relay_sock_rcvbuf(data->sock) < LISTEN_BUFFER)
		log_info("receive buffer is smaller than wished; raise net.core.rmem_max", kv_ep("listen", &at),
			 kv_u("bytes", relay_sock_rcvbuf(data->sock)), kv_u("wished", LISTEN_BUFFER));
	if (!watch(data, r) || (control->sock && !watch(control, r))) {
		fprintf(stderr, "emberbox relay: %s\n", err_str(ERR_NOMEM));
		return false;
	}
	log_info("listening", kv_ep("listen", &at));
	return true;
}

static void on_expiry(void *ctx, u64 now)
{
	struct relay *r = ctx;

	turn_server_timeout(r->server, now);
	set_expiry_timer(r);
}

/* The line of spec 50 §7.5, its words fixed. */
static void on_report(void *ctx, u64 now)
{
	static const char *const units[] = { "B/s", "kB/s", "MB/s", "GB/s", "TB/s" };
	struct relay *r = ctx;
	const struct turn_server_stats *st = turn_server_stats(r->server);
	u64 bytes = st->to_peer_bytes + st->to_client_bytes;
	u64 hundredths = (bytes - r->reported_bytes) * 100 / (REPORT_INTERVAL / NSEC_PER_SEC);
	unsigned unit = 0;
	char line[128];

	for (; hundredths >= 100000 && unit + 1 < ARRAY_LEN(units); unit++)
		hundredths /= 1000;
	snprintf(line, sizeof(line), "Allocations = %llu Channels = %llu Throughput = %llu.%02llu %s",
		 (unsigned long long)st->allocations, (unsigned long long)st->channels, (unsigned long long)(hundredths / 100),
		 (unsigned long long)(hundredths % 100), units[unit]);
	log_info(line);
	r->reported_bytes = bytes;
	loop_timer_set(r->loop, &r->report, now + REPORT_INTERVAL);
}

static int make_server(struct relay *r, const struct settings *s, struct rng *rng, const char *secret)
{
	struct turn_server_config cfg = {
		.rules = s->mode == RELAY_STANDALONE ? TURN_RULES_RFC : TURN_RULES_FIREZONE,
		.public4 = s->public4,
		.public6 = s->public6,
		.lowest_port = (u16)s->lowest_port,
		.highest_port = (u16)s->highest_port,
		.realm = s->mode == RELAY_STANDALONE ? s->realm : "firezone",
		.software = "emberbox-relay; rev=" EMBERBOX_VERSION,
		.stamp_secret = secret,
		.static_auth_secret = s->static_auth_secret,
		.users = s->users,
		.n_users = s->user_texts.n,
		.has_wide_channels = s->is_wide || s->mode == RELAY_STANDALONE,
		.has_many_per_user = s->has_many_per_user,
		.allows_loopback_peers = s->allows_loopback_peers,
		.user_quota = (u32)s->user_quota,
		.rng = rng,
		.ports = { port_open, port_close, r },
	};
	return turn_server_new(&r->server, &cfg);
}

struct relay *relay_new(struct loop *loop, const struct settings *s, struct rng *rng, const char *secret)
{
	struct relay *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->loop = loop;
	r->bind4 = s->bind4;
	r->bind6 = s->bind6;
	r->expiry = (struct loop_timer){ .cb = on_expiry, .ctx = r };
	r->report = (struct loop_timer){ .cb = on_report, .ctx = r };
	r->ring = relay_ring_new();
	int rc = r->ring ? make_server(r, s, rng, secret) : ERR_NOMEM;
	if (rc != 0) {
		fprintf(stderr, "emberbox relay: cannot start: %s\n",
			rc == ERR_INVAL ? "realm or a user is too long" : err_str(rc));
		goto fail;
	}
	if (s->public4.family == 4 && !open_listeners(r, &s->bind4, (u16)s->listen_port, &r->data4, &r->control4))
		goto fail;
	if (s->public6.family == 6 && !open_listeners(r, &s->bind6, (u16)s->listen_port, &r->data6, &r->control6))
		goto fail;
	loop_timer_set(loop, &r->report, loop_now(loop));
	return r;
fail:
	relay_free(r);
	return NULL;
}

static void close_listener(struct listener *l)
{
	loop_fd_del(l->watch);
	relay_sock_close(l->sock);
}

void relay_free(struct relay *r)
{
	if (!r)
		return;
	turn_server_free(r->server);
	loop_timer_clear(r->loop, &r->expiry);
	loop_timer_clear(r->loop, &r->report);
	close_listener(&r->data4);
	close_listener(&r->data6);
	close_listener(&r->control4);
	close_listener(&r->control6);
	relay_ring_free(r->ring);
	free(r);
}

const struct turn_server_stats *relay_stats(const struct relay *r)
{
	return turn_server_stats(r->server);
}
