#include "applets/portal/outbound/guard.h"

/* Special-use networks (IANA registries); what embeds IPv4 in IPv6 is refused as a whole but for mapped addresses, which are judged as IPv4. */
static const struct {
	u8 b[16], len;
} nets4[] = {
	{ { 0 }, 8 },		  { { 10 }, 8 },	  { { 100, 64 }, 10 },	    { { 127 }, 8 },	    { { 169, 254 }, 16 },
	{ { 172, 16 }, 12 },	  { { 192, 0, 0 }, 24 },  { { 192, 0, 2 }, 24 },    { { 192, 31, 196 }, 24 }, { { 192, 52, 193 }, 24 },
	{ { 192, 88, 99 }, 24 },  { { 192, 168 }, 16 },	  { { 192, 175, 48 }, 24 }, { { 198, 18 }, 15 },    { { 198, 51, 100 }, 24 },
	{ { 203, 0, 113 }, 24 },  { { 224 }, 4 },	  { { 240 }, 4 },
}, nets6[] = {
	{ { 0 }, 96 }, /* unspecified, loopback, and IPv4-compatible ones */
	{ { 0x00, 0x64, 0xff, 0x9b }, 96 },	      /* 64:ff9b::/96 */
	{ { 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01 }, 48 }, /* 64:ff9b:1::/48 */
	{ { 0x01, 0x00 }, 64 },			      /* 100::/64 */
	{ { 0x20, 0x01, 0x00, 0x00 }, 32 },	      /* 2001::/32 */
	{ { 0x20, 0x01, 0x00, 0x02, 0x00, 0x00 }, 48 }, /* 2001:2::/48 */
	{ { 0x20, 0x01, 0x0d, 0xb8 }, 32 },	      /* 2001:db8::/32 */
	{ { 0x20, 0x01, 0x00, 0x20 }, 28 },	      /* 2001:20::/28 */
	{ { 0x20, 0x02 }, 16 },			      /* 2002::/16 */
	{ { 0xfc }, 7 },			      /* fc00::/7 */
	{ { 0xfe, 0x80 }, 10 },			      /* fe80::/10 */
	{ { 0xfe, 0xc0 }, 10 },			      /* fec0::/10, site-local of old */
	{ { 0xff }, 8 },			      /* ff00::/8 */
};

static bool is_mapped(const struct ip *ip)
{
	static const u8 prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

	return ip->family == 6 && memcmp(ip->b, prefix, sizeof(prefix)) == 0;
}

bool guard_refuses(const struct ip *ip)
{
	struct ip inner = is_mapped(ip) ? ip_from_bytes(4, ip->b + 12) : *ip;
	bool is4 = inner.family == 4;
	size_t n = is4 ? ARRAY_LEN(nets4) : ARRAY_LEN(nets6);

	if (inner.family != 4 && inner.family != 6)
		return true;
	for (size_t i = 0; i < n; i++) {
		struct cidr net = { ip_from_bytes(inner.family, is4 ? nets4[i].b : nets6[i].b), is4 ? nets4[i].len : nets6[i].len };
		if (cidr_contains(&net, &inner))
			return true;
	}
	return false;
}
