/* The ICE agent: two agents against each other over a scripted network in virtual time. */
#include "core/ice/agent.h"
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>

#define QUEUE_MAX 512u
#define START SEC(1000)

static struct endpoint ep(const char *s)
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

static struct ice_credentials creds(const char *ufrag, const char *pwd)
{
	struct ice_credentials c = { 0 };
	snprintf(c.ufrag, sizeof(c.ufrag), "%s", ufrag);
	snprintf(c.pwd, sizeof(c.pwd), "%s", pwd);
	return c;
}

static void world_init(struct world *w, const struct ice_timing *t0, const struct ice_timing *t1)
{
	struct ice_credentials c0 = creds("aaaa", "aaaaaaaaaaaaaaaaaaaaaa"), c1 = creds("bbbb", "bbbbbbbbbbbbbbbbbbbbbb");

	*w = (struct world){ .now = START, .latency = MSEC(5) };
	rng_seeded_init(&w->rng, 7);
	w->agent[0] = ice_new(&(struct ice_config){ true, c0, c1, 0x11111111, t0, &w->rng.rng }, w->now);
	w->agent[1] = ice_new(&(struct ice_config){ false, c1, c0, 0x22222222, t1, &w->rng.rng }, w->now);
}

static void world_free(struct world *w)
{
	ice_free(w->agent[0]);
	ice_free(w->agent[1]);
}

static void world_place(struct world *w, unsigned owner, struct endpoint addr)
{
	w->owner[w->n_at] = (u8)owner;
	w->at[w->n_at++] = addr;
}

/* A local candidate of `who`; signalled to the other side when `is_signalled`. */
static struct candidate give(struct world *w, unsigned who, struct candidate c, bool is_signalled)
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

static struct candidate give_host(struct world *w, unsigned who, const char *addr, bool is_signalled)
{
	struct endpoint e = ep(addr);
	return give(w, who, candidate_host(&e), is_signalled);
}

static struct candidate give_relay(struct world *w, unsigned who, const char *addr, bool is_signalled)
{
	struct endpoint e = ep(addr);
	return give(w, who, candidate_relay(&e, 0), is_signalled);
}

static void block(struct world *w, const char *addr)
{
	w->blocked[w->n_blocked++] = ep(addr);
}

static bool is_blocked(const struct world *w, const struct endpoint *a)
{
	for (unsigned i = 0; i < w->n_blocked; i++)
		if (endpoint_eq(&w->blocked[i], a))
			return true;
	return false;
}

static bool is_request(const struct ice_transmit *t)
{
	return t->data[0] == 0 && t->data[1] == 1;
}

static void collect(struct world *w, unsigned who)
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

static void deliver(struct world *w, const struct packet *p)
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

static void run_until(struct world *w, u64 end)
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

static bool selected_is(struct world *w, unsigned who, const char *local, const char *remote)
{
	struct ice_path p;
	struct endpoint l = ep(local), r = ep(remote);

	return ice_selected(w->agent[who], &p) && endpoint_eq(&p.local, &l) && endpoint_eq(&p.remote, &r);
}

/* --- candidates ------------------------------------------------------------------------------------------------------------------ */

static int parse(const char *s, struct candidate_text *t)
{
	return candidate_parse(SPAN(s, strlen(s)), t);
}

TEST(spec20_20_foreign_ufrag_or_component_is_ignored)
{
	struct world w;
	struct candidate_text t;

	world_init(&w, &ice_timing_client, &ice_timing_server);
	EXPECT_EQ(parse("candidate:1 1 udp 1 10.0.0.1 9 typ host ufrag bbbb", &t), 0);
	EXPECT(ice_wants(w.agent[0], &t));
	EXPECT_EQ(parse("candidate:1 1 udp 1 10.0.0.1 9 typ host", &t), 0);
	EXPECT(ice_wants(w.agent[0], &t));
	EXPECT_EQ(parse("candidate:1 1 udp 1 10.0.0.1 9 typ host ufrag cccc", &t), 0);
	EXPECT(!ice_wants(w.agent[0], &t));
	EXPECT_EQ(parse("candidate:1 2 udp 1 10.0.0.1 9 typ host", &t), 0);
	EXPECT(!ice_wants(w.agent[0], &t));
	EXPECT_EQ(parse("candidate:1 1 tcp 1 10.0.0.1 9 typ host", &t), 0);
	EXPECT(!ice_wants(w.agent[0], &t));
	world_free(&w);
}

