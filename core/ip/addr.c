#include "core/ip/addr.h"

#include "core/base/cursor.h"
#include "core/base/encode.h"
#include "core/base/err.h"

#include <stdio.h>

const struct cidr net_peers4 = { { { 100, 64 }, 4 }, 11 };
const struct cidr net_peers6 = { { { 0xfd, 0x00, 0x20, 0x21, 0x11, 0x11 }, 6 }, 107 };
const struct cidr net_proxies4 = { { { 100, 96 }, 4 }, 11 };
const struct cidr net_proxies6 = { { { 0xfd, 0x00, 0x20, 0x21, 0x11, 0x11, 0x80, 0x00 }, 6 }, 107 };
const struct cidr net_sentinels4 = { { { 100, 100, 111 }, 4 }, 24 };
const struct cidr net_sentinels6 = {
	{ { 0xfd, 0x00, 0x20, 0x21, 0x11, 0x11, 0x80, 0x00, 0x01, 0x00, 0x01, 0x00, 0x01, 0x11 }, 6 }, 120
};

int ip_cmp(const struct ip *a, const struct ip *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return memcmp(a->b, b->b, 16);
}

/* A decimal number without sign, spaces or superfluous leading zero. */
static bool parse_decimal(struct span text, u32 max, u32 *out)
{
	u32 v = 0;

	if (text.n == 0 || text.n > 5 || (text.n > 1 && text.p[0] == '0'))
		return false;
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return false;
		v = v * 10 + (u32)(text.p[i] - '0');
	}
	*out = v;
	return v <= max;
}

static int parse_v4(struct span text, u8 out[static 4])
{
	size_t start = 0;

	for (unsigned part = 0; part < 4; part++) {
		size_t end = start;
		u32 v;
		while (end < text.n && text.p[end] != '.')
			end++;
		if (!parse_decimal(SPAN(text.p + start, end - start), 255, &v))
			return ERR_MALFORMED;
		out[part] = (u8)v;
		if (part < 3 && end == text.n)
			return ERR_MALFORMED;
		start = end + 1;
	}
	return start == text.n + 1 ? 0 : ERR_MALFORMED;
}

/* RFC 4291 §2.2: up to eight groups, one "::", the last two groups may be an IPv4 address. */
static int parse_v6(struct span text, u8 out[static 16])
{
	u8 b[16] = { 0 };
	size_t n = 0, i = 0;
	int gap = -1;

	if (text.n >= 2 && text.p[0] == ':' && text.p[1] == ':') {
		gap = 0;
		i = 2;
	}
	while (i < text.n) {
		size_t start = i;
		u32 v = 0;
		while (i < text.n && hex_digit(text.p[i]) >= 0 && i - start < 5)
			v = v << 4 | (u32)hex_digit(text.p[i++]);
		if (i < text.n && text.p[i] == '.') {
			if (n > 12 || parse_v4(SPAN(text.p + start, text.n - start), b + n))
				return ERR_MALFORMED;
			n += 4;
			i = text.n;
			break;
		}
		if (i == start || i - start > 4 || n > 14)
			return ERR_MALFORMED;
		b[n++] = (u8)(v >> 8);
		b[n++] = (u8)v;
		if (i == text.n)
			break;
		if (text.p[i++] != ':' || i == text.n)
			return ERR_MALFORMED;
		if (text.p[i] == ':') {
			if (gap >= 0)
				return ERR_MALFORMED;
			gap = (int)n;
			i++;
		}
	}
	if (gap < 0 ? n != 16 : n > 14)
		return ERR_MALFORMED;
	memset(out, 0, 16);
	if (gap < 0) {
		memcpy(out, b, 16);
	} else {
		memcpy(out, b, (size_t)gap);
		memcpy(out + 16 - (n - (size_t)gap), b + gap, n - (size_t)gap);
	}
	return 0;
}

int ip_parse(struct span text, struct ip *out)
{
	struct ip ip = { 0 };
	int rc;

	if (text.n && memchr(text.p, ':', text.n)) {
		ip.family = 6;
		rc = parse_v6(text, ip.b);
	} else {
		ip.family = 4;
		rc = parse_v4(text, ip.b);
	}
	if (rc == 0)
		*out = ip;
	return rc;
}

