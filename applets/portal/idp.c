#include "applets/portal/idp.h"

#include "applets/portal/auth/oidc.h"
#include "applets/portal/sync/sync.h"

static const char *given(const char *text)
{
	return text && *text ? text : NULL;
}

static const char *or(const char *text, const char *otherwise)
{
	return text && *text ? text : otherwise;
}

int idp_open(struct portal *p, struct loop *l, const struct idp_config *cfg)
{
	struct fetcher_config fetch = { .loop = l, .rng = p->rng, .ca_file = given(cfg->ca_file), .allow_internal = cfg->allow_internal };
	struct oidc_config oidc = { .loop = l,
				    .rng = p->rng,
				    .web_url = p->web_url,
				    .google_client_id = given(cfg->google_client_id),
				    .google_client_secret = given(cfg->google_client_secret),
				    .entra_client_id = given(cfg->entra_client_id),
				    .entra_client_secret = given(cfg->entra_client_secret),
				    .google_url = given(cfg->google_url),
				    .entra_url = given(cfg->entra_url) };

	struct sync_config sync = { .portal = p,
				    .pull = { .loop = l,
					      .rng = p->rng,
					      .google_service_account_key = given(cfg->google_service_account_key),
					      .entra_client_id = given(cfg->entra_sync_client_id),
					      .entra_client_secret = given(cfg->entra_sync_client_secret),
					      .google_api_url = or(cfg->google_api_url, "https://admin.googleapis.com"),
					      .google_token_url = or(cfg->google_token_url, "https://oauth2.googleapis.com/token"),
					      .entra_url = or(cfg->entra_url, OIDC_ENTRA_URL),
					      .graph_url = or(cfg->graph_url, "https://graph.microsoft.com"),
					      .okta_scheme = or(cfg->okta_scheme, "https") } };

	p->fetcher = fetcher_new(&fetch);
	oidc.fetcher = sync.pull.fetcher = p->fetcher;
	p->oidc = p->fetcher ? oidc_new(&oidc) : NULL;
	p->sync = p->oidc ? sync_new(&sync) : NULL;
	p->sync_now = sync_now;
	p->sync_ctx = p->sync;
	return p->sync ? 0 : ERR_NOMEM;
}

void idp_close(struct portal *p)
{
	sync_free(p->sync);
	oidc_free(p->oidc);
	fetcher_free(p->fetcher);
	p->sync_now = NULL;
	p->sync = NULL;
	p->oidc = NULL;
	p->fetcher = NULL;
}
