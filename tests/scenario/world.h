/* tests/scenario/world.h: what stories happen in: a client engine and a gateway engine, joined through their own doors, and around them played
 * parts: applications, the portal, the system, upstream resolvers, the site behind the gateway, further clients and gateways.
 *
 *   app ── TUN ── [client engine] ── fake nodes ── [gateway engine] ── TUN ── lan (the site)
 *   upstream ── exchanges ──┘  └── other gateways     └── other clients, site's resolver
 *      └── exchanges ── [dns-proxy engine] ── hosts
 *
 * No sockets, no clock: `now` moves only with world_wait(). Whatever the engines do towards a played part becomes a *happening*, a line of text;
 * world_settle() lets everything come to rest. Included by test_stories.c only, since the fake node takes the place of core/peer.
 */
#pragma once

#include "core/dns/lookup.h"
#include "core/dns/proxy.h"
#include "core/ip/udp_packet.h"
#include "core/tcp/tcp.h"
#include "core/tunnel/client.h"
#include "core/tunnel/control.h"
#include "core/tunnel/gateway.h"
#include "tests/scenario/text.h"
#include "tests/unit/fake_node.h"
#include "tests/unit/inner.h"
#include "tests/unit/test.h"

#include <stdarg.h>
#include <stdio.h>

#define WALL SEC(1780000000)
#define CLIENT_ID 7u
#define GATEWAY_ID 50u
#define HAPPENINGS_MAX 1024u
#define RESOURCES_MAX 64u
#define PARTS_MAX 16u
#define EXCHANGES_MAX 256u
#define CONNS_MAX 64u
#define LAN_QUERIES 16u
#define NAME_LEN 64u

struct named_resource {
	char name[NAME_LEN], address[300];
	struct msg_resource r;
	struct msg_filter filters[8];
	struct msg_site site;
};

/* A client or a gateway that the story plays. */
struct part {
	char name[NAME_LEN];
	unsigned id;
	bool is_client;
	struct ip own[2];
};

enum asker { BY_CLIENT, BY_PROXY, BY_SITE, ASKERS };

struct exchange {
	enum asker asker;
	u32 id;
	struct dns_server server;
	enum dns_transport transport;
	u32 len;
	u8 query[600];
};

/* An application's connection to a sentinel. */
struct app_conn {
	char name[NAME_LEN];
	tcp_handle handle;
	size_t n_got;
	u8 got[66000];
};

/* A query that left the gateway's TUN. */
struct lan_query {
	struct endpoint server, asker;
	tcp_handle conn; /* 0: UDP */
	u32 len;
	u8 message[600];
};

static struct world {
	struct rng_seeded rng;
	u64 now;
	struct client *c;
	struct gateway *g;
	struct node *client_node, *gateway_node;
	u32 from_client, from_gateway; /* packets of the nodes that were carried already */
	struct tcp_stack *app_tcp, *lan_tcp;
	struct ip client_ip[2], gateway_ip[2];

	char *happenings[HAPPENINGS_MAX]; /* not yet expected */
	unsigned n_happenings;

	struct named_resource resources[RESOURCES_MAX];
	unsigned n_resources;
	struct part parts[PARTS_MAX];
	unsigned n_parts;
	struct exchange exchanges[EXCHANGES_MAX];
	unsigned n_exchanges;
	struct app_conn conns[CONNS_MAX];
	unsigned n_conns;
	struct lan_query lan_queries[LAN_QUERIES];
	unsigned n_lan_queries;
	u8 last_at_lan[TUNNEL_MTU];
	u32 last_at_lan_len;
	struct {
		char domain[300];
		u64 token;
	} resolutions[512];
	unsigned n_resolutions;
	struct forwarder *forwarders[ASKERS]; /* of the client: NULL, it has its own doors */
	struct proxy *proxy;
	struct split *split; /* while it is being built */
	struct blocklist *blocklist;
	struct clients clients;
	bool has_clients, answers_zero;
	struct lookup *lookup; /* the gateway's resolver; NULL: the story plays it */
	struct lookup_conf conf;
	struct text hosts;
	struct msg_interface interface;
	char sentinels[TEXT_LINE]; /* as the system was told last */
} *w;

