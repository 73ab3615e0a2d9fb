#include "core/turn/credentials.h"

#include "core/base/encode.h"
#include "core/base/err.h"
#include "core/crypto/hash.h"
#include "core/crypto/key.h"

#include <string.h>

static size_t base64_unpadded(char *out, size_t cap, struct span in)
{
	int n = base64_encode(out, cap, in);

	while (n > 0 && out[n - 1] == '=')
		out[--n] = '\0';
	return n > 0 ? (size_t)n : 0;
}

void turn_salt(struct span public_key_text, char out[static TURN_SALT_SIZE])
{
	u8 hash[SHA256_LEN];
	char padded[BASE64_SIZE(SHA256_LEN)];

	sha256(hash, public_key_text);
	base64_unpadded(padded, sizeof(padded), SPAN(hash, sizeof(hash)));
	memcpy(out, padded, TURN_SALT_SIZE);
}

size_t turn_firezone_password(struct span expiry, struct span secret, struct span salt, char out[static TURN_PASSWORD_SIZE])
{
	u8 hash[SHA256_LEN];
	const struct span parts[] = { expiry, SPAN_STR(":"), secret, SPAN_STR(":"), salt };

	sha256_v(hash, parts, ARRAY_LEN(parts));
	size_t n = base64_unpadded(out, TURN_PASSWORD_SIZE, SPAN(hash, sizeof(hash)));
	secret_wipe(hash, sizeof(hash));
	return n;
}

size_t turn_rest_password(struct span secret, struct span username, char out[static TURN_PASSWORD_SIZE])
{
	u8 mac[SHA1_LEN];

	hmac_sha1(mac, secret, username);
	int n = base64_encode(out, TURN_PASSWORD_SIZE, SPAN(mac, sizeof(mac)));
	secret_wipe(mac, sizeof(mac));
	return n > 0 ? (size_t)n : 0;
}

int turn_split_username(struct span username, u64 *expiry, struct span *expiry_text, struct span *rest)
{
	const u8 *colon = username.n > 0 ? memchr(username.p, ':', username.n) : NULL;
	u64 value = 0;

	if (!colon || colon == username.p)
		return ERR_MALFORMED;
	*expiry_text = SPAN(username.p, colon - username.p);
	*rest = SPAN(colon + 1, username.n - expiry_text->n - 1);
	if (rest->n > 0 && memchr(rest->p, ':', rest->n))
		return ERR_MALFORMED;
	for (size_t i = 0; i < expiry_text->n; i++) {
		unsigned digit = (unsigned)expiry_text->p[i] - '0';
		if (digit > 9 || value > (UINT64_MAX - digit) / 10)
			return ERR_MALFORMED;
		value = value * 10 + digit;
	}
	*expiry = value;
	return 0;
}
