#define LOG_TARGET "client"
#include "applets/client/system_dns.h"

#include "core/base/err.h"
#include "core/base/log.h"

#include <stdio.h>
#include <string.h>

static void arm(struct system_dns *s)
{
	loop_timer_set(s->loop, &s->control_timer, dns_control_next_timeout(s->control));
	loop_timer_set(s->loop, &s->news_timer, host_news_next_timeout(s->news));
}

static void take_servers(struct system_dns *s, const struct dns_control_event *e)
{
	bool is_same = s->has_servers && s->n_servers == e->n;

	for (size_t i = 0; i < e->n && is_same; i++)
		is_same = ip_eq(&s->servers[i], &e->servers[i]);
	if (is_same)
		return;
	s->has_servers = true;
	s->n_servers = e->n;
	memcpy(s->servers, e->servers, sizeof(s->servers[0]) * e->n);
	log_info("resolvers of this system", kv_s("method", dns_control_method_name(s->method)), kv_u("count", e->n));
	if (s->cb.on_servers)
		s->cb.on_servers(s->ctx, s->servers, s->n_servers);
}

static void events(void *ctx, u64 now)
{
	struct system_dns *s = ctx;
	struct dns_control_event e;
	enum host_news_event news;

	while (host_news_poll_event(s->news, &news)) {
		switch (news) {
		case HOST_NEWS_DNS:
			dns_control_read(s->control, now);
			break;
		case HOST_NEWS_NETWORK:
			if (s->cb.on_network)
				s->cb.on_network(s->ctx);
			break;
		}
	}
	while (dns_control_poll_event(s->control, &e)) {
		switch (e.type) {
		case DNS_CONTROL_ACTIVE:
		case DNS_CONTROL_FAILED:
			if (s->cb.on_active)
				s->cb.on_active(s->ctx, e.error, e.why);
			break;
		case DNS_CONTROL_SERVERS:
			take_servers(s, &e);
			break;
		}
	}
	arm(s);
}

/* --- what the loop calls ------------------------------------------------------------------------------------------------------------ */

static void control_readable(void *ctx, int fd, unsigned what, u64 now)
{
	struct system_dns *s = ctx;

	(void)fd;
	(void)what;
	dns_control_input(s->control, now);
	events(s, now);
}

static void control_due(void *ctx, u64 now)
{
	struct system_dns *s = ctx;

	dns_control_timeout(s->control, now);
	events(s, now);
}

static void news_readable(void *ctx, int fd, unsigned what, u64 now)
{
	struct system_dns *s = ctx;

	(void)fd;
	(void)what;
	host_news_input(s->news, now);
	events(s, now);
}

static void news_due(void *ctx, u64 now)
{
	struct system_dns *s = ctx;

	host_news_timeout(s->news, now);
	events(s, now);
}

/* --- doors -------------------------------------------------------------------------------------------------------------------------- */

static int open_watches(struct system_dns *s)
{
	struct host_news_config news = { .has_resolved = s->method == DNS_CONTROL_SYSTEMD_RESOLVED };
	const char *files[DNS_CONTROL_FILES_MAX];
	size_t n = dns_control_files(s->control, files);

	for (size_t i = 0; i < n; i++)
		news.files[i] = files[i];
	s->news = host_news_new(&news, loop_now(s->loop));
	if (!s->news)
		return ERR_NOMEM;
	s->control_fd = loop_fd_add(s->loop, dns_control_fd(s->control), LOOP_READ, control_readable, s);
	s->news_fd = loop_fd_add(s->loop, host_news_fd(s->news), LOOP_READ, news_readable, s);
	return s->control_fd && s->news_fd ? 0 : ERR_NOMEM;
}

int system_dns_open(struct system_dns *s, struct loop *loop, const struct dns_control_config *cfg, const struct system_dns_callbacks *cb,
		    void *ctx, char why[static DNS_CONTROL_WHY_BYTES])
{
	*s = (struct system_dns){ .loop = loop, .method = cfg->method, .cb = *cb, .ctx = ctx };
	s->control_timer = (struct loop_timer){ .cb = control_due, .ctx = s };
	s->news_timer = (struct loop_timer){ .cb = news_due, .ctx = s };
	s->task = (struct loop_task){ .cb = events, .ctx = s };
	snprintf(why, DNS_CONTROL_WHY_BYTES, "out of memory");
	s->control = dns_control_new(cfg);
	int rc = s->control ? dns_control_recover(s->control) : ERR_NOMEM;
	if (rc && s->control)
		snprintf(why, DNS_CONTROL_WHY_BYTES, "%s", dns_control_why(s->control));
	if (rc == 0)
		rc = open_watches(s);
	if (rc) {
		system_dns_close(s);
		return rc;
	}
	system_dns_refresh(s);
	return 0;
}

int system_dns_activate(struct system_dns *s, const struct ip *sentinels, size_t n, const char *search_domain)
{
	int rc = dns_control_activate(s->control, loop_now(s->loop), sentinels, n, search_domain);

	if (rc == 0)
		events(s, loop_now(s->loop));
	return rc;
}

void system_dns_flush(struct system_dns *s)
{
	dns_control_flush(s->control, loop_now(s->loop));
	loop_task_queue(s->loop, &s->task);
}

void system_dns_refresh(struct system_dns *s)
{
	dns_control_read(s->control, loop_now(s->loop));
	loop_task_queue(s->loop, &s->task);
}

void system_dns_close(struct system_dns *s)
{
	if (!s->loop)
		return;
	loop_task_cancel(s->loop, &s->task);
	loop_timer_clear(s->loop, &s->control_timer);
	loop_timer_clear(s->loop, &s->news_timer);
	loop_fd_del(s->control_fd);
	loop_fd_del(s->news_fd);
	if (s->control)
		dns_control_deactivate(s->control);
	dns_control_free(s->control);
	host_news_free(s->news);
	*s = (struct system_dns){ 0 };
}
