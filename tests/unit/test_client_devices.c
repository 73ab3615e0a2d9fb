/* Client to client (spec 30 §6.4): asking, being asked, candidates, refusal, goodbye. */
#include "tests/unit/client_world.h"

static const char *const peer4 = "100.64.3.9", *const peer6 = "fd00:2021:1111::3:9";

#define REQUESTS_MAX 16

struct wishes {
	unsigned requests, candidates, invalidated, no_relays, flows;
	struct ip asked[REQUESTS_MAX];
	struct uuid candidates_for;
};

static struct wishes wishes(void)
{
	struct wishes w = { 0 };
	struct client_event e;

	while (client_poll_event(c, &e)) {
		if (e.type != CLIENT_SEND)
			continue;
		if (e.message->type == MSG_REQUEST_DEVICE_ACCESS)
			w.asked[w.requests++ % REQUESTS_MAX] = e.message->ipv4;
		if (e.message->type == MSG_NEW_CLIENT_ICE_CANDIDATES) {
			w.candidates++;
			w.candidates_for = e.message->candidates.id;
		}
		w.invalidated += e.message->type == MSG_INVALIDATE_CLIENT_ICE_CANDIDATES;
		w.no_relays += e.message->type == MSG_NO_RELAYS;
		w.flows += e.message->type == MSG_CREATE_FLOW;
	}
	return w;
}

static void authorized_as(unsigned client, bool is_controlling, const char *ipv4, const char *ipv6)
{
	struct portal_message m = { .type = MSG_CLIENT_DEVICE_ACCESS_AUTHORIZED };

	m.device_access_authorized = (struct msg_device_access_authorized){ .client_id = uuid_of(client), .client_ipv4 = ip_of(ipv4),
									    .client_ipv6 = ip_of(ipv6), .local_ice = { "lu", "lp" },
									    .remote_ice = { "ru", "rp" }, .is_controlling = is_controlling };
	m.device_access_authorized.client_public_key[0] = (u8)client;
	m.device_access_authorized.preshared_key[0] = 7;
	EXPECT_EQ(client_message(c, now, WALL, &m), 0);
}

static void authorized(unsigned client, bool is_controlling)
{
	authorized_as(client, is_controlling, peer4, peer6);
}

static void denied(const char *ipv4, enum msg_reason reason)
{
	struct portal_message m = { .type = MSG_CLIENT_DEVICE_ACCESS_DENIED, .device_access_denied = { .ipv4 = ip_of(ipv4), .reason = reason } };
	EXPECT_EQ(client_message(c, now, WALL, &m), 0);
}

static void candidate(enum msg_type type, unsigned client)
{
	static const char *const text = "candidate:1 1 udp 1 192.0.2.1 5000 typ host";
	struct portal_message m = { .type = type };

	m.candidates.id = uuid_of(client);
	m.candidates.candidates = (struct msg_candidates){ &text, 1 };
	EXPECT_EQ(client_message(c, now, WALL, &m), 0);
}

static struct fake_conn *conn_of(unsigned client)
{
	struct uuid id = uuid_of(client);
	return fake_find(fake, &id);
}

static u32 sent_to(unsigned client)
{
	struct uuid id = uuid_of(client);
	u32 n = 0;

	for (u32 i = 0; i < fake->n_sent && i < FAKE_SENT; i++)
		n += uuid_eq(&fake->sent[i].id, &id);
	return n;
}

/* What another client sends us, whatever it claims to be. */
static unsigned from_client(unsigned client, const char *src)
{
	return reply_from(client, src);
}

TEST(a_packet_to_an_unknown_peer_asks_at_most_every_two_seconds)
{
	struct wishes w;

	start(NULL, 0);
	send_to(peer4);
	w = wishes();
	EXPECT_EQ(w.requests, 1);
	struct ip want = ip_of(peer4);
	EXPECT(ip_eq(&w.asked[0], &want));
	send_to(peer4);
	EXPECT_EQ(wishes().requests, 0);
	advance(SEC(2));
	EXPECT_EQ(wishes().requests, 0); /* no timer asks, only traffic does */
	send_to(peer4);
	EXPECT_EQ(wishes().requests, 1);
	send_to("100.64.3.10");
	send_to("100.64.3.11");
	EXPECT_EQ(wishes().requests, 2);
	send_to(peer6); /* there is no asking for IPv6 */
	EXPECT_EQ(wishes().requests, 0);
	EXPECT_EQ(client_stats(c)->dropped[DROP_NOT_A_PEER], 1);
	client_portal_lost(c);
	send_to("100.64.3.12");
	EXPECT_EQ(wishes().requests, 0);
	init(NULL, 0);
	EXPECT_EQ(wishes().requests, 1);
	stop();
}

