/* The client applet: start, wire, run, leave (spec 30 §13, §15, §18, §19.3). */
#define LOG_TARGET "client"
#include "applets/applet.h"
#include "applets/client/settings.h"
#include "applets/client/system_dns.h"
#include "applets/common/ca.h"
#include "applets/common/dns_sockets.h"
#include "applets/common/ident.h"
#include "applets/common/logging.h"
#include "applets/common/startup.h"
#include "applets/common/tunnel_end.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/crypto/aead.h"
#include "core/dns/doh.h"
#include "core/tunnel/client.h"
#include "platform/sys.h"
#include "platform/udp.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROGRAM "firezone-headless-client"
#define GOODBYE_GRACE SEC(1) /* spec 30 §13 */
#define LOG_CLEAN_INTERVAL SEC(3600)
#define RESET_PAUSE SEC(1) /* one change of the network is told by several */

struct session {
	const struct client_settings *cfg;
	struct loop *loop;
	struct client *client;
	struct tunnel_end end;
	struct system_dns *dns;
	struct dns_sockets *dns_sockets;
	struct tls_anchors *resolver_anchors; /* loaded when a resolver over HTTPS is configured */
	struct loop_timer log_timer;
	struct cidr *routes; /* of the latest TUN configuration; set once its DNS is in use */
	size_t n_routes;
	u64 reset_at; /* the last one because of the network; 0 never */
	bool is_ready;
	int exit_code;
};

static void leave(struct session *s, int exit_code)
{
	s->exit_code = exit_code;
	loop_stop(s->loop);
}

/* --- what the engine wants ----------------------------------------------------------------------------------------------------- */

/* Resolvers over HTTPS are connected to before the first query; their certificates are the public web's (spec 30 §10.4). */
static void prepare_resolvers(struct session *s)
{
	const struct dns_upstream *list;
	size_t n = client_dns_servers(s->client, &list);
	char why[200] = DOH_MISSING;

	for (size_t i = 0; i < n; i++) {
		if (list[i].server.transport != DNS_OVER_HTTPS)
			continue;
		if (!s->resolver_anchors && (!doh_is_available() || ca_load(NULL, &s->resolver_anchors, why, sizeof(why)))) {
			log_error("resolvers over HTTPS cannot be asked", kv_s("url", list[i].server.url), kv_s("reason", why));
			return;
		}
		dns_sockets_set_anchors(s->dns_sockets, s->resolver_anchors);
		dns_sockets_prepare(s->dns_sockets, &list[i].server);
	}
}

/* Addresses, then the system's DNS, then (apply_routes) routes (spec 30 §15). */
static void apply_tun_config(struct session *s, const struct client_tun_config *tun)
{
	struct ip sentinels[DNS_UPSTREAMS_MAX];
	struct cidr *routes = calloc(tun->n_routes + 1, sizeof(*routes));
	unsigned stack = 0;

	if (!routes || !tunnel_end_set_addresses(&s->end, &tun->ipv4, &tun->ipv6, &stack)) {
		free(routes);
		leave(s, 1);
		return;
	}
	if (!s->is_ready)
		log_info("tunnel interface is up", kv_s("interface", s->cfg->tun_name), kv_ip("ipv4", &tun->ipv4), kv_ip("ipv6", &tun->ipv6),
			 kv_b("has_ipv4", stack & NET_V4), kv_b("has_ipv6", stack & NET_V6));
	free(s->routes);
	memcpy(routes, tun->routes, tun->n_routes * sizeof(*routes));
	s->routes = routes;
	s->n_routes = tun->n_routes;
	for (size_t i = 0; i < tun->n_dns; i++)
		sentinels[i] = tun->dns[i].sentinel;
	prepare_resolvers(s);
	system_dns_set(s->dns, sentinels, tun->n_dns, tun->search_domain);
}

static void apply_routes(void *ctx, int error, const char *why)
{
	struct session *s = ctx;

	if (error) {
		log_error("cannot take over the system's DNS", kv_err(error), kv_s("reason", why));
		fprintf(stderr, "%s: cannot take over the system's DNS: %s (--dns-control chooses how)\n", PROGRAM, why);
		leave(s, 1);
		return;
	}
	int rc = net_set_routes(s->end.net.net, s->routes, s->n_routes);
	if (rc) {
		log_error("cannot set the routes into the tunnel", kv_err(rc), kv_u("routes", s->n_routes));
		leave(s, 1);
		return;
	}
	log_debug("Tunnel ready", kv_u("routes", s->n_routes));
	if (s->is_ready)
		return;
	s->is_ready = true;
	sys_notify("READY=1");
	if (s->cfg->is_exit)
		leave(s, 0);
}

