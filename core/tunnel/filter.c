#include "core/tunnel/filter.h"

#include <stdlib.h>

static int by_start(const void *a, const void *b)
{
	const struct port_range *x = a, *y = b;
	return x->start < y->start ? -1 : x->start > y->start;
}

/* Sorts and joins what overlaps or touches; returns how many are left. */
static u32 normalise(struct port_range *r, u32 n)
{
	u32 kept = 0;
	qsort(r, n, sizeof(*r), by_start);
	for (u32 i = 0; i < n; i++) {
		if (kept > 0 && (u32)r[kept - 1].end + 1 >= r[i].start)
			r[kept - 1].end = r[i].end > r[kept - 1].end ? r[i].end : r[kept - 1].end;
		else
			r[kept++] = r[i];
	}
	return kept;
}

static u32 collect(struct port_range *out, enum msg_protocol protocol, const struct msg_filter *in, size_t n)
{
	u32 count = 0;
	for (size_t i = 0; i < n; i++)
		if (in[i].protocol == protocol && in[i].port_start <= in[i].port_end)
			out[count++] = (struct port_range){ in[i].port_start, in[i].port_end };
	return normalise(out, count);
}

int filter_init(struct filter *f, const struct msg_filter *filters, size_t n)
{
	*f = (struct filter){ .allows_all = n == 0 };
	if (n == 0)
		return 0;
	f->ranges = calloc(n, sizeof(*f->ranges));
	if (!f->ranges)
		return ERR_NOMEM;
	for (size_t i = 0; i < n; i++)
		f->allows_icmp |= filters[i].protocol == MSG_ICMP;
	f->n_tcp = collect(f->ranges, MSG_TCP, filters, n);
	f->n_udp = collect(f->ranges + f->n_tcp, MSG_UDP, filters, n);
	return 0;
}

void filter_deinit(struct filter *f)
{
	free(f->ranges);
	*f = (struct filter){ 0 };
}

static bool has_port(const struct port_range *r, u32 n, u16 port)
{
	u32 lo = 0, hi = n; /* the first range that ends at or behind the port */
	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;
		if (r[mid].end < port)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < n && r[lo].start <= port;
}

bool filter_permits(const struct filter *f, enum l4_kind kind, u16 port)
{
	if (f->allows_all)
		return true;
	switch (kind) {
	case L4_TCP:
		return has_port(f->ranges, f->n_tcp, port);
	case L4_UDP:
		return has_port(f->ranges + f->n_tcp, f->n_udp, port);
	case L4_ECHO:
	case L4_ICMP_ERROR:
	case L4_ICMP_OTHER:
		return f->allows_icmp;
	case L4_OTHER:
		return false;
	}
	return false;
}

bool filter_eq(const struct filter *a, const struct filter *b)
{
	u32 n = a->n_tcp + a->n_udp;
	return a->allows_all == b->allows_all && a->allows_icmp == b->allows_icmp && a->n_tcp == b->n_tcp && a->n_udp == b->n_udp &&
	       (n == 0 || memcmp(a->ranges, b->ranges, n * sizeof(*a->ranges)) == 0);
}
