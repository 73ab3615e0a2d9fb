#include "core/base/qr.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define BLOCKS_MAX 16u
#define BLOCK_ECC_MAX 30u
#define CODEWORDS_MAX 1085u /* version 20 */
#define MASKS 8u

/* Level M, by version: check words of a block, number of blocks (table 9 of the standard). */
static const struct {
	u8 ecc, blocks;
} versions[QR_VERSION_MAX + 1] = {
	{ 0, 0 },   { 10, 1 }, { 16, 1 }, { 26, 1 }, { 18, 2 },	 { 24, 2 },  { 16, 4 },	 { 18, 4 },  { 22, 4 },	 { 22, 5 },  { 26, 5 },
	{ 30, 5 }, { 22, 8 }, { 22, 9 }, { 24, 9 }, { 24, 10 }, { 28, 10 }, { 28, 11 }, { 26, 13 }, { 26, 14 }, { 26, 16 },
};

static u32 version_of(const struct qr *q)
{
	return (q->size - 17) / 4;
}

static u32 alignments(u32 version)
{
	return version == 1 ? 0 : version / 7 + 2;
}

/* Codewords of data and check together. */
static u32 capacity(u32 version)
{
	u32 bits = (16 * version + 128) * version + 64, n = alignments(version);

	if (n > 0)
		bits -= (25 * n - 10) * n - 55;
	if (version >= 7)
		bits -= 36;
	return bits / 8;
}

static u32 data_capacity(u32 version)
{
	return capacity(version) - (u32)versions[version].ecc * versions[version].blocks;
}

/* ---- squares ---------------------------------------------------------------------------------------------------------------------------- */

static bool get(const u8 *bits, u32 i)
{
	return bits[i / 8] >> (i % 8) & 1;
}

static void put(u8 *bits, u32 i, bool v)
{
	bits[i / 8] = (u8)((bits[i / 8] & ~(1u << (i % 8))) | (u32)v << (i % 8));
}

bool qr_is_dark(const struct qr *q, int x, int y)
{
	return x >= 0 && y >= 0 && x < (int)q->size && y < (int)q->size && get(q->dark, (u32)y * q->size + (u32)x);
}

static void fix(struct qr *q, int x, int y, bool is_dark)
{
	if (x < 0 || y < 0 || x >= (int)q->size || y >= (int)q->size)
		return;
	u32 i = (u32)y * q->size + (u32)x;
	put(q->dark, i, is_dark);
	put(q->fixed, i, true);
}

static void draw_rings(struct qr *q, int cx, int cy, int radius)
{
	for (int dy = -radius; dy <= radius; dy++)
		for (int dx = -radius; dx <= radius; dx++) {
			int ring = abs(dx) > abs(dy) ? abs(dx) : abs(dy);
			fix(q, cx + dx, cy + dy, radius == 2 ? ring != 1 : ring != 2 && ring != 4);
		}
}

static int alignment_at(const struct qr *q, u32 i)
{
	u32 version = version_of(q), n = alignments(version);
	u32 step = (version * 4 + n * 2 + 1) / (n * 2 - 2) * 2;

	return i == 0 ? 6 : (int)(q->size - 7 - (n - 1 - i) * step);
}

static void draw_version(struct qr *q)
{
	u32 version = version_of(q), rest = version;

	if (version < 7)
		return;
	for (u32 i = 0; i < 12; i++)
		rest = rest << 1 ^ (rest >> 11) * 0x1f25;
	u32 bits = version << 12 | rest;
	for (u32 i = 0; i < 18; i++) {
		int a = (int)(q->size - 11 + i % 3), b = (int)(i / 3);
		fix(q, a, b, bits >> i & 1);
		fix(q, b, a, bits >> i & 1);
	}
}

static void draw_format(struct qr *q, u32 mask)
{
	u32 data = mask, rest = data; /* level M is 0 */
	int n = (int)q->size;

	for (u32 i = 0; i < 10; i++)
		rest = rest << 1 ^ (rest >> 9) * 0x537;
	u32 bits = (data << 10 | rest) ^ 0x5412;
	for (int i = 0; i < 15; i++) {
		bool is_dark = bits >> i & 1;
		/* around the upper left corner, leaving out the timing pattern */
		if (i < 8)
			fix(q, 8, i < 6 ? i : i + 1, is_dark);
		else
			fix(q, i == 8 ? 7 : 14 - i, 8, is_dark);
		/* and split between the other two */
		if (i < 8)
			fix(q, n - 1 - i, 8, is_dark);
		else
			fix(q, 8, n - 15 + i, is_dark);
	}
	fix(q, 8, n - 8, true);
}

