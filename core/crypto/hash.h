/* core/crypto/hash.h: hashes, message authentication and key derivation.
 *
 * Pure functions; nothing allocates or fails. `_v` variants hash the concatenation of `n` parts. Outputs may overlap inputs: a result is
 * written last. Intermediate secrets are wiped.
 */
#pragma once

#include "core/base/types.h"

#define MD5_LEN 16u
#define SHA1_LEN 20u
#define SHA256_LEN 32u
#define BLAKE2S_LEN 32u

/* BLAKE2s (RFC 7693), 1..32 bytes out, key of 0..32 bytes. */
struct blake2s {
	u32 h[8];
	u64 count; /* bytes compressed so far */
	u8 buf[64];
	u8 fill;    /* bytes waiting in buf */
	u8 out_len;
};
void blake2s_init(struct blake2s *s, size_t out_len, struct span key);
void blake2s_update(struct blake2s *s, struct span in);
void blake2s_final(struct blake2s *s, u8 *out); /* wipes s */
void blake2s(u8 *out, size_t out_len, struct span key, struct span in);
void blake2s_v(u8 *out, size_t out_len, struct span key, const struct span *parts, size_t n);
void hmac_blake2s(u8 out[static BLAKE2S_LEN], struct span key, struct span in);

/* WireGuard's KDF1..KDF3 (whitepaper §5.4): derives the outputs that are not NULL from chaining key and input. t1 may be ck. */
void wg_kdf(const u8 ck[static 32], struct span in, u8 *t1, u8 *t2, u8 *t3);

void md5(u8 out[static MD5_LEN], struct span in); /* only for TURN's long-term key */
void sha1(u8 out[static SHA1_LEN], struct span in);
void hmac_sha1(u8 out[static SHA1_LEN], struct span key, struct span in);
void hmac_sha1_v(u8 out[static SHA1_LEN], struct span key, const struct span *parts, size_t n);

void sha256(u8 out[static SHA256_LEN], struct span in);
void sha256_v(u8 out[static SHA256_LEN], const struct span *parts, size_t n);
void hmac_sha256(u8 out[static SHA256_LEN], struct span key, struct span in);
void hmac_sha256_v(u8 out[static SHA256_LEN], struct span key, const struct span *parts, size_t n);
void sha3_256(u8 out[static SHA256_LEN], struct span in); /* FIPS 202 */

/* RFC 5869 with SHA-256; out_len <= 255 * 32. ERR_LIMIT above. */
int hkdf_sha256(u8 *out, size_t out_len, struct span salt, struct span ikm, struct span info);
/* RFC 8018; iterations >= 1. */
void pbkdf2_hmac_sha256(u8 *out, size_t out_len, struct span password, struct span salt, u32 iterations);
