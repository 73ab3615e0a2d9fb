/* The client: flows, gateways, what comes back from them, reset and shutdown. */
#include "tests/unit/client_world.h"

TEST(spec30_19_one_create_flow_in_two_seconds)
{
	struct msg_resource r = cidr(1, "10.0.0.0/8");
	start(&r, 1);
	unsigned asked = 0;
	for (unsigned i = 0; i < 20; i++, now += MSEC(100)) {
		send_to("10.1.1.1");
		asked += events().flows;
	}
	EXPECT_EQ(asked, 1);
	send_to("10.1.1.1");
	EXPECT_EQ(events().flows, 1);
	stop();
}

TEST(a_pending_flow_asks_by_itself_while_its_packets_are_young)
{
	struct msg_resource r = cidr(1, "10.0.0.0/8");
	start(&r, 1);
	send_to("10.1.1.1");
	unsigned asked = events().flows;
	for (unsigned i = 0; i < 600; i++) {
		advance(MSEC(100));
		asked += events().flows;
	}
	EXPECT_EQ(asked, 1 + 15); /* every 2 s for 30 s, then silence */
	EXPECT_EQ(client_next_timeout(c), TIME_NEVER);
	send_to("10.1.1.1");
	EXPECT_EQ(events().flows, 1);
	stop();
}

TEST(nothing_is_asked_while_the_portal_is_away_and_at_once_when_it_is_back)
{
	struct msg_resource r = cidr(1, "10.0.0.0/8");
	start(&r, 1);
	client_portal_lost(c);
	send_to("10.1.1.1");
	fake_candidates(fake, NODE_CANDIDATES_ADDED, &(struct uuid){ { 1 } }, "candidate:x");
	struct events e = events();
	EXPECT_EQ(e.flows + e.candidates, 0);
	EXPECT_EQ(client_next_timeout(c), TIME_NEVER);
	now += SEC(7);
	init(&r, 1);
	e = events();
	EXPECT_EQ(e.flows, 1);
	EXPECT_EQ(e.candidates, 1);
	stop();
}

TEST(spec30_20_spec30_26_buffered_packets_leave_in_order_without_duplicates)
{
	struct msg_resource r = cidr(1, "10.0.0.0/8");
	start(&r, 1);
	struct inner_spec s = app(6, "10.1.1.1", 80, 1000);
	s.tcp_flags = TCP_SYN;
	tun(&s);
	s.id = 999; /* the same SYN again, another IP id */
	tun(&s);
	struct inner_spec u = app(17, "10.1.1.1", 7, 5);
	tun(&u);
	tun(&u);
	s.seq = 2000;
	tun(&s);
	created_by(1, 50);
	REQUIRE(fake->n_sent == 3);
	EXPECT_EQ(get_be16(fake->sent[0].data + 4), 999);
	EXPECT_EQ(fake->sent[1].data[9], 17);
	EXPECT_EQ(get_be32(fake->sent[2].data + 24), 2000);
	stop();

	start(&r, 1);
	for (u32 i = 0; i < 200; i++) {
		u = app(17, "10.1.1.1", 7, i);
		tun(&u);
	}
	created_by(1, 50);
	EXPECT_EQ(fake->n_sent, 128);
	EXPECT_EQ(get_be16(fake->sent[0].data + 4), 72);
	EXPECT_EQ(client_stats(c)->dropped[DROP_PENDING_FULL], 72);
	stop();
}

