#include "applets/portal/auth/tokens.h"
#include "core/json/json.h"
#include "core/base/encode.h"
#include "core/crypto/hash.h"
#include "tests/unit/test.h"

#include <ctype.h>
#include <stdlib.h>

struct fixture {
	struct rng_seeded rng;
	struct secrets secrets;
	struct token row;
	char text[TOKEN_STRLEN];
};

static struct fixture minted(enum token_type type, const char *nonce)
{
	struct fixture f = { 0 };

	rng_seeded_init(&f.rng, 7);
	secrets_make(&f.secrets, &f.rng.rng);
	rng_fill(&f.rng.rng, f.row.e.account_id.b, 16);
	EXPECT_EQ(token_mint(&f.row, type, nonce, &f.secrets, &f.rng.rng, f.text), 0);
	return f;
}

TEST(spec60_14_a_token_is_nonce_and_opaque_and_a_wrong_nonce_fails)
{
	struct fixture f = minted(TOKEN_CLIENT, "abc");
	struct token_claim c;

	EXPECT_EQ(strncmp(f.text, "abc.", 4), 0);
	REQUIRE(token_open(&c, TOKEN_CLIENT, f.text, &f.secrets) == 0);
	EXPECT(uuid_eq(&c.id, &f.row.e.id) && uuid_eq(&c.account_id, &f.row.e.account_id));
	EXPECT(token_matches(&c, &f.row));
	f.text[0] = 'x';
	REQUIRE(token_open(&c, TOKEN_CLIENT, f.text, &f.secrets) == 0);
	EXPECT(!token_matches(&c, &f.row));
	entity_deinit(KIND_CLIENT_TOKEN, &f.row);
}

TEST(spec60_15_only_salt_and_hash_are_kept)
{
	struct fixture f = minted(TOKEN_GATEWAY, "");
	struct token_claim c;

	EXPECT_EQ(f.text[0], '.');
	EXPECT_EQ(strlen(f.row.salt), SECRET_SALT_LEN);
	EXPECT_EQ(strlen(f.row.hash), SECRET_HASH_LEN);
	for (const char *p = f.row.hash; *p; p++)
		EXPECT(isdigit((unsigned char)*p) || (*p >= 'a' && *p <= 'f'));
	REQUIRE(token_open(&c, TOKEN_GATEWAY, f.text, &f.secrets) == 0);
	EXPECT(token_matches(&c, &f.row));
	f.row.hash[5] = f.row.hash[5] == 'a' ? 'b' : 'a';
	EXPECT(!token_matches(&c, &f.row));
	for (const char *p = f.text; *p; p++) /* safe in headers and queries */
		EXPECT(isalnum((unsigned char)*p) || strchr("-_.", *p));
	entity_deinit(KIND_GATEWAY_TOKEN, &f.row);
}

TEST(spec60_16_a_token_of_one_type_is_nothing_elsewhere)
{
	struct fixture f = minted(TOKEN_GATEWAY, "");
	struct token_claim c;

	EXPECT_EQ(token_open(&c, TOKEN_CLIENT, f.text, &f.secrets), ERR_AUTH);
	EXPECT_EQ(token_open(&c, TOKEN_RELAY, f.text, &f.secrets), ERR_AUTH);
	entity_deinit(KIND_GATEWAY_TOKEN, &f.row);
}

TEST(every_changed_character_is_noticed_before_the_store_is_asked)
{
	struct fixture f = minted(TOKEN_CLIENT, "");
	struct token_claim c;

	for (size_t i = 0; f.text[i]; i++) {
		char was = f.text[i];
		f.text[i] = was == 'A' ? 'B' : 'A';
		EXPECT_EQ(token_open(&c, TOKEN_CLIENT, f.text, &f.secrets), ERR_AUTH);
		f.text[i] = was;
	}
	EXPECT_EQ(token_open(&c, TOKEN_CLIENT, "", &f.secrets), ERR_AUTH);
	EXPECT_EQ(token_open(&c, TOKEN_CLIENT, ".", &f.secrets), ERR_AUTH);
	EXPECT_EQ(token_open(&c, TOKEN_CLIENT, f.text + 1, &f.secrets), ERR_AUTH);
	f.secrets.token_key[0] ^= 1;
	EXPECT_EQ(token_open(&c, TOKEN_CLIENT, f.text, &f.secrets), ERR_AUTH);
	entity_deinit(KIND_CLIENT_TOKEN, &f.row);
}

TEST(secrets_survive_their_file_and_damage_is_noticed)
{
	struct secrets a, b;
	struct rng_seeded rng;
	char text[SECRETS_TEXT_MAX];

	rng_seeded_init(&rng, 3);
	secrets_make(&a, &rng.rng);
	secrets_format(&a, text);
	REQUIRE(secrets_parse(&b, SPAN(text, strlen(text))) == 0);
	EXPECT_MEM(&a, &b, sizeof(a));
	for (size_t n = strlen(text) - 2; n > 0; n -= n > 7 ? 7 : n)
		EXPECT_EQ(secrets_parse(&b, SPAN(text, n)), ERR_MALFORMED);
	EXPECT_EQ(secrets_parse(&b, SPAN_STR("hello\n")), ERR_MALFORMED);
	EXPECT_EQ(secrets_parse(&b, SPAN_NONE), ERR_MALFORMED);
}

TEST(ingest_token_has_three_parts_and_switches_uploads_off)
{
	struct fixture f = minted(TOKEN_CLIENT, "");
	struct ingest_claims c = { .role = "responder", .resource_name = "a \"quoted\" name", .actor_name = "Jo", .actor_email = "jo@acme.example",
				   .now = 1000, .expires_at = 2000 };
	u8 mac[32], signature[33];
	char text[INGEST_TOKEN_MAX];
	u8 claims[INGEST_TOKEN_MAX];
	struct cJSON *json;
	struct json_get g = JSON_GET;

	REQUIRE(ingest_token(&c, &f.secrets, text) == 0);
	char *first = strchr(text, '.'), *second = strchr(first + 1, '.');
	REQUIRE(second && second[1]);
	int n = base64url_decode(claims, sizeof(claims), SPAN(first + 1, (size_t)(second - first - 1)));
	REQUIRE(n > 0 && json_parse(SPAN(claims, (size_t)n), NULL, &json) == 0);
	EXPECT_EQ(json_bool(&g, json, "uploads_enabled"), false);
	EXPECT_STR(json_str(&g, json, "role"), "responder");
	EXPECT_STR(json_str(&g, json, "authorization_expires_at"), "1970-01-01T00:33:20Z");
	EXPECT_EQ(json_uint(&g, json, "exp", 1u << 30), 2000 + 30 * 86400);
	EXPECT_STR(json_str(&g, json, "initiator_actor_email"), "jo@acme.example");
	EXPECT(!json_member(&g, json, "resource_address"));
	/* RFC 7515 §5.2: the signature is over header and claims as they stand */
	hmac_sha256(mac, SPAN(f.secrets.ingest_key, SECRET_LEN), SPAN(text, (size_t)(second - text)));
	EXPECT_EQ(base64url_decode(signature, sizeof(signature), SPAN(second + 1, strlen(second + 1))), 32);
	EXPECT_MEM(mac, signature, 32);
	EXPECT_EQ(g.err, 0);
	json_free(json);
	entity_deinit(KIND_CLIENT_TOKEN, &f.row);
}
