#include "tests/unit/gateway_world.h"

TEST(spec40_13_repeated_init_drops_nothing)
{
	start();
	grant(1, cidr(10, "10.0.0.0/8", NULL, 0));
	EXPECT_EQ(events().tun, 1);
	struct msg_access listed = { uuid_of(1), uuid_of(10), MSG_NEVER_EXPIRES };
	init_with(&listed, 1);
	EXPECT_EQ(events().tun, 1);
	EXPECT_EQ(to(1, 17, "10.1.1.1", 5), PASSED);
	EXPECT_EQ(fake->n_closed, 0);
	stop();
}

TEST(spec40_14_spec10_52_flow_authorized_precedes_candidates)
{
	struct uuid id = uuid_of(1);
	start();
	struct msg_resource r = cidr(10, "10.0.0.0/8", NULL, 0);
	(void)events();
	authorize(1, &r, MSG_NEVER_EXPIRES, "first");
	fake_candidates(fake, NODE_CANDIDATES_ADDED, &id, "candidate:a");
	struct events e = events();
	EXPECT_STR(e.order, "ac");
	EXPECT_STR(e.last_ref, "first");
	EXPECT(!fake->conns[0].peer.is_controlling);
	EXPECT_STR(fake->conns[0].peer.local.ufrag, "gu");
	fake_candidates(fake, NODE_CANDIDATES_REMOVED, &id, "candidate:a");
	EXPECT_EQ(events().invalidated, 1);
	stop();
}

TEST(spec40_16_candidates_are_taken_one_by_one)
{
	static const char *const texts[] = { "candidate:1", "garbage", "", "candidate:2" };
	struct portal_message m = { .type = MSG_CLIENT_ICE_CANDIDATES, .candidates = { uuid_of(1), { texts, ARRAY_LEN(texts) } } };

	start();
	EXPECT_EQ(gateway_message(g, now, wall, &m), 0); /* of nobody */
	grant(1, cidr(10, "10.0.0.0/8", NULL, 0));
	EXPECT_EQ(gateway_message(g, now, wall, &m), 0);
	EXPECT_EQ(fake->conns[0].n_candidates, 2);
	stop();
}

TEST(spec40_15_spec10_53_without_relay_no_relays_is_said_and_nothing_granted)
{
	struct msg_resource r = cidr(10, "10.0.0.0/8", NULL, 0);
	struct gateway_status s;
	start();
	(void)events();
	fake->has_relay = false;
	authorize(1, &r, MSG_NEVER_EXPIRES, "ref");
	struct events e = events();
	EXPECT_EQ(e.no_relays, 1);
	EXPECT_EQ(e.authorized, 0);
	gateway_status(g, &s);
	EXPECT_EQ(s.n_clients, 0);
	EXPECT_EQ(s.n_held, 1);
	advance(SEC(2));
	EXPECT_EQ(events().no_relays, 0); /* said once */
	fake->has_relay = true;
	struct portal_message m = { .type = MSG_RELAYS_PRESENCE };
	EXPECT_EQ(gateway_message(g, now, wall, &m), 0);
	EXPECT_EQ(events().authorized, 1);
	fake->has_relay = false;
	authorize(2, &r, MSG_NEVER_EXPIRES, "late");
	EXPECT_EQ(events().no_relays, 1);
	advance(SEC(10));
	gateway_status(g, &s);
	EXPECT_EQ(s.n_held, 0);
	EXPECT_EQ(gateway_next_timeout(g), now + SEC(1)); /* only the tick of client 1 */
	stop();
}

TEST(portal_that_answers_with_no_relay_is_not_asked_as_fast_as_it_answers)
{
	struct msg_resource r = cidr(10, "10.0.0.0/8", NULL, 0);
	struct portal_message none = { .type = MSG_RELAYS_PRESENCE };
	unsigned asked = 0;

	start();
	(void)events();
	fake->has_relay = false;
	authorize(1, &r, MSG_NEVER_EXPIRES, "ref");
	for (unsigned i = 0; i < 100; i++) {
		asked += events().no_relays;
		EXPECT_EQ(gateway_message(g, now, wall, &none), 0);
	}
	EXPECT_EQ(asked, 1);
	stop();
}

