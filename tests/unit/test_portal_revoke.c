/* What loses its right to exist with a change of something else, and that whoever uses it hears of it at once (spec 60 §3.11, §5.2). */
#include "tests/unit/portal_world.h"

#include <stdio.h>
#include <string.h>

static const struct account *acme(struct portal_world *w)
{
	return directory_account_named(hub_directory(w->portal.hub), "acme");
}

/* A provider of acme that somebody verified. */
static struct uuid make_provider(struct portal_world *w, const char *name)
{
	char command[300];

	snprintf(command, sizeof(command),
		 "provider add --type oidc --name %s --client-id %s --client-secret s --issuer https://%s.example "
		 "--discovery-document-uri https://%s.example/.well-known/openid-configuration --verified on",
		 name, name, name, name);
	if (!EXPECT_EQ(admin(w, command), 0))
		fprintf(stderr, "%s", w->reply.err);
	return w->reply.id;
}

/* A client that signed in through it, connected. */
static struct fake *join_through(struct portal_world *w, const struct uuid *provider, const struct uuid *actor, const char *device)
{
	char text[TOKEN_STRLEN];
	struct token x;

	entity_init(KIND_CLIENT_TOKEN, &x);
	x.e.account_id = acme(w)->e.id;
	x.owner_id = *actor;
	x.auth_provider_id = *provider;
	x.expires_at = (i64)(portal_wall / 1000) + 3600 * 1000000ll;
	EXPECT_EQ(token_mint(&x, TOKEN_CLIENT, "", &w->portal.secrets, w->portal.rng, text), 0);
	EXPECT_EQ(store_begin(w->portal.store, STORE_DURABLE), 0);
	EXPECT_EQ(store_insert(w->portal.store, KIND_CLIENT_TOKEN, &x, portal_wall), 0);
	EXPECT_EQ(store_commit(w->portal.store), 0);
	entity_deinit(KIND_CLIENT_TOKEN, &x);
	EXPECT_EQ(hub_publish(w->portal.hub, portal_now, portal_wall), 0);
	return join_client(w, text, device, device[0]);
}

static struct uuid make_session(struct portal_world *w, const struct uuid *provider, const struct uuid *actor)
{
	struct portal_session x;

	entity_init(KIND_PORTAL_SESSION, &x);
	x.e.account_id = acme(w)->e.id;
	rng_fill(w->portal.rng, x.e.id.b, sizeof(x.e.id.b));
	x.actor_id = *actor;
	x.auth_provider_id = *provider;
	x.expires_at = (i64)(portal_wall / 1000) + 3600 * 1000000ll;
	EXPECT_EQ(store_begin(w->portal.store, STORE_DURABLE), 0);
	EXPECT_EQ(store_insert(w->portal.store, KIND_PORTAL_SESSION, &x, portal_wall), 0);
	EXPECT_EQ(store_commit(w->portal.store), 0);
	return x.e.id;
}

static bool has_session(struct portal_world *w, const struct uuid *id)
{
	union any_entity row;

	if (store_get(w->portal.store, KIND_PORTAL_SESSION, &acme(w)->e.id, id, &row))
		return false;
	entity_deinit(KIND_PORTAL_SESSION, &row);
	return true;
}

static void expect_disconnected(struct fake *f)
{
	EXPECT_EVENT(f, "disconnect");
	EXPECT_STR(heard(f, "reason"), "token_expired");
}

TEST(spec60_27_disabling_or_deleting_a_provider_ends_its_sessions_at_once)
{
	static const char *const verbs[] = { "disable", "delete", "revoke-sessions" };

	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		struct portal_world *w = portal_new();
		struct uuid keycloak = make_provider(w, "keycloak"), other = make_provider(w, "other"), gone, stays;
		struct principal ada = principal_of(w, PRINCIPAL_OPERATOR, "admin", "ada");
		struct fake *a = join_through(w, &keycloak, &ada.actor_id, "a"), *b = join_through(w, &other, &ada.actor_id, "b");
		char command[64];

		EXPECT_EVENT(a, "init");
		EXPECT_EVENT(b, "init");
		gone = make_session(w, &keycloak, &ada.actor_id);
		stays = make_session(w, &other, &ada.actor_id);
		snprintf(command, sizeof(command), "provider %s keycloak", verbs[i]);
		EXPECT_EQ(admin(w, command), 0);
		expect_disconnected(a);
		EXPECT_NOTHING(b);
		EXPECT(!has_session(w, &gone));
		EXPECT(has_session(w, &stays));
		portal_free(w);
	}
}

