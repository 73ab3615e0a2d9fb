/* Passkeys: real ceremonies, and each way in which one can be wrong. */
#include "applets/portal/auth/cbor.h"
#include "applets/portal/auth/webauthn.h"
#include "core/json/json.h"
#include "tests/unit/authenticator.h"
#include "tests/unit/test.h"

#include <stdlib.h>
#include <string.h>

static const struct webauthn_site site = { "https://portal.example.com", "portal.example.com" };
static u8 challenge[WEBAUTHN_CHALLENGE_LEN] = "thirty-two bytes of a challenge";
static u8 other_challenge[WEBAUTHN_CHALLENGE_LEN] = "thirty-two bytes of another one";

static int registered(const struct ceremony *c, struct webauthn_credential *out)
{
	return webauthn_register(out, &site, challenge, SPAN(c->client_data, c->client_n), SPAN(c->object, c->object_n));
}

static int asserted(const struct ceremony *c, const char *key, u32 count)
{
	u32 now;

	return webauthn_assert(&now, &site, challenge, key, count, SPAN(c->client_data, c->client_n), SPAN(c->auth_data, c->auth_n),
			       SPAN(c->signature, c->signature_n));
}

TEST(a_passkey_of_either_kind_is_made_and_used)
{
	for (int ed = 0; ed <= 1; ed++) {
		struct authenticator a;
		struct ceremony c;
		struct webauthn_credential made;
		u32 count = 9;

		authenticator_init(&a, ed, 7);
		authenticator_create(&a, &c, challenge);
		REQUIRE(registered(&c, &made) == 0);
		EXPECT_EQ(made.id_len, 32);
		EXPECT_MEM(made.id, a.id, 32);
		EXPECT(strncmp(made.key, ed ? "ed25519:" : "es256:", 6) == 0);
		EXPECT_EQ(made.sign_count, 0);
		authenticator_get(&a, &c, challenge);
		REQUIRE(webauthn_assert(&count, &site, challenge, made.key, 0, SPAN(c.client_data, c.client_n), SPAN(c.auth_data, c.auth_n),
					SPAN(c.signature, c.signature_n)) == 0);
		EXPECT_EQ(count, 0);
	}
}

/* One row for each thing a browser, an authenticator or somebody between can get wrong. */
struct lie {
	const char *what;
	void (*tell)(struct authenticator *a);
	int rc;
};

static void other_origin(struct authenticator *a) { snprintf(a->origin, sizeof(a->origin), "https://portal.example.com.evil.net"); }
static void sub_origin(struct authenticator *a) { snprintf(a->origin, sizeof(a->origin), "https://x.portal.example.com"); }
static void plain_origin(struct authenticator *a) { snprintf(a->origin, sizeof(a->origin), "http://portal.example.com"); }
static void port_origin(struct authenticator *a) { snprintf(a->origin, sizeof(a->origin), "https://portal.example.com:444"); }
static void other_rp(struct authenticator *a) { snprintf(a->rp_id, sizeof(a->rp_id), "example.com"); }
static void not_verified(struct authenticator *a) { a->flags = 0x01; }
static void not_present(struct authenticator *a) { a->flags = 0x04; }
static void backed_up_but_not_eligible(struct authenticator *a) { a->flags = 0x15; }
static void framed(struct authenticator *a) { snprintf(a->extra, sizeof(a->extra), ",\"crossOrigin\":true"); }
static void not_framed(struct authenticator *a) { snprintf(a->extra, sizeof(a->extra), ",\"crossOrigin\":false"); }
static void novelty(struct authenticator *a) { snprintf(a->extra, sizeof(a->extra), ",\"other_keys_can_be_added_here\":\"yes\""); }
static void two_origins(struct authenticator *a) { snprintf(a->extra, sizeof(a->extra), ",\"origin\":\"https://portal.example.com\""); }
static void promised_extensions(struct authenticator *a) { a->flags |= 0x80; }

