/* applets/portal/auth/signin.h: signing in, whatever the method: who may, what is carried along, how it ends (spec 60 §3.2, §3.3, §3.8).
 *
 *   GET /<account>?as,state,nonce,redirect_to ──▶ a method (passcode, password, passkey, OIDC) ──▶ signin_complete()
 *        each step repeats the parameters          proves an actor through a provider             ├─ portal: session, 303 to the page wanted
 *        by signin_query() or signin_fields()                                                     ├─ GUI client: token, deep link
 *                                                                                                 └─ headless client: page with the token
 *
 * A method ends in exactly one of signin_complete() and signin_refuse(). signin_complete() checks everything of §3.2 again, in its order,
 * for every kind of provider.
 */
#pragma once

#include "applets/portal/http/exchange.h"

#define SIGNIN_STATE_MAX 256u	    /* real clients send 64 hex digits */
#define SIGNIN_REDIRECT_MAX 2000u
#define SIGNIN_QUERY_MAX 8192u	    /* all of them, encoded */
#define SIGNIN_DEEP_LINK "firezone-fd0020211111://handle_client_sign_in_callback"

enum signin_context { SIGNIN_PORTAL, SIGNIN_GUI, SIGNIN_HEADLESS };

struct signin_params {
	enum signin_context context;
	char as[17];			     /* as sent; "" for the portal */
	char state[SIGNIN_STATE_MAX + 1];    /* "" = none, as all below */
	char nonce[TOKEN_NONCE_MAX + 1];     /* the client's own; no dot */
	char redirect_to[SIGNIN_REDIRECT_MAX + 1];
};

/* From the query, or from the fields of the same names of a form. Empty and impossible values (too long, control characters, a dot in
 * the nonce) are dropped. */
void signin_read(struct exchange *x, struct signin_params *out);
/* "as=…&state=…", encoded, without '?' ; "" when there is none. */
void signin_query(const struct signin_params *p, char out[static SIGNIN_QUERY_MAX]);
/* Reads what signin_query() wrote: for methods that keep it in a cookie. */
void signin_parse(struct span query, struct signin_params *out);

/* Is it a path of this account: /<id> or /<slug>, then the end, '/' or '?' (§3.8), and nothing a browser reads as another host? */
bool signin_may_redirect(const struct account *account, const char *path);

/* The first three checks of §3.2, before a method begins: the provider is the account's, enabled, and for this context; the account may
 * be signed in to. 0, or ERR_NOT_FOUND, ERR_DENIED with the reason in words for the person in *why. */
int signin_provider_check(struct exchange *x, const struct account *account, const struct uuid *provider_id, enum signin_context context,
			  const char **why) MUST_CHECK;

/* The actor is proven. `identity` is the e-mail of the identity at the provider; NULL: the actor's. Answers. */
void signin_complete(struct exchange *x, const struct account *account, const struct uuid *actor_id, const struct uuid *provider_id,
		     const char *identity, const struct signin_params *params);

/* Answers: in a client's context /<account>/sign_in/client_auth_error with a way to try again, else the sign-in page; `why` in words. */
void signin_refuse(struct exchange *x, const struct account *account, const struct signin_params *params, const char *why);
