#include "tests/sim/names.h"

#include "core/base/err.h"
#include "core/crypto/aead.h"
#include "core/ip/segment.h"
#include "core/phoenix/server.h"
#include "tests/unit/inner.h"
#include "tests/unit/test.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define START SEC(1000)
#define WALL_AT_START SEC(1780000000)
#define PROBE_INTERVAL MSEC(250)
#define SPIN_LIMIT 20000u /* turns of the world in one instant */
#define ROUNDS_LIMIT 1000u

void sim_fail(struct world *w, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	if (w->is_failed)
		return; /* the first one tells; the rest follows from it */
	w->is_failed = true;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(w->verdict, sizeof(w->verdict), "%.255s", text);
	if (w->is_on_trial)
		return;
	test_fail(__FILE__, __LINE__, "seed %llu at %llu ms: %s", (unsigned long long)w->seed,
		  (unsigned long long)((w->now - START) / MSEC(1)), text);
}

static bool flip(struct world *w, unsigned percent)
{
	return rng_below(&w->rng.rng, 100) < percent;
}

u64 sim_between(struct world *w, u64 lo, u64 hi)
{
	return lo + rng_below(&w->rng.rng, hi - lo + 1);
}

/* --- places -------------------------------------------------------------------------------------------------------------------------------- */

static struct ip v4(u8 a, u8 b, u8 c, unsigned d)
{
	return ip4(a, b, c, (u8)d);
}

static struct ip v6(unsigned net, unsigned host)
{
	struct ip ip = { .b = { 0x20, 0x01, 0x0d, 0xb8 }, .family = 6 };
	ip.b[5] = (u8)net;
	ip.b[14] = (u8)(host >> 8);
	ip.b[15] = (u8)host;
	return ip;
}

static void draw_box(struct world *w, struct box *b)
{
	b->mapping = (enum dependence)rng_below(&w->rng.rng, 3);
	b->filtering = (enum dependence)rng_below(&w->rng.rng, 3);
	b->preserves_ports = flip(w, 50);
	b->does_hairpin = flip(w, 50);
	b->lifetime = SEC(sim_between(w, 30, 300));
}

static void place(struct world *w, struct inet_host *h, struct box **box, bool has_v4, bool has_v6, unsigned number)
{
	const struct ip none = { .family = 0 };
	if (has_v4 && flip(w, 80)) {
		struct ip public = v4(203, 0, 113, number);
		h->local[0] = v4(192, 168, (u8)number, 2);
		h->box[0] = box[0] = internet_add_box(w->net, 4, &public);
		draw_box(w, box[0]);
	} else if (has_v4) {
		h->local[0] = v4(203, 0, 113, 100 + number);
	}
	if (has_v6) {
		h->local[1] = v6(number, 2);
		if (flip(w, 60)) {
			h->box[1] = box[1] = internet_add_box(w->net, 6, &none);
			draw_box(w, box[1]);
		}
	}
}

static int port_open(void *ctx, struct turn_alloc *owner, u16 port, u8 family, void **sock)
{
	struct sim_relay *r = ctx;
	struct sim_port **slot = NULL;
	for (unsigned i = 0; i < SIM_PORTS_MAX; i++) {
		if (!r->ports[i])
			slot = slot ? slot : &r->ports[i];
		else if (r->ports[i]->port == port && r->ports[i]->family == family)
			return ERR_EXISTS;
	}
	if (!slot)
		return ERR_LIMIT;
	*slot = calloc(1, sizeof(**slot));
	**slot = (struct sim_port){ owner, port, family };
	*sock = *slot;
	return 0;
}

static void port_close(void *ctx, void *sock)
{
	struct sim_relay *r = ctx;
	for (unsigned i = 0; i < SIM_PORTS_MAX; i++)
		if (r->ports[i] == sock)
			r->ports[i] = NULL;
	free(sock);
}

