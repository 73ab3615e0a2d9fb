/* Nodes against each other on a simulated network: demultiplexing, paths, states, relays (spec 20 §2, §8–§10). */
#include "tests/unit/peer_world.h"
#include "tests/unit/test.h"

#include <stdio.h>

static struct pw *world(struct pw_host **a, struct pw_host **b, enum pw_nat nat_a, enum pw_nat nat_b)
{
	struct pw *w = pw_new(1);

	pw_relay(w, "198.51.100.1", NULL);
	*a = pw_host(w, NODE_CLIENT, "10.0.0.2:52625", nat_a, nat_a == PW_NAT_NONE ? NULL : "203.0.113.1");
	*b = pw_host(w, NODE_GATEWAY, "10.0.1.2:52625", nat_b, nat_b == PW_NAT_NONE ? NULL : "203.0.113.2");
	pw_join(w, *a);
	pw_join(w, *b);
	pw_run(w, MSEC(100));
	return w;
}

TEST(direct_connection_carries_packets_both_ways)
{
	struct pw_host *a, *b;
	struct pw *w = world(&a, &b, PW_NAT_NONE, PW_NAT_NONE);

	pw_authorize(w, a, b);
	EXPECT_EQ(pw_send(w, a, b, 100), 0);
	EXPECT(PW_RUN_UNTIL(w, SEC(1), b->rx_packets == 1));
	EXPECT_EQ(pw_send(w, b, a, 1280), 0);
	EXPECT(PW_RUN_UNTIL(w, SEC(1), a->rx_packets == 1));
	EXPECT_EQ(a->n_established, 1);
	EXPECT_EQ(b->n_established, 1);
	EXPECT_EQ(a->last_path, PATH_DIRECT);
	EXPECT_EQ(a->rx_bad + b->rx_bad, 0);
	pw_free(w);
}