static void draw_patterns(struct qr *q)
{
	int n = (int)q->size;
	u32 count = alignments(version_of(q));

	for (int i = 0; i < n; i++) {
		fix(q, 6, i, i % 2 == 0);
		fix(q, i, 6, i % 2 == 0);
	}
	draw_rings(q, 3, 3, 4);
	draw_rings(q, n - 4, 3, 4);
	draw_rings(q, 3, n - 4, 4);
	for (u32 i = 0; i < count; i++)
		for (u32 j = 0; j < count; j++)
			if (!(i == 0 && j == 0) && !(i == 0 && j == count - 1) && !(i == count - 1 && j == 0))
				draw_rings(q, alignment_at(q, i), alignment_at(q, j), 2);
	draw_format(q, 0);
	draw_version(q);
}

/* ---- codewords --------------------------------------------------------------------------------------------------------------------------- */

/* In GF(256) with x^8 + x^4 + x^3 + x^2 + 1. */
static u8 multiply(u8 a, u8 b)
{
	u32 r = 0;

	for (int i = 7; i >= 0; i--)
		r = (r << 1 ^ (r >> 7) * 0x11d) ^ (b >> i & 1u) * a;
	return (u8)r;
}

static void reed_solomon(const u8 *data, u32 n, u8 *ecc, u32 degree)
{
	u8 divisor[BLOCK_ECC_MAX] = { 0 }, root = 1;

	divisor[degree - 1] = 1;
	for (u32 i = 0; i < degree; i++, root = multiply(root, 2))
		for (u32 j = 0; j < degree; j++)
			divisor[j] = (u8)(multiply(divisor[j], root) ^ (j + 1 < degree ? divisor[j + 1] : 0));
	memset(ecc, 0, degree);
	for (u32 i = 0; i < n; i++) {
		u8 factor = data[i] ^ ecc[0];
		memmove(ecc, ecc + 1, degree - 1);
		ecc[degree - 1] = 0;
		for (u32 j = 0; j < degree; j++)
			ecc[j] ^= multiply(divisor[j], factor);
	}
}

static void put_bits(u8 *out, u32 *at, u32 value, u32 n)
{
	while (n-- > 0) {
		out[*at / 8] = (u8)(out[*at / 8] | (value >> n & 1) << (7 - *at % 8));
		(*at)++;
	}
}

static void make_data(u8 *out, u32 version, struct span text)
{
	u32 n = data_capacity(version), at = 0;

	memset(out, 0, n);
	put_bits(out, &at, 4, 4); /* bytes */
	put_bits(out, &at, (u32)text.n, version < 10 ? 8 : 16);
	for (size_t i = 0; i < text.n; i++)
		put_bits(out, &at, text.p[i], 8);
	put_bits(out, &at, 0, n * 8 - at < 4 ? n * 8 - at : 4);
	for (u32 i = (at + 7) / 8, pad = 0; i < n; i++, pad ^= 1)
		out[i] = pad ? 0x11 : 0xec;
}

/* Blocks of which the first are one word shorter, read across. */
static void interleave(const u8 *data, u32 version, u8 *out)
{
	u32 blocks = versions[version].blocks, degree = versions[version].ecc, total = data_capacity(version);
	u32 shorter = total / blocks, n_short = blocks - total % blocks, at = 0;
	u8 ecc[BLOCKS_MAX][BLOCK_ECC_MAX];
	const u8 *start[BLOCKS_MAX];

	for (u32 b = 0; b < blocks; b++) {
		u32 n = shorter + (b >= n_short);
		start[b] = data;
		reed_solomon(data, n, ecc[b], degree);
		data += n;
	}
	for (u32 i = 0; i <= shorter; i++)
		for (u32 b = 0; b < blocks; b++)
			if (i < shorter || b >= n_short)
				out[at++] = start[b][i];
	for (u32 i = 0; i < degree; i++)
		for (u32 b = 0; b < blocks; b++)
			out[at++] = ecc[b][i];
}

