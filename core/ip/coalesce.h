/* core/ip/coalesce.h: joining decrypted TCP and UDP segments into super-packets for one TUN write each (performance.md §4).
 *
 * Packets of one receive batch are added in order; coalesce_finish() closes what is open; then coalesce_out() lists the packets to be written.
 * The order of any one flow is kept. Nothing lives longer than a batch: no timer, no added latency.
 *
 * A joined packet is the first of its segments, its headers made those of the whole, and a list of the payloads of the others where they lie:
 * nothing is copied.
 *
 *   joins: same addresses, ports, TOS, TTL, DF; TCP: same header length, options, window and ack number, next sequence number, flags only ACK
 *   or ACK|PSH; UDP: same size. PSH or a shorter segment closes. At most SUPER_PACKET_MAX bytes,
 *   TUN_PIECES_MAX segments (no more than the kernel takes for UDP). The TCP or UDP checksum was right; a packet
 *   whose checksum is wrong is handed over alone and unmarked, for the kernel to judge.
 *
 * Anything else of a flow closes that flow's open aggregate first.
 */
#pragma once

#include "core/ip/packet.h"

#define COALESCE_FLOWS 16u         /* aggregates open at a time; one more closes the oldest */
#define COALESCE_OUT_MAX 2048u     /* packets of one batch; more are counted and dropped */
#define COALESCE_PIECES 4096u      /* payloads behind the first, of one batch; when there are none left, nothing more is joined */

struct coalescer;

struct coalesce_stats {
	u64 packets_in, packets_out, bad_checksum, overflow;
};

struct coalescer *coalesce_new(void); /* NULL: out of memory */
void coalesce_free(struct coalescer *c);

/* One inner packet, parsed as `p`. Before data[0] lie at least TUN_HEADROOM writable bytes, and data stays valid until the output was written. */
void coalesce_add(struct coalescer *c, u8 *data, const struct packet *p);
void coalesce_finish(struct coalescer *c);

/* What the batch became, in order. Valid until coalesce_reset(), which starts the next batch. */
struct tun_pkt *coalesce_out(struct coalescer *c, size_t *count);
void coalesce_reset(struct coalescer *c);

const struct coalesce_stats *coalesce_stats(const struct coalescer *c);
