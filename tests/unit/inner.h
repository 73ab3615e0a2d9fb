/* tests/unit/inner.h: inner IP packets for tests, built naively and checked naively, independent of core/ip. */
#pragma once

#include "core/base/rng.h"
#include "core/ip/addr.h"

struct inner_spec {
	struct ip src, dst;
	u8 proto;          /* 6, 17, 1, 58, or anything else without a header */
	u16 sport, dport;  /* ICMP: type << 8 | code, identifier */
	u8 tos, ttl, tcp_flags;
	u16 id, window;
	u32 seq, ack;
	u8 tcp_options; /* bytes of NOPs, a multiple of 4 */
	bool no_df;
	const void *payload;
	u16 payload_len;
};

/* Returns the length; all checksums right. */
u32 inner_make(const struct inner_spec *s, u8 *out);

/* The sum of RFC 1071 as a textbook writes it. */
u16 inner_checksum(const u8 *p, size_t n, u32 start);
/* Whether the IPv4 header, TCP, UDP or ICMP checksum of a packet without extension headers is right. */
bool inner_checksums_are_right(const u8 *pkt, size_t len);

struct ip ip_of(const char *text);
struct cidr cidr_of(const char *text);
struct uuid uuid_of(unsigned n); /* 00000000-0000-0000-0000-00000000nnnn */
