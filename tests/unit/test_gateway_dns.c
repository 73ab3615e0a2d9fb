/* DNS resources on the gateway (spec 40 §9, §10): assigned IPs in, resolution, mapping, translated packets out and back. */
#include "tests/unit/gateway_dns_world.h"

TEST(a_name_from_assignment_to_traffic_both_ways)
{
	begin();
	grant(1, dns(10, "app.example.com", NULL, 0));
	EXPECT_EQ(to(1, 17, P1, 443), PROHIBITED);
	EXPECT_EQ(map(1, 10, "app.example.com", P1 " " Q1, "10.5.0.1 2001:db8::5"), TOLD_ACTIVE);
	EXPECT_TARGET(P1, "10.5.0.1");
	EXPECT_TARGET(Q1, "2001:db8::5");
	EXPECT_STR(source_back(17, "10.5.0.1", 443, 40000), P1);
	EXPECT_STR(source_back(17, "2001:db8::5", 443, 40000), Q1);
	EXPECT_STR(target_of(1, 1, P1, 0, 7), "10.5.0.1"); /* echo */
	EXPECT_STR(target_of(1, 6, P1, 5000, 22), "10.5.0.1");
	EXPECT_EQ(source_back(17, "10.5.0.1", 443, 40001), NULL); /* nobody asked for this one */
	EXPECT_EQ(to(1, 17, "10.5.0.1", 443), PROHIBITED);         /* the real address stays closed */
	EXPECT_EQ(to(2, 17, P1, 443), SILENT);                     /* so do another client's */
	struct gateway_client list[1];
	EXPECT_EQ(gateway_clients(g, list, 1), 1);
	EXPECT_EQ(list[0].n_proxies, 2);
	EXPECT_EQ(list[0].n_sessions, 4);
	stop();
}

TEST(spec40_38_filters_of_dns_resources_match_on_proxy_addresses)
{
	begin();
	grant(1, dns(10, "app.example.com", &tcp443, 1));
	grant(1, cidr(11, "10.5.0.0/16", &udp_range, 1)); /* overlaps what the name resolves to */
	(void)map(1, 10, "app.example.com", P1, "10.5.0.1");
	EXPECT_EQ(to(1, 6, P1, 443), PASSED);
	EXPECT_EQ(to(1, 6, P1, 444), PROHIBITED);
	EXPECT_EQ(to(1, 17, P1, 1500), PROHIBITED);
	EXPECT_EQ(to(1, 17, "10.5.0.1", 1500), PASSED);
	EXPECT_EQ(to(1, 6, "10.5.0.1", 443), PROHIBITED);
	EXPECT_STR(source_back(6, "10.5.0.1", 443, 40000), P1);
	struct portal_message m = { .type = MSG_RESOURCE_UPDATED, .resource = dns(10, "app.example.com", &udp_range, 1) };
	EXPECT_EQ(gateway_message(g, now, wall, &m), 0);
	EXPECT_EQ(to(1, 6, P1, 443), PROHIBITED);
	EXPECT_EQ(source_back(6, "10.5.0.1", 443, 40000), NULL);
	EXPECT_EQ(to(1, 17, P1, 1500), PASSED);
	stop();
}

TEST(spec40_39_the_internet_resource_does_not_open_dns_resources)
{
	begin();
	grant(1, internet(10));
	grant(1, dns(11, "app.example.com", NULL, 0));
	(void)map(1, 11, "app.example.com", P1 " " Q1, "10.5.0.1 2001:db8::5");
	reject(1, 11);
	EXPECT_EQ(to(1, 17, P1, 443), PROHIBITED);
	EXPECT_EQ(to(1, 17, Q1, 443), PROHIBITED);
	EXPECT_EQ(to(1, 17, "9.9.9.9", 443), PASSED);
	stop();
}

TEST(spec40_41_what_is_not_authorized_is_inactive_at_once)
{
	begin();
	grant(1, dns(10, "app.example.com", NULL, 0));
	assign(1, 11, "app.example.com", P1);
	EXPECT_EQ(told(), TOLD_INACTIVE);
	EXPECT_EQ(resolves(), 0);
	reject(1, 10);
	assign(1, 10, "app.example.com", P1); /* not even a client any more */
	EXPECT_EQ(told(), TOLD_NOTHING);
	EXPECT_EQ(resolves(), 0);
	stop();
}

