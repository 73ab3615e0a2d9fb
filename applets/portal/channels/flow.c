/* Brokering one flow (spec 10 §7.3, spec 60 §4.4): judge, choose a gateway, ask it, tell the client. The gateway keeps no state of the
 * portal's: what it echoes is a signed reference, and what the client is told follows from both ends' keys. */
#define LOG_TARGET "portal::flow"

#include "applets/portal/channels/internal.h"
#include "applets/portal/model/pool.h"
#include "core/base/encode.h"
#include "core/base/log.h"
#include "core/crypto/hash.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- the reference ------------------------------------------------------------------------------------------------------------ */

#define REF_MAC_LEN 16
#define REF_BODY_LEN (16 + 16 + 8)
#define REF_LEN (REF_BODY_LEN + REF_MAC_LEN)
#define REF_STRLEN BASE64URL_SIZE(REF_LEN)

static void ref_mac(const struct hub *h, const u8 *body, u8 out[static SHA256_LEN])
{
	hmac_sha256(out, SPAN(h->flow_key, sizeof(h->flow_key)), SPAN(body, REF_BODY_LEN));
}

static void ref_make(const struct hub *h, const struct uuid *client, const struct uuid *gateway, u64 seq, char out[static REF_STRLEN])
{
	u8 ref[REF_LEN], mac[SHA256_LEN];

	memcpy(ref, client->b, 16);
	memcpy(ref + 16, gateway->b, 16);
	put_be64(ref + 32, seq);
	ref_mac(h, ref, mac);
	memcpy(ref + REF_BODY_LEN, mac, REF_MAC_LEN);
	base64url_encode(out, REF_STRLEN, SPAN(ref, sizeof(ref)));
}

static bool ref_open(const struct hub *h, const char *text, const struct uuid *gateway, struct uuid *client, u64 *seq)
{
	u8 ref[REF_LEN], mac[SHA256_LEN];

	if (base64url_decode(ref, sizeof(ref), SPAN(text, strlen(text))) != REF_LEN)
		return false;
	ref_mac(h, ref, mac);
	memcpy(client->b, ref, 16);
	*seq = get_be64(ref + 32);
	return sodium_memcmp(mac, ref + REF_BODY_LEN, REF_MAC_LEN) == 0 && memcmp(ref + 16, gateway->b, 16) == 0;
}

/* ---- both ends' secrets ---------------------------------------------------------------------------------------------------------- */

void flow_derive(const struct peer *initiator, const struct peer *receiver, struct handshake *out)
{
	char a[UUID_STRLEN], b[UUID_STRLEN];

	uuid_format(&initiator->id, a);
	uuid_format(&receiver->id, b);
	phx_derive_psk(receiver->role == MSG_ROLE_CLIENT, SPAN(peer_device(initiator)->psk_base, PSK_BASE_LEN),
		       SPAN(peer_device(receiver)->psk_base, PSK_BASE_LEN), a, b, initiator->public_key, receiver->public_key, out->psk);
	phx_derive_ice(a, initiator->public_key, b, receiver->public_key, &out->ice);
}

int flow_ingest_token(const struct peer *client, const struct peer *gateway, const struct pending_flow *f, const char *role,
		      char out[static INGEST_TOKEN_MAX])
{
	struct hub *h = client->hub;
	const struct resource *r = directory_get(&h->dir, KIND_RESOURCE, &client->account_id, &f->resource_id);
	const struct actor *a = directory_get(&h->dir, KIND_ACTOR, &client->account_id, &client->owner_id);
	const struct client *row = client->row;
	const struct uuid *provider = &client->client.subject.auth_provider;
	char provider_id[UUID_STRLEN], os[256], os_version[256];

	user_agent_os(client->user_agent, os, sizeof(os), os_version, sizeof(os_version));
	struct ingest_claims c = {
		.role = role,
		.account_id = client->account_id,
		.initiator_device_id = client->id,
		.responder_device_id = gateway->id,
		.authorization_id = f->authorization_id,
		.policy_id = f->policy_id,
		.resource_id = f->resource_id,
		.actor_id = client->owner_id,
		.resource_name = r ? r->name : "",
		.resource_address = r ? r->address : NULL,
		.actor_name = a ? a->name : "",
		.actor_email = a ? a->email : NULL,
		.auth_provider_id = uuid_is_null(provider) ? NULL : uuid_format(provider, provider_id),
		.client_version = client->peer_version.is_known ? client->peer_version.text : NULL,
		.os_name = os,
		.os_version = os_version[0] ? os_version : NULL,
		.device_serial = row->device_serial,
		.device_uuid = row->device_uuid,
		.identifier_for_vendor = row->identifier_for_vendor,
		.firebase_installation_id = row->firebase_installation_id,
		.now = hub_secs(h),
		.expires_at = f->expires_at,
	};

	return ingest_token(&c, h->cfg.secrets, out);
}

