/* The queries of a forwarder: whom to ask next, when, and what to think of the answer.
 *
 * Theory of operation. Equal questions share a *job*; each asker is a *waiter* of it. A job starts *exchanges*, at most
 * FORWARD_ATTEMPTS_MAX, each in a slot of the job, so an exchange id is (generation, job, slot) and finding it costs no look-up. Each
 * job has one timer: the earlier of "the last server asked is slow now" and the deadline. Everything that a job does next is decided in
 * three places: job_is_slow(), job_was_failed() and job_end().
 */
#include "core/dns/forward_int.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define ID_SLOT_BITS 3
#define ID_JOB_BITS 13
#define MESSAGE_CAPACITY_MIN 512u
#define SHARE_UNTIL(job) ((job)->group->timeout / 2) /* who comes later would wait for less than half the time */

static_assert(FORWARD_ATTEMPTS_MAX <= 1u << ID_SLOT_BITS, "a slot fits into an exchange id");
static_assert(FORWARD_QUERIES_LIMIT + 8 < 1u << ID_JOB_BITS, "a job fits too, and some that linger");
static_assert(FORWARD_SERVERS_MAX <= 16, "a server fits into a mask");

static void job_end(struct forwarder *f, struct job *j, u64 now, struct span answer, u8 server);

/* ---- making and freeing ---- */

struct forwarder *forwarder_new(struct rng *rng, u32 queries_max)
{
	if (queries_max == 0)
		queries_max = FORWARD_QUERIES_MAX;
	queries_max = MIN(queries_max, FORWARD_QUERIES_LIMIT);
	struct forwarder *f = calloc(1, sizeof(*f));
	if (!f)
		return NULL;
	f->rng = rng;
	f->lingering_max = MIN(LINGERING_MAX(queries_max), (1u << ID_JOB_BITS) - queries_max - 1);
	f->n_jobs = queries_max + f->lingering_max + 1; /* and the delivered one */
	f->n_waiters = queries_max;
	f->free_waiters = WAITER_NONE;
	f->queued_tail = &f->queued;
	f->answered_tail = &f->answered;
	f->key = siphash_key_draw(rng);
	table_init(&f->shared, sizeof(u64), queries_max, rng);
	heap_init(&f->heap, f->n_jobs);
	f->jobs = calloc(f->n_jobs, sizeof(*f->jobs));
	f->waiters = calloc(f->n_waiters, sizeof(*f->waiters));
	f->cancels = calloc(f->n_jobs * FORWARD_ATTEMPTS_MAX, sizeof(*f->cancels));
	if (!f->jobs || !f->waiters || !f->cancels || heap_reserve(&f->heap, f->n_jobs) || table_reserve(&f->shared, queries_max)) {
		forwarder_free(f);
		return NULL;
	}
	return f;
}

void forwarder_free(struct forwarder *f)
{
	if (!f)
		return;
	for (u32 i = 0; i < f->jobs_used; i++) {
		free(f->jobs[i].message);
		free(f->jobs[i].kept);
	}
	for (u32 i = 0; i < f->n_groups; i++)
		free(f->groups[i]);
	free(f->jobs);
	free(f->waiters);
	free(f->cancels);
	table_deinit(&f->shared);
	heap_deinit(&f->heap);
	free(f);
}

static struct job *job_take(struct forwarder *f)
{
	struct job *j = f->free_jobs;
	if (j)
		f->free_jobs = j->next;
	else if (f->jobs_used < f->n_jobs)
		j = &f->jobs[f->jobs_used++];
	else
		return NULL;
	u16 generation = (u16)(j->generation + 1);
	*j = (struct job){ .generation = generation ? generation : 1, .waiters = WAITER_NONE, .kept_server = SERVER_NONE,
			   .answer_server = SERVER_NONE, .deadline = TIME_NEVER, .next_attempt = TIME_NEVER };
	return j;
}

static void job_free(struct forwarder *f, struct job *j)
{
	heap_disarm(&f->heap, &j->timer);
	if (j->is_shared && table_get(&f->shared, &j->hash) == j)
		(void)table_del(&f->shared, &j->hash);
	free(j->message);
	free(j->kept);
	j->message = j->kept = NULL;
	j->state = JOB_FREE;
	j->next = f->free_jobs;
	f->free_jobs = j;
}