/* The resolvers of this host: for names that are no resources, and for the portal's (spec 30 §17). */
static void resolvers_read(void *ctx, const struct ip *servers, size_t n)
{
	struct session *s = ctx;

	log_debug("resolvers of this system", kv_u("count", n));
	client_set_system_resolvers(s->client, loop_now(s->loop), servers, n);
	if (n > 0) {
		link_set_servers(s->end.link, servers, n);
		dns_sockets_set_bootstrap(s->dns_sockets, servers, n);
	}
	corridor_kick(s->end.corridor);
}

static void upstream_answered(void *ctx, const struct dns_answer *a, u64 now)
{
	struct session *s = ctx;

	client_forwarder_answer(s->client, now, a);
	corridor_kick(s->end.corridor);
}

static void handle_event(struct session *s, const struct client_event *e)
{
	switch (e->type) {
	case CLIENT_TUN_CONFIG:
		apply_tun_config(s, e->tun);
		break;
	case CLIENT_SEND:
		tunnel_end_send(&s->end, e->message);
		break;
	case CLIENT_GATEWAY_PATH:
		log_info("path to gateway", kv_uuid("gateway", &e->peer), kv_s("path", node_path_name(e->path)),
			 kv_ep("local", &e->local), kv_ep("remote", &e->remote));
		break;
	case CLIENT_RESOURCES_CHANGED:
		system_dns_flush(s->dns);
		break;
	case CLIENT_GATEWAY_CONNECTED:
	case CLIENT_GATEWAY_LOST:
		break; /* logged by the engine */
	case CLIENT_SITE_OFFLINE:
		log_warn("no gateway of the resource's site is online", kv_uuid("resource", &e->resource));
		break;
	case CLIENT_VERSION_MISMATCH:
		log_warn("the gateways of the resource's site are too old or too new for this client", kv_uuid("resource", &e->resource));
		break;
	}
}

static void engine_events(void *ctx)
{
	struct session *s = ctx;
	struct client_event e;

	while (client_poll_event(s->client, &e))
		handle_event(s, &e);
	if (client_forwarder_was_called(s->client))
		dns_sockets_kick(s->dns_sockets);
}

TUNNEL_ENGINE(client, struct client);

/* --- portal ---------------------------------------------------------------------------------------------------------------------- */

static void portal_fatal(void *ctx, enum channel_fatal why, const char *text)
{
	struct session *s = ctx;

	log_error("Firezone disconnected", kv_s("reason", text));
	fprintf(stderr, "Firezone disconnected: Connection to portal failed: %s%s\n", text,
		why == CHANNEL_INVALID_TOKEN ? "; get a new token with \"emberbox client sign-in\"" : "");
	leave(s, 1);
}

static bool open_link(struct session *s, char *why, size_t why_cap)
{
	struct ident_device device;

	ident_device(NULL, &device);
	struct tunnel_end_portal p = {
		.role = MSG_ROLE_CLIENT,
		.id = s->cfg->id,
		.name = s->cfg->name,
		.api_url = s->cfg->api_url,
		.token = s->cfg->token.text,
		.ca_file = s->cfg->ca_file,
		.max_partition = s->cfg->max_partition_ns ? s->cfg->max_partition_ns : TIME_NEVER,
		.params = {
			{ "device_serial", *device.serial ? device.serial : NULL },
			{ "device_uuid", *device.uuid ? device.uuid : NULL },
		},
		.n_params = 2,
	};
	return tunnel_end_link(&s->end, &p, why, why_cap);
}

/* --- roaming, signals, timers ------------------------------------------------------------------------------------------------------ */

static void reset(struct session *s, const char *reason)
{
	u8 key[32];

	log_info("network changed, connecting anew", kv_s("reason", reason));
	client_reset(s->client, loop_now(s->loop));
	client_public_key(s->client, key);
	corridor_rebind(s->end.corridor);
	dns_sockets_reset(s->dns_sockets);
	prepare_resolvers(s);
	link_reconnect(s->end.link, key);
	corridor_kick(s->end.corridor);
}

static void on_signal(void *ctx, int signo)
{
	struct session *s = ctx;

	if (signo == SIGHUP) {
		reset(s, "SIGHUP");
		return;
	}
	log_info("stopping", kv_s("signal", signo == SIGINT ? "SIGINT" : "SIGTERM"));
	leave(s, 0);
}

static void network_changed(struct session *s, const char *reason)
{
	u64 now = loop_now(s->loop);

	if (s->reset_at && time_since(now, s->reset_at) < RESET_PAUSE)
		return;
	s->reset_at = now;
	reset(s, reason);
}

static void uplink_changed(void *ctx)
{
	network_changed(ctx, "addresses or default route of this host");
}

static void connectivity_changed(void *ctx)
{
	network_changed(ctx, "NetworkManager has another primary connection");
}

static void log_clean_due(void *ctx, u64 now)
{
	struct session *s = ctx;

	logging_clean(s->cfg->log_dir, LOG_DIR_BYTES_MAX, loop_wall(s->loop) / NSEC_PER_SEC);
	loop_timer_set(s->loop, &s->log_timer, time_add(now, LOG_CLEAN_INTERVAL));
}

