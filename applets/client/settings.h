/* applets/client/settings.h: what the client is told on its command line and in its environment (spec 30 §18). */
#pragma once

#include "applets/common/token.h"
#include "core/base/types.h"

#define CLIENT_TOKEN_PATH "/etc/dev.firezone.client/token"

struct client_settings {
	const char *api_url;
	const char *ca_file;	/* NULL: the system's trust anchors */
	const char *token_path;
	const char *name;	/* NULL: host name */
	const char *id;		/* NULL: derived */
	const char *log_dir;	/* NULL: none */
	const char *tun_name;
	u64 max_partition_ns;	/* 0: for ever */
	int dns_control; /* enum dns_control_method */
	const char *dnsmasq_dir, *dnsmasq_restart; /* NULL: found (platform/dns_control.h) */
	int log_format;
	bool is_check, is_exit; /* --check, --exit */
	bool wants_internet;
	bool wants_bigger_buffers;
	struct token token;
};

/* Reads command line, environment and token. Returns -1 to run, else the exit status; everything has been said by then. */
int client_settings_read(struct client_settings *cfg, int argc, char **argv);