TEST(the_one_who_asked_is_controlling_and_what_waited_leaves_in_order)
{
	start(NULL, 0);
	for (unsigned i = 0; i < 3; i++, now++)
		send_to(peer4);
	EXPECT_EQ(wishes().requests, 1);
	authorized(9, true);
	REQUIRE(conn_of(9));
	EXPECT(conn_of(9)->peer.is_controlling && conn_of(9)->peer.is_client_to_client);
	EXPECT_STR(conn_of(9)->peer.local.ufrag, "lu");
	EXPECT_STR(conn_of(9)->peer.remote.pwd, "rp");
	EXPECT_EQ(conn_of(9)->peer.public_key[0], 9);
	EXPECT_EQ(conn_of(9)->peer.preshared_key[0], 7);
	EXPECT_EQ(sent_to(9), 3);
	send_to(peer4);
	send_to(peer6); /* known now */
	EXPECT_EQ(sent_to(9), 5);
	EXPECT_EQ(wishes().requests, 0);
	EXPECT_EQ(client_stats(c)->dropped[DROP_PENDING_LOST], 0);
	struct client_status st;
	client_status(c, &st);
	EXPECT_EQ(st.n_devices, 1);
	EXPECT_EQ(st.n_gateways, 0);
	stop();
}

TEST(the_one_who_is_asked_for_is_controlled_and_takes_only_that_peers_packets)
{
	start(NULL, 0);
	EXPECT_EQ(from_client(9, peer4), 0);
	authorized(9, false);
	REQUIRE(conn_of(9));
	EXPECT(!conn_of(9)->peer.is_controlling);
	EXPECT_EQ(from_client(9, peer4), 1);
	EXPECT_EQ(from_client(9, peer6), 1);
	EXPECT_EQ(from_client(9, "100.64.3.10"), 0); /* not its own */
	EXPECT_EQ(from_client(9, "10.0.0.1"), 0);
	send_to(peer4);
	EXPECT_EQ(sent_to(9), 1);
	stop();
}

TEST(candidates_between_clients_go_both_ways)
{
	start(NULL, 0);
	authorized(9, false);
	REQUIRE(conn_of(9));
	candidate(MSG_CLIENT_ICE_CANDIDATES, 9);
	EXPECT_EQ(conn_of(9)->n_candidates, 1);
	candidate(MSG_CLIENT_ICE_INVALIDATED, 9);
	EXPECT_EQ(conn_of(9)->n_candidates, 0);
	candidate(MSG_CLIENT_ICE_CANDIDATES, 10); /* nobody */
	struct uuid id = uuid_of(9);
	fake_candidates(fake, NODE_CANDIDATES_ADDED, &id, "candidate:2");
	fake_candidates(fake, NODE_CANDIDATES_REMOVED, &id, "candidate:2");
	struct wishes w = wishes();
	EXPECT_EQ(w.candidates, 1);
	EXPECT_EQ(w.invalidated, 1);
	EXPECT(uuid_eq(&w.candidates_for, &id));
	stop();
}

TEST(a_refusal_drops_what_waits_and_the_next_packet_asks_at_once)
{
	start(NULL, 0);
	send_to(peer4);
	EXPECT_EQ(wishes().requests, 1);
	denied(peer4, MSG_REASON_OFFLINE);
	EXPECT_EQ(client_stats(c)->dropped[DROP_PENDING_LOST], 1);
	send_to(peer4);
	EXPECT_EQ(wishes().requests, 1);
	denied("100.64.3.200", MSG_REASON_FORBIDDEN); /* nothing of ours */
	stop();
}

TEST(a_refusal_closes_the_connection_with_a_goodbye)
{
	start(NULL, 0);
	authorized(9, true);
	denied(peer4, MSG_REASON_FORBIDDEN);
	EXPECT_EQ(fake->n_closed, 1);
	EXPECT(!conn_of(9));
	send_to(peer4);
	EXPECT_EQ(wishes().requests, 1);
	stop();
}