TEST(spec20_22_equal_priorities_do_not_merge)
{
	struct world w;
	struct candidate_text one, two;

	world_init(&w, &ice_timing_client, &ice_timing_server);
	EXPECT_EQ(parse("candidate:1 1 udp 77 10.0.0.1 9 typ host", &one), 0);
	EXPECT_EQ(parse("candidate:1 1 udp 77 10.0.0.2 9 typ host", &two), 0);
	give_host(&w, 0, "192.168.1.2:5", false);
	EXPECT_EQ(ice_add_remote(w.agent[0], w.now, &one.c), 0);
	EXPECT_EQ(ice_add_remote(w.agent[0], w.now, &two.c), 0);
	EXPECT_EQ(ice_stats(w.agent[0]).n_pairs, 2);
	world_free(&w);
}

/* --- pairs ------------------------------------------------------------------------------------------------------------------------- */

TEST(spec20_24_pairs_are_pruned_by_base_and_capped)
{
	struct world w;
	struct ice_pair_info info, before = { 0 };
	struct endpoint host = ep("192.168.1.2:52625"), mapped = ep("203.0.113.7:52625");

	world_init(&w, &ice_timing_client, &ice_timing_server);
	give(&w, 0, candidate_host(&host), false);
	give(&w, 0, candidate_srflx(&mapped, &host), false);
	give_relay(&w, 0, "198.51.100.1:50000", false);
	give_host(&w, 1, "10.0.0.1:9", true);
	EXPECT_EQ(ice_stats(w.agent[0]).n_pairs, 2); /* srflx shares the host's base */
	REQUIRE(ice_pair_info(w.agent[0], 0, &info));
	EXPECT_EQ(info.local_kind, CANDIDATE_HOST);

	for (unsigned i = 0; i < 70; i++) {
		char s[40];
		snprintf(s, sizeof(s), "10.1.%u.1:9", i);
		struct endpoint e = ep(s);
		struct candidate c = candidate_host(&e);
		c.priority = 1000000 + i;
		int rc = ice_add_remote(w.agent[0], w.now, &c);
		EXPECT(rc == 0 || rc == ERR_LIMIT);
	}
	EXPECT_EQ(ice_stats(w.agent[0]).n_pairs, ICE_PAIRS_MAX);
	EXPECT_EQ(ice_stats(w.agent[0]).n_remote, ICE_REMOTE_MAX);
	EXPECT(ice_stats(w.agent[0]).pairs_dropped > 0);
	for (size_t i = 0; ice_pair_info(w.agent[0], i, &info); i++) {
		EXPECT(i == 0 || info.priority <= before.priority);
		before = info;
	}
	world_free(&w);
}

TEST(redundant_local_candidates_are_refused_and_discarded_ones_revived)
{
	struct world w;
	struct endpoint host = ep("192.168.1.2:52625"), relay = ep("198.51.100.1:50000");
	struct candidate c = candidate_host(&host);

	world_init(&w, &ice_timing_client, &ice_timing_server);
	EXPECT_EQ(ice_add_local(w.agent[0], w.now, &c), 0);
	EXPECT_EQ(ice_add_local(w.agent[0], w.now, &c), ERR_EXISTS);
	c = candidate_srflx(&host, &host);
	EXPECT_EQ(ice_add_local(w.agent[0], w.now, &c), ERR_EXISTS);
	c = candidate_relay(&relay, 0);
	EXPECT_EQ(ice_add_local(w.agent[0], w.now, &c), 0);
	EXPECT_EQ(c.priority, 37748479);
	EXPECT_EQ(ice_discard_local(w.agent[0], w.now, CANDIDATE_RELAY, &relay), 0);
	EXPECT_EQ(ice_discard_local(w.agent[0], w.now, CANDIDATE_RELAY, &relay), ERR_NOT_FOUND);
	struct candidate all[ICE_LOCAL_MAX];
	EXPECT_EQ(ice_local_candidates(w.agent[0], all), 1);
	c = candidate_relay(&relay, 0);
	EXPECT_EQ(ice_add_local(w.agent[0], w.now, &c), 0);
	EXPECT_EQ(c.priority, 37748479);
	EXPECT_EQ(ice_local_candidates(w.agent[0], all), 2);
	EXPECT_EQ(all[0].kind, CANDIDATE_HOST);
	world_free(&w);
}

