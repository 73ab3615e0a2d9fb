#define LOG_TARGET "tunnel::gateway"
#include "core/tunnel/gateway_state.h"

#include <stdlib.h>

/* --- routes: one for each address and each of its resources that is authorized ------------------------------------------------------------ */

static struct cidr host_route(const struct ip *ip)
{
	return (struct cidr){ *ip, ip->family == 4 ? 32 : 128 };
}

static int open_route(struct client_peer *p, const struct proxy *x, struct grant *r)
{
	struct cidr net = host_route(&x->ip);
	int rc = routes_add(&p->routes, &net, &r->id, &r->filter, r);
	return rc == ERR_EXISTS ? 0 : rc;
}

static bool is_of(const struct proxy *x, const struct uuid *resource)
{
	for (u32 i = 0; i < x->n_resources; i++)
		if (uuid_eq(&x->resources[i], resource))
			return true;
	return false;
}

int proxies_open(struct client_peer *p, struct grant *r)
{
	int rc = 0;

	if (!p->dns || r->type != MSG_RESOURCE_DNS)
		return 0;
	for (struct site_name *n = p->dns->newest; n && !rc; n = n->older)
		for (struct proxy *x = n->proxies; x && !rc; x = x->next)
			if (is_of(x, &r->id))
				rc = open_route(p, x, r);
	if (rc)
		proxies_close(p, r);
	return rc;
}

void proxies_close(struct client_peer *p, const struct grant *r)
{
	if (!p->dns || r->type != MSG_RESOURCE_DNS)
		return;
	for (struct site_name *n = p->dns->newest; n; n = n->older)
		for (struct proxy *x = n->proxies; x; x = x->next) {
			struct cidr net = host_route(&x->ip);
			if (is_of(x, &r->id))
				(void)routes_remove(&p->routes, &net, &r->id);
		}
}

/* --- names and their addresses ------------------------------------------------------------------------------------------------------------- */

struct proxy *proxy_find(const struct client_peer *p, const struct ip *ip)
{
	return p->dns ? table_get(&p->dns->proxies, ip) : NULL;
}

static void unlink_name(struct client_dns *d, struct site_name *n)
{
	if (n->newer)
		n->newer->older = n->older;
	else
		d->newest = n->older;
	if (n->older)
		n->older->newer = n->newer;
	else
		d->oldest = n->newer;
}

static void link_name(struct client_dns *d, struct site_name *n)
{
	n->newer = NULL;
	n->older = d->newest;
	if (d->newest)
		d->newest->newer = n;
	else
		d->oldest = n;
	d->newest = n;
}

static void proxy_free(struct client_peer *p, struct proxy *x)
{
	struct cidr net = host_route(&x->ip);

	for (u32 i = 0; i < x->n_resources; i++)
		(void)routes_remove(&p->routes, &net, &x->resources[i]);
	(void)table_del(&p->dns->proxies, &x->ip);
	free(x->resources);
	free(x);
}

static void name_free(struct client_peer *p, struct site_name *n)
{
	while (n->proxies) {
		struct proxy *x = n->proxies;
		n->proxies = x->next;
		proxy_free(p, x);
	}
	unlink_name(p->dns, n);
	(void)table_del(&p->dns->names, &n->name);
	free(n->text);
	free(n);
}

static void forget_all(struct client_peer *p)
{
	while (p->dns->newest)
		name_free(p, p->dns->newest);
	nat_reset(&p->dns->nat);
}

void proxies_free(struct client_peer *p)
{
	if (!p->dns)
		return;
	forget_all(p);
	nat_deinit(&p->dns->nat);
	table_deinit(&p->dns->proxies);
	table_deinit(&p->dns->names);
	free(p->dns);
	p->dns = NULL;
}

static int need_dns(struct gateway *g, struct client_peer *p)
{
	if (p->dns)
		return 0;
	p->dns = calloc(1, sizeof(*p->dns));
	if (!p->dns)
		return ERR_NOMEM;
	nat_init(&p->dns->nat, g->rng);
	table_init(&p->dns->proxies, sizeof(struct ip), GATEWAY_PROXIES_MAX, g->rng);
	table_init(&p->dns->names, sizeof(struct dns_name), GATEWAY_PROXIES_MAX, g->rng);
	return 0;
}

/* The name, in front of all others. */
static struct site_name *name_of(struct client_peer *p, const struct dns_name *name)
{
	struct site_name *n = table_get(&p->dns->names, name);
	char text[DNS_NAME_STRLEN];

	if (n) {
		unlink_name(p->dns, n);
		link_name(p->dns, n);
		return n;
	}
	n = calloc(1, sizeof(*n));
	if (!n)
		return NULL;
	n->name = *name;
	n->text = text_copy(dns_name_text(name, text));
	if (!n->text || table_put(&p->dns->names, &n->name, n)) {
		free(n->text);
		free(n);
		return NULL;
	}
	link_name(p->dns, n);
	return n;
}

static struct proxy *proxy_of(struct client_peer *p, struct site_name *n, const struct ip *ip)
{
	struct proxy *x = table_get(&p->dns->proxies, ip);

	if (x)
		return x;
	x = calloc(1, sizeof(*x));
	if (!x)
		return NULL;
	x->ip = *ip;
	x->name = n;
	if (table_put(&p->dns->proxies, ip, x)) {
		free(x);
		return NULL;
	}
	x->next = n->proxies;
	n->proxies = x;
	return x;
}

