#include "core/base/rng.h"
#include "tests/unit/test.h"

#include <string.h>

TEST(a_seeded_source_repeats_from_its_seed)
{
	struct rng_seeded a, b, other;
	u8 x[37], y[37], z[37];

	rng_seeded_init(&a, 7);
	rng_seeded_init(&b, 7);
	rng_seeded_init(&other, 8);
	rng_fill(&a.rng, x, sizeof(x));
	rng_fill(&b.rng, y, sizeof(y));
	rng_fill(&other.rng, z, sizeof(z));
	EXPECT_MEM(x, y, sizeof(x));
	EXPECT(memcmp(x, z, sizeof(x)) != 0);
}

TEST(below_stays_below_and_reaches_every_value)
{
	struct rng_seeded r;
	unsigned seen[7] = { 0 };

	rng_seeded_init(&r, 1);
	for (unsigned i = 0; i < 7000; i++) {
		u64 v = rng_below(&r.rng, 7);
		REQUIRE(v < 7);
		seen[v]++;
	}
	for (unsigned i = 0; i < 7; i++)
		EXPECT(seen[i] > 800 && seen[i] < 1200);
	EXPECT_EQ(rng_below(&r.rng, 0), 0);
}
