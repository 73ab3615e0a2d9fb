/* The pages of a signed-in admin, as a browser without script sees them: every list, form, detail and deletion, with real rows behind. */
#include "tests/unit/page_world.h"

#include "applets/portal/http/live.h"

#include <unistd.h>

TEST(without_a_session_a_page_leads_to_signing_in)
{
	struct http_world *w = http_new();
	const struct reply *r = http_get(w, "/acme/sites?x=1");

	EXPECT_EQ(r->status, 303);
	EXPECT_HAS(r->location, "/acme?redirect_to=");
	EXPECT_EQ(http_get(w, "/nobody/sites")->status, 404);
	http_free(w);
}

TEST(sites_are_made_renamed_and_deleted)
{
	struct http_world *w = signed_in();
	const struct reply *r = get(w, "/acme/sites", 200);
	char id[64];

	EXPECT_HAS(r->body, "Berlin");
	(void)get(w, "/acme/sites/new", 200);
	r = http_post(w, "/acme/sites/new", "name=");
	EXPECT_EQ(r->status, 422);
	EXPECT_HAS(r->body, "e-name");
	r = http_post(w, "/acme/sites/new", "name=Berlin");
	EXPECT(r->status == 409 || r->status == 422);
	EXPECT_HAS(r->body, "value=\"Berlin\"");
	r = http_post(w, "/acme/sites/new", "name=Pa%3Cb%3Eris");
	EXPECT_EQ(r->status, 303);
	EXPECT_HAS(r->location, "/new_token");
	r = get(w, r->location, 200);
	EXPECT_HAS(r->body, "Pa&lt;b&gt;ris");
	snprintf(id, sizeof(id), "%s", id_of(w, "site show Pa<b>ris"));
	(void)get(w, path("/acme/sites/%s", id), 200);
	(void)get(w, path("/acme/sites/%s/edit", id), 200);
	r = http_post(w, path("/acme/sites/%s/edit", id), "name=Paris");
	EXPECT_EQ(r->status, 303);
	(void)get(w, path("/acme/sites/%s/gateways", id), 200);
	r = get(w, path("/acme/sites/%s/delete", id), 200);
	r = http_post(w, path("/acme/sites/%s/delete", id), "");
	EXPECT_EQ(r->status, 303);
	EXPECT_EQ(http_get(w, path("/acme/sites/%s", id))->status, 404);
	http_free(w);
}

TEST(a_deletion_names_what_goes_with_it_and_wants_the_name_typed)
{
	struct http_world *w = signed_in();
	const struct reply *r;
	char id[64];

	EXPECT_EQ(admin(w->portal, "resource add --site Berlin --address 10.9.0.0/24 --name lab"), 0);
	snprintf(id, sizeof(id), "%s", id_of(w, "site show Berlin"));
	r = get(w, path("/acme/sites/%s/delete", id), 200);
	EXPECT_HAS(r->body, "1 resource");
	EXPECT_EQ(http_post(w, path("/acme/sites/%s/delete", id), "confirm=berlin")->status, 422);
	EXPECT_EQ(http_post(w, path("/acme/sites/%s/delete", id), "confirm=Berlin")->status, 303);
	EXPECT(admin(w->portal, "resource show lab") != 0);
	http_free(w);
}

TEST(the_deploy_page_shows_a_token_once_that_works)
{
	struct http_world *w = signed_in();
	const struct reply *r;
	char id[64], token[256] = "";
	const char *at;

	snprintf(id, sizeof(id), "%s", id_of(w, "site show Berlin"));
	r = get(w, path("/acme/sites/%s/new_token", id), 200);
	EXPECT(!strstr(r->body, "FIREZONE_TOKEN"));
	r = http_post(w, path("/acme/sites/%s/new_token", id), "");
	EXPECT_EQ(r->status, 200);
	EXPECT(!html_page_fault(SPAN(r->body, r->body_len)));
	at = strstr(r->body, "FIREZONE_TOKEN=&#39;");
	if (EXPECT(at)) {
		sscanf(at + 20, "%200[^&]", token);
		struct fake *g = join_gateway(w->portal, token, "gw-1", '2');
		EXPECT(g->peer);
		r = get(w, path("/acme/sites/%s", id), 200);
		EXPECT_HAS(r->body, "online");
	}
	http_free(w);
}

