#include "applets/portal/model/entity.h"

#include <stdlib.h>
#include <sodium.h>

const char *const actor_type_names[] = { "account_user", "account_admin_user", "service_account", "api_client", NULL };
const char *const group_type_names[] = { "static", "managed", NULL };
const char *const managed_by_names[] = { "account", "system", NULL };
const char *const resource_type_names[] = { "dns", "cidr", "ip", "internet", "static_device_pool", NULL };
const char *const ip_stack_names[] = { "", "dual", "ipv4_only", "ipv6_only", NULL };
const char *const dns_type_names[] = { "system", "secure", "custom", NULL };
const char *const doh_provider_names[] = { "google", "opendns", "cloudflare", "quad9", NULL };
const char *const entity_type_names[] = { "group", "org_unit", NULL };
const char *const provider_type_names[] = { "email_otp", "userpass", "google", "entra", "okta", "oidc", NULL };
const char *const provider_context_names[] = { "clients_and_portal", "clients_only", "portal_only", NULL };
const char *const email_claim_names[] = { "upn", "email", "preferred_username", NULL };
const char *const credential_type_names[] = { "passkey", "password", "totp", "recovery_code", NULL };
const char *const link_purpose_names[] = { "setup", "invite", "recovery", NULL };
const char *const directory_type_names[] = { "google", "entra", "okta", NULL };
const char *const group_sync_mode_names[] = { "all", "filtered", "disabled", NULL };
const char *const directory_email_names[] = { "userPrincipalName", "mail", NULL };
const char *const mail_state_names[] = { "queued", "sent", "failed", NULL };

#define F(kind, member, ftype, fflags) { #member, offsetof(struct kind, member), ftype, fflags, NULL, COMPUTED_NOT, 0 }
#define F_AS(kind, column, member, ftype, fflags) { column, offsetof(struct kind, member), ftype, fflags, NULL, COMPUTED_NOT, 0 }
#define F_ENUM(kind, member, list) { #member, offsetof(struct kind, member), FIELD_ENUM, 0, list, COMPUTED_NOT, 0 }
#define F_READ(kind, column, member, ftype, computed) { column, offsetof(struct kind, member), ftype, FIELD_COMPUTED, NULL, computed, 0 }
#define F_ENUM_FIXED(kind, member, list) { #member, offsetof(struct kind, member), FIELD_ENUM, FIELD_FIXED, list, COMPUTED_NOT, 0 }
#define F_ON(kind, column, member) { column, offsetof(struct kind, member), FIELD_BOOL, 0, NULL, COMPUTED_NOT, 1 }
#define F_INT(kind, member, fflags, value) { #member, offsetof(struct kind, member), FIELD_INT, fflags, NULL, COMPUTED_NOT, value }
#define F_SEEN(kind) F_READ(kind, "last_seen_at", last_seen_at, FIELD_TIME, COMPUTED_BY_USE)
#define NULLABLE FIELD_NULLABLE
#define FIXED FIELD_FIXED
#define QUIET FIELD_QUIET
#define SECRET (FIELD_SECRET | FIELD_FIXED)

