/* core/tunnel/pending.h: packets that wait for a flow (spec 30 §5).
 *
 * A ring of copies, at most PENDING_PACKETS, the oldest overwritten. A packet that is there already is not added; a TCP SYN that repeats one (same addresses,
 * ports and sequence number) replaces it in place, so retransmissions do not multiply.
 */
#pragma once

#include "core/ip/packet.h"

#define PENDING_PACKETS 128u

struct pending_packets;

/* Room for `limit` packets, 1..PENDING_PACKETS. NULL: out of memory. */
struct pending_packets *pending_packets_new(u32 limit);
void pending_packets_free(struct pending_packets *q);

enum pending_result { PENDING_ADDED, PENDING_DUPLICATE, PENDING_REPLACED, PENDING_DISPLACED };

/* `data` is one whole packet of `p->len` <= TUNNEL_MTU bytes. */
enum pending_result pending_packets_add(struct pending_packets *q, const u8 *data, const struct packet *p);

/* The oldest packet, taken out; empty span when there is none. Valid until the next add. */
struct span pending_packets_take(struct pending_packets *q);
u32 pending_packets_count(const struct pending_packets *q);