TEST(an_authorization_is_held_until_a_relay_has_answered)
{
	struct msg_resource r = cidr(10, "10.0.0.0/8", NULL, 0);
	start();
	(void)events();
	fake->has_relay = false;
	fake->is_undecided = true;
	authorize(1, &r, MSG_NEVER_EXPIRES, "older");
	authorize(1, &r, MSG_NEVER_EXPIRES, "newer");
	struct events e = events();
	EXPECT_EQ(e.authorized + e.no_relays, 0);
	fake->has_relay = true;
	u8 any[20] = { 0 };
	(void)input(9, any, sizeof(any), 0, NULL);
	e = events();
	EXPECT_EQ(e.authorized, 1);
	EXPECT_STR(e.last_ref, "newer");
	fake->has_relay = false;
	authorize(2, &r, MSG_NEVER_EXPIRES, "x");
	reject(2, 10);
	fake->has_relay = true;
	advance(0);
	gateway_timeout(g, now, wall);
	EXPECT_EQ(events().authorized, 0);
	stop();
}

TEST(before_init_a_gateway_is_silent)
{
	struct gateway_config cfg = { .rng = &rng.rng };
	struct msg_resource r = cidr(10, "10.0.0.0/8", NULL, 0);
	rng_seeded_init(&rng, 1);
	now = SEC(1);
	wall = SEC(T0);
	g = gateway_new(&cfg, now);
	authorize(1, &r, MSG_NEVER_EXPIRES, "ref");
	EXPECT_EQ(fake->n_upserts, 0);
	init_with(NULL, 0);
	EXPECT_EQ(events().authorized, 1);
	EXPECT_EQ(to(1, 17, "10.1.1.1", 5), PASSED);
	stop();
}

TEST(spec40_17_spec40_23_spec10_56_access_ends_at_its_expiry)
{
	struct msg_resource r = cidr(10, "10.0.0.0/8", NULL, 0), other = cidr(11, "192.168.0.0/16", NULL, 0);
	start();
	authorize(1, &r, T0 + 60, "a");
	authorize(1, &other, T0 + 30, "b");
	advance(SEC(30) - 1);
	EXPECT_EQ(to(1, 17, "192.168.1.1", 5), PASSED);
	advance(1);
	EXPECT_EQ(to(1, 17, "192.168.1.1", 5), PROHIBITED);
	EXPECT(!back(1, 17, "192.168.1.1", 5));
	access_message(MSG_ACCESS_AUTHORIZATION_EXPIRY_UPDATED, 1, 10, T0 + 90);
	access_message(MSG_ACCESS_AUTHORIZATION_EXPIRY_UPDATED, 1, 77, T0 + 1);
	advance(SEC(59));
	EXPECT_EQ(to(1, 17, "10.1.1.1", 5), PASSED);
	authorize(1, &r, T0 + 120, "again"); /* refreshes the expiry */
	advance(SEC(30));
	EXPECT_EQ(to(1, 17, "10.1.1.1", 5), PASSED);
	struct msg_access listed = { uuid_of(1), uuid_of(10), T0 + 125 };
	init_with(&listed, 1);
	advance(SEC(5));
	EXPECT_EQ(to(1, 17, "10.1.1.1", 5), PASSED);
	EXPECT_EQ(fake->n_closed, 0);
	advance(SEC(1));
	EXPECT_EQ(fake->n_closed, 1); /* spec40_21: the last one goes with a goodbye */
	EXPECT_EQ(gateway_next_timeout(g), TIME_NEVER);
	stop();
}

