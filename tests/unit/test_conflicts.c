/* Two admins have the same form open: the second to save is told, keeps what was typed, and may save over it knowingly. */
#include "tests/unit/page_world.h"

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
