#define LOG_TARGET "portal::hub"

#include "applets/portal/channels/internal.h"
#include "core/base/log.h"

#include <sodium.h>
#include <stdlib.h>

#define CLOCK_SET SEC(10) /* a difference between the clocks that is no correction */

static int by_key(const void *a, const void *b)
{
	const struct peer *x = a, *y = b;
	int c = uuid_cmp(&x->account_id, &y->account_id);

	return c ? c : uuid_cmp(&x->id, &y->id);
}

static int by_token(const void *a, const void *b)
{
	const struct peer *x = a, *y = b;
	int c = uuid_cmp(&x->account_id, &y->account_id);

	c = c ? c : uuid_cmp(&x->token_id, &y->token_id);
	return c ? c : x < y ? -1 : x > y;
}

static int by_address(const void *a, const void *b)
{
	return a < b ? -1 : a > b;
}

static int load_row(void *ctx, enum kind k, const void *row)
{
	void *old;
	int rc = directory_put(ctx, k, row, &old);

	entity_free(k, old);
	return rc;
}

int hub_new(struct hub **out, const struct hub_config *cfg, u64 now, u64 wall)
{
	struct hub *h = calloc(1, sizeof(*h));
	int rc;

	if (!h)
		return ERR_NOMEM;
	h->cfg = *cfg;
	h->cfg.rate_capacity = cfg->rate_capacity ? cfg->rate_capacity : 1;
	h->cfg.rate_refill = cfg->rate_refill ? cfg->rate_refill : 1;
	h->now = now;
	h->wall = wall;
	directory_init(&h->dir);
	heap_init(&h->due, PEERS_MAX);
	for (int role = 0; role < 3; role++)
		h->joined[role].cmp = by_key;
	h->all.cmp = by_address;
	h->by_token.cmp = by_token;
	h->ending_end = &h->ending;
	tell_init(h);
	h->relay_change_due = h->session_flush_due = h->traffic_due = TIME_NEVER;
	h->purge_due = now + PURGE_INTERVAL;
	rng_fill(cfg->rng, h->flow_key, sizeof(h->flow_key));
	h->sessions = calloc(SESSION_BUFFER_MAX, sizeof(*h->sessions));
	rc = h->sessions ? lru_init(&h->rate, 24, 16, RATE_ENTRIES_MAX, cfg->rng) : ERR_NOMEM;
	rc = rc ? rc : lru_init(&h->addresses, 32, sizeof(struct device_address), DEVICE_ADDRESSES, cfg->rng);
	for (int k = 0; k < DIRECTORY_KINDS && !rc; k++)
		rc = store_list(cfg->store, (enum kind)k, NULL, load_row, &h->dir);
	if (rc) {
		hub_free(h);
		return rc;
	}
	*out = h;
	return 0;
}

void hub_free(struct hub *h)
{
	if (!h)
		return;
	directory_deinit(&h->dir);
	heap_deinit(&h->due);
	for (int role = 0; role < 3; role++)
		index_free(&h->joined[role]);
	index_free(&h->all);
	index_free(&h->by_token);
	tell_deinit(h);
	lru_deinit(&h->rate);
	lru_deinit(&h->addresses);
	free(h->sessions);
	free(h->traffic);
	free(h->accesses);
	sodium_memzero(h->flow_key, sizeof(h->flow_key));
	free(h);
}

struct directory *hub_directory(struct hub *h)
{
	return &h->dir;
}

struct uuid hub_new_id(struct hub *h)
{
	return uuid_random(h->cfg.rng);
}

void hub_store_failed(struct hub *h, const char *what, int rc)
{
	h->stats.store_errors++;
	log_at(store_trouble(h->cfg.store) ? LOG_DEBUG : LOG_ERROR, what, kv_err(rc), kv_s("reason", store_reason(h->cfg.store)));
}

/* ---- presence ------------------------------------------------------------------------------------------------------------------ */

struct peer *hub_find(const struct hub *h, enum msg_role role, const struct uuid *account, const struct uuid *id)
{
	struct peer key = { .account_id = *account, .id = *id };

	return index_find(&h->joined[role], &key);
}

void *const *hub_peers(const struct hub *h, enum msg_role role, const struct uuid *account, u32 *n)
{
	struct peer key = { .account_id = *account };
	const struct index *x = &h->joined[role];
	u32 first = index_lower(x, &key), end;

	memset(key.id.b, 0xff, sizeof(key.id.b));
	end = index_lower(x, &key);
	end += end < x->n && x->cmp(x->at[end], &key) == 0;
	*n = end - first;
	return *n > 0 ? x->at + first : NULL;
}