/* "lab" only through that provider, "yard" only past it; what a client sees of them is one byte each. */
static const char *sees(struct fake *f)
{
	EXPECT_EVENT(f, "init");
	return strstr(f->json, "\"lab\"") ? strstr(f->json, "\"yard\"") ? "both" : "lab" : strstr(f->json, "\"yard\"") ? "yard" : "nothing";
}

static void add_policy(struct portal_world *w, const char *resource, const char *op, const struct uuid *provider)
{
	char command[300], id[UUID_STRLEN];

	snprintf(command, sizeof(command), "policy add --group Everyone --resource %s --condition 'auth_provider_id %s %s'", resource, op,
		 uuid_format(provider, id));
	EXPECT_EQ(admin(w, command), 0);
}

/* spec 60 §4.3: the provider of the token that the client connects with */
TEST(conditions_on_the_provider_look_at_the_clients_token)
{
	struct portal_world *w = portal_new();
	struct uuid keycloak = make_provider(w, "keycloak"), other = make_provider(w, "other");
	struct principal ada = principal_of(w, PRINCIPAL_OPERATOR, "admin", "ada");

	EXPECT_EQ(admin(w, "resource add --site Berlin --address 10.9.0.0/24 --name lab"), 0);
	EXPECT_EQ(admin(w, "resource add --site Berlin --address 10.8.0.0/24 --name yard"), 0);
	add_policy(w, "lab", "is_in", &keycloak);
	add_policy(w, "yard", "is_not_in", &keycloak);
	EXPECT_STR(sees(join_through(w, &keycloak, &ada.actor_id, "a")), "lab");
	EXPECT_STR(sees(join_through(w, &other, &ada.actor_id, "b")), "yard");
	EXPECT_STR(sees(join_client(w, token_for(w, "--actor jo@acme.example"), "c", 'c')), "yard"); /* of no provider */
	portal_free(w);
}

/* spec 60 §5.3: also when the client is gone and only its last session tells */
TEST(re_authorization_looks_at_the_provider_of_the_last_session)
{
	static const struct { const char *op, *event; } cases[] = { { "is_in", "access_authorization_expiry_updated" }, { "is_not_in", "reject_access" } };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct portal_world *w = portal_new();
		struct uuid keycloak = make_provider(w, "keycloak");
		struct principal ada = principal_of(w, PRINCIPAL_OPERATOR, "admin", "ada");
		struct fake *g = join_gateway(w, token_for(w, "--site Berlin"), "gw", 'g'), *c;
		char payload[200], command[300], policy[40], provider[UUID_STRLEN];

		EXPECT_EVENT(g, "init");
		snprintf(payload, sizeof(payload), "{'resource_id':'%s','connected_gateway_ids':[]}",
			 admin_value(w, "resource add --site Berlin --address 10.9.0.0/24 --name lab", "id"));
		snprintf(policy, sizeof(policy), "%s", admin_value(w, "policy add --group Everyone --resource lab", "id"));
		c = join_through(w, &keycloak, &ada.actor_id, "a");
		EXPECT_EVENT(c, "init");
		say(c, "create_flow", payload);
		EXPECT_EVENT(g, "authorize_flow");
		tick(w, SEC(6)); /* sessions are written */
		hang_up(c);
		EXPECT_EQ(admin(w, "group add --name team"), 0);
		EXPECT_EQ(admin(w, "member add --group team --actor ada@acme.example"), 0);
		snprintf(command, sizeof(command), "policy add --group team --resource lab --condition 'auth_provider_id %s %s'", cases[i].op,
			 uuid_format(&keycloak, provider));
		EXPECT_EQ(admin(w, command), 0);
		snprintf(command, sizeof(command), "policy delete %s", policy);
		EXPECT_EQ(admin(w, command), 0);
		EXPECT_EVENT(g, cases[i].event);
		portal_free(w);
	}
}