/* ---- choosing -------------------------------------------------------------------------------------------------------------------- */

static bool is_preferred(const struct uuid *id, const struct msg_ids *list)
{
	for (size_t i = 0; i < list->n; i++)
		if (uuid_eq(id, &list->id[i]))
			return true;
	return false;
}

static bool can_serve(const struct peer *client, const struct peer *gateway, const struct resource *r)
{
	return version_is_compatible(&client->peer_version, &gateway->peer_version) &&
	       (r->type != RESOURCE_INTERNET || version_has_internet(&gateway->peer_version));
}

/* Closer first; at one place the newer version. */
static int rank(const struct peer *client, const struct peer *a, const struct peer *b)
{
	if (!client->place.is_known)
		return 0;
	double da = place_distance(&client->place, &a->place), db = place_distance(&client->place, &b->place);
	if (da < db || db < da)
		return da < db ? -1 : 1;
	return -version_cmp(&a->peer_version, b->peer_version.major, b->peer_version.minor, b->peer_version.patch);
}

/* spec 60 §4.5. ERR_NOT_FOUND: none online; ERR_UNSUPPORTED: none compatible. */
static int choose_gateway(struct peer *client, const struct resource *r, const struct msg_ids *connected, struct peer **out)
{
	u32 n, online = 0, equals = 0;
	void *const *list = hub_peers(client->hub, MSG_ROLE_GATEWAY, &client->account_id, &n);
	bool is_best_preferred = false;

	*out = NULL;
	for (u32 i = 0; i < n; i++) {
		struct peer *g = list[i];
		int order;

		if (!uuid_eq(&g->owner_id, &r->site_id) || g->ending_link)
			continue;
		online++;
		if (!can_serve(client, g, r))
			continue;
		bool preferred = is_preferred(&g->id, connected);
		order = !*out			       ? -1 :
			preferred != is_best_preferred ? (preferred ? -1 : 1) :
							 rank(client, g, *out);
		if (order > 0)
			continue;
		/* among equals each is taken with the same chance */
		equals = order < 0 ? 1 : equals + 1;
		if (order < 0 || rng_below(client->hub->cfg.rng, equals) == 0)
			*out = g;
		is_best_preferred = preferred;
	}
	return *out ? 0 : online ? ERR_UNSUPPORTED : ERR_NOT_FOUND;
}

/* ---- failing --------------------------------------------------------------------------------------------------------------------- */

static void fail(struct peer *client, const struct uuid *resource, enum msg_reason reason, u32 violated)
{
	struct portal_message m = { .type = MSG_FLOW_CREATION_FAILED };
	const char *names[PROP_COUNT];
	size_t n = 0;

	for (int i = 0; i < PROP_COUNT; i++)
		if (violated & 1u << i)
			names[n++] = property_names[i];
	m.flow_creation_failed.resource_id = *resource;
	m.flow_creation_failed.reason = reason;
	m.flow_creation_failed.violated_properties = names;
	m.flow_creation_failed.n_violated_properties = n;
	log_info("flow refused", kv_uuid("client_id", &client->id), kv_uuid("resource_id", resource),
		 kv_s("reason", msg_reason_name(reason)));
	(void)peer_push(client, &m);
}

