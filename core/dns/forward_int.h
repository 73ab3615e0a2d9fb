/* core/dns/forward_int.h: what the files of the forwarder share: forward.c has the queries, forward_judge.c the opinion of responses,
 * forward_servers.c the groups of servers and what is known of each. */
#pragma once

#include "core/base/heap.h"
#include "core/base/table.h"
#include "core/dns/forward.h"

#define SERVER_NONE 0xffu
#define WAITER_NONE UINT32_MAX
#define FORWARD_IDS 64u
#define LINGERING_MAX(queries) ((queries) / 8 + 8)

struct server {
	struct dns_server conf;
	u64 srtt, rttvar;
	u32 failures_in_row;
	u64 last_failure; /* when it was noted: exchanges begun before do not count again */
	u64 probe_at;
	u64 asked, answered, failed;
};

struct group {
	u32 key;
	bool is_ordered;
	u64 timeout;
	u32 n;
	struct server servers[];
};

struct job;

/* free ──▶ queued ── forwarder_poll_exchange ──▶ sent ── answer, failure, cancel ──▶ done; a slot is used once per job. */
enum exchange_state { EX_FREE, EX_QUEUED, EX_SENT, EX_DONE };

struct exchange {
	struct job *job;
	struct exchange *next, **link; /* queued */
	u64 started;
	u16 wire_id;
	u8 server; /* index in the group; SERVER_NONE: it was taken out of the group */
	u8 transport;
	u8 state;
	bool is_probe;
	bool is_again; /* its connection ended under it once; not twice */
};

/* asking:    exchanges are under way for its waiters
 * answered:  `message` is the answer, waiters are served one by one by forwarder_poll_answer()
 * lingering: nobody waits; exchanges that were overtaken may still tell the time their server takes */
enum job_state { JOB_FREE, JOB_ASKING, JOB_ANSWERED, JOB_LINGERING };

struct job {
	struct heap_node timer;
	struct job *next; /* free or answered */
	struct group *group; /* NULL: it was removed */
	u32 group_key;
	struct dns_query query;
	u8 *message; /* the query, later the answer */
	size_t len, capacity;
	u8 *kept; /* a poor answer (SERVFAIL, REFUSED, truncated) for when there is no better */
	size_t kept_len;
	u64 hash;
	u64 deadline, next_attempt, ended;
	u32 waiters;
	u16 generation;
	u16 failed;     /* bit per server: not to be asked again for this query */
	u16 complained; /* bit per server: said SERVFAIL or REFUSED */
	u8 state;
	u8 n_exchanges;
	u8 kept_server, answer_server;
	bool came_by_tcp, wants_tcp, is_shared, is_kept_truncated, is_from_upstream;
	struct exchange exchanges[FORWARD_ATTEMPTS_MAX];
};

static inline struct server *exchange_server(const struct exchange *e)
{
	struct group *g = e->job->group;
	return g && e->server != SERVER_NONE ? &g->servers[e->server] : NULL;
}

struct waiter {
	u64 token, asked;
	u32 next;
	u16 id;
};

struct forwarder {
	struct rng *rng;
	struct group *groups[FORWARD_GROUPS_MAX];
	u32 n_groups, revision;

	struct job *jobs;
	u32 n_jobs, jobs_used; /* jobs[jobs_used..] were never touched */
	struct job *free_jobs;
	u32 n_asking_waiters, n_lingering, lingering_max;

	struct waiter *waiters;
	u32 n_waiters, waiters_used, free_waiters;

	struct table shared; /* hash of an asking job's question → job */
	struct siphash_key key;
	struct heap heap;
	u16 ids[FORWARD_IDS]; /* drawn and not yet used */
	u32 ids_left;

	struct exchange *queued, **queued_tail;
	u32 *cancels; /* ids; handed out before what is queued, so they never outnumber the exchanges */
	u32 n_cancels, cancels_out;

	struct job *answered, **answered_tail;
	struct job *delivered; /* its answer was handed out last and may still be read */

	struct forward_stats stats;
};

/* --- forward_judge.c --- */
/* wrong: not the answer, to be ignored. complaint: SERVFAIL or REFUSED; a bare one lacks the question and is not to be passed on */
enum verdict { VERDICT_WRONG, VERDICT_ANSWER, VERDICT_TRUNCATED, VERDICT_COMPLAINT, VERDICT_BARE_COMPLAINT };
enum verdict forward_judge(struct forwarder *f, const struct exchange *e, const struct endpoint *from, struct span m);

/* --- forward_servers.c --- */
struct group *group_find(const struct forwarder *f, u32 key);
struct group *group_new(u32 key, const struct forward_group *g, const struct group *old);
/* The place of a server of `old` in `fresh`; SERVER_NONE: it is gone. */
u8 group_moved(const struct group *old, u8 server, const struct group *fresh);
/* The best server of those not in `without` (a bit per server); SERVER_NONE. */
u8 group_best(const struct group *g, u16 without);
/* One to be asked beside `first` in order to learn; SERVER_NONE. */
u8 group_probe(struct group *g, u64 now, u8 first);

void server_answered(struct server *s, u64 now, u64 rtt, bool is_own_transport);
void server_failed(struct server *s, u64 now, u64 started);
void server_forget(struct server *s);
/* How long to wait for it before it counts as slow. */
u64 server_pace(const struct server *s, enum dns_transport t);
