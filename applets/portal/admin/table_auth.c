#include "applets/portal/admin/table.h"

/* ---- provider ---- */

#define PROVIDER_OPTIONS                                                                                                        \
	TEXT("name", name, "NAME", "what people choose it by"),                                                                 \
		TEXT("context", context, "WHERE", "clients_and_portal, clients_only or portal_only"),                           \
		TEXT("client-id", client_id, "ID", "at the identity provider"),                                                 \
		TEXT("client-secret", client_secret, "SECRET", "at the identity provider"),                                     \
		TEXT("discovery-document-uri", discovery, "URL", "of oidc: https://…/.well-known/openid-configuration"),         \
		TEXT("okta-domain", okta_domain, "DOMAIN", "of okta: acme.okta.com"),                                           \
		TEXT("issuer", issuer, "URL", "of entra and oidc, as its tokens say"),                                          \
		TEXT("email-claim", email_claim, "CLAIM", "of entra: upn, email or preferred_username"),                        \
		TEXT("client-session-lifetime-secs", client_lifetime, "N", "3600 to 7776000; 604800 when not given"),           \
		TEXT("portal-session-lifetime-secs", portal_lifetime, "N", "300 to 86400; 28800 when not given"),               \
		TEXT("legacy", legacy, "on|off", "of oidc: the callback address of before 2025"),                               \
		TEXT("verified", verified, "on|off", "somebody signed in through it with these settings")

static const struct opt_def o_list[] = { ACCOUNT, JSON };
static const struct opt_def o_provider_add[] = {
	NEEDED("type", type, "TYPE", "email_otp, userpass, google, entra, okta, oidc"), PROVIDER_OPTIONS, ACCOUNT, JSON
};
static const struct opt_def o_provider_update[] = { TARGET("PROVIDER"), PROVIDER_OPTIONS, ACCOUNT, JSON };
static const struct opt_def o_provider_target[] = { TARGET("PROVIDER"), ACCOUNT, JSON };
static const struct opt_def o_provider_default[] = { TARGET("PROVIDER"), TEXT("default", is_default, "on|off", "off: no provider is"), ACCOUNT, JSON };

#define PROVIDER_EXAMPLE(verb) "  emberbox portal provider " verb " Keycloak\n"

const struct verb v_provider[] = {
	VERB("add", "make one; until it is verified it stays disabled", run_provider_add, o_provider_add,
	     "  emberbox portal provider add --type oidc --name Keycloak --client-id emberbox --client-secret … \\\n"
	     "      --discovery-document-uri https://id.acme.example/.well-known/openid-configuration\n"),
	READS("list", "all ways to sign in", run_list, o_list, "  emberbox portal provider list\n"),
	READS("show", "one way to sign in", run_show, o_provider_target, PROVIDER_EXAMPLE("show")),
	VERB("update", "change it; new credentials have to be verified", run_provider_update, o_provider_update,
	     "  emberbox portal provider update Keycloak --client-session-lifetime-secs 86400\n"),
	VERB("enable", "let people sign in through it", run_provider_enable, o_provider_target, PROVIDER_EXAMPLE("enable")),
	VERB("disable", "end all sessions made through it and refuse new ones", run_provider_disable, o_provider_target, PROVIDER_EXAMPLE("disable")),
	VERB("set-default", "let clients go straight to it", run_provider_set_default, o_provider_default, PROVIDER_EXAMPLE("set-default")),
	VERB("revoke-sessions", "end all sessions made through it", run_provider_revoke_sessions, o_provider_target,
	     PROVIDER_EXAMPLE("revoke-sessions")),
	VERB("delete", "delete it with its sessions; never the portal's own", run_provider_delete, o_provider_target, PROVIDER_EXAMPLE("delete")),
};

/* ---- identity, session, credential, link ---- */

static const struct opt_def o_of_actor[] = { TEXT("actor", actor, "ACTOR", "only this one's"), ACCOUNT, JSON };
static const struct opt_def o_of_actor_needed[] = { NEEDED("actor", actor, "ACTOR", "whose: id, name or e-mail address"), ACCOUNT, JSON };
static const struct opt_def o_id[] = { { "target", 0, NULL, OPT_STR, A(target), .meta = "ID", .help = "as the list shows it", .flags = OPT_POSITIONAL | OPT_REQUIRED }, ACCOUNT, JSON };

#define ID " 0b8c1d2e-0000-4000-8000-000000000001\n"

const struct verb v_identity[] = {
	READS("list", "all of them, or an actor's", run_list, o_of_actor, "  emberbox portal identity list --actor jo@acme.example\n"),
	READS("show", "one of them", run_show, o_id, "  emberbox portal identity show" ID),
	VERB("delete", "forget it; sessions from that provider end", run_identity_delete, o_id, "  emberbox portal identity delete" ID),
};

