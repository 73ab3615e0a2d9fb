#include "applets/applet.h"
#include "applets/common/ca.h"
#include "applets/common/logging.h"
#include "applets/portal/admin/verbs.h"
#include "applets/portal/cli.h"
#include "applets/portal/idp.h"
#include "applets/portal/mail/config.h"
#include "applets/portal/serve.h"
#include "applets/portal/state.h"
#include "applets/portal/transfer/transfer.h"
#include "applets/version.h"
#include "core/http/tls.h"
#include "core/http/url.h"

#include <errno.h>
#include <sodium.h>
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

static int read_url(const char *verb, const char *option, const char *text, char out[static URL_MAX + 2]);

#define INIT_URL "http://127.0.0.1:13001/"

struct init_options {
	const char *dir, *web_url;
};

/* What `serve` must be told as well, so that the link leads there. */
static int print_first_link(const char *dir, bool is_usual_dir, const char *base)
{
	struct admin_request rq = { .noun = "link", .verb = "add", .field = { { "purpose", "setup" } }, .n_fields = 1 };
	char *link;

	if (cli_ask(dir, &rq, "url", &link))
		return 1;
	bool is_usual_url = strcmp(base, INIT_URL) == 0;
	const char *option = is_usual_dir ? "" : " --dir ", *where = is_usual_dir ? "" : dir;
	printf("next: emberbox portal serve%s%s%s%s\n"
	       "then open this link; it works once, for a day: %s%s\n"
	       "or, without it: emberbox portal account add%s%s --name NAME --admin-email ADDRESS\n",
	       option, where, is_usual_url ? "" : " --web-url ", is_usual_url ? "" : base, base, link[0] == '/' ? link + 1 : link, option, where);
	sodium_memzero(link, strlen(link));
	free(link);
	return 0;
}

static int run_init(const char *dir, int argc, char **argv)
{
	struct init_options o = { .dir = dir };
	struct opt_def defs[] = {
		DIR_OPTION(init_options),
		{ "web-url", 0, "WEB_EXTERNAL_URL", OPT_STR, offsetof(struct init_options, web_url), .dflt = INIT_URL, .meta = "URL",
		  .help = "what browsers will open; for the link that is printed" },
	};
	char url[URL_MAX + 2];
	const struct opt_spec spec = {
		.program = PROGRAM " init",
		.version = VERSION_LINE,
		.summary = "Makes the state directory with fresh secrets and an empty database.",
		.defs = defs,
		.n_defs = ARRAY_LEN(defs),
		.examples = "  emberbox portal init\n"
			    "  emberbox portal init --dir /srv/portal\n"
			    "  emberbox portal init --web-url https://portal.example/\n",
	};
	char why[STATE_WHY_MAX], db[STATE_PATH_MAX];

	defs[0].dflt = dir;
	options_or_exit(&spec, argc, argv, &o, NULL);
	if (read_url("init", "web-url", o.web_url, url))
		return 2;
	bool had_db = state_path(o.dir, "portal.db", db) && access(db, F_OK) == 0;
	if (state_init(o.dir, why)) {
		fprintf(stderr, PROGRAM ": %s\n", why);
		return 1;
	}
	printf("portal made in %s\n", o.dir);
	if (had_db) {
		printf("with the portal.db that was there, and new secrets: tokens, sessions and links of before are void, issue them anew\n"
		       "to sign in again: emberbox portal link add --dir %s --actor ADDRESS --purpose recovery\n", o.dir);
		return 0;
	}
	return print_first_link(o.dir, strcmp(o.dir, STATE_DIR_DEFAULT) == 0, url);
}

/* ---- serve --------------------------------------------------------------------------------------------------------------------- */

