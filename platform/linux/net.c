#define LOG_TARGET "platform::net"
#include "platform/net.h"

#include "core/base/err.h"
#include "core/base/log.h"
#include "core/ip/datagram.h"
#include "platform/linux/netlink.h"
#include "platform/udp.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ADDRESSES_MAX 32u
#define LINKS_MAX 1024u
#define FLUSH_BATCH 256u
#define FLUSH_ROUNDS 64 /* × FLUSH_BATCH routes an earlier run may have left */

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif
#ifndef NETLINK_GET_STRICT_CHK
#define NETLINK_GET_STRICT_CHK 12
#endif

/* One route as we read and write them. */
struct route {
	struct cidr dst;
	struct ip src; /* family 0: none */
	u32 oif, metric, table;
	u8 scope, type;
	bool has_gateway;
};

struct net {
	struct nl_sock nl;
	int watch_fd;
	u32 ifindex;
	unsigned stack;
	bool has_rules[2]; /* IPv4, IPv6 */
	struct cidr *routes;
	size_t n_routes;
	struct route copies[NET_COPIES_MAX];
	size_t n_copies;
	struct ip targets[NET_TARGETS_MAX];
	size_t n_targets;
	u64 uplink; /* digest of the ways to the targets */
	u64 first_note, due;
	struct net_stats stats;
};

static const u32 tables[3] = { NET_TABLE_RESOURCES, NET_TABLE_LINK, NET_TABLE_INTERNET };
static const u32 priorities[3] = { 100, 200, 300 };

static u8 af_of(u8 family)
{
	return family == 4 ? AF_INET : AF_INET6;
}

static unsigned stack_of(u8 family)
{
	return family == 4 ? NET_V4 : NET_V6;
}

static struct ip attr_ip(const struct nl_attr *a, u8 af)
{
	u8 family = af == AF_INET ? 4 : 6;
	if (a->len < (family == 4 ? 4u : 16u))
		return (struct ip){ 0 };
	return ip_from_bytes(family, a->data);
}

static void put_ip(struct nl_msg *m, u16 type, const struct ip *ip)
{
	nl_put(m, type, ip->b, (u32)ip_len(ip));
}

/* ---- routes ---- */

static int change_route(struct net *n, u16 verb, const struct route *r)
{
	struct nl_msg m;
	bool is_new = verb == RTM_NEWROUTE;
	nl_begin(&m, verb, is_new ? NLM_F_CREATE | NLM_F_EXCL : 0);
	struct rtmsg *rt = nl_header(&m, sizeof(*rt));
	rt->rtm_family = af_of(r->dst.ip.family);
	rt->rtm_dst_len = r->dst.len;
	rt->rtm_protocol = is_new ? RTPROT_STATIC : RTPROT_UNSPEC; /* deletes whoever made it */
	rt->rtm_scope = is_new ? r->scope : RT_SCOPE_NOWHERE;
	rt->rtm_type = r->type;
	nl_put_u32(&m, RTA_TABLE, r->table);
	if (r->oif != 0)
		nl_put_u32(&m, RTA_OIF, r->oif);
	if (r->dst.len > 0)
		put_ip(&m, RTA_DST, &r->dst.ip);
	if (r->src.family != 0)
		put_ip(&m, RTA_PREFSRC, &r->src);
	if (r->metric != 0)
		nl_put_u32(&m, RTA_PRIORITY, r->metric);
	return nl_request(&n->nl, &m);
}

static int add_route(struct net *n, const struct route *r)
{
	int rc = change_route(n, RTM_NEWROUTE, r);
	n->stats.routes_added += rc == 0;
	return rc == -EEXIST || rc == -EOPNOTSUPP ? 0 : rc;
}

static int del_route(struct net *n, const struct route *r)
{
	int rc = change_route(n, RTM_DELROUTE, r);
	n->stats.routes_deleted += rc == 0;
	return rc == -ENOENT || rc == -ESRCH || rc == -ENODEV ? 0 : rc;
}

