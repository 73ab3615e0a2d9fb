#include "applets/portal/idp.h"

#include "applets/portal/auth/oidc.h"

static const char *given(const char *text)
{
	return text && *text ? text : NULL;
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

	p->fetcher = fetcher_new(&fetch);
	oidc.fetcher = p->fetcher;
	p->oidc = p->fetcher ? oidc_new(&oidc) : NULL;
	return p->oidc ? 0 : ERR_NOMEM;
}

void idp_close(struct portal *p)
{
	oidc_free(p->oidc);
	fetcher_free(p->fetcher);
	p->oidc = NULL;
	p->fetcher = NULL;
}
