/* Client to client (spec 10 §7.4, §14, spec 60 §4.10): a client asks for the device behind a tunnel address; when a pool that it may use holds that
 * device, both are told of each other, the target first. What was allowed is remembered while it may be in use, and judged again with every change of
 * the account and every minute; what no longer holds is taken from both ends.
 *
 *	                        asks by                             granted by        target hears of the end by
 *	client of the pin       request_device_access               any pool          client_device_access_denied
 *	client that knows pools create_flow or request_authorization the pool it names reject_access
 *
 * The former is not told of pools; a client of the v2 endpoint is not answered when it asks as of old (spec 10 §14).
 */
#define LOG_TARGET "portal::device"

#include "applets/portal/channels/internal.h"
#include "applets/portal/model/pool.h"
#include "core/base/log.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

bool device_knows_pools(const struct peer *p)
{
	return p->version == MSG_V2 || version_has_pools(&p->peer_version, p->user_agent);
}

/* ---- where devices are --------------------------------------------------------------------------------------------------------- */

static struct device_address address_of(const struct peer *p)
{
	return (struct device_address){ peer_device(p)->ipv4, peer_device(p)->ipv6 };
}

/* Addresses are given once and for all: what was read may be kept. */
bool device_address(struct hub *h, const struct uuid *account, const struct uuid *client, struct device_address *out)
{
	const struct peer *p = hub_find(h, MSG_ROLE_CLIENT, account, client);
	struct uuid key[2] = { *account, *client };
	const struct device_address *known;
	union any_entity row;

	if (p) {
		*out = address_of(p);
		return true;
	}
	known = lru_get(&h->addresses, key);
	if (known) {
		*out = *known;
		return true;
	}
	if (store_get(h->cfg.store, KIND_CLIENT, account, client, &row))
		return false;
	*out = (struct device_address){ row.device.ipv4, row.device.ipv6 };
	entity_deinit(KIND_CLIENT, &row);
	lru_put(&h->addresses, key, out);
	return true;
}

/* FNV-1a over the revisions of the members, which are never used twice. */
static u64 stamp_members(const struct hub *h, const struct resource *pool)
{
	u64 stamp = 0xcbf29ce484222325u;
	u32 n;
	void *const *members = directory_all(&h->dir, KIND_POOL_MEMBER, &pool->e.account_id, &n);

	for (u32 i = 0; i < n; i++) {
		const struct pool_member *m = members[i];
		if (uuid_eq(&m->resource_id, &pool->e.id))
			stamp = (stamp ^ m->e.revision) * 0x100000001b3u;
	}
	return stamp;
}

u64 device_pool_stamp(struct hub *h, const struct resource *pool)
{
	struct pool_stamp *s = &h->pool_stamps[pool->e.id.b[0] % POOL_STAMPS];

	if (s->revision != h->dir.revision || !uuid_eq(&s->pool, &pool->e.id))
		*s = (struct pool_stamp){ pool->e.id, h->dir.revision, stamp_members(h, pool) };
	return s->stamp;
}

/* ---- judging ------------------------------------------------------------------------------------------------------------------- */

/* The longest grant of a pool that holds the target. */
static bool may_reach(const struct peer *from, const struct uuid *target, struct grant *out, struct uuid *pool)
{
	const struct hub *h = from->hub;
	u32 n;
	void *const *members = directory_all(&h->dir, KIND_POOL_MEMBER, &from->account_id, &n);

	out->policy = NULL;
	for (u32 i = 0; i < n; i++) {
		const struct pool_member *m = members[i];
		struct grant g;
		u32 violated;

		if (!uuid_eq(&m->client_id, target) ||
		    access_grant(&h->dir, &from->client.subject, &m->resource_id, hub_secs(h), &g, &violated))
			continue;
		if (!out->policy || g.expires_at > out->expires_at) {
			*out = g;
			*pool = m->resource_id;
		}
	}
	return out->policy != NULL;
}

