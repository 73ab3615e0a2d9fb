/* tests/unit/fake_node.h: a node that connects at once, encrypts nothing and writes down what was asked of it. Included by the one test
 * file that wants it; its definitions then take the place of core/peer.
 *
 * A "datagram" is 16 bytes whose first is the index of the connection, the inner packet, and 16 bytes of tag.
 */
#pragma once

#include "core/base/err.h"
#include "core/peer/node.h"

#include <stdlib.h>

#ifndef FAKE_CONNS
#define FAKE_CONNS 64
#endif
#ifndef FAKE_SENT
#define FAKE_SENT 1024 /* remembered */
#endif
#define FAKE_EVENTS 64
#define FAKE_DATAGRAM_MAX (16 + TUNNEL_MTU + 16)

struct fake_conn {
	bool is_used, is_connected;
	struct uuid id;
	struct node_peer peer;
	void *user;
	u32 n_candidates;
	struct node_conn_info info; /* path, bytes, round trip: as the test says */
};

struct fake_sent {
	struct uuid id;
	u32 len;
	u8 ecn;
	bool is_slow; /* through node_send() */
	u8 data[TUNNEL_MTU];
};

struct node {
	struct node_config cfg;
	bool has_relay, is_undecided, is_connecting; /* new connections stay without a path */
	u32 n_relays_added, n_relays_removed, n_upserts, n_closed, n_forgotten, n_resets, n_key;
	struct uuid last_closed;
	struct fake_conn conns[FAKE_CONNS];
	struct fake_sent sent[FAKE_SENT];
	u32 n_sent, stage_room;
	struct node_event events[FAKE_EVENTS];
	u32 n_events;
	char text[FAKE_EVENTS][4][CANDIDATE_STRLEN];
	struct inner inner[NODE_RX_PACKETS_MAX];
	size_t n_inner;
	u64 timeout_at;
	struct node_stats stats;
};

static struct node *fake; /* the one made last */

struct node *node_new(const struct node_config *cfg, u64 now)
{
	(void)now;
	fake = calloc(1, sizeof(*fake));
	fake->cfg = *cfg;
	fake->has_relay = true;
	fake->stage_room = FAKE_SENT;
	fake->timeout_at = TIME_NEVER;
	return fake;
}

void node_free(struct node *n)
{
	free(n);
}

void node_public_key(const struct node *n, u8 out[static 32])
{
	memset(out, (int)n->n_key, 32);
}

static struct fake_conn *fake_find(struct node *n, const struct uuid *id)
{
	for (unsigned i = 0; i < FAKE_CONNS; i++)
		if (n->conns[i].is_used && uuid_eq(&n->conns[i].id, id))
			return &n->conns[i];
	return NULL;
}

void node_update_relays(struct node *n, u64 now, const struct uuid *remove, size_t n_remove, const struct node_relay *add, size_t n_add)
{
	(void)now, (void)remove, (void)add;
	n->n_relays_added += (u32)n_add;
	n->n_relays_removed += (u32)n_remove;
}

bool node_has_relay(const struct node *n, bool *is_undecided)
{
	*is_undecided = n->is_undecided;
	return n->has_relay;
}

int node_upsert(struct node *n, u64 now, u64 wall, const struct uuid *id, const struct node_peer *peer, void *user)
{
	struct fake_conn *c = fake_find(n, id);
	(void)now, (void)wall;
	if (!c && !n->has_relay)
		return ERR_NO_RELAY;
	for (unsigned i = 0; i < FAKE_CONNS && !c; i++)
		if (!n->conns[i].is_used)
			c = &n->conns[i];
	if (!c)
		return ERR_LIMIT;
	n->n_upserts++;
	*c = (struct fake_conn){ .is_used = true, .is_connected = !n->is_connecting, .id = *id, .peer = *peer, .user = user };
	return 0;
}

void node_close(struct node *n, u64 now, const struct uuid *id)
{
	struct fake_conn *c = fake_find(n, id);
	(void)now;
	n->last_closed = *id;
	if (c)
		n->n_closed++, c->is_used = false;
}

void node_close_all(struct node *n, u64 now)
{
	for (unsigned i = 0; i < FAKE_CONNS; i++)
		if (n->conns[i].is_used)
			node_close(n, now, &n->conns[i].id);
}

void node_forget(struct node *n, const struct uuid *id)
{
	struct fake_conn *c = fake_find(n, id);
	if (c)
		n->n_forgotten++, c->is_used = false;
}

static inline void fake_event(struct node *n, enum node_event_type type, const struct uuid *id)
{
	n->events[n->n_events++] = (struct node_event){ .type = type, .id = *id };
}

static inline void fake_candidates(struct node *n, enum node_event_type type, const struct uuid *id, const char *text)
{
	memcpy(n->text[n->n_events][0], text, strlen(text) + 1);
	n->events[n->n_events] = (struct node_event){ .type = type, .id = *id, .candidates = n->text[n->n_events], .n_candidates = 1 };
	n->n_events++;
}

void node_reset(struct node *n, u64 now)
{
	(void)now;
	n->n_resets++;
	n->n_key++;
	n->has_relay = false;
	for (unsigned i = 0; i < FAKE_CONNS; i++)
		if (n->conns[i].is_used) {
			n->conns[i].is_used = false;
			fake_event(n, NODE_CONN_CLOSED, &n->conns[i].id);
		}
}