bool hub_is_online(const struct hub *h, enum kind k, const struct uuid *account, const struct uuid *id)
{
	return hub_find(h, k == KIND_CLIENT ? MSG_ROLE_CLIENT : MSG_ROLE_GATEWAY, account, id) != NULL;
}

static struct hub_presence presence_of(const struct peer *p)
{
	struct hub_presence x = { .account_id = p->account_id,
				  .id = p->id,
				  .owner_id = p->owner_id,
				  .token_id = p->token_id,
				  .remote_ip = p->remote_ip,
				  .version = p->peer_version.text };

	if (p->role == MSG_ROLE_RELAY) {
		x.v4 = p->relay.v4;
		x.v6 = p->relay.v6;
	}
	return x;
}

bool hub_presence_of(const struct hub *h, enum kind k, const struct uuid *account, const struct uuid *id, struct hub_presence *out)
{
	const struct peer *p = hub_find(h, k == KIND_CLIENT ? MSG_ROLE_CLIENT : MSG_ROLE_GATEWAY, account, id);

	if (p)
		*out = presence_of(p);
	return p != NULL;
}

int hub_each(const struct hub *h, enum msg_role role, const struct uuid *account, int (*each)(void *ctx, const struct hub_presence *p),
	     void *ctx)
{
	int rc = 0;

	for (u32 i = 0; i < h->joined[role].n && !rc; i++) {
		const struct peer *p = h->joined[role].at[i];
		struct hub_presence x;

		if (role != MSG_ROLE_RELAY && account && !uuid_eq(account, &p->account_id))
			continue;
		x = presence_of(p);
		rc = each(ctx, &x);
	}
	return rc;
}

u32 hub_count(const struct hub *h, enum msg_role role, const struct uuid *account)
{
	u32 n = h->joined[role].n;

	if (role != MSG_ROLE_RELAY)
		(void)hub_peers(h, role, account, &n);
	return n;
}

void hub_stats(const struct hub *h, struct hub_stats *out)
{
	*out = h->stats;
	out->clients = h->joined[MSG_ROLE_CLIENT].n;
	out->gateways = h->joined[MSG_ROLE_GATEWAY].n;
	out->relays = h->joined[MSG_ROLE_RELAY].n;
}

/* ---- time ---------------------------------------------------------------------------------------------------------------------- */

static void flush_sessions(struct hub *h, u32 max)
{
	struct store *s = h->cfg.store;
	u32 n = MIN(h->n_sessions, max);
	int rc;

	h->session_flush_due = TIME_NEVER;
	if (n == 0)
		return;
	rc = store_begin(s, STORE_EAGER);
	for (u32 i = 0; i < n && !rc; i++) {
		rc = store_insert_session(s, &h->sessions[i]);
		/* its device or token was deleted meanwhile */
		if (rc == ERR_NOT_FOUND)
			rc = 0;
	}
	rc = rc ? store_rollback(s, rc) : store_commit(s);
	if (rc)
		hub_store_failed(h, "sessions could not be stored", rc);
	if (rc == ERR_IO && h->n_sessions < SESSION_BUFFER_MAX) {
		h->session_flush_due = h->now + SESSION_FLUSH_INTERVAL;
		return;
	}
	h->n_sessions -= n;
	memmove(h->sessions, h->sessions + n, h->n_sessions * sizeof(*h->sessions));
	if (h->n_sessions > 0)
		h->session_flush_due = h->now;
}

/* What expired before the clock was set back stays expired: what it said then is looked at once more. */
static u64 purge_wall(const struct hub *h)
{
	return h->purged_wall ? MAX(h->wall, time_add(h->purged_wall, time_since(h->now, h->purged_at))) : h->wall;
}

static void sweep(struct hub *h)
{
	int rc = store_sweep(h->cfg.store, h->wall);

	h->purge_due = rc < 0 ? h->now + SWEEP_RETRY : h->now;
	if (rc < 0)
		hub_store_failed(h, "what is being deleted could not be", rc);
	else
		(void)hub_publish(h, h->now, h->wall);
}

