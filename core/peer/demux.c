/* To whom a received datagram belongs (spec 20 §2), and the batch of data packets that is decrypted at once. */
#define LOG_TARGET "peer::demux"
#include "core/peer/node_int.h"

/* A datagram on its way through the steps. A relay's channel header is taken off and the addresses become those of the relayed path. */
struct arrival {
	struct endpoint local, remote;
	struct mspan data;
	u8 ecn;
};

static struct span bytes(const struct arrival *in)
{
	return SPAN(in->data.p, in->data.n);
}

/* --- the batch ---------------------------------------------------------------------------------------------------------------- */

static void judge(struct node *n, const struct aead_job *job, const struct rx_packet *rx)
{
	struct conn *c = rx->conn;
	struct lane *l = &n->lane;
	int rc = wg_open_commit(&c->wg, n->now, job);

	if (rc != 0) {
		if (rc == ERR_REPLAY)
			n->stats.rx_replayed++;
		else
			n->stats.rx_auth_failed++;
		return;
	}
	conn_heard(c, n->now, rx->is_on_path);
	if (c->probe_since == 0)
		n->uplink_heard = n->now;
	if (job->len == 0)
		return;
	conn_touch(c, n->now);
	c->rx_bytes += job->len;
	l->inner[l->n_inner++] = (struct inner){
		.data = job->data, .len = job->len, .outer_ecn = rx->ecn, .id = &c->id, .user = c->user
	};
}

/* Opens what is listed. Connections that got something are moved on once per run of packets. */
static void open_batch(struct node *n)
{
	struct lane *l = &n->lane;
	u32 count = l->n_rx_jobs;

	if (count == 0)
		return;
	l->n_rx_jobs = 0;
	aead_open(l->rx_jobs, count);
	for (u32 i = 0; i < count; i++) {
		struct conn *c = l->rx_packets[i].conn;
		judge(n, &l->rx_jobs[i], &l->rx_packets[i]);
		if (i + 1 < count && l->rx_packets[i + 1].conn == c)
			continue;
		if (c->wg.tx_count > 0 || c->wg.events != 0)
			conn_pump(c, n->now);
		else
			conn_arm_soon(c, n->now);
	}
}

static void input_data(struct node *n, const struct arrival *in, u32 receiver)
{
	struct lane *l = &n->lane;
	struct conn *c = node_conn_by_index(n, receiver >> 8);

	if (!c) {
		n->stats.rx_unknown++;
		return;
	}
	if (l->n_rx_jobs + l->n_inner >= NODE_RX_PACKETS_MAX) {
		n->stats.rx_overflow++;
		return;
	}
	if (wg_open_prepare(&c->wg, n->now, in->data, &l->rx_jobs[l->n_rx_jobs]) != 0) {
		n->stats.rx_unknown++;
		return;
	}
	l->rx_packets[l->n_rx_jobs++] =
		(struct rx_packet){ .conn = c, .ecn = in->ecn, .is_on_path = conn_is_on_path(c, &in->local, &in->remote) };
}

/* --- handshakes ------------------------------------------------------------------------------------------------------------------ */

static void input_handshake(struct node *n, const struct arrival *in, enum wg_type type, u32 receiver)
{
	u8 reply[WG_COOKIE_LEN];
	struct wg_initiation init;
	struct conn *c = NULL;
	int rc = type == WG_COOKIE ? 0 : wg_gate(&n->wg, n->now, bytes(in), &in->remote.ip, reply);

	if (rc == ERR_LIMIT)
		control_send_from(n, n->now, &in->local, &in->remote, reply, sizeof(reply));
	if (rc != 0)
		return;
	if (type == WG_INITIATION) {
		if (wg_initiation_open(&n->wg, bytes(in), &init) != 0) {
			n->stats.rx_auth_failed++;
			return;
		}
		c = table_get(&n->by_key, init.peer_public);
	} else {
		c = node_conn_by_index(n, receiver >> 8);
	}
	if (!c) {
		n->stats.rx_unknown++;
		return;
	}
	rc = type == WG_INITIATION ? wg_input_initiation(&c->wg, n->now, &init) : wg_input(&c->wg, n->now, bytes(in));
	if (rc != 0) {
		n->stats.rx_invalid++;
		return;
	}
	conn_heard(c, n->now, conn_is_on_path(c, &in->local, &in->remote));
	conn_pump(c, n->now);
}

static void input_wireguard(struct node *n, const struct arrival *in)
{
	u32 receiver;
	enum wg_type type = wg_classify(bytes(in), &receiver);

	switch (type) {
	case WG_NONE:
		n->stats.rx_invalid++;
		return;
	case WG_DATA:
		input_data(n, in, receiver);
		return;
	case WG_INITIATION:
	case WG_RESPONSE:
	case WG_COOKIE:
		open_batch(n); /* packets before it in the batch come first */
		input_handshake(n, in, type, receiver);
		return;
	}
}

