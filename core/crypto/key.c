#include "core/crypto/key.h"

#include "core/base/err.h"

#include <sodium.h>
#include <string.h>

int x25519(u8 out[static X25519_LEN], const u8 priv[static X25519_LEN], const u8 pub[static X25519_LEN])
{
	/* libsodium refuses the points of small order before it multiplies, and then leaves `out` alone. */
	u8 shared[X25519_LEN];
	int rc = 0;
	if (crypto_scalarmult_curve25519(shared, priv, pub) != 0 || secret_is_zero(shared, sizeof(shared))) {
		memset(shared, 0, sizeof(shared));
		rc = ERR_INVAL;
	}
	memcpy(out, shared, sizeof(shared));
	secret_wipe(shared, sizeof(shared));
	return rc;
}

void x25519_public(u8 pub[static X25519_LEN], const u8 priv[static X25519_LEN])
{
	crypto_scalarmult_curve25519_base(pub, priv);
}

bool secret_eq(const void *a, const void *b, size_t n)
{
	return sodium_memcmp(a, b, n) == 0;
}

bool secret_is_zero(const void *p, size_t n)
{
	return sodium_is_zero(p, n) == 1;
}

void secret_wipe(void *p, size_t n)
{
	sodium_memzero(p, n);
}
