/* DNS over TCP in the tunnel: applications at the sentinels, servers inside (spec 30 §10.4, §11). The other end of each connection is core/tcp
 * too, driven by the test.
 */
#include "core/tcp/tcp.h"
#include "tests/unit/client_dns_world.h"

#include <stdio.h>

static struct tcp_stack *app_tcp, *far_tcp;
static u8 got[70000]; /* what the application or the far server has read */
static size_t n_got;
static u32 sent_seen;
static bool is_cut; /* packets to the gateway are lost */

static void begin(const struct msg_resource *list, size_t n)
{
	struct tcp_stack_config cfg = { .rng = &rng.rng };

	start(list, n);
	system_resolver("192.0.2.53");
	(void)events();
	app_tcp = tcp_stack_new(&cfg);
	far_tcp = tcp_stack_new(&cfg);
	n_got = 0;
	sent_seen = 0;
	is_cut = false;
}

static void end(void)
{
	tcp_stack_free(app_tcp);
	tcp_stack_free(far_tcp);
	stop();
}

/* Packets to and fro until all is quiet. */
static void settle(void)
{
	bool went_on = true;

	for (unsigned i = 0; went_on && i < 1000; i++) {
		struct tun_pkt t;
		struct packet p;
		went_on = false;
		while (tcp_stack_poll_transmit(app_tcp, &t)) {
			client_tun_input(c, now, WALL, &t, 1);
			went_on = true;
		}
		while (client_poll_tun(c, &t)) {
			EXPECT(inner_checksums_are_right(t.data, t.len));
			EXPECT_EQ(packet_parse(t.data, t.len, TUNNEL_MTU, &p), 0);
			EXPECT_EQ(tcp_stack_input(app_tcp, now, t.data, &p), 0);
			went_on = true;
		}
		while (sent_seen != fake->n_sent) {
			const struct fake_sent *s = next_sent(&sent_seen);
			if (!is_cut && packet_parse(s->data, s->len, TUNNEL_MTU, &p) == 0)
				(void)tcp_stack_input(far_tcp, now, s->data, &p);
			went_on = true;
		}
		while (tcp_stack_poll_transmit(far_tcp, &t)) {
			static u8 memory[FAKE_DATAGRAM_MAX];
			struct uuid id = uuid_of(50);
			struct udp_rx rx = fake_datagram(memory, &id, t.data, t.len);
			client_udp_input(c, now, WALL, &rx, 1);
			went_on = true;
		}
	}
}

static tcp_handle dial_sentinel(const char *sentinel)
{
	struct endpoint local = { ip_of(own4), 0 }, remote = { ip_of(sentinel), 53 };
	tcp_handle h = 0;
	EXPECT_EQ(tcp_stack_connect(app_tcp, now, &local, &remote, &h), 0);
	settle();
	return h;
}

static void say(struct tcp_stack *s, tcp_handle h, struct span message)
{
	u8 prefix[2];
	put_be16(prefix, (u16)message.n);
	EXPECT_EQ(tcp_stack_write(s, now, h, SPAN(prefix, 2)), 2);
	EXPECT_EQ(tcp_stack_write(s, now, h, message), (int)message.n);
	settle();
}

static void ask(tcp_handle h, u16 id, const char *name, u16 type)
{
	u8 data[512];
	say(app_tcp, h, SPAN(data, query_make(data, id, name, type)));
}

/* The next whole message that came on a connection; empty when there is none. */
static struct span take(struct tcp_stack *s, tcp_handle h)
{
	static u8 message[65535];
	int n;

	while ((n = tcp_stack_read(s, now, h, (struct mspan){ got + n_got, sizeof(got) - n_got })) > 0)
		n_got += (size_t)n;
	settle();
	if (n_got < 2 || n_got < 2u + get_be16(got))
		return SPAN_NONE;
	size_t len = get_be16(got);
	memcpy(message, got + 2, len);
	memmove(got, got + 2 + len, n_got - 2 - len);
	n_got -= 2 + len;
	return SPAN(message, len);
}

static int heard_tcp(tcp_handle h, u16 id, struct dns_response *r)
{
	struct span m = take(app_tcp, h);
	if (m.n == 0)
		return -1;
	EXPECT_EQ(dns_response_parse(m, r), 0);
	EXPECT_EQ(r->id, id);
	return r->rcode;
}

static bool is_reset(tcp_handle h)
{
	struct tcp_event e;
	while (tcp_stack_poll_event(app_tcp, &e))
		if (e.conn == h && e.type == TCP_EVENT_FAILED && e.error == ERR_CLOSED)
			return true;
	return false;
}

TEST(spec30_57_names_are_answered_over_tcp_several_on_a_connection)
{
	struct msg_resource r = named(1, "*.example.com");
	struct dns_response resp;
	begin(&r, 1);
	tcp_handle h = dial_sentinel(SENTINEL);
	for (u16 i = 0; i < 5; i++) {
		char name[64];
		snprintf(name, sizeof(name), "h%u.example.com", i);
		ask(h, i, name, DNS_A);
		EXPECT_EQ(heard_tcp(h, i, &resp), DNS_NOERROR);
		EXPECT_EQ(resp.n_answers, 4);
	}
	EXPECT_EQ(tcp_stack_shutdown(app_tcp, now, h), 0);
	settle();
	EXPECT_EQ(tcp_stack_read(app_tcp, now, h, (struct mspan){ got, 1 }), ERR_CLOSED); /* closed in good order */
	end();
}

