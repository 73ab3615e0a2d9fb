/* platform/linux/dns_dnsmasq.h: the method dnsmasq: its drop-in file, and where dnsmasq has its things. */
#pragma once

#include "core/ip/addr.h"
#include "platform/dns_control.h"

#define DNSMASQ_PATH_MAX 256u
#define DNSMASQ_CONF_MAX 65536u

/* The folder for the drop-in, as `paths` or the system say. ERR_NOT_FOUND: none. */
int dnsmasq_folder(const struct dns_control_paths *paths, char out[static DNSMASQ_PATH_MAX]) MUST_CHECK;
/* The resolv-file that holds the upstreams: never fails, falls back to paths->resolv_conf or /etc/resolv.conf. */
void dnsmasq_upstreams(const struct dns_control_paths *paths, char out[static DNSMASQ_PATH_MAX]);
/* The words of the restart, for people. */
const char *dnsmasq_restart_command(const struct dns_control_paths *paths);

/* *is_changed: dnsmasq has to be restarted. It knows no search domain: that is the business of the network's own programs. Errors as of textfile_replace(). */
int dnsmasq_put(const char *folder, const struct ip *sentinels, size_t n, bool *is_changed) MUST_CHECK;
/* *is_changed false: there was none. */
int dnsmasq_remove(const char *folder, bool *is_changed) MUST_CHECK;

/* The value of the first `key=` line of a dnsmasq configuration; a conf-dir's filter ("…,*.conf") is cut off. */
bool dnsmasq_setting(struct span text, const char *key, char out[static DNSMASQ_PATH_MAX]);
