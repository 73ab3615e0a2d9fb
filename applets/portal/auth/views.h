/* applets/portal/auth/views.h: what the pages of signing in show (web/templates/signin.html, enrol.html, security.html). All borrowed.
 */
#pragma once

#include "applets/portal/web/form.h"
#include "applets/portal/web/page.h"

struct signin_link {
	const char *label, *href;
};

#define SIGNIN_LINKS_MAX 16u

/* A form and links below it. */
struct signin_step_view {
	struct form form;
	struct signin_link link[SIGNIN_LINKS_MAX];
	u32 n_links;
};

struct signin_view {
	const struct form *passcode, *password; /* NULL: not possible here */
	const char *passkey_action;		/* NULL: no passkeys */
	const char *passkey_options;		/* JSON */
	struct signin_link elsewhere[SIGNIN_LINKS_MAX]; /* identity providers */
	u32 n_elsewhere;
	const char *other_account; /* href of the chooser */
	const char *recover;	   /* NULL: no recovery codes */
};

struct token_view {
	const char *account_name, *account_slug, *actor_name, *token;
	struct uuid account_id;
	i64 expires_at;
};

/* The secret of an authenticator app: as letters, as a link for an app on this device, as a QR code. */
struct totp_view {
	const char *letters, *uri;
	const char *squares; /* SVG path */
	u32 size;	     /* of the QR code with its margin; 0: there is none */
};

/* First ways in, by a one-time link. */
struct enrol_view {
	const char *passkey_action, *passkey_options; /* NULL: browsers make none here */
	const struct form *password;
	struct totp_view totp;
};

struct codes_view {
	const char *code[16];
	u32 n;
	const char *next, *next_label;
};

struct credential_row {
	const char *name, *remove_href;
	i64 made_at, used_at;
	bool is_backed_up;
};

struct security_view {
	struct credential_row passkey[32];
	u32 n_passkeys;
	bool has_password;
	u32 codes_left;
	const char *passkey_action, *passkey_options; /* NULL: browsers make none here */
	const struct form *password;
	struct totp_view totp;
	const char *codes_action, *remove_password_action; /* the latter NULL: it is the last way in */
	const char *profile;				   /* how passwords are kept */
};
