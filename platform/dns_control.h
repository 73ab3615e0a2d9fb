/* platform/dns_control.h: the resolvers that this host's programs use: replaced by our sentinels, read, put back (spec 30 §16).
 *
 *	method              activate                              the system's resolvers               put back
 *	systemd-resolved    resolvectl dns, domain, llmnr         resolvectl dns                       vanishes with the interface
 *	etc-resolv-conf     backup, then rewrite in place         the backup while the file is ours,   the backup, while the file is ours
 *	                                                          else the file
 *	dnsmasq (OpenWrt)   drop-in: servers = the sentinels      the resolv-file of dnsmasq           drop-in removed
 *	disabled            nothing                               /etc/resolv.conf                     nothing
 *
 * Programs (resolvectl, the service commands of dnsmasq) run without a shell, one at a time, while the loop goes on; each has
 * DNS_CONTROL_COMMAND_LIMIT, then it is killed and counts as failed. So a wish is made by a call and its outcome is an event:
 *
 *	dns_control_recover(c)                   once at start: undoes what a killed run left behind
 *	dns_control_read(c, now)                 → DNS_CONTROL_SERVERS
 *	dns_control_activate(c, now, …)          → DNS_CONTROL_ACTIVE or DNS_CONTROL_FAILED; set the routes afterwards (spec 30 §15)
 *	dns_control_flush(c, now)                → no event; when the resource list changes
 *	watch dns_control_fd(c) for reading:     dns_control_input(c, now)
 *	at dns_control_next_timeout(c):          dns_control_timeout(c, now)
 *	after each of these calls:               while (dns_control_poll_event(c, &event)) …
 *	dns_control_deactivate(c)                once at exit
 *
 * Methods without programs have their event ready when the call returns. A wish made again before its turn replaces the former: one
 * event for both; a newer activate drops what is left of an older one.
 *
 * etc-resolv-conf never loses what somebody wrote: the backup (temporary file, fsync, rename) is complete before the first byte of
 * the file changes; the file starts with DNS_CONTROL_MAGIC exactly as long as it is ours; when it is not what we wrote, it is left alone
 * and that is logged. It is rewritten in place, for container runtimes mount it. A symlink or a missing file is refused. A file that another
 * program has put in its place (a DHCP client) is backed up and rewritten when reading finds it, or names would be lost with the next lease;
 * at most every DNS_CONTROL_RETAKE, so as not to fight; this is logged and no event.
 *
 * dnsmasq reads server= lines at its start only (SIGHUP reads servers-file= again, but does not get through OpenWrt's jail), so the drop-in
 * DNS_CONTROL_DROP_IN comes and goes with a restart by the service manager, which also works without our capabilities. Its folder is
 * the first conf-dir= of OpenWrt's generated /var/etc/dnsmasq.conf.*, else the first that exists of /tmp/dnsmasq.*.d, /tmp/dnsmasq.d and
 * /etc/dnsmasq.d; the upstreams are in the first resolv-file= of the same configuration, else in /tmp/resolv.conf.d/resolv.conf.auto,
 * /tmp/resolv.conf.auto or resolv_conf. dnsmasq with stop-dns-rebind (OpenWrt's default) refuses answers with our IPv6 proxies.
 */
#pragma once

#include "core/base/time.h"
#include "core/ip/addr.h"

#define DNS_CONTROL_MAGIC "# BEGIN Firezone DNS configuration" /* spec 30 §16; the same as Firezone's, so either restores after the other */
#define DNS_CONTROL_DROP_IN "emberbox-sentinels.conf"
#define DNS_CONTROL_SERVERS_MAX 32u       /* resolvers read, sentinels set; further ones are left out */
#define DNS_CONTROL_DOMAIN_MAX 253u
#define DNS_CONTROL_WHY_BYTES 512u
#define DNS_CONTROL_FILE_MAX 65536u       /* longer resolv.confs are not ours to rewrite */
#define DNS_CONTROL_RETAKE MINUTES(1)
#define DNS_CONTROL_COMMAND_LIMIT SEC(10) /* a restart of dnsmasq on a slow router takes seconds */
#define DNS_CONTROL_EXIT_LIMIT SEC(5)     /* dns_control_deactivate() waits no longer */

