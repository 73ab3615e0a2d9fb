/* platform/net.h: addresses, routes and policy rules of the tunnel interface, and news of the host's own network (rtnetlink).
 *
 * One `struct net` configures one tunnel interface as spec 30 §15 and spec 40 §2.1 ask and keeps what it set, so that the next
 * configuration changes only what differs. Two sockets: requests are answered by the kernel at once and are therefore made
 * synchronously; notifications arrive on net_fd() and are debounced.
 *
 *      rules, in this order, for packets without the mark 0xfd002021, each family that works:
 *        100 → table 0x2021fd00   resources and tunnel ranges
 *        200 → table 0x2021fd01   copies of the host's link-scope routes: the LAN stays reachable under an Internet resource
 *        300 → table 0x2021fd02   default routes of the Internet resource
 *
 * IPv6 knows no link scope: there the on-link prefixes (no gateway, not fe80::/64) are copied. Copies follow the originals, also when these
 * go away.
 *
 * A host with only one IP family is normal: the other's errors show in `*stack` and its routes are left out.
 */
#pragma once

#include "core/base/time.h"
#include "core/ip/addr.h"

#define NET_TABLE_RESOURCES 0x2021fd00u
#define NET_TABLE_LINK 0x2021fd01u
#define NET_TABLE_INTERNET 0x2021fd02u
#define NET_ROUTES_MAX 4096u           /* routes into the tunnel */
#define NET_TARGETS_MAX 16u            /* further ones are not watched */
#define NET_COPIES_MAX 256u            /* link-scope routes copied */
#define NET_DEBOUNCE MSEC(100)         /* quiet time after the last notification … */
#define NET_DEBOUNCE_MAX MSEC(500)     /* … but never longer than this after the first (spec 30 §15) */

struct net;

#define NET_V4 1u
#define NET_V6 2u

/* `ifindex` from tun_ifindex(). Routes that an earlier run left in the three tables are deleted. ERR_DENIED: needs CAP_NET_ADMIN. */
int net_open(struct net **out, u32 ifindex) MUST_CHECK;
/* Removes the rules, routes and copies it made. NULL is allowed. */
void net_close(struct net *n);

/* The interface's addresses become exactly v4/32 and v6/128 (family 0: none); what is there already stays untouched. Sets the MTU, brings
 * it up, adds the rules. `*stack` tells which families work. ERR_UNSUPPORTED: neither. Set the routes again afterwards: the kernel drops
 * them with a replaced address. */
int net_set_addresses(struct net *n, const struct ip *v4, const struct ip *v6, unsigned *stack) MUST_CHECK;
/* Exactly these routes lead into the tunnel, as far as their family works. Those no longer wanted are deleted, all wanted ones are
 * added again. ERR_LIMIT; errors of single routes are logged and the first is returned after the others were set. */
int net_set_routes(struct net *n, const struct cidr *routes, size_t count) MUST_CHECK;

/* --- news -------------------------------------------------------------------------------------------------------------------- */

int net_fd(const struct net *n); /* watch for reading, then call: */
void net_input(struct net *n, u64 now);
u64 net_next_timeout(const struct net *n);
/* Copies link-scope routes to NET_TABLE_LINK when they changed. True when the way out of this host changed: what the kernel answers for
 * a marked packet to one of the targets (interface, next hop, source address). So lifetimes, new containers and the tunnel itself
 * are no change, a new uplink or a renumbered one is. */
bool net_timeout(struct net *n, u64 now);
/* Which destinations count: relays, portal. Until then, and for n = 0, one address of the public internet per family. */
void net_set_targets(struct net *n, const struct ip *targets, size_t count);

struct net_stats {
	u64 notifications, overruns, refreshes, uplink_changes;
	u64 routes_added, routes_deleted, links_copied, links_removed, errors;
};
const struct net_stats *net_stats(const struct net *n);
