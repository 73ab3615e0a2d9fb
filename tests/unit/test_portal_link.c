/* The portal link over loopback: real loop, real sockets, real TLS, against the portal's own socket end. */
#include "applets/common/portal_link.h"
#include "tests/unit/mini_portal.h"
#include "tests/unit/test.h"
#include "tests/unit/tls_certs.h"

#include <stdio.h>

static struct fixture {
	struct loop *loop;
	struct mini_portal portal;
	struct tls_identity *identity;
	struct link *link;
	char ca_path[64];
	u32 connected, disconnected, messages, fatal, closed;
	enum msg_type last_message;
	enum channel_fatal why;
	char text[200];
	u64 retry_at, started;
} f;

static void on_connected(void *ctx)
{
	(void)ctx;
	f.connected++;
}

static void on_disconnected(void *ctx, int err, const char *text, u64 retry_at)
{
	(void)ctx;
	(void)err;
	f.disconnected++;
	f.retry_at = retry_at;
	snprintf(f.text, sizeof(f.text), "%s", text);
}

static void on_message(void *ctx, const struct portal_message *m)
{
	(void)ctx;
	f.messages++;
	f.last_message = m->type;
}

static void on_fatal(void *ctx, enum channel_fatal why, const char *text)
{
	(void)ctx;
	f.fatal++;
	f.why = why;
	snprintf(f.text, sizeof(f.text), "%s", text);
}

static void on_closed(void *ctx)
{
	(void)ctx;
	f.closed++;
}

static void run_ms(u64 ms, const u32 *until_changes)
{
	u64 end = sys_now() + MSEC(ms);
	u32 before = until_changes ? *until_changes : 0;

	while (sys_now() < end && (!until_changes || *until_changes == before))
		loop_turn(f.loop, end);
}

static bool begin(const char *scheme, const char *host, const char *chain, const char *key, const char *ca)
{
	static const u8 public_key[32] = { 5 };
	struct loop_clock clock = { sys_clock_now, sys_clock_wall, NULL };
	char url[100], why[300] = "";

	memset(&f, 0, sizeof(f));
	f.loop = loop_new(&clock);
	if (chain && !EXPECT_EQ(tls_identity_new(SPAN(chain, strlen(chain)), SPAN(key, strlen(key)), &f.identity), 0))
		return false;
	if (!EXPECT_EQ(mini_portal_start(&f.portal, f.loop, f.identity, 0), 0))
		return false;
	snprintf(f.ca_path, sizeof(f.ca_path), "/tmp/emberbox-test-ca-%d", (int)getpid());
	FILE *ca_file = fopen(f.ca_path, "w");
	if (!EXPECT(ca_file != NULL))
		return false;
	fputs(ca, ca_file);
	fclose(ca_file);
	snprintf(url, sizeof(url), "%s://%s:%u/", scheme, host, f.portal.local.port);
	struct link_config cfg = { .ca_file = f.ca_path, .rng = sys_rng(),
				   .cb = { on_connected, on_disconnected, on_message, on_fatal, on_closed } };
	cfg.channel = (struct channel_config){ .role = MSG_ROLE_GATEWAY, .api_url = url, .token = "t", .user_agent = "Debian/12 gateway/1.5.2",
					       .params = { { "external_id", "x" }, { "name", "n" } }, .n_params = 2, .max_partition = TIME_NEVER, .rng = sys_rng() };
	f.link = link_new(f.loop, &cfg, why, sizeof(why));
	if (!f.link) {
		test_fail(__FILE__, __LINE__, "%s", why);
		return false;
	}
	f.started = sys_now();
	link_start(f.link, public_key);
	EXPECT(f.connected == 0 && f.disconnected == 0); /* no callback from inside a call */
	return true;
}

static void end(void)
{
	link_free(f.link);
	mini_portal_stop(&f.portal);
	loop_free(f.loop);
	tls_identity_free(f.identity);
	unlink(f.ca_path);
}

static void join_talk_and_close(void)
{
	struct portal_message m = { .type = MSG_FLOW_AUTHORIZED, .flow_authorized = { "r" } };

	run_ms(20000, &f.messages);
	EXPECT(f.connected == 1 && link_is_joined(f.link));
	EXPECT_EQ(f.last_message, MSG_INIT_GATEWAY);
	EXPECT_EQ(link_send(f.link, &m), 0);
	run_ms(20000, &f.portal.messages);
	EXPECT_EQ(f.portal.last_message, MSG_FLOW_AUTHORIZED);
	link_close(f.link);
	EXPECT_EQ(f.closed, 0);
	run_ms(20000, &f.closed);
	EXPECT_EQ(f.closed, 1);
	for (u64 until = sys_now() + SEC(20); f.portal.gone == 0 && sys_now() < until;)
		loop_turn(f.loop, until);
	EXPECT_EQ(f.portal.gone, 1);
	EXPECT(f.disconnected == 0 && f.fatal == 0);
}

