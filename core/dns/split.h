/* core/dns/split.h: what a configuration says about names: whom to ask for which, what to answer without asking.
 *
 *      a question ──▶ static record ──▶ rule, the most specific (but `**`) ──▶ special name ──▶ blocklist ──▶ single label: search ──▶ `**`, default
 *
 * The first of these that has something to say decides. So a rule also lifts a name out of the blocklist and out of the special names.
 *   static records  all of a name's records; it has no others (NODATA). An alias to a name without records is followed upstream.
 *   rules           patterns of core/dns/pattern.h; a rule names upstream servers, the default ones, or blocks
 *   special names   localhost and below: 127.0.0.1 and ::1, always; invalid, onion, local, test, and the reverse zones of 0/8 and 127/8: NXDOMAIN;
 *                   resolver.arpa: NODATA; use-application-dns.net: NXDOMAIN if wished (RFC 6761, 6762, 7686, 9462)
 *   search          A and AAAA questions for a single label are asked with each suffix; the answer is an alias to the name found
 *
 * Built once by the split_add_… doors, then split_finish(); from then on it is only read. Asking allocates nothing.
 */
#pragma once

#include "core/dns/blocklist.h"
#include "core/dns/forward.h"
#include "core/dns/pattern.h"

#define SPLIT_RULES_MAX 4096u
#define SPLIT_GROUPS_MAX 64u     /* different lists of upstream servers, the default included */
#define SPLIT_RECORDS_MAX 65536u /* derived PTR records included */
#define SPLIT_SEARCH_MAX 8u
#define SPLIT_RDATA_MAX 4096u
#define SPLIT_ALIASES_MAX 8u     /* links of a chain of static aliases */
#define SPLIT_ANSWER_MAX 32768u  /* bytes of static records of one name and type: a larger set is refused */
#define SPLIT_LOCAL_TTL 60u      /* secs, of blocked and special names' addresses */
#define SPLIT_DEFAULT 0u         /* the group of the default servers */

struct split;

enum split_reason { SPLIT_BY_RECORD, SPLIT_BY_SPECIAL, SPLIT_BY_BLOCK, SPLIT_BY_RULE, SPLIT_BY_SEARCH, SPLIT_BY_DEFAULT };
enum split_action {
	SPLIT_ANSWER, /* the answer was written */
	SPLIT_ASK,    /* ask `group` */
	SPLIT_ALIAS,  /* the name is an alias: ask `group` for `target` */
	SPLIT_SEARCH, /* ask for split_candidate() 0, 1, … */
	SPLIT_REFUSE, /* nobody to ask: SERVFAIL */
};

struct split_verdict {
	enum split_action action;
	enum split_reason reason;
	u32 group;
	u32 ttl;                /* SPLIT_ALIAS: of the alias */
	struct dns_name target; /* SPLIT_ALIAS */
};

struct split *split_new(struct rng *rng); /* NULL: out of memory */
void split_free(struct split *s);         /* NULL is allowed */

/* --- building: ERR_LIMIT, ERR_NOMEM --- */
int split_set_default(struct split *s, const struct dns_server *servers, size_t n) MUST_CHECK;
enum split_rule_kind { SPLIT_RULE_SERVERS, SPLIT_RULE_DEFAULT, SPLIT_RULE_BLOCK };
/* ERR_INVAL: not a pattern. ERR_EXISTS: the pattern has a rule. Servers are for SPLIT_RULE_SERVERS only. */
int split_add_rule(struct split *s, const char *pattern, enum split_rule_kind kind, const struct dns_server *servers, size_t n) MUST_CHECK;
/* A, AAAA, CNAME (`rdata` an uncompressed name), TXT and any other type. An address also makes the PTR record of its reverse name unless that
 * has records. ERR_EXISTS: an alias beside other records of the name. */
int split_add_record(struct split *s, const struct dns_name *name, u16 type, u32 ttl, struct span rdata) MUST_CHECK;
int split_add_search(struct split *s, const struct dns_name *suffix) MUST_CHECK;
/* Takes it over. `with_zero`: addresses 0.0.0.0 and :: instead of NXDOMAIN, also for rules that block. */
void split_set_blocklist(struct split *s, struct blocklist *b, bool with_zero);
/* use-application-dns.net is NXDOMAIN, so that browsers do not go around this server. */
void split_hide_application_dns(struct split *s, bool hides);
void split_finish(struct split *s);

/* --- asking --- */
/* SPLIT_ANSWER: the answer to `query`, parsed as `q`, class IN, is in `w`, without OPT; unless wr_ok() says that it did not fit. */
struct split_verdict split_decide(const struct split *s, struct span query, const struct dns_query *q, struct wr *w);
/* The i-th name to try for a single label and its group; after the suffixes the name as it is. ERR_NOT_FOUND: no more.
 * ERR_LIMIT: with this suffix it is too long. */
int split_candidate(const struct split *s, const struct dns_name *name, u32 i, struct dns_name *out, u32 *group) MUST_CHECK;
/* The servers of a group; 0 when there are none. */
size_t split_group(const struct split *s, u32 group, const struct dns_server **servers);

struct split_counts {
	u32 rules, records, search, groups, blocked_names;
	size_t blocklist_bytes;
};
struct split_counts split_counts(const struct split *s);