static const struct lie lies_of_both[] = {
	{ "an origin that begins like ours", other_origin, ERR_NOT_OURS },
	{ "an origin below ours", sub_origin, ERR_NOT_OURS },
	{ "ours without TLS", plain_origin, ERR_NOT_OURS },
	{ "ours on another port", port_origin, ERR_NOT_OURS },
	{ "another site", other_rp, ERR_NOT_OURS },
	{ "no user verification", not_verified, ERR_DENIED },
	{ "nobody present", not_present, ERR_DENIED },
	{ "flags that contradict", backed_up_but_not_eligible, ERR_MALFORMED },
	{ "in a frame of another site", framed, ERR_NOT_OURS },
	{ "not in a frame", not_framed, 0 },
	{ "a member nobody knows", novelty, 0 },
	{ "two origins", two_origins, ERR_MALFORMED },
	{ "extensions that are not there", promised_extensions, ERR_MALFORMED },
};

TEST(lies_are_found_in_both_ceremonies)
{
	for (size_t i = 0; i < ARRAY_LEN(lies_of_both); i++)
		for (int ed = 0; ed <= 1; ed++) {
			const struct lie *l = &lies_of_both[i];
			struct authenticator honest, a;
			struct ceremony c;
			struct webauthn_credential made, unused;

			authenticator_init(&honest, ed, 7);
			authenticator_create(&honest, &c, challenge);
			REQUIRE(registered(&c, &made) == 0);
			a = honest;
			l->tell(&a);
			authenticator_create(&a, &c, challenge);
			if (registered(&c, &unused) != l->rc)
				test_fail(__FILE__, __LINE__, "registration with %s: %d", l->what, registered(&c, &unused));
			authenticator_get(&a, &c, challenge);
			if (asserted(&c, made.key, 0) != l->rc)
				test_fail(__FILE__, __LINE__, "assertion with %s: %d", l->what, asserted(&c, made.key, 0));
		}
}

static void compressed(struct authenticator *a) { a->is_compressed = true; }
static void off_the_curve(struct authenticator *a) { a->point[64] ^= 1; }
static void es384(struct authenticator *a) { a->alg = -35; }
static void rs256(struct authenticator *a) { a->alg = -257, a->kty = 3; }
static void kind_without_algorithm(struct authenticator *a) { a->alg = -8; }
static void other_curve(struct authenticator *a) { a->crv = 2; }

TEST(only_keys_we_know_are_registered)
{
	static const struct lie lies[] = {
		{ "a compressed point", compressed, ERR_UNSUPPORTED },	   { "a point beside the curve", off_the_curve, ERR_MALFORMED },
		{ "ES384", es384, ERR_UNSUPPORTED },			   { "RS256", rs256, ERR_UNSUPPORTED },
		{ "EC2 with EdDSA", kind_without_algorithm, ERR_UNSUPPORTED }, { "P-384", other_curve, ERR_UNSUPPORTED },
	};

	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		struct authenticator a;
		struct ceremony c;
		struct webauthn_credential made;

		authenticator_init(&a, false, 7);
		lies[i].tell(&a);
		authenticator_create(&a, &c, challenge);
		if (registered(&c, &made) != lies[i].rc)
			test_fail(__FILE__, __LINE__, "%s: %d", lies[i].what, registered(&c, &made));
	}
}

TEST(a_challenge_answers_itself_only)
{
	struct authenticator a;
	struct ceremony c;
	struct webauthn_credential made;

	authenticator_init(&a, false, 7);
	authenticator_create(&a, &c, other_challenge);
	EXPECT_EQ(registered(&c, &made), ERR_REPLAY);
	authenticator_create(&a, &c, challenge);
	REQUIRE(registered(&c, &made) == 0);
	authenticator_get(&a, &c, other_challenge);
	EXPECT_EQ(asserted(&c, made.key, 0), ERR_REPLAY);
}