static bool read_route(const struct nlmsghdr *h, struct route *out)
{
	struct rtmsg rt;
	struct nl_attr a;
	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(rt)))
		return false;
	memcpy(&rt, (const u8 *)h + NLMSG_HDRLEN, sizeof(rt));
	if ((rt.rtm_family != AF_INET && rt.rtm_family != AF_INET6) || rt.rtm_flags & RTM_F_CLONED)
		return false;
	*out = (struct route){ .table = rt.rtm_table, .scope = rt.rtm_scope, .type = rt.rtm_type };
	out->dst = (struct cidr){ { .family = rt.rtm_family == AF_INET ? 4 : 6 }, rt.rtm_dst_len };
	for (struct nl_walk w = nl_attrs(h, sizeof(rt)); nl_attr_next(&w, &a);) {
		switch (a.type) {
		case RTA_TABLE:
			out->table = nl_attr_u32(&a);
			break;
		case RTA_DST:
			out->dst.ip = attr_ip(&a, rt.rtm_family);
			break;
		case RTA_PREFSRC:
			out->src = attr_ip(&a, rt.rtm_family);
			break;
		case RTA_OIF:
			out->oif = nl_attr_u32(&a);
			break;
		case RTA_PRIORITY:
			out->metric = nl_attr_u32(&a);
			break;
		case RTA_GATEWAY:
		case RTA_VIA:
		case RTA_MULTIPATH:
			out->has_gateway = true;
			break;
		default:
			break;
		}
	}
	return true;
}

/* All routes of one table and family; where the kernel cannot choose, the reader does. */
static int dump_routes(struct net *n, u8 family, u32 table, void (*each)(void *ctx, const struct nlmsghdr *h), void *ctx)
{
	struct nl_msg m;
	nl_begin(&m, RTM_GETROUTE, 0);
	struct rtmsg *rt = nl_header(&m, sizeof(*rt));
	rt->rtm_family = af_of(family);
	nl_put_u32(&m, RTA_TABLE, table);
	int rc = nl_dump(&n->nl, &m, each, ctx);
	return rc == -ENOENT || rc == -EAFNOSUPPORT || rc == -EOPNOTSUPP ? 0 : rc; /* no such table, no such family */
}

struct route_list {
	u32 table;
	size_t count;
	struct route routes[FLUSH_BATCH];
};

static void collect_route(void *ctx, const struct nlmsghdr *h)
{
	struct route_list *list = ctx;
	struct route r;
	if (list->count < FLUSH_BATCH && read_route(h, &r) && r.table == list->table)
		list->routes[list->count++] = r;
}

static void flush_table(struct net *n, u8 family, u32 table)
{
	struct route_list list = { .table = table };
	for (int round = 0; round < FLUSH_ROUNDS; round++) {
		list.count = 0;
		if (dump_routes(n, family, table, collect_route, &list) < 0 || list.count == 0)
			return;
		for (size_t i = 0; i < list.count; i++)
			if (del_route(n, &list.routes[i]) < 0)
				n->stats.errors++;
	}
}

static void flush_tables(struct net *n)
{
	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		flush_table(n, 4, tables[i]);
		flush_table(n, 6, tables[i]);
	}
}

static struct route tunnel_route(const struct net *n, const struct cidr *dst)
{
	return (struct route){
		.dst = *dst,
		.oif = n->ifindex,
		.table = dst->len == 0 ? NET_TABLE_INTERNET : NET_TABLE_RESOURCES,
		.scope = RT_SCOPE_UNIVERSE,
		.type = RTN_UNICAST,
	};
}

static bool contains_route(const struct cidr *routes, size_t count, const struct cidr *r)
{
	for (size_t i = 0; i < count; i++)
		if (routes[i].len == r->len && ip_eq(&routes[i].ip, &r->ip))
			return true;
	return false;
}

static int report_route(struct net *n, const char *msg, const struct cidr *dst, int rc)
{
	char text[CIDR_STRLEN];
	if (rc == 0)
		return 0;
	n->stats.errors++;
	log_warn(msg, kv_s("route", cidr_format(dst, text)), kv_i("errno", -rc));
	return nl_err(rc);
}

int net_set_routes(struct net *n, const struct cidr *routes, size_t count)
{
	if (count > NET_ROUTES_MAX)
		return ERR_LIMIT;
	struct cidr *keep = malloc(MAX(count, (size_t)1) * sizeof(*keep));
	if (!keep)
		return ERR_NOMEM;
	if (count > 0)
		memcpy(keep, routes, count * sizeof(*keep));

	for (size_t i = 0; i < n->n_routes; i++) {
		struct route r = tunnel_route(n, &n->routes[i]);
		if (!contains_route(routes, count, &n->routes[i]))
			(void)report_route(n, "cannot delete a route", &r.dst, del_route(n, &r));
	}
	int first_error = 0;
	for (size_t i = 0; i < count; i++) {
		struct route r = tunnel_route(n, &routes[i]);
		if (!(n->stack & stack_of(routes[i].ip.family)))
			continue;
		int rc = report_route(n, "cannot add a route", &r.dst, add_route(n, &r));
		if (rc < 0 && first_error == 0)
			first_error = rc;
	}
	free(n->routes);
	n->routes = keep;
	n->n_routes = count;
	return first_error;
}

