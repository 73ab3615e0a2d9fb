/* Theory of operation: aead_avx2.h.
 *
 *	seal: order by length → groups of up to LANES → one-time keys (block 0 of each) → encrypt → authenticate
 *	open: likewise, but authenticate first and decrypt only what is genuine
 *
 * ChaCha20 state is sliced: vector w holds word w of eight blocks. Poly1305 numbers are five limbs of 26 bits in 64-bit lanes, four
 * packets to a vector, two vectors side by side to hide the multiplier's latency. What is left of a packet when the shortest of its
 * group ends, the padded last block and the length block are added by the scalar code with the same limbs.
 */
#include "core/crypto/aead_avx2.h"

#if AEAD_HAS_AVX2

#include "core/base/cpu.h"
#include "core/base/cursor.h"

#include <immintrin.h>
#include <sodium.h>

#define LANES 8u
#define BATCH 64u      /* jobs ordered at a time */
#define GROUP_MIN 3u   /* fewer are quicker done by libsodium */
#define BLOCK 64u
#define MAC_BLOCK 16u
#define LIMB_MASK 0x3ffffffu
#define AVX2 __attribute__((target("avx2")))
#define AVX2_INLINE static inline __attribute__((target("avx2"), always_inline))

static const struct aead_kernel *fallback(void)
{
	size_t n;

	return &aead_kernels(&n)[0];
}

bool aead_avx2_is_usable(void)
{
	return cpu_has_avx2();
}

/* --- ChaCha20 (RFC 8439 §2.3), eight blocks ------------------------------------------------------------------------------------- */

struct lane {
	const u8 *key;
	u64 nonce; /* the job's counter */
	u32 block;
	u32 len; /* bytes of `data` that this block covers, 1..BLOCK */
	u8 *data;
};

AVX2_INLINE __m256i rotate(__m256i v, int bits)
{
	return _mm256_or_si256(_mm256_slli_epi32(v, bits), _mm256_srli_epi32(v, 32 - bits));
}

#define QUARTER(a, b, c, d)                                \
	do {                                               \
		a = _mm256_add_epi32(a, b);                \
		d = _mm256_shuffle_epi8(_mm256_xor_si256(d, a), by16); \
		c = _mm256_add_epi32(c, d);                \
		b = rotate(_mm256_xor_si256(b, c), 12);    \
		a = _mm256_add_epi32(a, b);                \
		d = _mm256_shuffle_epi8(_mm256_xor_si256(d, a), by8);  \
		c = _mm256_add_epi32(c, d);                \
		b = rotate(_mm256_xor_si256(b, c), 7);     \
	} while (0)

/* Rows of words to rows of blocks: out[i] = word 0..7 of block i. */
AVX2_INLINE void transpose(const __m256i in[static 8], __m256i out[static 8])
{
	__m256i t[8], u[8];

	for (unsigned i = 0; i < 4; i++) {
		t[2 * i] = _mm256_unpacklo_epi32(in[2 * i], in[2 * i + 1]);
		t[2 * i + 1] = _mm256_unpackhi_epi32(in[2 * i], in[2 * i + 1]);
	}
	for (unsigned i = 0; i < 2; i++) {
		u[4 * i] = _mm256_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
		u[4 * i + 1] = _mm256_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
		u[4 * i + 2] = _mm256_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
		u[4 * i + 3] = _mm256_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
	}
	for (unsigned i = 0; i < 4; i++) {
		out[i] = _mm256_permute2x128_si256(u[i], u[4 + i], 0x20);
		out[4 + i] = _mm256_permute2x128_si256(u[i], u[4 + i], 0x31);
	}
}

AVX2_INLINE __m256i gather_key(const struct lane *l, unsigned word)
{
	u32 w[LANES];

	for (unsigned i = 0; i < LANES; i++)
		w[i] = get_le32(l[i].key + 4 * word);
	return _mm256_loadu_si256((const __m256i *)(const void *)w);
}

