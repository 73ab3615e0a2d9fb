/* Who may change what (spec 60 §1.1, §1.3), and what he is told when he may not. */
#include "tests/unit/portal_world.h"

#include "applets/portal/admin/action.h"

#include <stdio.h>
#include <string.h>

TEST(spec60_64_the_last_admin_is_protected_from_everybody)
{
	struct portal_world *w = portal_new();
	struct principal ada;

	EXPECT_EQ(admin_as(w, NULL, "actor delete jo@acme.example"), ADMIN_DENIED);
	EXPECT_EQ(admin_as(w, NULL, "actor disable jo@acme.example"), ADMIN_DENIED);
	EXPECT_EQ(admin_as(w, NULL, "actor update jo@acme.example --type user"), ADMIN_DENIED);
	EXPECT_STR(w->reply.reason, "'Jo' is the last enabled admin of the account: make another one first");
	ada = principal_of(w, PRINCIPAL_SESSION, "admin", "ada");
	EXPECT_EQ(admin_as(w, &ada, "actor disable jo@acme.example"), ADMIN_OK);
	EXPECT_EQ(admin_as(w, NULL, "actor disable ada@acme.example"), ADMIN_DENIED);
	portal_free(w);
}

TEST(spec60_64_nobody_deletes_disables_or_demotes_himself)
{
	struct portal_world *w = portal_new();
	struct principal ada = principal_of(w, PRINCIPAL_SESSION, "admin", "ada");

	EXPECT_EQ(admin_as(w, &ada, "actor delete ada@acme.example"), ADMIN_DENIED);
	EXPECT_STR(w->reply.reason, "You cannot delete yourself: ask another admin");
	EXPECT_EQ(admin_as(w, &ada, "actor disable ada@acme.example"), ADMIN_DENIED);
	EXPECT_EQ(admin_as(w, &ada, "actor update ada@acme.example --type user"), ADMIN_DENIED);
	EXPECT_STR(w->reply.field, "type");
	EXPECT_EQ(admin_as(w, &ada, "actor update ada@acme.example --name Ada"), ADMIN_OK);
	portal_free(w);
}

TEST(spec60_01_a_principal_neither_touches_nor_learns_of_another_account)
{
	static const char *const asks[] = {
		"account show other", "account update other --name Mine", "site list --account other", "site add --name X --account other",
		"actor add --name x --email x@x.example --account other", "member list --group Everyone --account other",
	};
	struct portal_world *w = portal_new();
	struct principal ada = principal_of(w, PRINCIPAL_SESSION, "admin", "ada");
	char id[UUID_STRLEN], command[200];

	EXPECT_EQ(admin(w, "account add --name Other --admin-email o@other.example"), 0);
	for (size_t i = 0; i < ARRAY_LEN(asks); i++)
		EXPECT_EQ(admin_as(w, &ada, asks[i]), ADMIN_NOT_FOUND);
	EXPECT_STR(w->reply.reason, "There is no account 'other'");
	EXPECT_EQ(admin(w, "site add --name Secret --account other"), 0);
	uuid_format(&w->reply.id, id);
	snprintf(command, sizeof(command), "site show %s", id);
	EXPECT_EQ(admin_as(w, &ada, command), ADMIN_NOT_FOUND);
	snprintf(command, sizeof(command), "site delete %s", id);
	EXPECT_EQ(admin_as(w, &ada, command), ADMIN_NOT_FOUND);
	snprintf(command, sizeof(command), "resource add --address 10.0.0.1 --site %s", id);
	EXPECT_EQ(admin_as(w, &ada, command), ADMIN_INVALID);
	EXPECT_STR(w->reply.field, "site");
	EXPECT_EQ(admin_as(w, &ada, "account list"), ADMIN_OK);
	EXPECT(!strstr(w->reply.out, "Other"));
	EXPECT_EQ(admin_as(w, &ada, "site list"), ADMIN_OK);
	EXPECT(strstr(w->reply.out, "Berlin") && !strstr(w->reply.out, "Secret"));
	portal_free(w);
}

