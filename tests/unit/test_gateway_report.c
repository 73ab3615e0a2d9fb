/* What a gateway tells the portal of its connections, and that it tells nothing to a portal that did not ask (spec 10 §15). */
#define FAKE_CONNS 600
#include "tests/unit/gateway_world.h"

#include "core/tunnel/gateway_report.h"
#include "core/tunnel/outbox.h"

static struct msg_connection told[1024];
static size_t n_told, n_messages;

static void init_wanting(u32 secs)
{
	struct msg_access access[40];
	struct portal_message m = { .type = MSG_INIT_GATEWAY };

	for (unsigned i = 0; i < ARRAY_LEN(access); i++)
		access[i] = (struct msg_access){ uuid_of(i), uuid_of(0x90), MSG_NEVER_EXPIRES };
	m.init_gateway.interface.ipv4 = ip_of(own4);
	m.init_gateway.interface.ipv6 = ip_of(own6);
	m.init_gateway.report_interval_secs = secs;
	m.init_gateway.authorizations = access;
	m.init_gateway.n_authorizations = ARRAY_LEN(access);
	EXPECT_EQ(gateway_message(g, now, wall, &m), 0);
}

/* What the portal would get now. */
static size_t poll_reports(void)
{
	struct gateway_event e;

	n_told = n_messages = 0;
	while (gateway_poll_event(g, &e)) {
		if (e.type != GATEWAY_SEND || e.message->type != MSG_CONNECTIONS_REPORT)
			continue;
		n_messages++;
		EXPECT(e.message->connections_report.n <= MSG_REPORTED_MAX);
		for (size_t i = 0; i < e.message->connections_report.n && n_told < ARRAY_LEN(told); i++)
			told[n_told++] = e.message->connections_report.connections[i];
	}
	return n_told;
}

static struct fake_conn *conn_of(unsigned client)
{
	struct uuid id = uuid_of(client);

	return fake_find(fake, &id);
}

static void connect(unsigned client, enum node_path path)
{
	struct uuid id = uuid_of(client);

	grant(client, cidr(0x90, "10.9.0.0/16", NULL, 0));
	conn_of(client)->info.path = path;
	fake_event(fake, NODE_PATH_CHANGED, &id);
	fake_event(fake, NODE_CONN_ESTABLISHED, &id);
	(void)poll_reports();
}

static void carry(unsigned client, u64 rx, u64 tx)
{
	conn_of(client)->info.rx_bytes += rx;
	conn_of(client)->info.tx_bytes += tx;
}

TEST(spec10_71_nothing_is_reported_to_a_portal_that_did_not_ask)
{
	start();
	connect(1, PATH_DIRECT);
	carry(1, 100, 200);
	for (int i = 0; i < 200; i++) {
		advance(SEC(1));
		EXPECT_EQ(poll_reports(), 0);
	}
	stop();
}

TEST(spec10_72_a_connection_is_reported_soon_and_then_once_per_interval)
{
	start();
	init_wanting(60);
	connect(1, PATH_DIRECT);
	conn_of(1)->info.has_rtt = true;
	conn_of(1)->info.rtt = USEC(12600);
	carry(1, 100, 200);
	advance(MSEC(1900));
	EXPECT_EQ(poll_reports(), 0);
	advance(MSEC(200));
	REQUIRE(poll_reports() == 1);
	EXPECT(uuid_eq(&told[0].client_id, &conn_of(1)->id));
	EXPECT_EQ(told[0].path, MSG_PATH_DIRECT);
	EXPECT(told[0].has_rtt);
	EXPECT_EQ(told[0].rtt_ms, 13);
	EXPECT_EQ(told[0].rx_bytes, 100);
	EXPECT_EQ(told[0].tx_bytes, 200);
	carry(1, 7, 0);
	advance(SEC(57));
	EXPECT_EQ(poll_reports(), 0);
	advance(SEC(2));
	REQUIRE(poll_reports() == 1);
	EXPECT_EQ(told[0].rx_bytes, 7); /* since the last report */
	EXPECT_EQ(told[0].tx_bytes, 0);
	for (unsigned i = 0; i < 10; i++) {
		advance(SEC(60));
		EXPECT_EQ(poll_reports(), 1);
	}
	stop();
}

TEST(changes_of_paths_are_reported_soon_but_not_all_the_time)
{
	struct uuid id = uuid_of(1);
	unsigned n = 0;

	start();
	init_wanting(3600);
	connect(1, PATH_OWN_RELAY);
	connect(2, PATH_DIRECT);
	advance(SEC(3));
	REQUIRE(poll_reports() == 2);
	conn_of(1)->info.path = PATH_DIRECT;
	fake_event(fake, NODE_PATH_CHANGED, &id);
	advance(SEC(10));
	REQUIRE(poll_reports() == 1); /* only who changed */
	EXPECT(uuid_eq(&told[0].client_id, &id));
	for (unsigned i = 0; i < 100; i++) {
		fake_event(fake, NODE_PATH_CHANGED, &id);
		(void)poll_reports();
		advance(MSEC(500));
		n += poll_reports() > 0;
	}
	EXPECT(n > 5);
	EXPECT(n <= 50 / 5 + 1); /* REPORT_GAP */
	stop();
}

