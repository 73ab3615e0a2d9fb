/* core/base/lru.h: a bounded map that forgets what was not used for longest.
 *
 * Fixed capacity, all memory taken at init: put and get never allocate. Keys and values are fixed-size byte blocks that are copied; the key
 * rule of table.h about padding holds here too. Values must not need cleaning up. get counts as use; lru_clear() is O(capacity).
 */
#pragma once

#include "core/base/err.h"
#include "core/base/siphash.h"

struct lru {
	u8 *entries;
	u32 *buckets;
	u32 capacity, n_buckets;
	u32 count;
	u32 key_size, value_size, value_offset, entry_size;
	u32 newest, oldest, free_list; /* indices, LRU_NIL */
	u64 evicted;
	struct siphash_key key;
};

int lru_init(struct lru *l, size_t key_size, size_t value_size, u32 capacity, struct rng *rng) MUST_CHECK;
void lru_deinit(struct lru *l);
/* The value of `key`, NULL when absent; valid until the next put, del or clear. */
void *lru_get(struct lru *l, const void *key);
/* Inserts or replaces; the least recently used entry gives way when full. */
void lru_put(struct lru *l, const void *key, const void *value);
bool lru_del(struct lru *l, const void *key);
void lru_clear(struct lru *l);