TEST(spec30_21_spec30_22_several_flows_and_the_list_of_known_gateways)
{
	struct msg_resource r[] = { cidr(1, "10.1.0.0/16"), cidr(2, "10.2.0.0/16"), cidr(3, "10.3.0.0/16"), cidr(4, "10.4.0.0/16") };
	start(r, 4);
	send_to("10.1.0.1");
	send_to("10.2.0.1");
	send_to("10.3.0.1");
	EXPECT_EQ(events().flows, 3);
	created_by(1, 53);
	created_by(2, 52);
	created_by(3, 51); /* three gateways of one site */
	send_to("10.1.0.1");
	send_to("10.2.0.1");
	send_to("10.3.0.1");
	EXPECT_EQ(fake->n_sent, 6);
	struct uuid lost = uuid_of(52), lost2 = uuid_of(51);
	node_forget(fake, &lost);
	node_forget(fake, &lost2);
	fake_event(fake, NODE_CONN_FAILED, &lost);
	fake_event(fake, NODE_CONN_FAILED, &lost2);
	EXPECT_EQ(events().lost, 2);
	send_to("10.2.0.1");
	struct events e = events();
	EXPECT_EQ(e.flows, 1);
	EXPECT_EQ(e.n_known, 3);
	EXPECT(e.known[0].b[15] == 52 && e.known[1].b[15] == 53 && e.known[2].b[15] == 51);
	stop();
}

TEST(spec30_23_spec30_24_spec10_48_flow_created_needs_a_pending_flow_and_makes_us_controlling)
{
	struct msg_resource r = cidr(1, "10.0.0.0/8");
	start(&r, 1);
	created_by(1, 50);
	created_by(77, 50);
	EXPECT_EQ(fake->n_upserts, 0);
	send_to("10.1.1.1");
	created_by(1, 50);
	EXPECT_EQ(fake->n_upserts, 1);
	EXPECT(fake->conns[0].peer.is_controlling);
	EXPECT_STR(fake->conns[0].peer.local.ufrag, "a");
	EXPECT_STR(fake->conns[0].peer.remote.pwd, "d");
	created_by(1, 50);
	EXPECT_EQ(fake->n_upserts, 1);
	stop();
}

TEST(spec30_25_spec10_50_no_relays_is_said_and_the_flow_goes_on_when_one_answers)
{
	struct msg_resource r = cidr(1, "10.0.0.0/8");
	start(&r, 1);
	fake->has_relay = false;
	send_to("10.1.1.1");
	EXPECT_EQ(events().flows, 1);
	created_by(1, 50);
	EXPECT_EQ(events().no_relays, 1);
	EXPECT_EQ(fake->n_sent, 0);
	fake->has_relay = true;
	advance(0);
	struct portal_message m = { .type = MSG_RELAYS_PRESENCE };
	EXPECT_EQ(client_message(c, now, WALL, &m), 0);
	EXPECT_EQ(fake->n_sent, 1);
	stop();
}

TEST(a_flow_is_held_with_its_candidates_for_the_first_answer_of_a_relay)
{
	struct msg_resource r = cidr(1, "10.0.0.0/8");
	start(&r, 1);
	fake->has_relay = false;
	fake->is_undecided = true;
	send_to("10.1.1.1");
	(void)events();
	created_by(1, 50);
	const char *text[] = { "candidate:one", "candidate:two" };
	struct portal_message m = { .type = MSG_GATEWAY_ICE_CANDIDATES };
	m.candidates = (struct msg_ice_candidates){ uuid_of(50), { text, 2 } };
	EXPECT_EQ(client_message(c, now, WALL, &m), 0);
	struct events e = events();
	EXPECT_EQ(e.no_relays + e.flows, 0);
	advance(SEC(3));
	EXPECT_EQ(events().flows, 0); /* the answer is here, only the relay is not */
	fake->has_relay = true;
	EXPECT_EQ(from_gateway(50, packet, 20, 0, NULL), 0); /* any datagram */
	EXPECT_EQ(fake->n_sent, 1);
	EXPECT_EQ(fake->conns[0].n_candidates, 2);
	stop();

	start(&r, 1);
	fake->has_relay = false;
	fake->is_undecided = true;
	send_to("10.1.1.1");
	(void)events();
	created_by(1, 50);
	advance(SEC(8));
	EXPECT_EQ(events().flows, 1); /* the gateway has given up by now */
	stop();
}

