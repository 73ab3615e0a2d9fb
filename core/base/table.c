#include "core/base/table.h"

#include <stdlib.h>
#include <string.h>

/* A slot is {value pointer, key bytes}; a NULL value marks it free. */
#define CAPACITY_MIN 16u

static u8 *slot_at(const struct table *t, u32 i)
{
	return t->slots + (size_t)i * t->slot_size;
}

static void *slot_value(const u8 *slot)
{
	void *v;
	memcpy(&v, slot, sizeof(v));
	return v;
}

static u8 *slot_key(u8 *slot)
{
	return slot + sizeof(void *);
}

static u32 home_of(const struct table *t, const void *key)
{
	return (u32)siphash(&t->key, key, t->key_size) & (t->capacity - 1);
}

void table_init(struct table *t, size_t key_size, u32 limit, struct rng *rng)
{
	size_t slot = sizeof(void *) + key_size;
	size_t align = alignof(void *);

	*t = (struct table){
		.limit = limit,
		.key_size = (u32)key_size,
		.slot_size = (u32)((slot + align - 1) / align * align),
		.key = siphash_key_draw(rng),
	};
}

void table_deinit(struct table *t)
{
	free(t->slots);
	t->slots = NULL;
	t->capacity = t->count = 0;
}

void table_clear(struct table *t)
{
	if (t->slots)
		memset(t->slots, 0, (size_t)t->capacity * t->slot_size);
	t->count = 0;
}

/* The slot that holds `key`, or the free one where it belongs. */
static u32 find(const struct table *t, const void *key)
{
	u32 mask = t->capacity - 1;
	u32 i = home_of(t, key);

	for (;; i = (i + 1) & mask) {
		u8 *slot = slot_at(t, i);
		if (!slot_value(slot) || memcmp(slot_key(slot), key, t->key_size) == 0)
			return i;
	}
}

static int resize(struct table *t, u32 capacity)
{
	struct table old = *t;
	u8 *slots = calloc(capacity, t->slot_size);

	if (!slots)
		return ERR_NOMEM;
	t->slots = slots;
	t->capacity = capacity;
	for (u32 i = 0; i < old.capacity; i++) {
		u8 *slot = slot_at(&old, i);
		if (slot_value(slot))
			memcpy(slot_at(t, find(t, slot_key(slot))), slot, t->slot_size);
	}
	free(old.slots);
	return 0;
}

int table_reserve(struct table *t, u32 count)
{
	u64 capacity = t->capacity ? t->capacity : CAPACITY_MIN;

	while (capacity * 3 < (u64)count * 4) /* load <= 3/4 */
		capacity *= 2;
	if (capacity > UINT32_MAX / 2)
		return ERR_LIMIT;
	return capacity == t->capacity ? 0 : resize(t, (u32)capacity);
}

int table_put(struct table *t, const void *key, void *value)
{
	if (t->capacity > 0) {
		u8 *slot = slot_at(t, find(t, key));
		if (slot_value(slot)) {
			memcpy(slot, &value, sizeof(value));
			return 0;
		}
	}
	if (t->count >= t->limit) {
		t->refused++;
		return ERR_LIMIT;
	}
	int rc = table_reserve(t, t->count + 1);
	if (rc)
		return rc;
	u8 *slot = slot_at(t, find(t, key));
	memcpy(slot, &value, sizeof(value));
	memcpy(slot_key(slot), key, t->key_size);
	t->count++;
	return 0;
}

void *table_get(const struct table *t, const void *key)
{
	return t->count ? slot_value(slot_at(t, find(t, key))) : NULL;
}

void *table_del(struct table *t, const void *key)
{
	if (!t->count)
		return NULL;

	u32 mask = t->capacity - 1;
	u32 hole = find(t, key);
	void *value = slot_value(slot_at(t, hole));
	if (!value)
		return NULL;

	/* Shift back every follower that may live at or before the hole. */
	for (u32 i = (hole + 1) & mask;; i = (i + 1) & mask) {
		u8 *slot = slot_at(t, i);
		if (!slot_value(slot))
			break;
		u32 home = home_of(t, slot_key(slot));
		if (((i - home) & mask) >= ((i - hole) & mask)) {
			memcpy(slot_at(t, hole), slot, t->slot_size);
			hole = i;
		}
	}
	memset(slot_at(t, hole), 0, t->slot_size);
	t->count--;
	return value;
}

bool table_next(const struct table *t, u32 *it, const void **key, void **value)
{
	for (; *it < t->capacity; (*it)++) {
		u8 *slot = slot_at(t, *it);
		void *v = slot_value(slot);
		if (!v)
			continue;
		if (key)
			*key = slot_key(slot);
		if (value)
			*value = v;
		(*it)++;
		return true;
	}
	return false;
}