static void relay_start(struct world *w, struct sim_relay *r)
{
	static const char digits[] = "0123456789abcdef";
	for (unsigned i = 0; i < 64; i++)
		r->secret[i] = digits[rng_below(&w->rng.rng, 16)];
	r->id = phx_derive_relay_id(r->secret);
	struct turn_server_config cfg = {
		.rules = TURN_RULES_FIREZONE,
		.public4 = r->v4,
		.public6 = r->v6,
		.lowest_port = TURN_LOWEST_PORT,
		.highest_port = TURN_HIGHEST_PORT,
		.realm = "firezone",
		.software = "sim",
		.stamp_secret = r->secret,
		.rng = &w->machine_rng.rng,
		.ports = { port_open, port_close, r },
	};
	int rc = turn_server_new(&r->server, &cfg);
	if (rc)
		sim_fail(w, "no relay: %s", err_str(rc));
	r->is_announced = true;
}

void sim_draw_filters(struct world *w, struct sim_resource *r)
{
	r->n_filters = rng_below(&w->rng.rng, 4);
	for (size_t i = 0; i < r->n_filters; i++) {
		u16 start = (u16)sim_between(w, 1, 2000);
		r->filters[i] = (struct msg_filter){ (enum msg_protocol)rng_below(&w->rng.rng, 3), start, (u16)(start + rng_below(&w->rng.rng, 3000)) };
		if (r->filters[i].protocol == MSG_ICMP)
			r->filters[i].port_start = 0, r->filters[i].port_end = 65535;
	}
}

static void draw_policy(struct world *w)
{
	static const char *const nets[] = { "10.1.0.0/16", "10.1.2.0/24", "10.2.0.0/16", "2001:db8:aaaa::/48" };
	struct sim_portal *p = &w->portal;
	for (unsigned i = 0; i < ARRAY_LEN(nets); i++) {
		struct sim_resource *r = &p->resources[p->n_resources++];
		r->id.b[0] = 0x4e;
		r->id.b[15] = (u8)i;
		r->type = MSG_RESOURCE_CIDR;
		r->net = cidr_of(nets[i]);
		r->hides_filters = flip(w, 25);
		r->is_granted = flip(w, 70);
		r->expires_at = sim_wall(w) / NSEC_PER_SEC + (flip(w, 20) ? sim_between(w, 5, 60) : 3600);
		sim_draw_filters(w, r);
	}
	p->resources[0].is_granted = true;
	if (flip(w, 30)) {
		struct sim_resource *r = &p->resources[p->n_resources++];
		r->id.b[0] = 0x4e;
		r->id.b[15] = 0xff;
		r->type = MSG_RESOURCE_INTERNET;
		r->is_granted = true;
		r->expires_at = sim_wall(w) / NSEC_PER_SEC + 3600;
	}
	p->latency = MSEC(sim_between(w, 1, 60));
}

static void draw_network(struct world *w)
{
	*internet_link(w->net) = (struct internet_link){ .jitter = flip(w, 50) ? 0 : MSEC(sim_between(w, 1, 20)), .mark_ppm = flip(w, 30) ? 50000 : 0 };
	if (flip(w, 50)) {
		internet_link(w->net)->loss_ppm = (u32)sim_between(w, 0, flip(w, 30) ? 100000 : 20000);
		internet_link(w->net)->double_ppm = (u32)sim_between(w, 0, 50000);
	}
	unsigned stacks = (unsigned)rng_below(&w->rng.rng, 6); /* dual is the rule */
	w->client_has_v4 = stacks != 0;
	w->client_has_v6 = stacks != 1;
	stacks = (unsigned)rng_below(&w->rng.rng, 6);
	w->gateway_has_v4 = stacks != 0;
	w->gateway_has_v6 = stacks != 1;
	w->client_host = internet_add_host(w->net, USEC(sim_between(w, 100, 60000)));
	w->gateway_host = internet_add_host(w->net, USEC(sim_between(w, 100, 60000)));
	place(w, w->client_host, w->client_box, w->client_has_v4, w->client_has_v6, 10);
	place(w, w->gateway_host, w->gateway_box, w->gateway_has_v4, w->gateway_has_v6, 20);
	if (w->client_has_v4 && w->client_box[0] && w->gateway_box[0] && flip(w, 10)) { /* in one house */
		w->gateway_host->box[0] = w->gateway_box[0] = w->client_box[0];
		w->gateway_host->local[0] = v4(192, 168, 10, 3);
	}
	if (flip(w, 15))
		internet_block(w->net, w->client_host, w->gateway_host);
}

