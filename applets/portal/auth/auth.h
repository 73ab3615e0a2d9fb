/* applets/portal/auth/auth.h: what signing in keeps in memory while the portal serves: the helper thread for slow hashes, and what was tried lately.
 *
 * Bounded tables that forget the oldest; a restart forgets them all, which gives nobody more than a few tries.
 */
#pragma once

#include "applets/portal/auth/password.h"
#include "applets/portal/auth/webauthn.h"
#include "applets/portal/http/exchange.h"
#include "core/base/lru.h"

#define AUTH_TRACKED_MAX 1024u /* addresses and actors in each of the tables */

#define PASSCODE_MAILS_MAX 3u		  /* spec 60 §3.4 */
#define PASSCODE_MAILS_WINDOW MINUTES(5)
#define PASSCODE_STEP_TIME MSEC(3000)	  /* whatever the answer, it takes this long */
#define GUESSES_MAX 10u			  /* passwords for one address, codes for one actor */
#define GUESSES_WINDOW MINUTES(15)

struct slow;

struct auth {
	struct portal *portal;
	struct loop *loop;
	struct worker *worker;
	struct loop_fd *watch;
	const struct password_profile *profile;
	struct webauthn_site site;
	bool has_passkeys;	/* browsers make them where we are */
	struct lru mails;	/* passcodes by address */
	struct lru guesses;	/* wrong proofs by address or actor */
	struct lru challenges; /* of passkeys, used */
	struct slow *slow;	/* deferred, all of them */
	/* whoever wants may have an account of his own; set by the owner, borrowed */
	bool allows_sign_up;
	const char *const *sign_up_domains; /* of addresses that may; none: all */
	u32 n_sign_up_domains;
};

/* `memory` is what the machine has free (sys_memory_available()). ERR_NOMEM, ERR_IO. */
int auth_new(struct auth **out, struct portal *p, struct loop *l, u64 memory) MUST_CHECK;
/* After the last exchange, before the loop. NULL is fine. */
void auth_free(struct auth *a);

/* ---- slow hashes for an exchange -----------------------------------------------------------------------------------------------------------
 * Both defer the exchange and call `then` once, when the work is done and not before `due` (0: at once), unless the peer left meanwhile. ctx is
 * memory of the exchange. With too many people at it, 503 is answered and `then` is not called. */
typedef void auth_then(struct exchange *x, int rc, const char *phc, void *ctx);
/* rc as password_verify(); `stored` NULL: nothing to verify, ERR_AUTH after the same time. */
void auth_verify(struct exchange *x, const char *stored, const char *text, u64 due, auth_then *then, void *ctx);
/* phc is lent for the call. */
void auth_hash(struct exchange *x, const char *text, u64 due, auth_then *then, void *ctx);

/* ---- how often -------------------------------------------------------------------------------------------------------------------------- */

#define AUTH_KEY_LEN 16u
/* Of an address in an account, whatever its case; or of an actor. */
void auth_key_of(u8 key[static AUTH_KEY_LEN], const struct uuid *account, const char *address);

/* Counts one more; false when `max` in the window are reached. A refused call extends the window when `is_strict`. */
bool auth_count(struct lru *l, const u8 key[static AUTH_KEY_LEN], u32 max, u64 window, bool is_strict, u64 now);
void auth_forget(struct lru *l, const u8 key[static AUTH_KEY_LEN]);

/* ---- writing ------------------------------------------------------------------------------------------------------------------------------
 * begin, write with the store's doors, end: commits, or rolls back when rc is not 0; then everybody who must know is told. Returns rc or why it could
 * not be committed. */
int auth_begin(struct exchange *x, const struct principal *who) MUST_CHECK;
int auth_end(struct exchange *x, int rc) MUST_CHECK;
