#include "applets/applet.h"
#include "applets/common/logging.h"
#include "applets/portal/admin/verbs.h"
#include "applets/portal/cli.h"
#include "applets/portal/mail/config.h"
#include "applets/portal/serve.h"
#include "applets/portal/state.h"
#include "applets/version.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PROGRAM "emberbox portal"
#define VERSION_LINE "emberbox " EMBERBOX_VERSION

struct top_options {
	const char *dir;
};

#define DIR_OPTION(type) \
	{ "dir", 0, STATE_DIR_ENV, OPT_STR, offsetof(struct type, dir), .dflt = STATE_DIR_DEFAULT, .meta = "DIR", .help = "state directory" }

static const struct opt_def top_defs[] = { DIR_OPTION(top_options) };

/* ---- init ---------------------------------------------------------------------------------------------------------------------- */

static int run_init(const char *dir, int argc, char **argv)
{
	struct top_options o = { .dir = dir };
	struct opt_def defs[] = { DIR_OPTION(top_options) };
	const struct opt_spec spec = {
		.program = PROGRAM " init",
		.version = VERSION_LINE,
		.summary = "Makes the state directory with fresh secrets and an empty database.",
		.defs = defs,
		.n_defs = ARRAY_LEN(defs),
		.examples = "  emberbox portal init\n"
			    "  emberbox portal init --dir /srv/portal\n"
			    "      then: emberbox portal account add --name Acme --admin-email jo@acme.example\n",
	};
	char why[STATE_WHY_MAX];

	defs[0].dflt = dir;
	options_or_exit(&spec, argc, argv, &o, NULL);
	if (state_init(o.dir, why)) {
		fprintf(stderr, PROGRAM ": %s\n", why);
		return 1;
	}
	printf("portal made in %s\nnext: emberbox portal account add --name NAME --admin-email ADDRESS\n", o.dir);
	return 0;
}

/* ---- serve --------------------------------------------------------------------------------------------------------------------- */

struct serve_options {
	const char *dir, *tls_cert, *tls_key, *draining_file, *api_url;
	struct opt_list listen, proxies;
	u64 capacity, refill;
	int log_format;
	const char *mail, *mail_from, *mail_password, *mail_password_file, *mail_ca;
};

#define S(f) offsetof(struct serve_options, f)

static const char *const log_formats[] = { "human", "json", NULL };

static int bad_value(const char *option, const char *value, const char *expected)
{
	fprintf(stderr, PROGRAM " serve: --%s: '%s' is not %s\n", option, value, expected);
	return 2;
}

static int read_addresses(const struct serve_options *o, struct serve_config *cfg)
{
	static const char *const defaults[] = { "0.0.0.0:13001", "[::]:13001" };
	const char *const *list = o->listen.n ? o->listen.item : defaults;
	size_t n = o->listen.n ? o->listen.n : ARRAY_LEN(defaults);

	cfg->may_lack_family = o->listen.n == 0;
	for (size_t i = 0; i < n; i++) {
		if (i == SERVE_LISTENERS_MAX)
			return bad_value("listen", list[i], "possible: too many addresses");
		if (endpoint_parse(SPAN(list[i], strlen(list[i])), &cfg->listen[cfg->n_listen++]))
			return bad_value("listen", list[i], "an address with port, such as 0.0.0.0:13001 or [::]:13001");
	}
	for (size_t i = 0; i < o->proxies.n; i++) {
		const char *text = o->proxies.item[i];
		if (i == SERVE_PROXIES_MAX || cidr_parse(SPAN(text, strlen(text)), &cfg->proxies[cfg->n_proxies++]))
			return bad_value("trusted-proxy", text, "a network, such as 10.0.0.0/8");
	}
	return 0;
}

