/* core/tunnel/stats.h: what happened to inner packets, counted by reason. Nothing on the packet path logs above `trace`. */
#pragma once

#include "core/base/types.h"

#define TUNNEL_DROPS(X)                                                                                        \
	X(MALFORMED, "malformed")           /* spec 40 §5 */                                                   \
	X(FRAGMENT, "fragment")             /* likewise */                                                     \
	X(OVERSIZE, "oversize")             /* likewise */                                                     \
	X(MULTICAST, "multicast")                                                                              \
	X(NO_INTERFACE, "no_interface")     /* no init yet */                                                  \
	X(FOREIGN_SOURCE, "foreign_source") /* source is not what its sender owns */                           \
	X(TO_SELF, "to_self")                                                                                  \
	X(NO_PORTS, "no_ports")             /* a protocol that cannot be routed */                             \
	X(NOT_A_PEER, "not_a_peer")         /* tunnel address nobody has */                                    \
	X(NO_ROUTE, "no_route")             /* no resource covers it */                                        \
	X(FILTERED, "filtered")             /* a resource covers it, its filters refuse */                     \
	X(UNREACHABLE, "unreachable")       /* excluded from the Internet resource */                          \
	X(ICMP_ERROR, "icmp_error")         /* sent by a client */                                             \
	X(NOT_ALLOWED, "not_allowed")       /* from a resource side that the policy does not cover */          \
	X(NOT_CONNECTED, "not_connected")   /* peer without connection, or connection without path */          \
	X(STAGE_FULL, "stage_full")         /* more input between two flushes than the arena holds */          \
	X(PENDING_FULL, "pending_full")     /* displaced from the buffer of a pending flow */                  \
	X(PENDING_LOST, "pending_lost")     /* buffered for a flow that was not created */                     \
	X(REPLY_FULL, "reply_full")         /* locally made ICMP replies beyond the limit of a batch */      \
	X(NAT_EXPIRED, "nat_expired")       /* late packet of a translated flow that is over */                \
	X(NAT_REFUSED, "nat_refused")       /* no session, no port, or a protocol without ports */

enum tunnel_drop {
#define X(name, text) DROP_##name,
	TUNNEL_DROPS(X)
#undef X
	DROP_COUNT
};

struct tunnel_stats {
	u64 tun_rx_packets, tun_rx_segments, tun_rx_bytes; /* from the device: reads, packets after cutting, bytes */
	u64 tun_tx_packets, tun_tx_bytes;                  /* to the device, before joining */
	u64 lookups;                                       /* routing decisions not answered by the flow cache */
	u64 icmp_replies;
	u64 control_in, control_out;
	u64 control_bad;         /* assigned IPs that could not be read */
	u64 resolutions;         /* begun */
	u64 resolutions_refused; /* GATEWAY_RESOLUTIONS_MAX, GATEWAY_CLIENT_RESOLUTIONS_MAX, no memory */
	u64 proxies_displaced;   /* addresses that gave way to others: GATEWAY_PROXIES_MAX */
	u64 messages_out, messages_refused; /* portal messages queued; refused because the queue was full */
	u64 dropped[DROP_COUNT];
};

const char *tunnel_drop_name(enum tunnel_drop d);
