/* Rules of what has to do with signing in and synced directories (spec 60 §1.4, §1.10, §8). */
#include "applets/portal/model/rules_int.h"

#include <ctype.h>
#include <stdio.h>

#define NAME_MAX_CHARS 255
#define URL_MAX_CHARS 2000
#define PICTURE_MAX_CHARS 2048
#define GOOGLE_ISSUER "https://accounts.google.com"

static bool is_host_like(const char *s)
{
	for (const char *p = s; *p; p++)
		if (!isalnum((unsigned char)*p) && *p != '.' && *p != '_' && *p != '-')
			return false;
	return *s;
}

static int check_url(const char *field, char *s, const char *scheme, struct complaint *c)
{
	int rc = check_text(field, s, 1, URL_MAX_CHARS, c);

	if (rc)
		return rc;
	bool is_https = strncasecmp(s, "https://", 8) == 0 && s[8];
	bool is_http = strncasecmp(s, "http://", 7) == 0 && s[7];
	if (!is_https && !(is_http && strcmp(scheme, "http") == 0))
		return complain(c, field, "must be an address that begins with https://");
	return strpbrk(s, " \t\"<>\\^`{|}") ? complain(c, field, "holds a character that no address has") : 0;
}

static int check_okta_domain(char *domain, struct complaint *c)
{
	int rc = check_text("okta_domain", domain, 1, NAME_MAX_CHARS, c);

	return rc ? rc : is_host_like(domain) ? 0 : complain(c, "okta_domain", "may hold only letters, digits, . _ and -");
}

/* ---- providers -------------------------------------------------------------------------------------------------------------------- */

static int check_range(const char *field, i64 value, i64 min, i64 max, struct complaint *c)
{
	return value >= min && value <= max ? 0 : complain(c, field, "must be %d to %d seconds", (int)min, (int)max);
}

static int check_okta_provider(struct auth_provider *p, struct complaint *c)
{
	char issuer[NAME_MAX_CHARS + 16];
	int rc = check_okta_domain(p->okta_domain, c);

	if (rc)
		return rc;
	snprintf(issuer, sizeof(issuer), "https://%s", p->okta_domain);
	null_if_empty(&p->issuer);
	if (!p->issuer)
		return text_set(&p->issuer, issuer);
	return strcmp(p->issuer, issuer) == 0 ? 0 : complain(c, "issuer", "must be %s", issuer);
}

static int check_client_credentials(struct auth_provider *p, struct complaint *c)
{
	int rc = check_text("client_id", p->client_id, 1, NAME_MAX_CHARS, c);

	return rc ? rc : check_text("client_secret", p->client_secret, 1, NAME_MAX_CHARS, c);
}

int check_auth_provider(struct auth_provider *p, struct complaint *c)
{
	int rc = check_text("name", p->name, 1, NAME_MAX_CHARS, c);

	rc = rc ? rc : check_range("client_session_lifetime_secs", p->client_session_lifetime_secs, 3600, 7776000, c);
	rc = rc ? rc : check_range("portal_session_lifetime_secs", p->portal_session_lifetime_secs, 300, 86400, c);
	if (rc)
		return rc;
	switch ((enum provider_type)p->type) {
	case PROVIDER_EMAIL_OTP:
	case PROVIDER_USERPASS:
		if (p->is_default)
			return complain(c, "is_default", "only a provider that signs in elsewhere can be the default");
		p->is_verified = true;
		return text_set(&p->issuer, PROVIDER_ISSUER);
	case PROVIDER_GOOGLE:
		return text_set(&p->issuer, GOOGLE_ISSUER);
	case PROVIDER_ENTRA:
		return check_url("issuer", p->issuer, "https", c);
	case PROVIDER_OKTA:
		rc = check_client_credentials(p, c);
		return rc ? rc : check_okta_provider(p, c);
	case PROVIDER_OIDC:
		rc = check_client_credentials(p, c);
		rc = rc ? rc : check_url("discovery_document_uri", p->discovery_document_uri, "http", c);
		null_if_empty(&p->issuer);
		return rc ? rc : check_text("issuer", p->issuer, 0, URL_MAX_CHARS, c);
	}
	return 0;
}

/* ---- identities, credentials ------------------------------------------------------------------------------------------------------- */

int check_identity(struct identity *i, struct complaint *c)
{
	struct {
		const char *field;
		char **text;
		int max;
	} optional[] = {
		{ "email", &i->email, 255 },
		{ "name", &i->name, 255 },
		{ "given_name", &i->given_name, 255 },
		{ "family_name", &i->family_name, 255 },
		{ "middle_name", &i->middle_name, 255 },
		{ "nickname", &i->nickname, 255 },
		{ "preferred_username", &i->preferred_username, 255 },
		{ "profile", &i->profile, PICTURE_MAX_CHARS },
		{ "picture", &i->picture, PICTURE_MAX_CHARS },
		{ "firezone_avatar_url", &i->firezone_avatar_url, PICTURE_MAX_CHARS },
	};
	int rc = check_text("issuer", i->issuer, 1, URL_MAX_CHARS, c);

	rc = rc ? rc : check_text("idp_id", i->idp_id, 1, 255, c);
	for (size_t n = 0; n < ARRAY_LEN(optional) && !rc; n++) {
		null_if_empty(optional[n].text);
		rc = check_text(optional[n].field, *optional[n].text, 0, optional[n].max, c);
	}
	return rc;
}

int check_credential(struct credential *x, struct complaint *c)
{
	null_if_empty(&x->name);
	return check_text("name", x->name, 0, NAME_MAX_CHARS, c);
}

/* ---- directories ------------------------------------------------------------------------------------------------------------------- */

static bool is_guid(const char *s)
{
	struct uuid id;

	return uuid_parse(SPAN(s, strlen(s)), &id) == 0;
}

int check_directory(struct sync_directory *d, struct complaint *c)
{
	int rc = check_text("name", d->name, 1, NAME_MAX_CHARS, c);

	if (rc)
		return rc;
	switch ((enum directory_type)d->type) {
	case DIRECTORY_GOOGLE:
		rc = check_text("domain", d->domain, 1, NAME_MAX_CHARS, c);
		rc = rc ? rc : check_text("impersonation_email", d->impersonation_email, 1, 160, c);
		return rc ? rc : check_email("impersonation_email", &d->impersonation_email, c);
	case DIRECTORY_ENTRA:
		rc = check_text("tenant_id", d->tenant_id, 1, NAME_MAX_CHARS, c);
		return rc ? rc : is_guid(d->tenant_id) ? 0 : complain(c, "tenant_id", "is an id such as 0b8c1d2e-0000-4000-8000-000000000001");
	case DIRECTORY_OKTA:
		rc = check_okta_domain(d->okta_domain, c);
		return rc ? rc : check_text("client_id", d->client_id, 1, NAME_MAX_CHARS, c);
	}
	return 0;
}
