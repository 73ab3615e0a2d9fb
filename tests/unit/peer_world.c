#include "tests/unit/peer_world.h"

#include "core/base/cursor.h"
#include "core/base/err.h"
#include "core/crypto/aead.h"
#include "core/stun/channel.h"
#include "core/stun/stun.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define WALL_OFFSET SEC(1700000000)
#define REALM SPAN_STR("firezone")
#define NONCE SPAN_STR("a-nonce")
#define LATENCY_US 2000u

struct endpoint pw_ep(const char *s)
{
	struct endpoint e = { 0 };
	if (endpoint_parse(SPAN(s, strlen(s)), &e) != 0)
		abort();
	return e;
}

static struct ip parse_ip(const char *s)
{
	struct ip ip;
	if (ip_parse(SPAN(s, strlen(s)), &ip) != 0)
		abort();
	return ip;
}

struct pw *pw_new(u64 seed)
{
	struct pw *w = calloc(1, sizeof(*w));

	if (!w || aead_init() != 0)
		abort();
	rng_seeded_init(&w->rng, seed);
	w->now = SEC(5000);
	return w;
}

void pw_free(struct pw *w)
{
	for (unsigned i = 0; i < w->n_hosts; i++)
		node_free(w->host[i].node);
	for (unsigned i = 0; i < w->n_queue; i++)
		free(w->queue[i].data);
	free(w);
}

struct pw_host *pw_host(struct pw *w, enum node_role role, const char *v4, enum pw_nat nat, const char *public_ip)
{
	struct pw_host *h = &w->host[w->n_hosts];

	*h = (struct pw_host){ .w = w, .index = w->n_hosts++, .role = role, .nat = nat, .latency_us = LATENCY_US,
			       .next_port = 40000 };
	h->id.b[15] = (u8)(h->index + 1);
	h->v4 = pw_ep(v4);
	h->public_ip = public_ip ? parse_ip(public_ip) : h->v4.ip;
	h->node = node_new(&(struct node_config){ .role = role, .rng = &w->rng.rng }, w->now);
	return h;
}

struct pw_relay *pw_relay(struct pw *w, const char *v4, const char *v6)
{
	struct pw_relay *r = &w->relay[w->n_relays];

	*r = (struct pw_relay){ .latency_us = LATENCY_US, .next_port = 50000 };
	r->id.b[0] = 0xEE;
	r->id.b[15] = (u8)(++w->n_relays);
	r->v4 = (struct endpoint){ parse_ip(v4), 3478 };
	if (v6)
		r->v6 = (struct endpoint){ parse_ip(v6), 3478 };
	return r;
}

struct node_relay pw_relay_info(const struct pw_relay *r)
{
	struct node_relay info = { .id = r->id, .v4 = r->v4, .v6 = r->v6, .username = "user", .password = "secret" };
	return info;
}

void pw_join(struct pw *w, struct pw_host *h)
{
	struct node_relay infos[PW_RELAYS];

	for (unsigned i = 0; i < w->n_relays; i++) {
		infos[i] = pw_relay_info(&w->relay[i]);
		snprintf(infos[i].username, sizeof(infos[i].username), "user%u", h->index);
	}
	node_update_relays(h->node, w->now, NULL, 0, infos, w->n_relays);
	pw_collect(w, h);
}

struct node_peer pw_peer(struct pw *w, const struct pw_host *self, const struct pw_host *other, bool is_controlling)
{
	struct node_peer p = { .is_controlling = is_controlling };
	const struct pw_host *initiator = is_controlling ? self : other, *receiver = is_controlling ? other : self;

