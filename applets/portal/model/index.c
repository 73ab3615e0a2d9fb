#include "applets/portal/model/index.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 8u

u32 index_lower(const struct index *x, const void *key)
{
	u32 lo = 0, hi = x->n;

	/* Rows are read in order, so the end is where most new ones go. */
	if (x->n > 0 && x->cmp(x->at[x->n - 1], key) < 0)
		return x->n;
	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;
		if (x->cmp(x->at[mid], key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

void *index_find(const struct index *x, const void *key)
{
	u32 i = index_lower(x, key);

	return i < x->n && x->cmp(x->at[i], key) == 0 ? x->at[i] : NULL;
}

/* In blocks: memmove() to higher addresses is slow where libc does it backwards by one instruction, seven cycles a word in musl. */
static void move_up(void **at, u32 n)
{
	void *block[512];

	while (n > 0) {
		u32 part = MIN(n, (u32)ARRAY_LEN(block));
		n -= part;
		memcpy(block, at + n, part * sizeof(*at));
		memcpy(at + n + 1, block, part * sizeof(*at));
	}
}

int index_put(struct index *x, void *element)
{
	u32 i = index_lower(x, element);

	if (i < x->n && x->cmp(x->at[i], element) == 0) {
		x->at[i] = element;
		return 0;
	}
	if (x->n == x->cap) {
		u32 cap = x->cap ? x->cap * 2 : FIRST_CAPACITY;
		void **more = realloc(x->at, cap * sizeof(*more));
		if (!more)
			return ERR_NOMEM;
		x->at = more;
		x->cap = cap;
	}
	move_up(x->at + i, x->n - i);
	x->at[i] = element;
	x->n++;
	return 0;
}

void *index_take_at(struct index *x, u32 i)
{
	void *e = x->at[i];

	memmove(x->at + i, x->at + i + 1, (x->n - i - 1) * sizeof(*x->at));
	x->n--;
	return e;
}

void *index_take(struct index *x, const void *key)
{
	u32 i = index_lower(x, key);

	return i < x->n && x->cmp(x->at[i], key) == 0 ? index_take_at(x, i) : NULL;
}

void index_free(struct index *x)
{
	free(x->at);
	x->at = NULL;
	x->n = x->cap = 0;
}
