#include "core/wg/handshake.h"

#include "core/base/cursor.h"
#include "core/base/err.h"
#include "core/crypto/key.h"

#define LABEL_LEN 8u
#define TAI64_BASE ((1ull << 62) + 37) /* spec 20 §6.4 */
#define KEY32(k) SPAN(k, 32)

/* The running transcript. */
struct noise {
	u8 chain[32];
	u8 hash[32];
};

static void labelled_key(u8 out[static 32], const char *label, const u8 pub[static 32])
{
	blake2s_v(out, 32, SPAN_NONE, (struct span[]){ SPAN(label, LABEL_LEN), KEY32(pub) }, 2);
}

void wg_mac1_key(u8 out[static 32], const u8 pub[static 32])
{
	labelled_key(out, "mac1----", pub);
}

void wg_cookie_key(u8 out[static 32], const u8 pub[static 32])
{
	labelled_key(out, "cookie--", pub);
}

static void mix_hash(struct noise *n, struct span in)
{
	blake2s_v(n->hash, 32, SPAN_NONE, (struct span[]){ KEY32(n->hash), in }, 2);
}

static void noise_begin(struct noise *n, const u8 responder[static 32])
{
	blake2s(n->chain, 32, SPAN_NONE, SPAN_STR("Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"));
	memcpy(n->hash, n->chain, 32);
	mix_hash(n, SPAN_STR("WireGuard v1 zx2c4 Jason@zx2c4.com"));
	mix_hash(n, KEY32(responder));
}

static void mix_ephemeral(struct noise *n, const u8 pub[static 32])
{
	wg_kdf(n->chain, KEY32(pub), n->chain, NULL, NULL);
	mix_hash(n, KEY32(pub));
}

/* Chain key and, when `key` is not NULL, an encryption key from a shared secret. */
static int mix_dh(struct noise *n, const u8 priv[static 32], const u8 pub[static 32], u8 *key)
{
	u8 shared[32];
	int rc = x25519(shared, priv, pub);
	if (rc == 0)
		wg_kdf(n->chain, KEY32(shared), n->chain, key, NULL);
	secret_wipe(shared, sizeof(shared));
	return rc;
}

static void mix_psk(struct noise *n, const u8 psk[static 32], u8 key[static 32])
{
	u8 t[32];
	wg_kdf(n->chain, KEY32(psk), n->chain, t, key);
	mix_hash(n, KEY32(t));
	secret_wipe(t, sizeof(t));
}

static void seal_and_hash(struct noise *n, const u8 key[static 32], struct span plain, u8 *out)
{
	aead_seal_ad(key, 0, KEY32(n->hash), plain, out);
	mix_hash(n, SPAN(out, plain.n + AEAD_TAG));
}

static int open_and_hash(struct noise *n, const u8 key[static 32], struct span sealed, u8 *out)
{
	int rc = aead_open_ad(key, 0, KEY32(n->hash), sealed, out);
	mix_hash(n, sealed);
	return rc;
}

static void draw_ephemeral(struct wg_local *l, u8 priv[static 32], u8 pub[static 32])
{
	rng_fill(l->rng, priv, 32);
	x25519_public(pub, priv);
}

static void derive_transport(struct noise *n, struct wg_keys *keys)
{
	wg_kdf(n->chain, SPAN_NONE, keys->initiator_to_responder, keys->responder_to_initiator, NULL);
}

/* Appends both MACs and remembers MAC1: a cookie reply is bound to it. */
static void finish_macs(struct wg *w, u64 now, u32 index, struct wr *out)
{
	u8 mac[MAC_LEN];
	blake2s(mac, MAC_LEN, KEY32(w->peer_mac1_key), wr_span(out));
	wr_bytes(out, mac, MAC_LEN);
	memcpy(w->last_mac1, mac, MAC_LEN);
	w->last_mac1_index = index;
	w->has_last_mac1 = true;
	memset(mac, 0, MAC_LEN);
	if (now < w->cookie_until)
		blake2s(mac, MAC_LEN, SPAN(w->cookie, sizeof(w->cookie)), wr_span(out));
	wr_bytes(out, mac, MAC_LEN);
}

