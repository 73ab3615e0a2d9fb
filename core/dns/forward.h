/* core/dns/forward.h: a query goes to upstream servers until one of them answers (spec 30 §10.3–§10.4).
 *
 * The forwarder decides whom to ask, how, how often and when to give up; it moves no bytes itself. What it wants moved comes out as
 * *exchanges*: one message to one server over one transport. Whoever owns sockets (applets/common/dns_sockets.h; the tunnel for servers
 * behind it; a test) carries them out and reports back.
 *
 *      forwarder_ask ──▶ [asking] ── exchange START ──▶ carrier ── forwarder_response / forwarder_failed ──▶ judged
 *                           │ ▲                                                                                 │
 *                           │ └── next attempt: TCP after truncation, the next server after failure, a second ──┤
 *                           │     one raced when the first is slow                                              │
 *                           ▼                                                                                   ▼
 *                     deadline: SERVFAIL                              a matching answer: out by forwarder_poll_answer
 *
 * Judging: another question, another sender (the carrier says who answered), not a response, or not parsable is counted and ignored:
 * the exchange goes on. SERVFAIL or REFUSED of one server lets the next one try; the last one's is passed on. Equal queries in flight to
 * one group share their exchanges. A truncated answer by UDP is asked for again by TCP; if that fails it is passed on as it is. Over TCP
 * and HTTPS an answer that is judged wrong ends the exchange as a failure, since no other will follow.
 *
 * Each server has a smoothed round-trip time (RFC 6298), which gives the pace: a server is *slow* after srtt + 4 rttvar, at least
 * FORWARD_PACE_MIN, so that a healthy one is not raced. A server that failed FORWARD_DEAD_AFTER times in a row, over the
 * transport it is meant for, stands behind all others.
 * What is not asked first is probed now and then: a query goes to it as well, at the same time, so learning costs no query any time. An
 * exchange overtaken by a quicker server goes on for FORWARD_LINGER, to tell slow from dead.
 *
 * Exchanges carry an ID of the forwarder's choice, random; answers leave with the asker's ID. Nothing is allocated per query after
 * forwarder_new() but the copy of the message, which the limit bounds.
 */
#pragma once

#include "core/base/rng.h"
#include "core/base/time.h"
#include "core/dns/message.h"

#define FORWARD_QUERIES_MAX 1000u      /* in flight; more are refused (spec 30 §1.2) */
#define FORWARD_SERVERS_MAX 16u        /* of one group */
#define FORWARD_GROUPS_MAX 256u
#define FORWARD_URL_MAX 512u
#define FORWARD_TIMEOUT SEC(5)         /* of a query; spec 30 §1.2. In the tunnel SEC(10) */
#define FORWARD_ATTEMPTS_MAX 6u        /* exchanges of one query */
#define FORWARD_QUERIES_LIMIT 8000u    /* the most that queries_max may be */
#define FORWARD_PACE_MIN MSEC(200)     /* resolvers answer from cache in 1 ms and by recursion in 150 */
#define FORWARD_PACE_MAX SEC(1)
#define FORWARD_PACE_UNKNOWN MSEC(400) /* no answer seen yet */
#define FORWARD_DEAD_AFTER 3u          /* failures in a row */
#define FORWARD_PROBE_EVERY SEC(60)    /* of one server; of a dead one from 1 s, doubling up to this */
#define FORWARD_LINGER SEC(2)

enum dns_transport { DNS_OVER_UDP, DNS_OVER_TCP, DNS_OVER_HTTPS };

struct dns_server {
	enum dns_transport transport; /* UDP: also TCP, for queries that came by TCP and after truncation */
	struct endpoint addr;         /* UDP, TCP */
	char url[FORWARD_URL_MAX];    /* HTTPS: https://host[:port]/path */
	bool is_in_tunnel;            /* for the carrier: spec 30 §10.3 */
};

struct forward_group {
	const struct dns_server *servers; /* copied */
	size_t n;
	bool is_ordered; /* in this order, the dead last; else the quickest first, the dead last */
	u64 timeout;     /* 0 = FORWARD_TIMEOUT */
};

struct forwarder;

