#include "applets/client/settings.h"

#include "applets/client/sign_in.h"

#include "applets/common/options.h"
#include "applets/version.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "platform/dns_control.h"
#include "platform/tun.h"

#include <stdio.h>
#include <string.h>

#define F(field) offsetof(struct client_settings, field)

static const char *const dns_methods[] = { "disabled", "etc-resolv-conf", "systemd-resolved", "dnsmasq", NULL }; /* enum dns_control_method */
static const char *const log_formats[] = { "human", "json", NULL };
static const char *const metrics[] = { "stdout", "otel-collector", NULL };

static const struct opt_def defs[] = {
	{ "api-url", 'u', "FIREZONE_API_URL", OPT_URL, F(api_url), .dflt = "wss://api.firezone.dev/",
	  .help = "the portal's API: ws:// or wss:// and a host" },
	{ "ca", 0, "EMBERBOX_CA", OPT_STR, F(ca_file), .meta = "FILE", .flags = OPT_EMPTY_UNSET,
	  .help = "trust these certificates (PEM) instead of the system's" },
	{ "token-path", 0, "FIREZONE_TOKEN_PATH", OPT_STR, F(token_path), .dflt = CLIENT_TOKEN_PATH, .meta = "FILE",
	  .help = "file with the token, owned by root, mode 0600; the variable FIREZONE_TOKEN comes first" },
	{ "firezone-name", 0, "FIREZONE_NAME", OPT_STR, F(name), .meta = "NAME", .flags = OPT_EMPTY_UNSET,
	  .help = "how administrators see this device; default: the host's name" },
	{ "firezone-id", 'i', "FIREZONE_ID", OPT_STR, F(id), .meta = "ID",
	  .help = "identity of this device; default: stored or derived from the machine" },
	{ "activate-internet-resource", 0, "FIREZONE_ACTIVATE_INTERNET_RESOURCE", OPT_FLAG, F(wants_internet),
	  .help = "send all other traffic through the Internet Resource when there is one" },
	{ "dns-control", 0, "FIREZONE_DNS_CONTROL", OPT_CHOICE, F(dns_control), .choices = dns_methods,
	  .help = "how programs of this machine come to ask the client for names; default: systemd-resolved, on OpenWrt dnsmasq" },
	{ "dnsmasq-dir", 0, "EMBERBOX_DNSMASQ_DIR", OPT_STR, F(dnsmasq_dir), .meta = "DIR", .flags = OPT_EMPTY_UNSET,
	  .help = "where dnsmasq looks for drop-in files (its conf-dir); default: found" },
	{ "dnsmasq-restart", 0, "EMBERBOX_DNSMASQ_RESTART", OPT_STR, F(dnsmasq_restart), .meta = "COMMAND", .flags = OPT_EMPTY_UNSET,
	  .help = "program and arguments that restart dnsmasq; default: by the service manager" },
	{ "max-partition-time", 'm', "MAX_PARTITION_TIME", OPT_DURATION, F(max_partition_ns),
	  .help = "give up when the portal was out of reach for so long, e.g. 5m, 1h, 30d; default: never" },
	{ "log-dir", 'l', "LOG_DIR", OPT_STR, F(log_dir), .meta = "DIR", .flags = OPT_EMPTY_UNSET, .help = "also log to a file in this directory" },
	{ "log-format", 0, "FIREZONE_LOG_FORMAT", OPT_CHOICE, F(log_format), .dflt = "human", .choices = log_formats,
	  .help = "log lines for people or for programs" },
	{ "tun-name", 0, "EMBERBOX_TUN_NAME", OPT_STR, F(tun_name), .dflt = TUN_NAME, .meta = "NAME", .help = "name of the network interface" },
	{ "check", 0, NULL, OPT_FLAG, F(is_check), .help = "check configuration and token, then exit" },
	{ "exit", 0, NULL, OPT_FLAG, F(is_exit), .help = "exit after the tunnel was set up once" },
	{ "inc-buf", 0, "FIREZONE_INC_BUF", OPT_FLAG, F(wants_bigger_buffers), .flags = OPT_HIDDEN,
	  .help = "raise the system's limits of socket buffers" },
	{ "no-telemetry", 0, "FIREZONE_NO_TELEMETRY", OPT_FLAG, .flags = OPT_IGNORED,
	  .help = "accepted for compatibility: nothing is ever sent to anybody but portal, relays and gateways" },
	{ "metrics", 0, "FIREZONE_METRICS", OPT_CHOICE, .choices = metrics, .flags = OPT_IGNORED | OPT_HIDDEN,
	  .help = "metrics are not pushed" },
	{ "otlp-grpc-endpoint", 0, "OTLP_GRPC_ENDPOINT", OPT_STR, .flags = OPT_IGNORED | OPT_HIDDEN,
	  .help = "metrics are not pushed" },
};

