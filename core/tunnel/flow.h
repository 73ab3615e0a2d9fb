/* core/tunnel/flow.h: the flow cache: what a look-up said, for the next equal packet (spec 30 §4.1, spec 40 §8).
 *
 * Direct-mapped, fixed size, one per loop. Any change of a table it depends on must call flow_cache_clear(), which is O(1).
 */
#pragma once

#include "core/ip/packet.h"

#define FLOW_CACHE_ENTRIES 1024u /* power of two */

struct flow_key {
	struct ip ip;      /* of the resource */
	u16 port;          /* of the resource; 0 where the protocol has none */
	u8 kind;           /* enum l4_kind */
	const void *owner; /* whose table was asked */
};

struct flow_entry {
	struct flow_key key;
	u32 generation;
	u8 verdict; /* the asker's own */
	void *value;
};

struct flow_cache {
	u32 generation; /* of valid entries; never 0 */
	struct flow_entry entries[FLOW_CACHE_ENTRIES];
};

static inline void flow_cache_clear(struct flow_cache *c)
{
	if (++c->generation == 0) { /* after four billion changes an old entry could look new */
		memset(c->entries, 0, sizeof(c->entries));
		c->generation = 1;
	}
}

static inline bool flow_key_eq(const struct flow_key *a, const struct flow_key *b)
{
	return a->port == b->port && a->kind == b->kind && a->owner == b->owner && ip_eq(&a->ip, &b->ip);
}

/* The entry of this key. When `*is_hit` is false the caller must fill verdict and value. */
static inline struct flow_entry *flow_cache_get(struct flow_cache *c, const struct flow_key *key, bool *is_hit)
{
	u64 lo, hi;
	memcpy(&lo, key->ip.b, 8);
	memcpy(&hi, key->ip.b + 8, 8);
	u64 h = (lo ^ (hi << 1) ^ ((u64)key->port << 32 | key->kind) ^ (u64)(uintptr_t)key->owner) * 0x9e3779b97f4a7c15ull;
	struct flow_entry *e = &c->entries[(h >> 40) & (FLOW_CACHE_ENTRIES - 1)];
	*is_hit = e->generation == c->generation && flow_key_eq(&e->key, key);
	if (!*is_hit) {
		e->key = *key;
		e->generation = c->generation;
	}
	return e;
}
