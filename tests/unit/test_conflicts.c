/* Two admins have the same form open: the second to save is told, keeps what was typed, and may save over it knowingly. */
#include "tests/unit/page_world.h"

#include "applets/portal/admin/action.h"
#include "applets/portal/admin/verbs.h"

static const char *since_of(const struct reply *r)
{
	static char since[32];
	const char *at = strstr(r->body, "if-updated-at");

	since[0] = '\0';
	if (EXPECT(at))
		sscanf(strstr(at, "value=\"") + 7, "%30[0-9]", since);
	return since;
}

/* The form at `where` is opened, `meanwhile` is done by another, then `typed` is sent, twice. */
static void overlap(struct http_world *w, const char *where, const char *meanwhile, const char *typed, const char *shown)
{
	char form[1024], path[256];
	const struct reply *r;

	snprintf(path, sizeof(path), "%s", where);
	snprintf(form, sizeof(form), "%s&if-updated-at=%s", typed, since_of(get(w, path, 200)));
	tick(w->portal, SEC(1));
	EXPECT_EQ(admin(w->portal, meanwhile), 0);
	r = http_post(w, path, form);
	EXPECT_EQ(r->status, 409);
	EXPECT_HAS(r->body, "meanwhile");
	EXPECT_HAS(r->body, shown);
	snprintf(form, sizeof(form), "%s&if-updated-at=%s", typed, since_of(r));
	EXPECT_EQ(http_post(w, path, form)->status, 303);
}

TEST(a_way_to_sign_in_is_not_overwritten_unseen)
{
	struct http_world *w = signed_in();
	char id[64], meanwhile[128];

	snprintf(id, sizeof(id), "%s", id_of(w, "provider show 'Email (OTP)'"));
	snprintf(meanwhile, sizeof(meanwhile), "provider update %s --context portal-only", id);
	overlap(w, path("/acme/settings/authentication/email_otp/%s/edit", id), meanwhile,
		"name=Mine&context=clients_only&client-session-lifetime-secs=7200&portal-session-lifetime-secs=600", "value=\"Mine\"");
	EXPECT_STR(admin_value(w->portal, path("provider show %s", id), "context"), "clients_only");
	http_free(w);
}

TEST(settings_of_the_account_are_not_overwritten_unseen)
{
	struct http_world *w = signed_in();

	overlap(w, "/acme/settings/account/edit", "account update acme --name Theirs", "name=Mine&slug=acme&rest-api=true", "value=\"Mine\"");
	EXPECT_STR(admin_value(w->portal, "account show acme", "name"), "Mine");
	overlap(w, "/acme/settings/dns", "account update acme --search-domain theirs.example", "search-domain=mine.example&dns=system", "value=\"mine.example\"");
	EXPECT_STR(admin_value(w->portal, "account show acme", "search_domain"), "mine.example");
	http_free(w);
}

TEST(names_are_not_overwritten_unseen)
{
	struct http_world *w = signed_in();
	char id[64];

	snprintf(id, sizeof(id), "%s", id_of(w, "site show Berlin"));
	overlap(w, path("/acme/sites/%s/edit", id), "site update Berlin --name Theirs", "name=Mine", "value=\"Mine\"");
	EXPECT_EQ(admin(w->portal, "group add --name Ops"), 0);
	snprintf(id, sizeof(id), "%s", id_of(w, "group show Ops"));
	overlap(w, path("/acme/groups/%s/edit", id), "group update Ops --name Theirs", "name=Mine", "value=\"Mine\"");
	EXPECT_EQ(admin(w->portal, "actor add --type user --name Sam --email sam@acme.example"), 0);
	snprintf(id, sizeof(id), "%s", id_of(w, "actor show sam@acme.example"));
	overlap(w, path("/acme/actors/%s/edit", id), "actor update sam@acme.example --name Theirs", "name=Mine&email=sam%40acme.example&type=user", "value=\"Mine\"");
	http_free(w);
}

/* Its settings are tried at the directory first, so that here only the form can be seen (tests/unit/test_portal_sync.c has one that answers). */
TEST(the_form_of_a_directory_says_what_it_was_opened_for)
{
	struct http_world *w = signed_in();
	char id[64];

	EXPECT_EQ(admin(w->portal, "directory add --type entra --name Entra --tenant-id 0b8c1d2e-0000-4000-8000-000000000001 --client-id c --client-secret s --verified on"), 0);
	snprintf(id, sizeof(id), "%s", id_of(w, "directory show Entra"));
	EXPECT(*since_of(get(w, path("/acme/settings/directory_sync/entra/%s/edit", id), 200)));
	http_free(w);
}

/* ---- what is no conflict ---- */

static const struct entity *row_of(struct portal *p, enum kind k, const char *id, union any_entity *e)
{
	const struct account *acme = directory_account_named(hub_directory(p->hub), "acme");
	struct uuid at;

	EXPECT_EQ(uuid_parse(SPAN(id, strlen(id)), &at), 0);
	EXPECT_EQ(store_get(p->store, k, &acme->e.id, &at, e), 0);
	return &e->e;
}

