/* core/dns/pattern.h: the address pattern of a DNS resource or rule (spec 30 §8, spec 40 §9.4).
 *
 *      ?    one character, not a dot          *.x   also matches x itself
 *      *    any characters within one label   [abc] [!abc] [a-z]   one character, not a dot
 *      **   zero or more whole labels, as the last label one or more; must be alone in its label
 *
 * ASCII case-insensitive, on the text form of a name without its final dot. Matching takes time at most proportional to
 * pattern × name, never exponential. A pattern of other scripts matches no name: names are not converted.
 */
#pragma once

#include "core/dns/name.h"

#define DNS_PATTERN_MAX 253u

/* Lower-cased and checked. Copyable. */
struct dns_pattern {
	u8 len;
	u8 tail_len; /* octets at the end that every matching name but the remainder of `*.x` ends with: most are told apart by these */
	char text[DNS_PATTERN_MAX + 1];
};

/* ERR_INVAL: `**` glued to other characters, `***`, an open bracket, empty, not UTF-8. ERR_LIMIT: too long. */
int dns_pattern_init(struct dns_pattern *p, const char *text) MUST_CHECK;
bool dns_pattern_matches(const struct dns_pattern *p, const struct dns_name *name);
/* Of a name against many patterns: its text is made once. Returns the text's length. */
size_t dns_pattern_text(const struct dns_name *name, char buf[static DNS_NAME_STRLEN]);
bool dns_pattern_matches_text(const struct dns_pattern *p, const char *text, size_t len);
/* > 0: `a` is more specific; 0 only for equal patterns (spec 30 §8.2). A total order: transitive, antisymmetric. */
int dns_pattern_cmp(const struct dns_pattern *a, const struct dns_pattern *b);
