/* Names through the client's doors: queries at the sentinels, servers outside and inside the tunnel, gateways and their knowledge of names. */
#include "tests/unit/client_dns_world.h"

#include <stdio.h>

static void begin(const struct msg_resource *list, size_t n)
{
	start(list, n);
	system_resolver("192.0.2.53");
	(void)events();
}

TEST(spec30_44_a_name_is_answered_at_the_sentinel_and_routes)
{
	struct msg_resource r = named(1, "*.example.com");
	struct heard h;
	begin(&r, 1);
	query(7, "app.example.com", DNS_A);
	EXPECT_EQ(answered(7, &h), DNS_NOERROR);
	EXPECT_EQ(h.r.n_answers, 4);
	EXPECT(ip_eq(&h.p.src, &(struct ip){ .family = 4, .b = { 100, 100, 111, 1 } }));
	struct ip proxy = first_address(&h);
	EXPECT(ip_eq(&proxy, &(struct ip){ .family = 4, .b = { 100, 96, 0, 1 } }));
	EXPECT_EQ(events().flows, 0); /* asking is not using */
	send_to("100.96.0.1");
	struct events e = events();
	EXPECT_EQ(e.flows, 1);
	EXPECT(uuid_eq(&e.flow[0], &r.id));
	send_to("100.96.0.9"); /* nobody's */
	EXPECT_EQ(client_stats(c)->dropped[DROP_NO_ROUTE], 1);
	stop();
}

TEST(what_is_no_query_gets_no_answer)
{
	struct msg_resource r = named(1, "*.example.com");
	u8 data[64] = { 0 }, good[512];
	struct heard h;
	begin(&r, 1);
	raw_query_to(SENTINEL, data, 5);
	raw_query_to(SENTINEL, data, 12); /* no question */
	size_t n = query_make(good, 1, "app.example.com", DNS_A);
	good[2] |= 0x80; /* a response */
	raw_query_to(SENTINEL, good, n);
	EXPECT(!hear(&h));
	EXPECT_EQ(client_dns_stats(c)->malformed, 3);
	stop();
}

TEST(only_port_53_of_present_sentinels)
{
	struct msg_resource list[] = { named(1, "*.example.com"), internet(2) };
	struct heard h;
	struct inner_spec s;

	begin(list, 2);
	client_set_internet(c, now, true);
	s = app(17, SENTINEL, 54, 1);
	tun(&s);
	s = app(1, SENTINEL, 7, 1);
	tun(&s);
	query_to("100.100.111.2", 1, "app.example.com", DNS_A);
	EXPECT(!hear(&h));
	EXPECT_EQ(events().flows, 0); /* the Internet has none of these */
	stop();
}

TEST(spec30_15_names_before_networks_before_the_internet)
{
	struct msg_resource list[] = { internet(3), cidr(2, "100.96.0.0/16"), named(1, "app.example.com") };
	struct heard h;
	begin(list, 3);
	client_set_internet(c, now, true);
	query(1, "app.example.com", DNS_A);
	EXPECT_EQ(answered(1, &h), DNS_NOERROR);
	send_to("100.96.0.1");
	struct events e = events();
	EXPECT_EQ(e.flows, 1);
	EXPECT(uuid_eq(&e.flow[0], &list[2].id));
	delete(1);
	send_to("100.96.0.1"); /* what was a name never becomes anything else */
	EXPECT_EQ(events().flows, 0);
	stop();
}

TEST(spec30_17_a_name_known_before_its_resource_routes_after_the_next_query)
{
	struct msg_resource a = named(1, "*.example.com"), b = named(2, "app.example.com");
	struct heard h;
	begin(&a, 1);
	query(1, "app.example.com", DNS_A);
	EXPECT_EQ(answered(1, &h), DNS_NOERROR);
	send_to("100.96.0.1");
	struct events e = events();
	EXPECT(e.flows == 1 && uuid_eq(&e.flow[0], &a.id));
	add(&b);
	send_to("100.96.0.1");
	EXPECT_EQ(events().flows, 0);
	query(2, "app.example.com", DNS_AAAA);
	EXPECT_EQ(answered(2, &h), DNS_NOERROR);
	send_to("100.96.0.1");
	e = events();
	EXPECT(e.flows == 1 && uuid_eq(&e.flow[0], &b.id));
	stop();
}