TEST(discarded_candidates_make_room_when_the_table_is_full)
{
	struct world w;

	world_init(&w, &ice_timing_client, &ice_timing_server);
	for (unsigned i = 0; i < 3 * ICE_LOCAL_MAX; i++) {
		struct endpoint e = ep("198.51.100.1:1");
		e.port = (u16)(1000 + i);
		struct candidate c = candidate_relay(&e, 0);
		EXPECT_EQ(ice_add_local(w.agent[0], w.now, &c), 0);
		EXPECT_EQ(ice_discard_local(w.agent[0], w.now, CANDIDATE_RELAY, &e), 0);
	}
	EXPECT_EQ(ice_stats(w.agent[0]).n_local, ICE_LOCAL_MAX);
	world_free(&w);
}

/* --- checks and nomination ----------------------------------------------------------------------------------------------------------- */

TEST(spec20_13_roles_and_credentials_as_given)
{
	struct world w;
	struct ice_msg m;

	world_init(&w, &ice_timing_client, &ice_timing_server);
	give_host(&w, 0, "192.168.1.2:52625", true);
	give_host(&w, 1, "192.168.1.3:52625", true);
	run_until(&w, START + SEC(1));
	for (unsigned who = 0; who < 2; who++) {
		EXPECT_EQ(ice_msg_parse(SPAN(w.last_check[who].data, w.last_check[who].len), &m), 0);
		EXPECT_MEM(m.local_ufrag.p, who == 0 ? "bbbb:aaaa" : "aaaa:bbbb", 9);
		EXPECT(stun_has(&m.stun, who == 0 ? ATTR_ICE_CONTROLLING : ATTR_ICE_CONTROLLED));
		EXPECT(!stun_has(&m.stun, who == 0 ? ATTR_ICE_CONTROLLED : ATTR_ICE_CONTROLLING));
		const char *pwd = who == 0 ? "bbbbbbbbbbbbbbbbbbbbbb" : "aaaaaaaaaaaaaaaaaaaaaa";
		EXPECT_EQ(stun_check_integrity(&m.stun, SPAN(pwd, 22)), 0);
		EXPECT_EQ(stun_check_fingerprint(&m.stun), 0);
	}
	EXPECT(selected_is(&w, 0, "192.168.1.2:52625", "192.168.1.3:52625"));
	EXPECT(selected_is(&w, 1, "192.168.1.3:52625", "192.168.1.2:52625"));
	EXPECT_EQ(ice_state(w.agent[0]), ICE_COMPLETED);
	world_free(&w);
}

TEST(spec20_25_attributes_of_a_check_in_order)
{
	static const u16 plain[] = { ATTR_USERNAME, ATTR_ICE_CONTROLLED, ATTR_PRIORITY, ATTR_MESSAGE_INTEGRITY };
	static const u16 nominating[] = { ATTR_USERNAME, ATTR_ICE_CONTROLLING, ATTR_PRIORITY, ATTR_USE_CANDIDATE,
					  ATTR_MESSAGE_INTEGRITY };
	struct world w;
	struct ice_msg m;

	world_init(&w, &ice_timing_client, &ice_timing_server);
	give_host(&w, 0, "192.168.1.2:52625", true);
	give_host(&w, 1, "192.168.1.3:52625", true);
	run_until(&w, START + SEC(5));
	for (unsigned who = 0; who < 2; who++) {
		const u16 *want = who == 0 ? nominating : plain;
		size_t n = who == 0 ? ARRAY_LEN(nominating) : ARRAY_LEN(plain), i = 0;
		EXPECT_EQ(ice_msg_parse(SPAN(w.last_check[who].data, w.last_check[who].len), &m), 0);
		for (struct stun_iter it = { 0 }; stun_next(&m.stun, &it); i++)
			EXPECT(i < n ? it.type == want[i] : it.type == ATTR_FINGERPRINT);
		EXPECT_EQ(m.priority, 1862270719);
		EXPECT_EQ(m.use_candidate, who == 0);
	}
	world_free(&w);
}

