/* One line per finished flow (spec 40 §13), seen at the gateway's doors: packets in, log lines out. And wrong checksums told of. */
#include "core/base/log.h"
#include "core/ip/packet.h"
#include "core/tunnel/control.h"
#include "core/tunnel/gateway.h"
#include "core/tunnel/gateway_flowlog.h"
#include "tests/unit/fake_node.h"
#include "tests/unit/inner.h"
#include "tests/unit/test.h"

#include <stdio.h>

#define T0 1780000000ull /* 2026-05-28T20:26:40Z */
#define LINES_MAX 16

static struct rng_seeded rng;
static struct gateway *g;
static u64 now, wall;
static char lines[LINES_MAX][4096];
static unsigned n_lines;

static const char *const client4 = "100.64.2.7", *const client6 = "fd00:2021:1111::2:7";

static void catch_line(void *ctx, const char *line, size_t n)
{
	(void)ctx;
	if (!strstr(line, "flow completed") && !strstr(line, "checksum"))
		return;
	snprintf(lines[n_lines++ % LINES_MAX], sizeof(lines[0]), "%.*s", (int)n - 1, line);
}

static u64 log_wall(void *ctx)
{
	(void)ctx;
	return wall;
}

static void grant(const struct msg_resource *r, const char *actor)
{
	struct portal_message m = { .type = MSG_AUTHORIZE_FLOW };
	struct msg_authorize_flow *a = &m.authorize_flow;

	a->ref = "ref";
	a->resource = *r;
	a->client.id = uuid_of(7);
	a->client.ipv4 = ip_of(client4);
	a->client.ipv6 = ip_of(client6);
	a->client.version = "1.5.8";
	a->client.device_os_name = "Debian";
	a->client.device_serial = "S-1";
	a->subject.actor_name = actor;
	a->subject.actor_email = "ann@example.org";
	a->client_ice = (struct msg_ice){ "cu", "cp" };
	a->gateway_ice = (struct msg_ice){ "gu", "gp" };
	a->expires_at = MSG_NEVER_EXPIRES;
	EXPECT_EQ(gateway_message(g, now, wall, &m), 0);
}

static void start(const struct gateway_config *cfg, enum log_format format)
{
	struct log_sink sink = { catch_line, log_wall, NULL, format, false };
	struct gateway_config c = *cfg;
	struct portal_message m = { .type = MSG_INIT_GATEWAY };
	struct msg_resource lab = { .type = MSG_RESOURCE_CIDR, .id = uuid_of(10), .name = "lab", .address = "10.0.0.0/8",
				    .net = cidr_of("10.0.0.0/8") };

	EXPECT_EQ(log_setup(&sink, "warn,flow_logs=trace", NULL), 0);
	rng_seeded_init(&rng, 1);
	c.rng = &rng.rng;
	now = SEC(100);
	wall = SEC(T0) + MSEC(250);
	n_lines = 0;
	g = gateway_new(&c, now);
	m.init_gateway.interface.ipv4 = ip_of("100.64.0.1");
	m.init_gateway.interface.ipv6 = ip_of("fd00:2021:1111::1");
	EXPECT_EQ(gateway_message(g, now, wall, &m), 0);
	grant(&lab, "Ann Example");
}

static void stop(void)
{
	struct log_sink none = { 0 };

	gateway_free(g);
	EXPECT_EQ(log_setup(&none, "off", NULL), 0);
}

static void advance(u64 span)
{
	u64 end = now + span;

	for (unsigned i = 0; i < 1000 && gateway_next_timeout(g) <= end; i++) {
		u64 at = MAX(now, gateway_next_timeout(g));
		wall += at - now;
		now = at;
		gateway_timeout(g, now, wall);
	}
	wall += end - now;
	now = end;
}

static u16 outer_port = 50000;

static void out(u8 proto, u16 sport, const char *dst, u16 dport, u8 flags, u16 bytes)
{
	static u8 memory[FAKE_DATAGRAM_MAX], packet[TUNNEL_MTU];
	struct ip to = ip_of(dst);
	struct inner_spec s = { .src = ip_of(to.family == 4 ? client4 : client6), .dst = to, .proto = proto, .sport = sport, .dport = dport,
				.tcp_flags = flags, .payload_len = bytes };
	struct uuid id = uuid_of(7);
	u32 len = inner_make(&s, packet);
	struct udp_rx rx = fake_datagram(memory, &id, packet, len);

	rx.remote = (struct endpoint){ ip_of("203.0.113.9"), outer_port };
	rx.local = (struct endpoint){ ip_of("192.0.2.1"), 52625 };
	gateway_udp_input(g, now, wall, &rx, 1);
}

