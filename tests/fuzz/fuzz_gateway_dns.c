/* A gateway with one DNS resource, a client and a site that may say anything.
 *
 * The input is a list of steps, each `op, argument, length (2), bytes`. Whatever is said, a packet for the site goes from the client's own address to
 * what the resolver told or to the gateway itself, and a packet for the client comes from a proxy address or the gateway, unless it is an
 * ICMP error.
 */
#define FAKE_SENT 16
#include "core/ip/segment.h"
#include "core/tunnel/gateway.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/fake_node.h"
#include "tests/unit/inner.h"

#define STEPS_MAX 64u
#define PACKET_MAX 3000u
#define WALL SEC(1780000000)

enum op { CONTROL, INNER, SITE, RESOLVE, ACCESS, TIME, OPS };

static struct rng_seeded rng;
static struct gateway *gateway;
static u64 now;
static u64 tokens[16];
static u32 n_tokens, seen;

static struct ip address(bool of_client, u8 family)
{
	struct ip ip = family == 4 ? ip4(100, 64, 0, 0) : net_peers6.ip;
	ip.b[family == 4 ? 3 : 15] = of_client ? 7 : 1;
	return ip;
}

/* The site lives in 198.51.100.0/24 and 2001:db8::/32. */
static bool is_site(const struct ip *ip)
{
	static const u8 v4[3] = { 198, 51, 100 }, v6[4] = { 0x20, 1, 0xd, 0xb8 };
	return ip->family == 4 ? memcmp(ip->b, v4, 3) == 0 : memcmp(ip->b, v6, 4) == 0;
}

static void grant(void)
{
	static const struct msg_filter all[] = { { MSG_TCP, 0, 65535 }, { MSG_UDP, 0, 65535 }, { MSG_ICMP, 0, 0 } };
	struct portal_message m = { .type = MSG_AUTHORIZE_FLOW };
	struct msg_authorize_flow *a = &m.authorize_flow;
	a->ref = "ref";
	a->resource = (struct msg_resource){ .type = MSG_RESOURCE_DNS, .id = uuid_of(10), .name = "app", .address = "**.example.com",
					     .filters = all, .n_filters = 3 };
	a->client.id = uuid_of(1);
	a->client.ipv4 = address(true, 4);
	a->client.ipv6 = address(true, 6);
	a->client_ice = a->gateway_ice = (struct msg_ice){ "u", "p" };
	a->expires_at = MSG_NEVER_EXPIRES;
	(void)gateway_message(gateway, now, WALL + now, &m);
}

static void check_site(const struct tun_pkt *t)
{
	struct segmenter s;
	struct tun_pkt copy = *t;
	if (segment_init(&s, &copy))
		abort();
	struct ip client = address(true, s.p.src.family), own = address(false, s.p.dst.family);
	if (!ip_eq(&s.p.src, &client) || (!ip_eq(&s.p.dst, &own) && !is_site(&s.p.dst)))
		abort();
}

static void check_client(const struct fake_sent *sent)
{
	struct packet p;
	if (packet_parse(sent->data, sent->len, TUNNEL_MTU, &p))
		abort();
	struct ip own = address(false, p.src.family);
	if (p.kind != L4_ICMP_ERROR && !packet_is_control(&p) && !ip_is_proxy(&p.src) && !ip_eq(&p.src, &own))
		abort();
}

static void drain(void)
{
	struct tun_pkt t;
	struct gateway_event e;
	while (gateway_poll_tun(gateway, &t))
		check_site(&t);
	while (gateway_poll_event(gateway, &e))
		if (e.type == GATEWAY_RESOLVE)
			tokens[n_tokens++ % ARRAY_LEN(tokens)] = e.token;
	for (; seen < fake->n_sent; seen++)
		if (fake->n_sent - seen <= FAKE_SENT)
			check_client(&fake->sent[seen % FAKE_SENT]);
}

static void inner(u8 *memory, u32 len)
{
	struct udp_rx rx = { .data = memory, .len = len + 32 };
	gateway_udp_input(gateway, now, WALL + now, &rx, 1);
}

