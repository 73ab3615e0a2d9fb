/* platform/resolver.h: host names to addresses without libc, for finding the portal (spec 10 §1.6).
 *
 * A stub: literals are answered at once, then /etc/hosts, then A and AAAA are asked of every server of /etc/resolv.conf at the same time
 * over UDP. Both files are read again for each look-up. No search list, no cache, no TCP. Sockets carry the fwmark.
 *
 * A look-up is over when one server has answered both questions and there is an address, when all have answered, RESOLVER_GRACE after
 * the first address, or after RESOLVER_TIMEOUT, whichever is first. Answers of different servers are united, without duplicates.
 *
 *	id = resolver_start(r, now, "portal.example.org", ctx);
 *	watch resolver_fd(r) for reading: resolver_input(r, now)
 *	at resolver_next_timeout(r):      resolver_timeout(r, now)
 *	after either, and after starting: while (resolver_poll(r, &answer)) …
 */
#pragma once

#include "core/base/rng.h"
#include "core/base/time.h"
#include "core/ip/addr.h"

#define RESOLVER_SERVERS_MAX 8u
#define RESOLVER_LOOKUPS_MAX 16u
#define RESOLVER_ADDRESSES_MAX 16u
#define RESOLVER_NAME_MAX 253u
#define RESOLVER_TIMEOUT SEC(2)       /* spec 10 §1.6 */
#define RESOLVER_RESEND MSEC(800)     /* once; a lost datagram should not cost a whole attempt */
#define RESOLVER_GRACE MSEC(300)      /* for the other family after the first address */

struct resolver;

struct resolver_config {
	struct rng *rng;         /* borrowed */
	u32 mark;                /* 0 = none */
	const char *resolv_conf; /* NULL = /etc/resolv.conf */
	const char *hosts;       /* NULL = /etc/hosts */
	u16 port;                /* 0 = 53 */
};

struct resolver_answer {
	u64 id;
	void *ctx;
	int error; /* 0; ERR_NOT_FOUND: no such name or no address; ERR_TIMEOUT: no server answered; ERR_UNSUPPORTED: no server known */
	size_t count;
	struct ip addresses[RESOLVER_ADDRESSES_MAX]; /* hosts file first, then in order of arrival */
};

struct resolver *resolver_new(const struct resolver_config *cfg); /* texts are copied; NULL: out of memory or descriptors */
void resolver_free(struct resolver *r);

/* Use these servers instead of resolv.conf's (the client, whose resolv.conf may name its own sentinels); n = 0: resolv.conf again. */
void resolver_set_servers(struct resolver *r, const struct ip *servers, size_t n);

/* *id for resolver_cancel(). ERR_INVAL: not a host name. ERR_LIMIT, ERR_IO. */
int resolver_start(struct resolver *r, u64 now, const char *name, void *ctx, u64 *id) MUST_CHECK;
void resolver_cancel(struct resolver *r, u64 id); /* unknown ids are ignored */

int resolver_fd(const struct resolver *r);
void resolver_input(struct resolver *r, u64 now);
void resolver_timeout(struct resolver *r, u64 now);
u64 resolver_next_timeout(const struct resolver *r);
bool resolver_poll(struct resolver *r, struct resolver_answer *out);

/* The `nameserver` lines of a resolv.conf; zone ids are cut off. Returns how many, at most max. */
size_t resolver_parse_conf(struct span text, struct ip *out, size_t max);
/* Addresses of `name` in a hosts file (case-insensitive whole names). */
size_t resolver_parse_hosts(struct span text, const char *name, struct ip *out, size_t max);
