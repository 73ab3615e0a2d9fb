/* applets/common/dns_listener.h: DNS over TCP for those who ask us: listening sockets and the connections that came (RFC 7766).
 *
 *      accepted ──▶ [open] ── query ──▶ on_query ── dns_listener_reply() or _drop(), at once or later ──▶ [open]
 *          │           └── the peer's end, idleness, bad bytes, an answer that cannot be taken ──▶ closed, on_closed
 *          └── no stranger, no place left for it: closed at once and counted
 *
 * What a connection may hold is said in core/dns/stream.h. Without descriptors accepting rests for DNS_LISTENER_PAUSE. A connection is known by
 * a number that never comes again, so late answers to one that is gone do no harm.
 */
#pragma once

#include "core/ip/addr.h"
#include "core/loop/loop.h"

#define DNS_LISTENER_PLACES_MAX 16u
#define DNS_LISTENER_CONNS_MAX 65536u
#define DNS_LISTENER_PAUSE MSEC(200)

struct dns_listener;

struct dns_listener_config {
	u32 conns_max;         /* at most DNS_LISTENER_CONNS_MAX */
	u32 conns_of_peer_max; /* of one address */
	bool spares_loopback;  /* the latter does not hold there */
	bool (*is_welcome)(void *ctx, const struct ip *peer); /* NULL: everybody */
	/* `conn` is never 0. The query is borrowed until this returns. */
	void (*on_query)(void *ctx, u64 now, u64 conn, const struct endpoint *peer, struct span query);
	void (*on_closed)(void *ctx, u64 conn); /* it waits for answers no more; only told when it did */
	void *ctx;
};

struct dns_listener *dns_listener_new(struct loop *loop, const struct dns_listener_config *cfg); /* NULL: out of memory */
void dns_listener_free(struct dns_listener *l);                                                 /* NULL is allowed */

/* One more address. ERR_LIMIT, ERR_NOMEM and the reasons of tcp_listen(). */
int dns_listener_open(struct dns_listener *l, const struct endpoint *local) MUST_CHECK;
/* All addresses and connections. */
void dns_listener_close(struct dns_listener *l);
/* Where the i-th address listens. ERR_NOT_FOUND. */
int dns_listener_local(const struct dns_listener *l, u32 i, struct endpoint *out);

/* Each query ends in one of these; unknown connections are ignored. */
void dns_listener_reply(struct dns_listener *l, u64 now, u64 conn, struct span message);
void dns_listener_drop(struct dns_listener *l, u64 now, u64 conn);

struct dns_listener_stats {
	u64 accepted, over_limit, strangers;
	u32 connections; /* now */
};
const struct dns_listener_stats *dns_listener_stats(const struct dns_listener *l);
