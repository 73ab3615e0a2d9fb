/* core/dns/clients.h: who may ask, and how often.
 *
 * Loopback, private, link-local and carrier-grade ranges (RFC 1918, 3927, 4193, 6598) are served, and what is listed besides. What is
 * listed may not be so wide that the server became an open resolver. The rate is a token bucket per address, IPv6 per /64, kept for the
 * CLIENTS_MAX that asked last; loopback is not counted.
 */
#pragma once

#include "core/base/lru.h"
#include "core/base/time.h"
#include "core/ip/addr.h"

#define CLIENTS_LISTED_MAX 64u
#define CLIENTS_MAX 4096u
#define CLIENTS_PREFIX4_MIN 8u
#define CLIENTS_PREFIX6_MIN 16u
#define CLIENTS_RATE_MAX 1000000u

struct clients {
	struct cidr listed[CLIENTS_LISTED_MAX];
	u32 n_listed;
	u64 interval; /* ns per query, 0: no limit */
	u64 tolerance; /* how far ahead of its pace a client may be */
	struct lru buckets; /* address → when its bucket is full again (u64) */
};

enum client_verdict { CLIENT_WELCOME, CLIENT_FOREIGN, CLIENT_TOO_FAST };

/* `rate` queries per second with bursts of `burst`; rate 0: no limit. ERR_NOMEM, ERR_LIMIT (rate). */
int clients_init(struct clients *c, u32 rate, u32 burst, struct rng *rng) MUST_CHECK;
void clients_deinit(struct clients *c);
/* ERR_DENIED: too wide. ERR_LIMIT. */
int clients_allow(struct clients *c, const struct cidr *net) MUST_CHECK;
/* Counts as one query. */
enum client_verdict clients_judge(struct clients *c, u64 now, const struct ip *ip);