TEST(only_the_operator_has_a_say_about_accounts_limits_and_relays)
{
	static const char *const asks[] = {
		"account add --name Mine --admin-email a@b.example", "account disable acme", "account delete acme", "token add --relay",
		"status show", "account update --limit-sites 100",
	};
	struct portal_world *w = portal_new();
	struct principal ada = principal_of(w, PRINCIPAL_SESSION, "admin", "ada");

	EXPECT_EQ(admin(w, "token add --relay --name r1"), 0);
	for (size_t i = 0; i < ARRAY_LEN(asks); i++)
		if (!EXPECT_EQ(admin_as(w, &ada, asks[i]), ADMIN_DENIED))
			fprintf(stderr, "%s\n", asks[i]);
	EXPECT_EQ(admin_as(w, &ada, "token list"), ADMIN_OK);
	EXPECT(!strstr(w->reply.out, "r1"));
	portal_free(w);
}

/* Demoted or disabled after the session began. */
TEST(a_session_is_worth_what_its_actor_is_now)
{
	struct portal_world *w = portal_new();
	struct principal ada = principal_of(w, PRINCIPAL_SESSION, "admin", "ada"), eve = principal_of(w, PRINCIPAL_SESSION, "user", "eve");

	EXPECT_EQ(admin_as(w, &eve, "site add --name X"), ADMIN_DENIED);
	EXPECT_EQ(admin(w, "actor disable ada@acme.example"), 0);
	EXPECT_EQ(admin_as(w, &ada, "site add --name X"), ADMIN_DENIED);
	portal_free(w);
}

TEST(an_api_client_has_its_own_rights)
{
	struct portal_world *w = portal_new();
	struct principal bot = principal_of(w, PRINCIPAL_API, "api-client", "bot");

	EXPECT_EQ(admin_as(w, &bot, "site add --name Hamburg"), ADMIN_OK);
	EXPECT_EQ(admin_as(w, &bot, "account show acme"), ADMIN_OK);
	EXPECT_EQ(admin_as(w, &bot, "account update acme --name X12"), ADMIN_DENIED);
	EXPECT_EQ(admin_as(w, &bot, "token add --site Hamburg"), ADMIN_OK);
	EXPECT(w->reply.secret[0] == '.');
	EXPECT_EQ(admin_as(w, &bot, "token add --actor jo@acme.example"), ADMIN_DENIED);
	EXPECT_EQ(admin(w, "token add --actor jo@acme.example --name hers"), 0);
	EXPECT_EQ(admin_as(w, &bot, "token list"), ADMIN_OK);
	EXPECT(strstr(w->reply.out, "hers"));
	EXPECT_EQ(admin(w, "actor add --type service-account --name backup"), 0);
	EXPECT_EQ(admin_as(w, &bot, "token add --actor backup"), ADMIN_OK);
	EXPECT_EQ(admin_as(w, &bot, "token add --relay"), ADMIN_DENIED);
	portal_free(w);
}

TEST(what_is_switched_off_for_an_account_cannot_be_asked_for)
{
	static const struct {
		const char *feature, *command, *field;
	} cases[] = {
		{ "policy-conditions", "policy add --group Everyone --resource lab --condition 'client_verified is true'", "condition" },
		{ "internet-resource", "policy add --group Everyone --resource Internet", "resource" },
		{ "traffic-filters", "resource add --site Berlin --address 10.0.0.9 --filter tcp:22", "filter" },
	};
	struct portal_world *w = portal_new();
	char command[100];

	EXPECT_EQ(admin(w, "resource add --site Berlin --address 10.9.0.0/24 --name lab"), 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		snprintf(command, sizeof(command), "account update acme --%s off", cases[i].feature);
		EXPECT_EQ(admin(w, command), 0);
		EXPECT_EQ(admin_as(w, NULL, cases[i].command), ADMIN_DENIED);
		EXPECT_STR(w->reply.field, cases[i].field);
		snprintf(command, sizeof(command), "account update acme --%s on", cases[i].feature);
		EXPECT_EQ(admin(w, command), 0);
		EXPECT_EQ(admin_as(w, NULL, cases[i].command), ADMIN_OK);
	}
	portal_free(w);
}