static void happened(const char *fmt, ...) PRINTF_LIKE(1, 2);
static void happened(const char *fmt, ...)
{
	static struct text t;
	va_list ap;
	va_start(ap, fmt);
	t.n = (size_t)vsnprintf(t.s, sizeof(t.s), fmt, ap);
	va_end(ap);
	if (w->n_happenings == HAPPENINGS_MAX)
		abort();
	w->happenings[w->n_happenings++] = strdup(t.s);
}

/* --- names ----------------------------------------------------------------------------------------------------------------------------- */

static const char *name_of_resource(const struct uuid *id)
{
	static char text[UUID_STRLEN];
	for (unsigned i = 0; i < w->n_resources; i++)
		if (uuid_eq(&w->resources[i].r.id, id))
			return w->resources[i].name;
	return uuid_format(id, text);
}

static const char *name_of_part(const struct uuid *id)
{
	unsigned n = get_be32(id->b + 12);
	for (unsigned i = 0; i < w->n_parts; i++)
		if (w->parts[i].id == n)
			return w->parts[i].name;
	return n == CLIENT_ID ? "client" : n == GATEWAY_ID ? "gateway" : "(somebody)";
}

static const char *name_of_server(const struct dns_server *s)
{
	static char text[ENDPOINT_STRLEN];
	return s->transport == DNS_OVER_HTTPS ? s->url : ip_format(&s->addr.ip, text);
}

/* --- what the engines say to played parts ---------------------------------------------------------------------------------------------- */

static void control_add(struct text *t, const u8 *data, const struct packet *p)
{
	struct control_assigned a;
	struct control_status s;
	char name[DNS_NAME_STRLEN], addr[IP_STRLEN];

	if (control_event(data) == CONTROL_ASSIGNED_IPS && control_read_assigned(data, p, &a) == 0) {
		text_add(t, "assigned %s %s", name_of_resource(&a.resource), dns_name_text(&a.domain, name));
		for (u32 i = 0; i < a.n_proxies; i++)
			text_add(t, " %s", ip_format(&a.proxies[i], addr));
	} else if (control_event(data) == CONTROL_DOMAIN_STATUS && control_read_status(data, p, &s) == 0) {
		text_add(t, "status %s %s %s", name_of_resource(&s.resource), dns_name_text(&s.domain, name), s.is_active ? "Active" : "Inactive");
	} else {
		text_add(t, "control %u", control_event(data));
	}
}

static bool to_part(const struct fake_sent *s, bool is_joined)
{
	struct text *t = calloc(1, sizeof(*t));
	struct packet p;
	bool is_control = packet_parse(s->data, s->len, TUNNEL_MTU, &p) == 0 && packet_is_control(&p);

	if (is_control)
		control_add(t, s->data, &p);
	else
		text_of_packet(t, s->data, s->len);
	if (is_control || !is_joined)
		happened("%s gets %s", name_of_part(&s->id), t->s);
	free(t);
	return is_control;
}

static void happened_with(const char *head, void (*render)(struct text *t, struct span message), struct span message)
{
	struct text *t = calloc(1, sizeof(*t));
	render(t, message);
	happened("%s%s", head, t->s);
	free(t);
}

static void at_app(const u8 *data, u32 len)
{
	struct text *t;
	struct packet p;
	struct span message;

	if (packet_parse(data, len, TUNNEL_MTU, &p) == 0) {
		if (p.kind == L4_TCP && tcp_stack_input(w->app_tcp, w->now, data, &p) == 0)
			return;
		bool is_sentinel = cidr_contains(&net_sentinels4, &p.src) || cidr_contains(&net_sentinels6, &p.src);
		if (p.kind == L4_UDP && p.src_port == 53 && is_sentinel && udp_packet_read(data, &p, &message) == 0) {
			happened_with("app hears ", text_of_answer, message);
			return;
		}
	}
	t = calloc(1, sizeof(*t));
	text_of_packet(t, data, len);
	happened("app gets %s", t->s);
	free(t);
}

