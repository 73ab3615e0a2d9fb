/* core/tunnel/gateway_flowlog.h: which client talked to what, for how long and how much: one log line per finished flow (spec 40 §13).
 *
 * A flow is TCP or UDP between one client and one resource, keyed by the addresses and ports as the resource's side sees them: after
 * translation, in both directions. Only a client's packet makes one.
 *
 *                 packet of the client             RST either way, SYN on a live flow, another outer path
 *   (no flow) ─────────────────────────▶ [open] ──────────────────────────────────────────────────────────▶ [done] ──▶ written, freed
 *                 not TCP FIN or RST       │  │ FIN both ways                                                ▲   on the next tick
 *                                          │  └───────────────────▶ [closing] ── next tick, end = last packet ──┘
 *                                          └── FLOW_IDLE without a packet, end = now ─────────────────────────┘
 *
 * A SYN or another outer path begins a new flow at once. Lines go to log targets flow_logs::tcp and flow_logs::udp at TRACE, from the
 * tick only. Flows that are open when the process ends are lost, as the reference loses them.
 *
 * Memory: FLOWLOG_FLOWS_MAX slots taken at the start, touched as they are needed; the index grows with the flows. A flow beyond the limit is not
 * recorded, counted, and told once per tick. All calls O(1) but the tick, which is O(flows that end).
 */
#pragma once

#include "core/base/rng.h"
#include "core/base/time.h"
#include "core/ip/packet.h"
#include "core/phoenix/messages.h"

#define FLOWLOG_FLOWS_MAX 65536u
#define FLOWLOG_TICK SEC(1)
#define FLOW_IDLE MINUTES(2)
#define FLOW_DOMAIN_MAX 255u /* with its NUL */

struct flowlog;

/* Who and what: the constant part of a line, shared by the flows of one authorization. Counted references; an unused one frees itself. */
struct flow_about;

struct flowlog *flowlog_new(struct rng *rng); /* NULL: out of memory */
void flowlog_free(struct flowlog *f);

/* Copies what it needs; NULL: out of memory. The caller holds the first reference. */
struct flow_about *flow_about_new(const struct msg_authorize_flow *m);
void flow_about_drop(struct flow_about *a); /* NULL is allowed */

/* Datagrams that the packets of the following flowlog_from_client() came in: their addresses are the outer ones. Borrowed until the next call. */
void flowlog_datagrams(struct flowlog *f, const struct udp_rx *rx, size_t n);

/* A packet of a client that a resource was found for, as it leaves for the resource. `data` is where it lies, `domain` (or NULL) the
 * name whose address it was sent to, `local` and `remote` the outer addresses when `data` lies in none of the datagrams. */
struct flow_outer {
	struct endpoint local, remote;
};
void flowlog_from_client(struct flowlog *f, u64 now, u64 wall, struct flow_about *a, const u8 *data, const struct packet *p,
			 const char *domain, const struct flow_outer *otherwise);
/* The way back, as it came from the resource: `n` packets with `bytes` of payload in all. */
void flowlog_from_resource(struct flowlog *f, u64 now, const struct flow_about *a, const struct packet *p, u32 n, u32 bytes);

void flowlog_tick(struct flowlog *f, u64 now);
u64 flowlog_next_tick(const struct flowlog *f); /* TIME_NEVER without flows */

struct flowlog_stats {
	u64 n_open, n_written, n_refused; /* refused: beyond FLOWLOG_FLOWS_MAX, or no memory for the index */
};
const struct flowlog_stats *flowlog_stats(const struct flowlog *f);