AVX2_INLINE void set_up(const struct lane *l, bool is_one_key, __m256i s[static 16])
{
	static const u32 sigma[4] = { 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574 };
	u32 block[LANES], low[LANES], high[LANES];

	for (unsigned i = 0; i < LANES; i++) {
		block[i] = l[i].block;
		low[i] = (u32)l[i].nonce;
		high[i] = (u32)(l[i].nonce >> 32);
	}
	for (unsigned w = 0; w < 4; w++)
		s[w] = _mm256_set1_epi32((int)sigma[w]);
	for (unsigned w = 0; w < 8; w++)
		s[4 + w] = is_one_key ? _mm256_set1_epi32((int)get_le32(l[0].key + 4 * w)) : gather_key(l, w);
	s[12] = _mm256_loadu_si256((const __m256i *)(const void *)block);
	s[13] = _mm256_setzero_si256();
	s[14] = _mm256_loadu_si256((const __m256i *)(const void *)low);
	s[15] = _mm256_loadu_si256((const __m256i *)(const void *)high);
}

/* lo[i], hi[i]: first and second half of lane i's key stream block. */
AVX2_INLINE void key_stream(const struct lane *l, bool is_one_key, __m256i lo[static LANES], __m256i hi[static LANES])
{
	const __m256i by16 = _mm256_set_epi8(13, 12, 15, 14, 9, 8, 11, 10, 5, 4, 7, 6, 1, 0, 3, 2, 13, 12, 15, 14, 9, 8, 11, 10, 5, 4, 7,
					     6, 1, 0, 3, 2);
	const __m256i by8 = _mm256_set_epi8(14, 13, 12, 15, 10, 9, 8, 11, 6, 5, 4, 7, 2, 1, 0, 3, 14, 13, 12, 15, 10, 9, 8, 11, 6, 5, 4,
					    7, 2, 1, 0, 3);
	__m256i s[16], v[16];

	set_up(l, is_one_key, s);
	for (unsigned w = 0; w < 16; w++)
		v[w] = s[w];
	for (unsigned round = 0; round < 10; round++) {
		QUARTER(v[0], v[4], v[8], v[12]);
		QUARTER(v[1], v[5], v[9], v[13]);
		QUARTER(v[2], v[6], v[10], v[14]);
		QUARTER(v[3], v[7], v[11], v[15]);
		QUARTER(v[0], v[5], v[10], v[15]);
		QUARTER(v[1], v[6], v[11], v[12]);
		QUARTER(v[2], v[7], v[8], v[13]);
		QUARTER(v[3], v[4], v[9], v[14]);
	}
	for (unsigned w = 0; w < 16; w++)
		v[w] = _mm256_add_epi32(v[w], s[w]);
	transpose(v, lo);
	transpose(v + 8, hi);
}

AVX2_INLINE void xor32(u8 *p, __m256i k)
{
	__m256i *at = (__m256i *)(void *)p;

	_mm256_storeu_si256(at, _mm256_xor_si256(_mm256_loadu_si256(at), k));
}

AVX2_INLINE void xor_block(const struct lane *l, __m256i lo, __m256i hi)
{
	if (likely(l->len == BLOCK)) {
		xor32(l->data, lo);
		xor32(l->data + 32, hi);
		return;
	}
	u8 k[BLOCK];
	_mm256_storeu_si256((__m256i *)(void *)k, lo);
	_mm256_storeu_si256((__m256i *)(void *)(k + 32), hi);
	for (u32 i = 0; i < l->len; i++)
		l->data[i] ^= k[i];
}

static bool is_one_key(struct aead_job *const *jobs, unsigned n)
{
	for (unsigned i = 1; i < n; i++)
		if (jobs[i]->key != jobs[0]->key)
			return false;
	return true;
}

/* Encrypts or decrypts the jobs, skipping those that `skip` marks. */
AVX2 static void crypt_group(struct aead_job *const *jobs, unsigned n, const bool *skip)
{
	struct lane l[LANES];
	__m256i lo[LANES], hi[LANES];
	bool one_key = is_one_key(jobs, n);
	unsigned used = 0;

	for (unsigned i = 0; i < n; i++) {
		struct aead_job *j = jobs[i];
		if (skip && skip[i])
			continue;
		for (u32 at = 0, block = 1; at < j->len; at += BLOCK, block++) {
			l[used++] = (struct lane){ j->key, j->counter, block, MIN(j->len - at, BLOCK), j->data + at };
			if (used < LANES)
				continue;
			key_stream(l, one_key, lo, hi);
			for (unsigned k = 0; k < LANES; k++)
				xor_block(&l[k], lo[k], hi[k]);
			used = 0;
		}
	}
	if (used == 0)
		return;
	for (unsigned k = used; k < LANES; k++)
		l[k] = l[0];
	key_stream(l, one_key, lo, hi);
	for (unsigned k = 0; k < used; k++)
		xor_block(&l[k], lo[k], hi[k]);
}

