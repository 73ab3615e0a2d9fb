#include "applets/relay/settings.h"

#include "applets/version.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define F(f) offsetof(struct settings, f)

static const char *const log_formats[] = { "human", "json", NULL };

static const struct opt_def defs[] = {
	{ "public-ip4-addr", 0, "PUBLIC_IP4_ADDR", OPT_IP4, F(public4), .help = "IPv4 address to announce; serves IPv4" },
	{ "public-ip6-addr", 0, "PUBLIC_IP6_ADDR", OPT_IP6, F(public6), .help = "IPv6 address to announce; serves IPv6" },
	{ "bind-ip4-addr", 0, "BIND_IP4_ADDR", OPT_IP4, F(bind4), .dflt = "0.0.0.0", .help = "local IPv4 address to bind" },
	{ "bind-ip6-addr", 0, "BIND_IP6_ADDR", OPT_IP6, F(bind6), .dflt = "::", .help = "local IPv6 address to bind" },
	{ "listen-port", 0, "LISTEN_PORT", OPT_UINT, F(listen_port), .dflt = "3478", .min = 1, .max = 65535,
	  .help = "STUN and TURN port; Firezone's peers need 3478" },
	{ "lowest-port", 0, "LOWEST_PORT", OPT_UINT, F(lowest_port), .dflt = "49152", .min = 1, .max = 65535,
	  .help = "first port for allocations" },
	{ "highest-port", 0, "HIGHEST_PORT", OPT_UINT, F(highest_port), .dflt = "65535", .min = 1, .max = 65535,
	  .help = "last port for allocations" },
	{ "api-url", 0, "FIREZONE_API_URL", OPT_URL, F(api_url), .help = "portal to join: wss://api.example.org" },
	{ "health-check-addr", 0, "HEALTH_CHECK_ADDR", OPT_ENDPOINT, F(health), .dflt = "0.0.0.0:8080",
	  .help = "HTTP /healthz and /readyz" },
	{ "control-endpoint", 0, "CONTROL_ENDPOINT", OPT_ENDPOINT, F(control), .dflt = "127.0.0.1:9999",
	  .help = "HTTP: POST /log_filter?directives=FILTER changes what is logged, GET /metrics counts" },
	{ "log-format", 0, "LOG_FORMAT", OPT_CHOICE, F(log_format), .dflt = "human", .choices = log_formats,
	  .help = "log lines on stdout; RUST_LOG filters them" },
	{ "ca", 0, "EMBERBOX_CA", OPT_STR, F(ca_file), .meta = "FILE", .help = "PEM file with the portal's authority" },
	{ "rng-seed", 0, "RNG_SEED", OPT_UINT, F(rng_seed), .flags = OPT_HIDDEN },

	{ "user", 0, NULL, OPT_LIST, F(user_texts), .meta = "NAME:PASSWORD", .flags = OPT_SECRET,
	  .help = "without a portal: a TURN user; may be repeated" },
	{ "static-auth-secret", 0, "STATIC_AUTH_SECRET", OPT_STR, F(static_auth_secret), .meta = "SECRET", .flags = OPT_SECRET,
	  .help = "without a portal: time-limited users \"EXPIRY:anything\" as coturn's REST API computes them" },
	{ "realm", 0, "REALM", OPT_STR, F(realm), .dflt = "firezone", .help = "realm of the users" },
	{ "user-quota", 0, "USER_QUOTA", OPT_UINT, F(user_quota), .dflt = "0", .max = 65536,
	  .help = "allocations of one TURN user at a time, 0 = no limit" },
	{ "allow-loopback-peers", 0, NULL, OPT_FLAG, F(allows_loopback_peers),
	  .help = "without a portal: let users reach services on 127.0.0.0/8 and ::1 of this host" },
	{ "stamp-secret", 0, "STAMP_SECRET", OPT_STR, F(stamp_secret), .meta = "HEX", .flags = OPT_SECRET,
	  .help = "without a portal: Firezone's rules with a fixed secret, for tests" },
	{ "wide-channels", 0, NULL, OPT_FLAG, F(is_wide), .help = "accept channel numbers up to 0x7FFF, for clients of RFC 5766" },
	{ "many-per-user", 0, NULL, OPT_FLAG, F(has_many_per_user),
	  .help = "a username may have several allocations, also under Firezone's rules" },
	{ "print-credentials", 0, NULL, OPT_DURATION, F(print_credentials), .meta = "TTL",
	  .help = "print username, password and realm valid so long, as JSON, and exit; needs a fixed secret" },

	{ "otlp-grpc-endpoint", 0, "OTLP_GRPC_ENDPOINT", OPT_STR, 0, .flags = OPT_HIDDEN | OPT_IGNORED,
	  .help = "metrics are not pushed; let the collector scrape /metrics of the control endpoint" },
	{ "ebpf-offloading", 0, "EBPF_OFFLOADING", OPT_STR, 0, .flags = OPT_HIDDEN | OPT_IGNORED,
	  .help = "this relay works in user space only" },
	{ "ebpf-attach-mode", 0, "EBPF_ATTACH_MODE", OPT_STR, 0, .flags = OPT_HIDDEN | OPT_IGNORED },
	{ "ebpf-int4-addr", 0, "EBPF_INT4_ADDR", OPT_IP4, 0, .flags = OPT_HIDDEN | OPT_IGNORED },
	{ "ebpf-int6-addr", 0, "EBPF_INT6_ADDR", OPT_IP6, 0, .flags = OPT_HIDDEN | OPT_IGNORED },
	{ "num-worker-threads", 0, "NUM_WORKER_THREADS", OPT_UINT, 0, .flags = OPT_HIDDEN | OPT_IGNORED,
	  .help = "one thread does all the work" },
	{ "telemetry", 0, "TELEMETRY", OPT_FLAG, 0, .flags = OPT_HIDDEN | OPT_IGNORED },

	{ "token", 0, "FIREZONE_TOKEN", OPT_STR, F(token_text), .flags = OPT_POSITIONAL | OPT_SECRET | OPT_EMPTY_UNSET,
	  .help = "relay token of the portal, or a file that holds it" },
	{ "name", 0, "FIREZONE_NAME", OPT_STR, F(name), .flags = OPT_POSITIONAL | OPT_EMPTY_UNSET,
	  .help = "name to show in the portal" },
};

