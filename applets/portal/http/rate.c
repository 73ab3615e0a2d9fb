#include "applets/portal/http/rate.h"

struct bucket {
	u64 refilled_at; /* now, less than a second's rest */
	u64 tokens;
};

int rate_init(struct rate *r, struct rng *rng)
{
	r->refused = 0;
	return lru_init(&r->buckets, RATE_KEY_LEN, sizeof(struct bucket), RATE_KEYS_MAX, rng);
}

void rate_deinit(struct rate *r)
{
	lru_deinit(&r->buckets);
}

int rate_take(struct rate *r, u64 now, const u8 key[static RATE_KEY_LEN], const struct rate_rule *rule, u32 *retry_secs)
{
	struct bucket *b;
	u64 secs;

	if (rule->refill == 0)
		return 0;
	b = lru_get(&r->buckets, key);
	if (!b) {
		lru_put(&r->buckets, key, &(struct bucket){ now, rule->capacity });
		b = lru_get(&r->buckets, key);
	}
	secs = time_since(now, b->refilled_at) / NSEC_PER_SEC;
	b->refilled_at += secs * NSEC_PER_SEC;
	secs = MIN(secs, (u64)rule->capacity); /* refill >= 1: it is full then */
	b->tokens = MIN(b->tokens + secs * rule->refill, (u64)rule->capacity);
	if (b->tokens >= rule->cost) {
		b->tokens -= rule->cost;
		return 0;
	}
	r->refused++;
	if (retry_secs)
		*retry_secs = (u32)((rule->cost - b->tokens + rule->refill - 1) / rule->refill);
	return ERR_LIMIT;
}