static void job_arm(struct forwarder *f, struct job *j)
{
	(void)heap_arm(&f->heap, &j->timer, MIN(j->deadline, j->next_attempt)); /* room was reserved for all */
}

/* ---- exchanges ---- */

static u32 exchange_id(const struct forwarder *f, const struct exchange *e)
{
	const struct job *j = e->job;
	return (u32)j->generation << (ID_JOB_BITS + ID_SLOT_BITS) | (u32)(j - f->jobs) << ID_SLOT_BITS | (u32)(e - j->exchanges);
}

/* A sent one; anything else is late. */
static struct exchange *exchange_find(struct forwarder *f, u32 id)
{
	u32 slot = id & ((1u << ID_SLOT_BITS) - 1), job = id >> ID_SLOT_BITS & ((1u << ID_JOB_BITS) - 1);
	if (job < f->jobs_used && slot < FORWARD_ATTEMPTS_MAX) {
		struct job *j = &f->jobs[job];
		if (j->state != JOB_FREE && j->generation == id >> (ID_JOB_BITS + ID_SLOT_BITS) && j->exchanges[slot].state == EX_SENT)
			return &j->exchanges[slot];
	}
	f->stats.late++;
	return NULL;
}

static void exchange_cancel(struct forwarder *f, struct exchange *e)
{
	if (e->state == EX_QUEUED) {
		*e->link = e->next;
		if (e->next)
			e->next->link = e->link;
		else
			f->queued_tail = e->link;
	} else if (e->state == EX_SENT) {
		f->cancels[f->n_cancels++] = exchange_id(f, e);
	}
	if (e->state != EX_FREE)
		e->state = EX_DONE;
}

static void job_cancel(struct forwarder *f, struct job *j)
{
	for (u32 i = 0; i < j->n_exchanges; i++)
		exchange_cancel(f, &j->exchanges[i]);
}

static bool job_has(const struct job *j, bool only_sent)
{
	for (u32 i = 0; i < j->n_exchanges; i++)
		if (j->exchanges[i].state == EX_SENT || (!only_sent && j->exchanges[i].state == EX_QUEUED))
			return true;
	return false;
}

static u32 times_asked(const struct job *j, u8 server)
{
	u32 n = 0;
	for (u32 i = 0; i < j->n_exchanges; i++)
		n += j->exchanges[i].server == server;
	return n;
}

static enum dns_transport transport_for(const struct job *j, const struct dns_server *s)
{
	return s->transport == DNS_OVER_UDP && (j->came_by_tcp || j->wants_tcp) ? DNS_OVER_TCP : s->transport;
}

/* Randomness comes from the system by the batch: a call per query would cost as much as sending it. */
static u16 draw_id(struct forwarder *f)
{
	if (f->ids_left == 0) {
		rng_fill(f->rng, f->ids, sizeof(f->ids));
		f->ids_left = FORWARD_IDS;
	}
	return f->ids[--f->ids_left];
}

static void exchange_queue(struct forwarder *f, struct exchange *e)
{
	e->state = EX_QUEUED;
	e->next = NULL;
	e->link = f->queued_tail;
	*f->queued_tail = e;
	f->queued_tail = &e->next;
}

static struct exchange *exchange_start(struct forwarder *f, struct job *j, u64 now, u8 server)
{
	struct server *s = &j->group->servers[server];
	u32 before = times_asked(j, server);
	struct exchange *e = &j->exchanges[j->n_exchanges++];
	*e = (struct exchange){ .job = j, .started = now, .server = server };
	e->transport = (u8)transport_for(j, &s->conf);
	if (e->transport != DNS_OVER_HTTPS)
		e->wire_id = draw_id(f);
	exchange_queue(f, e);
	s->asked++;
	f->stats.exchanges++;
	j->next_attempt = now + (server_pace(s, e->transport) << before);
	return e;
}

