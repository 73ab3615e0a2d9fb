/* The gateway applet: start, wire, run, leave (spec 40 §1, §2, §3.2, §14). */
#define LOG_TARGET "gateway"
#include "applets/applet.h"
#include "applets/common/corridor.h"
#include "applets/common/health.h"
#include "applets/common/ident.h"
#include "applets/common/logging.h"
#include "applets/common/net_watch.h"
#include "applets/common/portal_link.h"
#include "applets/common/startup.h"
#include "applets/gateway/settings.h"
#include "applets/gateway/site_dns.h"
#include "applets/gateway/tunnel_dns.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/crypto/aead.h"
#include "core/dns/lookup.h"
#include "core/tunnel/gateway.h"
#include "platform/firewall.h"
#include "platform/sys.h"
#include "platform/udp.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define PROGRAM "firezone-gateway"
#define GOODBYE_GRACE SEC(1) /* spec 40 §14.3 */

struct session {
	const struct gateway_settings *cfg;
	struct loop *loop;
	struct gateway *gateway;
	struct corridor *corridor;
	struct net_watch net;
	struct link *link;
	struct health *health;
	struct site_dns *site;
	struct tunnel_dns *dns;
	struct loop_timer end_timer;
	bool has_firewall;
	bool is_ready;
	bool is_leaving;
	int exit_code;
};

/* Goodbye to every client and to the portal; the loop ends when the portal's Close is written, or after GOODBYE_GRACE. */
static void leave(struct session *s, int exit_code)
{
	if (s->is_leaving)
		return;
	s->is_leaving = true;
	s->exit_code = exit_code;
	gateway_shutdown(s->gateway, loop_now(s->loop));
	corridor_kick(s->corridor);
	link_close(s->link);
	loop_timer_set(s->loop, &s->end_timer, time_add(loop_now(s->loop), GOODBYE_GRACE));
}

static void end_due(void *ctx, u64 now)
{
	(void)now;
	loop_stop(((struct session *)ctx)->loop);
}

/* --- what the engine wants ----------------------------------------------------------------------------------------------------- */

/* On the families that work (spec 40 §11). */
static void serve_dns(struct session *s, const struct gateway_tun_config *tun, unsigned stack)
{
	struct ip addrs[2];
	size_t n = 0;

	if (stack & NET_V4)
		addrs[n++] = tun->ipv4;
	if (stack & NET_V6)
		addrs[n++] = tun->ipv6;
	tunnel_dns_bind(s->dns, loop_now(s->loop), addrs, n);
}

/* Comes with every init and is idempotent (spec 40 §3.2). */
static void apply_tun_config(struct session *s, const struct gateway_tun_config *tun)
{
	unsigned stack = 0;
	int rc = net_set_addresses(s->net.net, &tun->ipv4, &tun->ipv6, &stack);

	if (rc) {
		log_error("cannot give the tunnel interface its addresses", kv_err(rc), kv_s("reason", strerror(errno)),
			  kv_ip("ipv4", &tun->ipv4), kv_ip("ipv6", &tun->ipv6));
		leave(s, 1);
		return;
	}
	rc = net_set_routes(s->net.net, tun->routes, ARRAY_LEN(tun->routes));
	if (rc) {
		log_error("cannot set the routes into the tunnel", kv_err(rc));
		leave(s, 1);
		return;
	}
	serve_dns(s, tun, stack);
	if (s->is_ready)
		return;
	s->is_ready = true;
	log_info("tunnel interface is up", kv_s("interface", s->cfg->tun_name), kv_ip("ipv4", &tun->ipv4), kv_ip("ipv6", &tun->ipv6));
	sys_notify("READY=1");
}

static void resolve(struct session *s, const struct gateway_event *e)
{
	u64 now = loop_now(s->loop);
	int rc = site_dns_resolve(s->site, now, e->domain, e->token);

	if (!rc)
		return;
	log_warn("cannot look up a name", kv_s("domain", e->domain), kv_err(rc));
	gateway_resolved(s->gateway, now, loop_wall(s->loop), e->token, NULL, 0, rc);
	corridor_kick(s->corridor);
}

