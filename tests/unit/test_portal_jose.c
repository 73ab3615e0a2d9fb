/* Tokens: the examples of the RFCs, everything that must not be believed, and what we sign ourselves. */
#include "applets/portal/auth/jose.h"
#include "applets/portal/auth/jose_sign.h"
#include "core/base/encode.h"
#include "core/json/json.h"
#include "tests/unit/test.h"
#include "tests/unit/tls_certs.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(s) SPAN(s, strlen(s))

/* RFC 7515 A.2, A.3; RFC 8037 A.2, A.4 */
#define RSA_N                                                                                                                                  \
	"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b" \
	"32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5" \
	"IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
#define RSA_KEY "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQAB\"}"
#define EC_KEY "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}"
#define ED_KEY "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}"
#define JOE "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
#define RSA_JWS                                                                                                                                \
	"eyJhbGciOiJSUzI1NiJ9." JOE ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdb" \
	"F9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHW" \
	"EsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
#define EC_SIG "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
#define EC_JWS "eyJhbGciOiJFUzI1NiJ9." JOE "." EC_SIG
#define ED_JWS "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"

static struct jwks *set_of(const char *keys)
{
	struct strbuf b = { 0 };
	struct jwks *set = NULL;

	strbuf_printf(&b, "{\"keys\":[%s]}", keys);
	EXPECT_EQ(jwks_parse(strbuf_span(&b), &set), 0);
	strbuf_free(&b);
	return set;
}

/* The result of verifying with a set of keys; frees everything. */
static int verified(const char *keys, const char *token)
{
	struct jwks *set = set_of(keys);
	struct cJSON *claims = NULL;
	int rc = jws_verify(TEXT(token), set, &claims);

	EXPECT(rc == 0 ? claims != NULL : claims == NULL);
	json_free(claims);
	jwks_free(set);
	return rc;
}

TEST(jose_examples_of_the_rfcs_verify)
{
	EXPECT_EQ(verified(RSA_KEY, RSA_JWS), 0);
	EXPECT_EQ(verified(EC_KEY, EC_JWS), 0);
	EXPECT_EQ(verified(RSA_KEY "," EC_KEY "," ED_KEY, EC_JWS), 0);
	EXPECT_EQ(verified(ED_KEY, ED_JWS), ERR_MALFORMED); /* the signature holds, but its text is no JSON */
}

TEST(jose_a_changed_bit_anywhere_is_noticed)
{
	static const char *const tokens[] = { RSA_JWS, EC_JWS, ED_JWS };
	struct jwks *set = set_of(RSA_KEY "," EC_KEY "," ED_KEY);

	for (u32 t = 0; t < ARRAY_LEN(tokens); t++) {
		char *copy = strdup(tokens[t]);
		size_t n = strlen(copy);
		for (size_t i = 0; i < n; i += 3) {
			struct cJSON *claims = NULL;
			char old = copy[i];
			copy[i] = old == 'A' ? 'B' : 'A';
			int rc = jws_verify(SPAN(copy, n), set, &claims);
			if (rc == 0)
				test_fail(__FILE__, __LINE__, "token %u holds with byte %zu changed", t, i);
			json_free(claims);
			copy[i] = old;
		}
		free(copy);
	}
	jwks_free(set);
}

/* header, claims and signature as text */
static void token(char out[static 4096], const char *header, const char *claims, const char *sig)
{
	char h[1024], c[2048];

	base64url_encode(h, sizeof(h), TEXT(header));
	base64url_encode(c, sizeof(c), TEXT(claims));
	snprintf(out, 4096, "%s.%s.%s", h, c, sig);
}

