/* Names in whole runs of client, gateway, relays, resolvers and portal from a seed. SIM_SEEDS says how many; `--seed N` replays one. */
#include "core/crypto/aead.h"
#include "tests/sim/counting_heap.h"
#include "tests/sim/names.h"
#include "tests/sim/runs.h"
#include "tests/unit/inner.h"
#include "tests/unit/test.h"

#include <stdio.h>
#include <string.h>

/* As in test_sim.c, and on top of it the question, the site's resolver (3 s at most when it answers in time), and the 2 s after which lost
 * control messages are said again. */
#define CONNECT_DEADLINE SEC(14)
#define CONNECT_DEADLINE_LOSSY SEC(30)
#define LOST_HANDSHAKE MSEC(5334)
#define LOST_ATTEMPT SEC(4)
#define TRIES_OF_ATTEMPT 4u
#define LOSSY_MARGIN SEC(80)
#define DISTURBANCES_MAX 4u

static struct sim_resource *some_resource(struct world *w)
{
	return &w->portal.resources[w->portal.n_resources - 1 - sim_draw(w, NAMES_RESOURCES)];
}

/* A question of any kind for any name. */
static void ask_anything(struct world *w)
{
	static const u16 types[] = { TYPE_A, TYPE_AAAA, TYPE_TXT, TYPE_HTTPS, TYPE_PTR, TYPE_MX };
	unsigned name = (unsigned)sim_draw(w, NAMES);
	u16 type = name == NAME_BIG && sim_draw(w, 2) ? TYPE_TXT : types[sim_draw(w, ARRAY_LEN(types))];

	sim_names_ask(w, name, type, sim_draw(w, 3) == 0);
}

/* A packet to any proxy address, whether it means something or not; the invariants decide. */
static void probe_anything(struct world *w)
{
	static const u8 protocols[] = { 17, 6, 1 };
	struct ip dst = ip4(100, 96, 0, (u8)(1 + sim_draw(w, 60)));
	u8 proto = protocols[sim_draw(w, 3)];

	(void)sim_probe(w, &dst, proto, (u16)(1 + sim_draw(w, 4000)));
}

static u64 deadline(struct world *w, u64 lost_before)
{
	u64 lost = internet_stats(w->net)->lost_handshakes - lost_before;

	if (internet_link(w->net)->loss_ppm == 0)
		return CONNECT_DEADLINE;
	return CONNECT_DEADLINE_LOSSY + lost * LOST_HANDSHAKE + lost / TRIES_OF_ATTEMPT * LOST_ATTEMPT;
}

/* Everything is up and still: each name that policy allows and the site knows is reached in time. */
static void expect_names(struct world *w, const char *when)
{
	struct names_app *apps[NAMES] = { 0 };
	u64 lost_before = internet_stats(w->net)->lost_handshakes;
	u64 margin = internet_link(w->net)->loss_ppm > 0 ? LOSSY_MARGIN : CONNECT_DEADLINE;
	u8 family, proto;
	u16 port;

	sim_names_silence(w);
	for (unsigned i = 0; i < NAMES; i++)
		if (sim_names_choose(w, i, margin, &family, &proto, &port))
			apps[i] = sim_names_dial(w, i, family, proto, port);
	for (u64 waited = 0; waited < deadline(w, lost_before) && !w->is_failed; waited += MSEC(500)) {
		bool is_done = true;
		for (unsigned i = 0; i < NAMES; i++)
			is_done &= !apps[i] || apps[i]->is_connected;
		if (is_done)
			return;
		sim_run(w, MSEC(500));
	}
	for (unsigned i = 0; i < NAMES; i++)
		if (apps[i] && !apps[i]->is_connected)
			sim_fail(w, "%s: %s does not answer protocol %u port %u over IPv%u", when, sim_names_text(i), apps[i]->proto, apps[i]->port,
				 apps[i]->family);
}

enum disturbance { MOVE, GOODBYE, KILL, PORTAL_AWAY, RELAY_RESTART, REVOKE, GRANT, FILTERS, STACK, EXPIRY, CLIENT_GOODBYE, CLIENT_KILL, SITE,
		   SERVERS, DISTURBANCES };

