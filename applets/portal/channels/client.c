#define LOG_TARGET "portal::client"

#include "applets/portal/channels/internal.h"
#include "core/base/log.h"

#include <sodium.h>
#include <stdlib.h>

/* ---- the list of resources ------------------------------------------------------------------------------------------------- */

static struct told stamp(struct hub *h, const struct resource *r)
{
	const struct site *s = directory_get(&h->dir, KIND_SITE, &r->e.account_id, &r->site_id);
	/* revisions are never used twice, so another site has another stamp too */
	struct told t = { .id = r->e.id, .stamp = r->e.revision, .site_stamp = s ? s->e.revision : 0 };

	if (r->type == RESOURCE_POOL)
		t.site_stamp = device_pool_stamp(h, r);

	return t;
}

/* What the client may reach now, in order of id; *list is the caller's. */
static int reachable(struct peer *p, const struct resource ***list, u32 *n)
{
	u32 policies;

	directory_all(&p->hub->dir, KIND_POLICY, &p->account_id, &policies);
	*list = malloc((policies + 1) * sizeof(**list));
	if (!*list)
		return ERR_NOMEM;
	*n = access_list(&p->hub->dir, &p->client.subject, hub_secs(p->hub), *list, policies);
	return 0;
}

static int keep_told(struct peer *p, const struct resource *const *list, u32 n)
{
	struct told *told = malloc((n + 1) * sizeof(*told));

	if (!told)
		return ERR_NOMEM;
	for (u32 i = 0; i < n; i++)
		told[i] = stamp(p->hub, list[i]);
	free(p->client.told);
	p->client.told = told;
	p->client.n_told = n;
	return 0;
}

static void push_deleted(struct peer *p, const struct uuid *id)
{
	struct portal_message m = { .type = MSG_RESOURCE_DELETED, .id = *id };

	(void)peer_push(p, &m);
}

static void push_resource(struct peer *p, const struct resource *r)
{
	struct portal_message m = { .type = MSG_RESOURCE_CREATED_OR_UPDATED };
	struct rendered mem;

	if (render_resource(p->hub, r, &mem)) {
		log_error("a stored resource cannot be rendered", kv_uuid("resource_id", &r->e.id));
		return;
	}
	m.resource = mem.resource;
	(void)peer_push(p, &m);
	rendered_free(&mem);
}

static bool is_among(const struct uuid *id, const struct uuid *list, u32 n)
{
	if (n == TOGGLED_ALL)
		return true;
	for (u32 i = 0; i < n; i++)
		if (uuid_eq(id, &list[i]))
			return true;
	return false;
}

enum difference { SAME, NEW, CHANGED, MOVED };

static enum difference compare(struct peer *p, const struct told *old, const struct resource *r, const struct uuid *toggled, u32 n_toggled)
{
	struct told now = stamp(p->hub, r);

	if (!old)
		return NEW;
	if (is_among(&r->e.id, toggled, n_toggled))
		return MOVED;
	if (old->site_stamp != now.site_stamp)
		return version_can_change_sites(&p->peer_version, p->user_agent) ? CHANGED : MOVED;
	return old->stamp != now.stamp ? CHANGED : SAME;
}

/* Walks old and new list side by side; deletions are pushed in the first walk, everything else in the second (spec 60 item 35). */
static void push_differences(struct peer *p, const struct resource *const *list, u32 n, const struct uuid *toggled, u32 n_toggled,
			     bool is_deleting)
{
	struct client_state *c = &p->client;
	u32 i = 0, j = 0;

	while (i < c->n_told || j < n) {
		int order = i == c->n_told ? 1 : j == n ? -1 : uuid_cmp(&c->told[i].id, &list[j]->e.id);

		if (order < 0) {
			if (is_deleting)
				push_deleted(p, &c->told[i].id);
			i++;
			continue;
		}
		enum difference d = compare(p, order == 0 ? &c->told[i] : NULL, list[j], toggled, n_toggled);
		if (is_deleting && d == MOVED)
			push_deleted(p, &list[j]->e.id);
		if (!is_deleting && d != SAME)
			push_resource(p, list[j]);
		i += order == 0;
		j++;
	}
}

