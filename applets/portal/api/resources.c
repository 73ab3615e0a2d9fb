#include "applets/portal/api/api.h"

#define ID(json, col, flags, text) { json, col, NULL, API_ID, flags, 0, NULL, 0, text }
#define SHOWN(json, col, type, flags, text) { json, col, NULL, type, flags, 0, NULL, 0, text }
#define SHOWN_OF(json, col, type, flags, types, text) { json, col, NULL, type, flags, types, NULL, 0, text }
#define ENUM(json, col, names, text) { json, col, NULL, API_ENUM, 0, 0, names, 0, text }
#define TIMES SHOWN("inserted_at", "inserted_at", API_TIME, 0, "When it was made"), SHOWN("updated_at", "updated_at", API_TIME, 0, "When it was changed last")

static const struct api_field site_fields[] = {
	{ "name", "name", "name", API_TEXT, API_REQUIRED | API_QUERY, 0, NULL, 64, "What it is called" },
	{ "managed_by", "managed_by", NULL, API_ENUM, API_QUERY, 0, managed_by_names, 0, "The system site cannot be changed" },
	TIMES,
};

static const struct api_field gateway_fields[] = {
	SHOWN("name", "name", API_TEXT, API_QUERY, "What it is called"),
	SHOWN("ipv4", "ipv4", API_IPV4, API_QUERY, "Its tunnel address"),
	SHOWN("ipv6", "ipv6", API_IPV6, API_QUERY, "Its tunnel address"),
	SHOWN("online", NULL, API_ONLINE, 0, "Whether it is connected now"),
	ID("site_id", "site_id", 0, "Where it is"),
	SHOWN("last_seen_at", "last_seen_at", API_TIME, API_NULLABLE, "When it connected last"),
};

static const char *const settable_types[] = { "dns", "cidr", "ip", "internet", "static_device_pool", NULL };
static const char *const stacks[] = { "dual", "ipv4_only", "ipv6_only", NULL };

static const struct api_field resource_fields[] = {
	{ "name", "name", "name", API_TEXT, API_REQUIRED | API_QUERY, 0, NULL, 255, "What it is called" },
	{ "type", "type", "type", API_ENUM, API_REQUIRED | API_QUERY, 0, settable_types, 0, "What the address is; guessed from it when not given" },
	{ "address", "address", "address", API_TEXT, API_NULLABLE | API_QUERY, 0, NULL, 253, "A name with or without wildcards, an address or a network" },
	{ "address_description", "address_description", "description", API_TEXT, API_NULLABLE, 0, NULL, 255, "Shown to users beside the address" },
	{ "ip_stack", "ip_stack", "ip-stack", API_ENUM, API_NULLABLE | API_QUERY, 0, stacks, 0, "Of a DNS resource" },
	{ "site_id", "site_id", "site", API_ID, API_NULLABLE | API_QUERY, 0, NULL, 0, "Where it is; a device pool is nowhere" },
	{ "filters", "filters", "filter", API_FILTERS, 0, 0, NULL, 0, "Only these protocols and ports pass; none: everything does" },
	TIMES,
};

static const struct api_field policy_fields[] = {
	{ "group_id", "group_id", "group", API_ID, API_NULLABLE | API_REQUIRED | API_QUERY, 0, NULL, 0, "Who; null: the group is gone, nothing is granted" },
	{ "resource_id", "resource_id", "resource", API_ID, API_REQUIRED | API_QUERY, 0, NULL, 0, "What" },
	{ "description", "description", "description", API_TEXT, API_NULLABLE, 0, NULL, 1024, "For the admins" },
	{ "conditions", "conditions", "condition", API_CONDITIONS, 0, 0, NULL, 0, "All of them must hold" },
	SHOWN("disabled_at", "disabled_at", API_TIME, API_NULLABLE, "Since when it grants nothing"),
	TIMES,
};

static const struct api_field group_fields[] = {
	{ "name", "name", "name", API_TEXT, API_REQUIRED | API_QUERY, 0, NULL, 255, "What it is called" },
	{ "type", "type", NULL, API_ENUM, API_QUERY, 0, group_type_names, 0, "The managed group cannot be changed" },
	{ "entity_type", "entity_type", NULL, API_ENUM, API_QUERY, 0, entity_type_names, 0, "What it is in its directory" },
	SHOWN("email", "email", API_TEXT, API_NULLABLE, "Of a synced group"),
	SHOWN("idp_id", "idp_id", API_TEXT, API_NULLABLE, "Its id in the directory"),
	ID("directory_id", "directory_id", API_NULLABLE | API_QUERY, "Where it is copied from"),
	SHOWN("last_synced_at", "last_synced_at", API_TIME, API_NULLABLE, "When the directory had it last"),
	TIMES,
};