static void disturb(struct world *w)
{
	struct sim_portal *p = &w->portal;
	struct sim_resource *r = some_resource(w);
	enum disturbance what = (enum disturbance)sim_draw(w, DISTURBANCES);

	if (w->is_loud)
		printf("%llu ms: disturbance %d\n", (unsigned long long)((w->now - SEC(1000)) / MSEC(1)), (int)what);
	sim_names_unsettle(w);
	switch (what) {
	case MOVE:
		sim_names_excuse(w);
		sim_move_client(w);
		sim_names_excuse(w);
		sim_names_unsettle(w);
		break;
	case GOODBYE:
		sim_restart_gateway(w, true);
		break;
	case KILL:
		sim_restart_gateway(w, false);
		break;
	case PORTAL_AWAY:
		if (p->client_is_up)
			sim_portal_disconnect(w, true, w->now + SEC(sim_draw(w, 8)));
		if (p->gateway_is_up)
			sim_portal_disconnect(w, false, w->now + SEC(sim_draw(w, 8)));
		break;
	case RELAY_RESTART:
		sim_restart_relay(w, (unsigned)sim_draw(w, SIM_RELAYS));
		break;
	case REVOKE:
		sim_portal_revoke(w, r);
		break;
	case GRANT:
		if (!r->is_granted)
			sim_portal_grant(w, r);
		break;
	case FILTERS:
		if (r->n_filters > 0 && r->is_granted) {
			r->n_filters--;
			sim_portal_change_filters(w, r);
		}
		break;
	case STACK:
		if (r->is_granted) {
			r->stack = (enum msg_ip_stack)sim_draw(w, 3);
			sim_portal_change_filters(w, r);
		}
		break;
	case EXPIRY:
		r->expires_at = sim_wall(w) / NSEC_PER_SEC + 1 + sim_draw(w, 5);
		break;
	case CLIENT_GOODBYE:
		sim_names_restart_client(w, true);
		break;
	case CLIENT_KILL:
		sim_names_restart_client(w, false);
		break;
	case SERVERS:
		sim_names_excuse(w);
		sim_names_draw_servers(w);
		sim_names_set_servers(w);
		break;
	case SITE:
	case DISTURBANCES:
		break;
	}
	for (unsigned i = 0; i < NAMES; i++)
		if (what == SITE || sim_draw(w, 4) == 0)
			sim_names_draw_place(w, i, false);
}

/* Programs that talk for ever, to names that mostly can be reached, while others ask for anything. */
static void make_noise(struct world *w)
{
	u8 family, proto;
	u16 port;

	sim_names_silence(w);
	for (unsigned i = 0; i < 6; i++) {
		unsigned name = (unsigned)sim_draw(w, NAME_PUBLIC);
		if (!sim_names_choose(w, name, 0, &family, &proto, &port)) {
			family = sim_draw(w, 2) ? 4 : 6;
			proto = sim_draw(w, 2) ? 17 : 6;
			port = (u16)(1 + sim_draw(w, 4000));
		}
		sim_names_dial(w, name, family, proto, port)->is_endless = true;
	}
	for (unsigned i = 0; i < 3; i++)
		probe_anything(w);
}

static void some_time(struct world *w, u64 span)
{
	for (u64 end = w->now + span; w->now < end && !w->is_failed;) {
		ask_anything(w);
		sim_run(w, MIN(end - w->now, MSEC(100 + sim_draw(w, 700))));
	}
}

static void calm_down(struct world *w)
{
	sim_names_silence(w);
	for (unsigned i = 0; i < NAMES; i++)
		sim_names_draw_place(w, i, true);
	sim_run(w, SEC(10)); /* everybody is back and has been told */
	for (size_t i = 0; i < w->portal.n_resources; i++) {
		struct sim_resource *r = &w->portal.resources[i];
		if (SEC(r->expires_at) < sim_wall(w) + SEC(100))
			sim_portal_revoke(w, r);
	}
	sim_run(w, SEC(1));
	for (size_t i = 0; i < w->portal.n_resources; i++) {
		struct sim_resource *r = &w->portal.resources[i];
		if (!r->is_granted && r->type == MSG_RESOURCE_DNS && sim_draw(w, 2))
			sim_portal_grant(w, r);
	}
	sim_run(w, SEC(1));
}

static void play(struct world *w)
{
	sim_run(w, SEC(2));
	expect_names(w, "first connection");
	u64 n = sim_draw(w, DISTURBANCES_MAX + 1);
	for (u64 i = 0; i < n && !w->is_failed; i++) {
		make_noise(w);
		some_time(w, MSEC(sim_draw(w, 3000)));
		disturb(w);
		some_time(w, MSEC(sim_draw(w, 6000)));
	}
	if (!w->is_failed && n > 0) {
		calm_down(w);
		expect_names(w, "in the end");
	}
}

