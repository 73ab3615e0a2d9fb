/* What hangs on a thing and goes with it: revocation, expiry, counts, connections; counters, backup, a full disk. */
#include "tests/unit/store_world.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define SECOND 1000000000ull
#define DAY (86400 * SECOND)

static int note_row(void *ctx, enum kind k, const void *row)
{
	(void)k, (void)row;
	++*(u32 *)ctx;
	return 0;
}

static u32 rows(struct world *w, enum kind k)
{
	u32 n = 0;

	EXPECT_EQ(store_list(w->s, k, &w->account, note_row, &n), 0);
	return n;
}

static struct auth_provider provider_of(struct world *w, u8 id, enum provider_type type, const char *name)
{
	return (struct auth_provider){ .e = entity_of(&w->account, id), .type = (int)type, .name = (char *)(uintptr_t)name,
				       .issuer = "https://idp.example", .client_id = "c", .client_secret = "s",
				       .client_session_lifetime_secs = 3600, .portal_session_lifetime_secs = 300 };
}

/* A provider (60) with a client token (61) and a portal session (62); others without provider (63, 64). */
static void sign_in(struct world *w)
{
	struct auth_provider p = provider_of(w, 60, PROVIDER_OIDC, "IdP");
	struct token t = { .e = entity_of(&w->account, 61), .owner_id = w->actor, .auth_provider_id = id_of(60), .salt = "s", .hash = "h",
			   .expires_at = (i64)((WALL + 30 * DAY) / 1000) };
	struct portal_session s = { .e = entity_of(&w->account, 62), .actor_id = w->actor, .auth_provider_id = id_of(60),
				    .expires_at = (i64)((WALL + DAY) / 1000) };

	EXPECT_EQ(add(w, KIND_AUTH_PROVIDER, &p), 0);
	EXPECT_EQ(add(w, KIND_CLIENT_TOKEN, &t), 0);
	EXPECT_EQ(add(w, KIND_PORTAL_SESSION, &s), 0);
	t.e = entity_of(&w->account, 63);
	t.auth_provider_id = (struct uuid){ { 0 } };
	EXPECT_EQ(add(w, KIND_CLIENT_TOKEN, &t), 0);
	s.e = entity_of(&w->account, 64);
	s.auth_provider_id = (struct uuid){ { 0 } };
	EXPECT_EQ(add(w, KIND_PORTAL_SESSION, &s), 0);
	forget(w);
}

static int take_away(struct world *w, enum store_revoke what, const struct uuid *id)
{
	int rc = store_begin(w->s, STORE_DURABLE);

	rc = rc ? rc : store_revoke(w->s, what, &w->account, id);
	return rc ? store_rollback(w->s, rc) : store_commit(w->s);
}

TEST(spec60_27_what_a_provider_gave_goes_with_it)
{
	struct uuid provider = id_of(60);

	for (int is_deleted = 0; is_deleted < 2; is_deleted++) {
		struct world w = open_world();

		fill(&w);
		sign_in(&w);
		EXPECT_EQ(rows(&w, KIND_CLIENT_TOKEN), 3);
		if (is_deleted) {
			EXPECT_EQ(del(&w, KIND_AUTH_PROVIDER, &w.account, &provider), 0);
		} else {
			EXPECT_EQ(take_away(&w, REVOKE_TOKENS_OF_PROVIDER, &provider), 0);
			EXPECT_EQ(take_away(&w, REVOKE_SESSIONS_OF_PROVIDER, &provider), 0);
		}
		EXPECT_EQ(rows(&w, KIND_CLIENT_TOKEN), 2);
		EXPECT_EQ(rows(&w, KIND_PORTAL_SESSION), 1);
		EXPECT_EQ(store_drain(w.s, note, &w), 0);
		EXPECT_EQ(w.changes[KIND_CLIENT_TOKEN][CHANGE_DELETE], 1);
		EXPECT_EQ(w.changes[KIND_PORTAL_SESSION][CHANGE_DELETE], 1);
		close_world(&w);
	}
}

TEST(what_an_actor_got_through_an_issuer_goes_with_his_identity_there)
{
	struct world w = open_world();

	fill(&w);
	sign_in(&w);
	REQUIRE(store_begin(w.s, STORE_DURABLE) == 0);
	EXPECT_EQ(store_revoke_issuer(w.s, &w.account, &w.actor, "https://other.example"), 0);
	EXPECT_EQ(store_commit(w.s), 0);
	EXPECT_EQ(rows(&w, KIND_CLIENT_TOKEN), 3);
	REQUIRE(store_begin(w.s, STORE_DURABLE) == 0);
	EXPECT_EQ(store_revoke_issuer(w.s, &w.account, &w.actor, "https://idp.example"), 0);
	EXPECT_EQ(store_commit(w.s), 0);
	EXPECT_EQ(rows(&w, KIND_CLIENT_TOKEN), 2);
	EXPECT_EQ(rows(&w, KIND_PORTAL_SESSION), 1);
	EXPECT_EQ(take_away(&w, REVOKE_SESSIONS_OF_ACTOR, &w.actor), 0);
	EXPECT_EQ(rows(&w, KIND_PORTAL_SESSION), 0);
	close_world(&w);
}

