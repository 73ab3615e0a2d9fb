#include "core/base/encode.h"
#include "core/base/err.h"
#include "core/base/rng.h"
#include "tests/unit/test.h"

#include <string.h>

typedef int encode_fn(char *out, size_t cap, struct span in);
typedef int decode_fn(u8 *out, size_t cap, struct span text);

static int decode_str(decode_fn *decode, const char *text)
{
	u8 out[64];
	return decode(out, sizeof(out), SPAN(text, strlen(text)));
}

static void expect_pair(encode_fn *encode, decode_fn *decode, const char *plain, const char *text)
{
	char enc[64];
	u8 dec[64];
	EXPECT_EQ(encode(enc, sizeof(enc), SPAN(plain, strlen(plain))), (int)strlen(text));
	EXPECT_STR(enc, text);
	EXPECT_EQ(decode(dec, sizeof(dec), SPAN(text, strlen(text))), (int)strlen(plain));
	EXPECT_MEM(dec, plain, strlen(plain));
}

TEST(rfc4648_vectors)
{
	static const char *const rows[][5] = {
		{ "", "", "", "", "" },
		{ "f", "Zg==", "Zg", "my", "66" },
		{ "fo", "Zm8=", "Zm8", "mzxq", "666f" },
		{ "foo", "Zm9v", "Zm9v", "mzxw6", "666f6f" },
		{ "foob", "Zm9vYg==", "Zm9vYg", "mzxw6yq", "666f6f62" },
		{ "fooba", "Zm9vYmE=", "Zm9vYmE", "mzxw6ytb", "666f6f6261" },
		{ "foobar", "Zm9vYmFy", "Zm9vYmFy", "mzxw6ytboi", "666f6f626172" },
		{ "\xfb\xff\xfe", "+//+", "-__-", "7p774", "fbfffe" },
	};
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		expect_pair(base64_encode, base64_decode, rows[i][0], rows[i][1]);
		expect_pair(base64url_encode, base64url_decode, rows[i][0], rows[i][2]);
		expect_pair(base32_encode, base32_decode, rows[i][0], rows[i][3]);
		expect_pair(hex_encode, hex_decode, rows[i][0], rows[i][4]);
	}
}

TEST(either_case_where_promised)
{
	u8 out[8];
	EXPECT_EQ(base32_decode(out, sizeof(out), SPAN_STR("MZXW6YTBOI")), 6);
	EXPECT_MEM(out, "foobar", 6);
	EXPECT_EQ(hex_decode(out, sizeof(out), SPAN_STR("aBCdEf")), 3);
	EXPECT_MEM(out, "\xab\xcd\xef", 3);
}

TEST(what_is_not_canonical_is_refused)
{
	static const char *const bad64[] = { "Z", "Zg", "Zg=", "Zg===", "=", "====", "Z===", "Zm9v=", "Zm=v", "Zh==", "Zm9=", "Zm9v\n",
					     " Zm9v", "Zm 9", "Zm9-", "Zm9_", "Zg==Zg==", "Zm9v====", "Zm9\x80", "@m9v", "[m9v" };
	static const char *const bad_url[] = { "Z", "Zg==", "Zh", "Zm9", "Zm9v\n", "Zm9+", "Zm9/", "`m9v", "{m9v" };
	static const char *const bad32[] = { "m", "mzx", "mzxw6y", "mz", "my======", "m1", "m8", "m0", "m@" };
	static const char *const bad_hex[] = { "a", "abc", "0g", "0G", "0x12", "0/", "0:", "0@", "0`" };
	for (unsigned i = 0; i < ARRAY_LEN(bad64); i++)
		if (!EXPECT_EQ(decode_str(base64_decode, bad64[i]), ERR_MALFORMED))
			EXPECT_STR(bad64[i], "refused");
	for (unsigned i = 0; i < ARRAY_LEN(bad_url); i++)
		if (!EXPECT_EQ(decode_str(base64url_decode, bad_url[i]), ERR_MALFORMED))
			EXPECT_STR(bad_url[i], "refused");
	for (unsigned i = 0; i < ARRAY_LEN(bad32); i++)
		if (!EXPECT_EQ(decode_str(base32_decode, bad32[i]), ERR_MALFORMED))
			EXPECT_STR(bad32[i], "refused");
	for (unsigned i = 0; i < ARRAY_LEN(bad_hex); i++)
		if (!EXPECT_EQ(decode_str(hex_decode, bad_hex[i]), ERR_MALFORMED))
			EXPECT_STR(bad_hex[i], "refused");
}