static void tell(struct world *w, u64 seed)
{
	const struct sim_names *s = w->names;

	printf("seed %llu: %llu answers, %llu resolutions, %llu questions outside, %llu connections, %llu bytes there, %llu back, %.1f s\n",
	       (unsigned long long)seed, (unsigned long long)s->n_answers, (unsigned long long)s->n_resolutions,
	       (unsigned long long)s->n_exchanges, (unsigned long long)s->n_connects, (unsigned long long)w->bytes_there,
	       (unsigned long long)w->bytes_back, (double)(w->now - SEC(1000)) / 1e9);
	for (size_t i = 0; i < w->portal.n_resources; i++) {
		const struct sim_resource *r = &w->portal.resources[i];
		printf("  resource %zu type %d %s: granted %d, client %d, gateway %d\n", i, (int)r->type, r->pattern ? r->pattern : "-",
		       r->is_granted, r->at_client, r->at_gateway);
	}
}

static const struct sim_scenario names = { .begin = sim_names_new, .play = play, .tell = tell, .heap_live = heap_live };

TEST(simulation_of_names)
{
	sim_run_all(&names);
}

TEST(spec40_67_a_seed_of_names_repeats_exactly)
{
	sim_run_twice(&names);
}

/* Nothing is wrong with the machines. So the oracle is made to believe what they would have had to do otherwise (spec 40 §16). */
enum crime { GOES_ELSEWHERE, CHANGES_ITS_TARGET, IS_FORBIDDEN, GETS_OTHER_PROXIES, NO_CRIME };

static void commit(struct world *w, enum crime what, unsigned name)
{
	struct sim_names *s = w->names;
	struct names_place *place = &s->places[name];

	switch (what) {
	case GOES_ELSEWHERE:
		place->n_history = 0;
		break;
	case CHANGES_ITS_TARGET:
		for (size_t i = 0; i < ARRAY_LEN(s->flows); i++)
			s->flows[i].target.b[3] ^= 1;
		break;
	case IS_FORBIDDEN:
		for (size_t i = 0; i < w->portal.n_resources; i++) {
			struct sim_resource *r = &w->portal.resources[i];
			r->gateway_filters[0] = (struct msg_filter){ MSG_TCP, 1, 1 };
			r->n_gateway_filters = 1;
		}
		break;
	case GETS_OTHER_PROXIES:
		sim_names_silence(w);
		sim_silence(w);
		for (unsigned k = 0; k < NAMES_PER_FAMILY; k++)
			place->proxies[0][k].b[2] ^= 0x80;
		sim_names_ask(w, name, TYPE_A, false);
		break;
	case NO_CRIME:
		break;
	}
}

/* A program that talks to a name by UDP for ever; NAMES: in this world nobody can. */
static unsigned somebody_talks(struct world *w)
{
	u8 family, proto;
	u16 port;

	for (unsigned name = 0; name < NAMES; name++)
		if (sim_names_choose(w, name, SEC(60), &family, &proto, &port) && proto == 17) {
			struct names_app *a = sim_names_dial(w, name, family, proto, port);
			a->is_endless = true;
			sim_run(w, SEC(3));
			return a->is_connected && !w->is_failed ? name : NAMES;
		}
	return NAMES;
}

TEST(spec40_67_a_broken_invariant_of_names_is_noticed)
{
	static const char *const verdicts[] = { "which it never meant", "changes its target", "forbidden: protocol 17", "changed", "" };
	unsigned found[NO_CRIME + 1] = { 0 };

	static_assert(ARRAY_LEN(verdicts) == NO_CRIME + 1, "each has a verdict");
	REQUIRE(aead_init() == 0);
	for (u64 seed = 0; seed < 60; seed++) {
		enum crime what = (enum crime)(seed % ARRAY_LEN(verdicts));
		struct world *w = sim_new(seed);
		sim_names_new(w);
		sim_run(w, SEC(2));
		expect_names(w, "before the trial");
		sim_names_silence(w);
		unsigned name = somebody_talks(w);
		if (name < NAMES && internet_link(w->net)->loss_ppm == 0) {
			w->is_on_trial = true;
			commit(w, what, name);
			sim_run(w, SEC(2));
			EXPECT(strstr(w->verdict, verdicts[what]) != NULL);
			EXPECT_EQ(w->is_failed, what != NO_CRIME);
			found[what]++;
		}
		sim_free(w);
	}
	for (unsigned i = 0; i < ARRAY_LEN(found); i++)
		EXPECT(found[i] > 0);
}