TEST(editing_name_and_lifetimes_of_a_provider_revokes_nothing)
{
	struct portal_world *w = portal_new();
	struct uuid keycloak = make_provider(w, "keycloak"), session;
	struct principal ada = principal_of(w, PRINCIPAL_OPERATOR, "admin", "ada");
	struct fake *a = join_through(w, &keycloak, &ada.actor_id, "a");

	EXPECT_EVENT(a, "init");
	session = make_session(w, &keycloak, &ada.actor_id);
	EXPECT_EQ(admin(w, "provider update keycloak --name Sign-in --client-session-lifetime-secs 3600 --context clients-only"), 0);
	EXPECT_NOTHING(a);
	EXPECT(has_session(w, &session));
	EXPECT_EQ(admin_as(w, NULL, "provider update Sign-in --client-secret new"), ADMIN_INVALID);
	EXPECT_STR(w->reply.field, "verified");
	EXPECT_EQ(admin_as(w, NULL, "provider update Sign-in --client-session-lifetime-secs 10"), ADMIN_INVALID);
	EXPECT_STR(w->reply.field, "client-session-lifetime-secs");
	portal_free(w);
}

TEST(one_provider_at_most_is_the_default_and_a_disabled_one_is_not)
{
	struct portal_world *w = portal_new();

	(void)make_provider(w, "one");
	(void)make_provider(w, "two");
	EXPECT_EQ(admin(w, "provider set-default one"), 0);
	EXPECT_EQ(admin(w, "provider set-default two"), 0);
	EXPECT_STR(admin_value(w, "provider show one", "name"), "one");
	EXPECT(strstr(w->reply.out, "\"is_default\":false"));
	EXPECT_EQ(admin(w, "provider disable two"), 0);
	EXPECT_STR(admin_value(w, "provider show two", "name"), "two");
	EXPECT(strstr(w->reply.out, "\"is_default\":false"));
	EXPECT_EQ(admin_as(w, NULL, "provider set-default two"), ADMIN_INVALID);
	EXPECT_EQ(admin_as(w, NULL, "provider set-default 'Email (OTP)'"), ADMIN_INVALID);
	EXPECT_EQ(admin_as(w, NULL, "provider delete 'Email (OTP)'"), ADMIN_DENIED);
	portal_free(w);
}

TEST(nobody_walls_up_the_door_he_came_through)
{
	struct portal_world *w = portal_new();
	struct principal ada = principal_of(w, PRINCIPAL_SESSION, "admin", "ada");

	ada.provider_id = make_provider(w, "keycloak");
	EXPECT_EQ(admin_as(w, &ada, "provider disable keycloak"), ADMIN_DENIED);
	EXPECT_EQ(admin_as(w, &ada, "provider delete keycloak"), ADMIN_DENIED);
	ada.provider_id = make_provider(w, "other");
	EXPECT_EQ(admin_as(w, &ada, "provider delete keycloak"), ADMIN_OK);
	portal_free(w);
}

TEST(a_provider_nobody_verified_waits_disabled)
{
	struct portal_world *w = portal_new();

	EXPECT_EQ(admin(w, "provider add --type okta --name Okta --client-id a --client-secret b --okta-domain acme.okta.com"), 0);
	EXPECT_EQ(admin_as(w, NULL, "provider enable Okta"), ADMIN_INVALID);
	EXPECT_STR(w->reply.field, "verified");
	EXPECT_EQ(admin(w, "provider update Okta --verified on"), 0);
	EXPECT_EQ(admin(w, "provider enable Okta"), 0);
	EXPECT_STR(admin_value(w, "provider show Okta", "issuer"), "https://acme.okta.com");
	EXPECT(!strstr(w->reply.out, "client_secret"));
	EXPECT_EQ(admin_as(w, NULL, "provider add --type okta --name Okta --client-id c --client-secret b --okta-domain b.okta.com"), ADMIN_CONFLICT);
	EXPECT_STR(w->reply.field, "name");
	EXPECT_EQ(admin_as(w, NULL, "provider add --type email_otp"), ADMIN_CONFLICT);
	portal_free(w);
}