static void add_relays(struct world *w, u64 latency_max, bool is_v4_only)
{
	for (unsigned i = 0; i < SIM_RELAYS; i++) {
		struct sim_relay *r = &w->relays[i];
		r->host = internet_add_host(w->net, USEC(sim_between(w, 100, latency_max)));
		r->v4 = r->host->local[0] = v4(198, 51, 100, 1 + i);
		if (!is_v4_only)
			r->v6 = r->host->local[1] = v6(0xf0, 1 + i);
		relay_start(w, r);
	}
}

static struct world *make(u64 seed)
{
	struct world *w = calloc(1, sizeof(*w));
	w->seed = seed;
	w->now = START;
	w->wall_offset = WALL_AT_START - START;
	rng_seeded_init(&w->rng, seed);
	rng_seeded_init(&w->machine_rng, seed ^ 0x5eedull);
	w->net = internet_new(&w->rng.rng);
	sim_portal_init(w);
	return w;
}

static void add_machines(struct world *w)
{
	w->client = client_new(&(struct client_config){ .rng = &w->machine_rng.rng, .internet_is_active = true }, w->now);
	w->gateway = gateway_new(&(struct gateway_config){ .rng = &w->machine_rng.rng }, w->now);
	w->portal.client_up_at = w->now + MSEC(sim_between(w, 0, 300));
	w->portal.gateway_up_at = w->now + MSEC(sim_between(w, 0, 300));
}

struct world *sim_new(u64 seed)
{
	struct world *w = make(seed);
	draw_network(w);
	add_relays(w, 40000, w->client_has_v4 && w->gateway_has_v4 && flip(w, 20));
	draw_policy(w);
	add_machines(w);
	return w;
}

struct world *sim_new_plain(void)
{
	struct world *w = make(0);
	struct sim_resource *r = &w->portal.resources[0];
	w->client_has_v4 = w->client_has_v6 = w->gateway_has_v4 = w->gateway_has_v6 = true;
	w->client_host = internet_add_host(w->net, USEC(50));
	w->gateway_host = internet_add_host(w->net, USEC(50));
	w->client_host->local[0] = v4(203, 0, 113, 110);
	w->client_host->local[1] = v6(10, 2);
	w->gateway_host->local[0] = v4(203, 0, 113, 120);
	w->gateway_host->local[1] = v6(20, 2);
	add_relays(w, 100, false);
	*r = (struct sim_resource){ .id = uuid_of(1), .type = MSG_RESOURCE_CIDR, .net = cidr_of("10.1.0.0/16"), .is_granted = true };
	r->expires_at = sim_wall(w) / NSEC_PER_SEC + 3600;
	w->portal.n_resources = 1;
	w->portal.latency = MSEC(1);
	add_machines(w);
	return w;
}

void sim_hide_behind_nats(struct world *w, enum dependence filtering)
{
	struct inet_host *hosts[2] = { w->client_host, w->gateway_host };
	for (unsigned i = 0; i < 2; i++) {
		const struct ip public = v4(203, 0, 113, 30 + i);
		hosts[i]->local[0] = v4(192, 168, (u8)(30 + i), 2);
		hosts[i]->local[1].family = 0;
		hosts[i]->box[0] = internet_add_box(w->net, 4, &public);
		hosts[i]->box[0]->filtering = filtering;
	}
}

