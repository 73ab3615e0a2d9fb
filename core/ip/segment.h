/* core/ip/segment.h: cutting what a TUN read brought into inner packets of at most TUNNEL_MTU bytes (performance.md §4).
 *
 *	segment_init(&s, &pkt)          0 when it can be cut
 *	while ((len = segment_next_len(&s)))
 *		segment_write(&s, slot)     slot has len bytes; the one copy of the path
 *
 * A plain packet is a super-packet of one segment: it is copied, and completed when its checksum was left to us. Segments of a TCP or UDP
 * super-packet get their own lengths, sequence number or IPv4 id, flags (FIN and PSH only on the last, CWR only on the first) and both
 * checksums. Nothing is allocated; the packet is only read.
 */
#pragma once

#include "core/ip/packet.h"

#define SUPER_PACKET_MAX 65535u

struct segmenter {
	const u8 *data;
	struct packet p; /* of the whole; addresses, kind and ports hold for each segment */
	u32 header;      /* bytes repeated in each segment */
	u32 payload;     /* bytes to distribute */
	u32 mss;         /* of them per segment */
	u32 done;        /* of them already written */
	u16 index;       /* of the next segment */
	u16 csum_start, csum_at; /* plain packet: sum from, store at; csum_at 0: leave alone */
	enum { SEGMENT_PLAIN, SEGMENT_TCP, SEGMENT_UDP, SEGMENT_END } how;
};

/* Parses and checks. Errors of packet_parse(); ERR_LIMIT also when a segment would exceed TUNNEL_MTU; ERR_MALFORMED when the virtio header does
 * not fit the packet. */
int segment_init(struct segmenter *s, const struct tun_pkt *pkt) MUST_CHECK;

/* Length of the next segment; 0 when all are written. */
static inline u32 segment_next_len(const struct segmenter *s)
{
	if (s->how == SEGMENT_END)
		return 0;
	u32 left = s->payload - s->done;
	return s->header + (left < s->mss ? left : s->mss);
}

void segment_write(struct segmenter *s, u8 *slot);