TEST(spec60_25_jose_only_the_three_algorithms_and_never_another_than_the_keys)
{
	static const struct {
		const char *header;
		int rc;
	} cases[] = {
		{ "{\"alg\":\"none\"}", ERR_UNSUPPORTED },
		{ "{\"alg\":\"None\"}", ERR_UNSUPPORTED },
		{ "{\"alg\":\"HS256\"}", ERR_UNSUPPORTED },
		{ "{\"alg\":\"RS384\"}", ERR_UNSUPPORTED },
		{ "{\"alg\":\"PS256\"}", ERR_UNSUPPORTED },
		{ "{\"alg\":\"ES384\"}", ERR_UNSUPPORTED },
		{ "{\"alg\":\"rs256\"}", ERR_UNSUPPORTED },
		{ "{\"alg\":\"ES256\",\"crit\":[\"exp\"],\"exp\":1}", ERR_UNSUPPORTED },
		{ "{\"alg\":\"ES256\",\"crit\":null}", ERR_UNSUPPORTED },
		{ "{\"alg\":[\"ES256\"]}", ERR_MALFORMED },
		{ "{\"alg\":\"ES256\",\"alg\":\"ES256\"}", ERR_MALFORMED },
		{ "{}", ERR_MALFORMED },
		{ "[]", ERR_MALFORMED },
		{ "{\"alg\":\"ES256\",\"kid\":\"other\"}", ERR_NOT_FOUND },
		{ "{\"alg\":\"ES256\",\"kid\":7}", ERR_MALFORMED },
		{ "{\"alg\":\"EdDSA\"}", ERR_NOT_FOUND }, /* the key of that name is for ES256 */
		{ "{\"alg\":\"RS256\"}", ERR_NOT_FOUND },
		/* a key inside the header is nobody's */
		{ "{\"alg\":\"EdDSA\",\"jwk\":" ED_KEY "}", ERR_NOT_FOUND },
	};
	char text[4096];

	for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
		token(text, cases[i].header, "{\"iss\":\"joe\"}", EC_SIG);
		if (verified(EC_KEY, text) != cases[i].rc)
			test_fail(__FILE__, __LINE__, "%s", cases[i].header);
	}
	token(text, "{\"alg\":\"none\"}", "{\"iss\":\"joe\"}", "");
	EXPECT(verified(EC_KEY, text) != 0);
	token(text, "{\"alg\":\"ES256\"}", "{\"iss\":\"joe\"}", "");
	EXPECT(verified(EC_KEY, text) != 0);
}

TEST(jose_malformed_tokens_are_refused)
{
	static const char *const bad[] = { "", ".", "..", "a.b", "a.b.c.d", "eyJhbGciOiJFUzI1NiJ9." JOE, "eyJhbGciOiJFUzI1NiJ9." JOE ".",
		EC_JWS ".", EC_JWS "=", " " EC_JWS, EC_JWS "\n", "eyJhbGciOiJFUzI1NiJ9 ." JOE "." EC_SIG,
		/* signatures of zeros, and of the wrong length */
		"eyJhbGciOiJFUzI1NiJ9." JOE ".AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		"eyJhbGciOiJFUzI1NiJ9." JOE ".AAAA", "eyJhbGciOiJSUzI1NiJ9." JOE ".AAAA" };

	for (u32 i = 0; i < ARRAY_LEN(bad); i++)
		if (verified(RSA_KEY "," EC_KEY, bad[i]) == 0)
			test_fail(__FILE__, __LINE__, "%s", bad[i]);
}

static u32 usable(const char *keys)
{
	struct jwks *set = set_of(keys);
	u32 n = set ? jwks_count(set) : 0;

	jwks_free(set);
	return n;
}

TEST(jose_keys_that_may_not_be_used_are_skipped)
{
	struct jwks *set;

	EXPECT_EQ(usable(RSA_KEY "," EC_KEY "," ED_KEY), 3);
	EXPECT_EQ(usable("{\"kty\":\"RSA\",\"alg\":\"RS256\",\"use\":\"sig\",\"kid\":\"a\",\"n\":\"" RSA_N "\",\"e\":\"AQAB\"}"), 1);
	EXPECT_EQ(usable("{\"kty\":\"RSA\",\"alg\":\"PS256\",\"n\":\"" RSA_N "\",\"e\":\"AQAB\"}"), 0);
	EXPECT_EQ(usable("{\"kty\":\"RSA\",\"use\":\"enc\",\"n\":\"" RSA_N "\",\"e\":\"AQAB\"}"), 0);
	EXPECT_EQ(usable("{\"kty\":\"RSA\",\"key_ops\":[\"encrypt\"],\"n\":\"" RSA_N "\",\"e\":\"AQAB\"}"), 0);
	EXPECT_EQ(usable("{\"kty\":\"RSA\",\"key_ops\":[\"verify\"],\"n\":\"" RSA_N "\",\"e\":\"AQAB\"}"), 1);
	EXPECT_EQ(usable("{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQ\"}"), 0);	      /* e = 1 */
	EXPECT_EQ(usable("{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"Ag\"}"), 0);	      /* e = 2 */
	EXPECT_EQ(usable("{\"kty\":\"RSA\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTY\",\"e\":\"AQAB\"}"), 0); /* 256 bits */
	EXPECT_EQ(usable("{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"AA\",\"y\":\"AA\"}"), 0);
	EXPECT_EQ(usable("{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}"), 0);
	EXPECT_EQ(usable("{\"kty\":\"oct\",\"k\":\"AAAA\"},7,null,[],{}"), 0);
	EXPECT_EQ(jwks_parse(SPAN_STR("{\"keys\":{}}"), &set), ERR_MALFORMED);
	EXPECT_EQ(jwks_parse(SPAN_STR("[]"), &set), ERR_MALFORMED);
	EXPECT_EQ(jwks_parse(SPAN_STR("{\"keys\":["), &set), ERR_MALFORMED);
	struct strbuf many = { 0 };
	for (u32 i = 0; i < JWKS_KEYS_MAX + 5; i++)
		strbuf_printf(&many, "%s" EC_KEY, i ? "," : "");
	EXPECT_EQ(usable(strbuf_text(&many)), JWKS_KEYS_MAX);
	strbuf_free(&many);
	/* a point that is not on the curve */
	EXPECT_EQ(verified("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"}",
			   EC_JWS), ERR_AUTH);
}