TEST(an_answer_of_one_ceremony_is_nothing_in_the_other)
{
	struct authenticator a;
	struct ceremony make, use;
	struct webauthn_credential made;

	authenticator_init(&a, false, 7);
	authenticator_create(&a, &make, challenge);
	REQUIRE(registered(&make, &made) == 0);
	authenticator_get(&a, &use, challenge);
	EXPECT_EQ(webauthn_register(&made, &site, challenge, SPAN(use.client_data, use.client_n), SPAN(make.object, make.object_n)), ERR_NOT_OURS);
	memcpy(use.client_data, make.client_data, make.client_n);
	use.client_n = make.client_n;
	authenticator_sign(&a, &use);
	EXPECT_EQ(asserted(&use, made.key, 0), ERR_NOT_OURS);
}

TEST(signatures_of_others_and_of_other_bytes_are_refused)
{
	for (int ed = 0; ed <= 1; ed++) {
		struct authenticator a, stranger;
		struct ceremony c;
		struct webauthn_credential made, theirs;

		authenticator_init(&a, ed, 7);
		authenticator_init(&stranger, ed, 8);
		authenticator_create(&stranger, &c, challenge);
		REQUIRE(registered(&c, &theirs) == 0);
		authenticator_create(&a, &c, challenge);
		REQUIRE(registered(&c, &made) == 0);
		authenticator_get(&a, &c, challenge);
		EXPECT_EQ(asserted(&c, made.key, 0), 0);
		EXPECT_EQ(asserted(&c, theirs.key, 0), ERR_AUTH);
		EXPECT_EQ(asserted(&c, "rsa:AAAA", 0), ERR_UNSUPPORTED);
		EXPECT_EQ(asserted(&c, "es256:AAAA", 0), ERR_UNSUPPORTED);
		EXPECT_EQ(asserted(&c, "", 0), ERR_UNSUPPORTED);
		for (size_t i = 0; i < c.signature_n; i++) {
			c.signature[i] ^= 0x20;
			EXPECT_EQ(asserted(&c, made.key, 0), ERR_AUTH);
			c.signature[i] ^= 0x20;
		}
		c.auth_data[36] ^= 1; /* the counter */
		EXPECT_EQ(asserted(&c, made.key, 0), ERR_AUTH);
		c.auth_data[36] ^= 1;
		c.signature_n = 0;
		EXPECT_EQ(asserted(&c, made.key, 0), ERR_AUTH);
		c.signature_n = 129;
		EXPECT_EQ(asserted(&c, made.key, 0), ERR_MALFORMED);
	}
}

TEST(a_counter_must_grow_unless_there_is_none)
{
	static const struct {
		u32 kept, said;
		int rc;
	} cases[] = { { 0, 0, 0 }, { 0, 1, 0 }, { 5, 6, 0 }, { 5, 5, ERR_REPLAY }, { 5, 4, ERR_REPLAY }, { 5, 0, ERR_REPLAY } };
	struct authenticator a;
	struct ceremony c;
	struct webauthn_credential made;

	authenticator_init(&a, true, 7);
	authenticator_create(&a, &c, challenge);
	REQUIRE(registered(&c, &made) == 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		a.sign_count = cases[i].said;
		authenticator_get(&a, &c, challenge);
		EXPECT_EQ(asserted(&c, made.key, cases[i].kept), cases[i].rc);
	}
}

TEST(every_cut_and_every_byte_more_is_malformed)
{
	struct authenticator a;
	struct ceremony c;
	struct webauthn_credential made;

	authenticator_init(&a, false, 7);
	authenticator_create(&a, &c, challenge);
	size_t n = c.object_n;
	for (c.object_n = 0; c.object_n < n; c.object_n++)
		EXPECT_EQ(registered(&c, &made), ERR_MALFORMED);
	c.object[n] = 0;
	c.object_n = n + 1;
	EXPECT_EQ(registered(&c, &made), ERR_MALFORMED);
	c.object_n = n;
	EXPECT_EQ(registered(&c, &made), 0);
	n = c.client_n;
	for (c.client_n = 0; c.client_n < n; c.client_n++)
		EXPECT_EQ(registered(&c, &made), ERR_MALFORMED);
	c.client_n = n;
	REQUIRE(registered(&c, &made) == 0);
	authenticator_get(&a, &c, challenge);
	n = c.auth_n;
	for (c.auth_n = 0; c.auth_n < n; c.auth_n++) {
		authenticator_sign(&a, &c);
		EXPECT_EQ(asserted(&c, made.key, 0), ERR_MALFORMED);
	}
	c.auth_data[n] = 0;
	c.auth_n = n + 1;
	authenticator_sign(&a, &c);
	EXPECT_EQ(asserted(&c, made.key, 0), ERR_MALFORMED);
}

