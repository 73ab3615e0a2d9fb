/* core/ip/datagram.h: the three shapes in which packets cross between platform and core.
 *
 * All point at memory that the giver owns and that stays valid until the giver is called again. Runs exist because one system call
 * moves many packets (UDP GSO/GRO, TUN super-packets): every function on the packet path takes runs or arrays of them.
 */
#pragma once

#include "core/ip/addr.h"

#define TUNNEL_MTU 1280u       /* longest inner IP packet (spec 20 §3) */
#define WG_DATA_OVERHEAD 32u   /* header 16 + tag 16 */
#define CHANNEL_OVERHEAD 4u    /* TURN channel data header */
#define MAX_DATAGRAM 1316u     /* TUNNEL_MTU + both; longer is dropped in both directions (spec 20 §1.5) */

#define ECN_NOT_ECT 0u
#define ECN_ECT1 1u
#define ECN_ECT0 2u
#define ECN_CE 3u

/* Received: one datagram, or a GRO run of datagrams of `seg` bytes each whose last may be shorter. Writable: it is decrypted in
 * place. `local` = address from pktinfo and the socket's port; never without an address. */
struct udp_rx {
	struct endpoint local, remote;
	u8 *data;
	u32 len;
	u16 seg; /* 0 or >= len: a single datagram */
	u8 ecn;
};

/* To be sent: one datagram, or a GSO run likewise. `src.family` 0 lets the system choose the source address. */
struct udp_tx {
	struct ip src;
	struct endpoint dst;
	u8 *data;
	u32 len;
	u16 seg; /* 0 or >= len: a single datagram */
	u8 ecn;
};

/* What the virtio header of a TUN says of its packet (linux/virtio_net.h, decoded to host order). */
struct vnet {
	u8 flags;    /* VNET_NEEDS_CSUM */
	u8 gso_type; /* VNET_GSO_*, 0 = a plain packet */
	u16 hdr_len;
	u16 gso_size;
	u16 csum_start;
	u16 csum_offset;
};

#define VNET_NEEDS_CSUM 1u
#define VNET_GSO_NONE 0u
#define VNET_GSO_TCPV4 1u
#define VNET_GSO_TCPV6 4u
#define VNET_GSO_UDP_L4 5u

/* An IP packet from or for the TUN device; up to 64 KiB when vnet.gso_type says so. What was read lies in one piece. What is written may be a
 * joined packet whose further payloads still lie where they were decrypted: then the first `head` of its `len` bytes are at `data`, the rest
 * in `more`, in order, at most TUN_PIECES_MAX in all. For writing, `data` has at least TUN_HEADROOM writable bytes before it when
 * `has_headroom`, so the platform can put the virtio header there. */
#define TUN_HEADROOM 16u
#define TUN_PIECES_MAX 64u

struct tun_piece {
	const u8 *data;
	u32 len;
	const struct tun_piece *next;
};

struct tun_pkt {
	u8 *data;
	u32 len;
	u32 head;                     /* only with `more` */
	const struct tun_piece *more; /* NULL: all at `data` */
	bool has_headroom;
	struct vnet vnet;
};

/* The packet in one piece, in `memory` of at least pkt->len bytes: for those who cannot write pieces. */
static inline struct tun_pkt tun_pkt_gather(const struct tun_pkt *pkt, u8 *memory)
{
	struct tun_pkt whole = { .data = memory, .len = pkt->len, .vnet = pkt->vnet };
	u32 at = pkt->more ? pkt->head : pkt->len;
	memcpy(memory, pkt->data, at);
	for (const struct tun_piece *p = pkt->more; p; at += p->len, p = p->next)
		memcpy(memory + at, p->data, p->len);
	return whole;
}
