/* core/tunnel/control.h: control messages between peers, inside the tunnel (spec 30 §7.1, spec 40 §9.1).
 *
 *	byte 0    60 00 00 00  payload length  FF 00     an IPv6 packet, next header 255, hop limit 0
 *	     8    :: and ::                              source and destination
 *	    40    event, seven reserved bytes            ignored when read
 *	    48    compact JSON                           at most CONTROL_JSON_MAX bytes
 *
 *	assigned IPs   client → gateway    these proxy addresses stand for that domain of that resource
 *	domain status  gateway → client    whether they work now
 *	goodbye        both                made by core/peer
 *
 * Unreliable and not acknowledged, so handlers are idempotent. Unknown events are ignored; none ever reaches the TUN. Written in the order of
 * the fields below, read in any; unknown members are nobody's business. Reading allocates while it parses, writing never.
 */
#pragma once

#include "core/dns/name.h"
#include "core/ip/packet.h"

#define CONTROL_HEADER 48u
#define CONTROL_JSON_MAX (TUNNEL_MTU - CONTROL_HEADER)
#define CONTROL_PROXIES_MAX 16u /* of one message; clients send 4 or 8 */

#define CONTROL_ASSIGNED_IPS 0u
#define CONTROL_DOMAIN_STATUS 1u
#define CONTROL_GOODBYE 2u

/* The event of a packet for which packet_is_control() holds. */
static inline u8 control_event(const u8 *data)
{
	return data[40];
}

struct control_assigned {
	struct uuid resource;
	struct dns_name domain;
	struct ip proxies[CONTROL_PROXIES_MAX]; /* as they came: whoever reads judges the ranges */
	u32 n_proxies;
};

struct control_status {
	struct uuid resource;
	struct dns_name domain;
	bool is_active; /* any status but "Active" is inactive */
};

/* A whole packet into `out`, its length; 0 when the domain is so long that it does not fit. */
u32 control_write_assigned(const struct control_assigned *m, u8 out[static TUNNEL_MTU]) MUST_CHECK;
u32 control_write_status(const struct control_status *m, u8 out[static TUNNEL_MTU]) MUST_CHECK;

/* The body of a control packet `data`, parsed as `p`, whose event the caller looked at. ERR_MALFORMED; ERR_LIMIT: too many proxies; ERR_NOMEM. */
int control_read_assigned(const u8 *data, const struct packet *p, struct control_assigned *out) MUST_CHECK;
int control_read_status(const u8 *data, const struct packet *p, struct control_status *out) MUST_CHECK;