/* --- start and end ------------------------------------------------------------------------------------------------------------------ */

static int open_dns(struct session *s)
{
	struct dns_sockets_config sockets = { .mark = UDP_MARK, .rng = sys_rng(), .on_answer = upstream_answered, .ctx = s };
	struct system_dns_config cfg = {
		.control = {
			.method = (enum dns_control_method)s->cfg->dns_control,
			.interface = s->cfg->tun_name,
			.paths = { .dnsmasq_dir = s->cfg->dnsmasq_dir, .dnsmasq_restart = s->cfg->dnsmasq_restart },
		},
		.on_servers = resolvers_read,
		.on_active = apply_routes,
		.on_network = connectivity_changed,
		.ctx = s,
	};
	const char *why = "no memory";

	s->dns_sockets = dns_sockets_new(s->loop, client_forwarder(s->client), &sockets);
	s->dns = system_dns_new(s->loop, &cfg);
	int rc = s->dns && s->dns_sockets ? system_dns_start(s->dns, &why) : ERR_NOMEM;
	if (rc) {
		log_error("cannot take over the system's DNS", kv_err(rc), kv_s("reason", why));
		fprintf(stderr, "%s: %s (--dns-control chooses how the system's DNS is taken over)\n", PROGRAM, why);
		return 1;
	}
	return 0;
}

static int open_signals(struct session *s)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };

	for (unsigned i = 0; i < ARRAY_LEN(signals); i++) {
		int rc = loop_signal(s->loop, signals[i], on_signal, s);
		if (rc)
			return startup_fail(PROGRAM, "signals", rc);
	}
	return 0;
}

static int run(struct session *s)
{
	u8 key[32];
	int rc = open_signals(s);

	if (rc == 0)
		rc = tunnel_end_open(&s->end, s->cfg->tun_name, uplink_changed);
	if (rc == 0)
		rc = open_dns(s);
	if (rc)
		return rc;
	rc = sys_drop_privileges(SYS_KEEP_NET_ADMIN, NULL);
	if (rc)
		log_warn("cannot give up privileges", kv_err(rc));
	if (s->cfg->log_dir) {
		s->log_timer = (struct loop_timer){ .cb = log_clean_due, .ctx = s };
		loop_timer_set(s->loop, &s->log_timer, time_add(loop_now(s->loop), LOG_CLEAN_INTERVAL));
	}
	client_public_key(s->client, key);
	link_start(s->end.link, key);
	loop_run(s->loop);
	client_shutdown(s->client, loop_now(s->loop));
	return s->exit_code;
}

static void close_all(struct session *s)
{
	tunnel_end_close(&s->end, GOODBYE_GRACE);
	system_dns_free(s->dns);
	if (s->dns_sockets)
		dns_sockets_free(s->dns_sockets);
	tls_anchors_free(s->resolver_anchors);
	client_free(s->client);
	free(s->routes);
	loop_free(s->loop);
}

static int start(const struct client_settings *cfg)
{
	struct loop_clock clock = { sys_clock_now, sys_clock_wall, NULL };
	struct session s = { .cfg = cfg, .loop = loop_new(&clock) };
	char why[512];
	int rc = 1;

	if (!s.loop || aead_init())
		return startup_fail(PROGRAM, "start", ERR_NOMEM);
	s.end = (struct tunnel_end){ .program = PROGRAM, .loop = s.loop, .ops = &client_engine, .owner = &s, .on_events = engine_events,
				     .on_fatal = portal_fatal };
	if (!open_link(&s, why, sizeof(why))) {
		log_error("cannot use this configuration", kv_s("reason", why));
		fprintf(stderr, "%s: %s\n", PROGRAM, why);
		goto out;
	}
	if (cfg->is_check) {
		log_info("Check passed");
		rc = 0;
		goto out;
	}
	s.client = client_new(&(struct client_config){ .rng = sys_rng(), .internet_is_active = cfg->wants_internet },
			      loop_now(s.loop));
	if (!s.client) {
		rc = startup_fail(PROGRAM, "start", ERR_NOMEM);
		goto out;
	}
	s.end.engine = s.client;
	rc = run(&s);
out:
	close_all(&s);
	return rc;
}

int client_main(int argc, char **argv)
{
	static struct client_settings cfg;
	int rc = client_settings_read(&cfg, argc, argv);

	if (rc >= 0)
		return rc;
	sys_protect_memory();
	rc = logging_setup(&(struct logging){ .program = PROGRAM, .format = (enum log_format)cfg.log_format, .dir = cfg.log_dir });
	if (rc == 0) {
		if (cfg.wants_bigger_buffers && sys_raise_socket_buffers())
			log_info("cannot raise the limits of socket buffers");
		rc = start(&cfg);
	}
	token_wipe(&cfg.token);
	return rc;
}
