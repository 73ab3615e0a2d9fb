/* applets/portal/model/principal.h: who does something, for what he may do, for audit and for session rules (spec 60 §1.1, §7).
 */
#pragma once

#include "applets/portal/model/entity.h"

enum principal_kind {
	PRINCIPAL_OPERATOR, /* on the portal's own machine, by command: may everything */
	PRINCIPAL_SYSTEM,	  /* a job of the portal itself: expiry, directory sync */
	PRINCIPAL_SESSION,  /* an admin in a browser */
	PRINCIPAL_API,	  /* an API client by its token */
	PRINCIPAL_SETUP,	  /* whoever holds a one-time link */
};

struct principal {
	enum principal_kind kind;
	struct uuid account_id;	 /* null: every account */
	struct uuid actor_id;	 /* null for operator and system */
	struct uuid session_id;	 /* portal session or API token */
	struct uuid provider_id; /* the auth provider of that session */
	char actor_name[256], actor_email[161];
	struct ip remote_ip;	 /* family 0: none */
	char region[3];
	char user_agent[256];
};
