/* A client's and a gateway's engine, joined: a name from its query to the first byte, and what becomes of it (spec 30 §7, spec 40 §9). The nodes are
 * fake: what one sends the other gets.
 */
#include "core/tunnel/gateway.h"
#include "tests/unit/client_dns_world.h"

#include <stdio.h>

#define GATEWAY 50u
#define CLIENT 7u

static struct gateway *g;
static struct node *client_node, *gateway_node;
static u32 from_client, from_site; /* what was carried over already */
static char asked[8][256];         /* domains the gateway wanted resolved */
static u64 tokens[8];
static unsigned n_asked;
static struct inner_spec nothing;
static u8 at_site[8][TUNNEL_MTU]; /* packets that left the gateway's TUN */
static u32 at_site_len[8];
static unsigned n_at_site;
static u8 at_app[8][TUNNEL_MTU]; /* and the client's, DNS answers apart */
static unsigned n_at_app;

static void carry(void)
{
	bool went_on = true;

	while (went_on) {
		static u8 memory[FAKE_DATAGRAM_MAX];
		struct tun_pkt t;
		struct gateway_event e;
		struct uuid client = uuid_of(CLIENT), gateway = uuid_of(GATEWAY);
		went_on = false;
		while (from_client != client_node->n_sent) {
			const struct fake_sent *s = &client_node->sent[from_client++ % FAKE_SENT];
			fake = gateway_node;
			struct udp_rx rx = fake_datagram(memory, &client, s->data, s->len);
			gateway_udp_input(g, now, WALL, &rx, 1);
			while (gateway_poll_tun(g, &t)) {
				memcpy(at_site[n_at_site % 8], t.data, t.len);
				at_site_len[n_at_site++ % 8] = t.len;
			}
			went_on = true;
		}
		while (gateway_poll_event(g, &e))
			if (e.type == GATEWAY_RESOLVE) {
				snprintf(asked[n_asked % 8], sizeof(asked[0]), "%s", e.domain);
				tokens[n_asked++ % 8] = e.token;
			}
		while (from_site != gateway_node->n_sent) {
			const struct fake_sent *s = &gateway_node->sent[from_site++ % FAKE_SENT];
			fake = client_node;
			struct udp_rx rx = fake_datagram(memory, &gateway, s->data, s->len);
			client_udp_input(c, now, WALL, &rx, 1);
			while (client_poll_tun(c, &t))
				memcpy(at_app[n_at_app++ % 8], t.data, t.len);
			went_on = true;
		}
	}
	fake = client_node;
}

static void begin(const struct msg_resource *list, size_t n)
{
	struct gateway_config cfg = { .rng = &rng.rng };
	struct portal_message m = { .type = MSG_INIT_GATEWAY };

	start(list, n);
	system_resolver("192.0.2.53");
	(void)events();
	client_node = fake;
	g = gateway_new(&cfg, now);
	gateway_node = fake;
	fake = client_node;
	m.init_gateway.interface.ipv4 = ip_of("100.64.1.50");
	m.init_gateway.interface.ipv6 = ip_of("fd00:2021:1111::1:50");
	EXPECT_EQ(gateway_message(g, now, WALL, &m), 0);
	from_client = from_site = n_asked = n_at_site = n_at_app = 0;
}

static void end(void)
{
	gateway_free(g);
	stop();
}

/* The portal lets the client use the resource on the gateway. */
static void grant(const struct msg_resource *r, unsigned id)
{
	struct portal_message m = { .type = MSG_AUTHORIZE_FLOW };
	m.authorize_flow.ref = "ref";
	m.authorize_flow.resource = *r;
	m.authorize_flow.client.id = uuid_of(CLIENT);
	m.authorize_flow.client.ipv4 = ip_of(own4);
	m.authorize_flow.client.ipv6 = ip_of(own6);
	m.authorize_flow.client_ice = (struct msg_ice){ "cu", "cp" };
	m.authorize_flow.gateway_ice = (struct msg_ice){ "gu", "gp" };
	m.authorize_flow.expires_at = MSG_NEVER_EXPIRES;
	EXPECT_EQ(gateway_message(g, now, WALL, &m), 0);
	created_by(id, GATEWAY);
}

static void resolve(unsigned i, const char *v4, const char *v6)
{
	struct ip list[2] = { ip_of(v4), ip_of(v6) };
	gateway_resolved(g, now, WALL, tokens[i], list, 2, 0);
	carry();
}

static void use(const char *proxy, u16 sport)
{
	struct inner_spec s = app(17, proxy, 5000, sport);
	s.sport = sport;
	tun(&s);
	carry();
}

/* The site answers the last packet it got. */
static void site_answers(const char *from)
{
	struct packet p;
	REQUIRE(n_at_site > 0);
	REQUIRE(packet_parse(at_site[(n_at_site - 1) % 8], at_site_len[(n_at_site - 1) % 8], TUNNEL_MTU, &p) == 0);
	struct inner_spec s = { .src = ip_of(from), .dst = p.src, .proto = 17, .sport = p.dst_port, .dport = p.src_port, .payload_len = 20 };
	u8 data[TUNNEL_MTU];
	struct tun_pkt t = { .data = data };
	t.len = inner_make(&s, data);
	gateway_tun_input(g, now, WALL, &t, 1);
	gateway_flush(g, now);
	carry();
}

