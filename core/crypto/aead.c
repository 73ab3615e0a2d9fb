#include "core/crypto/aead.h"

#include "core/base/cursor.h"
#include "core/base/err.h"
#include "core/crypto/aead_avx2.h"

#include <sodium.h>

#define NONCE_LEN 12u

static void wg_nonce(u8 nonce[static NONCE_LEN], u64 counter)
{
	put_le32(nonce, 0);
	put_le64(nonce + 4, counter);
}

static bool always_usable(void)
{
	return true;
}

static void sodium_seal(struct aead_job *jobs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct aead_job *j = &jobs[i];
		u8 nonce[NONCE_LEN];
		wg_nonce(nonce, j->counter);
		crypto_aead_chacha20poly1305_ietf_encrypt_detached(j->data, j->data + j->len, NULL, j->data, j->len, NULL, 0, NULL,
								   nonce, j->key);
	}
}

static void sodium_open(struct aead_job *jobs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct aead_job *j = &jobs[i];
		u8 nonce[NONCE_LEN];
		wg_nonce(nonce, j->counter);
		j->ok = crypto_aead_chacha20poly1305_ietf_decrypt_detached(j->data, NULL, j->data, j->len, j->data + j->len, NULL,
									   0, nonce, j->key) == 0;
	}
}

static const struct aead_kernel kernels[] = {
	{ "libsodium", always_usable, sodium_seal, sodium_open },
#if AEAD_HAS_AVX2
	{ "avx2", aead_avx2_is_usable, aead_avx2_seal, aead_avx2_open },
#endif
};

static const struct aead_kernel *chosen = &kernels[0];

int aead_init(void)
{
	/* Without it libsodium stays on portable code, three times slower. */
	if (sodium_init() < 0)
		return ERR_INTERNAL;
	for (size_t i = 0; i < ARRAY_LEN(kernels); i++) {
		if (kernels[i].is_usable())
			chosen = &kernels[i];
	}
	return 0;
}

void aead_seal(struct aead_job *jobs, size_t n)
{
	chosen->seal(jobs, n);
}

void aead_open(struct aead_job *jobs, size_t n)
{
	chosen->open(jobs, n);
}

void aead_seal_ad(const u8 key[static 32], u64 counter, struct span ad, struct span in, u8 *out)
{
	u8 nonce[NONCE_LEN];
	wg_nonce(nonce, counter);
	crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, in.p, in.n, ad.p, ad.n, NULL, nonce, key);
}

int aead_open_ad(const u8 key[static 32], u64 counter, struct span ad, struct span in, u8 *out)
{
	u8 nonce[NONCE_LEN];
	wg_nonce(nonce, counter);
	if (crypto_aead_chacha20poly1305_ietf_decrypt(out, NULL, NULL, in.p, in.n, ad.p, ad.n, nonce, key) != 0)
		return ERR_AUTH;
	return 0;
}

void xaead_seal_ad(const u8 key[static 32], const u8 nonce[static 24], struct span ad, struct span in, u8 *out)
{
	crypto_aead_xchacha20poly1305_ietf_encrypt(out, NULL, in.p, in.n, ad.p, ad.n, NULL, nonce, key);
}

int xaead_open_ad(const u8 key[static 32], const u8 nonce[static 24], struct span ad, struct span in, u8 *out)
{
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, in.p, in.n, ad.p, ad.n, nonce, key) != 0)
		return ERR_AUTH;
	return 0;
}

const struct aead_kernel *aead_kernels(size_t *n)
{
	*n = ARRAY_LEN(kernels);
	return kernels;
}