static const struct field account_fields[] = {
	F(account, name, FIELD_TEXT, 0),
	F(account, legal_name, FIELD_TEXT, NULLABLE),
	F(account, slug, FIELD_TEXT, 0),
	F(account, key, FIELD_TEXT, FIXED),
	F(account, disabled_at, FIELD_TIME, NULLABLE),
	F(account, disabled_reason, FIELD_TEXT, NULLABLE),
	F(account, search_domain, FIELD_TEXT, NULLABLE),
	F_ENUM(account, dns_type, dns_type_names),
	F_ENUM(account, doh_provider, doh_provider_names),
	F(account, dns_addresses, FIELD_TEXT, NULLABLE),
	F_INT(account, limit_users, NULLABLE, -1),
	F_INT(account, limit_service_accounts, NULLABLE, -1),
	F_INT(account, limit_sites, NULLABLE, -1),
	F_INT(account, limit_admins, NULLABLE, -1),
	F_INT(account, limit_monthly_active_users, NULLABLE, -1),
	F_INT(account, limit_api_clients, NULLABLE, 100),
	F_INT(account, limit_api_tokens_per_client, NULLABLE, 100),
	F_INT(account, api_refill_rate, NULLABLE, -1),
	F_INT(account, api_capacity, NULLABLE, -1),
	F_ON(account, "policy_conditions", has_policy_conditions),
	F_ON(account, "traffic_filters", has_traffic_filters),
	F_ON(account, "idp_sync", has_idp_sync),
	F_ON(account, "rest_api", has_rest_api),
	F_ON(account, "internet_resource", has_internet_resource),
	F(account, users_limit_exceeded, FIELD_BOOL, 0),
	F(account, seats_limit_exceeded, FIELD_BOOL, 0),
	F(account, service_accounts_limit_exceeded, FIELD_BOOL, 0),
	F(account, sites_limit_exceeded, FIELD_BOOL, 0),
	F(account, admins_limit_exceeded, FIELD_BOOL, 0),
	F_ON(account, "notify_outdated_gateway", notify_outdated_gateway),
	F(account, last_notified_at, FIELD_TIME, NULLABLE | QUIET),
	F(account, limits_notified_at, FIELD_TIME, NULLABLE | QUIET),
	F(account, client_to_client_at, FIELD_TIME, NULLABLE),
};

static const struct field actor_fields[] = {
	F_ENUM(actor, type, actor_type_names),
	F(actor, name, FIELD_TEXT, 0),
	F(actor, email, FIELD_TEXT, NULLABLE),
	F(actor, disabled_at, FIELD_TIME, NULLABLE),
	F(actor, allow_email_otp_sign_in, FIELD_BOOL, 0),
	F(actor, created_by_directory_id, FIELD_UUID, NULLABLE | FIXED),
	F(actor, last_synced_at, FIELD_TIME, NULLABLE | QUIET),
};

static const struct field group_fields[] = {
	F(group, name, FIELD_TEXT, 0),
	F_ENUM(group, type, group_type_names),
	F_ENUM(group, entity_type, entity_type_names),
	F(group, idp_id, FIELD_TEXT, NULLABLE | FIXED),
	F(group, email, FIELD_TEXT, NULLABLE),
	F(group, directory_id, FIELD_UUID, NULLABLE | FIXED),
	F(group, last_synced_at, FIELD_TIME, NULLABLE | QUIET),
};

static const struct field membership_fields[] = {
	F(membership, actor_id, FIELD_UUID, FIXED),
	F(membership, group_id, FIELD_UUID, FIXED),
};

static const struct field site_fields[] = {
	F(site, name, FIELD_TEXT, 0),
	F_ENUM(site, managed_by, managed_by_names),
};

static const struct field resource_fields[] = {
	F(resource, site_id, FIELD_UUID, NULLABLE),
	F_ENUM(resource, type, resource_type_names),
	F(resource, name, FIELD_TEXT, 0),
	F(resource, address, FIELD_TEXT, NULLABLE),
	F(resource, address_description, FIELD_TEXT, NULLABLE),
	F_ENUM(resource, ip_stack, ip_stack_names),
	F(resource, filters, FIELD_TEXT, NULLABLE),
};

static const struct field policy_fields[] = {
	F(policy, group_id, FIELD_UUID, NULLABLE),
	F_READ(policy, "group_idp_id", group_idp_id, FIELD_TEXT, COMPUTED_BY_GROUP),
	F(policy, resource_id, FIELD_UUID, 0),
	F(policy, description, FIELD_TEXT, NULLABLE),
	F(policy, conditions, FIELD_TEXT, NULLABLE),
	F(policy, disabled_at, FIELD_TIME, NULLABLE),
};

static const struct field pool_member_fields[] = {
	F(pool_member, resource_id, FIELD_UUID, FIXED),
	F(pool_member, client_id, FIELD_UUID, FIXED),
};

