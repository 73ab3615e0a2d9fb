#include "core/tunnel/routes.h"

#include <stdlib.h>

static void empty(struct trie *t)
{
	struct route *route;
	while ((route = trie_any(t))) {
		(void)trie_remove(t, route->net.ip.b, route->net.len);
		while (route) {
			struct route *next = route->next;
			free(route);
			route = next;
		}
	}
}

void routes_deinit(struct routes *r)
{
	empty(&r->v4);
	empty(&r->v6);
}

static struct trie *trie_of(struct routes *r, u8 family)
{
	return family == 4 ? &r->v4 : &r->v6;
}

int routes_add(struct routes *r, const struct cidr *net, const struct uuid *id, const struct filter *filter, void *owner)
{
	struct trie *t = trie_of(r, net->ip.family);
	struct route *first = trie_get(t, net->ip.b, net->len);

	for (const struct route *i = first; i; i = i->next)
		if (uuid_eq(&i->id, id))
			return ERR_EXISTS;
	struct route *route = malloc(sizeof(*route));
	if (!route)
		return ERR_NOMEM;
	*route = (struct route){ .net = *net, .id = *id, .filter = filter, .owner = owner };
	if (first) { /* the head stays where the trie points */
		route->next = first->next;
		first->next = route;
		return 0;
	}
	int rc = trie_insert(t, net->ip.b, net->len, route);
	if (rc)
		free(route);
	return rc;
}

bool routes_remove(struct routes *r, const struct cidr *net, const struct uuid *id)
{
	struct trie *t = trie_of(r, net->ip.family);
	struct route *first = trie_get(t, net->ip.b, net->len);

	if (!first)
		return false;
	if (uuid_eq(&first->id, id)) {
		struct route *second = first->next;
		if (!second) {
			(void)trie_remove(t, net->ip.b, net->len);
			free(first);
			return true;
		}
		*first = *second;
		free(second);
		return true;
	}
	for (struct route **link = &first->next; *link; link = &(*link)->next) {
		struct route *route = *link;
		if (!uuid_eq(&route->id, id))
			continue;
		*link = route->next;
		free(route);
		return true;
	}
	return false;
}

static void cover(const struct routes *r, const struct ip *ip, struct trie_walk *w)
{
	trie_cover(ip->family == 4 ? &r->v4 : &r->v6, ip->b, ip->family == 4 ? 32 : 128, w);
}

const struct route *routes_lookup(const struct routes *r, const struct ip *ip, enum l4_kind kind, u16 port, bool *permits)
{
	const struct route *best = NULL, *route;
	bool best_permits = false;
	struct trie_walk w;

	cover(r, ip, &w);
	while ((route = trie_walk_next(&w))) { /* shortest first, so a later network beats an earlier one */
		for (; route; route = route->next) {
			bool is_permitted = filter_permits(route->filter, kind, port);
			if (best && best_permits && !is_permitted)
				continue;
			if (best && best_permits == is_permitted && best->net.len == route->net.len && uuid_cmp(&best->id, &route->id) > 0)
				continue;
			best = route;
			best_permits = is_permitted;
		}
	}
	*permits = best_permits;
	return best;
}

bool routes_cover(const struct routes *r, const struct ip *ip)
{
	struct trie_walk w;
	cover(r, ip, &w);
	return trie_walk_next(&w) != NULL;
}
