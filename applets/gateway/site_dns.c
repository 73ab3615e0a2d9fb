#define LOG_TARGET "gateway::dns"
#include "applets/gateway/site_dns.h"

#include "applets/common/dns_sockets.h"
#include "core/base/log.h"
#include "core/dns/lookup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { GROUP_LOOKUPS, GROUP_CLIENTS };

/* A file as it was when it was read last. */
struct watched {
	const char *path;
	bool is_there;
	struct stat st;
};

struct site_dns {
	struct loop *loop;
	struct site_dns_config cfg;
	struct forwarder *forwarder;
	struct dns_sockets *sockets;
	struct lookup *lookup;
	struct loop_timer lookup_timer, files_timer;
	struct loop_task results;
	struct watched resolv_conf, hosts;
	size_t n_servers;
};

/* --- files ------------------------------------------------------------------------------------------------------------------------------- */

static bool is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* True when it is another one than last time. */
static bool has_changed(struct watched *w)
{
	struct stat st;
	bool was_there = w->is_there;

	w->is_there = stat(w->path, &st) == 0;
	if (!w->is_there)
		return was_there;
	bool is_new = !was_there || !is_same_file(&st, &w->st);
	w->st = st;
	return is_new;
}

/* The text, to be freed; NULL when it cannot be read. */
static char *read_text(const char *path, size_t *n)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *text = NULL;
	size_t have = 0, cap = 0;

	while (fd >= 0) {
		if (have == cap) {
			char *more = cap > SITE_DNS_FILE_MAX ? NULL : realloc(text, cap = cap ? 2 * cap : 4096);
			if (!more)
				break;
			text = more;
		}
		ssize_t got = read(fd, text + have, cap - have);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			break;
		if (got == 0) {
			close(fd);
			*n = have;
			return text;
		}
		have += (size_t)got;
	}
	if (fd >= 0)
		close(fd);
	free(text);
	return NULL;
}

static void read_resolv_conf(struct site_dns *d, u64 now)
{
	static struct dns_server servers[FORWARD_SERVERS_MAX];
	struct lookup_conf conf;
	struct forward_group g;
	char host[256] = "";
	size_t n = 0;
	char *text = read_text(d->resolv_conf.path, &n);

	if (gethostname(host, sizeof(host) - 1))
		host[0] = 0;
	lookup_conf_parse(&conf, SPAN(text ? text : "", n), host);
	free(text);
	lookup_conf_group(&conf, servers, &g);
	d->n_servers = g.n;
	int rc = forwarder_set_group(d->forwarder, now, GROUP_LOOKUPS, &g);
	g.timeout = FORWARD_TIMEOUT; /* spec 40 §11 */
	g.is_ordered = false;
	if (!rc)
		rc = forwarder_set_group(d->forwarder, now, GROUP_CLIENTS, &g);
	lookup_set_conf(d->lookup, &conf);
	dns_sockets_kick(d->sockets);
	if (rc)
		log_error("cannot use the resolvers of this host", kv_err(rc));
	else if (g.n == 0)
		log_warn("this host has no resolver: names of resources will have no addresses", kv_s("file", d->resolv_conf.path));
	else
		log_info("resolvers of this host", kv_u("servers", g.n), kv_ip("first", &servers[0].addr.ip));
}

static void read_hosts(struct site_dns *d)
{
	size_t n = 0;
	char *text = read_text(d->hosts.path, &n);

	if (lookup_set_hosts(d->lookup, SPAN(text ? text : "", n)))
		log_error("no memory for the hosts file", kv_s("file", d->hosts.path));
	free(text);
}

static void look_at_files(void *ctx, u64 now)
{
	struct site_dns *d = ctx;

	if (has_changed(&d->resolv_conf))
		read_resolv_conf(d, now);
	if (has_changed(&d->hosts))
		read_hosts(d);
	loop_timer_set(d->loop, &d->files_timer, time_add(now, SITE_DNS_REREAD));
}

