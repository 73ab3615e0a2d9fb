/* applets/portal/model/forwarded.h: the address of who really connects, behind reverse proxies (spec 60 §0.3). */
#pragma once

#include "core/ip/addr.h"

struct forwarders {
	const struct cidr *proxies, *clients; /* trusted; and who is none of them although he lives in their networks */
	u32 n_proxies, n_clients;
};

bool forwarded_is_proxy(const struct forwarders *f, const struct ip *ip);

/* `hop` is the TCP peer, `header` the value of X-Forwarded-For (p NULL: absent). Walks from the right: while the address at hand is a trusted
 * proxy's, the entry before it is believed. An entry that is no address ends the walk. */
struct ip forwarded_real_ip(struct ip hop, struct span header, const struct forwarders *f);
