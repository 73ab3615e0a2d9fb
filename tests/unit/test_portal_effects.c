/* The table of spec 60 §5.2, row by row, as far as no other test has the row: who hears what of a change. */
#include "tests/unit/portal_scene.h"

static const char *events(struct fake *f)
{
	static char out[4][600];
	static u32 turn;
	char *all = out[turn++ % 4];

	all[0] = '\0';
	while (hear(f)[0])
		snprintf(all + strlen(all), sizeof(out[0]) - strlen(all), "%s%s", all[0] ? " " : "", f->event);
	return all;
}

TEST(spec60_55_every_channel_of_a_token_hears_of_its_end)
{
	struct scene s = scene_without_peers();
	char token[300], client_id[64], gateway_id[64], relay_id[64];
	struct fake *c[2], *g[2], *r, *other;

	snprintf(token, sizeof(token), "%s", token_for(s.w, "--actor jo@acme.example"));
	EXPECT_EQ(admin(s.w, "token list --json"), 0);
	snprintf(client_id, sizeof(client_id), "%s", admin_value(s.w, "token add --actor jo@acme.example --name gone", "id"));
	const char *made = strstr(s.w->reply.out, "\"token\":\"") + 9;
	snprintf(token, sizeof(token), "%.*s", (int)strcspn(made, "\""), made);
	c[0] = join_client(s.w, token, "one", '1');
	c[1] = join_client(s.w, token, "two", '2');
	snprintf(gateway_id, sizeof(gateway_id), "%s", admin_value(s.w, "token add --site Berlin", "id"));
	made = strstr(s.w->reply.out, "\"token\":\"") + 9;
	snprintf(token, sizeof(token), "%.*s", (int)strcspn(made, "\""), made);
	g[0] = join_gateway(s.w, token, "gw1", '3');
	g[1] = join_gateway(s.w, token, "gw2", '4');
	other = join_gateway(s.w, s.gateway_token, "gw3", '5');
	snprintf(relay_id, sizeof(relay_id), "%s", admin_value(s.w, "token add --relay", "id"));
	made = strstr(s.w->reply.out, "\"token\":\"") + 9;
	snprintf(token, sizeof(token), "%.*s", (int)strcspn(made, "\""), made);
	r = join_relay(s.w, token, STAMP_A);
	(void)events(r);
	(void)events(other);
	for (int i = 0; i < 2; i++) {
		(void)events(c[i]);
		(void)events(g[i]);
	}
	EXPECT_EQ(admin_f(s.w, "token delete %s", client_id), 0);
	EXPECT_EQ(admin_f(s.w, "token delete %s", gateway_id), 0);
	EXPECT_EQ(admin_f(s.w, "token delete %s", relay_id), 0);
	for (int i = 0; i < 2; i++) {
		EXPECT_STR(events(c[i]), "disconnect phx_close close");
		EXPECT_STR(events(g[i]), "disconnect phx_close close");
	}
	EXPECT_STR(events(r), "phx_close close"); /* without a word */
	EXPECT_STR(events(other), "");
	portal_free(s.w);
}

TEST(a_policy_that_changes_in_what_it_grants_is_taken_away_and_given_again)
{
	struct scene s = scene();

	make_flow(&s);
	EXPECT_EQ(admin_f(s.w, "policy update %s --description words", s.policy), 0);
	EXPECT_STR(events(s.c), "");
	EXPECT_STR(events(s.g), "");
	EXPECT_EQ(admin_f(s.w, "policy update %s --condition 'remote_ip is_in_cidr 198.51.100.0/24'", s.policy), 0);
	EXPECT_STR(events(s.c), "resource_deleted resource_created_or_updated");
	EXPECT_STR(events(s.g), "access_authorization_expiry_updated"); /* it still holds: authorized anew */
	EXPECT_EQ(admin(s.w, "group add --name team"), 0);
	EXPECT_EQ(admin_f(s.w, "policy update %s --group team", s.policy), 0);
	EXPECT_STR(events(s.c), "resource_deleted");
	EXPECT_STR(events(s.g), "reject_access");
	EXPECT_EQ(admin_f(s.w, "policy disable %s", s.policy), 0);
	EXPECT_EQ(admin_f(s.w, "policy update %s --group Everyone", s.policy), 0); /* disabled: nothing comes back */
	EXPECT_STR(events(s.c), "");
	portal_free(s.w);
}

