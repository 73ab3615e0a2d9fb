/* Both ends of the portal connection against each other in virtual time: the upgrade the channel writes is the one the portal reads, and
 * whatever one end says the other hears, however the bytes are cut. */
#include "core/http/http.h"
#include "core/phoenix/channel.h"
#include "core/phoenix/server.h"
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct pair {
	struct rng_seeded rng;
	enum msg_role role;
	struct channel *c;
	struct http_parser *parser;
	struct phx_upgrade upgrade;
	struct phx_socket *s;
	u64 now;
	size_t step; /* longest piece of a transfer; 0 = seeded, 1..40 */
	u32 connects, joins_asked, joined, hiccups, fatals, gone, leaves;
	char stamp_secret[PHX_PARAM_STRLEN];
	enum msg_type to_peer[64], to_portal[64];
	u32 n_to_peer, n_to_portal;
	struct phx_ref last_ref;
	int gone_err;
} p;

static size_t piece(size_t n)
{
	return MIN(n, p.step ? p.step : 1 + (size_t)rng_below(&p.rng.rng, 40));
}

static void drain(void)
{
	struct channel_event e;
	struct phx_event pe;

	while (channel_poll_event(p.c, &e)) {
		p.connects += e.type == CHANNEL_CONNECT;
		p.joined += e.type == CHANNEL_JOINED;
		p.hiccups += e.type == CHANNEL_HICCUP;
		p.fatals += e.type == CHANNEL_FATAL;
		if (e.type == CHANNEL_MESSAGE) {
			if (EXPECT(p.n_to_peer < ARRAY_LEN(p.to_peer)))
				p.to_peer[p.n_to_peer++] = e.message.type;
			msg_free(&e.message);
		}
	}
	while (p.s && phx_socket_poll(p.s, &pe)) {
		switch (pe.type) {
		case PHX_JOIN:
			p.joins_asked++;
			snprintf(p.stamp_secret, sizeof(p.stamp_secret), "%s", pe.stamp_secret);
			break;
		case PHX_MESSAGE:
			if (EXPECT(p.n_to_portal < ARRAY_LEN(p.to_portal)))
				p.to_portal[p.n_to_portal++] = pe.message.type;
			p.last_ref = pe.ref;
			msg_free(&pe.message);
			break;
		case PHX_LEAVE:
			p.leaves++;
			break;
		case PHX_GONE:
			p.gone++;
			p.gone_err = pe.err;
			break;
		}
	}
}

static bool from_peer(void)
{
	struct span out = channel_output(p.c);
	size_t n = piece(out.n);

	if (n == 0)
		return false;
	phx_socket_input(p.s, p.now, SPAN(out.p, n));
	channel_output_done(p.c, p.now, n);
	return true;
}

static bool from_portal(void)
{
	struct span out = phx_socket_output(p.s);
	size_t n = piece(out.n);

	if (n == 0)
		return false;
	channel_input(p.c, p.now, 0, SPAN(out.p, n));
	phx_socket_output_done(p.s, n);
	return true;
}

static void settle(void)
{
	bool moved;

	do {
		moved = from_peer();
		moved |= from_portal();
		drain();
	} while (moved);
}

/* Upgrades; the request is judged as the portal would. */
static int begin(enum msg_role role, size_t step)
{
	static const u8 key[32] = { 1, 2, 3 };
	struct channel_config cfg = { .role = role, .api_url = "wss://portal.example/", .token = "tok", .user_agent = "Debian/12.0.0 headless-client/1.5.8 (x86_64; 6.1.0)",
				      .stamp_secret = "5ef3", .max_partition = SEC(86400), .rng = &p.rng.rng };
	const char *why, *detail;
	u8 response[1000];
	size_t used;
	struct span body;

	memset(&p, 0, sizeof(p));
	rng_seeded_init(&p.rng, 5);
	p.role = role;
	p.now = SEC(100);
	p.step = step;
	cfg.params[0] = (struct channel_param){ role == MSG_ROLE_RELAY ? "ipv4" : "external_id", role == MSG_ROLE_RELAY ? "192.0.2.1" : "id \xc3\xa9+&=" };
	cfg.params[1] = (struct channel_param){ role == MSG_ROLE_RELAY ? "port" : "name", role == MSG_ROLE_RELAY ? "3479" : "a name" };
	cfg.n_params = 2;
	EXPECT_EQ(channel_new(&cfg, &p.c, &why), 0);
	channel_start(p.c, p.now, role == MSG_ROLE_RELAY ? NULL : key);
	channel_opened(p.c, p.now);
	p.parser = http_parser_new(HTTP_REQUEST, 0);
	struct span request = channel_output(p.c);
	if (!EXPECT_EQ(http_parser_input(p.parser, request, &used, &body), HTTP_HEAD))
		return -1;
	channel_output_done(p.c, p.now, request.n);
	int status = phx_upgrade_read(http_parser_head(p.parser), &p.upgrade, &detail);
	if (status)
		return status;
	struct wr w = wr_init(response, sizeof(response));
	phx_upgrade_accept(&w, &p.upgrade);
	p.s = phx_socket_new(p.upgrade.role, p.upgrade.version, &p.rng.rng, p.now);
	for (size_t at = 0; at < wr_len(&w); at += 7)
		channel_input(p.c, p.now, 0, SPAN(response + at, MIN((size_t)7, wr_len(&w) - at)));
	settle();
	return 0;
}