TEST(spec30_28_only_sources_that_were_authorized_are_delivered)
{
	struct msg_resource r[] = { cidr(1, "10.1.0.0/16"), cidr(2, "10.2.0.0/16") };
	start(r, 2);
	send_to("10.1.0.1");
	created_by(1, 50);
	EXPECT_EQ(reply_from(50, "10.1.0.1"), 1);
	EXPECT_EQ(reply_from(50, "10.1.255.1"), 1);
	EXPECT_EQ(reply_from(50, "10.2.0.1"), 0); /* another resource, not authorized on it */
	EXPECT_EQ(reply_from(50, "100.64.1.50"), 1);
	EXPECT_EQ(reply_from(50, "100.64.1.51"), 0);
	send_to("10.2.0.1");
	created_by(2, 51);
	EXPECT_EQ(reply_from(51, "10.2.0.1"), 1);
	EXPECT_EQ(reply_from(51, "10.1.0.1"), 0);
	delete(1);
	EXPECT_EQ(reply_from(50, "10.1.0.1"), 0);
	stop();
}

TEST(spec30_29_goodbye_or_failure_forgets_and_the_next_packet_asks)
{
	struct msg_resource r[] = { cidr(1, "10.1.0.0/16"), cidr(2, "10.2.0.0/16") };
	u8 bye[48];
	start(r, 2);
	send_to("10.1.0.1");
	send_to("10.2.0.1");
	created_by(1, 50);
	created_by(2, 50);
	(void)events();
	EXPECT_EQ(from_gateway(50, bye, fake_goodbye(bye), 0, NULL), 0);
	EXPECT_EQ(fake->n_forgotten, 1);
	EXPECT_EQ(fake->n_closed, 0); /* no answer */
	EXPECT_EQ(events().lost, 1);
	send_to("10.1.0.1");
	send_to("10.2.0.1");
	EXPECT_EQ(events().flows, 2);
	stop();
}

TEST(spec30_34_unknown_control_messages_are_ignored_and_never_delivered)
{
	struct msg_resource r = cidr(1, "10.0.0.0/8");
	u8 control[48];
	start(&r, 1);
	send_to("10.1.1.1");
	created_by(1, 50);
	u32 n = fake_goodbye(control);
	for (unsigned event = 0; event < 256; event++) {
		control[40] = (u8)event;
		if (event != 2)
			EXPECT_EQ(from_gateway(50, control, n, 0, NULL), 0);
	}
	EXPECT_EQ(client_stats(c)->control_in, 255);
	EXPECT_EQ(fake->n_forgotten, 0);
	struct tun_pkt t = { .data = control, .len = n }; /* and one from the device is refused for its source */
	client_tun_input(c, now, WALL, &t, 1);
	EXPECT_EQ(client_stats(c)->dropped[DROP_FOREIGN_SOURCE], 1);
	stop();
}

static u32 make_prohibited(const struct inner_spec *orig)
{
	static u8 quoted[2048];
	struct inner_spec s = { .src = orig->dst, .dst = orig->src, .proto = orig->dst.family == 4 ? 1 : 58, .payload = quoted,
				.payload_len = 28 };
	s.sport = orig->dst.family == 4 ? 3 << 8 | 13 : 1 << 8 | 1;
	u32 n = inner_make(orig, quoted);
	s.payload_len = (u16)(orig->dst.family == 4 ? 28 : n);
	return inner_make(&s, packet);
}