TEST(two_admins_who_edit_the_same_row_lose_nothing)
{
	struct portal_world *w = portal_new();
	struct principal ada = principal_of(w, PRINCIPAL_SESSION, "admin", "ada");
	const struct account *acme = directory_account_named(hub_directory(w->portal.hub), "acme");
	const struct site *site;
	struct action a;
	struct uuid id;
	i64 seen;

	EXPECT_EQ(admin(w, "site add --name Hamburg"), 0);
	id = w->reply.id;
	site = directory_get(hub_directory(w->portal.hub), KIND_SITE, &acme->e.id, &id);
	seen = site->e.updated_at;
	tick(w, SEC(1));
	for (int i = 0; i < 2; i++) {
		action_begin(&a, "site", "update", &ada);
		action_set_id(&a, "target", &id);
		action_set(&a, "name", i == 0 ? "Bremen" : "Kiel");
		action_set(&a, "ignored", NULL);
		action_set_unchanged_since(&a, seen);
		EXPECT_EQ(action_run(&a, &w->portal), i == 0 ? ADMIN_OK : ADMIN_CONFLICT);
		if (i == 1)
			EXPECT(strstr(a.reply.reason, "Somebody else changed this site") == a.reply.reason);
		action_end(&a);
	}
	site = directory_get(hub_directory(w->portal.hub), KIND_SITE, &acme->e.id, &id);
	EXPECT_STR(site->name, "Bremen");
	portal_free(w);
}

TEST(a_wrong_value_is_named_as_the_form_names_it)
{
	static const struct {
		const char *command, *field, *reason;
		enum admin_class class;
	} cases[] = {
		{ "site add --name ''", "name", "Must not be empty", ADMIN_INVALID },
		{ "site add --name Berlin", "name", "There is already a site 'Berlin'", ADMIN_CONFLICT },
		{ "resource add --site Berlin --address 10.0.0.1 --filter ftp", "filter", "'ftp' is not a protocol (tcp, udp, icmp)", ADMIN_INVALID },
		{ "resource add --site Nowhere --address 10.0.0.1", "site", "There is no site 'Nowhere'", ADMIN_INVALID },
		{ "account update --search-domain x", "search-domain", "'x' is not a full domain name", ADMIN_INVALID },
		{ "actor add --name x", "email", "Is required for a user", ADMIN_INVALID },
		{ "site show Nowhere", "", "There is no site 'Nowhere'", ADMIN_NOT_FOUND },
	};
	struct portal_world *w = portal_new();

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		EXPECT_EQ(admin_as(w, NULL, cases[i].command), cases[i].class);
		EXPECT_STR(w->reply.field, cases[i].field);
		EXPECT_STR(w->reply.reason, cases[i].reason);
	}
	portal_free(w);
}

TEST(a_deletion_names_what_goes_with_it)
{
	struct portal_world *w = portal_new();
	const struct account *acme = directory_account_named(hub_directory(w->portal.hub), "acme");
	struct dependents d;
	struct uuid site;

	EXPECT_EQ(admin(w, "site add --name Hamburg"), 0);
	site = w->reply.id;
	EXPECT_EQ(admin(w, "resource add --site Hamburg --address 10.0.0.1 --name a"), 0);
	EXPECT_EQ(admin(w, "resource add --site Hamburg --address 10.0.0.2 --name b"), 0);
	EXPECT_EQ(admin(w, "policy add --group Everyone --resource a"), 0);
	EXPECT_EQ(admin(w, "token add --site Hamburg"), 0);
	EXPECT_EQ(admin_dependents(&w->portal, KIND_SITE, &acme->e.id, &site, &d), 0);
	EXPECT_EQ(d.n, 3);
	for (u32 i = 0; i < d.n; i++)
		EXPECT_EQ(d.at[i].n, d.at[i].kind == KIND_RESOURCE ? 2 : 1);
	EXPECT_STR(d.n > 0 ? d.at[0].many : "", "gateway tokens");
	EXPECT_EQ(admin(w, "site delete Hamburg"), 0);
	EXPECT(strstr(w->reply.out, "resources       2\n") && strstr(w->reply.out, "policies        1\n"));
	EXPECT(uuid_eq(&w->reply.id, &site));
	portal_free(w);
}

TEST(the_trail_tells_who_did_what_and_keeps_no_secret)
{
	struct portal_world *w = portal_new();
	struct principal ada = principal_of(w, PRINCIPAL_SESSION, "admin", "ada");

	snprintf(ada.actor_email, sizeof(ada.actor_email), "ada@acme.example");
	EXPECT_EQ(admin_as(w, &ada, "site add --name Hamburg"), ADMIN_OK);
	EXPECT_EQ(admin(w, "audit list --kind site --op insert --limit 1"), 0);
	EXPECT(strstr(w->reply.out, "ada@acme.example") && strstr(w->reply.out, "Hamburg"));
	EXPECT_EQ(admin(w, "token add --site Hamburg"), 0);
	EXPECT_EQ(admin(w, "audit export"), 0);
	EXPECT(strstr(w->reply.out, "operator"));
	EXPECT_STR(admin_value(w, "audit list --kind site --limit 1", "kind"), "");
	EXPECT(strstr(w->reply.out, "\"principal\":\"session\""));
	EXPECT_EQ(admin_as(w, &ada, "audit list --from nonsense"), ADMIN_INVALID);
	EXPECT_STR(w->reply.field, "from");
	portal_free(w);
}