TEST(spec60_66_passcodes_links_sessions_and_tokens_are_purged_when_they_expire)
{
	static const enum kind expiring[] = { KIND_PORTAL_SESSION, KIND_API_TOKEN, KIND_PASSCODE, KIND_LINK };
	struct world w = open_world();
	i64 at = (i64)((WALL + 10 * SECOND) / 1000);

	fill(&w);
	struct portal_session s = { .e = entity_of(&w.account, 70), .actor_id = w.actor, .expires_at = at };
	struct token t = { .e = entity_of(&w.account, 71), .owner_id = w.actor, .salt = "s", .hash = "h", .expires_at = at };
	struct passcode p = { .e = entity_of(&w.account, 72), .actor_id = w.actor, .code_hash = "h", .expires_at = at };
	struct one_time_link l = { .e = { .id = id_of(73) }, .purpose = LINK_SETUP, .salt = "s", .hash = "h", .expires_at = at };
	void *const entities[] = { &s, &t, &p, &l };
	for (size_t i = 0; i < ARRAY_LEN(expiring); i++)
		EXPECT_EQ(add(&w, expiring[i], entities[i]), 0);
	for (u64 late = 0; late < 2; late++) {
		REQUIRE(store_begin(w.s, STORE_EAGER) == 0);
		EXPECT_EQ(store_purge_expired(w.s, WALL + (9 + late) * SECOND), 0);
		EXPECT_EQ(store_commit(w.s), 0);
		for (size_t i = 0; i < ARRAY_LEN(expiring); i++) {
			u32 n = 0;
			EXPECT_EQ(store_list(w.s, expiring[i], NULL, note_row, &n), 0);
			EXPECT_EQ(n, late ? 0 : 1);
		}
	}
	close_world(&w);
}

/* Thousands that expire at once must not hold the loop: they go in slices, and nothing of them stays. */
TEST(spec60_66_what_expires_in_masses_goes_in_slices)
{
	struct world w = open_world();
	i64 at = (i64)((WALL + 10 * SECOND) / 1000);
	u32 slices = 0;
	int rc;

	fill(&w);
	REQUIRE(store_begin(w.s, STORE_EAGER) == 0);
	for (u32 i = 0; i < PURGE_SLICE * 2; i++) {
		struct uuid id = { { 90, (u8)(i >> 8), (u8)i } };
		struct portal_session s = { .e = { .account_id = w.account, .id = id }, .actor_id = w.actor, .expires_at = at + (i == 0) * 60000000 };
		struct passcode p = { .e = { .account_id = w.account, .id = id }, .actor_id = w.actor, .code_hash = "h", .expires_at = at };
		REQUIRE(store_insert(w.s, KIND_PORTAL_SESSION, &s, WALL) == 0);
		REQUIRE(store_insert(w.s, KIND_PASSCODE, &p, WALL) == 0);
	}
	REQUIRE(store_commit(w.s) == 0);
	do {
		forget(&w);
		REQUIRE(store_begin(w.s, STORE_EAGER) == 0);
		rc = store_purge_expired(w.s, WALL + 11 * SECOND);
		EXPECT_EQ(store_commit(w.s), 0);
		EXPECT_EQ(store_drain(w.s, note, &w), 0);
		EXPECT(w.changes[KIND_PORTAL_SESSION][CHANGE_DELETE] + w.changes[KIND_PASSCODE][CHANGE_DELETE] <= PURGE_SLICE);
		slices++;
	} while (rc == 1 && slices < 20);
	EXPECT_EQ(rc, 0);
	EXPECT_EQ(slices, 5); /* in four of them rows go, and the token and the authorization of the world are over too */
	u32 n = 0;
	EXPECT_EQ(store_list(w.s, KIND_PASSCODE, NULL, note_row, &n), 0);
	EXPECT_EQ(n, 0);
	EXPECT_EQ(store_list(w.s, KIND_PORTAL_SESSION, NULL, note_row, &n), 0);
	EXPECT_EQ(n, 1);
	close_world(&w);
}