/* --- outside --------------------------------------------------------------------------------------------------------------------------- */

TEST(spec30_49_spec30_54_other_names_are_forwarded_and_keep_their_id)
{
	struct heard h;
	struct outside o;
	begin(NULL, 0);
	query(4711, "www.example.org", DNS_A);
	REQUIRE(next_exchange(&o));
	EXPECT_EQ(o.ex.transport, DNS_OVER_UDP);
	EXPECT(ip_eq(&o.server.addr.ip, &(struct ip){ .family = 4, .b = { 192, 0, 2, 53 } }) && o.server.addr.port == 53);
	EXPECT(!hear(&h));
	respond(&o, 60, 2);
	EXPECT_EQ(answered(4711, &h), DNS_NOERROR);
	EXPECT_EQ(h.r.n_answers, 2);
	EXPECT_EQ(client_dns_stats(c)->forwarded, 1);
	stop();
}

TEST(spec30_58_answers_are_cached_until_resources_or_resolvers_change)
{
	struct msg_resource r = named(1, "*.example.com");
	struct heard h;
	struct outside o;
	begin(NULL, 0);
	for (unsigned i = 0; i < 3; i++) {
		query((u16)(10 * i), "www.example.org", DNS_A);
		if (!EXPECT(next_exchange(&o)))
			return;
		respond(&o, 60, 1);
		EXPECT_EQ(answered((u16)(10 * i), &h), DNS_NOERROR);
		advance(SEC(3));
		query((u16)(10 * i + 1), "WWW.example.org", DNS_A);
		EXPECT(!next_exchange(&o));
		EXPECT_EQ(answered((u16)(10 * i + 1), &h), DNS_NOERROR);
		struct dns_walk w = dns_walk(h.message, &h.r);
		struct dns_record rec;
		EXPECT(dns_walk_next(&w, &rec) && rec.ttl == 57);
		if (i == 0)
			add(&r);
		else if (i == 1) {
			system_resolver("192.0.2.54");
			system_resolver("192.0.2.55"); /* the sentinel alternates: .1 again */
		}
	}
	EXPECT_EQ(client_dns_stats(c)->cached, 3);
	stop();
}

TEST(spec30_58_a_name_that_becomes_a_resource_while_it_is_asked_for_is_not_cached)
{
	struct msg_resource r = named(1, "*.example.org");
	struct heard h;
	struct outside o;
	begin(NULL, 0);
	query(1, "www.example.org", DNS_A);
	REQUIRE(next_exchange(&o));
	add(&r);
	respond(&o, 600, 1);
	EXPECT_EQ(answered(1, &h), DNS_NOERROR);
	query(2, "www.example.org", DNS_A);
	EXPECT_EQ(answered(2, &h), DNS_NOERROR);
	struct ip proxy = first_address(&h);
	EXPECT(ip_is_proxy(&proxy));
	stop();
}

TEST(spec30_56_long_answers_are_cut_to_header_and_question)
{
	struct heard h;
	struct outside o;
	begin(NULL, 0);
	query(1, "www.example.org", DNS_A);
	REQUIRE(next_exchange(&o));
	respond(&o, 60, 100);
	EXPECT_EQ(answered(1, &h), DNS_NOERROR);
	EXPECT(h.r.flags & DNS_FLAG_TC);
	EXPECT_EQ(h.r.n_answers, 0);
	EXPECT_EQ(h.message.n, h.r.question_end);
	query(2, "middle.example.org", DNS_A); /* without EDNS nobody takes more than 512 octets */
	REQUIRE(next_exchange(&o));
	respond(&o, 60, 40);
	EXPECT_EQ(answered(2, &h), DNS_NOERROR);
	EXPECT(h.r.flags & DNS_FLAG_TC);
	stop();
}

TEST(a_silent_server_ends_in_servfail)
{
	struct heard h;
	begin(NULL, 0);
	query(9, "www.example.org", DNS_MX);
	for (unsigned i = 0; i < 8; i++) {
		struct outside o;
		while (next_exchange(&o))
			;
		advance(SEC(1));
	}
	EXPECT_EQ(answered(9, &h), DNS_SERVFAIL);
	EXPECT_EQ(client_dns_stats(c)->servfail, 1);
	stop();
}

