#define LOG_TARGET "client"
#include "applets/client/system_dns.h"

#include "core/base/err.h"
#include "core/base/log.h"
#include "platform/host_news.h"

#include <stdlib.h>

struct system_dns {
	struct system_dns_config cfg;
	struct loop *loop;
	struct dns_control *control;
	struct host_news *news;
	struct loop_fd *control_fd, *news_fd;
	struct loop_timer control_timer, news_timer;
	struct loop_task task; /* events that are ready when a call returns */

	/* what was asked for last, and whether it holds */
	struct ip sentinels[DNS_CONTROL_SERVERS_MAX];
	size_t n_sentinels;
	char search_domain[DNS_CONTROL_DOMAIN_MAX + 1];
	bool was_set, is_active;
};

static void on_event(struct system_dns *d, const struct dns_control_event *e)
{
	switch (e->type) {
	case DNS_CONTROL_ACTIVE:
		d->is_active = true;
		d->cfg.on_active(d->cfg.ctx, 0, "");
		break;
	case DNS_CONTROL_FAILED:
		d->cfg.on_active(d->cfg.ctx, e->error, e->why);
		break;
	case DNS_CONTROL_SERVERS:
		d->cfg.on_servers(d->cfg.ctx, e->servers, e->n);
		break;
	}
}

static void control_events(struct system_dns *d)
{
	struct dns_control_event e;

	while (dns_control_poll_event(d->control, &e))
		on_event(d, &e);
	loop_timer_set(d->loop, &d->control_timer, dns_control_next_timeout(d->control));
}

static void task_due(void *ctx, u64 now)
{
	(void)now;
	control_events(ctx);
}

static void control_readable(void *ctx, int fd, unsigned events, u64 now)
{
	struct system_dns *d = ctx;

	(void)fd, (void)events;
	dns_control_input(d->control, now);
	control_events(d);
}

static void control_due(void *ctx, u64 now)
{
	struct system_dns *d = ctx;

	dns_control_timeout(d->control, now);
	control_events(d);
}

static void news_events(struct system_dns *d, u64 now)
{
	enum host_news_event e;

	while (host_news_poll_event(d->news, &e))
		switch (e) {
		case HOST_NEWS_DNS:
			dns_control_read(d->control, now);
			loop_task_queue(d->loop, &d->task);
			break;
		case HOST_NEWS_NETWORK:
			d->cfg.on_network(d->cfg.ctx);
			break;
		}
	loop_timer_set(d->loop, &d->news_timer, host_news_next_timeout(d->news));
}

static void news_readable(void *ctx, int fd, unsigned events, u64 now)
{
	struct system_dns *d = ctx;

	(void)fd, (void)events;
	host_news_input(d->news, now);
	news_events(d, now);
}

static void news_due(void *ctx, u64 now)
{
	struct system_dns *d = ctx;

	host_news_timeout(d->news, now);
	news_events(d, now);
}

struct system_dns *system_dns_new(struct loop *loop, const struct system_dns_config *cfg)
{
	struct system_dns *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->cfg = *cfg;
	d->loop = loop;
	d->control_timer = (struct loop_timer){ .cb = control_due, .ctx = d };
	d->news_timer = (struct loop_timer){ .cb = news_due, .ctx = d };
	d->task = (struct loop_task){ .cb = task_due, .ctx = d };
	d->control = dns_control_new(&cfg->control);
	d->control_fd = d->control ? loop_fd_add(loop, dns_control_fd(d->control), LOOP_READ, control_readable, d) : NULL;
	if (!d->control_fd) {
		system_dns_free(d);
		return NULL;
	}
	return d;
}

void system_dns_free(struct system_dns *d)
{
	if (!d)
		return;
	if (d->was_set)
		(void)dns_control_deactivate(d->control); /* says itself what went wrong */
	loop_task_cancel(d->loop, &d->task);
	loop_timer_clear(d->loop, &d->control_timer);
	loop_timer_clear(d->loop, &d->news_timer);
	loop_fd_del(d->control_fd);
	loop_fd_del(d->news_fd);
	dns_control_free(d->control);
	host_news_free(d->news);
	free(d);
}

int system_dns_start(struct system_dns *d, const char **why)
{
	struct host_news_config news = { .has_resolved = d->cfg.control.method == DNS_CONTROL_SYSTEMD_RESOLVED };
	const char *files[DNS_CONTROL_FILES_MAX];
	u64 now = loop_now(d->loop);
	int rc = dns_control_recover(d->control);

	*why = dns_control_why(d->control);
	if (rc)
		return rc;
	*why = "no memory";
	for (size_t i = 0, n = dns_control_files(d->control, files); i < n; i++)
		news.files[i] = files[i]; /* dnsmasq's upstreams are not in /etc/resolv.conf */
	d->news = host_news_new(&news, now);
	d->news_fd = d->news ? loop_fd_add(d->loop, host_news_fd(d->news), LOOP_READ, news_readable, d) : NULL;
	if (!d->news_fd)
		return ERR_NOMEM;
	loop_timer_set(d->loop, &d->news_timer, host_news_next_timeout(d->news));
	dns_control_read(d->control, now);
	loop_task_queue(d->loop, &d->task);
	return 0;
}

static bool is_known(const struct system_dns *d, const struct ip *sentinels, size_t n, const char *domain)
{
	return d->was_set && d->n_sentinels == n && strcmp(d->search_domain, domain) == 0 &&
	       (n == 0 || memcmp(d->sentinels, sentinels, n * sizeof(*sentinels)) == 0);
}

void system_dns_set(struct system_dns *d, const struct ip *sentinels, size_t n, const char *search_domain)
{
	const char *domain = search_domain && strlen(search_domain) <= DNS_CONTROL_DOMAIN_MAX ? search_domain : "";

	n = MIN(n, (size_t)DNS_CONTROL_SERVERS_MAX);
	if (is_known(d, sentinels, n, domain)) {
		if (d->is_active)
			d->cfg.on_active(d->cfg.ctx, 0, "");
		return;
	}
	d->was_set = true;
	d->is_active = false;
	memset(d->sentinels, 0, sizeof(d->sentinels));
	for (size_t i = 0; i < n; i++)
		d->sentinels[i] = sentinels[i];
	d->n_sentinels = n;
	memcpy(d->search_domain, domain, strlen(domain) + 1);
	int rc = dns_control_activate(d->control, loop_now(d->loop), d->sentinels, n, *domain ? domain : NULL);
	if (rc && *domain) {
		log_warn("search domain of the portal is left out", kv_s("domain", domain), kv_err(rc));
		rc = dns_control_activate(d->control, loop_now(d->loop), d->sentinels, n, NULL);
	}
	if (rc)
		d->cfg.on_active(d->cfg.ctx, rc, dns_control_why(d->control));
	else
		loop_task_queue(d->loop, &d->task);
}

void system_dns_flush(struct system_dns *d)
{
	dns_control_flush(d->control, loop_now(d->loop));
	loop_task_queue(d->loop, &d->task);
}
