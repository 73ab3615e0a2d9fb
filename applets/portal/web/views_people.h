/* applets/portal/web/views_people.h: what the pages of clients, people and groups show.
 */
#pragma once

#include "applets/portal/model/entity.h"
#include "applets/portal/web/connections.h"

struct client_row {
	const struct client *client;
	const char *href;
	const char *actor, *actor_href;
	const char *version, *system; /* "" = unknown */
	bool is_online;
};

struct clients_view {
	struct list list;
	struct form *filters;
	struct client_row *rows;
	u32 n;
};

struct client_view {
	const struct client *client;
	struct client_row row;
	struct ip ipv4, ipv6;
	const char *remote_ip, *region, *user_agent;
	i64 last_started;
	const char *edit_href, *verify_href, *unverify_href, *delete_href, *why_href;
	const struct connections *connections;
	struct paths paths;
};

struct actor_row {
	const struct actor *actor;
	const char *href, *type; /* "user", "admin", "service account" */
};

struct actors_view {
	struct list list;
	struct form *filters;
	struct actor_row *rows;
	u32 n;
};

/* A token or session of an actor: one line with a button. */
struct access_row {
	const struct uuid *id;
	const char *what, *detail; /* "Client token", "Email (OTP)"; where from */
	bool is_online;
	i64 last_seen, expires;
	const char *revoke_href;
};

struct membership_row {
	const char *group, *href;
	bool is_implied; /* Everyone */
};

struct identity_row {
	const struct identity *identity;
	const char *delete_href;
};

struct credential_row {
	const struct credential *credential;
	const char *kind; /* "Passkey", "Password", "Authenticator app" */
	const char *delete_href;
};

struct actor_view {
	const struct actor *actor;
	struct actor_row row;
	const char *secret; /* a token or link just made; NULL: none */
	const char *secret_label, *secret_can;
	const char *token_expires, *token_error; /* of a token that was not made: what was typed, and why not */
	struct membership_row *groups;
	u32 n_groups;
	struct client_row *clients;
	u32 n_clients;
	struct access_row *tokens;
	u32 n_tokens;
	const struct bulk_bar *token_bar;
	struct access_row *sessions;
	u32 n_sessions;
	struct identity_row *identities;
	u32 n_identities;
	struct credential_row *credentials;
	u32 n_credentials;
	u32 n_recovery_codes;
	bool is_me, is_person, takes_tokens;
	const char *edit_href, *enable_href, *disable_href, *delete_href, *token_href, *link_href, *mail_href, *end_all_href;
};

struct group_row {
	const struct group *group;
	const char *href;
	i64 members, policies;
	bool is_everyone;
};

struct groups_view {
	struct list list;
	struct form *filters;
	struct group_row *rows;
	u32 n;
};

struct member_row {
	struct actor_row actor;
	const char *remove_href;
};

struct group_view {
	struct group_row row;
	struct list list;
	const struct form *filters;
	struct member_row *members;
	u32 n;
	bool is_editable; /* neither Everyone nor copied from a directory */
	struct form *add;
	const char *policies_href, *new_policy_href, *edit_href, *delete_href;
};
