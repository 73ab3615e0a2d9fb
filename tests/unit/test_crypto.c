#include "core/base/encode.h"
#include "core/base/err.h"
#include "core/crypto/aead.h"
#include "core/crypto/hash.h"
#include "core/crypto/key.h"
#include "tests/unit/test.h"

#include <stdlib.h>
#include <string.h>

static struct span unhex(const char *text)
{
	static u8 pool[4096];
	static size_t at;
	if (at + strlen(text) / 2 > sizeof(pool))
		at = 0;
	u8 *p = pool + at;
	int n = hex_decode(p, sizeof(pool) - at, SPAN(text, strlen(text)));
	EXPECT(n >= 0);
	at += (size_t)n;
	return SPAN(p, n);
}

#define EXPECT_HEX(got, text) EXPECT_MEM(got, unhex(text).p, strlen(text) / 2)

/* 0, 1, 2, ... 255, 0, 1, ... */
static const u8 *counting(void)
{
	static u8 bytes[1024];
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (u8)i;
	return bytes;
}

/* --- BLAKE2s (RFC 7693) --------------------------------------------------------------------------------------------------- */

TEST(blake2s_of_abc)
{
	u8 out[32];
	blake2s(out, 32, SPAN_NONE, SPAN_STR("abc"));
	EXPECT_HEX(out, "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982");
}

static void selftest_seq(u8 *out, size_t n, u32 seed)
{
	u32 a = 0xDEAD4BADu * seed, b = 1;
	for (size_t i = 0; i < n; i++) {
		u32 t = a + b;
		a = b;
		b = t;
		out[i] = (u8)(t >> 24);
	}
}

/* RFC 7693 appendix E: keyed and unkeyed, every interesting length. */
TEST(blake2s_self_test)
{
	static const size_t out_lens[] = { 16, 20, 28, 32 }, in_lens[] = { 0, 3, 64, 65, 255, 1024 };
	struct blake2s all;
	u8 in[1024], key[32], md[32];
	blake2s_init(&all, 32, SPAN_NONE);
	for (unsigned i = 0; i < ARRAY_LEN(out_lens); i++) {
		for (unsigned j = 0; j < ARRAY_LEN(in_lens); j++) {
			selftest_seq(in, in_lens[j], (u32)in_lens[j]);
			blake2s(md, out_lens[i], SPAN_NONE, SPAN(in, in_lens[j]));
			blake2s_update(&all, SPAN(md, out_lens[i]));
			selftest_seq(key, out_lens[i], (u32)out_lens[i]);
			blake2s(md, out_lens[i], SPAN(key, out_lens[i]), SPAN(in, in_lens[j]));
			blake2s_update(&all, SPAN(md, out_lens[i]));
		}
	}
	blake2s_final(&all, md);
	EXPECT_HEX(md, "6a411f08ce25adcdfb02aba641451cec53c598b24f4fc787fbdc88797f4c1dfe");
	EXPECT(secret_is_zero(&all, sizeof(all)));
}

TEST(blake2s_in_pieces_equals_blake2s_at_once)
{
	const u8 *in = counting();
	u8 whole[32], pieces[32];
	blake2s(whole, 32, SPAN_NONE, SPAN(in, 300));
	for (size_t step = 1; step < 130; step++) {
		struct blake2s s;
		blake2s_init(&s, 32, SPAN_NONE);
		for (size_t at = 0; at < 300; at += step)
			blake2s_update(&s, SPAN(in + at, MIN(step, 300 - at)));
		blake2s_final(&s, pieces);
		EXPECT_MEM(pieces, whole, 32);
	}
}

TEST(hmac_blake2s_with_short_and_long_keys)
{
	u8 out[32], key[131];
	hmac_blake2s(out, SPAN_STR("Jefe"), SPAN_STR("what do ya want for nothing?"));
	EXPECT_HEX(out, "90b6281e2f3038c9056af0b4a7e763cae6fe5d9eb4386a0ec95237890c104ff0");
	memset(key, 0xaa, sizeof(key));
	hmac_blake2s(out, SPAN(key, sizeof(key)), SPAN_STR("Test Using Larger Than Block-Size Key - Hash Key First"));
	EXPECT_HEX(out, "d23d79394f53d536a096e6514447eeaabb05ded01be32c1937da6a8f7103bc4e");
}