static const struct opt_spec spec = {
	.program = "emberbox relay",
	.version = "emberbox-relay " EMBERBOX_VERSION,
	.summary = "STUN and TURN server over UDP: helps peers find their addresses and relays for those that cannot meet.",
	.defs = defs,
	.n_defs = ARRAY_LEN(defs),
	.examples = "  emberbox relay --public-ip4-addr 203.0.113.5 --api-url wss://api.example.org .SFMyNTY...\n"
		    "      a relay of a Firezone or emberbox portal\n"
		    "  FIREZONE_TOKEN=/etc/relay-token PUBLIC_IP4_ADDR=203.0.113.5 FIREZONE_API_URL=wss://api.example.org emberbox relay\n"
		    "      the same from the environment\n"
		    "  emberbox relay --public-ip4-addr 203.0.113.5 --realm example.org --user alice:wonderland\n"
		    "      a TURN server for any client, without a portal\n"
		    "  emberbox relay --public-ip4-addr 203.0.113.5 --realm example.org --static-auth-secret north\n"
		    "      the same with coturn's time-limited credentials\n"
		    "  emberbox relay --static-auth-secret north --realm example.org --print-credentials 12h\n"
		    "      credentials for it, as JSON\n",
};

static void __attribute__((noreturn)) fail(int code, const char *text)
{
	fprintf(stderr, "emberbox relay: %s\nTry \"emberbox relay --help\".\n", text);
	exit(code);
}

/* "NAME:PASSWORD"; the name ends at the last colon, for names like "expiry:salt" have one themselves. */
static void read_users(struct settings *s)
{
	for (size_t i = 0; i < s->user_texts.n; i++) {
		char *copy = strdup(s->user_texts.item[i]);
		char *colon = copy ? strrchr(copy, ':') : NULL;
		if (!colon || colon == copy || colon[1] == '\0')
			fail(2, "--user: expected NAME:PASSWORD");
		*colon = '\0';
		s->user_copies[i] = copy;
		s->users[i] = (struct turn_user){ copy, colon + 1 };
	}
}

/* A text that names a file stands for what is in it (spec 50 §7.1). */
static void read_token(struct settings *s)
{
	char why[TOKEN_WHY_BYTES];
	bool is_file = access(s->token_text, F_OK) == 0;
	int rc = is_file ? token_from_file(&s->token, s->token_text, false, why) : token_from_text(&s->token, s->token_text, why);

	if (rc != 0)
		fail(is_file ? 1 : 2, why);
}

static void choose_mode(struct settings *s)
{
	bool is_standalone = s->user_texts.n > 0 || s->static_auth_secret;

	if (is_standalone && s->stamp_secret)
		fail(2, "--stamp-secret excludes --user and --static-auth-secret");
	if ((is_standalone || s->stamp_secret) && s->api_url)
		fail(2, "--api-url excludes --user, --static-auth-secret and --stamp-secret: a relay serves a portal or stands alone");
	s->mode = is_standalone ? RELAY_STANDALONE : s->stamp_secret ? RELAY_FIREZONE : RELAY_PORTAL;
}

void settings_read(struct settings *s, int argc, char **argv)
{
	bool given[ARRAY_LEN(defs)] = { false };

	*s = (struct settings){ 0 };
	options_or_exit(&spec, argc, argv, s, given);
	for (size_t i = 0; i < ARRAY_LEN(defs); i++) {
		if (strcmp(defs[i].name, "rng-seed") == 0)
			s->has_seed = given[i];
	}
	read_users(s);
	choose_mode(s);
	if (s->print_credentials > 0) {
		if (!s->static_auth_secret && !s->stamp_secret)
			fail(2, "--print-credentials needs --static-auth-secret or --stamp-secret");
		return;
	}
	if (s->lowest_port > s->highest_port)
		fail(2, "--lowest-port is above --highest-port");
	if (s->listen_port >= s->lowest_port && s->listen_port <= s->highest_port)
		fail(2, "--listen-port lies between --lowest-port and --highest-port");
	if (s->mode == RELAY_PORTAL && !s->api_url)
		fail(2, "which portal? Give --api-url URL (FIREZONE_API_URL), or stand alone with --user or --static-auth-secret");
	if (s->mode == RELAY_PORTAL && !s->token_text)
		fail(2, "the relay token is missing: give it as the first argument or in FIREZONE_TOKEN");
	if (s->mode == RELAY_PORTAL)
		read_token(s);
	if (s->public4.family == 0 && s->public6.family == 0)
		fail(1, "no public address: give --public-ip4-addr, --public-ip6-addr or both");
}