TEST(spec30_60_prohibited_asks_anew_only_for_what_filters_permit)
{
	struct msg_resource r = filtered(cidr(1, "10.0.0.0/8"), &tcp443, 1);
	start(&r, 1);
	struct inner_spec good = app(6, "10.1.1.1", 443, 1), bad = app(6, "10.1.1.1", 80, 1);
	tun(&good);
	EXPECT_EQ(events().flows, 1);
	created_by(1, 50);
	u32 n = make_prohibited(&bad);
	EXPECT_EQ(from_gateway(50, packet, n, 0, NULL), 1); /* delivered in any case */
	EXPECT_EQ(events().flows, 0);
	n = make_prohibited(&good);
	EXPECT_EQ(from_gateway(50, packet, n, 0, NULL), 1);
	EXPECT_EQ(events().flows, 1);
	tun(&good); /* meanwhile the old authorization stays in use */
	EXPECT_EQ(fake->n_sent, 2);
	created_by(1, 51); /* the portal chose another gateway */
	EXPECT_EQ(fake->n_closed, 1);
	tun(&good);
	EXPECT_EQ(fake->sent[2].id.b[15], 51);
	stop();
}

TEST(a_gateway_that_keeps_refusing_is_asked_about_ever_more_rarely)
{
	struct msg_resource r = cidr(1, "10.0.0.0/8");
	unsigned asked = 0;
	start(&r, 1);
	struct inner_spec s = app(6, "10.1.1.1", 443, 1);
	tun(&s);
	(void)events();
	created_by(1, 50);
	for (unsigned i = 0; i < 1200; i++, now += MSEC(100)) { /* two minutes */
		u32 n = make_prohibited(&s);
		EXPECT_EQ(from_gateway(50, packet, n, 0, NULL), 1);
		unsigned flows = events().flows;
		asked += flows;
		if (flows)
			created_by(1, 50);
	}
	EXPECT_EQ(asked, 6); /* at 0, 2, 6, 14, 30, 62 s; the next after 126 s */
	stop();
}

TEST(spec30_61_reset_keeps_flows_and_preferences_but_no_connection)
{
	struct msg_resource r[] = { cidr(1, "10.1.0.0/16"), cidr(2, "10.2.0.0/16") };
	u8 key[2][32];
	start(r, 2);
	send_to("10.1.0.1");
	created_by(1, 50);
	send_to("10.2.0.1");
	(void)events();
	client_public_key(c, key[0]);
	client_reset(c, now);
	client_public_key(c, key[1]);
	EXPECT(memcmp(key[0], key[1], 32) != 0);
	EXPECT_EQ(fake->n_closed, 0); /* no goodbye */
	EXPECT_EQ(events().lost, 1);
	send_to("10.1.0.1");
	EXPECT_EQ(events().flows, 0);
	fake->has_relay = true;
	now += MSEC(300);
	init(r, 2);
	struct events e = events();
	EXPECT_EQ(e.flows, 2);
	EXPECT_EQ(e.n_known, 1);
	created_by(1, 50);
	created_by(2, 50);
	EXPECT_EQ(fake->n_sent, 3); /* the one before the reset, and both that waited */
	stop();
}

TEST(spec30_62_shutdown_says_goodbye)
{
	struct msg_resource r = cidr(1, "10.0.0.0/8");
	start(&r, 1);
	send_to("10.1.1.1");
	created_by(1, 50);
	client_shutdown(c, now);
	EXPECT_EQ(fake->n_closed, 1);
	stop();
}

TEST(dns_resources_are_listed_and_have_no_routes)
{
	struct msg_resource r[] = { cidr(1, "10.0.0.0/8"), cidr(2, "0.0.0.0/0"), internet(3), cidr(4, "10.0.0.0/8") };
	struct client_resource list[4];
	r[1].type = MSG_RESOURCE_DNS;
	r[1].address = "*.example.com";
	r[1].name = "a name";
	r[3].type = MSG_RESOURCE_STATIC_DEVICE_POOL;
	start(r, 4);
	EXPECT_EQ(client_resources(c, list, 4), 3);
	EXPECT_EQ(list[0].type, MSG_RESOURCE_INTERNET);
	EXPECT(!list[0].is_active);
	EXPECT_STR(list[1].name, "a name");
	EXPECT_STR(list[2].name, "net");
	send_to("8.8.8.8");
	EXPECT_EQ(events().flows, 0);
	stop();
}