static void join(void)
{
	EXPECT_EQ(p.joins_asked, 1);
	phx_join_ok(p.s);
	settle();
	EXPECT_EQ(channel_state(p.c), CHANNEL_UP);
}

static void end(void)
{
	channel_free(p.c);
	phx_socket_free(p.s);
	http_parser_free(p.parser);
}

TEST(spec10_8_the_channels_request_satisfies_the_portal)
{
	char detail[300];

	EXPECT_EQ(begin(MSG_ROLE_CLIENT, 0), 0);
	EXPECT_STR(p.upgrade.token, "tok");
	EXPECT_STR(p.upgrade.external_id, "id \xc3\xa9+&=");
	EXPECT_STR(p.upgrade.name, "a name");
	EXPECT_EQ(strlen(p.upgrade.public_key), 44);
	EXPECT(p.upgrade.peer.is_known && p.upgrade.peer.minor == 5);
	EXPECT_EQ(phx_upgrade_check(&p.upgrade, detail, sizeof(detail)), 0);
	EXPECT_EQ(channel_state(p.c), CHANNEL_JOINING);
	end();
	EXPECT_EQ(begin(MSG_ROLE_RELAY, 0), 0);
	EXPECT_STR(p.upgrade.ipv4, "192.0.2.1");
	EXPECT_STR(p.upgrade.port, "3479");
	EXPECT_STR(p.stamp_secret, "5ef3");
	join();
	end();
}

TEST(spec10_17_both_ends_join_and_talk_however_the_bytes_are_cut)
{
	for (size_t step = 0; step < 30; step = step * 2 + 1) {
		struct portal_message init = { .type = MSG_INIT_GATEWAY }, authorized = { .type = MSG_FLOW_AUTHORIZED, .flow_authorized = { "ref-1" } },
				      none = { .type = MSG_NO_RELAYS };
		EXPECT_EQ(begin(MSG_ROLE_GATEWAY, step), 0);
		EXPECT_EQ(channel_send(p.c, p.now, &none), 0); /* before the join: it waits */
		settle();
		EXPECT_EQ(p.n_to_portal, 0);
		init.init_gateway.interface.ipv4 = ip4(100, 64, 0, 1);
		init.init_gateway.interface.ipv6 = (struct ip){ { 0xfd }, 6 };
		EXPECT_EQ(phx_push(p.s, p.now, &init), ERR_STATE);
		phx_join_ok(p.s);
		EXPECT_EQ(phx_push(p.s, p.now, &init), 0);
		settle();
		EXPECT(p.joined == 1 && p.n_to_peer == 1 && p.to_peer[0] == MSG_INIT_GATEWAY);
		EXPECT(p.n_to_portal == 1 && p.to_portal[0] == MSG_NO_RELAYS);
		EXPECT_EQ(channel_send(p.c, p.now, &authorized), 0);
		settle();
		EXPECT(p.n_to_portal == 2 && p.to_portal[1] == MSG_FLOW_AUTHORIZED && p.last_ref.number == 2);
		phx_ok(p.s, &p.last_ref);
		phx_error(p.s, &p.last_ref, "invalid_ref");
		settle();
		EXPECT(p.hiccups == 0 && p.gone == 0);
		end();
	}
}