static void back_packet(struct tun_pkt *t)
{
	gateway_tun_input(g, now, wall, t, 1);
	gateway_flush(g, now);
}

static void back(u8 proto, const char *src, u16 sport, u16 dport, u8 flags, u16 bytes)
{
	static u8 packet[2048];
	struct ip from = ip_of(src);
	struct inner_spec s = { .src = from, .dst = ip_of(from.family == 4 ? client4 : client6), .proto = proto, .sport = sport, .dport = dport,
				.tcp_flags = flags, .payload_len = bytes };
	struct tun_pkt t = { .data = packet, .len = inner_make(&s, packet) };

	back_packet(&t);
}

static bool line_has(unsigned i, const char *text)
{
	if (i < n_lines && strstr(lines[i], text))
		return true;
	printf("line %u of %u: %s\n", i, n_lines, i < n_lines ? lines[i] : "none");
	return false;
}

static const struct gateway_config logging = { .has_flow_logs = true };

TEST(spec40_63_a_tcp_flow_is_one_line_with_the_fields_in_order)
{
	start(&logging, LOG_HUMAN);
	out(6, 40000, "10.1.2.3", 443, TCP_SYN, 0);
	back(6, "10.1.2.3", 443, 40000, TCP_SYN | TCP_ACK, 0);
	advance(MSEC(10));
	out(6, 40000, "10.1.2.3", 443, TCP_ACK | TCP_PSH, 100);
	back(6, "10.1.2.3", 443, 40000, TCP_ACK, 1000);
	back(6, "10.1.2.3", 443, 40000, TCP_ACK | TCP_FIN, 234);
	out(6, 40000, "10.1.2.3", 443, TCP_ACK | TCP_FIN, 0);
	back(6, "10.1.2.3", 443, 40000, TCP_ACK, 0);
	EXPECT_EQ(n_lines, 0); /* not before the tick */
	advance(SEC(1));
	REQUIRE(n_lines == 1);
	EXPECT_STR(lines[0], "2026-05-28T20:26:41.250Z TRACE flow_logs::tcp: TCP flow completed client_id=00000000-0000-0000-0000-000000000007 "
			     "client_version=1.5.8 device_os_name=Debian device_serial=S-1 actor_name=Ann Example "
			     "actor_email=ann@example.org resource_id=00000000-0000-0000-0000-00000000000a resource_name=lab "
			     "resource_address=10.0.0.0/8 start=2026-05-28T20:26:40.250000000Z end=2026-05-28T20:26:40.260000000Z "
			     "last_packet=2026-05-28T20:26:40.260000000Z inner_src_ip=100.64.2.7 inner_dst_ip=10.1.2.3 inner_src_port=40000 "
			     "inner_dst_port=443 outer_src_ip=203.0.113.9 outer_dst_ip=192.0.2.1 outer_src_port=50000 outer_dst_port=52625 "
			     "rx_packets=4 tx_packets=3 rx_bytes=1234 tx_bytes=100");
	stop();
}

TEST(spec40_63_in_json_every_value_is_a_string)
{
	start(&logging, LOG_JSON);
	out(17, 5000, "10.1.2.3", 53, 0, 30);
	back(17, "10.1.2.3", 53, 5000, 0, 60);
	advance(MINUTES(2) + SEC(2));
	REQUIRE(n_lines == 1);
	EXPECT(line_has(0, "\"message\":\"UDP flow completed\""));
	EXPECT(line_has(0, "\"resource_name\":\"lab\",\"resource_address\":\"10.0.0.0/8\",\"start\":\"2026-05-28T20:26:40.250000000Z\""));
	EXPECT(line_has(0, "\"inner_src_port\":\"5000\",\"inner_dst_port\":\"53\",\"outer_src_ip\":\"203.0.113.9\""));
	EXPECT(line_has(0, "\"rx_packets\":\"1\",\"tx_packets\":\"1\",\"rx_bytes\":\"60\",\"tx_bytes\":\"30\",\"target\":\"flow_logs::udp\""));
	stop();
}