/* A password that came on the command line is taken out of it, where lists of processes would show it. */
static int read_mail(const struct serve_options *o, struct mail_config *cfg)
{
	const struct mail_options mail = { o->mail, o->mail_from, o->api_url, o->mail_password, o->mail_password_file, o->mail_ca };
	char why[MAIL_WHY_MAX];
	int rc = mail_config_read(cfg, &mail, why);

	if (rc)
		fprintf(stderr, PROGRAM " serve: --mail: %s\n", why);
	if (o->mail && strchr(o->mail, '@'))
		memset((char *)(uintptr_t)o->mail, 'x', strlen(o->mail));
	return rc;
}

static int run_serve(const char *dir, int argc, char **argv)
{
	struct serve_options o = { .dir = dir };
	struct opt_def defs[] = {
		DIR_OPTION(serve_options),
		{ "listen", 0, "EMBERBOX_PORTAL_LISTEN", OPT_LIST, S(listen), .meta = "ADDR:PORT",
		  .help = "where to take connections; repeatable; port 13001 on all addresses when not given" },
		{ "tls-cert", 0, "EMBERBOX_PORTAL_TLS_CERT", OPT_STR, S(tls_cert), .meta = "FILE", .help = "certificate chain, PEM, leaf first" },
		{ "tls-key", 0, "EMBERBOX_PORTAL_TLS_KEY", OPT_STR, S(tls_key), .meta = "FILE", .help = "its private key, PEM" },
		{ "trusted-proxy", 0, "EMBERBOX_PORTAL_TRUSTED_PROXIES", OPT_LIST, S(proxies), .meta = "CIDR",
		  .help = "reverse proxies whose X-Forwarded-For and location headers are believed; repeatable" },
		{ "api-url", 0, "API_EXTERNAL_URL", OPT_URL, S(api_url), .meta = "URL", .help = "how peers reach this portal" },
		{ "socket-capacity", 0, "API_SOCKET_CAPACITY", OPT_UINT, S(capacity), .dflt = "1", .min = 1, .max = 1000000,
		  .help = "connects at once per address and token" },
		{ "socket-refill-rate", 0, "API_SOCKET_REFILL_RATE", OPT_UINT, S(refill), .dflt = "1", .min = 1, .max = 1000000,
		  .help = "and per second" },
		{ "draining-file", 0, "DRAINING_FILE_PATH", OPT_STR, S(draining_file), .dflt = "/var/run/firezone/draining", .meta = "FILE",
		  .help = "while it exists /readyz answers 503" },
		{ "log-format", 0, "LOG_FORMAT", OPT_CHOICE, S(log_format), .dflt = "human", .choices = log_formats, .help = "human or json" },
		{ "mail", 0, "EMBERBOX_PORTAL_MAIL", OPT_STR, S(mail), .meta = "TRANSPORT", .flags = OPT_SECRET,
		  .help = "how mail leaves: smtp://user:password@host:587 (STARTTLS), smtps://…, sendmail[:PATH] or none" },
		{ "mail-from", 0, "OUTBOUND_EMAIL_FROM", OPT_STR, S(mail_from), .meta = "ADDRESS",
		  .help = "who it is from; firezone@ and the portal's host when not given" },
		{ "mail-password-file", 0, "EMBERBOX_PORTAL_MAIL_PASSWORD_FILE", OPT_STR, S(mail_password_file), .meta = "FILE",
		  .help = "the SMTP password, so that no list of processes shows it; or in EMBERBOX_PORTAL_MAIL_PASSWORD" },
		{ "mail-password", 0, "EMBERBOX_PORTAL_MAIL_PASSWORD", OPT_STR, S(mail_password), .flags = OPT_ENV_ONLY | OPT_SECRET },
		{ "mail-ca", 0, "EMBERBOX_PORTAL_MAIL_CA", OPT_STR, S(mail_ca), .meta = "FILE", .flags = OPT_EMPTY_UNSET,
		  .help = "trust these certificates (PEM) of the mail server instead of the system's" },
	};
	const struct opt_spec spec = {
		.program = PROGRAM " serve",
		.version = VERSION_LINE,
		.summary = "Serves clients, gateways and relays, until SIGTERM.",
		.defs = defs,
		.n_defs = ARRAY_LEN(defs),
		.examples = "  emberbox portal serve --listen 0.0.0.0:443 --tls-cert chain.pem --tls-key key.pem\n"
			    "  emberbox portal serve --listen 127.0.0.1:13001 --trusted-proxy 127.0.0.1/32\n"
			    "      behind a reverse proxy that speaks TLS\n",
	};
	struct serve_config cfg = { .n_listen = 0 };
	struct mail_config mail;
	int status;

	defs[0].dflt = dir;
	options_or_exit(&spec, argc, argv, &o, NULL);
	status = read_addresses(&o, &cfg);
	if (status)
		return status;
	if (!o.tls_cert != !o.tls_key) {
		fprintf(stderr, PROGRAM " serve: --tls-cert and --tls-key belong together\n");
		return 2;
	}
	cfg.dir = o.dir;
	cfg.tls_cert = o.tls_cert;
	cfg.tls_key = o.tls_key;
	cfg.draining_file = o.draining_file;
	cfg.api_url = o.api_url;
	cfg.rate_capacity = (u32)o.capacity;
	cfg.rate_refill = (u32)o.refill;
	if (read_mail(&o, &mail))
		return 2;
	cfg.mail = &mail;
	status = logging_setup(&(struct logging){ .program = "emberbox-portal", .format = o.log_format ? LOG_JSON : LOG_HUMAN });
	return status ? status : serve(&cfg);
}