/* --- Poly1305 (RFC 8439 §2.5), one packet per lane --------------------------------------------------------------------------------- */

struct mac {
	u64 h[5][LANES], r[5][LANES]; /* limbs of 26 bits */
	u64 pad[2][LANES];
};

/* Block 0 of each packet: r and pad. */
AVX2 static void one_time_keys(struct aead_job *const *jobs, unsigned n, struct mac *m)
{
	struct lane l[LANES];
	__m256i lo[LANES], hi[LANES];
	u8 k[32];

	for (unsigned i = 0; i < LANES; i++) {
		const struct aead_job *j = jobs[i < n ? i : 0];
		l[i] = (struct lane){ .key = j->key, .nonce = j->counter };
	}
	key_stream(l, is_one_key(jobs, n), lo, hi);
	memset(m->h, 0, sizeof(m->h));
	for (unsigned i = 0; i < LANES; i++) {
		_mm256_storeu_si256((__m256i *)(void *)k, lo[i]);
		u64 a = get_le64(k), b = get_le64(k + 8);
		m->r[0][i] = a & 0x3ffffff;
		m->r[1][i] = (a >> 26) & 0x3ffff03;
		m->r[2][i] = ((a >> 52) | (b << 12)) & 0x3ffc0ff;
		m->r[3][i] = (b >> 14) & 0x3f03fff;
		m->r[4][i] = (b >> 40) & 0x00fffff;
		m->pad[0][i] = get_le64(k + 16);
		m->pad[1][i] = get_le64(k + 24);
	}
	sodium_memzero(k, sizeof(k));
}

struct quad {
	__m256i h[5], r[5], s[5]; /* s = 5·r: what wraps beyond 2^130 comes back times 5 */
};

AVX2_INLINE struct quad quad_load(const struct mac *m, unsigned first)
{
	struct quad q;

	for (unsigned i = 0; i < 5; i++) {
		q.h[i] = _mm256_loadu_si256((const __m256i *)(const void *)&m->h[i][first]);
		q.r[i] = _mm256_loadu_si256((const __m256i *)(const void *)&m->r[i][first]);
		q.s[i] = _mm256_add_epi64(q.r[i], _mm256_slli_epi64(q.r[i], 2));
	}
	return q;
}

/* h += the next block of four packets, with its 2^128 bit. */
AVX2_INLINE void quad_add(struct quad *q, const u8 *const p[static 4], size_t at)
{
	const __m256i mask = _mm256_set1_epi64x(LIMB_MASK), top = _mm256_set1_epi64x(1 << 24);
	__m128i x[4];

	for (unsigned i = 0; i < 4; i++)
		x[i] = _mm_loadu_si128((const __m128i *)(const void *)(p[i] + at));
	__m256i a = _mm256_inserti128_si256(_mm256_castsi128_si256(x[0]), x[2], 1);
	__m256i b = _mm256_inserti128_si256(_mm256_castsi128_si256(x[1]), x[3], 1);
	__m256i lo = _mm256_unpacklo_epi64(a, b), hi = _mm256_unpackhi_epi64(a, b);
	__m256i m[5] = {
		_mm256_and_si256(lo, mask),
		_mm256_and_si256(_mm256_srli_epi64(lo, 26), mask),
		_mm256_and_si256(_mm256_or_si256(_mm256_srli_epi64(lo, 52), _mm256_slli_epi64(hi, 12)), mask),
		_mm256_and_si256(_mm256_srli_epi64(hi, 14), mask),
		_mm256_or_si256(_mm256_srli_epi64(hi, 40), top),
	};
	for (unsigned i = 0; i < 5; i++)
		q->h[i] = _mm256_add_epi64(q->h[i], m[i]);
}

#define MUL _mm256_mul_epu32
#define ADD _mm256_add_epi64
#define SUM5(a, b, c, d, e) ADD(ADD(ADD(a, b), ADD(c, d)), e)

/* from → to, keeping 26 bits. */
#define CARRY(from, to)                                      \
	do {                                                 \
		to = ADD(to, _mm256_srli_epi64(from, 26));   \
		from = _mm256_and_si256(from, mask);         \
	} while (0)

