/* core/phoenix/server.h: the portal's end of a peer's socket, sans-IO (spec 10 §1.3, §3–§5).
 *
 * First phx_upgrade_read() judges the HTTP request; the portal authenticates the token, checks the parameters and answers with
 * phx_upgrade_accept() or phx_problem(). Then a struct phx_socket speaks WebSocket and Phoenix V1 with that peer:
 *
 *   [unjoined] ──phx_join──▶ PHX_JOIN ──phx_join_ok()──▶ [joined] ──phx_end()──▶ [closing] ──▶ PHX_GONE
 *                               └──phx_join_refuse()──▶ [unjoined]        37/41 s of silence, Close, violation ──▶ PHX_GONE
 *
 * Heartbeats are answered, unknown events and missing keys draw the error replies of spec 10 §3.2, all by themselves. A second phx_join
 * closes the old channel first: PHX_LEAVE, then PHX_JOIN.
 */
#pragma once

#include "core/base/cursor.h"
#include "core/base/rng.h"
#include "core/base/time.h"
#include "core/phoenix/frame.h"
#include "core/phoenix/messages.h"

#define PHX_SILENCE_PEER SEC(37)  /* client, gateway: spec 10 §1.7 */
#define PHX_SILENCE_RELAY SEC(41)
#define PHX_CLOSE_TIMEOUT SEC(2)  /* for the peer to answer our Close */
#define PHX_JOIN_TIMEOUT SEC(60)  /* heartbeats alone do not keep an unjoined socket open */
#define PHX_VERSION_STRLEN 64
#define PHX_PARAM_STRLEN 256      /* 255 characters, as the portal stores them */
#define PHX_TOKEN_STRLEN 4096

/* --- upgrade --- */
struct http_head;

struct phx_version {
	u32 major, minor, patch;
	bool is_known;
	char text[PHX_VERSION_STRLEN]; /* suffix of the component token, "" when unknown */
};

struct phx_upgrade {
	enum msg_role role;
	enum msg_version version;
	struct span ws_key;
	char token[PHX_TOKEN_STRLEN]; /* header first, then query; "" = missing. Wipe it when done. */
	char external_id[PHX_PARAM_STRLEN], name[PHX_PARAM_STRLEN], public_key[PHX_PARAM_STRLEN];
	char device_serial[PHX_PARAM_STRLEN], device_uuid[PHX_PARAM_STRLEN], identifier_for_vendor[PHX_PARAM_STRLEN],
		firebase_installation_id[PHX_PARAM_STRLEN];
	char ipv4[PHX_PARAM_STRLEN], ipv6[PHX_PARAM_STRLEN], port[PHX_PARAM_STRLEN]; /* relay; port "3478" when absent */
	char user_agent[PHX_PARAM_STRLEN]; /* truncated; "" = header absent */
	struct phx_version peer;           /* parsed from the user agent */
};

/* 0: *out is filled; the checks of §1.2 that need no store are done (lengths, key is 44 characters of base64 …). Otherwise the HTTP
 * status to answer: 400, 403 (vsn), 404 (path), 405, 426; *detail (a literal or inside *out->name) for phx_problem(), NULL = empty body.
 * A missing token is 0 with token "": the rate limit comes first (§4.2). Parameters are checked by phx_upgrade_check(), after
 * authentication. */
int phx_upgrade_read(const struct http_head *h, struct phx_upgrade *out, const char **detail) MUST_CHECK;
/* 0, or 400/500 and *detail. Writes a detail like "public_key can't be blank; name should be at most 255 character(s)". */
int phx_upgrade_check(const struct phx_upgrade *u, char *detail, size_t cap) MUST_CHECK;
/* True when the request's path is one of the sockets', whatever else is wrong with it. */
bool phx_is_socket_path(struct span target);