void sim_free(struct world *w)
{
	for (struct sim_answer *a = w->answers, *next; a; a = next) {
		next = a->next;
		free(a);
	}
	sim_names_free(w);
	client_free(w->client);
	gateway_free(w->gateway);
	for (unsigned i = 0; i < SIM_RELAYS; i++)
		turn_server_free(w->relays[i].server);
	sim_portal_free(w);
	internet_free(w->net);
	free(w);
}

/* --- what applications say ------------------------------------------------------------------------------------------------------------------- */

static u8 pattern(u64 position, u64 stream)
{
	return (u8)(position * 31 + (position >> 8) + stream * 97);
}

static bool is_pattern(const u8 *p, size_t n, u64 position, u64 stream)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != pattern(position + i, stream))
			return false;
	return true;
}

static struct ip client_ip(u8 family)
{
	struct ip ip = family == 4 ? ip4(100, 64, 0, 7) : net_peers6.ip;
	if (family == 6)
		ip.b[15] = 7;
	return ip;
}

/* As the kernel hands it over: one big packet, the checksum left to us. */
struct vnet sim_super_packet(u8 *data, u32 len, u16 mss)
{
	bool is_v6 = data[0] >> 4 == 6;
	u16 l4 = is_v6 ? 40 : 20;
	u8 tail[4] = { (u8)((len - l4) >> 8), (u8)(len - l4), 0, 6 };
	put_be16(data + l4 + 16, inner_checksum(tail, 4, inner_checksum(data + (is_v6 ? 8 : 12), is_v6 ? 32 : 8, 0)));
	return (struct vnet){ .flags = VNET_NEEDS_CSUM, .gso_type = is_v6 ? VNET_GSO_TCPV6 : VNET_GSO_TCPV4, .hdr_len = (u16)(l4 + 20),
			      .gso_size = mss, .csum_start = l4, .csum_offset = 16 };
}

#define STREAM_STRIDE 32768u
#define STREAM_THERE 1000003u
#define STREAM_BACK 2000003u

static void probe_send(struct world *w, struct sim_probe *q)
{
	static u8 data[70000], payload[66000];
	struct inner_spec s = { .src = client_ip(q->dst.family), .dst = q->dst, .proto = q->proto, .dport = q->port, .payload = payload,
				.sport = (u16)(30000 + (q - w->probes)), .id = (u16)w->next_id, .tos = (u8)rng_below(&w->rng.rng, 4) };
	struct tun_pkt t = { .data = data };
	u64 id = ++w->next_id;

	if (q->proto == 6) {
		s.tcp_flags = 0x10;
		s.seq = (u32)(id * STREAM_STRIDE); /* the place in the stream is the sequence number */
		s.payload_len = (u16)(flip(w, 50) ? sim_between(w, 1, 1200) : sim_between(w, 1200, 20000));
		for (unsigned i = 0; i < s.payload_len; i++)
			payload[i] = pattern(s.seq + i, STREAM_THERE);
		t.len = inner_make(&s, data);
		if (s.payload_len > 1200)
			t.vnet = sim_super_packet(data, t.len, 1200);
	} else {
		s.payload_len = (u16)sim_between(w, 8, 1200);
		put_be64(payload, id);
		for (unsigned i = 8; i < s.payload_len; i++)
			payload[i] = pattern(i, id);
		if (q->proto != 17)
			s.sport = q->proto == 1 ? 0x0800 : 0x8000;
		t.len = inner_make(&s, data);
	}
	if (w->names)
		sim_names_sent(w, id, q);
	client_tun_input(w->client, w->now, sim_wall(w), &t, 1);
	client_flush(w->client, w->now);
}

struct sim_probe *sim_probe(struct world *w, const struct ip *dst, u8 proto, u16 port)
{
	for (unsigned i = 0; i < SIM_PROBES; i++)
		if (!w->probes[i].is_used) {
			w->probes[i] = (struct sim_probe){ .is_used = true, .dst = *dst, .proto = proto, .port = port, .next_at = w->now,
							   .first_at = w->now };
			return &w->probes[i];
		}
	abort();
}

void sim_silence(struct world *w)
{
	memset(w->probes, 0, sizeof(w->probes));
}

