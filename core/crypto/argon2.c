/* Memory is a matrix of blocks, a row for each lane, its columns in four slices; the names are those of RFC 9106 §3. */
#include "core/crypto/argon2.h"

#include "core/base/cursor.h"

#include <sodium.h>
#include <string.h>

#define WORDS 128u /* of a block: 1024 bytes */
#define SLICES 4u
#define ADDRESSES WORDS
#define VERSION 0x13u
#define TYPE_ID 2u
#define OUT_MAX 1024u
#define H0_LEN 64u

struct block {
	u64 v[WORDS];
};

struct matrix {
	struct block *b;
	u32 passes, lanes, blocks, lane_len, segment_len;
};

struct position {
	u32 pass, lane, slice, index;
};

/* ---- the compression function G ------------------------------------------------------------------------------------------------- */

static inline u64 blamka(u64 x, u64 y)
{
	return x + y + 2 * (u64)(u32)x * (u32)y;
}

static inline u64 ror(u64 x, unsigned n)
{
	return x >> n | x << (64 - n);
}

#define QUARTER(a, b, c, d)              \
	do {                             \
		a = blamka(a, b);        \
		d = ror(d ^ a, 32);      \
		c = blamka(c, d);        \
		b = ror(b ^ c, 24);      \
		a = blamka(a, b);        \
		d = ror(d ^ a, 16);      \
		c = blamka(c, d);        \
		b = ror(b ^ c, 63);      \
	} while (0)

/* P over 16 words: pairs at v[i * stride] and the word behind each. */
static inline void permute(u64 *v, size_t stride)
{
	u64 x[16];

	for (size_t i = 0; i < 8; i++) {
		x[2 * i] = v[i * stride];
		x[2 * i + 1] = v[i * stride + 1];
	}
	QUARTER(x[0], x[4], x[8], x[12]);
	QUARTER(x[1], x[5], x[9], x[13]);
	QUARTER(x[2], x[6], x[10], x[14]);
	QUARTER(x[3], x[7], x[11], x[15]);
	QUARTER(x[0], x[5], x[10], x[15]);
	QUARTER(x[1], x[6], x[11], x[12]);
	QUARTER(x[2], x[7], x[8], x[13]);
	QUARTER(x[3], x[4], x[9], x[14]);
	for (size_t i = 0; i < 8; i++) {
		v[i * stride] = x[2 * i];
		v[i * stride + 1] = x[2 * i + 1];
	}
}

/* out = G(x, y), xored onto what was there from the second pass on. */
static void compress(struct block *out, const struct block *x, const struct block *y, bool is_xored)
{
	struct block r, z;

	for (u32 i = 0; i < WORDS; i++)
		r.v[i] = x->v[i] ^ y->v[i];
	z = r;
	for (u32 i = 0; i < 8; i++)
		permute(z.v + 16 * i, 2);
	for (u32 i = 0; i < 8; i++)
		permute(z.v + 2 * i, 16);
	for (u32 i = 0; i < WORDS; i++)
		out->v[i] = (is_xored ? out->v[i] : 0) ^ r.v[i] ^ z.v[i];
}

/* ---- the variable-length hash H' and the first hash -------------------------------------------------------------------------------- */

static void hash_long(u8 *out, size_t n, struct span in)
{
	crypto_generichash_state s;
	u8 v[64], len[4];

	put_le32(len, (u32)n);
	crypto_generichash_init(&s, NULL, 0, MIN(n, sizeof(v)));
	crypto_generichash_update(&s, len, sizeof(len));
	crypto_generichash_update(&s, in.p, in.n);
	crypto_generichash_final(&s, v, MIN(n, sizeof(v)));
	while (n > 64) {
		memcpy(out, v, 32);
		out += 32;
		n -= 32;
		crypto_generichash(v, MIN(n, sizeof(v)), v, sizeof(v), NULL, 0);
	}
	memcpy(out, v, n);
	sodium_memzero(v, sizeof(v));
	sodium_memzero(&s, sizeof(s));
}

static void add_u32(crypto_generichash_state *s, u32 v)
{
	u8 b[4];

	put_le32(b, v);
	crypto_generichash_update(s, b, sizeof(b));
}

static void add_text(crypto_generichash_state *s, struct span text)
{
	add_u32(s, (u32)text.n);
	if (text.n > 0)
		crypto_generichash_update(s, text.p, text.n);
}

static void first_hash(u8 h0[static H0_LEN], size_t out_len, const struct argon2_params *p, struct span password, struct span salt,
		       struct span key, struct span ad)
{
	crypto_generichash_state s;

	crypto_generichash_init(&s, NULL, 0, H0_LEN);
	add_u32(&s, p->lanes);
	add_u32(&s, (u32)out_len);
	add_u32(&s, p->kib);
	add_u32(&s, p->passes);
	add_u32(&s, VERSION);
	add_u32(&s, TYPE_ID);
	add_text(&s, password);
	add_text(&s, salt);
	add_text(&s, key);
	add_text(&s, ad);
	crypto_generichash_final(&s, h0, H0_LEN);
	sodium_memzero(&s, sizeof(s));
}

