/* core/tunnel/client_dns_config.h: which resolvers are asked and under which sentinel addresses the system meets them (spec 30 §10.1–§10.2).
 *
 * Sources, the first that has any: the portal's Do53 addresses, the portal's DoH URLs, the system's resolvers. Sentinels among the addresses are
 * taken out: the system may give us back our own. Each remaining server gets one sentinel, in order, of its own family (DoH: IPv4).
 *
 * The mapping is made anew only when the *set* of servers changes; new sentinels then avoid those in use, so that whoever still holds an old one
 * notices. No server, no sentinel: the system's DNS is then left alone.
 */
#pragma once

#include "core/dns/forward.h"

#include <assert.h>

#define DNS_PORT 53u
#define DNS_UPSTREAMS_MAX 64u /* servers in use; more of a list are left out */

static_assert(DNS_UPSTREAMS_MAX <= FORWARD_GROUPS_MAX, "each server is a group of the forwarder");

struct dns_upstream {
	struct ip sentinel;
	struct dns_server server; /* is_in_tunnel is the owner's to keep */
};

struct dns_config {
	struct ip *do53, *system;
	size_t n_do53, n_system;
	char **doh;
	size_t n_doh;

	struct dns_upstream *upstreams; /* the mapping */
	size_t n;
	bool is_from_portal;
};

/* A zeroed struct knows nothing. */
void dns_config_deinit(struct dns_config *d);

/* Each: 1 when the mapping changed, 0 when not. ERR_NOMEM keeps what was. A URL that is no https:// with a host and without a query is left out and
 * logged (the reference refuses the whole message). */
int dns_config_set_portal(struct dns_config *d, const struct ip *do53, size_t n_do53, const char *const *doh, size_t n_doh) MUST_CHECK;
int dns_config_set_system(struct dns_config *d, const struct ip *list, size_t n) MUST_CHECK;

/* The server behind a sentinel; -1 when nobody has this one. */
int dns_config_find(const struct dns_config *d, const struct ip *sentinel);
