/* The audit trail: every audited kind, who did it, what differs, cascades, secrets, bounds. */
#include "tests/unit/store_world.h"

struct trail {
	u32 n;
	struct {
		i64 seq, at;
		struct uuid id, actor_id;
		char kind[32], op[8], name[64], old[2048], new[2048], principal[16], actor[32], email[32], ip[48], agent[32];
	} row[80];
};

static void copy(char *out, size_t n, const char *text)
{
	snprintf(out, n, "%s", text ? text : "");
}

static int take(void *ctx, const struct store_audit *a)
{
	struct trail *t = ctx;

	if (!EXPECT(t->n < ARRAY_LEN(t->row)))
		return ERR_LIMIT;
	t->row[t->n].seq = a->seq;
	t->row[t->n].at = a->at;
	t->row[t->n].id = a->id;
	t->row[t->n].actor_id = a->actor_id;
	copy(t->row[t->n].kind, 32, a->kind);
	copy(t->row[t->n].op, 8, a->op);
	copy(t->row[t->n].name, 64, a->name);
	copy(t->row[t->n].old, 2048, a->old_json);
	copy(t->row[t->n].new, 2048, a->new_json);
	copy(t->row[t->n].principal, 16, a->principal);
	copy(t->row[t->n].actor, 32, a->actor_name);
	copy(t->row[t->n].email, 32, a->actor_email);
	copy(t->row[t->n].ip, 48, a->remote_ip);
	copy(t->row[t->n].agent, 32, a->user_agent);
	t->n++;
	return 0;
}

static bool ask(struct world *w, struct store_audit_query *q, struct trail *t)
{
	bool has_more = false;

	t->n = 0;
	q->account = w->account;
	EXPECT_EQ(store_audit_page(w->s, q, take, t, &has_more), 0);
	return has_more;
}

TEST(a_change_is_kept_with_who_from_where_and_what_differs)
{
	static struct trail t;
	struct world w = open_world();
	struct principal p = { .kind = PRINCIPAL_SESSION, .actor_id = id_of(4), .actor_name = "Jo", .actor_email = "jo@example.com",
			       .user_agent = "Mozilla/5.0" };
	struct store_audit_query q = { .kind = "site", .op = "update" };
	union any_entity e;

	fill(&w);
	EXPECT_EQ(ip_parse(SPAN_STR("2001:db8::7"), &p.remote_ip), 0);
	REQUIRE(store_get(w.s, KIND_SITE, &w.account, &w.site, &e) == 0);
	EXPECT_EQ(text_set(&e.site.name, "Ham\"burg"), 0);
	store_set_principal(w.s, &p, WALL + 7000);
	REQUIRE(store_begin(w.s, STORE_DURABLE) == 0);
	EXPECT_EQ(store_update(w.s, KIND_SITE, &e, WALL + 7000), 0);
	EXPECT_EQ(store_commit(w.s), 0);
	ask(&w, &q, &t);
	REQUIRE(t.n == 1);
	EXPECT_STR(t.row[0].name, "Ham\"burg");
	EXPECT_STR(t.row[0].old, "{\"name\":\"Berlin\"}");
	EXPECT_STR(t.row[0].new, "{\"name\":\"Ham\\\"burg\"}");
	EXPECT_EQ(t.row[0].at, WALL / 1000 + 7);
	EXPECT_STR(t.row[0].principal, "session");
	EXPECT_STR(t.row[0].actor, "Jo");
	EXPECT_STR(t.row[0].email, "jo@example.com");
	EXPECT_STR(t.row[0].ip, "2001:db8::7");
	EXPECT_STR(t.row[0].agent, "Mozilla/5.0");
	EXPECT(uuid_eq(&t.row[0].actor_id, &p.actor_id));

	/* nothing differs: nothing is said; and the principal ended with his transaction */
	REQUIRE(store_begin(w.s, STORE_DURABLE) == 0);
	EXPECT_EQ(store_update(w.s, KIND_SITE, &e, WALL + 8000), 0);
	EXPECT_EQ(store_commit(w.s), 0);
	ask(&w, &q, &t);
	EXPECT_EQ(t.n, 1);
	EXPECT_EQ(text_set(&e.site.name, "Kiel"), 0);
	REQUIRE(store_begin(w.s, STORE_DURABLE) == 0);
	EXPECT_EQ(store_update(w.s, KIND_SITE, &e, WALL + 9000), 0);
	EXPECT_EQ(store_commit(w.s), 0);
	ask(&w, &q, &t);
	REQUIRE(t.n == 2);
	EXPECT_STR(t.row[0].principal, "system");
	EXPECT_STR(t.row[0].actor, "");
	entity_deinit(KIND_SITE, &e);
	close_world(&w);
}