bool forwarder_poll_exchange(struct forwarder *f, struct dns_exchange *out)
{
	if (f->cancels_out < f->n_cancels) {
		*out = (struct dns_exchange){ .id = f->cancels[f->cancels_out++], .is_cancel = true };
		return true;
	}
	f->cancels_out = f->n_cancels = 0;
	struct exchange *e = f->queued;
	if (!e)
		return false;
	struct job *j = e->job;
	exchange_cancel(f, e); /* takes it out of the queue */
	e->state = EX_SENT;
	put_be16(j->message, e->wire_id);
	*out = (struct dns_exchange){ .id = exchange_id(f, e),
				      .group = j->group->key,
				      .server = &j->group->servers[e->server].conf,
				      .transport = e->transport,
				      .message = SPAN(j->message, j->len) };
	return true;
}

/* ---- what a job does next ---- */

/* Bit per server that this query was already sent to. */
static u16 job_tried(const struct job *j)
{
	u16 mask = 0;
	for (u32 i = 0; i < j->n_exchanges; i++)
		if (j->exchanges[i].server != SERVER_NONE)
			mask |= (u16)(1u << j->exchanges[i].server);
	return mask;
}

/* The one to which the same datagram may have been lost: asked least often, then best. */
static u8 job_repeat(const struct job *j)
{
	u8 best = SERVER_NONE;
	u32 least = UINT32_MAX;
	u16 without = j->failed;
	for (;;) {
		u8 s = group_best(j->group, without);
		if (s == SERVER_NONE)
			return best;
		without |= (u16)(1u << s);
		if (transport_for(j, &j->group->servers[s].conf) == DNS_OVER_UDP && times_asked(j, s) < least) {
			least = times_asked(j, s);
			best = s;
		}
	}
}

static void job_is_slow(struct forwarder *f, struct job *j, u64 now)
{
	j->next_attempt = TIME_NEVER;
	if (j->n_exchanges == FORWARD_ATTEMPTS_MAX)
		return;
	u8 s = group_best(j->group, j->failed | job_tried(j));
	if (s != SERVER_NONE) {
		f->stats.raced++;
		exchange_start(f, j, now, s);
	} else if ((s = job_repeat(j)) != SERVER_NONE) {
		f->stats.repeated++;
		exchange_start(f, j, now, s);
	}
}

/* An exchange ended without an answer that can be given. A failed probe takes no other's place. */
static void job_was_failed(struct forwarder *f, struct job *j, u64 now, bool was_probe)
{
	bool may_start = j->n_exchanges < FORWARD_ATTEMPTS_MAX && !(was_probe && job_has(j, false));
	u8 s = may_start ? group_best(j->group, j->failed | job_tried(j)) : SERVER_NONE;
	if (s != SERVER_NONE) {
		f->stats.next_server++;
		exchange_start(f, j, now, s);
		job_arm(f, j);
	} else if (!job_has(j, false)) {
		job_end(f, j, now, SPAN_NONE, SERVER_NONE);
	} else {
		job_arm(f, j);
	}
}

static bool job_set_message(struct job *j, struct span m)
{
	if (m.n > j->capacity) {
		u8 *grown = realloc(j->message, m.n);
		if (!grown)
			return false;
		j->message = grown;
		j->capacity = m.n;
	}
	memcpy(j->message, m.p, m.n);
	j->len = m.n;
	return true;
}

static void job_set_servfail(struct forwarder *f, struct job *j)
{
	u8 buf[DNS_HEADER_LEN + DNS_NAME_MAX + 4];
	struct wr w = wr_init(buf, sizeof(buf));
	dns_answer_begin(&w, SPAN(j->message, j->len), &j->query, DNS_SERVFAIL);
	(void)job_set_message(j, wr_span(&w)); /* no longer than the query */
	f->stats.servfail_made++;
}

