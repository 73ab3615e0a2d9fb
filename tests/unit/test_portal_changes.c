/* What an operator changes, and who is told of it at once. */
#include "tests/unit/portal_scene.h"

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

	EXPECT_EQ(hub_restart(s.w->portal.hub, portal_now, portal_wall, UINT32_MAX), 0);
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
	/* of users the limit of active ones comes first */
	EXPECT_EQ(admin(w, "account update --limit-monthly-active-users 1"), 0);
	EXPECT_EQ(admin(w, "actor add --email u@acme.example"), 0);
	EXPECT_EQ(admin(w, "account update --limit-monthly-active-users none --limit-users none --limit-admins 1 --limit-api-clients 1"), 0);
	EXPECT_EQ(admin(w, "actor add --type admin --email v@acme.example"), 1);
	EXPECT_EQ(admin(w, "api-client add --name one"), 0);
	EXPECT_EQ(admin(w, "api-client add --name two"), 1);
	EXPECT_EQ(admin(w, "account update --limit-api-tokens-per-client 1"), 0);
	EXPECT_EQ(admin(w, "api-token add --actor one --name a"), 0);
	EXPECT_EQ(admin(w, "api-token add --actor one --name b"), 1);
	/* and nothing is made in an account that is disabled */
	EXPECT_EQ(admin(w, "account update --limit-admins none"), 0);
	EXPECT_EQ(admin(w, "account disable acme"), 0);
	EXPECT_EQ(admin(w, "actor add --email v@acme.example"), 1);
	EXPECT_EQ(admin(w, "site add --name Fourth"), 1);
	EXPECT_EQ(admin(w, "actor add --type service-account --name s2"), 1);
	EXPECT_EQ(admin(w, "account enable acme"), 0);
	EXPECT_EQ(admin(w, "site add --name Fourth"), 0);
	portal_free(w);
}
