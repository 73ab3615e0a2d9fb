/* applets/client/system_dns.h: the client's dealings with the DNS of its host, on the loop (spec 30 §15–§17): platform/dns_control.h and
 * platform/host_news.h.
 *
 *	start: put back what a killed run left, read the resolvers ──▶ on_servers
 *	system_dns_set(): the sentinels of a TUN configuration ──▶ on_active, then come the routes; a failure is fatal
 *	news of the host ──▶ resolvers are read again ──▶ on_servers; or on_network
 *	end: what was there before is put back
 *
 * Callbacks come from the loop, but for on_active of a configuration that changes nothing: at once.
 */
#pragma once

#include "core/ip/addr.h"
#include "core/loop/loop.h"
#include "platform/dns_control.h"

struct system_dns;

struct system_dns_config {
	struct dns_control_config control;
	void (*on_servers)(void *ctx, const struct ip *servers, size_t n);
	void (*on_active)(void *ctx, int error, const char *why); /* error 0: the sentinels are in use */
	void (*on_network)(void *ctx);
	void *ctx;
};

/* NULL: out of memory or descriptors. Touches nothing yet. */
struct system_dns *system_dns_new(struct loop *loop, const struct system_dns_config *cfg);
/* Puts back what system_dns_set() changed. NULL is allowed. */
void system_dns_free(struct system_dns *d);

/* ERR_*, with the reason in *why: the host's DNS cannot be taken over as wished. */
int system_dns_start(struct system_dns *d, const char **why) MUST_CHECK;
void system_dns_set(struct system_dns *d, const struct ip *sentinels, size_t n, const char *search_domain);
void system_dns_flush(struct system_dns *d); /* names mean something else now */