/* Of a resource that is not authorized any more, when there is no other room: it may never come back. */
static struct uuid *place_of_former(const struct client_peer *p, struct proxy *x)
{
	for (u32 i = 0; i < x->n_resources; i++)
		if (!grant_find(p, &x->resources[i]))
			return &x->resources[i];
	return NULL;
}

static int share(const struct client_peer *p, struct proxy *x, const struct uuid *resource)
{
	if (is_of(x, resource))
		return 0;
	if (x->n_resources == PROXY_RESOURCES_MAX) {
		struct uuid *former = place_of_former(p, x);
		if (former)
			*former = *resource;
		return former ? 0 : ERR_LIMIT;
	}
	struct uuid *more = realloc(x->resources, (x->n_resources + 1) * sizeof(*more));
	if (!more)
		return ERR_NOMEM;
	x->resources = more;
	x->resources[x->n_resources++] = *resource;
	return 0;
}

/* --- installing (spec 40 §9.4) --------------------------------------------------------------------------------------------------------------- */

/* Nothing in a site: not what this host or another client is reached by. */
static bool is_nowhere(const struct ip *ip)
{
	return ip_is_unspecified(ip) || ip_is_loopback(ip) || ip_is_multicast(ip) || ip_is_broadcast(ip) || ip_is_peer(ip) || ip_is_proxy(ip);
}

static int by_ip(const void *a, const void *b)
{
	return ip_cmp(a, b);
}

static size_t sort_unique(struct ip *list, size_t n)
{
	size_t kept = 0;

	qsort(list, n, sizeof(*list), by_ip);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || !ip_eq(&list[kept - 1], &list[i]))
			list[kept++] = list[i];
	return kept;
}

/* Of a sorted list, those of one family; IPv4 comes first. */
static const struct ip *of_family(const struct ip *list, size_t n, u8 family, size_t *count)
{
	size_t n4 = 0;

	while (n4 < n && list[n4].family == 4)
		n4++;
	*count = family == 4 ? n4 : n - n4;
	return family == 4 ? list : list + n4;
}

static bool is_reassigned(const struct client_peer *p, const struct control_assigned *m, const struct dns_name *name)
{
	for (u32 i = 0; i < m->n_proxies; i++) {
		const struct proxy *x = proxy_find(p, &m->proxies[i]);
		if (x && !dns_name_eq(&x->name->name, name))
			return true;
	}
	return false;
}

static void make_room(struct gateway *g, struct client_peer *p, u32 n)
{
	while (p->dns->oldest && p->dns->proxies.count + n > GATEWAY_PROXIES_MAX) {
		u32 before = p->dns->proxies.count;
		name_free(p, p->dns->oldest);
		g->stats.proxies_displaced += before - p->dns->proxies.count;
	}
}

static int map(struct client_peer *p, struct grant *r, const struct dns_name *name, const struct ip *proxies, size_t n, const struct ip *real,
	       size_t n_real, bool is_unknown)
{
	struct site_name *s = name_of(p, name);
	size_t index[2] = { 0 };

	if (!s)
		return ERR_NOMEM;
	for (size_t i = 0; i < n; i++) {
		struct proxy *x = proxy_of(p, s, &proxies[i]);
		size_t count, k = index[proxies[i].family == 6]++;
		const struct ip *list = of_family(real, n_real, proxies[i].family, &count);
		int rc = x ? share(p, x, &r->id) : ERR_NOMEM;
		if (!rc)
			rc = open_route(p, x, r);
		if (rc)
			return rc;
		if (!is_unknown)
			x->real = count ? list[k % count] : (struct ip){ 0 };
	}
	return 0;
}

void proxies_renumber(struct gateway *g, struct client_peer *p, const struct control_assigned *m)
{
	struct dns_name name = m->domain;

	dns_name_fold(&name);
	if (!p->dns || !is_reassigned(p, m, &name))
		return;
	dns_tell(g, LOG_INFO, "client numbers its names anew", kv_uuid("client", &p->id));
	forget_all(p);
	flow_cache_clear(&g->cache);
}

int proxies_install(struct gateway *g, struct client_peer *p, const struct control_assigned *m, const struct ip *real, size_t n_real,
		    bool is_unknown)
{
	struct grant *r = grant_find(p, &m->resource);
	struct dns_name name = m->domain;
	struct ip proxies[CONTROL_PROXIES_MAX];
	size_t n = 0;
	int rc = ERR_DENIED;

	dns_name_fold(&name);
	proxies_renumber(g, p, m);
	if (!r || r->type != MSG_RESOURCE_DNS || !r->pattern || !dns_pattern_matches(r->pattern, &name))
		return ERR_DENIED;
	struct ip *targets = calloc(n_real ? n_real : 1, sizeof(*targets));
	if (!targets || need_dns(g, p)) {
		free(targets);
		return ERR_NOMEM;
	}
	for (size_t i = 0; i < n_real; i++)
		if (!is_nowhere(&real[i]))
			targets[n++] = real[i];
	n = sort_unique(targets, n);
	memcpy(proxies, m->proxies, sizeof(proxies));
	size_t n_proxies = sort_unique(proxies, m->n_proxies);
	make_room(g, p, (u32)n_proxies);
	rc = n_proxies == 0 ? 0 : map(p, r, &name, proxies, n_proxies, targets, n, is_unknown);
	flow_cache_clear(&g->cache);
	free(targets);
	return rc;
}
