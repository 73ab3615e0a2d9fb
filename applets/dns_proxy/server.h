/* applets/dns_proxy/server.h: the sockets that clients use: UDP in batches, TCP connections with limits. What is said is the proxy's business
 * (core/dns/proxy.h).
 *
 * A readable UDP socket is emptied batch by batch, at most SERVER_BATCHES at a time; of each batch those that are answered at once
 * leave by one system call. A TCP connection beyond SERVER_CONNS_MAX, or beyond SERVER_CONNS_PEER_MAX of one address (loopback: all), is
 * closed at once and counted. Limits of a connection: core/dns/stream.h.
 */
#pragma once

#include "core/dns/proxy.h"
#include "core/loop/loop.h"

#define SERVER_PLACES_MAX 16u
#define SERVER_BATCHES 16u
#define SERVER_CONNS_MAX 256u
#define SERVER_CONNS_PEER_MAX 32u

struct server;

struct server_config {
	struct proxy *proxy;              /* borrowed */
	void (*on_asked)(void *ctx);      /* the forwarder may have something to do */
	void *ctx;
};

struct server *server_new(struct loop *l, const struct server_config *cfg); /* NULL: out of memory */
void server_free(struct server *s);                                         /* NULL is allowed */
/* UDP and TCP. The reasons of udp_server_open() and tcp_listen(), and ERR_LIMIT; `*is_tcp` tells which of them it was. */
int server_listen(struct server *s, const struct endpoint *at, bool *is_tcp) MUST_CHECK;
/* What came out of proxy_answer(). */
void server_answer(struct server *s, u64 now, const struct proxy_answer *a);

struct server_stats {
	u64 udp_received, udp_sent, udp_too_long, udp_not_sent;
	u64 udp_receives, udp_sends; /* system calls */
	u64 tcp_connections, tcp_over_limit;
	u32 connections; /* now */
};
void server_stats(const struct server *s, struct server_stats *out);