/* ---- all ------------------------------------------------------------------------------------------------------------------------ */

#define COMMANDS_MAX 24

int portal_main(int argc, char **argv)
{
	struct opt_command commands[COMMANDS_MAX] = { { "init", "make the state directory" }, { "serve", "run the portal" } };
	const struct opt_spec spec = {
		.program = PROGRAM,
		.version = VERSION_LINE,
		.summary = "The control plane: accounts, policies, and the sockets of clients, gateways and relays.",
		.defs = top_defs,
		.n_defs = ARRAY_LEN(top_defs),
		.commands = commands,
		.examples = "  emberbox portal init\n"
			    "  emberbox portal account add --name Acme --admin-email jo@acme.example\n"
			    "  emberbox portal serve --listen 0.0.0.0:443 --tls-cert chain.pem --tls-key key.pem &\n"
			    "  emberbox portal site add --name Berlin\n"
			    "  emberbox portal token add --site Berlin                  for a gateway\n"
			    "  emberbox portal resource add --site Berlin --address 10.9.0.0/24 --name lab\n"
			    "  emberbox portal policy add --group Everyone --resource lab\n"
			    "  emberbox portal token add --actor jo@acme.example       for a client\n",
	};
	struct top_options o = { .dir = NULL };
	const struct noun *noun;

	for (u32 i = 0; i < n_nouns && i + 3 < COMMANDS_MAX; i++)
		commands[i + 2] = (struct opt_command){ nouns[i].name, nouns[i].help };
	int rest = options_or_exit(&spec, argc, argv, &o, NULL);
	if (rest >= argc) {
		fprintf(stderr, PROGRAM ": which command? (" PROGRAM " --help lists them)\n");
		return 2;
	}
	if (strcmp(argv[rest], "init") == 0)
		return run_init(o.dir, argc - rest, argv + rest);
	if (strcmp(argv[rest], "serve") == 0)
		return run_serve(o.dir, argc - rest, argv + rest);
	noun = find_noun(argv[rest]);
	if (!noun) {
		fprintf(stderr, PROGRAM ": there is no command '%s' (" PROGRAM " --help lists them)\n", argv[rest]);
		return 2;
	}
	return cli_run(noun, o.dir, argc - rest, argv + rest);
}