static void count_failure(struct hub_stats *s, enum msg_reason reason)
{
	switch (reason) {
	case MSG_REASON_NOT_FOUND:
		s->flows_not_found++;
		break;
	case MSG_REASON_FORBIDDEN:
		s->flows_forbidden++;
		break;
	case MSG_REASON_VERSION_MISMATCH:
		s->flows_version++;
		break;
	case MSG_REASON_OFFLINE:
	case MSG_REASON_DISABLED:
	case MSG_REASON_UNKNOWN:
	case MSG_REASON_AMBIGUOUS_ADDRESS:
	case MSG_REASON_MISSING_ADDRESS:
	case MSG_REASON_INVALID_ADDRESS:
		s->flows_offline++;
		break;
	}
}

/* ---- creating -------------------------------------------------------------------------------------------------------------------- */

static bool is_told(const struct peer *client, const struct uuid *resource)
{
	u32 lo = 0, hi = client->client.n_told;

	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;
		int c = uuid_cmp(&client->client.told[mid].id, resource);
		if (c == 0)
			return true;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

static int store_authorization(struct peer *client, struct peer *gateway, const struct grant *g, const struct pending_flow *f)
{
	struct hub *h = client->hub;
	char client_ip[IP_STRLEN], gateway_ip[IP_STRLEN];
	struct authorization a = {
		.e = { .account_id = client->account_id, .id = f->authorization_id },
		.policy_id = g->policy->e.id,
		.client_id = client->id,
		.gateway_id = gateway->id,
		.resource_id = f->resource_id,
		.token_id = client->token_id,
		.membership_id = g->membership_id,
		.client_remote_ip = ip_format(&client->remote_ip, client_ip),
		.gateway_remote_ip = ip_format(&gateway->remote_ip, gateway_ip),
		.client_user_agent = client->user_agent,
		.expires_at = g->expires_at * 1000000,
	};
	int rc = store_begin(h->cfg.store, STORE_EAGER);

	rc = rc ? rc : store_insert(h->cfg.store, KIND_AUTHORIZATION, &a, h->wall);
	return rc ? store_rollback(h->cfg.store, rc) : store_commit(h->cfg.store);
}

static int push_authorize(struct peer *client, struct peer *gateway, const struct resource *r, const struct pending_flow *f)
{
	struct portal_message m = { .type = MSG_AUTHORIZE_FLOW };
	struct msg_authorize_flow *a = &m.authorize_flow;
	const struct client *row = client->row;
	const struct actor *actor = directory_get(&client->hub->dir, KIND_ACTOR, &client->account_id, &client->owner_id);
	char ref[REF_STRLEN], actor_id[UUID_STRLEN], provider[UUID_STRLEN], os[256], os_version[256], ingest[INGEST_TOKEN_MAX];
	struct rendered mem;
	struct handshake hs;
	int rc = render_resource(client->hub, r, &mem);

	if (rc)
		return rc;
	flow_derive(client, gateway, &hs);
	ref_make(client->hub, &client->id, &gateway->id, f->seq, ref);
	user_agent_os(client->user_agent, os, sizeof(os), os_version, sizeof(os_version));
	a->ref = ref;
	a->resource = mem.resource;
	a->client.id = client->id;
	memcpy(a->client.public_key, client->key, MSG_KEY);
	memcpy(a->client.preshared_key, hs.psk, MSG_KEY);
	a->client.ipv4 = pool_ip(POOL_IPV4, peer_device(client)->ipv4);
	a->client.ipv6 = pool_ip(POOL_IPV6, peer_device(client)->ipv6);
	a->client.version = client->peer_version.is_known ? client->peer_version.text : NULL;
	a->client.device_os_name = os;
	a->client.device_os_version = os_version[0] ? os_version : NULL;
	a->client.device_serial = row->device_serial;
	a->client.device_uuid = row->device_uuid;
	a->client.identifier_for_vendor = row->identifier_for_vendor;
	a->client.firebase_installation_id = row->firebase_installation_id;
	a->subject.auth_provider_id =
		uuid_is_null(&client->client.subject.auth_provider) ? NULL : uuid_format(&client->client.subject.auth_provider, provider);
	a->subject.actor_name = actor ? actor->name : NULL;
	a->subject.actor_id = uuid_format(&client->owner_id, actor_id);
	a->subject.actor_email = actor ? actor->email : NULL;
	a->client_ice = (struct msg_ice){ hs.ice.initiator_username, hs.ice.initiator_password };
	a->gateway_ice = (struct msg_ice){ hs.ice.receiver_username, hs.ice.receiver_password };
	a->expires_at = (u64)f->expires_at;
	if (gateway->version == MSG_V2) {
		rc = flow_ingest_token(client, gateway, f, "responder", ingest);
		a->flow_logs_ingest_token = ingest;
	}
	rc = rc ? rc : peer_push(gateway, &m);
	sodium_memzero(&hs, sizeof(hs));
	return rc;
}

/* The slot of a resource: a repeated request takes over the former one and its timer (spec 10 §7.3, quirk). */
static struct pending_flow *pending_slot(struct client_state *c, const struct uuid *resource)
{
	for (u32 i = 0; i < c->n_pending; i++)
		if (uuid_eq(&c->pending[i].resource_id, resource))
			return &c->pending[i];
	if (c->n_pending == PENDING_FLOWS_MAX)
		return NULL;
	if (c->n_pending == c->cap_pending) {
		u32 cap = c->cap_pending ? c->cap_pending * 2 : 2;
		struct pending_flow *more = realloc(c->pending, cap * sizeof(*more));
		if (!more)
			return NULL;
		c->pending = more;
		c->cap_pending = cap;
	}
	return &c->pending[c->n_pending++];
}

static void drop_pending(struct client_state *c, u32 i)
{
	c->pending[i] = c->pending[--c->n_pending];
}

/* Why not; MSG_REASON_UNKNOWN: it is on its way. */
static enum msg_reason try_create(struct peer *client, const struct msg_create_flow *m, u32 *violated)
{
	struct hub *h = client->hub;
	const struct resource *r = directory_get(&h->dir, KIND_RESOURCE, &client->account_id, &m->resource_id);
	struct pending_flow f = { .resource_id = m->resource_id };
	struct pending_flow *slot;
	struct peer *gateway;
	struct grant grant;
	int rc;

	if (!r || !is_told(client, &m->resource_id))
		return MSG_REASON_NOT_FOUND;
	rc = access_grant(&h->dir, &client->client.subject, &m->resource_id, hub_secs(h), &grant, violated);
	if (rc)
		return rc == ERR_DENIED ? MSG_REASON_FORBIDDEN : MSG_REASON_NOT_FOUND;
	if (r->type == RESOURCE_POOL) {
		device_create(client, r, &grant, m);
		return MSG_REASON_UNKNOWN;
	}
	rc = choose_gateway(client, r, &m->connected_gateways, &gateway);
	if (rc)
		return rc == ERR_UNSUPPORTED ? MSG_REASON_VERSION_MISMATCH : MSG_REASON_OFFLINE;

	tell_now(gateway); /* of what is revoked, before anything new */
	if (!gateway->is_registered)
		return MSG_REASON_OFFLINE;
	f.gateway_id = gateway->id;
	f.policy_id = grant.policy->e.id;
	f.authorization_id = hub_new_id(h);
	f.seq = ++client->client.flow_seq;
	f.deadline = h->now + FLOW_TIMEOUT;
	f.expires_at = grant.expires_at;
	rc = store_authorization(client, gateway, &grant, &f);
	if (rc) {
		hub_store_failed(h, "an authorization could not be stored", rc);
		return rc == ERR_NOT_FOUND ? MSG_REASON_NOT_FOUND : MSG_REASON_OFFLINE;
	}
	slot = pending_slot(&client->client, &m->resource_id);
	if (!slot) {
		h->stats.limits_reached++;
		return MSG_REASON_OFFLINE;
	}
	*slot = f;
	rc = push_authorize(client, gateway, r, &f);
	rc = rc ? rc : gateway_peer_hold(gateway, &client->id, &m->resource_id, &f.authorization_id, f.expires_at);
	if (rc) {
		drop_pending(&client->client, (u32)(slot - client->client.pending));
		return MSG_REASON_OFFLINE;
	}
	return MSG_REASON_UNKNOWN;
}

void flow_create(struct peer *client, const struct msg_create_flow *m)
{
	u32 violated = 0;
	enum msg_reason reason = try_create(client, m, &violated);

	if (reason == MSG_REASON_UNKNOWN)
		return;
	count_failure(&client->hub->stats, reason);
	fail(client, &m->resource_id, reason, violated);
}

void flow_timeout(struct peer *client)
{
	struct client_state *c = &client->client;

	for (u32 i = c->n_pending; i-- > 0;) {
		struct uuid resource = c->pending[i].resource_id;

		if (client->hub->now < c->pending[i].deadline)
			continue;
		drop_pending(c, i);
		client->hub->stats.flows_timed_out++;
		fail(client, &resource, MSG_REASON_OFFLINE, 0);
	}
}

static const struct pending_flow *pending_at(const struct peer *client, const struct held *x, const struct uuid *gateway)
{
	for (u32 i = 0; i < client->client.n_pending; i++) {
		const struct pending_flow *f = &client->client.pending[i];

		if (uuid_eq(&f->authorization_id, &x->id) && uuid_eq(&f->gateway_id, gateway))
			return f;
	}
	return NULL;
}

/* A client can be quicker than the Close of the gateway that said goodbye to it: its request would wait for an answer that does not come. */
void flow_gateway_left(struct peer *gateway)
{
	const struct index *x = &gateway->gateway.held;

	for (u32 i = 0; i < x->n; i++) {
		const struct held *held = x->at[i];
		struct peer *client = hub_find(gateway->hub, MSG_ROLE_CLIENT, &gateway->account_id, &held->client_id);
		const struct pending_flow *f = client ? pending_at(client, held, &gateway->id) : NULL;
		struct msg_create_flow again = { .resource_id = held->resource_id };

		if (!f)
			continue;
		drop_pending(&client->client, (u32)(f - client->client.pending));
		flow_create(client, &again);
		peer_arm(client);
	}
}

/* ---- the gateway's answer ----------------------------------------------------------------------------------------------------------- */

static void push_created(struct peer *client, struct peer *gateway, const struct pending_flow *f)
{
	struct portal_message m = { .type = MSG_FLOW_CREATED };
	struct msg_flow_created *c = &m.flow_created;
	char ingest[INGEST_TOKEN_MAX];
	struct handshake hs;

	flow_derive(client, gateway, &hs);
	c->resource_id = f->resource_id;
	c->gateway_id = gateway->id;
	c->site_id = gateway->owner_id;
	memcpy(c->gateway_public_key, gateway->key, MSG_KEY);
	memcpy(c->preshared_key, hs.psk, MSG_KEY);
	c->gateway_ipv4 = pool_ip(POOL_IPV4, peer_device(gateway)->ipv4);
	c->gateway_ipv6 = pool_ip(POOL_IPV6, peer_device(gateway)->ipv6);
	c->client_ice = (struct msg_ice){ hs.ice.initiator_username, hs.ice.initiator_password };
	c->gateway_ice = (struct msg_ice){ hs.ice.receiver_username, hs.ice.receiver_password };
	if (client->version == MSG_V2 && flow_ingest_token(client, gateway, f, "initiator", ingest) == 0)
		c->flow_logs_ingest_token = ingest;
	(void)peer_push(client, &m);
	sodium_memzero(&hs, sizeof(hs));
}

bool flow_authorized(struct peer *gateway, const char *ref, const struct phx_ref *reply)
{
	struct hub *h = gateway->hub;
	struct uuid client_id;
	struct peer *client;
	u64 seq;

	if (!ref_open(h, ref, &gateway->id, &client_id, &seq))
		return false;
	phx_ok(gateway->socket, reply);
	client = hub_find(h, MSG_ROLE_CLIENT, &gateway->account_id, &client_id);
	if (client)
		tell_now(client);
	for (u32 i = 0; client && i < client->client.n_pending; i++) {
		struct pending_flow f = client->client.pending[i];

		if (f.seq != seq)
			continue;
		drop_pending(&client->client, i);
		h->stats.flows_created++;
		push_created(client, gateway, &f);
		peer_arm(client);
		break;
	}
	return true;
}
