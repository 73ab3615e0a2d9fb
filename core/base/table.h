/* core/base/table.h: an index from a fixed-size key to a pointer or small number.
 *
 * Open addressing with linear probing and backward-shift deletion (no tombstones), SipHash over the key bytes. Keys are copied into the
 * table and compared with memcmp, so a key struct must have no padding, or have it zeroed (`struct endpoint key = {0}` first). Values
 * are borrowed pointers. Grows by doubling up to `limit` entries; reaching it is ERR_LIMIT and counted in `refused`.
 *
 *	struct table t;
 *	table_init(&t, sizeof(struct uuid), 4096, rng);
 *	table_put(&t, &id, conn);          0, or ERR_LIMIT, ERR_NOMEM; replaces an equal key's value
 *	conn = table_get(&t, &id);         NULL when absent
 *	for (u32 it = 0; table_next(&t, &it, &key, &value);) ...    in no promised order; no change while iterating
 *
 * get is O(1) and never allocates; put allocates only when it grows (table_reserve() avoids that).
 */
#pragma once

#include "core/base/err.h"
#include "core/base/siphash.h"

struct table {
	u8 *slots;
	u32 capacity; /* power of two, 0 before the first put */
	u32 count;
	u32 limit;
	u32 key_size;
	u32 slot_size;
	u64 refused;
	struct siphash_key key;
};

void table_init(struct table *t, size_t key_size, u32 limit, struct rng *rng);
void table_deinit(struct table *t);
int table_reserve(struct table *t, u32 count) MUST_CHECK;
int table_put(struct table *t, const void *key, void *value) MUST_CHECK;
void *table_get(const struct table *t, const void *key);
/* Removes and returns the value, NULL when absent. */
void *table_del(struct table *t, const void *key);
void table_clear(struct table *t);
bool table_next(const struct table *t, u32 *it, const void **key, void **value);
