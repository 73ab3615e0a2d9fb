/* applets/portal/sync/okta_key.h: the key that an Okta directory proves itself with: RSA, made here, of which Okta gets the public half (spec 60 §8).
 *
 * Finding its primes takes a second or more on a small machine, so it is done on the helper thread.
 */
#pragma once

#include "applets/portal/admin/admin.h"

struct okta_key;

struct okta_key_texts { /* lent for the call */
	const char *private_jwk; /* for the directory's private-key-jwk: secret */
	const char *public_jwk;	 /* to paste into Okta */
	const char *kid;
};

/* `done` is called once, from the loop, unless cancelled: 0 and the texts, or ERR_NOMEM. ERR_LIMIT: too many wait for the thread; ERR_UNSUPPORTED: nobody
 * serves. */
int okta_key_make(struct portal *p, void (*done)(void *ctx, int rc, const struct okta_key_texts *t), void *ctx, struct okta_key **out) MUST_CHECK;
void okta_key_cancel(struct okta_key *k); /* NULL is fine; not after `done` */
