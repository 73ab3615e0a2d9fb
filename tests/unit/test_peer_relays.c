/* Relays of a node: choosing, replacing, probing, migrating (spec 20 §8). */
#include "core/base/err.h"
#include "tests/unit/peer_world.h"
#include "tests/unit/test.h"

#include <stdio.h>

static struct pw *world_of(u64 seed, struct pw_host **a, struct pw_host **b, unsigned n_relays, enum pw_nat nat)
{
	struct pw *w = pw_new(seed);

	for (unsigned i = 0; i < n_relays; i++) {
		char ip[32];
		snprintf(ip, sizeof(ip), "198.51.100.%u", i + 1);
		pw_relay(w, ip, NULL);
	}
	*a = pw_host(w, NODE_CLIENT, "10.0.0.2:52625", nat, "203.0.113.1");
	*b = pw_host(w, NODE_GATEWAY, "10.0.1.2:52625", nat, "203.0.113.2");
	pw_join(w, *a);
	pw_join(w, *b);
	pw_run(w, MSEC(200));
	return w;
}

static struct pw *world(struct pw_host **a, struct pw_host **b, unsigned n_relays, enum pw_nat nat)
{
	return world_of(11, a, b, n_relays, nat);
}

/* Number of times, out of 60, that a connection of `a` uses the relay with this index. */
static unsigned times_chosen(struct pw *w, struct pw_host *a, struct pw_host *b, unsigned relay)
{
	unsigned n = 0;
	char want[32], ip[IP_STRLEN];

	snprintf(want, sizeof(want), " %s ", ip_format(&w->relay[relay].v4.ip, ip));
	for (unsigned i = 0; i < 60; i++) {
		a->psk_salt++;
		a->n_added = 0;
		EXPECT_EQ(pw_upsert(w, a, b, true), 0);
		pw_collect(w, a);
		for (unsigned k = 0; k < a->n_added; k++)
			n += strstr(a->added[k], "typ relay") && strstr(a->added[k], want);
	}
	return n;
}

TEST(spec20_53_far_relays_are_not_chosen)
{
	struct pw *w = pw_new(4);
	static const u32 latency_us[] = { 5000, 5500, 6000, 60000 };
	struct pw_host *a, *b;

	for (unsigned i = 0; i < 4; i++) {
		char ip[32];
		snprintf(ip, sizeof(ip), "198.51.100.%u", i + 1);
		pw_relay(w, ip, NULL)->latency_us = latency_us[i];
	}
	a = pw_host(w, NODE_CLIENT, "10.0.0.2:52625", PW_NAT_NONE, NULL);
	b = pw_host(w, NODE_GATEWAY, "10.0.1.2:52625", PW_NAT_NONE, NULL);
	pw_join(w, a);
	pw_run(w, SEC(1));
	for (unsigned i = 0; i < 3; i++)
		EXPECT(times_chosen(w, a, b, i) > 5);
	EXPECT_EQ(times_chosen(w, a, b, 3), 0);
	pw_free(w);
}

TEST(spec20_53_of_two_relays_only_those_within_half_again)
{
	static const u32 second_us[] = { 3000, 9000 };

	for (unsigned i = 0; i < 2; i++) {
		struct pw *w = pw_new(4);
		pw_relay(w, "198.51.100.1", NULL)->latency_us = 2000;
		pw_relay(w, "198.51.100.2", NULL)->latency_us = second_us[i];
		struct pw_host *a = pw_host(w, NODE_CLIENT, "10.0.0.2:52625", PW_NAT_NONE, NULL);
		struct pw_host *b = pw_host(w, NODE_GATEWAY, "10.0.1.2:52625", PW_NAT_NONE, NULL);
		pw_join(w, a);
		pw_run(w, SEC(1));
		unsigned n = times_chosen(w, a, b, 1);
		EXPECT(i == 0 ? n > 10 && n < 50 : n == 0);
		pw_free(w);
	}
}