struct heard {
	u32 changed[KIND_COUNT], came, went;
};

static void on_changed(void *ctx, const struct uuid *account, enum kind k)
{
	(void)account;
	((struct heard *)ctx)->changed[k]++;
}

static void on_presence(void *ctx, enum kind k, const struct hub_presence *p, bool is_online)
{
	struct heard *h = ctx;

	(void)k;
	(void)p;
	*(is_online ? &h->came : &h->went) += 1;
}

static void on_session(void *ctx, const struct uuid *session)
{
	(void)ctx;
	(void)session;
}

TEST(open_pages_hear_once_of_each_kind_that_changed_and_who_came_and_went)
{
	static const struct hub_news news = { on_changed, on_presence, on_session, NULL };
	struct portal_world *w = portal_new();
	struct heard heard = { .came = 0 };
	struct fake *c;

	hub_set_news(w->portal.hub, &news, &heard);
	EXPECT_EQ(admin(w, "account add --name Other --admin-email o@other.example"), 0);
	EXPECT_EQ(heard.changed[KIND_SITE], 1);
	EXPECT_EQ(heard.changed[KIND_ACTOR], 1);
	EXPECT_EQ(heard.changed[KIND_POLICY], 0);
	c = join_client(w, token_for(w, "--actor jo@acme.example --account acme"), "laptop", 'l');
	EXPECT_EVENT(c, "init");
	EXPECT_EQ(heard.came, 1);
	EXPECT_EQ(admin(w, "client delete laptop --account acme"), ADMIN_OK);
	EXPECT_EQ(heard.went, 1);
	hub_set_news(w->portal.hub, NULL, NULL);
	portal_free(w);
}

/* By the indexes of names and addresses: the same answers as by looking at each. */
TEST(things_are_found_by_name_or_address_and_told_apart)
{
	struct portal_world *w = portal_new();

	EXPECT_EQ(admin_as(w, NULL, "actor add --email Zoe@B\303\274cher.example"), ADMIN_OK); /* called as its address is */
	EXPECT_EQ(admin_as(w, NULL, "actor update zoe@b\303\274cher.example --name Zoe"), ADMIN_OK);
	EXPECT_EQ(admin_as(w, NULL, "actor update ZOE@xn--bcher-kva.example --name same@acme.example"), ADMIN_OK);
	EXPECT_EQ(admin_as(w, NULL, "actor add --email same@acme.example"), ADMIN_OK);
	EXPECT_EQ(admin_as(w, NULL, "actor disable same@acme.example"), ADMIN_INVALID);
	EXPECT_STR(w->reply.reason, "2 actors are called 'same@acme.example': give the id");
	for (int i = 0; i < 8; i++) { /* who is called so by name and address is one, whoever is found first */
		char line[96], want[96];

		snprintf(line, sizeof(line), "actor add --email s%d@acme.example", i);
		EXPECT_EQ(admin_as(w, NULL, line), ADMIN_OK);
		snprintf(line, sizeof(line), "actor add --type service-account --name s%d@acme.example", i);
		EXPECT_EQ(admin_as(w, NULL, line), ADMIN_OK);
		snprintf(line, sizeof(line), "actor show s%d@acme.example", i);
		EXPECT_EQ(admin_as(w, NULL, line), ADMIN_INVALID);
		snprintf(want, sizeof(want), "2 actors are called 's%d@acme.example': give the id", i);
		EXPECT_STR(w->reply.reason, want);
	}
	EXPECT_EQ(admin_as(w, NULL, "actor disable SAME@acme.example"), ADMIN_OK); /* only the address does not mind */
	EXPECT_EQ(admin_as(w, NULL, "actor delete nobody@acme.example"), ADMIN_NOT_FOUND);
	(void)join_client(w, token_for(w, "--actor jo@acme.example"), "laptop", 'l');
	EXPECT_EQ(admin_as(w, NULL, "client update laptop --name Desk"), ADMIN_OK);
	EXPECT_EQ(admin_as(w, NULL, "client verify desk"), ADMIN_NOT_FOUND);
	EXPECT_EQ(admin_as(w, NULL, "client verify Desk"), ADMIN_OK);
	EXPECT_EQ(admin_as(w, NULL, "policy disable nameless"), ADMIN_NOT_FOUND);
	EXPECT_STR(w->reply.reason, "There is no policy 'nameless'");
	portal_free(w);
}

