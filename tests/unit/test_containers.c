/* Tables, heap and LRU against naive models, driven by random operations from fixed seeds. */
#include "core/base/heap.h"
#include "core/base/lru.h"
#include "core/base/table.h"
#include "tests/unit/test.h"

#include <string.h>

TEST(siphash_matches_the_vectors_of_its_authors)
{
	struct siphash_key key = { 0x0706050403020100ull, 0x0f0e0d0c0b0a0908ull };
	u8 in[15];

	for (unsigned i = 0; i < sizeof(in); i++)
		in[i] = (u8)i;
	EXPECT(siphash(&key, in, 0) == 0x726fdb47dd0e0e31ull);
	EXPECT(siphash(&key, in, 1) == 0x74f839c593dc67fdull);
	EXPECT(siphash(&key, in, 8) == 0x93f5f5799a932462ull);
	EXPECT(siphash(&key, in, 15) == 0xa129ca6149be45e5ull);
}

#define KEYS 200u
#define FULL 90u

TEST(table_agrees_with_an_array_under_random_operations)
{
	struct rng_seeded r;
	struct table t;
	void *model[KEYS] = { 0 };
	u32 count = 0;

	rng_seeded_init(&r, 1);
	table_init(&t, sizeof(u32), FULL, &r.rng);
	for (unsigned step = 0; step < 50000; step++) {
		u32 k = (u32)rng_below(&r.rng, KEYS);
		void *v = (void *)(uintptr_t)(step + 1);
		switch (rng_below(&r.rng, 3)) {
		case 0:
			if (model[k] || count < FULL) {
				EXPECT_EQ(table_put(&t, &k, v), 0);
				count += !model[k];
				model[k] = v;
			} else {
				EXPECT_EQ(table_put(&t, &k, v), ERR_LIMIT);
			}
			break;
		case 1:
			REQUIRE(table_del(&t, &k) == model[k]);
			count -= model[k] != NULL;
			model[k] = NULL;
			break;
		default:
			REQUIRE(table_get(&t, &k) == model[k]);
		}
		REQUIRE(t.count == count);
	}

	u32 seen = 0;
	const void *key;
	void *value;
	for (u32 it = 0; table_next(&t, &it, &key, &value); seen++) {
		u32 k;
		memcpy(&k, key, sizeof(k));
		EXPECT(model[k] == value);
	}
	EXPECT_EQ(seen, count);
	EXPECT(t.refused > 0);
	table_deinit(&t);
}

struct owner {
	struct heap_node node;
	u64 due;
};

TEST(heap_yields_deadlines_in_order_under_random_rearming)
{
	struct rng_seeded r;
	struct heap h;
	struct owner o[64] = { 0 };

	rng_seeded_init(&r, 2);
	heap_init(&h, ARRAY_LEN(o));
	for (unsigned i = 0; i < ARRAY_LEN(o); i++)
		o[i].due = TIME_NEVER;
	for (unsigned step = 0; step < 20000; step++) {
		struct owner *x = &o[rng_below(&r.rng, ARRAY_LEN(o))];
		x->due = rng_below(&r.rng, 5) ? 1 + rng_below(&r.rng, 1000) : TIME_NEVER;
		EXPECT_EQ(heap_arm(&h, &x->node, x->due), 0);

		u64 least = TIME_NEVER;
		for (unsigned i = 0; i < ARRAY_LEN(o); i++)
			least = time_min(least, o[i].due);
		REQUIRE(heap_next(&h) == least);
		if (rng_below(&r.rng, 8) == 0 && least != TIME_NEVER) {
			EXPECT(heap_pop_due(&h, least - 1) == NULL);
			struct heap_node *n = heap_pop_due(&h, least);
			REQUIRE(n != NULL);
			struct owner *popped = container_of(n, struct owner, node);
			REQUIRE(popped->due == least);
			popped->due = TIME_NEVER;
		}
	}
	heap_deinit(&h);
}

TEST(heap_refuses_more_than_its_limit)
{
	struct heap h;
	struct heap_node n[3] = { 0 };

	heap_init(&h, 2);
	EXPECT_EQ(heap_arm(&h, &n[0], 5), 0);
	EXPECT_EQ(heap_arm(&h, &n[1], 4), 0);
	EXPECT_EQ(heap_arm(&h, &n[2], 3), ERR_LIMIT);
	EXPECT_EQ(heap_next(&h), 4);
	heap_deinit(&h);
}

#define LRU_CAP 20u

TEST(lru_forgets_what_was_unused_for_longest)
{
	struct rng_seeded r;
	struct lru l;
	u32 order[KEYS], n = 0; /* keys, most recently used first */
	u64 value[KEYS];

	rng_seeded_init(&r, 3);
	REQUIRE(lru_init(&l, sizeof(u32), sizeof(u64), LRU_CAP, &r.rng) == 0);
	for (unsigned step = 0; step < 50000; step++) {
		u32 k = (u32)rng_below(&r.rng, 40), at = 0;
		unsigned op = (unsigned)rng_below(&r.rng, 8);
		while (at < n && order[at] != k)
			at++;
		bool is_there = at < n;
		if (op == 0) {
			REQUIRE(lru_del(&l, &k) == is_there);
			if (is_there)
				memmove(order + at, order + at + 1, (--n - at) * sizeof(*order));
			continue;
		}
		if (op < 4) {
			u64 *got = lru_get(&l, &k);
			REQUIRE((got != NULL) == is_there);
			if (!got)
				continue;
			REQUIRE(*got == value[k]);
		} else {
			value[k] = step;
			lru_put(&l, &k, &value[k]);
		}
		if (is_there)
			memmove(order + 1, order, at * sizeof(*order));
		else {
			n = MIN(n + 1, LRU_CAP);
			memmove(order + 1, order, (n - 1) * sizeof(*order));
		}
		order[0] = k;
		REQUIRE(l.count == n);
	}
	EXPECT(l.evicted > 0);
	lru_clear(&l);
	EXPECT(lru_get(&l, &order[0]) == NULL);
	lru_deinit(&l);
}
