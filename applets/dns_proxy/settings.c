#include "applets/dns_proxy/settings.h"

#include "applets/version.h"
#include "platform/linux/textfile.h"
#include "platform/udp_server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RESOLV_CONF "/etc/resolv.conf"
#define RESOLV_CONF_MAX 65536u
#define BLOCKLIST_BYTES_MAX (256u << 20)

#define F(f) offsetof(struct proxy_settings, f)

static const char *const log_formats[] = { "human", "json", NULL };

static const struct opt_def others[] = {
	{ "config", 'c', "EMBERBOX_DNS_PROXY_CONFIG", OPT_STR, F(config_file), .meta = "FILE",
	  .help = "read these lines: the options below without dashes, `#` for comments; read again on SIGHUP" },
	{ "check", 0, NULL, OPT_FLAG, F(checks), .help = "say what is wrong with file and options, line by line, and end: 0 when all is well, else 2" },
	{ "ca", 0, "EMBERBOX_CA", OPT_STR, F(ca_file), .meta = "FILE", .help = "PEM file with the authorities of https:// servers" },
	{ "log-format", 0, "LOG_FORMAT", OPT_CHOICE, F(log_format), .dflt = "human", .choices = log_formats,
	  .help = "log lines on stdout; RUST_LOG filters them" },
};

static const struct opt_command commands[] = {
	{ "stats", "print the counters of a running dns-proxy as JSON" },
	{ NULL, NULL },
};

static struct opt_def defs[ARRAY_LEN(others) + CONFIG_DIRECTIVES];

static const struct opt_spec spec = {
	.program = "emberbox dns-proxy",
	.version = "emberbox-dns-proxy " EMBERBOX_VERSION,
	.summary = "Forwards DNS queries, each name to the servers that know it; caches, blocks, answers local names.",
	.defs = defs,
	.n_defs = ARRAY_LEN(defs),
	.commands = commands,
	.examples = "  emberbox dns-proxy\n"
		    "      a cache on 127.0.0.1 and ::1 in front of the servers of /etc/resolv.conf\n"
		    "  emberbox dns-proxy --listen 192.168.1.1 --upstream '9.9.9.9 149.112.112.112' --rule '**.corp.example 10.0.0.53'\n"
		    "      for a home network, the company's names from the company's server\n"
		    "  emberbox dns-proxy --upstream https://dns.quad9.net/dns-query --bootstrap 9.9.9.9 --blocklist /etc/ads.hosts\n"
		    "      encrypted, and without advertisements\n"
		    "  emberbox dns-proxy --search lan --record 'nas.lan A 192.168.1.5' --record 'www.lan CNAME nas.lan'\n"
		    "      names of one's own\n"
		    "  emberbox dns-proxy --config /etc/dns-proxy.conf --check && kill -HUP PID\n"
		    "      try a changed file, then use it\n"
		    "  emberbox dns-proxy stats\n"
		    "      what the running one has done\n",
};

static void make_defs(void)
{
	memcpy(defs, others, sizeof(others));
	for (size_t i = 0; i < CONFIG_DIRECTIVES; i++)
		defs[ARRAY_LEN(others) + i] = (struct opt_def){
			.name = config_words[i].name, .type = OPT_LIST, .field = F(values) + i * sizeof(struct opt_list),
			.meta = config_words[i].meta, .help = config_words[i].help,
		};
}

void proxy_settings_read(struct proxy_settings *s, int argc, char **argv)
{
	*s = (struct proxy_settings){ 0 };
	make_defs();
	int rest = options_or_exit(&spec, argc, argv, s, NULL);
	if (rest == argc)
		return;
	if (strcmp(argv[rest], "stats") != 0) {
		fprintf(stderr, "emberbox dns-proxy: unknown command \"%s\"\nTry \"emberbox dns-proxy --help\".\n", argv[rest]);
		exit(2);
	}
	if (rest + 1 < argc) { /* options may stand behind the command, too */
		int end = options_or_exit(&spec, argc - rest, argv + rest, s, NULL);
		if (end < argc - rest) {
			fprintf(stderr, "emberbox dns-proxy: unexpected argument \"%s\"\n", argv[rest + end]);
			exit(2);
		}
	}
	s->wants_stats = true;
}

