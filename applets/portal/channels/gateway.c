#define LOG_TARGET "portal::gateway"

#include "applets/portal/channels/internal.h"
#include "core/base/log.h"

#include <sodium.h>
#include <stdlib.h>

static int by_pair(const void *a, const void *b)
{
	const struct held *x = a, *y = b;
	int c = uuid_cmp(&x->client_id, &y->client_id);

	c = c ? c : uuid_cmp(&x->resource_id, &y->resource_id);
	return c ? c : uuid_cmp(&x->id, &y->id);
}

static bool is_same_pair(const struct held *a, const struct held *b)
{
	return uuid_eq(&a->client_id, &b->client_id) && uuid_eq(&a->resource_id, &b->resource_id);
}

int gateway_peer_hold(struct peer *p, const struct uuid *client, const struct uuid *resource, const struct uuid *id, i64 expires_at)
{
	struct held *held = malloc(sizeof(*held));

	if (!held)
		return ERR_NOMEM;
	*held = (struct held){ *client, *resource, *id, expires_at };
	int rc = index_put(&p->gateway.held, held);
	if (rc)
		free(held);
	return rc;
}

static void drop_at(struct peer *p, u32 i)
{
	free(index_take_at(&p->gateway.held, i));
}

static void drop_all(struct peer *p)
{
	while (p->gateway.held.n > 0)
		drop_at(p, p->gateway.held.n - 1);
}

void gateway_peer_free(struct peer *p)
{
	drop_all(p);
	index_free(&p->gateway.held);
	reports_free(p);
}

/* ---- init --------------------------------------------------------------------------------------------------------------------- */

static int hold_row(void *ctx, enum kind k, const void *row)
{
	const struct authorization *a = row;

	(void)k;
	return gateway_peer_hold(ctx, &a->client_id, &a->resource_id, &a->e.id, a->expires_at / 1000000);
}

/* One entry per pair with its longest expiry (spec 60 item 52). */
static size_t collect(const struct peer *p, struct msg_access *out)
{
	const struct index *x = &p->gateway.held;
	size_t n = 0;

	for (u32 i = 0; i < x->n; i++) {
		const struct held *h = x->at[i];

		if (i > 0 && is_same_pair(h, x->at[i - 1]))
			out[n - 1].expires_at = MAX(out[n - 1].expires_at, (u64)h->expires_at);
		else
			out[n++] = (struct msg_access){ h->client_id, h->resource_id, (u64)h->expires_at };
	}
	return n;
}

void gateway_peer_init(struct peer *p)
{
	struct portal_message m = { .type = MSG_INIT_GATEWAY };
	struct msg_init_gateway *init = &m.init_gateway;
	const struct account *account = directory_account(&p->hub->dir, &p->account_id);
	struct msg_access *access = calloc(p->gateway.held.n + 1, sizeof(*access));
	struct rendered_interface mem;
	struct relay_list relays;

	if (!access) {
		peer_end(p, NULL);
		return;
	}
	render_interface(&p->hub->dir, p, &init->interface, &mem);
	init->ipv4_masquerade_enabled = true;
	init->ipv6_masquerade_enabled = true;
	init->account_slug = account ? account->slug : NULL;
	init->n_authorizations = collect(p, access);
	init->authorizations = access;
	relays_select(p, &relays);
	init->relays = (struct msg_relays){ relays.relay, relays.n };
	init->flow_logs = render_flow_logs(p->hub, p);
	init->report_interval_secs = REPORT_INTERVAL_SECS;
	(void)peer_push(p, &m);
	sodium_memzero(&relays, sizeof(relays));
	free(access);
}

static int read_held(struct peer *p)
{
	struct hub *h = p->hub;

	drop_all(p);
	int rc = store_gateway_authorizations(h->cfg.store, &p->account_id, &p->id, h->wall, hold_row, p);
	if (rc)
		hub_store_failed(h, "authorizations of a gateway could not be read", rc);
	return rc;
}

void gateway_peer_reload(struct peer *p)
{
	if (read_held(p))
		peer_end(p, NULL); /* it comes back and asks again */
	else
		gateway_peer_init(p);
}

