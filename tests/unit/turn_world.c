#include "tests/unit/turn_world.h"

#include <stdlib.h>

static int fake_open(void *ctx, struct turn_alloc *owner, u16 port, u8 family, void **sock)
{
	struct turn_world *w = ctx;

	if (w->refusals > 0) {
		w->refusals--;
		return w->open_rc;
	}
	for (size_t i = 0; i < WORLD_PORTS_MAX; i++) {
		struct fake_port *p = &w->ports[i];
		if (p->is_open)
			continue;
		*p = (struct fake_port){ .owner = owner, .port = port, .family = family, .is_open = true };
		w->n_open++;
		*sock = p;
		return 0;
	}
	return ERR_LIMIT;
}

static void fake_close(void *ctx, void *sock)
{
	struct turn_world *w = ctx;
	struct fake_port *p = sock;

	if (!p->is_open)
		abort();
	p->is_open = false;
	w->n_open--;
}

void turn_world_init(struct turn_world *w)
{
	memset(w, 0, sizeof(*w));
	w->now = SEC(1000000);
	w->wall = SEC(1800000000);
	rng_seeded_init(&w->rng, 50);
	w->cfg = (struct turn_server_config){
		.rules = TURN_RULES_FIREZONE,
		.lowest_port = 50000,
		.highest_port = 50099,
		.realm = "firezone",
		.software = "firezone-relay; rev=xxxx",
		.stamp_secret = WORLD_SECRET,
		.rng = &w->rng.rng,
		.ports = { fake_open, fake_close, w },
	};
	w->cfg.public4 = turn_ep("203.0.113.5:1").ip;
	w->cfg.public6 = turn_ep("[2001:db8::5]:1").ip;
}

void turn_world_start(struct turn_world *w)
{
	if (turn_server_new(&w->s, &w->cfg) != 0)
		abort();
}

void turn_world_end(struct turn_world *w)
{
	turn_server_free(w->s);
	EXPECT_EQ(w->n_open, 0);
}

void turn_world_run_until(struct turn_world *w, u64 now)
{
	for (int turns = 0; turn_server_next_timeout(w->s) <= now; turns++) {
		if (turns == 100000)
			abort();
		w->now = MAX(w->now, turn_server_next_timeout(w->s));
		turn_server_timeout(w->s, w->now);
	}
	w->wall += now - w->now;
	w->now = now;
}

/* Takes transmits apart as the kernel would: `seg` bytes each. */
static void collect(struct turn_world *w)
{
	size_t n;
	const struct turn_tx *tx = turn_server_tx(w->s, &n);

	for (size_t i = 0; i < n; i++) {
		static u8 flat[70000];
		const struct turn_tx *t = &tx[i];
		u32 len = 0, off = 0;
		if (t->n_segments == 0)
			continue;
		for (u16 k = 0; k < t->n_pieces; k++) {
			if (t->pieces[k].n > 0)
				memcpy(flat + len, t->pieces[k].p, t->pieces[k].n);
			len += (u32)t->pieces[k].n;
		}
		EXPECT_EQ(len, t->len);
		u16 count = 0;
		do {
			u32 piece = t->n_segments > 1 ? MIN(t->seg, len - off) : len;
			if (w->n_out == WORLD_OUT_MAX || piece > sizeof(w->out[0].data))
				abort();
			struct out *o = &w->out[w->n_out++];
			const struct fake_port *p = t->sock;
			*o = (struct out){ .from_port = p ? p->port : TURN_PORT, .from_family = t->dst.ip.family, .src = t->src,
					   .to = t->dst, .n_in_run = t->n_segments, .n = piece };
			if (p)
				EXPECT_EQ(p->family, t->dst.ip.family);
			memcpy(o->data, flat + off, piece);
			off += piece;
			count++;
		} while (off < len);
		EXPECT_EQ(count, t->n_segments);
	}
	turn_server_tx_done(w->s);
}

