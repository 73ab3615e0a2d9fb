#define LOG_TARGET "portal::serve"

#include "applets/portal/serve.h"

#include "applets/portal/admin_socket.h"
#include "applets/portal/auth/auth.h"
#include "applets/portal/geo_db.h"
#include "applets/portal/http/conn.h"
#include "applets/portal/http/router.h"
#include "applets/portal/idp.h"
#include "applets/portal/jobs.h"
#include "applets/portal/news.h"
#include "applets/portal/mail/mailer.h"
#include "applets/portal/state.h"
#include "core/base/log.h"
#include "platform/sys.h"
#include "platform/tcp.h"

#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define ACCEPTS_PER_EVENT 64
#define ACCEPT_PAUSE MSEC(100)	  /* when descriptors have run out */
#define LOCK_RETRY MSEC(100)
#define PEM_MAX (1u << 20)
#define TROUBLE_RETRY SEC(2)	  /* when nothing can be saved */
#define TROUBLE_ROOM (256u * 1024u) /* bytes; with less it would not be over for long */
#define FILES_WANTED (CONNS_MAX + 64u)

struct serving {
	struct server server;
	struct state state;
	struct admin_socket *admin;
	struct sendmail *sendmail; /* until the mailer has it */
	struct hub_config hub;
	struct loop_timer hub_timer, stop_timer, pause_timer, open_timer, trouble_timer;
	u64 give_up_opening;
	int rc; /* why it ended */
	struct {
		int fd;
		struct loop_fd *watch;
	} listeners[SERVE_LISTENERS_MAX];
	u32 n_listeners;
	u64 stopping_since;
};

/* ---- files ------------------------------------------------------------------------------------------------------------------------- */

static u8 *read_file(const char *path, size_t *n)
{
	FILE *f = fopen(path, "re");
	u8 *buf = f ? malloc(PEM_MAX) : NULL;

	*n = buf ? fread(buf, 1, PEM_MAX, f) : 0;
	if (!buf || ferror(f) || *n == PEM_MAX) {
		fprintf(stderr, "emberbox portal: cannot read %s: %s\n", path, *n == PEM_MAX ? "too large" : strerror(errno));
		free(buf);
		buf = NULL;
	}
	if (f)
		fclose(f);
	return buf;
}

static int load_identity(struct serving *s, const struct serve_config *cfg)
{
	size_t n_cert, n_key;
	u8 *cert = read_file(cfg->tls_cert, &n_cert), *key = cert ? read_file(cfg->tls_key, &n_key) : NULL;
	int rc = key ? tls_identity_new(SPAN(cert, n_cert), SPAN(key, n_key), &s->server.identity) : ERR_IO;

	if (key) {
		sodium_memzero(key, n_key);
		if (rc)
			fprintf(stderr, "emberbox portal: %s and %s cannot be used: %s\n", cfg->tls_cert, cfg->tls_key,
				rc == ERR_INVAL	      ? "the key does not belong to the certificate" :
				rc == ERR_UNSUPPORTED ? "this kind of key is not supported (EC or RSA, not encrypted)" :
				rc == ERR_NOT_FOUND   ? "no certificate or no key is in them" :
							err_str(rc));
	}
	free(cert);
	free(key);
	return rc;
}

static int load_places(struct serving *s, const struct serve_config *cfg)
{
	char why[GEO_DB_WHY_MAX];
	int rc = cfg->geo_db ? geo_db_open(cfg->geo_db, &s->server.geo_db, why) : 0;

	if (rc)
		fprintf(stderr, "emberbox portal: --geo-db: %s cannot be used: %s\n", cfg->geo_db, why);
	return rc;
}

/* There is a newer file. A broken one changes nothing. */
static void on_hangup(void *ctx, int signo)
{
	struct serving *s = ctx;
	const char *path = s->server.cfg->geo_db;
	char why[GEO_DB_WHY_MAX];
	struct geo_db *newer;

	(void)signo;
	if (geo_db_open(path, &newer, why)) {
		log_warn("the new database of places cannot be used", kv_s("file", path), kv_s("reason", why));
		return;
	}
	geo_db_close(s->server.geo_db);
	s->server.geo_db = newer;
	log_info("database of places opened anew", kv_s("kind", geo_db_kind(newer)), kv_u("built", (u64)geo_db_built(newer)));
}

/* ---- the hub's clock ------------------------------------------------------------------------------------------------------------------ */

static void rearm(struct server *server)
{
	struct serving *s = container_of(server, struct serving, server);

	if (!server->is_starting)
		loop_timer_set(server->loop, &s->hub_timer, hub_next_timeout(server->portal->hub));
}

