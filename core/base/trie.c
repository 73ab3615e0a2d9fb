#include "core/base/trie.h"

#include "core/base/err.h"

#include <stdlib.h>
#include <string.h>

/* `bits` grows strictly from parent to child. Inner nodes without a value have two children. */
struct trie_node {
	struct trie_node *child[2], *parent;
	void *value;
	u8 bits;
	u8 key[TRIE_KEY_BYTES];
};

_Static_assert(TRIE_KEY_BITS <= 255, "node bits are a byte");

static unsigned bit_at(const u8 *key, unsigned i)
{
	return key[i / 8] >> (7 - i % 8) & 1u;
}

/* Number of leading bits that both keys share, at most max. */
static unsigned common_bits(const u8 *a, const u8 *b, unsigned max)
{
	unsigned i = 0;
	while (i + 8 <= max && a[i / 8] == b[i / 8])
		i += 8;
	while (i < max && bit_at(a, i) == bit_at(b, i))
		i++;
	return i;
}

static bool is_prefix(const struct trie_node *n, const u8 *key, unsigned bits)
{
	return n->bits <= bits && common_bits(n->key, key, n->bits) == n->bits;
}

static struct trie_node *node_make(const u8 *key, unsigned bits, void *value, struct trie_node *parent)
{
	struct trie_node *n = calloc(1, sizeof(*n));
	if (!n)
		return NULL;
	memcpy(n->key, key, (bits + 7) / 8);
	if (bits % 8)
		n->key[bits / 8] &= (u8)(0xff00u >> bits % 8);
	n->bits = (u8)bits;
	n->value = value;
	n->parent = parent;
	return n;
}

static struct trie_node **link_of(struct trie *t, struct trie_node *n)
{
	return n->parent ? &n->parent->child[n->parent->child[1] == n] : &t->root;
}

static struct trie_node *child_towards(const struct trie_node *n, const u8 *key, unsigned bits)
{
	return n->bits < bits ? n->child[bit_at(key, n->bits)] : NULL;
}

void trie_deinit(struct trie *t)
{
	struct trie_node *n = t->root;
	while (n) { /* down to a leaf, free it, up again */
		if (n->child[0]) {
			n = n->child[0];
		} else if (n->child[1]) {
			n = n->child[1];
		} else {
			struct trie_node *parent = n->parent;
			*link_of(t, n) = NULL;
			free(n);
			n = parent;
		}
	}
	t->count = 0;
}

int trie_insert(struct trie *t, const u8 *key, unsigned bits, void *value)
{
	if (bits > TRIE_KEY_BITS || !value)
		return ERR_INVAL;
	struct trie_node *parent = NULL, *n = t->root;
	while (n && is_prefix(n, key, bits)) {
		if (n->bits == bits && n->value)
			return ERR_EXISTS;
		if (n->bits == bits)
			break;
		parent = n;
		n = child_towards(n, key, bits);
	}
	if (t->count >= TRIE_ENTRIES_MAX)
		return ERR_LIMIT;
	if (n && n->bits == bits && is_prefix(n, key, bits)) { /* an inner node gets a value */
		n->value = value;
		t->count++;
		return 0;
	}
	struct trie_node *leaf = node_make(key, bits, value, parent);
	if (!leaf)
		return ERR_NOMEM;
	struct trie_node **link = parent ? &parent->child[bit_at(key, parent->bits)] : &t->root;
	if (n) {
		unsigned shared = common_bits(n->key, key, MIN((unsigned)n->bits, bits));
		if (shared == bits) { /* the new one lies above n */
			leaf->child[bit_at(n->key, bits)] = n;
			n->parent = leaf;
		} else {
			struct trie_node *fork = node_make(key, shared, NULL, parent);
			if (!fork) {
				free(leaf);
				return ERR_NOMEM;
			}
			fork->child[bit_at(key, shared)] = leaf;
			fork->child[bit_at(n->key, shared)] = n;
			leaf->parent = n->parent = fork;
			*link = fork;
			t->count++;
			return 0;
		}
	}
	*link = leaf;
	t->count++;
	return 0;
}

static struct trie_node *find(const struct trie *t, const u8 *key, unsigned bits)
{
	struct trie_node *n = t->root;
	while (n && is_prefix(n, key, bits)) {
		if (n->bits == bits)
			return n->value ? n : NULL;
		n = child_towards(n, key, bits);
	}
	return NULL;
}

void *trie_get(const struct trie *t, const u8 *key, unsigned bits)
{
	const struct trie_node *n = find(t, key, bits);
	return n ? n->value : NULL;
}

/* Takes out a node that has no value and at most one child. */
static struct trie_node *splice(struct trie *t, struct trie_node *n)
{
	struct trie_node *only = n->child[0] ? n->child[0] : n->child[1];
	struct trie_node *parent = n->parent;
	*link_of(t, n) = only;
	if (only)
		only->parent = parent;
	free(n);
	return parent;
}

void *trie_remove(struct trie *t, const u8 *key, unsigned bits)
{
	struct trie_node *n = find(t, key, bits);
	if (!n)
		return NULL;
	void *value = n->value;
	n->value = NULL;
	t->count--;
	if (n->child[0] && n->child[1])
		return value;
	struct trie_node *parent = splice(t, n);
	if (parent && !parent->value && !(parent->child[0] && parent->child[1]))
		(void)splice(t, parent);
	return value;
}

void trie_cover(const struct trie *t, const u8 *key, unsigned bits, struct trie_walk *w)
{
	memcpy(w->key, key, (bits + 7) / 8);
	w->bits = bits;
	w->next = t->root;
}

void *trie_walk_next(struct trie_walk *w)
{
	while (w->next && is_prefix(w->next, w->key, w->bits)) {
		const struct trie_node *n = w->next;
		w->next = child_towards(n, w->key, w->bits);
		if (n->value)
			return n->value;
	}
	w->next = NULL;
	return NULL;
}

void *trie_longest(const struct trie *t, const u8 *key, unsigned bits)
{
	struct trie_walk w;
	void *v, *last = NULL;
	trie_cover(t, key, bits, &w);
	while ((v = trie_walk_next(&w)))
		last = v;
	return last;
}

void *trie_any(const struct trie *t)
{
	const struct trie_node *n = t->root;
	while (n && !n->value)
		n = n->child[0] ? n->child[0] : n->child[1];
	return n ? n->value : NULL;
}
