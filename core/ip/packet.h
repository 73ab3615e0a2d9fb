/* core/ip/packet.h: what the tunnel needs to know of one inner IP packet (spec 40 §5, spec 30 §4).
 *
 * packet_parse() reads a packet once and fills a small struct; nothing downstream touches header bytes again but to rewrite them.
 * The protocol is that of the last header: IPv6 hop-by-hop, destination, routing, fragment and authentication headers and an IPv4
 * authentication header are walked. Fragments are refused (an atomic fragment passes). Checksums are not looked at.
 */
#pragma once

#include "core/base/err.h"
#include "core/ip/datagram.h"

#define IPPROTO_ICMP4 1u
#define IPPROTO_TCP_ 6u
#define IPPROTO_UDP_ 17u
#define IPPROTO_ICMP6 58u

#define TCP_FIN 0x01u
#define TCP_SYN 0x02u
#define TCP_RST 0x04u
#define TCP_PSH 0x08u
#define TCP_ACK 0x10u
#define TCP_CWR 0x80u

#define ICMP4_UNREACHABLE 3u
#define ICMP4_TIME_EXCEEDED 11u
#define ICMP4_PROHIBITED 13u /* code */
#define ICMP4_NET_UNREACHABLE 0u
#define ICMP6_UNREACHABLE 1u
#define ICMP6_TOO_BIG 2u
#define ICMP6_TIME_EXCEEDED 3u
#define ICMP6_PROHIBITED 1u /* code */
#define ICMP6_ADDR_UNREACHABLE 3u

enum l4_kind {
	L4_OTHER, /* any protocol without ports */
	L4_TCP,
	L4_UDP,
	L4_ECHO,       /* ICMP echo request or reply; both ports are the identifier */
	L4_ICMP_ERROR, /* ICMPv4 type 3 or 11, ICMPv6 type 1 to 3: quotes another packet */
	L4_ICMP_OTHER,
};

struct packet {
	struct ip src, dst;
	enum l4_kind kind;
	u32 len; /* of the IP packet itself; padding behind it is not counted */
	u16 l4;  /* offset of the last header */
	u16 src_port, dst_port;
	u8 proto;
	u8 tos; /* or traffic class */
	u8 tcp_flags;
	u8 icmp_type, icmp_code;
	u32 tcp_seq;
};

static inline u8 packet_ecn(const struct packet *p)
{
	return p->tos & 3u;
}

/* The header may claim at most `max` bytes (TUNNEL_MTU, or more for a super-packet from the TUN): ERR_LIMIT otherwise. ERR_UNSUPPORTED
 * for a fragment, ERR_MALFORMED for everything else that spec 40 §5 refuses. */
int packet_parse(const u8 *data, size_t len, size_t max, struct packet *out) MUST_CHECK;

/* The packet quoted by an ICMP error, parsed leniently: it may be cut short after 4 bytes of TCP/UDP (8 of ICMP). `out->len` is the number of
 * bytes quoted. ERR_MALFORMED; ERR_UNSUPPORTED when the quoted protocol has no ports or is no echo request. */
int packet_parse_quoted(const u8 *data, const struct packet *error, struct packet *out) MUST_CHECK;

/* A control message between peers (spec 30 §7.1): IPv6, next header 255, both addresses unspecified, at least 8 bytes of payload. */
bool packet_is_control(const struct packet *p);

/* An ICMP error "administratively prohibited", the signal of a gateway that refuses (spec 40 §6, §10). */
bool packet_is_prohibited(const struct packet *p);

/* Inner packet with the congestion mark of the datagram that carried it: becomes CE when the outer is CE and it is ECT itself; the IPv4
 * header checksum follows (spec 20 §1.6). `p->tos` is kept in step. */
void packet_merge_ecn(u8 *data, struct packet *p, u8 outer_ecn);

/* Of TCP or UDP, over the whole of the transport part; a UDP packet without checksum (0, IPv4 only) is right. */
bool packet_l4_checksum_is_right(const u8 *data, const struct packet *p);
/* Of the header; true for IPv6, which has none. */
bool packet_ip_checksum_is_right(const u8 *data, const struct packet *p);
/* Bytes behind the header of TCP or UDP, 0 for any other kind. */
u32 packet_payload_len(const u8 *data, const struct packet *p);