static bool is_member(const struct hub *h, const struct uuid *account, const struct uuid *pool, const struct uuid *client)
{
	u32 n;
	void *const *members = directory_all(&h->dir, KIND_POOL_MEMBER, account, &n);

	for (u32 i = 0; i < n; i++) {
		const struct pool_member *m = members[i];
		if (uuid_eq(&m->resource_id, pool) && uuid_eq(&m->client_id, client))
			return true;
	}
	return false;
}

static bool has_feature(const struct hub *h, const struct uuid *account)
{
	const struct account *a = directory_account(&h->dir, account);
	return a && a->client_to_client_at != 0;
}

static struct peer *online_at(const struct peer *from, u32 ipv4)
{
	u32 n;
	void *const *list = hub_peers(from->hub, MSG_ROLE_CLIENT, &from->account_id, &n);

	for (u32 i = 0; i < n; i++)
		if (peer_device(list[i])->ipv4 == ipv4)
			return list[i];
	return NULL;
}

/* Is the address that of a device which is merely not there? */
static bool is_offline_member(const struct peer *from, u32 ipv4)
{
	u32 n;
	void *const *members = directory_all(&from->hub->dir, KIND_POOL_MEMBER, &from->account_id, &n);

	for (u32 i = 0; i < n; i++) {
		const struct pool_member *m = members[i];
		struct device_address at;
		struct grant g;
		struct uuid pool;

		if (device_address(from->hub, &from->account_id, &m->client_id, &at) && at.ipv4 == ipv4 &&
		    may_reach(from, &m->client_id, &g, &pool))
			return true;
	}
	return false;
}

/* ---- what was allowed -------------------------------------------------------------------------------------------------------------- */

/* `pool` NULL: any. */
static struct device_access *access_find(const struct hub *h, const struct uuid *account, const struct uuid *from, const struct uuid *to,
					 const struct uuid *pool)
{
	for (u32 i = 0; i < h->n_accesses; i++) {
		struct device_access *a = &h->accesses[i];
		if (uuid_eq(&a->from, from) && uuid_eq(&a->to, to) && uuid_eq(&a->account_id, account) && (!pool || uuid_eq(&a->pool, pool)))
			return a;
	}
	return NULL;
}

static int access_keep(struct hub *h, const struct device_access *a)
{
	struct device_access *known = access_find(h, &a->account_id, &a->from, &a->to, &a->pool);

	if (known) {
		*known = *a;
		return 0;
	}
	if (h->n_accesses == DEVICE_ACCESSES_MAX) {
		h->stats.limits_reached++;
		return ERR_LIMIT;
	}
	if (h->n_accesses == h->cap_accesses) {
		u32 cap = h->cap_accesses ? h->cap_accesses * 2 : 16;
		struct device_access *more = realloc(h->accesses, cap * sizeof(*more));
		if (!more)
			return ERR_NOMEM;
		h->accesses = more;
		h->cap_accesses = cap;
	}
	h->accesses[h->n_accesses++] = *a;
	return 0;
}

static void push_denied(struct peer *p, const struct msg_device_access_denied *d)
{
	struct portal_message m = { .type = MSG_CLIENT_DEVICE_ACCESS_DENIED, .device_access_denied = *d };

	(void)peer_push(p, &m);
}

/* Who asked, or a client of the pin: the address is no longer to be reached. */
static void push_ended(struct peer *p, const struct device_address *other)
{
	struct msg_device_access_denied d = { .ipv4 = pool_ip(POOL_IPV4, other->ipv4), .reason = MSG_REASON_FORBIDDEN };

	if (device_knows_pools(p))
		d.ipv6 = pool_ip(POOL_IPV6, other->ipv6);
	push_denied(p, &d);
}

static void push_rejected(struct peer *to, const struct device_access *a)
{
	struct portal_message m = { .type = MSG_REJECT_ACCESS, .access = { a->from, a->pool, 0 } };

	(void)peer_push(to, &m);
}

