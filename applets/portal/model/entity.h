/* applets/portal/model/entity.h: what the portal knows: accounts, actors, groups, sites, resources, policies, devices, tokens,
 * providers, identities, sessions, credentials, directories, mails (spec 60 §1, §3, §8).
 *
 * Each kind is a plain struct that begins with `struct entity` and is described once, by a table of fields. Storing, reading, freeing,
 * comparing and printing walk that table, so a new column is one line in entity.c and one migration in store/.
 *
 * Strings belong to the entity (malloc; NULL = null), ids are all zero for null, times are microseconds since 1970 (0 = null), enums
 * are stored and printed by name. Everything but relay tokens belongs to an account; an account's account_id is its own id. Links and
 * mails may belong to the portal itself: their account_id is then null.
 *
 * `last_seen_at` is kept by the store (store_touch(), store_insert_session()): reading yields it, writing an entity does not change it.
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
	KIND_AUTH_PROVIDER,
	KIND_IDENTITY,
	KIND_PORTAL_SESSION,
	KIND_API_TOKEN,
	KIND_PASSCODE,
	KIND_CREDENTIAL,
	KIND_LINK,
	KIND_DIRECTORY,
	KIND_MAIL,
	KIND_COUNT,
};

enum actor_type { ACTOR_USER, ACTOR_ADMIN, ACTOR_SERVICE, ACTOR_API };
enum group_type { GROUP_STATIC, GROUP_MANAGED };
enum managed_by { MANAGED_BY_ACCOUNT, MANAGED_BY_SYSTEM };
enum resource_type { RESOURCE_DNS, RESOURCE_CIDR, RESOURCE_IP, RESOURCE_INTERNET, RESOURCE_POOL };
enum ip_stack { STACK_NONE, STACK_DUAL, STACK_IPV4, STACK_IPV6 };
enum dns_type { DNS_SYSTEM, DNS_SECURE, DNS_CUSTOM };
enum doh_provider { DOH_GOOGLE, DOH_OPENDNS, DOH_CLOUDFLARE, DOH_QUAD9 };
enum entity_type { ENTITY_GROUP, ENTITY_ORG_UNIT };
enum provider_type { PROVIDER_EMAIL_OTP, PROVIDER_USERPASS, PROVIDER_GOOGLE, PROVIDER_ENTRA, PROVIDER_OKTA, PROVIDER_OIDC };
enum provider_context { CONTEXT_BOTH, CONTEXT_CLIENTS, CONTEXT_PORTAL };
enum email_claim { CLAIM_UPN, CLAIM_EMAIL, CLAIM_PREFERRED_USERNAME };
enum credential_type { CREDENTIAL_PASSKEY, CREDENTIAL_PASSWORD, CREDENTIAL_TOTP, CREDENTIAL_RECOVERY_CODE };
enum link_purpose { LINK_SETUP, LINK_INVITE, LINK_RECOVERY };
enum directory_type { DIRECTORY_GOOGLE, DIRECTORY_ENTRA, DIRECTORY_OKTA };
enum group_sync_mode { SYNC_ALL, SYNC_FILTERED, SYNC_DISABLED };
enum directory_email { DIRECTORY_EMAIL_UPN, DIRECTORY_EMAIL_MAIL };
enum mail_state { MAIL_QUEUED, MAIL_SENT, MAIL_FAILED };

#define EVERYONE "Everyone"       /* the managed group without rows: every user and admin, no service account (§1.5) */
#define INTERNET_SITE "Internet"  /* the system site (§1.6) */
#define PROVIDER_ISSUER "firezone" /* of the portal's own ways to sign in (§1.10) */
#define PROVIDER_EMAIL_OTP_NAME "Email (OTP)"
#define PROVIDER_USERPASS_NAME "Passkey or password" /* type userpass: passkeys, or password with TOTP */
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
	char *name, *legal_name, *slug, *key;
	i64 disabled_at;
	char *disabled_reason;
	bool has_policy_conditions, has_traffic_filters, has_idp_sync, has_rest_api, has_internet_resource; /* features; on */
	char *search_domain;
	int dns_type, doh_provider;
	char *dns_addresses; /* "9.9.9.9 2620:fe::fe" */
	i64 limit_users, limit_service_accounts, limit_sites, limit_admins; /* -1 = unlimited (§11) */
	i64 limit_monthly_active_users, limit_api_clients, limit_api_tokens_per_client; /* 100 and 100 unless told */
	i64 api_refill_rate, api_capacity; /* requests; -1 = as the portal is configured */
	bool users_limit_exceeded, seats_limit_exceeded, service_accounts_limit_exceeded, sites_limit_exceeded, admins_limit_exceeded;
	bool notify_outdated_gateway; /* by mail to the admins; on */
	i64 last_notified_at;	      /* of outdated gateways */
	i64 limits_notified_at;	      /* of limits that are exceeded */
	i64 client_to_client_at; /* since when clients may reach devices of pools (§4.10); 0 = they may not */
};