TEST(what_ended_is_reported_with_its_last_bytes)
{
	struct uuid one = uuid_of(1), two = uuid_of(2);
	u8 goodbye[48], memory[128];

	start();
	init_wanting(60);
	connect(1, PATH_DIRECT);
	connect(2, PATH_BOTH_RELAYS);
	connect(3, PATH_DIRECT);
	advance(SEC(3));
	EXPECT_EQ(poll_reports(), 3);
	/* fails, says goodbye, is rejected */
	conn_of(1)->is_used = false;
	fake->events[fake->n_events++] = (struct node_event){ .type = NODE_CONN_FAILED, .id = one, .rx_bytes = 40, .tx_bytes = 2 };
	carry(2, 5, 6);
	struct udp_rx rx = fake_datagram(memory, &two, goodbye, fake_goodbye(goodbye));
	gateway_udp_input(g, now, wall, &rx, 1);
	carry(3, 8, 9);
	reject(3, 0x90);
	(void)poll_reports();
	advance(SEC(6));
	REQUIRE(poll_reports() == 3);
	for (unsigned i = 0; i < 3; i++) {
		EXPECT_EQ(told[i].path, MSG_PATH_GONE);
		u64 sum = told[i].rx_bytes + told[i].tx_bytes;
		EXPECT_EQ(sum, uuid_eq(&told[i].client_id, &one) ? 42 : uuid_eq(&told[i].client_id, &two) ? 11 : 17);
	}
	for (unsigned i = 0; i < 10; i++) {
		advance(SEC(60));
		EXPECT_EQ(poll_reports(), 0); /* nobody is connected */
	}
	stop();
}

TEST(a_connection_that_takes_anothers_place_is_counted_on)
{
	start();
	init_wanting(60);
	connect(1, PATH_DIRECT);
	carry(1, 1000, 1000);
	advance(SEC(3));
	EXPECT_EQ(poll_reports(), 1);
	carry(1, 5, 5);
	grant(1, cidr(0x91, "10.8.0.0/16", NULL, 0)); /* the fake begins anew at each upsert */
	carry(1, 2000, 3000);
	advance(SEC(60));
	REQUIRE(poll_reports() == 1);
	EXPECT_EQ(told[0].rx_bytes, 2005);
	EXPECT_EQ(told[0].tx_bytes, 3005);
	stop();
}

TEST(spec10_73_a_report_for_one_portal_is_not_told_to_the_next)
{
	start();
	init_wanting(60);
	connect(1, PATH_DIRECT);
	carry(1, 10, 10);
	advance(SEC(1));
	gateway_portal_lost(g);
	advance(SEC(300));
	EXPECT_EQ(poll_reports(), 0);
	init_wanting(0); /* one of Firezone */
	advance(SEC(300));
	EXPECT_EQ(poll_reports(), 0);
	gateway_portal_lost(g);
	init_wanting(60);
	advance(SEC(3));
	REQUIRE(poll_reports() == 1); /* soon, with what was counted meanwhile */
	EXPECT_EQ(told[0].rx_bytes, 10);
	/* one that waits in the outbox when the portal goes */
	carry(1, 1, 1);
	advance(SEC(60));
	gateway_portal_lost(g);
	init_wanting(0);
	EXPECT_EQ(poll_reports(), 0);
	stop();
}

TEST(many_connections_take_several_messages)
{
	struct msg_connection c[MSG_REPORTED_MAX] = { 0 };
	struct outbox o;

	outbox_init(&o);
	EXPECT_EQ(outbox_report(&o, c, MSG_REPORTED_MAX), 0);
	EXPECT_EQ(outbox_report(&o, c, MSG_REPORTED_MAX), 0); /* never a duplicate */
	EXPECT_EQ(o.count, 2);
	EXPECT_EQ(outbox_no_relays(&o), 0);
	outbox_forget_reports(&o);
	EXPECT_EQ(o.count, 1);
	const struct portal_message *m = outbox_poll(&o);
	REQUIRE(m != NULL);
	EXPECT_EQ(m->type, MSG_NO_RELAYS);
	outbox_deinit(&o);

	start();
	init_wanting(60);
	for (unsigned i = 1; i <= 2 * MSG_REPORTED_MAX + 1; i++)
		connect(i, PATH_DIRECT);
	advance(SEC(3));
	EXPECT_EQ(poll_reports(), 2 * MSG_REPORTED_MAX + 1);
	EXPECT_EQ(n_messages, 3);
	stop();
}
