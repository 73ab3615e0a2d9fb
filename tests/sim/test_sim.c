/* Whole runs of client, gateway, relays and portal from a seed (issue: simulation). SIM_SEEDS says how many; `--seed N` replays one. */
#include "core/base/log.h"
#include "core/crypto/aead.h"
#include "core/tunnel/stats.h"
#include "tests/sim/world.h"
#include "tests/unit/inner.h"
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>

#define SEEDS_DEFAULT 200
#define CONNECT_DEADLINE SEC(10)        /* spec 20 §9.2: a connection that finds no candidate by then is given up */
#define CONNECT_DEADLINE_LOSSY SEC(20)  /* a try may be lost and be made again */
#define DISTURBANCES_MAX 4u

static unsigned seeds(void)
{
	const char *text = getenv("SIM_SEEDS");
	return text ? (unsigned)strtoul(text, NULL, 10) : SEEDS_DEFAULT;
}

static u64 draw(struct world *w, u64 bound)
{
	return rng_below(&w->rng.rng, bound);
}

static struct ip address_in(struct world *w, const struct sim_resource *r)
{
	struct ip ip = r->net.ip;
	if (r->type == MSG_RESOURCE_INTERNET)
		return ip4(9, 9, (u8)draw(w, 4), (u8)(1 + draw(w, 200)));
	ip.b[ip.family == 4 ? 3 : 15] = (u8)(1 + draw(w, 200));
	return ip;
}

/* A packet that this resource permits: some protocol and port of its filters. */
static struct sim_probe *probe_permitted(struct world *w, const struct sim_resource *r)
{
	struct ip dst = address_in(w, r);
	static const u8 protocols[] = { 17, 6, 1 };
	u8 proto = protocols[draw(w, 3)];
	u16 port = (u16)(1 + draw(w, 60000));
	if (r->n_filters > 0) {
		const struct msg_filter *f = &r->filters[draw(w, r->n_filters)];
		proto = f->protocol == MSG_TCP ? 6 : f->protocol == MSG_UDP ? 17 : 1;
		port = (u16)(f->port_start + draw(w, (u64)f->port_end - f->port_start + 1));
	}
	if (proto == 1 && dst.family == 6)
		proto = 58;
	if (proto == 1 || proto == 58)
		port = 7;
	return sim_probe(w, &dst, proto, port);
}

/* Any packet; the invariants decide. */
static void probe_anything(struct world *w)
{
	const struct sim_resource *r = &w->portal.resources[draw(w, w->portal.n_resources)];
	struct ip dst = address_in(w, r);
	static const u8 protocols[] = { 17, 6, 1 };
	u8 proto = protocols[draw(w, 3)];
	if (proto == 1)
		proto = dst.family == 6 ? 58 : 1;
	(void)sim_probe(w, &dst, proto, (u16)(1 + draw(w, 4000)));
}

static u64 deadline(struct world *w)
{
	return internet_link(w->net)->loss_ppm > 0 ? CONNECT_DEADLINE_LOSSY : CONNECT_DEADLINE;
}

/* Everything is up and still: each granted resource answers in time. `*slowest` is how long the last one took. */
static void expect_service(struct world *w, const char *when)
{
	struct sim_probe *probes[SIM_RESOURCES] = { 0 };
	u64 limit = deadline(w);
	sim_silence(w);
	for (size_t i = 0; i < w->portal.n_resources; i++) {
		const struct sim_resource *r = &w->portal.resources[i];
		if (r->is_granted && SEC(r->expires_at) > sim_wall(w) + limit)
			probes[i] = probe_permitted(w, r);
	}
	for (u64 waited = 0; waited < limit && !w->is_failed; waited += MSEC(500)) {
		bool is_done = true;
		for (size_t i = 0; i < w->portal.n_resources; i++)
			is_done &= !probes[i] || probes[i]->is_answered;
		if (is_done)
			return;
		sim_run(w, MSEC(500));
	}
	for (size_t i = 0; i < w->portal.n_resources; i++)
		if (probes[i] && !probes[i]->is_answered) {
			char text[IP_STRLEN];
			sim_fail(w, "%s: no answer from %s protocol %u port %u", when, ip_format(&probes[i]->dst, text), probes[i]->proto,
				   probes[i]->port);
		}
}

enum disturbance { MOVE, GOODBYE, PORTAL_AWAY, RELAY_RESTART, REVOKE, GRANT, FILTERS, EXPIRY, INTERNET_OFF, KILL, DISTURBANCES };