struct serve_options {
	const char *dir, *tls_cert, *tls_key, *draining_file, *web_url, *api_url;
	struct opt_list listen, proxies, private_clients;
	u64 capacity, refill, web_capacity, web_refill, api_capacity, api_refill, conns_per_address;
	bool secure_cookies, allows_sign_up;
	struct opt_list sign_up_domains;
	int log_format, metrics;
	struct idp_config idp;
	const char *mail, *mail_from, *mail_password, *mail_password_file, *mail_ca, *mail_second, *mail_second_password, *mail_second_password_file;
	const char *geo_db;
};

#define REQUEST_COST 10u /* spec 60 §6.1 */

#define S(f) offsetof(struct serve_options, f)

static const char *const log_formats[] = { "human", "json", NULL };
static const char *const metrics_choices[] = { "local", "all", "off", NULL }; /* enum metrics_access */

static int bad_value(const char *verb, const char *option, const char *value, const char *expected)
{
	fprintf(stderr, PROGRAM " %s: --%s: '%s' is not %s\n", verb, option, value, expected);
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
			return bad_value("serve", "listen", list[i], "possible: too many addresses");
		if (endpoint_parse(SPAN(list[i], strlen(list[i])), &cfg->listen[cfg->n_listen++]))
			return bad_value("serve", "listen", list[i], "an address with port, such as 0.0.0.0:13001 or [::]:13001");
	}
	return 0;
}

static int read_networks(const char *option, const struct opt_list *list, struct cidr out[static SERVE_PROXIES_MAX], u32 *n)
{
	for (size_t i = 0; i < list->n; i++) {
		const char *text = list->item[i];
		if (i == SERVE_PROXIES_MAX || cidr_parse(SPAN(text, strlen(text)), &out[(*n)++]))
			return bad_value("serve", option, text, "a network, such as 10.0.0.0/8");
	}
	return 0;
}

/* A password that came on the command line is taken out of it, where lists of processes would show it. */
static int read_mail(const char *option, const struct mail_options *mail, struct mail_config *cfg)
{
	char why[MAIL_WHY_MAX];
	int rc = mail_config_read(cfg, mail, why);

	if (rc)
		fprintf(stderr, PROGRAM " serve: --%s: %s\n", option, why);
	if (mail->transport && strchr(mail->transport, '@'))
		memset((char *)(uintptr_t)mail->transport, 'x', strlen(mail->transport));
	return rc;
}

static int read_mails(const struct serve_options *o, const char *web_url, struct mail_config *first, struct mail_config *second)
{
	const struct mail_options one = { o->mail, o->mail_from, web_url, o->mail_password, o->mail_password_file, o->mail_ca };
	const struct mail_options two = { o->mail_second, o->mail_from, web_url, o->mail_second_password, o->mail_second_password_file, o->mail_ca };

	if (read_mail("mail", &one, first) || read_mail("mail-second", &two, second))
		return 2;
	if (first->way != MAIL_BY_NOTHING ? first->way != MAIL_BY_SENDMAIL || second->way != MAIL_BY_SENDMAIL : second->way == MAIL_BY_NOTHING)
		return 0;
	fprintf(stderr, PROGRAM " serve: --mail-second: %s\n",
		first->way == MAIL_BY_NOTHING ? "there is no first: --mail" : "one of the two can be sendmail, not both");
	return 2;
}

/* Read when it is first needed; that it can be is seen now. */
static int read_ca(const char *file)
{
	struct tls_anchors *anchors;
	char why[256];
	int rc = ca_load(file, &anchors, why, sizeof(why));

	if (rc)
		fprintf(stderr, PROGRAM " serve: --ca: %s\n", why);
	else
		tls_anchors_free(anchors);
	return rc;
}

/* A base URL of http or https; the '/' at its end is added. */
static int read_url(const char *verb, const char *option, const char *text, char out[static URL_MAX + 2])
{
	struct url u;

	if (url_parse(SPAN(text, strlen(text)), &u) || (!url_scheme_is(&u, "https") && !url_scheme_is(&u, "http")) || u.query.n > 0 ||
	    strchr(text, '#'))
		return bad_value(verb, option, text, "the URL that browsers open, such as https://portal.example/");
	snprintf(out, URL_MAX + 2, "%s%s", text, text[strlen(text) - 1] == '/' ? "" : "/");
	return 0;
}