TEST(spec20_26_unknown_source_becomes_peer_reflexive_but_not_when_withdrawn)
{
	struct world w;
	struct ice_pair_info info;

	world_init(&w, &ice_timing_client, &ice_timing_server);
	give_host(&w, 0, "192.168.1.2:52625", false); /* B is not told */
	give_host(&w, 1, "10.0.0.3:52625", true);
	w.nat[w.n_nat++] = (struct nat){ ep("192.168.1.2:52625"), ep("203.0.113.7:40000") };
	run_until(&w, START + SEC(1));
	EXPECT(selected_is(&w, 1, "10.0.0.3:52625", "203.0.113.7:40000"));
	REQUIRE(ice_pair_info(w.agent[1], 0, &info));
	EXPECT_EQ(info.remote_kind, CANDIDATE_PRFLX);

	/* the mapped address is kept for the next upsert */
	struct candidate all[ICE_LOCAL_MAX];
	EXPECT_EQ(ice_local_candidates(w.agent[0], all), 2);
	EXPECT_EQ(all[1].kind, CANDIDATE_PRFLX);

	/* the signalled candidate replaces the peer-reflexive one in place, with its true rank */
	struct endpoint out = ep("203.0.113.7:40000");
	struct candidate c = candidate_srflx(&out, &out);
	c.priority = 1686109951;
	EXPECT_EQ(ice_add_remote(w.agent[1], w.now, &c), 0);
	EXPECT_EQ(ice_stats(w.agent[1]).n_remote, 1);
	u64 before = info.priority;
	REQUIRE(ice_pair_info(w.agent[1], 0, &info));
	EXPECT_EQ(info.remote_kind, CANDIDATE_SRFLX);
	EXPECT(info.priority < before);

	/* withdrawn: checks from there are no longer answered */
	EXPECT_EQ(ice_remove_remote(w.agent[1], w.now, &c), 0);
	u32 answers = ice_stats(w.agent[1]).answers_sent;
	run_until(&w, w.now + SEC(5));
	EXPECT_EQ(ice_stats(w.agent[1]).answers_sent, answers);
	EXPECT_EQ(ice_stats(w.agent[1]).n_pairs, 0);
	world_free(&w);
}

TEST(checks_to_unknown_places_or_with_wrong_keys_are_not_answered)
{
	struct world w;
	struct ice_msg m;
	struct ice_transmit t;

	world_init(&w, &ice_timing_client, &ice_timing_server);
	give_host(&w, 0, "192.168.1.2:52625", true);
	give_host(&w, 1, "192.168.1.3:52625", true);
	ice_timeout(w.agent[0], w.now);
	REQUIRE(ice_poll_transmit(w.agent[0], &t));
	EXPECT_EQ(ice_msg_parse(SPAN(t.data, t.len), &m), 0);
	struct endpoint elsewhere = ep("192.168.1.99:52625"), from = ep("192.168.1.2:52625"), at = ep("192.168.1.3:52625");
	EXPECT_EQ(ice_input(w.agent[1], w.now, &elsewhere, &from, &m), ERR_NOT_FOUND);
	t.data[t.len - 12] ^= 1; /* in the integrity */
	EXPECT_EQ(ice_msg_parse(SPAN(t.data, t.len), &m), 0);
	EXPECT_EQ(ice_input(w.agent[1], w.now, &at, &from, &m), ERR_AUTH);
	t.data[t.len - 12] ^= 1;
	EXPECT_EQ(ice_input(w.agent[0], w.now, &from, &at, &m), ERR_AUTH); /* our own, reflected */
	EXPECT(!ice_poll_transmit(w.agent[1], &t) || is_request(&t));
	world_free(&w);
}

static u8 seen_txid[64][STUN_TXID];
static unsigned n_seen, n_repeated;

static void spy_txids(struct world *w, unsigned from, const struct ice_transmit *t)
{
	(void)w;
	if (from != 0 || !is_request(t) || n_seen == ARRAY_LEN(seen_txid))
		return;
	for (unsigned i = 0; i < n_seen; i++)
		n_repeated += memcmp(seen_txid[i], t->data + 8, STUN_TXID) == 0;
	memcpy(seen_txid[n_seen++], t->data + 8, STUN_TXID);
}

TEST(spec20_27_new_transaction_for_every_check)
{
	struct world w;

	world_init(&w, &ice_timing_client, &ice_timing_server);
	w.spy = spy_txids;
	give_host(&w, 0, "192.168.1.2:52625", true);
	give_host(&w, 1, "192.168.1.3:52625", true);
	run_until(&w, START + SEC(20));
	EXPECT(n_seen > 10);
	EXPECT_EQ(n_repeated, 0);
	world_free(&w);
}

static unsigned n_use_candidate;

static void spy_use_candidate(struct world *w, unsigned from, const struct ice_transmit *t)
{
	struct ice_msg m;

	(void)w;
	if (ice_msg_parse(SPAN(t->data, t->len), &m) == 0 && m.is_request && m.use_candidate) {
		EXPECT_EQ(from, 0);
		n_use_candidate++;
	}
}