TEST(a_resource_is_guessed_from_its_address)
{
	struct http_world *w = signed_in();
	static const struct {
		const char *address, *type;
	} cases[] = { { "10.0.0.5", "ip" }, { "10.0.0.0%2F24", "cidr" }, { "fd12::%2F64", "cidr" }, { "**.example.com", "dns" } };
	const struct reply *r;
	char form[512], site[64], name[64];

	snprintf(site, sizeof(site), "%s", id_of(w, "site show Berlin"));
	(void)get(w, "/acme/resources", 200);
	(void)get(w, "/acme/resources/new", 200);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		snprintf(name, sizeof(name), "r%zu", i);
		snprintf(form, sizeof(form), "address=%s&name=%s&site=%s", cases[i].address, name, site);
		r = http_post(w, "/acme/resources/new", form);
		EXPECT_EQ(r->status, 303);
		EXPECT_HAS(r->location, "/acme/policies/new?resource=");
		snprintf(form, sizeof(form), "resource show %s", name);
		EXPECT_STR(admin_value(w->portal, form, "type"), cases[i].type);
	}
	(void)get(w, "/acme/resources?q=exam&site=", 200);
	http_free(w);
}

TEST(a_resource_form_keeps_what_was_typed_and_marks_the_field)
{
	struct http_world *w = signed_in();
	const struct reply *r;
	char form[512], site[64];

	snprintf(site, sizeof(site), "%s", id_of(w, "site show Berlin"));
	(void)get(w, "/acme/resources/new", 200);
	snprintf(form, sizeof(form), "address=10.0.0.5%%2F8%%22%%3E%%3Cscript%%3E&name=bad&site=%s&tcp=70000", site);
	r = http_post(w, "/acme/resources/new", form);
	EXPECT_EQ(r->status, 422);
	EXPECT(!strstr(r->body, "<script>"));
	EXPECT_HAS(r->body, "value=\"bad\"");
	snprintf(form, sizeof(form), "address=10.0.0.5&name=bad&site=%s&tcp=70000", site);
	r = http_post(w, "/acme/resources/new", form);
	EXPECT_EQ(r->status, 422);
	EXPECT_HAS(r->body, "e-tcp");
	http_free(w);
}

TEST(filters_of_a_resource_survive_editing)
{
	struct http_world *w = signed_in();
	const struct reply *r;
	char form[512], site[64], id[64];

	snprintf(site, sizeof(site), "%s", id_of(w, "site show Berlin"));
	EXPECT_EQ(admin(w->portal, "resource add --site Berlin --address 10.9.0.5 --name web --filter tcp:22,8000-9000 --filter icmp"), 0);
	snprintf(id, sizeof(id), "%s", id_of(w, "resource show web"));
	r = get(w, path("/acme/resources/%s/edit", id), 200);
	EXPECT_HAS(r->body, "value=\"22, 8000-9000\"");
	snprintf(form, sizeof(form), "address=10.9.0.5&name=web&site=%s&type=ip&tcp=22%%2C+8000-9000&icmp=true", site);
	EXPECT_EQ(http_post(w, path("/acme/resources/%s/edit", id), form)->status, 303);
	EXPECT_STR(admin_value(w->portal, "resource show web", "filters"), "tcp:22,8000-9000 icmp");
	snprintf(form, sizeof(form), "address=10.9.0.5&name=web&site=%s&type=ip&tcp=", site);
	EXPECT_EQ(http_post(w, path("/acme/resources/%s/edit", id), form)->status, 303);
	EXPECT_STR(admin_value(w->portal, "resource show web", "filters"), "");
	(void)get(w, path("/acme/resources/%s", id), 200);
	(void)get(w, path("/acme/resources/%s/delete", id), 200);
	http_free(w);
}