int endpoint_parse(struct span text, struct endpoint *out)
{
	size_t colon = text.n;
	struct endpoint ep = { 0 };
	struct span host;
	u32 port;

	while (colon > 0 && text.p[colon - 1] != ':')
		colon--;
	if (colon == 0 || !parse_decimal(SPAN(text.p + colon, text.n - colon), 65535, &port))
		return ERR_MALFORMED;
	host = SPAN(text.p, colon - 1);
	bool is_bracketed = host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
	if (is_bracketed)
		host = SPAN(host.p + 1, host.n - 2);
	if (ip_parse(host, &ep.ip) || (ep.ip.family == 6) != is_bracketed)
		return ERR_MALFORMED;
	ep.port = (u16)port;
	*out = ep;
	return 0;
}

static bool has_host_bits(const struct cidr *net)
{
	size_t bytes = ip_len(&net->ip);

	for (size_t i = 0; i < bytes; i++) {
		unsigned from = (unsigned)i * 8;
		u8 mask = (u8)(net->len >= from + 8 ? 0u : net->len <= from ? 0xffu : 0xffu >> (net->len - from));
		if (net->ip.b[i] & mask)
			return true;
	}
	return false;
}

int cidr_parse(struct span text, struct cidr *out)
{
	const u8 *slash = text.n ? memchr(text.p, '/', text.n) : NULL;
	size_t addr_len = slash ? (size_t)(slash - text.p) : text.n;
	struct cidr net = { 0 };
	u32 len;

	if (ip_parse(SPAN(text.p, addr_len), &net.ip))
		return ERR_MALFORMED;
	len = net.ip.family == 4 ? 32 : 128;
	if (slash && !parse_decimal(SPAN(slash + 1, text.n - addr_len - 1), len, &len))
		return ERR_MALFORMED;
	net.len = (u8)len;
	if (has_host_bits(&net))
		return ERR_MALFORMED;
	*out = net;
	return 0;
}

static struct span uuid_strip(struct span text)
{
	static const char urn[] = "urn:uuid:";
	size_t n = sizeof(urn) - 1;

	if (text.n > n && memcmp(text.p, urn, n) == 0)
		return SPAN(text.p + n, text.n - n);
	if (text.n == 38 && text.p[0] == '{' && text.p[37] == '}')
		return SPAN(text.p + 1, 36);
	return text;
}

int uuid_parse(struct span text, struct uuid *out)
{
	struct uuid id;
	unsigned digits = 0;

	text = uuid_strip(text);
	if (text.n != 36 && text.n != 32)
		return ERR_MALFORMED;
	for (size_t i = 0; i < text.n; i++) {
		if (text.n == 36 && (i == 8 || i == 13 || i == 18 || i == 23)) {
			if (text.p[i] != '-')
				return ERR_MALFORMED;
			continue;
		}
		int d = hex_digit(text.p[i]);
		if (d < 0)
			return ERR_MALFORMED;
		u8 *b = &id.b[digits / 2];
		*b = (u8)(digits % 2 ? *b | d : d << 4);
		digits++;
	}
	*out = id;
	return 0;
}

struct run {
	int start, len;
};

/* The longest run of two or more zero groups, the first of equals. */
static struct run longest_zeros(const u16 g[static 8])
{
	struct run best = { -1, 1 };

	for (int i = 0; i < 8; i++) {
		int len = 0;
		while (i + len < 8 && g[i + len] == 0)
			len++;
		if (len > best.len)
			best = (struct run){ i, len };
		i += len;
	}
	return best;
}

/* RFC 5952: lower case, no leading zeros, "::" for the longest zeros, dotted quad for v4-mapped. */
static void format_v6(const u8 *b, char *p)
{
	u16 g[8];

	for (unsigned i = 0; i < 8; i++)
		g[i] = get_be16(b + 2 * i);
	struct run zeros = longest_zeros(g);

	if (zeros.start == 0 && zeros.len == 5 && g[5] == 0xffff) {
		sprintf(p, "::ffff:%u.%u.%u.%u", b[12], b[13], b[14], b[15]);
		return;
	}
	for (int i = 0; i < 8; i++) {
		if (i == zeros.start) {
			p += sprintf(p, "::");
			i += zeros.len - 1;
			continue;
		}
		bool after_gap = zeros.start >= 0 && i == zeros.start + zeros.len;
		p += sprintf(p, i == 0 || after_gap ? "%x" : ":%x", g[i]);
	}
}