TEST(spec60_66_old_device_sessions_go_but_the_newest_stays)
{
	struct world w = open_world();
	struct token gw = { .e = entity_of(&w.account, 9), .salt = "s", .hash = "h" };
	struct store_session x = { .remote_ip = "192.0.2.1" }, out;
	union any_entity e;

	fill(&w);
	gw.e = entity_of(&w.account, 75);
	gw.owner_id = w.site;
	EXPECT_EQ(add(&w, KIND_GATEWAY_TOKEN, &gw), 0);
	forget(&w);
	for (int i = 0; i < 6; i++) {
		x.account_id = w.account;
		x.is_gateway = i % 2;
		x.device_id = x.is_gateway ? w.gateway : w.client;
		x.token_id = x.is_gateway ? gw.e.id : w.token;
		x.at = i + 1;
		snprintf(x.version, sizeof(x.version), "1.5.%d", i);
		EXPECT_EQ(store_insert_session(w.s, &x), 0);
	}
	/* that a device was seen is no news for those who are connected */
	EXPECT_EQ(store_drain(w.s, note, &w), 0);
	EXPECT_EQ(w.changes[KIND_CLIENT][CHANGE_UPDATE] + w.changes[KIND_CLIENT_TOKEN][CHANGE_UPDATE] + w.changes[KIND_GATEWAY][CHANGE_UPDATE], 0);
	REQUIRE(store_get(w.s, KIND_CLIENT, &w.account, &w.client, &e) == 0);
	EXPECT_EQ(e.device.last_seen_at, 5);
	entity_deinit(KIND_CLIENT, &e);
	REQUIRE(store_get(w.s, KIND_CLIENT_TOKEN, &w.account, &w.token, &e) == 0);
	EXPECT_EQ(e.token.last_seen_at, 5);
	entity_deinit(KIND_CLIENT_TOKEN, &e);
	for (int i = 0; i < 2; i++) {
		REQUIRE(store_begin(w.s, STORE_EAGER) == 0);
		EXPECT_EQ(store_purge_expired(w.s, WALL - DAY), 0); /* long after the sessions, before the token expires */
		EXPECT_EQ(store_commit(w.s), 0);
	}
	REQUIRE(store_latest_session(w.s, &w.account, &w.client, &out) == 0);
	EXPECT_EQ(out.at, 5);
	REQUIRE(store_latest_gateway_session(w.s, &w.account, &w.gateway, &out) == 0);
	EXPECT_STR(out.version, "1.5.5");
	close_world(&w);
}

TEST(spec60_13_a_policy_remembers_the_synced_group_it_lost)
{
	struct world w = open_world();
	struct policy p;

	fill(&w);
	struct sync_directory d = { .e = entity_of(&w.account, 80), .type = DIRECTORY_OKTA, .name = "Okta" };
	struct group g = { .e = entity_of(&w.account, 81), .name = "team", .idp_id = "00g42", .directory_id = d.e.id };
	struct policy x = { .e = entity_of(&w.account, 82), .group_id = g.e.id, .resource_id = w.resource };
	EXPECT_EQ(add(&w, KIND_DIRECTORY, &d), 0);
	EXPECT_EQ(add(&w, KIND_GROUP, &g), 0); /* the name of a static one */
	EXPECT_EQ(add(&w, KIND_POLICY, &x), 0);
	REQUIRE(store_get(w.s, KIND_POLICY, &w.account, &x.e.id, &p) == 0);
	EXPECT_STR(p.group_idp_id, "00g42");
	entity_deinit(KIND_POLICY, &p);
	EXPECT_EQ(del(&w, KIND_DIRECTORY, &w.account, &d.e.id), 0);
	REQUIRE(store_get(w.s, KIND_POLICY, &w.account, &x.e.id, &p) == 0);
	EXPECT(uuid_is_null(&p.group_id));
	EXPECT_STR(p.group_idp_id, "00g42");
	/* it comes back, under another id */
	EXPECT_EQ(add(&w, KIND_DIRECTORY, &d), 0);
	g.e = entity_of(&w.account, 83);
	EXPECT_EQ(add(&w, KIND_GROUP, &g), 0);
	struct store_filter lost[] = { { "group_id", FILTER_IS_NULL, NULL }, { "group_idp_id", FILTER_IS, "00g42" } };
	entity_deinit(KIND_POLICY, &p);
	REQUIRE(store_find(w.s, KIND_POLICY, &w.account, lost, 2, &p) == 0);
	EXPECT(uuid_eq(&p.e.id, &x.e.id));
	p.group_id = g.e.id;
	REQUIRE(store_begin(w.s, STORE_DURABLE) == 0);
	EXPECT_EQ(store_update(w.s, KIND_POLICY, &p, WALL), 0);
	EXPECT_EQ(store_commit(w.s), 0);
	entity_deinit(KIND_POLICY, &p);
	EXPECT_EQ(store_find(w.s, KIND_POLICY, &w.account, lost, 2, &p), ERR_NOT_FOUND);
	close_world(&w);
}