TEST(spec40_63_a_silent_flow_ends_after_two_minutes_at_the_tick_that_finds_it)
{
	start(&logging, LOG_HUMAN);
	out(17, 5000, "10.1.2.3", 53, 0, 30);
	advance(MINUTES(1));
	back(17, "10.1.2.3", 53, 5000, 0, 60);
	advance(MINUTES(2) - SEC(1));
	EXPECT_EQ(n_lines, 0);
	advance(SEC(3));
	REQUIRE(n_lines == 1);
	EXPECT(line_has(0, " end=2026-05-28T20:29:41.25"));
	EXPECT(line_has(0, " last_packet=2026-05-28T20:27:40.25"));
	stop();
}

TEST(spec40_63_a_reset_of_either_side_ends_a_flow)
{
	start(&logging, LOG_HUMAN);
	out(6, 1, "10.1.2.3", 80, TCP_SYN, 0);
	out(6, 2, "10.1.2.3", 80, TCP_SYN, 0);
	out(6, 1, "10.1.2.3", 80, TCP_RST, 0);
	back(6, "10.1.2.3", 80, 2, TCP_RST | TCP_ACK, 0);
	advance(SEC(1));
	REQUIRE(n_lines == 2);
	EXPECT(line_has(0, " inner_src_port=1 "));
	EXPECT(line_has(0, " rx_packets=0 tx_packets=2 "));
	EXPECT(line_has(1, " inner_src_port=2 "));
	EXPECT(line_has(1, " rx_packets=1 tx_packets=1 "));
	stop();
}

TEST(spec40_63_a_new_syn_or_another_outer_path_splits_a_flow)
{
	start(&logging, LOG_HUMAN);
	out(6, 1, "10.1.2.3", 80, TCP_SYN, 0);
	out(6, 1, "10.1.2.3", 80, TCP_ACK, 10);
	outer_port = 50001;
	out(6, 1, "10.1.2.3", 80, TCP_ACK, 20);
	out(6, 1, "10.1.2.3", 80, TCP_SYN, 0);
	advance(SEC(1));
	REQUIRE(n_lines == 2);
	EXPECT(line_has(0, " outer_src_port=50000 outer_dst_port=52625 rx_packets=0 tx_packets=2 rx_bytes=0 tx_bytes=10"));
	EXPECT(line_has(1, " outer_src_port=50001 outer_dst_port=52625 rx_packets=0 tx_packets=1 rx_bytes=0 tx_bytes=20"));
	outer_port = 50000;
	stop();
}

TEST(spec40_63_what_makes_no_flow)
{
	struct msg_filter tcp443 = { MSG_TCP, 443, 443 };
	struct msg_resource narrow = { .type = MSG_RESOURCE_CIDR, .id = uuid_of(11), .name = "narrow", .address = "172.16.0.0/16",
				       .net = cidr_of("172.16.0.0/16"), .filters = &tcp443, .n_filters = 1 };

	start(&logging, LOG_HUMAN);
	grant(&narrow, NULL);
	out(6, 1, "10.1.2.3", 80, TCP_FIN | TCP_ACK, 0);	/* ends what is not known */
	out(6, 1, "10.1.2.3", 80, TCP_RST, 0);
	out(6, 2, "172.16.0.1", 80, TCP_SYN, 0);		/* filtered */
	out(6, 3, "100.64.0.1", 80, TCP_SYN, 0);		/* the gateway itself */
	out(1, 0x0800, "10.1.2.3", 9, 0, 10);			/* neither TCP nor UDP */
	back(6, "10.1.2.3", 80, 4, TCP_SYN | TCP_ACK, 0);	/* from the resource's side */
	EXPECT_EQ(gateway_next_timeout(g), now + SEC(1));	/* of the grants; flows have none */
	advance(MINUTES(3));
	EXPECT_EQ(n_lines, 0);
	stop();
}