char *ip_format(const struct ip *ip, char buf[static IP_STRLEN])
{
	if (ip->family == 4)
		snprintf(buf, IP_STRLEN, "%u.%u.%u.%u", ip->b[0], ip->b[1], ip->b[2], ip->b[3]);
	else if (ip->family == 6)
		format_v6(ip->b, buf);
	else
		strcpy(buf, "none");
	return buf;
}

char *endpoint_format(const struct endpoint *ep, char buf[static ENDPOINT_STRLEN])
{
	char ip[IP_STRLEN];

	ip_format(&ep->ip, ip);
	snprintf(buf, ENDPOINT_STRLEN, ep->ip.family == 6 ? "[%s]:%u" : "%s:%u", ip, ep->port);
	return buf;
}

char *cidr_format(const struct cidr *net, char buf[static CIDR_STRLEN])
{
	char ip[IP_STRLEN];

	snprintf(buf, CIDR_STRLEN, "%s/%u", ip_format(&net->ip, ip), net->len);
	return buf;
}

char *uuid_format(const struct uuid *id, char buf[static UUID_STRLEN])
{
	static const char hex[] = "0123456789abcdef";
	char *p = buf;

	for (unsigned i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		*p++ = hex[id->b[i] >> 4];
		*p++ = hex[id->b[i] & 15];
	}
	*p = 0;
	return buf;
}

bool cidr_contains(const struct cidr *net, const struct ip *ip)
{
	unsigned full = net->len / 8, rest = net->len % 8;

	if (net->ip.family != ip->family || memcmp(net->ip.b, ip->b, full) != 0)
		return false;
	return rest == 0 || (net->ip.b[full] ^ ip->b[full]) >> (8 - rest) == 0;
}

bool ip_is_unspecified(const struct ip *ip)
{
	static const u8 zero[16];

	return memcmp(ip->b, zero, 16) == 0;
}

bool ip_is_loopback(const struct ip *ip)
{
	static const u8 one[16] = { [15] = 1 };

	return ip->family == 4 ? ip->b[0] == 127 : memcmp(ip->b, one, 16) == 0;
}

bool ip_is_multicast(const struct ip *ip)
{
	return ip->family == 4 ? ip->b[0] >> 4 == 14 : ip->b[0] == 0xff;
}

bool ip_is_link_local(const struct ip *ip)
{
	if (ip->family == 4)
		return ip->b[0] == 169 && ip->b[1] == 254;
	return ip->b[0] == 0xfe && ip->b[1] >> 6 == 2;
}

bool ip_is_broadcast(const struct ip *ip)
{
	return ip->family == 4 && get_be32(ip->b) == UINT32_MAX;
}

bool ip_is_peer(const struct ip *ip)
{
	return cidr_contains(ip->family == 4 ? &net_peers4 : &net_peers6, ip);
}

bool ip_is_proxy(const struct ip *ip)
{
	return cidr_contains(ip->family == 4 ? &net_proxies4 : &net_proxies6, ip);
}

char *ip_log_format(const void *ip, char buf[static KV_FORMAT_MAX])
{
	return ip_format(ip, buf);
}

char *endpoint_log_format(const void *ep, char buf[static KV_FORMAT_MAX])
{
	return endpoint_format(ep, buf);
}

struct uuid uuid_v4(struct uuid id)
{
	id.b[6] = (u8)((id.b[6] & 0x0f) | 0x40);
	id.b[8] = (u8)((id.b[8] & 0x3f) | 0x80);
	return id;
}

struct uuid uuid_random(struct rng *rng)
{
	struct uuid id;

	rng_fill(rng, id.b, sizeof(id.b));
	return uuid_v4(id);
}

char *uuid_log_format(const void *id, char buf[static KV_FORMAT_MAX])
{
	return uuid_format(id, buf);
}
