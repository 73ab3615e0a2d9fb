/* The TURN server's input doors: a list of steps, each `op, argument, n, n bytes`. Requests are made from the bytes as attributes and
 * signed with a nonce that is good; besides there are raw datagrams and GRO runs from clients and peers, and time. After each step the
 * books must balance. */
#include "core/base/cursor.h"
#include "core/base/err.h"
#include "core/stun/channel.h"
#include "core/turn/credentials.h"
#include "core/turn/server_int.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

#define STEPS_MAX 48u
#define CLIENTS 4u
#define PORTS 3u
#define SECRET "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

enum op { RAW, REQUEST, BIND, RUN, PEER, PEER_RUN, TIME, SEND, OPS };

static struct turn_server *s;
static u64 now;
static struct turn_alloc *owners[2 * PORTS];
static u32 n_open;

static int open_port(void *ctx, struct turn_alloc *owner, u16 port, u8 family, void **sock)
{
	(void)ctx;
	struct turn_alloc **slot = &owners[(port - 50000u) * 2 + (family == 6)];
	if (*slot)
		return ERR_EXISTS;
	*slot = owner;
	*sock = slot;
	n_open++;
	return 0;
}

static void close_port(void *ctx, void *sock)
{
	struct turn_alloc **slot = sock;

	(void)ctx;
	if (!*slot)
		abort();
	*slot = NULL;
	n_open--;
}

/* Touches all that would be sent, through sockets that are open. */
static void take(void)
{
	size_t n;
	const struct turn_tx *tx = turn_server_tx(s, &n);

	for (size_t i = 0; i < n; i++) {
		const struct turn_tx *t = &tx[i];
		u32 len = 0, sum = 0;
		if (t->n_segments == 0)
			continue;
		if (t->sock && !*(struct turn_alloc *const *)t->sock)
			abort();
		if (t->n_segments > TURN_TX_SEGMENTS || t->n_pieces > TURN_TX_PIECES || t->n_pieces == 0)
			abort();
		for (u16 k = 0; k < t->n_pieces; k++) {
			for (size_t b = 0; b < t->pieces[k].n; b++)
				sum += t->pieces[k].p[b];
			len += (u32)t->pieces[k].n;
		}
		if (len != t->len || len > 65507 || (t->n_segments > 1 && (len + t->seg - 1) / t->seg != t->n_segments))
			abort();
		(void)*(volatile u32 *)&sum;
	}
	turn_server_tx_done(s);
}

static struct endpoint client_of(u8 arg)
{
	struct endpoint e = { .ip = ip4(198, 51, 100, 1), .port = (u16)(40000 + arg % CLIENTS) };
	return e;
}

static struct endpoint peer_of(u8 arg)
{
	struct endpoint e = { .ip = ip4(192, 0, 2, 1), .port = (u16)(1 + arg % 4) };

	if (arg & 0x80) { /* the relay itself */
		e.ip = ip4(203, 0, 113, 5);
		e.port = (u16)(50000 + arg % PORTS);
	}
	if (arg & 0x40) {
		e.ip.family = 6;
		e.ip.b[15] = 9;
	}
	return e;
}

static void deliver(struct turn_alloc *a, struct endpoint from, struct span d, u16 seg)
{
	u8 *memory = malloc(CHANNEL_HEADER + d.n);
	struct udp_rx rx = { .local = { .ip = ip4(203, 0, 113, 5), .port = 3478 }, .remote = from, .len = (u32)d.n, .seg = seg };
	struct turn_input in = { .rx = &rx, .n = 1 };
	bool has_more;

	if (!memory)
		return;
	rx.data = memory + CHANNEL_HEADER;
	if (d.n > 0)
		memcpy(rx.data, d.p, d.n);
	do {
		has_more = a ? turn_server_peer_input(s, now, a, &in) : turn_server_input(s, now, SEC(1800000000), &in);
		take();
	} while (has_more);
	free(memory);
}

/* A request of a client whose nonce is good: `attributes` first, then credentials. */
static void request(u8 arg, u16 method, const struct stun_builder *attributes)
{
	static const char *const users[] = { "2145916800:a", "2145916800:b", "2145916800:c" };
	u8 buf[STUN_MAX_MESSAGE], key[STUN_KEY], txid[STUN_TXID] = { arg };
	char password[TURN_PASSWORD_SIZE], nonce[NONCE_TEXT + 1];
	struct endpoint client = client_of(arg);
	const char *user = users[(arg / CLIENTS) % 3];
	struct stun_builder b;

	size_t n = turn_firezone_password(SPAN_STR("2145916800"), SPAN_STR(SECRET), SPAN(user + 11, 1), password);
	stun_long_term_key(SPAN(user, strlen(user)), SPAN_STR("firezone"), SPAN(password, n), key);
	auth_nonce(s, &client, now, nonce);
	stun_begin(&b, buf, sizeof(buf), STUN_REQUEST, method, txid);
	wr_bytes(&b.w, attributes->w.start, wr_len(&attributes->w));
	stun_put(&b, ATTR_USERNAME, SPAN(user, strlen(user)));
	stun_put(&b, ATTR_NONCE, SPAN(nonce, NONCE_TEXT));
	stun_put_integrity(&b, SPAN(key, sizeof(key)));
	int len = stun_end(&b);
	if (len > 0)
		deliver(NULL, client, SPAN(buf, len), 0);
}