/* Only the body and the event are the input's. */
static void control(u8 event, struct span body)
{
	static u8 memory[16 + 48 + PACKET_MAX + 16];
	memset(memory, 0, 64);
	u8 *p = memory + 16;
	p[0] = 0x60;
	put_be16(p + 4, (u16)(8 + body.n));
	p[6] = 0xff;
	p[40] = event % 3;
	memcpy(p + 48, body.p, body.n);
	inner(memory, (u32)(48 + body.n));
}

static void from_client(struct span bytes)
{
	static u8 memory[16 + PACKET_MAX + 16];
	memset(memory, 0, 16);
	memcpy(memory + 16, bytes.p, bytes.n);
	inner(memory, (u32)bytes.n);
}

static void from_site(u8 gso, struct span bytes)
{
	u8 memory[PACKET_MAX];
	memcpy(memory, bytes.p, bytes.n);
	struct tun_pkt t = { .data = memory, .len = (u32)bytes.n };
	if (gso & 1)
		t.vnet = (struct vnet){ .flags = VNET_NEEDS_CSUM, .gso_type = (gso & 2) ? VNET_GSO_UDP_L4 : (gso & 4) ? VNET_GSO_TCPV6 : VNET_GSO_TCPV4,
					.gso_size = (u16)(gso >> 3) + 1, .csum_start = 20, .csum_offset = 16 };
	gateway_tun_input(gateway, now, WALL + now, &t, 1);
	gateway_flush(gateway, now);
}

/* Bits of the argument: how many of each family; the latest question or an older one; failed. */
static void resolve(u8 argument)
{
	struct ip ips[16];
	size_t n = 0;
	for (u8 i = 0; i < (argument & 3); i++)
		ips[n++] = ip4(198, 51, 100, (u8)(argument + i));
	for (u8 i = 0; i < (argument >> 2 & 3); i++)
		ips[n++] = (struct ip){ .b = { 0x20, 1, 0xd, 0xb8, [15] = (u8)(argument + i) }, .family = 6 };
	ips[n++] = ip4(127, 0, 0, argument); /* never to be mapped */
	u64 token = tokens[(n_tokens + (argument >> 4 & 3)) % ARRAY_LEN(tokens)];
	if (n_tokens > 0 && !(argument & 0x40))
		token = tokens[(n_tokens - 1) % ARRAY_LEN(tokens)];
	gateway_resolved(gateway, now, WALL + now, token, ips, n, argument & 0x80 ? ERR_TIMEOUT : 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_init(data, size);
	struct portal_message m = { .type = MSG_INIT_GATEWAY };

	rng_seeded_init(&rng, 1);
	now = SEC(100);
	n_tokens = seen = 0;
	gateway = gateway_new(&(struct gateway_config){ .rng = &rng.rng }, now);
	m.init_gateway.interface = (struct msg_interface){ .ipv4 = address(false, 4), .ipv6 = address(false, 6) };
	(void)gateway_message(gateway, now, WALL + now, &m);
	grant();
	for (unsigned i = 0; i < STEPS_MAX && rd_left(&r) >= 4; i++) {
		enum op op = (enum op)(rd_u8(&r) % OPS);
		u8 argument = rd_u8(&r);
		u16 n = rd_be16(&r);
		struct span bytes = rd_bytes(&r, MIN((size_t)n % PACKET_MAX, rd_left(&r)));
		switch (op) {
		case CONTROL:
			control(argument, bytes);
			break;
		case INNER:
			if (bytes.n > 0)
				from_client(bytes);
			break;
		case SITE:
			if (bytes.n > 0)
				from_site(argument, bytes);
			break;
		case RESOLVE:
			resolve(argument);
			break;
		case ACCESS:
			if (argument & 1) {
				grant();
				break;
			}
			m = (struct portal_message){ .type = MSG_REJECT_ACCESS, .access = { uuid_of(1), uuid_of(10), 0 } };
			(void)gateway_message(gateway, now, WALL + now, &m);
			break;
		case TIME:
			now += MSEC(500) * argument;
			gateway_timeout(gateway, now, WALL + now);
			break;
		case OPS:
			break;
		}
		drain();
	}
	gateway_free(gateway);
	return 0;
}