TEST(spec30_50_spec30_52_sentinels_are_part_of_the_tun_configuration)
{
	struct client_event e;
	start(NULL, 0);
	(void)events();
	system_resolver("192.0.2.53");
	REQUIRE(client_poll_event(c, &e) && e.type == CLIENT_TUN_CONFIG);
	EXPECT_EQ(e.tun->n_dns, 1);
	EXPECT(ip_eq(&e.tun->dns[0].sentinel, &(struct ip){ .family = 4, .b = { 100, 100, 111, 1 } }));
	system_resolver("192.0.2.53");
	EXPECT_EQ(events().tun, 0);
	configure("2001:db8::53", "192.0.2.1", NULL);
	REQUIRE(client_poll_event(c, &e) && e.type == CLIENT_TUN_CONFIG);
	EXPECT_EQ(e.tun->n_dns, 2);
	EXPECT_EQ(e.tun->dns[0].sentinel.family, 6);
	configure("192.0.2.1", "2001:db8::53", NULL);
	EXPECT_EQ(events().tun, 0); /* another order is nothing new */
	configure(NULL, NULL, "https://dns.example/dns-query");
	REQUIRE(client_poll_event(c, &e) && e.type == CLIENT_TUN_CONFIG);
	EXPECT(e.tun->n_dns == 1 && e.tun->dns[0].sentinel.family == 4 && e.tun->dns[0].server.transport == DNS_OVER_HTTPS);
	stop();
}

TEST(spec30_55_doh_servers_are_asked_over_https)
{
	struct outside o;
	struct heard h;
	begin(NULL, 0);
	configure(NULL, NULL, "https://dns.example/dns-query");
	query_to("100.100.111.2", 5, "www.example.org", DNS_A);
	REQUIRE(next_exchange(&o));
	EXPECT_EQ(o.ex.transport, DNS_OVER_HTTPS);
	EXPECT_STR(o.server.url, "https://dns.example/dns-query");
	EXPECT_EQ(o.q.id, 0);
	client_exchange_failed(c, now, o.ex.id, ERR_CLOSED);
	while (next_exchange(&o))
		client_exchange_failed(c, now, o.ex.id, ERR_CLOSED);
	advance(SEC(6));
	EXPECT_EQ(answered(5, &h), DNS_SERVFAIL);
	stop();
}

TEST(queries_beyond_the_limit_are_refused_at_once)
{
	struct heard h;
	char name[64];
	unsigned refused = 0;
	begin(NULL, 0);
	for (unsigned i = 0; i < DNS_ASKERS_MAX + 10; i++) {
		snprintf(name, sizeof(name), "h%u.example.org", i);
		query((u16)i, name, DNS_A);
		while (hear(&h)) {
			EXPECT_EQ(h.r.rcode, DNS_SERVFAIL);
			refused++;
		}
	}
	EXPECT(refused >= 10);
	stop();
}

/* --- inside ---------------------------------------------------------------------------------------------------------------------------- */

TEST(spec30_53_portal_servers_inside_a_resource_are_asked_through_the_tunnel)
{
	struct msg_resource r = cidr(1, "10.0.0.0/8");
	struct outside o;
	struct heard h;
	struct packet p;
	struct dns_query q;
	struct span message;
	u8 data[512];

	begin(&r, 1);
	configure("10.0.0.53", NULL, NULL);
	query_to("100.100.111.2", 77, "www.example.org", DNS_A);
	EXPECT(!next_exchange(&o));
	struct events e = events();
	EXPECT(e.flows == 1 && uuid_eq(&e.flow[0], &r.id)); /* an ordinary packet: it asks for the flow */
	EXPECT_EQ(fake->n_sent, 0);
	created_by(1, 50);
	EXPECT_EQ(fake->n_sent, 1);
	REQUIRE(packet_parse(fake->sent[0].data, fake->sent[0].len, TUNNEL_MTU, &p) == 0);
	struct ip own = ip_of(own4), server = ip_of("10.0.0.53");
	EXPECT(ip_eq(&p.src, &own) && ip_eq(&p.dst, &server) && p.dst_port == 53 && p.src_port >= 49152);
	EXPECT(inner_checksums_are_right(fake->sent[0].data, fake->sent[0].len));
	REQUIRE(udp_packet_read(fake->sent[0].data, &p, &message) == 0 && dns_query_parse(message, &q) == 0);
	inside_reply(50, &p, response_make(data, sizeof(data), &q, 60, 3));
	EXPECT_EQ(answered(77, &h), DNS_NOERROR);
	EXPECT_EQ(h.r.n_answers, 3);
	delete(1); /* the server lies outside now */
	query_to("100.100.111.2", 78, "ftp.example.org", DNS_A);
	EXPECT(next_exchange(&o));
	stop();
}