static void first_columns(const struct matrix *m, const u8 h0[static H0_LEN])
{
	u8 seed[H0_LEN + 8], bytes[sizeof(struct block)];

	memcpy(seed, h0, H0_LEN);
	for (u32 lane = 0; lane < m->lanes; lane++)
		for (u32 col = 0; col < 2; col++) {
			u64 *v = m->b[lane * m->lane_len + col].v;
			put_le32(seed + H0_LEN, col);
			put_le32(seed + H0_LEN + 4, lane);
			hash_long(bytes, sizeof(bytes), SPAN(seed, sizeof(seed)));
			for (u32 i = 0; i < WORDS; i++)
				v[i] = get_le64(bytes + 8 * i);
		}
	sodium_memzero(seed, sizeof(seed));
	sodium_memzero(bytes, sizeof(bytes));
}

/* ---- filling ------------------------------------------------------------------------------------------------------------------------ */

/* Which block of the lane `ref` J1 points to (§3.4.2). */
static u32 reference(const struct matrix *m, const struct position *at, u32 j1, bool is_same_lane)
{
	u32 area;

	if (at->pass == 0)
		area = at->slice * m->segment_len;
	else
		area = m->lane_len - m->segment_len;
	if (is_same_lane)
		area += at->index - 1;
	else if (at->index == 0)
		area--;

	u64 x = (u64)j1 * j1 >> 32;
	u32 back = area - 1 - (u32)((u64)area * x >> 32);
	u32 start = at->pass == 0 || at->slice == SLICES - 1 ? 0 : (at->slice + 1) * m->segment_len;
	return (start + back) % m->lane_len;
}

static void next_addresses(struct block *addresses, struct block *input)
{
	static const struct block zero;

	input->v[6]++;
	compress(addresses, &zero, input, false);
	compress(addresses, &zero, addresses, false);
}

static void fill_segment(const struct matrix *m, struct position at)
{
	/* Argon2id: the first half of the first pass is addressed independently of the password. */
	bool is_independent = at.pass == 0 && at.slice < SLICES / 2;
	struct block addresses, input = { { at.pass, at.lane, at.slice, m->blocks, m->passes, TYPE_ID, 0 } };
	struct block *lane = m->b + (size_t)at.lane * m->lane_len;

	at.index = at.pass == 0 && at.slice == 0 ? 2 : 0;
	if (is_independent)
		next_addresses(&addresses, &input);
	for (; at.index < m->segment_len; at.index++) {
		u32 col = at.slice * m->segment_len + at.index;
		const struct block *prev = lane + (col == 0 ? m->lane_len : col) - 1;

		if (is_independent && at.index > 0 && at.index % ADDRESSES == 0)
			next_addresses(&addresses, &input);
		u64 j = is_independent ? addresses.v[at.index % ADDRESSES] : prev->v[0];
		u32 ref_lane = at.pass == 0 && at.slice == 0 ? at.lane : (u32)(j >> 32) % m->lanes;
		u32 ref = reference(m, &at, (u32)j, ref_lane == at.lane);
		compress(lane + col, prev, m->b + (size_t)ref_lane * m->lane_len + ref, at.pass > 0);
	}
}

static void fill(const struct matrix *m)
{
	for (u32 pass = 0; pass < m->passes; pass++)
		for (u32 slice = 0; slice < SLICES; slice++)
			for (u32 lane = 0; lane < m->lanes; lane++)
				fill_segment(m, (struct position){ .pass = pass, .lane = lane, .slice = slice });
}

static void finish(const struct matrix *m, u8 *out, size_t out_len)
{
	struct block last = m->b[m->lane_len - 1];
	u8 bytes[sizeof(struct block)];

	for (u32 lane = 1; lane < m->lanes; lane++)
		for (u32 i = 0; i < WORDS; i++)
			last.v[i] ^= m->b[(size_t)(lane + 1) * m->lane_len - 1].v[i];
	for (u32 i = 0; i < WORDS; i++)
		put_le64(bytes + 8 * i, last.v[i]);
	hash_long(out, out_len, SPAN(bytes, sizeof(bytes)));
	sodium_memzero(bytes, sizeof(bytes));
	sodium_memzero(&last, sizeof(last));
}

/* ---- doors -------------------------------------------------------------------------------------------------------------------------- */

size_t argon2_memory(const struct argon2_params *p)
{
	if (p->passes < 1 || p->passes > ARGON2_PASSES_MAX || p->lanes < 1 || p->lanes > ARGON2_LANES_MAX || p->kib > ARGON2_KIB_MAX ||
	    p->kib < 8 * p->lanes)
		return 0;
	return (size_t)(p->kib - p->kib % (SLICES * p->lanes)) * sizeof(struct block);
}

int argon2id(u8 *out, size_t out_len, const struct argon2_params *p, struct span password, struct span salt, struct span key, struct span ad,
	     void *memory)
{
	size_t bytes = argon2_memory(p);
	u8 h0[H0_LEN];

	if (bytes == 0 || out_len < 4 || out_len > OUT_MAX || salt.n < 8 || password.n > UINT32_MAX)
		return ERR_INVAL;
	struct matrix m = { .b = memory, .passes = p->passes, .lanes = p->lanes, .blocks = (u32)(bytes / sizeof(struct block)) };
	m.lane_len = m.blocks / m.lanes;
	m.segment_len = m.lane_len / SLICES;

	first_hash(h0, out_len, p, password, salt, key, ad);
	first_columns(&m, h0);
	sodium_memzero(h0, sizeof(h0));
	fill(&m);
	finish(&m, out, out_len);
	return 0;
}
