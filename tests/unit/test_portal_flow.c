/* Flows: judged, brokered, answered, timed out; candidates between the ends. */
#include "tests/unit/portal_scene.h"

/* ---- flows --------------------------------------------------------------------------------------------------------------------------- */

TEST(spec60_41_a_flow_is_brokered)
{
	struct scene s = scene();
	char psk[64], ice[64];

	ask_flow(&s, s.resource);
	EXPECT_EVENT(s.g, "authorize_flow");
	EXPECT_STR(heard(s.g, "client.ipv4"), "100.64.0.2");
	EXPECT_STR(heard(s.g, "client.version"), "1.5.8");
	EXPECT_STR(heard(s.g, "client.device_os_name"), "Debian");
	EXPECT_STR(heard(s.g, "client.device_os_version"), "12.0.0");
	EXPECT_STR(heard(s.g, "subject.actor_email"), "jo@acme.example");
	EXPECT_STR(heard(s.g, "resource.address"), "10.9.0.0/24");
	EXPECT_STR(heard(s.g, "expires_at"), "1800864000");
	snprintf(psk, sizeof(psk), "%s", heard(s.g, "client.preshared_key"));
	snprintf(ice, sizeof(ice), "%s", heard(s.g, "client_ice_credentials.password"));
	EXPECT_NOTHING(s.c);
	answer_flow(&s);
	EXPECT_EVENT(s.c, "flow_created");
	EXPECT_STR(heard(s.c, "preshared_key"), psk);
	EXPECT_STR(heard(s.c, "client_ice_credentials.password"), ice);
	EXPECT_STR(heard(s.c, "gateway_ipv4"), "100.64.0.1");
	EXPECT_STR(heard(s.c, "resource_id"), s.resource);
	/* the same keys again: the connection is to be reused */
	make_flow(&s);
	EXPECT_STR(heard(s.c, "preshared_key"), psk);
	portal_free(s.w);
}

TEST(spec10_62_failures_are_told_in_their_order)
{
	struct scene s = scene();

	expect_failure(&s, "0b8c1d2e-0000-4000-8000-000000000001", "not_found");
	hang_up(s.g);
	expect_failure(&s, s.resource, "offline");
	struct connect old = { .role = MSG_ROLE_GATEWAY, .token = s.gateway_token, .external_id = "old", .key = 'o', .user_agent = "x gateway/1.3.0" };
	s.g = connect_as(s.w, &old);
	join(s.g, "null");
	expect_failure(&s, s.resource, "version_mismatch");
	portal_free(s.w);
}

static struct fake *gateway_of_version(struct scene *s, const char *user_agent)
{
	struct connect c = { .role = MSG_ROLE_GATEWAY, .token = s->gateway_token, .external_id = user_agent, .key = 'v', .user_agent = user_agent };
	struct fake *f = connect_as(s->w, &c);

	join(f, "null");
	EXPECT_EVENT(f, "phx_reply");
	EXPECT_EVENT(f, "init");
	return f;
}

TEST(spec10_64_gateways_from_one_minor_below_to_one_above_the_client)
{
	static const struct {
		const char *user_agent;
		bool is_fit;
	} cases[] = { { "x gateway/1.3.9", false }, { "x gateway/1.4.0", true }, { "x gateway/1.6.0", true }, { "x gateway/1.7.0", false } };
	struct scene s = scene();

	hang_up(s.g);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		s.g = gateway_of_version(&s, cases[i].user_agent);
		if (cases[i].is_fit) {
			ask_flow(&s, s.resource);
			EXPECT_EVENT(s.g, "authorize_flow");
		} else {
			expect_failure(&s, s.resource, "version_mismatch");
		}
		hang_up(s.g);
	}
	portal_free(s.w);
}

TEST(forbidden_flows_name_what_was_violated)
{
	struct scene s = scene();

	/* the condition ceases to hold between two recomputations */
	EXPECT_EQ(admin_f(s.w, "policy update %s --condition 'current_utc_datetime is_in_day_of_week_time_ranges F/9:00-10:00:10/Europe/Test'",
			  s.policy),
		  0);
	EXPECT_EVENT(s.c, "resource_deleted");
	EXPECT_EVENT(s.c, "resource_created_or_updated");
	ask_flow(&s, s.resource);
	EXPECT_EVENT(s.g, "authorize_flow");
	EXPECT_STR(heard(s.g, "expires_at"), "1800000010");
	answer_flow(&s);
	EXPECT_EVENT(s.c, "flow_created");
	tick(s.w, SEC(11));
	expect_failure(&s, s.resource, "forbidden");
	EXPECT_STR(heard(s.c, "violated_properties.0"), "current_utc_datetime");
	portal_free(s.w);
}

