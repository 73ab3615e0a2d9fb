/* applets/portal/model/index.h: a sorted array of borrowed pointers.
 *
 * The portal's tables are small (thousands), are read far more often than written, and must come out in one order for every run: a
 * sorted array is the smallest thing that does it. Look-up is O(log n), insertion moves the tail.
 */
#pragma once

#include "core/base/err.h"
#include "core/base/types.h"

typedef int (*index_cmp)(const void *a, const void *b);

struct index {
	void **at;
	u32 n, cap;
	index_cmp cmp;
};

/* Position of the first element that is not below `key`, which is compared as an element. */
u32 index_lower(const struct index *x, const void *key);

/* The equal element or NULL. */
void *index_find(const struct index *x, const void *key);

/* ERR_NOMEM; an equal element is replaced. */
int index_put(struct index *x, void *element) MUST_CHECK;

/* Takes the equal element out and returns it; NULL when absent. */
void *index_take(struct index *x, const void *key);

/* Takes out the element at a position. */
void *index_take_at(struct index *x, u32 i);

void index_free(struct index *x);
