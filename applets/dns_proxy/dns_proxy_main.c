#define LOG_TARGET "dns_proxy"
#include "applets/applet.h"
#include "applets/common/ca.h"
#include "applets/common/dns_sockets.h"
#include "applets/common/logging.h"
#include "applets/dns_proxy/query_log.h"
#include "applets/dns_proxy/server.h"
#include "applets/dns_proxy/settings.h"
#include "applets/dns_proxy/stats.h"
#include "core/base/log.h"
#include "core/http/tls.h"
#include "platform/sys.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILES_WISHED 4096u

struct app {
	struct proxy_settings settings;
	struct config config; /* that is in force; rules and clients are the proxy's */
	struct loop *loop;
	struct forwarder *forwarder;
	struct dns_sockets *sockets;
	struct proxy *proxy;
	struct server *server;
	struct query_log *query_log;
	struct stats *stats;
	struct tls_anchors *anchors; /* only when https:// servers were there at the start */
	u64 started, reloads, reloads_failed;
};

/* --- what is wrong with a configuration --- */

static void report_stderr(void *ctx, const char *place, const char *what)
{
	(void)ctx;
	fprintf(stderr, "%s: %s\n", place, what);
}

static void report_log(void *ctx, const char *place, const char *what)
{
	(void)ctx;
	log_error("configuration", kv_s("at", place), kv_s("problem", what));
}

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "emberbox dns-proxy: %s: %s\n", what, why);
	return 1;
}

/* --- queries --- */

static void on_asked(void *ctx)
{
	dns_sockets_kick(((struct app *)ctx)->sockets);
}

static void on_answer(void *ctx, const struct dns_answer *a, u64 now)
{
	struct app *app = ctx;
	struct proxy_answer out;

	if (proxy_answer(app->proxy, now, a, &out))
		server_answer(app->server, now, &out);
	else
		dns_sockets_kick(app->sockets); /* another name may be asked now */
}

/* --- statistics --- */

static void put_servers(const struct app *app, struct json_out *o, u32 group)
{
	const struct dns_server *servers = NULL;
	size_t n = split_group(proxy_rules(app->proxy), group, &servers);
	u32 key = proxy_group_key(app->proxy, group);
	struct forward_server_stats st;

	json_open_array(o, NULL);
	for (u32 i = 0; i < n; i++) {
		if (!forwarder_server_stats(app->forwarder, key, i, &st))
			continue;
		json_open(o, NULL);
		if (servers[i].transport == DNS_OVER_HTTPS)
			json_put_str(o, "server", servers[i].url);
		else
			json_put_endpoint(o, "server", &servers[i].addr);
		json_put_str(o, "transport", servers[i].transport == DNS_OVER_UDP ? "udp" : servers[i].transport == DNS_OVER_TCP ? "tcp" : "https");
		json_put_u64(o, "asked", st.asked);
		json_put_u64(o, "answered", st.answered);
		json_put_u64(o, "failed", st.failed);
		json_put_u64(o, "failures_in_row", st.failures_in_row);
		json_put_u64(o, "srtt_us", st.srtt / 1000);
		json_close(o);
	}
	json_close_array(o);
}

static void put_forwarding(const struct app *app, struct json_out *o)
{
	const struct forward_stats *f = forwarder_stats(app->forwarder);
	u32 groups = split_counts(proxy_rules(app->proxy)).groups;

	json_open(o, "forwarding");
	json_put_u64(o, "asked", f->asked);
	json_put_u64(o, "answered", f->answered);
	json_put_u64(o, "servfail_made", f->servfail_made);
	json_put_u64(o, "shared", f->shared);
	json_put_u64(o, "exchanges", f->exchanges);
	json_put_u64(o, "raced", f->raced);
	json_put_u64(o, "repeated", f->repeated);
	json_put_u64(o, "retried_tcp", f->retried_tcp);
	json_put_u64(o, "next_server", f->next_server);
	json_put_u64(o, "wrong_id", f->wrong_id + dns_sockets_stats(app->sockets)->udp_unmatched);
	json_put_u64(o, "wrong_question", f->wrong_question);
	json_put_u64(o, "wrong_sender", f->wrong_sender);
	json_put_u64(o, "malformed", f->malformed);
	json_open_array(o, "groups");
	for (u32 i = 0; i < groups; i++)
		put_servers(app, o, i);
	json_close_array(o);
	json_close(o);
}

static void put_cache(const struct app *app, struct json_out *o)
{
	const struct dns_cache_stats *c = proxy_cache_stats(app->proxy);

	if (!c)
		return;
	json_open(o, "cache");
	json_put_u64(o, "hits", c->hits);
	json_put_u64(o, "stored", c->stored);
	json_put_u64(o, "not_kept", c->not_kept);
	json_put_u64(o, "expired", c->expired);
	json_put_u64(o, "evicted", c->evicted);
	json_put_u64(o, "entries", c->entries);
	json_put_u64(o, "bytes", c->bytes);
	json_close(o);
}

