/* core/tunnel/routes.h: networks of resources and the choice among those that cover an address (spec 30 §4.1, spec 40 §8).
 *
 * Several resources may have one network. Among all entries covering an address the winner is the greatest by (its filter permits the
 * traffic, longer prefix, greater resource id), so overlapping resources act as their union.
 */
#pragma once

#include "core/base/trie.h"
#include "core/tunnel/filter.h"

struct routes {
	struct trie v4, v6; /* of struct route lists */
};

struct route {
	struct cidr net;
	struct uuid id;              /* of the resource */
	const struct filter *filter; /* borrowed */
	void *owner;                 /* borrowed */
	struct route *next;          /* of the same network */
};

/* A zeroed struct is empty. */
void routes_deinit(struct routes *r);

/* ERR_EXISTS: this resource has this network already. ERR_LIMIT, ERR_NOMEM. */
int routes_add(struct routes *r, const struct cidr *net, const struct uuid *id, const struct filter *filter, void *owner) MUST_CHECK;
/* False when there was no such entry. */
bool routes_remove(struct routes *r, const struct cidr *net, const struct uuid *id);

/* The winner, NULL when nothing covers the address; `*permits` says whether its filter allows the traffic. */
const struct route *routes_lookup(const struct routes *r, const struct ip *ip, enum l4_kind kind, u16 port, bool *permits);
bool routes_cover(const struct routes *r, const struct ip *ip);
