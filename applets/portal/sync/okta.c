/* Okta: private_key_jwt and DPoP (RFC 9449); users and groups that are assigned to its apps (spec 60 §8).
 *
 *   apps ──▶ users of each app, groups of each app ──▶ members of each group who are such users
 */
#include "applets/portal/sync/pull.h"

#include "applets/portal/auth/jose_sign.h"
#include "core/base/encode.h"
#include "core/crypto/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCOPES "okta.users.read okta.groups.read okta.apps.read"
#define ASSERTION "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"
#define JTI_LEN 22

enum { ASK_APPS, ASK_MEMBERS, DONE };

static void draw_id(struct pull *p, char out[static JTI_LEN + 1])
{
	u8 raw[16];

	rng_fill(p->cfg->rng, raw, sizeof(raw));
	base64url_encode(out, JTI_LEN + 1, SPAN(raw, sizeof(raw)));
}

static u64 unix_now(const struct pull *p)
{
	return loop_wall(p->cfg->loop) / NSEC_PER_SEC;
}

static const char *base(struct pull *p, char out[static 300])
{
	snprintf(out, 300, "%s://%.255s", p->cfg->okta_scheme, p->dir.okta_domain ? p->dir.okta_domain : "");
	return out;
}

/* A proof that we hold the key which the token is bound to. */
static int prove(struct pull *p, const char *method, const char *url, struct strbuf *out)
{
	struct json_out header = JSON_OUT, claims = JSON_OUT;
	char jti[JTI_LEN + 1], hash[BASE64URL_SIZE(SHA256_LEN)];
	u8 digest[SHA256_LEN];
	const char *query = strchr(url, '?');

	draw_id(p, jti);
	json_open(&header, NULL);
	json_put_str(&header, "typ", "dpop+jwt");
	jose_put_public(&header, "jwk", p->proof_key, NULL);
	json_close(&header);
	json_open(&claims, NULL);
	json_put_str(&claims, "jti", jti);
	json_put_str(&claims, "htm", method);
	json_put_strn(&claims, "htu", SPAN(url, query ? (size_t)(query - url) : strlen(url)));
	json_put_u64(&claims, "iat", unix_now(p));
	if (p->nonce[0])
		json_put_str(&claims, "nonce", p->nonce);
	if (p->has_token) {
		sha256(digest, SPAN(p->token, strlen(p->token)));
		base64url_encode(hash, sizeof(hash), SPAN(digest, sizeof(digest)));
		json_put_str(&claims, "ath", hash);
	}
	json_close(&claims);
	int rc = json_ok(&header) && json_ok(&claims) ? jws_sign(p->proof_key, json_text(&header), json_text(&claims), out) : ERR_NOMEM;
	json_out_free(&header);
	json_out_free(&claims);
	return rc;
}

static int assert_client(struct pull *p, const char *audience, struct strbuf *out)
{
	struct json_out header = JSON_OUT, claims = JSON_OUT;
	char jti[JTI_LEN + 1];

	draw_id(p, jti);
	json_open(&header, NULL);
	json_put_str(&header, "typ", "JWT");
	if (p->dir.kid)
		json_put_str(&header, "kid", p->dir.kid);
	json_close(&header);
	json_open(&claims, NULL);
	json_put_str(&claims, "iss", p->dir.client_id);
	json_put_str(&claims, "sub", p->dir.client_id);
	json_put_str(&claims, "aud", audience);
	json_put_str(&claims, "jti", jti);
	json_put_u64(&claims, "iat", unix_now(p));
	json_put_u64(&claims, "exp", unix_now(p) + 300);
	json_close(&claims);
	int rc = json_ok(&header) && json_ok(&claims) ? jws_sign(p->key, json_text(&header), json_text(&claims), out) : ERR_NOMEM;
	json_out_free(&header);
	json_out_free(&claims);
	return rc;
}

static void authorize(struct pull *p);

/* Servers may want their own nonce in proofs; then they say so once. */
static bool take_nonce(struct pull *p, const struct fetch_answer *a)
{
	struct span v = a->error ? SPAN_NONE : http_field(a->head, "dpop-nonce");

	if (v.n == 0 || v.n >= sizeof(p->nonce) || (strlen(p->nonce) == v.n && memcmp(p->nonce, v.p, v.n) == 0))
		return false;
	memcpy(p->nonce, v.p, v.n);
	p->nonce[v.n] = '\0';
	return true;
}

