/* applets/portal/auth/jose_sign.h: tokens that we sign: service accounts, private_key_jwt, DPoP (RFC 7523, RFC 9449; spec 60 §8).
 *
 * A key is RSA (RS256) or P-256 (ES256). Making an RSA key takes seconds on a small machine and signing with one some milliseconds: neither
 * touches anything but its arguments, so both may run on the helper thread (platform/worker.h). Keys are wiped when freed.
 */
#pragma once

#include "core/base/err.h"
#include "core/base/rng.h"
#include "core/base/strbuf.h"

#define JOSE_SEED_LEN 32
#define JOSE_RSA_BITS 2048u

struct jose_key;
struct json_out;

/* A PKCS#8, PKCS#1 or SEC1 key in PEM. ERR_MALFORMED, ERR_UNSUPPORTED (other kinds, RSA below 2048 bits), ERR_NOMEM. */
int jose_key_from_pem(struct span pem, struct jose_key **out) MUST_CHECK;
/* A private JWK. */
int jose_key_from_jwk(struct span json, struct jose_key **out) MUST_CHECK;
int jose_key_make_ec(const u8 seed[static JOSE_SEED_LEN], struct jose_key **out) MUST_CHECK;
int jose_key_make_rsa(const u8 seed[static JOSE_SEED_LEN], struct jose_key **out) MUST_CHECK; /* slow */
void jose_key_free(struct jose_key *k);

/* As a member, or with NULL as an element: the public part, as others expect it; the private one, as jose_key_from_jwk() reads it. `kid` may be NULL. */
void jose_put_public(struct json_out *o, const char *member, const struct jose_key *k, const char *kid);
void jose_put_private(struct json_out *o, const char *member, const struct jose_key *k, const char *kid);

/* header . claims . signature. `header` is JSON without `alg`, which is added: "{\"typ\":\"JWT\"}". ERR_MALFORMED, ERR_NOMEM. */
int jws_sign(const struct jose_key *k, struct span header, struct span claims, struct strbuf *out) MUST_CHECK;
