/* applets/portal/auth/totp.h: codes of an authenticator app (RFC 6238: SHA-1, six digits, 30 seconds).
 *
 * The code of the present step is taken, and those of one step before and after it, for clocks that differ. A step counts once: its owner
 * keeps the last one that was taken and hands it in. The shared secret is kept sealed with the portal's key, bound to its actor.
 */
#pragma once

#include "applets/portal/auth/tokens.h"
#include "core/base/strbuf.h"

#define TOTP_SECRET_LEN 20u
#define TOTP_STEP_SECS 30u
#define TOTP_WINDOW 1
#define TOTP_DIGITS 6u
#define TOTP_SEALED_STRLEN 96u

u32 totp_code(const u8 secret[static TOTP_SECRET_LEN], u64 step);

/* 0 and the step, to be kept as `last`; ERR_AUTH; ERR_REPLAY: right, but it or a later one was taken before. Blanks in the text are skipped;
 * `last` is 0 before the first. Constant time in the secret. */
int totp_verify(const u8 secret[static TOTP_SECRET_LEN], const char *text, u64 wall, u64 last, u64 *step) MUST_CHECK;

/* otpauth://totp/<network>:<who>?secret=…&issuer=<network>; both percent-encoded. */
void totp_uri(struct strbuf *out, const char *network, const char *who, const u8 secret[static TOTP_SECRET_LEN]);
/* For typing: upper-case base32 in groups of four. */
void totp_spell(char out[static 48], const u8 secret[static TOTP_SECRET_LEN]);

void totp_seal(char out[static TOTP_SEALED_STRLEN], const u8 secret[static TOTP_SECRET_LEN], const struct uuid *actor, const struct secrets *s,
	       struct rng *rng);
/* ERR_AUTH: not sealed by us for this actor. */
int totp_unseal(u8 secret[static TOTP_SECRET_LEN], const char *sealed, const struct uuid *actor, const struct secrets *s) MUST_CHECK;