TEST(a_policy_with_every_condition_survives_editing)
{
	struct http_world *w = signed_in();
	const struct reply *r;
	char form[1024], group[64], resource[64], id[64];

	EXPECT_EQ(admin(w->portal, "resource add --site Berlin --address 10.9.0.5 --name web"), 0);
	snprintf(group, sizeof(group), "%s", id_of(w, "group show Everyone"));
	snprintf(resource, sizeof(resource), "%s", id_of(w, "resource show web"));
	r = get(w, path("/acme/policies/new?resource=%s", resource), 200);
	snprintf(form, sizeof(form), "group=%s&resource=%s&description=because&region-op=is_in&region=de%%2C+at&ip-op=is_not_in_cidr&ip=192.0.2.0%%2F24&verified=true"
		 "&zone=Europe%%2FTest&day-m=9%%3A00-12%%3A00%%2C+13%%3A00-17%%3A00&day-u=all", group, resource);
	r = http_post(w, "/acme/policies/new", form);
	if (!EXPECT(r->status == 303))
		return;
	snprintf(id, sizeof(id), "%s", strrchr(r->location, '/') + 1);
	r = get(w, path("/acme/policies/%s", id), 200);
	EXPECT_HAS(r->body, "Only from ");
	EXPECT_HAS(r->body, "Only verified devices");
	r = get(w, path("/acme/policies/%s/edit", id), 200);
	EXPECT_HAS(r->body, "value=\"Europe/Test\"");
	EXPECT_HAS(r->body, "192.0.2.0/24");
	EXPECT_EQ(http_post(w, path("/acme/policies/%s/disable", id), "")->status, 303);
	EXPECT_HAS(get(w, path("/acme/policies/%s", id), 200)->body, "disabled");
	EXPECT_EQ(http_post(w, path("/acme/policies/%s/enable", id), "")->status, 303);
	snprintf(form, sizeof(form), "group=%s&resource=%s&zone=Mars%%2FOlympus&day-m=9-17", group, resource);
	r = http_post(w, path("/acme/policies/%s/edit", id), form);
	EXPECT_EQ(r->status, 422);
	EXPECT_HAS(r->body, "e-zone");
	(void)get(w, "/acme/policies?status=active&q=web", 200);
	(void)get(w, path("/acme/policies/%s/delete", id), 200);
	EXPECT_EQ(http_post(w, path("/acme/policies/%s/delete", id), "")->status, 303);
	http_free(w);
}

TEST(clients_are_shown_verified_renamed_and_forgotten)
{
	struct http_world *w = signed_in();
	const struct reply *r;
	char id[64];

	(void)get(w, "/acme/clients", 200);
	struct fake *c = join_client(w->portal, token_for(w->portal, "--actor jo@acme.example"), "laptop", '1');
	EXPECT_EVENT(c, "init");
	tick(w->portal, SEC(6));
	r = get(w, "/acme/clients", 200);
	const char *at = strstr(r->body, "/acme/clients/");
	if (EXPECT(at))
		sscanf(at + 14, "%36[0-9a-f-]", id);
	EXPECT_HAS(r->body, "online");
	(void)get(w, path("/acme/clients/%s", id), 200);
	EXPECT_EQ(http_post(w, path("/acme/clients/%s/verify", id), "")->status, 303);
	EXPECT_HAS(get(w, path("/acme/clients/%s", id), 200)->body, "verified");
	EXPECT_EQ(http_post(w, path("/acme/clients/%s/unverify", id), "")->status, 303);
	EXPECT_EQ(http_post(w, path("/acme/clients/%s/edit", id), "name=my+box")->status, 303);
	EXPECT_HAS(get(w, "/acme/clients?online=yes&q=my", 200)->body, "my box");
	EXPECT(!strstr(get(w, "/acme/clients?online=no", 200)->body, "my box"));
	EXPECT_EQ(http_post(w, path("/acme/clients/%s/delete", id), "")->status, 303);
	http_free(w);
}

TEST(spec60_01_ids_of_another_account_are_nobodys)
{
	struct http_world *w = signed_in();
	char id[64];

	EXPECT_EQ(admin(w->portal, "account add --name Other --slug other"), 0);
	snprintf(id, sizeof(id), "%s", id_of(w, "site show 'Default Site' --account other"));
	EXPECT_EQ(http_get(w, path("/acme/sites/%s", id))->status, 404);
	(void)get(w, "/acme/sites/new", 200);
	EXPECT_EQ(http_post(w, path("/acme/sites/%s/edit", id), "name=mine")->status, 404);
	EXPECT_EQ(http_get(w, path("/other/sites/%s", id))->status, 303);
	http_free(w);
}