TEST(uniqueness_rules_of_providers_identities_directories_and_groups)
{
	struct world w = open_world();

	fill(&w);
	struct auth_provider otp = provider_of(&w, 60, PROVIDER_EMAIL_OTP, "Email (OTP)");
	struct auth_provider oidc = provider_of(&w, 61, PROVIDER_OIDC, "IdP");
	struct auth_provider okta = provider_of(&w, 62, PROVIDER_OKTA, "IdP");
	struct auth_provider entra = provider_of(&w, 63, PROVIDER_ENTRA, "Entra");
	oidc.is_default = true;
	EXPECT_EQ(add(&w, KIND_AUTH_PROVIDER, &otp), 0);
	EXPECT_EQ(add(&w, KIND_AUTH_PROVIDER, &oidc), 0);
	EXPECT_EQ(add(&w, KIND_AUTH_PROVIDER, &okta), 0); /* of another type */
	EXPECT_EQ(add(&w, KIND_AUTH_PROVIDER, &entra), 0);
	otp.e.id = oidc.e.id = okta.e.id = entra.e.id = id_of(64);
	EXPECT_EQ(add(&w, KIND_AUTH_PROVIDER, &otp), ERR_EXISTS);
	oidc.is_default = false;
	oidc.name = "other"; /* the client id is the same */
	EXPECT_EQ(add(&w, KIND_AUTH_PROVIDER, &oidc), ERR_EXISTS);
	okta.client_id = "other"; /* the name is the same */
	EXPECT_EQ(add(&w, KIND_AUTH_PROVIDER, &okta), ERR_EXISTS);
	entra.name = "other"; /* the issuer is the same */
	EXPECT_EQ(add(&w, KIND_AUTH_PROVIDER, &entra), ERR_EXISTS);
	oidc.client_id = "other";
	oidc.is_default = true; /* there is a default */
	EXPECT_EQ(add(&w, KIND_AUTH_PROVIDER, &oidc), ERR_EXISTS);
	oidc.is_default = false;
	EXPECT_EQ(add(&w, KIND_AUTH_PROVIDER, &oidc), 0);

	struct identity i = { .e = entity_of(&w.account, 65), .actor_id = w.actor, .issuer = "a", .idp_id = "1" };
	EXPECT_EQ(add(&w, KIND_IDENTITY, &i), 0);
	i.e = entity_of(&w.account, 66);
	EXPECT_EQ(add(&w, KIND_IDENTITY, &i), ERR_EXISTS);
	i.issuer = "b";
	EXPECT_EQ(add(&w, KIND_IDENTITY, &i), 0);

	struct group g = { .e = entity_of(&w.account, 67), .name = "team" };
	EXPECT_EQ(add(&w, KIND_GROUP, &g), ERR_EXISTS);
	g.idp_id = "x";
	EXPECT_EQ(add(&w, KIND_GROUP, &g), 0);
	g.e = entity_of(&w.account, 68);
	g.name = "another";
	EXPECT_EQ(add(&w, KIND_GROUP, &g), ERR_EXISTS);

	struct sync_directory d = { .e = entity_of(&w.account, 69), .type = DIRECTORY_GOOGLE, .name = "G", .domain = "example.com" };
	EXPECT_EQ(add(&w, KIND_DIRECTORY, &d), 0);
	d.e = entity_of(&w.account, 70);
	EXPECT_EQ(add(&w, KIND_DIRECTORY, &d), ERR_EXISTS);
	d.name = "H";
	EXPECT_EQ(add(&w, KIND_DIRECTORY, &d), ERR_EXISTS);

	struct credential c = { .e = entity_of(&w.account, 71), .actor_id = w.actor, .type = CREDENTIAL_PASSKEY, .credential_id = "AAAA",
				.public_key = "k" };
	EXPECT_EQ(add(&w, KIND_CREDENTIAL, &c), 0);
	c.e = entity_of(&w.account, 72);
	EXPECT_EQ(add(&w, KIND_CREDENTIAL, &c), ERR_EXISTS);
	c.credential_id = NULL;
	EXPECT_EQ(add(&w, KIND_CREDENTIAL, &c), ERR_INVAL);

	/* nothing crosses accounts */
	struct portal_session s = { .e = entity_of(&w.other, 73), .actor_id = w.actor, .expires_at = 1 };
	EXPECT_EQ(add(&w, KIND_PORTAL_SESSION, &s), ERR_NOT_FOUND);
	i.e = entity_of(&w.other, 74);
	EXPECT_EQ(add(&w, KIND_IDENTITY, &i), ERR_NOT_FOUND);
	close_world(&w);
}

TEST(an_attempt_at_a_passcode_and_the_use_of_a_credential_are_kept)
{
	struct world w = open_world();
	union any_entity e;
	struct uuid id = id_of(60);

	fill(&w);
	struct passcode p = { .e = entity_of(&w.account, 60), .actor_id = w.actor, .code_hash = "h", .expires_at = 9 };
	EXPECT_EQ(add(&w, KIND_PASSCODE, &p), 0);
	REQUIRE(store_get(w.s, KIND_PASSCODE, &w.account, &id, &e) == 0);
	e.passcode.attempts = 2;
	REQUIRE(store_begin(w.s, STORE_DURABLE) == 0);
	EXPECT_EQ(store_update(w.s, KIND_PASSCODE, &e, WALL), 0);
	EXPECT_EQ(store_commit(w.s), 0);
	entity_deinit(KIND_PASSCODE, &e);
	REQUIRE(store_get(w.s, KIND_PASSCODE, &w.account, &id, &e) == 0);
	EXPECT_EQ(e.passcode.attempts, 2);
	EXPECT_STR(e.passcode.code_hash, "h");
	entity_deinit(KIND_PASSCODE, &e);
	close_world(&w);
}