static void on_hub_wants_time(void *server)
{
	rearm(server);
}

static void on_hub_timer(void *ctx, u64 now)
{
	struct serving *s = ctx;
	struct hub *hub = s->server.portal->hub;

	hub_timeout(hub, now, loop_wall(s->server.loop));
	if (hub_next_timeout(hub) <= now)
		loop_yield(s->server.loop);
	rearm(&s->server);
}

/* ---- when nothing can be saved (store.h) ----------------------------------------------------------------------------------------------- */

static void on_trouble(void *ctx, const char *why)
{
	struct serving *s = ctx;

	if (store_is_lost(s->state.portal.store)) {
		log_error("the portal stops: what was answered before is saved, nothing after", kv_s("reason", why), kv_s("dir", s->server.cfg->dir));
		s->rc = ERR_IO;
		loop_stop(s->server.loop);
		return;
	}
	if (!why) {
		log_info("changes can be saved again");
		return;
	}
	log_error("nothing can be saved: changes are refused, everything else goes on", kv_s("reason", why), kv_s("dir", s->server.cfg->dir));
	loop_timer_set(s->server.loop, &s->trouble_timer, loop_now(s->server.loop) + TROUBLE_RETRY);
}

static void on_settled(void *ctx, u64 ticket)
{
	struct serving *s = ctx;

	server_settled(&s->server, ticket);
}

static void on_trouble_timer(void *ctx, u64 now)
{
	struct serving *s = ctx;
	struct statvfs fs;
	bool has_room = statvfs(s->server.cfg->dir, &fs) != 0 || (u64)fs.f_bavail * fs.f_frsize >= TROUBLE_ROOM;

	if (!has_room || store_try(s->state.portal.store))
		loop_timer_set(s->server.loop, &s->trouble_timer, now + TROUBLE_RETRY);
}

/* ---- listening -------------------------------------------------------------------------------------------------------------------------- */

static void set_listening(struct serving *s, bool is_on)
{
	for (u32 i = 0; i < s->n_listeners; i++)
		if (s->listeners[i].watch)
			loop_fd_set(s->listeners[i].watch, is_on ? LOOP_READ : 0);
}

static void on_pause_over(void *ctx, u64 now)
{
	struct serving *s = ctx;

	(void)now;
	set_listening(s, s->server.n_conns < CONNS_MAX);
	if (s->server.n_conns >= CONNS_MAX)
		loop_timer_set(s->server.loop, &s->pause_timer, loop_now(s->server.loop) + ACCEPT_PAUSE);
}

static void on_listener(void *ctx, int fd, unsigned events, u64 now)
{
	struct serving *s = ctx;

	(void)events;
	for (int i = 0; i < ACCEPTS_PER_EVENT; i++) {
		struct endpoint peer;
		int client = s->server.n_conns < CONNS_MAX ? tcp_accept(fd, &peer) : ERR_LIMIT;

		if (client == ERR_LIMIT) {
			log_warn("no more connections can be taken", kv_u("connections", s->server.n_conns));
			set_listening(s, false);
			loop_timer_set(s->server.loop, &s->pause_timer, now + ACCEPT_PAUSE);
		}
		if (client < 0)
			return;
		conn_open(&s->server, client, &peer);
	}
}

static int listen_all(struct serving *s, const struct serve_config *cfg)
{
	char text[ENDPOINT_STRLEN];

	for (u32 i = 0; i < cfg->n_listen; i++) {
		int fd = tcp_listen(&cfg->listen[i]);

		endpoint_format(&cfg->listen[i], text);
		if (fd == ERR_UNSUPPORTED && cfg->may_lack_family)
			continue;
		if (fd < 0) {
			fprintf(stderr, "emberbox portal: cannot listen on %s: %s\n", text,
				fd == ERR_EXISTS ? "the port is in use: stop the other program or choose another --listen (quickstart: --port)" :
				fd == ERR_DENIED ? "not permitted (ports below 1024 need root or CAP_NET_BIND_SERVICE)" :
						   strerror(errno));
			return fd;
		}
		s->listeners[s->n_listeners].fd = fd;
		s->listeners[s->n_listeners].watch = loop_fd_add(s->server.loop, fd, LOOP_READ, on_listener, s);
		s->n_listeners++;
		struct endpoint local = cfg->listen[i];
		(void)tcp_local(fd, &local);
		log_info("listening", kv_ep("address", &local), kv_b("tls", s->server.identity != NULL));
	}
	if (s->n_listeners == 0)
		fprintf(stderr, "emberbox portal: there is nothing to listen on\n");
	return s->n_listeners ? 0 : ERR_UNSUPPORTED;
}

