/* The client: resources, what the user sees, and the choice of a resource for a packet. */
#include "tests/unit/client_world.h"

TEST(spec30_06_spec10_46_init_keeps_equal_resources_and_removes_absent_ones)
{
	struct msg_resource r[] = { cidr(1, "10.0.0.0/8"), cidr(2, "192.168.0.0/16") };
	struct client_resource list[4];
	start(r, 2);
	send_to("10.1.1.1");
	EXPECT_EQ(events().flows, 1);
	created_by(1, 50);
	EXPECT_EQ(fake->n_sent, 1);
	init(r, 1);
	EXPECT_EQ(client_resources(c, list, 4), 1);
	send_to("10.1.1.1");
	EXPECT_EQ(fake->n_sent, 2); /* the flow was not touched */
	EXPECT_EQ(fake->n_closed, 0);
	stop();
}

TEST(spec30_07_a_new_name_interrupts_nothing_a_new_address_does)
{
	struct msg_resource r = cidr(1, "10.0.0.0/8");
	start(&r, 1);
	send_to("10.1.1.1");
	created_by(1, 50);
	(void)events();
	r.name = "renamed";
	add(&r);
	struct events e = events();
	EXPECT_EQ(e.list, 1);
	EXPECT_EQ(e.tun, 0);
	EXPECT_EQ(fake->n_closed, 0);
	r.address = "10.0.0.0/9";
	r.net = cidr_of("10.0.0.0/9");
	add(&r);
	EXPECT_EQ(fake->n_closed, 1);
	e = events();
	EXPECT(has_route(&e, "10.0.0.0/9") && !has_route(&e, "10.0.0.0/8"));
	r = filtered(r, &tcp443, 1);
	struct inner_spec s = app(6, "10.1.1.1", 443, 7);
	tun(&s);
	EXPECT_EQ(events().flows, 1);
	created_by(1, 50);
	add(&r);
	EXPECT_EQ(fake->n_closed, 2);
	stop();
}

TEST(spec30_08_a_gateway_without_resources_gets_goodbye)
{
	struct msg_resource r[] = { cidr(1, "10.0.0.0/8"), cidr(2, "192.168.0.0/16") };
	start(r, 2);
	send_to("10.1.1.1");
	send_to("192.168.1.1");
	EXPECT_EQ(events().flows, 2);
	created_by(1, 50);
	created_by(2, 50);
	delete(1);
	EXPECT_EQ(fake->n_closed, 0);
	delete(2);
	EXPECT_EQ(fake->n_closed, 1);
	EXPECT_EQ(events().lost, 1);
	stop();
}

TEST(spec30_09_spec30_10_default_routes_need_grant_and_activation)
{
	struct msg_resource r = internet(1);
	start(&r, 1);
	struct events e = events();
	EXPECT(!has_route(&e, "0.0.0.0/0"));
	send_to("8.8.8.8");
	EXPECT_EQ(events().flows, 0);
	client_set_internet(c, now, true);
	e = events();
	EXPECT(has_route(&e, "0.0.0.0/0") && has_route(&e, "::/0"));
	send_to("8.8.8.8");
	EXPECT_EQ(events().flows, 1);
	created_by(1, 50);
	EXPECT_EQ(fake->n_sent, 1);
	EXPECT_EQ(reply_from(50, "8.8.8.8"), 1);
	EXPECT_EQ(reply_from(50, "2001:db8::1"), 1);
	delete(1);
	EXPECT_EQ(fake->n_closed, 1);
	e = events();
	EXPECT(!has_route(&e, "0.0.0.0/0"));
	add(&r); /* the user's wish was kept */
	e = events();
	EXPECT(has_route(&e, "0.0.0.0/0"));
	client_set_internet(c, now, false);
	client_set_internet(c, now, false);
	EXPECT_EQ(events().tun, 1);
	stop();
}

