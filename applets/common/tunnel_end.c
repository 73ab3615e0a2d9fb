#define LOG_TARGET "tunnel_end"
#include "applets/common/tunnel_end.h"

#include "applets/common/ident.h"
#include "applets/common/startup.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "platform/sys.h"
#include "platform/udp.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* --- the corridor's view of the engine ------------------------------------------------------------------------------------------- */

static void engine_udp(void *ctx, u64 now, u64 wall, struct udp_rx *rx, size_t n)
{
	struct tunnel_end *t = ctx;
	t->ops->udp_input(t->engine, now, wall, rx, n);
}

static bool engine_poll_tun(void *ctx, struct tun_pkt *out)
{
	struct tunnel_end *t = ctx;
	return t->ops->poll_tun(t->engine, out);
}

static void engine_tun(void *ctx, u64 now, u64 wall, struct tun_pkt *pkt, size_t n)
{
	struct tunnel_end *t = ctx;
	t->ops->tun_input(t->engine, now, wall, pkt, n);
}

static void engine_flush(void *ctx, u64 now)
{
	struct tunnel_end *t = ctx;
	t->ops->flush(t->engine, now);
}

static bool engine_poll_transmit(void *ctx, struct udp_tx *out)
{
	struct tunnel_end *t = ctx;
	return t->ops->poll_transmit(t->engine, out);
}

static void engine_timeout(void *ctx, u64 now, u64 wall)
{
	struct tunnel_end *t = ctx;
	t->ops->timeout(t->engine, now, wall);
}

static u64 engine_next_timeout(void *ctx)
{
	struct tunnel_end *t = ctx;
	return t->ops->next_timeout(t->engine);
}

static void engine_events(void *ctx, u64 now)
{
	struct tunnel_end *t = ctx;

	(void)now;
	t->on_events(t->owner);
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
	struct tunnel_end *t = ctx;

	(void)err;
	t->ops->portal_lost(t->engine);
	log_warn("portal connection lost, trying again", kv_s("reason", text),
		 kv_u("retry_ms", time_since(retry_at, loop_now(t->loop)) / 1000000));
}

static void portal_message(void *ctx, const struct portal_message *m)
{
	struct tunnel_end *t = ctx;

	(void)t->ops->message(t->engine, loop_now(t->loop), loop_wall(t->loop), m); /* what is wrong with one is logged there */
	corridor_kick(t->corridor);
}

static void portal_fatal(void *ctx, enum channel_fatal why, const char *text)
{
	struct tunnel_end *t = ctx;

	t->on_fatal(t->owner, why, text);
}

static void portal_closed(void *ctx)
{
	struct tunnel_end *t = ctx;

	if (t->on_closed)
		t->on_closed(t->owner);
}

bool tunnel_end_link(struct tunnel_end *t, const struct tunnel_end_portal *p, char *why, size_t why_cap)
{
	char firezone_id[IDENT_ID_MAX], external_id[IDENT_ID_MAX], name[IDENT_ID_MAX], user_agent[IDENT_UA_MAX];
	bool is_client = p->role == MSG_ROLE_CLIENT;
	char ident_why[IDENT_WHY_BYTES];
	struct sys_host host;

	if (ident_firezone_id(is_client ? IDENT_CLIENT : IDENT_GATEWAY, p->id, NULL, sys_rng(), firezone_id, ident_why)) {
		snprintf(why, why_cap, "%s", ident_why);
		return false;
	}
	sys_host(&host);
	log_info("starting", kv_s("arch", host.arch), kv_s("os", host.os), kv_s("os_version", host.os_version),
		 kv_u("uptime_secs", host.uptime_secs));
	ident_external_id(firezone_id, external_id);
	ident_name(p->name, sys_rng(), name);
	ident_user_agent(&host, is_client ? IDENT_COMPONENT_CLIENT : IDENT_COMPONENT_GATEWAY, user_agent);
	struct link_config link = {
		.channel = {
			.role = p->role,
			.api_url = p->api_url,
			.token = p->token,
			.user_agent = user_agent,
			.params = { { "external_id", external_id }, { "name", name } },
			.n_params = 2,
			.max_partition = p->max_partition,
			.rng = sys_rng(),
		},
		.ca_file = p->ca_file,
		.mark = UDP_MARK,
		.rng = sys_rng(),
		.cb = {
			.on_connected = portal_connected,
			.on_disconnected = portal_lost,
			.on_message = portal_message,
			.on_fatal = portal_fatal,
			.on_closed = portal_closed,
		},
		.ctx = t,
	};
	for (size_t i = 0; i < p->n_params; i++)
		link.channel.params[link.channel.n_params++] = p->params[i];
	t->link = link_new(t->loop, &link, why, why_cap);
	return t->link != NULL;
}

/* --- opening and closing ---------------------------------------------------------------------------------------------------------- */

int tunnel_end_open(struct tunnel_end *t, const char *tun_name, void (*on_uplink_change)(void *owner))
{
	const char *what;
	struct corridor_config cc = {
		.loop = t->loop,
		.engine = &corridor_engine,
		.ctx = t,
		.tun_name = tun_name,
		.udp_port = UDP_PORT,
		.mark = UDP_MARK,
	};
	int rc = corridor_open(&t->corridor, &cc, &what);

	if (rc)
		return startup_fail(t->program, what, rc);
	rc = net_watch_open(&t->net, t->loop, corridor_ifindex(t->corridor), on_uplink_change, t->owner);
	return rc ? startup_fail(t->program, "network configuration", rc) : 0;
}

void tunnel_end_close(struct tunnel_end *t, u64 grace_ns)
{
	corridor_close(t->corridor, grace_ns); /* first: what it flushes may still speak to the portal */
	link_free(t->link);
	net_watch_close(&t->net);
	t->link = NULL;
	t->corridor = NULL;
}

/* --- for the engine ----------------------------------------------------------------------------------------------------------------- */

bool tunnel_end_set_addresses(struct tunnel_end *t, const struct ip *ipv4, const struct ip *ipv6, unsigned *stack)
{
	int rc = net_set_addresses(t->net.net, ipv4, ipv6, stack);

	if (rc)
		log_error("cannot give the tunnel interface its addresses", kv_err(rc), kv_s("reason", strerror(errno)), kv_ip("ipv4", ipv4),
			  kv_ip("ipv6", ipv6));
	return rc == 0;
}

void tunnel_end_send(struct tunnel_end *t, const struct portal_message *m)
{
	int rc = link_send(t->link, m);

	if (rc && rc != ERR_EXISTS)
		log_debug("message for the portal is lost", kv_s("message", msg_type_name(m->type)), kv_err(rc));
}