/* The datagram in memory of its exact size, so that a sanitizer sees every step beside it. */
static void feed(struct turn_world *w, struct turn_alloc *a, const struct endpoint *from, struct span d, u16 seg)
{
	u8 *memory = malloc(CHANNEL_HEADER + d.n);
	struct udp_rx rx = { .remote = *from, .data = memory + CHANNEL_HEADER, .len = (u32)d.n, .seg = seg };
	struct turn_input in = { .rx = &rx, .n = 1 };
	bool has_more;

	if (!memory)
		abort();
	if (d.n > 0)
		memcpy(rx.data, d.p, d.n);
	rx.local.ip = from->ip.family == 4 ? w->cfg.public4 : w->cfg.public6;
	rx.local.port = TURN_PORT;
	do {
		has_more = a ? turn_server_peer_input(w->s, w->now, a, &in) : turn_server_input(w->s, w->now, w->wall, &in);
		w->rounds++;
		collect(w);
	} while (has_more);
	free(memory);
}

void turn_world_input_run(struct turn_world *w, const struct endpoint *from, struct span d, u16 seg)
{
	feed(w, NULL, from, d, seg);
}

void turn_world_input(struct turn_world *w, const struct endpoint *from, struct span d)
{
	feed(w, NULL, from, d, 0);
}

struct fake_port *turn_world_port(struct turn_world *w, u16 port, u8 family)
{
	for (size_t i = 0; i < WORLD_PORTS_MAX; i++)
		if (w->ports[i].is_open && w->ports[i].port == port && w->ports[i].family == family)
			return &w->ports[i];
	return NULL;
}

bool turn_world_peer(struct turn_world *w, const struct endpoint *from, u16 port, struct span d, u16 seg)
{
	struct fake_port *p = turn_world_port(w, port, from->ip.family);

	if (p)
		feed(w, p->owner, from, d, seg);
	return p != NULL;
}

struct endpoint turn_ep(const char *text)
{
	struct endpoint e = { 0 };

	if (endpoint_parse(SPAN(text, strlen(text)), &e) != 0)
		abort();
	return e;
}

void turn_client_set_password(struct turn_client *c, const char *password, const char *realm)
{
	stun_long_term_key(SPAN(c->username, strlen(c->username)), SPAN(realm, strlen(realm)), SPAN(password, strlen(password)),
			   c->key);
}

void turn_client_init(struct turn_client *c, struct turn_world *w, const char *addr, const char *username)
{
	struct span expiry, salt;
	u64 value;

	memset(c, 0, sizeof(*c));
	c->w = w;
	c->addr = turn_ep(addr);
	strncpy(c->username, username, sizeof(c->username) - 1);
	if (turn_split_username(SPAN(username, strlen(username)), &value, &expiry, &salt) == 0)
		turn_firezone_password(expiry, SPAN_STR(WORLD_SECRET), salt, c->password);
	turn_client_set_password(c, c->password, "firezone");
}

void turn_call_begin(struct turn_client *c, struct turn_call *k, u16 method)
{
	u8 txid[STUN_TXID] = { 0 };

	put_be32(txid + 8, ++c->txid);
	put_be16(txid, c->addr.port);
	stun_begin(&k->b, k->buf, sizeof(k->buf), STUN_REQUEST, method, txid);
}

static int transact(struct turn_client *c, struct turn_call *k)
{
	struct turn_world *w = c->w;
	int n = stun_end(&k->b);
	struct stun_msg sent;
	struct span text;

	k->code = 0xFFFF;
	if (n < 0 || stun_parse(SPAN(k->buf, n), &sent) != 0)
		abort();
	size_t before = w->n_out;
	turn_world_input(w, &c->addr, SPAN(k->buf, n));
	if (w->n_out == before)
		return k->code;
	struct out *o = &w->out[w->n_out - 1];
	EXPECT_EQ(w->n_out, before + 1);
	EXPECT_EQ(o->from_port, TURN_PORT);
	EXPECT(endpoint_eq(&o->to, &c->addr));
	if (!EXPECT(stun_parse(SPAN(o->data, o->n), &k->reply) == 0))
		return k->code;
	EXPECT_MEM(k->reply.txid, sent.txid, STUN_TXID);
	EXPECT_EQ(k->reply.method, sent.method);
	k->code = 0;
	if (k->reply.class == STUN_ERROR)
		EXPECT_EQ(stun_get_error(&k->reply, &k->code, NULL), 0);
	if ((k->code == 401 || k->code == 438) && stun_get_text(&k->reply, ATTR_NONCE, &text) == 0 && text.n < sizeof(c->nonce)) {
		memcpy(c->nonce, text.p, text.n);
		c->nonce[text.n] = '\0';
	}
	return k->code;
}