TEST(spec40_42_addresses_outside_the_proxy_ranges_are_refused)
{
	static const char *const bad[] = { "10.5.0.1", "100.64.0.1", "100.95.255.255", "100.128.0.0", "8.8.8.8", "fd00:2021:1111::1",
					   "fd00:2021:1111:9000:8000::", "2001:db8::1", "::", "127.0.0.1" };
	begin();
	grant(1, dns(10, "app.example.com", NULL, 0));
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		struct control_assigned m = message(10, "app.example.com");
		m.proxies[0] = ip_of(P1);
		m.proxies[1] = ip_of(bad[i]);
		m.n_proxies = 2;
		if (ip_is_proxy(&m.proxies[1]))
			continue;
		send_assigned(1, &m);
		EXPECT_EQ(told(), TOLD_INACTIVE);
		EXPECT_EQ(resolves(), 0);
		EXPECT(to(1, 17, bad[i], 443) != PASSED || strcmp(bad[i], own4) == 0 || strcmp(bad[i], own6) == 0);
	}
	EXPECT_EQ(to(1, 17, P1, 443), PROHIBITED);
	stop();
}

static u32 n_lines;
static void count_line(void *ctx, const char *line, size_t n)
{
	(void)ctx, (void)line, (void)n;
	n_lines++;
}
static u64 log_wall(void *ctx)
{
	(void)ctx;
	return 0;
}

/* What a client repeats must not fill the disk of the gateway. */
TEST(lines_about_a_clients_nonsense_are_few)
{
	struct log_sink sink = { count_line, log_wall, NULL, LOG_HUMAN, false }, none = { 0 };
	begin();
	EXPECT_EQ(log_setup(&sink, "info", NULL), 0);
	n_lines = 0;
	grant(1, dns(10, "app.example.com", NULL, 0));
	n_lines = 0;
	for (unsigned i = 0; i < 1000; i++)
		assign(1, 11, "app.example.com", P1);
	EXPECT(n_lines > 0 && n_lines <= 20);
	EXPECT_EQ(gateway_stats(g)->control_in, 1000);
	u32 before = n_lines;
	advance(SEC(2));
	assign(1, 11, "app.example.com", P1);
	EXPECT(n_lines > before);
	EXPECT_EQ(log_setup(&none, "off", NULL), 0);
	stop();
}

TEST(undecodable_assignments_get_no_reply)
{
	u8 out[TUNNEL_MTU];
	struct control_assigned m = message(10, "app.example.com");
	begin();
	grant(1, dns(10, "app.example.com", NULL, 0));
	u32 len = control_write_assigned(&m, out);
	out[60] = '}';
	EXPECT_EQ(input(1, out, len, 0, NULL), 0);
	EXPECT_EQ(told(), TOLD_NOTHING);
	EXPECT_EQ(resolves(), 0);
	EXPECT_EQ(gateway_stats(g)->control_bad, 1);
	stop();
}

TEST(spec40_43_a_name_without_addresses_is_active_and_unreachable)
{
	begin();
	grant(1, dns(10, "app.example.com", NULL, 0));
	EXPECT_EQ(map(1, 10, "app.example.com", P1 " " Q1, ""), TOLD_ACTIVE);
	EXPECT_EQ(to(1, 17, P1, 443), UNREACHABLE);
	EXPECT_EQ(to(1, 17, Q1, 443), UNREACHABLE);
	EXPECT_EQ(map(1, 10, "app.example.com", P1 " " Q1, "2001:db8::5"), TOLD_ACTIVE); /* it gets one */
	EXPECT_EQ(to(1, 17, P1, 443), UNREACHABLE);
	EXPECT_TARGET(Q1, "2001:db8::5");
	stop();
}