/* The 101 response. */
void phx_upgrade_accept(struct wr *w, const struct phx_upgrade *u);
/* A whole RFC 9457 response: status line, fields, body. code NULL: no member `code` (spec 10 §14). retry_after 0: no such field. */
void phx_problem(struct wr *w, u16 status, const char *code, const char *detail, u32 retry_after);

/* The semver after the first known component name in a user agent (spec 10 §1.4). */
void phx_parse_user_agent(const char *user_agent, struct phx_version *out);

/* --- socket --- */
struct phx_socket;

struct phx_socket *phx_socket_new(enum msg_role role, enum msg_version version, struct rng *rng, u64 now);
void phx_socket_free(struct phx_socket *s);

void phx_socket_input(struct phx_socket *s, u64 now, struct span bytes);
void phx_socket_eof(struct phx_socket *s, u64 now);
struct span phx_socket_output(const struct phx_socket *s);
void phx_socket_output_done(struct phx_socket *s, size_t n);
void phx_socket_timeout(struct phx_socket *s, u64 now);
u64 phx_socket_next_timeout(const struct phx_socket *s);

enum phx_event_type {
	PHX_JOIN,    /* answer with phx_join_ok() (then push init) or phx_join_refuse(); relay: `stamp_secret` */
	PHX_MESSAGE, /* `message`: the receiver's now, msg_free() it; `ref` for phx_ok()/phx_error(), where the message wants a reply */
	PHX_LEAVE,   /* phx_leave or a second join: the channel is over, the socket is not */
	PHX_GONE,    /* write the output that is left, then drop the connection; last event */
};

struct phx_event {
	enum phx_event_type type;
	struct portal_message message;
	struct phx_ref ref;
	char stamp_secret[PHX_PARAM_STRLEN];
	int err; /* PHX_GONE: ERR_CLOSED, ERR_TIMEOUT, ERR_MALFORMED, ERR_LIMIT */
};

bool phx_socket_poll(struct phx_socket *s, struct phx_event *out);

void phx_join_ok(struct phx_socket *s);
void phx_join_refuse(struct phx_socket *s, const char *reason);
void phx_ok(struct phx_socket *s, const struct phx_ref *ref);
void phx_error(struct phx_socket *s, const struct phx_ref *ref, const char *reason); /* "invalid_ref" … */
/* ERR_STATE: not joined. ERR_LIMIT: the peer does not read; the socket is ended. ERR_INVAL: not a message of this wire. */
int phx_push(struct phx_socket *s, u64 now, const struct portal_message *m);

/* Ends the channel: disconnect {reason} unless NULL ("token_expired"), phx_close, Close(code) (spec 10 §5, items 26, 39). */
void phx_end(struct phx_socket *s, u64 now, const char *disconnect_reason, u16 code);
/* Shutdown: Close(1012) without phx_close. */
void phx_restart(struct phx_socket *s, u64 now);

/* --- what the portal derives (spec 10 §10.1–§10.4) --- */
/* WireGuard preshared key. `is_cc`: client to client, then a is the requester; otherwise a is the client. Keys as base64 text. */
void phx_derive_psk(bool is_cc, struct span psk_base_a, struct span psk_base_b, const char *id_a, const char *id_b, const char *key_a,
		    const char *key_b, u8 out[static 32]);
struct phx_ice {
	char initiator_username[5], initiator_password[23];
	char receiver_username[5], receiver_password[23];
};
void phx_derive_ice(const char *initiator_id, const char *initiator_key, const char *receiver_id, const char *receiver_key,
		    struct phx_ice *out);
#define PHX_TURN_USERNAME_STRLEN 66
#define PHX_TURN_PASSWORD_STRLEN 44
#define PHX_GATEWAY_TURN_EXPIRY 2145916800ull
void phx_derive_turn(const char *public_key, u64 expires_at, const char *stamp_secret, char username[static PHX_TURN_USERNAME_STRLEN],
		     char password[static PHX_TURN_PASSWORD_STRLEN]);
struct uuid phx_derive_relay_id(const char *stamp_secret);
