#define LOG_TARGET "dns_control"
#include "platform/dns_control.h"

#include "core/base/err.h"
#include "core/base/log.h"
#include "platform/linux/dns_command.h"
#include "platform/linux/dns_dnsmasq.h"
#include "platform/linux/dns_resolv_conf.h"
#include "platform/sys.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LABEL_BYTES 256u
#define RESTART_BYTES 256u

enum job { JOB_NONE, JOB_ACTIVATE, JOB_READ, JOB_FLUSH, JOB_REMOVE };
enum step { STEP_DNS, STEP_DOMAIN, STEP_LLMNR, STEP_END }; /* of activating systemd-resolved */

struct wish {
	struct ip sentinels[DNS_CONTROL_SERVERS_MAX];
	size_t n;
	char domain[DNS_CONTROL_DOMAIN_MAX + 1]; /* "" = none */
};

struct dns_control {
	enum dns_control_method method;
	char interface[32];
	struct dns_control_paths paths; /* our copies */
	char *copies[6];
	unsigned n_copies;

	struct resolv_conf file;
	char dnsmasq_dir[DNSMASQ_PATH_MAX];
	char upstreams[DNSMASQ_PATH_MAX];
	struct command cmd;
	char label[LABEL_BYTES];

	bool wants_activate, wants_read, wants_flush, wants_remove;
	struct wish wish;       /* the latest */
	enum job job;           /* what the running program is for */
	enum step step;
	bool is_set;            /* there is something to take back */
	u64 retake_after;

	bool has_outcome, has_servers;
	int outcome;
	struct ip servers[DNS_CONTROL_SERVERS_MAX];
	size_t n_servers;
	char why[DNS_CONTROL_WHY_BYTES];
	struct dns_control_stats stats;
};

static const char *const method_names[] = {
	[DNS_CONTROL_DISABLED] = "disabled",
	[DNS_CONTROL_ETC_RESOLV_CONF] = "etc-resolv-conf",
	[DNS_CONTROL_SYSTEMD_RESOLVED] = "systemd-resolved",
	[DNS_CONTROL_DNSMASQ] = "dnsmasq",
};

const char *dns_control_method_name(enum dns_control_method m)
{
	return method_names[m];
}

enum dns_control_method dns_control_default(void)
{
	return access("/etc/openwrt_release", F_OK) == 0 ? DNS_CONTROL_DNSMASQ : DNS_CONTROL_SYSTEMD_RESOLVED;
}

/* --- life ---------------------------------------------------------------------------------------------------------------------- */

static const char *copy(struct dns_control *c, const char *text, bool *failed)
{
	if (!text)
		return NULL;
	char *p = strdup(text);
	if (!p) {
		*failed = true;
		return NULL;
	}
	c->copies[c->n_copies++] = p;
	return p;
}

struct dns_control *dns_control_new(const struct dns_control_config *cfg)
{
	struct dns_control *c = calloc(1, sizeof(*c));
	const struct dns_control_paths *p = &cfg->paths;
	bool failed = false;

	if (!c)
		return NULL;
	c->method = cfg->method;
	snprintf(c->interface, sizeof(c->interface), "%s", cfg->interface ? cfg->interface : "");
	c->paths = (struct dns_control_paths){
		.resolv_conf = copy(c, p->resolv_conf ? p->resolv_conf : RESOLV_CONF_DEFAULT, &failed),
		.backup = copy(c, p->backup ? p->backup : RESOLV_CONF_BACKUP, &failed),
		.resolvectl = copy(c, p->resolvectl ? p->resolvectl : "resolvectl", &failed),
		.dnsmasq_dir = copy(c, p->dnsmasq_dir, &failed),
		.dnsmasq_resolv = copy(c, p->dnsmasq_resolv, &failed),
		.dnsmasq_restart = copy(c, p->dnsmasq_restart, &failed),
	};
	c->file = (struct resolv_conf){ .path = c->paths.resolv_conf, .backup = c->paths.backup, .stats = &c->stats, .why = c->why };
	if (command_init(&c->cmd) || failed) {
		dns_control_free(c);
		return NULL;
	}
	return c;
}

