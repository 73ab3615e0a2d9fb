/* Every packet door of client and gateway, with peers that may say anything inside the tunnel.
 *
 * The input is a list of steps, each `op, argument, length (2), bytes`. Nothing may reach a resource but from the client's own address to what is
 * granted; nothing may reach the application but to its address.
 */
#define FAKE_SENT 16
#include "core/ip/segment.h"
#include "core/tunnel/client.h"
#include "core/tunnel/gateway.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/fake_node.h"
#include "tests/unit/inner.h"

#define STEPS_MAX 64u
#define PACKET_MAX 3000u

enum op { INNER_TO_GATEWAY, TUN_TO_GATEWAY, INNER_TO_CLIENT, TUN_TO_CLIENT, GRANT, REJECT, TIME, DEVICE, OPS };

static struct rng_seeded rng;
static struct client *client;
static struct gateway *gateway;
static u64 now;
static bool is_granted[2];

#define WALL SEC(1780000000)

static struct ip address(bool of_client, u8 family)
{
	struct ip ip = family == 4 ? ip4(100, 64, 0, 0) : net_peers6.ip;
	ip.b[family == 4 ? 3 : 15] = of_client ? 7 : 1;
	return ip;
}

static struct msg_resource resource(unsigned which)
{
	static const struct msg_filter web = { MSG_TCP, 80, 443 };
	static const struct msg_site site = { { { 9 } }, "site" };
	struct msg_resource r = { .type = MSG_RESOURCE_CIDR, .id = uuid_of(10 + which), .name = "net", .address = "", .sites = &site, .n_sites = 1 };
	r.net = which ? (struct cidr){ .ip = { .b = { 0x20, 1, 0xd, 0xb8 }, .family = 6 }, .len = 32 } :
			(struct cidr){ .ip = { .b = { 10 }, .family = 4 }, .len = 8 };
	if (which) {
		r.filters = &web;
		r.n_filters = 1;
	}
	return r;
}

static void tell_client(unsigned which)
{
	struct portal_message m = { .type = MSG_FLOW_CREATED };
	m.flow_created = (struct msg_flow_created){ .resource_id = uuid_of(10 + which), .gateway_id = uuid_of(2),
						    .gateway_ipv4 = address(false, 4), .gateway_ipv6 = address(false, 6),
						    .client_ice = { "a", "b" }, .gateway_ice = { "c", "d" } };
	(void)client_message(client, now, WALL + now, &m);
}

static void grant(unsigned which)
{
	struct portal_message m = { .type = MSG_AUTHORIZE_FLOW };
	m.authorize_flow.ref = "ref";
	m.authorize_flow.resource = resource(which);
	m.authorize_flow.client.id = uuid_of(1);
	m.authorize_flow.client.ipv4 = address(true, 4);
	m.authorize_flow.client.ipv6 = address(true, 6);
	m.authorize_flow.client_ice = m.authorize_flow.gateway_ice = (struct msg_ice){ "u", "p" };
	m.authorize_flow.expires_at = MSG_NEVER_EXPIRES;
	(void)gateway_message(gateway, now, WALL + now, &m);
	is_granted[which] = true;
}

static void begin(bool logs_flows)
{
	const struct msg_resource list[] = { resource(0), resource(1) };
	struct portal_message m = { .type = MSG_INIT_GATEWAY };
	rng_seeded_init(&rng, 1);
	now = SEC(100);
	is_granted[0] = is_granted[1] = false;
	gateway = gateway_new(&(struct gateway_config){ .rng = &rng.rng, .has_flow_logs = logs_flows }, now);
	client = client_new(&(struct client_config){ .rng = &rng.rng }, now);
	m.init_gateway.interface = (struct msg_interface){ .ipv4 = address(false, 4), .ipv6 = address(false, 6) };
	(void)gateway_message(gateway, now, WALL + now, &m);
	m = (struct portal_message){ .type = MSG_INIT_CLIENT };
	m.init_client.interface = (struct msg_interface){ .ipv4 = address(true, 4), .ipv6 = address(true, 6) };
	m.init_client.resources = list;
	m.init_client.n_resources = 2;
	(void)client_message(client, now, WALL + now, &m);
	grant(0);
}

/* Each inner packet in what a TUN is given. */
static void check(const struct tun_pkt *t, bool at_resource)
{
	static u8 memory[SUPER_PACKET_MAX];
	u8 piece[TUNNEL_MTU];
	struct segmenter s;
	struct tun_pkt whole = tun_pkt_gather(t, memory);
	t = &whole;
	if (t->vnet.gso_type == VNET_GSO_NONE) { /* checksums are the kernel's to judge */
		struct packet p;
		if (packet_parse(t->data, t->len, TUNNEL_MTU, &p))
			abort();
		s.p = p;
	} else if (segment_init(&s, t)) {
		abort();
	} else {
		for (u32 len; (len = segment_next_len(&s)) > 0;)
			segment_write(&s, piece);
	}
	struct ip own = address(true, s.p.src.family);
	if (!ip_eq(at_resource ? &s.p.src : &s.p.dst, &own))
		abort();
	struct ip gw = address(false, s.p.dst.family);
	if (!at_resource || ip_eq(&s.p.dst, &gw))
		return;
	unsigned which = s.p.dst.family == 6;
	struct msg_resource r = resource(which);
	if (!is_granted[which] || !cidr_contains(&r.net, &s.p.dst))
		abort();
	if (which && (s.p.kind != L4_TCP || s.p.dst_port < 80 || s.p.dst_port > 443))
		abort();
}