TEST(wg_kdf_gives_one_to_three_keys_and_may_overwrite_its_input)
{
	u8 ck[32], t2[32], t3[32];
	memcpy(ck, counting(), 32);
	wg_kdf(ck, SPAN_STR("input"), NULL, t2, NULL);
	EXPECT_HEX(t2, "538a02e1eb2e31b7e4d4b82476d1fe2acf50085d3fb584537279195f5d1f5824");
	wg_kdf(ck, SPAN_STR("input"), ck, t2, t3);
	EXPECT_HEX(ck, "87b7f70b24183c6db5dc4f6d9f4c47cdb203321aa2a0bef714896adb3107a040");
	EXPECT_HEX(t2, "538a02e1eb2e31b7e4d4b82476d1fe2acf50085d3fb584537279195f5d1f5824");
	EXPECT_HEX(t3, "9ad858025593be88de0f9442a589cfe84a88dc19e4753d93684d1c5efc4837f9");
}

/* --- the older hashes -------------------------------------------------------------------------------------------------------- */

typedef void hash_fn(u8 *out, struct span in);

static void sha1_any(u8 *out, struct span in)
{
	sha1(out, in);
}

static void md5_any(u8 *out, struct span in)
{
	md5(out, in);
}

static void sha256_any(u8 *out, struct span in)
{
	sha256(out, in);
}

static void sha3_any(u8 *out, struct span in)
{
	sha3_256(out, in);
}

