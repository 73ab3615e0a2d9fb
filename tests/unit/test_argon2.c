#include "core/base/encode.h"
#include "core/crypto/argon2.h"
#include "tests/unit/test.h"

#include <stdlib.h>
#include <string.h>

static const char *hash(const struct argon2_params *p, size_t out_len, struct span password, struct span salt, struct span key, struct span ad)
{
	static char hex[HEX_SIZE(128)];
	u8 out[128];
	void *memory = aligned_alloc(ARGON2_ALIGN, argon2_memory(p));

	hex[0] = '\0';
	if (EXPECT(memory != NULL) && EXPECT_EQ(argon2id(out, out_len, p, password, salt, key, ad, memory), 0))
		hex_encode(hex, sizeof(hex), SPAN(out, out_len));
	free(memory);
	return hex;
}

TEST(rfc9106_5_3_argon2id)
{
	u8 password[32], salt[16], key[8], ad[12];

	memset(password, 1, sizeof(password));
	memset(salt, 2, sizeof(salt));
	memset(key, 3, sizeof(key));
	memset(ad, 4, sizeof(ad));
	EXPECT_STR(hash(&(struct argon2_params){ 3, 32, 4 }, 32, SPAN(password, 32), SPAN(salt, 16), SPAN(key, 8), SPAN(ad, 12)),
		   "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659");
}

/* made by the reference implementation's command line (Debian's argon2): passes, KiB, lanes, length, password, salt */
static const struct {
	struct argon2_params p;
	u32 out_len;
	const char *password, *salt, *hex;
} vectors[] = {
	{ { 1, 8, 1 }, 32, "password", "somesalt",
	  "f137f8e186a403a679ccd0606e5ab5dcdafe43c1640855ac8c6e33e9bd63eeb3" },
	{ { 2, 64, 1 }, 32, "password", "somesalt",
	  "16a1a498734609dd01456da406de9f3d9da93e6c86c300a12fc1465214ce4922" },
	{ { 3, 256, 4 }, 32, "correct-horse", "0123456789abcdef",
	  "6f59c2c20481a8e9420e67f8f6ce55b4da99a3ba0144e527587c1610741a1650" },
	{ { 1, 37, 3 }, 16, "x", "saltsaltsalt",
	  "6d7afbf05daa40bc60aa8e24e56d19a1" },
	{ { 4, 1000, 2 }, 64, "differentpassword", "diffsalt",
	  "39655551014af7e05bd37b74274842498d82b834a554b2b6bfedf02b1fe654309b96a67516310149cad61235e3651a433956c46008fb5b9898df3751f3ad7916" },
	{ { 2, 2048, 1 }, 128, "password", "somesalt",
	  "3044233e0d9f72b7f57461c7567c6d2bd3d6047e5f363db8ab08492391c1bbaf89320cc0b1506f14a1de65c799e11e8b99b06d3379b33388c91f8fa08798c9f1d4b4f8e958aa6b94307039a9c4b986a33bfe36d0b3590e6cc13b339de5e723a76aefdb9b4249adca07b47c86aa73a6d6f3e46e7ebfa407be837be1d29ecdfad0" },
	{ { 3, 4096, 4 }, 32, "password", "somesalt",
	  "a6813fd21d9c8dbbfe5253c381154e1eac25982018a392c5e6578caef42a56b2" },
	{ { 1, 600, 1 }, 33, "password", "somesalt",
	  "8f69a83408d2b57e172dcecc4a4c2aad161ae61bfc660df81fcf0253e856a5f9a7" },
};

TEST(the_reference_implementation_agrees)
{
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++)
		EXPECT_STR(hash(&vectors[i].p, vectors[i].out_len, SPAN(vectors[i].password, strlen(vectors[i].password)),
				SPAN(vectors[i].salt, strlen(vectors[i].salt)), SPAN_NONE, SPAN_NONE),
			   vectors[i].hex);
}

TEST(parameters_outside_the_limits_are_refused)
{
	static const struct argon2_params bad[] = {
		{ 0, 64, 1 }, { 1, 64, 0 }, { 1, 7, 1 }, { 1, 31, 4 }, { ARGON2_PASSES_MAX + 1, 64, 1 },
		{ 1, 1024, ARGON2_LANES_MAX + 1 }, { 1, ARGON2_KIB_MAX + 1, 1 }, { 1, 64, UINT32_MAX },
	};
	u8 out[32], memory[1];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		EXPECT_EQ(argon2_memory(&bad[i]), 0);
		EXPECT_EQ(argon2id(out, sizeof(out), &bad[i], SPAN_STR("x"), SPAN_STR("12345678"), SPAN_NONE, SPAN_NONE, memory), ERR_INVAL);
	}
	struct argon2_params ok = { 1, 8, 1 };
	EXPECT_EQ(argon2_memory(&ok), 8192);
	EXPECT_EQ(argon2id(out, sizeof(out), &ok, SPAN_STR("x"), SPAN_STR("1234567"), SPAN_NONE, SPAN_NONE, memory), ERR_INVAL);
	EXPECT_EQ(argon2id(out, 3, &ok, SPAN_STR("x"), SPAN_STR("12345678"), SPAN_NONE, SPAN_NONE, memory), ERR_INVAL);
}