TEST(what_was_rolled_back_is_not_in_the_trail)
{
	static struct trail t;
	struct world w = open_world();
	struct store_audit_query q = { .op = "delete" };

	fill(&w);
	REQUIRE(store_begin(w.s, STORE_DURABLE) == 0);
	EXPECT_EQ(store_delete(w.s, KIND_SITE, &w.account, &w.site), 0);
	EXPECT_EQ(store_rollback(w.s, 0), 0);
	ask(&w, &q, &t);
	EXPECT_EQ(t.n, 0);
	close_world(&w);
}

static u32 of_kind(const struct trail *t, const char *kind)
{
	u32 n = 0;

	for (u32 i = 0; i < t->n; i++)
		n += strcmp(t->row[i].kind, kind) == 0;
	return n;
}

TEST(cascaded_deletions_are_kept_too_and_say_what_was_lost)
{
	static struct trail t;
	struct world w = open_world();
	struct store_audit_query q = { .op = "delete" };

	fill(&w);
	EXPECT_EQ(del(&w, KIND_SITE, &w.account, &w.site), 0);
	ask(&w, &q, &t);
	EXPECT_EQ(of_kind(&t, "site"), 1);
	EXPECT_EQ(of_kind(&t, "resource"), 1);
	EXPECT_EQ(of_kind(&t, "policy"), 1);
	EXPECT_EQ(of_kind(&t, "gateway"), 1);
	EXPECT_EQ(of_kind(&t, "authorization"), 0);
	for (u32 i = 0; i < t.n; i++) {
		if (strcmp(t.row[i].kind, "resource") == 0) {
			EXPECT(strstr(t.row[i].old, "\"address\":\"10.9.0.0/24\"") != NULL);
			EXPECT_STR(t.row[i].name, "lab");
			EXPECT_STR(t.row[i].new, "");
		}
		EXPECT_EQ(strstr(t.row[i].old, "psk") != NULL, strcmp(t.row[i].kind, "gateway") == 0);
	}
	close_world(&w);
}

/* One of each kind that belongs to signing in, with secrets in it. */
static void add_sign_in(struct world *w)
{
	struct auth_provider p = { .e = entity_of(&w->account, 60), .type = PROVIDER_OIDC, .name = "IdP", .issuer = "https://idp.example",
				   .client_id = "cid", .client_secret = "topsecret", .discovery_document_uri = "https://idp.example/.well-known",
				   .client_session_lifetime_secs = 3600, .portal_session_lifetime_secs = 300 };
	struct identity i = { .e = entity_of(&w->account, 61), .actor_id = w->actor, .issuer = "https://idp.example", .idp_id = "42",
			      .email = "jo@example.com" };
	struct token api = { .e = entity_of(&w->account, 62), .owner_id = w->actor, .salt = "topsecret", .hash = "topsecret",
			     .expires_at = (i64)(WALL / 1000) + 5, .name = "ci" };
	struct credential c = { .e = entity_of(&w->account, 63), .actor_id = w->actor, .type = CREDENTIAL_PASSWORD, .hash = "topsecret" };
	struct one_time_link l = { .e = entity_of(&w->account, 64), .purpose = LINK_INVITE, .actor_id = w->actor, .salt = "topsecret",
				   .hash = "topsecret", .expires_at = (i64)(WALL / 1000) + 5 };
	struct sync_directory d = { .e = entity_of(&w->account, 65), .type = DIRECTORY_OKTA, .name = "Okta", .okta_domain = "x.okta.com",
				    .client_id = "c", .private_key_jwk = "topsecret", .client_secret = "topsecret",
				    .service_account_key = "topsecret" };
	struct portal_session s = { .e = entity_of(&w->account, 66), .actor_id = w->actor, .auth_provider_id = id_of(60),
				    .expires_at = (i64)(WALL / 1000) + 5 };
	struct passcode o = { .e = entity_of(&w->account, 67), .actor_id = w->actor, .code_hash = "topsecret",
			      .expires_at = (i64)(WALL / 1000) + 5 };
	struct mail_row m = { .e = entity_of(&w->account, 68), .recipient = "jo@example.com", .subject = "s", .body_text = "topsecret" };
	struct token gw = { .e = entity_of(&w->account, 69), .owner_id = w->site, .salt = "topsecret", .hash = "topsecret" };

	EXPECT_EQ(add(w, KIND_AUTH_PROVIDER, &p), 0);
	EXPECT_EQ(add(w, KIND_IDENTITY, &i), 0);
	EXPECT_EQ(add(w, KIND_API_TOKEN, &api), 0);
	EXPECT_EQ(add(w, KIND_CREDENTIAL, &c), 0);
	EXPECT_EQ(add(w, KIND_LINK, &l), 0);
	EXPECT_EQ(add(w, KIND_DIRECTORY, &d), 0);
	EXPECT_EQ(add(w, KIND_PORTAL_SESSION, &s), 0);
	EXPECT_EQ(add(w, KIND_PASSCODE, &o), 0);
	EXPECT_EQ(add(w, KIND_MAIL, &m), 0);
	EXPECT_EQ(add(w, KIND_GATEWAY_TOKEN, &gw), 0);
}

