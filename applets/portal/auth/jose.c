#include "applets/portal/auth/jose.h"

#include "core/base/encode.h"
#include "core/crypto/hash.h"
#include "core/json/json.h"

#include <bearssl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define RSA_BYTES_MAX 512u
#define RSA_EXPONENT_MAX 8u
#define P256_BYTES 32u
#define ED25519_BYTES 32u
#define KEY_SET_BYTES_MAX (1024u * 1024u)

static const struct json_limits key_set_limits = { KEY_SET_BYTES_MAX, 16384, 8 };
static const struct json_limits token_limits = { JOSE_TOKEN_MAX, 8192, 16 };

struct jwk {
	enum jose_alg alg;
	bool has_kid;
	char kid[JWK_KID_MAX + 1];
	union {
		struct {
			u8 n[RSA_BYTES_MAX], e[RSA_EXPONENT_MAX];
			size_t n_len, e_len;
		} rsa;
		u8 ec[1 + 2 * P256_BYTES];
		u8 ed[ED25519_BYTES];
	};
};

struct jwks {
	u32 n;
	struct jwk key[JWKS_KEYS_MAX];
};

const char *jose_alg_name(enum jose_alg a)
{
	static const char *const names[] = { [JOSE_RS256] = "RS256", [JOSE_ES256] = "ES256", [JOSE_EDDSA] = "EdDSA" };

	return names[a];
}

/* --- key sets ------------------------------------------------------------------------------------------------------------------------------- */

/* A member in base64url, without leading zeros. The length, or negative. */
static int get_number(const struct cJSON *o, const char *name, u8 *out, size_t cap)
{
	struct json_get g = JSON_GET;
	u8 raw[RSA_BYTES_MAX + 8];
	const char *text = json_str(&g, o, name);
	int n = g.err ? g.err : base64url_decode(raw, sizeof(raw), SPAN(text, strlen(text)));
	int skip = 0;

	while (skip < n && raw[skip] == 0)
		skip++;
	if (n < 0 || n == skip || (size_t)(n - skip) > cap)
		return ERR_MALFORMED;
	memcpy(out, raw + skip, (size_t)(n - skip));
	return n - skip;
}

/* Exactly n bytes. */
static bool get_bytes(const struct cJSON *o, const char *name, u8 *out, size_t n)
{
	struct json_get g = JSON_GET;
	const char *text = json_str(&g, o, name);

	return !g.err && base64url_decode(out, n, SPAN(text, strlen(text))) == (int)n;
}

static bool parse_rsa(const struct cJSON *o, struct jwk *k)
{
	int n = get_number(o, "n", k->rsa.n, sizeof(k->rsa.n)), e = get_number(o, "e", k->rsa.e, sizeof(k->rsa.e));

	if (n < 0 || e < 0)
		return false;
	k->alg = JOSE_RS256;
	k->rsa.n_len = (size_t)n;
	k->rsa.e_len = (size_t)e;
	if ((u32)n * 8 < JOSE_RSA_BITS_MIN || ((u32)n * 8 == JOSE_RSA_BITS_MIN && !(k->rsa.n[0] & 0x80)))
		return false;
	return (k->rsa.n[n - 1] & 1) && (k->rsa.e[e - 1] & 1) && !(e == 1 && k->rsa.e[0] == 1);
}

static bool parse_ec(const struct cJSON *o, const char *curve, struct jwk *k)
{
	k->alg = JOSE_ES256;
	k->ec[0] = 4; /* uncompressed */
	return strcmp(curve, "P-256") == 0 && get_bytes(o, "x", k->ec + 1, P256_BYTES) && get_bytes(o, "y", k->ec + 1 + P256_BYTES, P256_BYTES);
}

static bool parse_okp(const struct cJSON *o, const char *curve, struct jwk *k)
{
	k->alg = JOSE_EDDSA;
	return strcmp(curve, "Ed25519") == 0 && get_bytes(o, "x", k->ed, ED25519_BYTES);
}

static const char *str_or_empty(struct json_get *g, const struct cJSON *o, const char *name)
{
	const char *s = json_str_null(g, o, name);

	return s ? s : "";
}

static bool alg_is(const char *name, enum jose_alg a)
{
	return strcmp(name, jose_alg_name(a)) == 0 || (a == JOSE_EDDSA && strcmp(name, "Ed25519") == 0); /* RFC 9864 */
}

static bool may_verify(const struct cJSON *o)
{
	struct json_get g = JSON_GET;
	const struct cJSON *ops = json_array_opt(&g, o, "key_ops");
	bool may = !ops;

	json_each(op, ops) {
		const char *s = json_value_str(op);
		may |= s && strcmp(s, "verify") == 0;
	}
	return may && !g.err;
}