void dns_control_free(struct dns_control *c)
{
	if (!c)
		return;
	command_free(&c->cmd);
	resolv_conf_free(&c->file);
	for (unsigned i = 0; i < c->n_copies; i++)
		free(c->copies[i]);
	free(c);
}

const char *dns_control_why(const struct dns_control *c)
{
	return c->why;
}

const struct dns_control_stats *dns_control_stats(const struct dns_control *c)
{
	return &c->stats;
}

/* --- programs ------------------------------------------------------------------------------------------------------------------ */

static int run_words(struct dns_control *c, u64 now, const char *const *words)
{
	int rc = command_start(&c->cmd, now, DNS_CONTROL_COMMAND_LIMIT, c->label, words);

	if (rc) {
		snprintf(c->why, sizeof(c->why), "cannot start %s: %s%s", words[0], rc == ERR_NOT_FOUND ? "no such program" : err_str(rc),
			 c->method == DNS_CONTROL_SYSTEMD_RESOLVED ? "; choose --dns-control etc-resolv-conf or disabled" : "");
		c->stats.commands_failed++;
		return rc;
	}
	c->stats.commands++;
	return 0;
}

/* resolvectl VERB [INTERFACE [ARGUMENTS…]] */
static int run_resolvectl(struct dns_control *c, u64 now, const char *verb, const char *interface, const char *const *args, size_t n)
{
	const char *words[COMMAND_WORDS_MAX + 1] = { c->paths.resolvectl, verb, interface };
	size_t used = interface ? 3 : 2;

	for (size_t i = 0; i < n && used < COMMAND_WORDS_MAX; i++)
		words[used++] = args[i];
	snprintf(c->label, sizeof(c->label), "resolvectl %s", verb);
	return run_words(c, now, words);
}

static int run_sentinels(struct dns_control *c, u64 now)
{
	char text[DNS_CONTROL_SERVERS_MAX][IP_STRLEN];
	const char *args[DNS_CONTROL_SERVERS_MAX];

	for (size_t i = 0; i < c->wish.n; i++)
		args[i] = ip_format(&c->wish.sentinels[i], text[i]);
	return run_resolvectl(c, now, "dns", c->interface, args, c->wish.n);
}

static int run_restart(struct dns_control *c, u64 now)
{
	char text[RESTART_BYTES], *rest = NULL;
	const char *words[COMMAND_WORDS_MAX + 1] = { NULL };
	size_t n = 0;

	snprintf(text, sizeof(text), "%s", dnsmasq_restart_command(&c->paths));
	for (char *w = strtok_r(text, " \t", &rest); w && n < COMMAND_WORDS_MAX; w = strtok_r(NULL, " \t", &rest))
		words[n++] = w;
	snprintf(c->label, sizeof(c->label), "%s", dnsmasq_restart_command(&c->paths));
	if (n == 0) {
		snprintf(c->why, sizeof(c->why), "no command to restart dnsmasq");
		return ERR_INVAL;
	}
	return run_words(c, now, words);
}

/* --- steps: each either starts a program (true) or is done at once (false; *rc says how) ------------------------------------------ */

static bool resolved_step(struct dns_control *c, u64 now, int *rc)
{
	static const char *const yes[] = { "true" }, *const all_names[] = { "~." };
	const char *domain[] = { c->wish.domain };

	*rc = 0;
	if (c->wish.n == 0) {
		if (!c->is_set || c->step != STEP_DNS)
			return false;
		c->is_set = false;
		c->step = STEP_LLMNR; /* the last program */
		*rc = run_resolvectl(c, now, "revert", c->interface, NULL, 0);
		return *rc == 0;
	}
	switch (c->step) {
	case STEP_DNS:
		c->is_set = true;
		*rc = run_sentinels(c, now);
		break;
	case STEP_DOMAIN:
		*rc = run_resolvectl(c, now, "domain", c->interface, *c->wish.domain ? domain : all_names, 1);
		break;
	case STEP_LLMNR:
		*rc = run_resolvectl(c, now, "llmnr", c->interface, yes, 1);
		break;
	case STEP_END:
		return false;
	}
	return *rc == 0;
}