TEST(spec10_18_heartbeats_keep_both_ends_content_for_a_day)
{
	EXPECT_EQ(begin(MSG_ROLE_RELAY, 999), 0);
	join();
	for (u64 stop = p.now + SEC(86400); p.now < stop && p.hiccups + p.gone == 0;) {
		u64 next = time_min(channel_next_timeout(p.c), phx_socket_next_timeout(p.s));
		if (!EXPECT(next > p.now))
			break;
		p.now = next;
		channel_timeout(p.c, p.now);
		phx_socket_timeout(p.s, p.now);
		settle();
	}
	EXPECT(p.hiccups == 0 && p.gone == 0);
	end();
}

TEST(spec10_13_the_portal_drops_a_silent_peer)
{
	EXPECT_EQ(begin(MSG_ROLE_CLIENT, 999), 0);
	join();
	u64 last = p.now;
	p.now = last + SEC(37) - 1; /* the peer is stopped: its timers do not run */
	phx_socket_timeout(p.s, p.now);
	drain();
	EXPECT_EQ(p.gone, 0);
	p.now = last + SEC(37);
	phx_socket_timeout(p.s, p.now);
	drain();
	EXPECT(p.gone == 1 && p.gone_err == ERR_TIMEOUT);
	while (from_portal())
		;
	drain();
	EXPECT_EQ(channel_state(p.c), CHANNEL_FLUSHING); /* the Close arrived and is being answered */
	end();
}

TEST(spec10_36_an_evicted_peer_is_told_and_stays_away)
{
	EXPECT_EQ(begin(MSG_ROLE_CLIENT, 0), 0);
	join();
	phx_end(p.s, p.now, "token_expired", 1000);
	settle();
	EXPECT(p.fatals == 1 && p.connects == 1);
	EXPECT_EQ(channel_state(p.c), CHANNEL_CLOSED);
	end();
}

TEST(spec10_39_a_deleted_device_is_only_closed_and_comes_back)
{
	EXPECT_EQ(begin(MSG_ROLE_CLIENT, 0), 0);
	join();
	phx_end(p.s, p.now, NULL, 1000);
	settle();
	EXPECT(p.fatals == 0 && p.hiccups == 1);
	p.now = channel_next_timeout(p.c);
	channel_timeout(p.c, p.now);
	drain();
	EXPECT_EQ(p.connects, 2);
	end();
}

TEST(spec10_22_a_portal_going_down_closes_with_1012_and_the_peer_answers)
{
	EXPECT_EQ(begin(MSG_ROLE_GATEWAY, 0), 0);
	join();
	phx_restart(p.s, p.now);
	settle();
	EXPECT(p.hiccups == 1 && p.gone == 1 && p.gone_err == ERR_CLOSED);
	end();
}

TEST(spec10_20_a_refused_join_ends_the_peer)
{
	EXPECT_EQ(begin(MSG_ROLE_GATEWAY, 0), 0);
	phx_join_refuse(p.s, "disabled");
	settle();
	EXPECT(p.fatals == 1 && p.joined == 0);
	end();
}

/* --- upgrade requests the channel would not write ------------------------------------------------------------------------------------------ */

#define KEY44 "nCo2pSX8wJmBV0XMtiUvJlU2fD2xRlB6EktYsfo3yA0%3D"
#define WS "Host: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

static int judge(const char *method_and_target, const char *fields, struct phx_upgrade *u, char *detail, size_t cap)
{
	struct http_parser *parser = http_parser_new(HTTP_REQUEST, 0);
	char text[3000];
	const char *d = NULL;
	struct span body;
	size_t used;
	int status = -1;

	snprintf(text, sizeof(text), "%s HTTP/1.1\r\n%s\r\n", method_and_target, fields);
	if (EXPECT_EQ(http_parser_input(parser, SPAN(text, strlen(text)), &used, &body), HTTP_HEAD)) {
		status = phx_upgrade_read(http_parser_head(parser), u, &d);
		snprintf(detail, cap, "%s", d ? d : "");
		if (status == 0)
			status = phx_upgrade_check(u, detail, cap);
	}
	http_parser_free(parser);
	return status;
}

