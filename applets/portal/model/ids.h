/* applets/portal/model/ids.h: a set of ids, to be asked of thousands of rows whether each is one of them: a list goes through its index and asks.
 *
 * Zeroed memory is the empty set. Ids are drawn by the portal, so their own bits are what they are found by; the null id is in no set.
 */
#pragma once

#include "core/base/err.h"
#include "core/ip/addr.h"

struct ids {
	struct uuid *at; /* a hash table; null: free */
	u32 n, cap;	 /* a power of two */
};

/* Again: nothing changes. ERR_NOMEM. */
int ids_add(struct ids *x, const struct uuid *id) MUST_CHECK;
bool ids_has(const struct ids *x, const struct uuid *id);
/* The empty set again. */
void ids_free(struct ids *x);
