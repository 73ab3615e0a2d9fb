/* The portal's rules without store or sockets: what may be stored, who may reach what, which addresses come next. */
#include "applets/portal/model/access.h"
#include "applets/portal/model/forwarded.h"
#include "applets/portal/model/geo.h"
#include "applets/portal/model/pool.h"
#include "core/base/rng.h"
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- addresses ---- */

static const char *pool_text(enum pool p, u32 address)
{
	static char text[IP_STRLEN];
	struct ip ip = pool_ip(p, address);

	return ip_format(&ip, text);
}

TEST(spec60_8_first_device_gets_the_first_address)
{
	EXPECT_STR(pool_text(POOL_IPV4, pool_after(POOL_IPV4, 0)), "100.64.0.1");
	EXPECT_STR(pool_text(POOL_IPV6, pool_after(POOL_IPV6, 0)), "fd00:2021:1111::1");
}

TEST(spec60_9_allocation_wraps_after_the_last_usable_address)
{
	u32 last4 = pool_after(POOL_IPV4, 0x645ffffd), last6 = pool_after(POOL_IPV6, 0x1ffffd);

	EXPECT_STR(pool_text(POOL_IPV4, last4), "100.95.255.254");
	EXPECT_STR(pool_text(POOL_IPV6, last6), "fd00:2021:1111::1f:fffe");
	EXPECT_STR(pool_text(POOL_IPV4, pool_after(POOL_IPV4, last4)), "100.64.0.1");
	EXPECT_STR(pool_text(POOL_IPV6, pool_after(POOL_IPV6, last6)), "fd00:2021:1111::1");
	EXPECT_EQ(pool_size(POOL_IPV4), 0x645ffffe - 0x64400000);
}

/* ---- resources ---- */

static struct resource resource_of(enum resource_type type, const char *address)
{
	struct resource r;

	entity_init(KIND_RESOURCE, &r);
	r.type = (int)type;
	r.site_id.b[0] = 1;
	(void)text_set(&r.address, address);
	return r;
}

/* The address as it would be stored, "" when it is refused. */
static const char *stored(enum resource_type type, const char *address)
{
	static char text[300];
	struct resource r = resource_of(type, address);
	struct complaint c;

	snprintf(text, sizeof(text), "%s", check_resource(&r, &c) ? "" : r.address);
	entity_deinit(KIND_RESOURCE, &r);
	return text;
}

TEST(spec60_10_addresses_are_normalised_or_refused)
{
	EXPECT_STR(stored(RESOURCE_CIDR, " 10.0.0.5/8 "), "10.0.0.0/8");
	EXPECT_STR(stored(RESOURCE_CIDR, "[fd09::5]/64"), "fd09::/64");
	EXPECT_STR(stored(RESOURCE_IP, "FD09:0::5"), "fd09::5");
	EXPECT_STR(stored(RESOURCE_CIDR, "0.0.0.0/0"), "");
	EXPECT_STR(stored(RESOURCE_CIDR, "::/0"), "");
	EXPECT_STR(stored(RESOURCE_CIDR, "100.64.0.0/10"), "");
	EXPECT_STR(stored(RESOURCE_CIDR, "100.0.0.0/8"), "");
	EXPECT_STR(stored(RESOURCE_IP, "100.64.1.2"), "");
	EXPECT_STR(stored(RESOURCE_IP, "127.0.0.1"), "");
	EXPECT_STR(stored(RESOURCE_IP, "::1"), "");
	EXPECT_STR(stored(RESOURCE_CIDR, "fd00:2021:1111::/64"), "");
	EXPECT_STR(stored(RESOURCE_CIDR, "10.0.0.0"), "");
	EXPECT_STR(stored(RESOURCE_CIDR, "10.0.0.0/33"), "");
	EXPECT_STR(stored(RESOURCE_CIDR, "10.0.0.0/"), "");
	EXPECT_STR(stored(RESOURCE_CIDR, "[fd09::/64"), "");
	EXPECT_STR(stored(RESOURCE_IP, "10.0.0.0/8"), "");
	EXPECT_STR(stored(RESOURCE_IP, "10.0.0.1:80"), "");
	EXPECT_STR(stored(RESOURCE_IP, "[fd09::1]:80"), "");
	EXPECT_STR(stored(RESOURCE_DNS, "example.com:443"), "");
	EXPECT_STR(stored(RESOURCE_DNS, "**foo.com"), "");
	EXPECT_STR(stored(RESOURCE_DNS, "*.com"), "");
	EXPECT_STR(stored(RESOURCE_DNS, "*.de"), "");
	EXPECT_STR(stored(RESOURCE_DNS, "**.*.com"), "");
	EXPECT_STR(stored(RESOURCE_DNS, "*"), "");
	EXPECT_STR(stored(RESOURCE_DNS, "foo.*"), "");
	EXPECT_STR(stored(RESOURCE_DNS, "db.localhost"), "");
	EXPECT_STR(stored(RESOURCE_DNS, "10.0.0.1"), "");
	EXPECT_STR(stored(RESOURCE_DNS, "-a.example.com"), "");
	EXPECT_STR(stored(RESOURCE_DNS, "a..example.com"), "");
	EXPECT_STR(stored(RESOURCE_DNS, "a b.example.com"), "");
	EXPECT_STR(stored(RESOURCE_DNS, ""), "");
	EXPECT_STR(stored(RESOURCE_DNS, "**.example.com"), "**.example.com");
	EXPECT_STR(stored(RESOURCE_DNS, "db-?.example.com"), "db-?.example.com");
	EXPECT_STR(stored(RESOURCE_DNS, "*.corp"), "*.corp");
	EXPECT_STR(stored(RESOURCE_DNS, "wiki"), "wiki");
	EXPECT_STR(stored(RESOURCE_DNS, "bücher.example"), "bücher.example");
}

