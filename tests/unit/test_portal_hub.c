/* The hub with peers of all roles: joining, flows, presence, and what they are told of changes. */
#include "tests/unit/portal_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STAMP_A "00000000000000000000000000000000000000000000000000000000000000aa"
#define STAMP_B "00000000000000000000000000000000000000000000000000000000000000bb"
#define STAMP_C "00000000000000000000000000000000000000000000000000000000000000cc"

#define CLIENT_UA "Debian/12.0.0 headless-client/1.5.8 (x86_64)"
#define GATEWAY_UA "Debian/12.0.0 gateway/1.5.2 (x86_64)"

/* A lab that everyone may use, a gateway and a client of Jo's, both joined and initialised. */
struct scene {
	struct portal_world *w;
	char resource[40], policy[40], client_token[300], gateway_token[300], relay_token[300];
	struct fake *c, *g;
};

static struct scene scene_without_peers(void)
{
	struct scene s = { .w = portal_new() };

	snprintf(s.resource, sizeof(s.resource), "%s",
		 admin_value(s.w, "resource add --site Berlin --address 10.9.0.0/24 --name lab", "id"));
	snprintf(s.policy, sizeof(s.policy), "%s", admin_value(s.w, "policy add --group Everyone --resource lab", "id"));
	snprintf(s.client_token, sizeof(s.client_token), "%s", token_for(s.w, "--actor jo@acme.example --expires 10d"));
	snprintf(s.gateway_token, sizeof(s.gateway_token), "%s", token_for(s.w, "--site Berlin"));
	snprintf(s.relay_token, sizeof(s.relay_token), "%s", token_for(s.w, "--relay"));
	return s;
}

static struct scene scene(void)
{
	struct scene s = scene_without_peers();

	s.g = join_gateway(s.w, s.gateway_token, "gw", 'g');
	EXPECT_EVENT(s.g, "init");
	s.c = join_client(s.w, s.client_token, "laptop", 'c');
	EXPECT_EVENT(s.c, "init");
	return s;
}

static void ask_flow(struct scene *s, const char *resource)
{
	char payload[200];

	snprintf(payload, sizeof(payload), "{'resource_id':'%s','connected_gateway_ids':[]}", resource);
	say(s->c, "create_flow", payload);
}

static void answer_flow(struct scene *s)
{
	char payload[300];

	snprintf(payload, sizeof(payload), "{'ref':'%s'}", heard(s->g, "ref"));
	say(s->g, "flow_authorized", payload);
	EXPECT_EVENT(s->g, "phx_reply");
	EXPECT_STR(heard(s->g, "status"), "ok");
}

/* From create_flow to flow_created. */
static void make_flow(struct scene *s)
{
	ask_flow(s, s->resource);
	EXPECT_EVENT(s->g, "authorize_flow");
	answer_flow(s);
	EXPECT_EVENT(s->c, "flow_created");
}

static int admin_f(struct portal_world *w, const char *format, const char *a)
{
	char command[600];

	snprintf(command, sizeof(command), format, a);
	return admin(w, command);
}

/* ---- joining ---------------------------------------------------------------------------------------------------------------------- */

TEST(spec60_2_an_account_begins_with_what_it_needs)
{
	struct portal_world *w = portal_new();

	EXPECT_EQ(admin(w, "group show Everyone"), 0);
	EXPECT_EQ(admin(w, "actor show jo@acme.example"), 0);
	EXPECT(strstr(w->reply.out, "account_admin_user") != NULL);
	EXPECT_EQ(admin(w, "site show Internet"), 0);
	EXPECT(strstr(w->reply.out, "system") != NULL);
	EXPECT_EQ(admin(w, "site show 'Default Site'"), 0);
	EXPECT_EQ(admin(w, "resource show Internet"), 0);
	EXPECT_EQ(admin(w, "site delete Internet"), 1);
	EXPECT_EQ(admin(w, "group delete Everyone"), 1);
	EXPECT_EQ(admin(w, "resource delete Internet"), 1);
	portal_free(w);
}

TEST(spec60_34_init_is_the_first_push_and_spec10_25_follows_the_reply)
{
	struct scene s = scene_without_peers();
	struct fake *c = join_client(s.w, s.client_token, "laptop", 'c');

	EXPECT_EVENT(c, "init");
	EXPECT_STR(heard(c, "interface.ipv4"), "100.64.0.1");
	EXPECT_STR(heard(c, "interface.ipv6"), "fd00:2021:1111::1");
	EXPECT_STR(heard(c, "resources.0.name"), "lab");
	EXPECT_STR(heard(c, "resources.0.gateway_groups.0.name"), "Berlin");
	EXPECT_STR(heard(c, "relays"), "0");
	EXPECT_NOTHING(c);
	portal_free(s.w);
}

TEST(spec10_25_init_follows_the_join_reply)
{
	struct scene s = scene_without_peers();
	struct fake *g = join_gateway(s.w, s.gateway_token, "gw", 'g'); /* takes the reply */

	EXPECT_EVENT(g, "init");
	EXPECT_STR(heard(g, "config.ipv4_masquerade_enabled"), "true");
	EXPECT_STR(heard(g, "account_slug"), "acme");
	portal_free(s.w);
}

TEST(spec10_16_refs_are_echoed_as_numbers_and_replies_are_empty)
{
	struct scene s = scene();

	say_topic(s.c, "phoenix", "heartbeat", "{}");
	EXPECT_EVENT(s.c, "phx_reply");
	EXPECT(strstr(s.c->json, "\"ref\":1,") != NULL);
	EXPECT(strstr(s.c->json, "\"response\":{}") != NULL);
	EXPECT(strstr(s.c->json, "\"topic\":\"phoenix\"") != NULL);
	portal_free(s.w);
}

TEST(unknown_messages_and_topics_draw_errors_without_ending_anything)
{
	struct scene s = scene();

	say(s.c, "nonsense", "{}");
	EXPECT_EVENT(s.c, "phx_reply");
	EXPECT_STR(heard(s.c, "response.reason"), "unknown_message");
	say(s.c, "create_flow", "{'resource_id':'x'}");
	EXPECT_EVENT(s.c, "phx_reply");
	EXPECT_STR(heard(s.c, "response.reason"), "unknown_message");
	say_topic(s.c, "elsewhere", "x", "{}");
	EXPECT_EVENT(s.c, "phx_reply");
	EXPECT_STR(heard(s.c, "response.reason"), "unmatched topic");
	say(s.g, "flow_authorized", "{'ref':'forged'}");
	EXPECT_EVENT(s.g, "phx_reply");
	EXPECT_STR(heard(s.g, "response.reason"), "invalid_ref");
	make_flow(&s);
	portal_free(s.w);
}

