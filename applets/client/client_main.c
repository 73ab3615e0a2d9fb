/* The client applet: start, wire, run, leave (spec 30 §13, §15, §18, §19.3). */
#define LOG_TARGET "client"
#include "applets/applet.h"
#include "applets/client/settings.h"
#include "applets/client/system_dns.h"
#include "applets/common/ca.h"
#include "applets/common/corridor.h"
#include "applets/common/dns_sockets.h"
#include "applets/common/ident.h"
#include "applets/common/logging.h"
#include "applets/common/net_watch.h"
#include "applets/common/portal_link.h"
#include "applets/common/startup.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/crypto/aead.h"
#include "core/dns/doh.h"
#include "core/tunnel/client.h"
#include "platform/sys.h"
#include "platform/udp.h"

#include <errno.h>
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
	struct corridor *corridor;
	struct net_watch net;
	struct link *link;
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
	int rc = routes ? net_set_addresses(s->net.net, &tun->ipv4, &tun->ipv6, &stack) : ERR_NOMEM;

	if (rc) {
		log_error("cannot give the tunnel interface its addresses", kv_err(rc), kv_s("reason", strerror(errno)),
			  kv_ip("ipv4", &tun->ipv4), kv_ip("ipv6", &tun->ipv6));
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
	int rc = net_set_routes(s->net.net, s->routes, s->n_routes);
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
		link_set_servers(s->link, servers, n);
		dns_sockets_set_bootstrap(s->dns_sockets, servers, n);
	}
	corridor_kick(s->corridor);
}

static void upstream_answered(void *ctx, const struct dns_answer *a, u64 now)
{
	struct session *s = ctx;

	client_forwarder_answer(s->client, now, a);
	corridor_kick(s->corridor);
}