static void lan_query_happened(const struct endpoint *asker, const struct endpoint *server, tcp_handle conn, struct span message)
{
	struct lan_query *q = &w->lan_queries[w->n_lan_queries++ % LAN_QUERIES];
	char from[ENDPOINT_STRLEN], to[ENDPOINT_STRLEN], head[200];

	*q = (struct lan_query){ .server = *server, .asker = *asker, .conn = conn, .len = (u32)MIN(message.n, sizeof(q->message)) };
	memcpy(q->message, message.p, q->len);
	snprintf(head, sizeof(head), "lan gets dns %s %s > %s ", conn ? "tcp" : "udp", endpoint_format(asker, from), endpoint_format(server, to));
	happened_with(head, text_of_query, message);
}

static void at_lan(const u8 *data, u32 len)
{
	struct dns_query q;
	struct text *t;
	struct packet p;
	struct span message;

	if (packet_parse(data, len, TUNNEL_MTU, &p) == 0) {
		struct endpoint from = { p.src, p.src_port }, to = { p.dst, p.dst_port };
		if (p.kind == L4_TCP && tcp_stack_input(w->lan_tcp, w->now, data, &p) == 0)
			return;
		memcpy(w->last_at_lan, data, len);
		w->last_at_lan_len = len;
		if (p.kind == L4_UDP && (p.dst_port == 53 || p.dst_port == 53535) && udp_packet_read(data, &p, &message) == 0 &&
		    dns_query_parse(message, &q) == 0) {
			lan_query_happened(&from, &to, 0, message);
			return;
		}
	}
	t = calloc(1, sizeof(*t));
	text_of_packet(t, data, len);
	happened("lan gets %s", t->s);
	free(t);
}

static void from_lan(u8 *data, u32 len)
{
	struct tun_pkt t = { .data = data, .len = len };
	fake = w->gateway_node;
	gateway_tun_input(w->g, w->now, WALL + w->now, &t, 1);
	gateway_flush(w->g, w->now);
}

static void from_app(u8 *data, u32 len)
{
	struct tun_pkt t = { .data = data, .len = len };
	fake = w->client_node;
	client_tun_input(w->c, w->now, WALL + w->now, &t, 1);
	client_flush(w->c, w->now);
}

/* A packet from the peer `id` of an engine. */
static void to_client(unsigned id, const u8 *data, u32 len)
{
	static u8 memory[FAKE_DATAGRAM_MAX];
	struct uuid from = uuid_of(id);
	fake = w->client_node;
	struct udp_rx rx = fake_datagram(memory, &from, data, len);
	client_udp_input(w->c, w->now, WALL + w->now, &rx, 1);
}

static void to_gateway(unsigned id, const u8 *data, u32 len)
{
	static u8 memory[FAKE_DATAGRAM_MAX];
	struct uuid from = uuid_of(id);
	fake = w->gateway_node;
	struct udp_rx rx = fake_datagram(memory, &from, data, len);
	gateway_udp_input(w->g, w->now, WALL + w->now, &rx, 1);
}

/* --- DNS over TCP: the application's end and the site's servers ------------------------------------------------------------------------ */

static void tcp_messages(struct app_conn *conn)
{
	char head[100];
	int n;

	while ((n = tcp_stack_read(w->app_tcp, w->now, conn->handle, (struct mspan){ conn->got + conn->n_got, sizeof(conn->got) - conn->n_got })) > 0)
		conn->n_got += (size_t)n;
	if (n == ERR_CLOSED)
		happened("app sees %s end", conn->name);
	while (conn->n_got >= 2 && conn->n_got >= 2u + get_be16(conn->got)) {
		size_t len = get_be16(conn->got);
		snprintf(head, sizeof(head), "app hears %s ", conn->name);
		happened_with(head, text_of_answer, SPAN(conn->got + 2, len));
		memmove(conn->got, conn->got + 2 + len, conn->n_got - 2 - len);
		conn->n_got -= 2 + len;
	}
}

static bool app_tcp_events(void)
{
	struct tcp_event e;
	bool any = false;

	while (tcp_stack_poll_event(w->app_tcp, &e)) {
		any = true;
		for (unsigned i = 0; i < w->n_conns; i++) {
			struct app_conn *conn = &w->conns[i];
			if (conn->handle != e.conn)
				continue;
			if (e.type == TCP_EVENT_READABLE)
				tcp_messages(conn);
			if (e.type == TCP_EVENT_FAILED)
				happened("app loses %s", conn->name);
		}
	}
	return any;
}

