/* core/tunnel/gateway_report.h: what a gateway tells a portal that asked: over which path each client is connected, how fast, how much (spec 10 §15).
 *
 *              init with an interval                 first connection
 *   [unwanted] ─────────────────────▶ [idle] ──────────────────────────▶ [reporting] ── each interval: all connections
 *       ▲                               ▲                                     │     └── REPORT_SOON after one came, changed its path or
 *       │ portal lost, init without one │ none is left                        │         ended: those; not within REPORT_GAP of the last
 *       └───────────────────────────────┴─────────────────────────────────────┘
 *
 * Bytes are taken from the counters that the packet path keeps anyway (node_conn_info()): nothing is added per packet. What is counted while the
 * portal is away is told when it is back.
 */
#pragma once

#include "core/base/time.h"
#include "core/phoenix/messages.h"

#define REPORT_SOON SEC(2) /* by then the path has settled and a check was answered */
#define REPORT_GAP SEC(5)
#define REPORT_GONE_MAX 4096u /* ended since the last report; more are left to the portal's own patience */

struct gateway;
struct client_peer;
struct node_event;

struct reports {
	u64 interval; /* 0: unwanted */
	u64 next_all, next_some, last;
	struct msg_connection *gone;
	u32 n_gone, cap_gone;
};

/* Of one client. */
struct reported {
	u64 rx_seen, tx_seen; /* the connection's counters, when last looked at */
	u64 rx_due, tx_due;   /* counted and not told */
	bool is_due, is_told; /* goes into the next report; the portal believes it is connected */
};

void reports_init(struct reports *r);
void reports_deinit(struct reports *r);
/* Every init says it: seconds, 0 = not wanted. */
void report_wanted(struct gateway *g, u32 interval_secs);
void report_stop(struct gateway *g);
/* Before and after the node may put another connection into a client's place, whose counters begin at 0. */
void report_count(struct gateway *g, struct client_peer *p);
/* Came or changed its path. */
void report_changed(struct gateway *g, const struct uuid *client);
/* Its connection is about to be closed, or the peer forgotten. */
void report_end(struct gateway *g, struct client_peer *p);
/* Its connection failed (NODE_CONN_FAILED). */
void report_failed(struct gateway *g, const struct node_event *e);
void report_timeout(struct gateway *g);
static inline u64 report_next_timeout(const struct reports *r)
{
	return time_min(r->next_all, r->next_some);
}
