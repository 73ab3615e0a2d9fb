#define LOG_TARGET "tunnel::gateway"
#include "core/tunnel/gateway_state.h"

#include <sodium.h>
#include <stdlib.h>

/* --- grants -------------------------------------------------------------------------------------------------------------------------- */

static void grant_free(struct grant *r)
{
	if (!r)
		return;
	filter_deinit(&r->filter);
	flow_about_drop(r->about);
	free(r->pattern);
	free(r);
}

/* A resource whose pattern cannot be used exists, but no name belongs to it (spec 40 §9.4). */
static int set_pattern(struct grant *r, const struct msg_resource *m)
{
	if (m->type != MSG_RESOURCE_DNS)
		return 0;
	r->pattern = malloc(sizeof(*r->pattern));
	if (!r->pattern)
		return ERR_NOMEM;
	if (dns_pattern_init(r->pattern, m->address)) {
		log_warn("pattern of a resource matches no name", kv_uuid("resource", &m->id), kv_s("address", m->address));
		free(r->pattern);
		r->pattern = NULL;
	}
	return 0;
}

static struct grant *grant_make(const struct msg_resource *m, u64 expires_at)
{
	struct grant *r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	r->id = m->id;
	r->type = m->type;
	r->net = m->net;
	r->expires_at = expires_at;
	if (set_pattern(r, m) || filter_init(&r->filter, m->filters, m->n_filters)) {
		free(r->pattern);
		free(r);
		return NULL;
	}
	return r;
}

struct grant *grant_find(const struct client_peer *p, const struct uuid *id)
{
	for (struct grant *r = p->grants; r; r = r->next)
		if (uuid_eq(&r->id, id))
			return r;
	return NULL;
}

static void grant_remove(struct gateway *g, struct client_peer *p, struct grant *r)
{
	if (r->type == MSG_RESOURCE_CIDR)
		(void)routes_remove(&p->routes, &r->net, &r->id);
	proxies_close(p, r);
	for (struct grant **link = &p->grants; *link; link = &(*link)->next)
		if (*link == r) {
			*link = r->next;
			break;
		}
	if (p->internet == r) {
		p->internet = NULL;
		for (struct grant *i = p->grants; i; i = i->next)
			if (i->type == MSG_RESOURCE_INTERNET)
				p->internet = i;
	}
	p->n_grants--;
	flow_cache_clear(&g->cache);
	log_info("access ends", kv_uuid("client", &p->id), kv_uuid("resource", &r->id));
	grant_free(r);
}

static void set_filter(struct gateway *g, struct grant *r, struct filter *f)
{
	filter_deinit(&r->filter);
	r->filter = *f; /* routes point at the struct, not at its ranges */
	flow_cache_clear(&g->cache);
}

/* Takes `r` over. */
static int grant_add(struct gateway *g, struct client_peer *p, struct grant *r)
{
	struct grant *known = grant_find(p, &r->id);

	if (known) { /* filters and expiry are renewed, nothing else is (spec 40 §4.2) */
		if (known->type != r->type)
			log_error("a resource changed its type", kv_uuid("resource", &r->id));
		else
			set_filter(g, known, &r->filter), r->filter = (struct filter){ 0 };
		known->expires_at = r->expires_at;
		flow_about_drop(known->about);
		known->about = r->about;
		r->about = NULL;
		grant_free(r);
		return 0;
	}
	int rc = p->n_grants == GATEWAY_RESOURCES_MAX ? ERR_LIMIT : 0;
	if (!rc && r->type == MSG_RESOURCE_CIDR)
		rc = routes_add(&p->routes, &r->net, &r->id, &r->filter, r);
	if (!rc)
		rc = proxies_open(p, r);
	if (rc) {
		grant_free(r);
		return rc;
	}
	if (r->type == MSG_RESOURCE_INTERNET)
		p->internet = r;
	r->next = p->grants;
	p->grants = r;
	p->n_grants++;
	flow_cache_clear(&g->cache);
	log_info("access is granted", kv_uuid("client", &p->id), kv_uuid("resource", &r->id));
	return 0;
}

/* --- clients --------------------------------------------------------------------------------------------------------------------------- */

