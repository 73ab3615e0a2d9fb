/* core/base/trie.h: a prefix trie, bit strings to pointers.
 *
 * Keys are the first `bits` bits of a byte string of at most TRIE_KEY_BYTES bytes (an IPv4 or IPv6 prefix; one trie per family). Binary and
 * path-compressed: two nodes per entry at most, a look-up takes at most one step per distinct prefix length on its way. Values are
 * borrowed and never NULL. At most TRIE_ENTRIES_MAX entries, then ERR_LIMIT. No recursion.
 *
 *	trie_cover(&t, addr, 32, &walk); while ((v = trie_walk_next(&walk))) ...     all prefixes of addr, shortest first
 */
#pragma once

#include "core/base/types.h"

#define TRIE_KEY_BYTES 16u
#define TRIE_KEY_BITS (TRIE_KEY_BYTES * 8u)
#define TRIE_ENTRIES_MAX (1u << 20)

struct trie_node;

struct trie {
	struct trie_node *root;
	size_t count;
};

struct trie_walk {
	const struct trie_node *next;
	u8 key[TRIE_KEY_BYTES];
	unsigned bits;
};

/* A zeroed struct is an empty trie. */
void trie_deinit(struct trie *t);

/* ERR_EXISTS when the very prefix is there already, ERR_LIMIT, ERR_NOMEM; nothing changed then. */
int trie_insert(struct trie *t, const u8 *key, unsigned bits, void *value) MUST_CHECK;
/* The value of exactly this prefix, NULL when there is none. */
void *trie_get(const struct trie *t, const u8 *key, unsigned bits);
/* Takes the entry out and returns its value, NULL when there is none. */
void *trie_remove(struct trie *t, const u8 *key, unsigned bits);
/* Some entry's value, NULL when the trie is empty; for taking everything out. */
void *trie_any(const struct trie *t);
/* The longest prefix of the key, NULL when none covers it. */
void *trie_longest(const struct trie *t, const u8 *key, unsigned bits);

/* All entries that are prefixes of the key, shortest first. The trie must not change meanwhile. */
void trie_cover(const struct trie *t, const u8 *key, unsigned bits, struct trie_walk *w);
void *trie_walk_next(struct trie_walk *w);
