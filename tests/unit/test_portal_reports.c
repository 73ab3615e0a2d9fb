/* What the portal makes of the reports of gateways: whom it believes, what it remembers, what it counts (spec 10 §15). */
#include "applets/portal/model/latency.h"
#include "tests/unit/portal_scene.h"

#define HOUR_US 3600000000ll

static void report(struct fake *g, const char *client, const char *path, const char *more)
{
	char payload[400];

	snprintf(payload, sizeof(payload), "{'connections':[{'client_id':'%s','path':'%s',%s}]}", client, path, more);
	say(g, "connections_report", payload);
	EXPECT_NOTHING(g); /* no reply */
}

static struct uuid id_of(const char *text)
{
	struct uuid id = { 0 };

	EXPECT_EQ(uuid_parse(SPAN(text, strlen(text)), &id), 0);
	return id;
}

struct known {
	struct scene s;
	struct hub *h;
	struct uuid account, client, gateway;
	char client_id[40], gateway_id[40];
};

/* Only a flow gives a gateway something to do with a client. */
static struct known known(bool has_flow)
{
	struct known k = { .s = scene() };

	k.h = k.s.w->portal.hub;
	snprintf(k.client_id, sizeof(k.client_id), "%s", admin_value(k.s.w, "client show laptop", "id"));
	snprintf(k.gateway_id, sizeof(k.gateway_id), "%s", admin_value(k.s.w, "gateway show gw", "id"));
	k.client = id_of(k.client_id);
	k.gateway = id_of(k.gateway_id);
	k.account = id_of(admin_value(k.s.w, "account show acme", "id"));
	if (has_flow)
		make_flow(&k.s);
	return k;
}

static int take_sum(void *ctx, i64 at, i64 value)
{
	(void)at;
	*(i64 *)ctx += value;
	return 0;
}

/* In `hours` hours from the present one back. */
static i64 sum_of(struct known *k, const char *name, unsigned hours)
{
	i64 now = (i64)(portal_wall / 1000), end = now - now % HOUR_US + HOUR_US, sum = 0;

	EXPECT_EQ(store_stats(k->s.w->portal.store, &k->account, name, end - hours * HOUR_US, end, take_sum, &sum), 0);
	return sum;
}

static bool path(struct known *k, struct hub_path *out)
{
	return hub_path(k->h, &k->account, &k->gateway, &k->client, out);
}

static int count_path(void *ctx, const struct hub_path *p)
{
	(void)p;
	++*(int *)ctx;
	return 0;
}

TEST(gateways_are_asked_for_reports_and_clients_are_not)
{
	struct scene s = scene_without_peers();

	s.g = join_gateway(s.w, s.gateway_token, "gw", 'g');
	EXPECT_EVENT(s.g, "init");
	EXPECT_STR(heard(s.g, "emberbox.report_interval_secs"), "60");
	s.c = join_client(s.w, s.client_token, "laptop", 'c');
	EXPECT_EVENT(s.c, "init");
	EXPECT_STR(heard(s.c, "emberbox"), "");
	portal_free(s.w);
}

TEST(the_latest_report_of_a_connection_is_known_until_it_is_gone)
{
	struct known k = known(true);
	struct hub_path p;
	int n = 0;

	EXPECT(!path(&k, &p));
	EXPECT(!hub_reports(k.h, &k.account, &k.gateway));
	report(k.s.g, k.client_id, "relayed", "'rtt_ms':40,'rx_bytes':1000,'tx_bytes':50");
	REQUIRE(path(&k, &p));
	EXPECT(p.is_relayed && p.has_rtt);
	EXPECT_EQ(p.rtt_ms, 40);
	EXPECT_STR(p.gateway_name, "gw");
	EXPECT(hub_reports(k.h, &k.account, &k.gateway));
	report(k.s.g, k.client_id, "direct", "'rx_bytes':1,'tx_bytes':2");
	REQUIRE(path(&k, &p));
	EXPECT(!p.is_relayed && !p.has_rtt);
	EXPECT_EQ(hub_paths_of_client(k.h, &k.account, &k.client, count_path, &n), 0);
	EXPECT_EQ(hub_paths_of_gateway(k.h, &k.account, &k.gateway, count_path, &n), 0);
	EXPECT_EQ(n, 2);
	report(k.s.g, k.client_id, "gone", "'rx_bytes':7,'tx_bytes':0");
	EXPECT(!path(&k, &p));
	tick(k.s.w, SEC(15));
	EXPECT_EQ(sum_of(&k, "bytes_in", 1), 1008);
	EXPECT_EQ(sum_of(&k, "bytes_out", 1), 52);
	portal_free(k.s.w);
}