static const struct api_field actor_fields[] = {
	{ "name", "name", "name", API_TEXT, API_REQUIRED | API_QUERY, 0, NULL, 255, "What it is called" },
	{ "type", "type", "type", API_ENUM, API_REQUIRED | API_QUERY, 0, actor_type_names, 0, "Only users and admins can become each other" },
	{ "email", "email", "email", API_TEXT, API_NULLABLE | API_QUERY, 0, NULL, 160, "Of users and admins" },
	{ "allow_email_otp_sign_in", "allow_email_otp_sign_in", "allow-email-otp-sign-in", API_BOOL, 0, 0, NULL, 0, "Whether mailed codes are enough to sign in" },
	SHOWN("disabled_at", "disabled_at", API_TIME, API_NULLABLE, "Since when it is disabled"),
	SHOWN("last_synced_at", "last_synced_at", API_TIME, API_NULLABLE, "When its directory had it last"),
	ID("created_by_directory_id", "created_by_directory_id", API_NULLABLE, "The directory it came from"),
	TIMES,
};

static const struct api_field identity_fields[] = {
	ID("actor_id", "actor_id", 0, "Whose"),
	ID("account_id", "account_id", 0, "The account"),
	SHOWN("issuer", "issuer", API_TEXT, 0, "Who vouches"),
	SHOWN("idp_id", "idp_id", API_TEXT, 0, "Who the actor is there"),
	ID("directory_id", "directory_id", API_NULLABLE, "Where it was copied from"),
	SHOWN("email", "email", API_TEXT, API_NULLABLE, ""),
	SHOWN("name", "name", API_TEXT, API_NULLABLE, ""),
	SHOWN("given_name", "given_name", API_TEXT, API_NULLABLE, ""),
	SHOWN("family_name", "family_name", API_TEXT, API_NULLABLE, ""),
	SHOWN("middle_name", "middle_name", API_TEXT, API_NULLABLE, ""),
	SHOWN("nickname", "nickname", API_TEXT, API_NULLABLE, ""),
	SHOWN("preferred_username", "preferred_username", API_TEXT, API_NULLABLE, ""),
	SHOWN("profile", "profile", API_TEXT, API_NULLABLE, ""),
	SHOWN("picture", "picture", API_TEXT, API_NULLABLE, ""),
	SHOWN("firezone_avatar_url", "firezone_avatar_url", API_TEXT, API_NULLABLE, ""),
	SHOWN("last_synced_at", "last_synced_at", API_TIME, API_NULLABLE, "When its directory had it last"),
	SHOWN("inserted_at", "inserted_at", API_TIME, 0, "When it was made"),
};

static const struct api_field client_fields[] = {
	{ "name", "name", "name", API_TEXT, API_QUERY, 0, NULL, 255, "What it is called" },
	SHOWN("external_id", "external_id", API_TEXT, API_QUERY, "Its own id"),
	ID("actor_id", "actor_id", API_QUERY, "Whose"),
	SHOWN("ipv4", "ipv4", API_IPV4, 0, "Its tunnel address"),
	SHOWN("ipv6", "ipv6", API_IPV6, 0, "Its tunnel address"),
	SHOWN("online", NULL, API_ONLINE, 0, "Whether it is connected now"),
	SHOWN("device_serial", "device_serial", API_TEXT, API_NULLABLE, ""),
	SHOWN("device_uuid", "device_uuid", API_TEXT, API_NULLABLE, ""),
	SHOWN("identifier_for_vendor", "identifier_for_vendor", API_TEXT, API_NULLABLE, ""),
	SHOWN("firebase_installation_id", "firebase_installation_id", API_TEXT, API_NULLABLE, ""),
	SHOWN("verified_at", "verified_at", API_TIME, API_NULLABLE, "Since when an admin trusts the device"),
	SHOWN("last_seen_at", "last_seen_at", API_TIME, API_NULLABLE, "When it connected last"),
	SHOWN("created_at", "inserted_at", API_TIME, 0, "When it connected first"),
	SHOWN("updated_at", "updated_at", API_TIME, 0, "When it was changed last"),
};

#define OF(t) (u8)(1u << (t))

