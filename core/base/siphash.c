#include "core/base/siphash.h"

#include "core/base/cursor.h"

static inline u64 rotl(u64 x, int k)
{
	return (x << k) | (x >> (64 - k));
}

#define ROUND(v0, v1, v2, v3)        \
	do {                         \
		v0 += v1;            \
		v1 = rotl(v1, 13);   \
		v1 ^= v0;            \
		v0 = rotl(v0, 32);   \
		v2 += v3;            \
		v3 = rotl(v3, 16);   \
		v3 ^= v2;            \
		v0 += v3;            \
		v3 = rotl(v3, 21);   \
		v3 ^= v0;            \
		v2 += v1;            \
		v1 = rotl(v1, 17);   \
		v1 ^= v2;            \
		v2 = rotl(v2, 32);   \
	} while (0)

u64 siphash(const struct siphash_key *key, const void *data, size_t n)
{
	const u8 *p = data;
	u64 v0 = key->k0 ^ 0x736f6d6570736575ull;
	u64 v1 = key->k1 ^ 0x646f72616e646f6dull;
	u64 v2 = key->k0 ^ 0x6c7967656e657261ull;
	u64 v3 = key->k1 ^ 0x7465646279746573ull;
	u64 last = (u64)n << 56;

	for (; n >= 8; n -= 8, p += 8) {
		u64 m = get_le64(p);
		v3 ^= m;
		ROUND(v0, v1, v2, v3);
		ROUND(v0, v1, v2, v3);
		v0 ^= m;
	}
	for (size_t i = 0; i < n; i++)
		last |= (u64)p[i] << (8 * i);
	v3 ^= last;
	ROUND(v0, v1, v2, v3);
	ROUND(v0, v1, v2, v3);
	v0 ^= last;
	v2 ^= 0xff;
	ROUND(v0, v1, v2, v3);
	ROUND(v0, v1, v2, v3);
	ROUND(v0, v1, v2, v3);
	ROUND(v0, v1, v2, v3);
	return v0 ^ v1 ^ v2 ^ v3;
}
