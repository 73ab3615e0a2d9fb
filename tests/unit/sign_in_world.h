/* tests/unit/sign_in_world.h: people who sign in to a portal of http_world.h: their links, apps, passwords, and what the pages tell them.
 *
 *	struct http_world *w = sign_in_world();
 *	enrol(w, "jo@acme.example", secret, recovery);                    password and app, by an invitation
 *	type_password(w, "/acme", "jo@acme.example", SIGN_IN_PASSWORD);   then give_code(w, code_of(secret))
 *	EXPECT(has_session(w));
 *	http_free(w);
 */
#pragma once

#include "applets/portal/auth/auth.h"
#include "applets/portal/auth/recovery.h"
#include "applets/portal/auth/signin.h"
#include "applets/portal/auth/totp.h"
#include "tests/unit/http_world.h"

#define SIGN_IN_PASSWORD "tea with seven ducks"

/* What stands between two texts, with the entities of attributes decoded; static memory, several at once. */
const char *html_between(const char *body, const char *before, const char *after);
/* The action of the form whose action ends with `suffix` before its query. */
const char *action_of(const char *body, const char *suffix);
/* The id that an administrator command of the portal answers with. */
struct uuid id_of(struct http_world *w, const char *command, const char *member);
/* A portal at https://portal.example that knows passkeys. */
struct http_world *sign_in_world(void);
/* A link for an actor of acme; purpose LINK_SETUP: for nobody yet. */
const char *link_for(struct http_world *w, const char *email, int purpose);
/* The app on a phone: its secret as the page spells it. */
void read_secret(const char *body, u8 secret[static TOTP_SECRET_LEN]);
/* What the app shows now. */
const char *code_of(const u8 secret[static TOTP_SECRET_LEN]);
/* Sets up password and app of an actor; the first recovery code is left in `recovery`. */
void enrol(struct http_world *w, const char *email, u8 secret[static TOTP_SECRET_LEN], char recovery[static RECOVERY_STRLEN]);
/* Types the password into the page at `path`; the answer. */
const struct reply *type_password(struct http_world *w, const char *path, const char *email, const char *password);
/* Into the page that the last reply led to. */
const struct reply *give_code(struct http_world *w, const char *code);
bool has_session(struct http_world *w);
/* With Ann of acme, who has password and app. */
struct http_world *sign_in_world_with_user(u8 secret[static TOTP_SECRET_LEN]);
