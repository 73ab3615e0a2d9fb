/* Taking back what was just done (web/undo.h): from the button on the page that follows, without script. */
#include "tests/unit/page_world.h"

#include <unistd.h>

/* The action of the undo form on the page that a POST led to; "" when it offers none. */
static const char *offered(struct http_world *w, const struct reply *r)
{
	static char href[128];
	const char *at;

	EXPECT_EQ(r->status, 303);
	r = get(w, r->location, 200);
	at = strstr(r->body, "/acme/undo/");
	snprintf(href, sizeof(href), "%.*s", at ? (int)strcspn(at, "\"") : 0, at ? at : "");
	return href;
}

/* Presses the button; what the next page says. */
static const char *undone(struct http_world *w, const char *href)
{
	const struct reply *r = http_post(w, href, "");

	EXPECT_EQ(r->status, 303);
	return get(w, r->location, 200)->body;
}

static const char *undo(struct http_world *w, const char *where, const char *form)
{
	const char *href = offered(w, http_post(w, where, form));

	if (!*href)
		test_fail(__FILE__, __LINE__, "%s: no undo is offered", where);
	return *href ? undone(w, href) : "";
}

static void policy(struct http_world *w, const char *more, char id[static 64])
{
	char command[512];

	EXPECT_EQ(admin(w->portal, "resource add --site Berlin --address 10.9.0.5 --name web"), 0);
	snprintf(command, sizeof(command), "policy add --group Everyone --resource web %s", more);
	snprintf(id, 64, "%s", id_of(w, command));
	(void)get(w, "/acme/policies/new", 200);
}

static const char *value_of(struct http_world *w, const char *noun, const char *id, const char *member)
{
	char command[256];

	snprintf(command, sizeof(command), "%s show %s", noun, id);
	return admin_value(w->portal, command, member);
}

TEST(a_policy_is_switched_back_and_only_once)
{
	struct http_world *w = signed_in();
	char id[64], href[128];
	const struct reply *r;

	policy(w, "", id);
	snprintf(href, sizeof(href), "%s", offered(w, http_post(w, path("/acme/policies/%s/disable", id), "")));
	EXPECT(*href && *value_of(w, "policy", id, "disabled_at"));
	EXPECT(!strstr(get(w, path("/acme/policies/%s", id), 200)->body, "/acme/undo/")); /* only the page that tells of it */
	r = http_post(w, href, "");
	EXPECT_STR(r->location, path("/acme/policies/%s", id));
	EXPECT_HAS(get(w, r->location, 200)->body, "Undone. It holds again.");
	EXPECT_STR(value_of(w, "policy", id, "disabled_at"), "");
	EXPECT_HAS(undone(w, href), "undone already");
	EXPECT_STR(value_of(w, "policy", id, "disabled_at"), "");
	http_free(w);
}

TEST(what_was_changed_meanwhile_stays_as_it_is)
{
	struct http_world *w = signed_in();
	char id[64], href[128];

	policy(w, "", id);
	snprintf(href, sizeof(href), "%s", offered(w, http_post(w, path("/acme/policies/%s/disable", id), "")));
	tick(w->portal, SEC(1));
	EXPECT_EQ(admin(w->portal, path("policy update %s --description theirs", id)), 0);
	EXPECT_HAS(undone(w, href), "changed meanwhile");
	EXPECT(*value_of(w, "policy", id, "disabled_at"));
	snprintf(href, sizeof(href), "%s", offered(w, http_post(w, path("/acme/policies/%s/enable", id), "")));
	EXPECT_EQ(admin(w->portal, path("policy delete %s", id)), 0);
	const struct reply *r = http_post(w, href, "");
	EXPECT_HAS(r->location, "/acme/policies/");
	http_free(w);
}