/* --- the far end --------------------------------------------------------------------------------------------------------------------------- */

void sim_answer(struct world *w, const struct inner_spec *s)
{
	static u8 data[70000];
	u32 len = inner_make(s, data);
	struct vnet v = len > TUNNEL_MTU ? sim_super_packet(data, len, 1200) : (struct vnet){ 0 };
	struct sim_answer *a = calloc(1, sizeof(*a) + len);
	a->len = len;
	a->vnet = v;
	memcpy(a->data, data, len);
	struct sim_answer **link = &w->answers;
	while (*link)
		link = &(*link)->next;
	*link = a;
}

static bool check_piece(struct world *w, const u8 *data, u32 len, struct packet *p)
{
	if (packet_parse(data, len, TUNNEL_MTU, p) || p->len != len) {
		sim_fail(w, "a malformed packet reaches a TUN");
		return false;
	}
	if (!inner_checksums_are_right(data, len)) {
		sim_fail(w, "a packet with a wrong checksum reaches a TUN");
		return false;
	}
	return true;
}

static void at_resource(struct world *w, const u8 *data, const struct packet *p)
{
	static u8 payload[66000];
	u32 header = p->l4 + (p->kind == L4_TCP ? 20u : 8u);
	const u8 *body = data + header;
	u32 n = p->len - header;
	struct ip own = client_ip(p->src.family);
	struct inner_spec back = { .src = p->dst, .dst = p->src, .proto = p->proto, .sport = p->dst_port, .dport = p->src_port,
				   .payload = payload, .payload_len = (u16)n };

	if (!ip_eq(&p->src, &own))
		sim_fail(w, "a foreign source reaches a resource");
	if (w->names && sim_names_at_site_server(w, data, p))
		return;
	if (w->names && sim_names_is_target(&p->dst)) {
		sim_names_at_target(w, p, p->kind == L4_TCP ? p->tcp_seq / STREAM_STRIDE : n < 8 ? 0 : get_be64(body));
	} else if (!sim_gateway_may(w, &p->dst, p->proto, p->dst_port)) {
		char text[IP_STRLEN];
		sim_fail(w, "forbidden: protocol %u to %s port %u reached the resource", p->proto, ip_format(&p->dst, text), p->dst_port);
	}
	w->bytes_there += n;
	if (p->kind == L4_TCP) {
		if (!is_pattern(body, n, p->tcp_seq, STREAM_THERE))
			sim_fail(w, "a stream arrived damaged");
		if (p->tcp_seq % STREAM_STRIDE == 0) /* the first of a burst is answered by a burst */
			back.payload_len = (u16)(n * 12);
		for (u32 i = 0; i < back.payload_len; i++)
			payload[i] = pattern(p->tcp_seq + i, STREAM_BACK);
		back.seq = p->tcp_seq;
		back.tcp_flags = 0x10;
		sim_answer(w, &back);
		return;
	}
	u64 id = get_be64(body);
	if (n < 8 || !is_pattern(body + 8, n - 8, 8, id))
		sim_fail(w, "a datagram arrived damaged");
	if (w->taken[id % SIM_TAKEN_MAX] == id)
		sim_fail(w, "a datagram arrived twice");
	w->taken[id % SIM_TAKEN_MAX] = id;
	memcpy(payload, body, n);
	if (p->kind == L4_ECHO) {
		back.sport = p->proto == 1 ? 0 : 0x8100;
		back.dport = p->dst_port;
	}
	sim_answer(w, &back);
}

static struct sim_probe *probe_of(struct world *w, const struct ip *dst, u8 proto, u16 port)
{
	for (unsigned i = 0; i < SIM_PROBES; i++) {
		struct sim_probe *q = &w->probes[i];
		if (q->is_used && ip_eq(&q->dst, dst) && q->proto == proto && (q->port == port || proto == 1 || proto == 58))
			return q;
	}
	return NULL;
}