TEST(a_disabled_or_demoted_actor_loses_what_he_holds)
{
	struct portal_world *w = portal_new();
	struct uuid keycloak = make_provider(w, "keycloak"), session;
	struct principal ada = principal_of(w, PRINCIPAL_OPERATOR, "admin", "ada");
	struct fake *a = join_through(w, &keycloak, &ada.actor_id, "a");

	EXPECT_EVENT(a, "init");
	session = make_session(w, &keycloak, &ada.actor_id);
	EXPECT_EQ(admin(w, "actor update ada@acme.example --type user"), 0);
	EXPECT(!has_session(w, &session));
	EXPECT_NOTHING(a); /* the client of a user goes on */
	EXPECT_EQ(admin(w, "actor disable ada@acme.example"), 0);
	expect_disconnected(a);
	portal_free(w);
}

TEST(a_disabled_account_ends_clients_and_leaves_admins_in)
{
	struct portal_world *w = portal_new();
	struct uuid keycloak = make_provider(w, "keycloak"), session;
	struct principal ada = principal_of(w, PRINCIPAL_OPERATOR, "admin", "ada");
	struct fake *a = join_through(w, &keycloak, &ada.actor_id, "a");

	EXPECT_EVENT(a, "init");
	session = make_session(w, &keycloak, &ada.actor_id);
	EXPECT_EQ(admin(w, "account disable acme --reason 'Not paid'"), 0);
	expect_disconnected(a);
	EXPECT(has_session(w, &session));
	EXPECT_EQ(admin_as(w, NULL, "actor add --name x --email x@acme.example"), ADMIN_DENIED);
	portal_free(w);
}

TEST(deleting_an_identity_ends_what_came_through_its_issuer)
{
	struct portal_world *w = portal_new();
	struct uuid keycloak = make_provider(w, "keycloak"), other = make_provider(w, "other"), gone, stays;
	struct principal ada = principal_of(w, PRINCIPAL_OPERATOR, "admin", "ada");
	struct fake *a = join_through(w, &keycloak, &ada.actor_id, "a");
	struct identity x = { .e = { .account_id = acme(w)->e.id }, .actor_id = ada.actor_id, .issuer = "https://keycloak.example", .idp_id = "1" };
	char command[100], id[UUID_STRLEN];

	EXPECT_EVENT(a, "init");
	rng_fill(w->portal.rng, x.e.id.b, sizeof(x.e.id.b));
	EXPECT_EQ(store_begin(w->portal.store, STORE_DURABLE), 0);
	EXPECT_EQ(store_insert(w->portal.store, KIND_IDENTITY, &x, portal_wall), 0);
	EXPECT_EQ(store_commit(w->portal.store), 0);
	gone = make_session(w, &keycloak, &ada.actor_id);
	stays = make_session(w, &other, &ada.actor_id);
	snprintf(command, sizeof(command), "identity delete %s", uuid_format(&x.e.id, id));
	EXPECT_EQ(admin(w, command), 0);
	expect_disconnected(a);
	EXPECT(!has_session(w, &gone));
	EXPECT(has_session(w, &stays));
	portal_free(w);
}

