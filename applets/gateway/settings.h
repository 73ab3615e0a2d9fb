/* applets/gateway/settings.h: what the gateway is told on its command line and in its environment (spec 40 §1). */
#pragma once

#include "applets/common/options.h"
#include "applets/common/token.h"
#include "core/base/types.h"

struct gateway_settings {
	const char *api_url;
	const char *ca_file;	/* NULL: the system's trust anchors */
	const char *token_text; /* NULL: systemd credential */
	const char *name;	/* NULL: host name */
	const char *id;		/* NULL: derived */
	const char *tun_name;
	struct opt_list egress; /* interface name prefixes that are masqueraded; none: all but tunnel and loopback */
	struct endpoint health;
	u64 max_partition_ns;
	int log_format;
	bool has_flow_logs;
	bool skips_check;
	bool keeps_buffers;
	bool keeps_firewall; /* --no-firewall */
	bool validates_checksums;
	struct token token;
};

/* Reads command line, environment and token. Returns -1 to run, else the exit status; everything has been said by then. */
int gateway_settings_read(struct gateway_settings *cfg, int argc, char **argv);