/* Without --web-url: where the first listener is found on this machine. */
static void guess_url(const struct serve_config *cfg, char out[static URL_MAX + 2])
{
	struct endpoint at = cfg->listen[0];
	char text[ENDPOINT_STRLEN];

	if (ip_is_unspecified(&at.ip))
		at.ip = ip4(127, 0, 0, 1);
	snprintf(out, URL_MAX + 2, "http%s://%s/", cfg->tls_cert ? "s" : "", endpoint_format(&at, text));
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
		{ "private-client", 0, "EMBERBOX_PORTAL_PRIVATE_CLIENTS", OPT_LIST, S(private_clients), .meta = "CIDR",
		  .help = "clients inside the networks of trusted proxies; repeatable" },
		{ "web-url", 0, "WEB_EXTERNAL_URL", OPT_URL, S(web_url), .meta = "URL",
		  .help = "how browsers reach this portal; links in mails and sign-in by identity providers need it" },
		{ "api-url", 0, "API_EXTERNAL_URL", OPT_URL, S(api_url), .meta = "URL", .help = "how peers reach this portal" },
		{ "secure-cookies", 0, "PHOENIX_SECURE_COOKIES", OPT_FLAG, S(secure_cookies),
		  .help = "cookies are for https only; when not given: yes if the web URL is https" },
		{ "sign-up", 0, "FEATURE_SIGN_UP_ENABLED", OPT_FLAG, S(allows_sign_up),
		  .help = "anybody may make an account of his own at /sign_up; needs --mail" },
		{ "sign-up-domain", 0, "SIGN_UP_WHITELISTED_DOMAINS", OPT_LIST, S(sign_up_domains), .meta = "DOMAIN",
		  .help = "only with mail addresses of these domains; repeatable" },
		{ "web-capacity", 0, "WEB_CAPACITY", OPT_UINT, S(web_capacity), .dflt = "200", .min = 10, .max = 1000000,
		  .help = "of pages: tokens of one address; a page costs 1, sending a form 10" },
		{ "web-refill-rate", 0, "WEB_REFILL_RATE", OPT_UINT, S(web_refill), .dflt = "10", .max = 1000000,
		  .help = "and tokens per second; 0: no limit" },
		{ "api-capacity", 0, "API_CAPACITY", OPT_UINT, S(api_capacity), .dflt = "200", .min = 10, .max = 1000000,
		  .help = "of the REST API: tokens of one account; a request costs 10" },
		{ "api-refill-rate", 0, "API_REFILL_RATE", OPT_UINT, S(api_refill), .dflt = "10", .max = 1000000,
		  .help = "and tokens per second; 0: no limit" },
		{ "socket-capacity", 0, "API_SOCKET_CAPACITY", OPT_UINT, S(capacity), .dflt = "1", .min = 1, .max = 1000000,
		  .help = "connects at once per address and token" },
		{ "socket-refill-rate", 0, "API_SOCKET_REFILL_RATE", OPT_UINT, S(refill), .dflt = "1", .min = 1, .max = 1000000,
		  .help = "and per second" },
		{ "connections-per-address", 0, "EMBERBOX_PORTAL_CONNECTIONS_PER_ADDRESS", OPT_UINT, S(conns_per_address), .dflt = "1024", .max = 65536,
		  .help = "open at once from one address (IPv6: /64), not counting joined peers; trusted proxies and this machine have no such limit; 0: nobody has" },
		{ "draining-file", 0, "DRAINING_FILE_PATH", OPT_STR, S(draining_file), .dflt = "/var/run/firezone/draining", .meta = "FILE",
		  .help = "while it exists /readyz answers 503" },
		{ "metrics", 0, "EMBERBOX_PORTAL_METRICS", OPT_CHOICE, S(metrics), .dflt = "local", .choices = metrics_choices,
		  .help = "who may read /metrics: local (this machine and private networks, not through a proxy), all or off" },
		{ "log-format", 0, "LOG_FORMAT", OPT_CHOICE, S(log_format), .dflt = "human", .choices = log_formats, .help = "human or json" },
		{ "ca", 0, "EMBERBOX_PORTAL_CA", OPT_STR, S(idp.ca_file), .meta = "FILE", .flags = OPT_EMPTY_UNSET,
		  .help = "trust these certificates (PEM) of identity providers instead of the system's" },
		{ "allow-internal-idps", 0, "EMBERBOX_PORTAL_ALLOW_INTERNAL_IDPS", OPT_FLAG, S(idp.allow_internal),
		  .help = "identity providers may have private and loopback addresses: only where all account admins may reach those anyway" },
		{ "google-oidc-client-id", 0, "GOOGLE_OIDC_CLIENT_ID", OPT_STR, S(idp.google_client_id), .meta = "ID",
		  .help = "this portal's registration with Google, for sign-in; its secret in GOOGLE_OIDC_CLIENT_SECRET" },
		{ "google-oidc-client-secret", 0, "GOOGLE_OIDC_CLIENT_SECRET", OPT_STR, S(idp.google_client_secret),
		  .help = "secret of --google-oidc-client-id", .flags = OPT_ENV_ONLY | OPT_SECRET },
		{ "entra-oidc-client-id", 0, "ENTRA_OIDC_CLIENT_ID", OPT_STR, S(idp.entra_client_id), .meta = "ID",
		  .help = "the same with Microsoft Entra; its secret in ENTRA_OIDC_CLIENT_SECRET" },
		{ "entra-oidc-client-secret", 0, "ENTRA_OIDC_CLIENT_SECRET", OPT_STR, S(idp.entra_client_secret),
		  .help = "secret of --entra-oidc-client-id", .flags = OPT_ENV_ONLY | OPT_SECRET },
		{ "entra-sync-client-id", 0, "ENTRA_SYNC_CLIENT_ID", OPT_STR, S(idp.entra_sync_client_id), .meta = "ID",
		  .help = "and for reading directories; its secret in ENTRA_SYNC_CLIENT_SECRET" },
		{ "entra-sync-client-secret", 0, "ENTRA_SYNC_CLIENT_SECRET", OPT_STR, S(idp.entra_sync_client_secret),
		  .help = "secret of --entra-sync-client-id", .flags = OPT_ENV_ONLY | OPT_SECRET },
		{ "google-service-account-key", 0, "GOOGLE_SERVICE_ACCOUNT_KEY", OPT_STR, S(idp.google_service_account_key),
		  .help = "key of the service account that reads Google directories: the JSON file's text", .flags = OPT_ENV_ONLY | OPT_SECRET },
		{ "entra-url", 0, "ENTRA_URL", OPT_STR, S(idp.entra_url), .meta = "URL", .flags = OPT_EMPTY_UNSET,
		  .help = "where Entra signs in, for national clouds: https://login.microsoftonline.us" },
		{ "graph-url", 0, "GRAPH_URL", OPT_STR, S(idp.graph_url), .meta = "URL", .flags = OPT_EMPTY_UNSET,
		  .help = "and where its directory is read: https://graph.microsoft.us" },
		{ "google-url", 0, "GOOGLE_URL", OPT_STR, S(idp.google_url),
		  .help = "where Google signs in, when not Google itself, as in tests", .flags = OPT_ENV_ONLY },
		{ "google-api-url", 0, "GOOGLE_API_URL", OPT_STR, S(idp.google_api_url),
		  .help = "where its directory is read", .flags = OPT_ENV_ONLY },
		{ "okta-scheme", 0, "OKTA_SCHEME", OPT_STR, S(idp.okta_scheme),
		  .help = "http for a test server in place of Okta", .flags = OPT_ENV_ONLY },
		{ "google-token-url", 0, "GOOGLE_TOKEN_URL", OPT_STR, S(idp.google_token_url),
		  .help = "where its tokens are made", .flags = OPT_ENV_ONLY },
		{ "mail", 0, "EMBERBOX_PORTAL_MAIL", OPT_STR, S(mail), .meta = "TRANSPORT", .flags = OPT_SECRET,
		  .help = "how mail leaves: smtp://user:password@host:587 (STARTTLS), smtps://…, sendmail[:PATH] or none" },
		{ "mail-from", 0, "OUTBOUND_EMAIL_FROM", OPT_STR, S(mail_from), .meta = "ADDRESS",
		  .help = "who it is from; firezone@ and the portal's host when not given" },
		{ "mail-password-file", 0, "EMBERBOX_PORTAL_MAIL_PASSWORD_FILE", OPT_STR, S(mail_password_file), .meta = "FILE",
		  .help = "the SMTP password, so that no list of processes shows it; or in EMBERBOX_PORTAL_MAIL_PASSWORD" },
		{ "mail-password", 0, "EMBERBOX_PORTAL_MAIL_PASSWORD", OPT_STR, S(mail_password),
		  .help = "password of the SMTP server", .flags = OPT_ENV_ONLY | OPT_SECRET },
		{ "mail-ca", 0, "EMBERBOX_PORTAL_MAIL_CA", OPT_STR, S(mail_ca), .meta = "FILE", .flags = OPT_EMPTY_UNSET,
		  .help = "trust these certificates (PEM) of the mail server instead of the system's" },
		{ "mail-second", 0, "EMBERBOX_PORTAL_MAIL_SECOND", OPT_STR, S(mail_second), .meta = "TRANSPORT", .flags = OPT_SECRET,
		  .help = "another transport, written as --mail, for what the first does not take at present" },
		{ "mail-second-password-file", 0, "EMBERBOX_PORTAL_MAIL_SECOND_PASSWORD_FILE", OPT_STR, S(mail_second_password_file),
		  .meta = "FILE", .help = "its SMTP password; or in EMBERBOX_PORTAL_MAIL_SECOND_PASSWORD" },
		{ "mail-second-password", 0, "EMBERBOX_PORTAL_MAIL_SECOND_PASSWORD", OPT_STR, S(mail_second_password),
		  .help = "password of the second one", .flags = OPT_ENV_ONLY | OPT_SECRET },
		{ "geo-db", 0, "MAXMIND_CITY_DB_PATH", OPT_STR, S(geo_db), .meta = "FILE", .flags = OPT_EMPTY_UNSET,
		  .help = "tells countries and places of addresses: GeoLite2-City.mmdb or another in MaxMind's format; SIGHUP opens it anew" },
	};
	const struct opt_spec spec = {
		.program = PROGRAM " serve",
		.version = VERSION_LINE,
		.summary = "Serves pages, the REST API, clients, gateways and relays, until SIGTERM.",
		.defs = defs,
		.n_defs = ARRAY_LEN(defs),
		.examples = "  emberbox portal serve --listen 0.0.0.0:443 --tls-cert chain.pem --tls-key key.pem\n"
			    "  emberbox portal serve --listen 127.0.0.1:13001 --trusted-proxy 127.0.0.1/32\n"
			    "      behind a reverse proxy that speaks TLS\n",
	};
	struct serve_config cfg = { .n_listen = 0 };
	struct mail_config mail, mail_second;
	char web_url[URL_MAX + 2], api_url[URL_MAX + 2];
	bool given[ARRAY_LEN(defs)];
	int status;

	defs[0].dflt = dir;
	options_or_exit(&spec, argc, argv, &o, given);
	status = read_addresses(&o, &cfg);
	status = status ? status : read_networks("trusted-proxy", &o.proxies, cfg.proxies, &cfg.n_proxies);
	status = status ? status : read_networks("private-client", &o.private_clients, cfg.private_clients, &cfg.n_private_clients);
	status = status || !o.web_url ? status : read_url("serve", "web-url", o.web_url, web_url);
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
	cfg.geo_db = o.geo_db;
	if (!o.web_url)
		guess_url(&cfg, web_url);
	cfg.web_url = web_url;
	snprintf(api_url, sizeof(api_url), "%s%s", o.api_url ? o.api_url : "", o.api_url && o.api_url[strlen(o.api_url) - 1] != '/' ? "/" : "");
	cfg.api_url = o.api_url ? api_url : NULL;
	cfg.metrics = (enum metrics_access)o.metrics;
	cfg.secure_cookies = o.secure_cookies;
	cfg.allows_sign_up = o.allows_sign_up;
	cfg.sign_up_domains = o.sign_up_domains.item;
	cfg.n_sign_up_domains = (u32)o.sign_up_domains.n;
	for (size_t i = 0; i < ARRAY_LEN(defs); i++)
		if (defs[i].field == S(secure_cookies) && !given[i])
			cfg.secure_cookies = strncasecmp(web_url, "https:", 6) == 0;
	cfg.web_rate = (struct rate_rule){ (u32)o.web_capacity, (u32)o.web_refill, REQUEST_COST };
	cfg.api_rate = (struct rate_rule){ (u32)o.api_capacity, (u32)o.api_refill, REQUEST_COST };
	cfg.conns_per_address = (u32)o.conns_per_address;
	cfg.rate_capacity = (u32)o.capacity;
	cfg.rate_refill = (u32)o.refill;
	if (read_mails(&o, o.web_url ? web_url : NULL, &mail, &mail_second))
		return 2;
	if (o.allows_sign_up && mail.way == MAIL_BY_NOTHING) {
		fprintf(stderr, PROGRAM " serve: --sign-up needs --mail: who signs up gets a code by e-mail\n");
		return 2;
	}
	if (o.idp.ca_file && *o.idp.ca_file && read_ca(o.idp.ca_file))
		return 1;
	cfg.mail = &mail;
	cfg.mail_second = &mail_second;
	cfg.idp = &o.idp;
	status = logging_setup(&(struct logging){ .program = "emberbox-portal", .format = o.log_format ? LOG_JSON : LOG_HUMAN });
	return status ? status : serve(&cfg);
}