/* By the pool that granted it; a target of the pin does not care by which. */
static bool still_holds(const struct peer *from, const struct peer *to, struct device_access *a)
{
	struct grant g;
	u32 violated;

	if (is_member(from->hub, &a->account_id, &a->pool, &a->to) &&
	    !access_grant(&from->hub->dir, &from->client.subject, &a->pool, hub_secs(from->hub), &g, &violated))
		return true;
	return !(to && device_knows_pools(to)) && !device_knows_pools(from) && may_reach(from, &a->to, &g, &a->pool);
}

/* Whoever is not there now hears of it when he comes back. */
static bool is_over(struct hub *h, struct device_access *a)
{
	struct peer *from = hub_find(h, MSG_ROLE_CLIENT, &a->account_id, &a->from);
	struct peer *to = hub_find(h, MSG_ROLE_CLIENT, &a->account_id, &a->to);

	if (has_feature(h, &a->account_id) && (from ? still_holds(from, to, a) : hub_secs(h) < a->expires_at))
		return false;
	log_info("access between clients ends", kv_uuid("from", &a->from), kv_uuid("to", &a->to), kv_uuid("pool", &a->pool));
	if (to && device_knows_pools(to))
		push_rejected(to, a);
	else if (to)
		push_ended(to, &a->from_at);
	if (from)
		push_ended(from, &a->at);
	return true;
}

void device_recheck_one(struct hub *h, const struct uuid *account, u32 i)
{
	if (uuid_eq(&h->accesses[i].account_id, account) && is_over(h, &h->accesses[i]))
		h->accesses[i] = h->accesses[--h->n_accesses];
}

void device_recheck(struct hub *h, const struct uuid *account, const struct uuid *from)
{
	for (u32 i = h->n_accesses; i-- > 0;)
		if (uuid_eq(&h->accesses[i].from, from))
			device_recheck_one(h, account, i);
}

bool device_may_signal(const struct peer *a, const struct uuid *b)
{
	return access_find(a->hub, &a->account_id, &a->id, b, NULL) || access_find(a->hub, &a->account_id, b, &a->id, NULL);
}

static bool is_inbound(const struct device_access *a, const struct peer *to)
{
	return uuid_eq(&a->to, &to->id) && uuid_eq(&a->account_id, &to->account_id);
}

struct msg_access *device_inbound(const struct peer *to, size_t *n)
{
	const struct hub *h = to->hub;
	struct msg_access *list;

	*n = 0;
	for (u32 i = 0; to->version == MSG_V2 && i < h->n_accesses; i++)
		*n += is_inbound(&h->accesses[i], to);
	list = malloc((*n + 1) * sizeof(*list));
	if (!list)
		return NULL;
	*n = 0;
	for (u32 i = 0; to->version == MSG_V2 && i < h->n_accesses; i++)
		if (is_inbound(&h->accesses[i], to))
			list[(*n)++] = (struct msg_access){ h->accesses[i].from, h->accesses[i].pool, (u64)MAX(h->accesses[i].expires_at, 0) };
	return list;
}

static bool is_reached_through(const struct hub *h, const struct peer *to, const struct uuid *pool)
{
	for (u32 i = 0; i < h->n_accesses; i++)
		if (is_inbound(&h->accesses[i], to) && uuid_eq(&h->accesses[i].pool, pool))
			return true;
	return false;
}

void device_filters_changed(struct peer *to, const struct uuid *pool)
{
	struct hub *h = to->hub;
	const struct resource *r = directory_get(&h->dir, KIND_RESOURCE, &to->account_id, pool);
	struct portal_message m = { .type = MSG_RESOURCE_FILTERS_UPDATED };
	struct rendered mem;

	if (!r || !device_knows_pools(to) || !is_member(h, &to->account_id, pool, &to->id) || !is_reached_through(h, to, pool) ||
	    render_resource(h, r, &mem))
		return;
	m.resource = mem.resource;
	(void)peer_push(to, &m);
	rendered_free(&mem);
}