TEST(spec30_57_ten_connections_a_sentinel_the_eleventh_is_refused)
{
	struct dns_response resp;
	struct msg_resource r = named(1, "*.example.com");
	tcp_handle h[11];
	begin(&r, 1);
	for (unsigned i = 0; i < 11; i++)
		h[i] = dial_sentinel(SENTINEL);
	EXPECT(is_reset(h[10]));
	for (unsigned i = 0; i < 10; i++) {
		ask(h[i], (u16)i, "a.example.com", DNS_AAAA);
		EXPECT_EQ(heard_tcp(h[i], (u16)i, &resp), DNS_NOERROR);
	}
	end();
}

TEST(forwarded_answers_of_any_length_over_tcp)
{
	struct dns_response resp;
	struct outside o;
	begin(NULL, 0);
	tcp_handle h = dial_sentinel(SENTINEL);
	ask(h, 300, "www.example.org", DNS_A);
	REQUIRE(next_exchange(&o));
	EXPECT_EQ(o.ex.transport, DNS_OVER_TCP);
	static u8 data[65535];
	struct span message = response_make(data, sizeof(data), &o.q, 60, 1500);
	EXPECT(message.n > 40000);
	client_exchange_response(c, now, o.ex.id, NULL, message);
	settle();
	struct span m = take(app_tcp, h);
	for (unsigned i = 0; i < 100 && m.n == 0; i++)
		m = take(app_tcp, h);
	REQUIRE(m.n == message.n);
	EXPECT_EQ(dns_response_parse(m, &resp), 0);
	EXPECT(resp.id == 300 && resp.n_answers == 1500);
	ask(h, 301, "www.example.org", DNS_A); /* from the cache */
	EXPECT(!next_exchange(&o));
	m = take(app_tcp, h);
	for (unsigned i = 0; i < 100 && m.n == 0; i++)
		m = take(app_tcp, h);
	REQUIRE(m.n > 0 && dns_response_parse(m, &resp) == 0);
	EXPECT(resp.id == 301 && resp.n_answers == 1500);
	end();
}

TEST(what_is_no_query_resets_the_connection)
{
	u8 junk[20] = { 0, 1, 0x80 };
	begin(NULL, 0);
	tcp_handle h = dial_sentinel(SENTINEL);
	say(app_tcp, h, SPAN(junk, sizeof(junk)));
	EXPECT(is_reset(h));
	end();
}

TEST(an_asker_that_left_costs_nothing)
{
	struct outside o;
	begin(NULL, 0);
	tcp_handle h = dial_sentinel(SENTINEL);
	ask(h, 300, "www.example.org", DNS_A);
	tcp_stack_abort(app_tcp, now, h);
	settle();
	if (next_exchange(&o))
		respond(&o, 60, 1);
	settle();
	advance(SEC(20));
	end();
}

TEST(a_sentinel_of_yesterday_serves_nobody)
{
	begin(NULL, 0);
	tcp_handle h = dial_sentinel(SENTINEL);
	system_resolver("192.0.2.54");
	settle();
	EXPECT(is_reset(h));
	struct msg_resource r = named(1, "*.example.com");
	struct dns_response resp;
	add(&r);
	h = dial_sentinel("100.100.111.2");
	ask(h, 1, "a.example.com", DNS_A);
	EXPECT_EQ(heard_tcp(h, 1, &resp), DNS_NOERROR);
	end();
}

/* --- inside ---------------------------------------------------------------------------------------------------------------------------- */

static tcp_handle accepted(void)
{
	struct tcp_event e;
	tcp_handle h = 0;
	while (tcp_stack_poll_event(far_tcp, &e))
		if (e.type == TCP_EVENT_ACCEPTED)
			h = e.conn;
	return h;
}

static void far_listens(const char *ip, u16 port)
{
	struct endpoint at = { ip_of(ip), port };
	EXPECT_EQ(tcp_stack_listen(far_tcp, &at, 10), 0);
}

/* The query that the far server reads. */
static struct dns_query far_query(tcp_handle h)
{
	struct dns_query q = { 0 };
	struct span m = take(far_tcp, h);
	EXPECT_EQ(dns_query_parse(m, &q), 0);
	return q;
}