static void purge(struct hub *h)
{
	int rc = store_begin(h->cfg.store, STORE_EAGER);
	bool is_more = false;

	rc = rc ? rc : store_purge_expired(h->cfg.store, purge_wall(h));
	is_more = rc > 0;
	rc = is_more ? 0 : rc;
	h->purge_due = h->now + (is_more ? PURGE_PAUSE : PURGE_INTERVAL);
	if (!is_more) {
		h->purged_at = h->now;
		h->purged_wall = h->wall;
	}
	rc = rc ? store_rollback(h->cfg.store, rc) : store_commit(h->cfg.store);
	if (rc)
		hub_store_failed(h, "expired rows could not be deleted", rc);
	else
		(void)hub_publish(h, h->now, h->wall);
}

u64 hub_next_timeout(const struct hub *h)
{
	u64 writes = time_min(time_min(h->session_flush_due, h->purge_due), h->traffic_due);

	if (tell_is_pending(h))
		return h->now;
	return time_min(time_min(heap_next(&h->due), h->relay_change_due), writes);
}

void hub_at(struct hub *h, u64 now, u64 wall)
{
	u64 expected = time_add(h->clock_wall, time_since(now, h->clock_now));
	bool is_set = h->clock_now && MAX(wall, expected) - MIN(wall, expected) > CLOCK_SET;

	h->now = h->clock_now = now;
	h->wall = h->clock_wall = wall;
	if (!is_set)
		return;
	log_warn("the clock was set", kv_i("seconds", ((i64)wall - (i64)expected) / (i64)NSEC_PER_SEC));
	for (u32 i = 0; i < h->all.n; i++) {
		struct peer *p = h->all.at[i];

		if (p->is_registered && p->role == MSG_ROLE_CLIENT) {
			client_judge_expiry(p);
			peer_arm(p);
		}
	}
}

void hub_timeout(struct hub *h, u64 now, u64 wall)
{
	struct heap_node *node;

	hub_at(h, now, wall);
	u64 until = tell_until(h, HUB_SLICE);
	/* each peer at most once, so that one whose deadline stays in the past cannot hold the loop */
	for (u32 n = h->due.count; n > 0 && (node = heap_pop_due(&h->due, now)); n--) {
		peer_timeout(container_of(node, struct peer, due));
		if (tell_until(h, 0) >= until && until != TIME_NEVER)
			break;
	}
	if (now >= h->relay_change_due) {
		h->relay_change_due = TIME_NEVER;
		h->relay_walk = (struct relay_walk){ .is_under_way = true, .role = MSG_ROLE_CLIENT };
	}
	tell_slice(h, tell_until(h, HUB_SLICE));
	/* one of them at once; the others are due still */
	u64 *writes = now >= h->session_flush_due ? &h->session_flush_due :
		      now >= h->traffic_due	  ? &h->traffic_due :
		      now >= h->purge_due	  ? &h->purge_due :
						    NULL;
	if (writes && store_is_far_behind(h->cfg.store))
		*writes = now + DISK_PAUSE;
	else if (now >= h->session_flush_due)
		flush_sessions(h, SESSION_SLICE);
	else if (now >= h->traffic_due)
		traffic_flush(h, TRAFFIC_SLICE);
	else if (now >= h->purge_due)
		(store_swept(h->cfg.store) != store_sweeps(h->cfg.store) ? sweep : purge)(h);
}

u32 hub_restart(struct hub *h, u64 now, u64 wall, u32 max)
{
	u32 n_left = 0;

	h->now = now;
	h->wall = wall;
	flush_sessions(h, UINT32_MAX);
	traffic_flush(h, TRAFFIC_MAX);
	for (u32 i = h->all.n; i-- > 0;) {
		struct peer *p = h->all.at[i];

		if (p->is_restarting)
			continue;
		if (max == 0) {
			n_left++;
			continue;
		}
		max--;
		p->is_restarting = true;
		tell_now(p);
		phx_restart(p->socket, now);
		peer_leave(p);
		peer_arm(p);
		peer_wake(p);
	}
	h->relay_change_due = TIME_NEVER;
	return n_left;
}

void hub_tell_presence(const struct peer *p, bool is_online)
{
	static const enum kind of[] = { [MSG_ROLE_CLIENT] = KIND_CLIENT, [MSG_ROLE_GATEWAY] = KIND_GATEWAY, [MSG_ROLE_RELAY] = KIND_RELAY_TOKEN };
	const struct hub_config *cfg = &p->hub->cfg;
	struct hub_presence x = presence_of(p);

	if (cfg->news)
		cfg->news->presence(cfg->news_ctx, of[p->role], &x, is_online);
}

void hub_set_news(struct hub *h, const struct hub_news *news, void *ctx)
{
	h->cfg.news = news;
	h->cfg.news_ctx = ctx;
}
