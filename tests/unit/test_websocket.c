/* WebSocket (RFC 6455): both roles against each other, vectors, every violation. */
#include "core/http/http.h"
#include "core/http/websocket.h"
#include "tests/unit/test.h"

#include <stdlib.h>
#include <string.h>

static struct rng_seeded seeded;

static struct ws *make(enum ws_role role, u32 frame, u32 message)
{
	struct ws_limits lim = { frame, message };

	rng_seeded_init(&seeded, 7);
	return ws_new(role, &lim, &seeded.rng);
}

/* Moves what `from` has to say into `to`, `step` bytes at a time; the first event or error. */
static int carry(struct ws *from, struct ws *to, size_t step, struct ws_event *ev)
{
	*ev = (struct ws_event){ 0 };
	while (ws_output(from).n > 0) {
		struct span out = ws_output(from);
		size_t used;
		int rc = ws_input(to, SPAN(out.p, MIN(step, out.n)), &used, ev);
		ws_output_done(from, used);
		if (rc || ev->type != WS_NONE)
			return rc;
	}
	return 0;
}

TEST(websocket_handshake_vector_of_rfc6455)
{
	char accept[WS_ACCEPT_STRLEN];

	ws_accept(SPAN_STR("dGhlIHNhbXBsZSBub25jZQ=="), accept);
	EXPECT_STR(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(websocket_messages_cross_in_both_directions_in_any_pieces)
{
	static const size_t sizes[] = { 0, 1, 125, 126, 127, 65535, 65536, 70000 };
	char *text = malloc(70000);

	memset(text, 'x', 70000);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		for (size_t step = 1; step < 100000; step = step * 7 + 3) {
			struct ws *c = make(WS_CLIENT, 0, 0), *s = make(WS_SERVER, 0, 0);
			struct ws_event ev;
			EXPECT_EQ(ws_send_text(c, SPAN(text, sizes[i])), 0);
			EXPECT_EQ(carry(c, s, step, &ev), 0);
			EXPECT(ev.type == WS_TEXT && ev.data.n == sizes[i] && memcmp(ev.data.p ? (const char *)ev.data.p : "", text, sizes[i]) == 0);
			EXPECT_EQ(ws_send_binary(s, SPAN(text, sizes[i])), 0);
			EXPECT_EQ(carry(s, c, step, &ev), 0);
			EXPECT(ev.type == WS_BINARY && ev.data.n == sizes[i]);
			ws_free(c);
			ws_free(s);
		}
	}
	free(text);
}

TEST(websocket_client_masks_and_server_does_not)
{
	struct ws *c = make(WS_CLIENT, 0, 0), *s = make(WS_SERVER, 0, 0);

	EXPECT_EQ(ws_send_text(c, SPAN_STR("Hello")), 0);
	EXPECT_EQ(ws_send_text(s, SPAN_STR("Hello")), 0);
	EXPECT_MEM(ws_output(s).p, "\x81\x05Hello", 7);
	EXPECT_EQ(ws_output(c).n, 11);
	EXPECT_EQ(ws_output(c).p[1], 0x85);
	EXPECT(memcmp(ws_output(c).p + 6, "Hello", 5) != 0);
	ws_free(c);
	ws_free(s);
}

/* A client fed with raw server bytes. */
static int client_takes(const void *bytes, size_t n, struct ws_event *ev, u16 *close_code)
{
	struct ws *c = make(WS_CLIENT, 1000, 2000), *s = make(WS_SERVER, 0, 0);
	struct ws_event said;
	size_t used = 0, at = 0;
	int rc = 0;

	*ev = (struct ws_event){ 0 };
	while (rc == 0 && ev->type == WS_NONE && at < n) {
		rc = ws_input(c, SPAN((const u8 *)bytes + at, n - at), &used, ev);
		at += used;
	}
	*close_code = 0;
	if (carry(c, s, 999, &said) == 0 && said.type == WS_CLOSE)
		*close_code = said.code;
	ws_free(c);
	ws_free(s);
	return rc;
}

TEST(websocket_violations_draw_the_right_close_code)
{
	static const struct { const char *bytes; size_t n; int rc; u16 code; } t[] = {
		{ "\x83\x00", 2, ERR_MALFORMED, 1002 },                       /* reserved opcode */
		{ "\x8b\x00", 2, ERR_MALFORMED, 1002 },
		{ "\xc1\x00", 2, ERR_MALFORMED, 1002 },                       /* RSV1: we negotiated nothing */
		{ "\x81\x80\0\0\0\0", 6, ERR_MALFORMED, 1002 },               /* masked by a server */
		{ "\x80\x00", 2, ERR_MALFORMED, 1002 },                       /* continuation of nothing */
		{ "\x01\x01x\x81\x01y", 6, ERR_MALFORMED, 1002 },             /* new message inside another */
		{ "\x09\x00", 2, ERR_MALFORMED, 1002 },                       /* fragmented ping */
		{ "\x89\x7e\x00\x7e", 4, ERR_MALFORMED, 1002 },               /* ping of 126 bytes */
		{ "\x81\x7e\x00\x7d", 4, ERR_MALFORMED, 1002 },               /* length not minimal */
		{ "\x81\x7f\0\0\0\0\0\0\xff\xff", 10, ERR_MALFORMED, 1002 },
		{ "\x81\x7f\xff\0\0\0\0\0\0\0", 10, ERR_MALFORMED, 1002 },
		{ "\x81\x7e\x03\xe9", 4, ERR_LIMIT, 1009 },                   /* frame above the limit */
		{ "\x81\x7f\0\0\0\x01\0\0\0\0", 10, ERR_LIMIT, 1009 },
		{ "\x81\x01\xff", 3, ERR_MALFORMED, 1007 },                   /* text that is none */
		{ "\x88\x01\x03", 3, ERR_MALFORMED, 1002 },                   /* close code of one byte */
		{ "\x88\x02\x03\xed", 4, ERR_MALFORMED, 1002 },               /* 1005 on the wire */
		{ "\x88\x02\x00\x00", 4, ERR_MALFORMED, 1002 },
		{ "\x88\x03\x03\xe8\xff", 5, ERR_MALFORMED, 1007 },
	};
	struct ws_event ev;
	u16 code;

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		int rc = client_takes(t[i].bytes, t[i].n, &ev, &code);
		if (rc != t[i].rc || code != t[i].code)
			test_fail(__FILE__, __LINE__, "case %zu: %d and close %u instead of %d and %u", i, rc, code, t[i].rc, t[i].code);
	}
}