TEST(spec30_53_the_active_internet_resource_carries_portal_servers_only)
{
	struct msg_resource r = internet(1);
	struct outside o;
	begin(&r, 1);
	client_set_internet(c, now, true);
	query(1, "www.example.org", DNS_A);
	EXPECT(next_exchange(&o)); /* a resolver of the system is never asked through the tunnel */
	configure("1.1.1.1", NULL, NULL);
	query_to("100.100.111.2", 2, "www.example.org", DNS_A);
	EXPECT(!next_exchange(&o));
	EXPECT_EQ(events().flows, 1);
	client_set_internet(c, now, false);
	query_to("100.100.111.2", 3, "ftp.example.org", DNS_A);
	EXPECT(next_exchange(&o));
	configure(NULL, NULL, "https://dns.example/");
	client_set_internet(c, now, true);
	query(4, "irc.example.org", DNS_A);
	EXPECT(next_exchange(&o) && o.ex.transport == DNS_OVER_HTTPS);
	stop();
}

TEST(answers_from_inside_must_fit_port_id_and_server)
{
	struct msg_resource r = cidr(1, "10.0.0.0/8");
	struct heard h;
	struct packet p, other;
	struct dns_query q, wrong;
	struct span message;
	u8 data[512];

	begin(&r, 1);
	configure("10.0.0.53", NULL, NULL);
	query_to("100.100.111.2", 77, "www.example.org", DNS_A);
	(void)events();
	created_by(1, 50);
	REQUIRE(packet_parse(fake->sent[0].data, fake->sent[0].len, TUNNEL_MTU, &p) == 0);
	REQUIRE(udp_packet_read(fake->sent[0].data, &p, &message) == 0 && dns_query_parse(message, &q) == 0);
	wrong = q;
	wrong.id++;
	inside_reply(50, &p, response_make(data, sizeof(data), &wrong, 60, 1));
	EXPECT(!hear(&h));
	other = p;
	other.dst.b[3]++;
	inside_reply(50, &other, response_make(data, sizeof(data), &q, 60, 1));
	struct tun_pkt t;
	EXPECT(client_poll_tun(c, &t)); /* none of ours: the system's */
	EXPECT(!client_poll_tun(c, &t));
	inside_reply(50, &p, response_make(data, sizeof(data), &q, 60, 1));
	EXPECT_EQ(answered(77, &h), DNS_NOERROR);
	stop();
}

TEST(an_icmp_error_about_an_inside_query_fails_it)
{
	struct msg_resource r = cidr(1, "10.0.0.0/8");
	struct heard h;
	struct packet p;
	u8 error[ICMP_REPLY_MAX];
	static u8 memory[FAKE_DATAGRAM_MAX];
	struct uuid id = uuid_of(50);

	begin(&r, 1);
	configure("10.0.0.53", NULL, NULL);
	query_to("100.100.111.2", 77, "www.example.org", DNS_A);
	(void)events();
	created_by(1, 50);
	for (u32 i = 0; i < 20; i++) {
		while (i < fake->n_sent) {
			REQUIRE(packet_parse(fake->sent[i].data, fake->sent[i].len, TUNNEL_MTU, &p) == 0);
			u32 len = icmp_reply(ICMP_UNREACHABLE, fake->sent[i].data, &p, error);
			struct udp_rx rx = fake_datagram(memory, &id, error, len);
			client_udp_input(c, now, WALL, &rx, 1);
			i++;
		}
		advance(MSEC(500));
	}
	EXPECT_EQ(answered(77, &h), DNS_SERVFAIL);
	EXPECT(now < SEC(100) + SEC(12));
	stop();
}

