/* The upgrade request as the portal reads it, and its answers (spec 10 §1.2–§1.4, §4.1). */
#include "core/http/http.h"
#include "core/phoenix/server.h"
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UPGRADE "Host: portal\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define KEY "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8%3D"

static struct phx_upgrade u;
static const char *detail;

/* The status that phx_upgrade_read() answers; u and detail are filled. */
static int read_request(const char *target, const char *fields)
{
	struct http_parser *p = http_parser_new(HTTP_REQUEST, 0);
	struct span body;
	size_t used;
	char *text = NULL;
	int n = asprintf(&text, "GET %s HTTP/1.1\r\n%s\r\n", target, fields), rc = -1;

	if (EXPECT_EQ(http_parser_input(p, SPAN(text, (size_t)n), &used, &body), HTTP_HEAD))
		rc = phx_upgrade_read(http_parser_head(p), &u, &detail);
	free(text);
	http_parser_free(p);
	return rc;
}

static int check(const char *target, const char *fields)
{
	static char text[512];

	if (!EXPECT_EQ(read_request(target, fields), 0))
		return -1;
	detail = text;
	return phx_upgrade_check(&u, text, sizeof(text));
}

TEST(spec10_9_the_token_comes_from_the_header_then_from_the_query)
{
	EXPECT_EQ(read_request("/client/websocket?token=.query", UPGRADE "X-Authorization: Bearer .header\r\n"), 0);
	EXPECT_STR(u.token, ".header");
	EXPECT_EQ(read_request("/client/websocket?token=.query", UPGRADE), 0);
	EXPECT_STR(u.token, ".query");
	EXPECT_EQ(read_request("/client/websocket?token=.query", UPGRADE "X-Authorization: bearer .header\r\n"), 0);
	EXPECT_STR(u.token, ".query"); /* the prefix is case-sensitive */
	EXPECT_EQ(read_request("/client/websocket", UPGRADE), 0);
	EXPECT_STR(u.token, "");
}

TEST(spec60_30_header_before_query)
{
	EXPECT_EQ(read_request("/gateway/websocket?token=.query", UPGRADE "x-authorization: Bearer .header\r\n"), 0);
	EXPECT_STR(u.token, ".header");
}