TEST(spec60_11_only_dns_resources_have_an_ip_stack)
{
	struct resource r = resource_of(RESOURCE_DNS, "a.example.com");
	struct complaint c;

	EXPECT_EQ(check_resource(&r, &c), 0);
	EXPECT_EQ(r.ip_stack, STACK_DUAL);
	r.ip_stack = STACK_IPV4;
	EXPECT_EQ(check_resource(&r, &c), 0);
	EXPECT_EQ(r.ip_stack, STACK_IPV4);
	r.type = RESOURCE_IP;
	(void)text_set(&r.address, "10.0.0.1");
	EXPECT_EQ(check_resource(&r, &c), 0);
	EXPECT_EQ(r.ip_stack, STACK_NONE);
	entity_deinit(KIND_RESOURCE, &r);
}

TEST(filters_are_read_and_bad_ones_named)
{
	static const char *const bad[] = { "tcp:0", "tcp:65536", "tcp:9-8", "tcp:", "tcp:22,", "icmp:1", "gre", "tcp:1 tcp:2", "tcp:a", "udp:1-" };
	struct filter f[FILTERS_MAX];
	struct complaint c;

	EXPECT_EQ(filters_parse(NULL, f, &c), 0);
	EXPECT_EQ(filters_parse("icmp", f, &c), 1);
	REQUIRE(filters_parse("tcp:22,8000-9000 udp icmp", f, &c) == 4);
	EXPECT_EQ(f[1].first, 8000);
	EXPECT_EQ(f[1].last, 9000);
	EXPECT_EQ(f[2].protocol, PROTO_UDP);
	EXPECT(!f[2].has_ports);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		EXPECT_EQ(filters_parse(bad[i], f, &c), ERR_INVAL);
}

TEST(filters_have_a_limit)
{
	char text[8 * (FILTERS_MAX + 2)] = "tcp:1";
	struct filter f[FILTERS_MAX];
	struct complaint c;

	for (u32 i = 1; i < FILTERS_MAX; i++)
		strcat(text, ",2");
	EXPECT_EQ(filters_parse(text, f, &c), (int)FILTERS_MAX);
	strcat(text, ",2");
	EXPECT_EQ(filters_parse(text, f, &c), ERR_INVAL);
}

/* ---- accounts, actors ---- */

