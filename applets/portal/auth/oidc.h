/* applets/portal/auth/oidc.h: OpenID Connect, seen from whoever asks an identity provider who somebody is (spec 60 §3.6).
 *
 *   oidc_begin()    [discovery] ──▶ URL of the provider's sign-in page, and secrets to keep for the way back
 *   oidc_finish()   [discovery] ──▶ [token] ──▶ [keys] ──▶ signature and claims ──▶ [userinfo] ──▶ struct oidc_profile
 *
 * Code flow with PKCE (S256); the nonce is derived from the PKCE verifier, so one secret binds the browser, the code and the token. What
 * stands in brackets is a fetch or comes from the cache: discovery and keys as long as their Cache-Control allows, at most OIDC_FRESH_MAX; keys
 * are asked for again when a token names one that is not there, at most every OIDC_KEYS_PAUSE.
 *
 * Trusted are: the discovery document for its endpoints (https, unless the document itself came by http), and of the ID token signature, iss
 * (the provider's, when it is known), aud, exp, iat, nonce. Userinfo must be about the same `sub`; failing to get it is no failure.
 */
#pragma once

#include "applets/portal/auth/jose.h"
#include "applets/portal/model/entity.h"
#include "applets/portal/outbound/fetch.h"
#include "core/base/strbuf.h"

#define OIDC_FRESH_MAX SEC(3600)
#define OIDC_FRESH_DEFAULT SEC(300) /* without Cache-Control */
#define OIDC_KEYS_PAUSE SEC(5)
#define OIDC_CACHE_MAX 32u	     /* providers remembered */
#define OIDC_JOBS_MAX 64u	     /* sign-ins that wait for a provider */
#define OIDC_TRIALS_MAX 64u     /* settings that are tried (oidc_web.h) */
#define OIDC_SECRET_LEN 43	     /* state and verifier: 32 random bytes in base64url */
#define OIDC_URL_MAX 2000u
#define OIDC_TEXT_MAX 255u	     /* of claims and credentials */
#define OIDC_CALLBACK "auth/oidc/callback" /* behind the web URL */
#define OIDC_GOOGLE_ISSUER "https://accounts.google.com"
#define OIDC_ENTRA_URL "https://login.microsoftonline.com"

struct oidc;
struct oidc_job;

struct oidc_config {
	struct loop *loop;	 /* borrowed, as all below */
	struct rng *rng;
	struct fetcher *fetcher;
	const char *web_url;	 /* ends in '/' */
	/* the portal's own registrations; NULL: none */
	const char *google_client_id, *google_client_secret, *entra_client_id, *entra_client_secret;
	const char *google_url, *entra_url; /* NULL: OIDC_GOOGLE_ISSUER, OIDC_ENTRA_URL; others for national clouds and tests */
};

struct oidc *oidc_new(const struct oidc_config *cfg); /* NULL: out of memory */
void oidc_free(struct oidc *o);			      /* cancels what waits, calling nobody */

/* Whom to ask and as who. */
struct oidc_client {
	int type; /* enum provider_type */
	char discovery[OIDC_URL_MAX + 64];
	char issuer[OIDC_URL_MAX + 1]; /* "": whatever the discovery document says */
	char client_id[OIDC_TEXT_MAX + 1], client_secret[OIDC_TEXT_MAX + 1];
	int email_claim;
	char redirect_uri[OIDC_URL_MAX + 128];
};

/* From a row, or one that is about to be made. ERR_UNSUPPORTED: of this kind the operator has to register the portal first; ERR_INVAL: no kind
 * with OpenID Connect, or what it needs is missing. */
int oidc_client_of(const struct oidc *o, const struct auth_provider *p, struct oidc_client *out) MUST_CHECK;

struct oidc_secrets {
	char state[OIDC_SECRET_LEN + 1], verifier[OIDC_SECRET_LEN + 1];
};
void oidc_draw(struct oidc *o, struct oidc_secrets *out);

struct oidc_profile { /* strings lent; NULL = not said. The first four are always there */
	const char *issuer, *idp_id, *email, *name;
	const char *given_name, *family_name, *middle_name, *nickname, *preferred_username, *profile, *picture;
};

struct oidc_result {
	int error;	 /* 0; ERR_DENIED: who it says he is cannot be believed; others: the provider cannot be asked */
	const char *why; /* for the person who signs in; "" when error is 0. Details are in the log */
	const char *url;     /* oidc_begin() */
	const char *issuer;  /* as the discovery document says */
	const struct oidc_profile *profile; /* oidc_finish() */
};
typedef void oidc_done(void *ctx, const struct oidc_result *r);

/* `prompt` may be NULL: none. `done` is called once, from the loop, never from inside the call, unless cancelled. The client is copied.
 * ERR_LIMIT, ERR_NOMEM. */
int oidc_begin(struct oidc *o, const struct oidc_client *client, const struct oidc_secrets *s, const char *prompt, oidc_done *done, void *ctx,
	       struct oidc_job **out) MUST_CHECK;
int oidc_finish(struct oidc *o, const struct oidc_client *client, const char *verifier, const char *code, oidc_done *done, void *ctx,
		struct oidc_job **out) MUST_CHECK;
void oidc_cancel(struct oidc_job *j); /* NULL is allowed */

/* The claims of an ID token (and of userinfo, or NULL) as a profile whose strings live as long as both. ERR_MALFORMED with *why: something required is
 * missing or too long. */
int oidc_profile_of(const struct cJSON *claims, const struct cJSON *userinfo, int type, int email_claim, struct oidc_profile *out, struct strbuf *names,
		    const char **why) MUST_CHECK;

/* The Entra page where an admin of a tenant lets the portal in (§3.7), for the registration `client_id`. */
void oidc_entra_consent_url(const struct oidc *o, const char *client_id, const char *state, struct strbuf *out);
/* False when this state was presented before within the last 300 s. */
bool oidc_take_state(struct oidc *o, const char *state, u64 now);
