/* core/stun/channel.h: TURN ChannelData over UDP (RFC 8656 §12.4; spec 20 §2, spec 50 §2.8).
 *
 * number(2) | length(2) | payload. We never pad; peers of ours demand that the datagram ends exactly where `length` says.
 */
#pragma once

#include "core/base/cursor.h"
#include "core/base/err.h"

#define CHANNEL_HEADER 4u
#define CHANNEL_MIN 0x4000u
#define CHANNEL_MAX 0x4FFFu /* RFC 8656; older clients draw up to CHANNEL_MAX_WIDE (RFC 5766) */
#define CHANNEL_MAX_WIDE 0x7FFFu
#define CHANNEL_COUNT (CHANNEL_MAX - CHANNEL_MIN + 1u)

/* First byte of ChannelData with a number in 0x4000..0x4FFF. */
static inline bool channel_is_likely(struct span d)
{
	return d.n >= CHANNEL_HEADER && d.p[0] >= 0x40 && d.p[0] <= 0x4F;
}

/* The strict reading of spec 20 §2: number in range, length exactly the rest. ERR_MALFORMED otherwise. */
static inline int channel_parse(struct span d, u16 *number, struct span *payload)
{
	if (!channel_is_likely(d) || get_be16(d.p + 2) != d.n - CHANNEL_HEADER)
		return ERR_MALFORMED;
	*number = get_be16(d.p);
	*payload = SPAN(d.p + CHANNEL_HEADER, d.n - CHANNEL_HEADER);
	return 0;
}

/* Writes the four bytes in front of a payload of `len` bytes. */
static inline void channel_header(u8 p[static CHANNEL_HEADER], u16 number, u16 len)
{
	put_be16(p, number);
	put_be16(p + 2, len);
}
