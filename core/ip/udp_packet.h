/* core/ip/udp_packet.h: whole UDP packets that are made and read here: DNS inside the tunnel (spec 30 §10, spec 40 §11). */
#pragma once

#include "core/ip/packet.h"

#define UDP_PAYLOAD_MAX 1212u /* spec 30 §1.2: TUNNEL_MTU without the longest IP header it reckons with and UDP's own */

/* Writes IP header (TTL 64, DF), UDP header and payload with their checksums; returns the length. 0: the families differ or the payload is
 * longer than UDP_PAYLOAD_MAX. */
u32 udp_packet_write(const struct endpoint *src, const struct endpoint *dst, struct span payload, u8 out[static TUNNEL_MTU]) MUST_CHECK;

/* The payload of a packet parsed as `p` with p->kind L4_UDP. ERR_MALFORMED: the UDP length does not fit, or the checksum is wrong (IPv4: or
 * absent is right). */
int udp_packet_read(const u8 *data, const struct packet *p, struct span *payload) MUST_CHECK;