static bool has_scope(const char *scopes, const char *scope, size_t n)
{
	for (const char *at = scopes; at && *at;) {
		size_t len = strcspn(at, " ");
		if (len == n && memcmp(at, scope, n) == 0)
			return true;
		at += len + (at[len] == ' ');
	}
	return false;
}

static const char *missing_scope(const char *granted)
{
	static const char *const wanted[] = { "okta.users.read", "okta.groups.read", "okta.apps.read" };

	for (size_t i = 0; granted && i < ARRAY_LEN(wanted); i++)
		if (!has_scope(granted, wanted[i], strlen(wanted[i])))
			return wanted[i];
	return NULL;
}

static void on_token(void *ctx, const struct fetch_answer *a)
{
	struct pull *p = ctx;
	struct cJSON *root = NULL;
	bool is_new = take_nonce(p, a);

	p->token_fetch = NULL;
	if (!a->error && a->status == 400 && is_new) {
		authorize(p);
		return;
	}
	const char *token = !a->error && a->status == 200 && json_parse(a->body, NULL, &root) == 0 ? pull_str(root, "access_token") : NULL;
	const char *missing = token ? missing_scope(pull_str(root, "scope")) : NULL;
	if (missing)
		pull_fail(p, PULL_REFUSED, "Okta: the application lacks the scope %s", missing);
	else if (token)
		pull_has_token(p, token);
	else
		pull_fail_by(p, "signing in", a);
	json_free(root);
}

static bool load_keys(struct pull *p)
{
	u8 seed[JOSE_SEED_LEN];
	const char *jwk = p->dir.private_key_jwk;

	if (p->key && p->proof_key)
		return true;
	rng_fill(p->cfg->rng, seed, sizeof(seed));
	if (!jwk || !p->dir.client_id || (!p->key && jose_key_from_jwk(SPAN(jwk, strlen(jwk)), &p->key)) || (!p->proof_key && jose_key_make_ec(seed, &p->proof_key))) {
		pull_fail(p, PULL_REFUSED, "Okta: the client id or the key of this directory is missing");
		return false;
	}
	return true;
}

static void authorize(struct pull *p)
{
	struct strbuf body = { 0 }, proof = { 0 };
	struct fetch_request rq = { .is_post = true, .done = on_token, .ctx = p };
	char url[360], b[300];

	if (!load_keys(p))
		return;
	p->has_token = false;
	snprintf(url, sizeof(url), "%s/oauth2/v1/token", base(p, b));
	strbuf_printf(&body, "grant_type=client_credentials&scope=%s&client_assertion_type=%s&client_assertion=", pull_encoded(p, 1, SCOPES), ASSERTION);
	int rc = assert_client(p, url, &body);
	rc = rc ? rc : prove(p, "POST", url, &proof);
	rq.url = url;
	rq.body = strbuf_span(&body);
	rq.header[0].name = "DPoP";
	rq.header[0].value = strbuf_text(&proof);
	rc = rc ? rc : fetch_start(p->cfg->fetcher, &rq, &p->token_fetch);
	strbuf_free(&body);
	strbuf_free(&proof);
	if (rc)
		pull_fail(p, PULL_DISTURBED, "Okta: signing in: %s", err_str(rc));
}

static void headers(struct pull *p, const char *url, struct fetch_request *rq)
{
	struct strbuf proof = { 0 };

	if (prove(p, "GET", url, &proof))
		strbuf_reset(&proof);
	rq->header[0].name = "Authorization";
	rq->header[0].value = pull_text(p, 0, "DPoP %s", p->token);
	rq->header[1].name = "DPoP";
	rq->header[1].value = pull_text(p, 1, "%s", strbuf_text(&proof));
	strbuf_free(&proof);
}

static bool challenged(struct pull *p, const struct fetch_answer *a)
{
	return take_nonce(p, a);
}

/* Link: <https://…>; rel="next", in one of several fields. */
static int ask_next(struct pull *p, const struct pull_get *g, const struct http_head *head)
{
	char b[300];

	for (size_t i = 0; i < head->n_fields && !p->is_probe; i++) {
		const struct http_field *f = &head->field[i];
		const u8 *end;
		if (!span_eq_nocase(f->name, "link") || !memmem(f->value.p, f->value.n, "rel=\"next\"", 10) || f->value.n == 0 || f->value.p[0] != '<' ||
		    !(end = memchr(f->value.p, '>', f->value.n)))
			continue;
		const char *url = pull_text(p, 2, "%.*s", (int)(end - f->value.p - 1), (const char *)f->value.p + 1);
		if (!pull_same_origin(url, base(p, b)))
			return ERR_MALFORMED;
		pull_get(p, g->page, g->group, (enum get_lack)g->lack, "%s", url);
		return 0;
	}
	return 0;
}