TEST(spec20_53_without_answer_there_is_no_relay)
{
	struct pw *w = pw_new(4);
	struct pw_host *a, *b;
	bool is_undecided;

	pw_relay(w, "198.51.100.1", NULL)->is_dead = true;
	a = pw_host(w, NODE_CLIENT, "10.0.0.2:52625", PW_NAT_NONE, NULL);
	b = pw_host(w, NODE_GATEWAY, "10.0.1.2:52625", PW_NAT_NONE, NULL);
	pw_join(w, a);
	pw_run(w, SEC(1));
	EXPECT(!node_has_relay(a->node, &is_undecided));
	EXPECT(is_undecided);
	EXPECT_EQ(pw_upsert(w, a, b, true), ERR_NO_RELAY);
	EXPECT(!node_knows(a->node, &b->id));
	pw_run(w, SEC(8)); /* given up at 8.125 s */
	EXPECT(!node_has_relay(a->node, &is_undecided));
	EXPECT(!is_undecided);
	EXPECT_EQ(a->n_no_relays, 1);
	pw_free(w);
}

TEST(spec20_54_changed_credentials_replace_the_allocation)
{
	struct pw_host *a, *b;
	struct pw *w = world(&a, &b, 1, PW_NAT_NONE);
	struct node_relay info = pw_relay_info(&w->relay[0]);

	pw_authorize(w, a, b);
	pw_run(w, SEC(1));
	unsigned added = a->n_added;
	u64 requests = w->relay[0].rx_requests;
	snprintf(info.username, sizeof(info.username), "user0");
	node_update_relays(a->node, w->now, NULL, 0, &info, 1); /* the same again */
	pw_run(w, MSEC(100));
	EXPECT_EQ(a->n_removed, 0);
	EXPECT(w->relay[0].rx_requests - requests < 20);
	snprintf(info.username, sizeof(info.username), "renewed");
	node_update_relays(a->node, w->now, NULL, 0, &info, 1);
	pw_collect(w, a);
	EXPECT_EQ(a->n_removed, 1);
	pw_run(w, SEC(1));
	EXPECT_EQ(a->n_added, added + 1);
	EXPECT_EQ(node_stats(a->node)->relays, 1);
	EXPECT_EQ(a->n_failed + b->n_failed, 0);
	pw_free(w);
}

TEST(spec20_55_unlisted_relays_are_asked_once)
{
	struct pw_host *a, *b;
	struct pw *w = world(&a, &b, 2, PW_NAT_NONE);
	struct node_relay info = pw_relay_info(&w->relay[0]);

	snprintf(info.username, sizeof(info.username), "user0");
	u64 first = w->relay[0].rx_refreshes, second = w->relay[1].rx_refreshes;
	node_update_relays(a->node, w->now, NULL, 0, &info, 1);
	pw_run(w, SEC(2));
	EXPECT_EQ(w->relay[0].rx_refreshes, first);
	EXPECT_EQ(w->relay[1].rx_refreshes, second + 1);
	pw_free(w);
}

static unsigned relay_in_use(const struct pw *w)
{
	return w->relay[0].rx_channel_data >= w->relay[1].rx_channel_data ? 0 : 1;
}

TEST(spec20_56_connections_of_a_removed_relay_migrate)
{
	struct pw_host *a, *b;
	struct pw *w = world(&a, &b, 2, PW_NAT_SYMMETRIC);

	pw_authorize(w, a, b);
	(void)pw_send(w, a, b, 100);
	EXPECT(PW_RUN_UNTIL(w, SEC(2), b->rx_packets == 1));
	pw_run(w, SEC(1));
	unsigned old = relay_in_use(w);
	struct uuid id = w->relay[old].id;
	w->relay[old].is_dead = true;
	node_update_relays(a->node, w->now, &id, 1, NULL, 0);
	node_update_relays(b->node, w->now, &id, 1, NULL, 0);
	u64 begin = w->now;
	b->rx_packets = 0;
	while (b->rx_packets == 0 && w->now < begin + SEC(5)) {
		(void)pw_send(w, a, b, 100);
		pw_run(w, MSEC(20));
	}
	EXPECT(b->rx_packets > 0);
	EXPECT(w->now - begin <= MSEC(500)); /* spec 70 §1 */
	EXPECT_EQ(a->n_failed + b->n_failed, 0);
	pw_free(w);
}

