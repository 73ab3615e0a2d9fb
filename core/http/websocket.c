#include "core/http/websocket.h"

#include "core/base/encode.h"
#include "core/base/utf8.h"
#include "core/crypto/hash.h"
#include "core/http/http.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define HEADER_MAX 14u
#define CONTROL_MAX 125u
#define BUFFER_KEEP 0u /* most sockets are silent most of the time, and there may be thousands */

enum opcode { OP_CONTINUATION = 0, OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };

enum close_code { CLOSE_PROTOCOL = 1002, CLOSE_NO_STATUS = 1005, CLOSE_NOT_UTF8 = 1007, CLOSE_TOO_BIG = 1009 };

struct buffer {
	u8 *p;
	size_t n, cap, done; /* done: bytes at the front that are no longer needed */
};

struct ws {
	enum ws_role role;
	struct rng *rng;
	u32 frame_max, message_max;
	u8 header[HEADER_MAX];
	size_t header_len;
	/* the frame being read */
	bool in_payload;
	u8 opcode;
	bool is_final;
	u8 mask[4];
	u64 left;     /* of its payload */
	u32 position; /* in the mask */
	/* the message being read */
	enum opcode message_opcode; /* OP_CONTINUATION = none */
	u32 fragments;
	struct buffer message;
	bool is_delivered; /* message holds what the last event pointed at */
	u8 control[CONTROL_MAX];
	size_t control_len;
	struct buffer out;
	bool sent_close, got_close, has_failed;
};

/* --- buffers ------------------------------------------------------------------------------------------------------------------------------ */

static int buffer_grow(struct buffer *b, size_t more)
{
	if (b->done == b->n)
		b->done = b->n = 0;
	if (b->cap - b->n >= more)
		return 0;
	if (b->done > 0) {
		memmove(b->p, b->p + b->done, b->n - b->done);
		b->n -= b->done;
		b->done = 0;
		if (b->cap - b->n >= more)
			return 0;
	}
	size_t cap = MAX(b->cap, (size_t)1024);
	while (cap - b->n < more)
		cap *= 2;
	u8 *p = malloc(cap);
	if (!p)
		return ERR_NOMEM;
	if (b->n > 0)
		memcpy(p, b->p, b->n);
	if (b->p)
		sodium_memzero(b->p, b->n);
	free(b->p);
	b->p = p;
	b->cap = cap;
	return 0;
}

static void buffer_clear(struct buffer *b)
{
	b->n = b->done = 0;
	if (b->cap > BUFFER_KEEP) {
		sodium_memzero(b->p, b->cap);
		free(b->p);
		*b = (struct buffer){ NULL, 0, 0, 0 };
	}
}

static void buffer_free(struct buffer *b)
{
	if (b->p)
		sodium_memzero(b->p, b->cap);
	free(b->p);
}

/* --- handshake ------------------------------------------------------------------------------------------------------------------------------ */

void ws_key(struct rng *rng, char out[static WS_KEY_STRLEN])
{
	u8 nonce[16];

	rng_fill(rng, nonce, sizeof(nonce));
	base64_encode(out, WS_KEY_STRLEN, SPAN(nonce, sizeof(nonce)));
}

void ws_accept(struct span key, char out[static WS_ACCEPT_STRLEN])
{
	u8 text[128], digest[SHA1_LEN];
	struct wr w = wr_init(text, sizeof(text));

	wr_bytes(&w, key.p, key.n);
	wr_str(&w, GUID);
	sha1(digest, wr_span(&w));
	base64_encode(out, WS_ACCEPT_STRLEN, SPAN(digest, sizeof(digest)));
}

int ws_check_request(const struct http_head *h, struct span *key)
{
	u8 nonce[16];

	if (!span_eq_nocase(h->method, "GET") || h->minor != 1 || !http_list_has(http_field(h, "connection"), "upgrade") ||
	    !http_list_has(http_field(h, "upgrade"), "websocket") || http_field_count(h, "sec-websocket-key") != 1)
		return ERR_MALFORMED;
	*key = http_field(h, "sec-websocket-key");
	if (key->n != WS_KEY_STRLEN - 1 || base64_decode(nonce, sizeof(nonce), *key) != (int)sizeof(nonce))
		return ERR_MALFORMED;
	return span_eq_nocase(http_field(h, "sec-websocket-version"), "13") ? 0 : ERR_UNSUPPORTED;
}

