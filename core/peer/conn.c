/* One connection: its states, candidates, handshakes and signs of life (spec 20 §9). */
#define LOG_TARGET "peer::conn"
#include "core/peer/node_int.h"

#include <sodium.h>
#include <stdlib.h>

static const struct ice_timing *timing_of(const struct conn *c, bool is_idle)
{
	if (c->node->cfg.role == NODE_GATEWAY)
		return is_idle ? &ice_timing_server_idle : &ice_timing_server;
	return is_idle && !c->peer.is_client_to_client ? &ice_timing_client_idle : &ice_timing_client;
}

struct conn *conn_new(struct node *n, u64 now, const struct uuid *id, const struct node_peer *peer, void *user, u32 index,
		      int relay)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	*c = (struct conn){ .id = *id, .user = user, .node = n, .index = index, .peer = *peer, .relay = relay, .created = now,
			    .last_activity = now };
	c->ice = ice_new(&(struct ice_config){ .is_controlling = peer->is_controlling,
					       .local = peer->local,
					       .remote = peer->remote,
					       .txid_prefix = index,
					       .timing = timing_of(c, false),
					       .rng = n->cfg.rng },
			 now);
	if (c->ice && wg_init(&c->wg, &n->wg, now, index, peer->public_key, peer->preshared_key) == 0)
		return c;
	ice_free(c->ice);
	free(c);
	return NULL;
}

void conn_free(struct conn *c)
{
	if (!c)
		return;
	ice_free(c->ice);
	wg_deinit(&c->wg);
	queue_clear(&c->wg_buffer);
	queue_clear(&c->ip_queue);
	free(c->added.v);
	free(c->removed.v);
	sodium_memzero(&c->peer, sizeof(c->peer));
	free(c);
}

/* --- signalling ------------------------------------------------------------------------------------------------------------- */

static bool same_candidate(const struct candidate *a, const struct candidate *b)
{
	return a->kind == b->kind && endpoint_eq(&a->addr, &b->addr);
}

static bool signals_take(struct signals *s, const struct candidate *cand)
{
	for (u32 i = 0; i < s->n; i++)
		if (same_candidate(&s->v[i], cand)) {
			memmove(&s->v[i], &s->v[i + 1], (--s->n - i) * sizeof(*s->v));
			return true;
		}
	return false;
}

static void signals_put(struct signals *s, const struct candidate *cand)
{
	u32 i;

	if (!s->v)
		s->v = malloc(CONN_SIGNALS_MAX * sizeof(*s->v));
	(void)signals_take(s, cand);
	if (!s->v || s->n == CONN_SIGNALS_MAX)
		return;
	for (i = s->n++; i > 0 && s->v[i - 1].priority < cand->priority; i--)
		s->v[i] = s->v[i - 1];
	s->v[i] = *cand;
}

static void signal_added(struct conn *c, const struct candidate *cand)
{
	signals_put(&c->added, cand);
	node_tell(c, PENDING_ADDED);
}

static void signal_all(struct conn *c)
{
	struct candidate all[ICE_LOCAL_MAX];
	size_t count = ice_local_candidates(c->ice, all);

	for (size_t i = 0; i < count; i++)
		signal_added(c, &all[i]);
}

/* --- candidates ---------------------------------------------------------------------------------------------------------------- */

void conn_add_local(struct conn *c, u64 now, struct candidate cand)
{
	if (ice_add_local(c->ice, now, &cand) != 0)
		return;
	c->last_candidate_change = now;
	signal_added(c, &cand);
	conn_touch(c, now);
	conn_pump(c, now);
}

void conn_discard_relay(struct conn *c, u64 now, const struct endpoint *relayed)
{
	if (ice_discard_local(c->ice, now, CANDIDATE_RELAY, relayed) != 0)
		return;
	struct candidate cand = candidate_unranked(candidate_relay(relayed, 0));
	if (!signals_take(&c->added, &cand)) {
		signals_put(&c->removed, &cand);
		node_tell(c, PENDING_REMOVED);
	}
	c->last_candidate_change = now;
	conn_touch(c, now);
	conn_pump(c, now);
}

static void add_relayed(struct conn *c, u64 now)
{
	const struct allocation *alloc = c->relay != NO_RELAY ? c->node->relays[c->relay].alloc : NULL;
	const struct endpoint *active = alloc ? allocation_active(alloc) : NULL;

	for (u8 family = 6; alloc && family >= 4; family -= 2) {
		const struct endpoint *own = allocation_relayed(alloc, family);
		if (own)
			conn_add_local(c, now, candidate_relay(own, active ? active->ip.family : 0));
	}
}