	(void)w;
	node_public_key(other->node, p.public_key);
	memset(p.preshared_key, 7 + initiator->psk_salt + receiver->psk_salt, sizeof(p.preshared_key));
	struct ice_credentials i, r;
	snprintf(i.ufrag, sizeof(i.ufrag), "i%u%u", initiator->index, receiver->index);
	snprintf(r.ufrag, sizeof(r.ufrag), "r%u%u", initiator->index, receiver->index);
	snprintf(i.pwd, sizeof(i.pwd), "initiator-password-%u", initiator->index);
	snprintf(r.pwd, sizeof(r.pwd), "receiver-password-%u", receiver->index);
	p.local = is_controlling ? i : r;
	p.remote = is_controlling ? r : i;
	return p;
}

int pw_upsert(struct pw *w, struct pw_host *self, struct pw_host *other, bool is_controlling)
{
	struct node_peer p = pw_peer(w, self, other, is_controlling);

	return node_upsert(self->node, w->now, w->now + WALL_OFFSET, &other->id, &p, other);
}

void pw_authorize(struct pw *w, struct pw_host *initiator, struct pw_host *receiver)
{
	if (pw_upsert(w, receiver, initiator, false) == 0)
		(void)pw_upsert(w, initiator, receiver, true);
	pw_collect(w, receiver);
	pw_collect(w, initiator);
}

/* --- the network ---------------------------------------------------------------------------------------------------------------- */

static void post(struct pw *w, const struct endpoint *src, const struct endpoint *dst, const u8 *data, u32 len, u16 seg, u8 ecn,
		 u32 latency_us)
{
	if (w->n_queue == PW_QUEUE || rng_below(&w->rng.rng, 100) < w->loss_percent ||
	    (w->drop && w->drop(w, src, dst, data, len))) {
		w->dropped++;
		return;
	}
	u64 jitter = w->jitter_us ? rng_below(&w->rng.rng, w->jitter_us) : 0;
	struct pw_datagram *d = &w->queue[w->n_queue++];
	*d = (struct pw_datagram){ w->now + USEC(latency_us + jitter), w->order++, *src, *dst, malloc(len ? len : 1), len, seg, ecn };
	memcpy(d->data, data, len);
}

static struct pw_mapping *map_out(struct pw_host *h, const struct endpoint *inside, const struct endpoint *remote)
{
	struct pw_mapping *m = NULL;

	for (unsigned i = 0; i < h->n_mappings && !m; i++)
		if (endpoint_eq(&h->mapping[i].inside, inside) &&
		    (h->nat == PW_NAT_CONE || endpoint_eq(&h->mapping[i].remote, remote)))
			m = &h->mapping[i];
	if (!m) {
		if (h->n_mappings == PW_MAPPINGS)
			abort();
		m = &h->mapping[h->n_mappings++];
		*m = (struct pw_mapping){ .inside = *inside, .remote = *remote, .port = h->next_port++ };
	}
	for (unsigned i = 0; i < MIN(m->n_seen, 16u); i++)
		if (endpoint_eq(&m->seen[i], remote))
			return m;
	m->seen[m->n_seen++ % 16] = *remote;
	return m;
}

static void send_from_host(struct pw_host *h, const struct udp_tx *tx)
{
	struct endpoint src = tx->dst.ip.family == 6 ? h->v6 : h->v4;

	h->tx_runs++;
	h->tx_datagrams += tx->seg == 0 || tx->seg >= tx->len ? 1 : (tx->len + tx->seg - 1) / tx->seg;
	h->max_run = MAX(h->max_run, (u64)tx->len);
	if (h->is_dead || src.ip.family == 0 || (tx->src.family != 0 && !ip_eq(&tx->src, &src.ip)))
		return;
	if (h->nat != PW_NAT_NONE && src.ip.family == 4) {
		struct pw_mapping *m = map_out(h, &src, &tx->dst);
		src = (struct endpoint){ h->public_ip, m->port };
	}
	post(h->w, &src, &tx->dst, tx->data, tx->len, tx->seg, tx->ecn, h->latency_us);
}