TEST(every_audited_kind_is_kept_and_no_secret_ever)
{
	static struct trail t;
	struct world w = open_world();
	struct store_audit_query q = { .limit = 80 };
	union any_entity e;
	struct uuid id;

	fill(&w);
	add_sign_in(&w);
	struct pool_member m = { .e = entity_of(&w.account, 70), .client_id = w.client };
	struct resource pool = { .e = entity_of(&w.account, 71), .type = RESOURCE_POOL, .name = "pool" };
	EXPECT_EQ(add(&w, KIND_RESOURCE, &pool), 0);
	m.resource_id = pool.e.id;
	EXPECT_EQ(add(&w, KIND_POOL_MEMBER, &m), 0);
	/* a secret that changes is said to have changed */
	id = id_of(60);
	REQUIRE(store_get(w.s, KIND_AUTH_PROVIDER, &w.account, &id, &e) == 0);
	EXPECT_EQ(text_set(&e.auth_provider.client_secret, "other-topsecret"), 0);
	e.auth_provider.disabled_at = 1700000000000000;
	REQUIRE(store_begin(w.s, STORE_DURABLE) == 0);
	EXPECT_EQ(store_update(w.s, KIND_AUTH_PROVIDER, &e, WALL), 0);
	EXPECT_EQ(store_commit(w.s), 0);
	entity_deinit(KIND_AUTH_PROVIDER, &e);
	EXPECT_EQ(del(&w, KIND_ACTOR, &w.account, &w.actor), 0);
	ask(&w, &q, &t);
	for (u32 i = 0; i < t.n; i++) {
		EXPECT(!strstr(t.row[i].old, "topsecret") && !strstr(t.row[i].new, "topsecret"));
		if (strcmp(t.row[i].op, "update") == 0) {
			EXPECT_STR(t.row[i].old, "{\"disabled_at\":null,\"client_secret\":\"[redacted]\"}");
			EXPECT_STR(t.row[i].new, "{\"disabled_at\":\"2023-11-14T22:13:20Z\",\"client_secret\":\"[redacted]\"}");
		}
	}
	for (int k = 0; k < KIND_COUNT; k++) {
		bool is_here = of_kind(&t, kinds[k].name) > 0;
		/* relay tokens belong to no account */
		if (!EXPECT_EQ(is_here, kinds[k].is_audited && k != KIND_RELAY_TOKEN))
			fprintf(stderr, "%s\n", kinds[k].name);
	}
	EXPECT_EQ(of_kind(&t, "portal session"), 2); /* signing in, and what ends it */
	EXPECT_EQ(of_kind(&t, "credential"), 2); /* made, and gone with its actor */
	EXPECT_EQ(of_kind(&t, "identity"), 2);
	close_world(&w);
}