/* Host and server-reflexive candidates of all relays, relay candidates of the selected one (spec 20 §5.2). */
void conn_seed(struct conn *c, u64 now)
{
	static const enum allocation_candidate_kind kinds[] = { ALLOCATION_HOST, ALLOCATION_SRFLX };

	for (unsigned k = 0; k < ARRAY_LEN(kinds); k++)
		for (u32 r = 0; r < NODE_RELAYS_MAX; r++) {
			struct allocation_event found[6];
			size_t count = 0;
			if (c->node->relays[r].is_used)
				count = allocation_candidates(c->node->relays[r].alloc, found);
			for (size_t i = 0; i < count; i++) {
				if (found[i].kind != kinds[k])
					continue;
				conn_add_local(c, now,
					       kinds[k] == ALLOCATION_HOST ?
						       candidate_host(&found[i].addr) :
						       candidate_srflx(&found[i].addr, &found[i].base));
			}
		}
	add_relayed(c, now);
}

static void prebind(struct conn *c, u64 now, const struct candidate *remote)
{
	if (remote->kind == CANDIDATE_HOST || c->relay == NO_RELAY)
		return;
	(void)allocation_bind(c->node->relays[c->relay].alloc, now, &remote->addr);
	c->node->are_relays_dirty = true;
}

void conn_set_relay(struct conn *c, u64 now, int relay)
{
	struct candidate remotes[ICE_REMOTE_MAX];

	c->relay = relay;
	conn_seed(c, now);
	size_t count = ice_remote_candidates(c->ice, remotes);
	for (size_t i = 0; i < count; i++)
		prebind(c, now, &remotes[i]);
}

static enum node_path path_of(const struct conn *c)
{
	bool is_own = relay_by_relayed(c->node, &c->socket.local) != NULL;
	bool is_peers = ice_is_remote_relay(c->ice, &c->socket.remote);

	if (is_own)
		return is_peers ? PATH_BOTH_RELAYS : PATH_OWN_RELAY;
	return is_peers ? PATH_PEER_RELAY : PATH_DIRECT;
}

int conn_add_remote(struct conn *c, u64 now, const struct candidate_text *t)
{
	if (!ice_wants(c->ice, t))
		return ERR_NOT_OURS;
	int rc = ice_add_remote(c->ice, now, &t->c);
	if (rc != 0)
		return rc;
	ice_add_optimistic(c->ice, now);
	prebind(c, now, &t->c);
	c->last_candidate_change = now;
	conn_touch(c, now);
	conn_pump(c, now);
	return 0;
}

int conn_remove_remote(struct conn *c, u64 now, const struct candidate_text *t)
{
	int rc = ice_remove_remote(c->ice, now, &t->c);

	c->last_candidate_change = now;
	conn_touch(c, now);
	conn_pump(c, now);
	return rc;
}

/* --- states ---------------------------------------------------------------------------------------------------------------------- */

void conn_touch(struct conn *c, u64 now)
{
	c->last_activity = now;
	if (c->state != CONN_IDLE)
		return;
	c->state = CONN_CONNECTED;
	ice_set_timing(c->ice, now, timing_of(c, false));
	heap_arm(&c->node->timers, &c->timer, now); /* checks are overdue now */
}

static void fail(struct conn *c, const char *reason)
{
	if (c->state == CONN_FAILED)
		return;
	log_info("connection failed", kv_uuid("peer", &c->id), kv_s("reason", reason));
	c->state = CONN_FAILED;
	c->node->stats.conns_failed++;
	node_tell(c, PENDING_FAILED);
	node_forget_conn(c->node, c);
}

/* Proactive handshakes of the controlling side (spec 20 §6.3 a, b). */
static void initiate_debounced(struct conn *c, u64 now)
{
	if (!c->peer.is_controlling || wg_is_handshaking(&c->wg))
		return;
	if (c->last_initiation != 0 && now < c->last_initiation + CONN_INITIATION_DEBOUNCE)
		return;
	if (wg_initiate(&c->wg, now, node_wall(c->node)) == 0)
		c->last_initiation = now;
}

static void tell_established(struct conn *c)
{
	if (!c->is_handshaken || !c->has_socket || c->is_established_told)
		return;
	c->is_established_told = true;
	node_tell(c, PENDING_ESTABLISHED);
}

