/* applets/client/system_dns.h: the system's DNS and news of the host (platform/dns_control.h, platform/host_news.h), served by the loop.
 *
 *	start     system_dns_open()      undoes what a killed run left; an error is fatal (spec 30 §19.3). Reads the resolvers: on_servers
 *	          with every TUN config: addresses, system_dns_activate(), and the routes when on_active came
 *	          resources changed:     system_dns_flush()
 *	          on_servers             again whenever the system's resolvers became others
 *	          on_network             NetworkManager tells of another connection: reset
 *	end       system_dns_close()     puts back; before the tunnel interface is closed
 *
 * Callbacks run inside the loop, or inside system_dns_activate() when the method needs no program.
 */
#pragma once

#include "core/loop/loop.h"
#include "platform/dns_control.h"
#include "platform/host_news.h"

struct system_dns_callbacks {
	/* rc 0: sentinels are set (or there is nothing to set). Else fatal, `why` says it in one line. Once per activation that was not
	 * overtaken by a newer one. */
	void (*on_active)(void *ctx, int rc, const char *why);
	/* Without our sentinels; n = 0: none known. Only when they differ from the last ones; the first time always. */
	void (*on_servers)(void *ctx, const struct ip *servers, size_t n);
	void (*on_network)(void *ctx); /* may be NULL */
};

struct system_dns {
	enum dns_control_method method;
	struct loop *loop;
	struct dns_control *control;
	struct host_news *news;
	struct loop_fd *control_fd, *news_fd;
	struct loop_timer control_timer, news_timer;
	struct loop_task task; /* events that were ready at once */
	struct system_dns_callbacks cb;
	void *ctx;
	struct ip servers[DNS_CONTROL_SERVERS_MAX];
	size_t n_servers;
	bool has_servers;
};

/* Error: `why` holds one line for the user; nothing is left open. */
int system_dns_open(struct system_dns *s, struct loop *loop, const struct dns_control_config *cfg, const struct system_dns_callbacks *cb,
		    void *ctx, char why[static DNS_CONTROL_WHY_BYTES]) MUST_CHECK;
/* Errors as of dns_control_activate(). */
int system_dns_activate(struct system_dns *s, const struct ip *sentinels, size_t n, const char *search_domain) MUST_CHECK;
void system_dns_flush(struct system_dns *s);
/* Re-reads now (SIGHUP). */
void system_dns_refresh(struct system_dns *s);
/* A zeroed struct is closed already. */
void system_dns_close(struct system_dns *s);