/* ---- addresses ---- */

struct address_list {
	u32 ifindex;
	size_t count;
	struct cidr addresses[ADDRESSES_MAX];
};

static void collect_address(void *ctx, const struct nlmsghdr *h)
{
	struct address_list *list = ctx;
	struct ifaddrmsg ifa;
	struct nl_attr a;
	if (h->nlmsg_type != RTM_NEWADDR || h->nlmsg_len < NLMSG_LENGTH(sizeof(ifa)) || list->count == ADDRESSES_MAX)
		return;
	memcpy(&ifa, (const u8 *)h + NLMSG_HDRLEN, sizeof(ifa));
	if (ifa.ifa_index != list->ifindex)
		return;
	struct ip address = { 0 };
	for (struct nl_walk w = nl_attrs(h, sizeof(ifa)); nl_attr_next(&w, &a);)
		if (a.type == IFA_LOCAL || (a.type == IFA_ADDRESS && address.family == 0))
			address = attr_ip(&a, ifa.ifa_family);
	if (address.family != 0)
		list->addresses[list->count++] = (struct cidr){ address, ifa.ifa_prefixlen };
}

static int change_address(struct net *n, u16 verb, const struct cidr *address)
{
	struct nl_msg m;
	nl_begin(&m, verb, verb == RTM_NEWADDR ? NLM_F_CREATE | NLM_F_EXCL : 0);
	struct ifaddrmsg *ifa = nl_header(&m, sizeof(*ifa));
	ifa->ifa_family = af_of(address->ip.family);
	ifa->ifa_prefixlen = address->len;
	ifa->ifa_flags = address->ip.family == 6 ? IFA_F_NODAD : 0;
	ifa->ifa_index = n->ifindex;
	put_ip(&m, IFA_LOCAL, &address->ip);
	put_ip(&m, IFA_ADDRESS, &address->ip);
	return nl_request(&n->nl, &m);
}

static void remove_other_addresses(struct net *n, const struct cidr wanted[2])
{
	struct address_list list = { .ifindex = n->ifindex };
	struct nl_msg m;
	nl_begin(&m, RTM_GETADDR, 0);
	(void)nl_header(&m, sizeof(struct ifaddrmsg));
	if (nl_dump(&n->nl, &m, collect_address, &list) < 0)
		n->stats.errors++;
	for (size_t i = 0; i < list.count; i++)
		if (!contains_route(wanted, 2, &list.addresses[i]) && change_address(n, RTM_DELADDR, &list.addresses[i]) < 0)
			n->stats.errors++;
}

/* Up, with the tunnel's MTU. Without an own link-local address: router solicitations have no business in the tunnel. */
static int bring_up(struct net *n)
{
	struct nl_msg m;
	u8 no_address = 1; /* IN6_ADDR_GEN_MODE_NONE */
	nl_begin(&m, RTM_NEWLINK, 0);
	struct ifinfomsg *ifi = nl_header(&m, sizeof(*ifi));
	ifi->ifi_index = (int)n->ifindex;
	u32 spec = nl_nest(&m, IFLA_AF_SPEC);
	u32 inet6 = nl_nest(&m, AF_INET6);
	nl_put(&m, IFLA_INET6_ADDR_GEN_MODE, &no_address, sizeof(no_address));
	nl_unnest(&m, inet6);
	nl_unnest(&m, spec);
	(void)nl_request(&n->nl, &m); /* fails without IPv6, and then does not matter */

	nl_begin(&m, RTM_NEWLINK, 0);
	ifi = nl_header(&m, sizeof(*ifi));
	ifi->ifi_index = (int)n->ifindex;
	ifi->ifi_flags = IFF_UP;
	ifi->ifi_change = IFF_UP;
	nl_put_u32(&m, IFLA_MTU, TUNNEL_MTU);
	return nl_err(nl_request(&n->nl, &m));
}

/* ---- rules ---- */