TEST(spec30_11_list_and_configuration_only_on_net_change)
{
	struct msg_resource r = cidr(1, "10.0.0.0/8"), other = cidr(2, "10.9.0.0/16");
	start(&r, 1);
	struct events e = events();
	EXPECT_EQ(e.tun, 1);
	EXPECT_EQ(e.list, 1);
	EXPECT(has_route(&e, "100.64.0.0/11") && has_route(&e, "100.96.0.0/11") && has_route(&e, "100.100.111.0/24"));
	EXPECT(has_route(&e, "fd00:2021:1111::/107") && has_route(&e, "fd00:2021:1111:8000::/107"));
	EXPECT(has_route(&e, "fd00:2021:1111:8000:100:100:111:0/120") && has_route(&e, "10.0.0.0/8"));
	add(&other);
	delete(2);
	init(&r, 1);
	e = events();
	EXPECT_EQ(e.tun, 0);
	EXPECT_EQ(e.list, 0);
	r.n_sites = 1;
	struct msg_site renamed = { .id = site_id(), .name = "another name" };
	r.sites = &renamed;
	add(&r);
	EXPECT_EQ(events().list, 0);
	stop();
}

TEST(spec30_12_spec30_27_spec10_49_offline_marks_sites_for_five_minutes)
{
	struct msg_resource r = cidr(1, "10.0.0.0/8");
	struct client_resource list[1];
	start(&r, 1);
	send_to("10.1.1.1");
	EXPECT_EQ(events().flows, 1);
	failed(1, MSG_REASON_OFFLINE);
	EXPECT_EQ(events().offline, 1);
	EXPECT_EQ(client_resources(c, list, 1), 1);
	EXPECT_EQ(list[0].status, SITE_OFFLINE);
	send_to("10.1.1.1"); /* the pending flow is gone, so this asks at once */
	EXPECT_EQ(events().flows, 1);
	failed(1, MSG_REASON_OFFLINE);
	advance(MINUTES(5) - 1);
	(void)client_resources(c, list, 1);
	EXPECT_EQ(list[0].status, SITE_OFFLINE);
	advance(1);
	(void)client_resources(c, list, 1);
	EXPECT_EQ(list[0].status, SITE_UNKNOWN);
	send_to("10.1.1.1");
	EXPECT_EQ(events().flows, 1);
	failed(1, MSG_REASON_FORBIDDEN); /* kept: asks again, but not before 2 s */
	send_to("10.1.1.1");
	EXPECT_EQ(events().flows, 0);
	failed(1, MSG_REASON_VERSION_MISMATCH);
	EXPECT_EQ(events().mismatch, 1);
	stop();
}

TEST(spec30_13_what_is_never_taken_from_the_device)
{
	struct msg_resource r = cidr(1, "10.0.0.0/8");
	start(&r, 1);
	const struct tunnel_stats *s = client_stats(c);
	struct inner_spec p = app(17, "10.1.1.1", 1, 1);
	p.payload_len = 1253;
	tun(&p);
	EXPECT_EQ(s->dropped[DROP_OVERSIZE], 1);
	struct tun_pkt t = { .data = packet };
	p.payload_len = 20;
	t.len = inner_make(&p, packet);
	packet[6] = 0x20;
	client_tun_input(c, now, WALL, &t, 1);
	EXPECT_EQ(s->dropped[DROP_FRAGMENT], 1);
	p = app(17, "224.0.0.252", 5355, 1);
	tun(&p);
	EXPECT_EQ(s->dropped[DROP_MULTICAST], 1);
	p = app(17, "10.1.1.1", 1, 1);
	p.src = ip_of("100.64.0.8");
	tun(&p);
	EXPECT_EQ(s->dropped[DROP_FOREIGN_SOURCE], 1);
	p = app(17, own4, 1, 1);
	tun(&p);
	EXPECT_EQ(s->dropped[DROP_TO_SELF], 1);
	p = app(47, "10.1.1.1", 1, 1);
	tun(&p);
	EXPECT_EQ(s->dropped[DROP_NO_PORTS], 1);
	p = app(17, "172.16.0.1", 1, 1);
	tun(&p);
	EXPECT_EQ(s->dropped[DROP_NO_ROUTE], 1);
	EXPECT_EQ(events().flows, 0);
	stop();
	struct client_config cfg = { .rng = &rng.rng };
	c = client_new(&cfg, now);
	p = app(17, "10.1.1.1", 1, 1);
	tun(&p);
	EXPECT_EQ(client_stats(c)->dropped[DROP_NO_INTERFACE], 1);
	stop();
}

