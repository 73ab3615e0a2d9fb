/* A client with one DNS resource and one network, whose applications, upstream servers and gateway may say anything.
 *
 * The input is a list of steps, each `op, argument, length (2), bytes`. Whatever is said: a packet for the gateway comes from the client's own
 * address, or is a control message that announces a name the resource covers; a packet for the TUN goes to the client's own address, and what
 * a sentinel sends by UDP is a DNS response that fits.
 */
#define FAKE_SENT 64
#include "core/dns/pattern.h"
#include "core/ip/udp_packet.h"
#include "core/tunnel/client.h"
#include "core/tunnel/control.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/fake_node.h"
#include "tests/unit/inner.h"

#define STEPS_MAX 64u
#define PACKET_MAX 3000u
#define WALL SEC(1780000000)

enum op { QUERY, TUN, INNER, ANSWER, FAIL, PORTAL, TIME, OPS };

static struct rng_seeded rng;
static struct client *c;
static u64 now;
static u32 exchanges[16], n_exchanges, seen;
static struct dns_pattern pattern;

static struct ip own(u8 family)
{
	return ip_of(family == 4 ? "100.64.0.7" : "fd00:2021:1111::7");
}

static void configure(u8 which)
{
	static const char *const url = "https://dns.example/dns-query";
	struct ip list[2] = { ip_of("10.0.0.53"), ip_of("192.0.2.9") };
	struct portal_message m = { .type = MSG_CONFIG_CHANGED };
	m.config_changed = (struct msg_interface){ .ipv4 = own(4), .ipv6 = own(6) };
	m.config_changed.upstream_do53 = list;
	m.config_changed.n_upstream_do53 = which % 3;
	m.config_changed.upstream_doh = &url;
	m.config_changed.n_upstream_doh = which / 3 % 2;
	(void)client_message(c, now, WALL + now, &m);
}

static void init(void)
{
	static const struct msg_site site = { .name = "site" };
	struct msg_resource r[2] = { { .type = MSG_RESOURCE_DNS, .name = "app", .address = "**.example.com", .sites = &site, .n_sites = 1 },
				     { .type = MSG_RESOURCE_CIDR, .name = "net", .address = "10.0.0.0/8", .sites = &site, .n_sites = 1 } };
	struct portal_message m = { .type = MSG_INIT_CLIENT };
	struct ip system[1] = { ip_of("192.0.2.53") };

	r[0].id = uuid_of(1);
	r[1].id = uuid_of(2);
	r[1].net = cidr_of("10.0.0.0/8");
	m.init_client.interface.ipv4 = own(4);
	m.init_client.interface.ipv6 = own(6);
	m.init_client.resources = r;
	m.init_client.n_resources = 2;
	(void)client_message(c, now, WALL + now, &m);
	client_set_system_resolvers(c, now, system, 1);
}

/* What the portal may say meanwhile. */
static void portal(u8 what)
{
	struct portal_message m = { .type = MSG_FLOW_CREATED };

	if (what < 8) {
		configure(what);
		return;
	}
	if (what < 12) {
		m.type = MSG_RESOURCE_DELETED;
		m.id = uuid_of(1u + what % 2u);
	} else if (what < 16) {
		init();
		return;
	} else if (what == 16) {
		client_reset(c, now);
		init();
		fake->has_relay = true;
		return;
	} else {
		m.flow_created = (struct msg_flow_created){ .resource_id = uuid_of(1u + what % 2u), .gateway_id = uuid_of(50),
							    .gateway_ipv4 = ip_of("100.64.1.50"), .gateway_ipv6 = ip_of("fd00:2021:1111::1:50"),
							    .client_ice = { "a", "b" }, .gateway_ice = { "c", "d" } };
	}
	(void)client_message(c, now, WALL + now, &m);
}

static void check_control(const struct fake_sent *s, const struct packet *p)
{
	struct control_assigned m;
	if (control_event(s->data) != CONTROL_ASSIGNED_IPS || control_read_assigned(s->data, p, &m) || m.n_proxies != 8)
		abort();
	struct uuid id = uuid_of(1);
	if (!uuid_eq(&m.resource, &id) || !dns_pattern_matches(&pattern, &m.domain))
		abort();
}