/* ---- backup, restore, export, import ------------------------------------------------------------------------------------------------ */

struct transfer_options {
	const char *dir, *account, *file, *from_api, *token_file, *from_dump, *from_account, *site;
	bool dry_run;
};

#define T(f) offsetof(struct transfer_options, f)
#define FILE_ARG(text) { "file", 0, NULL, OPT_STR, T(file), .meta = "FILE", .help = text, .flags = OPT_POSITIONAL | OPT_REQUIRED }
#define ACCOUNT_OPTION { "account", 0, "EMBERBOX_ACCOUNT", OPT_STR, T(account), .meta = "SLUG", .help = "which account; needless while there is only one" }

static int run_file_command(const char *name, const char *summary, const char *what, const char *examples, const char *dir, int argc, char **argv,
			    int (*run)(const char *dir, const char *file))
{
	struct transfer_options o = { .dir = dir };
	struct opt_def defs[] = { DIR_OPTION(transfer_options), FILE_ARG(what) };
	char program[64];
	const struct opt_spec spec = { .program = program, .version = VERSION_LINE, .summary = summary, .defs = defs, .n_defs = ARRAY_LEN(defs),
				       .examples = examples };

	snprintf(program, sizeof(program), PROGRAM " %s", name);
	defs[0].dflt = dir;
	options_or_exit(&spec, argc, argv, &o, NULL);
	return run(o.dir, o.file);
}

