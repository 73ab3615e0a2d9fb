/* core/base/heap.h: who is due next. A binary min-heap of deadlines embedded in their owners.
 *
 * An owner embeds a `struct heap_node`, arms it with an absolute deadline and re-arms as often as it likes: O(log n). One deadline per
 * object; an object with several takes their minimum. The heap holds borrowed pointers only.
 */
#pragma once

#include "core/base/err.h"
#include "core/base/time.h"

struct heap_node {
	u64 deadline;
	u32 index; /* 1-based position in the heap, 0 = not armed */
};

struct heap {
	struct heap_node **nodes;
	u32 count, capacity;
	u32 limit;
};

void heap_init(struct heap *h, u32 limit);
void heap_deinit(struct heap *h);
/* Makes room, so that heap_arm() of this many nodes cannot fail. */
int heap_reserve(struct heap *h, u32 count) MUST_CHECK;
/* Sets or moves the deadline; TIME_NEVER disarms. ERR_LIMIT, ERR_NOMEM only for a node that was not armed. */
int heap_arm(struct heap *h, struct heap_node *node, u64 deadline);
void heap_disarm(struct heap *h, struct heap_node *node);
/* The earliest deadline, TIME_NEVER when empty. */
u64 heap_next(const struct heap *h);
/* Takes out the earliest node whose deadline is <= now, NULL when there is none. */
struct heap_node *heap_pop_due(struct heap *h, u64 now);
