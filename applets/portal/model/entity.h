/* applets/portal/model/entity.h: what the portal knows: accounts, actors, groups, sites, resources, policies, devices, tokens (spec 60 §1).
 *
 * Each kind is a plain struct that begins with `struct entity` and is described once, by a table of fields. Storing, reading, freeing,
 * comparing and printing walk that table, so a new column is one line in entity.c and one migration in store/.
 *
 * Strings belong to the entity (malloc; NULL = null), ids are all zero for null, times are microseconds since 1970 (0 = null), enums
 * are stored and printed by name. Everything but relay tokens belongs to an account; an account's account_id is its own id.
 */
#pragma once

#include "core/base/err.h"
#include "core/ip/addr.h"

enum kind {
	KIND_ACCOUNT,
	KIND_ACTOR,
	KIND_GROUP,
	KIND_MEMBERSHIP,
	KIND_SITE,
	KIND_RESOURCE,
	KIND_POLICY,
	KIND_POOL_MEMBER,
	KIND_CLIENT,
	KIND_GATEWAY,
	KIND_CLIENT_TOKEN,
	KIND_GATEWAY_TOKEN,
	KIND_RELAY_TOKEN,
	KIND_AUTHORIZATION,
	KIND_COUNT,
};

enum actor_type { ACTOR_USER, ACTOR_ADMIN, ACTOR_SERVICE, ACTOR_API };
enum group_type { GROUP_STATIC, GROUP_MANAGED };
enum managed_by { MANAGED_BY_ACCOUNT, MANAGED_BY_SYSTEM };
enum resource_type { RESOURCE_DNS, RESOURCE_CIDR, RESOURCE_IP, RESOURCE_INTERNET, RESOURCE_POOL };
enum ip_stack { STACK_NONE, STACK_DUAL, STACK_IPV4, STACK_IPV6 };
enum dns_type { DNS_SYSTEM, DNS_SECURE, DNS_CUSTOM };
enum doh_provider { DOH_GOOGLE, DOH_OPENDNS, DOH_CLOUDFLARE, DOH_QUAD9 };

#define EVERYONE "Everyone"       /* the managed group without rows: every user and admin, no service account (§1.5) */
#define INTERNET_SITE "Internet"  /* the system site (§1.6) */
#define PSK_BASE_LEN 32
#define SECRET_SALT_LEN 22        /* 16 random bytes in base64url */
#define SECRET_HASH_LEN 64        /* hex SHA3-256 */
#define PUBLIC_KEY_LEN 44         /* base64 text of 32 bytes */

struct entity {
	struct uuid account_id;
	struct uuid id;
	i64 inserted_at, updated_at;
	u64 revision; /* not stored: grows with every change that the directory sees */
};

struct account {
	struct entity e;
	char *name, *slug, *key;
	i64 disabled_at;
	char *disabled_reason;
	char *search_domain;
	int dns_type, doh_provider;
	char *dns_addresses; /* "9.9.9.9 2620:fe::fe" */
	i64 limit_users, limit_service_accounts, limit_sites, limit_admins; /* -1 = unlimited (§11) */
	i64 client_to_client_at; /* since when clients may reach devices of pools (§4.10); 0 = they may not */
};

struct actor {
	struct entity e;
	int type;
	char *name, *email;
	i64 disabled_at;
};

struct group {
	struct entity e;
	char *name;
	int type;
};

struct membership {
	struct entity e;
	struct uuid actor_id, group_id;
};

struct site {
	struct entity e;
	char *name;
	int managed_by;
};

struct resource {
	struct entity e;
	struct uuid site_id;
	int type;
	char *name, *address, *address_description;
	int ip_stack;
	char *filters; /* "tcp:22,8000-9000 icmp", canonical (rules.h); empty = everything */
};

struct policy {
	struct entity e;
	struct uuid group_id; /* null: the group is gone, grants nothing */
	struct uuid resource_id;
	char *description;
	char *conditions; /* one per line: "remote_ip is_in_cidr 10.0.0.0/8", canonical (rules.h) */
	i64 disabled_at;
};