static bool is_active(const char *status)
{
	static const char *const active[] = { "ACTIVE", "STAGED", "PROVISIONED", "RECOVERY", "PASSWORD_EXPIRED", "LOCKED_OUT" };

	for (size_t i = 0; status && i < ARRAY_LEN(active); i++)
		if (strcmp(status, active[i]) == 0)
			return true;
	return false;
}

static const struct cJSON *embedded(const struct cJSON *v, const char *name)
{
	struct json_get g = JSON_GET;
	const struct cJSON *o = json_object_opt(&g, v, "_embedded");

	return o ? json_object_opt(&g, o, name) : NULL;
}

static int on_app_users(struct pull *p, const struct pull_get *g, const struct cJSON *root, const struct http_head *head)
{
	json_each(v, root) {
		const struct cJSON *user = embedded(v, "user");
		struct json_get get = JSON_GET;
		const struct cJSON *profile = user ? json_object_opt(&get, user, "profile") : NULL;
		const char *first = pull_str(profile, "firstName"), *last = pull_str(profile, "lastName");
		if (!profile)
			return ERR_MALFORMED;
		if (!is_active(pull_str(user, "status")))
			continue;
		int i = snapshot_user(&p->snap, pull_str(v, "id"), pull_str(profile, "email"),
				      pull_text(p, 3, "%s%s%s", first ? first : "", first && last ? " " : "", last ? last : ""), first, last);
		if (i < 0)
			return i;
		p->snap.users[i].is_wanted = true;
	}
	return ask_next(p, g, head);
}

static int on_app_groups(struct pull *p, const struct pull_get *g, const struct cJSON *root, const struct http_head *head)
{
	json_each(v, root) {
		struct json_get get = JSON_GET;
		const struct cJSON *group = embedded(v, "group"), *profile = group ? json_object_opt(&get, group, "profile") : NULL;
		int i = snapshot_group(&p->snap, pull_str(v, "id"), pull_str(profile, "name"), NULL, ENTITY_GROUP);
		if (i < 0)
			return i;
	}
	return ask_next(p, g, head);
}

static int on_apps(struct pull *p, const struct pull_get *g, const struct cJSON *root, const struct http_head *head)
{
	char b[300];

	json_each(v, p->is_probe ? NULL : root) {
		const char *id = pull_str(v, "id");
		if (!id)
			return ERR_MALFORMED;
		const char *app = pull_encoded(p, 1, id);
		pull_get(p, on_app_users, 0, GET_MUST_EXIST, "%s/api/v1/apps/%s/users?expand=user&limit=500", base(p, b), app);
		pull_get(p, on_app_groups, 0, GET_MUST_EXIST, "%s/api/v1/apps/%s/groups?expand=group&limit=200", base(p, b), app);
	}
	return ask_next(p, g, head);
}

static int on_members(struct pull *p, const struct pull_get *g, const struct cJSON *root, const struct http_head *head)
{
	json_each(v, p->is_probe ? NULL : root) {
		const char *id = pull_str(v, "id");
		int i = id ? snapshot_find_user(&p->snap, id) : ERR_MALFORMED;
		int rc = i >= 0 ? snapshot_member(&p->snap, g->group, (u32)i) : i == ERR_NOT_FOUND ? 0 : i;
		if (rc)
			return rc;
	}
	return ask_next(p, g, head);
}

static int next(struct pull *p)
{
	char b[300];

	switch (p->phase++) {
	case ASK_APPS:
		pull_get(p, on_apps, 0, GET_MUST_EXIST, "%s/api/v1/apps?limit=%u", base(p, b), p->is_probe ? 1u : 200u);
		if (p->is_probe) {
			pull_get(p, on_members, 0, GET_MUST_EXIST, "%s/api/v1/users?limit=1", base(p, b));
			pull_get(p, on_members, 0, GET_MUST_EXIST, "%s/api/v1/groups?limit=1", base(p, b));
		}
		return 0;
	case ASK_MEMBERS:
		for (u32 i = 0; i < p->snap.n_groups; i++)
			pull_get(p, on_members, i, GET_MAY_LACK_404, "%s/api/v1/groups/%s/users?limit=200", base(p, b), pull_encoded(p, 1, p->snap.groups[i].idp_id));
		return 0;
	}
	return 1;
}

const struct pull_ops okta_ops = { .what = "Okta", .authorize = authorize, .next = next, .headers = headers, .challenged = challenged };
