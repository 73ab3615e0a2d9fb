/* The relay's order of things: options, sockets, privileges, then the portal; bind first, then join (spec 70 §1). */
#define LOG_TARGET "relay"
#include "applets/applet.h"
#include "applets/common/health.h"
#include "applets/common/ident.h"
#include "applets/common/logging.h"
#include "applets/common/portal_link.h"
#include "applets/relay/control.h"
#include "applets/relay/relay.h"
#include "core/base/encode.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/crypto/key.h"
#include "core/turn/credentials.h"
#include "platform/sys.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECRET_BYTES 32u
#define FILES_BESIDE_PORTS 1024u /* spec 50 §6 */

struct app {
	struct settings settings;
	struct loop *loop;
	struct relay *relay;
	struct health *health;
	struct control *control;
	struct link *link; /* RELAY_PORTAL only */
	struct rng_seeded seeded;
	char secret[HEX_SIZE(SECRET_BYTES)];
	int exit_code;
};

static int print_credentials(const struct settings *s)
{
	char username[64], password[TURN_PASSWORD_SIZE], expiry[32];
	u64 until = (sys_wall() + s->print_credentials) / NSEC_PER_SEC;
	int n = snprintf(expiry, sizeof(expiry), "%llu", (unsigned long long)until);
	int m = snprintf(username, sizeof(username), "%s:emberbox", expiry);

	if (s->stamp_secret)
		turn_firezone_password(SPAN(expiry, n), SPAN(s->stamp_secret, strlen(s->stamp_secret)), SPAN_STR("emberbox"), password);
	else
		turn_rest_password(SPAN(s->static_auth_secret, strlen(s->static_auth_secret)), SPAN(username, m), password);
	printf("{\"username\":\"%s\",\"password\":\"%s\",\"realm\":\"%s\"}\n", username, password,
	       s->stamp_secret ? "firezone" : s->realm);
	return 0;
}

static void on_signal(void *ctx, int signo)
{
	struct app *app = ctx;

	log_info("stopping", kv_s("signal", signo == SIGINT ? "SIGINT" : "SIGTERM"));
	loop_stop(app->loop);
}

/* 32 fresh bytes as text; the text is the secret (spec 50 §3.1). */
static void draw_secret(struct app *app, struct rng *rng)
{
	u8 bytes[SECRET_BYTES];

	rng_fill(rng, bytes, sizeof(bytes));
	(void)hex_encode(app->secret, sizeof(app->secret), SPAN(bytes, sizeof(bytes)));
	secret_wipe(bytes, sizeof(bytes));
}

static const char *secret_of(const struct app *app)
{
	switch (app->settings.mode) {
	case RELAY_PORTAL: return app->secret;
	case RELAY_FIREZONE: return app->settings.stamp_secret;
	case RELAY_STANDALONE: return NULL;
	}
	return NULL;
}

/* Ports open later: the wish for large buffers needs CAP_NET_ADMIN unless the host allows them to everybody. */
static void drop_privileges(void)
{
	char text[32] = "";
	bool is_allowed = sys_sysctl_get("net/core/rmem_max", text, sizeof(text)) == 0 && strtoull(text, NULL, 10) >= (2u << 20);
	int rc = sys_drop_privileges(is_allowed ? 0 : SYS_KEEP_NET_ADMIN, NULL);

	if (rc != 0)
		log_debug("privileges are kept", kv_err(rc));
}

static bool is_ready(void *ctx)
{
	const struct app *app = ctx;
	return !app->link || link_is_joined(app->link);
}

static void open_health(struct app *app)
{
	int rc = 0;

	app->health = health_open(app->loop, &app->settings.health, is_ready, app, &rc);
	if (!app->health)
		log_debug("no health checks", kv_ep("listen", &app->settings.health), kv_err(rc));
}

static int set_up_logging(const struct settings *s)
{
	struct logging logging = {
		.program = "emberbox-relay",
		.format = s->log_format == 1 ? LOG_JSON : LOG_HUMAN,
	};
	return logging_setup(&logging);
}

/* The filter comes from where the first one came from: the environment. A bad one leaves the present one as it is. */
static int apply_filter(void *ctx, const char *filter)
{
	struct app *app = ctx;
	char former[CONTROL_FILTER_MAX];
	const char *env = getenv("RUST_LOG");

	snprintf(former, sizeof(former), "%s", env ? env : "");
	if (setenv("RUST_LOG", filter, 1) == 0 && set_up_logging(&app->settings) == 0)
		return 0;
	(void)setenv("RUST_LOG", former, 1);
	return ERR_INVAL;
}

static const struct turn_server_stats *control_stats(void *ctx)
{
	return relay_stats(((struct app *)ctx)->relay);
}