static bool parse_key(const struct cJSON *o, struct jwk *k)
{
	struct json_get g = JSON_GET;
	const char *kty = str_or_empty(&g, o, "kty"), *use = str_or_empty(&g, o, "use"), *alg = str_or_empty(&g, o, "alg"),
		   *kid = json_str_null(&g, o, "kid"), *curve = str_or_empty(&g, o, "crv");
	bool ok;

	*k = (struct jwk){ .has_kid = kid != NULL };
	if (g.err || (*use && strcmp(use, "sig") != 0) || !may_verify(o) || (kid && strlen(kid) > JWK_KID_MAX))
		return false;
	if (kid)
		memcpy(k->kid, kid, strlen(kid) + 1);
	if (strcmp(kty, "RSA") == 0)
		ok = parse_rsa(o, k);
	else if (strcmp(kty, "EC") == 0)
		ok = parse_ec(o, curve, k);
	else
		ok = strcmp(kty, "OKP") == 0 && parse_okp(o, curve, k);
	return ok && (!*alg || alg_is(alg, k->alg));
}

int jwks_parse(struct span json, struct jwks **out)
{
	struct cJSON *root;
	struct json_get g = JSON_GET;
	int rc = json_parse(json, &key_set_limits, &root);

	if (rc)
		return rc == ERR_NOMEM ? rc : ERR_MALFORMED;
	const struct cJSON *keys = json_array(&g, root, "keys");
	struct jwks *set = g.err ? NULL : calloc(1, sizeof(*set));
	json_each(key, set ? keys : NULL)
		if (set->n < JWKS_KEYS_MAX && json_is_object(key) && parse_key(key, &set->key[set->n]))
			set->n++;
	json_free(root);
	*out = set;
	return g.err ? ERR_MALFORMED : set ? 0 : ERR_NOMEM;
}

u32 jwks_count(const struct jwks *keys)
{
	return keys->n;
}

void jwks_free(struct jwks *keys)
{
	free(keys);
}

/* With a kid: that one. Without: the only one of its algorithm. */
static const struct jwk *find_key(const struct jwks *keys, const char *alg, const char *kid)
{
	const struct jwk *found = NULL;

	for (u32 i = 0; i < keys->n; i++) {
		const struct jwk *k = &keys->key[i];
		if (!alg_is(alg, k->alg))
			continue;
		if (kid && k->has_kid && strcmp(kid, k->kid) == 0)
			return k;
		if (kid)
			continue;
		if (found)
			return NULL;
		found = k;
	}
	return found;
}

/* --- signatures ------------------------------------------------------------------------------------------------------------------------------- */

static bool verify_rsa(const struct jwk *k, const u8 hash[static SHA256_LEN], struct span sig)
{
	br_rsa_public_key pk = { (u8 *)k->rsa.n, k->rsa.n_len, (u8 *)k->rsa.e, k->rsa.e_len };
	u8 signed_hash[SHA256_LEN];

	return sig.n == k->rsa.n_len && br_rsa_pkcs1_vrfy_get_default()(sig.p, sig.n, BR_HASH_OID_SHA256, sizeof(signed_hash), &pk, signed_hash) &&
	       sodium_memcmp(hash, signed_hash, sizeof(signed_hash)) == 0;
}

static bool verify_ec(const struct jwk *k, const u8 hash[static SHA256_LEN], struct span sig)
{
	br_ec_public_key pk = { BR_EC_secp256r1, (u8 *)k->ec, sizeof(k->ec) };

	return sig.n == 2 * P256_BYTES && br_ecdsa_vrfy_raw_get_default()(br_ec_get_default(), hash, SHA256_LEN, &pk, sig.p, sig.n);
}

static bool verify(const struct jwk *k, struct span text, struct span sig)
{
	u8 hash[SHA256_LEN];

	if (k->alg == JOSE_EDDSA)
		return sig.n == crypto_sign_BYTES && crypto_sign_verify_detached(sig.p, text.p, text.n, k->ed) == 0;
	sha256(hash, text);
	return k->alg == JOSE_RS256 ? verify_rsa(k, hash, sig) : verify_ec(k, hash, sig);
}

/* The part before the next dot, or all that is left. */
static struct span next_part(struct span *rest)
{
	const u8 *dot = rest->n > 0 ? memchr(rest->p, '.', rest->n) : NULL;
	size_t n = dot ? (size_t)(dot - rest->p) : rest->n, used = n + (dot != NULL);
	struct span part = SPAN(rest->p, n);

	*rest = SPAN(rest->p + used, rest->n - used);
	return part;
}

static int decode_object(struct span part, struct cJSON **out)
{
	u8 *raw = malloc(part.n + 1);
	int n = raw ? base64url_decode(raw, part.n + 1, part) : ERR_NOMEM, rc = n < 0 ? n : json_parse(SPAN(raw, (size_t)n), &token_limits, out);

	free(raw);
	if (rc)
		return rc == ERR_NOMEM ? rc : ERR_MALFORMED;
	if (json_is_object(*out))
		return 0;
	json_free(*out);
	return ERR_MALFORMED;
}