TEST(people_are_added_changed_disabled_and_deleted)
{
	struct http_world *w = signed_in();
	const struct reply *r;
	char id[64];

	(void)get(w, "/acme/actors", 200);
	(void)get(w, "/acme/actors/new", 200);
	r = http_post(w, "/acme/actors/new", "type=user&email=not+an+address&name=");
	EXPECT_EQ(r->status, 422);
	EXPECT_HAS(r->body, "e-email");
	r = http_post(w, "/acme/actors/new", "type=user&email=sam%40acme.example&name=Sam");
	EXPECT_EQ(r->status, 303);
	snprintf(id, sizeof(id), "%s", id_of(w, "actor show sam@acme.example"));
	EXPECT_HAS(get(w, path("/acme/actors/%s", id), 200)->body, "sam@acme.example");
	(void)get(w, path("/acme/actors/%s/edit", id), 200);
	EXPECT_EQ(http_post(w, path("/acme/actors/%s/edit", id), "name=Samuel&email=sam%40acme.example&type=admin")->status, 303);
	EXPECT_STR(admin_value(w->portal, "actor show sam@acme.example", "type"), "account_admin_user");
	EXPECT_EQ(http_post(w, path("/acme/actors/%s/disable", id), "")->status, 303);
	EXPECT_HAS(get(w, path("/acme/actors/%s", id), 200)->body, "disabled");
	EXPECT_EQ(http_post(w, path("/acme/actors/%s/enable", id), "")->status, 303);
	EXPECT_HAS(get(w, "/acme/actors?q=samuel&type=account_admin_user&status=active", 200)->body, "Samuel");
	(void)get(w, path("/acme/actors/%s/delete", id), 200);
	EXPECT_EQ(http_post(w, path("/acme/actors/%s/delete", id), "confirm=Samuel")->status, 303);
	EXPECT_EQ(http_get(w, path("/acme/actors/%s", id))->status, 404);
	http_free(w);
}

TEST(spec60_64_nobody_disables_or_deletes_himself)
{
	struct http_world *w = signed_in();
	char id[64];

	snprintf(id, sizeof(id), "%s", id_of(w, "actor show jo@acme.example"));
	(void)get(w, path("/acme/actors/%s", id), 200);
	(void)http_post(w, path("/acme/actors/%s/disable", id), "");
	(void)http_post(w, path("/acme/actors/%s/delete", id), "confirm=jo%40acme.example");
	EXPECT_STR(admin_value(w->portal, "actor show jo@acme.example", "disabled_at"), "");
	EXPECT_EQ(http_get(w, path("/acme/actors/%s", id))->status, 200);
	http_free(w);
}

/* For a device without anybody in front of it (spec 60, What changed after the pin). */
TEST(a_person_gets_a_token_too)
{
	struct http_world *w = signed_in();
	const struct reply *r;
	char id[64];

	snprintf(id, sizeof(id), "%s", admin_value(w->portal, "actor add --email sam@acme.example --name Sam", "id"));
	EXPECT_HAS(get(w, path("/acme/actors/%s", id), 200)->body, "Make a token");
	r = http_post(w, path("/acme/actors/%s/new_token", id), "expires=");
	EXPECT_EQ(r->status, 200);
	EXPECT(!html_page_fault(SPAN(r->body, r->body_len)));
	EXPECT_HAS(r->body, "connects as this actor");
	http_free(w);
}

TEST(a_service_account_gets_a_token_that_is_shown_once)
{
	struct http_world *w = signed_in();
	const struct reply *r;
	char id[64], token[256] = "";
	const char *at;

	(void)get(w, "/acme/actors/new", 200);
	r = http_post(w, "/acme/actors/new", "type=service-account&name=backup");
	EXPECT_EQ(r->status, 303);
	snprintf(id, sizeof(id), "%s", strrchr(r->location, '/') + 1);
	(void)get(w, path("/acme/actors/%s", id), 200);
	r = http_post(w, path("/acme/actors/%s/new_token", id), "expires=");
	EXPECT_EQ(r->status, 200);
	EXPECT(!html_page_fault(SPAN(r->body, r->body_len)));
	at = strstr(r->body, "<pre id=made");
	at = at ? at : strstr(r->body, "<pre id=\"made\"");
	if (EXPECT(at)) {
		sscanf(strchr(at, '>') + 1, " %200[^<]", token);
		struct fake *c = join_client(w->portal, token, "box", '3');
		EXPECT_EVENT(c, "init");
		r = get(w, path("/acme/actors/%s", id), 200);
		EXPECT(!strstr(r->body, token));
		at = strstr(r->body, "/tokens/");
		if (EXPECT(at)) {
			char revoke[256];
			snprintf(revoke, sizeof(revoke), "/acme/actors/%s%.*s", id, (int)strcspn(at, "\""), at);
			EXPECT_EQ(http_post(w, revoke, "")->status, 303);
			EXPECT_EVENT(c, "disconnect");
		}
	}
	http_free(w);
}