static int account_with_dns(enum dns_type type, const char *servers)
{
	struct complaint c;
	struct account a;

	entity_init(KIND_ACCOUNT, &a);
	(void)text_set(&a.name, "Acme");
	(void)text_set(&a.slug, "Acme");
	(void)text_set(&a.dns_addresses, servers);
	a.dns_type = (int)type;
	int rc = check_account(&a, &c);
	entity_deinit(KIND_ACCOUNT, &a);
	return rc;
}

TEST(spec60_3_upstream_dns_servers_are_checked)
{
	EXPECT_EQ(account_with_dns(DNS_CUSTOM, "9.9.9.9 2620:fe::fe"), 0);
	EXPECT_EQ(account_with_dns(DNS_SYSTEM, NULL), 0);
	EXPECT_EQ(account_with_dns(DNS_CUSTOM, NULL), ERR_INVAL);
	EXPECT_EQ(account_with_dns(DNS_CUSTOM, "9.9.9.9:53"), ERR_INVAL);
	EXPECT_EQ(account_with_dns(DNS_CUSTOM, "9.9.9.9 9.9.9.9"), ERR_INVAL);
	EXPECT_EQ(account_with_dns(DNS_CUSTOM, "100.100.0.1"), ERR_INVAL);
	EXPECT_EQ(account_with_dns(DNS_CUSTOM, "fd00:2021:1111:8000::1"), ERR_INVAL);
	EXPECT_EQ(account_with_dns(DNS_CUSTOM, "dns.example"), ERR_INVAL);
}

static int search_domain(const char *domain)
{
	struct complaint c;
	struct account a;

	entity_init(KIND_ACCOUNT, &a);
	(void)text_set(&a.name, "Acme");
	(void)text_set(&a.slug, "acme");
	(void)text_set(&a.search_domain, domain);
	int rc = check_account(&a, &c);
	entity_deinit(KIND_ACCOUNT, &a);
	return rc;
}

TEST(search_domain_is_a_full_name)
{
	EXPECT_EQ(search_domain("corp.example.com"), 0);
	EXPECT_EQ(search_domain(".example.com"), ERR_INVAL);
	EXPECT_EQ(search_domain("a..b.com"), ERR_INVAL);
	EXPECT_EQ(search_domain("example"), ERR_INVAL);
	EXPECT_EQ(search_domain("10.0.0.1"), ERR_INVAL);
}

static int actor_of(enum actor_type type, const char *email)
{
	struct complaint c;
	struct actor a;

	entity_init(KIND_ACTOR, &a);
	a.type = (int)type;
	(void)text_set(&a.name, " Jo ");
	(void)text_set(&a.email, email);
	int rc = check_actor(&a, &c);
	entity_deinit(KIND_ACTOR, &a);
	return rc;
}

TEST(spec60_4_people_have_an_email_and_machines_none)
{
	EXPECT_EQ(actor_of(ACTOR_USER, "jo@example.com"), 0);
	EXPECT_EQ(actor_of(ACTOR_ADMIN, NULL), ERR_INVAL);
	EXPECT_EQ(actor_of(ACTOR_USER, "jo@localhost"), ERR_INVAL);
	EXPECT_EQ(actor_of(ACTOR_USER, "@example.com"), ERR_INVAL);
	EXPECT_EQ(actor_of(ACTOR_SERVICE, NULL), 0);
	EXPECT_EQ(actor_of(ACTOR_SERVICE, "jo@example.com"), ERR_INVAL);
	EXPECT_EQ(actor_of(ACTOR_API, "jo@example.com"), ERR_INVAL);
}

/* ---- conditions ---- */

/* One zone, two hours ahead of UTC. */
static int fixed_offset(void *ctx, struct span zone, i64 utc, i64 *offset)
{
	(void)ctx;
	(void)utc;
	*offset = 7200;
	return zone.n == 6 && memcmp(zone.p, "Test/2", 6) == 0 ? 0 : ERR_NOT_FOUND;
}

static const struct zones zones = { fixed_offset, NULL };

static struct subject someone(void)
{
	struct subject s = { .expires_at = 2000000000, .zones = &zones, .remote_ip = ip4(10, 1, 2, 3), .region = "DE" };

	s.version = version_read("1.5.8");
	return s;
}

#define THURSDAY 0 /* 1970-01-01 */