/* ---- allowing ------------------------------------------------------------------------------------------------------------------------ */

/* What the end that was asked for lets in. */
static int put_grant(struct msg_device_access_authorized *a, struct peer *to, const struct pending_flow *f, struct rendered *mem)
{
	const struct resource *pool = directory_get(&to->hub->dir, KIND_RESOURCE, &to->account_id, &f->resource_id);
	int rc = pool ? render_resource(to->hub, pool, mem) : ERR_NOT_FOUND;

	if (rc)
		return rc;
	a->has_resource = true;
	a->resource = mem->resource;
	a->expires_at = (u64)f->expires_at;
	return 0;
}

static int push_authorized(struct peer *to, struct peer *initiator, struct peer *responder, const struct handshake *hs,
			   const struct pending_flow *f)
{
	struct portal_message m = { .type = MSG_CLIENT_DEVICE_ACCESS_AUTHORIZED };
	struct msg_device_access_authorized *a = &m.device_access_authorized;
	bool is_initiator = to == initiator;
	const struct peer *other = is_initiator ? responder : initiator;
	const struct account *account = directory_account(&to->hub->dir, &to->account_id);
	struct msg_ice first = { hs->ice.initiator_username, hs->ice.initiator_password };
	struct msg_ice second = { hs->ice.receiver_username, hs->ice.receiver_password };
	char ingest[INGEST_TOKEN_MAX], fqdn[128];
	const char *fqdns[] = { fqdn };
	struct rendered mem = { .devices = NULL };
	int rc = 0;

	a->client_id = other->id;
	memcpy(a->client_public_key, other->key, MSG_KEY);
	memcpy(a->preshared_key, hs->psk, MSG_KEY);
	a->client_ipv4 = pool_ip(POOL_IPV4, peer_device(other)->ipv4);
	a->client_ipv6 = pool_ip(POOL_IPV6, peer_device(other)->ipv6);
	a->local_ice = is_initiator ? first : second;
	a->remote_ice = is_initiator ? second : first;
	a->is_controlling = is_initiator;
	a->client_name = peer_device(other)->name;
	snprintf(fqdn, sizeof(fqdn), "%u-%u-%u-%u.%s.fz.internal", a->client_ipv4.b[0], a->client_ipv4.b[1], a->client_ipv4.b[2],
		 a->client_ipv4.b[3], account ? account->key : "");
	a->client_fqdns = fqdns;
	a->n_client_fqdns = 1;
	if (!is_initiator && device_knows_pools(to))
		rc = put_grant(a, to, f, &mem);
	if (!rc && to->version == MSG_V2) {
		rc = flow_ingest_token(initiator, responder, f, is_initiator ? "initiator" : "responder", ingest);
		a->flow_logs_ingest_token = ingest;
	}
	rc = rc ? rc : peer_push(to, &m);
	rendered_free(&mem);
	return rc;
}

static enum msg_reason allow(struct peer *from, struct peer *to, const struct uuid *pool, const struct grant *g)
{
	struct hub *h = from->hub;
	struct pending_flow f = { .authorization_id = hub_new_id(h), .resource_id = *pool, .policy_id = g->policy->e.id, .expires_at = g->expires_at };
	struct device_access a = { from->account_id, from->id, to->id, *pool, address_of(to), address_of(from), g->expires_at };
	struct handshake hs;

	if (access_keep(h, &a))
		return MSG_REASON_OFFLINE;
	flow_derive(from, to, &hs);
	int rc = push_authorized(to, from, to, &hs, &f);
	rc = rc ? rc : push_authorized(from, from, to, &hs, &f);
	sodium_memzero(&hs, sizeof(hs));
	log_info("access between clients", kv_uuid("from", &from->id), kv_uuid("to", &to->id), kv_uuid("pool", pool));
	return rc ? MSG_REASON_OFFLINE : MSG_REASON_UNKNOWN;
}