/* h = h·r mod 2^130 − 5, limbs a little over 26 bits. */
AVX2_INLINE void quad_mul(struct quad *q)
{
	const __m256i mask = _mm256_set1_epi64x(LIMB_MASK);
	__m256i *h = q->h, *r = q->r, *s = q->s;
	__m256i d0 = SUM5(MUL(h[0], r[0]), MUL(h[1], s[4]), MUL(h[2], s[3]), MUL(h[3], s[2]), MUL(h[4], s[1]));
	__m256i d1 = SUM5(MUL(h[0], r[1]), MUL(h[1], r[0]), MUL(h[2], s[4]), MUL(h[3], s[3]), MUL(h[4], s[2]));
	__m256i d2 = SUM5(MUL(h[0], r[2]), MUL(h[1], r[1]), MUL(h[2], r[0]), MUL(h[3], s[4]), MUL(h[4], s[3]));
	__m256i d3 = SUM5(MUL(h[0], r[3]), MUL(h[1], r[2]), MUL(h[2], r[1]), MUL(h[3], r[0]), MUL(h[4], s[4]));
	__m256i d4 = SUM5(MUL(h[0], r[4]), MUL(h[1], r[3]), MUL(h[2], r[2]), MUL(h[3], r[1]), MUL(h[4], r[0]));

	CARRY(d0, d1);
	CARRY(d3, d4);
	CARRY(d1, d2);
	__m256i over = _mm256_srli_epi64(d4, 26);
	d4 = _mm256_and_si256(d4, mask);
	d0 = ADD(d0, ADD(over, _mm256_slli_epi64(over, 2)));
	CARRY(d2, d3);
	CARRY(d0, d1);
	CARRY(d3, d4);
	h[0] = d0;
	h[1] = d1;
	h[2] = d2;
	h[3] = d3;
	h[4] = d4;
}

AVX2_INLINE void quad_store(const struct quad *q, struct mac *m, unsigned first)
{
	for (unsigned i = 0; i < 5; i++)
		_mm256_storeu_si256((__m256i *)(void *)&m->h[i][first], q->h[i]);
}

AVX2 static void mac_blocks(struct mac *m, const u8 *const data[static LANES], size_t blocks)
{
	struct quad a = quad_load(m, 0), b = quad_load(m, 4);

	for (size_t at = 0; at < blocks * MAC_BLOCK; at += MAC_BLOCK) {
		quad_add(&a, data, at);
		quad_add(&b, data + 4, at);
		quad_mul(&a);
		quad_mul(&b);
	}
	quad_store(&a, m, 0);
	quad_store(&b, m, 4);
}

/* One block of one lane, the same limbs. */
static void mac_block(struct mac *m, unsigned i, u64 lo, u64 hi)
{
	u64 h[5] = {
		m->h[0][i] + (lo & LIMB_MASK),
		m->h[1][i] + ((lo >> 26) & LIMB_MASK),
		m->h[2][i] + (((lo >> 52) | (hi << 12)) & LIMB_MASK),
		m->h[3][i] + ((hi >> 14) & LIMB_MASK),
		m->h[4][i] + ((hi >> 40) | 1 << 24),
	};
	u64 r[5], d[5] = { 0 };

	for (unsigned k = 0; k < 5; k++)
		r[k] = m->r[k][i];
	for (unsigned k = 0; k < 5; k++)
		for (unsigned j = 0; j < 5; j++)
			d[k] += h[j] * (j <= k ? r[k - j] : 5 * r[5 + k - j]);
	for (unsigned k = 0; k < 4; k++) {
		d[k + 1] += d[k] >> 26;
		d[k] &= LIMB_MASK;
	}
	d[0] += 5 * (d[4] >> 26);
	d[4] &= LIMB_MASK;
	d[1] += d[0] >> 26;
	d[0] &= LIMB_MASK;
	for (unsigned k = 0; k < 5; k++)
		m->h[k][i] = d[k];
}

static void mac_tail(struct mac *m, unsigned i, const struct aead_job *j, size_t done)
{
	const u8 *p = j->data + done;
	size_t left = j->len - done;
	u8 last[MAC_BLOCK] = { 0 };

	for (; left >= MAC_BLOCK; left -= MAC_BLOCK, p += MAC_BLOCK)
		mac_block(m, i, get_le64(p), get_le64(p + 8));
	if (left > 0) {
		memcpy(last, p, left);
		mac_block(m, i, get_le64(last), get_le64(last + 8));
	}
	mac_block(m, i, 0, j->len); /* no additional data, then the length */
}