void client_peer_recompute(struct peer *p, const struct uuid *toggled, u32 n_toggled)
{
	const struct resource **list;
	u32 n;

	if (reachable(p, &list, &n)) {
		log_error("out of memory: a client is not told of changes now", kv_uuid("client_id", &p->id));
		return;
	}
	push_differences(p, list, n, toggled, n_toggled, true);
	push_differences(p, list, n, toggled, n_toggled, false);
	if (keep_told(p, list, n))
		log_error("out of memory: a client will be told again", kv_uuid("client_id", &p->id));
	free(list);
}

void client_peer_config_changed(struct peer *p)
{
	struct portal_message m = { .type = MSG_CONFIG_CHANGED };
	struct rendered_interface mem;

	render_interface(&p->hub->dir, p, &m.config_changed, &mem);
	(void)peer_push(p, &m);
}

/* ---- join -------------------------------------------------------------------------------------------------------------------- */

static void push_init(struct peer *p, const struct resource *const *list, u32 n)
{
	struct portal_message m = { .type = MSG_INIT_CLIENT };
	struct rendered *mem = calloc(n + 1, sizeof(*mem));
	struct msg_resource *resources = calloc(n + 1, sizeof(*resources));
	struct rendered_interface interface;
	struct relay_list relays;
	struct msg_access *inbound = device_inbound(p, &m.init_client.n_authorizations);

	if (!mem || !resources || !inbound) {
		peer_end(p, NULL);
		goto out;
	}
	for (u32 i = 0; i < n; i++)
		if (render_resource(p->hub, list[i], &mem[m.init_client.n_resources]) == 0) {
			resources[m.init_client.n_resources] = mem[m.init_client.n_resources].resource;
			m.init_client.n_resources++;
		}
	m.init_client.resources = resources;
	render_interface(&p->hub->dir, p, &m.init_client.interface, &interface);
	relays_select(p, &relays);
	m.init_client.relays = (struct msg_relays){ relays.relay, relays.n };
	m.init_client.authorizations = inbound;
	m.init_client.flow_logs = render_flow_logs(p->hub, p);
	(void)peer_push(p, &m);
	sodium_memzero(&relays, sizeof(relays));
out:
	for (u32 i = 0; mem && i < m.init_client.n_resources; i++)
		rendered_free(&mem[i]);
	free(mem);
	free(resources);
	free(inbound);
}

/* By the wall clock, which may be set: looked at again each minute. */
void client_judge_expiry(struct peer *p)
{
	const struct hub *h = p->hub;

	p->client.expires_due = time_add(h->now, time_since((u64)p->client.subject.expires_at * NSEC_PER_SEC, h->wall));
}

void client_peer_join(struct peer *p)
{
	struct hub *h = p->hub;
	struct peer *old = hub_find(h, MSG_ROLE_CLIENT, &p->account_id, &p->id);
	const struct resource **list = NULL;
	u32 n;

	if (old && old != p) {
		h->stats.evicted++;
		log_info("a newer connection of the same client takes over", kv_uuid("client_id", &p->id));
		peer_end(old, "token_expired");
	}
	if (index_put(&h->joined[MSG_ROLE_CLIENT], p) || reachable(p, &list, &n) || keep_told(p, list, n)) {
		free(list);
		peer_end(p, NULL);
		return;
	}
	p->is_registered = true;
	p->told_seq = h->tell_seq;
	hub_tell_presence(p, true);
	p->next_minute = h->now + RECOMPUTE_INTERVAL;
	client_judge_expiry(p);
	push_init(p, list, n);
	free(list);
	device_recheck(h, &p->account_id, &p->id);
	log_info("client joined", kv_uuid("client_id", &p->id), kv_s("name", peer_device(p)->name), kv_u("resources", n));
}