TEST(spec60_6_devices_keep_row_name_and_addresses)
{
	struct scene s = scene_without_peers();
	struct fake *c = join_client(s.w, s.client_token, "laptop", 'c');

	EXPECT_EVENT(c, "init");
	EXPECT_EQ(admin(s.w, "client update laptop --name Jos"), 0);
	hang_up(c);
	c = join_client(s.w, s.client_token, "laptop", 'd');
	EXPECT_EVENT(c, "init");
	EXPECT_STR(heard(c, "interface.ipv4"), "100.64.0.1");
	EXPECT_EQ(admin(s.w, "client show Jos"), 0);
	c = join_client(s.w, s.client_token, "phone", 'e');
	EXPECT_EVENT(c, "init");
	EXPECT_STR(heard(c, "interface.ipv4"), "100.64.0.2");
	/* the same device of another actor is another client */
	EXPECT_EQ(admin(s.w, "actor add --email al@acme.example"), 0);
	c = join_client(s.w, token_for(s.w, "--actor al@acme.example"), "laptop", 'f');
	EXPECT_EVENT(c, "init");
	EXPECT_STR(heard(c, "interface.ipv4"), "100.64.0.3");
	portal_free(s.w);
}

TEST(spec10_38_a_gateway_is_keyed_by_site_and_id)
{
	struct scene s = scene_without_peers();
	struct fake *g = join_gateway(s.w, s.gateway_token, "gw", 'g');

	EXPECT_EVENT(g, "init");
	hang_up(g);
	EXPECT_EQ(admin(s.w, "site add --name Paris"), 0);
	g = join_gateway(s.w, token_for(s.w, "--site Paris"), "gw", 'g');
	EXPECT_EVENT(g, "init");
	EXPECT_STR(heard(g, "interface.ipv4"), "100.64.0.2");
	hang_up(g);
	g = join_gateway(s.w, s.gateway_token, "gw", 'h');
	EXPECT_EVENT(g, "init");
	EXPECT_STR(heard(g, "interface.ipv4"), "100.64.0.1");
	portal_free(s.w);
}

TEST(spec10_36_a_second_connection_of_a_device_evicts_the_first)
{
	struct scene s = scene();
	struct fake *again = join_client(s.w, s.client_token, "laptop", 'c');

	EXPECT_EVENT(again, "init");
	EXPECT_EVENT(s.c, "disconnect");
	EXPECT_STR(heard(s.c, "reason"), "token_expired");
	EXPECT_EVENT(s.c, "phx_close");
	EXPECT_EVENT(s.c, "close");
	/* the same token on another device is nobody's business */
	struct fake *other = join_client(s.w, s.client_token, "phone", 'p');
	EXPECT_EVENT(other, "init");
	EXPECT_NOTHING(again);
	portal_free(s.w);
}

TEST(spec60_33_the_newest_connection_remains)
{
	struct scene s = scene();
	struct fake *g = join_gateway(s.w, s.gateway_token, "gw", 'h');

	EXPECT_EVENT(g, "init");
	EXPECT_EVENT(s.g, "disconnect");
	s.g = g;
	ask_flow(&s, s.resource);
	EXPECT_EVENT(g, "authorize_flow");
	portal_free(s.w);
}

TEST(spec10_26_a_channel_that_ends_closes_its_socket)
{
	struct scene s = scene();

	EXPECT_EQ(admin(s.w, "client delete laptop"), 0);
	EXPECT_EVENT(s.c, "phx_close");
	EXPECT_EVENT(s.c, "close");
	EXPECT_EQ(s.c->closed, 1000);
	EXPECT(!peer_is_gone(s.c->peer));
	tick(s.w, SEC(3)); /* it does not answer our Close */
	EXPECT(peer_is_gone(s.c->peer));
	portal_free(s.w);
}

TEST(spec10_13_silent_sockets_are_closed)
{
	struct scene s = scene();
	struct fake *r = join_relay(s.w, s.relay_token, STAMP_A);

	tick(s.w, SEC(36));
	EXPECT(!peer_is_gone(s.c->peer));
	tick(s.w, SEC(2));
	EXPECT(peer_is_gone(s.c->peer) && peer_is_gone(s.g->peer) && !peer_is_gone(r->peer));
	tick(s.w, SEC(4));
	EXPECT(peer_is_gone(r->peer));
	EXPECT(!hub_is_online(s.w->portal.hub, KIND_CLIENT, &(struct uuid){ { 0 } }, &(struct uuid){ { 0 } }));
	portal_free(s.w);
}

TEST(spec60_62_online_is_who_is_connected)
{
	struct scene s = scene();

	EXPECT_STR(admin_value(s.w, "client show laptop", "id"), admin_value(s.w, "client show laptop", "id"));
	EXPECT_EQ(admin(s.w, "client show laptop"), 0);
	EXPECT(strstr(s.w->reply.out, "online") && strstr(s.w->reply.out, "true"));
	hang_up(s.c);
	EXPECT_EQ(admin(s.w, "client show laptop"), 0);
	EXPECT(!strstr(s.w->reply.out, "true"));
	portal_free(s.w);
}

/* ---- refusals ------------------------------------------------------------------------------------------------------------------------ */

static unsigned status_of(struct portal_world *w, enum msg_role role, const char *t, const char *user_agent)
{
	struct connect c = { .role = role, .token = t, .external_id = "x", .key = 'x', .user_agent = user_agent, .ipv4 = "203.0.113.1" };
	struct fake *f = connect_as(w, &c);

	return f->peer ? 101 : f->refusal.status;
}

