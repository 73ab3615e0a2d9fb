/* What waits to be sent: staged plaintext that becomes sealed runs, and our own small messages. */
#include "core/peer/node_int.h"

#include <stdlib.h>

#define RUN_BYTES_MAX 65000u /* of one UDP send; 49 of the longest datagrams fit, and the headers of IP and UDP */
#define RUN_SEGMENTS_MAX 64u /* what every kernel takes */

int lane_init(struct lane *l)
{
	l->arena = malloc(NODE_STAGE_BYTES);
	l->tx_jobs = malloc(NODE_STAGE_SLOTS * sizeof(*l->tx_jobs));
	l->runs = malloc(NODE_STAGE_SLOTS * sizeof(*l->runs));
	l->run_conn = malloc(NODE_STAGE_SLOTS * sizeof(struct conn *));
	l->rx_jobs = malloc(NODE_RX_PACKETS_MAX * sizeof(*l->rx_jobs));
	l->rx_packets = malloc(NODE_RX_PACKETS_MAX * sizeof(*l->rx_packets));
	l->inner = malloc(NODE_RX_PACKETS_MAX * sizeof(*l->inner));
	l->control = malloc(NODE_CONTROL_MAX * sizeof(*l->control));
	if (l->arena && l->tx_jobs && l->runs && l->run_conn && l->rx_jobs && l->rx_packets && l->inner && l->control)
		return 0;
	lane_deinit(l);
	return ERR_NOMEM;
}

void lane_deinit(struct lane *l)
{
	free(l->arena);
	free(l->tx_jobs);
	free(l->runs);
	free(l->run_conn);
	free(l->rx_jobs);
	free(l->rx_packets);
	free(l->inner);
	free(l->control);
	*l = (struct lane){ 0 };
}

void lane_drop_output(struct lane *l)
{
	l->arena_used = l->n_tx_jobs = l->n_runs = l->n_sealed_runs = l->next_run = 0;
	l->is_run_open = false;
	l->n_control = 0;
}

bool lane_has_output(const struct lane *l)
{
	return l->n_control > 0 || l->next_run < l->n_runs;
}

/* --- where to --------------------------------------------------------------------------------------------------------------- */

static int route_through(struct node *n, u64 now, struct relay *r, const struct endpoint *peer, struct route *out)
{
	const struct endpoint *active = allocation_active(r->alloc);

	if (!active || allocation_peer_to_channel(r->alloc, now, peer, &out->channel) != 0) {
		(void)allocation_bind(r->alloc, now, peer);
		n->are_relays_dirty = true;
		return ERR_NO_ROUTE;
	}
	out->src = (struct ip){ .family = 0 };
	out->dst = *active;
	return 0;
}

int route_find(struct node *n, u64 now, const struct endpoint *local, const struct endpoint *remote, struct route *out)
{
	struct relay *r = relay_by_relayed(n, local);

	if (r)
		return route_through(n, now, r, remote, out);
	*out = (struct route){ .src = local->ip, .dst = *remote };
	return 0;
}

/* A path over our relay goes over whatever relay is selected now, also while migrating (spec 20 §8.5). */
int conn_route(struct conn *c, u64 now, struct route *out)
{
	struct node *n = c->node;

	if (c->path != PATH_OWN_RELAY && c->path != PATH_BOTH_RELAYS) {
		*out = (struct route){ .src = c->socket.local.ip, .dst = c->socket.remote };
		return 0;
	}
	if (c->relay == NO_RELAY)
		return ERR_NO_ROUTE;
	return route_through(n, now, &n->relays[c->relay], &c->socket.remote, out);
}

/* --- own messages ---------------------------------------------------------------------------------------------------------------- */

static void note_relayed(struct node *n, u64 now, const struct route *route)
{
	struct relay *r = route->channel != 0 ? relay_owning(n, &route->dst) : NULL;

	if (r)
		allocation_note_sent(r->alloc, now);
}

void control_send(struct node *n, u64 now, const struct route *route, const void *msg, size_t len)
{
	struct lane *l = &n->lane;

	if (l->n_control == NODE_CONTROL_MAX || len > NODE_CONTROL_BYTES - CHANNEL_OVERHEAD) {
		n->stats.tx_dropped++;
		return;
	}
	struct control *ctl = &l->control[(l->control_head + l->n_control++) % NODE_CONTROL_MAX];
	ctl->route = *route;
	ctl->len = (u32)len;
	memcpy(ctl->data + CHANNEL_OVERHEAD, msg, len);
	if (route->channel != 0)
		channel_header(ctl->data, route->channel, (u16)len);
	note_relayed(n, now, route);
}

