#include "core/ip/checksum.h"

#include "core/base/cpu.h"

/* A vector of 32-bit lanes gathers both 16-bit halves of what it reads: with four sums of two additions a round, 2^15 rounds fit before a lane
 * could overflow. Sixteen bytes suit SSE2 and NEON, gcc splits them where there is neither; thirty-two take half the time with AVX2. */
#define ROUNDS_MAX 8192u
#define DEFINE_SUM_BLOCKS(name, lanes)                                          \
	static u64 name(u64 sum, const u8 *p, size_t blocks)                    \
	{                                                                       \
		lanes a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 };               \
		for (size_t i = 0; i < blocks * (BLOCK / (2 * sizeof(lanes))); i++) { \
			lanes x, y;                                             \
			memcpy(&x, p, sizeof(x));                               \
			memcpy(&y, p + sizeof(x), sizeof(y));                   \
			a += x & 0xffffu;                                       \
			b += x >> 16;                                           \
			c += y & 0xffffu;                                       \
			d += y >> 16;                                           \
			p += 2 * sizeof(lanes);                                 \
		}                                                               \
		for (unsigned i = 0; i < sizeof(lanes) / sizeof(u32); i++)      \
			sum += (u64)a[i] + b[i] + c[i] + d[i];                  \
		return sum;                                                     \
	}

#define BLOCK 64u
typedef u32 lanes16 __attribute__((vector_size(16)));
DEFINE_SUM_BLOCKS(sum_blocks_16, lanes16)

#ifdef __x86_64__
typedef u32 lanes32 __attribute__((vector_size(32)));
__attribute__((target("avx2"))) DEFINE_SUM_BLOCKS(sum_blocks_32, lanes32)

static u64 sum_blocks(u64 sum, const u8 *p, size_t blocks)
{
	return cpu_has_avx2() ? sum_blocks_32(sum, p, blocks) : sum_blocks_16(sum, p, blocks);
}
#else
#define sum_blocks sum_blocks_16
#endif

u64 csum_add(u64 sum, const u8 *p, size_t n)
{
	while (n >= BLOCK) {
		size_t blocks = MIN(n / BLOCK, (size_t)ROUNDS_MAX);
		sum = sum_blocks(sum, p, blocks);
		p += blocks * BLOCK;
		n -= blocks * BLOCK;
	}
	for (; n >= 4; p += 4, n -= 4) {
		u32 w;
		memcpy(&w, p, 4);
		sum += w;
	}
	if (n >= 2) {
		u16 w;
		memcpy(&w, p, 2);
		sum += w;
		p += 2;
		n -= 2;
	}
	if (n == 1) {
		u8 last[2] = { p[0], 0 };
		u16 w;
		memcpy(&w, last, 2);
		sum += w;
	}
	return sum;
}

u16 csum_update(u16 check, const u8 *from, const u8 *to, size_t n)
{
	for (size_t i = 0; i + 1 < n; i += 2)
		check = csum_update16(check, get_be16(from + i), get_be16(to + i));
	return check;
}
