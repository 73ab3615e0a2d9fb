/* platform/linux/resolver_wire.h: the few DNS messages a bootstrap look-up needs (RFC 1035 §4); private to the resolver. */
#pragma once

#include "core/ip/addr.h"

#define DNS_NAME_MAX 255u   /* on the wire */
#define DNS_QUERY_MAX (12u + DNS_NAME_MAX + 4u)
#define DNS_TYPE_A 1u
#define DNS_TYPE_AAAA 28u

/* Host name (a trailing dot is allowed) to labels; ERR_INVAL. Returns the length. */
int dns_name_encode(const char *host, u8 out[static DNS_NAME_MAX]) MUST_CHECK;

size_t dns_query_encode(u16 id, const u8 *name, size_t name_len, u16 type, u8 out[static DNS_QUERY_MAX]);

/* Whether `msg` answers this question; then its addresses are appended to out as far as there is room. ERR_NOT_OURS: another id, another
 * question, no response. ERR_MALFORMED. Any RCODE is an answer; only NOERROR brings addresses. */
int dns_answer_decode(struct span msg, u16 id, const u8 *name, size_t name_len, u16 type, struct ip *out, size_t max, size_t *n) MUST_CHECK;