static void handle_event(struct session *s, const struct client_event *e)
{
	switch (e->type) {
	case CLIENT_TUN_CONFIG:
		apply_tun_config(s, e->tun);
		break;
	case CLIENT_SEND: {
		int rc = link_send(s->link, e->message);
		if (rc && rc != ERR_EXISTS)
			log_debug("message for the portal is lost", kv_s("message", msg_type_name(e->message->type)), kv_err(rc));
		break;
	}
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

static void engine_events(void *ctx, u64 now)
{
	struct session *s = ctx;
	struct client_event e;

	(void)now;
	while (client_poll_event(s->client, &e))
		handle_event(s, &e);
	if (client_forwarder_was_called(s->client))
		dns_sockets_kick(s->dns_sockets);
}

/* --- the corridor's view of the engine ------------------------------------------------------------------------------------------- */

static struct client *engine(void *ctx)
{
	return ((struct session *)ctx)->client;
}

static void engine_udp(void *ctx, u64 now, u64 wall, struct udp_rx *rx, size_t n)
{
	client_udp_input(engine(ctx), now, wall, rx, n);
}

static bool engine_poll_tun(void *ctx, struct tun_pkt *out)
{
	return client_poll_tun(engine(ctx), out);
}

static void engine_tun(void *ctx, u64 now, u64 wall, struct tun_pkt *pkt, size_t n)
{
	client_tun_input(engine(ctx), now, wall, pkt, n);
}

static void engine_flush(void *ctx, u64 now)
{
	client_flush(engine(ctx), now);
}

static bool engine_poll_transmit(void *ctx, struct udp_tx *out)
{
	return client_poll_transmit(engine(ctx), out);
}

static void engine_timeout(void *ctx, u64 now, u64 wall)
{
	client_timeout(engine(ctx), now, wall);
}

static u64 engine_next_timeout(void *ctx)
{
	return client_next_timeout(engine(ctx));
}

static const struct corridor_engine corridor_engine = {
	.udp_input = engine_udp,
	.poll_tun = engine_poll_tun,
	.tun_input = engine_tun,
	.flush = engine_flush,
	.poll_transmit = engine_poll_transmit,
	.timeout = engine_timeout,
	.next_timeout = engine_next_timeout,
	.handle_events = engine_events,
};

/* --- portal ---------------------------------------------------------------------------------------------------------------------- */

static void portal_connected(void *ctx)
{
	(void)ctx;
	log_info("Connected to portal");
}

static void portal_lost(void *ctx, int err, const char *text, u64 retry_at)
{
	struct session *s = ctx;

	(void)err;
	client_portal_lost(s->client);
	log_warn("portal connection lost, trying again", kv_s("reason", text),
		 kv_u("retry_ms", time_since(retry_at, loop_now(s->loop)) / 1000000));
}

static void portal_message(void *ctx, const struct portal_message *m)
{
	struct session *s = ctx;

	client_message(s->client, loop_now(s->loop), loop_wall(s->loop), m);
	corridor_kick(s->corridor);
}

static void portal_fatal(void *ctx, enum channel_fatal why, const char *text)
{
	struct session *s = ctx;

	(void)why;
	log_error("Firezone disconnected", kv_s("reason", text));
	fprintf(stderr, "Firezone disconnected: Connection to portal failed: %s\n", text);
	leave(s, 1);
}

static struct link *open_link(struct session *s, char *why, size_t why_cap)
{
	char firezone_id[IDENT_ID_MAX], external_id[IDENT_ID_MAX], name[IDENT_ID_MAX], user_agent[IDENT_UA_MAX];
	char ident_why[IDENT_WHY_BYTES];
	struct ident_device device;
	struct sys_host host;

	if (ident_firezone_id(IDENT_CLIENT, s->cfg->id, NULL, sys_rng(), firezone_id, ident_why)) {
		snprintf(why, why_cap, "%s", ident_why);
		return NULL;
	}
	sys_host(&host);
	ident_external_id(firezone_id, external_id);
	ident_name(s->cfg->name, sys_rng(), name);
	ident_device(NULL, &device);
	ident_user_agent(&host, IDENT_COMPONENT_CLIENT, user_agent);
	struct link_config link = {
		.channel = {
			.role = MSG_ROLE_CLIENT,
			.api_url = s->cfg->api_url,
			.token = s->cfg->token.text,
			.user_agent = user_agent,
			.params = {
				{ "external_id", external_id },
				{ "name", name },
				{ "device_serial", *device.serial ? device.serial : NULL },
				{ "device_uuid", *device.uuid ? device.uuid : NULL },
			},
			.n_params = 4,
			.max_partition = s->cfg->max_partition_ns ? s->cfg->max_partition_ns : TIME_NEVER,
			.rng = sys_rng(),
		},
		.ca_file = s->cfg->ca_file,
		.mark = UDP_MARK,
		.rng = sys_rng(),
		.cb = {
			.on_connected = portal_connected,
			.on_disconnected = portal_lost,
			.on_message = portal_message,
			.on_fatal = portal_fatal,
		},
		.ctx = s,
	};
	return link_new(s->loop, &link, why, why_cap);
}

/* --- roaming, signals, timers ------------------------------------------------------------------------------------------------------ */

static void reset(struct session *s, const char *reason)
{
	u8 key[32];

	log_info("network changed, connecting anew", kv_s("reason", reason));
	client_reset(s->client, loop_now(s->loop));
	client_public_key(s->client, key);
	corridor_rebind(s->corridor);
	dns_sockets_reset(s->dns_sockets);
	prepare_resolvers(s);
	link_reconnect(s->link, key);
	corridor_kick(s->corridor);
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

static int open_network(struct session *s)
{
	const char *what;
	struct corridor_config cc = {
		.loop = s->loop,
		.engine = &corridor_engine,
		.ctx = s,
		.tun_name = s->cfg->tun_name,
		.udp_port = UDP_PORT,
		.mark = UDP_MARK,
	};
	int rc = corridor_open(&s->corridor, &cc, &what);

	if (rc)
		return startup_fail(PROGRAM, what, rc);
	rc = net_watch_open(&s->net, s->loop, corridor_ifindex(s->corridor), uplink_changed, s);
	if (rc)
		return startup_fail(PROGRAM, "network configuration", rc);
	return 0;
}

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
		rc = open_network(s);
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
	link_start(s->link, key);
	loop_run(s->loop);
	client_shutdown(s->client, loop_now(s->loop));
	return s->exit_code;
}

static void close_all(struct session *s)
{
	link_free(s->link);
	system_dns_free(s->dns);
	if (s->dns_sockets)
		dns_sockets_free(s->dns_sockets);
	tls_anchors_free(s->resolver_anchors);
	corridor_close(s->corridor, GOODBYE_GRACE);
	net_watch_close(&s->net);
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
	s.link = open_link(&s, why, sizeof(why));
	if (!s.link) {
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