TEST(sessions_end_one_by_one_or_all_of_an_actor)
{
	struct portal_world *w = portal_new();
	struct uuid keycloak = make_provider(w, "keycloak"), one, two;
	struct principal ada = principal_of(w, PRINCIPAL_OPERATOR, "admin", "ada");
	struct fake *a = join_through(w, &keycloak, &ada.actor_id, "a");
	char command[100], id[UUID_STRLEN];

	EXPECT_EVENT(a, "init");
	one = make_session(w, &keycloak, &ada.actor_id);
	two = make_session(w, &keycloak, &ada.actor_id);
	snprintf(command, sizeof(command), "session delete %s", uuid_format(&one, id));
	EXPECT_EQ(admin(w, command), 0);
	EXPECT(!has_session(w, &one) && has_session(w, &two));
	EXPECT_EQ(admin_as(w, NULL, command), ADMIN_NOT_FOUND);
	EXPECT_EQ(admin(w, "session delete-all --actor ada@acme.example"), 0);
	EXPECT(!has_session(w, &two));
	expect_disconnected(a);
	portal_free(w);
}

TEST(members_of_a_group_are_set_at_once)
{
	struct portal_world *w = portal_new();
	struct principal ada = principal_of(w, PRINCIPAL_SESSION, "admin", "ada"), eve = principal_of(w, PRINCIPAL_OPERATOR, "user", "eve");

	(void)eve;
	EXPECT_EQ(admin(w, "group add --name G"), 0);
	EXPECT_EQ(admin_as(w, &ada, "group set-members G --member ada@acme.example --member eve@acme.example"), ADMIN_OK);
	EXPECT_EQ(admin(w, "member list --group G"), 0);
	EXPECT(strstr(w->reply.out, "ada") && strstr(w->reply.out, "eve"));
	EXPECT_EQ(admin_as(w, &ada, "group set-members G --member 'eve@acme.example jo@acme.example'"), ADMIN_OK);
	EXPECT_EQ(admin(w, "member list --group G"), 0);
	EXPECT(!strstr(w->reply.out, "ada") && strstr(w->reply.out, "eve") && strstr(w->reply.out, "jo@"));
	EXPECT_EQ(admin_as(w, &ada, "group set-members G --member nobody"), ADMIN_INVALID);
	EXPECT_STR(w->reply.field, "member");
	EXPECT_EQ(admin_as(w, &ada, "group set-members Everyone"), ADMIN_DENIED);
	EXPECT_EQ(admin_as(w, &ada, "group set-members G"), ADMIN_OK);
	EXPECT_EQ(admin(w, "member list --group G"), 0);
	EXPECT(!strstr(w->reply.out, "eve"));
	portal_free(w);
}

TEST(api_clients_and_their_tokens)
{
	struct portal_world *w = portal_new();
	const char *token;

	EXPECT_EQ(admin(w, "api-client add --name terraform"), 0);
	token = admin_value(w, "api-token add --actor terraform --name laptop --expires 90d", "token");
	EXPECT(token[0] == '.');
	EXPECT_STR(w->reply.secret, token);
	EXPECT_EQ(admin_as(w, NULL, "api-token add --actor jo@acme.example --name x"), ADMIN_INVALID);
	EXPECT_EQ(admin_as(w, NULL, "api-token add --actor terraform --name x --expires 2001-01-01"), ADMIN_INVALID);
	EXPECT_STR(w->reply.field, "expires");
	EXPECT_EQ(admin(w, "api-token list"), 0);
	EXPECT(strstr(w->reply.out, "laptop") && !strstr(w->reply.out, token));
	EXPECT_EQ(admin_as(w, NULL, "api-client delete jo@acme.example"), ADMIN_NOT_FOUND);
	EXPECT_EQ(admin_as(w, NULL, "api-client disable jo@acme.example"), ADMIN_NOT_FOUND);
	EXPECT_EQ(admin(w, "account update acme --limit-api-tokens-per-client 1"), 0);
	EXPECT_EQ(admin_as(w, NULL, "api-token add --actor terraform --name y"), ADMIN_LIMIT);
	EXPECT_EQ(admin(w, "account update acme --limit-api-clients 1"), 0);
	EXPECT_EQ(admin_as(w, NULL, "api-client add --name two"), ADMIN_LIMIT);
	portal_free(w);
}