static int back_up(const char *dir, const char *file)
{
	char secrets[STATE_PATH_MAX];
	int status = 1;

	if (!state_path(dir, "secrets", secrets) || (access(secrets, R_OK) && errno == ENOENT))
		fprintf(stderr, PROGRAM " backup: there is no portal in %s: say by --dir where it is\n", dir);
	else if (access(secrets, R_OK))
		fprintf(stderr, PROGRAM " backup: cannot read %s: %s: run this as the portal's user\n", secrets, strerror(errno));
	else if (access(file, F_OK) == 0)
		fprintf(stderr, PROGRAM " backup: %s is there already: give another name, or move it away\n", file);
	else
		status = backup_run(dir, file);
	if (!status)
		printf("everything is in %s; without %s/secrets its tokens are worth nothing: keep a copy of that too\n", file, dir);
	return status;
}

static int run_backup(const char *dir, int argc, char **argv)
{
	return run_file_command("backup", "Copies the database, also while the portal serves.", "the copy to make", "  emberbox portal backup /backup/portal.db\n",
				dir, argc, argv, back_up);
}

static int run_restore(const char *dir, int argc, char **argv)
{
	return run_file_command("restore", "Puts a copy in place of the database, after checking it; not while the portal serves.",
				"a copy that backup made", "  emberbox portal restore /backup/portal.db\n", dir, argc, argv, restore_run);
}

