/* applets/portal/auth/oidc_trial.h: settings of a provider that somebody tries out; private to oidc_web.c and oidc_trial.c. */
#pragma once

#include "applets/portal/auth/oidc_int.h"
#include "applets/portal/auth/oidc_web.h"

/* [consent (Entra's own registration)] ──▶ [sign-in] ──▶ over */
struct oidc_trial {
	char id[OIDC_TRIAL_ID_LEN + 1];
	struct uuid account_id, session_id;
	struct auth_provider row;
	struct oidc_secrets secrets; /* of the present step */
	bool wants_consent, is_over;
	char *return_to, *form, *error, *issuer;
	char tenant_id[UUID_STRLEN];
	u64 until;
};

struct oidc_trial *oidc_trial_find(struct oidc *o, const char *id, u64 now);
/* Back at the portal, with the query of the callback. */
void oidc_trial_back(struct exchange *x, const char *id);
