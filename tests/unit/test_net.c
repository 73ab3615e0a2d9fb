/* The tunnel interface, its routes and rules, and the firewall, as ip(8) and nft(8) see them: in a network of the test's own. */
#include "core/base/cursor.h"
#include "core/base/err.h"
#include "core/ip/checksum.h"
#include "platform/firewall.h"
#include "platform/net.h"
#include "platform/sys.h"
#include "platform/tun.h"
#include "tests/unit/inner.h"
#include "tests/unit/netns.h"
#include "tests/unit/test.h"

#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct ip own4 = { .b = { 100, 64, 0, 7 }, .family = 4 };
static const struct ip own6 = { .b = { 0xfd, 0, 0x20, 0x21, 0x11, 0x11, [15] = 7 }, .family = 6 };
static const struct ip none = { 0 };

static bool has(const char *text, const char *part)
{
	return strstr(text, part) != NULL;
}

static struct cidr net_of(const char *text)
{
	struct cidr c = { 0 };
	EXPECT_EQ(cidr_parse((struct span){ (const u8 *)text, strlen(text) }, &c), 0);
	return c;
}

/* An interface that is up and has a carrier. */
static void add_link(const char *name)
{
	EXPECT(netns_sh("ip link add %s type veth peer name %sp && ip link set %sp up && ip link set %s up", name, name, name, name));
}

struct rig {
	struct tun *tun;
	struct net *net;
};

static bool rig_up(struct rig *r)
{
	*r = (struct rig){ 0 };
	return EXPECT_EQ(tun_open(&r->tun, TUN_NAME), 0) && EXPECT_EQ(net_open(&r->net, tun_ifindex(r->tun)), 0);
}

static void rig_down(struct rig *r)
{
	net_close(r->net);
	tun_close(r->tun);
	netns_leave();
}

TEST(spec30_64_spec40_9_the_interface_has_its_name_mtu_and_host_addresses)
{
	REQUIRE_NETNS();
	struct rig r;
	unsigned stack = 0;
	REQUIRE(rig_up(&r));
	EXPECT(netns_sh("ip addr add 10.9.9.9/24 dev tun-firezone"));
	EXPECT_EQ(net_set_addresses(r.net, &own4, &own6, &stack), 0);
	EXPECT_EQ(stack, NET_V4 | NET_V6);

	const char *out = netns_output("ip -d addr show dev tun-firezone");
	EXPECT(has(out, "mtu 1280"));
	EXPECT(has(out, "qlen 10000"));
	EXPECT(has(out, "inet 100.64.0.7/32"));
	EXPECT(has(out, "inet6 fd00:2021:1111::7/128"));
	EXPECT(has(out, "UP"));
	EXPECT(!has(out, "10.9.9.9"));
	EXPECT(!has(out, "fe80"));
	EXPECT(tun_offload(r.tun) != TUN_OFFLOAD_NONE);
	rig_down(&r);
}

TEST(spec30_65_spec40_10_rules_keep_marked_packets_out)
{
	REQUIRE_NETNS();
	struct rig r;
	unsigned stack;
	REQUIRE(rig_up(&r));
	EXPECT_EQ(net_set_addresses(r.net, &own4, &own6, &stack), 0);
	EXPECT_EQ(net_set_addresses(r.net, &own4, &own6, &stack), 0); /* existing rules are no error */
	for (int v6 = 0; v6 < 2; v6++) {
		const char *out = netns_output("ip -d %s rule show", v6 ? "-6" : "-4");
		EXPECT(has(out, "100:	not from all fwmark 0xfd002021 lookup 539098368 proto kernel"));
		EXPECT(has(out, "200:	not from all fwmark 0xfd002021 lookup 539098369 proto kernel"));
		EXPECT(has(out, "300:	not from all fwmark 0xfd002021 lookup 539098370 proto kernel"));
	}
	net_close(r.net);
	r.net = NULL;
	EXPECT(!has(netns_output("ip rule show; ip -6 rule show"), "fd002021"));
	rig_down(&r);
}