TEST(spec10_63_an_unanswered_flow_fails_after_15_s_and_a_newer_request_starts_anew)
{
	struct scene s = scene();

	ask_flow(&s, s.resource);
	EXPECT_EVENT(s.g, "authorize_flow");
	tick(s.w, SEC(10));
	ask_flow(&s, s.resource); /* takes over */
	EXPECT_EVENT(s.g, "authorize_flow");
	tick(s.w, SEC(14));
	EXPECT_NOTHING(s.c);
	tick(s.w, SEC(2));
	EXPECT_EVENT(s.c, "flow_creation_failed");
	EXPECT_STR(heard(s.c, "reason"), "offline");
	answer_flow(&s); /* late: no effect */
	EXPECT_NOTHING(s.c);
	portal_free(s.w);
}

TEST(spec60_43_gateways_of_the_site_that_are_connected_and_preferred)
{
	struct scene s = scene();
	char id[64], payload[300];
	int first = 0;

	struct fake *other = join_gateway(s.w, s.gateway_token, "gw2", 'h');
	EXPECT_EVENT(other, "init");
	EXPECT_EQ(admin(s.w, "site add --name Paris"), 0);
	struct fake *paris = join_gateway(s.w, token_for(s.w, "--site Paris"), "gw3", 'i');
	EXPECT_EVENT(paris, "init");
	snprintf(id, sizeof(id), "%s", admin_value(s.w, "gateway show gw2", "id"));
	for (int i = 0; i < 20; i++) {
		snprintf(payload, sizeof(payload), "{'resource_id':'%s','connected_gateway_ids':['%s']}", s.resource, id);
		say(s.c, "create_flow", payload);
		EXPECT_EVENT(other, "authorize_flow");
		EXPECT_NOTHING(s.g);
		EXPECT_NOTHING(paris);
	}
	for (int i = 0; i < 40; i++) {
		ask_flow(&s, s.resource);
		bool is_first = hear(s.g)[0] != 0, is_second = hear(other)[0] != 0;
		EXPECT(is_first != is_second);
		first += is_first;
	}
	EXPECT(first > 5 && first < 35);
	portal_free(s.w);
}

TEST(gateways_nearest_to_the_client_and_newest_are_chosen)
{
	struct scene s = scene_without_peers();
	struct connect near = { .role = MSG_ROLE_GATEWAY, .token = s.gateway_token, .external_id = "near", .key = 'n', .user_agent = GATEWAY_UA,
				.coordinates = "52.5,13.4" };
	struct connect newer = near, far = near;
	struct connect client = { .role = MSG_ROLE_CLIENT, .token = s.client_token, .external_id = "c", .key = 'c', .user_agent = CLIENT_UA,
				  .coordinates = "52.4,13.1" };

	newer.external_id = "newer";
	newer.user_agent = "x gateway/1.5.10";
	far.external_id = "far";
	far.user_agent = "x gateway/1.6.0";
	far.coordinates = "48.8,2.3";
	struct fake *g1 = connect_as(s.w, &near), *g2 = connect_as(s.w, &newer), *g3 = connect_as(s.w, &far);
	join(g1, "null");
	join(g2, "null");
	join(g3, "null");
	while (hear(g2)[0])
		;
	s.c = connect_as(s.w, &client);
	join(s.c, "null");
	for (int i = 0; i < 10; i++) {
		ask_flow(&s, s.resource);
		EXPECT_EVENT(g2, "authorize_flow");
	}
	portal_free(s.w);
}

TEST(spec20_21_the_authorization_comes_before_the_candidates)
{
	struct scene s = scene();
	char payload[300], client[64];

	snprintf(client, sizeof(client), "%s", admin_value(s.w, "client show laptop", "id"));
	ask_flow(&s, s.resource);
	EXPECT_EVENT(s.g, "authorize_flow");
	snprintf(payload, sizeof(payload), "{'ref':'%s'}", heard(s.g, "ref"));
	say(s.g, "flow_authorized", payload);
	snprintf(payload, sizeof(payload), "{'client_ids':['%s'],'candidates':['candidate:a b']}", client);
	say(s.g, "broadcast_ice_candidates", payload);
	EXPECT_EVENT(s.c, "flow_created");
	EXPECT_EVENT(s.c, "ice_candidates");
	portal_free(s.w);
}

