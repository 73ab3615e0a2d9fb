#define LOG_TARGET "tunnel::client"
#include "core/tunnel/client_state.h"

#include <stdlib.h>

/* --- sites ----------------------------------------------------------------------------------------------------------------------- */

void site_set(struct client *c, const struct uuid *id, enum site_status status)
{
	struct site *s = table_get(&c->sites_by_id, id);
	if (!s) {
		if (status == SITE_UNKNOWN)
			return;
		s = calloc(1, sizeof(*s));
		if (!s || table_put(&c->sites_by_id, id, s)) {
			free(s);
			return;
		}
		s->id = *id;
		s->next = c->sites;
		c->sites = s;
	}
	s->status = status;
	s->since = c->now;
	c->is_list_dirty = true;
}

void resource_set_sites(struct client *c, const struct resource *r, enum site_status status)
{
	for (size_t i = 0; i < r->n_sites; i++)
		site_set(c, &r->sites[i].id, status);
}

u64 sites_next_timeout(const struct client *c)
{
	u64 next = TIME_NEVER;
	for (const struct site *s = c->sites; s; s = s->next)
		if (s->status == SITE_OFFLINE)
			next = time_min(next, time_add(s->since, SITE_OFFLINE_SPAN));
	return next;
}

void sites_timeout(struct client *c)
{
	for (struct site *s = c->sites; s; s = s->next)
		if (s->status == SITE_OFFLINE && c->now >= time_add(s->since, SITE_OFFLINE_SPAN))
			site_set(c, &s->id, SITE_UNKNOWN);
}

/* Online if any site is, offline if all are (spec 30 §3.4). */
static enum site_status status_of(const struct client *c, const struct resource *r)
{
	size_t offline = 0;
	for (size_t i = 0; i < r->n_sites; i++) {
		const struct site *s = table_get(&c->sites_by_id, &r->sites[i].id);
		if (s && s->status == SITE_ONLINE)
			return SITE_ONLINE;
		offline += s && s->status == SITE_OFFLINE;
	}
	return r->n_sites > 0 && offline == r->n_sites ? SITE_OFFLINE : SITE_UNKNOWN;
}

/* --- one resource ------------------------------------------------------------------------------------------------------------------ */

static void sites_free(struct msg_site *sites, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free((char *)sites[i].name);
	free(sites);
}

static void resource_free(struct resource *r)
{
	if (!r)
		return;
	free(r->name);
	free(r->address);
	free(r->description);
	sites_free(r->sites, r->n_sites);
	filter_deinit(&r->filter);
	free(r);
}

/* The parts whose change interrupts nothing. Keeps the old ones when memory is short. */
static int describe(struct resource *r, const struct msg_resource *m)
{
	struct msg_site *sites = calloc(m->n_sites ? m->n_sites : 1, sizeof(*sites));
	char *name = text_copy(m->name ? m->name : ""), *description = m->address_description ? text_copy(m->address_description) : NULL;
	size_t n = 0;

	while (sites && n < m->n_sites) {
		sites[n].id = m->sites[n].id;
		sites[n].name = text_copy(m->sites[n].name ? m->sites[n].name : "");
		if (!sites[n].name)
			break;
		n++;
	}
	if (!sites || !name || n < m->n_sites || (m->address_description && !description)) {
		if (sites)
			sites_free(sites, n);
		free(name);
		free(description);
		return ERR_NOMEM;
	}
	free(r->name);
	free(r->description);
	sites_free(r->sites, r->n_sites);
	r->name = name;
	r->description = description;
	r->sites = sites;
	r->n_sites = n;
	return 0;
}

static struct resource *resource_make(const struct msg_resource *m)
{
	struct resource *r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	r->id = m->id;
	r->type = m->type;
	r->net = m->net;
	r->ip_stack = m->ip_stack;
	r->address = text_copy(m->address ? m->address : "");
	if (!r->address || filter_init(&r->filter, m->filters, m->n_filters) || describe(r, m)) {
		resource_free(r);
		return NULL;
	}
	return r;
}

static bool has_site(const struct msg_site *sites, size_t n, const struct uuid *id)
{
	for (size_t i = 0; i < n; i++)
		if (uuid_eq(&sites[i].id, id))
			return true;
	return false;
}