/* --- lookups ------------------------------------------------------------------------------------------------------------------------------- */

static void give_results(void *ctx, u64 now)
{
	struct site_dns *d = ctx;
	struct lookup_result r;

	while (lookup_poll(d->lookup, &r))
		d->cfg.on_resolved(d->cfg.ctx, now, &r);
	loop_timer_set(d->loop, &d->lookup_timer, lookup_next_timeout(d->lookup));
}

/* The lookup was called: it may have results, questions, or another deadline. */
static void lookup_moved(struct site_dns *d)
{
	dns_sockets_kick(d->sockets);
	loop_task_queue(d->loop, &d->results);
}

static void lookup_due(void *ctx, u64 now)
{
	struct site_dns *d = ctx;

	lookup_timeout(d->lookup, now);
	lookup_moved(d);
}

static void on_answer(void *ctx, const struct dns_answer *a, u64 now)
{
	struct site_dns *d = ctx;

	if (!lookup_owns(a->token)) {
		d->cfg.on_answer(d->cfg.ctx, now, a);
		return;
	}
	lookup_answer(d->lookup, now, a);
	lookup_moved(d);
}

int site_dns_resolve(struct site_dns *d, u64 now, const char *name, u64 token)
{
	int rc = lookup_start(d->lookup, now, name, token);

	lookup_moved(d);
	return rc;
}

int site_dns_ask(struct site_dns *d, u64 now, struct span query, const struct dns_query *q, bool came_by_tcp, u64 token)
{
	int rc = forwarder_ask(d->forwarder, now, GROUP_CLIENTS, query, q, came_by_tcp, token);

	dns_sockets_kick(d->sockets);
	return rc;
}

void site_dns_forget(struct site_dns *d, u64 token)
{
	forwarder_forget(d->forwarder, token);
	dns_sockets_kick(d->sockets);
}

size_t site_dns_servers(const struct site_dns *d)
{
	return d->n_servers;
}

/* --- life ----------------------------------------------------------------------------------------------------------------------------------- */

struct site_dns *site_dns_new(struct loop *l, const struct site_dns_config *cfg)
{
	struct site_dns *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->loop = l;
	d->cfg = *cfg;
	d->resolv_conf.path = cfg->resolv_conf ? cfg->resolv_conf : "/etc/resolv.conf";
	d->hosts.path = cfg->hosts ? cfg->hosts : "/etc/hosts";
	d->lookup_timer = (struct loop_timer){ .cb = lookup_due, .ctx = d };
	d->files_timer = (struct loop_timer){ .cb = look_at_files, .ctx = d };
	d->results = (struct loop_task){ .cb = give_results, .ctx = d };
	d->forwarder = forwarder_new(cfg->rng, SITE_DNS_QUERIES_MAX);
	if (d->forwarder) {
		d->sockets = dns_sockets_new(l, d->forwarder, &(struct dns_sockets_config){ .mark = cfg->mark, .rng = cfg->rng,
											     .on_answer = on_answer, .ctx = d });
		d->lookup = lookup_new(d->forwarder, GROUP_LOOKUPS, cfg->rng);
	}
	if (!d->sockets || !d->lookup) {
		site_dns_free(d);
		return NULL;
	}
	(void)has_changed(&d->resolv_conf);
	(void)has_changed(&d->hosts);
	read_resolv_conf(d, loop_now(l));
	read_hosts(d);
	loop_timer_set(l, &d->files_timer, time_add(loop_now(l), SITE_DNS_REREAD));
	return d;
}

void site_dns_free(struct site_dns *d)
{
	if (!d)
		return;
	loop_timer_clear(d->loop, &d->lookup_timer);
	loop_timer_clear(d->loop, &d->files_timer);
	loop_task_cancel(d->loop, &d->results);
	if (d->lookup)
		lookup_free(d->lookup);
	if (d->sockets)
		dns_sockets_free(d->sockets);
	if (d->forwarder)
		forwarder_free(d->forwarder);
	free(d);
}
