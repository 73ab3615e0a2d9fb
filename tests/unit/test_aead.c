/* Every kernel of the AEAD table against libsodium's single-shot function: lengths, batches, forgeries, edge cases of the field. */
#include "core/base/encode.h"
#include "core/base/rng.h"
#include "core/crypto/aead.h"
#include "tests/unit/test.h"

#include <string.h>

#define LEN_MAX 2000u
#define BATCH_MAX 41u
#define SLOT (LEN_MAX + AEAD_TAG + 16u)

static struct {
	u8 keys[BATCH_MAX][AEAD_KEY];
	u8 plain[BATCH_MAX][SLOT];
	u8 want[BATCH_MAX][SLOT];
	u8 data[BATCH_MAX][SLOT];
	struct aead_job jobs[BATCH_MAX];
} b;

static void fill_job(struct rng *rng, unsigned i, u32 len, bool has_shared_key)
{
	rng_fill(rng, b.keys[i], AEAD_KEY);
	rng_fill(rng, b.plain[i], SLOT);
	memcpy(b.data[i], b.plain[i], SLOT);
	b.jobs[i] = (struct aead_job){ .key = b.keys[has_shared_key ? 0 : i], .counter = rng_u64(rng), .data = b.data[i], .len = len };
	if (rng_below(rng, 4) == 0)
		b.jobs[i].counter = UINT64_MAX - rng_below(rng, 3);
	memcpy(b.want[i], b.plain[i], SLOT);
	aead_seal_ad(b.jobs[i].key, b.jobs[i].counter, SPAN_NONE, SPAN(b.plain[i], len), b.want[i]);
}

/* Seals the first n jobs, compares, flips one bit somewhere, opens, compares. */
static bool round_trip(const struct aead_kernel *k, struct rng *rng, unsigned n)
{
	k->seal(b.jobs, n);
	for (unsigned i = 0; i < n; i++) {
		if (!EXPECT_MEM(b.data[i], b.want[i], SLOT)) /* the bytes behind the tag too */
			return false;
	}
	unsigned victim = (unsigned)rng_below(rng, n);
	u64 bit = rng_below(rng, ((u64)b.jobs[victim].len + AEAD_TAG) * 8);
	b.data[victim][bit / 8] ^= (u8)(1u << bit % 8);
	k->open(b.jobs, n);
	for (unsigned i = 0; i < n; i++) {
		if (!EXPECT_EQ(b.jobs[i].ok, i != victim))
			return false;
		if (i != victim && !EXPECT_MEM(b.data[i], b.plain[i], b.jobs[i].len))
			return false;
	}
	return true;
}

static void for_each_kernel(void (*check)(const struct aead_kernel *k, struct rng *rng))
{
	size_t n;
	struct rng_seeded r;
	REQUIRE(aead_init() == 0);
	const struct aead_kernel *k = aead_kernels(&n);
	for (size_t i = 0; i < n; i++) {
		if (!k[i].is_usable())
			continue;
		rng_seeded_init(&r, 1000 + i);
		check(&k[i], &r.rng);
	}
}

static void check_every_length(const struct aead_kernel *k, struct rng *rng)
{
	for (u32 len = 0; len <= LEN_MAX; len++) {
		unsigned n = 1 + len % 9;
		for (unsigned i = 0; i < n; i++)
			fill_job(rng, i, len, false);
		if (!round_trip(k, rng, n))
			return;
	}
}

TEST(every_kernel_agrees_at_every_length)
{
	for_each_kernel(check_every_length);
}

static void check_mixed_batches(const struct aead_kernel *k, struct rng *rng)
{
	for (unsigned round = 0; round < 600; round++) {
		unsigned n = 1 + (unsigned)rng_below(rng, BATCH_MAX);
		u32 common = (u32)rng_below(rng, LEN_MAX + 1);
		bool has_shared_key = rng_below(rng, 2) == 0;
		for (unsigned i = 0; i < n; i++) {
			u32 len = common;
			if (rng_below(rng, 3) == 0)
				len = (u32)rng_below(rng, rng_below(rng, 2) == 0 ? 65 : LEN_MAX + 1);
			fill_job(rng, i, len, has_shared_key);
		}
		if (!round_trip(k, rng, n))
			return;
	}
}

TEST(every_kernel_agrees_on_mixed_batches)
{
	for_each_kernel(check_mixed_batches);
}

/* Ciphertexts of all ones and all zeros drive the Poly1305 accumulator to its carries. They are made by sealing the key stream. */
static void check_extreme_ciphertexts(const struct aead_kernel *k, struct rng *rng)
{
	for (unsigned round = 0; round < 300; round++) {
		unsigned n = 1 + (unsigned)rng_below(rng, 17);
		u8 fills[] = { 0xff, 0x00, 0xfb, 0x01 };
		for (unsigned i = 0; i < n; i++) {
			fill_job(rng, i, (u32)rng_below(rng, 400), false);
			memset(b.plain[i], 0, SLOT);
			aead_seal_ad(b.jobs[i].key, b.jobs[i].counter, SPAN_NONE, SPAN(b.plain[i], b.jobs[i].len), b.want[i]);
			u8 fill = fills[rng_below(rng, ARRAY_LEN(fills))];
			for (u32 p = 0; p < b.jobs[i].len; p++)
				b.plain[i][p] = b.want[i][p] ^ fill;
			memcpy(b.data[i], b.plain[i], SLOT);
			memcpy(b.want[i], b.plain[i], SLOT);
			aead_seal_ad(b.jobs[i].key, b.jobs[i].counter, SPAN_NONE, SPAN(b.plain[i], b.jobs[i].len), b.want[i]);
		}
		if (!round_trip(k, rng, n))
			return;
	}
}

TEST(every_kernel_agrees_on_extreme_ciphertexts)
{
	for_each_kernel(check_extreme_ciphertexts);
}

static void check_unaligned(const struct aead_kernel *k, struct rng *rng)
{
	static u8 arena[64 * 16 + 64];
	for (unsigned shift = 0; shift < 64; shift++) {
		struct aead_job jobs[4];
		for (unsigned i = 0; i < 4; i++) {
			fill_job(rng, i, 100 + i, false);
			jobs[i] = b.jobs[i];
			jobs[i].data = arena + shift + i * 160;
			memcpy(jobs[i].data, b.plain[i], jobs[i].len);
		}
		k->seal(jobs, 4);
		for (unsigned i = 0; i < 4; i++)
			EXPECT_MEM(jobs[i].data, b.want[i], jobs[i].len + AEAD_TAG);
	}
}

TEST(every_kernel_takes_any_alignment)
{
	for_each_kernel(check_unaligned);
}

static void check_empty_batch(const struct aead_kernel *k, struct rng *rng)
{
	(void)rng;
	k->seal(NULL, 0);
	k->open(NULL, 0);
}

TEST(every_kernel_takes_an_empty_batch)
{
	for_each_kernel(check_empty_batch);
}
