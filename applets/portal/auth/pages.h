/* applets/portal/auth/pages.h: what the pages of signing in share. They are for people without a session: layout `plain`, forms without script. */
#pragma once

#include "applets/portal/auth/auth.h"
#include "applets/portal/auth/session.h"
#include "applets/portal/auth/signin.h"
#include "applets/portal/auth/views.h"

#include <stdarg.h>

/* Text that lives as long as the exchange; "" without memory. */
const char *pages_text(struct exchange *x, const char *fmt, ...) PRINTF_LIKE(2, 3);
const char *pages_vtext(struct exchange *x, const char *fmt, va_list ap);

/* The frame; account NULL: none. The sentence of the step before is in it. */
struct page pages_frame(struct exchange *x, const struct account *account, const char *title, const char *lead);
/* What the template wrote. */
void pages_send(struct exchange *x, u16 status);

/* One step of signing in to the account of the first parameter through the provider of the second (if the pattern has one), which must be of that type. False: answered. */
struct step {
	struct exchange *x;
	const struct account *account; /* of the directory: until the handler returns */
	struct uuid account_id, provider_id;
	struct signin_params params;
	const char *query; /* "?as=…", or "" */
};
bool pages_step(struct exchange *x, int provider_type, struct step *out) MUST_CHECK;
/* In a callback after the handler: finds the account again, which may have changed or gone meanwhile. False: answered. */
bool pages_resume(struct step *s) MUST_CHECK;
/* "/acme<path>?as=…" */
const char *pages_path(const struct step *s, const char *path);
/* What is wrong, on the sign-in page again. */
void pages_back(const struct step *s, const char *path, const char *why);

/* An address as actors have it (model/idna.h); what is none stays as it is, nothing becomes "". */
const char *pages_email(struct exchange *x, const char *typed);
/* Actors by such an address, whatever the case; NULL. */
const struct actor *pages_actor(struct exchange *x, const struct account *account, const char *email);

/* A challenge for a passkey, bound to this browser by a cookie for `purpose`; NULL: browsers make none here. */
const u8 *pages_challenge(struct exchange *x, char purpose);
/* The challenge of this browser's cookie, once: ERR_EXPIRED: none or too old; ERR_REPLAY: used. */
int pages_take_challenge(struct exchange *x, char purpose, u8 out[static WEBAUTHN_CHALLENGE_LEN]) MUST_CHECK;
/* A field of a form, base64url; what is too long or no base64url is ERR_MALFORMED. */
int pages_field_bytes(struct exchange *x, const char *name, size_t cap, struct span *out) MUST_CHECK;