static void put_rules(const struct app *app, struct json_out *o)
{
	const struct split_counts c = split_counts(proxy_rules(app->proxy));

	json_open(o, "rules");
	json_put_u64(o, "rules", c.rules);
	json_put_u64(o, "records", c.records);
	json_put_u64(o, "search", c.search);
	json_put_u64(o, "blocked_names", c.blocked_names);
	json_put_u64(o, "blocklist_bytes", c.blocklist_bytes);
	json_put_u64(o, "reloads", app->reloads);
	json_put_u64(o, "reloads_failed", app->reloads_failed);
	json_close(o);
}

static void put_stats(void *ctx, struct json_out *o)
{
	const struct app *app = ctx;
	const struct proxy_stats *p = proxy_stats(app->proxy);
	struct server_stats s;
	struct sys_usage usage;

	server_stats(app->server, &s);
	json_put_u64(o, "uptime_secs", (loop_now(app->loop) - app->started) / NSEC_PER_SEC);
	json_open(o, "queries");
	json_put_u64(o, "all", p->queries);
	json_put_u64(o, "tcp", p->tcp_queries);
	for (enum proxy_outcome i = 0; i < PROXY_OUTCOMES; i++)
		json_put_u64(o, query_log_outcome(i), p->outcomes[i]);
	json_put_u64(o, "malformed", p->malformed);
	json_put_u64(o, "truncated", p->truncated);
	json_put_u64(o, "searched", p->searched);
	json_put_u64(o, "servfail", p->servfail);
	json_put_u64(o, "over_limit", p->over_limit);
	json_put_u64(o, "in_flight", p->in_flight);
	json_close(o);
	put_cache(app, o);
	put_forwarding(app, o);
	put_rules(app, o);
	json_open(o, "sockets");
	json_put_u64(o, "udp_received", s.udp_received);
	json_put_u64(o, "udp_sent", s.udp_sent);
	json_put_u64(o, "udp_receives", s.udp_receives);
	json_put_u64(o, "udp_sends", s.udp_sends);
	json_put_u64(o, "udp_too_long", s.udp_too_long);
	json_put_u64(o, "udp_not_sent", s.udp_not_sent);
	json_put_u64(o, "tcp_connections", s.tcp_connections);
	json_put_u64(o, "tcp_over_limit", s.tcp_over_limit);
	json_put_u64(o, "tcp_open", s.connections);
	json_close(o);
	json_put_u64(o, "query_log_dropped_bytes", query_log_dropped(app->query_log));
	if (sys_usage(&usage) == 0) {
		json_put_u64(o, "rss_bytes", usage.rss_bytes);
		json_put_u64(o, "cpu_us", (usage.cpu_user_ns + usage.cpu_system_ns) / 1000);
	}
}

/* --- a configuration comes into force --- */

static void use_bootstrap(struct app *app)
{
	if (app->config.n_bootstrap > 0)
		dns_sockets_set_bootstrap(app->sockets, app->config.bootstrap, app->config.n_bootstrap);
}

static void prepare_https(struct app *app)
{
	u32 groups = split_counts(proxy_rules(app->proxy)).groups;
	const struct dns_server *servers = NULL;

	for (u32 g = 0; g < groups; g++) {
		size_t n = split_group(proxy_rules(app->proxy), g, &servers);
		for (size_t i = 0; i < n; i++)
			dns_sockets_prepare(app->sockets, &servers[i]);
	}
}

static void open_query_log(struct app *app)
{
	const struct config *c = &app->config;
	struct query_log *fresh = NULL;
	int rc = 0;

	if (c->query_log[0])
		fresh = query_log_open(app->loop, c->query_log, c->logs_json, &rc);
	if (rc != 0) {
		log_error("the query log cannot be opened", kv_s("file", c->query_log), kv_s("reason", rc == ERR_IO ? strerror(errno) : err_str(rc)));
		if (app->query_log)
			return; /* better the old one than none */
	}
	query_log_close(app->query_log);
	app->query_log = fresh;
	proxy_set_observer(app->proxy, fresh ? query_log_note : NULL, fresh);
}

