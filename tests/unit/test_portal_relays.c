/* Relays: which a peer is told of, with which credentials, and when they come and go. */
#include "tests/unit/portal_scene.h"

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