TEST(a_deleted_policy_is_made_again_with_its_conditions_and_as_disabled_as_it_was)
{
	struct http_world *w = signed_in();
	char id[64], more[256] = "--description 'for <b>ops' --condition 'client_verified is true' --condition 'remote_ip is_in_cidr 10.0.0.0/8 192.0.2.0/24' --disabled";
	char conditions[256];

	policy(w, more, id);
	snprintf(conditions, sizeof(conditions), "%s", value_of(w, "policy", id, "conditions"));
	EXPECT_HAS(conditions, "192.0.2.0/24");
	EXPECT_HAS(undo(w, path("/acme/policies/%s/delete", id), ""), "made again");
	EXPECT(admin(w->portal, path("policy show %s", id)) != 0);
	const char *at = strstr(get(w, "/acme/policies", 200)->body, "href=\"/acme/policies/0");
	at = at ? at : strstr(w->reply.body, "class=row href=\"/acme/policies/");
	at = at ? strstr(at, "/acme/policies/") : NULL;
	if (EXPECT(at)) {
		snprintf(id, sizeof(id), "%.36s", at + 15);
		EXPECT_STR(value_of(w, "policy", id, "conditions"), conditions);
		EXPECT_STR(value_of(w, "policy", id, "description"), "for <b>ops");
		EXPECT(*value_of(w, "policy", id, "disabled_at"));
	}
	http_free(w);
}

TEST(a_changed_policy_gets_its_conditions_back)
{
	struct http_world *w = signed_in();
	char id[64], form[256], group[64], resource[64], conditions[256];

	policy(w, "--condition 'client_verified is true' --condition 'remote_ip_location_region is_in DE AT'", id);
	snprintf(conditions, sizeof(conditions), "%s", value_of(w, "policy", id, "conditions"));
	snprintf(group, sizeof(group), "%s", id_of(w, "group show Everyone"));
	snprintf(resource, sizeof(resource), "%s", id_of(w, "resource show web"));
	snprintf(form, sizeof(form), "group=%s&resource=%s&description=wide+open", group, resource);
	EXPECT_HAS(undo(w, path("/acme/policies/%s/edit", id), form), "as it was before");
	EXPECT_STR(value_of(w, "policy", id, "conditions"), conditions);
	EXPECT_STR(value_of(w, "policy", id, "description"), "");
	http_free(w);
}

TEST(names_members_and_people_come_back)
{
	struct http_world *w = signed_in();
	char id[64], sam[64], where[256];

	(void)get(w, "/acme/groups/new", 200);
	EXPECT_EQ(admin(w->portal, "group add --name Ops"), 0);
	EXPECT_EQ(admin(w->portal, "actor add --type user --name Sam --email sam@acme.example"), 0);
	snprintf(id, sizeof(id), "%s", id_of(w, "group show Ops"));
	snprintf(sam, sizeof(sam), "%s", id_of(w, "actor show sam@acme.example"));
	EXPECT_HAS(undo(w, path("/acme/groups/%s/edit", id), "name=Crew"), "as it was before");
	EXPECT_STR(value_of(w, "group", id, "name"), "Ops");
	EXPECT_HAS(undo(w, path("/acme/groups/%s", id), "actor=sam%40acme.example"), "Not a member");
	EXPECT_HAS(get(w, path("/acme/groups/%s", id), 200)->body, "Nobody is in this group");
	EXPECT_EQ(admin(w->portal, "member add --group Ops --actor sam@acme.example"), 0);
	snprintf(where, sizeof(where), "/acme/groups/%s/members/%s/remove", id, sam);
	EXPECT_HAS(undo(w, where, ""), "A member again");
	EXPECT_HAS(get(w, path("/acme/groups/%s", id), 200)->body, "sam@acme.example");
	EXPECT_EQ(admin(w->portal, "member delete --group Ops --actor sam@acme.example"), 0);
	EXPECT_HAS(undo(w, path("/acme/groups/%s/delete", id), ""), "made again");
	EXPECT_EQ(admin(w->portal, "group show Ops"), 0);
	EXPECT_HAS(undo(w, path("/acme/actors/%s/disable", sam), ""), "stay ended");
	EXPECT_STR(value_of(w, "actor", sam, "disabled_at"), "");
	EXPECT_HAS(undo(w, path("/acme/actors/%s/edit", sam), "name=S&email=s%40acme.example&type=admin"), "as it was before");
	EXPECT_STR(value_of(w, "actor", sam, "type"), "account_user");
	EXPECT_STR(value_of(w, "actor", sam, "email"), "sam@acme.example");
	http_free(w);
}