static void at_application(struct world *w, const u8 *data, const struct packet *p)
{
	u32 header = p->l4 + (p->kind == L4_TCP ? 20u : 8u);
	const u8 *body = data + header;
	u32 n = p->len - header;

	char text[IP_STRLEN];

	if (p->kind == L4_ICMP_ERROR)
		return; /* a refusal */
	if (w->names && sim_names_at_client(w, data, p))
		return;
	if (w->names && sim_names_is_proxy(&p->src) ? !sim_names_client_may(w, &p->src) : !sim_client_may(w, &p->src))
		sim_fail(w, "an answer from %s, of a resource that the client does not have", ip_format(&p->src, text));
	w->bytes_back += n;
	if (p->kind == L4_TCP) {
		if (!is_pattern(body, n, p->tcp_seq, STREAM_BACK))
			sim_fail(w, "a stream came back damaged");
	} else {
		u64 id = get_be64(body);
		if (n < 8 || id > w->next_id || !is_pattern(body + 8, n - 8, 8, id))
			sim_fail(w, "a datagram came back damaged");
		if (w->answered[id % SIM_TAKEN_MAX] == id)
			sim_fail(w, "an answer arrived twice");
		w->answered[id % SIM_TAKEN_MAX] = id;
	}
	struct sim_probe *q = probe_of(w, &p->src, p->proto, p->src_port);
	if (q && !q->is_answered) {
		q->is_answered = true;
		q->answered_at = w->now;
	}
}

static void from_tun(struct world *w, const struct tun_pkt *t, bool is_client)
{
	static u8 memory[SUPER_PACKET_MAX];
	struct tun_pkt whole = tun_pkt_gather(t, memory);
	u8 piece[TUNNEL_MTU];
	struct segmenter s;
	struct packet p;
	u32 len;

	if (segment_init(&s, &whole)) {
		sim_fail(w, "a TUN is given what it cannot take");
		return;
	}
	while ((len = segment_next_len(&s)) > 0) {
		segment_write(&s, piece);
		if (!check_piece(w, piece, len, &p))
			return;
		w->digest = (w->digest ^ len ^ w->now) * 0x100000001b3ull;
		if (is_client)
			at_application(w, piece, &p);
		else
			at_resource(w, piece, &p);
	}
}

/* --- machines --------------------------------------------------------------------------------------------------------------------------------- */

static bool client_pump(struct world *w)
{
	struct tun_pkt t;
	struct udp_tx tx;
	struct client_event e;
	bool worked = false;

	for (; client_poll_tun(w->client, &t); worked = true)
		from_tun(w, &t, true);
	for (; client_poll_transmit(w->client, &tx); worked = true)
		internet_send(w->net, w->now, w->client_host, SIM_PORT, &tx);
	for (; client_poll_event(w->client, &e); worked = true)
		if (e.type == CLIENT_SEND)
			sim_portal_take(w, true, e.message);
		else if (e.type == CLIENT_TUN_CONFIG && w->names)
			sim_names_configured(w, e.tun);
	if (w->names)
		sim_names_exchanges(w);
	return worked;
}

void sim_client_pump(struct world *w)
{
	(void)client_pump(w);
}

static bool gateway_pump(struct world *w)
{
	struct tun_pkt t;
	struct udp_tx tx;
	struct gateway_event e;
	bool worked = false;

	for (; gateway_poll_tun(w->gateway, &t); worked = true)
		from_tun(w, &t, false);
	while (w->answers) {
		struct sim_answer *a = w->answers;
		t = (struct tun_pkt){ .data = a->data, .len = a->len, .vnet = a->vnet };
		w->answers = a->next;
		gateway_tun_input(w->gateway, w->now, sim_wall(w), &t, 1);
		gateway_flush(w->gateway, w->now);
		free(a);
		worked = true;
	}
	for (; gateway_poll_transmit(w->gateway, &tx); worked = true)
		internet_send(w->net, w->now, w->gateway_host, SIM_PORT, &tx);
	for (; gateway_poll_event(w->gateway, &e); worked = true)
		if (e.type == GATEWAY_SEND)
			sim_portal_take(w, false, e.message);
		else if (e.type == GATEWAY_RESOLVE && w->names)
			sim_names_resolve(w, e.token, e.domain);
	return worked;
}

