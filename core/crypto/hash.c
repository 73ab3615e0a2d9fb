#include "core/crypto/hash.h"

#include "core/base/cursor.h"
#include "core/base/err.h"
#include "core/crypto/key.h"

#include <bearssl.h>
#include <sodium.h>
#include <string.h>

/* The libraries want a pointer even for nothing. */
static inline const u8 *bytes(struct span s)
{
	return s.n > 0 ? s.p : (const u8 *)"";
}

void md5(u8 out[static MD5_LEN], struct span in)
{
	br_md5_context c;
	br_md5_init(&c);
	br_md5_update(&c, bytes(in), in.n);
	br_md5_out(&c, out);
	secret_wipe(&c, sizeof(c));
}

void sha1(u8 out[static SHA1_LEN], struct span in)
{
	br_sha1_context c;
	br_sha1_init(&c);
	br_sha1_update(&c, bytes(in), in.n);
	br_sha1_out(&c, out);
	secret_wipe(&c, sizeof(c));
}

void hmac_sha1_v(u8 out[static SHA1_LEN], struct span key, const struct span *parts, size_t n)
{
	br_hmac_key_context k;
	br_hmac_context c;
	br_hmac_key_init(&k, &br_sha1_vtable, bytes(key), key.n);
	br_hmac_init(&c, &k, 0);
	for (size_t i = 0; i < n; i++)
		br_hmac_update(&c, bytes(parts[i]), parts[i].n);
	br_hmac_out(&c, out);
	secret_wipe(&k, sizeof(k));
	secret_wipe(&c, sizeof(c));
}

void hmac_sha1(u8 out[static SHA1_LEN], struct span key, struct span in)
{
	hmac_sha1_v(out, key, &in, 1);
}

void sha256_v(u8 out[static SHA256_LEN], const struct span *parts, size_t n)
{
	crypto_hash_sha256_state s;
	crypto_hash_sha256_init(&s);
	for (size_t i = 0; i < n; i++)
		crypto_hash_sha256_update(&s, bytes(parts[i]), parts[i].n);
	crypto_hash_sha256_final(&s, out);
}

void sha256(u8 out[static SHA256_LEN], struct span in)
{
	sha256_v(out, &in, 1);
}

void hmac_sha256_v(u8 out[static SHA256_LEN], struct span key, const struct span *parts, size_t n)
{
	crypto_auth_hmacsha256_state s;
	crypto_auth_hmacsha256_init(&s, bytes(key), key.n);
	for (size_t i = 0; i < n; i++)
		crypto_auth_hmacsha256_update(&s, bytes(parts[i]), parts[i].n);
	crypto_auth_hmacsha256_final(&s, out);
	secret_wipe(&s, sizeof(s));
}

void hmac_sha256(u8 out[static SHA256_LEN], struct span key, struct span in)
{
	hmac_sha256_v(out, key, &in, 1);
}

int hkdf_sha256(u8 *out, size_t out_len, struct span salt, struct span ikm, struct span info)
{
	if (out_len > 255 * SHA256_LEN)
		return ERR_LIMIT;
	u8 prk[SHA256_LEN], t[SHA256_LEN];
	size_t done = 0, t_len = 0;
	hmac_sha256(prk, salt, ikm);
	for (u8 i = 1; done < out_len; i++) {
		hmac_sha256_v(t, SPAN(prk, sizeof(prk)), (struct span[]){ SPAN(t, t_len), info, SPAN(&i, 1) }, 3);
		t_len = sizeof(t);
		size_t n = MIN(out_len - done, sizeof(t));
		memcpy(out + done, t, n);
		done += n;
	}
	secret_wipe(prk, sizeof(prk));
	secret_wipe(t, sizeof(t));
	return 0;
}

void pbkdf2_hmac_sha256(u8 *out, size_t out_len, struct span password, struct span salt, u32 iterations)
{
	/* The keyed state is made once and copied: half the compressions of calling HMAC anew. */
	crypto_auth_hmacsha256_state keyed, s;
	u8 u[SHA256_LEN], t[SHA256_LEN], number[4];
	size_t done = 0;
	crypto_auth_hmacsha256_init(&keyed, bytes(password), password.n);
	for (u32 block = 1; done < out_len; block++) {
		put_be32(number, block);
		s = keyed;
		crypto_auth_hmacsha256_update(&s, bytes(salt), salt.n);
		crypto_auth_hmacsha256_update(&s, number, sizeof(number));
		crypto_auth_hmacsha256_final(&s, u);
		memcpy(t, u, sizeof(t));
		for (u32 i = 1; i < iterations; i++) {
			s = keyed;
			crypto_auth_hmacsha256_update(&s, u, sizeof(u));
			crypto_auth_hmacsha256_final(&s, u);
			for (unsigned k = 0; k < sizeof(t); k++)
				t[k] ^= u[k];
		}
		size_t n = MIN(out_len - done, sizeof(t));
		memcpy(out + done, t, n);
		done += n;
	}
	secret_wipe(&keyed, sizeof(keyed));
	secret_wipe(&s, sizeof(s));
	secret_wipe(u, sizeof(u));
	secret_wipe(t, sizeof(t));
}