/* What noun.update answers that sets `option` of something that was as old as `since`. */
static enum admin_class update_since(struct portal *p, const char *noun, const char *id, i64 since, const char *option, const char *value)
{
	struct action a;
	enum admin_class class;

	action_begin(&a, noun, "update", NULL);
	action_set(&a, "target", id);
	action_set(&a, option, value);
	action_set_unchanged_since(&a, since);
	class = action_run(&a, p);
	action_end(&a);
	return class;
}

/* A sync writes into the row what it found, an admin into the same row what he wants: neither is in the other's way. */
TEST(a_sync_that_ran_meanwhile_is_nobodys_change)
{
	struct http_world *w = signed_in();
	struct portal *p = &w->portal->portal;
	union any_entity e;
	char id[64];
	i64 since;

	EXPECT_EQ(admin(w->portal, "directory add --type entra --name Entra --tenant-id 0b8c1d2e-0000-4000-8000-000000000001 --client-id c --client-secret s --verified on"), 0);
	snprintf(id, sizeof(id), "%s", id_of(w, "directory show Entra"));
	for (int round = 0; round < 2; round++) {
		since = row_of(p, KIND_DIRECTORY, id, &e)->updated_at;
		tick(w->portal, SEC(60));
		e.sync_directory.synced_at = e.sync_directory.errored_at = (i64)(portal_wall / 1000);
		EXPECT_EQ(text_set(&e.sync_directory.error_message, round ? "it does not answer" : NULL), 0);
		EXPECT_EQ(store_begin(p->store, STORE_DURABLE), 0);
		EXPECT_EQ(store_update(p->store, KIND_DIRECTORY, &e, portal_wall), 0);
		EXPECT_EQ(store_commit(p->store), 0);
		entity_deinit(KIND_DIRECTORY, &e);
		EXPECT(row_of(p, KIND_DIRECTORY, id, &e)->updated_at > since);
		entity_deinit(KIND_DIRECTORY, &e);
		EXPECT_EQ(update_since(p, "directory", id, since, "name", round ? "Two" : "One"), ADMIN_OK);
		EXPECT_EQ(update_since(p, "directory", id, since, "name", "Three"), ADMIN_CONFLICT);
		EXPECT_EQ(update_since(p, "directory", id, since, "email-field", "mail"), ADMIN_OK);
	}
	EXPECT_EQ(admin(w->portal, "directory delete Two"), 0);
	EXPECT_EQ(update_since(p, "directory", id, since, "name", "Four"), ADMIN_NOT_FOUND);
	http_free(w);
}

TEST(who_edits_something_else_of_it_is_not_in_the_way)
{
	struct http_world *w = signed_in();
	char id[64], group[64], resource[64], form[512];

	EXPECT_EQ(admin(w->portal, "resource add --site Berlin --address 10.9.0.5 --name web"), 0);
	snprintf(id, sizeof(id), "%s", id_of(w, "policy add --group Everyone --resource web"));
	snprintf(group, sizeof(group), "%s", id_of(w, "group show Everyone"));
	snprintf(resource, sizeof(resource), "%s", id_of(w, "resource show web"));
	snprintf(form, sizeof(form), "group=%s&resource=%s&description=mine&if-updated-at=%s", group, resource, since_of(get(w, path("/acme/policies/%s/edit", id), 200)));
	tick(w->portal, SEC(1));
	EXPECT_EQ(admin(w->portal, path("policy disable %s", id)), 0);
	EXPECT_EQ(http_post(w, path("/acme/policies/%s/edit", id), form)->status, 303);
	EXPECT_STR(admin_value(w->portal, path("policy show %s", id), "description"), "mine");
	EXPECT(*admin_value(w->portal, path("policy show %s", id), "disabled_at"));
	tick(w->portal, SEC(1));
	EXPECT_EQ(http_post(w, path("/acme/policies/%s/edit", id), form)->status, 409); /* the description is another one now */
	http_free(w);
}