TEST(a_statement_of_a_maker_is_stepped_over)
{
	struct authenticator a;
	struct ceremony c;
	struct webauthn_credential made;
	u8 data[1024];
	struct wr d = wr_init(data, sizeof(data)), w = wr_init(c.object, sizeof(c.object));

	authenticator_init(&a, false, 7);
	authenticator_client_data(&a, &c, "webauthn.create", challenge);
	authenticator_data(&a, true, &d);
	cbor_head(&w, 5, 3);
	cbor_text(&w, "authData"), cbor_head(&w, 2, (u32)wr_len(&d)), wr_bytes(&w, data, wr_len(&d));
	cbor_text(&w, "fmt"), cbor_text(&w, "packed");
	cbor_text(&w, "attStmt"), cbor_head(&w, 5, 2);
	cbor_text(&w, "alg"), cbor_int(&w, -7);
	cbor_text(&w, "x5c"), cbor_head(&w, 4, 1), cbor_head(&w, 2, 3), wr_str(&w, "abc");
	c.object_n = wr_len(&w);
	EXPECT_EQ(registered(&c, &made), 0);
}

/* Made with OpenSSL 3 and Python: keys, signatures and encodings by others. */
static const struct {
	const char *create_client, *object, *get_client, *auth, *signature;
} foreign[] = {
	{ "{\"type\":\"webauthn.create\",\"challenge\":\"dGhpcnR5LXR3byBieXRlcyBvZiBhIGNoYWxsZW5nZQA\",\"origin\":\"https://portal.example.com\",\"crossOrigin\":false}",
	  "a363666d74646e6f6e656761747453746d74a068617574684461746158a6e89bbdbac811e9a8565478640fba9b810bf43c7a6eea042fb5fd0f10ffe15e9ac5000000292474f42e0145b38919bf7ba11c10f7a90014744b9114a19c7a61108a23d8bcf056b8b99db440a501020326200121582041a353b2e538502e2f1aab80d45740bde0a9bc54e799f8d2401462454c81948622582020e8a17b6696c55e021165022187248f3836119318d9fe47aefc2d4792a9d032a16b6372656450726f7465637402",
	  "{\"type\":\"webauthn.get\",\"challenge\":\"dGhpcnR5LXR3byBieXRlcyBvZiBhIGNoYWxsZW5nZQA\",\"origin\":\"https://portal.example.com\",\"crossOrigin\":false}",
	  "e89bbdbac811e9a8565478640fba9b810bf43c7a6eea042fb5fd0f10ffe15e9a1d0000002a",
	  "3046022100f0977dd8b167f29751ede0577d7de16bfd653775ea22a35a4065893331c7308c022100e92597a1f6a972b6b1713050cd25085948526401b53fb34ceb99267886ae9d70" },
	{ "{\"type\":\"webauthn.create\",\"challenge\":\"dGhpcnR5LXR3byBieXRlcyBvZiBhIGNoYWxsZW5nZQA\",\"origin\":\"https://portal.example.com\",\"crossOrigin\":false}",
	  "a363666d74646e6f6e656761747453746d74a06861757468446174615883e89bbdbac811e9a8565478640fba9b810bf43c7a6eea042fb5fd0f10ffe15e9ac500000029cdfcad26b0b46fae01c96b2517db7bf90014ba3db8ccfcdbf6d5cbb7c862fdfd63a009927777a40101032720062158206b6bda5a318a73f6c9e9372b071a72dab0719dda6036d2d8d19382ddf744dab0a16b6372656450726f7465637402",
	  "{\"type\":\"webauthn.get\",\"challenge\":\"dGhpcnR5LXR3byBieXRlcyBvZiBhIGNoYWxsZW5nZQA\",\"origin\":\"https://portal.example.com\",\"crossOrigin\":false}",
	  "e89bbdbac811e9a8565478640fba9b810bf43c7a6eea042fb5fd0f10ffe15e9a1d0000002a",
	  "5bc6b7a1baced15c4d6ddfa9bae9acc6db4ea815fbaa95445f56bfe1f6a23d63a93b5b07bfd7ad83b5a5a8b0bc9aee17f824d88049ead9a71e6646cf14397b0d" },
};