static const struct field client_fields[] = {
	F_AS(device, "actor_id", owner_id, FIELD_UUID, FIXED),
	F(device, external_id, FIELD_TEXT, FIXED),
	F(device, name, FIELD_TEXT, 0),
	F(device, psk_base, FIELD_KEY, SECRET),
	F(client, device_serial, FIELD_TEXT, NULLABLE | FIXED),
	F(client, device_uuid, FIELD_TEXT, NULLABLE | FIXED),
	F(client, identifier_for_vendor, FIELD_TEXT, NULLABLE | FIXED),
	F(client, firebase_installation_id, FIELD_TEXT, NULLABLE | FIXED),
	F(client, verified_at, FIELD_TIME, NULLABLE),
	F_READ(device, "ipv4", ipv4, FIELD_IP4, COMPUTED_IPV4_OF_CLIENT),
	F_READ(device, "ipv6", ipv6, FIELD_IP6, COMPUTED_IPV6_OF_CLIENT),
	F_SEEN(device),
};

static const struct field gateway_fields[] = {
	F_AS(device, "site_id", owner_id, FIELD_UUID, FIXED),
	F(device, external_id, FIELD_TEXT, FIXED),
	F(device, name, FIELD_TEXT, 0),
	F(device, psk_base, FIELD_KEY, SECRET),
	F_READ(device, "ipv4", ipv4, FIELD_IP4, COMPUTED_IPV4_OF_GATEWAY),
	F_READ(device, "ipv6", ipv6, FIELD_IP6, COMPUTED_IPV6_OF_GATEWAY),
	F_SEEN(device),
};

static const struct field client_token_fields[] = {
	F_AS(token, "actor_id", owner_id, FIELD_UUID, FIXED),
	F(token, name, FIELD_TEXT, NULLABLE),
	F_AS(token, "secret_salt", salt, FIELD_TEXT, SECRET),
	F_AS(token, "secret_hash", hash, FIELD_TEXT, SECRET),
	F(token, expires_at, FIELD_TIME, FIXED),
	F(token, auth_provider_id, FIELD_UUID, NULLABLE | FIXED),
	F_SEEN(token),
};

static const struct field gateway_token_fields[] = {
	F_AS(token, "site_id", owner_id, FIELD_UUID, FIXED),
	F(token, name, FIELD_TEXT, NULLABLE),
	F_AS(token, "secret_salt", salt, FIELD_TEXT, SECRET),
	F_AS(token, "secret_hash", hash, FIELD_TEXT, SECRET),
	F_SEEN(token),
};

static const struct field api_token_fields[] = {
	F_AS(token, "actor_id", owner_id, FIELD_UUID, FIXED),
	F(token, name, FIELD_TEXT, NULLABLE),
	F_AS(token, "secret_salt", salt, FIELD_TEXT, SECRET),
	F_AS(token, "secret_hash", hash, FIELD_TEXT, SECRET),
	F(token, expires_at, FIELD_TIME, FIXED),
	F_SEEN(token),
	F_READ(token, "last_seen_remote_ip", last_seen_remote_ip, FIELD_TEXT, COMPUTED_BY_USE),
};

static const struct field relay_token_fields[] = {
	F(token, name, FIELD_TEXT, NULLABLE),
	F_AS(token, "secret_salt", salt, FIELD_TEXT, SECRET),
	F_AS(token, "secret_hash", hash, FIELD_TEXT, SECRET),
};

static const struct field authorization_fields[] = {
	F(authorization, policy_id, FIELD_UUID, FIXED),
	F(authorization, client_id, FIELD_UUID, FIXED),
	F(authorization, gateway_id, FIELD_UUID, FIXED),
	F(authorization, resource_id, FIELD_UUID, FIXED),
	F(authorization, token_id, FIELD_UUID, FIXED),
	F(authorization, membership_id, FIELD_UUID, NULLABLE | FIXED),
	F(authorization, client_remote_ip, FIELD_TEXT, NULLABLE | FIXED),
	F(authorization, client_user_agent, FIELD_TEXT, NULLABLE | FIXED),
	F(authorization, gateway_remote_ip, FIELD_TEXT, NULLABLE | FIXED),
	F(authorization, expires_at, FIELD_TIME, FIXED),
};