static int run_export(const char *dir, int argc, char **argv)
{
	struct transfer_options o = { .dir = dir };
	struct opt_def defs[] = { DIR_OPTION(transfer_options), ACCOUNT_OPTION };
	const struct opt_spec spec = { .program = PROGRAM " export", .version = VERSION_LINE,
				       .summary = "Prints an account as JSON, without secrets.",
				       .defs = defs, .n_defs = ARRAY_LEN(defs), .examples = "  emberbox portal export > acme.json\n" };

	defs[0].dflt = dir;
	options_or_exit(&spec, argc, argv, &o, NULL);
	return export_run(o.dir, o.account);
}

/* The file, or what the dump or API says, as JSON text of the form that transfer.h tells. */
static int read_source(const struct transfer_options *o, struct json_out *out, char why[static TRANSFER_WHY_MAX])
{
	char *text;
	size_t n;
	int rc = transfer_read_file(o->from_api ? o->token_file : o->from_dump ? o->from_dump : o->file, &text, &n, why);

	if (rc)
		return rc;
	if (o->from_api) {
		text[strcspn(text, " \r\n")] = '\0';
		rc = firezone_api_read(o->from_api, text, out, why);
		sodium_memzero(text, n);
	} else if (o->from_dump) {
		rc = dump_read(SPAN(text, n), o->from_account, out, why);
	} else {
		json_put_raw(out, NULL, SPAN(text, n));
		rc = out->err;
	}
	free(text);
	return rc;
}