TEST(spec20_28_renominates_when_better_succeeds_and_repeats_use_candidate)
{
	struct world w;

	world_init(&w, &ice_timing_client, &ice_timing_server);
	w.spy = spy_use_candidate;
	n_use_candidate = 0;
	give_relay(&w, 0, "198.51.100.1:50000", true);
	give_relay(&w, 1, "198.51.100.2:50000", true);
	run_until(&w, START + MSEC(100));
	EXPECT(selected_is(&w, 0, "198.51.100.1:50000", "198.51.100.2:50000"));
	EXPECT(selected_is(&w, 1, "198.51.100.2:50000", "198.51.100.1:50000"));
	EXPECT_EQ(n_use_candidate, 1);
	give_host(&w, 0, "192.168.1.2:52625", true);
	give_host(&w, 1, "192.168.1.3:52625", true);
	block(&w, "198.51.100.1:50000");
	run_until(&w, START + MSEC(200));
	EXPECT(selected_is(&w, 0, "192.168.1.2:52625", "192.168.1.3:52625"));
	EXPECT(selected_is(&w, 1, "192.168.1.3:52625", "192.168.1.2:52625"));
	EXPECT(n_use_candidate >= 2);
	unsigned before = n_use_candidate;
	run_until(&w, START + SEC(10));
	EXPECT(n_use_candidate > before + 4);
	world_free(&w);
}

TEST(spec20_29_controlled_follows_highest_nominated)
{
	struct world w;

	world_init(&w, &ice_timing_client, &ice_timing_server);
	give_host(&w, 0, "192.168.1.2:52625", true);
	give_host(&w, 1, "192.168.1.3:52625", true);
	give_relay(&w, 1, "198.51.100.2:50000", true);
	run_until(&w, START + SEC(1));
	EXPECT(selected_is(&w, 1, "192.168.1.3:52625", "192.168.1.2:52625"));
	EXPECT_EQ(ice_state(w.agent[1]), ICE_CONNECTED);

	/* the better path dies: controlling gives it up, and controlled, though far more patient, follows */
	block(&w, "192.168.1.3:52625");
	run_until(&w, START + SEC(22));
	EXPECT(selected_is(&w, 0, "192.168.1.2:52625", "198.51.100.2:50000"));
	EXPECT(selected_is(&w, 1, "198.51.100.2:50000", "192.168.1.2:52625"));
	world_free(&w);
}

TEST(controlling_ignores_use_candidate)
{
	struct world w;
	struct ice_msg m;
	struct ice_transmit t;
	struct ice_credentials c0 = creds("aaaa", "aaaaaaaaaaaaaaaaaaaaaa"), c1 = creds("bbbb", "bbbbbbbbbbbbbbbbbbbbbb");
	u8 buf[ICE_MESSAGE_MAX], txid[STUN_TXID] = { 1 };
	struct endpoint at = ep("192.168.1.2:52625"), from = ep("192.168.1.3:52625");

	world_init(&w, &ice_timing_client, &ice_timing_server);
	give_host(&w, 0, "192.168.1.2:52625", true);
	int n = ice_write_check(buf, &(struct ice_check){ txid, &c1, &c0, 1, 5, true, true });
	REQUIRE(n > 0);
	EXPECT_EQ(ice_msg_parse(SPAN(buf, n), &m), 0);
	EXPECT_EQ(ice_input(w.agent[0], w.now, &at, &from, &m), ERR_DENIED);
	EXPECT(!ice_poll_transmit(w.agent[0], &t));
	world_free(&w);
}

/* --- timers ------------------------------------------------------------------------------------------------------------------------------ */

/* When the only pair of an agent is given up: from the first check if it never answers, from the last answer if it once did. */
static u64 given_up_after(const struct ice_timing *t, bool was_established)
{
	struct ice_history h = { 0 };
	u8 txid[ICE_TXID_RANDOM] = { 1 };
	u64 now = START, begin = START;

	if (was_established) { /* long since */
		for (unsigned i = 0; i < 100; i++) {
			history_sent(&h, t, now, txid);
			EXPECT(history_answered(&h, t, now, txid));
			now = history_next(&h, 0);
			begin = now;
		}
	}
	for (unsigned guard = 0; guard < 10000; guard++) {
		u64 dead = history_dead_at(&h, t), next = history_next(&h, 0);
		if (dead <= MAX(next, now))
			return dead - begin;
		now = MAX(now, next);
		history_sent(&h, t, now, txid);
	}
	return 0;
}

