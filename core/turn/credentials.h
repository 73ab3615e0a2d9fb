/* core/turn/credentials.h: passwords that a relay and whoever hands out its credentials compute from a shared secret, so that neither
 * stores any (spec 50 §3.1, §12.1; spec 10 §10.3).
 */
#pragma once

#include "core/base/types.h"

#define TURN_PASSWORD_SIZE 48u /* longest password of ours with its NUL */
#define TURN_SALT_SIZE 44u     /* 43 characters and NUL */

/* base64 without padding of SHA-256(public key text): the part of a Firezone username behind the colon. */
void turn_salt(struct span public_key_text, char out[static TURN_SALT_SIZE]);

/* Firezone: base64 without padding of SHA-256("expiry:secret:salt"). `secret` is the relay's stamp_secret as text. Returns its length. */
size_t turn_firezone_password(struct span expiry, struct span secret, struct span salt, char out[static TURN_PASSWORD_SIZE]);

/* coturn's REST scheme: base64 with padding of HMAC-SHA1(key secret, username). Returns its length. */
size_t turn_rest_password(struct span secret, struct span username, char out[static TURN_PASSWORD_SIZE]);

/* Splits "expiry:rest". ERR_MALFORMED unless there is exactly one colon with a decimal u64 before it. */
int turn_split_username(struct span username, u64 *expiry, struct span *expiry_text, struct span *rest);