static int find_folder(struct dns_control *c)
{
	if (*c->dnsmasq_dir)
		return 0;
	int rc = dnsmasq_folder(&c->paths, c->dnsmasq_dir);
	if (rc) {
		*c->dnsmasq_dir = '\0';
		snprintf(c->why, sizeof(c->why), "no conf-dir of dnsmasq found%s%s; name it with --dnsmasq-dir, or choose another --dns-control",
			 c->paths.dnsmasq_dir ? " at " : "", c->paths.dnsmasq_dir ? c->paths.dnsmasq_dir : "");
	}
	return rc;
}

static bool dnsmasq_step(struct dns_control *c, u64 now, int *rc)
{
	bool is_changed = false;

	*rc = find_folder(c);
	if (*rc)
		return false;
	*rc = c->wish.n ? dnsmasq_put(c->dnsmasq_dir, c->wish.sentinels, c->wish.n, &is_changed) :
			  dnsmasq_remove(c->dnsmasq_dir, &is_changed);
	if (*rc) {
		snprintf(c->why, sizeof(c->why), "cannot change %s/" DNS_CONTROL_DROP_IN ": %s", c->dnsmasq_dir, strerror(errno));
		return false;
	}
	c->is_set = c->wish.n > 0;
	if (!is_changed)
		return false;
	c->stats.rewrites++;
	*rc = run_restart(c, now);
	return *rc == 0;
}

static void file_activate(struct dns_control *c, int *rc)
{
	if (c->wish.n > 0) {
		*rc = resolv_conf_activate(&c->file, c->wish.sentinels, c->wish.n, *c->wish.domain ? c->wish.domain : NULL);
		return;
	}
	if (!c->file.written.text)
		log_warn("no resolvers known, resolv.conf stays as it is", kv_s("file", c->file.path));
	*rc = resolv_conf_deactivate(&c->file);
	if (*rc == ERR_EXISTS) {
		log_warn("resolv.conf is not put back", kv_s("reason", c->why));
		*rc = 0;
	}
}

static void finish_activate(struct dns_control *c, int rc)
{
	c->job = JOB_NONE;
	c->has_outcome = true;
	c->outcome = rc;
}

static void finish_servers(struct dns_control *c, const struct ip *servers, size_t n)
{
	c->n_servers = 0;
	for (size_t i = 0; i < n && c->n_servers < DNS_CONTROL_SERVERS_MAX; i++) {
		bool is_known = cidr_contains(&net_sentinels4, &servers[i]) || cidr_contains(&net_sentinels6, &servers[i]);
		for (size_t k = 0; k < c->n_servers && !is_known; k++)
			is_known = ip_eq(&c->servers[k], &servers[i]);
		if (!is_known)
			c->servers[c->n_servers++] = servers[i];
	}
	c->job = JOB_NONE;
	c->has_servers = true;
}

static bool start_activate(struct dns_control *c, u64 now)
{
	int rc = 0;

	c->job = JOB_ACTIVATE;
	switch (c->method) {
	case DNS_CONTROL_DISABLED:
		break;
	case DNS_CONTROL_ETC_RESOLV_CONF:
		file_activate(c, &rc);
		break;
	case DNS_CONTROL_SYSTEMD_RESOLVED:
		if (resolved_step(c, now, &rc))
			return true;
		break;
	case DNS_CONTROL_DNSMASQ:
		if (dnsmasq_step(c, now, &rc))
			return true;
		break;
	}
	finish_activate(c, rc);
	return false;
}