TEST(websocket_fragments_are_joined_around_control_frames)
{
	struct ws_event ev;
	struct ws *c = make(WS_CLIENT, 0, 0);
	static const char bytes[] = "\x01\x03" "Hel" "\x89\x01p" "\x00\x00" "\x80\x02" "lo";
	size_t used;

	REQUIRE(ws_input(c, SPAN(bytes, sizeof(bytes) - 1), &used, &ev) == 0);
	EXPECT_EQ(used, sizeof(bytes) - 1);
	EXPECT(ev.type == WS_TEXT && ev.data.n == 5 && memcmp(ev.data.p, "Hello", 5) == 0);
	EXPECT_EQ(ws_output(c).n, 7); /* the pong */
	EXPECT_EQ(ws_output(c).p[0], 0x8a);
	ws_free(c);
}

TEST(websocket_message_limit_counts_all_fragments)
{
	struct ws *c = make(WS_CLIENT, 1000, 1500);
	u8 frame[1004] = { 0x01, 0x7e, 0x03, 0xe8 };
	struct ws_event ev;
	size_t used;

	memset(frame + 4, 'x', 1000);
	REQUIRE(ws_input(c, SPAN(frame, sizeof(frame)), &used, &ev) == 0);
	frame[0] = 0;
	EXPECT_EQ(ws_input(c, SPAN(frame, sizeof(frame)), &used, &ev), ERR_LIMIT);
	EXPECT_EQ(ws_input(c, SPAN(frame, sizeof(frame)), &used, &ev), ERR_CLOSED);
	ws_free(c);
}

TEST(spec10_22_a_received_close_is_answered)
{
	struct ws *c = make(WS_CLIENT, 0, 0), *s = make(WS_SERVER, 0, 0);
	struct ws_event ev;

	EXPECT_EQ(ws_close(s, 1012, "restart"), 0);
	EXPECT_EQ(carry(s, c, 3, &ev), 0);
	EXPECT(ev.type == WS_CLOSE && ev.code == 1012 && ev.data.n == 7);
	EXPECT(ws_is_closed(c) && !ws_is_closed(s) && ws_is_closing(s));
	EXPECT_EQ(carry(c, s, 3, &ev), 0);
	EXPECT(ev.type == WS_CLOSE && ev.code == 1012);
	EXPECT(ws_is_closed(s));
	EXPECT_EQ(ws_send_text(c, SPAN_STR("x")), ERR_CLOSED);
	EXPECT_EQ(ws_close(c, 1000, NULL), ERR_CLOSED);
	ws_free(c);
	ws_free(s);

	c = make(WS_CLIENT, 0, 0), s = make(WS_SERVER, 0, 0);
	EXPECT_EQ(ws_close(s, 1005, NULL), 0);
	EXPECT_EQ(ws_output(s).n, 2);
	EXPECT_EQ(carry(s, c, 1, &ev), 0);
	EXPECT(ev.type == WS_CLOSE && ev.code == 1005);
	ws_free(c);
	ws_free(s);
}

