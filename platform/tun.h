/* platform/tun.h: the TUN device: IP packets from and to the system, up to 64 KiB at a time.
 *
 * Opened with a virtio header and, as far as the kernel goes along, checksum, TSO and USO offload: reads yield super-packets to be
 * cut, writes may carry joined ones (performance.md §6). The device disappears with its descriptor. Configuring addresses and
 * routes is platform/net.h's.
 */
#pragma once

#include "core/ip/datagram.h"

#define TUN_NAME "tun-firezone" /* spec 30 §15 */
#define TUN_TXQUEUELEN 10000u
#define TUN_GSO_SEGMENTS 49u /* of one super-packet: as many as fit one UDP message when each is a datagram of MAX_DATAGRAM bytes */

struct tun;

enum tun_offload {
	TUN_OFFLOAD_NONE, /* plain packets with finished checksums */
	TUN_OFFLOAD_CSUM,
	TUN_OFFLOAD_TSO,
	TUN_OFFLOAD_ALL, /* and USO */
};

/* Creates /dev/net/tun if it is missing, the device, its MTU (TUNNEL_MTU) and queue length; the link stays down.
 * ERR_DENIED: needs CAP_NET_ADMIN (or DeviceAllow=/dev/net/tun). ERR_EXISTS: the name is in use by another process.
 * ERR_NOT_FOUND: the node is missing and cannot be made. ERR_UNSUPPORTED: kernel without TUN. ERR_NOMEM, ERR_IO. */
int tun_open(struct tun **out, const char *name) MUST_CHECK;
void tun_close(struct tun *t); /* NULL is allowed */
int tun_fd(const struct tun *t);
u32 tun_ifindex(const struct tun *t);
enum tun_offload tun_offload(const struct tun *t);

/* The next packet; its memory is the device's until the next tun_read(), with TUN_HEADROOM bytes before it. ERR_AGAIN: none.
 * ERR_CLOSED: the device is gone. Packets shorter than their virtio header are skipped and counted. */
int tun_read(struct tun *t, struct tun_pkt *out);

/* Gives one packet to the system. With has_headroom the bytes before it are overwritten. ERR_AGAIN: the system does not take it now;
 * ERR_IO: refused (link down, malformed): counted, the packet is lost. */
int tun_write(struct tun *t, const struct tun_pkt *pkt);

struct tun_stats {
	u64 rx_packets, rx_bytes, rx_super, rx_invalid;
	u64 tx_packets, tx_bytes, tx_super, tx_errors;
};
const struct tun_stats *tun_stats(const struct tun *t);