/* Another client: 100.64.0.9 and its IPv6 twin, or whatever address was asked for. */
static void authorize_device(const struct ip *ipv4, bool is_controlling)
{
	struct portal_message m = { .type = MSG_CLIENT_DEVICE_ACCESS_AUTHORIZED };
	struct ip ipv6 = net_peers6.ip;
	ipv6.b[15] = 9;
	m.device_access_authorized = (struct msg_device_access_authorized){ .client_id = uuid_of(3 + ipv4->b[3] % 2), .client_ipv4 = *ipv4,
									    .client_ipv6 = ipv6, .local_ice = { "a", "b" },
									    .remote_ice = { "c", "d" }, .is_controlling = is_controlling };
	(void)client_message(client, now, WALL + now, &m);
}

static void device(u8 what, struct span bytes)
{
	struct ip ipv4 = ip4(100, 64, 0, 9);
	char text[64] = "";
	const char *list = text;
	struct portal_message m = { .type = MSG_CLIENT_DEVICE_ACCESS_DENIED, .device_access_denied = { .ipv4 = ipv4, .reason = MSG_REASON_OFFLINE } };

	fake->has_relay = !(what & 4u);
	switch (what % 4u) {
	case 0:
	case 1:
		authorize_device(&ipv4, what % 2u);
		return;
	case 2:
		break;
	default:
		memcpy(text, bytes.p, MIN(bytes.n, sizeof(text) - 1));
		m = (struct portal_message){ .type = MSG_CLIENT_ICE_CANDIDATES, .candidates = { uuid_of(4), { &list, 1 } } };
	}
	(void)client_message(client, now, WALL + now, &m);
}

static void drain(void)
{
	struct tun_pkt t;
	struct client_event ce;
	struct gateway_event ge;
	while (gateway_poll_tun(gateway, &t))
		check(&t, true);
	while (client_poll_tun(client, &t))
		check(&t, false);
	while (client_poll_event(client, &ce))
		if (ce.type == CLIENT_SEND && ce.message->type == MSG_CREATE_FLOW)
			tell_client(uuid_eq(&ce.message->create_flow.resource_id, &(struct uuid){ { [15] = 11 } }));
		else if (ce.type == CLIENT_SEND && ce.message->type == MSG_REQUEST_DEVICE_ACCESS && ce.message->ipv4.b[3] % 3 != 0)
			authorize_device(&ce.message->ipv4, true);
	while (gateway_poll_event(gateway, &ge))
		;
}

static void inner(bool to_gateway, u8 ecn, struct span bytes)
{
	static u8 memory[16 + PACKET_MAX + 16];
	memset(memory, 0, 16);
	memcpy(memory + 16, bytes.p, bytes.n);
	struct udp_rx rx = { .data = memory, .len = (u32)bytes.n + 32, .ecn = ecn & 3u };
	if (to_gateway)
		gateway_udp_input(gateway, now, WALL + now, &rx, 1);
	else
		client_udp_input(client, now, WALL + now, &rx, 1);
}

static void tun(bool to_gateway, struct span bytes)
{
	u8 memory[PACKET_MAX];
	if (bytes.n < 10)
		return;
	const u8 *h = bytes.p;
	memcpy(memory, bytes.p + 10, bytes.n - 10);
	struct tun_pkt t = { .data = memory, .len = (u32)bytes.n - 10 };
	t.vnet = (struct vnet){ .flags = h[0], .gso_type = h[1], .hdr_len = get_be16(h + 2), .gso_size = get_be16(h + 4),
				.csum_start = get_be16(h + 6), .csum_offset = get_be16(h + 8) };
	if (to_gateway) {
		gateway_tun_input(gateway, now, WALL + now, &t, 1);
		gateway_flush(gateway, now);
	} else {
		client_tun_input(client, now, WALL + now, &t, 1);
		client_flush(client, now);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_init(data, size);

	begin(size % 2);
	for (unsigned i = 0; i < STEPS_MAX && rd_left(&r) >= 4; i++) {
		enum op op = (enum op)(rd_u8(&r) % OPS);
		u8 argument = rd_u8(&r);
		u16 n = rd_be16(&r);
		struct span bytes = rd_bytes(&r, MIN((size_t)n % PACKET_MAX, rd_left(&r)));
		struct portal_message m = { .type = MSG_REJECT_ACCESS };
		switch (op) {
		case INNER_TO_GATEWAY:
		case INNER_TO_CLIENT:
			if (bytes.n > 0)
				inner(op == INNER_TO_GATEWAY, argument, bytes);
			break;
		case TUN_TO_GATEWAY:
		case TUN_TO_CLIENT:
			tun(op == TUN_TO_GATEWAY, bytes);
			break;
		case GRANT:
			grant(argument % 2);
			break;
		case REJECT:
			m.access = (struct msg_access){ uuid_of(1), uuid_of(10 + argument % 2), 0 };
			(void)gateway_message(gateway, now, WALL + now, &m);
			is_granted[argument % 2] = false;
			break;
		case TIME:
			now += MSEC(100) * argument;
			client_timeout(client, now, WALL + now);
			gateway_timeout(gateway, now, WALL + now);
			break;
		case DEVICE:
			device(argument, bytes);
			break;
		case OPS:
			break;
		}
		drain();
	}
	client_free(client);
	gateway_free(gateway);
	return 0;
}