/* --- ICE ---------------------------------------------------------------------------------------------------------------------------- */

static struct conn *conn_of_check(struct node *n, const struct ice_msg *m)
{
	struct ufrag_key k = { { 0 }, { 0 } };

	if (!m->is_request)
		return node_conn_by_index(n, get_be32(m->stun.txid));
	if (m->local_ufrag.n >= sizeof(k.local) || m->remote_ufrag.n >= sizeof(k.remote))
		return NULL;
	memcpy(k.local, m->local_ufrag.p, m->local_ufrag.n);
	memcpy(k.remote, m->remote_ufrag.p, m->remote_ufrag.n);
	return table_get(&n->by_ufrags, &k);
}

static bool input_ice(struct node *n, const struct arrival *in)
{
	struct ice_msg m;
	int rc = ice_msg_parse(bytes(in), &m);

	if (rc == ERR_NOT_OURS)
		return false;
	struct conn *c = rc == 0 ? conn_of_check(n, &m) : NULL;
	if (!c) {
		if (rc == 0)
			n->stats.rx_unknown++;
		else
			n->stats.rx_invalid++;
		return true;
	}
	rc = ice_input(c->ice, n->now, &in->local, &in->remote, &m);
	if (rc == 0) {
		conn_heard(c, n->now, !m.is_request && conn_is_on_path(c, &in->local, &in->remote));
		if (c->probe_since == 0)
			n->uplink_heard = n->now;
	} else {
		n->stats.rx_invalid++;
	}
	conn_pump(c, n->now);
	return true;
}

/* --- relays ---------------------------------------------------------------------------------------------------------------------------- */

/* Datagrams from port 3478 only. True when it was the relay's, or is dropped; otherwise `in` goes on, unwrapped if it was channel data. */
static bool input_relay(struct node *n, struct arrival *in)
{
	struct relay *r = relay_owning(n, &in->remote);
	struct span payload;
	struct stun_msg stun;
	u16 number;

	if (stun_is_likely(bytes(in))) {
		if (stun_parse(bytes(in), &stun) == ERR_NOT_OURS)
			return false;
		if (!r)
			return relay_is_former(n, &in->remote.ip);
		if (relays_is_uplink_answer(n, n->now, bytes(in)))
			return true;
		if (allocation_input(r->alloc, n->now, &in->local, &in->remote, bytes(in)) == 0)
			n->uplink_heard = n->now;
		n->are_relays_dirty = true;
		return true;
	}
	if (channel_parse(bytes(in), &number, &payload) != 0)
		return false;
	if (!r)
		return relay_is_former(n, &in->remote.ip);
	if (allocation_channel_to_peer(r->alloc, n->now, number, &in->remote) != 0) {
		n->stats.rx_unknown++;
		return true;
	}
	const struct endpoint *own = allocation_relayed(r->alloc, in->remote.ip.family);
	if (!own)
		return true;
	in->local = *own;
	in->data = (struct mspan){ in->data.p + CHANNEL_HEADER, payload.n };
	return false;
}

/* --- the door ---------------------------------------------------------------------------------------------------------------------------- */

static void input_one(struct node *n, struct arrival in)
{
	n->stats.rx_datagrams++;
	if (in.data.n > MAX_DATAGRAM) {
		n->stats.rx_oversize++;
		return;
	}
	if (in.remote.port == RELAY_PORT && input_relay(n, &in))
		return;
	if (!input_ice(n, &in))
		input_wireguard(n, &in);
}

void node_input(struct node *n, u64 now, u64 wall, struct udp_rx *rx, size_t n_rx)
{
	n->n_relay_tx = 0;
	n->now = now;
	n->wall_offset = wall - now;
	n->lane.n_inner = 0;
	node_release_gone(n);
	for (size_t i = 0; i < n_rx; i++) {
		u32 step = rx[i].seg == 0 ? rx[i].len : rx[i].seg;
		for (u32 at = 0; at < rx[i].len; at += step)
			input_one(n, (struct arrival){ .local = rx[i].local,
						       .remote = rx[i].remote,
						       .data = { rx[i].data + at, MIN(step, rx[i].len - at) },
						       .ecn = rx[i].ecn });
	}
	open_batch(n);
	if (n->are_relays_dirty)
		relays_drain(n, now);
	node_note_handshakes(n);
}

struct inner *node_inner(struct node *n, size_t *count)
{
	*count = n->lane.n_inner;
	return n->lane.inner;
}