static int run_import(const char *dir, int argc, char **argv)
{
	struct transfer_options o = { .dir = dir };
	struct opt_def defs[] = {
		DIR_OPTION(transfer_options),
		ACCOUNT_OPTION,
		{ "file", 0, NULL, OPT_STR, T(file), .meta = "FILE", .help = "an export, or - for stdin", .flags = OPT_POSITIONAL },
		{ "from-api", 0, NULL, OPT_STR, T(from_api), .meta = "URL", .help = "from the REST API of a Firezone portal, instead of a file" },
		{ "api-token-file", 0, NULL, OPT_STR, T(token_file), .meta = "FILE", .help = "holds the token for it" },
		{ "from-dump", 0, NULL, OPT_STR, T(from_dump), .meta = "FILE", .help = "from a dump of a Firezone database (pg_dump --format=plain)" },
		{ "from-account", 0, NULL, OPT_STR, T(from_account), .meta = "SLUG", .help = "which account of the dump" },
		{ "site", 0, NULL, OPT_STR, T(site), .meta = "SITE", .help = "where resources are that do not say so, as those of a REST API" },
		{ "dry-run", 0, NULL, OPT_FLAG, T(dry_run), .help = "only tell what would be added, and what would fail" },
	};
	const struct opt_spec spec = {
		.program = PROGRAM " import",
		.version = VERSION_LINE,
		.summary = "Adds people, groups, sites, resources and policies that are not there yet; what is there stays as it is.",
		.defs = defs,
		.n_defs = ARRAY_LEN(defs),
		.examples = "  emberbox portal import --dry-run acme.json\n"
			    "  emberbox portal import --from-dump firezone.sql --from-account acme\n"
			    "  emberbox portal import --from-api https://api.firezone.dev --api-token-file token --site Berlin\n",
	};
	char why[TRANSFER_WHY_MAX] = "";
	struct json_out out = JSON_OUT;
	struct cJSON *root = NULL;
	int status = 1;

	defs[0].dflt = dir;
	options_or_exit(&spec, argc, argv, &o, NULL);
	if (!!o.file + !!o.from_api + !!o.from_dump != 1 || !o.from_api != !o.token_file) {
		fprintf(stderr, PROGRAM " import: give a FILE, --from-dump, or --from-api with --api-token-file\n");
		return 2;
	}
	if (read_source(&o, &out, why))
		fprintf(stderr, PROGRAM " import: %s\n", why[0] ? why : "out of memory");
	else if (json_parse(json_text(&out), NULL, &root) || import_check(root, why))
		fprintf(stderr, PROGRAM " import: %s is no export: %s\n", o.file ? o.file : o.from_api ? o.from_api : o.from_dump,
			why[0] ? why : "it is not JSON, or cut off");
	else
		status = import_run(root, &(struct import_options){ .dir = o.dir, .account = o.account, .default_site = o.site, .is_dry_run = o.dry_run, .is_from_api = o.from_api != NULL });
	json_free(root);
	json_out_free(&out);
	return status;
}