/* Each byte value is a character of the alphabet or is refused: nothing in between. */
TEST(exactly_the_alphabet_is_accepted)
{
	static const struct {
		decode_fn *decode;
		unsigned count;
		unsigned width;
	} rows[] = { { base64_decode, 64, 4 }, { base64url_decode, 64, 4 }, { base32_decode, 26 + 32, 8 }, { hex_decode, 22, 2 } };
	for (unsigned r = 0; r < ARRAY_LEN(rows); r++) {
		unsigned accepted = 0;
		for (unsigned c = 0; c < 256; c++) {
			u8 text[8], out[8];
			memset(text, rows[r].width == 2 ? '0' : 'A', sizeof(text));
			text[1] = (u8)c;
			accepted += rows[r].decode(out, sizeof(out), SPAN(text, rows[r].width)) > 0;
		}
		EXPECT_EQ(accepted, rows[r].count);
	}
}

TEST(too_small_a_buffer_is_never_overrun)
{
	char text[9];
	u8 bytes[4];
	memset(text, 'x', sizeof(text));
	EXPECT_EQ(base64_encode(text, 8, SPAN_STR("fooba")), ERR_TRUNCATED);
	EXPECT_EQ(text[0], '\0');
	EXPECT_EQ(text[8], 'x');
	EXPECT_EQ(base64_encode(text, 9, SPAN_STR("fooba")), 8);
	EXPECT_EQ(base64_encode(text, 0, SPAN_STR("")), ERR_TRUNCATED);
	EXPECT_EQ(base64_decode(bytes, 4, SPAN_STR("Zm9vYmE=")), ERR_TRUNCATED);
	EXPECT_EQ(base64_decode(bytes, 4, SPAN_STR("Zm9vYg==")), 4);
	EXPECT_EQ(hex_encode(text, sizeof(text), SPAN(bytes, ENCODE_MAX + 1)), ERR_LIMIT);
	EXPECT_EQ(hex_decode(bytes, sizeof(bytes), SPAN(text, ENCODE_MAX + 1)), ERR_LIMIT);
}

TEST(sizes_are_exact_and_bytes_survive_the_round_trip)
{
	struct rng_seeded r;
	u8 in[100], out[100];
	char text[HEX_SIZE(100)];
	rng_seeded_init(&r, 5);
	for (size_t n = 0; n <= sizeof(in); n++) {
		rng_fill(&r.rng, in, sizeof(in));
		struct span s = SPAN(in, n);
		int len = base64_encode(text, BASE64_SIZE(n), s);
		EXPECT_EQ(len, BASE64_SIZE(n) - 1);
		EXPECT_EQ(base64_decode(out, n, SPAN(text, len)), n);
		EXPECT_MEM(out, in, n);
		len = base64url_encode(text, BASE64URL_SIZE(n), s);
		EXPECT_EQ(len, BASE64URL_SIZE(n) - 1);
		EXPECT_EQ(base64url_decode(out, n, SPAN(text, len)), n);
		EXPECT_MEM(out, in, n);
		len = base32_encode(text, BASE32_SIZE(n), s);
		EXPECT_EQ(len, BASE32_SIZE(n) - 1);
		EXPECT_EQ(base32_decode(out, n, SPAN(text, len)), n);
		EXPECT_MEM(out, in, n);
		len = hex_encode(text, HEX_SIZE(n), s);
		EXPECT_EQ(len, HEX_SIZE(n) - 1);
		EXPECT_EQ(hex_decode(out, n, SPAN(text, len)), n);
		EXPECT_MEM(out, in, n);
	}
}
