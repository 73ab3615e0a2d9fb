/* Tokens and key sets of others: whatever the bytes, nothing that was not signed is believed. */
#include "applets/portal/auth/jose.h"
#include "applets/portal/auth/jose_sign.h"
#include "core/json/json.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

static const char keys_text[] =
	"{\"keys\":[{\"kty\":\"EC\",\"kid\":\"e\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"},"
	"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct jwks *fixed;
	struct jwt_expect e = { .audience = "a", .nonce = "n", .now_secs = 1000 };
	struct jwks *set = NULL;
	struct cJSON *claims = NULL;
	struct jose_key *key = NULL;
	const char *why;

	if (!fixed && jwks_parse(SPAN(keys_text, strlen(keys_text)), &fixed))
		abort();
	if (jws_verify(SPAN(data, n), fixed, &claims) == 0)
		json_free(claims); /* RFC 7515's own example is among the seeds */
	if (jwks_parse(SPAN(data, n), &set) == 0) {
		if (jwks_count(set) > JWKS_KEYS_MAX)
			abort();
		jwks_free(set);
	}
	if (json_parse(SPAN(data, n), NULL, &claims) == 0) {
		if (jwt_check(claims, &e, &why) == 0 && *why)
			abort();
		json_free(claims);
	}
	if (n < 4096 && jose_key_from_pem(SPAN(data, n), &key) == 0)
		jose_key_free(key);
	return 0;
}