static bool went_to(const char *ip)
{
	struct packet p;
	struct ip want = ip_of(ip);
	if (n_at_site == 0)
		return false;
	u8 *last = at_site[(n_at_site - 1) % 8];
	u32 len = at_site_len[(n_at_site - 1) % 8];
	return packet_parse(last, len, TUNNEL_MTU, &p) == 0 && ip_eq(&p.dst, &want) && inner_checksums_are_right(last, len);
}

static bool came_from(const char *ip)
{
	struct packet p;
	struct ip want = ip_of(ip);
	u8 *last = at_app[(n_at_app - 1) % 8];
	return n_at_app > 0 && packet_parse(last, TUNNEL_MTU, TUNNEL_MTU, &p) == 0 && ip_eq(&p.src, &want);
}

static struct ip asked_for(const char *name, u16 type)
{
	struct heard h;
	query((u16)(n_asked + 100), name, type);
	EXPECT_EQ(answered((u16)(n_asked + 100), &h), DNS_NOERROR);
	return h.r.n_answers ? first_address(&h) : nothing.src;
}

TEST(spec30_36_a_name_from_query_to_first_byte_and_back)
{
	struct msg_resource r = named(1, "*.example.com");
	begin(&r, 1);
	(void)asked_for("app.example.com", DNS_A);
	use("100.96.0.1", 1000);
	EXPECT_EQ(events().flows, 1);
	EXPECT_EQ(n_asked, 0); /* nobody in the site was asked before the policy allowed it */
	grant(&r, 1);
	carry();
	EXPECT_EQ(n_asked, 1);
	EXPECT_STR(asked[0], "app.example.com");
	EXPECT_EQ(n_at_site, 0);
	resolve(0, "10.9.0.5", "fd09::5");
	EXPECT_EQ(n_at_site, 1);
	EXPECT(went_to("10.9.0.5"));
	site_answers("10.9.0.5");
	EXPECT_EQ(n_at_app, 1);
	EXPECT(came_from("100.96.0.1"));
	use("fd00:2021:1111:8000::2", 1001);
	EXPECT(went_to("fd09::5"));
	site_answers("fd09::5");
	EXPECT(came_from("fd00:2021:1111:8000::2"));
	end();
}

TEST(spec30_38_connections_survive_that_the_name_moves)
{
	struct msg_resource r = named(1, "*.example.com");
	begin(&r, 1);
	(void)asked_for("app.example.com", DNS_A);
	use("100.96.0.1", 1000);
	(void)events();
	grant(&r, 1);
	carry();
	resolve(0, "10.9.0.5", "fd09::5");
	EXPECT(went_to("10.9.0.5"));
	struct ip again = asked_for("app.example.com", DNS_A);
	EXPECT(again.b[3] == 1);
	carry();
	EXPECT_EQ(n_asked, 2); /* the gateway looks again, while traffic goes on */
	use("100.96.0.1", 1000);
	EXPECT(went_to("10.9.0.5"));
	resolve(1, "10.9.0.6", "fd09::6");
	use("100.96.0.1", 1000);
	EXPECT(went_to("10.9.0.5")); /* its session stays where it was */
	site_answers("10.9.0.5");
	EXPECT(came_from("100.96.0.1"));
	use("100.96.0.1", 2000);
	EXPECT(went_to("10.9.0.6"));
	end();
}

TEST(names_that_no_resource_covers_are_never_resolved_in_the_site)
{
	struct msg_resource r = named(1, "app.example.com");
	struct outside o;
	begin(&r, 1);
	(void)asked_for("app.example.com", DNS_A);
	use("100.96.0.1", 1000);
	(void)events();
	grant(&r, 1);
	carry();
	query(5, "db.example.com", DNS_A);
	carry();
	EXPECT(next_exchange(&o)); /* where it went before */
	EXPECT_EQ(n_asked, 1);
	EXPECT_STR(asked[0], "app.example.com");
	end();
}

TEST(spec30_33_spec30_39_an_unknown_name_fails_and_recovers)
{
	struct msg_resource r = named(1, "*.example.com");
	begin(&r, 1);
	(void)asked_for("app.example.com", DNS_A);
	use("100.96.0.1", 1000);
	(void)events();
	grant(&r, 1);
	carry();
	gateway_resolved(g, now, WALL, tokens[0], NULL, 0, ERR_TIMEOUT);
	carry();
	EXPECT_EQ(n_at_site, 0);
	now += SEC(3);
	(void)asked_for("app.example.com", DNS_AAAA);
	carry();
	REQUIRE(n_asked == 2);
	use("100.96.0.1", 1001);
	EXPECT_EQ(n_at_site, 0); /* waits */
	resolve(1, "10.9.0.5", "fd09::5");
	EXPECT(went_to("10.9.0.5"));
	end();
}
