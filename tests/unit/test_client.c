#include "core/tunnel/client.h"
#include "core/ip/packet.h"
#include "tests/unit/fake_node.h"
#include "tests/unit/inner.h"
#include "tests/unit/test.h"

#define WALL SEC(1780000000)

static struct rng_seeded rng;
static struct client *c;
static u64 now;
static u8 packet[2048];

static const char *const own4 = "100.64.0.7", *const own6 = "fd00:2021:1111::7";

static struct uuid site_id(void)
{
	return uuid_of(900);
}

static struct msg_resource cidr(unsigned id, const char *net)
{
	static struct msg_site sites[64];
	static unsigned n;
	struct msg_site *site = &sites[n++ % 64];
	*site = (struct msg_site){ .id = site_id(), .name = "site" };
	return (struct msg_resource){ .type = MSG_RESOURCE_CIDR, .id = uuid_of(id), .name = "net", .address = net, .net = cidr_of(net),
				      .sites = site, .n_sites = 1 };
}

static struct msg_resource internet(unsigned id)
{
	struct msg_resource r = cidr(id, "0.0.0.0/0");
	r.type = MSG_RESOURCE_INTERNET;
	r.name = "Internet Resource";
	r.address = "";
	return r;
}

static struct msg_resource filtered(struct msg_resource r, const struct msg_filter *f, size_t n)
{
	r.filters = f;
	r.n_filters = n;
	return r;
}

static void init(const struct msg_resource *list, size_t n)
{
	struct portal_message m = { .type = MSG_INIT_CLIENT };
	m.init_client.interface.ipv4 = ip_of(own4);
	m.init_client.interface.ipv6 = ip_of(own6);
	m.init_client.resources = list;
	m.init_client.n_resources = n;
	EXPECT_EQ(client_message(c, now, WALL, &m), 0);
}

static void start(const struct msg_resource *list, size_t n)
{
	struct client_config cfg = { .rng = &rng.rng };
	rng_seeded_init(&rng, 1);
	now = SEC(100);
	c = client_new(&cfg, now);
	init(list, n);
}

static void add(const struct msg_resource *r)
{
	struct portal_message m = { .type = MSG_RESOURCE_CREATED_OR_UPDATED, .resource = *r };
	EXPECT_EQ(client_message(c, now, WALL, &m), 0);
}

static void delete(unsigned id)
{
	struct portal_message m = { .type = MSG_RESOURCE_DELETED, .id = uuid_of(id) };
	EXPECT_EQ(client_message(c, now, WALL, &m), 0);
}

static void created_by(unsigned resource, unsigned gateway)
{
	struct portal_message m = { .type = MSG_FLOW_CREATED };
	m.flow_created = (struct msg_flow_created){ .resource_id = uuid_of(resource), .gateway_id = uuid_of(gateway), .site_id = site_id(),
						    .gateway_ipv4 = ip_of("100.64.1.1"), .gateway_ipv6 = ip_of("fd00:2021:1111::1:1"),
						    .client_ice = { "a", "b" }, .gateway_ice = { "c", "d" } };
	m.flow_created.gateway_ipv4.b[3] = (u8)gateway;
	m.flow_created.gateway_ipv6.b[15] = (u8)gateway;
	EXPECT_EQ(client_message(c, now, WALL, &m), 0);
}

static void failed(unsigned resource, enum msg_reason reason)
{
	struct portal_message m = { .type = MSG_FLOW_CREATION_FAILED };
	m.flow_creation_failed = (struct msg_flow_creation_failed){ .resource_id = uuid_of(resource), .reason = reason, .reason_text = "" };
	EXPECT_EQ(client_message(c, now, WALL, &m), 0);
}

/* A packet of the application; seq tells packets apart. */
static struct inner_spec app(u8 proto, const char *dst, u16 port, u32 seq)
{
	struct ip to = ip_of(dst);
	return (struct inner_spec){ .src = ip_of(to.family == 4 ? own4 : own6), .dst = to, .proto = proto, .sport = proto == 1 ? 0x0800 : 40000,
				    .dport = port, .seq = seq, .id = (u16)seq, .tcp_flags = TCP_ACK, .payload_len = 20 };
}