static bool has_same_sites(const struct resource *a, const struct resource *b)
{
	for (size_t i = 0; i < a->n_sites; i++)
		if (!has_site(b->sites, b->n_sites, &a->sites[i].id))
			return false;
	for (size_t i = 0; i < b->n_sites; i++)
		if (!has_site(a->sites, a->n_sites, &b->sites[i].id))
			return false;
	return true;
}

static bool is_same_address(const struct resource *a, const struct resource *b)
{
	if (a->type == MSG_RESOURCE_CIDR)
		return ip_eq(&a->net.ip, &b->net.ip) && a->net.len == b->net.len;
	return strcmp(a->address, b->address) == 0;
}

/* Equal in everything that routing and authorization depend on (spec 30 §3.2). */
static bool is_same_access(const struct resource *a, const struct resource *b)
{
	return a->type == b->type && is_same_address(a, b) && a->ip_stack == b->ip_stack && has_same_sites(a, b) &&
	       filter_eq(&a->filter, &b->filter);
}

static void tables_changed(struct client *c)
{
	flow_cache_clear(&c->cache);
	c->is_tun_dirty = c->is_list_dirty = true;
	names_tables_changed(c);
}

static int insert(struct client *c, struct resource *r)
{
	int rc = table_put(&c->resources_by_id, &r->id, r);
	if (rc)
		return rc;
	if (r->type == MSG_RESOURCE_CIDR) {
		rc = routes_add(&c->cidrs, &r->net, &r->id, &r->filter, r);
		if (rc) {
			(void)table_del(&c->resources_by_id, &r->id);
			return rc;
		}
	}
	if (r->type == MSG_RESOURCE_DNS) {
		rc = stub_add(c->stub, &r->id, r->address, r->ip_stack, &r->filter, r);
		if (rc) /* listed all the same: people shall see what they were given */
			log_warn("a resource's names cannot be resolved", kv_s("address", r->address), kv_uuid("id", &r->id), kv_err(rc));
	}
	r->next = c->resources;
	c->resources = r;
	if (r->type == MSG_RESOURCE_INTERNET)
		c->internet = r;
	tables_changed(c);
	return 0;
}

void resource_release(struct client *c, struct resource *r)
{
	if (r->flow)
		flow_drop(c, r->flow);
	gateway_deauthorize(c, r);
	gateways_close_unused(c);
}

void resource_remove(struct client *c, struct resource *r)
{
	resource_release(c, r);
	(void)table_del(&c->resources_by_id, &r->id);
	if (r->type == MSG_RESOURCE_CIDR)
		(void)routes_remove(&c->cidrs, &r->net, &r->id);
	if (r->type == MSG_RESOURCE_DNS)
		stub_remove(c->stub, &r->id);
	if (c->internet == r)
		c->internet = NULL;
	for (struct resource **link = &c->resources; *link; link = &(*link)->next)
		if (*link == r) {
			*link = r->next;
			break;
		}
	tables_changed(c);
	log_info("Deactivating resource", kv_s("name", r->name), kv_s("address", r->address), kv_uuid("id", &r->id));
	resource_free(r);
}

void resource_add(struct client *c, const struct msg_resource *m)
{
	struct resource *known = table_get(&c->resources_by_id, &m->id), *r = resource_make(m);

	if (!r) {
		log_warn("no memory for a resource", kv_uuid("id", &m->id));
		return;
	}
	if (known && is_same_access(known, r)) {
		resource_free(r);
		if (describe(known, m) == 0)
			c->is_list_dirty = true;
		return;
	}
	if (known)
		resource_remove(c, known);
	if (r->type == MSG_RESOURCE_INTERNET && c->internet)
		resource_remove(c, c->internet); /* an account has one; the newest wins */
	int rc = insert(c, r);
	if (rc) {
		log_warn("cannot take up a resource", kv_uuid("id", &m->id), kv_err(rc));
		resource_free(r);
		return;
	}
	log_info("Activating resource", kv_s("name", r->name), kv_s("address", r->address), kv_uuid("id", &r->id));
}

static int by_uuid(const void *a, const void *b)
{
	return uuid_cmp(a, b);
}

