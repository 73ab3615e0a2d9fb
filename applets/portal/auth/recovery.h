/* applets/portal/auth/recovery.h: short secrets that are written down or mailed: recovery codes and one-time passcodes.
 *
 *	recovery code   ten of them, printed once: "k3vq7-2mxha", 50 bits; kept as salt and SHA3-256; each works once
 *	passcode        six characters of a mail (spec 60 §3.4), 30 bits: kept as an Argon2 hash (password.h), three attempts, 15 minutes
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

/* One code and what is kept of it: "salt$hash". */
void recovery_make(struct rng *rng, char code[static RECOVERY_STRLEN], char kept[static RECOVERY_HASH_STRLEN]);
/* Blanks, dashes and case do not matter; 0 and 1 are read as o and l. Constant time. */
bool recovery_matches(const char *text, const char *kept);

/* Uniform over the alphabet. */
void passcode_make(struct rng *rng, char code[static PASSCODE_LEN + 1]);
/* As typed, to what was hashed: lower case, without blanks; "" when it cannot be one. */
void passcode_normalise(const char *typed, char out[static PASSCODE_LEN + 1]);