static bool enter_host(struct pw_host *h, const struct endpoint *src, const struct endpoint *dst, struct endpoint *local)
{
	if (endpoint_eq(dst, &h->v6) || (h->nat == PW_NAT_NONE && endpoint_eq(dst, &h->v4))) {
		*local = *dst;
		return true;
	}
	if (h->nat == PW_NAT_NONE || !ip_eq(&dst->ip, &h->public_ip))
		return false;
	for (unsigned i = 0; i < h->n_mappings; i++) {
		struct pw_mapping *m = &h->mapping[i];
		if (m->port != dst->port)
			continue;
		for (unsigned k = 0; k < MIN(m->n_seen, 16u); k++)
			if (endpoint_eq(&m->seen[k], src)) {
				*local = m->inside;
				return true;
			}
	}
	return false;
}

static void take_inner(struct pw_host *h)
{
	size_t n;
	struct inner *in = node_inner(h->node, &n);

	for (size_t i = 0; i < n; i++) {
		if (in[i].len == 48 && in[i].data[0] == 0x60 && in[i].data[6] == 0xFF) {
			h->rx_goodbyes++;
			node_forget(h->node, in[i].id);
			continue;
		}
		for (u32 k = 4; k < in[i].len; k++)
			if (in[i].data[k] != (u8)(in[i].data[0] + k)) {
				h->rx_bad++;
				break;
			}
		if (h->rx_packets++ == 0)
			h->first_rx_at = h->w->now;
		h->rx_bytes += in[i].len;
	}
}

/* --- relays ------------------------------------------------------------------------------------------------------------------------- */

static void relay_reply(struct pw *w, struct pw_relay *r, const struct pw_datagram *d, const u8 *msg, int len)
{
	if (len > 0)
		post(w, &d->dst, &d->src, msg, (u32)len, 0, 0, r->latency_us);
}

static struct pw_alloc *alloc_of(struct pw_relay *r, const struct endpoint *client)
{
	for (unsigned i = 0; i < PW_ALLOCS; i++)
		if (r->alloc[i].is_used && endpoint_eq(&r->alloc[i].client, client))
			return &r->alloc[i];
	return NULL;
}

static struct pw_alloc *alloc_make(struct pw_relay *r, const struct endpoint *client)
{
	for (unsigned i = 0; i < PW_ALLOCS; i++) {
		struct pw_alloc *a = &r->alloc[i];
		if (a->is_used)
			continue;
		*a = (struct pw_alloc){ .is_used = true, .client = *client };
		a->relayed4 = (struct endpoint){ r->v4.ip, r->next_port };
		if (r->v6.ip.family)
			a->relayed6 = (struct endpoint){ r->v6.ip, r->next_port };
		r->next_port++;
		return a;
	}
	abort();
}