TEST(jose_without_a_key_id_the_only_key_of_the_algorithm_serves)
{
	EXPECT_EQ(verified(EC_KEY "," EC_KEY, EC_JWS), ERR_NOT_FOUND);
	EXPECT_EQ(verified(ED_KEY "," RSA_KEY "," EC_KEY, EC_JWS), 0);
}

/* --- claims ----------------------------------------------------------------------------------------------------------------------------- */

static int checked(const char *claims, const char *nonce)
{
	struct cJSON *root = NULL;
	const char *why;
	struct jwt_expect e = { .issuer = "https://idp", .audience = "me", .nonce = nonce, .now_secs = 1000 };

	if (json_parse(TEXT(claims), NULL, &root))
		return 99;
	int rc = jwt_check(root, &e, &why);
	EXPECT((rc == 0) == (*why == '\0'));
	json_free(root);
	return rc;
}

TEST(spec60_25_jose_claims_issuer_audience_times_and_nonce)
{
	static const struct {
		const char *claims;
		int rc;
	} cases[] = {
		{ "{\"iss\":\"https://idp\",\"aud\":\"me\",\"exp\":1100,\"iat\":990,\"nonce\":\"n\"}", 0 },
		{ "{\"iss\":\"https://idp\",\"aud\":[\"me\"],\"exp\":1100,\"iat\":990,\"nonce\":\"n\"}", 0 },
		{ "{\"iss\":\"https://idp\",\"aud\":[\"you\",\"me\"],\"azp\":\"me\",\"exp\":1100,\"iat\":990,\"nonce\":\"n\"}", 0 },
		{ "{\"iss\":\"https://idp\",\"aud\":[\"you\",\"me\"],\"exp\":1100,\"iat\":990,\"nonce\":\"n\"}", ERR_DENIED },
		{ "{\"iss\":\"https://idp\",\"aud\":[\"me\"],\"azp\":\"you\",\"exp\":1100,\"iat\":990,\"nonce\":\"n\"}", ERR_DENIED },
		{ "{\"iss\":\"https://idp\",\"aud\":\"you\",\"azp\":\"me\",\"exp\":1100,\"iat\":990,\"nonce\":\"n\"}", ERR_DENIED },
		{ "{\"iss\":\"https://idp\",\"aud\":[],\"exp\":1100,\"iat\":990,\"nonce\":\"n\"}", ERR_DENIED },
		{ "{\"iss\":\"https://idp\",\"aud\":{\"me\":1},\"exp\":1100,\"iat\":990,\"nonce\":\"n\"}", ERR_MALFORMED },
		{ "{\"iss\":\"https://idp\",\"exp\":1100,\"iat\":990,\"nonce\":\"n\"}", ERR_MALFORMED },
		{ "{\"iss\":\"https://idp/\",\"aud\":\"me\",\"exp\":1100,\"iat\":990,\"nonce\":\"n\"}", ERR_DENIED },
		{ "{\"aud\":\"me\",\"exp\":1100,\"iat\":990,\"nonce\":\"n\"}", ERR_MALFORMED },
		{ "{\"iss\":\"https://idp\",\"aud\":\"me\",\"iat\":990,\"nonce\":\"n\"}", ERR_MALFORMED },
		{ "{\"iss\":\"https://idp\",\"aud\":\"me\",\"exp\":\"1100\",\"iat\":990,\"nonce\":\"n\"}", ERR_MALFORMED },
		{ "{\"iss\":\"https://idp\",\"aud\":\"me\",\"exp\":1100,\"nonce\":\"n\"}", ERR_MALFORMED },
		/* 30 seconds either way */
		{ "{\"iss\":\"https://idp\",\"aud\":\"me\",\"exp\":971,\"iat\":900,\"nonce\":\"n\"}", 0 },
		{ "{\"iss\":\"https://idp\",\"aud\":\"me\",\"exp\":970,\"iat\":900,\"nonce\":\"n\"}", ERR_EXPIRED },
		{ "{\"iss\":\"https://idp\",\"aud\":\"me\",\"exp\":1100,\"iat\":1030,\"nonce\":\"n\"}", 0 },
		{ "{\"iss\":\"https://idp\",\"aud\":\"me\",\"exp\":1100,\"iat\":1031,\"nonce\":\"n\"}", ERR_EXPIRED },
		{ "{\"iss\":\"https://idp\",\"aud\":\"me\",\"exp\":1100,\"iat\":990,\"nbf\":1031,\"nonce\":\"n\"}", ERR_EXPIRED },
		{ "{\"iss\":\"https://idp\",\"aud\":\"me\",\"exp\":1100,\"iat\":990,\"nonce\":\"m\"}", ERR_DENIED },
		{ "{\"iss\":\"https://idp\",\"aud\":\"me\",\"exp\":1100,\"iat\":990,\"nonce\":\"nn\"}", ERR_DENIED },
		{ "{\"iss\":\"https://idp\",\"aud\":\"me\",\"exp\":1100,\"iat\":990,\"nonce\":\"\"}", ERR_DENIED },
		{ "{\"iss\":\"https://idp\",\"aud\":\"me\",\"exp\":1100,\"iat\":990}", ERR_MALFORMED },
	};

	for (u32 i = 0; i < ARRAY_LEN(cases); i++)
		if (checked(cases[i].claims, "n") != cases[i].rc)
			test_fail(__FILE__, __LINE__, "%s", cases[i].claims);
	EXPECT_EQ(checked("{\"iss\":\"https://idp\",\"aud\":\"me\",\"exp\":1100,\"iat\":990}", NULL), 0);
}

