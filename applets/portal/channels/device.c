/* Client to client (spec 10 §7.4, spec 60 §4.10): a client asks for the device behind a tunnel address; when a pool that it may use holds that device, both
 * are told of each other, the target first. What was allowed is remembered while it may be in use, and judged again with every change of the account
 * and every minute: what no longer holds is denied to both ends, who then close. A client that asks at the v2 endpoint is not answered: there the
 * request is a matter of create_flow (spec 10 §14). */
#define LOG_TARGET "portal::device"

#include "applets/portal/channels/internal.h"
#include "applets/portal/model/pool.h"
#include "core/base/log.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

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
		union any_entity row;
		struct grant g;
		struct uuid pool;

		if (!may_reach(from, &m->client_id, &g, &pool) ||
		    store_get(from->hub->cfg.store, KIND_CLIENT, &from->account_id, &m->client_id, &row))
			continue;
		bool is_it = row.device.ipv4 == ipv4;
		entity_deinit(KIND_CLIENT, &row);
		if (is_it)
			return true;
	}
	return false;
}

/* ---- what was allowed -------------------------------------------------------------------------------------------------------------- */

static struct device_access *access_find(const struct hub *h, const struct uuid *account, const struct uuid *from, const struct uuid *to)
{
	for (u32 i = 0; i < h->n_accesses; i++) {
		struct device_access *a = &h->accesses[i];
		if (uuid_eq(&a->from, from) && uuid_eq(&a->to, to) && uuid_eq(&a->account_id, account))
			return a;
	}
	return NULL;
}

static int access_keep(struct hub *h, const struct device_access *a)
{
	struct device_access *known = access_find(h, &a->account_id, &a->from, &a->to);

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

static void push_denied(struct peer *p, u32 ipv4, enum msg_reason reason)
{
	struct portal_message m = { .type = MSG_CLIENT_DEVICE_ACCESS_DENIED };

	m.device_access_denied.ipv4 = pool_ip(POOL_IPV4, ipv4);
	m.device_access_denied.reason = reason;
	(void)peer_push(p, &m);
}

/* Whoever is not there now hears of it when he comes back. */
static bool is_over(struct hub *h, const struct device_access *a)
{
	struct peer *from = hub_find(h, MSG_ROLE_CLIENT, &a->account_id, &a->from);
	struct peer *to = hub_find(h, MSG_ROLE_CLIENT, &a->account_id, &a->to);
	struct grant g;
	struct uuid pool;

	if (has_feature(h, &a->account_id) && (from ? may_reach(from, &a->to, &g, &pool) : hub_secs(h) < a->expires_at))
		return false;
	log_info("access between clients ends", kv_uuid("from", &a->from), kv_uuid("to", &a->to));
	if (from)
		push_denied(from, a->to_ipv4, MSG_REASON_FORBIDDEN);
	if (to)
		push_denied(to, a->from_ipv4, MSG_REASON_FORBIDDEN);
	return true;
}

void device_recheck(struct hub *h, const struct uuid *account, const struct uuid *from)
{
	for (u32 i = h->n_accesses; i-- > 0;) {
		const struct device_access *a = &h->accesses[i];

		if (uuid_eq(&a->account_id, account) && (!from || uuid_eq(&a->from, from)) && is_over(h, a))
			h->accesses[i] = h->accesses[--h->n_accesses];
	}
}

bool device_may_signal(const struct peer *a, const struct uuid *b)
{
	return access_find(a->hub, &a->account_id, &a->id, b) || access_find(a->hub, &a->account_id, b, &a->id);
}

/* ---- allowing ------------------------------------------------------------------------------------------------------------------------ */

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
	int rc;

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
	if (to->version == MSG_V2) {
		rc = flow_ingest_token(initiator, responder, f, is_initiator ? "initiator" : "responder", ingest);
		if (rc)
			return rc;
		a->flow_logs_ingest_token = ingest;
	}
	return peer_push(to, &m);
}

static enum msg_reason try_allow(struct peer *from, u32 ipv4)
{
	struct hub *h = from->hub;
	struct peer *to = online_at(from, ipv4);
	struct pending_flow f = { .authorization_id = hub_new_id(h) };
	struct handshake hs;
	struct grant g;

	if (!has_feature(h, &from->account_id))
		return MSG_REASON_DISABLED;
	if (!to)
		return is_offline_member(from, ipv4) ? MSG_REASON_OFFLINE : MSG_REASON_FORBIDDEN;
	if (to == from || !may_reach(from, &to->id, &g, &f.resource_id))
		return MSG_REASON_FORBIDDEN;
	f.policy_id = g.policy->e.id;
	f.expires_at = g.expires_at;
	struct device_access a = { from->account_id, from->id, to->id, peer_device(from)->ipv4, ipv4, g.expires_at };
	if (access_keep(h, &a))
		return MSG_REASON_OFFLINE;
	flow_derive(from, to, &hs);
	int rc = push_authorized(to, from, to, &hs, &f);
	rc = rc ? rc : push_authorized(from, from, to, &hs, &f);
	sodium_memzero(&hs, sizeof(hs));
	log_info("access between clients", kv_uuid("from", &from->id), kv_uuid("to", &to->id), kv_uuid("pool", &f.resource_id));
	return rc ? MSG_REASON_OFFLINE : MSG_REASON_UNKNOWN;
}

void device_request(struct peer *from, const struct ip *ipv4)
{
	enum msg_reason reason;

	if (ipv4->family != 4 || from->version == MSG_V2)
		return;
	reason = try_allow(from, get_be32(ipv4->b));
	if (reason == MSG_REASON_UNKNOWN)
		return;
	log_info("access between clients refused", kv_uuid("from", &from->id), kv_ip("ipv4", ipv4), kv_s("reason", msg_reason_name(reason)));
	push_denied(from, get_be32(ipv4->b), reason);
}