/* Which key the header asks for. */
static int choose(const struct cJSON *header, const struct jwks *keys, const struct jwk **key)
{
	struct json_get g = JSON_GET;
	const char *alg = json_str(&g, header, "alg"), *kid = json_str_null(&g, header, "kid");

	if (json_member(&g, header, "crit") && !g.err)
		return ERR_UNSUPPORTED;
	if (g.err)
		return ERR_MALFORMED;
	if (!alg_is(alg, JOSE_RS256) && !alg_is(alg, JOSE_ES256) && !alg_is(alg, JOSE_EDDSA))
		return ERR_UNSUPPORTED;
	*key = find_key(keys, alg, kid);
	return *key ? 0 : ERR_NOT_FOUND;
}

int jws_verify(struct span token, const struct jwks *keys, struct cJSON **claims)
{
	struct span rest = token, head = next_part(&rest), body = next_part(&rest);
	struct cJSON *header = NULL;
	const struct jwk *key = NULL;
	u8 sig[RSA_BYTES_MAX];

	*claims = NULL;
	if (token.n > JOSE_TOKEN_MAX || head.n == 0 || body.n == 0 || rest.n == 0)
		return ERR_MALFORMED;
	int n = base64url_decode(sig, sizeof(sig), rest); /* a fourth part is no base64url either */
	int rc = decode_object(head, &header);
	if (rc)
		return rc;
	rc = choose(header, keys, &key);
	json_free(header);
	if (rc)
		return rc;
	if (n < 0)
		return ERR_MALFORMED;
	if (!verify(key, SPAN(token.p, head.n + 1 + body.n), SPAN(sig, (size_t)n)))
		return ERR_AUTH;
	return decode_object(body, claims);
}

/* --- claims ----------------------------------------------------------------------------------------------------------------------------------- */

static int refuse(int err, const char **why, const char *text)
{
	*why = text;
	return err;
}

static int check_audience(const struct cJSON *claims, const struct jwt_expect *e, const char **why)
{
	struct json_get g = JSON_GET;
	const struct cJSON *aud = json_member(&g, claims, "aud");
	const char *azp = json_str_null(&g, claims, "azp"), *one = json_value_str(aud);
	bool found = one && strcmp(one, e->audience) == 0;
	size_t n = json_is_array(aud) ? json_count(aud) : 1;

	if (g.err || (!one && !json_is_array(aud)))
		return refuse(ERR_MALFORMED, why, "aud or azp is missing or of the wrong kind");
	json_each(v, json_is_array(aud) ? aud : NULL) {
		one = json_value_str(v);
		found |= one && strcmp(one, e->audience) == 0;
	}
	if (!found)
		return refuse(ERR_DENIED, why, "aud names somebody else");
	if (azp ? strcmp(azp, e->audience) != 0 : n > 1)
		return refuse(ERR_DENIED, why, "azp names somebody else");
	return 0;
}

static int check_times(const struct cJSON *claims, u64 now, const char **why)
{
	struct json_get g = JSON_GET;
	u64 exp = json_uint(&g, claims, "exp", JSON_UINT_MAX), iat = json_uint(&g, claims, "iat", JSON_UINT_MAX),
	    nbf = json_uint_or(&g, claims, "nbf", JSON_UINT_MAX, 0);

	if (g.err)
		return refuse(ERR_MALFORMED, why, "exp, iat or nbf is missing or of the wrong kind");
	if (now >= exp + JOSE_LEEWAY_SECS)
		return refuse(ERR_EXPIRED, why, "exp is over; are the clocks right?");
	if (iat > now + JOSE_LEEWAY_SECS || nbf > now + JOSE_LEEWAY_SECS)
		return refuse(ERR_EXPIRED, why, "iat or nbf lies in the future; are the clocks right?");
	return 0;
}

int jwt_check(const struct cJSON *claims, const struct jwt_expect *e, const char **why)
{
	struct json_get g = JSON_GET;
	const char *iss = json_str(&g, claims, "iss");

	*why = "";
	if (g.err)
		return refuse(ERR_MALFORMED, why, "iss is missing");
	if (e->issuer && strcmp(iss, e->issuer) != 0)
		return refuse(ERR_DENIED, why, "iss is another issuer");
	int rc = check_audience(claims, e, why);
	rc = rc ? rc : check_times(claims, e->now_secs, why);
	if (rc || !e->nonce)
		return rc;
	const char *nonce = json_str_null(&g, claims, "nonce");
	if (g.err || !nonce)
		return refuse(ERR_MALFORMED, why, "nonce is missing");
	if (strlen(nonce) != strlen(e->nonce) || sodium_memcmp(nonce, e->nonce, strlen(e->nonce)) != 0)
		return refuse(ERR_DENIED, why, "nonce is another sign-in's");
	return 0;
}