void wg_next_stamp(struct wg_local *l, u64 wall, u8 out[static STAMP_LEN])
{
	l->last_stamp = wall > l->last_stamp ? wall : l->last_stamp + 1;
	put_be64(out, TAI64_BASE + l->last_stamp / NSEC_PER_SEC);
	put_be32(out + 8, (u32)(l->last_stamp % NSEC_PER_SEC));
}

int wg_make_initiation(struct wg *w, u64 now, u64 wall, u32 index, struct wg_inflight *hs, u8 out[static WG_INITIATION_LEN])
{
	struct wg_local *l = w->local;
	struct noise n;
	u8 key[32], pub[32], stamp[STAMP_LEN];
	u8 sealed_static[32 + AEAD_TAG], sealed_stamp[STAMP_LEN + AEAD_TAG];
	int rc;

	noise_begin(&n, w->peer_public);
	draw_ephemeral(l, hs->ephemeral, pub);
	mix_ephemeral(&n, pub);
	rc = mix_dh(&n, hs->ephemeral, w->peer_public, key);
	if (rc < 0)
		goto out;
	seal_and_hash(&n, key, KEY32(l->pub), sealed_static);
	wg_kdf(n.chain, KEY32(w->static_shared), n.chain, key, NULL);
	wg_next_stamp(l, wall, stamp);
	seal_and_hash(&n, key, SPAN(stamp, sizeof(stamp)), sealed_stamp);

	struct wr msg = wr_init(out, WG_INITIATION_LEN);
	wr_le32(&msg, WG_INITIATION);
	wr_le32(&msg, index);
	wr_bytes(&msg, pub, sizeof(pub));
	wr_bytes(&msg, sealed_static, sizeof(sealed_static));
	wr_bytes(&msg, sealed_stamp, sizeof(sealed_stamp));
	finish_macs(w, now, index, &msg);

	hs->is_set = true;
	hs->index = index;
	hs->sent_at = now;
	memcpy(hs->chain, n.chain, 32);
	memcpy(hs->hash, n.hash, 32);
out:
	secret_wipe(&n, sizeof(n));
	secret_wipe(key, sizeof(key));
	return rc;
}

int wg_initiation_open(struct wg_local *l, struct span datagram, struct wg_initiation *out)
{
	u32 receiver;
	struct noise n;
	u8 key[32];
	if (wg_classify(datagram, &receiver) != WG_INITIATION)
		return ERR_MALFORMED;

	struct rd r = rd_span(datagram);
	rd_skip(&r, 4);
	out->sender = rd_le32(&r);
	rd_copy(&r, out->ephemeral, sizeof(out->ephemeral));
	struct span sealed_static = rd_bytes(&r, 32 + AEAD_TAG);
	rd_copy(&r, out->stamp, sizeof(out->stamp));

	noise_begin(&n, l->pub);
	mix_ephemeral(&n, out->ephemeral);
	int rc = mix_dh(&n, l->priv, out->ephemeral, key);
	if (rc == 0)
		rc = open_and_hash(&n, key, sealed_static, out->peer_public);
	memcpy(out->chain, n.chain, 32);
	memcpy(out->hash, n.hash, 32);
	if (rc < 0) {
		l->stats.bad_handshake++;
		secret_wipe(out, sizeof(*out));
		rc = ERR_AUTH;
	}
	secret_wipe(&n, sizeof(n));
	secret_wipe(key, sizeof(key));
	return rc;
}

