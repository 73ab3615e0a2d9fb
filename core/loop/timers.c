#include "core/loop/timers.h"

/* `link` is the pointer that points at a timer: the root's, its parent's `child` or its elder sibling's `next`. */

static struct loop_timer *meld(struct loop_timer *a, struct loop_timer *b)
{
	if (!a || !b)
		return a ? a : b;
	if (b->due < a->due) {
		struct loop_timer *t = a;
		a = b;
		b = t;
	}
	b->next = a->child;
	if (b->next)
		b->next->link = &b->next;
	b->link = &a->child;
	a->child = b;
	return a;
}

/* Melds siblings pairwise from the left, then the pairs from the right: this order makes removal O(log n) amortised. */
static struct loop_timer *meld_siblings(struct loop_timer *first)
{
	struct loop_timer *pairs = NULL;
	while (first) {
		struct loop_timer *a = first, *b = a->next;
		first = b ? b->next : NULL;
		a->next = NULL;
		if (b)
			b->next = NULL;
		struct loop_timer *pair = meld(a, b);
		pair->next = pairs;
		pairs = pair;
	}
	struct loop_timer *root = NULL;
	while (pairs) {
		struct loop_timer *next = pairs->next;
		pairs->next = NULL;
		root = meld(root, pairs);
		pairs = next;
	}
	return root;
}

static void set_root(struct loop_timer **root, struct loop_timer *t)
{
	*root = t;
	if (t)
		t->link = root;
}

void timers_insert(struct loop_timer **root, struct loop_timer *t)
{
	t->child = NULL;
	t->next = NULL;
	set_root(root, meld(*root, t));
}

void timers_remove(struct loop_timer **root, struct loop_timer *t)
{
	struct loop_timer *orphans = meld_siblings(t->child);
	*t->link = t->next;
	if (t->next)
		t->next->link = t->link;
	t->child = NULL;
	t->next = NULL;
	set_root(root, meld(*root, orphans));
}