TEST(spec40_18_resource_updated_changes_filters_only)
{
	start();
	grant(1, cidr(10, "10.0.0.0/8", NULL, 0));
	grant(2, cidr(10, "10.0.0.0/8", NULL, 0));
	EXPECT_EQ(to(1, 6, "10.1.1.1", 80), PASSED);
	struct portal_message m = { .type = MSG_RESOURCE_UPDATED, .resource = cidr(10, "172.16.0.0/12", &tcp443, 1) };
	EXPECT_EQ(gateway_message(g, now, wall, &m), 0);
	EXPECT_EQ(to(1, 6, "10.1.1.1", 80), PROHIBITED);
	EXPECT_EQ(to(2, 6, "10.1.1.1", 80), PROHIBITED);
	EXPECT_EQ(to(1, 6, "10.1.1.1", 443), PASSED);
	EXPECT_EQ(to(1, 6, "172.16.1.1", 443), PROHIBITED);
	stop();
}

TEST(spec40_19_spec20_64_peer_state_outlives_its_connection)
{
	struct uuid id = uuid_of(1);
	start();
	grant(1, cidr(10, "10.0.0.0/8", NULL, 0));
	grant(1, cidr(11, "192.168.0.0/16", NULL, 0));
	node_forget(fake, &id);
	fake_event(fake, NODE_CONN_FAILED, &id);
	EXPECT_EQ(events().lost, 1);
	EXPECT(!back(1, 17, "10.1.1.1", 5));
	EXPECT_EQ(gateway_stats(g)->dropped[DROP_NOT_CONNECTED], 1);
	grant(1, cidr(10, "10.0.0.0/8", NULL, 0)); /* it comes back for one */
	EXPECT_EQ(to(1, 17, "192.168.1.1", 5), PASSED);
	stop();
}

TEST(spec40_20_other_tunnel_addresses_make_a_new_peer)
{
	start();
	grant(1, cidr(10, "10.0.0.0/8", NULL, 0));
	struct portal_message m = { .type = MSG_AUTHORIZE_FLOW };
	m.authorize_flow.ref = "r";
	m.authorize_flow.resource = cidr(11, "192.168.0.0/16", NULL, 0);
	m.authorize_flow.client.id = uuid_of(1);
	m.authorize_flow.client.ipv4 = client_ip(200, 4);
	m.authorize_flow.client.ipv6 = client_ip(1, 6);
	m.authorize_flow.client_ice = m.authorize_flow.gateway_ice = (struct msg_ice){ "u", "p" };
	m.authorize_flow.expires_at = MSG_NEVER_EXPIRES;
	EXPECT_EQ(gateway_message(g, now, wall, &m), 0);
	struct inner_spec s = from_client(200, 17, "10.1.1.1", 5);
	EXPECT_EQ(outbound(&s, 1), PROHIBITED);
	s.dst = ip_of("192.168.1.1");
	EXPECT_EQ(outbound(&s, 1), PASSED);
	EXPECT(!back(1, 17, "192.168.1.1", 5)); /* the old address is nobody's */
	EXPECT(back(200, 17, "192.168.1.1", 5));
	stop();
}

TEST(spec40_21_spec10_57_reject_of_the_last_resource_closes_with_goodbye)
{
	start();
	grant(1, cidr(10, "10.0.0.0/8", NULL, 0));
	grant(1, cidr(11, "192.168.0.0/16", NULL, 0));
	reject(1, 10);
	EXPECT_EQ(to(1, 17, "10.1.1.1", 5), PROHIBITED);
	EXPECT_EQ(to(1, 17, "192.168.1.1", 5), PASSED);
	reject(1, 10);
	reject(7, 11);
	EXPECT_EQ(fake->n_closed, 0);
	reject(1, 11);
	EXPECT_EQ(fake->n_closed, 1);
	stop();
}

TEST(spec40_22_spec10_54_init_revokes_what_it_does_not_list)
{
	start();
	grant(1, cidr(10, "10.0.0.0/8", NULL, 0));
	grant(1, cidr(11, "192.168.0.0/16", NULL, 0));
	grant(2, cidr(10, "10.0.0.0/8", NULL, 0));
	struct msg_access listed[] = { { uuid_of(1), uuid_of(11), MSG_NEVER_EXPIRES }, { uuid_of(3), uuid_of(10), T0 + 1 } };
	init_with(listed, 2);
	EXPECT_EQ(to(1, 17, "10.1.1.1", 5), PROHIBITED);
	EXPECT_EQ(to(1, 17, "192.168.1.1", 5), PASSED);
	EXPECT_EQ(fake->n_closed, 1);
	EXPECT_EQ(fake->last_closed.b[15], 2);
	stop();
}

