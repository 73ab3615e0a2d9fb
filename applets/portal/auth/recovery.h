/* applets/portal/auth/recovery.h: short secrets that are written down or mailed: recovery codes, one-time passcodes, and links.
 *
 *	recovery code   ten of them, printed once: "k3vq7-2mxha", 50 bits; kept as salt and SHA3-256; each works once
 *	passcode        six characters of a mail (spec 60 §3.4), 30 bits: kept as an Argon2 hash (password.h), three attempts, 15 minutes
 *	link            32 random bytes behind /auth/link/; kept as salt and SHA3-256; works once, before it expires
 */
#pragma once

#include "applets/portal/model/entity.h"
#include "core/base/rng.h"
#include "core/base/time.h"

#define RECOVERY_CODES 10u
#define RECOVERY_STRLEN 12u /* "abcde-fghij" */
#define RECOVERY_HASH_STRLEN (SECRET_SALT_LEN + 1 + SECRET_HASH_LEN + 1)

#define PASSCODE_LEN 6u
#define PASSCODE_ALPHABET "abcdefghijkmnopqrstuvwxyz123456789" /* no l, no 0 */
#define PASSCODE_ATTEMPTS 3u
#define PASSCODE_LIFETIME MINUTES(15)

#define LINK_LIFETIME SEC(86400)
#define LINK_SECRET_LEN 32u
#define LINK_TEXT_LEN 86u /* base64url of account, id and secret: 16 + 16 + 32 bytes */

/* One code and what is kept of it: "salt$hash". */
void recovery_make(struct rng *rng, char code[static RECOVERY_STRLEN], char kept[static RECOVERY_HASH_STRLEN]);
/* Blanks, dashes and case do not matter; 0 and 1 are read as o and l. Constant time. */
bool recovery_matches(const char *text, const char *kept);

/* Uniform over the alphabet. */
void passcode_make(struct rng *rng, char code[static PASSCODE_LEN + 1]);
/* As typed, to what was hashed: lower case, without blanks; "" when it cannot be one. */
void passcode_normalise(const char *typed, char out[static PASSCODE_LEN + 1]);

/* Fills salt and hash of a row whose account, purpose, actor and expiry are set, and its id unless it has one; `text` goes into the URL. ERR_NOMEM. */
int link_make(struct one_time_link *row, struct rng *rng, char text[static LINK_TEXT_LEN + 1]) MUST_CHECK;
/* Which row it names. ERR_MALFORMED. Wipe the secret afterwards. */
int link_parse(const char *text, struct uuid *account, struct uuid *id, u8 secret[static LINK_SECRET_LEN]) MUST_CHECK;
/* 0; ERR_AUTH: not its secret; ERR_EXPIRED: too old, or used. `wall` in ns. */
int link_check(const struct one_time_link *row, const u8 secret[static LINK_SECRET_LEN], u64 wall) MUST_CHECK;