bool node_knows(const struct node *n, const struct uuid *id)
{
	return fake_find((struct node *)n, id) != NULL;
}

bool node_is_connected(const struct node *n, const struct uuid *id)
{
	const struct fake_conn *c = fake_find((struct node *)n, id);
	return c && c->is_connected;
}

int node_add_candidate(struct node *n, u64 now, const struct uuid *id, struct span text)
{
	struct fake_conn *c = fake_find(n, id);
	(void)now;
	if (!c)
		return ERR_NOT_FOUND;
	if (text.n < 10 || memcmp(text.p, "candidate:", 10) != 0)
		return ERR_MALFORMED;
	c->n_candidates++;
	return 0;
}

int node_remove_candidate(struct node *n, u64 now, const struct uuid *id, struct span text)
{
	struct fake_conn *c = fake_find(n, id);
	(void)now, (void)text;
	if (!c)
		return ERR_NOT_FOUND;
	c->n_candidates--;
	return 0;
}

void node_input(struct node *n, u64 now, u64 wall, struct udp_rx *rx, size_t n_rx)
{
	(void)now, (void)wall;
	n->n_inner = 0;
	for (size_t i = 0; i < n_rx; i++) {
		u32 step = rx[i].seg ? rx[i].seg : rx[i].len;
		for (u32 at = 0; at < rx[i].len; at += step) {
			u32 len = MIN(step, rx[i].len - at);
			struct fake_conn *c = len > 32 ? &n->conns[rx[i].data[at] % FAKE_CONNS] : NULL;
			if (!c || !c->is_used || n->n_inner == NODE_RX_PACKETS_MAX)
				continue;
			n->inner[n->n_inner++] = (struct inner){ .data = rx[i].data + at + 16, .len = len - 32, .outer_ecn = rx[i].ecn,
								 .id = &c->id, .user = c->user };
		}
	}
}

struct inner *node_inner(struct node *n, size_t *count)
{
	*count = n->n_inner;
	return n->inner;
}

int node_stage_open(struct node *n, u64 now, const struct uuid *id, u8 ecn, struct node_stage *st)
{
	struct fake_conn *c = fake_find(n, id);
	(void)now;
	if (!c)
		return ERR_NOT_FOUND;
	*st = (struct node_stage){ .conn = c, .ecn = ecn };
	return c->is_connected ? 0 : ERR_STATE;
}

static struct fake_sent *fake_send(struct node *n, const struct uuid *id, u32 len, u8 ecn, bool is_slow)
{
	struct fake_sent *s = &n->sent[n->n_sent++ % FAKE_SENT];
	*s = (struct fake_sent){ .id = *id, .len = len, .ecn = ecn, .is_slow = is_slow };
	return s;
}

u8 *node_stage_slot(struct node *n, struct node_stage *st, u32 len)
{
	const struct fake_conn *c = st->conn;
	if (n->stage_room == 0)
		return NULL;
	n->stage_room--;
	return fake_send(n, &c->id, len, st->ecn, false)->data;
}

void node_flush(struct node *n, u64 now)
{
	(void)now;
	n->stage_room = FAKE_SENT;
}

int node_send(struct node *n, u64 now, u64 wall, const struct uuid *id, struct span packet, u8 ecn)
{
	const struct fake_conn *c = fake_find(n, id);
	(void)now, (void)wall;
	if (!c)
		return ERR_NOT_FOUND;
	if (!c->is_connected && !c->peer.is_controlling)
		return ERR_STATE;
	memcpy(fake_send(n, id, (u32)packet.n, ecn, true)->data, packet.p, packet.n);
	return 0;
}

bool node_poll_transmit(struct node *n, struct udp_tx *out)
{
	(void)n, (void)out;
	return false;
}

void node_timeout(struct node *n, u64 now, u64 wall)
{
	(void)wall;
	if (now >= n->timeout_at)
		n->timeout_at = TIME_NEVER;
}

u64 node_next_timeout(const struct node *n)
{
	return n->timeout_at;
}

bool node_poll_event(struct node *n, struct node_event *out)
{
	if (n->n_events == 0)
		return false;
	*out = n->events[0];
	memmove(n->events, n->events + 1, (n->n_events - 1) * sizeof(n->events[0]));
	n->n_events--;
	return true;
}

const char *node_path_name(enum node_path path)
{
	(void)path;
	return "direct";
}

const struct node_stats *node_stats(const struct node *n)
{
	return &n->stats;
}

int node_conn_info(const struct node *n, const struct uuid *id, struct node_conn_info *out)
{
	const struct fake_conn *c = fake_find((struct node *)n, id);
	if (!c)
		return ERR_NOT_FOUND;
	*out = c->info;
	out->is_connected = c->is_connected;
	return 0;
}

/* An inner packet as if it came from the peer. */
static inline struct udp_rx fake_datagram(u8 *out, const struct uuid *from, const void *packet, u32 len)
{
	const struct fake_conn *c = fake_find(fake, from);
	memset(out, 0, len + 32);
	out[0] = (u8)(c ? c - fake->conns : FAKE_CONNS - 1);
	memcpy(out + 16, packet, len);
	return (struct udp_rx){ .data = out, .len = len + 32 };
}

static inline u32 fake_goodbye(u8 *out)
{
	const u8 goodbye[48] = { 0x60, 0, 0, 0, 0, 8, 0xff, [40] = 2 };
	memcpy(out, goodbye, sizeof(goodbye));
	return sizeof(goodbye);
}
