#include "applets/portal/auth/jose_sign.h"

#include "core/base/encode.h"
#include "core/crypto/hash.h"
#include "core/json/json.h"

#include <bearssl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define RSA_BITS_MIN 2048u
#define RSA_BYTES_MAX 512u
#define HALF_MAX (RSA_BYTES_MAX / 2)
#define PUBLIC_EXPONENT 65537u
#define P256_BYTES 32u
#define DER_MAX 8192u

struct jose_key {
	bool is_rsa;
	br_rsa_private_key rsa;
	u32 e; /* BearSSL finds it only for some keys, so it is kept */
	u8 p[HALF_MAX], q[HALF_MAX], dp[HALF_MAX], dq[HALF_MAX], iq[HALF_MAX];
	u8 d[P256_BYTES], point[1 + 2 * P256_BYTES];
};

void jose_key_free(struct jose_key *k)
{
	if (k)
		sodium_memzero(k, sizeof(*k));
	free(k);
}

/* --- where keys come from ------------------------------------------------------------------------------------------------------------------ */

static int take_part(u8 *dst, size_t *n, const u8 *src, size_t len, u8 **at)
{
	while (len > 0 && *src == 0)
		src++, len--;
	if (len == 0 || len > HALF_MAX)
		return ERR_UNSUPPORTED;
	memcpy(dst, src, len);
	*n = len;
	*at = dst;
	return 0;
}

static int from_rsa(const br_rsa_private_key *sk, u32 e, struct jose_key *k)
{
	int rc = sk->n_bitlen < RSA_BITS_MIN || sk->n_bitlen > RSA_BYTES_MAX * 8 ? ERR_UNSUPPORTED : 0;

	k->is_rsa = true;
	k->e = e;
	k->rsa.n_bitlen = sk->n_bitlen;
	rc = rc ? rc : take_part(k->p, &k->rsa.plen, sk->p, sk->plen, &k->rsa.p);
	rc = rc ? rc : take_part(k->q, &k->rsa.qlen, sk->q, sk->qlen, &k->rsa.q);
	rc = rc ? rc : take_part(k->dp, &k->rsa.dplen, sk->dp, sk->dplen, &k->rsa.dp);
	rc = rc ? rc : take_part(k->dq, &k->rsa.dqlen, sk->dq, sk->dqlen, &k->rsa.dq);
	return rc ? rc : take_part(k->iq, &k->rsa.iqlen, sk->iq, sk->iqlen, &k->rsa.iq);
}

static int from_ec(const u8 *d, size_t n, struct jose_key *k)
{
	br_ec_private_key sk = { BR_EC_secp256r1, k->d, sizeof(k->d) };

	while (n > P256_BYTES && *d == 0)
		d++, n--;
	if (n == 0 || n > P256_BYTES)
		return ERR_MALFORMED;
	memcpy(k->d + P256_BYTES - n, d, n);
	return br_ec_compute_pub(br_ec_get_default(), NULL, k->point, &sk) == sizeof(k->point) ? 0 : ERR_MALFORMED;
}

static int finish_key(struct jose_key *k, int rc, struct jose_key **out)
{
	if (rc)
		jose_key_free(k);
	else
		*out = k;
	return rc;
}

/* The base64 between the dashes; *der is to be wiped. */
static int pem_to_der(struct span pem, u8 der[static DER_MAX])
{
	char text[BASE64_SIZE(DER_MAX)];
	size_t n = 0;
	const u8 *begin = pem.n ? memmem(pem.p, pem.n, "-----BEGIN ", 11) : NULL, *end = pem.p + pem.n;
	const u8 *body = begin ? memmem(begin + 11, (size_t)(end - begin - 11), "-----", 5) : NULL;

	if (!body)
		return ERR_MALFORMED;
	if (memmem(begin, (size_t)(body - begin), "ENCRYPTED", 9))
		return ERR_UNSUPPORTED;
	for (const u8 *p = body + 5; p < end && *p != '-'; p++) {
		if (*p == '\n' || *p == '\r' || *p == ' ')
			continue;
		if (n + 1 >= sizeof(text))
			return ERR_UNSUPPORTED;
		text[n++] = (char)*p;
	}
	int rc = base64_decode(der, DER_MAX, SPAN(text, n));
	sodium_memzero(text, sizeof(text));
	return rc;
}

int jose_key_from_pem(struct span pem, struct jose_key **out)
{
	u8 der[DER_MAX];
	br_skey_decoder_context dc;
	int n = pem_to_der(pem, der), rc;

	if (n < 0)
		return n == ERR_UNSUPPORTED ? n : ERR_MALFORMED;
	struct jose_key *k = calloc(1, sizeof(*k));
	br_skey_decoder_init(&dc);
	br_skey_decoder_push(&dc, der, (size_t)n);
	const br_ec_private_key *ec = br_skey_decoder_get_ec(&dc);
	const br_rsa_private_key *rsa = br_skey_decoder_get_rsa(&dc);
	if (!k)
		rc = ERR_NOMEM;
	else if (rsa)
		rc = from_rsa(rsa, PUBLIC_EXPONENT, k); /* nobody makes others; it only shows in the public half */
	else if (ec && ec->curve == BR_EC_secp256r1)
		rc = from_ec(ec->x, ec->xlen, k);
	else
		rc = ec || br_skey_decoder_last_error(&dc) == BR_ERR_X509_UNSUPPORTED ? ERR_UNSUPPORTED : ERR_MALFORMED;
	sodium_memzero(&dc, sizeof(dc));
	sodium_memzero(der, sizeof(der));
	return finish_key(k, rc, out);
}