void resources_set(struct client *c, const struct msg_resource *list, size_t n)
{
	struct uuid *ids = calloc(n ? n : 1, sizeof(*ids));
	if (!ids) {
		log_warn("no memory for the resource list");
		return;
	}
	for (size_t i = 0; i < n; i++)
		ids[i] = list[i].id;
	qsort(ids, n, sizeof(*ids), by_uuid);
	for (struct resource *r = c->resources, *next; r; r = next) {
		next = r->next;
		if (!bsearch(&r->id, ids, n, sizeof(*ids), by_uuid))
			resource_remove(c, r);
	}
	free(ids);
	for (size_t i = 0; i < n; i++)
		resource_add(c, &list[i]);
}

void resources_free(struct client *c)
{
	while (c->resources) {
		struct resource *r = c->resources;
		c->resources = r->next;
		resource_free(r);
	}
	while (c->sites) {
		struct site *s = c->sites;
		c->sites = s->next;
		free(s);
	}
	routes_deinit(&c->cidrs);
}

/* --- what the user sees ------------------------------------------------------------------------------------------------------------ */

static bool is_listed(const struct resource *r)
{
	switch (r->type) {
	case MSG_RESOURCE_DNS:
	case MSG_RESOURCE_CIDR:
	case MSG_RESOURCE_INTERNET:
		return true;
	case MSG_RESOURCE_STATIC_DEVICE_POOL:
	case MSG_RESOURCE_DYNAMIC_DEVICE_POOL:
		return false;
	}
	return false;
}

static int by_appearance(const void *a, const void *b)
{
	const struct client_resource *x = a, *y = b;
	bool x_first = x->type == MSG_RESOURCE_INTERNET, y_first = y->type == MSG_RESOURCE_INTERNET;
	if (x_first != y_first)
		return x_first ? -1 : 1;
	int order = strcmp(x->name, y->name);
	return order ? order : uuid_cmp(&x->id, &y->id);
}

/* The whole list, sorted; NULL when memory is short. */
static struct client_resource *list_make(const struct client *c, size_t *count)
{
	struct client_resource *list = calloc(c->resources_by_id.count + 1, sizeof(*list));
	size_t n = 0;

	if (!list)
		return NULL;
	for (const struct resource *r = c->resources; r; r = r->next) {
		if (!is_listed(r))
			continue;
		list[n++] = (struct client_resource){
			.id = r->id,
			.type = r->type,
			.name = r->name,
			.address = r->address,
			.address_description = r->description,
			.sites = r->sites,
			.n_sites = r->n_sites,
			.status = status_of(c, r),
			.is_active = r->type != MSG_RESOURCE_INTERNET || c->wants_internet,
		};
	}
	qsort(list, n, sizeof(*list), by_appearance);
	*count = n;
	return list;
}

size_t client_resources(const struct client *c, struct client_resource *out, size_t max)
{
	size_t n = 0;
	struct client_resource *list = list_make(c, &n);
	if (!list)
		return 0;
	memcpy(out, list, MIN(n, max) * sizeof(*out));
	free(list);
	return n;
}

static size_t text_size(const struct client_resource *r)
{
	return sizeof(r->id) + 3 + strlen(r->name) + strlen(r->address) + (r->address_description ? strlen(r->address_description) : 0) + 4 +
	       r->n_sites * sizeof(struct uuid);
}

/* The list as bytes, so that two of them can be compared. Names of sites are left out (spec 30 §3.4). */
static u8 *list_bytes(const struct client *c, size_t *len)
{
	size_t n = 0, size = 1;
	struct client_resource *list = list_make(c, &n);
	if (!list)
		return NULL;
	for (size_t i = 0; i < n; i++)
		size += text_size(&list[i]);
	u8 *bytes = malloc(size);
	if (bytes) {
		struct wr w = wr_init(bytes, size);
		for (size_t i = 0; i < n; i++) {
			const struct client_resource *r = &list[i];
			wr_bytes(&w, r->id.b, sizeof(r->id.b));
			wr_u8(&w, (u8)r->type);
			wr_u8(&w, (u8)r->status);
			wr_u8(&w, r->is_active);
			wr_str(&w, r->name);
			wr_u8(&w, 0);
			wr_str(&w, r->address);
			wr_u8(&w, 0);
			wr_u8(&w, r->address_description != NULL);
			if (r->address_description)
				wr_str(&w, r->address_description);
			wr_u8(&w, 0);
			for (size_t k = 0; k < r->n_sites; k++)
				wr_bytes(&w, r->sites[k].id.b, sizeof(struct uuid));
		}
		*len = wr_len(&w);
	}
	free(list);
	return bytes;
}