TEST(congestion_marks_go_out_and_come_in)
{
	struct msg_resource r = cidr(1, "10.0.0.0/8");
	struct tun_pkt t;
	start(&r, 1);
	struct inner_spec s = app(17, "10.1.1.1", 7, 1);
	s.tos = ECN_ECT0;
	tun(&s);
	created_by(1, 50);
	tun(&s);
	EXPECT_EQ(fake->sent[0].ecn, ECN_ECT0);
	EXPECT_EQ(fake->sent[1].ecn, ECN_ECT0);
	EXPECT(fake->sent[0].is_slow && !fake->sent[1].is_slow);
	struct ip swap = s.src;
	s.src = s.dst;
	s.dst = swap;
	u32 n = inner_make(&s, packet);
	REQUIRE(from_gateway(50, packet, n, ECN_CE, &t) == 1);
	EXPECT_EQ(t.data[1], ECN_CE);
	EXPECT(inner_checksums_are_right(t.data, t.len));
	stop();
}

TEST(a_lost_connection_found_while_sending_starts_a_flow)
{
	struct msg_resource r = cidr(1, "10.0.0.0/8");
	struct uuid id = uuid_of(50);
	start(&r, 1);
	send_to("10.1.1.1");
	created_by(1, 50);
	(void)events();
	node_forget(fake, &id);
	send_to("10.1.1.1");
	EXPECT_EQ(events().flows, 1);
	created_by(1, 50);
	EXPECT_EQ(fake->n_sent, 2);
	stop();
}

TEST(offline_for_a_connected_resource_forgets_its_gateway_and_asks_at_once)
{
	struct msg_resource r = cidr(1, "10.0.0.0/8");
	start(&r, 1);
	send_to("10.1.1.1");
	created_by(1, 50);
	(void)events();
	failed(1, MSG_REASON_OFFLINE);
	EXPECT_EQ(fake->n_closed, 0);
	EXPECT_EQ(reply_from(50, "10.1.1.1"), 0);
	send_to("10.1.1.1");
	EXPECT_EQ(events().flows, 1);
	stop();
}

TEST(a_gateway_with_another_key_has_granted_nothing_yet)
{
	struct msg_resource r[] = { cidr(1, "10.1.0.0/16"), cidr(2, "10.2.0.0/16") };
	start(r, 2);
	send_to("10.1.0.1");
	created_by(1, 50);
	send_to("10.2.0.1");
	(void)events();
	struct portal_message m = { .type = MSG_FLOW_CREATED };
	m.flow_created = (struct msg_flow_created){ .resource_id = uuid_of(2), .gateway_id = uuid_of(50), .site_id = site_id(),
						    .gateway_public_key = { 9 }, .gateway_ipv4 = ip_of("100.64.1.50"),
						    .gateway_ipv6 = ip_of("fd00:2021:1111::1:32"), .client_ice = { "a", "b" },
						    .gateway_ice = { "c", "d" } };
	EXPECT_EQ(client_message(c, now, WALL, &m), 0);
	EXPECT_EQ(reply_from(50, "10.2.0.1"), 1);
	EXPECT_EQ(reply_from(50, "10.1.0.1"), 0);
	send_to("10.1.0.1");
	EXPECT_EQ(events().flows, 1);
	stop();
}

TEST(messages_for_others_are_refused)
{
	struct msg_resource r = cidr(1, "10.0.0.0/8");
	start(&r, 1);
	for (enum msg_type t = MSG_INIT_GATEWAY; t < MSG_TYPE_COUNT; t++) {
		struct portal_message m = { .type = t };
		if (t == MSG_INIT_GATEWAY || t == MSG_AUTHORIZE_FLOW || t >= MSG_REJECT_ACCESS)
			EXPECT_EQ(client_message(c, now, WALL, &m), ERR_UNSUPPORTED);
	}
	stop();
}