void gateway_peer_join(struct peer *p)
{
	struct hub *h = p->hub;
	struct peer *old = hub_find(h, MSG_ROLE_GATEWAY, &p->account_id, &p->id);
	int rc;

	if (old && old != p) {
		h->stats.evicted++;
		log_info("a newer connection of the same gateway takes over", kv_uuid("gateway_id", &p->id));
		peer_end(old, "token_expired");
	}
	p->gateway.held.cmp = by_pair;
	reports_join(p);
	rc = read_held(p);
	rc = rc ? rc : index_put(&h->joined[MSG_ROLE_GATEWAY], p);
	if (rc) {
		peer_end(p, NULL);
		return;
	}
	p->is_registered = true;
	p->told_seq = h->tell_seq;
	hub_tell_presence(p, true);
	p->next_minute = h->now + RECOMPUTE_INTERVAL;
	gateway_peer_init(p);
	log_info("gateway joined", kv_uuid("gateway_id", &p->id), kv_s("name", peer_device(p)->name),
		 kv_u("authorizations", p->gateway.held.n));
}

/* Expired ones are the gateway's own business: nothing is pushed (spec 60 item 53). */
void gateway_peer_timeout(struct peer *p)
{
	if (p->hub->now < p->next_minute)
		return;
	p->next_minute = p->hub->now + RECOMPUTE_INTERVAL;
	for (u32 i = p->gateway.held.n; i-- > 0;)
		if (((struct held *)p->gateway.held.at[i])->expires_at <= hub_secs(p->hub))
			drop_at(p, i);
	reports_prune(p);
}

/* ---- messages ------------------------------------------------------------------------------------------------------------------- */

static void forward_to_all(struct peer *p, enum msg_type type, const struct msg_broadcast *b)
{
	for (size_t i = 0; i < b->ids.n; i++) {
		struct peer *to = hub_find(p->hub, MSG_ROLE_CLIENT, &p->account_id, &b->ids.id[i]);
		struct portal_message m = { .type = type };

		if (!to)
			continue;
		m.candidates.id = p->id;
		m.candidates.candidates = b->candidates;
		(void)peer_push(to, &m);
	}
}

void gateway_peer_message(struct peer *p, const struct portal_message *m, const struct phx_ref *ref)
{
	switch ((int)m->type) {
	case MSG_FLOW_AUTHORIZED:
		if (!flow_authorized(p, m->flow_authorized.ref, ref))
			phx_error(p->socket, ref, "invalid_ref");
		break;
	case MSG_NO_RELAYS:
		relays_reselect(p);
		break;
	case MSG_CONNECTIONS_REPORT:
		reports_take(p, &m->connections_report);
		break;
	case MSG_BROADCAST_ICE_CANDIDATES:
		forward_to_all(p, MSG_GATEWAY_ICE_CANDIDATES, &m->broadcast);
		break;
	case MSG_BROADCAST_INVALIDATED_ICE_CANDIDATES:
		forward_to_all(p, MSG_GATEWAY_ICE_INVALIDATED, &m->broadcast);
		break;
	}
}

/* ---- what changes take away ------------------------------------------------------------------------------------------------------ */

static void push_access(struct peer *p, enum msg_type type, const struct held *pair, i64 expires_at)
{
	struct portal_message m = { .type = type };

	m.access = (struct msg_access){ pair->client_id, pair->resource_id, (u64)MAX(expires_at, 0) };
	(void)peer_push(p, &m);
}

void gateway_peer_resource_updated(struct peer *p, const struct resource *r)
{
	struct portal_message m = { .type = MSG_RESOURCE_UPDATED };
	struct rendered mem;

	if (r->type == RESOURCE_POOL || render_resource(p->hub, r, &mem))
		return;
	m.resource = mem.resource;
	(void)peer_push(p, &m);
}

void gateway_peer_reject_resource(struct peer *p, const struct uuid *resource)
{
	struct held last = { 0 };

	for (u32 i = p->gateway.held.n; i-- > 0;) {
		struct held h = *(struct held *)p->gateway.held.at[i];

		if (!uuid_eq(&h.resource_id, resource))
			continue;
		drop_at(p, i);
		if (!is_same_pair(&h, &last))
			push_access(p, MSG_REJECT_ACCESS, &h, 0);
		last = h;
	}
}

bool gateway_peer_holds(const struct peer *p, const struct uuid *client)
{
	struct held first = { .client_id = *client };
	const struct index *x = &p->gateway.held;
	u32 i = index_lower(x, &first);

	return i < x->n && uuid_eq(&((const struct held *)x->at[i])->client_id, client);
}

static bool longest_left(const struct peer *p, const struct held *pair, i64 *expires_at)
{
	struct held first = { .client_id = pair->client_id, .resource_id = pair->resource_id };
	const struct index *x = &p->gateway.held;
	bool any = false;

	for (u32 i = index_lower(x, &first); i < x->n && is_same_pair(x->at[i], pair); i++) {
		const struct held *h = x->at[i];
		*expires_at = any ? MAX(*expires_at, h->expires_at) : h->expires_at;
		any = true;
	}
	return any;
}