static int jwk_part(struct json_get *g, const struct cJSON *o, const char *name, u8 raw[static RSA_BYTES_MAX + 1])
{
	const char *text = json_str(g, o, name);

	return g->err ? g->err : base64url_decode(raw, RSA_BYTES_MAX + 1, SPAN(text, strlen(text)));
}

static u32 bit_length(const u8 *n, int len)
{
	int i = 0;

	while (i < len && n[i] == 0)
		i++;
	return i == len ? 0 : (u32)(len - i) * 8 - (u32)__builtin_clz(n[i]) + 24;
}

static int rsa_from_jwk(const struct cJSON *o, struct jose_key *k)
{
	static const char *const names[] = { "n", "p", "q", "dp", "dq", "qi", "e" };
	u8 raw[ARRAY_LEN(names)][RSA_BYTES_MAX + 1];
	int n[ARRAY_LEN(names)], rc = 0;
	u32 e = 0;
	struct json_get g = JSON_GET;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		n[i] = jwk_part(&g, o, names[i], raw[i]);
		rc = n[i] <= 0 ? ERR_MALFORMED : rc;
	}
	for (int i = 0; rc == 0 && i < n[6]; i++)
		e = e << 8 | raw[6][i];
	if (!rc)
		rc = from_rsa(&(br_rsa_private_key){ bit_length(raw[0], n[0]), raw[1], (size_t)n[1], raw[2], (size_t)n[2], raw[3], (size_t)n[3], raw[4],
						     (size_t)n[4], raw[5], (size_t)n[5] },
			      e, k);
	sodium_memzero(raw, sizeof(raw));
	return rc;
}

int jose_key_from_jwk(struct span json, struct jose_key **out)
{
	static const struct json_limits limits = { 16384, 64, 4 };
	struct json_get g = JSON_GET;
	struct cJSON *root;
	u8 raw[RSA_BYTES_MAX + 1];
	int rc = json_parse(json, &limits, &root);

	if (rc)
		return rc == ERR_NOMEM ? rc : ERR_MALFORMED;
	struct jose_key *k = calloc(1, sizeof(*k));
	const char *kty = json_str(&g, root, "kty");
	if (!k) {
		rc = ERR_NOMEM;
	} else if (strcmp(kty, "RSA") == 0) {
		rc = rsa_from_jwk(root, k);
	} else if (strcmp(kty, "EC") == 0 && strcmp(json_str(&g, root, "crv"), "P-256") == 0) {
		int n = jwk_part(&g, root, "d", raw);
		rc = n < 0 ? ERR_MALFORMED : from_ec(raw, (size_t)n, k);
	} else {
		rc = g.err ? ERR_MALFORMED : ERR_UNSUPPORTED;
	}
	sodium_memzero(raw, sizeof(raw));
	json_free(root);
	return finish_key(k, rc, out);
}

static void seeded(br_hmac_drbg_context *drbg, const u8 seed[static JOSE_SEED_LEN])
{
	br_hmac_drbg_init(drbg, &br_sha256_vtable, seed, JOSE_SEED_LEN);
}

int jose_key_make_ec(const u8 seed[static JOSE_SEED_LEN], struct jose_key **out)
{
	struct jose_key *k = calloc(1, sizeof(*k));
	u8 buf[BR_EC_KBUF_PRIV_MAX_SIZE];
	br_hmac_drbg_context drbg;
	br_ec_private_key sk;

	if (!k)
		return ERR_NOMEM;
	seeded(&drbg, seed);
	size_t n = br_ec_keygen(&drbg.vtable, br_ec_get_default(), &sk, buf, BR_EC_secp256r1);
	int rc = n ? from_ec(sk.x, sk.xlen, k) : ERR_UNSUPPORTED;
	sodium_memzero(buf, sizeof(buf));
	sodium_memzero(&drbg, sizeof(drbg));
	return finish_key(k, rc, out);
}

int jose_key_make_rsa(const u8 seed[static JOSE_SEED_LEN], struct jose_key **out)
{
	struct jose_key *k = calloc(1, sizeof(*k));
	u8 buf[BR_RSA_KBUF_PRIV_SIZE(JOSE_RSA_BITS)];
	br_hmac_drbg_context drbg;
	br_rsa_private_key sk;

	if (!k)
		return ERR_NOMEM;
	seeded(&drbg, seed);
	int rc = br_rsa_keygen_get_default()(&drbg.vtable, &sk, buf, NULL, NULL, JOSE_RSA_BITS, PUBLIC_EXPONENT) ? from_rsa(&sk, PUBLIC_EXPONENT, k) : ERR_UNSUPPORTED;
	sodium_memzero(buf, sizeof(buf));
	sodium_memzero(&drbg, sizeof(drbg));
	return finish_key(k, rc, out);
}