/* queries_max 0 = FORWARD_QUERIES_MAX. NULL: out of memory. */
struct forwarder *forwarder_new(struct rng *rng, u32 queries_max);
void forwarder_free(struct forwarder *f);

/* Defines or replaces a group. Servers that stay keep what is known of them and their exchanges; queries in flight go on with the new
 * ones. n = 0 removes it: its queries in flight end with SERVFAIL. ERR_LIMIT, ERR_NOMEM. */
int forwarder_set_group(struct forwarder *f, u64 now, u32 group, const struct forward_group *g) MUST_CHECK;

/* `query` was parsed as `q`. `came_by_tcp`: such a query is forwarded by TCP at once and its answer may be long. The answer carries
 * `token`. ERR_NOT_FOUND: no such group. ERR_LIMIT: too many in flight. */
int forwarder_ask(struct forwarder *f, u64 now, u32 group, struct span query, const struct dns_query *q, bool came_by_tcp, u64 token) MUST_CHECK;
/* The asker is gone; no answer comes. */
void forwarder_forget(struct forwarder *f, u64 token);
/* Everything in flight ends with SERVFAIL and what is known of servers is forgotten (reset, roaming: spec 30 §13). */
void forwarder_reset(struct forwarder *f, u64 now);

struct dns_exchange {
	u32 id;        /* never 0 */
	bool is_cancel; /* nobody waits for this one any more; only id counts */
	u32 group;
	const struct dns_server *server; /* borrowed until the next call of any door */
	enum dns_transport transport;
	struct span message;             /* likewise. Its DNS ID is random; 0 over HTTPS (spec 30 §10.4). A carrier may use another ID on the
					  * wire if it puts this one into the response */
};
bool forwarder_poll_exchange(struct forwarder *f, struct dns_exchange *out);

/* True: the exchange is over. False: this was not its answer, it goes on. Unknown ids are over: answers may cross with cancels. `from` NULL:
 * the connection vouches for the sender (TCP, HTTPS). */
bool forwarder_response(struct forwarder *f, u64 now, u32 id, const struct endpoint *from, struct span message);
/* ERR_AGAIN: a kept connection ended before the answer; the exchange comes out once more, for a new connection. ERR_LIMIT, ERR_NOMEM: the
 * carrier's own fault, not the server's. */
void forwarder_failed(struct forwarder *f, u64 now, u32 id, int error);

struct dns_answer {
	u64 token;
	struct span message;    /* a whole response with the asker's ID; SERVFAIL made here when nobody answered. Valid until the next call */
	bool is_from_upstream;  /* may be cached */
	u32 group;
	u32 server;             /* index in its group, when from upstream */
	u64 took;               /* ns since it was asked */
};
bool forwarder_poll_answer(struct forwarder *f, struct dns_answer *out);

void forwarder_timeout(struct forwarder *f, u64 now);
u64 forwarder_next_timeout(const struct forwarder *f);

struct forward_stats {
	u64 asked, answered, servfail_made, refused_limit, shared;
	u64 exchanges;
	u64 raced, repeated, probes;      /* of them: another server because the first was slow; the same again; to learn */
	u64 retried_tcp, next_server;     /* after truncation; after a failure */
	u64 again;                        /* sent once more over a new connection */
	u64 late;                         /* answers of exchanges that nobody waits for any more */
	u64 wrong_id, wrong_question, wrong_sender, malformed;
};
const struct forward_stats *forwarder_stats(const struct forwarder *f);
struct forward_server_stats {
	u64 srtt, rttvar; /* ns, 0 unknown */
	u32 failures_in_row;
	u64 asked, answered, failed;
};
bool forwarder_server_stats(const struct forwarder *f, u32 group, u32 server, struct forward_server_stats *out);
/* Counts changes of groups; so that a carrier needs to look only after one whether a resolver is still wanted. */
u32 forwarder_revision(const struct forwarder *f);
/* Some group has a server with this URL. */
bool forwarder_has_url(const struct forwarder *f, const char *url);
/* The index of the server that the next query of this group would be sent to first. ERR_NOT_FOUND: no such group. */
int forwarder_best_server(const struct forwarder *f, u32 group);
