/* tests/sim/counting_heap.h: a heap that counts, in place of libc's, for the one program that includes it.
 *
 * Freed blocks go to a list of their size class and are used again; nothing returns to the system. heap_live() is what is allocated now, so a
 * run that ends where it began has lost nothing; heap_calls() grows with each allocation, so a stretch of work can be shown to make none.
 * Under AddressSanitizer libc's interceptors stay, the leak check of its own does the first job, and heap_is_counting is false.
 */
#pragma once

#include "core/base/types.h"

#ifdef __SANITIZE_ADDRESS__
static const bool heap_is_counting = false;

static u64 heap_live(void)
{
	return 0;
}

static inline u64 heap_calls(void)
{
	return 0;
}
#else
#include <string.h>
#include <sys/mman.h>

#define HEAP_BYTES (1ull << 30) /* of addresses; pages come as they are touched */
#define HEAP_CLASSES 32u

struct heap_block {
	u64 size_class;
	struct heap_block *next;
	u8 data[];
};
_Static_assert(sizeof(struct heap_block) % 16 == 0, "blocks keep 16-byte alignment");

static const bool heap_is_counting = true;
static struct heap_block *heap_freed[HEAP_CLASSES];
static u8 *heap_at, *heap_end;
static u64 heap_live_bytes, heap_call_count;

static u64 heap_live(void)
{
	return heap_live_bytes;
}

static inline u64 heap_calls(void)
{
	return heap_call_count;
}

void *malloc(size_t n)
{
	u64 class = 5;
	while (class < HEAP_CLASSES && (1ull << class) < n)
		class++;
	if (class == HEAP_CLASSES)
		return NULL;
	size_t bytes = sizeof(struct heap_block) + (1ull << class);
	struct heap_block *b = heap_freed[class];
	if (b) {
		heap_freed[class] = b->next;
	} else {
		if (!heap_at) {
			heap_at = mmap(NULL, HEAP_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
			heap_end = heap_at + HEAP_BYTES;
		}
		if ((size_t)(heap_end - heap_at) < bytes)
			return NULL;
		b = (struct heap_block *)(void *)heap_at;
		heap_at += bytes;
	}
	b->size_class = class;
	heap_live_bytes += 1ull << class;
	heap_call_count++;
	return b->data;
}

void free(void *p)
{
	if (!p)
		return;
	struct heap_block *b = container_of(p, struct heap_block, data);
	heap_live_bytes -= 1ull << b->size_class;
	b->next = heap_freed[b->size_class];
	heap_freed[b->size_class] = b;
}

void *calloc(size_t n, size_t size)
{
	size_t bytes;
	void *p = __builtin_mul_overflow(n, size, &bytes) ? NULL : malloc(bytes);
	return p ? memset(p, 0, bytes) : NULL;
}

void *realloc(void *p, size_t n)
{
	if (!p)
		return malloc(n);
	const struct heap_block *b = container_of(p, struct heap_block, data);
	if (n <= 1ull << b->size_class)
		return p;
	void *q = malloc(n);
	if (q) {
		memcpy(q, p, 1ull << b->size_class);
		free(p);
	}
	return q;
}
#endif