struct actor {
	struct entity e;
	int type;
	char *name, *email;
	i64 disabled_at;
	bool allow_email_otp_sign_in;
	struct uuid created_by_directory_id; /* goes with it */
	i64 last_synced_at;
};

/* Synced when it has an idp_id: then names may repeat, and the admin changes neither name nor members (§1.5). */
struct group {
	struct entity e;
	char *name;
	int type;
	int entity_type;
	char *idp_id, *email;
	struct uuid directory_id; /* goes with it */
	i64 last_synced_at;
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
	char *group_idp_id;   /* read only: the group's, kept when the group goes, so that a sync can attach it again (§8) */
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
	i64 last_seen_at; /* newest session */
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
	struct uuid owner_id;	      /* actor, site, or nothing for a relay */
	struct uuid auth_provider_id; /* of a client token: how its actor signed in, null for service accounts; goes with it */
	char *name;
	char *salt, *hash;
	i64 expires_at; /* clients' and API tokens only */
	i64 last_seen_at;
	char *last_seen_remote_ip; /* API tokens only */
};

struct authorization {
	struct entity e;
	struct uuid policy_id, client_id, gateway_id, resource_id, token_id;
	struct uuid membership_id; /* null for Everyone */
	char *client_remote_ip, *client_user_agent, *gateway_remote_ip;
	i64 expires_at;
};

/* A way to sign in (§1.10). Of the types email_otp, userpass and google there is one per account. */
struct auth_provider {
	struct entity e;
	int type;
	char *name, *issuer;
	int context;
	i64 client_session_lifetime_secs, portal_session_lifetime_secs;
	i64 disabled_at;
	bool is_default; /* one per account: take it from the other first */
	bool is_verified;
	char *client_id, *client_secret; /* null for google and entra: the portal's own */
	char *discovery_document_uri;    /* oidc */
	char *okta_domain;
	int email_claim; /* entra */
	bool is_legacy;	 /* oidc: callback URL of before 2025 */
};

#define CLIENT_SESSION_SECS 604800 /* defaults of a provider */
#define PORTAL_SESSION_SECS 28800

/* Who an actor is at an issuer (§1.4). */
struct identity {
	struct entity e;
	struct uuid actor_id;
	char *issuer, *idp_id, *email, *name;
	char *given_name, *family_name, *middle_name, *nickname, *preferred_username, *profile, *picture, *firezone_avatar_url;
	struct uuid directory_id; /* goes with it */
	i64 last_synced_at;
};

/* An admin in a browser (§3.9). */
struct portal_session {
	struct entity e;
	struct uuid actor_id;
	struct uuid auth_provider_id; /* null: by a one-time link */
	i64 expires_at;
	char *user_agent, *remote_ip, *region, *city, *coordinates; /* "52.5200,13.4000" */
	i64 last_seen_at;
};

/* A code sent by mail (§3.4). */
struct passcode {
	struct entity e;
	struct uuid actor_id;
	char *code_hash;
	i64 attempts; /* wrong ones so far */
	i64 expires_at;
};

/* What an actor proves himself with at the portal: any number of passkeys, one password, TOTP, recovery codes. */
struct credential {
	struct entity e;
	struct uuid actor_id;
	int type;
	char *name;
	char *credential_id; /* passkey: base64url, unique in the account */
	char *public_key;    /* passkey */
	i64 sign_count;	     /* passkey: its counter; TOTP: the last time step that was accepted */
	char *hash;	     /* password and recovery code: hash; TOTP: the shared secret as its owner stores it */
	i64 used_at;	     /* last; a recovery code: once */
	bool is_confirmed;
};