static void relay_stun(struct pw *w, struct pw_relay *r, const struct pw_datagram *d, const struct stun_msg *m)
{
	u8 buf[512], key[STUN_KEY];
	struct stun_builder b;
	struct span user = SPAN_NONE, value;
	struct endpoint peer;
	u32 lifetime = 600;
	u16 number;
	enum stun_error_code error = 0;
	struct pw_alloc *a = alloc_of(r, &d->src);

	r->rx_requests++;
	if (m->method == STUN_BINDING) {
		stun_begin(&b, buf, sizeof(buf), STUN_SUCCESS, STUN_BINDING, m->txid);
		stun_put_xor_address(&b, ATTR_XOR_MAPPED_ADDRESS, &d->src);
		relay_reply(w, r, d, buf, stun_end(&b));
		return;
	}
	(void)stun_get_text(m, ATTR_USERNAME, &user);
	stun_long_term_key(user, REALM, SPAN_STR("secret"), key);
	if (stun_get(m, ATTR_NONCE, &value) != 0)
		error = STUN_UNAUTHORIZED;
	else if (m->method == TURN_ALLOCATE ? a != NULL : a == NULL)
		error = STUN_ALLOCATION_MISMATCH;
	if (error) {
		stun_begin(&b, buf, sizeof(buf), STUN_ERROR, m->method, m->txid);
		stun_put_error(&b, error);
		stun_put(&b, ATTR_REALM, REALM);
		stun_put(&b, ATTR_NONCE, NONCE);
		stun_put_integrity(&b, SPAN(key, sizeof(key)));
		relay_reply(w, r, d, buf, stun_end(&b));
		return;
	}
	stun_begin(&b, buf, sizeof(buf), STUN_SUCCESS, m->method, m->txid);
	if (m->method == TURN_ALLOCATE) {
		a = alloc_make(r, &d->src);
		stun_put_xor_address(&b, ATTR_XOR_RELAYED_ADDRESS, &a->relayed4);
		if (a->relayed6.ip.family)
			stun_put_xor_address(&b, ATTR_XOR_RELAYED_ADDRESS, &a->relayed6);
		stun_put_xor_address(&b, ATTR_XOR_MAPPED_ADDRESS, &d->src);
		stun_put_u32(&b, ATTR_LIFETIME, lifetime);
	} else if (m->method == TURN_REFRESH) {
		r->rx_refreshes++;
		(void)stun_get_u32(m, ATTR_LIFETIME, &lifetime);
		if (lifetime == 0)
			a->is_used = false;
		stun_put_u32(&b, ATTR_LIFETIME, lifetime);
	} else if (m->method == TURN_CHANNEL_BIND && stun_get_channel(m, &number) == 0 &&
		   stun_get_address(m, ATTR_XOR_PEER_ADDRESS, &peer) == 0) {
		unsigned i = 0;
		while (i < a->n_channels && a->channel[i].number != number)
			i++;
		if (i == PW_CHANNELS)
			abort();
		a->n_channels = MAX(a->n_channels, i + 1);
		a->channel[i].number = number;
		a->channel[i].peer = peer;
	}
	stun_put_integrity(&b, SPAN(key, sizeof(key)));
	relay_reply(w, r, d, buf, stun_end(&b));
}

static void relay_from_client(struct pw *w, struct pw_relay *r, const struct pw_datagram *d, u8 *data, u32 len)
{
	struct stun_msg m;
	u16 number;
	struct span payload;
	struct pw_alloc *a = alloc_of(r, &d->src);

	if (stun_is_likely(SPAN(data, len)) && stun_parse(SPAN(data, len), &m) == 0) {
		relay_stun(w, r, d, &m);
		return;
	}
	if (!a || channel_parse(SPAN(data, len), &number, &payload) != 0)
		return;
	r->rx_channel_data++;
	for (unsigned i = 0; i < a->n_channels; i++)
		if (a->channel[i].number == number) {
			const struct endpoint *from = a->channel[i].peer.ip.family == 6 ? &a->relayed6 : &a->relayed4;
			post(w, from, &a->channel[i].peer, payload.p, (u32)payload.n, 0, d->ecn, r->latency_us);
			return;
		}
}

static void relay_from_peer(struct pw *w, struct pw_relay *r, struct pw_alloc *a, const struct pw_datagram *d, u8 *data, u32 len)
{
	u8 buf[2048];

	for (unsigned i = 0; i < a->n_channels; i++)
		if (endpoint_eq(&a->channel[i].peer, &d->src) && len + CHANNEL_HEADER <= sizeof(buf)) {
			channel_header(buf, a->channel[i].number, (u16)len);
			memcpy(buf + CHANNEL_HEADER, data, len);
			r->tx_channel_data++;
			post(w, a->client.ip.family == 6 ? &r->v6 : &r->v4, &a->client, buf, len + CHANNEL_HEADER, 0, d->ecn,
			     r->latency_us);
			return;
		}
}