TEST(ways_to_sign_in_clients_sites_and_resources_come_back)
{
	struct http_world *w = signed_in();
	char id[64], form[256], site[64];
	const char *at;

	(void)get(w, "/acme/sites/new", 200);
	snprintf(id, sizeof(id), "%s", id_of(w, "provider show 'Email (OTP)'"));
	EXPECT_HAS(undo(w, path("/acme/settings/authentication/email_otp/%s/disable", id), ""), "sign in anew");
	EXPECT_STR(value_of(w, "provider", id, "disabled_at"), "");
	snprintf(site, sizeof(site), "%s", id_of(w, "site show Berlin"));
	EXPECT_HAS(undo(w, path("/acme/sites/%s/edit", site), "name=Bern"), "as it was before");
	EXPECT_STR(value_of(w, "site", site, "name"), "Berlin");
	EXPECT_EQ(admin(w->portal, "site add --name Empty"), 0);
	snprintf(id, sizeof(id), "%s", id_of(w, "site show Empty"));
	EXPECT_HAS(undo(w, path("/acme/sites/%s/delete", id), ""), "made again");
	EXPECT_EQ(admin(w->portal, "site show Empty"), 0);
	EXPECT_EQ(admin(w->portal, "resource add --site Berlin --address *.example.com --name web --ip-stack ipv4-only --filter tcp:22,8000-9000 --filter icmp --description there"), 0);
	snprintf(id, sizeof(id), "%s", id_of(w, "resource show web"));
	snprintf(form, sizeof(form), "address=10.0.0.1&name=other&site=%s", site);
	EXPECT_HAS(undo(w, path("/acme/resources/%s/edit", id), form), "as it was before");
	EXPECT_STR(admin_value(w->portal, "resource show web", "filters"), "tcp:22,8000-9000 icmp");
	EXPECT_STR(admin_value(w->portal, "resource show web", "ip_stack"), "ipv4_only");
	EXPECT_HAS(undo(w, path("/acme/resources/%s/delete", id), ""), "made again");
	EXPECT_STR(admin_value(w->portal, "resource show web", "filters"), "tcp:22,8000-9000 icmp");
	EXPECT_STR(admin_value(w->portal, "resource show web", "address_description"), "there");
	EXPECT_EVENT(join_client(w->portal, token_for(w->portal, "--actor jo@acme.example"), "laptop", '1'), "init");
	at = strstr(get(w, "/acme/clients", 200)->body, "/acme/clients/");
	if (EXPECT(at)) {
		snprintf(id, sizeof(id), "%.36s", at + 14);
		EXPECT_HAS(undo(w, path("/acme/clients/%s/verify", id), ""), "as before");
		EXPECT_STR(value_of(w, "client", id, "verified_at"), "");
		EXPECT_HAS(undo(w, path("/acme/clients/%s/edit", id), "name=mine"), "as it was before");
		EXPECT(strcmp(value_of(w, "client", id, "name"), "mine") != 0);
	}
	http_free(w);
}

/* With what depends on it a thing cannot come back as it was: nothing is offered. */
TEST(what_took_others_with_it_is_not_offered)
{
	struct http_world *w = signed_in();
	char id[64], policy_id[64];

	policy(w, "", policy_id);
	snprintf(id, sizeof(id), "%s", id_of(w, "resource show web"));
	EXPECT_STR(offered(w, http_post(w, path("/acme/resources/%s/delete", id), "confirm=web")), "");
	EXPECT_EQ(admin(w->portal, "actor add --type user --name Sam --email sam@acme.example"), 0);
	snprintf(id, sizeof(id), "%s", id_of(w, "actor show sam@acme.example"));
	EXPECT_STR(offered(w, http_post(w, path("/acme/actors/%s/delete", id), "confirm=Sam")), "");
	http_free(w);
}