/* --- our own --------------------------------------------------------------------------------------------------------------------------- */

/* What we sign verifies with the public key that we publish, under its name. */
static void sign_and_verify(const struct jose_key *k)
{
	struct json_out keys = JSON_OUT;
	struct strbuf text = { 0 };
	struct jwks *set = NULL;
	struct cJSON *claims = NULL;

	json_open(&keys, NULL);
	json_open_array(&keys, "keys");
	jose_put_public(&keys, NULL, k, "k1");
	json_close_array(&keys);
	json_close(&keys);
	EXPECT(json_ok(&keys) && !memmem(keys.buf, keys.len, "\"d\"", 3));
	EXPECT_EQ(jwks_parse(json_text(&keys), &set), 0);
	EXPECT_EQ(jwks_count(set), 1);
	EXPECT_EQ(jws_sign(k, SPAN_STR("{\"typ\":\"JWT\",\"kid\":\"k1\"}"), SPAN_STR("{\"iss\":\"x\"}"), &text), 0);
	EXPECT_EQ(jws_verify(strbuf_span(&text), set, &claims), 0);
	json_free(claims);
	json_out_free(&keys);
	jwks_free(set);
	strbuf_reset(&text);
	EXPECT_EQ(jws_sign(k, SPAN_STR("{}"), SPAN_STR("{\"iss\":\"x\"}"), &text), 0);
	strbuf_free(&text);

	/* and the private key comes back from its own text */
	struct json_out priv = JSON_OUT;
	struct jose_key *again = NULL;
	jose_put_private(&priv, NULL, k, "k1");
	EXPECT_EQ(jose_key_from_jwk(json_text(&priv), &again), 0);
	json_out_free(&priv);
	jose_key_free(again);
}

TEST(jose_signs_with_rsa_and_p256)
{
	static const u8 seed[JOSE_SEED_LEN] = { 7 };
	struct jose_key *k = NULL;

	EXPECT_EQ(jose_key_make_ec(seed, &k), 0);
	sign_and_verify(k);
	jose_key_free(k);
	REQUIRE(jose_key_make_rsa(seed, &k) == 0);
	sign_and_verify(k);
	jose_key_free(k);
	REQUIRE(jose_key_from_pem(TEXT(ec_key), &k) == 0);
	sign_and_verify(k);
	jose_key_free(k);
	REQUIRE(jose_key_from_pem(TEXT(rsa_key), &k) == 0);
	sign_and_verify(k);
	jose_key_free(k);
}

TEST(jose_keys_that_are_none_are_refused)
{
	struct jose_key *k = NULL;

	EXPECT_EQ(jose_key_from_pem(SPAN_STR(""), &k), ERR_MALFORMED);
	EXPECT_EQ(jose_key_from_pem(SPAN_STR("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), &k), ERR_MALFORMED);
	EXPECT_EQ(jose_key_from_pem(SPAN_STR("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n"), &k), ERR_UNSUPPORTED);
	EXPECT_EQ(jose_key_from_jwk(SPAN_STR("{\"kty\":\"oct\",\"k\":\"AA\"}"), &k), ERR_UNSUPPORTED);
	EXPECT_EQ(jose_key_from_jwk(SPAN_STR(RSA_KEY), &k), ERR_MALFORMED);
	EXPECT_EQ(jose_key_from_jwk(SPAN_STR("{\"kty\":\"EC\",\"crv\":\"P-256\",\"d\":\"\"}"), &k), ERR_MALFORMED);
	EXPECT_EQ(jose_key_from_jwk(SPAN_STR("{"), &k), ERR_MALFORMED);
}