static void relay_send(struct world *w, struct sim_relay *r)
{
	static u8 data[70000];
	size_t n;
	const struct turn_tx *tx = turn_server_tx(r->server, &n);

	for (size_t i = 0; i < n; i++) {
		struct wr out = wr_init(data, sizeof(data));
		const struct sim_port *port = tx[i].sock;
		if (tx[i].n_segments == 0)
			continue;
		for (u16 k = 0; k < tx[i].n_pieces; k++)
			wr_bytes(&out, tx[i].pieces[k].p, tx[i].pieces[k].n);
		struct udp_tx one = { .src = tx[i].src, .dst = tx[i].dst, .data = data, .len = (u32)wr_len(&out), .seg = tx[i].seg };
		if (port)
			one.src.family = 0;
		internet_send(w->net, w->now, r->host, port ? port->port : (u16)TURN_PORT, &one);
	}
	turn_server_tx_done(r->server);
}

static struct turn_alloc *owner_of(const struct sim_relay *r, const struct endpoint *local)
{
	for (unsigned i = 0; i < SIM_PORTS_MAX; i++)
		if (r->ports[i] && r->ports[i]->port == local->port && r->ports[i]->family == local->ip.family)
			return r->ports[i]->owner;
	return NULL;
}

static void relay_turn(struct world *w, struct sim_relay *r)
{
	struct udp_rx rx[32];
	size_t n = internet_deliver(w->net, w->now, r->host, rx, ARRAY_LEN(rx));

	if (r->host->is_down || !r->server)
		return;
	if (w->now >= turn_server_next_timeout(r->server))
		turn_server_timeout(r->server, w->now);
	for (size_t i = 0; i < n; i++) {
		struct turn_input in = { .rx = &rx[i], .n = 1 };
		struct turn_alloc *owner = owner_of(r, &rx[i].local);
		bool is_more = true;
		while (is_more) {
			if (rx[i].local.port == TURN_PORT)
				is_more = turn_server_input(r->server, w->now, sim_wall(w), &in);
			else
				is_more = owner && turn_server_peer_input(r->server, w->now, owner, &in);
			relay_send(w, r);
		}
	}
}

static u64 next_event(const struct world *w, u64 end)
{
	u64 next = time_min(end, time_min(internet_next(w->net), sim_portal_next(w)));
	next = time_min(next, time_min(client_next_timeout(w->client), gateway_next_timeout(w->gateway)));
	for (unsigned i = 0; i < SIM_RELAYS; i++)
		if (w->relays[i].server)
			next = time_min(next, turn_server_next_timeout(w->relays[i].server));
	next = time_min(next, w->names ? sim_names_next(w) : TIME_NEVER);
	for (unsigned i = 0; i < SIM_PROBES; i++)
		if (w->probes[i].is_used && (!w->probes[i].is_answered || w->probes[i].is_endless))
			next = time_min(next, w->probes[i].next_at);
	return next;
}