const struct verb v_session[] = {
	READS("list", "portal sessions and clients' tokens", run_session_list, o_of_actor, "  emberbox portal session list --actor jo@acme.example\n"),
	VERB("delete", "end one: the browser is signed out, the client disconnected", run_session_delete, o_id, "  emberbox portal session delete" ID),
	VERB("delete-all", "end all of an actor", run_session_delete_all, o_of_actor_needed,
	     "  emberbox portal session delete-all --actor jo@acme.example\n"),
};

static const struct opt_def o_credential_update[] = {
	{ "target", 0, NULL, OPT_STR, A(target), .meta = "ID", .help = "as the list shows it", .flags = OPT_POSITIONAL | OPT_REQUIRED },
	NEEDED("name", name, "NAME", "to tell it from others"), ACCOUNT, JSON
};

const struct verb v_credential[] = {
	READS("list", "all of them, or an actor's", run_list, o_of_actor, "  emberbox portal credential list --actor jo@acme.example\n"),
	READS("show", "one of them", run_show, o_id, "  emberbox portal credential show" ID),
	VERB("update", "rename it", run_credential_update, o_credential_update,
	     "  emberbox portal credential update 0b8c1d2e-0000-4000-8000-000000000001 --name 'Blue key'\n"),
	VERB("delete", "it works no more", run_delete, o_id, "  emberbox portal credential delete" ID),
};

static const struct opt_def o_link_add[] = {
	TEXT("actor", actor, "ACTOR", "for whom: id, name or e-mail address"),
	TEXT("purpose", purpose, "WHAT", "invite (when not given), recovery, or setup: for the first admin, who is no actor yet"),
	TEXT("expires", expires, "DATE|SPAN", "2027-01-31 or 2d; at most 30 days; tomorrow when not given"),
	ACCOUNT,
	JSON,
};

const struct verb v_link[] = {
	VERB("add", "make a link that works once and show it, this once: for who has no way to sign in yet, or lost it", run_link_add, o_link_add,
	     "  emberbox portal link add --actor jo@acme.example --purpose recovery\n"
	     "  emberbox portal link add --purpose setup\n"),
	READS("list", "all links, without their secrets", run_list, o_of_actor, "  emberbox portal link list\n"),
	VERB("delete", "it works no more", run_delete, o_id, "  emberbox portal link delete" ID),
};

/* ---- api-client, api-token ---- */

static const struct opt_def o_api_client_add[] = { NEEDED("name", name, "NAME", "what it is called"), ACCOUNT, JSON };
static const struct opt_def o_api_client_update[] = { TARGET("CLIENT"), NEEDED("name", name, "NAME", "new name"), ACCOUNT, JSON };
static const struct opt_def o_api_client_target[] = { TARGET("CLIENT"), ACCOUNT, JSON };

const struct verb v_api_client[] = {
	VERB("add", "make one; then give it a token", run_actor_add, o_api_client_add, "  emberbox portal api-client add --name terraform\n"),
	READS("list", "all API clients", run_list, o_list, "  emberbox portal api-client list\n"),
	READS("show", "one API client", run_show, o_api_client_target, "  emberbox portal api-client show terraform\n"),
	VERB("update", "rename it", run_actor_update, o_api_client_update, "  emberbox portal api-client update terraform --name ci\n"),
	VERB("disable", "refuse its tokens", run_actor_disable, o_api_client_target, "  emberbox portal api-client disable terraform\n"),
	VERB("enable", "undo disable", run_actor_enable, o_api_client_target, "  emberbox portal api-client enable terraform\n"),
	VERB("delete", "delete it with its tokens", run_delete, o_api_client_target, "  emberbox portal api-client delete terraform\n"),
};

static const struct opt_def o_api_token_add[] = {
	NEEDED("actor", actor, "CLIENT", "of which API client"),
	NEEDED("name", name, "NAME", "to tell it from others"),
	TEXT("expires", expires, "DATE|SPAN", "2027-01-31 or 90d; a year when not given"),
	ACCOUNT,
	JSON,
};

const struct verb v_api_token[] = {
	VERB("add", "make a token and show it, this once", run_api_token_add, o_api_token_add,
	     "  emberbox portal api-token add --actor terraform --name laptop --expires 90d\n"),
	READS("list", "all tokens, without their secrets", run_list, o_of_actor, "  emberbox portal api-token list\n"),
	VERB("delete", "revoke it", run_delete, o_id, "  emberbox portal api-token delete" ID),
};

/* ---- directory, mail, audit ---- */