TEST(spec30_66_routes_go_to_their_tables)
{
	REQUIRE_NETNS();
	struct rig r;
	unsigned stack;
	REQUIRE(rig_up(&r));
	EXPECT_EQ(net_set_addresses(r.net, &own4, &own6, &stack), 0);
	struct cidr routes[] = { net_of("100.64.0.0/11"), net_of("0.0.0.0/0"), net_of("fd00:2021:1111::/107"), net_of("::/0") };
	EXPECT_EQ(net_set_routes(r.net, routes, 4), 0);
	EXPECT(has(netns_output("ip route show table 539098368"), "100.64.0.0/11 dev tun-firezone proto static scope global") ||
	       has(netns_output("ip route show table 539098368"), "100.64.0.0/11 dev tun-firezone proto static"));
	EXPECT(has(netns_output("ip route show table 539098370"), "default dev tun-firezone proto static"));
	EXPECT(has(netns_output("ip -6 route show table 539098368"), "fd00:2021:1111::/107 dev tun-firezone proto static"));
	EXPECT(has(netns_output("ip -6 route show table 539098370"), "default dev tun-firezone proto static"));

	/* those no longer wanted go, the others stay; also after the kernel dropped them with an address */
	EXPECT(netns_sh("ip link set tun-firezone down && ip link set tun-firezone up"));
	EXPECT_EQ(net_set_routes(r.net, routes, 1), 0);
	EXPECT(has(netns_output("ip route show table 539098368"), "100.64.0.0/11"));
	EXPECT_STR(netns_output("ip route show table 539098370"), "");
	EXPECT_STR(netns_output("ip -6 route show table 539098368"), "");
	rig_down(&r);
}

TEST(spec30_68_a_repeated_configuration_keeps_addresses_and_brings_routes_back)
{
	REQUIRE_NETNS();
	struct rig r;
	unsigned stack;
	struct ip other4 = ip4(100, 64, 0, 8);
	struct cidr routes[] = { net_of("100.64.0.0/11"), net_of("10.20.0.0/16") };
	REQUIRE(rig_up(&r));
	EXPECT_EQ(net_set_addresses(r.net, &own4, &own6, &stack), 0);
	EXPECT_EQ(net_set_routes(r.net, routes, 2), 0);
	EXPECT_EQ(net_set_addresses(r.net, &other4, &own6, &stack), 0);
	EXPECT_EQ(net_set_routes(r.net, routes, 2), 0);
	const char *out = netns_output("ip addr show dev tun-firezone; ip route show table 539098368");
	EXPECT(has(out, "100.64.0.8/32"));
	EXPECT(!has(out, "100.64.0.7/32"));
	EXPECT(has(out, "10.20.0.0/16"));
	rig_down(&r);
}

TEST(spec30_67_spec40_11_one_family_is_enough)
{
	REQUIRE_NETNS();
	struct rig r;
	unsigned stack = 0;
	EXPECT(netns_sh("sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1"));
	REQUIRE(rig_up(&r));
	EXPECT_EQ(net_set_addresses(r.net, &own4, &own6, &stack), 0);
	EXPECT_EQ(stack, NET_V4);
	struct cidr routes[] = { net_of("100.64.0.0/11"), net_of("fd00:2021:1111::/107") };
	EXPECT_EQ(net_set_routes(r.net, routes, 2), 0);
	EXPECT(has(netns_output("ip route show table 539098368"), "100.64.0.0/11"));
	EXPECT_STR(netns_output("ip -6 rule show | grep fd002021"), "");
	EXPECT_EQ(net_set_addresses(r.net, &none, &own6, &stack), ERR_UNSUPPORTED);
	rig_down(&r);
}

TEST(routes_of_a_killed_run_are_cleared_at_start)
{
	REQUIRE_NETNS();
	add_link("d0");
	EXPECT(netns_sh("ip route add blackhole 10.1.0.0/16 table 539098368 2>/dev/null; ip link set d0 up;"
			"for i in $(seq 1 9); do ip route add 10.$i.0.0/16 dev d0 table 539098370; done;"
			"ip -6 route add fd77::/64 dev d0 table 539098369; ip route add 10.99.0.0/16 dev d0"));
	struct rig r;
	REQUIRE(rig_up(&r));
	EXPECT_STR(netns_output("ip route show table 539098368; ip route show table 539098370"), "");
	EXPECT(!has(netns_output("ip -6 route show table 539098369"), "fd77"));
	EXPECT(has(netns_output("ip route show"), "10.99.0.0/16")); /* and nobody else's */
	rig_down(&r);
}