/* Which of the exchanges still under way may go on when the job has its answer. */
static void job_overtaken(struct forwarder *f, struct job *j, u64 now)
{
	bool may_linger = f->n_lingering < f->lingering_max && j->is_from_upstream;
	u64 until = 0;
	for (u32 i = 0; i < j->n_exchanges; i++) {
		struct exchange *e = &j->exchanges[i];
		const struct server *s = exchange_server(e);
		bool wants = may_linger && e->state == EX_SENT && s && e->server != j->answer_server && e->transport == s->conf.transport &&
			     e->started + FORWARD_LINGER > now;
		if (wants)
			until = MAX(until, e->started + FORWARD_LINGER);
		else
			exchange_cancel(f, e);
	}
	heap_disarm(&f->heap, &j->timer);
	if (until != 0) {
		f->n_lingering++;
		(void)heap_arm(&f->heap, &j->timer, until);
	}
}

/* `answer` empty: what was kept, else SERVFAIL. */
static void job_end(struct forwarder *f, struct job *j, u64 now, struct span answer, u8 server)
{
	if (answer.n == 0 && j->kept) {
		answer = SPAN(j->kept, j->kept_len);
		server = j->kept_server;
	} else if (answer.n > 0) {
		for (u32 i = 0; i < j->group->n; i++)
			if (j->complained & 1u << i && i != server)
				server_failed(&j->group->servers[i], now, now); /* another one could tell */
	}
	if (answer.n > 0 && job_set_message(j, answer)) {
		j->is_from_upstream = true;
		j->answer_server = server;
		f->stats.answered++;
	} else {
		job_set_servfail(f, j);
	}
	if (j->is_shared && table_get(&f->shared, &j->hash) == j)
		(void)table_del(&f->shared, &j->hash);
	j->is_shared = false;
	j->state = JOB_ANSWERED;
	j->ended = now;
	job_overtaken(f, j, now);
	j->next = NULL;
	*f->answered_tail = j;
	f->answered_tail = &j->next;
}

/* The last waiter is served. */
static void job_release(struct forwarder *f, struct job *j)
{
	if (!job_has(j, true)) {
		job_free(f, j);
		return;
	}
	j->state = JOB_LINGERING;
	free(j->message);
	free(j->kept);
	j->message = j->kept = NULL;
	j->len = j->capacity = 0;
}

/* Its last overtaken exchange is over. */
static void lingering_end(struct forwarder *f, struct job *j)
{
	f->n_lingering--;
	heap_disarm(&f->heap, &j->timer);
	if (j->state == JOB_LINGERING)
		job_free(f, j);
}

/* ---- asking ---- */

static u64 question_hash(const struct forwarder *f, struct span query, u32 group, bool came_by_tcp)
{
	u64 place = (u64)group << 1 | came_by_tcp;
	return siphash(&f->key, query.p + 2, query.n - 2) ^ siphash(&f->key, &place, sizeof(place));
}

static struct job *job_to_share(struct forwarder *f, u64 now, const struct group *g, struct span query, bool came_by_tcp, u64 hash)
{
	struct job *j = table_get(&f->shared, &hash);
	bool fits = j && j->group == g && j->came_by_tcp == came_by_tcp && j->len == query.n &&
		    memcmp(j->message + 2, query.p + 2, query.n - 2) == 0 && now < j->deadline - SHARE_UNTIL(j);
	return fits ? j : NULL;
}

static void waiter_add(struct forwarder *f, struct job *j, u64 now, u16 id, u64 token)
{
	u32 i = f->free_waiters;
	if (i != WAITER_NONE)
		f->free_waiters = f->waiters[i].next;
	else
		i = f->waiters_used++;
	f->n_asking_waiters++;
	f->waiters[i] = (struct waiter){ token, now, j->waiters, id };
	j->waiters = i;
}

static u32 waiter_free(struct forwarder *f, u32 i)
{
	u32 next = f->waiters[i].next;
	f->waiters[i].next = f->free_waiters;
	f->free_waiters = i;
	f->n_asking_waiters--;
	return next;
}

static struct job *job_new(struct forwarder *f, u64 now, struct group *g, struct span query, const struct dns_query *q)
{
	size_t capacity = MAX(query.n, (size_t)MESSAGE_CAPACITY_MIN);
	u8 *copy = malloc(capacity);
	struct job *j = copy ? job_take(f) : NULL;
	if (!j) {
		free(copy);
		return NULL;
	}
	memcpy(copy, query.p, query.n);
	j->message = copy;
	j->len = query.n;
	j->capacity = capacity;
	j->group = g;
	j->group_key = g->key;
	j->query = *q;
	j->state = JOB_ASKING;
	j->deadline = time_add(now, g->timeout);
	return j;
}

