/* applets/portal/auth/oidc_web.h: sign-in by identity providers in the browser, and trying out the settings of one (spec 60 §3.6, §3.7).
 *
 *   GET /:account/sign_in/:type/:provider ──▶ cookie `oidc` (5 min), to the provider ──▶ GET /auth/oidc/callback ──▶ signin_complete()
 *
 * The cookie holds everything that the way back needs: account, provider, state, verifier, the client's parameters. A state works once.
 *
 * Settings of a provider (or of a directory, for Entra's consent) are tried by signing in with them before they are saved:
 *
 *   settings form ──POST──▶ oidc_verify_start() ──▶ page that leads to the provider ──▶ callback ──▶ 303 return_to?verification=<id>
 *   settings page ──▶ oidc_verify_result(id): what came of it, and the form as it was filled in
 *   saving ──▶ oidc_verify_covers(): the row that is to be saved is the one that was tried; take its issuer
 *
 * It is one page after the other, so it works without script. What is tried is kept in memory, for OIDC_TRIAL_SECS, for the session that
 * began it; at most OIDC_TRIALS_MAX, the oldest goes first.
 */
#pragma once

#include "applets/portal/auth/oidc.h"
#include "applets/portal/http/exchange.h"
#include "applets/portal/model/principal.h"

#define OIDC_COOKIE "oidc"
#define OIDC_COOKIE_SECS 300u
#define OIDC_TRIAL_SECS 900u
#define OIDC_TRIAL_ID_LEN 22 /* 16 random bytes in base64url */
#define OIDC_FORM_MAX 65536u

/* ---- routes ---- */
void page_oidc_start(struct exchange *x);    /* GET /:account/sign_in/:type/:provider */
void page_oidc_callback(struct exchange *x); /* GET /auth/oidc/callback, /verification/oidc, /verification/entra,
					      * /:account/sign_in/providers/:provider/handle_callback */

/* ---- trying settings ---- */
struct oidc_trial_request {
	const struct account *account;
	const struct principal *who;
	const struct auth_provider *row; /* as it would be saved; copied. Entra: without client_id the portal's own registration is used, and consent
					  * of the tenant's admin is asked for first; its issuer is what comes out */
	const char *return_to;		 /* a path of ours without query; copied */
};
/* Answers: with a page that goes on to the provider, or back to return_to with the reason when that cannot be asked. Keeps x->body, without `_csrf`. */
void oidc_verify_start(struct exchange *x, const struct oidc_trial_request *rq);

struct oidc_trial_result {
	bool is_over;	    /* false: it was begun, nobody came back */
	const char *error;  /* NULL: verified */
	const char *issuer; /* of a verified one */
	const char *tenant_id; /* entra; else "" */
	struct span form;   /* what the form had, urlencoded (form_get()) */
	const struct auth_provider *row;
};
/* Of the admin who asks, by the browser it was begun in. The result is lent until the next turn of the loop. ERR_NOT_FOUND: none of that id. */
int oidc_verify_result(struct exchange *x, const struct principal *who, const char *id, struct oidc_trial_result *out) MUST_CHECK;
/* Verified, and with the same type, discovery URI, domain, client id and secret (an empty secret in `row` means: the one that was tried)? */
bool oidc_verify_covers(const struct oidc_trial_result *r, const struct auth_provider *row);