TEST(spec10_74_a_gateway_is_believed_only_about_clients_it_has_to_do_with)
{
	struct known k = known(false);
	struct hub_path p;

	/* of the account, but nothing authorized */
	report(k.s.g, k.client_id, "direct", "'rx_bytes':1000,'tx_bytes':1000");
	EXPECT(!path(&k, &p));
	/* nobody's */
	report(k.s.g, "00000000-0000-4000-8000-000000000001", "direct", "'rx_bytes':1000,'tx_bytes':1000");
	/* another account's */
	EXPECT_EQ(admin(k.s.w, "account add --name Evil --admin-email eve@evil.example"), 0);
	struct fake *foreign = join_gateway(k.s.w, token_for(k.s.w, "--account evil --site 'Default Site'"), "lair", 'e');
	REQUIRE(foreign != NULL);
	EXPECT_EVENT(foreign, "init");
	make_flow(&k.s);
	report(foreign, k.client_id, "relayed", "'rx_bytes':1000,'tx_bytes':1000");
	EXPECT(!path(&k, &p));
	tick(k.s.w, SEC(15));
	EXPECT_EQ(sum_of(&k, "bytes_in", 1), 0);
	report(k.s.g, k.client_id, "direct", "'rx_bytes':5,'tx_bytes':5");
	EXPECT(path(&k, &p));
	portal_free(k.s.w);
}

TEST(what_nobody_speaks_of_any_more_is_gone_and_so_is_what_a_gateway_that_left_said)
{
	struct known k = known(true);
	struct hub_path p;

	report(k.s.g, k.client_id, "direct", "'rx_bytes':0,'tx_bytes':0");
	for (int i = 0; i < 4; i++) {
		EXPECT(path(&k, &p));
		tick(k.s.w, SEC(30));
		say_topic(k.s.g, "phoenix", "heartbeat", "{}");
		say_topic(k.s.c, "phoenix", "heartbeat", "{}");
	}
	for (int i = 0; i < 5; i++) {
		tick(k.s.w, SEC(30));
		say_topic(k.s.g, "phoenix", "heartbeat", "{}");
		say_topic(k.s.c, "phoenix", "heartbeat", "{}");
	}
	EXPECT(!path(&k, &p));
	while (*hear(k.s.g))
		;
	report(k.s.g, k.client_id, "direct", "'rx_bytes':0,'tx_bytes':0");
	EXPECT(path(&k, &p));
	hang_up(k.s.g);
	EXPECT(!path(&k, &p));
	portal_free(k.s.w);
}

TEST(seconds_and_round_trips_are_counted_in_the_hour_they_were_spent)
{
	struct known k = known(true);
	u64 to_hour = HOUR_US * 1000ull - portal_wall % (HOUR_US * 1000ull);

	/* 20 s before the full hour */
	portal_wall += to_hour - SEC(20);
	report(k.s.g, k.client_id, "direct", "'rtt_ms':12,'rx_bytes':100,'tx_bytes':0");
	tick(k.s.w, SEC(10));
	report(k.s.g, k.client_id, "relayed", "'rtt_ms':45,'rx_bytes':100,'tx_bytes':0");
	tick(k.s.w, SEC(20));
	report(k.s.g, k.client_id, "relayed", "'rtt_ms':46,'rx_bytes':1,'tx_bytes':0");
	tick(k.s.w, SEC(15));
	EXPECT_EQ(sum_of(&k, "bytes_in", 1), 1);
	EXPECT_EQ(sum_of(&k, "bytes_in", 2), 201);
	EXPECT_EQ(sum_of(&k, "seconds_direct", 2), 10);
	EXPECT_EQ(sum_of(&k, "seconds_relayed", 2), 20);
	EXPECT_EQ(sum_of(&k, "seconds_direct", 1), 0);
	char name[TRAFFIC_NAME_MAX];
	EXPECT_EQ(sum_of(&k, traffic_name(TRAFFIC_BUCKETS + latency_bucket(12), name), 2), 1);
	EXPECT_EQ(sum_of(&k, traffic_name(TRAFFIC_BUCKETS + latency_bucket(45), name), 2), 2);
	portal_free(k.s.w);
}

TEST(sums_of_a_lying_gateway_stay_within_bounds)
{
	struct known k = known(true);

	for (int i = 0; i < 40; i++) {
		report(k.s.g, k.client_id, "direct", "'rx_bytes':9007199254740992,'tx_bytes':0");
		EXPECT_EQ(store_stat_add(k.s.w->portal.store, &k.account, "bytes_in", portal_wall, (i64)1 << 60), 0);
	}
	tick(k.s.w, SEC(15));
	EXPECT_EQ(sum_of(&k, "bytes_in", 1), (i64)1 << 62);
	portal_free(k.s.w);
}

TEST(percentiles_come_out_of_buckets)
{
	u64 counts[LATENCY_BUCKETS] = { 0 };

	EXPECT_EQ(latency_percentile(counts, 50), 0);
	EXPECT_EQ(latency_bucket(0), 0);
	EXPECT_EQ(latency_bucket(1), 1);
	EXPECT_EQ(latency_bucket(60000), LATENCY_BUCKETS - 1);
	for (u32 ms = 1; ms <= 100; ms++)
		counts[latency_bucket(ms)]++;
	for (u32 percent = 1; percent <= 100; percent++) {
		u32 p = latency_percentile(counts, percent);
		EXPECT(p + 2 >= percent && p <= percent + 2);
	}
	counts[LATENCY_BUCKETS - 1] += 1000;
	EXPECT_EQ(latency_percentile(counts, 95), 1000); /* or more */
	counts[3] = UINT64_MAX;
	EXPECT_EQ(latency_percentile(counts, 50), 2 + 0);
}
