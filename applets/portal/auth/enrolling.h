/* applets/portal/auth/enrolling.h: setting up passkeys and passwords, by a one-time link or from the own settings: what both do alike.
 *
 * The secret of the authenticator app is not kept until a code of it was typed: it is derived from what only this browser holds (the link's secret,
 * the session) and from the portal's key, so the form can be shown again.
 */
#pragma once

#include "applets/portal/auth/credentials.h"
#include "applets/portal/auth/pages.h"

void enrolling_totp(struct exchange *x, struct span bearer, const struct uuid *salt, u8 secret[static TOTP_SECRET_LEN]);

/* How it gets into the app; lives as long as the exchange. */
struct totp_view enrolling_totp_view(struct exchange *x, const struct account *account, const struct actor *actor,
				     const u8 secret[static TOTP_SECRET_LEN]);

/* The options of navigator.credentials.create() for an actor; NULL: browsers make none here. Sets the challenge's cookie. */
const char *enrolling_options(struct exchange *x, const struct account *account, const struct actor *actor);
/* What the browser made. The errors of webauthn_register(); ERR_EXPIRED, ERR_REPLAY: the challenge. */
int enrolling_passkey(struct exchange *x, struct webauthn_credential *out) MUST_CHECK;
/* Words for each of these. */
const char *enrolling_complaint(int rc);

/* A form with the fields `password` and `again`, to which the template adds the app's secret and `code`. */
struct password_form {
	struct form_field field[2];
	struct form form;
};
void enrolling_form(struct password_form *f, const char *action, const char *submit);
/* Judges what was sent: 0 and the app's step, or ERR_INVAL and the form is marked. */
int enrolling_check(struct exchange *x, struct password_form *f, const struct account *account, const struct actor *actor,
		    const u8 secret[static TOTP_SECRET_LEN], u64 *step) MUST_CHECK;

/* Shows the codes, this once; wipes them. */
void enrolling_show_codes(struct exchange *x, const struct account *account, char code[static RECOVERY_CODES][RECOVERY_STRLEN], const char *next,
			  const char *next_label);
