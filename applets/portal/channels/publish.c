/* What a commit means to those who are connected (spec 60 §5, spec 10 §11): each change reaches the directory at once, and becomes something to be
 * told (tell.c): whose devices and tokens are gone is disconnected, gateways hear of resources and revoked authorizations, and clients what became
 * of their lists. */
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

static int account_changed(struct hub *h, const struct account *old, const struct account *now)
{
	int rc = 0;

	if (old->dns_type != now->dns_type || old->doh_provider != now->doh_provider ||
	    !text_eq(old->search_domain, now->search_domain) || !text_eq(old->dns_addresses, now->dns_addresses))
		rc = tell_item(h, &now->e.id, &(struct tell){ .what = TELL_CONFIG });
	if (!rc && !text_eq(old->slug, now->slug))
		rc = tell_item(h, &now->e.id, &(struct tell){ .what = TELL_INIT });
	if (!rc && old->client_to_client_at != now->client_to_client_at)
		rc = tell_lists(h, &now->e.id);
	return rc;
}

static int policy_changed(struct hub *h, const struct policy *old, const struct policy *now)
{
	int rc = 0;

	if (old && (!text_eq(old->conditions, now->conditions) || !uuid_eq(&old->group_id, &now->group_id) ||
		    !uuid_eq(&old->resource_id, &now->resource_id)))
		rc = tell_item(h, &now->e.account_id, &(struct tell){ .what = TELL_TOGGLED, .id = now->resource_id });
	return rc ? rc : tell_lists(h, &now->e.account_id);
}

static int resource_changed(struct hub *h, const struct resource *old, const struct resource *now)
{
	bool is_other = old && (!text_eq(old->address, now->address) || old->type != now->type || old->ip_stack != now->ip_stack);
	int rc = 0;

	if (is_other || (old && !text_eq(old->filters, now->filters)))
		rc = tell_item(h, &now->e.account_id, &(struct tell){ .what = is_other ? TELL_REJECTED : TELL_FILTERS, .id = now->e.id });
	if (!rc && old && now->type == RESOURCE_POOL && !text_eq(old->filters, now->filters))
		rc = tell_item(h, &now->e.account_id, &(struct tell){ .what = TELL_POOL, .id = now->e.id });
	return rc ? rc : tell_lists(h, &now->e.account_id);
}

static int compare(struct hub *h, enum kind k, const void *old, const void *now)
{
	const struct entity *e = now;

	switch ((int)k) {
	case KIND_ACCOUNT:
		return old ? account_changed(h, old, now) : 0;
	case KIND_POLICY:
		return policy_changed(h, old, now);
	case KIND_RESOURCE:
		return resource_changed(h, old, now);
	case KIND_ACTOR:
		return tell_lists_of(h, &e->account_id, &e->id);
	case KIND_MEMBERSHIP:
		return tell_lists_of(h, &e->account_id, &((const struct membership *)now)->actor_id);
	case KIND_GROUP: /* its name is nobody's business */
		return 0;
	}
	return tell_lists(h, &e->account_id);
}

static int vanished(struct hub *h, const struct change *c, const void *old)
{
	if (!old)
		return 0;
	if (c->kind == KIND_MEMBERSHIP)
		return tell_lists_of(h, &c->account_id, &((const struct membership *)old)->actor_id);
	return tell_lists(h, &c->account_id);
}

static int mirror(struct hub *h, const struct change *c)
{
	union any_entity row;
	void *old;
	int rc;

	if (c->op == CHANGE_DELETE) {
		old = directory_take(&h->dir, c->kind, &c->account_id, &c->id);
		rc = vanished(h, c, old);
		entity_free(c->kind, old);
		return rc;
	}
	rc = store_get(h->cfg.store, c->kind, &c->account_id, &c->id, &row);
	if (rc == ERR_NOT_FOUND) /* deleted later in the batch */
		return 0;
	if (rc)
		return rc;
	rc = directory_put(&h->dir, c->kind, &row, &old);
	if (!rc)
		rc = compare(h, c->kind, old, directory_get(&h->dir, c->kind, &c->account_id, &c->id));
	entity_free(c->kind, old);
	entity_deinit(c->kind, &row);
	return rc;
}

static int token_order(const struct peer *p, const struct change *c)
{
	int order = uuid_cmp(&p->account_id, &c->account_id);
	return order ? order : uuid_cmp(&p->token_id, &c->id);
}

static void end_by_token(struct hub *h, enum msg_role role, const struct change *c, const char *reason)
{
	u32 lo = 0, hi = h->by_token.n;

	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;
		if (token_order(h->by_token.at[mid], c) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < h->by_token.n && token_order(h->by_token.at[lo], c) == 0; lo++) {
		struct peer *p = h->by_token.at[lo];

		if (p->role == role)
			tell_end(p, reason);
	}
}

/* The row of a connected device changed or went. A deleted one is only closed: it may come back as a new row (spec 60 §5.2). */
static int device_changed(struct hub *h, const struct change *c)
{
	enum msg_role role = c->kind == KIND_CLIENT ? MSG_ROLE_CLIENT : MSG_ROLE_GATEWAY;
	struct peer *p = hub_find(h, role, &c->account_id, &c->id);
	union any_entity row;
	void *copy;
	int rc;

	if (!p)
		return 0;
	if (c->op == CHANGE_DELETE) {
		tell_end(p, NULL);
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
	return tell_lists_of(h, &c->account_id, &p->owner_id);
}

static int revoked(struct hub *h, const struct change *c)
{
	if (!hub_find(h, MSG_ROLE_GATEWAY, &c->account_id, &c->gateway_id))
		return 0;
	return tell_item(h, &c->account_id,
		    &(struct tell){ .what = TELL_REVOKED, .id = c->id, .gateway_id = c->gateway_id, .client_id = c->client_id, .resource_id = c->resource_id });
}

static int sort_out(void *ctx, const struct change *c)
{
	struct batch *b = ctx;
	int rc = note_stale(b, c);

	if (rc)
		return rc;
	if (directory_holds(c->kind))
		return mirror(b->hub, c);
	switch ((int)c->kind) {
	case KIND_CLIENT:
	case KIND_GATEWAY:
		return device_changed(b->hub, c);
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
		return revoked(b->hub, c);
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
	h->publish_seq = h->tell_seq;
	rc = store_drain(h->cfg.store, sort_out, &b);
	tell_slice(h, tell_until(h, HUB_SLICE));
	for (u32 i = 0; i < b.n_stale; i++)
		h->cfg.news->changed(h->cfg.news_ctx, &b.stale[i].account_id, b.stale[i].kind);
	free(b.stale);
	bool is_sweeping = store_swept(h->cfg.store) != store_sweeps(h->cfg.store);
	if (is_sweeping)
		h->purge_due = now;
	if ((is_sweeping || tell_is_pending(h)) && h->cfg.wants_time)
		h->cfg.wants_time(h->cfg.ctx);
	if (rc)
		log_error("a change could not be published", kv_err(rc), kv_s("reason", store_reason(h->cfg.store)));
	return rc;
}