int forwarder_ask(struct forwarder *f, u64 now, u32 group, struct span query, const struct dns_query *q, bool came_by_tcp, u64 token)
{
	struct group *g = group_find(f, group);
	if (!g)
		return ERR_NOT_FOUND;
	if (query.n < DNS_HEADER_LEN || query.n > DNS_MESSAGE_MAX)
		return ERR_INVAL;
	if (f->n_asking_waiters == f->n_waiters) {
		f->stats.refused_limit++;
		return ERR_LIMIT;
	}
	u64 hash = question_hash(f, query, group, came_by_tcp);
	struct job *j = job_to_share(f, now, g, query, came_by_tcp, hash);
	if (j) {
		f->stats.shared++;
	} else {
		j = job_new(f, now, g, query, q);
		if (!j)
			return ERR_NOMEM;
		j->came_by_tcp = came_by_tcp;
		j->hash = hash;
		j->is_shared = table_put(&f->shared, &hash, j) == 0;
		u8 first = group_best(g, 0), probe = group_probe(g, now, first);
		if (probe != SERVER_NONE) {
			f->stats.probes++;
			exchange_start(f, j, now, probe)->is_probe = true;
		}
		exchange_start(f, j, now, first);
		job_arm(f, j);
	}
	f->stats.asked++;
	waiter_add(f, j, now, q->id, token);
	return 0;
}

void forwarder_forget(struct forwarder *f, u64 token)
{
	for (u32 i = 0; i < f->jobs_used; i++) {
		struct job *j = &f->jobs[i];
		if (j->state != JOB_ASKING && j->state != JOB_ANSWERED)
			continue;
		for (u32 *at = &j->waiters; *at != WAITER_NONE;) {
			if (f->waiters[*at].token == token)
				*at = waiter_free(f, *at);
			else
				at = &f->waiters[*at].next;
		}
		if (j->state == JOB_ASKING && j->waiters == WAITER_NONE) {
			job_cancel(f, j);
			job_free(f, j);
		}
	}
}

/* ---- what comes back ---- */

/* A truncated answer is better than a complaint; among equals the last one counts. */
static void job_keep(struct job *j, struct span m, u8 server, bool is_truncated)
{
	if (j->is_kept_truncated && !is_truncated)
		return;
	u8 *copy = realloc(j->kept, m.n);
	if (!copy)
		return;
	memcpy(copy, m.p, m.n);
	j->kept = copy;
	j->kept_len = m.n;
	j->kept_server = server;
	j->is_kept_truncated = is_truncated;
}

static bool has_stream_under_way(const struct job *j)
{
	for (u32 i = 0; i < j->n_exchanges; i++) {
		const struct exchange *e = &j->exchanges[i];
		if (e->transport == DNS_OVER_TCP && (e->state == EX_QUEUED || e->state == EX_SENT))
			return true;
	}
	return false;
}

static void job_truncated(struct forwarder *f, struct job *j, u64 now, struct span m, u8 server)
{
	job_keep(j, m, server, true);
	j->wants_tcp = true;
	if (has_stream_under_way(j))
		return;
	if (j->n_exchanges == FORWARD_ATTEMPTS_MAX) {
		job_end(f, j, now, SPAN_NONE, SERVER_NONE);
		return;
	}
	f->stats.retried_tcp++;
	exchange_start(f, j, now, server);
	job_arm(f, j);
}

static void exchange_failed(struct forwarder *f, struct exchange *e, u64 now, bool is_servers_fault)
{
	struct job *j = e->job;
	struct server *s = exchange_server(e);

	e->state = EX_DONE;
	if (s && is_servers_fault && e->transport == s->conf.transport)
		server_failed(s, now, e->started);
	if (j->state != JOB_ASKING) {
		if (!job_has(j, true))
			lingering_end(f, j);
		return;
	}
	if (e->server != SERVER_NONE)
		j->failed |= (u16)(1u << e->server);
	job_was_failed(f, j, now, e->is_probe);
}

