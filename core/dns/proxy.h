/* core/dns/proxy.h: a forwarding DNS server without its sockets: who asks, what the rules say, cache, upstream, the answer in its size.
 *
 *   query ──proxy_input──▶ client known? rate? ─▶ cache ─▶ rules (split.h) ─▶ answer at once: PROXY_ANSWER
 *                               │ no: REFUSED or silence         │
 *                               ▼                                └─▶ forwarder ── … ──▶ proxy_answer ──▶ answer, or the next name is asked
 *                          PROXY_SILENCE
 *
 * The forwarder (forward.h) is borrowed; its owner moves its exchanges and hands what it answers to proxy_answer(). All groups of the
 * forwarder are the proxy's. Rules may be replaced while queries are in flight: those end as they began.
 *
 * Over UDP an answer is cut to what its asker takes, at most DNS_EDNS_UDP bytes, and sent with TC. An answer from the cache costs one
 * look-up and one copy; nothing is allocated per query here.
 *
 * The name that was asked and the name that is forwarded differ for search domains and aliases of static records: the answer then has the
 * alias first and behind it the answer section of what came, its names written out.
 */
#pragma once

#include "core/dns/cache.h"
#include "core/dns/clients.h"
#include "core/dns/split.h"

#define PROXY_QUERIES_MAX 4000u     /* in flight; more are answered SERVFAIL */
#define PROXY_CACHE_BYTES (3u << 20)
#define PROXY_GROUPS_MAX 192u       /* lists of servers, those included that only end what they began */
#define PROXY_ALIAS_TTL 60u         /* secs, at most, of the alias that a search domain makes */

struct proxy;

struct proxy_client {
	struct endpoint addr;
	struct ip local; /* the owner's: the address that was asked, where that tells something */
	u64 via;         /* likewise: by which socket or connection the answer goes */
	bool is_tcp;
};

enum proxy_outcome {
	PROXY_CACHED, PROXY_FORWARDED, PROXY_STATIC, PROXY_SPECIAL, PROXY_BLOCKED, PROXY_FAILED,
	PROXY_FOREIGN,   /* the client is none of those served */
	PROXY_TOO_FAST,
	PROXY_UNSUPPORTED, /* class, opcode or zone transfer */
	PROXY_OUTCOMES,
};

/* One line of the query log. Pointers are valid during the call. */
struct proxy_note {
	const struct proxy_client *client;
	const struct dns_question *question;
	enum proxy_outcome outcome;
	u8 rcode;
	u32 group; /* PROXY_FORWARDED */
	u64 took;  /* ns */
};

struct proxy_config {
	struct forwarder *forwarder; /* borrowed */
	struct rng *rng;             /* borrowed */
	size_t cache_bytes;          /* 0: nothing is kept */
	u32 queries_max;             /* 0: PROXY_QUERIES_MAX */
	void (*on_query)(void *ctx, const struct proxy_note *note); /* NULL: nobody wants to know */
	void *ctx;
};

/* NULL: out of memory. Without rules everything is answered SERVFAIL. */
struct proxy *proxy_new(const struct proxy_config *cfg);
void proxy_free(struct proxy *p);

/* Replaces rules and clients, taking both over (`*clients` is emptied; on failure both stay the caller's and the old ones in force), and empties
 * the cache. ERR_LIMIT, ERR_NOMEM. */
int proxy_set_rules(struct proxy *p, u64 now, struct split *split, struct clients *clients, bool refuses_silently) MUST_CHECK;
/* Replaces the cache by an empty one of another size. ERR_NOMEM: the old one stays. */
int proxy_set_cache(struct proxy *p, size_t bytes) MUST_CHECK;
void proxy_set_observer(struct proxy *p, void (*on_query)(void *ctx, const struct proxy_note *note), void *ctx);
void proxy_clear_cache(struct proxy *p);

enum proxy_result { PROXY_ANSWER, PROXY_LATER, PROXY_SILENCE };
/* `out` has at least DNS_EDNS_UDP bytes, for TCP DNS_MESSAGE_MAX. PROXY_ANSWER: `*n` bytes of it are the answer. PROXY_LATER: the forwarder was
 * asked; the answer comes out of proxy_answer(). */
enum proxy_result proxy_input(struct proxy *p, u64 now, const struct proxy_client *client, struct span query, struct mspan out, size_t *n);

struct proxy_answer {
	struct proxy_client client;
	struct span message; /* valid until the next call */
};
/* What the forwarder answered. False: nobody waits for it, or another name is asked now. */
bool proxy_answer(struct proxy *p, u64 now, const struct dns_answer *a, struct proxy_answer *out);
/* The connection `via` is gone: its queries are forgotten. */
void proxy_forget(struct proxy *p, u64 via);

struct proxy_stats {
	u64 queries, tcp_queries;
	u64 outcomes[PROXY_OUTCOMES];
	u64 malformed;  /* FORMERR, or silence for what is no query at all */
	u64 truncated;
	u64 over_limit; /* too many in flight */
	u64 searched;   /* further names asked */
	u64 servfail;   /* answers with this code, ours and others' */
	u32 in_flight;
};
const struct proxy_stats *proxy_stats(const struct proxy *p);
const struct dns_cache_stats *proxy_cache_stats(const struct proxy *p); /* NULL: there is no cache */
const struct split *proxy_rules(const struct proxy *p);                 /* NULL: none yet */
/* The forwarder's key of a group of the rules. */
u32 proxy_group_key(const struct proxy *p, u32 group);
