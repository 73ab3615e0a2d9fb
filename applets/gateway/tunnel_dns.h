/* applets/gateway/tunnel_dns.h: the DNS server on the gateway's tunnel addresses, port 53535 UDP and TCP (spec 40 §11).
 *
 * Clients send here what they want answered in the site: SRV, TXT and other types of names of DNS resources. It only moves messages: what is
 * asked goes out by `ask`, what is answered comes back by tunnel_dns_answer().
 *
 *      tunnel_dns_bind ──▶ [binding] ── every socket is open ──▶ [serving] ── tunnel_dns_bind: all closed ──▶ [binding]
 *                             │ a socket failed: all closed, 100 ms, again
 *                             └── TUNNEL_DNS_ATTEMPTS failed ──▶ [idle], on_failed
 *
 * An answer over UDP has at most TUNNEL_DNS_UDP_MAX bytes and never more than the asker takes, else it is cut to its question, with TC.
 * What is no query with one question gets no answer, nor does who is no client: a host routes packets of its other networks to these addresses
 * too. Whoever is beyond a limit gets none either and asks again; it is counted.
 */
#pragma once

#include "core/dns/forward.h"
#include "core/loop/loop.h"

#define TUNNEL_DNS_PORT 53535u        /* both sides have it built in */
#define TUNNEL_DNS_ATTEMPTS 3u
#define TUNNEL_DNS_PAUSE MSEC(100)    /* after a failed attempt */
#define TUNNEL_DNS_QUERIES_MAX 1000u  /* in flight */
#define TUNNEL_DNS_PEER_QUERIES_MAX 250u /* of one client */
#define TUNNEL_DNS_CONNS_MAX 256u
#define TUNNEL_DNS_PEER_CONNS_MAX 16u /* of one client */
#define TUNNEL_DNS_UDP_MAX 1200u

struct tunnel_dns;

struct tunnel_dns_config {
	u16 port; /* 0: any free one, the same for TCP is not promised; for tests */
	struct cidr clients[2]; /* who is served; family 0: none */
	/* Takes one query; the answer comes by tunnel_dns_answer(), not before this returns. An error: it is answered SERVFAIL. */
	int (*ask)(void *ctx, u64 now, struct span query, const struct dns_query *q, bool came_by_tcp, u64 token);
	void (*forget)(void *ctx, u64 token); /* nobody waits for that one any more */
	void (*on_failed)(void *ctx, int err); /* none of the attempts succeeded */
	void *ctx;
};

struct tunnel_dns *tunnel_dns_new(struct loop *l, const struct tunnel_dns_config *cfg); /* NULL: out of memory */
void tunnel_dns_free(struct tunnel_dns *s); /* NULL is allowed */

/* Serves exactly these addresses from now on; those of family 0 are left out. Open queries and connections end. */
void tunnel_dns_bind(struct tunnel_dns *s, u64 now, const struct ip *addrs, size_t n);
void tunnel_dns_answer(struct tunnel_dns *s, u64 now, const struct dns_answer *a);

struct tunnel_dns_stats {
	u64 binds, bind_failures;
	u64 udp_queries, tcp_queries, tcp_connections;
	u64 answered, truncated, servfail;
	u64 ignored;    /* not a query with one question */
	u64 strangers;  /* datagrams and connections of who is no client */
	u64 over_limit; /* queries and connections */
	u32 in_flight, connections; /* now */
};
struct tunnel_dns_stats tunnel_dns_stats(const struct tunnel_dns *s);
/* Where the i-th socket listens: those of the first address UDP then TCP, then of the second. ERR_NOT_FOUND. */
int tunnel_dns_local(const struct tunnel_dns *s, size_t i, struct endpoint *out);
