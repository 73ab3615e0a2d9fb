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

#define F(kind, member, ftype, fflags) { #member, offsetof(struct kind, member), ftype, fflags, NULL, NULL }
#define F_AS(kind, column, member, ftype, fflags) { column, offsetof(struct kind, member), ftype, fflags, NULL, NULL }
#define F_ENUM(kind, member, list) { #member, offsetof(struct kind, member), FIELD_ENUM, 0, list, NULL }
#define F_EXPR(kind, column, member, ftype, sql) { column, offsetof(struct kind, member), ftype, FIELD_COMPUTED, NULL, sql }
#define NULLABLE FIELD_NULLABLE
#define FIXED FIELD_FIXED
#define SECRET (FIELD_SECRET | FIELD_FIXED)

static const struct field account_fields[] = {
	F(account, name, FIELD_TEXT, 0),
	F(account, slug, FIELD_TEXT, 0),
	F(account, key, FIELD_TEXT, FIXED),
	F(account, disabled_at, FIELD_TIME, NULLABLE),
	F(account, disabled_reason, FIELD_TEXT, NULLABLE),
	F(account, search_domain, FIELD_TEXT, NULLABLE),
	F_ENUM(account, dns_type, dns_type_names),
	F_ENUM(account, doh_provider, doh_provider_names),
	F(account, dns_addresses, FIELD_TEXT, NULLABLE),
	F(account, limit_users, FIELD_INT, NULLABLE),
	F(account, limit_service_accounts, FIELD_INT, NULLABLE),
	F(account, limit_sites, FIELD_INT, NULLABLE),
	F(account, limit_admins, FIELD_INT, NULLABLE),
	F(account, client_to_client_at, FIELD_TIME, NULLABLE),
};

static const struct field actor_fields[] = {
	F_ENUM(actor, type, actor_type_names),
	F(actor, name, FIELD_TEXT, 0),
	F(actor, email, FIELD_TEXT, NULLABLE),
	F(actor, disabled_at, FIELD_TIME, NULLABLE),
};

static const struct field group_fields[] = {
	F(group, name, FIELD_TEXT, 0),
	F_ENUM(group, type, group_type_names),
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
	F(policy, resource_id, FIELD_UUID, 0),
	F(policy, description, FIELD_TEXT, NULLABLE),
	F(policy, conditions, FIELD_TEXT, NULLABLE),
	F(policy, disabled_at, FIELD_TIME, NULLABLE),
};

static const struct field pool_member_fields[] = {
	F(pool_member, resource_id, FIELD_UUID, FIXED),
	F(pool_member, client_id, FIELD_UUID, FIXED),
};

#define ADDRESS_OF(family, owner)                                                              \
	"(SELECT a.address FROM " family "_addresses a WHERE a.account_id=t.account_id AND a." \
	owner "_id=t.id)"

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
	F_EXPR(device, "ipv4", ipv4, FIELD_IP4, ADDRESS_OF("ipv4", "client")),
	F_EXPR(device, "ipv6", ipv6, FIELD_IP6, ADDRESS_OF("ipv6", "client")),
};

static const struct field gateway_fields[] = {
	F_AS(device, "site_id", owner_id, FIELD_UUID, FIXED),
	F(device, external_id, FIELD_TEXT, FIXED),
	F(device, name, FIELD_TEXT, 0),
	F(device, psk_base, FIELD_KEY, SECRET),
	F_EXPR(device, "ipv4", ipv4, FIELD_IP4, ADDRESS_OF("ipv4", "gateway")),
	F_EXPR(device, "ipv6", ipv6, FIELD_IP6, ADDRESS_OF("ipv6", "gateway")),
};

static const struct field client_token_fields[] = {
	F_AS(token, "actor_id", owner_id, FIELD_UUID, FIXED),
	F(token, name, FIELD_TEXT, NULLABLE),
	F_AS(token, "secret_salt", salt, FIELD_TEXT, SECRET),
	F_AS(token, "secret_hash", hash, FIELD_TEXT, SECRET),
	F(token, expires_at, FIELD_TIME, FIXED),
};

static const struct field gateway_token_fields[] = {
	F_AS(token, "site_id", owner_id, FIELD_UUID, FIXED),
	F(token, name, FIELD_TEXT, NULLABLE),
	F_AS(token, "secret_salt", salt, FIELD_TEXT, SECRET),
	F_AS(token, "secret_hash", hash, FIELD_TEXT, SECRET),
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

#define KIND(id, type, word, plural, list, global)                                               \
	[id] = { word, plural, sizeof(struct type), list, ARRAY_LEN(list), global }

const struct kind_info kinds[KIND_COUNT] = {
	KIND(KIND_ACCOUNT, account, "account", "accounts", account_fields, false),
	KIND(KIND_ACTOR, actor, "actor", "actors", actor_fields, false),
	KIND(KIND_GROUP, group, "group", "groups", group_fields, false),
	KIND(KIND_MEMBERSHIP, membership, "membership", "memberships", membership_fields, false),
	KIND(KIND_SITE, site, "site", "sites", site_fields, false),
	KIND(KIND_RESOURCE, resource, "resource", "resources", resource_fields, false),
	KIND(KIND_POLICY, policy, "policy", "policies", policy_fields, false),
	KIND(KIND_POOL_MEMBER, pool_member, "pool member", "static_device_pool_members", pool_member_fields, false),
	KIND(KIND_CLIENT, client, "client", "clients", client_fields, false),
	KIND(KIND_GATEWAY, gateway, "gateway", "gateways", gateway_fields, false),
	KIND(KIND_CLIENT_TOKEN, token, "client token", "client_tokens", client_token_fields, false),
	KIND(KIND_GATEWAY_TOKEN, token, "gateway token", "gateway_tokens", gateway_token_fields, false),
	KIND(KIND_RELAY_TOKEN, token, "relay token", "relay_tokens", relay_token_fields, true),
	KIND(KIND_AUTHORIZATION, authorization, "authorization", "policy_authorizations", authorization_fields, false),
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
		if (f->type == FIELD_INT && f->flags & FIELD_NULLABLE)
			*(i64 *)field_at(entity, f) = -1;
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