/* A link that works once: the first admin, an invitation, a lost credential. */
struct one_time_link {
	struct entity e;
	int purpose;
	struct uuid actor_id; /* null for setup */
	char *salt, *hash;
	i64 expires_at;
	i64 used_at;
};

/* Where actors and groups are copied from (§8). */
struct sync_directory {
	struct entity e;
	int type;
	char *name;
	bool is_verified;
	i64 disabled_at;
	char *disabled_reason;
	i64 synced_at, errored_at;
	char *error_message;
	i64 error_email_count, error_emailed_at;
	char *domain, *impersonation_email; /* google */
	int group_sync_mode;
	bool orgunit_sync_enabled;
	char *service_account_key; /* google: JSON; null: the portal's own */
	char *tenant_id;	   /* entra */
	bool sync_all_groups;
	int email_field;
	char *okta_domain;
	char *client_id, *client_secret; /* okta; entra: null: the portal's own */
	char *private_key_jwk, *kid;	 /* okta */
};

/* A mail on its way, or that was (mail/queue.h). */
struct mail_row {
	struct entity e;
	char *recipient, *subject;
	char *body_text, *body_html; /* cleared once it is sent or given up: codes and links are in them */
	int state;
	i64 attempts, next_attempt_at;
	char *last_error;
	i64 sent_at;
	i64 priority;	/* higher goes first */
	i64 expires_at; /* worthless from then on */
};

enum field_type {
	FIELD_UUID,
	FIELD_TEXT,
	FIELD_INT,  /* i64; -1 = null */
	FIELD_TIME,
	FIELD_ENUM,
	FIELD_BOOL,
	FIELD_KEY,  /* PSK_BASE_LEN bytes */
	FIELD_IP4,
	FIELD_IP6,
};

#define FIELD_NULLABLE 1u
#define FIELD_SECRET 2u   /* never printed */
#define FIELD_FIXED 4u    /* set when the row is made, never updated */
#define FIELD_COMPUTED 8u /* read as `computed` says, not written */
#define FIELD_QUIET 16u   /* a change of it alone is not worth a line in the audit trail */

/* Where a field comes from that is only read: how it is asked for is the store's business. */
enum computed {
	COMPUTED_NOT,
	COMPUTED_BY_USE,	 /* a column of its own, which store_touch() and sessions move */
	COMPUTED_BY_GROUP,	 /* of a policy: its group's idp_id, or the one its group had */
	COMPUTED_IPV4_OF_CLIENT, /* tunnel addresses, here and below */
	COMPUTED_IPV6_OF_CLIENT,
	COMPUTED_IPV4_OF_GATEWAY,
	COMPUTED_IPV6_OF_GATEWAY,
	COMPUTED_COUNT
};

struct field {
	const char *name;
	u16 offset;
	u8 type, flags;
	const char *const *names; /* of an enum, NULL terminated */
	enum computed computed;
	i32 initial; /* of a bool or integer, by entity_init() */
};

struct kind_info {
	const char *name;  /* "site" */
	const char *table; /* "sites" */
	size_t size;
	const struct field *fields; /* without account_id, id and the two times */
	u32 field_count;
	bool is_global;	 /* no account */
	bool is_audited; /* who changed what is kept (store.h) */
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
	struct auth_provider auth_provider;
	struct identity identity;
	struct portal_session portal_session;
	struct passcode passcode;
	struct credential credential;
	struct one_time_link link;
	struct sync_directory sync_directory;
	struct mail_row mail;
};

/* Empty entity of a kind: nulls, -1 where an integer may be null, what has a default has it. */
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
	*const ip_stack_names[], *const dns_type_names[], *const doh_provider_names[], *const provider_type_names[], *const entity_type_names[],
	*const provider_context_names[], *const email_claim_names[], *const credential_type_names[], *const link_purpose_names[],
	*const directory_type_names[], *const group_sync_mode_names[], *const directory_email_names[];

