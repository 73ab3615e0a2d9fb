/* core/dns/cache.h: answers that may be given again (RFC 2308, RFC 8767 for what is allowed beyond; spec 30 §10.5).
 *
 * Whole responses are stored as they came; a hit is one look-up, one copy and the patching of ID and TTLs at offsets noted when it was
 * stored. Memory is bounded by bytes and given back least recently used first. One cache may hold answers of several views (upstream
 * groups): `view` is part of the key. Nothing is allocated after dns_cache_new() but what the byte limit covers.
 *
 * Two ways to keep what came:
 *   DNS_CACHE_TUNNEL  the client's (spec 30 §10.5): NOERROR, untruncated, >= 1 answer record, smallest TTL among answer records of the type
 *                     asked >= 5 s; a hit has the new query's ID and question and the answer records only.
 *   DNS_CACHE_PROXY   dns-proxy's: also negative answers by their SOA (NXDOMAIN and NODATA, RFC 2308 §5), all sections kept, keyed by
 *                     class, DO and CD too; TTLs above DNS_CACHE_TTL_MAX count as that; a message with TTL 0 is not kept.
 */
#pragma once

#include "core/base/rng.h"
#include "core/base/time.h"
#include "core/dns/message.h"

#define DNS_CACHE_TTL_MIN SEC(5)      /* DNS_CACHE_TUNNEL */
#define DNS_CACHE_TTL_MAX SEC(86400)
#define DNS_CACHE_NEGATIVE_MAX SEC(3600)

enum dns_cache_mode { DNS_CACHE_TUNNEL, DNS_CACHE_PROXY };

struct dns_cache;

/* `bytes` bounds everything it takes, tables included. NULL: out of memory. */
struct dns_cache *dns_cache_new(enum dns_cache_mode mode, size_t bytes, struct rng *rng);
void dns_cache_free(struct dns_cache *c);

/* Keeps a response to `q` if the mode allows; what is not allowed is just not kept. `response` was parsed as `r` and matches. */
void dns_cache_put(struct dns_cache *c, u64 now, u32 view, const struct dns_query *q, struct span response, const struct dns_response *r);
/* The length of the whole answer to `query`, 0: a miss. It is in `out`, or, when it is longer than out.n, nowhere. */
size_t dns_cache_get(struct dns_cache *c, u64 now, u32 view, struct span query, const struct dns_query *q, struct mspan out);
void dns_cache_clear(struct dns_cache *c);

struct dns_cache_stats {
	u64 hits, misses, stored, not_kept, expired, evicted;
	u32 entries;
	size_t bytes;
};
const struct dns_cache_stats *dns_cache_stats(const struct dns_cache *c);
