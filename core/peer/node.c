/* The node as its owner sees it: control calls, lookups, timers and events. */
#define LOG_TARGET "peer::node"
#include "core/peer/node_int.h"

#include <sodium.h>
#include <stdlib.h>

#define SLOT_MASK (NODE_CONNS_MAX - 1u)
#define GENERATION_MASK ((1u << (24u - CONN_SLOT_BITS)) - 1u)

struct node *node_new(const struct node_config *cfg, u64 now)
{
	struct node *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->cfg = *cfg;
	n->now = now;
	table_init(&n->by_id, sizeof(struct uuid), NODE_CONNS_MAX, cfg->rng);
	table_init(&n->by_key, 32, NODE_CONNS_MAX, cfg->rng);
	table_init(&n->by_ufrags, sizeof(struct ufrag_key), NODE_CONNS_MAX, cfg->rng);
	heap_init(&n->timers, NODE_CONNS_MAX);
	wg_local_init(&n->wg, cfg->rng, NULL, now);
	n->slots = calloc(NODE_CONNS_MAX, sizeof(struct conn *));
	n->generations = calloc(NODE_CONNS_MAX, sizeof(*n->generations));
	n->texts = malloc(CONN_SIGNALS_MAX * sizeof(*n->texts));
	n->relay_tx = malloc(RELAY_TX_MAX * sizeof(*n->relay_tx));
	if (lane_init(&n->lane) == 0 && n->slots && n->generations && n->texts && n->relay_tx)
		return n;
	node_free(n);
	return NULL;
}

void node_free(struct node *n)
{
	if (!n)
		return;
	for (u32 i = 0; i < n->n_slots_used; i++)
		if (n->slots[i])
			node_forget_conn(n, n->slots[i]);
	while (n->events_head) {
		n->events_head->is_listed = false;
		n->events_head = n->events_head->next_event;
	}
	node_release_gone(n);
	relays_drop_all(n);
	table_deinit(&n->by_id);
	table_deinit(&n->by_key);
	table_deinit(&n->by_ufrags);
	heap_deinit(&n->timers);
	wg_local_deinit(&n->wg);
	lane_deinit(&n->lane);
	free(n->slots);
	free(n->generations);
	free(n->texts);
	free(n->relay_tx);
	free(n);
}

void node_public_key(const struct node *n, u8 out[static 32])
{
	memcpy(out, n->wg.pub, 32);
}

u64 node_wall(const struct node *n)
{
	return n->now + n->wall_offset;
}

static void set_time(struct node *n, u64 now, u64 wall)
{
	n->now = now;
	n->wall_offset = wall - now;
}

/* --- lookups ---------------------------------------------------------------------------------------------------------------------- */

static struct ufrag_key ufrag_key(const struct node_peer *peer)
{
	struct ufrag_key k = { { 0 }, { 0 } };

	memcpy(k.local, peer->local.ufrag, strnlen(peer->local.ufrag, sizeof(k.local)));
	memcpy(k.remote, peer->remote.ufrag, strnlen(peer->remote.ufrag, sizeof(k.remote)));
	return k;
}

struct conn *node_conn(const struct node *n, const struct uuid *id)
{
	return table_get(&n->by_id, id);
}

struct conn *node_conn_by_index(const struct node *n, u32 index)
{
	u32 slot = index & SLOT_MASK;
	struct conn *c = slot < n->n_slots_used ? n->slots[slot] : NULL;

	return c && c->index == index ? c : NULL;
}

static u32 free_slot(const struct node *n)
{
	u32 slot = 0;

	while (slot < n->n_slots_used && n->slots[slot])
		slot++;
	return slot;
}

/* A key may be shared by two connections for a moment; the younger one holds the entry, and leaves it to the elder when it goes. */
static void unindex(struct node *n, struct table *t, const void *key, const struct conn *c, bool by_ufrags)
{
	if (table_get(t, key) != c)
		return;
	table_del(t, key);
	for (u32 i = 0; i < n->n_slots_used; i++) {
		struct conn *other = n->slots[i];
		if (!other || other == c)
			continue;
		struct ufrag_key k = ufrag_key(&other->peer);
		if (memcmp(key, by_ufrags ? (const void *)&k : other->peer.public_key, t->key_size) == 0 &&
		    table_put(t, key, other) == 0)
			return;
	}
}