TEST(spec30_14_a_peer_address_is_never_a_resource)
{
	struct msg_resource r[] = { internet(1), cidr(2, "10.0.0.0/8") };
	start(r, 2);
	client_set_internet(c, now, true);
	(void)events();
	send_to("100.64.9.9"); /* asked for as a device (test_client_devices.c) */
	send_to("fd00:2021:1111::9:9");
	EXPECT_EQ(events().flows, 0);
	EXPECT_EQ(client_stats(c)->dropped[DROP_NOT_A_PEER], 1);
	send_to("10.1.1.1");
	created_by(2, 50);
	send_to("100.64.1.50"); /* the gateway itself */
	EXPECT_EQ(fake->n_sent, 2);
	EXPECT_EQ(reply_from(50, "100.64.1.50"), 1);
	stop();
}

TEST(spec30_15_spec30_16_the_resource_is_chosen_by_filter_prefix_and_id)
{
	struct msg_resource r[] = { cidr(1, "10.0.0.0/8"), filtered(cidr(2, "10.1.0.0/16"), &tcp443, 1), cidr(3, "10.1.0.0/16"), internet(4),
				    cidr(5, "10.1.0.0/16") };
	start(r, 4);
	client_set_internet(c, now, true);
	(void)events();
	struct inner_spec s = app(6, "10.1.0.1", 443, 1);
	tun(&s);
	struct events e = events();
	EXPECT(e.flows == 1 && e.flow[0].b[15] == 3); /* both permit, both /16: the greater id */
	add(&r[4]);
	tun(&s);
	e = events();
	EXPECT(e.flows == 1 && e.flow[0].b[15] == 5); /* spec30_17: the cache was cleared */
	delete(5);
	delete(3);
	s.dport = 80;
	tun(&s);
	e = events();
	EXPECT(e.flows == 1 && e.flow[0].b[15] == 1); /* /8 permits, the longer /16 does not */
	s.dst = ip_of("9.9.9.9");
	tun(&s);
	e = events();
	EXPECT(e.flows == 1 && e.flow[0].b[15] == 4);
	delete(1);
	s.dst = ip_of("10.1.0.1");
	tun(&s);
	EXPECT_EQ(events().flows, 0); /* covered by a network that refuses: not the Internet's */
	stop();
}

TEST(spec30_17_a_run_of_equal_packets_costs_one_lookup)
{
	struct msg_resource r = cidr(1, "10.0.0.0/8");
	start(&r, 1);
	send_to("10.1.1.1");
	created_by(1, 50);
	u64 before = client_stats(c)->lookups;
	for (unsigned i = 0; i < 100; i++)
		send_to("10.1.1.1");
	EXPECT_EQ(client_stats(c)->lookups, before);
	EXPECT_EQ(fake->n_sent, 101);
	stop();
}

TEST(spec30_18_no_flow_for_what_the_filters_refuse_but_an_answer)
{
	struct msg_resource r = filtered(cidr(1, "10.0.0.0/8"), &tcp443, 1);
	struct tun_pkt t;
	struct packet p;
	start(&r, 1);
	struct inner_spec s = app(6, "10.1.1.1", 80, 1);
	tun(&s);
	EXPECT_EQ(events().flows, 0);
	REQUIRE(client_poll_tun(c, &t));
	REQUIRE(packet_parse(t.data, t.len, TUNNEL_MTU, &p) == 0);
	EXPECT(packet_is_prohibited(&p) && ip_eq(&p.dst, &s.src));
	EXPECT(inner_checksums_are_right(t.data, t.len));
	EXPECT(!client_poll_tun(c, &t));
	s.dport = 443;
	tun(&s);
	EXPECT_EQ(events().flows, 1);
	created_by(1, 50);
	s.dport = 80; /* also when the resource is authorized */
	tun(&s);
	EXPECT_EQ(fake->n_sent, 1);
	EXPECT_EQ(client_stats(c)->dropped[DROP_FILTERED], 2);
	stop();
}