TEST(spec30_47_srv_and_txt_go_to_the_gateways_own_resolver)
{
	struct msg_resource r = named(1, "*.example.com");
	struct heard h;
	struct packet p;
	struct dns_query q;
	struct span message;
	u8 data[512];

	begin(&r, 1);
	query(6, "ldap.example.com", DNS_TXT);
	EXPECT_EQ(events().flows, 1);
	EXPECT(!hear(&h));
	created_by(1, 50);
	EXPECT_EQ(fake->n_sent, 1);
	REQUIRE(packet_parse(fake->sent[0].data, fake->sent[0].len, TUNNEL_MTU, &p) == 0);
	struct ip gateway = ip_of("100.64.1.50");
	EXPECT(ip_eq(&p.dst, &gateway) && p.dst_port == 53535);
	REQUIRE(udp_packet_read(fake->sent[0].data, &p, &message) == 0 && dns_query_parse(message, &q) == 0);
	EXPECT(q.id == 6 && q.q.type == DNS_TXT); /* unchanged */
	inside_reply(50, &p, response_make(data, sizeof(data), &q, 60, 1));
	EXPECT_EQ(answered(6, &h), DNS_NOERROR);
	query(8, "mail.example.com", DNS_TXT); /* the flow is there */
	EXPECT_EQ(fake->n_sent, 2);
	advance(SEC(11));
	EXPECT_EQ(answered(8, &h), DNS_SERVFAIL);
	EXPECT_EQ(events().flows, 0);
	stop();
}

TEST(spec30_47_an_offline_site_answers_servfail)
{
	struct msg_resource r = named(1, "*.example.com");
	struct heard h;
	begin(&r, 1);
	query(6, "ldap.example.com", DNS_TXT);
	EXPECT_EQ(events().flows, 1);
	failed(1, MSG_REASON_OFFLINE);
	EXPECT_EQ(answered(6, &h), DNS_SERVFAIL);
	stop();
}

/* --- what gateways know ---------------------------------------------------------------------------------------------------------------- */

/* A name asked for and a packet sent to it; the flow is there, nothing is confirmed. Returns what was sent to the gateway. */
static u32 connect(const struct msg_resource *r, const char *name)
{
	struct heard h;
	begin(r, 1);
	query(1, name, DNS_A);
	EXPECT_EQ(answered(1, &h), DNS_NOERROR);
	send_to("100.96.0.1");
	EXPECT_EQ(events().flows, 1);
	created_by(1, 50);
	return fake->n_sent;
}

TEST(spec30_32_spec30_36_packets_wait_until_the_gateway_knows_the_name)
{
	struct msg_resource r = named(1, "*.example.com");
	struct control_assigned m;
	u32 seen = 0;

	EXPECT_EQ(connect(&r, "App.Example.com"), 1);
	REQUIRE(is_assigned(next_sent(&seen), &m));
	EXPECT(uuid_eq(&m.resource, &r.id));
	EXPECT_EQ(m.n_proxies, 8);
	for (unsigned i = 0; i < 8; i++)
		EXPECT_EQ(m.proxies[i].family, i < 4 ? 4 : 6);
	struct dns_name want = dns_build_name("app.example.com");
	EXPECT(dns_name_eq(&m.domain, &want));
	now += MSEC(1);
	send_to("100.96.0.2");
	EXPECT_EQ(fake->n_sent, 1);
	status(50, 1, "other.example.com", true);
	status(50, 2, "app.example.com", true);
	EXPECT_EQ(fake->n_sent, 1);
	status(50, 1, "APP.example.com", true);
	EXPECT_EQ(fake->n_sent, 3); /* both, in order */
	EXPECT(fake->sent[1].data[19] == 1 && fake->sent[2].data[19] == 2);
	now += MSEC(1);
	send_to("100.96.0.3");
	EXPECT_EQ(fake->n_sent, 4);
	EXPECT_EQ(reply_from(50, "100.96.0.4"), 1);
	EXPECT_EQ(reply_from(50, "100.96.0.5"), 0); /* another name's */
	stop();
}

