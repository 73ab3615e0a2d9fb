/* Directories: what is read from a server that says what it is told, and what becomes of it here. Real loop, loopback; the store is a world's. */
#include "applets/portal/auth/auth.h"
#include "applets/portal/auth/jose_sign.h"
#include "applets/portal/sync/apply.h"
#include "applets/portal/sync/okta_key.h"
#include "applets/portal/sync/sync.h"
#include "platform/worker.h"
#include "tests/unit/http_peer.h"
#include "tests/unit/portal_world.h"
#include "tests/unit/test.h"
#include "tests/unit/tls_certs.h"

#include <stdio.h>

#define CANNED_MAX 48

/* An answer for exactly this target; before it, `fails` times another. */
struct canned {
	char target[420];
	char *body;
	const char *status, *fields;
	u32 fails, hits;
	const char *fail_status, *fail_fields;
};

static struct fixture {
	struct portal_world *w;
	struct loop *loop;
	struct http_peer peer;
	struct fetcher *fetcher;
	struct sync *sync;
	struct canned canned[CANNED_MAX];
	u32 n_canned;
	char base[60], host[60], last_auth[6000], last_proof[6000], last_body[6000], unknown[500];
	struct uuid directory, account;
	u32 probed;
	int probe_rc;
	char probe_why[500];
	bool wants_dpop_nonce;
} f;

static struct canned *tell(const char *target, const char *body)
{
	struct canned *c = NULL;

	for (u32 i = 0; i < f.n_canned; i++)
		if (strcmp(f.canned[i].target, target) == 0)
			c = &f.canned[i];
	if (!c)
		c = &f.canned[f.n_canned++];
	free(c->body);
	*c = (struct canned){ .body = strdup(body), .status = "200 OK", .fields = "" };
	snprintf(c->target, sizeof(c->target), "%s", target);
	return c;
}