TEST(ceremonies_made_by_other_programs)
{
	for (size_t i = 0; i < ARRAY_LEN(foreign); i++) {
		struct ceremony c = { 0 };
		struct webauthn_credential made;

		c.client_n = strlen(foreign[i].create_client);
		memcpy(c.client_data, foreign[i].create_client, c.client_n);
		c.object_n = (size_t)hex_decode(c.object, sizeof(c.object), SPAN(foreign[i].object, strlen(foreign[i].object)));
		REQUIRE(registered(&c, &made) == 0);
		c.client_n = strlen(foreign[i].get_client);
		memcpy(c.client_data, foreign[i].get_client, c.client_n);
		c.auth_n = (size_t)hex_decode(c.auth_data, sizeof(c.auth_data), SPAN(foreign[i].auth, strlen(foreign[i].auth)));
		c.signature_n = (size_t)hex_decode(c.signature, sizeof(c.signature), SPAN(foreign[i].signature, strlen(foreign[i].signature)));
		EXPECT_EQ(asserted(&c, made.key, 41), 0);
		EXPECT_EQ(asserted(&c, made.key, 42), ERR_REPLAY);
	}
}

TEST(where_passkeys_can_be_made)
{
	static const struct {
		const char *url, *origin, *rp_id;
	} cases[] = {
		{ "https://portal.example.com/", "https://portal.example.com", "portal.example.com" },
		{ "https://Portal.Example.com:443/", "https://portal.example.com", "portal.example.com" },
		{ "https://portal.example.com:8443/", "https://portal.example.com:8443", "portal.example.com" },
		{ "http://localhost:13001/", "http://localhost:13001", "localhost" },
		{ "http://a.localhost/", "http://a.localhost", "a.localhost" },
		{ "http://portal.example.com/", NULL, NULL },
		{ "https://192.0.2.1/", NULL, NULL },
		{ "https://[2001:db8::1]/", NULL, NULL },
		{ "http://127.0.0.1:13001/", NULL, NULL },
		{ "http://notlocalhost/", NULL, NULL },
		{ "", NULL, NULL },
	};
	struct webauthn_site s;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int rc = webauthn_site_of(&s, cases[i].url);
		EXPECT_EQ(rc, cases[i].origin ? 0 : ERR_UNSUPPORTED);
		if (rc == 0 && cases[i].origin) {
			EXPECT_STR(s.origin, cases[i].origin);
			EXPECT_STR(s.rp_id, cases[i].rp_id);
		}
	}
}

TEST(what_the_browser_is_asked)
{
	static const char *const have[] = { "AAAA", "BBBB" };
	struct strbuf b = { 0 };
	struct cJSON *root;
	struct json_get g = JSON_GET;

	REQUIRE(webauthn_creation(&b, &site, challenge, "Acme \"Co\"", SPAN("0123456789abcdef", 16), "jo@example.com", "Jo", have, 2) == 0);
	REQUIRE(json_parse(strbuf_span(&b), NULL, &root) == 0);
	EXPECT_STR(json_str(&g, json_object(&g, root, "rp"), "id"), "portal.example.com");
	EXPECT_STR(json_str(&g, json_object(&g, root, "rp"), "name"), "Acme \"Co\"");
	EXPECT_STR(json_str(&g, json_object(&g, root, "user"), "id"), "MDEyMzQ1Njc4OWFiY2RlZg");
	EXPECT_EQ(json_count(json_array(&g, root, "excludeCredentials")), 2);
	EXPECT_STR(json_str(&g, json_object(&g, root, "authenticatorSelection"), "userVerification"), "required");
	EXPECT_STR(json_str(&g, root, "attestation"), "none");
	json_free(root);
	strbuf_reset(&b);
	REQUIRE(webauthn_request(&b, &site, challenge) == 0);
	REQUIRE(json_parse(strbuf_span(&b), NULL, &root) == 0);
	EXPECT_STR(json_str(&g, root, "rpId"), "portal.example.com");
	EXPECT_STR(json_str(&g, root, "userVerification"), "required");
	EXPECT_EQ(json_count(json_array(&g, root, "allowCredentials")), 0);
	EXPECT_EQ(g.err, 0);
	json_free(root);
	strbuf_free(&b);
}