void node_forget_conn(struct node *n, struct conn *c)
{
	struct ufrag_key k = ufrag_key(&c->peer);

	if (c->is_gone)
		return;
	unindex(n, &n->by_ufrags, &k, c, true);
	unindex(n, &n->by_key, c->peer.public_key, c, false);
	if (node_conn(n, &c->id) == c)
		table_del(&n->by_id, &c->id);
	heap_disarm(&n->timers, &c->timer);
	n->slots[c->index & SLOT_MASK] = NULL;
	n->n_conns--;
	n->stats.conns = n->n_conns;
	c->is_gone = true;
	c->next_gone = n->gone;
	n->gone = c;
}

void node_release_gone(struct node *n)
{
	struct conn **link = &n->gone;

	if (n->lane.n_tx_jobs > 0 && n->gone)
		node_flush(n, n->now); /* staged packets borrow the sessions' keys */
	while (*link) {
		struct conn *c = *link;
		if (c->is_listed) {
			link = &c->next_gone;
			continue;
		}
		*link = c->next_gone;
		conn_free(c);
	}
}

static int index_conn(struct node *n, struct conn *c)
{
	struct ufrag_key k = ufrag_key(&c->peer);
	u32 slot = c->index & SLOT_MASK;

	if (heap_reserve(&n->timers, n->n_conns + 1) != 0 || table_reserve(&n->by_id, n->n_conns + 1) != 0 ||
	    table_reserve(&n->by_key, n->n_conns + 1) != 0 || table_reserve(&n->by_ufrags, n->n_conns + 1) != 0)
		return ERR_NOMEM;
	int rc = table_put(&n->by_id, &c->id, c);
	rc = rc != 0 ? rc : table_put(&n->by_key, c->peer.public_key, c);
	rc = rc != 0 ? rc : table_put(&n->by_ufrags, &k, c);
	if (rc != 0)
		return rc;
	n->slots[slot] = c;
	n->n_slots_used = MAX(n->n_slots_used, slot + 1);
	n->generations[slot] = (u16)((n->generations[slot] + 1u) & GENERATION_MASK);
	n->stats.conns = ++n->n_conns;
	return 0;
}

/* --- control calls -------------------------------------------------------------------------------------------------------------------- */

static bool same_credentials(const struct ice_credentials *a, const struct ice_credentials *b)
{
	return strncmp(a->ufrag, b->ufrag, sizeof(a->ufrag)) == 0 && strncmp(a->pwd, b->pwd, sizeof(a->pwd)) == 0;
}

static bool same_peer(const struct node_peer *a, const struct node_peer *b)
{
	return sodium_memcmp(a->public_key, b->public_key, 32) == 0 &&
	       sodium_memcmp(a->preshared_key, b->preshared_key, 32) == 0 && a->is_controlling == b->is_controlling &&
	       same_credentials(&a->local, &b->local) && same_credentials(&a->remote, &b->remote);
}

/* A text without its NUL, or none at all, would run on. */
static bool is_text(const char *s, size_t size)
{
	size_t len = strnlen(s, size);
	return len > 0 && len < size;
}

int node_upsert(struct node *n, u64 now, u64 wall, const struct uuid *id, const struct node_peer *peer, void *user)
{
	struct conn *old = node_conn(n, id);

	set_time(n, now, wall);
	if (!is_text(peer->local.ufrag, sizeof(peer->local.ufrag)) || !is_text(peer->remote.ufrag, sizeof(peer->remote.ufrag)) ||
	    !is_text(peer->local.pwd, sizeof(peer->local.pwd)) || !is_text(peer->remote.pwd, sizeof(peer->remote.pwd)))
		return ERR_INVAL;
	if (old && same_peer(&old->peer, peer)) {
		old->user = user;
		conn_reuse(old, now);
		return 0;
	}
	int relay = relay_sample(n);
	if (relay == NO_RELAY)
		return ERR_NO_RELAY;
	u32 slot = free_slot(n);
	if (slot >= NODE_CONNS_MAX)
		return ERR_LIMIT;
	u32 index = (u32)n->generations[slot] << CONN_SLOT_BITS | slot;
	struct conn *c = conn_new(n, now, id, peer, user, index, relay);
	if (!c)
		return ERR_NOMEM;
	if (old) {
		old->pending = 0;
		node_forget_conn(n, old);
	}
	int rc = index_conn(n, c);
	if (rc != 0) {
		conn_free(c);
		return rc;
	}
	conn_arm(c, now);
	conn_seed(c, now);
	conn_pump(c, now);
	return 0;
}

