/* core/base/siphash.h: SipHash-2-4 (Aumasson, Bernstein), the keyed hash of every table that peers can fill, so that nobody outside can
 * choose keys that collide.
 */
#pragma once

#include "core/base/rng.h"

struct siphash_key {
	u64 k0, k1;
};

static inline struct siphash_key siphash_key_draw(struct rng *rng)
{
	struct siphash_key k = { rng_u64(rng), rng_u64(rng) };
	return k;
}

u64 siphash(const struct siphash_key *key, const void *data, size_t n);
