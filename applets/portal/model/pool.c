#include "applets/portal/model/pool.h"

#include "core/base/cursor.h"

#define IPV4_BASE 0x64400000u /* 100.64.0.0/11 */
#define IPV4_LAST 0x645fffffu
#define IPV6_BASE 0u /* fd00:2021:1111::/107 */
#define IPV6_LAST 0x1fffffu

static u32 base(enum pool p)
{
	return p == POOL_IPV4 ? IPV4_BASE : IPV6_BASE;
}

static u32 last(enum pool p)
{
	return p == POOL_IPV4 ? IPV4_LAST : IPV6_LAST;
}

u32 pool_after(enum pool p, u32 highest)
{
	return highest <= base(p) || highest + 1 >= last(p) ? base(p) + 1 : highest + 1;
}

u32 pool_size(enum pool p)
{
	return last(p) - base(p) - 1;
}

struct ip pool_ip(enum pool p, u32 address)
{
	struct ip ip = { .family = p == POOL_IPV4 ? 4 : 6 };

	if (p == POOL_IPV4) {
		put_be32(ip.b, address);
		return ip;
	}
	put_be32(ip.b, 0xfd002021);
	put_be16(ip.b + 4, 0x1111);
	put_be32(ip.b + 12, address);
	return ip;
}
