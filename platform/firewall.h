/* platform/firewall.h: forwarding and masquerading for the gateway (spec 40 §2.2), without any helper program.
 *
 * Everything lives in nf_tables: the kernel is spoken to directly, in one transaction that either happens or does not.
 *
 *      table inet emberbox-<tunnel>      (replaced whole, so installing twice equals installing once)
 *        forward      accept what comes from or goes to the tunnel
 *        postrouting  masquerade 100.64.0.0/11 and fd00:2021:1111::/107 that leave by an egress interface
 *      chain FORWARD of the tables ip filter and ip6 filter, where they exist (iptables-nft, Docker, ufw)
 *        the same accept rules in front: an accept in one table does not overrule a drop policy in another
 *
 * Egress interfaces: by default every interface but the tunnel and loopback. The reference's packaging names only e* and w*, which
 * forgets bridges, bonds and PPP; whoever wants exactly that passes { "e", "w" }.
 */
#pragma once

#include "core/base/types.h"

#define FIREWALL_EGRESS_MAX 16u

struct firewall_config {
	const char *tunnel;        /* interface name */
	const char *const *egress; /* name prefixes, NULL-terminated; NULL = all but the tunnel and loopback */
};

/* ERR_UNSUPPORTED: kernel without nf_tables or masquerading. ERR_DENIED: needs CAP_NET_ADMIN. ERR_LIMIT, ERR_INVAL, ERR_IO. */
int firewall_install(const struct firewall_config *cfg) MUST_CHECK;
/* Removes all of it; also what a killed earlier run left. 0 also when there was nothing. */
int firewall_remove(const char *tunnel);

/* Lets this host forward: the sysctls of spec 40 §2.2. Interfaces that accept router advertisements keep doing so (accept_ra 1 → 2):
 * forwarding would otherwise cost the host its own default route. Not undone at exit: others may rely on it by then.
 * ERR_DENIED when one could not be set and is not already so (containers: pass --sysctl). */
int firewall_enable_forwarding(void) MUST_CHECK;
