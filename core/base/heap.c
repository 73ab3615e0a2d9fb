#include "core/base/heap.h"

#include <stdlib.h>

void heap_init(struct heap *h, u32 limit)
{
	*h = (struct heap){ .limit = limit };
}

void heap_deinit(struct heap *h)
{
	free(h->nodes);
	*h = (struct heap){ .limit = h->limit };
}

int heap_reserve(struct heap *h, u32 count)
{
	if (count > h->limit)
		return ERR_LIMIT;
	if (count <= h->capacity)
		return 0;
	u32 capacity = h->capacity ? h->capacity : 16;
	while (capacity < count)
		capacity *= 2;
	struct heap_node **nodes = realloc(h->nodes, capacity * sizeof(*nodes));
	if (!nodes)
		return ERR_NOMEM;
	h->nodes = nodes;
	h->capacity = capacity;
	return 0;
}

/* Positions are 1-based: children of i are 2i and 2i+1. */
static void place(struct heap *h, u32 i, struct heap_node *node)
{
	h->nodes[i - 1] = node;
	node->index = i;
}

static void sift_up(struct heap *h, struct heap_node *node)
{
	u32 i = node->index;

	while (i > 1 && h->nodes[i / 2 - 1]->deadline > node->deadline) {
		place(h, i, h->nodes[i / 2 - 1]);
		i /= 2;
	}
	place(h, i, node);
}

static void sift_down(struct heap *h, struct heap_node *node)
{
	u32 i = node->index;

	for (;;) {
		u32 child = 2 * i;
		if (child > h->count)
			break;
		if (child < h->count && h->nodes[child]->deadline < h->nodes[child - 1]->deadline)
			child++;
		if (h->nodes[child - 1]->deadline >= node->deadline)
			break;
		place(h, i, h->nodes[child - 1]);
		i = child;
	}
	place(h, i, node);
}

int heap_arm(struct heap *h, struct heap_node *node, u64 deadline)
{
	if (deadline == TIME_NEVER) {
		heap_disarm(h, node);
		return 0;
	}
	if (node->index == 0) {
		int rc = heap_reserve(h, h->count + 1);
		if (rc)
			return rc;
		place(h, ++h->count, node);
	}
	node->deadline = deadline;
	sift_up(h, node);
	sift_down(h, node);
	return 0;
}

void heap_disarm(struct heap *h, struct heap_node *node)
{
	u32 i = node->index;

	if (i == 0)
		return;
	struct heap_node *last = h->nodes[--h->count];
	node->index = 0;
	node->deadline = TIME_NEVER;
	if (last == node)
		return;
	place(h, i, last);
	sift_up(h, last);
	sift_down(h, last);
}

u64 heap_next(const struct heap *h)
{
	return h->count ? h->nodes[0]->deadline : TIME_NEVER;
}

struct heap_node *heap_pop_due(struct heap *h, u64 now)
{
	if (!h->count || h->nodes[0]->deadline > now)
		return NULL;
	struct heap_node *node = h->nodes[0];
	heap_disarm(h, node);
	return node;
}
