#define LOG_TARGET "tunnel::gateway"
#include "core/tunnel/gateway_state.h"

#include <stdlib.h>

void reports_init(struct reports *r)
{
	*r = (struct reports){ .next_all = TIME_NEVER, .next_some = TIME_NEVER };
}

void reports_deinit(struct reports *r)
{
	free(r->gone);
	reports_init(r);
}

void report_stop(struct gateway *g)
{
	reports_deinit(&g->reports);
	outbox_forget_reports(&g->outbox);
}

/* Does not put off what is due already. */
static void arm(struct gateway *g)
{
	struct reports *r = &g->reports;
	u64 earliest = r->last ? time_add(r->last, REPORT_GAP) : 0;

	r->next_some = time_min(r->next_some, MAX(time_add(g->now, REPORT_SOON), earliest));
	r->next_all = time_min(r->next_all, time_add(g->now, r->interval));
}

void report_wanted(struct gateway *g, u32 interval_secs)
{
	u64 interval = SEC(interval_secs);
	bool is_new = g->reports.interval == 0;

	if (interval_secs == 0) {
		report_stop(g);
		return;
	}
	if (interval != g->reports.interval)
		g->reports.next_all = TIME_NEVER;
	g->reports.interval = interval;
	for (struct client_peer *p = g->peers; p; p = p->next) {
		p->reported.is_due |= is_new;
		arm(g);
	}
}

/* --- counting ------------------------------------------------------------------------------------------------------------------------- */

static void count(struct reported *c, u64 rx, u64 tx)
{
	/* less than before: another connection, whose beginning was not seen */
	c->rx_due += rx >= c->rx_seen ? rx - c->rx_seen : rx;
	c->tx_due += tx >= c->tx_seen ? tx - c->tx_seen : tx;
	c->rx_seen = rx;
	c->tx_seen = tx;
}

static bool look(struct gateway *g, struct client_peer *p, struct node_conn_info *info)
{
	if (node_conn_info(g->node, &p->id, info))
		return false;
	count(&p->reported, info->rx_bytes, info->tx_bytes);
	return true;
}

void report_count(struct gateway *g, struct client_peer *p)
{
	struct node_conn_info info;

	(void)look(g, p, &info);
}

void report_changed(struct gateway *g, const struct uuid *client)
{
	struct client_peer *p = g->reports.interval ? table_get(&g->peers_by_id, client) : NULL;

	if (!p)
		return;
	p->reported.is_due = true;
	arm(g);
}

/* --- ends ----------------------------------------------------------------------------------------------------------------------------- */

static struct msg_connection *gone_place(struct reports *r)
{
	if (r->n_gone == r->cap_gone) {
		u32 cap = r->cap_gone ? 2 * r->cap_gone : 16;
		struct msg_connection *grown = cap <= REPORT_GONE_MAX ? realloc(r->gone, cap * sizeof(*grown)) : NULL;
		if (!grown)
			return NULL;
		r->gone = grown;
		r->cap_gone = cap;
	}
	return &r->gone[r->n_gone++];
}

static void ended(struct gateway *g, struct client_peer *p)
{
	struct reported *c = &p->reported;

	if (g->reports.interval && (c->is_told || c->rx_due || c->tx_due)) {
		struct msg_connection *m = gone_place(&g->reports);
		if (m)
			*m = (struct msg_connection){ .client_id = p->id, .path = MSG_PATH_GONE, .rx_bytes = c->rx_due, .tx_bytes = c->tx_due };
		arm(g);
	}
	*c = (struct reported){ 0 };
}

void report_end(struct gateway *g, struct client_peer *p)
{
	report_count(g, p);
	ended(g, p);
}

void report_failed(struct gateway *g, const struct node_event *e)
{
	struct client_peer *p = table_get(&g->peers_by_id, &e->id);

	if (!p)
		return;
	count(&p->reported, e->rx_bytes, e->tx_bytes);
	ended(g, p);
}

/* --- telling -------------------------------------------------------------------------------------------------------------------------- */

struct batch {
	struct gateway *g;
	struct msg_connection c[MSG_REPORTED_MAX];
	size_t n;
};

static void batch_send(struct batch *b)
{
	if (b->n > 0 && outbox_report(&b->g->outbox, b->c, b->n)) {
		b->g->stats.messages_refused++;
		log_warn("a report of connections is lost, too much waits for the portal", kv_u("connections", b->n));
	}
	b->n = 0;
}

static void batch_add(struct batch *b, const struct msg_connection *c)
{
	if (b->n == MSG_REPORTED_MAX)
		batch_send(b);
	b->c[b->n++] = *c;
}

static struct msg_connection describe(const struct client_peer *p, const struct node_conn_info *info)
{
	u64 rtt_ms = (info->rtt + MSEC(1) / 2) / MSEC(1);

	return (struct msg_connection){ .client_id = p->id,
					.path = info->path == PATH_DIRECT ? MSG_PATH_DIRECT : MSG_PATH_RELAYED,
					.has_rtt = info->has_rtt,
					.rtt_ms = (u32)MIN(rtt_ms, (u64)MSG_RTT_MS_MAX),
					.rx_bytes = p->reported.rx_due,
					.tx_bytes = p->reported.tx_due };
}

static u32 batch_peers(struct batch *b, bool is_all)
{
	u32 n_connected = 0;

	for (struct client_peer *p = b->g->peers; p; p = p->next) {
		struct node_conn_info info;
		struct msg_connection c;
		if (!look(b->g, p, &info) || !info.is_connected)
			continue;
		n_connected++;
		if (!is_all && !p->reported.is_due)
			continue;
		c = describe(p, &info);
		batch_add(b, &c);
		p->reported.rx_due = p->reported.tx_due = 0;
		p->reported.is_due = false;
		p->reported.is_told = true;
	}
	return n_connected;
}

void report_timeout(struct gateway *g)
{
	struct reports *r = &g->reports;
	bool is_all = g->now >= r->next_all;
	struct batch *b;

	if (!is_all && g->now < r->next_some)
		return;
	r->next_some = TIME_NEVER;
	r->next_all = time_min(r->next_all, time_add(g->now, r->interval));
	b = calloc(1, sizeof(*b));
	if (!b)
		return; /* the bytes stay due */
	b->g = g;
	/* who went and came back is connected in the end */
	for (u32 i = 0; i < r->n_gone; i++)
		batch_add(b, &r->gone[i]);
	r->n_gone = 0;
	u32 n_connected = batch_peers(b, is_all);
	batch_send(b);
	free(b);
	r->last = g->now;
	if (is_all)
		r->next_all = n_connected ? time_add(g->now, r->interval) : TIME_NEVER;
}