TEST(spec60_31_each_refusal_has_its_status)
{
	struct scene s = scene_without_peers();
	struct connect bad = { .role = MSG_ROLE_CLIENT, .token = s.client_token, .external_id = " ", .key = 'x', .user_agent = CLIENT_UA };
	struct fake *f;

	EXPECT_EQ(status_of(s.w, MSG_ROLE_CLIENT, s.client_token, CLIENT_UA), 101);
	EXPECT_EQ(status_of(s.w, MSG_ROLE_CLIENT, "", CLIENT_UA), 401);
	EXPECT_STR(s.w->fakes[s.w->n_fakes - 1]->refusal.code, "missing_token");
	EXPECT_EQ(status_of(s.w, MSG_ROLE_CLIENT, ".bogus", CLIENT_UA), 401);
	EXPECT_STR(s.w->fakes[s.w->n_fakes - 1]->refusal.code, "invalid_token");
	EXPECT_EQ(status_of(s.w, MSG_ROLE_CLIENT, s.client_token, "curl/8"), 400);
	EXPECT_EQ(status_of(s.w, MSG_ROLE_GATEWAY, s.gateway_token, "curl/8"), 101);
	f = connect_as(s.w, &bad);
	EXPECT(!f->peer && f->refusal.status == 400);
	EXPECT(strstr(f->refusal.detail, "external_id") != NULL);
	EXPECT_EQ(admin(s.w, "account update --limit-users 0"), 0);
	EXPECT_EQ(status_of(s.w, MSG_ROLE_CLIENT, s.client_token, CLIENT_UA), 402);
	EXPECT_EQ(status_of(s.w, MSG_ROLE_GATEWAY, s.gateway_token, GATEWAY_UA), 101);
	EXPECT_EQ(admin(s.w, "account update --limit-users none"), 0);
	EXPECT_EQ(status_of(s.w, MSG_ROLE_CLIENT, s.client_token, CLIENT_UA), 101);
	portal_free(s.w);
}

TEST(tokens_of_one_role_are_refused_by_the_others)
{
	struct scene s = scene_without_peers();

	EXPECT_EQ(status_of(s.w, MSG_ROLE_GATEWAY, s.client_token, GATEWAY_UA), 401);
	EXPECT_EQ(status_of(s.w, MSG_ROLE_RELAY, s.gateway_token, "x relay/0.1.0"), 401);
	EXPECT_EQ(status_of(s.w, MSG_ROLE_CLIENT, s.relay_token, CLIENT_UA), 401);
	EXPECT_EQ(status_of(s.w, MSG_ROLE_RELAY, s.relay_token, "x relay/0.1.0"), 101);
	portal_free(s.w);
}

TEST(spec10_34_connects_are_limited_by_address_and_token_before_the_token_is_judged)
{
	struct portal_world *w = portal_new();
	struct hub *h;
	struct hub_config cfg = { .store = w->portal.store, .secrets = &w->portal.secrets, .rng = &w->rng.rng };
	struct hub *usual = w->portal.hub;
	struct connect c = { .role = MSG_ROLE_CLIENT, .token = ".bogus", .external_id = "x", .key = 'x', .user_agent = CLIENT_UA };
	struct fake *f;

	REQUIRE(hub_new(&h, &cfg, portal_now, portal_wall) == 0);
	w->portal.hub = h;
	EXPECT_EQ(connect_as(w, &c)->refusal.status, 401);
	f = connect_as(w, &c);
	EXPECT_EQ(f->refusal.status, 503);
	EXPECT_EQ(f->refusal.retry_after, 1);
	EXPECT_STR(f->refusal.code, "rate_limit");
	c.ip = "198.51.100.8";
	EXPECT_EQ(connect_as(w, &c)->refusal.status, 401);
	c.ip = NULL;
	c.token = ".other";
	EXPECT_EQ(connect_as(w, &c)->refusal.status, 401);
	portal_now += SEC(1);
	EXPECT_EQ(connect_as(w, &c)->refusal.status, 401);
	hub_free(h);
	w->portal.hub = usual;
	portal_free(w);
}

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

