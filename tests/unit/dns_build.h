/* tests/unit/dns_build.h: DNS messages written down for tests, names as text and uncompressed.
 *
 *	u8 buf[512];
 *	struct wr w = dns_build(buf, sizeof(buf), 7, DNS_FLAG_QR | DNS_FLAG_RD | DNS_FLAG_RA, "a.example", DNS_A);
 *	dns_build_record(&w, DNS_ANSWER, "a.example", DNS_A, 300, SPAN_STR("\x0a\0\0\1"));
 *	dns_build_soa(&w, "example", 900, 60);
 */
#pragma once

#include "core/dns/message.h"
#include "tests/unit/test.h"

static inline struct dns_name dns_build_name(const char *text)
{
	struct dns_name n = { 0 };

	if (dns_name_from_text(text, &n) != 0)
		test_fail(__FILE__, __LINE__, "not a name: %s", text);
	return n;
}

static inline struct wr dns_build_class(void *buf, size_t size, u16 id, unsigned flags, const char *name, u16 type, u16 class)
{
	struct wr w = wr_init(buf, size);
	struct dns_name n = dns_build_name(name);

	wr_be16(&w, id);
	wr_be16(&w, (u16)flags);
	wr_be16(&w, 1);
	wr_zero(&w, 6);
	wr_bytes(&w, n.wire, n.len);
	wr_be16(&w, type);
	wr_be16(&w, class);
	return w;
}

static inline struct wr dns_build(void *buf, size_t size, u16 id, unsigned flags, const char *name, u16 type)
{
	return dns_build_class(buf, size, id, flags, name, type, DNS_CLASS_IN);
}

static inline void dns_build_record(struct wr *w, enum dns_section section, const char *owner, u16 type, u32 ttl, struct span rdata)
{
	struct dns_name n = dns_build_name(owner);
	unsigned count_at = 6 + 2 * (unsigned)section;

	wr_bytes(w, n.wire, n.len);
	wr_be16(w, type);
	wr_be16(w, DNS_CLASS_IN);
	wr_be32(w, ttl);
	wr_be16(w, (u16)rdata.n);
	wr_bytes(w, rdata.p, rdata.n);
	if (wr_ok(w))
		put_be16(w->start + count_at, (u16)(get_be16(w->start + count_at) + 1));
}

static inline void dns_build_alias(struct wr *w, enum dns_section section, const char *owner, u16 type, u32 ttl, const char *target)
{
	struct dns_name n = dns_build_name(target);

	dns_build_record(w, section, owner, type, ttl, SPAN(n.wire, n.len));
}

/* In the authority section, as a negative answer has it. */
static inline void dns_build_soa(struct wr *w, const char *zone, u32 ttl, u32 minimum)
{
	u8 rdata[32];
	struct wr d = wr_init(rdata, sizeof(rdata));

	wr_bytes(&d, "\2ns\0\2hm\0", 8);
	for (u32 i = 1; i <= 4; i++)
		wr_be32(&d, i);
	wr_be32(&d, minimum);
	dns_build_record(w, DNS_AUTHORITY, zone, DNS_SOA, ttl, wr_span(&d));
}
