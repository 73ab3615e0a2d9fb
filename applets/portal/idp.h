/* applets/portal/idp.h: identity providers and directories of a serving portal: what the operator says about them, and what stands between
 * them and us: portal.fetcher (outbound/fetch.h), portal.oidc (auth/oidc.h), portal.sync (sync/sync.h).
 */
#pragma once

#include "applets/portal/admin/admin.h"
#include "core/loop/loop.h"

struct idp_config { /* texts NULL or "" = not given */
	const char *ca_file;  /* certificates to trust instead of the system's */
	bool allow_internal;  /* providers may live at internal addresses (spec 60 §1.10) */
	/* registrations that all accounts share (spec 60 §0.2) */
	const char *google_client_id, *google_client_secret, *entra_client_id, *entra_client_secret;
	const char *google_service_account_key, *entra_sync_client_id, *entra_sync_client_secret;
	/* other clouds */
	const char *google_url, *google_api_url, *google_token_url, *entra_url, *graph_url, *okta_scheme;
};

/* cfg is borrowed. ERR_NOMEM. */
int idp_open(struct portal *p, struct loop *l, const struct idp_config *cfg) MUST_CHECK;
/* After the last exchange, before the loop; of a portal where idp_open() was not called or failed too. */
void idp_close(struct portal *p);