TEST(spec40_26_spec40_29_multicast_and_icmp_errors_of_clients_are_dropped)
{
	start();
	grant(1, internet(10));
	EXPECT_EQ(to(1, 17, "224.0.0.1", 5), SILENT);
	EXPECT_EQ(to(1, 17, "ff02::1", 5), SILENT);
	struct inner_spec s = from_client(1, 1, "9.9.9.9", 0);
	s.sport = 3 << 8 | 1;
	EXPECT_EQ(outbound(&s, 1), SILENT);
	EXPECT_EQ(gateway_stats(g)->dropped[DROP_ICMP_ERROR], 1);
	EXPECT_EQ(to(1, 1, "9.9.9.9", 0), PASSED); /* an echo request is none */
	stop();
}

TEST(spec40_27_a_foreign_source_is_refused_aloud)
{
	start();
	grant(1, cidr(10, "10.0.0.0/8", NULL, 0));
	struct inner_spec s = from_client(2, 17, "10.1.1.1", 5);
	EXPECT_EQ(outbound(&s, 1), PROHIBITED);
	s.src = ip_of("10.1.1.1");
	EXPECT_EQ(outbound(&s, 1), PROHIBITED);
	stop();
}

TEST(spec40_28_the_gateways_own_address_both_ways)
{
	start();
	grant(1, cidr(10, "10.0.0.0/8", &tcp443, 1));
	EXPECT_EQ(to(1, 17, own4, 53535), PASSED);
	EXPECT_EQ(to(1, 17, own6, 53535), PASSED);
	EXPECT(back(1, 17, own4, 53535));
	EXPECT(back(1, 17, own6, 53535));
	EXPECT_EQ(to(1, 17, "100.64.0.2", 5), PROHIBITED);
	EXPECT(!back(1, 17, "100.64.0.2", 5));
	stop();
}

TEST(spec40_30_spec40_31_traffic_is_forwarded_as_it_came_but_for_ecn)
{
	struct tun_pkt t;
	start();
	grant(1, cidr(10, "10.0.0.0/8", NULL, 0));
	for (u8 inner = 0; inner < 4; inner++)
		for (u8 outer = 0; outer < 4; outer++) {
			struct inner_spec s = from_client(1, 6, "10.1.1.1", 5);
			s.tos = inner;
			u32 len = inner_make(&s, packet);
			REQUIRE(input(1, packet, len, outer, &t) == 1);
			EXPECT(inner_checksums_are_right(t.data, t.len));
			EXPECT_EQ(t.data[1], outer == 3 && (inner == 1 || inner == 2) ? 3 : inner);
			EXPECT_MEM(t.data + 12, packet + 12, len - 12);
			EXPECT(t.has_headroom && t.vnet.gso_type == VNET_GSO_NONE);
		}
	stop();
}

TEST(spec40_32_icmp_errors_pass_any_filter_on_the_way_back)
{
	start();
	grant(1, cidr(10, "10.0.0.0/8", &tcp443, 1));
	struct inner_spec s = { .src = ip_of("172.16.5.5"), .dst = client_ip(1, 4), .proto = 1, .sport = 3 << 8 | 1, .payload_len = 28 };
	EXPECT(back_spec(&s));
	s.sport = 11 << 8;
	EXPECT(back_spec(&s));
	s.sport = 5 << 8 | 1; /* a redirect is no such error */
	EXPECT(!back_spec(&s));
	stop();
}

TEST(spec40_33_filters_apply_inbound_by_source_port)
{
	start();
	grant(1, cidr(10, "10.0.0.0/8", &tcp443, 1));
	EXPECT(back(1, 6, "10.1.1.1", 443));
	EXPECT(!back(1, 6, "10.1.1.1", 444));
	EXPECT(!back(1, 17, "10.1.1.1", 443));
	EXPECT(!back(1, 1, "10.1.1.1", 0));
	EXPECT(!back(1, 6, "11.1.1.1", 443));
	EXPECT(!back(2, 6, "10.1.1.1", 443));
	EXPECT(!back(1, 47, "10.1.1.1", 0));
	struct inner_spec s = { .src = ip_of("10.1.1.1"), .dst = ip_of("8.8.8.8"), .proto = 6, .sport = 443 };
	EXPECT(!back_spec(&s));
	stop();
}

