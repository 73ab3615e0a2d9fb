/* applets/quickstart/setup.h: what a quickstart has on disk, made once.
 *
 *	DIR/portal/          the portal's own state directory
 *	DIR/gateway.token    as `portal token add` printed them; mode 0600
 *	DIR/relay.token
 *	DIR/client.token
 *	DIR/gateway.id       the gateway's firezone-id
 *
 * Everything is made in DIR.new, which is renamed at the end: there is a whole one or none.
 */
#pragma once

#include "core/base/err.h"
#include "core/base/types.h"

#define SETUP_DIR_MAX 512
#define SETUP_PATH_MAX 1024 /* of what lies in it */
#define SETUP_TOKEN_MAX 512
#define SETUP_SITE "home"
#define SETUP_GROUP "devices"
#define SETUP_ACTOR "device"

struct setup {
	char dir[SETUP_DIR_MAX], portal_dir[SETUP_PATH_MAX];
	char first_link[SETUP_TOKEN_MAX]; /* "auth/link/…" for the first admin; "" once there is one */
	char gateway_token[SETUP_TOKEN_MAX], relay_token[SETUP_TOKEN_MAX], client_token[SETUP_TOKEN_MAX], gateway_id[80];
	bool is_new;
};

/* Reads DIR, or makes it with `program` (emberbox). Says on stderr what went wrong. */
int setup_load(struct setup *s, const char *program, const char *dir) MUST_CHECK;
