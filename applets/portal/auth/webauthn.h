/* applets/portal/auth/webauthn.h: passkeys (W3C Web Authentication, Level 2): what the browser is asked, and whether its answer holds.
 *
 *   webauthn_creation() ──▶ navigator.credentials.create() ──▶ webauthn_register(): a credential to keep
 *   webauthn_request()  ──▶ navigator.credentials.get()    ──▶ webauthn_assert(): 0, and the new counter to keep
 *
 * Pure functions. Credentials are discoverable and user verification is required, so a passkey alone signs in. ES256 and EdDSA (Ed25519).
 * Attestation is not asked for; a statement that comes all the same is neither trusted nor looked at. The challenge is the caller's: 32 random
 * bytes, bound to the browser, valid for WEBAUTHN_CHALLENGE_SECS, once.
 *
 * Refusals: ERR_MALFORMED: not what the standard describes. ERR_NOT_OURS: for another origin, site or ceremony, or inside a foreign frame.
 * ERR_REPLAY: another challenge, or a counter that did not grow (a copy of the authenticator). ERR_DENIED: the person was not present or
 * not verified. ERR_UNSUPPORTED: another kind of key. ERR_AUTH: the signature is wrong.
 */
#pragma once

#include "core/base/err.h"
#include "core/base/strbuf.h"
#include "core/base/types.h"

#define WEBAUTHN_CHALLENGE_LEN 32u
#define WEBAUTHN_CHALLENGE_SECS 300u
#define WEBAUTHN_ID_MAX 512u	  /* bytes of a credential id; those in use have 16 to 200 */
#define WEBAUTHN_KEY_STRLEN 96u	  /* "es256:" or "ed25519:" and base64url */
#define WEBAUTHN_CLIENT_DATA_MAX 4096u
#define WEBAUTHN_OBJECT_MAX 16384u
#define WEBAUTHN_SIGNATURE_MAX 128u
#define WEBAUTHN_EXCLUDE_MAX 32u

/* Where this portal is, as the browser sees it. */
struct webauthn_site {
	char origin[272]; /* "https://portal.example.com:8443" */
	char rp_id[256];  /* "portal.example.com" */
};

/* ERR_UNSUPPORTED: no browser makes passkeys there: the host is an address, or the scheme is http and the host not localhost. */
int webauthn_site_of(struct webauthn_site *out, const char *web_url) MUST_CHECK;

/* What is kept: id for look-up and exclusion, key, counter. */
struct webauthn_credential {
	u8 id[WEBAUTHN_ID_MAX];
	u32 id_len;
	char key[WEBAUTHN_KEY_STRLEN];
	u32 sign_count;
	bool is_backed_up; /* synced by its maker's cloud: for display */
};

/* PublicKeyCredentialCreationOptions as JSON, bytes in base64url. `user_id` is the actor's id; `exclude` are ids (base64url) that the
 * person has already. */
int webauthn_creation(struct strbuf *out, const struct webauthn_site *site, const u8 challenge[static WEBAUTHN_CHALLENGE_LEN],
		      const char *network, struct span user_id, const char *email, const char *name, const char *const *exclude,
		      u32 n_exclude) MUST_CHECK;
/* PublicKeyCredentialRequestOptions. No list of credentials: the browser offers those of the site, which tells nobody who has one. */
int webauthn_request(struct strbuf *out, const struct webauthn_site *site, const u8 challenge[static WEBAUTHN_CHALLENGE_LEN]) MUST_CHECK;

int webauthn_register(struct webauthn_credential *out, const struct webauthn_site *site, const u8 challenge[static WEBAUTHN_CHALLENGE_LEN],
		      struct span client_data, struct span attestation_object) MUST_CHECK;

/* `key` and `sign_count` are the kept ones. The caller has compared the credential's owner with the answer's userHandle. */
int webauthn_assert(u32 *new_count, const struct webauthn_site *site, const u8 challenge[static WEBAUTHN_CHALLENGE_LEN], const char *key,
		    u32 sign_count, struct span client_data, struct span auth_data, struct span signature) MUST_CHECK;
