/* applets/portal/model/pool.h: which tunnel address comes next (spec 60 §2).
 *
 * Devices of an account share 100.64.0.0/11 and fd00:2021:1111::/107. An address is kept as one number: the IPv4 address in host order,
 * or the low 32 bits of the IPv6 address. Neither the network nor the last address of a range is ever given out.
 */
#pragma once

#include "core/ip/addr.h"

enum pool { POOL_IPV4, POOL_IPV6 };

/* The candidate after `highest`; the first address after 0 or after the last usable one. */
u32 pool_after(enum pool p, u32 highest);

/* How many addresses a pool has. */
u32 pool_size(enum pool p);

struct ip pool_ip(enum pool p, u32 address);