static void peer_free(struct client_peer *p)
{
	while (p->grants) {
		struct grant *r = p->grants;
		p->grants = r->next;
		grant_free(r);
	}
	proxies_free(p);
	routes_deinit(&p->routes);
	free(p);
}

static void forget_address(struct gateway *g, const struct ip *ip, const struct client_peer *p)
{
	if (table_get(&g->peers_by_ip, ip) == p)
		(void)table_del(&g->peers_by_ip, ip);
}

void peer_drop(struct gateway *g, struct client_peer *p, bool says_goodbye)
{
	report_end(g, p);
	if (says_goodbye)
		node_close(g->node, g->now, &p->id);
	(void)table_del(&g->peers_by_id, &p->id);
	forget_address(g, &p->ipv4, p);
	forget_address(g, &p->ipv6, p);
	*p->link = p->next;
	if (p->next)
		p->next->link = p->link;
	if (g->last_peer == p)
		g->last_peer = NULL;
	flow_cache_clear(&g->cache);
	outbox_forget(&g->outbox, &p->id);
	dns_forget(g, &p->id);
	if (says_goodbye)
		gateway_event_push(g, &(struct gateway_event){ .type = GATEWAY_CLIENT_LOST, .peer = p->id });
	peer_free(p);
}

static struct client_peer *peer_make(struct gateway *g, const struct authorization *a)
{
	struct client_peer *p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->id = a->client;
	p->ipv4 = a->ipv4;
	p->ipv6 = a->ipv6;
	p->own4 = g->ipv4;
	p->own6 = g->ipv6;
	if (table_put(&g->peers_by_id, &p->id, p)) {
		free(p);
		return NULL;
	}
	if (table_put(&g->peers_by_ip, &p->ipv4, p) || table_put(&g->peers_by_ip, &p->ipv6, p)) {
		forget_address(g, &p->ipv4, p);
		(void)table_del(&g->peers_by_id, &p->id);
		free(p);
		return NULL;
	}
	p->next = g->peers;
	p->link = &g->peers;
	if (p->next)
		p->next->link = &p->next;
	g->peers = p;
	g->last_peer = NULL;
	return p;
}

static struct client_peer *peer_upsert(struct gateway *g, const struct authorization *a)
{
	struct client_peer *p = table_get(&g->peers_by_id, &a->client);
	if (p && ip_eq(&p->ipv4, &a->ipv4) && ip_eq(&p->ipv6, &a->ipv6))
		return p;
	if (p) {
		log_info("client came back with another tunnel address", kv_uuid("client", &p->id));
		peer_drop(g, p, false);
	}
	return peer_make(g, a);
}

/* --- authorizations ----------------------------------------------------------------------------------------------------------------------- */

static void authorization_free(struct authorization *a)
{
	if (!a)
		return;
	sodium_memzero(&a->peer, sizeof(a->peer));
	grant_free(a->grant);
	free(a->ref);
	free(a);
}

static struct authorization *authorization_make(const struct gateway *g, const struct msg_authorize_flow *m)
{
	struct authorization *a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	a->client = m->client.id;
	a->ipv4 = m->client.ipv4;
	a->ipv6 = m->client.ipv6;
	a->until = time_add(g->now, HOLD_SPAN);
	memcpy(a->peer.public_key, m->client.public_key, sizeof(a->peer.public_key));
	memcpy(a->peer.preshared_key, m->client.preshared_key, sizeof(a->peer.preshared_key));
	a->peer.is_controlling = false;
	a->ref = text_copy(m->ref);
	a->grant = grant_make(&m->resource, m->expires_at);
	if (a->grant && g->flowlog)
		a->grant->about = flow_about_new(m);
	if (!a->ref || !a->grant || (g->flowlog && !a->grant->about) || ice_from_message(&a->peer.local, &m->gateway_ice) || ice_from_message(&a->peer.remote, &m->client_ice)) {
		authorization_free(a);
		return NULL;
	}
	return a;
}

static bool is_for(const struct authorization *a, const struct uuid *client, const struct uuid *resource)
{
	return uuid_eq(&a->client, client) && uuid_eq(&a->grant->id, resource);
}

