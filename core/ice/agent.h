/* core/ice/agent.h: finds the best path to one peer and keeps all usable ones open (RFC 8445 as peers of ours practise it, spec 20 §5).
 *
 * Full ICE, one component, UDP, trickle. Owns the candidates of both sides and up to ICE_PAIRS_MAX pairs of them; every pair is checked
 * for ever, which is NAT keepalive and consent at once. Deviations from the RFC are listed in spec 20 §5.14.
 *
 *   pair:    [waiting] ─ check sent ─▶ [in progress] ─ answered ─▶ [succeeded]
 *                                          └────── unanswered too often (timing.h) ──────▶ gone
 *
 *   agent:   [new] ─▶ [checking] ◀──▶ [connected]: a pair is nominated, others are possible
 *                        │  ▲   ◀──▶ [completed]: only nominated pairs are left
 *                        ▼  │
 *                    [disconnected]: no pair is left; the owner grants 2 s
 *
 * Nomination: controlling takes the succeeded pair of highest priority, says USE-CANDIDATE on it from then on and sends there at once, again
 * whenever a better one succeeds. Controlled follows the highest nominated pair, but leaves it while it is silent and another nominated
 * pair is not, as happens when a path dies between two peers.
 *
 * Doors: ice_input(), ice_timeout(), ice_next_timeout(), ice_poll_transmit(). Output is ready right after the call that made it;
 * ice_next_timeout() is due at once as long as some is waiting. Memory grows with candidates and pairs up to their limits; a check to or
 * from a known pair allocates nothing.
 */
#pragma once

#include "core/base/rng.h"
#include "core/ice/candidate.h"
#include "core/ice/message.h"
#include "core/ice/timing.h"

#define ICE_LOCAL_MAX 32u       /* candidates, discarded ones included; the oldest discarded one makes room */
#define ICE_REMOTE_MAX 64u      /* likewise */
#define ICE_LOCAL_PRFLX_MAX 8u  /* of ICE_LOCAL_MAX */
#define ICE_PAIRS_MAX 100u      /* lowest priority dropped (spec 20 §5.6) */
#define ICE_ANSWERS_MAX 16u     /* answers waiting to be polled; more are dropped and counted */
#define ICE_OPTIMISTIC_PER_RUN 2u
#define ICE_PROBE_TIME MSEC(1600)
#define ICE_PROBE_GRACE MSEC(600) /* the selected pair may stay silent so long in a probe while another answers */

struct ice_agent;

enum ice_state { ICE_NEW, ICE_CHECKING, ICE_CONNECTED, ICE_COMPLETED, ICE_DISCONNECTED };

struct ice_config {
	bool is_controlling;
	struct ice_credentials local, remote;
	u32 txid_prefix; /* first four bytes of our transaction ids: lets the owner find the agent of a success */
	const struct ice_timing *timing; /* borrowed */
	struct rng *rng;                 /* borrowed */
};

/* NULL when out of memory. */
struct ice_agent *ice_new(const struct ice_config *cfg, u64 now);
void ice_free(struct ice_agent *a);
void ice_set_timing(struct ice_agent *a, u64 now, const struct ice_timing *timing);

/* --- candidates -------------------------------------------------------------------------------------------------------------- */

/* Ranks and adds a local candidate; `c->priority` is set. 0: signal it. ERR_EXISTS: redundant. ERR_INVAL: not usable. ERR_LIMIT. */
int ice_add_local(struct ice_agent *a, u64 now, struct candidate *c);
/* Discards the one with this address and kind, and its pairs. 0: signal it. ERR_NOT_FOUND. */
int ice_discard_local(struct ice_agent *a, u64 now, enum candidate_kind kind, const struct endpoint *addr);
/* All that are not discarded, highest priority first. Returns their number. */
size_t ice_local_candidates(const struct ice_agent *a, struct candidate out[static ICE_LOCAL_MAX]);

/* The same of the peer's, in no order. */
size_t ice_remote_candidates(const struct ice_agent *a, struct candidate out[static ICE_REMOTE_MAX]);

/* Whether a text that was signalled is meant for this agent: component 1, UDP, no foreign ufrag (spec 20 §5.3). */
bool ice_wants(const struct ice_agent *a, const struct candidate_text *t);
/* A candidate that the peer signalled. 0, also when it is known. ERR_INVAL: not usable. ERR_LIMIT. */
int ice_add_remote(struct ice_agent *a, u64 now, const struct candidate *c);
/* Matched by addr, raddr and kind. ERR_NOT_FOUND. */
int ice_remove_remote(struct ice_agent *a, u64 now, const struct candidate *c);
/* Guesses what forwarded ports would be reachable at (spec 20 §5.12); call it after each ice_add_remote(). */
void ice_add_optimistic(struct ice_agent *a, u64 now);

/* Whether the peer signalled this address as that of its relay. */
bool ice_is_remote_relay(const struct ice_agent *a, const struct endpoint *addr);
bool ice_has_remote(const struct ice_agent *a);

/* --- doors -------------------------------------------------------------------------------------------------------------------- */

/* A check or an answer to one of ours, received on `local` from `remote`. 0 when it was good; ERR_AUTH: integrity or ufrags do not fit;
 * ERR_NOT_FOUND: no such local candidate or transaction; ERR_DENIED: comes from a withdrawn candidate or breaks the role. */
int ice_input(struct ice_agent *a, u64 now, const struct endpoint *local, const struct endpoint *remote, const struct ice_msg *m);
void ice_timeout(struct ice_agent *a, u64 now);
u64 ice_next_timeout(const struct ice_agent *a);

struct ice_transmit {
	struct endpoint local; /* base: one of our interface addresses, or a relayed one */
	struct endpoint remote;
	u32 len;
	u8 data[ICE_MESSAGE_MAX];
};
/* Answers first, then due checks from the best pair down. */
bool ice_poll_transmit(struct ice_agent *a, struct ice_transmit *out);

/* Something is wrong with the path in use: asks all pairs at once and fast for ICE_PROBE_TIME. Pairs that answer win over those that don't.
 * No-op while a probe runs. */
void ice_probe(struct ice_agent *a, u64 now);

/* --- what is known --------------------------------------------------------------------------------------------------------------- */

struct ice_path {
	struct endpoint local, remote;
};
/* Where to send. False before the first nomination and after all nominated pairs are gone. */
bool ice_selected(const struct ice_agent *a, struct ice_path *out);
/* How long the latest answered check on that path took, ns. False: none is selected, or it never answered a check of ours. */
bool ice_rtt(const struct ice_agent *a, u64 *out);
enum ice_state ice_state(const struct ice_agent *a);

struct ice_stats {
	u32 checks_sent, answers_sent, answers_dropped, checks_received, successes, rejected, pairs_dropped, nominations;
	u32 n_local, n_remote, n_pairs;
};
struct ice_stats ice_stats(const struct ice_agent *a);

/* For tests and status: the i-th pair, best first; false beyond the last. */
struct ice_pair_info {
	struct ice_path path;
	enum candidate_kind local_kind, remote_kind;
	u64 priority;
	bool is_succeeded, is_nominated;
};
bool ice_pair_info(const struct ice_agent *a, size_t i, struct ice_pair_info *out);
