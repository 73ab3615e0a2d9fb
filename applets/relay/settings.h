/* applets/relay/settings.h: everything the relay can be told (spec 50 §7.1), and what follows from it. */
#pragma once

#include "applets/common/options.h"
#include "applets/common/token.h"
#include "core/base/log.h"
#include "core/turn/server.h"

#define SETTINGS_USERS_MAX OPT_LIST_MAX

/* Who may allocate. */
enum relay_mode {
	RELAY_PORTAL,     /* Firezone's rules; the secret is drawn and told to the portal */
	RELAY_FIREZONE,   /* Firezone's rules and credentials, but nobody is told: tests, interoperability */
	RELAY_STANDALONE, /* any TURN client: --user, --static-auth-secret */
};

struct settings {
	struct ip public4, public6, bind4, bind6;
	u64 listen_port, lowest_port, highest_port;
	const char *api_url, *token_text, *name;
	u64 rng_seed;
	int log_format;
	struct endpoint health;
	struct endpoint control;
	const char *ca_file;

	const char *realm;
	struct opt_list user_texts;
	const char *static_auth_secret, *stamp_secret;
	u64 user_quota;
	bool is_wide, has_many_per_user, allows_loopback_peers;
	u64 print_credentials; /* ns, 0 = run */

	/* derived */
	struct token token; /* RELAY_PORTAL; token_wipe() it */
	enum relay_mode mode;
	bool has_seed;
	struct turn_user users[SETTINGS_USERS_MAX];
	char *user_copies[SETTINGS_USERS_MAX];
};

/* Parses and checks; prints what is wrong and ends the process with 2 (usage) or 1 (no public address). */
void settings_read(struct settings *s, int argc, char **argv);
