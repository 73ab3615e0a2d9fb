/* core/ip/icmp.h: the ICMP errors a gateway sends to a client (spec 40 §9.6, §10).
 *
 * They go back to the original's source and come from the original's destination, TTL 20, IPv4 with DF and id 0. An IPv4 error quotes the
 * header and 8 bytes, an IPv6 error as much as fits into 1280 bytes.
 */
#pragma once

#include "core/ip/packet.h"

#define ICMP_REPLY_MAX TUNNEL_MTU

enum icmp_reply {
	ICMP_FILTERED,    /* prohibited: 3/13 or 1/1; a client may ask for access anew because of it */
	ICMP_UNREACHABLE, /* 3/0 or 1/3: authorized, but there is no such address */
};

/* Writes the reply to `orig` (parsed as `p`) into out, returns its length. */
u32 icmp_reply(enum icmp_reply what, const u8 *orig, const struct packet *p, u8 out[static ICMP_REPLY_MAX]);

/* An ICMP error from behind address translation, as its client may see it (spec 40 §9.6): a new packet from `proxy` to the old destination
 * with type, code, the rest of the header and all that was quoted; in the quote the destination becomes `proxy` and the source port or echo
 * id `port`, nothing else. `orig` was parsed as `p`, its quote as `quoted`. Returns the length, at most that of `orig`. */
u32 icmp_translate(const u8 *orig, const struct packet *p, const struct packet *quoted, const struct ip *proxy, u16 port,
		   u8 out[static ICMP_REPLY_MAX]);