static void on_nominated(struct conn *c, u64 now, const struct ice_path *path)
{
	struct queued *q;

	c->socket = *path;
	c->has_socket = true;
	c->path = path_of(c);
	c->unanswered_since = 0;
	node_tell(c, PENDING_PATH);
	log_debug("path is nominated", kv_uuid("peer", &c->id), kv_ep("local", &path->local), kv_ep("remote", &path->remote));
	if (c->state == CONN_CONNECTING) {
		c->state = CONN_CONNECTED;
		c->last_activity = now;
		while ((q = queue_peek(&c->wg_buffer)) != NULL) {
			conn_send_message(c, now, q->data, q->len);
			queue_pop(&c->wg_buffer);
		}
		tell_established(c);
	}
	initiate_debounced(c, now);
	if (queue_peek(&c->ip_queue) && !wg_can_send(&c->wg, now) && !wg_is_handshaking(&c->wg))
		(void)wg_initiate(&c->wg, now, node_wall(c->node));
}

static void pump_ice(struct conn *c, u64 now)
{
	struct ice_transmit t;
	struct ice_path path;

	while (ice_poll_transmit(c->ice, &t))
		control_send_from(c->node, now, &t.local, &t.remote, t.data, t.len);
	if (!ice_selected(c->ice, &path))
		return;
	if (!c->has_socket || !endpoint_eq(&path.local, &c->socket.local) || !endpoint_eq(&path.remote, &c->socket.remote))
		on_nominated(c, now, &path);
}

/* Seals what waited for a session. What finds no room stays. */
static void flush_queue(struct conn *c, u64 now)
{
	struct queued *q;

	while ((q = queue_peek(&c->ip_queue)) != NULL) {
		int rc = stage_copy(c, now, SPAN(q->data, q->len), q->ecn);
		if (rc == ERR_LIMIT || rc == ERR_STATE)
			break;
		if (rc != 0)
			c->node->stats.tx_dropped++;
		queue_pop(&c->ip_queue);
	}
	node_flush(c->node, now);
}

static void pump_wg(struct conn *c, u64 now)
{
	u8 msg[WG_INITIATION_LEN];
	bool is_sendable = queue_peek(&c->ip_queue) != NULL && c->has_socket;
	size_t len;

	for (enum wg_event e; (e = wg_poll_event(&c->wg)) != WG_EVENT_NONE;) {
		switch (e) {
		case WG_EVENT_NONE:
			break;
		case WG_EVENT_ESTABLISHED:
			c->is_handshaken = true;
			break;
		case WG_EVENT_SENDABLE:
			is_sendable = true;
			break;
		case WG_EVENT_EXPIRED:
			fail(c, "WireGuard handshake expired");
			return;
		}
	}
	while ((len = wg_poll_transmit(&c->wg, msg)) > 0)
		conn_send_message(c, now, msg, len);
	tell_established(c);
	if (is_sendable)
		flush_queue(c, now);
}

void conn_pump(struct conn *c, u64 now)
{
	if (c->is_gone)
		return;
	pump_ice(c, now);
	pump_wg(c, now);
	if (c->is_gone)
		return;
	bool is_disconnected = ice_state(c->ice) == ICE_DISCONNECTED;
	if (!is_disconnected)
		c->disconnected_since = 0;
	else if (c->disconnected_since == 0)
		c->disconnected_since = now;
	conn_arm(c, now);
}

/* --- time ---------------------------------------------------------------------------------------------------------------------------- */

static bool may_idle(const struct conn *c)
{
	return c->state == CONN_CONNECTED && c->relay != NO_RELAY && c->probe_since == 0 && ice_state(c->ice) == ICE_CONNECTED;
}

void conn_arm(struct conn *c, u64 now)
{
	u64 at = ice_next_timeout(c->ice);

	if (c->has_socket)
		at = time_min(at, wg_next_timeout(&c->wg));
	if (!ice_has_remote(c->ice))
		at = time_min(at, c->created + CONN_CANDIDATE_TIMEOUT);
	if (c->disconnected_since != 0)
		at = time_min(at, c->disconnected_since + CONN_DISCONNECT_GRACE);
	if (may_idle(c))
		at = time_min(at, c->last_activity + CONN_IDLE_AFTER);
	if (c->probe_since != 0)
		at = time_min(at, c->probe_since + ICE_PROBE_TIME);
	if (c->unanswered_since != 0 && c->peer.is_controlling && c->probe_since == 0)
		at = time_min(at, c->unanswered_since + LIVENESS_SILENCE);
	heap_arm(&c->node->timers, &c->timer, MAX(at, now));
}

/* Our relay lives, what goes through it does not: perhaps it was restarted and forgot us. */
static void ask_own_relay(struct conn *c, u64 now)
{
	bool is_relayed = c->path == PATH_OWN_RELAY || c->path == PATH_BOTH_RELAYS;

	if (!is_relayed || c->relay == NO_RELAY || c->is_relay_asked)
		return;
	c->is_relay_asked = true;
	allocation_refresh(c->node->relays[c->relay].alloc, now);
	c->node->are_relays_dirty = true;
}