static void handle_event(struct session *s, const struct gateway_event *e)
{
	switch (e->type) {
	case GATEWAY_TUN_CONFIG:
		apply_tun_config(s, e->tun);
		break;
	case GATEWAY_SEND: {
		int rc = link_send(s->link, e->message);
		if (rc && rc != ERR_EXISTS)
			log_debug("message for the portal is lost", kv_s("message", msg_type_name(e->message->type)), kv_err(rc));
		break;
	}
	case GATEWAY_CLIENT_CONNECTED:
	case GATEWAY_CLIENT_LOST:
		break; /* logged by the engine */
	case GATEWAY_RESOLVE:
		resolve(s, e);
		break;
	case GATEWAY_CLIENT_PATH:
		log_info("path to client", kv_uuid("client", &e->peer), kv_s("path", node_path_name(e->path)), kv_ep("local", &e->local),
			 kv_ep("remote", &e->remote));
		break;
	}
}

static void engine_events(void *ctx, u64 now)
{
	struct session *s = ctx;
	struct gateway_event e;

	(void)now;
	while (gateway_poll_event(s->gateway, &e))
		handle_event(s, &e);
}

/* --- DNS of the site (spec 40 §9.3, §11) --------------------------------------------------------------------------------------------- */

static void name_resolved(void *ctx, u64 now, const struct lookup_result *r)
{
	struct session *s = ctx;

	int error = !r->error && r->is_failure ? ERR_AGAIN : r->error;

	gateway_resolved(s->gateway, now, loop_wall(s->loop), r->token, r->ips, (size_t)r->n4 + r->n6, error);
	corridor_kick(s->corridor);
}

static void client_answered(void *ctx, u64 now, const struct dns_answer *a)
{
	tunnel_dns_answer(((struct session *)ctx)->dns, now, a);
}

static int client_asks(void *ctx, u64 now, struct span query, const struct dns_query *q, bool came_by_tcp, u64 token)
{
	return site_dns_ask(((struct session *)ctx)->site, now, query, q, came_by_tcp, token);
}

static void client_forgets(void *ctx, u64 token)
{
	site_dns_forget(((struct session *)ctx)->site, token);
}

static void dns_failed(void *ctx, int err)
{
	fprintf(stderr, "%s: cannot serve DNS on port %u of the tunnel: %s\n", PROGRAM, TUNNEL_DNS_PORT, err_str(err));
	leave(ctx, 1);
}

static int open_dns(struct session *s)
{
	struct site_dns_config site = { .rng = sys_rng(), .on_resolved = name_resolved, .on_answer = client_answered, .ctx = s };
	struct tunnel_dns_config dns = { .port = TUNNEL_DNS_PORT, .ask = client_asks, .forget = client_forgets, .on_failed = dns_failed,
					 .ctx = s };

	s->site = site_dns_new(s->loop, &site);
	s->dns = tunnel_dns_new(s->loop, &dns);
	return s->site && s->dns ? 0 : startup_fail(PROGRAM, "DNS", ERR_NOMEM);
}

/* --- the corridor's view of the engine ------------------------------------------------------------------------------------------- */

static struct gateway *engine(void *ctx)
{
	return ((struct session *)ctx)->gateway;
}

static void engine_udp(void *ctx, u64 now, u64 wall, struct udp_rx *rx, size_t n)
{
	gateway_udp_input(engine(ctx), now, wall, rx, n);
}

static bool engine_poll_tun(void *ctx, struct tun_pkt *out)
{
	return gateway_poll_tun(engine(ctx), out);
}

static void engine_tun(void *ctx, u64 now, u64 wall, struct tun_pkt *pkt, size_t n)
{
	gateway_tun_input(engine(ctx), now, wall, pkt, n);
}