static i64 until(const char *conditions, const struct subject *s, i64 now)
{
	u32 violated = 0;
	i64 expires_at;

	return conditions_hold(conditions, s, now, &expires_at, &violated) ? expires_at : -1;
}

TEST(spec60_39_unknown_region_fails_both_operators)
{
	struct subject s = someone();

	EXPECT(until("remote_ip_location_region is_in DE AT", &s, 0) == ACCESS_FOREVER);
	EXPECT_EQ(until("remote_ip_location_region is_not_in DE", &s, 0), -1);
	s.region[0] = '\0';
	EXPECT_EQ(until("remote_ip_location_region is_in DE", &s, 0), -1);
	EXPECT_EQ(until("remote_ip_location_region is_not_in DE", &s, 0), -1);
}

TEST(conditions_on_address_provider_and_verification)
{
	struct subject s = someone();

	EXPECT(until(NULL, &s, 0) == ACCESS_FOREVER);
	EXPECT(until("remote_ip is_in_cidr 192.0.2.1 10.0.0.0/8", &s, 0) == ACCESS_FOREVER);
	EXPECT_EQ(until("remote_ip is_in_cidr fd00::/8", &s, 0), -1);
	EXPECT(until("remote_ip is_not_in_cidr fd00::/8", &s, 0) == ACCESS_FOREVER);
	EXPECT_EQ(until("auth_provider_id is_in 0b8c1d2e-0000-4000-8000-000000000001", &s, 0), -1);
	EXPECT(until("auth_provider_id is_not_in 0b8c1d2e-0000-4000-8000-000000000001", &s, 0) == ACCESS_FOREVER);
	EXPECT_EQ(until("client_verified is true", &s, 0), -1);
	EXPECT(until("client_verified is false", &s, 0) == ACCESS_FOREVER);
	s.is_verified = true;
	EXPECT(until("client_verified is true", &s, 0) == ACCESS_FOREVER);
}

TEST(failing_conditions_are_all_named)
{
	struct subject s = someone();
	u32 violated = 0;
	i64 expires_at;

	EXPECT(!conditions_hold("remote_ip is_in_cidr 192.0.2.0/24\nclient_verified is true\nremote_ip_location_region is_in DE", &s, 0,
				&expires_at, &violated));
	EXPECT_EQ(violated, 1u << PROP_REMOTE_IP | 1u << PROP_VERIFIED);
}

TEST(spec60_40_touching_ranges_are_merged_before_the_expiry)
{
	struct subject s = someone();
	i64 ten = THURSDAY + 8 * 3600; /* 10:00 in Test/2 */

	EXPECT_EQ(until("current_utc_datetime is_in_day_of_week_time_ranges R/9-12,12-17/Test/2", &s, ten), 15 * 3600);
	EXPECT_EQ(until("current_utc_datetime is_in_day_of_week_time_ranges R/12-17,9-12/Test/2", &s, ten), 15 * 3600);
	EXPECT_EQ(until("current_utc_datetime is_in_day_of_week_time_ranges R/9-11,12-17/Test/2", &s, ten), 9 * 3600);
	EXPECT_EQ(until("current_utc_datetime is_in_day_of_week_time_ranges R/true/Test/2", &s, ten), 22 * 3600 - 1);
	/* a client that asks again in the very second in which its access ended */
	EXPECT_EQ(until("current_utc_datetime is_in_day_of_week_time_ranges R/9-17/Test/2", &s, 15 * 3600 - 1), 15 * 3600);
	EXPECT_EQ(until("current_utc_datetime is_in_day_of_week_time_ranges R/9-17/Test/2", &s, 15 * 3600), -1);
	EXPECT_EQ(until("current_utc_datetime is_in_day_of_week_time_ranges R/11-17/Test/2", &s, ten), -1);
	EXPECT_EQ(until("current_utc_datetime is_in_day_of_week_time_ranges F/9-17/Test/2", &s, ten), -1);
	EXPECT_EQ(until("current_utc_datetime is_in_day_of_week_time_ranges R/9-17/No/Zone", &s, ten), -1);
	/* 23:00 UTC on Thursday is Friday there */
	EXPECT_EQ(until("current_utc_datetime is_in_day_of_week_time_ranges F/0-2/Test/2", &s, 23 * 3600), 24 * 3600);
}