TEST(what_a_synchronisation_stamps_is_no_change_worth_a_line)
{
	static struct trail t;
	struct world w = open_world();
	struct store_audit_query q = { .kind = "actor", .op = "update" };
	union any_entity e;

	fill(&w);
	REQUIRE(store_get(w.s, KIND_ACTOR, &w.account, &w.actor, &e) == 0);
	e.actor.last_synced_at = 77;
	REQUIRE(store_begin(w.s, STORE_EAGER) == 0);
	EXPECT_EQ(store_update(w.s, KIND_ACTOR, &e, WALL), 0);
	EXPECT_EQ(store_commit(w.s), 0);
	ask(&w, &q, &t);
	EXPECT_EQ(t.n, 0);
	entity_deinit(KIND_ACTOR, &e);
	close_world(&w);
}

TEST(the_trail_is_paged_both_ways_and_filtered)
{
	static struct trail t;
	struct world w = open_world();
	char name[8];

	fill(&w);
	for (u8 i = 0; i < 7; i++) {
		struct group g = { .e = entity_of(&w.account, (u8)(100 + i)), .name = name };
		snprintf(name, sizeof(name), "g%u", i);
		EXPECT_EQ(add(&w, KIND_GROUP, &g), 0);
	}
	struct store_audit_query q = { .kind = "group", .limit = 3 };
	EXPECT(ask(&w, &q, &t));
	EXPECT_EQ(t.n, 3);
	EXPECT_STR(t.row[0].name, "g6");
	EXPECT_STR(t.row[2].name, "g4");
	q.before = t.row[2].seq;
	EXPECT(ask(&w, &q, &t));
	EXPECT_STR(t.row[0].name, "g3");
	EXPECT_STR(t.row[2].name, "g1");
	i64 middle = t.row[0].seq;
	q.before = t.row[2].seq;
	EXPECT(!ask(&w, &q, &t));
	EXPECT_EQ(t.n, 2);
	EXPECT_STR(t.row[1].name, "team");
	q.before = 0;
	q.after = t.row[1].seq; /* newer than the oldest: the nearest three */
	EXPECT(ask(&w, &q, &t));
	EXPECT_EQ(t.n, 3);
	EXPECT_STR(t.row[0].name, "g2");
	EXPECT_STR(t.row[2].name, "g0");
	q.after = middle;
	EXPECT(!ask(&w, &q, &t));
	EXPECT_EQ(t.n, 3);
	EXPECT_STR(t.row[0].name, "g6");
	q = (struct store_audit_query){ .id = id_of(103) };
	ask(&w, &q, &t);
	EXPECT_EQ(t.n, 1);
	q = (struct store_audit_query){ .text = "BERL" };
	ask(&w, &q, &t);
	EXPECT_EQ(t.n, 1);
	q = (struct store_audit_query){ .text = "%" };
	ask(&w, &q, &t);
	EXPECT_EQ(t.n, 0);
	q = (struct store_audit_query){ .to = (i64)(WALL / 1000) };
	ask(&w, &q, &t);
	EXPECT_EQ(t.n, 0);
	q = (struct store_audit_query){ .from = (i64)(WALL / 1000), .kind = "policy" };
	ask(&w, &q, &t);
	EXPECT_EQ(t.n, 1);
	EXPECT_STR(t.row[0].name, "team to lab");
	/* another account's is not shown */
	w.account = w.other;
	q = (struct store_audit_query){ .limit = 0 };
	ask(&w, &q, &t);
	EXPECT_EQ(t.n, 1);
	EXPECT_STR(t.row[0].kind, "account");
	close_world(&w);
}

TEST(old_lines_of_the_trail_go)
{
	static struct trail t;
	struct world w = open_world();
	struct store_audit_query q = { .limit = 80 };
	const u64 day = 86400ull * 1000000000ull;

	fill(&w);
	ask(&w, &q, &t);
	u32 before = t.n;
	EXPECT(before > 5);
	REQUIRE(store_begin(w.s, STORE_EAGER) == 0);
	EXPECT_EQ(store_purge_expired(w.s, WALL + (AUDIT_DAYS - 1) * day), 0);
	EXPECT_EQ(store_commit(w.s), 0);
	ask(&w, &q, &t);
	EXPECT(t.n >= before); /* what the purge itself did is in it */
	REQUIRE(store_begin(w.s, STORE_EAGER) == 0);
	EXPECT_EQ(store_purge_expired(w.s, WALL + (AUDIT_DAYS + 1) * day), 0);
	EXPECT_EQ(store_commit(w.s), 0);
	ask(&w, &q, &t);
	EXPECT(t.n < before);
	close_world(&w);
}
