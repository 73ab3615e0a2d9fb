#include "core/base/cursor.h"
#include "core/base/encode.h"
#include "core/crypto/hash.h"
#include "core/phoenix/server.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX 512

static struct span text(const char *s)
{
	return SPAN(s, strlen(s));
}

void phx_derive_psk(bool is_cc, struct span psk_base_a, struct span psk_base_b, const char *id_a, const char *id_b, const char *key_a,
		    const char *key_b, u8 out[static 32])
{
	u8 password[128];
	struct wr w = wr_init(password, sizeof(password));
	char salt[TEXT_MAX];

	wr_bytes(&w, psk_base_a.p, psk_base_a.n);
	wr_bytes(&w, psk_base_b.p, psk_base_b.n);
	if (is_cc)
		snprintf(salt, sizeof(salt), "WG_PSK_CC|CA_ID:%s|CB_ID:%s|CA_PK:%s|CB_PK:%s", id_a, id_b, key_a, key_b);
	else
		snprintf(salt, sizeof(salt), "WG_PSK|C_ID:%s|G_ID:%s|C_PK:%s|G_PK:%s", id_a, id_b, key_a, key_b);
	pbkdf2_hmac_sha256(out, 32, wr_span(&w), text(salt), 1);
	sodium_memzero(password, sizeof(password));
}

static void take(char *out, const char *from, size_t n)
{
	memcpy(out, from, n);
	out[n] = '\0';
}

void phx_derive_ice(const char *initiator_id, const char *initiator_key, const char *receiver_id, const char *receiver_key,
		    struct phx_ice *out)
{
	const struct span parts[] = { text(initiator_id), SPAN_STR(":"), text(initiator_key), SPAN_STR(":"),
				      text(receiver_id),  SPAN_STR(":"), text(receiver_key) };
	u8 digest[SHA256_LEN];
	char h[BASE32_SIZE(SHA256_LEN)];

	sha256_v(digest, parts, ARRAY_LEN(parts));
	base32_encode(h, sizeof(h), SPAN(digest, sizeof(digest)));
	take(out->initiator_username, h, 4);
	take(out->initiator_password, h + 4, 22);
	take(out->receiver_username, h + 26, 4);
	take(out->receiver_password, h + 30, 22);
	sodium_memzero(h, sizeof(h));
}

/* Standard base64 without padding: 43 characters. */
static void digest_text(const struct span *parts, size_t n, char out[static BASE64_SIZE(SHA256_LEN)])
{
	u8 digest[SHA256_LEN];

	sha256_v(digest, parts, n);
	base64_encode(out, BASE64_SIZE(SHA256_LEN), SPAN(digest, sizeof(digest)));
	out[43] = '\0';
}

void phx_derive_turn(const char *public_key, u64 expires_at, const char *stamp_secret, char username[static PHX_TURN_USERNAME_STRLEN],
		     char password[static PHX_TURN_PASSWORD_STRLEN])
{
	char salt[BASE64_SIZE(SHA256_LEN)], result[BASE64_SIZE(SHA256_LEN)], expiry[24];
	const struct span key[] = { text(public_key) };

	snprintf(expiry, sizeof(expiry), "%llu", (unsigned long long)expires_at);
	digest_text(key, 1, salt);
	const struct span parts[] = { text(expiry), SPAN_STR(":"), text(stamp_secret), SPAN_STR(":"), text(salt) };
	digest_text(parts, ARRAY_LEN(parts), result);
	snprintf(username, PHX_TURN_USERNAME_STRLEN, "%.20s:%.43s", expiry, salt);
	snprintf(password, PHX_TURN_PASSWORD_STRLEN, "%.43s", result);
}

struct uuid phx_derive_relay_id(const char *stamp_secret)
{
	u8 digest[SHA256_LEN];
	struct uuid id;

	sha256(digest, text(stamp_secret));
	memcpy(id.b, digest, sizeof(id.b));
	return uuid_v4(id);
}
