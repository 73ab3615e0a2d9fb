/* core/dns/lookup.h: what getaddrinfo() does: a name becomes its IPv4 and IPv6 addresses (spec 40 §9.3, RFC 1034 §5.3.1, RFC 6761 §6.3).
 *
 *      lookup_start ──▶ address literal, `localhost`, hosts table ────────────────────────────────────────▶ lookup_poll
 *                   └─▶ [candidate name 1] ── A and AAAA: cache, else forwarder ── any address ───────────▶    │
 *                            │ ▲                                             10 s over: ERR_TIMEOUT ──────▶    │
 *                            ▼ └─ none: the next candidate; after the last one an empty list ─────────────▶    ▼
 *
 * Candidates of a relative name: with more labels than `ndots` as it is first, then with the system domain and each search suffix;
 * otherwise the suffixes first and as it is last. A final dot means: as it is only. Both families of one candidate are asked at once and
 * decide together, so that the addresses of one result always belong to one name. CNAMEs are followed within an answer. Answers are
 * cached for the TTL of their records, negative ones by their SOA.
 *
 * It asks by a group of a forwarder that it borrows. The owner of that forwarder hands back what is not its own:
 *
 *	while (forwarder_poll_answer(f, &a))
 *		if (lookup_owns(a.token))
 *			lookup_answer(l, now, &a);
 *		else …
 *
 * The files are read by whoever may; here comes their text. Nothing is allocated but one block per lookup under way, the hosts table and
 * what the cache may take.
 */
#pragma once

#include "core/dns/cache.h"
#include "core/dns/forward.h"

#define LOOKUPS_MAX 1000u             /* under way; more are refused (spec 40 §9.3) */
#define LOOKUP_TIMEOUT SEC(10)        /* of a lookup, all candidates together (spec 40 §9.3) */
#define LOOKUP_CACHE_BYTES (256u << 10) /* 512 answers (spec 40 §9.3) */
#define LOOKUP_ADDRESSES_MAX 64u      /* of one family in a result; further ones are left out */
#define LOOKUP_SEARCH_MAX 16u         /* suffixes, the system domain included */
#define LOOKUP_HOSTS_MAX 65536u       /* (name, address) pairs of a hosts file; further ones are left out and counted */
#define LOOKUP_CNAMES_MAX 16u         /* links of a chain within one answer */
#define LOOKUP_TOKEN (1ull << 63)     /* set in the tokens of ours; other askers of the same forwarder keep it clear */

/* --- resolv.conf(5) ---------------------------------------------------------------------------------------------------------- */

struct lookup_conf {
	struct ip servers[FORWARD_SERVERS_MAX]; /* zone ids cut off, no address twice */
	u32 n_servers;
	struct dns_name search[LOOKUP_SEARCH_MAX]; /* the system domain first, then the last `search` or `domain` line */
	u32 n_search;
	u32 ndots;     /* 1; at most 15 */
	u32 attempts;  /* 2; at most 5 */
	u64 timeout;   /* 5 s; at most 30 s, per attempt */
};

/* Never fails: lines that are not understood are skipped. `hostname` (NULL: none) names the system domain by what follows its first dot
 * when no `domain` line does. */
void lookup_conf_parse(struct lookup_conf *c, struct span text, const char *hostname);
/* Its servers as a group for forwarder_set_group(): UDP on port 53, the quickest first, with timeout × attempts as the deadline, at most
 * LOOKUP_TIMEOUT. `g` borrows `servers`. */
void lookup_conf_group(const struct lookup_conf *c, struct dns_server servers[static FORWARD_SERVERS_MAX], struct forward_group *g);

/* --- the machine ------------------------------------------------------------------------------------------------------------- */

struct lookup;

/* The forwarder is borrowed and must outlive it; it should take two queries per lookup. `group` is defined by the owner. NULL: out of
 * memory. */
struct lookup *lookup_new(struct forwarder *f, u32 group, struct rng *rng);
void lookup_free(struct lookup *l);

/* Search list and ndots; copied. Lookups under way keep the candidates they have. Clears the cache. */
void lookup_set_conf(struct lookup *l, const struct lookup_conf *c);
/* Replaces the hosts table by that of the text of a hosts(5) file. ERR_NOMEM: the old one stays. */
int lookup_set_hosts(struct lookup *l, struct span text) MUST_CHECK;
void lookup_clear_cache(struct lookup *l);

/* The result carries `token`, which may be anything. ERR_INVAL: not a name. ERR_LIMIT: LOOKUPS_MAX. ERR_NOMEM. */
int lookup_start(struct lookup *l, u64 now, const char *name, u64 token) MUST_CHECK;
/* No result comes for it any more. */
void lookup_cancel(struct lookup *l, u64 token);

static inline bool lookup_owns(u64 forwarder_token)
{
	return (forwarder_token & LOOKUP_TOKEN) != 0;
}
void lookup_answer(struct lookup *l, u64 now, const struct dns_answer *a);

struct lookup_result {
	u64 token;
	int error;             /* 0, also for a name that has no address or that nobody could tell; ERR_TIMEOUT: 10 s are over */
	const struct ip *ips;  /* n4 IPv4 addresses, then n6 IPv6 ones, in the order of the answer, none twice; valid until the next call */
	u32 n4, n6;
	bool is_failure;       /* no address, and the reason is not that the name has none: SERVFAIL, REFUSED, no answer */
};
bool lookup_poll(struct lookup *l, struct lookup_result *out);

void lookup_timeout(struct lookup *l, u64 now);
u64 lookup_next_timeout(const struct lookup *l);

struct lookup_stats {
	u64 started, refused_limit, finished, empty, failed, timed_out;
	u64 from_hosts, from_cache;  /* answered by; the latter counts single questions */
	u64 queries;                 /* handed to the forwarder */
	u64 hosts_left_out;
	u32 under_way, hosts;
};
const struct lookup_stats *lookup_stats(const struct lookup *l);