static bool relay_deliver(struct pw *w, const struct pw_datagram *d)
{
	u32 step = d->seg ? d->seg : MAX(d->len, 1u);

	for (unsigned i = 0; i < w->n_relays; i++) {
		struct pw_relay *r = &w->relay[i];
		if (!ip_eq(&d->dst.ip, &r->v4.ip) && !ip_eq(&d->dst.ip, &r->v6.ip))
			continue;
		for (u32 at = 0; at < d->len && !r->is_dead; at += step) {
			u32 len = MIN(step, d->len - at);
			if (d->dst.port == 3478) {
				relay_from_client(w, r, d, d->data + at, len);
				continue;
			}
			for (unsigned k = 0; k < PW_ALLOCS; k++)
				if (r->alloc[k].is_used && (endpoint_eq(&r->alloc[k].relayed4, &d->dst) ||
							    endpoint_eq(&r->alloc[k].relayed6, &d->dst)))
					relay_from_peer(w, r, &r->alloc[k], d, d->data + at, len);
		}
		return true;
	}
	return false;
}

/* --- driving -------------------------------------------------------------------------------------------------------------------------- */

static struct pw_host *host_by_id(struct pw *w, const struct uuid *id)
{
	for (unsigned i = 0; i < w->n_hosts; i++)
		if (uuid_eq(&w->host[i].id, id))
			return &w->host[i];
	return NULL;
}

static void hand_over(struct pw *w, const struct pw_signal *s)
{
	struct span text = SPAN(s->text, strlen(s->text));

	if (s->is_added)
		(void)node_add_candidate(s->to->node, w->now, &s->from->id, text);
	else
		(void)node_remove_candidate(s->to->node, w->now, &s->from->id, text);
}

static void signal(struct pw_host *from, struct pw_host *to, bool is_added, const char *text)
{
	struct pw *w = from->w;
	struct pw_signal s = { w->now + USEC(from->portal_us), from, to, is_added, "" };

	snprintf(s.text, sizeof(s.text), "%s", text);
	if (from->portal_us == 0)
		hand_over(w, &s);
	else if (w->n_signals < PW_SIGNALS)
		w->signal[w->n_signals++] = s;
}

static void on_event(struct pw_host *h, const struct node_event *e)
{
	struct pw_host *other = host_by_id(h->w, &e->id);
	bool is_told = other && !h->is_mute_portal && !h->is_dead && !other->is_dead;

	switch (e->type) {
	case NODE_CONN_ESTABLISHED:
		h->n_established++;
		h->established_at = h->w->now;
		break;
	case NODE_CONN_FAILED:
		h->n_failed++;
		h->failed_at = h->w->now;
		break;
	case NODE_CONN_CLOSED:
		h->n_closed++;
		break;
	case NODE_CANDIDATES_ADDED:
		for (size_t i = 0; i < e->n_candidates; i++) {
			snprintf(h->added[h->n_added++ % PW_TEXTS], CANDIDATE_STRLEN, "%s", e->candidates[i]);
			if (is_told)
				signal(h, other, true, e->candidates[i]);
		}
		break;
	case NODE_CANDIDATES_REMOVED:
		for (size_t i = 0; i < e->n_candidates; i++) {
			snprintf(h->removed[h->n_removed++ % PW_TEXTS], CANDIDATE_STRLEN, "%s", e->candidates[i]);
			if (is_told)
				signal(h, other, false, e->candidates[i]);
		}
		break;
	case NODE_NO_RELAYS:
		h->n_no_relays++;
		break;
	case NODE_PATH_CHANGED:
		h->n_paths++;
		h->last_path = e->path;
		break;
	}
}

void pw_collect(struct pw *w, struct pw_host *h)
{
	struct udp_tx tx;
	struct node_event e;

	node_flush(h->node, w->now);
	while (node_poll_transmit(h->node, &tx))
		send_from_host(h, &tx);
	while (node_poll_event(h->node, &e))
		on_event(h, &e);
}