static const struct field auth_provider_fields[] = {
	F_ENUM_FIXED(auth_provider, type, provider_type_names),
	F(auth_provider, name, FIELD_TEXT, 0),
	F(auth_provider, issuer, FIELD_TEXT, NULLABLE),
	F_ENUM(auth_provider, context, provider_context_names),
	F_INT(auth_provider, client_session_lifetime_secs, 0, CLIENT_SESSION_SECS),
	F_INT(auth_provider, portal_session_lifetime_secs, 0, PORTAL_SESSION_SECS),
	F(auth_provider, disabled_at, FIELD_TIME, NULLABLE),
	F(auth_provider, is_default, FIELD_BOOL, 0),
	F(auth_provider, is_verified, FIELD_BOOL, 0),
	F(auth_provider, client_id, FIELD_TEXT, NULLABLE),
	F(auth_provider, client_secret, FIELD_TEXT, NULLABLE | FIELD_SECRET),
	F(auth_provider, discovery_document_uri, FIELD_TEXT, NULLABLE),
	F(auth_provider, okta_domain, FIELD_TEXT, NULLABLE),
	F_ENUM(auth_provider, email_claim, email_claim_names),
	F(auth_provider, is_legacy, FIELD_BOOL, 0),
};

static const struct field identity_fields[] = {
	F(identity, actor_id, FIELD_UUID, FIXED),
	F(identity, issuer, FIELD_TEXT, FIXED),
	F(identity, idp_id, FIELD_TEXT, FIXED),
	F(identity, email, FIELD_TEXT, NULLABLE),
	F(identity, name, FIELD_TEXT, NULLABLE),
	F(identity, given_name, FIELD_TEXT, NULLABLE),
	F(identity, family_name, FIELD_TEXT, NULLABLE),
	F(identity, middle_name, FIELD_TEXT, NULLABLE),
	F(identity, nickname, FIELD_TEXT, NULLABLE),
	F(identity, preferred_username, FIELD_TEXT, NULLABLE),
	F(identity, profile, FIELD_TEXT, NULLABLE),
	F(identity, picture, FIELD_TEXT, NULLABLE),
	F(identity, firezone_avatar_url, FIELD_TEXT, NULLABLE),
	F(identity, directory_id, FIELD_UUID, NULLABLE),
	F(identity, last_synced_at, FIELD_TIME, NULLABLE | QUIET),
};

static const struct field portal_session_fields[] = {
	F(portal_session, actor_id, FIELD_UUID, FIXED),
	F(portal_session, auth_provider_id, FIELD_UUID, NULLABLE | FIXED),
	F(portal_session, expires_at, FIELD_TIME, FIXED),
	F(portal_session, user_agent, FIELD_TEXT, NULLABLE | FIXED),
	F(portal_session, remote_ip, FIELD_TEXT, NULLABLE | FIXED),
	F(portal_session, region, FIELD_TEXT, NULLABLE | FIXED),
	F(portal_session, city, FIELD_TEXT, NULLABLE | FIXED),
	F(portal_session, coordinates, FIELD_TEXT, NULLABLE | FIXED),
	F_SEEN(portal_session),
};

static const struct field passcode_fields[] = {
	F(passcode, actor_id, FIELD_UUID, FIXED),
	F(passcode, code_hash, FIELD_TEXT, SECRET),
	F_INT(passcode, attempts, 0, 0),
	F(passcode, expires_at, FIELD_TIME, FIXED),
};

static const struct field credential_fields[] = {
	F(credential, actor_id, FIELD_UUID, FIXED),
	F_ENUM_FIXED(credential, type, credential_type_names),
	F(credential, name, FIELD_TEXT, NULLABLE),
	F(credential, credential_id, FIELD_TEXT, NULLABLE | FIXED),
	F(credential, public_key, FIELD_TEXT, NULLABLE | FIXED),
	F_INT(credential, sign_count, QUIET, 0),
	F(credential, hash, FIELD_TEXT, NULLABLE | FIELD_SECRET),
	F(credential, used_at, FIELD_TIME, NULLABLE | QUIET),
	F(credential, is_confirmed, FIELD_BOOL, 0),
};

