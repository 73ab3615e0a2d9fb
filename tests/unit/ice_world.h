/* tests/unit/ice_world.h: two ICE agents on a scripted network in virtual time. Private to the tests of core/ice/agent.h; included once per
 * program. */
#pragma once

#include "core/ice/agent.h"
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>

#define QUEUE_MAX 512u
#define START SEC(1000)

static inline struct endpoint ep(const char *s)
{
	struct endpoint e = { 0 };
	EXPECT_EQ(endpoint_parse(SPAN(s, strlen(s)), &e), 0);
	return e;
}

/* --- the network ------------------------------------------------------------------------------------------------------------ */

struct packet {
	u64 due;
	struct ice_transmit t;
};

struct nat {
	struct endpoint inside, outside;
};

struct world {
	struct rng_seeded rng;
	u64 now, latency;
	struct ice_agent *agent[2]; /* 0 controlling */
	struct endpoint at[8];      /* address -> owner */
	u8 owner[8];
	unsigned n_at;
	struct nat nat[4];
	unsigned n_nat;
	struct endpoint blocked[8]; /* nothing to or from these passes */
	unsigned n_blocked;
	unsigned loss_percent;
	struct packet queue[QUEUE_MAX];
	unsigned n_queue;
	unsigned sent[2];
	struct ice_transmit last_check[2]; /* last request that each sent */
	void (*spy)(struct world *w, unsigned from, const struct ice_transmit *t);
};

static inline struct ice_credentials creds(const char *ufrag, const char *pwd)
{
	struct ice_credentials c = { 0 };
	snprintf(c.ufrag, sizeof(c.ufrag), "%s", ufrag);
	snprintf(c.pwd, sizeof(c.pwd), "%s", pwd);
	return c;
}

static inline void world_init(struct world *w, const struct ice_timing *t0, const struct ice_timing *t1)
{
	struct ice_credentials c0 = creds("aaaa", "aaaaaaaaaaaaaaaaaaaaaa"), c1 = creds("bbbb", "bbbbbbbbbbbbbbbbbbbbbb");

	*w = (struct world){ .now = START, .latency = MSEC(5) };
	rng_seeded_init(&w->rng, 7);
	w->agent[0] = ice_new(&(struct ice_config){ true, c0, c1, 0x11111111, t0, &w->rng.rng }, w->now);
	w->agent[1] = ice_new(&(struct ice_config){ false, c1, c0, 0x22222222, t1, &w->rng.rng }, w->now);
}

static inline void world_free(struct world *w)
{
	ice_free(w->agent[0]);
	ice_free(w->agent[1]);
}

static inline void world_place(struct world *w, unsigned owner, struct endpoint addr)
{
	w->owner[w->n_at] = (u8)owner;
	w->at[w->n_at++] = addr;
}

/* A local candidate of `who`; signalled to the other side when `is_signalled`. */
static inline struct candidate give(struct world *w, unsigned who, struct candidate c, bool is_signalled)
{
	char buf[CANDIDATE_STRLEN];
	struct candidate_text t;

	EXPECT_EQ(ice_add_local(w->agent[who], w->now, &c), 0);
	if (c.kind != CANDIDATE_SRFLX)
		world_place(w, who, c.addr);
	candidate_format(&c, who == 0 ? "aaaa" : "bbbb", buf);
	EXPECT_EQ(candidate_parse(SPAN(buf, strlen(buf)), &t), 0);
	EXPECT(ice_wants(w->agent[!who], &t));
	if (is_signalled)
		EXPECT_EQ(ice_add_remote(w->agent[!who], w->now, &t.c), 0);
	return c;
}

static inline struct candidate give_host(struct world *w, unsigned who, const char *addr, bool is_signalled)
{
	struct endpoint e = ep(addr);
	return give(w, who, candidate_host(&e), is_signalled);
}

static inline struct candidate give_relay(struct world *w, unsigned who, const char *addr, bool is_signalled)
{
	struct endpoint e = ep(addr);
	return give(w, who, candidate_relay(&e, 0), is_signalled);
}

static inline void block(struct world *w, const char *addr)
{
	w->blocked[w->n_blocked++] = ep(addr);
}

static inline bool is_blocked(const struct world *w, const struct endpoint *a)
{
	for (unsigned i = 0; i < w->n_blocked; i++)
		if (endpoint_eq(&w->blocked[i], a))
			return true;
	return false;
}

static inline bool is_request(const struct ice_transmit *t)
{
	return t->data[0] == 0 && t->data[1] == 1;
}

static inline void collect(struct world *w, unsigned who)
{
	struct ice_transmit t;

	while (ice_poll_transmit(w->agent[who], &t)) {
		w->sent[who]++;
		if (is_request(&t))
			w->last_check[who] = t;
		if (w->spy)
			w->spy(w, who, &t);
		if (is_blocked(w, &t.local) || is_blocked(w, &t.remote) || w->n_queue == QUEUE_MAX ||
		    rng_below(&w->rng.rng, 100) < w->loss_percent)
			continue;
		w->queue[w->n_queue++] = (struct packet){ w->now + w->latency, t };
	}
}

static inline void deliver(struct world *w, const struct packet *p)
{
	struct endpoint from = p->t.local, to = p->t.remote;
	u8 bytes[ICE_MESSAGE_MAX];
	struct ice_msg m;

	for (unsigned i = 0; i < w->n_nat; i++) {
		if (endpoint_eq(&from, &w->nat[i].inside))
			from = w->nat[i].outside;
		if (endpoint_eq(&to, &w->nat[i].outside))
			to = w->nat[i].inside;
	}
	for (unsigned i = 0; i < w->n_at; i++)
		if (endpoint_eq(&w->at[i], &to)) {
			memcpy(bytes, p->t.data, p->t.len);
			EXPECT_EQ(ice_msg_parse(SPAN(bytes, p->t.len), &m), 0);
			(void)ice_input(w->agent[w->owner[i]], w->now, &to, &from, &m);
			return;
		}
}

static inline void run_until(struct world *w, u64 end)
{
	for (unsigned guard = 0; guard < 200000; guard++) {
		u64 next = time_min(ice_next_timeout(w->agent[0]), ice_next_timeout(w->agent[1]));
		for (unsigned i = 0; i < w->n_queue; i++)
			next = time_min(next, w->queue[i].due);
		if (next > end)
			break;
		w->now = MAX(w->now, next);
		for (unsigned who = 0; who < 2; who++)
			if (ice_next_timeout(w->agent[who]) <= w->now)
				ice_timeout(w->agent[who], w->now);
		for (unsigned i = 0; i < w->n_queue;) {
			if (w->queue[i].due > w->now) {
				i++;
				continue;
			}
			struct packet p = w->queue[i];
			memmove(&w->queue[i], &w->queue[i + 1], (w->n_queue - i - 1) * sizeof(p));
			w->n_queue--;
			deliver(w, &p);
		}
		collect(w, 0);
		collect(w, 1);
	}
	w->now = end;
}

static inline bool selected_is(struct world *w, unsigned who, const char *local, const char *remote)
{
	struct ice_path p;
	struct endpoint l = ep(local), r = ep(remote);

	return ice_selected(w->agent[who], &p) && endpoint_eq(&p.local, &l) && endpoint_eq(&p.remote, &r);
}

/* --- candidates ------------------------------------------------------------------------------------------------------------------ */

static inline int parse(const char *s, struct candidate_text *t)
{
	return candidate_parse(SPAN(s, strlen(s)), t);
}