/* A peer that was killed says nothing and its relay neither. When our data stays unanswered all pairs are asked at once; silence on all
 * of them is the end, provided that our own uplink lives: a relay or another peer answered meanwhile. */
static void watch_life(struct conn *c, u64 now)
{
	struct node *n = c->node;

	if (!c->peer.is_controlling || !c->has_socket)
		return;
	if (c->probe_since != 0) {
		bool is_heard = c->last_heard >= c->probe_since, is_uplink_heard = n->uplink_heard >= c->probe_since;
		relays_ask_uplink(n, now);
		if (!is_heard && is_uplink_heard && now >= c->probe_since + LIVENESS_ASK_RELAY)
			ask_own_relay(c, now);
		if (now < c->probe_since + ICE_PROBE_TIME)
			return;
		bool is_in_flux = c->last_candidate_change + LIVENESS_FLUX > now;
		if (!is_heard && is_uplink_heard && !is_in_flux) {
			fail(c, "peer is silent");
			return;
		}
		c->probe_since = 0;
		if (is_heard)
			c->unanswered_since = 0;
	}
	if (c->unanswered_since == 0 || now < c->unanswered_since + LIVENESS_SILENCE)
		return;
	c->probe_since = now;
	c->is_relay_asked = false;
	ice_probe(c->ice, now);
	relays_ask_uplink(n, now);
}

static void enter_idle(struct conn *c, u64 now)
{
	c->state = CONN_IDLE;
	ice_set_timing(c->ice, now, timing_of(c, true));
}

void conn_timeout(struct conn *c, u64 now)
{
	ice_timeout(c->ice, now);
	if (c->has_socket)
		wg_timeout(&c->wg, now, node_wall(c->node));
	conn_pump(c, now);
	if (c->is_gone)
		return;
	if (!ice_has_remote(c->ice) && now >= c->created + CONN_CANDIDATE_TIMEOUT)
		fail(c, "no candidates arrived");
	else if (c->disconnected_since != 0 && now >= c->disconnected_since + CONN_DISCONNECT_GRACE)
		fail(c, "ICE timeout");
	else
		watch_life(c, now);
	if (c->is_gone)
		return;
	if (may_idle(c) && now >= c->last_activity + CONN_IDLE_AFTER)
		enter_idle(c, now);
	conn_pump(c, now);
}

/* --- calls of the owner ---------------------------------------------------------------------------------------------------------------- */

void conn_reuse(struct conn *c, u64 now)
{
	conn_touch(c, now);
	conn_seed(c, now);
	signal_all(c);
	if (c->has_socket)
		initiate_debounced(c, now);
	conn_pump(c, now);
}

int conn_send(struct conn *c, u64 now, struct span packet, u8 ecn)
{
	if (packet.n == 0 || packet.n > TUNNEL_MTU)
		return ERR_INVAL;
	if (!c->has_socket) {
		if (!c->peer.is_controlling)
			return ERR_STATE; /* spec 20 §6.3 */
		return queue_push(&c->ip_queue, CONN_IP_BUFFER, true, packet, ecn);
	}
	conn_touch(c, now);
	if (wg_can_send(&c->wg, now) && !queue_peek(&c->ip_queue)) {
		int rc = stage_copy(c, now, packet, ecn);
		if (rc == ERR_NO_ROUTE)
			c->node->stats.tx_dropped++;
		return rc == ERR_LIMIT ? queue_push(&c->ip_queue, CONN_NO_SESSION_QUEUE, false, packet, ecn) :
		       rc == ERR_NO_ROUTE ? 0 : rc;
	}
	int rc = queue_push(&c->ip_queue, CONN_NO_SESSION_QUEUE, false, packet, ecn);
	if (!wg_can_send(&c->wg, now) && !wg_is_handshaking(&c->wg))
		(void)wg_initiate(&c->wg, now, node_wall(c->node));
	conn_pump(c, now);
	return rc;
}

/* Spec 20 §9.6: an IPv6 packet that says nothing but farewell. */
void conn_goodbye(struct conn *c, u64 now)
{
	static const u8 goodbye[48] = { [0] = 0x60, [5] = 8, [6] = 0xFF, [40] = 2 };

	if (c->has_socket)
		(void)stage_copy(c, now, SPAN(goodbye, sizeof(goodbye)), ECN_NOT_ECT);
	node_flush(c->node, now);
}

bool conn_is_on_path(const struct conn *c, const struct endpoint *local, const struct endpoint *remote)
{
	return c->has_socket && endpoint_eq(&c->socket.local, local) && endpoint_eq(&c->socket.remote, remote);
}
