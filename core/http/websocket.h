/* core/http/websocket.h: RFC 6455 frames and the opening handshake, both roles, sans-IO. No extensions, no subprotocols.
 *
 *   [open] ──ws_close()──▶ [closing] ──Close received──▶ [closed]
 *      │ Close received: echoed                              ▲
 *      └──────────────────────────────────────────────────────┘        protocol violation: Close(1002/1007/1009) is queued, [failed]
 *
 * ws_input() consumes bytes and stops at each event; ws_output() yields bytes to write. Pings are answered by themselves. Text is checked to be
 * UTF-8. Masking keys and handshake keys come from the rng that is passed in.
 */
#pragma once

#include "core/base/cursor.h"
#include "core/base/err.h"
#include "core/base/rng.h"

struct http_head;

#define WS_KEY_STRLEN 25    /* Sec-WebSocket-Key with NUL */
#define WS_ACCEPT_STRLEN 29 /* Sec-WebSocket-Accept with NUL */
#define WS_MESSAGE_MAX (64u * 1024u * 1024u) /* peer, spec 10 §1.7 */
#define WS_FRAME_MAX (16u * 1024u * 1024u)
#define WS_SERVER_MESSAGE_MAX 8000000u /* portal */
#define WS_SERVER_FRAME_MAX 8000000u
#define WS_OUTPUT_MAX (16u * 1024u * 1024u) /* bytes queued for writing; a peer that does not read costs no more */
#define WS_FRAGMENTS_MAX 65536u

enum ws_role { WS_CLIENT, WS_SERVER };

/* --- opening handshake (RFC 6455 §4) --- */
void ws_key(struct rng *rng, char out[static WS_KEY_STRLEN]);
void ws_accept(struct span key, char out[static WS_ACCEPT_STRLEN]);
/* Server: is this a proper upgrade request? 0 and the key; ERR_MALFORMED: answer 400. ERR_UNSUPPORTED: version is not 13, answer 426. */
int ws_check_request(const struct http_head *h, struct span *key) MUST_CHECK;
/* Client: may we speak WebSocket now? Exactly the rules of spec 10 §1.3. ERR_MALFORMED otherwise. */
int ws_check_response(const struct http_head *h, const char *key) MUST_CHECK;

/* --- frames --- */
struct ws;

struct ws_limits {
	u32 frame, message; /* bytes; 0 = role's default */
};

struct ws *ws_new(enum ws_role role, const struct ws_limits *lim, struct rng *rng);
void ws_free(struct ws *ws);

enum ws_event_type { WS_NONE, WS_TEXT, WS_BINARY, WS_CLOSE, WS_PONG };
struct ws_event {
	enum ws_event_type type;
	struct span data;  /* text, binary, pong payload or close reason; valid until the next call on ws */
	u16 code;          /* WS_CLOSE: 1005 when the frame had none */
};

/* Consumes from `in`, `*used` bytes, until an event or the end. 0; ERR_MALFORMED, ERR_LIMIT: a Close frame is queued, write it, then drop
 * the connection; ERR_CLOSED: input after Close. */
int ws_input(struct ws *ws, struct span in, size_t *used, struct ws_event *ev) MUST_CHECK;
int ws_send_text(struct ws *ws, struct span text) MUST_CHECK; /* ERR_LIMIT: WS_OUTPUT_MAX; ERR_CLOSED */
int ws_send_binary(struct ws *ws, struct span data) MUST_CHECK;
int ws_send_ping(struct ws *ws, struct span data) MUST_CHECK;  /* <= 125 bytes */
int ws_close(struct ws *ws, u16 code, const char *reason);
bool ws_is_closed(const struct ws *ws); /* Close was sent and received */
bool ws_is_closing(const struct ws *ws); /* Close was sent */

/* Bytes to write; ws_output_done() says how many were. */
struct span ws_output(const struct ws *ws);
void ws_output_done(struct ws *ws, size_t n);