void node_close(struct node *n, u64 now, const struct uuid *id)
{
	struct conn *c = node_conn(n, id);

	n->now = now;
	if (!c)
		return;
	conn_goodbye(c, now);
	c->pending = 0;
	node_forget_conn(n, c);
}

void node_close_all(struct node *n, u64 now)
{
	for (u32 i = 0; i < n->n_slots_used; i++)
		if (n->slots[i]) {
			struct uuid id = n->slots[i]->id;
			node_close(n, now, &id);
		}
}

void node_forget(struct node *n, const struct uuid *id)
{
	struct conn *c = node_conn(n, id);

	if (!c)
		return;
	c->pending = 0;
	node_forget_conn(n, c);
}

void node_reset(struct node *n, u64 now)
{
	n->now = now;
	for (u32 i = 0; i < n->n_slots_used; i++) {
		struct conn *c = n->slots[i];
		if (!c)
			continue;
		c->pending = 0;
		node_tell(c, PENDING_CLOSED);
		node_forget_conn(n, c);
	}
	node_flush(n, now);
	lane_drop_output(&n->lane);
	relays_drop_all(n);
	n->uplink_asked = n->uplink_heard = 0;
	wg_local_deinit(&n->wg);
	wg_local_init(&n->wg, n->cfg.rng, NULL, now);
}

bool node_knows(const struct node *n, const struct uuid *id)
{
	return node_conn(n, id) != NULL;
}

bool node_is_connected(const struct node *n, const struct uuid *id)
{
	const struct conn *c = node_conn(n, id);
	return c && c->has_socket;
}

static int on_candidate(struct node *n, u64 now, const struct uuid *id, struct span text,
			int (*act)(struct conn *, u64, const struct candidate_text *))
{
	struct conn *c = node_conn(n, id);
	struct candidate_text t;

	n->now = now;
	if (!c)
		return ERR_NOT_FOUND;
	int rc = candidate_parse(text, &t);
	return rc == 0 ? act(c, now, &t) : rc;
}

int node_add_candidate(struct node *n, u64 now, const struct uuid *id, struct span text)
{
	return on_candidate(n, now, id, text, conn_add_remote);
}

int node_remove_candidate(struct node *n, u64 now, const struct uuid *id, struct span text)
{
	return on_candidate(n, now, id, text, conn_remove_remote);
}

int node_send(struct node *n, u64 now, u64 wall, const struct uuid *id, struct span packet, u8 ecn)
{
	struct conn *c = node_conn(n, id);

	set_time(n, now, wall);
	return c ? conn_send(c, now, packet, ecn) : ERR_NOT_FOUND;
}

/* --- time ------------------------------------------------------------------------------------------------------------------------------ */

void node_timeout(struct node *n, u64 now, u64 wall)
{
	struct heap_node *due;
	u32 budget = n->n_conns + 1; /* whoever is due again at once waits for the next call */

	n->n_relay_tx = 0;
	set_time(n, now, wall);
	if (n->lane.n_tx_jobs > 0)
		node_flush(n, now);
	relays_timeout(n, now);
	while (budget-- > 0 && control_has_room(&n->lane) && (due = heap_pop_due(&n->timers, now)) != NULL)
		conn_timeout(container_of(due, struct conn, timer), now);
	node_release_gone(n);
	node_note_handshakes(n);
}

u64 node_next_timeout(const struct node *n)
{
	if (lane_has_output(&n->lane) || n->are_relays_dirty || n->events_head || n->is_no_relays_pending)
		return n->now;
	return time_min(heap_next(&n->timers), relays_next_timeout(n));
}

/* --- events ------------------------------------------------------------------------------------------------------------------------------ */

void node_tell(struct conn *c, unsigned pending)
{
	struct node *n = c->node;

	c->pending |= pending;
	if (c->is_listed)
		return;
	c->is_listed = true;
	c->next_event = NULL;
	if (n->events_head)
		n->events_tail->next_event = c;
	else
		n->events_head = c;
	n->events_tail = c;
}