TEST(a_use_is_noted_now_and_then_and_is_no_change)
{
	struct world w = open_world();
	union any_entity e;
	struct uuid id = id_of(60);

	fill(&w);
	struct token t = { .e = entity_of(&w.account, 60), .owner_id = w.actor, .salt = "s", .hash = "h", .expires_at = (i64)(WALL / 1000) + 9 };
	EXPECT_EQ(add(&w, KIND_API_TOKEN, &t), 0);
	forget(&w);
	EXPECT_EQ(store_touch(w.s, KIND_API_TOKEN, &w.account, &id, WALL, "192.0.2.9"), 0);
	EXPECT_EQ(store_touch(w.s, KIND_API_TOKEN, &w.account, &id, WALL + SECOND, "192.0.2.10"), 0); /* too soon */
	REQUIRE(store_get(w.s, KIND_API_TOKEN, &w.account, &id, &e) == 0);
	EXPECT_EQ(e.token.last_seen_at, WALL / 1000);
	EXPECT_STR(e.token.last_seen_remote_ip, "192.0.2.9");
	EXPECT_EQ(e.token.e.updated_at, WALL / 1000);
	entity_deinit(KIND_API_TOKEN, &e);
	EXPECT_EQ(store_drain(w.s, note, &w), 0);
	EXPECT_EQ(w.changes[KIND_API_TOKEN][CHANGE_UPDATE], 0);
	close_world(&w);
}

static int add_up(void *ctx, const struct uuid *parent, i64 n)
{
	(void)parent;
	*(i64 *)ctx += n;
	return 0;
}

/* What is kept against what is there; of whom nothing is known there is nothing. */
static void expect_kept_counts(struct world *w)
{
	i64 kept;

	for (int k = 0; k < KIND_COUNT; k++) {
		if (k == KIND_ACCOUNT || k == KIND_AUTHORIZATION || k == KIND_MAIL)
			continue;
		EXPECT_EQ(store_rows(w->s, (enum kind)k, &w->account, &kept), 0);
		EXPECT_EQ(kept, rows(w, (enum kind)k));
	}
}

TEST(rows_are_counted_as_they_come_go_cascade_and_come_back)
{
	struct world w = open_world();
	char why[256];
	i64 n;

	fill(&w);
	sign_in(&w);
	expect_kept_counts(&w);
	EXPECT_EQ(store_rows(w.s, KIND_RESOURCE, &w.other, &n), 0);
	EXPECT_EQ(n, 0);

	REQUIRE(store_begin(w.s, STORE_DURABLE) == 0);
	EXPECT_EQ(store_delete(w.s, KIND_SITE, &w.account, &w.site), 0);
	EXPECT_EQ(store_rows(w.s, KIND_RESOURCE, &w.account, &n), 0);
	EXPECT_EQ(n, 0);
	EXPECT_EQ(store_rollback(w.s, ERR_DENIED), ERR_DENIED);
	expect_kept_counts(&w);
	EXPECT_EQ(store_rows(w.s, KIND_RESOURCE, &w.account, &n), 0);
	EXPECT_EQ(n, 1);

	EXPECT_EQ(del(&w, KIND_SITE, &w.account, &w.site), 0);
	expect_kept_counts(&w);
	store_close(w.s);
	REQUIRE(store_open(&w.s, w.path, why, sizeof(why)) == 0);
	expect_kept_counts(&w);
	close_world(&w);
}

TEST(reads_together_see_one_state_and_end_when_something_is_written)
{
	struct world w = open_world(), other = { .account = id_of(1), .actor = id_of(4) };
	struct group g = { .e = entity_of(&other.account, 70), .name = "late" };
	struct uuid late = id_of(70);
	char why[256];
	union any_entity row;

	fill(&w);
	REQUIRE(store_open(&other.s, w.path, why, sizeof(why)) == 0);
	store_read_begin(w.s);
	store_read_begin(w.s);
	EXPECT(!store_is_writing(w.s));
	EXPECT_EQ(rows(&w, KIND_GROUP), 1);
	EXPECT_EQ(add(&other, KIND_GROUP, &g), 0);
	EXPECT_EQ(rows(&w, KIND_GROUP), 1);
	EXPECT_EQ(store_get(w.s, KIND_GROUP, &w.account, &late, &row), ERR_NOT_FOUND);
	EXPECT_EQ(del(&w, KIND_GROUP, &w.account, &w.group), 0); /* a transaction of its own */
	EXPECT_EQ(rows(&w, KIND_GROUP), 1);
	EXPECT_EQ(store_get(w.s, KIND_GROUP, &w.account, &late, &row), 0);
	entity_deinit(KIND_GROUP, &row);
	store_read_end(w.s);

	store_read_begin(w.s);
	EXPECT_EQ(store_touch(w.s, KIND_CLIENT_TOKEN, &w.account, &w.token, WALL, NULL), 0);
	EXPECT_EQ(rows(&other, KIND_GROUP), 1);
	EXPECT_EQ(del(&other, KIND_GROUP, &w.account, &late), 0); /* nothing is held */
	store_read_end(w.s);
	store_close(other.s);
	close_world(&w);
}

