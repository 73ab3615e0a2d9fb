#include "core/base/cursor.h"
#include "core/crypto/hash.h"
#include "core/crypto/key.h"

#define RATE 136u /* bytes absorbed per permutation: 200 - 2 * 32 */

static const u64 round_constant[24] = {
	0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000, 0x000000000000808b, 0x0000000080000001,
	0x8000000080008081, 0x8000000000008009, 0x000000000000008a, 0x0000000000000088, 0x0000000080008009, 0x000000008000000a,
	0x000000008000808b, 0x800000000000008b, 0x8000000000008089, 0x8000000000008003, 0x8000000000008002, 0x8000000000000080,
	0x000000000000800a, 0x800000008000000a, 0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
};

/* Rotation and target of each lane along the one cycle that rho and pi make together. */
static const u8 rho[24] = { 1, 3, 6, 10, 15, 21, 28, 36, 45, 55, 2, 14, 27, 41, 56, 8, 25, 43, 62, 18, 39, 61, 20, 44 };
static const u8 pi[24] = { 10, 7, 11, 17, 18, 3, 5, 16, 8, 21, 24, 4, 15, 23, 19, 13, 12, 2, 20, 14, 22, 9, 6, 1 };

static inline u64 rotl(u64 x, unsigned n)
{
	return x << n | x >> (64 - n);
}

static void keccak_f(u64 a[static 25])
{
	u64 c[5];
	for (unsigned round = 0; round < 24; round++) {
		for (unsigned x = 0; x < 5; x++)
			c[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20];
		for (unsigned x = 0; x < 5; x++) {
			u64 d = c[(x + 4) % 5] ^ rotl(c[(x + 1) % 5], 1);
			for (unsigned y = 0; y < 25; y += 5)
				a[y + x] ^= d;
		}
		u64 moving = a[1];
		for (unsigned i = 0; i < 24; i++) {
			u64 next = a[pi[i]];
			a[pi[i]] = rotl(moving, rho[i]);
			moving = next;
		}
		for (unsigned y = 0; y < 25; y += 5) {
			memcpy(c, a + y, sizeof(c));
			for (unsigned x = 0; x < 5; x++)
				a[y + x] = c[x] ^ (~c[(x + 1) % 5] & c[(x + 2) % 5]);
		}
		a[0] ^= round_constant[round];
	}
}

static void absorb(u64 a[static 25], const u8 block[static RATE])
{
	for (unsigned i = 0; i < RATE / 8; i++)
		a[i] ^= get_le64(block + 8 * i);
	keccak_f(a);
}

void sha3_256(u8 out[static SHA256_LEN], struct span in)
{
	u64 a[25] = { 0 };
	u8 last[RATE] = { 0 };
	while (in.n >= RATE) {
		absorb(a, in.p);
		in = SPAN(in.p + RATE, in.n - RATE);
	}
	if (in.n > 0)
		memcpy(last, in.p, in.n);
	last[in.n] = 0x06;
	last[RATE - 1] |= 0x80;
	absorb(a, last);
	for (unsigned i = 0; i < SHA256_LEN / 8; i++)
		put_le64(out + 8 * i, a[i]);
	secret_wipe(a, sizeof(a));
	secret_wipe(last, sizeof(last));
}