TEST(spec40_34_packets_are_dropped_while_ice_is_unfinished)
{
	start();
	fake->is_connecting = true;
	grant(1, cidr(10, "10.0.0.0/8", NULL, 0));
	EXPECT(!back(1, 17, "10.1.1.1", 5));
	EXPECT_EQ(fake->n_sent, 0);
	EXPECT_EQ(gateway_stats(g)->dropped[DROP_NOT_CONNECTED], 1);
	stop();
}

TEST(spec40_36_spec40_37_empty_filters_and_icmp)
{
	start();
	grant(1, cidr(10, "10.0.0.0/16", NULL, 0));
	grant(1, cidr(11, "10.1.0.0/16", &icmp, 1));
	EXPECT_EQ(to(1, 47, "10.0.0.1", 0), PASSED);
	EXPECT_EQ(to(1, 1, "10.0.0.1", 0), PASSED);
	EXPECT_EQ(to(1, 1, "10.1.0.1", 0), PASSED);
	struct inner_spec timestamp = from_client(1, 1, "10.1.0.1", 0);
	timestamp.sport = 13 << 8;
	timestamp.payload_len = 12;
	EXPECT_EQ(outbound(&timestamp, 1), PASSED);
	EXPECT_EQ(to(1, 47, "10.1.0.1", 0), PROHIBITED);
	EXPECT_EQ(to(1, 17, "10.1.0.1", 5), PROHIBITED);
	stop();
}

TEST(spec40_39_the_internet_resource_and_what_it_excludes)
{
	static const char *const excluded[] = { "10.0.0.1",    "172.31.255.255", "192.168.3.3", "127.0.0.1", "169.254.1.1",
						"240.0.0.1",   "::1",            "::ffff:8.8.8.8", "fc00::1", "fdff::1",     "fe80::1" };
	start();
	grant(1, internet(10));
	EXPECT_EQ(to(1, 17, "9.9.9.9", 53), PASSED);
	EXPECT_EQ(to(1, 47, "2606:4700::1111", 0), PASSED);
	EXPECT(back(1, 17, "9.9.9.9", 53));
	for (unsigned i = 0; i < ARRAY_LEN(excluded); i++)
		EXPECT_EQ(to(1, 17, excluded[i], 53), UNREACHABLE);
	EXPECT(!back(1, 17, "10.0.0.1", 53));
	EXPECT_EQ(to(1, 17, "100.96.0.1", 53), PROHIBITED); /* proxy ranges stay closed */
	EXPECT_EQ(to(1, 17, "fd00:2021:1111:8000::", 53), PROHIBITED);
	EXPECT_EQ(to(1, 17, "100.64.7.7", 53), PROHIBITED);
	grant(1, cidr(11, "10.0.0.0/8", &tcp443, 1));
	EXPECT_EQ(to(1, 6, "10.0.0.1", 443), PASSED);
	EXPECT_EQ(to(1, 17, "10.0.0.1", 53), PROHIBITED);
	grant(1, cidr(12, "9.9.9.0/24", &tcp443, 1));
	EXPECT_EQ(to(1, 17, "9.9.9.9", 53), PASSED); /* a union */
	reject(1, 10);
	EXPECT_EQ(to(1, 17, "9.9.9.9", 53), PROHIBITED);
	EXPECT_EQ(to(1, 17, "8.8.8.8", 53), PROHIBITED);
	stop();
}

