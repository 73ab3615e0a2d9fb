#include "applets/portal/auth/recovery.h"

#include "core/base/cursor.h"
#include "core/base/encode.h"
#include "core/crypto/hash.h"

#include <ctype.h>
#include <sodium.h>
#include <stdio.h>

#define CODE_CHARS 10u
#define CODE_BYTES 7u /* 56 bits, of which ten characters show 50 */

static void code_hash(char out[static SECRET_HASH_LEN + 1], const char code[static CODE_CHARS], const char *salt)
{
	const struct span domain = SPAN_STR("emberbox recovery code");
	u8 text[64], digest[SHA256_LEN];
	struct wr w = wr_init(text, sizeof(text));

	wr_bytes(&w, domain.p, domain.n);
	wr_bytes(&w, code, CODE_CHARS);
	wr_bytes(&w, salt, SECRET_SALT_LEN);
	sha3_256(digest, wr_span(&w));
	hex_encode(out, SECRET_HASH_LEN + 1, SPAN(digest, sizeof(digest)));
	sodium_memzero(text, sizeof(text));
}

void recovery_make(struct rng *rng, char code[static RECOVERY_STRLEN], char kept[static RECOVERY_HASH_STRLEN])
{
	u8 bytes[CODE_BYTES], salt[16];
	char text[BASE32_SIZE(CODE_BYTES)];

	rng_fill(rng, bytes, sizeof(bytes));
	rng_fill(rng, salt, sizeof(salt));
	base32_encode(text, sizeof(text), SPAN(bytes, sizeof(bytes)));
	snprintf(code, RECOVERY_STRLEN, "%.5s-%.5s", text, text + 5);
	base64url_encode(kept, SECRET_SALT_LEN + 1, SPAN(salt, sizeof(salt)));
	code_hash(kept + SECRET_SALT_LEN + 1, text, kept);
	kept[SECRET_SALT_LEN] = '$';
	sodium_memzero(bytes, sizeof(bytes));
	sodium_memzero(text, sizeof(text));
}

bool recovery_matches(const char *text, const char *kept)
{
	char code[CODE_CHARS], hash[SECRET_HASH_LEN + 1];
	size_t n = 0;

	if (strlen(kept) != RECOVERY_HASH_STRLEN - 1 || kept[SECRET_SALT_LEN] != '$')
		return false;
	for (; *text; text++) {
		char c = (char)tolower((unsigned char)*text);
		if (c == ' ' || c == '-')
			continue;
		if (n == sizeof(code))
			return false;
		code[n++] = c == '0' ? 'o' : c == '1' ? 'l' : c;
	}
	if (n != sizeof(code))
		return false;
	code_hash(hash, code, kept);
	sodium_memzero(code, sizeof(code));
	return sodium_memcmp(hash, kept + SECRET_SALT_LEN + 1, SECRET_HASH_LEN) == 0;
}

void passcode_make(struct rng *rng, char code[static PASSCODE_LEN + 1])
{
	for (u32 i = 0; i < PASSCODE_LEN; i++)
		code[i] = PASSCODE_ALPHABET[rng_below(rng, sizeof(PASSCODE_ALPHABET) - 1)];
	code[PASSCODE_LEN] = '\0';
}

void passcode_normalise(const char *typed, char out[static PASSCODE_LEN + 1])
{
	u32 n = 0;

	out[0] = '\0';
	for (; *typed; typed++) {
		char c = (char)tolower((unsigned char)*typed);
		if (c == ' ')
			continue;
		if (n == PASSCODE_LEN || !strchr(PASSCODE_ALPHABET, c)) {
			out[0] = '\0';
			return;
		}
		out[n++] = c;
	}
	out[n == PASSCODE_LEN ? n : 0] = '\0';
}

/* ---- links ----------------------------------------------------------------------------------------------------------------------------- */

#define LINK_LEN (16u + 16u + LINK_SECRET_LEN)

static void link_hash(char out[static SECRET_HASH_LEN + 1], const u8 secret[static LINK_SECRET_LEN], const char *salt)
{
	const struct span domain = SPAN_STR("emberbox link");
	u8 text[96], digest[SHA256_LEN];
	struct wr w = wr_init(text, sizeof(text));

	wr_bytes(&w, domain.p, domain.n);
	wr_bytes(&w, secret, LINK_SECRET_LEN);
	wr_bytes(&w, salt, SECRET_SALT_LEN);
	sha3_256(digest, wr_span(&w));
	hex_encode(out, SECRET_HASH_LEN + 1, SPAN(digest, sizeof(digest)));
	sodium_memzero(text, sizeof(text));
}

int link_make(struct one_time_link *row, struct rng *rng, char text[static LINK_TEXT_LEN + 1])
{
	u8 bytes[LINK_LEN], salt[16];
	char salt_text[SECRET_SALT_LEN + 1], hash[SECRET_HASH_LEN + 1];
	struct wr w = wr_init(bytes, sizeof(bytes));

	if (uuid_is_null(&row->e.id))
		row->e.id = uuid_random(rng);
	wr_bytes(&w, row->e.account_id.b, 16);
	wr_bytes(&w, row->e.id.b, 16);
	u8 *secret = wr_reserve(&w, LINK_SECRET_LEN);
	rng_fill(rng, secret, LINK_SECRET_LEN);
	rng_fill(rng, salt, sizeof(salt));
	base64url_encode(salt_text, sizeof(salt_text), SPAN(salt, sizeof(salt)));
	link_hash(hash, secret, salt_text);
	base64url_encode(text, LINK_TEXT_LEN + 1, SPAN(bytes, sizeof(bytes)));
	sodium_memzero(bytes, sizeof(bytes));
	int rc = text_set(&row->salt, salt_text);
	return rc ? rc : text_set(&row->hash, hash);
}

int link_parse(const char *text, struct uuid *account, struct uuid *id, u8 secret[static LINK_SECRET_LEN])
{
	u8 bytes[LINK_LEN];

	if (base64url_decode(bytes, sizeof(bytes), SPAN(text, strlen(text))) != (int)sizeof(bytes))
		return ERR_MALFORMED;
	memcpy(account->b, bytes, 16);
	memcpy(id->b, bytes + 16, 16);
	memcpy(secret, bytes + 32, LINK_SECRET_LEN);
	sodium_memzero(bytes, sizeof(bytes));
	return 0;
}

int link_check(const struct one_time_link *row, const u8 secret[static LINK_SECRET_LEN], u64 wall)
{
	char hash[SECRET_HASH_LEN + 1];

	if (!row->salt || !row->hash || strlen(row->salt) != SECRET_SALT_LEN || strlen(row->hash) != SECRET_HASH_LEN)
		return ERR_AUTH;
	link_hash(hash, secret, row->salt);
	if (sodium_memcmp(hash, row->hash, SECRET_HASH_LEN) != 0)
		return ERR_AUTH;
	return row->used_at || row->expires_at <= (i64)(wall / 1000) ? ERR_EXPIRED : 0;
}
