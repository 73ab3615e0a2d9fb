/* platform/firewall.h: forwarding and masquerading for the gateway (spec 40 §2.2), without any helper program.
 *
 * The kernel's nf_tables is spoken to directly, one transaction per family, which either happens or does not.
 *
 *      tables ip and ip6 emberbox-<tunnel>     (replaced whole, so installing twice equals installing once)
 *        postrouting  masquerade 100.64.0.0/11 or fd00:2021:1111::/107 where it leaves by an egress interface
 *      chain FORWARD of tables ip and ip6 filter, where they exist (iptables-nft, Docker, ufw)
 *        in front: accept what comes from and what goes to the tunnel, marked with a comment "emberbox-<tunnel>"
 *
 * An accept in a table of our own would not overrule a drop policy in another, so it must stand there. Other base chains that drop what
 * is forwarded (a hand-written nftables.conf, firewalld) are left alone and named in a warning.
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

/* At least one family must succeed. ERR_UNSUPPORTED: kernel without nf_tables or masquerading. ERR_DENIED: needs CAP_NET_ADMIN. ERR_LIMIT, ERR_INVAL, ERR_IO. */
int firewall_install(const struct firewall_config *cfg) MUST_CHECK;
/* Removes all of it; also what a killed earlier run left. 0 also when there was nothing. */
int firewall_remove(const char *tunnel);

/* Lets this host forward: the sysctls of spec 40 §2.2. Interfaces that accept router advertisements keep doing so (accept_ra 1 → 2):
 * forwarding would otherwise cost the host its own default route. Not undone at exit: others may rely on it by then.
 * ERR_DENIED when one could not be set and is not already so (containers: pass --sysctl). */
int firewall_enable_forwarding(void) MUST_CHECK;