TEST(spec20_31_timing_of_each_role_and_state)
{
	EXPECT_EQ(given_up_after(&ice_timing_client, false), MSEC(15250));
	EXPECT_EQ(given_up_after(&ice_timing_client, true), MSEC(16500));
	EXPECT_EQ(given_up_after(&ice_timing_client_idle, true), SEC(100));
	EXPECT_EQ(given_up_after(&ice_timing_server, true), MSEC(615500));
	EXPECT_EQ(given_up_after(&ice_timing_server_idle, true), SEC(1000));
}

TEST(spec20_31_checks_back_off_to_the_longest_interval)
{
	struct ice_history h = { 0 };
	u8 txid[ICE_TXID_RANDOM] = { 0 };
	static const u64 want[] = { 0, MSEC(250), MSEC(750), MSEC(1750), MSEC(3250), MSEC(4750) };
	u64 now = START;

	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		now = MAX(now, history_next(&h, 0));
		EXPECT_EQ(now - START, want[i]);
		txid[0]++;
		history_sent(&h, &ice_timing_client, now, txid);
		EXPECT(history_answered(&h, &ice_timing_client, now, txid));
		EXPECT(!history_answered(&h, &ice_timing_client, now, txid)); /* once only */
	}
}

TEST(answers_count_for_ten_seconds)
{
	struct ice_history h = { 0 };
	u8 txid[ICE_TXID_RANDOM] = { 9 };

	history_sent(&h, &ice_timing_client_idle, START, txid);
	EXPECT(!history_answered(&h, &ice_timing_client_idle, START + SEC(10) + 1, txid));
	EXPECT(history_answered(&h, &ice_timing_client_idle, START + SEC(10), txid));
}

TEST(all_pairs_are_checked_for_ever)
{
	struct world w;

	world_init(&w, &ice_timing_client, &ice_timing_server);
	give_host(&w, 0, "192.168.1.2:52625", true);
	give_relay(&w, 0, "198.51.100.1:50000", true);
	give_host(&w, 1, "192.168.1.3:52625", true);
	run_until(&w, START + SEC(60));
	u32 sent = ice_stats(w.agent[0]).checks_sent;
	run_until(&w, START + SEC(75));
	EXPECT_EQ(ice_stats(w.agent[0]).checks_sent - sent, 20); /* two pairs, each 1.5 s */
	world_free(&w);
}

TEST(spec20_32_peers_checks_keep_a_pair)
{
	struct world w;

	world_init(&w, &ice_timing_client, &ice_timing_client);
	give_host(&w, 0, "192.168.1.2:52625", true);
	give_host(&w, 1, "192.168.1.3:52625", true);
	run_until(&w, START + SEC(1));
	/* nothing of A arrives any more, all of B does */
	struct endpoint a = ep("192.168.1.2:52625"), b = ep("192.168.1.3:52625");
	struct ice_credentials c0 = creds("aaaa", "aaaaaaaaaaaaaaaaaaaaaa"), c1 = creds("bbbb", "bbbbbbbbbbbbbbbbbbbbbb");
	u64 now = w.now;
	struct ice_transmit t;
	for (unsigned i = 0; i < 400; i++, now += MSEC(100)) {
		ice_timeout(w.agent[0], now);
		while (ice_poll_transmit(w.agent[0], &t))
			;
		if (i % 50 == 0 && i < 300) {
			u8 buf[ICE_MESSAGE_MAX], txid[STUN_TXID] = { 1, (u8)i };
			struct ice_msg m;
			int n = ice_write_check(buf, &(struct ice_check){ txid, &c1, &c0, 1, 5, false, false });
			EXPECT_EQ(ice_msg_parse(SPAN(buf, n), &m), 0);
			EXPECT_EQ(ice_input(w.agent[0], now, &a, &b, &m), 0);
		}
		EXPECT_EQ(ice_stats(w.agent[0]).n_pairs, 1);
	}
	ice_timeout(w.agent[0], w.now + SEC(25) + SEC(15) + MSEC(1500)); /* the last check's time is over too */
	EXPECT_EQ(ice_stats(w.agent[0]).n_pairs, 0);
	EXPECT_EQ(ice_state(w.agent[0]), ICE_DISCONNECTED);
	world_free(&w);
}