static int change_rule(struct net *n, u16 verb, u8 family, u32 priority, u32 table)
{
	struct nl_msg m;
	u8 protocol = RTPROT_KERNEL;
	nl_begin(&m, verb, verb == RTM_NEWRULE ? NLM_F_CREATE | NLM_F_EXCL : 0);
	struct fib_rule_hdr *frh = nl_header(&m, sizeof(*frh));
	frh->family = af_of(family);
	frh->action = FR_ACT_TO_TBL;
	frh->flags = FIB_RULE_INVERT;
	nl_put_u32(&m, FRA_PRIORITY, priority);
	nl_put_u32(&m, FRA_TABLE, table);
	nl_put_u32(&m, FRA_FWMARK, UDP_MARK);
	nl_put(&m, FRA_PROTOCOL, &protocol, sizeof(protocol));
	return nl_request(&n->nl, &m);
}

static void add_rules(struct net *n, u8 family)
{
	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		int rc = change_rule(n, RTM_NEWRULE, family, priorities[i], tables[i]);
		if (rc < 0 && rc != -EEXIST)
			log_warn("cannot add a policy rule", kv_u("family", family), kv_u("priority", priorities[i]),
				 kv_i("errno", -rc));
	}
	n->has_rules[family == 6] = true;
}

static void remove_rules(struct net *n, u8 family)
{
	if (!n->has_rules[family == 6])
		return;
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		(void)change_rule(n, RTM_DELRULE, family, priorities[i], tables[i]);
}

int net_set_addresses(struct net *n, const struct ip *v4, const struct ip *v6, unsigned *stack)
{
	struct cidr wanted[2] = { { *v4, 32 }, { *v6, 128 } };
	remove_other_addresses(n, wanted);
	unsigned works = 0;
	for (size_t i = 0; i < 2; i++) {
		if (wanted[i].ip.family == 0)
			continue;
		int rc = change_address(n, RTM_NEWADDR, &wanted[i]);
		if (rc == 0 || rc == -EEXIST)
			works |= stack_of(wanted[i].ip.family);
		else
			log_info("this address family does not work here", kv_ip("address", &wanted[i].ip), kv_i("errno", -rc));
	}
	*stack = n->stack = works;
	if (works == 0)
		return ERR_UNSUPPORTED;
	int rc = bring_up(n);
	if (rc < 0)
		return rc;
	if (works & NET_V4)
		add_rules(n, 4);
	if (works & NET_V6)
		add_rules(n, 6);
	return 0;
}

/* ---- copies of the host's link-scope routes ---- */

struct link_set {
	size_t count;
	u32 up[LINKS_MAX];
};

static void collect_link(void *ctx, const struct nlmsghdr *h)
{
	struct link_set *set = ctx;
	struct ifinfomsg ifi;
	if (h->nlmsg_type != RTM_NEWLINK || h->nlmsg_len < NLMSG_LENGTH(sizeof(ifi)) || set->count == LINKS_MAX)
		return;
	memcpy(&ifi, (const u8 *)h + NLMSG_HDRLEN, sizeof(ifi));
	if ((ifi.ifi_flags & IFF_UP) && (ifi.ifi_flags & IFF_RUNNING))
		set->up[set->count++] = (u32)ifi.ifi_index;
}

static bool is_up(const struct link_set *set, u32 ifindex)
{
	for (size_t i = 0; i < set->count; i++)
		if (set->up[i] == ifindex)
			return true;
	return false;
}

struct copy_scan {
	struct net *n;
	struct link_set links;
	size_t count;
	struct route found[NET_COPIES_MAX];
};

static bool is_link_route(const struct route *r)
{
	if (r->type != RTN_UNICAST || r->has_gateway || r->dst.len == 0 || r->oif == 0)
		return false;
	return r->dst.ip.family == 4 ? r->scope == RT_SCOPE_LINK : !ip_is_link_local(&r->dst.ip) && !ip_is_multicast(&r->dst.ip);
}

static void collect_copy(void *ctx, const struct nlmsghdr *h)
{
	struct copy_scan *scan = ctx;
	struct route r;
	if (scan->count == NET_COPIES_MAX || !read_route(h, &r) || r.table != RT_TABLE_MAIN || !is_link_route(&r))
		return;
	if (r.oif == scan->n->ifindex || !is_up(&scan->links, r.oif))
		return;
	r.table = NET_TABLE_LINK;
	scan->found[scan->count++] = r;
}

static bool route_eq(const struct route *a, const struct route *b)
{
	return a->oif == b->oif && a->metric == b->metric && a->dst.len == b->dst.len && ip_eq(&a->dst.ip, &b->dst.ip) &&
	       ip_eq(&a->src, &b->src);
}