static void deliver(struct pw *w, struct pw_datagram *d)
{
	struct endpoint local;

	if (relay_deliver(w, d))
		return;
	for (unsigned i = 0; i < w->n_hosts; i++) {
		struct pw_host *h = &w->host[i];
		if (h->is_dead || !enter_host(h, &d->src, &d->dst, &local))
			continue;
		struct udp_rx rx = { local, d->src, d->data, d->len, d->seg, d->ecn };
		node_input(h->node, w->now, w->now + WALL_OFFSET, &rx, 1);
		take_inner(h);
		return;
	}
}

static unsigned next_due(const struct pw *w)
{
	unsigned best = 0;

	for (unsigned i = 1; i < w->n_queue; i++)
		if (w->queue[i].due < w->queue[best].due ||
		    (w->queue[i].due == w->queue[best].due && w->queue[i].order < w->queue[best].order))
			best = i;
	return best;
}

void pw_run(struct pw *w, u64 duration)
{
	u64 end = w->now + duration;

	for (;;) {
		for (unsigned i = 0; i < w->n_hosts; i++)
			pw_collect(w, &w->host[i]);
		u64 next = TIME_NEVER;
		for (unsigned i = 0; i < w->n_hosts; i++)
			next = time_min(next, node_next_timeout(w->host[i].node));
		unsigned best = next_due(w);
		if (w->n_queue > 0)
			next = time_min(next, w->queue[best].due);
		for (unsigned i = 0; i < w->n_signals; i++)
			next = time_min(next, w->signal[i].due);
		if (next > end)
			break;
		w->now = MAX(w->now, next);
		for (unsigned i = 0; i < w->n_hosts; i++)
			if (node_next_timeout(w->host[i].node) <= w->now)
				node_timeout(w->host[i].node, w->now, w->now + WALL_OFFSET);
		for (unsigned i = 0; i < w->n_signals;) { /* in order */
			if (w->signal[i].due > w->now) {
				i++;
				continue;
			}
			hand_over(w, &w->signal[i]);
			memmove(&w->signal[i], &w->signal[i + 1], (--w->n_signals - i) * sizeof(*w->signal));
		}
		while (w->n_queue > 0 && w->queue[best = next_due(w)].due <= w->now) {
			struct pw_datagram d = w->queue[best];
			w->queue[best] = w->queue[--w->n_queue];
			deliver(w, &d);
			free(d.data);
		}
	}
	w->now = end;
}

static void fill(u8 *p, u32 len, u32 seed)
{
	for (u32 i = 0; i < len; i++)
		p[i] = (u8)(seed + i);
}

int pw_send(struct pw *w, struct pw_host *from, struct pw_host *to, u32 len)
{
	struct node_stage st;
	u8 packet[TUNNEL_MTU];
	int rc = node_stage_open(from->node, w->now, &to->id, ECN_NOT_ECT, &st);

	if (rc == 0) {
		u8 *slot = node_stage_slot(from->node, &st, len);
		if (slot)
			fill(slot, len, 0x45);
	} else {
		fill(packet, len, 0x45);
		rc = node_send(from->node, w->now, w->now + WALL_OFFSET, &to->id, SPAN(packet, len), ECN_NOT_ECT);
	}
	pw_collect(w, from);
	return rc;
}

void pw_send_run(struct pw *w, struct pw_host *from, struct pw_host *to, u32 len, unsigned count)
{
	struct node_stage st;

	if (node_stage_open(from->node, w->now, &to->id, ECN_ECT0, &st) != 0)
		return;
	for (unsigned i = 0; i < count; i++) {
		u8 *slot = node_stage_slot(from->node, &st, len);
		if (slot)
			fill(slot, len, 0x45);
	}
	pw_collect(w, from);
}

void pw_inject(struct pw *w, struct pw_host *h, const char *from, const void *data, size_t len)
{
	u8 copy[2048];

	memcpy(copy, data, MIN(len, sizeof(copy)));
	struct udp_rx rx = { h->v4, pw_ep(from), copy, (u32)len, 0, 0 };
	node_input(h->node, w->now, w->now + WALL_OFFSET, &rx, 1);
	take_inner(h);
	pw_collect(w, h);
}