/* The published vectors, and a chain over lengths around the block borders (reference value from Python's hashlib). */
TEST(hashes_match_their_vectors)
{
	static const size_t lens[] = { 0, 1, 3, 55, 56, 63, 64, 65, 111, 112, 127, 128, 135, 136, 137, 200, 271, 272, 273, 1000 };
	static const struct {
		hash_fn *hash;
		size_t len;
		const char *empty, *abc, *chain;
	} rows[] = {
		{ md5_any, 16, "d41d8cd98f00b204e9800998ecf8427e", "900150983cd24fb0d6963f7d28e17f72",
		  "9362a4791462a5410c7cf5348d0eb859" },
		{ sha1_any, 20, "da39a3ee5e6b4b0d3255bfef95601890afd80709", "a9993e364706816aba3e25717850c26c9cd0d89d",
		  "558849cdae5e16ff87c041b761cf7ecd37d4e731" },
		{ sha256_any, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		  "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		  "3ae933b3791a15c358df4fc5d9cff9a8a5b5b0aea899d6ebcdb4b32543f18779" },
		{ sha3_any, 32, "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a",
		  "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532",
		  "cabacca7a845d6dce9179c03242b3557c8267f67738008ba3271e06c5e9e3d97" },
	};
	for (unsigned r = 0; r < ARRAY_LEN(rows); r++) {
		u8 out[32], in[32 + 1000];
		rows[r].hash(out, SPAN_NONE);
		EXPECT_HEX(out, rows[r].empty);
		rows[r].hash(out, SPAN_STR("abc"));
		EXPECT_HEX(out, rows[r].abc);
		size_t have = 0;
		for (unsigned i = 0; i < ARRAY_LEN(lens); i++) {
			memcpy(in, out, have);
			memcpy(in + have, counting(), lens[i]);
			rows[r].hash(out, SPAN(in, have + lens[i]));
			have = rows[r].len;
		}
		EXPECT_HEX(out, rows[r].chain);
	}
}

/* RFC 2202 and RFC 4231, cases 2 and 6 */
TEST(hmac_vectors)
{
	u8 out[32], key[131];
	memset(key, 0xaa, sizeof(key));
	struct span jefe = SPAN_STR("Jefe"), want = SPAN_STR("what do ya want for nothing?");
	struct span larger = SPAN_STR("Test Using Larger Than Block-Size Key - Hash Key First");
	hmac_sha1(out, jefe, want);
	EXPECT_HEX(out, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
	hmac_sha1(out, SPAN(key, 80), larger);
	EXPECT_HEX(out, "aa4ae5e15272d00e95705637ce8a3b55ed402112");
	hmac_sha256(out, jefe, want);
	EXPECT_HEX(out, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	hmac_sha256(out, SPAN(key, 131), larger);
	EXPECT_HEX(out, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(parts_hash_like_their_concatenation)
{
	const u8 *in = counting();
	u8 a[32], b[32];
	struct span parts[] = { SPAN(in, 5), SPAN_NONE, SPAN(in + 5, 95) };
	hmac_sha1(a, SPAN(in, 20), SPAN(in, 100));
	hmac_sha1_v(b, SPAN(in, 20), parts, 3);
	EXPECT_MEM(a, b, 20);
	hmac_sha256(a, SPAN(in, 20), SPAN(in, 100));
	hmac_sha256_v(b, SPAN(in, 20), parts, 3);
	EXPECT_MEM(a, b, 32);
	sha256(a, SPAN(in, 100));
	sha256_v(b, parts, 3);
	EXPECT_MEM(a, b, 32);
	blake2s(a, 32, SPAN(in, 9), SPAN(in, 100));
	blake2s_v(b, 32, SPAN(in, 9), parts, 3);
	EXPECT_MEM(a, b, 32);
}

/* RFC 5869 A.1 to A.3 */
TEST(hkdf_vectors)
{
	u8 out[82];
	struct span ikm = unhex("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b");
	EXPECT_EQ(hkdf_sha256(out, 42, unhex("000102030405060708090a0b0c"), ikm, unhex("f0f1f2f3f4f5f6f7f8f9")), 0);
	EXPECT_HEX(out, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");

	u8 seq[256];
	for (unsigned i = 0; i < sizeof(seq); i++)
		seq[i] = (u8)i;
	EXPECT_EQ(hkdf_sha256(out, 82, SPAN(seq + 0x60, 80), SPAN(seq, 80), SPAN(seq + 0xb0, 80)), 0);
	EXPECT_HEX(out, "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
			"da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87");
	EXPECT_EQ(hkdf_sha256(out, 42, SPAN_NONE, ikm, SPAN_NONE), 0);
	EXPECT_HEX(out, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
	EXPECT_EQ(hkdf_sha256(out, 255 * 32 + 1, SPAN_NONE, ikm, SPAN_NONE), ERR_LIMIT);
}

/* RFC 7914 §11; the last is RFC 6070's case 6 with SHA-256. */
TEST(pbkdf2_vectors)
{
	u8 out[64];
	pbkdf2_hmac_sha256(out, 64, SPAN_STR("passwd"), SPAN_STR("salt"), 1);
	EXPECT_HEX(out, "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"
			"49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783");
	pbkdf2_hmac_sha256(out, 16, SPAN_STR("pass\0word"), SPAN_STR("sa\0lt"), 4096);
	EXPECT_HEX(out, "89b69d0516f829893c696226650a8687");
}

/* --- X25519 ------------------------------------------------------------------------------------------------------------------ */

/* RFC 7748 §5.2 and §6.1 */
TEST(x25519_vectors)
{
	u8 out[32], a_pub[32], b_pub[32];
	EXPECT_EQ(x25519(out, unhex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4").p,
			 unhex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c").p), 0);
	EXPECT_HEX(out, "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");

	x25519_public(a_pub, unhex("77076d0a7318a57d3c16c17251b26645df4c2f92ebc099c28ba6c2f28e0c4b5d").p);
	x25519_public(b_pub, unhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb").p);
	EXPECT_HEX(b_pub, "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
	u8 other[32];
	EXPECT_EQ(x25519(out, unhex("77076d0a7318a57d3c16c17251b26645df4c2f92ebc099c28ba6c2f28e0c4b5d").p, b_pub), 0);
	EXPECT_EQ(x25519(other, unhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb").p, a_pub), 0);
	EXPECT_MEM(out, other, 32);
}

/* RFC 7748 §5.2, the iterated vector */
TEST(x25519_a_thousand_times)
{
	u8 k[32] = { 9 }, u[32] = { 9 }, r[32];
	for (unsigned i = 0; i < 1000; i++) {
		REQUIRE(x25519(r, k, u) == 0);
		memcpy(u, k, 32);
		memcpy(k, r, 32);
		if (i == 0)
			EXPECT_HEX(k, "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
	}
	EXPECT_HEX(k, "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
}

/* Coordinates at and above p are reduced, the top bit is ignored. */
TEST(x25519_takes_non_canonical_coordinates)
{
	static const struct {
		const char *u, *shared;
	} rows[] = {
		{ "efffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		  "71cacba0b65daf53ddf9c21fb434bc58ee5cfa3954d1b642fc5155048f03466f" },
		{ "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		  "76b00406ce7e87774c0038dd8d89b188047977f8828ca1dcb8f98bb5d5d0cf48" },
		{ "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		  "16a3c4a479dc135e51a38c7b3232caa0635fef9e7ad969d60a6e08b28b1bb61d" },
		{ "ebffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		  "db1808f6abcb049329d5a22f3b14b9d0dfb8c065f6b4795bfda27254ee01c44e" },
	};
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		u8 out[32];
		EXPECT_EQ(x25519(out, unhex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4").p,
				 unhex(rows[i].u).p), 0);
		EXPECT_HEX(out, rows[i].shared);
	}
}

TEST(x25519_refuses_points_of_small_order)
{
	static const char *const points[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"0000000000000000000000000000000000000000000000000000000000000080",
	};
	for (unsigned i = 0; i < ARRAY_LEN(points); i++) {
		u8 out[32];
		memset(out, 0x5a, sizeof(out));
		EXPECT_EQ(x25519(out, counting(), unhex(points[i]).p), ERR_INVAL);
		EXPECT(secret_is_zero(out, sizeof(out)));
	}
}

TEST(secrets_compare_and_vanish)
{
	u8 a[33], b[33];
	memcpy(a, counting(), sizeof(a));
	memcpy(b, a, sizeof(b));
	EXPECT(secret_eq(a, b, sizeof(a)));
	for (unsigned i = 0; i < sizeof(a); i++) {
		b[i] ^= 0x80;
		EXPECT(!secret_eq(a, b, sizeof(a)));
		b[i] ^= 0x80;
	}
	secret_wipe(a, sizeof(a));
	EXPECT(secret_is_zero(a, sizeof(a)));
	EXPECT(!secret_is_zero(b, sizeof(b)));
}

/* --- ChaCha20-Poly1305 ------------------------------------------------------------------------------------------------------- */

/* RFC 8439 A.5: its nonce has WireGuard's shape */
TEST(aead_vector_with_additional_data)
{
	struct span key = unhex("1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0");
	struct span ct = unhex(
		"64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb24c6cfc18755d43eea09ee94e382d26b0bdb7b73c321b0100d4f03b7f"
		"355894cf332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c8559797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0"
		"f9f6157b53c867e4b9166c767b804d46a59b5216cde7a4e99040c5a40433225ee282a1b0a06c523eaf4534d7f83fa1155b0047718cbc546a0d072b04"
		"b3564eea1b422273f548271a0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a1049e617d91d361094fa68f0ff77987130"
		"305beaba2eda04df997b714d6c6f2c29a6ad5cb4022b02709beead9d67890cbb22392336fea1851f38");
	struct span ad = unhex("f33388860000000000004e91");
	u8 plain[265], again[265 + AEAD_TAG];
	REQUIRE(ct.n == sizeof(again));
	REQUIRE(aead_init() == 0);
	REQUIRE(aead_open_ad(key.p, 0x0807060504030201, ad, ct, plain) == 0);
	EXPECT_MEM(plain, "Internet-Drafts are draft documents valid for a maximum of six months", 69);
	aead_seal_ad(key.p, 0x0807060504030201, ad, SPAN(plain, sizeof(plain)), again);
	EXPECT_MEM(again, ct.p, ct.n);
	again[100] ^= 1;
	EXPECT_EQ(aead_open_ad(key.p, 0x0807060504030201, ad, SPAN(again, sizeof(again)), plain), ERR_AUTH);
	EXPECT_EQ(aead_open_ad(key.p, 0x0807060504030201, SPAN(ad.p, 11), ct, plain), ERR_AUTH);
	EXPECT_EQ(aead_open_ad(key.p, 0x0807060504030202, ad, ct, plain), ERR_AUTH);
	EXPECT_EQ(aead_open_ad(key.p, 1, ad, SPAN(ct.p, 15), plain), ERR_AUTH);
}

/* draft-irtf-cfrg-xchacha-03 A.3.1 */
TEST(xaead_vector)
{
	struct span key = unhex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
	struct span nonce = unhex("404142434445464748494a4b4c4d4e4f5051525354555657");
	struct span ad = unhex("50515253c0c1c2c3c4c5c6c7");
	struct span plain = SPAN_STR("Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
				     "sunscreen would be it.");
	u8 ct[114 + AEAD_TAG], again[114];
	REQUIRE(plain.n == sizeof(again));
	xaead_seal_ad(key.p, nonce.p, ad, plain, ct);
	EXPECT_HEX(ct, "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb"
		       "96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff921f9664c97637da9768812f615c68b13b52e"
		       "c0875924c1c7987947deafd8780acf49");
	EXPECT_EQ(xaead_open_ad(key.p, nonce.p, ad, SPAN(ct, sizeof(ct)), again), 0);
	EXPECT_MEM(again, plain.p, plain.n);
	ct[sizeof(ct) - 1] ^= 0x80;
	EXPECT_EQ(xaead_open_ad(key.p, nonce.p, ad, SPAN(ct, sizeof(ct)), again), ERR_AUTH);
}
