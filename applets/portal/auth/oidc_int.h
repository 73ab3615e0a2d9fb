/* applets/portal/auth/oidc_int.h: what the parts of OpenID Connect share. */
#pragma once

#include "applets/portal/auth/oidc.h"

#define OIDC_USED_MAX 1024u

/* What a provider says about itself. Not dropped while jobs use it. */
struct oidc_meta {
	char discovery[OIDC_URL_MAX + 64];
	char issuer[OIDC_URL_MAX + 1], authorization[OIDC_URL_MAX + 1], token[OIDC_URL_MAX + 1], userinfo[OIDC_URL_MAX + 1], jwks_uri[OIDC_URL_MAX + 1];
	bool wants_basic; /* client_secret_basic and not _post */
	struct jwks *keys;
	u64 fresh_until, keys_until, keys_at, used_at;
	u32 users;
};

struct oidc {
	struct oidc_config cfg;
	struct oidc_meta *cache[OIDC_CACHE_MAX];
	struct oidc_job *jobs;
	u32 n_jobs;
	struct {
		u8 digest[16];
		u64 until;
	} used[OIDC_USED_MAX];
	u32 used_at;
	struct oidc_trial *trials[OIDC_TRIALS_MAX];
};

/* Settings that are being tried (oidc_trial.h). */
void oidc_trials_free(struct oidc *o);

/* From the cache, or a new empty one (fresh_until 0). NULL: all are in use, or no memory. */
struct oidc_meta *oidc_meta_get(struct oidc *o, const char *discovery, u64 now);
/* Fills from the document. ERR_MALFORMED with *why. */
int oidc_meta_fill(struct oidc_meta *m, struct span json, const char **why) MUST_CHECK;
/* How long an answer may be kept. */
u64 oidc_freshness(const struct http_head *head);
