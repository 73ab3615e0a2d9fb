/* What gateways report of their connections (spec 10 §15): the latest of each for pages, and the hour's sums for charts. */
#define LOG_TARGET "portal::gateway"

#include "applets/portal/channels/internal.h"
#include "applets/portal/model/latency.h"
#include "core/base/log.h"

#include <stdio.h>
#include <stdlib.h>

#define BYTES_MAX ((u64)1 << 44)     /* of one element: nobody carries more in a minute, and sums stay within 64 bits */
#define SUM_MAX ((u64)1 << 60)
#define HOUR_USECS 3600000000ll

/* What a gateway said of one client last. */
struct known_path {
	struct uuid client_id;
	bool is_relayed, has_rtt;
	u32 rtt_ms;
	u64 at; /* monotonic */
};

/* An hour of an account that is not stored yet. */
struct traffic {
	struct uuid account_id;
	i64 hour; /* microseconds since 1970 at its start */
	u64 sum[TRAFFIC_BUCKETS + LATENCY_BUCKETS];
};

static int by_client(const void *a, const void *b)
{
	return uuid_cmp(&((const struct known_path *)a)->client_id, &((const struct known_path *)b)->client_id);
}

/* ---- sums ------------------------------------------------------------------------------------------------------------------------ */

const char *traffic_name(u32 i, char text[static TRAFFIC_NAME_MAX])
{
	static const char *const names[TRAFFIC_BUCKETS] = { "bytes_in", "bytes_out", "seconds_direct", "seconds_relayed" };

	if (i < TRAFFIC_BUCKETS)
		return names[i];
	snprintf(text, TRAFFIC_NAME_MAX, "rtt_%02u", (unsigned)(i - TRAFFIC_BUCKETS));
	return text;
}

static struct traffic *traffic_of(struct hub *h, const struct uuid *account)
{
	i64 at = (i64)(h->wall / 1000), hour = at - at % HOUR_USECS;

	for (u32 i = 0; i < h->n_traffic; i++)
		if (h->traffic[i].hour == hour && uuid_eq(&h->traffic[i].account_id, account))
			return &h->traffic[i];
	if (h->n_traffic == h->cap_traffic) {
		u32 cap = h->cap_traffic ? 2 * h->cap_traffic : 4;
		struct traffic *grown = cap <= TRAFFIC_MAX ? realloc(h->traffic, cap * sizeof(*grown)) : NULL;

		if (!grown) {
			h->stats.limits_reached++;
			return NULL;
		}
		h->traffic = grown;
		h->cap_traffic = cap;
	}
	if (h->traffic_due == TIME_NEVER)
		h->traffic_due = h->now + TRAFFIC_FLUSH_INTERVAL;
	h->traffic[h->n_traffic] = (struct traffic){ .account_id = *account, .hour = hour };
	return &h->traffic[h->n_traffic++];
}

static void add(struct traffic *t, u32 what, u64 n)
{
	if (t)
		t->sum[what] = MIN(t->sum[what] + n, SUM_MAX);
}

static int store_one(struct hub *h, const struct traffic *t)
{
	char text[TRAFFIC_NAME_MAX];
	int rc = 0;

	for (u32 i = 0; i < ARRAY_LEN(t->sum) && !rc; i++)
		if (t->sum[i])
			rc = store_stat_add(h->cfg.store, &t->account_id, traffic_name(i, text), (u64)t->hour * 1000, (i64)t->sum[i]);
	return rc == ERR_NOT_FOUND ? 0 : rc; /* the account was deleted meanwhile */
}

void traffic_flush(struct hub *h, u32 max)
{
	u32 n = MIN(h->n_traffic, max);
	int rc;

	h->traffic_due = TIME_NEVER;
	if (n == 0)
		return;
	rc = store_begin(h->cfg.store, STORE_EAGER);
	for (u32 i = 0; i < n && !rc; i++)
		rc = store_one(h, &h->traffic[h->n_traffic - 1 - i]);
	rc = rc ? store_rollback(h->cfg.store, rc) : store_commit(h->cfg.store);
	if (rc)
		hub_store_failed(h, "traffic could not be stored", rc);
	h->n_traffic -= n;
	if (h->n_traffic > 0)
		h->traffic_due = h->now + PURGE_PAUSE;
}

/* ---- the latest of each ----------------------------------------------------------------------------------------------------------- */

static void tell(const struct peer *gateway, const struct uuid *client, bool is_new)
{
	const struct hub_config *cfg = &gateway->hub->cfg;

	if (cfg->news && cfg->news->path)
		cfg->news->path(cfg->news_ctx, &gateway->account_id, &gateway->id, client, is_new);
}

/* Time on the path it was on until now. */
static void add_time(struct traffic *t, const struct known_path *k, u64 now)
{
	add(t, k->is_relayed ? TRAFFIC_SECONDS_RELAYED : TRAFFIC_SECONDS_DIRECT, MIN(time_since(now, k->at), REPORT_PATIENCE) / NSEC_PER_SEC);
}

static void forget_at(struct peer *p, u32 i)
{
	struct known_path *k = index_take_at(&p->gateway.paths, i);
	struct uuid client = k->client_id;

	free(k);
	tell(p, &client, false);
}