static void retake(struct dns_control *c, u64 now)
{
	int rc;

	if (!resolv_conf_is_taken(&c->file) || now < c->retake_after)
		return;
	c->retake_after = time_add(now, DNS_CONTROL_RETAKE);
	rc = resolv_conf_activate(&c->file, c->wish.sentinels, c->wish.n, *c->wish.domain ? c->wish.domain : NULL);
	if (rc) {
		log_warn("resolv.conf was replaced by another program and is left as it is; names of resources may not resolve",
			 kv_s("reason", c->why));
		return;
	}
	log_info("resolv.conf was replaced by another program; that text is kept and put back later", kv_s("file", c->file.path));
	c->stats.retaken++;
}

static bool start_read(struct dns_control *c, u64 now)
{
	struct ip servers[DNS_CONTROL_SERVERS_MAX];
	size_t n = 0;

	c->job = JOB_READ;
	switch (c->method) {
	case DNS_CONTROL_ETC_RESOLV_CONF:
		n = resolv_conf_servers(c->paths.resolv_conf, c->paths.backup, servers, ARRAY_LEN(servers));
		retake(c, now);
		break;
	case DNS_CONTROL_DISABLED:
		n = resolv_conf_servers(c->paths.resolv_conf, c->paths.backup, servers, ARRAY_LEN(servers));
		break;
	case DNS_CONTROL_SYSTEMD_RESOLVED:
		if (run_resolvectl(c, now, "dns", NULL, NULL, 0) == 0)
			return true;
		log_warn("cannot read the system's resolvers", kv_s("reason", c->why));
		break;
	case DNS_CONTROL_DNSMASQ:
		dnsmasq_upstreams(&c->paths, c->upstreams);
		n = resolv_conf_servers(c->upstreams, c->paths.backup, servers, ARRAY_LEN(servers));
		break;
	}
	finish_servers(c, servers, n);
	return false;
}

static bool start_flush(struct dns_control *c, u64 now)
{
	c->job = JOB_FLUSH;
	if (c->method == DNS_CONTROL_SYSTEMD_RESOLVED) {
		int rc = run_resolvectl(c, now, "flush-caches", NULL, NULL, 0);
		if (rc == 0)
			return true;
		finish_activate(c, rc); /* spec 30 §16: fatal */
	}
	c->job = JOB_NONE;
	return false;
}

static bool start_remove(struct dns_control *c, u64 now)
{
	c->job = JOB_REMOVE;
	int rc = run_restart(c, now);
	if (rc == 0)
		return true;
	log_warn("cannot restart dnsmasq", kv_s("reason", c->why));
	c->job = JOB_NONE;
	return false;
}

/* Takes wishes until a program runs or none is left. */
static void advance(struct dns_control *c, u64 now)
{
	while (!command_runs(&c->cmd) && c->job == JOB_NONE) {
		if (c->wants_activate) {
			c->wants_activate = false;
			c->step = STEP_DNS;
			start_activate(c, now);
		} else if (c->wants_read) {
			c->wants_read = false;
			start_read(c, now);
		} else if (c->wants_flush) {
			c->wants_flush = false;
			start_flush(c, now);
		} else if (c->wants_remove) {
			c->wants_remove = false;
			start_remove(c, now);
		} else {
			return;
		}
	}
}

/* --- a program has ended ----------------------------------------------------------------------------------------------------------- */

/* The words of resolvectl's output that are addresses: scopes and server names make a word something else (spec 30 §16). */
static size_t parse_output(const char *text, size_t len, struct ip *out, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < len && n < max;) {
		size_t start = i;
		while (i < len && text[i] != ' ' && text[i] != '\n' && text[i] != '\t')
			i++;
		if (i > start && ip_parse(SPAN(text + start, i - start), &out[n]) == 0)
			n++;
		i++;
	}
	return n;
}

static void activate_ended(struct dns_control *c, u64 now, bool is_ok)
{
	int rc = 0;

	if (c->wants_activate) { /* overtaken: the newer one starts from the beginning and has the event */
		c->job = JOB_NONE;
		return;
	}
	if (!is_ok) {
		finish_activate(c, c->cmd.was_killed ? ERR_TIMEOUT : ERR_IO);
		return;
	}
	if (c->method == DNS_CONTROL_SYSTEMD_RESOLVED) {
		c->step++;
		if (resolved_step(c, now, &rc))
			return;
	}
	finish_activate(c, rc);
}