static void engine_flush(void *ctx, u64 now)
{
	gateway_flush(engine(ctx), now);
}

static bool engine_poll_transmit(void *ctx, struct udp_tx *out)
{
	return gateway_poll_transmit(engine(ctx), out);
}

static void engine_timeout(void *ctx, u64 now, u64 wall)
{
	gateway_timeout(engine(ctx), now, wall);
}

static u64 engine_next_timeout(void *ctx)
{
	return gateway_next_timeout(engine(ctx));
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
	gateway_portal_lost(s->gateway);
	log_warn("portal connection lost, trying again", kv_s("reason", text),
		 kv_u("retry_ms", time_since(retry_at, loop_now(s->loop)) / 1000000));
}

static void portal_message(void *ctx, const struct portal_message *m)
{
	struct session *s = ctx;

	gateway_message(s->gateway, loop_now(s->loop), loop_wall(s->loop), m);
	corridor_kick(s->corridor);
}

static void portal_fatal(void *ctx, enum channel_fatal why, const char *text)
{
	(void)why;
	log_error("Eventloop failed: Failed to login to portal", kv_s("reason", text));
	fprintf(stderr, "%s: Failed to login to portal: %s\n", PROGRAM, text);
	leave(ctx, 1);
}

static void portal_closed(void *ctx)
{
	loop_stop(((struct session *)ctx)->loop);
}

static struct link *open_link(struct session *s, char *why, size_t why_cap)
{
	char firezone_id[IDENT_ID_MAX], external_id[IDENT_ID_MAX], name[IDENT_ID_MAX], user_agent[IDENT_UA_MAX];
	char ident_why[IDENT_WHY_BYTES];
	struct sys_host host;

	if (ident_firezone_id(IDENT_GATEWAY, s->cfg->id, NULL, sys_rng(), firezone_id, ident_why)) {
		snprintf(why, why_cap, "%s", ident_why);
		return NULL;
	}
	sys_host(&host);
	log_info("starting", kv_s("arch", host.arch), kv_s("os", host.os), kv_s("os_version", host.os_version),
		 kv_u("uptime_secs", host.uptime_secs));
	ident_external_id(firezone_id, external_id);
	ident_name(s->cfg->name, sys_rng(), name);
	ident_user_agent(&host, IDENT_COMPONENT_GATEWAY, user_agent);
	struct link_config link = {
		.channel = {
			.role = MSG_ROLE_GATEWAY,
			.api_url = s->cfg->api_url,
			.token = s->cfg->token.text,
			.user_agent = user_agent,
			.params = { { "external_id", external_id }, { "name", name } },
			.n_params = 2,
			.max_partition = s->cfg->max_partition_ns,
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
			.on_closed = portal_closed,
		},
		.ctx = s,
	};
	return link_new(s->loop, &link, why, why_cap);
}

/* --- signals, timers --------------------------------------------------------------------------------------------------------------- */

static void on_signal(void *ctx, int signo)
{
	(void)signo;
	leave(ctx, 0);
}

/* --- start and end ------------------------------------------------------------------------------------------------------------------ */

/* A gateway that cannot forward still runs: the packaged units set up forwarding themselves (spec 40 §2.2). */
static void open_firewall(struct session *s)
{
	const char *egress[OPT_LIST_MAX + 1] = { NULL };
	int rc = firewall_enable_forwarding();

	if (rc)
		log_warn("cannot enable IP forwarding; set net.ipv4.ip_forward and net.ipv6.conf.all.forwarding to 1", kv_err(rc));
	for (size_t i = 0; i < s->cfg->egress.n; i++)
		egress[i] = s->cfg->egress.item[i];
	rc = firewall_install(&(struct firewall_config){ .tunnel = s->cfg->tun_name, .egress = s->cfg->egress.n ? egress : NULL });
	if (rc)
		log_warn("cannot install forwarding and masquerading; set them up yourself and pass --no-firewall", kv_err(rc));
	s->has_firewall = rc == 0;
}