static void open_control(struct app *app)
{
	int rc = 0;

	app->control = control_open(app->loop,
				    &(struct control_config){ app->settings.control, apply_filter, control_stats, app }, &rc);
	if (!app->control)
		log_debug("no control endpoint", kv_ep("listen", &app->settings.control), kv_err(rc));
}

/* --- portal --------------------------------------------------------------------------------------------------------------------- */

static void portal_connected(void *ctx)
{
	(void)ctx;
	log_info("Connected to portal");
}

static void portal_lost(void *ctx, int err, const char *text, u64 retry_at)
{
	struct app *app = ctx;

	(void)err;
	log_warn("portal connection lost, trying again", kv_s("reason", text),
		 kv_u("retry_ms", time_since(retry_at, loop_now(app->loop)) / 1000000));
}

/* The only one is init, and it asks for nothing (spec 10 §9). */
static void portal_message(void *ctx, const struct portal_message *m)
{
	(void)ctx;
	(void)m;
}

static void portal_fatal(void *ctx, enum channel_fatal why, const char *text)
{
	struct app *app = ctx;

	log_error("Portal connection failed", kv_s("reason", text));
	fprintf(stderr, "emberbox relay: Portal connection failed: %s%s\n", text,
		why == CHANNEL_INVALID_TOKEN ? "; on the portal's machine \"emberbox portal token add --relay\" makes a new token" : "");
	app->exit_code = 1;
	loop_stop(app->loop);
}

static const char *public_text(const struct ip *ip, char buf[static IP_STRLEN])
{
	return ip->family ? ip_format(ip, buf) : NULL;
}

static int join_portal(struct app *app, struct rng *rng)
{
	const struct settings *s = &app->settings;
	char v4[IP_STRLEN], v6[IP_STRLEN], port[8], user_agent[IDENT_UA_MAX], why[256];
	struct sys_host host;

	sys_host(&host);
	ident_user_agent(&host, IDENT_COMPONENT_RELAY, user_agent);
	snprintf(port, sizeof(port), "%u", (unsigned)s->listen_port);
	struct link_config cfg = {
		.channel = {
			.role = MSG_ROLE_RELAY,
			.api_url = s->api_url,
			.token = s->token.text,
			.user_agent = user_agent,
			.params = {
				{ "name", s->name },
				{ "ipv4", public_text(&s->public4, v4) },
				{ "ipv6", public_text(&s->public6, v6) },
				{ "port", port },
			},
			.n_params = 4,
			.stamp_secret = app->secret,
			.max_partition = CHANNEL_PARTITION_DEFAULT,
			.rng = rng,
		},
		.ca_file = s->ca_file,
		.rng = rng,
		.cb = {
			.on_connected = portal_connected,
			.on_disconnected = portal_lost,
			.on_message = portal_message,
			.on_fatal = portal_fatal,
		},
		.ctx = app,
	};
	app->link = link_new(app->loop, &cfg, why, sizeof(why));
	if (!app->link) {
		fprintf(stderr, "emberbox relay: %s\n", why);
		return 1;
	}
	link_start(app->link, NULL);
	return 0;
}

static int run(struct app *app)
{
	struct settings *s = &app->settings;
	struct rng *rng = sys_rng();

	if (s->has_seed) {
		rng_seeded_init(&app->seeded, s->rng_seed);
		rng = &app->seeded.rng;
	}
	app->loop = loop_new(&(struct loop_clock){ sys_clock_now, sys_clock_wall, NULL });
	if (!app->loop || loop_signal(app->loop, SIGINT, on_signal, app) != 0 || loop_signal(app->loop, SIGTERM, on_signal, app) != 0) {
		fprintf(stderr, "emberbox relay: cannot start: %s\n", err_str(ERR_NOMEM));
		return 1;
	}
	draw_secret(app, rng);
	sys_limit_files(2 * (s->highest_port - s->lowest_port + 1) + FILES_BESIDE_PORTS);
	app->relay = relay_new(app->loop, s, rng, secret_of(app));
	if (!app->relay)
		return 1;
	if (s->mode == RELAY_PORTAL && join_portal(app, rng) != 0)
		return 1;
	sys_protect_memory();
	drop_privileges();
	open_health(app);
	open_control(app);
	sys_notify("READY=1");
	loop_run(app->loop);
	return app->exit_code;
}

int relay_main(int argc, char **argv)
{
	static struct app app;

	settings_read(&app.settings, argc, argv);
	if (app.settings.print_credentials > 0)
		return print_credentials(&app.settings);
	int rc = set_up_logging(&app.settings);
	if (rc != 0)
		return rc;
	rc = run(&app);
	health_close(app.health);
	control_close(app.control);
	link_free(app.link);
	relay_free(app.relay);
	loop_free(app.loop);
	secret_wipe(app.secret, sizeof(app.secret));
	token_wipe(&app.settings.token);
	return rc;
}