static void tell_candidates(struct conn *c, struct signals *s, bool is_added, struct node_event *out)
{
	struct node *n = c->node;

	for (u32 i = 0; i < s->n; i++)
		candidate_format(&s->v[i], is_added ? c->peer.local.ufrag : NULL, n->texts[i]);
	out->type = is_added ? NODE_CANDIDATES_ADDED : NODE_CANDIDATES_REMOVED;
	out->candidates = (const char (*)[CANDIDATE_STRLEN])n->texts;
	out->n_candidates = s->n;
	free(s->v);
	*s = (struct signals){ 0 };
}

/* One of the things that are pending for a connection; false when none is. */
static bool tell_one(struct conn *c, struct node_event *out)
{
	*out = (struct node_event){ .id = c->id, .user = c->user };
	if (c->pending & (PENDING_FAILED | PENDING_CLOSED)) {
		out->type = c->pending & PENDING_FAILED ? NODE_CONN_FAILED : NODE_CONN_CLOSED;
		out->rx_bytes = c->rx_bytes;
		out->tx_bytes = c->tx_bytes;
		c->pending = 0;
		return true;
	}
	if (c->pending & PENDING_REMOVED) {
		c->pending &= ~(unsigned)PENDING_REMOVED;
		tell_candidates(c, &c->removed, false, out);
		return true;
	}
	if (c->pending & PENDING_ADDED) {
		c->pending &= ~(unsigned)PENDING_ADDED;
		if (c->added.n > 0) { /* they may have been withdrawn meanwhile */
			tell_candidates(c, &c->added, true, out);
			return true;
		}
	}
	if (c->pending & PENDING_PATH) {
		c->pending &= ~(unsigned)PENDING_PATH;
		out->type = NODE_PATH_CHANGED;
		out->path = c->path;
		out->local = c->socket.local;
		out->remote = c->socket.remote;
		return true;
	}
	if (c->pending & PENDING_ESTABLISHED) {
		c->pending &= ~(unsigned)PENDING_ESTABLISHED;
		out->type = NODE_CONN_ESTABLISHED;
		return true;
	}
	return false;
}

bool node_poll_event(struct node *n, struct node_event *out)
{
	if (n->is_no_relays_pending) {
		n->is_no_relays_pending = false;
		*out = (struct node_event){ .type = NODE_NO_RELAYS };
		return true;
	}
	while (n->events_head) {
		struct conn *c = n->events_head;
		bool is_told = tell_one(c, out);
		if (c->pending == 0) {
			n->events_head = c->next_event;
			c->is_listed = false;
		}
		if (is_told)
			return true;
	}
	return false;
}

/* --- status -------------------------------------------------------------------------------------------------------------------------------- */

void node_note_handshakes(struct node *n)
{
	n->stats.handshakes_in = n->wg.stats.initiations_in + n->wg.stats.responses_in;
	n->stats.handshakes_out = n->wg.stats.initiations_out + n->wg.stats.responses_out;
	n->stats.cookies_sent = n->wg.stats.cookies_out;
}

const struct node_stats *node_stats(const struct node *n)
{
	return &n->stats;
}

int node_conn_info(const struct node *n, const struct uuid *id, struct node_conn_info *out)
{
	const struct conn *c = node_conn(n, id);

	if (!c)
		return ERR_NOT_FOUND;
	*out = (struct node_conn_info){ .is_connected = c->has_socket,
					.path = c->path,
					.local = c->socket.local,
					.remote = c->socket.remote,
					.rx_bytes = c->rx_bytes,
					.tx_bytes = c->tx_bytes,
					.last_handshake = c->wg.last_handshake };
	out->has_rtt = ice_rtt(c->ice, &out->rtt);
	return 0;
}

const char *node_path_name(enum node_path path)
{
	switch (path) {
	case PATH_DIRECT: return "direct";
	case PATH_PEER_RELAY: return "relayed by the peer's relay";
	case PATH_OWN_RELAY: return "relayed by our relay";
	case PATH_BOTH_RELAYS: return "relayed by both relays";
	}
	return "unknown";
}
