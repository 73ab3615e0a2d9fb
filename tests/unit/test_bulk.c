/* One thing done to many rows of a list (web/bulk.h), as a browser without script does it. */
#include "tests/unit/page_world.h"

static char made[8][64]; /* ids of what a test made */

static void make(struct http_world *w, u32 i, const char *fmt, u32 n)
{
	char command[256];

	snprintf(command, sizeof(command), fmt, n);
	snprintf(made[i], sizeof(made[i]), "%s", id_of(w, command));
}

static const char *value_of(struct http_world *w, const char *noun, const char *id, const char *member)
{
	char command[256];

	snprintf(command, sizeof(command), "%s show %s", noun, id);
	return admin_value(w->portal, command, member);
}

static bool is_there(struct http_world *w, const char *noun, const char *id)
{
	char command[256];

	snprintf(command, sizeof(command), "%s show %s", noun, id);
	return admin(w->portal, command) == 0;
}

/* do=…&id=…&id=… of the first n things made */
static const char *chosen(const char *verb, u32 n, const char *more)
{
	static char form[8192];
	size_t at = (size_t)snprintf(form, sizeof(form), "do=%s%s", verb, more);

	for (u32 i = 0; i < n; i++)
		at += (size_t)snprintf(form + at, sizeof(form) - at, "&id=%s", made[i]);
	return form;
}

static const char *landed(struct http_world *w, const struct reply *r)
{
	EXPECT_EQ(r->status, 303);
	return get(w, r->location, 200)->body;
}

static void policies(struct http_world *w, u32 n)
{
	for (u32 i = 0; i < n; i++) {
		char command[256];
		snprintf(command, sizeof(command), "resource add --site Berlin --address 10.9.0.%u --name web%u", i + 1, i);
		EXPECT_EQ(admin(w->portal, command), 0);
		make(w, i, "policy add --group Everyone --resource web%u", i);
	}
}

TEST(policies_are_disabled_together_and_undone_together)
{
	struct http_world *w = signed_in();
	const char *body, *at;
	char href[128];

	policies(w, 3);
	body = get(w, "/acme/policies?status=active", 200)->body;
	EXPECT_HAS(body, "form=bulk");
	EXPECT_HAS(body, made[2]);
	const struct reply *r = http_post(w, "/acme/selected/policies", chosen("disable", 3, "&back=status%3Dactive"));
	EXPECT_STR(r->location, "/acme/policies?status=active");
	body = landed(w, r);
	EXPECT_HAS(body, "3 policies are disabled.");
	for (u32 i = 0; i < 3; i++)
		EXPECT(*value_of(w, "policy", made[i], "disabled_at"));
	at = strstr(body, "/acme/undo/");
	if (EXPECT(at)) {
		snprintf(href, sizeof(href), "%.*s", (int)strcspn(at, "\""), at);
		EXPECT_HAS(landed(w, http_post(w, href, "")), "All are as they were");
	}
	for (u32 i = 0; i < 3; i++)
		EXPECT_STR(value_of(w, "policy", made[i], "disabled_at"), "");
	http_free(w);
}

TEST(a_deletion_of_many_is_asked_once_and_names_what_goes_with_them)
{
	struct http_world *w = signed_in();
	const struct reply *r;

	policies(w, 3);
	for (u32 i = 0; i < 2; i++)
		make(w, i, "resource show web%u", i);
	(void)get(w, "/acme/resources", 200);
	r = http_post(w, "/acme/selected/resources", chosen("delete", 2, ""));
	EXPECT_EQ(r->status, 200);
	EXPECT(!html_page_fault(SPAN(r->body, r->body_len)));
	EXPECT_HAS(r->body, "Delete 2 resources?");
	EXPECT_HAS(r->body, "web0");
	EXPECT_HAS(r->body, "2 policies");
	EXPECT(is_there(w, "resource", made[0]));
	EXPECT_EQ(http_post(w, "/acme/selected/resources", chosen("delete", 2, "&sure=1&confirm=yes"))->status, 422);
	EXPECT(is_there(w, "resource", made[0]));
	EXPECT_HAS(landed(w, http_post(w, "/acme/selected/resources", chosen("delete", 2, "&sure=1&confirm=delete+2"))), "2 resources are deleted.");
	EXPECT(!is_there(w, "resource", made[0]) && !is_there(w, "resource", made[1]) && is_there(w, "resource", "web2"));
	http_free(w);
}