TEST(spec40_63_the_internet_resource_and_a_flow_that_outlives_its_grant)
{
	struct msg_resource internet = { .type = MSG_RESOURCE_INTERNET, .id = uuid_of(12), .name = "", .address = "" };
	struct portal_message reject = { .type = MSG_REJECT_ACCESS, .access = { uuid_of(7), uuid_of(12), 0 } };

	start(&logging, LOG_HUMAN);
	grant(&internet, "Bob");
	out(17, 1, "198.51.100.1", 53, 0, 1);
	out(17, 1, "2001:db8::1", 53, 0, 1);
	grant(&internet, "Cid"); /* renewed: running flows keep what they began with */
	EXPECT_EQ(gateway_message(g, now, wall, &reject), 0);
	reject.access.resource_id = uuid_of(10);
	EXPECT_EQ(gateway_message(g, now, wall, &reject), 0); /* the client is gone, too */
	advance(MINUTES(3));
	REQUIRE(n_lines == 2);
	EXPECT(line_has(0, " actor_name=Bob "));
	EXPECT(line_has(0, " resource_name=Internet resource_address=0.0.0.0/0 "));
	EXPECT(line_has(1, " resource_name=Internet resource_address=::/0 "));
	EXPECT_EQ(gateway_next_timeout(g), TIME_NEVER);
	stop();
}

/* A client assigns one proxy address to a name, which the site resolves to `real`. */
static void map_name(const char *domain, const char *proxy, const char *real)
{
	static u8 memory[FAKE_DATAGRAM_MAX], packet[TUNNEL_MTU];
	struct control_assigned m = { .resource = uuid_of(20), .proxies = { ip_of(proxy) }, .n_proxies = 1 };
	struct uuid id = uuid_of(7);
	struct ip to = ip_of(real);
	struct gateway_event e;

	EXPECT_EQ(dns_name_from_text(domain, &m.domain), 0);
	u32 len = control_write_assigned(&m, packet);
	struct udp_rx rx = fake_datagram(memory, &id, packet, len);
	gateway_udp_input(g, now, wall, &rx, 1);
	while (gateway_poll_event(g, &e))
		if (e.type == GATEWAY_RESOLVE)
			gateway_resolved(g, now, wall, e.token, &to, 1, 0);
}

TEST(spec40_63_a_flow_to_a_name_has_its_domain_and_what_the_site_saw)
{
	struct msg_resource app = { .type = MSG_RESOURCE_DNS, .id = uuid_of(20), .name = "app", .address = "*.example.com" };

	start(&logging, LOG_HUMAN);
	grant(&app, "Ann Example");
	map_name("app.example.com", "100.96.0.1", "192.0.2.9");
	map_name("web.example.com", "100.96.0.2", "192.0.2.9");
	out(6, 5000, "100.96.0.1", 80, TCP_SYN, 0);
	out(6, 5000, "100.96.0.2", 80, TCP_SYN, 0); /* leaves from 5001 */
	back(6, "192.0.2.9", 80, 5001, TCP_ACK, 700);
	out(6, 5000, "100.96.0.2", 80, TCP_RST, 0);
	back(6, "192.0.2.9", 80, 5000, TCP_RST, 0);
	advance(SEC(1));
	REQUIRE(n_lines == 2);
	EXPECT(line_has(0, " inner_dst_ip=192.0.2.9 inner_src_port=5001 inner_dst_port=80 inner_domain=web.example.com outer_src_ip="));
	EXPECT(line_has(0, " rx_packets=1 tx_packets=2 rx_bytes=700 "));
	EXPECT(line_has(0, " resource_name=app resource_address=*.example.com "));
	EXPECT(line_has(1, " inner_dst_ip=192.0.2.9 inner_src_port=5000 inner_dst_port=80 inner_domain=app.example.com outer_src_ip="));
	stop();
}

TEST(spec40_63_a_super_packet_counts_as_the_packets_it_is)
{
	static u8 packet[16384];
	struct inner_spec s = { .src = ip_of("10.1.2.3"), .dst = ip_of(client4), .proto = 6, .sport = 80, .dport = 1, .tcp_flags = TCP_ACK,
				.payload_len = 10000 };
	struct tun_pkt t = { .data = packet, .vnet = { .flags = VNET_NEEDS_CSUM, .gso_type = VNET_GSO_TCPV4, .hdr_len = 40, .gso_size = 1200,
						       .csum_start = 20, .csum_offset = 16 } };

	start(&logging, LOG_HUMAN);
	out(6, 1, "10.1.2.3", 80, TCP_SYN, 0);
	t.len = inner_make(&s, packet);
	back_packet(&t);
	out(6, 1, "10.1.2.3", 80, TCP_RST, 0);
	advance(SEC(1));
	REQUIRE(n_lines == 1);
	EXPECT(line_has(0, " rx_packets=9 tx_packets=2 rx_bytes=10000 "));
	stop();
}

