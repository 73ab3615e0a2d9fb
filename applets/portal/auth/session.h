/* applets/portal/auth/session.h: who is behind a request of a page (spec 60 §3.2, §3.9).
 *
 * A browser that signed in to an account holds the signed cookie `sess_<account id>` with the id of a row of portal_sessions, one for each
 * account it is in. Each request is judged anew: the row exists and is not expired, its actor is enabled and an admin, its provider is
 * there and not disabled. So whatever ends the right to be here (§3.11) takes effect at the next request.
 */
#pragma once

#include "applets/portal/http/exchange.h"
#include "applets/portal/model/principal.h"

#define RECENT_ACCOUNTS_MAX 10u
#define RECENT_ACCOUNTS_SECS (400u * 86400u)

/* The door of every page below /:account (the pattern's first parameter: id or slug). True: *account and *who are filled.
 * False: answered already: 404 without such an account; without a session a GET is sent to /<slug>?redirect_to=<this page>, anything
 * else gets 401, which also a request of the script is told. */
bool session_required(struct exchange *x, const struct account **account, struct principal *who) MUST_CHECK;

/* The same question without an answer to the browser. ERR_NOT_FOUND: no such account; ERR_AUTH: no valid session. */
int session_find(struct exchange *x, const struct account *account, struct principal *who) MUST_CHECK;

/* The account of a path segment, by slug (any case) or id; NULL. */
const struct account *session_account(struct exchange *x, struct span slug_or_id);

/* Makes the row and sets the cookies; a session that the browser had for this account before is deleted (rotation).
 * ERR_IO and other errors of the store. */
int session_create(struct exchange *x, const struct account *account, const struct actor *actor, const struct uuid *provider_id,
		   u64 lifetime_secs) MUST_CHECK;

/* Deletes the row, which closes its live pages, and the cookies. */
void session_end(struct exchange *x, const struct account *account);

/* Accounts this browser used last, newest first; those that are gone are left out. */
u32 session_recent(struct exchange *x, const struct account *out[static RECENT_ACCOUNTS_MAX]);
void session_remember(struct exchange *x, const struct account *account);