TEST(spec40_43_ten_seconds_without_an_answer_are_inactive_and_change_nothing)
{
	begin();
	grant(1, dns(10, "app.example.com", NULL, 0));
	(void)map(1, 10, "app.example.com", P1, "10.5.0.1");
	assign(1, 10, "app.example.com", P1);
	EXPECT_EQ(resolves(), 1);
	advance(SEC(10) - 1);
	EXPECT_EQ(told(), TOLD_NOTHING);
	advance(1);
	EXPECT_EQ(told(), TOLD_INACTIVE);
	EXPECT_TARGET(P1, "10.5.0.1");
	resolved("10.5.0.2"); /* too late */
	EXPECT_EQ(told(), TOLD_NOTHING);
	EXPECT_STR(target_of(1, 17, P1, 41000, 443), "10.5.0.1");
	assign(1, 10, "app.example.com", P1);
	EXPECT_EQ(resolves(), 1);
	gateway_resolved(g, now, wall, asked.token, NULL, 0, ERR_TIMEOUT); /* the resolver may say so itself */
	EXPECT_EQ(told(), TOLD_INACTIVE);
	stop();
}

TEST(spec40_43_while_nobody_can_tell_a_name_stays_what_it_was)
{
	begin();
	grant(1, dns(10, "*.example.com", NULL, 0));
	(void)map(1, 10, "app.example.com", P1 " " Q1, "10.5.0.1");
	assign(1, 10, "app.example.com", P1 " " P2 " " Q1);
	EXPECT_EQ(resolves(), 1);
	gateway_resolved(g, now, wall, asked.token, NULL, 0, ERR_AGAIN);
	EXPECT_EQ(told(), TOLD_ACTIVE);
	EXPECT_TARGET(P1, "10.5.0.1");
	EXPECT_EQ(to(1, 17, P2, 443), UNREACHABLE);
	EXPECT_EQ(to(1, 17, Q1, 443), UNREACHABLE);
	assign(1, 10, "new.example.com", P3);
	EXPECT_EQ(resolves(), 1);
	gateway_resolved(g, now, wall, asked.token, NULL, 0, ERR_AGAIN);
	EXPECT_EQ(told(), TOLD_ACTIVE);
	EXPECT_EQ(to(1, 17, P3, 443), UNREACHABLE);
	stop();
}

TEST(spec40_45_addresses_are_mapped_sorted_and_in_a_circle)
{
	begin();
	grant(1, dns(10, "app.example.com", NULL, 0));
	EXPECT_EQ(map(1, 10, "app.example.com", Q2 " " P3 " " P1 " 100.96.0.4 " P2 " " Q1, "10.5.0.9 2001:db8::7 10.5.0.2 10.5.0.9 10.5.0.100"),
		  TOLD_ACTIVE);
	EXPECT_TARGET(P1, "10.5.0.2");
	EXPECT_TARGET(P2, "10.5.0.9");
	EXPECT_TARGET(P3, "10.5.0.100");
	EXPECT_TARGET("100.96.0.4", "10.5.0.2");
	EXPECT_TARGET(Q1, "2001:db8::7");
	EXPECT_TARGET(Q2, "2001:db8::7");
	stop();
}

TEST(spec40_46_reassigned_addresses_reset_the_clients_nat)
{
	begin();
	grant(1, dns(10, "*.example.com", NULL, 0));
	(void)map(1, 10, "a.example.com", P1, "10.5.0.1");
	(void)map(1, 10, "b.example.com", P2, "10.5.0.2");
	EXPECT_TARGET(P1, "10.5.0.1");
	EXPECT_STR(source_back(17, "10.5.0.1", 443, 40000), P1);
	(void)map(1, 10, "A.Example.com", P1, "10.5.0.1"); /* the same name */
	EXPECT_STR(source_back(17, "10.5.0.1", 443, 40000), P1);
	EXPECT_EQ(map(1, 10, "c.example.com", P1 " " P3, "10.5.0.3"), TOLD_ACTIVE);
	EXPECT_TARGET(P1, "10.5.0.3");
	EXPECT_EQ(to(1, 17, P2, 443), PROHIBITED); /* forgotten as well */
	EXPECT_EQ(source_back(17, "10.5.0.1", 443, 40000), NULL);
	EXPECT_EQ(gateway_stats(g)->dropped[DROP_NAT_EXPIRED], 0);
	EXPECT_EQ(refuse(1, 10, "other.org", P1), TOLD_INACTIVE); /* refused, but it is a new numbering all the same */
	EXPECT_EQ(to(1, 17, P3, 443), PROHIBITED);
	stop();
}

