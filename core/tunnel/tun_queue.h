/* core/tunnel/tun_queue.h: packets of our own making that wait for the TUN: ICMP refusals, DNS answers, TCP segments.
 *
 * A ring; what was polled last stays untouched until the next poll, however much is added meanwhile. It starts over at its first slot whenever it
 * runs empty, so only as much memory is touched as the longest burst took.
 */
#pragma once

#include "core/base/err.h"
#include "core/ip/datagram.h"

struct tun_queue_slot;

struct tun_queue {
	struct tun_queue_slot *slots;
	u32 limit, first, count; /* the one lent out counts */
	bool is_lent;
};

int tun_queue_init(struct tun_queue *q, u32 limit) MUST_CHECK; /* ERR_NOMEM */
void tun_queue_deinit(struct tun_queue *q);                    /* a zeroed one too */

/* Where the next packet is to be written, at most TUNNEL_MTU bytes; NULL when the queue is full. */
u8 *tun_queue_slot(struct tun_queue *q);
/* It was written. */
void tun_queue_push(struct tun_queue *q, u32 len);
bool tun_queue_poll(struct tun_queue *q, struct tun_pkt *out);
