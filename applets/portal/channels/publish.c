/* What a commit means to those who are connected (spec 60 §5, spec 10 §11).
 *
 * A batch of changes is worked off in three passes: (1) all rows reach the directory, and devices and tokens that are gone lose their
 * sockets; (2) gateways hear of resources and revoked authorizations, so that what may still be granted is judged by the new state;
 * (3) clients hear what became of their lists, deletions before everything else. */
#define LOG_TARGET "portal::publish"

#include "applets/portal/channels/internal.h"
#include "core/base/log.h"

#include <stdlib.h>

struct stale {
	struct uuid account_id;
	enum kind kind;
};

struct batch {
	struct hub *hub;
	struct change *revoked; /* deleted authorizations */
	u32 n_revoked, cap_revoked;
	struct uuid *accounts; /* whose clients are to be told */
	u32 n_accounts, cap_accounts;
	struct uuid *toggled; /* resources whose policies changed in what they demand */
	u32 n_toggled, cap_toggled;
	struct stale *stale; /* what open pages show no longer as it is */
	u32 n_stale, cap_stale;
};

static int grow(void *list, u32 *cap, u32 n, size_t size)
{
	void **p = list, *more;

	if (n < *cap)
		return 0;
	more = realloc(*p, (*cap * 2 + 8) * size);
	if (!more)
		return ERR_NOMEM;
	*p = more;
	*cap = *cap * 2 + 8;
	return 0;
}

static int add_id(struct uuid **list, u32 *n, u32 *cap, const struct uuid *id)
{
	for (u32 i = 0; i < *n; i++)
		if (uuid_eq(&(*list)[i], id))
			return 0;
	int rc = grow(list, cap, *n, sizeof(**list));
	if (!rc)
		(*list)[(*n)++] = *id;
	return rc;
}

static int tell_clients_of(struct batch *b, const struct uuid *account)
{
	return add_id(&b->accounts, &b->n_accounts, &b->cap_accounts, account);
}

static int toggle(struct batch *b, const struct uuid *resource)
{
	return add_id(&b->toggled, &b->n_toggled, &b->cap_toggled, resource);
}

static int note_stale(struct batch *b, const struct change *c)
{
	if (!b->hub->cfg.news)
		return 0;
	if (c->kind == KIND_PORTAL_SESSION && c->op == CHANGE_DELETE)
		b->hub->cfg.news->session_ended(b->hub->cfg.news_ctx, &c->id);
	for (u32 i = 0; i < b->n_stale; i++)
		if (b->stale[i].kind == c->kind && uuid_eq(&b->stale[i].account_id, &c->account_id))
			return 0;
	int rc = grow(&b->stale, &b->cap_stale, b->n_stale, sizeof(*b->stale));
	if (!rc)
		b->stale[b->n_stale++] = (struct stale){ c->account_id, c->kind };
	return rc;
}

