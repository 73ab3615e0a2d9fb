/* core/ice/agent_int.h: the inside of the agent, shared by
 *   agent.c             pairs, nomination, input, time and output
 *   agent_candidates.c  what is known of either side's candidates
 */
#pragma once

#include "core/ice/agent.h"

struct entry {
	struct candidate c;
	bool is_discarded;
	bool is_placeholder; /* remote: known from a check only, the peer has not signalled it */
	u32 discarded_at;    /* order of discarding */
};

struct entries {
	struct entry *v;
	u32 n, capacity, limit;
};

struct pair {
	u64 prio;
	u32 id;
	u8 local, remote; /* indices of entries */
	bool is_succeeded, is_nominated;
	u8 n_triggered;
	struct ice_history h;
};

struct answer {
	u8 txid[STUN_TXID];
	struct endpoint local, remote;
};

struct ice_agent {
	struct ice_config cfg;
	u64 tie_breaker;
	u64 now; /* latest that a door was told */
	bool is_started;
	struct entries local, remote;
	struct pair *pairs; /* by priority, highest first */
	u32 n_pairs, pairs_capacity;
	u32 next_pair_id, selected; /* 0 = none */
	u32 discards;
	u64 probe_since; /* 0 = no probe runs */
	struct answer answers[ICE_ANSWERS_MAX];
	u32 answers_head, n_answers;
	struct ice_stats stats;
};

/* --- agent.c */
bool agent_grow(void *array, u32 *capacity, u32 limit, size_t size);
u64 agent_pair_priority(const struct ice_agent *a, u32 local, u32 remote);
void agent_sort_pairs(struct ice_agent *a);
void agent_remove_pair(struct ice_agent *a, u32 i);
/* A candidate with all of the other side. */
void agent_pair_local(struct ice_agent *a, u32 local);
void agent_pair_remote(struct ice_agent *a, u32 remote);
/* Nominates anew where a better pair, or only another one, is left (spec 20 §5.8). */
void agent_reselect(struct ice_agent *a);

/* --- agent_candidates.c */
int agent_add_remote(struct ice_agent *a, const struct candidate *c, bool is_placeholder);
/* A zeroed one; beyond the limit in place of the one discarded for longest, NULL when all live. */
struct entry *agent_entry_add(struct entries *e);
