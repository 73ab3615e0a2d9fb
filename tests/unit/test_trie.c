#include "core/base/err.h"
#include "core/base/rng.h"
#include "core/base/trie.h"
#include "tests/unit/test.h"

#include <string.h>

#define MODEL_MAX 400

struct entry {
	u8 key[TRIE_KEY_BYTES];
	unsigned bits;
	bool is_there;
};

/* The oracle: compares bit by bit. */
static bool covers(const struct entry *e, const u8 *key, unsigned bits)
{
	if (e->bits > bits)
		return false;
	for (unsigned i = 0; i < e->bits; i++)
		if ((e->key[i / 8] >> (7 - i % 8) & 1) != (key[i / 8] >> (7 - i % 8) & 1))
			return false;
	return true;
}

/* Keys from a small alphabet, so that prefixes nest and collide. */
static void random_key(struct rng *rng, u8 *key, unsigned *bits)
{
	memset(key, 0, TRIE_KEY_BYTES);
	*bits = (unsigned)rng_below(rng, rng_below(rng, 2) ? 33 : 129);
	for (unsigned i = 0; i < *bits; i++)
		if (rng_below(rng, 5) == 0)
			key[i / 8] = (u8)(key[i / 8] | 1u << (7 - i % 8));
}

static void check_against_model(const struct trie *t, struct entry *m, size_t n, const u8 *key, unsigned bits)
{
	struct trie_walk w;
	unsigned expected = 0, seen = 0;
	struct entry *longest = NULL, *v;
	int last = -1;

	for (size_t i = 0; i < n; i++)
		if (m[i].is_there && covers(&m[i], key, bits)) {
			expected++;
			if (!longest || m[i].bits > longest->bits)
				longest = &m[i];
		}
	trie_cover(t, key, bits, &w);
	while ((v = trie_walk_next(&w))) {
		EXPECT(v->is_there && covers(v, key, bits));
		EXPECT((int)v->bits > last);
		last = (int)v->bits;
		seen++;
	}
	EXPECT_EQ(seen, expected);
	EXPECT(trie_longest(t, key, bits) == longest);
	struct entry *exact = longest && longest->bits == bits ? longest : NULL;
	EXPECT(trie_get(t, key, bits) == exact);
}

TEST(a_trie_agrees_with_a_naive_list_under_random_changes)
{
	for (u64 seed = 0; seed < 30; seed++) {
		static struct entry model[MODEL_MAX];
		struct rng_seeded r;
		struct trie t = { 0 };
		size_t n = 0, count = 0;

		rng_seeded_init(&r, seed);
		for (unsigned step = 0; step < 1500; step++) {
			u8 key[TRIE_KEY_BYTES];
			unsigned bits;
			struct entry *same = NULL;
			random_key(&r.rng, key, &bits);
			if (n > 0 && rng_below(&r.rng, 3) == 0) {
				const struct entry *e = &model[rng_below(&r.rng, n)];
				memcpy(key, e->key, sizeof(key));
				bits = e->bits;
			}
			for (size_t i = 0; i < n; i++)
				if (model[i].bits == bits && covers(&model[i], key, bits))
					same = &model[i];
			if (rng_below(&r.rng, 2)) {
				if (same && same->is_there) {
					EXPECT_EQ(trie_insert(&t, key, bits, same), ERR_EXISTS);
				} else if (same || n < MODEL_MAX) {
					struct entry *e = same ? same : &model[n++];
					memcpy(e->key, key, sizeof(key));
					e->bits = bits;
					e->is_there = true;
					EXPECT_EQ(trie_insert(&t, key, bits, e), 0);
					count++;
				}
			} else {
				void *gone = trie_remove(&t, key, bits);
				EXPECT(gone == (same && same->is_there ? same : NULL));
				if (gone) {
					same->is_there = false;
					count--;
				}
			}
			EXPECT_EQ(t.count, count);
			random_key(&r.rng, key, &bits);
			check_against_model(&t, model, n, key, bits);
		}
		trie_deinit(&t);
		EXPECT(t.root == NULL);
	}
}

TEST(the_empty_prefix_covers_everything_and_host_bits_are_ignored)
{
	struct trie t = { 0 };
	int any, net;
	const u8 zero[16] = { 0 }, key[16] = { 10, 9, 8, 7 }, other[16] = { 10, 9, 200, 1 };

	EXPECT_EQ(trie_insert(&t, zero, 0, &any), 0);
	EXPECT_EQ(trie_insert(&t, key, 16, &net), 0);
	EXPECT(trie_longest(&t, other, 32) == &net);
	EXPECT(trie_longest(&t, zero, 32) == &any);
	EXPECT_EQ(trie_insert(&t, other, 16, &any), ERR_EXISTS);
	EXPECT_EQ(trie_insert(&t, key, 129, &any), ERR_INVAL);
	trie_deinit(&t);
}
