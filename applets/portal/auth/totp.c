#include "applets/portal/auth/totp.h"

#include "core/base/cursor.h"
#include "core/base/encode.h"
#include "core/base/time.h"
#include "core/crypto/aead.h"
#include "core/crypto/hash.h"

#include <assert.h>
#include <ctype.h>
#include <sodium.h>
#include <stdio.h>

#define NONCE_LEN 24u
#define SEALED_LEN (NONCE_LEN + TOTP_SECRET_LEN + AEAD_TAG)
static_assert(BASE64URL_SIZE(SEALED_LEN) <= TOTP_SEALED_STRLEN, "a sealed secret fits");

u32 totp_code(const u8 secret[static TOTP_SECRET_LEN], u64 step)
{
	u8 counter[8], mac[SHA1_LEN];

	put_be64(counter, step);
	hmac_sha1(mac, SPAN(secret, TOTP_SECRET_LEN), SPAN(counter, sizeof(counter)));
	u32 code = (get_be32(mac + (mac[SHA1_LEN - 1] & 0x0f)) & 0x7fffffff) % 1000000;
	sodium_memzero(mac, sizeof(mac));
	return code;
}

static int read_digits(const char *text, u8 out[static 4])
{
	u32 code = 0, n = 0;

	for (; *text; text++) {
		if (*text == ' ')
			continue;
		if (!isdigit((unsigned char)*text) || n == TOTP_DIGITS)
			return ERR_AUTH;
		code = code * 10 + (u32)(*text - '0');
		n++;
	}
	put_be32(out, code);
	return n == TOTP_DIGITS ? 0 : ERR_AUTH;
}

int totp_verify(const u8 secret[static TOTP_SECRET_LEN], const char *text, u64 wall, u64 last, u64 *step)
{
	u64 now = wall / SEC(TOTP_STEP_SECS), found = 0;
	u8 given[4], want[4];

	if (read_digits(text, given) != 0)
		return ERR_AUTH;
	for (int i = -TOTP_WINDOW; i <= TOTP_WINDOW; i++) {
		put_be32(want, totp_code(secret, now + (u64)(i64)i));
		if (sodium_memcmp(given, want, sizeof(want)) == 0 && found <= last)
			found = now + (u64)(i64)i;
	}
	if (found == 0)
		return ERR_AUTH;
	if (found <= last)
		return ERR_REPLAY;
	*step = found;
	return 0;
}

static void percent(struct strbuf *out, const char *text)
{
	for (; *text; text++)
		if (isalnum((unsigned char)*text) || strchr("-._~", *text))
			strbuf_putc(out, *text);
		else
			strbuf_printf(out, "%%%02X", (unsigned)(u8)*text);
}

static void base32_upper(char out[static BASE32_SIZE(TOTP_SECRET_LEN)], const u8 secret[static TOTP_SECRET_LEN])
{
	base32_encode(out, BASE32_SIZE(TOTP_SECRET_LEN), SPAN(secret, TOTP_SECRET_LEN));
	for (; *out; out++)
		*out = (char)toupper((unsigned char)*out);
}

void totp_uri(struct strbuf *out, const char *network, const char *who, const u8 secret[static TOTP_SECRET_LEN])
{
	char text[BASE32_SIZE(TOTP_SECRET_LEN)];

	base32_upper(text, secret);
	strbuf_puts(out, "otpauth://totp/");
	percent(out, network);
	strbuf_putc(out, ':');
	percent(out, who);
	strbuf_printf(out, "?secret=%s&issuer=", text);
	percent(out, network);
	sodium_memzero(text, sizeof(text));
}

void totp_spell(char out[static 48], const u8 secret[static TOTP_SECRET_LEN])
{
	char text[BASE32_SIZE(TOTP_SECRET_LEN)];

	base32_upper(text, secret);
	for (u32 i = 0; text[i]; i++) {
		if (i > 0 && i % 4 == 0)
			*out++ = ' ';
		*out++ = text[i];
	}
	*out = '\0';
	sodium_memzero(text, sizeof(text));
}

static void seal_key(u8 key[static SHA256_LEN], const struct secrets *s)
{
	hmac_sha256(key, SPAN(s->token_key, SECRET_LEN), SPAN_STR("emberbox totp"));
}

void totp_seal(char out[static TOTP_SEALED_STRLEN], const u8 secret[static TOTP_SECRET_LEN], const struct uuid *actor, const struct secrets *s,
	       struct rng *rng)
{
	u8 key[SHA256_LEN], sealed[SEALED_LEN];

	seal_key(key, s);
	rng_fill(rng, sealed, NONCE_LEN);
	xaead_seal_ad(key, sealed, SPAN(actor->b, sizeof(actor->b)), SPAN(secret, TOTP_SECRET_LEN), sealed + NONCE_LEN);
	base64url_encode(out, TOTP_SEALED_STRLEN, SPAN(sealed, sizeof(sealed)));
	sodium_memzero(key, sizeof(key));
}

int totp_unseal(u8 secret[static TOTP_SECRET_LEN], const char *sealed, const struct uuid *actor, const struct secrets *s)
{
	u8 key[SHA256_LEN], bytes[SEALED_LEN];
	int n = base64url_decode(bytes, sizeof(bytes), SPAN(sealed, strlen(sealed)));

	if (n != (int)SEALED_LEN)
		return ERR_AUTH;
	seal_key(key, s);
	int rc = xaead_open_ad(key, bytes, SPAN(actor->b, sizeof(actor->b)), SPAN(bytes + NONCE_LEN, SEALED_LEN - NONCE_LEN), secret);
	sodium_memzero(key, sizeof(key));
	return rc ? ERR_AUTH : 0;
}
