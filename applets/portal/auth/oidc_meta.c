/* What providers say about themselves, and for how long it is believed. */
#include "applets/portal/auth/oidc_int.h"

#include "core/crypto/hash.h"
#include "core/http/url.h"
#include "core/json/json.h"

#include <stdlib.h>
#include <string.h>

#define DISCOVERY_VALUES_MAX 4096u

static void meta_free(struct oidc_meta *m)
{
	if (m)
		jwks_free(m->keys);
	free(m);
}

struct oidc_meta *oidc_meta_get(struct oidc *o, const char *discovery, u64 now)
{
	u32 victim = OIDC_CACHE_MAX;

	for (u32 i = 0; i < OIDC_CACHE_MAX; i++) {
		struct oidc_meta *m = o->cache[i];
		if (m && strcmp(m->discovery, discovery) == 0) {
			m->used_at = now;
			return m;
		}
		if (m && m->users > 0)
			continue;
		if (victim == OIDC_CACHE_MAX || (o->cache[victim] && (!m || m->used_at < o->cache[victim]->used_at)))
			victim = i;
	}
	struct oidc_meta *m = victim < OIDC_CACHE_MAX && strlen(discovery) < sizeof(m->discovery) ? calloc(1, sizeof(*m)) : NULL;
	if (!m)
		return NULL;
	memcpy(m->discovery, discovery, strlen(discovery) + 1);
	m->used_at = now;
	meta_free(o->cache[victim]);
	return o->cache[victim] = m;
}

/* A URL of the document: as well protected as the document itself was. */
static bool take_url(struct json_get *g, const struct cJSON *root, const char *name, bool wants_https, char out[static OIDC_URL_MAX + 1])
{
	const char *text = json_str_null(g, root, name);
	struct url u;

	out[0] = '\0';
	if (!text)
		return false;
	if (strlen(text) > OIDC_URL_MAX || url_parse(SPAN(text, strlen(text)), &u) || strchr(text, '#') ||
	    !(url_scheme_is(&u, "https") || (url_scheme_is(&u, "http") && !wants_https)))
		return false;
	memcpy(out, text, strlen(text) + 1);
	return true;
}

static bool list_has(const struct cJSON *list, const char *word)
{
	json_each(v, list) {
		const char *s = json_value_str(v);
		if (s && strcmp(s, word) == 0)
			return true;
	}
	return false;
}

int oidc_meta_fill(struct oidc_meta *m, struct span json, const char **why)
{
	static const struct json_limits limits = { FETCH_BODY_MAX, DISCOVERY_VALUES_MAX, 16 };
	struct cJSON *root;
	struct json_get g = JSON_GET;
	bool https = strncasecmp(m->discovery, "https:", 6) == 0;

	*why = "its discovery document is not JSON";
	if (json_parse(json, &limits, &root))
		return ERR_MALFORMED;
	const char *issuer = json_str(&g, root, "issuer");
	bool ok = !g.err && *issuer && strlen(issuer) <= OIDC_URL_MAX;
	if (ok)
		memcpy(m->issuer, issuer, strlen(issuer) + 1);
	ok = take_url(&g, root, "authorization_endpoint", https, m->authorization) && ok;
	ok = take_url(&g, root, "token_endpoint", https, m->token) && ok;
	ok = take_url(&g, root, "jwks_uri", https, m->jwks_uri) && ok;
	(void)take_url(&g, root, "userinfo_endpoint", https, m->userinfo);
	const struct cJSON *methods = json_array_opt(&g, root, "token_endpoint_auth_methods_supported");
	m->wants_basic = methods && list_has(methods, "client_secret_basic") && !list_has(methods, "client_secret_post");
	ok = ok && !g.err;
	json_free(root);
	*why = "its discovery document lacks an issuer or endpoints, or they are not https";
	return ok ? 0 : ERR_MALFORMED;
}

u64 oidc_freshness(const struct http_head *head)
{
	struct span v = http_field(head, "cache-control");
	const u8 *at = v.n ? memmem(v.p, v.n, "max-age=", 8) : NULL;
	u64 secs = 0;

	if (http_list_has(v, "no-store") || http_list_has(v, "no-cache"))
		return 0;
	if (!at)
		return OIDC_FRESH_DEFAULT;
	for (const u8 *p = at + 8; p < v.p + v.n && *p >= '0' && *p <= '9' && secs < 100000; p++)
		secs = secs * 10 + (u64)(*p - '0');
	return MIN(SEC(secs), OIDC_FRESH_MAX);
}

/* ---- the object ---- */

struct oidc *oidc_new(const struct oidc_config *cfg)
{
	struct oidc *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->cfg = *cfg;
	if (!o->cfg.google_url)
		o->cfg.google_url = OIDC_GOOGLE_ISSUER;
	if (!o->cfg.entra_url)
		o->cfg.entra_url = OIDC_ENTRA_URL;
	return o;
}

void oidc_free(struct oidc *o)
{
	if (!o)
		return;
	while (o->jobs)
		oidc_cancel(o->jobs);
	for (u32 i = 0; i < OIDC_CACHE_MAX; i++)
		meta_free(o->cache[i]);
	oidc_trials_free(o);
	free(o);
}

bool oidc_take_state(struct oidc *o, const char *state, u64 now)
{
	u8 digest[SHA256_LEN];

	sha256(digest, SPAN(state, strlen(state)));
	for (u32 i = 0; i < OIDC_USED_MAX; i++)
		if (o->used[i].until > now && memcmp(o->used[i].digest, digest, sizeof(o->used[i].digest)) == 0)
			return false;
	memcpy(o->used[o->used_at].digest, digest, sizeof(o->used[0].digest));
	o->used[o->used_at].until = now + SEC(300);
	o->used_at = (o->used_at + 1) % OIDC_USED_MAX;
	return true;
}