/* Queries of at most one segment: what the engine sends there. */
static bool lan_tcp_events(void)
{
	static u8 got[2048];
	struct tcp_event e;
	bool any = false;
	int n;

	while (tcp_stack_poll_event(w->lan_tcp, &e)) {
		any = true;
		if (e.type != TCP_EVENT_READABLE)
			continue;
		n = tcp_stack_read(w->lan_tcp, w->now, e.conn, (struct mspan){ got, sizeof(got) });
		for (size_t at = 0; n > 0 && at + 2 <= (size_t)n && at + 2 + get_be16(got + at) <= (size_t)n; at += 2u + get_be16(got + at))
			lan_query_happened(&e.remote, &e.local, e.conn, SPAN(got + at + 2, get_be16(got + at)));
	}
	return any;
}

static void say_tcp(struct tcp_stack *s, tcp_handle h, struct span message)
{
	u8 prefix[2];
	put_be16(prefix, (u16)message.n);
	if (tcp_stack_write(s, w->now, h, SPAN(prefix, 2)) == 2)
		(void)tcp_stack_write(s, w->now, h, message);
}

/* --- events ---------------------------------------------------------------------------------------------------------------------------- */

static void sentinels_note(const struct client_tun_config *tun)
{
	struct text *t = calloc(1, sizeof(*t));
	char addr[IP_STRLEN];

	for (size_t i = 0; i < tun->n_dns; i++)
		text_add(t, "%s%s=%s", i ? " " : "", ip_format(&tun->dns[i].sentinel, addr), name_of_server(&tun->dns[i].server));
	if (tun->n_dns == 0)
		text_add(t, "none");
	if (tun->search_domain)
		text_add(t, " search %s", tun->search_domain);
	memcpy(w->sentinels, t->s, t->n + 1);
	free(t);
}

static void client_events(void)
{
	struct client_event e;

	while (client_poll_event(w->c, &e)) {
		if (e.type == CLIENT_TUN_CONFIG)
			sentinels_note(e.tun);
		if (e.type == CLIENT_SITE_OFFLINE)
			happened("user learns that the site of %s is offline", name_of_resource(&e.resource));
		if (e.type == CLIENT_SEND && e.message->type == MSG_CREATE_FLOW) {
			const struct msg_ids *known = &e.message->create_flow.connected_gateways;
			struct text *t = calloc(1, sizeof(*t));
			for (size_t i = 0; i < known->n; i++)
				text_add(t, " %s", name_of_part(&known->id[i]));
			happened("portal gets create_flow %s%s", name_of_resource(&e.message->create_flow.resource_id), t->s);
			free(t);
		}
	}
}

static bool gateway_events(void)
{
	struct gateway_event e;
	bool any = false;

	while (gateway_poll_event(w->g, &e)) {
		any = true;
		if (e.type == GATEWAY_RESOLVE) {
			unsigned i = w->n_resolutions++ % ARRAY_LEN(w->resolutions);
			snprintf(w->resolutions[i].domain, sizeof(w->resolutions[i].domain), "%s", e.domain);
			w->resolutions[i].token = e.token;
			happened("gateway resolves %s", e.domain);
			if (w->lookup && lookup_start(w->lookup, w->now, e.domain, e.token))
				happened("the gateway's resolver is full");
		}
	}
	return any;
}

static bool exchange_next(enum asker asker, struct dns_exchange *out)
{
	return asker == BY_CLIENT ? client_poll_exchange(w->c, out) : forwarder_poll_exchange(w->forwarders[asker], out);
}

static bool exchanges(enum asker asker)
{
	static const char *const transports[] = { "udp", "tcp", "https" };
	struct dns_exchange ex;
	char head[FORWARD_URL_MAX + 40];
	bool any = false;

	while (exchange_next(asker, &ex)) {
		any = true;
		if (ex.is_cancel)
			continue;
		struct exchange *x = &w->exchanges[w->n_exchanges++ % EXCHANGES_MAX];
		*x = (struct exchange){ .asker = asker, .id = ex.id, .server = *ex.server, .transport = ex.transport, .len = (u32)ex.message.n };
		if (ex.message.n > sizeof(x->query))
			abort();
		memcpy(x->query, ex.message.p, ex.message.n);
		snprintf(head, sizeof(head), "upstream %s %s gets %s", name_of_server(ex.server), transports[ex.transport],
			 ex.transport == DNS_OVER_HTTPS ? (get_be16(ex.message.p) == 0 ? "id 0 " : "id not 0 ") : "");
		happened_with(head, text_of_query, ex.message);
	}
	return any;
}