static const struct field link_fields[] = {
	F_ENUM_FIXED(one_time_link, purpose, link_purpose_names),
	F(one_time_link, actor_id, FIELD_UUID, NULLABLE | FIXED),
	F_AS(one_time_link, "secret_salt", salt, FIELD_TEXT, SECRET),
	F_AS(one_time_link, "secret_hash", hash, FIELD_TEXT, SECRET),
	F(one_time_link, expires_at, FIELD_TIME, FIXED),
	F(one_time_link, used_at, FIELD_TIME, NULLABLE),
};

static const struct field sync_directory_fields[] = {
	F_ENUM_FIXED(sync_directory, type, directory_type_names),
	F(sync_directory, name, FIELD_TEXT, 0),
	F(sync_directory, is_verified, FIELD_BOOL, 0),
	F(sync_directory, disabled_at, FIELD_TIME, NULLABLE),
	F(sync_directory, disabled_reason, FIELD_TEXT, NULLABLE),
	F(sync_directory, synced_at, FIELD_TIME, NULLABLE | QUIET),
	F(sync_directory, errored_at, FIELD_TIME, NULLABLE),
	F(sync_directory, error_message, FIELD_TEXT, NULLABLE),
	F_INT(sync_directory, error_email_count, QUIET, 0),
	F(sync_directory, error_emailed_at, FIELD_TIME, NULLABLE | QUIET),
	F(sync_directory, domain, FIELD_TEXT, NULLABLE),
	F(sync_directory, impersonation_email, FIELD_TEXT, NULLABLE),
	F_ENUM(sync_directory, group_sync_mode, group_sync_mode_names),
	F(sync_directory, orgunit_sync_enabled, FIELD_BOOL, 0),
	F(sync_directory, service_account_key, FIELD_TEXT, NULLABLE | FIELD_SECRET),
	F(sync_directory, tenant_id, FIELD_TEXT, NULLABLE),
	F(sync_directory, sync_all_groups, FIELD_BOOL, 0),
	F_ENUM(sync_directory, email_field, directory_email_names),
	F(sync_directory, okta_domain, FIELD_TEXT, NULLABLE),
	F(sync_directory, client_id, FIELD_TEXT, NULLABLE),
	F(sync_directory, client_secret, FIELD_TEXT, NULLABLE | FIELD_SECRET),
	F(sync_directory, private_key_jwk, FIELD_TEXT, NULLABLE | FIELD_SECRET),
	F(sync_directory, kid, FIELD_TEXT, NULLABLE),
};

static const struct field mail_fields[] = {
	F(mail_row, recipient, FIELD_TEXT, FIXED),
	F(mail_row, subject, FIELD_TEXT, FIXED),
	F(mail_row, body_text, FIELD_TEXT, NULLABLE | FIELD_SECRET),
	F(mail_row, body_html, FIELD_TEXT, NULLABLE | FIELD_SECRET),
	F_ENUM(mail_row, state, mail_state_names),
	F_INT(mail_row, attempts, 0, 0),
	F(mail_row, next_attempt_at, FIELD_TIME, NULLABLE),
	F(mail_row, last_error, FIELD_TEXT, NULLABLE),
	F(mail_row, sent_at, FIELD_TIME, NULLABLE),
	F_INT(mail_row, priority, FIELD_FIXED, 0),
	F(mail_row, expires_at, FIELD_TIME, NULLABLE | FIXED),
};

#define KIND(id, type, word, plural, list, audited)                                                \
	[id] = { word, plural, sizeof(struct type), list, ARRAY_LEN(list), (id) == KIND_RELAY_TOKEN, audited }

