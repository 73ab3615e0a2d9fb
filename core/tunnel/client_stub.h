/* core/tunnel/client_stub.h: the client's own part of the DNS: names of resources and their proxy addresses (spec 30 §8, §9.2–§9.3).
 *
 * Two tables meet here. *Patterns* come and go with the resources of the portal. *Records* are names that were asked for and matched: each has four
 * IPv4 and four IPv6 proxy addresses, for as long as the process lives, whatever becomes of the resources. A record notes which patterns
 * matched when its name was asked; only those among them whose resource is there now make its addresses routable.
 *
 * Record number k owns the addresses 4k … 4k+3 of either range, so an address leads to its record by arithmetic. The IPv4 range leaves out its
 * first and last address and the sentinels.
 *
 *	query ──▶ stub_decide ──┬─▶ STUB_LOCAL    the answer is written (and perhaps the record made)
 *	                        ├─▶ STUB_SITE     the gateway of `owner` shall resolve it (spec 30 §9.4)
 *	                        └─▶ STUB_FORWARD  not ours
 *
 * Borrows what resources lend (filter, owner) until stub_remove(). Look-ups never allocate; a first query of a name does.
 */
#pragma once

#include "core/base/rng.h"
#include "core/dns/message.h"
#include "core/dns/pattern.h"
#include "core/tunnel/filter.h"

#define STUB_PROXIES 4u           /* of each family, of one name */
#define STUB_NAMES_MAX 80000u     /* some 12 MB; the range has addresses for six times as many. What a name was given is never given to another */
#define STUB_PATTERNS_MAX 65536u  /* of present resources, and of former ones that a record remembers */
#define STUB_LOCAL_TTL 1u         /* seconds (spec 30 §1.2) */

struct stub;

/* What a name has to do with one pattern; lists of them hang on records. Most of it is the stub's own. */
struct stub_pair {
	struct stub_pattern *pattern;
	struct stub_pair *next;
};

/* One resource's pattern, present while `owner` is not NULL. */
struct stub_pattern {
	struct uuid id; /* of the resource */
	struct dns_pattern pattern;
	enum msg_ip_stack ip_stack;
	const struct filter *filter;
	void *owner;
	u32 n_records; /* that remember it */
	struct stub_pattern *next, **link;
};

struct dns_nat;

struct stub_record {
	u32 number;             /* 0, 1, 2 … in the order of first queries */
	struct stub_pair *pairs;
	struct dns_nat *nat;    /* the list of core/tunnel/client_dns_nat.h */
	struct stub_record *next_of_hash;
	u8 len;
	u8 wire[];              /* the name, lower case */
};

struct stub *stub_new(struct rng *rng); /* NULL: out of memory */
void stub_free(struct stub *s);

/* A DNS resource. ERR_INVAL, ERR_LIMIT: of its pattern; it is then no DNS resource at all. ERR_EXISTS: this id is here. ERR_NOMEM. */
int stub_add(struct stub *s, const struct uuid *id, const char *pattern, enum msg_ip_stack stack, const struct filter *filter, void *owner) MUST_CHECK;
void stub_remove(struct stub *s, const struct uuid *id); /* unknown ids are ignored */

enum stub_decision { STUB_LOCAL, STUB_SITE, STUB_FORWARD };

struct stub_answer {
	struct stub_record *record; /* STUB_LOCAL: of the name asked, NULL when it has none */
	void *owner;                /* STUB_SITE: most specific pattern, then greatest id */
	bool has_new_routes;        /* a pair was added: cached routes are void */
};

/* STUB_LOCAL has written a whole answer to `w`, SERVFAIL, counted, when memory or names are used up. Otherwise `w` is untouched. */
enum stub_decision stub_decide(struct stub *s, struct span query, const struct dns_query *q, struct wr *w, struct stub_answer *out);

/* Some resource has this name. */
bool stub_covers(const struct stub *s, const struct dns_name *name);

/* The record an address belongs to, NULL for any other address. */
struct stub_record *stub_record_of_ip(const struct stub *s, const struct ip *ip);
struct stub_record *stub_record_of_name(const struct stub *s, const struct dns_name *name);
/* Number k, NULL behind the last: for walking all. */
struct stub_record *stub_record_at(const struct stub *s, u32 number);
/* IPv4 first; `out` has room for 2 * STUB_PROXIES. */
void stub_proxies(const struct stub_record *r, struct ip *out);
void stub_name(const struct stub_record *r, struct dns_name *out);

/* Which resource a packet to this proxy address is for: among the present ones the greatest by (filter permits, more specific pattern, greater
 * id) (spec 30 §4.1). Its owner; NULL when there is none. */
void *stub_route(const struct stub *s, const struct ip *ip, enum l4_kind kind, u16 port, bool *permits);

struct stub_stats {
	u32 patterns, records;
	u64 local, site, forwarded, exhausted;
};
void stub_stats(const struct stub *s, struct stub_stats *out);