static bool proxy_answers(void)
{
	struct dns_answer a;
	struct proxy_answer out;
	bool any = false;

	while (forwarder_poll_answer(w->forwarders[BY_PROXY], &a)) {
		any = true;
		if (proxy_answer(w->proxy, w->now, &a, &out))
			happened_with(out.client.is_tcp ? "host hears tcp " : "host hears ", text_of_answer, out.message);
	}
	return any;
}

static bool lookups(void)
{
	struct dns_answer a;
	struct lookup_result r;
	bool any = false;

	while (forwarder_poll_answer(w->forwarders[BY_SITE], &a)) {
		any = true;
		lookup_answer(w->lookup, w->now, &a);
	}
	while (w->lookup && lookup_poll(w->lookup, &r)) {
		any = true;
		fake = w->gateway_node;
		gateway_resolved(w->g, w->now, WALL + w->now, r.token, r.ips, r.n4 + r.n6, r.error ? r.error : r.is_failure ? ERR_AGAIN : 0);
	}
	return any;
}

/* --- until nothing moves any more ------------------------------------------------------------------------------------------------------ */

/* What an engine has for its TUN lasts until the next datagram. */
static bool drain_client_tun(void)
{
	static u8 copy[TUNNEL_MTU];
	struct tun_pkt t;
	bool any = false;

	while (client_poll_tun(w->c, &t)) {
		memcpy(copy, t.data, t.len);
		at_app(copy, t.len);
		any = true;
	}
	return any;
}

static bool drain_gateway_tun(void)
{
	static u8 copy[TUNNEL_MTU];
	struct tun_pkt t;
	bool any = false;

	while (gateway_poll_tun(w->g, &t)) {
		memcpy(copy, t.data, t.len);
		at_lan(copy, t.len);
		any = true;
	}
	return any;
}

static bool settle_once(void)
{
	struct uuid client = uuid_of(CLIENT_ID), gateway = uuid_of(GATEWAY_ID);
	struct tun_pkt t;
	bool went_on = false;

	while (tcp_stack_poll_transmit(w->app_tcp, &t)) {
		from_app(t.data, t.len);
		went_on = true;
	}
	went_on = drain_client_tun() || went_on;
	while (w->from_client != w->client_node->n_sent) {
		const struct fake_sent *s = &w->client_node->sent[w->from_client++ % FAKE_SENT];
		bool is_joined = uuid_eq(&s->id, &gateway);
		(void)to_part(s, is_joined);
		if (is_joined)
			to_gateway(CLIENT_ID, s->data, s->len);
		(void)drain_gateway_tun();
		went_on = true;
	}
	went_on = drain_gateway_tun() || went_on;
	while (tcp_stack_poll_transmit(w->lan_tcp, &t)) {
		from_lan(t.data, t.len);
		went_on = true;
	}
	while (w->from_gateway != w->gateway_node->n_sent) {
		const struct fake_sent *s = &w->gateway_node->sent[w->from_gateway++ % FAKE_SENT];
		bool is_joined = uuid_eq(&s->id, &client);
		(void)to_part(s, is_joined);
		if (is_joined)
			to_client(GATEWAY_ID, s->data, s->len);
		(void)drain_client_tun();
		went_on = true;
	}
	went_on = app_tcp_events() || went_on;
	went_on = lan_tcp_events() || went_on;
	for (enum asker i = BY_CLIENT; i < ASKERS; i++)
		went_on = exchanges(i) || went_on;
	went_on = proxy_answers() || went_on;
	went_on = lookups() || went_on;
	client_events();
	return gateway_events() || went_on;
}

static void world_settle(void)
{
	for (unsigned i = 0; i < 10000; i++)
		if (!settle_once())
			return;
	happened("the engines never come to rest");
}

static u64 resolvers_next_timeout(void)
{
	u64 next = w->lookup ? lookup_next_timeout(w->lookup) : TIME_NEVER;
	return time_min(next, time_min(forwarder_next_timeout(w->forwarders[BY_PROXY]), forwarder_next_timeout(w->forwarders[BY_SITE])));
}