int turn_call_plain(struct turn_client *c, struct turn_call *k)
{
	return transact(c, k);
}

int turn_call_signed(struct turn_client *c, struct turn_call *k)
{
	stun_put(&k->b, ATTR_USERNAME, SPAN(c->username, strlen(c->username)));
	stun_put(&k->b, ATTR_REALM, SPAN_STR("firezone"));
	if (c->nonce[0])
		stun_put(&k->b, ATTR_NONCE, SPAN(c->nonce, strlen(c->nonce)));
	stun_put_integrity(&k->b, SPAN(c->key, STUN_KEY));
	return transact(c, k);
}

bool turn_reply_is_signed(const struct turn_client *c, const struct turn_call *k)
{
	return k->code != 0xFFFF && stun_check_integrity(&k->reply, SPAN(c->key, STUN_KEY)) == 0;
}

int turn_learn_nonce(struct turn_client *c)
{
	struct turn_call k;

	turn_call_begin(c, &k, TURN_REFRESH);
	return turn_call_signed(c, &k);
}

int turn_allocate(struct turn_client *c, u16 *port)
{
	struct turn_call k;
	struct endpoint e = { 0 };

	if (!c->nonce[0])
		turn_learn_nonce(c);
	turn_call_begin(c, &k, TURN_ALLOCATE);
	stun_put_transport(&k.b, STUN_TRANSPORT_UDP);
	stun_put_family(&k.b, ATTR_ADDITIONAL_FAMILY, 6);
	int code = turn_call_signed(c, &k);
	if (code == 0 && stun_get_address(&k.reply, ATTR_XOR_RELAYED_ADDRESS, &e) == 0 && port)
		*port = e.port;
	return code;
}

int turn_bind(struct turn_client *c, u16 number, const char *peer)
{
	struct turn_call k;
	struct endpoint e = turn_ep(peer);

	turn_call_begin(c, &k, TURN_CHANNEL_BIND);
	stun_put_xor_address(&k.b, ATTR_XOR_PEER_ADDRESS, &e);
	stun_put_channel(&k.b, number);
	return turn_call_signed(c, &k);
}

int turn_refresh(struct turn_client *c, u32 lifetime, bool has_lifetime)
{
	struct turn_call k;

	turn_call_begin(c, &k, TURN_REFRESH);
	if (has_lifetime)
		stun_put_u32(&k.b, ATTR_LIFETIME, lifetime);
	return turn_call_signed(c, &k);
}

void turn_send_channel(struct turn_client *c, u16 number, struct span payload)
{
	u8 d[2048];

	if (payload.n > sizeof(d) - CHANNEL_HEADER)
		abort();
	channel_header(d, number, (u16)payload.n);
	if (payload.n > 0)
		memcpy(d + CHANNEL_HEADER, payload.p, payload.n);
	turn_world_input(c->w, &c->addr, SPAN(d, CHANNEL_HEADER + payload.n));
}

void turn_expect_order(const struct stun_msg *m, const u16 *order, size_t n)
{
	struct stun_iter it = { 0 };

	for (size_t i = 0; i < n; i++)
		if (EXPECT(stun_next(m, &it)))
			EXPECT_EQ(it.type, order[i]);
	EXPECT(!stun_next(m, &it));
}