int ws_check_response(const struct http_head *h, const char *key)
{
	char want[WS_ACCEPT_STRLEN];
	struct span got = http_field(h, "sec-websocket-accept");

	ws_accept(SPAN(key, strlen(key)), want);
	bool is_fine = h->minor == 1 && h->status == 101 && span_eq_nocase(http_field(h, "upgrade"), "websocket") &&
		       span_eq_nocase(http_field(h, "connection"), "upgrade") && got.n == sizeof(want) - 1 && memcmp(got.p, want, got.n) == 0 &&
		       http_field_count(h, "sec-websocket-protocol") == 0 && http_field_count(h, "sec-websocket-extensions") == 0;
	return is_fine ? 0 : ERR_MALFORMED;
}

/* --- life ---------------------------------------------------------------------------------------------------------------------------------------- */

struct ws *ws_new(enum ws_role role, const struct ws_limits *lim, struct rng *rng)
{
	struct ws *ws = calloc(1, sizeof(*ws));

	if (!ws)
		return NULL;
	ws->role = role;
	ws->rng = rng;
	ws->frame_max = lim && lim->frame ? lim->frame : role == WS_CLIENT ? WS_FRAME_MAX : WS_SERVER_FRAME_MAX;
	ws->message_max = lim && lim->message ? lim->message : role == WS_CLIENT ? WS_MESSAGE_MAX : WS_SERVER_MESSAGE_MAX;
	return ws;
}

void ws_free(struct ws *ws)
{
	if (!ws)
		return;
	buffer_free(&ws->message);
	buffer_free(&ws->out);
	free(ws);
}

/* --- writing --------------------------------------------------------------------------------------------------------------------------------------- */

static int put_frame(struct ws *ws, enum opcode opcode, struct span payload)
{
	u8 header[HEADER_MAX];
	struct wr w = wr_init(header, sizeof(header));
	u8 mask_bit = ws->role == WS_CLIENT ? 0x80 : 0;
	u8 mask[4] = { 0 };

	if (payload.n > WS_OUTPUT_MAX || ws->out.n - ws->out.done > WS_OUTPUT_MAX - payload.n)
		return ERR_LIMIT;
	if (buffer_grow(&ws->out, payload.n + HEADER_MAX))
		return ERR_NOMEM;
	wr_u8(&w, (u8)(0x80 | opcode));
	if (payload.n < 126) {
		wr_u8(&w, (u8)(mask_bit | payload.n));
	} else if (payload.n < 65536) {
		wr_u8(&w, mask_bit | 126);
		wr_be16(&w, (u16)payload.n);
	} else {
		wr_u8(&w, mask_bit | 127);
		wr_be64(&w, payload.n);
	}
	if (ws->role == WS_CLIENT) {
		rng_fill(ws->rng, mask, sizeof(mask));
		wr_bytes(&w, mask, sizeof(mask));
	}
	u8 *to = ws->out.p + ws->out.n;
	memcpy(to, header, wr_len(&w));
	to += wr_len(&w);
	for (size_t i = 0; i < payload.n; i++)
		to[i] = payload.p[i] ^ mask[i & 3];
	ws->out.n += wr_len(&w) + payload.n;
	return 0;
}

static int send_data(struct ws *ws, enum opcode opcode, struct span data)
{
	return ws->sent_close ? ERR_CLOSED : put_frame(ws, opcode, data);
}

int ws_send_text(struct ws *ws, struct span text)
{
	return send_data(ws, OP_TEXT, text);
}

int ws_send_binary(struct ws *ws, struct span data)
{
	return send_data(ws, OP_BINARY, data);
}

int ws_send_ping(struct ws *ws, struct span data)
{
	return data.n > CONTROL_MAX ? ERR_INVAL : send_data(ws, OP_PING, data);
}