TEST(link_joins_talks_and_closes_in_plaintext)
{
	if (begin("ws", "127.0.0.1", NULL, NULL, ca_pem))
		join_talk_and_close();
	end();
}

TEST(link_joins_talks_and_closes_over_tls)
{
	if (begin("wss", "127.0.0.1", ec_pem, ec_key, ca_pem))
		join_talk_and_close();
	end();
}

TEST(link_finds_names_in_the_hosts_file)
{
	if (begin("ws", "localhost", NULL, NULL, ca_pem)) {
		run_ms(20000, &f.messages);
		EXPECT_EQ(f.connected, 1);
	}
	end();
}

TEST(spec10_4_4_certificate_errors_are_retried_and_say_why)
{
	if (begin("wss", "127.0.0.1", self_pem, self_key, ca_pem)) {
		run_ms(20000, &f.disconnected);
		EXPECT(strstr(f.text, "self-signed") != NULL);
		EXPECT_EQ(f.fatal, 0);
		run_ms(20000, &f.portal.accepted);
		EXPECT_EQ(f.portal.accepted, 2);
	}
	end();
}

TEST(spec10_27_link_reports_a_refused_token_as_fatal)
{
	if (begin("wss", "127.0.0.1", ec_pem, ec_key, ca_pem)) {
		f.portal.refuse_status = 401;
		run_ms(20000, &f.fatal);
		EXPECT_EQ(f.why, CHANNEL_INVALID_TOKEN);
		EXPECT_STR(f.text, "the portal answered 401 Unauthorized: refused by the test");
	}
	end();
}

TEST(spec10_10_link_tries_again_when_the_portal_comes_back)
{
	if (begin("ws", "127.0.0.1", NULL, NULL, ca_pem)) {
		run_ms(20000, &f.messages);
		u16 port = f.portal.local.port;
		mini_portal_stop(&f.portal);
		run_ms(20000, &f.disconnected);
		EXPECT_EQ(f.disconnected, 1);
		EXPECT(!link_is_joined(f.link));
		run_ms(20000, &f.disconnected);
		EXPECT(strstr(f.text, "refused") != NULL);
		struct mini_portal fresh = { 0 };
		f.portal = fresh;
		if (EXPECT_EQ(mini_portal_start(&f.portal, f.loop, NULL, port), 0))
			run_ms(20000, &f.connected);
		EXPECT_EQ(f.connected, 2);
	}
	end();
}

TEST(spec10_37_link_reconnect_replaces_socket_and_key)
{
	static const u8 other[32] = { 9 };

	if (begin("wss", "127.0.0.1", ec_pem, ec_key, ca_pem)) {
		run_ms(20000, &f.messages);
		EXPECT_STR(f.portal.upgrade.public_key, "BQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
		link_reconnect(f.link, other);
		run_ms(20000, &f.connected);
		EXPECT(f.connected == 2 && f.disconnected == 0);
		EXPECT_STR(f.portal.upgrade.public_key, "CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
	}
	end();
}

TEST(link_survives_being_freed_in_every_phase)
{
	for (u32 turns = 0; turns < 12; turns++) {
		if (begin("wss", "127.0.0.1", ec_pem, ec_key, ca_pem))
			for (u32 i = 0; i < turns; i++)
				loop_turn(f.loop, sys_now() + MSEC(2));
		end();
	}
}

TEST(link_names_what_is_wrong_with_its_settings)
{
	static const struct { const char *url, *ca, *want; } t[] = {
		{ "ftp://h", NULL, "the portal's URL must begin with wss://, https://, ws:// or http://" },
		{ "wss://h", "/nonexistent/ca.pem", "the trusted certificates in /nonexistent/ca.pem cannot be read: No such file or directory" },
		{ "wss://h", "/dev/null", "/dev/null holds no usable certificate: not found" },
	};
	struct loop_clock clock = { sys_clock_now, sys_clock_wall, NULL };
	struct loop *loop = loop_new(&clock);

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct link_config cfg = { .ca_file = t[i].ca, .rng = sys_rng() };
		char why[300];
		cfg.channel = (struct channel_config){ .role = MSG_ROLE_RELAY, .api_url = t[i].url, .token = "t", .user_agent = "x", .rng = sys_rng() };
		EXPECT(link_new(loop, &cfg, why, sizeof(why)) == NULL);
		EXPECT_STR(why, t[i].want);
	}
	loop_free(loop);
}
