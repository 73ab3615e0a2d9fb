/* core/tunnel/filter.h: which traffic a resource allows (spec 40 §8, spec 30 §3.1).
 *
 * No filters allow everything, unknown protocols too. Otherwise TCP and UDP by port in the union of the ranges of that protocol, every ICMP type by
 * one `icmp` filter, other protocols never. The port is the resource's: destination on the way there, source on the way back.
 */
#pragma once

#include "core/ip/packet.h"
#include "core/phoenix/messages.h"

struct port_range {
	u16 start, end; /* inclusive */
};

struct filter {
	bool allows_all, allows_icmp;
	u32 n_tcp, n_udp;
	struct port_range *ranges; /* n_tcp for TCP, then n_udp for UDP; each sorted, disjoint and not adjacent */
};

/* ERR_NOMEM. A range whose start lies behind its end is empty. */
int filter_init(struct filter *f, const struct msg_filter *filters, size_t n) MUST_CHECK;
void filter_deinit(struct filter *f);

bool filter_permits(const struct filter *f, enum l4_kind kind, u16 port);
/* Same permissions. */
bool filter_eq(const struct filter *a, const struct filter *b);
