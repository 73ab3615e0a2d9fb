/* The browser's answers. First byte: which ceremony; then a length byte pair, clientDataJSON of that length, and the rest: the attestation object, or
 * authenticator data and signature of 64 bytes. */
#include "applets/portal/auth/webauthn.h"
#include "core/base/cursor.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct webauthn_site site = { "https://portal.example.com", "portal.example.com" };
	static const u8 challenge[WEBAUTHN_CHALLENGE_LEN] = "thirty-two bytes of a challenge";
	static const char key[] = "ed25519:6kqxfvFznhr8i4jMyhCPdYqEHQHMSAprq37a3Lx6eUA";
	struct rd r = rd_init(data, n);
	struct webauthn_credential made;
	u32 count;

	u8 which = rd_u8(&r);
	struct span client = rd_bytes(&r, rd_be16(&r));
	if (!rd_ok(&r))
		return 0;
	struct span rest = SPAN(r.p, rd_left(&r));
	if (which & 1) {
		if (webauthn_register(&made, &site, challenge, client, rest) == 0 && (made.id_len == 0 || made.id_len > WEBAUTHN_ID_MAX))
			abort();
	} else {
		size_t sig = MIN(rest.n, (size_t)64);
		(void)!webauthn_assert(&count, &site, challenge, key, 0, client, SPAN(rest.p, rest.n - sig), SPAN(rest.p + rest.n - sig, sig));
	}
	return 0;
}
