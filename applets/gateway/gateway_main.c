/* The gateway applet: start, wire, run, leave (spec 40 §1, §2, §3.2, §14). */
#define LOG_TARGET "gateway"
#include "applets/applet.h"
#include "applets/common/health.h"
#include "applets/common/logging.h"
#include "applets/common/startup.h"
#include "applets/common/tunnel_end.h"
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

#include <signal.h>
#include <stdio.h>

#define PROGRAM "firezone-gateway"
#define GOODBYE_GRACE SEC(1) /* spec 40 §14.3 */

struct session {
	const struct gateway_settings *cfg;
	struct loop *loop;
	struct gateway *gateway;
	struct tunnel_end end;
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
	corridor_kick(s->end.corridor);
	link_close(s->end.link);
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

	if (!tunnel_end_set_addresses(&s->end, &tun->ipv4, &tun->ipv6, &stack)) {
		leave(s, 1);
		return;
	}
	int rc = net_set_routes(s->end.net.net, tun->routes, ARRAY_LEN(tun->routes));
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
	corridor_kick(s->end.corridor);
}

static void handle_event(struct session *s, const struct gateway_event *e)
{
	switch (e->type) {
	case GATEWAY_TUN_CONFIG:
		apply_tun_config(s, e->tun);
		break;
	case GATEWAY_SEND:
		tunnel_end_send(&s->end, e->message);
		break;
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

static void engine_events(void *ctx)
{
	struct session *s = ctx;
	struct gateway_event e;

	while (gateway_poll_event(s->gateway, &e))
		handle_event(s, &e);
}

/* --- DNS of the site (spec 40 §9.3, §11) --------------------------------------------------------------------------------------------- */

static void name_resolved(void *ctx, u64 now, const struct lookup_result *r)
{
	struct session *s = ctx;

	int error = !r->error && r->is_failure ? ERR_AGAIN : r->error;

	gateway_resolved(s->gateway, now, loop_wall(s->loop), r->token, r->ips, (size_t)r->n4 + r->n6, error);
	corridor_kick(s->end.corridor);
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
	struct tunnel_dns_config dns = { .port = TUNNEL_DNS_PORT, .clients = { net_peers4, net_peers6 }, .ask = client_asks,
					 .forget = client_forgets, .on_failed = dns_failed, .ctx = s };

	s->site = site_dns_new(s->loop, &site);
	s->dns = tunnel_dns_new(s->loop, &dns);
	return s->site && s->dns ? 0 : startup_fail(PROGRAM, "DNS", ERR_NOMEM);
}

TUNNEL_ENGINE(gateway, struct gateway);

/* --- portal ---------------------------------------------------------------------------------------------------------------------- */

static void portal_fatal(void *ctx, enum channel_fatal why, const char *text)
{
	log_error("Eventloop failed: Failed to login to portal", kv_s("reason", text));
	fprintf(stderr, "%s: Failed to login to portal: %s%s\n", PROGRAM, text,
		why == CHANNEL_INVALID_TOKEN ? "; an administrator makes a new token on the page of the site, Deploy a gateway" : "");
	leave(ctx, 1);
}

static void portal_closed(void *ctx)
{
	loop_stop(((struct session *)ctx)->loop);
}

static bool open_link(struct session *s, char *why, size_t why_cap)
{
	struct tunnel_end_portal p = {
		.role = MSG_ROLE_GATEWAY,
		.id = s->cfg->id,
		.name = s->cfg->name,
		.api_url = s->cfg->api_url,
		.token = s->cfg->token.text,
		.ca_file = s->cfg->ca_file,
		.max_partition = s->cfg->max_partition_ns,
	};
	return tunnel_end_link(&s->end, &p, why, why_cap);
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
	/* A gateway never resets (spec 20 §9.5): its connections heal by themselves. */
	int rc = tunnel_end_open(&s->end, s->cfg->tun_name, NULL);

	if (rc)
		return rc;
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
	link_start(s->end.link, key);
	loop_run(s->loop);
	if (s->exit_code == 0)
		log_info("Goodbye!");
	return s->exit_code;
}

static void close_all(struct session *s)
{
	tunnel_end_close(&s->end, GOODBYE_GRACE);
	tunnel_dns_free(s->dns);
	site_dns_free(s->site);
	health_close(s->health);
	if (s->has_firewall)
		firewall_remove(s->cfg->tun_name);
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
	s.end = (struct tunnel_end){ .program = PROGRAM, .loop = s.loop, .ops = &gateway_engine, .owner = &s, .on_events = engine_events,
				     .on_fatal = portal_fatal, .on_closed = portal_closed };
	if (!open_link(&s, why, sizeof(why))) {
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
	s.end.engine = s.gateway;
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