TEST(a_deletion_of_one_leads_to_what_goes_with_it)
{
	struct http_world *w = signed_in();
	char id[64], want[128];

	policies(w, 1);
	snprintf(id, sizeof(id), "%s", id_of(w, "resource show web0"));
	snprintf(want, sizeof(want), "/acme/policies?resource=%s", id);
	EXPECT_HAS(get(w, path("/acme/resources/%s/delete", id), 200)->body, want);
	EXPECT_EQ(http_get(w, want)->status, 200);
	snprintf(id, sizeof(id), "%s", id_of(w, "site show Berlin"));
	EXPECT_HAS(get(w, path("/acme/sites/%s/delete", id), 200)->body, "/acme/resources?site=");
	http_free(w);
}

/* Nothing on the page that asks leads nowhere. */
TEST(who_keeps_it_is_back_where_it_is_shown)
{
	struct http_world *w = signed_in();
	const char *at;
	char where[256], back[128];

	EXPECT_EQ(admin(w->portal, "directory add --type entra --name Entra --tenant-id 0b8c1d2e-0000-4000-8000-000000000001 --client-id c --client-secret s --verified on"), 0);
	make(w, 0, "directory show Entra", 0);
	make(w, 1, "provider show 'Email (OTP)'", 0);
	make(w, 2, "site show Berlin", 0);
	for (u32 i = 0; i < 3; i++) {
		snprintf(where, sizeof(where), "/acme/%s/%s/delete", i == 0 ? "settings/directory_sync/entra" : i == 1 ? "settings/authentication/email_otp" : "sites", made[i]);
		at = strstr(get(w, where, 200)->body, "<a class=button href=\"");
		if (EXPECT(at)) {
			snprintf(back, sizeof(back), "%.*s", (int)strcspn(at + 22, "\""), at + 22);
			(void)get(w, back, 200);
		}
	}
	http_free(w);
}

TEST(what_the_rules_refuse_is_told_row_by_row)
{
	struct http_world *w = signed_in();
	const struct reply *r;

	make(w, 0, "actor add --type user --name 'S <b>am' --email sam%u@acme.example", 0);
	make(w, 1, "actor show jo@acme.example", 0);
	make(w, 2, "actor add --type service-account --name backup", 0);
	(void)get(w, "/acme/actors", 200);
	r = http_post(w, "/acme/selected/people", chosen("disable", 3, ""));
	EXPECT_EQ(r->status, 200);
	EXPECT(!html_page_fault(SPAN(r->body, r->body_len)));
	EXPECT_HAS(r->body, "1 of 3 is not disabled");
	EXPECT_HAS(r->body, "2 people are disabled.");
	EXPECT_HAS(r->body, "You cannot disable yourself");
	EXPECT(*value_of(w, "actor", made[0], "disabled_at") && !*value_of(w, "actor", made[1], "disabled_at") && *value_of(w, "actor", made[2], "disabled_at"));
	EXPECT_EQ(http_post(w, "/acme/selected/people", "do=enable&id=")->status, 404);
	http_free(w);
}

TEST(clients_groups_and_tokens_are_chosen_too)
{
	struct http_world *w = signed_in();
	const char *body, *at;
	char form[256], actor[64];

	EXPECT_EVENT(join_client(w->portal, token_for(w->portal, "--actor jo@acme.example"), "laptop", '1'), "init");
	at = strstr(get(w, "/acme/clients", 200)->body, "/acme/clients/");
	if (EXPECT(at))
		snprintf(made[0], sizeof(made[0]), "%.36s", at + 14);
	EXPECT_HAS(landed(w, http_post(w, "/acme/selected/clients", chosen("verify", 1, ""))), "1 client is verified.");
	EXPECT(*value_of(w, "client", made[0], "verified_at"));
	EXPECT_HAS(landed(w, http_post(w, "/acme/selected/clients", chosen("delete", 1, "&sure=1"))), "1 client is deleted.");
	make(w, 0, "group add --name Ops%u", 0);
	make(w, 1, "group show Everyone", 0);
	EXPECT_EQ(admin(w->portal, "member add --group Ops0 --actor jo@acme.example"), 0);
	body = get(w, "/acme/groups", 200)->body;
	EXPECT(strstr(body, made[0]) && !strstr(body, "Select Everyone"));
	body = http_post(w, "/acme/selected/groups", chosen("delete", 2, "&sure=1"))->body;
	EXPECT_HAS(body, "Type <b>delete 2");
	body = http_post(w, "/acme/selected/groups", chosen("delete", 2, "&sure=1&confirm=delete+2"))->body;
	EXPECT_HAS(body, "1 of 2 is not deleted");
	EXPECT(!is_there(w, "group", made[0]) && is_there(w, "group", "Everyone"));
	snprintf(actor, sizeof(actor), "%s", id_of(w, "actor show jo@acme.example"));
	body = get(w, path("/acme/actors/%s", actor), 200)->body;
	at = strstr(body, "name=id value=\"");
	if (EXPECT(at)) {
		snprintf(made[0], sizeof(made[0]), "%.36s", at + 15);
		snprintf(form, sizeof(form), "&of=%s", actor);
		EXPECT_HAS(http_post(w, "/acme/selected/tokens", chosen("delete", 1, form))->body, "Revoke 1 token?");
		snprintf(form, sizeof(form), "&sure=1&of=%s", actor);
		const struct reply *r = http_post(w, "/acme/selected/tokens", chosen("delete", 1, form));
		EXPECT_STR(r->location, path("/acme/actors/%s", actor));
		EXPECT_HAS(get(w, r->location, 200)->body, "1 token is revoked.");
	}
	http_free(w);
}

