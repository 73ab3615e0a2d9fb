/* applets/portal/auth/identity.h: who of ours somebody is whom an identity provider vouches for (spec 60 §3.6).
 *
 * The enabled user or admin with that e-mail address, else the actor of the identity that is known by (issuer, id there); nobody is created.
 * The identity is made, or its profile brought up to date; whose it is never changes.
 */
#pragma once

#include "applets/portal/auth/oidc.h"
#include "applets/portal/http/exchange.h"

/* ERR_NOT_FOUND: nobody. ERR_IO and other errors of the store. */
int identity_sign_in(struct exchange *x, const struct account *account, const struct oidc_profile *profile, struct uuid *actor_id) MUST_CHECK;
