#include "applets/gateway/settings.h"

#include "applets/version.h"

#include "core/base/err.h"
#include "platform/sys.h"
#include "platform/tun.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define F(field) offsetof(struct gateway_settings, field)

static const char *const log_formats[] = { "human", "json", NULL };
static const char *const metrics[] = { "stdout", "otel-collector", NULL };

static const struct opt_def defs[] = {
	{ "token", 0, "FIREZONE_TOKEN", OPT_STR, F(token_text), .meta = "TOKEN", .flags = OPT_POSITIONAL | OPT_SECRET | OPT_EMPTY_UNSET,
	  .help = "token of the site; default: the systemd credential FIREZONE_TOKEN" },
	{ "api-url", 'u', "FIREZONE_API_URL", OPT_URL, F(api_url), .dflt = "wss://api.firezone.dev",
	  .help = "the portal's API: ws:// or wss:// and a host" },
	{ "ca", 0, "EMBERBOX_CA", OPT_STR, F(ca_file), .meta = "FILE", .flags = OPT_EMPTY_UNSET,
	  .help = "trust these certificates (PEM) instead of the system's" },
	{ "firezone-name", 'n', "FIREZONE_NAME", OPT_STR, F(name), .meta = "NAME", .flags = OPT_EMPTY_UNSET,
	  .help = "how administrators see this gateway; default: the host's name" },
	{ "firezone-id", 'i', "FIREZONE_ID", OPT_STR, F(id), .meta = "ID", .flags = OPT_EMPTY_UNSET,
	  .help = "identity of this gateway; default: stored or derived from the machine" },
	{ "egress", 0, "EMBERBOX_EGRESS", OPT_LIST, F(egress), .meta = "PREFIX",
	  .help = "masquerade only on interfaces whose name begins so (repeatable); default: all but tunnel and loopback" },
	{ "no-firewall", 0, "EMBERBOX_NO_FIREWALL", OPT_FLAG, F(keeps_firewall),
	  .help = "leave forwarding and masquerading to you; without it they are set up and taken back at exit" },
	{ "max-partition-time", 'm', "FIREZONE_MAX_PARTITION_TIME", OPT_DURATION, F(max_partition_ns), .dflt = "24h",
	  .help = "give up when the portal was out of reach for so long" },
	{ "log-format", 0, "FIREZONE_LOG_FORMAT", OPT_CHOICE, F(log_format), .dflt = "human", .choices = log_formats,
	  .help = "log lines for people or for programs" },
	{ "flow-logs", 0, "FIREZONE_FLOW_LOGS", OPT_FLAG, F(has_flow_logs),
	  .help = "log one line per finished TCP and UDP flow: who, what, when, how much" },
	{ "tun-name", 0, "EMBERBOX_TUN_NAME", OPT_STR, F(tun_name), .dflt = TUN_NAME, .meta = "NAME", .help = "name of the network interface" },
	{ "no-check", 0, NULL, OPT_FLAG, F(skips_check), .help = "start even without CAP_NET_ADMIN" },
	{ "no-inc-buf", 0, "FIREZONE_NO_INC_BUF", OPT_FLAG, F(keeps_buffers), .help = "leave the system's limits of socket buffers alone" },
	{ "validate-checksums", 0, "FIREZONE_VALIDATE_CHECKSUMS", OPT_FLAG, F(validates_checksums), .flags = OPT_HIDDEN,
	  .help = "warn of packets with wrong checksums" },
	{ "health-check-addr", 0, "HEALTH_CHECK_ADDR", OPT_ENDPOINT, F(health), .dflt = "0.0.0.0:8080", .flags = OPT_HIDDEN,
	  .help = "where /healthz and /readyz answer" },
	{ "no-telemetry", 0, "FIREZONE_NO_TELEMETRY", OPT_FLAG, .flags = OPT_IGNORED,
	  .help = "accepted for compatibility: nothing is ever sent to anybody but portal, relays and clients" },
	{ "metrics", 0, "FIREZONE_METRICS", OPT_CHOICE, .choices = metrics, .flags = OPT_IGNORED | OPT_HIDDEN,
	  .help = "metrics are not pushed" },
	{ "otlp-grpc-endpoint", 0, "OTLP_GRPC_ENDPOINT", OPT_STR, .flags = OPT_IGNORED | OPT_HIDDEN,
	  .help = "metrics are not pushed" },
};

static const struct opt_spec spec = {
	.program = "emberbox gateway",
	.version = "firezone-gateway 1.5.2 (emberbox " EMBERBOX_VERSION ")",
	.summary = "Lets authorized clients reach the resources behind this machine.",
	.defs = defs,
	.n_defs = ARRAY_LEN(defs),
	.examples = "  FIREZONE_TOKEN=... emberbox gateway --api-url wss://portal.example.org/\n"
		    "      serve the site that the token belongs to\n"
		    "  emberbox gateway --no-firewall --no-check\n"
		    "      inside the packaged systemd unit, whose helper sets up forwarding\n",
};

static int credential_token(struct token *t)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	char path[PATH_MAX], why[TOKEN_WHY_BYTES];

	if (!dir || !*dir) {
		fprintf(stderr,
			"%s: no token: give it as FIREZONE_TOKEN in the environment, as the first argument, or as the systemd credential "
			"FIREZONE_TOKEN\n",
			spec.program);
		return 1;
	}
	snprintf(path, sizeof(path), "%s/FIREZONE_TOKEN", dir);
	if (token_from_file(t, path, false, why)) {
		fprintf(stderr, "%s: %s\n", spec.program, why);
		return 1;
	}
	return -1;
}

int gateway_settings_read(struct gateway_settings *cfg, int argc, char **argv)
{
	char why[TOKEN_WHY_BYTES];

	memset(cfg, 0, sizeof(*cfg));
	options_or_exit(&spec, argc, argv, cfg, NULL);
	if (!cfg->skips_check && !sys_has_net_admin()) {
		fprintf(stderr,
			"%s: needs root or the capability CAP_NET_ADMIN to create its network interface; run it with sudo, or give "
			"--no-check to try without\n",
			spec.program);
		return 1;
	}
	if (!cfg->token_text)
		return credential_token(&cfg->token);
	if (token_from_text(&cfg->token, cfg->token_text, why) == 0)
		return -1;
	fprintf(stderr, "%s: FIREZONE_TOKEN: %s\n", spec.program, why);
	return 1;
}
