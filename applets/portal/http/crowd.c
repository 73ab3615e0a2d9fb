#include "applets/portal/http/crowd.h"

#define ADDRESSES_MAX 65536u /* one connection each: as many as there are at all */

struct crowd_key {
	u8 b[9];
};

static struct crowd_key key_of(const struct ip *ip)
{
	struct crowd_key k = { { ip->family } };

	memcpy(k.b + 1, ip->b, ip->family == 6 ? 8 : 4);
	return k;
}

int crowd_enter(struct crowd *c, struct rng *rng, const struct ip *ip, u32 limit)
{
	const struct crowd_key k = key_of(ip);
	uintptr_t n;

	if (c->by_address.key_size == 0)
		table_init(&c->by_address, sizeof(k), ADDRESSES_MAX, rng);
	n = (uintptr_t)table_get(&c->by_address, &k);
	if (limit && n >= limit) {
		c->refused++;
		return ERR_LIMIT;
	}
	return table_put(&c->by_address, &k, (void *)(n + 1));
}

void crowd_leave(struct crowd *c, const struct ip *ip)
{
	const struct crowd_key k = key_of(ip);
	uintptr_t n = (uintptr_t)table_get(&c->by_address, &k);

	if (n < 2 || table_put(&c->by_address, &k, (void *)(n - 1))) /* which replaces, and so cannot fail */
		(void)table_del(&c->by_address, &k);
}

void crowd_deinit(struct crowd *c)
{
	if (c->by_address.key_size)
		table_deinit(&c->by_address);
}