static void expect_failure(struct scene *s, const char *resource, const char *reason)
{
	ask_flow(s, resource);
	EXPECT_EVENT(s->c, "flow_creation_failed");
	EXPECT_STR(heard(s->c, "reason"), reason);
	EXPECT_STR(heard(s->c, "resource_id"), resource);
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

/* ---- relays ---------------------------------------------------------------------------------------------------------------------------- */

TEST(spec60_46_spec50_60_spec50_64_gateway_turn_credentials_stay_the_same_and_spec10_61_expire_as_they_shall)
{
	struct scene s = scene_without_peers();
	char user[100], password[100];

	EXPECT_EVENT(join_relay(s.w, s.relay_token, STAMP_A), "init");
	struct fake *g = join_gateway(s.w, s.gateway_token, "gw", 'g');
	EXPECT_EVENT(g, "init");
	EXPECT_STR(heard(g, "relays"), "2"); /* one relay, an entry per family, IPv4 first */
	EXPECT_STR(heard(g, "relays.0.addr"), "203.0.113.7:3478");
	EXPECT_STR(heard(g, "relays.1.addr"), "[2001:db8::7]:3478");
	EXPECT_STR(heard(g, "relays.0.expires_at"), "2145916800");
	snprintf(user, sizeof(user), "%s", heard(g, "relays.0.username"));
	snprintf(password, sizeof(password), "%s", heard(g, "relays.0.password"));
	EXPECT_STR(heard(g, "relays.1.username"), user);
	EXPECT_STR(heard(g, "relays.1.password"), password);
	hang_up(g);
	g = join_gateway(s.w, s.gateway_token, "gw", 'g');
	EXPECT_EVENT(g, "init");
	EXPECT_STR(heard(g, "relays.0.username"), user);
	EXPECT_STR(heard(g, "relays.0.password"), password);
	portal_free(s.w);
}

TEST(spec10_61_client_turn_credentials_expire_with_the_token)
{
	struct scene s = scene_without_peers();

	EXPECT_EVENT(join_relay(s.w, s.relay_token, STAMP_A), "init");
	struct fake *c = join_client(s.w, s.client_token, "laptop", 'c');
	EXPECT_EVENT(c, "init");
	EXPECT_STR(heard(c, "relays.0.expires_at"), "1800864000");
	portal_free(s.w);
}

static struct fake *relay_at(struct scene *s, const char *stamp, const char *coordinates)
{
	struct connect c = { .role = MSG_ROLE_RELAY, .token = s->relay_token, .ipv4 = "203.0.113.7", .user_agent = "x relay/0.1.0",
			     .coordinates = coordinates };
	struct fake *f = connect_as(s->w, &c);
	char payload[200];

	snprintf(payload, sizeof(payload), "{'stamp_secret':'%s'}", stamp);
	join(f, payload);
	EXPECT_EVENT(f, "phx_reply");
	EXPECT_EVENT(f, "init");
	return f;
}

TEST(spec60_47_spec50_61_the_two_nearest_relays_are_sent_equal_places_stay_distinct)
{
	struct scene s = scene_without_peers();
	struct connect c = { .role = MSG_ROLE_CLIENT, .token = s.client_token, .external_id = "c", .key = 'c', .user_agent = CLIENT_UA,
			     .coordinates = "52.4,13.1" };
	struct uuid far = phx_derive_relay_id(STAMP_C);
	char text[UUID_STRLEN];

	relay_at(&s, STAMP_C, "-33.8,151.2");
	relay_at(&s, STAMP_A, "52.5,13.4");
	relay_at(&s, STAMP_B, "52.5,13.4");
	relay_at(&s, "nowhere", NULL);
	s.c = connect_as(s.w, &c);
	join(s.c, "null");
	EXPECT_EVENT(s.c, "phx_reply");
	EXPECT_EVENT(s.c, "init");
	EXPECT_STR(heard(s.c, "relays"), "2");
	EXPECT(strcmp(heard(s.c, "relays.0.id"), heard(s.c, "relays.1.id")) != 0);
	uuid_format(&far, text);
	EXPECT(strcmp(heard(s.c, "relays.0.id"), text) != 0 && strcmp(heard(s.c, "relays.1.id"), text) != 0);
	portal_free(s.w);
}

TEST(spec10_40_without_location_any_two)
{
	struct scene s = scene_without_peers();

	relay_at(&s, STAMP_A, NULL);
	relay_at(&s, STAMP_B, NULL);
	relay_at(&s, STAMP_C, NULL);
	for (int i = 0; i < 10; i++) {
		struct fake *c = join_client(s.w, s.client_token, "c", 'c');
		EXPECT_EVENT(c, "init");
		EXPECT_STR(heard(c, "relays"), "2");
		EXPECT(strcmp(heard(c, "relays.0.id"), heard(c, "relays.1.id")) != 0);
		hang_up(c);
	}
	portal_free(s.w);
}

TEST(spec50_61_relays_without_a_place_come_last)
{
	struct scene s = scene_without_peers();
	struct connect c = { .role = MSG_ROLE_CLIENT, .token = s.client_token, .external_id = "c", .key = 'c', .user_agent = CLIENT_UA,
			     .coordinates = "52.4,13.1" };
	struct uuid far = phx_derive_relay_id(STAMP_C);
	char text[UUID_STRLEN];

	relay_at(&s, "nowhere", NULL);
	relay_at(&s, STAMP_C, "-33.8,151.2");
	relay_at(&s, "nowhere else", NULL);
	s.c = connect_as(s.w, &c);
	join(s.c, "null");
	EXPECT_EVENT(s.c, "phx_reply");
	EXPECT_EVENT(s.c, "init");
	EXPECT_STR(heard(s.c, "relays"), "2");
	EXPECT_STR(heard(s.c, "relays.0.id"), uuid_format(&far, text));
	portal_free(s.w);
}

TEST(spec50_59_a_relay_is_seen_only_once_it_has_joined)
{
	struct scene s = scene();
	struct connect c = { .role = MSG_ROLE_RELAY, .token = s.relay_token, .ipv4 = "203.0.113.7", .user_agent = "x relay/0.1.0" };
	struct fake *r = connect_as(s.w, &c);

	say(s.c, "no_relays", "{}");
	EXPECT_EVENT(s.c, "relays_presence");
	EXPECT_STR(heard(s.c, "connected"), "0");
	join(r, "{'stamp_secret':'" STAMP_A "'}");
	say(s.c, "no_relays", "{}");
	EXPECT_EVENT(s.c, "relays_presence");
	EXPECT_STR(heard(s.c, "connected"), "1");
	EXPECT_EVENT(r, "phx_reply");
	EXPECT_EVENT(r, "init");
	portal_free(s.w);
}

TEST(spec60_48_spec50_62_a_relay_that_comes_back_within_a_second_is_not_announced_as_lost)
{
	struct scene s = scene_without_peers();
	struct fake *a = relay_at(&s, STAMP_A, NULL), *b = relay_at(&s, STAMP_B, NULL);

	tick(s.w, SEC(2));
	struct fake *c = join_client(s.w, s.client_token, "c", 'c');
	EXPECT_EVENT(c, "init");
	hang_up(a);
	tick(s.w, MSEC(900));
	a = relay_at(&s, STAMP_A, NULL);
	tick(s.w, MSEC(1500));
	EXPECT_NOTHING(c);
	hang_up(b);
	tick(s.w, MSEC(900));
	EXPECT_NOTHING(c);
	tick(s.w, MSEC(200));
	EXPECT_EVENT(c, "relays_presence");
	EXPECT_STR(heard(c, "disconnected_ids"), "1");
	EXPECT_STR(heard(c, "connected"), "1");
	portal_free(s.w);
}

TEST(spec10_66_relay_changes_are_debounced_and_told_from_one_snapshot)
{
	struct scene s = scene_without_peers();
	struct fake *a = relay_at(&s, STAMP_A, NULL);
	struct uuid new_id = phx_derive_relay_id(STAMP_B);
	char text[UUID_STRLEN];

	tick(s.w, SEC(2));
	struct fake *c = join_client(s.w, s.client_token, "c", 'c');
	EXPECT_EVENT(c, "init");
	hang_up(a); /* restarted with a new secret */
	tick(s.w, MSEC(600));
	relay_at(&s, STAMP_B, NULL);
	tick(s.w, MSEC(600)); /* the second change restarted the second */
	EXPECT_NOTHING(c);
	tick(s.w, MSEC(500));
	EXPECT_EVENT(c, "relays_presence");
	EXPECT_STR(heard(c, "disconnected_ids"), "1");
	EXPECT_STR(heard(c, "connected.0.id"), uuid_format(&new_id, text));
	EXPECT(strcmp(heard(c, "disconnected_ids.0"), text) != 0); /* spec10_67 */
	EXPECT_NOTHING(c);
	portal_free(s.w);
}

TEST(spec10_67_spec50_63_no_id_is_both_gone_and_connected)
{
	struct scene s = scene_without_peers();
	struct fake *r[3] = { relay_at(&s, STAMP_A, NULL), relay_at(&s, STAMP_B, NULL), relay_at(&s, STAMP_C, NULL) };

	tick(s.w, SEC(2));
	struct fake *c = join_client(s.w, s.client_token, "c", 'c');
	EXPECT_EVENT(c, "init");
	for (int i = 0; i < 3; i++)
		hang_up(r[i]);
	relay_at(&s, STAMP_B, NULL);
	tick(s.w, SEC(2));
	EXPECT_EVENT(c, "relays_presence");
	for (int i = 0; i < atoi(heard(c, "disconnected_ids")); i++)
		for (int j = 0; j < atoi(heard(c, "connected")); j++) {
			char a[40], b[40];
			snprintf(a, sizeof(a), "disconnected_ids.%d", i);
			snprintf(b, sizeof(b), "connected.%d.id", j);
			EXPECT(strcmp(heard(c, a), heard(c, b)) != 0);
		}
	portal_free(s.w);
}

TEST(spec60_49_spec50_65_no_relays_is_answered_at_once)
{
	struct scene s = scene();

	relay_at(&s, STAMP_A, NULL);
	say(s.c, "no_relays", "{}");
	EXPECT_EVENT(s.c, "relays_presence");
	EXPECT_STR(heard(s.c, "disconnected_ids"), "0");
	EXPECT_STR(heard(s.c, "connected"), "1");
	say(s.g, "no_relays", "{}");
	EXPECT_EVENT(s.g, "relays_presence");
	portal_free(s.w);
}

TEST(spec50_58_a_relay_with_the_same_secret_replaces_the_first)
{
	struct scene s = scene_without_peers();
	struct fake *a = relay_at(&s, STAMP_A, NULL), *b = relay_at(&s, STAMP_A, NULL);

	EXPECT_EVENT(a, "phx_close");
	EXPECT_EVENT(a, "close");
	EXPECT_NOTHING(b);
	struct hub_stats st;
	hub_stats(s.w->portal.hub, &st);
	EXPECT_EQ(st.relays, 1);
	portal_free(s.w);
}

TEST(relay_without_secret_is_refused_at_the_join)
{
	struct scene s = scene_without_peers();
	struct connect c = { .role = MSG_ROLE_RELAY, .token = s.relay_token, .ipv4 = "203.0.113.7", .user_agent = "x relay/0.1.0" };
	struct fake *r = connect_as(s.w, &c);

	join(r, "{}");
	EXPECT_EVENT(r, "phx_reply");
	EXPECT_STR(heard(r, "response.reason"), "join crashed");
	c.ipv4 = "here";
	EXPECT_EQ(connect_as(s.w, &c)->refusal.status, 400);
	portal_free(s.w);
}

/* ---- changes ----------------------------------------------------------------------------------------------------------------------------- */

TEST(spec60_55_deleting_a_token_disconnects_who_uses_it)
{
	struct scene s = scene_without_peers();
	char id[64], text[1000];

	snprintf(text, sizeof(text), "%s", token_for(s.w, "--actor jo@acme.example"));
	EXPECT_EQ(admin(s.w, "token list"), 0);
	struct fake *a = join_client(s.w, s.client_token, "a", 'a');
	EXPECT_EVENT(a, "init");
	struct fake *b = join_client(s.w, text, "b", 'b');
	EXPECT_EVENT(b, "init");
	/* which of the two ids is whose: delete by name */
	snprintf(id, sizeof(id), "%s", admin_value(s.w, "token add --actor jo@acme.example --name gone", "id"));
	snprintf(text, sizeof(text), "%s", s.w->reply.out);
	char *begin = strstr(text, "\"token\":\"") + 9;
	*strchr(begin, '"') = '\0';
	struct fake *c = join_client(s.w, begin, "c", 'c');
	EXPECT_EVENT(c, "init");
	EXPECT_EQ(admin_f(s.w, "token delete %s", id), 0);
	EXPECT_EVENT(c, "disconnect");
	EXPECT_STR(heard(c, "reason"), "token_expired");
	EXPECT_NOTHING(a);
	EXPECT_NOTHING(b);
	EXPECT_EQ(status_of(s.w, MSG_ROLE_CLIENT, begin, CLIENT_UA), 401);
	portal_free(s.w);
}

TEST(spec10_39_token_ends_disconnect_and_device_deletion_only_closes)
{
	struct scene s = scene();

	EXPECT_EQ(admin(s.w, "gateway delete gw"), 0);
	EXPECT_EVENT(s.g, "phx_close");
	EXPECT_EVENT(s.g, "close");
	EXPECT_EQ(admin(s.w, "actor disable jo@acme.example"), 1); /* the last admin */
	EXPECT_EQ(admin(s.w, "actor add --email al@acme.example --type admin"), 0);
	EXPECT_EQ(admin(s.w, "actor disable jo@acme.example"), 0);
	EXPECT_EVENT(s.c, "disconnect");
	EXPECT_STR(heard(s.c, "reason"), "token_expired");
	EXPECT_EVENT(s.c, "phx_close");
	portal_free(s.w);
}

TEST(spec60_38_at_token_expiry_the_client_is_disconnected)
{
	struct scene s = scene_without_peers();
	struct fake *c = join_client(s.w, token_for(s.w, "--actor jo@acme.example --expires 30s"), "c", 'c');

	EXPECT_EVENT(c, "init");
	tick(s.w, SEC(29));
	EXPECT_NOTHING(c);
	tick(s.w, SEC(2));
	EXPECT_EVENT(c, "disconnect");
	EXPECT_STR(heard(c, "reason"), "token_expired");
	portal_free(s.w);
}

TEST(spec60_57_filters_update_and_addresses_reject)
{
	struct scene s = scene();

	make_flow(&s);
	EXPECT_EQ(admin(s.w, "resource update lab --filter tcp:22,80"), 0);
	EXPECT_EVENT(s.g, "resource_updated");
	EXPECT_STR(heard(s.g, "filters"), "2");
	EXPECT_EVENT(s.c, "resource_created_or_updated");
	EXPECT_STR(heard(s.c, "filters.1.port_range_start"), "80");
	EXPECT_NOTHING(s.c);
	EXPECT_EQ(admin(s.w, "resource update lab --address 10.8.0.0/24"), 0);
	EXPECT_EVENT(s.g, "reject_access");
	EXPECT_STR(heard(s.g, "resource_id"), s.resource);
	EXPECT_NOTHING(s.g);
	EXPECT_EVENT(s.c, "resource_created_or_updated");
	EXPECT_STR(heard(s.c, "address"), "10.8.0.0/24");
	portal_free(s.w);
}

TEST(a_dns_resource_for_clients_and_for_gateways)
{
	struct scene s = scene();
	char id[40];

	snprintf(id, sizeof(id), "%s",
		 admin_value(s.w, "resource add --site Berlin --address **.app.example.com --name app --ip-stack ipv4-only --filter tcp:443", "id"));
	EXPECT_EQ(admin(s.w, "policy add --group Everyone --resource app"), 0);
	EXPECT_EVENT(s.c, "resource_created_or_updated");
	EXPECT_STR(heard(s.c, "id"), id);
	EXPECT_STR(heard(s.c, "type"), "dns");
	EXPECT_STR(heard(s.c, "address"), "**.app.example.com");
	EXPECT_STR(heard(s.c, "ip_stack"), "ipv4_only");
	EXPECT_STR(heard(s.c, "gateway_groups.0.name"), "Berlin");
	EXPECT_STR(heard(s.c, "filters.0.port_range_end"), "443");
	ask_flow(&s, id);
	EXPECT_EVENT(s.g, "authorize_flow");
	EXPECT_STR(heard(s.g, "resource.type"), "dns");
	EXPECT_STR(heard(s.g, "resource.id"), id);
	EXPECT_STR(heard(s.g, "resource.address"), "**.app.example.com");
	EXPECT_STR(heard(s.g, "resource.name"), "app");
	EXPECT_STR(heard(s.g, "resource.filters"), "1");
	EXPECT(strstr(s.g->json, "ip_stack") == NULL && strstr(s.g->json, "gateway_groups") == NULL);
	answer_flow(&s);
	EXPECT_EVENT(s.c, "flow_created");
	EXPECT_EQ(admin(s.w, "resource update app --address *.app.example.com"), 0);
	EXPECT_EVENT(s.g, "reject_access"); /* it may no longer resolve what it mapped */
	EXPECT_STR(heard(s.g, "resource_id"), id);
	EXPECT_EVENT(s.c, "resource_created_or_updated");
	EXPECT_STR(heard(s.c, "address"), "*.app.example.com");
	EXPECT_EQ(admin(s.w, "resource update app --ip-stack dual"), 0);
	EXPECT_EVENT(s.c, "resource_created_or_updated");
	EXPECT_STR(heard(s.c, "ip_stack"), "dual");
	EXPECT_EQ(admin(s.w, "resource add --site Berlin --address wiki.example.com --name wiki"), 0); /* the address says what it is */
	EXPECT_EQ(admin(s.w, "policy add --group Everyone --resource wiki"), 0);
	EXPECT_EVENT(s.c, "resource_created_or_updated");
	EXPECT_STR(heard(s.c, "type"), "dns");
	EXPECT_STR(heard(s.c, "ip_stack"), "dual");
	EXPECT_STR(heard(s.c, "filters"), "0");
	portal_free(s.w);
}

TEST(spec60_56_a_disabled_policy_is_revoked_everywhere)
{
	struct scene s = scene();

	make_flow(&s);
	EXPECT_EQ(admin_f(s.w, "policy disable %s", s.policy), 0);
	EXPECT_EVENT(s.c, "resource_deleted");
	EXPECT(strstr(s.c->json, s.resource) != NULL);
	EXPECT_EVENT(s.g, "reject_access");
	expect_failure(&s, s.resource, "not_found");
	EXPECT_EQ(admin_f(s.w, "policy enable %s", s.policy), 0);
	EXPECT_EVENT(s.c, "resource_created_or_updated");
	make_flow(&s);
	portal_free(s.w);
}

TEST(another_policy_that_still_grants_re_authorizes_at_the_gateway)
{
	struct scene s = scene();

	make_flow(&s);
	EXPECT_EQ(admin(s.w, "group add --name team"), 0);
	EXPECT_EQ(admin(s.w, "member add --group team --actor jo@acme.example"), 0);
	EXPECT_EQ(admin(s.w, "policy add --group team --resource lab"), 0);
	EXPECT_NOTHING(s.c);
	EXPECT_EQ(admin_f(s.w, "policy delete %s", s.policy), 0);
	EXPECT_NOTHING(s.c);
	EXPECT_EVENT(s.g, "access_authorization_expiry_updated");
	EXPECT_STR(heard(s.g, "expires_at"), "1800864000");
	EXPECT_EQ(admin(s.w, "member delete --group team --actor jo@acme.example"), 0);
	EXPECT_EVENT(s.g, "reject_access");
	EXPECT_EVENT(s.c, "resource_deleted");
	portal_free(s.w);
}

TEST(a_client_that_is_offline_is_re_authorized_by_its_last_session)
{
	struct scene s = scene();

	make_flow(&s);
	tick(s.w, SEC(6)); /* sessions are written */
	hang_up(s.c);
	EXPECT_EQ(admin(s.w, "group add --name team"), 0);
	EXPECT_EQ(admin(s.w, "member add --group team --actor jo@acme.example"), 0);
	EXPECT_EQ(admin(s.w, "policy add --group team --resource lab --condition 'remote_ip is_in_cidr 198.51.100.7'"), 0);
	EXPECT_EQ(admin_f(s.w, "policy delete %s", s.policy), 0);
	EXPECT_EVENT(s.g, "access_authorization_expiry_updated");
	portal_free(s.w);
}

TEST(spec60_59_while_another_authorization_remains_only_the_expiry_changes)
{
	struct scene s = scene();

	EXPECT_EQ(admin(s.w, "group add --name team"), 0);
	EXPECT_EQ(admin(s.w, "member add --group team --actor jo@acme.example"), 0);
	EXPECT_EQ(admin(s.w, "policy add --group team --resource lab --condition 'current_utc_datetime is_in_day_of_week_time_ranges "
			     "F/9-11/Europe/Test'"),
		  0);
	make_flow(&s); /* by the policy without conditions: longest */
	EXPECT_EQ(admin_f(s.w, "policy update %s --condition 'current_utc_datetime is_in_day_of_week_time_ranges F/9-10:30/Europe/Test'", s.policy), 0);
	EXPECT_EVENT(s.g, "access_authorization_expiry_updated"); /* re-authorized by the team's */
	EXPECT_STR(heard(s.g, "expires_at"), "1800003600");
	while (hear(s.c)[0])
		;
	ask_flow(&s, s.resource); /* a second row for the pair */
	EXPECT_EVENT(s.g, "authorize_flow");
	answer_flow(&s);
	portal_free(s.w);
}

TEST(spec60_58_dns_and_slug_changes_are_told)
{
	struct scene s = scene();

	EXPECT_EQ(admin(s.w, "account update acme --dns custom:9.9.9.9,2620:fe::fe --search-domain corp.example.com"), 0);
	EXPECT_EVENT(s.c, "config_changed");
	EXPECT_STR(heard(s.c, "interface.search_domain"), "corp.example.com");
	EXPECT_STR(heard(s.c, "interface.upstream_do53.1.ip"), "2620:fe::fe");
	EXPECT_NOTHING(s.g);
	EXPECT_EQ(admin(s.w, "account update acme --dns secure:quad9"), 0);
	EXPECT_EVENT(s.c, "config_changed");
	EXPECT_STR(heard(s.c, "interface.upstream_doh.0.url"), "https://dns.quad9.net/dns-query");
	EXPECT_STR(heard(s.c, "interface.upstream_do53"), "0");
	make_flow(&s);
	EXPECT_EQ(admin(s.w, "account update acme --slug acme_corp"), 0);
	EXPECT_EVENT(s.g, "init");
	EXPECT_STR(heard(s.g, "account_slug"), "acme_corp");
	EXPECT_STR(heard(s.g, "authorizations"), "1");
	EXPECT_NOTHING(s.c);
	portal_free(s.w);
}

TEST(spec60_52_gateway_init_lists_authorizations_with_their_longest_expiry)
{
	struct scene s = scene();

	make_flow(&s);
	make_flow(&s);
	hang_up(s.g);
	s.g = join_gateway(s.w, s.gateway_token, "gw", 'g');
	EXPECT_EVENT(s.g, "init");
	EXPECT_STR(heard(s.g, "authorizations"), "1");
	EXPECT_STR(heard(s.g, "authorizations.0.resource_id"), s.resource);
	EXPECT_STR(heard(s.g, "authorizations.0.expires_at"), "1800864000");
	portal_free(s.w);
}

TEST(spec60_53_natural_expiry_causes_no_push)
{
	struct scene s = scene();

	EXPECT_EQ(admin_f(s.w, "policy update %s --condition 'current_utc_datetime is_in_day_of_week_time_ranges F/9:00-10:00:10/Europe/Test'",
			  s.policy),
		  0);
	while (hear(s.c)[0])
		;
	make_flow(&s);
	for (int i = 0; i < 8; i++) {
		tick(s.w, SEC(20));
		say_topic(s.g, "phoenix", "heartbeat", "{}");
		say_topic(s.c, "phoenix", "heartbeat", "{}");
		EXPECT_EVENT(s.g, "phx_reply");
		EXPECT_NOTHING(s.g);
	}
	hang_up(s.g);
	s.g = join_gateway(s.w, s.gateway_token, "gw", 'g');
	EXPECT_EVENT(s.g, "init");
	EXPECT_STR(heard(s.g, "authorizations"), "0");
	portal_free(s.w);
}

/* What the client hears besides replies while time passes and it keeps its socket alive. */
static const char *events_within(struct scene *s, u64 ns)
{
	static char all[1000];

	all[0] = '\0';
	for (u64 passed = 0; passed < ns; passed += SEC(15)) {
		say_topic(s->c, "phoenix", "heartbeat", "{}");
		tick(s->w, SEC(15));
		while (hear(s->c)[0])
			if (strcmp(s->c->event, "phx_reply") != 0)
				snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s ", s->c->event);
	}
	return all;
}

TEST(spec60_37_time_based_access_is_recomputed_every_minute)
{
	struct scene s = scene();

	EXPECT_EQ(admin_f(s.w, "policy update %s --condition 'current_utc_datetime is_in_day_of_week_time_ranges F/10:01-10:03/Europe/Test'",
			  s.policy),
		  0);
	EXPECT_EVENT(s.c, "resource_deleted");
	EXPECT_NOTHING(s.c);
	EXPECT_STR(events_within(&s, SEC(90)), "resource_created_or_updated "); /* from 10:01 on */
	EXPECT_STR(events_within(&s, SEC(60)), "");
	EXPECT_STR(events_within(&s, SEC(90)), "resource_deleted ");
	portal_free(s.w);
}

TEST(spec60_35_deletions_come_before_everything_else)
{
	struct scene s = scene();
	char site[64];

	EXPECT_EQ(admin(s.w, "resource add --site Berlin --address 10.8.0.0/24 --name a"), 0);
	EXPECT_EQ(admin(s.w, "resource add --site Berlin --address 10.7.0.0/24 --name b"), 0);
	EXPECT_EQ(admin(s.w, "policy add --group Everyone --resource a"), 0);
	EXPECT_EVENT(s.c, "resource_created_or_updated");
	EXPECT_EQ(admin(s.w, "policy add --group Everyone --resource b"), 0);
	EXPECT_EVENT(s.c, "resource_created_or_updated");
	snprintf(site, sizeof(site), "%s", admin_value(s.w, "site show Berlin", "id"));
	EXPECT_EQ(admin(s.w, "site update Berlin --name Hamburg"), 0); /* 1.5.8 cannot change sites: all are toggled */
	for (int i = 0; i < 3; i++)
		EXPECT_EVENT(s.c, "resource_deleted");
	for (int i = 0; i < 3; i++) {
		EXPECT_EVENT(s.c, "resource_created_or_updated");
		EXPECT_STR(heard(s.c, "gateway_groups.0.name"), "Hamburg");
	}
	EXPECT_NOTHING(s.c);
	portal_free(s.w);
}

TEST(spec10_65_deletions_before_upserts)
{
	struct scene s = scene();

	EXPECT_EQ(admin_f(s.w, "policy update %s --condition 'remote_ip is_in_cidr 198.51.100.0/24'", s.policy), 0);
	EXPECT_EVENT(s.c, "resource_deleted");
	EXPECT_EVENT(s.c, "resource_created_or_updated");
	EXPECT_NOTHING(s.c);
	portal_free(s.w);
}

TEST(newer_clients_change_sites_in_place)
{
	struct scene s = scene_without_peers();
	struct connect c = { .role = MSG_ROLE_CLIENT, .token = s.client_token, .external_id = "laptop", .key = 'c',
			     .user_agent = "Debian/12.0.0 headless-client/1.5.9" };

	s.c = connect_as(s.w, &c);
	join(s.c, "null");
	EXPECT_EVENT(s.c, "phx_reply");
	EXPECT_EVENT(s.c, "init");
	EXPECT_EQ(admin(s.w, "site update Berlin --name Hamburg"), 0);
	EXPECT_EVENT(s.c, "resource_created_or_updated");
	EXPECT_NOTHING(s.c);
	portal_free(s.w);
}

TEST(a_moved_resource_is_revoked_at_the_old_gateways)
{
	struct scene s = scene();

	make_flow(&s);
	EXPECT_EQ(admin(s.w, "site add --name Paris"), 0);
	EXPECT_EQ(admin(s.w, "resource update lab --site Paris"), 0);
	EXPECT_EVENT(s.g, "reject_access");
	EXPECT_EVENT(s.c, "resource_deleted");
	EXPECT_EVENT(s.c, "resource_created_or_updated");
	expect_failure(&s, s.resource, "offline");
	portal_free(s.w);
}

TEST(verification_is_told_and_taken_away_at_once)
{
	struct scene s = scene();

	EXPECT_EQ(admin_f(s.w, "policy update %s --condition 'client_verified is true'", s.policy), 0);
	EXPECT_EVENT(s.c, "resource_deleted");
	EXPECT_EQ(admin(s.w, "client verify laptop"), 0);
	EXPECT_EVENT(s.c, "resource_created_or_updated");
	make_flow(&s);
	EXPECT_EQ(admin(s.w, "client unverify laptop"), 0);
	EXPECT_EVENT(s.c, "resource_deleted");
	EXPECT_EVENT(s.g, "reject_access");
	portal_free(s.w);
}

TEST(a_disabled_account_loses_its_clients_and_keeps_its_gateways)
{
	struct scene s = scene();

	make_flow(&s);
	EXPECT_EQ(admin(s.w, "account disable acme"), 0);
	EXPECT_EVENT(s.c, "disconnect");
	EXPECT_EVENT(s.g, "reject_access");
	EXPECT_NOTHING(s.g);
	EXPECT_EQ(status_of(s.w, MSG_ROLE_CLIENT, s.client_token, CLIENT_UA), 401);
	portal_free(s.w);
}

TEST(a_deleted_site_takes_gateways_and_resources_with_it)
{
	struct scene s = scene();

	make_flow(&s);
	EXPECT_EQ(admin(s.w, "site delete Berlin"), 0);
	EXPECT_EVENT(s.c, "resource_deleted");
	EXPECT_NOTHING(s.c);
	EXPECT(hear(s.g)[0] != 0);
	EXPECT_EQ(status_of(s.w, MSG_ROLE_GATEWAY, s.gateway_token, GATEWAY_UA), 401);
	portal_free(s.w);
}

TEST(spec60_61_shutdown_closes_with_1012)
{
	struct scene s = scene();

	hub_restart(s.w->portal.hub, portal_now, portal_wall);
	EXPECT_EVENT(s.c, "close");
	EXPECT_EQ(s.c->closed, 1012);
	EXPECT_EVENT(s.g, "close");
	portal_free(s.w);
}

TEST(spec60_64_the_last_admin_is_protected)
{
	struct portal_world *w = portal_new();

	EXPECT_EQ(admin(w, "actor delete jo@acme.example"), 1);
	EXPECT_EQ(admin(w, "actor disable jo@acme.example"), 1);
	EXPECT_EQ(admin(w, "actor update jo@acme.example --type user"), 1);
	EXPECT_EQ(admin(w, "actor add --email al@acme.example --type admin"), 0);
	EXPECT_EQ(admin(w, "actor update jo@acme.example --type user"), 0);
	EXPECT_EQ(admin(w, "actor update jo@acme.example --type service-account"), 2);
	portal_free(w);
}

TEST(admin_errors_name_what_is_wrong)
{
	struct portal_world *w = portal_new();
	static const struct {
		const char *command;
		int status;
		const char *says;
	} cases[] = {
		{ "site add --name Berlin", 1, "already a site 'Berlin'" },
		{ "site show Rome", 1, "no site 'Rome'" },
		{ "resource add --site Rome --address 10.0.0.0/8", 1, "no site 'Rome'" },
		{ "resource add --site Berlin --address 10.0.0.0/99", 2, "'99'" },
		{ "resource add --site Berlin --address 10.0.0.0/8 --filter gre", 2, "'gre'" },
		{ "resource add --site Internet --address 10.0.0.0/8", 2, "internet resource" },
		{ "resource add --site Berlin --address a.example.com --type tcp", 2, "'tcp'" },
		{ "actor add --type boss --name x", 2, "'boss'" },
		{ "actor add --name x", 2, "email" },
		{ "policy add --group Everyone --resource nothing", 1, "'nothing'" },
		{ "token add", 2, "--actor" },
		{ "token add --actor jo@acme.example --expires yesterday", 2, "'yesterday'" },
		{ "token add --actor jo@acme.example --expires 2020-01-01", 2, "is over" },
		{ "token delete 0b8c1d2e-0000-4000-8000-000000000001", 1, "0b8c1d2e" },
		{ "account update --dns fast", 2, "'fast'" },
		{ "account update nowhere --name Test", 1, "'nowhere'" },
		{ "member add --group Everyone --actor jo@acme.example", 1, "Everyone" },
		{ "policy add --group Everyone --resource Internet --condition 'current_utc_datetime is_in_day_of_week_time_ranges M/9-17/Mars/Base'", 2,
		  "Mars/Base" },
		{ "status show --colour red", 2, "colour" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		EXPECT_EQ(admin(w, cases[i].command), cases[i].status);
		if (!EXPECT(w->reply.err && strstr(w->reply.err, cases[i].says)))
			fprintf(stderr, "%s: %s", cases[i].command, w->reply.err ? w->reply.err : "-\n");
	}
	portal_free(w);
}

TEST(limits_stop_creation)
{
	struct portal_world *w = portal_new();

	EXPECT_EQ(admin(w, "account update --limit-sites 2 --limit-users 1 --limit-service-accounts 0"), 0);
	EXPECT_EQ(admin(w, "site add --name Third"), 1);
	EXPECT_EQ(admin(w, "actor add --email u@acme.example"), 1);
	EXPECT_EQ(admin(w, "actor add --type service-account --name s"), 1);
	EXPECT_EQ(admin(w, "account update --limit-sites none"), 0);
	EXPECT_EQ(admin(w, "site add --name Third"), 0);
	EXPECT_EQ(admin(w, "account update --limit-sites many"), 2);
	portal_free(w);
}