TEST(spec10_9_token_comes_from_the_header_first_then_from_the_query)
{
	static const struct { const char *fields, *want; } t[] = { { WS "X-Authorization: Bearer header\r\n", "header" }, { WS, "query" },
		{ WS "X-Authorization: bearer header\r\n", "query" }, { WS "X-Authorization: Basic x\r\n", "query" } };
	struct phx_upgrade u;
	char detail[300];

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		EXPECT_EQ(judge("GET /relay/websocket?ipv4=192.0.2.1&token=query", t[i].fields, &u, detail, sizeof(detail)), 0);
		EXPECT_STR(u.token, t[i].want);
	}
	EXPECT_EQ(judge("GET /relay/websocket?ipv4=192.0.2.1", WS, &u, detail, sizeof(detail)), 0);
	EXPECT_STR(u.token, "");
}

TEST(spec10_1_2_parameters_are_checked)
{
	static const struct { const char *target, *agent; int status; } t[] = {
		{ "GET /client/websocket?external_id=x&public_key=" KEY44, "Debian/12 headless-client/1.5.8", 0 },
		{ "GET /client/v2/websocket?external_id=x&public_key=" KEY44, "Debian/12 gui-client/1.5.8", 0 },
		{ "GET /gateway/websocket?external_id=x&public_key=" KEY44, "whatever", 0 },
		{ "GET /client/websocket?external_id=x&public_key=" KEY44, "Mozilla/5.0", 400 },
		{ "GET /client/websocket?public_key=" KEY44, "headless-client/1.5.8", 400 },
		{ "GET /client/websocket?external_id=+&public_key=" KEY44, "headless-client/1.5.8", 400 },
		{ "GET /client/websocket?external_id=x", "headless-client/1.5.8", 400 },
		{ "GET /client/websocket?external_id=x&public_key=short", "headless-client/1.5.8", 400 },
		{ "GET /client/websocket?external_id=%zz&public_key=" KEY44, "headless-client/1.5.8", 400 },
		{ "GET /client/websocket?vsn=1.0.0&external_id=x&public_key=" KEY44, "headless-client/1.5.8", 0 },
		{ "GET /client/websocket?vsn=2.0.0&external_id=x&public_key=" KEY44, "headless-client/1.5.8", 403 },
		{ "GET /relay/websocket?ipv6=2001:db8::1", "x", 0 },
		{ "GET /relay/websocket?port=1", "x", 400 },
		{ "GET /relay/v2/websocket?ipv4=192.0.2.1", "x", 404 },
		{ "GET /elsewhere", "x", 404 },
		{ "POST /relay/websocket?ipv4=192.0.2.1", "x", 400 },
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct phx_upgrade u;
		char fields[500], detail[300];
		snprintf(fields, sizeof(fields), WS "User-Agent: %s\r\n", t[i].agent);
		int status = judge(t[i].target, fields, &u, detail, sizeof(detail));
		if (status != t[i].status)
			test_fail(__FILE__, __LINE__, "%s: %d (%s) instead of %d", t[i].target, status, detail, t[i].status);
	}
}

TEST(spec10_35_refusals_are_problem_json)
{
	char buf[600];
	struct wr w = wr_init(buf, sizeof(buf));

	phx_problem(&w, 503, "rate_limit", "Too many connects", 1);
	wr_u8(&w, 0);
	EXPECT(strncmp(buf, "HTTP/1.1 503 Service Unavailable\r\n", 34) == 0);
	EXPECT(strstr(buf, "Content-Type: application/problem+json; charset=utf-8\r\n") && strstr(buf, "Retry-After: 1\r\n"));
	EXPECT(strstr(buf, "\r\n\r\n{\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,\"detail\":\"Too many connects\",\"code\":\"rate_limit\"}"));
}

TEST(spec10_7_versions_are_found_in_user_agents)
{
	static const struct { const char *agent, *text; bool is_known; } t[] = {
		{ "Debian/12.0.0 headless-client/1.5.8 (x86_64; 6.1)", "1.5.8", true }, { "Alpine Linux/3.20.0 gateway/1.5.2", "1.5.2", true },
		{ "gateway/1.6.0-rc.1", "1.6.0-rc.1", true }, { "x relay/0.1.0 gateway/9.9.9", "0.1.0", true }, { "connlib/latest", "latest", false },
		{ "gateway/", "", false }, { "mygateway/1.2.3", "", false }, { "", "", false } };

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct phx_version v;
		phx_parse_user_agent(t[i].agent, &v);
		EXPECT_STR(v.text, t[i].text);
		EXPECT_EQ(v.is_known, t[i].is_known);
	}
}