TEST(spec20_56_migration_waits_until_a_relay_qualifies)
{
	struct pw_host *a, *b;
	struct pw *w = world(&a, &b, 1, PW_NAT_NONE);

	pw_authorize(w, a, b);
	(void)pw_send(w, a, b, 100);
	pw_run(w, SEC(1));
	struct uuid id = w->relay[0].id;
	node_update_relays(a->node, w->now, &id, 1, NULL, 0);
	pw_run(w, SEC(30)); /* direct path stays; does not idle while it has no relay (#9987) */
	EXPECT_EQ(a->n_failed, 0);
	unsigned added = a->n_added;
	struct pw_relay *r = pw_relay(w, "198.51.100.77", NULL);
	struct node_relay info = pw_relay_info(r);
	node_update_relays(a->node, w->now, NULL, 0, &info, 1);
	pw_run(w, MSEC(100));
	EXPECT(a->n_added > added);
	EXPECT(strstr(a->added[(a->n_added - 1) % PW_TEXTS], "198.51.100.77 ") != NULL);
	pw_free(w);
}

/* Where the peer stands at the other relay, another pair is there at once. Where both stood at the dead one, the connection ends
 * once our own new place there has had LIVENESS_FLUX to help, and the portal is asked anew. */
TEST(a_relay_that_dies_silently_is_left_by_traffic)
{
	unsigned n_moved = 0, n_ended = 0;

	for (u64 seed = 0; seed < 24; seed++) {
		struct pw_host *a, *b;
		struct pw *w = world_of(seed, &a, &b, 2, PW_NAT_SYMMETRIC);

		pw_authorize(w, a, b);
		(void)pw_send(w, a, b, 100);
		pw_run(w, SEC(3));
		w->relay[relay_in_use(w)].is_dead = true;
		u64 begin = w->now, before = b->rx_packets;
		while (w->now < begin + SEC(8) && b->rx_packets == before && a->n_failed == 0) {
			(void)pw_send(w, a, b, 100);
			pw_run(w, MSEC(100));
		}
		EXPECT(w->now - begin <= (a->n_failed ? MSEC(6100) : SEC(3)));
		n_moved += a->n_failed == 0;
		n_ended += a->n_failed > 0;
		pw_free(w);
	}
	EXPECT(n_moved > 0 && n_ended > 0);
}

TEST(a_restarted_relay_is_found_out_by_traffic)
{
	struct pw_host *a, *b;
	struct pw *w = world(&a, &b, 1, PW_NAT_SYMMETRIC);

	pw_authorize(w, a, b);
	(void)pw_send(w, a, b, 100);
	EXPECT(PW_RUN_UNTIL(w, SEC(2), b->rx_packets == 1));
	pw_run(w, SEC(3));
	for (unsigned i = 0; i < PW_ALLOCS; i++)
		w->relay[0].alloc[i].is_used = false;
	/* the portal tells both of the relay's return, with the same credentials */
	node_update_relays(a->node, w->now, NULL, 0, NULL, 0);
	node_update_relays(b->node, w->now, NULL, 0, NULL, 0);
	b->rx_packets = 0;
	u64 begin = w->now;
	while (b->rx_packets == 0 && w->now < begin + SEC(10)) {
		(void)pw_send(w, a, b, 100);
		pw_run(w, MSEC(20));
	}
	EXPECT(w->now - begin <= MSEC(1500));
	EXPECT_EQ(a->n_failed + b->n_failed, 0);
	pw_free(w);
}

TEST(too_many_relays_are_refused)
{
	struct pw *w = pw_new(1);
	struct pw_host *a = pw_host(w, NODE_CLIENT, "10.0.0.2:52625", PW_NAT_NONE, NULL);
	struct node_relay infos[NODE_RELAYS_MAX + 4] = { 0 };

	for (unsigned i = 0; i < NODE_RELAYS_MAX + 4; i++) {
		infos[i].id.b[0] = (u8)(i + 1);
		infos[i].v4 = pw_ep("198.51.100.1:3478");
		infos[i].v4.ip.b[3] = (u8)(i + 1);
		snprintf(infos[i].username, sizeof(infos[i].username), "u");
	}
	node_update_relays(a->node, w->now, NULL, 0, infos, NODE_RELAYS_MAX + 4);
	EXPECT_EQ(node_stats(a->node)->relays, NODE_RELAYS_MAX);
	pw_free(w);
}