TEST(states_follow_the_pairs)
{
	struct world w;

	world_init(&w, &ice_timing_client, &ice_timing_client);
	EXPECT_EQ(ice_state(w.agent[0]), ICE_NEW);
	ice_timeout(w.agent[0], w.now);
	EXPECT_EQ(ice_state(w.agent[0]), ICE_CHECKING); /* no candidates at all */
	give_host(&w, 0, "192.168.1.2:52625", true);
	give_host(&w, 1, "192.168.1.3:52625", true);
	EXPECT_EQ(ice_state(w.agent[0]), ICE_CHECKING);
	block(&w, "192.168.1.3:52625");
	run_until(&w, START + MSEC(15249));
	EXPECT_EQ(ice_state(w.agent[0]), ICE_CHECKING);
	run_until(&w, START + MSEC(15250));
	EXPECT_EQ(ice_state(w.agent[0]), ICE_DISCONNECTED);
	w.n_blocked = 0;
	give_relay(&w, 1, "198.51.100.2:50000", true);
	run_until(&w, w.now + SEC(1));
	EXPECT_EQ(ice_state(w.agent[0]), ICE_COMPLETED);
	world_free(&w);
}

/* --- removing, guessing ------------------------------------------------------------------------------------------------------------------- */

TEST(spec20_34_invalidation_matches_by_address_and_kind_only)
{
	struct world w;
	struct candidate_text t;

	world_init(&w, &ice_timing_client, &ice_timing_server);
	give_host(&w, 0, "192.168.1.2:52625", true);
	give_relay(&w, 1, "198.51.100.2:50000", true);
	EXPECT_EQ(ice_stats(w.agent[0]).n_pairs, 1);
	EXPECT_EQ(parse("candidate:9 1 udp 7 198.51.100.2 50000 typ srflx raddr 0.0.0.0 rport 0", &t), 0);
	EXPECT_EQ(ice_remove_remote(w.agent[0], w.now, &t.c), ERR_NOT_FOUND);
	EXPECT_EQ(parse("candidate:9 1 udp 7 198.51.100.2 50000 typ relay", &t), 0);
	EXPECT_EQ(ice_remove_remote(w.agent[0], w.now, &t.c), ERR_NOT_FOUND);
	EXPECT_EQ(parse("candidate:9 1 udp 7 198.51.100.2 50000 typ relay raddr 0.0.0.0 rport 0", &t), 0);
	EXPECT_EQ(ice_remove_remote(w.agent[0], w.now, &t.c), 0);
	EXPECT_EQ(ice_stats(w.agent[0]).n_pairs, 0);
	ice_timeout(w.agent[0], w.now);
	EXPECT_EQ(ice_state(w.agent[0]), ICE_DISCONNECTED);
	EXPECT_EQ(ice_add_remote(w.agent[0], w.now, &t.c), 0); /* enabled again */
	EXPECT_EQ(ice_stats(w.agent[0]).n_pairs, 1);
	EXPECT_EQ(ice_stats(w.agent[0]).n_remote, 1);
	world_free(&w);
}

TEST(failover_when_the_nominated_candidate_is_withdrawn)
{
	struct world w;

	world_init(&w, &ice_timing_client, &ice_timing_server);
	give_host(&w, 0, "192.168.1.2:52625", true);
	give_host(&w, 1, "192.168.1.3:52625", true);
	struct candidate relay = give_relay(&w, 1, "198.51.100.2:50000", true);
	block(&w, "192.168.1.3:52625");
	run_until(&w, START + SEC(1));
	EXPECT(selected_is(&w, 0, "192.168.1.2:52625", "198.51.100.2:50000"));
	w.n_blocked = 0;
	EXPECT_EQ(ice_remove_remote(w.agent[0], w.now, &relay), 0);
	EXPECT_EQ(ice_discard_local(w.agent[1], w.now, CANDIDATE_RELAY, &relay.addr), 0);
	run_until(&w, START + SEC(4));
	EXPECT(selected_is(&w, 0, "192.168.1.2:52625", "192.168.1.3:52625"));
	world_free(&w);
}