TEST(spec30_36_at_most_32_packets_wait)
{
	struct msg_resource r = named(1, "*.example.com");
	(void)connect(&r, "app.example.com");
	for (unsigned i = 0; i < 40; i++) {
		now += 1;
		send_to("100.96.0.1");
	}
	EXPECT_EQ(fake->n_sent, 1);
	EXPECT_EQ(client_stats(c)->dropped[DROP_PENDING_FULL], 9);
	status(50, 1, "app.example.com", true);
	EXPECT_EQ(fake->n_sent, 1 + 32);
	stop();
}

TEST(spec30_37_assigned_ips_again_with_traffic_or_query_after_2_s)
{
	struct msg_resource r = named(1, "*.example.com");
	struct control_assigned m;
	struct heard h;
	u32 seen;

	seen = connect(&r, "app.example.com");
	advance(SEC(1));
	send_to("100.96.0.1");
	EXPECT(!next_sent(&seen));
	advance(SEC(1));
	send_to("100.96.0.1");
	EXPECT(is_assigned(next_sent(&seen), &m));
	query(2, "app.example.com", DNS_AAAA);
	EXPECT_EQ(answered(2, &h), DNS_NOERROR);
	EXPECT(!next_sent(&seen));
	advance(SEC(10));
	EXPECT(!next_sent(&seen)); /* there is no timer */
	query(3, "app.example.com", DNS_AAAA);
	EXPECT(is_assigned(next_sent(&seen), &m));
	EXPECT(!next_sent(&seen));
	stop();
}

TEST(spec30_38_a_new_query_of_a_confirmed_name_interrupts_nothing)
{
	struct msg_resource r = named(1, "*.example.com");
	struct control_assigned m;
	struct heard h;
	u32 seen;

	(void)connect(&r, "app.example.com");
	status(50, 1, "app.example.com", true);
	seen = fake->n_sent;
	query(2, "app.example.com", DNS_A);
	EXPECT(is_assigned(next_sent(&seen), &m));
	now += 1;
	send_to("100.96.0.1");
	const struct fake_sent *s = next_sent(&seen);
	EXPECT(s && s->data[19] == 1);
	query(3, "app.example.com", DNS_AAAA); /* pending: not within 2 s */
	EXPECT(!next_sent(&seen));
	while (hear(&h))
		;
	status(50, 1, "app.example.com", true);
	query(4, "1.0.96.100.in-addr.arpa", DNS_PTR); /* no query of that name */
	EXPECT(!next_sent(&seen));
	stop();
}

TEST(spec30_33_spec30_39_a_failed_name_lets_traffic_pass_and_recovers_with_the_next_query)
{
	struct msg_resource r = named(1, "*.example.com");
	struct control_assigned m;
	struct heard h;
	u32 seen;

	seen = connect(&r, "app.example.com");
	status(50, 1, "app.example.com", false);
	EXPECT(!next_sent(&seen)); /* what waited is gone */
	EXPECT_EQ(client_stats(c)->dropped[DROP_PENDING_LOST], 1);
	now += 1;
	send_to("100.96.0.1");
	EXPECT(next_sent(&seen) != NULL);
	query(2, "app.example.com", DNS_A);
	EXPECT_EQ(answered(2, &h), DNS_NOERROR);
	EXPECT(is_assigned(next_sent(&seen), &m));
	now += 1;
	send_to("100.96.0.1");
	EXPECT(!next_sent(&seen)); /* waits again */
	status(50, 1, "app.example.com", true);
	EXPECT(next_sent(&seen) != NULL);
	stop();
}

TEST(spec30_35_each_resource_of_a_name_has_its_own_state)
{
	struct msg_filter web = { MSG_TCP, 80, 80 };
	struct msg_resource list[] = { filtered(named(1, "app.example.com"), &web, 1), named(2, "*.example.com") };
	struct control_assigned m;
	struct heard h;
	u32 seen = 0;

	begin(list, 2);
	query(1, "app.example.com", DNS_A);
	EXPECT_EQ(answered(1, &h), DNS_NOERROR);
	struct inner_spec s = app(6, "100.96.0.1", 80, 1);
	tun(&s);
	s = app(6, "100.96.0.1", 22, 2);
	tun(&s);
	struct events e = events();
	EXPECT_EQ(e.flows, 2);
	created_by(1, 50);
	created_by(2, 50);
	EXPECT(is_assigned(next_sent(&seen), &m) && uuid_eq(&m.resource, &list[0].id));
	EXPECT(is_assigned(next_sent(&seen), &m) && uuid_eq(&m.resource, &list[1].id));
	status(50, 2, "app.example.com", true);
	const struct fake_sent *sent = next_sent(&seen);
	EXPECT(sent && sent->data[23] == 22);
	EXPECT(!next_sent(&seen));
	delete(2);
	EXPECT_EQ(reply_from(50, "100.96.0.1"), 1); /* the first still allows it */
	delete(1);
	EXPECT_EQ(fake->n_closed, 1);
	stop();
}

