/* applets/dns_proxy/settings.h: the command line of dns-proxy: each directive of config.h as an option, and the few words beside. */
#pragma once

#include "applets/common/options.h"
#include "applets/dns_proxy/config.h"

struct proxy_settings {
	struct opt_list values[CONFIG_DIRECTIVES]; /* the lines that options make */
	const char *config_file;                   /* NULL: none */
	const char *ca_file;                       /* NULL: the system's authorities */
	int log_format;
	bool checks;                               /* --check */
	bool wants_stats;                          /* the command `stats` */
};

/* Ends the process for --help, --version (0) and wrong use (2). */
void proxy_settings_read(struct proxy_settings *s, int argc, char **argv);

/* Reads everything the settings name: options, file, resolv.conf, blocklists. What is wrong goes to `report`; *c is to be freed by
 * config_deinit() in any case. ERR_NOMEM, ERR_INVAL: c->errors tells how much was wrong. */
int proxy_settings_load(const struct proxy_settings *s, struct config *c, struct rng *rng, config_report *report, void *ctx) MUST_CHECK;