static void copy_link_routes(struct net *n)
{
	struct copy_scan *scan = calloc(1, sizeof(*scan));
	struct nl_msg m;
	if (!scan) {
		n->stats.errors++;
		return;
	}
	scan->n = n;
	nl_begin(&m, RTM_GETLINK, 0);
	(void)nl_header(&m, sizeof(struct ifinfomsg));
	if (nl_dump(&n->nl, &m, collect_link, &scan->links) < 0 ||
	    dump_routes(n, 4, RT_TABLE_MAIN, collect_copy, scan) < 0 || dump_routes(n, 6, RT_TABLE_MAIN, collect_copy, scan) < 0) {
		n->stats.errors++;
		goto out; /* the copies stay as they are until the next change */
	}
	for (size_t i = 0; i < n->n_copies; i++) {
		bool stays = false;
		for (size_t j = 0; j < scan->count && !stays; j++)
			stays = route_eq(&n->copies[i], &scan->found[j]);
		if (!stays && del_route(n, &n->copies[i]) == 0)
			n->stats.links_removed++;
	}
	/* All again: the kernel drops routes of a link that was down for a moment without telling which. */
	for (size_t i = 0; i < scan->count; i++) {
		int rc = change_route(n, RTM_NEWROUTE, &scan->found[i]);
		n->stats.links_copied += rc == 0;
		n->stats.errors += rc != 0 && rc != -EEXIST;
	}
	memcpy(n->copies, scan->found, scan->count * sizeof(n->copies[0]));
	n->n_copies = scan->count;
out:
	free(scan);
}

/* ---- the way out ---- */

static u64 mix(u64 digest, const void *data, size_t n)
{
	const u8 *p = data;
	for (size_t i = 0; i < n; i++)
		digest = (digest ^ p[i]) * 0x100000001b3ull; /* FNV-1a */
	return digest;
}

struct way {
	struct ip src, gateway;
	u32 oif;
};

static void read_way(void *ctx, const struct nlmsghdr *h)
{
	struct way *way = ctx;
	struct rtmsg rt;
	struct nl_attr a;
	if (h->nlmsg_type != RTM_NEWROUTE || h->nlmsg_len < NLMSG_LENGTH(sizeof(rt)))
		return;
	memcpy(&rt, (const u8 *)h + NLMSG_HDRLEN, sizeof(rt));
	for (struct nl_walk w = nl_attrs(h, sizeof(rt)); nl_attr_next(&w, &a);) {
		if (a.type == RTA_OIF)
			way->oif = nl_attr_u32(&a);
		else if (a.type == RTA_PREFSRC)
			way->src = attr_ip(&a, rt.rtm_family);
		else if (a.type == RTA_GATEWAY)
			way->gateway = attr_ip(&a, rt.rtm_family);
	}
}

static struct way way_to(struct net *n, const struct ip *target)
{
	struct way way = { 0 };
	struct nl_msg m;
	nl_begin(&m, RTM_GETROUTE, 0);
	struct rtmsg *rt = nl_header(&m, sizeof(*rt));
	rt->rtm_family = af_of(target->family);
	rt->rtm_dst_len = target->family == 4 ? 32 : 128;
	put_ip(&m, RTA_DST, target);
	nl_put_u32(&m, RTA_MARK, UDP_MARK);
	(void)nl_get(&n->nl, &m, read_way, &way); /* no route: all zero */
	return way;
}

static u64 uplink_digest(struct net *n)
{
	static const struct ip anywhere[2] = { /* a root name server: only looked up in the routing table */
		{ .b = { 198, 41, 0, 4 }, .family = 4 },
		{ .b = { 0x20, 0x01, 0x05, 0x03, 0xba, 0x3e, [13] = 2, [15] = 0x30 }, .family = 6 },
	};
	const struct ip *targets = n->n_targets > 0 ? n->targets : anywhere;
	size_t count = n->n_targets > 0 ? n->n_targets : ARRAY_LEN(anywhere);
	u64 digest = 0xcbf29ce484222325ull;
	for (size_t i = 0; i < count; i++) {
		struct way way = way_to(n, &targets[i]);
		digest = mix(digest, way.src.b, sizeof(way.src.b));
		digest = mix(digest, way.gateway.b, sizeof(way.gateway.b));
		digest = mix(digest, &way.oif, sizeof(way.oif));
	}
	return digest;
}