static void ended(struct dns_control *c, u64 now)
{
	const bool is_ok = command_succeeded(&c->cmd);
	struct ip servers[DNS_CONTROL_SERVERS_MAX];
	size_t n = 0;

	if (!is_ok) {
		command_why(&c->cmd, c->why, sizeof(c->why));
		c->stats.commands_failed++;
		c->stats.commands_killed += c->cmd.was_killed;
	}
	switch (c->job) {
	case JOB_NONE:
		break;
	case JOB_ACTIVATE:
		activate_ended(c, now, is_ok);
		break;
	case JOB_READ:
		if (is_ok)
			n = parse_output(c->cmd.out, c->cmd.out_n, servers, ARRAY_LEN(servers));
		else
			log_warn("cannot read the system's resolvers", kv_s("reason", c->why));
		finish_servers(c, servers, n);
		break;
	case JOB_FLUSH:
		if (!is_ok)
			log_debug("cannot empty the cache of systemd-resolved", kv_s("reason", c->why));
		c->job = JOB_NONE;
		break;
	case JOB_REMOVE:
		if (!is_ok)
			log_warn("cannot restart dnsmasq", kv_s("reason", c->why));
		c->job = JOB_NONE;
		break;
	}
}

static void look(struct dns_control *c, u64 now)
{
	if (command_look(&c->cmd, now))
		ended(c, now);
	advance(c, now);
}

/* --- doors ------------------------------------------------------------------------------------------------------------------------- */

int dns_control_fd(const struct dns_control *c)
{
	return c->cmd.epoll_fd;
}

void dns_control_input(struct dns_control *c, u64 now)
{
	look(c, now);
}

void dns_control_timeout(struct dns_control *c, u64 now)
{
	look(c, now);
}

u64 dns_control_next_timeout(const struct dns_control *c)
{
	return command_next_timeout(&c->cmd);
}

static bool is_domain(const char *name)
{
	const size_t n = strlen(name);

	if (n == 0 || n > DNS_CONTROL_DOMAIN_MAX || name[0] == '-' || name[0] == '.')
		return false;
	for (size_t i = 0; i < n; i++) {
		const char ch = name[i];
		const bool is_letter = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9');
		if (!is_letter && ch != '-' && ch != '_' && ch != '.')
			return false;
		if (ch == '.' && i + 1 < n && name[i + 1] == '.')
			return false;
	}
	return true;
}

int dns_control_activate(struct dns_control *c, u64 now, const struct ip *sentinels, size_t n, const char *search_domain)
{
	if (search_domain && !is_domain(search_domain)) {
		snprintf(c->why, sizeof(c->why), "the search domain is not a domain name");
		return ERR_INVAL;
	}
	c->wish.n = MIN(n, (size_t)DNS_CONTROL_SERVERS_MAX);
	if (c->wish.n < n)
		log_warn("more resolvers than can be set", kv_u("set", c->wish.n), kv_u("resolvers", n));
	for (size_t i = 0; i < c->wish.n; i++)
		c->wish.sentinels[i] = sentinels[i];
	snprintf(c->wish.domain, sizeof(c->wish.domain), "%s", search_domain ? search_domain : "");
	c->wants_activate = true;
	c->has_outcome = false;
	advance(c, now);
	return 0;
}

void dns_control_read(struct dns_control *c, u64 now)
{
	c->wants_read = true;
	advance(c, now);
}

void dns_control_flush(struct dns_control *c, u64 now)
{
	c->wants_flush = true;
	advance(c, now);
}