static void hold_forget(struct gateway *g, const struct uuid *client, const struct uuid *resource)
{
	struct authorization **link = &g->held;
	while (*link) {
		struct authorization *a = *link;
		if (is_for(a, client, resource)) {
			*link = a->next;
			g->n_held--;
			authorization_free(a);
		} else {
			link = &a->next;
		}
	}
	g->held_last = link;
}

/* ERR_NO_RELAY, ERR_STATE: nothing changed, `a` remains the caller's. Otherwise its grant was used up. */
static int grant_access(struct gateway *g, u64 wall, struct authorization *a)
{
	if (!g->ipv4.family)
		return ERR_STATE; /* no init yet: silence, not an empty promise (spec 40 §3.3) */
	struct client_peer *p = table_get(&g->peers_by_id, &a->client);
	if (p)
		report_count(g, p);
	int rc = node_upsert(g->node, g->now, wall, &a->client, &a->peer, NULL);
	if (rc == ERR_NO_RELAY)
		return rc;
	if (p)
		report_count(g, p);
	p = rc ? NULL : peer_upsert(g, a);
	if (!rc && !p)
		rc = ERR_LIMIT;
	if (!rc) {
		rc = grant_add(g, p, a->grant);
		a->grant = NULL;
	}
	if (!rc)
		rc = outbox_flow_authorized(&g->outbox, a->ref);
	if (rc)
		log_warn("cannot grant access", kv_uuid("client", &a->client), kv_err(rc));
	access_tick(g, wall);
	return rc == ERR_STATE || rc == ERR_NO_RELAY ? ERR_INTERNAL : rc;
}

void access_no_relays(struct gateway *g)
{
	bool is_undecided;

	if (!g->ipv4.family || g->now < g->no_relays_again || node_has_relay(g->node, &is_undecided) || is_undecided)
		return;
	g->no_relays_again = time_add(g->now, NO_RELAYS_INTERVAL);
	log_info("no relay is available");
	if (outbox_no_relays(&g->outbox))
		g->stats.messages_refused++;
}

void access_authorize(struct gateway *g, u64 wall, const struct msg_authorize_flow *m)
{
	struct authorization *a = authorization_make(g, m);

	if (!a) {
		log_warn("authorization is not usable", kv_uuid("client", &m->client.id), kv_uuid("resource", &m->resource.id));
		return;
	}
	hold_forget(g, &m->client.id, &m->resource.id);
	int rc = grant_access(g, wall, a);
	if (rc != ERR_NO_RELAY && rc != ERR_STATE) {
		authorization_free(a);
		return;
	}
	if (g->n_held == GATEWAY_HELD_MAX) {
		log_warn("too many authorizations wait for a relay", kv_uuid("client", &a->client));
		authorization_free(a);
		return;
	}
	*g->held_last = a;
	g->held_last = &a->next;
	g->n_held++;
	access_no_relays(g);
}

void access_resume(struct gateway *g, u64 wall)
{
	bool is_undecided, can_connect = node_has_relay(g->node, &is_undecided) && g->ipv4.family;

	if (can_connect)
		g->no_relays_again = 0;
	else if (g->n_held > 0)
		access_no_relays(g);
	struct authorization **link = &g->held;
	while (*link) {
		struct authorization *a = *link;
		bool is_over = g->now >= a->until;
		int rc = is_over ? ERR_TIMEOUT : can_connect ? grant_access(g, wall, a) : ERR_NO_RELAY;
		if (rc == ERR_NO_RELAY || rc == ERR_STATE) {
			link = &a->next;
			continue;
		}
		if (is_over)
			log_info("no relay in time, authorization is left unanswered", kv_uuid("client", &a->client));
		*link = a->next;
		g->n_held--;
		authorization_free(a);
	}
	g->held_last = link;
}

void access_reject(struct gateway *g, const struct uuid *client, const struct uuid *resource)
{
	struct client_peer *p = table_get(&g->peers_by_id, client);
	struct grant *r = p ? grant_find(p, resource) : NULL;

	hold_forget(g, client, resource);
	if (!r) {
		log_debug("nothing to reject", kv_uuid("client", client), kv_uuid("resource", resource));
		return;
	}
	grant_remove(g, p, r);
	if (p->n_grants == 0)
		peer_drop(g, p, true);
}

