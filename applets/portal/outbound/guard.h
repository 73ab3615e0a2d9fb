/* applets/portal/outbound/guard.h: addresses that a portal must not be talked into connecting to (spec 60 §1.10).
 *
 * URLs of identity providers come from account admins, who are not the operators of the machine. So connections to loopback, private,
 * link-local, documentation and other special-use networks are refused, whatever name led there; the question is asked of the address
 * that is about to be connected to, so that a name that changes its meaning gains nothing.
 */
#pragma once

#include "core/ip/addr.h"

bool guard_refuses(const struct ip *ip);