static const struct api_field provider_fields[] = {
	ID("account_id", "account_id", 0, "The account"),
	SHOWN("name", "name", API_TEXT, API_QUERY, "What people choose it by"),
	SHOWN("issuer", "issuer", API_TEXT, API_NULLABLE, "Who vouches"),
	ENUM("context", "context", provider_context_names, "What may be signed in to"),
	SHOWN("client_session_lifetime_secs", "client_session_lifetime_secs", API_INT, 0, ""),
	SHOWN("portal_session_lifetime_secs", "portal_session_lifetime_secs", API_INT, 0, ""),
	{ "email_claim", "email_claim", NULL, API_ENUM, 0, OF(PROVIDER_ENTRA), email_claim_names, 0, "" },
	SHOWN("is_disabled", "disabled_at", API_DISABLED, 0, ""),
	SHOWN_OF("is_default", "is_default", API_BOOL, 0, OF(PROVIDER_GOOGLE) | OF(PROVIDER_ENTRA) | OF(PROVIDER_OKTA) | OF(PROVIDER_OIDC), ""),
	SHOWN_OF("client_id", "client_id", API_TEXT, API_NULLABLE, OF(PROVIDER_OKTA) | OF(PROVIDER_OIDC), ""),
	SHOWN_OF("discovery_document_uri", "discovery_document_uri", API_TEXT, API_NULLABLE, OF(PROVIDER_OIDC), ""),
	SHOWN_OF("okta_domain", "okta_domain", API_TEXT, API_NULLABLE, OF(PROVIDER_OKTA), ""),
	TIMES,
};

static const struct api_field directory_fields[] = {
	ID("account_id", "account_id", 0, "The account"),
	SHOWN("name", "name", API_TEXT, API_QUERY, "What it is called"),
	SHOWN_OF("domain", "domain", API_TEXT, API_NULLABLE, OF(DIRECTORY_GOOGLE), ""),
	SHOWN_OF("impersonation_email", "impersonation_email", API_TEXT, API_NULLABLE, OF(DIRECTORY_GOOGLE), ""),
	{ "group_sync_mode", "group_sync_mode", NULL, API_ENUM, 0, OF(DIRECTORY_GOOGLE), group_sync_mode_names, 0, "" },
	SHOWN_OF("orgunit_sync_enabled", "orgunit_sync_enabled", API_BOOL, 0, OF(DIRECTORY_GOOGLE), ""),
	SHOWN_OF("tenant_id", "tenant_id", API_TEXT, API_NULLABLE, OF(DIRECTORY_ENTRA), ""),
	{ "email_field", "email_field", NULL, API_ENUM, 0, OF(DIRECTORY_ENTRA), directory_email_names, 0, "" },
	SHOWN_OF("sync_all_groups", "sync_all_groups", API_BOOL, 0, OF(DIRECTORY_ENTRA), ""),
	SHOWN_OF("okta_domain", "okta_domain", API_TEXT, API_NULLABLE, OF(DIRECTORY_OKTA), ""),
	SHOWN_OF("client_id", "client_id", API_TEXT, API_NULLABLE, OF(DIRECTORY_OKTA), ""),
	SHOWN_OF("kid", "kid", API_TEXT, API_NULLABLE, OF(DIRECTORY_OKTA), ""),
	SHOWN("is_disabled", "disabled_at", API_DISABLED, 0, ""),
	SHOWN("disabled_reason", "disabled_reason", API_TEXT, API_NULLABLE, ""),
	SHOWN("synced_at", "synced_at", API_TIME, API_NULLABLE, "The last good sync"),
	SHOWN("errored_at", "errored_at", API_TIME, API_NULLABLE, "Since when it fails"),
	SHOWN("error_message", "error_message", API_TEXT, API_NULLABLE, ""),
	SHOWN("error_email_count", "error_email_count", API_INT, 0, ""),
	TIMES,
};

static const struct api_field client_token_fields[] = {
	ID("actor_id", "actor_id", 0, "Whose clients connect with it"),
	SHOWN("name", "name", API_TEXT, API_NULLABLE, "To tell it from others"),
	ID("auth_provider_id", "auth_provider_id", API_NULLABLE, "What was signed in with; null: it was made here"),
	SHOWN("expires_at", "expires_at", API_TIME, 0, "Until when it is good"),
	SHOWN("last_seen_at", "last_seen_at", API_TIME, API_NULLABLE, "When it was used last"),
	TIMES,
};