/* Full reduction, then plus pad modulo 2^128. */
static void mac_finish(const struct mac *m, unsigned i, u8 tag[static AEAD_TAG])
{
	u64 h[5], g[5], carry = 0;

	for (unsigned k = 0; k < 5; k++)
		h[k] = m->h[k][i];
	for (unsigned turn = 0; turn < 2; turn++) {
		for (unsigned k = 0; k < 5; k++) {
			h[k] += carry;
			carry = h[k] >> 26;
			h[k] &= LIMB_MASK;
		}
		carry *= 5;
	}
	h[0] += carry;

	carry = 5; /* g = h + 5 − 2^130: not negative exactly when h ≥ p */
	for (unsigned k = 0; k < 5; k++) {
		g[k] = h[k] + carry;
		carry = g[k] >> 26;
		g[k] &= LIMB_MASK;
	}
	u64 take_g = 0 - carry;
	for (unsigned k = 0; k < 5; k++)
		h[k] = (h[k] & ~take_g) | (g[k] & take_g);

	u64 lo = h[0] | h[1] << 26 | h[2] << 52;
	u64 hi = h[2] >> 12 | h[3] << 14 | h[4] << 40;
	u64 sum = lo + m->pad[0][i];
	put_le64(tag, sum);
	put_le64(tag + 8, hi + m->pad[1][i] + (sum < lo));
}

static void authenticate(struct aead_job *const *jobs, unsigned n, struct mac *m, u8 tags[static LANES][AEAD_TAG])
{
	const u8 *data[LANES];
	size_t blocks = jobs[0]->len / MAC_BLOCK;

	for (unsigned i = 0; i < LANES; i++) {
		const struct aead_job *j = jobs[i < n ? i : 0];
		data[i] = j->data;
		blocks = MIN(blocks, (size_t)(j->len / MAC_BLOCK));
	}
	mac_blocks(m, data, blocks);
	for (unsigned i = 0; i < n; i++) {
		mac_tail(m, i, jobs[i], blocks * MAC_BLOCK);
		mac_finish(m, i, tags[i]);
	}
}

/* --- the doors ------------------------------------------------------------------------------------------------------------------- */

static void seal_group(struct aead_job *const *jobs, unsigned n)
{
	struct mac m;
	u8 tags[LANES][AEAD_TAG];

	one_time_keys(jobs, n, &m);
	crypt_group(jobs, n, NULL);
	authenticate(jobs, n, &m, tags);
	for (unsigned i = 0; i < n; i++)
		memcpy(jobs[i]->data + jobs[i]->len, tags[i], AEAD_TAG);
	sodium_memzero(&m, sizeof(m));
}

static void open_group(struct aead_job *const *jobs, unsigned n)
{
	struct mac m;
	u8 tags[LANES][AEAD_TAG];
	bool is_forged[LANES];

	one_time_keys(jobs, n, &m);
	authenticate(jobs, n, &m, tags);
	for (unsigned i = 0; i < n; i++) {
		is_forged[i] = crypto_verify_16(tags[i], jobs[i]->data + jobs[i]->len) != 0;
		jobs[i]->ok = !is_forged[i];
	}
	crypt_group(jobs, n, is_forged);
	sodium_memzero(&m, sizeof(m));
}

/* Like lengths into like groups: insertion sort, as batches are runs of equal lengths with few exceptions. */
static void order_by_length(struct aead_job **jobs, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct aead_job *j = jobs[i];
		size_t at = i;
		for (; at > 0 && jobs[at - 1]->len > j->len; at--)
			jobs[at] = jobs[at - 1];
		jobs[at] = j;
	}
}

static void run(struct aead_job *jobs, size_t n, void (*group)(struct aead_job *const *, unsigned),
		void (*single)(struct aead_job *, size_t))
{
	struct aead_job *order[BATCH];

	while (n > 0) {
		size_t batch = MIN(n, (size_t)BATCH);
		for (size_t i = 0; i < batch; i++)
			order[i] = &jobs[i];
		order_by_length(order, batch);
		for (size_t i = 0; i < batch; i += LANES) {
			unsigned k = (unsigned)MIN(batch - i, (size_t)LANES);
			if (k >= GROUP_MIN)
				group(order + i, k);
			else
				for (unsigned s = 0; s < k; s++)
					single(order[i + s], 1);
		}
		jobs += batch;
		n -= batch;
	}
}

void aead_avx2_seal(struct aead_job *jobs, size_t n)
{
	run(jobs, n, seal_group, fallback()->seal);
}

void aead_avx2_open(struct aead_job *jobs, size_t n)
{
	run(jobs, n, open_group, fallback()->open);
}

#endif