TEST(an_ip_stack_that_changes_revokes_at_gateways)
{
	struct scene s = scene();
	char id[64];

	snprintf(id, sizeof(id), "%s", admin_value(s.w, "resource add --site Berlin --address app.example.com --name app", "id"));
	EXPECT_EQ(admin(s.w, "policy add --group Everyone --resource app"), 0);
	(void)events(s.c);
	ask_flow(&s, id);
	EXPECT_EVENT(s.g, "authorize_flow");
	answer_flow(&s);
	EXPECT_EVENT(s.c, "flow_created");
	EXPECT_EQ(admin(s.w, "resource update app --ip-stack ipv6-only"), 0);
	EXPECT_STR(events(s.g), "reject_access");
	EXPECT_STR(events(s.c), "resource_created_or_updated");
	EXPECT_EQ(admin(s.w, "resource update app --name App --description words"), 0);
	EXPECT_STR(events(s.g), "");
	EXPECT_STR(events(s.c), "resource_created_or_updated");
	portal_free(s.w);
}

TEST(what_nobody_can_see_is_told_to_nobody)
{
	struct scene s = scene();

	EXPECT_EQ(admin(s.w, "group add --name team"), 0);
	EXPECT_EQ(admin(s.w, "group update team --name crew"), 0);
	EXPECT_EQ(admin(s.w, "resource add --site Berlin --address 10.7.0.0/24 --name other"), 0);
	EXPECT_EQ(admin(s.w, "client update laptop --name Jos"), 0);
	EXPECT_EQ(admin(s.w, "gateway update gw --name attic"), 0);
	EXPECT_EQ(admin(s.w, "actor add --email al@acme.example"), 0);
	EXPECT_EQ(admin(s.w, "policy add --group crew --resource other"), 0);
	EXPECT_EQ(admin(s.w, "member add --group crew --actor al@acme.example"), 0);
	EXPECT_STR(events(s.c), "");
	EXPECT_STR(events(s.g), "");
	portal_free(s.w);
}

TEST(an_actor_who_is_deleted_leaves_nothing_behind)
{
	struct scene s = scene();

	EXPECT_EQ(admin(s.w, "actor add --type admin --email al@acme.example"), 0);
	make_flow(&s);
	EXPECT_EQ(admin(s.w, "actor delete jo@acme.example"), 0);
	EXPECT_STR(events(s.g), "reject_access");
	const char *told = events(s.c);
	EXPECT(strstr(told, "close") != NULL && strstr(told, "resource_created") == NULL);
	EXPECT_EQ(admin(s.w, "client show laptop"), 1);
	EXPECT_EQ(status_of(s.w, MSG_ROLE_CLIENT, s.client_token, CLIENT_UA), 401);
	portal_free(s.w);
}

/* spec 60 §5.2: a device that was deleted comes back as another */
TEST(a_client_that_was_deleted_comes_back_as_a_new_one)
{
	struct scene s = scene();
	char id[64];

	snprintf(id, sizeof(id), "%s", admin_value(s.w, "client show laptop", "id"));
	make_flow(&s);
	EXPECT_EQ(admin(s.w, "client delete laptop"), 0);
	EXPECT_STR(events(s.g), "reject_access");
	EXPECT_STR(events(s.c), "phx_close close");
	s.c = join_client(s.w, s.client_token, "laptop", 'c');
	EXPECT_EVENT(s.c, "init");
	EXPECT(strcmp(admin_value(s.w, "client show laptop", "id"), id) != 0);
	portal_free(s.w);
}