TEST(a_new_owner_takes_an_address_from_the_former_one_even_if_it_is_refused)
{
	begin();
	grant(1, dns(10, "*.example.com", NULL, 0));
	(void)map(1, 10, "a.example.com", P1, "10.5.0.1");
	assign(1, 11, "b.example.com", P1); /* of a resource that is not authorized */
	EXPECT_EQ(told(), TOLD_INACTIVE);
	EXPECT_EQ(to(1, 17, P1, 443), PROHIBITED);
	(void)map(1, 10, "a.example.com", P1, "10.5.0.1");
	assign(1, 10, "b.example.com", P1); /* of one that takes its time */
	EXPECT_EQ(resolves(), 1);
	EXPECT_EQ(to(1, 17, P1, 443), PROHIBITED);
	stop();
}

/* The client was started again while a name was being resolved. */
TEST(a_name_that_waits_gives_way_to_a_new_owner_of_its_address)
{
	begin();
	grant(1, dns(10, "*.example.com", NULL, 0));
	assign(1, 10, "a.example.com", P1);
	EXPECT_EQ(resolves(), 1);
	struct gateway_event former = asked;
	EXPECT_EQ(map(1, 10, "b.example.com", P1, "10.5.0.2"), TOLD_ACTIVE);
	asked = former;
	resolved("10.5.0.1");
	EXPECT_EQ(told(), TOLD_NOTHING);
	EXPECT_TARGET(P1, "10.5.0.2");
	stop();
}

TEST(spec40_47_the_domain_must_match_the_pattern)
{
	static const struct {
		const char *pattern, *domain;
		bool matches;
	} cases[] = {
		{ "app.example.com", "app.example.com", true },   { "app.example.com", "APP.example.COM", true },
		{ "app.example.com", "a.example.com", false },    { "*.example.com", "a.example.com", true },
		{ "*.example.com", "example.com", true },         { "*.example.com", "a.b.example.com", false },
		{ "**.example.com", "a.b.example.com", true },    { "a?.example.com", "ab.example.com", true },
		{ "a?.example.com", "abc.example.com", false },   { "a**.example.com", "ab.example.com", false },
	};
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		begin();
		grant(1, dns(10, cases[i].pattern, NULL, 0));
		if (cases[i].matches)
			EXPECT_EQ(map(1, 10, cases[i].domain, P1, "10.5.0.1"), TOLD_ACTIVE);
		else
			EXPECT_EQ(refuse(1, 10, cases[i].domain, P1), TOLD_INACTIVE);
		EXPECT_EQ(to(1, 17, P1, 443), cases[i].matches ? PASSED : PROHIBITED);
		stop();
	}
	begin(); /* nor does a network have names */
	grant(1, cidr(10, "10.0.0.0/8", NULL, 0));
	EXPECT_EQ(refuse(1, 10, "app.example.com", P1), TOLD_INACTIVE);
	EXPECT_EQ(to(1, 17, P1, 443), PROHIBITED);
	stop();
}

TEST(two_resources_share_a_proxy_address_with_different_filters)
{
	begin();
	grant(1, dns(10, "app.example.com", &tcp443, 1));
	grant(1, dns(11, "*.example.com", &udp_range, 1));
	(void)map(1, 10, "app.example.com", P1, "10.5.0.1");
	EXPECT_EQ(to(1, 17, P1, 1500), PROHIBITED);
	(void)map(1, 11, "app.example.com", P1, "10.5.0.1");
	EXPECT_EQ(to(1, 17, P1, 1500), PASSED);
	EXPECT_EQ(to(1, 6, P1, 443), PASSED);
	reject(1, 10); /* takes away exactly what it gave */
	EXPECT_EQ(to(1, 17, P1, 1500), PASSED);
	EXPECT_EQ(to(1, 6, P1, 443), PROHIBITED);
	stop();
}

/* Resources that are made anew by the dozen: what is gone leaves its place. */
TEST(former_resources_of_a_name_give_way_to_new_ones)
{
	begin();
	grant(1, cidr(11, "10.0.0.0/8", NULL, 0)); /* keeps the client when the others go */
	for (unsigned i = 0; i < PROXY_RESOURCES_MAX + 8; i++) {
		grant(1, dns(100 + i, "app.example.com", NULL, 0));
		EXPECT_EQ(map(1, 100 + i, "app.example.com", P1, "10.5.0.1"), TOLD_ACTIVE);
		EXPECT_TARGET(P1, "10.5.0.1");
		reject(1, 100 + i);
		EXPECT_EQ(to(1, 17, P1, 443), PROHIBITED);
		seen = fake->n_sent;
	}
	stop();
}

