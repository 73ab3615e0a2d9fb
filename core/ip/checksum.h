/* core/ip/checksum.h: the Internet checksum (RFC 1071) and its incremental update (RFC 1624).
 *
 * A partial sum is a u64 that only grows: add ranges with csum_add(), fold once at the end. Ranges after the first must start at an even
 * offset of the summed data. Sums are kept in the byte order of the machine, which the one's complement makes harmless; what
 * csum_finish() returns is the value for put_be16().
 */
#pragma once

#include "core/base/cursor.h"

/* sum + the 16-bit words of p[0..n), an odd last byte padded with zero. */
u64 csum_add(u64 sum, const u8 *p, size_t n);

/* Adds one 16-bit value as it would stand in the packet. */
static inline u64 csum_add_be16(u64 sum, u16 v)
{
	u8 b[2];
	u16 w;
	put_be16(b, v);
	memcpy(&w, b, 2);
	return sum + w;
}

/* Pseudo header of TCP, UDP and ICMPv6: both addresses (4 or 16 bytes each, adjacent), length and protocol. */
static inline u64 csum_pseudo(const u8 *addrs, size_t addr_len, u32 l4_len, u8 proto)
{
	u64 sum = csum_add(0, addrs, 2 * addr_len);
	sum = csum_add_be16(sum, (u16)(l4_len >> 16));
	sum = csum_add_be16(sum, (u16)l4_len);
	return csum_add_be16(sum, proto);
}

/* The folded sum, not inverted (what VNET_NEEDS_CSUM wants in the checksum field). */
static inline u16 csum_fold(u64 sum)
{
	u8 b[2];
	sum = (sum >> 32) + (sum & 0xffffffffu);
	sum = (sum >> 32) + (sum & 0xffffffffu);
	sum = (sum >> 16) + (sum & 0xffffu);
	sum = (sum >> 16) + (sum & 0xffffu);
	sum = (sum >> 16) + (sum & 0xffffu);
	u16 w = (u16)sum;
	memcpy(b, &w, 2);
	return get_be16(b);
}

/* The checksum itself: folded and inverted. */
static inline u16 csum_finish(u64 sum)
{
	return (u16)~csum_fold(sum);
}

/* The checksum after a 16-bit word of the covered data changed from `from` to `to` (RFC 1624, equation 3). For UDP the caller keeps 0
 * as 0 and turns a result of 0 into 0xffff. */
static inline u16 csum_update16(u16 check, u16 from, u16 to)
{
	u32 sum = (u32)(u16)~check + (u16)~from + to;
	sum = (sum >> 16) + (sum & 0xffffu);
	sum = (sum >> 16) + (sum & 0xffffu);
	return (u16)~sum;
}

/* The same for n bytes (even) at an even offset. */
u16 csum_update(u16 check, const u8 *from, const u8 *to, size_t n);