void net_set_targets(struct net *n, const struct ip *targets, size_t count)
{
	n->n_targets = 0;
	for (size_t i = 0; i < count && n->n_targets < NET_TARGETS_MAX; i++)
		if (targets[i].family != 0)
			n->targets[n->n_targets++] = targets[i];
	n->uplink = uplink_digest(n);
}

/* ---- news ---- */

/* Whether a notification is about the host and not about what we do ourselves. */
static bool is_news(const struct net *n, const struct nlmsghdr *h)
{
	const u8 *body = (const u8 *)h + NLMSG_HDRLEN;
	struct route r;
	switch (h->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK: {
		struct ifinfomsg ifi;
		if (h->nlmsg_len < NLMSG_LENGTH(sizeof(ifi)))
			return false;
		memcpy(&ifi, body, sizeof(ifi));
		return (u32)ifi.ifi_index != n->ifindex;
	}
	case RTM_NEWADDR:
	case RTM_DELADDR: {
		struct ifaddrmsg ifa;
		if (h->nlmsg_len < NLMSG_LENGTH(sizeof(ifa)))
			return false;
		memcpy(&ifa, body, sizeof(ifa));
		return ifa.ifa_index != n->ifindex;
	}
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		if (!read_route(h, &r))
			return false;
		return r.oif != n->ifindex && r.table != NET_TABLE_LINK && r.table != RT_TABLE_LOCAL;
	default:
		return false;
	}
}

void net_input(struct net *n, u64 now)
{
	alignas(struct nlmsghdr) u8 buf[8192];
	bool has_news = false;
	for (;;) {
		ssize_t got = recv(n->watch_fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_TRUNC);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == ENOBUFS) {
			n->stats.overruns++;
			has_news = true;
			continue;
		}
		if (got <= 0)
			break;
		has_news |= (size_t)got > sizeof(buf);
		int left = (int)MIN((size_t)got, sizeof(buf));
		for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
			n->stats.notifications++;
			has_news |= is_news(n, h);
		}
	}
	if (!has_news)
		return;
	if (n->due == TIME_NEVER)
		n->first_note = now;
	n->due = time_min(time_add(now, NET_DEBOUNCE), time_add(n->first_note, NET_DEBOUNCE_MAX));
}

u64 net_next_timeout(const struct net *n)
{
	return n->due;
}

bool net_timeout(struct net *n, u64 now)
{
	if (now < n->due)
		return false;
	n->due = TIME_NEVER;
	n->stats.refreshes++;
	copy_link_routes(n);
	u64 uplink = uplink_digest(n);
	if (uplink == n->uplink)
		return false;
	n->uplink = uplink;
	n->stats.uplink_changes++;
	return true;
}

int net_fd(const struct net *n)
{
	return n->watch_fd;
}

const struct net_stats *net_stats(const struct net *n)
{
	return &n->stats;
}

/* ---- opening ---- */

static int open_watch(struct net *n)
{
	struct sockaddr_nl sa = { .nl_family = AF_NETLINK };
	sa.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;
	n->watch_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (n->watch_fd < 0 || bind(n->watch_fd, (struct sockaddr *)&sa, sizeof(sa)) != 0)
		return ERR_IO;
	return 0;
}

int net_open(struct net **out, u32 ifindex)
{
	int one = 1;
	struct net *n = calloc(1, sizeof(*n));
	if (!n)
		return ERR_NOMEM;
	n->ifindex = ifindex;
	n->watch_fd = -1;
	n->due = TIME_NEVER;
	int rc = nl_open(&n->nl, NETLINK_ROUTE);
	if (rc == 0)
		rc = open_watch(n);
	if (rc == 0)
		rc = bring_up(n); /* also tells whether we may */
	if (rc < 0) {
		net_close(n);
		return rc;
	}
	(void)setsockopt(n->nl.fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &one, sizeof(one));
	flush_tables(n);
	copy_link_routes(n);
	n->uplink = uplink_digest(n);
	*out = n;
	return 0;
}

void net_close(struct net *n)
{
	if (!n)
		return;
	if (n->nl.fd >= 0 && n->watch_fd >= 0) {
		remove_rules(n, 4);
		remove_rules(n, 6);
		flush_tables(n);
	}
	nl_close(&n->nl);
	if (n->watch_fd >= 0)
		close(n->watch_fd);
	free(n->routes);
	free(n);
}