static const struct opt_command commands[] = {
	{ "sign-in", "get a token by way of a browser, and keep it" },
	{ "sign-out", "remove the token that sign-in kept" },
	{ "standalone", NULL },
	{ NULL, NULL },
};

static const struct opt_spec spec = {
	.program = "emberbox client",
	.version = "firezone-headless-client 1.5.8 (emberbox " EMBERBOX_VERSION ")",
	.summary = "Connects this machine to the resources that its owner may use, through WireGuard tunnels to gateways.",
	.defs = defs,
	.n_defs = ARRAY_LEN(defs),
	.commands = commands,
	.examples = "  emberbox client sign-in --auth-base-url https://portal.example.org\n"
		    "      get a token by way of a browser\n"
		    "  FIREZONE_TOKEN=... emberbox client --api-url wss://portal.example.org/\n"
		    "      connect with a token from the environment\n"
		    "  emberbox client --token-path /etc/ember.token --api-url wss://portal.example.org/\n"
		    "      connect with a token from a file (chown root:root, chmod 600)\n"
		    "  emberbox client --check\n"
		    "      find out whether configuration and token file are in order\n",
};

static int read_token(struct client_settings *cfg)
{
	char env_why[TOKEN_WHY_BYTES], file_why[TOKEN_WHY_BYTES];
	int rc = token_from_env(&cfg->token, "FIREZONE_TOKEN", env_why);

	if (rc == 0)
		return -1;
	if (rc != ERR_NOT_FOUND) {
		fprintf(stderr, "%s: FIREZONE_TOKEN: %s\n", spec.program, env_why);
		return 1;
	}
	rc = token_from_file(&cfg->token, cfg->token_path, true, file_why);
	if (rc == 0)
		return -1;
	if (rc == ERR_NOT_FOUND)
		fprintf(stderr, "%s: no token: %s, and %s. Get one with \"emberbox client sign-in\", or set FIREZONE_TOKEN\n",
			spec.program, env_why, file_why);
	else
		fprintf(stderr, "%s: %s\n", spec.program, file_why);
	return 1;
}

int client_settings_read(struct client_settings *cfg, int argc, char **argv)
{
	memset(cfg, 0, sizeof(*cfg));
	cfg->dns_control = (int)dns_control_default();
	int rest = options_or_exit(&spec, argc, argv, cfg, NULL);
	if (rest < argc && strcmp(argv[rest], "sign-in") == 0)
		return client_sign_in(cfg->token_path, argc - rest, argv + rest);
	if (rest < argc && strcmp(argv[rest], "sign-out") == 0)
		return client_sign_out(cfg->token_path, argc - rest, argv + rest);
	if (rest < argc && strcmp(argv[rest], "standalone") == 0)
		rest++;
	if (rest < argc) {
		fprintf(stderr, "%s: \"%s\" is not a command; see --help\n", spec.program, argv[rest]);
		return 2;
	}
	return read_token(cfg);
}
