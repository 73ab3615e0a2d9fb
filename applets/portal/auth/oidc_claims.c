/* Claims to a profile (spec 60 §3.6). */
#include "applets/portal/auth/oidc_int.h"

#include "core/json/json.h"

#include <string.h>

/* A claim that is a text and not too long; NULL otherwise. */
static const char *claim(const struct cJSON *o, const char *name, size_t max)
{
	struct json_get g = JSON_GET;
	const char *s = json_value_str(json_member(&g, o, name));

	return s && *s && !g.err && strlen(s) <= max ? s : NULL;
}

/* Of userinfo, which is fresher, else of the token. */
static const char *either(const struct cJSON *claims, const struct cJSON *userinfo, const char *name, size_t max)
{
	const char *s = userinfo ? claim(userinfo, name, max) : NULL;

	return s ? s : claim(claims, name, max);
}

static const char *full_name(const struct oidc_profile *p, struct strbuf *names)
{
	if (!p->given_name && !p->family_name)
		return NULL;
	strbuf_printf(names, "%s%s%s", p->given_name ? p->given_name : "", p->given_name && p->family_name ? " " : "", p->family_name ? p->family_name : "");
	return strbuf_ok(names) && names->n <= OIDC_TEXT_MAX ? strbuf_text(names) : NULL;
}

int oidc_profile_of(const struct cJSON *claims, const struct cJSON *userinfo, int type, int email_claim, struct oidc_profile *out, struct strbuf *names,
		    const char **why)
{
	static const char *const email_claims[] = { [CLAIM_UPN] = "upn", [CLAIM_EMAIL] = "email", [CLAIM_PREFERRED_USERNAME] = "preferred_username" };
	const char *email = type == PROVIDER_ENTRA ? email_claims[email_claim] : "email";
	struct oidc_profile p = {
		.issuer = claim(claims, "iss", OIDC_URL_MAX),
		.idp_id = claim(claims, "oid", OIDC_TEXT_MAX),
		.email = claim(claims, email, OIDC_TEXT_MAX),
		.name = either(claims, userinfo, "name", OIDC_TEXT_MAX),
		.given_name = either(claims, userinfo, "given_name", OIDC_TEXT_MAX),
		.family_name = either(claims, userinfo, "family_name", OIDC_TEXT_MAX),
		.middle_name = either(claims, userinfo, "middle_name", OIDC_TEXT_MAX),
		.nickname = either(claims, userinfo, "nickname", OIDC_TEXT_MAX),
		.preferred_username = either(claims, userinfo, "preferred_username", OIDC_TEXT_MAX),
		.profile = either(claims, userinfo, "profile", 2048),
		.picture = either(claims, userinfo, "picture", 2048),
	};

	if (!p.idp_id)
		p.idp_id = claim(claims, "sub", OIDC_TEXT_MAX);
	/* Providers that put claims of scopes only into userinfo are within their rights (OpenID Connect Core §5.4). */
	if (!p.email && userinfo && type != PROVIDER_ENTRA)
		p.email = claim(userinfo, "email", OIDC_TEXT_MAX);
	if (!p.name)
		p.name = full_name(&p, names);
	p.name = p.name ? p.name : p.preferred_username ? p.preferred_username : p.nickname ? p.nickname : p.email;
	*out = p;
	*why = !p.email	 ? "Your identity provider did not tell your e-mail address" :
	       !p.idp_id ? "Your identity provider did not tell who you are" :
	       !p.issuer ? "Your identity provider did not tell its name" :
			   "";
	return **why ? ERR_MALFORMED : 0;
}