/* Whatever an update can set: who set it meanwhile is not overwritten. */
TEST(every_value_that_an_update_sets_is_watched)
{
	static const struct {
		const char *noun, *id, *option, *theirs, *mine;
	} cases[] = {
		{ "account", "acme", "name", "Theirs", "Mine" }, { "account", "acme", "legal-name", "A", "B" }, { "account", "acme", "limit-users", "90", "91" },
		{ "account", "acme", "api-capacity", "900", "none" }, { "account", "acme", "policy-conditions", "off", "on" }, { "account", "acme", "rest-api", "off", "on" },
		{ "account", "acme", "client-to-client", "on", "off" }, { "account", "acme", "search-domain", "a.example", "b.example" },
		{ "account", "acme", "dns", "custom:9.9.9.9", "system" }, { "account", "acme", "dns", "secure:google", "secure:quad9" },
		{ "account", "acme", "notify-outdated-gateway", "off", "on" },
		{ "site", "Berlin", "name", "Bern", "Berlin" }, { "group", "Ops", "name", "Crew", "Ops" },
		{ "actor", "sam@acme.example", "name", "A", "B" }, { "actor", "sam@acme.example", "email", "s@acme.example", "sam@acme.example" },
		{ "actor", "sam@acme.example", "type", "admin", "user" }, { "actor", "sam@acme.example", "allow-email-otp-sign-in", "on", "off" },
		{ "resource", "web", "name", "www", "web" }, { "resource", "web", "address", "b.example", "c.example" }, { "resource", "web", "description", "A", "B" },
		{ "resource", "web", "ip-stack", "ipv4-only", "dual" }, { "resource", "web", "filter", "tcp:22", "udp" }, { "resource", "web", "no-filters", "true", "true" },
		{ "resource", "web", "site", "Paris", "Berlin" },
		{ "policy", "*", "description", "A", "B" }, { "policy", "*", "condition", "client_verified is true", "remote_ip is_in_cidr 10.0.0.0/8" },
		{ "policy", "*", "no-conditions", "true", "true" }, { "policy", "*", "group", "Ops", "Everyone" }, { "policy", "*", "resource", "other", "web" },
		{ "provider", "Email (OTP)", "context", "portal_only", "clients_only" }, { "provider", "Email (OTP)", "client-session-lifetime-secs", "7200", "7300" },
		{ "provider", "id", "client-id", "A", "B" }, { "provider", "id", "client-secret", "A", "B" }, { "provider", "id", "legacy", "on", "off" },
		{ "directory", "Google", "orgunit-sync", "on", "off" }, { "directory", "Google", "group-sync-mode", "disabled", "all" }, { "directory", "Google", "domain", "a.example", "b.example" },
	};
	struct http_world *w = signed_in();
	struct portal *p = &w->portal->portal;
	char policy[64];

	EXPECT_EQ(admin(w->portal, "site add --name Paris"), 0);
	EXPECT_EQ(admin(w->portal, "group add --name Ops"), 0);
	EXPECT_EQ(admin(w->portal, "actor add --type user --name Sam --email sam@acme.example"), 0);
	EXPECT_EQ(admin(w->portal, "resource add --site Berlin --address a.example --name web"), 0);
	EXPECT_EQ(admin(w->portal, "resource add --site Berlin --address o.example --name other"), 0);
	EXPECT_EQ(admin(w->portal, "provider add --type oidc --name id --client-id c --client-secret s --discovery-document-uri https://id.example/.well-known/openid-configuration --issuer https://id.example"), 0);
	EXPECT_EQ(admin(w->portal, "directory add --type google --name Google --domain acme.example --impersonation-email jo@acme.example"), 0);
	snprintf(policy, sizeof(policy), "%s", id_of(w, "policy add --group Everyone --resource web"));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *noun = cases[i].noun, *name = strcmp(cases[i].id, "*") == 0 ? policy : cases[i].id;
		char command[128], id[64];
		union any_entity e;
		i64 since;

		snprintf(command, sizeof(command), "%s show '%s'", noun, name);
		snprintf(id, sizeof(id), "%s", id_of(w, command));
		since = row_of(p, find_noun(noun)->kind, id, &e)->updated_at;
		entity_deinit(find_noun(noun)->kind, &e);
		tick(w->portal, SEC(1));
		if (update_since(p, noun, id, since, cases[i].option, cases[i].theirs) != ADMIN_OK ||
		    update_since(p, noun, id, since, cases[i].option, cases[i].mine) != ADMIN_CONFLICT)
			test_fail(__FILE__, __LINE__, "%s update --%s", noun, cases[i].option);
		tick(w->portal, SEC(1));
		EXPECT_EQ(update_since(p, noun, id, 0, cases[i].option, cases[i].mine), ADMIN_CONFLICT); /* from before all that is known */
		since = row_of(p, find_noun(noun)->kind, id, &e)->updated_at;
		entity_deinit(find_noun(noun)->kind, &e);
		if (update_since(p, noun, id, since, cases[i].option, cases[i].mine) != ADMIN_OK)
			test_fail(__FILE__, __LINE__, "%s update --%s %s", noun, cases[i].option, cases[i].mine);
	}
	http_free(w);
}

/* Where the trail of changes does not reach, nobody can tell: it is a conflict. */
TEST(what_is_not_known_any_more_counts_as_a_change)
{
	struct http_world *w = signed_in();
	struct portal *p = &w->portal->portal;
	union any_entity e;
	char id[64];
	i64 since;

	snprintf(id, sizeof(id), "%s", id_of(w, "site show Berlin"));
	since = row_of(p, KIND_SITE, id, &e)->updated_at;
	entity_deinit(KIND_SITE, &e);
	tick(w->portal, SEC(1));
	EXPECT_EQ(admin(w->portal, "site update Berlin --name Theirs"), 0);
	/* as it will be then; to live through the year is a minute's work */
	while (store_purge_expired(p->store, portal_wall + (AUDIT_DAYS + 1) * 86400ull * NSEC_PER_SEC) > 0)
		;
	EXPECT_EQ(update_since(p, "site", id, since, "name", "Mine"), ADMIN_CONFLICT);
	http_free(w);
}