TEST(spec40_63_off_by_default)
{
	start(&(struct gateway_config){ .has_flow_logs = false }, LOG_HUMAN);
	out(17, 1, "10.1.2.3", 53, 0, 1);
	advance(MINUTES(3));
	EXPECT_EQ(n_lines, 0);
	stop();
}

TEST(beyond_the_limit_flows_are_refused_and_counted)
{
	struct msg_authorize_flow m = { .ref = "", .resource = { .type = MSG_RESOURCE_CIDR, .name = "", .address = "" } };
	struct packet p = { .src = ip_of(client4), .dst = ip_of("10.0.0.1"), .kind = L4_UDP, .len = 28, .l4 = 20 };
	struct flow_outer outer = { 0 };
	struct flow_about *about = flow_about_new(&m);
	struct flowlog *f;

	rng_seeded_init(&rng, 1);
	f = flowlog_new(&rng.rng);
	REQUIRE(f && about);
	for (u32 i = 0; i < FLOWLOG_FLOWS_MAX + 5; i++) {
		p.src_port = (u16)i;
		p.dst_port = (u16)(i >> 16);
		flowlog_from_client(f, SEC(1), SEC(T0), about, (const u8 *)"", &p, NULL, &outer);
	}
	EXPECT_EQ(flowlog_stats(f)->n_open, FLOWLOG_FLOWS_MAX);
	EXPECT_EQ(flowlog_stats(f)->n_refused, 5);
	flowlog_tick(f, SEC(1) + FLOW_IDLE + 1);
	EXPECT_EQ(flowlog_stats(f)->n_open, 0);
	flowlog_from_client(f, SEC(200), SEC(T0), about, (const u8 *)"", &p, "a.example", &outer);
	EXPECT_EQ(flowlog_stats(f)->n_open, 1);
	flow_about_drop(about);
	flowlog_free(f);
}

/* spec 40 §1.1: told of, and forwarded all the same */
TEST(validated_checksums_warn_and_forward)
{
	static u8 packet[2048];
	struct inner_spec s = { .src = ip_of("10.1.2.3"), .dst = ip_of(client4), .proto = 6, .sport = 80, .dport = 1, .tcp_flags = TCP_ACK,
				.payload_len = 100 };
	struct tun_pkt t = { .data = packet };
	u32 sent;

	start(&(struct gateway_config){ .validates_checksums = true }, LOG_HUMAN);
	sent = fake->n_sent;
	t.len = inner_make(&s, packet);
	back_packet(&t);
	EXPECT_EQ(n_lines, 0);
	packet[60] ^= 1;
	back_packet(&t);
	REQUIRE(n_lines == 1);
	EXPECT(line_has(0, " WARN tunnel::gateway: packet from the TUN has a wrong TCP checksum src=10.1.2.3 src_port=80 dst=100.64.2.7"));
	t.vnet = (struct vnet){ .flags = VNET_NEEDS_CSUM, .csum_start = 20, .csum_offset = 16 };
	back_packet(&t); /* not yet made, so not wrong */
	EXPECT_EQ(n_lines, 1);
	packet[8] ^= 1; /* the TTL: the IPv4 header's sum is made by the kernel in any case */
	back_packet(&t);
	REQUIRE(n_lines == 2);
	EXPECT(line_has(1, "packet from the TUN has a wrong IPv4 checksum"));
	s.proto = 17;
	t = (struct tun_pkt){ .data = packet, .len = inner_make(&s, packet) };
	packet[26] = packet[27] = 0;
	back_packet(&t); /* UDP without one */
	EXPECT_EQ(n_lines, 2);
	packet[27] = 1;
	back_packet(&t);
	REQUIRE(n_lines == 3);
	EXPECT(line_has(2, "wrong UDP checksum"));
	EXPECT_EQ(fake->n_sent, sent + 6);
	gateway_free(g);

	start(&(struct gateway_config){ .validates_checksums = false }, LOG_HUMAN);
	back_packet(&t);
	EXPECT_EQ(n_lines, 0);
	stop();
}
