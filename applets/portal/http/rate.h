/* applets/portal/http/rate.h: token buckets by key (spec 60 §6.1): `refill` tokens per whole second up to `capacity`, a bucket starts full.
 *
 * A bounded table: the key that was not seen for longest gives way, and a returning one starts full again. With a cost of 10, a capacity of
 * 200 and a refill of 10 that is a burst of 20 and then one a second.
 */
#pragma once

#include "core/base/lru.h"
#include "core/base/time.h"

#define RATE_KEYS_MAX 8192u
#define RATE_KEY_LEN 20

struct rate {
	struct lru buckets;
	u64 refused;
};

struct rate_rule {
	u32 capacity, refill, cost; /* refill 0: no limit */
};

int rate_init(struct rate *r, struct rng *rng) MUST_CHECK;
void rate_deinit(struct rate *r);

/* Takes `cost` tokens: 0. ERR_LIMIT: there are not as many, none are taken; *retry_secs (may be NULL) >= 1 is when there will be. */
int rate_take(struct rate *r, u64 now, const u8 key[static RATE_KEY_LEN], const struct rate_rule *rule, u32 *retry_secs) MUST_CHECK;