/* Lets notifications come until the uplink changed or nothing is due any more; true when it changed. */
static bool settle(struct net *n)
{
	for (;;) {
		struct pollfd p = { net_fd(n), POLLIN, 0 };
		u64 due = net_next_timeout(n), now = sys_now();
		int wait = due == TIME_NEVER ? 20 : due > now ? (int)((due - now) / 1000000 + 1) : 0;
		int ready = poll(&p, 1, wait);
		if (ready > 0)
			net_input(n, sys_now());
		if (net_timeout(n, sys_now()))
			return true;
		if (ready == 0 && net_next_timeout(n) == TIME_NEVER)
			return false;
	}
}

TEST(spec30_66_link_scope_routes_follow_their_originals)
{
	REQUIRE_NETNS();
	struct rig r;
	add_link("d0");
	EXPECT(netns_sh("ip addr add 192.168.7.2/24 dev d0"));
	REQUIRE(rig_up(&r));
	EXPECT(has(netns_output("ip route show table 539098369"), "192.168.7.0/24 dev d0"));

	add_link("d1");
	EXPECT(netns_sh("ip addr add 192.168.8.2/24 dev d1; ip link set d1 up;"
			"ip -6 addr add fd88::2/64 dev d1 nodad"));
	EXPECT(!settle(r.net));
	EXPECT(has(netns_output("ip route show table 539098369"), "192.168.8.0/24 dev d1"));
	EXPECT(has(netns_output("ip -6 route show table 539098369"), "fd88::/64 dev d1"));

	EXPECT(netns_sh("ip addr del 192.168.7.2/24 dev d0"));
	settle(r.net);
	EXPECT(!has(netns_output("ip route show table 539098369"), "192.168.7.0/24"));
	EXPECT(has(netns_output("ip route show table 539098369"), "192.168.8.0/24"));

	EXPECT(netns_sh("ip link set d1 down && ip link set d1 up")); /* the kernel drops the copy silently */
	settle(r.net);
	EXPECT(has(netns_output("ip route show table 539098369"), "192.168.8.0/24"));
	rig_down(&r);
}

TEST(spec30_71_a_changed_way_out_is_noticed_and_nothing_else)
{
	REQUIRE_NETNS();
	struct rig r;
	unsigned stack;
	struct cidr everything[] = { net_of("0.0.0.0/0"), net_of("::/0") };
	add_link("up0");
	EXPECT(netns_sh("ip addr add 192.168.7.2/24 dev up0;"
			"ip route add default via 192.168.7.1"));
	REQUIRE(rig_up(&r));
	EXPECT(!settle(r.net));

	/* our own doing, containers, lifetimes: no change */
	EXPECT_EQ(net_set_addresses(r.net, &own4, &own6, &stack), 0);
	EXPECT_EQ(net_set_routes(r.net, everything, 2), 0);
	add_link("br9");
	EXPECT(netns_sh("ip addr add 172.17.0.1/16 dev br9"));
	EXPECT(netns_sh("ip addr change 192.168.7.2/24 dev up0 valid_lft 600 preferred_lft 600"));
	EXPECT(!settle(r.net));
	EXPECT_EQ(net_stats(r.net)->uplink_changes, 0);

	/* renumbered */
	EXPECT(netns_sh("ip addr add 192.168.7.3/24 dev up0; ip addr del 192.168.7.2/24 dev up0; ip addr replace 192.168.7.3/24 dev up0;"
			"ip route replace default via 192.168.7.1"));
	EXPECT(settle(r.net));
	/* unplugged */
	EXPECT(netns_sh("ip link set up0 down"));
	EXPECT(settle(r.net));
	/* another uplink */
	EXPECT(netns_sh("ip route add default via 172.17.0.99"));
	EXPECT(settle(r.net));
	EXPECT_EQ(net_stats(r.net)->uplink_changes, 3);

	/* only the ways that matter */
	struct ip lan = ip4(172, 17, 0, 5);
	net_set_targets(r.net, &lan, 1);
	EXPECT(netns_sh("ip route del default"));
	EXPECT(!settle(r.net));
	rig_down(&r);
}