/* Rules and clients go to the proxy; the rest is remembered. */
static int use_config(struct app *app, struct config *fresh)
{
	int rc = proxy_set_rules(app->proxy, loop_now(app->loop), fresh->split, &fresh->clients, fresh->refuses_silently);

	if (rc != 0)
		return rc;
	fresh->split = NULL;
	if (fresh->cache_bytes != app->config.cache_bytes && proxy_set_cache(app->proxy, fresh->cache_bytes) != 0) {
		log_warn("no memory for another cache, the old one stays");
		fresh->cache_bytes = app->config.cache_bytes;
	}
	app->config = *fresh;
	use_bootstrap(app);
	prepare_https(app);
	dns_sockets_kick(app->sockets);
	return 0;
}

static void tell_what_needs_a_restart(const struct config *old, const struct config *fresh)
{
	bool moved = old->n_listen != fresh->n_listen;

	for (u32 i = 0; !moved && i < old->n_listen; i++)
		moved = !endpoint_eq(&old->listen[i], &fresh->listen[i]);
	if (moved)
		log_warn("`listen` changed: that takes effect after a restart");
	if (strcmp(old->stats_socket, fresh->stats_socket) != 0)
		log_warn("`stats-socket` changed: that takes effect after a restart");
	if (strcmp(old->user, fresh->user) != 0)
		log_warn("`user` changed: that takes effect after a restart");
}

static void reload(void *ctx, int signo)
{
	struct app *app = ctx;
	struct config fresh;
	int rc = proxy_settings_load(&app->settings, &fresh, sys_rng(), report_log, NULL);

	(void)signo;
	if (rc == 0 && fresh.wants_https && !app->anchors) {
		log_error("configuration", kv_s("problem", "https:// servers are new: they need a restart"));
		rc = ERR_STATE;
	}
	if (rc == 0) {
		tell_what_needs_a_restart(&app->config, &fresh);
		rc = use_config(app, &fresh);
	}
	if (rc != 0) {
		config_deinit(&fresh);
		app->reloads_failed++;
		log_error("the old configuration stays in force", kv_err(rc));
		return;
	}
	open_query_log(app);
	app->reloads++;
	const struct split_counts c = split_counts(proxy_rules(app->proxy));
	log_info("configuration read again", kv_u("rules", c.rules), kv_u("records", c.records), kv_u("blocked", c.blocked_names));
}

/* --- start --- */

static void stop(void *ctx, int signo)
{
	struct app *app = ctx;

	log_info("stopping", kv_s("signal", signo == SIGINT ? "SIGINT" : "SIGTERM"));
	loop_stop(app->loop);
}

static const char *advice(int rc)
{
	switch (rc) {
	case ERR_EXISTS: return "the port is in use: stop the other server (systemd-resolved, dnsmasq, …) or choose another --listen";
	case ERR_NOT_FOUND: return "no interface of this host has this address";
	case ERR_DENIED: return "ports below 1024 need root or CAP_NET_BIND_SERVICE";
	case ERR_UNSUPPORTED: return "this host does not support the address family";
	}
	return rc == ERR_IO ? strerror(errno) : err_str(rc);
}

/* ::1 is listened on by default, but a host without IPv6 is no mistake of anybody. */
static bool is_optional(const struct app *app, const struct endpoint *at, int rc)
{
	return !app->config.is_given[CONFIG_LISTEN] && at->ip.family == 6 && (rc == ERR_UNSUPPORTED || rc == ERR_NOT_FOUND);
}

static int open_listeners(struct app *app)
{
	char text[ENDPOINT_STRLEN], what[ENDPOINT_STRLEN + 32];

	for (u32 i = 0; i < app->config.n_listen; i++) {
		const struct endpoint *at = &app->config.listen[i];
		bool is_tcp;
		int rc = server_listen(app->server, at, &is_tcp);
		if (rc != 0 && !is_optional(app, at, rc)) {
			snprintf(what, sizeof(what), "cannot listen on %s (%s)", endpoint_format(at, text), is_tcp ? "tcp" : "udp");
			return fail(what, advice(rc));
		}
		if (rc == 0)
			log_info("listening", kv_ep("at", at));
	}
	return 0;
}

static int open_stats(struct app *app)
{
	const struct config *c = &app->config;
	char what[CONFIG_PATH_MAX + 64];
	int rc = 0;

	if (!c->stats_socket[0])
		return 0;
	app->stats = stats_open(app->loop, c->stats_socket, put_stats, app, &rc);
	if (app->stats)
		return 0;
	const char *why = rc == ERR_IO || rc == ERR_EXISTS ? strerror(errno) : err_str(rc);
	if (!c->is_stats_given) {
		log_info("no statistics", kv_s("socket", c->stats_socket), kv_s("reason", why));
		return 0;
	}
	snprintf(what, sizeof(what), "cannot listen on %s (stats-socket)", c->stats_socket);
	return fail(what, why);
}