static void stop_listening(struct serving *s)
{
	for (u32 i = 0; i < s->n_listeners; i++) {
		loop_fd_del(s->listeners[i].watch);
		close(s->listeners[i].fd);
	}
	s->n_listeners = 0;
}

/* ---- stopping ---------------------------------------------------------------------------------------------------------------------------- */

static void on_stopping(void *ctx, u64 now)
{
	struct serving *s = ctx;
	struct hub *hub = s->server.portal->hub;

	if (hub)
		(void)hub_restart(hub, now, loop_wall(s->server.loop), STOP_BATCH);
	rearm(&s->server);
	if (now >= s->stopping_since + STOP_PATIENCE)
		conn_give_up_all(&s->server);
	if ((s->server.n_conns == 0 && !(s->state.portal.store && store_ticket(s->state.portal.store))) || now >= s->stopping_since + STOP_TIMEOUT)
		loop_stop(s->server.loop);
	else
		loop_timer_set(s->server.loop, &s->stop_timer, now + STOP_BATCH_INTERVAL);
}

static void on_signal(void *ctx, int signo)
{
	struct serving *s = ctx;
	u64 now = loop_now(s->server.loop);

	if (s->server.is_stopping) {
		loop_stop(s->server.loop);
		return;
	}
	log_info("stopping", kv_u("signal", signo), kv_u("connections", s->server.n_conns));
	(void)sys_notify("STOPPING=1");
	s->server.is_stopping = true;
	s->stopping_since = now;
	stop_listening(s);
	loop_timer_clear(s->server.loop, &s->open_timer);
	conn_stop_all(&s->server);
	conn_end_streams(&s->server);
	on_stopping(s, now);
}

/* ---- starting ---------------------------------------------------------------------------------------------------------------------------- */

/* A root that owns its state directory needs none of root's powers any more. */
static void drop_powers(const char *dir)
{
	struct stat st;

	if (stat(dir, &st) == 0 && st.st_uid == geteuid() && sys_drop_privileges(0, NULL))
		log_debug("privileges were not dropped");
}

static int open_mail(struct serving *s, char why[static STATE_WHY_MAX])
{
	const struct mail_config *cfg = s->server.cfg->mail;
	struct sendmail *helper = s->sendmail;
	char reason[MAIL_WHY_MAX];
	int rc;

	if (cfg->way == MAIL_BY_NOTHING)
		return 0;
	s->sendmail = NULL;
	rc = mailer_new(&s->state.portal, s->server.loop, cfg, s->server.cfg->mail_second, helper, &s->state.portal.mailer, reason);
	if (rc)
		snprintf(why, STATE_WHY_MAX, "mail cannot be sent: %s", reason);
	return rc;
}

/* 0: ready. ERR_AGAIN: a command works in the directory. */
static int open_state(struct serving *s, char why[static STATE_WHY_MAX])
{
	const struct serve_config *cfg = s->server.cfg;
	struct portal *p = &s->state.portal;
	int rc = state_open(&s->state, cfg->dir, &s->hub, why);

	p->rng = sys_rng();
	p->web_url = cfg->web_url;
	p->api_url = cfg->api_url;
	if (rc)
		return rc;
	store_watch(p->store, on_trouble, s);
	rc = server_init(&s->server);
	rc = rc ? rc : auth_new(&p->auth, p, s->server.loop, sys_memory_available());
	if (!rc) {
		p->auth->allows_sign_up = cfg->allows_sign_up;
		p->auth->sign_up_domains = cfg->sign_up_domains;
		p->auth->n_sign_up_domains = cfg->n_sign_up_domains;
	}
	rc = rc ? rc : idp_open(p, s->server.loop, cfg->idp);
	if (rc)
		snprintf(why, STATE_WHY_MAX, "out of memory or descriptors");
	rc = rc ? rc : open_mail(s, why);
	if (!rc) {
		p->jobs = jobs_new(p, s->server.loop);
		if (!p->jobs) {
			snprintf(why, STATE_WHY_MAX, "out of memory");
			rc = ERR_NOMEM;
		}
	}
	rc = rc ? rc : admin_socket_open(&s->server, &s->admin, why, STATE_WHY_MAX);
	if (!rc && (rc = store_defer(p->store, s->server.loop, on_settled, s)))
		snprintf(why, STATE_WHY_MAX, "%s: %s", cfg->dir, store_reason(p->store));
	return rc;
}