int ws_close(struct ws *ws, u16 code, const char *reason)
{
	u8 payload[CONTROL_MAX];
	struct wr w = wr_init(payload, sizeof(payload));
	size_t n = reason ? strlen(reason) : 0;

	if (ws->sent_close)
		return ERR_CLOSED;
	if (code != CLOSE_NO_STATUS) {
		wr_be16(&w, code);
		wr_bytes(&w, reason, MIN(n, (size_t)CONTROL_MAX - 2));
	}
	ws->sent_close = true;
	return put_frame(ws, OP_CLOSE, wr_span(&w));
}

bool ws_is_closed(const struct ws *ws)
{
	return ws->sent_close && ws->got_close;
}

bool ws_is_closing(const struct ws *ws)
{
	return ws->sent_close;
}

struct span ws_output(const struct ws *ws)
{
	return ws->out.n > ws->out.done ? SPAN(ws->out.p + ws->out.done, ws->out.n - ws->out.done) : SPAN_NONE;
}

void ws_output_done(struct ws *ws, size_t n)
{
	ws->out.done += MIN(n, ws->out.n - ws->out.done);
	if (ws->out.done == ws->out.n)
		buffer_clear(&ws->out);
}

/* --- reading ---------------------------------------------------------------------------------------------------------------------------------------- */

static int fail(struct ws *ws, int err, enum close_code code)
{
	ws->has_failed = true;
	(void)ws_close(ws, (u16)code, NULL);
	return err;
}

/* How long the header is, as far as its first two bytes tell. */
static size_t header_size(const struct ws *ws)
{
	if (ws->header_len < 2)
		return 2;
	u8 len = ws->header[1] & 0x7f;
	return 2u + (len == 126 ? 2u : len == 127 ? 8u : 0u) + (ws->header[1] & 0x80 ? 4u : 0u);
}

static int begin_data_frame(struct ws *ws)
{
	if (ws->opcode == OP_CONTINUATION) {
		if (ws->message_opcode == OP_CONTINUATION)
			return fail(ws, ERR_MALFORMED, CLOSE_PROTOCOL);
		if (++ws->fragments > WS_FRAGMENTS_MAX)
			return fail(ws, ERR_LIMIT, CLOSE_TOO_BIG);
	} else {
		if (ws->message_opcode != OP_CONTINUATION)
			return fail(ws, ERR_MALFORMED, CLOSE_PROTOCOL);
		ws->message_opcode = (enum opcode)ws->opcode;
		ws->fragments = 1;
	}
	if (ws->left > ws->frame_max || ws->left > ws->message_max - ws->message.n)
		return fail(ws, ERR_LIMIT, CLOSE_TOO_BIG);
	return 0;
}

/* The header is complete. */
static int begin_frame(struct ws *ws)
{
	struct rd r = rd_init(ws->header, ws->header_len);
	u8 first = rd_u8(&r), second = rd_u8(&r);
	bool is_masked = second & 0x80;

	ws->is_final = first & 0x80;
	ws->opcode = first & 0x0f;
	ws->left = second & 0x7f;
	if (ws->left == 126) {
		ws->left = rd_be16(&r);
		if (ws->left < 126)
			return fail(ws, ERR_MALFORMED, CLOSE_PROTOCOL);
	} else if (ws->left == 127) {
		ws->left = rd_be64(&r);
		if (ws->left < 65536 || ws->left >> 63)
			return fail(ws, ERR_MALFORMED, CLOSE_PROTOCOL);
	}
	memset(ws->mask, 0, sizeof(ws->mask));
	if (is_masked)
		rd_copy(&r, ws->mask, sizeof(ws->mask));
	ws->position = 0;
	ws->header_len = 0;
	ws->in_payload = true;
	if ((first & 0x70) != 0 || is_masked != (ws->role == WS_SERVER))
		return fail(ws, ERR_MALFORMED, CLOSE_PROTOCOL);
	switch (ws->opcode) {
	case OP_CONTINUATION:
	case OP_TEXT:
	case OP_BINARY:
		return begin_data_frame(ws);
	case OP_CLOSE:
	case OP_PING:
	case OP_PONG:
		ws->control_len = 0;
		return ws->left > CONTROL_MAX || !ws->is_final ? fail(ws, ERR_MALFORMED, CLOSE_PROTOCOL) : 0;
	}
	return fail(ws, ERR_MALFORMED, CLOSE_PROTOCOL);
}