TEST(tun_carries_packets_both_ways_with_a_virtio_header)
{
	REQUIRE_NETNS();
	struct rig r;
	unsigned stack;
	struct cidr route = net_of("10.77.0.0/16");
	REQUIRE(rig_up(&r));
	EXPECT_EQ(net_set_addresses(r.net, &own4, &none, &stack), 0);
	EXPECT_EQ(net_set_routes(r.net, &route, 1), 0);

	struct tun_pkt pkt = { 0 };
	while (tun_read(r.tun, &pkt) == 0)
		;
	EXPECT(!netns_sh("ping -c1 -W1 -s 100 10.77.0.1 >/dev/null"));
	REQUIRE(tun_read(r.tun, &pkt) == 0);
	EXPECT_EQ(pkt.len, 128);
	EXPECT_EQ(pkt.vnet.gso_type, VNET_GSO_NONE);
	EXPECT(pkt.has_headroom);
	EXPECT_EQ(pkt.data[0], 0x45);
	EXPECT_EQ(pkt.data[9], 1);
	EXPECT_EQ(tun_read(r.tun, &pkt), ERR_AGAIN);

	/* the other way: sent back as it came, with and without room for the header */
	EXPECT_EQ(tun_write(r.tun, &pkt), 0);
	pkt.has_headroom = false;
	EXPECT_EQ(tun_write(r.tun, &pkt), 0);
	EXPECT(netns_sh("ip link set tun-firezone down"));
	EXPECT_EQ(tun_write(r.tun, &pkt), ERR_IO);
	EXPECT_EQ(tun_stats(r.tun)->tx_errors, 1);
	EXPECT_EQ(tun_stats(r.tun)->tx_packets, 2);
	rig_down(&r);
}

/* Joined datagrams, the headers in one piece and each payload in its own: the system takes them apart again. */
TEST(a_packet_in_pieces_is_written_whole)
{
	enum { SEGMENTS = 5, BYTES = 1000 };
	static u8 first[TUN_HEADROOM + 28 + BYTES], payloads[SEGMENTS][BYTES], whole[28 + SEGMENTS * BYTES], got[2000];
	struct tun_piece pieces[SEGMENTS - 1];
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(4444) };
	struct rig r;
	unsigned stack;

	REQUIRE_NETNS();
	REQUIRE(rig_up(&r));
	EXPECT_EQ(net_set_addresses(r.net, &own4, &none, &stack), 0);
	struct cidr route = net_of("10.77.0.0/16");
	EXPECT_EQ(net_set_routes(r.net, &route, 1), 0);
	memcpy(&at.sin_addr, own4.b, 4);
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	REQUIRE(s >= 0 && bind(s, (struct sockaddr *)&at, sizeof(at)) == 0);
	for (int i = 0; i < SEGMENTS; i++)
		for (int k = 0; k < BYTES; k++)
			payloads[i][k] = (u8)(i * 31 + k);
	struct inner_spec spec = { .src = ip4(10, 77, 0, 1), .dst = own4, .proto = 17, .sport = 5555, .dport = 4444, .ttl = 9,
				   .payload = payloads, .payload_len = sizeof(payloads) };
	struct tun_pkt pkt = { .data = first + TUN_HEADROOM, .len = inner_make(&spec, whole), .head = 28 + BYTES, .more = pieces };
	pkt.vnet = (struct vnet){ .flags = VNET_NEEDS_CSUM, .gso_type = VNET_GSO_UDP_L4, .hdr_len = 28, .gso_size = BYTES, .csum_start = 20,
				  .csum_offset = 6 };
	put_be16(whole + 26, csum_fold(csum_pseudo(whole + 12, 4, pkt.len - 20, 17)));
	memcpy(pkt.data, whole, pkt.head);
	for (u32 i = 0; i < SEGMENTS - 1; i++)
		pieces[i] = (struct tun_piece){ payloads[i + 1], BYTES, i + 2 < SEGMENTS ? &pieces[i + 1] : NULL };
	for (int round = 0; round < 2; round++) {
		pkt.has_headroom = round == 0;
		EXPECT_EQ(tun_write(r.tun, &pkt), 0);
		for (int i = 0; i < SEGMENTS; i++) {
			EXPECT_EQ(recv(s, got, sizeof(got), 0), BYTES);
			EXPECT_MEM(got, payloads[i], BYTES);
		}
	}
	EXPECT_EQ(tun_stats(r.tun)->tx_bytes, 2 * (28 + SEGMENTS * BYTES));
	close(s);
	rig_down(&r);
}

TEST(a_taken_tunnel_name_says_so)
{
	REQUIRE_NETNS();
	struct tun *a = NULL, *b = NULL;
	EXPECT_EQ(tun_open(&a, TUN_NAME), 0);
	EXPECT_EQ(tun_open(&b, TUN_NAME), ERR_EXISTS);
	tun_close(a);
	netns_leave();
}

/* ---- firewall ---- */

