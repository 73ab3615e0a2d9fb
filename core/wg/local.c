#include "core/base/cursor.h"
#include "core/base/err.h"
#include "core/crypto/key.h"
#include "core/wg/handshake.h"

void wg_local_init(struct wg_local *l, struct rng *rng, const u8 *priv, u64 now)
{
	memset(l, 0, sizeof(*l));
	l->rng = rng;
	if (priv)
		memcpy(l->priv, priv, sizeof(l->priv));
	else
		rng_fill(rng, l->priv, sizeof(l->priv));
	x25519_public(l->pub, l->priv);
	wg_mac1_key(l->mac1_key, l->pub);
	wg_cookie_key(l->cookie_key, l->pub);
	rng_fill(rng, l->cookie_secret, sizeof(l->cookie_secret));
	l->cookie_secret_born = now;
	l->window_start = now;
}

void wg_local_deinit(struct wg_local *l)
{
	secret_wipe(l, sizeof(*l));
}

enum wg_type wg_classify(struct span datagram, u32 *receiver)
{
	struct rd r = rd_span(datagram);
	u32 type = rd_le32(&r);
	u32 first = rd_le32(&r);
	*receiver = 0;
	if (!rd_ok(&r))
		return WG_NONE;
	if (type == WG_INITIATION)
		return datagram.n == WG_INITIATION_LEN ? WG_INITIATION : WG_NONE;
	if (type == WG_RESPONSE && datagram.n == WG_RESPONSE_LEN) {
		*receiver = rd_le32(&r);
		return WG_RESPONSE;
	}
	*receiver = first;
	if (type == WG_COOKIE && datagram.n == WG_COOKIE_LEN)
		return WG_COOKIE;
	if (type == WG_DATA && datagram.n >= WG_KEEPALIVE_LEN)
		return WG_DATA;
	*receiver = 0;
	return WG_NONE;
}

static bool is_under_load(struct wg_local *l, u64 now)
{
	if (time_since(now, l->window_start) >= SEC(1)) {
		l->window_start = now;
		l->window_count = 0;
	}
	if (l->window_count >= WG_HANDSHAKES_PER_SEC)
		return true;
	l->window_count++;
	return false;
}

/* The cookie of an address: whoever can receive there can use it, until the secret changes. */
static void cookie_for(struct wg_local *l, u64 now, const struct ip *from, u8 cookie[static MAC_LEN])
{
	if (time_since(now, l->cookie_secret_born) >= WG_COOKIE_SECRET_LIFE) {
		rng_fill(l->rng, l->cookie_secret, sizeof(l->cookie_secret));
		l->cookie_secret_born = now;
	}
	blake2s(cookie, MAC_LEN, SPAN(l->cookie_secret, sizeof(l->cookie_secret)), SPAN(from->b, ip_len(from)));
}

static void make_cookie_reply(struct wg_local *l, u32 receiver, const u8 cookie[static MAC_LEN], const u8 *mac1,
			      u8 reply[static WG_COOKIE_LEN])
{
	u8 nonce[24], sealed[MAC_LEN + AEAD_TAG];
	rng_fill(l->rng, nonce, sizeof(nonce));
	xaead_seal_ad(l->cookie_key, nonce, SPAN(mac1, MAC_LEN), SPAN(cookie, MAC_LEN), sealed);
	struct wr w = wr_init(reply, WG_COOKIE_LEN);
	wr_le32(&w, WG_COOKIE);
	wr_le32(&w, receiver);
	wr_bytes(&w, nonce, sizeof(nonce));
	wr_bytes(&w, sealed, sizeof(sealed));
	l->stats.cookies_out++;
}

int wg_gate(struct wg_local *l, u64 now, struct span datagram, const struct ip *from, u8 reply[static WG_COOKIE_LEN])
{
	u32 index;
	enum wg_type type = wg_classify(datagram, &index);
	if (type != WG_INITIATION && type != WG_RESPONSE)
		return ERR_MALFORMED;

	struct rd r = rd_span(datagram);
	struct span before_mac1 = rd_bytes(&r, datagram.n - 2 * MAC_LEN);
	const u8 *mac1 = rd_take(&r, MAC_LEN);
	const u8 *mac2 = rd_take(&r, MAC_LEN);
	u8 mac[MAC_LEN], cookie[MAC_LEN];
	blake2s(mac, MAC_LEN, SPAN(l->mac1_key, sizeof(l->mac1_key)), before_mac1);
	if (!secret_eq(mac, mac1, MAC_LEN)) {
		l->stats.bad_mac++;
		return ERR_AUTH;
	}
	if (!is_under_load(l, now))
		return 0;

	l->stats.under_load++;
	cookie_for(l, now, from, cookie);
	blake2s(mac, MAC_LEN, SPAN(cookie, MAC_LEN), SPAN(datagram.p, datagram.n - MAC_LEN));
	if (secret_eq(mac, mac2, MAC_LEN))
		return 0;
	make_cookie_reply(l, get_le32(datagram.p + 4), cookie, mac1, reply);
	return ERR_LIMIT;
}