static int policy_with(const char *conditions)
{
	struct complaint c;
	struct policy p;

	entity_init(KIND_POLICY, &p);
	p.resource_id.b[0] = 1;
	(void)text_set(&p.conditions, conditions);
	int rc = check_policy(&p, &c);
	entity_deinit(KIND_POLICY, &p);
	return rc;
}

TEST(conditions_are_checked_before_they_are_stored)
{
	static const char *const bad[] = {
		"colour is red",
		"remote_ip is_in 10.0.0.0/8",
		"remote_ip is_in_cidr",
		"remote_ip is_in_cidr 10.0.0.1/8",
		"remote_ip is_in_cidr ten",
		"remote_ip_location_region is_in Germany",
		"client_verified is maybe",
		"client_verified is true false",
		"auth_provider_id is_in google",
		"current_utc_datetime is_in_day_of_week_time_ranges X/9-17/UTC",
		"current_utc_datetime is_in_day_of_week_time_ranges M/17-9/UTC",
		"current_utc_datetime is_in_day_of_week_time_ranges M/9-25/UTC",
		"current_utc_datetime is_in_day_of_week_time_ranges M/9-17",
		"client_verified is true\nclient_verified is false",
	};

	EXPECT_EQ(policy_with("current_utc_datetime is_in_day_of_week_time_ranges M/9:30-17:00:15,true/Europe/Berlin\n"
			      "remote_ip is_not_in_cidr 192.0.2.0/24 2001:db8::1"),
		  0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		EXPECT_EQ(policy_with(bad[i]), ERR_INVAL);
}

/* ---- access ---- */

static const struct uuid acme = { { 0xac } };

static struct uuid id_of(u8 n)
{
	return (struct uuid){ { n } };
}

static struct entity entity_of(u8 n)
{
	return (struct entity){ .account_id = acme, .id = id_of(n) };
}

static void put(struct directory *d, enum kind k, const void *e)
{
	void *old;

	EXPECT_EQ(directory_put(d, k, e, &old), 0);
	entity_free(k, old);
}

enum { USER = 1, SERVICE, ALL, TEAM, SITE, LAB, WIKI, NET, P_ALL_LAB, P_TEAM_WIKI, P_ALL_NET, P_TEAM_LAB, MEMBER };

static void put_policy(struct directory *d, u8 id, u8 group, u8 resource, const char *conditions, i64 disabled_at)
{
	struct policy p = { .e = entity_of(id), .group_id = id_of(group), .resource_id = id_of(resource), .disabled_at = disabled_at };

	p.conditions = (char *)(uintptr_t)conditions;
	put(d, KIND_POLICY, &p);
}

/* A user and a service account; the service account is in the team; Everyone may use the lab, the team the wiki. */
static void fill(struct directory *d)
{
	struct actor user = { .e = entity_of(USER), .name = "Jo" };
	struct actor service = { .e = entity_of(SERVICE), .type = ACTOR_SERVICE, .name = "backup" };
	struct group all = { .e = entity_of(ALL), .type = GROUP_MANAGED, .name = EVERYONE };
	struct group team = { .e = entity_of(TEAM), .name = "team" };
	struct membership member = { .e = entity_of(MEMBER), .actor_id = id_of(SERVICE), .group_id = id_of(TEAM) };
	struct site site = { .e = entity_of(SITE), .name = "Berlin" };
	struct resource lab = { .e = entity_of(LAB), .site_id = id_of(SITE), .type = RESOURCE_CIDR, .name = "lab", .address = "10.9.0.0/24" };
	struct resource wiki = { .e = entity_of(WIKI), .site_id = id_of(SITE), .name = "wiki", .address = "wiki.example.com" };
	struct resource net = { .e = entity_of(NET), .site_id = id_of(SITE), .type = RESOURCE_INTERNET, .name = "Internet" };

	directory_init(d);
	put(d, KIND_ACTOR, &user);
	put(d, KIND_ACTOR, &service);
	put(d, KIND_GROUP, &all);
	put(d, KIND_GROUP, &team);
	put(d, KIND_MEMBERSHIP, &member);
	put(d, KIND_SITE, &site);
	put(d, KIND_RESOURCE, &lab);
	put(d, KIND_RESOURCE, &wiki);
	put(d, KIND_RESOURCE, &net);
	put_policy(d, P_ALL_LAB, ALL, LAB, NULL, 0);
	put_policy(d, P_TEAM_WIKI, TEAM, WIKI, NULL, 0);
}

static struct subject subject_of(u8 actor)
{
	struct subject s = someone();

	s.account_id = acme;
	s.actor_id = id_of(actor);
	return s;
}

TEST(spec60_5_everyone_holds_people_without_rows_and_no_machines)
{
	struct subject user = subject_of(USER), service = subject_of(SERVICE);
	const struct resource *list[8];
	struct directory d;

	fill(&d);
	REQUIRE(access_list(&d, &user, 0, list, 8) == 1);
	EXPECT(uuid_eq(&list[0]->e.id, &(struct uuid){ { LAB } }));
	REQUIRE(access_list(&d, &service, 0, list, 8) == 1);
	EXPECT(uuid_eq(&list[0]->e.id, &(struct uuid){ { WIKI } }));
	directory_deinit(&d);
}

TEST(spec60_42_the_policy_that_lasts_longest_is_chosen_and_capped_by_the_token)
{
	struct subject s = subject_of(SERVICE);
	struct uuid lab = id_of(LAB);
	struct directory d;
	struct grant g;
	u32 violated;
	i64 ten = 8 * 3600;

	fill(&d);
	EXPECT_EQ(access_grant(&d, &s, &lab, ten, &g, &violated), ERR_NOT_FOUND);
	put_policy(&d, P_TEAM_LAB, TEAM, LAB, "current_utc_datetime is_in_day_of_week_time_ranges R/9-17/Test/2", 0);
	REQUIRE(access_grant(&d, &s, &lab, ten, &g, &violated) == 0);
	EXPECT_EQ(g.expires_at, 15 * 3600);
	EXPECT(uuid_eq(&g.membership_id, &(struct uuid){ { MEMBER } }));

	struct membership again = { .e = entity_of(MEMBER + 1), .actor_id = id_of(SERVICE), .group_id = id_of(TEAM + 100) };
	struct group other = { .e = entity_of(TEAM + 100), .name = "other" };
	put(&d, KIND_GROUP, &other);
	put(&d, KIND_MEMBERSHIP, &again);
	put_policy(&d, 200, TEAM + 100, LAB, NULL, 0);
	REQUIRE(access_grant(&d, &s, &lab, ten, &g, &violated) == 0);
	EXPECT_EQ(g.expires_at, s.expires_at);
	EXPECT(uuid_eq(&g.policy->e.id, &(struct uuid){ { 200 } }));

	put_policy(&d, 200, TEAM + 100, LAB, "client_verified is true", 0);
	EXPECT_EQ(access_grant(&d, &s, &lab, 3600, &g, &violated), ERR_DENIED);
	EXPECT_EQ(violated, 1u << PROP_TIME | 1u << PROP_VERIFIED);
	directory_deinit(&d);
}

TEST(disabled_policies_and_lost_groups_grant_nothing)
{
	struct subject s = subject_of(USER);
	const struct resource *list[8];
	struct directory d;

	fill(&d);
	put_policy(&d, P_ALL_LAB, ALL, LAB, NULL, 1);
	EXPECT_EQ(access_list(&d, &s, 0, list, 8), 0);
	put_policy(&d, P_ALL_LAB, 0, LAB, NULL, 0);
	EXPECT_EQ(access_list(&d, &s, 0, list, 8), 0);
	put_policy(&d, P_ALL_LAB, ALL, LAB, NULL, 0);
	EXPECT_EQ(access_list(&d, &s, 0, list, 8), 1);
	s.account_id = id_of(99);
	EXPECT_EQ(access_list(&d, &s, 0, list, 8), 0);
	directory_deinit(&d);
}

TEST(spec60_51_internet_is_hidden_from_old_versions)
{
	struct subject s = subject_of(USER);
	const struct resource *list[8];
	struct directory d;

	fill(&d);
	put_policy(&d, P_ALL_NET, ALL, NET, NULL, 0);
	EXPECT_EQ(access_list(&d, &s, 0, list, 8), 2);
	s.version = version_read("1.2.9");
	EXPECT_EQ(access_list(&d, &s, 0, list, 8), 1);
	s.version = version_read("");
	EXPECT_EQ(access_list(&d, &s, 0, list, 8), 2);
	directory_deinit(&d);
}

/* The list is made from the actor's groups, a grant from the resource's policies: they must agree whatever came and went. */
TEST(the_list_holds_what_is_granted_and_nothing_else)
{
	enum { N = 12, ACTORS = 1, GROUPS = ACTORS + N, RESOURCES = GROUPS + N, POLICIES = RESOURCES + N, MEMBERS = POLICIES + 4 * N };
	const struct resource *list[4 * N];
	struct rng_seeded rng;
	struct directory d;
	u32 listed = 0;

	rng_seeded_init(&rng, 5);
	directory_init(&d);
	for (u8 i = 0; i < N; i++) {
		struct actor a = { .e = entity_of(ACTORS + i), .name = "a", .type = i % 3 ? ACTOR_USER : ACTOR_SERVICE };
		struct group g = { .e = entity_of(GROUPS + i), .name = i ? "g" : EVERYONE, .type = i ? GROUP_STATIC : GROUP_MANAGED };
		struct resource r = { .e = entity_of(RESOURCES + i), .name = "r", .address = "r", .site_id = id_of(i % 4 ? 250 : 0) };
		put(&d, KIND_ACTOR, &a);
		put(&d, KIND_GROUP, &g);
		put(&d, KIND_RESOURCE, &r);
	}
	for (u32 step = 0; step < 2000; step++) {
		u8 slot = (u8)rng_below(&rng.rng, 4 * N), group = (u8)(GROUPS + rng_below(&rng.rng, N)), kind = (u8)rng_below(&rng.rng, 4);
		struct membership m = { .e = entity_of((u8)(MEMBERS + slot)), .actor_id = id_of((u8)(ACTORS + rng_below(&rng.rng, N))),
					.group_id = id_of(group) };
		if (kind == 0)
			put_policy(&d, (u8)(POLICIES + slot), group, (u8)(RESOURCES + rng_below(&rng.rng, N)),
				   slot % 5 ? NULL : "client_verified is true", slot % 7 == 0);
		else if (kind == 1)
			put(&d, KIND_MEMBERSHIP, &m);
		else if (rng_below(&rng.rng, 3) == 0)
			entity_free(kind == 2 ? KIND_POLICY : KIND_MEMBERSHIP,
				    directory_take(&d, kind == 2 ? KIND_POLICY : KIND_MEMBERSHIP, &acme,
						   &(struct uuid){ { (u8)((kind == 2 ? POLICIES : MEMBERS) + slot) } }));
		struct subject s = subject_of((u8)(ACTORS + step % N));
		u32 n = access_list(&d, &s, 0, list, ARRAY_LEN(list)), at = 0;
		for (u8 i = 0; i < N; i++) {
			struct uuid id = id_of(RESOURCES + i);
			struct grant g;
			u32 violated;
			bool is_granted = access_grant(&d, &s, &id, 0, &g, &violated) == 0 && i % 4 != 0; /* the others are in no site */
			bool is_listed = at < n && uuid_eq(&list[at]->e.id, &id);
			if (!EXPECT_EQ(is_listed, is_granted))
				return;
			at += is_listed;
		}
		EXPECT_EQ(at, n);
		listed += n;
	}
	EXPECT(listed > 1000);
	directory_deinit(&d);
}

/* ---- versions, places ---- */

static bool fits(const char *client, const char *gateway)
{
	struct version c = version_read(client), g = version_read(gateway);

	return version_is_compatible(&c, &g);
}

TEST(spec60_44_a_client_is_matched_with_gateways_one_minor_around)
{
	EXPECT(fits("1.5.8", "1.4.0"));
	EXPECT(fits("1.5.8", "1.5.2"));
	EXPECT(fits("1.5.8", "1.6.9"));
	EXPECT(!fits("1.5.8", "1.3.9"));
	EXPECT(!fits("1.5.8", "1.7.0"));
	EXPECT(!fits("1.5.8", "2.5.0"));
	EXPECT(fits("", "9.9.9"));
	EXPECT(!fits("abc", "1.5.0"));
	EXPECT(!fits("1.5.8", ""));
	EXPECT(fits("1.0.0", "1.0.0"));
}

TEST(spec60_36_who_can_change_sites_in_place)
{
	struct version v = version_read("1.5.8"), w = version_read("1.5.9"), a = version_read("1.5.5");

	EXPECT(!version_can_change_sites(&v, "Debian/12.0.0 headless-client/1.5.8"));
	EXPECT(version_can_change_sites(&w, "Debian/12.0.0 headless-client/1.5.9"));
	EXPECT(!version_can_change_sites(&v, "Mac OS/15 apple-client/1.5.8"));
	EXPECT(version_can_change_sites(&a, "Android/15 android-client/1.5.5"));
}

TEST(distance_is_haversine)
{
	struct place berlin = place_parse(SPAN_STR("52.52,13.405")), paris = place_parse(SPAN_STR("48.8566,2.3522"));
	struct place nowhere = place_parse(SPAN_STR("here"));
	double km = place_distance(&berlin, &paris);

	EXPECT(km > 876 && km < 879);
	EXPECT(!nowhere.is_known);
	EXPECT(place_distance(&berlin, &nowhere) > 1e9);
	EXPECT(!place_parse(SPAN_STR("91,0")).is_known);
	EXPECT(!place_parse(SPAN_STR("1,2,3")).is_known);
}

/* ---- behind proxies ---- */

static const char *real_ip(const char *peer, const char *header)
{
	static char text[IP_STRLEN];
	struct cidr proxies[2], client;
	const struct forwarders f = { .proxies = proxies, .n_proxies = 2, .clients = &client, .n_clients = 1 };
	struct ip ip;

	EXPECT_EQ(cidr_parse(SPAN_STR("10.0.0.0/8"), &proxies[0]), 0);
	EXPECT_EQ(cidr_parse(SPAN_STR("fd00::/8"), &proxies[1]), 0);
	EXPECT_EQ(cidr_parse(SPAN_STR("10.7.0.0/16"), &client), 0);
	EXPECT_EQ(ip_parse(SPAN(peer, strlen(peer)), &ip), 0);
	ip = forwarded_real_ip(ip, header ? SPAN(header, strlen(header)) : SPAN_NONE, &f);
	return ip_format(&ip, text);
}

TEST(the_right_most_untrusted_address_is_the_real_one)
{
	EXPECT_STR(real_ip("198.51.100.1", "203.0.113.9"), "198.51.100.1"); /* anybody can write a header */
	EXPECT_STR(real_ip("10.0.0.1", "203.0.113.9"), "203.0.113.9");
	EXPECT_STR(real_ip("10.0.0.1", "1.2.3.4, 203.0.113.9, 10.0.0.2"), "203.0.113.9");
	EXPECT_STR(real_ip("10.0.0.1", "203.0.113.9:4711"), "203.0.113.9");
	EXPECT_STR(real_ip("fd00::1", "[2001:db8::9]:4711"), "2001:db8::9");
	EXPECT_STR(real_ip("fd00::1", "[2001:db8::9]"), "2001:db8::9");
	EXPECT_STR(real_ip("fd00::1", "2001:db8:1:2:3:4:5:9:4711"), "2001:db8:1:2:3:4:5:9");
	EXPECT_STR(real_ip("10.0.0.1", "unknown"), "10.0.0.1");
	EXPECT_STR(real_ip("10.0.0.1", "203.0.113.9, unknown, 10.0.0.2"), "10.0.0.2");
	EXPECT_STR(real_ip("10.0.0.1", ""), "10.0.0.1");
	EXPECT_STR(real_ip("10.0.0.1", NULL), "10.0.0.1");
	EXPECT_STR(real_ip("10.0.0.1", "10.0.0.3"), "10.0.0.3");
	EXPECT_STR(real_ip("10.0.0.1", "203.0.113.9, 10.7.0.3"), "10.7.0.3"); /* a client that is said to be one */
	EXPECT_STR(real_ip("10.7.0.3", "203.0.113.9"), "10.7.0.3");
}