size_t dns_control_files(struct dns_control *c, const char *out[static DNS_CONTROL_FILES_MAX])
{
	switch (c->method) {
	case DNS_CONTROL_DISABLED:
	case DNS_CONTROL_ETC_RESOLV_CONF:
		out[0] = c->paths.resolv_conf;
		return 1;
	case DNS_CONTROL_SYSTEMD_RESOLVED:
		out[0] = c->paths.resolv_conf;
		out[1] = "/run/systemd/resolve/resolv.conf";
		return 2;
	case DNS_CONTROL_DNSMASQ:
		dnsmasq_upstreams(&c->paths, c->upstreams);
		out[0] = c->upstreams;
		return 1;
	}
	return 0;
}

bool dns_control_poll_event(struct dns_control *c, struct dns_control_event *out)
{
	if (c->has_outcome) {
		c->has_outcome = false;
		out->type = c->outcome ? DNS_CONTROL_FAILED : DNS_CONTROL_ACTIVE;
		out->error = c->outcome;
		out->why = c->outcome ? c->why : "";
		out->n = 0;
		return true;
	}
	if (c->has_servers) {
		c->has_servers = false;
		out->type = DNS_CONTROL_SERVERS;
		out->error = 0;
		out->why = "";
		out->n = c->n_servers;
		memcpy(out->servers, c->servers, sizeof(c->servers[0]) * c->n_servers);
		return true;
	}
	return false;
}

/* Until nothing runs and nothing is wanted, at most DNS_CONTROL_EXIT_LIMIT. */
static void wait_for_all(struct dns_control *c)
{
	const u64 end = time_add(sys_now(), DNS_CONTROL_EXIT_LIMIT);

	for (u64 now = sys_now(); command_runs(&c->cmd) && now < end; now = sys_now()) {
		struct pollfd p = { .fd = c->cmd.epoll_fd, .events = POLLIN };
		poll(&p, 1, (int)(COMMAND_LOOK / MSEC(1)));
		look(c, sys_now());
	}
}

static int remove_drop_in(struct dns_control *c, bool *is_changed)
{
	int rc = find_folder(c);

	*is_changed = false;
	if (rc)
		return rc;
	rc = dnsmasq_remove(c->dnsmasq_dir, is_changed);
	if (rc) {
		snprintf(c->why, sizeof(c->why), "cannot remove %s/" DNS_CONTROL_DROP_IN ": %s", c->dnsmasq_dir, strerror(errno));
		return rc;
	}
	c->is_set = false;
	if (*is_changed) {
		c->stats.restores++;
		c->wants_remove = true;
		advance(c, sys_now());
	}
	return 0;
}

int dns_control_recover(struct dns_control *c)
{
	bool is_changed;

	switch (c->method) {
	case DNS_CONTROL_DISABLED:
	case DNS_CONTROL_SYSTEMD_RESOLVED:
		return 0;
	case DNS_CONTROL_ETC_RESOLV_CONF:
		return resolv_conf_recover(&c->file);
	case DNS_CONTROL_DNSMASQ:
		if (remove_drop_in(c, &is_changed))
			log_warn("cannot put dnsmasq back to what it was", kv_s("reason", c->why));
		else if (is_changed)
			log_info("sentinels of an earlier run taken from dnsmasq", kv_s("folder", c->dnsmasq_dir));
		wait_for_all(c);
		return 0;
	}
	return 0;
}

int dns_control_deactivate(struct dns_control *c)
{
	bool is_changed;
	int rc = 0;

	c->wants_activate = c->wants_read = c->wants_flush = false;
	switch (c->method) {
	case DNS_CONTROL_DISABLED:
	case DNS_CONTROL_SYSTEMD_RESOLVED: /* vanishes with the interface */
		break;
	case DNS_CONTROL_ETC_RESOLV_CONF:
		rc = resolv_conf_deactivate(&c->file);
		if (rc)
			log_warn("resolv.conf is not put back", kv_s("reason", c->why));
		break;
	case DNS_CONTROL_DNSMASQ:
		if (!c->is_set)
			break;
		rc = remove_drop_in(c, &is_changed);
		if (rc)
			log_warn("cannot put dnsmasq back to what it was", kv_s("reason", c->why));
		wait_for_all(c);
		break;
	}
	return rc;
}