TEST(groups_have_members)
{
	struct http_world *w = signed_in();
	const struct reply *r;
	char id[64], actor[64], where[256];

	(void)get(w, "/acme/groups", 200);
	(void)get(w, "/acme/groups/new", 200);
	r = http_post(w, "/acme/groups/new", "name=Ops");
	EXPECT_EQ(r->status, 303);
	snprintf(id, sizeof(id), "%s", strrchr(r->location, '/') + 1);
	(void)get(w, path("/acme/groups/%s", id), 200);
	r = http_post(w, path("/acme/groups/%s", id), "actor=nobody%40acme.example");
	EXPECT_EQ(r->status, 422);
	EXPECT_HAS(r->body, "nobody of that address");
	EXPECT_EQ(http_post(w, path("/acme/groups/%s", id), "actor=jo%40acme.example")->status, 303);
	EXPECT_HAS(get(w, path("/acme/groups/%s", id), 200)->body, "jo@acme.example");
	snprintf(actor, sizeof(actor), "%s", id_of(w, "actor show jo@acme.example"));
	snprintf(where, sizeof(where), "/acme/groups/%s/members/%s/remove", id, actor);
	EXPECT_EQ(http_post(w, where, "")->status, 303);
	EXPECT_HAS(get(w, path("/acme/groups/%s", id), 200)->body, "Nobody is in this group");
	(void)get(w, path("/acme/groups/%s/edit", id), 200);
	EXPECT_EQ(http_post(w, path("/acme/groups/%s/edit", id), "name=Crew")->status, 303);
	EXPECT_EQ(http_post(w, path("/acme/groups/%s/delete", id), "")->status, 303);
	snprintf(id, sizeof(id), "%s", id_of(w, "group show Everyone"));
	EXPECT_HAS(get(w, path("/acme/groups/%s", id), 200)->body, "jo@acme.example");
	http_free(w);
}

TEST(spec60_03_dns_settings_are_checked)
{
	struct http_world *w = signed_in();
	const struct reply *r;

	(void)get(w, "/acme/settings/dns", 200);
	r = http_post(w, "/acme/settings/dns", "search-domain=corp.example&dns=custom&addresses=9.9.9.9%0D%0A100.64.0.1");
	EXPECT_EQ(r->status, 422);
	EXPECT_HAS(r->body, "100.64.0.1");
	r = http_post(w, "/acme/settings/dns", "search-domain=corp.example&dns=custom&addresses=9.9.9.9%0D%0A2620%3Afe%3A%3Afe");
	EXPECT_EQ(r->status, 303);
	EXPECT_STR(admin_value(w->portal, "account show acme", "dns_addresses"), "9.9.9.9 2620:fe::fe");
	EXPECT_EQ(http_post(w, "/acme/settings/dns", "search-domain=&dns=secure&provider=quad9")->status, 303);
	EXPECT_STR(admin_value(w->portal, "account show acme", "doh_provider"), "quad9");
	http_free(w);
}

TEST(an_account_that_is_renamed_moves_its_pages)
{
	struct http_world *w = signed_in();
	const struct reply *r;

	(void)get(w, "/acme/settings/account", 200);
	(void)get(w, "/acme/settings/account/edit", 200);
	r = http_post(w, "/acme/settings/account/edit", "name=Acme+Ltd&slug=acme_ltd&notify-outdated-gateway=true&rest-api=true");
	EXPECT_EQ(r->status, 303);
	EXPECT_STR(r->location, "/acme_ltd/settings/account");
	EXPECT_HAS(get(w, r->location, 200)->body, "Acme Ltd");
	http_free(w);
}