TEST(spec60_50_candidates_reach_the_other_side_or_nobody)
{
	struct scene s = scene();
	char payload[300], client[64], gateway[64];

	snprintf(client, sizeof(client), "%s", admin_value(s.w, "client show laptop", "id"));
	snprintf(gateway, sizeof(gateway), "%s", admin_value(s.w, "gateway show gw", "id"));
	snprintf(payload, sizeof(payload), "{'client_ids':['%s'],'candidates':['candidate:a b','x']}", client);
	say(s.g, "broadcast_ice_candidates", payload);
	EXPECT_EVENT(s.c, "ice_candidates");
	EXPECT_STR(heard(s.c, "gateway_id"), gateway);
	EXPECT_STR(heard(s.c, "candidates.0"), "candidate:a b");
	say(s.g, "broadcast_invalidated_ice_candidates", payload);
	EXPECT_EVENT(s.c, "invalidate_ice_candidates");
	snprintf(payload, sizeof(payload), "{'gateway_id':'%s','candidates':['y']}", gateway);
	say(s.c, "new_gateway_ice_candidates", payload);
	EXPECT_EVENT(s.g, "ice_candidates");
	EXPECT_STR(heard(s.g, "client_id"), client);
	say(s.c, "invalidate_gateway_ice_candidates", payload);
	EXPECT_EVENT(s.g, "invalidate_ice_candidates");
	snprintf(payload, sizeof(payload), "{'gateway_ids':['%s'],'candidates':['z']}", gateway);
	say(s.c, "broadcast_ice_candidates", payload); /* before 1.5.7 */
	EXPECT_EVENT(s.g, "ice_candidates");
	hang_up(s.g);
	say(s.c, "broadcast_ice_candidates", payload);
	EXPECT_NOTHING(s.c);
	portal_free(s.w);
}

TEST(spec10_68_candidates_for_other_accounts_are_dropped)
{
	struct scene s = scene();
	char payload[300], gateway[64];

	snprintf(gateway, sizeof(gateway), "%s", admin_value(s.w, "gateway show gw", "id"));
	EXPECT_EQ(admin(s.w, "account add --name Other --admin-email x@other.example"), 0);
	struct fake *stranger = join_client(s.w, token_for(s.w, "--account other --actor x@other.example"), "spy", 's');
	EXPECT_EVENT(stranger, "init");
	EXPECT_STR(heard(stranger, "resources"), "0");
	snprintf(payload, sizeof(payload), "{'gateway_id':'%s','candidates':['y']}", gateway);
	say(stranger, "new_gateway_ice_candidates", payload);
	EXPECT_NOTHING(s.g);
	snprintf(payload, sizeof(payload), "{'resource_id':'%s','connected_gateway_ids':[]}", s.resource);
	say(stranger, "create_flow", payload);
	EXPECT_EVENT(stranger, "flow_creation_failed");
	EXPECT_STR(heard(stranger, "reason"), "not_found");
	portal_free(s.w);
}

TEST(v2_endpoints_speak_the_new_names)
{
	struct scene s = scene_without_peers();
	struct connect g = { .role = MSG_ROLE_GATEWAY, .version = MSG_V2, .token = s.gateway_token, .external_id = "gw", .key = 'g',
			     .user_agent = "x gateway/1.6.0" };
	struct connect c = { .role = MSG_ROLE_CLIENT, .version = MSG_V2, .token = s.client_token, .external_id = "laptop", .key = 'c',
			     .user_agent = "x headless-client/1.5.11" };
	char payload[400];

	s.g = connect_as(s.w, &g);
	join(s.g, "null");
	EXPECT_EVENT(s.g, "phx_reply");
	EXPECT_EVENT(s.g, "init");
	EXPECT_STR(heard(s.g, "flow_logs.upload_interval_secs"), "0");
	s.c = connect_as(s.w, &c);
	join(s.c, "null");
	EXPECT_EVENT(s.c, "phx_reply");
	EXPECT_EVENT(s.c, "init");
	EXPECT_STR(heard(s.c, "flow_logs.api_url"), "wss://portal.example/");
	say(s.c, "set_snownet_capabilities", "{'iceless':true}");
	EXPECT_NOTHING(s.c);
	say(s.c, "create_flow", "{}");
	EXPECT_EVENT(s.c, "phx_reply");
	EXPECT_STR(heard(s.c, "response.reason"), "unknown_message");
	snprintf(payload, sizeof(payload), "{'resource_id':'%s','connected_gateway_ids':[]}", s.resource);
	say(s.c, "request_authorization", payload);
	EXPECT_EVENT(s.g, "create_authorization");
	EXPECT(strlen(heard(s.g, "flow_logs_ingest_token")) > 100);
	EXPECT_STR(heard(s.g, "use_iceless"), "false");
	snprintf(payload, sizeof(payload), "{'ref':'%s'}", heard(s.g, "ref"));
	say(s.g, "authorization_created", payload);
	EXPECT_EVENT(s.g, "phx_reply");
	EXPECT_EVENT(s.c, "authorization_created");
	EXPECT(strlen(heard(s.c, "flow_logs_ingest_token")) > 100);
	portal_free(s.w);
}