static const struct api_field gateway_token_fields[] = {
	ID("site_id", "site_id", 0, "Whose gateways connect with it"),
	SHOWN("name", "name", API_TEXT, API_NULLABLE, "To tell it from others"),
	SHOWN("last_seen_at", "last_seen_at", API_TIME, API_NULLABLE, "When it was used last"),
	TIMES,
};

#define READ (API_LIST | API_SHOW)
#define ALL (READ | API_CREATE | API_UPDATE | API_DELETE)
#define TOP(segment, root, title, plural, kind, noun, ops, list) \
	{ segment, NULL, NULL, KIND_ACCOUNT, root, title, plural, kind, noun, ops, -1, list, ARRAY_LEN(list) }
#define TYPED(segment, root, title, plural, kind, type, list) \
	{ segment, NULL, NULL, KIND_ACCOUNT, root, title, plural, kind, NULL, READ, type, list, ARRAY_LEN(list) }

const struct api_resource api_resources[] = {
	TOP("sites", "site", "Site", "Sites", KIND_SITE, "site", ALL, site_fields),
	{ "gateways", "sites", "site_id", KIND_SITE, "gateway", "Gateway", "Gateways", KIND_GATEWAY, "gateway", READ | API_DELETE, -1, gateway_fields,
	  ARRAY_LEN(gateway_fields) },
	TOP("resources", "resource", "Resource", "Resources", KIND_RESOURCE, "resource", ALL, resource_fields),
	TOP("policies", "policy", "Policy", "Policies", KIND_POLICY, "policy", ALL, policy_fields),
	TOP("groups", "group", "Group", "Groups", KIND_GROUP, "group", ALL, group_fields),
	TOP("actors", "actor", "Actor", "Actors", KIND_ACTOR, "actor", ALL, actor_fields),
	{ "external_identities", "actors", "actor_id", KIND_ACTOR, "external_identity", "ExternalIdentity", "External identities", KIND_IDENTITY, "identity",
	  READ | API_DELETE, -1, identity_fields, ARRAY_LEN(identity_fields) },
	{ "client_tokens", "actors", "actor_id", KIND_ACTOR, "client_token", "ClientToken", "Client tokens", KIND_CLIENT_TOKEN, "token", READ | API_DELETE, -1,
	  client_token_fields, ARRAY_LEN(client_token_fields) },
	{ "gateway_tokens", "sites", "site_id", KIND_SITE, "gateway_token", "GatewayToken", "Gateway tokens", KIND_GATEWAY_TOKEN, "token", READ | API_DELETE, -1,
	  gateway_token_fields, ARRAY_LEN(gateway_token_fields) },
	TOP("clients", "client", "Client", "Clients", KIND_CLIENT, "client", READ | API_UPDATE | API_DELETE, client_fields),
	TYPED("email_otp_auth_providers", "email_otp_auth_provider", "EmailOTPAuthProvider", "E-mail codes", KIND_AUTH_PROVIDER, PROVIDER_EMAIL_OTP, provider_fields),
	TYPED("userpass_auth_providers", "userpass_auth_provider", "UserpassAuthProvider", "Passkeys and passwords", KIND_AUTH_PROVIDER, PROVIDER_USERPASS, provider_fields),
	TYPED("oidc_auth_providers", "oidc_auth_provider", "OIDCAuthProvider", "OpenID Connect providers", KIND_AUTH_PROVIDER, PROVIDER_OIDC, provider_fields),
	TYPED("google_auth_providers", "google_auth_provider", "GoogleAuthProvider", "Google providers", KIND_AUTH_PROVIDER, PROVIDER_GOOGLE, provider_fields),
	TYPED("entra_auth_providers", "entra_auth_provider", "EntraAuthProvider", "Entra providers", KIND_AUTH_PROVIDER, PROVIDER_ENTRA, provider_fields),
	TYPED("okta_auth_providers", "okta_auth_provider", "OktaAuthProvider", "Okta providers", KIND_AUTH_PROVIDER, PROVIDER_OKTA, provider_fields),
	TYPED("google_directories", "google_directory", "GoogleDirectory", "Google directories", KIND_DIRECTORY, DIRECTORY_GOOGLE, directory_fields),
	TYPED("entra_directories", "entra_directory", "EntraDirectory", "Entra directories", KIND_DIRECTORY, DIRECTORY_ENTRA, directory_fields),
	TYPED("okta_directories", "okta_directory", "OktaDirectory", "Okta directories", KIND_DIRECTORY, DIRECTORY_OKTA, directory_fields),
};
const u32 n_api_resources = ARRAY_LEN(api_resources);
