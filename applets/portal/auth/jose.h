/* applets/portal/auth/jose.h: signed tokens of others, and what their claims must say (RFC 7515, 7517, 7519, 8037; spec 60 §3.6).
 *
 *   key set (JSON) ──jwks_parse()──▶ struct jwks ──┐
 *   token ─────────────────────────────────────────┴─ jws_verify() ──▶ claims ──jwt_check()──▶ may be believed
 *
 * Three algorithms and no others: RS256 (2048 to 4096 bits), ES256, EdDSA with Ed25519. The key decides: a token's header must name the
 * algorithm of the key it was found with, so that neither `none` nor a MAC keyed with a public key nor a change of curve gets anywhere.
 * Headers with `crit` are refused; keys and URLs inside headers are never looked at.
 */
#pragma once

#include "core/base/err.h"
#include "core/base/types.h"

#define JWKS_KEYS_MAX 64u      /* usable ones; more are left out */
#define JWK_KID_MAX 255u
#define JOSE_TOKEN_MAX 65536u  /* bytes of a compact token */
#define JOSE_RSA_BITS_MIN 2048u
#define JOSE_LEEWAY_SECS 30u   /* spec 60 §3.6 */

struct cJSON;
struct jwks;

enum jose_alg { JOSE_RS256, JOSE_ES256, JOSE_EDDSA };

const char *jose_alg_name(enum jose_alg a);

/* Keys of other kinds, for other uses or broken are skipped. ERR_MALFORMED: no key set; ERR_NOMEM. */
int jwks_parse(struct span json, struct jwks **out) MUST_CHECK;
u32 jwks_count(const struct jwks *keys);
void jwks_free(struct jwks *keys);

/* The claims, json_free() them. ERR_MALFORMED: no compact token, or no JSON objects inside. ERR_UNSUPPORTED: an algorithm not allowed, or `crit`.
 * ERR_NOT_FOUND: no key of that id and algorithm (a fresh key set may have it). ERR_AUTH: the signature is wrong. */
int jws_verify(struct span token, const struct jwks *keys, struct cJSON **claims) MUST_CHECK;

struct jwt_expect {
	const char *issuer;   /* NULL: any */
	const char *audience; /* must be among `aud`; with several, or with `azp`, `azp` must be it (OpenID Connect Core §3.1.3.7) */
	const char *nonce;    /* NULL: not asked for */
	u64 now_secs;	      /* `exp` and `iat` are required, `nbf` is heeded; JOSE_LEEWAY_SECS either way */
};

/* ERR_MALFORMED: a claim is missing or of the wrong kind; ERR_DENIED: it says something else; ERR_EXPIRED. *why is for the log. */
int jwt_check(const struct cJSON *claims, const struct jwt_expect *e, const char **why) MUST_CHECK;