static void answer(struct http_peer *p, const char *target, const struct http_head *head, struct span body, struct strbuf *out)
{
	struct span auth = http_field(head, "authorization"), proof = http_field(head, "dpop");

	(void)p;
	snprintf(f.last_auth, sizeof(f.last_auth), "%.*s", (int)auth.n, auth.n ? (const char *)auth.p : "");
	snprintf(f.last_proof, sizeof(f.last_proof), "%.*s", (int)proof.n, proof.n ? (const char *)proof.p : "");
	if (body.n > 0)
		snprintf(f.last_body, sizeof(f.last_body), "%.*s", (int)body.n, (const char *)body.p);
	for (u32 i = 0; i < f.n_canned; i++) {
		struct canned *c = &f.canned[i];
		if (strcmp(c->target, target) != 0)
			continue;
		bool fails = ++c->hits <= c->fails;
		const char *text = fails ? "{\"error\":{\"message\":\"not now\"}}" : c->body;
		strbuf_printf(out, "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n%s", fails ? c->fail_status : c->status, fails ? (c->fail_fields ? c->fail_fields : "") : c->fields,
			      strlen(text), text);
		return;
	}
	snprintf(f.unknown, sizeof(f.unknown), "%s", target);
	strbuf_puts(out, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
}

static bool begin(const char *directory)
{
	struct loop_clock clock = { sys_clock_now, sys_clock_wall, NULL };
	char command[6000];

	memset(&f, 0, sizeof(f));
	f.w = portal_new();
	f.loop = loop_new(&clock);
	f.peer.answer = answer;
	if (!EXPECT(f.w && http_peer_start(&f.peer, f.loop, NULL)))
		return false;
	snprintf(f.base, sizeof(f.base), "http://127.0.0.1:%u", f.peer.local.port);
	f.fetcher = fetcher_new(&(struct fetcher_config){ .loop = f.loop, .rng = sys_rng(), .allow_internal = true });
	static char token_url[100];
	snprintf(token_url, sizeof(token_url), "%s/token", f.base);
	struct sync_config cfg = { .portal = &f.w->portal,
				   .pull = { .loop = f.loop, .rng = sys_rng(), .fetcher = f.fetcher, .google_api_url = f.base, .google_token_url = token_url,
					     .entra_url = f.base, .graph_url = f.base, .okta_scheme = "http", .entra_client_id = "app", .entra_client_secret = "s3" } };
	static char key[4000];
	char *to = key + sprintf(key, "{\"client_email\":\"robot@g\",\"private_key\":\"");
	for (const char *c = rsa_key; *c; c++)
		to += *c == '\n' ? sprintf(to, "\\n") : sprintf(to, "%c", *c);
	sprintf(to, "\"}");
	cfg.pull.google_service_account_key = key;
	f.sync = sync_new(&cfg);
	snprintf(command, sizeof(command), "directory add --verified on %s", directory);
	if (!EXPECT_EQ(admin(f.w, command), 0)) {
		test_fail(__FILE__, __LINE__, "%s", f.w->reply.err);
		return false;
	}
	const char *id = admin_value(f.w, "directory show D", "id");
	(void)!uuid_parse(SPAN(id, strlen(id)), &f.directory);
	id = admin_value(f.w, "account show acme", "id");
	(void)!uuid_parse(SPAN(id, strlen(id)), &f.account);
	if (admin(f.w, "directory enable D"))
		EXPECT(strstr(f.w->reply.err, "nabled") != NULL);
	return true;
}

static void end(void)
{
	sync_free(f.sync);
	fetcher_free(f.fetcher);
	http_peer_stop(&f.peer);
	loop_free(f.loop);
	portal_free(f.w);
	for (u32 i = 0; i < f.n_canned; i++)
		free(f.canned[i].body);
}

/* One sync, to its end. */
static void sync_once(void)
{
	u64 end_at = sys_now() + SEC(30);

	EXPECT_EQ(sync_now(f.sync, &f.account, &f.directory), 0);
	EXPECT_EQ(sync_now(f.sync, &f.account, &f.directory), ERR_AGAIN);
	loop_turn(f.loop, 0);
	while (sync_is_running(f.sync, &f.directory) && sys_now() < end_at)
		loop_turn(f.loop, sys_now() + MSEC(5));
}

static const char *of_directory(const char *member)
{
	return admin_value(f.w, "directory show D", member);
}

static u32 count(enum kind k)
{
	u32 n = 0;

	(void)directory_all(hub_directory(f.w->portal.hub), k, &f.account, &n);
	return n;
}

static int add_one(void *ctx, enum kind k, const void *row)
{
	(void)k, (void)row;
	++*(u32 *)ctx;
	return 0;
}

static u32 identities(void)
{
	u32 n = 0;

	EXPECT_EQ(store_list(f.w->portal.store, KIND_IDENTITY, &f.account, add_one, &n), 0);
	return n;
}

/* ---- Google ---- */

#define USERS "/admin/directory/v1/users?customer=my_customer&domain=acme.example&maxResults=500&query=isSuspended%3Dfalse%20isArchived%3Dfalse"
#define GROUPS "/admin/directory/v1/groups?customer=my_customer&domain=acme.example&maxResults=200"
#define MEMBERS(g) "/admin/directory/v1/groups/" g "/members?maxResults=200"
#define USER(id, mail, name) "{\"id\":\"" id "\",\"primaryEmail\":\"" mail "\",\"name\":{\"fullName\":\"" name "\",\"givenName\":\"" name "\"},\"orgUnitPath\":\"/Sales/North\"}"
#define MEMBER(type, id) "{\"type\":\"" type "\",\"id\":\"" id "\"}"
#define GOOGLE "--type google --name D --domain acme.example --impersonation-email admin@acme.example"

static void google_of_two(void)
{
	tell("/token", "{\"access_token\":\"t0ken\",\"expires_in\":3600}");
	tell(USERS, "{\"users\":[" USER("1", "jo@acme.example", "Jo") "," USER("2", "kim@acme.example", "Kim") "]}");
	tell(GROUPS, "{\"groups\":[{\"id\":\"g1\",\"name\":\"Dev\",\"email\":\"dev@acme.example\"},{\"id\":\"g2\",\"name\":\"All\",\"email\":\"all@acme.example\"}]}");
	tell(MEMBERS("g1"), "{\"members\":[" MEMBER("USER", "1") "]}");
	tell(MEMBERS("g2"), "{\"members\":[" MEMBER("GROUP", "g1") "," MEMBER("USER", "2") "," MEMBER("USER", "999") "]}");
}

TEST(sync_google_users_groups_and_nested_members)
{
	if (begin(GOOGLE)) {
		u32 actors = count(KIND_ACTOR), members = count(KIND_MEMBERSHIP);
		google_of_two();
		sync_once();
		EXPECT_STR(of_directory("error_message"), "");
		EXPECT(of_directory("synced_at")[0] != '\0');
		EXPECT(strstr(f.last_body, "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=ey") == f.last_body);
		EXPECT_STR(f.last_auth, "Bearer t0ken");
		EXPECT_EQ(count(KIND_ACTOR), actors + 1); /* jo was there; he only got an identity */
		EXPECT_EQ(identities(), 2);
		EXPECT_STR(admin_value(f.w, "actor show kim@acme.example", "type"), "account_user");
		EXPECT_EQ(count(KIND_MEMBERSHIP), members + 3); /* g1: jo; g2: jo by g1, kim */
		EXPECT_EQ(admin(f.w, "audit list --kind actor --op insert --limit 1"), 0); /* who did that? */
		EXPECT(strstr(f.w->reply.out, "Directory ") != NULL);
		/* the same once more changes nothing */
		u64 revision = hub_directory(f.w->portal.hub)->revision;
		sync_once();
		EXPECT_EQ(hub_directory(f.w->portal.hub)->revision, revision);
	}
	end();
}

TEST(sync_google_pages_filters_org_units_and_groups_from_elsewhere)
{
	if (begin(GOOGLE " --group-sync-mode filtered --orgunit-sync on")) {
		tell("/token", "{\"access_token\":\"t\"}");
		tell(USERS, "{\"users\":[" USER("1", "jo@acme.example", "Jo") "],\"nextPageToken\":\"a b\"}");
		tell(USERS "&pageToken=a%20b", "{\"users\":[" USER("2", "kim@acme.example", "Kim") ",{\"id\":\"3\",\"primaryEmail\":\"x@acme.example\",\"suspended\":true}]}");
		tell(GROUPS, "{\"groups\":[{\"id\":\"g1\",\"name\":\"[firezone-sync] Dev\",\"email\":\"dev@acme.example\"},{\"id\":\"g2\",\"name\":\"Other\",\"email\":\"o@acme.example\"}]}");
		tell("/admin/directory/v1/customer/my_customer/orgunits?type=all",
		    "{\"organizationUnits\":[{\"orgUnitId\":\"ou1\",\"name\":\"Sales\",\"orgUnitPath\":\"/Sales\"},{\"orgUnitId\":\"ou2\",\"name\":\"Sal\",\"orgUnitPath\":\"/Sal\"}]}");
		tell(MEMBERS("g1"), "{\"members\":[" MEMBER("GROUP", "g8") "," MEMBER("GROUP", "g9") "," MEMBER("USER", "3") "]}");
		tell("/admin/directory/v1/groups/g8", "{\"id\":\"g8\",\"name\":\"Inner\",\"email\":\"inner@acme.example\"}");
		tell(MEMBERS("g8"), "{\"members\":[" MEMBER("USER", "1") "," MEMBER("GROUP", "g1") "]}"); /* a circle */
		tell("/admin/directory/v1/groups/g9", "{}")->status = "403 Forbidden"; /* another company's */
		sync_once();
		EXPECT_STR(of_directory("error_message"), "");
		EXPECT_EQ(identities(), 2);
		EXPECT(admin_value(f.w, "group show Sales", "id")[0] && !admin_value(f.w, "group show Other", "id")[0]);
		/* Sales: both; g1: jo by g8; g8: jo */
		EXPECT_EQ(count(KIND_MEMBERSHIP), 4);
	}
	end();
}

TEST(sync_waits_when_it_is_told_to_and_tries_again_after_a_server_error)
{
	if (begin(GOOGLE)) {
		google_of_two();
		struct canned *c = tell(GROUPS, "{\"groups\":[{\"id\":\"g1\",\"name\":\"Dev\"}]}");
		c->fails = 1;
		c->fail_status = "429 Too Many Requests";
		c->fail_fields = "Retry-After: 1\r\n";
		c = tell(MEMBERS("g1"), "{\"members\":[" MEMBER("USER", "1") "]}");
		c->fails = 1;
		c->fail_status = "502 Bad Gateway";
		u64 began = sys_now();
		sync_once();
		EXPECT_STR(of_directory("error_message"), "");
		EXPECT(sys_now() - began >= SEC(2)); /* one second each */
		EXPECT_EQ(identities(), 1);
	}
	end();
}

/* spec 60 §8: nothing is deleted, nothing is even begun, unless all was read */
TEST(spec60_63_a_partial_fetch_changes_nothing)
{
	if (begin(GOOGLE)) {
		google_of_two();
		sync_once();
		u32 actors = count(KIND_ACTOR), members = count(KIND_MEMBERSHIP);
		tell(USERS, "{\"users\":[" USER("1", "jo@acme.example", "Jo") "]}");
		tell(MEMBERS("g2"), "{\"error\":{\"message\":\"backend\"}}")->status = "500 Internal Server Error";
		EXPECT_EQ(sync_now(f.sync, &f.account, &f.directory), 0);
		u64 end_at = sys_now() + SEC(40);
		loop_turn(f.loop, 0);
		do
			loop_turn(f.loop, sys_now() + MSEC(20));
		while (sync_is_running(f.sync, &f.directory) && sys_now() < end_at);
		EXPECT(strstr(of_directory("error_message"), "status 500: backend") != NULL);
		EXPECT(of_directory("errored_at")[0] && !of_directory("disabled_at")[0]); /* it may go by itself */
		EXPECT_EQ(count(KIND_ACTOR), actors);
		EXPECT_EQ(count(KIND_MEMBERSHIP), members);
		EXPECT_EQ(identities(), 2);
	}
	end();
}

TEST(spec60_63_everything_would_vanish_so_nothing_does)
{
	if (begin(GOOGLE)) {
		google_of_two();
		sync_once();
		tell(USERS, "{}");
		sync_once();
		EXPECT_EQ(identities(), 2);
		EXPECT(strstr(of_directory("error_message"), "All 2 people") != NULL);
		EXPECT_STR(of_directory("disabled_reason"), SYNC_ERROR);
		EXPECT(of_directory("disabled_at")[0] != '\0');
		EXPECT_EQ(sync_now(f.sync, &f.account, &f.directory), ERR_DENIED);
	}
	end();
	if (begin(GOOGLE)) { /* groups alone */
		google_of_two();
		sync_once();
		tell(GROUPS, "{\"groups\":[{\"id\":\"new\",\"name\":\"New\"}]}");
		tell(MEMBERS("new"), "{\"members\":[" MEMBER("USER", "1") "," MEMBER("USER", "2") "]}");
		sync_once();
		EXPECT(strstr(of_directory("error_message"), "All 2 groups") != NULL);
	}
	end();
}

TEST(sync_deletes_what_went_last_of_all)
{
	if (begin(GOOGLE)) {
		google_of_two();
		u32 actors = count(KIND_ACTOR);
		sync_once();
		tell(USERS, "{\"users\":[" USER("1", "jo@acme.example", "Jo") "]}"); /* kim left */
		tell(GROUPS, "{\"groups\":[{\"id\":\"g2\",\"name\":\"Everybody\"}]}");	 /* Dev went, All has another name */
		tell(MEMBERS("g2"), "{\"members\":[" MEMBER("USER", "1") "]}");
		sync_once();
		EXPECT_STR(of_directory("error_message"), "");
		EXPECT_EQ(count(KIND_ACTOR), actors); /* kim was made by the directory and goes with it */
		EXPECT_EQ(identities(), 1);
		EXPECT_EQ(count(KIND_MEMBERSHIP), 1);
		EXPECT(admin_value(f.w, "group show Everybody", "id")[0] && !admin_value(f.w, "group show Dev", "id")[0]);
	}
	end();
}

TEST(sync_follows_changed_names_and_addresses_of_those_it_made)
{
	if (begin(GOOGLE)) {
		google_of_two();
		sync_once();
		tell(USERS, "{\"users\":[" USER("1", "other@acme.example", "Johann") "," USER("2", "kimberly@acme.example", "Kimberly") ",{\"id\":\"5\"}]}");
		tell(MEMBERS("g1"), "{\"members\":[" MEMBER("USER", "1") "," MEMBER("USER", "5") "]}"); /* 5 has no address: left out */
		sync_once();
		EXPECT_STR(of_directory("error_message"), "");
		EXPECT_STR(admin_value(f.w, "actor show kimberly@acme.example", "name"), "Kimberly");
		EXPECT(admin_value(f.w, "actor show jo@acme.example", "id")[0] != '\0'); /* ours: stays what the admin said */
		EXPECT_EQ(identities(), 2);
	}
	end();
}

/* spec 60 item 13 */
TEST(spec60_13_sync_attaches_policies_to_groups_that_come_again)
{
	if (begin(GOOGLE)) {
		google_of_two();
		sync_once();
		EXPECT_EQ(admin(f.w, "resource add --site Berlin --address 10.9.0.0/24 --name lab"), 0);
		EXPECT_EQ(admin(f.w, "policy add --group Dev --resource lab"), 0);
		u32 n;
		struct policy *const *p = (struct policy *const *)directory_all(hub_directory(f.w->portal.hub), KIND_POLICY, &f.account, &n);
		struct uuid id = p[0]->e.id;
		tell(GROUPS, "{\"groups\":[{\"id\":\"g2\",\"name\":\"All\"}]}");
		tell(MEMBERS("g2"), "{\"members\":[" MEMBER("USER", "1") "," MEMBER("USER", "2") "]}");
		sync_once();
		const struct policy *now = directory_get(hub_directory(f.w->portal.hub), KIND_POLICY, &f.account, &id);
		EXPECT(now && uuid_is_null(&now->group_id));
		google_of_two();
		sync_once();
		now = directory_get(hub_directory(f.w->portal.hub), KIND_POLICY, &f.account, &id);
		const struct group *g = now ? directory_get(hub_directory(f.w->portal.hub), KIND_GROUP, &f.account, &now->group_id) : NULL;
		EXPECT(g && strcmp(g->idp_id, "g1") == 0);
	}
	end();
}

TEST(sync_refused_means_disabled_at_once)
{
	if (begin(GOOGLE)) {
		tell("/token", "{\"error\":\"unauthorized_client\",\"error_description\":\"Client is unauthorized to retrieve access tokens\"}")->status = "401 Unauthorized";
		sync_once();
		EXPECT(strstr(of_directory("error_message"), "Google: signing in: status 401: Client is unauthorized") != NULL);
		EXPECT_STR(of_directory("disabled_reason"), SYNC_ERROR);
	}
	end();
}

/* ---- Entra ---- */

#define FIELDS "id,displayName,mail,userPrincipalName,givenName,surname,accountEnabled"
#define TRANSITIVE(g) "/v1.0/groups/" g "/transitiveMembers/microsoft.graph.user?$top=999&$count=true&$filter=accountEnabled%20eq%20true&$select=" FIELDS
#define TENANT "0b8c1d2e-0000-4000-8000-000000000001"
#define ENTRA_USER(id, upn) "{\"id\":\"" id "\",\"displayName\":\"N " id "\",\"userPrincipalName\":\"" upn "\",\"mail\":null,\"accountEnabled\":true}"

TEST(sync_entra_assigned_groups_and_users)
{
	if (begin("--type entra --name D --tenant-id " TENANT)) {
		char more[300];
		tell("/" TENANT "/oauth2/v2.0/token", "{\"access_token\":\"e\"}");
		tell("/v1.0/servicePrincipals?$filter=appId%20eq%20%27app%27&$select=id,appId", "{\"value\":[{\"id\":\"sp\",\"appId\":\"app\"}]}");
		tell("/v1.0/servicePrincipals/sp/appRoleAssignedTo?$top=999&$select=id,principalId,principalType,principalDisplayName",
		    "{\"value\":[{\"principalId\":\"G\",\"principalType\":\"Group\",\"principalDisplayName\":\"Dev\"},{\"principalId\":\"U\",\"principalType\":\"User\"}]}");
		tell("/v1.0/users/U?$select=" FIELDS, ENTRA_USER("U", "uli@acme.example"));
		snprintf(more, sizeof(more), "{\"value\":[" ENTRA_USER("A", "ada@acme.example") "],\"@odata.nextLink\":\"%s/v1.0/next\"}", f.base);
		tell(TRANSITIVE("G"), more);
		tell("/v1.0/next", "{\"value\":[" ENTRA_USER("B", "bob@acme.example") ",{\"id\":\"C\",\"userPrincipalName\":\"c@acme.example\",\"accountEnabled\":false}]}");
		sync_once();
		EXPECT_STR(of_directory("error_message"), "");
		EXPECT_EQ(identities(), 3);
		EXPECT_EQ(count(KIND_MEMBERSHIP), 2);
		EXPECT(strstr(f.last_body, "grant_type=client_credentials&client_id=app&client_secret=s3&scope=http%3A%2F%2F127.0.0.1") == f.last_body);
		/* a next page somewhere else is not followed, with our token */
		tell(TRANSITIVE("G"), "{\"value\":[],\"@odata.nextLink\":\"https://evil.example/v1.0/next\"}");
		sync_once();
		EXPECT(strstr(of_directory("error_message"), "makes no sense") != NULL);
		EXPECT_EQ(identities(), 3);
	}
	end();
}

TEST(sync_entra_all_groups_and_no_application)
{
	if (begin("--type entra --name D --sync-all-groups on --tenant-id " TENANT)) {
		tell("/" TENANT "/oauth2/v2.0/token", "{\"access_token\":\"e\"}");
		tell("/v1.0/groups?$top=999&$select=id,displayName,mail", "{\"value\":[{\"id\":\"G\",\"displayName\":\"Dev\"},{\"id\":\"H\",\"displayName\":\"Gone\"}]}");
		tell(TRANSITIVE("G"), "{\"value\":[" ENTRA_USER("A", "ada@acme.example") "]}");
		sync_once(); /* H vanished between the two questions: 404 */
		EXPECT_STR(of_directory("error_message"), "");
		EXPECT_EQ(identities(), 1);
	}
	end();
	if (begin("--type entra --name D --tenant-id " TENANT)) {
		tell("/" TENANT "/oauth2/v2.0/token", "{\"access_token\":\"e\"}");
		tell("/v1.0/servicePrincipals?$filter=appId%20eq%20%27app%27&$select=id,appId", "{\"value\":[]}");
		sync_once();
		EXPECT(strstr(of_directory("error_message"), "enterprise application") != NULL);
		EXPECT_STR(of_directory("disabled_reason"), SYNC_ERROR);
	}
	end();
}

/* ---- the clock ---- */

TEST(sync_runs_every_other_hour_each_kind_at_its_minute)
{
	u64 day = 20000ull * 86400;

	EXPECT_EQ(sync_due_type(day), DIRECTORY_ENTRA);
	EXPECT_EQ(sync_due_type(day + 20 * 60), DIRECTORY_GOOGLE);
	EXPECT_EQ(sync_due_type(day + 40 * 60 + 59), DIRECTORY_OKTA);
	EXPECT_EQ(sync_due_type(day + 41 * 60), -1);
	EXPECT_EQ(sync_due_type(day + 3600), -1);
	EXPECT_EQ(sync_due_type(day + 7200), DIRECTORY_ENTRA);
}

TEST(sync_mails_become_rarer_and_stop)
{
	EXPECT(sync_mail_is_due(0, 1000, 3) && sync_mail_is_due(2, 1, 3) && !sync_mail_is_due(2, 0, 3));
	EXPECT(!sync_mail_is_due(3, 2, 3) && sync_mail_is_due(3, 3, 3) && sync_mail_is_due(5, 4, 0));
	EXPECT(!sync_mail_is_due(6, 30, 2) && sync_mail_is_due(6, 1, 1) && sync_mail_is_due(9, 7, 1));
	EXPECT(!sync_mail_is_due(10, 100, 1));
}

static void on_probed(void *ctx, int rc, const char *why)
{
	(void)ctx;
	f.probed++;
	f.probe_rc = rc;
	snprintf(f.probe_why, sizeof(f.probe_why), "%s", why);
}

static void probe(void)
{
	struct sync_directory row;
	u64 end_at = sys_now() + SEC(20);
	u32 before = f.probed;

	EXPECT_EQ(store_get(f.w->portal.store, KIND_DIRECTORY, &f.account, &f.directory, &row), 0);
	EXPECT(sync_probe(f.sync, &row, on_probed, NULL) != NULL);
	entity_deinit(KIND_DIRECTORY, &row);
	while (f.probed == before && sys_now() < end_at)
		loop_turn(f.loop, sys_now() + MSEC(5));
	EXPECT_EQ(f.probed, before + 1);
}

TEST(sync_settings_are_tried_before_they_are_saved)
{
	if (begin(GOOGLE)) {
		google_of_two();
		probe();
		EXPECT_EQ(f.probe_rc, ERR_DENIED); /* org units are not readable: 404 here */
		EXPECT(strstr(f.probe_why, "status 404") != NULL);
		tell("/admin/directory/v1/users?customer=my_customer&domain=acme.example&maxResults=1&query=isSuspended%3Dfalse%20isArchived%3Dfalse", "{}");
		tell("/admin/directory/v1/groups?customer=my_customer&domain=acme.example&maxResults=1", "{}");
		tell("/admin/directory/v1/customer/my_customer/orgunits?type=all", "{}");
		probe();
		EXPECT_EQ(f.probe_rc, 0);
	}
	end();
}

/* ---- Okta's key ---- */

static void on_key(void *ctx, int rc, const struct okta_key_texts *t)
{
	struct jose_key *k = NULL;

	(void)ctx;
	f.probed++;
	if (!EXPECT_EQ(rc, 0))
		return;
	EXPECT_EQ(jose_key_from_jwk(SPAN(t->private_jwk, strlen(t->private_jwk)), &k), 0);
	jose_key_free(k);
	EXPECT(strlen(t->kid) == 22 && strstr(t->public_jwk, t->kid) && !strstr(t->public_jwk, "\"d\""));
}

TEST(sync_makes_keys_for_okta_beside_the_loop)
{
	struct okta_key *k;
	u64 end_at = sys_now() + SEC(60);

	if (begin(GOOGLE)) {
		EXPECT_EQ(okta_key_make(&f.w->portal, on_key, NULL, &k), ERR_UNSUPPORTED);
		f.w->portal.web_url = "https://portal.example/";
		REQUIRE(auth_new(&f.w->portal.auth, &f.w->portal, f.loop, 0) == 0);
		EXPECT_EQ(okta_key_make(&f.w->portal, on_key, NULL, &k), 0);
		EXPECT_EQ(okta_key_make(&f.w->portal, on_key, NULL, &k), 0);
		okta_key_cancel(k);
		while (worker_pending(f.w->portal.auth->worker) > 0 && sys_now() < end_at)
			loop_turn(f.loop, sys_now() + MSEC(10));
		EXPECT_EQ(f.probed, 1);
		auth_free(f.w->portal.auth);
		f.w->portal.auth = NULL;
	}
	end();
}

/* ---- the snapshot ---- */

TEST(snapshot_flattens_chains_diamonds_and_circles)
{
	struct snapshot s;

	snapshot_init(&s, sys_rng());
	for (u32 i = 0; i < 5; i++) {
		char id[2] = { (char)('a' + i), 0 };
		EXPECT_EQ(snapshot_group(&s, id, NULL, NULL, ENTITY_GROUP), (int)i);
		EXPECT_EQ(snapshot_user(&s, id, "x", NULL, NULL, NULL), (int)i);
		EXPECT_EQ(snapshot_member(&s, i, i), 0);
	}
	/* a → b → d, a → c → d, d → a; e alone */
	EXPECT(!snapshot_nest(&s, 0, 1) && !snapshot_nest(&s, 0, 2) && !snapshot_nest(&s, 1, 3) && !snapshot_nest(&s, 2, 3) && !snapshot_nest(&s, 3, 0));
	u32 parts = 0;
	int rc;
	while ((rc = snapshot_flatten(&s, 1)) == 1)
		parts++;
	EXPECT_EQ(rc, 0);
	EXPECT(parts > 10);
	for (u32 g = 0; g < 4; g++)
		for (u32 u = 0; u < 4; u++) {
			bool want = g == 0 || g == 3 || u == g || u == 3 || u == 0 || (g == 1 && u == 2) || (g == 2 && u == 1);
			if (snapshot_has_member(&s, g, u) != want)
				test_fail(__FILE__, __LINE__, "group %u user %u", g, u);
		}
	EXPECT_EQ(s.n_members, 17);
	EXPECT_EQ(snapshot_user(&s, "", "x", NULL, NULL, NULL), ERR_INVAL);
	snapshot_deinit(&s);
}
