/* The memory of polled transmits: whoever takes many before sending any gets them all intact. */
#include "core/peer/node.h"
#include "tests/unit/test.h"

#include <string.h>

TEST(messages_to_both_families_of_a_relay_do_not_share_memory)
{
	struct rng_seeded rng;
	struct node_relay relay = { .id = { { 1 } }, .username = "1:u", .password = "p" };
	struct udp_tx tx[8];
	size_t n = 0;

	rng_seeded_init(&rng, 1);
	relay.v4 = (struct endpoint){ ip4(203, 0, 113, 2), 3478 };
	REQUIRE(ip_parse(SPAN_STR("2001:db8:2::2"), &relay.v6.ip) == 0);
	relay.v6.port = 3478;
	struct node *node = node_new(&(struct node_config){ NODE_CLIENT, &rng.rng }, 0);
	REQUIRE(node != NULL);
	node_update_relays(node, 0, NULL, 0, &relay, 1);
	while (n < ARRAY_LEN(tx) && node_poll_transmit(node, &tx[n]))
		n++;
	EXPECT_EQ(n, 2);
	REQUIRE(n == 2);
	EXPECT(tx[0].dst.ip.family != tx[1].dst.ip.family);
	EXPECT_EQ(tx[0].len, tx[1].len);
	EXPECT(memcmp(tx[0].data + 8, tx[1].data + 8, 12) != 0); /* transaction ids */
	node_free(node);
}

TEST(more_relays_than_one_turn_has_room_for_are_asked_in_the_next)
{
	struct rng_seeded rng;
	struct node_relay relays[NODE_RELAYS_MAX] = { 0 };
	struct udp_tx tx;
	size_t sent = 0;

	rng_seeded_init(&rng, 2);
	for (unsigned i = 0; i < NODE_RELAYS_MAX; i++) {
		relays[i] = (struct node_relay){ .id = { { (u8)(i + 1) } }, .username = "1:u", .password = "p" };
		relays[i].v4 = (struct endpoint){ ip4(203, 0, 113, (u8)(i + 1)), 3478 };
		relays[i].v6 = (struct endpoint){ ip_from_bytes(6, (const u8[16]){ 0x20, 1, 0xd, 0xb8, [15] = (u8)(i + 1) }), 3478 };
	}
	struct node *node = node_new(&(struct node_config){ NODE_CLIENT, &rng.rng }, 0);
	REQUIRE(node != NULL);
	node_update_relays(node, 0, NULL, 0, relays, NODE_RELAYS_MAX);
	for (u64 now = 0; now < 4; now++) {
		while (node_poll_transmit(node, &tx))
			sent++;
		if (sent < 2 * NODE_RELAYS_MAX)
			EXPECT(node_next_timeout(node) <= now);
		node_timeout(node, now, SEC(1800000000));
	}
	EXPECT_EQ(sent, 2 * NODE_RELAYS_MAX);
	node_free(node);
}
