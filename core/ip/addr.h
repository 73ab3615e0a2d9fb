/* core/ip/addr.h: IP addresses, transport addresses, networks and UUIDs, one type for both families.
 *
 * `struct ip` holds either family: family 4 uses b[0..3] with the rest zero, family 6 all of b, family 0 is "no address". Because
 * unused bytes are always zero, two values are equal when their bytes are. Addresses are in network byte order.
 */
#pragma once

#include "core/base/cursor.h"
#include "core/base/log.h"
#include "core/base/rng.h"
#include "core/base/types.h"

#include <string.h>

struct ip {
	u8 b[16];
	u8 family; /* 0, 4 or 6 */
};

struct endpoint {
	struct ip ip;
	u16 port; /* host order */
};

struct cidr {
	struct ip ip;
	u8 len; /* prefix length, 0..32 or 0..128 */
};

struct uuid {
	u8 b[16];
};

#define IP_STRLEN 46       /* longest text of an address with its NUL */
#define ENDPOINT_STRLEN 56 /* "[ip6]:port" */
#define CIDR_STRLEN 50
#define UUID_STRLEN 37

static inline struct ip ip4(u8 a, u8 b, u8 c, u8 d)
{
	return (struct ip){ .b = { a, b, c, d }, .family = 4 };
}

static inline struct ip ip_from_bytes(u8 family, const u8 *b)
{
	struct ip ip = { .family = family };
	memcpy(ip.b, b, family == 4 ? 4 : 16);
	return ip;
}

static inline size_t ip_len(const struct ip *ip)
{
	return ip->family == 4 ? 4 : ip->family == 6 ? 16 : 0;
}

static inline bool ip_eq(const struct ip *a, const struct ip *b)
{
	return a->family == b->family && memcmp(a->b, b->b, 16) == 0;
}

static inline bool endpoint_eq(const struct endpoint *a, const struct endpoint *b)
{
	return a->port == b->port && ip_eq(&a->ip, &b->ip);
}

static inline bool uuid_eq(const struct uuid *a, const struct uuid *b)
{
	u64 x[2], y[2];

	memcpy(x, a->b, sizeof(x));
	memcpy(y, b->b, sizeof(y));
	return x[0] == y[0] && x[1] == y[1];
}

static inline bool uuid_is_null(const struct uuid *id)
{
	static const struct uuid null;
	return uuid_eq(id, &null);
}

/* As memcmp(); large tables are searched by it, and a C library's may go octet by octet. */
static inline int uuid_cmp(const struct uuid *a, const struct uuid *b)
{
	u64 x = get_be64(a->b), y = get_be64(b->b);

	if (x == y) {
		x = get_be64(a->b + 8);
		y = get_be64(b->b + 8);
	}
	return (x > y) - (x < y);
}

/* Order: family, then address. */
int ip_cmp(const struct ip *a, const struct ip *b);

/* Text to value; the whole range must be consumed. No zone ids. ERR_MALFORMED otherwise. */
int ip_parse(struct span text, struct ip *out);
int endpoint_parse(struct span text, struct endpoint *out); /* "1.2.3.4:5", "[::1]:5" */
int cidr_parse(struct span text, struct cidr *out);         /* a bare address is /32 or /128; host bits must be zero */
int uuid_parse(struct span text, struct uuid *out);         /* hyphenated, 32 hex digits, {...} or urn:uuid: */

/* Value to text (RFC 5952 for IPv6), NUL terminated; returns buf. */
char *ip_format(const struct ip *ip, char buf[static IP_STRLEN]);
char *endpoint_format(const struct endpoint *ep, char buf[static ENDPOINT_STRLEN]);
char *cidr_format(const struct cidr *net, char buf[static CIDR_STRLEN]);
char *uuid_format(const struct uuid *id, char buf[static UUID_STRLEN]);

/* A version 4 (RFC 9562 §5.4): 16 bytes that are random, or a hash, with version and variant set. */
struct uuid uuid_v4(struct uuid id);
struct uuid uuid_random(struct rng *rng);

/* Named values of log lines (core/base/log.h). */
char *ip_log_format(const void *ip, char buf[static KV_FORMAT_MAX]);
char *endpoint_log_format(const void *ep, char buf[static KV_FORMAT_MAX]);
char *uuid_log_format(const void *id, char buf[static KV_FORMAT_MAX]);
#define kv_ip(k, val) kv_format(k, (const struct ip *)(val), ip_log_format)
#define kv_ep(k, val) kv_format(k, (const struct endpoint *)(val), endpoint_log_format)
#define kv_uuid(k, val) kv_format(k, (const struct uuid *)(val), uuid_log_format)

bool cidr_contains(const struct cidr *net, const struct ip *ip);
bool ip_is_unspecified(const struct ip *ip);
bool ip_is_loopback(const struct ip *ip);
bool ip_is_multicast(const struct ip *ip);
bool ip_is_link_local(const struct ip *ip);
bool ip_is_broadcast(const struct ip *ip); /* 255.255.255.255 */

/* The ranges of Firezone (spec 30 §1.1, spec 40). */
extern const struct cidr net_peers4, net_peers6;   /* tunnel addresses of clients and gateways */
extern const struct cidr net_proxies4, net_proxies6; /* proxy addresses of DNS resources */
extern const struct cidr net_sentinels4, net_sentinels6;
bool ip_is_peer(const struct ip *ip);  /* in net_peers */
bool ip_is_proxy(const struct ip *ip); /* in net_proxies */