TEST(hostile_choices_do_nothing)
{
	struct http_world *w = signed_in();
	static const struct {
		const char *id;
		int status;
	} hostile[] = { { "%3Cscript%3E", 404 }, { "' OR 1=1 --", 404 }, { "00000000-0000-0000-0000-000000000000", 404 }, { "%00%ff", 400 } };
	struct strbuf many = { .p = NULL };
	char csrf[64], form[128];

	policies(w, 1);
	(void)get(w, "/acme/policies", 200);
	for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
		snprintf(form, sizeof(form), "do=delete&sure=1&id=%s", hostile[i].id);
		const struct reply *r = http_post(w, "/acme/selected/policies", form);
		EXPECT_EQ(r->status, hostile[i].status);
		EXPECT(!strstr(r->body, "<script>"));
	}
	EXPECT_EQ(http_post(w, "/acme/selected/policies", chosen("drop", 1, ""))->status, 404);
	EXPECT_EQ(http_post(w, "/acme/selected/accounts", chosen("delete", 1, "&sure=1"))->status, 404);
	EXPECT_EQ(http_post(w, "/acme/selected/groups", chosen("delete", 1, "&sure=1&confirm=delete+1"))->status, 404); /* not of that list */
	const struct reply *r = http_post(w, "/acme/selected/policies", chosen("disable", 1, "&back=%0d%0aSet-Cookie%3a+x%3d1"));
	EXPECT_STR(r->location, "/acme/policies");
	EXPECT_HAS(landed(w, http_post(w, "/acme/selected/policies", "do=disable")), "Nothing was selected");
	strbuf_puts(&many, "do=delete&sure=1");
	for (u32 i = 0; i < 51; i++)
		strbuf_printf(&many, "&id=%s", made[0]);
	EXPECT_HAS(landed(w, http_post(w, "/acme/selected/policies", strbuf_text(&many))), "At most 50");
	snprintf(csrf, sizeof(csrf), "%s", w->csrf);
	w->csrf[0] = '\0';
	EXPECT_EQ(http_post(w, "/acme/selected/policies", chosen("delete", 1, "&sure=1"))->status, 403);
	snprintf(w->csrf, sizeof(w->csrf), "%s", csrf);
	EXPECT_EQ(admin(w->portal, "account add --name Other --slug other"), 0);
	make(w, 1, "site show 'Default Site' --account other", 0);
	make(w, 1, "group add --name Theirs --account other", 0);
	snprintf(made[0], sizeof(made[0]), "%s", made[1]);
	EXPECT_EQ(http_post(w, "/acme/selected/groups", chosen("delete", 1, "&sure=1"))->status, 404);
	EXPECT_EQ(http_post(w, "/other/selected/groups", chosen("delete", 1, "&sure=1"))->status, 401);
	EXPECT_EQ(admin(w->portal, "group show Theirs --account other"), 0);
	strbuf_free(&many);
	http_free(w);
}

TEST(a_page_of_fifty_is_done_and_is_light)
{
	struct http_world *w = signed_in();
	struct strbuf form = { .p = NULL };
	char command[512], name[200];

	memset(name, 'n', sizeof(name));
	name[120] = '\0';
	strbuf_puts(&form, "do=disable");
	for (u32 i = 0; i < 50; i++) {
		snprintf(command, sizeof(command), "actor add --type user --name %s%u --email person%u@acme.example", name, i, i);
		strbuf_printf(&form, "&id=%s", id_of(w, command));
	}
	const struct reply *r = get(w, "/acme/actors", 200);
	EXPECT(r->body_len <= 60 * 1024);
	EXPECT_HAS(landed(w, http_post(w, "/acme/selected/people", strbuf_text(&form))), "50 people are disabled.");
	EXPECT_STR(admin_value(w->portal, "actor show person0@acme.example", "disabled_at")[0] ? "yes" : "no", "yes");
	strbuf_free(&form);
	http_free(w);
}

/* The undo that this page offers, pressed; what the next one says. */
static const char *undone(struct http_world *w, const char *body)
{
	char href[128];
	const char *at = strstr(body, "/acme/undo/");

	if (!EXPECT(at))
		return "";
	snprintf(href, sizeof(href), "%.*s", (int)strcspn(at, "\""), at);
	return landed(w, http_post(w, href, ""));
}