/* Who the client is now, by its connection or, when it has none, by its newest stored session. */
static int subject_of(struct hub *h, const struct uuid *account, const struct uuid *client_id, struct subject *s, struct uuid *token_id)
{
	struct peer *p = hub_find(h, MSG_ROLE_CLIENT, account, client_id);
	struct store_session session;
	struct client row;
	struct token token;
	int rc;

	if (p) {
		*s = p->client.subject;
		*token_id = p->token_id;
		return 0;
	}
	rc = store_get(h->cfg.store, KIND_CLIENT, account, client_id, &row);
	if (rc)
		return rc;
	*s = (struct subject){ .account_id = *account,
			       .actor_id = row.d.owner_id,
			       .is_verified = row.verified_at != 0,
			       .zones = h->cfg.zones };
	entity_deinit(KIND_CLIENT, &row);
	rc = store_latest_session(h->cfg.store, account, client_id, &session);
	rc = rc ? rc : store_get(h->cfg.store, KIND_CLIENT_TOKEN, account, &session.token_id, &token);
	if (rc)
		return rc;
	*token_id = token.e.id;
	s->expires_at = token.expires_at / 1000000;
	s->auth_provider = token.auth_provider_id;
	entity_deinit(KIND_CLIENT_TOKEN, &token);
	s->version = version_read(session.version);
	memcpy(s->region, session.region, sizeof(s->region) - 1);
	(void)ip_parse(SPAN(session.remote_ip, strlen(session.remote_ip)), &s->remote_ip);
	return s->expires_at > hub_secs(h) ? 0 : ERR_EXPIRED;
}

/* Another policy may still grant it: without this the client, who is not told anything, would send into the void (spec 60 §5.3). */
static int reauthorize(struct peer *p, const struct held *pair)
{
	struct hub *h = p->hub;
	const struct resource *r = directory_get(&h->dir, KIND_RESOURCE, &p->account_id, &pair->resource_id);
	struct subject s;
	struct grant grant;
	struct uuid token_id;
	u32 violated;
	int rc;

	if (!r || !uuid_eq(&r->site_id, &p->owner_id))
		return ERR_DENIED;
	rc = subject_of(h, &p->account_id, &pair->client_id, &s, &token_id);
	rc = rc ? rc : access_grant(&h->dir, &s, &pair->resource_id, hub_secs(h), &grant, &violated);
	if (rc)
		return rc;

	struct authorization a = {
		.e = { .account_id = p->account_id, .id = hub_new_id(h) },
		.policy_id = grant.policy->e.id,
		.client_id = pair->client_id,
		.gateway_id = p->id,
		.resource_id = pair->resource_id,
		.token_id = token_id,
		.membership_id = grant.membership_id,
		.expires_at = MIN(grant.expires_at, pair->expires_at) * 1000000,
	};
	rc = store_begin(h->cfg.store, STORE_EAGER);
	rc = rc ? rc : store_insert(h->cfg.store, KIND_AUTHORIZATION, &a, h->wall);
	rc = rc ? store_rollback(h->cfg.store, rc) : store_commit(h->cfg.store);
	rc = rc ? rc : gateway_peer_hold(p, &pair->client_id, &pair->resource_id, &a.e.id, a.expires_at / 1000000);
	if (!rc)
		push_access(p, MSG_ACCESS_AUTHORIZATION_EXPIRY_UPDATED, pair, a.expires_at / 1000000);
	return rc;
}

void gateway_peer_authorization_deleted(struct peer *p, const struct tell *revoked)
{
	struct held key = { revoked->client_id, revoked->resource_id, revoked->id, 0 };
	struct held *held = index_take(&p->gateway.held, &key);
	i64 expires_at;

	if (!held)
		return;
	key = *held;
	free(held);
	if (key.expires_at <= hub_secs(p->hub))
		return;
	bool is_left = longest_left(p, &key, &expires_at);
	if (p->version == MSG_V2) {
		/* they are told of refusals only, and their clients ask anew: also when what is left ends sooner than they believe */
		if (!is_left || expires_at < key.expires_at)
			push_access(p, MSG_REJECT_ACCESS, &key, 0);
	} else if (is_left) {
		push_access(p, MSG_ACCESS_AUTHORIZATION_EXPIRY_UPDATED, &key, expires_at);
	} else if (reauthorize(p, &key)) {
		push_access(p, MSG_REJECT_ACCESS, &key, 0);
	}
}