static void unmask(struct ws *ws, u8 *to, const u8 *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = from[i] ^ ws->mask[(ws->position + i) & 3];
	ws->position = (u32)(ws->position + n) & 3;
}

static int take_payload(struct ws *ws, struct span in, size_t *used)
{
	size_t n = (size_t)MIN((u64)(in.n - *used), ws->left);

	if (ws->opcode & 8) {
		unmask(ws, ws->control + ws->control_len, in.p + *used, n);
		ws->control_len += n;
	} else if (n > 0) {
		if (buffer_grow(&ws->message, n))
			return fail(ws, ERR_NOMEM, CLOSE_TOO_BIG);
		unmask(ws, ws->message.p + ws->message.n, in.p + *used, n);
		ws->message.n += n;
	}
	*used += n;
	ws->left -= n;
	return 0;
}

static bool is_close_code(u16 code)
{
	return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) || (code >= 3000 && code <= 4999);
}

static int end_close(struct ws *ws, struct ws_event *ev)
{
	struct rd r = rd_init(ws->control, ws->control_len);

	ev->type = WS_CLOSE;
	ev->code = CLOSE_NO_STATUS;
	if (ws->control_len > 0) {
		ev->code = rd_be16(&r);
		ev->data = rd_bytes(&r, rd_left(&r));
		if (!rd_ok(&r) || !is_close_code(ev->code))
			return fail(ws, ERR_MALFORMED, CLOSE_PROTOCOL);
		if (!utf8_is_valid(ev->data))
			return fail(ws, ERR_MALFORMED, CLOSE_NOT_UTF8);
	}
	ws->got_close = true;
	if (!ws->sent_close)
		(void)ws_close(ws, ev->code, NULL);
	return 0;
}

static int end_frame(struct ws *ws, struct ws_event *ev)
{
	ws->in_payload = false;
	switch (ws->opcode) {
	case OP_CLOSE:
		return end_close(ws, ev);
	case OP_PING:
		if (!ws->sent_close && put_frame(ws, OP_PONG, SPAN(ws->control, ws->control_len)) == ERR_LIMIT)
			return fail(ws, ERR_LIMIT, CLOSE_TOO_BIG);
		return 0;
	case OP_PONG:
		*ev = (struct ws_event){ WS_PONG, SPAN(ws->control, ws->control_len), 0 };
		return 0;
	}
	if (!ws->is_final)
		return 0;
	*ev = (struct ws_event){ ws->message_opcode == OP_TEXT ? WS_TEXT : WS_BINARY, SPAN(ws->message.p, ws->message.n), 0 };
	ws->message_opcode = OP_CONTINUATION;
	ws->is_delivered = true;
	if (ev->type == WS_TEXT && !utf8_is_valid(ev->data))
		return fail(ws, ERR_MALFORMED, CLOSE_NOT_UTF8);
	return 0;
}

int ws_input(struct ws *ws, struct span in, size_t *used, struct ws_event *ev)
{
	*used = 0;
	*ev = (struct ws_event){ WS_NONE, SPAN_NONE, 0 };
	if (ws->is_delivered) {
		buffer_clear(&ws->message);
		ws->is_delivered = false;
	}
	if (ws->got_close || ws->has_failed)
		return ERR_CLOSED;
	for (;;) {
		int rc = 0;
		while (!ws->in_payload) {
			if (ws->header_len == header_size(ws) && ws->header_len >= 2) {
				rc = begin_frame(ws);
				if (rc)
					return rc;
				break;
			}
			if (*used == in.n)
				return 0;
			ws->header[ws->header_len++] = in.p[(*used)++];
		}
		rc = take_payload(ws, in, used);
		if (rc)
			return rc;
		if (ws->left > 0)
			return 0;
		rc = end_frame(ws, ev);
		if (rc || ev->type != WS_NONE)
			return rc;
	}
}