static const struct {
	const char *name, *help;
	int (*run)(const char *dir, int argc, char **argv);
} programs[] = {
	{ "init", "make the state directory", run_init },
	{ "serve", "run the portal", run_serve },
	{ "backup", "copy the database, also while the portal serves", run_backup },
	{ "restore", "put a copy in its place", run_restore },
	{ "export", "print an account as JSON", run_export },
	{ "import", "add what an export, a database or an API of Firezone's holds", run_import },
};

/* ---- all ------------------------------------------------------------------------------------------------------------------------ */

#define COMMANDS_MAX 40

int portal_main(int argc, char **argv)
{
	struct opt_command commands[COMMANDS_MAX] = { { NULL, NULL } };
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

	for (u32 i = 0; i < ARRAY_LEN(programs); i++)
		commands[i] = (struct opt_command){ programs[i].name, programs[i].help };
	for (u32 i = 0; i < n_nouns && i + ARRAY_LEN(programs) + 1 < COMMANDS_MAX; i++)
		commands[i + ARRAY_LEN(programs)] = (struct opt_command){ nouns[i].name, nouns[i].help };
	int rest = options_or_exit(&spec, argc, argv, &o, NULL);
	if (rest >= argc) {
		fprintf(stderr, PROGRAM ": which command? (" PROGRAM " --help lists them)\n");
		return 2;
	}
	for (u32 i = 0; i < ARRAY_LEN(programs); i++)
		if (strcmp(argv[rest], programs[i].name) == 0)
			return programs[i].run(o.dir, argc - rest, argv + rest);
	noun = find_noun(argv[rest]);
	if (!noun) {
		fprintf(stderr, PROGRAM ": there is no command '%s' (" PROGRAM " --help lists them)\n", argv[rest]);
		return 2;
	}
	return cli_run(noun, o.dir, argc - rest, argv + rest);
}
