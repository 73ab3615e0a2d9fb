/* core/base/rng.h: a source of random bytes, handed to every object that needs one.
 *
 * The product passes one that draws from the system; tests pass a seeded one, so a whole run repeats from its seed. A source is
 * borrowed and must outlive the objects that use it.
 */
#pragma once

#include "core/base/types.h"

struct rng {
	void (*fill)(struct rng *rng, void *buf, size_t n);
};

static inline void rng_fill(struct rng *rng, void *buf, size_t n)
{
	rng->fill(rng, buf, n);
}

u32 rng_u32(struct rng *rng);
u64 rng_u64(struct rng *rng);

/* Uniform in [0, bound); 0 when bound is 0. */
u64 rng_below(struct rng *rng, u64 bound);

/* Deterministic source for tests and simulations (xoshiro256**); never for keys in the product. */
struct rng_seeded {
	struct rng rng;
	u64 s[4];
};

void rng_seeded_init(struct rng_seeded *r, u64 seed);
