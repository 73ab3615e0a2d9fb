/* tests/unit/authenticator.h: an authenticator and the browser before it, for tests: makes passkeys and uses them, and can be told to misbehave.
 */
#pragma once

#include "applets/portal/auth/webauthn.h"
#include "core/base/cursor.h"
#include "core/base/encode.h"
#include "core/crypto/hash.h"

#include <bearssl.h>
#include <sodium.h>
#include <stdio.h>

struct authenticator {
	bool is_ed25519;
	u8 secret[64], point[65]; /* Ed25519: public key in the first 32 bytes of point */
	u8 id[32];
	u32 sign_count;
	/* what it and the browser say; change before use */
	u8 flags;
	bool is_compressed;
	int alg, kty, crv;
	char origin[128], rp_id[128], extra[64]; /* `extra` is put behind the members of clientDataJSON */
};

#define AUTHENTICATOR_FLAGS 0x05u

static inline void authenticator_init(struct authenticator *a, bool is_ed25519, u8 seed)
{
	*a = (struct authenticator){ .is_ed25519 = is_ed25519, .flags = AUTHENTICATOR_FLAGS };
	memset(a->id, seed, sizeof(a->id));
	snprintf(a->origin, sizeof(a->origin), "https://portal.example.com");
	snprintf(a->rp_id, sizeof(a->rp_id), "portal.example.com");
	if (is_ed25519) {
		u8 s[32];
		memset(s, seed, sizeof(s));
		crypto_sign_seed_keypair(a->point, a->secret, s);
		a->kty = 1, a->alg = -8, a->crv = 6;
	} else {
		memset(a->secret, seed, 32);
		br_ec_get_default()->mulgen(a->point, a->secret, 32, BR_EC_secp256r1);
		a->kty = 2, a->alg = -7, a->crv = 1;
	}
}

static inline void cbor_head(struct wr *w, u8 major, u32 v)
{
	if (v < 24) {
		wr_u8(w, (u8)(major << 5 | v));
	} else if (v < 256) {
		wr_u8(w, (u8)(major << 5 | 24));
		wr_u8(w, (u8)v);
	} else {
		wr_u8(w, (u8)(major << 5 | 25));
		wr_be16(w, (u16)v);
	}
}
static inline void cbor_int(struct wr *w, int v)
{
	cbor_head(w, (u8)(v < 0), (u32)(v < 0 ? -1 - v : v));
}
static inline void cbor_text(struct wr *w, const char *s)
{
	cbor_head(w, 3, (u32)strlen(s));
	wr_str(w, s);
}

static inline void authenticator_cose_key(const struct authenticator *a, struct wr *w)
{
	bool has_y = !a->is_ed25519;

	cbor_head(w, 5, has_y ? 5 : 4);
	cbor_int(w, 1), cbor_int(w, a->kty);
	cbor_int(w, 3), cbor_int(w, a->alg);
	cbor_int(w, -1), cbor_int(w, a->crv);
	cbor_int(w, -2), cbor_head(w, 2, 32), wr_bytes(w, a->is_ed25519 ? a->point : a->point + 1, 32);
	if (has_y && a->is_compressed) {
		cbor_int(w, -3), wr_u8(w, a->point[64] & 1 ? 0xf5 : 0xf4);
	} else if (has_y) {
		cbor_int(w, -3), cbor_head(w, 2, 32), wr_bytes(w, a->point + 33, 32);
	}
}

static inline void authenticator_data(const struct authenticator *a, bool is_attested, struct wr *w)
{
	u8 hash[SHA256_LEN];

	sha256(hash, SPAN(a->rp_id, strlen(a->rp_id)));
	wr_bytes(w, hash, sizeof(hash));
	wr_u8(w, (u8)(a->flags | (is_attested ? 0x40 : 0)));
	wr_be32(w, a->sign_count);
	if (is_attested) {
		wr_zero(w, 16);
		wr_be16(w, sizeof(a->id));
		wr_bytes(w, a->id, sizeof(a->id));
		authenticator_cose_key(a, w);
	}
}

struct ceremony {
	u8 client_data[2048], object[2048], auth_data[1024], signature[128];
	size_t client_n, object_n, auth_n, signature_n;
};

static inline void authenticator_client_data(const struct authenticator *a, struct ceremony *c, const char *type, const u8 *challenge)
{
	char text[64];

	base64url_encode(text, sizeof(text), SPAN(challenge, WEBAUTHN_CHALLENGE_LEN));
	c->client_n = (size_t)snprintf((char *)c->client_data, sizeof(c->client_data), "{\"type\":\"%s\",\"challenge\":\"%s\",\"origin\":\"%s\"%s}", type,
				       text, a->origin, a->extra);
}

static inline void authenticator_create(struct authenticator *a, struct ceremony *c, const u8 challenge[static WEBAUTHN_CHALLENGE_LEN])
{
	u8 data[1024];
	struct wr d = wr_init(data, sizeof(data)), w = wr_init(c->object, sizeof(c->object));

	authenticator_client_data(a, c, "webauthn.create", challenge);
	authenticator_data(a, true, &d);
	cbor_head(&w, 5, 3);
	cbor_text(&w, "fmt"), cbor_text(&w, "none");
	cbor_text(&w, "attStmt"), cbor_head(&w, 5, 0);
	cbor_text(&w, "authData"), cbor_head(&w, 2, (u32)wr_len(&d)), wr_bytes(&w, data, wr_len(&d));
	c->object_n = wr_len(&w);
}

static inline void authenticator_sign(const struct authenticator *a, struct ceremony *c)
{
	u8 hash[SHA256_LEN], message[sizeof(c->auth_data) + SHA256_LEN];
	struct wr w = wr_init(message, sizeof(message));

	sha256(hash, SPAN(c->client_data, c->client_n));
	wr_bytes(&w, c->auth_data, c->auth_n);
	wr_bytes(&w, hash, sizeof(hash));
	if (a->is_ed25519) {
		crypto_sign_detached(c->signature, NULL, message, wr_len(&w), a->secret);
		c->signature_n = 64;
	} else {
		br_ec_private_key sk = { BR_EC_secp256r1, (unsigned char *)a->secret, 32 };
		sha256(hash, wr_span(&w));
		c->signature_n = br_ecdsa_i31_sign_asn1(br_ec_get_default(), &br_sha256_vtable, hash, &sk, c->signature);
	}
}

static inline void authenticator_get(struct authenticator *a, struct ceremony *c, const u8 challenge[static WEBAUTHN_CHALLENGE_LEN])
{
	struct wr d = wr_init(c->auth_data, sizeof(c->auth_data));

	authenticator_client_data(a, c, "webauthn.get", challenge);
	authenticator_data(a, false, &d);
	c->auth_n = wr_len(&d);
	authenticator_sign(a, c);
}