TEST(paths_choose_role_and_version)
{
	static const struct {
		const char *path;
		int status;
		enum msg_role role;
		enum msg_version version;
	} cases[] = {
		{ "/client/websocket", 0, MSG_ROLE_CLIENT, MSG_V1 },	{ "/client/v2/websocket", 0, MSG_ROLE_CLIENT, MSG_V2 },
		{ "/gateway/websocket?x=1", 0, MSG_ROLE_GATEWAY, MSG_V1 }, { "/gateway/v2/websocket", 0, MSG_ROLE_GATEWAY, MSG_V2 },
		{ "/relay/websocket", 0, MSG_ROLE_RELAY, MSG_V1 },	{ "/relay/v2/websocket", 404, 0, 0 },
		{ "/client/websocket/", 404, 0, 0 },			{ "/", 404, 0, 0 },
		{ "/client/websocket?vsn=2.0.0", 403, 0, 0 },		{ "/client/websocket?vsn=1.0.0", 0, MSG_ROLE_CLIENT, MSG_V1 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		EXPECT_EQ(read_request(cases[i].path, UPGRADE), cases[i].status);
		if (cases[i].status == 0)
			EXPECT(u.role == cases[i].role && u.version == cases[i].version);
	}
	EXPECT(phx_is_socket_path(SPAN_STR("/client/websocket?a")) && !phx_is_socket_path(SPAN_STR("/client/websockets")));
	EXPECT_EQ(read_request("/client/websocket", "Host: x\r\n"), 400);
}

TEST(spec60_32_public_keys_are_44_characters_of_base64)
{
	EXPECT_EQ(check("/client/websocket?external_id=x&public_key=" KEY, UPGRADE "User-Agent: x headless-client/1.5.8\r\n"), 0);
	EXPECT_EQ(check("/client/websocket?external_id=x&public_key=abc", UPGRADE "User-Agent: x headless-client/1.5.8\r\n"), 400);
	EXPECT(strstr(detail, "public_key") != NULL);
	EXPECT_EQ(check("/client/websocket?external_id=x&public_key=!!ECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8%3D",
			UPGRADE "User-Agent: x headless-client/1.5.8\r\n"),
		  400);
	EXPECT_EQ(check("/client/websocket?external_id=x", UPGRADE "User-Agent: x headless-client/1.5.8\r\n"), 400);
}

TEST(every_bad_parameter_is_named)
{
	char target[700], name[300];

	EXPECT_EQ(check("/client/websocket?external_id=%20&public_key=x", UPGRADE "User-Agent: curl/8\r\n"), 400);
	EXPECT_STR(detail, "external_id can't be blank; public_key should be 44 character(s); user_agent is invalid");
	memset(name, 'n', 256);
	name[256] = '\0';
	snprintf(target, sizeof(target), "/client/websocket?name=%s", name);
	EXPECT_EQ(read_request(target, UPGRADE), 400);
	EXPECT_STR(detail, "name should be at most 255 character(s)");
	EXPECT_EQ(read_request("/client/websocket?name=%zz", UPGRADE), 400);
	EXPECT_EQ(check("/relay/websocket?port=3478", UPGRADE), 400);
	EXPECT_EQ(check("/relay/websocket?ipv6=2001%3Adb8%3A%3A1", UPGRADE), 0);
	EXPECT_STR(u.port, "3478");
	EXPECT_EQ(check("/gateway/websocket?external_id=x&public_key=" KEY, UPGRADE "User-Agent: curl/8\r\n"), 0);
}

TEST(user_agents_tell_component_and_version)
{
	static const struct {
		const char *ua, *text;
		bool is_known;
	} cases[] = {
		{ "Debian/12.0.0 headless-client/1.5.8 (x86_64; 6.1)", "1.5.8", true },
		{ "Mac OS/15.1.0 apple-client/1.5.10", "1.5.10", true },
		{ "Alpine Linux/3.2 gateway/1.5.2-pre", "1.5.2-pre", true },
		{ "gateway/ connlib/1.2", "1.2", false },
		{ "curl/8.0", "", false },
		{ "", "", false },
	};
	struct phx_version v;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		phx_parse_user_agent(cases[i].ua, &v);
		EXPECT_STR(v.text, cases[i].text);
		EXPECT_EQ(v.is_known, cases[i].is_known);
	}
}

TEST(over_long_user_agents_are_cut_between_characters)
{
	char fields[1000] = UPGRADE "User-Agent: ";
	size_t n = strlen(fields);

	for (int i = 0; i < 150; i++, n += 2)
		memcpy(fields + n, "\xc3\xbc", 3);
	memcpy(fields + n, "\r\n", 3);
	EXPECT_EQ(read_request("/client/websocket", fields), 0);
	EXPECT_EQ(strlen(u.user_agent), 254);
}

TEST(answers_on_the_wire)
{
	char buf[1024];
	struct wr w = wr_init(buf, sizeof(buf) - 1);

	EXPECT_EQ(read_request("/client/websocket", UPGRADE), 0);
	u.ws_key = SPAN_STR("dGhlIHNhbXBsZSBub25jZQ==");
	phx_upgrade_accept(&w, &u);
	buf[wr_len(&w)] = '\0';
	EXPECT(strstr(buf, "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n") != NULL);
	EXPECT(strstr(buf, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n") != NULL);
	EXPECT(!strstr(buf, "Protocol:") && !strstr(buf, "Extensions"));
	w = wr_init(buf, sizeof(buf) - 1);
	phx_problem(&w, 503, "rate_limit", "Rate limit exceeded", 1);
	buf[wr_len(&w)] = '\0';
	EXPECT(strstr(buf, "HTTP/1.1 503 Service Unavailable\r\n") == buf);
	EXPECT(strstr(buf, "Retry-After: 1\r\n") && strstr(buf, "Content-Type: application/problem+json; charset=utf-8\r\n"));
	EXPECT(strstr(buf, "{\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,\"detail\":\"Rate limit exceeded\","
			   "\"code\":\"rate_limit\"}") != NULL);
}
