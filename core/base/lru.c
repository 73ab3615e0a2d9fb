#include "core/base/lru.h"

#include <stdlib.h>
#include <string.h>

#define LRU_NIL UINT32_MAX

struct links {
	u32 newer, older; /* use order */
	u32 chain;        /* next in bucket, or in the free list */
	u32 bucket;
};

static struct links *links_of(const struct lru *l, u32 i)
{
	return (struct links *)(void *)(l->entries + (size_t)i * l->entry_size);
}

static u8 *key_of(const struct lru *l, u32 i)
{
	return (u8 *)links_of(l, i) + sizeof(struct links);
}

static u8 *value_of(const struct lru *l, u32 i)
{
	return (u8 *)links_of(l, i) + l->value_offset;
}

static u32 round_up(size_t n)
{
	return (u32)((n + 15) & ~(size_t)15);
}

int lru_init(struct lru *l, size_t key_size, size_t value_size, u32 capacity, struct rng *rng)
{
	*l = (struct lru){
		.capacity = capacity,
		.n_buckets = 16,
		.key_size = (u32)key_size,
		.value_size = (u32)value_size,
		.value_offset = round_up(sizeof(struct links) + key_size),
		.key = siphash_key_draw(rng),
	};
	if (capacity == 0 || capacity >= LRU_NIL)
		return ERR_INVAL;
	l->entry_size = round_up(l->value_offset + value_size);
	while (l->n_buckets < capacity)
		l->n_buckets *= 2;
	l->entries = calloc(capacity, l->entry_size);
	l->buckets = calloc(l->n_buckets, sizeof(*l->buckets));
	if (!l->entries || !l->buckets) {
		lru_deinit(l);
		return ERR_NOMEM;
	}
	lru_clear(l);
	return 0;
}

void lru_deinit(struct lru *l)
{
	free(l->entries);
	free(l->buckets);
	l->entries = NULL;
	l->buckets = NULL;
	l->count = 0;
}

void lru_clear(struct lru *l)
{
	for (u32 i = 0; i < l->n_buckets; i++)
		l->buckets[i] = LRU_NIL;
	for (u32 i = 0; i < l->capacity; i++)
		links_of(l, i)->chain = i + 1 < l->capacity ? i + 1 : LRU_NIL;
	l->free_list = 0;
	l->newest = l->oldest = LRU_NIL;
	l->count = 0;
}

static u32 bucket_of(const struct lru *l, const void *key)
{
	return (u32)siphash(&l->key, key, l->key_size) & (l->n_buckets - 1);
}

static u32 find(const struct lru *l, u32 bucket, const void *key)
{
	u32 i = l->buckets[bucket];

	while (i != LRU_NIL && memcmp(key_of(l, i), key, l->key_size) != 0)
		i = links_of(l, i)->chain;
	return i;
}

static void use_unlink(struct lru *l, u32 i)
{
	struct links *e = links_of(l, i);

	if (e->newer != LRU_NIL)
		links_of(l, e->newer)->older = e->older;
	else
		l->newest = e->older;
	if (e->older != LRU_NIL)
		links_of(l, e->older)->newer = e->newer;
	else
		l->oldest = e->newer;
}

static void use_push(struct lru *l, u32 i)
{
	struct links *e = links_of(l, i);

	e->newer = LRU_NIL;
	e->older = l->newest;
	if (l->newest != LRU_NIL)
		links_of(l, l->newest)->newer = i;
	else
		l->oldest = i;
	l->newest = i;
}

static void remove_entry(struct lru *l, u32 i)
{
	struct links *e = links_of(l, i);
	u32 *at = &l->buckets[e->bucket];

	while (*at != i)
		at = &links_of(l, *at)->chain;
	*at = e->chain;
	use_unlink(l, i);
	e->chain = l->free_list;
	l->free_list = i;
	l->count--;
}

void *lru_get(struct lru *l, const void *key)
{
	u32 i = find(l, bucket_of(l, key), key);

	if (i == LRU_NIL)
		return NULL;
	if (i != l->newest) {
		use_unlink(l, i);
		use_push(l, i);
	}
	return value_of(l, i);
}

void lru_put(struct lru *l, const void *key, const void *value)
{
	void *present = lru_get(l, key);

	if (present) {
		memcpy(present, value, l->value_size);
		return;
	}
	if (l->free_list == LRU_NIL) {
		remove_entry(l, l->oldest);
		l->evicted++;
	}
	u32 bucket = bucket_of(l, key);
	u32 i = l->free_list;
	struct links *e = links_of(l, i);
	l->free_list = e->chain;
	e->chain = l->buckets[bucket];
	e->bucket = bucket;
	l->buckets[bucket] = i;
	memcpy(key_of(l, i), key, l->key_size);
	memcpy(value_of(l, i), value, l->value_size);
	use_push(l, i);
	l->count++;
}

bool lru_del(struct lru *l, const void *key)
{
	u32 i = find(l, bucket_of(l, key), key);

	if (i == LRU_NIL)
		return false;
	remove_entry(l, i);
	return true;
}