static void disturb(struct world *w)
{
	struct sim_portal *p = &w->portal;
	struct sim_resource *r = &p->resources[draw(w, p->n_resources)];
	enum disturbance what = (enum disturbance)draw(w, DISTURBANCES);

	if (w->is_loud)
		printf("%llu ms: disturbance %d\n", (unsigned long long)((w->now - SEC(1000)) / MSEC(1)), (int)what);
	switch (what) {
	case MOVE:
		sim_move_client(w);
		break;
	case GOODBYE:
		sim_restart_gateway(w, true);
		break;
	case KILL:
		sim_restart_gateway(w, false);
		break;
	case PORTAL_AWAY:
		if (p->client_is_up)
			portal_disconnect(w, true, w->now + SEC(draw(w, 8)));
		if (p->gateway_is_up)
			portal_disconnect(w, false, w->now + SEC(draw(w, 8)));
		break;
	case RELAY_RESTART:
		sim_restart_relay(w, (unsigned)draw(w, SIM_RELAYS));
		break;
	case REVOKE:
		portal_revoke(w, r);
		break;
	case GRANT:
		if (!r->is_granted)
			portal_grant(w, r);
		break;
	case FILTERS:
		if (r->n_filters > 0 && r->is_granted) {
			r->n_filters--;
			portal_change_filters(w, r);
		}
		break;
	case EXPIRY:
		r->expires_at = sim_wall(w) / NSEC_PER_SEC + 1 + draw(w, 5);
		break;
	case INTERNET_OFF:
		client_set_internet(w->client, w->now, draw(w, 2));
		client_set_internet(w->client, w->now, true);
		break;
	case DISTURBANCES:
		break;
	}
}

static struct world *heard; /* whose log lines carry its time */

static void write_line(void *ctx, const char *line, size_t n)
{
	(void)ctx;
	(void)fwrite(line, 1, n, stdout);
}

static u64 wall_of_heard(void *ctx)
{
	(void)ctx;
	return heard ? sim_wall(heard) : 0;
}

static u64 run(u64 seed, bool is_loud)
{
	const struct log_sink sink = { .write = write_line, .wall_ns = wall_of_heard };
	struct world *w = sim_new(seed);
	w->is_loud = is_loud;
	heard = w;
	if (is_loud && getenv("RUST_LOG"))
		(void)log_setup(&sink, getenv("RUST_LOG"), NULL);
	sim_run(w, SEC(2));
	for (unsigned i = 0; i < 3; i++)
		probe_anything(w);
	expect_service(w, "first connection");
	u64 n = draw(w, DISTURBANCES_MAX + 1);
	for (u64 i = 0; i < n && !w->is_failed; i++) {
		sim_silence(w);
		for (size_t k = 0; k < w->portal.n_resources; k++)
			probe_permitted(w, &w->portal.resources[k])->is_endless = true;
		for (unsigned k = 0; k < 3; k++)
			probe_anything(w);
		sim_run(w, MSEC(draw(w, 3000)));
		disturb(w);
		sim_run(w, MSEC(draw(w, 6000)));
	}
	if (!w->is_failed && n > 0) {
		sim_silence(w);
		sim_run(w, SEC(10)); /* everybody is back and has been told */
		if (!w->portal.resources[0].is_granted)
			portal_grant(w, &w->portal.resources[0]);
		for (size_t i = 0; i < w->portal.n_resources; i++)
			if (SEC(w->portal.resources[i].expires_at) < sim_wall(w) + SEC(60))
				portal_revoke(w, &w->portal.resources[i]);
		sim_run(w, SEC(1));
		expect_service(w, "in the end");
	}
	u64 digest = internet_digest(w->net) ^ w->digest;
	if (is_loud) {
		const struct internet_stats *s = internet_stats(w->net);
		printf("seed %llu: %llu datagrams, %llu delivered, %llu filtered, %llu lost, %llu bytes there, %llu back, %llu turns, %.1f s\n",
		       (unsigned long long)seed, (unsigned long long)s->sent, (unsigned long long)s->delivered,
		       (unsigned long long)s->filtered, (unsigned long long)s->lost, (unsigned long long)w->bytes_there,
		       (unsigned long long)w->bytes_back, (unsigned long long)w->iterations, (double)(w->now - SEC(1000)) / 1e9);
		for (unsigned d = 0; d < DROP_COUNT; d++)
			printf("  dropped %s: client %llu, gateway %llu\n", tunnel_drop_name(d),
			       (unsigned long long)client_stats(w->client)->dropped[d], (unsigned long long)gateway_stats(w->gateway)->dropped[d]);
	}
	heard = NULL;
	sim_free(w);
	return digest;
}

TEST(simulation_of_client_gateway_relays_and_portal)
{
	u64 seed;
	REQUIRE(aead_init() == 0);
	if (test_seed(&seed)) {
		(void)run(seed, true);
		return;
	}
	for (seed = 0; seed < seeds(); seed++)
		(void)run(seed, false);
}

TEST(a_seed_repeats_exactly)
{
	u64 seed;
	REQUIRE(aead_init() == 0);
	if (test_seed(&seed))
		TEST_SKIP("one seed was asked for");
	for (seed = 0; seed < 5; seed++)
		EXPECT_EQ(run(seed, false), run(seed, false));
}