TEST(what_was_done_although_others_failed_is_undone)
{
	struct http_world *w = signed_in();
	const struct reply *r;

	for (u32 i = 0; i < 2; i++)
		make(w, i, "actor add --type user --name Sam%1$u --email sam%1$u@acme.example", i);
	make(w, 2, "actor show jo@acme.example", 0);
	(void)get(w, "/acme/actors", 200);
	r = http_post(w, "/acme/selected/people", chosen("disable", 3, "&back=status%3Dactive"));
	EXPECT_EQ(r->status, 200);
	EXPECT(!html_page_fault(SPAN(r->body, r->body_len)));
	EXPECT_HAS(r->body, "2 people are disabled. Not done: Jo: You cannot disable yourself");
	EXPECT_HAS(r->body, "name=back value=\"/actors?status=active\"");
	EXPECT_HAS(undone(w, r->body), "Undone. All are as they were.");
	EXPECT(!*value_of(w, "actor", made[0], "disabled_at") && !*value_of(w, "actor", made[1], "disabled_at"));
	r = http_post(w, "/acme/selected/people", chosen("disable", 3, ""));
	EXPECT(strstr(r->body, "/acme/undo/") != NULL);
	for (u32 i = 0; i < 2; i++) /* there is nothing to take back of a refusal */
		snprintf(made[i], sizeof(made[i]), "%s", made[2]);
	r = http_post(w, "/acme/selected/people", chosen("disable", 3, ""));
	EXPECT_HAS(r->body, "Not done: Jo: You cannot disable yourself");
	EXPECT(!strstr(r->body, "/acme/undo/"));
	http_free(w);
}

TEST(the_first_failures_are_named_and_the_others_counted)
{
	struct http_world *w = signed_in();
	const struct reply *r;

	make(w, 0, "group show Everyone", 0);
	make(w, 1, "group add --name Ops%u", 1);
	(void)get(w, "/acme/groups", 200);
	r = http_post(w, "/acme/selected/groups", chosen("delete", 2, "&sure=1"));
	EXPECT_HAS(r->body, "1 group is deleted. Not done: Everyone: The group");
	EXPECT_HAS(undone(w, r->body), "made again as it was");
	EXPECT(is_there(w, "group", "Ops1"));
	for (u32 i = 0; i < 5; i++) {
		make(w, i, "actor add --type user --name Sam%1$u --email sam%1$u@acme.example", i);
		EXPECT_EQ(admin(w->portal, path("actor disable %s", made[i])), 0);
	}
	EXPECT_EQ(admin(w->portal, "account update --limit-users 1"), 0);
	(void)get(w, "/acme/actors", 200);
	r = http_post(w, "/acme/selected/people", chosen("enable", 5, ""));
	EXPECT_HAS(r->body, "Not done: Sam0: ");
	EXPECT_HAS(r->body, "; Sam2: ");
	EXPECT_HAS(r->body, "; and 2 more");
	http_free(w);
}

TEST(what_was_deleted_together_is_made_again_where_each_alone_is)
{
	struct http_world *w = signed_in();
	char command[128];
	const char *body;

	policies(w, 3);
	EXPECT_EQ(admin(w->portal, path("policy update %s --description first --condition 'client_verified is true'", made[0])), 0);
	EXPECT_EQ(admin(w->portal, path("policy disable %s", made[1])), 0);
	(void)get(w, "/acme/policies", 200);
	body = landed(w, http_post(w, "/acme/selected/policies", chosen("delete", 3, "&sure=1")));
	EXPECT_HAS(body, "3 policies are deleted.");
	EXPECT_HAS(undone(w, body), "3 of 3 are made again");
	body = get(w, "/acme/policies", 200)->body;
	for (u32 i = 0; i < 3; i++) {
		snprintf(command, sizeof(command), ">web%u</a>", i);
		EXPECT_HAS(body, command);
	}
	EXPECT_HAS(body, "1 condition");
	EXPECT_HAS(body, "disabled");
	/* one of two resources has a policy: that one stays deleted */
	make(w, 0, "resource show web%u", 0);
	make(w, 1, "resource add --site Berlin --address 10.9.0.9 --name alone --filter tcp:22 --filter icmp", 0);
	body = landed(w, http_post(w, "/acme/selected/resources", chosen("delete", 2, "&sure=1&confirm=delete+2")));
	EXPECT_HAS(undone(w, body), "1 of 2 are made again");
	EXPECT(!is_there(w, "resource", "web0"));
	EXPECT_STR(admin_value(w->portal, "resource show alone", "filters"), "tcp:22 icmp");
	http_free(w);
}