static int drop_root(struct app *app)
{
	const struct config *c = &app->config;
	const char *user = geteuid() == 0 || c->is_user_given ? c->user : NULL;
	int rc = sys_drop_privileges(0, user);

	if (rc == ERR_NOT_FOUND && !c->is_user_given) {
		log_warn("this system has no user `nobody`: the process stays root, without capabilities");
		rc = sys_drop_privileges(0, NULL);
	}
	if (rc == 0)
		return 0;
	return fail(rc == ERR_NOT_FOUND ? "no such user" : "cannot become user", c->user);
}

static int load_authorities(struct app *app)
{
	char why[256];

	if (!app->config.wants_https)
		return 0;
	return ca_load(app->settings.ca_file, &app->anchors, why, sizeof(why)) == 0 ? 0 : fail("authorities of https:// servers", why);
}

static int make_engine(struct app *app, struct config *first)
{
	struct rng *rng = sys_rng();

	app->loop = loop_new(&(struct loop_clock){ sys_clock_now, sys_clock_wall, NULL });
	app->forwarder = forwarder_new(rng, PROXY_QUERIES_MAX);
	if (!app->loop || !app->forwarder)
		return ERR_NOMEM;
	const struct dns_sockets_config sockets = { .rng = rng, .anchors = app->anchors, .on_answer = on_answer, .ctx = app };
	const struct proxy_config proxy = { .forwarder = app->forwarder, .rng = rng, .cache_bytes = first->cache_bytes };
	const struct server_config server = { .on_asked = on_asked, .ctx = app };
	app->sockets = dns_sockets_new(app->loop, app->forwarder, &sockets);
	app->proxy = proxy_new(&proxy);
	if (!app->sockets || !app->proxy)
		return ERR_NOMEM;
	struct server_config with_proxy = server;
	with_proxy.proxy = app->proxy;
	app->server = server_new(app->loop, &with_proxy);
	if (!app->server || loop_signal(app->loop, SIGINT, stop, app) != 0 || loop_signal(app->loop, SIGTERM, stop, app) != 0 ||
	    loop_signal(app->loop, SIGHUP, reload, app) != 0)
		return ERR_NOMEM;
	app->started = loop_now(app->loop);
	return use_config(app, first);
}

static int run(struct app *app)
{
	struct config first = app->config;

	sys_limit_files(FILES_WISHED);
	int rc = load_authorities(app);
	if (rc != 0)
		return rc;
	rc = make_engine(app, &first);
	if (rc != 0)
		return fail("cannot start", err_str(rc));
	rc = open_listeners(app);
	if (rc == 0)
		rc = open_stats(app);
	if (rc != 0)
		return rc;
	open_query_log(app);
	if (app->config.query_log[0] && !app->query_log)
		return fail("the query log cannot be opened", app->config.query_log);
	if (app->config.n_upstream == 0)
		log_warn("nobody to ask: names without a rule or record are answered SERVFAIL; see `upstream`");
	rc = drop_root(app);
	if (rc != 0)
		return rc;
	sys_notify("READY=1");
	loop_run(app->loop);
	return 0;
}

static void tear_down(struct app *app)
{
	stats_close(app->stats);
	server_free(app->server);
	if (app->proxy)
		proxy_set_observer(app->proxy, NULL, NULL);
	query_log_close(app->query_log);
	dns_sockets_free(app->sockets);
	proxy_free(app->proxy);
	forwarder_free(app->forwarder);
	loop_free(app->loop);
	tls_anchors_free(app->anchors);
}

static int say_checked(const struct config *c)
{
	const struct split_counts n = split_counts(c->split);

	printf("configuration is fine: %u rules, %u records, %u blocked names, %u default servers\n", n.rules, n.records, n.blocked_names,
	       c->n_upstream);
	return fflush(stdout) ? 1 : 0;
}

int dns_proxy_main(int argc, char **argv)
{
	static struct app app;

	proxy_settings_read(&app.settings, argc, argv);
	int rc = proxy_settings_load(&app.settings, &app.config, sys_rng(), report_stderr, NULL);
	if (app.settings.wants_stats)
		return app.config.stats_socket[0] ? stats_print(app.config.stats_socket) : fail("stats-socket", "off");
	if (rc != 0) {
		if (app.config.errors > CONFIG_ERRORS_MAX)
			fprintf(stderr, "and %u more\n", app.config.errors - CONFIG_ERRORS_MAX);
		config_deinit(&app.config);
		return 2;
	}
	if (app.settings.checks)
		return say_checked(&app.config);
	struct logging logging = { .program = "emberbox-dns-proxy", .format = app.settings.log_format == 1 ? LOG_JSON : LOG_HUMAN };
	rc = logging_setup(&logging);
	if (rc == 0)
		rc = run(&app);
	tear_down(&app);
	return rc;
}