TEST(revoked_access_is_prohibited_and_works_again_after_authorization)
{
	begin();
	grant(1, dns(10, "app.example.com", NULL, 0));
	grant(1, cidr(11, "10.0.0.0/8", NULL, 0));
	(void)map(1, 10, "app.example.com", P1, "10.5.0.1");
	EXPECT_TARGET(P1, "10.5.0.1");
	reject(1, 10);
	EXPECT_EQ(to(1, 17, P1, 443), PROHIBITED);
	EXPECT_EQ(source_back(17, "10.5.0.1", 443, 40000), NULL);
	grant(1, dns(10, "app.example.com", NULL, 0));
	EXPECT_TARGET(P1, "10.5.0.1"); /* the mapping was kept */
	struct msg_access listed = { uuid_of(1), uuid_of(11), MSG_NEVER_EXPIRES };
	init_with(&listed, 1);
	EXPECT_EQ(to(1, 17, P1, 443), PROHIBITED);
	struct msg_resource r = dns(10, "app.example.com", NULL, 0);
	authorize(1, &r, T0 + 60, "r");
	EXPECT_TARGET(P1, "10.5.0.1");
	advance(SEC(60));
	EXPECT_EQ(to(1, 17, P1, 443), PROHIBITED);
	stop();
}

TEST(a_repeated_init_and_a_lost_connection_keep_the_mapping)
{
	struct msg_access listed = { uuid_of(1), uuid_of(10), MSG_NEVER_EXPIRES };
	struct uuid id = uuid_of(1);
	begin();
	grant(1, dns(10, "app.example.com", NULL, 0));
	(void)map(1, 10, "app.example.com", P1, "10.5.0.1");
	EXPECT_STR(target_of(1, 6, P1, 5000, 443), "10.5.0.1");
	(void)map(1, 10, "app.example.com", P1, "10.5.0.2");
	init_with(&listed, 1);
	node_forget(fake, &id);
	fake_event(fake, NODE_CONN_FAILED, &id);
	(void)resolves();
	grant(1, dns(10, "app.example.com", NULL, 0));
	EXPECT_STR(target_of(1, 6, P1, 5000, 443), "10.5.0.1");
	EXPECT_STR(source_back(6, "10.5.0.1", 443, 5000), P1);
	stop();
}

TEST(equal_questions_of_a_client_wait_once_and_the_latest_addresses_count)
{
	begin();
	grant(1, dns(10, "app.example.com", NULL, 0));
	assign(1, 10, "app.example.com", P1);
	EXPECT_EQ(resolves(), 1);
	assign(1, 10, "APP.example.com", P2);
	assign(1, 10, "app.example.com", P2);
	EXPECT_EQ(resolves(), 0);
	resolved("10.5.0.1");
	EXPECT_EQ(told(), TOLD_ACTIVE);
	EXPECT_TARGET(P2, "10.5.0.1");
	EXPECT_EQ(to(1, 17, P1, 443), PROHIBITED);
	stop();
}

TEST(who_waits_is_bounded_for_each_client_and_for_all)
{
	struct gateway_status s;
	char domain[32], proxy[32];
	begin();
	for (unsigned client = 1; client <= 5; client++) {
		grant(client, dns(10, "*.example.com", NULL, 0));
		for (unsigned i = 0; i < GATEWAY_CLIENT_RESOLUTIONS_MAX; i++) {
			snprintf(domain, sizeof(domain), "n%u.example.com", i);
			snprintf(proxy, sizeof(proxy), "100.97.0.%u", i);
			assign(client, 10, domain, proxy);
		}
		gateway_status(g, &s);
		EXPECT_EQ(s.n_resolutions, MIN(client * GATEWAY_CLIENT_RESOLUTIONS_MAX, GATEWAY_RESOLUTIONS_MAX));
		assign(client, 10, "more.example.com", P1);
	}
	EXPECT_EQ(told(), TOLD_NOTHING); /* no status: it may ask again */
	EXPECT_EQ(gateway_stats(g)->resolutions_refused, 5 + GATEWAY_CLIENT_RESOLUTIONS_MAX);
	EXPECT_EQ(resolves(), GATEWAY_RESOLUTIONS_MAX);
	u8 bye[48];
	(void)input(1, bye, fake_goodbye(bye), 0, NULL);
	gateway_status(g, &s);
	EXPECT_EQ(s.n_resolutions, GATEWAY_RESOLUTIONS_MAX - GATEWAY_CLIENT_RESOLUTIONS_MAX); /* what is gone does not wait */
	advance(SEC(10));
	gateway_status(g, &s);
	EXPECT_EQ(s.n_resolutions, 0);
	stop();
}