static enum msg_reason try_allow(struct peer *from, u32 ipv4)
{
	struct peer *to = online_at(from, ipv4);
	struct uuid pool;
	struct grant g;

	if (!has_feature(from->hub, &from->account_id))
		return MSG_REASON_DISABLED;
	if (!to)
		return is_offline_member(from, ipv4) ? MSG_REASON_OFFLINE : MSG_REASON_FORBIDDEN;
	if (to == from || !may_reach(from, &to->id, &g, &pool))
		return MSG_REASON_FORBIDDEN;
	return allow(from, to, &pool, &g);
}

static void deny(struct peer *from, const struct msg_device_access_denied *d)
{
	log_info("access between clients refused", kv_uuid("from", &from->id), kv_ip("ip", d->ipv4.family ? &d->ipv4 : &d->ipv6),
		 kv_s("reason", msg_reason_name(d->reason)));
	push_denied(from, d);
}

void device_request(struct peer *from, const struct ip *ipv4)
{
	struct msg_device_access_denied d = { .ipv4 = *ipv4 };

	if (ipv4->family != 4 || from->version == MSG_V2)
		return;
	d.reason = try_allow(from, get_be32(ipv4->b));
	if (d.reason != MSG_REASON_UNKNOWN)
		deny(from, &d);
}

/* The member of a pool at one address. */
static bool find_member(struct hub *h, const struct resource *pool, const struct msg_create_flow *m, struct uuid *client)
{
	u32 n;
	void *const *members = directory_all(&h->dir, KIND_POOL_MEMBER, &pool->e.account_id, &n);

	for (u32 i = 0; i < n; i++) {
		const struct pool_member *x = members[i];
		struct device_address at;

		if (!uuid_eq(&x->resource_id, &pool->e.id) || !device_address(h, &pool->e.account_id, &x->client_id, &at))
			continue;
		struct ip ipv4 = pool_ip(POOL_IPV4, at.ipv4), ipv6 = pool_ip(POOL_IPV6, at.ipv6);
		if (m->ipv4.family ? ip_eq(&ipv4, &m->ipv4) : ip_eq(&ipv6, &m->ipv6)) {
			*client = x->client_id;
			return true;
		}
	}
	return false;
}

static bool is_compatible(const struct peer *from, const struct peer *to)
{
	return version_has_device_access(&to->peer_version, to->user_agent) && version_is_same_minor(&from->peer_version, &to->peer_version);
}

static enum msg_reason try_pool(struct peer *from, const struct resource *pool, const struct grant *g, const struct msg_create_flow *m,
				struct uuid *target)
{
	struct peer *to;

	if (m->ipv4.family && m->ipv6.family)
		return MSG_REASON_AMBIGUOUS_ADDRESS;
	if (!m->ipv4.family && !m->ipv6.family)
		return MSG_REASON_MISSING_ADDRESS;
	if (!find_member(from->hub, pool, m, target) || uuid_eq(target, &from->id)) {
		*target = (struct uuid){ 0 };
		return MSG_REASON_FORBIDDEN;
	}
	to = hub_find(from->hub, MSG_ROLE_CLIENT, &from->account_id, target);
	if (!to)
		return MSG_REASON_OFFLINE;
	return is_compatible(from, to) ? allow(from, to, &pool->e.id, g) : MSG_REASON_VERSION_MISMATCH;
}

void device_create(struct peer *from, const struct resource *pool, const struct grant *g, const struct msg_create_flow *m)
{
	struct msg_device_access_denied d = { .ipv4 = m->ipv4, .ipv6 = m->ipv6, .resource_id = pool->e.id };

	d.reason = try_pool(from, pool, g, m, &d.client_id);
	if (d.reason != MSG_REASON_UNKNOWN)
		deny(from, &d);
}