void control_send_from(struct node *n, u64 now, const struct endpoint *local, const struct endpoint *remote, const void *msg,
		       size_t len)
{
	struct route route = { 0 };

	if (route_find(n, now, local, remote, &route) == 0)
		control_send(n, now, &route, msg, len);
	else
		n->stats.tx_dropped++;
}

/* A WireGuard message goes to the socket, or waits for one. */
void conn_send_message(struct conn *c, u64 now, const void *msg, size_t len)
{
	struct route route = { 0 };

	if (!c->has_socket) {
		(void)queue_push(&c->wg_buffer, CONN_WG_BUFFER, true, SPAN(msg, len), ECN_NOT_ECT);
		return;
	}
	if (conn_route(c, now, &route) == 0)
		control_send(c->node, now, &route, msg, len);
	else
		c->node->stats.tx_dropped++;
}

/* --- staged plaintext --------------------------------------------------------------------------------------------------------------- */

static void rewind_when_sent(struct lane *l)
{
	if (l->next_run < l->n_runs)
		return;
	l->arena_used = l->n_tx_jobs = l->n_runs = l->n_sealed_runs = l->next_run = 0;
	l->is_run_open = false;
}

static bool joins_run(const struct lane *l, const struct conn *c, u8 ecn, u32 size)
{
	if (!l->is_run_open || l->n_runs == l->n_sealed_runs)
		return false;
	const struct udp_tx *run = &l->runs[l->n_runs - 1];
	return l->run_conn[l->n_runs - 1] == c && run->ecn == ecn && size <= run->seg &&
	       run->len + size <= RUN_BYTES_MAX && run->len < (u32)run->seg * RUN_SEGMENTS_MAX;
}

static void add_to_run(struct lane *l, struct conn *c, u8 ecn, u8 *data, u32 size)
{
	if (joins_run(l, c, ecn, size)) {
		struct udp_tx *run = &l->runs[l->n_runs - 1];
		run->len += size;
		l->is_run_open = size == run->seg;
		return;
	}
	l->runs[l->n_runs] = (struct udp_tx){
		.src = c->route.src, .dst = c->route.dst, .data = data, .len = size, .seg = (u16)size, .ecn = ecn
	};
	l->run_conn[l->n_runs++] = c;
	l->is_run_open = true;
}

/* The connection's route must be current. NULL: the arena or a table is full, *rc = ERR_LIMIT; or ERR_STATE: no session. */
static u8 *take_slot(struct conn *c, u64 now, u32 len, u8 ecn, int *rc)
{
	struct lane *l = &c->node->lane;
	u32 head = c->route.channel != 0 ? CHANNEL_OVERHEAD : 0, wg_len = WG_HEADER_LEN + len + AEAD_TAG;

	rewind_when_sent(l);
	*rc = ERR_LIMIT;
	if (l->arena_used + head + wg_len > NODE_STAGE_BYTES || l->n_tx_jobs == NODE_STAGE_SLOTS ||
	    l->n_runs == NODE_STAGE_SLOTS) {
		c->node->stats.stage_full++;
		return NULL;
	}
	u8 *slot = l->arena + l->arena_used;
	*rc = wg_seal_prepare(&c->wg, now, slot + head, len, &l->tx_jobs[l->n_tx_jobs]);
	if (*rc != 0)
		return NULL;
	if (head != 0)
		channel_header(slot, c->route.channel, (u16)wg_len);
	l->n_tx_jobs++;
	l->arena_used += head + wg_len;
	add_to_run(l, c, ecn, slot, head + wg_len);
	c->tx_bytes += len;
	if (c->unanswered_since == 0)
		c->unanswered_since = now;
	return slot + head + WG_HEADER_LEN;
}

static int open_stage(struct conn *c, u64 now)
{
	struct route before = c->route;

	if (!c->has_socket || !wg_can_send(&c->wg, now))
		return ERR_STATE;
	c->route = (struct route){ 0 };
	int rc = conn_route(c, now, &c->route);
	if (rc != 0)
		return rc;
	if (before.channel != c->route.channel || !ip_eq(&before.src, &c->route.src) ||
	    !endpoint_eq(&before.dst, &c->route.dst))
		c->node->lane.is_run_open = false;
	if (c->route.channel != 0)
		allocation_note_sent(c->node->relays[c->relay].alloc, now);
	conn_touch(c, now);
	conn_arm_soon(c, now);
	return 0;
}

