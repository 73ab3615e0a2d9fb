/* applets/portal/auth/credentials.h: what an actor proves himself with at the portal, as rows: passkeys, one password, one app, recovery codes.
 *
 * Who has a password has an app too, or none of both: they come and go together. Recovery codes come in sets. All writing happens inside a transaction
 * of the caller (auth_begin(), auth_end()).
 */
#pragma once

#include "applets/portal/auth/auth.h"
#include "applets/portal/auth/recovery.h"
#include "applets/portal/auth/totp.h"

/* Each of a type, oldest first; type -1: all. The row is lent. */
int credentials_each(struct exchange *x, const struct uuid *account, const struct uuid *actor, int type,
		     int (*each)(void *ctx, enum kind k, const void *row), void *ctx) MUST_CHECK;
/* The first of a type (entity_deinit()). ERR_NOT_FOUND. */
int credentials_find(struct exchange *x, const struct uuid *account, const struct uuid *actor, int type, struct credential *out) MUST_CHECK;
/* A passkey by the id that the browser names. */
int credentials_passkey(struct exchange *x, const struct uuid *account, struct span id, struct credential *out) MUST_CHECK;

/* How the actor could sign in: passkeys, and 1 for password with app. */
int credentials_ways(struct exchange *x, const struct uuid *account, const struct uuid *actor, u32 *n) MUST_CHECK;

int credentials_add_passkey(struct exchange *x, const struct actor *actor, const struct webauthn_credential *made, const char *name) MUST_CHECK;
/* Instead of the former password and app. */
int credentials_set_password(struct exchange *x, const struct actor *actor, const char *phc, const u8 totp[static TOTP_SECRET_LEN], u64 step)
	MUST_CHECK;
int credentials_delete_type(struct exchange *x, const struct uuid *account, const struct uuid *actor, int type) MUST_CHECK;
/* RECOVERY_CODES new ones instead of the former. */
int credentials_make_codes(struct exchange *x, const struct actor *actor, char code[static RECOVERY_CODES][RECOVERY_STRLEN]) MUST_CHECK;

/* A code of the app, or a recovery code: 0 and it is spent; ERR_AUTH, ERR_REPLAY; or the store's errors. Makes its own transaction. */
int credentials_spend_code(struct exchange *x, const struct actor *actor, const char *text, bool may_be_totp) MUST_CHECK;
/* A passkey was used. Makes its own transaction. */
int credentials_touch(struct exchange *x, struct credential *row, i64 sign_count) MUST_CHECK;