bool resource_list_poll(struct client *c, struct client_event *out)
{
	size_t len = 0;
	if (!c->is_list_dirty)
		return false;
	c->is_list_dirty = false;
	u8 *bytes = list_bytes(c, &len);
	if (!bytes)
		return false;
	if (len == c->emitted_list_len && (len == 0 || memcmp(bytes, c->emitted_list, len) == 0)) {
		free(bytes);
		return false;
	}
	free(c->emitted_list);
	c->emitted_list = bytes;
	c->emitted_list_len = len;
	*out = (struct client_event){ .type = CLIENT_RESOURCES_CHANGED };
	return true;
}

/* --- TUN configuration --------------------------------------------------------------------------------------------------------------- */

static int by_network(const void *a, const void *b)
{
	const struct cidr *x = a, *y = b;
	int order = ip_cmp(&x->ip, &y->ip);
	return order ? order : (int)x->len - (int)y->len;
}

/* Spec 30 §4.2. Sorted, without repetition; NULL when memory is short. */
static struct cidr *routes_make(const struct client *c, size_t *count)
{
	const struct cidr always[] = { net_peers4, net_peers6, net_proxies4, net_proxies6, net_sentinels4, net_sentinels6 };
	struct cidr *list = calloc(ARRAY_LEN(always) + 2 + c->resources_by_id.count, sizeof(*list));
	size_t n = ARRAY_LEN(always), kept = 0;

	if (!list)
		return NULL;
	memcpy(list, always, sizeof(always));
	if (internet_is_active(c)) {
		list[n++] = (struct cidr){ .ip = { .family = 4 }, .len = 0 };
		list[n++] = (struct cidr){ .ip = { .family = 6 }, .len = 0 };
	}
	for (const struct resource *r = c->resources; r; r = r->next)
		if (r->type == MSG_RESOURCE_CIDR)
			list[n++] = r->net;
	qsort(list, n, sizeof(*list), by_network);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || by_network(&list[kept - 1], &list[i]) != 0)
			list[kept++] = list[i];
	*count = kept;
	return list;
}

static bool is_same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool is_same_config(const struct client *c, const struct cidr *routes, size_t n)
{
	const struct client_tun_config *t = &c->emitted_tun;
	if (!c->emitted_routes || c->emitted_mapping != names_mapping(c->dns) || !ip_eq(&t->ipv4, &c->ipv4) || !ip_eq(&t->ipv6, &c->ipv6) || t->n_routes != n ||
	    !is_same_text(c->emitted_search_domain, c->search_domain))
		return false;
	for (size_t i = 0; i < n; i++)
		if (by_network(&t->routes[i], &routes[i]) != 0)
			return false;
	return true;
}

bool tun_config_poll(struct client *c, struct client_event *out)
{
	size_t n = 0;
	if (!c->is_tun_dirty || !c->ipv4.family)
		return false;
	c->is_tun_dirty = false;
	struct cidr *routes = routes_make(c, &n);
	if (!routes)
		return false;
	if (is_same_config(c, routes, n)) {
		free(routes);
		return false;
	}
	free(c->emitted_routes);
	free(c->emitted_search_domain);
	c->emitted_routes = routes;
	c->emitted_search_domain = c->search_domain ? text_copy(c->search_domain) : NULL;
	c->emitted_mapping = names_mapping(c->dns);
	const struct dns_config *dns = names_configured(c->dns);
	c->emitted_tun = (struct client_tun_config){ .ipv4 = c->ipv4, .ipv6 = c->ipv6, .routes = routes, .n_routes = n, .dns = dns->upstreams,
						     .n_dns = dns->n, .search_domain = c->emitted_search_domain };
	*out = (struct client_event){ .type = CLIENT_TUN_CONFIG, .tun = &c->emitted_tun };
	return true;
}

void client_set_internet(struct client *c, u64 now, bool is_active)
{
	c->now = now;
	if (c->wants_internet == is_active)
		return;
	c->wants_internet = is_active;
	if (!is_active && c->internet)
		resource_release(c, c->internet);
	tables_changed(c);
	names_pump(c);
}