static void step(enum op op, u8 arg, struct span bytes)
{
	static const u16 methods[] = { TURN_ALLOCATE, TURN_REFRESH, TURN_CREATE_PERMISSION, TURN_CHANNEL_BIND, STUN_BINDING };
	u8 buf[512];
	struct stun_builder b = { wr_init(buf, sizeof(buf)) };
	struct endpoint peer = peer_of(arg);
	u8 first = bytes.n > 0 ? bytes.p[0] : 0;
	u16 seg = (u16)(first % 32 + 5);

	switch (op) {
	case RAW: deliver(NULL, client_of(arg), bytes, 0); break;
	case REQUEST:
		if (methods[first % 5] == TURN_ALLOCATE)
			stun_put_transport(&b, 17);
		if (bytes.n > 1)
			wr_bytes(&b.w, bytes.p + 1, (bytes.n - 1) & ~(size_t)3);
		request(arg, methods[first % 5], &b);
		break;
	case BIND:
		peer = peer_of(first);
		wr_be16(&b.w, ATTR_XOR_PEER_ADDRESS);
		wr_be16(&b.w, (u16)(4 + ip_len(&peer.ip)));
		wr_be16(&b.w, peer.ip.family == 4 ? 1 : 2);
		wr_be16(&b.w, (u16)(peer.port ^ (STUN_COOKIE >> 16)));
		for (size_t i = 0; i < ip_len(&peer.ip); i++) {
			u8 mask[16] = { 0x21, 0x12, 0xA4, 0x42, arg };
			wr_u8(&b.w, peer.ip.b[i] ^ mask[i]);
		}
		stun_put_channel(&b, (u16)(0x4000 + first % 3));
		request(arg, TURN_CHANNEL_BIND, &b);
		break;
	case RUN: deliver(NULL, client_of(arg), bytes, seg); break;
	case PEER:
	case PEER_RUN: {
		struct turn_alloc *a = owners[(first % PORTS) * 2 + (peer.ip.family == 6)];
		if (a)
			deliver(a, peer, bytes, op == PEER_RUN ? seg : 0);
		break;
	}
	case TIME:
		now += SEC(arg) * 5;
		turn_server_timeout(s, now);
		if (turn_server_next_timeout(s) <= now)
			abort();
		break;
	case SEND: {
		u8 txid[STUN_TXID] = { 0 };
		u8 message[512];
		struct stun_builder m;
		stun_begin(&m, message, sizeof(message), STUN_INDICATION, TURN_SEND, txid);
		stun_put_xor_address(&m, ATTR_XOR_PEER_ADDRESS, &peer);
		stun_put(&m, ATTR_DATA, bytes);
		int len = stun_end(&m);
		if (len > 0)
			deliver(NULL, client_of(first), SPAN(message, len), 0);
		break;
	}
	case OPS: break;
	}
	const struct turn_server_stats *st = turn_server_stats(s);
	if (st->allocations > PORTS || n_open < st->allocations || n_open > 2 * st->allocations)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const u8 public6[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 5 };
	struct rd r = rd_init(data, size);
	struct rng_seeded rng;
	u8 flags = rd_u8(&r);
	struct turn_server_config cfg = {
		.rules = flags & 1 ? TURN_RULES_RFC : TURN_RULES_FIREZONE,
		.public4 = ip4(203, 0, 113, 5),
		.public6 = ip_from_bytes(6, public6),
		.lowest_port = 50000,
		.highest_port = 50000 + PORTS - 1,
		.realm = "firezone",
		.software = "x",
		.stamp_secret = SECRET,
		.has_wide_channels = flags & 2,
		.has_many_per_user = flags & 4,
		.user_quota = flags & 8 ? 1 : 0,
		.rng = &rng.rng,
		.ports = { open_port, close_port, NULL },
	};

	rng_seeded_init(&rng, 1);
	now = SEC(100000);
	if (turn_server_new(&s, &cfg) != 0)
		return 0;
	for (unsigned i = 0; i < STEPS_MAX && rd_left(&r) >= 3; i++) {
		enum op op = (enum op)(rd_u8(&r) % OPS);
		u8 arg = rd_u8(&r);
		size_t n = rd_u8(&r);
		step(op, arg, rd_bytes(&r, MIN(n, rd_left(&r))));
	}
	turn_server_free(s);
	if (n_open != 0)
		abort();
	return 0;
}