bool forwarder_response(struct forwarder *f, u64 now, u32 id, const struct endpoint *from, struct span message)
{
	struct exchange *e = exchange_find(f, id);
	if (!e)
		return true;
	struct job *j = e->job;
	struct server *s = exchange_server(e);
	enum verdict v = forward_judge(f, e, from, message);
	if (v == VERDICT_WRONG) {
		if (!from)
			exchange_failed(f, e, now, true);
		return !from;
	}
	if (v == VERDICT_COMPLAINT || v == VERDICT_BARE_COMPLAINT) {
		if (j->state == JOB_ASKING && e->server != SERVER_NONE) {
			if (v == VERDICT_COMPLAINT)
				job_keep(j, message, e->server, false);
			j->complained |= (u16)(1u << e->server);
		}
		exchange_failed(f, e, now, false);
		return true;
	}
	if (s)
		server_answered(s, now, time_since(now, e->started), e->transport == s->conf.transport);
	e->state = EX_DONE;
	if (j->state != JOB_ASKING) {
		if (!job_has(j, true))
			lingering_end(f, j);
	} else if (v == VERDICT_TRUNCATED) {
		job_truncated(f, j, now, message, e->server);
	} else {
		job_end(f, j, now, message, e->server);
	}
	return true;
}

void forwarder_failed(struct forwarder *f, u64 now, u32 id, int error)
{
	struct exchange *e = exchange_find(f, id);
	if (!e)
		return;
	if (error == ERR_AGAIN && e->job->state == JOB_ASKING && !e->is_again) {
		e->is_again = true;
		f->stats.again++;
		exchange_queue(f, e);
		return;
	}
	exchange_failed(f, e, now, error != ERR_LIMIT && error != ERR_NOMEM);
}

bool forwarder_poll_answer(struct forwarder *f, struct dns_answer *out)
{
	if (f->delivered) {
		job_release(f, f->delivered);
		f->delivered = NULL;
	}
	while (f->answered) {
		struct job *j = f->answered;
		u32 i = j->waiters;
		if (i != WAITER_NONE) {
			const struct waiter *w = &f->waiters[i];
			dns_set_id(j->message, w->id);
			*out = (struct dns_answer){ .token = w->token,
						    .message = SPAN(j->message, j->len),
						    .is_from_upstream = j->is_from_upstream,
						    .group = j->group_key,
						    .server = j->answer_server == SERVER_NONE ? 0 : j->answer_server,
						    .took = time_since(j->ended, w->asked) };
			j->waiters = waiter_free(f, i);
		}
		if (j->waiters == WAITER_NONE) {
			f->answered = j->next;
			if (!f->answered)
				f->answered_tail = &f->answered;
			if (i == WAITER_NONE) {
				job_release(f, j); /* all its askers went away */
				continue;
			}
			f->delivered = j;
		}
		return true;
	}
	return false;
}

/* ---- time ---- */

static void job_deadline(struct forwarder *f, struct job *j, u64 now)
{
	for (u32 i = 0; i < j->n_exchanges; i++) {
		struct exchange *e = &j->exchanges[i];
		struct server *s = exchange_server(e);
		if (s && e->state == EX_SENT && e->transport == s->conf.transport &&
		    time_since(now, e->started) >= server_pace(s, e->transport))
			server_failed(s, now, e->started);
	}
	job_end(f, j, now, SPAN_NONE, SERVER_NONE);
}

static void lingering_timeout(struct forwarder *f, struct job *j, u64 now)
{
	for (u32 i = 0; i < j->n_exchanges; i++) {
		struct exchange *e = &j->exchanges[i];
		struct server *s = exchange_server(e);
		if (s && e->state == EX_SENT)
			server_failed(s, now, e->started);
		exchange_cancel(f, e);
	}
	lingering_end(f, j);
}