/* ---- what is long --------------------------------------------------------------------------------------------------------------------- */

static u64 hurried(void)
{
	static u64 t;

	return t += ADMIN_SLICE; /* whenever it is asked, a slice is over */
}

/* How many turns it took; the reply is the caller's. */
static u32 run_patiently(struct portal_world *w, struct admin_request *rq, struct admin_reply *reply)
{
	u32 turns = 1;

	rq->is_patient = true;
	admin_run(&w->portal, rq, reply);
	for (; reply->rest; turns++)
		admin_go_on(reply);
	return turns;
}

static void expect_same_list(struct portal_world *w, const char *noun, const char *verb, const char *option, const char *value, bool is_json)
{
	struct admin_request rq = { .noun = noun, .verb = verb, .is_json = is_json, .n_fields = option ? 1 : 0, .field = { { option, value } } };
	struct admin_reply at_once, in_turns;

	admin_run(&w->portal, &rq, &at_once);
	EXPECT_EQ(at_once.status, 0);
	EXPECT(run_patiently(w, &rq, &in_turns) > 1);
	EXPECT_EQ(in_turns.status, 0);
	EXPECT_STR(in_turns.out, at_once.out);
	admin_reply_free(&at_once);
	admin_reply_free(&in_turns);
}

TEST(what_is_long_goes_on_in_later_turns_for_who_is_patient)
{
	struct portal_world *w = portal_new();
	char command[100], names[1000] = "";

	for (int i = 0; i < 30; i++) {
		snprintf(command, sizeof(command), "actor add --email p%02d@acme.example", i);
		EXPECT_EQ(admin(w, command), 0);
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "p%02d@acme.example ", i);
	}
	EXPECT_EQ(admin(w, "group add --name Team"), 0);
	w->portal.now = hurried;
	struct admin_request rq = { .noun = "group", .verb = "set-members", .n_fields = 2, .field = { { "target", "Team" }, { "member", names } } };
	struct admin_reply reply;
	EXPECT(run_patiently(w, &rq, &reply) > 30);
	EXPECT_EQ(reply.status, 0);
	EXPECT(reply.members && strlen(reply.members) == 1 + 30 * 39);
	admin_reply_free(&reply);
	expect_same_list(w, "member", "list", "group", "Team", true);
	expect_same_list(w, "actor", "list", NULL, NULL, true);
	expect_same_list(w, "actor", "list", "type", "account-user", false);
	expect_same_list(w, "audit", "export", NULL, NULL, true);

	/* who comes and who goes, in one */
	struct admin_request patch = { .noun = "group", .verb = "set-members", .n_fields = 3,
				       .field = { { "target", "Team" }, { "add", "jo@acme.example" }, { "remove", "p03@acme.example p04@acme.example" } } };
	(void)run_patiently(w, &patch, &reply);
	EXPECT_EQ(reply.status, 0);
	EXPECT(reply.members && strlen(reply.members) == 1 + 29 * 39);
	admin_reply_free(&reply);

	/* who leaves in the middle leaves it half done, and nothing behind */
	rq.field[1].value = "p00@acme.example";
	rq.is_patient = true;
	admin_run(&w->portal, &rq, &reply);
	for (int i = 0; i < 10; i++)
		admin_go_on(&reply);
	EXPECT(reply.rest);
	admin_reply_free(&reply);

	/* the group goes in the middle */
	admin_run(&w->portal, &rq, &reply);
	admin_go_on(&reply);
	EXPECT_EQ(admin(w, "group delete Team"), 0);
	for (int i = 0; i < 100 && reply.rest; i++)
		admin_go_on(&reply);
	EXPECT_EQ(reply.class, ADMIN_NOT_FOUND);
	admin_reply_free(&reply);
	portal_free(w);
}