TEST(spec40_40_spec40_66_control_packets_never_reach_the_tun_and_goodbye_forgets)
{
	u8 control[48];
	start();
	grant(1, cidr(10, "10.0.0.0/8", NULL, 0));
	(void)fake_goodbye(control);
	for (unsigned event = 0; event < 256; event++) {
		control[40] = (u8)event;
		if (event != 2)
			EXPECT_EQ(input(1, control, sizeof(control), 0, NULL), 0);
	}
	EXPECT_EQ(fake->n_forgotten, 0);
	(void)fake_goodbye(control);
	EXPECT_EQ(input(1, control, sizeof(control), 0, NULL), 0);
	EXPECT_EQ(fake->n_forgotten, 1);
	EXPECT_EQ(fake->n_closed, 0);
	EXPECT_EQ(fake->n_sent, 0);
	struct gateway_status s;
	gateway_status(g, &s);
	EXPECT_EQ(s.n_clients, 0);
	stop();
}

TEST(a_goodbye_in_the_middle_of_a_batch_is_carried_out_after_it)
{
	static u8 memory[3 * FAKE_DATAGRAM_MAX];
	struct inner_spec s = from_client(1, 17, "10.1.1.1", 5);
	struct uuid id = uuid_of(1);
	struct udp_rx rx[3];
	u8 bye[48];
	start();
	grant(1, cidr(10, "10.0.0.0/8", NULL, 0));
	u32 len = inner_make(&s, packet);
	rx[0] = fake_datagram(memory, &id, packet, len);
	rx[1] = fake_datagram(memory + FAKE_DATAGRAM_MAX, &id, bye, fake_goodbye(bye));
	rx[2] = fake_datagram(memory + 2 * FAKE_DATAGRAM_MAX, &id, packet, len);
	gateway_udp_input(g, now, wall, rx, 3);
	EXPECT_EQ(fake->n_forgotten, 1);
	EXPECT_EQ(gateway_stats(g)->tun_tx_packets, 2);
	stop();
}

TEST(spec40_64_one_bad_packet_does_not_spoil_its_batch)
{
	static u8 memory[3 * FAKE_DATAGRAM_MAX];
	struct inner_spec s = from_client(1, 17, "10.1.1.1", 5);
	struct uuid id = uuid_of(1);
	struct udp_rx rx[3];
	struct tun_pkt t;
	unsigned n = 0;
	start();
	grant(1, cidr(10, "10.0.0.0/8", NULL, 0));
	u32 len = inner_make(&s, packet);
	rx[0] = fake_datagram(memory, &id, packet, len);
	rx[2] = fake_datagram(memory + 2 * FAKE_DATAGRAM_MAX, &id, packet, len);
	packet[0] = 0x15;
	rx[1] = fake_datagram(memory + FAKE_DATAGRAM_MAX, &id, packet, len);
	gateway_udp_input(g, now, wall, rx, 3);
	while (gateway_poll_tun(g, &t))
		n += t.vnet.gso_type == VNET_GSO_UDP_L4 ? (t.len - 28 + 19) / 20 : 1;
	EXPECT_EQ(n, 2);
	EXPECT_EQ(gateway_stats(g)->dropped[DROP_MALFORMED], 1);
	stop();
}

TEST(spec40_65_shutdown_says_goodbye_to_all)
{
	start();
	grant(1, cidr(10, "10.0.0.0/8", NULL, 0));
	grant(2, cidr(10, "10.0.0.0/8", NULL, 0));
	gateway_shutdown(g, now);
	EXPECT_EQ(fake->n_closed, 2);
	stop();
}

/* --- filters as a union, against an oracle of its own (spec 40 §16.1) --------------------------------------------------------------- */

struct model {
	bool is_there;
	u32 net, mask;
	struct msg_filter f[3];
	size_t n;
};

static bool model_allows(const struct model *m, size_t n, u32 ip, u8 proto, u16 port)
{
	for (size_t i = 0; i < n; i++) {
		if (!m[i].is_there || (ip & m[i].mask) != m[i].net)
			continue;
		if (m[i].n == 0)
			return true;
		for (size_t k = 0; k < m[i].n; k++) {
			const struct msg_filter *f = &m[i].f[k];
			if ((f->protocol == MSG_ICMP && proto == 1) ||
			    (((f->protocol == MSG_TCP && proto == 6) || (f->protocol == MSG_UDP && proto == 17)) && port >= f->port_start &&
			     port <= f->port_end))
				return true;
		}
	}
	return false;
}