/* Up and down in columns of two, from the right; column 6 is the timing pattern's. */
static void draw_words(struct qr *q, const u8 *words, u32 n_bits)
{
	u32 at = 0;
	bool is_up = true;

	for (int right = (int)q->size - 1; right > 0; right -= 2, is_up = !is_up) {
		if (right == 6)
			right--;
		for (u32 v = 0; v < q->size; v++)
			for (int j = 0; j < 2; j++) {
				u32 y = is_up ? q->size - 1 - v : v, i = y * q->size + (u32)(right - j);
				if (get(q->fixed, i))
					continue;
				put(q->dark, i, at < n_bits && (words[at / 8] >> (7 - at % 8) & 1));
				at++;
			}
	}
}

/* ---- masks ------------------------------------------------------------------------------------------------------------------------------------ */

static bool is_masked(u32 mask, u32 x, u32 y)
{
	switch (mask) {
	case 0: return (x + y) % 2 == 0;
	case 1: return y % 2 == 0;
	case 2: return x % 3 == 0;
	case 3: return (x + y) % 3 == 0;
	case 4: return (x / 3 + y / 2) % 2 == 0;
	case 5: return x * y % 2 + x * y % 3 == 0;
	case 6: return (x * y % 2 + x * y % 3) % 2 == 0;
	default: return ((x + y) % 2 + x * y % 3) % 2 == 0;
	}
}

static void apply(struct qr *q, u32 mask)
{
	for (u32 i = 0; i < q->size * q->size; i++)
		if (!get(q->fixed, i) && is_masked(mask, i % q->size, i / q->size))
			put(q->dark, i, !get(q->dark, i));
}

/* Along one line: rows of five and more of a colour, and what looks like a finder. */
static u32 line_penalty(const struct qr *q, u32 line, bool is_column)
{
	u32 penalty = 0, run = 0, window = 0;
	bool before = false;

	for (u32 i = 0; i < q->size; i++) {
		bool is_dark = is_column ? qr_is_dark(q, (int)line, (int)i) : qr_is_dark(q, (int)i, (int)line);
		run = i > 0 && is_dark == before ? run + 1 : 1;
		penalty += run == 5 ? 3 : run > 5 ? 1 : 0;
		before = is_dark;
		window = (window << 1 | is_dark) & 0x7ff;
		if (i >= 10 && (window == 0x05d || window == 0x5d0))
			penalty += 40;
	}
	return penalty;
}

static u32 penalty_of(const struct qr *q)
{
	u32 penalty = 0, dark = 0, all = q->size * q->size;

	for (u32 i = 0; i < q->size; i++)
		penalty += line_penalty(q, i, false) + line_penalty(q, i, true);
	for (int y = 0; y < (int)q->size; y++)
		for (int x = 0; x < (int)q->size; x++) {
			bool c = qr_is_dark(q, x, y);
			dark += c;
			if (x + 1 < (int)q->size && y + 1 < (int)q->size && c == qr_is_dark(q, x + 1, y) && c == qr_is_dark(q, x, y + 1) &&
			    c == qr_is_dark(q, x + 1, y + 1))
				penalty += 3;
		}
	u32 off = (u32)abs((int)(dark * 20) - (int)(all * 10));
	return penalty + off / all * 10;
}

int qr_encode(struct qr *q, struct span text)
{
	u8 data[CODEWORDS_MAX], words[CODEWORDS_MAX];
	u32 version = 1, best = 0, least = UINT_MAX;

	memset(q, 0, sizeof(*q));
	while (version <= QR_VERSION_MAX && (text.n + (version < 10 ? 2 : 3)) > data_capacity(version))
		version++;
	if (version > QR_VERSION_MAX)
		return ERR_LIMIT;
	q->size = 17 + 4 * version;
	make_data(data, version, text);
	interleave(data, version, words);
	draw_patterns(q);
	draw_words(q, words, capacity(version) * 8);
	for (u32 mask = 0; mask < MASKS; mask++) {
		apply(q, mask);
		draw_format(q, mask);
		u32 penalty = penalty_of(q);
		if (penalty < least) {
			least = penalty;
			best = mask;
		}
		apply(q, mask);
	}
	apply(q, best);
	draw_format(q, best);
	return 0;
}