TEST(api_clients_get_tokens)
{
	struct http_world *w = signed_in();
	const struct reply *r;
	char id[64];

	(void)get(w, "/acme/settings/api_clients", 200);
	(void)get(w, "/acme/settings/api_clients/new", 200);
	r = http_post(w, "/acme/settings/api_clients/new", "name=terraform");
	EXPECT_EQ(r->status, 303);
	snprintf(id, sizeof(id), "%s", strrchr(r->location, '/') + 1);
	(void)get(w, path("/acme/settings/api_clients/%s", id), 200);
	EXPECT_EQ(http_post(w, path("/acme/settings/api_clients/%s", id), "name=&expires=")->status, 422);
	r = http_post(w, path("/acme/settings/api_clients/%s", id), "name=laptop&expires=2099-01-31");
	EXPECT_EQ(r->status, 200);
	EXPECT_HAS(r->body, "shown only now");
	EXPECT(!strstr(get(w, path("/acme/settings/api_clients/%s", id), 200)->body, "shown only now"));
	EXPECT_EQ(http_post(w, path("/acme/settings/api_clients/%s/disable", id), "")->status, 303);
	EXPECT_EQ(http_post(w, path("/acme/settings/api_clients/%s/enable", id), "")->status, 303);
	(void)get(w, path("/acme/settings/api_clients/%s/edit", id), 200);
	(void)get(w, path("/acme/settings/api_clients/%s/delete", id), 200);
	EXPECT_EQ(http_post(w, path("/acme/settings/api_clients/%s/delete", id), "confirm=terraform")->status, 303);
	http_free(w);
}

TEST(ways_to_sign_in_are_listed_changed_and_disabled)
{
	struct http_world *w = signed_in();
	const struct reply *r = get(w, "/acme/settings/authentication", 200);
	char id[64], form[256];

	EXPECT_HAS(r->body, "Email (OTP)");
	(void)get(w, "/acme/settings/authentication/select_type", 200);
	(void)get(w, "/acme/settings/authentication/oidc/new", 200);
	(void)get(w, "/acme/settings/authentication/entra/new", 200);
	EXPECT_EQ(http_get(w, "/acme/settings/authentication/userpass/new")->status, 404);
	snprintf(id, sizeof(id), "%s", id_of(w, "provider show 'Email (OTP)'"));
	(void)get(w, path("/acme/settings/authentication/email_otp/%s/edit", id), 200);
	snprintf(form, sizeof(form), "name=Code&context=clients_only&client-session-lifetime-secs=7200&portal-session-lifetime-secs=1");
	r = http_post(w, path("/acme/settings/authentication/email_otp/%s/edit", id), form);
	EXPECT_EQ(r->status, 422);
	EXPECT_HAS(r->body, "e-portal-session-lifetime-secs");
	snprintf(form, sizeof(form), "name=Code&context=clients_only&client-session-lifetime-secs=7200&portal-session-lifetime-secs=600");
	EXPECT_EQ(http_post(w, path("/acme/settings/authentication/email_otp/%s/edit", id), form)->status, 303);
	EXPECT_EQ(http_post(w, path("/acme/settings/authentication/email_otp/%s/disable", id), "")->status, 303);
	EXPECT_HAS(get(w, "/acme/settings/authentication", 200)->body, "disabled");
	http_free(w);
}

TEST(the_search_box_finds_things_while_typing)
{
	struct http_world *w = signed_in();
	const struct reply *r;

	EXPECT_EQ(admin(w->portal, "resource add --site Berlin --address 10.9.0.0/24 --name 'Lab <b>Bern'"), 0);
	EXPECT_EQ(admin(w->portal, "group add --name Berliners"), 0);
	r = get(w, "/acme/search", 200);
	EXPECT_HAS(r->body, "Names, addresses");
	r = get(w, "/acme/search?q=BER", 200);
	EXPECT_HAS(r->body, ">Berlin</a>");
	EXPECT_HAS(r->body, ">Berliners</a>");
	EXPECT_HAS(r->body, "Lab &lt;b&gt;Bern");
	EXPECT_HAS(r->body, "value=\"BER\"");
	r = get(w, "/acme/search?q=%22%3E%3Cscript%3E", 200);
	EXPECT_HAS(r->body, "Nothing has");
	r = http_get(w, "/acme/search?fragment=1&q=lab");
	EXPECT_EQ(r->status, 200);
	const char *fault = html_part_fault(SPAN(r->body, r->body_len));
	EXPECT_STR(fault ? fault : "", "");
	EXPECT(strncmp(r->body, "<ul><li><a href=\"/acme/resources/", 33) == 0);
	EXPECT_HAS(http_get(w, "/acme/search?fragment=1&q=zzzz")->body, "<p>Nothing has");
	http_free(w);
}