TEST(counts_and_dependents_of_things)
{
	struct world w = open_world();
	struct store_dependent d[STORE_DEPENDENTS_MAX];
	i64 sum, one;
	u32 n;

	fill(&w);
	sign_in(&w);
	static const struct {
		enum store_tally what;
		u8 parent;
		i64 n;
	} cases[] = {
		{ TALLY_RESOURCES_OF_SITE, 3, 1 }, { TALLY_POLICIES_OF_SITE, 3, 1 }, { TALLY_GATEWAYS_OF_SITE, 3, 1 }, { TALLY_TOKENS_OF_SITE, 3, 0 },
		{ TALLY_POLICIES_OF_RESOURCE, 7, 1 }, { TALLY_POLICIES_OF_GROUP, 5, 1 }, { TALLY_MEMBERS_OF_GROUP, 5, 1 },
		{ TALLY_GROUPS_OF_ACTOR, 4, 1 }, { TALLY_CLIENTS_OF_ACTOR, 4, 1 }, { TALLY_IDENTITIES_OF_ACTOR, 4, 0 },
		{ TALLY_CLIENT_TOKENS_OF_ACTOR, 4, 3 }, { TALLY_API_TOKENS_OF_ACTOR, 4, 0 }, { TALLY_SESSIONS_OF_ACTOR, 4, 2 },
		{ TALLY_TOKENS_OF_PROVIDER, 60, 1 }, { TALLY_SESSIONS_OF_PROVIDER, 60, 1 }, { TALLY_ACTORS_OF_DIRECTORY, 9, 0 },
		{ TALLY_GROUPS_OF_DIRECTORY, 9, 0 }, { TALLY_IDENTITIES_OF_DIRECTORY, 9, 0 },
	};
	_Static_assert(ARRAY_LEN(cases) == TALLY_COUNT, "a tally is not tested");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct uuid parent = id_of(cases[i].parent);

		sum = 0;
		EXPECT_EQ(store_tally(w.s, cases[i].what, &w.account, add_up, &sum), 0);
		EXPECT_EQ(sum, cases[i].n);
		EXPECT_EQ(store_tally_of(w.s, cases[i].what, &w.account, &parent, &one), 0);
		EXPECT_EQ(one, cases[i].n);
		EXPECT_EQ(store_tally_of(w.s, cases[i].what, &w.other, &parent, &one), 0);
		EXPECT_EQ(one, 0);
	}
	EXPECT_EQ(store_dependents(w.s, KIND_SITE, &w.account, &w.site, d, &n), 0);
	REQUIRE(n == 4);
	EXPECT_EQ(d[0].kind, KIND_GATEWAY);
	EXPECT_EQ(d[1].kind, KIND_RESOURCE);
	EXPECT_EQ(d[2].kind, KIND_POLICY);
	EXPECT_EQ(d[3].kind, KIND_AUTHORIZATION);
	EXPECT_EQ(store_dependents(w.s, KIND_ACTOR, &w.account, &w.actor, d, &n), 0);
	EXPECT_EQ(n, 5); /* client, membership, tokens, sessions, authorization */
	EXPECT_EQ(store_dependents(w.s, KIND_SITE, &w.other, &w.site, d, &n), 0);
	EXPECT_EQ(n, 0);
	for (int k = 0; k < KIND_COUNT; k++)
		EXPECT_EQ(store_dependents(w.s, (enum kind)k, &w.account, &w.site, d, &n), 0);
	close_world(&w);
}

struct last_connection {
	u32 n;
	char text[256];
};

static int take_connection(void *ctx, const struct store_connection *c)
{
	struct last_connection *l = ctx;

	l->n++;
	snprintf(l->text, sizeof(l->text), "%s %s of %s by %s in %s for %s [%s]", c->resource_name, c->client_name, c->actor_name, c->gateway_name,
		 c->site_name, c->group_name, c->client_remote_ip);
	return 0;
}

TEST(recent_connections_are_told_by_names)
{
	static const enum kind of[] = { KIND_RESOURCE, KIND_POLICY, KIND_CLIENT, KIND_GATEWAY, KIND_ACTOR, KIND_GROUP };
	struct world w = open_world();

	fill(&w);
	const struct uuid *const ids[] = { &w.resource, &w.policy, &w.client, &w.gateway, &w.actor, &w.group };
	for (size_t i = 0; i < ARRAY_LEN(of); i++) {
		struct last_connection l = { .n = 0 };

		EXPECT_EQ(store_connections(w.s, of[i], &w.account, ids[i], 10, take_connection, &l), 0);
		EXPECT_EQ(l.n, 1);
		EXPECT_STR(l.text, "lab dev of Jo by dev in Berlin for team []");
		l.n = 0;
		EXPECT_EQ(store_connections(w.s, of[i], &w.account, &w.token, 10, take_connection, &l), 0);
		EXPECT_EQ(l.n, 0);
	}
	struct last_connection l = { .n = 0 };
	EXPECT_EQ(store_connections(w.s, KIND_MAIL, &w.account, &w.token, 10, take_connection, &l), ERR_INVAL);
	EXPECT_EQ(store_all_connections(w.s, &w.account, 10, take_connection, &l), 0);
	EXPECT_EQ(l.n, 1);
	EXPECT_EQ(store_all_connections(w.s, &w.other, 10, take_connection, &l), 0);
	EXPECT_EQ(l.n, 1);
	close_world(&w);
}