static void set_path(struct peer *p, struct known_path *k, const struct msg_connection *c)
{
	struct known_path before = *k;

	k->is_relayed = c->path == MSG_PATH_RELAYED;
	k->has_rtt = c->has_rtt;
	k->rtt_ms = c->rtt_ms;
	k->at = p->hub->now;
	if (before.at == 0 || before.is_relayed != k->is_relayed || before.has_rtt != k->has_rtt || before.rtt_ms != k->rtt_ms)
		tell(p, &k->client_id, before.at == 0);
}

static void take_one(struct peer *p, const struct msg_connection *c)
{
	struct index *x = &p->gateway.paths;
	struct known_path key = { .client_id = c->client_id }, *k = index_find(x, &key);
	struct traffic *t;

	/* a client it has nothing to do with, or one of another account */
	if (!k && !gateway_peer_holds(p, &c->client_id))
		return;
	t = traffic_of(p->hub, &p->account_id);
	add(t, TRAFFIC_BYTES_IN, MIN(c->rx_bytes, BYTES_MAX));
	add(t, TRAFFIC_BYTES_OUT, MIN(c->tx_bytes, BYTES_MAX));
	if (k)
		add_time(t, k, p->hub->now);
	if (c->path == MSG_PATH_GONE) {
		if (k)
			forget_at(p, index_lower(x, &key));
		return;
	}
	if (c->has_rtt)
		add(t, TRAFFIC_BUCKETS + latency_bucket(c->rtt_ms), 1);
	if (!k) {
		k = x->n < PATHS_MAX ? malloc(sizeof(*k)) : NULL;
		if (k)
			*k = key;
		if (!k || index_put(x, k)) {
			p->hub->stats.limits_reached++;
			free(k);
			return;
		}
	}
	set_path(p, k, c);
}

void reports_join(struct peer *p)
{
	p->gateway.paths.cmp = by_client;
}

void reports_take(struct peer *p, const struct msg_connections_report *m)
{
	p->gateway.has_reported = true;
	for (size_t i = 0; i < m->n; i++)
		take_one(p, &m->connections[i]);
}

void reports_leave(struct peer *p)
{
	/* pages of so many clients are not told one by one */
	bool is_told = p->gateway.paths.n <= PATHS_TOLD_MAX;

	for (u32 i = p->gateway.paths.n; i-- > 0;) {
		if (is_told)
			forget_at(p, i);
		else
			free(index_take_at(&p->gateway.paths, i));
	}
}

void reports_free(struct peer *p)
{
	for (u32 i = p->gateway.paths.n; i-- > 0;)
		free(index_take_at(&p->gateway.paths, i));
	index_free(&p->gateway.paths);
}

void reports_prune(struct peer *p)
{
	for (u32 i = p->gateway.paths.n; i-- > 0;)
		if (time_since(p->hub->now, ((const struct known_path *)p->gateway.paths.at[i])->at) >= REPORT_PATIENCE)
			forget_at(p, i);
}

/* ---- asking ------------------------------------------------------------------------------------------------------------------------ */

static struct hub_path path_of(const struct peer *p, const struct known_path *k)
{
	return (struct hub_path){ .gateway_id = p->id,
				  .client_id = k->client_id,
				  .gateway_name = peer_device(p)->name,
				  .is_relayed = k->is_relayed,
				  .has_rtt = k->has_rtt,
				  .rtt_ms = k->rtt_ms };
}

static const struct known_path *find(const struct peer *gateway, const struct uuid *client)
{
	struct known_path key = { .client_id = *client };

	return gateway && gateway->gateway.paths.n ? index_find(&gateway->gateway.paths, &key) : NULL;
}

bool hub_path(const struct hub *h, const struct uuid *account, const struct uuid *gateway, const struct uuid *client, struct hub_path *out)
{
	const struct peer *p = hub_find(h, MSG_ROLE_GATEWAY, account, gateway);
	const struct known_path *k = find(p, client);

	if (k)
		*out = path_of(p, k);
	return k != NULL;
}

int hub_paths_of_client(const struct hub *h, const struct uuid *account, const struct uuid *client,
			int (*each)(void *ctx, const struct hub_path *path), void *ctx)
{
	u32 n;
	void *const *gateways = hub_peers(h, MSG_ROLE_GATEWAY, account, &n);
	int rc = 0;

	for (u32 i = 0; i < n && !rc; i++) {
		const struct known_path *k = find(gateways[i], client);
		struct hub_path path;

		if (!k)
			continue;
		path = path_of(gateways[i], k);
		rc = each(ctx, &path);
	}
	return rc;
}

int hub_paths_of_gateway(const struct hub *h, const struct uuid *account, const struct uuid *gateway,
			 int (*each)(void *ctx, const struct hub_path *path), void *ctx)
{
	const struct peer *p = hub_find(h, MSG_ROLE_GATEWAY, account, gateway);
	int rc = 0;

	for (u32 i = 0; p && i < p->gateway.paths.n && !rc; i++) {
		struct hub_path path = path_of(p, p->gateway.paths.at[i]);

		rc = each(ctx, &path);
	}
	return rc;
}

bool hub_reports(const struct hub *h, const struct uuid *account, const struct uuid *gateway)
{
	const struct peer *p = hub_find(h, MSG_ROLE_GATEWAY, account, gateway);

	return p && p->gateway.has_reported;
}
