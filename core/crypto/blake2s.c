#include "core/base/cursor.h"
#include "core/crypto/hash.h"
#include "core/crypto/key.h"

#include <assert.h>

#define BLOCK 64u

static const u32 iv[8] = {
	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

static const u8 sigma[10][16] = {
	{ 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 },
	{ 14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3 },
	{ 11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4 },
	{ 7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8 },
	{ 9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13 },
	{ 2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9 },
	{ 12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11 },
	{ 13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10 },
	{ 6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5 },
	{ 10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0 },
};

static inline u32 rotr(u32 x, unsigned n)
{
	return x >> n | x << (32 - n);
}

static inline void mix(u32 *v, unsigned a, unsigned b, unsigned c, unsigned d, u32 x, u32 y)
{
	v[a] += v[b] + x;
	v[d] = rotr(v[d] ^ v[a], 16);
	v[c] += v[d];
	v[b] = rotr(v[b] ^ v[c], 12);
	v[a] += v[b] + y;
	v[d] = rotr(v[d] ^ v[a], 8);
	v[c] += v[d];
	v[b] = rotr(v[b] ^ v[c], 7);
}

static void compress(struct blake2s *s, const u8 block[static BLOCK], bool is_last)
{
	u32 m[16], v[16];
	for (unsigned i = 0; i < 16; i++)
		m[i] = get_le32(block + 4 * i);
	for (unsigned i = 0; i < 8; i++) {
		v[i] = s->h[i];
		v[i + 8] = iv[i];
	}
	v[12] ^= (u32)s->count;
	v[13] ^= (u32)(s->count >> 32);
	if (is_last)
		v[14] = ~v[14];
	for (unsigned r = 0; r < 10; r++) {
		const u8 *p = sigma[r];
		mix(v, 0, 4, 8, 12, m[p[0]], m[p[1]]);
		mix(v, 1, 5, 9, 13, m[p[2]], m[p[3]]);
		mix(v, 2, 6, 10, 14, m[p[4]], m[p[5]]);
		mix(v, 3, 7, 11, 15, m[p[6]], m[p[7]]);
		mix(v, 0, 5, 10, 15, m[p[8]], m[p[9]]);
		mix(v, 1, 6, 11, 12, m[p[10]], m[p[11]]);
		mix(v, 2, 7, 8, 13, m[p[12]], m[p[13]]);
		mix(v, 3, 4, 9, 14, m[p[14]], m[p[15]]);
	}
	for (unsigned i = 0; i < 8; i++)
		s->h[i] ^= v[i] ^ v[i + 8];
	secret_wipe(m, sizeof(m));
	secret_wipe(v, sizeof(v));
}

void blake2s_init(struct blake2s *s, size_t out_len, struct span key)
{
	assert(out_len >= 1 && out_len <= BLAKE2S_LEN && key.n <= BLAKE2S_LEN);
	memset(s, 0, sizeof(*s));
	memcpy(s->h, iv, sizeof(iv));
	s->h[0] ^= 0x01010000u ^ (u32)key.n << 8 ^ (u32)out_len;
	s->out_len = (u8)out_len;
	if (key.n > 0) {
		memcpy(s->buf, key.p, key.n);
		s->fill = BLOCK;
	}
}

void blake2s_update(struct blake2s *s, struct span in)
{
	/* A full buffer waits for more: the last block is compressed differently. */
	while (in.n > 0) {
		if (s->fill == BLOCK) {
			s->count += BLOCK;
			compress(s, s->buf, false);
			s->fill = 0;
		}
		size_t n = MIN(in.n, (size_t)(BLOCK - s->fill));
		memcpy(s->buf + s->fill, in.p, n);
		s->fill = (u8)(s->fill + n);
		in = SPAN(in.p + n, in.n - n);
	}
}

void blake2s_final(struct blake2s *s, u8 *out)
{
	u8 full[BLAKE2S_LEN];
	s->count += s->fill;
	memset(s->buf + s->fill, 0, BLOCK - s->fill);
	compress(s, s->buf, true);
	for (unsigned i = 0; i < 8; i++)
		put_le32(full + 4 * i, s->h[i]);
	memcpy(out, full, s->out_len);
	secret_wipe(full, sizeof(full));
	secret_wipe(s, sizeof(*s));
}

void blake2s_v(u8 *out, size_t out_len, struct span key, const struct span *parts, size_t n)
{
	struct blake2s s;
	blake2s_init(&s, out_len, key);
	for (size_t i = 0; i < n; i++)
		blake2s_update(&s, parts[i]);
	blake2s_final(&s, out);
}

void blake2s(u8 *out, size_t out_len, struct span key, struct span in)
{
	blake2s_v(out, out_len, key, &in, 1);
}

void hmac_blake2s(u8 out[static BLAKE2S_LEN], struct span key, struct span in)
{
	u8 pad[BLOCK] = { 0 };
	u8 inner[BLAKE2S_LEN];
	if (key.n > BLOCK)
		blake2s(pad, BLAKE2S_LEN, SPAN_NONE, key);
	else if (key.n > 0)
		memcpy(pad, key.p, key.n);

	for (unsigned i = 0; i < BLOCK; i++)
		pad[i] ^= 0x36;
	blake2s_v(inner, BLAKE2S_LEN, SPAN_NONE, (struct span[]){ SPAN(pad, BLOCK), in }, 2);
	for (unsigned i = 0; i < BLOCK; i++)
		pad[i] ^= 0x36 ^ 0x5c;
	blake2s_v(out, BLAKE2S_LEN, SPAN_NONE, (struct span[]){ SPAN(pad, BLOCK), SPAN(inner, sizeof(inner)) }, 2);
	secret_wipe(pad, sizeof(pad));
	secret_wipe(inner, sizeof(inner));
}

void wg_kdf(const u8 ck[static 32], struct span in, u8 *t1, u8 *t2, u8 *t3)
{
	u8 prk[BLAKE2S_LEN];
	u8 t[BLAKE2S_LEN + 1];
	u8 *outs[3] = { t1, t2, t3 };
	hmac_blake2s(prk, SPAN(ck, 32), in);
	for (unsigned i = 0; i < 3; i++) {
		t[i == 0 ? 0 : BLAKE2S_LEN] = (u8)(i + 1);
		hmac_blake2s(t, SPAN(prk, sizeof(prk)), SPAN(t, i == 0 ? 1 : sizeof(t)));
		if (outs[i])
			memcpy(outs[i], t, BLAKE2S_LEN);
	}
	secret_wipe(prk, sizeof(prk));
	secret_wipe(t, sizeof(t));
}