static void on_open(void *ctx, u64 now)
{
	struct serving *s = ctx;
	char why[STATE_WHY_MAX] = "";
	int rc = open_state(s, why);

	if (rc == ERR_AGAIN && now < s->give_up_opening) {
		loop_timer_set(s->server.loop, &s->open_timer, now + LOCK_RETRY);
	} else if (rc) {
		fprintf(stderr, "emberbox portal: %s\n", why);
		s->rc = rc;
		loop_stop(s->server.loop);
	} else {
		drop_powers(s->server.cfg->dir);
		s->server.is_starting = false;
		rearm(&s->server);
		log_info("portal is ready", kv_s("dir", s->server.cfg->dir), kv_s("url", s->server.cfg->web_url));
		(void)sys_notify("READY=1");
	}
}

static int start(struct serving *s, const struct serve_config *cfg)
{
	int rc = cfg->tls_cert ? load_identity(s, cfg) : 0;

	rc = rc ? rc : load_places(s, cfg);
	rc = rc ? rc : listen_all(s, cfg);
	rc = rc ? rc : loop_signal(s->server.loop, SIGTERM, on_signal, s);
	rc = rc ? rc : loop_signal(s->server.loop, SIGINT, on_signal, s);
	rc = rc || !cfg->geo_db ? rc : loop_signal(s->server.loop, SIGHUP, on_hangup, s);
	s->give_up_opening = loop_now(s->server.loop) + SERVE_LOCK_PATIENCE;
	loop_timer_set(s->server.loop, &s->open_timer, loop_now(s->server.loop));
	return rc;
}

/* ---- all ------------------------------------------------------------------------------------------------------------------------------------ */

static void init(struct serving *s, const struct serve_config *cfg)
{
	s->hub = (struct hub_config){ .api_url = cfg->api_url, .wants_service = conn_service, .ctx = &s->server,
				      .rate_capacity = cfg->rate_capacity, .rate_refill = cfg->rate_refill,
				      .news = &live_news, .news_ctx = &s->state.portal, .clock = sys_now,
				      .wants_time = on_hub_wants_time };
	s->state.lock_fd = -1;
	s->state.portal.rng = sys_rng();
	s->server = (struct server){ .portal = &s->state.portal, .cfg = cfg, .areas = router_areas, .changed = rearm, .is_starting = true };
	s->server.waiting_task = (struct loop_task){ .cb = conn_upgrade_some, .ctx = &s->server };
	s->hub_timer.cb = on_hub_timer;
	s->stop_timer.cb = on_stopping;
	s->pause_timer.cb = on_pause_over;
	s->open_timer.cb = on_open;
	s->trouble_timer.cb = on_trouble_timer;
	s->hub_timer.ctx = s->stop_timer.ctx = s->pause_timer.ctx = s->open_timer.ctx = s->trouble_timer.ctx = s;
}

int serve(const struct serve_config *cfg)
{
	struct serving *s = calloc(1, sizeof(*s));

	if (!s)
		return 1;
	init(s, cfg);
	sys_protect_memory();
	/* before there are descriptors, threads and secrets, and while this process may still start what it likes */
	const struct mail_config *by_program = cfg->mail_second && cfg->mail_second->way == MAIL_BY_SENDMAIL ? cfg->mail_second : cfg->mail;
	if (by_program->way == MAIL_BY_SENDMAIL && sendmail_start(by_program->sendmail, by_program->from, &s->sendmail)) {
		fprintf(stderr, "emberbox portal: no process can be started for %s: %s\n", by_program->sendmail, strerror(errno));
		free(s);
		return 1;
	}
	(void)sys_limit_files(FILES_WANTED);
	s->server.loop = loop_new(&(struct loop_clock){ sys_clock_now, sys_clock_wall, NULL });
	if (s->server.loop)
		loop_measure(s->server.loop, sys_cpu);
	s->rc = s->server.loop ? start(s, cfg) : ERR_NOMEM;
	if (!s->rc)
		loop_run(s->server.loop);
	int rc = s->rc;
	stop_listening(s);
	conn_free_all(&s->server);
	jobs_free(s->state.portal.jobs);
	s->state.portal.jobs = NULL;
	mailer_free(s->state.portal.mailer);
	sendmail_free(s->sendmail);
	auth_free(s->state.portal.auth);
	idp_close(&s->state.portal);
	server_deinit(&s->server);
	admin_socket_close(s->admin);
	state_close(&s->state); /* waits for the disk */
	loop_free(s->server.loop);
	tls_identity_free(s->server.identity);
	geo_db_close(s->server.geo_db);
	free(s);
	return rc ? 1 : 0;
}
