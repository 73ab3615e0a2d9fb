#include "core/base/rng.h"

#include <string.h>

u32 rng_u32(struct rng *rng)
{
	u32 v;
	rng_fill(rng, &v, sizeof(v));
	return v;
}

u64 rng_u64(struct rng *rng)
{
	u64 v;
	rng_fill(rng, &v, sizeof(v));
	return v;
}

u64 rng_below(struct rng *rng, u64 bound)
{
	if (bound == 0)
		return 0;
	u64 limit = UINT64_MAX - UINT64_MAX % bound;
	u64 v;
	do
		v = rng_u64(rng);
	while (v >= limit);
	return v % bound;
}

static u64 rotl(u64 x, int k)
{
	return (x << k) | (x >> (64 - k));
}

static u64 seeded_next(struct rng_seeded *r)
{
	u64 *s = r->s;
	u64 result = rotl(s[1] * 5, 7) * 9;
	u64 t = s[1] << 17;
	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotl(s[3], 45);
	return result;
}

static void seeded_fill(struct rng *rng, void *buf, size_t n)
{
	struct rng_seeded *r = container_of(rng, struct rng_seeded, rng);
	u8 *p = buf;
	while (n > 0) {
		u64 v = seeded_next(r);
		for (unsigned i = 0; i < 8 && n > 0; i++, n--) {
			*p++ = (u8)v;
			v >>= 8;
		}
	}
}

void rng_seeded_init(struct rng_seeded *r, u64 seed)
{
	r->rng.fill = seeded_fill;
	for (unsigned i = 0; i < 4; i++) { /* splitmix64 spreads small seeds */
		seed += 0x9e3779b97f4a7c15ull;
		u64 z = seed;
		z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
		z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
		r->s[i] = z ^ (z >> 31);
	}
}