TEST(open_pages_hear_what_changes)
{
	struct http_world *w = signed_in();
	char request[4096];
	bool is_closed;
	int fd = http_dial(w);

	snprintf(request, sizeof(request), "GET /acme/live?topics=sites HTTP/1.1\r\nHost: x\r\nCookie: %s\r\n\r\n", w->cookie[0]);
	http_send(w, fd, request);
	EXPECT_HAS(http_recv(w, fd, &is_closed), "text/event-stream");
	live_publish(&w->portal->portal, NULL, "sites", "sites", NULL);
	EXPECT_HAS(http_recv(w, fd, &is_closed), "data: sites\n");
	EXPECT(!is_closed);
	close(fd);
	http_turn(w);
	http_forget(w);
	EXPECT_EQ(http_get(w, "/acme/live?topics=sites")->status, 303);
	http_free(w);
}

TEST(the_overview_ticks_its_steps)
{
	struct http_world *w = signed_in();
	const struct reply *r = get(w, "/acme/overview", 200);

	EXPECT_HAS(r->body, "Deploy a gateway");
	EXPECT(!strstr(r->body, "class=done") && !strstr(r->body, "class=\"done\""));
	EXPECT_EQ(admin(w->portal, "resource add --site Berlin --address 10.9.0.0/24 --name lab"), 0);
	EXPECT_EQ(admin(w->portal, "policy add --group Everyone --resource lab"), 0);
	EXPECT_EVENT(join_gateway(w->portal, token_for(w->portal, "--site Berlin"), "gw", '2'), "init");
	EXPECT_EVENT(join_client(w->portal, token_for(w->portal, "--actor jo@acme.example"), "laptop", '1'), "init");
	r = get(w, "/acme/overview", 200);
	EXPECT(!strstr(r->body, "Until it works"));
	EXPECT_HAS(r->body, "1 client");
	http_free(w);
}

TEST(the_activity_tells_who_changed_what)
{
	struct http_world *w = signed_in();
	const struct reply *r;

	(void)get(w, "/acme/sites/new", 200);
	EXPECT_EQ(http_post(w, "/acme/sites/new", "name=Lisbon")->status, 303);
	r = get(w, "/acme/activity?q=lisbon&kind=site&op=insert", 200);
	EXPECT_HAS(r->body, "made site Lisbon");
	EXPECT_HAS(r->body, "203.0.113.7");
	r = http_get(w, "/acme/activity/export");
	EXPECT_EQ(r->status, 200);
	EXPECT_HAS(r->body, "Lisbon");
	http_free(w);
}

TEST(why_marks_the_first_broken_link)
{
	struct http_world *w = signed_in();
	char client[64], resource[64], where[256];
	const char *at;

	EXPECT_EQ(admin(w->portal, "resource add --site Berlin --address 10.9.0.0/24 --name lab"), 0);
	snprintf(resource, sizeof(resource), "%s", id_of(w, "resource show lab"));
	EXPECT_EVENT(join_client(w->portal, token_for(w->portal, "--actor jo@acme.example"), "laptop", '1'), "init");
	tick(w->portal, SEC(6));
	at = strstr(get(w, "/acme/clients", 200)->body, "/acme/clients/");
	if (EXPECT(at))
		sscanf(at + 14, "%36[0-9a-f-]", client);
	(void)get(w, "/acme/why", 200);
	snprintf(where, sizeof(where), "/acme/why?client=%s&resource=%s", client, resource);
	EXPECT_HAS(get(w, where, 200)->body, "No enabled policy");
	EXPECT_EQ(admin(w->portal, "policy add --group Everyone --resource lab --condition 'client_verified is true'"), 0);
	EXPECT_HAS(get(w, where, 200)->body, "not verified");
	EXPECT_EQ(admin(w->portal, "client verify laptop"), 0);
	EXPECT_HAS(get(w, where, 200)->body, "No gateway of its site is online");
	EXPECT_EVENT(join_gateway(w->portal, token_for(w->portal, "--site Berlin"), "gw", '2'), "init");
	EXPECT_HAS(get(w, where, 200)->body, "it can reach it");
	http_free(w);
}