const struct kind_info kinds[KIND_COUNT] = {
	KIND(KIND_ACCOUNT, account, "account", "accounts", account_fields, true),
	KIND(KIND_ACTOR, actor, "actor", "actors", actor_fields, true),
	KIND(KIND_GROUP, group, "group", "groups", group_fields, true),
	KIND(KIND_MEMBERSHIP, membership, "membership", "memberships", membership_fields, true),
	KIND(KIND_SITE, site, "site", "sites", site_fields, true),
	KIND(KIND_RESOURCE, resource, "resource", "resources", resource_fields, true),
	KIND(KIND_POLICY, policy, "policy", "policies", policy_fields, true),
	KIND(KIND_POOL_MEMBER, pool_member, "pool member", "static_device_pool_members", pool_member_fields, true),
	KIND(KIND_CLIENT, client, "client", "clients", client_fields, true),
	KIND(KIND_GATEWAY, gateway, "gateway", "gateways", gateway_fields, true),
	KIND(KIND_CLIENT_TOKEN, token, "client token", "client_tokens", client_token_fields, true),
	KIND(KIND_GATEWAY_TOKEN, token, "gateway token", "gateway_tokens", gateway_token_fields, true),
	KIND(KIND_RELAY_TOKEN, token, "relay token", "relay_tokens", relay_token_fields, true),
	KIND(KIND_AUTHORIZATION, authorization, "authorization", "policy_authorizations", authorization_fields, false),
	KIND(KIND_AUTH_PROVIDER, auth_provider, "auth provider", "auth_providers", auth_provider_fields, true),
	KIND(KIND_IDENTITY, identity, "identity", "external_identities", identity_fields, true),
	KIND(KIND_PORTAL_SESSION, portal_session, "portal session", "portal_sessions", portal_session_fields, true),
	KIND(KIND_API_TOKEN, token, "API token", "api_tokens", api_token_fields, true),
	KIND(KIND_PASSCODE, passcode, "passcode", "one_time_passcodes", passcode_fields, false),
	KIND(KIND_CREDENTIAL, credential, "credential", "credentials", credential_fields, true),
	KIND(KIND_LINK, one_time_link, "link", "one_time_links", link_fields, true),
	KIND(KIND_DIRECTORY, sync_directory, "directory", "directories", sync_directory_fields, true),
	KIND(KIND_MAIL, mail_row, "mail", "outbound_emails", mail_fields, false),
};

static char **text_at(void *entity, const struct field *f)
{
	return f->type == FIELD_TEXT ? field_at(entity, f) : NULL;
}

void entity_init(enum kind k, void *entity)
{
	memset(entity, 0, kinds[k].size);
	for (u32 i = 0; i < kinds[k].field_count; i++) {
		const struct field *f = &kinds[k].fields[i];
		if (f->type == FIELD_INT)
			*(i64 *)field_at(entity, f) = f->initial;
		if (f->type == FIELD_BOOL)
			*(bool *)field_at(entity, f) = f->initial != 0;
	}
}

void entity_deinit(enum kind k, void *entity)
{
	for (u32 i = 0; i < kinds[k].field_count; i++) {
		char **text = text_at(entity, &kinds[k].fields[i]);
		if (text)
			free(*text);
	}
	sodium_memzero(entity, kinds[k].size);
}

int entity_copy(enum kind k, void *dst, const void *src)
{
	bool is_short = false;

	memcpy(dst, src, kinds[k].size);
	for (u32 i = 0; i < kinds[k].field_count; i++) {
		char **text = text_at(dst, &kinds[k].fields[i]);
		if (!text || !*text)
			continue;
		*text = strdup(*text);
		is_short |= !*text;
	}
	if (!is_short)
		return 0;
	entity_deinit(k, dst);
	return ERR_NOMEM;
}

void *entity_dup(enum kind k, const void *src)
{
	void *dst = malloc(kinds[k].size);

	if (dst && entity_copy(k, dst, src) == 0)
		return dst;
	free(dst);
	return NULL;
}

void entity_free(enum kind k, void *entity)
{
	if (entity)
		entity_deinit(k, entity);
	free(entity);
}

int text_set(char **field, const char *value)
{
	char *copy = value ? strdup(value) : NULL;

	if (value && !copy)
		return ERR_NOMEM;
	free(*field);
	*field = copy;
	return 0;
}

int enum_parse(const char *const *names, const char *name)
{
	for (int i = 0; names[i]; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return ERR_NOT_FOUND;
}