TEST(spec40_12_firewall_is_idempotent_and_removed_whole)
{
	REQUIRE_NETNS();
	struct firewall_config cfg = { .tunnel = TUN_NAME };
	EXPECT_EQ(firewall_remove(TUN_NAME), 0); /* nothing there: no error */
	EXPECT_EQ(firewall_install(&cfg), 0);
	char first[8192] = "";
	const char *out = netns_output("nft list ruleset");
	strncpy(first, out, sizeof(first) - 1);
	EXPECT(has(first, "ip saddr 100.64.0.0/11 oifname != \"tun-firezone\" oifname != \"lo\" counter packets 0 bytes 0 masquerade"));
	EXPECT(has(first, "ip6 saddr fd00:2021:1111::/107 oifname != \"tun-firezone\""));
	EXPECT(has(first, "type nat hook postrouting priority srcnat; policy accept;"));
	EXPECT_EQ(firewall_install(&cfg), 0);
	EXPECT_STR(netns_output("nft list ruleset"), first);
	EXPECT_EQ(firewall_remove(TUN_NAME), 0);
	EXPECT_STR(netns_output("nft list ruleset"), "");
	netns_leave();
}

TEST(spec40_12_egress_prefixes_as_in_the_reference_packaging)
{
	REQUIRE_NETNS();
	static const char *const egress[] = { "e", "w", NULL };
	struct firewall_config cfg = { .tunnel = TUN_NAME, .egress = egress };
	EXPECT_EQ(firewall_install(&cfg), 0);
	const char *out = netns_output("nft list ruleset");
	EXPECT(has(out, "ip saddr 100.64.0.0/11 oifname \"e*\""));
	EXPECT(has(out, "ip saddr 100.64.0.0/11 oifname \"w*\""));
	EXPECT(has(out, "ip6 saddr fd00:2021:1111::/107 oifname \"w*\""));
	static const char *const bad[] = { "", NULL };
	cfg.egress = bad;
	EXPECT_EQ(firewall_install(&cfg), ERR_INVAL);
	cfg = (struct firewall_config){ .tunnel = "a-name-that-is-too-long" };
	EXPECT_EQ(firewall_install(&cfg), ERR_INVAL);
	netns_leave();
}

TEST(spec40_12_accept_rules_stand_in_front_of_a_dropping_forward_chain)
{
	REQUIRE_NETNS();
	struct firewall_config cfg = { .tunnel = TUN_NAME };
	EXPECT(netns_sh("nft 'add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; };"
			"add rule ip filter FORWARD iifname \"docker0\" accept'"));
	EXPECT_EQ(firewall_install(&cfg), 0);
	EXPECT_EQ(firewall_install(&cfg), 0);
	const char *out = netns_output("nft list chain ip filter FORWARD | grep -n 'ifname'");
	EXPECT(has(out, "4:		iifname \"tun-firezone\" counter packets 0 bytes 0 accept"));
	EXPECT(has(out, "5:		oifname \"tun-firezone\" counter packets 0 bytes 0 accept"));
	EXPECT(has(out, "6:		iifname \"docker0\" accept"));
	EXPECT(!has(out, "7:"));
	EXPECT_EQ(firewall_remove(TUN_NAME), 0);
	out = netns_output("nft list ruleset");
	EXPECT(!has(out, "tun-firezone"));
	EXPECT(has(out, "docker0")); /* nobody else's rule is touched */
	netns_leave();
}

TEST(spec40_12_forwarding_is_enabled_and_router_advertisements_stay_heard)
{
	REQUIRE_NETNS();
	char v[16] = "";
	add_link("up0");
	EXPECT(netns_sh("sysctl -qw net.ipv6.conf.up0.accept_ra=1 net.ipv4.ip_forward=0"));
	EXPECT_EQ(firewall_enable_forwarding(), 0);
	EXPECT_EQ(sys_sysctl_get("net/ipv4/ip_forward", v, sizeof(v)), 0);
	EXPECT_STR(v, "1");
	EXPECT_EQ(sys_sysctl_get("net/ipv6/conf/all/forwarding", v, sizeof(v)), 0);
	EXPECT_STR(v, "1");
	EXPECT_EQ(sys_sysctl_get("net/ipv6/conf/up0/accept_ra", v, sizeof(v)), 0);
	EXPECT_STR(v, "2");
	EXPECT_EQ(firewall_enable_forwarding(), 0);
	netns_leave();
}