TEST(spec20_35_optimistic_candidates)
{
	struct world w;
	static const char *const texts[] = {
		"candidate:1 1 udp 1 10.0.0.5 52625 typ host",
		"candidate:1 1 udp 1 10.0.0.6 52626 typ host",
		"candidate:1 1 udp 1 10.0.0.7 52627 typ host",
		"candidate:1 1 udp 1 2001:db8::5 52625 typ host",
		"candidate:1 1 udp 1 2001:db8::5 1000 typ srflx raddr :: rport 0",
	};

	world_init(&w, &ice_timing_client, &ice_timing_server);
	give_host(&w, 0, "192.168.1.2:52625", false);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct candidate_text t;
		EXPECT_EQ(parse(texts[i], &t), 0);
		EXPECT_EQ(ice_add_remote(w.agent[0], w.now, &t.c), 0);
		ice_add_optimistic(w.agent[0], w.now);
	}
	EXPECT_EQ(ice_stats(w.agent[0]).n_remote, 5); /* no IPv6 guesses */
	struct candidate_text t;
	EXPECT_EQ(parse("candidate:1 1 udp 1 203.0.113.9 40000 typ srflx raddr 0.0.0.0 rport 0", &t), 0);
	EXPECT_EQ(ice_add_remote(w.agent[0], w.now, &t.c), 0);
	ice_add_optimistic(w.agent[0], w.now);
	EXPECT_EQ(ice_stats(w.agent[0]).n_remote, 8); /* itself and two guesses */
	ice_add_optimistic(w.agent[0], w.now);
	EXPECT_EQ(ice_stats(w.agent[0]).n_remote, 9);
	ice_add_optimistic(w.agent[0], w.now);
	EXPECT_EQ(ice_stats(w.agent[0]).n_remote, 9);
	bool is_guessed = false;
	struct ice_pair_info info;
	struct endpoint guess = ep("203.0.113.9:52625");
	for (size_t i = 0; ice_pair_info(w.agent[0], i, &info); i++)
		is_guessed |= endpoint_eq(&info.path.remote, &guess);
	EXPECT(is_guessed);
	world_free(&w);
}

/* --- liveness ------------------------------------------------------------------------------------------------------------------------------- */

TEST(probe_moves_on_to_a_living_pair_within_a_second)
{
	struct world w;

	world_init(&w, &ice_timing_client, &ice_timing_server);
	give_host(&w, 0, "192.168.1.2:52625", true);
	give_host(&w, 1, "192.168.1.3:52625", true);
	give_relay(&w, 1, "198.51.100.2:50000", true);
	run_until(&w, START + SEC(30));
	EXPECT(selected_is(&w, 0, "192.168.1.2:52625", "192.168.1.3:52625"));
	block(&w, "192.168.1.3:52625");
	ice_probe(w.agent[0], w.now);
	run_until(&w, START + SEC(30) + MSEC(500));
	EXPECT(selected_is(&w, 0, "192.168.1.2:52625", "192.168.1.3:52625")); /* grace */
	run_until(&w, START + SEC(30) + MSEC(700));
	EXPECT(selected_is(&w, 0, "192.168.1.2:52625", "198.51.100.2:50000"));
	run_until(&w, START + SEC(36)); /* and does not go back while it is dead */
	EXPECT(selected_is(&w, 0, "192.168.1.2:52625", "198.51.100.2:50000"));
	EXPECT(selected_is(&w, 1, "198.51.100.2:50000", "192.168.1.2:52625"));
	w.n_blocked = 0;
	run_until(&w, START + SEC(40));
	EXPECT(selected_is(&w, 0, "192.168.1.2:52625", "192.168.1.3:52625"));
	EXPECT(selected_is(&w, 1, "192.168.1.3:52625", "192.168.1.2:52625"));
	world_free(&w);
}

TEST(probe_of_a_healthy_pair_changes_nothing)
{
	struct world w;

	world_init(&w, &ice_timing_client, &ice_timing_server);
	give_host(&w, 0, "192.168.1.2:52625", true);
	give_host(&w, 1, "192.168.1.3:52625", true);
	give_relay(&w, 1, "198.51.100.2:50000", true);
	run_until(&w, START + SEC(30));
	u32 nominations = ice_stats(w.agent[0]).nominations;
	for (unsigned i = 0; i < 20; i++) {
		ice_probe(w.agent[0], w.now);
		run_until(&w, w.now + SEC(3));
	}
	EXPECT_EQ(ice_stats(w.agent[0]).nominations, nominations);
	EXPECT_EQ(ice_stats(w.agent[0]).n_pairs, 2);
	world_free(&w);
}

TEST(a_connection_forms_under_loss_for_any_seed)
{
	for (unsigned seed = 0; seed < 50; seed++) {
		struct world w;
		world_init(&w, &ice_timing_client, &ice_timing_server);
		rng_seeded_init(&w.rng, seed);
		w.loss_percent = 25;
		give_host(&w, 0, "192.168.1.2:52625", true);
		give_relay(&w, 0, "198.51.100.1:50000", true);
		give_host(&w, 1, "192.168.1.3:52625", true);
		give_relay(&w, 1, "198.51.100.2:50000", true);
		run_until(&w, START + SEC(12));
		EXPECT(selected_is(&w, 0, "192.168.1.2:52625", "192.168.1.3:52625"));
		EXPECT(selected_is(&w, 1, "192.168.1.3:52625", "192.168.1.2:52625"));
		world_free(&w);
	}
}