TEST(spec30_29_a_lost_gateway_knows_nothing_any_more)
{
	struct msg_resource r = named(1, "*.example.com");
	struct control_assigned m;
	u8 goodbye[64];
	u32 seen;

	(void)connect(&r, "app.example.com");
	status(50, 1, "app.example.com", true);
	EXPECT_EQ(from_gateway(50, goodbye, fake_goodbye(goodbye), 0, NULL), 0);
	seen = fake->n_sent;
	now += SEC(3);
	send_to("100.96.0.1");
	EXPECT_EQ(events().flows, 1);
	created_by(1, 50);
	EXPECT(is_assigned(next_sent(&seen), &m));
	EXPECT(!next_sent(&seen)); /* the packet waits for the name again */
	status(50, 1, "app.example.com", true);
	EXPECT(next_sent(&seen) != NULL);
	stop();
}

TEST(spec30_60_a_refused_name_is_announced_anew_with_its_new_flow)
{
	struct msg_resource r = named(1, "*.example.com");
	struct control_assigned m;
	struct packet p;
	u8 error[ICMP_REPLY_MAX];
	u32 seen;

	(void)connect(&r, "app.example.com");
	status(50, 1, "app.example.com", true);
	seen = fake->n_sent;
	now += SEC(3);
	send_to("100.96.0.1");
	const struct fake_sent *s = next_sent(&seen);
	REQUIRE(s && packet_parse(s->data, s->len, TUNNEL_MTU, &p) == 0);
	u32 len = icmp_reply(ICMP_FILTERED, s->data, &p, error);
	EXPECT_EQ(from_gateway(50, error, len, 0, NULL), 1); /* the application hears of it too */
	EXPECT_EQ(events().flows, 1);
	created_by(1, 50);
	EXPECT(is_assigned(next_sent(&seen), &m));
	now += 1;
	send_to("100.96.0.1"); /* goes on meanwhile */
	EXPECT(next_sent(&seen) != NULL);
	stop();
}

TEST(spec30_34_unknown_control_messages_are_ignored)
{
	struct msg_resource r = named(1, "*.example.com");
	u8 odd[64] = { 0x60, 0, 0, 0, 0, 16, 0xff, [40] = 9, [48] = '{', '}' };
	(void)connect(&r, "app.example.com");
	EXPECT_EQ(from_gateway(50, odd, 56, 0, NULL), 0);
	odd[40] = CONTROL_DOMAIN_STATUS;
	EXPECT_EQ(from_gateway(50, odd, 56, 0, NULL), 0);
	odd[40] = CONTROL_ASSIGNED_IPS;
	EXPECT_EQ(from_gateway(50, odd, 56, 0, NULL), 0);
	stop();
}

TEST(spec30_61_a_reset_keeps_addresses_and_asks_anew)
{
	struct msg_resource r = named(1, "*.example.com");
	struct heard h;
	(void)connect(&r, "app.example.com");
	query(2, "www.example.org", DNS_A);
	client_reset(c, now);
	EXPECT_EQ(answered(2, &h), DNS_SERVFAIL);
	init(&r, 1);
	fake->has_relay = true;
	query(3, "app.example.com", DNS_A);
	EXPECT_EQ(answered(3, &h), DNS_NOERROR);
	struct ip proxy = first_address(&h);
	EXPECT(ip_eq(&proxy, &(struct ip){ .family = 4, .b = { 100, 96, 0, 1 } }));
	now += SEC(3);
	(void)events();
	send_to("100.96.0.1");
	EXPECT_EQ(events().flows, 1);
	stop();
}