int node_stage_open(struct node *n, u64 now, const struct uuid *id, u8 ecn, struct node_stage *st)
{
	struct conn *c = node_conn(n, id);

	n->now = now;
	if (!c)
		return ERR_NOT_FOUND;
	if (open_stage(c, now) != 0)
		return ERR_STATE;
	*st = (struct node_stage){ c, ecn };
	return 0;
}

u8 *node_stage_slot(struct node *n, struct node_stage *st, u32 len)
{
	int rc;
	u8 *slot = len <= TUNNEL_MTU ? take_slot(st->conn, n->now, len, st->ecn, &rc) : NULL;

	if (slot || len > TUNNEL_MTU || rc == ERR_LIMIT)
		return slot;
	n->stats.tx_dropped++; /* the session ended meanwhile: what is written here is lost */
	return n->lane.scratch;
}

int stage_copy(struct conn *c, u64 now, struct span packet, u8 ecn)
{
	int rc = open_stage(c, now);

	if (rc != 0)
		return rc;
	u8 *slot = take_slot(c, now, (u32)packet.n, ecn, &rc);
	if (!slot)
		return rc;
	memcpy(slot, packet.p, packet.n);
	return 0;
}

void node_flush(struct node *n, u64 now)
{
	struct lane *l = &n->lane;

	n->n_relay_tx = 0;
	n->now = now;
	if (l->n_tx_jobs > 0)
		aead_seal(l->tx_jobs, l->n_tx_jobs);
	l->n_tx_jobs = 0;
	l->n_sealed_runs = l->n_runs;
	l->is_run_open = false;
}

bool node_poll_transmit(struct node *n, struct udp_tx *out)
{
	struct lane *l = &n->lane;

	if (relays_poll_transmit(n, out)) {
		n->stats.tx_datagrams++;
		return true;
	}
	if (l->n_control > 0) {
		struct control *ctl = &l->control[l->control_head];
		u32 head = ctl->route.channel != 0 ? CHANNEL_OVERHEAD : 0;
		*out = (struct udp_tx){ .src = ctl->route.src,
					.dst = ctl->route.dst,
					.data = ctl->data + CHANNEL_OVERHEAD - head,
					.len = ctl->len + head };
		l->control_head = (l->control_head + 1) % NODE_CONTROL_MAX;
		if (--l->n_control == 0)
			l->control_head = 0; /* few pages stay warm */
		n->stats.tx_datagrams++;
		return true;
	}
	if (l->next_run < l->n_sealed_runs) {
		*out = l->runs[l->next_run++];
		n->stats.tx_datagrams += (out->len + out->seg - 1) / out->seg;
		return true;
	}
	return false;
}

/* --- packets that wait -------------------------------------------------------------------------------------------------------------------- */

/* ERR_LIMIT: full; the packet, or with is_oldest_dropped the oldest, is lost. */
int queue_push(struct packet_queue *q, u32 limit, bool is_oldest_dropped, struct span packet, u8 ecn)
{
	int rc = 0;

	if (!q->ring) {
		q->capacity = CONN_NO_SESSION_QUEUE;
		q->ring = calloc(q->capacity, sizeof(struct queued *));
		if (!q->ring)
			return ERR_NOMEM;
	}
	if (q->count >= limit) {
		rc = ERR_LIMIT;
		if (!is_oldest_dropped)
			return rc;
		queue_pop(q);
	}
	struct queued *p = malloc(sizeof(*p) + packet.n);
	if (!p)
		return ERR_NOMEM;
	p->len = (u16)packet.n;
	p->ecn = ecn;
	memcpy(p->data, packet.p, packet.n);
	q->ring[(q->head + q->count++) % q->capacity] = p;
	return rc;
}

struct queued *queue_peek(const struct packet_queue *q)
{
	return q->count > 0 ? q->ring[q->head] : NULL;
}

void queue_pop(struct packet_queue *q)
{
	if (q->count == 0)
		return;
	free(q->ring[q->head]);
	q->head = (q->head + 1) % q->capacity;
	if (--q->count == 0) {
		free(q->ring);
		*q = (struct packet_queue){ 0 };
	}
}

void queue_clear(struct packet_queue *q)
{
	while (q->count > 0)
		queue_pop(q);
	free(q->ring);
	*q = (struct packet_queue){ 0 };
}