int wg_read_stamp(const struct wg *w, struct wg_initiation *init, u8 stamp[static STAMP_LEN])
{
	struct noise n;
	u8 key[32];
	memcpy(n.chain, init->chain, 32);
	memcpy(n.hash, init->hash, 32);
	wg_kdf(n.chain, KEY32(w->static_shared), n.chain, key, NULL);
	int rc = open_and_hash(&n, key, SPAN(init->stamp, sizeof(init->stamp)), stamp);
	memcpy(init->chain, n.chain, 32);
	memcpy(init->hash, n.hash, 32);
	secret_wipe(&n, sizeof(n));
	secret_wipe(key, sizeof(key));
	return rc;
}

int wg_make_response(struct wg *w, u64 now, u32 index, const struct wg_initiation *init, struct wg_keys *keys,
		     u8 out[static WG_RESPONSE_LEN])
{
	struct noise n;
	u8 key[32], priv[32], pub[32], empty[AEAD_TAG];
	memcpy(n.chain, init->chain, 32);
	memcpy(n.hash, init->hash, 32);

	draw_ephemeral(w->local, priv, pub);
	mix_ephemeral(&n, pub);
	int rc = mix_dh(&n, priv, init->ephemeral, NULL);
	if (rc == 0)
		rc = mix_dh(&n, priv, w->peer_public, NULL);
	if (rc < 0)
		goto out;
	mix_psk(&n, w->psk, key);
	seal_and_hash(&n, key, SPAN_NONE, empty);

	struct wr msg = wr_init(out, WG_RESPONSE_LEN);
	wr_le32(&msg, WG_RESPONSE);
	wr_le32(&msg, index);
	wr_le32(&msg, init->sender);
	wr_bytes(&msg, pub, sizeof(pub));
	wr_bytes(&msg, empty, sizeof(empty));
	finish_macs(w, now, index, &msg);

	keys->remote_index = init->sender;
	derive_transport(&n, keys);
out:
	secret_wipe(&n, sizeof(n));
	secret_wipe(key, sizeof(key));
	secret_wipe(priv, sizeof(priv));
	return rc;
}

int wg_read_response(const struct wg *w, const struct wg_inflight *hs, struct span datagram, struct wg_keys *keys)
{
	struct noise n;
	u8 key[32], pub[32], nothing[1];
	struct rd r = rd_span(datagram);
	rd_skip(&r, 4);
	keys->remote_index = rd_le32(&r);
	rd_skip(&r, 4);
	rd_copy(&r, pub, sizeof(pub));
	struct span empty = rd_bytes(&r, AEAD_TAG);

	memcpy(n.chain, hs->chain, 32);
	memcpy(n.hash, hs->hash, 32);
	mix_ephemeral(&n, pub);
	int rc = mix_dh(&n, hs->ephemeral, pub, NULL);
	if (rc == 0)
		rc = mix_dh(&n, w->local->priv, pub, NULL);
	if (rc == 0) {
		mix_psk(&n, w->psk, key);
		rc = open_and_hash(&n, key, empty, nothing);
	}
	if (rc == 0)
		derive_transport(&n, keys);
	secret_wipe(&n, sizeof(n));
	secret_wipe(key, sizeof(key));
	return rc < 0 ? ERR_AUTH : 0;
}

int wg_read_cookie(struct wg *w, u64 now, struct span datagram)
{
	struct rd r = rd_span(datagram);
	rd_skip(&r, 4);
	u32 index = rd_le32(&r);
	const u8 *nonce = rd_take(&r, 24);
	struct span sealed = rd_bytes(&r, sizeof(w->cookie) + AEAD_TAG);
	u8 cookie[sizeof(w->cookie)];
	if (!rd_done(&r))
		return ERR_MALFORMED;
	if (!w->has_last_mac1 || index != w->last_mac1_index)
		return ERR_NOT_FOUND;
	int rc = xaead_open_ad(w->peer_cookie_key, nonce, SPAN(w->last_mac1, MAC_LEN), sealed, cookie);
	if (rc < 0)
		return rc;
	memcpy(w->cookie, cookie, sizeof(cookie));
	w->cookie_until = now + WG_COOKIE_VALID;
	w->has_last_mac1 = false; /* one reply per message */
	return 0;
}
