/* Flows: judged, brokered, answered, timed out; candidates between the ends. */
#include "core/base/encode.h"
#include "core/crypto/hash.h"
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
			make_flow(&s);
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

TEST(what_a_gateway_did_not_answer_before_it_left_is_asked_of_another)
{
	struct scene s = scene();

	ask_flow(&s, s.resource);
	EXPECT_EVENT(s.g, "authorize_flow");
	struct fake *other = join_gateway(s.w, s.gateway_token, "gw2", 'h');
	EXPECT_EVENT(other, "init");
	EXPECT_NOTHING(other);
	hang_up(s.g);
	EXPECT_EVENT(other, "authorize_flow");
	EXPECT_STR(heard(other, "client.ipv4"), "100.64.0.2");
	EXPECT_NOTHING(s.c);
	hang_up(other); /* nobody is left */
	EXPECT_EVENT(s.c, "flow_creation_failed");
	EXPECT_STR(heard(s.c, "reason"), "offline");
	tick(s.w, SEC(20));
	EXPECT_NOTHING(s.c);
	portal_free(s.w);
}

TEST(what_a_gateway_had_answered_is_not_asked_again)
{
	struct scene s = scene();

	make_flow(&s);
	struct fake *other = join_gateway(s.w, s.gateway_token, "gw2", 'h');
	EXPECT_EVENT(other, "init");
	hang_up(s.g);
	EXPECT_NOTHING(other);
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

/* What a peer of each age says and hears (spec 10 §14). */
static const struct {
	const char *client_ua, *gateway_ua, *ask, *authorize, *authorized, *created, *failed;
} speech[] = {
	[MSG_V1] = { CLIENT_UA, GATEWAY_UA, "create_flow", "authorize_flow", "flow_authorized", "flow_created", "flow_creation_failed" },
	[MSG_V2] = { "Ubuntu/24.4.0 headless-client/1.5.11 (x86_64; 6.8.0)", "Debian/12.0.0 gateway/1.6.0 (x86_64)", "request_authorization",
		     "create_authorization", "authorization_created", "authorization_created", "authorization_creation_failed" },
};

static struct fake *join_version(struct portal_world *w, enum msg_role role, enum msg_version v, const char *token, char key)
{
	struct connect c = { .role = role, .version = v, .token = token, .external_id = role == MSG_ROLE_CLIENT ? "laptop" : "gw", .key = key,
			     .user_agent = role == MSG_ROLE_CLIENT ? speech[v].client_ua : speech[v].gateway_ua };
	struct fake *f = connect_as(w, &c);

	join(f, "null");
	EXPECT_EVENT(f, "phx_reply");
	EXPECT_EVENT(f, "init");
	return f;
}

static void expect_claim(const struct cJSON *claims, const char *key, const char *value)
{
	struct json_get g = JSON_GET;
	const char *text = json_str(&g, claims, key);

	if (strcmp(text, value) != 0)
		test_fail(__FILE__, __LINE__, "claim %s is \"%s\", not \"%s\"", key, text, value);
}

/* As the reference's peers read it: three parts, HS256, a signature, and every member that they demand (spec 10 §14). */
static void expect_ingest_token(struct scene *s, struct fake *f, const char *role)
{
	static const char *const texts[] = { "account_id", "initiator_device_id", "responder_device_id", "policy_authorization_id", "policy_id",
					     "resource_id", "resource_name", "initiator_actor_id", "initiator_actor_name", "authorized_at",
					     "authorization_expires_at" };
	char token[INGEST_TOKEN_MAX];
	u8 part[INGEST_TOKEN_MAX], mac[32], signature[33];
	struct json_get g = JSON_GET;
	struct cJSON *claims;

	snprintf(token, sizeof(token), "%s", heard(f, "flow_logs_ingest_token"));
	char *first = strchr(token, '.'), *second = first ? strchr(first + 1, '.') : NULL;
	REQUIRE(second && !strchr(second + 1, '.'));
	int n = base64url_decode(part, sizeof(part), SPAN(token, (size_t)(first - token)));
	EXPECT(n > 0 && memmem(part, (size_t)n, "\"alg\":\"HS256\"", 13));
	hmac_sha256(mac, SPAN(s->w->portal.secrets.ingest_key, SECRET_LEN), SPAN(token, (size_t)(second - token)));
	EXPECT_EQ(base64url_decode(signature, sizeof(signature), SPAN(second + 1, strlen(second + 1))), 32);
	EXPECT_MEM(mac, signature, 32);
	n = base64url_decode(part, sizeof(part), SPAN(first + 1, (size_t)(second - first - 1)));
	REQUIRE(n > 0 && json_parse(SPAN(part, (size_t)n), NULL, &claims) == 0);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		EXPECT(json_str(&g, claims, texts[i])[0]);
	EXPECT(!json_bool(&g, claims, "uploads_enabled"));
	EXPECT(json_uint(&g, claims, "iat", JSON_UINT_MAX) < json_uint(&g, claims, "exp", JSON_UINT_MAX));
	EXPECT_EQ(g.err, 0);
	expect_claim(claims, "role", role);
	expect_claim(claims, "resource_id", s->resource);
	expect_claim(claims, "policy_id", s->policy);
	expect_claim(claims, "resource_name", "lab");
	expect_claim(claims, "resource_address", "10.9.0.0/24");
	expect_claim(claims, "initiator_actor_email", "jo@acme.example");
	json_free(claims);
}

TEST(spec60_44_peers_of_both_versions_meet)
{
	for (enum msg_version c = MSG_V1; c <= MSG_V2; c++)
		for (enum msg_version g = MSG_V1; g <= MSG_V2; g++) {
			struct scene s = scene_without_peers();
			char payload[400], psk[64];

			s.g = join_version(s.w, MSG_ROLE_GATEWAY, g, s.gateway_token, 'g');
			s.c = join_version(s.w, MSG_ROLE_CLIENT, c, s.client_token, 'c');
			snprintf(payload, sizeof(payload), "{'resource_id':'%s','connected_gateway_ids':[]}", s.resource);
			say(s.c, speech[c].ask, payload);
			EXPECT_EVENT(s.g, speech[g].authorize);
			EXPECT_STR(heard(s.g, "use_iceless"), g == MSG_V2 ? "false" : "");
			EXPECT_STR(heard(s.g, "resource.name"), "lab");
			EXPECT(heard(s.g, "expires_at")[0]);
			if (g == MSG_V2)
				expect_ingest_token(&s, s.g, "responder");
			else
				EXPECT_STR(heard(s.g, "flow_logs_ingest_token"), "");
			snprintf(psk, sizeof(psk), "%s", heard(s.g, "client.preshared_key"));
			snprintf(payload, sizeof(payload), "{'ref':'%s'}", heard(s.g, "ref"));
			say(s.g, speech[g].authorized, payload);
			EXPECT_EVENT(s.g, "phx_reply");
			EXPECT_STR(heard(s.g, "status"), "ok");
			EXPECT_EVENT(s.c, speech[c].created);
			EXPECT_STR(heard(s.c, "preshared_key"), psk);
			EXPECT_STR(heard(s.c, "use_iceless"), c == MSG_V2 ? "false" : "");
			EXPECT(heard(s.c, c == MSG_V2 ? "site_id" : "gateway_group_id")[0]);
			if (c == MSG_V2)
				expect_ingest_token(&s, s.c, "initiator");
			else
				EXPECT_STR(heard(s.c, "flow_logs_ingest_token"), "");
			portal_free(s.w);
		}
}

TEST(init_tells_v2_peers_not_to_upload)
{
	for (enum msg_version v = MSG_V1; v <= MSG_V2; v++) {
		struct scene s = scene_without_peers();

		s.g = join_version(s.w, MSG_ROLE_GATEWAY, v, s.gateway_token, 'g');
		EXPECT_STR(heard(s.g, "flow_logs.upload_interval_secs"), v == MSG_V2 ? "0" : "");
		s.c = join_version(s.w, MSG_ROLE_CLIENT, v, s.client_token, 'c');
		EXPECT_STR(heard(s.c, "flow_logs.upload_interval_secs"), v == MSG_V2 ? "0" : "");
		EXPECT_STR(heard(s.c, "flow_logs.api_url"), v == MSG_V2 ? "wss://portal.example/" : "");
		EXPECT(heard(s.c, "flow_logs.upload_batch_size")[0] || v == MSG_V1);
		EXPECT_STR(heard(s.c, v == MSG_V2 ? "resources.0.sites.0.name" : "resources.0.gateway_groups.0.name"), "Berlin");
		portal_free(s.w);
	}
}

static void expect_unknown(struct fake *f, const char *event, const char *payload)
{
	say(f, event, payload);
	EXPECT_EVENT(f, "phx_reply");
	EXPECT_STR(heard(f, "status"), "error");
	EXPECT_STR(heard(f, "response.reason"), "unknown_message");
}

TEST(names_of_the_other_version_are_unknown_messages)
{
	for (enum msg_version v = MSG_V1; v <= MSG_V2; v++) {
		struct scene s = scene_without_peers();
		enum msg_version other = v == MSG_V1 ? MSG_V2 : MSG_V1;
		char payload[200];

		s.g = join_version(s.w, MSG_ROLE_GATEWAY, v, s.gateway_token, 'g');
		s.c = join_version(s.w, MSG_ROLE_CLIENT, v, s.client_token, 'c');
		snprintf(payload, sizeof(payload), "{'resource_id':'%s','connected_gateway_ids':[]}", s.resource);
		expect_unknown(s.c, speech[other].ask, payload);
		expect_unknown(s.g, speech[other].authorized, "{'ref':'x'}");
		expect_unknown(s.c, "resolve_device_pool_domain", "{'resource_id':'%s','domain':'a.example'}");
		expect_unknown(s.c, "prepare_connection", payload);
		/* what a peer can is taken note of without a word, however it says so */
		if (v == MSG_V2) {
			say(s.c, "set_snownet_capabilities", "{'iceless':true}");
			say(s.c, "set_snownet_capabilities", "{}");
			say(s.g, "set_snownet_capabilities", "{'iceless':true,'new':1}");
		}
		EXPECT_NOTHING(s.c);
		EXPECT_NOTHING(s.g);
		portal_free(s.w);
	}
}

TEST(v2_clients_are_refused_by_the_new_name)
{
	struct scene s = scene_without_peers();
	char payload[200];

	s.c = join_version(s.w, MSG_ROLE_CLIENT, MSG_V2, s.client_token, 'c');
	snprintf(payload, sizeof(payload), "{'resource_id':'%s'}", s.resource); /* they may leave out the other key */
	say(s.c, "request_authorization", payload);
	EXPECT_EVENT(s.c, "authorization_creation_failed");
	EXPECT_STR(heard(s.c, "reason"), "offline");
	portal_free(s.w);
}

/* Gateways of today know no update of an expiry and no second judgement: whoever may still come asks anew (spec 60, What changed after the pin). */
TEST(v2_gateways_hear_of_revocations_by_reject_access_only)
{
	struct scene s = scene_without_peers();
	char payload[400], ref[300];

	s.g = join_version(s.w, MSG_ROLE_GATEWAY, MSG_V2, s.gateway_token, 'g');
	s.c = join_version(s.w, MSG_ROLE_CLIENT, MSG_V2, s.client_token, 'c');
	snprintf(payload, sizeof(payload), "{'resource_id':'%s','connected_gateway_ids':[]}", s.resource);
	for (int i = 0; i < 2; i++) {
		say(s.c, "request_authorization", payload);
		EXPECT_EVENT(s.g, "create_authorization");
		snprintf(ref, sizeof(ref), "{'ref':'%s'}", heard(s.g, "ref"));
		say(s.g, "authorization_created", ref);
		EXPECT_EVENT(s.g, "phx_reply");
		EXPECT_EVENT(s.c, "authorization_created");
		if (i > 0)
			break;
		EXPECT_EQ(admin(s.w, "group add --name team"), 0);
		EXPECT_EQ(admin(s.w, "member add --group team --actor jo@acme.example"), 0);
		EXPECT_EQ(admin(s.w, "policy add --group team --resource lab"), 0);
		EXPECT_EQ(admin_f(s.w, "policy delete %s", s.policy), 0);
		EXPECT_NOTHING(s.c);
		EXPECT_EVENT(s.g, "reject_access");
		EXPECT_STR(heard(s.g, "resource_id"), s.resource);
		EXPECT_NOTHING(s.g);
	}
	EXPECT_EQ(admin(s.w, "member delete --group team --actor jo@acme.example"), 0);
	EXPECT_EVENT(s.g, "reject_access");
	EXPECT_EVENT(s.c, "resource_deleted");
	EXPECT_NOTHING(s.g);
	portal_free(s.w);
}