void access_set_expiry(struct gateway *g, u64 wall, const struct msg_access *m)
{
	struct client_peer *p = table_get(&g->peers_by_id, &m->client_id);
	struct grant *r = p ? grant_find(p, &m->resource_id) : NULL;

	for (struct authorization *a = g->held; a; a = a->next)
		if (is_for(a, &m->client_id, &m->resource_id))
			a->grant->expires_at = m->expires_at;
	if (!r) {
		log_debug("expiry of an unknown authorization", kv_uuid("client", &m->client_id), kv_uuid("resource", &m->resource_id));
		return;
	}
	r->expires_at = m->expires_at;
	access_tick(g, wall);
}

void access_update_filters(struct gateway *g, const struct msg_resource *m)
{
	for (struct client_peer *p = g->peers; p; p = p->next) {
		struct grant *r = grant_find(p, &m->id);
		struct filter f;
		if (!r)
			continue;
		if (filter_init(&f, m->filters, m->n_filters)) {
			log_error("no memory for new filters, the resource is closed", kv_uuid("resource", &m->id));
			f = (struct filter){ .allows_all = false };
		}
		set_filter(g, r, &f);
	}
}

static int by_pair(const void *a, const void *b)
{
	const struct msg_access *x = a, *y = b;
	int order = uuid_cmp(&x->client_id, &y->client_id);
	return order ? order : uuid_cmp(&x->resource_id, &y->resource_id);
}

void access_prune(struct gateway *g, const struct msg_access *list, size_t n)
{
	struct msg_access *sorted = calloc(n ? n : 1, sizeof(*sorted));
	if (!sorted) {
		log_error("no memory to compare authorizations");
		return;
	}
	if (n > 0)
		memcpy(sorted, list, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), by_pair);
	for (struct client_peer *p = g->peers; p; p = p->next)
		for (struct grant *r = p->grants, *next; r; r = next) {
			struct msg_access key = { .client_id = p->id, .resource_id = r->id };
			next = r->next;
			if (!bsearch(&key, sorted, n, sizeof(*sorted), by_pair))
				grant_remove(g, p, r);
		}
	free(sorted);
}

/* --- time ---------------------------------------------------------------------------------------------------------------------------------- */

/* Nanoseconds of the wall clock until an expiry, 0 when it is past. */
static u64 until_expiry(u64 expires_at, u64 wall)
{
	if (expires_at >= TIME_NEVER / NSEC_PER_SEC)
		return TIME_NEVER;
	return time_since(SEC(expires_at), wall);
}

void access_tick(struct gateway *g, u64 wall)
{
	u64 next = TIME_NEVER;

	for (struct client_peer *p = g->peers, *next_peer; p; p = next_peer) {
		next_peer = p->next;
		for (struct grant *r = p->grants, *next_grant; r; r = next_grant) {
			u64 left = until_expiry(r->expires_at, wall);
			next_grant = r->next;
			if (left == 0)
				grant_remove(g, p, r);
			else
				next = time_min(next, left);
		}
		if (p->dns)
			nat_tick(&p->dns->nat, g->now);
		if (p->n_grants == 0)
			peer_drop(g, p, true);
	}
	/* Exactly at the next expiry; each second besides, because the wall clock may be set. */
	g->next_tick = g->peers ? time_add(g->now, time_min(next, GATEWAY_TICK)) : TIME_NEVER;
}

u64 access_next_timeout(const struct gateway *g)
{
	u64 next = g->next_tick;
	for (const struct authorization *a = g->held; a; a = a->next)
		next = time_min(next, a->until);
	return next;
}

void access_free(struct gateway *g)
{
	while (g->held) {
		struct authorization *a = g->held;
		g->held = a->next;
		authorization_free(a);
	}
	while (g->peers) {
		struct client_peer *p = g->peers;
		g->peers = p->next;
		peer_free(p);
	}
	dns_forget(g, NULL);
}