static bool text_eq(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

static void each_peer(struct hub *h, enum msg_role role, const struct uuid *account, void (*f)(struct peer *p))
{
	u32 n;
	void *const *list = hub_peers(h, role, account, &n);

	for (u32 i = n; i-- > 0;)
		f(list[i]);
}

/* ---- pass 1 ------------------------------------------------------------------------------------------------------------------- */

static void account_changed(struct hub *h, const struct account *old, const struct account *now)
{
	if (old->dns_type != now->dns_type || old->doh_provider != now->doh_provider ||
	    !text_eq(old->search_domain, now->search_domain) || !text_eq(old->dns_addresses, now->dns_addresses))
		each_peer(h, MSG_ROLE_CLIENT, &now->e.id, client_peer_config_changed);
	if (!text_eq(old->slug, now->slug))
		each_peer(h, MSG_ROLE_GATEWAY, &now->e.id, gateway_peer_init);
}

static int policy_changed(struct batch *b, const struct policy *old, const struct policy *now)
{
	int rc = 0;

	if (!text_eq(old->conditions, now->conditions) || !uuid_eq(&old->group_id, &now->group_id) ||
	    !uuid_eq(&old->resource_id, &now->resource_id))
		rc = toggle(b, &now->resource_id);
	return rc;
}

static void resource_changed(struct hub *h, const struct resource *old, const struct resource *now)
{
	u32 n;
	void *const *gateways = hub_peers(h, MSG_ROLE_GATEWAY, &now->e.account_id, &n);
	bool is_other = !text_eq(old->address, now->address) || old->type != now->type || old->ip_stack != now->ip_stack;

	for (u32 i = 0; i < n; i++) {
		if (is_other)
			gateway_peer_reject_resource(gateways[i], &now->e.id);
		else if (!text_eq(old->filters, now->filters))
			gateway_peer_resource_updated(gateways[i], now);
	}
	if (now->type == RESOURCE_POOL && !text_eq(old->filters, now->filters))
		device_filters_changed(h, now);
}

static int compare(struct batch *b, enum kind k, const void *old, const void *now)
{
	const struct entity *e = now;

	switch ((int)k) {
	case KIND_ACCOUNT:
		if (!old)
			return 0;
		account_changed(b->hub, old, now);
		if (((const struct account *)old)->client_to_client_at == ((const struct account *)now)->client_to_client_at)
			return 0;
		break;
	case KIND_POLICY:
		if (old && policy_changed(b, old, now))
			return ERR_NOMEM;
		break;
	case KIND_RESOURCE:
		if (old)
			resource_changed(b->hub, old, now);
		break;
	case KIND_GROUP: /* its name is nobody's business */
		return 0;
	}
	return tell_clients_of(b, &e->account_id);
}

static int mirror(struct batch *b, const struct change *c)
{
	struct hub *h = b->hub;
	union any_entity row;
	void *old;
	int rc;

	if (c->op == CHANGE_DELETE) {
		old = directory_take(&h->dir, c->kind, &c->account_id, &c->id);
		entity_free(c->kind, old);
		return old ? tell_clients_of(b, &c->account_id) : 0;
	}
	rc = store_get(h->cfg.store, c->kind, &c->account_id, &c->id, &row);
	if (rc == ERR_NOT_FOUND) /* deleted later in the batch */
		return 0;
	if (rc)
		return rc;
	rc = directory_put(&h->dir, c->kind, &row, &old);
	if (!rc)
		rc = compare(b, c->kind, old, directory_get(&h->dir, c->kind, &c->account_id, &c->id));
	entity_free(c->kind, old);
	entity_deinit(c->kind, &row);
	return rc;
}

static void end_by_token(struct hub *h, enum msg_role role, const struct change *c, const char *reason)
{
	for (u32 i = h->joined[role].n; i-- > 0;) {
		struct peer *p = h->joined[role].at[i];

		if (uuid_eq(&p->token_id, &c->id) && uuid_eq(&p->account_id, &c->account_id))
			peer_end(p, reason);
	}
}

/* The row of a connected device changed or went. A deleted one is only closed: it may come back as a new row (spec 60 §5.2). */
static int device_changed(struct batch *b, const struct change *c)
{
	struct hub *h = b->hub;
	enum msg_role role = c->kind == KIND_CLIENT ? MSG_ROLE_CLIENT : MSG_ROLE_GATEWAY;
	struct peer *p = hub_find(h, role, &c->account_id, &c->id);
	union any_entity row;
	void *copy;
	int rc;

	if (!p)
		return 0;
	if (c->op == CHANGE_DELETE) {
		peer_end(p, NULL);
		return 0;
	}
	rc = store_get(h->cfg.store, c->kind, &c->account_id, &c->id, &row);
	if (rc)
		return rc == ERR_NOT_FOUND ? 0 : rc;
	copy = entity_dup(c->kind, &row);
	entity_deinit(c->kind, &row);
	if (!copy)
		return ERR_NOMEM;
	entity_free(c->kind, p->row);
	p->row = copy;
	if (role != MSG_ROLE_CLIENT)
		return 0;
	p->client.subject.is_verified = ((struct client *)copy)->verified_at != 0;
	return tell_clients_of(b, &c->account_id);
}

static int sort_out(void *ctx, const struct change *c)
{
	struct batch *b = ctx;
	int rc = note_stale(b, c);

	if (rc)
		return rc;
	if (directory_holds(c->kind))
		return mirror(b, c);
	switch ((int)c->kind) {
	case KIND_CLIENT:
	case KIND_GATEWAY:
		return device_changed(b, c);
	case KIND_CLIENT_TOKEN:
		if (c->op == CHANGE_DELETE)
			end_by_token(b->hub, MSG_ROLE_CLIENT, c, "token_expired");
		return 0;
	case KIND_GATEWAY_TOKEN:
		if (c->op == CHANGE_DELETE)
			end_by_token(b->hub, MSG_ROLE_GATEWAY, c, "token_expired");
		return 0;
	case KIND_RELAY_TOKEN:
		if (c->op == CHANGE_DELETE)
			end_by_token(b->hub, MSG_ROLE_RELAY, c, NULL);
		return 0;
	case KIND_AUTHORIZATION:
		rc = grow(&b->revoked, &b->cap_revoked, b->n_revoked, sizeof(*b->revoked));
		if (!rc)
			b->revoked[b->n_revoked++] = *c;
		return rc;
	}
	return 0;
}

/* ---- all ---------------------------------------------------------------------------------------------------------------------- */

int hub_publish(struct hub *h, u64 now, u64 wall)
{
	struct batch b = { .hub = h };
	int rc;

	h->now = now;
	h->wall = wall;
	rc = store_drain(h->cfg.store, sort_out, &b);
	for (u32 i = 0; i < b.n_revoked; i++)
		gateway_peer_authorization_deleted(h, &b.revoked[i]);
	for (u32 i = 0; i < b.n_accounts; i++) {
		u32 n;
		void *const *clients = hub_peers(h, MSG_ROLE_CLIENT, &b.accounts[i], &n);

		for (u32 j = 0; j < n; j++)
			client_peer_recompute(clients[j], b.toggled, b.n_toggled);
		device_recheck(h, &b.accounts[i], NULL);
	}
	for (u32 i = 0; i < b.n_stale; i++)
		h->cfg.news->changed(h->cfg.news_ctx, &b.stale[i].account_id, b.stale[i].kind);
	free(b.stale);
	free(b.revoked);
	free(b.accounts);
	free(b.toggled);
	if (rc)
		log_error("a change could not be published", kv_err(rc), kv_s("reason", store_reason(h->cfg.store)));
	return rc;
}
