/* core/dns/name.h: domain names (RFC 1035 §3.1, §4.1.4).
 *
 * A name is kept as uncompressed wire octets, root label included, in the case in which it came; comparing and hashing ignore the case
 * of ASCII letters. The text form has no final dot (the root is "."); space, '.' and '\' inside a label are written `\x`, octets
 * outside 0x20–0x7e `\DDD` (spec 30 §7.1).
 */
#pragma once

#include "core/base/cursor.h"
#include "core/base/err.h"
#include "core/ip/addr.h"

#define DNS_NAME_MAX 255u     /* octets on the wire */
#define DNS_LABEL_MAX 63u
#define DNS_NAME_STRLEN 1012u /* text with every octet escaped, and its NUL */
#define DNS_LABELS_MAX 127u
#define DNS_NAME_FIRST 12u    /* the header is no place for a name: pointers lead to here or behind */

struct dns_name {
	u8 len; /* 1..255 */
	u8 wire[DNS_NAME_MAX];
};

/* The name at the reader's place within `message`, which starts at the header; the reader moves behind it. Pointers must lead backwards
 * to a name that ends before the present one began, at most DNS_LABELS_MAX of them. ERR_MALFORMED; the reader then stays. */
int dns_name_read(struct rd *r, struct span message, struct dns_name *out) MUST_CHECK;
/* A final dot is allowed; escapes as above. ERR_INVAL: empty or overlong label, overlong name. */
int dns_name_from_text(const char *text, struct dns_name *out) MUST_CHECK;
char *dns_name_text(const struct dns_name *n, char buf[static DNS_NAME_STRLEN]);

bool dns_name_eq(const struct dns_name *a, const struct dns_name *b);
/* The same of n octets of uncompressed names or labels. */
bool dns_octets_eq(const u8 *a, const u8 *b, size_t n);
void dns_octets_fold(u8 *out, const u8 *in, size_t n); /* may be the same place */
/* Lower-case ASCII, for table keys. The octets behind `len` become zero, so that the struct may be compared as memory. */
void dns_name_fold(struct dns_name *n);
/* `n` is `parent` or below it. */
bool dns_name_is_under(const struct dns_name *n, const struct dns_name *parent);
unsigned dns_name_labels(const struct dns_name *n); /* without the root */
/* `n` + `suffix`. ERR_LIMIT: longer than a name can be. */
int dns_name_append(struct dns_name *n, const struct dns_name *suffix) MUST_CHECK;

/* The address whose reverse name this is (full-length in-addr.arpa or ip6.arpa); false for any other name. */
bool dns_name_reverse(const struct dns_name *n, struct ip *out);
void dns_name_of_ip(const struct ip *ip, struct dns_name *out);