TEST(goodbye_or_failure_of_a_client_forgets_it)
{
	u8 bye[64];
	struct uuid id = uuid_of(9);

	start(NULL, 0);
	authorized(9, false);
	EXPECT_EQ(from_gateway(9, bye, fake_goodbye(bye), 0, NULL), 0);
	EXPECT_EQ(fake->n_forgotten, 1);
	EXPECT_EQ(fake->n_closed, 0);
	send_to(peer4);
	EXPECT_EQ(wishes().requests, 1);
	authorized(9, true);
	fake_event(fake, NODE_CONN_FAILED, &id);
	conn_of(9)->is_used = false;
	EXPECT_EQ(wishes().requests, 0);
	EXPECT_EQ(from_client(9, peer4), 0);
	send_to(peer4);
	EXPECT_EQ(wishes().requests, 1);
	stop();
}

TEST(a_connection_found_gone_while_sending_is_asked_for)
{
	start(NULL, 0);
	authorized(9, true);
	conn_of(9)->is_used = false;
	send_to(peer4);
	EXPECT_EQ(wishes().requests, 1);
	authorized(9, true);
	EXPECT_EQ(sent_to(9), 1);
	stop();
}

TEST(without_a_relay_an_authorization_is_held_with_its_candidates)
{
	start(NULL, 0);
	fake->has_relay = false;
	send_to(peer4);
	EXPECT_EQ(wishes().requests, 1);
	authorized(9, true);
	EXPECT(!conn_of(9));
	EXPECT_EQ(wishes().no_relays, 1);
	candidate(MSG_CLIENT_ICE_CANDIDATES, 9);
	advance(SEC(2));
	send_to(peer4); /* answered already: no second request */
	EXPECT_EQ(wishes().requests, 0);
	fake->has_relay = true;
	client_timeout(c, now, WALL);
	REQUIRE(conn_of(9));
	EXPECT_EQ(conn_of(9)->n_candidates, 1);
	EXPECT_EQ(sent_to(9), 2);

	fake->has_relay = false;
	authorized_as(10, false, "100.64.3.10", "fd00:2021:1111::3:a");
	advance(SEC(9)); /* too late now */
	fake->has_relay = true;
	client_timeout(c, now, WALL);
	EXPECT(!conn_of(10));
	stop();
}

TEST(what_waits_is_forgotten_thirty_seconds_after_the_last_packet)
{
	start(NULL, 0);
	send_to(peer4);
	advance(SEC(29));
	EXPECT_EQ(client_stats(c)->dropped[DROP_PENDING_LOST], 0);
	advance(SEC(2));
	EXPECT_EQ(client_stats(c)->dropped[DROP_PENDING_LOST], 1);
	EXPECT_EQ(client_next_timeout(c), TIME_NEVER);
	stop();
}

TEST(a_repeated_authorization_keeps_the_peer_and_another_one_takes_its_address_over)
{
	start(NULL, 0);
	authorized(9, true);
	authorized(9, true);
	EXPECT_EQ(fake->n_upserts, 2);
	EXPECT_EQ(fake->n_closed, 0);
	authorized(10, true); /* the same addresses: the device was deleted and made anew */
	EXPECT_EQ(fake->n_closed, 1);
	EXPECT(!conn_of(9));
	send_to(peer4);
	EXPECT_EQ(sent_to(10), 1);
	EXPECT_EQ(sent_to(9), 0);
	stop();
}

TEST(impossible_addresses_of_a_client_are_refused)
{
	start(NULL, 0);
	authorized_as(9, true, own4, peer6);
	authorized_as(9, true, peer4, own6);
	authorized_as(9, true, "10.0.0.1", peer6);
	authorized_as(9, true, peer4, "2001:db8::1");
	EXPECT_EQ(fake->n_upserts, 0);
	stop();
}

TEST(reset_drops_client_peers_and_asks_anew_for_what_waits)
{
	start(NULL, 0);
	authorized(9, true);
	send_to("100.64.3.10");
	EXPECT_EQ(wishes().requests, 1);
	client_reset(c, now);
	EXPECT_EQ(from_client(9, peer4), 0);
	fake->has_relay = true;
	init(NULL, 0);
	EXPECT_EQ(wishes().requests, 1);
	client_shutdown(c, now);
	stop();
}