TEST(an_offer_ends_with_its_time_and_with_the_next_change)
{
	struct http_world *w = signed_in();
	char id[64], site[64], href[128];

	policy(w, "", id);
	snprintf(site, sizeof(site), "%s", id_of(w, "site show Berlin"));
	snprintf(href, sizeof(href), "%s", offered(w, http_post(w, path("/acme/policies/%s/disable", id), "")));
	http_wait(w, SEC(21));
	EXPECT_HAS(undone(w, href), "the time for it is over");
	EXPECT_EQ(http_post(w, path("/acme/policies/%s/enable", id), "")->status, 303);
	EXPECT_STR(offered(w, http_post(w, path("/acme/sites/%s/revoke_tokens", site), "")), "");
	http_free(w);
}

/* The page that offered it is shown again, however it was filtered; what else the field says leads nowhere but into the account. */
TEST(who_is_too_late_stays_where_he_is)
{
	static const struct {
		const char *back, *to;
	} backs[] = { { "//evil.example", "/acme//evil.example" }, { "https://evil.example", "/acme/overview" }, { "/a%0d%0aSet-Cookie:x", "/acme/overview" }, { "", "/acme/overview" } };
	struct http_world *w = signed_in();
	char id[64], href[128], form[256];

	policy(w, "", id);
	const struct reply *r = http_post(w, "/acme/selected/policies", path("do=disable&back=status%%3Ddisabled&id=%s", id));
	snprintf(href, sizeof(href), "%s", offered(w, r));
	EXPECT_HAS(w->reply.body, "name=back value=\"/policies?status=disabled\"");
	http_wait(w, SEC(21));
	r = http_post(w, href, "back=%2Fpolicies%3Fstatus%3Ddisabled");
	EXPECT_STR(r->location, "/acme/policies?status=disabled");
	EXPECT_HAS(get(w, r->location, 200)->body, "the time for it is over");
	EXPECT(*value_of(w, "policy", id, "disabled_at"));
	for (size_t i = 0; i < ARRAY_LEN(backs); i++) {
		snprintf(form, sizeof(form), "back=%s", backs[i].back);
		EXPECT_STR(http_post(w, href, form)->location, backs[i].to);
	}
	http_free(w);
}

TEST(nobody_else_takes_it_back)
{
	struct http_world *w = signed_in();
	char id[64], href[128], csrf[64];

	policy(w, "", id);
	snprintf(href, sizeof(href), "%s", offered(w, http_post(w, path("/acme/policies/%s/disable", id), "")));
	snprintf(csrf, sizeof(csrf), "%s", w->csrf);
	w->csrf[0] = '\0';
	EXPECT_EQ(http_post(w, href, "")->status, 403);
	snprintf(w->csrf, sizeof(w->csrf), "%s", csrf);
	EXPECT_HAS(undone(w, "/acme/undo/..%2F..%22%3E%3Cscript%3E"), "cannot be undone");
	EXPECT(*value_of(w, "policy", id, "disabled_at"));
	EXPECT_EQ(http_post(w, path("/acme/policies/%s/enable", id), "")->status, 303);
	snprintf(href, sizeof(href), "%s", offered(w, http_post(w, path("/acme/policies/%s/disable", id), "")));
	sign_in(w, 9); /* another session in the same browser */
	EXPECT_HAS(undone(w, href), "cannot be undone");
	EXPECT(*value_of(w, "policy", id, "disabled_at"));
	EXPECT_EQ(http_post(w, path("/acme/policies/%s/enable", id), "")->status, 303);
	snprintf(href, sizeof(href), "%s", offered(w, http_post(w, path("/acme/policies/%s/disable", id), "")));
	for (u32 i = 0; i < COOKIES_MAX; i++)
		if (strncmp(w->cookie[i], "undo=", 5) == 0)
			w->cookie[i][120] = w->cookie[i][120] == 'A' ? 'B' : 'A';
	EXPECT_HAS(undone(w, href), "cannot be undone");
	EXPECT(*value_of(w, "policy", id, "disabled_at"));
	http_free(w);
}