TEST(access_may_end_while_a_name_is_resolved)
{
	begin();
	grant(1, dns(10, "app.example.com", NULL, 0));
	grant(1, cidr(11, "10.0.0.0/8", NULL, 0));
	assign(1, 10, "app.example.com", P1);
	EXPECT_EQ(resolves(), 1);
	reject(1, 10);
	resolved("10.5.0.1");
	EXPECT_EQ(told(), TOLD_INACTIVE);
	EXPECT_EQ(to(1, 17, P1, 443), PROHIBITED);
	stop();
}

TEST(addresses_that_are_nowhere_in_a_site_are_not_mapped)
{
	begin();
	grant(1, dns(10, "app.example.com", NULL, 0));
	EXPECT_EQ(map(1, 10, "app.example.com", P1 " " P2 " " Q1, "127.0.0.1 0.0.0.0 224.0.0.1 255.255.255.255 100.64.0.9 100.96.0.1 ::1 :: ff02::1 "
								  "fd00:2021:1111::9 10.5.0.1"),
		  TOLD_ACTIVE);
	EXPECT_TARGET(P1, "10.5.0.1");
	EXPECT_TARGET(P2, "10.5.0.1");
	EXPECT_EQ(to(1, 17, Q1, 443), UNREACHABLE);
	stop();
}

TEST(a_site_cannot_speak_with_a_proxy_address_of_its_own)
{
	begin();
	grant(1, dns(10, "app.example.com", NULL, 0));
	(void)map(1, 10, "app.example.com", P1, "10.5.0.1");
	EXPECT_EQ(source_back(17, P1, 443, 40000), NULL);
	stop();
}

TEST(a_network_over_the_proxy_range_leads_nowhere)
{
	begin();
	grant(1, cidr(10, "100.96.0.0/11", NULL, 0));
	EXPECT_EQ(to(1, 17, P1, 443), UNREACHABLE);
	stop();
}

TEST(names_assigned_longest_ago_give_way_when_a_client_has_too_many)
{
	enum { NAMES = GATEWAY_PROXIES_MAX / 8 };
	struct gateway_client list[1];
	char domain[32];
	begin();
	grant(1, dns(10, "*.example.com", NULL, 0));
	for (unsigned i = 0; i < NAMES + 2; i++) {
		struct control_assigned m;
		snprintf(domain, sizeof(domain), "n%u.example.com", i);
		m = message(10, domain);
		for (unsigned k = 0; k < 8; k++) {
			m.proxies[k] = ip_of("100.96.0.0");
			put_be16(m.proxies[k].b + 2, (u16)(8 * i + k));
		}
		m.n_proxies = 8;
		if (i == NAMES - 1) { /* the first one is used again */
			struct control_assigned again = message(10, "n0.example.com");
			memcpy(again.proxies, m.proxies, sizeof(m.proxies));
			for (unsigned k = 0; k < 8; k++)
				put_be16(again.proxies[k].b + 2, (u16)k);
			again.n_proxies = 8;
			send_assigned(1, &again);
			EXPECT_EQ(resolves(), 1);
			resolved("10.5.0.1");
		}
		send_assigned(1, &m);
		EXPECT_EQ(resolves(), 1);
		resolved("10.5.0.1");
		seen = fake->n_sent;
	}
	EXPECT_EQ(gateway_clients(g, list, 1), 1);
	EXPECT_EQ(list[0].n_proxies, GATEWAY_PROXIES_MAX);
	EXPECT_EQ(gateway_stats(g)->proxies_displaced, 16);
	EXPECT_TARGET("100.96.0.0", "10.5.0.1");
	EXPECT_EQ(to(1, 17, "100.96.0.8", 443), PROHIBITED);
	EXPECT_EQ(to(1, 17, "100.96.0.16", 443), PROHIBITED);
	EXPECT_TARGET("100.96.0.24", "10.5.0.1");
	stop();
}
