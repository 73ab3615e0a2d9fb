/* Rules of what has to do with signing in and with synced directories (spec 60 §1.4, §1.10, §8). */
#include "applets/portal/model/rules.h"
#include "tests/unit/test.h"

#include <stdlib.h>

static struct auth_provider provider(enum provider_type type)
{
	struct auth_provider p;

	entity_init(KIND_AUTH_PROVIDER, &p);
	p.type = (int)type;
	EXPECT_EQ(text_set(&p.name, " IdP "), 0);
	EXPECT_EQ(text_set(&p.client_id, "id"), 0);
	EXPECT_EQ(text_set(&p.client_secret, "secret"), 0);
	EXPECT_EQ(text_set(&p.discovery_document_uri, "https://idp.example/.well-known/openid-configuration"), 0);
	EXPECT_EQ(text_set(&p.okta_domain, "acme.okta.com"), 0);
	return p;
}

static const char *judge(struct auth_provider *p)
{
	static struct complaint c;
	int rc = check_auth_provider(p, &c);

	entity_deinit(KIND_AUTH_PROVIDER, p);
	return rc == 0 ? "" : c.field;
}

TEST(a_new_provider_has_the_lifetimes_of_the_specification)
{
	struct auth_provider p = provider(PROVIDER_OIDC);
	struct complaint c;

	EXPECT_EQ(p.client_session_lifetime_secs, 604800);
	EXPECT_EQ(p.portal_session_lifetime_secs, 28800);
	EXPECT_EQ(p.context, CONTEXT_BOTH);
	EXPECT_EQ(check_auth_provider(&p, &c), 0);
	EXPECT_STR(p.name, "IdP");
	entity_deinit(KIND_AUTH_PROVIDER, &p);
}

TEST(issuers_are_set_where_the_type_says_what_they_are)
{
	static const struct {
		enum provider_type type;
		const char *issuer;
	} cases[] = {
		{ PROVIDER_EMAIL_OTP, "firezone" }, { PROVIDER_USERPASS, "firezone" }, { PROVIDER_GOOGLE, "https://accounts.google.com" },
		{ PROVIDER_OKTA, "https://acme.okta.com" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct auth_provider p = provider(cases[i].type);
		struct complaint c;

		EXPECT_EQ(check_auth_provider(&p, &c), 0);
		EXPECT_STR(p.issuer, cases[i].issuer);
		entity_deinit(KIND_AUTH_PROVIDER, &p);
	}
}

TEST(providers_that_cannot_be_are_refused_by_field)
{
	struct auth_provider p;

	p = provider(PROVIDER_OIDC);
	p.client_session_lifetime_secs = 3599;
	EXPECT_STR(judge(&p), "client_session_lifetime_secs");
	p = provider(PROVIDER_OIDC);
	p.client_session_lifetime_secs = 7776001;
	EXPECT_STR(judge(&p), "client_session_lifetime_secs");
	p = provider(PROVIDER_OIDC);
	p.portal_session_lifetime_secs = 299;
	EXPECT_STR(judge(&p), "portal_session_lifetime_secs");
	p = provider(PROVIDER_EMAIL_OTP);
	p.is_default = true;
	EXPECT_STR(judge(&p), "is_default");
	p = provider(PROVIDER_OIDC);
	EXPECT_EQ(text_set(&p.client_secret, "  "), 0);
	EXPECT_STR(judge(&p), "client_secret");
	p = provider(PROVIDER_OIDC);
	EXPECT_EQ(text_set(&p.discovery_document_uri, "ftp://idp.example/"), 0);
	EXPECT_STR(judge(&p), "discovery_document_uri");
	p = provider(PROVIDER_OIDC);
	EXPECT_EQ(text_set(&p.discovery_document_uri, "https://idp.example/<script>"), 0);
	EXPECT_STR(judge(&p), "discovery_document_uri");
	p = provider(PROVIDER_OKTA);
	EXPECT_EQ(text_set(&p.okta_domain, "acme.okta.com/x"), 0);
	EXPECT_STR(judge(&p), "okta_domain");
	p = provider(PROVIDER_OKTA);
	EXPECT_EQ(text_set(&p.issuer, "https://other.okta.com"), 0);
	EXPECT_STR(judge(&p), "issuer");
	p = provider(PROVIDER_ENTRA);
	EXPECT_EQ(text_set(&p.issuer, "http://login.example/"), 0);
	EXPECT_STR(judge(&p), "issuer");
	p = provider(PROVIDER_OIDC);
	EXPECT_EQ(text_set(&p.name, ""), 0);
	EXPECT_STR(judge(&p), "name");
}

TEST(identities_and_directories)
{
	static char lengthy[400];
	struct identity i;
	struct sync_directory d;
	struct complaint c;

	memset(lengthy, 'x', sizeof(lengthy) - 1);
	entity_init(KIND_IDENTITY, &i);
	EXPECT_EQ(check_identity(&i, &c), ERR_INVAL);
	EXPECT_EQ(text_set(&i.issuer, "https://idp.example"), 0);
	EXPECT_EQ(text_set(&i.idp_id, "42"), 0);
	EXPECT_EQ(text_set(&i.nickname, " "), 0);
	EXPECT_EQ(text_set(&i.picture, lengthy), 0);
	EXPECT_EQ(check_identity(&i, &c), 0);
	EXPECT(i.nickname == NULL);
	EXPECT_EQ(text_set(&i.given_name, lengthy), 0);
	EXPECT_EQ(check_identity(&i, &c), ERR_INVAL);
	EXPECT_STR(c.field, "given_name");
	entity_deinit(KIND_IDENTITY, &i);

	entity_init(KIND_DIRECTORY, &d);
	EXPECT_EQ(text_set(&d.name, "Entra"), 0);
	d.type = DIRECTORY_ENTRA;
	EXPECT_EQ(text_set(&d.tenant_id, "acme"), 0);
	EXPECT_EQ(check_directory(&d, &c), ERR_INVAL);
	EXPECT_EQ(text_set(&d.tenant_id, "0b8c1d2e-0000-4000-8000-000000000001"), 0);
	EXPECT_EQ(check_directory(&d, &c), 0);
	d.type = DIRECTORY_GOOGLE;
	EXPECT_EQ(check_directory(&d, &c), ERR_INVAL);
	EXPECT_EQ(text_set(&d.domain, "example.com"), 0);
	EXPECT_EQ(text_set(&d.impersonation_email, "admin"), 0);
	EXPECT_EQ(check_directory(&d, &c), ERR_INVAL);
	EXPECT_STR(c.field, "impersonation_email");
	EXPECT_EQ(text_set(&d.impersonation_email, "admin@example.com"), 0);
	EXPECT_EQ(check_directory(&d, &c), 0);
	entity_deinit(KIND_DIRECTORY, &d);
}