static void check_gateway(const struct fake_sent *s)
{
	struct packet p;
	if (packet_parse(s->data, s->len, TUNNEL_MTU, &p))
		abort();
	if (packet_is_control(&p)) {
		check_control(s, &p);
		return;
	}
	struct ip src = own(p.src.family);
	if (!ip_eq(&p.src, &src))
		abort();
}

static void check_tun(const struct tun_pkt *t)
{
	struct packet p;
	struct span message;
	struct dns_response r;

	if (packet_parse(t->data, t->len, 65535, &p))
		abort();
	struct ip dst = own(p.dst.family);
	bool is_sentinel = cidr_contains(p.src.family == 4 ? &net_sentinels4 : &net_sentinels6, &p.src);
	if (!ip_eq(&p.dst, &dst))
		abort();
	if (is_sentinel && p.kind == L4_UDP &&
	    (p.src_port != 53 || udp_packet_read(t->data, &p, &message) || dns_response_parse(message, &r)))
		abort();
}

static void drain(void)
{
	struct tun_pkt t;
	struct client_event e;
	struct dns_exchange ex;

	while (client_poll_event(c, &e))
		;
	while (client_poll_exchange(c, &ex))
		if (!ex.is_cancel)
			exchanges[n_exchanges++ % ARRAY_LEN(exchanges)] = ex.id;
	while (client_poll_tun(c, &t))
		check_tun(&t);
	for (; seen != fake->n_sent; seen++)
		if (fake->n_sent - seen <= FAKE_SENT)
			check_gateway(&fake->sent[seen % FAKE_SENT]);
}

static void to_tun(u8 *data, u32 len)
{
	struct tun_pkt t = { .data = data, .len = len };
	client_tun_input(c, now, WALL + now, &t, 1);
}

static void query(u8 sentinel, struct span payload)
{
	struct endpoint src = { own(4), 40000 }, dst = { ip4(100, 100, 111, sentinel % 4), 53 };
	u8 data[TUNNEL_MTU];
	payload.n = MIN(payload.n, (size_t)UDP_PAYLOAD_MAX);
	u32 len = udp_packet_write(&src, &dst, payload, data);
	to_tun(data, len);
}

static void inner(struct span bytes)
{
	static u8 memory[16 + PACKET_MAX + 16];
	memset(memory, 0, 16);
	memcpy(memory + 16, bytes.p, bytes.n);
	struct udp_rx rx = { .data = memory, .len = (u32)bytes.n + 32 };
	client_udp_input(c, now, WALL + now, &rx, 1);
}

static void step(struct rd *r)
{
	u8 op = rd_u8(r) % OPS, argument = rd_u8(r);
	size_t n = MIN((size_t)(rd_be16(r) % PACKET_MAX), rd_left(r));
	struct span bytes = rd_bytes(r, n);
	u8 data[PACKET_MAX];
	struct endpoint from = { ip_of("192.0.2.53"), 53 };

	memcpy(data, bytes.p ? bytes.p : data, bytes.n);
	switch ((enum op)op) {
	case QUERY:
		query(argument, bytes);
		break;
	case TUN:
		to_tun(data, (u32)bytes.n);
		break;
	case INNER:
		inner(bytes);
		break;
	case ANSWER:
		client_exchange_response(c, now, exchanges[argument % ARRAY_LEN(exchanges)], argument & 16 ? NULL : &from, bytes);
		break;
	case FAIL:
		client_exchange_failed(c, now, exchanges[argument % ARRAY_LEN(exchanges)], ERR_TIMEOUT);
		break;
	case PORTAL:
		portal(argument % 20);
		break;
	case TIME:
		now += MSEC(argument * 20u);
		client_timeout(c, now, WALL + now);
		break;
	case OPS:
		break;
	}
	drain();
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	struct client_config cfg = { .rng = &rng.rng };
	struct rd r = rd_init(input, size);

	rng_seeded_init(&rng, 1);
	now = SEC(1);
	n_exchanges = seen = 0;
	memset(exchanges, 0, sizeof(exchanges));
	if (dns_pattern_init(&pattern, "**.example.com"))
		abort();
	c = client_new(&cfg, now);
	init();
	drain();
	for (unsigned i = 0; i < STEPS_MAX && rd_left(&r) >= 4; i++)
		step(&r);
	client_free(c);
	return 0;
}