TEST(limits_are_counted_in_one_go)
{
	struct world w = open_world();
	struct store_usage u;
	union any_entity e;
	struct store_session x = { .at = (i64)(WALL / 1000) };

	fill(&w);
	struct actor a = { .e = entity_of(&w.account, 60), .type = ACTOR_ADMIN, .name = "Ad", .email = "a@example.com" };
	EXPECT_EQ(add(&w, KIND_ACTOR, &a), 0);
	a = (struct actor){ .e = entity_of(&w.account, 61), .type = ACTOR_SERVICE, .name = "svc" };
	EXPECT_EQ(add(&w, KIND_ACTOR, &a), 0);
	a = (struct actor){ .e = entity_of(&w.account, 62), .type = ACTOR_API, .name = "api" };
	EXPECT_EQ(add(&w, KIND_ACTOR, &a), 0);
	a = (struct actor){ .e = entity_of(&w.account, 63), .type = ACTOR_API, .name = "off", .disabled_at = 1 };
	EXPECT_EQ(add(&w, KIND_ACTOR, &a), 0);
	x.account_id = w.account;
	x.device_id = w.client;
	x.token_id = w.token;
	EXPECT_EQ(store_insert_session(w.s, &x), 0);
	EXPECT_EQ(store_usage(w.s, &w.account, WALL + DAY, &u), 0);
	EXPECT_EQ(u.users, 2);
	EXPECT_EQ(u.admins, 1);
	EXPECT_EQ(u.service_accounts, 1);
	EXPECT_EQ(u.api_clients, 1);
	EXPECT_EQ(u.sites, 1);
	EXPECT_EQ(u.monthly_active_users, 0); /* nobody asks */
	REQUIRE(store_get(w.s, KIND_ACCOUNT, &w.account, &w.account, &e) == 0);
	e.account.limit_monthly_active_users = 10;
	REQUIRE(store_begin(w.s, STORE_DURABLE) == 0);
	EXPECT_EQ(store_update(w.s, KIND_ACCOUNT, &e, WALL), 0);
	EXPECT_EQ(store_commit(w.s), 0);
	entity_deinit(KIND_ACCOUNT, &e);
	EXPECT_EQ(store_usage(w.s, &w.account, WALL + DAY, &u), 0);
	EXPECT_EQ(u.monthly_active_users, 1);
	EXPECT_EQ(store_usage(w.s, &w.account, WALL + 31 * DAY, &u), 0);
	EXPECT_EQ(u.monthly_active_users, 0);
	EXPECT_EQ(store_usage(w.s, &w.site, WALL, &u), ERR_NOT_FOUND);
	close_world(&w);
}

struct chart {
	u32 n;
	i64 at[8], value[8];
};

static int take_stat(void *ctx, i64 at, i64 value)
{
	struct chart *c = ctx;

	c->at[c->n] = at;
	c->value[c->n++] = value;
	return 0;
}

TEST(what_happens_is_counted_by_the_hour_and_forgotten_after_a_quarter)
{
	const i64 hour = 3600000000, now = (i64)(WALL / 1000);
	struct world w = open_world();
	struct chart c = { .n = 0 };

	fill(&w);
	EXPECT_EQ(store_stats(w.s, &w.account, "flows", now - hour, now + hour, take_stat, &c), 0);
	REQUIRE(c.n == 1);
	EXPECT_EQ(c.at[0], now - now % hour);
	EXPECT_EQ(c.value[0], 1);
	c.n = 0;
	EXPECT_EQ(store_stat_add(w.s, &w.account, "bytes", WALL, 5), 0);
	EXPECT_EQ(store_stat_add(w.s, &w.account, "bytes", WALL + SECOND, 7), 0);
	EXPECT_EQ(store_stat_add(w.s, &w.account, "bytes", WALL + 3600 * SECOND, 1), 0);
	EXPECT_EQ(store_stats(w.s, &w.account, "bytes", now, now + 2 * hour, take_stat, &c), 0);
	REQUIRE(c.n == 2);
	EXPECT_EQ(c.value[0], 12);
	EXPECT_EQ(c.value[1], 1);
	REQUIRE(store_begin(w.s, STORE_EAGER) == 0);
	EXPECT_EQ(store_purge_expired(w.s, WALL + (STATS_DAYS + 1) * DAY), 0);
	EXPECT_EQ(store_commit(w.s), 0);
	c.n = 0;
	EXPECT_EQ(store_stats(w.s, &w.account, "bytes", now, now + 2 * hour, take_stat, &c), 0);
	EXPECT_EQ(c.n, 0);
	close_world(&w);
}

/* ---- backup ---- */