static void world_wait(u64 span)
{
	u64 end = w->now + span;

	for (unsigned i = 0; i < 100000; i++) {
		u64 engines = MIN(client_next_timeout(w->c), gateway_next_timeout(w->g));
		u64 stacks = MIN(tcp_stack_next_timeout(w->app_tcp), tcp_stack_next_timeout(w->lan_tcp)), at;
		at = time_min(time_min(engines, stacks), resolvers_next_timeout());
		if (at > end)
			break;
		w->now = MAX(w->now, at);
		fake = w->client_node;
		client_timeout(w->c, w->now, WALL + w->now);
		fake = w->gateway_node;
		gateway_timeout(w->g, w->now, WALL + w->now);
		tcp_stack_timeout(w->app_tcp, w->now);
		tcp_stack_timeout(w->lan_tcp, w->now);
		forwarder_timeout(w->forwarders[BY_PROXY], w->now);
		forwarder_timeout(w->forwarders[BY_SITE], w->now);
		if (w->lookup)
			lookup_timeout(w->lookup, w->now);
		world_settle();
	}
	w->now = end;
}

/* --- beginning and end ----------------------------------------------------------------------------------------------------------------- */

static void portal_inits_client(void)
{
	struct msg_resource list[RESOURCES_MAX];
	struct portal_message m = { .type = MSG_INIT_CLIENT };

	for (unsigned i = 0; i < w->n_resources; i++)
		list[i] = w->resources[i].r;
	m.init_client.interface = w->interface;
	m.init_client.resources = list;
	m.init_client.n_resources = w->n_resources;
	EXPECT_EQ(client_message(w->c, w->now, WALL + w->now, &m), 0);
}

static void world_begin(void)
{
	struct portal_message m = { .type = MSG_INIT_GATEWAY };

	w = calloc(1, sizeof(*w));
	w->now = SEC(100);
	rng_seeded_init(&w->rng, 1);
	w->client_ip[0] = ip_of("100.64.0.7");
	w->client_ip[1] = ip_of("fd00:2021:1111::7");
	w->gateway_ip[0] = ip_of("100.64.1.50");
	w->gateway_ip[1] = ip_of("fd00:2021:1111::1:50");
	w->interface = (struct msg_interface){ .ipv4 = w->client_ip[0], .ipv6 = w->client_ip[1] };
	w->c = client_new(&(struct client_config){ .rng = &w->rng.rng }, w->now);
	w->client_node = fake;
	w->g = gateway_new(&(struct gateway_config){ .rng = &w->rng.rng }, w->now);
	w->gateway_node = fake;
	w->app_tcp = tcp_stack_new(&(struct tcp_stack_config){ .rng = &w->rng.rng });
	w->lan_tcp = tcp_stack_new(&(struct tcp_stack_config){ .rng = &w->rng.rng });
	w->forwarders[BY_PROXY] = forwarder_new(&w->rng.rng, 0);
	w->forwarders[BY_SITE] = forwarder_new(&w->rng.rng, 0);
	w->proxy = proxy_new(&(struct proxy_config){ .forwarder = w->forwarders[BY_PROXY], .rng = &w->rng.rng, .cache_bytes = 1 << 20 });
	w->split = split_new(&w->rng.rng);
	m.init_gateway.interface.ipv4 = w->gateway_ip[0];
	m.init_gateway.interface.ipv6 = w->gateway_ip[1];
	fake = w->gateway_node;
	EXPECT_EQ(gateway_message(w->g, w->now, WALL + w->now, &m), 0);
	fake = w->client_node;
	portal_inits_client();
	world_settle();
}

static void world_end(void)
{
	client_free(w->c);
	gateway_free(w->g);
	tcp_stack_free(w->app_tcp);
	tcp_stack_free(w->lan_tcp);
	if (w->lookup)
		lookup_free(w->lookup);
	proxy_free(w->proxy);
	split_free(w->split);
	blocklist_free(w->blocklist);
	if (w->has_clients)
		clients_deinit(&w->clients);
	forwarder_free(w->forwarders[BY_PROXY]);
	forwarder_free(w->forwarders[BY_SITE]);
	for (unsigned i = 0; i < w->n_happenings; i++)
		free(w->happenings[i]);
	free(w);
	w = NULL;
}
