/* core/crypto/key.h: key agreement, and the two manners every secret needs.
 */
#pragma once

#include "core/base/types.h"

#define X25519_LEN 32u

/* out = scalar * point (RFC 7748). ERR_INVAL when the result is all zero, that is, `pub` is a point of small order; out is zero then. */
int x25519(u8 out[static X25519_LEN], const u8 priv[static X25519_LEN], const u8 pub[static X25519_LEN]) MUST_CHECK;
void x25519_public(u8 pub[static X25519_LEN], const u8 priv[static X25519_LEN]);

/* Compares in time that depends on n only. */
bool secret_eq(const void *a, const void *b, size_t n) MUST_CHECK;
bool secret_is_zero(const void *p, size_t n);
/* Zeroes in a way the compiler cannot remove. */
void secret_wipe(void *p, size_t n);