TEST(a_backup_made_while_others_write_is_whole_and_opens)
{
	struct world w = open_world();
	struct store_backup *b;
	struct store *copy = NULL;
	char path[128], why[256] = "";
	union any_entity e;
	struct stat st;
	u32 steps = 0;
	int rc;

	fill(&w);
	for (u32 i = 0; i < 600; i++) {
		char name[200], email[64];
		struct actor a = { .e = { .account_id = w.account, .id = { .b = { 0xaa, (u8)(i >> 8), (u8)i } } }, .name = name, .email = email };
		memset(name, 'n', sizeof(name) - 1);
		name[sizeof(name) - 1] = 0;
		snprintf(email, sizeof(email), "n%u@example.com", i);
		EXPECT_EQ(add(&w, KIND_ACTOR, &a), 0);
	}
	snprintf(path, sizeof(path), "%s/copy.db", w.dir);
	REQUIRE(store_backup_begin(w.s, path, &b) == 0);
	while ((rc = store_backup_step(b)) == 1)
		if (steps++ == 1) {
			struct site site = { .e = entity_of(&w.account, 90), .name = "meanwhile" };
			EXPECT_EQ(add(&w, KIND_SITE, &site), 0);
		}
	EXPECT_EQ(rc, 0);
	EXPECT(steps > 2);
	store_backup_end(b);
	EXPECT_EQ(stat(path, &st), 0);
	EXPECT_EQ(st.st_mode & 0777, 0600);
	EXPECT_EQ(store_check(path, why, sizeof(why)), 0);
	EXPECT_STR(why, "");
	REQUIRE(store_open(&copy, path, why, sizeof(why)) == 0);
	struct uuid id = id_of(90);
	REQUIRE(store_get(copy, KIND_SITE, &w.account, &id, &e) == 0);
	EXPECT_STR(e.site.name, "meanwhile");
	entity_deinit(KIND_SITE, &e);
	store_close(copy);
	/* nothing is overwritten, and what is given up leaves nothing */
	EXPECT_EQ(store_backup_begin(w.s, path, &b), ERR_EXISTS);
	unlink(path);
	REQUIRE(store_backup_begin(w.s, path, &b) == 0);
	EXPECT_EQ(store_backup_step(b), 1);
	store_backup_end(b);
	EXPECT(access(path, F_OK) != 0);
	EXPECT_EQ(store_backup_begin(w.s, "/nonexistent/copy.db", &b), ERR_IO);
	close_world(&w);
}

TEST(damaged_and_foreign_files_do_not_pass_the_check)
{
	struct world w = open_world();
	char path[128], why[256] = "", block[4096];
	FILE *f;

	fill(&w);
	store_close(w.s); /* empties the journal into the file */
	w.s = NULL;
	EXPECT_EQ(store_check(w.path, why, sizeof(why)), 0);
	f = fopen(w.path, "r+");
	REQUIRE(f != NULL);
	memset(block, 0x5a, sizeof(block));
	EXPECT_EQ(fseek(f, 5 * 4096, SEEK_SET), 0);
	for (int i = 0; i < 20; i++)
		EXPECT_EQ(fwrite(block, sizeof(block), 1, f), 1);
	fclose(f);
	EXPECT_EQ(store_check(w.path, why, sizeof(why)), ERR_MALFORMED);
	EXPECT(why[0]);
	snprintf(path, sizeof(path), "%s/none.db", w.dir);
	EXPECT_EQ(store_check(path, why, sizeof(why)), ERR_IO);
	f = fopen(path, "w");
	REQUIRE(f != NULL);
	EXPECT_EQ(fwrite(block, sizeof(block), 1, f), 1);
	fclose(f);
	EXPECT_EQ(store_check(path, why, sizeof(why)), ERR_MALFORMED);
	close_world(&w);
}

/* The disk ends where the process may write no further. */
TEST(a_full_disk_is_said_and_loses_nothing_acknowledged)
{
	struct world w = open_world();
	struct rlimit before, small;
	char path[128], why[256] = "";
	struct store_backup *b = NULL;
	u32 made = 0, found = 0;
	int rc = 0;

	fill(&w);
	signal(SIGXFSZ, SIG_IGN);
	EXPECT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = before;
	small.rlim_cur = 1500 * 1024;
	EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
	for (u32 i = 0; i < 20000 && !rc; i++) {
		char name[200], email[64];
		struct actor a = { .e = { .account_id = w.account, .id = { .b = { 0xaa, (u8)(i >> 8), (u8)i } } }, .name = name, .email = email };
		memset(name, 'n', sizeof(name) - 1);
		name[sizeof(name) - 1] = 0;
		snprintf(email, sizeof(email), "n%u@example.com", i);
		rc = add(&w, KIND_ACTOR, &a);
		made += rc == 0;
	}
	EXPECT_EQ(rc, ERR_IO);
	EXPECT(store_reason(w.s)[0]);
	snprintf(path, sizeof(path), "%s/copy.db", w.dir);
	if (EXPECT_EQ(store_backup_begin(w.s, path, &b), 0)) {
		while ((rc = store_backup_step(b)) == 1)
			;
		EXPECT(rc <= 0);
		store_backup_end(b);
		EXPECT_EQ(access(path, F_OK) == 0, rc == 0);
	}
	EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
	store_close(w.s);
	w.s = NULL;
	REQUIRE(store_open(&w.s, w.path, why, sizeof(why)) == 0);
	EXPECT_EQ(store_list(w.s, KIND_ACTOR, &w.account, note_row, &found), 0);
	EXPECT_EQ(found, made + 1);
	EXPECT_EQ(store_check(w.path, why, sizeof(why)), 0);
	close_world(&w);
}
