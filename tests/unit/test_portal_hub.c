/* The hub with peers of all roles: joining, presence, and who is refused. */
#include "tests/unit/inner.h"
#include "tests/unit/portal_scene.h"

static bool says(struct portal_world *w, const char *command, const char *json)
{
	(void)admin_value(w, command, "id");
	return w->reply.out && strstr(w->reply.out, json) != NULL;
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
	EXPECT_EQ(admin(w, "provider show 'Email (OTP)'"), 0);
	EXPECT(strstr(w->reply.out, "email_otp") != NULL);
	EXPECT(says(w, "actor show jo@acme.example", "\"allow_email_otp_sign_in\":true"));
	EXPECT_EQ(admin(w, "account add --name Other --slug acme --admin-email x@other.example"), 1); /* all of it or nothing */
	EXPECT_EQ(admin(w, "account list --json"), 0);
	EXPECT(strstr(w->reply.out, "Other") == NULL);
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

TEST(spec10_14_a_device_keeps_both_addresses_of_the_ranges)
{
	static const char *const names[] = { "laptop", "phone", "desk" };
	const struct cidr v4 = cidr_of("100.64.0.0/11"), v6 = cidr_of("fd00:2021:1111::/107");
	char first[3][2][IP_STRLEN];
	struct scene s = scene_without_peers();
	struct ip ip;

	for (unsigned i = 0; i < 2 * ARRAY_LEN(names); i++) { /* everybody comes twice, with another key and in another order */
		unsigned d = i < 3 ? i : 5 - i;
		struct fake *c = join_client(s.w, s.client_token, names[d], (char)('c' + i));
		EXPECT_EVENT(c, "init");
		for (unsigned f = 0; f < 2; f++) {
			const char *text = heard(c, f ? "interface.ipv6" : "interface.ipv4");
			REQUIRE(ip_parse(SPAN(text, strlen(text)), &ip) == 0);
			EXPECT(cidr_contains(f ? &v6 : &v4, &ip));
			if (i < 3)
				snprintf(first[d][f], sizeof(first[d][f]), "%s", text);
			else
				EXPECT_STR(text, first[d][f]);
			for (unsigned other = 0; other < 3 && i >= 3; other++)
				EXPECT(other == d || strcmp(first[other][f], first[d][f]) != 0);
		}
		hang_up(c);
	}
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

static void expect_id(struct portal_world *w, const char *command, struct uuid *out)
{
	const char *text = admin_value(w, command, "id");

	EXPECT_EQ(uuid_parse(SPAN(text, strlen(text)), out), 0);
}

TEST(spec60_62_online_is_who_is_connected)
{
	struct scene s = scene();

	struct connect late = { .role = MSG_ROLE_CLIENT, .token = s.client_token, .external_id = "phone", .key = 'p', .user_agent = CLIENT_UA };
	struct store_session last;
	struct client row;

	EXPECT(says(s.w, "client show laptop", "\"online\":true"));
	EXPECT(says(s.w, "gateway show gw", "\"online\":true"));
	tick(s.w, SEC(6)); /* sessions are written */
	hang_up(s.c);
	hang_up(s.g);
	EXPECT(says(s.w, "client show laptop", "\"online\":false")); /* whatever its session says */
	EXPECT(says(s.w, "gateway show gw", "\"online\":false"));
	expect_id(s.w, "client show laptop", &row.d.e.id);
	EXPECT_EQ(store_latest_session(s.w->portal.store, &directory_account_named(hub_directory(s.w->portal.hub), "acme")->e.id, &row.d.e.id, &last), 0);
	EXPECT(connect_as(s.w, &late)->peer != NULL);
	EXPECT(says(s.w, "client show phone", "\"online\":false")); /* it has not joined */
	portal_free(s.w);
}

/* ---- refusals ------------------------------------------------------------------------------------------------------------------------ */

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
	EXPECT_STR(s.w->fakes[s.w->n_fakes - 1]->refusal.detail, "Invalid token");
	EXPECT_EQ(status_of(s.w, MSG_ROLE_CLIENT, s.gateway_token, CLIENT_UA), 401);
	EXPECT_STR(s.w->fakes[s.w->n_fakes - 1]->refusal.detail, "Invalid token: it is for a gateway, this is a client");
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

/* ---- the wall clock is set ------------------------------------------------------------------------------------------------------------ */

TEST(a_clock_set_forward_ends_what_expired_thereby_and_nothing_else)
{
	struct scene s = scene_without_peers();
	struct fake *month = join_client(s.w, token_for(s.w, "--actor jo@acme.example --expires 30d"), "phone", 'p');
	struct fake *years = join_client(s.w, token_for(s.w, "--actor jo@acme.example --expires 1000d"), "desk", 'q');

	EXPECT_EVENT(month, "init");
	EXPECT_EVENT(years, "init");
	portal_wall += SEC(365 * 86400ull);
	say_topic(years, "phoenix", "heartbeat", "{}"); /* whoever speaks first brings it to light */
	tick(s.w, SEC(1));
	EXPECT_EVENT(years, "phx_reply");
	EXPECT_EVENT(month, "disconnect");
	EXPECT_STR(heard(month, "reason"), "token_expired");
	EXPECT_NOTHING(years);
	portal_wall -= SEC(366 * 86400ull);
	tick(s.w, SEC(30));
	EXPECT_NOTHING(years);
	portal_free(s.w);
}

static int count_one(void *ctx, enum kind k, const void *row)
{
	(void)k;
	(void)row;
	++*(u32 *)ctx;
	return 0;
}

static u32 links(struct portal_world *w)
{
	u32 n = 0;

	EXPECT_EQ(store_list(w->portal.store, KIND_LINK, NULL, count_one, &n), 0);
	return n;
}

TEST(what_expired_before_the_clock_was_set_back_stays_expired)
{
	struct scene s = scene_without_peers();
	u32 before = links(s.w);

	EXPECT_EQ(admin(s.w, "link add --actor jo@acme.example --expires 2d"), 0);
	EXPECT_EQ(links(s.w), before + 1);
	tick(s.w, SEC(61)); /* a purge */
	EXPECT_EQ(links(s.w), before + 1);
	portal_now += SEC(3 * 86400ull); /* nobody purged meanwhile */
	portal_wall += SEC(3 * 86400ull);
	portal_wall -= SEC(2 * 86400ull);
	tick(s.w, SEC(61));
	EXPECT_EQ(links(s.w), 0);
	portal_free(s.w);
}