/* --- reading it all --- */

static const char *reason(int rc)
{
	return rc == ERR_IO ? strerror(errno) : rc == ERR_NOT_FOUND ? "no such file" : rc == ERR_DENIED ? "permission denied" : err_str(rc);
}

static void unreadable(struct config *c, const char *place, const char *path, int rc)
{
	char what[CONFIG_PATH_MAX + 160];

	snprintf(what, sizeof(what), "cannot read %.*s: %s", (int)CONFIG_PATH_MAX, path, reason(rc));
	config_error(c, place, what);
}

static void load_file(const struct proxy_settings *s, struct config *c)
{
	struct textfile f;

	if (!s->config_file)
		return;
	int rc = textfile_read(&f, s->config_file, CONFIG_BYTES_MAX, true);
	if (rc != 0) {
		unreadable(c, "--config", s->config_file, rc);
		return;
	}
	config_text(c, s->config_file, SPAN(f.text, f.n));
	textfile_free(&f);
}

static void load_blocklist(struct config *c, u32 i, struct blocklist *b)
{
	struct textfile f;
	char what[CONFIG_PATH_MAX + 160];
	u32 bad = 0, first = 0;
	int rc = textfile_read(&f, c->blocklist[i], BLOCKLIST_BYTES_MAX, true);

	if (rc != 0) {
		unreadable(c, c->blocklist_place[i], c->blocklist[i], rc);
		return;
	}
	rc = blocklist_add_text(b, SPAN(f.text, f.n), &bad, &first);
	textfile_free(&f);
	if (rc == 0 && bad == 0)
		return;
	if (rc != 0)
		snprintf(what, sizeof(what), "%s: %s", c->blocklist[i], err_str(rc));
	else
		snprintf(what, sizeof(what), "%s:%u: no name, and %u such lines in all", c->blocklist[i], first, bad);
	config_error(c, c->blocklist_place[i], what);
}

static void load_blocklists(struct config *c)
{
	struct blocklist *b = c->n_blocklists > 0 ? blocklist_new(c->rng) : NULL;

	if (c->n_blocklists > 0 && !b)
		config_error(c, "blocklist", err_str(ERR_NOMEM));
	for (u32 i = 0; b && i < c->n_blocklists; i++)
		load_blocklist(c, i, b);
	split_set_blocklist(c->split, b, c->blocks_with_zero);
}

/* An address of this host is one that a socket can have. */
static bool is_own(const struct ip *ip)
{
	struct udp_server *probe;

	if (udp_server_open(&probe, &(struct endpoint){ *ip, 0 }) != 0)
		return false;
	udp_server_close(probe);
	return true;
}

int proxy_settings_load(const struct proxy_settings *s, struct config *c, struct rng *rng, config_report *report, void *ctx)
{
	struct textfile resolv = { 0 };
	int rc = config_init(c, rng, report, ctx);

	if (rc != 0)
		return rc;
	for (size_t d = 0; d < CONFIG_DIRECTIVES; d++)
		for (size_t i = 0; i < s->values[d].n; i++)
			config_option(c, d, s->values[d].item[i]);
	load_file(s, c);
	load_blocklists(c);
	bool has_resolv = textfile_read(&resolv, RESOLV_CONF, RESOLV_CONF_MAX, true) == 0;
	config_finish(c, has_resolv ? SPAN(resolv.text, resolv.n) : SPAN_NONE, is_own);
	if (has_resolv)
		textfile_free(&resolv);
	return c->errors ? ERR_INVAL : 0;
}
