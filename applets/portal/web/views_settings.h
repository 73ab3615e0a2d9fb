/* applets/portal/web/views_settings.h: what the settings pages show.
 */
#pragma once

#include "applets/portal/mail/mail.h"
#include "applets/portal/model/entity.h"
#include "applets/portal/web/parts.h"

#define SETTINGS_TABS 6u

struct settings_tabs {
	struct tab tab[SETTINGS_TABS];
};

struct usage_row {
	const char *what;
	i64 used, limit; /* -1: unlimited */
};

struct account_view {
	struct settings_tabs tabs;
	const struct account *account;
	struct usage_row usage[8];
	u32 n_usage;
	const char *hashing; /* how slow hashes are made here */
	const char *edit_href, *features_href;
};

struct settings_form_view {
	struct settings_tabs tabs;
	struct form *form;
	const char *text; /* a sentence before it; NULL: none */
	bool has_keys;	  /* an Okta directory: it proves itself with a key */
	const char *public_key; /* of the key just made; NULL: none was */
};

struct provider_row {
	const struct auth_provider *provider;
	const char *kind, *where, *lifetime;
	i64 tokens, sessions;
	bool is_current;     /* of the viewer's own session */
	bool can_be_default, is_own; /* the portal's own: never deleted */
	const char *edit_href, *enable_href, *disable_href, *revoke_href, *delete_href, *default_href, *undefault_href;
};

struct providers_view {
	struct settings_tabs tabs;
	struct provider_row *rows;
	u32 n;
	const char *new_href;
};

struct provider_kind {
	const char *type, *name, *text, *href;
};

struct provider_kinds_view {
	struct settings_tabs tabs;
	const struct provider_kind *kinds;
	u32 n;
};

struct provider_form_view {
	struct settings_tabs tabs;
	struct form *form;
	const char *callback; /* to be registered at the provider */
	bool is_verified;     /* the settings were tried and are saved by the next click */
};

struct directory_row {
	const struct sync_directory *directory;
	i64 actors, groups;
	const char *state; /* "synced", "failing", "disabled", "not verified" */
	int tone;
	const char *edit_href, *sync_href, *enable_href, *disable_href, *delete_href;
};

struct directories_view {
	struct settings_tabs tabs;
	struct directory_row *rows;
	u32 n;
	const struct provider_kind *kinds;
	u32 n_kinds;
};

struct api_client_row {
	const struct actor *actor;
	const char *href;
	i64 tokens;
};

struct api_clients_view {
	struct settings_tabs tabs;
	struct list list;
	const struct form *filters;
	struct api_client_row *rows;
	u32 n;
	const char *openapi_href;
};

struct api_token_row {
	const struct token *token;
	const char *revoke_href;
};

struct api_client_view {
	const struct actor *actor;
	struct api_token_row *tokens;
	u32 n_tokens;
	struct form *form; /* of a new token */
	const char *secret;
	const char *edit_href, *enable_href, *disable_href, *delete_href;
};

struct mail_line {
	const char *to, *subject, *state, *error;
	int tone;
	i64 at;
	const char *retry_href;
};

struct mail_view {
	struct settings_tabs tabs;
	struct mail_status status;
	const char *result; /* of a test just made */
	int result_tone;
	const char *test_href, *viewer;
	struct mail_line *rows;
	u32 n;
};