/* A device that whoever may use the pool may reach directly (§1.11, §4.10). */
struct pool_member {
	struct entity e;
	struct uuid resource_id, client_id;
};

/* A client and a gateway begin alike, so that sockets can treat both as devices. */
struct device {
	struct entity e;
	struct uuid owner_id; /* actor of a client, site of a gateway */
	char *external_id, *name;
	u8 psk_base[PSK_BASE_LEN];
	u32 ipv4, ipv6; /* host order; low 32 bits of the IPv6 address (pool.h) */
};

struct client {
	struct device d;
	char *device_serial, *device_uuid, *identifier_for_vendor, *firebase_installation_id;
	i64 verified_at;
};

struct gateway {
	struct device d;
};

struct token {
	struct entity e;
	struct uuid owner_id; /* actor, site, or nothing for a relay */
	char *name;
	char *salt, *hash;
	i64 expires_at; /* clients' only */
};

struct authorization {
	struct entity e;
	struct uuid policy_id, client_id, gateway_id, resource_id, token_id;
	struct uuid membership_id; /* null for Everyone */
	char *client_remote_ip, *client_user_agent, *gateway_remote_ip;
	i64 expires_at;
};

enum field_type {
	FIELD_UUID,
	FIELD_TEXT,
	FIELD_INT,  /* i64; -1 = null */
	FIELD_TIME,
	FIELD_ENUM,
	FIELD_KEY,  /* PSK_BASE_LEN bytes */
	FIELD_IP4,
	FIELD_IP6,
};

#define FIELD_NULLABLE 1u
#define FIELD_SECRET 2u   /* never printed */
#define FIELD_FIXED 4u    /* set when the row is made, never updated */
#define FIELD_COMPUTED 8u /* read by `expr`, not a column */

struct field {
	const char *name;
	u16 offset;
	u8 type, flags;
	const char *const *names; /* of an enum, NULL terminated */
	const char *expr;
};

struct kind_info {
	const char *name;  /* "site" */
	const char *table; /* "sites" */
	size_t size;
	const struct field *fields; /* without account_id, id and the two times */
	u32 field_count;
	bool is_global; /* no account */
};

extern const struct kind_info kinds[KIND_COUNT];

static inline void *field_at(void *entity, const struct field *f)
{
	return (char *)entity + f->offset;
}

static inline const void *field_of(const void *entity, const struct field *f)
{
	return (const char *)entity + f->offset;
}

/* Enough for any kind. */
union any_entity {
	struct entity e;
	struct account account;
	struct actor actor;
	struct group group;
	struct membership membership;
	struct site site;
	struct resource resource;
	struct policy policy;
	struct pool_member pool_member;
	struct device device;
	struct client client;
	struct gateway gateway;
	struct token token;
	struct authorization authorization;
};

/* Empty entity of a kind: nulls, -1 where an integer may be null. */
void entity_init(enum kind k, void *entity);

/* Frees its strings and wipes it. */
void entity_deinit(enum kind k, void *entity);

/* A copy with strings of its own. ERR_NOMEM leaves nothing. */
int entity_copy(enum kind k, void *dst, const void *src);
void *entity_dup(enum kind k, const void *src); /* on the heap; NULL without memory */
void entity_free(enum kind k, void *entity);

/* Replaces a string field; NULL clears it. */
int text_set(char **field, const char *value);

/* Index of `name` in names, ERR_NOT_FOUND. */
int enum_parse(const char *const *names, const char *name);

extern const char *const actor_type_names[], *const group_type_names[], *const managed_by_names[], *const resource_type_names[],
	*const ip_stack_names[], *const dns_type_names[], *const doh_provider_names[];

static inline bool uuid_is_null(const struct uuid *id)
{
	static const struct uuid null;
	return uuid_eq(id, &null);
}