enum dns_control_method { DNS_CONTROL_DISABLED, DNS_CONTROL_ETC_RESOLV_CONF, DNS_CONTROL_SYSTEMD_RESOLVED, DNS_CONTROL_DNSMASQ };

/* Spec 30 §18: systemd-resolved; where /etc/openwrt_release is, dnsmasq. */
enum dns_control_method dns_control_default(void);
const char *dns_control_method_name(enum dns_control_method m); /* as in --dns-control */

/* Where things are; NULL = as on an ordinary host. Tests and --dnsmasq-* options differ. */
struct dns_control_paths {
	const char *resolv_conf;      /* /etc/resolv.conf */
	const char *backup;           /* /etc/resolv.conf.before-firezone */
	const char *resolvectl;       /* found in PATH */
	const char *dnsmasq_dir;      /* its conf-dir; NULL: as below */
	const char *dnsmasq_resolv;   /* where its upstreams are; NULL: as below */
	const char *dnsmasq_restart;  /* words separated by blanks; NULL: /etc/init.d/dnsmasq restart, else systemctl restart dnsmasq */
};

struct dns_control;

struct dns_control_config {
	enum dns_control_method method;
	const char *interface; /* the tunnel's, for resolvectl */
	struct dns_control_paths paths;
};

/* Texts are copied. NULL: out of memory or descriptors. Touches nothing yet. */
struct dns_control *dns_control_new(const struct dns_control_config *cfg);
/* Kills a program that still runs; does not put back. NULL is allowed. */
void dns_control_free(struct dns_control *c);

/* Puts back what an earlier run did not. Waits (at most DNS_CONTROL_EXIT_LIMIT). etc-resolv-conf fails when the file is missing or a
 * symlink (fatal, spec 30 §19.3); other methods only log. dns_control_why() says what and what to do. */
int dns_control_recover(struct dns_control *c) MUST_CHECK;

/* n sentinels in order, and the search domain or NULL. n = 0: what is set is taken back, nothing new is set, ACTIVE follows.
 * ERR_INVAL: not a domain name (letters, digits, hyphen, underscore, dots); no event follows. */
int dns_control_activate(struct dns_control *c, u64 now, const struct ip *sentinels, size_t n, const char *search_domain) MUST_CHECK;
void dns_control_read(struct dns_control *c, u64 now);
void dns_control_flush(struct dns_control *c, u64 now);

/* Puts back what was there. Waits (at most DNS_CONTROL_EXIT_LIMIT). Idempotent; nothing to do is no error. Call before the tunnel
 * interface goes away. ERR_EXISTS: somebody else wrote resolv.conf meanwhile and it was left alone; logged. */
int dns_control_deactivate(struct dns_control *c);

int dns_control_fd(const struct dns_control *c); /* the same for life */
void dns_control_input(struct dns_control *c, u64 now);
void dns_control_timeout(struct dns_control *c, u64 now);
u64 dns_control_next_timeout(const struct dns_control *c); /* TIME_NEVER: no program runs */

enum dns_control_event_type {
	DNS_CONTROL_ACTIVE,
	DNS_CONTROL_FAILED,  /* fatal (spec 30 §16): `error` and `why` */
	DNS_CONTROL_SERVERS, /* our sentinels are not among them; none when they could not be read (logged) */
};

struct dns_control_event {
	enum dns_control_event_type type;
	int error;
	const char *why; /* valid until the next call */
	size_t n;
	struct ip servers[DNS_CONTROL_SERVERS_MAX]; /* in order, without duplicates, IPv6 scopes dropped */
};
bool dns_control_poll_event(struct dns_control *c, struct dns_control_event *out);

/* The files whose content changes with the system's resolvers, for polling (platform/host_news.h). */
#define DNS_CONTROL_FILES_MAX 2u
size_t dns_control_files(struct dns_control *c, const char *out[static DNS_CONTROL_FILES_MAX]);

/* One line about the last failure, with paths, exit status and what the program said. */
const char *dns_control_why(const struct dns_control *c);

struct dns_control_stats {
	u64 commands, commands_failed, commands_killed, backups, rewrites, restores, left_alone, retaken;
};
const struct dns_control_stats *dns_control_stats(const struct dns_control *c);
