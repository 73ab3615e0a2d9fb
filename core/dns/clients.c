#include "core/dns/clients.h"

#define NET4(a, b, c, d, len) { { { a, b, c, d }, 4 }, len }
#define NET6(a, b, len) { { { a, b }, 6 }, len }

static const struct cidr private_nets[] = {
	NET4(10, 0, 0, 0, 8),     NET4(192, 168, 0, 0, 16), NET4(172, 16, 0, 0, 12), NET4(169, 254, 0, 0, 16),
	NET4(100, 64, 0, 0, 10),  NET6(0xfc, 0, 7),         NET6(0xfe, 0x80, 10),
};

int clients_init(struct clients *c, u32 rate, u32 burst, struct rng *rng)
{
	*c = (struct clients){ 0 };
	if (rate == 0)
		return 0;
	if (rate > CLIENTS_RATE_MAX || burst > CLIENTS_RATE_MAX)
		return ERR_LIMIT;
	c->interval = NSEC_PER_SEC / rate;
	c->tolerance = c->interval * (burst > 0 ? burst - 1 : 0);
	return lru_init(&c->buckets, sizeof(struct ip), sizeof(u64), CLIENTS_MAX, rng);
}

void clients_deinit(struct clients *c)
{
	if (c->interval > 0)
		lru_deinit(&c->buckets);
	*c = (struct clients){ 0 };
}

int clients_allow(struct clients *c, const struct cidr *net)
{
	if (net->len < (net->ip.family == 4 ? CLIENTS_PREFIX4_MIN : CLIENTS_PREFIX6_MIN))
		return ERR_DENIED;
	if (c->n_listed == CLIENTS_LISTED_MAX)
		return ERR_LIMIT;
	c->listed[c->n_listed++] = *net;
	return 0;
}

static bool is_welcome(const struct clients *c, const struct ip *ip)
{
	for (size_t i = 0; i < ARRAY_LEN(private_nets); i++)
		if (cidr_contains(&private_nets[i], ip))
			return true;
	for (u32 i = 0; i < c->n_listed; i++)
		if (cidr_contains(&c->listed[i], ip))
			return true;
	return false;
}

enum client_verdict clients_judge(struct clients *c, u64 now, const struct ip *ip)
{
	if (ip_is_loopback(ip))
		return CLIENT_WELCOME;
	if (!is_welcome(c, ip))
		return CLIENT_FOREIGN;
	if (c->interval == 0)
		return CLIENT_WELCOME;
	struct ip who = *ip;
	if (who.family == 6)
		memset(who.b + 8, 0, 8);
	u64 *full = lru_get(&c->buckets, &who);
	u64 at = full && *full > now ? *full : now;
	if (at - now > c->tolerance)
		return CLIENT_TOO_FAST;
	at += c->interval;
	if (full)
		*full = at;
	else
		lru_put(&c->buckets, &who, &at);
	return CLIENT_WELCOME;
}