TEST(spec30_53_tcp_queries_reach_servers_inside_over_tcp)
{
	struct msg_resource r = cidr(1, "10.0.0.0/8");
	struct dns_response resp;
	u8 data[4096];

	begin(&r, 1);
	configure("10.0.0.53", NULL, NULL);
	far_listens("10.0.0.53", 53);
	tcp_handle h = dial_sentinel("100.100.111.2");
	ask(h, 900, "www.example.org", DNS_A);
	EXPECT_EQ(events().flows, 1);
	created_by(1, 50);
	settle();
	tcp_handle far = accepted();
	struct dns_query q = far_query(far);
	say(far_tcp, far, response_make(data, sizeof(data), &q, 60, 90));
	EXPECT_EQ(heard_tcp(h, 900, &resp), DNS_NOERROR);
	EXPECT_EQ(resp.n_answers, 90);
	ask(h, 901, "ftp.example.org", DNS_A); /* on the same connection */
	EXPECT_EQ(accepted(), 0);
	q = far_query(far);
	say(far_tcp, far, response_make(data, sizeof(data), &q, 60, 1));
	EXPECT_EQ(heard_tcp(h, 901, &resp), DNS_NOERROR);
	end();
}

TEST(a_truncated_answer_from_inside_is_asked_for_again_over_tcp)
{
	struct msg_resource r = cidr(1, "10.0.0.0/8");
	struct heard heard;
	struct packet p;
	struct dns_query q;
	struct span message;
	u8 data[4096];

	begin(&r, 1);
	configure("10.0.0.53", NULL, NULL);
	far_listens("10.0.0.53", 53);
	query_to("100.100.111.2", 77, "www.example.org", DNS_A);
	(void)events();
	created_by(1, 50);
	REQUIRE(packet_parse(fake->sent[0].data, fake->sent[0].len, TUNNEL_MTU, &p) == 0);
	REQUIRE(udp_packet_read(fake->sent[0].data, &p, &message) == 0 && dns_query_parse(message, &q) == 0);
	struct span cut = response_make(data, sizeof(data), &q, 60, 0);
	data[2] |= 2; /* TC */
	inside_reply(50, &p, cut);
	settle();
	tcp_handle far = accepted();
	REQUIRE(far != 0);
	q = far_query(far);
	struct span whole = response_make(data, sizeof(data), &q, 60, 9);
	u8 prefix[2];
	put_be16(prefix, (u16)whole.n);
	EXPECT_EQ(tcp_stack_write(far_tcp, now, far, SPAN(prefix, 2)), 2);
	EXPECT_EQ(tcp_stack_write(far_tcp, now, far, whole), (int)whole.n);
	struct tun_pkt t;
	while (tcp_stack_poll_transmit(far_tcp, &t)) {
		static u8 memory[FAKE_DATAGRAM_MAX];
		struct uuid id = uuid_of(50);
		struct udp_rx rx = fake_datagram(memory, &id, t.data, t.len);
		client_udp_input(c, now, WALL, &rx, 1);
	}
	EXPECT_EQ(answered(77, &heard), DNS_NOERROR);
	EXPECT_EQ(heard.r.n_answers, 9);
	end();
}

TEST(spec30_47_tcp_queries_for_a_site_go_to_the_gateway_over_tcp)
{
	struct msg_resource r = named(1, "*.example.com");
	struct dns_response resp;
	u8 data[4096];

	begin(&r, 1);
	far_listens("100.64.1.50", 53535);
	tcp_handle h = dial_sentinel(SENTINEL);
	ask(h, 4, "ldap.example.com", DNS_TXT);
	EXPECT_EQ(events().flows, 1);
	created_by(1, 50);
	settle();
	tcp_handle far = accepted();
	struct dns_query q = far_query(far);
	EXPECT_EQ(q.q.type, DNS_TXT);
	say(far_tcp, far, response_make(data, sizeof(data), &q, 60, 2));
	EXPECT_EQ(heard_tcp(h, 4, &resp), DNS_NOERROR);
	EXPECT_EQ(resp.n_answers, 2);
	end();
}

TEST(a_silent_or_refusing_server_inside_ends_in_servfail)
{
	struct msg_resource r = cidr(1, "10.0.0.0/8");
	struct dns_response resp;

	for (unsigned cut = 0; cut < 2; cut++) {
		begin(&r, 1);
		is_cut = cut;
		configure("10.0.0.53", NULL, NULL);
		tcp_handle h = dial_sentinel("100.100.111.2");
		ask(h, 900, "www.example.org", DNS_A);
		(void)events();
		created_by(1, 50);
		int rcode = -1;
		for (unsigned i = 0; i < 60 && rcode < 0; i++) {
			settle();
			advance(MSEC(250));
			settle();
			rcode = heard_tcp(h, 900, &resp);
		}
		EXPECT_EQ(rcode, DNS_SERVFAIL);
		EXPECT(now < SEC(100) + SEC(14));
		end();
	}
}

TEST(spec30_61_a_reset_ends_connections_inside)
{
	struct msg_resource r = cidr(1, "10.0.0.0/8");
	struct dns_response resp;

	begin(&r, 1);
	configure("10.0.0.53", NULL, NULL);
	far_listens("10.0.0.53", 53);
	tcp_handle h = dial_sentinel("100.100.111.2");
	ask(h, 900, "www.example.org", DNS_A);
	(void)events();
	created_by(1, 50);
	settle();
	client_reset(c, now);
	settle();
	EXPECT_EQ(heard_tcp(h, 900, &resp), DNS_SERVFAIL);
	end();
}