/* --- keys as JSON ----------------------------------------------------------------------------------------------------------------------------- */

static void put_bytes(struct json_out *o, const char *name, const u8 *p, size_t n)
{
	char text[BASE64URL_SIZE(RSA_BYTES_MAX)];

	base64url_encode(text, sizeof(text), SPAN(p, n));
	json_put_str(o, name, text);
	sodium_memzero(text, sizeof(text));
}

static void put_public_members(struct json_out *o, const struct jose_key *k, const char *kid)
{
	if (k->is_rsa) {
		u8 n[RSA_BYTES_MAX];
		size_t len = br_rsa_compute_modulus_get_default()(n, &k->rsa);
		u32 e = k->e;
		u8 exponent[4] = { (u8)(e >> 24), (u8)(e >> 16), (u8)(e >> 8), (u8)e };
		size_t skip = e >> 24 ? 0 : e >> 16 ? 1 : e >> 8 ? 2 : 3;
		json_put_str(o, "kty", "RSA");
		put_bytes(o, "n", n, len);
		put_bytes(o, "e", exponent + skip, sizeof(exponent) - skip);
	} else {
		json_put_str(o, "kty", "EC");
		json_put_str(o, "crv", "P-256");
		put_bytes(o, "x", k->point + 1, P256_BYTES);
		put_bytes(o, "y", k->point + 1 + P256_BYTES, P256_BYTES);
	}
	if (kid)
		json_put_str(o, "kid", kid);
}

void jose_put_public(struct json_out *o, const char *member, const struct jose_key *k, const char *kid)
{
	json_open(o, member);
	put_public_members(o, k, kid);
	json_close(o);
}

void jose_put_private(struct json_out *o, const char *member, const struct jose_key *k, const char *kid)
{
	u8 d[RSA_BYTES_MAX];

	json_open(o, member);
	put_public_members(o, k, kid);
	if (k->is_rsa) {
		size_t n = br_rsa_compute_privexp_get_default()(d, &k->rsa, k->e);
		put_bytes(o, "d", d, n);
		put_bytes(o, "p", k->p, k->rsa.plen);
		put_bytes(o, "q", k->q, k->rsa.qlen);
		put_bytes(o, "dp", k->dp, k->rsa.dplen);
		put_bytes(o, "dq", k->dq, k->rsa.dqlen);
		put_bytes(o, "qi", k->iq, k->rsa.iqlen);
	} else {
		put_bytes(o, "d", k->d, P256_BYTES);
	}
	json_close(o);
	sodium_memzero(d, sizeof(d));
}

/* --- signing ---------------------------------------------------------------------------------------------------------------------------------- */

static void put_encoded(struct strbuf *out, struct span bytes)
{
	char *room = strbuf_room(out, BASE64URL_SIZE(bytes.n));

	if (room)
		out->n += (size_t)base64url_encode(room, BASE64URL_SIZE(bytes.n), bytes);
}

/* The header with `alg` in front of what it has. */
static void put_header(struct strbuf *out, const struct jose_key *k, struct span header)
{
	struct strbuf text = { 0 };
	bool is_empty = header.n == 2;

	strbuf_printf(&text, "{\"alg\":\"%s\"%s", k->is_rsa ? "RS256" : "ES256", is_empty ? "" : ",");
	strbuf_add(&text, header.p + 1, header.n - 1);
	if (strbuf_ok(&text))
		put_encoded(out, strbuf_span(&text));
	else
		out->failed = true;
	strbuf_free(&text);
}

int jws_sign(const struct jose_key *k, struct span header, struct span claims, struct strbuf *out)
{
	u8 hash[SHA256_LEN], sig[RSA_BYTES_MAX];
	br_ec_private_key ec = { BR_EC_secp256r1, (u8 *)k->d, sizeof(k->d) };
	size_t start = out->n, n;

	if (header.n < 2 || header.p[0] != '{')
		return ERR_MALFORMED;
	put_header(out, k, header);
	strbuf_putc(out, '.');
	put_encoded(out, claims);
	if (!strbuf_ok(out))
		return ERR_NOMEM;
	sha256(hash, SPAN(out->p + start, out->n - start));
	if (k->is_rsa) {
		n = (k->rsa.n_bitlen + 7) / 8;
		if (!br_rsa_pkcs1_sign_get_default()(BR_HASH_OID_SHA256, hash, sizeof(hash), &k->rsa, sig))
			return ERR_MALFORMED;
	} else {
		n = br_ecdsa_sign_raw_get_default()(br_ec_get_default(), &br_sha256_vtable, hash, &ec, sig);
		if (n != 2 * P256_BYTES)
			return ERR_MALFORMED;
	}
	strbuf_putc(out, '.');
	put_encoded(out, SPAN(sig, n));
	return strbuf_ok(out) ? 0 : ERR_NOMEM;
}