/* ---- CBOR ------------------------------------------------------------------------------------------------------------------------------------ */

static struct cbor one(const char *hex, bool *is_done)
{
	static u8 bytes[256];
	int n = hex_decode(bytes, sizeof(bytes), SPAN(hex, strlen(hex)));
	struct rd r = rd_init(bytes, (size_t)n);
	struct cbor v = cbor_next(&r);

	*is_done = rd_done(&r);
	return v;
}

/* RFC 8949 appendix A */
TEST(rfc8949_examples)
{
	static const struct {
		const char *hex;
		enum cbor_type type;
		u64 value;
	} cases[] = {
		{ "00", CBOR_UINT, 0 }, { "17", CBOR_UINT, 23 }, { "1818", CBOR_UINT, 24 }, { "1903e8", CBOR_UINT, 1000 },
		{ "1a000f4240", CBOR_UINT, 1000000 }, { "1bffffffffffffffff", CBOR_UINT, UINT64_MAX }, { "20", CBOR_NEGATIVE, 0 },
		{ "3903e7", CBOR_NEGATIVE, 999 }, { "40", CBOR_BYTES, 0 }, { "4401020304", CBOR_BYTES, 4 }, { "60", CBOR_TEXT, 0 },
		{ "6449455446", CBOR_TEXT, 4 }, { "80", CBOR_ARRAY, 0 }, { "a0", CBOR_MAP, 0 }, { "f4", CBOR_SIMPLE, 20 }, { "f6", CBOR_SIMPLE, 22 },
	};
	bool is_done;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct cbor v = one(cases[i].hex, &is_done);
		EXPECT(is_done);
		EXPECT_EQ(v.type, cases[i].type);
		EXPECT(v.value == cases[i].value);
	}
	struct cbor v = one("3903e7", &is_done);
	EXPECT(cbor_is_int(&v, -1000) && !cbor_is_int(&v, 999));
	v = one("6449455446", &is_done);
	EXPECT(cbor_is_text(&v, "IETF") && !cbor_is_text(&v, "IET"));
}

TEST(cbor_that_is_not_canonical_or_cut_is_malformed)
{
	static const char *const bad[] = { "", "18", "1817", "190017", "1900ff", "1a0000ffff", "1b00000000ffffffff", "1c", "1f", "5f", "7f",
					   "9f", "bf", "ff", "c0", "c11a514b67b0", "42aa", "62aa", "f97c00", "fb3ff199999999999a", "81", "a1", "a101",
					   "9bffffffffffffffff", "bbffffffffffffffff", "5bffffffffffffffff" };
	bool is_done;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct cbor v = one(bad[i], &is_done);
		EXPECT_EQ(v.type, CBOR_NONE);
		EXPECT(!is_done);
	}
}

TEST(skipping_takes_whole_items_to_a_depth)
{
	static const struct {
		const char *hex;
		bool ok;
	} cases[] = {
		{ "83010203", true }, { "a26161016162820203", true }, { "fb3ff199999999999a", true }, { "8181818181818100", true },
		{ "818181818181818100", false }, { "8201", false }, { "a1a0", false }, { "820102ff", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		u8 bytes[64];
		int n = hex_decode(bytes, sizeof(bytes), SPAN(cases[i].hex, strlen(cases[i].hex)));
		struct rd r = rd_init(bytes, (size_t)n);
		cbor_skip(&r);
		if (rd_done(&r) != cases[i].ok)
			test_fail(__FILE__, __LINE__, "%s", cases[i].hex);
	}
}