void forwarder_timeout(struct forwarder *f, u64 now)
{
	for (struct heap_node *n; (n = heap_pop_due(&f->heap, now)) != NULL;) {
		struct job *j = container_of(n, struct job, timer);
		if (j->state != JOB_ASKING) {
			lingering_timeout(f, j, now);
		} else if (now >= j->deadline) {
			job_deadline(f, j, now);
		} else {
			job_is_slow(f, j, now);
			job_arm(f, j);
		}
	}
}

u64 forwarder_next_timeout(const struct forwarder *f)
{
	return heap_next(&f->heap);
}

/* ---- groups ---- */

/* The job goes on with `fresh`; exchanges with servers that are gone end. */
static void job_regroup(struct forwarder *f, struct job *j, u64 now, const struct group *old, struct group *fresh)
{
	bool lingers = j->state != JOB_ASKING && job_has(j, true);
	u16 failed = 0, complained = 0;
	for (u32 i = 0; i < old->n; i++) {
		u8 moved = group_moved(old, (u8)i, fresh);
		if (moved != SERVER_NONE && j->failed & 1u << i)
			failed |= (u16)(1u << moved);
		if (moved != SERVER_NONE && j->complained & 1u << i)
			complained |= (u16)(1u << moved);
	}
	j->failed = failed;
	j->complained = complained;
	j->kept_server = group_moved(old, j->kept_server, fresh);
	j->answer_server = group_moved(old, j->answer_server, fresh);
	for (u32 i = 0; i < j->n_exchanges; i++) {
		struct exchange *e = &j->exchanges[i];
		e->server = group_moved(old, e->server, fresh);
		if (e->server == SERVER_NONE)
			exchange_cancel(f, e);
	}
	j->group = fresh;
	if (j->state == JOB_ASKING && !job_has(j, false))
		job_was_failed(f, j, now, false);
	else if (lingers && !job_has(j, true))
		lingering_end(f, j);
}

static void job_ungroup(struct forwarder *f, struct job *j, u64 now)
{
	bool lingers = j->state != JOB_ASKING && job_has(j, true);
	job_cancel(f, j);
	if (j->state == JOB_ASKING) {
		free(j->kept);
		j->kept = NULL;
		job_end(f, j, now, SPAN_NONE, SERVER_NONE);
	}
	j->group = NULL;
	if (lingers)
		lingering_end(f, j);
}

int forwarder_set_group(struct forwarder *f, u64 now, u32 group, const struct forward_group *g)
{
	struct group *old = group_find(f, group), *fresh = NULL;
	if (g->n > FORWARD_SERVERS_MAX || (!old && g->n > 0 && f->n_groups == FORWARD_GROUPS_MAX))
		return ERR_LIMIT;
	if (g->n > 0 && !(fresh = group_new(group, g, old)))
		return ERR_NOMEM;
	f->revision++;
	if (!old) {
		if (fresh)
			f->groups[f->n_groups++] = fresh;
		return 0;
	}
	for (u32 i = 0; i < f->n_groups; i++)
		if (f->groups[i] == old)
			f->groups[i] = fresh ? fresh : f->groups[--f->n_groups];
	for (u32 i = 0; i < f->jobs_used; i++) {
		struct job *j = &f->jobs[i];
		if (j->state == JOB_FREE || j->group != old)
			continue;
		if (fresh)
			job_regroup(f, j, now, old, fresh);
		else
			job_ungroup(f, j, now);
	}
	free(old);
	return 0;
}

void forwarder_reset(struct forwarder *f, u64 now)
{
	for (u32 i = 0; i < f->jobs_used; i++) {
		struct job *j = &f->jobs[i];
		bool lingers = j->state != JOB_ASKING && job_has(j, true);
		if (j->state == JOB_FREE)
			continue;
		job_cancel(f, j);
		if (j->state == JOB_ASKING) {
			free(j->kept);
			j->kept = NULL;
			job_end(f, j, now, SPAN_NONE, SERVER_NONE);
		} else if (lingers) {
			lingering_end(f, j);
		}
	}
	for (u32 i = 0; i < f->n_groups; i++)
		for (u32 k = 0; k < f->groups[i]->n; k++)
			server_forget(&f->groups[i]->servers[k]);
}

const struct forward_stats *forwarder_stats(const struct forwarder *f)
{
	return &f->stats;
}