static void machines_turn(struct world *w)
{
	struct udp_rx rx[32];
	size_t n;

	sim_portal_turn(w);
	if (w->now >= client_next_timeout(w->client))
		client_timeout(w->client, w->now, sim_wall(w));
	if (w->now >= gateway_next_timeout(w->gateway))
		gateway_timeout(w->gateway, w->now, sim_wall(w));
	for (unsigned i = 0; i < SIM_RELAYS; i++)
		relay_turn(w, &w->relays[i]);
	n = internet_deliver(w->net, w->now, w->client_host, rx, ARRAY_LEN(rx));
	if (n > 0)
		client_udp_input(w->client, w->now, sim_wall(w), rx, n);
	(void)client_pump(w);
	n = internet_deliver(w->net, w->now, w->gateway_host, rx, ARRAY_LEN(rx));
	if (n > 0)
		gateway_udp_input(w->gateway, w->now, sim_wall(w), rx, n);
	if (w->names)
		sim_names_turn(w);
	for (unsigned i = 0; i < SIM_PROBES; i++) {
		struct sim_probe *q = &w->probes[i];
		if (!q->is_used || (q->is_answered && !q->is_endless) || w->now < q->next_at)
			continue;
		q->next_at = w->now + PROBE_INTERVAL;
		probe_send(w, q);
	}
	unsigned rounds = 0;
	for (bool worked = true; worked && rounds < ROUNDS_LIMIT; rounds++) {
		worked = client_pump(w);
		worked = gateway_pump(w) || worked;
		worked = (w->names && sim_names_pump(w)) || worked;
	}
	if (rounds == ROUNDS_LIMIT)
		sim_fail(w, "output never ends");
}

void sim_run(struct world *w, u64 span)
{
	u64 end = w->now + span;
	unsigned turns = 0;

	while (!w->is_failed) {
		u64 next = next_event(w, end);
		if (next > w->now) {
			w->now = next;
			turns = 0;
		} else if (++turns > SPIN_LIMIT) {
			sim_fail(w, "it spins: net %d, portal %d, client %d, gateway %d", internet_next(w->net) <= w->now, sim_portal_next(w) <= w->now,
				   client_next_timeout(w->client) <= w->now, gateway_next_timeout(w->gateway) <= w->now);
		}
		w->iterations++;
		machines_turn(w);
		if (w->now >= end && next_event(w, TIME_NEVER) > w->now)
			return;
	}
}

/* --- disturbances ------------------------------------------------------------------------------------------------------------------------------ */

void sim_move_client(struct world *w)
{
	struct inet_host *h = w->client_host;
	unsigned n = ++w->n_moves;

	if (w->client_box[0] && w->client_box[0] == w->gateway_box[0]) { /* leaves the house */
		const struct ip public = v4(203, 0, 113, 40);
		w->client_box[0] = h->box[0] = internet_add_box(w->net, 4, &public);
		draw_box(w, w->client_box[0]);
	}
	for (unsigned f = 0; f < 2; f++)
		if (w->client_box[f])
			internet_forget(w->client_box[f]);
	if (w->client_has_v4) {
		h->local[0] = w->client_box[0] ? v4(192, 168, 10, 2 + 2 * n) : v4(203, 0, 113, 110 + n);
		if (w->client_box[0])
			w->client_box[0]->public = v4(203, 0, 113, 60 + n);
	}
	if (w->client_has_v6)
		h->local[1] = v6(10, 2 + n);
	sim_run(w, MSEC(sim_between(w, 0, 500)));
	if (w->names)
		sim_names_excuse(w);
	client_reset(w->client, w->now);
	sim_portal_disconnect(w, true, w->now + MSEC(sim_between(w, 50, 400)));
	(void)client_pump(w);
}

void sim_restart_gateway(struct world *w, bool says_goodbye)
{
	if (says_goodbye)
		gateway_shutdown(w->gateway, w->now);
	(void)gateway_pump(w);
	sim_portal_disconnect(w, false, w->now + MSEC(sim_between(w, 100, 2000)));
	gateway_free(w->gateway);
	if (w->names)
		sim_names_gateway_gone(w);
	w->gateway = gateway_new(&(struct gateway_config){ .rng = &w->machine_rng.rng }, w->now);
	for (size_t i = 0; i < w->portal.n_resources; i++)
		w->portal.resources[i].at_gateway = false;
}

void sim_restart_relay(struct world *w, unsigned i)
{
	struct sim_relay *r = &w->relays[i];
	struct uuid old = r->id;

	turn_server_free(r->server);
	r->server = NULL;
	relay_start(w, r);
	r->is_announced = false;
	sim_run(w, MSEC(sim_between(w, 100, 3000)));
	r->is_announced = true;
	sim_portal_announce_relays(w, &old, r);
}
