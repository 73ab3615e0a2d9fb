/* applets/portal/http/crowd.h: how many connections one address has open that are no sockets of peers, so that nobody takes all there are.
 *
 * Who has one address of a /64 has them all: IPv6 is counted by that. An office behind one address has browsers and, for an instant after a
 * restart, all its clients here: the limit is made for some thousand people. Sockets of peers have shown a token and are not counted, nor are
 * reverse proxies, who come for many, and this machine itself.
 */
#pragma once

#include "core/base/table.h"
#include "core/ip/addr.h"

struct crowd {
	struct table by_address;
	u64 refused;
	u64 told; /* when the log told of it last; monotonic */
};

/* 0: counted, crowd_leave() must follow. ERR_LIMIT: there are `limit` already (0: as many as like). ERR_NOMEM. */
int crowd_enter(struct crowd *c, struct rng *rng, const struct ip *ip, u32 limit) MUST_CHECK;
void crowd_leave(struct crowd *c, const struct ip *ip);
void crowd_deinit(struct crowd *c);