TEST(websocket_unread_output_has_a_limit)
{
	struct ws *s = make(WS_SERVER, 0, 0);
	u8 *big = calloc(1, WS_OUTPUT_MAX);

	EXPECT_EQ(ws_send_binary(s, SPAN(big, WS_OUTPUT_MAX / 2)), 0);
	EXPECT_EQ(ws_send_binary(s, SPAN(big, WS_OUTPUT_MAX / 2 + 1)), ERR_LIMIT);
	ws_output_done(s, WS_OUTPUT_MAX);
	EXPECT_EQ(ws_send_binary(s, SPAN(big, WS_OUTPUT_MAX / 2 + 1)), 0);
	EXPECT_EQ(ws_send_ping(s, SPAN(big, 126)), ERR_INVAL);
	free(big);
	ws_free(s);
}

/* --- opening handshake --- */

static int check(enum http_kind kind, const char *text, struct span *key)
{
	struct http_parser *p = http_parser_new(kind, 0);
	size_t used;
	struct span body;
	static char kept[64];
	int rc = http_parser_input(p, SPAN(text, strlen(text)), &used, &body);

	if (!EXPECT_EQ(rc, HTTP_HEAD))
		rc = ERR_INTERNAL;
	else
		rc = kind == HTTP_REQUEST ? ws_check_request(http_parser_head(p), key) : ws_check_response(http_parser_head(p), "dGhlIHNhbXBsZSBub25jZQ==");
	if (key && key->n < sizeof(kept))
		*key = SPAN(memcpy(kept, key->p, key->n), key->n);
	http_parser_free(p);
	return rc;
}

TEST(spec10_1_3_only_the_exact_response_is_accepted)
{
#define OPEN "HTTP/1.1 101 Switching Protocols\r\n"
#define ACCEPT "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
	static const struct { const char *text; int rc; } t[] = {
		{ OPEN "Upgrade: websocket\r\nConnection: Upgrade\r\n" ACCEPT "\r\n", 0 },
		{ OPEN "upgrade: WebSocket\r\nconnection: upgrade\r\n" ACCEPT "\r\n", 0 },
		{ OPEN "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" ACCEPT "\r\n", ERR_MALFORMED },
		{ OPEN "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n", ERR_MALFORMED },
		{ OPEN "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOO=\r\n\r\n", ERR_MALFORMED },
		{ OPEN "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: x\r\n" ACCEPT "\r\n", ERR_MALFORMED },
		{ OPEN "Upgrade: h2c\r\nConnection: Upgrade\r\n" ACCEPT "\r\n", ERR_MALFORMED },
		{ "HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" ACCEPT "\r\n", ERR_MALFORMED },
		{ "HTTP/1.0 101 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" ACCEPT "\r\n", ERR_MALFORMED },
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		if (check(HTTP_RESPONSE, t[i].text, NULL) != t[i].rc)
			test_fail(__FILE__, __LINE__, "misjudged: %s", t[i].text);
}

TEST(websocket_server_judges_upgrade_requests)
{
#define GET "GET /client/websocket HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
	struct span key = SPAN_NONE;

	EXPECT_EQ(check(HTTP_REQUEST, GET "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", &key), 0);
	EXPECT_EQ(key.n, 24);
	EXPECT_EQ(check(HTTP_REQUEST, GET "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", &key), ERR_UNSUPPORTED);
	EXPECT_EQ(check(HTTP_REQUEST, GET "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n\r\n", &key), ERR_MALFORMED);
	EXPECT_EQ(check(HTTP_REQUEST, GET "Sec-WebSocket-Version: 13\r\n\r\n", &key), ERR_MALFORMED);
	EXPECT_EQ(check(HTTP_REQUEST, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", &key), ERR_MALFORMED);
}
