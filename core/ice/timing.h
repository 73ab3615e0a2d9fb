/* core/ice/timing.h: when a pair is checked, and when it is given up (spec 20 §5.9).
 *
 *	delay(0) = 0      delay(n) = min(initial_rto << (n - 1), max_rto)
 *
 * The next check is due delay(n) after the last, n being the number of recorded checks, or, once checks go unanswered for longer than
 * max_rto / 2, the number of unanswered ones, so that an established pair that falls silent is asked faster and faster anew.
 * A pair is dead when max_retrans checks in a row went unanswered, unless the peer's own checks arrived on it in the last 15 s.
 *
 * A probe (ice_probe()) asks on top of that every PROBE_INTERVAL; its checks are matched when answered but never count as lost.
 */
#pragma once

#include "core/base/time.h"
#include "core/stun/stun.h"

#define ICE_ATTEMPTS_KEPT 8u           /* checks of a pair whose answers are still recognised */
#define ICE_ANSWER_TTL SEC(10)         /* later answers are nobody's (spec 20 §2) */
#define ICE_PEER_CHECK_TTL SEC(15)     /* the peer's checks keep a pair alive so long (spec 20 §5.9) */
#define ICE_PROBE_INTERVAL MSEC(125)
#define ICE_TXID_RANDOM 8u             /* bytes of the transaction id behind the agent's prefix */

struct ice_timing {
	u16 max_retrans;
	u64 initial_rto, max_rto;
};

extern const struct ice_timing ice_timing_client, ice_timing_client_idle, ice_timing_server, ice_timing_server_idle;

u64 ice_delay(const struct ice_timing *t, unsigned n);

struct ice_attempt {
	u64 sent;
	u8 txid[ICE_TXID_RANDOM];
	bool is_open;  /* sent and not answered */
	bool is_probe; /* does not count */
};

/* The history of one pair's checks. Zeroed = never checked, due at once. */
struct ice_history {
	struct ice_attempt kept[ICE_ATTEMPTS_KEPT]; /* ring by `sent_count` */
	u32 sent_count;
	u16 recorded;        /* counted checks, up to UINT16_MAX */
	u16 unanswered;      /* counted checks since the last answer */
	u64 unanswered_since; /* instant of the first of these */
	u64 last_sent;       /* counted check, 0 never */
	u64 last_probe;
	u64 last_answer;     /* 0 never */
	u64 rtt;             /* of the check that it answered */
	u64 peer_check;      /* last check of the peer on this pair, 0 never */
	u64 next_regular;    /* cached: history_reschedule() */
};

/* The next check is due; 0 when at once. `probe_since` is 0 outside of a probe. */
u64 history_next(const struct ice_history *h, u64 probe_since);
void history_reschedule(struct ice_history *h, const struct ice_timing *t, u64 now);
void history_due_now(struct ice_history *h);
void history_sent(struct ice_history *h, const struct ice_timing *t, u64 now, const u8 txid[static ICE_TXID_RANDOM]);
/* True when the id is that of an open check of this pair. */
bool history_answered(struct ice_history *h, const struct ice_timing *t, u64 now, const u8 txid[static ICE_TXID_RANDOM]);
/* The instant at which the pair is dead if nothing happens, TIME_NEVER as long as too few checks are unanswered. */
u64 history_dead_at(const struct ice_history *h, const struct ice_timing *t);
