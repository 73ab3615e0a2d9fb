/* applets/gateway/site_dns.h: how a gateway asks the resolvers of its site, the system's (spec 40 §9.3, §11).
 *
 *      names of DNS resources ──▶ site_dns_resolve ──▶ hosts file, cache, search list ──┐
 *                                                                                      ├──▶ resolvers of resolv.conf, the quickest first
 *      queries of clients     ──▶ site_dns_ask ────────────────────────────────────────┘
 *
 * Both files are read at start and again when they change, which is looked for every SITE_DNS_REREAD. Without a resolver names resolve to
 * what the hosts file has, and queries are refused with ERR_NOT_FOUND. Who is quickest is known by what the forwarder measures on real
 * queries. Results and answers come from the loop, never from inside a call.
 */
#pragma once

#include "core/dns/forward.h"
#include "core/loop/loop.h"

#define SITE_DNS_REREAD SEC(10)
#define SITE_DNS_QUERIES_MAX 4000u        /* in flight: two for each lookup, and those of clients */
#define SITE_DNS_FILE_MAX (4u << 20)      /* of either file; a longer one counts as missing */

struct site_dns;
struct lookup_result;

struct site_dns_config {
	const char *resolv_conf, *hosts; /* NULL: those of /etc */
	struct rng *rng;
	u32 mark; /* of its sockets, 0 = none */
	void (*on_resolved)(void *ctx, u64 now, const struct lookup_result *r);
	void (*on_answer)(void *ctx, u64 now, const struct dns_answer *a);
	void *ctx;
};

struct site_dns *site_dns_new(struct loop *l, const struct site_dns_config *cfg); /* NULL: out of memory */
void site_dns_free(struct site_dns *d);                                           /* NULL is allowed */

/* As lookup_start() and forwarder_ask(). Tokens of queries have LOOKUP_TOKEN clear. */
int site_dns_resolve(struct site_dns *d, u64 now, const char *name, u64 token) MUST_CHECK;
int site_dns_ask(struct site_dns *d, u64 now, struct span query, const struct dns_query *q, bool came_by_tcp, u64 token) MUST_CHECK;
void site_dns_forget(struct site_dns *d, u64 token); /* of a query */

size_t site_dns_servers(const struct site_dns *d);
