/* applets/common/dns_sockets.h: carries out the exchanges of a forwarder (core/dns/forward.h) on real sockets, driven by the loop.
 *
 *      forwarder ── exchanges ──▶ [this] ──▶ UDP, TCP, HTTPS outside the tunnel
 *                                   │  └───▶ on_exchange: servers inside the tunnel, carried by the owner
 *                                   └── answers ──▶ on_answer
 *
 * It owns the forwarder's time too: the owner calls forwarder_ask(), forwarder_set_group() and the like and then dns_sockets_kick(); all the
 * rest happens from the loop. No callback comes from inside a call of the owner.
 *
 * UDP    connected sockets with ports drawn by the system; each datagram leaves by one chosen at random of up to DNS_UDP_SOCKETS of its server,
 *        and a socket gives way to a fresh one after DNS_UDP_QUERIES queries or DNS_SOCKETS_IDLE of rest. Queries that come in one turn of
 *        the loop leave by one system call.
 * TCP    connections are kept while used, and pipelined; a second one to the same server opens when DNS_TCP_PIPELINE queries wait.
 *        A query lost with a connection that had worked is asked once more over a new one.
 * HTTPS  core/dns/doh.h, one connection per resolver, kept alive by its pings. The host name is looked up at the bootstrap servers (plain UDP, A + AAAA, 2 s,
 *        spec 30 §10.4) when its addresses are older than DNS_BOOTSTRAP_FRESH or led nowhere; if that fails those of the last time are
 *        tried. After a connection that could not be made a new one is not tried for DNS_HTTPS_PAUSE, doubling up to
 *        DNS_HTTPS_PAUSE_MAX; queries then fail at once.
 *
 * Everything is bounded; what exceeds a limit fails its exchange, so that the forwarder tries the next server, and is counted.
 */
#pragma once

#include "core/dns/forward.h"
#include "core/loop/loop.h"

#define DNS_SERVERS_MAX 256u        /* with sockets at a time */
#define DNS_FLIGHTS_MAX 8192u       /* exchanges under way */
#define DNS_UDP_SOCKETS 16u         /* of one server, those that only wait for late answers not counted */
#define DNS_UDP_QUERIES 256u        /* that one socket sends */
#define DNS_SOCKETS_IDLE SEC(10)
#define DNS_TCP_CONNECTIONS 4u      /* of one server */
#define DNS_TCP_PIPELINE 50u
#define DNS_HTTPS_CONNECTIONS 2u    /* of one resolver: one that takes queries and one that ends */
#define DNS_HTTPS_PAUSE MSEC(500)
#define DNS_HTTPS_PAUSE_MAX SEC(30)
#define DNS_BOOTSTRAP_MAX 8u
#define DNS_BOOTSTRAP_FRESH MINUTES(5)

struct dns_sockets;
struct tls_anchors;

struct dns_sockets_config {
	u32 mark;                          /* SO_MARK of all sockets, 0 = none */
	struct rng *rng;                   /* borrowed */
	u16 bootstrap_port;                /* 0 = 53 */
	const struct tls_anchors *anchors; /* borrowed; NULL: exchanges over HTTPS fail with ERR_UNSUPPORTED */
	/* The answer's message is borrowed until the callback returns or asks the forwarder. */
	void (*on_answer)(void *ctx, const struct dns_answer *a, u64 now);
	/* An exchange of a server with is_in_tunnel, or the cancel of one; NULL: such exchanges fail. Report by forwarder_response() and
	 * forwarder_failed(), then kick. */
	void (*on_exchange)(void *ctx, const struct dns_exchange *e, u64 now);
	void *ctx;
};

/* Loop and forwarder are borrowed and must outlive it. NULL: out of memory. */
struct dns_sockets *dns_sockets_new(struct loop *loop, struct forwarder *f, const struct dns_sockets_config *cfg);
void dns_sockets_free(struct dns_sockets *s);

/* The forwarder was called: look what it wants, soon. */
void dns_sockets_kick(struct dns_sockets *s);

/* Who tells the addresses of DNS-over-HTTPS hosts, instead of /etc/resolv.conf; n = 0: that file again. At most DNS_BOOTSTRAP_MAX. */
void dns_sockets_set_bootstrap(struct dns_sockets *s, const struct ip *servers, size_t n);
/* Instead of the configuration's; for owners that load them once a resolver over HTTPS is configured. */
void dns_sockets_set_anchors(struct dns_sockets *s, const struct tls_anchors *anchors);
/* Connects to a resolver over HTTPS before the first query; nothing for other transports. */
void dns_sockets_prepare(struct dns_sockets *s, const struct dns_server *server);
/* Roaming (spec 30 §13): all sockets and connections are dropped and the forwarder is reset: what is in flight ends with SERVFAIL. */
void dns_sockets_reset(struct dns_sockets *s);

struct dns_sockets_stats {
	u64 udp_sent, udp_received, udp_sends, udp_receives; /* datagrams; system calls */
	u64 udp_opened, udp_unmatched, udp_errors;           /* sockets; answers to nothing asked; refused by system or peer */
	u64 tcp_opened, tcp_failed, tcp_sent, tcp_received;  /* connections; queries, answers */
	u64 https_opened, https_failed, https_sent, https_received;
	u64 over_limit;
	u32 udp_sockets, tcp_connections, https_connections, flights; /* now */
};
const struct dns_sockets_stats *dns_sockets_stats(const struct dns_sockets *s);