static void tun(const struct inner_spec *s)
{
	struct tun_pkt t = { .data = packet };
	t.len = inner_make(s, packet);
	client_tun_input(c, now, WALL, &t, 1);
}

static void send_to(const char *dst)
{
	struct inner_spec s = app(17, dst, 5000, (u32)now);
	s.payload = &now;
	s.payload_len = 8;
	tun(&s);
}

/* Everything the client wants of the portal and the applet until now. */
struct events {
	unsigned tun, list, flows, no_relays, candidates, connected, lost, offline, mismatch;
	struct uuid flow[16];
	struct uuid known[16];
	size_t n_known;
	struct cidr routes[64];
	size_t n_routes;
};

static struct events events(void)
{
	struct events all = { 0 };
	struct client_event e;
	while (client_poll_event(c, &e)) {
		switch (e.type) {
		case CLIENT_TUN_CONFIG:
			all.tun++;
			all.n_routes = MIN(e.tun->n_routes, ARRAY_LEN(all.routes));
			memcpy(all.routes, e.tun->routes, all.n_routes * sizeof(struct cidr));
			break;
		case CLIENT_RESOURCES_CHANGED:
			all.list++;
			break;
		case CLIENT_SEND:
			if (e.message->type == MSG_CREATE_FLOW) {
				all.flow[all.flows++ % 16] = e.message->create_flow.resource_id;
				all.n_known = e.message->create_flow.connected_gateways.n;
				memcpy(all.known, e.message->create_flow.connected_gateways.id, all.n_known * sizeof(struct uuid));
			}
			all.no_relays += e.message->type == MSG_NO_RELAYS;
			all.candidates += e.message->type == MSG_NEW_GATEWAY_ICE_CANDIDATES;
			break;
		case CLIENT_GATEWAY_CONNECTED:
			all.connected++;
			break;
		case CLIENT_GATEWAY_LOST:
			all.lost++;
			break;
		case CLIENT_SITE_OFFLINE:
			all.offline++;
			break;
		case CLIENT_VERSION_MISMATCH:
			all.mismatch++;
			break;
		case CLIENT_GATEWAY_PATH:
			break;
		}
	}
	return all;
}

static bool has_route(const struct events *e, const char *net)
{
	struct cidr want = cidr_of(net);
	for (size_t i = 0; i < e->n_routes; i++)
		if (ip_eq(&e->routes[i].ip, &want.ip) && e->routes[i].len == want.len)
			return true;
	return false;
}

/* A packet from a gateway; returns what reaches the TUN. */
static unsigned from_gateway(unsigned gateway, const void *data, u32 len, u8 ecn, struct tun_pkt *out)
{
	static u8 memory[FAKE_DATAGRAM_MAX];
	struct uuid id = uuid_of(gateway);
	struct udp_rx rx = fake_datagram(memory, &id, data, len);
	unsigned n = 0;
	struct tun_pkt t;
	rx.ecn = ecn;
	client_udp_input(c, now, WALL, &rx, 1);
	while (client_poll_tun(c, &t)) {
		n++;
		if (out)
			*out = t;
	}
	return n;
}

static unsigned reply_from(unsigned gateway, const char *src)
{
	struct inner_spec s = app(17, src, 40000, 1);
	struct ip from = s.dst;
	s.dst = s.src;
	s.src = from;
	u32 len = inner_make(&s, packet);
	return from_gateway(gateway, packet, len, 0, NULL);
}

static void advance(u64 span)
{
	u64 end = now + span;
	for (unsigned i = 0; i < 1000 && client_next_timeout(c) <= end; i++) {
		now = MAX(now, client_next_timeout(c));
		client_timeout(c, now, WALL + now);
	}
	now = end;
}

static void stop(void)
{
	client_free(c);
}

static const struct msg_filter tcp443 = { MSG_TCP, 443, 443 };

TEST(spec30_06_init_keeps_equal_resources_and_removes_absent_ones)
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

TEST(spec30_12_spec30_27_offline_marks_sites_for_five_minutes)
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
	send_to("100.64.9.9");
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

TEST(spec30_23_spec30_24_flow_created_needs_a_pending_flow_and_makes_us_controlling)
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

TEST(spec30_25_no_relays_is_said_and_the_flow_goes_on_when_one_answers)
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