TEST(relays_are_listed_while_they_are_connected)
{
	struct http_world *w = signed_in();

	EXPECT_HAS(get(w, "/acme/relays", 200)->body, "No relay is connected");
	(void)join_relay(w->portal, token_for(w->portal, "--relay"), "secret");
	EXPECT_HAS(get(w, "/acme/relays", 200)->body, "online");
	http_free(w);
}

TEST(directories_are_listed_and_asked_for_by_forms)
{
	struct http_world *w = signed_in();
	char id[64];

	EXPECT_HAS(get(w, "/acme/settings/directory_sync", 200)->body, "Google Workspace");
	EXPECT_HAS(get(w, "/acme/settings/directory_sync/google/new", 200)->body, "impersonation-email");
	EXPECT_HAS(get(w, "/acme/settings/directory_sync/entra/new", 200)->body, "tenant-id");
	EXPECT_HAS(get(w, "/acme/settings/directory_sync/okta/new", 200)->body, "private-key-jwk");
	EXPECT_EQ(http_get(w, "/acme/settings/directory_sync/ldap/new")->status, 404);
	EXPECT_EQ(admin(w->portal, "directory add --type entra --name Entra --tenant-id 0b8c1d2e-0000-4000-8000-000000000001 --client-id c --client-secret s --verified on"), 0);
	snprintf(id, sizeof(id), "%s", id_of(w, "directory show Entra"));
	EXPECT_HAS(get(w, "/acme/settings/directory_sync", 200)->body, "waiting for the first run");
	EXPECT(!strstr(get(w, path("/acme/settings/directory_sync/entra/%s/edit", id), 200)->body, "value=\"s\""));
	EXPECT_EQ(http_post(w, path("/acme/settings/directory_sync/entra/%s/disable", id), "")->status, 303);
	EXPECT_HAS(get(w, "/acme/settings/directory_sync", 200)->body, "disabled");
	(void)get(w, path("/acme/settings/directory_sync/entra/%s/delete", id), 200);
	EXPECT_EQ(http_post(w, path("/acme/settings/directory_sync/entra/%s/delete", id), "confirm=Entra")->status, 303);
	http_free(w);
}

/* Two admins have the same form open: the second to save is told, keeps what was typed, and may save over it knowingly. */
TEST(who_saved_meanwhile_is_not_overwritten_unseen)
{
	struct http_world *w = signed_in();
	const struct reply *r;
	char id[64], site[64], form[512], since[32] = "";
	const char *at;

	snprintf(site, sizeof(site), "%s", id_of(w, "site show Berlin"));
	EXPECT_EQ(admin(w->portal, "resource add --site Berlin --address 10.9.0.5 --name web"), 0);
	snprintf(id, sizeof(id), "%s", id_of(w, "resource show web"));
	for (int attempt = 0; attempt < 2; attempt++) {
		r = attempt == 0 ? get(w, path("/acme/resources/%s/edit", id), 200) : r;
		at = strstr(r->body, "if-updated-at");
		if (EXPECT(at))
			sscanf(strstr(at, "value=\"") + 7, "%30[0-9]", since);
		if (attempt == 0) {
			tick(w->portal, SEC(1));
			EXPECT_EQ(admin(w->portal, "resource update web --name theirs"), 0);
		}
		snprintf(form, sizeof(form), "address=10.9.0.5&name=mine&site=%s&type=ip&if-updated-at=%s", site, since);
		r = http_post(w, path("/acme/resources/%s/edit", id), form);
		EXPECT_EQ(r->status, attempt == 0 ? 409 : 303);
		if (attempt == 0) {
			EXPECT_HAS(r->body, "value=\"mine\"");
			EXPECT_STR(admin_value(w->portal, "resource show theirs", "name"), "theirs");
		}
	}
	EXPECT_STR(admin_value(w->portal, "resource show mine", "name"), "mine");
	http_free(w);
}