void client_peer_leave(struct peer *p)
{
	p->client.n_pending = 0;
}

void client_peer_free(struct peer *p)
{
	free(p->client.told);
	free(p->client.pending);
}

/* ---- time -------------------------------------------------------------------------------------------------------------------- */

u64 client_peer_next_timeout(const struct peer *p)
{
	u64 due = time_min(p->next_minute, p->client.expires_due);

	for (u32 i = 0; i < p->client.n_pending; i++)
		due = time_min(due, p->client.pending[i].deadline);
	return due;
}

void client_peer_timeout(struct peer *p)
{
	u64 now = p->hub->now;

	if (now >= p->client.expires_due) {
		log_info("client's token expired", kv_uuid("client_id", &p->id));
		peer_end(p, "token_expired");
		return;
	}
	flow_timeout(p);
	if (now >= p->next_minute) {
		p->next_minute = now + RECOMPUTE_INTERVAL;
		client_judge_expiry(p);
		client_peer_recompute(p, NULL, 0);
		device_recheck(p->hub, &p->account_id, &p->id);
	}
}

/* ---- messages ------------------------------------------------------------------------------------------------------------------ */

static void forward(struct peer *p, enum msg_type type, enum msg_role role, const struct uuid *id, const struct msg_candidates *candidates)
{
	/* found only inside the sender's account (spec 10 item 68) */
	struct peer *to = hub_find(p->hub, role, &p->account_id, id);
	struct portal_message m = { .type = type };

	if (!to || (role == MSG_ROLE_CLIENT && !device_may_signal(p, id)))
		return;
	m.candidates.id = p->id;
	m.candidates.candidates = *candidates;
	(void)peer_push(to, &m);
}

static void forward_to_all(struct peer *p, enum msg_type type, const struct msg_broadcast *b)
{
	for (size_t i = 0; i < b->ids.n; i++)
		forward(p, type, MSG_ROLE_GATEWAY, &b->ids.id[i], &b->candidates);
}

void client_peer_message(struct peer *p, const struct portal_message *m)
{
	switch ((int)m->type) {
	case MSG_CREATE_FLOW:
		flow_create(p, &m->create_flow);
		break;
	case MSG_REQUEST_DEVICE_ACCESS:
		device_request(p, &m->ipv4);
		break;
	case MSG_NO_RELAYS:
		relays_reselect(p);
		break;
	case MSG_NEW_GATEWAY_ICE_CANDIDATES:
		forward(p, MSG_CLIENT_ICE_CANDIDATES, MSG_ROLE_GATEWAY, &m->candidates.id, &m->candidates.candidates);
		break;
	case MSG_INVALIDATE_GATEWAY_ICE_CANDIDATES:
		forward(p, MSG_CLIENT_ICE_INVALIDATED, MSG_ROLE_GATEWAY, &m->candidates.id, &m->candidates.candidates);
		break;
	case MSG_NEW_CLIENT_ICE_CANDIDATES:
		forward(p, MSG_CLIENT_ICE_CANDIDATES, MSG_ROLE_CLIENT, &m->candidates.id, &m->candidates.candidates);
		break;
	case MSG_INVALIDATE_CLIENT_ICE_CANDIDATES:
		forward(p, MSG_CLIENT_ICE_INVALIDATED, MSG_ROLE_CLIENT, &m->candidates.id, &m->candidates.candidates);
		break;
	case MSG_BROADCAST_ICE_CANDIDATES:
		forward_to_all(p, MSG_CLIENT_ICE_CANDIDATES, &m->broadcast);
		break;
	case MSG_BROADCAST_INVALIDATED_ICE_CANDIDATES:
		forward_to_all(p, MSG_CLIENT_ICE_INVALIDATED, &m->broadcast);
		break;
	}
}