TEST(spec40_35_overlapping_resources_are_a_union_both_ways)
{
	struct rng_seeded r;
	rng_seeded_init(&r, 9);
	for (unsigned round = 0; round < 150; round++) {
		struct model m[8] = { 0 };
		start();
		grant(1, cidr(99, "172.30.0.0/16", NULL, 0)); /* so that the client is never dropped */
		for (unsigned step = 0; step < 60; step++) {
			unsigned i = (unsigned)rng_below(&r.rng, ARRAY_LEN(m));
			if (m[i].is_there && rng_below(&r.rng, 2)) {
				reject(1, 10 + i);
				m[i].is_there = false;
			} else if (!m[i].is_there) {
				u8 len = (u8)(16 + rng_below(&r.rng, 17));
				m[i].mask = ~0u << (32 - len);
				m[i].net = (0x0a000000u | (u32)rng_below(&r.rng, 8)) & m[i].mask;
				m[i].n = rng_below(&r.rng, 4);
				m[i].is_there = true;
				for (size_t k = 0; k < m[i].n; k++) {
					u16 start_port = (u16)rng_below(&r.rng, 12);
					m[i].f[k] = (struct msg_filter){ (enum msg_protocol)rng_below(&r.rng, 3), start_port,
									 (u16)(start_port + rng_below(&r.rng, 6)) };
				}
				struct msg_resource res = { .type = MSG_RESOURCE_CIDR, .id = uuid_of(10 + i), .name = "", .address = "",
							    .filters = m[i].f, .n_filters = m[i].n };
				res.net = (struct cidr){ .ip = { .family = 4 }, .len = len };
				put_be32(res.net.ip.b, m[i].net);
				grant(1, res);
			}
			static const u8 protocols[] = { 6, 17, 1, 47 };
			u8 proto = protocols[rng_below(&r.rng, 4)];
			u16 port = (u16)rng_below(&r.rng, 20);
			u32 ip = 0x0a000000u | (u32)rng_below(&r.rng, 10);
			struct inner_spec s = from_client(1, proto, "10.0.0.1", proto == 1 ? 7 : port);
			put_be32(s.dst.b, ip);
			bool allowed = model_allows(m, ARRAY_LEN(m), ip, proto, port);
			REQUIRE(EXPECT_EQ(outbound(&s, 1), allowed ? PASSED : PROHIBITED));
			if (proto == 47)
				continue;
			struct inner_spec b = { .src = s.dst, .dst = s.src, .proto = proto, .sport = proto == 1 ? 0 : port, .dport = 40000,
						.tcp_flags = TCP_ACK, .payload_len = 4 };
			REQUIRE(EXPECT_EQ(back_spec(&b), allowed));
		}
		stop();
	}
}

TEST(several_filters_of_one_resource)
{
	const struct msg_filter f[] = { tcp443, udp_range, icmp };
	start();
	grant(1, cidr(10, "10.0.0.0/8", f, 3));
	EXPECT_EQ(to(1, 6, "10.0.0.1", 443), PASSED);
	EXPECT_EQ(to(1, 17, "10.0.0.1", 999), PROHIBITED);
	EXPECT_EQ(to(1, 17, "10.0.0.1", 1000), PASSED);
	EXPECT_EQ(to(1, 17, "10.0.0.1", 2000), PASSED);
	EXPECT_EQ(to(1, 17, "10.0.0.1", 2001), PROHIBITED);
	EXPECT_EQ(to(1, 1, "10.0.0.1", 0), PASSED);
	stop();
}

TEST(a_run_of_equal_packets_costs_one_lookup)
{
	start();
	grant(1, cidr(10, "10.0.0.0/8", NULL, 0));
	(void)to(1, 17, "10.1.1.1", 5);
	u64 before = gateway_stats(g)->lookups;
	for (unsigned i = 0; i < 100; i++) {
		EXPECT_EQ(to(1, 17, "10.1.1.1", 5), PASSED);
		EXPECT(back(1, 17, "10.1.1.1", 5));
	}
	EXPECT_EQ(gateway_stats(g)->lookups, before);
	stop();
}