static void open_health(struct session *s)
{
	int rc;

	s->health = health_open(s->loop, &s->cfg->health, NULL, NULL, &rc);
	if (!s->health)
		log_info("health checks are not served", kv_ep("address", &s->cfg->health), kv_err(rc));
}

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
	/* A gateway never resets (spec 20 §9.5): its connections heal by themselves. */
	rc = net_watch_open(&s->net, s->loop, corridor_ifindex(s->corridor), NULL, s);
	if (rc)
		return startup_fail(PROGRAM, "network configuration", rc);
	if (!s->cfg->keeps_firewall)
		open_firewall(s);
	open_health(s);
	return 0;
}

static int open_signals(struct session *s)
{
	int rc = loop_signal(s->loop, SIGINT, on_signal, s);

	if (rc == 0)
		rc = loop_signal(s->loop, SIGTERM, on_signal, s);
	return rc ? startup_fail(PROGRAM, "signals", rc) : 0;
}

static int run(struct session *s)
{
	u8 key[32];
	int rc = open_network(s);

	if (rc == 0)
		rc = open_dns(s);
	if (rc == 0)
		rc = open_signals(s);
	if (rc)
		return rc;
	rc = sys_drop_privileges(SYS_KEEP_NET_ADMIN, NULL);
	if (rc)
		log_warn("cannot give up privileges", kv_err(rc));
	s->end_timer = (struct loop_timer){ .cb = end_due, .ctx = s };
	gateway_public_key(s->gateway, key);
	link_start(s->link, key);
	loop_run(s->loop);
	if (s->exit_code == 0)
		log_info("Goodbye!");
	return s->exit_code;
}

static void close_all(struct session *s)
{
	link_free(s->link);
	tunnel_dns_free(s->dns);
	site_dns_free(s->site);
	corridor_close(s->corridor, GOODBYE_GRACE);
	health_close(s->health);
	if (s->has_firewall)
		firewall_remove(s->cfg->tun_name);
	net_watch_close(&s->net);
	gateway_free(s->gateway);
	loop_free(s->loop);
}

static int start(const struct gateway_settings *cfg)
{
	struct loop_clock clock = { sys_clock_now, sys_clock_wall, NULL };
	struct session s = { .cfg = cfg, .loop = loop_new(&clock) };
	char why[512];
	int rc = 1;

	if (!s.loop || aead_init())
		return startup_fail(PROGRAM, "start", ERR_NOMEM);
	if (!cfg->keeps_buffers && sys_raise_socket_buffers())
		log_info("cannot raise the limits of socket buffers");
	s.link = open_link(&s, why, sizeof(why));
	if (!s.link) {
		log_info(why);
		fprintf(stderr, "%s: %s\n", PROGRAM, why);
		goto out;
	}
	s.gateway = gateway_new(&(struct gateway_config){ .rng = sys_rng(), .has_flow_logs = cfg->has_flow_logs,
							   .validates_checksums = cfg->validates_checksums }, loop_now(s.loop));
	if (!s.gateway) {
		rc = startup_fail(PROGRAM, "start", ERR_NOMEM);
		goto out;
	}
	rc = run(&s);
out:
	close_all(&s);
	return rc;
}

int gateway_main(int argc, char **argv)
{
	static struct gateway_settings cfg;
	int rc = gateway_settings_read(&cfg, argc, argv);

	if (rc >= 0)
		return rc;
	sys_protect_memory();
	rc = logging_setup(&(struct logging){
		.program = PROGRAM,
		.format = (enum log_format)cfg.log_format,
		.extra_filter = cfg.has_flow_logs ? "flow_logs=trace" : NULL,
	});
	if (rc == 0)
		rc = start(&cfg);
	token_wipe(&cfg.token);
	return rc;
}