#define DIRECTORY_OPTIONS                                                                                                       \
	TEXT("name", name, "NAME", "what it is called"), TEXT("domain", domain, "DOMAIN", "of google"),                         \
		TEXT("impersonation-email", impersonation_email, "ADDRESS", "of google: an admin to read as"),                  \
		TEXT("service-account-key", service_account_key, "JSON", "of google; the portal's own when not given"),         \
		TEXT("group-sync-mode", group_sync_mode, "MODE", "of google: all, filtered or disabled"),                       \
		TEXT("orgunit-sync", orgunit_sync, "on|off", "of google: org units are groups too"),                            \
		TEXT("tenant-id", tenant_id, "ID", "of entra"),                                                                 \
		TEXT("sync-all-groups", sync_all_groups, "on|off", "of entra: not only those assigned"),                        \
		TEXT("email-field", email_field, "FIELD", "of entra: userPrincipalName or mail"),                               \
		TEXT("okta-domain", okta_domain, "DOMAIN", "of okta: acme.okta.com"),                                           \
		TEXT("client-id", client_id, "ID", "of okta and entra"), TEXT("client-secret", client_secret, "SECRET", "of entra"),                 \
		TEXT("private-key-jwk", jwk, "JSON", "of okta"), TEXT("kid", kid, "ID", "of okta: which key"),                  \
		TEXT("verified", verified, "on|off", "it was seen to answer with these settings")

static const struct opt_def o_directory_add[] = { NEEDED("type", type, "TYPE", "google, entra or okta"), DIRECTORY_OPTIONS, ACCOUNT, JSON };
static const struct opt_def o_directory_update[] = { TARGET("DIRECTORY"), DIRECTORY_OPTIONS, ACCOUNT, JSON };
static const struct opt_def o_directory_target[] = { TARGET("DIRECTORY"), ACCOUNT, JSON };

#define DIRECTORY_EXAMPLE(verb) "  emberbox portal directory " verb " Okta\n"

const struct verb v_directory[] = {
	VERB("add", "make one; until it is verified it stays disabled", run_directory_add, o_directory_add,
	     "  emberbox portal directory add --type entra --name Entra --tenant-id 0b8c1d2e-0000-4000-8000-000000000001\n"),
	READS("list", "all directories, and how the last sync went", run_list, o_list, "  emberbox portal directory list\n"),
	READS("show", "one directory", run_show, o_directory_target, DIRECTORY_EXAMPLE("show")),
	VERB("update", "change it", run_directory_update, o_directory_update, "  emberbox portal directory update Okta --name 'Okta EU'\n"),
	VERB("enable", "sync it from now on; past errors are forgotten", run_directory_enable, o_directory_target, DIRECTORY_EXAMPLE("enable")),
	VERB("disable", "sync it no more; what came from it stays", run_directory_disable, o_directory_target, DIRECTORY_EXAMPLE("disable")),
	VERB("sync", "sync it now", run_directory_sync, o_directory_target, DIRECTORY_EXAMPLE("sync")),
	VERB("delete", "delete it with the people and groups that came from it", run_delete, o_directory_target, DIRECTORY_EXAMPLE("delete")),
};

static const struct opt_def o_mail_list[] = { TEXT("state", state, "STATE", "queued, sent or failed"), ACCOUNT, JSON };

const struct verb v_mail[] = {
	READS("list", "mails of the last days, and what became of them", run_list, o_mail_list, "  emberbox portal mail list --state failed\n"),
	READS("show", "one mail", run_show, o_id, "  emberbox portal mail show" ID),
	VERB("retry", "try again now", run_mail_retry, o_id, "  emberbox portal mail retry" ID),
};

#define AUDIT_OPTIONS                                                                                                           \
	TEXT("from", from, "TIME", "not before: 2027-01-31 or 2027-01-31T12:00:00Z"), TEXT("to", to, "TIME", "before"),         \
		TEXT("kind", kind, "KIND", "site, actor, policy, …"), TEXT("op", op, "OP", "insert, update or delete"),          \
		TEXT("actor", actor, "ACTOR", "done by"), TEXT("text", text, "TEXT", "in name or values")

static const struct opt_def o_audit_list[] = { AUDIT_OPTIONS, TEXT("limit", limit, "N", "how many; 50 when not given"), ACCOUNT, JSON };
static const struct opt_def o_audit_export[] = { AUDIT_OPTIONS, ACCOUNT, JSON };

const struct verb v_audit[] = {
	READS("list", "what was changed last, and by whom", run_audit_list, o_audit_list, "  emberbox portal audit list --kind policy --limit 10\n"),
	READS("export", "everything that is kept", run_audit_export, o_audit_export, "  emberbox portal audit export --json > audit.json\n"),
};
